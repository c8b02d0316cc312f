# SPDX-License-Identifier: BSD-2-Clause
"""Exit statuses, and how the launcher speaks on stderr."""

from __future__ import annotations

import sys

PASS, FAIL, CANNOT_RUN, TIMED_OUT = 0, 1, 2, 124


class CannotRun(Exception):
    """QEMU could not even be started."""


def say(message: str) -> None:
    print(f"launch: {message}", file=sys.stderr, flush=True)
