#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of trace_viewer.py and trace_format.py: the arrows, and the rules of the format."""

from __future__ import annotations

import copy
import random
import unittest
from collections.abc import Callable

import trace_format
import trace_viewer
from test_trace import CPU_0, CPU_1, Made, busy_trace, cpu_lines, example, head, packed, read

# Times in ticks. CPU 0 sends IPIs to 1 and 2; 1 handles its twice; 2 has handled one before. CPU 0 stops
# and starts 1. The heap takes an arena on 1 and gives it back on 2, and takes the same frames again.
SENDER: list[Made] = [
    ("ipi", 100, 0, 0, 0b110), ("cpu-stop", 400, 150, 1, 0), ("cpu-start", 600, 100, 1, 0),
]
HANDLERS: list[Made] = [
    ("ipi-handled", 130, 20, 0, 0), ("ipi-handled", 170, 20, 0, 0), ("arena-take", 180, 0, 32, 7000),
    ("away", 570, 250, 0, 0), ("ipi-handled", 580, 290, 0, 0),
]
THIRD: list[Made] = [
    ("ipi-handled", 90, 10, 0, 0), ("ipi-handled", 160, 50, 0, 0), ("arena-give", 700, 0, 32, 7000),
    ("arena-take", 800, 0, 32, 7000),
]


def arrows() -> list[tuple[str, int, int, int, int]]:
    found = read([head(), *cpu_lines(0, SENDER), *cpu_lines(1, HANDLERS), *cpu_lines(2, THIRD)])
    return [(arrow.name, arrow.cpu.number, arrow.start, arrow.to.number, arrow.end)
            for arrow in trace_viewer.arrows_of(found)]


class TestArrows(unittest.TestCase):
    def test_an_ipi_leads_to_the_first_handler_after_it(self) -> None:
        self.assertEqual([arrow for arrow in arrows() if arrow[0] == "IPI"],
                         [("IPI", 0, 100, 1, 110), ("IPI", 0, 100, 2, 110)])

    def test_a_stop_and_a_start_lead_to_the_time_away(self) -> None:
        self.assertEqual([arrow for arrow in arrows() if arrow[0] in ("stop", "start")],
                         [("stop", 0, 250, 1, 320), ("start", 0, 500, 1, 570)])

    def test_an_arena_leads_from_its_taker_to_its_giver(self) -> None:
        self.assertEqual([arrow for arrow in arrows() if arrow[0] == "arena"],
                         [("arena", 1, 180, 2, 700)])

    def test_an_ipi_names_its_cpus(self) -> None:
        found = read([head(), *cpu_lines(0, [("ipi", 9, 0, 64, 0b101)])])
        event = found.cpus[0].events[0]
        self.assertEqual(trace_viewer.arguments_of(event, found), {"to": "cpu 64, cpu 66"})


def any_trace(seed: int) -> list[str]:
    """Slices in slices, waits that a handler interrupts, and IPIs, on three cpus."""
    dice = random.Random(seed)
    lines = [head()]
    for cpu in range(3):
        events: list[Made] = [("doing", 5, 0, packed("any"), 0)] if cpu == 0 else []
        at = 10
        for _ in range(200):
            begun, at = at, at + dice.randrange(6)
            if dice.random() < 0.5:
                inner, at = at, at + dice.randrange(4)
                events.append(("ipi-handled", at, at - inner, 0, 0))
                at += dice.randrange(3)
            if dice.random() < 0.4:
                waited = dice.randrange(1 + 200 * (at - begun))
                events.append(("lock-wait", at, at - begun, packed("heap"), waited))
            else:
                events.append((dice.choice(("refill", "drain")), at, at - begun, 1, 0))
            if dice.random() < 0.3:
                events.append(("ipi", at, 0, 0, dice.randrange(1, 8) & ~(1 << cpu) or 1 << (cpu + 1) % 3))
            at += dice.randrange(3)
        lines += cpu_lines(cpu, events)
    return lines


def good_file() -> dict[str, object]:
    lines = [head(), *cpu_lines(0, CPU_0), *cpu_lines(1, CPU_1)]
    return trace_viewer.viewer_file(read(lines))


class TestFormat(unittest.TestCase):
    def test_files_of_traces_keep_the_rules(self) -> None:
        traces = [example(), busy_trace(), *(any_trace(seed) for seed in range(20)),
                  [head(), *cpu_lines(0, SENDER), *cpu_lines(1, HANDLERS), *cpu_lines(2, THIRD)]]
        for number, lines in enumerate(traces):
            file = trace_viewer.viewer_file(read(lines))
            self.assertEqual(trace_format.problems(file), [], number)

    def check(self, wanted: str, change: Callable[[list[dict[str, object]]], object]) -> None:
        file = copy.deepcopy(good_file())
        events = file["traceEvents"]
        assert isinstance(events, list)
        change(events)
        self.assertIn(wanted, " ".join(trace_format.problems(file)))

    def test_what_breaks_a_rule_is_said(self) -> None:
        def first(events: list[dict[str, object]], **fields: object) -> dict[str, object]:
            return next(e for e in events if all(e.get(name) == value for name, value in fields.items()))

        self.assertEqual(trace_format.problems(good_file()), [])
        self.check("no such phase: B", lambda events: events.append({"ph": "B", "name": "x", "pid": 1}))
        self.check("X without dur", lambda events: first(events, ph="X").pop("dur"))
        self.check("negative dur", lambda events: first(events, ph="X").update(dur=-1))
        self.check("no scope", lambda events: first(events, ph="i").update(s="q"))
        self.check("no name: thread_name", lambda events: first(events, name="thread_name").update(args={}))
        self.check("without a number", lambda events: first(events, ph="C").update(args={"cpus": "two"}))
        self.check("track 2 has no name", lambda events: events.remove(
            first(events, name="thread_name", tid=2)))
        self.check("not one process", lambda events: first(events, ph="X").update(pid=9))
        self.check("begins before", lambda events: events.append(
            {**first(events, name="refill"), "ts": 0.0, "dur": 0.0}))
        self.check("ends after refill", lambda events: first(events, name="refill").update(dur=6.0))
        self.check("not one begin and one end", lambda events: events.remove(first(events, ph="f")))
        self.check("ends before it begins", lambda events: first(events, ph="f").update(ts=1.0))
        self.check("no slice of track 2", lambda events: first(events, ph="f").update(ts=90.0))
        self.check("number of another", lambda events: events.extend(
            [{**first(events, ph=phase), "name": "other"} for phase in "sf"]))

    def test_a_file_of_another_kind(self) -> None:
        self.assertNotEqual(trace_format.problems({"traceEvents": []}), [])
        self.assertNotEqual(trace_format.problems({"displayTimeUnit": "ns"}), [])


if __name__ == "__main__":
    unittest.main()
