# SPDX-License-Identifier: BSD-2-Clause
"""The allocator's hot path where it is called: what the instructions of a hit may be."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto

from .instructions import Instruction, Kind
from .kernel import Function, Kernel
from .report import Report
from .restartable import BLOCK_FUNCTIONS, HOT_FUNCTIONS, restartable_sites

SLOW_HALVES = frozenset(
    f"frame_cache_{half}" for half in ("refill", "overflow", "free_elsewhere", "bad_free")
)
SLOW_HALVES_OF_HEAP = frozenset(
    f"kheap_{half}" for half in ("refill", "large", "overflow", "free_elsewhere")
)
HIT_KINDS = frozenset((Kind.LOAD, Kind.STORE, Kind.BRANCH, Kind.JUMP, Kind.RETURN, Kind.PLAIN))
HIT_PATHS_MAX = 64


class Value(Enum):
    """What a register holds on the way, as far as addressing goes."""

    CPU = auto()  # tp, or tp plus a constant
    STACK = auto()
    POINTER = auto()  # loaded through tp, or that plus a frame number
    FRAME = auto()  # a frame number, or computed from one
    FRAME_SCALED = auto()  # one multiplied: a frame's address, for all we know
    UNKNOWN = auto()


ADDRESSES = (Value.CPU, Value.STACK, Value.POINTER)


class Registers:
    """Registers along one path. A frame number comes in a0, or out of the stack of frames."""

    def __init__(self) -> None:
        self.values = {"tp": Value.CPU, "sp": Value.STACK, "a0": Value.FRAME}

    def of(self, name: str | None) -> Value:
        return self.values.get(name or "zero", Value.UNKNOWN)

    def step(self, instruction: Instruction) -> None:
        if instruction.written:
            loads = instruction.kind is Kind.LOAD
            value = self._loaded(instruction) if loads else self._computed(instruction)
            self.values[instruction.written] = value

    def _loaded(self, instruction: Instruction) -> Value:
        through = {Value.CPU: Value.POINTER, Value.POINTER: Value.FRAME}
        return through.get(self.of(instruction.base), Value.UNKNOWN)

    def _computed(self, instruction: Instruction) -> Value:
        values = [self.of(name) for name in instruction.read]
        if Value.FRAME_SCALED in values:
            return Value.FRAME_SCALED
        if instruction.mnemonic in ("add", "addi", "mv"):
            if Value.CPU in values:
                return Value.CPU if len(values) == 1 else Value.POINTER
            for value in (Value.STACK, Value.POINTER):
                if value in values:
                    return value
            return self._frame(values)
        if re.match(r"sll|mul|sh[123]add", instruction.mnemonic) and Value.FRAME in values:
            return Value.FRAME_SCALED
        return self._frame(values)

    @staticmethod
    def _frame(values: list[Value]) -> Value:
        return Value.FRAME if Value.FRAME in values else Value.UNKNOWN


@dataclass
class HitPaths:
    """The ways from entry to `ret` that pass no slow half."""

    paths: list[list[Instruction]] = field(default_factory=list)
    slow: int = 0
    problems: list[str] = field(default_factory=list)


def find_hit_paths(function: Function, kernel: Kernel,
                   slow_halves: frozenset[str] = SLOW_HALVES) -> HitPaths:
    found = HitPaths()
    pending: list[list[int]] = [[function.entry]]
    while pending and len(found.paths) < HIT_PATHS_MAX:
        addresses = pending.pop()
        path = [function.code[address] for address in addresses]
        last = path[-1]
        if last.kind is Kind.RETURN:
            found.paths.append(path)
            continue
        if function.leaves(last):
            callee = kernel.callee(last)
            found.slow += callee in slow_halves
            if callee not in slow_halves:
                found.problems.append(f"{function.place(last)} goes to {callee}")
            elif not any(i.kind is Kind.BRANCH for i in path):
                found.problems.append(f"{function.place(last)} comes before any branch")
            if last.kind is not Kind.BRANCH:
                continue
        for successor in function.successors(last):
            if successor in addresses:
                found.problems.append(f"{function.place(last)} closes a loop")
            else:
                pending.append([*addresses, successor])
    if pending:
        found.problems.append(f"{function.name}: more than {HIT_PATHS_MAX} paths to ret")
    return found


def check_kinds(function: Function, path: list[Instruction], commits: set[int]) -> list[str]:
    """No CSR, atomic or call, and one store that commits."""
    problems = [f"{function.place(instruction)} is on the hit path"
                for instruction in path if instruction.kind not in HIT_KINDS]
    if sum(instruction.address in commits for instruction in path) != 1:
        problems.append(f"{function.name}: a hit path without the one store that commits")
    return problems


def check_hit_path(function: Function, path: list[Instruction], commits: set[int]) -> list[str]:
    problems = check_kinds(function, path, commits)
    registers = Registers()
    for instruction in path:
        if instruction.kind in (Kind.LOAD, Kind.STORE):
            value = registers.of(instruction.base)
            if value not in ADDRESSES:
                name = value.name.lower().replace("_", " ")
                where = function.place(instruction)
                problems.append(f"{where} goes through {instruction.base} ({name})")
            to_cpu = instruction.kind is Kind.STORE and value is Value.CPU
            if to_cpu and instruction.address not in commits:
                problems.append(f"{function.place(instruction)} is outside a restartable sequence")
        registers.step(instruction)
    return problems


def check_hot_path(kernel: Kernel) -> Report:
    report = Report()
    counts = []
    sites = restartable_sites(kernel)
    commits = {site.instructions[-1].address for site in sites if site.instructions}
    for name in HOT_FUNCTIONS + BLOCK_FUNCTIONS:
        function = kernel.function(name)
        of_heap = name in BLOCK_FUNCTIONS
        found = find_hit_paths(function, kernel, SLOW_HALVES_OF_HEAP if of_heap else SLOW_HALVES)
        report.problems += found.problems
        for path in found.paths:
            check = check_kinds if of_heap else check_hit_path
            report.problems += check(function, path, commits)
        if not found.paths:
            report.problems.append(f"{name}: no path to ret without a slow half")
        if not found.slow:
            report.problems.append(f"{name}: no slow half found, so the hit path is not known")
        lengths = sorted({len(path) for path in found.paths})
        counts.append(f"{name} {' or '.join(map(str, lengths))} instructions")
    report.problems = list(dict.fromkeys(report.problems))
    report.note = "a hit: " + ", ".join(counts)
    return report
