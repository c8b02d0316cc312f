# SPDX-License-Identifier: BSD-2-Clause
"""The figure of policies: instructions an operation takes, counted exactly."""

from __future__ import annotations

from collections.abc import Sequence

import report_plot as plot
from report_figures import (
    NONE,
    Commands,
    Figure,
    Table,
    Value,
    cache_name,
    fill,
    listing,
    policy_order,
    short,
    words,
)
from report_records import (
    UNSUPPORTED,
    Record,
    at,
    integer,
    is_counted,
    number,
    one_slice,
    state_of,
    text_of,
    values_of,
)


def counts_slice(cells: Sequence[Record]) -> list[Record]:
    counted = [c for c in cells if is_counted(c) and integer(c, "cpus") == 1]
    return one_slice(counted, ("workload", "policy", "cache"))


def main_cache(cells: Sequence[Record]) -> object:
    """The largest cache, which stands for the caches being on."""
    return max((int(str(v)) for v in values_of(cells, "cache")), default=0)


def counts_of(cells: Sequence[Record], workload: object, cache: object) -> dict[str, float]:
    """Instructions of an operation by policy, fewest first."""
    found = {text_of(c, "policy"): number(c, "instructions_per_op")
             for c in at(cells, workload=workload, cache=cache)}
    known = {policy: value for policy, value in found.items() if value is not None}
    return dict(sorted(known.items(), key=lambda item: item[1]))


def place_of(ranked: dict[str, float], policy: str) -> int:
    """1 for the fewest; what ties shares the better place."""
    return 1 + sum(value < ranked[policy] for value in ranked.values())


ORDINALS = ("", "first", "second", "third", "fourth", "fifth", "sixth", "seventh")


def place_words(ranked: dict[str, float], policy: str) -> str:
    """Such as `third of 5`."""
    place = place_of(ranked, policy)
    return f"{ORDINALS[place] if place < len(ORDINALS) else place} of {len(ranked)}"


def against_best(ranked: dict[str, float], policy: str) -> str:
    """What it takes, and how far that is from the best of the others."""
    mine = ranked[policy]
    others = {other: value for other, value in ranked.items() if other != policy}
    best, least = next(iter(others.items()))
    if mine == least:
        return f"{short(mine)}, as {best}"
    part = short(100 * abs(mine - least) / least, 2)
    return f"{short(mine)}, {part} % {'more' if mine > least else 'fewer'} than {best}"


def policy_place(cells: Sequence[Record], policy: str = "segment_tree") -> list[str]:
    """A policy's place among all, one sentence with the caches and one without."""
    sentences = []
    for cache in dict.fromkeys((main_cache(cells), 0)):
        places: dict[str, list[str]] = {}
        for workload in values_of(cells, "workload"):
            ranked = counts_of(cells, workload, cache)
            if policy in ranked and len(ranked) > 1:
                said = f"{workload} ({against_best(ranked, policy)})"
                places.setdefault(place_words(ranked, policy), []).append(said)
        if places:
            how = f"with a cache of {cache} frames" if cache else "without a cache"
            found = (f"{place} in {listing(said)}"
                     for place, said in sorted(places.items(), key=by_place))
            sentences.append(f"Instructions an operation, fewest first, {how}: {policy} is "
                             f"{'; '.join(found)}.")
    return sentences


def by_place(item: tuple[str, list[str]]) -> int:
    return ORDINALS.index(item[0].split()[0]) if item[0].split()[0] in ORDINALS else len(ORDINALS)


def counts_panel(
    workload: object, cells: list[Record], policies: list[object], x: plot.Scale
) -> plot.Panel:
    height = 82 + 24 * len(policies)
    panel = plot.Panel(str(workload), "", [], plot.Margins(left=100, right=12, top=24), height)
    script, plots, said = [], [], []
    rows = len(policies)
    min_cache = min(values_of(cells, "cache"), key=lambda v: int(str(v)))
    for index, cache in enumerate(sorted(values_of(cells, "cache"), key=lambda v: -int(str(v)))):
        colour, points = plot.series(index), []
        for row, policy in enumerate(policies):
            found = at(cells, policy=policy, cache=cache)
            value = number(found[0], "instructions_per_op") if found else None
            if value:
                points.append((value, rows - row))
                said.append(f"{policy}, {cache_name(cache)}: {short(value)}")
                row_cells = at(cells, policy=policy)
                left = any((number(c, "instructions_per_op") or 0) > value for c in row_cells)
                script.append(value_label(10 + 20 * index + row, value, rows - row, colour, left))
            elif found and index == 0:
                script.append(f"set label {60 + row} 'not supported' at graph 0.03,first "
                              f"{rows - row} left tc rgb {plot.role('muted')}")
        if points:
            script += plot.block(f"c{index}", points)
            side = "left" if cache == min_cache else "right"
            script.append(f"set label {90 + index} {plot.quote(cache_name(cache))} at first "
                          f"{points[0][0]:.9g},first {rows + 0.95:.3f} {side} tc rgb {colour}")
            plots.append(f"$c{index} using 1:2 with points pt {plot.point(index)} ps 0.85 "
                         f"lc rgb {colour}")
    panel.describes = f"Instructions an operation. {'; '.join(said)}."
    ticks = ", ".join(f"{plot.quote(str(p))} {rows - row}" for row, p in enumerate(policies))
    script += x.commands("x")
    script += [f"set yrange [0.4:{rows + 0.6}]", f"set ytics ({ticks}) textcolor rgb "
               f"{plot.role('ink')}", *plot.unit_labels(panel, "", "instructions / operation")]
    panel.script = [*script, "plot " + (", ".join(plots) or "NaN")]
    return panel


def value_label(tag: int, value: float, row: int, colour: str, left: bool) -> str:
    """Beside its mark, on the side away from the row's other one."""
    side = "right offset character -1.1,0" if left else "left offset character 1.1,0"
    return (f"set label {tag} {plot.quote(short(value))} at first {value:.9g},first {row} "
            f"{side} tc rgb {colour}")


def counts_panels(cells: list[Record]) -> list[plot.Panel]:
    values = [v for c in cells if (v := number(c, "instructions_per_op"))]
    if not values:
        return []
    low, high = min(values) / 2.2, max(values) * 2.2
    rounded = plot.log_scale([low, high])
    ticks = tuple(tick for tick in rounded.ticks if low <= tick[1] <= high)
    found = plot.Scale(low, high, True, ticks)
    policies = policy_order(cells)
    return [counts_panel(workload, at(cells, workload=workload), policies, found)
            for workload in values_of(cells, "workload")]


def counts_table(cells: list[Record]) -> Table:
    policies = policy_order(cells)
    rows = []
    for workload in values_of(cells, "workload"):
        for cache in reversed(values_of(cells, "cache")):
            row = words(workload, cache_name(cache))
            for policy in policies:
                found = at(cells, workload=workload, cache=cache, policy=policy)
                row.append(counts_value(found))
            rows.append(row)
    return Table("Instructions an operation", ["workload", "cache", *map(str, policies)], rows)


def counts_value(found: list[Record]) -> Value:
    if not found:
        return Value("–")
    if state_of(found[0]) == UNSUPPORTED:
        return Value("not supported", NONE)
    return Value(short(number(found[0], "instructions_per_op"), 4))


def counts_figure(cells: Sequence[Record], commands: Commands) -> Figure:
    chosen = counts_slice(cells)
    figure = Figure(
        "instructions", "Instructions an operation takes, by policy", "",
        "Counted on one cpu under QEMU’s -icount, where the counter of instructions is exact: the "
        "figures are the same on every host, loaded or not. A count is not a time: it knows no "
        "caches of the hardware and nothing of what an atomic costs. Allocations and frees are "
        "averaged; the loop around them is included. The scale is logarithmic and the same in "
        "all panels.",
    )
    if any(number(c, "instructions_per_op") for c in chosen):
        figure.shows = "\n".join(policy_place(chosen)) or "One policy only: there is no ranking."
        fill(figure, chosen, commands)
        figure.panels = counts_panels(chosen)
        figure.tables = [counts_table(chosen)]
    return figure


