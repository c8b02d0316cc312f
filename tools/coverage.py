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
import re
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
UNDER_LOCK = ("runs under a zone's lock with interrupts masked, where nothing comes in: host/test_policy compares it "
              "with a model, host/test_bounds checks its context; the zone's side is the same for each policy")
DIAGNOSTICS = "diagnostics, off in the tests with traps: host/test_frame_debug and host/test_heap_debug"
REPORTS = "for reports and at boot: nothing depends on what comes in between"
OWN_WORDS = "each CPU writes its own words, and readers take them one by one: tsan/test_lock_owners, tsan/test_lock_stats"
WALK = "reads a table whose owner lets no other CPU change it, for reports and tests: host/test_paging"
ARGUED: dict[str, str] = {
    **{f"mm/global/{name}": UNDER_LOCK for name in (
        "bitmap.c", "free_list.c", "free_map.c", "interval_stack.c", "recycler.c", "frame_word.h")},
    **{f"mm/heap/{name}": DIAGNOSTICS for name in (
        "debug.c", "debug_bad.c", "debug_fill.c", "debug_guard.c", "debug_index.c", "debug_report.c",
        "debug_text.c", "foreign.c")},
    "mm/frame_debug.c": DIAGNOSTICS,
    "mm/percpu/refill.c:alloc_behind_watched": DIAGNOSTICS,
    "mm/percpu/refill.c:note_allocated": DIAGNOSTICS,
    "mm/percpu/refill.c:refill_watched": DIAGNOSTICS,
    "mm/percpu/flush.c:overflow_watched": DIAGNOSTICS,
    "mm/frame.c:claim_run_watched": DIAGNOSTICS,
    "mm/fault.c": "faults are chosen by one atomic number: host/test_fault",
    "mm/fault.h": "faults are chosen by one atomic number: host/test_fault",
    "mm/global/zone_order.c": REPORTS,
    "mm/global/policies.c": REPORTS,
    "mm/percpu/cache.c:frame_cache_set_order": REPORTS,
    "mm/percpu/drain.c:frame_drain_set_low": REPORTS,
    "mm/global/zone.c:zone_set_low": REPORTS,
    "mm/heap/arena.c:kheap_lock": REPORTS,
    "mm/heap/kmalloc_stats.c": REPORTS,
    "mm/paging/page_table.c:page_status_text": REPORTS,
    "mm/paging/refcount.c:frame_refs_overhead": REPORTS,
    "mm/percpu/cache.c:frame_cache_bad_free": "panics: host/test_frame",
    "mm/percpu/cache.c:is_in_heap_run": "panics: host/test_frame",
    "mm/percpu/flush.c:twice_in_cache": "panics: host/test_flush",
    "mm/heap/front.c:twice": "panics: host/test_heap_front",
    "mm/global/segment_tree_words.c:segment_tree_refuse": "panics: host/test_tree",
    "sync/lock_owners.c": OWN_WORDS,
    "sync/lock_owners.h": OWN_WORDS,
    "sync/lock_stats.c": OWN_WORDS,
    "sync/lock_hooks.h": OWN_WORDS,
    "sync/wait_matrix.c": OWN_WORDS,
    "sync/spinlock.c": REPORTS,
    "sync/spin_kinds.c": "no lock, for one CPU: host/test_sync",
    "kernel/smp/cpu.c:cpu_online_count": REPORTS,
    "kernel/smp/cpu_work.c:cpu_serve": "does not return: host/test_cpu plays it, and each boot runs it",
    "kernel/smp/ipi.c": "what stands there before a handler is registered does nothing",
    "kernel/smp/shootdown.c:shootdown_way_name": REPORTS,
    "kernel/smp/shootdown.c:shootdown_way": "reads what was chosen at boot, before another CPU runs",
    "mm/heap/kmalloc.c:kheap_alloc_watched": DIAGNOSTICS,
    "mm/heap/resize.c:resize_watched": DIAGNOSTICS,
    "mm/heap/kmalloc.c:watched": "diagnostics and faults, off in the tests with traps: host/test_heap_debug, host/test_fault",
    "mm/paging/page_table.c:page_table_walk": WALK,
    "mm/paging/page_table.c:walk_leaf": WALK,
}

# What each n-th point shows of a function's entry, every point shows too: EVERY=1 takes an hour.
FEWER_POINTS = {"EVERY": "64", "ROUNDS": "1"}
# Of these programs not all tests run: the others enter no other function, and take long.
ONLY_TESTS = {
    "test_space": ("space_pages_that_come_and_go", "space_copies_on_write", "space_of_each_cpus_own",
                   "space_a_page_that_is_handed_over_is_there", "space_a_fault_for_good_is_not_repeated_for_ever",
                   "space_a_flush_is_refused_where_interrupts_are_masked", "space_nobody_waits_for_a_stopped_cpu",
                   "space_a_stop_on_the_way_is_no_refusal"),
}

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


ENTERED = re.compile(r"\| `(\w+)` \(([^)]+)\) \|(?: x?  ?\|)+")
GAP = re.compile(r"\| `(\w+)` \(([^)]+)\) \| (.+) \|")


def read_page(text: str) -> dict[tuple[str, str], str]:
    """(file, function) of each row of the page, and why it is not entered; "": it is."""
    rows: dict[tuple[str, str], str] = {}
    for line in text.splitlines():
        if found := ENTERED.fullmatch(line):
            rows[found[2], found[1]] = ""
        elif found := GAP.fullmatch(line):
            rows[found[2], found[1]] = found[3]
    return rows


def check_page(text: str, functions: Iterable[tuple[str, str]]) -> list[str]:
    """What is wrong with the page, as far as it shows without a run. `functions`: those of the sources."""
    rows, there = read_page(text), set(functions)
    again = "`make coverage` writes the page again"
    # A function of a header that no file of these builds calls is not in any object.
    new = {key for key in there - set(rows) if key[0].endswith(".c")}
    problems = [f"{file}: {name} is not in {TABLE.name}: {again}" for file, name in sorted(new)]
    problems += [f"{TABLE.name}: {file} has no {name}: {again}" for file, name in sorted(set(rows) - there)]
    reasons = {key: next((ARGUED[k] for k in (f"{key[0]}:{key[1]}", key[0]) if k in ARGUED), None) for key in rows}
    problems += [f"{TABLE.name}: {file}: the reason for {name} is not that of ARGUED: {again}"
                 for (file, name), why in sorted(rows.items()) if why and why != reasons[file, name]]
    gaps = {name for key, why in rows.items() if why for name in (f"{key[0]}:{key[1]}", key[0])}
    problems += [f"ARGUED: {key} is no gap of {TABLE.name}" for key in sorted(set(ARGUED) - gaps)]
    return problems


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("programs", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    for path in options.build.rglob("*.gcda"):
        path.unlink()
    for program in options.programs:
        print(f"  RUN     {program}", flush=True)
        status = subprocess.run([program.resolve(), *ONLY_TESTS.get(program.name, ())], cwd=ROOT, check=False,
                                stdout=subprocess.DEVNULL, env=os.environ | FEWER_POINTS).returncode
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
