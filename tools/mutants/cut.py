# SPDX-License-Identifier: BSD-2-Clause
"""Makes edits out of the difference between two versions of the sources.

The words that changed are widened to the statement around them, or in a long statement to a part of
it, until the text is unique in its function. The edits are then applied again, and must give the
same words as the change.
"""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mutants.edits import (
    KINDS, Edit, apply_edits, dedented, format_edits, parse_edits,
)
from mutants.source import BadMutant, Index, Scope, Source, is_code, without_comments, words_of
from mutants.statements import CLOSING, OPENING, is_balanced, statement_bounds

# Longer text is reduced to the part that changed.
TEXT_MAX = 90
# Between the operands of an expression.
OPERAND_ENDS = {",", ";", "{", "}", "&&", "||", "?", ":", "=", "+=", "-=", "|=", "&=", "return"}


@dataclass
class Window:
    """Words [begin, end) of the old text, and those [new_begin, new_end) that they become."""

    begin: int
    end: int
    new_begin: int
    new_end: int

    @property
    def is_insertion(self) -> bool:
        return self.begin == self.end


# What changed --------------------------------------------------------------------------------


def words_between(source: Source, first_line: int, end_line: int) -> tuple[int, int]:
    starts = [*source.line_starts, len(source.text) + 1]
    return (bisect.bisect_left(source.starts, starts[first_line]),
            bisect.bisect_left(source.starts, starts[min(end_line, len(starts) - 1)]))


def windows_of(old: Source, new: Source) -> list[Window]:
    """The difference by lines; in replaced lines, by words."""
    windows = []
    matcher = difflib.SequenceMatcher(None, old.text.split("\n"), new.text.split("\n"), False)
    for what, old_first, old_end, new_first, new_end in matcher.get_opcodes():
        if what == "equal":
            continue
        begin, end = words_between(old, old_first, old_end)
        other_begin, other_end = words_between(new, new_first, new_end)
        if old.words[begin:end] == new.words[other_begin:other_end]:
            continue
        if what == "replace" and begin < end and other_begin < other_end:
            while (begin < end and other_begin < other_end
                   and old.words[begin] == new.words[other_begin]):
                begin, other_begin = begin + 1, other_begin + 1
            while (begin < end and other_begin < other_end
                   and old.words[end - 1] == new.words[other_end - 1]):
                end, other_end = end - 1, other_end - 1
        windows.append(Window(begin, end, other_begin, other_end))
    return windows


# Bounds of statements and lines ---------------------------------------------------------------


def line_bounds(scope: Scope) -> list[int]:
    source = scope.file
    bounds = {scope.begin, scope.end}
    for at in range(scope.begin + 1, scope.end):
        if source.line(at) != source.line(at - 1):
            bounds.add(at)
    return sorted(bounds)


def bounds_of(scope: Scope) -> list[int]:
    path = scope.file.path
    by_line = (scope.kind in ("file", "label", "variable", "enum") or path.endswith(".S")
               or not is_code(path))
    return line_bounds(scope) if by_line else statement_bounds(scope)


def before(bounds: Sequence[int], at: int) -> int:
    """The last bound below `at`."""
    return bounds[max(0, bisect.bisect_left(bounds, at) - 1)]


def after(bounds: Sequence[int], at: int) -> int:
    """The first bound above `at`."""
    return bounds[min(len(bounds) - 1, bisect.bisect_right(bounds, at))]


def widened(bounds: Sequence[int], begin: int, end: int) -> tuple[int, int]:
    start = begin if begin in bounds else before(bounds, begin)
    stop = end if end in bounds and end > start else after(bounds, end)
    return start, stop


def is_trivial(words: Sequence[str]) -> bool:
    return all(word in ("{", "}", "else", "do", ";", ":") for word in words)


# The least text that stands once -------------------------------------------------------------


def operands(source: Source, begin: int, end: int, low: int,
             high: int) -> Iterator[tuple[int, int]]:
    """Parts of an expression around [begin, end), each larger than the last, within [low, high)."""
    words = source.words
    while True:
        left, depth = begin, 0
        while left > low:
            word = words[left - 1]
            if depth == 0 and (word in OPERAND_ENDS or word in OPENING):
                break
            depth += (word in CLOSING) - (word in OPENING)
            left -= 1
        right, depth = end, 0
        while right < high:
            word = words[right]
            if depth == 0 and (word in OPERAND_ENDS or word in CLOSING):
                break
            depth += (word in OPENING) - (word in CLOSING)
            right += 1
        yield left, right
        if left <= low and right >= high:
            return
        # Continue beyond the word that ended the operand.
        begin, end = max(low, left - 1), min(high, right + 1)


class Cutter:
    """Finds the text for the edits of one scope."""

    def __init__(self, index: Index, scope: Scope, new: Source, windows: list[Window]) -> None:
        self.index, self.scope, self.new = index, scope, new
        self.source = scope.file
        self.windows = windows
        self.bounds = bounds_of(scope)

    def is_unique(self, begin: int, end: int) -> bool:
        words = self.source.words[begin:end]
        return len(self.source.find(words, self.scope.begin, self.scope.end)) == 1

    def length(self, begin: int, end: int) -> int:
        text = self.source.bare[self.source.starts[begin] : self.source.end_of(end - 1)]
        return len(" ".join(text.split()))

    def one_of(self, found: Sequence[tuple[int, int]]) -> tuple[int, int] | None:
        """The shortest unique part, preferably with no brace at its ends."""
        unique = [part for part in found if self.is_unique(*part)]
        words = self.source.words
        return min(unique, default=None, key=lambda part: (
            words[part[0]] in ("{", "}") or words[part[1] - 1] in ("{", "}"), self.length(*part)))

    def neighbours(self, begin: int, end: int) -> list[tuple[int, int]]:
        """The part with statements before it, after it, and on both sides, nearest first.

        Statements that are only braces or labels are skipped.
        """
        words = self.source.words
        starts, ends = [begin], [end]
        at = begin
        while at > self.scope.begin and len(starts) < 3:
            at, old = before(self.bounds, at), at
            if not is_trivial(words[at:old]):
                starts.append(at)
        at = end
        while at < self.scope.end and len(ends) < 3:
            old, at = at, after(self.bounds, at)
            if not is_trivial(words[old:at]):
                ends.append(at)
        pairs = [(first, last) for first in range(len(starts)) for last in range(len(ends))]
        pairs = sorted(pairs[1:], key=lambda pair: (max(pair), sum(pair)))
        return [(starts[first], ends[last]) for first, last in pairs]

    def part(self, window: Window) -> tuple[int, int]:
        begin, end = window.begin, window.end
        if window.is_insertion and begin in self.bounds:
            around = self.neighbours(begin, end)
            beside = [part for part in around if begin in part]
            return self.one_of(beside[:2]) or self.one_of(around) or around[0]
        begin, end = widened(self.bounds, begin, end)
        if self.length(begin, end) <= TEXT_MAX or self.has_bounds(window):
            if self.is_unique(begin, end):
                return begin, end
            return self.one_of(self.neighbours(begin, end)) or (begin, end)
        smaller = [
            part for part in operands(self.source, window.begin, window.end, begin, end)
            if part[0] < part[1] and self.length(*part) <= TEXT_MAX
            and is_balanced(self.source.words[part[0] : part[1]]) and self.is_unique(*part)
        ]
        if smaller:
            return smaller[-1]
        lines = widened(line_bounds(self.scope), window.begin, window.end)
        for part in ((max(begin, lines[0]), min(end, lines[1])), (begin, end)):
            if self.is_unique(*part):
                return part
        return self.one_of(self.neighbours(begin, end)) or (begin, end)

    def has_bounds(self, window: Window) -> bool:
        """Whether the window contains the end of a statement."""
        at = bisect.bisect_right(self.bounds, window.begin)
        return window.end >= self.bounds[min(at, len(self.bounds) - 1)]

    def edits(self) -> Iterator[Edit]:
        rest = list(self.windows)
        while rest:
            window = rest.pop(0)
            begin, end = self.part(window)
            # A window that this part overlaps is merged into it.
            while rest and (rest[0].begin < end or rest[0].begin == window.end):
                window = Window(window.begin, rest[0].end, window.new_begin, rest[0].new_end)
                rest.pop(0)
                begin, end = self.part(window)
            new_begin = window.new_begin - (window.begin - begin)
            new_end = window.new_end + (end - window.end)
            yield self.edit(begin, end, new_begin, new_end)

    def edit(self, begin: int, end: int, new_begin: int, new_end: int) -> Edit:
        words = self.source.words[begin:end]
        name = self.scope_name()
        scopes = [self.scope]
        if self.scope.kind != "file":
            scopes = [s for s in self.index.scopes[self.scope.name]
                      if s.file is self.source and s.kind == self.scope.kind]
        found = sorted({at for s in scopes for at in self.source.find(words, s.begin, s.end)})
        file = self.source.path if self.needs_file() else ""
        old, new = text_of(self.source, begin, end), text_of(self.new, new_begin, new_end)
        rows = tuple(rows_of(old, new, self.source.code))
        return Edit(name, file, found.index(begin) + 1, len(found), rows)

    def scope_name(self) -> str:
        scope = self.scope
        if scope.kind == "function":
            return scope.name
        if scope.kind != "file":
            return f"{scope.kind} {scope.name}"
        owner = owner_of(self.index, self.source)
        return f"file of {owner}" if owner else "file"

    def needs_file(self) -> bool:
        if self.scope.kind == "file":
            return not owner_of(self.index, self.source)
        return len({s.file.path for s in self.index.scopes[self.scope.name]
                    if s.kind == self.scope.kind}) > 1


def owner_of(index: Index, source: Source) -> str:
    """The name of a thing that only this file defines."""
    alone = [s[0] for s in index.scopes.values() if len(s) == 1 and s[0].file is source]
    for kinds in (("function", "label"), ("struct", "variable"), KINDS):
        for scope in alone:
            if scope.kind in kinds:
                return scope.name if scope.kind == "function" else f"{scope.kind} {scope.name}"
    return ""


def text_of(source: Source, begin: int, end: int) -> list[str]:
    """The lines of the words [begin, end), without comments and without common indentation."""
    if begin >= end:
        return []
    start, stop = source.starts[begin], source.end_of(end - 1)
    line_start = source.text.rfind("\n", 0, start) + 1
    if not source.bare[line_start:start].strip():
        start = line_start
    # A line that has only a comment is dropped.
    text = source.bare[start:stop]
    original = source.text[start:stop]
    lines, at = [], 0
    for line in original.split("\n"):
        bare = text[at : at + len(line)]
        at += len(line) + 1
        if bare.strip():
            lines.append(bare.rstrip())
    return tidied(lines)


def tidied(lines: list[str]) -> list[str]:
    """The first line may begin in the middle of a line; then only the others are indented."""
    if len(lines) > 1 and lines[0][:1] not in (" ", "\t"):
        return [lines[0], *("\t" + line for line in dedented(lines[1:]))] \
            if all(line[:1] in (" ", "\t") for line in lines[1:]) else lines
    return dedented(lines)


def rows_of(old: list[str], new: list[str], code: bool) -> Iterator[tuple[str, str]]:
    old_words = [words_of(line, code) for line in old]
    new_words = [words_of(line, code) for line in new]
    matcher = difflib.SequenceMatcher(None, ["\n".join(w) for w in old_words],
                                      ["\n".join(w) for w in new_words], False)
    for what, old_first, old_end, new_first, new_end in matcher.get_opcodes():
        if what == "equal":
            yield from ((" ", line) for line in old[old_first:old_end])
        else:
            yield from (("-", line) for line in old[old_first:old_end])
            yield from (("+", line) for line in new[new_first:new_end])


# All of a change -----------------------------------------------------------------------------


def scope_about(index: Index, source: Source, window: Window) -> Scope:
    """The smallest scope that has all of the window."""
    best = source.whole()
    for scopes in index.scopes.values():
        for scope in scopes:
            if scope.file is not source or scope.end - scope.begin >= best.end - best.begin:
                continue
            inside = scope.begin <= window.begin and window.end <= scope.end
            # An insertion between two functions belongs to the second.
            if inside and not (window.is_insertion and window.begin == scope.end):
                best = scope
    return best


def edits_of(index: Index, changed: dict[str, str]) -> list[Edit]:
    """The edits that turn the tree of the index into one with the changed files."""
    edits: list[Edit] = []
    for path, text in sorted(changed.items()):
        old = index.read(path)
        new = Source(path, text, old.code)
        by_scope: dict[Scope, list[Window]] = {}
        for window in windows_of(old, new):
            by_scope.setdefault(scope_about(index, old, window), []).append(window)
        for scope, windows in by_scope.items():
            edits.extend(Cutter(index, scope, new, windows).edits())
    if not edits:
        raise BadMutant("only whitespace or comments change")
    check_same(index, edits, changed)
    return edits


def shape_of(text: str, code: bool, by_line: bool) -> list[str]:
    """The words, and the line ends that have a meaning (directives, assembly)."""
    shape = []
    for line in without_comments(text, code).split("\n"):
        words = words_of(line, code)
        shape += words
        if words and (by_line or words[0] == "#"):
            shape.append("\n")
    return shape


def check_same(index: Index, edits: Sequence[Edit], changed: dict[str, str]) -> None:
    """The edits, written, read and applied, must give the words of the change."""
    result = apply_edits(index, parse_edits(format_edits(edits)))
    for path, text in changed.items():
        old = index.read(path)
        by_line = not path.endswith((".c", ".h", ".ld"))
        wanted = shape_of(text, old.code, by_line)
        got = shape_of(result.get(path, old.text), old.code, by_line)
        if wanted != got:
            at = next((i for i, pair in enumerate(zip(wanted, got)) if pair[0] != pair[1]),
                      min(len(wanted), len(got)))
            raise BadMutant(f"{path}: the mutant would differ from the change: "
                            f"{' '.join(got[max(0, at - 5) : at + 5])}, wanted "
                            f"{' '.join(wanted[max(0, at - 5) : at + 5])}")
    if more := set(result) - set(changed):
        raise BadMutant(f"the mutant would change {', '.join(sorted(more))} as well")
