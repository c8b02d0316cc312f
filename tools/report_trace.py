# SPDX-License-Identifier: BSD-2-Clause
"""The report's last figure: one short boot with a trace, drawn for a few moments of it.

Leaves trace.html, a page that shows all of it, and trace.json, for other viewers, beside the report, and
trace.jsonl, the records that they were made of.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import report_plot as plot
from report_figures import Swatch, Table, Value, count
from report_records import Record
from trace import summaries
from trace_page import write_page
from trace_records import (
    BadTrace,
    Cpu,
    Event,
    Trace,
    name_sites,
    problems,
    read_trace,
    sites_record,
    time_text,
    title_with_holder,
)
from trace_viewer import answers, parts_of_run, write_viewer_file

PAGE_FILE, VIEWER_FILE, RECORDS_FILE = "trace.html", "trace.json", "trace.jsonl"

# Colours of the report, by kind of event.
COLOURS = {
    **{kind: plot.SERIES_FIRST + place for kind, place in (
        ("refill", 0), ("flush", 1), ("drain", 3), ("answer", 2), ("lock-wait", 4),
        ("run-alloc", 6), ("run-free", 6), ("heap-refill", 9), ("heap-flush", 9))},
    "sleep": plot.ROLES["grid"],
}
OTHERS = plot.SERIES_FIRST + 5
LEGEND = (("refill", "refill"), ("flush", "flush"), ("heap-refill", "batches of the heap's blocks"),
          ("lock-wait", "waits for a lock"),
          ("drain", "short of frames: drains all caches"), ("answer", "answers, and gives back"),
          ("sleep", "has no work"))

# Events of one cpu that make a window full; those of another count for more.
ENOUGH = 20

# INSET: how much lower a nested level is than the level around it.
LANE, INSET, TOP, LEFT, RIGHT, AXIS = 30, 4, 8, 42, 16, 26


@dataclass(frozen=True)
class Moment:
    """A part of the trace that is worth a drawing; times in ticks."""

    title: str
    what: str
    start: float
    end: float


# Its records -------------------------------------------------------------------------------------


def keep_trace(records: Sequence[Record], out: Path, kernel: Path) -> str:
    """
    Keeps the records of the traced boot, with the names of the call sites in its kernel, which may be
    another one when the report is drawn again. Says what is wrong with the trace, or nothing.
    """
    lines = [json.dumps(record, separators=(",", ":")) + "\n" for record in records]
    try:
        trace = read_trace(lines)
        found = problems(trace) if trace else ["the run kept no trace"]
    except BadTrace as error:
        trace, found = None, [str(error)]
    if trace:
        name_sites(trace, kernel)
        lines.append(json.dumps(sites_record(trace), separators=(",", ":")) + "\n")
    (out / RECORDS_FILE).write_text("".join(lines), encoding="utf-8")
    return "; ".join(found[:2])


def kept_trace(out: Path) -> Trace | None:
    """The trace of the report in this folder, if it has a readable trace."""
    try:
        trace = read_trace((out / RECORDS_FILE).read_text(encoding="utf-8").splitlines())
    except (OSError, BadTrace):
        return None
    return trace if trace and any(cpu.events for cpu in trace.cpus) else None


# What is worth looking at --------------------------------------------------------------------


def of_kinds(trace: Trace, *kinds: str) -> list[tuple[Cpu, Event]]:
    found = [(cpu, event) for cpu in trace.cpus for event in cpu.events if event.kind.name in kinds]
    return sorted(found, key=lambda pair: pair[1].end)


def busiest(trace: Trace, us: float, *kinds: str) -> tuple[float, float] | None:
    """The window of that length that is full of such events, on several cpus rather than one."""
    length = us * trace.ticks_hz / 1e6
    found = of_kinds(trace, *kinds)
    best: tuple[int, float] | None = None
    inside: dict[int, int] = {}
    first = 0
    for cpu, event in found:
        inside[cpu.number] = inside.get(cpu.number, 0) + 1
        while found[first][1].end < event.end - length:
            left = found[first][0].number
            inside[left] -= 1
            if not inside[left]:
                del inside[left]
            first += 1
        score = sum(min(events, ENOUGH) for events in inside.values())
        if best is None or score > best[0]:
            best = (score, event.end)
    return (best[1] - length, best[1]) if best else None


def shortage(trace: Trace) -> Moment | None:
    """The shortest drain of those whose answers from most cpus are kept."""
    answered: dict[int, set[int]] = {}
    drains = [event for _, event in of_kinds(trace, "drain")]
    for _, ask, asked, answer in answers(trace):
        for drain in drains:
            if drain.start <= ask.end and answer.end <= drain.end:
                answered.setdefault(id(drain), set()).add(asked.number)
    most = max((len(cpus) for cpus in answered.values()), default=0)
    fitting = [drain for drain in drains if most and len(answered.get(id(drain), ())) == most]
    if not fitting:
        return None
    drain = min(fitting, key=lambda event: event.length)
    around = max(drain.length * 0.15, trace.ticks_hz / 1e6)
    return Moment("A shortage", "A cpu that finds no frame IPIs the others; each gives back what "
                  "its cache has, and the cpu that asked looks once more.",
                  drain.start - around, drain.end + around)


def moments(trace: Trace) -> list[Moment]:
    found = []
    batches = busiest(trace, 2000, "refill", "flush")
    if batches:
        found.append(Moment("Batches", "Two milliseconds full of batches that cpus exchange with a "
                            "zone; between them all operations hit a cache.", *batches))
    waits = busiest(trace, 150, "lock-wait")
    if waits:
        found.append(Moment("Waits", "The 150 microseconds with the most waits for a zone's lock.",
                            *waits))
    short = shortage(trace)
    return [*found, short] if short else found


# Drawing -------------------------------------------------------------------------------------


def colour(event: Event) -> int:
    return COLOURS.get(event.kind.name, OTHERS)


def depths(events: Sequence[Event]) -> list[tuple[Event, int]]:
    """Each with how many others are around it, outermost first."""
    found, around = [], []
    for event in sorted(events, key=lambda one: (one.start, -one.length, -one.number)):
        while around and around[-1] <= event.start and around[-1] < event.end:
            around.pop()
        found.append((event, len(around)))
        around.append(event.end)
    return found


def round_step(length: float) -> float:
    """A round number of ticks of the axis: three to seven in all."""
    size = 1.0
    while size * 10 <= length / 3:
        size *= 10
    while size > length / 3:
        size /= 10
    return next((size * step for step in (5, 2, 1) if length / (size * step) >= 3), size)


def axis(moment: Moment, trace: Trace, height: int, x_of: Callable[[float], float]) -> str:
    us = trace.us(moment.end - moment.start)
    unit, size = ("ms", 1e3) if us >= 3000 else ("µs", 1.0)
    step, parts, at = round_step(us / size), [], 0.0
    while at <= us / size + 1e-9:
        x = x_of(moment.start + at * size * trace.ticks_hz / 1e6)
        parts.append(f'<line class="s{plot.ROLES["grid"]}" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" '
                     f'y2="{height - AXIS + 4}"/>')
        parts.append(f'<text class="f{plot.ROLES["muted"]}" font-size="11" text-anchor="middle" '
                     f'x="{max(x, LEFT + 6):.1f}" y="{height - 10}">{at:g}</text>')
        at += step
    parts.append(f'<text class="f{plot.ROLES["muted"]}" font-size="11" text-anchor="end" '
                 f'x="{LEFT - 8}" y="{height - 10}">{unit}</text>')
    return "".join(parts)


def lane(cpu: Cpu, y: float, moment: Moment, trace: Trace, x_of: Callable[[float], float]) -> str:
    parts = [f'<text class="f{plot.ROLES["ink"]}" font-size="11" x="0" y="{y + LANE / 2 + 2:.0f}">'
             f"cpu {cpu.number}</text>"]
    seen = [event for event in cpu.events if event.end >= moment.start and event.start <= moment.end
            and event.kind.name != "doing"]
    timed = [event for event in seen if event.length]
    for event, depth in depths(timed):
        length = trace.length(event)
        left, right = x_of(event.start), x_of(event.start + length)
        inset = min(depth, 3) * INSET
        parts.append(
            f'<rect class="f{colour(event)}" x="{left:.2f}" width="{max(right - left, 0.7):.2f}" '
            f'y="{y + inset:.0f}" height="{LANE - 6 - 2 * inset:.0f}"><title>'
            f"{escape(title_with_holder(event))}, {time_text(trace.us(length))}</title></rect>")
    for event in seen:
        if event.kind.name == "ask":
            x = x_of(event.end)
            parts.append(f'<path class="f{plot.ROLES["ink"]}" d="M{x:.1f} {y + LANE - 9:.0f}l3 6h-6z">'
                         f"<title>{event.kind.name}</title></path>")
    return "".join(parts)


def request_lines(trace: Trace, moment: Moment, lanes: dict[int, float],
                  x_of: Callable[[float], float]) -> str:
    """From each request for cached frames to the begin of its answer."""
    parts = []
    for cpu, ask, asked, answer in answers(trace):
        if moment.start <= ask.end <= moment.end and answer.start <= moment.end:
            parts.append(
                f'<line class="s{plot.ROLES["ink"]}" stroke-width="0.7" x1="{x_of(ask.end):.1f}" '
                f'y1="{lanes[cpu.number] + LANE - 6:.0f}" x2="{x_of(max(answer.start, ask.end)):.1f}" '
                f'y2="{lanes[asked.number] + (LANE - 6) / 2:.0f}"/>')
    return "".join(parts)


def drawing(place: int, trace: Trace, moment: Moment) -> str:
    height = TOP + LANE * len(trace.cpus) + AXIS
    scale = (plot.WIDTH - LEFT - RIGHT) / (moment.end - moment.start)

    def x_of(ticks: float) -> float:
        return LEFT + min(max(ticks - moment.start, 0), moment.end - moment.start) * scale

    lanes = {cpu.number: float(TOP + LANE * i) for i, cpu in enumerate(trace.cpus)}
    names = (f"trace{place}t", f"trace{place}d")
    return (
        f'<svg viewBox="0 0 {plot.WIDTH} {height}" role="img" aria-labelledby="{" ".join(names)}">'
        f'<title id="{names[0]}">{escape(moment.title)}</title>'
        f'<desc id="{names[1]}">{escape(moment.what)}</desc>{axis(moment, trace, height, x_of)}'
        + "".join(lane(cpu, lanes[cpu.number], moment, trace, x_of) for cpu in trace.cpus)
        + request_lines(trace, moment, lanes, x_of) + "</svg>")


# The section ---------------------------------------------------------------------------------


def table(trace: Trace) -> Table:
    rows = [[Value(kind.name), Value(f"{kind.count:,}"), Value(f"{kind.kept:,}"),
             Value("–" if kind.median is None else time_text(kind.median).replace("us", "µs")),
             Value("–" if kind.worst is None else time_text(kind.worst).replace("us", "µs"))]
            for kind in summaries(trace)]
    return Table("Events on all cpus", ["event", "noted", "kept", "median", "worst"], rows)


def legend() -> list[Swatch]:
    return [Swatch(f"b{COLOURS[kind]}", text) for kind, text in LEGEND]


def shows(trace: Trace) -> str:
    parts = [name for name, _, _ in parts_of_run(trace) if name not in WHOLE_RUNS]
    kept = sum(len(cpu.events) for cpu in trace.cpus)
    lost = sum(cpu.lost for cpu in trace.cpus)
    text = (f"{count(kept, 'event')} of {count(len(trace.cpus), 'cpu')} over "
            f"{time_text(trace.us(trace.end - trace.begin))}")
    if parts:
        text += f", in {', '.join(dict.fromkeys(part.split(' /')[0] for part in parts))}"
    return text + (f"; {lost:,} older ones were overwritten." if lost else "; no event was lost.")


# What run= asks for; its own parts say more.
WHOLE_RUNS = ("selftest", "faults", "stress", "bench", "monitor", "explore")

HOW = ("A bar is what one cpu did outside of its cache, and how long; bars lie within what they are part "
       "of. A mark below asks another cpu for its cached frames, by an IPI; its line leads to the answer. A microsecond of virtual time is "
       "1,000 instructions of all cpus together.")

OPENING = ("shows all of it, with the waits' call sites and lock holders; it needs no network. For other viewers, "
           "such as ui.perfetto.dev: ")


def range_of(trace: Trace, moment: Moment) -> str:
    """As the page of the trace reads it from its address: microseconds since the trace's begin."""
    start = max(0.0, trace.us(moment.start - trace.begin))
    return f"{start},{trace.us(moment.end - trace.begin)}"


def section(place: int, trace: Trace, table_markup: Callable[[Table], str], command: str) -> str:
    panels = "".join(
        f"<div><h3>{escape(moment.title)}</h3>{drawing(number, trace, moment)}"
        f'<p class="how">{escape(moment.what)} <a href="{PAGE_FILE}#{range_of(trace, moment)}">This moment '
        "in the viewer</a></p></div>"
        for number, moment in enumerate(moments(trace), 1))
    key = "".join(f'<span><i class="{swatch.css}"></i> {escape(swatch.text)}</span>'
                  for swatch in legend())
    shown = f'<code class="command">{escape(command)}</code>' if command else ""
    return (
        f'<figure id="trace"><figcaption><h2>{place}. What the cpus did, moment by moment</h2>'
        f'<p class="shows">{escape(shows(trace))}</p><p class="how">{escape(HOW)}</p>'
        f'<p><a href="{PAGE_FILE}">{PAGE_FILE}</a> {escape(OPENING)}'
        f'<a href="{VIEWER_FILE}" download>{VIEWER_FILE}</a>.</p>'
        f'{shown}</figcaption><div class="key">{key}</div><div class="panels">{panels}</div>'
        f"<details><summary>The numbers</summary>{table_markup(table(trace))}</details></figure>")


def write_for_viewers(trace: Trace | None, out: Path, command: str) -> None:
    """Writes no file if the report does not mention it."""
    if trace:
        write_viewer_file(trace, out / VIEWER_FILE)
        write_page(trace, out / PAGE_FILE, command or "the trace of the report")
        return
    for name in (VIEWER_FILE, PAGE_FILE):
        (out / name).unlink(missing_ok=True)
