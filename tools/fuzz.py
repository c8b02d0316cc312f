#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the fuzz targets, or folds what they found into the corpora of the tree.

Each target BUILD/fuzz_NAME, built with libFuzzer, starts from tests/host/fuzz/corpus/NAME and from
what earlier runs left in BUILD/corpus/NAME, where it leaves its own. It fuzzes for --seconds, as many
targets at once as there are processors. One line a target tells what it came to. Of a failure the
input is kept in BUILD/crashes/NAME and shown, with the command that repeats it.

--merge instead makes tests/host/fuzz/corpus/NAME a small set of inputs that reaches what all of them
reach. Files there whose names begin with `regression-` or `seed-` are left alone: inputs of bugs
that were, and such as were written by hand.

Exit status 0: no target failed. 1: one did. 2: there is nothing to run. 130: ended early.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from suggest import did_you_mean

ROOT = Path(__file__).resolve().parent.parent

# Bytes of an input: a few hundred operations; a line; a tree of a few nodes.
LENGTH_MAX = {"bootargs": 200, "devicetree": 4096}
LENGTH_MAX_OTHERS = 400

# One input that takes longer than this hangs, on a slow machine too.
INPUT_SECONDS_MAX = 60

# What a corpus in the tree may come to.
CORPUS_FILES_MAX = 100
CORPUS_BYTES_MAX = {"devicetree": 60 * 1024}
CORPUS_BYTES_MAX_OTHERS = 22 * 1024

PROGRESS_SECONDS = 10
DUMP_BYTES_MAX = 256
REPORT_LINES_MAX = 25


# What libFuzzer prints ------------------------------------------------------------------------


@dataclass
class Progress:
    """What is known of a run, by the lines so far."""

    executions: int = 0
    per_second: int = 0
    edges: int = 0
    inputs_new: int = 0
    artifact: str = ""
    reports: list[str] = field(default_factory=list)


STATUS = re.compile(r"#(\d+)\s+([A-Za-z]+)\b(?:.*?\bcov: (\d+))?(?:.*?\bexec/s: (\d+))?")
ARTIFACT = re.compile(r"Test unit written to (.+)$")
STATISTIC = re.compile(r"stat::(\w+):\s+(\d+)")
REPORT = re.compile(r"FAILED: |runtime error: |==\d+==\s*ERROR: |ERROR: libFuzzer")


def read_line(progress: Progress, line: str) -> None:
    status, artifact, statistic = STATUS.match(line), ARTIFACT.search(line), STATISTIC.match(line)
    if status:
        progress.executions = int(status[1])
        progress.inputs_new += status[2] == "NEW"
        progress.edges = int(status[3] or progress.edges)
        progress.per_second = int(status[4] or progress.per_second)
    elif artifact:
        progress.artifact = artifact[1]
    elif statistic and statistic[1] == "number_of_executed_units":
        progress.executions = int(statistic[2])
    elif statistic and statistic[1] == "average_exec_per_sec":
        progress.per_second = int(statistic[2])
    elif REPORT.search(line):
        progress.reports.append(line.strip())


# Targets --------------------------------------------------------------------------------------


@dataclass
class Target:
    """A target and its folders."""

    name: str
    build: Path
    corpora: Path
    progress: Progress = field(default_factory=Progress)
    status: int | None = None
    lines: list[str] = field(default_factory=list)

    @property
    def program(self) -> Path:
        return self.build / f"fuzz_{self.name}"

    @property
    def corpus(self) -> Path:
        return self.corpora / self.name

    @property
    def work(self) -> Path:
        return self.build / "corpus" / self.name

    @property
    def crashes(self) -> Path:
        return self.build / "crashes" / self.name

    @property
    def log(self) -> Path:
        return self.build / "logs" / f"{self.name}.log"

    @property
    def failed(self) -> bool:
        return self.status != 0

    def make_folders(self) -> None:
        for folder in (self.corpus, self.work, self.crashes, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)

    def command(self, seconds: int) -> list[str]:
        return [
            str(self.program),
            f"-max_total_time={seconds}",
            f"-max_len={LENGTH_MAX.get(self.name, LENGTH_MAX_OTHERS)}",
            "-len_control=0",  # long inputs from the start: what they do is add up
            f"-timeout={INPUT_SECONDS_MAX}",
            f"-artifact_prefix={self.crashes}/",
            "-print_final_stats=1",
            str(self.work),
            str(self.corpus),
        ]


class Processes:
    """The fuzzers that are running, so that they can be ended with us."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        with self.lock:
            if self.stopped:
                raise InterruptedError("not started: the run was ended")
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self.running.add(process)
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        with self.lock:
            self.running.discard(process)

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
            for process in self.running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)


def fuzz(target: Target, seconds: int, processes: Processes) -> None:
    target.make_folders()
    process = processes.start(target.command(seconds))
    assert process.stdout is not None
    with target.log.open("w", encoding="utf-8") as log:
        for line in process.stdout:
            log.write(line)
            target.lines.append(line.rstrip("\n"))
            read_line(target.progress, line)
    target.status = process.wait()
    processes.end(process)


# What is shown --------------------------------------------------------------------------------


def summary(target: Target) -> str:
    progress = target.progress
    result = "FAILED" if target.failed else "ok"
    return (
        f"{target.name:<12} {progress.executions:>10} executions {progress.per_second:>7}/s"
        f" {progress.edges:>6} edges {progress.inputs_new:>5} new inputs  {result}"
    )


def hexdump(data: bytes) -> list[str]:
    lines = []
    for at in range(0, min(len(data), DUMP_BYTES_MAX), 16):
        row = data[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        lines.append(f"{at:04x}  {row.hex(' '):<47}  {text}")
    if len(data) > DUMP_BYTES_MAX:
        lines.append(f"... {len(data) - DUMP_BYTES_MAX} bytes more")
    return lines


def relative(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.resolve().relative_to(Path.cwd()))
    return str(path)


def failure(target: Target) -> list[str]:
    """What is wrong, the input, and how to see it again."""
    progress = target.progress
    lines = [f"{target.name}: {report}" for report in progress.reports[:3]]
    if not progress.artifact:
        lines += [f"{target.name}: exit status {target.status} and no input, last lines:"]
        return lines + ["    | " + line for line in target.lines[-REPORT_LINES_MAX:]]
    path = Path(progress.artifact)
    data = path.read_bytes() if path.exists() else b""
    lines += [f"  input: {relative(path)}, {len(data)} bytes"]
    lines += ["    " + row for row in hexdump(data)]
    lines += [
        f"  replay: {shlex.join([relative(target.program), relative(path)])}",
        f"  log: {relative(target.log)}",
        f"  once fixed, add it to {relative(target.corpus)}/ as regression-WHAT-IT-WAS",
    ]
    return lines


def progress_line(targets: list[Target], started: float) -> str:
    running = [
        f"{target.name} {target.progress.executions} ({target.progress.edges} edges)"
        for target in targets
        if target.status is None and target.progress.executions
    ]
    return f"{time.monotonic() - started:5.0f} s  " + "; ".join(running)


def show_progress(targets: list[Target], over: threading.Event) -> None:
    started = time.monotonic()
    while not over.wait(PROGRESS_SECONDS):
        print(progress_line(targets, started), flush=True)


def fuzz_and_show(target: Target, seconds: int, processes: Processes) -> None:
    fuzz(target, seconds, processes)
    if not processes.stopped:
        print("\n".join([summary(target), *(failure(target) if target.failed else [])]), flush=True)


def fuzz_all(targets: list[Target], seconds: int, jobs: int, processes: Processes) -> int:
    over = threading.Event()
    watcher = threading.Thread(target=show_progress, args=(targets, over), daemon=True)
    print(f"fuzzing {len(targets)} targets, {seconds} s each, {jobs} at once", flush=True)
    watcher.start()
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            runs = [pool.submit(fuzz_and_show, target, seconds, processes) for target in targets]
            for run in runs:
                run.result()
        except KeyboardInterrupt:
            processes.stop()
            raise
        finally:
            over.set()
    failed = [target.name for target in targets if target.failed]
    print(f"{len(targets) - len(failed)} targets ok, {len(failed)} failed", end="")
    print(": " + ", ".join(failed) if failed else "")
    return 1 if failed else 0


# Folding into the tree ------------------------------------------------------------------------


def is_kept(path: Path) -> bool:
    return path.name.startswith(("regression-", "seed-"))


def by_length(data: bytes) -> tuple[int, bytes]:
    return len(data), data


def spread(inputs: list[bytes], count: int) -> list[bytes]:
    """`count` of the inputs, of all lengths, the longest among them."""
    ordered = sorted(inputs, key=by_length, reverse=True)
    step = max(1.0, len(ordered) / max(1, count))
    return [ordered[int(i * step)] for i in range(min(count, len(ordered)))]


def choose(needed: list[bytes], others: list[bytes], room: int) -> list[bytes]:
    """As many as a corpus may have: the needed ones, the shortest first, then some others."""
    first = sorted(set(needed), key=by_length)
    more = spread(list(set(others) - set(needed)), max(0, CORPUS_FILES_MAX - len(first)))
    chosen: list[bytes] = []
    for data in [*first, *more][:CORPUS_FILES_MAX]:
        if len(data) <= room:
            chosen.append(data)
            room -= len(data)
    return chosen


def replace_corpus(folder: Path, inputs: list[bytes]) -> None:
    for path in list(folder.iterdir()):
        if not is_kept(path):
            path.unlink()
    for data in inputs:
        (folder / hashlib.sha1(data).hexdigest()[:12]).write_bytes(data)


def cover(target: Target, option: str, processes: Processes) -> list[bytes]:
    """A small set of all inputs that reaches what all of them reach. Empty where that fails."""
    with tempfile.TemporaryDirectory() as minimal:
        command = [str(target.program), "-set_cover_merge=1", option]
        command += [f"-timeout={INPUT_SECONDS_MAX}", f"-artifact_prefix={target.crashes}/"]
        command += [f"-max_len={LENGTH_MAX.get(target.name, LENGTH_MAX_OTHERS)}"]
        command += [minimal, str(target.corpus), str(target.work)]
        process = processes.start(command)
        output, _ = process.communicate()
        processes.end(process)
        target.status = process.returncode
        target.lines = output.splitlines()
        return [] if target.failed else [path.read_bytes() for path in Path(minimal).iterdir()]


def merge(target: Target, processes: Processes) -> None:
    """
    All inputs of the corpus together must cover every edge. To cover also how often each edge was
    taken needs ten times as many inputs: of those, as many as there is room for.
    """
    target.make_folders()
    needed = cover(target, "-use_counters=0", processes)
    others = cover(target, "-use_counters=1", processes) if needed else []
    if not others:
        target.status = target.status or 1
        print("\n".join([f"{target.name}: the merge failed", *target.lines[-REPORT_LINES_MAX:]]))
        return
    kept = {path.read_bytes() for path in target.corpus.iterdir() if is_kept(path)}
    room = CORPUS_BYTES_MAX.get(target.name, CORPUS_BYTES_MAX_OTHERS)
    chosen = choose(list(set(needed) - kept), list(set(others) - kept), room)
    replace_corpus(target.corpus, chosen)
    left = len(set(needed) - kept - set(chosen))
    print(
        f"{target.name:<12} {len(chosen):>4} inputs, {sum(map(len, chosen))} bytes, and {len(kept)}"
        f" kept by name" + (f"; {left} left out, for there is no room" if left else ""),
        flush=True,
    )


# The command line -----------------------------------------------------------------------------


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz, or fold what was found into the tree.")
    add = parser.add_argument
    add("names", nargs="+", metavar="NAME", help="targets")
    add("--build", type=Path, default=ROOT / "build" / "fuzz", metavar="DIR")
    add("--corpora", type=Path, default=ROOT / "tests" / "host" / "fuzz" / "corpus", metavar="DIR")
    add("--seconds", type=positive, default=60, help="for each target")
    add("--jobs", type=positive, default=len(os.sched_getaffinity(0)), metavar="N",
        help="targets at once (default: the host's processors)")
    add("--only", default="", metavar="NAME,..", help="only these targets")
    add("--merge", action="store_true", help="minimise the corpus in the tree; do not fuzz")
    return parser.parse_args(arguments)


def wanted_targets(options: argparse.Namespace) -> list[Target]:
    only = [name for name in re.split(r"[,\s]+", options.only) if name]
    unknown = sorted(set(only) - set(options.names))
    if unknown:
        known = ", ".join(options.names)
        near = did_you_mean(unknown[0], options.names)
        raise LookupError(f"no such target: {', '.join(unknown)}{near}; there are {known}")
    build, corpora = options.build.resolve(), options.corpora.resolve()
    targets = [Target(name, build, corpora) for name in options.names if not only or name in only]
    for target in targets:
        if not target.program.exists():
            raise LookupError(f"{target.program} is not there: `make fuzz` builds it, with clang")
    return targets


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    options = parse_arguments(arguments)
    processes = Processes()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        targets = wanted_targets(options)
        if not options.merge:
            return fuzz_all(targets, options.seconds, options.jobs, processes)
        for target in targets:
            merge(target, processes)
        return 1 if any(target.failed for target in targets) else 0
    except LookupError as error:
        print(f"fuzz: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        processes.stop()
        print("fuzz: ended early; what was found is kept", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
