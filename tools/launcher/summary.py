# SPDX-License-Identifier: BSD-2-Clause
"""The end of `make run`: at most ten lines of what ran, what came of it, and what to do next.

Every figure is from the records of the boots, of all of them where there were several.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

Record = dict[str, object]

LINES_MOST = 10
# The first of these that has figures is the one whose figures are shown.
WORKLOADS = ("bulk", "repeat", "rand")
PLACE = re.compile(r"\(([\w./-]+\.[chS]:\d+)\)|\b([\w./-]+\.[chS]:\d+)\b")


@dataclass(frozen=True)
class Ran:
    """One run of the launcher, and the boots that were before it."""

    records: list[Record]
    smp: str
    mem: str
    bootargs: str
    files: list[Path]  # of records
    log: Path


def read_records(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def number(record: Record, name: str) -> float:
    value = record.get(name, 0)
    return float(value) if isinstance(value, (int, float)) else 0.0


def first(records: Iterable[Record], kind: str) -> Record:
    return next((record for record in records if record["record"] == kind), {})


def cells(records: Iterable[Record]) -> list[Record]:
    """Of sweeps, those whose times count."""
    return [r for r in records if r.get("bench") == "sweep" and r.get("supported") and r.get("valid")]


# The figures ---------------------------------------------------------------------------------


def locks_per_1000(record: Record) -> float:
    ops = number(record, "counted_operations") or number(record, "ops")
    return 1000 * number(record, "acquisitions") / ops if ops else 0.0


def of_first_workload(records: Sequence[Record]) -> list[Record]:
    names = [str(record.get("workload")) for record in records]
    chosen = next((name for name in (*WORKLOADS, *names) if name in names), "")
    return [record for record in records if record.get("workload") == chosen]


def acquisitions(records: Sequence[Record]) -> str:
    """Of the stress, else of the sweep's most cpus."""
    stress = [r for r in records if r["record"] == "bench" and "acquisitions" in r and "bench" not in r]
    found = of_first_workload(stress or [r for r in records if r.get("bench") == "sweep" and r.get("supported")])
    most = max((number(record, "cpus") for record in found), default=0)
    found = [record for record in found if number(record, "cpus") == most]
    cached = [record for record in found if record.get("cache")]
    bare = [record for record in found if not record.get("cache")]
    if not cached or not bare:
        return ""
    return (f"{locks_per_1000(cached[0]):.1f} in 1000 operations of {cached[0]['workload']}; "
            f"{locks_per_1000(bare[0]):.1f} without caches")


def rate(record: Record) -> float:
    return number(record, "cpus") / number(record, "ns_per_op")


def speedups(found: Sequence[Record]) -> list[float]:
    """Throughput of the most cpus divided by that of the fewest, of each lock, policy and cache."""
    kinds: dict[tuple[object, ...], list[Record]] = {}
    for record in found:
        kinds.setdefault(tuple(record.get(key) for key in ("policy", "lock", "cache", "batch")), []).append(record)
    ends = [sorted(rows, key=lambda record: number(record, "cpus")) for rows in kinds.values()]
    return [rate(rows[-1]) / rate(rows[0]) for rows in ends if rows[0].get("cpus") != rows[-1].get("cpus")]


def span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def scaling(records: Sequence[Record]) -> str:
    found = of_first_workload([r for r in cells(records) if r.get("clock") == "virtual"])
    parts = [(name, speedups([r for r in found if bool(r.get("cache")) == cached]))
             for name, cached in (("with caches", True), ("without", False))]
    said = [f"{span(values)} times {name}" for name, values in parts if values]
    if not said:
        return ""
    counts = [int(number(record, "cpus")) for record in found]
    return f"{found[0]['workload']}, {max(counts)} cpus against {min(counts)}: {', '.join(said)}"


def waited(record: Record) -> float:
    """Which part of the time of its operations a cell has waited for locks."""
    time = number(record, "ns_per_op") * number(record, "counted_operations")
    return (number(record, "wait_ns") + number(record, "heap_wait_ns")) / time if time else 0.0


def waiting(records: Sequence[Record]) -> str:
    found = max(cells(records), key=waited, default={})
    if waited(found):
        heap = number(found, "heap_wait_ns") > number(found, "wait_ns")
        caches = f"caches of {found['cache']}" if found.get("cache") else "no caches"
        return (f"{'heap' if heap else 'zones'} ({found['lock']}), {100 * waited(found):.0f} % of the time "
                f"of {found['workload']}, {found['cpus']} cpus, {caches}")
    locks = [r for r in records if r["record"] == "lock" and r.get("valid") and r.get("contended")]
    lock = max(locks, key=lambda r: number(r, "contended") * number(r, "wait_mean_ns"), default={})
    return f"{lock['name']}, {100 * number(lock, 'contended_share'):.1f} % of its acquisitions" if lock else ""


def hit(records: Sequence[Record]) -> str:
    found = next((r for r in records if r.get("bench") == "pair_inlined" and r.get("valid")), None)
    return f"{number(found, 'value'):.0f} instructions an allocation and a free" if found else ""


# What is said --------------------------------------------------------------------------------


def chosen(ran: Ran, name: str) -> str:
    """The boot's, or how many a sweep has compared."""
    compared = {str(record[name]) for record in ran.records if record.get("bench") == "sweep"}
    values = compared or {str(first(ran.records, "boot")[name])}
    return f"{name} {values.pop()}" if len(values) == 1 else f"{name}: {len(values)} compared"


def machine(ran: Ran) -> str:
    boot = first(ran.records, "boot")
    if not boot:
        return f"{ran.smp} harts, {ran.mem}"
    return (f"{boot['cpus']} cpus, {int(number(boot, 'ram_frames')) >> 8} MiB, {chosen(ran, 'policy')}, "
            f"{chosen(ran, 'lock')}, seed {boot['seed']}")


def command(ran: Ran) -> str:
    words = ran.bootargs.split()
    virtual = "VTIME=1 " if "time=virtual" in words else ""
    words = [word for word in words if word != "time=virtual"]
    seed = first(ran.records, "boot").get("seed")
    if seed is not None and not any(word.startswith("seed=") for word in words):
        words.append(f"seed={seed}")
    return f"make run SMP={ran.smp} MEM={ran.mem} {virtual}BOOTARGS={shlex.quote(' '.join(words))}"


def rows(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [f"  {name:<9} {text}" for name, text in pairs if text]


def passed(ran: Ran) -> list[str]:
    verdicts = [record for record in ran.records if record["record"] == "verdict"]
    checks = sum(int(number(verdict, "passed")) for verdict in verdicts)
    boots = f" in {len(verdicts)} boots" if len(verdicts) > 1 else ""
    more = "make run SMP=8 VTIME=1 BOOTARGS='run=bench lock=all workload=bulk'"
    return [f"PASS: {checks} checks{boots}", *rows((
        ("machine", machine(ran)),
        ("hit", hit(ran.records)),
        ("locks", acquisitions(ran.records)),
        ("scaling", scaling(ran.records)),
        ("waits for", waiting(ran.records)),
        ("records", ", ".join(str(path) for path in ran.files)),
        ("next", more),
        ("", "docs/running.md explains every column; make report draws figures"),
    ))][:LINES_MOST]


def place_of(text: str, console: Sequence[str]) -> str:
    """The first file and line that the failure names, else the first that a backtrace does."""
    for line in (text, *console):
        if found := PLACE.search(line):
            return found[1] or found[2]
    return ""


def failed(ran: Ran, why: str, console: Sequence[str]) -> list[str]:
    return [f"FAIL: {why.removeprefix('verdict fail: ')}", *rows((
        ("machine", machine(ran)),
        ("where", place_of(why, console)),
        ("again", command(ran)),
        ("records", ", ".join(str(path) for path in ran.files)),
        ("console", str(ran.log)),
        ("next", "docs/failure.md says what each kind of failure means"),
    ))]
