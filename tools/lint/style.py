# SPDX-License-Identifier: BSD-2-Clause
"""What every source file has: a licence line, the format, and no C library of its own."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .report import ROOT, Report, run_tool
from .sources import Sources, listed_files

LIBC_NAMES = r"(memcpy|memset|memmove|memcmp|strlen|strcmp|v?s?n?printf)"
LIBC_DEFINITION = re.compile(
    rf"^[ \t]*#[ \t]*define[ \t]+{LIBC_NAMES}\b"
    rf"|\b{LIBC_NAMES}[ \t]*\([^;{{}}()]*\)\s*\{{"
    rf"|^{LIBC_NAMES}:",
    re.M,
)

# Our own memset, memcpy and memmove, and the test that has them under other names.
LIBC_OURS = {"arch/riscv/string.c", "tests/host/test_string.c"}
LIBC_MEMORY = {"memset", "memcpy", "memmove"}


def check_libc(sources: Sources) -> Report:
    report = Report(note=f"{len(sources.text)} files")
    for path, text in sources.text.items():
        for match in LIBC_DEFINITION.finditer(text):
            name = next(filter(None, match.groups()))
            if path in LIBC_OURS and name in LIBC_MEMORY:
                continue
            line = text.count("\n", 0, match.start()) + 1
            report.problems.append(f"{path}:{line} defines {name}")
    if not any(path.endswith(".c") for path in sources.text):
        report.problems.append("no C files")
    return report


LICENCE = "SPDX-License-Identifier: BSD-2-Clause"
SOURCE_SUFFIXES = (".c", ".h", ".S", ".ld", ".py", ".sh", ".dts", ".pml")


def is_source(path: Path) -> bool:
    if path.suffix in SOURCE_SUFFIXES or path.name == "Makefile":
        return True
    return not path.suffix and path.read_bytes()[:2] == b"#!"


def check_licence(root: Path = ROOT) -> Report:
    """Every source file names the licence, in one of its first lines."""
    paths = [p for p in listed_files(root) if (root / p).is_file() and is_source(root / p)]
    report = Report(note=f"{len(paths)} files")
    for path in paths:
        first = (root / path).read_text().split("\n", 3)[:3]
        if not any(LICENCE in line for line in first):
            report.problems.append(f"{path} has no line `{LICENCE}` at its top")
    if not paths:
        report.problems.append("no source files")
    return report


def check_format(sources: Sources) -> Report:
    """clang-format leaves the C as it is.

    Where there is no clang-format, nothing is said; nor in a copy of the tree that git does not
    know, which is a mutant's: a bug is not to be found by its indentation.
    """
    if not shutil.which("clang-format"):
        return Report(note="SKIP there is no clang-format here")
    if not (sources.root / ".git").exists():
        return Report(note="SKIP this copy of the tree is not git's")
    paths = [path for path in sources.text if path.endswith((".c", ".h"))]
    command = ["clang-format", "--dry-run", "--Werror", *paths]
    result = run_tool(command, folder=sources.root)
    report = Report(note=f"{len(paths)} files")
    found = re.findall(r"^(\S+?:\d+):\d+: error:", result.stderr, re.M)
    report.problems = [f"{place} is not as clang-format has it" for place in dict.fromkeys(found)]
    if not paths or (result.returncode != 0 and not found):
        report.problems.append(f"clang-format failed: {result.stderr.strip()}")
    return report
