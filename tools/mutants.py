#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The bug museum: puts one bug at a time into a copy of the tree, and sees which net catches it.

A bug is a file in tests/mutants/, read by mutant_catalog.py. A net is a job of tools/check, the
build, or a sweep of schedules by explore.py.

Every net runs on the clean copy first and must pass there. Then each mutant is applied, only what
a net needs is built, and nets are run until one fails: those the mutant names, then all others
from cheap to dear. A hang is a catch only if the clean tree, run again at that moment, is done in
half the time. A mutant with a bad head, one whose text is not found, one that names a net that
does not exist and one that does not build are failures of the museum and no catch, unless the
mutant names the net `build`.

With --generate the mutants are made by rule, of functions that are named (mutant_generate.py).
Their score is another one, and a survivor among them is no failure.

Usage: mutants.py [OPTIONS] -- PLAN (tools/check/plan.py)
       mutants.py --generate PATTERN... [OPTIONS] -- PLAN (tools/check/plan.py)
       mutants.py --list | --check | --touching FILE... | --new NAME [FILE...] | --convert FILE...
Exit status: 0 all caught, 1 not all, 2 cannot run, 130 interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import dataclasses
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

import mutant_author
import mutant_convert
import mutant_generate
from mutant_catalog import (
    ALL_CAUGHT, CANNOT_RUN, FOLDER, INTERRUPTED, NOT_ALL, CannotRun, Mutant, apply_mutant,
    check_all, files_touched, full_name, group_of, in_columns, mutant_files, parse_nets,
    read_mutants, refuse_twins, show_list, show_touching,
)
from mutant_text import BadMutant, Index

ROOT = Path(__file__).resolve().parent.parent

BUILD_TIMEOUT_SECONDS = 1800
# What a net may take: enough that only a hang reaches it, on a machine that is busy besides.
LIMIT_BASE_SECONDS = 20
LIMIT_FACTOR = 5
LIMIT_TRIES = 3
PHRASE_LENGTH_MAX = 110
KERNEL = "build/hartframe.elf"
EXPLORER = "tools/explore.py"
EXPLORED_SEEDS = "1-40"
# Of one schedule, which takes a second or so.
SCHEDULE_TIMEOUT_SECONDS = 60


class Stopped(Exception):
    """We were asked to end."""


class DoesNotBuild(BadMutant):
    """A mutant that the compiler refuses, unasked."""


# Choosing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """Every `of`-th mutant, beginning with number `number`, counted from 1."""

    number: int = 1
    of: int = 1
    why: str = ""


def commit_hash(root: Path) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise CannotRun("PART=auto/n takes its number from the commit, and there is none here")
    return done.stdout.strip()


def parse_part(text: str, commit: Callable[[], str]) -> Part:
    match = re.fullmatch(r"(auto|\d+)/(\d+)", text)
    if not match or int(match[2]) < 1:
        raise CannotRun(f"PART={text}: it is k/n or auto/n")
    of = int(match[2])
    if match[1] == "auto":
        word = commit()[:8]
        rest = int(word, 16) % of
        return Part(rest + 1, of, f"commit {word} is {rest} modulo {of}")
    if not 1 <= int(match[1]) <= of:
        raise CannotRun(f"PART={text}: parts are numbered 1 to {of}")
    return Part(int(match[1]), of, "as asked for")


def choose(files: Sequence[Path], only: str, part: Part) -> list[Path]:
    """By names, so that each part has all groups. A pattern with / is compared with groups too."""
    def fits(path: Path) -> bool:
        name = full_name(path) if "/" in only else path.stem
        return not only or only in name or fnmatch(name, only)

    named = sorted(filter(fits, files), key=lambda path: (path.stem, path))
    return named[part.number - 1 :: part.of]


# How it showed -------------------------------------------------------------------------------

NOT_OK = re.compile(r"\s*not ok \d+ (?:- )?(.*)$")
PANIC = re.compile(r"PANIC on (.*)$")
SANITIZER = re.compile(r"(?:ERROR|WARNING): (\w+Sanitizer|libFuzzer): (.*)$")
SUMMARY = re.compile(r"SUMMARY: (\w+Sanitizer: .*)$", re.M)
RUNTIME_ERROR = re.compile(r"(\S+?:\d+)(?::\d+)?: runtime error: (.*)$")
SCHEDULE_FAILED = re.compile(r"FAIL  (seed \d+: .*)$")
PROGRAM_SAID = re.compile(r"\s*# (seed \d+: .*)$")
COMPILER_ERROR = re.compile(r"^(\S+?:\d+)(?::\d+)?: (?:fatal )?error: (.*)$", re.M)
LINKER_ERROR = re.compile(r"^.*\b(?:ld|collect2): (.*)$", re.M)
LAUNCHER_SAID = re.compile(r"^launch: (.*)$", re.M)
SEED = re.compile(r"\bseed[ =:]+(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Sign:
    """How a bug showed."""

    text: str
    seed: str = ""


def shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= PHRASE_LENGTH_MAX else text[: PHRASE_LENGTH_MAX - 3] + "..."


def of_failed_test(rest: str, following: Sequence[str]) -> str:
    """A lint check with several problems lists them below."""
    name, _, reason = rest.partition(" # ")
    below = following[0].strip() if following else ""
    if (not reason or reason.endswith("problems:")) and below.startswith("# "):
        reason = below[2:].strip()
    reason = re.sub(r"^seed \d+: ", "", reason)
    return f"{name}: {reason}" if reason else name


def telling_line(output: str) -> tuple[str, str]:
    """The first line that says what is wrong: in short, and as it stands."""
    lines = output.splitlines()
    for number, line in enumerate(lines):
        if match := NOT_OK.match(line):
            return of_failed_test(match[1], lines[number + 1 : number + 2]), line
        if match := PANIC.search(line):
            return f"panic: {match[1].partition(': ')[2] or match[1]}", line
        if match := SANITIZER.search(line):
            summary = SUMMARY.search(output)
            return summary[1] if summary else f"{match[1]}: {match[2]}", line
        if match := RUNTIME_ERROR.search(line):
            return f"{match[1]}: {match[2]}", line
        if match := SCHEDULE_FAILED.match(line) or PROGRAM_SAID.match(line):
            return re.sub(r"^seed \d+: ", "", match[1]), line
    return "", ""


def sign_of(output: str, problems: Sequence[str]) -> Sign:
    """One short phrase; where no line tells, how the job ended."""
    text, line = telling_line(output)
    if not text:
        said = LAUNCHER_SAID.findall(output)
        text = said[-1] if said else "; ".join(problems)
    seeds = SEED.findall(line) or SEED.findall(output)
    return Sign(shortened(text), seeds[0] if seeds else "")


def sign_of_build(output: str) -> Sign:
    match = COMPILER_ERROR.search(output)
    if match:
        return Sign(shortened(f"{match[1]}: {match[2]}"))
    linker = LINKER_ERROR.search(output)
    last = output.strip().splitlines()[-1:] or ["no output"]
    return Sign(shortened(linker[1] if linker else last[0]))


# Trees ---------------------------------------------------------------------------------------

# What tells that a file was written: its time and its length.
State = dict[str, tuple[int, int]]
NOT_OURS = ("build/logs/", "tools/__pycache__/")


def state_of(tree: Path) -> State:
    state: State = {}
    for folder, folders, names in os.walk(tree):
        links = (name for name in folders if os.path.islink(os.path.join(folder, name)))
        for name in (*names, *links):
            path = os.path.join(folder, name)
            known = os.path.relpath(path, tree)
            if not known.startswith(NOT_OURS):
                status = os.lstat(path)
                state[known] = status.st_mtime_ns, status.st_size
    return state


def copy_one(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def synchronize(clean: Path, wanted: State, tree: Path) -> list[str]:
    """
    Makes the tree what the clean one is, times included, and says which files that took. So after
    a mutant neither its source nor its objects are there, and nothing is to be built again.
    """
    found = state_of(tree)
    changed = [name for name in wanted if found.get(name) != wanted[name]]
    for name in found.keys() - wanted.keys():
        (tree / name).unlink()
    for name in changed:
        copy_one(clean / name, tree / name)
    return changed


def source_files(root: Path) -> list[str]:
    """What git tracks or would; everything where there is no repository."""
    if (root / ".git").exists():
        listing = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"],
            cwd=root, capture_output=True, text=True, check=True,
        )
        names = set(filter(None, listing.stdout.split("\0")))
    else:
        names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    # git names a repository within this one as a folder, and a file also when it is gone.
    return sorted(
        name for name in names
        if not name.startswith(("build/", ".git/"))
        and ((root / name).is_symlink() or (root / name).is_file())
    )


def built_files(root: Path) -> Iterator[str]:
    # What no net uses, and some of it is large.
    left_out = ("mutants", "logs", "bench", "soak", "explore")
    for top in sorted((root / "build").glob("*")):
        if top.name in left_out:
            continue
        for path in [top] if not top.is_dir() or top.is_symlink() else top.rglob("*"):
            if path.is_symlink() or path.is_file():
                yield str(path.relative_to(root))


def copy_tree(root: Path, target: Path) -> None:
    """What an earlier run left is made right, not made again."""
    target.mkdir(parents=True, exist_ok=True)
    wanted: State = {}
    for name in [*source_files(root), *built_files(root)]:
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(root / name)
            wanted[name] = status.st_mtime_ns, status.st_size
    synchronize(root, wanted, target)


def load_runner(root: Path) -> ModuleType:
    """The tree's own tools/check, so that its jobs run in that tree."""
    path = root / "tools" / "check" / "__init__.py"
    name = "check_of_" + re.sub(r"\W", "_", str(root))
    spec = importlib.util.spec_from_file_location(
        name, path, submodule_search_locations=[str(path.parent)]
    )
    if spec is None or spec.loader is None or not path.is_file():
        raise CannotRun(f"{path}: no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its parts and dataclasses look for it
    spec.loader.exec_module(module)
    return module


# Tests ----------------------------------------------------------------------------------------

# From cheap to dear; within one kind by the seconds that the clean tree took.
KINDS = ("lint", "host", "host-checks0", "corpus", "tsan", "qemu", "explore")
SEEDED_BY_ENVIRONMENT = ("host", "host-checks0", "tsan")


def kind_of(net: str) -> str:
    return re.split("[/:]", net)[0]


def rank(net: str) -> int:
    kind = kind_of(net)
    return KINDS.index(kind) if kind in KINDS else len(KINDS)


def net_name(job_name: str) -> str:
    return "lint" if job_name.startswith("lint/") else job_name


def is_net(job_name: str) -> bool:
    """Tests of our own tools look at no kernel; and we sweep fewer schedules than `make test`."""
    return not job_name.endswith(".py") and kind_of(job_name) != "explore"


def expand(net: str, names: Iterable[str]) -> list[str]:
    """`museum` is every test that was written for the museum."""
    if net == "museum":
        return [name for name in names if name.startswith("host/test_museum")]
    return [net]


def explore_command(root: Path, net: str, seeds: str) -> list[str]:
    command = [sys.executable, str(root / EXPLORER), "--kernel", str(root / KERNEL)]
    command += ["--seeds", seeds, "--smp", "4", "--stop-first", "--check-digests", "0"]
    command += ["--timeout", str(SCHEDULE_TIMEOUT_SECONDS)]
    workload = net.partition(":")[2]
    return command + (["--workload", workload] if workload else [])


class Tree:
    """A copy of the sources and of what was built of them, with the jobs that run in it."""

    def __init__(self, root: Path, arguments: list[str]) -> None:
        self.root = root
        self.runner = load_runner(root)
        self.processes = self.runner.Processes()
        self.logs = root / "build" / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(root):  # which the paths among the arguments are relative to
            options = self.runner.parse_arguments([*arguments, "--logs", "build/logs"])
            jobs = self.runner.plan(options)
        self.jobs = {net_name(job.name): job for job in jobs if is_net(job.name)}

    def names(self) -> list[str]:
        explored = ["explore"] if (self.root / EXPLORER).is_file() else []
        return sorted({*self.jobs, *explored}, key=rank)

    def has(self, net: str) -> bool:
        if kind_of(net) == "explore":
            return (self.root / EXPLORER).is_file()
        return net in ("build", "museum") or net in self.jobs

    def job(self, net: str, seed: int | None = None) -> Any:
        job = self.jobs.get(net)
        if job is None:
            seeds = EXPLORED_SEEDS if seed is None else str(seed)
            return self.runner.Job(
                name=net.replace(":", "/"), command=explore_command(self.root, net, seeds),
                counts_ktap=False, is_one_test=True, slots=sys.maxsize,
                timeout=self.runner.HOST_TIMEOUT_SECONDS,
            )
        if seed is not None:
            return dataclasses.replace(job, command=["env", f"SEED={seed}", *job.command])
        return job

    def targets(self, net: str) -> list[str]:
        """What make must make before the net can run: every built file that its command names."""
        if net == "lint":
            return [KERNEL]
        if net == "build":
            hosts = [name for name in self.jobs if kind_of(name) == "host"]
            return [KERNEL, *(target for name in hosts for target in self.targets(name))]
        built = f"{self.root}/build/"
        words = [word for word in self.job(net).command if word.startswith(built)]
        names = [os.path.relpath(word, self.root) for word in words]
        return [n for n in names if not n.startswith(NOT_OURS) and not (self.root / n).is_dir()]

    def command(self, command: list[str], timeout: int) -> tuple[int, str]:
        process = self.processes.start(command)
        output: bytes = self.runner.collect(self.processes, process, timeout)
        return process.returncode, output.decode("utf-8", "replace")

    def make(self, targets: Sequence[str]) -> str:
        """All it said where it failed, nothing where it did not."""
        try:
            status, output = self.command(
                ["make", "--no-print-directory", *targets], BUILD_TIMEOUT_SECONDS
            )
        except InterruptedError:
            raise Stopped from None
        except subprocess.TimeoutExpired:
            return "time-out"
        if self.processes.stopped:
            raise Stopped
        return "" if status == 0 else output or f"exit status {status}"

    def run(self, net: str, seed: int | None, limit: int | None) -> Any:
        job = self.job(net, seed)
        if limit is not None:
            job = with_limit(job, limit, self.runner.LAUNCHER_GRACE_SECONDS)
        result = self.runner.run_job(job, self.processes, self.logs)
        if self.processes.stopped:
            raise Stopped
        return result


def with_limit(job: Any, limit: int, grace: int) -> Any:
    """The launcher ends by itself, and says where it was."""
    if not any(word.endswith("/launch.py") for word in job.command):
        return dataclasses.replace(job, timeout=limit)
    command = list(job.command)
    command[command.index("--timeout") + 1] = str(limit)
    return dataclasses.replace(job, command=command, timeout=limit + grace)


def is_timeout(result: Any) -> bool:
    return "launch: time-out" in result.output or any(
        problem.startswith("time-out") for problem in result.problems
    )


class Slots:
    """The host's processors; a job larger than the machine may have it to itself."""

    def __init__(self, count: int) -> None:
        self.count = self.free = count
        self.changed = threading.Condition()
        self.queue: list[object] = []
        self.stopped = False

    @contextlib.contextmanager
    def take(self, wanted: int) -> Iterator[None]:
        wanted = min(wanted, self.count)
        ticket = object()
        with self.changed:
            self.queue.append(ticket)  # in order, or the large ones would starve
            self.changed.wait_for(
                lambda: self.stopped or (self.queue[0] is ticket and self.free >= wanted)
            )
            self.queue.remove(ticket)
            self.changed.notify_all()
            if self.stopped:
                raise Stopped
            self.free -= wanted
        try:
            yield
        finally:
            with self.changed:
                self.free += wanted
                self.changed.notify_all()

    def stop(self) -> None:
        with self.changed:
            self.stopped = True
            self.changed.notify_all()


class Baseline:
    """The nets on the clean tree: they pass there, and take so long. Each is run when wanted."""

    def __init__(self, tree: Tree, slots: Slots, grace: int) -> None:
        self.grace = grace
        self.tree = tree
        self.slots = slots
        self.lock = threading.Lock()
        self.net_locks: dict[str, threading.Lock] = {}
        self.seconds: dict[str, float] = {}

    def run(self, net: str) -> float:
        with self.slots.take(self.tree.job(net).slots):
            result = self.tree.run(net, None, None)
        if result.failed:
            sign = sign_of(result.output, result.problems)
            raise CannotRun(
                f"{net} fails on the clean tree: {sign.text}\n"
                f"  its output is in {self.tree.logs}; a net that fails anyway catches nothing"
            )
        return float(result.seconds)

    def of(self, net: str) -> float:
        with self.lock:
            net_lock = self.net_locks.setdefault(net, threading.Lock())
        with net_lock:
            if net not in self.seconds:
                self.seconds[net] = self.run(net)
            return self.seconds[net]

    def limit(self, net: str) -> int:
        return round(self.grace + LIMIT_FACTOR * self.of(net))


# Findings ------------------------------------------------------------------------------------

CAUGHT, SURVIVED, BROKEN = "caught", "survived", "broken"
# A generated mutant that the compiler refuses: it says nothing about the nets.
UNBUILT = "unbuilt"


@dataclass
class Finding:
    """What became of one mutant. `broken` is the museum's fault, not the bug's merit."""

    mutant: str
    status: str = SURVIVED
    bug_class: str = ""
    expected: str = ""
    caught_by: str = ""
    seconds: float = 0.0  # until it was caught, building included
    build_seconds: float = 0.0
    seed: str = ""
    how: str = ""
    nets_run: list[str] = field(default_factory=list)
    nets_failed: list[str] = field(default_factory=list)
    group: str = ""

    @property
    def is_unexpected(self) -> bool:
        return self.status == CAUGHT and self.caught_by not in (self.expected, "")


def broken(path: Path, why: str) -> Finding:
    return Finding(path.stem, BROKEN, how=shortened(why), group=group_of(path))


class Museum:
    """Where the mutants are examined, one at a time in each worker's tree."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.out = options.root / "build" / "mutants"
        self.results = self.out / "generated" if options.generate else self.out
        self.slots = Slots(options.jobs)
        self.clean: Tree
        self.state: State = {}
        self.index: Index
        self.workers: list[Tree] = []
        self.idle: list[Tree] = []
        self.baseline: Baseline
        self.stopping = False

    # ---- opening

    def open(self, mutants: Sequence[Mutant], workers: int) -> None:
        clean = self.out / "clean"
        copy_tree(self.options.root, clean)
        self.clean = Tree(clean, self.options.arguments)
        self.baseline = Baseline(self.clean, self.slots, self.options.grace)
        nets = self.nets_named(mutants) if not self.options.matrix else self.clean.names()
        built = self.clean.names()
        targets = {t for net in ("build", *built) for t in self.clean.targets(net)}
        failed = self.clean.make([f"-j{self.options.jobs}", *sorted(targets)])
        if failed:
            raise CannotRun(f"the clean tree does not build: {sign_of_build(failed).text}")
        self.state = state_of(clean)
        self.index = Index(clean)
        for number in range(workers):
            root = self.out / f"worker-{number}"
            root.mkdir(exist_ok=True)
            synchronize(clean, self.state, root)
            self.workers.append(Tree(root, self.options.arguments))
        self.idle = list(self.workers)
        self.run_baseline(nets)

    def nets_named(self, mutants: Sequence[Mutant]) -> list[str]:
        names = self.clean.names()
        named = [n for mutant in mutants for net in mutant.nets for n in expand(net, names)]
        return [n for n in dict.fromkeys(named) if n != "build" and self.clean.has(n)]

    def run_baseline(self, nets: Sequence[str]) -> None:
        started = time.monotonic()
        print(f"the clean tree, {len(nets)} nets:", flush=True)
        with ThreadPoolExecutor(max_workers=self.options.jobs) as pool:
            try:
                for future in as_completed([pool.submit(self.baseline.of, net) for net in nets]):
                    future.result()
            except BaseException:
                self.stop()
                raise
        print(f"the clean tree passes them, {time.monotonic() - started:.0f} s", flush=True)

    def stop(self) -> None:
        self.stopping = True
        self.slots.stop()
        for tree in [self.clean, *self.workers] if self.workers else []:
            tree.processes.stop()

    # ---- one mutant

    def examine(self, mutant: Mutant) -> Finding:
        if self.stopping:
            raise Stopped
        tree = self.idle.pop()
        finding = Finding(mutant.name, bug_class=mutant.bug_class, expected=mutant.nets[0],
                          group=group_of(mutant.path))
        try:
            self.try_nets(mutant, tree, finding)
        except BadMutant as bad:
            unbuilt = mutant.generated and isinstance(bad, DoesNotBuild)
            finding.status = UNBUILT if unbuilt else BROKEN
            finding.how = shortened(str(bad))
        finally:
            if not self.stopping:
                synchronize(self.clean.root, self.state, tree.root)
            self.idle.append(tree)
        return finding

    def attempts(self, mutant: Mutant) -> Iterator[tuple[str, int | None]]:
        """The mutant's nets, with its seed first where a net takes one; then the others."""
        names = self.clean.names()
        named = [name for net in mutant.nets for name in expand(net, names)]
        for net in named:
            seeded = (*SEEDED_BY_ENVIRONMENT, "explore")
            if mutant.seed is not None and kind_of(net) in seeded and net != "build":
                yield net, mutant.seed
            yield net, None
        if not self.options.named:
            yield from ((net, None) for net in names if net not in named)

    def try_nets(self, mutant: Mutant, tree: Tree, finding: Finding) -> None:
        unknown = [net for net in mutant.nets if not tree.has(net)]
        if unknown:
            raise BadMutant(f"head: Tests: there is no {', '.join(unknown)}")
        apply_mutant(mutant, self.index, tree.root)
        for net, seed in self.attempts(mutant):
            done = net in finding.nets_failed
            if done or (finding.status == CAUGHT and not self.options.matrix):
                continue
            self.build_for(net, mutant, tree, finding)
            if net in finding.nets_failed and net == "build":
                return  # there is nothing to run
            if net != "build":
                self.run_net(net, seed, tree, finding)

    def build_for(self, net: str, mutant: Mutant, tree: Tree, finding: Finding) -> None:
        started = time.monotonic()
        with self.slots.take(1):
            started = time.monotonic()
            failed = tree.make(tree.targets(net))
        seconds = time.monotonic() - started
        self.spend(finding, seconds, building=True)
        if not failed:
            return
        self.keep_output(finding.mutant, "build", failed)
        sign = sign_of_build(failed)
        if "build" not in mutant.nets:
            raise DoesNotBuild(f"does not build for {net}: {sign.text}")
        self.caught(finding, "build", sign)

    def spend(self, finding: Finding, seconds: float, building: bool = False) -> None:
        if finding.status == CAUGHT:
            return
        finding.seconds += seconds
        if building:
            finding.build_seconds += seconds

    def run_net(self, net: str, seed: int | None, tree: Tree, finding: Finding) -> None:
        limit = self.baseline.limit(net)
        for _ in range(LIMIT_TRIES):
            with self.slots.take(tree.job(net).slots):
                result = tree.run(net, seed, limit)
            self.spend(finding, result.seconds)
            # One that failed a test and then hung needs no clean tree to be believed.
            if not is_timeout(result) or telling_line(result.output)[0]:
                break
            clean_seconds = self.baseline.run(net)
            if clean_seconds <= limit / 2:
                break
            limit = round(limit + LIMIT_FACTOR * clean_seconds)
        else:
            return  # a machine this slow cannot tell a hang
        if net not in finding.nets_run:
            finding.nets_run.append(net)
        if result.failed:
            sign = sign_of(result.output, result.problems)
            if is_timeout(result):
                said = telling_line(result.output)[0]
                text = f"hang, ended after {limit} s; clean {self.baseline.of(net):.1f} s"
                sign = Sign(shortened(f"{said}; then a hang" if said else text), sign.seed)
            if seed is not None:
                sign = Sign(sign.text, str(seed))
            self.keep_output(finding.mutant, net, result.output)
            self.caught(finding, net, sign)

    def keep_output(self, mutant: str, net: str, output: str) -> None:
        name = re.sub(r"[^\w.=-]+", "-", f"{mutant}-{net}") + ".log"
        (self.results / "logs" / name).write_text(output, encoding="utf-8")

    def caught(self, finding: Finding, net: str, sign: Sign) -> None:
        finding.nets_failed.append(net)
        if finding.status == CAUGHT:
            return
        finding.status, finding.caught_by = CAUGHT, net
        finding.how, finding.seed = sign.text, sign.seed
        # `museum` stands for several.
        if net.startswith("host/test_museum") and finding.expected == "museum":
            finding.expected = net

    # ---- all of them

    def visit(self, mutants: Sequence[Mutant], show: Callable[[Finding], None]) -> None:
        """Those that change headers first: they build longest, and would be waited for."""
        def changes_header(mutant: Mutant) -> bool:
            return any(file.endswith(".h") for file in files_touched(mutant, self.index))

        order = sorted(mutants, key=lambda mutant: not changes_header(mutant))
        with ThreadPoolExecutor(max_workers=len(self.workers)) as pool:
            futures: list[Future[Finding]] = [pool.submit(self.examine, p) for p in order]
            try:
                for future in as_completed(futures):
                    show(future.result())
            except BaseException:
                for future in futures:
                    future.cancel()
                self.stop()
                raise


# Reports -------------------------------------------------------------------------------------


def score(findings: Sequence[Finding], chosen: int) -> str:
    caught = sum(finding.status == CAUGHT for finding in findings)
    unbuilt = sum(finding.status == UNBUILT for finding in findings)
    of_these = f", {unbuilt} more do not build" if unbuilt else ""
    return f"{caught} of {chosen - unbuilt} caught{of_these}"


def clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def table(findings: Sequence[Finding]) -> list[str]:
    rows = [("mutant", "class", "caught by", "s", "seed", "how it showed")]
    for found in sorted(findings, key=lambda finding: finding.mutant):
        catcher = found.caught_by + ("*" if found.is_unexpected else "")
        if found.status != CAUGHT:
            catcher = found.status.upper()
        seconds = f"{found.seconds:.1f}"
        rows.append((found.mutant, clipped(found.bug_class, 40), catcher, seconds, found.seed,
                     found.how))
    return in_columns(rows)


def matrix_table(findings: Sequence[Finding]) -> list[str]:
    """How many nets of each kind caught a mutant, of those that ran."""
    kinds = sorted({kind_of(n) for f in findings for n in [*f.nets_run, *f.nets_failed]},
                   key=lambda kind: (rank(kind), kind))
    rows = [("mutant", *kinds)]
    for found in sorted(findings, key=lambda finding: finding.mutant):
        failed = [[n for n in found.nets_failed if kind_of(n) == kind] for kind in kinds]
        rows.append((found.mutant, *(str(len(nets) or "-") for nets in failed)))
    return in_columns(rows)


def rules_table(findings: Sequence[Finding]) -> list[str]:
    """What became of the generated mutants, rule by rule."""
    statuses = (CAUGHT, SURVIVED, UNBUILT, BROKEN)
    rows = [("rule", *statuses)]
    for rule in sorted({finding.bug_class for finding in findings}):
        of_rule = [finding.status for finding in findings if finding.bug_class == rule]
        rows.append((rule, *(str(of_rule.count(status)) for status in statuses)))
    return in_columns(rows)


def write_results(out: Path, findings: Sequence[Finding], chosen: int, part: Part) -> None:
    ordered = sorted(findings, key=lambda finding: finding.mutant)
    rows = [dataclasses.asdict(finding) for finding in ordered]
    whole = {"score": score(findings, chosen), "chosen": chosen,
             "part": f"{part.number}/{part.of}", "mutants": rows}
    (out / "results.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    with (out / "results.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        columns = [f.name for f in dataclasses.fields(Finding)]
        writer.writerow(columns)
        for row in rows:
            cells = (row[column] for column in columns)
            writer.writerow([" ".join(c) if isinstance(c, list) else c for c in cells])


def write_matrix(out: Path, findings: Sequence[Finding]) -> None:
    nets = list(dict.fromkeys(n for f in findings for n in [*f.nets_run, *f.nets_failed]))
    with (out / "matrix.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["mutant", *nets])
        for found in sorted(findings, key=lambda finding: finding.mutant):
            cells = (
                "caught" if n in found.nets_failed else "passed" if n in found.nets_run else ""
                for n in nets
            )
            writer.writerow([found.mutant, *cells])


def line_of(number: int, chosen: int, found: Finding) -> str:
    word = found.status if found.status == CAUGHT else found.status.upper()
    where = found.caught_by or "-"
    return (f"[{number:3}/{chosen}] {word:<8} {found.mutant:<36} {where:<28} "
            f"{found.seconds:6.1f} s  {found.how}")


class Visit:
    """What has been found so far, told as it comes and once more at the end."""

    def __init__(self, out: Path, chosen: int, part: Part, matrix: bool) -> None:
        self.out, self.chosen, self.part, self.matrix = out, chosen, part, matrix
        self.findings: list[Finding] = []
        self.started = time.monotonic()

    def take(self, finding: Finding) -> None:
        self.findings.append(finding)
        print(line_of(len(self.findings), self.chosen, finding), flush=True)
        if self.matrix:
            print(f"    {' '.join(finding.nets_failed) or 'no net'}", flush=True)
        # At once: a run of an hour that is killed has shown something too.
        write_results(self.out, self.findings, self.chosen, self.part)

    def report(self) -> None:
        if not self.findings:
            return
        print("\n" + "\n".join(table(self.findings)))
        if any(finding.is_unexpected for finding in self.findings):
            print("* not by the net that the mutant names first")
        if self.matrix:
            write_matrix(self.out, self.findings)
            print("\nhow many nets of each kind caught it:")
            print("\n".join(matrix_table(self.findings)))
        seconds = time.monotonic() - self.started
        of_part = f", part {self.part.number}/{self.part.of}" if self.part.of > 1 else ""
        print(f"\n{score(self.findings, self.chosen)}{of_part}, {seconds:.0f} s; "
              f"{self.out}/results.csv, outputs in {self.out}/logs", flush=True)

    def report_generated(self, mutants: Sequence[Mutant]) -> None:
        """Survivors as text that could become a mutant of tests/mutants."""
        survived = {f.mutant for f in self.findings if f.status == SURVIVED}
        for mutant in mutants:
            if mutant.name in survived:
                text = text_of_mutant(mutant)
                (self.out / f"{mutant.name}.mutant").write_text(text, encoding="utf-8")
                print(f"\n{mutant.name} survived {', '.join(mutant.nets)}:")
                print(text_of_edits(mutant), end="")
        print("\n" + "\n".join(rules_table(self.findings)))
        seconds = time.monotonic() - self.started
        print(f"\ngenerated: {score(self.findings, self.chosen)}, {seconds:.0f} s; "
              f"{self.out}/results.csv, survivors beside it as .mutant", flush=True)

    def all_caught(self) -> bool:
        caught = sum(finding.status == CAUGHT for finding in self.findings)
        return caught == self.chosen and caught > 0


# The command line ----------------------------------------------------------------------------


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Apply each mutant to a copy and see which net catches it.",
        epilog="After --, the plan of tools/check/plan.py, whose jobs are the nets.",
    )
    add = parser.add_argument
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    add("--only", default="", metavar="PATTERN",
        help="mutants whose name has this in it, or matches")
    add("--part", default="1/1", metavar="K/N",
        help="every N-th mutant from the K-th on; auto/N takes K from the commit's hash")
    add("--matrix", action="store_true", help="run all nets on each mutant, for study")
    add("--named", action="store_true", help="run only the nets that a mutant names")
    add("--generate", nargs="+", default=[], metavar="PATTERN",
        help="mutants made by rule, of functions whose name or file matches; a score apart")
    add("--list", action="store_true", help="show the museum and run nothing")
    add("--check", action="store_true", help="only see that every mutant is sound and applies")
    add("--touching", nargs="+", default=[], metavar="FILE",
        help="list the mutants whose functions are in these files")
    add("--new", nargs="+", default=[], metavar=("NAME", "FILE"),
        help="make a mutant of the change that is not committed yet (in these files)")
    add("--convert", nargs="+", default=[], metavar="FILE",
        help="turn patches into mutants that name a function and text")
    add("--group", metavar="FOLDER", help="where --new and --convert put them")
    add("--class", dest="bug_class", default="", metavar="TEXT", help="for --new: head line Class")
    add("--seen", default="", metavar="TEXT", help="for --new: head line Seen")
    add("--nets", default="", metavar="NETS",
        help="for --new: head line Tests; for --generate: the nets to run")
    add("--seed", default="", metavar="SEED", help="for --new: head line Seed")
    add("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N",
        help="workers (default: the host's processors)")
    add("--grace", type=int, default=LIMIT_BASE_SECONDS, metavar="SECONDS",
        help=f"what a net may take beyond {LIMIT_FACTOR} times its time on the clean tree")
    add("--root", type=Path, default=ROOT, metavar="DIR", help="the tree")
    options = parser.parse_args(arguments[:cut])
    options.arguments = arguments[cut + 1 :]
    options.root = options.root.resolve()
    options.jobs = max(1, options.jobs)
    return options


# Generated mutants ---------------------------------------------------------------------------

# Generated mutants are many: what takes long is not run on them unless --nets asks for it.
CHEAP_KINDS = ("lint", "host", "host-checks0", "corpus", "tsan")
NETS_OF_A_FILE_MAX = 6


def text_of_edits(mutant: Mutant) -> str:
    return mutant_convert.format_edits(mutant.edits)


def text_of_mutant(mutant: Mutant) -> str:
    head = f"Class: {mutant.bug_class}\nSeen: {mutant.seen}\nTests: {', '.join(mutant.nets)}\n"
    return f"{head}\n{text_of_edits(mutant)}"


def nets_by_file(mutants: Sequence[Mutant], index: Index) -> dict[str, list[str]]:
    """The nets that the written mutants of a file name most often; and of a folder's files."""
    counts: dict[str, dict[str, int]] = {}
    for mutant in mutants:
        nets = [net for net in mutant.nets if kind_of(net) in CHEAP_KINDS or net == "museum"]
        for file in files_touched(mutant, index):
            for place in (file, os.path.dirname(file)):
                for net in nets:
                    of_place = counts.setdefault(place, {})
                    of_place[net] = of_place.get(net, 0) + 1
    result = {}
    for place, of_place in counts.items():
        most = sorted(of_place, key=lambda net: (-of_place[net], net))[:NETS_OF_A_FILE_MAX]
        result[place] = sorted(most, key=lambda net: (rank(net), -of_place[net]))
    return result


def generated_mutants(options: argparse.Namespace) -> list[Mutant]:
    index = Index(options.root)
    patterns = [pattern for word in options.generate for pattern in word.split()]
    made = mutant_generate.generate(index, patterns)
    known, _ = read_mutants(mutant_files(options.root))
    by_file = nets_by_file(known, index)
    mutants = []
    for one in made:
        nets = by_file.get(one.path) or by_file.get(os.path.dirname(one.path)) or []
        if options.nets:
            nets = list(parse_nets(options.nets))
        if not nets:
            raise CannotRun(f"no mutant of {FOLDER} says which nets look at {one.path}: "
                            "name some with --nets")
        place = options.root / FOLDER / "generated" / f"{one.name}.mutant"
        mutants.append(Mutant(one.name, place, one.bug_class, f"made by rule, of {one.path}",
                              tuple(nets), None, edits=(one.edit,), generated=True))
    return mutants


def visit_generated(options: argparse.Namespace) -> int:
    part = parse_part(options.part, lambda: commit_hash(options.root))
    made = {mutant.path: mutant for mutant in generated_mutants(options)}
    chosen = [made[path] for path in choose(list(made), options.only, part)]
    print(f"{len(chosen)} of {len(made)} generated mutants")
    if not chosen:
        raise CannotRun("no function is chosen, or there is nothing to change in it")
    if options.list:
        return show_list(chosen, [])
    options.named = True
    museum = Museum(options)
    shutil.rmtree(museum.results, ignore_errors=True)
    (museum.results / "logs").mkdir(parents=True)
    visit = Visit(museum.results, len(chosen), part, options.matrix)
    try:
        museum.open(chosen, min(options.jobs, len(chosen)))
        museum.visit(chosen, visit.take)
    finally:
        if visit.findings:
            visit.report_generated(chosen)
    return ALL_CAUGHT


def hold_visit(options: argparse.Namespace) -> int:
    files = mutant_files(options.root)
    refuse_twins(files)
    if options.new:
        return mutant_author.make_new(options)
    if options.convert:
        return mutant_author.convert_all(options)
    if options.generate:
        return visit_generated(options)
    part = parse_part(options.part, lambda: commit_hash(options.root))
    chosen = choose(files, options.only, part)
    if part.of > 1:
        print(f"part {part.number}/{part.of} ({part.why}): {len(chosen)} of {len(files)} mutants")
    if not chosen:
        raise CannotRun("no mutant is chosen")
    mutants, bad = read_mutants(chosen)
    if options.list:
        return show_list(mutants, bad)
    if options.check:
        return check_all(mutants, bad, options.root)
    if options.touching:
        return show_touching(mutants, options.touching, options.root)
    museum = Museum(options)
    shutil.rmtree(museum.out / "logs", ignore_errors=True)
    (museum.out / "logs").mkdir(parents=True)
    visit = Visit(museum.out, len(chosen), part, options.matrix)
    for path, why in bad:
        visit.take(broken(path, why))
    try:
        if mutants:
            museum.open(mutants, min(options.jobs, len(mutants)))
            museum.visit(mutants, visit.take)
    finally:
        visit.report()
    return ALL_CAUGHT if visit.all_caught() else NOT_ALL


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    # The make that started us must not have its say in those that we start.
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, interrupt)
    try:
        return hold_visit(parse_arguments(sys.argv[1:] if arguments is None else arguments))
    except CannotRun as error:
        print(f"mutants: {error}", file=sys.stderr)
        return CANNOT_RUN
    except (KeyboardInterrupt, Stopped):
        print("interrupted: the rest has not been looked at", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
