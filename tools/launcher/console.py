# SPDX-License-Identifier: BSD-2-Clause
"""QEMU's output as it comes: lines, records, the log, and what is shown of them."""

from __future__ import annotations

import json
import re
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import lines

from .sink import Sink
from .symbols import Symbols
from .view import View

LINE_BYTES_MAX = 64 * 1024
LAST_LINES_KEPT = 8

# The kernel's last line on a machine that nothing can power off (kernel/diag/verdict.c).
HALTED = b"halted: nothing can power this machine off"
PANIC = re.compile(rb"\bpanic\b", re.IGNORECASE)


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
    view: View = field(default_factory=lambda: View(shown=False))
    lines: Path | None = None  # the plugin's records of what lines cost; named by the kernel's symbols
    records: list[dict[str, object]] = field(default_factory=list)
    last_lines: deque[bytes] = field(default_factory=lambda: deque(maxlen=LAST_LINES_KEPT))
    first_line: bytes = b""
    traced: list[str] = field(default_factory=list)  # the first lines with addresses, and their names
    panicked: bool = False
    halted: bool = False
    verdict_at: float = float("inf")
    pending: bytes = b""

    def feed(self, data: bytes) -> None:
        self.log.write(data)
        self.log.flush()
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            self.take_line(line)
        self.view.show_begun(self.pending)
        if len(self.pending) > LINE_BYTES_MAX:
            self.finish(line_end=b"" if self.view.raw else b"\n")

    def finish(self, line_end: bytes = b"\n") -> None:
        """What came without an end of line is a line too."""
        if self.pending:
            line, self.pending = self.pending, b""
            self.take_line(line, line_end)

    def take_line(self, line: bytes, line_end: bytes = b"\n") -> None:
        line = line.rstrip(b"\r")
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
            line = self.take_text(line)
        self.view.take(line, record, line_end)

    def take_text(self, line: bytes) -> bytes:
        """With names for its addresses, which may take several lines."""
        self.halted |= line == HALTED
        self.panicked |= PANIC.search(line) is not None
        named = self.symbols.annotate(line)
        if named != line and len(self.traced) < LAST_LINES_KEPT:
            self.traced.append(named.decode("utf-8", "replace"))
        self.first_line = self.first_line or named
        self.last_lines.extend(named.split(b"\n"))
        return named

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


def last_line(console: Console) -> str:
    if not console.last_lines:
        return "nothing on the console"
    return "last line: " + console.last_lines[-1].decode("utf-8", "replace")
