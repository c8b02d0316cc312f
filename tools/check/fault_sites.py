# SPDX-License-Identifier: BSD-2-Clause
"""Compares the calls of allocating functions in the kernel's code with those that run=faults has failed.

run=faults records, for each allocation that it made fail, the return addresses on the stack. Each call
of an allocating function in kernel/ and mm/ must be among them, or be listed here with a reason.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from launcher.symbols import source_path

ROOT = Path(__file__).resolve().parents[2]
KERNEL = ROOT / "build" / "hartframe.elf"
PREFIX = os.environ.get("CROSS", "riscv64-unknown-elf-")

# What allocates, where it is not inlined: the slow half of frame_alloc() is a call in its caller.
ALLOCATES = frozenset((
    "frame_cache_refill", "frame_alloc_called", "frame_alloc_run", "frame_alloc_run_flags",
    "frame_alloc_behind", "frame_alloc_run_behind", "kheap_refill", "kheap_large",
    "kmalloc_called", "kmalloc_aligned", "kmalloc_flags", "kcalloc", "krealloc",
))

# Files with calls that run=faults does not make, and why.
NOT_MADE = {
    "kernel/diag/monitor_act.c": "commands that a person types",
    "mm/heap/debug_guard.c": "guard pages: only with heapdebug=",
}

FUNCTION = re.compile(r"^[0-9a-f]+ <(\S+)>:$")
CALL = re.compile(r"^\s*([0-9a-f]+):\s+(?:jal|jalr|c\.jalr?)\b.*?\b([0-9a-f]+) <([\w.]+)>$")
ADDRESS = re.compile(r"^\s*([0-9a-f]+):\s")


def output_of(tool: str, *arguments: str) -> str:
    command = [PREFIX + tool, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def calls_in(disassembly: Iterable[str]) -> dict[int, str]:
    """The address behind each call of a function that allocates, and that function's name."""
    calls: dict[int, str] = {}
    pending = ""
    for line in disassembly:
        address = ADDRESS.match(line)
        if address and pending:
            calls[int(address[1], 16)] = pending
        if address or FUNCTION.match(line):
            pending = ""
        call = CALL.match(line)
        if call and call[3] in ALLOCATES and not re.search(r"\bjalr?\s+zero", line):
            pending = call[3]
    return calls


def places_of(addresses: list[int], kernel: Path) -> dict[int, str]:
    """FILE:LINE of the function that an address is in: inlined ones count as their callers."""
    text = output_of("addr2line", "-a", "-i", "-e", str(kernel), *(hex(a) for a in addresses))
    places: dict[int, str] = {}
    current = 0
    for line in text.splitlines():
        if line.startswith("0x"):
            current = int(line, 16)
        else:
            path, _, number = line.split(" (")[0].rpartition(":")
            places[current] = f"{source_path(path)}:{number}"
    return places


def fault_problems(lines: list[str], kernel: Path = KERNEL) -> list[str]:
    """Calls in the kernel that no allocation which failed was made by."""
    records = [json.loads(line) for line in lines]
    found = [record for record in records if record["record"] == "fault_sites"]
    if len(found) != 1:
        return [f"{len(found)} records of the calls that failed, expected one"]
    failed = set(found[0]["addresses"])
    calls = calls_in(output_of("objdump", "-d", "--no-show-raw-insn", str(kernel)).splitlines())
    # The last byte of the call: the address behind it may be of another line.
    places = places_of([address - 1 for address in sorted(calls)], kernel)
    wanted, made = set(), set()
    for address, name in calls.items():
        place = places[address - 1]
        file = place.rsplit(":", 1)[0]
        if not file.startswith(("kernel/", "mm/")) or file in NOT_MADE:
            continue
        # A compiler may have made two calls of one line.
        wanted.add((place, name))
        if address in failed:
            made.add((place, name))
    problems = [f"{place}: no allocation by this call of {name}() has failed"
                for place, name in sorted(wanted - made)]
    return problems if made else [*problems, "no call in kernel/ or mm/ has failed"]
