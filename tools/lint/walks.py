# SPDX-License-Identifier: BSD-2-Clause
"""What the checks of fences ask of an instruction."""

from __future__ import annotations

import re
from enum import Enum, auto

from .addresses import Address
from .instructions import Instruction, Kind
from .kernel import Function, Kernel


def decides(function: Function, load: Instruction) -> bool:
    """Whether what it loads reaches a branch: a spinning read, or a question before one."""
    found = False

    def step(instruction: Instruction, carriers: frozenset[str]) -> frozenset[str] | None:
        nonlocal found
        carried = not carriers.isdisjoint(instruction.read)
        if instruction.kind is Kind.BRANCH and carried:
            found = True
        if instruction.kind is Kind.CALL:
            carriers = frozenset(name for name in carriers if re.fullmatch(r"s\d+", name))
        if instruction.written:
            carriers -= {instruction.written}
            if instruction.kind is Kind.PLAIN and carried:
                carriers |= {instruction.written}
        return carriers if carriers and not found else None

    if load.written:
        function.walk(function.successors(load), frozenset({load.written}), step)
    return found


class Taken(Enum):
    """How far a path has come with the lock."""

    UNTOUCHED = auto()
    UNORDERED = auto()  # read or won, and what follows may still overtake that
    ACQUIRED = auto()


def lock_reads(function: Function) -> set[int]:
    return {
        address
        for address, i in function.code.items()
        if i.kind is Kind.LOAD and i.base not in function.stack_registers and decides(function, i)
    }


def writes(instruction: Instruction, function: Function) -> bool:
    """To memory that others may look at."""
    if instruction.kind is Kind.ATOMIC:
        return not instruction.mnemonic.startswith("lr.")
    return instruction.kind is Kind.STORE and instruction.base not in function.stack_registers


def calls(instruction: Instruction, name: str, kernel: Kernel) -> bool:
    leaves = instruction.kind in (Kind.CALL, Kind.JUMP)
    return bool(name) and leaves and kernel.callee(instruction) == name


def stored_words(function: Function) -> set[Address]:
    return {function.words[at] for at, i in function.code.items() if i.mnemonic == "sw"}
