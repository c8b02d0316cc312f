# SPDX-License-Identifier: BSD-2-Clause
"""C and assembly as words, and the functions and other named things of a tree.

Whitespace, comments and line breaks do not count. `Source` is one file as words, each with its
place in the text; `Scope` is a named thing of a file (a function, a structure, a macro, a label);
`Index` has all scopes of the kernel's sources by name.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath

# The folders in which a function is searched. An edit can name a file elsewhere with `File:`.
SEARCHED = ("arch", "kernel", "mm", "sync", "tests/smp")
SEARCHED_ENDS = (".c", ".h", ".S")


class BadMutant(Exception):
    """A mutant that cannot show anything, whatever the tests say."""


# Words ---------------------------------------------------------------------------------------

STRING = r'"(?:\\.|[^"\\\n])*"' + r"|'(?:\\.|[^'\\\n])*'"
COMMENT = re.compile(STRING + r"|/\*.*?\*/|//[^\n]*|\\\n", re.S)
WORD = re.compile(
    STRING + r"|[A-Za-z_]\w*|\.?\d[\w.]*"
    r"|<<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|##|\S"
)
PLAIN_WORD = re.compile(r"\w+|\S")
NOT_NEWLINE = re.compile(r"[^\n]")
IDENTIFIER = re.compile(r"[A-Za-z_]\w*$")


def is_code(path: str) -> bool:
    return path.endswith((*SEARCHED_ENDS, ".ld"))


def blank(match: re.Match[str]) -> str:
    text = match[0]
    if text[0] in "\"'":
        return text
    if text[0] == "\\":
        return "  "  # a continued line is one line
    return NOT_NEWLINE.sub(" ", text) if "\n" in text else " " * len(text)


def without_comments(text: str, code: bool = True) -> str:
    """The result has the same length, so positions stay valid."""
    return COMMENT.sub(blank, text) if code else text


def words_of(text: str, code: bool = True) -> list[str]:
    return (WORD if code else PLAIN_WORD).findall(without_comments(text, code))


# Sources -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scope:
    """A named thing of a file: its words [begin, end)."""

    file: Source
    kind: str
    name: str
    begin: int
    end: int

    def __str__(self) -> str:
        where = f"{self.file.path}:{self.file.line(self.begin)}"
        return f"{self.name} ({where})" if self.name else self.file.path


@dataclass(eq=False)
class Source:
    """A file as words, each with its place in the text."""

    path: str
    text: str
    code: bool = True
    bare: str = ""  # without comments
    words: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.bare = without_comments(self.text, self.code)
        for match in (WORD if self.code else PLAIN_WORD).finditer(self.bare):
            self.words.append(match[0])
            self.starts.append(match.start())

    @cached_property
    def joined(self) -> str:
        return "\n" + "\n".join(self.words) + "\n"

    @cached_property
    def offsets(self) -> list[int]:
        """Where each word begins in `joined`."""
        offsets, at = [], 1
        for word in self.words:
            offsets.append(at)
            at += len(word) + 1
        return offsets

    @cached_property
    def line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self.text))]

    def end_of(self, word: int) -> int:
        return self.starts[word] + len(self.words[word])

    def line(self, word: int) -> int:
        if not self.starts:
            return 1
        place = self.starts[min(word, len(self.starts) - 1)]
        return bisect.bisect_right(self.line_starts, place)

    def find(self, wanted: Sequence[str], begin: int, end: int) -> list[int]:
        """The words at which `wanted` stands, within [begin, end)."""
        if not wanted or begin >= end:
            return []
        sought = "\n" + "\n".join(wanted) + "\n"
        at = self.offsets[begin] - 1
        limit = self.offsets[end - 1] + len(self.words[end - 1]) + 1
        found = []
        while (at := self.joined.find(sought, at, limit)) >= 0:
            found.append(bisect.bisect_left(self.offsets, at + 1))
            at += 1
        return found

    def whole(self) -> Scope:
        return Scope(self, "file", "", 0, len(self.words))


def directive_end(source: Source, word: int) -> int:
    """The word after a directive that begins at `word`; 0 if none begins there."""
    start = source.starts[word]
    if source.bare[source.bare.rfind("\n", 0, start) + 1 : start].strip():
        return 0
    end = source.bare.find("\n", start)
    return len(source.words) if end < 0 else bisect.bisect_left(source.starts, end)


def strip_attributes(head: list[str]) -> list[str]:
    """The head of a declaration without the attributes at its end."""
    while head and head[-1] == ")":
        opening = matching_parenthesis(head, len(head) - 1)
        if opening < 1 or head[opening - 1] not in ("__attribute__", "__asm__", "_Alignas"):
            break
        head = head[: opening - 1]
    return head


def matching_parenthesis(words: Sequence[str], closing: int) -> int:
    depth = 0
    for at in range(closing, -1, -1):
        if words[at] == ")":
            depth += 1
        elif words[at] == "(":
            depth -= 1
            if depth == 0:
                return at
    return -1


def function_name(head: list[str]) -> str:
    head = strip_attributes(head)
    if not head or head[-1] != ")":
        return ""
    opening = matching_parenthesis(head, len(head) - 1)
    name = head[opening - 1] if opening > 0 else ""
    if name.isupper() and len(head) - opening == 3:
        return head[opening + 1]  # TEST(name)
    return name if IDENTIFIER.match(name) and name not in ("struct", "union", "enum") else ""


def outside_parentheses(words: Iterable[str]) -> list[str]:
    outside, depth = [], 0
    for word in words:
        depth += (word in "([") - (word in ")]")
        if depth == 0 and word not in ")]":
            outside.append(word)
    return outside


def other_names(head: list[str], tail: list[str]) -> Iterator[tuple[str, str]]:
    """Kind and name of each thing but a function that a declaration with braces declares."""
    flat = outside_parentheses(word for word in head if word != "__attribute__")
    if "=" in flat:
        names = [word for word in flat[: flat.index("=")] if IDENTIFIER.match(word)]
        if names:
            yield "variable", names[-1]
        return
    kinds = [word for word in flat if word in ("struct", "union", "enum")]
    if kinds and flat[-1] != kinds[-1] and IDENTIFIER.match(flat[-1]):
        yield kinds[-1], flat[-1]
    names = [w for w in outside_parentheses(tail) if IDENTIFIER.match(w) and w != "__attribute__"]
    if kinds and names:
        yield kinds[-1] if "typedef" in head else "variable", names[-1]


def invocation_end(source: Source, at: int) -> int:
    """The word after a line that is only the use of a macro, such as KIND(name); else 0."""
    words = source.words
    if not words[at].isupper() or words[at + 1 : at + 2] != ["("]:
        return 0
    depth = 0
    for i in range(at + 1, len(words)):
        depth += (words[i] == "(") - (words[i] == ")")
        if depth == 0:
            is_last = i + 1 == len(words) or source.line(i + 1) > source.line(i)
            return i + 1 if is_last and words[i + 1 : i + 2] != ["{"] else 0
    return 0


def scopes_of_c(source: Source) -> Iterator[Scope]:
    words = source.words
    depth, begin, opening, closing = 0, -1, -1, -1
    skipped: set[int] = set()  # words of directives
    branches: list[tuple[int, int, int, int]] = []
    at = 0

    def part(first: int, end: int) -> list[str]:
        return [words[i] for i in range(first, end) if i not in skipped]

    while at < len(words):
        word = words[at]
        after = directive_end(source, at) if word == "#" else 0
        if after:
            what = words[at + 1] if after > at + 1 else ""
            if what == "define" and after > at + 2:
                yield Scope(source, "macro", words[at + 2], at, after)
            elif what.startswith("if"):
                branches.append((depth, begin, opening, closing))
            elif what.startswith("el") and branches:
                depth, begin, opening, closing = branches[-1]
            elif what == "endif" and branches:
                branches.pop()
            if begin >= 0:
                skipped.update(range(at, after))
            at = after
            continue
        if begin < 0:
            if invoked := invocation_end(source, at):
                at = invoked
                continue
            begin, opening, closing = at, -1, -1
        if word == "{":
            if depth == 0 and opening < 0:
                opening = at
            depth += 1
        elif word == "}":
            depth = max(depth - 1, 0)
            if depth == 0:
                closing = at
                name = function_name(part(begin, opening))
                if name:
                    yield Scope(source, "function", name, begin, at + 1)
                    begin = -1
        elif word == ";" and depth == 0:
            if opening >= 0:
                for kind, name in other_names(part(begin, opening), part(closing + 1, at)):
                    yield Scope(source, kind, name, begin, at + 1)
            begin = -1
        at += 1


ASSEMBLY_LABEL = re.compile(r"^([A-Za-z_]\w*):", re.M)
ASSEMBLY_MACRO = re.compile(r"^\s*\.macro\s+(\w+).*?^\s*\.endm", re.M | re.S)


def scopes_of_assembly(source: Source) -> Iterator[Scope]:
    def at(place: int) -> int:
        return bisect.bisect_left(source.starts, place)

    labels = list(ASSEMBLY_LABEL.finditer(source.bare))
    ends = [*(label.start() for label in labels[1:]), len(source.bare)]
    for label, end in zip(labels, ends):
        yield Scope(source, "label", label[1], at(label.start()), at(end))
    for macro in ASSEMBLY_MACRO.finditer(source.bare):
        yield Scope(source, "macro", macro[1], at(macro.start()), at(macro.end()))
    for at_word, word in enumerate(source.words):
        if word == "#" and source.words[at_word + 1 : at_word + 2] == ["define"]:
            after = directive_end(source, at_word)
            if after > at_word + 2:
                yield Scope(source, "macro", source.words[at_word + 2], at_word, after)


def lines_of(scope: Scope) -> list[tuple[Source, int, list[str]]]:
    """The lines of the scope that have words, each with its number."""
    lines: dict[int, list[str]] = {}
    for at in range(scope.begin, scope.end):
        lines.setdefault(scope.file.line(at), []).append(scope.file.words[at])
    return [(scope.file, number, words) for number, words in lines.items()]


class Index:
    """A tree's functions and other named things. Reads each file once."""

    def __init__(self, root: Path, instead: dict[str, str] | None = None) -> None:
        self.root = root
        self.instead = instead or {}
        self.sources: dict[str, Source] = {}
        self.scopes: dict[str, list[Scope]] = {}
        for path in self.searched_files():
            source = self.read(path)
            of = scopes_of_assembly if path.endswith(".S") else scopes_of_c
            for scope in of(source):
                self.scopes.setdefault(scope.name, []).append(scope)

    @cached_property
    def lines(self) -> list[tuple[Source, int, list[str]]]:
        files = self.searched_files()
        return [line for path in files for line in lines_of(self.read(path).whole())]

    def searched_files(self) -> list[str]:
        files = [
            str(path.relative_to(self.root))
            for folder in SEARCHED
            for path in (self.root / folder).rglob("*")
            if path.suffix in SEARCHED_ENDS and path.is_file()
        ]
        return sorted(files)

    def read(self, path: str) -> Source:
        if path not in self.sources:
            try:
                text = self.instead.get(path)
                if text is None:
                    text = (self.root / path).read_text(encoding="utf-8")
            except (OSError, ValueError):
                raise BadMutant(f"File: there is no {path}") from None
            self.sources[path] = Source(path, text, is_code(path))
        return self.sources[path]

    def find_file(self, hint: str) -> Source | None:
        """By its path; if there is no such path, by the last part of it, if that is unique."""
        if hint in self.sources or (self.root / hint).is_file():
            return self.read(hint)
        name = PurePosixPath(hint).name
        found = [path for path in self.searched_files() if PurePosixPath(path).name == name]
        return self.read(found[0]) if len(found) == 1 else None
