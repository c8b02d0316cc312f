# SPDX-License-Identifier: BSD-2-Clause
"""Figures of the time of an operation: work, hold and wait by lock; and how long single ones last."""

from __future__ import annotations

from collections.abc import Sequence

import report_plot as plot
from report_figures import (
    Commands,
    Figure,
    Swatch,
    Table,
    cache_name,
    count,
    cpus_of,
    fill,
    instructions,
    marked,
    short,
    words,
)
from report_records import (
    Record,
    at,
    cost_of,
    integer,
    number,
    numbers,
    one_slice,
    parts_of,
    text_of,
    values_of,
)
from report_speed import place_name, places_of, scaling_slice, virtual_cells

# The parts of a bar from its left end, and their colours.
PARTS = (("work", 7), ("hold", 0), ("wait", 1))
LEGEND = [Swatch(f"b{plot.SERIES_FIRST + colour}", text) for (_, colour), text in
          zip(PARTS, ("work", "holds a lock", "waits for a lock"))]
ROW = 17

# Of the numbers of harts, the largest: with fewer there is less to see.
PANELS_A_PLACE = 3


# Where the time goes ---------------------------------------------------------------------------


def timed_slice(cells: Sequence[Record]) -> list[Record]:
    """Of the cells that are drawn over harts, those that time every hold."""
    found = [*scaling_slice(cells), *scaling_slice(cells, heap=True)]
    return [cell for cell in found if parts_of(cell)]


def bar_rows(cells: Sequence[Record], locks: Sequence[object]) -> list[list[tuple[float, ...]]]:
    """Of each part: middle, row, and the box around them; the first lock has the highest row."""
    rows: list[list[tuple[float, ...]]] = [[] for _ in PARTS]
    for place, lock in enumerate(locks):
        y, left = len(locks) - place, 0.0
        for cell in at(cells, lock=lock):
            for part, width in enumerate(parts_of(cell) or ()):
                rows[part].append((left + width / 2, y, left, left + width, y - 0.36, y + 0.36))
                left += width
    return rows


def bars_panel(
    title: str, cells: Sequence[Record], locks: Sequence[object], x: plot.Scale
) -> plot.Panel:
    margins = plot.Margins(left=88, right=50, top=8)
    panel = plot.Panel(title, "", [], margins, margins.top + margins.bottom + ROW * len(locks))
    script, plots = [], []
    for (name, colour), rows in zip(PARTS, bar_rows(cells, locks)):
        script += plot.block(name, rows)
        plots.append(f"${name} using 1:2:3:4:5:6 with boxxyerror lc rgb {plot.series(colour)}")
    for place, lock in enumerate(locks):
        for cell in at(cells, lock=lock):
            script.append(f"set label {10 + place} {plot.quote(short(cost_of(cell)))} at first "
                          f"{sum(parts_of(cell) or ()):.9g},first {len(locks) - place} left offset "
                          f"character 0.5,0 tc rgb {plot.role('ink')}")
    ticks = ", ".join(f"{plot.quote(str(lock))} {len(locks) - n}" for n, lock in enumerate(locks))
    script += [*x.commands("x"), f"set yrange [0.4:{len(locks) + 0.6}]", "set grid noytics xtics",
               f"set ytics ({ticks}) textcolor rgb {plot.role('ink')}",
               *plot.unit_labels(panel, "", "instructions / operation")]
    panel.script = [*script, "plot " + ", ".join(plots)]
    panel.describes = "Work, hold and wait in instructions an operation. " + "; ".join(
        f"{text_of(cell, 'lock')}: {', '.join(short(part) for part in parts_of(cell) or ())}"
        for cell in cells) + "."
    return panel


def bars_panels(cells: Sequence[Record]) -> list[plot.Panel]:
    """One scale for all numbers of harts of a workload and cache, so that bars can be compared."""
    panels, locks = [], values_of(cells, "lock")
    for workload, cache in places_of(cells):
        place = at(cells, workload=workload, cache=cache)
        x = plot.linear_scale(max(cost_of(cell) or 0 for cell in place), parts=3)
        for harts in cpus_of(place)[-PANELS_A_PLACE:]:
            title = f"{place_name(workload, cache)}, {count(harts, 'hart')}"
            panels.append(bars_panel(title, at(place, cpus=harts), locks, x))
    return panels


def time_table(cells: Sequence[Record]) -> Table:
    rows = [[*words(text_of(c, "workload"), cache_name(c.get("cache")), text_of(c, "lock"),
                    integer(c, "cpus")),
             marked(short(cost_of(c)), c), *words(*map(short, parts_of(c) or ()))]
            for c in cells]
    columns = ["workload", "cache", "lock", "harts", "all", *(name for name, _ in PARTS)]
    return Table("Instructions of one hart for an operation", columns, rows)


def part_range(cells: Sequence[Record], part: int) -> str:
    """The least and the greatest part of the time, in percent."""
    shares = sorted(100 * found[part] / (cost_of(c) or 1) for c in cells if (found := parts_of(c)))
    low, high = short(shares[0], 2), short(shares[-1], 2)
    return f"{low} %" if low == high else f"{low} to {high} %"


def time_words(cells: Sequence[Record]) -> str:
    said = []
    for workload, cache in places_of(cells):
        place = at(cells, workload=workload, cache=cache)
        most = max(cpus_of(place))
        chosen = at(place, cpus=most)
        said.append(f"{place_name(workload, cache)}, {count(most, 'hart')}, by lock: {part_range(chosen, 2)} "
                    f"of the time is waiting, {part_range(chosen, 1)} holding.")
    return "\n".join(said)


def time_figure(cells: Sequence[Record], commands: Commands) -> Figure:
    chosen = timed_slice(cells)
    figure = Figure(
        "time", "Where the time goes, by lock and harts", "",
        "The length of a bar is the time of an operation in runs without statistics of locks. Waits "
        "and holds are of one more run, in which every acquisition reads the clock; the rest is "
        "work. The statistics take some hundreds of instructions after a wait, and waits are shorter "
        "by about as many: so much of the work may be waiting. Bars of one workload and cache have "
        "the same scale.",
        legend=LEGEND,
    )
    if chosen:
        figure.shows = time_words(chosen)
        fill(figure, chosen, commands)
        figure.panels = bars_panels(chosen)
        figure.tables = [time_table(chosen)]
    return figure


# Waits and holds -------------------------------------------------------------------------------

KINDS = (("wait", 1), ("hold", 0))
SHARES = plot.Scale(0.01, 100, True, (("0.01 %", 0.01), ("0.1 %", 0.1), ("1 %", 1.0),
                                      ("10 %", 10.0), ("100 %", 100.0)))


def histogram_slice(cells: Sequence[Record]) -> list[Record]:
    """One cell a lock, of the place with the most waits."""
    several = [c for c in virtual_cells(cells) if any(numbers(c, "wait_histogram"))]
    groups = [one_slice(at(several, workload=workload, cache=cache, cpus=cpus), ("lock",))
              for workload, cache in places_of(several) for cpus in cpus_of(several)]
    return max(groups, default=[], key=lambda group: (
        len(group), sum(number(c, "wait_samples") or 0 for c in group)))


def bucket_at(cell: Record, bucket: int) -> float:
    """Where a bucket begins, in instructions. The first also holds what took less than a tick."""
    return 1e9 / (number(cell, "tick_hz") or 1e9) * 2.0**bucket


def outline(cell: Record, kind: str) -> list[tuple[float, float]]:
    """The histogram's upper edge, in percent of its samples."""
    counts = numbers(cell, f"{kind}_histogram")
    total = sum(counts)
    edge = []
    for bucket, samples in enumerate(counts):
        share = 100 * samples / total if total else 0.0
        edge += [(bucket_at(cell, bucket), share), (bucket_at(cell, bucket + 1), share)]
    return edge


def times_scale(cells: Sequence[Record]) -> plot.Scale:
    edges = [(bucket_at(c, b), bucket_at(c, b + 1)) for c in cells for kind, _ in KINDS
             for b, samples in enumerate(numbers(c, f"{kind}_histogram")) if samples]
    low, high = min(edges)[0], max(edges)[1]
    found = plot.log_scale([low, high], (1,))
    return plot.Scale(low, high, True, tuple(t for t in found.ticks if low <= t[1] <= high))


def histogram_words(cell: Record, kind: str) -> str:
    samples = integer(cell, f"{kind}_samples")
    if not samples:
        return f"no {kind}s"
    return f"{count(samples, kind)}, worst {short(number(cell, f'{kind}_ns_max'))}"


def histogram_panel(cell: Record, x: plot.Scale) -> plot.Panel:
    panel = plot.Panel(text_of(cell, "lock"), "", [], plot.Margins(left=52, right=16, top=40),
                       plot.HEIGHT + 14)
    script, plots = [], []
    for tag, (kind, index) in enumerate(KINDS):
        colour, words_of = plot.series(index), histogram_words(cell, kind)
        script += plot.block(kind, outline(cell, kind))
        # Under the scale where there is nothing: the axis is not drawn over.
        plots += [f"${kind} using 1:($2>0.01?$2:0.01):(0.01) with filledcurves lc rgb {colour} "
                  "fs transparent solid 0.16 noborder",
                  f"${kind} using 1:($2>0.01?$2:0.005) with lines lw 1.6 lc rgb {colour}"]
        script.append(f"set label {20 + tag} {plot.quote(words_of)} at graph 1,"
                      f"screen {1 - (11 + 14 * tag) / panel.height:.4f} right tc rgb {colour}")
    script += x.commands("x") + SHARES.commands("y")
    script += plot.unit_labels(panel, "share of them", "instructions, in powers of two")
    panel.script = [*script, "plot " + ", ".join(plots)]
    panel.describes = (f"Log-log histograms of waiting and holding: "
                       f"{'; '.join(histogram_words(cell, kind) for kind, _ in KINDS)}.")
    return panel


def quantile(cell: Record, kind: str, part: float) -> float | None:
    """The end of the bucket below which that part of the samples lies, in instructions."""
    counts = numbers(cell, f"{kind}_histogram")
    wanted, seen = part * sum(counts), 0.0
    for bucket, samples in enumerate(counts):
        seen += samples
        if samples and seen >= wanted:
            return bucket_at(cell, bucket + 1)
    return None


def histogram_table(cells: Sequence[Record]) -> Table:
    rows = []
    for cell in cells:
        for kind, _ in KINDS:
            samples, total = number(cell, f"{kind}_samples"), number(cell, f"{kind}_ns")
            mean = total / samples if samples and total is not None else None
            figures = (mean, quantile(cell, kind, 0.5), quantile(cell, kind, 0.99),
                       number(cell, f"{kind}_ns_max"))
            rows.append(words(text_of(cell, "lock"), kind, f"{int(samples or 0):,}",
                              *map(short, figures)))
    columns = ["lock", "what", "samples", "mean", "half are under", "99 % are under", "worst"]
    return Table("Waits and holds, in instructions", columns, rows)


def histogram_shows(cells: Sequence[Record]) -> str:
    ranked = sorted(cells, key=lambda c: number(c, "wait_ns_max") or 0)
    least, most = (f"{instructions(number(c, 'wait_ns_max'))} ({text_of(c, 'lock')})"
                   for c in (ranked[0], ranked[-1]))
    place = place_name(ranked[0].get("workload"), ranked[0].get("cache"))
    harts = count(integer(ranked[0], "cpus"), "hart")
    return f"{place}, {harts}: the longest wait is {least} to {most}."


def histogram_figure(cells: Sequence[Record], commands: Commands) -> Figure:
    chosen = histogram_slice(cells)
    figure = Figure(
        "times", "How long single waits and holds last", "",
        "Of the workload and cache with the most waits. Each time falls into a bucket between two "
        "powers of two of the clock’s ticks, which are instructions of any hart. Both scales are "
        "logarithmic, so that rare long waits can be seen.",
    )
    if chosen:
        x = times_scale(chosen)
        figure.shows = histogram_shows(chosen)
        fill(figure, chosen, commands)
        figure.panels = [histogram_panel(cell, x) for cell in chosen]
        figure.tables = [histogram_table(chosen)]
    return figure
