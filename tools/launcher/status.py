# SPDX-License-Identifier: BSD-2-Clause
"""Exit statuses, and how the launcher speaks on stderr."""

from __future__ import annotations

import contextlib
import os
import sys

PASS, FAIL, CANNOT_RUN, TIMED_OUT = 0, 1, 2, 124


class CannotRun(Exception):
    """QEMU could not even be started."""


def complain(line: str) -> None:
    """On stderr; where its reader has gone, the exit status alone has to say it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.write(sys.stderr.fileno(), (line + "\n").encode("utf-8", "replace"))


def say(message: str) -> None:
    complain(f"launch: {message}")
