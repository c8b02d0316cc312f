# SPDX-License-Identifier: BSD-2-Clause
"""Edits: a change of the sources that names a function and the words that change in it.

An edit survives a move, a renamed file and any change of the lines around its text. The format is
in tests/mutants/README.md. This module reads and writes edits, finds their text in a tree, and
applies them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath

from mutants.source import (
    IDENTIFIER, SEARCHED, BadMutant, Index, Scope, Source, lines_of, scopes_of_assembly,
    scopes_of_c, words_of,
)

# A mutant that changed the tests would be caught by its own change.
# Rules of tools/make may be mutated: they do not decide whether a mutant is caught.
JUDGES = ("tools/*.py", "tools/*.sh", "tests/host/*", "tests/mutants/*")
NEAREST_NAMES = 3
# Two lines are similar when they have this share of their names in common.
SIMILAR = 0.6


# The format ----------------------------------------------------------------------------------

KINDS = ("function", "struct", "union", "enum", "variable", "macro", "label")
EDIT_KEYS = ("In", "File", "Match")
EDIT_LINE = re.compile(r"(In|File|Match):[ \t]*(.*)$")
NOT_A_ROW = 'is neither In, File nor Match, nor does it begin with " ", "-" or "+"'


@dataclass(frozen=True)
class Edit:
    """One change. The mark of a row: " " the text stays, "-" it is removed, "+" it is added."""

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
    """A blank line separates edits. An edit without `In:` has that of the edit before it."""
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


def format_edits(edits: Sequence[Edit]) -> str:
    blocks = []
    where: tuple[str, str] = ("", "")
    for edit in edits:
        lines = []
        if (edit.where, edit.file) != where:
            where = edit.where, edit.file
            lines.append(f"In: {edit.where}")
            if edit.file:
                lines.append(f"File: {edit.file}")
        if edit.of > 1:
            lines.append(f"Match: {edit.number} of {edit.of}")
        for mark, text in edit.rows:
            lines.append(f"{mark}\t{text}".rstrip() if text.strip() else mark)
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


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
    """The scopes in which the text of an edit is searched."""
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
        # `File:` can name a file outside the searched folders.
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
        found = hinted or found  # only a hint: the file may have been renamed
    if of_file:
        return [source.whole() for source in dict.fromkeys(s.file for s in found)]
    return found


def clipped_row(text: str) -> str:
    return " ".join(text.split())


def nearest_line(lines: Iterable[tuple[Source, int, list[str]]], wanted: Sequence[str],
                 share_min: float = 0) -> str:
    """The line that has most of the words in order, and few other words."""
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
    """The other functions that have all of the text."""
    found = []
    for scopes in index.scopes.values():
        for scope in scopes:
            if scope.kind != "macro" and scope.file.find(wanted, scope.begin, scope.end):
                found.append(scope)
    if not found or len(found) > NEAREST_NAMES:
        return ""
    return f"; it stands in {', '.join(map(str, found))}"


def anywhere(index: Index, edit: Edit) -> str:
    """Where the tree has the text now, or a line that is similar to its longest line."""
    text = [text for _, text in edit.old()]
    found = elsewhere(index, [word for row in text for word in words_of(row)])
    longest = max(text, key=len)
    near = "" if found else nearest_line(index.lines, words_of(longest), SIMILAR)
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
    """The only place that the edit means: a file, and the first word of the old text."""
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
    """Without the indentation that all lines have in common."""
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
        # A comment that goes on below belongs to the next line.
        closed = rest.count("/*") == rest.count("*/")
        bare = source.bare[end : self.end]
        self.is_last = not bare.strip().strip("\\") and closed
        self.indent = re.match(r"[ \t]*", text[self.begin : self.end])[0]  # type: ignore[index]


def laid_out(lines: Sequence[str], indent: str, continued: bool) -> str:
    rows = [line if line.startswith("#") or not line else indent + line for line in lines]
    return (" \\\n" if continued else "\n").join(rows)


def replacement(source: Source, begin: int, end: int, added: Sequence[str]) -> Change:
    """Replaces the characters [begin, end), which are whole words."""
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
    """Inserts after the word `before`; if there is none, before the word `after`."""
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
    """The changed files with their new text. The exception lists every edit that does not fit."""
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
            raise BadMutant(f"{path} belongs to the tests")
        source = index.read(path)
        result[path] = changed_text(source, of_file)
        if words_of(result[path], source.code) == source.words:
            raise BadMutant(f"{path}: it changes nothing")
    return result
