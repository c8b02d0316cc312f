# SPDX-License-Identifier: BSD-2-Clause
"""Counts that a search is held against: read once before it and once after it, without a lock."""

from __future__ import annotations

from .instructions import Instruction, Kind
from .kernel import Kernel
from .report import Report

COUNT = "kheap_gone"


def check_counts(kernel: Kernel) -> Report:
    """A fence rw,rw comes before the reads: the search may not come after them; and a fence r,rw
    behind them: nor may the next search come before."""
    function = kernel.function(COUNT)
    report = Report(note=COUNT)
    reads: set[int] = set()

    def step(instruction: Instruction, state: tuple[bool, bool]) -> tuple[bool, bool]:
        opened, closed = state
        if instruction.kind is Kind.LOAD and instruction.base not in function.stack_registers:
            reads.add(instruction.address)
            if not opened:
                where = function.place(instruction)
                report.problems.append(f"{where} reads with no fence rw,rw before it")
            return opened, False
        if instruction.kind is Kind.RETURN and not closed:
            where = function.place(instruction)
            report.problems.append(f"{where} returns with no fence r,rw behind the reads")
        return opened or instruction.orders("rw", "rw"), closed or instruction.orders("r", "rw")

    function.walk([function.entry], (False, True), step)
    if not reads:
        report.problems.append(f"{COUNT} reads nothing")
    return report
