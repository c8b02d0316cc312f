# SPDX-License-Identifier: BSD-2-Clause
"""What `make prove` proves: sources and functions, and the functions that WP cannot prove, with the reason."""

from __future__ import annotations

from dataclasses import dataclass

INCLUDES = "tests/proofs/include"
LEMMAS = f"{INCLUDES}/words.h"
# Lemmas that WP itself proves, from those.
WP_LEMMAS = (("both_commutes", ()), ("count_of_others", ("-DPROVE_BITS",)))
TWINS = "tests/proofs"


@dataclass(frozen=True)
class Unit:
    """Functions of one source, as one build sees it."""

    name: str
    source: str
    functions: tuple[str, ...]
    flags: tuple[str, ...] = ()
    properties: str = "-@lemma"


BITS = ("bits_lowest", "bits_count", "bits_leading", "bits_between", "bits_lowest_few")

UNITS = (
    Unit("bits, by instructions", "mm/global/bits.c", BITS, ("-DPROVE_BITS",)),
    Unit("bits, without instructions", "mm/global/bits.c", BITS, ("-DPROVE_BITS", "-D__riscv")),
    Unit("words of frames", "mm/global/free_map.c",
         ("frame_word_first", "frame_word_count", "frame_word_next", "words_fill")),
    Unit("map of free frames", "mm/global/free_map.c",
         ("free_map_bytes", "free_map_take", "free_map_take_run", "free_map_give", "free_map_give_run",
          "free_map_has_count")),
    Unit("buddy", "mm/heap/buddy.c",
         ("room_of", "set_room", "free_room", "united", "buddy_room", "tighter_half")),
    Unit("addresses and alignment", "mm/heap/kmalloc.c",
         ("pfn", "phys_page_offset", "phys_is_aligned", "pfn_floor", "pfn_ceil", "round_up",
          "is_power_of_two", "frames_for")),
    Unit("kcalloc", "mm/heap/kmalloc.c", ("kcalloc",), properties="product"),
)

# What is not proved, and what stopped it: for the table.
NOT_PROVED: dict[str, str] = {
    "free_map_init": "its memory comes as void *, and WP's model of memory has no cast to words",
    "free_map_has_run": "where it returns false, the frame that is not free is at a place that the provers do not find",
    "repair_above": "no invariant of the tree in first-order terms: B1 goes over nodes at all depths, 2 * n and "
                    "2 * n + 1, and the provers do not do its induction; so neither buddy_alloc, buddy_find and "
                    "buddy_free, which rest on it",
    "bitmap.c": "its bits are a flexible array member, whose size WP does not know",
    "kheap_class_of": "not tried: a host test compares all sizes with the table",
    "slab_block_of": "it uses __int128, which Frama-C does not have",
}
