# SPDX-License-Identifier: BSD-2-Clause
"""Writes mutants: out of a change of the working tree, and out of patches."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

import mutant_convert
from mutant_catalog import (
    ALL_CAUGHT, FOLDER, NOT_ALL, CannotRun, files_touched, git_apply, group_of, mutant_files,
    parse_mutant, read_mutants,
)
from mutant_text import JUDGES, BadMutant, Index


def usual_group(root: Path, touched: Iterable[str]) -> str:
    """That of most mutants which change these files."""
    index = Index(root)
    wanted = set(touched)
    mutants, _ = read_mutants(mutant_files(root))
    groups = [group_of(m.path) for m in mutants if wanted.intersection(files_touched(m, index))]
    return max(sorted(set(filter(None, groups))), key=groups.count, default="")


def place_for(options: argparse.Namespace, name: str, touched: Iterable[str]) -> Path:
    group = options.group
    if group is None:
        group = usual_group(options.root, touched)
    place: Path = options.root / FOLDER / group / f"{name}.mutant"
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def text_without(path: Path, patch: Path, root: Path, touched: Sequence[str]) -> dict[str, str]:
    """The files as the patch makes them, tried in a folder at `path`."""
    for name in touched:
        if not (root / name).is_file():
            raise BadMutant(f"there is no {name}")
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, path / name)
    git_apply(patch, path, check=False)
    return {name: (path / name).read_text(encoding="utf-8") for name in touched}


def convert_one(options: argparse.Namespace, path: Path, index: Index) -> Path:
    patch = parse_mutant(path)
    if patch.edits:
        raise BadMutant("it is none that has a diff")
    with tempfile.TemporaryDirectory() as folder:
        changed = text_without(Path(folder), path, options.root, patch.touched)
    edits = mutant_convert.edits_of(index, changed)
    head = path.read_text(encoding="utf-8").partition("\n\n")[0]
    if options.group is None and group_of(path):
        place = path.with_suffix(".mutant")
    else:
        place = place_for(options, path.stem, changed)
    place.write_text(f"{head}\n\n{mutant_convert.format_edits(edits)}", encoding="utf-8")
    path.unlink()
    return place


def convert_all(options: argparse.Namespace) -> int:
    index = Index(options.root)
    failed = 0
    for name in options.convert:
        try:
            place = convert_one(options, Path(name), index)
            print(f"{name}: now {os.path.relpath(place, options.root)}")
        except BadMutant as error:
            failed += 1
            print(f"{name}: kept: {error}", file=sys.stderr)
    return NOT_ALL if failed else ALL_CAUGHT


def git_output(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise CannotRun(done.stderr.strip() or f"git {arguments[0]} fails")
    return done.stdout


def make_new(options: argparse.Namespace) -> int:
    """Out of what the working tree has that the last commit has not."""
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
        edits = mutant_convert.edits_of(Index(root, before), now)
    except BadMutant as error:
        raise CannotRun(str(error)) from None
    head = [f"Class: {options.bug_class}", f"Seen: {options.seen}", f"Tests: {options.nets}"]
    if options.seed:
        head.append(f"Seed: {options.seed}")
    missing = [line for line in head if line.endswith(": ")]
    place = place_for(options, name, changed)
    lines = "".join(line.rstrip() + "\n" for line in head)
    place.write_text(f"{lines}\n{mutant_convert.format_edits(edits)}", encoding="utf-8")
    print(mutant_convert.format_edits(edits))
    print(f"written to {os.path.relpath(place, root)}, out of {', '.join(changed)}")
    if left:
        print(f"left out: {', '.join(left)}: a mutant changes sources, and no net")
    if missing:
        print(f"now write in it: {', '.join(line.strip(': ') for line in missing)}")
    print(f"take the change back: git restore {' '.join(changed)}\n"
          f"try it: make mutants ONLY={name}")
    return ALL_CAUGHT
