# SPDX-License-Identifier: BSD-2-Clause
"""What is run: QEMU's command line, from the launcher's options."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import socket
from pathlib import Path

from .options import ROOT
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


def option_value(path: Path) -> str:
    """In an option of QEMU, whose parts have commas between them."""
    return str(path).replace(",", ",,")


def gdb_listener(port: int) -> socket.socket:
    """Where gdb may connect: a port that is free, for 0."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise CannotRun(f"gdb's port {port}: {os.strerror(error.errno or 0)}; without GDB_PORT= (--gdb-port) the "
                        "launcher takes a free one") from error


def gdb_arguments(listener: socket.socket) -> list[str]:
    """The machine waits for gdb. QEMU gets the listening socket, so no other program can take the port."""
    return ["-chardev", f"socket,id=gdb,fd={listener.fileno()},server=on,wait=off", "-gdb", "chardev:gdb", "-S"]


def gdb_command(kernel: Path, listener: socket.socket) -> str:
    """What the user types."""
    port = listener.getsockname()[1]
    commands = os.path.relpath(ROOT / "tools" / "gdb" / "load.py")
    return shlex.join(["gdb-multiarch", "-x", commands, "-ex", f"target remote localhost:{port}", str(kernel)])


def words_of(bootargs: str) -> dict[str, str]:
    """The boot arguments, as the kernel reads them."""
    return dict(word.partition("=")[::2] for word in bootargs.split())


def virtual_time(options: argparse.Namespace) -> list[str]:
    """What makes the machine of the boot argument time=virtual; nothing without it."""
    words = words_of(options.bootargs)
    if words.get("time") != "virtual":
        return []
    if options.icount:
        raise CannotRun("time=virtual sets -icount itself: leave out --icount")
    if not options.plugin.is_file():
        raise CannotRun(f"time=virtual needs {options.plugin}: `make` builds it")
    turn, seed = words.get("turn", str(DEFAULT_TURN)), words.get("seed", "1")
    if not (turn.isdecimal() and int(turn) and seed.isdecimal()):
        return ["-icount", "shift=0,sleep=off"]  # the kernel refuses it, and says what is valid
    plugin = f"{option_value(options.plugin)},turn={int(turn)},seed={int(seed) % 2**64}"
    if options.lines:
        plugin += f",lines={option_value(lines_path(options))},line={options.line}"
    return ["-icount", "shift=0,sleep=off", "-plugin", plugin]


def machine_of(options: argparse.Namespace) -> str:
    """QEMU's machine: the last one that is named."""
    machine = "virt"
    for option, value in zip(options.qemu_arg, options.qemu_arg[1:]):
        name = value.split(",")[0].removeprefix("type=")
        if option in ("-machine", "-M") and "=" not in name:
            machine = name
    return machine


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
    return command + virtual_time(options) + options.qemu_arg


def check_files(options: argparse.Namespace) -> None:
    if options.lines and words_of(options.bootargs).get("time") != "virtual":
        raise CannotRun("--lines is for time=virtual")
    for path in (options.kernel, options.dtb, options.typed):
        if path is not None and not path.is_file():
            raise CannotRun(f"{path}: no such file")


def harts_of(smp: str) -> int:
    """The number of harts that -smp names; 0 where it names them in another way."""
    first = smp.split(",")[0].removeprefix("cpus=")
    return int(first) if first.isdecimal() else 0
