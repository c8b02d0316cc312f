# SPDX-License-Identifier: BSD-2-Clause
"""What was found, in three sentences that are computed from the records."""

from __future__ import annotations

from collections.abc import Sequence

from report_figures import batch_name, cache_name, count, cpus_of, short
from report_line_cost import best_with_cost
from report_lines import measured
from report_records import (
    MEASURED,
    NOT_MEASURABLE,
    UNSUPPORTED,
    Record,
    at,
    cells_of,
    cost_of,
    integer,
    part_of,
    state_of,
    text_of,
    throughput,
    timed_cells,
    values_of,
)
from report_speed import growth_words, places_of, scaling_slice, span


def tally(records: Sequence[Record]) -> dict[str, int]:
    """How many cells there are of each state."""
    found = {MEASURED: 0, NOT_MEASURABLE: 0, UNSUPPORTED: 0}
    for cell in cells_of(records):
        found[state_of(cell)] += 1
    return found


def with_caches(cache: object) -> str:
    return f"with caches of {cache} frames" if cache else "without caches"


def growth(cells: Sequence[Record]) -> str:
    """How far throughput grows without caches, and with; of the first workload that has both."""
    for workload in values_of(cells, "workload"):
        said = [f"{with_caches(cache)} {found}" for place, cache in places_of(cells)
                if place == workload and (found := growth_words(cells, workload, cache))]
        if said:
            return f"In {workload} {'; '.join(said)}."
    return ""


def waiting(cells: Sequence[Record]) -> str:
    """Which part of their time harts wait, at the most harts, by cache, over locks and workloads."""
    said, most = [], max(cpus_of(cells), default=0)
    for cache in values_of(cells, "cache"):
        shares = [100 * wait / cost for c in at(cells, cache=cache, cpus=most)
                  if (wait := part_of(c, "wait")) is not None and (cost := cost_of(c))]
        if shares:
            said.append(f"{span(shares, 2)} % of their time {with_caches(cache)}")
    return f"{count(most, 'hart')} wait {', and '.join(said)}, over all locks and workloads." \
        if said else ""


def best_lock(cells: Sequence[Record]) -> str:
    """The first and the last lock at the most harts, where locks differ most."""
    most, found = max(cpus_of(cells), default=0), []
    for workload, cache in places_of(cells):
        chosen = at(cells, workload=workload, cache=cache, cpus=most)
        rates = {text_of(c, "lock"): rate for c in chosen if (rate := throughput(c))}
        ranked = sorted(rates, key=lambda lock: rates[lock])
        if len(ranked) > 1:
            found.append((rates[ranked[-1]] / rates[ranked[0]], ranked, workload, cache))
    if not found:
        return ""
    ratio, ranked, workload, cache = max(found, key=lambda one: one[0])
    return (f"The choice of the lock matters most in {workload} {with_caches(cache)}: there, "
            f"with {count(most, 'hart')}, {ranked[-1]} does {short(100 * (ratio - 1), 2)} % more "
            f"than {ranked[0]}.")


def with_cost(records: Sequence[Record]) -> str:
    """The same where moving a cache line takes time, which can turn the order around."""
    found = best_with_cost(measured(records))
    if not found:
        return ""
    ratio, rates, one = found
    ranked = sorted(rates, key=lambda lock: rates[lock])
    more = f"{short(ratio)} times as much as" if ratio >= 2 else f"{short(100 * (ratio - 1), 2)} % more than"
    return (f"; where moving a cache line takes {count(one.cell.cost, 'instruction')}, {ranked[-1]} does "
            f"{more} {ranked[0]}, in {text_of(one.bench, 'workload')} "
            f"{with_caches(one.bench.get('cache'))} with {count(one.cpus, 'hart')}")


def findings(records: Sequence[Record]) -> list[str]:
    cells = scaling_slice(timed_cells(records))
    best = best_lock(cells)
    if best:
        best = best.removesuffix(".") + with_cost(records) + "."
    return [text for text in (growth(cells), waiting(cells), best) if text]


def reasons(records: Sequence[Record], state: str) -> dict[str, list[str]]:
    """Of the cells in a state: why, and which."""
    found: dict[str, list[str]] = {}
    for cell in cells_of(records):
        if state_of(cell) == state:
            why = text_of(cell, "why") or "no reason given"
            found.setdefault(why, []).append(cell_name(cell))
    return found


def cell_name(cell: Record) -> str:
    line = f" · LINE={cell['line']}" if "line" in cell else ""
    return (f"{text_of(cell, 'workload')} · {text_of(cell, 'policy')} · {text_of(cell, 'lock')} · "
            f"{cache_name(cell.get('cache'))} · {batch_name(cell.get('batch'))} · "
            f"{count(integer(cell, 'cpus'), 'cpu')}{line}")
