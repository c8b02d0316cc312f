# SPDX-License-Identifier: BSD-2-Clause
"""One address of the heap: the block, what it is part of, its state and its owner."""

from __future__ import annotations

from dataclasses import dataclass

import gdb

from . import frames, kernel

RECORD_BYTES = 512  # SLAB_RECORD_BYTES
STATE_AT = 128  # SLAB_STATE_AT
LEVEL_BITS, USED_BITS, KIND_BITS = 9, 10, 2  # span.c
SLOTS = 2**LEVEL_BITS
NODES_SEARCHED = 64  # a block of more than 128 MiB is not found from its end
BUDDY_TAKEN = 15
SPAN_ARENA = 1
CLASS_BIT = 58  # KHEAP_CLASS_BIT
HASH = 0x9E3779B97F4A7C15  # bucket_of() in debug_index.c


@dataclass(frozen=True)
class Block:
    start: int
    bytes: int
    state: str
    part_of: str


def front_of(cpu: int) -> gdb.Value:
    return kernel.structure("kheap_front", kernel.area_of(cpu) + kernel.size_of("frame_cache"))


# Slabs ---------------------------------------------------------------------------------------


def has_states() -> bool:
    return int(kernel.value("zones.zone[0].state")) != 0


def slab_of(address: int) -> gdb.Value | None:
    """By the map's word of the frame, as slab_of() in slab.c."""
    front = front_of(0)
    index = (address >> kernel.FRAME_SHIFT) - int(front["first"])
    if not int(front["map"]) or not 0 <= index < int(front["count"]):
        return None
    word = int(front["map"][index])
    if not has_states():
        return kernel.structure("slab", word % 2**CLASS_BIT) if word else None
    if word == int(kernel.value("&'mm/heap/slab.c'::no_state[63]")):
        return None
    state = (word + (address >> (word & 63))) % 2**64
    return kernel.structure("slab", state & ~(RECORD_BYTES - 1))


def cpu_with(address: int, number: int) -> int | None:
    """The CPU that has the free block on its stack of this class."""
    for cpu in kernel.cpus():
        front = front_of(cpu)
        base = int(front["base"][number])
        if base and address in kernel.words(base, (int(front["stack"][number]["top"]) - base) // 8):
            return cpu
    return None


def slab_state(slab: gdb.Value, number: int, start: int, index: int) -> str:
    if int(slab["bits"][index // 64]) >> index % 64 & 1:
        return "free, in its slab"
    cpu = cpu_with(start, number)
    return "allocated" if cpu is None else f"free, on the stack of cpu {cpu}"


def slab_block(address: int) -> Block | None:
    slab = slab_of(address)
    if slab is None:
        return None
    number = int(slab["class"])
    size = int(kernel.value(f"kheap.class[{number}].size"))
    first = int(slab["start"])
    index = (address - first) // size
    if index >= int(kernel.value(f"kheap.class[{number}].blocks")):
        return Block(address, 0, "no block: the rest of a slab", f"the slab at {first:#x}")
    start = first + index * size
    part_of = f"class {number}, the slab at {first:#x} with {int(slab['free'])} free blocks in it"
    return Block(start, size, slab_state(slab, number, start, index), part_of)


# Arenas and blocks of whole frames -----------------------------------------------------------


def slots_of(node: int) -> list[int]:
    """The slots of 512 frames, from frame base + 512 * node on; [] where nothing of the heap is there."""
    index = kernel.value("kheap.spans")
    levels, word = int(index["levels"]), int(index["root"])
    if node < 0 or node >> LEVEL_BITS * (levels - 1):
        return []
    for level in range(levels, 0, -1):
        if not word:
            return []
        table = kernel.words(word >> USED_BITS << kernel.FRAME_SHIFT, SLOTS)
        if level > 1:
            word = table[node >> LEVEL_BITS * (level - 2) & SLOTS - 1]
    return table


def span_at(number: int) -> tuple[int, int, int] | None:
    """Kind, value and number of the last slot at or before this one that is not empty."""
    for node in range(number // SLOTS, max(-1, number // SLOTS - NODES_SEARCHED), -1):
        slots = slots_of(node)
        for at in range(min(number - node * SLOTS, SLOTS - 1), -1, -1) if slots else ():
            if slots[at]:
                return slots[at] % 2**KIND_BITS, slots[at] >> KIND_BITS, node * SLOTS + at
    return None


def buddy_room(buddy: gdb.Value, node: int) -> int:
    return int(buddy["pair"][node // 2]) >> 4 * (node % 2) & 15


def arena_block(frame: int, address: int) -> Block:
    arena = kernel.structure("arena", frame << kernel.FRAME_SHIFT)
    buddy, unit = arena["buddy"], gdb.lookup_type("struct kheap_front").alignof  # BUDDY_UNIT: a cache line
    first = int(arena["first"]) << kernel.FRAME_SHIFT
    order, node = int(buddy["order"]), 1
    while buddy_room(buddy, node) <= order and order:
        order -= 1
        node = 2 * node + ((address - first) // unit >> order & 1)
    size = unit << order
    state = "allocated" if buddy_room(buddy, node) == BUDDY_TAKEN else "free, in its arena"
    return Block(address - (address - first) % size, size, state, f"the arena of {unit << int(buddy['order'])} bytes at {first:#x}")


def block_of_frames(address: int) -> Block | None:
    """In an arena, where each frame has a slot, or of whole frames, where the first one has."""
    frame, base = address >> kernel.FRAME_SHIFT, kernel.number("kheap.spans.base")
    found = span_at(frame - base)
    if found is None:
        return None
    kind, value, number = found
    if kind == SPAN_ARENA:
        return arena_block(value, address) if number == frame - base else None
    if frame >= base + number + value:
        return None
    return Block(base + number << kernel.FRAME_SHIFT, value << kernel.FRAME_SHIFT, "allocated", f"{value} whole frames")


def block_at(address: int) -> Block | None:
    return slab_block(address) or block_of_frames(address)


# heapdebug= ----------------------------------------------------------------------------------


def record_of(block: int) -> gdb.Value | None:
    """The newest record of a block that begins there, as debug_find_locked()."""
    debug = kernel.value("heap_debug")
    if not int(debug["bucket"]):
        return None
    bucket = (block >> 4) * HASH % 2**64 >> int(debug["bucket_shift"])
    record = debug["bucket"][bucket]
    while int(record) and int(record["block"]) != block:
        record = record["next"]
    return record.dereference() if int(record) else None


def record_lines(record: gdb.Value) -> list[str]:
    state = {"DEBUG_LIVE": "allocated", "DEBUG_WAITING": "freed, its memory is not used again yet",
             "DEBUG_GONE": "freed"}[kernel.enum_name("debug_state", int(record["state"]))]
    has_owners = kernel.number("heap_debug.words") & kernel.number("KHEAP_DEBUG_OWNERS")
    lines = [f"block {int(record['block']):#x} of {int(record['size'])} bytes, as asked for: {state}"]
    for verb in ("allocated", "freed")[: 1 if state == "allocated" else 2]:
        owner = record[verb]
        by = f" by cpu {int(owner['cpu'])}" if has_owners else ""
        lines.append(f"{verb}{by} at {kernel.place(int(owner['site']))}")
    return lines


def lines_of(address: int) -> list[str]:
    record = record_of(address)
    if record is not None:
        return record_lines(record)
    found = block_at(address)
    if found is None:
        return [f"{address:#x} is in no block of the heap", *frames.lines_of(address >> kernel.FRAME_SHIFT)]
    inside = f", offset {address - found.start}" if address != found.start else ""
    lines = [f"block {found.start:#x} of {found.bytes} bytes{inside}: {found.state}; {found.part_of}"]
    if not int(kernel.value("heap_debug.bucket")):
        lines.append("which call had it is not noted: boot with heapdebug=owners")
    return lines
