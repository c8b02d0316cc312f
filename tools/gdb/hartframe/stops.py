# SPDX-License-Identifier: BSD-2-Clause
"""Breakpoints on the ways into a panic: gdb stops where the mistake was noticed, before anything is printed."""

from __future__ import annotations

import gdb

from . import kernel


class Stop(gdb.Breakpoint):
    """Says which panic it is."""

    def __init__(self, function: str) -> None:
        super().__init__(function)
        self.function = function

    def stop(self) -> bool:
        frame = gdb.selected_frame()
        if self.function == "port_panic":
            said = kernel.text(frame.read_var("format"))
        elif self.function == "panic_exception":
            cause = frame.read_var("cause").dereference()
            pc = int(frame.read_var("frame")["pc"])
            said = f"{kernel.text(cause['name'])}, address {int(cause['address']):#x}, at {kernel.place(pc, is_pc=True)}"
        else:
            said = "a trap without a stack"
        gdb.write(f"hf-panic: {said}\n")
        return True


def set_stops() -> None:
    known = {stop.function for stop in gdb.breakpoints() or () if isinstance(stop, Stop)}
    for function in ("port_panic", "panic_exception", "trap_fatal_report"):
        if function not in known:
            Stop(function)
