# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's output as it comes: lines, records, the log, and what is shown of them."""

from __future__ import annotations

import json
import os
import re
import select
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import lines

from .sink import Sink
from .status import say
from .symbols import Symbols

LINE_BYTES_MAX = 64 * 1024
LAST_LINES_KEPT = 8

# Long, and for programs alone; they are in the log and among the records.
UNSHOWN = ("trace_block",)

DIM, UNDIM = b"\x1b[2m", b"\x1b[0m"
# The kernel's last line on a machine that nothing can power off (kernel/diag/verdict.c).
HALTED = b"halted: nothing can power this machine off"
PANIC = re.compile(rb"\bpanic\b", re.IGNORECASE)


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of it, also where QEMU has made the terminal we share non-blocking."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


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
    log: BinaryIO | Sink
    records_file: BinaryIO | Sink | None
    shown: bool
    raw: bool  # show bytes at once, because a user types at a prompt
    lines: Path | None = None  # the plugin's records of what lines cost; named by the kernel's symbols
    records: list[dict[str, object]] = field(default_factory=list)
    last_lines: deque[bytes] = field(default_factory=lambda: deque(maxlen=LAST_LINES_KEPT))
    first_line: bytes = b""
    panicked: bool = False
    halted: bool = False
    verdict_at: float = float("inf")
    pending: bytes = b""
    shown_bytes: int = 0  # of the pending line
    hidden: bool = False  # until the kernel has booted
    dimmed: bool = field(default_factory=lambda: bool(sys.stdout) and sys.stdout.isatty())

    def feed(self, data: bytes) -> None:
        self.log.write(data)
        self.log.flush()
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            self.take_line(line)
        if self.raw:
            self.show_begun()
        if len(self.pending) > LINE_BYTES_MAX:
            self.finish(line_end=b"" if self.raw else b"\n")

    def finish(self, line_end: bytes = b"\n") -> None:
        """What came without an end of line is a line too."""
        if self.pending:
            line, self.pending = self.pending, b""
            self.take_line(line, line_end)

    def show_begun(self) -> None:
        """What there is of a line that a user may be typing; not of a record, which may be hidden."""
        begun = self.pending.rstrip(b"\r")
        if not begun.startswith(b"{"):
            self.show(begun[self.shown_bytes :])
            self.shown_bytes = max(self.shown_bytes, len(begun))

    def take_line(self, line: bytes, line_end: bytes = b"\n") -> None:
        line = line.rstrip(b"\r")
        shown_bytes, self.shown_bytes = min(self.shown_bytes, len(line)), 0
        record = parse_record(line)
        if record is not None:
            if record["record"] == "verdict":
                self.verdict_at = time.monotonic()
                if self.lines:
                    self.take_lines(self.lines)
            self.records.append(record)
            if self.records_file:
                self.records_file.write(line + b"\n")
        elif line.strip():
            self.halted |= line == HALTED
            self.panicked |= PANIC.search(line) is not None
            line = self.symbols.annotate(line)
            self.first_line = self.first_line or line
            self.last_lines.extend(line.split(b"\n"))
        if self.hidden:
            self.hidden = record is None or record["record"] not in ("boot", "verdict")
        elif not (record and record["record"] in UNSHOWN):
            dim = record is not None and self.dimmed
            self.show((DIM + line + UNDIM if dim else line[shown_bytes:]) + line_end)

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
        if not self.shown or not data or not sys.stdout:
            return
        try:
            write_all(sys.stdout.fileno(), data)
        except BrokenPipeError:
            self.shown = False  # the reader has gone; the run is judged all the same
        except OSError as error:
            self.shown = False
            say(f"stdout: {error.strerror}; what comes is in the log alone")


def last_line(console: Console) -> str:
    if not console.last_lines:
        return "nothing on the console"
    return "last line: " + console.last_lines[-1].decode("utf-8", "replace")
