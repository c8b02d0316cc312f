# SPDX-License-Identifier: BSD-2-Clause
"""Mutants as text: where a bug is put is a function and the words that stand in it.

Whitespace, comments and line breaks do not count, nor does the file that the function is in, so a
mutant survives a move, a renamed file and any change of its neighbourhood. The format is in
tests/mutants/README.md. This module reads it, finds functions in a tree, finds the words in them,
and puts others there. mutants.py runs mutants; mutant_convert.py makes them out of a diff.
"""

from __future__ import annotations

import bisect
import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path, PurePosixPath

# Where a function is looked for. A file elsewhere can be named by `File:`.
SEARCHED = ("arch", "kernel", "mm", "sync", "tests/smp")
SEARCHED_ENDS = (".c", ".h", ".S")
# A mutant that changes the judges would be its own catch.
JUDGES = ("tools/*.py", "tools/*.sh", "tests/host/*", "tests/mutants/*")
NEAREST_NAMES = 3
# As much of a line's names makes another one nearly that line.
NEARLY = 0.6


class BadMutant(Exception):
    """A mutant that shows nothing, whatever the nets say."""


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
    """Of the same length, so that positions stay."""
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
    """The word after a directive that begins at `word`; 0 where none begins there."""
    start = source.starts[word]
    if source.bare[source.bare.rfind("\n", 0, start) + 1 : start].strip():
        return 0
    end = source.bare.find("\n", start)
    return len(source.words) if end < 0 else bisect.bisect_left(source.starts, end)


def strip_attributes(head: list[str]) -> list[str]:
    """Without attributes at its end."""
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
    """Kind and name of what a declaration with braces declares besides functions."""
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
    """The word after a line that is all one macro's use, such as KIND(name); 0 where none is."""
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
        """By its path, or where the tree has been moved about, by its name."""
        if hint in self.sources or (self.root / hint).is_file():
            return self.read(hint)
        name = PurePosixPath(hint).name
        found = [path for path in self.searched_files() if PurePosixPath(path).name == name]
        return self.read(found[0]) if len(found) == 1 else None


# The format ----------------------------------------------------------------------------------

KINDS = ("function", "struct", "union", "enum", "variable", "macro", "label")
EDIT_KEYS = ("In", "File", "Match")
EDIT_LINE = re.compile(r"(In|File|Match):[ \t]*(.*)$")
NOT_A_ROW = 'is neither In, File nor Match, nor does it begin with " ", "-" or "+"'


@dataclass(frozen=True)
class Edit:
    """One change: rows are " " what stays, "-" what goes, "+" what comes."""

    where: str
    file: str
    number: int
    of: int
    rows: tuple[tuple[str, str], ...]

    def old(self) -> list[tuple[str, str]]:
        return [row for row in self.rows if row[0] != "+"]


def parse_match(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+) of (\d+)", text)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise BadMutant(f"Match: {text}: it is k of n")
    return int(match[1]), int(match[2])


def parse_edits(text: str) -> tuple[Edit, ...]:
    """Edits, a blank line between two. What an edit does not say is as in the one before."""
    edits: list[Edit] = []
    where = file = ""
    for block in re.split(r"\n(?:[ \t]*\n)+", text.strip("\n")):
        number, of = 1, 1
        rows: list[tuple[str, str]] = []
        named = False
        for line in block.splitlines():
            match = EDIT_LINE.match(line)
            if match and not rows:
                if match[1] == "In":
                    where, file, named = match[2].strip(), "", True
                elif match[1] == "File":
                    if not named:
                        raise BadMutant("File: it stands below In")
                    file = match[2].strip()
                else:
                    number, of = parse_match(match[2].strip())
            elif line[:1] in ("-", "+", " ", "\t"):
                mark = " " if line[0] == "\t" else line[0]
                rows.append((mark, line[1:]))
            elif line.strip():
                raise BadMutant(f'edit: "{line}" {NOT_A_ROW}')
        if not rows:
            if block.strip():
                raise BadMutant("edit: it changes nothing")
            continue
        edits.append(Edit(where, file, number, of, tuple(rows)))
    if not edits:
        raise BadMutant("edit: it changes nothing")
    for edit in edits:
        check_edit(edit)
    return tuple(edits)


def check_edit(edit: Edit) -> None:
    if not edit.where:
        raise BadMutant("edit: it does not say In what")
    if all(mark == " " for mark, _ in edit.rows):
        raise BadMutant(f"In: {edit.where}: it changes nothing")
    if not any(text.strip() for _, text in edit.old()):
        raise BadMutant(f"In: {edit.where}: an insertion needs what stands before or after it")
    if edit.file.startswith("/") or ".." in PurePosixPath(edit.file).parts:
        raise BadMutant(f"File: {edit.file} is outside the tree")


# Finding -------------------------------------------------------------------------------------


def near_names(index: Index, name: str) -> str:
    names = difflib.get_close_matches(name, index.scopes, NEAREST_NAMES, 0.7)
    return f"; names like it: {', '.join(str(index.scopes[n][0]) for n in names)}" if names else ""


def named(index: Index, name: str, kinds: Sequence[str]) -> list[Scope]:
    found = [s for s in index.scopes.get(name, []) if s.kind in kinds]
    if not found:
        kind = kinds[0] if len(kinds) == 1 else "function"
        raise BadMutant(f"there is no {kind} {name}{near_names(index, name)}")
    return found


def candidates(index: Index, edit: Edit) -> list[Scope]:
    """Where an edit looks for its text."""
    if edit.where == "file":
        source = index.find_file(edit.file)
        if not source:
            raise BadMutant(f"there is no {edit.file or 'File'}")
        return [source.whole()]
    of_file = edit.where.startswith("file of ")
    rest = edit.where.removeprefix("file of ")
    kind, _, name = rest.rpartition(" ")
    if kind and kind not in KINDS:
        raise BadMutant(f'"{kind}" is none of {", ".join(KINDS)}')
    try:
        found = named(index, name, (kind,) if kind else KINDS)
    except BadMutant:
        # In a file outside the searched folders it can stand as well, if that is named.
        source = index.find_file(edit.file) if edit.file else None
        if source is None or source.path.startswith(tuple(f"{f}/" for f in SEARCHED)):
            raise
        of = scopes_of_assembly if source.path.endswith(".S") else scopes_of_c
        found = [s for s in of(source) if s.name == name and kind in ("", s.kind)]
        if not found:
            raise
    if edit.file:
        hinted = [s for s in found if s.file.path == edit.file]
        base = PurePosixPath(edit.file).name
        hinted = hinted or [s for s in found if PurePosixPath(s.file.path).name == base]
        found = hinted or found  # a hint; that file may have another name by now
    if of_file:
        return [source.whole() for source in dict.fromkeys(s.file for s in found)]
    return found


def clipped_row(text: str) -> str:
    return " ".join(text.split())


def lines_of(scope: Scope) -> list[tuple[Source, int, list[str]]]:
    """Its lines that have words, each with its number."""
    lines: dict[int, list[str]] = {}
    for at in range(scope.begin, scope.end):
        lines.setdefault(scope.file.line(at), []).append(scope.file.words[at])
    return [(scope.file, number, words) for number, words in lines.items()]


def nearest_line(lines: Iterable[tuple[Source, int, list[str]]], wanted: Sequence[str],
                 share_min: float = 0) -> str:
    """The line with most of the words in order; of those the one with the fewest others."""
    best, best_score = "", 0.0
    names = {word for word in wanted if IDENTIFIER.match(word)}
    sought = names if share_min else set(wanted)
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(list(wanted))
    for source, number, words in lines:
        common = len(sought.intersection(words))
        if common < max(1, share_min * len(sought), 2 * bool(share_min)):
            continue
        matcher.set_seq1(words)
        same = sum(block.size for block in matcher.get_matching_blocks())
        score = same / len(wanted) + same / (len(wanted) + len(words))
        if score > best_score:
            text = clipped_row(source.text[source.line_starts[number - 1]:].split("\n", 1)[0])
            best, best_score = f"{source.path}:{number}: {text}", score
    return best


def elsewhere(index: Index, wanted: Sequence[str]) -> str:
    """The other functions in which all of the text stands."""
    found = []
    for scopes in index.scopes.values():
        for scope in scopes:
            if scope.kind != "macro" and scope.file.find(wanted, scope.begin, scope.end):
                found.append(scope)
    if not found or len(found) > NEAREST_NAMES:
        return ""
    return f"; it stands in {', '.join(map(str, found))}"


def anywhere(index: Index, edit: Edit) -> str:
    """Where in the tree the text stands now, or one of its lines that changes nearly does."""
    text = [text for _, text in edit.old()]
    found = elsewhere(index, [word for row in text for word in words_of(row)])
    longest = max(text, key=len)
    near = "" if found else nearest_line(index.lines, words_of(longest), NEARLY)
    return f'{found}; nearest to "{clipped_row(longest)}": {near}' if near else found


def not_found(index: Index, edit: Edit, scopes: Sequence[Scope], code: bool) -> str:
    wanted = [word for _, text in edit.old() for word in words_of(text, code)]
    rows = [(text, words_of(text, code)) for _, text in edit.old()]
    place = ", ".join(map(str, scopes))
    for text, words in rows:
        if words and not any(s.file.find(words, s.begin, s.end) for s in scopes):
            near = nearest_line((line for s in scopes for line in lines_of(s)), words)
            near = f"; nearest: {near}" if near else ""
            return f'{place}: no "{clipped_row(text)}"{near}{elsewhere(index, wanted)}'
    lines = " / ".join(clipped_row(text) for text, words in rows if words)
    return f'{place}: no "{lines}": each line is there, but not one after the other'


def locate(index: Index, edit: Edit) -> tuple[Source, int]:
    """The one place that the edit means: a file, and the first word of the old text."""
    try:
        scopes = candidates(index, edit)
    except BadMutant as error:
        raise BadMutant(f"In: {edit.where}: {error}{anywhere(index, edit)}") from None
    code = scopes[0].file.code
    wanted = [word for _, text in edit.old() for word in words_of(text, code)]
    if not wanted:
        raise BadMutant(f"In: {edit.where}: what it replaces is only comment")
    found = [(s.file, at) for s in scopes for at in s.file.find(wanted, s.begin, s.end)]
    found = list(dict.fromkeys(found))
    if not found:
        raise BadMutant(f"In: {edit.where}: {not_found(index, edit, scopes, code)}")
    if len(found) != edit.of:
        places = ", ".join(f"{source.path}:{source.line(at)}" for source, at in found)
        text = " / ".join(clipped_row(text) for _, text in edit.old() if text.strip())
        want = f"Match: {edit.number} of {edit.of}" if edit.of > 1 else "to be found once"
        raise BadMutant(f'In: {edit.where}: "{text}" stands there {len(found)} times, '
                        f"{want}: {places}")
    return found[edit.number - 1]


# Changing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """Characters [begin, end) of a file become `text`."""

    begin: int
    end: int
    text: str


def dedented(lines: Sequence[str]) -> list[str]:
    """Without the whitespace that all have in front."""
    indents = [re.match(r"\s*", line)[0] for line in lines if line.strip()]  # type: ignore[index]
    common = indents[0] if indents else ""
    for indent in indents[1:]:
        while not indent.startswith(common):
            common = common[:-1]
    return [line[len(common):].rstrip() for line in lines]


class Line:
    """The line of a text about [begin, end)."""

    def __init__(self, source: Source, begin: int, end: int) -> None:
        text = source.text
        self.begin = text.rfind("\n", 0, begin) + 1
        newline = text.find("\n", end)
        self.end = len(text) if newline < 0 else newline
        before = source.bare[self.begin : begin]
        self.is_first = not before.strip()
        rest = text[end : self.end]
        self.is_continued = text[: self.end].endswith("\\")
        # A comment that goes on below is the next line's.
        closed = rest.count("/*") == rest.count("*/")
        bare = source.bare[end : self.end]
        self.is_last = not bare.strip().strip("\\") and closed
        self.indent = re.match(r"[ \t]*", text[self.begin : self.end])[0]  # type: ignore[index]


def laid_out(lines: Sequence[str], indent: str, continued: bool) -> str:
    rows = [line if line.startswith("#") or not line else indent + line for line in lines]
    return (" \\\n" if continued else "\n").join(rows)


def replacement(source: Source, begin: int, end: int, added: Sequence[str]) -> Change:
    """For the words of the characters [begin, end)."""
    line = Line(source, begin, end)
    lines = dedented(added)
    if not lines:
        if line.is_first and line.is_last:
            return Change(line.begin, min(line.end + 1, len(source.text)), "")
        if not line.is_first and source.text[begin - 1] in " \t" and end < line.end:
            end += source.text[end] == " "
        return Change(begin, end, "")
    if line.is_first:
        text = laid_out(lines, line.indent, line.is_continued)
        begin = line.begin
    else:
        text = laid_out(lines, line.indent + "\t", line.is_continued).lstrip()
    if lines[-1].startswith("#") and not line.is_last:
        text += "\n"
    return Change(begin, end, text)


def insertion(source: Source, before: int | None, after: int | None,
              added: Sequence[str]) -> Change:
    """Behind the word `before`, or where there is none, in front of the word `after`."""
    lines = dedented(added)
    if before is not None:
        end = source.end_of(before)
        line = Line(source, source.starts[before], end)
        indent = line.indent + ("\t" if source.words[before] == "{" else "")
        if not line.is_last:
            return Change(end, end, " " + laid_out(lines, indent, line.is_continued).lstrip()
                          if len(lines) == 1 and not lines[0].startswith("#")
                          else "\n" + laid_out(lines, indent, line.is_continued) + "\n" + indent)
        text = laid_out(lines, indent, line.is_continued)
        if line.is_continued:
            return Change(line.end - 1, line.end, "\\\n" + text + " \\")
        return Change(line.end, line.end, "\n" + text)
    assert after is not None
    start = source.starts[after]
    line = Line(source, start, start)
    if not line.is_first:
        return Change(start, start, laid_out(lines, line.indent, False).lstrip() + " ")
    text = laid_out(lines, line.indent, line.is_continued)
    return Change(line.begin, line.begin, text + (" \\\n" if line.is_continued else "\n"))


def changes_of(source: Source, first: int, edit: Edit) -> Iterator[Change]:
    at = first
    last_kept: int | None = None
    begin: int | None = None
    added: list[str] = []

    def flush(next_kept: int | None) -> Iterator[Change]:
        nonlocal begin, added
        if begin is not None:
            yield replacement(source, source.starts[begin], source.end_of(at - 1), added)
        elif added:
            yield insertion(source, last_kept, next_kept, added)
        begin, added = None, []

    for mark, text in edit.rows:
        if mark == "+":
            added.append(text)
            continue
        count = len(words_of(text, source.code))
        if not count:
            continue
        if mark == " ":
            yield from flush(at)
            at += count
            last_kept = at - 1
        else:
            begin = at if begin is None else begin
            at += count
    yield from flush(None)


def changed_text(source: Source, changes: Sequence[Change]) -> str:
    text, last = source.text, len(source.text) + 1
    ordered = sorted(enumerate(changes), key=lambda pair: (pair[1].begin, pair[1].end, pair[0]))
    for _, change in reversed(ordered):
        if change.end > last:
            raise BadMutant(f"{source.path}: two edits overlap")
        text = text[: change.begin] + change.text + text[change.end :]
        last = change.begin
    return text


def apply_edits(index: Index, edits: Sequence[Edit]) -> dict[str, str]:
    """The files that the edits change, as they are then. Says all that does not fit."""
    changes: dict[str, list[Change]] = {}
    problems = []
    for edit in edits:
        try:
            source, first = locate(index, edit)
            changes.setdefault(source.path, []).extend(changes_of(source, first, edit))
        except BadMutant as error:
            problems.append(str(error))
    if problems:
        raise BadMutant("\n".join(dict.fromkeys(problems)))
    result = {}
    for path, of_file in changes.items():
        if any(fnmatch(path, judge) for judge in JUDGES):
            raise BadMutant(f"{path} belongs to the nets")
        source = index.read(path)
        result[path] = changed_text(source, of_file)
        if words_of(result[path], source.code) == source.words:
            raise BadMutant(f"{path}: it changes nothing")
    return result
