#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What lines of memory cost each cell of a sweep in virtual time: tables out of the run's records.

    lines.py build/logs/run.jsonl [--cell N] [--hottest N]

The records are made by QEMU's plugin (tools/qemu/cells.c) and named by the launcher, with --lines.
docs/lines.md says what the words mean.
"""

from __future__ import annotations

import argparse
import bisect
import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TOOLS = Path(__file__).resolve().parent

Record = dict[str, object]
Layouts = dict[str, dict[str, object]]

# The plugin's records.
KINDS = ("lines", "lines_site", "line")
# Ranges by the names that the kernel gives them (tests/smp/cell_lines.c), and what lies there.
TYPES = ((re.compile(r"zone\d+$"), "zone", 0), (re.compile(r"zone\d+\.lock\.cpus$"), "spin_cpu", 0),
         (re.compile(r"cpu\d+\.cache$"), "frame_cache", 0), (re.compile(r"cpu\d+\.block$"), "cpu", 256),
         (re.compile(r"cpu\d+\.cache\.work$"), "frame_cache_work", 0),
         (re.compile(r"results$"), "workload_cpu", 0))
# Variables of the kernel's image that have a structure worth naming, and its name.
VARIABLES = {"kheap": "kheap"}
# Functions that are inlined everywhere, and whose callers say more.
SMALL = re.compile(r"ck_pr_|counter_|words_|frame_cache_level_")
FIRMWARE_END = 0x80200000  # the kernel is linked here (linker.ld)
SETTINGS = ("workload", "policy", "lock", "cache", "batch", "cpus")
LINE_BYTES = 64
HOTTEST_SHOWN, FUNCTIONS_SHOWN = 8, 4


# Names ---------------------------------------------------------------------------------------


def output_of(tools: Sequence[str], *arguments: str, typed: str = "") -> str:
    """What the first tool that is installed prints; nothing where none is."""
    tool = next(filter(None, map(shutil.which, tools)), None)
    if tool is None:
        return ""
    return subprocess.run([tool, *arguments], input=typed, capture_output=True, text=True,
                          check=False).stdout


def prefixed(name: str) -> tuple[str, ...]:
    return f"riscv64-unknown-elf-{name}", f"riscv64-linux-gnu-{name}", f"llvm-{name}", name


def place_of(frames: Sequence[str]) -> str:
    """The innermost function that is none of the small ones that only load and store."""
    pairs = [(function, place.split(" ")[0]) for function, place in zip(frames[::2], frames[1::2])]
    known = [pair for pair in pairs if not SMALL.match(pair[0])] or pairs[-1:]
    return f"{known[0][0]} ({known[0][1]})" if known else "unknown"


class Names:
    """Names of data, members of structures, and instructions of the kernel."""

    def __init__(self, kernel: Path) -> None:
        self.kernel = kernel
        rows = (line.split() for line in output_of(prefixed("nm"), "-S", str(kernel)).splitlines())
        self.data = sorted((int(row[0], 16), int(row[1], 16), row[3]) for row in rows if len(row) == 4)
        self.layouts = self.read_layouts()
        self.functions: dict[int, str] = {}

    def read_layouts(self) -> Layouts:
        """By Debian's Python, which has pyelftools; without it there are offsets for members."""
        wanted = sorted({*(name for _, name, _ in TYPES), *VARIABLES.values()})
        command = ["/usr/bin/python3", str(TOOLS / "lines_types.py"), str(self.kernel), *wanted]
        try:
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            return dict(json.loads(run.stdout))
        except (OSError, ValueError):
            return {}

    def symbol(self, address: int) -> str:
        index = bisect.bisect_right(self.data, (address, sys.maxsize)) - 1
        if index >= 0 and address < self.data[index][0] + max(self.data[index][1], 1):
            start, _, name = self.data[index]
            layout = self.layouts.get(VARIABLES.get(name, ""))
            if layout:
                return name + self.member(layout, address - start)
            return f"{name}+{address - start:#x}" if address > start else name
        return f"{address:#x}"

    def member(self, layout: dict[str, object], offset: int) -> str:
        """The member in which the offset lies, or the next one on the same line."""
        table = [(int(row[0]), str(row[1])) for row in layout["members"]]  # type: ignore[attr-defined]
        index = bisect.bisect_right(table, (offset, "\uffff")) - 1
        start, name = table[max(index, 0)]
        return f".{name}" if start == offset else f".{name}+{offset - start:#x}"

    def of_data(self, name: str, offset: int, address: int) -> str:
        """Of a byte of the range `name`."""
        if name == "image":
            return self.symbol(address)
        for pattern, structure, skipped in TYPES:
            layout = self.layouts.get(structure)
            if not pattern.match(name) or not layout:
                continue
            size = int(str(layout["bytes"]))
            place, inside = divmod(offset + skipped, size)
            array = f"[{place}]" if structure in ("spin_cpu", "workload_cpu") else ""
            return f"{name}{array}{self.member(layout, inside)}"
        if name.endswith(".frames"):
            return f"frame {address >> 12:#x}+{address & 0xfff:#x}"
        return f"{name}+{offset:#x}" if name != "elsewhere" else f"{address:#x}"

    def find_functions(self, pcs: Iterable[int]) -> None:
        """Asks once for many instructions: their function, and the place in its source."""
        wanted = [pc for pc in sorted(set(pcs)) if pc not in self.functions]
        self.functions |= {pc: "firmware" for pc in wanted if pc < FIRMWARE_END}
        wanted = [pc for pc in wanted if pc >= FIRMWARE_END]
        text = output_of(prefixed("addr2line"), "-a", "-f", "-i", "-s", "-e", str(self.kernel),
                         typed="".join(f"{pc:#x}\n" for pc in wanted))
        for pc, part in zip(wanted, re.split(r"^0x[0-9a-f]+\n", text, flags=re.MULTILINE)[1:]):
            self.functions[pc] = place_of(part.splitlines())

    def function(self, pc: int) -> str:
        return self.functions.get(pc, f"{pc:#x}")


def name_records(records: Iterable[Record], kernel: Path) -> list[Record]:
    """The plugin's records with names for their addresses: "name" and "function"."""
    records, names = list(records), Names(kernel)
    places = [place for record in records for place in record.get("places", [])]  # type: ignore[attr-defined]
    sites = [record for record in records if record["record"] == "lines_site"]
    names.find_functions(int(str(site["pc"])) for site in [*places, *sites])
    for site in [*places, *sites]:
        site["function"] = names.function(int(str(site["pc"])))
    for record in records:
        if record["record"] != "line":
            continue
        start, address = int(str(record["offset"])), int(str(record["address"]))
        name = str(record["range"])
        record["name"] = names.of_data(name, start, address)
        for place in record["places"]:  # type: ignore[attr-defined]
            place["name"] = names.of_data(name, start + place["offset"], address + place["offset"])
    return records


# Cells ---------------------------------------------------------------------------------------


@dataclass
class Counts:
    misses: int = 0
    false: int = 0
    upgrades: int = 0

    def add(self, record: Record) -> None:
        self.misses += int(str(record["misses"]))
        self.false += int(str(record["false"]))
        self.upgrades += int(str(record["upgrades"]))

    @property
    def transfers(self) -> int:
        return self.misses + self.upgrades


def most_first(counts: dict[str, Counts]) -> list[str]:
    return sorted(counts, key=lambda name: (-counts[name].transfers, name))


@dataclass
class Met(Counts):
    """Counts of one range or line, of the functions that met them, and of the members they accessed."""

    functions: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    members: dict[str, Counts] = field(default_factory=lambda: defaultdict(Counts))
    cpus: int = 0

    def meet(self, function: str, record: Record) -> None:
        self.functions[function].add(record)

    def hottest(self, most: int = FUNCTIONS_SHOWN) -> list[str]:
        return most_first(self.functions)[:most]


@dataclass
class Cell:
    """All runs of one cell together."""

    number: int
    settings: Record = field(default_factory=dict)  # of its record "bench"
    operations: int = 0
    accesses: int = 0
    cold: int = 0
    cost: int = 0  # instructions that a transfer took
    counts: Counts = field(default_factory=Counts)
    runs: list[tuple[float, float]] = field(default_factory=list)  # time, transfers of an operation
    ranges: dict[str, Met] = field(default_factory=lambda: defaultdict(Met))
    lines: dict[str, Met] = field(default_factory=lambda: defaultdict(Met))

    def title(self) -> str:
        words = " ".join(f"{key}={self.settings[key]}" for key in SETTINGS if key in self.settings)
        return words or f"cell {self.number}"

    def per_operation(self, count: float) -> float:
        return count / self.operations if self.operations else 0.0

    def time(self) -> float:
        """Of one operation of one cpu, in instructions: the median of the runs."""
        times = sorted(time for time, _ in self.runs)
        return times[len(times) // 2] if times else 0.0

    def spread(self) -> float:
        """Of the transfers of an operation, over the runs, in percent of their mean."""
        found = [transfers for _, transfers in self.runs]
        mean = sum(found) / len(found) if found else 0.0
        return (max(found) - min(found)) * 100 / mean if mean else 0.0


def take_run(cell: Cell, record: Record) -> None:
    operations, cpus = int(str(record["operations"])), int(str(record["cpus"]))
    cell.operations += operations
    cell.accesses += int(str(record["accesses"]))
    cell.cold += int(str(record["cold"]))
    cell.cost = int(str(record["line"]))
    cell.settings.setdefault("cpus", cpus)
    cell.counts.add(record)
    transfers = int(str(record["misses"])) + int(str(record["upgrades"]))
    each = max(operations, 1)
    cell.runs.append((int(str(record["time"])) * cpus / each, transfers / each))


def without_number(name: str) -> str:
    """cpu3.stack and cpu5.stack are one row of the table."""
    return re.sub(r"^cpu\d+", "cpu*", name)


def cells_of(records: Iterable[Record]) -> list[Cell]:
    found: dict[int, Cell] = {}
    benches: dict[int, Record] = {}
    for record in records:
        number = record.get("cell")
        if not isinstance(number, int):
            continue
        kind = record["record"]
        if kind == "bench":
            benches[number] = {key: record[key] for key in SETTINGS if key in record}
        elif kind in KINDS:
            cell = found.setdefault(number, Cell(number))
            if kind == "lines":
                take_run(cell, record)
            elif kind == "lines_site":
                met = cell.ranges[without_number(str(record["range"]))]
                met.add(record)
                met.meet(str(record.get("function", record["pc"])), record)
            else:
                met = cell.lines[str(record.get("name", record["address"]))]
                met.add(record)
                met.cpus = max(met.cpus, int(str(record["cpus"])))
                for place in record["places"]:  # type: ignore[attr-defined]
                    met.meet(str(place.get("function", place["pc"])), place)
                    met.members[str(place.get("name", record["address"]))].add(place)
    for number, cell in found.items():
        cell.settings = benches.get(number, cell.settings)
    return [found[number] for number in sorted(found)]


# Tables --------------------------------------------------------------------------------------


def head_table(cells: Sequence[Cell]) -> Iterator[str]:
    yield ("  cell  workload         lock           cache cpus  transfers/op  misses/op   false/op "
           "upgrades/op   instr/op    spread")
    for cell in cells:
        has = cell.settings
        figures = [cell.per_operation(count) for count in (
            cell.counts.transfers, cell.counts.misses, cell.counts.false, cell.counts.upgrades)]
        name, lock = str(has.get("workload", "")), str(has.get("lock", ""))
        yield (f"  {cell.number:4}  {name:16} {lock:14} {has.get('cache', '')!s:>5} "
               f"{has.get('cpus', '')!s:>4} {figures[0]:13.4f} {figures[1]:10.4f} {figures[2]:10.4f} "
               f"{figures[3]:11.4f} {cell.time():10.2f} {cell.spread():7.2f} %")


def order(met: dict[str, Met]) -> list[tuple[str, Met]]:
    return sorted(met.items(), key=lambda item: (-item[1].transfers, item[0]))


def short(function: str) -> str:
    """`spin_lock (spinlock.c:88)` without its parentheses is as clear, and shorter."""
    return re.sub(r"^(\S+) \((.*)\)$", r"\1 \2", function)


def met_rows(cell: Cell, met: dict[str, Met], most: int) -> Iterator[str]:
    for name, one in order(met)[:most]:
        each = [cell.per_operation(1000 * count) for count in (one.misses, one.false, one.upgrades)]
        functions = ", ".join(map(short, one.hottest()))
        cpus = f"{one.cpus:4}" if one.cpus else "    "
        yield f"  {name:40} {each[0]:9.1f} {each[1]:9.1f} {each[2]:9.1f} {cpus}  {functions}"


def cell_table(cell: Cell, hottest: int) -> Iterator[str]:
    cost = f"; a transfer takes {cell.cost} instructions" if cell.cost else ""
    yield f"{cell.title()}: {cell.per_operation(cell.counts.transfers):.4f} transfers an operation{cost}"
    yield f"  {'by what is there':40} {'misses/1k':>9} {'false/1k':>9} {'upgr./1k':>9}"
    yield from met_rows(cell, cell.ranges, hottest)
    yield f"  {'hottest lines':40} {'misses/1k':>9} {'false/1k':>9} {'upgr./1k':>9} cpus"
    yield from met_rows(cell, cell.lines, hottest)


def tables(records: Iterable[Record], only: int | None, hottest: int) -> Iterator[str]:
    cells = cells_of(records)
    if not cells:
        yield "no cost of lines in these records: they come from a sweep in virtual time with --lines"
        return
    yield "cost of lines: transfers between cpus (misses and upgrades) in a model of coherent caches"
    yield from head_table(cells)
    for cell in cells:
        if cell.counts.transfers and only in (None, cell.number):
            yield ""
            yield from cell_table(cell, hottest)


def parse(text: str) -> list[Record]:
    records = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [record for record in records if "record" in record]


def kept(records: Iterable[Record], boot: str, hottest: int = HOTTEST_SHOWN) -> Iterator[Record]:
    """What a document shows of each cell (doc_figures.py): its sums, and its hottest lines."""
    for cell in cells_of(records):
        about = {"boot": boot, "cell": cell.number}
        yield {"record": "lines_cell", **about, **cell.settings, "line": cell.cost,
               "misses": cell.counts.misses, "false": cell.counts.false,
               "upgrades": cell.counts.upgrades, "operations": cell.operations, "cold": cell.cold,
               "ranges": {name: met.transfers for name, met in cell.ranges.items()},
               "time": round(cell.time(), 2)}
        for place, (name, met) in enumerate(order(cell.lines)[:hottest]):
            yield {"record": "lines_hot", **about, "place": place, "name": name, "misses": met.misses,
                   "false": met.false, "upgrades": met.upgrades, "cpus": met.cpus,
                   "functions": [short(one) for one in met.hottest(2)]}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="What lines of memory cost each cell of a sweep.")
    parser.add_argument("records", type=Path, help="the records of a run, one a line")
    parser.add_argument("--cell", type=int, help="only this cell's lines")
    parser.add_argument("--hottest", type=int, default=HOTTEST_SHOWN, metavar="N",
                        help=f"rows of a table (default: {HOTTEST_SHOWN})")
    options = parser.parse_args(arguments)
    try:
        records = parse(options.records.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"lines: {options.records}: {error}", file=sys.stderr)
        return 2
    for line in tables(records, options.cell, options.hottest):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
