# SPDX-License-Identifier: BSD-2-Clause
"""The fences that are written in the sources of the product: Concurrency Kit's, arch/riscv/fence.h's, and
the instructions FENCE, FENCE.I, SFENCE.VMA and atomics with .aq or .rl.

A fence is named by its file, its function, what it is, and its number among the same of the function: such
a name stays when lines move.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("mm", "sync", "kernel", "arch")
# They define what the names below mean. `make lint` finds in the machine code what they order.
DEFINITIONS = ("sync/ck.h", "arch/riscv/fence.h")

CALL = re.compile(r"\b((?:ck_pr|arch)_fence_\w+)\s*\(")
WRITTEN = re.compile(r"\b(fence(?:\.\w+)?(?:\s+[iorw]+,\s*[iorw]+)?|sfence\.vma|"
                     r"(?:amo\w+|lr|sc)\.[wd]\.(?:aqrl|aq|rl))(?![\w.])")
ASSEMBLY = re.compile(r'__asm__[^"]*"([^"]*)"')
# Of a definition the name stands at the start of a line, behind its type.
FUNCTION = re.compile(r"^(?!#|typedef|return|else|_Static_assert)[A-Za-z_][\w\s*]*?\b(\w+)\s*\([^;]*$")
ATTRIBUTE = re.compile(r"__attribute__\(\(.*?\)\)\s*")
LABEL = re.compile(r"^(\w+):|^\t\.macro\s+(\w+)")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """One fence, as it is written."""

    file: str
    function: str
    what: str
    number: int
    line: int

    def name(self) -> str:
        return f"{self.file} {self.function} {self.what} {self.number}"


def without_comments(text: str) -> str:
    """The lines keep their numbers."""
    return COMMENT.sub(lambda found: "\n" * found[0].count("\n"), text)


def found_in(line: str, is_assembly: bool) -> list[str]:
    if is_assembly:
        return [re.sub(r"\s+", " ", found) for found in WRITTEN.findall(line)]
    calls = CALL.findall(line)
    for text in ASSEMBLY.findall(line):
        calls += [re.sub(r"\s+", " ", found) for found in WRITTEN.findall(text)]
    return calls


def function_at(line: str, before: str, is_assembly: bool) -> str:
    if is_assembly:
        label = LABEL.match(line)
        return (label[1] or label[2]) if label and not (label[1] or "").isdigit() else before
    plain = ATTRIBUTE.sub("", line)
    found = FUNCTION.match(plain)
    return found[1] if found else before


def scan_text(file: str, text: str) -> list[Place]:
    is_assembly = file.endswith(".S")
    count: Counter[tuple[str, str]] = Counter()
    places, function = [], ""
    for number, line in enumerate(without_comments(text).splitlines(), 1):
        function = function_at(line, function, is_assembly)
        if line.startswith("#"):
            continue
        for what in found_in(line, is_assembly):
            count[function, what] += 1
            places.append(Place(file, function, what, count[function, what], number))
    return places


def sources() -> Iterable[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.[chS]")):
            if str(path.relative_to(ROOT)) not in DEFINITIONS:
                yield path


def scan() -> list[Place]:
    return [place for path in sources()
            for place in scan_text(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))]


# What a fence orders, by its name: before, after.
ORDERS = {
    "load": ("r", "r"), "store": ("w", "w"), "load_store": ("r", "w"), "store_load": ("w", "r"),
    "load_atomic": ("r", "rw"), "store_atomic": ("w", "rw"), "atomic_load": ("rw", "r"),
    "atomic_store": ("rw", "w"), "atomic": ("rw", "rw"), "memory": ("rw", "rw"), "acqrel": ("rw", "rw"),
    "acquire": ("r", "rw"), "release": ("rw", "w"), "lock": ("r", "rw"), "unlock": ("rw", "w"),
    "memory_to_device": ("rw", "ow"), "device_to_memory": ("ior", "rw"),
    "translations": ("stores", "walks"), "translations_of": ("stores", "walks"),
}


def orders(what: str) -> str:
    written = re.match(r"fence ([iorw]+),\s*([iorw]+)$", what)
    if written:
        return f"{written[1]} before {written[2]}"
    if what.startswith("sfence"):
        return "stores before walks"
    if what == "fence.i":
        return "stores before fetches"
    if what.endswith(".aqrl"):
        return "rw before it, it before rw"
    named = re.sub(r"^(ck_pr|arch)_fence_", "", what)
    return " before ".join(ORDERS[named]) if named in ORDERS else ""
