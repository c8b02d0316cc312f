#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the checks: /usr/bin/python3 tools/stack --kernel build/hartframe.elf."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from stack.main import main  # noqa: E402

sys.exit(main())
