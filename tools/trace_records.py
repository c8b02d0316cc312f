# SPDX-License-Identifier: BSD-2-Clause
"""The trace of a run, read out of its records (docs/measuring.md describes these).

The records name the kinds of events and their arguments, so traces of older kernels are read too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from launcher.symbols import Symbols

DIGITS = {
    digit: value
    for value, digit in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
MORE, BITS, MASK = 32, 5, 31

ALL_ONES = (1 << 64) - 1

# Arguments that are eight bytes of a name.
NAMES = {("lock-wait", "lock"), ("doing", "name")}

# What takes no time, whatever its length says.
MARKS = {"ask", "ipi", "pressure-up", "pressure-down", "arena-take", "arena-give"}

NO_ARGUMENT = "-"
HOLDER_CPU_BITS = 16


class BadTrace(Exception):
    """Records that are no trace, or half of one."""


@dataclass(frozen=True)
class Kind:
    name: str
    arguments: tuple[str, ...]  # their names; kernels have had two, three and four


@dataclass(frozen=True)
class Event:
    """One of a cpu's events; times in ticks."""

    number: int
    kind: Kind
    end: int
    length: int
    values: tuple[int, ...]  # of the arguments

    @property
    def start(self) -> int:
        return self.end - self.length

    def get(self, argument: str) -> int:
        """The first argument of that name; 0 where the kind has none."""
        for name, value in zip(self.kind.arguments, self.values):
            if name == argument:
                return value
        return 0

    @property
    def holder(self) -> tuple[int, int] | None:
        """Which cpu held the lock as a wait began, and the call site of its acquire, if it is known."""
        packed = self.get("holder")
        return (packed & (1 << HOLDER_CPU_BITS) - 1, packed >> HOLDER_CPU_BITS) if packed else None

    @property
    def sites(self) -> list[int]:
        """The call sites that it names."""
        holder = self.holder
        return [site for site in (self.get("site"), holder[1] if holder else 0) if site]


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
    cpus: list[Cpu] = field(default_factory=list)
    sites: dict[int, str] = field(default_factory=dict)  # names of call sites

    @property
    def width(self) -> int:
        """Numbers of an event in a block's data."""
        return 3 + max((len(kind.arguments) for kind in self.kinds), default=0)

    @cached_property
    def begin(self) -> int:
        """Once all events are read: the first thing that is known of, in ticks."""
        return min((event.start for cpu in self.cpus for event in cpu.events), default=0)

    @cached_property
    def end(self) -> int:
        return max((event.end for cpu in self.cpus for event in cpu.events), default=0)

    def us(self, ticks: float) -> float:
        return round(ticks * 1e6 / self.ticks_hz, 3)

    def waited(self, event: Event) -> float:
        """Of a lock, in ticks: by the finer clock, and never longer than the note of it."""
        if not self.clock_hz:
            return event.length
        return min(event.length, event.get("waited_ticks") * self.ticks_hz / self.clock_hz)

    def length(self, event: Event) -> float:
        return self.waited(event) if event.kind.name == "lock-wait" else event.length

    def site_name(self, site: int) -> str:
        return self.sites.get(site, hex(site))


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


def take_block(record: dict[str, object], trace: Trace, cpus: Mapping[object, Cpu]) -> None:
    cpu = cpus.get(record["cpu"])
    found = list(numbers(str(record["data"])))
    if cpu is None:
        raise BadTrace(f"a block of cpu {record['cpu']}, which has no trace")
    if len(found) != trace.width * int(str(record["count"])):
        raise BadTrace(f"cpu {cpu.number}: {record['count']} events promised, {len(found)} numbers came")
    ticks = int(str(record["ticks"]))
    last: dict[int, tuple[int, ...]] = {}
    nothing = (0,) * trace.width
    for place in range(0, len(found), trace.width):
        kind, delta, length, *said = found[place : place + trace.width]
        if not 1 <= kind <= len(trace.kinds):
            raise BadTrace(f"cpu {cpu.number}: no event has number {kind}")
        ticks += delta
        last[kind] = tuple(one ^ other for one, other in zip(said, last.get(kind, nothing)))
        number = int(str(record["first"])) + place // trace.width
        cpu.events.append(Event(number, trace.kinds[kind - 1], ticks, length, last[kind]))


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
                assert all(len(text) == len(words[0]) > 1 for text in words)
                trace = Trace(int(str(record["ticks_hz"])), int(str(record["clock_hz"])),
                              [Kind(text[0], tuple(text[1:])) for text in words])
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
            elif what == "trace_sites":
                sites = record["sites"]
                assert isinstance(sites, dict)
                trace.sites |= {int(str(site), 16): str(name) for site, name in sites.items()}
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


# Call sites ----------------------------------------------------------------------------------


def name_sites(trace: Trace, kernel: Path) -> None:
    """Names the call sites by function, file and line; the kernel is the one that has run."""
    found = {site for cpu in trace.cpus for event in cpu.events for site in event.sites}
    symbols = Symbols(kernel)
    for site in sorted(found):
        text = symbols.text(site)
        if text:
            trace.sites[site] = text


def sites_record(trace: Trace) -> dict[str, object]:
    """For a file of records that outlives the kernel; read_trace() reads it."""
    return {"record": "trace_sites", "sites": {hex(site): name for site, name in trace.sites.items()}}


# Words ---------------------------------------------------------------------------------------


def packed_name(value: int) -> str:
    return value.to_bytes(8, "little").rstrip(b"\0").decode("ascii", "replace")


def doing_name(event: Event) -> str:
    return "".join(map(packed_name, event.values[:2]))


def title_of(event: Event) -> str:
    if event.kind.name == "lock-wait":
        return f"wait for {packed_name(event.get('lock'))}"
    return event.kind.name


def title_with_holder(event: Event) -> str:
    holder = event.holder
    return title_of(event) if holder is None else f"{title_of(event)}, held by cpu {holder[0]}"


def time_text(us: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if us >= size:
            return f"{us / size:.2f} {unit}"
    return f"{us:.1f} us"
