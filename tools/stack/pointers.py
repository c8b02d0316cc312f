# SPDX-License-Identifier: BSD-2-Clause
"""Where a pointer to a function may point, as the sources say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

INTERRUPT_HOOKS = ("trap_on_software", "trap_on_timer")
# Local variables that are one of these.
HOOKS = {"hook": INTERRUPT_HOOKS}


@dataclass(frozen=True)
class Target:
    """A function that a pointer may point to, and the file that says so."""

    name: str
    file: str


INITIALISER = re.compile(r"\bconst struct (\w+) \w+(?:\[\w*\])? = \{(.*?)\n\};", re.S)
SLOT = re.compile(r"\.(\w+) = (\w+)\b")
MEMBER_CALL = re.compile(r"\b(\w+)(?:->|\.)(\w+)\(")
# Structs that are a member of another one, or a pointer of another name.
STRUCT_OF = {"algorithm": "spin_algorithm"}
# What is off unless a boot asks for it: it has a bound for itself, and public calls are measured without.
OPTIONAL = "kheap_debug"
PLAIN_CALL = re.compile(r"(?<![\w>.])(\w+)\(")


def arguments_at(text: str, opening: int) -> list[str]:
    """What is between the parenthesis at `opening` and its partner, split at its own commas."""
    parts = [""]
    depth = 0
    for character in text[opening:]:
        depth += character in "([{"
        depth -= character in ")]}"
        if depth == 0:
            return [" ".join(part.split()) for part in parts]
        if depth == 1 and character == ",":
            parts.append("")
        elif depth > 1 or character != "(":
            parts[-1] += character
    return []


class Pointers:
    """What the sources say of the pointers to functions in them."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    @cached_property
    def slots(self) -> dict[tuple[str, str], list[Target]]:
        """Of each member of each struct what the initialisers of constants name for it."""
        found: dict[tuple[str, str], list[Target]] = {}
        for path, text in self.sources.items():
            for tag, body in INITIALISER.findall(text):
                for slot, name in SLOT.findall(body):
                    if name != "NULL":
                        found.setdefault((tag, slot), []).append(Target(name, path))
        return found

    def policies(self, slot: str) -> list[Target]:
        return self.slots.get(("policy", slot), [])

    def optional(self) -> list[Target]:
        """What calls through a pointer to an OPTIONAL may go to."""
        return [target for (tag, _), found in self.slots.items() if tag == OPTIONAL for target in found]

    def is_optional(self, text: str) -> bool:
        return any(pointer == OPTIONAL for pointer, _ in MEMBER_CALL.findall(text))

    def assigned_to(self, pointer: str) -> list[Target]:
        return [
            Target(name, path)
            for path, text in self.sources.items()
            for name in re.findall(rf"^\s*{pointer} = (\w+);", text, re.M)
            if name != "NULL" and path.endswith(".c")
        ]

    def passed_as(self, path: str, parameter: str) -> list[Target]:
        """What is passed to functions of this file that have a parameter (*parameter)(...)."""
        text = self.sources.get(path, "")
        takers: list[tuple[str, int]] = []
        for match in PLAIN_CALL.finditer(text):
            for position, argument in enumerate(arguments_at(text, match.end() - 1)):
                if re.search(rf"\(\*{parameter}\)\s*\(", argument):
                    takers.append((match[1], position))
        found = []
        for taker, position in dict.fromkeys(takers):
            for other, code in self.sources.items():
                for match in re.finditer(rf"(?<![\w>.]){taker}\(", code):
                    given = arguments_at(code, match.end() - 1)
                    name = given[position].lstrip("&") if len(given) > position else ""
                    # Not a declaration's parameter, nor the pointer itself, handed on.
                    if re.fullmatch(r"\w+", name) and name != parameter:
                        found.append(Target(name, other))
        return found

    def targets(self, path: str, text: str) -> list[Target]:
        """Of the calls through pointers in this source; empty if no such call is known."""
        found: list[Target] = []
        for pointer, slot in MEMBER_CALL.findall(text):
            found += self.slots.get((STRUCT_OF.get(pointer, pointer), slot), [])
        for name in PLAIN_CALL.findall(text):
            for pointer in HOOKS.get(name, (name,)):
                found += self.assigned_to(pointer)
            found += self.passed_as(path, name)
        return list(dict.fromkeys(found))

    def at(self, path: str, line: int) -> tuple[str, list[Target]]:
        """The source of the call at a line, which may go on in the next; and its targets."""
        lines = [part.strip() for part in self.sources.get(path, "").splitlines()]
        for last in (line, line + 1):
            text = " ".join(lines[line - 1 : last])
            if targets := self.targets(path, text):
                return text, targets
        return " ".join(lines[line - 1 : line]), []
