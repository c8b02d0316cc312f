# SPDX-License-Identifier: BSD-2-Clause
"""A trace in the Chrome trace event format, which ui.perfetto.dev, chrome://tracing and trace_page.py read.

A track is a cpu. What takes time is a slice on it; what takes none is a mark. A mark that an arrow begins
or ends at is a slice of no length, because in this format arrows go from slice to slice. One more track
says what the run was at. trace_format.py checks the file against the rules of the format.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trace_records import (
    ALL_ONES,
    NAMES,
    NO_ARGUMENT,
    Cpu,
    Event,
    Trace,
    doing_name,
    packed_name,
    title_of,
)

# The file's only process; the run's own track comes before those of the cpus.
PROCESS = 1
RUN_TRACK = 0

# Marks that no arrow begins or ends at.
LONE_MARKS = {"pressure-up", "pressure-down"}

CPUS_OF_A_MASK = 64


def track_of(cpu: Cpu) -> int:
    return cpu.number + 1


# Events --------------------------------------------------------------------------------------


def holder_arguments(event: Event, trace: Trace) -> dict[str, object]:
    holder = event.holder
    if holder is None:
        return {"holder": "not known"}
    return {"holder": f"cpu {holder[0]}", "holder_site": trace.site_name(holder[1])}


def cpus_of(event: Event) -> list[int]:
    """Of an IPI: the cpus that it was sent to."""
    mask = event.get("cpus")
    return [event.get("first") + i for i in range(CPUS_OF_A_MASK) if mask >> i & 1]


def arguments_of(event: Event, trace: Trace) -> dict[str, object]:
    if event.kind.name == "ipi":
        return {"to": ", ".join(f"cpu {cpu}" for cpu in cpus_of(event))}
    found: dict[str, object] = {}
    for name, value in zip(event.kind.arguments, event.values):
        if name == NO_ARGUMENT:
            continue
        if name == "holder":
            found |= holder_arguments(event, trace)
        elif name == "site":
            found[name] = trace.site_name(value) if value else "not known"
        elif (event.kind.name, name) in NAMES:
            found[name] = packed_name(value)
        else:
            found[name] = "all ones" if value == ALL_ONES else value
    return found


def viewer_event(trace: Trace, cpu: Cpu, event: Event, ticks: float) -> dict[str, object]:
    """`ticks` is its length."""
    said: dict[str, object] = {
        "name": title_of(event), "cat": event.kind.name, "pid": PROCESS, "tid": track_of(cpu),
        "ts": trace.us(event.start - trace.begin), "args": arguments_of(event, trace),
    }
    if event.kind.name in LONE_MARKS:
        return {**said, "ph": "i", "s": "t"}
    return {**said, "ph": "X", "dur": trace.us(ticks)}


def shown_ends(trace: Trace, events: Sequence[Event]) -> list[float]:
    """
    A wait ends when the finer clock says so, but not before a handler that has interrupted it, which the
    trace's own clock has measured: slices of a track must lie in each other.
    """
    ends: list[float] = []
    around: list[int] = []
    for place, event in enumerate(events):
        end = event.start + trace.length(event)
        ends.append(end)
        while around and ends[around[-1]] <= event.start and ends[around[-1]] < end:
            around.pop()
        for outer in around:
            ends[outer] = max(ends[outer], end)
        around.append(place)
    return ends


def cpu_events(trace: Trace, cpu: Cpu) -> Iterator[dict[str, object]]:
    """By their begins, and an outer slice before what is in it."""
    kept = sorted((event for event in cpu.events if event.kind.name != "doing"),
                  key=lambda event: (event.start, -event.length, -event.number))
    for event, end in zip(kept, shown_ends(trace, kept)):
        yield viewer_event(trace, cpu, event, end - event.start)


def metadata(what: str, track: int, **arguments: object) -> dict[str, object]:
    return {"name": what, "ph": "M", "pid": PROCESS, "tid": track, "args": arguments}


def track_names(trace: Trace) -> Iterator[dict[str, object]]:
    yield metadata("process_name", RUN_TRACK, name="hartframe")
    yield metadata("thread_name", RUN_TRACK, name="the run")
    yield metadata("thread_sort_index", RUN_TRACK, sort_index=RUN_TRACK)
    for cpu in trace.cpus:
        yield metadata("thread_name", track_of(cpu), name=f"cpu {cpu.number}")
        yield metadata("thread_sort_index", track_of(cpu), sort_index=track_of(cpu))


def parts_of_run(trace: Trace) -> Iterator[tuple[str, int, int]]:
    """What the run was at, from when to when; cpu 0 notes what begins, "-" is nothing."""
    begun = [event for cpu in trace.cpus for event in cpu.events if event.kind.name == "doing"]
    ends = [event.end for event in begun[1:]] + [trace.end]
    for event, end in zip(begun, ends):
        if doing_name(event) != "-":
            yield doing_name(event), event.end, end


def pressure(trace: Trace, begin: int) -> Iterator[dict[str, object]]:
    changes = [event for cpu in trace.cpus for event in cpu.events
               if event.kind.name in ("pressure-up", "pressure-down")]
    for event in sorted(changes, key=lambda change: change.end):
        yield {"name": "cpus short of frames", "ph": "C", "pid": PROCESS,
               "ts": trace.us(event.end - begin), "args": {"cpus": event.get("cpus")}}


# Arrows --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arrow:
    """From a cause to what it made another cpu do; times in ticks."""

    name: str
    cpu: Cpu
    start: int
    to: Cpu
    end: int


def of_kind(cpu: Cpu, name: str) -> list[Event]:
    return [event for event in cpu.events if event.kind.name == name]


def answers(trace: Trace) -> Iterator[tuple[Cpu, Event, Cpu, Event]]:
    """Each request for cached frames with what answered it, as far as both are kept."""
    given = {cpu.number: (cpu, of_kind(cpu, "answer")) for cpu in trace.cpus}
    for cpu in trace.cpus:
        for ask in of_kind(cpu, "ask"):
            if ask.get("cpu") not in given:
                continue
            asked, said = given[ask.get("cpu")]
            # Both the ends and the numbers of a cpu's answers only rise.
            place = max(bisect.bisect_left(said, ask.end, key=lambda event: event.end),
                        bisect.bisect_left(said, ask.get("number"), key=lambda event: event.get("number")))
            if place < len(said):
                yield cpu, ask, asked, said[place]


def handled_ipis(trace: Trace) -> Iterator[Arrow]:
    """
    An IPI and the first handler that began after it. A cpu that looks for itself, because it waits or
    comes on line, may have done by then what it was sent for.
    """
    taken = {cpu.number: (cpu, of_kind(cpu, "ipi-handled")) for cpu in trace.cpus}
    for cpu in trace.cpus:
        for ipi in of_kind(cpu, "ipi"):
            for number in cpus_of(ipi):
                to, handlers = taken.get(number, (cpu, []))
                place = bisect.bisect_left(handlers, ipi.end, key=lambda event: event.start)
                if place < len(handlers):
                    yield Arrow("IPI", cpu, ipi.end, to, handlers[place].start)


def stops(trace: Trace) -> Iterator[Arrow]:
    """A stop leads to the time away of the cpu that was stopped, whose end a start leads to."""
    away = {cpu.number: (cpu, of_kind(cpu, "away")) for cpu in trace.cpus}
    for cpu in trace.cpus:
        for event in (*of_kind(cpu, "cpu-stop"), *of_kind(cpu, "cpu-start")):
            to, absences = away.get(event.get("cpu"), (cpu, []))
            is_stop = event.kind.name == "cpu-stop"
            times = [absence.start if is_stop else absence.end for absence in absences]
            place = bisect.bisect_left(times, event.start)
            if place < len(times) and times[place] <= event.end:
                yield Arrow("stop" if is_stop else "start", cpu, event.start, to, times[place])


def arenas(trace: Trace) -> Iterator[Arrow]:
    """From where the heap took the frames of an arena to where it gave them back."""
    found = sorted(((event.end, cpu, event) for cpu in trace.cpus for event in cpu.events
                    if event.kind.name in ("arena-take", "arena-give")), key=lambda one: one[0])
    taken: dict[int, tuple[int, Cpu]] = {}
    for end, cpu, event in found:
        if event.kind.name == "arena-take":
            taken[event.get("first")] = (end, cpu)
        elif event.get("first") in taken:
            start, taker = taken.pop(event.get("first"))
            yield Arrow("arena", taker, start, cpu, end)


def arrows_of(trace: Trace) -> Iterator[Arrow]:
    for cpu, ask, asked, answer in answers(trace):
        yield Arrow("request", cpu, ask.end, asked, max(answer.start, ask.end))
    yield from handled_ipis(trace)
    yield from stops(trace)
    yield from arenas(trace)


def arrow_events(trace: Trace, begin: int) -> Iterator[dict[str, object]]:
    for number, arrow in enumerate(arrows_of(trace), 1):
        common = {"name": arrow.name, "cat": "arrow", "id": number, "pid": PROCESS}
        yield {**common, "ph": "s", "tid": track_of(arrow.cpu), "ts": trace.us(arrow.start - begin)}
        yield {**common, "ph": "f", "bp": "e", "tid": track_of(arrow.to),
               "ts": trace.us(arrow.end - begin)}


# The file ------------------------------------------------------------------------------------


def viewer_file(trace: Trace) -> dict[str, object]:
    """The object form of the format: times in microseconds."""
    begin = trace.begin
    events = list(track_names(trace))
    for name, start, end in parts_of_run(trace):
        events.append({"name": name, "cat": "run", "ph": "X", "pid": PROCESS, "tid": RUN_TRACK,
                       "ts": trace.us(start - begin), "dur": trace.us(end - start)})
    for cpu in trace.cpus:
        events += cpu_events(trace, cpu)
    events += [*arrow_events(trace, begin), *pressure(trace, begin)]
    lost = {f"cpu {cpu.number}": cpu.lost for cpu in trace.cpus}
    return {"traceEvents": events, "displayTimeUnit": "ns",
            "otherData": {"ticks_hz": trace.ticks_hz, "lost": lost}}


def write_viewer_file(trace: Trace, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(viewer_file(trace), separators=(",", ":")), encoding="utf-8")
