# SPDX-License-Identifier: BSD-2-Clause
"""Variables of the kernel, its CPUs, and places in its source."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import gdb

from launcher.symbols import Symbols

FRAME_SHIFT = 12


def value(expression: str) -> gdb.Value:
    return gdb.parse_and_eval(expression)


def number(expression: str) -> int:
    return int(value(expression))


def text(pointer: gdb.Value) -> str:
    return pointer.string() if int(pointer) else "?"


def words(address: int, count: int) -> list[int]:
    """64-bit words of memory, in one read."""
    memory = bytes(gdb.selected_inferior().read_memory(address, 8 * count)) if count else b""
    return [int.from_bytes(memory[at : at + 8], "little") for at in range(0, len(memory), 8)]


def word(address: int) -> int:
    return words(address, 1)[0]


def byte(address: int) -> int:
    return gdb.selected_inferior().read_memory(address, 1)[0][0]


def enum_name(kind: str, found: int) -> str:
    """The constant's name in `enum KIND`, or the number."""
    for field in gdb.lookup_type(f"enum {kind}").fields():
        if field.enumval == found:
            return str(field.name)
    return f"{found:#x}"


def structure(kind: str, address: int) -> gdb.Value:
    return gdb.Value(address).cast(gdb.lookup_type(f"struct {kind}").pointer()).dereference()


def size_of(kind: str) -> int:
    return int(gdb.lookup_type(f"struct {kind}").sizeof)


def offset_of(kind: str, member: str) -> int:
    fields = gdb.lookup_type(f"struct {kind}").fields()
    return next(field.bitpos // 8 for field in fields if field.name == member)


@lru_cache(maxsize=1)
def symbols_of(kernel: str) -> Symbols:
    return Symbols(Path(kernel))


def place(address: int, is_pc: bool = False) -> str:
    """The function and line of the call that returns to the address, or of an instruction; as on the console."""
    if not address:
        return "a call that is not known"
    return symbols_of(gdb.current_progspace().filename).text(address, is_pc) or hex(address)


# CPUs ----------------------------------------------------------------------------------------


def cpu_count() -> int:
    """0: the kernel has not counted its harts yet."""
    return number("port_cpus")


def cpu(index: int) -> gdb.Value:
    """struct cpu."""
    return structure("cpu", number("port_cpu_blocks") + index * number("port_cpu_block_bytes"))


def area_of(index: int) -> int:
    """The address that the CPU has in tp."""
    return int(cpu(index)["arch"]["area"].address)


def cpus() -> Iterator[int]:
    if not cpu_count():
        raise gdb.GdbError("the kernel has not counted its harts yet: `hbreak kernel_main`, `continue`")
    yield from range(cpu_count())


def threads_by_cpu() -> dict[int, gdb.InferiorThread]:
    """gdb's thread of each CPU whose hart is in the kernel: tp says so."""
    areas = {area_of(index): index for index in cpus()}
    selected, found = gdb.selected_thread(), {}
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        tp = int(gdb.selected_frame().read_register("tp")) % 2**64
        if tp in areas:
            found[areas[tp]] = thread
    if selected:
        selected.switch()
    return found
