#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of calibrate.py: what it counts as a mistake of the check, and that it judges as the kernel.
"""

from __future__ import annotations

import unittest

import calibrate
from report_records import Record

# A cell at the border of everything: holds take 6 us in all, and 5 % of the run beyond 4 times alone.
BORDER: Record = {"clock": "time", "cpus": 2, "lock": "ticket", "waited": 0.0, "cores_percent": 115,
                  "tick_hz": 1_000_000_000, "hold_alone_ticks": 100, "hold_samples": 10,
                  "hold_ns": 6000, "sum_ns": 40000, "wait_ticks_mean": 16 * 200,
                  "ns_per_op_min": 10.0, "ns_per_op_max": 20.0}
THRESHOLDS = {"CORES_PERCENT_MOST": 115.0, "HOLD_FACTOR": 4.0, "STOLEN_PERCENT_MOST": 5.0,
              "WAIT_FACTOR_MOST": 16.0, "ROUNDS_PERCENT_MOST": 200.0,
              "TURNS_PERCENT_MOST": 102.0}  # of virtual time: not the host's, so not calibrated


class TestCheck(unittest.TestCase):
    def test_the_header_has_all_thresholds(self) -> None:
        self.assertEqual(set(calibrate.in_force()), set(THRESHOLDS))

    def test_figures(self) -> None:
        self.assertEqual(calibrate.stolen(BORDER, 4), 5.0)
        self.assertEqual(calibrate.stolen(BORDER, 6), 0.0)
        self.assertEqual(calibrate.queue(BORDER), 16.0)
        self.assertEqual(calibrate.rounds(BORDER), 200.0)
        self.assertIsNone(calibrate.queue({**BORDER, "lock": "fas"}))
        self.assertIsNone(calibrate.stolen({**BORDER, "hold_alone_ticks": 0}, 4))

    def test_the_border_is_accepted_and_nothing_beyond(self) -> None:
        self.assertTrue(calibrate.is_accepted(BORDER, THRESHOLDS))
        for worse in ({"cores_percent": 116}, {"hold_ns": 6001}, {"ns_per_op_max": 20.01},
                      {"ns_per_op_min": 0.0}):
            self.assertFalse(calibrate.is_accepted({**BORDER, **worse}, THRESHOLDS), worse)

    def test_a_queue_alone_rejects_nothing(self) -> None:
        self.assertTrue(calibrate.is_accepted({**BORDER, "wait_ticks_mean": 10**9}, THRESHOLDS))


class TestMistakes(unittest.TestCase):
    def test_labels(self) -> None:
        for waited, label in ((0.0, "undisturbed"), (0.02, "undisturbed"), (0.05, ""),
                              (0.1, "disturbed"), (0.9, "disturbed"), (None, "")):
            self.assertEqual(calibrate.label({**BORDER, "waited": waited}), label)
        counted = {**BORDER, "clock": "instructions", "waited": 0.9}
        self.assertEqual(calibrate.label(counted), "undisturbed")

    def test_rates(self) -> None:
        good = [{**BORDER, "cores_percent": percent} for percent in (100, 110, 120, 130)]
        bad = [{**cell, "waited": 0.5} for cell in good[1:]]
        said = calibrate.wrong(good + bad, calibrate.cores, 115).split()
        self.assertEqual(said, ["50.0", "%", "of", "4", "33.3", "%", "of", "3"])

    def test_what_was_waited(self) -> None:
        self.assertEqual(calibrate.waited_part([(100, 0), (175, 25)]), 0.25)
        self.assertIsNone(calibrate.waited_part([(100, 0)]))
        self.assertIsNone(calibrate.waited_part([(100, 0), (100, 0)]))


if __name__ == "__main__":
    unittest.main()
