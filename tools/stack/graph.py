# SPDX-License-Identifier: BSD-2-Clause
"""Graphs of calls, and the deepest chain below each function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from lint.graph import components

LIBRARY = "library"  # where functions without debugging information come from


@dataclass(frozen=True)
class Call:
    depth: int  # bytes in use by the caller when it calls
    callee: str  # a node's key
    place: str


@dataclass
class Node:
    """A function."""

    name: str
    file: str  # where it is defined; LIBRARY where that is not known
    frame: int  # bytes that it uses itself, at most
    calls: list[Call] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def is_port(self) -> bool:
        return self.file != LIBRARY and not self.file.startswith(("mm/", "sync/"))


@dataclass(frozen=True)
class Chain:
    """The deepest way down from a function: what it uses with all below it."""

    bytes: int
    steps: tuple[tuple[str, int], ...]  # functions, and what each adds

    def __str__(self) -> str:
        return " -> ".join(f"{name} {size}" for name, size in self.steps)


class Depths:
    """The deepest chain below each function of a graph that `node_of` gives piece by piece."""

    def __init__(
        self,
        node_of: Callable[[str], Node | None],
        with_port: bool,
        recursion_max: Callable[[str], int | None],
    ) -> None:
        self.node_of = node_of
        self.with_port = with_port
        self.recursion_max = recursion_max
        self.problems: dict[str, None] = {}
        self.cycle_of: dict[str, int] = {}  # nodes on cycles: the number of their component
        self.bounded: dict[int, str] = {}  # of a component: the node whose recursion is bounded
        self.indexed: set[str] = set()
        self.found: dict[tuple[str, int], Chain] = {}

    def calls(self, key: str) -> list[tuple[Call, Node]]:
        node = self.node_of(key)
        found = []
        for call in node.calls if node else []:
            callee = self.node_of(call.callee)
            if callee and (self.with_port or not callee.is_port):
                found.append((call, callee))
        return found

    def deepest(self, key: str) -> Chain:
        if key not in self.indexed:
            self._find_cycles(key)
        return self._below(key, self._budget(key))

    def _budget(self, key: str) -> int:
        """How often the bounded function of this one's component can be entered, this time too."""
        component = self.cycle_of.get(key)
        if component is None or component not in self.bounded:
            return 0
        bounded = self.bounded[component]
        return (self.recursion_max(bounded) or 0) - (bounded == key)

    def _below(self, key: str, budget: int) -> Chain:
        if (key, budget) in self.found:
            return self.found[key, budget]
        node = self.node_of(key)
        assert node
        self.problems.update(dict.fromkeys(node.problems))
        best = Chain(node.frame, ((node.name, node.frame),))
        component = self.cycle_of.get(key)
        for call, callee in self.calls(key):
            left = self._budget(call.callee)
            if component is not None and self.cycle_of.get(call.callee) == component:
                if component not in self.bounded:
                    continue  # reported already
                left = budget - (self.bounded[component] == call.callee)
                if left < 0:
                    continue
            below = self._below(call.callee, left)
            if call.depth + below.bytes > best.bytes:
                steps = ((node.name, call.depth), *below.steps)
                best = Chain(call.depth + below.bytes, steps)
        self.found[key, budget] = best
        return best

    def _find_cycles(self, start: str) -> None:
        def callees(key: str) -> list[str]:
            return [call.callee for call, _ in self.calls(key)]

        for component in components([start], callees, frozenset(self.indexed)):
            self.indexed.update(component)
            self._note_component(component)

    def _note_component(self, component: list[str]) -> None:
        calls_itself = any(call.callee == component[0] for call, _ in self.calls(component[0]))
        if len(component) == 1 and not calls_itself:
            return
        identity = len(set(self.cycle_of.values()))
        for key in component:
            self.cycle_of[key] = identity
        for key in component:
            rest = set(component) - {key}
            if self.recursion_max(key) is not None and not self._has_cycle(rest):
                self.bounded[identity] = key
                return
        names = " -> ".join(self._name(key) for key in [*component, component[0]])
        self.problems[f"recursion without a stated bound: {names}"] = None

    def _has_cycle(self, keys: set[str]) -> bool:
        left = set(keys)
        while left:
            ends = {k for k in left if not any(c.callee in left for c, _ in self.calls(k))}
            if not ends:
                return True
            left -= ends
        return False

    def _name(self, key: str) -> str:
        node = self.node_of(key)
        return node.name if node else key
