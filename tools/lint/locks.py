# SPDX-License-Identifier: BSD-2-Clause
"""Concurrency Kit's memory model, and the fences in the machine code of every lock."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

from .instructions import Instruction, Kind
from .kernel import Function, Kernel
from .report import Nothing, Report, run_tool
from .walks import Taken, calls, lock_reads, writes

MODEL_ERROR = re.compile(r"#error.*relaxed memory order")


def check_memory_model(cc: str, flags: str) -> Report:
    """sync/ck.h takes Concurrency Kit's relaxed memory order and nothing else."""
    report = Report(note="only CK_MD_RMO compiles")
    port = "-DPORT_TOTAL_STORE_ORDER"
    for define in ("", "-DCK_MD_TSO", f"-DCK_MD_TSO {port}", f"-DCK_MD_RMO {port}", "-DCK_MD_PSO",
                   "-DCK_MD_RMO"):
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


LOCK_KINDS = frozenset(
    "fas cas dec ticket mcs clh anderson ticket_pb cohort qspinlock reciprocating hclh".split()
)
NO_LOCK = "none"

# A call in a wait loop that keeps all registers (PORT_CALL_KEEPING): the path goes on after it as before.
KEEPING = "arch_call_keeping"


def check_release(function: Function, kernel: Kernel) -> list[str]:
    """On every path a fence rw,w comes before what may free the lock."""
    problems: list[str] = []
    freeing: set[int] = set()

    def step(instruction: Instruction, fenced: bool) -> bool:
        if instruction.orders("rw", "w"):
            return True
        if calls(instruction, KEEPING, kernel):
            return fenced
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


def after_atomic(instruction: Instruction, taken: Taken) -> Taken:
    # A store-conditional reads nothing: its load-reserved has been here before it.
    return taken if instruction.mnemonic.startswith("sc.") else Taken.UNORDERED


def check_acquire(function: Function, kernel: Kernel, kind: str, is_try: bool) -> list[str]:
    """On every path to `ret` a fence r,rw comes after the last atomic or deciding load.

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
        if calls(instruction, KEEPING, kernel):
            return taken
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


# The queue of these locks has a head, which waits at the lock's word for its CPU's turn.
WITH_HEAD = ("qspinlock",)


def check_head(function: Function) -> list[str]:
    """A fence rw,w comes right before the store that makes the next CPU the head of the queue, and a
    fence r,rw between a CPU's look at its node and its next look at the word.

    The lock is the first argument and the CPU's node the second; what a CPU waits for there is the
    one word of 32 bits.
    """
    problems: list[str] = []
    handed: set[int] = set()
    waited: set[int] = set()

    def step(instruction: Instruction, state: tuple[bool, bool]) -> tuple[bool, bool]:
        fenced, unordered = state
        root = function.words.get(instruction.address, ("", 0))[0]
        others = root not in ("a1", "tp")
        if instruction.mnemonic == "sw" and writes(instruction, function) and others:
            handed.add(instruction.address)
            if not fenced:
                problems.append(f"{function.place(instruction)} with no fence rw,w right before it")
        if root == "a0" and unordered:
            problems.append(f"{function.place(instruction)} is reached unordered")
            unordered = False
        if instruction.mnemonic in ("lw", "lwu") and root == "a1":
            waited.add(instruction.address)
            unordered = True
        fenced = (fenced or instruction.orders("rw", "w")) and not writes(instruction, function)
        return fenced, unordered and not instruction.orders("r", "rw")

    function.walk([function.entry], (False, False), step)
    if not handed or not waited:
        problems.append(f"{function.name} has no queue with a head")
    return problems


# These queue the node that is the second argument.
WITH_NODE = ("mcs", "cohort", "qspinlock", "reciprocating")


def check_published(function: Function) -> list[str]:
    """A fence w,w or more comes between what a CPU writes to its node and the next atomic, which may
    show the node to other CPUs. What an atomic orders by itself does not count.
    """
    problems: list[str] = []
    written: set[int] = set()

    def step(instruction: Instruction, fresh: bool) -> bool:
        if instruction.kind is Kind.ATOMIC and fresh:
            problems.append(f"{function.place(instruction)} shows a node with no fence w,w before it")
            return False
        if instruction.kind is Kind.STORE and function.words[instruction.address][0] == "a1":
            written.add(instruction.address)
            return True
        return fresh and not instruction.orders("w", "w")

    function.walk([function.entry], False, step)
    if not written:
        problems.append(f"{function.name} writes no node")
    return problems


# These have a queue for each group, whose batches go into a queue at the lock's word.
WITH_BATCHES = ("hclh",)


def check_batches(function: Function) -> list[str]:
    """What a CPU has seen comes before the swap of the lock's word, by a fence r,rw or more, and the
    swap before the store that marks a node, by a fence w,w or more. What a CPU writes to a node comes
    before every swap, by a fence w,w or more. What an atomic orders by itself does not count.

    The lock is the first argument, and the second is the CPU's own.
    """
    problems: list[str] = []
    swapped: set[int] = set()
    marked: set[int] = set()
    reads = lock_reads(function)

    def step(i: Instruction, state: tuple[bool, bool, bool]) -> tuple[bool, bool, bool]:
        unordered, written, spliced = state
        root = function.words.get(i.address, ("", 0))[0]
        if i.kind is Kind.ATOMIC and root == "a0":
            swapped.add(i.address)
            if unordered:
                problems.append(f"{function.place(i)} is reached unordered")
        if i.kind is Kind.ATOMIC:
            if written:
                problems.append(f"{function.place(i)} shows a node with no fence w,w before it")
            return root != "a0", False, root == "a0"  # its loop comes round
        if writes(i, function) and root not in ("a0", "a1"):
            if spliced:
                problems.append(f"{function.place(i)} with no fence w,w after the swap")
            if swapped:
                marked.add(i.address)
            written = True
        seen = i.address in reads and root != "a0"
        unordered = (unordered or seen) and not i.orders("r", "rw")
        ordered = i.orders("w", "w")
        return unordered, written and not ordered, spliced and not ordered

    function.walk([function.entry], (False, False, False), step)
    if not swapped or not marked:
        problems.append(f"{function.name} has no batches")
    return problems


def check_bare(function: Function) -> list[str]:
    """The lock `none` orders nothing: a fence or an atomic would be a cost of another lock."""
    bound = (Kind.FENCE, Kind.ATOMIC)
    return [
        f"{function.place(instruction)} in the lock that is to be none"
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
        if kind in WITH_NODE:
            checks += ((f"spin_acquire_{kind}", check_published),)
        if kind in WITH_HEAD:
            checks += ((f"spin_acquire_{kind}", check_head),)
        if kind in WITH_BATCHES:
            checks += ((f"spin_acquire_{kind}", check_batches),)
        for name, check in checks:
            try:
                report.problems += check(kernel.function(name))
            except Nothing as nothing:
                report.problems.append(str(nothing))
    report.problems = list(dict.fromkeys(report.problems))
    return report
