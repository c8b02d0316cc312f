# SPDX-License-Identifier: BSD-2-Clause
"""The launcher's own command line."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import NoReturn

from .status import CANNOT_RUN, say

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_TIMEOUT_SECONDS = 120.0
HARTS_MAX = 512  # of QEMU's virt machine
PORT_MAX = 65535
# QEMU's plugin of virtual time (docs/virtual-time.md).
PLUGIN = ROOT / "build" / "qemu" / "hartframe.so"


def harts(text: str) -> str:
    """QEMU takes 0 for "not given"."""
    found = re.fullmatch(r"(?:cpus=)?(\d+)(?:,.+)?", text)
    if not found or not 1 <= int(found[1]) <= HARTS_MAX:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of harts: valid are 1 to {HARTS_MAX} (SMP=4)")
    return text


def memory(text: str) -> str:
    """The same, and a number without a unit is of MiB."""
    if not re.fullmatch(r"\d+|\d+(\.\d+)?[kKmMgGtT]", text) or float(text.rstrip("kKmMgGtT")) == 0:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no size of memory: valid are numbers with K, M, G or T (MEM=128M, MEM=1G)")
    return text


def seconds(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise argparse.ArgumentTypeError(f"'{text}' is no time: valid are seconds, and 0 for no limit (TIMEOUT=120)")
    return float(text)


def port(text: str) -> int:
    if not text.isdecimal() or int(text) > PORT_MAX:
        raise argparse.ArgumentTypeError(f"'{text}' is no port: valid are 1 to {PORT_MAX}, and 0 for a free one")
    return int(text)


class Parser(argparse.ArgumentParser):
    """Says what is wrong, without the list of all options."""

    def error(self, message: str) -> NoReturn:
        say(message)
        sys.exit(CANNOT_RUN)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        description="Boot the kernel under QEMU and say whether the run passed.",
        epilog="QEMU in the environment names another qemu-system-riscv64.",
    )
    add = parser.add_argument
    add("--kernel", type=Path, required=True, metavar="ELF")
    add("--smp", type=harts, default="4", metavar="N", help="harts (default: 4)")
    add("--mem", type=memory, default="128M", metavar="SIZE", help="memory (default: 128M)")
    add("--bootargs", default="", metavar="WORDS", help="the kernel's boot arguments")
    add("--timeout", type=seconds, metavar="SECONDS",
        help="limit in wall clock; 0: no limit (default: 120; with --interactive or --gdb: 0)")
    add("--icount", metavar="SPEC", help="QEMU's -icount, such as shift=0,sleep=off")
    add("--dtb", type=Path, metavar="FILE", help="a device tree in place of QEMU's")
    add("--qemu-arg", action="append", default=[], metavar="ARG",
        help="one more argument for QEMU, written --qemu-arg=ARG; may be repeated")
    add("--logs", type=Path, default=ROOT / "build" / "logs", metavar="DIR",
        help="where the run has its folder of console and records (default: build/logs); latest is a link to it")
    add("--run", metavar="NAME", help="the folder's name (default: date, time and process)")
    add("--boot", default="run", metavar="NAME", help="of the files in it: run.log, run.jsonl")
    add("--log", type=Path, metavar="FILE", help="the raw console, in place of the folder")
    add("--records", type=Path, metavar="FILE", help="the records, one to a line")
    add("--usage", type=Path, metavar="FILE",
        help="what QEMU used of the host, as one JSON object: max_rss_kib")
    add("--quiet", action="store_true", help="do not pass the console on")
    add("--json", action="store_true", help="pass on the records too")
    add("--color", choices=("auto", "0", "1"), default="auto",
        help="colours on the console (default: on a terminal, unless NO_COLOR is set)")
    add("--summary", action="store_true", help="end with a summary of the run on the console")
    add("--after", type=Path, action="append", default=[], metavar="FILE",
        help="records of a boot before this one, for the summary; may be repeated")
    add("--more", action="store_true", help="another boot follows: the summary is its, unless this one fails")
    add("--after-boot", action="store_true", help="pass on what comes after the kernel's record of boot")
    add("--interactive", action="store_true", help="connect this terminal to the console")
    add("--typed", type=Path, metavar="FILE", help="what is typed on the console")
    add("--plugin", type=Path, default=PLUGIN, metavar="FILE",
        help="QEMU's plugin for the boot argument time=virtual")
    add("--lines", action="store_true",
        help="say what lines of memory cost the cells of a sweep in virtual time (docs/lines.md)")
    add("--line", type=int, default=0, metavar="N",
        help="with --lines: each transfer of a line takes a hart N instructions (default: 0)")
    add("--gdb", action="store_true", help="wait for gdb")
    add("--gdb-port", type=port, default=0, metavar="N", help="with --gdb: the port (default: a free one)")
    add("--expect", choices=("pass", "fail", "fail-untold", "panic"), default="pass",
        help="the outcome that is a success (default: pass)")
    options = parser.parse_args(arguments)
    if options.timeout is None:
        bounded = not (options.interactive or options.gdb)
        options.timeout = DEFAULT_TIMEOUT_SECONDS if bounded else 0.0
    return options
