# SPDX-License-Identifier: BSD-2-Clause
"""Writes of satp, and the return from traps."""

from __future__ import annotations

from dataclasses import dataclass

from .instructions import Instruction, Kind
from .kernel import Function, Kernel, functions_with, inline_chains
from .report import Report

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
    """docs/memory-model.md: nothing but what is written here orders a write of satp."""
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
