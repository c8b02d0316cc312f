# SPDX-License-Identifier: BSD-2-Clause
"""Shares out the machine's processors among the processes that run jobs, by locks on files.

A lock is given back when its holder ends, however it ends. A process that waits for its slots keeps
the queue's lock meanwhile: so a job that needs all slots is not overtaken by jobs that need one.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

POLL_SECONDS = 0.02


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def try_lock(path: Path) -> IO[str] | None:
    file = path.open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


class Slots:
    """`count` slots in `folder`, which every process that takes part names."""

    def __init__(self, folder: Path, count: int) -> None:
        self.count = count
        self.queue = folder / "queue.lock"
        self.slots = [folder / f"slot-{number}.lock" for number in range(count)]

    @contextlib.contextmanager
    def take(self, wanted: int) -> Iterator[None]:
        """Waits for `wanted` slots, or for all there are; they are free again at the end."""
        wanted = min(wanted, self.count)
        held: dict[Path, IO[str]] = {}
        with contextlib.ExitStack() as stack:
            with locked(self.queue):
                while len(held) < wanted:
                    for slot in self.slots:
                        file = try_lock(slot) if len(held) < wanted and slot not in held else None
                        if file:
                            held[slot] = stack.enter_context(file)
                    if len(held) < wanted:
                        time.sleep(POLL_SECONDS)
            yield
