# SPDX-License-Identifier: BSD-2-Clause
"""Holders of locks and the CPUs that wait for them, as sync/lock_owners.h notes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gdb

from . import kernel, zones

CPU_BITS = 16
SITE_BITS = 64 - CPU_BITS


@dataclass(frozen=True)
class Owner:
    cpu: int
    site: int  # 0: not known


def sign_of(note: int) -> int:
    return note >> 63 & 1


def unpack(note: int) -> Owner:
    site = note >> CPU_BITS
    if sign_of(note):
        site |= ~0 << SITE_BITS
    return Owner(note % 2**CPU_BITS, site % 2**64)


def is_held(note: int) -> bool:
    """As lock_owner_is_held(): all sites have the sign of a function; the complement is of a release."""
    function = int(gdb.lookup_global_symbol("spin_lock").value().address) << CPU_BITS
    return sign_of(note) == sign_of(function) and unpack(note).site not in (0, 2**64 - 1)


def holder_of(lock: gdb.Value) -> Owner | None:
    note = int(lock["word"]["note"]["holder"])
    return unpack(note) if is_held(note) else None


@dataclass(frozen=True)
class Wait:
    cpu: int
    lock: int  # address
    name: str
    site: int


def waits() -> list[Wait]:
    found = []
    for cpu in range(kernel.number("'sync/lock_owners.c'::records_count")):
        wait = kernel.value(f"'sync/lock_owners.c'::records[{cpu}].wait")
        if int(wait["number"]):
            found.append(Wait(cpu, int(wait["lock"]), kernel.text(wait["name"]), int(wait["site"])))
    return found


def locks() -> Iterator[gdb.Value]:
    """Those that the allocator has, and others that a CPU waits for."""
    known = [zone["lock"] for zone in zones.zones()] + [kernel.value("kheap.lock")]
    yield from known
    addresses = {int(lock.address) for lock in known}
    for address in sorted({wait.lock for wait in waits()} - addresses):
        yield kernel.structure("spinlock", address)


def kind_of(lock: gdb.Value) -> str:
    return kernel.enum_name("spin_kind", int(lock["kind"])).removeprefix("SPIN_").lower()


def lines_of(lock: gdb.Value) -> list[str]:
    """The lock with its holder, and a line for each CPU that waits."""
    owner = holder_of(lock)
    said = f"held by cpu {owner.cpu}, since {kernel.place(owner.site)}" if owner else "no holder is known"
    lines = [f"{kernel.text(lock['name'])} ({kind_of(lock)}): {said}"]
    for wait in waits():
        if wait.lock == int(lock.address):
            lines.append(f"  cpu {wait.cpu} waits for it at {kernel.place(wait.site)}")
    return lines
