#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the report's figures of cache lines, on made-up records in the form of tools/lines.py."""

from __future__ import annotations

import unittest

import lines
import report
import report_findings
import report_line_cost
import report_lines
import report_plot as plot
import report_records
import report_sweep
from report_figures import TURNS, Figure
from report_records import Record
from test_report import cell, heap_cell, lock_cells, page_of, part_of_page

HOT_LINE = "zone0.lock.word"


def counts(misses: int, false: int, upgrades: int) -> Record:
    return {"misses": misses, "false": false, "upgrades": upgrades}


def run_of(number: int, operations: int, time: int, halvings: int = 0, line: int = 0, cpus: int = 4,
           **counted: object) -> Record:
    """A round of a cell, as the plugin says it."""
    return {"record": "lines", "cell": number, "halvings": halvings, "sequence": 0, "cpus": cpus,
            "operations": operations, "line": line, "accesses": 9 * operations, "cold": 5,
            "time": time, **counts(0, 0, 0), **counted}


def hot_line(number: int, name: str, misses: int, false: int, upgrades: int, halvings: int = 0,
             functions: tuple[str, ...] = ("take (lock.c:10)", "give (lock.c:20)")) -> Record:
    """All transfers are of the first function but one, which is of the last."""
    places: list[Record] = [{"pc": 0x80200000 + 4 * place, "offset": 8 * place, "function": function,
                             "name": f"{name}+{8 * place}" if place else name, **counts(1, 0, 0)}
                            for place, function in enumerate(functions)]
    places[0].update(counts(misses - len(functions) + 1, false, upgrades))
    return {"record": "line", "cell": number, "halvings": halvings, "sequence": 0, "range": "zone0",
            "offset": 64, "address": 0x80300000, "name": name, "cpus": 4, "places": places,
            **counts(misses, false, upgrades)}


def site(number: int, place: str, misses: int) -> Record:
    return {"record": "lines_site", "cell": number, "range": place, "pc": 0x80200000,
            "function": "take (lock.c:10)", **counts(misses, 0, 0)}


def marked(records: list[Record], boot: str = "lines-frames", line: int = 0) -> list[Record]:
    return [{"boot": boot, "line": line, **record} for record in records]


def hot_cell(number: int, bench: Record, busy: int) -> list[Record]:
    """Of two rounds of 1,000 operations: one hot line, and others."""
    rounds = [run_of(number, 1000, 250000, halvings, misses=400 * busy, false=50 * busy,
                     upgrades=100 * busy) for halvings in (0, 1)]
    met = [hot_line(number, name, misses, 20, 10, halvings) for halvings in (0, 1)
           for name, misses in (("zone0.first", 100), (HOT_LINE, 190 * busy), ("cpu1.stack+0x40", 40))]
    return [{**bench, "cell": number}, *rounds, *met, site(number, "zone0", 300),
            site(number, "cpu1.stack", 40), site(number, "cpu2.stack", 60)]


def hot_records() -> list[Record]:
    """Two cells of frames and one of the heap, in two boots that both count their cells from 0."""
    frames = [*hot_cell(0, cell(cache=128, cpus=4, lock="mcs"), 2),
              *hot_cell(1, cell(cache=0, cpus=4, lock="mcs"), 5)]
    heap = hot_cell(0, heap_cell(1.0, 2.0, 3.0, workload="kmalloc", cpus=4, lock="mcs"), 3)
    return [*marked(frames), *marked(heap, "lines-heap")]


def data_of(panel: plot.Panel, name: str) -> list[list[float]]:
    """The rows of a block of data."""
    start = panel.script.index(f"${name} << END_OF_DATA") + 1
    end = panel.script.index("END_OF_DATA", start)
    return [[float(part) for part in row.split()] for row in panel.script[start:end]]


def bars(panel: plot.Panel) -> list[list[tuple[float, float]]]:
    """Of each line, hottest first, the ends of its parts."""
    rows = [data_of(panel, part) for part, _ in report_lines.PARTS]
    return [[(row[2], row[3]) for row in line] for line in zip(*rows)]


class TestHottestLines(unittest.TestCase):
    def figure(self, records: list[Record]) -> Figure:
        found = report_lines.lines_figure(report_lines.measured(records), {})
        assert found
        return found

    def test_no_records_no_figure(self) -> None:
        self.assertEqual(report_lines.measured(lock_cells()), [])
        self.assertNotIn("cache lines", page_of(list(lock_cells())))

    def test_frames_and_the_heap_apart(self) -> None:
        found = report_lines.measured(hot_records())
        frames, heap = report_lines.lines_figure(found, {}), report_lines.heap_lines_figure(found, {})
        assert frames and heap
        self.assertEqual([panel.title for panel in frames.panels],
                         ["bulk, no cache, 4 harts", "bulk, cache 128, 4 harts"])
        self.assertEqual([panel.title for panel in heap.panels], ["kmalloc, cache 128, 4 harts"])

    def test_rounds_are_one_cell_and_the_hottest_line_is_first(self) -> None:
        panel = self.figure(hot_records()).panels[0]
        # Of 2,000 operations 1,900 misses, 40 of them false, and 20 upgrades.
        self.assertEqual(bars(panel)[0], [(0, 0.93), (0.93, 0.95), (0.95, 0.96)])
        widths = [line[-1][1] for line in bars(panel)]
        self.assertEqual(widths, sorted(widths, reverse=True))
        ticks = next(line for line in panel.script if line.startswith("set ytics"))
        self.assertLess(ticks.index(f"'{HOT_LINE}'"), ticks.index("'zone0.first'"))

    def test_the_functions_stand_beneath_the_bar(self) -> None:
        panel = self.figure(hot_records()).panels[0]
        beneath = next(line for line in panel.script if line.startswith("set label 200 "))
        self.assertIn("'take, give'", beneath)

    def test_a_line_has_the_name_of_the_member_that_moves_it(self) -> None:
        line = hot_line(0, "kheap.stats.frames", 90, 1, 1)
        met = lines.cells_of([line])[0].lines["kheap.stats.frames"]
        self.assertEqual(report_lines.line_name("kheap.stats.frames", met), "kheap.stats.frames")
        for name, wanted in (("kheap.stats.blocks", "kheap.stats.blocks"),
                             ("kheap.stats.blocks+0x4", "kheap.stats.frames")):
            places = [{**place, "name": name} for place in line["places"]]  # type: ignore[attr-defined]
            met = lines.cells_of([{**line, "places": places}])[0].lines["kheap.stats.frames"]
            self.assertEqual(report_lines.line_name("kheap.stats.frames", met), wanted)

    def test_functions_that_do_not_fit_are_left_out(self) -> None:
        def text(*functions: str) -> str:
            found = lines.cells_of([hot_line(0, HOT_LINE, 90, 1, 1, functions=functions)])
            return report_lines.functions_text(found[0].lines[HOT_LINE])
        self.assertEqual(text("a (f.c:1)", "b (f.c:2)", "a (f.c:3)"), "a, b")
        self.assertEqual(text("a (f.c:1)", "b" * 80, "c"), "a, …")
        self.assertEqual(text("a" * 80), "a" * (report_lines.FUNCTIONS_MOST - 1) + "…")

    def test_words(self) -> None:
        self.assertEqual(self.figure(hot_records()).shows.splitlines()[0],
                         "bulk, no cache, 4 harts: 2.50 transfers an operation, 0.250 of them by false "
                         f"sharing. 6.0 % are in zone0. The hottest line is that of {HOT_LINE} with 38 %: "
                         "take and give fight over it.")

    def test_tables_have_members_functions_and_memory(self) -> None:
        hot, memory = self.figure(hot_records()).tables
        row = [value.text for value in hot.rows[0]]
        self.assertEqual(row[1:], [HOT_LINE, "950", "20.0", "10.0", "4", f"{HOT_LINE}+8",
                                   "take lock.c:10, give lock.c:20"])
        self.assertEqual([[value.text for value in row[1:3]] for row in memory.rows[:2]],
                         [["zone0", "150"], ["cpu*.stack", "50.0"]])

    def test_the_page_shows_them_and_links_the_records(self) -> None:
        page = page_of([*lock_cells(), *hot_records()])
        for key in ("lines", "heap-lines"):
            self.assertIn("<svg", part_of_page(page, key))
            self.assertIn("Measured:", part_of_page(page, key))
            self.assertIn(f'href="#{key}"', page)
        for kind in ("lines", "line", "lines_site"):
            self.assertIn(f'href="{kind}.csv"', page)

    def test_records_that_are_cut_or_odd_are_left_out(self) -> None:
        whole = hot_records()
        names = sorted({name for record in whole for name in record} - {"record", "bench"})
        for name in names:
            for odd in ({}, {name: "x"}, {name: None}):
                records = [{**{k: v for k, v in record.items() if k != name}, **odd} for record in whole]
                self.assertIn("</html>", page_of(records), name)
        without = [record for record in whole if record["record"] != "bench"]
        self.assertEqual(report_lines.measured(without), [])
        self.assertEqual(report_lines.measured([r for r in whole if r["record"] != "lines"]), [])

    def test_names_are_text(self) -> None:
        evil = "%s<script>'\"&"
        page = page_of([{**record, "name": evil} if record["record"] == "line" else record
                        for record in hot_records()])
        self.assertNotIn("<script", page)
        self.assertIn("%s&lt;script&gt;", page)


def swept(line: int) -> list[Record]:
    """`mcs` makes the same transfers with any number of harts, `ticket` more with more."""
    found: list[Record] = []
    for lock in ("mcs", "ticket"):
        for cpus in (1, 2, 4):
            number, moves = len(found), 10 if lock == "mcs" else 10 * cpus
            found.append({**cell(cache=0, cpus=cpus, lock=lock, turn=100), "cell": number})
            found += [run_of(number, 1000, (500 + line * moves) * 1000, halvings, line, cpus,
                             misses=500 * moves, false=100 * moves, upgrades=500 * moves)
                      for halvings in (0, 1)]
    return marked(found, "lines-cost" if line else "lines-free", line)


class TestCost(unittest.TestCase):
    def figure(self, records: list[Record]) -> Figure:
        found = report_line_cost.cost_figure(report_lines.measured(records), {})
        assert found
        return found

    def test_needs_both_boots(self) -> None:
        for records in (swept(0), swept(40), hot_records()):
            self.assertIsNone(report_line_cost.cost_figure(report_lines.measured(records), {}))

    def test_each_panel_has_the_scale_of_its_curves(self) -> None:
        figure = self.figure([*swept(0), *swept(40)])
        self.assertEqual([panel.title for panel in figure.panels],
                         ["bulk, no cache: transfers take no time",
                          "bulk, no cache: 40 instructions a transfer",
                          "bulk, no cache: transfers"])
        for panel, highest in zip(figure.panels, (2000, 1e6 / 900, 40)):
            limits = next(line for line in panel.script if line.startswith("set yrange"))
            self.assertEqual(limits, f"set yrange [0:{highest * 1.03:.9g}] noextend")

    def test_curves(self) -> None:
        """The time of the plugin's clock, waits for lines included; not the kernel's ns_per_op."""
        free, dear, moved = self.figure([*swept(0), *swept(40)]).panels
        for panel, mcs, ticket in ((free, 2e3, 2e3), (dear, 1e6 / 900, 1e6 / 2100), (moved, 10, 40)):
            for curve, wanted in (("c0all", mcs), ("c1all", ticket)):
                last = data_of(panel, curve)[-1]
                self.assertEqual(last[0], 4)
                self.assertAlmostEqual(last[1], wanted, delta=wanted / 1e6)

    def test_the_line_through_a_mark_spans_the_rounds(self) -> None:
        records = [{**r, "time": int(str(r["time"])) * 21 // 20} if r.get("halvings") else r
                   for r in [*swept(0), *swept(40)]]
        low, high = data_of(self.figure(records).panels[0], "c0all")[-1][2:4]
        self.assertAlmostEqual(high / low, 1.05, delta=1e-4)

    def test_what_depends_on_the_turns_is_hollow(self) -> None:
        def hollow(longer: int) -> tuple[bool, bool]:
            records = [{**r, "time": int(str(r["time"])) * longer // 100}
                       if r.get("halvings") and r["line"] and r["cpus"] == 4 else r
                       for r in [*swept(0), *swept(40)]]
            figure = self.figure(records)
            marks = [data_of(panel, "c0hollow")[0] for panel in figure.panels[:2]]
            self.assertEqual([value.mark for value in figure.tables[1].rows[0][2:]],
                             ["", "", TURNS if marks[1][0] == 4 else ""])
            return marks[0][0] == 4, marks[1][0] == 4
        self.assertEqual(hollow(109), (False, False))
        self.assertEqual(hollow(112), (False, True))

    def test_words(self) -> None:
        self.assertEqual(self.figure([*swept(0), *swept(40)]).shows,
                         "bulk, no cache, 4 harts: where a transfer takes 40 instructions, "
                         "24 % (ticket) to 56 % (mcs) of the throughput is left. An operation makes "
                         "10.0 (mcs) to 40.0 (ticket) transfers.")

    def test_tables(self) -> None:
        free, dear, moved = self.figure([*swept(0), *swept(40)]).tables
        last = [[row[1].text, row[-1].text] for row in dear.rows]
        self.assertEqual(last, [["mcs", "1,111"], ["ticket", "476"]])
        self.assertEqual([row[-1].text for row in free.rows], ["2,000", "2,000"])
        self.assertEqual(moved.rows[1][-1].text, "16.0 · 4.00 · 20.0")


class TestApart(unittest.TestCase):
    """Cells of these boots are in no other figure, for their times do not contain waits for lines."""

    def test_other_figures_and_the_findings_do_not_have_them(self) -> None:
        alone = list(lock_cells())
        both = [*swept(40), *swept(0), *hot_records(), *alone]
        self.assertEqual(report_records.timed_cells(both), alone)
        said = [report_findings.findings(records) for records in (alone, both)]
        self.assertEqual(said[0][:2], said[1][:2])
        self.assertEqual(said[1][2], said[0][2].removesuffix(".") + (
            "; where moving a cache line takes 40 instructions, mcs does 2.33 times as much as ticket, in "
            "bulk without caches with 4 harts."))
        pages = [report.figures(report_sweep.Sweep(records), {}) for records in (alone, both)]
        scaling = [next(figure for figure in figures if figure.key == "scaling") for figures in pages]
        self.assertEqual(scaling[0], scaling[1])
        self.assertEqual(report_findings.findings([*swept(40), *hot_records()]), [])

    def test_they_are_counted_and_named(self) -> None:
        bad = [{**r, "valid": False, "why": "unfair"} if "valid" in r else r for r in swept(40)]
        self.assertEqual(report_findings.tally(bad)["not measurable"], 6)
        names = report_findings.reasons(bad, "not measurable")["unfair"]
        self.assertTrue(all(name.endswith(" · LINE=40") for name in names), names)


class TestBoots(unittest.TestCase):
    def test_the_sweep_compares_and_finds_the_hottest(self) -> None:
        boots = {boot.title: boot for boot in report_sweep.standard_sweep() if boot.line is not None}
        costs = {title: boot.line for title, boot in boots.items()}
        self.assertEqual(costs, {"lines-cost": report_sweep.LINE_COST, "lines-free": 0,
                                 "lines-frames": 0, "lines-heap": 0})
        self.assertEqual(boots["lines-cost"].bootargs, boots["lines-free"].bootargs)
        # A wait longer than a turn is an error of the model, with turns of half the length too.
        self.assertGreaterEqual(report_sweep.LINE_TURN // 2, report_sweep.LINE_COST)
        for title, boot in boots.items():
            self.assertIn("lines", boot.kept)
            self.assertEqual("line" in boot.kept, title in ("lines-frames", "lines-heap"))

    def test_records_know_the_cost(self) -> None:
        boot = next(boot for boot in report_sweep.line_boots() if boot.title == "lines-cost")
        self.assertEqual(report_sweep.marked({"record": "bench"}, boot)["line"], report_sweep.LINE_COST)
        self.assertNotIn("line", report_sweep.marked({"record": "bench"}, report_sweep.TRACED))


if __name__ == "__main__":
    unittest.main()
