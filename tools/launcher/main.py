# SPDX-License-Identifier: BSD-2-Clause
"""One run from the command line to the exit status."""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shlex
from pathlib import Path
from typing import BinaryIO

import lines

from .command import HARTS_SAFE, check_files, harts_of, lines_path, qemu_command
from .console import Console
from .judge import judge, report
from .options import parse_arguments
from .process import Signals, execute, terminal_kept
from .status import CANNOT_RUN, CannotRun, say
from .symbols import Symbols


def open_for_writing(stack: contextlib.ExitStack, path: Path | None) -> BinaryIO | None:
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return stack.enter_context(path.open("wb"))
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror}") from error


def write_usage(path: Path) -> None:
    """Of the largest child, which is QEMU: what else is run here only reads the kernel."""
    used = {"max_rss_kib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}
    try:
        path.write_text(json.dumps(used) + "\n", encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror}") from error


def launch(options: argparse.Namespace) -> int:
    check_files(options)
    if options.lines:
        lines_path(options).unlink(missing_ok=True)  # of a run that was killed
    command = qemu_command(options)
    if options.gdb:
        say("QEMU waits for: gdb-multiarch -ex 'target remote localhost:1234' "
            + shlex.quote(str(options.kernel)))
    with contextlib.ExitStack() as stack:
        log = open_for_writing(stack, options.log)
        records_file = open_for_writing(stack, options.records)
        assert log is not None
        console = Console(
            symbols=Symbols(options.kernel),
            log=log,
            records_file=records_file,
            shown=not options.quiet,
            raw=options.interactive,
            hidden=options.after_boot,
            lines=lines_path(options) if options.lines else None,
        )
        interrupts = Signals()
        with terminal_kept():
            run = execute(command, options, console, interrupts)
    if options.usage:
        write_usage(options.usage)
    if not console.last_lines and harts_of(options.smp) > HARTS_SAFE:
        say(f"the firmware printed nothing: OpenSBI 1.6 does so on QEMU 10 with more than about "
            f"{HARTS_SAFE} harts")
    if options.lines and not options.quiet:
        for line in lines.tables(console.records, None, lines.HOTTEST_SHOWN):
            print(line, flush=True)
    judgement = judge(run, options.expect)
    report(judgement, run)
    return judgement.code


def main(arguments: list[str] | None = None) -> int:
    try:
        return launch(parse_arguments(arguments))
    except CannotRun as error:
        say(str(error))
        return CANNOT_RUN
