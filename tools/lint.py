#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks of the sources and the linked kernel that no compiler and no test run makes.

Layers of includes, Concurrency Kit's memory model, the fences in every lock's machine code and in
what passes from hart to hart without a lock, the allocator's hot path, called and inlined, its
restartable sequences, the segments, and no second libc. A missing fence in particular shows in no
run on an x86 host: the emulator's loads and stores are ordered.

Prints KTAP, one result a check. A check that finds nothing to look at has failed.
Exit status: 0 all passed, 1 some failed.
"""

from __future__ import annotations

import argparse
import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent

State = TypeVar("State", bound=Hashable)


class Nothing(Exception):
    """What a check wanted to look at is not there."""


@dataclass
class Report:
    """What a check found: problems, or what it looked at."""

    problems: list[str] = field(default_factory=list)
    note: str = ""


def run_tool(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Runs a program in the repository's root, whatever its exit status."""
    try:
        return subprocess.run(
            command, input=text, cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise Nothing(f"{command[0]}: {error.strerror}") from None


# Sources -------------------------------------------------------------------------------------

LAYERS = ("arch", "kernel", "mm", "sync", "tests")
COMMENT_OR_LITERAL = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|//[^\n]*|/\*.*?\*/', re.S
)
INCLUDE = re.compile(r"^[ \t]*#[ \t]*(?:include|include_next|import)\b[ \t]*(.*?)[ \t]*$", re.M)


def without_comments(text: str) -> str:
    """The text with comments blanked, lines kept."""

    def blank(match: re.Match[str]) -> str:
        token = match[0]
        return " " + "\n" * token.count("\n") if token.startswith("/") else token

    return COMMENT_OR_LITERAL.sub(blank, text)


def listed_files() -> list[str]:
    """What git tracks or would; everything outside build/ where there is no repository."""
    if (ROOT / ".git").exists():
        listing = run_tool(["git", "ls-files", "-co", "--exclude-standard"])
        if listing.returncode != 0:
            raise Nothing(f"git ls-files: {listing.stderr.strip()}")
        return listing.stdout.splitlines()
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
    return [str(path) for path in paths if path.parts[0] != "build"]


@dataclass(frozen=True)
class Include:
    """One include directive; `target` is with its quotes or brackets off."""

    path: str
    line: int
    operand: str

    @property
    def target(self) -> str:
        return self.operand[1:-1]

    @property
    def quoted(self) -> bool:
        return bool(re.fullmatch(r'"[^"]+"', self.operand))

    @property
    def bracketed(self) -> bool:
        return bool(re.fullmatch(r"<[^>]+>", self.operand))

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.operand}"


class Sources:
    """The C and assembly of the layers, comments blanked."""

    @cached_property
    def text(self) -> dict[str, str]:
        return {
            path: without_comments((ROOT / path).read_text())
            for path in sorted(set(listed_files()))
            if Path(path).suffix in (".c", ".h", ".S")
            and Path(path).parts[0] in LAYERS
            and (ROOT / path).is_file()
        }

    @cached_property
    def includes(self) -> dict[str, list[Include]]:
        return {
            path: [
                Include(path, text.count("\n", 0, match.start()) + 1, match[1])
                for match in INCLUDE.finditer(text)
            ]
            for path, text in self.text.items()
        }


# The linked kernel ---------------------------------------------------------------------------

PT_LOAD, PT_TLS = 1, 7
PF_X, PF_W, PF_R = 1, 2, 4
SHT_SYMTAB, SHT_NOBITS = 2, 8
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_TLS = 1, 2, 4, 0x400
STT_FUNC = 2


@dataclass(frozen=True)
class Segment:
    kind: int
    flags: int
    offset: int
    address: int
    file_size: int
    size: int
    align: int

    def __str__(self) -> str:
        letters = ((PF_R, "R"), (PF_W, "W"), (PF_X, "X"))
        flags = "".join(letter for bit, letter in letters if self.flags & bit)
        return f"segment {flags} at {self.address:#x}"


@dataclass(frozen=True)
class Section:
    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True)
class Symbol:
    name: str
    is_function: bool
    address: int
    size: int


class Elf:
    """A little-endian 64-bit ELF file, as much of it as is asked about."""

    def __init__(self, path: Path) -> None:
        try:
            self.data = path.read_bytes()
        except OSError as error:
            raise Nothing(f"{path}: {error.strerror}") from None
        if self.data[:6] != b"\x7fELF\x02\x01":
            raise Nothing(f"{path}: not a little-endian 64-bit ELF file")
        header = struct.unpack_from("<HHIQQQIHHHHHH", self.data, 16)
        self.program_offset, self.section_offset = header[4], header[5]
        self.program_count, self.section_count, self.names_index = header[9], header[11], header[12]

    @cached_property
    def segments(self) -> list[Segment]:
        found = []
        for index in range(self.program_count):
            kind, flags, offset, address, _, file_size, size, align = struct.unpack_from(
                "<IIQQQQQQ", self.data, self.program_offset + 56 * index
            )
            found.append(Segment(kind, flags, offset, address, file_size, size, align))
        return found

    @cached_property
    def sections(self) -> list[Section]:
        raw = [
            struct.unpack_from("<IIQQQQIIQQ", self.data, self.section_offset + 64 * index)
            for index in range(self.section_count)
        ]
        names = raw[self.names_index][4]
        return [
            Section(self._string(names + name), kind, flags, address, offset, size, link)
            for name, kind, flags, address, offset, size, link, *_ in raw
        ]

    @cached_property
    def symbols(self) -> list[Symbol]:
        found = []
        for table in (section for section in self.sections if section.kind == SHT_SYMTAB):
            names = self.sections[table.link].offset
            for offset in range(table.offset, table.offset + table.size, 24):
                name, info, _, _, address, size = struct.unpack_from("<IBBHQQ", self.data, offset)
                is_function = info & 15 == STT_FUNC
                found.append(Symbol(self._string(names + name), is_function, address, size))
        return found

    def symbol(self, name: str) -> Symbol:
        found = [symbol for symbol in self.symbols if symbol.name == name]
        if len(found) != 1:
            raise Nothing(f"{name}: {len(found) or 'no'} symbols of this name in the kernel")
        return found[0]

    def read(self, address: int, size: int) -> bytes:
        for segment in self.segments:
            start = address - segment.address
            if segment.kind == PT_LOAD and 0 <= start and start + size <= segment.file_size:
                return self.data[segment.offset + start : segment.offset + start + size]
        raise Nothing(f"{size} bytes at {address:#x} are in no segment")

    def _string(self, offset: int) -> str:
        return self.data[offset : self.data.index(b"\0", offset)].decode()


# Instructions --------------------------------------------------------------------------------


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
        """Of each load, store and atomic the address, as far as it can be told from others."""
        return addresses_in(self)


# Where something lies: bytes from a root. A root is what a register held at the function's entry,
# or what an instruction made that is not looked into, or what several paths left in a register.
Address = tuple[Hashable, int]
Held = dict[Hashable, Address]
CALL_KEEPS = re.compile(r"sp|gp|tp|s\d+")


def held_in(held: Held, register: str | None) -> Address:
    return held.get(register, (register, 0))


def address_of(instruction: Instruction, held: Held) -> Address:
    """Of its memory operand."""
    operand = next(o for o in instruction.operands if MEMORY.fullmatch(o))
    text = operand.partition("(")[0]
    offset = int(text, 0) if re.fullmatch(r"-?(0x)?[0-9a-f]+", text) else 0
    root, base = held_in(held, instruction.base)
    return root, base + offset


def constant_step(instruction: Instruction) -> int | None:
    """What it adds to its one register; None: it does something else."""
    if instruction.mnemonic == "mv":
        return 0
    if instruction.mnemonic in ("add", "addi") and len(instruction.read) == 1:
        number = instruction.operands[-1]
        return int(number, 0) if re.fullmatch(r"-?(0x)?[0-9a-f]+", number) else None
    return None


def after_instruction(instruction: Instruction, held: Held) -> Held:
    """What the registers, and the words of the stack, hold behind it."""
    unknown: Address = (("made at", instruction.address), 0)
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
    step = constant_step(instruction) if instruction.kind is Kind.PLAIN else None
    if step is not None and instruction.read:
        root, offset = held_in(held, instruction.read[0])
        value = (root, offset + step)
    elif instruction.kind is Kind.LOAD and instruction.base:
        value = held.get(address_of(instruction, held), unknown)
    return held | {instruction.written: value}


def joined(address: int, one: Held, other: Held) -> Held:
    """Where two paths meet at `address`: what they disagree on is a root of its own."""
    found: Held = {}
    for name in one.keys() | other.keys():
        values = [held.get(name, (name, 0)) for held in (one, other)]
        same = values[0] == values[1]
        found[name] = values[0] if same else (("joined at", address, name), 0)
    return found


def addresses_in(function: Function) -> dict[int, Address]:
    before: dict[int, Held] = {function.entry: {}}
    pending = [function.entry]
    while pending:
        address = pending.pop()
        instruction = function.code[address]
        held = after_instruction(instruction, before[address])
        for successor in function.successors(instruction):
            seen = before.get(successor)
            found = held if seen is None else joined(successor, seen, held)
            if found != seen:
                before[successor] = found
                pending.append(successor)
    memory = (Kind.LOAD, Kind.STORE, Kind.ATOMIC)
    return {
        address: address_of(function.code[address], held)
        for address, held in before.items()
        if function.code[address].kind in memory and function.code[address].base
    }


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
    def follower(self) -> dict[int, int]:
        addresses = sorted(self.code)
        return dict(zip(addresses, [*addresses[1:], -1]))

    def function(self, name: str) -> Function:
        return self.function_of(self.elf.symbol(name))

    def function_of(self, symbol: Symbol) -> Function:
        end = symbol.address + (symbol.size or self._unsized(symbol))
        code = {a: i for a, i in self.code.items() if symbol.address <= a < end}
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


# 1: layers -----------------------------------------------------------------------------------

LIBC = (
    r"(ctype|errno|inttypes|limits|stdalign|stdarg|stdbool|stddef|stdint|stdio|stdlib"
    r"|stdnoreturn|string)\.h"
)
POLICIES = r"mm/global/(segment_tree\w*|run_tree|bitmap|interval_stack|recycler|free_list)\."
INCLUDE_FOLDERS = ("", "arch/riscv", "tests/host/support")  # those the compiler is given


@dataclass(frozen=True)
class Layer:
    """What the files that match `files` may not see; `reached` also through other headers."""

    files: str
    direct: str = r"(?!)"
    reached: str = r"(?!)"
    brackets: str = r""


LAYER_RULES = (
    Layer(r"sync/", reached=r"(?!sync/)", brackets=rf"ck_\w+\.h|port\.h|{LIBC}"),
    Layer(r"mm/", reached=r"(?!mm/|sync/)"),
    Layer(r"mm/platform\.h", brackets=rf"port\.h|{LIBC}"),
    Layer(r"mm/(?!platform\.h)", brackets=LIBC),
    Layer(r"mm/percpu/", direct=r"mm/global/(?!(zone|policy|bits)\.h)", reached=POLICIES),
    Layer(r"mm/global/", reached=r"mm/percpu/"),
    Layer(r"arch/", reached=r"(mm|kernel|tests)/", brackets=rf"port\.h|{LIBC}"),
    Layer(r"kernel/(boot/(devicetree|machine|bootargs\w*)|diag/record)\.", reached=r"arch/"),
    Layer(r"kernel/", reached=r"tests/"),
)


def is_file(path: str) -> bool:
    return (ROOT / path).is_file()


def misspelt(include: Include) -> str | None:
    """What is wrong with how the header is named."""
    if include.quoted:
        local = include.path.startswith("tests/host/") and any(
            is_file(f"{folder}/{include.target}")
            for folder in ("tests/host/support", str(Path(include.path).parent)))
        if not is_file(include.target) and not local:
            return "is no path from the repository's root"
        if ".." in Path(include.target).parts:
            return "climbs"
    elif include.bracketed:
        ours = any(is_file(f"{folder}/{include.target}".lstrip("/")) for folder in INCLUDE_FOLDERS)
        if ours and include.target != "port.h":
            return "is a file of ours in angle brackets"
    else:
        return "is neither in quotes nor in angle brackets"
    return None


def forbidden_ways(
    rule: Layer, start: str, includes: dict[str, list[Include]]
) -> list[list[Include]]:
    """The shortest ways to what the rule forbids, less those through a file that it covers too."""
    ways = []
    seen = {start}
    pending: list[tuple[str, list[Include]]] = [(start, [])]
    while pending:
        path, way = pending.pop(0)
        for include in includes.get(path, []):
            if not include.quoted or include.target in seen:
                continue
            seen.add(include.target)
            if re.match(rule.reached, include.target):
                ways.append([*way, include])
            elif not re.match(rule.files, include.target):
                pending.append((include.target, [*way, include]))
    return ways


def crossed(rule: Layer, path: str, includes: dict[str, list[Include]]) -> list[str]:
    """The edges from `path` that the rule forbids."""
    found = []
    for include in includes[path]:
        if include.bracketed and rule.brackets and not re.fullmatch(rule.brackets, include.target):
            found.append(f"{include} is not for this layer")
        if include.quoted and re.match(rule.direct, include.target):
            found.append(f"{include} is not for this layer")
    ways = forbidden_ways(rule, path, includes)
    return found + [" -> ".join(map(str, way)) + " is not for this layer" for way in ways]


def check_layers(sources: Sources) -> Report:
    includes = sources.includes
    problems = [
        f"{include} {wrong}"
        for found in includes.values()
        for include in found
        if (wrong := misspelt(include))
    ]
    for rule in LAYER_RULES:
        paths = [path for path in includes if re.match(rule.files, path)]
        if not any(includes[path] for path in paths):
            problems.append(f"{rule.files}: no file that includes anything")
        for path in paths:
            problems += crossed(rule, path, includes)
    count = sum(map(len, includes.values()))
    return Report(list(dict.fromkeys(problems)), f"{len(includes)} files, {count} includes")


# 2: memory model -----------------------------------------------------------------------------

MODEL_ERROR = re.compile(r"#error.*relaxed memory order")


def check_memory_model(cc: str, flags: str) -> Report:
    """sync/ck.h takes Concurrency Kit's relaxed memory order and nothing else."""
    report = Report(note="only CK_MD_RMO compiles")
    for define in ("", "-DCK_MD_TSO", "-DCK_MD_PSO", "-DCK_MD_RMO"):
        command = [*shlex.split(cc), *shlex.split(flags), *define.split()]
        command += ["-x", "c", "-fsyntax-only", "-"]
        result = run_tool(command, '#include "sync/ck.h"\n')
        what = f"sync/ck.h with {define or 'no memory model'}"
        wrong = result.stderr.strip().partition("\n")[0]
        if define == "-DCK_MD_RMO":
            if result.returncode != 0:
                report.problems.append(f"{what} does not compile: {wrong}")
        elif result.returncode == 0:
            report.problems.append(f"{what} compiles")
        elif not MODEL_ERROR.search(result.stderr):
            report.problems.append(f"{what} fails for another reason: {wrong}")
    return report


# 3: fences of the locks ----------------------------------------------------------------------

LOCK_KINDS = frozenset("fas cas dec ticket mcs clh anderson".split())
NO_LOCK = "none"


def check_release(function: Function, kernel: Kernel) -> list[str]:
    """On every path a fence rw,w comes before what may free the lock."""
    problems: list[str] = []
    freeing: set[int] = set()

    def step(instruction: Instruction, fenced: bool) -> bool:
        if instruction.orders("rw", "w"):
            return True
        if function.leaves(instruction):
            problems.append(f"{function.place(instruction)} goes to {kernel.callee(instruction)}")
        atomic = instruction.kind is Kind.ATOMIC and not instruction.mnemonic.startswith("lr.")
        store = instruction.kind is Kind.STORE and instruction.base not in function.stack_registers
        if atomic or store:
            freeing.add(instruction.address)
            if not fenced and not instruction.releases:
                problems.append(f"{function.place(instruction)} with no fence rw,w before it")
        return fenced

    function.walk([function.entry], False, step)
    if not freeing:
        problems.append(f"{function.name} has no store that could free the lock")
    return problems


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


def after_atomic(instruction: Instruction, taken: Taken) -> Taken:
    if instruction.acquires:
        return Taken.ACQUIRED
    # A store-conditional reads nothing: its load-reserved has been here before it.
    return taken if instruction.mnemonic.startswith("sc.") else Taken.UNORDERED


def check_acquire(function: Function, kernel: Kernel, kind: str, is_try: bool) -> list[str]:
    """On every path to `ret` a fence r,rw (or .aq) comes after the last atomic or deciding load.

    A try may return without an atomic, when it has only asked.
    """
    problems: list[str] = []
    outcomes: set[Taken] = set()
    reads = lock_reads(function)

    def step(instruction: Instruction, taken: Taken) -> Taken | None:
        if instruction.kind is Kind.RETURN:
            outcomes.add(taken)
            if taken is Taken.UNORDERED or (taken is Taken.UNTOUCHED and not is_try):
                problems.append(f"{function.place(instruction)} is reached {taken.name.lower()}")
            return None
        if function.leaves(instruction):
            callee = kernel.callee(instruction)
            if instruction.kind is Kind.CALL and callee == f"spin_acquire_{kind}":
                return Taken.ACQUIRED
            if instruction.kind is not Kind.CALL or callee != f"spin_held_{kind}":
                problems.append(f"{function.place(instruction)} goes to {callee}")
        if instruction.orders("r", "rw"):
            return taken if taken is Taken.UNTOUCHED else Taken.ACQUIRED
        if instruction.kind is Kind.ATOMIC:
            return after_atomic(instruction, taken)
        if instruction.address in reads and not (is_try and taken is Taken.UNTOUCHED):
            return Taken.UNORDERED
        return taken

    function.walk([function.entry], Taken.UNTOUCHED, step)
    if Taken.ACQUIRED not in outcomes and not problems:
        problems.append(f"{function.name} has no path that acquires")
    return problems


def check_bare(function: Function) -> list[str]:
    """No lock orders nothing: a fence or an atomic in it would be a cost that is none of its own."""
    bound = (Kind.FENCE, Kind.ATOMIC)
    return [
        f"{function.place(instruction)} in what is to be no lock"
        for instruction in function.code.values()
        if instruction.kind in bound
    ]


def check_fences(kernel: Kernel) -> Report:
    names = (symbol.name for symbol in kernel.elf.symbols if symbol.is_function)
    found = (re.fullmatch(r"spin_release_(\w+)", name) for name in names)
    kinds = {match[1] for match in found if match} - {NO_LOCK}
    report = Report(note=f"release, acquire and try of {', '.join(sorted(kinds))}; {NO_LOCK} bare")
    for part in ("release", "acquire", "try", "held"):
        try:
            report.problems += check_bare(kernel.function(f"spin_{part}_{NO_LOCK}"))
        except Nothing as nothing:
            report.problems.append(str(nothing))
    for kind in sorted(kinds | LOCK_KINDS):
        checks: tuple[tuple[str, Callable[[Function], list[str]]], ...] = (
            (f"spin_release_{kind}", lambda f: check_release(f, kernel)),
            (f"spin_acquire_{kind}", lambda f, kind=kind: check_acquire(f, kernel, kind, False)),
            (f"spin_try_{kind}", lambda f, kind=kind: check_acquire(f, kernel, kind, True)),
        )
        for name, check in checks:
            try:
                report.problems += check(kernel.function(name))
            except Nothing as nothing:
                report.problems.append(str(nothing))
    report.problems = list(dict.fromkeys(report.problems))
    return report


# 4: what passes from hart to hart without a lock ----------------------------------------------


@dataclass(frozen=True)
class Announcer:
    """A function that tells another hart of something: what does it, and the fence before that."""

    name: str
    word: str = "sw"  # what stores it
    fence: tuple[str, str] = ("rw", "w")
    ipi: str = ""  # a call of this wakes who is to look, so it comes after an announcement
    in_a_row: bool = False  # several, of which the ipi must follow the last at once


ANNOUNCERS = (
    Announcer("barrier_wait"),
    Announcer("cpus_run", ipi="port_ipi_send", in_a_row=True),
    Announcer("cpu_serve"),
    Announcer("hart_stop_here", fence=("iorw", "w")),
    Announcer("shootdown_answer", word="sd"),
)
LISTENERS = ("barrier_wait", "cpus_run", "cpu_serve", "hart_start", "secondary_entry")
# By these the firmware is asked to reach other harts: through its own words in memory, and devices.
ASKS_FIRMWARE = ("sbi_hart_start", "sbi_remote_sfence", "sbi_send_ipi")
BEFORE_FIRMWARE = ("rw", "ow")
BEHIND_FIRMWARE = ("ir", "rw")
ARRIVALS = ("_start", "secondary_entry")
IPI_CLEAR, IPI_WAIT = "hart_ipi_clear", "hart_sleep"


class Told(Enum):
    """How far a path has come with an announcement."""

    WROTE = auto()  # something, and what is announced next may overtake it
    FENCED = auto()
    TOLD = auto()  # announced, and nothing more was written before a fence or a call


def writes(instruction: Instruction, function: Function) -> bool:
    """To memory that others may look at."""
    if instruction.kind is Kind.ATOMIC:
        return not instruction.mnemonic.startswith("lr.")
    return instruction.kind is Kind.STORE and instruction.base not in function.stack_registers


def calls(instruction: Instruction, name: str, kernel: Kernel) -> bool:
    leaves = instruction.kind in (Kind.CALL, Kind.JUMP)
    return bool(name) and leaves and kernel.callee(instruction) == name


def check_announcer(announcer: Announcer, kernel: Kernel) -> list[str]:
    """A fence comes last before each announcement, and nothing that belongs to it comes after.

    A fence, not an `.rl` of the atomic itself: Concurrency Kit 0.7.2 has none.
    """
    function = kernel.function(announcer.name)
    problems: list[str] = []
    announced: set[int] = set()
    fence = " ".join(("fence", ",".join(announcer.fence)))

    def announces(instruction: Instruction) -> bool:
        atomic = instruction.kind is Kind.ATOMIC and announcer.word == "sw"
        return (atomic or instruction.mnemonic == announcer.word) and writes(instruction, function)

    def step(instruction: Instruction, told: Told) -> Told:
        if instruction.orders(*announcer.fence):
            return Told.FENCED
        if announces(instruction):
            announced.add(instruction.address)
            if told is not Told.FENCED:
                problems.append(f"{function.place(instruction)} with no {fence} right before it")
            return Told.TOLD
        if calls(instruction, announcer.ipi, kernel) and told is not Told.TOLD:
            problems.append(f"{function.place(instruction)} comes before what it announces")
        if instruction.kind is Kind.CALL:
            return Told.WROTE
        if writes(instruction, function):
            if told is Told.TOLD and not announcer.in_a_row:
                problems.append(f"{function.place(instruction)} comes after the announcement")
            return Told.WROTE
        return told

    function.walk([function.entry], Told.WROTE, step)
    if not announced:
        problems.append(f"{announcer.name} announces nothing")
    return problems


def check_listener(name: str, kernel: Kernel) -> list[str]:
    """What a word said is acted upon only after a fence r,rw (or .aq): no return, no use before.

    Uses are a call through a register, and for a hart that comes in the load of its cpu block. A
    compare-and-swap that finds another value has read it, too. An `.aq` counts in assembly only:
    the atomics of Concurrency Kit 0.7.1 have one, those of 0.7.2 do not.
    """
    function = kernel.function(name)
    problems: list[str] = []
    acquired: set[int] = set()
    reads = lock_reads(function)

    def step(instruction: Instruction, taken: Taken) -> Taken:
        through = instruction.kind in (Kind.CALL, Kind.JUMP) and instruction.target is None
        own = instruction.kind is Kind.LOAD and instruction.written == "tp"
        if instruction.kind is Kind.RETURN or through or own:
            if taken is Taken.UNORDERED:
                problems.append(f"{function.place(instruction)} is reached unordered")
            elif taken is Taken.ACQUIRED:
                acquired.add(instruction.address)
        if instruction.orders("r", "rw"):
            return taken if taken is Taken.UNTOUCHED else Taken.ACQUIRED
        if instruction.kind is Kind.ATOMIC:
            ordered = name in ARRIVALS and instruction.acquires
            return Taken.ACQUIRED if ordered else Taken.UNORDERED
        return Taken.UNORDERED if instruction.address in reads else taken

    function.walk([function.entry], Taken.UNTOUCHED, step)
    if not acquired and not problems:
        problems.append(f"{name} has no path that acquires")
    return problems


def stored_words(function: Function) -> set[Address]:
    return {function.words[at] for at, i in function.code.items() if i.mnemonic == "sw"}


def check_barrier(name: str, kernel: Kernel) -> list[str]:
    """Read the round, arrive by one atomic that decides, and let go by the very last store."""
    function = kernel.function(name)
    problems: list[str] = []
    stored = stored_words(function)
    reads = {at for at in lock_reads(function) if function.words[at] in stored}
    rounds = {function.words[at] for at in reads}

    def step(instruction: Instruction, state: tuple[bool, bool]) -> tuple[bool, bool]:
        looked, cpu_mask_clear = state
        if instruction.kind is Kind.ATOMIC:
            if not looked:
                problems.append(f"{function.place(instruction)} arrives before the round is read")
            if not decides(function, instruction):
                problems.append(f"{function.place(instruction)} does not decide who is last")
        if cpu_mask_clear and writes(instruction, function):
            problems.append(f"{function.place(instruction)} comes after the others may go")
        goes = instruction.mnemonic == "sw" and function.words[instruction.address] in rounds
        return looked or instruction.address in reads, cpu_mask_clear or goes

    function.walk([function.entry], (False, False), step)
    return problems if rounds else [*problems, f"{name} has no round to wait for"]


class Look(Enum):
    """How far a path has come towards sleep."""

    AWAKE = auto()
    MASKED = auto()  # interrupts: an IPI stays pending, and ends the sleep
    LOOKED = auto()  # for work, after that


def check_sleep(name: str, kernel: Kernel) -> list[str]:
    """A hart masks its ipi, then looks for work, then sleeps: any other order loses an IPI."""
    function = kernel.function(name)
    problems: list[str] = []
    slept: set[int] = set()
    own = stored_words(function)
    # A word that the function writes too tells nothing of others.
    reads = {at for at in lock_reads(function) if function.words[at] not in own}

    def step(instruction: Instruction, look: Look) -> Look:
        if "sstatus" in instruction.operands:
            clears = instruction.mnemonic in ("csrrci", "csrci", "csrrc", "csrc")
            return Look.MASKED if clears else Look.AWAKE
        if calls(instruction, IPI_CLEAR, kernel):
            return Look.AWAKE
        if instruction.address in reads and look is Look.MASKED:
            return Look.LOOKED
        if calls(instruction, IPI_WAIT, kernel):
            slept.add(instruction.address)
            if look is not Look.LOOKED:
                problems.append(f"{function.place(instruction)} sleeps on an old look for work")
            return Look.AWAKE
        return look

    function.walk([function.entry], Look.AWAKE, step)
    return problems or ([] if slept else [f"{name} never sleeps"])


def check_served(name: str, kernel: Kernel) -> list[str]:
    """The word that says "done", which the function reads too, is stored after the work's call."""
    function = kernel.function(name)
    problems: list[str] = []
    read = {function.words[at] for at in lock_reads(function)}
    done: set[int] = set()

    def step(instruction: Instruction, ran: bool) -> bool:
        if instruction.kind is Kind.CALL and instruction.target is None:
            return True
        if instruction.mnemonic == "sw" and function.words[instruction.address] in read:
            done.add(instruction.address)
            if not ran:
                problems.append(f"{function.place(instruction)} comes before the work it tells of")
            return False
        return ran

    function.walk([function.entry], False, step)
    return problems if done else [f"{name} never says that work is done"]


def check_ipi_clear(kernel: Kernel) -> list[str]:
    """The pending bit goes first, then a fence ior,rw: the look for work cannot overtake it."""
    function = kernel.function(IPI_CLEAR)
    problems: list[str] = []
    cleared: set[int] = set()

    def step(instruction: Instruction, fenced: bool) -> bool:
        if instruction.sets_csr("sip"):
            cleared.add(instruction.address)
            return False
        if instruction.kind is Kind.RETURN and not fenced:
            problems.append(f"{function.place(instruction)} with no fence ior,rw before it")
        return fenced or instruction.orders("ior", "rw")

    function.walk([function.entry], False, step)
    return problems if cleared else [*problems, f"{IPI_CLEAR} clears no ipi"]


def check_ipi_taken(name: str, kernel: Kernel) -> list[str]:
    """The ipi is cleared before anything is answered: one that comes later is still pending."""
    function = kernel.function(name)
    first = next((i for i in function.code.values() if i.kind is Kind.CALL), None)
    if first is None or not calls(first, IPI_CLEAR, kernel):
        return [f"{name} does something before it clears the ipi: `{first}`"]
    return []


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


def check_asks(name: str, kernel: Kernel) -> list[str]:
    """A fence rw,ow comes last before each call, from whatever function."""
    asking = functions_with(kernel, lambda i: calls(i, name, kernel))
    problems: list[str] = []
    for function in asking:

        def step(instruction: Instruction, fenced: bool, function: Function = function) -> bool:
            if calls(instruction, name, kernel) and not fenced:
                where = function.place(instruction)
                problems.append(f"{where} with no fence rw,ow right before it")
            if instruction.orders(*BEFORE_FIRMWARE):
                return True
            spoils = instruction.kind is Kind.CALL or writes(instruction, function)
            return fenced and not spoils

        function.walk([function.entry], False, step)
    return problems if asking else [f"{name} is called by no function"]


def check_answered(name: str, call: str, kernel: Kernel) -> list[str]:
    """A fence ir,rw comes between the firmware's answer and the return."""
    function = kernel.function(name)
    problems: list[str] = []

    def step(instruction: Instruction, open_answer: bool) -> bool:
        if instruction.kind is Kind.RETURN and open_answer:
            problems.append(f"{function.place(instruction)} with no fence ir,rw behind {call}")
        if calls(instruction, call, kernel):
            return True
        return open_answer and not instruction.orders(*BEHIND_FIRMWARE)

    function.walk([function.entry], False, step)
    return problems


def check_arrival(name: str, kernel: Kernel) -> list[str]:
    """A hart that comes in has a fence ior,rw and a fence.i before its first atomic."""
    function = kernel.function(name)
    problems: list[str] = []
    swaps = 0

    def step(instruction: Instruction, state: tuple[bool, bool]) -> tuple[bool, bool] | None:
        nonlocal swaps
        fenced, fetches = state
        if instruction.kind is Kind.ATOMIC:
            swaps += 1
            if not fenced:
                problems.append(f"{function.place(instruction)} with no fence ior,rw before it")
            if not fetches:
                problems.append(f"{function.place(instruction)} with no fence.i before it")
            return None
        fenced = fenced or instruction.orders("ior", "rw")
        return fenced, fetches or instruction.mnemonic == "fence.i"

    function.walk([function.entry], (False, False), step)
    return problems if swaps else [*problems, f"{name} has no swap"]


def check_decided(name: str, kernel: Kernel) -> list[str]:
    """A starter and a hart that comes late agree by an atomic which of them was first."""
    function = kernel.function(name)
    swaps = 0

    def step(instruction: Instruction, state: bool) -> bool:
        nonlocal swaps
        swaps += instruction.kind is Kind.ATOMIC
        return state

    function.walk([function.entry], False, step)
    return [] if swaps else [f"{name} has no swap"]


def check_stop(name: str, kernel: Kernel) -> list[str]:
    """Between the word that says that the hart is gone and the firmware's call is a fence rw,ow."""
    function = kernel.function(name)
    problems: list[str] = []
    stops = 0

    def step(instruction: Instruction, fenced: bool) -> bool:
        nonlocal stops
        if instruction.mnemonic == "ecall":
            stops += 1
            if not fenced:
                where = function.place(instruction)
                problems.append(f"{where} with no fence rw,ow right before it")
        if instruction.orders(*BEFORE_FIRMWARE):
            return True
        return fenced and not writes(instruction, function)

    function.walk([function.entry], False, step)
    return problems if stops else [*problems, f"{name} never stops"]


def check_flushed(name: str, kernel: Kernel) -> list[str]:
    """A fence r,rw comes between the words that ask for a flush and the flush."""
    function = kernel.function(name)
    problems: list[str] = []
    flushed: set[int] = set()
    reads = lock_reads(function)

    def step(instruction: Instruction, taken: Taken) -> Taken:
        flush = instruction.mnemonic.startswith("sfence") or calls(instruction, "mmu_flush", kernel)
        if flush:
            flushed.add(instruction.address)
            if taken is not Taken.ACQUIRED:
                problems.append(f"{function.place(instruction)} is reached {taken.name.lower()}")
        if instruction.orders("r", "rw"):
            return taken if taken is Taken.UNTOUCHED else Taken.ACQUIRED
        if instruction.kind is Kind.ATOMIC or instruction.address in reads:
            return Taken.UNORDERED
        return taken

    function.walk([function.entry], Taken.UNTOUCHED, step)
    return problems if flushed else [*problems, f"{name} never flushes"]


def check_handovers(kernel: Kernel) -> Report:
    """docs/design.md, "Memory model": mailboxes, IPIs, barriers, harts that come in and stop."""
    names = dict.fromkeys([*(announcer.name for announcer in ANNOUNCERS), *LISTENERS, IPI_CLEAR])
    report = Report(note=", ".join([*names, *ASKS_FIRMWARE]))
    checks: list[Callable[[], list[str]]] = [
        *(partial(check_announcer, announcer, kernel) for announcer in ANNOUNCERS),
        *(partial(check_listener, name, kernel) for name in LISTENERS),
        *(partial(check_asks, name, kernel) for name in ASKS_FIRMWARE),
        *(partial(check_arrival, name, kernel) for name in ARRIVALS),
        partial(check_answered, "mmu_flush_harts", "sbi_remote_sfence", kernel),
        partial(check_flushed, "shootdown_answer", kernel),
        partial(check_decided, "hart_start", kernel),
        partial(check_stop, "hart_stop_here", kernel),
        partial(check_barrier, "barrier_wait", kernel),
        partial(check_sleep, "cpu_serve", kernel),
        partial(check_served, "cpu_serve", kernel),
        partial(check_ipi_clear, kernel),
        partial(check_ipi_taken, "ipi_handle_except_frames", kernel),
    ]
    for check in checks:
        try:
            report.problems += check()
        except Nothing as nothing:
            report.problems.append(str(nothing))
    report.problems = list(dict.fromkeys(report.problems))
    return report


# The ring of the kit -------------------------------------------------------------------------

RING = "_ck_ring_"


def check_ring(kernel: Kernel) -> Report:
    """Each fence in it is a release or an acquire: the kit's own are less (workloads_handed.c)."""
    fences = [address for address, i in kernel.code.items() if i.mnemonic.startswith("fence")]
    chains = inline_chains(kernel, fences)
    inside = [a for a in fences if any(name.startswith(RING) for name in chains.get(a, []))]
    report = Report(note=f"{len(inside)} fences")
    for address in inside:
        instruction = kernel.code[address]
        if not instruction.orders("rw", "w") and not instruction.orders("r", "rw"):
            where = " in ".join(chains[address])
            report.problems.append(f"`{instruction}` at {address:#x}, {where}, is less than either")
    if not inside:
        report.problems.append("no fence of the ring found")
    return report


# Writes of satp, and the return from traps ---------------------------------------------------

KEEPS_CACHES = "mmu_switch"  # the inline function that writes satp without SFENCE.VMA


@dataclass(frozen=True)
class Satp:
    """How far a path has come around a write of satp."""

    fenced: bool = False  # memory before it is ordered before a CSR
    flushed: bool = False  # stores before it are ordered before walks
    owes_flush: bool = False
    owes_fence: bool = False


def check_satp_in(function: Function, switches: set[int]) -> list[str]:
    """Each write has its fences before and behind it; `switches` may do without SFENCE.VMA."""
    problems: list[str] = []

    def written(instruction: Instruction, satp: Satp) -> Satp:
        is_use = instruction.address not in switches
        if not satp.fenced:
            problems.append(f"{function.place(instruction)} with no fence rw,o right before it")
        if is_use and not satp.flushed:
            problems.append(f"{function.place(instruction)} with no sfence.vma right before it")
        return Satp(owes_flush=is_use, owes_fence=True)

    def step(instruction: Instruction, satp: Satp) -> Satp:
        if instruction.sets_csr("satp"):
            return written(instruction, satp)
        if instruction.mnemonic == "sfence.vma" and not instruction.operands:
            return Satp(satp.fenced, True, False, satp.owes_fence)
        if instruction.orders("rw", "o"):
            return Satp(True, satp.flushed, satp.owes_flush, satp.owes_fence)
        if instruction.orders("io", "rw"):
            return Satp(satp.fenced, satp.flushed, satp.owes_flush, False)
        memory = instruction.kind in (Kind.LOAD, Kind.STORE, Kind.ATOMIC)
        leaves = instruction.kind in (Kind.CALL, Kind.RETURN)
        if not leaves and not (memory and instruction.base not in function.stack_registers):
            return satp
        if satp.owes_flush:
            problems.append(f"{function.place(instruction)} with no sfence.vma behind satp")
        if satp.owes_fence:
            problems.append(f"{function.place(instruction)} with no fence io,rw behind satp")
        return Satp()

    function.walk([function.entry], Satp(), step)
    return problems


def check_satp(kernel: Kernel) -> Report:
    """docs/design.md, "Memory model": nothing but what is written here orders a write of satp."""
    functions = functions_with(kernel, lambda i: i.sets_csr("satp"))
    writes_of = [a for f in functions for a, i in f.code.items() if i.sets_csr("satp")]
    chains = inline_chains(kernel, writes_of)
    switches = {address for address in writes_of if chains.get(address, [""])[0] == KEEPS_CACHES}
    report = Report(note=f"{len(writes_of)} writes of satp, {len(switches)} that keep the caches")
    for function in functions:
        report.problems += check_satp_in(function, switches)
    if not switches or len(switches) == len(writes_of):
        report.problems.append("no writes of satp of both kinds found")
    report.problems = list(dict.fromkeys(report.problems))
    return report


def check_trap_return(kernel: Kernel) -> Report:
    """A store-conditional drops the reservation on every path to `sret`, behind all calls."""
    functions = functions_with(kernel, lambda i: i.mnemonic == "sret")
    report = Report(note=", ".join(function.name for function in functions))
    for function in functions:

        def step(instruction: Instruction, dropped: bool, function: Function = function) -> bool:
            if instruction.mnemonic == "sret" and not dropped:
                where = function.place(instruction)
                report.problems.append(f"{where} with no store-conditional before it")
            if instruction.mnemonic.startswith("sc."):
                return True
            reserves = instruction.mnemonic.startswith("lr.") or instruction.kind is Kind.CALL
            return dropped and not reserves

        function.walk([function.entry], False, step)
    if not functions:
        report.problems.append("no `sret` found")
    return report


# 5: the hot path -----------------------------------------------------------------------------

HOT_FUNCTIONS = ("frame_alloc_called", "frame_free_called")
SLOW_HALVES = frozenset(
    f"frame_cache_{half}" for half in ("refill", "overflow", "free_elsewhere", "bad_free")
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


def find_hit_paths(function: Function, kernel: Kernel) -> HitPaths:
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
            found.slow += callee in SLOW_HALVES
            if callee not in SLOW_HALVES:
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


def check_hit_path(function: Function, path: list[Instruction], commits: set[int]) -> list[str]:
    problems = []
    registers = Registers()
    for instruction in path:
        if instruction.kind not in HIT_KINDS:
            problems.append(f"{function.place(instruction)} is on the hit path")
        elif instruction.kind in (Kind.LOAD, Kind.STORE):
            value = registers.of(instruction.base)
            if value not in ADDRESSES:
                name = value.name.lower().replace("_", " ")
                where = function.place(instruction)
                problems.append(f"{where} goes through {instruction.base} ({name})")
            to_cpu = instruction.kind is Kind.STORE and value is Value.CPU
            if to_cpu and instruction.address not in commits:
                problems.append(f"{function.place(instruction)} is outside a restartable sequence")
        registers.step(instruction)
    if sum(instruction.address in commits for instruction in path) != 1:
        problems.append(f"{function.name}: a hit path without the one store that commits")
    return problems


def check_hot_path(kernel: Kernel) -> Report:
    report = Report()
    counts = []
    sites = restartable_sites(kernel)
    commits = {site.instructions[-1].address for site in sites if site.instructions}
    for name in HOT_FUNCTIONS:
        function = kernel.function(name)
        found = find_hit_paths(function, kernel)
        report.problems += found.problems
        for path in found.paths:
            report.problems += check_hit_path(function, path, commits)
        if not found.paths:
            report.problems.append(f"{name}: no path to ret without a slow half")
        if not found.slow:
            report.problems.append(f"{name}: no slow half, so nothing was told from it")
        lengths = sorted({len(path) for path in found.paths})
        counts.append(f"{name} {' or '.join(map(str, lengths))} instructions")
    report.problems = list(dict.fromkeys(report.problems))
    report.note = "a hit: " + ", ".join(counts)
    return report


# 6: restartable sequences --------------------------------------------------------------------

RESTARTABLE_KINDS = frozenset((Kind.LOAD, Kind.STORE, Kind.BRANCH, Kind.PLAIN))
SITES_MIN = 2  # a pop and a push
SITE_BYTES_MAX = 4096


@dataclass(frozen=True)
class Site:
    """One restartable sequence, [start, end)."""

    start: int
    end: int
    instructions: list[Instruction]
    owner: str

    def place(self, instruction: Instruction) -> str:
        offset = instruction.address - self.start
        return f"{self.owner}, sequence at {self.start:#x}, +{offset:#x} `{instruction}`"


def owner_of(address: int, kernel: Kernel) -> str:
    functions = (s for s in kernel.elf.symbols if s.is_function and s.size)
    inside = (s.name for s in functions if s.address <= address < s.address + s.size)
    return next(inside, "no function")


def restartable_sites(kernel: Kernel) -> list[Site]:
    start = kernel.elf.symbol("__restartable_start").address
    end = kernel.elf.symbol("__restartable_end").address
    if end <= start or (end - start) % 16 != 0:
        raise Nothing(f"the table of restartable sequences has {end - start} bytes")
    sites = []
    for first, past in struct.iter_unpack("<QQ", kernel.elf.read(start, end - start)):
        inside = range(first, min(past, first + SITE_BYTES_MAX))
        code = [kernel.code[address] for address in inside if address in kernel.code]
        sites.append(Site(first, past, code, owner_of(first, kernel)))
    return sites


def check_bounds(site: Site, kernel: Kernel) -> list[str]:
    where = f"{site.owner}, sequence [{site.start:#x}, {site.end:#x})"
    if not site.instructions:
        return [f"{where} has no instructions"]
    if site.end - site.start > SITE_BYTES_MAX:
        return [f"{where} is too long"]
    if site.start not in kernel.code or site.end not in kernel.code:
        return [f"{where} does not start and end between instructions"]
    return []


def check_commit(site: Site) -> list[str]:
    """One store through tp, the last instruction."""
    stores = [i for i in site.instructions if i.kind is Kind.STORE and i.base == "tp"]
    problems = [
        f"{site.place(store)} commits before the end"
        for store in stores
        if store is not site.instructions[-1]
    ]
    if site.instructions[-1] not in stores:
        problems.append(f"{site.place(site.instructions[-1])} is last and does not commit")
    return problems


def check_repeatable(site: Site) -> list[str]:
    """No input is overwritten, and nothing goes round inside or has effects of other kinds."""
    problems = []
    inputs: set[str] = {"tp"}
    written: set[str] = set()
    for instruction in site.instructions:
        if instruction.kind not in RESTARTABLE_KINDS:
            problems.append(f"{site.place(instruction)} may not be in it")
        if instruction.target is not None and site.start <= instruction.target < site.end:
            problems.append(f"{site.place(instruction)} branches within it")
        inputs |= set(instruction.read) - written
        if instruction.written in inputs:
            problems.append(f"{site.place(instruction)} overwrites an input")
        if instruction.written:
            written.add(instruction.written)
    return problems


def check_scratch(site: Site) -> list[str]:
    """Another store goes where the stack's top points as it was loaded: above every frame in it.

    Below a top that has moved down lies a frame that a trap may hand out before the restart.
    """
    problems = []
    loaded: set[str] = set()
    for instruction in site.instructions:
        is_scratch = instruction.kind is Kind.STORE and instruction.base != "tp"
        top = instruction.operands[-1] in (f"0({name})" for name in loaded)
        if is_scratch and not top:
            problems.append(f"{site.place(instruction)} is not to the slot above the stack")
        if instruction.kind is Kind.LOAD and instruction.base == "tp" and instruction.written:
            loaded.add(instruction.written)
        else:
            loaded.discard(instruction.written or "")
    return problems


def check_entered_at_start(sites: list[Site], kernel: Kernel) -> list[str]:
    inside = {address for site in sites for address in range(site.start + 1, site.end)}
    return [
        f"{owner_of(address, kernel)}: `{instruction}` at {address:#x} goes into the middle of one"
        for address, instruction in kernel.code.items()
        if instruction.target in inside
    ]


def check_restartable(kernel: Kernel) -> Report:
    sites = restartable_sites(kernel)
    report = Report(note=f"{len(sites)} sequences")
    if len(sites) < SITES_MIN:
        report.problems.append(f"{len(sites)} sequences, at least {SITES_MIN} expected")
    for name in HOT_FUNCTIONS:
        if name not in {site.owner for site in sites}:
            report.problems.append(f"{name}: no sequence in it")
    for site in sites:
        bounds = check_bounds(site, kernel)
        report.problems += (
            bounds or check_commit(site) + check_repeatable(site) + check_scratch(site)
        )
    report.problems += check_entered_at_start(sites, kernel)
    return report


# 7: the hot path where it is inlined ----------------------------------------------------------

HOT_INLINES = frozenset(("frame_alloc", "frame_free"))
COLD_INLINES = frozenset(("frame_zero",))  # touches the frame because the caller asks for that

Carried = frozenset[tuple[str, Value]]


def inline_chains(kernel: Kernel, addresses: list[int]) -> dict[int, list[str]]:
    """Of each address the functions it was inlined from, innermost first, by the line table."""
    tool = re.sub(r"objdump$", "addr2line", kernel.objdump)
    command = [*shlex.split(tool), "-a", "-i", "-f", "-e", str(kernel.path.resolve())]
    listing = run_tool(command, "".join(f"{address:#x}\n" for address in addresses))
    if listing.returncode != 0:
        raise Nothing(f"{tool}: {listing.stderr.strip()}")
    chains: dict[int, list[str]] = {}
    chain: list[str] = []
    for line in listing.stdout.splitlines():
        if line.startswith("0x"):
            chain = chains.setdefault(int(line, 16), [])
        else:
            chain.append(line)
    return {address: found[::2] for address, found in chains.items()}


def is_hot(chain: list[str]) -> bool:
    inlined = chain[:-1]
    depth = next((at for at, name in enumerate(inlined) if name in HOT_INLINES), None)
    return depth is not None and COLD_INLINES.isdisjoint(inlined[:depth])


def check_hot_kinds(function: Function, hot: set[int], kernel: Kernel) -> list[str]:
    problems = []
    for address in sorted(hot):
        instruction = function.code[address]
        callee = kernel.callee(instruction) if function.leaves(instruction) else None
        goes = instruction.kind in (Kind.CALL, Kind.JUMP, Kind.BRANCH)
        slow = goes and callee in SLOW_HALVES | COLD_INLINES
        if callee is not None and not slow and instruction.kind is not Kind.RETURN:
            problems.append(f"{function.place(instruction)} goes to {callee}")
        elif instruction.kind not in HIT_KINDS and not slow:
            problems.append(f"{function.place(instruction)} is on an inlined hit path")
    return problems


def carry(instruction: Instruction, carried: Carried) -> Carried:
    """Which registers hold a frame's number or, for all we know, its address."""
    values = [value for name in instruction.read for at, value in carried if at == name]
    kept = frozenset(pair for pair in carried if pair[0] != instruction.written)
    if not instruction.written or instruction.kind is not Kind.PLAIN or not values:
        return kept
    scales = re.match(r"sll|mul|sh[123]add", instruction.mnemonic)
    if Value.FRAME_SCALED in values or scales:
        return kept | {(instruction.written, Value.FRAME_SCALED)}
    # Added to something else it indexes a table of ours.
    return kept | {(instruction.written, Value.FRAME)} if len(instruction.read) == 1 else kept


def check_no_frame_access(
    function: Function, hot: set[int], start: Iterable[int], register: str
) -> list[str]:
    problems: list[str] = []

    def step(instruction: Instruction, carried: Carried) -> Carried | None:
        if instruction.address not in hot:
            return None
        if instruction.base in {name for name, _ in carried}:
            problems.append(f"{function.place(instruction)} goes through a frame's number")
        return carry(instruction, carried)

    inside = [address for address in start if address in hot]
    function.walk(inside, frozenset({(register, Value.FRAME)}), step)
    return problems


def ways_into(function: Function, hot: set[int], address: int) -> set[int]:
    """Where hot code begins that leads to `address`."""
    before: dict[int, set[int]] = {}
    for source in hot:
        for successor in function.successors(function.code[source]):
            before.setdefault(successor, set()).add(source)
    seen, pending, first = {address}, [address], set()
    while pending:
        at = pending.pop()
        if not before.get(at):
            first.add(at)
        for source in before.get(at, set()) - seen:
            seen.add(source)
            pending.append(source)
    return first


def check_site_frames(site: Site, function: Function, hot: set[int]) -> list[str]:
    """Nothing after a pop or before a push goes through the frame itself."""
    moves = [
        i
        for i in site.instructions
        if i.kind in (Kind.LOAD, Kind.STORE) and i.base != "tp" and i.operands
    ]
    if len(moves) != 1:
        return [f"{site.owner}, sequence at {site.start:#x}, moves {len(moves)} frames"]
    register = moves[0].operands[0]
    if moves[0].kind is Kind.LOAD:
        start = set(function.successors(site.instructions[-1]))
    else:
        start = ways_into(function, hot, site.start)
    return check_no_frame_access(function, hot, start, register)


def check_inlined(kernel: Kernel) -> Report:
    """What the compiler says is frame_alloc or frame_free, wherever it is, is what a hit may be."""
    sites = [site for site in restartable_sites(kernel) if site.instructions]
    functions = (symbol for symbol in kernel.elf.symbols if symbol.is_function and symbol.size)
    owners = [
        kernel.function_of(symbol)
        for symbol in functions
        if any(symbol.address <= site.start < symbol.address + symbol.size for site in sites)
    ]
    addresses = [address for function in owners for address in function.code]
    chains = inline_chains(kernel, addresses)
    report = Report()
    total = 0
    for function in owners:
        hot = {address for address in function.code if is_hot(chains.get(address, []))}
        total += len(hot)
        report.problems += check_hot_kinds(function, hot, kernel)
        for site in (site for site in sites if site.start in hot):
            report.problems += check_site_frames(site, function, hot)
    if len(owners) <= len(HOT_FUNCTIONS) or not total:
        report.problems.append("no inlined copy of the hot path found")
    report.problems = list(dict.fromkeys(report.problems))
    report.note = f"{total} instructions in {len(owners)} functions"
    return report


# 8: segments ---------------------------------------------------------------------------------

PAGE_BYTES = 4096
SEGMENTS_WANTED = ((PF_R | PF_X, "text"), (PF_R, "rodata"), (PF_R | PF_W, "data"))


def check_segment(segment: Segment) -> list[str]:
    problems = []
    if segment.flags & PF_W and segment.flags & PF_X:
        problems.append(f"{segment} is writable and executable")
    if segment.align < PAGE_BYTES or segment.address % PAGE_BYTES:
        problems.append(f"{segment} is not page-aligned")
    return problems


def check_section(section: Section, loaded: list[Segment]) -> list[str]:
    """An allocated section lies in a segment with its own permissions; none is thread-local."""
    if section.flags & SHF_TLS:
        return [f"{section.name} is thread-local storage, and tp is not for that"]
    wanted = PF_R | (section.flags & SHF_WRITE and PF_W) | (section.flags & SHF_EXECINSTR and PF_X)
    past = section.address + section.size
    for segment in loaded:
        if segment.address <= section.address and past <= segment.address + segment.size:
            return [] if segment.flags == wanted else [f"{section.name} is in {segment}"]
    return [f"{section.name} is in no segment"]


def check_segments(kernel: Kernel) -> Report:
    loaded = [s for s in kernel.elf.segments if s.kind == PT_LOAD and s.size]
    report = Report(note=", ".join(map(str, loaded)))
    for flags, name in SEGMENTS_WANTED:
        if not any(segment.flags == flags for segment in loaded):
            report.problems.append(f"no segment for {name} alone")
    for segment in loaded:
        report.problems += check_segment(segment)
    for section in kernel.elf.sections:
        if section.flags & SHF_ALLOC and section.size:
            report.problems += check_section(section, loaded)
    if any(segment.kind == PT_TLS and segment.size for segment in kernel.elf.segments):
        report.problems.append("a segment of thread-local storage")
    return report


# 9: no second libc ---------------------------------------------------------------------------

LIBC_NAMES = r"(memcpy|memset|memmove|memcmp|strlen|strcmp|v?s?n?printf)"
LIBC_DEFINITION = re.compile(
    rf"^[ \t]*#[ \t]*define[ \t]+{LIBC_NAMES}\b"
    rf"|\b{LIBC_NAMES}[ \t]*\([^;{{}}()]*\)\s*\{{"
    rf"|^{LIBC_NAMES}:",
    re.M,
)


def check_libc(sources: Sources) -> Report:
    report = Report(note=f"{len(sources.text)} files")
    for path, text in sources.text.items():
        for match in LIBC_DEFINITION.finditer(text):
            name = next(filter(None, match.groups()))
            line = text.count("\n", 0, match.start()) + 1
            report.problems.append(f"{path}:{line} defines {name}")
    if not any(path.endswith(".c") for path in sources.text):
        report.problems.append("no C files")
    return report


# 10: what runs under the lock of a space ------------------------------------------------------

SPACES = re.compile(r"kernel/vm/space\w*\.[ch]")
LOCK, UNLOCK = "spin_lock", "spin_unlock"
LOCKS_MAX = 2  # of two spaces, for a clone
# What has frames, or makes others of them; what fills a page; what waits for another hart.
NOT_UNDER_A_SPACE = re.compile(
    r"frame_(?!refs_)\w+|zone_\w+|k\w*alloc\w*|kfree|kheap_\w+|words_\w+|mem(cpy|set|move)"
    r"|mmu_flush_hart|sbi_\w+|cpus_run|barrier_\w+"
)
NOT_FOLLOWED = re.compile(r"port_panic|spin_\w+")  # ends the run; is the lock
DEFINITION = re.compile(r"^(?:static )?[\w \*]*?\b(\w+)\([^;{}]*\)\n\{", re.M)
VISITOR = re.compile(r"^static bool (\w+)\(void \*context, pte_t \*entry,", re.M)
SHARING = re.compile(r"\bstruct page_sharing \w+ = \{(\w+), (\w+),")


def text_of_spaces(sources: Sources) -> str:
    return "\n".join(text for path, text in sources.text.items() if SPACES.fullmatch(path))


def called_back(sources: Sources) -> list[str]:
    """What mm/paging/ calls through a pointer while a space is locked."""
    visitors = [
        name
        for path, text in sources.text.items()
        if path.startswith("mm/paging/")
        for name in VISITOR.findall(text)
    ]
    sharing = [name for match in SHARING.findall(text_of_spaces(sources)) for name in match]
    if not visitors or not sharing:
        raise Nothing("nothing is called back under the lock of a space")
    return [*visitors, *sharing]


def called_locked(
    function: Function, kernel: Kernel, lockers: dict[str, int]
) -> tuple[set[Instruction], int, list[str]]:
    """Calls made with a lock held; how many are held in the end; what is wrong."""
    found: set[Instruction] = set()
    problems: list[str] = []
    left = 0

    def step(instruction: Instruction, held: int) -> int | None:
        nonlocal left
        callee = kernel.callee(instruction) if function.leaves(instruction) else ""
        if callee == "port_panic":
            return None
        if callee in lockers:
            held += lockers[callee]
        elif callee == UNLOCK:
            held -= 1
        elif callee and held > 0:
            found.add(instruction)
        if not 0 <= held <= LOCKS_MAX:
            problems.append(f"{function.place(instruction)} leaves {held} locks held")
            return None
        if instruction.kind is Kind.RETURN:
            left = max(left, held)
        return held

    function.walk([function.entry], 0, step)
    return found, left, problems


def reached_from(start: list[int], kernel: Kernel) -> dict[int, list[str]]:
    """Functions that are reached, by address, with the names on the way."""
    ways: dict[int, list[str]] = {}
    symbols = {symbol.address: symbol for symbol in kernel.elf.symbols if symbol.is_function}
    pending = [(address, [kernel.names.get(address, f"{address:#x}")]) for address in start]
    while pending:
        address, way = pending.pop(0)
        if address in ways or NOT_FOLLOWED.fullmatch(way[-1]):
            continue
        ways[address] = way
        if address not in symbols or NOT_UNDER_A_SPACE.fullmatch(way[-1]):
            continue
        function = kernel.function_of(symbols[address])
        for instruction in filter(function.leaves, function.code.values()):
            if instruction.target is not None:
                pending.append((instruction.target, [*way, kernel.callee(instruction)]))
    return ways


def check_under_a_space(sources: Sources, kernel: Kernel) -> Report:
    """docs/design.md, "Page tables": no frame, no heap and no other hart under a space's lock."""
    kernel.elf.symbol("frame_cache_refill")  # the name that is looked for is still one
    defined = set(DEFINITION.findall(text_of_spaces(sources)))
    functions = [
        kernel.function_of(symbol)
        for symbol in kernel.elf.symbols
        if symbol.is_function and kernel.names[symbol.address] in defined
    ]
    lockers = {LOCK: 1}
    for function in functions:
        if left := called_locked(function, kernel, {LOCK: 1})[1]:
            lockers[kernel.names[function.entry]] = left
    report = Report()
    lock_takers = []
    reached: set[int] = set()
    start = [kernel.elf.symbol(name).address for name in called_back(sources)]
    for function in functions:
        found, _, problems = called_locked(function, kernel, lockers)
        report.problems += problems
        targets = [call.target for call in found if call.target is not None]
        ways = reached_from([*targets, *start], kernel) if found else {}
        lock_takers += [function.name] if found else []
        reached |= set(ways)
        report.problems += [
            f"{function.name} comes to {way[-1]} with a space locked: {' -> '.join(way)}"
            for way in ways.values()
            if NOT_UNDER_A_SPACE.fullmatch(way[-1])
        ]
    if not lock_takers:
        raise Nothing("nothing is called with a space locked")
    report.note = f"{', '.join(lock_takers)}: {len(reached)} functions with a space locked"
    return report


# The kernel of another compiler ----------------------------------------------------------------


def check_other(kernel: Kernel) -> Report:
    """Fences, addresses and sequences as another compiler makes them of the same sources."""
    checks: tuple[Callable[[Kernel], Report], ...] = (
        check_fences,
        check_handovers,
        check_ring,
        check_satp,
        check_trap_return,
        check_restartable,
    )
    report = Report(note=f"{kernel.path}: locks, hand-overs, satp, trap return, sequences")
    for check in checks:
        report.problems += run(partial(check, kernel)).problems
    return report


# All of them ---------------------------------------------------------------------------------


NO_OTHER = Report(note="SKIP there is no clang here")


def run(check: Callable[[], Report]) -> Report:
    try:
        return check()
    except Nothing as nothing:
        return Report([str(nothing)])


def ktap_lines(number: int, name: str, report: Report) -> list[str]:
    if not report.problems:
        return [f"ok {number} {name} # {report.note}"]
    if len(report.problems) == 1:
        return [f"not ok {number} {name} # {report.problems[0]}"]
    details = [f"#   {problem}" for problem in report.problems]
    return [f"not ok {number} {name} # {len(report.problems)} problems:", *details]


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="checks of the sources and of the linked kernel")
    parser.add_argument("--kernel", type=Path, help="the ELF file; without it, only the sources")
    parser.add_argument("--cc", default="riscv64-unknown-elf-gcc", help="its compiler")
    parser.add_argument("--flags", default="", help="how it was compiled, less -DCK_MD_RMO")
    parser.add_argument("--other-kernel", type=Path, help="the ELF file of another compiler")
    return parser.parse_args(arguments)


def main() -> int:
    options = options_of()
    sources = Sources()
    if options.kernel is None:
        return report_all((("include layers", lambda: check_layers(sources)),))
    objdump = re.sub(r"gcc$", "objdump", options.cc)
    kernel = Kernel(options.kernel, objdump)
    other = Kernel(options.other_kernel, objdump) if options.other_kernel else None
    checks: tuple[tuple[str, Callable[[], Report]], ...] = (
        ("include layers", lambda: check_layers(sources)),
        ("memory model", lambda: check_memory_model(options.cc, options.flags)),
        ("fences of the locks", lambda: check_fences(kernel)),
        ("fences of hand-overs", lambda: check_handovers(kernel)),
        ("fences of the ring", lambda: check_ring(kernel)),
        ("fences of satp", lambda: check_satp(kernel)),
        ("trap return", lambda: check_trap_return(kernel)),
        ("hot path", lambda: check_hot_path(kernel)),
        ("restartable sequences", lambda: check_restartable(kernel)),
        ("hot path inlined", lambda: check_inlined(kernel)),
        ("segments", lambda: check_segments(kernel)),
        ("no second libc", lambda: check_libc(sources)),
        ("under a space's lock", lambda: check_under_a_space(sources, kernel)),
        ("fences by clang", lambda: check_other(other) if other else NO_OTHER),
    )
    return report_all(checks)


def report_all(checks: tuple[tuple[str, Callable[[], Report]], ...]) -> int:
    print(f"KTAP version 1\n1..{len(checks)}")
    failed = 0
    for number, (name, check) in enumerate(checks, 1):
        report = run(check)
        failed += bool(report.problems)
        print("\n".join(ktap_lines(number, name, report)), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
