# SPDX-License-Identifier: BSD-2-Clause
"""The standard sweep: what is booted for the report, several boots at a time, and its progress.

Nothing is timed on the host: boots count instructions, or measure in virtual time. So boots that run
side by side do not change each other's figures.
"""

from __future__ import annotations

import argparse
import os
import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import launch
from report_blame import site_names_added
from report_findings import cell_name
from report_records import Record, integer, is_cell

ROOT = Path(__file__).resolve().parent.parent

# One instruction is 1 ns of virtual time, and the counter of instructions is exact.
ICOUNT = "shift=0,sleep=off"

# A bound that only a hang reaches, on a slow machine too.
BOOT_TIMEOUT_SECONDS = 1800

# How rarely a line of progress is shown.
SECONDS_A_LINE = 10.0


# What is booted ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Boot:
    """One boot of the sweep."""

    title: str
    bootargs: str
    smp: int
    mem: str = "128M"
    counts: bool = False  # under -icount without virtual time, on one cpu
    kept: tuple[str, ...] = ("sweep", "bench", "level", "map")
    options: tuple[str, ...] = ()  # more of the launcher's

    def arguments(self, kernel: Path, plugin: Path = launch.PLUGIN) -> list[str]:
        found = ["--kernel", str(kernel), "--smp", str(self.smp), "--mem", self.mem]
        found += ["--bootargs", self.bootargs]
        found += ["--icount", ICOUNT] if self.counts else []
        found += ["--plugin", str(plugin)] if plugin != launch.PLUGIN else []
        return [*found, *self.options, "--timeout", str(BOOT_TIMEOUT_SECONDS)]

    def command(self, kernel: Path) -> str:
        path = kernel.resolve()
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        return shlex.join(["tools/launch.py", *self.arguments(shown)])

    @property
    def line(self) -> int | None:
        """Instructions that the transfer of a cache line takes; None where no transfers are counted."""
        if "--lines" not in self.options:
            return None
        return int(self.options[self.options.index("--line") + 1]) if "--line" in self.options else 0

    def announces(self) -> str:
        """What its progress counts."""
        return "cells" if "bench" in self.kept else f"{self.kept[0]} records"


# A turn costs the host one to two microseconds, however short it is.
VIRTUAL = "time=virtual turn=25"
COUNTS = "1,2,4,8,16"
MOST = 16
# Of blocks. Of frames: `bulk`, and without caches `repeat`, which does little but take the lock. What an
# operation of others does, such as `rand`, depends on how many cpus share memory.
BLOCKS = ("kmalloc", "larson")

# Of policies. Searching for runs needs as many operations for all policies, however long they take.
WORKLOADS = ("repeat", "bulk", "rand", "burst")
WHOLE = ("exhaust", "run", "frag")
WHOLE_OPS = 20000

# Two locks that any waiter may get, and two that serve in the order of arrival. The boot `bulk` has
# the same cells with the batch that adapts.
BATCHED = ("fas", "cas", "ticket", "mcs")

# The matrix of waits is recorded whole of up to 8 cpus. An unfair lock and a fair one.
BLAMED_CPUS = 8
BLAMED = ("fas", "mcs")

# Of cache lines (docs/lines.md). Locks compared where a transfer of a line costs nothing and where it
# costs LINE_COST instructions: an unfair lock, one whose waiters share a line, and two whose waiters
# each spin on a line of their own. A wait for a transfer needs turns that are longer than it, of half
# the length too.
LINE_COST = 40
LINE_LOCKS = ("fas", "ticket", "mcs", "clh")
LINE_TURN = 100
# The hottest lines are of one lock, so that workloads, caches and harts can be compared: the lock that
# has the fewest transfers of its own. `xfree`: the consumer frees what the producer has allocated.
HOT = "lock=mcs cpus=4,16"
CELLS_WITH_LINES = ("sweep", "bench", "lines")


def line_boots() -> list[Boot]:
    swept = (f"time=virtual turn={LINE_TURN} run=bench lock={','.join(LINE_LOCKS)} cache=0,128 "
             f"workload=bulk cpus={COUNTS}")
    hot, hot_kept = f"{VIRTUAL} run=bench {HOT}", (*CELLS_WITH_LINES, "line", "lines_site")
    return [
        Boot("lines-cost", swept, MOST, kept=CELLS_WITH_LINES,
             options=("--lines", "--line", str(LINE_COST))),
        Boot("lines-free", swept, MOST, kept=CELLS_WITH_LINES, options=("--lines",)),
        Boot("lines-frames", f"{hot} cache=0,128 workload=bulk,xfree", MOST, kept=hot_kept,
             options=("--lines",)),
        Boot("lines-heap", f"{hot} cache=128 workload={','.join(BLOCKS)}", MOST, kept=hot_kept,
             options=("--lines",)),
    ]


def standard_sweep() -> list[Boot]:
    """The longest first: boots run side by side, and the last to begin should be short."""
    locks = f"{VIRTUAL} run=bench lockstat=all"
    counted = "run=bench policy=all cache=128,0 cpus=1 rounds=1"
    sampled = "run=bench cache=128 rounds=1"
    compared, free, *hottest = line_boots()
    return [
        Boot("bulk", f"{locks} lock=all cache=0,128 cpus={COUNTS} workload=bulk", MOST),
        compared,
        *(Boot(workload, f"{locks} lock=all cache=128 cpus={COUNTS} workload={workload}", MOST)
          for workload in BLOCKS),
        free,
        Boot("repeat", f"{locks} lock=all cache=0 cpus={COUNTS} workload=repeat", MOST),
        Boot("batches", f"{locks} lock={','.join(BATCHED)} cache=128 batch=8,16,32,64 cpus={MOST} "
             "workload=bulk", MOST),
        *hottest,
        Boot("instructions", f"{counted} workload={','.join(WORKLOADS)}", 1, counts=True),
        Boot("whole", f"{counted} ops={WHOLE_OPS} workload={','.join(WHOLE)}", 1, counts=True),
        *(Boot(f"waits-{lock}", f"{VIRTUAL} run=stress workload=bulk ops=2000 cache=0 lock={lock}",
               BLAMED_CPUS, kept=("lock",)) for lock in BLAMED),
        # On one cpu all policies get the very same requests.
        Boot("map", f"{sampled} samples=48 ops=24000 policy=all cpus=1 workload=rand,burst,frag", 1,
             mem="32M", counts=True),
        # A look takes cpu 0 as long as some hundreds of operations.
        Boot("levels", f"{VIRTUAL} {sampled} samples=32 ops=120000 cpus=4 workload=bulk,rand,burst", 4,
             mem="64M"),
    ]


# Four cpus that fill memory together: batches, waits for the lock, and everybody's caches drained.
TRACED = Boot("trace", "time=virtual run=stress workload=bulk,exhaust ops=20k trace=on", 4, mem="64M",
              kept=("trace_events", "trace", "trace_block"))


@dataclass
class Sweep:
    """What it has come to by now."""

    records: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    signal: int = 0
    seconds: float = 0.0


# Progress ------------------------------------------------------------------------------------


class Progress:
    """Of one boot: counts its records, and says a line now and then."""

    def __init__(self, boot: Boot, place: int, boots: int) -> None:
        self.label = f"[{place}/{boots}] {boot.title}"
        self.boot = boot
        self.started = time.monotonic()
        self.said = self.started
        self.done, self.cells = 0, 0
        self.lines = False  # a record of cache lines has come

    def take(self, record: Record) -> None:
        if record.get("record") == "progress":  # the cells' records come after the last round
            self.speak(str(record["what"]))
        elif record.get("record") == "sweep":
            self.cells = integer(record, "cells")
        elif is_cell(record):
            self.done += 1
            self.speak(cell_name(record))
        elif record.get("record") == "lines":
            self.lines = True
        elif "bench" not in self.boot.kept and record.get("record") in self.boot.kept:
            self.done += 1

    def speak(self, text: str) -> None:
        now = time.monotonic()
        if now - self.said >= SECONDS_A_LINE:
            self.said = now
            self.show(text)

    def show(self, text: str) -> None:
        of = f"{self.done}/{self.cells}" if self.cells else f"{self.done}"
        print(f"{self.label:<20} {of:>9} {self.boot.announces()} "
              f"{time.monotonic() - self.started:5.0f} s  {text}", flush=True)

    def problem(self, judgement: launch.Judgement) -> str:
        """Why the boot is not complete, or nothing."""
        of = f"after {self.done} of {self.cells or 'an unknown number of'} {self.boot.announces()}"
        if judgement.code != launch.PASS:
            return f"{judgement.text}; {of}"
        if not self.done:
            return f"passed, but there were no {self.boot.announces()} in it"
        if self.boot.line is not None and not self.lines:
            return "passed, but there were no lines records in it"
        return f"passed, {of}" if self.done < self.cells else ""


class SweepConsole(launch.Console):
    """Hands each line on as soon as it is complete."""

    progress: Progress

    def take_line(self, line: bytes) -> None:
        before = len(self.records)
        super().take_line(line)
        for record in self.records[before:]:
            self.progress.take(record)


# Running -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    boot: Boot
    records: list[Record]
    problem: str


def marked(record: Record, boot: Boot) -> Record:
    """With the boot it is from, and how it was measured."""
    how: Record = {"counted": True} if boot.counts else {}
    if boot.line is not None:
        how["line"] = boot.line
    return {"boot": boot.title, **how, **record}


def kept(records: list[Record], boot: Boot, symbols: launch.Symbols) -> list[Record]:
    """What the page and the tables are made of; addresses have names only with their kernel."""
    found = (record for record in records if record["record"] in boot.kept)
    return [site_names_added(r, symbols) if r["record"] == "lock" else r for r in found]


def run_boot(boot: Boot, options: argparse.Namespace, interrupts: launch.Interrupts,
             progress: Progress) -> Outcome:
    if interrupts.received:
        return Outcome(boot, [], "not run")
    wanted = launch.parse_arguments([*boot.arguments(options.kernel, options.plugin), "--quiet"])
    symbols = launch.Symbols(options.kernel)
    wanted.log = options.out / "logs" / f"{boot.title}.console"
    of_lines = launch.lines_path(wanted) if wanted.lines else None
    if of_lines:
        of_lines.unlink(missing_ok=True)  # of a run that was killed
    with wanted.log.open("wb") as stream:
        console = SweepConsole(symbols, stream, None, lines=of_lines)
        console.progress = progress
        run = launch.execute(launch.qemu_command(wanted), wanted, console, interrupts)
    problem = progress.problem(launch.judge(run, "pass"))
    progress.show(problem or "done")
    return Outcome(boot, kept(console.records, boot, symbols), problem)


def run_boots(boots: list[Boot], options: argparse.Namespace) -> tuple[list[Outcome], int]:
    """As many at a time as the host has cores. A boot that fails ends no other; a signal ends all."""
    interrupts = launch.Signals()

    def run_one(place: int) -> Outcome:
        progress = Progress(boots[place], place + 1, len(boots))
        return run_boot(boots[place], options, interrupts, progress)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        outcomes = list(pool.map(run_one, range(len(boots))))
    return outcomes, interrupts.received


def run_sweep(boots: list[Boot], options: argparse.Namespace) -> tuple[Sweep, list[Outcome]]:
    """All that the boots left, in the order of the boots, which is not that in which they ended."""
    started = time.monotonic()
    outcomes, signal = run_boots(boots, options)
    sweep = Sweep(signal=signal, seconds=time.monotonic() - started)
    for outcome in outcomes:
        if outcome.boot is not TRACED:
            sweep.records += [marked(record, outcome.boot) for record in outcome.records]
        if outcome.problem:
            sweep.problems.append(f"{outcome.boot.title}: {outcome.problem}")
    return sweep, outcomes
