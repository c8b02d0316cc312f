# SPDX-License-Identifier: BSD-2-Clause
"""The C and assembly of the repository, without its comments, and what each file includes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from .report import ROOT, Nothing, run_tool

LAYERS = ("arch", "kernel", "mm", "sync", "tests")
COMMENT_OR_LITERAL = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|//[^\n]*|/\*.*?\*/', re.S
)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*(?:include|include_next|import)\b[ \t]*(.*?)[ \t]*$", re.M)


def without_comments(text: str) -> str:
    """The text with comments blanked, lines kept."""

    def blank(match: re.Match[str]) -> str:
        token = match[0]
        return " " + "\n" * token.count("\n") if token.startswith("/") else token

    return COMMENT_OR_LITERAL.sub(blank, text)


def listed_files(root: Path = ROOT) -> list[str]:
    """What git tracks or would; everything outside build/ where there is no repository."""
    if (root / ".git").exists():
        listing = run_tool(["git", "ls-files", "-co", "--exclude-standard"], folder=root)
        if listing.returncode != 0:
            raise Nothing(f"git ls-files: {listing.stderr.strip()}")
        return listing.stdout.splitlines()
    paths = (path.relative_to(root) for path in root.rglob("*"))
    return [str(path) for path in paths if path.parts[0] != "build"]


@dataclass(frozen=True)
class Include:
    """One include directive; `target` is with its quotes or brackets off."""

    path: str
    line: int
    operand: str

    @property
    def target(self) -> str:
        return self.operand[1:-1]

    @property
    def quoted(self) -> bool:
        return bool(re.fullmatch(r'"[^"]+"', self.operand))

    @property
    def bracketed(self) -> bool:
        return bool(re.fullmatch(r"<[^>]+>", self.operand))

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.operand}"


class Sources:
    """The C and assembly of the layers, comments blanked."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root

    @cached_property
    def text(self) -> dict[str, str]:
        return {
            path: without_comments((self.root / path).read_text())
            for path in sorted(set(listed_files(self.root)))
            if Path(path).suffix in (".c", ".h", ".S")
            and Path(path).parts[0] in LAYERS
            and (self.root / path).is_file()
        }

    @cached_property
    def includes(self) -> dict[str, list[Include]]:
        return {
            path: [
                Include(path, text.count("\n", 0, match.start()) + 1, match[1])
                for match in INCLUDE.finditer(text)
            ]
            for path, text in self.text.items()
        }
