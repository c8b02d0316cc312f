#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of bench_heap.py: a run of tiny sizes has every row, whatever is installed; and the judging.

They need the programs:

    make build/bench/host/bench_heap build/bench/host-checks1/bench_heap
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import unittest
from functools import cache
from pathlib import Path

import bench_heap
from bench_heap import Record

TOOLS = Path(__file__).resolve().parent
PROGRAMS = [TOOLS.parent / "build" / "bench" / kind / "bench_heap" for kind in ("host", "host-checks1")]

# A few operations more than one step of the parallel traces has.
TINY = ("--rounds", "2", "--threads", "2", "--operations", "2500", "--counted", "2000,4000", "--memory", "300000")
ABSENT = tuple(f"--library={name}=" for name in bench_heap.LIBRARIES)
TRACES = ("pair", "sizes", "larson", "xmalloc", "realloc")
HEAPS = ("kmalloc", "kmalloc checks", bench_heap.BASE)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    for program in PROGRAMS:
        if not program.is_file():
            raise unittest.SkipTest(f"{program} is not built")
    command = [sys.executable, str(TOOLS / "bench_heap.py"), "--program", str(PROGRAMS[0])]
    command += ["--program-checks1", str(PROGRAMS[1]), *TINY, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)


@cache
def records(*arguments: str) -> tuple[Record, ...]:
    done = run("--records", *arguments)
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(line) for line in done.stdout.splitlines())


class TestRun(unittest.TestCase):
    """Each heap that is here, each trace, each unit."""

    def check_all(self, found: tuple[Record, ...], heaps: list[str]) -> None:
        for heap in heaps:
            for trace in TRACES:
                for unit in ("instructions", "ns"):
                    wanted = [r for r in found if r.get("heap") == heap and r["unit"] == unit
                              and r["bench"] == f"host_heap_{trace}"]
                    self.assertEqual(len(wanted), 1, (heap, trace, unit))
                    if wanted[0].get("counter") != "":
                        self.assertGreater(bench_heap.number(wanted[0], "value"), 0, wanted[0])
        for heap in heaps:
            memory = [r for r in found if r["bench"] == "host_heap_memory" and r["heap"] == heap]
            self.assertEqual(len(memory), 0 if heap == "none" else 1, heap)
        for record in found:
            if record["bench"] == "host_heap_memory":
                self.assertGreaterEqual(bench_heap.number(record, "value"), 1.0, record)
                self.assertGreaterEqual(bench_heap.number(record, "refilled"), 1.0, record)

    def test_every_row_is_there(self) -> None:
        found = records()
        absent = [str(r["heap"]) for r in found if r["bench"] == "host_heap_absent"]
        here = [name for name in bench_heap.LIBRARIES if name not in absent]
        self.check_all(found, [*HEAPS, *here, "none"])
        text = bench_heap.format_rows(bench_heap.table(found))
        self.assertEqual(len(text.splitlines()), 2 + 3 * len(TRACES))
        for name in (*HEAPS, *bench_heap.LIBRARIES):
            self.assertIn(name, text + " ".join(bench_heap.notes(found, 2)))

    def test_a_heap_that_is_not_installed_is_named(self) -> None:
        done = run("--counter", "none", *ABSENT)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name, package in bench_heap.LIBRARIES.items():
            self.assertIn(f"{name}: absent: not installed (Debian's package {package})", done.stdout)
        self.assertRegex(done.stdout, r"64-byte pair: instructions +NOT MEASURABLE +NOT MEASURABLE +NOT MEASURABLE")

    def test_the_checks_are_in_the_program_that_says_so(self) -> None:
        for program, checks in zip(PROGRAMS, (0, 1)):
            if not program.is_file():
                self.skipTest(f"{program} is not built")
            record, _ = bench_heap.run(bench_heap.Heap("kmalloc", program, "kmalloc"), "pair", 100, 2)
            self.assertEqual(record["checks"], checks)

    def test_a_library_that_is_no_heap_is_refused(self) -> None:
        done = run(*ABSENT[1:], "--library=jemalloc=/nowhere/libjemalloc.so.2")
        self.assertEqual(done.returncode, 1)
        self.assertIn("was preloaded, but malloc is of", done.stderr)

    def test_the_same_instructions_twice(self) -> None:
        """Where valgrind counts. Threads take turns, so this is true of a parallel trace as well."""
        if not shutil.which("valgrind") or not PROGRAMS[0].is_file():
            self.skipTest("valgrind or the program is not here")
        heap = bench_heap.Heap("kmalloc", PROGRAMS[0], "kmalloc")
        counts = [bench_heap.count_of(heap, "larson", 8192, 2, "valgrind")[1] for _ in range(2)]
        self.assertAlmostEqual(counts[0], counts[1], delta=counts[0] / 100)


class TestJudging(unittest.TestCase):
    def test_figures(self) -> None:
        figure = bench_heap.figure_of([10.0, 11.0, 12.0, 10.5, 90.0])
        self.assertEqual((figure.value, figure.valid), (11.0, True))
        self.assertFalse(bench_heap.figure_of([10.0, 14.0, 12.0, 9.0, 90.0]).valid)
        self.assertEqual(bench_heap.figure_of([7.0]).value, 7.0)

    def test_threads_that_had_no_core_make_no_time(self) -> None:
        self.assertTrue(bench_heap.had_cores([0.99, 0.2, 0.95]))
        self.assertFalse(bench_heap.had_cores([0.99, 0.5, 0.6]))
        heaps = [bench_heap.Heap(name, Path("none"), "") for name in (bench_heap.BASE, "none")]
        for share, valid in ((0.95, True), (0.5, False)):
            measured = bench_heap.Measured({(heap.name, trace): [5.0, 5.0] for heap in heaps for trace in TRACES},
                                           core_shares={trace: [share if trace == "larson" else 1.0] for trace in TRACES})
            options = argparse.Namespace(threads=2)
            found = {r["bench"]: r for r in bench_heap.time_records(heaps, measured, options)}
            self.assertEqual(found["host_heap_larson"]["valid"], valid)
            self.assertEqual(found["host_heap_larson"]["ratio_valid"], valid)
            self.assertTrue(found["host_heap_pair"]["valid"])

    def test_what_is_not_valid_is_in_brackets(self) -> None:
        record: Record = {"value": 10.0, "low": 9.0, "high": 11.0, "valid": True, "ratio": 2.0, "ratio_valid": False}
        self.assertEqual(bench_heap.ns_text(record), "10.0 ±10%")
        self.assertEqual(bench_heap.ns_text({**record, "valid": False}), "(10.0 ±10%)")
        self.assertEqual(bench_heap.ratio_text(record), "(2.00)")
        self.assertEqual(bench_heap.ratio_text(None), "absent")


if __name__ == "__main__":
    unittest.main()
