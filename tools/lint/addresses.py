# SPDX-License-Identifier: BSD-2-Clause
"""Where each load, store and atomic of a function goes, as far as its code tells.

Two addresses with the same root and offset are the same word, whatever registers and offsets a
compiler has chosen for them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING

from .instructions import MEMORY, Instruction, Kind, registers_in

if TYPE_CHECKING:
    from .kernel import Function

# Where something lies: bytes from a root. A root is what a register held at the function's entry,
# or what an instruction made that is not looked into, or what several paths left in a register.
Address = tuple[Hashable, int]
Held = dict[Hashable, Address]
CALL_KEEPS = re.compile(r"sp|gp|tp|s\d+")
NUMBER = re.compile(r"-?(0x)?[0-9a-f]+")
NOTHING = "zero"  # the root of a number that the code itself names


def held_in(held: Held, register: str | None) -> Address:
    return held.get(register, (register, 0))


def address_of(instruction: Instruction, held: Held) -> Address:
    """Of its memory operand."""
    operand = next(o for o in instruction.operands if MEMORY.fullmatch(o))
    text = operand.partition("(")[0]
    offset = int(text, 0) if NUMBER.fullmatch(text) else 0
    root, base = held_in(held, instruction.base)
    return root, base + offset


def sum_of(instruction: Instruction, held: Held) -> Address | None:
    """What it computes, if that is a sum of which all parts but one are known numbers.

    An offset beyond 2 KiB takes several instructions, and each compiler shares them among accesses
    as it likes: `lui a5,0x1`, `add a5,a5,s0`, `lw a4,-896(a5)`.
    """
    mnemonic, number = instruction.mnemonic, instruction.operands[-1]
    parts = [held_in(held, name) for name in instruction.read]
    if mnemonic in ("li", "lui") and NUMBER.fullmatch(number):
        value = int(number, 0) << (12 if mnemonic == "lui" else 0)
        upper_half = mnemonic == "lui" and value >= 1 << 31
        return NOTHING, value - (1 << 32) if upper_half else value
    if mnemonic in ("add", "addi") and len(parts) == 1 and NUMBER.fullmatch(number):
        parts.append((NOTHING, int(number, 0)))
    elif not (mnemonic == "mv" and len(parts) == 1) and not (mnemonic == "add" and len(parts) == 2):
        return None
    roots = [root for root, _ in parts if root != NOTHING]
    if len(roots) > 1:
        return None
    return (roots or [NOTHING])[0], sum(offset for _, offset in parts)


def after_instruction(instruction: Instruction, held: Held) -> Held:
    """What the registers, and the words of the stack, hold behind it."""
    unknown: Address = (("made at", instruction.address), 0)
    if instruction.kind is Kind.CALL and instruction.operands[:1] == ("t0",):
        # The link register of functions that keep all other registers (PORT_CALL_KEEPING).
        return held | {name: (("made at", instruction.address, name), 0) for name in ("t0", "t1")}
    if instruction.kind is Kind.CALL:
        kept = {
            name: value
            for name, value in held.items()
            if isinstance(name, tuple) or CALL_KEEPS.fullmatch(str(name))
        }
        lost = [f"a{i}" for i in range(8)] + [f"t{i}" for i in range(7)] + ["ra"]
        return kept | {name: (("made at", instruction.address, name), 0) for name in lost}
    if instruction.kind is Kind.STORE and instruction.base:
        slot = address_of(instruction, held)
        if slot[0] != "sp":
            return held
        return held | {slot: held_in(held, next(iter(registers_in(instruction.operands[0])), None))}
    if not instruction.written:
        return held
    value = unknown
    if instruction.kind is Kind.PLAIN:
        value = sum_of(instruction, held) or unknown
    elif instruction.kind is Kind.LOAD and instruction.base:
        value = held.get(address_of(instruction, held), unknown)
    return held | {instruction.written: value}


def joined(address: int, one: Held, other: Held) -> Held:
    """Where two paths meet at `address`: what they disagree on is a new root."""
    found: Held = {}
    for name in one.keys() | other.keys():
        values = [held.get(name, (name, 0)) for held in (one, other)]
        same = values[0] == values[1]
        found[name] = values[0] if same else (("joined at", address, name), 0)
    return found


def meetings(function: Function) -> set[int]:
    """Where several instructions go on, and the entry if any comes back to it."""
    reached = Counter(at for i in function.code.values() for at in function.successors(i))
    return {at for at, count in reached.items() if count > 1 or at == function.entry}


def addresses_in(function: Function) -> dict[int, Address]:
    before: dict[int, Held] = {function.entry: {}}
    meeting = meetings(function)
    pending = [function.entry]
    while pending:
        address = pending.pop()
        instruction = function.code[address]
        held = after_instruction(instruction, before[address])
        for successor in function.successors(instruction):
            seen = before.get(successor)
            meets = seen is not None and successor in meeting
            found = joined(successor, seen, held) if meets else held
            if found != seen:
                before[successor] = found
                pending.append(successor)
    memory = (Kind.LOAD, Kind.STORE, Kind.ATOMIC)
    return {
        address: address_of(function.code[address], held)
        for address, held in before.items()
        if function.code[address].kind in memory and function.code[address].base
    }
