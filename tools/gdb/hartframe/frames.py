# SPDX-License-Identifier: BSD-2-Clause
"""One frame: its state, where it is, and which call allocated or freed it last."""

from __future__ import annotations

import gdb

from . import caches, kernel, zones

STATES = {
    "FRAME_STATE_FREE": "free",
    "FRAME_STATE_ALLOCATED": "allocated",
    "FRAME_STATE_HEAP": "allocated, of the heap",
    "FRAME_STATE_RUN_HEAD": "allocated, the first of a run",
    "FRAME_STATE_RUN_BODY": "allocated, of a run",
    "FRAME_STATE_HEAP_RUN": "allocated, the first of a run of the heap",
    "FRAME_STATE_RESERVED": "reserved: the zone's own memory",
}


def state_text(state: int) -> str:
    return STATES.get(kernel.enum_name("frame_state", state), f"broken: {state:#x} (handed out more than once?)")


def frame_of(given: int) -> int:
    """A frame number, or that of the frame which has the byte at a physical address."""
    by_address = given >> kernel.FRAME_SHIFT
    return by_address if zones.zone_of(by_address) is not None else given


def place_of(zone: gdb.Value, frame: int, state: int | None) -> str:
    found = caches.place_of(frame)
    if found:
        return found
    name = zone["name"].string()
    in_zone = zones.is_free(zone, frame)
    if in_zone:
        return f"in {name}"
    if in_zone is None and state == 0:
        return f"in {name}, since no cpu has it ({zones.policy_name(zone)} is not read)"
    if state == 0:
        return "in no zone and with no cpu: it is part of a run that is allocated as whole words, moves, or is lost"
    return "with its owner"


def owner_lines(frame: int) -> list[str]:
    """What framedebug=owners notes."""
    variable = "'mm/frame_debug.c'::"
    index = frame - kernel.number(variable + "first_frame")
    if not kernel.number("frame_debug_chosen") & kernel.number("FRAME_DEBUG_OWNERS"):
        return ["which call had it last is not noted: boot with framedebug=owners"]
    if not 0 <= index < kernel.number(variable + "frame_count"):
        return ["which call had it last is not noted: the frame is not watched"]
    note = kernel.value(variable + f"notes[{index}]")
    events = {kernel.number(variable + name): name for name in ("NOTHING_YET", "HEAD", "BODY", "FREED")}
    event = events[int(note["event"])]
    if event == "BODY":
        note = kernel.value(variable + f"notes[{index - int(note['count'])}]")
    if event == "NOTHING_YET":
        return ["it was never allocated"]
    verb = "freed" if event == "FREED" else "allocated"
    lines = [f"{verb} by cpu {int(note['cpu'])} at {kernel.place(int(note['site']))}"]
    if event == "FREED" and int(note["before"]):
        lines.append(f"allocated before that at {kernel.place(int(note['before']))}")
    return lines


def lines_of(given: int) -> list[str]:
    frame = frame_of(given)
    zone = zones.zone_of(frame)
    if zone is None:
        return [f"frame {frame:#x} is in no zone"]
    state = zones.state_of(zone, frame)
    said = "its state is not known (CHECKS=0)" if state is None else state_text(state)
    head = f"frame {frame:#x}, address {frame << kernel.FRAME_SHIFT:#x}, of {zone['name'].string()}: {said}"
    if state == kernel.number("FRAME_STATE_RESERVED"):
        return [head]
    return [f"{head}; {place_of(zone, frame, state)}", *owner_lines(frame)]
