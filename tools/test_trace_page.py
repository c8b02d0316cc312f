#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of trace_page.py: the page as text, and, where there is a node, its programs without a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import unittest
from html.parser import HTMLParser
from pathlib import Path

import trace_page
import trace_viewer
from test_tools import InTemporaryFolder
from test_trace import busy_trace, cpu_lines, head, packed, read
from test_trace_viewer import any_trace

ROOT = Path(__file__).resolve().parent.parent
KIND = re.compile(r'^\tX\(\w+, "([a-z-]+)"', re.M)


class Parts(HTMLParser):
    """The scripts of a page by their id, its tags, and the addresses that it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: dict[str, str] = {}
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.title = self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fields = {name: value or "" for name, value in attrs}
        self.addresses += [fields[name] for name in ("src", "href", "data", "action") if name in fields]
        self.ids += [fields["id"]] if "id" in fields else []
        self.inside = f"script {fields.get('id', 'program')}" if tag == "script" else tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside.startswith("script "):
            name = self.inside.split()[1]
            self.scripts[name] = self.scripts.get(name, "") + data
        elif self.inside == "title":
            self.title += data


class TestPage(unittest.TestCase):
    def test_the_trace_in_it_is_that_of_the_file_for_viewers(self) -> None:
        trace = read(busy_trace())
        parts = Parts(trace_page.page_markup(trace, "run"))
        self.assertEqual(json.loads(parts.scripts["trace"]),
                         json.loads(json.dumps(trace_viewer.viewer_file(trace))))

    def test_names_cannot_end_the_script_or_stand_for_a_part(self) -> None:
        evil = [("doing", 9, 0, packed("</script"), packed("><b>@TRA")),
                ("lock-wait", 12, 2, packed("@SCRIPT@"), 1)]
        trace = read([head(), *cpu_lines(0, evil)])
        parts = Parts(trace_page.page_markup(trace, "<b>@TRACE@</title>"))
        self.assertEqual(parts.title, "Trace: <b>@TRACE@</title>")
        self.assertEqual(set(parts.scripts), {"trace", "program"})
        text = json.dumps(json.loads(parts.scripts["trace"]))
        self.assertIn("</script><b>@TRA", text)
        self.assertIn("wait for @SCRIPT@", text)

    def test_it_loads_nothing(self) -> None:
        text = trace_page.page_markup(read(busy_trace()), "run")
        parts = Parts(text)
        self.assertEqual(parts.addresses, [])
        self.assertNotRegex(text, r"https?:|@import|url\(|fetch\(|XMLHttpRequest|WebSocket|import\(")
        self.assertIn("default-src 'none'", text)

    def test_the_program_finds_what_it_looks_for(self) -> None:
        parts = Parts(trace_page.page_markup(read(busy_trace()), "run"))
        wanted = re.findall(r'byId\("(\w+)"\)', parts.scripts["program"])
        self.assertGreater(len(wanted), 8)
        self.assertLessEqual(set(wanted), set(parts.ids))
        self.assertEqual(len(parts.ids), len(set(parts.ids)))

    def test_every_kind_of_event_has_a_colour_and_a_meaning_on_which_ink_can_be_read(self) -> None:
        kinds = KIND.findall((ROOT / "sync/trace.h").read_text(encoding="utf-8"))
        self.assertGreater(len(kinds), 20)
        self.assertEqual(set(trace_page.KINDS), {"run", *kinds} - {"doing"})
        documented = (ROOT / "docs/measuring.md").read_text(encoding="utf-8")
        for kind in set(kinds) - {"doing"}:
            self.assertTrue(f"`{kind}`" in documented, f"{kind} is not in docs/measuring.md")
        for kind, (colour, meaning) in trace_page.KINDS.items():
            self.assertTrue(meaning)
            if kind not in ("ipi", "pressure-up", "pressure-down"):  # triangles, which hold no text
                self.assertGreater(contrast(colour, "#1b1d1f"), 5, kind)


def contrast(one: str, other: str) -> float:
    """That of WCAG 2."""
    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


# Reads a page's trace and constants, draws it on a canvas that notes what is drawn, and says what it finds.
PROBE = r"""
const calls = [], text = [];
const c = new Proxy({}, {get: (_, name) => (...given) => {
	calls.push([name, ...given]);
	if (name === "fillText")
		text.push(given[0]);
}, set: () => true});
const read = path => readModel(JSON.parse(require("fs").readFileSync(path, "utf8")));
const model = read("trace.json"), nested = read("nested.json"), view = makeView(model);
arrange(model);
draw(c, view, model);
const overlaps = nested.tracks.flatMap(track => track.rows).flatMap(row => row.filter(
	(item, i) => i && item.start < row[i - 1].end - 0.0005));
const lone = model.tracks[1].items.filter(item => !item.isMark && item.end - item.start > 5)[0];
view.show(lone.start, lone.end);
const x = view.x((lone.start + lone.end) / 2), y = lone.track.y + TOP + lone.row * ROW + 5;
console.log(JSON.stringify({
	items: model.tracks.reduce((sum, track) => sum + track.items.length, 0), overlaps: overlaps.length,
	rows: nested.tracks[1].rows.length,
	arrows: model.arrows.map(arrow => [arrow.from.kind, arrow.to.kind]), text,
	tracks: model.tracks.map(track => track.name), picked: pick(view, model, x, y).order === lone.order,
	rects: calls.filter(call => call[0] === "fillRect").length,
	outside: calls.filter(call => call[0] === "fillRect" && !(call[1] >= 0 && call[3] >= 0)).length,
	found: search(model, "wait zone0").length, none: search(model, "no such word").length,
	said: describe(lone, model.about).map(pair => pair[0]),
	steps: [roundStep(3), roundStep(0.11), roundStep(700)],
	times: [timeText(2.5), timeText(1234), timeText(3e6), timeText(1500, 500)],
}));
"""


@unittest.skipUnless(shutil.which("node"), "there is no node here")
class TestPrograms(InTemporaryFolder):
    def test_the_model_and_the_drawing(self) -> None:
        trace = read(busy_trace())
        page = Parts(trace_page.page_markup(trace, "run"))
        constants, model, draw, _ = page.scripts["program"].split("// SPDX")
        (self.folder / "probe.js").write_text(constants + "//" + model + "//" + draw + PROBE,
                                              encoding="utf-8")
        (self.folder / "trace.json").write_text(page.scripts["trace"], encoding="utf-8")
        nested = trace_viewer.viewer_file(read(any_trace(1)))
        (self.folder / "nested.json").write_text(json.dumps(nested), encoding="utf-8")
        run = subprocess.run(["node", "probe.js"], cwd=self.folder, capture_output=True,
                             text=True, check=False, timeout=60)
        self.assertEqual(run.returncode, 0, run.stderr)
        said = json.loads(run.stdout)
        events = json.loads(page.scripts["trace"])["traceEvents"]
        self.assertEqual(said["items"], sum(event["ph"] in "Xi" for event in events))
        self.assertEqual(said["arrows"], [["ask", "answer"]] * 3)
        self.assertEqual(said["tracks"], ["the run", "cpu 0", "cpu 1", "cpu 2", "cpu 3"])
        self.assertLessEqual({"cpu 0", "cpu 3", "the run"}, set(said["text"]))
        waits = sum(event["name"] == "wait for zone0" for event in events)
        self.assertEqual((said["found"], said["none"]), (waits, 0))
        self.assertEqual((said["overlaps"], said["outside"]), (0, 0))
        self.assertGreater(said["rows"], 1)
        self.assertGreater(said["rects"], 100)
        self.assertTrue(said["picked"])
        self.assertEqual(said["said"][:2], ["duration", "at"])
        self.assertEqual(said["steps"], [5, 0.2, 1000])
        self.assertEqual(said["times"], ["2.50 µs", "1.23 ms", "3.00 s", "1.5 ms"])

    def test_each_program_is_whole(self) -> None:
        for name in trace_page.SCRIPTS:
            run = subprocess.run(["node", "--check", str(trace_page.SOURCES / name)], capture_output=True,
                                 text=True, check=False, timeout=60)
            self.assertEqual(run.returncode, 0, run.stderr)


if __name__ == "__main__":
    unittest.main()
