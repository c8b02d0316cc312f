# SPDX-License-Identifier: BSD-2-Clause
"""Which mutants run, and in which order: all, by name, one part of n, or what fits into minutes."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mutants.catalog import Broken, CannotRun, Mutant, matches

# Multiples of it, modulo 1, lie evenly in [0, 1): consecutive commits begin far from each other.
GOLDEN_RATIO = (5 ** 0.5 - 1) / 2

Item = Mutant | Broken


@dataclass(frozen=True)
class Part:
    """Every mutant number `number`, `number` + `of`, ..., counted from 1."""

    number: int = 1
    of: int = 1
    why: str = ""


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise CannotRun("the choice depends on the commit, and this is no git repository")
    return done.stdout.strip()


def commit_hash(root: Path) -> str:
    return git(root, "rev-parse", "HEAD")


def parse_part(text: str, commit: Callable[[], str]) -> Part:
    match = re.fullmatch(r"(auto|\d+)/(\d+)", text)
    if not match or int(match[2]) < 1:
        raise CannotRun(f"PART={text}: it is k/n or auto/n")
    of = int(match[2])
    if match[1] == "auto":
        word = commit()[:8]
        rest = int(word, 16) % of
        return Part(rest + 1, of, f"commit {word} is {rest} modulo {of}")
    if not 1 <= int(match[1]) <= of:
        raise CannotRun(f"PART={text}: parts are numbered 1 to {of}")
    return Part(int(match[1]), of, "as asked for")


def choose(items: Sequence[Item], only: str, part: Part) -> list[Item]:
    """In the order of names and not of groups, so that each part has mutants of all groups."""
    named = sorted((item for item in items if matches(item, only)),
                   key=lambda item: (item.name, item.group))
    return named[part.number - 1 :: part.of]


def starting_point(root: Path) -> tuple[float, str]:
    """Where in [0, 1) this commit begins, and why."""
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        word = commit_hash(root)[:8]
        return int(word, 16) / 2**32, f"commit {word}"
    count = int(git(root, "rev-list", "--count", "HEAD"))
    return count * GOLDEN_RATIO % 1, f"{count} commits"


def rotated(items: Sequence[Item], start: float) -> list[Item]:
    first = int(start * len(items))
    return [*items[first:], *items[:first]]
