#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of report.py: pages out of made-up sweeps, and whole runs against a stand-in for QEMU.
"""

from __future__ import annotations

import csv
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
import unittest
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import launch
import report
import report_blame
import report_findings
import report_locks
import report_memory
import report_plot as plot
import report_policies
import report_records
import report_speed
import report_sweep
from launcher.symbols import Place
from report_figures import TURNS, Figure
from report_records import Record
from test_tools import InTemporaryFolder
from test_trace import busy_trace

TOOLS = Path(__file__).resolve().parent

# A made-up sweep, in the form that the kernel's has -------------------------------------------

POLICIES = {"segment_tree": 1.0, "bitmap": 1.9, "interval_stack": 1.2, "recycler": 0.7,
            "free_list": 0.55}
LOCKS = ("fas", "cas", "dec", "ticket", "mcs", "clh", "anderson", "ticket_pb", "cohort", "qspinlock",
         "reciprocating", "hclh")
WORKLOADS = {"repeat": 0.3, "bulk": 1.0, "rand": 1.4, "run": 3.0}
HARTS = (1, 2, 4, 8, 16)
WHY = "the cpus did not take equal turns"


def settings(**fields: object) -> Record:
    """Of one cell, the defaults where nothing is said."""
    return {"bench": "sweep", "workload": "bulk", "policy": "segment_tree", "lock": "fas",
            "cache": 128, "batch": 0, "cpus": 4, "ops": 20000, "seed": 1, "lockstat": "all",
            "checks": 1, "zbb": 0, "zones": 1, "rounds": 4, **fields}


def histogram(samples: int, middle: float, wide: float, buckets: int = 24) -> list[int]:
    weights = [math.exp(-(((b - middle) / wide) ** 2)) for b in range(buckets)]
    return [round(samples * weight / sum(weights)) for weight in weights]


def cell(work: float = 400.0, hold: float = 80.0, wait: float = 0.0, **fields: object) -> Record:
    """A cell of virtual time, whose operation takes these instructions."""
    found = {"record": "bench", **settings(**fields), "supported": True, "valid": True,
             "clock": "virtual", "turn": 25, "spread_percent": 3.0, "half_turn_percent": 1.5,
             "converged": True}
    cpus, cost = int(str(found["cpus"])), work + hold + wait
    operations = 1000 * cpus
    waits = operations if wait else 0
    cost_fields: Record = {"operations": operations, "ns_per_op": cost,
                           "ns_per_op_min": cost * 0.96, "ns_per_op_max": cost * 1.05,
                           "counted_operations": operations, "heap_acquisitions": 0,
                           "heap_contended": 0, "heap_wait_ns": 0, "heap_hold_ns": 0}
    lock_fields: Record = {"acquisitions": operations, "contended": waits}
    for kind, ns in (("wait", wait), ("hold", hold)):
        samples = waits if kind == "wait" else operations
        lock_fields.update({f"{kind}_ns": round(ns * operations), f"{kind}_ns_max": 90 * cpus,
                            f"{kind}_samples": samples,
                            f"{kind}_histogram": histogram(samples, 9, 2)})
    return {**found, **cost_fields, **lock_fields, "tick_hz": 1000000000 * cpus, **fields}


def heap_cell(work: float, hold: float, wait: float, **fields: object) -> Record:
    """Of a workload of the heap: all waits are for its lock."""
    found = cell(work, hold, wait, **fields)
    found.update(heap_acquisitions=4000, heap_contended=3000, heap_wait_ns=found["wait_ns"],
                 heap_hold_ns=found["hold_ns"], wait_ns=0, hold_ns=0, contended=0)
    return found


def wait_at(lock: str, cache: int, cpus: int) -> float:
    """Each lock is a little worse than the one before it."""
    worse = 1 + 0.6 * LOCKS.index(lock) / (len(LOCKS) - 1)
    return max(0.0, 80.0 * worse * cpus - 400) if not cache else max(0.0, worse * (cpus - 8))


def lock_cells() -> Iterator[Record]:
    for workload in ("bulk", "rand"):
        for cpus in HARTS:
            for lock in LOCKS:
                for cache in (0, 128):
                    yield cell(400.0 if not cache else 45.0, 80.0 if not cache else 3.0,
                               wait_at(lock, cache, cpus), workload=workload, lock=lock, cache=cache,
                               cpus=cpus)


def heap_cells() -> Iterator[Record]:
    for cpus in HARTS:
        for lock in LOCKS:
            yield heap_cell(500.0, 600.0, 600.0 * (cpus - 1), workload="kmalloc", lock=lock,
                            cpus=cpus)


def batch_cells() -> Iterator[Record]:
    for lock in LOCKS:
        for batch in (0, 8, 16, 32, 64):
            yield cell(45.0, 3.0, 300.0 / (batch or 40), lock=lock, batch=batch, cpus=16)


def counted_cells() -> Iterator[Record]:
    """Of policies, with one cpu under -icount alone."""
    for workload in WORKLOADS:
        for policy in POLICIES:
            for cache in (128, 0):
                found = settings(record="bench", workload=workload, policy=policy, cache=cache,
                                 cpus=1, rounds=1, lockstat="contended", clock="host")
                cost = WORKLOADS[workload] * POLICIES[policy]
                count = round(14 + 24 * cost if cache else 90 + 110 * cost, 2)
                if workload == "run" and policy == "free_list":
                    found.update(supported=False, why="not supported by free_list")
                else:
                    found.update(supported=True, valid=True, instructions_per_op=count,
                                 ns_per_op=count, operations=1000, acquisitions=10)
                yield found


def memory(policy: str, samples: int = 40, chunks: int = 64) -> Iterator[Record]:
    """Levels and maps of a zone that is filled, then freed in an order that depends."""
    dice = random.Random(policy)
    scatter = POLICIES[policy] / 2
    free = [512] * chunks
    for sample in range(samples):
        filling = sample < samples // 2
        for _ in range(chunks * 60):
            at = int(dice.triangular(0, chunks, 0 if filling else chunks)) % chunks
            at = dice.randrange(chunks) if dice.random() < scatter else at
            step = -32 if filling else 48
            free[at] = min(512, max(0, free[at] + (step if dice.random() < 0.3 else 0)))
        said = settings(policy=policy, sample=sample, samples=samples, ns=sample * 731000)
        cached = min(dice.randrange(300, 512), sum(free) - 16 if sum(free) > 16 else 0)
        in_flight = 16 if cached else 0
        yield {"record": "level", **said, "phase": "take" if filling else "give",
               "free": sum(free) - cached - in_flight, "cached": cached, "in_flight": in_flight,
               "reserved": 0, "allocated": 512 * chunks - sum(free), "total": 512 * chunks,
               "exact": sample % 3 == 0}
        yield {"record": "map", **said, "zone": 0, "first": 524800, "chunk_frames": 512,
               "free": list(free)}


def announced(cells: list[Record]) -> list[Record]:
    """What a boot says of them."""
    return [{"record": "sweep", "cells": len(cells), "rounds": 4, "samples": 0}, *cells]


def blamed_lock(cpus: int = 4, **fields: object) -> Record:
    """What a stress says of a lock: each cpu waited for the next; the last holder is not known."""
    cpu_mask = [*range(1, cpus), cpus - 1]
    waits = [100 * (cpu + 1) for cpu in range(cpus)]
    return {"record": "lock", "name": "zone0", "kind": "mcs", "cpus": cpus, "clock": "virtual",
            "turn": 25, "valid": True,
            "acquisitions": 9000, "contended": sum(waits) + 7, "blame_waiter": list(range(cpus)),
            "blame_holder": cpu_mask, "blame_waits": waits,
            "blame_wait_ns": [n * 500 for n in waits], "blame_others_waits": 7,
            "blame_others_wait_ns": 70, "site_waiter": [0x80200010, 0x80200010],
            "site_holder": [0x80200104, 0], "site_waits": [sum(waits), 5],
            "site_wait_ns": [9000, 50], "site_others_waits": 2, "site_others_wait_ns": 20, **fields}


def whole_sweep() -> list[Record]:
    """As report.py keeps them."""
    boots = {boot.title: boot for boot in BOOTS}
    mapped = [record for policy in POLICIES for record in memory(policy)]
    parts = {"bulk": list(lock_cells()), "kmalloc": list(heap_cells()), "batches": list(batch_cells()),
             "instructions": list(counted_cells()), "map": mapped, "waits-mcs": [blamed_lock()],
             "levels": [record for record in memory("segment_tree") if record["record"] == "level"]}
    return [report_sweep.marked(record, boots[boot]) for boot, records in parts.items()
            for record in records]


BOOTS = report_sweep.standard_sweep()


class PageReader(HTMLParser):
    """What tests ask of a page: its text, its attributes, and that its elements nest."""

    VOID = {"meta", "link", "br", "img", "hr"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.badly_nested: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.counts: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.badly_nested.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def read_page(text: str) -> PageReader:
    reader = PageReader()
    reader.feed(text)
    reader.close()
    return reader


def page_of(records: list[Record], problems: tuple[str, ...] = ()) -> str:
    sweep = report_sweep.Sweep(list(records), list(problems))
    return report.markup(report.make_page(sweep, {"bulk": "tools/launch.py"}, [("date", "now")]))


def part_of_page(page: str, key: str) -> str:
    return page.partition(f'<figure id="{key}">')[2].partition("</figure>")[0]


def panel_of(figure: Figure, title: str) -> plot.Panel:
    return next(panel for panel in figure.panels if panel.title == title)


def data_of(panel: plot.Panel, name: str) -> list[list[float]]:
    """The rows of a named block that gnuplot is given."""
    script = panel.script
    first = script.index(f"${name} << END_OF_DATA") + 1
    rows = script[first:script.index("END_OF_DATA", first)]
    return [[float(value) for value in row.split()] for row in rows]


class TestRecords(unittest.TestCase):
    def test_a_line_cut_short_is_left_out(self) -> None:
        found = report_records.parse('{"record":"level"}\n[1]\nnoise\n{"record":"ma')
        self.assertEqual(found, [{"record": "level"}])

    def test_states(self) -> None:
        for fields, state in (({"valid": True}, "measured"), ({"valid": False}, "not measurable"),
                              ({}, "not measurable"), ({"supported": False}, "not supported")):
            self.assertEqual(report_records.state_of(fields), state)

    def test_throughput_is_of_all_cpus(self) -> None:
        self.assertEqual(report_records.throughput({"ns_per_op": 100.0, "cpus": 4}), 4e4)
        self.assertIsNone(report_records.throughput({"cpus": 4}))

    def test_the_parts_of_the_cost_are_the_cost(self) -> None:
        """Lock times are of all cpus and all operations of the run that counts."""
        for cpus in (1, 8):
            parts = report_records.parts_of(cell(300.0, 80.0, 120.0, cpus=cpus))
            for found, wanted in zip(parts or (), (300, 80, 120), strict=True):
                self.assertAlmostEqual(found, wanted, places=3)
        self.assertIsNone(report_records.parts_of(cell(300.0, 80.0, lockstat="contended")))
        self.assertIsNone(report_records.parts_of({**cell(), "counted_operations": 0}))

    def test_the_heap_s_lock_counts_where_the_workload_uses_it(self) -> None:
        found = heap_cell(500.0, 600.0, 900.0, cpus=4)
        self.assertAlmostEqual(report_records.part_of(found, "wait") or 0, 900, places=3)
        self.assertEqual(report_records.contended_share(found), 100 * 3000 / (4000 + 4000))
        self.assertEqual(report_speed.scaling_slice([found, {**found, "cpus": 1}]), [])

    def test_a_slice_is_of_one_kind(self) -> None:
        cells = [cell(lock="fas", cpus=n) for n in (1, 2, 4)]
        cells += [cell(lock="mcs", cpus=n) for n in (1, 2)]
        found = report_records.one_slice(cells, ("cpus",))
        self.assertEqual([c["lock"] for c in found], ["fas"] * 3)
        self.assertEqual(report_records.one_slice([], ("cpus",)), [])

    def test_samples_belong_to_their_cell(self) -> None:
        records = [record for policy in ("bitmap", "recycler") for record in memory(policy, 4)]
        random.Random(4).shuffle(records)
        found = report_records.samples_of(records)
        self.assertEqual(len(found), 2)
        for samples in found:
            self.assertEqual([level["sample"] for level in samples.levels], [0, 1, 2, 3])
            self.assertEqual(len(samples.maps), 4)

    def test_a_zone_may_end_within_a_chunk(self) -> None:
        zone = {"record": "map", **settings(), "zone": 0, "chunk_frames": 512}
        records = [{**zone, "sample": n, "free": free}
                   for n, free in enumerate(([512, 100, 294], [0, 512, 17]))]
        samples = report_records.samples_of(records)[0]
        self.assertEqual(samples.map_row(0), [(512, 512), (100, 512), (294, 294)])
        self.assertEqual(samples.map_row(1), [(0, 512), (512, 512), (17, 294)])

    def test_maps_are_of_the_same_requests_and_levels_of_several_cpus(self) -> None:
        records = [{"boot": boot, **more, **record, "cpus": cpus}
                   for boot, more, cpus in (("map", {"counted": True}, 1), ("levels", {}, 2))
                   for record in memory("bitmap", 4)]
        found = report_records.samples_of(records)
        self.assertIn("1 cpu,", report_memory.map_figure(found, {}).conditions)
        self.assertIn("2 cpus,", report_memory.level_figure(found, {}).conditions)

    def test_whole_share(self) -> None:
        self.assertEqual(report_records.whole_share([(512, 512), (256, 512), (256, 512)]), 50)
        self.assertIsNone(report_records.whole_share([(0, 512)]))


class TestCsv(InTemporaryFolder):
    def test_a_file_for_each_kind_of_record(self) -> None:
        lines = ["noise", json.dumps({"record": "bench", "a": 1, "b": [1, 2]}),
                 json.dumps({"record": "lock", "name": "x,y"}), json.dumps({"record": "bench", "c": True}),
                 json.dumps({"record": "../evil"})]
        source = self.folder / "run.jsonl"
        source.write_text("\n".join(lines), encoding="utf-8")
        run = subprocess.run([str(TOOLS / "report_records.py"), str(source), "--out",
                              str(self.folder / "csv")], capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(sorted(path.name for path in (self.folder / "csv").iterdir()),
                         ["___evil.csv", "bench.csv", "lock.csv"])
        self.assertEqual((self.folder / "csv" / "bench.csv").read_text(encoding="utf-8").split(),
                         ["record,a,b,c", 'bench,1,"[1,', '2]",', "bench,,,true"])
        self.assertIn("bench.csv", run.stdout)

    def test_no_such_file(self) -> None:
        run = subprocess.run([str(TOOLS / "report_records.py"), str(self.folder / "none")],
                             capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 2)
        self.assertIn("none: No such file", run.stderr)


class FakeSymbols(launch.Symbols):
    def places(self, address: int, is_pc: bool = False) -> list[Place]:
        if address < 0x80200000:
            return []
        name = "zone_claim" if address < 0x80200100 else "zone_release"
        return [Place("spin_lock", "spinlock.h:7"), Place(f"{name}+{address % 256:#x}", "zone.c:9")]


class TestBlame(unittest.TestCase):
    def figure(self, record: Record) -> Figure:
        return report_blame.blame_figure([record], {})

    def test_rows_wait_and_columns_hold(self) -> None:
        drawn = self.figure(blamed_lock(blame_waiter=[2, 0, 0, 0], blame_holder=[1, 0, 0, 0],
                                        blame_waits=[9, 0, 0, 0])).panels[0]
        strongest = plot.LEVELS_FIRST + report_blame.SHADES - 1
        self.assertIn(f'<path class="f{strongest}" d="M1 2h1v1h-1z"/>', drawn.overlay)
        self.assertIn("'9' at first 1.5,2.5 center", "\n".join(drawn.script))

    def test_the_same_cpu_twice_is_nobody_known(self) -> None:
        rows = self.figure(blamed_lock()).tables[0].rows
        self.assertEqual([[value.text for value in row[1:4]] for row in rows],
                         [["cpu 0", "cpu 1", "100"], ["cpu 1", "cpu 2", "200"],
                          ["cpu 2", "cpu 3", "300"], ["cpu 3", "not known", "400"],
                          ["all others", "", "7"]])

    def test_sites_have_names_where_the_kernel_is_known(self) -> None:
        rows = self.figure(blamed_lock()).tables[1].rows
        self.assertEqual([value.text for value in rows[0][1:4]],
                         ["0x80200010", "0x80200104", "1,000"])
        named = report_blame.site_names_added(blamed_lock(), FakeSymbols(Path("none")))
        rows = self.figure(named).tables[1].rows
        self.assertEqual([[value.text for value in row[1:4]] for row in rows],
                         [["spin_lock (spinlock.h:7), inlined in zone_claim+0x10 (zone.c:9)",
                           "spin_lock (spinlock.h:7), inlined in zone_release+0x4 (zone.c:9)", "1,000"],
                          ["spin_lock (spinlock.h:7), inlined in zone_claim+0x10 (zone.c:9)", "not known", "5"], ["all others", "", "2"]])

    def test_nothing_is_told_where_the_check_failed(self) -> None:
        for record in (blamed_lock(valid=False, why=WHY),
                       {k: v for k, v in blamed_lock().items() if k != "valid"}):
            figure = self.figure(record)
            self.assertEqual((figure.panels, figure.tables), ([], []))

    def test_many_cpus_have_no_numbers(self) -> None:
        few, many = (self.figure(blamed_lock(cpus)).panels[0] for cpus in (8, 9))
        self.assertIn("set label 10 ", "\n".join(few.script))
        self.assertNotIn("set label 10 ", "\n".join(many.script))
        self.assertIn("all others", self.figure(blamed_lock(9)).how)

    def test_a_lock_that_nobody_waited_for_is_not_drawn(self) -> None:
        self.assertEqual(self.figure(blamed_lock(blame_waits=[])).panels, [])


class TestHarts(unittest.TestCase):
    """Curves over the number of harts: from the right cells, in the right place."""

    cells: list[Record]

    @classmethod
    def setUpClass(cls) -> None:
        cls.cells = [*lock_cells(), *heap_cells(), *batch_cells(),
                     *({**c, "counted": True} for c in counted_cells())]

    def test_a_curve_is_of_one_lock_one_workload_and_one_cache(self) -> None:
        panel = panel_of(report_speed.scaling_figure(self.cells, {}), "bulk, no cache")
        for place, lock in enumerate(LOCKS):
            found = data_of(panel, f"c{place}all")
            self.assertEqual([row[0] for row in found], list(HARTS), lock)
            for cpus, row in zip(HARTS, found):
                rate = 1e6 * cpus / (480 + wait_at(lock, 0, cpus))
                for value, wanted in zip(row[1:], (rate, rate / 1.05, rate / 0.96)):
                    self.assertAlmostEqual(value / wanted, 1, places=6)
        cached = panel_of(report_speed.scaling_figure(self.cells, {}), "bulk, cache 128")
        self.assertAlmostEqual(data_of(cached, "c0all")[0][1], 1e6 / 48, places=1)

    def test_every_axis_fits_what_is_drawn_in_it(self) -> None:
        figures = [make(self.cells, {}) for make in (
            report_speed.scaling_figure, report_speed.waits_figure, report_speed.heap_figure)]
        for panel in (panel for figure in figures for panel in figure.panels):
            top = next(float(re.split(r"[:\]]", line)[1]) for line in panel.script
                       if line.startswith("set yrange [0:"))
            highest = max(row[3] for place in range(len(LOCKS))
                          for row in data_of(panel, f"c{place}all"))
            self.assertTrue(highest <= top <= highest * 1.1, (panel.title, highest, top))

    def test_a_cell_that_was_not_measured_is_in_no_figure(self) -> None:
        bad = cell(1.0, 1.0, 1e9, cpus=32, cache=0, valid=False, why=WHY)
        host = cell(1.0, 1.0, 1e9, cpus=32, cache=0, clock="host")
        for make in (report_speed.scaling_figure, report_speed.waits_figure, report_locks.time_figure,
                     report_locks.histogram_figure):
            with_bad = make([bad, host, *self.cells], {})
            without = make(self.cells, {})
            self.assertEqual([panel.script for panel in with_bad.panels],
                             [panel.script for panel in without.panels], make.__name__)

    def test_what_depends_on_the_turns_is_hollow_and_marked(self) -> None:
        cells = [{**c, "converged": False, "half_turn_percent": 12.0}
                 if (c["cpus"], c["lock"], c["cache"], c["workload"]) == (16, "fas", 0, "bulk") else c
                 for c in lock_cells()]
        figure = report_speed.scaling_figure(cells, {})
        panel = panel_of(figure, "bulk, no cache")
        self.assertEqual([row[0] for row in data_of(panel, "c0hollow")], [16])
        self.assertEqual([row[0] for row in data_of(panel, "c0full")], [1, 2, 4, 8])
        self.assertNotIn(16, [row[0] for row in data_of(panel, "c1hollow")])
        values = [value for row in figure.tables[0].rows for value in row if value.mark]
        self.assertEqual([value.mark for value in values], [TURNS])
        self.assertIn("depends on the turns", panel.describes)

    def test_waits_against_harts_and_batches(self) -> None:
        figure = report_speed.waits_figure(self.cells, {})
        waits = data_of(panel_of(figure, "rand, no cache"), "c4all")
        for cpus, row in zip(HARTS, waits):
            self.assertAlmostEqual(row[1], wait_at("mcs", 0, cpus), places=2)
        others = [{**c, "workload": "rand", "wait_ns": 1} for c in batch_cells()]
        batches = panel_of(report_speed.waits_figure([*others, *batch_cells()], {}),
                           "bulk, by batch, 16 harts")
        self.assertEqual([(row[0], round(row[1], 3)) for row in data_of(batches, "c0all")],
                         [(8, 37.5), (16, 18.75), (32, 9.375), (64, 4.688), (64 * 2.6, 7.5)])
        self.assertEqual([row[0] for row in data_of(batches, "c0line")], [8, 16, 32, 64])
        self.assertIn("'adapts' 166.4", "\n".join(batches.script))

    def test_bars_are_the_parts_of_an_operation(self) -> None:
        panel = panel_of(report_locks.time_figure(self.cells, {}), "bulk, no cache, 16 harts")
        first, last = len(LOCKS), 1
        for lock, row in ((LOCKS[0], first), (LOCKS[-1], last)):
            wait = wait_at(lock, 0, 16)
            boxes = [next(box for box in data_of(panel, part) if box[1] == row)
                     for part in ("work", "hold", "wait")]
            for box, (left, right) in zip(boxes, ((0, 400), (400, 480), (480, 480 + wait))):
                self.assertAlmostEqual(box[2], left, places=2)
                self.assertAlmostEqual(box[3], right, places=2)
        self.assertEqual(len(data_of(panel, "wait")), len(LOCKS))

    def test_the_heap_has_its_own_figure(self) -> None:
        figure = report_speed.heap_figure(self.cells, {})
        self.assertEqual([panel.title for panel in figure.panels],
                         ["kmalloc, cache 128", "kmalloc, cache 128: waits"])
        self.assertAlmostEqual(data_of(figure.panels[1], "c0all")[-1][1], 600 * 15, places=1)
        titles = [panel.title for panel in report_speed.scaling_figure(self.cells, {}).panels]
        self.assertEqual(titles, ["bulk, no cache", "bulk, cache 128", "rand, no cache",
                                  "rand, cache 128"])

    def test_histograms_are_of_the_place_with_the_most_waits(self) -> None:
        figure = report_locks.histogram_figure(self.cells, {})
        self.assertEqual([panel.title for panel in figure.panels], list(LOCKS))
        self.assertIn("no cache, 16 harts", figure.shows)
        # A tick is an instruction of any of 16 cpus.
        edge = report_locks.outline(cell(wait=9.0, cpus=16), "wait")
        self.assertEqual(edge[2][0], 2 / 16)

    def test_policies_are_counted_with_one_cpu(self) -> None:
        timed = next(counted_cells()) | {"instructions_per_op": 1.0}
        figure = report_policies.counts_figure([timed, *self.cells], {})
        self.assertEqual([panel.title for panel in figure.panels], list(WORKLOADS))
        row = next(row for row in figure.tables[0].rows if row[0].text == "repeat")
        self.assertEqual([value.text for value in row[2:]],
                         ["21.20", "27.68", "17.96", "22.64", "19.04"])


class TestWords(unittest.TestCase):
    def ranked(self, **values: float) -> list[str]:
        cells = [settings(policy=policy, cpus=1, cache=0, counted=True, record="bench",
                          instructions_per_op=value) for policy, value in values.items()]
        return report_policies.policy_place(cells)

    def test_place_of_the_tree(self) -> None:
        said = self.ranked(segment_tree=30.0, bitmap=40.0, free_list=20.0)
        self.assertIn("second of 3 in bulk (30.0, 50 % more than free_list)", said[0])
        said = self.ranked(segment_tree=10.0, bitmap=20.0)
        self.assertIn("first of 2 in bulk (10.0, 50 % fewer than bitmap)", said[0])
        said = self.ranked(segment_tree=10.0, bitmap=10.0)
        self.assertIn("first of 2 in bulk (10.0, as bitmap)", said[0])
        self.assertEqual(self.ranked(segment_tree=10.0), [])

    def test_nothing_is_said_of_nothing(self) -> None:
        self.assertEqual(report_findings.findings([]), [])

    def test_three_sentences(self) -> None:
        said = report_findings.findings([*lock_cells(), *heap_cells()])
        self.assertEqual(len(said), 3)
        self.assertRegex(said[0], r"^In bulk without caches throughput stops growing at 8 harts with "
                                  r"every lock: 16 harts do 3.61 to 5.65 times what one does; with caches "
                                  r"of 128 frames throughput grows with every lock up to 16 harts, the "
                                  r"most that were measured: 16 harts do 12.6 to 13.7 times")
        self.assertIn("16 harts wait 65 to 77 % of their time without caches, and 14 to 21 % of their "
                      "time with caches of 128 frames", said[1])
        self.assertIn("in bulk without caches: there, with 16 harts, fas does 56 % more than "
                      + LOCKS[-1], said[2])

    def line(self, *rates: float) -> list[Record]:
        return [cell(1e6 * n / rate - 80, cpus=n, cache=0) for n, rate in zip(HARTS, rates)]

    def test_where_throughput_stops_growing(self) -> None:
        for rates, end in (((100, 200, 300, 310, 320), 4), ((100, 200, 400, 800, 1600), 16),
                           ((100, 90, 80, 70, 60), 1), ((100, 150, 140, 300, 200), 8)):
            self.assertEqual(report_speed.stops_growing(self.line(*rates)), end, rates)
        self.assertIn("throughput stops growing at 4 harts with fas: 16 harts do 3.20 times what",
                      report_speed.growth_words(self.line(100, 200, 300, 310, 320), "bulk", 0))

    def test_times_of_the_host_say_nothing(self) -> None:
        self.assertEqual(report_findings.findings([{**c, "clock": "host"} for c in lock_cells()]), [])


class TestPlot(InTemporaryFolder):
    def test_labels_do_not_overlap(self) -> None:
        for seed in range(50):
            dice = random.Random(seed)
            wanted = [dice.random() for _ in range(dice.randrange(1, 8))]
            places = plot.spread(wanted, 0.1, 0.0, 1.0)
            ordered = sorted(places)
            self.assertTrue(all(b - a > 0.0999 for a, b in zip(ordered, ordered[1:])), seed)
            order = sorted(range(len(wanted)), key=lambda i: wanted[i])
            self.assertEqual(sorted(range(len(places)), key=lambda i: places[i]), order, seed)
            self.assertTrue(-1e-9 <= ordered[0] and ordered[-1] <= 1 + 1e-9, seed)

    def test_scales_hold_their_values(self) -> None:
        for values in ([3.0], [0.02, 5.0], [7.0, 900.0], [1.0, 1e6]):
            scale = plot.log_scale(values)
            self.assertTrue(all(0 <= scale.part(value) <= 1 for value in values), values)
            self.assertTrue(2 <= len(scale.ticks) <= 8, scale)
        for highest in (0.0, 0.7, 99.0, 128.0):
            scale = plot.linear_scale(highest)
            self.assertTrue(0 <= scale.part(highest) <= 1, highest)

    def test_levels_of_the_map(self) -> None:
        last = plot.LEVELS - 1
        self.assertEqual(report_memory.level_of(512, 512), 0)
        self.assertEqual(report_memory.level_of(0, 512), last)
        between = [report_memory.level_of(free, 512) for free in range(1, 512)]
        self.assertEqual((min(between), max(between)), (1, last - 1))
        self.assertEqual(between, sorted(between, reverse=True))

    def test_whatever_a_title_is_gnuplot_takes_it(self) -> None:
        text = "a'b\"c\\n{/x} <i>&amp; $d `ls` µ"
        panel = plot.Panel(text, text, ["set label 1 " + plot.quote(text) + " at graph 0.5,0.5",
                                        "set yrange [0:1]", "set xrange [0:1]", "plot NaN"])
        drawing = plot.draw([panel])[0]
        reader = read_page(drawing)
        self.assertEqual(reader.badly_nested, [])
        self.assertIn("i", "".join(reader.text))
        self.assertNotIn("i", reader.counts)
        self.assertIn("a'b\"c\\n{/x} <i>&amp; $d `ls` µ", "".join(reader.text))

    def test_what_gnuplot_refuses_is_said(self) -> None:
        with self.assertRaisesRegex(plot.CannotDraw, "gnuplot"):
            plot.draw([plot.Panel("a", "", ["plot nonsense("])])


class TestPage(unittest.TestCase):
    whole: str
    records: list[Record]

    @classmethod
    def setUpClass(cls) -> None:
        cls.records = whole_sweep()
        cls.whole = page_of(cls.records)

    def test_needs_nothing_else(self) -> None:
        reader = read_page(self.whole)
        self.assertNotRegex(self.whole, r"https?://|//[a-z]+\.|@import|url\(")
        self.assertFalse({"script", "link", "img", "iframe"} & set(reader.counts))
        files = {value for value in reader.values("href") if not value.startswith("#")}
        self.assertEqual(files, {"bench.csv", "level.csv", "lock.csv", "map.csv"})
        self.assertEqual(reader.values("src"), [])
        self.assertLess(len(self.whole.encode()), 3 << 20)

    def test_is_well_formed(self) -> None:
        reader = read_page(self.whole)
        self.assertEqual((reader.badly_nested, reader.open), ([], []))
        ids = reader.values("id")
        self.assertEqual(len(ids), len(set(ids)))
        targets = {value[1:] for value in reader.values("href") if value.startswith("#")}
        self.assertEqual(targets - set(ids), set())

    def test_every_drawing_has_a_name_and_a_description(self) -> None:
        drawings = re.findall(r'<svg viewBox="0 0 340.*?<title id="[^"]+">([^<]+)</title>'
                              r'<desc id="[^"]+">([^<]+)</desc>', self.whole)
        self.assertEqual(len(drawings), self.whole.count('role="img"'))
        self.assertGreater(len(drawings), 20)

    def test_colours_are_the_page_s_own(self) -> None:
        body = self.whole.partition("<body>")[2]
        self.assertNotRegex(body, r"rgb\(|=\"(black|white|#[0-9a-f]{3,6})\"")
        self.assertIn("prefers-color-scheme:dark", self.whole)

    def test_all_figures_have_drawings_and_numbers(self) -> None:
        self.assertNotIn("No records", self.whole)
        for key in ("scaling", "waits", "time", "blame", "heap", "instructions", "times", "map",
                    "levels"):
            part = part_of_page(self.whole, key)
            self.assertIn("<svg", part, key)
            self.assertIn("<table>", part, key)
            self.assertIn("Measured:", part, key)

    def test_not_measurable_is_listed_and_not_drawn(self) -> None:
        self.assertNotIn("not-measurable", self.whole)
        bad = [{**r, "valid": False, "why": WHY} if "valid" in r else r for r in self.records]
        page = page_of(bad)
        self.assertIn(f"<summary>{WHY}: ", page)
        for key in ("scaling", "waits", "time", "blame", "heap", "times"):
            self.assertNotIn("<svg", part_of_page(page, key), key)
        self.assertEqual(read_page(page).badly_nested, [])

    def test_hollow_marks_are_of_what_depends_on_the_turns(self) -> None:
        hollow = r'href="#gpPt(3|5|7|9|11|13)"'
        self.assertNotRegex(part_of_page(self.whole, "scaling"), hollow)
        self.assertNotIn("○", self.whole)
        page = page_of([{**r, "converged": False} if r.get("lock") == "mcs" else r
                        for r in self.records])
        self.assertRegex(part_of_page(page, "scaling"), hollow)
        self.assertIn('class="n turns">○ ', page)

    def test_not_supported_is_shown(self) -> None:
        self.assertIn('class="n no">not supported<', self.whole)
        self.assertIn("not supported by free_list: 2 cells", self.whole)

    def test_partial_is_marked(self) -> None:
        self.assertNotIn("PARTIAL", self.whole)
        page = page_of(self.records[:100], ("bulk: ended by SIGINT; after 60 of 188 cells",))
        self.assertIn("PARTIAL", page)
        self.assertIn("after 60 of 188 cells", page)

    def test_any_part_of_the_records_makes_a_page(self) -> None:
        dice = random.Random(5)
        for part in (0, 1, 2, 7, 42):
            chosen = sorted(dice.sample(range(len(self.records)), part))
            page = page_of([self.records[i] for i in chosen], ("cut short",))
            self.assertEqual(read_page(page).badly_nested, [], part)

    def test_fields_that_are_missing_or_odd(self) -> None:
        odd = [{"record": "bench", "bench": "sweep"}, {"record": "level"}, {"record": "map"},
               {"record": "bench", "bench": "sweep", "cpus": "many", "cache": None, "valid": True},
               {"record": "bench", "bench": "sweep", **settings(), "wait_histogram": ["x", 3]},
               {"record": "map", **settings(), "free": [], "chunk_frames": 0},
               {"record": "lock"}, {"record": "lock", "blame_waits": "many"},
               {"record": "lock", "blame_waits": [3], "blame_waiter": [0], "site_waits": [1, 2]}]
        self.assertIn("</html>", page_of(odd))

    def test_names_are_text(self) -> None:
        evil = "<script>alert('1')</script>&\"${x}"
        cells = [{**r, "policy": evil} if r.get("policy") == "bitmap" else r for r in self.records]
        cells += [{**settings(), "record": "bench", "valid": False, "why": evil}]
        page = page_of(cells, (evil,))
        self.assertNotIn("<script", page)
        self.assertEqual(read_page(page).badly_nested, [])
        self.assertIn("&lt;script&gt;", page)


# Whole runs ------------------------------------------------------------------------------------

# QEMU's stand-in: says what lies beside the kernel for this kind of boot.
QEMU = """
kernel= previous= kind=others plugin_lines=
for word; do
    case "$previous" in -kernel) kernel=$word ;; esac
    case "$word" in *,lines=*) plugin_lines=${word#*,lines=} ;; esac
    previous=$word
done
case "$1" in --version) echo "QEMU emulator version 7.2.0"; exit ;; esac
case "$*" in
*trace=on*) kind=trace ;;
*run=stress*) kind=stress ;;
*workload=bulk\ -*) kind=times ;;
*-plugin*) ;;
*workload=repeat*) kind=counts ;;
esac
cat "$kernel.$kind"
if [ "$plugin_lines" ]; then cp "$kernel.lines" "${plugin_lines%,line=*}"; fi
if [ -e "$kernel.hangs" ]; then touch "$kernel.$kind.hanging"; exec sleep 600; fi
if [ -e "$kernel.$kind.crashes" ]; then exit 1; fi
echo '{"record":"verdict","result":"pass"}'
"""
TIMES = announced(list(lock_cells()))
COUNTS = announced(list(counted_cells()))
FEW = [cell(lock="mcs", cpus=2)]
# What the plugin writes, without names.
LINES = [{"record": "lines", "cell": 0, "cpus": 2, "operations": 9, "misses": 3, "false": 0},
         {"record": "line", "cell": 0, "range": "zone0", "offset": 0, "address": 0x80400000, "cpus": 2,
          "places": [], "misses": 3, "false": 0, "upgrades": 0}]


class TestWholeRuns(InTemporaryFolder):
    def setUp(self) -> None:
        super().setUp()
        self.out = self.folder / "out"
        self.kernel = self.folder / "kernel"
        self.kernel.write_bytes(b"not really")
        self.plugin = self.folder / "plugin.so"
        self.plugin.write_bytes(b"")
        self.qemu = self.script("qemu", QEMU)
        self.kinds = dict.fromkeys((boot.title for boot in BOOTS), FEW)
        # Of a stress only its locks are kept.
        self.kinds.update({"bulk": TIMES, "batches": TIMES, "instructions": COUNTS,
                           "waits-fas": [blamed_lock()], "waits-mcs": [blamed_lock()]})
        for kind, records in (("counts", COUNTS), ("times", TIMES), ("others", FEW),
                              ("stress", [*FEW, blamed_lock()]), ("lines", LINES)):
            self.said(kind, records)
        (self.folder / "kernel.trace").write_text("\n".join(busy_trace()) + "\n", encoding="utf-8")

    def said(self, kind: str, records: list[Record]) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (self.folder / f"kernel.{kind}").write_text(lines, encoding="utf-8")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(TOOLS / "report.py"), "--kernel", str(self.kernel), "--plugin",
                str(self.plugin), "--out", str(self.out), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "QEMU": str(self.qemu), **more}

    def run_report(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), env=self.environment(**more), text=True,
                              capture_output=True, timeout=300, check=False)

    def rows(self, kind: str) -> list[dict[str, str]]:
        with (self.out / f"{kind}.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def page(self) -> str:
        return (self.out / "index.html").read_text(encoding="utf-8")

    def test_to_the_end(self) -> None:
        run = self.run_report()
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("Page and records", run.stdout)
        self.assertIn(" 0 NOT MEASURABLE", run.stdout)
        self.assertNotIn("PARTIAL", self.page())
        self.check_csv()
        self.check_lines()
        self.check_trace()
        before = self.page()
        again = self.run_report("--redraw")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(self.page(), before)

    def check_trace(self) -> None:
        self.assertIn('<figure id="trace">', self.page())
        self.assertIn('href="#trace"', self.page())
        self.assertIn('href="trace.json"', self.page())
        reader = read_page(self.page())
        self.assertEqual((reader.badly_nested, reader.open), ([], []))
        file = json.loads((self.out / "trace.json").read_text(encoding="utf-8"))
        self.assertGreater(len(file["traceEvents"]), 100)

    def check_lines(self) -> None:
        """What the plugin has written in each boot for itself, with names, and none of it is left."""
        for kind in ("lines", "line"):
            boots = [boot.title for boot in BOOTS if kind in boot.kept]
            self.assertEqual([row["boot"] for row in self.rows(kind)], boots)
            self.assertGreater(len(boots), 1)
        self.assertEqual({row["name"] for row in self.rows("line")}, {"zone0+0x0"})
        self.assertEqual(list(self.out.glob("logs/*.lines")), [])
        costs = {row["boot"]: row["line"] for row in self.rows("bench")}
        for boot in BOOTS:
            if "bench" in boot.kept:
                self.assertEqual(costs[boot.title], "" if boot.line is None else str(boot.line))

    def test_a_boot_without_lines_is_said(self) -> None:
        self.said("lines", [])
        run = self.run_report()
        self.assertEqual(run.returncode, 1, run.stderr)
        for boot in BOOTS:
            said = f"{boot.title}: passed, but there were no lines records in it" in run.stderr
            self.assertEqual(said, boot.line is not None, boot.title)

    def test_a_boot_without_a_trace_is_said(self) -> None:
        (self.folder / "kernel.trace").write_text("", encoding="utf-8")
        run = self.run_report()
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("trace: passed, but there were no trace_events records in it", self.page())
        self.assertNotIn('<figure id="trace">', self.page())
        self.assertFalse((self.out / "trace.json").exists())

    def check_csv(self) -> None:
        """Every record of every boot, with every field, in the order of the boots."""
        for kind in ("sweep", "bench", "lock"):
            wanted = [(boot.title, record) for boot in BOOTS for record in self.kinds[boot.title]
                      if record["record"] == kind]
            rows = self.rows(kind)
            self.assertEqual(len(rows), len(wanted), kind)
            self.assertIn(f'href="{kind}.csv"', self.page())
            for row, (title, record) in zip(rows, wanted):
                self.assertEqual(row["boot"], title)
                said = {name: text for name, text in row.items() if text and name in record}
                found = {name: text if isinstance(record[name], str) else json.loads(text)
                         for name, text in said.items()}
                self.assertEqual(found, record)

    def test_a_boot_that_fails_leaves_what_it_had(self) -> None:
        (self.folder / "kernel.times.crashes").touch()
        run = self.run_report()
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("PARTIAL", run.stderr)
        self.assertIn("without a verdict", self.page())
        self.check_csv()

    def test_fewer_cells_than_announced(self) -> None:
        self.said("counts", COUNTS[:-3])
        run = self.run_report()
        self.assertEqual(run.returncode, 1, run.stderr)
        cells = len(COUNTS) - 1
        self.assertIn(f"after {cells - 3} of {cells} cells", self.page())

    def test_ended_by_a_signal_it_leaves_a_page_and_no_process(self) -> None:
        self.said("times", TIMES[:50])
        (self.folder / "kernel.hangs").touch()
        process = subprocess.Popen(self.command(), env=self.environment(), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not (self.folder / "kernel.times.hanging").exists():
            self.assertIsNone(process.poll())
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 128 + signal.SIGINT, stderr)
        ended = len(re.findall(r"PARTIAL: .*(?:ended by SIGINT|not run)", stderr))
        self.assertEqual(ended, len(BOOTS) + 1, stderr)
        self.assertIn("bulk: ended by SIGINT", self.page())
        bulk = [row for row in self.rows("bench") if row["boot"] == "bulk"]
        self.assertEqual(len(bulk), 49)

    def test_no_gnuplot(self) -> None:
        path = self.folder / "bin"
        path.mkdir()
        run = self.run_report(PATH=str(path))
        self.assertEqual(run.returncode, 2)
        self.assertIn("gnuplot not found: install the package gnuplot-nox", run.stderr)
        self.assertFalse(self.out.exists())

    def test_no_kernel_or_no_plugin(self) -> None:
        for file in (self.kernel, self.plugin):
            file.unlink()
            run = self.run_report()
            self.assertEqual(run.returncode, 2)
            self.assertIn(f"{file.name}: no such file", run.stderr)
            self.kernel.write_bytes(b"")

    def test_nothing_to_redraw(self) -> None:
        run = self.run_report("--redraw")
        self.assertEqual(run.returncode, 2)
        self.assertIn("records.jsonl: No such file", run.stderr)

    def test_what_has_several_cpus_is_measured_in_virtual_time(self) -> None:
        for boot in (*BOOTS, report_sweep.TRACED):
            self.assertEqual("time=virtual" in boot.bootargs, boot.smp > 1, boot.title)
            self.assertEqual(boot.counts, boot.smp == 1, boot.title)

    def test_the_command_shown_is_the_one_run(self) -> None:
        for boot in BOOTS:
            shown = boot.command(self.kernel).split()
            self.assertEqual(shown[0], "tools/launch.py")
            options = launch.parse_arguments(boot.arguments(self.kernel, self.plugin))
            self.assertEqual(options.icount, report_sweep.ICOUNT if boot.counts else None)
            self.assertEqual(options.plugin, self.plugin)


if __name__ == "__main__":
    unittest.main()
