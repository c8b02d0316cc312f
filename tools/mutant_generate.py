# SPDX-License-Identifier: BSD-2-Clause
"""Small changes of given functions, made by rule: each is a mutant as text (mutant_text.py).

The rules: another comparison, a number one higher, `&&` for `||`, `+` for `-`, operands of `-`,
`/`, `%` and shifts swapped, a statement dropped, a fence weakened to a compiler barrier. What only
says something (assertions, panics, the trace) is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from mutant_convert import Cutter, Window, is_label_end, statement_bounds
from mutant_text import IDENTIFIER, Edit, Index, Scope, Source, words_of

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
LOGIC = {"&&": "||", "||": "&&"}
SUMS = {"+": "-", "-": "+"}
SWAPPED = ("-", "/", "%", "<<", ">>")
NUMBER = re.compile(r"(0[xX][0-9a-fA-F]+|\d+)([uUlL]*)$")
FENCE = re.compile(r"ck_pr_fence_\w+$")
WEAK_FENCE = "ck_pr_barrier"
# Of a statement: it says something and decides nothing.
TELLING = re.compile(r"(check|assert|port_panic|_Static_assert|trace_\w+|EXPECT\w*)$")
TYPES = ("static", "const", "volatile", "unsigned", "signed", "int", "long", "short", "char",
         "bool", "void", "struct", "union", "enum", "size_t", "register", "typedef", "extern")
JUMPS = ("return", "goto", "break", "continue", "case", "default", "if", "else", "for", "while",
         "do", "switch", "__asm__", "asm", "(")
# On both sides of operands that can be swapped: nothing binds closer.
BEFORE_OPERANDS = ("(", ",", "=", "return", ";", "[", "&&", "||", "?", ":", "{", "+=", "-=")
AFTER_OPERANDS = (")", ",", ";", "]", "&&", "||", "?", ":", "}")


@dataclass(frozen=True)
class Generated:
    """A mutant of one function: `name` is unique, `bug_class` says the rule."""

    name: str
    path: str
    bug_class: str
    edit: Edit


@dataclass(frozen=True)
class Site:
    """The words [begin, end) of a file become `text`."""

    begin: int
    end: int
    rule: str
    text: str


def statements(scope: Scope) -> list[tuple[int, int]]:
    bounds = statement_bounds(scope)
    return list(zip(bounds, bounds[1:]))


def body_begin(scope: Scope) -> int:
    words = scope.file.words
    return next((at for at in range(scope.begin, scope.end) if words[at] == "{"), scope.end)


def is_droppable(words: Sequence[str]) -> bool:
    """A call or an assignment, and no declaration."""
    if len(words) < 3 or words[-1] != ";" or words[0] in (*TYPES, *JUMPS):
        return False
    if not (IDENTIFIER.match(words[0]) or words[0] in ("*", "++", "--")):
        return False
    is_declaration = IDENTIFIER.match(words[0]) and (
        IDENTIFIER.match(words[1]) or (words[1] == "*" and IDENTIFIER.match(words[2])))
    return not is_declaration


def needs_a_body(words: Sequence[str], at: int) -> bool:
    """Whether a statement at `at` is all that a header above it has."""
    return at > 0 and (words[at - 1] in (")", "else", "do") or is_label_end(words, at - 1))


def operand_begin(words: Sequence[str], end: int) -> int:
    """A name or a number, and the members that lead to it."""
    at = end - 1
    if not re.match(r"\w", words[at]):
        return -1
    while at >= 2 and words[at - 1] in ("->", "."):
        at -= 2
    return at if re.match(r"\w", words[at]) and words[at] != "return" else -1


def operand_end(words: Sequence[str], begin: int) -> int:
    if not re.match(r"\w", words[begin]) or words[begin] == "sizeof":
        return -1
    at = begin + 1
    while at + 1 < len(words) and words[at] in ("->", "."):
        at += 2
    return at


def swap_site(source: Source, at: int) -> Site | None:
    words = source.words
    left, right = operand_begin(words, at), operand_end(words, at + 1)
    if left < 1 or right < 0 or right >= len(words):
        return None
    if words[left - 1] not in BEFORE_OPERANDS or words[right] not in AFTER_OPERANDS:
        return None
    if words[left:at] == words[at + 1 : right]:
        return None
    text = f"{''.join(words[at + 1 : right])} {words[at]} {''.join(words[left:at])}"
    return Site(left, right, "operands swapped", text)


def word_site(source: Source, at: int) -> Iterator[Site]:
    words = source.words
    word, before = words[at], words[at - 1]
    if word in COMPARISONS:
        yield Site(at, at + 1, "another comparison", COMPARISONS[word])
    elif word in LOGIC:
        yield Site(at, at + 1, "and for or", LOGIC[word])
    elif match := NUMBER.match(word):
        if before != "case":
            number = int(match[1], 8 if re.fullmatch(r"0\d+", match[1]) else 0) + 1
            text = hex(number) if match[1][:2] in ("0x", "0X") else str(number)
            yield Site(at, at + 1, "off by one", text + match[2])
    elif FENCE.match(word) and word != WEAK_FENCE:
        yield Site(at, at + 1, "fence weakened", WEAK_FENCE)
    binary = re.match(r"[\w)\]]", before) and before not in ("return", "case")
    if word in SUMS and binary:
        yield Site(at, at + 1, "another sign", SUMS[word])
    if word in SWAPPED and binary and (site := swap_site(source, at)):
        yield site


def sites(scope: Scope) -> Iterator[Site]:
    source, words = scope.file, scope.file.words
    if scope.kind != "function":
        return
    first = body_begin(scope) + 1
    for begin, end in statements(scope):
        if begin < first or TELLING.match(words[begin]) or words[begin] == "#":
            continue
        if is_droppable(words[begin:end]) and not FENCE.match(words[begin]):
            text = "(void)0;" if needs_a_body(words, begin) else ""
            yield Site(begin, end, "statement dropped", text)
        for at in range(begin, end):
            yield from word_site(source, at)


def chosen(index: Index, patterns: Sequence[str]) -> list[Scope]:
    """Functions by name or file, either of which may be a pattern."""
    found = {}
    for pattern in patterns:
        for scopes in index.scopes.values():
            for scope in scopes:
                if scope.kind == "function" and (
                        fnmatch(scope.name, pattern) or fnmatch(scope.file.path, pattern)):
                    found[scope.file.path, scope.begin] = scope
    return [found[key] for key in sorted(found)]


def generate(index: Index, patterns: Sequence[str]) -> list[Generated]:
    made = []
    for scope in chosen(index, patterns):
        source = scope.file
        count: dict[str, int] = {}
        for site in sorted(sites(scope), key=lambda site: (site.begin, site.rule)):
            text = (source.text[: source.starts[site.begin]] + site.text
                    + source.text[source.end_of(site.end - 1):])
            window = Window(site.begin, site.end, site.begin,
                            site.begin + len(words_of(site.text)))
            cutter = Cutter(index, scope, Source(source.path, text), [window])
            count[site.rule] = count.get(site.rule, 0) + 1
            name = f"{scope.name}-{site.rule.replace(' ', '-')}-{count[site.rule]}"
            made.append(Generated(name, source.path, site.rule, next(cutter.edits())))
    names: dict[str, int] = {}
    for one in made:
        names[one.name] = names.get(one.name, 0) + 1
    stem = {one.path: re.sub(r"\W+", "-", one.path) for one in made}
    return [one if names[one.name] == 1
            else Generated(f"{stem[one.path]}-{one.name}", one.path, one.bug_class, one.edit)
            for one in made]
