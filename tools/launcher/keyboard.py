# SPDX-License-Identifier: BSD-2-Clause
"""What is typed on the console: by a user, out of a pipe, or out of a file.

QEMU would hand the first byte to the serial port at once, where the firmware's reset of the port
loses it. So the launcher reads the input itself, and passes on nothing before the kernel's prompt
has come. From there on QEMU takes a byte only when the port has room for it. The end of input becomes
a Ctrl-D, which ends the kernel's monitor; a terminal that is closed becomes a Ctrl-C and a Ctrl-D.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

PROMPT = b"hartframe> "
CHUNK_BYTES = 4096
ENTER, CTRL_C, CTRL_D, CTRL_U = b"\r", b"\x03", b"\x04", b"\x15"
LEAVE = b"\x1d"  # Ctrl-], as with telnet: all other keys are the kernel's


@dataclass
class Keyboard:
    """Bytes from `source` to QEMU's input, in order. Where a pipe or a file ends, the run is to end."""

    source: int | None  # None: no input, or no more of it
    sink: int
    prompted: bool = False
    waiting: bytes = b""
    last: bytes = ENTER
    leaves: bool = False  # the user wants the run to be ended
    is_terminal: bool = False

    def __post_init__(self) -> None:
        self.is_terminal = self.source is not None and os.isatty(self.source)

    def hear(self, unfinished: bytes) -> None:
        """The line on the console that has no end yet."""
        self.prompted = self.prompted or unfinished.endswith(PROMPT)

    def sources(self) -> list[int]:
        """What to wait for: no more is read while QEMU has not taken what was read before.

        A user may want to leave before the prompt.
        """
        if self.source is None or self.waiting or not (self.prompted or self.is_terminal):
            return []
        return [self.source]

    def sinks(self) -> list[int]:
        return [self.sink] if self.waiting and self.prompted else []

    def read(self) -> None:
        assert self.source is not None
        try:
            data = os.read(self.source, CHUNK_BYTES)
        except OSError:  # the terminal has closed
            data = b""
        if not data:
            self.end(b"" if self.last in b"\r\n" else ENTER)
            return
        if self.is_terminal and (LEAVE in data or (CTRL_C in data and not self.prompted)):
            self.leaves = True
        self.last = data[-1:]
        self.waiting += data

    def end(self, before: bytes) -> None:
        self.source = None
        self.waiting += before + CTRL_D

    def hang_up(self) -> None:
        """Ends what the kernel's monitor is doing, and then the monitor."""
        self.waiting = b""
        self.end(CTRL_C + CTRL_U)

    def write(self) -> None:
        try:
            self.waiting = self.waiting[os.write(self.sink, self.waiting) :]
        except BlockingIOError:
            pass
        except OSError:  # QEMU has ended
            self.waiting, self.source = b"", None
