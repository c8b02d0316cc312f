# SPDX-License-Identifier: BSD-2-Clause
"""What a check returns, and how it is printed: KTAP, one result a check."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Nothing(Exception):
    """What a check wanted to look at is not there."""


@dataclass
class Report:
    """What a check found: problems, or what it looked at."""

    problems: list[str] = field(default_factory=list)
    note: str = ""


def run_tool(
    command: list[str], text: str = "", folder: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    """Runs a program in the repository's root, whatever its exit status."""
    try:
        return subprocess.run(
            command, input=text, cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise Nothing(f"{command[0]}: {error.strerror}") from None


def run(check: Callable[[], Report]) -> Report:
    try:
        return check()
    except Nothing as nothing:
        return Report([str(nothing)])


def ktap_lines(number: int, name: str, report: Report) -> list[str]:
    if not report.problems:
        return [f"ok {number} {name} # {report.note}"]
    if len(report.problems) == 1:
        return [f"not ok {number} {name} # {report.problems[0]}"]
    details = [f"#   {problem}" for problem in report.problems]
    return [f"not ok {number} {name} # {len(report.problems)} problems:", *details]
