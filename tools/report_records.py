#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The records of a sweep: what a cell is, what it says, and which cells belong to one figure.

A record carries all of its settings. What makes no sense for it is absent, never null or 0.

As a command it writes the records of any run as CSV, a file for each kind of record:

    tools/report_records.py build/logs/run.jsonl --out build/csv     # bench.csv, lock.csv, ...

FILE has records, one JSON object a line; other lines, such as those of a console, are left out. A
field that is a list is written as JSON. Exit status: 0, or 2 if a file cannot be read or written.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

Record = dict[str, object]

# What tells cells apart. The numbers of operations, rounds and the seed do not: a slow workload
# may be given fewer, and belongs beside the others all the same.
SETTINGS = ("workload", "policy", "lock", "cache", "batch", "cpus", "lockstat", "checks", "zbb",
            "zones")

# Of several settings that could be drawn: the nearest to what the kernel does by default.
DEFAULTS: Record = {"policy": "segment_tree", "lock": "fas", "batch": 0, "workload": "bulk",
                    "lockstat": "all", "checks": 1, "zbb": 0, "zones": 1}

MEASURED, NOT_MEASURABLE, UNSUPPORTED = "measured", "not measurable", "not supported"

BYTES_A_FRAME = 4096


def parse(text: str) -> list[Record]:
    """One record a line; a line that is none, such as the last of a run cut short, is left out."""
    records = []
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "record" in record:
            records.append(record)
    return records


def number(record: Record, name: str) -> float | None:
    value = record.get(name)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return None


def integer(record: Record, name: str) -> int:
    return int(number(record, name) or 0)


def text_of(record: Record, name: str) -> str:
    value = record.get(name)
    return "" if value is None else str(value)


def numbers(record: Record, name: str) -> list[float]:
    found = record.get(name)
    if not isinstance(found, list):
        return []
    return [float(n) if isinstance(n, (int, float)) else 0.0 for n in found]


def is_cell(record: Record) -> bool:
    return record.get("record") == "bench" and record.get("bench") == "sweep"


def cells_of(records: Iterable[Record]) -> list[Record]:
    return [record for record in records if is_cell(record)]


def timed_cells(records: Iterable[Record]) -> list[Record]:
    """Those of boots in which transfers of cache lines are not modelled: their times are the kernel's."""
    return [cell for cell in cells_of(records) if "line" not in cell]


def is_counted(record: Record) -> bool:
    """From a boot under -icount alone, of one cpu: its instructions are exact, and it has no waits."""
    return record.get("counted") is True


def state_of(cell: Record) -> str:
    """Of the cell's times and waits. What counts no wait is good in any case, if it is supported."""
    if cell.get("supported", True) is not True:
        return UNSUPPORTED
    return MEASURED if cell.get("valid") is True else NOT_MEASURABLE


def is_virtual(cell: Record) -> bool:
    """Measured in virtual time: its times are instructions of one hart."""
    return cell.get("clock") == "virtual" and state_of(cell) == MEASURED


def is_heap(cell: Record) -> bool:
    """Of a workload that uses the heap."""
    return integer(cell, "heap_acquisitions") > 0


def key_of(record: Record, names: Sequence[str]) -> tuple[object, ...]:
    return tuple(record.get(name) for name in names)


def sort_key(value: object) -> tuple[int, float, str]:
    """Numbers by size, before words."""
    if isinstance(value, (int, float)):
        return (0, float(value), "")
    return (1, 0.0, str(value))


def values_of(records: Iterable[Record], name: str) -> list[object]:
    """The values that come up: numbers by size, words in the order in which they do."""
    found = list(dict.fromkeys(record[name] for record in records if name in record))
    if all(isinstance(value, (int, float)) for value in found):
        return sorted(found, key=sort_key)
    return found


def near_defaults(record: Record) -> int:
    return sum(record.get(name) == value for name, value in DEFAULTS.items())


def one_slice(cells: Iterable[Record], axes: Sequence[str]) -> list[Record]:
    """Of the cells that differ in `axes` alone, the largest set; one cell for each point."""
    fixed = [name for name in SETTINGS if name not in axes]
    groups: dict[tuple[object, ...], dict[tuple[object, ...], Record]] = {}
    for cell in cells:
        groups.setdefault(key_of(cell, fixed), {}).setdefault(key_of(cell, axes), cell)
    if not groups:
        return []
    best = max(groups.values(), key=lambda g: (len(g), near_defaults(next(iter(g.values())))))
    return list(best.values())


def at(cells: Iterable[Record], **wanted: object) -> list[Record]:
    return [cell for cell in cells if all(cell.get(k) == v for k, v in wanted.items())]


# What a cell says ----------------------------------------------------------------------------


def throughput(cell: Record, cost: str = "ns_per_op") -> float | None:
    """Operations of all cpus while one of them executes a million instructions."""
    time, cpus = number(cell, cost), number(cell, "cpus")
    return 1e6 * cpus / time if time and cpus else None


def cost_of(cell: Record) -> float | None:
    """Instructions of one hart for an operation of it, with its waits."""
    return number(cell, "ns_per_op") or None


def part_of(cell: Record, what: str) -> float | None:
    """Instructions of an operation that its hart waited for locks ("wait"), or held them ("hold").

    Counted in a separate run: the rounds that are timed are without the statistics of locks.
    """
    spent, operations = number(cell, f"{what}_ns"), number(cell, "counted_operations")
    if spent is None or not operations:
        return None
    return (spent + (number(cell, f"heap_{what}_ns") or 0)) / operations


def parts_of(cell: Record) -> tuple[float, float, float] | None:
    """Work, hold and wait of an operation; holds are known where every acquisition is timed."""
    hold, wait = part_of(cell, "hold"), part_of(cell, "wait")
    if cell.get("lockstat") != "all" or hold is None or wait is None:
        return None
    return max(0.0, (cost_of(cell) or 0) - hold - wait), hold, wait


def contended_share(cell: Record) -> float | None:
    """Of the acquisitions of the locks, in percent; None where there were none."""
    names = ("acquisitions", "contended")
    acquisitions, contended = ((number(cell, name) or 0) + (number(cell, f"heap_{name}") or 0)
                               for name in names)
    return 100 * contended / acquisitions if acquisitions and "contended" in cell else None


def depends_on_turns(cell: Record) -> bool:
    """Turns of half the length move the figure by more than the kernel's bound, a tenth."""
    return cell.get("converged") is False


# Samples of memory ---------------------------------------------------------------------------


@dataclass
class Samples:
    """All samples of one cell, in order of time."""

    settings: Record
    levels: list[Record]
    maps: list[list[Record]]  # of each sample, its zones

    def map_row(self, index: int) -> list[tuple[float, float]]:
        """Of each chunk of all zones: its free frames, and its frames."""
        row = []
        for place, zone in enumerate(self.maps[index]):
            free = numbers(zone, "free")
            size = number(zone, "chunk_frames") or 1.0
            sizes = [size] * (len(free) - 1) + [self.last_chunk(place, size)]
            row += zip(free, sizes)
        return row

    def last_chunk(self, place: int, size: float) -> float:
        """A zone's end cuts its last chunk: as large as it was ever free."""
        free = [numbers(zones[place], "free")[-1:] for zones in self.maps if place < len(zones)]
        return min(size, max((last[0] for last in free if last), default=size) or size)


def samples_of(records: Iterable[Record]) -> list[Samples]:
    """Of each cell and boot that has any."""
    found: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        if record.get("record") in ("level", "map"):
            found.setdefault(key_of(record, ("boot", *SETTINGS)), []).append(record)
    return [samples_from(group) for group in found.values()]


def samples_from(group: list[Record]) -> Samples:
    levels = {integer(r, "sample"): r for r in group if r["record"] == "level"}
    maps: dict[int, list[Record]] = {}
    for record in group:
        if record["record"] == "map":
            maps.setdefault(integer(record, "sample"), []).append(record)
    ordered = [sorted(maps[n], key=lambda r: integer(r, "zone")) for n in sorted(maps)]
    return Samples(group[0], [levels[n] for n in sorted(levels)], ordered)


def whole_share(row: Sequence[tuple[float, float]]) -> float | None:
    """Of the free frames, in percent, those in chunks that are free as a whole."""
    free = sum(chunk for chunk, _ in row)
    return 100 * sum(chunk for chunk, size in row if chunk >= size) / free if free else None


# The files -----------------------------------------------------------------------------------


def csv_cell(value: object) -> object:
    return value if isinstance(value, str) else json.dumps(value)


def by_kind(records: Iterable[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(text_of(record, "record"), []).append(record)
    return found


def csv_name(kind: str) -> str:
    """Of the file for a kind of record, whatever the kind is called."""
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in kind) + ".csv"


def write_csv(records: Sequence[Record], folder: Path) -> list[Path]:
    """A file for each kind of record. Every field that one of them has is a column, in the order in
    which they first come up."""
    written = []
    for kind, rows in by_kind(records).items():
        columns = list(dict.fromkeys(name for record in rows for name in record))
        written.append(folder / csv_name(kind))
        with written[-1].open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns, restval="")
            writer.writeheader()
            for record in rows:
                writer.writerow({name: csv_cell(value) for name, value in record.items()})
    return written


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description="Write the records of a run as CSV, a file for each kind of record.")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="records, one a line")
    parser.add_argument("--out", type=Path, default=Path("."), metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        records = [record for file in options.files
                   for record in parse(file.read_text(encoding="utf-8", errors="replace"))]
        for path in write_csv(records, options.out):
            print(path)
    except OSError as error:
        print(f"report_records: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
