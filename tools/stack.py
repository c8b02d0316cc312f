#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Bounds the stack that a call of mm/ uses, from the machine code of the linked kernel.

Each function's code is followed instruction by instruction with the stack pointer's distance from
its value at the entry. So every call has the depth at which it is made, and a chain of calls has
the sum. An indirect call is resolved by the text of its source line: the functions that
initialisers of a struct name for that member, or that are passed or assigned to the pointer. What
cannot be resolved, a recursion without a stated bound, and a stack pointer that cannot be followed
are problems.

Not counted: calls that end in port_panic(), which does not return. The functions of the port (arch/
and kernel/) that a chain reaches are counted in a column of their own.

With --su the sizes that the compiler wrote beside the objects (-fstack-usage) are held against what
the machine code does. With --compile mm/ and sync/ are compiled with other options, and the same is
said of that build from the compiler's own sizes and call graph: a report without a bound.

Prints KTAP, one result a check, and with -v the chains. Exit status: 0 all passed, 1 some failed.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from lint.elf import Elf
from lint.instructions import Instruction, Kind
from lint.kernel import Kernel
from lint.report import ROOT, Nothing, Report, ktap_lines, run, run_tool
from lint.sources import Sources

# What is bounded, in bytes of stack. docs/testing.md says why these.
PUBLIC_MAX = 1024
POLICY_MAX = 300
LOCK_MAX = 150

PUBLIC_HEADERS = ("mm/frame.h", "mm/percpu/cache.h", "mm/percpu/drain.h", "mm/heap/kmalloc.h")
# At rest only, and nothing else runs then: reported, not bounded.
AT_REST = re.compile(r"\w+_validate")
LOCK_FUNCTIONS = ("spin_lock", "spin_unlock")
# Of struct policy. The others are called at boot, or at rest.
POLICY_SLOTS = ("plan_claim", "plan_release", "claim", "release", "claim_run", "release_run")

# Calls that are not followed, and why.
NOT_FOLLOWED = {
    "port_panic": "ends the run",
    "off_the_stack": "another stack, and it does not come back",
}

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

TRAP_ENTRY, TRAP_HANDLE = "trap_entry", "trap_handle"
INTERRUPT_HOOKS = ("trap_on_software", "trap_on_timer")
# Local variables that are one of these.
HOOKS = {"hook": INTERRUPT_HOOKS}

LIBRARY = "library"  # where functions without debugging information come from


# Graphs of calls -----------------------------------------------------------------------------


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
                    continue  # told already
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
        """Tarjan's components, without recursion of our own."""
        number: dict[str, int] = {}
        lowest: dict[str, int] = {}
        path: list[str] = []
        work: list[tuple[str, Iterator[tuple[Call, Node]]]] = []

        def enter(key: str) -> None:
            number[key] = lowest[key] = len(number)
            path.append(key)
            work.append((key, iter(self.calls(key))))

        enter(start)
        while work:
            key, calls = work[-1]
            call = next(calls, None)
            if call:
                callee = call[0].callee
                if callee not in number and callee not in self.indexed:
                    enter(callee)
                elif callee in path:
                    lowest[key] = min(lowest[key], number[callee])
                continue
            work.pop()
            if work:
                lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[key])
            if lowest[key] == number[key]:
                component = path[path.index(key) :]
                del path[path.index(key) :]
                self._note_component(component)
        self.indexed |= set(number)

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


# Where a pointer to a function may point -----------------------------------------------------


@dataclass(frozen=True)
class Target:
    """A function that a pointer may point to, and the file that says so."""

    name: str
    file: str


INITIALISER = re.compile(r"\bconst struct (\w+) \w+(?:\[\])? = \{(.*?)\n\};", re.S)
SLOT = re.compile(r"\.(\w+) = (\w+)\b")
MEMBER_CALL = re.compile(r"\b(\w+)->(\w+)\(")
PLAIN_CALL = re.compile(r"(?<![\w>.])(\w+)\(")


def arguments_at(text: str, opening: int) -> list[str]:
    """What is between the parenthesis at `opening` and its partner, split at its own commas."""
    parts = [""]
    depth = 0
    for character in text[opening:]:
        depth += character in "([{"
        depth -= character in ")]}"
        if depth == 0:
            return [" ".join(part.split()) for part in parts]
        if depth == 1 and character == ",":
            parts.append("")
        elif depth > 1 or character != "(":
            parts[-1] += character
    return []


class Pointers:
    """What the sources say of the pointers to functions in them."""

    def __init__(self, sources: dict[str, str]) -> None:
        self.sources = sources

    @cached_property
    def slots(self) -> dict[tuple[str, str], list[Target]]:
        """Of each member of each struct what the initialisers of constants name for it."""
        found: dict[tuple[str, str], list[Target]] = {}
        for path, text in self.sources.items():
            for tag, body in INITIALISER.findall(text):
                for slot, name in SLOT.findall(body):
                    if name != "NULL":
                        found.setdefault((tag, slot), []).append(Target(name, path))
        return found

    def policies(self, slot: str) -> list[Target]:
        return self.slots.get(("policy", slot), [])

    def assigned_to(self, pointer: str) -> list[Target]:
        return [
            Target(name, path)
            for path, text in self.sources.items()
            for name in re.findall(rf"^\s*{pointer} = (\w+);", text, re.M)
            if name != "NULL" and path.endswith(".c")
        ]

    def passed_as(self, path: str, parameter: str) -> list[Target]:
        """What is passed to functions of this file that have a parameter (*parameter)(...)."""
        text = self.sources.get(path, "")
        takers: list[tuple[str, int]] = []
        for match in PLAIN_CALL.finditer(text):
            for position, argument in enumerate(arguments_at(text, match.end() - 1)):
                if re.search(rf"\(\*{parameter}\)\s*\(", argument):
                    takers.append((match[1], position))
        found = []
        for taker, position in dict.fromkeys(takers):
            for other, code in self.sources.items():
                for match in re.finditer(rf"(?<![\w>.]){taker}\(", code):
                    given = arguments_at(code, match.end() - 1)
                    name = given[position].lstrip("&") if len(given) > position else ""
                    # Not a declaration's parameter, nor the pointer itself, handed on.
                    if re.fullmatch(r"\w+", name) and name != parameter:
                        found.append(Target(name, other))
        return found

    def targets(self, path: str, text: str) -> list[Target]:
        """Of the calls through pointers in this source; none where no such call is known."""
        found: list[Target] = []
        for pointer, slot in MEMBER_CALL.findall(text):
            found += self.slots.get((pointer, slot), [])
        for name in PLAIN_CALL.findall(text):
            for pointer in HOOKS.get(name, (name,)):
                found += self.assigned_to(pointer)
            found += self.passed_as(path, name)
        return list(dict.fromkeys(found))

    def at(self, path: str, line: int) -> tuple[str, list[Target]]:
        """The source of the call at a line, which may go on in the next; and its targets."""
        lines = [part.strip() for part in self.sources.get(path, "").splitlines()]
        for last in (line, line + 1):
            text = " ".join(lines[line - 1 : last])
            if targets := self.targets(path, text):
                return text, targets
        return " ".join(lines[line - 1 : line]), []


# The machine code ----------------------------------------------------------------------------

SAVED = re.compile(r"s\d+")
ENDS = ("ebreak", "unimp", "c.unimp", "mret", "sret")


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
        tool = re.sub(r"objdump$", "addr2line", self.kernel.objdump)
        command = [*shlex.split(tool), "-a", "-i", "-e", str(self.kernel.path.resolve())]
        listing = run_tool(command, "".join(f"{address:#x}\n" for address in addresses))
        if listing.returncode != 0:
            raise Nothing(f"{tool}: {listing.stderr.strip()}")
        found: dict[int, list[tuple[str, int]]] = {}
        chain: list[tuple[str, int]] = []
        for line in listing.stdout.splitlines():
            if re.fullmatch(r"0x[0-9a-f]+", line):
                chain = found.setdefault(int(line, 16), [])
                continue
            path, _, number = line.partition(" ")[0].rpartition(":")
            known = number.isdigit() and not path.startswith("??")
            chain.append((self.relative(path) if known else LIBRARY, int(number) if known else 0))
        return found

    def relative(self, path: str) -> str:
        """Of a source file its path in the repository; others are a library's."""
        file = self.root / path
        return str(file.relative_to(self.root)) if file.is_relative_to(self.root) else LIBRARY

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
        if known is None:  # under way: a recursion, which returns for all we know
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


# The compiler's own account ------------------------------------------------------------------

SU_LINE = re.compile(r"(\S+?):\d+:\d+:(\S+)\t(\d+)\t(\S+)$")
CI_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
CI_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"(?: label: "([^"]*)")?')
CI_LABEL = re.compile(r"^(.*?)\\n(?:\./)?([^:\\]+):\d+:\d+\\n(\d+) bytes \(([^)]*)\)")
INDIRECT = "__indirect_call"


def su_sizes(folder: Path) -> dict[tuple[str, str], dict[int, str]]:
    """Of each file and function of mm/ and sync/ its frames, more than one where it was cloned."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for path in sorted([*folder.glob("mm/**/*.su"), *folder.glob("sync/**/*.su")]):
        for line in path.read_text().splitlines():
            match = SU_LINE.match(line)
            if not match:
                raise Nothing(f"{path}: cannot read `{line}`")
            key = (match[1].removeprefix("./"), match[2])
            found.setdefault(key, {})[int(match[3])] = match[4]
    if not found:
        raise Nothing(f"{folder} has no .su file of mm/ or sync/")
    return found


def check_su(machine: Machine, folder: Path) -> Report:
    """What the compiler wrote of mm/ and sync/ is what their machine code does."""
    report = Report()
    sizes = su_sizes(folder)
    compared = 0
    for code in machine.codes.values():
        file = machine.files.get(code.entry, LIBRARY)
        name = re.sub(r"\.\d+$", "", code.name)  # a clone's number is not written
        said = sizes.get((file, code.name)) or sizes.get((file, name))
        if not said:
            continue
        compared += 1
        frame = machine.walk(code).frame
        if frame not in said:
            known = " or ".join(map(str, said))
            report.problems.append(f"{file}: {code.name} has {frame} bytes, the compiler: {known}")
        if unfixed := [kind for kind in said.values() if kind != "static"]:
            report.problems.append(f"{file}: the frame of {code.name} is {unfixed[0]}")
    if not compared:
        report.problems.append("none of its functions is in the kernel")
    report.note = f"{compared} functions"
    return report


class Compiled:
    """mm/ and sync/ compiled with other options: the compiler's sizes and graph of calls."""

    def __init__(self, command: str, sources: Iterable[str], pointers: Pointers) -> None:
        self.pointers = pointers
        self.nodes: dict[str, Node] = {}
        self.defined_in: dict[tuple[str, str], str] = {}
        with tempfile.TemporaryDirectory() as folder:
            for number, path in enumerate(sorted(sources)):
                self._compile(command, path, Path(folder) / str(number))
        for node in self.nodes.values():
            node.calls = [found for call in node.calls for found in self._resolved(call, node)]

    def _compile(self, command: str, path: str, stem: Path) -> None:
        arguments = [*shlex.split(command), "-fcallgraph-info=su", "-c", "-o", f"{stem}.o", path]
        result = run_tool(arguments)
        if result.returncode != 0:
            raise Nothing(f"{path}: {result.stderr.strip().partition(chr(10))[0]}")
        for file in stem.parent.glob(f"{stem.name}*.ci"):
            self._read(file.read_text(), path)

    def _read(self, text: str, path: str) -> None:
        for title, label in CI_NODE.findall(text):
            match = CI_LABEL.match(label)
            if match:
                name = match[1].split(".")[0]
                self.nodes[title] = Node(name, path, int(match[3]))
                self.defined_in[path, name] = title
                if "dynamic" in match[4] and "bounded" not in match[4]:
                    self.nodes[title].problems.append(f"{title} has a frame of no fixed size")
        for source, target, label in CI_EDGE.findall(text):
            node = self.nodes[source]
            node.calls.append(Call(node.frame, target, label))

    def _resolved(self, call: Call, caller: Node) -> list[Call]:
        if call.callee != INDIRECT:
            return [call]
        path, line = call.place.rsplit(":", 2)[:2]
        text, targets = self.pointers.at(path.removeprefix("./"), int(line))
        keys = []
        for target in targets:
            title = self.defined_in.get((target.file, target.name))
            keys += [title] if title else []
        if not keys and path.removeprefix("./").startswith(("mm/", "sync/")):  # or the port's
            caller.problems.append(f"{call.place}: calls through a pointer, not known: `{text}`")
        return [Call(call.depth, key, call.place) for key in keys]

    def node(self, key: str) -> Node | None:
        return self.nodes.get(key)

    def keys(self, name: str) -> list[str]:
        return [key for key, node in self.nodes.items() if node.name == name]


# What is asked about -------------------------------------------------------------------------


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
        found += [self.row(name, "lock", "sync/spinlock.h", LOCK_MAX) for name in LOCK_FUNCTIONS]
        return [row for row in found if row]


# Traps ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Handler:
    hook: str
    file: str
    chain: Chain


@dataclass
class Traps:
    """What an interrupt adds to the stack of what it interrupts."""

    frame: int  # the registers that the entry saves
    handle: int  # trap_handle() when it calls the handler
    handlers: list[Handler]

    def total(self, handler: Handler) -> int:
        return self.frame + self.handle + handler.chain.bytes

    def line(self, handler: Handler) -> str:
        once = self.total(handler)
        return (
            f"a trap adds {once} bytes, nested one level {2 * once}: frame {self.frame}, "
            f"{TRAP_HANDLE} {self.handle}, {handler.hook} {handler.chain.bytes}: {handler.chain}"
        )

    def records(self) -> list[dict[str, object]]:
        return [
            {
                "record": "stack_trap",
                "hook": handler.hook,
                "file": handler.file,
                "handler": handler.chain.steps[0][0],
                "frame_bytes": self.frame,
                "handle_bytes": self.handle,
                "handler_bytes": handler.chain.bytes,
                "bytes": self.total(handler),
                "bytes_nested": 2 * self.total(handler),
                "chain": [[name, size] for name, size in handler.chain.steps],
            }
            for handler in self.handlers
        ]


def deepest_call(machine: Machine, caller: str, callees: set[str]) -> int:
    """How deep the stack is where `caller` calls one of these."""
    nodes = filter(None, map(machine.node, machine.keys(caller)))
    depths = [call.depth for node in nodes for call in node.calls if call.callee in callees]
    if not depths:
        raise Nothing(f"{caller} does not call what it is there to call")
    return max(depths)


def traps_of(machine: Machine, depths: Depths, is_tests: bool) -> Traps:
    """With the handlers of the kernel, or those that tests/ put there."""
    entries: set[str] = set()
    handlers = []
    for hook in INTERRUPT_HOOKS:
        for target in machine.pointers.assigned_to(hook):
            for key in machine.keys(target.name):
                node = machine.node(key)
                if not node or node.file != target.file:
                    continue
                entries.add(key)
                if target.file.startswith("tests/") == is_tests:
                    handlers.append(Handler(hook, target.file, depths.deepest(key)))
    return Traps(
        deepest_call(machine, TRAP_ENTRY, set(machine.keys(TRAP_HANDLE))),
        deepest_call(machine, TRAP_HANDLE, entries),
        sorted(handlers, key=lambda handler: -handler.chain.bytes),
    )


# Output --------------------------------------------------------------------------------------


def build_record(build: str, compiler: str) -> dict[str, object]:
    """What the other records of a build depend on."""
    version = run_tool([*shlex.split(compiler)[:1], "-dumpfullversion"]).stdout.strip()
    return {"record": "stack_build", "build": build, "compiler": compiler, "version": version}


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


def machine_checks(
    options: argparse.Namespace, sources: dict[str, str], records: list[dict[str, object]]
) -> list[tuple[str, Callable[[], Report]]]:
    """The checks of the linked kernel; `records` is filled when they run."""
    pointers = Pointers(sources)
    machine = Machine(Kernel(options.kernel, re.sub(r"gcc$", "objdump", options.cc)), pointers)
    measured = Measured(machine, sources)
    rows: list[Row] = []

    def fill() -> None:
        if not rows:
            rows.extend(measured.rows(pointers))
            records.append(build_record("kernel", options.cc))
            records.extend(row.record("kernel") for row in rows)

    def of_group(group: str) -> Report:
        fill()
        return check_rows(rows, group, measured.absent if group == "public" else [])

    def resolved() -> Report:
        fill()
        return Report(
            measured.problems,
            f"{len(measured.ported.indexed)} functions; not followed: "
            f"{', '.join(NOT_FOLLOWED)}, and what ends there",
        )

    def trap() -> Report:
        depths = Depths(machine.node, True, measured.recursion_max)
        traps = traps_of(machine, depths, is_tests=False)
        if not traps.handlers:
            raise Nothing("the kernel has no handler of an interrupt")
        records.extend(traps.records())
        of_tests = Depths(machine.node, True, measured.recursion_max)
        tests = traps_of(machine, of_tests, is_tests=True)
        for handler in [*traps.handlers[:1], *tests.handlers[:1]]:
            least = " at least, in a test" if handler in tests.handlers else ""
            print(f"#{least} {traps.line(handler)}")
        report = Report(note=traps.line(traps.handlers[0]).partition(":")[0])
        report.problems = [p for p in depths.problems if p not in measured.problems]
        return report

    def shown(check: Callable[[], Report]) -> Report:
        report = check()
        if options.verbose:
            print("\n".join(table(rows, options.verbose)))
            print(f"# not counted, as they end in port_panic: {', '.join(machine.cut)}")
            print(f"# with frame pointers: {', '.join(machine.files_with_frame_pointers())}")
        return report

    checks: list[tuple[str, Callable[[], Report]]] = [
        ("stack of public calls", lambda: shown(lambda: of_group("public"))),
        ("stack of policies", lambda: of_group("policy")),
        ("stack of the locks", lambda: of_group("lock")),
        ("stack followed everywhere", resolved),
        ("stack of traps", trap),
    ]
    if options.su:
        checks.append(("stack as the compiler says", lambda: check_su(machine, options.su)))
    return checks


def report_compiled(options: argparse.Namespace, sources: dict[str, str]) -> list[Row]:
    pointers = Pointers(sources)
    files = [path for path in sources if path.startswith(("mm/", "sync/")) and path.endswith(".c")]
    if not options.paging:
        files = [path for path in files if not path.startswith("mm/paging/")]
    measured = Measured(Compiled(options.compile, files, pointers), sources)
    rows = [replace(row, bound=None) for row in measured.rows(pointers)]
    print(f"# compiled with: {options.compile}")
    print("\n".join(table(rows, options.verbose, has_port=False)))
    for problem in measured.problems:
        print(f"# {problem}")
    return rows


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="bounds of the stack that calls of mm/ use")
    add = parser.add_argument
    add("--kernel", type=Path, help="the ELF file")
    add("--cc", default="riscv64-unknown-elf-gcc", help="its compiler")
    add("--su", type=Path, help="where its objects are, with the compiler's .su files")
    add("--compile", default="", help="report on mm/ and sync/ compiled by this command")
    add("--build", default="", help="what the records call that build")
    add("--paging", action="store_true", help="compile mm/paging/ too")
    add("--json", type=Path, help="where the records go, one JSON object a line")
    add("-v", "--verbose", action="store_true", help="the table, with the deepest chains")
    options = parser.parse_args(arguments)
    if not options.kernel and not options.compile:
        parser.error("--kernel or --compile")
    return options


def main() -> int:
    options = options_of()
    sources = {p: text for p, text in Sources().text.items() if not p.startswith("tests/host/")}
    records: list[dict[str, object]] = []
    failed = 0
    if options.kernel:
        checks = machine_checks(options, sources, records)
        print(f"KTAP version 1\n1..{len(checks)}")
        for number, (name, check) in enumerate(checks, 1):
            report = run(check)
            failed += bool(report.problems)
            print("\n".join(ktap_lines(number, name, report)), flush=True)
    if options.compile:
        build = options.build or options.compile
        records.append(build_record(build, options.compile))
        records += [row.record(build, has_port=False) for row in report_compiled(options, sources)]
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
