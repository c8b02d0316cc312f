# SPDX-License-Identifier: BSD-2-Clause
"""QEMU as a process: starts it, watches it, and ends it.

QEMU leads a session of its own, so that no signal of the terminal reaches it but through the
launcher. Where the launcher itself is killed, the host's kernel kills QEMU.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .command import machine_of
from .console import Console
from .harts import program_counters
from .keyboard import Keyboard
from .status import CannotRun

POLL_SECONDS = 0.2
KILL_GRACE_SECONDS = 2.0
VERDICT_GRACE_SECONDS = 3.0
HANG_UP_SECONDS = 10.0
CHUNK_BYTES = 64 * 1024

# The launcher may have been killed before the request is in force: then the parent is another one.
IF_THE_PARENT_LIVES = '[ "$PPID" = "$0" ] && exec "$@"'


@dataclass
class Run:
    """How QEMU ended, and what it had said by then."""

    console: Console
    options: argparse.Namespace
    status: int | None = None  # None: it had to be ended
    timed_out: bool = False
    halted: bool = False  # the machine has no way to end QEMU, so the launcher ended it
    signal: int = 0  # that ended us
    seconds: float = 0.0
    counters: list[int] = field(default_factory=list)  # at a time-out: where each hart was


class Interrupts:
    """Whether something asks us to end, for the loop to look at."""

    def __init__(self) -> None:
        self.received = 0


class Signals(Interrupts):
    """Remembers the first signal that asks us to end."""

    def __init__(self) -> None:
        super().__init__()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # nohup has SIGHUP ignored.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self.remember)

    def remember(self, number: int, _frame: object) -> None:
        self.received = self.received or number


@dataclass
class Machine:
    """QEMU, and the launcher's own connection to its monitor (QMP)."""

    process: subprocess.Popen[bytes]
    control: socket.socket


def ended_with_us(command: list[str]) -> list[str]:
    """The command, so that the host's kernel kills it when the thread that starts it has ended."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:  # no Linux
        return command
    return [setpriv, "--pdeathsig", "KILL", "sh", "-c", IF_THE_PARENT_LIVES, str(os.getpid()), *command]


def start(command: list[str], is_typed: bool, inherited: Sequence[int]) -> Machine:
    """Nothing of it has a name in the file system, so two runs cannot meet."""
    ours, theirs = socket.socketpair()
    monitor = ["-chardev", f"socket,id=launcher,fd={theirs.fileno()}", "-mon", "chardev=launcher,mode=control"]
    try:
        process = subprocess.Popen(
            ended_with_us([command[0], *monitor, *command[1:]]),
            stdin=subprocess.PIPE if is_typed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[theirs.fileno(), *inherited],
        )
    except OSError as error:
        ours.close()
        raise CannotRun(f"{command[0]}: {error.strerror}") from error
    finally:
        theirs.close()
    return Machine(process, ours)


def send(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the group we started, politely first."""
    send(process, signal.SIGTERM)
    try:
        process.wait(KILL_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        send(process, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def keyboard(options: argparse.Namespace, process: subprocess.Popen[bytes]) -> Iterator[Keyboard | None]:
    """What is typed, where anything is."""
    if process.stdin is None:
        yield None
        return
    with process.stdin, contextlib.ExitStack() as stack:
        os.set_blocking(process.stdin.fileno(), False)
        typed = stack.enter_context(options.typed.open("rb")) if options.typed else sys.stdin
        yield Keyboard(typed.fileno() if typed else None, process.stdin.fileno())


def stands_still(run: Run) -> bool:
    """The run is over, on a machine whose firmware may take the order to power off and do nothing.

    QEMU's virt machine always can: there it would be a failure.
    """
    over = time.monotonic() - run.console.verdict_at > VERDICT_GRACE_SECONDS
    return over and machine_of(run.options) != "virt"


@dataclass
class Watch:
    """Feeds the console until QEMU has ended, the time is up, or we are asked to end."""

    process: subprocess.Popen[bytes]
    run: Run
    deadline: float
    interrupts: Interrupts
    typed: Keyboard | None
    has_hung_up: bool = False

    def is_to_end(self) -> bool:
        """A closed terminal ends the kernel's monitor first, so that there is a verdict."""
        asked = self.interrupts.received
        if asked == signal.SIGHUP and self.typed and self.typed.prompted and not self.has_hung_up:
            self.typed.hang_up()
            self.has_hung_up = True
            self.deadline = min(self.deadline, time.monotonic() + HANG_UP_SECONDS)
        is_late = time.monotonic() >= self.deadline
        self.run.signal = 0 if self.has_hung_up and not is_late else asked
        if self.typed and self.typed.leaves:
            self.run.signal = signal.SIGINT
        self.run.timed_out = is_late
        return bool(self.run.signal or self.run.timed_out)

    def pass_on(self, readable: list[int], writable: list[int]) -> None:
        """What is typed, after the console's output that it may have waited for."""
        if self.typed:
            self.typed.hear(self.run.console.pending)
            if self.typed.source in readable:
                self.typed.read()
            if writable:
                self.typed.write()

    def watch(self) -> None:
        assert self.process.stdout is not None
        output = self.process.stdout.fileno()
        at_end = False
        while not at_end:
            if self.is_to_end():
                return
            sources, sinks = (self.typed.sources(), self.typed.sinks()) if self.typed else ([], [])
            had_ended = self.process.poll() is not None  # before the look at what it has written
            readable, writable, _ = select.select([output, *sources], sinks, [], POLL_SECONDS)
            data = os.read(output, CHUNK_BYTES) if output in readable else None
            if data:
                self.run.console.feed(data)
            self.pass_on(readable, writable)
            self.run.console.view.draw()
            self.run.halted = self.run.console.halted or stands_still(self.run)
            if self.run.halted:
                return
            # A stray descendant may hold the pipe open after QEMU has gone.
            at_end = data == b"" or (had_ended and output not in readable)
        try:
            self.run.status = self.process.wait(KILL_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.run.timed_out = True


def execute(command: list[str], options: argparse.Namespace, console: Console, interrupts: Interrupts,
            inherited: Sequence[int] = ()) -> Run:
    """One run of QEMU, which may be one of several in threads unless it is interactive."""
    run = Run(console, options)
    started = time.monotonic()
    deadline = started + options.timeout if options.timeout else float("inf")
    machine = start(command, options.interactive or options.typed is not None, inherited)
    process = machine.process
    try:
        with machine.control, keyboard(options, process) as typed:
            Watch(process, run, deadline, interrupts, typed).watch()
            if run.timed_out:
                run.counters = program_counters(machine.control)
    finally:
        if process.poll() is None:
            end(process)
        console.finish()
        console.view.draw("")
    run.seconds = time.monotonic() - started
    return run
