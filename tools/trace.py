#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Reads the trace out of a run's records, and makes a file of it that trace viewers open.

    make run BOOTARGS="run=stress workload=bulk trace=on"
    tools/trace.py build/logs/run.jsonl --out build/trace.json

The file is in the Chrome trace event format: https://ui.perfetto.dev and chrome://tracing open it
without sending it anywhere. A track is a cpu; what takes time is a slice on it, what takes none a
mark, and an arrow goes from an IPI to its answer. One track more says what the run was at.

The records and their numbers are described in docs/measuring.md.

Exit status: 0, 1 when the trace contradicts itself, 2 when there is none or it cannot be read.
"""

from __future__ import annotations

import argparse
import bisect
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from launch import Symbols

DIGITS = {
    digit: value
    for value, digit in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
MORE, BITS, MASK = 32, 5, 31

ALL_ONES = (1 << 64) - 1

# Arguments that are eight bytes of a name.
NAMES = {("lock-wait", "lock"), ("doing", "name")}

# What takes no time, whatever its length says.
MARKS = {"ipi", "pressure-up", "pressure-down"}

# The file's only process; the run's own track comes before those of the cpus.
PROCESS = 1
RUN_TRACK = 0


NO_ARGUMENT = "-"


class BadTrace(Exception):
    """Records that are no trace, or half of one."""


@dataclass(frozen=True)
class Kind:
    name: str
    first: str
    second: str
    third: str = NO_ARGUMENT  # kernels before this argument was added write five numbers an event


@dataclass(frozen=True)
class Event:
    """One of a cpu's events; times in ticks."""

    number: int
    kind: Kind
    end: int
    length: int
    a: int
    b: int
    c: int = 0

    @property
    def start(self) -> int:
        return self.end - self.length


@dataclass
class Cpu:
    """What one cpu noted: `count` events, the first `lost` of which were overwritten."""

    number: int
    count: int
    lost: int
    counts: dict[str, int]  # of each kind, the lost ones too
    events: list[Event] = field(default_factory=list)

    def kept(self, kind: str) -> int:
        return sum(event.kind.name == kind for event in self.events)


@dataclass
class Trace:
    ticks_hz: int
    clock_hz: int
    kinds: list[Kind]
    width: int = 6  # numbers of an event in a block's data
    cpus: list[Cpu] = field(default_factory=list)
    site_name: Callable[[int], str] = hex  # of a call site

    @property
    def begin(self) -> int:
        """The first thing that is known of, in ticks."""
        return min((event.start for cpu in self.cpus for event in cpu.events), default=0)

    @property
    def end(self) -> int:
        return max((event.end for cpu in self.cpus for event in cpu.events), default=0)

    def us(self, ticks: float) -> float:
        return round(ticks * 1e6 / self.ticks_hz, 3)

    def waited(self, event: Event) -> float:
        """Of a lock, in ticks: by the finer clock, and never longer than the note of it."""
        if not self.clock_hz:
            return event.length
        return min(event.length, event.b * self.ticks_hz / self.clock_hz)

    def length(self, event: Event) -> float:
        return self.waited(event) if event.kind.name == "lock-wait" else event.length


# Reading -------------------------------------------------------------------------------------


def numbers(text: str) -> Iterator[int]:
    """Base64 VLQ: five bits to a digit, least first; a digit of 32 and more is not the last."""
    number, shift = 0, 0
    for digit in text:
        value = DIGITS.get(digit)
        if value is None:
            raise BadTrace(f"a block's data has a {digit!r}")
        number |= (value & MASK) << shift
        shift += BITS
        if value < MORE:
            yield number
            number, shift = 0, 0
    if shift:
        raise BadTrace("a block's data ends in the middle of a number")


def records_of(lines: Iterable[str]) -> Iterator[dict[str, object]]:
    """The records among the lines of a console, or of a file of records."""
    for line in lines:
        if not line.startswith('{"record":"trace'):
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise BadTrace(f"a record is not whole: {error}") from error
        if isinstance(record, dict):
            yield record


NOTHING_BEFORE = (0, 0, 0)


def take_block(record: dict[str, object], trace: Trace, cpus: Mapping[object, Cpu]) -> None:
    cpu = cpus.get(record["cpu"])
    found = list(numbers(str(record["data"])))
    if cpu is None:
        raise BadTrace(f"a block of cpu {record['cpu']}, which has no trace")
    if len(found) != trace.width * int(str(record["count"])):
        raise BadTrace(f"cpu {cpu.number}: {record['count']} events promised, {len(found)} numbers came")
    ticks = int(str(record["ticks"]))
    last: dict[int, list[int]] = {}
    for place in range(0, len(found), trace.width):
        kind, delta, length, *said = found[place : place + trace.width]
        if not 1 <= kind <= len(trace.kinds):
            raise BadTrace(f"cpu {cpu.number}: no event has number {kind}")
        ticks += delta
        said = last[kind] = [one ^ other for one, other in zip(said, last.get(kind, NOTHING_BEFORE))]
        number = int(str(record["first"])) + place // trace.width
        cpu.events.append(Event(number, trace.kinds[kind - 1], ticks, length, *said))


def read_trace(lines: Iterable[str]) -> Trace | None:
    """The trace, or None where the run kept none."""
    trace: Trace | None = None
    cpus: dict[object, Cpu] = {}
    try:
        for record in records_of(lines):
            what = record["record"]
            if what == "trace_events":
                names = record["names"]
                assert isinstance(names, list)
                words = [str(text).split(" ") for text in names]
                trace = Trace(int(str(record["ticks_hz"])), int(str(record["clock_hz"])),
                              [Kind(*text) for text in words], 2 + max(map(len, words)))
            elif trace is None:
                raise BadTrace("no names of events came before the events")
            elif what == "trace":
                counts = record["counts"]
                assert isinstance(counts, list)
                cpu = Cpu(int(str(record["cpu"])), int(str(record["count"])), int(str(record["lost"])),
                          {kind.name: int(n) for kind, n in zip(trace.kinds, counts)})
                cpus[cpu.number] = cpu
                trace.cpus.append(cpu)
            elif what == "trace_block":
                take_block(record, trace, cpus)
    except (KeyError, TypeError, ValueError, AssertionError) as error:
        raise BadTrace(f"a record is not as it should be: {error!r}") from error
    return trace


def problems(trace: Trace) -> list[str]:
    """What the trace promises and does not keep: nothing is missing but what it says is lost."""
    found = [] if trace.cpus else ["no cpu has a trace"]
    for cpu in trace.cpus:
        who = f"cpu {cpu.number}"
        if sum(cpu.counts.values()) != cpu.count:
            found.append(f"{who}: {cpu.count} events, but the kinds add up to "
                         f"{sum(cpu.counts.values())}")
        if [event.number for event in cpu.events] != list(range(cpu.lost, cpu.count)):
            found.append(f"{who}: {cpu.count} events and {cpu.lost} lost, but {len(cpu.events)} came")
        ends = [event.end for event in cpu.events]
        if any(later < earlier for earlier, later in zip(ends, ends[1:])):
            found.append(f"{who}: events are not in the order of their ends")
        for kind in trace.kinds:
            kept, count = cpu.kept(kind.name), cpu.counts.get(kind.name, 0)
            if not count - cpu.lost <= kept <= count:
                found.append(f"{who}: {kept} of {count} {kind.name} came, and {cpu.lost} events "
                             "were lost")
    return found


# As a file for viewers -----------------------------------------------------------------------


def packed_name(value: int) -> str:
    return value.to_bytes(8, "little").rstrip(b"\0").decode("ascii", "replace")


def doing_name(event: Event) -> str:
    return packed_name(event.a) + packed_name(event.b)


HOLDER_CPU_BITS = 16


def holder_of(event: Event) -> tuple[int, int] | None:
    """The cpu that held the lock as a wait began, and the call site of its acquire, where it is known."""
    if event.kind.third != "holder" or not event.c:
        return None
    return event.c & (1 << HOLDER_CPU_BITS) - 1, event.c >> HOLDER_CPU_BITS


def holder_arguments(event: Event, trace: Trace) -> dict[str, object]:
    holder = holder_of(event)
    if holder is None:
        return {"holder": "not known"}
    return {"holder": f"cpu {holder[0]}", "holder_site": trace.site_name(holder[1])}


def arguments_of(event: Event, trace: Trace) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in ((event.kind.first, event.a), (event.kind.second, event.b),
                        (event.kind.third, event.c)):
        if name == NO_ARGUMENT:
            continue
        if name == "holder":
            found |= holder_arguments(event, trace)
        elif (event.kind.name, name) in NAMES:
            found[name] = packed_name(value)
        else:
            found[name] = "all ones" if value == ALL_ONES else value
    return found


def title_of(event: Event) -> str:
    if event.kind.name == "lock-wait":
        return f"wait for {packed_name(event.a)}"
    return event.kind.name


def title_with_holder(event: Event) -> str:
    holder = holder_of(event)
    return title_of(event) if holder is None else f"{title_of(event)}, held by cpu {holder[0]}"


def viewer_event(trace: Trace, cpu: Cpu, event: Event, begin: int) -> dict[str, object]:
    said: dict[str, object] = {
        "name": title_of(event), "cat": event.kind.name, "pid": PROCESS, "tid": cpu.number + 1,
        "ts": trace.us(event.start - begin), "args": arguments_of(event, trace),
    }
    if event.kind.name in MARKS:
        return {**said, "ph": "i", "s": "t"}
    return {**said, "ph": "X", "dur": trace.us(trace.length(event))}


def metadata(what: str, track: int, **arguments: object) -> dict[str, object]:
    return {"name": what, "ph": "M", "pid": PROCESS, "tid": track, "args": arguments}


def track_names(trace: Trace) -> Iterator[dict[str, object]]:
    yield metadata("process_name", RUN_TRACK, name="hartframe")
    yield metadata("thread_name", RUN_TRACK, name="the run")
    yield metadata("thread_sort_index", RUN_TRACK, sort_index=RUN_TRACK)
    for cpu in trace.cpus:
        yield metadata("thread_name", cpu.number + 1, name=f"cpu {cpu.number}")
        yield metadata("thread_sort_index", cpu.number + 1, sort_index=cpu.number + 1)


def parts_of_run(trace: Trace) -> Iterator[tuple[str, int, int]]:
    """What the run was at, from when to when; cpu 0 notes what begins, "-" is nothing."""
    begun = [event for cpu in trace.cpus for event in cpu.events if event.kind.name == "doing"]
    ends = [event.end for event in begun[1:]] + [trace.end]
    for event, end in zip(begun, ends):
        if doing_name(event) != "-":
            yield doing_name(event), event.end, end


def answers(trace: Trace) -> Iterator[tuple[Cpu, Event, Cpu, Event]]:
    """Each ipi with what answered it, as far as both are kept."""
    given = {cpu.number: (cpu, [event for event in cpu.events if event.kind.name == "answer"])
             for cpu in trace.cpus}
    for cpu in trace.cpus:
        for ipi in (event for event in cpu.events if event.kind.name == "ipi"):
            if ipi.a not in given:
                continue
            asked, said = given[ipi.a]
            # Both the ends and the numbers of a cpu's answers only rise.
            place = max(bisect.bisect_left(said, ipi.end, key=lambda event: event.end),
                        bisect.bisect_left(said, ipi.b, key=lambda event: event.a))
            if place < len(said):
                yield cpu, ipi, asked, said[place]


def arrows(trace: Trace, begin: int) -> Iterator[dict[str, object]]:
    for number, (cpu, ipi, asked, answer) in enumerate(answers(trace), 1):
        common = {"name": "ipi", "cat": "ipi", "id": number, "pid": PROCESS}
        yield {**common, "ph": "s", "tid": cpu.number + 1, "ts": trace.us(ipi.end - begin)}
        yield {**common, "ph": "f", "bp": "e", "tid": asked.number + 1,
               "ts": trace.us(max(answer.start, ipi.end) - begin)}


def pressure(trace: Trace, begin: int) -> Iterator[dict[str, object]]:
    changes = [event for cpu in trace.cpus for event in cpu.events
               if event.kind.name in ("pressure-up", "pressure-down")]
    for event in sorted(changes, key=lambda change: change.end):
        yield {"name": "cpus short of frames", "ph": "C", "pid": PROCESS,
               "ts": trace.us(event.end - begin), "args": {"cpus": event.a}}


def viewer_file(trace: Trace) -> dict[str, object]:
    """The object form of the format: times in microseconds."""
    begin = trace.begin
    events = list(track_names(trace))
    for name, start, end in parts_of_run(trace):
        events.append({"name": name, "cat": "run", "ph": "X", "pid": PROCESS, "tid": RUN_TRACK,
                       "ts": trace.us(start - begin), "dur": trace.us(end - start)})
    for cpu in trace.cpus:
        # An outer slice before what is in it, where both begin in the same tick.
        kept = sorted((event for event in cpu.events if event.kind.name != "doing"),
                      key=lambda event: (event.start, -event.length, -event.number))
        events += [viewer_event(trace, cpu, event, begin) for event in kept]
    events += [*arrows(trace, begin), *pressure(trace, begin)]
    lost = {f"cpu {cpu.number}": cpu.lost for cpu in trace.cpus}
    return {"traceEvents": events, "displayTimeUnit": "ns",
            "otherData": {"ticks_hz": trace.ticks_hz, "lost": lost}}


def write_viewer_file(trace: Trace, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(viewer_file(trace), separators=(",", ":")), encoding="utf-8")


# For people ----------------------------------------------------------------------------------


def time_text(us: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size:
            return f"{us / size:.2f} {unit}"
    return f"{us:.1f} us"


@dataclass(frozen=True)
class KindSummary:
    """Of one kind on all cpus; times in microseconds, of those that are kept."""

    name: str
    count: int
    kept: int
    median: float | None
    worst: float | None
    worst_cpu: int


def summaries(trace: Trace) -> list[KindSummary]:
    found = []
    for kind in trace.kinds:
        count = sum(cpu.counts.get(kind.name, 0) for cpu in trace.cpus)
        lengths = sorted((trace.us(trace.length(event)), cpu.number) for cpu in trace.cpus
                         for event in cpu.events if event.kind.name == kind.name)
        timed = bool(lengths) and kind.name not in MARKS and kind.name != "doing"
        if count:
            found.append(KindSummary(
                kind.name, count, len(lengths), lengths[len(lengths) // 2][0] if timed else None,
                lengths[-1][0] if timed else None, lengths[-1][1] if timed else 0))
    return found


def summary_text(trace: Trace) -> str:
    lines = [f"{'event':<14} {'events':>9} {'kept':>9} {'median':>12} {'worst':>12}  on cpu"]
    for kind in summaries(trace):
        line = f"{kind.name:<14} {kind.count:>9} {kind.kept:>9}"
        if kind.median is not None and kind.worst is not None:
            line += f" {time_text(kind.median):>12} {time_text(kind.worst):>12}  {kind.worst_cpu:>6}"
        lines.append(line)
    kept = sum(len(cpu.events) for cpu in trace.cpus)
    lost = sum(cpu.lost for cpu in trace.cpus)
    lines.append(f"{kept} events of {len(trace.cpus)} cpus over "
                 f"{time_text(trace.us(trace.end - trace.begin))}; {lost} older ones were overwritten")
    return "\n".join(lines)


def site_names(kernel: Path) -> Callable[[int], str]:
    symbols = Symbols(kernel)

    def name(address: int) -> str:
        known = symbols.text(address)
        return f"{known} {address:#x}" if known else hex(address)

    return name


# The command line ----------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make a file for trace viewers of a run's trace.")
    parser.add_argument("records", type=Path, help="a run's records or console (build/logs/run.jsonl)")
    parser.add_argument("--out", type=Path, metavar="FILE",
                        help="the file for a viewer (default: only check the trace)")
    parser.add_argument("--kernel", type=Path, metavar="ELF",
                        help="the kernel of the run: names the call sites in the file")
    options = parser.parse_args(arguments)
    try:
        with options.records.open(encoding="utf-8", errors="replace") as lines:
            trace = read_trace(lines)
    except (OSError, BadTrace) as error:
        print(f"trace: {options.records}: {error}", file=sys.stderr)
        return 2
    if trace is None:
        print(f"trace: {options.records}: the run kept no trace: boot it with trace=on",
              file=sys.stderr)
        return 2
    if options.kernel:
        trace.site_name = site_names(options.kernel)
    if options.out:
        write_viewer_file(trace, options.out)
    print(summary_text(trace))
    found = problems(trace)
    for problem in found:
        print(f"trace: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
