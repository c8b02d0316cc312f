# SPDX-License-Identifier: BSD-2-Clause
"""What passes from hart to hart without a lock: mailboxes, IPIs, barriers, starts and stops.

docs/memory-model.md, says which fence each of these needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from .instructions import Instruction, Kind
from .kernel import Function, Kernel, functions_with
from .report import Nothing, Report
from .walks import Taken, calls, decides, lock_reads, stored_words, writes


@dataclass(frozen=True)
class Announcer:
    """A function that announces something to another hart: the store, and the fence before it."""

    name: str
    word: str = "sw"  # what stores it
    fence: tuple[str, str] = ("rw", "w")
    ipi: str = ""  # a call of this wakes the other hart, so it comes after an announcement
    in_a_row: bool = False  # several, of which the ipi must follow the last at once


ANNOUNCERS = (
    Announcer("barrier_wait"),
    Announcer("cpus_run", ipi="port_ipi_send", in_a_row=True),
    Announcer("cpu_serve"),
    Announcer("hart_stop_here", fence=("iorw", "w")),
    Announcer("shootdown_answer", word="sd"),
)
LISTENERS = ("barrier_wait", "cpus_run", "cpu_serve", "hart_start", "secondary_entry")
# By these the firmware is asked to reach other harts: through its own words in memory, and devices.
ASKS_FIRMWARE = ("sbi_hart_start", "sbi_remote_sfence", "sbi_send_ipi")
BEFORE_FIRMWARE = ("rw", "ow")
BEHIND_FIRMWARE = ("ir", "rw")
ARRIVALS = ("_start", "secondary_entry")
IPI_CLEAR, IPI_WAIT = "hart_ipi_clear", "hart_sleep"


class Told(Enum):
    """How far a path has come with an announcement."""

    WROTE = auto()  # something, and what is announced next may overtake it
    FENCED = auto()
    TOLD = auto()  # announced, and nothing more was written before a fence or a call


def check_announcer(announcer: Announcer, kernel: Kernel) -> list[str]:
    """A fence comes last before each announcement, and nothing that belongs to it comes after.

    A fence, not an `.rl` of the atomic itself: Concurrency Kit 0.7.2 has none.
    """
    function = kernel.function(announcer.name)
    problems: list[str] = []
    announced: set[int] = set()
    fence = " ".join(("fence", ",".join(announcer.fence)))

    def announces(instruction: Instruction) -> bool:
        atomic = instruction.kind is Kind.ATOMIC and announcer.word == "sw"
        return (atomic or instruction.mnemonic == announcer.word) and writes(instruction, function)

    def step(instruction: Instruction, told: Told) -> Told:
        if instruction.orders(*announcer.fence):
            return Told.FENCED
        if announces(instruction):
            announced.add(instruction.address)
            if told is not Told.FENCED:
                problems.append(f"{function.place(instruction)} with no {fence} right before it")
            return Told.TOLD
        if calls(instruction, announcer.ipi, kernel) and told is not Told.TOLD:
            problems.append(f"{function.place(instruction)} comes before what it announces")
        if instruction.kind is Kind.CALL:
            return Told.WROTE
        if writes(instruction, function):
            if told is Told.TOLD and not announcer.in_a_row:
                problems.append(f"{function.place(instruction)} comes after the announcement")
            return Told.WROTE
        return told

    function.walk([function.entry], Told.WROTE, step)
    if not announced:
        problems.append(f"{announcer.name} announces nothing")
    return problems


def check_listener(name: str, kernel: Kernel) -> list[str]:
    """What a word said is acted upon only after a fence r,rw (or .aq): no return, no use before.

    Uses are a call through a register, and for a hart that comes in the load of its cpu block. A
    compare-and-swap that finds another value has read it, too. An `.aq` counts in assembly only:
    the atomics of Concurrency Kit 0.7.1 have one, those of 0.7.2 do not.
    """
    function = kernel.function(name)
    problems: list[str] = []
    acquired: set[int] = set()
    reads = lock_reads(function)

    def step(instruction: Instruction, taken: Taken) -> Taken:
        through = instruction.kind in (Kind.CALL, Kind.JUMP) and instruction.target is None
        own = instruction.kind is Kind.LOAD and instruction.written == "tp"
        if instruction.kind is Kind.RETURN or through or own:
            if taken is Taken.UNORDERED:
                problems.append(f"{function.place(instruction)} is reached unordered")
            elif taken is Taken.ACQUIRED:
                acquired.add(instruction.address)
        if instruction.orders("r", "rw"):
            return taken if taken is Taken.UNTOUCHED else Taken.ACQUIRED
        if instruction.kind is Kind.ATOMIC:
            ordered = name in ARRIVALS and instruction.acquires
            return Taken.ACQUIRED if ordered else Taken.UNORDERED
        return Taken.UNORDERED if instruction.address in reads else taken

    function.walk([function.entry], Taken.UNTOUCHED, step)
    if not acquired and not problems:
        problems.append(f"{name} has no path that acquires")
    return problems


def check_barrier(name: str, kernel: Kernel) -> list[str]:
    """Read the round, arrive by one atomic that decides, and let go by the very last store."""
    function = kernel.function(name)
    problems: list[str] = []
    stored = stored_words(function)
    reads = {at for at in lock_reads(function) if function.words[at] in stored}
    rounds = {function.words[at] for at in reads}

    def step(instruction: Instruction, state: tuple[bool, bool]) -> tuple[bool, bool]:
        looked, cpu_mask_clear = state
        if instruction.kind is Kind.ATOMIC:
            if not looked:
                problems.append(f"{function.place(instruction)} arrives before the round is read")
            if not decides(function, instruction):
                problems.append(f"{function.place(instruction)} does not decide which hart is last")
        if cpu_mask_clear and writes(instruction, function):
            problems.append(f"{function.place(instruction)} comes after the others may go")
        goes = instruction.mnemonic == "sw" and function.words[instruction.address] in rounds
        return looked or instruction.address in reads, cpu_mask_clear or goes

    function.walk([function.entry], (False, False), step)
    return problems if rounds else [*problems, f"{name} has no round to wait for"]


class Look(Enum):
    """How far a path has come towards sleep."""

    AWAKE = auto()
    MASKED = auto()  # interrupts: an IPI stays pending, and ends the sleep
    LOOKED = auto()  # for work, after that


def check_sleep(name: str, kernel: Kernel) -> list[str]:
    """A hart masks its ipi, then looks for work, then sleeps: any other order loses an IPI."""
    function = kernel.function(name)
    problems: list[str] = []
    slept: set[int] = set()
    own = stored_words(function)
    # A word that the function writes too tells nothing of others.
    reads = {at for at in lock_reads(function) if function.words[at] not in own}

    def step(instruction: Instruction, look: Look) -> Look:
        if "sstatus" in instruction.operands:
            clears = instruction.mnemonic in ("csrrci", "csrci", "csrrc", "csrc")
            return Look.MASKED if clears else Look.AWAKE
        if calls(instruction, IPI_CLEAR, kernel):
            return Look.AWAKE
        if instruction.address in reads and look is Look.MASKED:
            return Look.LOOKED
        if calls(instruction, IPI_WAIT, kernel):
            slept.add(instruction.address)
            if look is not Look.LOOKED:
                problems.append(f"{function.place(instruction)} sleeps on an old look for work")
            return Look.AWAKE
        return look

    function.walk([function.entry], Look.AWAKE, step)
    return problems or ([] if slept else [f"{name} never sleeps"])


def check_served(name: str, kernel: Kernel) -> list[str]:
    """The word that says "done", which the function reads too, is stored after the work's call."""
    function = kernel.function(name)
    problems: list[str] = []
    read = {function.words[at] for at in lock_reads(function)}
    done: set[int] = set()

    def step(instruction: Instruction, ran: bool) -> bool:
        if instruction.kind is Kind.CALL and instruction.target is None:
            return True
        if instruction.mnemonic == "sw" and function.words[instruction.address] in read:
            done.add(instruction.address)
            if not ran:
                problems.append(f"{function.place(instruction)} comes before the work it tells of")
            return False
        return ran

    function.walk([function.entry], False, step)
    return problems if done else [f"{name} never says that work is done"]


def check_ipi_clear(kernel: Kernel) -> list[str]:
    """The pending bit goes first, then a fence ior,rw: the look for work cannot overtake it."""
    function = kernel.function(IPI_CLEAR)
    problems: list[str] = []
    cleared: set[int] = set()

    def step(instruction: Instruction, fenced: bool) -> bool:
        if instruction.sets_csr("sip"):
            cleared.add(instruction.address)
            return False
        if instruction.kind is Kind.RETURN and not fenced:
            problems.append(f"{function.place(instruction)} with no fence ior,rw before it")
        return fenced or instruction.orders("ior", "rw")

    function.walk([function.entry], False, step)
    return problems if cleared else [*problems, f"{IPI_CLEAR} clears no ipi"]


def check_ipi_taken(name: str, kernel: Kernel) -> list[str]:
    """The IPI is cleared before anything is answered: a later IPI is still pending."""
    function = kernel.function(name)
    first = next((i for i in function.code.values() if i.kind is Kind.CALL), None)
    if first is None or not calls(first, IPI_CLEAR, kernel):
        return [f"{name} does something before it clears the ipi: `{first}`"]
    return []


def check_asks(name: str, kernel: Kernel) -> list[str]:
    """A fence rw,ow comes last before each call, from whatever function."""
    asking = functions_with(kernel, lambda i: calls(i, name, kernel))
    problems: list[str] = []
    for function in asking:

        def step(instruction: Instruction, fenced: bool, function: Function = function) -> bool:
            if calls(instruction, name, kernel) and not fenced:
                where = function.place(instruction)
                problems.append(f"{where} with no fence rw,ow right before it")
            if instruction.orders(*BEFORE_FIRMWARE):
                return True
            spoils = instruction.kind is Kind.CALL or writes(instruction, function)
            return fenced and not spoils

        function.walk([function.entry], False, step)
    return problems if asking else [f"{name} is called by no function"]


def check_answered(name: str, call: str, kernel: Kernel) -> list[str]:
    """A fence ir,rw comes between the firmware's answer and the return."""
    function = kernel.function(name)
    problems: list[str] = []

    def step(instruction: Instruction, open_answer: bool) -> bool:
        if instruction.kind is Kind.RETURN and open_answer:
            problems.append(f"{function.place(instruction)} with no fence ir,rw behind {call}")
        if calls(instruction, call, kernel):
            return True
        return open_answer and not instruction.orders(*BEHIND_FIRMWARE)

    function.walk([function.entry], False, step)
    return problems


def check_arrival(name: str, kernel: Kernel) -> list[str]:
    """A hart that comes in has a fence ior,rw and a fence.i before its first atomic."""
    function = kernel.function(name)
    problems: list[str] = []
    swaps = 0

    def step(instruction: Instruction, state: tuple[bool, bool]) -> tuple[bool, bool] | None:
        nonlocal swaps
        fenced, fetches = state
        if instruction.kind is Kind.ATOMIC:
            swaps += 1
            if not fenced:
                problems.append(f"{function.place(instruction)} with no fence ior,rw before it")
            if not fetches:
                problems.append(f"{function.place(instruction)} with no fence.i before it")
            return None
        fenced = fenced or instruction.orders("ior", "rw")
        return fenced, fetches or instruction.mnemonic == "fence.i"

    function.walk([function.entry], (False, False), step)
    return problems if swaps else [*problems, f"{name} has no swap"]


def check_decided(name: str, kernel: Kernel) -> list[str]:
    """A starter and a hart that comes late agree by an atomic which of them was first."""
    function = kernel.function(name)
    swaps = 0

    def step(instruction: Instruction, state: bool) -> bool:
        nonlocal swaps
        swaps += instruction.kind is Kind.ATOMIC
        return state

    function.walk([function.entry], False, step)
    return [] if swaps else [f"{name} has no swap"]


def check_stop(name: str, kernel: Kernel) -> list[str]:
    """Between the word that says that the hart is gone and the firmware's call is a fence rw,ow."""
    function = kernel.function(name)
    problems: list[str] = []
    stops = 0

    def step(instruction: Instruction, fenced: bool) -> bool:
        nonlocal stops
        if instruction.mnemonic == "ecall":
            stops += 1
            if not fenced:
                where = function.place(instruction)
                problems.append(f"{where} with no fence rw,ow right before it")
        if instruction.orders(*BEFORE_FIRMWARE):
            return True
        return fenced and not writes(instruction, function)

    function.walk([function.entry], False, step)
    return problems if stops else [*problems, f"{name} never stops"]


def check_flushed(name: str, kernel: Kernel) -> list[str]:
    """A fence r,rw comes between the words that ask for a flush and the flush."""
    function = kernel.function(name)
    problems: list[str] = []
    flushed: set[int] = set()
    reads = lock_reads(function)

    def step(instruction: Instruction, taken: Taken) -> Taken:
        flush = instruction.mnemonic.startswith("sfence") or calls(instruction, "mmu_flush", kernel)
        if flush:
            flushed.add(instruction.address)
            if taken is not Taken.ACQUIRED:
                problems.append(f"{function.place(instruction)} is reached {taken.name.lower()}")
        if instruction.orders("r", "rw"):
            return taken if taken is Taken.UNTOUCHED else Taken.ACQUIRED
        if instruction.kind is Kind.ATOMIC or instruction.address in reads:
            return Taken.UNORDERED
        return taken

    function.walk([function.entry], Taken.UNTOUCHED, step)
    return problems if flushed else [*problems, f"{name} never flushes"]


def check_published(name: str, call: str, kernel: Kernel) -> list[str]:
    """A fence rw,w comes before the call that stores what other harts may walk, and no store between."""
    function = kernel.function(name)
    problems: list[str] = []
    stored = 0

    def step(instruction: Instruction, fenced: bool) -> bool:
        nonlocal stored
        if calls(instruction, call, kernel):
            stored += 1
            if not fenced:
                where = function.place(instruction)
                problems.append(f"{where} calls {call} with no fence rw,w before it")
        if instruction.orders("rw", "w"):
            return True
        return fenced and not writes(instruction, function)

    function.walk([function.entry], False, step)
    return problems if stored else [*problems, f"{name} never calls {call}"]


def check_handovers(kernel: Kernel) -> Report:
    """docs/memory-model.md: mailboxes, IPIs, barriers, harts that come in and stop."""
    names = dict.fromkeys([*(announcer.name for announcer in ANNOUNCERS), *LISTENERS, IPI_CLEAR])
    report = Report(note=", ".join([*names, *ASKS_FIRMWARE]))
    checks: list[Callable[[], list[str]]] = [
        *(partial(check_announcer, announcer, kernel) for announcer in ANNOUNCERS),
        *(partial(check_listener, name, kernel) for name in LISTENERS),
        *(partial(check_asks, name, kernel) for name in ASKS_FIRMWARE),
        *(partial(check_arrival, name, kernel) for name in ARRIVALS),
        partial(check_answered, "mmu_flush_harts", "sbi_remote_sfence", kernel),
        partial(check_flushed, "shootdown_answer", kernel),
        partial(check_decided, "hart_start", kernel),
        partial(check_published, "page_table_map", "mapping_fill", kernel),
        partial(check_stop, "hart_stop_here", kernel),
        partial(check_barrier, "barrier_wait", kernel),
        partial(check_sleep, "cpu_serve", kernel),
        partial(check_served, "cpu_serve", kernel),
        partial(check_ipi_clear, kernel),
        partial(check_ipi_taken, "ipi_handle_except_frames", kernel),
    ]
    for check in checks:
        try:
            report.problems += check()
        except Nothing as nothing:
            report.problems.append(str(nothing))
    report.problems = list(dict.fromkeys(report.problems))
    return report
