# SPDX-License-Identifier: BSD-2-Clause
"""memset, memcpy and memmove of the kernel: ours, by words, and not the byte loops of the C library."""

from __future__ import annotations

from .kernel import Function, Kernel
from .report import Nothing, Report

# Each moves a block of 64 bytes in a turn of its loop: what a function must have of each instruction.
WORDS_A_TURN = 8
WANTED = {"memset": ("sd",), "memcpy": ("ld", "sd"), "memmove": ("ld", "sd")}

# Others of the C library that fill or copy, byte by byte: none is to be linked.
OTHERS = frozenset("bcopy bzero memccpy mempcpy memrchr stpncpy swab wmemcpy wmemmove wmemset".split())


def check_words(function: Function, wanted: tuple[str, ...]) -> list[str]:
    problems = []
    for mnemonic in wanted:
        found = sum(i.mnemonic == mnemonic for i in function.code.values())
        if found < WORDS_A_TURN:
            problems.append(f"{function.name} has {found} `{mnemonic}`, expected {WORDS_A_TURN} or more: "
                            "it is the C library's, which moves a byte at a time")
    return problems


def check_memory_functions(kernel: Kernel) -> Report:
    report = Report(note=", ".join(WANTED))
    for name, wanted in WANTED.items():
        try:
            report.problems += check_words(kernel.function(name), wanted)
        except Nothing as nothing:
            report.problems.append(str(nothing))
    linked = {symbol.name for symbol in kernel.elf.symbols if symbol.is_function}
    report.problems += [f"{name} of the C library is linked" for name in sorted(OTHERS & linked)]
    return report
