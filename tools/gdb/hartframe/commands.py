# SPDX-License-Identifier: BSD-2-Clause
"""The commands. Each prints what a module of this package finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import gdb

from . import caches, frames, heap, kernel, locks, stops, zones

SHOWN_MAX = 16  # frames of a cache


def argument(words: str, what: str) -> int:
    """An expression of gdb: a number, $a0, a variable, a pfn_t."""
    if not words.strip():
        raise gdb.GdbError(f"say which {what}")
    value = gdb.parse_and_eval(words)
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        value = value["value"]
    return int(value) % 2**64


def where(thread: gdb.InferiorThread) -> str:
    thread.switch()
    return kernel.place(int(gdb.selected_frame().pc()), is_pc=True)


def cpu_lines(_: str) -> Iterable[str]:
    threads, waits = kernel.threads_by_cpu(), {wait.cpu: wait for wait in locks.waits()}
    selected = gdb.selected_thread()
    for index in kernel.cpus():
        arch = kernel.cpu(index)["arch"]
        parts = [f"cpu {index}: hart {int(arch['hart_id'])}"]
        if index in threads:
            parts.append(f"thread {threads[index].num}, at {where(threads[index])}")
        else:
            parts.append("not in the kernel: stopped, or in the firmware")
        if int(arch["trap_depth"]):
            parts.append(f"in {int(arch['trap_depth'])} trap handlers")
        if index in waits:
            parts.append(f"waits for {waits[index].name}")
        cache = caches.cache_of(index)
        parts.append(f"{len(caches.stack_of(cache))} frames cached")
        yield ", ".join(parts)
    if selected:
        selected.switch()


def zone_lines(_: str) -> Iterable[str]:
    for zone in zones.zones():
        first, total = int(zone["first"]), int(zone["total_frames"])
        yield (f"{zone['name'].string()}: node {int(zone['node'])}, frames [{first:#x}, {first + total:#x}), "
               f"{zones.policy_name(zone)}, lock {locks.kind_of(zone['lock'])}; {int(zone['free_frames'])} free "
               f"of {total}, {int(zone['reserved_frames'])} reserved, low mark {int(zone['low'])}")


def cache_lines(words: str) -> Iterable[str]:
    index = argument(words, "cpu")
    if index >= kernel.cpu_count():
        raise gdb.GdbError(f"there is no cpu {index}")
    cache = caches.cache_of(index)
    frames_of = caches.stack_of(cache)
    state = kernel.enum_name("frame_cache_state", int(cache["state"])).removeprefix("FRAME_CACHE_").lower()
    yield (f"cache of cpu {index}: {state}, {len(frames_of)} frames, at most {int(cache['capacity'])}; "
           f"batch {int(cache['batch'])}; {int(cache['frames_moving'])} frames in transit")
    if frames_of:
        more = f", and {len(frames_of) - SHOWN_MAX} more" if len(frames_of) > SHOWN_MAX else ""
        yield "  next: " + " ".join(f"{frame:#x}" for frame in frames_of[: -SHOWN_MAX - 1 : -1]) + more
    for zone, waiting in caches.remote_of(cache).items():
        yield f"  {len(waiting)} frames wait to be given back to zone {zone}"


def lock_lines(_: str) -> Iterable[str]:
    for lock in locks.locks():
        yield from locks.lines_of(lock)


def frame_lines(words: str) -> Iterable[str]:
    return frames.lines_of(argument(words, "frame, by its number or an address in it"))


def heap_lines(words: str) -> Iterable[str]:
    return heap.lines_of(argument(words, "address"))


def panic_lines(_: str) -> Iterable[str]:
    stops.set_stops()
    return ["gdb stops at each panic, before it prints"]


class Lines(gdb.Command):
    """A command that prints lines."""

    def __init__(self, name: str, lines: Callable[[str], Iterable[str]], text: str) -> None:
        self.__doc__ = text
        super().__init__(name, gdb.COMMAND_USER)
        self.lines = lines

    def invoke(self, words: str, _from_tty: bool) -> None:
        for line in self.lines(words):
            gdb.write(line + "\n")


def register() -> None:
    Lines("hf-cpus", cpu_lines, "Each CPU: its hart, gdb's thread, where it is, what it waits for.")
    Lines("hf-zones", zone_lines, "Each zone: its frames, policy and lock.")
    Lines("hf-cache", cache_lines, "hf-cache CPU: the CPU's cache of frames.")
    Lines("hf-locks", lock_lines, "The locks of the zones and of the heap: holders, and CPUs that wait, with call sites.")
    Lines("hf-frame", frame_lines, "hf-frame NUMBER|ADDRESS: the state of a frame, where it is, which call had it last.")
    Lines("hf-heap", heap_lines, "hf-heap ADDRESS: the block of the heap there, its state, which call had it.")
    Lines("hf-panic", panic_lines, "Breakpoints on all ways into a panic.")
