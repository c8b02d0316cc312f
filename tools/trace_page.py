# SPDX-License-Identifier: BSD-2-Clause
"""A page that shows a trace: one file, which loads nothing and needs no network.

It has the file for viewers in it, as trace_viewer.py makes it, and the programs of trace_view/, which draw
that on a canvas. So what the page shows is what other viewers show.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

from trace_records import MARKS, Trace
from trace_viewer import viewer_file

SOURCES = Path(__file__).resolve().parent / "trace_view"
SCRIPTS = ("model.js", "draw.js", "controls.js")

# What an event means and how it is drawn. Dark text can be read on all of these colours. Neighbours differ
# in lightness too, so that a colour-blind reader can tell them apart; the names are in the bars besides.
KINDS = {
    "run": ("#d9dde0", "a part of the run; /0 is its baseline without caches"),
    "refill": ("#7fb6e8", "a batch of frames from a zone into this cpu's cache"),
    "flush": ("#bfdcf5", "a batch of frames from this cpu's cache back to a zone"),
    "run-alloc": ("#5fc7b4", "an allocation of neighbouring frames"),
    "run-free": ("#b5e3d9", "neighbouring frames are freed"),
    "lock-wait": ("#f0944d", "a wait for a lock: who held it, and where both cpus took it"),
    "drain": ("#c79ade", "a request to all cpus for their cached frames, until the last look"),
    "ask": ("#c79ade", "this cpu asks another for its cached frames"),
    "answer": ("#8fcf86", "this cpu gives cached frames back because another asks for them"),
    "pressure-up": ("#b3001b", "this cpu has found no frame anywhere"),
    "pressure-down": ("#ffffff", "this cpu is no longer short of frames"),
    "ipi": ("#1b1d1f", "an interrupt is sent to other cpus"),
    "ipi-handled": ("#e6d5b8", "the handler of such an interrupt"),
    "heap-refill": ("#f2d34f", "a batch of blocks from slabs onto this cpu's stack"),
    "heap-flush": ("#faecad", "a batch of blocks from this cpu's stack back to slabs"),
    "heap-search": ("#d6b11f", "kmalloc has found nothing, and searches all memory of the heap"),
    "arena-take": ("#d6b11f", "the heap takes the frames of an arena"),
    "arena-give": ("#d6b11f", "the heap gives the frames of an arena back"),
    "space-flush": ("#eba6c4", "a flush of an address space on the cpus that may use it"),
    "cpu-stop": ("#cdb29a", "this cpu stops another"),
    "cpu-start": ("#cdb29a", "this cpu starts another"),
    "away": ("#b9bec3", "this cpu is stopped"),
    "sleep": ("#edeff0", "this cpu has no work"),
}


def in_script(value: object) -> str:
    """JSON that no parser of HTML takes for the end of a script."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


def page_markup(trace: Trace, title: str) -> str:
    about = {"TRACE_COLOURS": {kind: colour for kind, (colour, _) in KINDS.items()},
             "TRACE_MEANINGS": {kind: meaning for kind, (_, meaning) in KINDS.items()},
             "TRACE_MARKS": sorted(MARKS)}
    constants = "".join(f"globalThis.{name} = {in_script(value)};\n" for name, value in about.items())
    programs = "".join((SOURCES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    page = (SOURCES / "page.html").read_text(encoding="utf-8")
    texts = {"TITLE": escape(title), "SCRIPT": constants + programs, "TRACE": in_script(viewer_file(trace))}
    return re.sub("@(TITLE|SCRIPT|TRACE)@", lambda match: texts[match[1]], page)


def write_page(trace: Trace, path: Path, title: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page_markup(trace, title), encoding="utf-8")
