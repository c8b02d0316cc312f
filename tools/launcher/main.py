# SPDX-License-Identifier: BSD-2-Clause
"""One run from the command line to the exit status."""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
from pathlib import Path

import lines

from . import summary
from .command import (HARTS_SAFE, check_files, find_qemu, gdb_arguments, gdb_command, gdb_listener, harts_of,
                      lines_path, qemu_command)
from .console import Console
from .judge import Judgement, judge, report
from .options import parse_arguments
from .process import Run, Signals, execute
from .runs import run_folder
from .sink import Sink
from .status import CANNOT_RUN, CannotRun, say
from .symbols import Symbols
from .terminal import raw_terminal
from .view import View, is_terminal, wants_colour


def folder_used(stack: contextlib.ExitStack, options: argparse.Namespace) -> None:
    """Names the files of the run in its folder, unless the user has named them."""
    if options.log is None:
        folder = stack.enter_context(run_folder(options.logs, options.run, options.boot))
        options.log = folder / f"{options.boot}.log"
        options.records = options.records or folder / f"{options.boot}.jsonl"


def new_console(stack: contextlib.ExitStack, options: argparse.Namespace) -> Console:
    """With files of its own."""
    if options.lines:
        lines_path(options).unlink(missing_ok=True)  # of a run that was killed
    return Console(
        symbols=Symbols(options.kernel),
        log=stack.enter_context(Sink(options.log)),
        records_file=stack.enter_context(Sink(options.records)) if options.records else None,
        view=view_of(options),
        lines=lines_path(options) if options.lines else None,
    )


def run_qemu(stack: contextlib.ExitStack, options: argparse.Namespace, console: Console) -> Run:
    """With gdb's port, where it is to wait for gdb."""
    command = qemu_command(options)
    inherited = []
    if options.gdb:
        listener = stack.enter_context(gdb_listener(options.gdb_port))
        say(f"QEMU waits for: {gdb_command(options.kernel, listener)}")
        command += gdb_arguments(listener)
        inherited = [listener.fileno()]
    interrupts = Signals()
    if options.interactive:
        say("Ctrl-] ends QEMU; all other keys are the kernel's")
    with raw_terminal(options.interactive):
        return execute(command, options, console, interrupts, inherited)


def write_usage(path: Path) -> None:
    """Of the largest child, which is QEMU: what else is run here only reads the kernel."""
    used = {"max_rss_kib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}
    try:
        path.write_text(json.dumps(used) + "\n", encoding="utf-8")
    except OSError as error:
        raise CannotRun(f"{path}: {error.strerror}") from error


def view_of(options: argparse.Namespace) -> View:
    terminal = is_terminal()
    return View(shown=not options.quiet, raw=options.interactive, json=options.json,
                after_boot=options.after_boot, colour=wants_colour(options.color, terminal),
                terminal=terminal)


def summarise(judgement: Judgement, console: Console, options: argparse.Namespace) -> None:
    before = [record for path in options.after for record in summary.read_records(path)]
    files = [*options.after, *([options.records] if options.records else [])]
    ran = summary.Ran(before + console.records, options.smp, options.mem, options.bootargs, files, options.log)
    if judgement.code:
        found = summary.failed(ran, judgement.text, console.traced)
    else:
        found = summary.passed(ran)
    for line in ["", *judgement.details, *found]:
        console.view.show(line.encode())


def launch(options: argparse.Namespace) -> int:
    check_files(options)
    find_qemu()
    with contextlib.ExitStack() as stack:
        folder_used(stack, options)
        console = new_console(stack, options)
        run = run_qemu(stack, options, console)
    if options.usage:
        write_usage(options.usage)
    if not console.last_lines and harts_of(options.smp) > HARTS_SAFE:
        say(f"the firmware printed nothing: OpenSBI 1.6 does so on QEMU 10 with more than about "
            f"{HARTS_SAFE} harts")
    if options.lines and not options.quiet:
        for line in lines.tables(console.records, None, lines.HOTTEST_SHOWN):
            console.view.show(line.encode())
    judgement = judge(run, options.expect)
    if not options.summary or options.quiet:
        report(judgement, run)
    elif judgement.code or not options.more:
        summarise(judgement, console, options)
    return judgement.code


def main(arguments: list[str] | None = None) -> int:
    try:
        return launch(parse_arguments(arguments))
    except CannotRun as error:
        say(str(error))
        return CANNOT_RUN
