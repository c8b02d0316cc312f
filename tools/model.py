#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks docs/models/*.pml with spin, and that their broken twins fail.

The protocol as it is must hold in every instance, in a search that left nothing out; and some
call must fail in each, or the claim about failing calls says nothing there. A twin is the same
model with one thing broken: spin must find it, by the error that it should make.

One line for each, and OK or what was wrong. The trail of an error can be shown with the
command that a surprise prints. Exit status: 0 all as it should be, 1 not so, 2 cannot run.
"""

from __future__ import annotations

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import model_code

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "docs" / "models"
PRESSURE = "pressure.pml"
HEAP = "heap.pml"

MEMORY_MIB_MAX = 3500
DEPTH_MAX = 100_000
# Partial order reduction does not know of processes that hold each other up (`provided`). To build
# most of these programs takes longer than to run them: so they are not optimised.
PAN_CFLAGS = ("-O0", "-DNOREDUCE", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MIB_MAX}")
# Bounds that only a hang reaches, on a slow machine too.
BUILD_SECONDS_MAX = 300
SEARCH_SECONDS_MAX = 1800

SPURIOUS = "spurious failure"
STALE = "stale note"
DEADLOCK = "deadlock"
WAITS_FOR_STOPPED = "waits for stopped cpu"
ENDLESS_ANSWER = "answer has no bound"
CYCLE = "no end"
BOOKS = "frame lost or made"
REACHED = "reached"
OTHER = "other error"

# What pan says of the assertions, by a part of their text.
ASSERTIONS = {
    "fseen": SPURIOUS, "seen": SPURIOUS, "stale": STALE, "running": WAITS_FOR_STOPPED, "left[": ENDLESS_ANSWER,
    "nfree==": BOOKS, "excluded": REACHED,
}

# Options of pan. Where nothing goes on for ever but what others do meanwhile, each process that can
# take a step takes it at last.
CYCLES = "-l"
FAIR_CYCLES = "-l -f"

# What an instance has to reach, or the claims about it would say nothing there.
FAILS = "NEVER_FAILS"
AT_ONCE = "NEVER_AT_ONCE"


class CannotRun(Exception):
    """A tool is missing, or does not do its work."""


@dataclass(frozen=True)
class Instance:
    """The protocol at one size."""

    name: str
    defines: str
    reaches: tuple[str, ...]
    cycles: str = ""  # and searched for executions without an end, with these options of pan
    model: str = PRESSURE


@dataclass(frozen=True)
class Twin:
    """One thing broken, where it shows, and how; no error: a variant that holds too."""

    flag: str
    instance: str
    error: str = ""


@dataclass(frozen=True)
class Job:
    """One search, and the error it should find."""

    name: str
    defines: str
    error: str
    cycles: str = ""
    model: str = PRESSURE


@dataclass(frozen=True)
class Outcome:
    """What one search came to; no error: everything was searched and is right."""

    error: str
    states: int
    seconds: float


INSTANCES = (
    Instance("two-cpus", "CPUS=2 ALLOC0=2 ALLOC1=2 FREE1=1 ZONE0=1 STACK1=1 HELD1=1",
             (FAILS, AT_ONCE)),
    Instance("two-zones", "CPUS=2 ZONES=2 ALLOC0=1 ALLOC1=2 FREE1=2 REMOTE1=1 STACK1=1 HELD1=1",
             (FAILS,)),
    Instance("runs", "CPUS=2 RUN0=2 FREE1=2 ALLOC1=1 STACK1=1 HELD1=1 PARKS=2", (AT_ONCE,)),
    Instance("early", "CPUS=2 RUN0=1 FREE1=1 ASK1=1 HELD1=1 PARKS=3", ()),
    Instance("early-low", "CPUS=2 ALLOC0=1 RUN0=1 FREE1=2 EARLY=1 ZONE0=1 STACK1=1 HELD1=2",
             (FAILS,)),
    Instance("early-stop", "CPUS=3 RUN0=1 FREE1=1 ASK2=1 HELD1=1 PARKS=7 STOPPER=2", ()),
    Instance("handlers", "CPUS=2 ALLOC0=1 ALLOC1=1 TRAP_ALLOC1=1 TRAP_FREE1=1 STACK1=2 HELD1=1",
             (), CYCLES),
    Instance("handlers-twice", "CPUS=2 ALLOC0=2 TRAP_ALLOC1=1 TRAP_FREE1=1 STACK1=2 HELD1=1",
             (FAILS,)),
    Instance("handler-at-opening", "CPUS=2 ALLOC0=2 ALLOC1=1 TRAP_FREE1=1 STACK1=1 HELD1=1",
             (FAILS,)),
    Instance("two-handlers",
             "CPUS=2 ALLOC1=1 FREE1=1 TRAP_ALLOC0=1 TRAP_ALLOC1=1 STACK1=1 HELD1=1", (FAILS,)),
    Instance("handler-of-runs", "CPUS=2 RUN0=2 RUN1=1 FREE1=1 TRAP_FREE1=1 HELD1=2 PARKS=1", ()),
    Instance("stop", "CPUS=2 ALLOC0=2 ALLOC1=1 FREE1=1 STACK1=1 HELD1=1 STOPPER=1", (FAILS,)),
    Instance("stop-runs", "CPUS=2 RUN0=1 FREE1=1 STACK1=1 HELD1=1 STOPPER=1", ()),
    Instance("three-cpus", "CPUS=3 ALLOC0=1 FREE1=1 ALLOC2=1 STACK2=1 HELD1=1 PARKS=3", (FAILS,)),
    Instance("two-of-three", "CPUS=3 ALLOC0=1 ALLOC1=1 STACK2=1 PARKS=3", (FAILS,)),
    Instance("tickets", "CPUS=2 CAPACITY=3 ALLOC0=1 TRAP_ALLOC0=1 ALLOC1=1 STACK1=3", ()),
    Instance("store-buffers",
             "CPUS=3 BUFFERS ALLOC0=1 FREE1=1 ALLOC2=1 STACK2=1 HELD1=1 PARKS=3", (FAILS,)),
    Instance("last-look", "CPUS=2 ZONES=2 ALLOC0=2 CHURN=2 ZONE1=1 PARKS=3", (FAILS, AT_ONCE),
             FAIR_CYCLES),
    Instance("user-lock", "CPUS=2 LOCKED0=1 LOCKED1=1 ALLOC1=1 STACK1=1 SPINNERS_ANSWER", (FAILS,)),
    Instance("user-lock-nowait", "CPUS=2 LOCKED0=1 LOCKED1=1 ALLOC1=1 STACK1=1 LOCKED_NOWAIT", ()),
    Instance("alone", "CPUS=2 ALLOC0=2", (FAILS, AT_ONCE)),
) + tuple(Instance(f"heap-{name}", defines, reaches, cycles, HEAP) for name, defines, reaches, cycles in (
    ("block-moves", "ALLOC0=1 ALLOC1=1 ROOM_FREE1=1 STACK1=1 OPENS=2", (FAILS,), ""),
    ("room-moves", "ALLOC0=1 ALLOC1=1 FREE1=1 ROOM_FREE1=1 ROOM_ALLOC1=1 STACK1=1 OPENS=2", (FAILS,), ""),
    ("batch", "ALLOC0=1 ALLOC1=1 STACK1=2 OPENS=2", (), ""),
    ("free", "ALLOC0=1 FREE1=1", (FAILS,), ""),
    ("alone", "ALLOC0=1", (FAILS,), FAIR_CYCLES),
    ("slab-leaves", "FRAMES=2 FRAME0=1 ALLOC1=1 FREE1=1 FRAME1=1 SLAB=1 SLAB1=2", (FAILS,), ""),
    ("slab-tried", "ALLOC0=1 ALLOC1=1 ROOM=1", (FAILS,), FAIR_CYCLES),
    ("frames", "FRAMES=2 FRAME0=1 FRAME1=1 SLAB=2 SLAB1=2", (), FAIR_CYCLES),
    ("frame-and-block", "FRAMES=2 FRAME0=1 ALLOC1=2 FREE1=1 SLAB=2 SLAB1=1", (FAILS,), ""),
    ("handler", "ALLOC0=1 TRAP_ALLOC0=1 ROOM=1", (FAILS,), ""),
    ("three-cpus", "CPUS=3 ALLOC0=1 ALLOC1=1 ROOM_FREE1=1 ALLOC2=1 STACK1=1 OPENS=2", (FAILS,), ""),
))

TWINS = (
    # The answer.
    Twin("PARKED_EARLY", "two-cpus", SPURIOUS),
    Twin("NEVER_PARKED", "two-cpus", SPURIOUS),
    Twin("PARKS_WITHOUT_LOOKING", "handlers-twice", SPURIOUS),
    Twin("NEVER_CLOSING", "handlers", ENDLESS_ANSWER),
    Twin("REMOTE_FORGOTTEN", "two-zones", SPURIOUS),
    Twin("TICKET_READ_UNMASKED", "handler-of-runs", DEADLOCK),
    Twin("IPI_CLEARED_LATE", "early-low", DEADLOCK),
    # The opening.
    Twin("OPEN_LOOKS_FIRST_ONLY", "three-cpus", SPURIOUS),
    Twin("OPEN_UNMASKED", "handlers", SPURIOUS),
    Twin("OPEN_ASKED_UNMASKED", "handler-at-opening", SPURIOUS),
    Twin("NO_FENCE_IN_OPEN", "store-buffers", SPURIOUS),
    Twin("OPENING_COUNTED_LATE", "two-cpus", SPURIOUS),
    Twin("OPENING_COUNTED_LATE", "runs", STALE),
    # The request.
    Twin("PRESSURE_LATE", "two-cpus", SPURIOUS),
    Twin("PRESSURE_AFTER_TICKET", "tickets", SPURIOUS),
    Twin("PRESSURE_LOWERED_EARLY", "two-cpus", SPURIOUS),
    Twin("NO_FENCE_IN_REQUEST", "store-buffers", SPURIOUS),
    Twin("ASKED_IS_STORED", "two-of-three", SPURIOUS),
    Twin("MODULUS=2", "two-cpus", SPURIOUS),
    Twin("OWN_NOT_PARKED", "two-zones", SPURIOUS),
    Twin("WAITS_UNASKED", "runs", DEADLOCK),
    Twin("OWN_PARKED_LAST WAITS_WITHOUT_ANSWER", "two-handlers", DEADLOCK),
    Twin("WAITS_WITHOUT_ANSWER", "two-handlers"),
    Twin("EARLY_ASKS_ITSELF", "early", DEADLOCK),
    Twin("EARLY_UNMASKED", "early-stop", WAITS_FOR_STOPPED),
    # The last look.
    Twin("ONE_SUM", "last-look", SPURIOUS),
    Twin("LOCKS_APART", "last-look", SPURIOUS),
    Twin("ENDLESS_LOOKS", "last-look", CYCLE),
    # The note.
    Twin("OPENINGS_READ_AFTER_STATES", "runs", STALE),
    Twin("OPENINGS_READ_LAST", "two-cpus", SPURIOUS),
    Twin("OPENINGS_READ_LAST", "runs", STALE),
    Twin("NOTE_WITHOUT_RELEASES", "last-look", SPURIOUS),
    Twin("RELEASES_READ_LAST", "last-look"),
    Twin("NEVER_AT_ONCE POP_OPENS_ALWAYS", "alone"),
    # Cpus that come and go.
    Twin("STOP_WITHOUT_DRAIN", "stop", SPURIOUS),
    Twin("START_WITHOUT_PARKING", "stop", SPURIOUS),
    Twin("NO_NUMBER_ON_START", "stop-runs", DEADLOCK),
    # Under a lock of the user's.
    Twin("SPINNERS_DO_NOT_ANSWER", "user-lock", DEADLOCK),
    # The heap: the search of an allocation that fails.
    Twin("CLAIMS_NOT_COMPARED", "heap-block-moves", SPURIOUS),
    Twin("CLAIMS_UNCOUNTED", "heap-block-moves", SPURIOUS),
    Twin("ARENA_CLAIMS_UNCOUNTED", "heap-room-moves", SPURIOUS),
    Twin("NO_LAST_LOOK", "heap-block-moves", SPURIOUS),
    Twin("ROOM_SEARCHED_FIRST", "heap-block-moves", SPURIOUS),
    Twin("NO_GIVE", "heap-frames", SPURIOUS),
    Twin("TRIES_IN_SEARCH", "heap-alone", CYCLE),
    # Memory in transit.
    Twin("TRANSIT_NOT_WAITED_FOR", "heap-slab-leaves", SPURIOUS),
    Twin("GIVE_UNCOUNTED", "heap-slab-leaves", SPURIOUS),
    Twin("TRIES_UNCOUNTED", "heap-slab-tried", SPURIOUS),
    Twin("TRANSIT_ENDS_EARLY", "heap-slab-leaves", SPURIOUS),
    Twin("GONE_BEFORE_TRANSIT", "heap-slab-leaves", SPURIOUS),
    Twin("TRANSIT_READ_FIRST", "heap-slab-leaves", SPURIOUS),
    Twin("TRANSIT_INTERRUPTED", "heap-handler", DEADLOCK),
    # Its stacks.
    Twin("STACK_NOT_EMPTIED", "heap-batch", SPURIOUS),
    Twin("PARKS_WITHOUT_LOOKING", "heap-batch", SPURIOUS),
    Twin("PARKED_STACK_FILLS", "heap-free", SPURIOUS),
)


def run(command: list[str], folder: Path, seconds: float) -> str:
    """Runs a tool to its end; its output, whatever its exit status unless it is a signal."""
    try:
        done = subprocess.run(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=seconds, check=False,
        )
    except OSError as error:
        raise CannotRun(f"{command[0]}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{command[0]}: not done after {seconds:.0f} s") from None
    if done.returncode < 0:
        raise CannotRun(f"{command[0]}: ended by signal {-done.returncode}\n{done.stdout}")
    return done.stdout


def build(folder: Path, model: str, defines: list[str], cycles: str) -> None:
    """Makes the program that searches, `pan`."""
    kind = ["-DNP", "-DNFAIR=3"] if cycles else ["-DSAFETY"]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(MODELS / model, folder)
    for command, product in (
        (["spin", *defines, "-a", model], "pan.c"),
        (["gcc", *PAN_CFLAGS, *kind, "-o", "pan", "pan.c"], "pan"),
    ):
        said = run(command, folder, BUILD_SECONDS_MAX)
        if not (folder / product).exists():
            raise CannotRun(f"{shlex.join(command)} makes no {product}\n{said}")


def read_error(said: str) -> str:
    """Of pan's output: the kind of its first error, or what kept the search from its end."""
    first = re.search(r"^pan:\d+: (.*)$", said, re.M)
    if first:
        text = first[1]
        if text.startswith("invalid end state"):
            return DEADLOCK
        if "non-progress cycle" in text:
            return CYCLE
        kinds = (kind for part, kind in ASSERTIONS.items() if part in text.replace("(", ""))
        return next(kinds, f"{OTHER}: {text}")
    for trouble in ("max search depth too small", "Search not completed", "MEMLIM",
                    "out of memory", "VECTORSZ", "aborting"):
        if trouble.lower() in said.lower():
            return f"search not complete: {trouble}"
    if not re.search(r"^State-vector .* errors: 0$", said, re.M):
        return f"{OTHER}: {said.strip() or 'nothing printed'}"
    return ""


def search(folder: Path, job: Job) -> Outcome:
    build(folder, job.model, [f"-D{define}" for define in job.defines.split()], job.cycles)
    started = time.monotonic()
    command = ["./pan", f"-m{DEPTH_MAX}", "-w22", *job.cycles.split()]
    said = run(command, folder, SEARCH_SECONDS_MAX)
    seconds = time.monotonic() - started
    (folder / "pan.log").write_text(said)
    stored = re.search(r"^\s*([\d.e+]+) states, stored", said, re.M)
    return Outcome(read_error(said), int(float(stored[1])) if stored else 0, seconds)


def show_trail(folder: Path, model: str, defines: str) -> str:
    options = " ".join(f"-D{define}" for define in defines.split())
    return f"cd {folder} && spin -t -p -g -l {options} {model}"


def report(job: Job, folder: Path, outcome: Outcome) -> bool:
    """Prints the line; whether the search came out as it should."""
    right = outcome.error == job.error
    found = outcome.error or "holds"
    verdict = "ok" if right else f"NOT OK, expected: {job.error or 'holds'}"
    print(f"  {job.name:<54} {found:<21} {outcome.states:>9} {outcome.seconds:>7.1f}  {verdict}",
          flush=True)
    if not right and (folder / f"{job.model}.trail").exists():
        print(f"    {show_trail(folder, job.model, job.defines)}", flush=True)
    return right


def all_jobs() -> list[Job]:
    instances = {instance.name: instance for instance in INSTANCES}
    jobs = []
    for instance in INSTANCES:
        model = instance.model
        jobs.append(Job(instance.name, instance.defines, "", model=model))
        if instance.cycles:
            jobs.append(Job(f"{instance.name}-ends", instance.defines, "", instance.cycles, model))
        jobs += [Job(f"{instance.name}-{reached}", f"{instance.defines} {reached}", REACHED,
                     model=model)
                 for reached in instance.reaches]
    for twin in TWINS:
        name = f"{twin.instance}-{twin.flag.replace(' ', '-')}"
        instance = instances[twin.instance]
        jobs.append(Job(name, f"{instance.defines} {twin.flag}", twin.error,
                        FAIR_CYCLES if twin.error == CYCLE else "", instance.model))
    return jobs


def check_all(out: Path, at_once: int, only: str) -> int:
    """How many searches did not come out as they should."""
    print(f"  {'search':<54} {'finds':<21} {'states':>9} {'seconds':>7}", flush=True)
    jobs = [job for job in all_jobs() if only in job.name]
    with ThreadPoolExecutor(at_once) as pool:
        outcomes = pool.map(lambda job: search(out / job.name, job), jobs)
        rights = [report(job, out / job.name, outcome) for job, outcome in zip(jobs, outcomes)]
    return rights.count(False)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "models",
                        help="where the searching programs and trails go")
    parser.add_argument("--only", default="", metavar="PART",
                        help="only searches whose name contains this")
    parser.add_argument("--jobs", type=int, default=2, help="searches at once")
    options = parser.parse_args(arguments)
    for tool in ("spin", "gcc"):
        if not shutil.which(tool):
            print(f"model: there is no {tool}: `make deps` installs it (Debian package {tool})",
                  file=sys.stderr)
            return 2
    changed = model_code.check()
    for text in changed:
        print(f"model: {text}")
    started = time.monotonic()
    try:
        wrong = len(changed) + check_all(options.out.resolve(), options.jobs, options.only)
    except CannotRun as reason:
        print(f"model: {reason}", file=sys.stderr)
        return 2
    verdict = f"{wrong} not as they should be" if wrong else "all as they should be"
    print(f"model: {verdict}, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
