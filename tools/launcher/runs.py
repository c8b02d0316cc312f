# SPDX-License-Identifier: BSD-2-Clause
"""The folder of a run: build/logs/<date>-<time>-<process>, with its console and its records.

Runs that go on at once do not share files. `latest` is a link to the folder of the run that began
last, and <boot>.jsonl and <boot>.log beside it are links through `latest`. Of old folders the
newest are kept. A run holds a lock on its folder, so none removes the folder of a run that goes on.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .status import say

KEPT = 20
NAME = re.compile(r"\d{8}-\d{6}-\d+")
SUFFIXES = (".log", ".jsonl")


def new_name() -> str:
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"


def lock(folder: Path, how: int) -> int | None:
    """A descriptor that keeps the lock; None where another process has it, or there is no folder."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def remove_old(logs: Path) -> None:
    """All but the newest folders of runs, and those of runs that go on."""
    folders = sorted(path for path in logs.iterdir() if NAME.fullmatch(path.name) and path.is_dir())
    for folder in folders[:-KEPT]:
        descriptor = lock(folder, fcntl.LOCK_EX)
        if descriptor is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


def link(path: Path, target: str) -> None:
    """In one step, also where another run does the same."""
    with contextlib.suppress(OSError):
        if os.readlink(path) == target:
            return
    new = path.with_name(f".{path.name}-{os.getpid()}")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)


def make(logs: Path, name: str, boot: str) -> Path:
    """The folder with the links to it."""
    folder = logs / name
    folder.mkdir(parents=True, exist_ok=True)
    link(logs / "latest", name)
    for suffix in SUFFIXES:
        link(logs / (boot + suffix), f"latest/{boot}{suffix}")
    remove_old(logs)
    return folder


@contextlib.contextmanager
def run_folder(logs: Path, name: str | None, boot: str) -> Iterator[Path]:
    """In the system's temporary folder where `logs` cannot be written."""
    try:
        folder = make(logs, name or new_name(), boot)
    except OSError as error:
        folder = Path(tempfile.mkdtemp(prefix="hartframe-"))
        say(f"{error.filename or logs}: {error.strerror}; this run's log and records are in {folder}")
    descriptor = lock(folder, fcntl.LOCK_SH)
    try:
        yield folder
    finally:
        if descriptor is not None:
            os.close(descriptor)
