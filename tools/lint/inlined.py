# SPDX-License-Identifier: BSD-2-Clause
"""The hot path where the compiler has inlined it: frame_alloc and frame_free in any function."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .hot_path import HIT_KINDS, SLOW_HALVES, Value
from .instructions import Instruction, Kind
from .kernel import Function, Kernel, inline_chains
from .report import Report
from .restartable import HOT_FUNCTIONS, Site, restartable_sites

HOT_INLINES = frozenset(("frame_alloc", "frame_free"))
COLD_INLINES = frozenset(("frame_zero",))  # touches the frame because the caller asks for that
Carried = frozenset[tuple[str, Value]]


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
