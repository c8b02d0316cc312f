# SPDX-License-Identifier: BSD-2-Clause
"""python3 tools/mutants: the same as tools/mutants.py."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mutants.cli import main  # noqa: E402

sys.exit(main())
