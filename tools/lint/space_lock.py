# SPDX-License-Identifier: BSD-2-Clause
"""What runs under the lock of an address space."""

from __future__ import annotations

import re

from .instructions import Instruction, Kind
from .kernel import Function, Kernel
from .report import Nothing, Report
from .sources import Sources

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
    """docs/address-spaces.md: no frame, no heap and no other hart under a space's lock."""
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
