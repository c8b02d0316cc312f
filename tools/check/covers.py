#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Which test covers which source file, from the `Covers:` lines at the head of each test's source.

    covers.py              the table, source by source
    covers.py --tests T    the tests that T means, for `make check T=...`

A line ` * Covers: mm/global/zone.c mm/paging/` names files, folders, or patterns such as
tests/smp/workloads/workloads_*.c; a head may have several. T is a test (`tree` or `test_tree`), a source file, the last part of its name, or
a folder. A test of a tool is named after it: tools/test_trace.py covers tools/trace.py.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

HEAD_LINES_MAX = 40
COVERS = re.compile(r"^\s*(?:\*|#)?\s*Covers: (.*)$")
BOOT = "qemu/quick"  # the boot that runs the tests of tests/smp/selftest/

# Each of these must be covered, or be listed below.
SOURCES = ("mm", "sync", "kernel")
TESTS = ("tests/host/**/test_*.c", "tests/host/**/fuzz_*.c", "tests/smp/selftest/*.c")

# A source that no single test is about, and why.
NOT_COVERED = {
    "kernel/main.c": "the order in which a boot starts everything: every boot runs it",
    "kernel/settings.c": "one variable",
    "kernel/boot/arguments.c": "compares boot arguments with the machine: the boots refused-* of cases.py",
    "kernel/boot/heap_debug.c": "starts the diagnostics of the heap: the boots heapdebug-* and crash-heap-* of cases.py",
    "kernel/diag/heap_leaks.c": "what is live at the end: the boots heap-leak and heapdebug-all of cases.py",
    "kernel/vm/heap_guard.c": "guard pages: the boots crash-heap-guard-* and heapdebug-all of cases.py",
    "kernel/boot/caches.c": "memory for the caches: every boot; its refusals are refused-* of cases.py",
    "kernel/boot/tree.c": "opens and moves the device tree: the boots tree-* of cases.py",
    "kernel/diag/backtrace.c": "the boots crash-* of cases.py",
    "kernel/boot/boot_report.c": "what a boot prints first: the boots numa-* and early-* of cases.py",
    "kernel/diag/clock.c": "measures the clocks: every boot",
    "kernel/diag/progress.c": "one record: tools/test_view.py boots and looks at what is drawn of it",
    "kernel/diag/trace_port.c": "one function that fills the trace's ring: the boots trace-* of cases.py",
    "kernel/diag/verdict.c": "the verdict: every boot ends with it",
    "kernel/boot/start.c": "starts the harts: the boot hart-that-never-arrives of cases.py, and every other",
    "kernel/program_memory.c": "hands memory to the programs of tests/smp: they are its tests",
    "kernel/boot/configure.c": "boot arguments made into settings: the boots refused-* of cases.py",
    "kernel/boot/faults.c": "failnth= and failrate=: the boots faults-* of cases.py",
    "kernel/diag/console.c": "the UART: every boot prints through it",
    "kernel/diag/frame_owners.c": "the boots framedebug and framedebug-leak of cases.py",
    "kernel/diag/heap_report.c": "the boots monitor and size-classes of cases.py",
    "kernel/diag/lock_watch.c": "the boots crash-deadlock-* and lock-held-long of cases.py",
    "kernel/diag/monitor.c": "the prompt: the boots monitor and harts=96 of cases.py, and tools/test_monitor.py",
    "kernel/diag/monitor_act.c": "commands: the boots monitor and harts=96 of cases.py",
    "kernel/diag/monitor_commands.c": "names, help and completion: tools/test_monitor.py",
    "kernel/diag/monitor_input.c": "what is typed: tools/test_monitor.py",
    "kernel/diag/monitor_locks.c": "commands: the boot monitor of cases.py, and tools/test_monitor.py",
    "kernel/diag/monitor_look.c": "commands: the boot monitor of cases.py, and tools/test_monitor.py",
    "kernel/diag/monitor_map.c": "the command map: tools/test_monitor.py",
    "kernel/diag/timing.c": "the check of the host's cores: every stress runs it",
    "kernel/diag/trace.c": "the boots trace-* of cases.py; its ring has host/test_trace",
}


class NoSuchTest(Exception):
    """T means nothing here."""


def files_of(root: Path, patterns: Iterable[str]) -> list[str]:
    """A folder stands for all C files right in it."""
    found = {str(path.relative_to(root)) for pattern in patterns
             for path in root.glob(f"{pattern}*.c" if pattern.endswith("/") else pattern)}
    return sorted(found)


def sources(root: Path = ROOT) -> list[str]:
    return files_of(root, [f"{folder}/**/*.c" for folder in SOURCES])


def patterns_of(path: Path) -> list[str]:
    """What the head of a test's source says that it covers."""
    lines = path.read_text(encoding="utf-8").splitlines()[:HEAD_LINES_MAX]
    matches = [COVERS.match(line) for line in lines]
    return [word for match in matches if match for word in match[1].split()]


def test_name(path: str) -> str:
    """The name of the job that runs the test."""
    if path.startswith("tests/smp/"):
        return BOOT
    if path.startswith("tools/"):
        return path
    stem = Path(path).stem
    return f"corpus/{stem}" if stem.startswith("fuzz_") else f"host/{stem}"


def table(root: Path = ROOT) -> dict[str, set[str]]:
    """For each file that a test covers, the sources of those tests."""
    covered: dict[str, set[str]] = {}
    for test in files_of(root, TESTS):
        for pattern in patterns_of(root / test):
            for source in files_of(root, [pattern]):
                covered.setdefault(source, set()).add(test)
    for test in files_of(root, ["tools/test_*.py"]):
        covered.setdefault(test.replace("/test_", "/"), set()).add(test)
    return covered


def problems(root: Path = ROOT) -> list[str]:
    """What is wrong with the lines: all tests have one, all files exist, all sources are covered."""
    found = []
    for test in files_of(root, TESTS):
        patterns = patterns_of(root / test)
        if not patterns:
            found.append(f"{test}: its head has no line `Covers: FILE...`")
        found += [f"{test}: covers {pattern}, which does not exist"
                  for pattern in patterns if not files_of(root, [pattern])]
    covered = table(root)
    for source in sources(root):
        if source not in covered and source not in NOT_COVERED:
            found.append(f"{source}: no test covers it, and NOT_COVERED in tools/check/covers.py "
                         "does not say why")
        if source in covered and source in NOT_COVERED:
            found.append(f"{source}: is covered, but NOT_COVERED says that it is not")
    found += [f"NOT_COVERED: {source} does not exist"
              for source in NOT_COVERED if source not in sources(root)]
    return found


def means(word: str, path: str) -> bool:
    """A path, a folder, the name of a file, or its stem; a header means its .c file too."""
    stem = path.rpartition(".")[0]
    return word in (path, Path(path).name, Path(path).stem) or (
        path.startswith(word.rstrip("/") + "/") or word.rpartition(".")[0] in (stem, Path(stem).name)
    )


def tests_of(word: str, root: Path = ROOT) -> list[str]:
    """The jobs for one word of T. The boot only where no faster test covers the source."""
    tests = files_of(root, [*TESTS, "tools/test_*.py"])
    named = [test for test in tests if word in (test, Path(test).stem, test_name(test))
             or re.sub("^(test|fuzz)_", "", Path(test).stem) == word]
    found = {test_name(test) for test in named}
    if not found:
        covered = table(root)
        found = {test_name(test) for source in covered for test in covered[source]
                 if means(word, source)}
        if found != {BOOT}:
            found.discard(BOOT)
    if not found and any(means(word, source) for source in sources(root)):
        found = {BOOT}
    if not found:
        by_stem = {re.sub("^(test|fuzz)_", "", Path(path).stem): path for path in [*sources(root), *tests]}
        near = sorted(source for source in {*tests, *sources(root)} if word in source) or \
            [by_stem[stem] for stem in difflib.get_close_matches(Path(word).stem, by_stem)]
        raise NoSuchTest(f"T={word}: no test and no source file is named so; `make covers` lists them"
                         + (f"; near: {' '.join(near[:5])}" if near else ""))
    return sorted(found)


def show(root: Path = ROOT) -> None:
    covered = table(root)
    width = max(map(len, covered))
    for source in sorted({*covered, *NOT_COVERED}):
        names = sorted({test_name(test) for test in covered.get(source, ())})
        print(f"{source:<{width}}  {' '.join(names) or f'({NOT_COVERED[source]})'}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Which test covers which source file.")
    parser.add_argument("--tests", metavar="T", help="print the tests that these words mean")
    options = parser.parse_args(arguments)
    if options.tests is None:
        show()
        return 0
    try:
        names = {name for word in options.tests.split() for name in tests_of(word)}
    except NoSuchTest as error:
        print(f"check: {error}", file=sys.stderr)
        return 1
    print(" ".join(sorted(names)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
