# SPDX-License-Identifier: BSD-2-Clause
"""The records of waits in sync/lock_owners.c: the fences (a) to (e) of lock_owners.h, in the machine code.

Compilers inline these functions, so an access is found by the function that the debug information names.
"""

from __future__ import annotations

from collections import Counter

from .instructions import Instruction, Kind
from .kernel import Function, Kernel, functions_with, inline_chains
from .report import Nothing, Report

# The functions whose accesses are looked at, and what these accesses are.
WRITER, READER, END, NOTE = "publish", "lock_wait_of", "lock_wait_end", "lock_owner_note"
KINDS = {WRITER: Kind.STORE, READER: Kind.LOAD, END: Kind.STORE, NOTE: Kind.STORE}
# Words of a record besides its number.
WORDS = 5


class Accesses:
    """What each of these functions stores or loads by a whole access of 64 bits, wherever it is inlined."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        whole = {address for address, i in kernel.code.items() if i.mnemonic in ("ld", "sd")}
        chains = inline_chains(kernel, sorted(whole))
        self.by_name: dict[str, set[int]] = {name: set() for name in KINDS}
        for address, chain in chains.items():
            # The kit's functions alone: what the compiler keeps on its stack is not theirs.
            for name in KINDS if chain and chain[0].startswith("ck_pr_") else ():
                if name in chain and kernel.code[address].kind is KINDS[name]:
                    self.by_name[name].add(address)

    def functions(self, name: str) -> list[Function]:
        found = functions_with(self.kernel, lambda i: i.address in self.by_name[name])
        if not found:
            raise Nothing(f"no access of {name} found")
        return found


def check_numbered(function: Function, accesses: set[int], fence: tuple[str, str]) -> list[str]:
    """Between a record's number, which is its first word, and its other words comes a fence.

    Both ways: a writer clears the number first and sets it last, a reader reads it first and last.
    """
    problems: list[str] = []
    inside = [function.words[at] for at in function.code if at in accesses]
    firsts = {root: min(offset for r, offset in inside if r == root) for root, _ in inside}
    shown = f"fence {','.join(fence)}"

    for root, count in Counter(root for root, _ in inside).items():
        numbers = sum(1 for r, offset in inside if (r, offset) == (root, firsts[r]))
        if numbers < 2 or count - numbers < WORDS:
            problems.append(f"{function.name} has no record whose number comes first and last")

    def step(instruction: Instruction, last: tuple[object, bool]) -> tuple[object, bool]:
        if instruction.orders(*fence):
            return "fenced", False
        if instruction.address not in accesses:
            return last
        root, offset = function.words[instruction.address]
        is_number = offset == firsts[root]
        if last == (root, not is_number):
            problems.append(f"{function.place(instruction)} with no {shown} before it")
        return root, is_number

    function.walk([function.entry], ("", False), step)
    return problems


def check_end(function: Function, ends: set[int], notes: set[int]) -> list[str]:
    """A fence w,w comes between the end of a wait and the note of the lock's holder."""
    problems: list[str] = []
    noted: set[int] = set()

    def step(instruction: Instruction, unordered: bool) -> bool:
        if instruction.address in ends:
            return True
        if instruction.address in notes:
            noted.add(instruction.address)
            if unordered:
                problems.append(f"{function.place(instruction)} with no fence w,w before it")
        return unordered and not instruction.orders("w", "w")

    function.walk([function.entry], False, step)
    return problems if noted else [f"{function.name} ends a wait and notes no holder"]


def check_owners(kernel: Kernel) -> Report:
    report = Report(note=f"{WRITER}, {READER}, {END} before {NOTE}")
    accesses = Accesses(kernel)
    for name, fence in ((WRITER, ("w", "w")), (READER, ("r", "r"))):
        for function in accesses.functions(name):
            report.problems += check_numbered(function, accesses.by_name[name], fence)
    for function in accesses.functions(END):
        report.problems += check_end(function, accesses.by_name[END], accesses.by_name[NOTE])
    report.problems = list(dict.fromkeys(report.problems))
    return report
