# SPDX-License-Identifier: BSD-2-Clause
"""Where statements begin and end in a function."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mutants.source import Scope, directive_end

CONTROL = ("if", "for", "while", "switch")
OPENING, CLOSING = "([", ")]"


def is_block(words: Sequence[str], at: int, scope: Scope) -> bool:
    """Whether the brace at `at` opens statements, and not an initializer."""
    if scope.kind in ("variable", "enum"):
        return False
    before = words[at - 1] if at > scope.begin else ";"
    if before in ("=", ",", "(", "[", "return", "{") and not (before == "{" and at == scope.begin):
        return before == "{"
    if before != ")":
        return True
    depth, i = 0, at - 1
    while i >= scope.begin:
        depth += (words[i] in CLOSING) - (words[i] in OPENING)
        if depth == 0:
            break
        i -= 1
    return i > scope.begin and re.match(r"[A-Za-z_]", words[i - 1]) is not None \
        and words[i - 1] not in ("return", "sizeof")


def statement_bounds(scope: Scope) -> list[int]:
    """Before which words of the scope a statement may begin."""
    source, words = scope.file, scope.file.words
    bounds = {scope.begin, scope.end}
    depth = 0
    braces: list[bool] = []
    header = -1  # the depth at which a control header ends
    at = scope.begin
    while at < scope.end:
        word = words[at]
        after = directive_end(source, at) if word == "#" else 0
        if after and scope.kind != "macro":
            bounds.update((at, min(after, scope.end)))
            at = after
            continue
        if word in OPENING:
            depth += 1
        elif word in CLOSING:
            depth -= 1
            if depth == header:
                header = -1
                bounds.add(at + 1)
        elif word in CONTROL and words[at + 1 : at + 2] == ["("]:
            header = depth
        elif word == "{":
            block = is_block(words, at, scope)
            braces.append(block)
            if block and depth == 0:
                bounds.update((at, at + 1))
            elif not block:
                depth += 1
        elif word == "}":
            if braces and braces.pop() is False:
                depth -= 1
            elif depth == 0:
                bounds.update((at, at + 1))
        elif depth == 0 and (word in (";", "else", "do") or is_label_end(words, at)):
            bounds.add(at + 1)
        at += 1
    return sorted(bounds)


def is_label_end(words: Sequence[str], at: int) -> bool:
    if words[at] != ":":
        return False
    before = words[max(0, at - 3) : at]
    return "case" in before or before[-1:] == ["default"] or before[-2:-1] in (["}"], [";"], ["{"])


def is_balanced(words: Sequence[str]) -> bool:
    depth = 0
    for word in words:
        depth += (word in OPENING) - (word in CLOSING)
        if depth < 0:
            return False
    return depth == 0
