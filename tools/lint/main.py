# SPDX-License-Identifier: BSD-2-Clause
"""All checks, in order."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .counts import check_counts
from .handovers import check_handovers
from .hot_path import check_hot_path
from .inlined import check_inlined
from .kernel import Kernel
from .layers import check_layers
from .locks import check_fences, check_memory_model
from .memory_functions import check_memory_functions
from .owners import check_owners
from .report import Report, ktap_lines, run
from .restartable import check_restartable
from .ring import check_ring
from .satp import check_satp, check_trap_return
from .segments import check_segments
from .sources import Sources
from .space_lock import check_under_a_space
from .style import check_format, check_libc, check_licence
from .symbols import Objects, check_circles, check_script, check_symbol_layers


def check_other(kernel: Kernel) -> Report:
    """Fences, addresses and sequences as another compiler makes them of the same sources."""
    checks: tuple[Callable[[Kernel], Report], ...] = (
        check_fences,
        check_owners,
        check_handovers,
        check_counts,
        check_ring,
        check_satp,
        check_trap_return,
        check_restartable,
    )
    report = Report(note=f"{kernel.path}: locks, owners, hand-overs, satp, trap return, sequences")
    for check in checks:
        report.problems += run(partial(check, kernel)).problems
    return report


NO_OTHER = Report(note="SKIP there is no clang here")


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="checks of the sources and of the linked kernel")
    parser.add_argument("--kernel", type=Path, help="the ELF file; without it, only what needs no build")
    parser.add_argument("--objects", type=Path, help="the folder of its objects")
    parser.add_argument("--cc", default="riscv64-unknown-elf-gcc", help="its compiler")
    parser.add_argument("--flags", default="", help="how it was compiled, less -DCK_MD_RMO")
    parser.add_argument("--other-kernel", type=Path, help="the ELF file of another compiler")
    return parser.parse_args(arguments)


def main() -> int:
    options = options_of()
    sources = Sources()
    of_sources: tuple[tuple[str, Callable[[], Report]], ...] = (
        ("include layers", lambda: check_layers(sources)),
        ("licence lines", check_licence),
        ("format", lambda: check_format(sources)),
    )
    if options.kernel is None:
        return report_all(of_sources)
    objdump = re.sub(r"gcc$", "objdump", options.cc)
    objects = Objects(options.objects, re.sub(r"gcc$", "nm", options.cc))
    kernel = Kernel(options.kernel, objdump)
    other = Kernel(options.other_kernel, objdump) if options.other_kernel else None
    checks: tuple[tuple[str, Callable[[], Report]], ...] = (
        *of_sources,
        ("symbol layers", lambda: check_symbol_layers(sources, objects)),
        ("no circles of files", lambda: check_circles(objects)),
        ("linker script", lambda: check_script(objects)),
        ("memory model", lambda: check_memory_model(options.cc, options.flags)),
        ("fences of the locks", lambda: check_fences(kernel)),
        ("fences of owners", lambda: check_owners(kernel)),
        ("fences of hand-overs", lambda: check_handovers(kernel)),
        ("fences of counts", lambda: check_counts(kernel)),
        ("fences of the ring", lambda: check_ring(kernel)),
        ("fences of satp", lambda: check_satp(kernel)),
        ("trap return", lambda: check_trap_return(kernel)),
        ("hot path", lambda: check_hot_path(kernel)),
        ("restartable sequences", lambda: check_restartable(kernel)),
        ("hot path inlined", lambda: check_inlined(kernel)),
        ("segments", lambda: check_segments(kernel)),
        ("memory by words", lambda: check_memory_functions(kernel)),
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
