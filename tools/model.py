#!/usr/bin/env python3
"""Checks docs/models/pressure.pml with spin, and that its broken twins fail.

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

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "docs" / "models" / "pressure.pml"

MEMORY_MIB_MAX = 3500
DEPTH_MAX = 100_000
# Partial order reduction does not know of processes that hold each other up (`provided`). To build
# most of these programs takes longer than to run them: so they are not optimised.
PAN_CFLAGS = ("-O0", "-DSAFETY", "-DNOREDUCE", "-DCOLLAPSE", f"-DMEMLIM={MEMORY_MIB_MAX}")
# Bounds that only a hang reaches, on a slow machine too.
BUILD_SECONDS_MAX = 300
SEARCH_SECONDS_MAX = 1800

SPURIOUS = "spurious failure"
DEADLOCK = "deadlock"
BOOKS = "frame lost or made"
REACHED = "a call fails"
OTHER = "other error"

# What pan says of the assertions, by a part of their text.
ASSERTIONS = {"seen": SPURIOUS, "nfree==": BOOKS, "assertion violated got": REACHED}


class CannotRun(Exception):
    """A tool is missing, or does not do its work."""


@dataclass(frozen=True)
class Instance:
    """The protocol at one size."""

    name: str
    defines: str


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


@dataclass(frozen=True)
class Outcome:
    """What one search came to; no error: everything was searched and is right."""

    error: str
    states: int
    seconds: float


INSTANCES = (
    Instance("two-cpus", "CPUS=2 OPS0=3 OPS1=3 FREE0=1 CACHED=1 HELD=1"),
    Instance("three-cpus", "CPUS=3 OPS0=1 OPS1=2 CACHED=2 HELD=1 CLOSED=1"),
    Instance("handler-over-cpu", "CPUS=2 OPS0=2 OPS1=1 TRAPS0=1 FREE0=1 CACHED=1"),
    Instance("two-handlers", "CPUS=2 OPS0=0 OPS1=1 TRAPS0=1 TRAPS1=1 CACHED=1 HELD=1"),
    Instance("stop", "CPUS=2 OPS0=3 OPS1=2 STOPPER=1 CACHED=2"),
    Instance("stop-of-three", "CPUS=3 OPS0=1 OPS1=1 STOPPER=2 CACHED=1"),
)

TWINS = (
    Twin("FLAG_LOWERED_EARLY", "two-cpus", SPURIOUS),
    Twin("FORGET_IN_FLIGHT", "two-cpus", SPURIOUS),
    Twin("STOLEN_UNMARKED", "two-cpus", BOOKS),
    Twin("KICK_LOST", "two-cpus", DEADLOCK),
    Twin("KICK_CLEARED_LATE", "two-cpus", DEADLOCK),
    Twin("ONE_LOOK", "two-cpus", SPURIOUS),
    Twin("OPEN_UNDER_PRESSURE", "two-cpus", SPURIOUS),
    Twin("OPEN_UNMASKED", "three-cpus", SPURIOUS),
    Twin("BATCH_WHEN_CLOSED", "three-cpus", SPURIOUS),
    Twin("NO_ANSWER_WHILE_WAITING", "two-handlers", DEADLOCK),
    Twin("NO_POLL", "two-handlers"),
    Twin("STOP_WITHOUT_FLUSH", "stop", SPURIOUS),
    Twin("NO_ANSWER_ON_START", "stop", DEADLOCK),
    Twin("ONLINE_LATE", "stop", DEADLOCK),
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


def build(folder: Path, defines: list[str]) -> None:
    """Makes the program that searches, `pan`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(MODEL, folder)
    for command, product in (
        (["spin", *defines, "-a", MODEL.name], "pan.c"),
        (["gcc", *PAN_CFLAGS, "-o", "pan", "pan.c"], "pan"),
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
        kinds = (kind for part, kind in ASSERTIONS.items() if part in text.replace("(", ""))
        return next(kinds, f"{OTHER}: {text}")
    for trouble in ("max search depth too small", "Search not completed", "MEMLIM",
                    "out of memory", "VECTORSZ", "aborting"):
        if trouble.lower() in said.lower():
            return f"search not complete: {trouble}"
    if not re.search(r"^State-vector .* errors: 0$", said, re.M):
        return f"{OTHER}: {said.strip() or 'nothing printed'}"
    return ""


def search(folder: Path, defines: str) -> Outcome:
    build(folder, [f"-D{define}" for define in defines.split()])
    started = time.monotonic()
    said = run(["./pan", f"-m{DEPTH_MAX}", "-w22"], folder, SEARCH_SECONDS_MAX)
    seconds = time.monotonic() - started
    (folder / "pan.log").write_text(said)
    stored = re.search(r"^\s*([\d.e+]+) states, stored", said, re.M)
    return Outcome(read_error(said), int(float(stored[1])) if stored else 0, seconds)


def show_trail(folder: Path, defines: str) -> str:
    options = " ".join(f"-D{define}" for define in defines.split())
    return f"cd {folder} && spin -t -p -g -l {options} {MODEL.name}"


def report(job: Job, folder: Path, outcome: Outcome) -> bool:
    """Prints the line; whether the search came out as it should."""
    right = outcome.error == job.error
    found = outcome.error or "holds"
    verdict = "ok" if right else f"NOT OK, expected: {job.error or 'holds'}"
    print(f"  {job.name:<40} {found:<18} {outcome.states:>9} {outcome.seconds:>7.1f}  {verdict}",
          flush=True)
    if not right and (folder / f"{MODEL.name}.trail").exists():
        print(f"    {show_trail(folder, job.defines)}", flush=True)
    return right


def all_jobs() -> list[Job]:
    sizes = {instance.name: instance.defines for instance in INSTANCES}
    jobs = []
    for name, defines in sizes.items():
        jobs.append(Job(name, defines, ""))
        jobs.append(Job(f"{name}-NEVER_FAILS", f"{defines} NEVER_FAILS", REACHED))
    for twin in TWINS:
        defines = f"{sizes[twin.instance]} {twin.flag}"
        jobs.append(Job(f"{twin.instance}-{twin.flag}", defines, twin.error))
    return jobs


def check_all(out: Path, at_once: int) -> int:
    """How many searches did not come out as they should."""
    print(f"  {'search':<40} {'finds':<18} {'states':>9} {'seconds':>7}", flush=True)
    jobs = all_jobs()
    with ThreadPoolExecutor(at_once) as pool:
        outcomes = pool.map(lambda job: search(out / job.name, job.defines), jobs)
        rights = [report(job, out / job.name, outcome) for job, outcome in zip(jobs, outcomes)]
    return rights.count(False)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "models",
                        help="where the searching programs and trails go")
    parser.add_argument("--jobs", type=int, default=2, help="searches at once")
    options = parser.parse_args(arguments)
    for tool in ("spin", "gcc"):
        if not shutil.which(tool):
            print(f"model: there is no {tool}: `make deps` installs it (Debian package {tool})",
                  file=sys.stderr)
            return 2
    started = time.monotonic()
    try:
        wrong = check_all(options.out.resolve(), options.jobs)
    except CannotRun as reason:
        print(f"model: {reason}", file=sys.stderr)
        return 2
    verdict = f"{wrong} not as they should be" if wrong else "all as they should be"
    print(f"model: {verdict}, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
