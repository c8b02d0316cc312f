# SPDX-License-Identifier: BSD-2-Clause
"""Whether a file keeps the rules of the Chrome trace event format, as far as trace_viewer.py uses it.

The rules are those of the document "Trace Event Format" of the Chromium project. Viewers do not complain of
a file that breaks one: they leave out what they do not understand.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping, Sequence

# What each phase must have, besides its name and process.
NEEDED = {
    "X": {"cat", "ts", "dur", "tid"}, "i": {"cat", "ts", "s", "tid"}, "M": {"args"},
    "C": {"ts", "args"}, "s": {"cat", "id", "ts", "tid"}, "f": {"cat", "id", "ts", "tid", "bp"},
}
METADATA = {"process_name": "name", "thread_name": "name", "thread_sort_index": "sort_index"}
SCOPES = {"g", "p", "t"}
SMALLEST = 0.001  # the last decimal of a time

Event = Mapping[str, object]


def time(event: Event, name: str = "ts") -> float:
    return float(str(event.get(name, 0)))


def end(event: Event) -> float:
    return round(time(event) + time(event, "dur"), 3)


def slices_of(events: Iterable[Event]) -> dict[object, list[Event]]:
    tracks: dict[object, list[Event]] = {}
    for event in events:
        if event.get("ph") == "X":
            tracks.setdefault(event.get("tid"), []).append(event)
    return tracks


def wrong_fields(event: Event) -> Iterator[str]:
    phase = str(event.get("ph"))
    if phase not in NEEDED:
        yield f"no such phase: {phase}"
        return
    missing = {"name", "pid"} | NEEDED[phase]
    yield from (f"a {phase} without {name}" for name in sorted(missing - set(event)))
    yield from (f"a {phase} with a negative {name}" for name in ("ts", "dur") if time(event, name) < 0)
    args = event.get("args", {})
    if not isinstance(args, dict):
        yield f"a {phase} whose args are no object"
    elif phase == "M" and METADATA.get(str(event.get("name"))) not in args:
        yield f"metadata that is no name: {event.get('name')}"
    elif phase == "C" and not (args and all(isinstance(value, (int, float)) for value in args.values())):
        yield "a counter without a number"
    if phase == "i" and event.get("s") not in SCOPES:
        yield f"a mark of no scope: {event.get('s')}"


def unnamed_tracks(events: Sequence[Event]) -> Iterator[str]:
    named = {event.get("tid") for event in events if event.get("name") == "thread_name"}
    used = {event.get("tid") for event in events if event.get("ph") in "Xisf"}
    yield from (f"track {track} has no name" for track in sorted(used - named, key=str))
    if len({event.get("pid") for event in events}) != 1 or not any(
            event.get("name") == "process_name" for event in events):
        yield "not one process with a name"


def wrong_nesting(track: object, slices: Sequence[Event]) -> Iterator[str]:
    """Slices of a track begin in order, an outer one first, and lie in each other or apart."""
    around: list[Event] = []
    before = 0.0
    for event in slices:
        if time(event) < before:
            yield f"track {track}: {event.get('name')} at {time(event)} begins before the one before"
        before = time(event)
        while around and end(around[-1]) <= before and end(around[-1]) < end(event):
            around.pop()
        if around and end(event) > end(around[-1]) + SMALLEST:
            yield (f"track {track}: {event.get('name')} at {time(event)} ends after "
                   f"{around[-1].get('name')}, in which it begins")
        around.append(event)


class Covered:
    """The times at which a track has a slice, as ranges that do not touch."""

    def __init__(self, slices: Sequence[Event]) -> None:
        self.ranges: list[tuple[float, float]] = []
        for one in sorted(slices, key=time):
            start, last = time(one) - SMALLEST, end(one) + SMALLEST
            if self.ranges and start <= self.ranges[-1][1]:
                self.ranges[-1] = (self.ranges[-1][0], max(last, self.ranges[-1][1]))
            else:
                self.ranges.append((start, last))

    def __contains__(self, moment: float) -> bool:
        place = bisect.bisect_right(self.ranges, moment, key=lambda one: one[0]) - 1
        return place >= 0 and moment <= self.ranges[place][1]


def wrong_flows(events: Sequence[Event]) -> Iterator[str]:
    """Each begin of an arrow has one end with its number, later, and both are in a slice of their track."""
    flows: dict[object, list[Event]] = {}
    for event in events:
        if event.get("ph") in ("s", "f"):
            flows.setdefault((event.get("cat"), event.get("name"), event.get("id")), []).append(event)
    ids = [key[2] for key in flows if isinstance(key, tuple)]
    if len(set(ids)) != len(ids):
        yield "an arrow has the number of another one"
    tracks = {track: Covered(slices) for track, slices in slices_of(events).items()}
    for key, pair in flows.items():
        if [event.get("ph") for event in pair] != ["s", "f"]:
            yield f"arrow {key} is not one begin and one end"
        elif time(pair[1]) < time(pair[0]):
            yield f"arrow {key} ends before it begins"
        for event in pair:
            if event.get("tid") not in tracks or time(event) not in tracks[event.get("tid")]:
                yield f"arrow {key}: no slice of track {event.get('tid')} at {time(event)}"


def problems(file: Mapping[str, object]) -> list[str]:
    events = file.get("traceEvents")
    if not isinstance(events, list) or file.get("displayTimeUnit") not in ("ms", "ns"):
        return ["no traceEvents, or no displayTimeUnit"]
    found = [problem for event in events for problem in wrong_fields(event)]
    found += unnamed_tracks(events)
    for track, slices in slices_of(events).items():
        found += wrong_nesting(track, slices)
    return [*found, *wrong_flows(events)]
