# SPDX-License-Identifier: BSD-2-Clause
"""Runs one job, a command with a time-out, and judges what it printed and how it ended.

A job that crashes, times out, prints no results or fewer than it planned has failed, whatever its
results say. Every job leads its own process group, so that it ends with all its children.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from .fault_sites import fault_problems
from .judges import contention_problems, count_problems, sweep_problems, trace_problems
from .ktap import parse_ktap
from .source_text import with_source_text

ROOT = Path(__file__).resolve().parent.parent.parent

# Less than the 10 s that pytest-xdist gives its workers to end.
KILL_GRACE_SECONDS = 6


@dataclass(frozen=True)
class Job:
    """A command, and how to read what it prints."""

    name: str
    command: list[str]
    counts_ktap: bool
    is_one_test: bool  # counts as a test itself, besides those it reports
    slots: int  # of the machine's processors, that it keeps busy
    timeout: int  # seconds
    expected_seconds: int = 0  # for the order of jobs that no earlier run has measured
    must_contain: tuple[str, ...] = ()
    sweep_records: Path | None = None
    trace_records: Path | None = None
    fault_records: Path | None = None
    bench_records: Path | None = None


@dataclass
class Result:
    """How a job ended. `problems` are failures of the job, not of a test it reported."""

    job: Job
    output: str = ""
    seconds: float = 0.0
    tests_passed: int = 0
    tests_failed: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> int:
        return self.tests_passed + (self.job.is_one_test and not self.problems)

    @property
    def failed(self) -> int:
        return self.tests_failed + bool(self.problems)


def log_path(logs: Path, name: str, suffix: str) -> Path:
    return logs / (re.sub(r"[^\w.=-]+", "-", name) + suffix)


class Processes:
    """The process groups that are running, so that they can be ended with us."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[int] = set()
        self.stopped = False

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.lock:
            if self.stopped:
                raise InterruptedError("not started: the run was ended")
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.running.add(process.pid)
        return process

    def send(self, group: int, number: int) -> None:
        with self.lock:
            if group in self.running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)

    def forget(self, group: int) -> None:
        with self.lock:
            self.running.discard(group)

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
            groups = list(self.running)
        for group in groups:
            self.send(group, signal.SIGTERM)


def end(processes: Processes, process: subprocess.Popen[bytes]) -> bytes:
    """Ends a job with all its children, gently at first. Returns what it has printed."""
    processes.send(process.pid, signal.SIGTERM)
    try:
        return process.communicate(timeout=KILL_GRACE_SECONDS)[0]
    except subprocess.TimeoutExpired:
        processes.send(process.pid, signal.SIGKILL)
        return process.communicate()[0]


def collect(processes: Processes, process: subprocess.Popen[bytes], timeout: int) -> bytes:
    """All of its output. A job that outlives its time is ended, which raises TimeoutExpired.

    Where this process is interrupted meanwhile, the job ends first.
    """
    try:
        return process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired as error:
        error.output = end(processes, process)
        raise
    except BaseException:
        end(processes, process)
        raise
    finally:
        processes.forget(process.pid)


def exit_text(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def judge(result: Result, status: int) -> None:
    """Counts the tests, and finds what is wrong with the job as a whole."""
    job, problems = result.job, result.problems
    if job.counts_ktap:
        ktap = parse_ktap(result.output)
        result.tests_passed, result.tests_failed = ktap.passed, ktap.failed
        if ktap.seen == 0 and not job.is_one_test:
            problems.append("no test results")
        if ktap.seen != ktap.planned:
            problems.append(f"{ktap.planned} tests planned, {ktap.seen} results")
        elif not ktap.in_order:
            problems.append("test results out of order")
    # A program that reported its failures exits so; that is no failure more.
    if status != 0 and (job.is_one_test or status < 0 or result.tests_failed == 0):
        problems.append(exit_text(status))
    if job.is_one_test and job.counts_ktap:
        problems += contention_problems(result.output)[:5]
    if job.sweep_records:
        lines = job.sweep_records.read_text(encoding="utf-8").splitlines()
        problems += sweep_problems(lines)[:5]
    if job.trace_records:
        lines = job.trace_records.read_text(encoding="utf-8").splitlines()
        problems += trace_problems(lines)[:5]
    if job.bench_records:
        lines = job.bench_records.read_text(encoding="utf-8").splitlines()
        problems += count_problems(lines)[:5]
    if job.fault_records:
        lines = job.fault_records.read_text(encoding="utf-8").splitlines()
        problems += fault_problems(lines)[:5]
    sourced = with_source_text(result.output)
    for text in job.must_contain:
        if text not in result.output and text not in sourced:
            problems.append(f'"{text}" is not in the output')


def run_job(job: Job, processes: Processes, logs: Path) -> Result:
    result = Result(job)
    started = time.monotonic()
    try:
        process = processes.start(job.command)
        output = collect(processes, process, job.timeout)
        result.output = output.decode("utf-8", "replace")
        judge(result, process.returncode)
    except subprocess.TimeoutExpired as error:
        result.output = (error.output or b"").decode("utf-8", "replace")
        result.problems.append(f"time-out after {job.timeout} s")
    except OSError as error:
        result.problems.append(str(error))
    result.seconds = time.monotonic() - started
    log_path(logs, job.name, ".log").write_text(result.output, encoding="utf-8")
    return result
