# SPDX-License-Identifier: BSD-2-Clause
"""What is wrong with the records of a boot, besides its verdict: sweeps, traces, waits for locks."""

from __future__ import annotations

import json
import re

import launch
from bench import count_problems  # noqa: F401: a boot of run=bench, against the bounds of `make bench`
import lock_model
import trace_format
import trace_records
import trace_viewer

SWEEP_SETTINGS = (
    "workload", "policy", "lock", "cache", "batch", "cpus", "ops", "seed", "lockstat", "checks",
    "zbb", "zones", "rounds",
)
SWEEP_FIGURES = (
    "valid", "operations", "ns_per_op", "ns_per_op_min", "ns_per_op_max", "refills", "flushes",
    "direct", "failures", "acquisitions", "tick_hz",
)
# Of a cell whose check passed besides: which acquisition waits is else the host's doing.
SWEEP_WAITS = ("contended", "wait_ns", "wait_ns_max", "wait_samples", "wait_histogram")
SWEEP_HOLDS = ("hold_ns", "hold_ns_max", "hold_samples", "hold_histogram")
# What tells a cell from the others.
CELL_KEYS = ("workload", "policy", "lock", "cache", "batch", "cpus")


def cell_problems(cell: dict[str, object]) -> list[str]:
    """What is missing from, or wrong with, one cell of a sweep."""
    name = " ".join(str(cell.get(key)) for key in CELL_KEYS)
    missing = [key for key in SWEEP_SETTINGS if key not in cell]
    if cell.get("record") != "bench" or not cell.get("supported"):
        figures = SWEEP_FIGURES + SWEEP_WAITS + SWEEP_HOLDS
        present = [key for key in figures if key in cell and cell.get("record") == "bench"]
        why = [] if cell.get("record") != "bench" or cell.get("why") else ["why"]
        return [f"{name}: no {key}" for key in missing + why] + [
            f"{name}: {key}, although it is not supported" for key in present
        ]
    missing += [key for key in SWEEP_FIGURES if key not in cell]
    missing += [key for key in cell_waits(cell) if key not in cell]
    if missing:
        return [f"{name}: no {key}" for key in missing]
    least, median, most = (cell[f"ns_per_op{end}"] for end in ("_min", "", "_max"))
    problems = [] if least <= median <= most else [f"{name}: the median is out of its range"]
    singles = cell["workload"] in ("repeat", "bulk")
    if singles and not cell["cache"] and cell["acquisitions"] < cell["operations"]:
        problems.append(f"{name}: fewer locks than operations, without a cache")
    return problems


def cell_waits(cell: dict[str, object]) -> tuple[str, ...]:
    """What a supported cell has to say of waits and holds, or why it says nothing."""
    if not cell.get("valid"):
        return ("why", *(SWEEP_HOLDS if cell.get("lockstat") == "all" else ()))
    return SWEEP_WAITS[:1] if cell.get("lockstat") == "off" else SWEEP_WAITS + SWEEP_HOLDS


# A record whose check of the host's cores failed has none of these.
WAITS = re.compile("contended|wait_(?!ticks_mean$)|blame_|site_|timed_holds$")
# Rows of the stress's table, and what is printed of one lock.
TABLE_ROW = re.compile(r"  (\w+) .*[0-9]x +[0-9.]+ +(NOT MEASURABLE|(?:[0-9.]+ %|-) +(?:[0-9.]+ %|-))$")
OF_A_LOCK = re.compile(r"  (\w+), (waiting: how|which cpu waited|where it was waited)")


def contention_problems(output: str) -> list[str]:
    """Where the output has figures of waits that the host's scheduler has caused."""
    lines = output.splitlines()
    found = (launch.parse_record(line.encode()) for line in lines)
    records = [record for record in found if record and "valid" in record]
    problems = [f"{record['record']} record, not valid: {name}"
                for record in records if record["valid"] is not True and "unit" not in record
                for name in record if WAITS.match(name)]
    problems += [f"{record['record']} record, not valid: no why"
                 for record in records
                 if record["valid"] is not True and "unit" not in record and not record.get("why")]
    bad_locks = any(r["record"] == "lock" and r["valid"] is not True for r in records)
    bad_runs = {r.get("workload") for r in records
                if r["record"] == "bench" and "ops_per_second" in r and r["valid"] is not True}
    for line in lines:
        row, of_a_lock = TABLE_ROW.match(line), OF_A_LOCK.match(line)
        if of_a_lock and bad_locks:
            problems.append(f"console, not measurable: {line.strip()}")
        if row and (row[2] == "NOT MEASURABLE") != (row[1] in bad_runs):
            problems.append(f"console, against its record: {line.strip()}")
    return problems


def level_problems(level: dict[str, object]) -> list[str]:
    parts = ("free", "cached", "in_flight", "allocated", "reserved")
    if level.get("exact") and sum(level[part] for part in parts) != level["total"]:
        return ["a level that is exact does not add up"]
    return []


def lock_problems(cells: list[dict[str, object]]) -> list[str]:
    """Of one lock alone, in virtual time, with fixed times: no CPU is faster than alone, a lock is held by
    one CPU at a time, and while it is mostly free, CPUs are as fast as alone.
    """
    found = [cell for cell in lock_model.cells_of(cells) if cell.spreads == ("fixed", "fixed")]
    alone = {cell.lock: cell.throughput for cell in found if cell.cpus == 1}
    problems = []
    for cell in found:
        if cell.lock not in alone:
            continue
        free, held = cell.cpus * alone[cell.lock], 1 / (cell.hold or 1)
        slow = free < held / 2 and cell.throughput < 0.97 * free
        if slow or cell.throughput > 1.02 * min(free, held):
            problems.append(f"{cell.lock}, {cell.cpus} cpus: {cell.throughput * 1e6:.0f} operations in a million "
                            f"instructions; alone {alone[cell.lock] * 1e6:.0f}, and {held * 1e6:.0f} holds fit")
    return problems


def sweep_problems(lines: list[str]) -> list[str]:
    """A sweep promises how many cells will come; each comes once, with all of its settings."""
    records = [json.loads(line) for line in lines]
    sweeps = [record for record in records if record["record"] == "sweep"]
    cells = [record for record in records if record.get("bench") == "sweep"]
    pictures = [record for record in records if record["record"] in ("level", "map")]
    seen = {tuple(cell.get(key) for key in CELL_KEYS) for cell in cells}
    if len(sweeps) != 1:
        return [f"{len(sweeps)} sweeps begin"]
    problems = [problem for record in cells + pictures for problem in cell_problems(record)]
    problems += lock_problems(cells)
    for record in pictures:
        problems += level_problems(record) if record["record"] == "level" else []
    if not len(cells) == len(seen) == sweeps[0]["cells"]:
        problems.append(
            f"{sweeps[0]['cells']} cells promised, {len(cells)} came, {len(seen)} different"
        )
    return problems


# What a run that traces anything at all has done.
TRACED = ("refill", "flush", "doing")
TRACED_OF_SEVERAL = ("ipi", "ipi-handled")  # CPU 0 gives the others work


def trace_problems(lines: list[str]) -> list[str]:
    """
    Nothing is missing from a trace but what it says is lost; the kernel has counted each run's. And the
    file for viewers is what their format asks for.
    """
    try:
        found = trace_records.read_trace(lines)
    except trace_records.BadTrace as error:
        return [f"trace: {error}"]
    if found is None:
        return ["the run kept no trace"]
    wanted = TRACED + (TRACED_OF_SEVERAL if len(found.cpus) > 1 else ())
    absent = [name for name in wanted if not any(cpu.counts.get(name) for cpu in found.cpus)]
    silent = [cpu.number for cpu in found.cpus if not cpu.count]
    return [*trace_records.problems(found), *trace_format.problems(trace_viewer.viewer_file(found)),
            *(f"the trace has no {name}" for name in absent),
            *(f"cpu {number} has noted nothing" for number in silent)]
