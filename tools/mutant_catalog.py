# SPDX-License-Identifier: BSD-2-Clause
"""The mutants of tests/mutants: reads them, applies them, and says which no longer match.

A mutant is a head (its class, where it was seen, the nets that are to catch it) and then edits
(NAME.mutant, see mutant_text.py) or a diff (NAME.patch). Each folder is a group of them; a name is
used once in all folders. tests/mutants/README.md has the format.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from mutant_text import (
    JUDGES, BadMutant, Edit, Index, apply_edits, candidates, locate, parse_edits,
)

ALL_CAUGHT, NOT_ALL, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130


class CannotRun(Exception):
    """Not a matter of one mutant: the museum is closed."""


# Mutants -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """Either edits, or a diff that changes the files `touched`."""

    name: str
    path: Path
    bug_class: str
    seen: str
    nets: tuple[str, ...]
    seed: int | None
    touched: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    generated: bool = False


HEAD_LINE = re.compile(r"(\w+):[ \t]*(.*)$")
HEAD_KEYS = ("Class", "Seen", "Tests", "Seed")
FILE_PAIR = re.compile(r"^--- (\S+)[^\n]*\n\+\+\+ (\S+)", re.M)
FOLDER = Path("tests/mutants")
SUFFIXES = (".mutant", ".patch")


def parse_head(lines: Iterable[str]) -> dict[str, str]:
    head: dict[str, str] = {}
    key = ""
    for line in lines:
        match = HEAD_LINE.match(line)
        if line[:1] in (" ", "\t") and key:
            head[key] += " " + line.strip()
        elif not match or match[1] not in HEAD_KEYS:
            raise BadMutant(f'head: "{line}" is none of {", ".join(HEAD_KEYS)}')
        elif match[1] in head:
            raise BadMutant(f"head: {match[1]} twice")
        else:
            key = match[1]
            head[key] = match[2].strip()
    for key in HEAD_KEYS[:3]:
        if not head.get(key):
            raise BadMutant(f"head: no {key}")
    return head


def parse_nets(text: str) -> tuple[str, ...]:
    nets = tuple(net.strip() for net in text.split(","))
    if "" in nets or len(set(nets)) != len(nets):
        raise BadMutant(f"head: Tests: empty or named twice: {text}")
    return nets


def parse_seed(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text, 0)
    except ValueError:
        raise BadMutant(f"head: Seed: not a number: {text}") from None


def touched_by(diff: str) -> tuple[str, ...]:
    files = []
    for old, new in FILE_PAIR.findall(diff):
        if not old.startswith("a/") or not new.startswith("b/") or old[2:] != new[2:]:
            raise BadMutant(f"diff: {old} to {new}: a mutant changes files, with a/ and b/")
        path = new[2:]
        if ".." in PurePosixPath(path).parts or path.startswith("/"):
            raise BadMutant(f"diff: {path} is outside the tree")
        if any(fnmatch(path, judge) for judge in JUDGES):
            raise BadMutant(f"diff: {path} belongs to the nets")
        files.append(path)
    if not files:
        raise BadMutant("diff: it changes nothing")
    return tuple(files)


def parse_mutant(path: Path) -> Mutant:
    try:
        head_text, blank, body = path.read_text(encoding="utf-8").partition("\n\n")
    except (OSError, ValueError) as error:
        raise BadMutant(str(error)) from None
    if not blank:
        raise BadMutant("head: no blank line after it")
    head = parse_head(head_text.splitlines())
    is_diff = path.suffix == ".patch"
    return Mutant(
        name=path.stem,
        path=path,
        bug_class=head["Class"],
        seen=head["Seen"],
        nets=parse_nets(head["Tests"]),
        seed=parse_seed(head.get("Seed")),
        touched=touched_by(body) if is_diff else (),
        edits=() if is_diff else parse_edits(body),
    )


def git_apply(patch: Path, tree: Path, check: bool) -> None:
    """Exactly: git moves a hunk to other lines but never past a context that differs."""
    # Within a repository git would take paths from its root, and skip silently what lies outside.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment["GIT_CEILING_DIRECTORIES"] = str(tree.resolve().parent)
    command = ["git", "apply", *(["--check"] if check else []), str(patch.resolve())]
    done = subprocess.run(
        command, cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = (done.stderr.strip() or f"git apply: {done.returncode}").splitlines()[0]
        raise BadMutant(f"does not apply: {reason.removeprefix('error: ')}")


def apply_mutant(mutant: Mutant, index: Index, tree: Path) -> None:
    """To the tree, which has the sources that the index was made of."""
    if not mutant.edits:
        git_apply(mutant.path, tree, check=False)
        return
    for path, text in apply_edits(index, mutant.edits).items():
        (tree / path).write_text(text, encoding="utf-8")


def files_touched(mutant: Mutant, index: Index) -> list[str]:
    """Where its text stands; where that is gone, what defines the functions that it names."""
    files = dict.fromkeys(mutant.touched)
    for edit in mutant.edits:
        try:
            files[locate(index, edit)[0].path] = None
        except BadMutant:
            with contextlib.suppress(BadMutant):
                files.update(dict.fromkeys(s.file.path for s in candidates(index, edit)))
    return list(files)


def mutant_files(root: Path) -> list[Path]:
    return [path for path in (root / FOLDER).rglob("*") if path.suffix in SUFFIXES]


def group_of(path: Path) -> str:
    """The folder that it is in, below tests/mutants."""
    return "" if path.parent.name == FOLDER.name else path.parent.name


def full_name(path: Path) -> str:
    return f"{group_of(path)}/{path.stem}".lstrip("/")


# What there is ----------------------------------------------------------------------------


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths)] for row in rows)
    return ["  ".join(row).rstrip() for row in padded]


def read_mutants(files: Sequence[Path]) -> tuple[list[Mutant], list[tuple[Path, str]]]:
    """And those that cannot be read, each with the reason."""
    mutants, bad = [], []
    for path in files:
        try:
            mutants.append(parse_mutant(path))
        except BadMutant as error:
            bad.append((path, str(error)))
    return mutants, bad


def refuse_twins(files: Sequence[Path]) -> None:
    first: dict[str, Path] = {}
    for path in sorted(files):
        if path.stem in first:
            raise CannotRun(f"{path} and {first[path.stem]}: a name is one mutant's")
        first[path.stem] = path


def show_list(mutants: Sequence[Mutant], bad: Sequence[tuple[Path, str]]) -> int:
    rows = [(full_name(m.path), m.bug_class, ", ".join(m.nets)) for m in mutants]
    rows += [(full_name(path), "BROKEN", " ".join(why.split())) for path, why in bad]
    if rows:
        print("\n".join(in_columns(sorted(rows))))
    return NOT_ALL if bad else ALL_CAUGHT


def problem_of(mutant: Mutant, index: Index) -> str:
    """Why it does not apply to the tree; nothing if it does."""
    try:
        if mutant.edits:
            apply_edits(index, mutant.edits)
        else:
            git_apply(mutant.path, index.root, check=True)
    except BadMutant as error:
        return str(error)
    return ""


def check_all(mutants: Sequence[Mutant], bad: Sequence[tuple[Path, str]], root: Path) -> int:
    index = Index(root)
    problems = [*bad, *((m.path, why) for m in mutants if (why := problem_of(m, index)))]
    for path, why in sorted(problems):
        for line in why.splitlines():
            print(f"{full_name(path)}: {line}")
    print(f"{len(mutants) + len(bad) - len(problems)} mutants are sound, {len(problems)} are not")
    return NOT_ALL if problems or not mutants else ALL_CAUGHT


def show_touching(mutants: Sequence[Mutant], files: Sequence[str], root: Path) -> int:
    """The mutants whose functions are in these files."""
    index = Index(root)
    wanted = set()
    for file in files:
        inside = [f for f in (file, os.path.relpath(Path(file).resolve(), root))
                  if (root / f).is_file()]
        if not inside:
            raise CannotRun(f"there is no {file}")
        wanted.add(os.path.normpath(inside[0]))
    rows = []
    for mutant in mutants:
        touched = sorted(wanted.intersection(files_touched(mutant, index)))
        if touched:
            wheres = dict.fromkeys(edit.where for edit in mutant.edits)
            state = "BROKEN" if problem_of(mutant, index) else ""
            rows.append((full_name(mutant.path), ", ".join(touched), ", ".join(wheres), state))
    if rows:
        print("\n".join(in_columns(rows)))
    print(f"{len(rows)} mutants")
    return ALL_CAUGHT
