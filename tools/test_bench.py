#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of bench.py: the judging of canned records, and whole runs against a stand-in for QEMU.
"""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

import bench
import bench_heap
from test_tools import InTemporaryFolder

TOOLS = Path(__file__).resolve().parent
AHEAD = "small sizes: instructions against the best of the other heaps, host"

COUNTED = {
    "pair_inlined": (13.0, 24.0),
    "pair_called": (15.0, 30.0),
    "uncached_pair": (238.0, 247.0),
    "uncached_pair_lockstat_off": (238.0, 247.0),
    "run_512_pair": (326.0, 493.0),
    "kmalloc_pair_constant": (24.0, 41.0),
    "kmalloc_pair_inlined": (28.0, 44.0),
    "kmalloc_pair_called": (36.0, 53.0),
    "memset_4096": (664.0, 664.0),
    "memcpy_4096": (1412.0, 1412.0),
    "memcpy_4096_unaligned": (3133.0, 3133.0),
    "memmove_4096_overlap": (1265.0, 1265.0),
    "bulk_pair": (40.0, 52.0),
    "hold_refill_4_words": (120.0, 120.0),
    "hold_flush_4_words": (150.0, 150.0),
    "bulk_pair_lockstat_off": (40.0, 52.0),
    "bulk_pair_lockstat_contended": (41.0, 53.0),
    "bulk_pair_lockstat_all": (44.0, 56.0),
}
# Printed, and compared with no bound.
MAPPING = {f"{what}_{page}": 50.0 for what in ("map", "unmap")
           for page in ("one_4k", "range_4k_page", "range_2m_page")}
MAPPING_TIMES = ("gib_of_4k_pages_us", "gib_of_2m_pages_us")
TIMED = {
    "repeat_ns": {1: 6.0, 4: 6.3},
    "bulk_ns": {1: 60.0, 4: 80.0},
    "classic_repeat_ns": {1: 720.0, 4: 6300.0},
    "classic_bulk_ns": {1: 1100.0, 4: 8000.0},
}
# Of the tree, by the size of its zone.
TREE = {
    "tree_random_free": {"128m": 46.0, "16g": 47.0},
    "tree_random_free_repaired": {"128m": 49.0, "16g": 65.0},
    "tree_run_512": {"128m": 145.0, "16g": 181.0, "1t": 220.0},
    "tree_run_512_failure": {"128m": 62.0, "16g": 62.0, "1t": 70.0},
    "tree_single_alloc": {"128m": 60.0, "16g": 60.0, "1t": 63.0},
}
HOST = {
    "host_single_alloc": (8.0, 9.0, 10.0),
    "host_random_free": (3.0, 4.0, 17.0),
    "host_random_free_repaired": (3.0, 4.5, 20.0),
    "host_run_512": (5.0, 10.0, 16.0),
    "host_run_512_failure": (3.0, 3.0, 4.0),
    "host_metadata_bytes_per_frame": (0.149, 0.139, 0.139),
}


def record(name: str, value: float, unit: str, **fields: object) -> bench.Record:
    return {"record": "bench", "bench": name, "value": value, "unit": unit, **fields}


def exact(checks: int, zbb: int) -> list[bench.Record]:
    """What one kernel prints wherever it runs."""
    return [
        record(name, value, unit, cpus=1, checks=checks, zbb=zbb, valid=True)
        for name, value, unit in (
            ("lock_holds_per_64_ops_worst", 1.0, "holds"),
            ("heap_holds_per_32_ops_worst", 1.0, "holds"),
            ("metadata_tree_bytes_per_1000_frames", 149.7, "bytes"),
            ("metadata_state_bytes_per_frame", float(checks), "bytes"),
        )
    ]


def counts(checks: int, zbb: int) -> list[bench.Record]:
    fields = {"cpus": 1, "checks": checks, "zbb": zbb, "valid": True}
    counted = [record(name, v[checks], "instructions", **fields) for name, v in COUNTED.items()]
    counted += [record(name, v, "instructions", **fields) for name, v in MAPPING.items()]
    counted += tree(("128m", "16g"), **fields)
    return counted + exact(checks, zbb)


def tree(sizes: tuple[str, ...], **fields: object) -> list[bench.Record]:
    return [record(f"{name}_{size}", value, "instructions", **fields)
            for name, by_size in TREE.items() for size, value in by_size.items() if size in sizes]


def guests() -> list[bench.Record]:
    return [
        {"step": bench.guest_step(guest), **record(name, value, unit, checks=1, zbb=0)}
        for guest, executed, kib in (("128 MiB", 27e6, 46_000), ("2 TiB", 2123e6, 842_000))
        for name, value, unit in (("instructions_to_the_end", executed, "instructions"),
                                  ("qemu_max_rss", kib, "KiB"))
    ]


def unpaged(checks: int) -> list[bench.Record]:
    return [{**found, "bench": bench.UNPAGED + str(found["bench"])} for found in counts(checks, 0)
            if str(found["bench"]).startswith("pair_")]


def times(checks: int, small: str = "ns", large: str = "us") -> list[bench.Record]:
    return [
        record(name, value, small, cpus=cpus, checks=checks, zbb=0, valid=True)
        for name, by_cpus in TIMED.items()
        for cpus, value in by_cpus.items()
    ] + [
        record(name, 99.0, large, cpus=cpus, checks=checks, zbb=0, valid=True)
        for name in MAPPING_TIMES
        for cpus in (1, 4)
    ]


def host() -> list[bench.Record]:
    figures = [
        record(name, value, "bytes" if "bytes" in name else "ns", zone_bytes=size)
        for name, values in HOST.items()
        for size, value in zip(bench.ZONES, values)
    ]
    return [*figures, record("host_run_answers_checked", 4000, "answers")]


def heaps() -> list[bench.Record]:
    """What bench_heap.py prints on a host without one of the heaps."""
    records = [record("host_heap_absent", 0, "heap", heap="mimalloc")]
    for heap, times_more in (("kmalloc", 0.5), ("glibc", 1), ("none", 0.1)):
        for trace in bench_heap.TRACES:
            about = {"heap": heap, "valid": True}
            records.append(record(f"host_heap_{trace}", 100 * times_more, "instructions", **about))
            records.append(record(f"host_heap_{trace}", 10 * times_more, "ns", **about, ratio=times_more,
                                  ratio_valid=True))
        if heap != "none":
            records.append(record("host_heap_memory", 1 + times_more / 10, "bytes", heap=heap))
    return records


def heap_scaling() -> list[bench.Record]:
    return [record(f"{bench.HEAP_SCALING}{workload}", 100.0 + cpus / 2, "instr", cpus=cpus, valid=True)
            for workload in bench.HEAP_WORKLOADS for cpus in bench.HEAP_HARTS]


def heap_buddy() -> list[bench.Record]:
    return [record(f"{bench.HEAP_BUDDY}{workload}", 1000.0 + 500 * cpus, "instr", cpus=cpus, valid=True)
            for workload in bench.HEAP_WORKLOADS for cpus in bench.HEAP_HARTS]


def sweep_of_heap(figures: list[bench.Record], prefix: str) -> list[bench.Record]:
    """The same as the kernel prints it."""
    return [{"record": "bench", "bench": "sweep", "workload": str(found["bench"]).removeprefix(prefix),
             "cpus": found["cpus"], "ns_per_op": found["value"], "valid": True} for found in figures]


def restart(passed: bool) -> bench.Record:
    return {"record": "test", "name": bench.RESTART_TEST + " allocate", "pass": passed}


def all_records() -> list[bench.Record]:
    """Of a whole run in which everything holds."""
    records = [restart(True), restart(True), *host(), *heap_scaling(), *heap_buddy(), *heaps()]
    for checks in (0, 1):
        records += [{"step": bench.timing_step(checks), **found}
                    for found in exact(checks, 0) + times(checks)]
        records += [{"step": bench.virtual_step(checks), **found}
                    for found in times(checks, "instr", "kinstr")]
        records += counts(checks, 0) + counts(checks, 1) + unpaged(checks)
    return records + guests() + tree(("1t",), cpus=1, checks=0, zbb=0, valid=True)


def rows(records: list[bench.Record]) -> dict[str, bench.Row]:
    return {row.what: row for row in bench.Table(records, 4).rows()}


def changed(name: str, value: float | None = None, **fields: object) -> list[bench.Record]:
    """All records, those of one name and these fields with another value, or without any."""
    records = []
    for found in all_records():
        hit = found.get("bench") == name and all(found.get(k) == v for k, v in fields.items())
        if not hit:
            records.append(found)
        elif value is not None:
            records.append({**found, "value": value})
    return records


class Judging(unittest.TestCase):
    def check_row(self, row: bench.Row, holds: str, fails: bool) -> None:
        self.assertEqual((row.holds, row.fails), (holds, fails), row)


class TestTable(Judging):
    def test_everything_holds(self) -> None:
        for row in rows(all_records()).values():
            wanted = bench.NO_BOUND if row.bound == "-" else bench.YES
            self.check_row(row, wanted, False)

    def test_hits_that_know_of_paging(self) -> None:
        worse = rows(changed("unpaged_pair_called", 14.0, checks=0))
        self.check_row(worse["a pair that hits, paging on against off"], bench.NO, True)

    def test_no_bound_is_a_time_of_the_host(self) -> None:
        """A ratio of two times of one boot may have one: its unit is `times`."""
        for row in rows(all_records()).values():
            self.assertNotRegex(row.bound, r"\b(s|ms|us|ns|seconds?|minutes?)$", row)
            if row.bound.endswith(" times"):
                self.assertIn("against" if "against" in row.what else "over" if "over" in row.what
                              else "faster than", row.what)

    def test_slow_hosts_hold_what_fast_ones_do(self) -> None:
        """Times of the host, whatever they are, change no verdict that decides the exit status."""
        slow = [{**found, "value": found["value"] * 1000} if found.get("unit") in ("ns", "us")
                else found for found in all_records()]
        for what, row in rows(slow).items():
            self.assertFalse(row.fails, what)
            if row.holds == bench.NO:
                self.assertIn("times", row.bound)

    def test_pairs(self) -> None:
        for how, checks, limit in (("inlined", 0, 15), ("called", 0, 15), ("inlined", 1, 25),
                                   ("called", 1, 30)):
            what = f"frame_alloc + frame_free, {how}, CHECKS={checks}"
            for value, holds in ((limit, bench.YES), (limit + 0.01, bench.NO)):
                row = rows(changed(f"pair_{how}", value, checks=checks))[what]
                self.check_row(row, holds, holds == bench.NO)
            self.assertEqual(row.bound, f"<= {limit} instructions")

    def test_the_tree(self) -> None:
        for what, name, size, limit in (
            ("random free, half full", "random_free", "16g", 65),
            ("the same after a run's search", "random_free_repaired", "16g", 65),
            ("aligned run of 512 frames", "run_512", "1t", 220),
            ("aligned run of 512 frames", "run_512", "128m", 220),
            ("its failure", "run_512_failure", "16g", 70),
            ("one frame, over what it takes in 128 MiB", "single_alloc", "1t", 63),
        ):
            zbb = 0 if size == "1t" or "random" not in name else 1
            for value, holds in ((limit, bench.YES), (limit + 0.01, bench.NO)):
                found = changed(f"tree_{name}_{size}", value, checks=0, zbb=zbb)
                self.check_row(rows(found)[what], holds, holds == bench.NO)

    def test_nothing_measured(self) -> None:
        for row in rows([]).values():
            self.check_row(row, bench.MISSING, True)

    def test_every_counted_figure_is_judged(self) -> None:
        for name in COUNTED:
            if name in ("bulk_pair_lockstat_off", "bulk_pair_lockstat_all", "kmalloc_pair_called"):
                continue
            for checks in (0, 1):
                for zbb in (0, 1):
                    found = rows(changed(name, 100000.0, checks=checks, zbb=zbb)).values()
                    # A pair is counted twice, and the two held against each other as well.
                    bad = [row for row in found if row.holds not in (bench.YES, bench.NO_BOUND)
                           and not row.what.startswith("a pair that hits, paging")]
                    self.assertEqual(len(bad), 1, name)
                    self.check_row(bad[0], bench.NO, True)
                    self.assertIn(f"CHECKS={checks}", bad[0].what)

    def test_every_record_is_needed(self) -> None:
        names = {str(found["bench"]) for found in all_records() if "bench" in found}
        for name in names - {"bulk_pair_lockstat_all", "host_heap_absent"}:
            found = rows(changed(name)).values()
            self.assertTrue(any(row.holds == bench.MISSING for row in found), name)

    def test_heaps(self) -> None:
        found = rows(all_records())
        self.assertEqual(found["64-byte pair, host"].measured, "kmalloc 50 / glibc 100 instructions")
        self.assertEqual(found["larson, host, time"].measured, "kmalloc 0.50 / glibc 1.00 times glibc's")
        self.assertEqual(found["64 MiB live, host"].measured, "kmalloc 1.05 / glibc 1.10 bytes taken a byte asked")
        self.assertEqual(found["heaps that are not installed"].measured, "mimalloc")
        self.assertEqual(found["larson: time an operation against one hart, by harts"].measured,
                         "2: 1.00 / 4: 1.01 / 16: 1.07")
        self.assertEqual(found["sizes: a buddy under one lock against it, by harts"].measured,
                         "1: 14.9 / 2: 19.8 / 4: 29.4 / 16: 83.3")

    def test_a_host_that_counts_no_instructions(self) -> None:
        records = [{key: value for key, value in {**found, "valid": False}.items() if key != "value"}
                   if found["unit"] == "instructions" else found for found in heaps()]
        others = [found for found in all_records() if not str(found.get("bench")).startswith("host_heap_")]
        found = rows([*others, *records])
        self.check_row(found["64-byte pair, host"], bench.NOT_MEASURABLE, False)
        self.check_row(found[AHEAD], bench.NOT_MEASURABLE, False)

    def test_a_heap_of_the_host_that_is_ahead(self) -> None:
        found = rows(changed("host_heap_larson", 49.0, heap="glibc", unit="instructions"))
        self.check_row(found[AHEAD], bench.NO, False)

    def test_bounds_are_inclusive(self) -> None:
        what = "frame_alloc + frame_free, inlined, CHECKS=0"
        self.check_row(rows(changed("pair_inlined", 15.0, checks=0))[what], bench.YES, False)
        self.check_row(rows(changed("pair_inlined", 15.01, checks=0))[what], bench.NO, True)

    def test_the_worst_of_the_runs_counts(self) -> None:
        worse = record("lock_holds_per_64_ops_worst", 1.01, "holds", checks=1)
        row = rows([*all_records(), worse])["lock holds of a cpu, worst trace"]
        self.check_row(row, bench.NO, True)

    def test_restarts(self) -> None:
        what = "traps on each instruction of it lose nothing"
        self.check_row(rows([*all_records(), restart(False)])[what], bench.NO, True)

    def test_lockstat_cost(self) -> None:
        what = "lockstat=contended, of bulk, CHECKS=0"
        row = rows(all_records())[what]
        self.assertEqual(row.measured, "2.50 / Zbb 2.50 [all: 10.00, all: Zbb 10.00]")
        dear = changed("bulk_pair_lockstat_contended", 41.3, checks=0, zbb=0)
        self.check_row(rows(dear)[what], bench.NO, True)

    def test_metadata(self) -> None:
        fat = changed("metadata_tree_bytes_per_1000_frames", 150.4, zbb=1)
        self.check_row(rows(fat)["metadata: the tree"], bench.NO, True)


class TestOneBoot(unittest.TestCase):
    """What `make test` finds wrong with the counts of one kernel."""

    def problems(self, records: list[bench.Record], checks: int = 1) -> list[str]:
        return bench.count_problems([json.dumps(found) for found in records
                                     if (found.get("checks"), found.get("zbb")) == (checks, 0)])

    def test_all_hold(self) -> None:
        self.assertEqual(self.problems(all_records()), [])
        self.assertEqual(self.problems(all_records(), checks=0), [])

    def test_one_is_too_large(self) -> None:
        found = self.problems(changed("pair_called", 31, checks=1))
        self.assertEqual(len(found), 1)
        self.assertIn("frame_alloc + frame_free, called, CHECKS=1: 31.00, bound <= 30", found[0])

    def test_each_figure_counts(self) -> None:
        for name in (*set(COUNTED) - {"bulk_pair_lockstat_off", "bulk_pair_lockstat_contended",
                                      "bulk_pair_lockstat_all", "kmalloc_pair_called"},
                     "lock_holds_per_64_ops_worst", "heap_holds_per_32_ops_worst"):
            self.assertEqual(len(self.problems(changed(name, 100000.0))), 1, name)
            kept = [found for found in all_records() if found.get("bench") != name]
            self.assertIn(bench.MISSING, self.problems(kept)[0], name)

    def test_no_records(self) -> None:
        self.assertEqual(bench.count_problems([]), ["records of 0 kernels, expected 1"])


class TestTimes(Judging):
    SCALING = "repeat: 4 harts against 1, time per pair"
    CLASSIC = "repeat: faster than classic, 4 harts"

    def test_figures(self) -> None:
        found = rows(all_records())
        self.assertEqual(found[self.SCALING].measured, "1.05 [CHECKS=1 1.05]")
        self.assertEqual(found[self.CLASSIC].measured, "1,000.0 [CHECKS=1 1,000.0]")
        self.assertEqual(found[self.CLASSIC].bound, ">= 500 times")

    def test_a_missed_time_of_the_host_does_not_fail(self) -> None:
        slow = changed("repeat_ns", 60.0, cpus=4, checks=0, unit="ns")
        self.check_row(rows(slow)[self.CLASSIC], bench.NO, False)
        self.check_row(rows(slow)[self.SCALING], bench.YES, False)

    def test_a_missed_virtual_time_fails(self) -> None:
        slow = changed("repeat_ns", 60.0, cpus=4, checks=0, unit="instr")
        self.check_row(rows(slow)[self.SCALING], bench.NO, True)
        self.check_row(rows(slow)[self.CLASSIC], bench.YES, False)

    def test_without_checks_is_judged(self) -> None:
        slow = changed("repeat_ns", 60.0, cpus=4, checks=1, unit="ns")
        self.check_row(rows(slow)[self.CLASSIC], bench.YES, False)
        self.assertIn("CHECKS=1 105.0", rows(slow)[self.CLASSIC].measured)

    def test_invalid(self) -> None:
        busy = [
            {**found, "valid": False} if found.get("unit") == "ns" and found.get("cpus") == 4
            else found
            for found in all_records()
        ]
        found = rows(busy)
        self.check_row(found[self.CLASSIC], bench.NOT_MEASURABLE, False)
        self.assertIn("(1,000.0)", found[self.CLASSIC].measured)
        self.check_row(found["repeat: faster than classic, 1 hart"], bench.YES, False)

    def test_an_invalid_count_fails(self) -> None:
        records = [
            {**found, "valid": False} if found.get("bench") == "bulk_pair" else found
            for found in all_records()
        ]
        row = rows(records)["bulk: 4,096 frames, per pair, CHECKS=0"]
        self.check_row(row, bench.NOT_MEASURABLE, True)

    def test_a_big_guest(self) -> None:
        what = "2 TiB guest, reset to the end"
        row = rows(all_records())[what]
        self.assertEqual(row.measured, "2,123 [128 MiB 27]")
        self.check_row(row, bench.YES, False)
        dear = rows(changed("instructions_to_the_end", 2501e6, step=bench.guest_step("2 TiB")))
        self.check_row(dear[what], bench.NO, True)

    def test_memory_of_the_host(self) -> None:
        what = "2 TiB guest, memory of the host beyond 128 MiB's"
        self.assertEqual(rows(all_records())[what].measured, "777")
        fat = rows(changed("qemu_max_rss", 2e6, step=bench.guest_step("2 TiB")))
        self.check_row(fat[what], bench.NO, False)
        none = rows(changed("qemu_max_rss", step=bench.guest_step("128 MiB")))
        self.check_row(none[what], bench.MISSING, True)


class TestRecords(unittest.TestCase):
    def test_two_runs(self) -> None:
        first, second = counts(0, 0), counts(0, 0)
        self.assertEqual(bench.differences(first, second), [])
        second[1] = {**second[1], "value": 15.01}
        self.assertEqual(bench.differences(first, second), ["pair_called: 15.0, then 15.01"])
        self.assertIn("not the same", bench.differences(first, first[1:])[0])
        self.assertIn("no instructions", bench.differences([], [])[0])

    def test_a_step_is_asked_only_for_what_it_can_tell(self) -> None:
        everything = counts(0, 0) + exact(0, 0) + times(0)
        counting = bench.usable(everything, bench.Source("a", bench.COUNTS))
        timing = bench.usable(everything, bench.Source("b", bench.TIMES))
        self.assertNotIn("ns", {found["unit"] for found in counting})
        self.assertNotIn("instructions", {found["unit"] for found in timing})
        self.assertEqual({found["step"] for found in counting}, {"a"})

    def test_stress_records_are_none_of_ours(self) -> None:
        stress = {"record": "bench", "workload": "repeat", "ns": 5}
        self.assertEqual(bench.usable([stress], bench.Source("a", bench.TIMES)), [])

    def test_values_that_are_none(self) -> None:
        for value in (True, "7", None, [1]):
            self.assertIsNone(bench.value_of({"value": value}))

    def test_colours_do_not_shift_columns(self) -> None:
        found = list(rows(all_records()).values())
        plain = bench.format_table(found)
        coloured = bench.format_table(found, coloured=True)
        self.assertNotIn("\x1b", plain)
        self.assertIn("\x1b[32myes", coloured)
        for code in (*bench.COLOURS.values(), bench.PLAIN):
            coloured = coloured.replace(code, "")
        self.assertEqual(coloured, plain)


# QEMU's stand-in: says what lies beside the kernel for this kind of run.
QEMU = """
kernel= kind=times bootargs= previous=
for word; do
    case "$previous" in
    -kernel) kernel=$word ;;
    -icount) kind=counts ;;
    -append) bootargs=$word ;;
    -m) mem=$word ;;
    esac
    previous=$word
done
case "$bootargs" in
*heap=buddy) kind=buddy ;;
time=virtual*workload=*) kind=heap ;;
time=virtual*) kind=virtual ;;
run=selftest) kind=selftest ;;
run=stress*) kind=stress ;;
esac
if [ "$mem" = 1G ]; then kind=tree; fi
if [ -e "$kernel.$kind.next" ]; then kind=$kind.next; fi
if [ -e "$kernel.$kind" ]; then cat "$kernel.$kind"; fi
if [ -e "$kernel.$kind.then" ]; then mv "$kernel.$kind.then" "$kernel.$kind.next"; fi
echo '{"record":"verdict","result":"pass"}'
"""


def lines(records: list[bench.Record]) -> str:
    return "".join(json.dumps(found) + "\n" for found in records)


class TestWholeRuns(InTemporaryFolder):
    KERNELS = (("checks0", 0, 0), ("checks1", 1, 0), ("checks0-zbb", 0, 1), ("checks1-zbb", 1, 1))

    def setUp(self) -> None:
        super().setUp()
        self.out = self.folder / "out"
        for name, checks, zbb in self.KERNELS:
            self.said(name, "counts", counts(checks, zbb))
            self.said(name, "times", exact(checks, 0) + times(checks))
            self.said(name, "virtual", times(checks, "instr", "kinstr"))
            self.said(name, "selftest", [restart(True)])
            self.said(name, "heap", sweep_of_heap(heap_scaling(), bench.HEAP_SCALING))
            self.said(name, "buddy", sweep_of_heap(heap_buddy(), bench.HEAP_BUDDY))
            self.said(name, "stress", [record("instructions_to_the_end", 27e6, "instructions",
                                              cpus=1, checks=checks, zbb=zbb, valid=True)])
            self.said(name, "tree", tree(("128m", "16g", "1t"), cpus=1, checks=checks, zbb=zbb,
                                         valid=True))
            (self.folder / name).write_bytes(b"not really")
        (self.folder / "host-figures").write_text(lines(host()))
        (self.folder / "heap-figures").write_text(lines(heaps()))
        self.host = self.script("host", f"cat {self.folder}/host-figures")
        self.heaps = self.script("heaps", f"cat {self.folder}/heap-figures")
        self.qemu = self.script("qemu", QEMU)

    def said(self, kernel: str, kind: str, records: list[bench.Record]) -> None:
        (self.folder / f"{kernel}.{kind}").write_text(lines(records))

    def command(self) -> list[str]:
        command = [sys.executable, str(TOOLS / "bench.py"), "--out", str(self.out)]
        for name, _, _ in self.KERNELS:
            command += [f"--kernel-{name}", str(self.folder / name)]
        return [*command, "--host-bench", str(self.host), "--heap-bench", str(self.heaps)]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "QEMU": str(self.qemu)}

    def run_bench(self) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(), env=self.environment(), capture_output=True, text=True, timeout=300
        )

    def test_all_holds(self) -> None:
        run = self.run_bench()
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("[ 1/23] instructions, CHECKS=0, first run", run.stdout)
        self.assertIn("identical in two runs", run.stdout)
        self.assertNotIn("\x1b", run.stdout)
        self.assertIn("frame_alloc", (self.out / "bench.txt").read_text())
        with (self.out / "bench.csv").open() as file:
            found = list(csv.DictReader(file))
        self.assertEqual(len(found), 10 * len(counts(0, 0)) + 2 + 2 * len(exact(0, 0)) + 4 * len(times(0))
                         + len(host()) + 2 * len(heap_scaling()) + len(heaps()) + len(tree(("128m", "16g", "1t")))
                         + len(guests()))
        self.assertTrue(all(line["step"] for line in found))

    def test_counts_differ(self) -> None:
        other = counts(1, 1)
        other[0] = {**other[0], "value": 23.99}
        self.said("checks1-zbb", "counts.then", other)
        run = self.run_bench()
        self.assertEqual(run.returncode, 1)
        self.assertIn("PROBLEM: CHECKS=1 with Zbb, twice: pair_inlined: 24.0, then 23.99",
                      run.stdout)

    def test_a_step_fails_and_the_others_go_on(self) -> None:
        self.host = self.script("host", "echo 'the tree says none' >&2; exit 1")
        run = self.run_bench()
        self.assertEqual(run.returncode, 1)
        self.assertIn("PROBLEM: the tree on the host: the tree says none", run.stdout)
        self.assertIn("FAILED", run.stdout)
        self.assertIn("[23/23]", run.stdout)
        self.assertRegex(run.stdout, r"aligned run of 512 frames, host .* missing")

    def test_no_kernel(self) -> None:
        (self.folder / "checks0").unlink()
        run = self.run_bench()
        self.assertEqual(run.returncode, 2)
        self.assertIn("no such file", run.stderr)

    def test_ended_by_a_signal_it_leaves_nothing_behind(self) -> None:
        mark = self.folder / "qemu-pid"
        body = f"echo $$ >{mark}.new; mv {mark}.new {mark}; exec sleep 600"
        self.qemu = self.script("qemu", body)
        process = subprocess.Popen(
            self.command(), env=self.environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not mark.exists():
            self.assertIsNone(process.poll())
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 128 + signal.SIGTERM)
        self.assertFalse(Path(f"/proc/{int(mark.read_text())}").exists())


if __name__ == "__main__":
    unittest.main()
