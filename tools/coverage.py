#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Which functions of mm/, sync/ and kernel/smp/ the tests that stop code in its middle have entered.

    coverage.py --build FOLDER PROGRAM...    runs the programs, which gcc has built with --coverage, and
                                             writes the table of docs/coverage.md

A program's objects are below FOLDER/BUILD (traps, space, cpu); what it has executed is in the .gcda
files beside them. A function that no program enters is a gap: it must be listed in ARGUED with a
reason. Exit status: 0 when each gap is argued and each argument is for a gap; 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "docs" / "coverage.md"

SOURCES = ("mm/", "sync/", "kernel/smp/")
# The builds whose tests enter functions in the middle of others, and what the column is called.
BUILDS = {
    "traps": "traps",  # a trap, or another cpu, at each access
    "space": "space",  # simulated MMUs: cpus switch at each access and flush
    "cpu": "cpu",      # a simulated firmware: events at each call
}

# Files, or functions FILE:NAME, that none of these tests enters, and why that is right.
ARGUED: dict[str, str] = {}

HEAD = """# Functions that are entered by traps and other CPUs

`make coverage` writes this page. A mark says that a test of that build enters the function: `traps` are
tests/host/traps/, where a trap or another CPU comes in at each access; `space` and `cpu` are the simulated
machines, where CPUs switch at each access of the tables, and at each call of the firmware. Explored schedules
(`make explore`) run the kernel's binary, in which nothing counts functions: NOT MEASURABLE.

"""


def executed(folder: Path) -> dict[tuple[str, str], int]:
    """(file, function) and how often it was entered, by the objects below a folder."""
    found: dict[tuple[str, str], int] = {}
    notes = sorted(str(path) for path in folder.rglob("*.gcno"))
    for at in range(0, len(notes), 40):
        output = subprocess.run(["gcov", "--json-format", "--stdout", *notes[at:at + 40]], cwd=ROOT,
                                capture_output=True, text=True, check=True).stdout
        for line in output.splitlines():
            for file in json.loads(line)["files"]:
                name = os.path.relpath(ROOT / file["file"], ROOT)
                if not name.startswith(SOURCES):
                    continue
                for function in file["functions"]:
                    key = (name, function["name"])
                    found[key] = found.get(key, 0) + function["execution_count"]
    return found


def table(counts: dict[str, dict[tuple[str, str], int]]) -> tuple[list[str], list[str]]:
    """The lines of the page, and what is wrong."""
    keys = sorted({key for found in counts.values() for key in found})
    lines = ["| function | " + " | ".join(BUILDS.values()) + " |", "|---|" + "---|" * len(BUILDS)]
    gaps, problems, used = [], [], set()
    for file, name in keys:
        entered = [bool(counts[build].get((file, name))) for build in BUILDS]
        if any(entered):
            marks = " | ".join("x" if mark else "" for mark in entered)
            lines.append(f"| `{name}` ({file}) | {marks} |")
            continue
        why = next((key for key in (f"{file}:{name}", file) if key in ARGUED), None)
        if why is None:
            problems.append(f"{file}: no such test enters {name}, and ARGUED does not say why")
        else:
            used.add(why)
            gaps.append(f"| `{name}` ({file}) | {ARGUED[why]} |")
    problems += [f"ARGUED: {key} is entered, or does not exist" for key in sorted(set(ARGUED) - used)]
    entered_count = len(lines) - 2
    lines.insert(0, f"{entered_count} of {len(keys)} functions are entered.\n")
    if gaps:
        lines += ["", "## Functions that are not entered", "", "| function | why |", "|---|---|", *gaps]
    return lines, problems


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("programs", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    for path in options.build.rglob("*.gcda"):
        path.unlink()
    for program in options.programs:
        print(f"  RUN     {program}", flush=True)
        status = subprocess.run([program.resolve()], cwd=ROOT, stdout=subprocess.DEVNULL, check=False).returncode
        if status:
            print(f"coverage: {program}: exit status {status}", file=sys.stderr)
            return 1
    lines, problems = table({build: executed(options.build / build) for build in BUILDS})
    TABLE.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    for problem in problems:
        print(f"coverage: {problem}", file=sys.stderr)
    print(f"coverage: {TABLE.relative_to(ROOT)}: {lines[0].strip()}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
