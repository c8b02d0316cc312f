# SPDX-License-Identifier: BSD-2-Clause
"""The tests that are run on a mutant, and how a test is built and run in a tree.

A test is a job of tools/check (`host/test_frame`, `qemu/smp=4 mem=128M`, `lint`), one test
of a host program (`host/test_frame:NAME`), the build, or a sweep of schedules by explore.py.

This is the only module that knows tools/check.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from mutants import signs
from mutants.catalog import CannotRun
from mutants.source import BadMutant
from mutants.trees import IGNORED

BUILD_TIMEOUT_SECONDS = 1800
# A program is ended this long after a line that decides: what follows the line explains it.
DECIDED_GRACE_SECONDS = 0.5
KILL_GRACE_SECONDS = 10
# A test may take this much and this multiple of its time on the clean tree: only a hang takes
# longer, even on a busy machine.
LIMIT_BASE_SECONDS = 20
LIMIT_FACTOR = 5
KERNEL = "build/hartframe.elf"
EXPLORER = "tools/explore.py"
EXPLORED_SEEDS = "1-40"
# For one schedule, which takes about a second on an idle machine: only a hang reaches it.
SCHEDULE_TIMEOUT_SECONDS = 600

# From cheap to expensive.
KINDS = ("lint", "host", "host-checks0", "host-bare", "corpus", "tsan", "qemu", "explore")
# Kinds of host programs: they take the seed from the environment, and the name of one test.
PROGRAMS = ("host", "host-checks0", "host-bare", "tsan")
SEEDED = (*PROGRAMS, "explore")


class Stopped(Exception):
    """The run was asked to end."""


def kind_of(test: str) -> str:
    return re.split("[/:]", test)[0]


def rank(test: str) -> int:
    kind = kind_of(test)
    return KINDS.index(kind) if kind in KINDS else len(KINDS)


def split_name(test: str) -> tuple[str, str]:
    """A job, and the single test of it or what it explores."""
    if test.startswith("qemu/"):
        return test, ""
    job, _, part = test.partition(":")
    return job, part


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
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


def is_used(job_name: str) -> bool:
    """Tests of the tools do not look at the kernel; explore.py is called with fewer schedules."""
    return not job_name.endswith(".py") and kind_of(job_name) != "explore"


def explore_command(root: Path, workload: str, seeds: str) -> list[str]:
    command = [sys.executable, str(root / EXPLORER), "--kernel", str(root / KERNEL)]
    command += ["--seeds", seeds, "--smp", "4", "--stop-first", "--check-digests", "8"]
    command += ["--timeout", str(SCHEDULE_TIMEOUT_SECONDS)]
    return command + (["--workload", workload] if workload else [])


@dataclass
class Outcome:
    """How one run of a test ended."""

    output: str = ""
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    failed: bool = False
    timed_out: bool = False


class Processes:
    """The process groups that this tree has started, so that they end with the run."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[int] = set()
        self.stopped = False

    def start(self, command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
        with self.lock:
            if self.stopped:
                raise Stopped
            process = subprocess.Popen(
                command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, start_new_session=True,
            )
            self.running.add(process.pid)
        return process

    def send(self, group: int, number: int) -> None:
        with self.lock:
            if group in self.running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)

    def end(self, process: subprocess.Popen[bytes]) -> bytes:
        """Returns what it still printed."""
        self.send(process.pid, signal.SIGTERM)
        try:
            return process.communicate(timeout=KILL_GRACE_SECONDS)[0]
        except subprocess.TimeoutExpired:
            self.send(process.pid, signal.SIGKILL)
            return process.communicate()[0]

    def forget(self, process: subprocess.Popen[bytes]) -> None:
        with self.lock:
            self.running.discard(process.pid)

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
            groups = list(self.running)
        for group in groups:
            self.send(group, signal.SIGTERM)


def never(_text: str) -> bool:
    return False


def decides(text: str) -> bool:
    return signs.DECIDES.search(text) is not None


def read_output(process: subprocess.Popen[bytes], seconds: float,
                is_decided: Callable[[str], bool]) -> tuple[bytes, str]:
    """Its output and "ended", "decided" or "time-out". In the last two cases it still runs."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    output, decided = bytearray(), False
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            part = os.read(process.stdout.fileno(), 1 << 16)
            if not part:
                process.wait()
                return bytes(output), "ended"
            output += part
            if not decided and is_decided(output.decode("utf-8", "replace")):
                decided = True
                deadline = min(deadline, time.monotonic() + DECIDED_GRACE_SECONDS)
    return bytes(output), "decided" if decided else "time-out"


class Tree:
    """A copy of the sources and of what was built of them, with the tests that run in it."""

    def __init__(self, root: Path, arguments: list[str]) -> None:
        self.root = root
        self.processes = Processes()
        self.logs = root / "build" / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.runner = load_runner(root)
        with contextlib.chdir(root):  # which the paths among the arguments are relative to
            options = self.runner.parse_arguments([*arguments, "--logs", "build/logs"])
            jobs = self.runner.plan(options)
        lint = [job for job in jobs if job.name.startswith("lint/")]
        self.jobs = {job.name: job for job in jobs if is_used(job.name) and job not in lint}
        # A mutation test has one test `lint`, however many commands it is.
        if lint:
            commands = " && ".join(shlex.join(job.command) for job in lint)
            self.jobs["lint"] = dataclasses.replace(lint[0], command=["sh", "-c", commands])

    def names(self) -> list[str]:
        explored = ["explore"] if (self.root / EXPLORER).is_file() else []
        return sorted({*self.jobs, *explored}, key=rank)

    def has(self, test: str) -> bool:
        job, part = split_name(test)
        if job == "explore":
            return (self.root / EXPLORER).is_file()
        if part:
            return job in self.jobs and kind_of(job) in PROGRAMS
        return job == "build" or job in self.jobs

    def job(self, test: str, seed: int | None = None) -> Any:
        name, part = split_name(test)
        if name == "explore":
            seeds = EXPLORED_SEEDS if seed is None else str(seed)
            return self.runner.Job(
                name=test.replace(":", "/"), command=explore_command(self.root, part, seeds),
                counts_ktap=False, is_one_test=True, slots=sys.maxsize,
                timeout=self.runner.HOST_TIMEOUT_SECONDS,
            )
        job = self.jobs[name]
        command = [*job.command, part] if part else job.command
        if seed is not None:
            command = ["env", f"SEED={seed}", *command]
        return dataclasses.replace(job, command=command)

    def targets(self, test: str) -> list[str]:
        """What make must make before the test can run: every built file that its command names."""
        if test == "lint":
            return ["lint-needs"]
        if test == "build":
            hosts = [name for name in self.jobs if kind_of(name) == "host"]
            return [KERNEL, *(target for name in hosts for target in self.targets(name))]
        built = f"{self.root}/build/"
        words = [word for word in self.job(test).command if word.startswith(built)]
        names = [os.path.relpath(word, self.root) for word in words]
        return [n for n in names if not n.startswith(IGNORED) and not (self.root / n).is_dir()]

    def make(self, targets: Sequence[str]) -> str:
        """What make printed if it failed, else nothing."""
        process = self.processes.start(["make", "--no-print-directory", *targets], self.root)
        output, how = read_output(process, BUILD_TIMEOUT_SECONDS, never)
        if how != "ended":
            self.processes.end(process)
        self.processes.forget(process)
        if self.processes.stopped:
            raise Stopped
        if how != "ended":
            return "time-out"
        text = output.decode("utf-8", "replace")
        return "" if process.returncode == 0 else text or f"exit status {process.returncode}"

    def run(self, test: str, seed: int | None, limit: int | None) -> Outcome:
        """Without a limit, all of the test runs; with one, it ends at the first failure."""
        job = self.job(test, seed)
        if limit is not None:
            job = with_limit(job, limit, self.runner.LAUNCHER_GRACE_SECONDS)
        started = time.monotonic()
        process = self.processes.start(job.command, self.root)
        is_decided = decides if job.counts_ktap and limit is not None else never
        output, how = read_output(process, job.timeout, is_decided)
        if how != "ended":
            output += self.processes.end(process)
        self.processes.forget(process)
        if self.processes.stopped:
            raise Stopped
        outcome = Outcome(output.decode("utf-8", "replace"), time.monotonic() - started)
        self.judge(job, process.returncode, how, outcome)
        log = re.sub(r"[^\w.=-]+", "-", test) + ".log"
        (self.logs / log).write_text(outcome.output, encoding="utf-8")
        return outcome

    def judge(self, job: Any, status: int, how: str, outcome: Outcome) -> None:
        if how == "ended":
            result = self.runner.Result(job, outcome.output)
            self.runner.judge(result, status)
            outcome.problems, outcome.failed = result.problems, bool(result.failed)
        elif how == "decided":
            outcome.failed = True
        else:
            outcome.problems, outcome.failed = [f"time-out after {job.timeout} s"], True
        outcome.timed_out = how == "time-out" or "launch: time-out" in outcome.output


def with_limit(job: Any, limit: int, grace: int) -> Any:
    """The launcher gets the limit too: it then ends QEMU itself and says where the kernel was."""
    if not any(word.endswith("/launch.py") for word in job.command):
        return dataclasses.replace(job, timeout=limit)
    command = list(job.command)
    command[command.index("--timeout") + 1] = str(limit)
    return dataclasses.replace(job, command=command, timeout=limit + grace)


class Slots:
    """The host's processors. A test that wants more than there are gets all of them."""

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
            self.queue.append(ticket)  # first come, first served: else large requests starve
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


class CleanTests:
    """The tests on the clean tree: each must pass there before a mutant meets it.

    A test runs when it is first wanted. Its time is kept in a file for as long as the content of
    the clean tree is the same. If it fails, the mutants that need it are broken.
    """

    def __init__(self, tree: Tree, slots: Slots, grace: int, file: Path, key: str) -> None:
        self.tree, self.slots, self.grace = tree, slots, grace
        self.file, self.key = file, key
        self.lock = threading.Lock()
        self.test_locks: dict[str, threading.Lock] = {}
        self.seconds: dict[str, float] = {}
        self.failed: dict[str, str] = {}
        with contextlib.suppress(OSError, ValueError, KeyError):
            known = json.loads(file.read_text(encoding="utf-8"))
            if known["tree"] == key:
                self.seconds = known["seconds"]

    def run(self, test: str) -> float:
        with self.slots.take(self.tree.job(test).slots):
            outcome = self.tree.run(test, None, None)
        if outcome.failed:
            sign = signs.sign_of(outcome.output, outcome.problems)
            self.failed[test] = f"{test} fails on the clean tree: {sign.text}"
            print(f"{self.failed[test]}; its output is in {self.tree.logs}", flush=True)
            raise BadMutant(self.failed[test])
        return outcome.seconds

    def of(self, test: str) -> float:
        with self.lock:
            test_lock = self.test_locks.setdefault(test, threading.Lock())
        with test_lock:
            if test in self.failed:
                raise BadMutant(self.failed[test])
            if test not in self.seconds:
                seconds = self.run(test)
                with self.lock:
                    self.seconds[test] = seconds
                    self.save()
            return self.seconds[test]

    def save(self) -> None:
        text = json.dumps({"tree": self.key, "seconds": self.seconds}, indent=1)
        self.file.write_text(text + "\n", encoding="utf-8")

    def limit(self, test: str) -> int:
        return round(self.grace + LIMIT_FACTOR * self.of(test))
