# SPDX-License-Identifier: BSD-2-Clause
"""How gdb prints addresses, frame numbers, states of frames, and locks."""

from __future__ import annotations

from collections.abc import Callable

import gdb
import gdb.printing

from . import frames, kernel, locks, zones


class Printer:
    """A value in words."""

    def __init__(self, value: gdb.Value) -> None:
        self.value = value

    def number(self) -> int:
        return int(self.value["value"])


class Physical(Printer):
    def to_string(self) -> str:
        return f"phys {self.number():#x}"


class Virtual(Printer):
    def to_string(self) -> str:
        return f"virt {self.number():#x}"


class Page(Printer):
    def to_string(self) -> str:
        return f"vpn {self.number():#x}"


class Frame(Printer):
    def to_string(self) -> str:
        number = self.number()
        if number >> 63:
            return "no frame"
        zone = zones.zone_of(number) if kernel.number("zones.count") else None
        return f"frame {number:#x} of {zone['name'].string()}" if zone is not None else f"frame {number:#x}"


class State(Printer):
    def to_string(self) -> str:
        return frames.state_text(int(self.value))


class Lock(Printer):
    def to_string(self) -> str:
        return "\n".join(locks.lines_of(self.value)) if int(self.value["name"]) else "a lock before spin_init()"


PRINTERS: dict[str, Callable[[gdb.Value], Printer]] = {
    "phys_t": Physical, "virt_t": Virtual, "vpn_t": Page, "pfn_t": Frame, "frame_state": State, "spinlock": Lock,
}


def register() -> None:
    collection = gdb.printing.RegexpCollectionPrettyPrinter("hartframe")
    for name, printer in PRINTERS.items():
        collection.add_printer(name, f"^{name}$", printer)
    gdb.printing.register_pretty_printer(gdb.current_objfile(), collection, replace=True)
