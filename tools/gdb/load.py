# SPDX-License-Identifier: BSD-2-Clause
"""Commands for gdb about hartframe: gdb-multiarch -x tools/gdb/load.py build/hartframe.elf

`help user-defined` of gdb lists them. They only read the memory of the stopped machine: no function of
the kernel is called, so they are right in any place, inside a critical section too.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from hartframe import commands, printers  # noqa: E402

commands.register()
printers.register()
