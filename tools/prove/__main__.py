#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Proves functions of the allocator: python3 tools/prove."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from prove.main import main  # noqa: E402

sys.exit(main())
