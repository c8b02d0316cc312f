#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compares kmalloc with other heaps of this host: the same requests, in one interleaved run.

Each process is one heap and one trace (tests/host/bench/bench_heap.c). In a round each trace runs on
each heap in turn, and rounds follow each other, so what the host does besides meets all heaps
alike. A time is the median of the rounds. A ratio is to the C library's time of the same round,
and also a median. Where the middle half of a figure's rounds differ by more than a quarter, the
figure is NOT MEASURABLE and in brackets. So are times of parallel traces if the host has not given each
thread a core: the heap `none`, whose threads never sleep, shows it. Nothing depends on how fast the host is.

Instructions an operation are those of a long run less those of a short one, divided by the
operations that the long one has more. They are counted by the processor (perf_event_open), else by
valgrind; if the host has neither they are NOT MEASURABLE. While they are counted only one
thread works at a time, in an order that is always the same, so none of them is spent waiting.

jemalloc and mimalloc are the C library's malloc replaced by LD_PRELOAD. A heap that is not installed is
named as absent. Debian's packages: libjemalloc2, libmimalloc2.0, valgrind.

Prints a table; with --records one JSON object a line instead, on standard output. With --save FILE it
writes FILE as well, for docs/records/heaps.jsonl: the table in docs/measuring.md is made from it.
Exit status: 0; 1 if a run failed; 2 cannot run.
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

Record = dict[str, object]

BASE = "glibc"
TRACES = ("pair", "sizes", "larson", "xmalloc", "realloc")
PARALLEL = ("larson", "xmalloc")
MEMORY = "memory"
TITLES = {
    "pair": "64-byte pair",
    "sizes": "random sizes, 1,000 live",
    "larson": "larson",
    "xmalloc": "xmalloc",
    "realloc": "realloc growth",
}
LIBRARIES = {"jemalloc": "libjemalloc2", "mimalloc": "libmimalloc2.0"}

OPERATIONS = 200_000  # of each thread
COUNTED = (20_000, 60_000)  # the short run and the long one
MEMORY_BYTES = 64 << 20
ROUNDS = 9
THREADS_MAX = 4

# Threads that never sleep had a core for at least this part of a parallel trace.
CORE_SHARE_MIN = 0.9

# The middle half of a figure's rounds differ by at most this.
SPREAD_MAX = 1.25
TIMEOUT_SECONDS = 600  # a bound that only a hang reaches

NOT_MEASURABLE = "NOT MEASURABLE"


class RunFailed(Exception):
    """Says why."""


@dataclass(frozen=True)
class Heap:
    name: str
    program: Path
    argument: str  # the program's name of it
    preload: str = ""


@dataclass(frozen=True)
class Figure:
    """The median of the rounds, and where their middle half lies."""

    value: float
    low: float
    high: float

    @property
    def valid(self) -> bool:
        return self.high <= self.low * SPREAD_MAX


def figure_of(values: Sequence[float]) -> Figure:
    if len(values) < 2:
        return Figure(values[0], values[0], values[0])
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(middle, low, high)


# The heaps -----------------------------------------------------------------------------------


def library_of(name: str, given: dict[str, str]) -> str:
    """What LD_PRELOAD takes; empty: it is not installed."""
    return given.get(name, ctypes.util.find_library(name) or "")


def heaps_of(options: argparse.Namespace) -> tuple[list[Heap], list[Record]]:
    """Those that are here, and the records of those that are not."""
    given = dict(text.split("=", 1) for text in options.library)
    heaps = [Heap("kmalloc", options.program, "kmalloc"),
             Heap("kmalloc checks", options.program_checks1, "kmalloc"),
             Heap(BASE, options.program, "libc")]
    absent: list[Record] = []
    for name, package in LIBRARIES.items():
        library = library_of(name, given)
        if library:
            heaps.append(Heap(name, options.program, "libc", library))
        else:
            absent.append({"record": "bench", "bench": "host_heap_absent", "heap": name,
                           "unit": "heap", "why": f"not installed (Debian's package {package})"})
    return [*heaps, Heap("none", options.program, "none")], absent


def run(heap: Heap, trace: str, operations: int, threads: int, *,
        before: Sequence[str] = (), turns: bool = False) -> tuple[Record, str]:
    """The record of one process, and what it wrote to standard error."""
    command = [*before, str(heap.program), heap.argument, trace, str(operations), str(threads)]
    command += ["turns"] if turns else []
    environment = {**os.environ, **({"LD_PRELOAD": heap.preload} if heap.preload else {})}
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors="replace", check=False, timeout=TIMEOUT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunFailed(f"{heap.name}, {trace}: {error}") from error
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise RunFailed(f"{heap.name}, {trace}: {done.stderr.strip() or done.returncode}")
    record = json.loads(lines[-1])
    if heap.preload and Path(heap.preload).name.split(".so")[0] not in record["provider"]:
        raise RunFailed(f"{heap.name}: {heap.preload} was preloaded, but malloc is of {record['provider']}")
    return record, done.stderr


def number(record: Record, name: str) -> float:
    value = record[name]
    assert isinstance(value, (int, float)), (name, record)
    return float(value)


# Times ---------------------------------------------------------------------------------------


@dataclass
class Measured:
    """All rounds: the nanoseconds of an operation by heap and trace."""

    ns: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    providers: dict[str, str] = field(default_factory=dict)
    core_shares: dict[str, list[float]] = field(default_factory=dict)  # by trace, of the heap `none`


def measure_times(heaps: Sequence[Heap], options: argparse.Namespace,
                  say: Callable[[str], None]) -> Measured:
    measured = Measured()
    for number_of_round in range(1, options.rounds + 1):
        say(f"round {number_of_round} of {options.rounds}")
        for trace in TRACES:
            for heap in heaps:
                record, _ = run(heap, trace, options.operations, options.threads)
                measured.ns.setdefault((heap.name, trace), []).append(number(record, "ns"))
                measured.providers[heap.name] = str(record["provider"])
                if heap.name == "none":
                    measured.core_shares.setdefault(trace, []).append(number(record, "core_share"))
    return measured


def had_cores(core_shares: Sequence[float]) -> bool:
    return statistics.median(core_shares) >= CORE_SHARE_MIN


def time_records(heaps: Sequence[Heap], measured: Measured, options: argparse.Namespace) -> Iterator[Record]:
    for trace in TRACES:
        base, cores = measured.ns[BASE, trace], had_cores(measured.core_shares[trace])
        for heap in heaps:
            values = measured.ns[heap.name, trace]
            time, ratio = figure_of(values), figure_of([ns / of_base for ns, of_base in zip(values, base)])
            yield {**head(heap, trace, options, measured), "value": round(time.value, 2),
                   "low": round(time.low, 2), "high": round(time.high, 2), "unit": "ns",
                   "valid": time.valid and cores, "ratio": round(ratio.value, 3),
                   "ratio_low": round(ratio.low, 3), "ratio_high": round(ratio.high, 3),
                   "ratio_valid": ratio.valid and cores, "rounds": len(values)}


def head(heap: Heap, trace: str, options: argparse.Namespace, measured: Measured) -> Record:
    return {"record": "bench", "bench": f"host_heap_{trace}", "heap": heap.name,
            "provider": measured.providers.get(heap.name, ""),
            "threads": options.threads if trace in PARALLEL else 1}


# Instructions ----------------------------------------------------------------------------------


CACHEGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")


def count_of(heap: Heap, trace: str, operations: int, threads: int, how: str) -> tuple[float, float]:
    """Operations of all threads, and all instructions."""
    before = CACHEGRIND if how == "valgrind" else ()
    record, said = run(heap, trace, operations, threads, before=before, turns=True)
    if how != "valgrind":
        return number(record, "operations"), number(record, "instructions")
    found = re.search(r"I +refs: +([\d,]+)", said)
    if not found:
        raise RunFailed(f"{heap.name}, {trace}: valgrind has not counted: {said.strip()[-200:]}")
    return number(record, "operations"), float(found[1].replace(",", ""))


def counter(heap: Heap, options: argparse.Namespace) -> str:
    """What counts instructions on this host; empty: nothing does."""
    if options.counter != "auto":
        return "" if options.counter == "none" else str(options.counter)
    record, _ = run(heap, TRACES[0], 1000, options.threads)
    if number(record, "instructions") > 0:
        return "perf"
    return "valgrind" if shutil.which("valgrind") else ""


def threads_of_operation(trace: str, threads: int) -> int:
    """Of a pair of xmalloc one thread does each half."""
    return {"larson": threads, "xmalloc": threads // 2}.get(trace, 1)


def count_records(heaps: Sequence[Heap], measured: Measured, options: argparse.Namespace,
                  say: Callable[[str], None]) -> Iterator[Record]:
    how = counter(heaps[0], options)
    for trace in TRACES:
        say(f"instructions, {trace}")
        for heap in heaps:
            about = {**head(heap, trace, options, measured), "unit": "instructions", "counter": how}
            if not how:
                yield {**about, "valid": False, "why": "no counter of instructions, and no valgrind"}
                continue
            (few, short), (many, long) = (count_of(heap, trace, operations, options.threads, how)
                                          for operations in options.counted)
            if many <= few:
                raise RunFailed(f"{trace}: {few:.0f} operations, then {many:.0f}: too few to be told apart")
            each = (long - short) / (many - few) / threads_of_operation(trace, options.threads)
            yield {**about, "value": round(each, 1), "valid": True}


# Memory ----------------------------------------------------------------------------------------


def memory_records(heaps: Sequence[Heap], measured: Measured, options: argparse.Namespace) -> Iterator[Record]:
    for heap in heaps:
        if heap.name == "none":
            continue
        record, _ = run(heap, MEMORY, options.memory, options.threads)
        first = number(record, "bytes_taken") / number(record, "bytes_asked")
        then = number(record, "refilled_taken") / number(record, "refilled_asked")
        yield {**head(heap, MEMORY, options, measured), "value": round(first, 3), "unit": "bytes",
               "refilled": round(then, 3), "bytes_asked": record["bytes_asked"],
               "bytes_taken": record["bytes_taken"], "refills": record["refills"]}


# The table -------------------------------------------------------------------------------------


def found(records: Iterable[Record], **wanted: object) -> Record | None:
    for record in records:
        if all(record.get(name) == value for name, value in wanted.items()):
            return record
    return None


def in_brackets(text: str, valid: object) -> str:
    return text if valid is True else f"({text})"


def instructions_text(record: Record | None) -> str:
    if record is None:
        return "absent"
    return f"{number(record, 'value'):,.0f}" if "value" in record else NOT_MEASURABLE


def ns_text(record: Record | None) -> str:
    if record is None:
        return "absent"
    value, half = number(record, "value"), (number(record, "high") - number(record, "low")) / 2
    return in_brackets(f"{value:,.1f} ±{100 * half / value:.0f}%", record["valid"])


def ratio_text(record: Record | None) -> str:
    if record is None:
        return "absent"
    return in_brackets(f"{number(record, 'ratio'):.2f}", record["ratio_valid"])


def memory_text(record: Record | None) -> str:
    if record is None:
        return "absent"
    return f"{number(record, 'value'):.3f} / {number(record, 'refilled'):.3f}"


def heap_names(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(str(r["heap"]) for r in records if str(r.get("bench")).startswith("host_heap_")))


def table(records: Sequence[Record]) -> list[list[str]]:
    """A column for each heap."""
    names = heap_names(records)
    rows = [["", *names]]
    for unit, what, text in (("instructions", "instructions", instructions_text), ("ns", "ns", ns_text),
                             ("ns", f"time, {BASE} = 1", ratio_text)):
        for trace in TRACES:
            rows.append([f"{TITLES[trace]}: {what}", *(
                text(found(records, bench=f"host_heap_{trace}", heap=name, unit=unit)) for name in names)])
    rows.append(["memory: bytes taken a byte asked, at first / later", *(
        "" if name == "none" else memory_text(found(records, bench="host_heap_memory", heap=name)) for name in names)])
    return rows


def format_rows(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join([row[0].ljust(widths[0]),
                                *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip()
                     for row in rows)


def notes(records: Sequence[Record], threads: int) -> list[str]:
    said = [f"{record['heap']}: absent: {record['why']}" for record in records
            if record["bench"] == "host_heap_absent"]
    said.append("kmalloc: CHECKS=0; kmalloc checks: CHECKS=1; none: what the trace itself costs.")
    said.append("±: half of what the middle half of the rounds differ by.")
    said.append(f"{', '.join(PARALLEL)}: {threads} threads on {len(os.sched_getaffinity(0))} processors.")
    said.append(f"(...): {NOT_MEASURABLE} here; the middle half of the rounds differ by more than a quarter, "
                "or not each thread had a core.")
    return said


# For the documents --------------------------------------------------------------------------------


KEPT = ("bench", "heap", "threads", "value", "unit", "valid", "ratio", "ratio_valid", "refilled", "counter", "why")


def host_text() -> str:
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
                   if "=" in line)
    system = release.get("PRETTY_NAME", "an unknown system").strip('"')
    return f"{system}, {len(os.sched_getaffinity(0))} processors, glibc {platform.libc_ver()[1]}"


def save(records: Iterable[Record], path: Path) -> None:
    """As experiments: they are of one host. Raw times are left out."""
    asked = subprocess.run(["git", "log", "-1", "--format=%h", "--", "mm", "sync", "tests/host/bench"], cwd=ROOT,
                           capture_output=True, text=True, check=False)
    about: Record = {"record": "experiment", "experiment": "heaps", "command": "make bench-heap",
                     "commit": asked.stdout.strip() or "unknown", "changed": f"nothing; on {host_text()}"}
    lines = []
    for record in records:
        kept = {name: record[name] for name in KEPT if name in record}
        if record.get("unit") == "ns":
            del kept["value"], kept["valid"]
        lines.append(json.dumps({**about, **kept}, separators=(",", ":")) + "\n")
    path.write_text("".join(lines), encoding="utf-8")


# -----------------------------------------------------------------------------------------------


def threads_here() -> int:
    """An even number, as many as there are processors, if they are few."""
    return max(2, min(THREADS_MAX, len(os.sched_getaffinity(0))) // 2 * 2)


def measure(options: argparse.Namespace, say: Callable[[str], None]) -> list[Record]:
    heaps, absent = heaps_of(options)
    measured = measure_times(heaps, options, say)
    records = list(count_records(heaps, measured, options, say))
    records += time_records(heaps, measured, options)
    say("memory")
    records += memory_records(heaps, measured, options)
    return records + absent


def pair_of_numbers(text: str) -> tuple[int, int]:
    few, many = map(int, text.split(","))
    if not 0 < few < many:
        raise ValueError(text)
    return few, many


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare kmalloc with other heaps of this host.")
    add = parser.add_argument
    add("--program", type=Path, required=True, metavar="FILE", help="bench_heap without checks of callers")
    add("--program-checks1", type=Path, required=True, metavar="FILE", help="the same with them")
    add("--rounds", type=int, default=ROUNDS, metavar="N")
    add("--threads", type=int, default=threads_here(), metavar="N", help="of parallel traces; even")
    add("--operations", type=int, default=OPERATIONS, metavar="N", help="of each thread, for times")
    add("--counted", type=pair_of_numbers, default=COUNTED, metavar="N,N", help="for instructions")
    add("--memory", type=int, default=MEMORY_BYTES, metavar="BYTES")
    add("--counter", choices=("auto", "perf", "valgrind", "none"), default="auto")
    add("--library", action="append", default=[], metavar="NAME=FILE",
        help=f"where a heap's library is ({', '.join(LIBRARIES)}); empty: treat it as absent")
    add("--records", action="store_true", help="print JSON records instead of the table")
    add("--save", type=Path, metavar="FILE", help="write records for the documents as well")
    return parser.parse_args(arguments)


def complain(message: str) -> None:
    print(f"bench_heap: {message}", file=sys.stderr, flush=True)


def stop(signal_number: int, _frame: object) -> None:
    sys.exit(128 + signal_number)


def main(arguments: list[str] | None = None) -> int:
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, stop)
    options = parse_arguments(arguments)
    for program in (options.program, options.program_checks1):
        if not program.is_file():
            complain(f"{program}: no such file")
            return 2
    if platform.libc_ver()[0] != "glibc":
        complain("this host's C library is not the GNU C library: its column says glibc all the same")
    try:
        records = measure(options, (lambda _: None) if options.records else complain)
    except RunFailed as error:
        complain(str(error))
        return 1
    if options.save:
        save(records, options.save)
    if options.records:
        print("".join(json.dumps(record) + "\n" for record in records), end="")
    else:
        print("\n".join([format_rows(table(records)), "", *notes(records, options.threads)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
