#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What an operation would take on many more harts: a model of one lock, from counts of a few harts.

    lines_model.py FREE.jsonl [DEAR.jsonl] [--line N] [--harts 64,256,1024]

FREE is the record of a sweep with --lines, DEAR the record of the same sweep with --line as well: cells
of one cpu, and of two or more numbers of cpus for which the lock is never free.

N harts share one lock. An operation thinks outside of the lock, then takes it, and holds it. The lock
serves one hart after the other. This is the closed queue with one server and a delay, solved by mean
value analysis (Reiser and Lavenberg, JACM 1980), one hart more a step:

    wait and hold of n harts = service * (1 + queue that the last to come finds, of n - 1 harts)

A transfer of a line takes `line` instructions. Transfers between the end of one hold and the end of the
next make the service longer: some of a fixed number, and some for each hart that waits, because the
waiters of a lock on one word all fetch its line. Transfers outside of the lock make thinking longer.

What the model leaves out: caches that are full, distance between harts, and that real lengths vary less
than those of the analysis, so that it waits too long where the lock is free now and then.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lines

# Ranges whose lines move outside of the lock, by the names of tests/smp/cell_lines.c.
OUTSIDE = re.compile(r"zone\d+\.(state|frames)$|elsewhere$")
HARTS = (64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Counts:
    """Of one operation: instructions, and transfers of lines where harts share the lock."""

    think: float
    hold: float  # with what one hart takes to hand the lock to the next
    transfers_held: float = 0.0  # may be negative where the queue adds more and more
    transfers_held_each: float = 0.0  # more for each hart in the queue
    transfers_outside: float = 0.0


def time_of_operation(counts: Counts, harts: int, line: float = 0.0) -> float:
    """Instructions of one hart for an operation, waiting included."""
    queue = 0.0
    time = counts.think + counts.hold  # alone, no line moves
    for present in range(2, harts + 1):
        held = max(counts.transfers_held + counts.transfers_held_each * queue, 0.0)
        response = (counts.hold + line * held) * (1 + queue)
        time = counts.think + line * counts.transfers_outside + response
        queue = present * response / time
    return time


def cpus_of(cell: lines.Cell) -> int:
    return int(str(cell.settings["cpus"]))


def saturated(cells: Sequence[lines.Cell]) -> list[lines.Cell]:
    """The last cells, from which on the time of an operation grows in proportion to the cpus."""
    found = list(cells[-1:])
    for fewer, more in zip(cells[-2::-1], cells[::-1]):
        if fewer.time() * cpus_of(more) > 1.1 * more.time() * cpus_of(fewer):
            break
        found.insert(0, fewer)
    return found


def transfers_held(hold: float, cells: Sequence[lines.Cell]) -> tuple[float, float]:
    """What transfers add to a hold, in transfers: of a fixed number, and for each hart in the queue."""
    if len(cells) < 2 or not cells[0].cost:
        raise ValueError("needs, with --line, two cells in which the lock is never free")
    (few, less), (many, more) = (
        (cpus_of(cell) - 1, (cell.time() / cpus_of(cell) - hold) / cell.cost) for cell in cells)
    each = (more - less) / (many - few)
    return less - each * few, each


def counts_of(free: Sequence[lines.Cell], dear: Sequence[lines.Cell] = ()) -> Counts:
    """From cells that differ in their number of cpus alone; `dear`: in which transfers take time."""
    free, dear = sorted(free, key=cpus_of), sorted(dear, key=cpus_of)
    full = saturated(free)
    if cpus_of(free[0]) != 1 or len(full) < 2:
        raise ValueError("needs a cell of one cpu, and two in which the lock is never free")
    hold = sum(cell.time() / cpus_of(cell) for cell in full) / len(full)
    outside = [cell.per_operation(sum(met.transfers for name, met in cell.ranges.items()
                                      if OUTSIDE.match(name))) for cell in full]
    held, each = transfers_held(hold, saturated(dear)[-2:]) if dear else (0.0, 0.0)
    return Counts(max(free[0].time() - hold, 0.0), hold, held, each, sum(outside) / len(outside))


def cell_of_record(record: lines.Record) -> lines.Cell:
    """Of what `lines.py --keep` has kept of a cell."""
    cell = lines.Cell(int(str(record["cell"])), settings=record, cost=int(str(record["line"])))
    cell.operations = int(str(record["operations"]))
    cell.runs = [(float(str(record["time"])), 0.0)]
    for name, transfers in record["ranges"].items():  # type: ignore[attr-defined]
        cell.ranges[name].misses = transfers
    return cell


def by_lock(cells: Sequence[lines.Cell]) -> dict[tuple[str, ...], list[lines.Cell]]:
    found: dict[tuple[str, ...], list[lines.Cell]] = {}
    for cell in cells:
        key = tuple(str(cell.settings.get(name)) for name in ("workload", "policy", "lock", "cache"))
        found.setdefault(key, []).append(cell)
    return found


def table(free: Sequence[lines.Cell], dear: Sequence[lines.Cell], harts: Sequence[int],
          line: float) -> list[str]:
    rows = [f"  {'':40} {'think':>8} {'hold':>8} {'transfers held':>15} {'and each':>9} {'outside':>8}   "
            f"instructions an operation at {', '.join(map(str, harts))} harts"]
    costly = by_lock(dear)
    for key, cells in by_lock(free).items():
        name = " ".join(key)
        try:
            counts = counts_of(cells, costly.get(key, ()))
        except ValueError as error:
            rows.append(f"  {name:40} {error}")
            continue
        times = ", ".join(f"{time_of_operation(counts, number, line):.0f}" for number in harts)
        rows.append(f"  {name:40} {counts.think:8.1f} {counts.hold:8.1f} {counts.transfers_held:15.2f} "
                    f"{counts.transfers_held_each:9.3f} {counts.transfers_outside:8.2f}   {times}")
    return rows


def read(path: Path) -> list[lines.Cell]:
    return lines.cells_of(lines.parse(path.read_text(encoding="utf-8")))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What an operation would take on many more harts.")
    parser.add_argument("free", type=Path, help="of a sweep with --lines")
    parser.add_argument("dear", type=Path, nargs="?", help="of the same with --line")
    parser.add_argument("--line", type=float, help="instructions of a transfer (default: those of DEAR)")
    parser.add_argument("--harts", default=",".join(map(str, HARTS)), help="numbers of harts")
    options = parser.parse_args(arguments)
    try:
        free, dear = read(options.free), read(options.dear) if options.dear else []
        harts = [int(number) for number in options.harts.split(",")]
    except (OSError, ValueError) as error:
        print(f"lines_model: {error}", file=sys.stderr)
        return 2
    line = options.line if options.line is not None else max((cell.cost for cell in dear), default=0)
    for row in table(free, dear, harts, line):
        print(row)
    return 0


if __name__ == "__main__":
    sys.exit(main())
