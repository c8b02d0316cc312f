# SPDX-License-Identifier: BSD-2-Clause
"""A sample of the mutants that the rules make of the kernel's sources: which ones, and what share of
them was caught.

The list is a function of the seed and the tree. Each file gets a share in proportion to its words;
within a file each rule that applies gets the same share, so a rule that applies often does not crowd
out the others; within a rule the place is drawn. A sample is in an order that was drawn too: the
first n of a longer one are a sample of n.
"""

from __future__ import annotations

import math
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mutants.catalog import CannotRun, Mutant
from mutants.choose import commit_hash, git
from mutants.edits import apply_edits
from mutants.generate import RULES, Made, changes_of_rule, mutant_of
from mutants.source import BadMutant, Index, Scope, words_of

FOLDERS = ("mm/", "sync/", "kernel/smp/", "arch/")
KINDS_OF = {".c": ("function", "macro"), ".h": ("function", "macro"), ".S": ("label", "macro")}
# A change that these make too is theirs.
FIRST = ("recheck", "lock", "cpu", "mask")
NORMAL_95 = 1.96


@dataclass
class File:
    """A file's mutants by rule, and its size."""

    path: str
    words: int
    made: dict[str, list[tuple[str, Made]]]  # each with the name of its function

    def count(self) -> int:
        return sum(map(len, self.made.values()))


# Which there are -----------------------------------------------------------------------------


def scopes_by_file(index: Index) -> dict[str, list[Scope]]:
    found: dict[str, list[Scope]] = defaultdict(list)
    for scopes in index.scopes.values():
        for scope in scopes:
            path = scope.file.path
            if path.startswith(FOLDERS) and scope.kind in KINDS_OF[PurePosixPath(path).suffix]:
                found[path].append(scope)
    return {path: sorted(found[path], key=lambda scope: scope.begin) for path in sorted(found)}


def stem_of(index: Index, scope: Scope) -> str:
    """The scope's name; with its file's where the name is there more than once."""
    if len(index.scopes[scope.name]) == 1:
        return scope.name
    return f"{PurePosixPath(scope.file.path).stem}-{scope.name}"


def population(index: Index) -> list[File]:
    """All mutants of the folders, file by file. Each change is there once, whichever rules make it."""
    files = []
    names: set[str] = set()
    for path, scopes in scopes_by_file(index).items():
        seen: set[tuple[int, int, str]] = set()
        made: dict[str, list[tuple[str, Made]]] = {}
        for rule in sorted(RULES, key=lambda rule: rule not in FIRST):
            for scope in scopes:
                for one in changes_of_rule(scope, rule):
                    change = one.site.begin, one.site.end, "".join(words_of(one.site.text))
                    name = f"{stem_of(index, scope)}-{one.key}"
                    if change in seen or name in names:
                        continue
                    seen.add(change)
                    names.add(name)
                    made.setdefault(rule, []).append((stem_of(index, scope), one))
        if made:
            files.append(File(path, len(index.read(path).words), made))
    return files


# Which are drawn -----------------------------------------------------------------------------


def order_of_file(file: File, rng: random.Random) -> list[tuple[str, Made]]:
    """The rules in turn, in an order that was drawn; so are the places of each rule."""
    rules = sorted(file.made)
    rng.shuffle(rules)
    places = [rng.sample(file.made[rule], len(file.made[rule])) for rule in rules]
    longest = max(map(len, places))
    return [of_rule[turn] for turn in range(longest) for of_rule in places if turn < len(of_rule)]


def draw(files: Sequence[File], seed: int) -> list[tuple[str, Made]]:
    """All of them, in the order in which a sample takes them.

    The i-th of a file comes at (i + u) / words of the file, for a u of [0, 1) that was drawn: so among
    the first n, a file has its share up to one.
    """
    ranked = []
    for file in files:
        # Its own generator: another file's changes do not alter what is drawn here.
        rng = random.Random(f"{seed} {file.path}")
        begin = rng.random()
        for number, one in enumerate(order_of_file(file, rng)):
            ranked.append(((number + begin) / file.words, file.path, number, one))
    return [one for _, _, _, one in sorted(ranked, key=lambda entry: entry[:3])]


def is_sound(index: Index, mutant: Mutant, made: Made) -> bool:
    """Whether the mutant as it is written gives the words that the rule wants."""
    source, site = made.scope.file, made.site
    text = (source.text[: source.starts[site.begin]] + site.text
            + source.text[source.end_of(site.end - 1):])
    try:
        return {path: words_of(result) for path, result in apply_edits(index, mutant.edits).items()
                } == {source.path: words_of(text)}
    except BadMutant:
        return False


def sample(index: Index, seed: int, only: str, skip: set[str]) -> Iterator[tuple[Mutant, Made]]:
    """The mutants in the order drawn, without those named in `skip`; `only` is a part of names."""
    for stem, made in draw(population(index), seed):
        name = f"{stem}-{made.key}"
        if name in skip or not any(word in name for word in only.split() or [""]):
            continue
        try:
            mutant = mutant_of(index, made, stem, ("build",))
        except (BadMutant, StopIteration, IndexError, ValueError):
            continue
        if is_sound(index, mutant, made):
            yield mutant, made


def parse_seed(text: str, root: Path) -> int:
    """A number, or `auto`: how many commits there are; in a shallow clone, of the commit's hash."""
    if text != "auto":
        try:
            return int(text, 0)
        except ValueError:
            raise CannotRun(f"SEED={text}: it is a number or auto") from None
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        return int(commit_hash(root)[:8], 16)
    return int(git(root, "rev-list", "--count", "HEAD"))


# What share was caught ------------------------------------------------------------------------


def interval(caught: int, counted: int) -> tuple[float, float]:
    """Wilson's interval of 95 % for a share: it says something of few too, and of all caught."""
    if not counted:
        return 0.0, 1.0
    share, square = caught / counted, NORMAL_95 ** 2
    middle = share + square / (2 * counted)
    half = NORMAL_95 * math.sqrt(share * (1 - share) / counted + square / (4 * counted ** 2))
    whole = 1 + square / counted
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


# Which tests ----------------------------------------------------------------------------------


def tests_that_cover(root: Path, index: Index) -> dict[str, list[str]]:
    """For each source file the tests whose `Covers:` lines name it; a header without such a line has
    those of the files that include it."""
    sys.path.insert(0, str(root / "tools" / "check"))
    import covers  # pylint: disable=import-outside-toplevel

    table = {path: {covers.test_name(test) for test in tests}
             for path, tests in covers.table(root).items() if not path.startswith("tools/")}
    includers: dict[str, set[str]] = defaultdict(set)
    for path in index.searched_files():
        for word in index.read(path).words:
            if word.startswith('"') and word.endswith('.h"'):
                includers[word[1:-1]].add(path)
    for path in sorted(includers):
        if path not in table:
            table[path] = set().union(*(table.get(user, set()) for user in includers[path]))
    return {path: sorted(tests) for path, tests in table.items()}
