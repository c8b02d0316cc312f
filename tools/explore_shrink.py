# SPDX-License-Identifier: BSD-2-Clause
"""Shrinks a failing schedule to few switches, and tells what is left as a story.

A schedule is a list of switches, each a step and the cpu that has it. schedule=list runs such a list:
at a step that it does not name the cpu goes on, unless it waits or has ended. So leaving out a
switch joins two turns of a cpu. `minimise` leaves out what it can (delta debugging: Zeller and
Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002). A run of what is left still
fails in the same way, and leaving out any single switch of it does not.

Nothing here boots: the caller says whether a list fails.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from launcher import symbols

Record = dict[str, object]

# tests/smp/directed.c, enum why.
BY_SCHEDULE, WAITS, ENDED = range(3)
REASONS = {BY_SCHEDULE: "loses its turn", WAITS: "waits", ENDED: "has ended"}
ADDRESS = re.compile(r"\[<0x[0-9a-f]+>\]")
NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


@dataclass(frozen=True)
class Switch:
    step: int
    cpu: int

    def __str__(self) -> str:
        return f"{self.step}:{self.cpu}"


@dataclass(frozen=True)
class Turn:
    """A switch as the kernel recorded it. masked: `pc` is where the masked section ended; 0: not seen."""

    step: int
    leaver: int
    cpu: int
    why: int
    masked: bool
    pc: int


def turns_of(records: Iterable[Record]) -> list[Turn]:
    turns: list[Turn] = []
    for record in records:
        if record.get("record") != "switches":
            continue
        columns = [record.get(name) for name in ("step", "from", "to", "why", "masked", "pc")]
        for step, leaver, cpu, why, masked, pc in zip(*columns):  # type: ignore[arg-type]
            turns.append(Turn(step, leaver, cpu, why, bool(masked), pc))
    return turns


def switches_of(turns: Iterable[Turn]) -> list[Switch]:
    return [Switch(turn.step, turn.cpu) for turn in turns]


def failure_class(text: str) -> str:
    """What failures of one kind have in common: not the cpu, the frame or the place."""
    return NUMBER.sub("N", ADDRESS.sub("[<N>]", text)).partition(";")[0]


# Shrinking -----------------------------------------------------------------------------------


class OutOfTime(Exception):
    """Raised by `fails` of minimise()."""


def without(switches: Sequence[Switch], begin: int, end: int) -> list[Switch]:
    return [*switches[:begin], *switches[end:]]


def leave_out_parts(switches: list[Switch], size: int, fails: Callable[[list[Switch]], bool],
                    keep: Callable[[list[Switch]], None]) -> list[Switch]:
    """One pass over all parts of `size` switches, from the last to the first."""
    end = len(switches)
    while end > 0:
        shorter = without(switches, max(end - size, 0), end)
        if fails(shorter):
            switches = shorter
            keep(switches)
        end = min(end - size, len(switches))
    return switches


def minimise(switches: Sequence[Switch], fails: Callable[[list[Switch]], bool]) -> tuple[list[Switch], bool]:
    """The switches that are left, and whether no single one of them can be left out.

    `switches` is known to fail. Late switches go first: most of those behind the cause have no part
    in it. The empty list is tried first.
    """
    best = list(switches)

    def keep(found: list[Switch]) -> None:
        nonlocal best
        best = found

    try:
        if not best or fails([]):
            return [], True
        size = (len(best) + 1) // 2
        while True:
            before = len(best)
            leave_out_parts(best, size, fails, keep)
            if size > 1:
                size = min((size + 1) // 2, max(len(best) // 2, 1))
            elif len(best) == before:
                return best, True
    except OutOfTime:
        return best, False


# The story -----------------------------------------------------------------------------------


def read_places(text: str, root: Path) -> dict[int, list[str]]:
    """Of addr2line -a -f -i: for each address `function file:line`, the innermost function first."""
    places: dict[int, list[str]] = {}
    for part in re.split(r"^(?=0x[0-9a-f]+\n)", text, flags=re.M):
        lines = part.splitlines()
        if not lines:
            continue
        found = places.setdefault(int(lines[0], 16), [])
        for function, place in zip(lines[1::2], lines[2::2]):
            path, _, line = place.partition(" ")[0].rpartition(":")
            found.append(f"{function} {symbols.source_path(path, root)}:{line}")
    return places


def find_places(kernel: Path, addresses: Iterable[int], root: Path) -> dict[int, list[str]]:
    tool = symbols.tool("addr2line")
    wanted = sorted({address for address in addresses if address})
    if tool is None or not wanted:
        return {}
    listing = subprocess.run([tool, "-a", "-f", "-i", "-e", str(kernel), *map(hex, wanted)],
                             capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return read_places(listing.stdout, root)


def place_text(address: int, masked: bool, places: dict[int, list[str]]) -> str:
    if not address:
        return "a masked section that has not ended"
    # The instruction that was interrupted is known; of a masked section only where it ended.
    frames = places.get(address) or [hex(address)]
    inner, *outer = frames
    text = inner + (f", inlined in {outer[-1].split(' ')[0]}" if outer else "")
    return f"the masked section that ends at {text}" if masked else text


def story(turns: Sequence[Turn], places: dict[int, list[str]], last: str) -> list[str]:
    """A table: a line for each switch, and what came of them."""
    left: dict[int, Turn] = {}
    rows = [("step", "cpu", "stops in", "because it", "then cpu", "goes on in")]
    for index, turn in enumerate(turns):
        before = left.get(turn.cpu)
        goes_on = place_text(before.pc, before.masked, places) if before else "its first instruction"
        if index == 0:
            rows.append((str(turn.step), "", "", "", str(turn.cpu), goes_on))
        else:
            rows.append((str(turn.step), str(turn.leaver), place_text(turn.pc, turn.masked, places),
                         REASONS[turn.why], str(turn.cpu), goes_on))
        left[turn.leaver] = turn
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    return [*lines, last]
