#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Boots the kernel under QEMU, passes its console on, and judges the run.

A run passes when the last record on its console is a verdict that says "pass" and QEMU's exit
status agrees. Everything else is a failure: a verdict that says "fail", no verdict at all
(crash, hang, firmware reset), a record after the verdict, a verdict and an exit status that
disagree. One line on stderr says which.

A record is a console line that is a JSON object with a "record" member. Addresses printed as
[<0x80200000>] get the name of their function.

Exit status: 0 pass (or the outcome asked for with --expect), 1 fail, 2 cannot run, 124 time-out,
128 + N when ended by signal N.
"""

import sys

from launcher.command import check_files, find_qemu, harts_of, lines_path, qemu_command
from launcher.console import Console, last_line, parse_record
from launcher.judge import Judgement, judge
from launcher.main import launch, main
from launcher.options import PLUGIN, ROOT, parse_arguments
from launcher.process import Interrupts, Run, Signals, execute
from launcher.status import CANNOT_RUN, FAIL, PASS, TIMED_OUT, CannotRun, say
from launcher.symbols import Symbols

# What the other tools use.
__all__ = [
    "CANNOT_RUN", "FAIL", "PASS", "PLUGIN", "ROOT", "TIMED_OUT", "CannotRun", "Console",
    "Interrupts", "Judgement", "Run", "Signals", "Symbols", "check_files", "execute", "find_qemu",
    "harts_of", "judge", "last_line", "launch", "lines_path", "main", "parse_arguments", "parse_record",
    "qemu_command", "say",
]

if __name__ == "__main__":
    sys.exit(main())
