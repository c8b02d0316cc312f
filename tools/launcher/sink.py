# SPDX-License-Identifier: BSD-2-Clause
"""A file of a run, which may become impossible to write: the run goes on, and its verdict comes out."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import BinaryIO

from .status import CannotRun, say


class Sink:
    """Unbuffered. After the first failure it takes everything and writes nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.failed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.file: BinaryIO = path.open("wb", buffering=0)  # type: ignore[assignment]
        except OSError as error:
            raise CannotRun(f"{path}: {error.strerror}") from error

    def write(self, data: bytes) -> None:
        if self.failed:
            return
        try:
            while data:
                data = data[self.file.write(data) :]
        except OSError as error:
            self.failed = True
            say(f"{self.path}: {error.strerror}; it is not complete")

    def flush(self) -> None:
        """Nothing waits."""

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
