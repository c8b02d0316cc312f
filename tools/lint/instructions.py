# SPDX-License-Identifier: BSD-2-Clause
"""RISC-V instructions, as objdump prints them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

from .report import Nothing


class Kind(Enum):
    LOAD = auto()
    STORE = auto()
    BRANCH = auto()
    JUMP = auto()
    CALL = auto()
    RETURN = auto()
    ATOMIC = auto()
    FENCE = auto()
    PLAIN = auto()  # computes a register from registers
    OTHER = auto()  # CSRs, traps, and whatever is not known here


KINDS = (
    (Kind.LOAD, r"l[bhw]u?|ld"),
    (Kind.STORE, r"s[bhwd]"),
    (Kind.BRANCH, r"b(eq|ne|lt|ge|le|gt)(u|z)?"),
    (Kind.JUMP, r"j|jr"),
    (Kind.CALL, r"jal|jalr"),
    (Kind.RETURN, r"[sm]?ret"),
    (Kind.ATOMIC, r"(amo\w+|lr|sc)\.[wd](\.\w+)?"),
    (Kind.FENCE, r"fence(\.tso)?|pause"),
    (Kind.PLAIN, r"li|lui|auipc|mv|nop|not|negw?|sext\.[bhw]|zext\.[bhw]|s(eq|ne|lt|gt)z|slti?u?"),
    (Kind.PLAIN, r"(add|sll|srl|sra)i?w?|subw?|(and|or|xor)i?|mul(w|h|hu|hsu)?|(div|rem)u?w?"),
    (Kind.PLAIN, r"sh[123]add(\.uw)?|add\.uw|slli\.uw|andn|orn|xnor|c[lt]zw?|cpopw?"),
    (Kind.PLAIN, r"(max|min)u?|rol(w)?|ror(i)?w?|orc\.b|rev8"),
)
KIND_PATTERNS = tuple((kind, re.compile(pattern)) for kind, pattern in KINDS)
REGISTER = re.compile(r"zero|ra|[sgtf]p|t[0-6]|s\d|s1[01]|a[0-7]")
MEMORY = re.compile(r"-?\w*\((\w+)\)")
LINE = re.compile(
    r"\s*([0-9a-f]+):\t(\S+)(?:\s+([^#<]*))?(?:<[^>]*>)?\s*(?:#\s*([0-9a-f]+).*)?$"
)


def kind_of(mnemonic: str) -> Kind:
    matching = (kind for kind, pattern in KIND_PATTERNS if pattern.fullmatch(mnemonic))
    return next(matching, Kind.OTHER)


def registers_in(operand: str) -> list[str]:
    memory = MEMORY.fullmatch(operand)
    name = memory[1] if memory else operand
    name = "s0" if name == "fp" else name
    return [name] if REGISTER.fullmatch(name) and name != "zero" else []


@dataclass(frozen=True)
class Instruction:
    """One instruction as objdump prints it."""

    address: int
    mnemonic: str
    operands: tuple[str, ...]
    target: int | None  # of a branch, jump or call whose target is known

    @cached_property
    def kind(self) -> Kind:
        return kind_of(self.mnemonic)

    @cached_property
    def _writes_first(self) -> bool:
        return self.kind in (Kind.LOAD, Kind.ATOMIC, Kind.PLAIN, Kind.OTHER)

    @cached_property
    def written(self) -> str | None:
        """The register it writes; zero counts as none. A call's link register is not looked at."""
        names = registers_in(self.operands[0]) if self._writes_first and self.operands else []
        return names[0] if names else None

    @cached_property
    def read(self) -> list[str]:
        operands = self.operands[1:] if self._writes_first else self.operands
        return [name for operand in operands for name in registers_in(operand)]

    @cached_property
    def base(self) -> str | None:
        """The register that addresses its memory."""
        found = [match[1] for match in map(MEMORY.fullmatch, self.operands) if match]
        return registers_in(found[0])[0] if found and registers_in(found[0]) else None

    def orders(self, before: str, after: str) -> bool:
        """A fence with at least these accesses in its predecessor and successor sets."""
        if self.kind is not Kind.FENCE:
            return False
        if self.mnemonic == "fence.tso":
            return (before, after) in (("rw", "w"), ("r", "rw"))
        sets = self.operands or ("iorw", "iorw")
        # A pause hint orders nothing, and may be printed as `fence w,unknown`.
        if self.mnemonic == "pause" or not all(re.fullmatch(r"[iorw]+", part) for part in sets):
            return False
        return set(before) <= set(sets[0]) and set(after) <= set(sets[1])

    @property
    def acquires(self) -> bool:
        return self.kind is Kind.ATOMIC and self.mnemonic.endswith((".aq", ".aqrl"))

    @property
    def releases(self) -> bool:
        return self.kind is Kind.ATOMIC and self.mnemonic.endswith((".rl", ".aqrl"))

    def sets_csr(self, name: str) -> bool:
        """Writes all of the CSR, or sets or clears bits of it."""
        writes = re.fullmatch(r"csr(w|s|c|rw|rs|rc)i?", self.mnemonic)
        return bool(writes) and name in self.operands

    def __str__(self) -> str:
        return " ".join((self.mnemonic, ",".join(self.operands))).strip()


def parse_instruction(line: str) -> Instruction | None:
    """None for a line that is no instruction."""
    match = LINE.match(line)
    if not match:
        if re.match(r"\s*[0-9a-f]+:\t", line):
            raise Nothing(f"cannot read this line of the disassembly: {line.strip()}")
        return None
    operands = tuple(part.strip() for part in (match[3] or "").split(",") if part.strip())
    target = None
    kind = kind_of(match[2])
    if kind in (Kind.BRANCH, Kind.JUMP, Kind.CALL) and operands:
        if re.fullmatch(r"[0-9a-f]{5,}", operands[-1]):
            target = int(operands[-1], 16)
            operands = operands[:-1]
        elif match[4]:
            target = int(match[4], 16)
    return Instruction(int(match[1], 16), match[2], operands, target)
