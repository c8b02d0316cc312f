# SPDX-License-Identifier: BSD-2-Clause
"""Which jobs there are: the programs and commands that the Makefile names, made into jobs.

Jobs are of these kinds: host test programs, which print KTAP, fuzz targets over their corpora among
them; the kernel under QEMU, through launch.py, which prints KTAP too and ends with a verdict; and
commands (lint, the model's searches, a sweep of schedules), of which only the exit status counts.
Each KTAP result is one test; a boot and a command are one test more each.
"""

from __future__ import annotations

import argparse
import platform
import shlex
import subprocess
import sys
from pathlib import Path

from .cases import CASES, QUICK_CASES, Case, matrix
from .jobs import ROOT, Job, log_path

LAUNCHER = ROOT / "tools" / "launch.py"
CORPORA = ROOT / "tests" / "host" / "fuzz" / "corpus"

# Bounds that only a hang reaches, on a slow machine too.
HOST_TIMEOUT_SECONDS = 1800
LAUNCHER_GRACE_SECONDS = 60

ALL_SLOTS = 1 << 30  # more than any machine has


def host_job(program: str, group: str = "host", prefix: tuple[str, ...] = ()) -> Job:
    return Job(
        name=f"{group}/{Path(program).name}",
        command=[*prefix, str(Path(program).resolve())],
        counts_ktap=True,
        is_one_test=False,
        slots=1,
        timeout=HOST_TIMEOUT_SECONDS,
        expected_seconds=5,
    )


def fixed_addresses() -> tuple[str, ...]:
    """Kernels can place mappings at random more widely than ThreadSanitizer has room for."""
    prefix = ("setarch", platform.machine(), "-R")
    try:
        usable = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    except OSError:
        return ()
    return () if usable.returncode else prefix


def corpus_job(program: str) -> Job:
    """A fuzz target over the inputs that are kept for it: one test each."""
    name = Path(program).name
    return Job(
        name=f"corpus/{name}",
        command=[str(Path(program).resolve()), str(CORPORA / name.removeprefix("fuzz_"))],
        counts_ktap=True,
        is_one_test=False,
        slots=1,
        timeout=HOST_TIMEOUT_SECONDS,
        expected_seconds=5,
    )


def lint_job(command: str, slots: int = 1) -> Job:
    return Job(
        name=f"lint/{command}",
        command=shlex.split(command),
        counts_ktap=False,
        is_one_test=True,
        slots=slots,
        expected_seconds=60 * slots,
        timeout=HOST_TIMEOUT_SECONDS,
    )


def model_job(command: str) -> Job:
    """It runs two searches at once itself."""
    return Job(
        name="model/searches",
        command=shlex.split(command),
        counts_ktap=False,
        is_one_test=True,
        slots=2,
        timeout=HOST_TIMEOUT_SECONDS,
        expected_seconds=300,
    )


def explore_job(command: str) -> Job:
    """It uses every processor itself, so no other job runs beside it."""
    return Job(
        name="explore/seeds",
        command=shlex.split(command),
        counts_ktap=False,
        is_one_test=True,
        slots=ALL_SLOTS,
        timeout=HOST_TIMEOUT_SECONDS,
        expected_seconds=300,
    )


def has_many_harts(case: Case) -> bool:
    """More threads than the host's scheduler should weigh one by one against other jobs."""
    return int(case.smp) > 32


def boot_slots(case: Case) -> int:
    """Harts take turns on one thread of QEMU under icount and in virtual time; a boot that is refused
    is all start-up.

    Many harts keep one core busy, for they wait for each other.
    """
    in_turns = case.icount or "time=virtual" in case.bootargs
    alone = in_turns or case.smp == "1" or case.expect != "pass" or has_many_harts(case)
    return 1 if alone else 2


def qemu_job(case: Case, kernel: Path, logs: Path) -> Job:
    name = f"qemu/{case.name}"
    kernel = kernel.parent / case.build / kernel.name
    command = ["nice", "-n", "19"] if has_many_harts(case) else []
    command += [sys.executable, str(LAUNCHER), "--kernel", str(kernel), "--smp", case.smp]
    command += ["--mem", case.mem, "--timeout", str(case.timeout), "--expect", case.expect]
    command += ["--log", str(log_path(logs, name, ".console"))]
    command += ["--records", str(log_path(logs, name, ".jsonl"))]
    command += ["--json", f"--bootargs={case.bootargs}"]
    if case.icount:
        command += [f"--icount={case.icount}"]
    if case.dtb:
        command += [f"--dtb={case.dtb}"]
    if case.typed:
        command += [f"--typed={case.typed}"]
    command += [f"--qemu-arg={argument}" for argument in case.qemu_args]
    return Job(
        name=name,
        command=command,
        # The tests that a run made to fail reports are not ours to count.
        counts_ktap=case.expect == "pass",
        is_one_test=True,
        slots=boot_slots(case),
        expected_seconds=1 if case.expect != "pass" else 5 * int(case.smp),
        timeout=case.timeout + LAUNCHER_GRACE_SECONDS,
        must_contain=case.must_contain,
        sweep_records=log_path(logs, name, ".jsonl") if case.judge == "sweep" else None,
        trace_records=log_path(logs, name, ".jsonl") if case.judge == "trace" else None,
        fault_records=log_path(logs, name, ".jsonl") if case.judge == "faults" else None,
        bench_records=log_path(logs, name, ".jsonl") if case.judge == "bench" else None,
    )


def plan(options: argparse.Namespace) -> list[Job]:
    """All jobs, in no particular order; no two have the same name."""
    jobs = []
    if options.kernel:
        cases = QUICK_CASES if options.quick else [*matrix(options.smp, options.mem), *CASES]
        jobs += [qemu_job(case, options.kernel.resolve(), options.logs) for case in cases]
    if options.tsan:
        prefix = fixed_addresses()
        jobs += [host_job(program, "tsan", prefix) for program in options.tsan]
    jobs += [host_job(program) for program in options.host]
    jobs += [corpus_job(program) for program in options.corpus]
    jobs += [host_job(program, "host-checks0") for program in options.host_checks0]
    jobs += [host_job(program, "host-bare") for program in options.host_bare]
    jobs += [model_job(command) for command in options.model]
    jobs += [lint_job(command) for command in options.lint]
    jobs += [lint_job(command, slots=2) for command in options.wide]
    jobs += [explore_job(command) for command in options.explore]
    return jobs


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="check", description="Names the jobs to run.")
    add = parser.add_argument
    add("--host", nargs="*", action="extend", default=[], metavar="PROGRAM",
        help="test programs that print KTAP")
    add("--host-checks0", nargs="*", action="extend", default=[], metavar="PROGRAM",
        help="the same, built without the checks of callers")
    add("--host-bare", nargs="*", action="extend", default=[], metavar="PROGRAM",
        help="the same, built without lock statistics, wait matrix and trace")
    add("--tsan", nargs="*", action="extend", default=[], metavar="PROGRAM",
        help="the same, built for ThreadSanitizer")
    add("--corpus", nargs="*", action="extend", default=[], metavar="PROGRAM",
        help="fuzz targets, each to run over its corpus")
    add("--kernel", type=Path, metavar="ELF", help="the kernel; without it, no job runs QEMU")
    add("--quick", action="store_true", help="few boots, for `make check`")
    add("--smp", default="4", metavar="N,..", help="harts, for the matrix")
    add("--mem", default="128M", metavar="SIZE,..", help="memory, for the matrix")
    add("--lint", nargs="*", action="extend", default=[], metavar="COMMAND",
        help="commands, each one quoted, that must exit 0")
    add("--wide", nargs="*", action="extend", default=[], metavar="COMMAND",
        help="the same, each two processors' work")
    add("--model", nargs="*", action="extend", default=[], metavar="COMMAND",
        help="searches a model, two processors' work; must exit 0")
    add("--explore", nargs="*", action="extend", default=[], metavar="COMMAND",
        help="explores schedules, with the machine to itself; must exit 0")
    add("--logs", type=Path, default=ROOT / "build" / "logs", metavar="DIR")
    options = parser.parse_args(arguments)
    options.logs = options.logs.resolve()
    return options
