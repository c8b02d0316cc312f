# SPDX-License-Identifier: BSD-2-Clause
"""QEMU as a process: starts it, watches it, and ends it."""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from .console import Console
from .status import CannotRun

POLL_SECONDS = 0.2
KILL_GRACE_SECONDS = 2.0


@dataclass
class Run:
    """How QEMU ended, and what it had said by then."""

    console: Console
    status: int | None = None  # None: it had to be killed
    timed_out: bool = False
    signal: int = 0  # that ended us
    seconds: float = 0.0


class Interrupts:
    """Whether something asks us to end, for the loop to look at."""

    def __init__(self) -> None:
        self.received = 0


class Signals(Interrupts):
    """Remembers the first signal that asks us to end."""

    def __init__(self) -> None:
        super().__init__()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self.remember)

    def remember(self, number: int, _frame: object) -> None:
        self.received = self.received or number


@contextlib.contextmanager
def terminal_kept() -> Iterator[None]:
    """Puts the terminal back as it was: QEMU, when killed, leaves it raw and non-blocking."""
    if not sys.stdin or not sys.stdin.isatty():
        yield
        return
    descriptor = sys.stdin.fileno()
    saved = termios.tcgetattr(descriptor)
    try:
        yield
    finally:
        # In the background, setting the terminal would stop us.
        previous = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)
        signal.signal(signal.SIGTTOU, previous)
        os.set_blocking(descriptor, True)


def start(
    command: list[str], interactive: bool, typed: BinaryIO | None
) -> subprocess.Popen[bytes]:
    """QEMU in its own process group, except where it needs the terminal."""
    try:
        return subprocess.Popen(
            command,
            stdin=None if interactive else typed or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=not interactive,
        )
    except OSError as error:
        raise CannotRun(f"{command[0]}: {error.strerror}") from error


def send(process: subprocess.Popen[bytes], number: int, interactive: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        if interactive:
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)


def end(process: subprocess.Popen[bytes], interactive: bool) -> None:
    """Ends the group we started, politely first."""
    send(process, signal.SIGTERM, interactive)
    try:
        process.wait(KILL_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        send(process, signal.SIGKILL, interactive)
        process.wait()


def read_available(descriptor: int) -> bytes | None:
    """Output, b"" at its end, or None when there was none for a while."""
    ready, _, _ = select.select([descriptor], [], [], POLL_SECONDS)
    return os.read(descriptor, 64 * 1024) if ready else None


def watch(
    process: subprocess.Popen[bytes], run: Run, deadline: float, interrupts: Interrupts
) -> None:
    """Feeds the console until QEMU has ended, the time is up, or we are asked to end."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    at_end = False
    while not at_end:
        run.signal = interrupts.received
        run.timed_out = time.monotonic() >= deadline
        if run.signal or run.timed_out:
            return
        data = read_available(descriptor)
        if data:
            run.console.feed(data)
        # A stray descendant may hold the pipe open after QEMU has gone.
        at_end = data == b"" or (data is None and process.poll() is not None)
    try:
        run.status = process.wait(KILL_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        run.timed_out = True


def execute(
    command: list[str], options: argparse.Namespace, console: Console, interrupts: Interrupts
) -> Run:
    """One run of QEMU, which may be one of several in threads unless it is interactive."""
    run = Run(console)
    started = time.monotonic()
    deadline = started + options.timeout if options.timeout else float("inf")
    with contextlib.ExitStack() as stack:
        typed = stack.enter_context(options.typed.open("rb")) if options.typed else None
        process = start(command, options.interactive, typed)
    try:
        watch(process, run, deadline, interrupts)
    finally:
        if process.poll() is None:
            end(process, options.interactive)
        console.finish()
    run.seconds = time.monotonic() - started
    return run
