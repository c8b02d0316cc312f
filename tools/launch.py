#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Boots the kernel under QEMU, passes its console on, and judges the run.

A run passes when the last record on its console is a verdict that says "pass" and QEMU's exit
status agrees. Everything else is a failure: a verdict that says "fail", no verdict at all
(crash, hang, firmware reset), a record after the verdict, a verdict and an exit status that
disagree. One line on stderr says which.

A record is a console line that is a JSON object with a "record" member. Addresses printed as
[<0x80200000>] get the name of their function.

Exit status: 0 pass (or the outcome asked for with --expect), 1 fail, 2 cannot run, 124 time-out,
128 + N when ended by signal N.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import json
import os
import re
import resource
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import lines

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_LOG = ROOT / "build" / "logs" / "launch.log"
DEFAULT_TIMEOUT_SECONDS = 120.0
# Virtual time (docs/virtual-time.md): the plugin, and instructions in a turn where turn= is not given.
PLUGIN = ROOT / "build" / "qemu" / "hartframe.so"
DEFAULT_TURN = 25
# With more harts some firmware does not come up (docs/testing.md).
HARTS_SAFE = 100

PASS, FAIL, CANNOT_RUN, TIMED_OUT = 0, 1, 2, 124

POLL_SECONDS = 0.2
KILL_GRACE_SECONDS = 2.0
LINE_BYTES_MAX = 64 * 1024
LAST_LINES_KEPT = 8

# Long, and for programs alone; they are in the log and among the records.
UNSHOWN = ("trace_block",)

DIM, UNDIM = b"\x1b[2m", b"\x1b[0m"
ADDRESS = re.compile(rb"\[<0x([0-9a-fA-F]{1,16})>\]")
PANIC = re.compile(rb"\bpanic\b", re.IGNORECASE)


class CannotRun(Exception):
    """QEMU could not even be started."""


def say(message: str) -> None:
    print(f"launch: {message}", file=sys.stderr, flush=True)


# What is run ---------------------------------------------------------------------------------


def find_qemu() -> str:
    wanted = os.environ.get("QEMU") or "qemu-system-riscv64"
    found = shutil.which(wanted)
    if found is None:
        raise CannotRun(
            f"{wanted} not found: install the package qemu-system-misc, or run `make deps`"
        )
    return found


def lines_path(options: argparse.Namespace) -> Path:
    """Where QEMU's plugin writes what lines of memory cost, before it is among the records."""
    return Path(f"{options.log}.lines")


def virtual_time(options: argparse.Namespace) -> list[str]:
    """What makes the machine of the boot argument time=virtual; nothing without it."""
    words = dict(word.partition("=")[::2] for word in options.bootargs.split())
    if words.get("time") != "virtual":
        return []
    if options.icount:
        raise CannotRun("time=virtual sets -icount itself: leave out --icount")
    if not options.plugin.is_file():
        raise CannotRun(f"time=virtual needs {options.plugin}: `make` builds it")
    turn, seed = words.get("turn", str(DEFAULT_TURN)), words.get("seed", "1")
    if not (turn.isdecimal() and int(turn) and seed.isdecimal()):
        return ["-icount", "shift=0,sleep=off"]  # the kernel refuses it, and says what is valid
    plugin = f"{options.plugin},turn={int(turn)},seed={int(seed) % 2**64}"
    if options.lines:
        plugin += f",lines={lines_path(options)},line={options.line}"
    return ["-icount", "shift=0,sleep=off", "-plugin", plugin]


def qemu_command(options: argparse.Namespace) -> list[str]:
    command = [find_qemu(), "-machine", "virt", "-nographic", "-monitor", "none"]
    # A guest that resets must not boot again and be taken for a run that goes on.
    command += ["-serial", "stdio", "-no-reboot", "-bios", "default"]
    command += ["-smp", options.smp, "-m", options.mem, "-kernel", str(options.kernel)]
    if options.bootargs:
        command += ["-append", options.bootargs]
    if options.icount:
        command += ["-icount", options.icount]
    if options.dtb:
        command += ["-dtb", str(options.dtb)]
    if options.gdb:
        command += ["-s", "-S"]
    return command + virtual_time(options) + options.qemu_arg


def check_files(options: argparse.Namespace) -> None:
    if options.lines and "time=virtual" not in options.bootargs.split():
        raise CannotRun("--lines is for time=virtual")
    for path in (options.kernel, options.dtb, options.typed):
        if path is not None and not path.is_file():
            raise CannotRun(f"{path}: no such file")


# The console ---------------------------------------------------------------------------------


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of it, also where QEMU has made the terminal we share non-blocking."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


class Symbols:
    """Names for addresses in the kernel. Without a tool to read it, there are none."""

    TOOLS = ("riscv64-unknown-elf-nm", "riscv64-linux-gnu-nm", "llvm-nm", "nm")

    LINE_TOOLS = tuple(tool.replace("nm", "addr2line") for tool in TOOLS)

    def __init__(self, kernel: Path) -> None:
        self.kernel = kernel
        self.functions: list[tuple[int, bytes]] | None = None
        self.places: dict[int, bytes] = {}

    def read(self) -> list[tuple[int, bytes]]:
        tool = next(filter(None, map(shutil.which, self.TOOLS)), None)
        if tool is None:
            return []
        listing = subprocess.run(
            [tool, str(self.kernel)], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        rows = (line.split() for line in listing.stdout.splitlines())
        return sorted(
            (int(row[0], 16), row[2])
            for row in rows
            if len(row) == 3 and row[1] in b"tTwW" and row[2][:1] not in b".$"
        )

    def name(self, address: int) -> bytes | None:
        if self.functions is None:
            self.functions = self.read()
        index = bisect.bisect_right(self.functions, address, key=lambda row: row[0]) - 1
        if index < 0:
            return None
        start, function = self.functions[index]
        return b"%s+0x%x" % (function, address - start)

    def find_places(self, addresses: list[int]) -> None:
        """The source line of the call that each address returns to; none where the kernel has no lines."""
        tool = next(filter(None, map(shutil.which, self.LINE_TOOLS)), None)
        wanted = [address for address in addresses if address not in self.places]
        if tool is None or not wanted:
            return
        listing = subprocess.run(
            [tool, "-a", "-i", "-s", "-e", str(self.kernel), *(hex(max(at - 1, 0)) for at in wanted)],
            capture_output=True, stdin=subprocess.DEVNULL, check=False,
        )
        # Under each address a line for each function that is inlined there; the last is the caller's.
        parts = re.split(rb"^0x[0-9a-f]+\n", listing.stdout, flags=re.M)[1:]
        for address, part in zip(wanted, parts):
            place = (part.splitlines() or [b"?"])[-1].split(b" ")[0]
            known = not place.startswith(b"?") and not place.endswith((b":?", b":0"))
            self.places[address] = b" (%s)" % place if known else b""

    def annotate(self, line: bytes) -> bytes:
        """Adds to a line of a back trace the functions its addresses lie in, and the source lines."""
        addresses = [int(digits, 16) for digits in ADDRESS.findall(line)]
        known = [address for address in addresses if self.name(address)]
        if not known:
            return line
        self.find_places(known)
        names = [(self.name(address) or b"") + self.places.get(address, b"") for address in known]
        return b" ".join([line, *names])


def parse_record(line: bytes) -> dict[str, object] | None:
    """The record a console line is, or None where it is none."""
    if not line.startswith(b"{"):
        return None
    try:
        record = json.loads(line.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "record" in record else None


@dataclass
class Console:
    """Takes QEMU's output as it comes; keeps the records and the last lines."""

    symbols: Symbols
    log: BinaryIO
    records_file: BinaryIO | None
    shown: bool
    raw: bool  # show bytes at once, because a user types at a prompt
    lines: Path | None = None  # the plugin's records of what lines cost; named by the kernel's symbols
    records: list[dict[str, object]] = field(default_factory=list)
    last_lines: deque[bytes] = field(default_factory=lambda: deque(maxlen=LAST_LINES_KEPT))
    panicked: bool = False
    pending: bytes = b""
    hidden: bool = False  # until the kernel has booted
    dimmed: bool = field(default_factory=sys.stdout.isatty)

    def feed(self, data: bytes) -> None:
        self.log.write(data)
        self.log.flush()
        if self.raw:
            self.show(data)
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            self.take_line(line)
        if len(self.pending) > LINE_BYTES_MAX:
            self.finish()

    def finish(self) -> None:
        """What came without an end of line is a line too."""
        if self.pending:
            line, self.pending = self.pending, b""
            self.take_line(line)

    def take_line(self, line: bytes) -> None:
        line = line.rstrip(b"\r")
        record = parse_record(line)
        if record is not None:
            if record["record"] == "verdict" and self.lines:
                self.take_lines(self.lines)
            self.records.append(record)
            if self.records_file:
                self.records_file.write(line + b"\n")
        elif line.strip():
            self.panicked |= PANIC.search(line) is not None
            line = self.symbols.annotate(line)
            self.last_lines.append(line)
        if self.hidden:
            self.hidden = record is None or record["record"] not in ("boot", "verdict")
        elif not self.raw and not (record and record["record"] in UNSHOWN):
            dim = record is not None and self.dimmed
            self.show(DIM + line + UNDIM + b"\n" if dim else line + b"\n")

    def take_lines(self, path: Path) -> None:
        """The plugin's records, all written by now, before the verdict, which is the last record."""
        self.lines = None
        if not path.is_file():
            return  # the boot arguments are wrong, so there was no plugin
        text = path.read_text(encoding="utf-8")
        for record in lines.name_records(map(json.loads, text.splitlines()), self.symbols.kernel):
            self.records.append(record)
            if self.records_file:
                self.records_file.write(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        path.unlink()

    def show(self, data: bytes) -> None:
        if not self.shown:
            return
        try:
            write_all(sys.stdout.fileno(), data)
        except BrokenPipeError:
            self.shown = False  # the reader has gone; the run is judged all the same


# The run -------------------------------------------------------------------------------------


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


# The judgement -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judgement:
    """An exit status, and the line that says why."""

    code: int
    text: str
    evidence: bool = False  # show the console's last lines


def last_line(console: Console) -> str:
    if not console.last_lines:
        return "nothing on the console"
    return "last line: " + console.last_lines[-1].decode("utf-8", "replace")


def what_failed(verdict: dict[str, object]) -> str:
    failed = verdict.get("failed")
    if isinstance(failed, list):
        failed = ", ".join(map(str, failed))
    return f": {failed}" if failed else ""


def status_text(status: int | None) -> str:
    if status is not None and status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def judge_unfinished(run: Run) -> Judgement | None:
    """Of a run that did not end by itself."""
    if run.signal:
        return Judgement(128 + run.signal, f"ended by {signal.Signals(run.signal).name}")
    if run.timed_out:
        said = any(record["record"] == "verdict" for record in run.console.records)
        how = "after the verdict, QEMU did not end" if said else "without a verdict"
        text = f"time-out after {run.seconds:.0f} s, {how}; {last_line(run.console)}"
        return Judgement(TIMED_OUT, text)
    return None


def refusal(console: Console) -> str:
    """The line in which QEMU says, before the guest starts, that it has no virtual time; or ""."""
    for line in [] if console.records else console.last_lines:
        text = line.decode("utf-8", "replace")
        if text.startswith("virtual time: "):
            return text
        if "-plugin" in text and "invalid option" in text:
            return "virtual time: this QEMU was built without plugins"
    return ""


def judge_verdict(run: Run) -> Judgement:
    """Of a run that ended by itself: pass, or which kind of failure."""
    if refused := refusal(run.console):
        return Judgement(CANNOT_RUN, refused)
    kinds = [record["record"] for record in run.console.records]
    if "verdict" not in kinds:
        text = f"QEMU ended without a verdict (crash, hang or reset), {status_text(run.status)}"
        return Judgement(FAIL, text, evidence=True)
    first = kinds.index("verdict")
    if first != len(kinds) - 1:
        return Judgement(FAIL, f'the verdict was followed by a "{kinds[first + 1]}" record')
    verdict = run.console.records[first]
    passed = verdict.get("result") == "pass"
    if passed != (run.status == 0):
        text = f"verdict {verdict.get('result')}, but QEMU's {status_text(run.status)}"
        return Judgement(FAIL, text + what_failed(verdict), evidence=True)
    if not passed:
        return Judgement(FAIL, f"verdict {verdict.get('result')}{what_failed(verdict)}")
    return Judgement(PASS, f"pass ({run.seconds:.2f} s)")


def is_expected_failure(run: Run, expect: str) -> bool:
    """A failure that the kernel noticed itself and reported, as this run was made to have.

    "fail-untold": the kernel knew of no device that takes a status out, so QEMU's has to be 0.
    """
    if run.status is None or run.status < 0 or (run.status == 0) != (expect == "fail-untold"):
        return False
    if expect == "panic":
        return run.console.panicked
    results = [r.get("result") for r in run.console.records if r["record"] == "verdict"]
    return results == ["fail"] and run.console.records[-1]["record"] == "verdict"


def judge(run: Run, expect: str) -> Judgement:
    unfinished = judge_unfinished(run)
    if unfinished:
        return unfinished
    found = judge_verdict(run)
    if expect == "pass":
        return found
    if found.code == FAIL and is_expected_failure(run, expect):
        return Judgement(PASS, f"as expected: {found.text}")
    return Judgement(FAIL, f"expected {expect}, found {found.text}", evidence=True)


def report(judgement: Judgement, run: Run) -> None:
    say(judgement.text)
    if judgement.evidence:
        for line in run.console.last_lines:
            print("    | " + line.decode("utf-8", "replace"), file=sys.stderr)


# The command line ----------------------------------------------------------------------------


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Boot the kernel under QEMU and say whether the run passed.",
        epilog="QEMU in the environment names another qemu-system-riscv64.",
    )
    add = parser.add_argument
    add("--kernel", type=Path, required=True, metavar="ELF")
    add("--smp", default="4", metavar="N", help="harts (default: 4)")
    add("--mem", default="128M", metavar="SIZE", help="memory (default: 128M)")
    add("--bootargs", default="", metavar="WORDS", help="the kernel's boot arguments")
    add("--timeout", type=float, metavar="SECONDS",
        help="limit in wall clock; 0: no limit (default: 120; with --interactive or --gdb: 0)")
    add("--icount", metavar="SPEC", help="QEMU's -icount, such as shift=0,sleep=off")
    add("--dtb", type=Path, metavar="FILE", help="a device tree in place of QEMU's")
    add("--qemu-arg", action="append", default=[], metavar="ARG",
        help="one more argument for QEMU, written --qemu-arg=ARG; may be repeated")
    add("--log", type=Path, default=DEFAULT_LOG, metavar="FILE", help="the raw console")
    add("--records", type=Path, metavar="FILE", help="the records, one to a line")
    add("--usage", type=Path, metavar="FILE",
        help="what QEMU used of the host, as one JSON object: max_rss_kib")
    add("--quiet", action="store_true", help="do not pass the console on")
    add("--after-boot", action="store_true", help="pass on what comes after the kernel's record of boot")
    add("--interactive", action="store_true", help="connect this terminal to the console")
    add("--typed", type=Path, metavar="FILE", help="what is typed on the console")
    add("--plugin", type=Path, default=PLUGIN, metavar="FILE",
        help="QEMU's plugin for the boot argument time=virtual")
    add("--lines", action="store_true",
        help="say what lines of memory cost the cells of a sweep in virtual time (docs/lines.md)")
    add("--line", type=int, default=0, metavar="N",
        help="with --lines: each transfer of a line takes a hart N instructions (default: 0)")
    add("--gdb", action="store_true", help="wait for gdb on port 1234")
    add("--expect", choices=("pass", "fail", "fail-untold", "panic"), default="pass",
        help="the outcome that is a success (default: pass)")
    options = parser.parse_args(arguments)
    if options.timeout is None:
        bounded = not (options.interactive or options.gdb)
        options.timeout = DEFAULT_TIMEOUT_SECONDS if bounded else 0.0
    return options


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


def harts_of(smp: str) -> int:
    """The number of harts that -smp names; 0 where it names them in another way."""
    first = smp.split(",")[0].removeprefix("cpus=")
    return int(first) if first.isdecimal() else 0


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


if __name__ == "__main__":
    sys.exit(main())
