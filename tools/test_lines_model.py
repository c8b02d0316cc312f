#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of lines_model.py: closed forms, and the cells that docs/records has of many harts."""

from __future__ import annotations

import unittest
from pathlib import Path

import lines
import lines_model as model

RECORDS = Path(__file__).resolve().parent.parent / "docs" / "records" / "lines.jsonl"
# From cells of this many cpus the others are foretold, within this part of what was measured.
CPUS_KNOWN, APART_MOST = 16, 0.12


def cell(cpus: int, time: float, cost: int = 0, **transfers: int) -> lines.Cell:
    record: lines.Record = {"cell": 0, "cpus": cpus, "line": cost, "operations": 100, "time": time,
                            "ranges": {name.replace("_", "."): count for name, count in transfers.items()}}
    return model.cell_of_record(record)


class TestClosedForms(unittest.TestCase):
    def test_one_hart_never_waits(self) -> None:
        counts = model.Counts(300, 100, 5, 2, 7)
        self.assertEqual(model.time_of_operation(counts, 1, 40), 400)

    def test_a_lock_that_is_never_free_serves_one_hold_after_the_other(self) -> None:
        for line, hold in ((0, 100), (40, 100 + 40 * 5)):
            time = model.time_of_operation(model.Counts(300, 100, 5, 0, 0), 256, line)
            self.assertAlmostEqual(time / (256 * hold), 1, delta=0.001)

    def test_without_thinking_the_lock_is_never_free(self) -> None:
        self.assertAlmostEqual(model.time_of_operation(model.Counts(0, 100), 7), 700)

    def test_waiters_that_fetch_the_line_make_it_quadratic(self) -> None:
        counts = model.Counts(300, 100, 0, 2, 0)
        fewer, more = (model.time_of_operation(counts, harts, 40) for harts in (128, 256))
        self.assertAlmostEqual(more / fewer, 4, delta=0.1)

    def test_few_harts_hardly_meet(self) -> None:
        time = model.time_of_operation(model.Counts(10000, 100), 2)
        self.assertLess(time, 10100 + 2)


class TestCounts(unittest.TestCase):
    def test_from_cells(self) -> None:
        free = [cell(8, 800, zone1_state=300), cell(1, 400), cell(4, 400), cell(16, 1600, zone1_state=300)]
        dear = [cell(1, 400, 40), cell(8, 8 * (100 + 40 * (3 + 7)), 40), cell(16, 16 * (100 + 40 * (3 + 15)), 40)]
        counts = model.counts_of(free, dear)
        self.assertEqual((counts.think, counts.hold, counts.transfers_outside), (300, 100, 2))
        self.assertAlmostEqual(counts.transfers_held, 3)
        self.assertAlmostEqual(counts.transfers_held_each, 1)

    def test_what_they_need(self) -> None:
        with self.assertRaisesRegex(ValueError, "a cell of one cpu"):
            model.counts_of([cell(2, 400), cell(4, 800)])
        with self.assertRaisesRegex(ValueError, "two in which the lock is never free"):
            model.counts_of([cell(1, 400), cell(2, 400)])
        with self.assertRaisesRegex(ValueError, "with --line"):
            model.counts_of([cell(1, 100), cell(2, 200)], [cell(1, 100, 40)])

    def test_only_the_last_cells_are_full(self) -> None:
        cells = [cell(1, 400), cell(2, 410), cell(4, 450), cell(8, 800), cell(16, 1600)]
        self.assertEqual([model.cpus_of(one) for one in model.saturated(cells)], [8, 16])


class TestAgainstMeasured(unittest.TestCase):
    def test_many_harts_from_few(self) -> None:
        records = [record for record in lines.parse(RECORDS.read_text(encoding="utf-8"))
                   if record["record"] == "lines_cell" and record["boot"] != "lines of all locks"]
        cells = [model.cell_of_record(record) for record in records]
        compared = 0
        for lock, of_lock in model.by_lock(cells).items():
            few = [one for one in of_lock if model.cpus_of(one) <= CPUS_KNOWN]
            counts = model.counts_of(*([one for one in few if bool(one.cost) == dear] for dear in (False, True)))
            for one in of_lock:
                if model.cpus_of(one) > CPUS_KNOWN:
                    said = model.time_of_operation(counts, model.cpus_of(one), one.cost)
                    self.assertLess(abs(said / one.time() - 1), APART_MOST, f"{lock} {one.title()}")
                    compared += 1
        self.assertEqual(compared, 8)


if __name__ == "__main__":
    unittest.main()
