# SPDX-License-Identifier: BSD-2-Clause
"""Zones of frames, and where a frame is free in them."""

from __future__ import annotations

from collections.abc import Iterator

import gdb

from . import kernel

FRAMES_PER_WORD = 64


def zones() -> Iterator[gdb.Value]:
    for index in range(kernel.number("zones.count")):
        yield kernel.value(f"zones.zone[{index}]")


def zone_of(frame: int) -> gdb.Value | None:
    return next((zone for zone in zones() if 0 <= frame - int(zone["first"]) < int(zone["total_frames"])), None)


def policy_name(zone: gdb.Value) -> str:
    return kernel.text(zone["policy"]["name"])


def state_of(zone: gdb.Value, frame: int) -> int | None:
    """enum frame_state, as zone_frame_state() reads it; None: the build has no states."""
    if not int(zone["state"]):
        return None
    word = kernel.byte(int(zone["word_state_bias"]) + frame // FRAMES_PER_WORD)
    if not word:
        return kernel.byte(int(zone["state"]) + frame - int(zone["first"]))
    head, body = (kernel.number(f"FRAME_STATE_RUN_{part}") for part in ("HEAD", "BODY"))
    return body if word == head and frame % FRAMES_PER_WORD else word


def is_free(zone: gdb.Value, frame: int) -> bool | None:
    """Whether the zone itself has the frame; None: this is not known of the zone's policy."""
    if policy_name(zone) != "segment_tree":
        return None
    tree = zone["instance"].cast(gdb.lookup_type("struct segment_tree").pointer())
    bit = frame - int(tree["runs"]["base"])
    return bool(int(tree["frames"]["level"][0][bit // 64]) >> bit % 64 & 1)
