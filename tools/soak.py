#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Boots the kernel's stress again and again, over every lock, policy, workload and number of cpus.

Three kinds of work share the time. A cell is one lock, policy and number of cpus: all workloads in
one boot, in real parallelism, every frame with its owner's stamp; how many operations it is asked
for follows from how long it took before. Then explore.py's schedules, whose seeds go on where the
last soak stopped: of all workloads, and in turn with those of what exhausts memory or stops harts.
And the long tests (LONG): of one thing each, minutes at a time, where that much time is left. Every
boot has its own seed.

The cell that ran least is next, so the soak goes round over all of them until its time is up. What
was done is in --out/state.json, renewed after each boot: a soak that was ended, in whatever way,
is continued by the next one, whose time is its own but whose counts go on. A kernel that has changed
starts its counts from 0; seeds go on.

Exit status: 0 nothing failed, also in the soaks continued; 1 something did; 2 cannot run.
128 + N when ended by signal N without a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

import explore
import launch
from explore import Boot, Outcome, Record

DEFAULT_OUT = explore.ROOT / "build" / "soak"
DEFAULT_CPUS = "1,2,4,8"
DEFAULT_MINUTES = 60.0
DEFAULT_SHARE = 0.25

# Exhausting memory takes as long as there is memory, whatever operations were asked for. Where
# every hold waits for the host's scheduler there is little of it.
DEFAULT_MEM = "32M"
LITTLE_MEM = "8M"

# A bound that only a hang reaches, on a slow machine too.
DEFAULT_TIMEOUT_SECONDS = 300.0

DEFAULT_LONG_SHARE = 0.3
LONG_TIMEOUT_SECONDS = 3600.0

STATE_VERSION = 1
LOCKS = explore.LOCKS
WORKLOADS = explore.WORKLOADS
POLICIES = ("segment_tree", "bitmap", "interval_stack", "recycler", "free_list")
# These workloads are answered "not supported" by these policies.
NEED_RUNS = ("run", "frag", "vm_map")
WITHOUT_RUNS = ("free_list",)

# Each of the cell's caches has its turn, the default first.
CACHES = tuple(caches for caches in explore.CACHES if caches.get("cache") != "0")

# A lock that hands over to one waiter, where cpus outnumber the host's cores, waits for the host's
# scheduler at every step, thousands of times longer than elsewhere.
HAND_OVER = ("ticket", "mcs", "clh", "anderson", "ticket_pb", "cohort", "qspinlock", "reciprocating",
    "hclh")

# Of the first boot of a cell; from then on it follows from the time that the last one took.
FIRST_OPS, FIRST_OPS_SLOW = 2000, 100
LEAST_OPS, MOST_OPS = 50, 20_000_000
BOOT_SECONDS = 6.0
GROWTH_MAX = 16

# A boot that still runs when the time is up may go on for this long. Then it is ended, and counts
# as not begun.
GRACE_SECONDS = 20.0
TIME_IS_UP = signal.SIGALRM


# Workloads that run out of frames or of harts, which schedules are explored of besides those of all.
SHORTAGES = ("exhaust", "asym", "churn", "scarce")
FIRST_SHORTAGE = 1_000_001  # so that no seed is drawn twice

STRESS, EXPLORE, LONG_TEST = "stress", "explore", "long"


@dataclass(frozen=True)
class Long:
    """A test of minutes, and what shows that it did what it is for."""

    name: str
    cpus: int
    bootargs: str
    seconds: float  # what it may take; what it took the last time says more
    mem: str = "64M"
    wanted: str = ""  # must be on its console `times` times
    times: int = 1
    workload: str = ""  # of which there must be `ops` operations
    ops: int = 0

    def find_fault(self, outcome: Outcome, console: str) -> str:
        """What is wrong with the boot, also if it passed and did less than it should."""
        if outcome.fault:
            return outcome.fault
        if console.count(self.wanted) < self.times:
            return f'passed, but did not say "{self.wanted}" {self.times} times'
        done = operations_of(outcome).get(self.workload, 0)
        if done < self.ops:
            return f"passed, but {done} operations of {self.workload} are not {self.ops}"
        return ""


def busy(cpus: int, seconds: float) -> Long:
    """All frames are had, to the last, while a cpu whose cache is full does something else."""
    return Long(f"busy-{cpus}", cpus, "run=selftest ops=1000", seconds,
                wanted="# exact in 1000 rounds of ", times=2)


LONG = (
    busy(2, 60),
    # Ten million frames go through caches of few: allocated by one cpu, freed by the others.
    Long("asym", 4, "run=stress workload=asym ops=10M cache=192 batch=64", 180, mem="16M",
         workload="asym", ops=20_000_000),
    busy(4, 200),
    Long("churn", 4, "run=stress workload=churn ops=1M", 180, wanted='"record":"churn"',
         workload="churn", ops=4_000_000),
    busy(8, 400),
)


@dataclass(frozen=True)
class Cell:
    lock: str
    policy: str
    cpus: int

    @property
    def key(self) -> str:
        return f"{self.lock}/{self.policy}/{self.cpus}"

    def is_slow_on(self, cores: int) -> bool:
        return self.lock in HAND_OVER and self.cpus > cores


def cells_of(cpus: list[int]) -> list[Cell]:
    """Locks change fastest, so that a short soak has met them all."""
    product = itertools.product(cpus, POLICIES, LOCKS)
    return [Cell(lock, policy, count) for count, policy, lock in product]


# What is remembered ----------------------------------------------------------------------------


@dataclass
class Failure:
    what: str
    reason: str
    again: str
    log: str


@dataclass
class State:
    """All of it is in state.json, whose names these are."""

    version: int = STATE_VERSION
    kernel: str = ""
    seconds: float = 0.0
    boots: int = 0
    next_seed: int = 1
    next_schedule: int = 1
    next_shortage: int = FIRST_SHORTAGE
    schedules: int = 0
    schedule_ops: int = 0
    switches: int = 0
    cells: dict[str, int] = field(default_factory=dict)  # boots of each
    pace: dict[str, int] = field(default_factory=dict)  # operations that fill a boot's time
    ops: dict[str, dict[str, int]] = field(
        default_factory=lambda: {"lock": {}, "policy": {}, "workload": {}, "cpus": {}}
    )
    long: dict[str, int] = field(default_factory=dict)  # how often each
    long_seconds: dict[str, float] = field(default_factory=dict)  # the last time
    failures: list[Failure] = field(default_factory=list)

    @property
    def operations(self) -> int:
        return sum(self.ops["workload"].values())

    def count(self, cell: Cell, workload: str, operations: int) -> None:
        names = {"lock": cell.lock, "policy": cell.policy, "workload": workload,
                 "cpus": str(cell.cpus)}
        for kind, name in names.items():
            self.ops[kind][name] = self.ops[kind].get(name, 0) + operations


def read_state(path: Path) -> State | None:
    """None where there is none. Raises ValueError on a file that is no state of ours."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    try:
        if found["version"] != STATE_VERSION:
            raise ValueError(f"version {found['version']}, not {STATE_VERSION}")
        state = State(**found)
        state.failures = [Failure(**failure) for failure in found["failures"]]
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a soak's state: {error}") from error
    return state


def write_state(path: Path, state: State) -> None:
    """The old file or the new one, never half of one."""
    new = path.with_suffix(".new")
    with new.open("w", encoding="utf-8") as stream:
        json.dump(asdict(state), stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)


# Boots -----------------------------------------------------------------------------------------


@dataclass
class Task:
    """A running boot: of a cell, of a long test, or else of a schedule."""

    seed: int
    boot: Boot
    slots: int
    log: Path
    seconds: float  # about what it may take
    cell: Cell | None = None
    pace_key: str = ""
    ops: int = 0
    long: Long | None = None
    choices: explore.Choices = field(default_factory=explore.Choices)

    @property
    def kind(self) -> str:
        if self.cell:
            return STRESS
        return LONG_TEST if self.long else EXPLORE

    @property
    def name(self) -> str:
        if self.long:
            return self.long.name
        return f"{self.cell.lock} x{self.cell.cpus}" if self.cell else f"seed {self.seed}"

    @property
    def what(self) -> str:
        if self.long:
            return f"long test {self.long.name}, seed {self.seed}"
        if self.cell is None:
            which = "" if self.choices.workloads == WORKLOADS else " of shortages"
            return f"schedule{which} of seed {self.seed}"
        return f"{self.cell.lock}, {self.cell.policy}, {self.cell.cpus} cpus, seed {self.seed}"


def stress_again(boot: Boot) -> str:
    words = ["make run", f"SMP={boot.smp}", f"MEM={boot.mem}"]
    if boot.timeout > DEFAULT_TIMEOUT_SECONDS:
        words.append(f"TIMEOUT={boot.timeout:.0f}")
    return " ".join([*words, "BOOTARGS=" + shlex.quote(boot.bootargs)])


def operations_of(outcome: Outcome) -> dict[str, int]:
    """Checked operations of each workload, both of the caches' run and of the baseline."""
    found: dict[str, int] = {}
    for record in outcome.records:
        if record["record"] == "bench" and "workload" in record:
            name = str(record["workload"])
            found[name] = found.get(name, 0) + explore.number(record, "ops")
    return found


def find_fault(outcome: Outcome, workloads: tuple[str, ...], cell: Cell) -> str:
    """What is wrong with a stress, also if it passed and left something out."""
    if outcome.fault:
        return outcome.fault
    boot = outcome.find("boot")
    if boot.get("cpus") != cell.cpus or boot.get("lock") != cell.lock:
        return f"passed, but with {boot.get('cpus')} cpus and lock {boot.get('lock')}"
    policies = {r.get("policy") for r in outcome.records if r["record"] == "zone"}
    if policies != {cell.policy}:
        return f"passed, but with policies {', '.join(sorted(map(str, policies))) or 'unknown'}"
    operations = operations_of(outcome)
    possible = [name for name in workloads
                if not (name in NEED_RUNS and cell.policy in WITHOUT_RUNS)]
    missing = [name for name in possible if not operations.get(name)]
    return f"passed, but counted no operations of {', '.join(missing)}" if missing else ""


def next_pace(ops: int, seconds: float, wanted: float) -> int:
    """Operations for about `wanted` seconds, after a boot that took `seconds` for `ops`."""
    factor = min(wanted / max(seconds, 0.001), GROWTH_MAX)
    return min(max(int(ops * factor), LEAST_OPS), MOST_OPS)


# The soak --------------------------------------------------------------------------------------


class Soak:
    def __init__(
        self, options: argparse.Namespace, state: State, interrupts: launch.Interrupts
    ) -> None:
        self.options = options
        self.state = state
        self.interrupts = interrupts
        self.cells = cells_of(options.cpus)
        self.cores = options.jobs
        self.symbols = launch.Symbols(options.kernel)
        self.running: dict[Future[Outcome], Task] = {}
        self.status = explore.StatusLine(seconds_between=min(30.0, options.minutes * 6))
        self.started = time.monotonic()
        self.elapsed_before = state.seconds
        self.operations_before = state.operations
        self.failures_before = len(state.failures)
        # Slot-seconds of each kind, which decide whose turn it is.
        rest = 1 - options.share
        self.shares = {STRESS: rest * (1 - options.long), EXPLORE: options.share,
                       LONG_TEST: rest * options.long}
        self.spent = dict.fromkeys(self.shares, 0.0)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        return max(self.options.minutes * 60 - self.elapsed, 0.0)

    # What is next

    def boots_of(self, cell: Cell) -> int:
        running = sum(task.cell == cell for task in self.running.values())
        return self.state.cells.get(cell.key, 0) + running

    def rounds(self) -> int:
        return min(self.state.cells.get(cell.key, 0) for cell in self.cells)

    def long_seconds(self, long: Long) -> float:
        return self.state.long_seconds.get(long.name, long.seconds)

    def next_long(self) -> Long | None:
        """The long test that ran least, of those that there is time and a machine for."""
        def boots(long: Long) -> int:
            running = sum(task.long == long for task in self.running.values())
            return self.state.long.get(long.name, 0) + running

        fitting = [long for long in LONG
                   if long.cpus in self.options.cpus and self.long_seconds(long) <= self.left]
        return min(fitting, key=boots, default=None)

    def next_kind(self) -> str:
        """Also counts running boots, with the time that they are meant to take."""
        spent = dict(self.spent)
        for task in self.running.values():
            spent[task.kind] += task.slots * task.seconds
        kinds = [kind for kind, share in self.shares.items()
                 if share > 0 and (kind != LONG_TEST or self.next_long())]
        return min(kinds, key=lambda kind: spent[kind] / self.shares[kind], default=STRESS)

    def boot_seconds(self) -> float:
        """Shorter in a short soak, so that it gets round once if it can."""
        fair = self.left * self.shares[STRESS] / len(self.cells)
        return min(BOOT_SECONDS, max(fair, 1.0))

    def next_task(self) -> Task:
        kind = self.next_kind()
        if kind == STRESS:
            return self.stress_task()
        long = self.next_long() if kind == LONG_TEST else None
        return self.long_task(long) if long else self.schedule_task()

    def stress_task(self) -> Task:
        cell = min(self.cells, key=self.boots_of)
        caches = CACHES[self.boots_of(cell) % len(CACHES)]
        pace_key = "/".join([cell.key, caches.get("cache", "default")])
        slow = cell.is_slow_on(self.cores)
        mem = self.options.mem or (LITTLE_MEM if slow else DEFAULT_MEM)
        seed, self.state.next_seed = self.state.next_seed, self.state.next_seed + 1
        ops = self.state.pace.get(pace_key, FIRST_OPS_SLOW if slow else FIRST_OPS)
        words = ["run=stress", f"seed={seed}", f"lock={cell.lock}", f"ops={ops}"]
        if len(POLICIES) > 1:
            words.append(f"policy={cell.policy}")
        if self.options.workload != WORKLOADS:
            words.append("workload=" + ",".join(self.options.workload))
        words += [f"{key}={value}" for key, value in caches.items()]
        boot = Boot(
            self.options.kernel, str(cell.cpus), mem, " ".join(words), self.options.timeout
        )
        log = self.options.out / f"stress-{cell.lock}-{cell.cpus}-seed-{seed}.log"
        return Task(seed, boot, min(cell.cpus, self.cores), log, self.boot_seconds(), cell,
                    pace_key, ops)

    def schedule_task(self) -> Task:
        state = self.state
        if state.next_shortage - FIRST_SHORTAGE < state.next_schedule - 1:
            seed, state.next_shortage = state.next_shortage, state.next_shortage + 1
            choices, name = explore.Choices(workloads=SHORTAGES), "shortage"
        else:
            seed, state.next_schedule = state.next_schedule, state.next_schedule + 1
            choices, name = explore.Choices(), "schedule"
        boot = Boot(self.options.kernel, choices.smp, choices.mem,
                    explore.bootargs_of(seed, choices), self.options.timeout, explore.ICOUNT)
        log = self.options.out / f"{name}-seed-{seed}.log"
        return Task(seed, boot, 1, log, 1.0, choices=choices)

    def long_task(self, long: Long) -> Task:
        seed, self.state.next_seed = self.state.next_seed, self.state.next_seed + 1
        boot = Boot(self.options.kernel, str(long.cpus), long.mem, f"{long.bootargs} seed={seed}",
                    max(self.options.timeout, LONG_TIMEOUT_SECONDS))
        log = self.options.out / f"long-{long.name}-seed-{seed}.log"
        return Task(seed, boot, min(long.cpus, self.cores), log, self.long_seconds(long), long=long)

    def run_task(self, task: Task) -> Outcome:
        arguments = (task.boot, task.log, self.symbols, self.interrupts)
        if task.kind == EXPLORE:
            return explore.run_schedule(task.seed, *arguments)
        outcome = explore.run_boot(*arguments)
        if task.long:
            console = task.log.read_text(encoding="utf-8", errors="replace")
            outcome.fault = task.long.find_fault(outcome, console)
        elif task.cell:
            outcome.fault = find_fault(outcome, self.options.workload, task.cell)
        if not outcome.fault:
            task.log.unlink()
        return outcome

    # What has ended

    def take(self, task: Task, outcome: Outcome, schedules: TextIO) -> None:
        """A boot that we ended ourselves has no result, and counts as not begun."""
        if outcome.interrupted:
            task.log.unlink(missing_ok=True)
            return
        self.spent[task.kind] += task.slots * outcome.seconds
        self.state.boots += 1
        if task.cell:
            self.take_stress(task, task.cell, outcome)
        elif task.long:
            name = task.long.name
            self.state.long[name] = self.state.long.get(name, 0) + 1
            self.state.long_seconds[name] = round(outcome.seconds, 1)
        else:
            self.take_schedule(task, outcome)
            schedules.write(explore.result_line(task.seed, task.boot, self.state.kernel, outcome))
            schedules.flush()
        if outcome.fault:
            self.fail(task, outcome.fault)

    def take_stress(self, task: Task, cell: Cell, outcome: Outcome) -> None:
        self.state.cells[cell.key] = self.state.cells.get(cell.key, 0) + 1
        self.state.pace[task.pace_key] = next_pace(task.ops, outcome.seconds, self.boot_seconds())
        for workload, operations in operations_of(outcome).items():
            self.state.count(cell, workload, operations)

    def take_schedule(self, task: Task, outcome: Outcome) -> None:
        explored: Record = outcome.find("explore")
        self.state.schedules += 1
        self.state.switches += explore.number(explored, "switches")
        for name in ("allocs", "frees"):
            self.state.schedule_ops += explore.number(explored, name)

    def again(self, task: Task) -> str:
        if task.kind == EXPLORE:
            return explore.replay_command(task.seed, task.choices)
        return stress_again(task.boot)

    def fail(self, task: Task, reason: str) -> None:
        failure = Failure(task.what, reason, self.again(task), str(task.log))
        self.state.failures.append(failure)
        for line in failure_lines(failure):
            self.status.print(line)

    # All of it

    def ending(self) -> bool:
        return bool(self.interrupts.received) or self.left <= 0

    def start_what_fits(self, pool: ThreadPoolExecutor, waiting: Task | None) -> Task | None:
        """Returns the task whose turn it is if there are not enough slots for it yet. No other task
        passes it, or small boots would keep large boots waiting for ever."""
        while not self.ending():
            if waiting is None:
                waiting = self.next_task()
            used = sum(task.slots for task in self.running.values())
            if used + waiting.slots > self.cores:
                return waiting
            self.running[pool.submit(self.run_task, waiting)] = waiting
            waiting = None
        return waiting

    def save(self) -> None:
        self.state.seconds = self.elapsed_before + self.elapsed
        write_state(self.options.out / "state.json", self.state)

    def run(self, schedules: TextIO) -> None:
        waiting: Task | None = None
        with ThreadPoolExecutor(self.cores) as pool:
            while True:
                waiting = self.start_what_fits(pool, waiting)
                if not self.running:
                    break
                done, _ = wait(self.running, timeout=0.5, return_when=FIRST_COMPLETED)
                if self.elapsed > self.options.minutes * 60 + GRACE_SECONDS:
                    self.interrupts.received = self.interrupts.received or TIME_IS_UP
                for future in done:
                    self.take(self.running.pop(future), future.result(), schedules)
                    self.save()
                self.status.update(self.progress())
        self.save()

    def progress(self) -> str:
        state = self.state
        rate = (state.operations - self.operations_before) / max(self.elapsed, 0.001)
        now = ", ".join(task.name for task in self.running.values()) or "-"
        return (f"{clock(self.elapsed)} done, {clock(self.left)} left; {state.boots} boots, "
                f"{state.operations:.3g} operations ({rate:.3g}/s), {state.schedules} schedules, "
                f"{len(state.failures)} failed; now {now}")

    def summary(self) -> Iterator[str]:
        state = self.state
        yield (f"soak: {clock(self.elapsed)}, with those continued {clock(state.seconds)}; "
               f"{state.boots} boots, {self.rounds()} rounds over {len(self.cells)} cells complete")
        yield f"{state.operations:.4g} checked operations ({state.operations})"
        for kind in ("lock", "policy", "workload", "cpus"):
            row = (f"{name} {count:.3g}" for name, count in state.ops[kind].items())
            yield f"  by {kind + ':':<10}" + ", ".join(row)
        yield (f"{state.schedules} schedules explored, the next seed is {state.next_schedule}, of "
               f"shortages {state.next_shortage}; "
               f"{state.switches} switches, {state.schedule_ops} allocations and frees under them")
        if state.long:
            done = (f"{name} {count} ({state.long_seconds[name]:.0f} s)"
                    for name, count in state.long.items())
            yield "long tests, how often each, and the seconds of the last: " + ", ".join(done)
        for failure in state.failures:
            yield from failure_lines(failure)
        yield f"{state.boots - len(state.failures)} passed, {len(state.failures)} failed"


def failure_lines(failure: Failure) -> Iterator[str]:
    yield f"FAIL  {failure.what}: {failure.reason}"
    yield f"      run it again: {failure.again}"
    yield f"      its console: {failure.log}"


def clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def begin(options: argparse.Namespace) -> State:
    """The state to go on from."""
    kernel = explore.kernel_hash(options.kernel)
    path = options.out / "state.json"
    old = None
    if not options.fresh:
        try:
            old = read_state(path)
        except ValueError as error:
            raise launch.CannotRun(f"{path}: {error}; FRESH=1 starts from 0") from error
    if old is None:
        return State(kernel=kernel)
    if old.kernel != kernel:
        print("soak: the kernel has changed; counts start from 0, seeds go on", flush=True)
        return State(kernel=kernel, next_seed=old.next_seed, next_schedule=old.next_schedule,
                     next_shortage=old.next_shortage)
    print(f"soak: goes on from {old.boots} boots, {old.operations:.3g} operations, "
          f"{len(old.failures)} failed (FRESH=1 starts from 0)", flush=True)
    return old


def soak(options: argparse.Namespace) -> int:
    options.out.mkdir(parents=True, exist_ok=True)
    state = begin(options)
    if options.fresh:
        for old in options.out.glob("*-seed-*.log"):
            old.unlink()
    interrupts = launch.Signals()
    run = Soak(options, state, interrupts)
    mode = "w" if options.fresh else "a"
    with (options.out / "schedules.jsonl").open(mode, encoding="utf-8") as schedules:
        run.run(schedules)
    for line in run.summary():
        run.status.print(line)
    if state.failures:
        return 1
    if interrupts.received and interrupts.received != TIME_IS_UP:
        return 128 + interrupts.received
    return 0 if state.boots else 1


# The command line ------------------------------------------------------------------------------


def cpu_list(text: str) -> list[int]:
    return sorted({explore.positive(part) for part in text.split(",")})


def share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError(text)
    return value


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Stress and explore until the time is up.")
    add = parser.add_argument
    add("--kernel", type=Path, default=explore.DEFAULT_KERNEL, metavar="ELF")
    add("--minutes", type=float, default=DEFAULT_MINUTES, metavar="N",
        help=f"length of this soak (default: {DEFAULT_MINUTES:.0f})")
    add("--cpus", type=cpu_list, default=cpu_list(DEFAULT_CPUS), metavar="N,..",
        help=f"harts of the machines (default: {DEFAULT_CPUS})")
    add("--mem", metavar="SIZE",
        help=f"memory (default: {DEFAULT_MEM}, {LITTLE_MEM} where much of it takes too long)")
    add("--workload", type=explore.parse_workloads, default=WORKLOADS, metavar="NAME,..",
        help="workloads of the stress (default: all)")
    add("--share", type=share, default=DEFAULT_SHARE, metavar="FRACTION",
        help=f"share of the time for explored schedules (default: {DEFAULT_SHARE})")
    add("--long", type=share, default=DEFAULT_LONG_SHARE, metavar="FRACTION",
        help=f"share of the remaining time for long tests (default: {DEFAULT_LONG_SHARE})")
    add("--fresh", action="store_true", help="forget earlier soaks")
    add("--jobs", type=explore.positive, default=len(os.sched_getaffinity(0)), metavar="N",
        help="cpus to boot at a time (default: the host's processors)")
    add("--timeout", type=float, default=DEFAULT_TIMEOUT_SECONDS, metavar="SECONDS",
        help="limit for each boot")
    add("--out", type=Path, default=DEFAULT_OUT, metavar="DIR")
    options = parser.parse_args(arguments)
    options.out = options.out.resolve()
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        launch.find_qemu()
        if not options.kernel.is_file():
            raise launch.CannotRun(f"{options.kernel}: no such file")
        return soak(options)
    except launch.CannotRun as error:
        print(f"soak: {error}", file=sys.stderr)
        return launch.CANNOT_RUN
    except OSError as error:  # a full disk, a tree that cannot be written
        print(f"soak: {error.filename or 'write'}: {error.strerror}", file=sys.stderr)
        return launch.CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main())
