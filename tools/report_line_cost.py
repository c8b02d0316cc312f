# SPDX-License-Identifier: BSD-2-Clause
"""The figure of what transfers of cache lines cost: throughput where they take time, and where not.

Both curves are of the plugin's clock, from two boots that differ in the cost of a transfer alone. The
kernel's own times are no use here: its counter of instructions does not contain waits for lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import lines
import report_plot as plot
from report_curves import Axes, Curve, Point, curves_panel, harts_scale, values_scale
from report_figures import HOLLOW_MEANS, TURNS, Commands, Figure, Table, Value, count, fill, short, words
from report_lines import Measured
from report_records import Record, values_of
from report_speed import RATE, place_name, places_of

# Of a run of a cell, its time of an operation and its transfers: what is drawn.
Drawn = Callable[[Measured, tuple[float, float]], float]


def rate(one: Measured, run: tuple[float, float]) -> float:
    """Operations of all harts while one of them executes, or waits for, a million instructions."""
    return 1e6 * one.cpus / run[0] if run[0] else 0.0


def transfers(_: Measured, run: tuple[float, float]) -> float:
    return run[1]


def middle(values: Sequence[float]) -> float:
    """The upper one of two; 0 of none."""
    return sorted(values)[len(values) // 2] if values else 0.0


def value_of(one: Measured, drawn: Drawn) -> float:
    return middle([drawn(one, run) for run in one.cell.runs])


# Which cells -----------------------------------------------------------------------------------


def settings_of(one: Measured) -> tuple[str, ...]:
    return tuple(str(one.bench.get(name)) for name in (*lines.SETTINGS, "turn"))


def pairs_of(found: Sequence[Measured]) -> list[tuple[Measured, Measured]]:
    """Cells that differ in nothing but the cost of a transfer: the free one first."""
    free = {settings_of(one): one for one in found if not one.cell.cost and one.cell.runs}
    return [(free[settings_of(one)], one) for one in found
            if one.cell.cost and one.cell.runs and settings_of(one) in free]


def benches(pairs: Sequence[tuple[Measured, Measured]]) -> list[Record]:
    return [dear.bench for _, dear in pairs]


def at_place(pairs: Sequence[tuple[Measured, Measured]],
             place: tuple[object, object]) -> list[tuple[Measured, Measured]]:
    return [pair for pair in pairs
            if (pair[0].bench.get("workload"), pair[0].bench.get("cache")) == place]


# Panels ----------------------------------------------------------------------------------------


def point_of(one: Measured, drawn: Drawn) -> Point:
    values = [drawn(one, run) for run in one.cell.runs]
    return Point(float(one.cpus), middle(values), min(values), max(values), one.by_turns)


def curves_of(cells: Sequence[Measured], locks: Sequence[object], drawn: Drawn) -> list[Curve]:
    """A curve a lock; its colour is that of the lock in all panels."""
    return [Curve(str(lock), index, [point_of(one, drawn) for one in sorted(
        (one for one in cells if one.bench.get("lock") == lock), key=lambda one: one.cpus)])
        for index, lock in enumerate(locks)]


def place_panels(place: tuple[object, object], pairs: Sequence[tuple[Measured, Measured]],
                 locks: Sequence[object]) -> list[plot.Panel]:
    """Throughput without a cost and with, and the transfers that make the difference."""
    free, dear = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    harts, cost = harts_scale(sorted({one.cpus for one in free})), dear[0].cell.cost
    name = place_name(*place)
    drawn = ((f"{name}: transfers take no time", free, rate, RATE),
             (f"{name}: {cost} instructions a transfer", dear, rate, RATE),
             (f"{name}: transfers", dear, transfers, "transfers / operation"))
    panels = []
    for title, cells, figure, unit in drawn:
        curves = curves_of(cells, locks, figure)
        panels.append(curves_panel(title, curves, Axes(harts, values_scale(curves), "harts", unit)))
    return panels


# Tables and words ------------------------------------------------------------------------------


def value_text(one: Measured, drawn: Drawn) -> Value:
    return Value(short(value_of(one, drawn)), TURNS if one.by_turns else "")


def sharing(one: Measured) -> Value:
    counts = one.cell.counts
    return Value(" · ".join(short(one.cell.per_operation(part)) for part in (
        counts.misses - counts.false, counts.false, counts.upgrades)))


def harts_table(title: str, cells: Sequence[Measured], value: Callable[[Measured], Value]) -> Table:
    harts = sorted({one.cpus for one in cells})
    lines_of: dict[tuple[str, ...], dict[int, Measured]] = {}
    for one in cells:
        key = place_name(one.bench.get("workload"), one.bench.get("cache")), str(one.bench.get("lock"))
        lines_of.setdefault(key, {})[one.cpus] = one
    rows = [[*words(*key), *(value(line[number]) if number in line else Value("–") for number in harts)]
            for key, line in sorted(lines_of.items(), key=lambda item: item[0][0])]
    return Table(title, ["cell", "lock", *(count(number, "hart") for number in harts)], rows)


def ends(cells: dict[str, float], digits: int = 3, unit: str = "") -> str:
    """The least and the greatest, each with its lock."""
    ranked = sorted(cells, key=lambda lock: cells[lock])
    return " to ".join(f"{short(cells[lock], digits)}{unit} ({lock})"
                       for lock in dict.fromkeys((ranked[0], ranked[-1])))


def cost_words(pairs: Sequence[tuple[Measured, Measured]]) -> str:
    """Of each workload and cache, at the most harts."""
    said = []
    for place in places_of(benches(pairs)):
        chosen = at_place(pairs, place)
        most = max(free.cpus for free, _ in chosen)
        chosen = [pair for pair in chosen if pair[0].cpus == most]
        left = {str(free.bench.get("lock")): 100 * value_of(dear, rate) / (value_of(free, rate) or 1)
                for free, dear in chosen}
        moves = {str(dear.bench.get("lock")): value_of(dear, transfers) for _, dear in chosen}
        said.append(f"{place_name(*place)}, {count(most, 'hart')}: where a transfer takes "
                    f"{chosen[0][1].cell.cost} instructions, {ends(left, 2, ' %')} of the throughput is "
                    f"left. An operation makes {ends(moves)} transfers.")
    return "\n".join(said)


def best_with_cost(found: Sequence[Measured]) -> tuple[float, dict[str, float], Measured] | None:
    """Where locks differ most at the most harts: how far, their throughput, and one of the cells."""
    pairs, differ = pairs_of(found), []
    most = max((dear.cpus for _, dear in pairs), default=0)
    for place in places_of(benches(pairs)):
        cells = [dear for _, dear in at_place(pairs, place) if dear.cpus == most]
        rates = {str(one.bench.get("lock")): value_of(one, rate) for one in cells}
        if len(rates) > 1 and min(rates.values()) > 0:
            differ.append((max(rates.values()) / min(rates.values()), rates, cells[0]))
    return max(differ, key=lambda one: one[0], default=None)


def cost_figure(found: Sequence[Measured], commands: Commands) -> Figure | None:
    pairs = pairs_of(found)
    if not pairs:
        return None
    free, dear = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    cost, locks = dear[0].cell.cost, values_of(benches(pairs), "lock")
    figure = Figure(
        "lines-cost", "Throughput where moving a cache line takes time", cost_words(pairs),
        "In virtual time an access takes as long as any other instruction, whichever hart has the line. "
        f"Here each transfer of a line between harts takes {cost} instructions more, and a line makes one "
        "transfer after the other; otherwise the boots are the same. The number is chosen, not measured: "
        "between cores of one chip a transfer takes 50 to 150 cycles. Transfers are shown where they take "
        "time. Each panel has its own scale. A mark is "
        "the median of the rounds, the thin vertical line spans them. " + HOLLOW_MEANS)
    fill(figure, [one.bench for one in (*free, *dear)], commands)
    figure.panels = [panel for place in places_of(benches(pairs))
                     for panel in place_panels(place, at_place(pairs, place), locks)]
    figure.tables = [
        harts_table("Operations in a million instructions, transfers take no time", free,
                    lambda one: value_text(one, rate)),
        harts_table(f"The same, {cost} instructions a transfer", dear, lambda one: value_text(one, rate)),
        harts_table(f"Transfers an operation, {cost} instructions each: misses by true sharing · by false "
                    "sharing · upgrades", dear, sharing)]
    return figure
