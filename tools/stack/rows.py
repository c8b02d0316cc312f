# SPDX-License-Identifier: BSD-2-Clause
"""What is bounded, and what each function uses."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lint.report import Nothing, Report

from .compiled import Compiled
from .graph import Chain, Depths
from .machine import Machine
from .pointers import Pointers

# What is bounded, in bytes of stack. docs/testing.md says why these.
PUBLIC_MAX = 1024
POLICY_MAX = 300
LOCK_MAX = 150
DIAGNOSTICS_MAX = 1536
PUBLIC_HEADERS = ("mm/frame.h", "mm/percpu/cache.h", "mm/percpu/drain.h", "mm/heap/kmalloc.h")
# At rest only, and nothing else runs then: reported, not bounded.
AT_REST = re.compile(r"\w+_validate")
LOCK_FUNCTIONS = ("spin_lock", "spin_unlock")
# Of struct policy. The others are called at boot, or at rest.
POLICY_SLOTS = (
    "plan_claim", "plan_release", "claim", "release", "claim_one", "release_one", "claim_run", "release_run",
)


@dataclass(frozen=True)
class Constant:
    """A number that the sources define, and what to add to it."""

    file: str
    name: str
    more: int = 0


# Recursion: how often a function of a file can be on the stack at once.
RECURSION_MAX: dict[tuple[str, str], Constant | int] = {
    ("mm/heap/span.c", "validate_node"): Constant("mm/heap/span.h", "SPAN_LEVELS_MAX"),
    # Orders go down to 0, so there is one more of them.
    ("mm/heap/buddy.c", "validate_node"): Constant("mm/heap/buddy.h", "BUDDY_ORDER_MAX", 1),
}


def public_functions(sources: dict[str, str]) -> dict[str, str]:
    """What the public headers declare and do not define: the name and the header."""
    found: dict[str, str] = {}
    for path in PUBLIC_HEADERS:
        text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*$", "", sources.get(path, ""), flags=re.M)
        text = without_braces(re.sub(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)", "", text))
        for declaration in text.split(";"):
            words = " ".join(declaration.split())
            match = re.match(r"(?!typedef|static|extern)[\w \*]*?\b(\w+) ?\(.*\)$", words)
            if match:
                found.setdefault(match[1], path)
        if path not in found.values():
            raise Nothing(f"{path} declares no function")
    return found


def without_braces(text: str) -> str:
    """The text without what is in braces, which end a declaration then."""
    kept: list[str] = []
    depth = 0
    for character in text:
        depth += character == "{"
        if depth == 0:
            kept.append(character)
        elif character == "}":
            depth -= 1
            if depth == 0:
                kept.append(";")
    return "".join(kept)


@dataclass
class Row:
    """What one function uses, with all below it."""

    name: str
    group: str
    header: str
    alone: Chain  # without the port
    ported: Chain
    bound: int | None

    @property
    def judged(self) -> Chain:
        """A public call has to keep its bound with this kernel's port, a part without."""
        return self.alone if self.group in ("policy", "lock") else self.ported

    @property
    def is_over(self) -> bool:
        return self.bound is not None and self.judged.bytes > self.bound

    def record(self, build: str, has_port: bool = True) -> dict[str, object]:
        return {
            "record": "stack",
            "build": build,
            "function": self.name,
            "group": self.group,
            "header": self.header,
            "bytes": self.alone.bytes,
            "bytes_with_port": self.ported.bytes if has_port else None,
            "bound": self.bound,
            "chain": [[name, size] for name, size in self.ported.steps],
        }


class Measured:
    """A build's graph, and what is asked of it."""

    def __init__(self, graph: Machine | Compiled, sources: dict[str, str]) -> None:
        self.graph = graph
        self.sources = sources
        self.alone = Depths(graph.node, False, self.recursion_max)
        self.ported = Depths(graph.node, True, self.recursion_max)
        self.absent: list[str] = []

    def recursion_max(self, key: str) -> int | None:
        node = self.graph.node(key)
        constant = RECURSION_MAX.get((node.file, node.name)) if node else None
        if constant is None or isinstance(constant, int):
            return constant
        text = self.sources.get(constant.file, "")
        value = re.search(rf"#define\s+{constant.name}\s+(\d+)\b", text)
        return int(value[1]) + constant.more if value else None

    @property
    def problems(self) -> list[str]:
        return list({**self.alone.problems, **self.ported.problems})

    def row(self, name: str, group: str, header: str, bound: int | None) -> Row | None:
        folder = header.rpartition("/")[0]
        keys = [key for key in self.graph.keys(name) if self._is_in(key, folder)]
        if not keys:
            self.absent.append(name)
            return None
        alone = max((self.alone.deepest(key) for key in keys), key=lambda chain: chain.bytes)
        ported = max((self.ported.deepest(key) for key in keys), key=lambda chain: chain.bytes)
        return Row(name, group, header, alone, ported, bound)

    def _is_in(self, key: str, folder: str) -> bool:
        node = self.graph.node(key)
        return bool(node and node.file.startswith(f"{folder}/"))

    def rows(self, pointers: Pointers) -> list[Row]:
        found = [
            self.row(name, "at rest" if AT_REST.fullmatch(name) else "public", header,
                     None if AT_REST.fullmatch(name) else PUBLIC_MAX)
            for name, header in public_functions(self.sources).items()
        ]
        for slot in POLICY_SLOTS:
            for target in pointers.policies(slot):
                found.append(self.row(target.name, "policy", target.file, POLICY_MAX))
        found += [
            self.row(target.name, "diagnostics", target.file, DIAGNOSTICS_MAX)
            for target in pointers.optional()
        ]
        found += [self.row(name, "lock", "sync/spinlock.h", LOCK_MAX) for name in LOCK_FUNCTIONS]
        return [row for row in found if row]


def table(rows: list[Row], verbose: bool, has_port: bool = True) -> list[str]:
    lines = [f"# {'function':30} {'bytes':>6} {'with port':>9} {'bound':>6}"]
    for row in sorted(rows, key=lambda row: (row.group != "public", row.group, -row.ported.bytes)):
        over = "  OVER" if row.is_over else ""
        bound = row.bound if row.bound is not None else "-"
        name = row.name if row.group == "public" else f"{row.name} ({row.group})"
        ported = row.ported.bytes if has_port else "-"
        lines.append(f"# {name:30} {row.alone.bytes:6} {ported:>9} {bound:>6}{over}")
        if verbose:
            lines.append(f"#     {row.ported}")
    return lines


def check_rows(rows: list[Row], group: str, absent: list[str]) -> Report:
    chosen = sorted(
        (row for row in rows if row.group == group), key=lambda row: -row.judged.bytes
    )
    if not chosen:
        raise Nothing(f"no function of the group {group}")
    report = Report()
    for row in filter(lambda row: row.is_over, chosen):
        report.problems.append(
            f"{row.name} uses {row.judged.bytes} bytes of stack, bound {row.bound}: {row.judged}"
        )
    worst = chosen[0]
    report.note = (
        f"{len(chosen)} functions, at most {worst.alone.bytes} bytes, {worst.ported.bytes} with "
        f"the port ({worst.name}), bound {worst.bound}"
    )
    if absent:
        report.note += f"; not linked: {', '.join(absent)}"
    return report
