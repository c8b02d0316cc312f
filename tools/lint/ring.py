# SPDX-License-Identifier: BSD-2-Clause
"""The ring of Concurrency Kit, in the workload that hands frames from cpu to cpu."""

from __future__ import annotations

from .kernel import Kernel, inline_chains
from .report import Report

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
