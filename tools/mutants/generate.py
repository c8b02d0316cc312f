# SPDX-License-Identifier: BSD-2-Clause
"""Mutants made by rule: those that tests/mutants/generated.toml asks for, or of any function.

A generated mutant is named FUNCTION-RULE-HASH. The hash is of the statement, the place in it, and
the text that comes there, so the name stays when the function moves or another of its statements
changes.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from mutants.catalog import FOLDER, GENERATED, Broken, CannotRun, Mutant
from mutants.cut import Cutter, Window
from mutants.edits import Edit
from mutants.rules import RULES as RULES_PLAIN
from mutants.rules import Site, Statement, statements
from mutants.rules_asm import RULES_ASM, is_assembly, pieces
from mutants.rules_smp import RULES_SMP
from mutants.source import Index, Scope, Source, words_of

DATA = FOLDER / "generated.toml"
RULES = {**RULES_PLAIN, **RULES_SMP, **RULES_ASM}
ENTRY_KEYS = {"name", "file", "rules", "only", "tests", "equivalent"}
HASH_LENGTH_MIN = 4


@dataclass(frozen=True)
class Made:
    """A change by rule. `key` is RULE-HASH."""

    scope: Scope
    rule: str
    key: str
    site: Site


@dataclass
class Entry:
    """What generated.toml says of one function: all changes of the rules, or `only` these keys."""

    name: str
    rules: list[str]
    tests: tuple[str, ...]
    file: str = ""
    only: list[str] = field(default_factory=list)
    equivalent: dict[str, str] = field(default_factory=dict)


def digest_of(statement: Statement, site: Site) -> str:
    words = " ".join(statement.words[statement.begin : statement.end])
    text = f"{words}|{site.begin - statement.begin}|{site.end - site.begin}|{site.text}"
    return hashlib.sha256(text.encode()).hexdigest()


def parts_of(scope: Scope, rule: str) -> Iterator[Statement]:
    if rule in RULES_ASM:
        return pieces(scope)
    return iter(()) if scope.kind != "function" or is_assembly(scope) else statements(scope)


def changes_of_rule(scope: Scope, rule: str) -> list[Made]:
    found: list[tuple[str, Site]] = []
    count: dict[str, int] = {}
    for statement in parts_of(scope, rule):
        for site in RULES[rule][1](statement):
            digest = digest_of(statement, site)
            count[digest] = count.get(digest, 0) + 1
            if count[digest] > 1:  # the same statement once more
                digest = hashlib.sha256(f"{digest}|{count[digest]}".encode()).hexdigest()
            found.append((digest, site))
    length = HASH_LENGTH_MIN
    while len({digest[:length] for digest, _ in found}) < len(found):
        length += 1
    return [Made(scope, rule, f"{rule}-{digest[:length]}", site) for digest, site in found]


def edit_of(index: Index, made: Made) -> Edit:
    source, site = made.scope.file, made.site
    text = (source.text[: source.starts[site.begin]] + site.text
            + source.text[source.end_of(site.end - 1):])
    window = Window(site.begin, site.end, site.begin, site.begin + len(words_of(site.text)))
    return next(Cutter(index, made.scope, Source(source.path, text), [window]).edits())


def mutant_of(index: Index, made: Made, name: str, tests: Sequence[str]) -> Mutant:
    return Mutant(f"{name}-{made.key}", GENERATED, RULES[made.rule][0],
                  f"made by rule, of {made.scope.file.path}", tuple(tests),
                  (edit_of(index, made),), rule=made.rule)


# The data file -------------------------------------------------------------------------------


def read_entries(root: Path) -> list[Entry]:
    try:
        data = tomllib.loads((root / DATA).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except tomllib.TOMLDecodeError as error:
        raise CannotRun(f"{DATA}: {error}") from None
    entries = []
    for number, table in enumerate(data.get("function", []), 1):
        name = table.get("name", f"function number {number}")
        only = table.get("only", [])
        rules = table.get("rules", list(dict.fromkeys(key.partition("-")[0] for key in only)))
        unknown = set(table) - ENTRY_KEYS
        missing = {"name", "tests"} - set(table) | (set() if rules else {"rules"})
        wrong = [rule for rule in rules if rule not in RULES]
        if unknown or missing or wrong:
            said = [f"unknown: {', '.join(sorted(unknown))}" if unknown else "",
                    f"missing: {', '.join(sorted(missing))}" if missing else "",
                    f"no such rule: {', '.join(wrong)}" if wrong else ""]
            raise CannotRun(f"{DATA}: {name}: {'; '.join(filter(None, said))}")
        entries.append(Entry(name, rules, tuple(table["tests"]), table.get("file", ""), only,
                             table.get("equivalent", {})))
    return entries


def scope_of(index: Index, entry: Entry) -> Scope:
    found = [s for s in index.scopes.get(entry.name, []) if s.kind == "function"]
    if entry.file:
        found = [s for s in found if PurePosixPath(s.file.path).name == entry.file]
    if len(found) != 1:
        places = ", ".join(map(str, found))
        why = f"{len(found)} functions: {places}: name its file" if found else "no such function"
        raise CannotRun(f"{DATA}: {entry.name}: {why}")
    return found[0]


@dataclass
class Listed:
    """What generated.toml gives for a tree."""

    mutants: list[Mutant] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)
    equivalent: dict[str, str] = field(default_factory=dict)  # a mutant's name, and the reason


def read_listed(index: Index) -> Listed:
    listed = Listed()
    for entry in read_entries(index.root):
        stem = f"{PurePosixPath(entry.file).stem}-{entry.name}" if entry.file else entry.name
        try:
            scope = scope_of(index, entry)
        except CannotRun as error:
            listed.broken.append(Broken(stem, GENERATED, str(error)))
            continue
        unused = set(entry.equivalent) | set(entry.only)
        for rule in entry.rules:
            made = changes_of_rule(scope, rule)
            if not made:
                why = f"{DATA}: the rule {rule} changes nothing in {scope}"
                listed.broken.append(Broken(f"{stem}-{rule}", GENERATED, why))
            for one in made:
                unused.discard(one.key)
                if one.key in entry.equivalent:
                    listed.equivalent[f"{stem}-{one.key}"] = entry.equivalent[one.key]
                elif not entry.only or one.key in entry.only:
                    listed.mutants.append(mutant_of(index, one, stem, entry.tests))
        for key in sorted(unused):
            why = f"{DATA}: no such mutant is made of {scope}: its statement changed"
            listed.broken.append(Broken(f"{stem}-{key}", GENERATED, why))
    return listed


# Of any function -----------------------------------------------------------------------------


def chosen_scopes(index: Index, patterns: Sequence[str]) -> list[Scope]:
    """Functions by name or by file; both may be patterns."""
    found = {}
    for pattern in patterns:
        for scopes in index.scopes.values():
            for scope in scopes:
                if scope.kind == "function" and (
                        fnmatch(scope.name, pattern) or fnmatch(scope.file.path, pattern)):
                    found[scope.file.path, scope.begin] = scope
    return [found[key] for key in sorted(found)]


def all_changes(scope: Scope) -> Iterator[Made]:
    for rule in RULES:
        yield from changes_of_rule(scope, rule)


def generate(index: Index, patterns: Sequence[str],
             tests_for: Callable[[str], Sequence[str]]) -> list[Mutant]:
    """By all rules. `tests_for` gives the tests of a file."""
    scopes = chosen_scopes(index, patterns)
    names = [scope.name for scope in scopes]
    mutants = []
    for scope in scopes:
        is_alone = names.count(scope.name) == 1
        stem = scope.name if is_alone else f"{PurePosixPath(scope.file.path).stem}-{scope.name}"
        tests = tests_for(scope.file.path)
        mutants += [mutant_of(index, made, stem, tests) for made in all_changes(scope)]
    return mutants
