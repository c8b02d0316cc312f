# SPDX-License-Identifier: BSD-2-Clause
"""Restartable sequences: one committing store, last, and nothing that a second run minds."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from .instructions import Instruction, Kind
from .kernel import Kernel, owner_of
from .report import Nothing, Report

HOT_FUNCTIONS = ("frame_alloc_called", "frame_free_called")
BLOCK_FUNCTIONS = ("kmalloc_called", "kfree_called")  # the heap's, on the same pop and push
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

    @property
    def base(self) -> str | None:
        """The register that the stack is found through: tp, or the one of a stack's address."""
        return self.instructions[0].base

    def place(self, instruction: Instruction) -> str:
        offset = instruction.address - self.start
        return f"{self.owner}, sequence at {self.start:#x}, +{offset:#x} `{instruction}`"


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
    """One store through the stack's register, the last instruction."""
    stores = [i for i in site.instructions if i.kind is Kind.STORE and i.base == site.base]
    problems = [
        f"{site.place(store)} commits before the end"
        for store in stores
        if store is not site.instructions[-1]
    ]
    if site.instructions[-1] not in stores:
        problems.append(f"{site.place(site.instructions[-1])} is last and does not commit")
    return problems


def check_repeatable(site: Site) -> list[str]:
    """No input is overwritten, and it has no loop, and no effect but stores."""
    problems = []
    inputs: set[str] = {"tp", site.base or "tp"}
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
        is_scratch = instruction.kind is Kind.STORE and instruction.base != site.base
        top = instruction.operands[-1] in (f"0({name})" for name in loaded)
        if is_scratch and not top:
            problems.append(f"{site.place(instruction)} is not to the slot above the stack")
        if instruction.kind is Kind.LOAD and instruction.base == site.base and instruction.written:
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
    for name in HOT_FUNCTIONS + BLOCK_FUNCTIONS:
        if name not in {site.owner for site in sites}:
            report.problems.append(f"{name}: no sequence in it")
    for site in sites:
        bounds = check_bounds(site, kernel)
        report.problems += (
            bounds or check_commit(site) + check_repeatable(site) + check_scratch(site)
        )
    report.problems += check_entered_at_start(sites, kernel)
    return report
