# SPDX-License-Identifier: BSD-2-Clause
"""Copies of the tree: a clean copy, and a copy for each worker.

A worker's tree persists. After each mutant, every file that differs from the clean tree in time or
length is copied back with its time: the sources, and the objects and programs that were built of
the mutant. So nothing of a mutant is left, and make builds for the next mutant only what that one
touches.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

# A file's time and length, which change when it is written.
State = dict[str, tuple[int, int]]
IGNORED = ("build/logs/", "tools/__pycache__/", "tools/launcher/__pycache__/",
           "tools/mutants/__pycache__/")
# Parts of build/ that no test uses.
NOT_COPIED = ("mutants", "logs", "bench", "soak", "explore")
# Sources that change no result of a test on the clean tree.
NOT_HASHED = ("tests/mutants/", "tools/mutants", "tools/test_mutant")
TOOLCHAIN = ("make", "gcc", "clang", "ld", "riscv64-unknown-elf-gcc", "riscv64-unknown-elf-ld",
             "qemu-system-riscv64")


def state_of(tree: Path) -> State:
    state: State = {}
    for folder, folders, names in os.walk(tree):
        links = (name for name in folders if os.path.islink(os.path.join(folder, name)))
        for name in (*names, *links):
            path = os.path.join(folder, name)
            known = os.path.relpath(path, tree)
            if not known.startswith(IGNORED):
                status = os.lstat(path)
                state[known] = status.st_mtime_ns, status.st_size
    return state


def copy_one(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def synchronize(clean: Path, wanted: State, tree: Path) -> list[str]:
    """Makes the tree equal to the clean one, times included. Returns the files that it copied."""
    found = state_of(tree)
    changed = [name for name in wanted if found.get(name) != wanted[name]]
    for name in found.keys() - wanted.keys():
        (tree / name).unlink()
    for name in changed:
        copy_one(clean / name, tree / name)
    return changed


def source_files(root: Path) -> list[str]:
    """Files that git tracks or would track; every file where there is no repository."""
    if (root / ".git").exists():
        listing = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"],
            cwd=root, capture_output=True, text=True, check=True,
        )
        names = set(filter(None, listing.stdout.split("\0")))
    else:
        names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    # git lists a nested repository as a folder, and a deleted file as if it were there.
    return sorted(
        name for name in names
        if not name.startswith(("build/", ".git/"))
        and ((root / name).is_symlink() or (root / name).is_file())
    )


def built_files(root: Path) -> Iterator[str]:
    for top in sorted((root / "build").glob("*")):
        if top.name in NOT_COPIED:
            continue
        for path in [top] if not top.is_dir() or top.is_symlink() else top.rglob("*"):
            if path.is_symlink() or path.is_file():
                yield str(path.relative_to(root))


def copy_tree(root: Path, target: Path) -> None:
    """Copies sources and built files. A copy that an earlier run left is updated."""
    target.mkdir(parents=True, exist_ok=True)
    wanted: State = {}
    for name in [*source_files(root), *built_files(root)]:
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(root / name)
            wanted[name] = status.st_mtime_ns, status.st_size
    synchronize(root, wanted, target)


def content_hash(tree: Path, arguments: Sequence[str]) -> str:
    """Of all that decides whether the tests pass on the clean tree: sources, tools, arguments."""
    digest = hashlib.sha256()
    for name in source_files(tree):
        path = tree / name
        if not name.startswith(NOT_HASHED) and not path.is_symlink():
            digest.update(f"{name}\0{path.stat().st_size}\0".encode())
            digest.update(path.read_bytes())
    for tool in TOOLCHAIN:
        found = shutil.which(tool)
        if found:
            status = os.stat(found)
            digest.update(f"{found} {status.st_size} {status.st_mtime_ns}\0".encode())
    digest.update("\0".join(arguments).encode())
    return digest.hexdigest()
