#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of trace.py, its modules trace_*.py, and of the report's drawing of a trace, on made-up ones."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import unittest
from collections.abc import Sequence
from pathlib import Path

import report_page
import report_trace
import trace
import trace_format
import trace_page
import trace_records
import trace_viewer
from check.judges import trace_problems
from test_tools import InTemporaryFolder

TOOLS = Path(__file__).resolve().parent
TICKS_HZ, CLOCK_HZ = 10_000_000, 2_000_000_000
KINDS = ("refill frames zone - -", "flush frames zone - -", "run-alloc frames first - -", "drain found - - -",
         "ask cpu number - -", "answer number frames - -", "lock-wait lock waited_ticks holder site",
         "pressure-up cpus - - -", "doing name name - -", "sleep - - - -", "ipi first cpus - -",
         "ipi-handled - - - -", "cpu-stop cpu result - -", "cpu-start cpu result - -", "away - - - -",
         "arena-take frames first - -", "arena-give frames first - -", "heap-search bytes found - -")
NUMBERS = {text.split(" ")[0]: place for place, text in enumerate(KINDS, 1)}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

# kind, end, length, a, b, and c and d where they are not 0
Made = (tuple[str, int, int, int, int] | tuple[str, int, int, int, int, int]
        | tuple[str, int, int, int, int, int, int])


def digits(number: int) -> str:
    text = ""
    while number >= 32:
        text += ALPHABET[32 | number & 31]
        number >>= 5
    return text + ALPHABET[number]


def packed(name: str) -> int:
    return int.from_bytes(name.encode(), "little")


def line(**fields: object) -> str:
    return json.dumps(fields, separators=(",", ":"))


def counts_of(events: Sequence[Made]) -> list[int]:
    return [sum(event[0] == text.split(" ")[0] for event in events) for text in KINDS]


def cpu_lines(cpu: int, events: Sequence[Made], lost: int = 0, block: int = 100,
              arguments: int = 4) -> list[str]:
    """As the kernel writes them: of all these events the first are lost."""
    lines = [line(record="trace", cpu=cpu, count=len(events), lost=lost, counts=counts_of(events))]
    for first in range(lost, len(events), block):
        part = events[first : first + block]
        previous = part[0][1]
        data, last = "", dict.fromkeys(NUMBERS, [0, 0, 0, 0])
        for kind, end, length, *given in part:
            given = [*given, 0, 0][:4]
            changed = [one ^ other for one, other in zip(given, last[kind])][:arguments]
            data += "".join(map(digits, (NUMBERS[kind], end - previous, length, *changed)))
            previous, last[kind] = end, given
        lines.append(line(record="trace_block", cpu=cpu, first=first, count=len(part),
                          ticks=part[0][1], data=data))
    return lines


def head(**fields: object) -> str:
    return line(record="trace_events", **{"ticks_hz": TICKS_HZ, "clock_hz": CLOCK_HZ,
                                          "names": list(KINDS), **fields})


HOLDER_SITE = 0x8020_dca2
HELD_BY_1 = HOLDER_SITE << 16 | 1
SITE = 0x8020_1234

CPU_0: list[Made] = [
    ("doing", 1000, 0, packed("bulk"), 0),
    ("lock-wait", 1100, 30, packed("zone1"), 4000, HELD_BY_1, SITE),  # 2 us of the 3
    ("refill", 1120, 100, 64, 1),
    ("pressure-up", 1200, 0, 1, 0),
    ("ask", 1210, 0, 1, 7),
    ("ipi", 1210, 0, 0, 2),
    ("drain", 1400, 210, 1, 0),
    ("doing", 1500, 0, packed("-"), 0),
]
CPU_1: list[Made] = [
    ("sleep", 1050, 40, 0, 0),
    ("flush", 1290, 20, 128, 0),
    ("answer", 1300, 50, 7, 128),
    ("ipi-handled", 1310, 70, 0, 0),
    ("run-alloc", 1450, 10, 24, (1 << 64) - 1),
]


def example() -> list[str]:
    return ["hartframe: 2 cpus", '{"record":"boot","cpus":2}', head(), *cpu_lines(0, CPU_0),
            *cpu_lines(1, CPU_1, block=3), '{"record":"verdict","result":"pass"}']


def read(lines: Sequence[str]) -> trace_records.Trace:
    found = trace_records.read_trace(lines)
    assert found is not None
    return found


class TestReading(unittest.TestCase):
    def test_every_event_comes_back(self) -> None:
        for cpu, made in zip(read(example()).cpus, (CPU_0, CPU_1)):
            self.assertEqual(
                [(e.kind.name, e.end, e.length, *e.values) for e in cpu.events],
                [(*event, 0, 0)[:7] for event in made])
            self.assertEqual([e.number for e in cpu.events], list(range(len(made))))

    def test_a_trace_of_five_numbers_an_event(self) -> None:
        names = [text.rsplit(" ", 2)[0] for text in KINDS]
        found = read([head(names=names), *cpu_lines(0, CPU_0, arguments=2)])
        self.assertEqual([(e.kind.name, e.end, e.length, *e.values) for e in found.cpus[0].events],
                         [event[:5] for event in CPU_0])
        self.assertEqual(trace_records.problems(found), [])
        self.assertIsNone(found.cpus[0].events[1].holder)

    def test_the_holder_of_a_lock(self) -> None:
        found = read(example())
        event = found.cpus[0].events[1]
        self.assertEqual(event.holder, (1, HOLDER_SITE))
        self.assertEqual(trace_records.title_with_holder(event), "wait for zone1, held by cpu 1")
        self.assertEqual(trace_viewer.arguments_of(event, found)["holder_site"], "0x8020dca2")
        found.sites = {HOLDER_SITE: "claim+0x2", SITE: "refill+0x4 (refill.c:7)"}
        self.assertEqual(trace_viewer.arguments_of(event, found), {
            "lock": "zone1", "waited_ticks": 4000, "holder": "cpu 1",
            "holder_site": "claim+0x2", "site": "refill+0x4 (refill.c:7)"})
        unknown = read([head(), *cpu_lines(0, [("lock-wait", 9, 3, packed("heap"), 1)])])
        event = unknown.cpus[0].events[0]
        self.assertEqual(trace_viewer.arguments_of(event, unknown)["holder"], "not known")
        self.assertEqual(trace_records.title_with_holder(event), "wait for heap")

    def test_any_numbers(self) -> None:
        dice = random.Random(3)
        wanted = [dice.getrandbits(dice.randrange(65)) for _ in range(2000)]
        wanted += [0, 31, 32, (1 << 64) - 1]
        self.assertEqual(list(trace_records.numbers("".join(map(digits, wanted)))), wanted)

    def test_no_trace(self) -> None:
        self.assertIsNone(trace_records.read_trace(['{"record":"boot","cpus":2}', "trace of cpu 0"]))

    def test_a_whole_trace_has_no_problems(self) -> None:
        self.assertEqual(trace_records.problems(read(example())), [])
        self.assertEqual(trace_records.problems(read([head(), *cpu_lines(0, CPU_0, lost=3)])), [])

    def test_what_does_not_agree_is_said(self) -> None:
        whole = cpu_lines(1, CPU_1)
        for old, new, wanted in (
            ('"count":5', '"count":6', "6 events, but the kinds add up to 5"),
            ('"lost":0', '"lost":1', "1 lost, but 5 came"),
            ('"counts":[0,1', '"counts":[1,0', "0 of 1 refill came"),
        ):
            lines = [whole[0].replace(old, new), *whole[1:]]
            self.assertNotEqual(lines, whole)
            self.assertIn(wanted, " ".join(trace_records.problems(read([head(), *lines]))), old)
        twice = [head(), *whole, whole[1]]
        self.assertIn("but 10 came", trace_records.problems(read(twice))[0])
        self.assertEqual(trace_records.problems(read([head()])), ["no cpu has a trace"])

    def test_disorder_is_said(self) -> None:
        swapped = cpu_lines(1, CPU_1[:2])[:1]
        for place, event in enumerate((CPU_1[1], CPU_1[0])):
            swapped.append(cpu_lines(1, [event])[1].replace('"first":0', f'"first":{place}'))
        self.assertIn("not in the order of their ends", trace_records.problems(read([head(), *swapped]))[0])

    def test_what_is_not_whole_is_refused(self) -> None:
        block = cpu_lines(0, CPU_0)
        data = json.loads(block[1])["data"]
        for lines in (
            [*block],  # no names came before
            [head(), block[1]],
            [head(), block[0], block[1][:-20]],
            [head(), block[0], block[1].replace(data, data[:-1])],
            [head(), block[0], block[1].replace(data, data + "g")],
            [head(), block[0], block[1].replace(data, "?" + data[1:])],
            [head(), block[0], block[1].replace(data, "A" + data[1:])],
            [head(), block[0], block[1].replace(data, "8" + data[1:])],
            [head(names="refill"), *block],
            [head(names=["refill"]), *block],
            [head(names=[*KINDS[:-1], "short of words"]), *block],
            [head(), block[0].replace('"lost":0,', ""), block[1]],
        ):
            with self.assertRaises(trace_records.BadTrace, msg=str(lines)):
                trace_records.read_trace(lines)

    def test_the_runner_looks_at_it(self) -> None:
        self.assertEqual(trace_problems(example()), [])
        self.assertEqual(trace_problems([]), ["the run kept no trace"])
        self.assertIn("the trace has no flush",
                      trace_problems([head(), *cpu_lines(0, CPU_0)]))
        self.assertIn("cpu 2 has noted nothing",
                      trace_problems([*example(), *cpu_lines(2, [])]))
        self.assertIn("trace: ", trace_problems([*example(), '{"record":"trace'])[0])


class TestViewerFile(unittest.TestCase):
    def setUp(self) -> None:
        file = trace_viewer.viewer_file(read(example()))
        self.file = json.loads(json.dumps(file))
        self.events = self.file["traceEvents"]

    def named(self, name: str, phase: str = "X") -> dict[str, object]:
        found = [e for e in self.events if e["name"] == name and e["ph"] == phase]
        self.assertEqual(len(found), 1, name)
        return found[0]

    def test_every_event_has_what_the_format_asks_for(self) -> None:
        self.assertEqual(self.file["displayTimeUnit"], "ns")
        wanted = {"X": {"name", "cat", "ts", "dur", "pid", "tid"}, "i": {"name", "ts", "s", "tid"},
                  "M": {"name", "args", "pid"}, "C": {"name", "ts", "args"},
                  "s": {"id", "ts", "tid", "cat"}, "f": {"id", "ts", "tid", "bp", "cat"}}
        for event in self.events:
            self.assertLessEqual(wanted[event["ph"]], set(event), event)
            self.assertGreaterEqual(event.get("ts", 0), 0)
            self.assertGreaterEqual(event.get("dur", 0), 0)

    def test_a_track_a_cpu(self) -> None:
        names = {e["tid"]: e["args"]["name"] for e in self.events if e["name"] == "thread_name"}
        self.assertEqual(names, {0: "the run", 1: "cpu 0", 2: "cpu 1"})
        self.assertEqual({e["tid"] for e in self.events if e["ph"] in "Xi"}, {0, 1, 2})

    def test_times_are_microseconds_from_the_first_begin(self) -> None:
        # The first is what the run does, at 1000 ticks of 0.1 us.
        refill, drain = self.named("refill"), self.named("drain")
        self.assertEqual((refill["ts"], refill["dur"]), (2.0, 10.0))
        self.assertEqual((drain["ts"], drain["dur"]), (19.0, 21.0))
        self.assertEqual(refill["args"], {"frames": 64, "zone": 1})

    def test_a_wait_lasts_as_the_finer_clock_says(self) -> None:
        wait = self.named("wait for zone1")
        self.assertEqual((wait["ts"], wait["dur"]), (7.0, 2.0))
        self.assertEqual(wait["args"], {"lock": "zone1", "waited_ticks": 4000, "holder": "cpu 1",
                                        "holder_site": hex(HOLDER_SITE), "site": hex(SITE)})

    def test_a_request_leads_to_its_answer(self) -> None:
        ask, answer = self.named("request", "s"), self.named("request", "f")
        self.assertEqual((ask["tid"], answer["tid"]), (1, 2))
        self.assertEqual((ask["ts"], answer["ts"]), (21.0, 25.0))
        self.assertEqual((self.named("ask")["ts"], self.named("ask")["dur"]), (21.0, 0.0))

    def test_a_request_without_an_answer_leads_nowhere(self) -> None:
        lines = [head(), *cpu_lines(0, CPU_0), *cpu_lines(1, CPU_1[:2])]
        self.assertNotIn("s", {e["ph"] for e in trace_viewer.viewer_file(read(lines))["traceEvents"]})
        older = [("answer", 1190, 5, 7, 0), ("answer", 1300, 5, 6, 0)]
        lines = [head(), *cpu_lines(0, CPU_0), *cpu_lines(1, older)]
        self.assertNotIn("s", {e["ph"] for e in trace_viewer.viewer_file(read(lines))["traceEvents"]})

    def test_the_run_s_parts_and_the_pressure(self) -> None:
        part = self.named("bulk")
        self.assertEqual((part["tid"], part["ts"], part["dur"]), (0, 0.0, 50.0))
        self.assertEqual(self.named("cpus short of frames", "C")["args"], {"cpus": 1})

    def test_slices_of_a_track_lie_in_each_other(self) -> None:
        for tid in (1, 2):
            around: list[float] = []
            for event in (e for e in self.events if e["ph"] == "X" and e["tid"] == tid):
                while around and around[-1] <= event["ts"]:
                    around.pop()
                if around:
                    self.assertLessEqual(event["ts"] + event["dur"], around[-1])
                around.append(event["ts"] + event["dur"])

    def test_a_refused_run_and_a_lost_event(self) -> None:
        self.assertEqual(self.named("run-alloc")["args"], {"frames": 24, "first": "all ones"})
        lines = [head(), *cpu_lines(0, CPU_0, lost=2)]
        file = trace_viewer.viewer_file(read(lines))
        self.assertEqual(file["otherData"], {"ticks_hz": TICKS_HZ, "lost": {"cpu 0": 2}})


class TestSummary(unittest.TestCase):
    def test_counts_and_times(self) -> None:
        text = trace.summary_text(read(example()))
        self.assertRegex(text, r"refill +1 +1 +10\.0 us +10\.0 us +0")
        self.assertRegex(text, r"lock-wait +1 +1 +2\.0 us")
        self.assertRegex(text, r"ask +1 +1\n")
        self.assertIn("13 events of 2 cpus over 50.0 us; 0 older ones were overwritten", text)
        lost = trace.summary_text(read([head(), *cpu_lines(0, CPU_0, lost=3)]))
        self.assertRegex(lost, r"refill +1 +0\n")
        self.assertIn("3 older ones", lost)


class TestCommand(InTemporaryFolder):
    def run_it(self, lines: Sequence[str], *more: str) -> subprocess.CompletedProcess[str]:
        path = self.folder / "run.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return subprocess.run([sys.executable, str(TOOLS / "trace.py"), str(path), *more], text=True,
                              capture_output=True, check=False, timeout=60)

    def test_writes_the_file_and_says_what_is_in_it(self) -> None:
        out = self.folder / "there" / "trace.json"
        run = self.run_it(example(), "--out", str(out))
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("13 events", run.stdout)
        self.assertIn("traceEvents", json.loads(out.read_text(encoding="utf-8")))

    def test_exit_status(self) -> None:
        self.assertEqual(self.run_it(['{"record":"boot"}']).returncode, 2)
        self.assertIn("trace=on", self.run_it(['{"record":"boot"}']).stderr)
        self.assertEqual(self.run_it([*example(), '{"record":"trace_block","cpu":9']).returncode, 2)
        self.assertEqual(self.run_it([head(), cpu_lines(0, CPU_0)[0]]).returncode, 1)


def busy_trace(cpus: int = 4) -> list[str]:
    """Each cpu does different work through ten milliseconds, and there is one shortage."""
    dice = random.Random(9)
    lines = [head()]
    for cpu in range(cpus):
        events: list[Made] = [("doing", 1000, 0, packed("bulk"), 0)] if cpu == 0 else []
        at = 2000
        while at < 100_000:
            at += dice.randrange(20, 300)
            kind = dice.choice(("refill", "flush", "lock-wait"))
            a = packed("zone0") if kind == "lock-wait" else 64
            events.append((kind, at, dice.randrange(1, 15), a, 0 if kind != "lock-wait" else 900))
        if cpu == 0:
            events += [("ask", at + 100 + i, 0, i, 5) for i in range(1, cpus)]
            events.append(("drain", at + 3000, 2950, 1, 0))
        else:
            events.append(("answer", 101_000 + cpu * 300, 40, 5, 64))
        lines += cpu_lines(cpu, events)
    return lines


class TestFigure(unittest.TestCase):
    def section(self, lines: Sequence[str]) -> str:
        return report_trace.section(7, read(lines), report_page.table_markup, "tools/launch.py x")

    def test_the_moments_are_chosen_by_what_happened(self) -> None:
        found = report_trace.moments(read(busy_trace()))
        self.assertEqual([moment.title for moment in found], ["Batches", "Waits", "A shortage"])
        self.assertTrue(all(moment.end > moment.start for moment in found))
        shortage = found[-1]
        self.assertLess(shortage.start, 101_000)
        self.assertGreater(shortage.end, 102_900)

    def test_drawings(self) -> None:
        text = self.section(busy_trace())
        self.assertEqual(text.count("<svg"), 3)
        self.assertEqual(text.count('role="img"'), 3)
        ids = re.findall(r' id="([^"]+)"', text)
        self.assertEqual(len(ids), len(set(ids)))
        for name in re.findall(r'aria-labelledby="([^"]+)"', text):
            self.assertLessEqual(set(name.split()), set(ids))
        # In colours of the page's own, and within the drawing.
        self.assertNotRegex(text, r"rgb\(|#[0-9a-f]{6}|https?://")
        for left, wide in re.findall(r'<rect class="f\d+" x="([\d.]+)" width="([\d.]+)"', text):
            self.assertLess(float(left) + float(wide), 341)
        self.assertEqual(set(re.findall(r'viewBox="0 0 (\d+)', text)), {"340"})
        self.assertGreater(text.count("<rect"), 40)
        self.assertIn('href="trace.json"', text)
        self.assertIn("ui.perfetto.dev", text)
        self.assertEqual(len(re.findall(r'href="trace\.html#[\d.]+,[\d.]+"', text)), 3)

    def test_bars_lie_within_what_they_are_part_of(self) -> None:
        kind = trace_records.Kind("x", ())
        events = [trace_records.Event(i, kind, end, length, ()) for i, (end, length) in
                  enumerate(((20, 10), (35, 2), (50, 45), (60, 10), (70, 5)))]
        self.assertEqual([(e.end, depth) for e, depth in report_trace.depths(events)],
                         [(50, 0), (20, 1), (35, 1), (60, 0), (70, 0)])

    def test_little_makes_a_figure_too(self) -> None:
        for lines in ([head(), *cpu_lines(0, CPU_0)], [head(), *cpu_lines(0, CPU_0[:1])],
                      example(), [head(), *cpu_lines(0, CPU_1)]):
            self.assertIn("</figure>", self.section(lines))

    def test_names_are_text(self) -> None:
        evil = [("doing", 1000, 0, packed("<b>&\"x"), 0),
                ("lock-wait", 1100, 30, packed("<i>\"&"), 40000)]
        text = self.section([head(), *cpu_lines(0, evil)])
        self.assertNotRegex(text, r"<b>|<i>")

    def test_round_steps(self) -> None:
        for length, step in ((2000, 500), (150, 50), (45, 10), (7, 2), (1, 0.2), (3000, 1000)):
            self.assertAlmostEqual(report_trace.round_step(length), step, msg=str(length))


if __name__ == "__main__":
    unittest.main()
