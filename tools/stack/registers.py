# SPDX-License-Identifier: BSD-2-Clause
"""What is known of the registers behind an instruction, as far as the stack is concerned."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lint.instructions import Instruction



@dataclass(frozen=True)
class Value:
    """What is known of a register: a number, or how far it is from sp at the entry; or which table
    of jumps it comes from: the word of it, or the place that the word leads to."""

    kind: str  # "number", "sp", "in table", "word", "jump"
    number: int


Registers = dict[str, Value]


def join(one: Registers, other: Registers) -> Registers:
    return {name: value for name, value in one.items() if other.get(name) == value}


def signed(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def immediate(operand: str) -> int | None:
    try:
        return int(operand, 0)
    except ValueError:
        return None


def added(one: Value | None, other: Value | None) -> Value | None:
    if one is None or other is None:
        known = one or other
        return Value("in table", known.number) if known and known.kind == "number" else None
    for left, right in ((one, other), (other, one)):
        if right.kind == "number" and left.kind in ("number", "sp"):
            return Value(left.kind, signed(left.number + right.number, 64))
        if right.kind == "number" and left.kind == "word" and left.number == right.number:
            return Value("jump", left.number)
    return None


def computed(instruction: Instruction, registers: Registers) -> Value | None:
    """What an instruction puts into its register, where that is known."""
    mnemonic, operands = instruction.mnemonic.removeprefix("c."), instruction.operands
    numbers = [immediate(operand) for operand in operands]
    sources = [registers.get(operand) for operand in operands]
    last = numbers[-1] if numbers else None
    if mnemonic == "li" and last is not None:
        return Value("number", signed(last, 64))
    if mnemonic in ("lui", "auipc") and last is not None:
        upper = signed(last << 12, 32)
        return Value("number", upper + (instruction.address if mnemonic == "auipc" else 0))
    if mnemonic == "mv":
        return sources[-1]
    if mnemonic in ("add", "addi", "addiw", "addw", "addi16sp", "addi4spn") and len(operands) > 1:
        left = sources[1] if len(operands) == 3 else registers.get(operands[0])
        return added(left, Value("number", last) if last is not None else sources[-1])
    if mnemonic in ("sh2add", "sh3add"):
        return added(None, sources[2])
    if mnemonic == "sub" and sources[1] and sources[2] and sources[2].kind == "number":
        return added(sources[1], Value("number", -sources[2].number))
    if mnemonic == "lw":
        offset, base = re.fullmatch(r"(-?\w*)\((\w+)\)", operands[1]).groups()
        place = registers.get(base)
        if place and place.kind == "in table":
            return Value("word", place.number + (immediate(offset) or 0))
    return None
