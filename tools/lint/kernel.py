# SPDX-License-Identifier: BSD-2-Clause
"""The linked kernel: its machine code by function, with the paths through each."""

from __future__ import annotations

import re
import shlex
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from .addresses import Address, addresses_in
from .elf import Elf, Symbol
from .instructions import Instruction, Kind, parse_instruction
from .report import Nothing, run_tool

State = TypeVar("State", bound=Hashable)


@dataclass
class Function:
    """A function's instructions, and where control goes from each."""

    name: str
    code: dict[int, Instruction]
    follower: dict[int, int]

    @property
    def entry(self) -> int:
        return next(iter(self.code))

    def place(self, instruction: Instruction) -> str:
        return f"{self.name}+{instruction.address - self.entry:#x} `{instruction}`"

    def leaves(self, instruction: Instruction) -> bool:
        """A call, a jump or branch to another function, or a fall into the next one."""
        if instruction.kind in (Kind.JUMP, Kind.BRANCH) and instruction.target not in self.code:
            return True
        ends = instruction.kind in (Kind.JUMP, Kind.RETURN)
        falls = not ends and self.follower[instruction.address] not in self.code
        return falls or instruction.kind is Kind.CALL

    def successors(self, instruction: Instruction) -> list[int]:
        """Those inside the function."""
        found = []
        if instruction.kind not in (Kind.JUMP, Kind.RETURN):
            found.append(self.follower[instruction.address])
        if instruction.kind in (Kind.JUMP, Kind.BRANCH) and instruction.target is not None:
            found.append(instruction.target)
        return [address for address in found if address in self.code]

    def walk(
        self,
        start: Iterable[int],
        state: State,
        step: Callable[[Instruction, State], State | None],
    ) -> None:
        """Follows every path, through each place once in each state; None from `step` ends one."""
        pending = [(address, state) for address in start]
        seen = set(pending)
        while pending:
            address, before = pending.pop()
            after = step(self.code[address], before)
            if after is None:
                continue
            for successor in self.successors(self.code[address]):
                if (successor, after) not in seen:
                    seen.add((successor, after))
                    pending.append((successor, after))

    @cached_property
    def stack_registers(self) -> set[str]:
        """sp, and s0 where it is nothing but the frame pointer."""
        writers = [i for i in self.code.values() if i.written == "s0"]
        frames = [i for i in writers if i.kind is Kind.PLAIN and i.read == ["sp"]]
        restores = [i for i in writers if i.kind is Kind.LOAD and i.base == "sp"]
        return {"sp", "s0"} if frames and len(frames) + len(restores) == len(writers) else {"sp"}

    @cached_property
    def words(self) -> dict[int, Address]:
        """The address of each load, store and atomic, as far as it differs from others."""
        return addresses_in(self)


class Kernel:
    """The linked kernel: its ELF file and its disassembly."""

    def __init__(self, path: Path, objdump: str) -> None:
        self.path = path
        self.objdump = objdump

    @cached_property
    def elf(self) -> Elf:
        return Elf(self.path)

    @cached_property
    def code(self) -> dict[int, Instruction]:
        command = [*shlex.split(self.objdump), "-d", "--no-show-raw-insn", str(self.path.resolve())]
        listing = run_tool(command)
        if listing.returncode != 0:
            raise Nothing(f"{self.objdump}: {listing.stderr.strip()}")
        found = filter(None, map(parse_instruction, listing.stdout.splitlines()))
        return {instruction.address: instruction for instruction in found}

    @cached_property
    def addresses(self) -> list[int]:
        return sorted(self.code)

    @cached_property
    def follower(self) -> dict[int, int]:
        return dict(zip(self.addresses, [*self.addresses[1:], -1]))

    def function(self, name: str) -> Function:
        return self.function_of(self.elf.symbol(name))

    def function_of(self, symbol: Symbol) -> Function:
        end = symbol.address + (symbol.size or self._unsized(symbol))
        first, past = (bisect_left(self.addresses, at) for at in (symbol.address, end))
        code = {a: self.code[a] for a in self.addresses[first:past]}
        if not code:
            raise Nothing(f"{symbol.name}: no instructions")
        return Function(symbol.name, code, self.follower)

    def _unsized(self, symbol: Symbol) -> int:
        """Bytes up to the next symbol: assembly may not say where its functions end."""
        later = (s.address for s in self.elf.symbols if s.address > symbol.address)
        return min(later, default=symbol.address) - symbol.address

    @cached_property
    def names(self) -> dict[int, str]:
        """Of functions, without the suffixes of the compiler's clones."""
        return {s.address: s.name.split(".")[0] for s in self.elf.symbols if s.is_function}

    def callee(self, instruction: Instruction) -> str:
        if instruction.target is None:
            jumps = instruction.kind in (Kind.JUMP, Kind.CALL)
            return "what a register points to" if jumps else "the next function"
        return self.names.get(instruction.target, f"{instruction.target:#x}")


def functions_with(kernel: Kernel, wanted: Callable[[Instruction], bool]) -> list[Function]:
    """Those that have such an instruction."""
    addresses = [address for address, i in kernel.code.items() if wanted(i)]
    starts = sorted({s.address: s for s in kernel.elf.symbols if is_code(s, kernel)}.items())
    found = {}
    for address in addresses:
        owner = [symbol for start, symbol in starts if start <= address][-1]
        found[owner.address] = owner
    return [kernel.function_of(symbol) for symbol in found.values()]


def is_code(symbol: Symbol, kernel: Kernel) -> bool:
    """A function, or a label of assembly, whose functions say no kind."""
    named = symbol.is_function or not re.match(r"[.$_]|$", symbol.name)
    return named and symbol.address in kernel.code


def owner_of(address: int, kernel: Kernel) -> str:
    functions = (s for s in kernel.elf.symbols if s.is_function and s.size)
    inside = (s.name for s in functions if s.address <= address < s.address + s.size)
    return next(inside, "no function")


def source_lines(kernel: Kernel, addresses: Iterable[int], *options: str) -> dict[int, list[str]]:
    """What addr2line prints of each address: where functions were inlined, innermost first."""
    tool = re.sub(r"objdump$", "addr2line", kernel.objdump)
    command = [*shlex.split(tool), "-a", "-i", *options, "-e", str(kernel.path.resolve())]
    listing = run_tool(command, "".join(f"{address:#x}\n" for address in addresses))
    if listing.returncode != 0:
        raise Nothing(f"{tool}: {listing.stderr.strip()}")
    found: dict[int, list[str]] = {}
    lines: list[str] = []
    for line in listing.stdout.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            lines = found.setdefault(int(line, 16), [])
        else:
            lines.append(line)
    return found


def inline_chains(kernel: Kernel, addresses: Iterable[int]) -> dict[int, list[str]]:
    """Of each address the functions it was inlined from, innermost first, by the line table."""
    found = source_lines(kernel, addresses, "-f")
    return {address: lines[::2] for address, lines in found.items()}
