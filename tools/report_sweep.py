# SPDX-License-Identifier: BSD-2-Clause
"""The standard sweep: what is booted for the report, and how far it has come."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
import time
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

# What the kernel's lines about its progress begin with.
ROUNDS = "sweep: "

# Between lines where no terminal shows them.
SECONDS_A_LINE = 10.0


# What is booted ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Boot:
    """One boot of the sweep."""

    title: str
    bootargs: str
    smp: int
    mem: str = "128M"
    counts: bool = False  # under -icount, where the clock counts instructions
    stress: bool = False  # no cells, but what the stress says of its locks

    def arguments(self, kernel: Path) -> list[str]:
        found = ["--kernel", str(kernel), "--smp", str(self.smp), "--mem", self.mem]
        found += ["--bootargs", self.bootargs]
        found += ["--icount", ICOUNT] if self.counts else []
        return [*found, "--timeout", str(BOOT_TIMEOUT_SECONDS)]

    def command(self, kernel: Path) -> str:
        path = kernel.resolve()
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        return shlex.join(["tools/launch.py", *self.arguments(shown)])


# With more cpus than this the sweep goes only where the host has a core for each.
CPUS_AT_LEAST = 4

# One boot each: an interrupted sweep has all of those that came before.
WORKLOADS = ("repeat", "bulk", "rand", "burst")

# Their operations are no equals: all of memory once, and the same for all policies, whatever fits a
# time. Searching for runs is for one cpu: where cpus outnumber cores it takes minutes.
WHOLE = ("exhaust", "run", "frag")
WHOLE_OPS = 20000

# Of a run, in ms: long against a tick of the clock, short enough for hundreds of cells.
CELL_MS = 80

# Frames one by one, in bursts and in runs, and blocks of the heap.
BLAMED = "bulk,rand,burst,run,kmalloc"


def standard_sweep(cores: int) -> list[Boot]:
    """All policies and all locks, each with what it depends on, for a host with `cores` cores."""
    most = CPUS_AT_LEAST
    while most * 2 <= cores:
        most *= 2
    counts = ",".join(str(1 << n) for n in range(most.bit_length()))
    # Locks are compared where their times can be measured.
    fitting = max(2, 1 << (min(cores, most).bit_length() - 1))
    policies = "run=bench policy=all cache=128,0"
    counted = f"{policies} cpus=1 rounds=1"
    locks = "run=bench lock=all cache=128 lockstat=all workload=bulk,rand"
    locks += f" cell={CELL_MS} cpus={fitting}"
    sampled = "run=bench cache=128 rounds=1 samples=48 ops=24000"
    return [
        Boot("instructions", f"{counted} workload={','.join(WORKLOADS)}", 1, counts=True),
        Boot("whole", f"{counted} ops={WHOLE_OPS} workload={','.join(WHOLE)}", 1, counts=True),
        *(Boot(workload, f"{policies} cell={CELL_MS} cpus={counts} workload={workload}", most)
          for workload in WORKLOADS),
        Boot("batches", f"{locks} batch=8,16,32,64", fitting),
        Boot("locks", locks, fitting),
        # On one cpu under -icount all policies get the very same requests.
        Boot("map", f"{sampled} policy=all cpus=1 workload=rand,burst,frag", 1, mem="32M", counts=True),
        Boot("levels", f"{sampled} cpus={fitting} workload=bulk,rand,burst", fitting, mem="64M"),
        # Which cpu waits for which is known only where each has a core.
        Boot("blame", f"run=stress ops=40k workload={BLAMED}", fitting, stress=True),
    ]


@dataclass
class Sweep:
    """What it has come to by now."""

    records: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    signal: int = 0
    seconds: float = 0.0


# Progress ------------------------------------------------------------------------------------


class Progress:
    """Counts cells: a line that is written over on a terminal, a line now and then elsewhere."""

    def __init__(self, boot: Boot, place: int, boots: int) -> None:
        self.label = f"[{place}/{boots}] {boot.title}"
        self.stress = boot.stress
        self.started = time.monotonic()
        self.said = self.started
        self.terminal = sys.stdout.isatty()
        self.done, self.cells = 0, 0

    def hear(self, line: str) -> None:
        """The kernel says how far its rounds are; its records come after the last."""
        if line.startswith(ROUNDS):
            self.speak(line.removeprefix(ROUNDS))

    def take(self, record: Record) -> None:
        if record.get("record") == "sweep":
            self.cells = integer(record, "cells")
        if self.stress and record.get("record") == "lock":
            self.done += 1
        if self.stress or not is_cell(record):
            return
        self.done += 1
        self.speak(cell_name(record))

    def speak(self, text: str) -> None:
        """On a terminal at once, elsewhere when the last line is some time ago."""
        now = time.monotonic()
        if self.terminal or now - self.said >= SECONDS_A_LINE:
            self.said = now
            self.show(self.line(text))

    def line(self, text: str) -> str:
        of = f"{self.done}/{self.cells}" if self.cells else f"{self.done}"
        what = "locks" if self.stress else "cells"
        return f"{self.label:<18} {of:>9} {what} {time.monotonic() - self.started:5.0f} s  {text}"

    def show(self, text: str) -> None:
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:width]}", end="", flush=True)
        else:
            print(text, flush=True)

    def finish(self, outcome: str) -> None:
        self.show(self.line(outcome))
        if self.terminal:
            print(flush=True)


class SweepConsole(launch.Console):
    """Hands each line on as soon as it is complete."""

    progress: Progress

    def take_line(self, line: bytes) -> None:
        before = len(self.records)
        super().take_line(line)
        for record in self.records[before:]:
            self.progress.take(record)
        self.progress.hear(line.decode("utf-8", "replace"))


# Running -------------------------------------------------------------------------------------


def run_boot(
    boot: Boot, options: argparse.Namespace, interrupts: launch.Interrupts, progress: Progress
) -> tuple[list[Record], launch.Judgement, int]:
    """Its records, how it ended, and the signal that ended us."""
    wanted = launch.parse_arguments([*boot.arguments(options.kernel), "--quiet"])
    log = options.out / "logs" / f"{boot.title}.console"
    with log.open("wb") as stream:
        console = SweepConsole(launch.Symbols(options.kernel), stream, None, False, False)
        console.progress = progress
        run = launch.execute(launch.qemu_command(wanted), wanted, console, interrupts)
    return console.records, launch.judge(run, "pass"), run.signal


def marked(record: Record, boot: Boot) -> Record:
    """With the boot it is from, and what that boot's clock counts."""
    return {"boot": boot.title, "clock": "instructions" if boot.counts else "time", **record}


def kept(records: list[Record], boot: Boot, symbols: launch.Symbols) -> list[Record]:
    """What the page and the table are made of; addresses have names only with their kernel."""
    if boot.stress:
        return [site_names_added(r, symbols) for r in records if r["record"] == "lock"]
    return [r for r in records if r["record"] in ("sweep", "bench", "level", "map")]


def run_sweep(boots: list[Boot], options: argparse.Namespace) -> Sweep:
    """A boot that fails ends no other; a signal ends all."""
    sweep, interrupts = Sweep(), launch.Signals()
    started, symbols = time.monotonic(), launch.Symbols(options.kernel)
    for place, boot in enumerate(boots, 1):
        if sweep.signal:
            sweep.problems.append(f"{boot.title}: not run")
            continue
        progress = Progress(boot, place, len(boots))
        records, judgement, sweep.signal = run_boot(boot, options, interrupts, progress)
        sweep.records += [marked(record, boot) for record in kept(records, boot, symbols)]
        problem = problem_of(progress, judgement)
        if problem:
            sweep.problems.append(f"{boot.title}: {problem}")
        progress.finish(problem or "done")
    sweep.seconds = time.monotonic() - started
    return sweep


def problem_of(progress: Progress, judgement: launch.Judgement) -> str:
    of = f"after {progress.done} of {progress.cells or 'an unknown number of'} cells"
    if judgement.code != launch.PASS:
        return f"{judgement.text}; {of}"
    if not progress.done:
        return "passed, but there was no " + ("lock" if progress.stress else "cell") + " in it"
    return f"passed, {of}" if progress.done < progress.cells else ""
