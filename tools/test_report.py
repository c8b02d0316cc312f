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
import report_records
import report_speed
import report_sweep
from report_records import Record
from test_tools import InTemporaryFolder
from test_trace import busy_trace

TOOLS = Path(__file__).resolve().parent

# A made-up sweep, in the form that the kernel's has -------------------------------------------

POLICIES = {"segment_tree": 1.0, "bitmap": 1.9, "interval_stack": 1.2, "recycler": 0.7,
            "free_list": 0.55}
LOCKS = ("fas", "cas", "dec", "ticket", "mcs", "clh", "anderson", "ticket_pb", "cohort", "qspinlock",
         "reciprocating")
WORKLOADS = {"repeat": 0.3, "bulk": 1.0, "rand": 1.4, "run": 3.0}
WHY = "4 cpus on 2 host cores"
# What a kernel says of a cell only if its check of the host's cores passed.
WAITS = ("contended", *(f"{kind}_{what}" for kind in ("wait", "hold")
                        for what in ("ns", "ns_max", "samples", "histogram")))


def settings(**fields: object) -> Record:
    """Of one cell, the defaults where nothing is said."""
    return {"bench": "sweep", "workload": "bulk", "policy": "segment_tree", "lock": "fas",
            "cache": 128, "batch": 0, "cpus": 4, "ops": 20000, "seed": 1,
            "lockstat": "contended", "checks": 1, "zbb": 0, "zones": 1, "rounds": 3, **fields}


def histogram(samples: int, middle: float, wide: float, buckets: int = 24) -> list[int]:
    weights = [math.exp(-(((b - middle) / wide) ** 2)) for b in range(buckets)]
    return [round(samples * weight / sum(weights)) for weight in weights]


def cell(dice: random.Random, **fields: object) -> Record:
    found = settings(**fields)
    if found["workload"] == "run" and found["policy"] == "free_list":
        return {"record": "bench", **found, "supported": False, "why": "not supported by free_list"}
    cpus, cache = int(str(found["cpus"])), int(str(found["cache"]))
    batch = int(str(found["batch"])) or 40
    cost = WORKLOADS[str(found["workload"])] * POLICIES[str(found["policy"])]
    ns = (12 + cost if cache else 70 + 60 * cost) * dice.uniform(0.97, 1.03)
    ns *= 1 if cache else cpus**1.3
    operations = 40000 * cpus
    locks = operations * 3 // (batch if cache else 1)
    share = min(0.9, 0.02 * cpus * (1 + LOCKS.index(str(found["lock"]))) / (batch if cache else 4))
    waits = round(locks * share) if cpus > 1 else 0
    valid = cpus <= 2
    found.update(record="bench", supported=True, valid=valid, operations=operations,
                 ns_per_op=round(ns, 2), ns_per_op_min=round(ns * 0.96, 2),
                 ns_per_op_max=round(ns * 1.09, 2), refills=locks // 2, flushes=locks // 2,
                 direct=0, failures=0, acquisitions=locks, contended=waits, wait_ns=waits * 900,
                 wait_ns_max=41000, hold_ns=waits * 300, hold_ns_max=5200, wait_samples=waits,
                 hold_samples=waits, tick_hz=10000000, wait_histogram=histogram(waits, 5, 3),
                 hold_histogram=histogram(waits, 1.5, 1.5))
    if not valid:
        found["why"] = WHY
        for name in WAITS:
            del found[name]
    return found


def counted_cell(dice: random.Random, workload: str, policy: str, cache: int) -> Record:
    found = cell(dice, workload=workload, policy=policy, cache=cache, cpus=1, rounds=1)
    if found["supported"]:
        cost = WORKLOADS[workload] * POLICIES[policy]
        found["instructions_per_op"] = round(14 + 24 * cost if cache else 90 + 110 * cost, 2)
        found.update(valid=False, why="under icount")
    return found


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


def timed_cells(dice: random.Random) -> Iterator[Record]:
    for workload in WORKLOADS:
        for policy in POLICIES:
            for cache in (128, 0):
                for cpus in (1, 2, 4):
                    yield cell(dice, workload=workload, policy=policy, cache=cache, cpus=cpus)
    for workload in ("bulk", "rand"):
        for lock in LOCKS:
            for batch in (0, 8, 16, 32, 64):
                if lock != "fas" or batch:
                    cpus = 2 if workload == "bulk" else 4
                    yield cell(dice, workload=workload, lock=lock, batch=batch, cpus=cpus)


def timed() -> list[Record]:
    """What the boot for times says."""
    cells = list(timed_cells(random.Random(1)))
    samples = [record for policy in POLICIES for record in memory(policy)]
    head = {"record": "sweep", "cells": len(cells), "rounds": 3, "samples": 40}
    return [head, *cells, *samples]


def counted() -> list[Record]:
    """What the boot that counts instructions says."""
    dice = random.Random(2)
    cells = [counted_cell(dice, workload, policy, cache)
             for workload in WORKLOADS for policy in POLICIES for cache in (128, 0)]
    return [{"record": "sweep", "cells": len(cells), "rounds": 3, "samples": 0}, *cells]


def blamed_lock(cpus: int = 4, **fields: object) -> Record:
    """What a stress says of a lock: each cpu waited for the next; the last holder is not known."""
    cpu_mask = [*range(1, cpus), cpus - 1]
    waits = [100 * (cpu + 1) for cpu in range(cpus)]
    return {"record": "lock", "name": "zone0", "kind": "mcs", "cpus": cpus, "valid": True,
            "acquisitions": 9000, "contended": sum(waits) + 7, "blame_waiter": list(range(cpus)),
            "blame_holder": cpu_mask, "blame_waits": waits,
            "blame_wait_ns": [n * 500 for n in waits], "blame_others_waits": 7,
            "blame_others_wait_ns": 70, "site_waiter": [0x80200010, 0x80200010],
            "site_holder": [0x80200104, 0], "site_waits": [sum(waits), 5],
            "site_wait_ns": [9000, 50], "site_others_waits": 2, "site_others_wait_ns": 20, **fields}


def unblamed_lock() -> Record:
    """The same where the host has not given each cpu a core."""
    return {"record": "lock", "name": "zone0", "kind": "mcs", "cpus": 4, "acquisitions": 9000,
            "valid": False, "why": WHY}


def whole_sweep() -> list[Record]:
    """As report.py keeps them."""
    mapped = [record for policy in POLICIES for record in memory(policy)]
    marks = {"instructions": counted(), "times": timed(), "map": mapped, "blame": [blamed_lock()]}
    return [{"boot": boot, "clock": "time" if boot in ("times", "blame") else "instructions",
             **record}
            for boot, records in marks.items() for record in records]


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
    return report.markup(report.make_page(sweep, {"times": "tools/launch.py"}, [("date", "now")]))


class TestRecords(unittest.TestCase):
    def test_a_line_cut_short_is_left_out(self) -> None:
        found = report_records.parse('{"record":"level"}\n[1]\nnoise\n{"record":"ma')
        self.assertEqual(found, [{"record": "level"}])

    def test_states(self) -> None:
        for fields, state in (({"valid": True}, "measured"), ({"valid": False}, "not measurable"),
                              ({}, "not measurable"), ({"supported": False}, "not supported")):
            self.assertEqual(report_records.state_of(fields), state)

    def test_throughput_is_of_all_cpus(self) -> None:
        self.assertEqual(report_records.throughput({"ns_per_op": 10.0, "cpus": 4}), 4e8)
        self.assertIsNone(report_records.throughput({"cpus": 4}))

    def test_acquisitions_are_of_all_rounds_and_operations_of_one(self) -> None:
        found = {"acquisitions": 90, "operations": 1000, "rounds": 1}
        self.assertEqual(report_records.locks_per_1000(found), 90)
        self.assertIsNone(report_records.locks_per_1000({**found, "rounds": 3}))

    def test_a_slice_is_of_one_kind(self) -> None:
        dice = random.Random(3)
        cells = [cell(dice, lock="fas", cpus=n) for n in (1, 2, 4)]
        cells += [cell(dice, lock="mcs", cpus=n) for n in (1, 2)]
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
        records = [{"boot": clock, "clock": clock, **record, "cpus": cpus}
                   for clock, cpus in (("instructions", 1), ("time", 2))
                   for record in memory("bitmap", 4)]
        found, host = report_records.samples_of(records), report.Host(2, {})
        self.assertIn("1 cpu on", report_memory.map_figure(found, host).conditions)
        self.assertIn("2 cpus on", report_memory.level_figure(found, host).conditions)
        self.assertEqual(report_findings.fragmentation(records[8:]), "")

    def test_whole_share(self) -> None:
        self.assertEqual(report_records.whole_share([(512, 512), (256, 512), (256, 512)]), 50)
        self.assertIsNone(report_records.whole_share([(0, 512)]))


class FakeSymbols(launch.Symbols):
    def read(self) -> list[tuple[int, bytes]]:
        return [(0x80200000, b"zone_claim"), (0x80200100, b"zone_release")]


class TestBlame(unittest.TestCase):
    def figure(self, record: Record, cores: int = 4) -> report.Figure:
        return report_blame.blame_figure([record], report.Host(cores, {}))

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
                         [["zone_claim+0x10", "zone_release+0x4", "1,000"],
                          ["zone_claim+0x10", "not known", "5"], ["all others", "", "2"]])

    def test_nothing_is_told_where_the_check_failed(self) -> None:
        """Not even of a record that has the numbers: of an older kernel's, for one."""
        for record in (blamed_lock(valid=False, why=WHY),
                       {k: v for k, v in blamed_lock().items() if k != "valid"},
                       unblamed_lock()):
            figure = self.figure(record)
            self.assertEqual((figure.panels, figure.legend), ([], []))
            self.assertIn("could not be measured", figure.shows)
            self.assertIn("NOT MEASURABLE", figure.conditions)
            self.assertEqual([[value.text for value in row] for row in figure.tables[0].rows],
                             [["zone0, mcs", "9,000", "–"]])
            self.assertEqual(figure.tables[0].rows[0][2].state, "not measurable")

    def test_many_cpus_have_no_numbers(self) -> None:
        few, many = (self.figure(blamed_lock(cpus)).panels[0] for cpus in (8, 9))
        self.assertIn("set label 10 ", "\n".join(few.script))
        self.assertNotIn("set label 10 ", "\n".join(many.script))
        self.assertIn("all others", self.figure(blamed_lock(9)).how)

    def test_a_lock_that_nobody_waited_for_is_not_drawn(self) -> None:
        self.assertEqual(self.figure(blamed_lock(blame_waits=[])).panels, [])


class TestContention(unittest.TestCase):
    """Shares are shown of cells whose check passed, whatever a record has."""

    def cells(self, valid: bool) -> list[Record]:
        return [settings(record="bench", supported=True, valid=valid, cpus=2, lock=lock, cache=cache,
                         batch=batch, policy="segment_tree", acquisitions=1000, contended=237,
                         ns_per_op=10.0, lockstat="all", tick_hz=10000000, wait_samples=237,
                         wait_histogram=[200, 37], wait_ns=900, wait_ns_max=90, hold_samples=1000,
                         hold_histogram=[1000], hold_ns=100, hold_ns_max=10)
                for lock in ("fas", "mcs") for batch in (8, 64) for cache in (128, 0)]

    def texts(self, valid: bool) -> str:
        cells, host = self.cells(valid), report.Host(2, {})
        cells += [{**cell, "cpus": 1, "contended": 0} for cell in cells]
        figures = [report_locks.contention_figure(cells, host),
                   report_locks.histogram_figure(cells, host)]
        told = [report_findings.contention(cells)]
        for figure in figures:
            self.assertTrue(figure.tables and figure.conditions, figure.key)
            told += [figure.shows, *(panel.describes for panel in figure.panels),
                     *(line for panel in figure.panels for line in panel.script),
                     *(value.text for table in figure.tables for row in table.rows
                       for value in row)]
        return "\n".join(told)

    def test_a_measured_share_is_told(self) -> None:
        text = self.texts(True)
        self.assertIn("23.7 % of 1,000", text)
        self.assertIn("23.7 % with batches of 8", text)
        self.assertIn("were contended with caches", text)
        self.assertIn("237 waits", text)

    def test_no_share_where_the_check_failed(self) -> None:
        text = self.texts(False)
        self.assertNotIn("23.7", text)
        self.assertNotIn("237", text)
        self.assertNotIn("were contended", text)
        self.assertIn("No contended share could be measured", text)
        self.assertIn("– of 1,000", text)
        self.assertIn("waits NOT MEASURABLE", text)

    def test_a_part_is_not_the_whole(self) -> None:
        cells = self.cells(True)
        mixed = [{**cell, "valid": cell["lock"] == "fas"} for cell in cells]
        self.assertIsNone(report_locks.mean_share(mixed))
        self.assertIn("Of 2 of 4 cells that could be measured",
                      report_locks.contention_words([c for c in mixed if c["cache"]]))
        self.assertEqual(report_findings.contention(mixed), "")

    def test_a_page_without_shares(self) -> None:
        bad = [{**r, "valid": False, "why": WHY} if "valid" in r else r for r in whole_sweep()]
        page = page_of(bad)
        for key in ("contention", "blame"):
            part = page.partition(f'<figure id="{key}">')[2].partition("</figure>")[0]
            self.assertNotIn("<svg", part, key)
            self.assertIn("could be measured" if key == "contention" else "could not be measured",
                          part)
            self.assertIn("○ –", part, key)
        self.assertEqual(read_page(page).badly_nested, [])


class TestWords(unittest.TestCase):
    def ranked(self, **values: float) -> list[str]:
        cells = [settings(policy=policy, cpus=1, cache=0, clock="instructions", record="bench",
                          instructions_per_op=value) for policy, value in values.items()]
        return report_speed.policy_place(cells)

    def test_place_of_the_tree(self) -> None:
        said = self.ranked(segment_tree=30.0, bitmap=40.0, free_list=20.0)
        self.assertIn("second of 3 in bulk (30.0, 50 % more than free_list)", said[0])
        said = self.ranked(segment_tree=10.0, bitmap=20.0)
        self.assertIn("first of 2 in bulk (10.0, 50 % fewer than bitmap)", said[0])
        said = self.ranked(segment_tree=10.0, bitmap=10.0)
        self.assertIn("first of 2 in bulk (10.0, as bitmap)", said[0])
        self.assertEqual(self.ranked(segment_tree=10.0), [])

    def test_nothing_is_said_of_nothing(self) -> None:
        self.assertEqual(report_findings.findings([], ""), [])

    def test_only_measured_times_count_as_speed(self) -> None:
        good = [settings(cpus=n, ns_per_op=10.0, valid=True) for n in (1, 2)]
        self.assertIn("2.00 times", report_speed.speedups(good))
        bad = [{**c, "valid": c["cpus"] == 1} for c in good]
        self.assertIn("No throughput", report_speed.speedups(bad))

    def test_durations(self) -> None:
        for ns, text in ((None, "–"), (12.3, "12.3 ns"), (4100, "4.10 µs"), (2.5e6, "2.50 ms")):
            self.assertEqual(report_findings.duration(ns), text)


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
        self.assertTrue(all(value.startswith("#") for value in reader.values("href")))
        self.assertEqual(reader.values("src"), [])
        self.assertLess(len(self.whole.encode()), 3 << 20)

    def test_is_well_formed(self) -> None:
        reader = read_page(self.whole)
        self.assertEqual((reader.badly_nested, reader.open), ([], []))
        ids = reader.values("id")
        self.assertEqual(len(ids), len(set(ids)))
        targets = {value[1:] for value in reader.values("href")}
        self.assertLessEqual(targets, set(ids))

    def test_every_drawing_has_a_name_and_a_description(self) -> None:
        drawings = re.findall(r'<svg viewBox="0 0 340.*?<title id="[^"]+">([^<]+)</title>'
                              r'<desc id="[^"]+">([^<]+)</desc>', self.whole)
        self.assertEqual(len(drawings), self.whole.count('role="img"'))
        self.assertGreater(len(drawings), 20)

    def test_colours_are_the_page_s_own(self) -> None:
        body = self.whole.partition("<body>")[2]
        self.assertNotRegex(body, r"rgb\(|=\"(black|white|#[0-9a-f]{3,6})\"")
        self.assertIn("prefers-color-scheme:dark", self.whole)

    def test_all_seven_figures_have_drawings_and_numbers(self) -> None:
        self.assertNotIn("No records", self.whole)
        for key in ("scaling", "contention", "times", "blame", "instructions", "map",
                    "levels"):
            part = self.whole.partition(f'<figure id="{key}">')[2].partition("</figure>")[0]
            self.assertIn("<svg", part, key)
            self.assertIn("<table>", part, key)
            self.assertIn("Measured:", part, key)

    def test_not_measurable_is_shown(self) -> None:
        self.assertIn(f"<summary>{WHY}: ", self.whole)
        self.assertIn('class="n nm" title="NOT MEASURABLE on this host">○ ', self.whole)
        self.assertIn('href="#gpPt5"', self.whole)
        self.assertIn("(not measurable)", self.whole)

    def test_all_measured_has_no_hollow_marks(self) -> None:
        good = [{**r, "valid": True, "contended": r.get("contended", 0)} if "valid" in r else r
                for r in self.records]
        page = page_of(good)
        self.assertNotRegex(page, r'href="#gpPt(3|5|7|9|11|13)"')
        self.assertNotIn("○", page)

    def test_not_supported_is_shown(self) -> None:
        self.assertIn('class="n no">not supported<', self.whole)
        self.assertIn("not supported by free_list: 8 cells", self.whole)

    def test_partial_is_marked(self) -> None:
        self.assertNotIn("PARTIAL", self.whole)
        page = page_of(self.records[:100], ("times: ended by SIGINT; after 60 of 188 cells",))
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

BOOTS = report_sweep.standard_sweep(len(os.sched_getaffinity(0)))

# QEMU's stand-in: says what lies beside the kernel for this kind of boot.
QEMU = """
kernel= kind=times previous=
for word; do
    case "$previous" in
    -kernel) kernel=$word ;;
    -icount) kind=counts ;;
    esac
    previous=$word
done
case "$1" in --version) echo "QEMU emulator version 7.2.0"; exit ;; esac
case "$*" in
*trace=on*) kind=trace ;;
*run=stress*) kind=stress ;;
*ops=*) kind=others ;;
*shift=* | *workload=bulk) ;;
*) kind=others ;;
esac
cat "$kernel.$kind"
if [ -e "$kernel.$kind.hangs" ]; then touch "$kernel.hanging"; exec sleep 600; fi
if [ -e "$kernel.$kind.crashes" ]; then exit 1; fi
echo '{"record":"verdict","result":"pass"}'
"""


def few() -> Record:
    return cell(random.Random(6), lock="mcs")


class TestWholeRuns(InTemporaryFolder):
    def setUp(self) -> None:
        super().setUp()
        self.out = self.folder / "out"
        self.kernel = self.folder / "kernel"
        self.kernel.write_bytes(b"not really")
        self.qemu = self.script("qemu", QEMU)
        self.kinds = dict.fromkeys((boot.title for boot in BOOTS), [few()])
        # Of a stress only its locks are kept.
        self.kinds.update(instructions=counted(), bulk=timed(), blame=[blamed_lock()])
        self.said("counts", counted())
        self.said("times", timed())
        self.said("others", [few()])
        self.said("stress", [few(), blamed_lock()])
        (self.folder / "kernel.trace").write_text("\n".join(busy_trace()) + "\n", encoding="utf-8")

    def said(self, kind: str, records: list[Record]) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        (self.folder / f"kernel.{kind}").write_text(lines, encoding="utf-8")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(TOOLS / "report.py"), "--kernel", str(self.kernel),
                "--out", str(self.out), *arguments]

    def environment(self, **more: str) -> dict[str, str]:
        return {**os.environ, "QEMU": str(self.qemu), **more}

    def run_report(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), env=self.environment(**more), text=True,
                              capture_output=True, timeout=300, check=False)

    def rows(self) -> list[dict[str, str]]:
        with (self.out / "results.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def page(self) -> str:
        return (self.out / "index.html").read_text(encoding="utf-8")

    def test_to_the_end(self) -> None:
        run = self.run_report()
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn("Page and records", run.stdout)
        self.assertNotIn("PARTIAL", self.page())
        self.check_csv()
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

    def test_a_boot_without_a_trace_is_said(self) -> None:
        self.run_report()
        (self.folder / "kernel.trace").write_text("", encoding="utf-8")
        run = self.run_report()
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("trace: the run kept no trace", self.page())
        self.assertNotIn('<figure id="trace">', self.page())
        self.assertFalse((self.out / "trace.json").exists())

    def check_csv(self) -> None:
        """Every record of every boot, with every field."""
        rows = self.rows()
        wanted = [(boot.title, record) for boot in BOOTS for record in self.kinds[boot.title]]
        self.assertEqual(len(rows), len(wanted))
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
        self.said("counts", counted()[:-3])
        run = self.run_report()
        self.assertEqual(run.returncode, 1, run.stderr)
        cells = len(counted()) - 1
        self.assertIn(f"after {cells - 3} of {cells} cells", self.page())

    def test_ended_by_a_signal_it_leaves_a_page_and_no_process(self) -> None:
        self.said("times", timed()[:50])
        (self.folder / "kernel.times.hangs").touch()
        process = subprocess.Popen(self.command(), env=self.environment(), text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        while not (self.folder / "kernel.hanging").exists():
            self.assertIsNone(process.poll())
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 128 + signal.SIGINT, stderr)
        self.assertIn("PARTIAL", stderr)
        self.assertIn("ended by SIGINT", self.page())
        self.assertEqual(len(self.rows()), len(counted()) + 1 + 1 + 50)
        self.assertIn("locks: not run", self.page())

    def test_no_gnuplot(self) -> None:
        path = self.folder / "bin"
        path.mkdir()
        run = self.run_report(PATH=str(path))
        self.assertEqual(run.returncode, 2)
        self.assertIn("gnuplot not found: install the package gnuplot-nox", run.stderr)
        self.assertFalse(self.out.exists())

    def test_no_kernel(self) -> None:
        self.kernel.unlink()
        run = self.run_report()
        self.assertEqual(run.returncode, 2)
        self.assertIn("no such file", run.stderr)

    def test_nothing_to_redraw(self) -> None:
        run = self.run_report("--redraw")
        self.assertEqual(run.returncode, 2)
        self.assertIn("records.jsonl: No such file", run.stderr)

    def test_a_sweep_for_any_host(self) -> None:
        for cores, cpus, locks in ((1, "1,2,4", 2), (2, "1,2,4", 2), (4, "1,2,4", 4),
                                   (6, "1,2,4", 4), (16, "1,2,4,8,16", 16)):
            boots = {boot.title: boot for boot in report_sweep.standard_sweep(cores)}
            self.assertIn(f"cpus={cpus}", boots["bulk"].bootargs)
            self.assertEqual(boots["bulk"].smp, int(cpus.split(",")[-1]))
            self.assertEqual(boots["locks"].smp, locks)

    def test_the_command_shown_is_the_one_run(self) -> None:
        for boot in BOOTS:
            shown = boot.command(self.kernel).split()
            self.assertEqual(shown[0], "tools/launch.py")
            options = launch.parse_arguments(boot.arguments(self.kernel))
            self.assertEqual(options.icount, report_sweep.ICOUNT if boot.counts else None)


if __name__ == "__main__":
    unittest.main()
