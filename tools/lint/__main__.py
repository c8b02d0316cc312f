#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the checks: /usr/bin/python3 tools/lint --kernel build/hartframe.elf.

The interpreter is Debian's, which sees Debian's pyelftools.
Prints KTAP, one result a check. Exit status: 0 all passed, 1 some failed.
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from lint.main import main  # noqa: E402

sys.exit(main())
