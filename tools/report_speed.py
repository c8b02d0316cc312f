# SPDX-License-Identifier: BSD-2-Clause
"""Figures of what an operation costs: throughput as cpus are added, and instructions."""

from __future__ import annotations

from collections.abc import Sequence

import report_plot as plot
from report_figures import (
    HOLLOW_MEANS,
    Figure,
    Host,
    Table,
    Value,
    cache_name,
    commands,
    conditions,
    count,
    cpus_of,
    duration,
    judged,
    listing,
    policy_order,
    short,
    words,
)
from report_records import (
    MEASURED,
    NOT_MEASURABLE,
    UNSUPPORTED,
    Record,
    at,
    integer,
    is_counted,
    number,
    one_slice,
    state_of,
    text_of,
    throughput,
    values_of,
)

MEGA = 1e6


# Throughput ----------------------------------------------------------------------------------


def scaling_slice(cells: Sequence[Record]) -> list[Record]:
    timed = [cell for cell in cells if not is_counted(cell)]
    chosen = one_slice(timed, ("workload", "policy", "cache", "cpus"))
    return chosen if len(cpus_of(chosen)) > 1 else []


def series_lines(name: str, cells: list[Record], colour: str, mark: int) -> tuple[list[str], str]:
    """One policy's data, and how to plot it; its line is solid where both ends are measured."""
    rows = [(integer(c, "cpus"), (throughput(c) or 0) / MEGA,
             (throughput(c, "ns_per_op_max") or throughput(c) or 0) / MEGA,
             (throughput(c, "ns_per_op_min") or throughput(c) or 0) / MEGA) for c in cells]
    good = [state_of(cell) == MEASURED for cell in cells]
    solid = [row if ok else (float("nan"),) * 4 for row, ok in zip(rows, good)]
    data = plot.block(f"{name}all", rows) + plot.block(f"{name}good", solid)
    data += plot.block(f"{name}bad", [row for row, ok in zip(rows, good) if not ok])
    hollow, filled = plot.point(mark, hollow=True), plot.point(mark)
    paper = plot.role("paper")
    return data, ", ".join((
        f"${name}all using 1:3:(0):($4-$3) with vectors nohead lw 0.75 lc rgb {colour}",
        f"${name}all using 1:2 with lines dt (1,4) lw 0.9 lc rgb {colour}",
        f"${name}good using 1:2 with lines lw 1.8 lc rgb {colour}",
        f"${name}bad using 1:2 with points pt {filled} ps 0.75 lc rgb {paper}",
        f"${name}bad using 1:2 with points pt {hollow} ps 0.7 lc rgb {colour}",
        f"${name}good using 1:2 with points pt {filled} ps 0.7 lc rgb {colour}",
    ))


def scaling_panel(
    title: str, cells: list[Record], policies: list[object], scales: tuple[plot.Scale, plot.Scale]
) -> plot.Panel:
    panel = plot.Panel(title, "")
    x, y = scales
    script, plots, labels, said = [], [], [], []
    for index, policy in enumerate(policies):
        line = sorted(at(cells, policy=policy), key=lambda c: integer(c, "cpus"))
        line = [cell for cell in line if throughput(cell)]
        if not line:
            continue
        colour = plot.series(index)
        data, command = series_lines(f"p{index}", line, colour, index)
        script += data
        plots.append(command)
        last = (throughput(line[-1]) or 0) / MEGA
        labels.append(plot.EndLabel(str(policy), y.part(last), colour))
        said.append(f"{policy}: " + ", ".join(
            f"{short((throughput(c) or 0) / MEGA)} at {count(integer(c, 'cpus'), 'cpu')}"
            + (" (not measurable)" if state_of(c) == NOT_MEASURABLE else "") for c in line))
    panel.describes = f"Million operations per second. {'; '.join(said)}."
    script += x.commands("x") + y.commands("y")
    script += plot.unit_labels(panel, "million operations / s", "cpus")
    script += plot.end_labels(panel.inner_height, labels)
    panel.script = [*script, "plot " + (", ".join(plots) or "NaN")]
    return panel


def scaling_panels(cells: list[Record]) -> list[plot.Panel]:
    rates = [rate / MEGA for cell in cells if (rate := throughput(cell))]
    if not rates:
        return []
    scales = plot.doubling_scale(cpus_of(cells)), plot.log_scale(rates)
    policies = policy_order(cells)
    panels = []
    for cache in reversed(values_of(cells, "cache")):
        for workload in values_of(cells, "workload"):
            chosen = at(cells, workload=workload, cache=cache)
            if any(map(throughput, chosen)):
                title = f"{workload}, {cache_name(cache)}"
                panels.append(scaling_panel(title, chosen, policies, scales))
    return panels


def scaling_table(cells: list[Record]) -> Table:
    cpus = cpus_of(cells)
    rows = []
    for workload in values_of(cells, "workload"):
        for cache in reversed(values_of(cells, "cache")):
            for policy in policy_order(cells):
                line = at(cells, workload=workload, cache=cache, policy=policy)
                if line:
                    found = [scaling_value(at(line, cpus=n)) for n in cpus]
                    rows.append(words(workload, cache_name(cache), policy) + found)
    columns = ["workload", "cache", "policy", *(count(n, "cpu") for n in cpus)]
    return Table("Million operations per second, and nanoseconds an operation", columns, rows)


def scaling_value(found: list[Record]) -> Value:
    if not found:
        return Value("–")
    rate = throughput(found[0])
    text = "–" if rate is None else \
        f"{short(rate / MEGA)} · {duration(number(found[0], 'ns_per_op'))}"
    return judged(text, found[0])


def speedups(cells: list[Record]) -> str:
    """How far throughput grew, of what was measured."""
    said = []
    for cache in reversed(values_of(cells, "cache")):
        ratios: list[tuple[float, int]] = []
        for cell in at(cells, cache=cache):
            same = {k: cell.get(k) for k in ("workload", "policy", "cache")}
            base = [c for c in at(cells, **same) if integer(c, "cpus") == 1]
            both = base and state_of(cell) == MEASURED == state_of(base[0])
            if integer(cell, "cpus") > 1 and both:
                ratio = (throughput(cell) or 0) / (throughput(base[0]) or 1)
                ratios.append((ratio, integer(cell, "cpus")))
        most = max((cpus for _, cpus in ratios), default=0)
        found = [ratio for ratio, cpus in ratios if cpus == most]
        if found:
            low, high = short(min(found)), short(max(found))
            span = low if low == high else f"{low} to {high}"
            how = f"with a cache of {cache} frames" if cache else "without a cache"
            said.append(f"{how} {count(most, 'cpu')} do {span} times what one does, over "
                        f"{count(len(found), 'pair')} of cells")
    if not said:
        return "No throughput of more than one cpu could be measured on this host."
    return f"Of what could be measured: {'; '.join(said)}."


def scaling_figure(cells: Sequence[Record], host: Host) -> Figure:
    chosen = scaling_slice(cells)
    figure = Figure(
        "scaling", "Throughput as cpus are added", "",
        "Operations are allocations and frees, counted over all cpus. Each round runs from the "
        "first cpu's start to the last one's end; the mark is the median round, the thin vertical "
        "line spans the rounds. Both scales are logarithmic and the same in all panels, so lines "
        "that rise alike scale alike. " + HOLLOW_MEANS,
    )
    if chosen:
        figure.shows = speedups(chosen)
        figure.conditions = conditions(chosen, host)
        figure.commands = commands(chosen, host)
        figure.panels = scaling_panels(chosen)
        figure.tables = [scaling_table(chosen)]
    return figure


# Instructions --------------------------------------------------------------------------------


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
        return Value("not supported", UNSUPPORTED)
    return Value(short(number(found[0], "instructions_per_op"), 4))


def counts_figure(cells: Sequence[Record], host: Host) -> Figure:
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
        figure.conditions = conditions(chosen, host)
        figure.commands = commands(chosen, host)
        figure.panels = counts_panels(chosen)
        figure.tables = [counts_table(chosen)]
    return figure


