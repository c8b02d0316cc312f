#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the kernel under many schedules, each drawn from a seed, and replays one of them.

Under -icount QEMU runs the harts in turn and switches only when a timer of the guest expires, and
`run=explore` re-arms the timers from the seed: a seed is a schedule, and the same seed and binary
give the same run, bit for bit. The verdict carries a digest of what happened, by which two runs
can be compared.

A sweep boots one QEMU for each seed, as many at a time as there are processors. What a seed runs
(workload, lock, caches, where switches are made) is schedule_of()'s; options replace parts of it.
The first few seeds run twice, and must give the same digest.

A scheduler says which hart goes on at a switch (SCHEDULERS): seeds is QEMU's turn, pct and walk choose.
--shrink boots a failing schedule again and again with fewer switches, and tells what is left.

Leaves in --out: results.jsonl, a line for each run, and the console of each seed that failed.

Exit status: 0 when every schedule passed; 1 when one failed, or a replay's digest differs from the
digest on record; 2 cannot run; 128 + N when ended by signal N. A replay that fails ends as
launch.py does.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TextIO

import explore_shrink
import launch
from suggest import did_you_mean

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_KERNEL = ROOT / "build" / "hartframe.elf"
DEFAULT_OUT = ROOT / "build" / "explore"
SOAK_RESULTS = ROOT / "build" / "soak" / "schedules.jsonl"

Record = dict[str, object]

# One instruction is 128 ns of virtual time, a tick of the clock 100: so an interval of N ticks is
# not quite N instructions.
ICOUNT = "shift=7,sleep=off"

# A bound that only a hang reaches, on a slow machine too.
DEFAULT_TIMEOUT_SECONDS = 600.0

DEFAULT_SMP = "4"
# Little memory: `exhaust` takes all of it, and zones that run dry are part of what is explored.
DEFAULT_MEM = "6M"
DEFAULT_DIGEST_CHECKS = 4

WORKLOADS = ("repeat", "bulk", "rand", "xfree", "run", "kmalloc", "exhaust", "asym", "churn",
             "larson", "xmalloc", "sizes", "burst", "cache_thrash", "frag", "kalloctest", "scarce", "vm_map", "vm_shared",
             "vm_cow")
LOCKS = ("fas", "cas", "dec", "ticket", "mcs", "clh", "anderson", "ticket_pb", "cohort", "qspinlock",
         "reciprocating", "hclh")
CACHES: tuple[dict[str, str], ...] = (
    {},  # the kernel's own, whose batches follow contention
    {"cache": "2", "batch": "1"},
    {"cache": "8", "batch": "4"},
    {"cache": "64", "batch": "32"},
    {"cache": "0"},
)
MODES = ("any", "locks", "stack", "stall")

# Ticks to a cpu's next switch, MIN:RANGE. They go on while the other cpus have their turns and
# handle their own switches, a few hundred ticks each: with less, a cpu seldom gets to an
# instruction between two switches.
INTERVALS = ("300:900", "800:2400", "2000:8000")

# The same where one hart goes on (schedule=pct, walk, list): no other's turn is in between.
DIRECTED_INTERVALS = {"300:900": "0:50", "800:2400": "0:400", "2000:8000": "0:2000"}

# Half of the seeds are of `seeds`. Short parts find what few switches next to each other cause at any
# time of the run, long ones what needs a cpu to stay behind for long.
SCHEDULERS = ("seeds", "pct:100:3", "seeds", "walk:200", "seeds", "pct:1000:3", "seeds", "walk:2000")

ROUND = len(LOCKS) * len(CACHES) * len(MODES) * len(INTERVALS)

# On each cpu; so few that a schedule takes well under a second.
OPS = {
    "repeat": 200,
    "bulk": 1,  # as many frames as are each cpu's share, once
    "rand": 100,
    "xfree": 100,
    "run": 60,
    "kmalloc": 60,
    "exhaust": 1,  # all of memory, once
    "asym": 300,  # of the one cpu that allocates
    "churn": 60,
    "larson": 16,
    "xmalloc": 60,
    "sizes": 60,
    "burst": 60,
    "cache_thrash": 8,
    "frag": 1,  # all of memory, once
    "kalloctest": 60,
    "scarce": 1,  # all of memory, once
    "vm_map": 20,
    "vm_shared": 800,
    "vm_cow": 2000,
}


# What a seed runs ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Schedule:
    """One point of the product that seeds walk over."""

    workload: str
    lock: str
    caches: dict[str, str]
    interval: str
    mode: str
    scheduler: str


def schedule_of(seed: int, workloads: tuple[str, ...] = WORKLOADS) -> Schedule:
    """What a seed runs: a function of the seed, and of the workloads asked for.

    Locks go round every 12 seeds: a turn. Mode, caches and interval go round every 4, 5 and 3 seeds.
    4 and 3 divide 12, so mode and interval are one further on in each turn; then a lock meets each of
    the 12 pairs of them in 12 turns, and any ROUND = 720 seeds in a row run each combination of the
    four once. A workload lasts a turn, in which each of the others' choices comes up, so any 468
    seeds in a row run each pair of choices. From round to round a combination meets the workload 61
    further on, one more than there are turns in a round; 61 is a prime, so as many rounds as there
    are workloads run the whole product. The scheduler is not part of the product: each of them has four
    seeds in a row, and so each mode.
    """
    turn = seed // len(LOCKS)
    return Schedule(
        workload=workloads[(turn + seed // ROUND) % len(workloads)],
        lock=LOCKS[seed % len(LOCKS)],
        caches=CACHES[seed % len(CACHES)],
        interval=INTERVALS[(seed + turn) % len(INTERVALS)],
        mode=MODES[(seed + turn) % len(MODES)],
        scheduler=SCHEDULERS[seed // len(MODES) % len(SCHEDULERS)],
    )


@dataclass(frozen=True)
class Choices:
    """What the user asked for in place of the seed's or the default choice."""

    smp: str = DEFAULT_SMP
    mem: str = DEFAULT_MEM
    workloads: tuple[str, ...] = WORKLOADS
    preempt: str = ""  # MODE, MIN:RANGE or MIN:RANGE:MODE
    bootargs: str = ""
    schedule: str = ""  # a value of schedule=

    def make_words(self) -> list[str]:
        """As they are written after `make replay`; nothing of what is as it is by default."""
        words = []
        if self.smp != DEFAULT_SMP:
            words.append(f"SMP={self.smp}")
        if self.mem != DEFAULT_MEM:
            words.append(f"MEM={self.mem}")
        if self.workloads != WORKLOADS:
            words.append("WORKLOAD=" + ",".join(self.workloads))
        if self.preempt:
            words.append(f"PREEMPT={self.preempt}")
        if self.schedule:
            words.append(f"SCHEDULE={self.schedule}")
        if self.bootargs:
            words.append("BOOTARGS=" + shlex.quote(self.bootargs))
        return words


def preempt_of(schedule: Schedule, asked: str, directed: bool = False) -> str:
    interval = DIRECTED_INTERVALS[schedule.interval] if directed else schedule.interval
    if asked in MODES:
        return f"{interval}:{asked}"
    if asked.count(":") == 1:
        return f"{asked}:{schedule.mode}"
    return asked or f"{interval}:{schedule.mode}"


def bootargs_of(seed: int, choices: Choices) -> str:
    schedule = schedule_of(seed, choices.workloads)
    words = ["run=explore", f"seed={seed}", f"workload={schedule.workload}"]
    words += [f"ops={OPS[schedule.workload]}", f"lock={schedule.lock}"]
    words += [f"{key}={value}" for key, value in schedule.caches.items()]
    scheduler = choices.schedule or schedule.scheduler
    directed = scheduler != "seeds"
    words.append(f"preempt={preempt_of(schedule, choices.preempt, directed)}")
    words += [f"schedule={scheduler}"] if directed else []
    by_key = {word.partition("=")[0]: word for word in words}
    asked = {word.partition("=")[0]: word for word in choices.bootargs.split()}
    if "cache" in asked:
        by_key.pop("batch", None)  # it was made for the caches that these replace
    return " ".join({**by_key, **asked}.values())


def replay_command(seed: int, choices: Choices) -> str:
    return " ".join(["make replay", f"SEED={seed}", *choices.make_words()])


def parse_seeds(text: str) -> list[int]:
    """Such as 7, 1-64 or 1-10,20; in the order given, each once."""
    seeds: dict[int, None] = {}
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f'"{part}" is no seed and no range such as 1-64')
        numbers = range(int(first), int(last if dash else first) + 1)
        if not numbers:
            raise argparse.ArgumentTypeError(f'"{part}" is an empty range')
        seeds.update(dict.fromkeys(numbers))
    return list(seeds)


def parse_workloads(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    for name in names:
        if name not in WORKLOADS:
            valid = ", ".join(WORKLOADS)
            raise argparse.ArgumentTypeError(f'no workload "{name}"{did_you_mean(name, WORKLOADS)}; there are {valid}')
    return names


# One boot --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Boot:
    kernel: Path
    smp: str
    mem: str
    bootargs: str
    timeout: float
    icount: str = ""

    def launch_arguments(self) -> list[str]:
        arguments = ["--kernel", str(self.kernel), "--smp", self.smp, "--mem", self.mem]
        arguments += [f"--bootargs={self.bootargs}", "--timeout", str(self.timeout)]
        return arguments + ([f"--icount={self.icount}"] if self.icount else [])


@dataclass
class Outcome:
    """How a boot ended. `fault` is empty where it passed."""

    fault: str = ""
    interrupted: bool = False
    seconds: float = 0.0
    records: list[Record] = field(default_factory=list)

    def find(self, kind: str) -> Record:
        """The last record of its kind; empty where there is none."""
        return next((r for r in reversed(self.records) if r["record"] == kind), {})


def number(record: Record, name: str) -> int:
    value = record.get(name)
    return value if isinstance(value, int) else 0


def run_boot(
    boot: Boot, log: Path, symbols: launch.Symbols, interrupts: launch.Interrupts
) -> Outcome:
    """Boots it with its console in `log`. Any thread may."""
    options = launch.parse_arguments([*boot.launch_arguments(), "--quiet"])
    command = launch.qemu_command(options)
    with log.open("wb") as stream:
        console = launch.Console(symbols, stream, records_file=None)
        run = launch.execute(command, options, console, interrupts)
    judgement = launch.judge(run, "pass")
    fault = "" if judgement.code == launch.PASS else judgement.text
    if judgement.evidence:
        fault += "; " + launch.last_line(console)
    return Outcome(fault, run.signal != 0, run.seconds, console.records)


def kernel_hash(kernel: Path) -> str:
    return hashlib.sha256(kernel.read_bytes()).hexdigest()[:16]


# One schedule ----------------------------------------------------------------------------------

DIGEST = re.compile(r"[0-9a-f]{16}")
COUNTS = ("switches", "in_locks", "in_sequences", "stalls", "allocs", "frees")


def digest_of(outcome: Outcome) -> str:
    digest = outcome.find("verdict").get("digest")
    return digest if isinstance(digest, str) and DIGEST.fullmatch(digest) else ""


def find_fault(seed: int, outcome: Outcome) -> str:
    """What is wrong with a schedule, or with a passed schedule that has explored nothing."""
    explored = outcome.find("explore")
    if outcome.fault:
        return outcome.fault
    if not explored:
        return "passed, but has no explore record"
    if not digest_of(outcome):
        return "passed, but its verdict has no digest"
    if outcome.find("verdict").get("seed") != seed:
        return f"passed, but ran seed {outcome.find('verdict').get('seed')}"
    if not number(explored, "switches"):
        return "passed, but never switched"
    if not number(explored, "allocs"):
        return "passed, but allocated nothing"
    return ""


def run_schedule(
    seed: int, boot: Boot, log: Path, symbols: launch.Symbols, interrupts: launch.Interrupts
) -> Outcome:
    outcome = run_boot(boot, log, symbols, interrupts)
    outcome.fault = find_fault(seed, outcome)
    if not outcome.fault:
        log.unlink()
    return outcome


def result_line(seed: int, boot: Boot, kernel: str, outcome: Outcome) -> str:
    """What is kept of a run; replays look for the digest."""
    result: Record = {"seed": seed, "kernel": kernel, "smp": boot.smp, "mem": boot.mem}
    result.update(bootargs=boot.bootargs, result="fail" if outcome.fault else "pass")
    if outcome.fault:
        result["reason"] = outcome.fault
    result.update(digest=digest_of(outcome), seconds=round(outcome.seconds, 3))
    explored = outcome.find("explore")
    result.update({name: number(explored, name) for name in COUNTS})
    return json.dumps(result) + "\n"


# Progress --------------------------------------------------------------------------------------


class StatusLine:
    """One line rewritten in place on a terminal; elsewhere a line now and then."""

    def __init__(self, seconds_between: float) -> None:
        self.on_terminal = sys.stdout.isatty()
        self.seconds_between = 0.2 if self.on_terminal else seconds_between
        self.shown_at = time.monotonic()
        self.text = ""

    def update(self, text: str) -> None:
        if time.monotonic() - self.shown_at < self.seconds_between:
            return
        self.shown_at = time.monotonic()
        self.text = text
        if self.on_terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{text[:width]}", end="", flush=True)
        else:
            print(text, flush=True)

    def print(self, text: str) -> None:
        """A line that stays."""
        print(("\r\x1b[K" if self.on_terminal and self.text else "") + text, flush=True)
        self.text = ""


# The sweep -------------------------------------------------------------------------------------


@dataclass
class Failure:
    seed: int
    reason: str


@dataclass
class Totals:
    """Of the first run of each seed."""

    schedules: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    modes: dict[str, list[int]] = field(default_factory=dict)
    seeds_of_digest: dict[str, list[int]] = field(default_factory=dict)

    def add(self, seed: int, bootargs: str, outcome: Outcome) -> None:
        explored = outcome.find("explore")
        counts = [number(explored, name) for name in COUNTS]
        mode = bootargs.partition("preempt=")[2].split(" ")[0].rpartition(":")[2]
        row = self.modes.setdefault(mode, [0] * (1 + len(COUNTS)))
        self.schedules += 1
        for i, count in enumerate([1, *counts]):
            row[i] += count
        for name, count in zip(COUNTS, counts):
            self.counts[name] += count
        if digest_of(outcome):
            self.seeds_of_digest.setdefault(digest_of(outcome), []).append(seed)


class Sweep:
    """Runs every seed, some of them twice, and counts the results."""

    def __init__(self, options: argparse.Namespace, interrupts: launch.Interrupts) -> None:
        self.options = options
        self.choices: Choices = options.choices
        self.interrupts = interrupts
        self.symbols = launch.Symbols(options.kernel)
        self.kernel = kernel_hash(options.kernel)
        self.totals = Totals()
        self.failures: list[Failure] = []
        self.first_digest: dict[int, str] = {}
        self.repeats = 0
        self.repeats_done = 0
        self.status = StatusLine(seconds_between=15)
        self.started = time.monotonic()

    def boot(self, seed: int) -> Boot:
        return Boot(
            kernel=self.options.kernel,
            smp=self.choices.smp,
            mem=self.choices.mem,
            bootargs=bootargs_of(seed, self.choices),
            timeout=self.options.timeout,
            icount=ICOUNT,
        )

    def run_one(self, seed: int, again: bool) -> Outcome:
        log = self.options.out / f"seed-{seed}{'-again' if again else ''}.log"
        return run_schedule(seed, self.boot(seed), log, self.symbols, self.interrupts)

    def fail(self, seed: int, reason: str) -> None:
        self.failures.append(Failure(seed, reason))
        self.status.print(f"FAIL  seed {seed}: {reason}\n      replay it: "
                          + replay_command(seed, self.choices))

    def take(self, seed: int, again: bool, outcome: Outcome, results: TextIO) -> None:
        if outcome.interrupted:
            return
        results.write(result_line(seed, self.boot(seed), self.kernel, outcome))
        results.flush()
        if again:
            self.repeats_done += 1
        else:
            self.totals.add(seed, self.boot(seed).bootargs, outcome)
        if outcome.fault:
            self.fail(seed, outcome.fault + (" (its second run)" if again else ""))
        self.compare_digests(seed, digest_of(outcome))

    def compare_digests(self, seed: int, digest: str) -> None:
        """The first of two runs to end only leaves its digest."""
        other = self.first_digest.setdefault(seed, digest)
        if digest and other and digest != other:
            self.fail(seed, f"not deterministic: digest {other} in one run, {digest} in another")

    def progress(self) -> str:
        done, total = self.totals.schedules, len(self.options.seeds)
        rate = (done + self.repeats_done) / max(time.monotonic() - self.started, 0.001)
        left = (total - done + self.repeats - self.repeats_done) / rate if rate else 0
        return (f"{done} of {total} schedules, {rate:.1f} schedules/s, "
                f"{len(self.failures)} failed, {left:.0f} s left")

    def ending(self) -> bool:
        return bool(self.interrupts.received or (self.options.stop_first and self.failures))

    def work(self) -> Iterator[tuple[int, bool]]:
        """The repeats behind the first run, so that the two seldom have the same neighbours."""
        again = self.options.seeds[: self.options.check_digests]
        self.repeats = len(again)
        yield from ((seed, False) for seed in self.options.seeds)
        yield from ((seed, True) for seed in again)

    def run(self, results: TextIO) -> None:
        work = self.work()
        running: dict[Future[Outcome], tuple[int, bool]] = {}
        with ThreadPoolExecutor(self.options.jobs) as pool:
            while True:
                while len(running) < self.options.jobs and not self.ending():
                    item = next(work, None)
                    if item is None:
                        break
                    running[pool.submit(self.run_one, *item)] = item
                if not running:
                    return
                done, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    self.take(*running.pop(future), future.result(), results)
                self.status.update(self.progress())

    def check_distinct(self) -> None:
        """Seeds are part of what is digested: two of them with one digest digested nothing."""
        for digest, seeds in self.totals.seeds_of_digest.items():
            if len(seeds) > 1:
                others = ", ".join(map(str, seeds[:8]))
                self.fail(seeds[0], f"digest {digest} is that of several seeds: {others}")

    def summary(self) -> Iterator[str]:
        totals, seconds = self.totals, time.monotonic() - self.started
        rate = (totals.schedules + self.repeats_done) / max(seconds, 0.001)
        counts = totals.counts
        repeated = f" and {self.repeats_done} of them twice" if self.repeats_done else ""
        yield f"{totals.schedules} schedules{repeated} in {seconds:.0f} s, {rate:.1f} schedules/s"
        yield (f"{len(totals.seeds_of_digest)} distinct digests; {counts['switches']} switches, "
               f"{counts['in_locks']} within locks, {counts['in_sequences']} within restartable "
               f"sequences; {counts['allocs'] + counts['frees']} allocations and frees")
        yield "  mode    schedules    switches    in locks in sequences      stalls"
        for mode, row in sorted(totals.modes.items()):
            yield f"  {mode:<7}{row[0]:10}{row[1]:12}{row[2]:12}{row[3]:13}{row[4]:12}"
        for failure in self.failures:
            yield f"FAIL  seed {failure.seed}: {failure.reason}"
            yield "      replay it: " + replay_command(failure.seed, self.choices)
        if self.failures:
            yield f"consoles and results in {self.options.out}"
        failed = len({failure.seed for failure in self.failures})
        yield f"{totals.schedules - failed} passed, {failed} failed"


def sweep(options: argparse.Namespace) -> int:
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("seed-*.log"):
        old.unlink()
    interrupts = launch.Signals()
    run = Sweep(options, interrupts)
    with (options.out / "results.jsonl").open("w", encoding="utf-8") as results:
        run.run(results)
    run.check_distinct()
    for line in run.summary():
        run.status.print(line)
    if interrupts.received:
        return 128 + interrupts.received
    return 1 if run.failures or not run.totals.schedules else 0


# The replay ------------------------------------------------------------------------------------


def read_lines(path: Path) -> Iterator[Record]:
    """The JSON objects of a file, one to a line; no objects if there is no such file."""
    with contextlib.suppress(FileNotFoundError):
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    yield found


def known_digest(seed: int, boot: Boot, results: Iterable[Path]) -> str:
    """That of an earlier run of the same binary on the same machine, or none."""
    wanted = {"seed": seed, "kernel": kernel_hash(boot.kernel), "smp": boot.smp, "mem": boot.mem,
              "bootargs": boot.bootargs}
    for path in results:
        for result in read_lines(path):
            if all(result.get(key) == value for key, value in wanted.items()):
                if result.get("digest"):
                    return str(result["digest"])
    return ""


def compare(found: str, known: str) -> str:
    if not found:
        return "no digest: the run ended without the verdict it is in"
    if not known:
        return f"digest {found}; none on record of this seed, binary and machine"
    if found == known:
        return f"digest {found}, the same as on record"
    return f"NOT THE SAME RUN: digest {found}, but {known} is on record"


def replay(options: argparse.Namespace) -> int:
    seed = options.replay
    boot = Boot(
        kernel=options.kernel,
        smp=options.choices.smp,
        mem=options.choices.mem,
        bootargs=bootargs_of(seed, options.choices),
        timeout=0 if options.gdb else options.timeout,
        icount=ICOUNT,
    )
    records = options.out / "replay.jsonl"
    arguments = boot.launch_arguments()
    arguments += ["--log", str(options.out / "replay.log"), "--records", str(records)]
    launch.say(f"seed {seed}: -smp {boot.smp} -m {boot.mem} -icount {ICOUNT} -append "
               + shlex.quote(boot.bootargs))
    if options.gdb:
        arguments += ["--gdb", "--gdb-port", str(options.gdb_port)]
        launch.say("the schedule is the same under gdb: stops take no virtual time")
    status = launch.main(arguments)
    if status == launch.CANNOT_RUN:
        return status
    outcome = Outcome(records=list(read_lines(records)))
    found = digest_of(outcome)
    known = known_digest(seed, boot, (options.out / "results.jsonl", SOAK_RESULTS))
    launch.say(compare(found, known))
    fault = find_fault(seed, outcome)
    if status == launch.PASS and fault:
        launch.say(fault)
    if status == launch.PASS and (fault or (known and found != known)):
        return launch.FAIL
    return status


# The shrinker ------------------------------------------------------------------------------------

# A failure that cannot be forced is looked for again with these.
SHRINKABLE = ("walk:200", "pct:100:3", "walk:2000", "pct:1000:3")
SEEDS_TRIED = 25
STORY_LINES = 40


class Shrinker:
    """Boots lists of switches of one seed, and compares how they fail."""

    def __init__(self, options: argparse.Namespace, interrupts: launch.Interrupts) -> None:
        self.options = options
        self.interrupts = interrupts
        self.symbols = launch.Symbols(options.kernel)
        self.ends = time.monotonic() + 60 * options.minutes
        self.boots = 0
        self.wanted = ""
        self.bootargs = ""
        self.length = 0  # of the boot arguments of all lists
        self.status = StatusLine(seconds_between=15)

    def boot(self, bootargs: str) -> Outcome:
        if time.monotonic() > self.ends or self.interrupts.received:
            raise explore_shrink.OutOfTime
        choices = self.options.choices
        boot = Boot(self.options.kernel, choices.smp, choices.mem, bootargs, self.options.timeout, ICOUNT)
        self.boots += 1
        return run_boot(boot, self.options.out / "shrink.log", self.symbols, self.interrupts)

    def listed(self, switches: list[explore_shrink.Switch]) -> str:
        words = [word for word in self.bootargs.split() if not word.startswith(("schedule=", "switches="))]
        words += ["schedule=list"]
        if switches:
            words += ["switches=" + ",".join(map(str, switches))]
        # The kernel keeps the text: its length decides where other things are in memory.
        return " ".join(words).ljust(self.length)

    def fails(self, switches: list[explore_shrink.Switch]) -> bool:
        outcome = self.boot(self.listed(switches))
        same = bool(outcome.fault) and explore_shrink.failure_class(outcome.fault) == self.wanted
        self.status.update(f"{len(switches)} switches: "
                           + ("fails, too" if same else "another failure" if outcome.fault else "passes"))
        return same

    def find(self, seed: int) -> list[explore_shrink.Switch]:
        """A list of switches that fails as the seed does; the empty list: none was found."""
        self.bootargs = bootargs_of(seed, self.options.choices)
        outcome = self.boot(self.bootargs)
        if not outcome.fault:
            return []
        self.wanted = explore_shrink.failure_class(outcome.fault)
        self.status.print(f"seed {seed}: {outcome.fault}")
        return self.list_of(outcome) or self.find_another(seed)

    def list_of(self, outcome: Outcome) -> list[explore_shrink.Switch]:
        """The switches of a failed run, if a run of them as a list fails in the same way."""
        turns = explore_shrink.turns_of(outcome.records)
        if not turns or number(outcome.find("schedule"), "lost"):
            return []
        self.length = 0
        self.length = 1024 + len(self.listed(explore_shrink.switches_of(turns)))
        return explore_shrink.switches_of(turns) if self.fails(explore_shrink.switches_of(turns)) else []

    def find_another(self, seed: int) -> list[explore_shrink.Switch]:
        """The same failure of the same workload, with other seeds of schedulers that can be forced."""
        choices = self.options.choices
        mode = preempt_of(schedule_of(seed, choices.workloads), choices.preempt, True)
        words = [word for word in self.bootargs.split()
                 if not word.startswith(("preempt=", "seed=", "schedule="))]
        for other in range(seed, seed + SEEDS_TRIED):
            for kind in SHRINKABLE:
                self.bootargs = " ".join([*words, f"seed={other}", f"preempt={mode}", f"schedule={kind}"])
                outcome = self.boot(self.bootargs)
                self.status.update(f"looking for a list that fails: schedule={kind}, seed {other}")
                if not outcome.fault or explore_shrink.failure_class(outcome.fault) != self.wanted:
                    continue
                found = self.list_of(outcome)
                if found:
                    self.status.print(f"the same with schedule={kind} seed={other}")
                    return found
        return []

    def tell(self, switches: list[explore_shrink.Switch]) -> None:
        """The story of the run that the printed command makes, where that fails too."""
        seed, choices = self.as_replay(switches)
        command = replay_command(seed, choices)
        outcome = self.boot(bootargs_of(seed, choices))
        if explore_shrink.failure_class(outcome.fault) != self.wanted:
            command = f"its boot arguments have spaces at the end, {self.length} characters in all"
            outcome = self.boot(self.listed(switches))
        turns = explore_shrink.turns_of(outcome.records)
        places = explore_shrink.find_places(self.options.kernel, (turn.pc for turn in turns), ROOT)
        current = outcome.find("schedule").get("current")
        lines = explore_shrink.story(turns, places, f"cpu {current}: {outcome.fault}")
        story = self.options.out / "shrink.txt"
        story.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        if len(lines) > STORY_LINES:
            self.status.print(f"the last {STORY_LINES} lines of {story}:")
        for line in lines[-STORY_LINES:]:
            self.status.print(line)
        self.status.print("run it: " + command)

    def as_replay(self, switches: list[explore_shrink.Switch]) -> tuple[int, Choices]:
        words = self.listed(switches).split()
        seed = next(word for word in words if word.startswith("seed=")).partition("=")[2]
        given = " ".join(word for word in words if not word.startswith(("run=", "seed=")))
        return int(seed), replace(self.options.choices, bootargs=given, preempt="", schedule="")


def how_far(left: list[explore_shrink.Switch]) -> str:
    return "none of them can be left out" if left else "it is enough that each cpu goes on until it waits"


def shrink(options: argparse.Namespace) -> int:
    """Exit status: 0 when it has been shrunk, 1 when the seed passes or no list fails as it does."""
    options.out.mkdir(parents=True, exist_ok=True)
    interrupts = launch.Signals()
    shrinker = Shrinker(options, interrupts)
    try:
        switches = shrinker.find(options.shrink)
        if not switches:
            print("nothing to shrink: " + ("no list of switches was found that fails like that"
                                           if shrinker.wanted else "this seed passes"))
            return 1
        left, is_least = explore_shrink.minimise(switches, shrinker.fails)
        shrinker.status.print(f"{len(switches)} switches before, {len(left)} after {shrinker.boots} boots; "
                              + (how_far(left) if is_least else "time is over: fewer may do"))
        shrinker.ends = math.inf
        shrinker.tell(left)
    except explore_shrink.OutOfTime:
        print("time is over before a list that fails was found")
        return 128 + interrupts.received if interrupts.received else 1
    return 0


# The command line ------------------------------------------------------------------------------


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def add_common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--kernel", type=Path, default=DEFAULT_KERNEL, metavar="ELF")
    add("--smp", default=DEFAULT_SMP, metavar="N", help=f"harts (default: {DEFAULT_SMP})")
    add("--mem", default=DEFAULT_MEM, metavar="SIZE", help=f"memory (default: {DEFAULT_MEM})")
    add("--workload", type=parse_workloads, default=WORKLOADS, metavar="NAME,..",
        help="only these workloads (default: all)")
    add("--preempt", default="", metavar="MIN:RANGE:MODE",
        help="in place of the seed's; also MIN:RANGE or MODE alone")
    add("--bootargs", default="", metavar="WORDS", help="in place of the seed's, key by key")
    add("--schedule", default="", metavar="KIND",
        help="in place of the seed's: seeds, pct, pct:STEPS:DEPTH, walk or walk:STEPS")


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Explore seeded schedules, or replay one.")
    add = parser.add_argument
    add_common(parser)
    add("--seeds", type=parse_seeds, default=parse_seeds("1-64"), metavar="A-B,..",
        help="seeds to run (default: 1-64)")
    add("--replay", type=int, metavar="SEED", help="run this seed, with its console shown")
    add("--shrink", type=int, metavar="SEED", help="leave out switches of this failing schedule")
    add("--minutes", type=float, default=5.0, metavar="N", help="limit of --shrink (default: 5)")
    add("--gdb", action="store_true", help="a replay that waits for gdb")
    add("--gdb-port", type=int, default=0, metavar="N", help="with --gdb: the port (default: a free one)")
    add("--check-digests", type=int, default=DEFAULT_DIGEST_CHECKS, metavar="N",
        help=f"run the first N seeds twice (default: {DEFAULT_DIGEST_CHECKS})")
    add("--stop-first", action="store_true", help="start nothing more after a failure")
    add("--jobs", type=positive, default=len(os.sched_getaffinity(0)), metavar="N",
        help="boots at a time (default: the host's processors)")
    add("--timeout", type=float, default=DEFAULT_TIMEOUT_SECONDS, metavar="SECONDS",
        help="limit for each boot")
    add("--out", type=Path, default=DEFAULT_OUT, metavar="DIR")
    options = parser.parse_args(arguments)
    options.out = options.out.resolve()
    options.choices = Choices(
        options.smp, options.mem, options.workload, options.preempt, options.bootargs, options.schedule
    )
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        launch.find_qemu()
        if not options.kernel.is_file():
            raise launch.CannotRun(f"{options.kernel}: no such file")
        if options.shrink is not None:
            return shrink(options)
        return sweep(options) if options.replay is None else replay(options)
    except launch.CannotRun as error:
        print(f"explore: {error}", file=sys.stderr)
        return launch.CANNOT_RUN
    except OSError as error:  # a full disk, a tree that cannot be written
        print(f"explore: {error.filename or 'write'}: {error.strerror}", file=sys.stderr)
        return launch.CANNOT_RUN


if __name__ == "__main__":
    sys.exit(main())
