# SPDX-License-Identifier: BSD-2-Clause
"""Writes a mutant out of what the working tree changes since the last commit."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

from mutants.catalog import (
    ALL_CAUGHT, FOLDER, CannotRun, files_touched, mutant_files, read_written,
)
from mutants.cut import edits_of
from mutants.edits import JUDGES, format_edits
from mutants.source import BadMutant, Index


def usual_group(root: Path, touched: Iterable[str]) -> str:
    """The group of most mutants that change these files."""
    index = Index(root)
    wanted = set(touched)
    mutants, _ = read_written(root)
    groups = [m.group for m in mutants if wanted.intersection(files_touched(m, index))]
    return max(sorted(set(filter(None, groups))), key=groups.count, default="")


def place_for(options: argparse.Namespace, name: str, touched: Iterable[str]) -> Path:
    group = options.group
    if group is None:
        group = usual_group(options.root, touched)
    place: Path = options.root / FOLDER / group / f"{name}.mutant"
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def git_output(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise CannotRun(done.stderr.strip() or f"git {arguments[0]} fails")
    return done.stdout


def make_new(options: argparse.Namespace) -> int:
    root: Path = options.root
    name, *only = options.new
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise CannotRun(f"{name}: a name is small letters, digits and hyphens")
    if any(path.stem == name for path in mutant_files(root)):
        raise CannotRun(f"there is a mutant {name} already")
    differing = git_output(root, "diff", "--name-only", "-z", "--no-renames", "--diff-filter=M",
                           "--relative", "HEAD", "--", *only).split("\0")
    changed, left = [], []
    for path in filter(None, differing):
        is_code = path.endswith((".c", ".h", ".S", ".ld", ".mk", "Makefile"))
        is_judge = any(fnmatch(path, judge) for judge in JUDGES)
        (changed if is_code and not is_judge else left).append(path)
    if not changed:
        raise CannotRun("no file that a mutant may change differs from the last commit")
    before = {path: git_output(root, "show", f"HEAD:./{path}") for path in changed}
    now = {path: (root / path).read_text(encoding="utf-8") for path in changed}
    try:
        edits = edits_of(Index(root, before), now)
    except BadMutant as error:
        raise CannotRun(str(error)) from None
    head = [f"Class: {options.bug_class}", f"Seen: {options.seen}", f"Tests: {options.tests}"]
    if options.seed:
        head.append(f"Seed: {options.seed}")
    missing = [line for line in head if line.endswith(": ")]
    place = place_for(options, name, changed)
    lines = "".join(line.rstrip() + "\n" for line in head)
    place.write_text(f"{lines}\n{format_edits(edits)}", encoding="utf-8")
    print(format_edits(edits))
    print(f"written to {os.path.relpath(place, root)}, out of {', '.join(changed)}")
    if left:
        print(f"left out: {', '.join(left)}: a mutant changes sources of the kernel only")
    if missing:
        print(f"now write in it: {', '.join(line.strip(': ') for line in missing)}")
    print(f"take the change back: git restore {' '.join(changed)}\n"
          f"try it: make mutants ONLY={name}")
    return ALL_CAUGHT
