# SPDX-License-Identifier: BSD-2-Clause
"""How far a run is, in one line for the person who waits: from the records "progress"."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

BAR = 12  # characters
# An estimate from less than this says little.
PARTS_LEAST, SECONDS_LEAST = 2, 2.0


@dataclass
class Progress:
    program: str = ""
    what: str = ""
    done: int = 0
    of: int = 0
    began: float = field(default_factory=time.monotonic)
    told: float = 0.0  # when the record of the part that is running came

    def take(self, record: dict[str, object]) -> None:
        program = str(record.get("program"))
        if program != self.program:
            self.program, self.began = program, time.monotonic()
        self.told = time.monotonic()
        self.what = str(record.get("what"))
        self.done, self.of = int(str(record.get("done"))), int(str(record.get("of")))

    def seconds_left(self, now: float) -> float | None:
        """If each part that is left takes as long as those that are done."""
        passed = self.told - self.began
        if self.done < PARTS_LEAST or passed < SECONDS_LEAST:
            return None
        return max(0.0, passed / self.done * (self.of - self.done) - (now - self.told))

    def text(self, width: int, now: float | None = None) -> str:
        now = time.monotonic() if now is None else now
        if not self.of:
            return f"booting, {now - self.began:.0f} s"[:width]
        if self.done >= self.of:
            return ""  # what comes now are its tables
        bar = "#" * (BAR * self.done // self.of)
        left = self.seconds_left(now)
        end = f"  about {left:.0f} s left" if left is not None else ""
        begin = f"{self.program} [{bar:.<{BAR}}] {self.done} of {self.of}  "
        return (begin + self.what[: max(0, width - len(begin) - len(end))] + end)[:width]
