# SPDX-License-Identifier: BSD-2-Clause
"""Layers of symbols, over the objects of a build: no object calls one of a layer above it.

An include shows what a file may name; a symbol shows what it does name, also where the file
declares it itself. The port contract is what a lower layer may want of any layer: the functions and
variables that arch/riscv/port.h declares (mm/platform.h says what they are for). Whatever the
layers, files that name each other's symbols must not make a circle.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path

from .graph import components
from .layers import KERNEL_ALONE, KERNEL_SEES_TESTS
from .report import ROOT, Nothing, Report, run_tool
from .sources import Sources

PORT_HEADER = "arch/riscv/port.h"
DECLARED = re.compile(
    r"^(?:extern |_Noreturn )*(?!static|typedef|return)[\w ]+?[ *](\w+)(?:\(.*|;)$", re.M
)
HOOK = re.compile(r"^extern [\w ]+\(\*(\w+)\)", re.M)

# What files that match the first pattern may not name of files that match the second.
RULES = (
    (r"sync/", r"(?!sync/)"),
    (r"mm/", r"(?!mm/|sync/)"),
    (r"mm/percpu/", r"mm/global/(?!(zone|zone_order|bits)$)|mm/(heap|paging)/"),
    (r"mm/global/", r"mm/(?!global/)"),
    (r"mm/heap/", r"mm/paging/"),
    (r"arch/", r"(?!arch/|sync/)"),
    (KERNEL_ALONE, r"tests/"),
    (r"kernel/smp/", r"kernel/(boot|diag|vm)/|kernel/main"),
    (r"kernel/vm/", r"kernel/diag/|kernel/main"),
    (r"kernel/diag/", r"kernel/vm/|kernel/main"),
    (r"kernel/(boot/|\w+$)", r"kernel/main"),
)

# The boot code of arch/ ends with a call of the kernel that it boots.
ENTRIES = frozenset(("kernel_main", "kernel_secondary"))

# Functions of the C library, which any layer may call: arch/riscv/string.c has the kernel's own.
LIBRARY = frozenset(("memset", "memcpy", "memmove"))

# Files of one folder that name each other's symbols: parts of one mechanism that would be worse
# apart. The lower file, the file that it calls upward, and why.
CIRCLES = {
    ("mm/heap/arena", "mm/heap/slab"): "a record of a slab is a block of an arena, and no caller's",
    ("mm/percpu/cache", "mm/percpu/drain"): "a cache that opens looks at the pressure",
    ("mm/percpu/cache", "mm/percpu/flush"): "a cache that goes off line is parked, by flushes",
    ("mm/percpu/refill", "mm/percpu/drain"): "a refill that finds no frame asks other caches",
    ("tests/smp/bench_heap", "tests/smp/bench"): "a part of the benchmarks reports through them",
    ("tests/smp/bench_paging", "tests/smp/bench"): "a part of the benchmarks reports through them",
    ("tests/smp/bench_tree", "tests/smp/bench"): "a part of the benchmarks reports through them",
}


@dataclass(frozen=True)
class Edge:
    """What one object names of another."""

    user: str
    definer: str
    names: frozenset[str]

    def __str__(self) -> str:
        return f"{self.user} -> {self.definer} ({', '.join(sorted(self.names))})"


class Objects:
    """The objects of a build, each by its path in the build's folder without the suffix."""

    def __init__(self, folder: Path, nm: str, root: Path = ROOT) -> None:
        self.folder = folder
        self.nm = nm
        self.root = root

    @cached_property
    def paths(self) -> dict[str, Path]:
        """Those whose source is still there: a build's folder keeps what was renamed."""
        found = sorted(self.folder.rglob("*.o"))
        names = [str(path.relative_to(self.folder).with_suffix("")) for path in found]
        return {
            name: path
            for name, path in zip(names, found)
            if any((self.root / f"{name}{suffix}").is_file() for suffix in (".c", ".S"))
        }

    @cached_property
    def edges(self) -> list[Edge]:
        definers: dict[str, str] = {}
        needs: list[tuple[str, str]] = []
        for user, path in self.paths.items():
            listing = run_tool([*shlex.split(self.nm), "-P", "-g", str(path.resolve())])
            if listing.returncode != 0:
                raise Nothing(f"{self.nm}: {listing.stderr.strip()}")
            for name, kind, *_ in map(str.split, listing.stdout.splitlines()):
                if kind in "Uw":
                    needs.append((user, name))
                else:
                    definers[name] = user
        found: dict[tuple[str, str], set[str]] = {}
        for user, name in needs:
            if name in definers:
                found.setdefault((user, definers[name]), set()).add(name)
        return [Edge(*pair, frozenset(names)) for pair, names in sorted(found.items())]


def contract(sources: Sources) -> frozenset[str]:
    """What the port header declares and does not define."""
    text = sources.text.get(PORT_HEADER, "")
    names = frozenset(DECLARED.findall(text)) - frozenset(HOOK.findall(text))
    if not {"port_panic", "port_ipi_send"} <= names:
        raise Nothing(f"{PORT_HEADER} does not declare the port contract")
    return names


def upward(edge: Edge, allowed: frozenset[str]) -> frozenset[str]:
    """Of an edge the names that its user's layer may not want."""
    wanted = edge.names - ENTRIES - LIBRARY - allowed
    rules = (rule for rule in RULES if re.match(rule[0], edge.user))
    return wanted if any(re.match(above, edge.definer) for _, above in rules) else frozenset()


def circles(edges: Iterable[Edge]) -> list[list[str]]:
    """Objects that can each be reached from the others."""
    below: dict[str, list[str]] = {}
    for edge in edges:
        below.setdefault(edge.user, []).append(edge.definer)
    found = components(below, lambda name: below.get(name, []))
    return [sorted(component) for component in found if len(component) > 1]


def check_symbol_layers(sources: Sources, objects: Objects) -> Report:
    allowed = contract(sources)
    if len(objects.edges) < len(objects.paths) or not objects.paths:
        raise Nothing(f"{objects.folder}: {len(objects.paths)} objects, too few to be a kernel")
    report = Report(note=f"{len(objects.paths)} objects, {len(objects.edges)} pairs")
    report.problems = [
        f"{Edge(edge.user, edge.definer, names)} is not for this layer"
        for edge in objects.edges
        if (names := upward(edge, allowed))
    ]
    return report


FILE_PATTERN = re.compile(r"\*(/[\w./*]+\.o)\(")


def check_script(objects: Objects) -> Report:
    """Each pattern of files in the linker script matches an object: for the linker none need to."""
    patterns = FILE_PATTERN.findall((objects.root / "linker.ld").read_text())
    report = Report(note=f"{len(patterns)} patterns of files")
    for pattern in patterns:
        if not any(fnmatch(f"/{name}.o", pattern) for name in objects.paths):
            report.problems.append(f"linker.ld: *{pattern} matches no object")
    if not patterns:
        report.problems.append("linker.ld names no files")
    return report


def check_circles(objects: Objects) -> Report:
    edges = [
        edge
        for edge in objects.edges
        if (edge.user, edge.definer) not in CIRCLES
        and edge.names - ENTRIES
        and not (edge.user in KERNEL_SEES_TESTS and edge.definer.startswith("tests/"))
    ]
    report = Report(note=f"{len(edges)} pairs of objects; allowed: {len(CIRCLES)}")
    for circle in circles(edges):
        inside = [str(e) for e in edges if {e.user, e.definer} <= set(circle)]
        report.problems.append(f"{len(circle)} files in a circle: {'; '.join(inside)}")
    pairs = {(edge.user, edge.definer) for edge in objects.edges}
    for user, definer in CIRCLES.keys() - pairs:
        report.problems.append(f"{user} -> {definer} is allowed and not there: take it out")
    return report
