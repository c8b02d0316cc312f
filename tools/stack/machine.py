# SPDX-License-Identifier: BSD-2-Clause
"""The linked kernel as a graph of calls, each with the depth of the stack at which it is made."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lint.elf import Elf
from lint.instructions import Instruction, Kind
from lint.kernel import Kernel, source_lines
from lint.report import ROOT, Nothing

from .graph import LIBRARY, Call, Node
from .pointers import Pointers
from .registers import Registers, Value, computed, join, signed

# Calls that are not followed, and why.
NOT_FOLLOWED = {
    "port_panic": "ends the run",
    "off_the_stack": "another stack, and it does not come back",
}
# Calls that come back and are not counted, and why. They keep all registers but t0 and t1.
NOT_COUNTED = {
    "arch_call_keeping": "a CPU that waits long for a lock looks why, and may print that",
}
SAVED = re.compile(r"s\d+")
ENDS = ("ebreak", "unimp", "c.unimp", "mret", "sret")


@dataclass
class Code:
    """A function's instructions, its cold part too."""

    name: str
    entry: int
    instructions: dict[int, Instruction]


@dataclass
class Walked:
    """What was found on all paths of one function."""

    frame: int = 0
    has_frame_pointer: bool = False
    returns: bool = False
    panics: bool = False  # some path ends in port_panic()
    calls: list[tuple[Instruction, int, int | None]] = field(default_factory=list)  # depth, target
    problems: list[str] = field(default_factory=list)


class Machine:
    """The linked kernel as a graph of calls, made as far as it is asked for."""

    def __init__(self, kernel: Kernel, pointers: Pointers, root: Path = ROOT) -> None:
        self.kernel = kernel
        self.pointers = pointers
        self.root = root
        self.walks: dict[int, Walked | None] = {}
        self.nodes: dict[str, Node | None] = {}
        self.cut: dict[str, None] = {}

    @cached_property
    def elf(self) -> Elf:
        return self.kernel.elf

    @cached_property
    def starts(self) -> list[tuple[int, str]]:
        """Where code begins that has a name, in order."""
        low = min(self.kernel.code)
        high = max(self.kernel.code)
        names: dict[int, str] = {}
        for symbol in self.elf.symbols:
            named = symbol.name and not symbol.name.startswith(("$", ".L"))
            if named and low <= symbol.address <= high and symbol.address in self.kernel.code:
                if symbol.is_function or symbol.address not in names:
                    names[symbol.address] = symbol.name
        return sorted(names.items())

    @cached_property
    def codes(self) -> dict[int, Code]:
        """All functions by their entry; a cold part belongs to the function it was cut from."""
        found: dict[int, Code] = {}
        by_name: dict[str, Code] = {}
        addresses = iter(sorted(self.kernel.code))
        address = next(addresses, None)
        for (start, name), (end, _) in zip(self.starts, [*self.starts[1:], (1 << 64, "")]):
            code: dict[int, Instruction] = {}
            while address is not None and address < end:
                if address >= start:
                    code[address] = self.kernel.code[address]
                address = next(addresses, None)
            found[start] = by_name[name] = Code(name, start, code)
        for code in list(found.values()):
            whole = by_name.get(code.name.removesuffix(".cold"))
            if whole and whole is not code:
                whole.instructions.update(code.instructions)
        return found

    @cached_property
    def by_name(self) -> dict[str, list[Code]]:
        found: dict[str, list[Code]] = {}
        for code in self.codes.values():
            found.setdefault(code.name.split(".")[0], []).append(code)
        return found

    def lines(self, addresses: Iterable[int]) -> dict[int, list[tuple[str, int]]]:
        """Of each address its source lines: innermost first, where functions were inlined."""

        def place(line: str) -> tuple[str, int]:
            path, _, number = line.partition(" ")[0].rpartition(":")
            known = number.isdigit() and not path.startswith("??")
            return (self.relative(path), int(number)) if known else (LIBRARY, 0)

        found = source_lines(self.kernel, addresses)
        return {address: list(map(place, lines)) for address, lines in found.items()}

    def relative(self, path: str) -> str:
        """Of a source file its path in the repository; others are a library's."""
        file = self.root / path
        # The debugging information has the folder in which it was compiled; the tree may be a copy.
        for first in range(1, len(file.parts) - 1):
            rest = Path(*file.parts[first:])
            if (self.root / rest).is_file():
                return str(rest)
        return LIBRARY

    @cached_property
    def files(self) -> dict[int, str]:
        """Where each function is defined."""
        lines = self.lines(self.codes)
        return {address: chain[-1][0] for address, chain in lines.items() if chain}

    # ---- one function

    def place(self, code: Code, instruction: Instruction) -> str:
        return f"{code.name}+{instruction.address - code.entry:#x} `{instruction}`"

    def walk(self, code: Code) -> Walked:
        known = self.walks.get(code.entry, Walked(returns=True))
        if known is not None and code.entry in self.walks:
            return known
        if known is None:  # still being walked: a recursion; assume that it returns
            return Walked(returns=True)
        self.walks[code.entry] = None
        walked = Walked()
        before: dict[int, Registers] = {code.entry: {"sp": Value("sp", 0)}}
        pending = [code.entry]
        while pending:
            address = pending.pop()
            instruction = code.instructions[address]
            for successor, after in self.step(code, instruction, before[address], walked):
                if successor in self.codes and successor != code.entry:
                    self._leave(code, instruction, after, successor, walked)  # it runs on into it
                    continue
                if successor not in code.instructions and not self._borrow(code, successor):
                    walked.problems.append(f"{self.place(code, instruction)} goes to no code")
                    continue
                joined = join(before[successor], after) if successor in before else after
                if "sp" not in joined:
                    walked.problems.append(
                        f"{self.place(code, code.instructions[successor])} is reached with "
                        "different depths of the stack"
                    )
                    continue
                if before.get(successor) != joined:
                    before[successor] = joined
                    pending.append(successor)
        walked.problems = list(dict.fromkeys(walked.problems))
        walked.calls = list(dict.fromkeys(walked.calls))
        self.walks[code.entry] = walked
        return walked

    def step(
        self, code: Code, instruction: Instruction, registers: Registers, walked: Walked
    ) -> list[tuple[int, Registers]]:
        """Where control goes from an instruction, and with what in the registers."""
        after = dict(registers)
        written = instruction.written
        if written:
            value = computed(instruction, registers)
            after.pop(written, None)
            if value:
                after[written] = value
        if written == "sp":
            stack = after.get("sp")
            if not stack or stack.kind != "sp":
                walked.problems.append(f"{self.place(code, instruction)} loses track of the stack")
                return []
            walked.frame = max(walked.frame, -stack.number)
        if written == "s0" and after.get("s0") == Value("sp", 0):
            walked.has_frame_pointer = True
        follower = self.kernel.follower[instruction.address]
        if instruction.kind is Kind.RETURN:
            walked.returns = True
            if registers["sp"].number:
                walked.problems.append(f"{self.place(code, instruction)} leaves stack behind")
            return []
        if instruction.mnemonic in ENDS:
            walked.returns |= instruction.mnemonic == "sret"
            return []
        if instruction.kind is Kind.CALL:
            return self._call(code, instruction, registers, follower, walked)
        if instruction.kind is Kind.JUMP:
            return self._jump(code, instruction, registers, walked)
        found = [(follower, after)]
        if instruction.kind is Kind.BRANCH and instruction.target is not None:
            found.append((instruction.target, after))
        return found

    def _target(self, instruction: Instruction, registers: Registers) -> int | None:
        if instruction.target is not None:
            return instruction.target
        value = registers.get(instruction.operands[-1]) if instruction.operands else None
        return value.number if value and value.kind == "number" else None

    def _call(
        self,
        code: Code,
        instruction: Instruction,
        registers: Registers,
        follower: int,
        walked: Walked,
    ) -> list[tuple[int, Registers]]:
        target = self._target(instruction, registers)
        depth = -registers["sp"].number
        if self._ends_run(target, walked):
            return []
        if target in self.codes and self.codes[target].name in NOT_COUNTED:
            return [(follower, {n: v for n, v in registers.items() if n not in ("t0", "t1")})]
        walked.calls.append((instruction, depth, target))
        if target in self.codes and not self.walk(self.codes[target]).returns:
            return []
        kept = {n: v for n, v in registers.items() if n == "sp" or SAVED.fullmatch(n)}
        return [(follower, kept)]

    def _jump(
        self, code: Code, instruction: Instruction, registers: Registers, walked: Walked
    ) -> list[tuple[int, Registers]]:
        target = self._target(instruction, registers)
        if target is not None and (target == code.entry or target not in self.codes):
            return [(target, registers)]
        value = registers.get(instruction.operands[-1]) if instruction.operands else None
        if target is None and value and value.kind == "jump":
            return [(place, registers) for place in self._table(code, value.number)]
        self._leave(code, instruction, registers, target, walked)
        return []

    def _table(self, code: Code, base: int) -> list[int]:
        """A table of jumps: distances from itself. It is read until an entry leads elsewhere."""
        found: list[int] = []
        while True:
            try:
                word = self.elf.read(base + 4 * len(found), 4)
            except Nothing:
                return found
            place = base + int.from_bytes(word, "little", signed=True)
            if place not in code.instructions:
                return found
            found.append(place)

    def _borrow(self, code: Code, address: int) -> bool:
        """A jump into another function's middle, as assembly has: its code is this one's too."""
        at = bisect_right(self.starts, (address, chr(0x10FFFF))) - 1
        other = self.codes.get(self.starts[at][0]) if at >= 0 else None
        if other is None or address not in other.instructions:
            return False
        code.instructions = {**other.instructions, **code.instructions}
        return True

    def _leave(
        self,
        code: Code,
        instruction: Instruction,
        registers: Registers,
        target: int | None,
        walked: Walked,
    ) -> None:
        """A tail call, through a register too."""
        if self._ends_run(target, walked):
            return
        if registers["sp"].number:
            walked.problems.append(f"{self.place(code, instruction)} leaves stack behind")
        walked.calls.append((instruction, -registers["sp"].number, target))
        walked.returns |= target is None or self.walk(self.codes[target]).returns

    def _ends_run(self, target: int | None, walked: Walked) -> bool:
        """A call that does not come back and ends in port_panic(): it is not counted."""
        callee = self.codes.get(target) if target is not None else None
        if callee is None:
            return False
        if callee.name in NOT_FOLLOWED:
            walked.panics = True
            return True
        below = self.walk(callee)
        if below.returns or not below.panics:
            return False
        self.cut[callee.name] = None
        walked.panics = True
        return True

    # ---- the graph

    def node(self, key: str) -> Node | None:
        """Of the function whose entry, in hexadecimal, the key is."""
        if key not in self.nodes:
            code = self.codes.get(int(key, 16))
            self.nodes[key] = self._make(code) if code else None
        return self.nodes[key]

    def _make(self, code: Code) -> Node:
        walked = self.walk(code)
        file = self.files.get(code.entry, LIBRARY)
        node = Node(code.name.split(".")[0], file, walked.frame)
        node.problems += walked.problems
        unknown = [call for call in walked.calls if call[2] is None]
        lines = self.lines([call[0].address for call in unknown]) if unknown else {}
        for instruction, depth, target in walked.calls:
            place = self.place(code, instruction)
            if target is not None:
                node.calls.append(Call(depth, f"{target:#x}", place))
                if target not in self.codes:
                    node.problems.append(f"{place} calls {target:#x}, where no function begins")
                continue
            entries, problem = self._resolve(lines.get(instruction.address, []))
            if problem:
                node.problems.append(f"{place} {problem}")
            node.calls += [Call(depth, f"{entry:#x}", place) for entry in entries]
        return node

    def _resolve(self, chain: list[tuple[str, int]]) -> tuple[list[int], str]:
        """Where an indirect call may go, by its source line; or what is wrong."""
        if not chain:
            return [], "calls through a pointer, and no source line is known"
        path, line = chain[0]
        text, targets = self.pointers.at(path, line)
        if self.pointers.is_optional(text):
            return [], ""
        if not targets:
            return [], f"calls through a pointer that is not known: {path}:{line} `{text}`"
        found = []
        for target in dict.fromkeys(targets):
            codes = [
                code
                for code in self.by_name.get(target.name, [])
                if self.files.get(code.entry) in (target.file, LIBRARY)
            ] or self.by_name.get(target.name, [])
            if not codes:
                return [], f"may call {target.name}, which is not in the kernel"
            found += [code.entry for code in codes]
        return found, ""

    def files_with_frame_pointers(self) -> list[str]:
        """Those of mm/ and sync/ whose functions all set one up where they use the stack."""
        found: dict[str, bool] = {}
        for code in self.codes.values():
            file = self.files.get(code.entry, LIBRARY)
            walked = self.walk(code) if file.startswith(("mm/", "sync/")) else Walked()
            if walked.frame:
                found[file] = found.get(file, True) and walked.has_frame_pointer
        return sorted(file for file, all_have in found.items() if all_have)

    def keys(self, name: str) -> list[str]:
        return [f"{code.entry:#x}" for code in self.by_name.get(name, [])]
