# SPDX-License-Identifier: BSD-2-Clause
"""What is shown of a run: the kernel's lines without its records, and on a terminal the progress.

The firmware's banner and the records are in the log. On a terminal a line that is too wide is folded at
a space, the last line says how far the run is, and text has colours; in a pipe lines are as they come.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import sys
import textwrap
from dataclasses import dataclass, field

from .progress import Progress
from .status import say

ERASE_LINE = b"\r\x1b[K"
PLAIN, BOLD, DIM, RED, GREEN, YELLOW = (f"\x1b[{code}m" for code in ("0", "1", "2", "31", "32", "33"))

# Of a line, the first rule that fits: which part of it, and its colour.
COLOURS = tuple((re.compile(pattern), colour) for pattern, colour in (
    (r"^(ok)(?= \d)", GREEN),
    (r"^not ok .*", BOLD + RED),
    (r"^FAIL.*|.*\bPANIC\b.*", BOLD + RED),
    (r"^PASS\b", BOLD + GREEN),
    (r"^#.*", DIM),
    (r"NOT MEASURABLE|[!~][a-z]+(?=$|:)", YELLOW),
))

# OpenSBI's: its picture, and lines with a colon in column 27.
BANNER_BEGINS = b"OpenSBI v"
BANNER = re.compile(rb"[^0-9A-Za-z]*$|[A-Z][^:]{25}: ")
# What KTAP says to programs; a person sees the results.
KTAP_FRAME = re.compile(rb"KTAP version \d+$|1\.\.\d+$")


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of it, also where QEMU has made the terminal we share non-blocking."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


def wants_colour(asked: str, terminal: bool) -> bool:
    if asked != "auto":
        return asked == "1"
    return terminal and not os.environ.get("NO_COLOR")


def is_terminal() -> bool:
    return bool(sys.stdout) and sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in ("", "dumb")


@dataclass
class View:
    """Where `shown` is false it shows nothing. `raw`: bytes at once, because a user types at a prompt."""

    shown: bool = True
    raw: bool = False
    json: bool = False  # records too
    after_boot: bool = False  # nothing before the kernel's record of boot
    colour: bool = False
    terminal: bool = False
    progress: Progress = field(default_factory=Progress)
    drawn: str = ""  # the line of progress that is on the terminal
    in_banner: bool = False
    before: bytes = b""
    shown_bytes: int = 0  # raw: of the line that has no end yet

    def show_begun(self, line: bytes) -> None:
        """What there is of a line that a user may be typing; not of a record, which may be hidden."""
        begun = line.rstrip(b"\r")
        if self.raw and not begun.startswith(b"{"):
            self.write(begun[self.shown_bytes :])
            self.shown_bytes = max(self.shown_bytes, len(begun))

    def take(self, line: bytes, record: dict[str, object] | None, line_end: bytes = b"\n") -> None:
        """A line without its end; `record` is what it says to programs."""
        shown_bytes, self.shown_bytes = min(self.shown_bytes, len(line)), 0
        kind = record["record"] if record else None
        if record and kind == "progress":
            self.progress.take(record)
        if self.after_boot:
            self.after_boot = kind not in ("boot", "verdict")
        elif self.json if record else self.is_for_people(line):
            if self.raw:
                self.write(line[shown_bytes:] + line_end)
            else:
                self.show(line, record is not None)
        self.draw("" if kind == "verdict" else None)

    def is_for_people(self, line: bytes) -> bool:
        self.in_banner = line.startswith(BANNER_BEGINS) or (self.in_banner and bool(BANNER.match(line)))
        return not self.in_banner and not (self.terminal and KTAP_FRAME.match(line))

    def show(self, line: bytes, is_record: bool = False) -> None:
        rows = line.split(b"\n")
        if self.terminal and not is_record:
            rows = [row for whole in rows for row in self.fold(whole)]
        data = b"".join(self.coloured(row, is_record) + b"\n" for row in rows)
        if self.drawn:
            data, self.drawn = ERASE_LINE + data, ""
        self.before = line
        self.write(data)

    def width(self) -> int:
        return shutil.get_terminal_size().columns

    def fold(self, line: bytes) -> list[bytes]:
        if len(line) <= self.width():
            return [line]
        text = line.decode("utf-8", "surrogateescape")
        indent = " " * (len(text) - len(text.lstrip()) + 4)
        rows = textwrap.wrap(text, self.width(), subsequent_indent=indent, drop_whitespace=True,
                             break_on_hyphens=False, initial_indent="") or [text]
        return [row.encode("utf-8", "surrogateescape") for row in rows]

    def coloured(self, line: bytes, is_record: bool) -> bytes:
        if not self.colour:
            return line
        text = line.decode("utf-8", "surrogateescape")
        if is_record:
            text = DIM + text + PLAIN
        elif rule := next((rule for rule in COLOURS if rule[0].search(text)), None):
            text = rule[0].sub(lambda found: rule[1] + found[0] + PLAIN, text)
        elif not self.before and text[:1].isalpha():  # a title
            text = BOLD + text + PLAIN
        return text.encode("utf-8", "surrogateescape")

    def draw(self, text: str | None = None) -> None:
        """The line of progress, which the next line takes the place of; "" takes it away."""
        if not self.terminal or self.raw or not self.shown:
            return
        text = self.progress.text(self.width() - 1) if text is None else text
        if text != self.drawn:
            self.drawn = text
            self.write(ERASE_LINE + text.encode())

    def write(self, data: bytes) -> None:
        if not self.shown or not data or not sys.stdout:
            return
        try:
            write_all(sys.stdout.fileno(), data)
        except BrokenPipeError:
            self.shown = False  # the reader has gone; the run is judged all the same
        except OSError as error:
            self.shown = False
            say(f"stdout: {error.strerror}; what comes is in the log alone")
