#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs every benchmark and holds each figure against its bound.

Instructions are counted under -icount, where they are exact: each kernel is booted twice, and the
two runs must agree to the last digit. No bound is in seconds of the host: a time has a bound only
as a ratio to another one of the same boot, else it is printed without. A time measured on a host
that did not give every cpu a core, or whose repetitions disagree, is said to be NOT MEASURABLE,
with the figure in brackets. How harts scale is measured in virtual time, which is exact on any host.

Leaves bench.txt (the table), bench.csv (every record, every field) and the logs in --out.

Exit status: 0 when every row whose figure is exact (instructions, virtual time, lock holds, bytes) holds, the
two runs agree and no figure is missing; 1 otherwise; 2 cannot run. A time never fails it, nor
does the memory that QEMU takes of the host.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import bench_heap

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = ROOT / "tools" / "launch.py"

Record = dict[str, object]

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
ZONES = {128 * MIB: "128 MiB", 16 * GIB: "16 GiB", TIB: "1 TiB"}

# One instruction is 1 ns of virtual time, and the counter of instructions is exact.
ICOUNT = "shift=0,sleep=off"

# Bounds that only a hang reaches, on a slow machine too.
STEP_TIMEOUT_SECONDS = 1800
LAUNCHER_GRACE_SECONDS = 60

BIG_GUEST = (
    "--mem=2048G",
    "--qemu-arg=-machine",
    "--qemu-arg=memory-backend=m0",
    "--qemu-arg=-object",
    "--qemu-arg=memory-backend-ram,id=m0,size=2048G,reserve=off",
)
SMALL_GUEST = ("--mem=128M",)
GUEST_BOOTARGS = "run=stress workload=repeat ops=10000 cpus=1"

# Enough for the metadata of a zone of 1 TiB, of which nothing else is there.
TREE_MEM = "--mem=1G"
TREE = "tree_"
TREE_SIZES = {"128m": "128 MiB", "16g": "16 GiB", "1t": "1 TiB"}

# The heap's workloads in virtual time, and the harts that each is compared with: an operation of xmalloc
# is half of a pair only where there are two harts.
HEAP_SCALING = "heap_scaling_"
HEAP_BUDDY = "heap_buddy_"  # the same with heap=buddy
HEAP_WORKLOADS = {"larson": 1, "xmalloc": 2, "sizes": 1}
HEAP_HARTS = (1, 2, 4, 16)
HEAP_BOOTARGS = (f"time=virtual turn=25 run=bench workload={','.join(HEAP_WORKLOADS)} rounds=1 "
                 f"cpus={','.join(map(str, HEAP_HARTS))}")
HEAP_RUNS = {HEAP_SCALING: "ops=40000", HEAP_BUDDY: "ops=2000 heap=buddy"}

# The in-kernel test that takes traps on each instruction of the pop and of the push.
RESTART_TEST = "cache: traps inside the pop and the push"

# Of a pair of a hit, by CHECKS; docs/measuring.md says why a call adds five to the checks.
INLINED, CALLED = {0: 15, 1: 25}, {0: 15, 1: 30}
HEAP_PAIR = {0: 30, 1: 50}
SMALL_TRACES = ("pair", "sizes", "larson", "xmalloc")

YES, NO, NOT_MEASURABLE, MISSING = "yes", "NO", "NOT MEASURABLE", "missing"
NO_BOUND = "no bound"

# In front of the names of what was counted with the kernel's page tables off.
UNPAGED = "unpaged_"


# Records -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Which figures a step can be asked for: times under -icount are none, for one."""

    step: str
    units: frozenset[str]


COUNTS = frozenset({"instructions", "holds", "bytes"})
TIMES = frozenset({"ns", "us", "holds", "bytes"})
VIRTUAL_TIMES = frozenset({"instr", "kinstr"})
HOST = frozenset({"ns", "bytes", "answers"})
HEAPS = frozenset({"ns", "instructions", "bytes", "heap"})
GUESTS = frozenset({"instructions", "KiB"})


def value_of(record: Record) -> float | None:
    value = record.get("value")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return None


def usable(records: Iterable[Record], source: Source) -> list[Record]:
    """The records a step is the right one for, marked with its name."""
    kept = []
    for record in records:
        is_test = record.get("record") == "test"
        is_bench = record.get("record") == "bench" and "bench" in record
        if is_test or (is_bench and record.get("unit") in source.units):
            kept.append({"step": source.step, **record})
    return kept


def matching(records: Iterable[Record], name: str, **fields: object) -> list[Record]:
    return [
        record
        for record in records
        if record.get("bench") == name
        and value_of(record) is not None
        and all(record.get(key) == wanted for key, wanted in fields.items())
    ]


def instructions(records: Iterable[Record]) -> list[tuple[object, object, object]]:
    return [
        (record.get("bench"), record.get("cpus"), record.get("value"))
        for record in records
        if record.get("unit") == "instructions"
    ]


def differences(first: Iterable[Record], second: Iterable[Record]) -> list[str]:
    """What two runs of one kernel do not agree on; nothing counted is a disagreement too."""
    ours, theirs = instructions(first), instructions(second)
    if not ours and not theirs:
        return ["no instructions were counted"]
    if [figure[:2] for figure in ours] != [figure[:2] for figure in theirs]:
        return [f"{len(ours)} figures in the first run, {len(theirs)} in the second, not the same"]
    return [
        f"{name}: {value}, then {other[2]}"
        for (name, cpus, value), other in zip(ours, theirs)
        if value != other[2]
    ]


# The table -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    what: str
    measured: str
    bound: str
    holds: str
    exact: bool  # a figure that is the same on every host: it decides the exit status

    @property
    def fails(self) -> bool:
        return self.holds == MISSING or (self.exact and self.holds != YES)


@dataclass(frozen=True)
class Figure:
    """One number of a row. No value: no record of it."""

    value: float | None
    valid: bool = True
    label: str = ""
    decimals: int = 2

    @property
    def text(self) -> str:
        number = "-" if self.value is None else f"{self.value:,.{self.decimals}f}"
        return f"{self.label} {number}" if self.label else number


@dataclass(frozen=True)
class Bound:
    limit: float
    unit: str
    at_least: bool = False

    @property
    def text(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:g} {self.unit}"

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


def judge(figures: Sequence[Figure], bound: Bound) -> str:
    """All of the figures must be there, be valid, and hold."""
    values = [figure.value for figure in figures if figure.value is not None]
    if len(values) != len(figures) or not figures:
        return MISSING
    if not all(figure.valid for figure in figures):
        return NOT_MEASURABLE
    return YES if all(map(bound.holds, values)) else NO


def make_row(
    what: str,
    judged: Sequence[Figure],
    bound: Bound,
    exact: bool = False,
    beside: Sequence[Figure] = (),
) -> Row:
    """A row of the figures that are judged, and in brackets those that are not."""
    holds = judge(judged, bound)
    text = " / ".join(figure.text for figure in judged)
    if holds == NOT_MEASURABLE:
        text = f"({text})"
    if beside:
        text += f" [{', '.join(figure.text for figure in beside)}]"
    return Row(what, text, bound.text, holds, exact)


def figure_of(found: Sequence[Record], label: str = "", decimals: int = 2) -> Figure:
    """The worst of several records of one thing."""
    values = [value for value in map(value_of, found) if value is not None]
    valid = all(record.get("valid", True) is True for record in found)
    return Figure(max(values, default=None), valid, label, decimals)


def quotient(dividend: Figure, divisor: Figure, label: str = "", decimals: int = 2) -> Figure:
    valid = dividend.valid and divisor.valid
    if dividend.value is None or not divisor.value:
        return Figure(None, valid, label, decimals)
    return Figure(dividend.value / divisor.value, valid, label, decimals)


class Table:
    """Makes the rows, in the order of the bounds, from all records of all steps."""

    checked: Sequence[int] = (0, 1)  # kernels without checks of callers, and with them

    def __init__(self, records: Sequence[Record], harts: int) -> None:
        self.records = records
        self.harts = harts

    def figure(self, name: str, label: str = "", decimals: int = 2, **fields: object) -> Figure:
        return figure_of(matching(self.records, name, **fields), label, decimals)

    # Counted figures: the same kernel without Zbb and with it.

    def with_and_without_zbb(self, name: str, checks: int) -> list[Figure]:
        return [
            self.figure(name, checks=checks, zbb=0, unit="instructions"),
            self.figure(name, "Zbb", checks=checks, zbb=1, unit="instructions"),
        ]

    def counted(self, what: str, name: str, checks: int, limit: float) -> Row:
        figures = self.with_and_without_zbb(name, checks)
        return make_row(f"{what}, CHECKS={checks}", figures, Bound(limit, "instructions"), True)

    def hot_path(self) -> list[Row]:
        return [
            self.counted(f"frame_alloc + frame_free, {how}", f"pair_{how}", checks, limits[checks])
            for checks in (0, 1)
            for how, limits in (("inlined", INLINED), ("called", CALLED))
        ]

    def heap_hits(self) -> list[Row]:
        what = "kmalloc + kfree of 64 bytes"
        rows = [
            self.counted(f"{what}, {how}", f"kmalloc_pair_{name}", checks, HEAP_PAIR[checks])
            for checks in (0, 1)
            for how, name in (("the size is a constant", "constant"), ("the size is not known", "inlined"))
        ]
        called = [self.figure("kmalloc_pair_called", f"CHECKS={checks}", checks=checks, zbb=0)
                  for checks in (0, 1)]
        holds = [self.figure("heap_holds_per_32_ops_worst", f"CHECKS={checks}", checks=checks)
                 for checks in self.checked]
        return [*rows, self.unbounded(f"{what}, called", called, "instructions"),
                make_row("holds of the heap's lock, worst trace up to 2 KiB", holds,
                         Bound(1, "per 32 operations"), True)]

    def uncached(self) -> list[Row]:
        modes = (("", ""), (", lockstat=off", "_lockstat_off"))
        what = "the same with the cache off: two holds of a lock"
        return [self.counted(f"{what}{mode}", f"uncached_pair{name}", checks, 250)
                for mode, name in modes for checks in (0, 1)]

    def runs(self) -> list[Row]:
        what = "a run of 512 frames and its free"
        return [self.counted(what, "run_512_pair", checks, 500) for checks in (0, 1)]

    def memory(self) -> list[Row]:
        of_4096 = (
            ("memset of 4,096 bytes", "memset_4096", 700),
            ("memcpy of 4,096 bytes", "memcpy_4096", 1450),
            ("the same from an odd address", "memcpy_4096_unaligned", 4096),
            ("memmove of 4,096 bytes, 8 bytes up", "memmove_4096_overlap", 1300),
        )
        return [self.counted(what, name, checks, limit)
                for what, name, limit in of_4096 for checks in (0, 1)]

    def restarts(self) -> Row:
        what = "traps on each instruction of it lose nothing"
        tests = [
            record
            for record in self.records
            if record.get("record") == "test"
            and str(record.get("name", "")).startswith(RESTART_TEST)
        ]
        passed = sum(record.get("pass") is True for record in tests)
        holds = MISSING if not tests else YES if passed == len(tests) else NO
        return Row(what, f"{passed} of {len(tests)} runs pass", "all pass", holds, True)

    def bulk(self) -> list[Row]:
        what = "bulk: 4,096 frames, per pair"
        return [self.counted(what, "bulk_pair", checks, 60) for checks in (0, 1)]

    def lock_holds(self) -> Row:
        figures = [
            self.figure("lock_holds_per_64_ops_worst", "CHECKS=1" if checks else "", checks=checks)
            for checks in self.checked
        ]
        bound = Bound(1, "per 64 operations")
        return make_row("lock holds of a cpu, worst trace", figures, bound, True)

    def critical_sections(self) -> list[Row]:
        return [
            self.counted(f"{kind} of 64 frames in 4 words", f"hold_{kind}_4_words", checks, 150)
            for kind in ("refill", "flush")
            for checks in (0, 1)
        ]

    # Page tables: that a hit does not know of them, and what they cost.

    def paging_costs_hits(self) -> Row:
        figures = []
        for checks in (0, 1):
            for how in ("inlined", "called"):
                on = self.figure(f"pair_{how}", checks=checks, zbb=0)
                off = self.figure(f"{UNPAGED}pair_{how}", checks=checks, zbb=0)
                known = on.value is not None and off.value is not None
                figures.append(Figure(abs(on.value - off.value) if known else None))
        return make_row("a pair that hits, paging on against off", figures,
                        Bound(0, "instructions"), True)

    def unbounded(self, what: str, figures: Sequence[Figure], unit: str) -> Row:
        judged = judge(figures, Bound(float("inf"), unit))
        text = f"{' / '.join(figure.text for figure in figures)} {unit}"
        if judged == NOT_MEASURABLE:
            text = f"({text})"
        return Row(what, text, "-", NO_BOUND if judged == YES else judged, False)

    def mapping(self) -> list[Row]:
        def counts(page: str) -> list[Figure]:
            return [self.figure(f"{what}_{page}", f"{what}:", checks=0, zbb=0)
                    for what in ("map", "unmap")]

        def gib(page: str, harts: int) -> Figure:
            return self.virtual(f"gib_of_{page}_pages_us", 0, harts, f"{harts}:", 0)

        return [
            self.unbounded("a page of 4 KiB, alone", counts("one_4k"), "instructions"),
            self.unbounded("a page of 4 KiB, in a range", counts("range_4k_page"), "instructions"),
            self.unbounded("a page of 2 MiB, in a range", counts("range_2m_page"), "instructions"),
            *(self.unbounded(f"1 GiB built and torn down in {name}, by harts",
                             [gib(page, 1), gib(page, self.harts)], "thousand instructions")
              for page, name in (("4k", "4 KiB"), ("2m", "2 MiB"))),
        ]

    # Times, each against another one of the same boot.

    def timed(self, name: str, checks: int, harts: int) -> Figure:
        return self.figure(name, step=timing_step(checks), checks=checks, cpus=harts)

    # In virtual time: harts that have a core each, on any host, and figures that are exact.

    def virtual(self, name: str, checks: int, harts: int, label: str = "", decimals: int = 2) -> Figure:
        return self.figure(name, label, decimals, step=virtual_step(checks), checks=checks, cpus=harts)

    def scaling(self) -> Row:
        figures = []
        for checks, label in ((0, ""), (1, "CHECKS=1")):
            many = self.virtual("repeat_ns", checks, self.harts)
            figures.append(quotient(many, self.virtual("repeat_ns", checks, 1), label))
        what = f"repeat: {self.harts} harts against 1, time per pair"
        return make_row(what, figures[:1], Bound(1.15, "times"), True, beside=figures[1:])

    def against_classic(self, workload: str, harts: int, limit: float) -> Row:
        figures = []
        for checks, label in ((0, ""), (1, "CHECKS=1")):
            classic = self.timed(f"classic_{workload}_ns", checks, harts)
            ours = self.timed(f"{workload}_ns", checks, harts)
            figures.append(quotient(classic, ours, label, 1))
        what = f"{workload}: faster than classic, {harts} hart{'s' if harts > 1 else ''}"
        return make_row(what, figures[:1], Bound(limit, "times", True), beside=figures[1:])

    def times(self) -> list[Row]:
        return [
            self.scaling(),
            self.against_classic("repeat", 1, 100),
            self.against_classic("repeat", self.harts, 500),
            self.against_classic("bulk", self.harts, 50),
        ]

    # The tree alone: counted in the kernel, and timed on the host, which has no bound.

    def tree(self, name: str, size: str, label: str = "", zbb: int = 0) -> Figure:
        return self.figure(f"{TREE}{name}_{size}", label, checks=0, zbb=zbb, unit="instructions")

    def tree_at_each_size(self, name: str) -> list[Figure]:
        return [self.tree(name, size, label) for size, label in TREE_SIZES.items()]

    def tree_frees(self, what: str, name: str) -> Row:
        figures = [self.tree(name, size, TREE_SIZES[size]) for size in ("128m", "16g")]
        figures.append(self.tree(name, "16g", "Zbb", 1))
        return make_row(what, figures, Bound(65, "instructions"), True)

    def tree_rows(self) -> list[Row]:
        smallest, *larger = self.tree_at_each_size("single_alloc")
        ratios = [quotient(figure, smallest, figure.label) for figure in larger]
        return [
            self.tree_frees("random free, half full", "random_free"),
            self.tree_frees("the same after a run's search", "random_free_repaired"),
            make_row("aligned run of 512 frames", self.tree_at_each_size("run_512"),
                     Bound(220, "instructions"), True),
            make_row("its failure", self.tree_at_each_size("run_512_failure"),
                     Bound(70, "instructions"), True),
            make_row("one frame, over what it takes in 128 MiB", ratios, Bound(1.05, "times"),
                     True, beside=[replace(smallest, label="128 MiB")]),
        ]

    def on_host(self, name: str, zone_bytes: int, label: str = "", decimals: int = 2) -> Figure:
        return self.figure(name, label, decimals, zone_bytes=zone_bytes)

    def at_each_size(self, name: str, decimals: int = 2) -> list[Figure]:
        return [self.on_host(name, size, label, decimals) for size, label in ZONES.items()]

    def host_rows(self) -> list[Row]:
        frees = [self.on_host("host_random_free", 16 * GIB),
                 self.on_host("host_random_free_repaired", 16 * GIB, "after a run's search")]
        answers = self.figure("host_run_answers_checked")
        count = "" if answers.value is None else f"{answers.value:,.0f} answers, none wrong"
        return [
            Row("contiguous search after random frees, host", count or "-", "all exact",
                YES if answers.value else MISSING, True),
            self.unbounded("random free, half full, 16 GiB, host", frees, "ns"),
            self.unbounded("aligned run of 512 frames, host", self.at_each_size("host_run_512"),
                           "ns"),
            self.unbounded("its failure, host", self.at_each_size("host_run_512_failure"), "ns"),
            self.unbounded("one frame, host", self.at_each_size("host_single_alloc"), "ns"),
        ]

    # The heap: a hit, how it scales in virtual time, and against other heaps of the host.

    def scaling_of_heap(self, workload: str, base: int) -> Row:
        one = self.figure(f"{HEAP_SCALING}{workload}", cpus=base)
        figures = [quotient(self.figure(f"{HEAP_SCALING}{workload}", cpus=harts), one, f"{harts}:")
                   for harts in HEAP_HARTS if harts > base]
        text = "one hart" if base == 1 else f"{base} harts"
        return make_row(f"{workload}: time an operation against {text}, by harts", figures,
                        Bound(1.1, "times"), True)

    def buddy_under_one_lock(self, workload: str) -> Row:
        figures = [quotient(self.figure(f"{HEAP_BUDDY}{workload}", cpus=harts),
                            self.figure(f"{HEAP_SCALING}{workload}", cpus=harts), f"{harts}:", 1)
                   for harts in HEAP_HARTS]
        return make_row(f"{workload}: a buddy under one lock against it, by harts", figures,
                        Bound(5, "times", at_least=True), True)

    def heap_figures(self, trace: str, member: str = "value", **fields: object) -> list[Figure]:
        """Of every heap that is here."""
        figures = []
        for name in bench_heap.heap_names(self.records):
            for record in self.records:
                mine = {"bench": f"host_heap_{trace}", "heap": name, **fields}
                if name != "none" and all(record.get(key) == value for key, value in mine.items()):
                    valid = record.get("ratio_valid" if member == "ratio" else "valid", True) is True
                    value = value_of({"value": record.get(member, None if valid else 0)})
                    decimals = 0 if fields.get("unit") == "instructions" else 2
                    figures.append(Figure(value, valid, name, decimals))
        return figures

    def ahead_of_other_heaps(self) -> Row:
        """Instructions of the host; each is judged against the best of the others."""
        figures = []
        for trace in SMALL_TRACES:
            by_name = {figure.label: figure
                       for figure in self.heap_figures(trace, unit="instructions")}
            others = [figure for name, figure in by_name.items() if not name.startswith("kmalloc")]
            best = min((figure for figure in others if figure.value is not None),
                       key=lambda figure: figure.value or 0, default=Figure(None))
            own = by_name.get("kmalloc", Figure(None))
            figures.append(quotient(own, best, f"{trace}:") if own.valid else own)
        return make_row("small sizes: instructions against the best of the other heaps, host", figures,
                        Bound(1, "times"))

    def heap_rows(self) -> list[Row]:
        rows = [self.scaling_of_heap(workload, base) for workload, base in HEAP_WORKLOADS.items()]
        rows += [self.buddy_under_one_lock(workload) for workload in HEAP_WORKLOADS]
        rows.append(self.ahead_of_other_heaps())
        for trace, title in bench_heap.TITLES.items():
            rows.append(self.unbounded(f"{title}, host", self.heap_figures(trace, unit="instructions"),
                                       "instructions"))
            rows.append(self.unbounded(f"{title}, host, time", self.heap_figures(trace, "ratio", unit="ns"),
                                       f"times {bench_heap.BASE}'s"))
        rows.append(self.unbounded("64 MiB live, host", self.heap_figures(bench_heap.MEMORY),
                                   "bytes taken a byte asked"))
        absent = [str(record["heap"]) for record in self.records if record.get("bench") == "host_heap_absent"]
        if absent:
            rows.append(Row("heaps that are not installed", ", ".join(absent), "-", NO_BOUND, False))
        return rows

    def metadata(self) -> list[Row]:
        of_1000 = self.figure("metadata_tree_bytes_per_1000_frames")
        kernel = quotient(of_1000, Figure(1000), "kernel", 4)
        tree = [*self.at_each_size("host_metadata_bytes_per_frame", 4), kernel]
        state = [self.figure("metadata_state_bytes_per_frame", checks=1)]
        none = [self.figure("metadata_state_bytes_per_frame", checks=0)]
        return [
            make_row("metadata: the tree", tree, Bound(0.15, "byte a frame"), True),
            make_row("metadata: the state", state, Bound(1.02, "byte a frame"), True),
            make_row("the same, CHECKS=0", none, Bound(0, "byte a frame"), True),
        ]

    def big_guest(self) -> list[Row]:
        """What a boot executes, and what QEMU takes of the host beyond a small guest's."""
        big, small = (self.figure("instructions_to_the_end", step=guest_step(guest))
                      for guest in ("2 TiB", "128 MiB"))
        memory = [self.figure("qemu_max_rss", step=guest_step(guest))
                  for guest in ("2 TiB", "128 MiB")]
        known = all(figure.value is not None for figure in memory)
        more = (memory[0].value - memory[1].value) / 1024 if known else None
        million = Figure(1e6)
        return [
            make_row("2 TiB guest, reset to the end", [quotient(big, million, decimals=0)],
                     Bound(2500, "million instructions"), True,
                     [quotient(small, million, "128 MiB", 0)]),
            make_row("2 TiB guest, memory of the host beyond 128 MiB's",
                     [Figure(more, decimals=0)], Bound(1024, "MiB")),
        ]

    def lockstat_cost(self, checks: int) -> Row:
        judged, beside = [], []
        for zbb, label in ((0, ""), (1, "Zbb")):
            off, contended, every = (
                self.figure(f"bulk_pair_lockstat_{mode}", checks=checks, zbb=zbb)
                for mode in ("off", "contended", "all")
            )
            judged.append(percent_more(contended, off, label))
            beside.append(percent_more(every, off, f"all: {label}".rstrip()))
        what = f"lockstat=contended, of bulk, CHECKS={checks}"
        return make_row(what, judged, Bound(3, "%"), True, beside)

    def rows(self) -> list[Row]:
        return [
            *self.hot_path(),
            self.restarts(),
            *self.uncached(),
            *self.heap_hits(),
            *self.runs(),
            *self.memory(),
            *self.bulk(),
            self.lock_holds(),
            *self.critical_sections(),
            self.paging_costs_hits(),
            *self.mapping(),
            *self.times(),
            *self.tree_rows(),
            *self.host_rows(),
            *self.heap_rows(),
            *self.metadata(),
            *self.big_guest(),
            self.lockstat_cost(0),
            self.lockstat_cost(1),
        ]


class OneKernel(Table):
    """The rows of which one kernel, in one boot, has all figures: what `make test` compares."""

    def __init__(self, records: Sequence[Record], checks: int, zbb: int) -> None:
        super().__init__(records, harts=1)
        self.checked = (checks,)
        self.zbb = zbb

    def with_and_without_zbb(self, name: str, checks: int) -> list[Figure]:
        return [super().with_and_without_zbb(name, checks)[self.zbb]]

    def rows(self) -> list[Row]:
        rows = [*self.hot_path(), *self.uncached(), *self.heap_hits(), *self.runs(), *self.memory(),
                *self.bulk(), self.lock_holds(), *self.critical_sections()]
        others = {f"CHECKS={checks}" for checks in Table.checked} - {f"CHECKS={self.checked[0]}"}
        return [row for row in rows
                if row.exact and not any(other in row.what for other in others)]


def count_problems(lines: Iterable[str]) -> list[str]:
    """Which figures of a boot of run=bench under -icount are missing, or more than their bound."""
    records = usable(parse_records("\n".join(lines)), Source("one boot", COUNTS))
    kernels = {(record.get("checks"), record.get("zbb")) for record in records if "bench" in record}
    if len(kernels) != 1:
        return [f"records of {len(kernels)} kernels, expected 1"]
    checks, zbb = kernels.pop()
    return [f"{row.what}: {row.measured}, bound {row.bound}: {row.holds}"
            for row in OneKernel(records, int(checks), int(zbb)).rows() if row.fails]


def percent_more(figure: Figure, base: Figure, label: str) -> Figure:
    ratio = quotient(figure, base, label)
    value = None if ratio.value is None else (ratio.value - 1) * 100
    return Figure(value, ratio.valid, label)


COLOURS = {YES: "\x1b[32m", NO: "\x1b[31m", MISSING: "\x1b[31m", NOT_MEASURABLE: "\x1b[33m"}
PLAIN = "\x1b[0m"


def format_table(rows: Sequence[Row], coloured: bool = False) -> str:
    cells = [("what", "measured", "bound", "holds?")]
    cells += [(row.what, row.measured, row.bound, row.holds) for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    lines = []
    for line in cells:
        *left, holds = line
        padded = "  ".join(text.ljust(width) for text, width in zip(left, widths))
        colour = COLOURS.get(holds, "") if coloured else ""
        lines.append(f"{padded}  {colour}{holds}{PLAIN if colour else ''}")
    lines.insert(1, "  ".join("-" * width for width in (*widths, len(NOT_MEASURABLE))))
    return "\n".join(lines)


def write_csv(records: Sequence[Record], path: Path) -> None:
    """Every field any record has is a column, in the order in which they first come up."""
    columns = list(dict.fromkeys(name for record in records for name in record))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        for record in records:
            writer.writerow({name: csv_cell(value) for name, value in record.items()})


def csv_cell(value: object) -> object:
    return value if isinstance(value, str) else json.dumps(value)


# Running -------------------------------------------------------------------------------------


class StepFailed(Exception):
    """A step came to nothing; says why."""


@dataclass(frozen=True)
class Output:
    stdout: str
    stderr: str


def run_command(command: Sequence[str], timeout: float) -> Output:
    """Ends what it started whatever happens: the launcher passes that on to its QEMU."""
    try:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace",
        )
    except OSError as error:
        raise StepFailed(f"{command[0]}: {error.strerror}") from error
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise StepFailed(f"time-out after {timeout:.0f} s") from error
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
        if process.poll() is None:
            process.kill()
    if process.returncode != 0:
        said = stderr.strip().splitlines() or [f"exit status {process.returncode}"]
        raise StepFailed(said[0].removeprefix("launch: "))
    return Output(stdout, stderr)


def parse_records(text: str) -> list[Record]:
    records = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            record = json.loads(line)
            if isinstance(record, dict) and "record" in record:
                records.append(record)
    return records


@dataclass(frozen=True)
class Kernel:
    path: Path
    checks: int
    zbb: int

    @property
    def name(self) -> str:
        return f"CHECKS={self.checks}" + (" with Zbb" if self.zbb else "")


@dataclass(frozen=True)
class Step:
    title: str
    source: Source
    run: Callable[[], list[Record]]


def launch(kernel: Kernel, log: Path, bootargs: str, *arguments: str) -> list[Record]:
    """Boots it; its records."""
    records = log.with_suffix(".jsonl")
    records.unlink(missing_ok=True)
    command = [sys.executable, str(LAUNCHER), "--kernel", str(kernel.path), "--quiet"]
    command += ["--timeout", str(STEP_TIMEOUT_SECONDS), f"--bootargs={bootargs}"]
    command += ["--log", str(log.with_suffix(".console")), "--records", str(records), *arguments]
    run_command(command, STEP_TIMEOUT_SECONDS + LAUNCHER_GRACE_SECONDS)
    return parse_records(records.read_text(errors="replace"))


def max_rss(usage: Path) -> Record:
    """What the launcher has noted of QEMU, as a figure."""
    try:
        kib = json.loads(usage.read_text(encoding="utf-8"))["max_rss_kib"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StepFailed(f"the launcher did not say what QEMU used: {error}") from error
    return {"record": "bench", "bench": "qemu_max_rss", "value": kib, "unit": "KiB"}


def counting_step(kernel: Kernel, run: str) -> str:
    return f"instructions, {kernel.name}, {run} run"


def guest_step(size: str) -> str:
    return f"a guest of {size}"


def timing_step(checks: int) -> str:
    return f"times, CHECKS={checks}"


def virtual_step(checks: int) -> str:
    return f"virtual time, CHECKS={checks}"


@dataclass
class Plan:
    """All steps, in order: the exact figures first."""

    options: argparse.Namespace
    kernels: list[Kernel]
    steps: list[Step] = field(default_factory=list)

    def add(
        self, title: str, units: frozenset[str], run: Callable[[Path], list[Record]]
    ) -> None:
        log = self.options.out / "logs" / re.sub(r"[^\w=]+", "-", title)
        self.steps.append(Step(title, Source(title, units), lambda: run(log)))

    def add_counts(self, kernel: Kernel, run: str) -> None:
        counting = ("--smp=1", "--icount", ICOUNT)
        self.add(counting_step(kernel, run), COUNTS,
                 lambda log: launch(kernel, log, "run=bench", *counting))

    def add_unpaged(self, kernel: Kernel) -> None:
        def run(log: Path) -> list[Record]:
            records = launch(kernel, log, "run=bench paging=off", "--smp=1", "--icount", ICOUNT)
            return [{**record, "bench": f"{UNPAGED}{record['bench']}"}
                    for record in records if "bench" in record]

        self.add(f"instructions, {kernel.name}, without page tables", COUNTS, run)

    def add_restarts(self, kernel: Kernel) -> None:
        counting = ("--smp=1", "--icount", ICOUNT)
        self.add(f"traps on each instruction, {kernel.name}", frozenset(),
                 lambda log: launch(kernel, log, "run=selftest", *counting))

    def add_times(self, kernel: Kernel) -> None:
        smp = f"--smp={self.options.smp}"
        self.add(timing_step(kernel.checks), TIMES,
                 lambda log: launch(kernel, log, "run=bench", smp))
        self.add(virtual_step(kernel.checks), VIRTUAL_TIMES,
                 lambda log: launch(kernel, log, "time=virtual run=bench", smp))

    def add_host(self) -> None:
        command = [str(self.options.host_bench.resolve())]
        command += ["--quick"] if self.options.quick else []
        self.add("the tree on the host", HOST,
                 lambda _: parse_records(run_command(command, STEP_TIMEOUT_SECONDS).stdout))

    def add_heaps(self) -> None:
        command = shlex.split(self.options.heap_bench)
        command += ["--rounds", "3"] if self.options.quick else []
        self.add("kmalloc and other heaps on the host", HEAPS,
                 lambda _: parse_records(run_command(command, STEP_TIMEOUT_SECONDS).stdout))

    def add_heap_scaling(self, kernel: Kernel, prefix: str, arguments: str) -> None:
        def run(log: Path) -> list[Record]:
            found = launch(kernel, log, f"{HEAP_BOOTARGS} {arguments}", f"--smp={max(HEAP_HARTS)}")
            return [{**record, "bench": f"{prefix}{record['workload']}",
                     "value": record.get("ns_per_op"), "unit": "instr"}
                    for record in found if record.get("bench") == "sweep"]

        self.add(f"the heap in virtual time, {arguments}, {kernel.name}", VIRTUAL_TIMES, run)

    def add_tree(self, kernel: Kernel) -> None:
        """In a guest that has room for the largest zone's metadata; its other figures are not ours."""
        def run(log: Path) -> list[Record]:
            records = launch(kernel, log, "run=bench", "--smp=1", TREE_MEM, "--icount", ICOUNT)
            return [record for record in records if str(record.get("bench")).startswith(TREE)]

        self.add("the tree at 1 TiB", COUNTS, run)

    def add_guest(self, kernel: Kernel, size: str, arguments: Sequence[str]) -> None:
        def run(log: Path) -> list[Record]:
            usage = log.with_suffix(".usage")
            records = launch(kernel, log, GUEST_BOOTARGS, "--smp=1", "--icount", ICOUNT,
                             f"--usage={usage}", *arguments)
            return [*records, {**max_rss(usage), "checks": kernel.checks, "zbb": kernel.zbb}]

        self.add(guest_step(size), GUESTS, run)

    def make(self) -> list[Step]:
        plain = [kernel for kernel in self.kernels if not kernel.zbb]
        for kernel in self.kernels:
            self.add_counts(kernel, "first")
            self.add_counts(kernel, "second")
        for kernel in plain:
            self.add_unpaged(kernel)
        for kernel in plain:
            self.add_restarts(kernel)
        for kernel in plain:
            self.add_times(kernel)
        self.add_tree(plain[0])
        self.add_host()
        for prefix, arguments in HEAP_RUNS.items():
            self.add_heap_scaling(plain[0], prefix, arguments)
        self.add_heaps()
        # What `make run` boots: with the checks.
        self.add_guest(plain[-1], "128 MiB", SMALL_GUEST)
        self.add_guest(plain[-1], "2 TiB", BIG_GUEST)
        return self.steps


def run_steps(steps: Sequence[Step]) -> tuple[dict[str, list[Record]], list[str]]:
    """The records of each step, and what went wrong; a step that fails ends no other."""
    records: dict[str, list[Record]] = {}
    problems = []
    for number, step in enumerate(steps, 1):
        print(f"[{number:2}/{len(steps)}] {step.title:<46} ", end="", flush=True)
        started = time.monotonic()
        try:
            records[step.title] = usable(step.run(), step.source)
            outcome = f"{len(records[step.title])} records"
        except StepFailed as error:
            records[step.title] = []
            problems.append(f"{step.title}: {error}")
            outcome = "FAILED (said below)"
        print(f"{time.monotonic() - started:6.1f} s  {outcome}", flush=True)
    return records, problems


def compare_runs(kernels: Iterable[Kernel], records: dict[str, list[Record]]) -> list[str]:
    """What was not the same twice, of all kernels."""
    problems = []
    for kernel in kernels:
        runs = (records.get(counting_step(kernel, run), []) for run in ("first", "second"))
        problems += [f"{kernel.name}, twice: {text}" for text in differences(*runs)]
    return problems


# The report ----------------------------------------------------------------------------------


def summary(rows: Sequence[Row], problems: Sequence[str], cores: int) -> str:
    lines = []
    if not problems:
        lines.append("Instruction counts: identical in two runs of every kernel.")
    if cores < 2 or any(row.holds == NOT_MEASURABLE for row in rows):
        lines.append(f"This host has {cores} processors: where harts outnumber them, times of "
                     "several harts are the host's scheduler's. Times of the tree alone want a "
                     "host that does nothing else.")
    lines += [f"PROBLEM: {problem}" for problem in problems]
    counts = {word: sum(row.holds == word for row in rows) for word in COLOURS}
    lines.append(f"{counts[YES]} hold, {counts[NO]} do not, {counts[NOT_MEASURABLE]} not "
                 f"measurable here, {counts[MISSING]} missing.")
    return "\n".join(lines)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the benchmarks and check every bound.")
    add = parser.add_argument
    for name in ("checks0", "checks1", "checks0-zbb", "checks1-zbb"):
        add(f"--kernel-{name}", type=Path, required=True, metavar="ELF")
    add("--host-bench", type=Path, required=True, metavar="PROGRAM")
    add("--heap-bench", required=True, metavar="COMMAND", help="bench_heap.py with its arguments")
    add("--out", type=Path, default=ROOT / "build" / "bench", metavar="DIR")
    add("--smp", type=int, default=4, metavar="N", help="harts, for the times (default: 4)")
    add("--quick", action="store_true", help="fewer repetitions on the host")
    options = parser.parse_args(arguments)
    options.out = options.out.resolve()
    return options


def kernels_of(options: argparse.Namespace) -> list[Kernel]:
    return [
        Kernel(options.kernel_checks0, 0, 0),
        Kernel(options.kernel_checks1, 1, 0),
        Kernel(options.kernel_checks0_zbb, 0, 1),
        Kernel(options.kernel_checks1_zbb, 1, 1),
    ]


def bench(options: argparse.Namespace) -> int:
    kernels = kernels_of(options)
    for path in (*(kernel.path for kernel in kernels), options.host_bench):
        if not path.is_file():
            print(f"bench: {path}: no such file", file=sys.stderr)
            return 2
    (options.out / "logs").mkdir(parents=True, exist_ok=True)
    records, problems = run_steps(Plan(options, kernels).make())
    problems += compare_runs(kernels, records)
    everything = [record for of_step in records.values() for record in of_step]
    cores = len(os.sched_getaffinity(0))
    rows = Table(everything, options.smp).rows()
    write_csv(everything, options.out / "bench.csv")
    text = summary(rows, problems, cores)
    table = format_table(rows)
    (options.out / "bench.txt").write_text(f"{table}\n\n{text}\n", encoding="utf-8")
    print(f"\n{format_table(rows, sys.stdout.isatty())}\n\n{text}")
    print(f"Table and records: {options.out / 'bench.txt'}, {options.out / 'bench.csv'}")
    return 1 if problems or any(row.fails for row in rows) else 0


def stop(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def main(arguments: list[str] | None = None) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return bench(parse_arguments(arguments))


if __name__ == "__main__":
    sys.exit(main())
