# SPDX-License-Identifier: BSD-2-Clause
"""One panel of curves: what several figures draw, a line a lock over harts or over batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import report_plot as plot
from report_figures import short
from report_records import Record, depends_on_turns, number


@dataclass(frozen=True)
class Point:
    x: float
    y: float
    low: float  # of all rounds
    high: float
    hollow: bool = False


@dataclass
class Curve:
    name: str
    colour: int  # of the series, and its mark
    points: list[Point] = field(default_factory=list)
    joined: Callable[[Point], bool] = lambda point: True  # or a mark by itself


@dataclass(frozen=True)
class Axes:
    x: plot.Scale
    y: plot.Scale
    x_unit: str
    y_unit: str
    ideal: bool = False  # a line through 0 and the best point at 1 hart


def point_at(x: float, cell: Record, figure: Callable[[Record, str], float | None]) -> Point | None:
    """The median of the rounds, and the span of them, of a figure that follows from the cost."""
    middle = figure(cell, "ns_per_op")
    if middle is None:
        return None
    ends = [found for name in ("ns_per_op_min", "ns_per_op_max")
            if number(cell, name) and (found := figure(cell, name)) is not None] or [middle]
    return Point(x, middle, min(*ends, middle), max(*ends, middle), depends_on_turns(cell))


def curve_plots(name: str, curve: Curve) -> tuple[list[str], list[str]]:
    """Its data, and how to plot it: the span of the rounds, the line, the marks."""
    def rows(points: list[Point]) -> list[tuple[float, ...]]:
        return [(p.x, p.y, p.low, p.high) for p in points]
    data = plot.block(f"{name}all", rows(curve.points))
    data += plot.block(f"{name}line", rows([p for p in curve.points if curve.joined(p)]))
    data += plot.block(f"{name}hollow", rows([p for p in curve.points if p.hollow]))
    data += plot.block(f"{name}full", rows([p for p in curve.points if not p.hollow]))
    colour, paper = plot.series(curve.colour), plot.role("paper")
    filled, hollow = plot.point(curve.colour), plot.point(curve.colour, hollow=True)
    return data, [
        f"${name}all using 1:3:(0):($4-$3) with vectors nohead lw 1.2 lc rgb {colour}",
        f"${name}line using 1:2 with lines lw 1.5 lc rgb {colour}",
        f"${name}hollow using 1:2 with points pt {filled} ps 0.65 lc rgb {paper}",
        f"${name}hollow using 1:2 with points pt {hollow} ps 0.6 lc rgb {colour}",
        f"${name}full using 1:2 with points pt {filled} ps 0.6 lc rgb {colour}",
    ]


def ideal_plots(curves: Sequence[Curve], axes: Axes) -> tuple[list[str], list[str]]:
    """As many times the best throughput of one hart as there are harts."""
    single = [p.y / p.x for curve in curves for p in curve.points if p.x == 1]
    if not axes.ideal or not single:
        return [], []
    end = min(axes.x.high, axes.y.high / max(single))
    data = plot.block("ideal", [(0, 0), (end, end * max(single))])
    return data, [f"$ideal using 1:2 with lines dt (2,3) lw 1 lc rgb {plot.role('muted')}"]


def curve_words(curve: Curve, unit: str) -> str:
    return f"{curve.name}: " + ", ".join(f"{short(p.y)} at {p.x:g} {unit}"
                                         + (" (depends on the turns)" if p.hollow else "")
                                         for p in curve.points)


def curves_panel(title: str, curves: Sequence[Curve], axes: Axes) -> plot.Panel:
    curves = [curve for curve in curves if curve.points]
    longest = max((len(curve.name) for curve in curves), default=0)
    panel = plot.Panel(title, "", [], plot.Margins(left=57, right=20 + round(6.4 * longest)))
    script, plots = ideal_plots(curves, axes)
    for place, curve in enumerate(curves):
        data, commands = curve_plots(f"c{place}", curve)
        script += data
        plots += commands
    labels = [plot.EndLabel(curve.name, axes.y.part(curve.points[-1].y), plot.series(curve.colour))
              for curve in curves]
    said = "; ".join(curve_words(curve, axes.x_unit) for curve in curves)
    panel.describes = f"{axes.y_unit}. {said}."
    script += axes.x.commands("x") + axes.y.commands("y")
    script += plot.unit_labels(panel, axes.y_unit, axes.x_unit)
    script += plot.end_labels(panel.inner_height, labels)
    panel.script = [*script, "plot " + (", ".join(plots) or "NaN")]
    return panel


def harts_scale(cpus: Sequence[int]) -> plot.Scale:
    """Linear, so that perfect scaling is a straight line through 0; ticks where there is room."""
    most = max(cpus, default=1)
    ticks: list[int] = []
    for count in sorted(cpus, reverse=True):
        if not ticks or ticks[-1] - count > most / 20:
            ticks.append(count)
    return plot.Scale(0, most * 1.02, False, tuple((str(n), n) for n in reversed(ticks)))


def values_scale(curves: Sequence[Curve]) -> plot.Scale:
    """From 0 to over the highest point that is drawn, with its span."""
    return plot.linear_scale(max((p.high for c in curves for p in c.points), default=1.0) or 1.0)
