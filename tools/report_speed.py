# SPDX-License-Identifier: BSD-2-Clause
"""Figures over the number of harts, a line a lock: throughput, and waits; waits over batches too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import report_plot as plot
from report_curves import Axes, Curve, curves_panel, harts_scale, point_at, values_scale
from report_figures import (
    HOLLOW_MEANS,
    Commands,
    Figure,
    Table,
    Value,
    batch_name,
    cache_name,
    count,
    cpus_of,
    fill,
    marked,
    short,
    words,
)
from report_records import (
    Record,
    at,
    contended_share,
    cost_of,
    integer,
    is_heap,
    is_virtual,
    number,
    one_slice,
    part_of,
    text_of,
    throughput,
    values_of,
)

# Where the adaptive batch stands, to the right of the fixed ones: times the greatest.
ADAPTIVE_AT = 2.6

AXES = ("workload", "lock", "cache", "cpus")
RATE = "operations / million instructions"
WAIT = "instructions waited / operation"


# Which cells -----------------------------------------------------------------------------------


def virtual_cells(cells: Sequence[Record], heap: bool = False) -> list[Record]:
    return [cell for cell in cells if is_virtual(cell) and is_heap(cell) == heap]


def scaling_slice(cells: Sequence[Record], heap: bool = False) -> list[Record]:
    """Locks compared over the number of harts: of the heap's workloads, or of all others."""
    chosen = one_slice(virtual_cells(cells, heap), AXES)
    return chosen if len(cpus_of(chosen)) > 1 else []


def batch_slice(cells: Sequence[Record]) -> list[Record]:
    """Of each workload in which batches were compared: its cells of lock and batch."""
    several = [c for c in virtual_cells(cells) if integer(c, "cpus") > 1 and integer(c, "cache")]
    slices = (one_slice(at(several, workload=workload), ("lock", "batch"))
              for workload in values_of(several, "workload"))
    return [c for chosen in slices if len(values_of(chosen, "batch")) > 1 for c in chosen]


def places_of(cells: Sequence[Record]) -> list[tuple[object, object]]:
    """Workload and cache of each panel: without a cache first."""
    return [(workload, cache) for workload in values_of(cells, "workload")
            for cache in values_of(cells, "cache") if at(cells, workload=workload, cache=cache)]


def place_name(workload: object, cache: object) -> str:
    return f"{workload}, {cache_name(cache)}"


# Curves ----------------------------------------------------------------------------------------


def wait_of(cell: Record, name: str) -> float | None:
    """The part of the cost that was waited; of the fastest and the slowest round it is not known."""
    return part_of(cell, "wait") if name == "ns_per_op" else None


def curves_of(cells: Sequence[Record], locks: Sequence[object], place: Callable[[Record], float],
              figure: Callable[[Record, str], float | None]) -> list[Curve]:
    """A curve a lock; its colour is that of the lock in all panels."""
    curves = []
    for index, lock in enumerate(locks):
        line = sorted(at(cells, lock=lock), key=place)
        found = (point_at(place(cell), cell, figure) for cell in line)
        curves.append(Curve(str(lock), index, [point for point in found if point]))
    return curves


def harts_panels(cells: Sequence[Record], figure: Callable[[Record, str], float | None],
                 unit: str) -> list[plot.Panel]:
    """A panel for each workload and cache; each vertical axis fits what is drawn in it."""
    locks, panels = values_of(cells, "lock"), []
    for workload, cache in places_of(cells):
        chosen = at(cells, workload=workload, cache=cache)
        curves = curves_of(chosen, locks, lambda cell: float(integer(cell, "cpus")), figure)
        axes = Axes(harts_scale(cpus_of(chosen)), values_scale(curves), "harts", unit, unit == RATE)
        panels.append(curves_panel(place_name(workload, cache), curves, axes))
    return panels


# Throughput ------------------------------------------------------------------------------------


def rows_over_harts(cells: Sequence[Record], value: Callable[[Record], Value]) -> list[list[Value]]:
    rows = []
    for workload, cache in places_of(cells):
        for lock in values_of(cells, "lock"):
            line = at(cells, workload=workload, cache=cache, lock=lock)
            found = [at(line, cpus=n) for n in cpus_of(cells)]
            if line:
                rows.append(words(workload, cache_name(cache), lock)
                            + [value(cell[0]) if cell else Value("–") for cell in found])
    return rows


def harts_table(title: str, cells: Sequence[Record], value: Callable[[Record], Value]) -> Table:
    columns = ["workload", "cache", "lock", *(count(n, "hart") for n in cpus_of(cells))]
    return Table(title, columns, rows_over_harts(cells, value))


def rate_value(cell: Record) -> Value:
    spread = number(cell, "spread_percent")
    text = f"{throughput(cell):,.0f}" if throughput(cell) else "–"
    return marked(text + (f" · {short(spread, 2)} %" if spread else ""), cell)


def stops_growing(cells: Sequence[Record]) -> int:
    """Of one line: the fewest harts of which more harts do not make a tenth more."""
    rates = {integer(cell, "cpus"): throughput(cell) or 0.0 for cell in cells}
    return min((n for n, rate in rates.items()
                if all(other <= rate * 1.1 for m, other in rates.items() if m > n)), default=0)


def speedup(line: Sequence[Record]) -> float | None:
    """Of one line: the most harts over one hart."""
    ends = [[throughput(cell) for cell in at(line, cpus=n)] for n in (1, max(cpus_of(line)))]
    return ends[1][0] / ends[0][0] if all(ends) and ends[0][0] and ends[1][0] else None


def span(values: Sequence[float], digits: int = 3) -> str:
    low, high = short(min(values), digits), short(max(values), digits)
    return low if low == high else f"{low} to {high}"


def lines_of(cells: Sequence[Record], workload: object, cache: object) -> dict[str, list[Record]]:
    chosen = at(cells, workload=workload, cache=cache)
    return {str(lock): at(chosen, lock=lock) for lock in values_of(chosen, "lock")}


def growth_words(cells: Sequence[Record], workload: object, cache: object) -> str:
    """Where throughput stops growing, and how far it has come by the most harts."""
    lines, most = lines_of(cells, workload, cache), max(cpus_of(cells))
    ratios = [ratio for line in lines.values() if (ratio := speedup(line))]
    ends = {lock: stops_growing(line) for lock, line in lines.items()}
    if not ratios:
        return ""
    low, high = min(ends.values()), max(ends.values())
    by_lock = "with every lock" if len(lines) > 1 else f"with {next(iter(lines))}"
    if low == most:
        how = f"throughput grows {by_lock} up to {count(most, 'hart')}, the most that were measured"
    elif low == high:
        how = f"throughput stops growing at {count(high, 'hart')} {by_lock}"
    else:
        how = f"throughput stops growing at {low} to {count(high, 'hart')}, by lock"
    return f"{how}: {count(most, 'hart')} do {span(ratios)} times what one does"


def scaling_words(cells: Sequence[Record]) -> str:
    said = (f"{place_name(*place)}: {found}." for place in places_of(cells)
            if (found := growth_words(cells, *place)))
    return "\n".join(said)


def scaling_figure(cells: Sequence[Record], commands: Commands) -> Figure:
    chosen = scaling_slice(cells)
    figure = Figure(
        "scaling", "Throughput against harts, by lock", "",
        "Operations (allocations and frees) of all harts while one hart executes a million "
        "instructions. The dotted line is as many times the best throughput of one hart as there "
        "are harts. A mark is the median of the rounds, the thin vertical line spans them: rounds "
        "differ in the length and the order of the turns. " + HOLLOW_MEANS,
    )
    if chosen:
        figure.shows = scaling_words(chosen)
        fill(figure, chosen, commands)
        figure.panels = harts_panels(chosen, throughput, RATE)
        figure.tables = [harts_table("Operations in a million instructions, and by how much the "
                                     "rounds differ", chosen, rate_value)]
    return figure


# Waits -----------------------------------------------------------------------------------------


def wait_value(cell: Record) -> Value:
    wait, share = part_of(cell, "wait"), contended_share(cell)
    text = short(wait) + (f" · {short(share)} %" if share is not None else "")
    return marked(text, cell)


def batch_place(batch: object, fixed: Sequence[float]) -> float:
    """Where it stands on the axis of batches."""
    return float(str(batch)) if batch else (max(fixed) * ADAPTIVE_AT if fixed else 1.0)


def batches_of(cells: Sequence[Record]) -> list[float]:
    return [float(str(batch)) for batch in values_of(cells, "batch") if batch]


def batch_scale(cells: Sequence[Record]) -> plot.Scale:
    fixed = batches_of(cells)
    adapts = [batch_place(0, fixed)] if 0 in values_of(cells, "batch") else []
    scale = plot.doubling_scale([*fixed, *adapts] or [1.0])
    ticks = [*((f"{batch:g}", batch) for batch in fixed), *(("adapts", at) for at in adapts)]
    return plot.Scale(scale.low, scale.high, True, tuple(ticks))


def batch_panels(cells: Sequence[Record], locks: Sequence[object]) -> list[plot.Panel]:
    panels = []
    for workload in values_of(cells, "workload"):
        chosen = at(cells, workload=workload)
        fixed = batches_of(chosen)
        compared = {lock for lock in locks if batches_of(at(chosen, lock=lock))}
        chosen = [cell for cell in chosen if cell.get("lock") in compared]
        curves = curves_of(chosen, locks, lambda c, f=fixed: batch_place(c.get("batch"), f), wait_of)
        last = max(fixed, default=0.0)
        curves = [replace(curve, joined=lambda p, last=last: p.x <= last) for curve in curves]
        axes = Axes(batch_scale(chosen), values_scale(curves), "frames a batch", WAIT)
        harts = count(max(cpus_of(chosen)), "hart")
        panels.append(curves_panel(f"{workload}, by batch, {harts}", curves, axes))
    return panels


def batch_table(cells: Sequence[Record]) -> Table:
    fixed = batches_of(cells)
    batches = sorted(values_of(cells, "batch"), key=lambda batch: batch_place(batch, fixed))
    rows = []
    for workload in values_of(cells, "workload"):
        for lock in values_of(cells, "lock"):
            line = at(cells, workload=workload, lock=lock)
            found = [at(line, batch=batch) for batch in batches]
            if len(line) > 1:
                rows.append(words(workload, lock)
                            + [wait_value(cell[0]) if cell else Value("–") for cell in found])
    columns = ["workload", "lock", *(batch_name(batch) for batch in batches)]
    return Table("The same by batch", columns, rows)


def waits_words(cells: Sequence[Record], batches: Sequence[Record]) -> str:
    """At the most harts: which part of the time of an operation is a wait; and what batches do."""
    said, most = [], max(cpus_of(cells))
    for workload, cache in places_of(cells):
        shares = {text_of(c, "lock"): 100 * (part_of(c, "wait") or 0) / (cost_of(c) or 1)
                  for c in at(cells, workload=workload, cache=cache, cpus=most)}
        ranked = sorted(shares, key=lambda lock: shares[lock])
        if ranked:
            said.append(f"{place_name(workload, cache)}, {count(most, 'hart')}: "
                        f"{short(shares[ranked[0]], 2)} % ({ranked[0]}) to "
                        f"{short(shares[ranked[-1]], 2)} % ({ranked[-1]}) of the time is waited.")
    fixed = batches_of(batches)
    for workload in values_of(batches, "workload") if len(fixed) > 1 else ():
        ends = [[part_of(c, "wait") or 0.0 for c in at(batches, workload=workload, batch=batch)]
                for batch in (min(fixed), max(fixed))]
        if all(ends):
            said.append(f"{workload}: batches of {min(fixed):g} frames wait {span(ends[0])} "
                        f"instructions an operation, batches of {max(fixed):g} {span(ends[1])}.")
    return "\n".join(said)


def waits_figure(cells: Sequence[Record], commands: Commands) -> Figure:
    chosen, batches = scaling_slice(cells), batch_slice(cells)
    figure = Figure(
        "waits", "How long an operation waits, against harts and batches", "",
        "Instructions of one hart from its first look at a zone’s lock that was not free to its "
        "acquisition, of all waits, for each operation. ‘adapts’ is the batch that follows "
        "contention by itself. " + HOLLOW_MEANS,
    )
    if chosen or batches:
        locks = values_of([*chosen, *batches], "lock")
        figure.shows = waits_words(chosen, batches) if chosen else ""
        fill(figure, [*chosen, *batches], commands)
        figure.panels = harts_panels(chosen, wait_of, WAIT) + batch_panels(batches, locks)
        figure.tables = [harts_table("Instructions waited in an operation, and the contended "
                                     "acquisitions", chosen, wait_value)] if chosen else []
        figure.tables += [batch_table(batches)] if batches else []
    return figure


# The heap --------------------------------------------------------------------------------------


def heap_figure(cells: Sequence[Record], commands: Commands) -> Figure:
    chosen = scaling_slice(cells, heap=True)
    figure = Figure(
        "heap", "The same of the heap: blocks instead of frames", "",
        "The heap has one lock, with no cache before it: a wait here is for that lock, or for a "
        "zone’s. " + HOLLOW_MEANS,
    )
    if chosen:
        figure.shows = scaling_words(chosen)
        fill(figure, chosen, commands)
        figure.panels = harts_panels(chosen, throughput, RATE) + [
            replace(panel, title=f"{panel.title}: waits")
            for panel in harts_panels(chosen, wait_of, WAIT)]
        figure.tables = [
            harts_table("Operations in a million instructions, and by how much the rounds differ",
                        chosen, rate_value),
            harts_table("Instructions waited in an operation, and the contended acquisitions",
                        chosen, wait_value)]
    return figure
