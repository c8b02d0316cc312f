# SPDX-License-Identifier: BSD-2-Clause
"""The mutants: files of tests/mutants, and those that tests/mutants/generated.toml asks for.

A file NAME.mutant has a head (the bug's class, where it was seen, the tests that are to catch it)
and then edits (edits.py). Each folder is one mechanism. A name is used once in all folders.
tests/mutants/README.md describes the format.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from mutants.edits import Edit, apply_edits, candidates, locate, parse_edits
from mutants.source import BadMutant, Index

ALL_CAUGHT, NOT_ALL, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130
FOLDER = Path("tests/mutants")
GENERATED = "generated"


class CannotRun(Exception):
    """A problem of the whole run and not of one mutant."""


@dataclass(frozen=True)
class Mutant:
    """`group` is its folder; `rule` is the rule that made it, if it was generated."""

    name: str
    group: str
    bug_class: str
    seen: str
    tests: tuple[str, ...]
    edits: tuple[Edit, ...]
    seed: int | None = None
    rule: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.group}/{self.name}".lstrip("/")


@dataclass(frozen=True)
class Broken:
    """A mutant that cannot be read, and the reason."""

    name: str
    group: str
    why: str

    @property
    def full_name(self) -> str:
        return f"{self.group}/{self.name}".lstrip("/")


# Reading -------------------------------------------------------------------------------------

HEAD_LINE = re.compile(r"(\w+):[ \t]*(.*)$")
HEAD_KEYS = ("Class", "Seen", "Tests", "Seed")


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


def parse_tests(text: str) -> tuple[str, ...]:
    tests = tuple(test.strip() for test in text.split(","))
    if "" in tests or len(set(tests)) != len(tests):
        raise BadMutant(f"head: Tests: empty or named twice: {text}")
    return tests


def parse_seed(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(text, 0)
    except ValueError:
        raise BadMutant(f"head: Seed: not a number: {text}") from None


def group_of(path: Path) -> str:
    return "" if path.parent.name == FOLDER.name else path.parent.name


def parse_mutant(path: Path) -> Mutant:
    try:
        head_text, blank, body = path.read_text(encoding="utf-8").partition("\n\n")
    except (OSError, ValueError) as error:
        raise BadMutant(str(error)) from None
    if not blank:
        raise BadMutant("head: no blank line after it")
    head = parse_head(head_text.splitlines())
    return Mutant(
        name=path.stem,
        group=group_of(path),
        bug_class=head["Class"],
        seen=head["Seen"],
        tests=parse_tests(head["Tests"]),
        edits=parse_edits(body),
        seed=parse_seed(head.get("Seed")),
    )


def mutant_files(root: Path) -> list[Path]:
    return sorted((root / FOLDER).rglob("*.mutant"))


def read_written(root: Path) -> tuple[list[Mutant], list[Broken]]:
    """The mutants that are files."""
    mutants, broken = [], []
    first: dict[str, Path] = {}
    for path in mutant_files(root):
        if path.stem in first:
            raise CannotRun(f"{path} and {first[path.stem]} have the same name")
        first[path.stem] = path
        try:
            mutants.append(parse_mutant(path))
        except BadMutant as error:
            broken.append(Broken(path.stem, group_of(path), str(error)))
    return mutants, broken


# In a tree -----------------------------------------------------------------------------------


def apply_mutant(mutant: Mutant, index: Index, tree: Path) -> None:
    """Changes the tree, which must have the sources that the index was made of."""
    for path, text in apply_edits(index, mutant.edits).items():
        (tree / path).write_text(text, encoding="utf-8")


def files_touched(mutant: Mutant, index: Index) -> list[str]:
    """The files that have its text; if the text is gone, those that define what it names."""
    files: dict[str, None] = {}
    for edit in mutant.edits:
        try:
            files[locate(index, edit)[0].path] = None
        except BadMutant:
            with contextlib.suppress(BadMutant):
                files.update(dict.fromkeys(s.file.path for s in candidates(index, edit)))
    return list(files)


def matches(mutant: Mutant | Broken, patterns: str) -> bool:
    """By name; a pattern that has a / is compared with the name and its group."""
    def fits(pattern: str) -> bool:
        name = mutant.full_name if "/" in pattern else mutant.name
        return pattern in name or fnmatch(name, pattern)

    return not patterns or any(fits(pattern) for pattern in patterns.split())


# Listing -------------------------------------------------------------------------------------


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    padded = ([cell.ljust(width) for cell, width in zip(row, widths)] for row in rows)
    return ["  ".join(row).rstrip() for row in padded]


def show_list(mutants: Sequence[Mutant], broken: Sequence[Broken]) -> int:
    rows = [(m.full_name, m.bug_class, ", ".join(m.tests)) for m in mutants]
    rows += [(b.full_name, "BROKEN", " ".join(b.why.split())) for b in broken]
    if rows:
        print("\n".join(in_columns(sorted(rows))))
    return NOT_ALL if broken else ALL_CAUGHT


def host_tests(root: Path) -> set[str]:
    """The names of all tests of host programs."""
    texts = (path.read_text(encoding="utf-8") for path in (root / "tests/host").rglob("*.c"))
    return {name for text in texts for name in re.findall(r"\b[A-Z_]*TEST\((\w+)\)", text)}


def problem_of(mutant: Mutant, index: Index, known: set[str]) -> str:
    """Why it does not apply to the tree, or which of its tests there is not; else nothing."""
    for test in mutant.tests:
        program, _, name = test.partition(":")
        if name and "/test_" in program and name not in known:
            return f"head: Tests: there is no {test}"
    try:
        apply_edits(index, mutant.edits)
    except BadMutant as error:
        return str(error)
    return ""


def check_all(mutants: Sequence[Mutant], broken: Sequence[Broken], index: Index) -> int:
    known = host_tests(index.root)
    problems = [(b.full_name, b.why) for b in broken]
    problems += [(m.full_name, why) for m in mutants if (why := problem_of(m, index, known))]
    for name, why in sorted(problems):
        for line in why.splitlines():
            print(f"{name}: {line}")
    print(f"{len(mutants) + len(broken) - len(problems)} mutants are sound, "
          f"{len(problems)} are not")
    return NOT_ALL if problems or not mutants else ALL_CAUGHT


def show_touching(mutants: Sequence[Mutant], files: Sequence[str], index: Index) -> int:
    """The mutants whose functions are in these files."""
    wanted = set()
    for file in files:
        inside = [f for f in (file, os.path.relpath(Path(file).resolve(), index.root))
                  if (index.root / f).is_file()]
        if not inside:
            raise CannotRun(f"there is no {file}")
        wanted.add(os.path.normpath(inside[0]))
    rows, known = [], host_tests(index.root)
    for mutant in mutants:
        touched = sorted(wanted.intersection(files_touched(mutant, index)))
        if touched:
            wheres = dict.fromkeys(edit.where for edit in mutant.edits)
            state = "BROKEN" if problem_of(mutant, index, known) else ""
            rows.append((mutant.full_name, ", ".join(touched), ", ".join(wheres), state))
    if rows:
        print("\n".join(in_columns(rows)))
    print(f"{len(rows)} mutants")
    return ALL_CAUGHT
