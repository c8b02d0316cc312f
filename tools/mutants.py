#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Mutation tests; see tools/mutants/cli.py."""

import sys

from mutants.cli import main  # the package beside this file, which Python prefers

if __name__ == "__main__":
    sys.exit(main())
