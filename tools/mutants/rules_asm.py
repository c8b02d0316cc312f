# SPDX-License-Identifier: BSD-2-Clause
"""Rules for assembly: files that are assembly, and the strings of `__asm__` in C.

A piece is one instruction of a file, or one `__asm__` statement of C, or a macro that has one. A string
is looked at if it is whole instructions: then each of them is one change. Directives stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from mutants.rules import Site, Statement
from mutants.source import IDENTIFIER, Scope

ASM = ("__asm__", "asm")
SEPARATOR = re.compile(r"\\n\\t|\\n|;")
FENCE = re.compile(r"\bfence(\s+|\\t)([iorw]+),\s*([iorw]+)")
ORDERED = re.compile(r"(?<=\.)(aqrl|aq|rl)\b")
BRANCHES = {"beq": "bne", "bne": "beq", "blt": "bge", "bge": "blt", "bltu": "bgeu", "bgeu": "bltu",
            "beqz": "bnez", "bnez": "beqz", "bltz": "bgez", "bgez": "bltz", "blez": "bgtz",
            "bgtz": "blez"}
BRANCH = re.compile(r"\b(" + "|".join(BRANCHES) + r")\b")


def is_assembly(scope: Scope) -> bool:
    return scope.file.path.endswith(".S")


def text_of(statement: Statement, begin: int, end: int) -> str:
    source = statement.scope.file
    return source.bare[source.starts[begin] : source.end_of(end - 1)]


# Pieces --------------------------------------------------------------------------------------


def instruction_begin(scope: Scope, begin: int, end: int) -> int:
    """The first word of the line's instruction, behind its label; `end` if it has none."""
    words = scope.file.words
    if begin + 1 < end and words[begin + 1] == ":":
        begin += 2
    return begin if begin < end and IDENTIFIER.match(words[begin]) else end


def instructions(scope: Scope) -> Iterator[Statement]:
    """Of a label or a macro of a file that is assembly. `after` ends the next line's instruction."""
    source = scope.file
    lines: list[tuple[int, int]] = []
    for at in range(scope.begin, scope.end):
        if lines and source.line(at) == source.line(lines[-1][0]):
            lines[-1] = lines[-1][0], at + 1
        else:
            lines.append((at, at + 1))
    for number, (begin, end) in enumerate(lines):
        first = instruction_begin(scope, begin, end)
        if first == end:
            continue
        after = end
        if number + 1 < len(lines):
            other = lines[number + 1]
            if instruction_begin(scope, *other) == other[0]:  # without a label
                after = other[1]
        yield Statement(source.words, first, end, scope, after)


def pieces(scope: Scope) -> Iterator[Statement]:
    """What the rules of this file look at: in C, each whole `__asm__` with its operands."""
    if is_assembly(scope):
        yield from instructions(scope)
        return
    words = scope.file.words
    for at in range(scope.begin, scope.end):
        if words[at] in ASM:
            opening = next((i for i in range(at, min(at + 4, scope.end)) if words[i] == "("), -1)
            end, depth = opening, 0
            while 0 < end < scope.end:
                depth += (words[end] == "(") - (words[end] == ")")
                end += 1
                if depth == 0:
                    break
            if opening > 0:
                yield Statement(words, at, end, scope, end)


# Strings -------------------------------------------------------------------------------------


def strings(statement: Statement) -> Iterator[int]:
    """The strings of the template: those before the first colon."""
    words = statement.words
    for at in statement.places():
        if words[at] == ":":
            return
        if words[at].startswith('"'):
            yield at


def instructions_of(text: str) -> list[str]:
    """The instructions of a string, and what separates them; empty if it is not whole ones."""
    parts = [part for part in SEPARATOR.split(text[1:-1]) if part.replace("\\t", "").strip()]
    return parts if all(plain(part) for part in parts) else []


def plain(part: str) -> bool:
    """Whether it is an instruction: no directive, and no part that continues in a next string."""
    word = re.sub(r"^\w+:", "", part.replace("\\t", " ")).strip()
    return bool(re.match(r"\.?[a-z]", word)) and not word.startswith(".") or word.startswith(".insn")


def changed(statement: Statement, change: Callable[[str], Iterator[str]]) -> Iterator[Site]:
    """The places of a change of text, in an instruction of a file or in the strings of C."""
    if is_assembly(statement.scope):
        for text in change(text_of(statement, statement.begin, statement.end)):
            yield Site(statement.begin, statement.end, text)
        return
    for at in strings(statement):
        for text in change(statement.words[at]):
            yield Site(at, at + 1, text)


# Rules ---------------------------------------------------------------------------------------


def asm_drop(statement: Statement) -> Iterator[Site]:
    """An instruction is dropped; its label stays."""
    words, begin = statement.words, statement.begin
    if is_assembly(statement.scope):
        yield Site(begin, statement.end, "")
        return
    for at in strings(statement):
        for part in instructions_of(words[at]):
            label = re.match(r"\s*\w+:", part)
            yield Site(at, at + 1, words[at].replace(part, label[0] if label else "", 1))


def asm_swap(statement: Statement) -> Iterator[Site]:
    """Two instructions that follow each other change places."""
    words, begin, end, after = statement.words, statement.begin, statement.end, statement.after
    if is_assembly(statement.scope):
        if end < after and words[begin:end] != words[end:after]:
            first, second = text_of(statement, begin, end), text_of(statement, end, after)
            yield Site(begin, after, f"{second}\n\t{first}")
        return
    for at in strings(statement):
        parts = instructions_of(words[at])
        if len(parts) == 1 and at + 1 < end and len(instructions_of(words[at + 1])) == 1:
            other = instructions_of(words[at + 1])[0]
            labels = [re.match(r"\s*\w+:(?:\\t|\s)*", part) for part in (parts[0], other)]
            if not labels[1]:
                bare = parts[0][len(labels[0][0]):] if labels[0] else parts[0]
                yield Site(at, at + 2, words[at].replace(bare, other.replace("\\t", " ").strip()
                                                         if labels[0] else other, 1)
                           + " " + words[at + 1].replace(other, bare, 1))
        for first, second in zip(parts, parts[1:]):
            if not re.match(r"\s*\w+:", first + second):
                marked = words[at].replace(first, "\0", 1).replace(second, first, 1)
                yield Site(at, at + 1, marked.replace("\0", second))


def weaker_sets(kinds: str) -> Iterator[str]:
    """A fence's set without one of its kinds, and no empty set."""
    if len(kinds) > 1:
        for kind in kinds:
            yield kinds.replace(kind, "")


def weaker(text: str) -> Iterator[str]:
    for match in FENCE.finditer(text):
        for number in (2, 3):
            for kinds in weaker_sets(match[number]):
                yield text[: match.start(number)] + kinds + text[match.end(number):]
    for match in ORDERED.finditer(text):
        kept = {"aqrl": ("aq", "rl"), "aq": ("",), "rl": ("",)}[match[1]]
        for kind in kept:
            start = match.start() if kind else match.start() - 1
            yield text[:start] + kind + text[match.end():]


def asm_order(statement: Statement) -> Iterator[Site]:
    """A fence or an atomic orders one kind of accesses less."""
    yield from changed(statement, weaker)


def inverted(text: str) -> Iterator[str]:
    for match in BRANCH.finditer(text):
        yield text[: match.start()] + BRANCHES[match[1]] + text[match.end():]


def asm_branch(statement: Statement) -> Iterator[Site]:
    """A branch is taken in the other case."""
    yield from changed(statement, inverted)


RULES_ASM: dict[str, tuple[str, Callable[[Statement], Iterator[Site]]]] = {
    "asm_branch": ("branch of the other condition", asm_branch),
    "asm_drop": ("instruction dropped", asm_drop),
    "asm_order": ("fence or atomic that orders less", asm_order),
    "asm_swap": ("instructions swapped", asm_swap),
}
