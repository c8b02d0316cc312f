# SPDX-License-Identifier: BSD-2-Clause
"""What is typed on the console: by a user, out of a pipe, or out of a file.

QEMU would hand the first byte to the serial port at once, where the firmware's reset of the port
loses it. So the launcher reads the input itself, and passes on nothing before the kernel's prompt
has come. From there on QEMU takes a byte only when the port has room for it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

PROMPT = b"hartframe> "
CHUNK_BYTES = 4096


@dataclass
class Keyboard:
    """Bytes from `source` to QEMU's input, in order. Where a pipe or a file ends, the run is to end."""

    source: int | None  # None: no input, or no more of it
    sink: int
    prompted: bool = False
    waiting: bytes = b""
    last: bytes = b"\n"

    def hear(self, unfinished: bytes) -> None:
        """The line on the console that has no end yet."""
        self.prompted = self.prompted or unfinished.endswith(PROMPT)

    def sources(self) -> list[int]:
        """What to wait for: no more is read while QEMU has not taken what was read before."""
        if self.source is None or self.waiting or not self.prompted:
            return []
        return [self.source]

    def sinks(self) -> list[int]:
        return [self.sink] if self.waiting else []

    def read(self) -> None:
        assert self.source is not None
        try:
            data = os.read(self.source, CHUNK_BYTES)
        except OSError:  # the terminal has closed
            data = b""
        if data:
            self.last = data[-1:]
        else:
            self.source = None
            data = b"quit\n" if self.last in b"\r\n" else b"\nquit\n"
        self.waiting += data

    def write(self) -> None:
        try:
            self.waiting = self.waiting[os.write(self.sink, self.waiting) :]
        except BlockingIOError:
            pass
        except OSError:  # QEMU has ended
            self.waiting, self.source = b"", None
