# SPDX-License-Identifier: BSD-2-Clause
"""What is run: QEMU's command line, from the launcher's options."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

from .status import CannotRun

# Instructions in a turn of virtual time (docs/virtual-time.md) where turn= is not given.
DEFAULT_TURN = 25
# With more harts some firmware does not come up (docs/testing.md).
HARTS_SAFE = 100


def find_qemu() -> str:
    wanted = os.environ.get("QEMU") or "qemu-system-riscv64"
    found = shutil.which(wanted)
    if found is None:
        raise CannotRun(
            f"{wanted} not found: install the package qemu-system-misc, or run `make deps`"
        )
    return found


def lines_path(options: argparse.Namespace) -> Path:
    """Where QEMU's plugin writes what lines of memory cost, before it is among the records."""
    return Path(f"{options.log}.lines")


def virtual_time(options: argparse.Namespace) -> list[str]:
    """What makes the machine of the boot argument time=virtual; nothing without it."""
    words = dict(word.partition("=")[::2] for word in options.bootargs.split())
    if words.get("time") != "virtual":
        return []
    if options.icount:
        raise CannotRun("time=virtual sets -icount itself: leave out --icount")
    if not options.plugin.is_file():
        raise CannotRun(f"time=virtual needs {options.plugin}: `make` builds it")
    turn, seed = words.get("turn", str(DEFAULT_TURN)), words.get("seed", "1")
    if not (turn.isdecimal() and int(turn) and seed.isdecimal()):
        return ["-icount", "shift=0,sleep=off"]  # the kernel refuses it, and says what is valid
    plugin = f"{options.plugin},turn={int(turn)},seed={int(seed) % 2**64}"
    if options.lines:
        plugin += f",lines={lines_path(options)},line={options.line}"
    return ["-icount", "shift=0,sleep=off", "-plugin", plugin]


def qemu_command(options: argparse.Namespace) -> list[str]:
    command = [find_qemu(), "-machine", "virt", "-nographic", "-monitor", "none"]
    # A guest that resets must not boot again and be taken for a run that goes on.
    command += ["-serial", "stdio", "-no-reboot", "-bios", "default"]
    command += ["-smp", options.smp, "-m", options.mem, "-kernel", str(options.kernel)]
    if options.bootargs:
        command += ["-append", options.bootargs]
    if options.icount:
        command += ["-icount", options.icount]
    if options.dtb:
        command += ["-dtb", str(options.dtb)]
    if options.gdb:
        command += ["-s", "-S"]
    return command + virtual_time(options) + options.qemu_arg


def check_files(options: argparse.Namespace) -> None:
    if options.lines and "time=virtual" not in options.bootargs.split():
        raise CannotRun("--lines is for time=virtual")
    for path in (options.kernel, options.dtb, options.typed):
        if path is not None and not path.is_file():
            raise CannotRun(f"{path}: no such file")


def harts_of(smp: str) -> int:
    """The number of harts that -smp names; 0 where it names them in another way."""
    first = smp.split(",")[0].removeprefix("cpus=")
    return int(first) if first.isdecimal() else 0
