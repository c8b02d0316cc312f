# SPDX-License-Identifier: BSD-2-Clause
"""Figures of the zones' locks: how often they are contended, how long waited for and held."""

from __future__ import annotations

from collections.abc import Sequence

import report_plot as plot
from report_figures import (
    Figure,
    Host,
    Table,
    Value,
    batch_name,
    commands,
    conditions,
    count,
    cpus_of,
    duration,
    judged,
    listing,
    short,
    words,
)
from report_records import (
    MEASURED,
    NOT_MEASURABLE,
    SETTINGS,
    Record,
    at,
    contended_share,
    integer,
    is_counted,
    key_of,
    number,
    numbers,
    one_slice,
    state_of,
    text_of,
    values_of,
)

# Where the adaptive batch stands, to the right of the fixed ones: times the greatest.
ADAPTIVE_AT = 2.6


# Contention ----------------------------------------------------------------------------------


def contention_slice(cells: Sequence[Record]) -> list[Record]:
    """Of each workload in which locks or batches were compared: its cells of lock and batch."""
    several = [c for c in cells if integer(c, "cpus") > 1 and not is_counted(c)
               and integer(c, "cache") > 0 and integer(c, "acquisitions")]
    slices = (one_slice(at(several, workload=workload), ("lock", "batch"))
              for workload in values_of(several, "workload"))
    return [c for chosen in slices if len(chosen) > 2 for c in chosen]


def batch_place(batch: object, fixed: Sequence[float]) -> float:
    """Where it stands on the axis of batches."""
    return float(str(batch)) if batch else (max(fixed) * ADAPTIVE_AT if fixed else 1.0)


def batches_of(cells: Sequence[Record]) -> list[float]:
    return [float(str(batch)) for batch in values_of(cells, "batch") if batch]


def batch_scale(cells: Sequence[Record]) -> plot.Scale:
    fixed = batches_of(cells)
    places = [*fixed, *([batch_place(0, fixed)] if 0 in values_of(cells, "batch") else [])]
    scale = plot.doubling_scale(places or [1.0])
    ticks = [(f"{batch:g}", batch) for batch in fixed]
    if len(places) > len(fixed):
        ticks.append(("adapts", places[-1]))
    return plot.Scale(scale.low, scale.high, True, tuple(ticks))


def lock_line(
    name: str, line: list[Record], index: int, fixed: list[float]
) -> tuple[list[str], str]:
    rows = [(batch_place(c.get("batch"), fixed), contended_share(c) or 0.0) for c in line]
    joined = [row for row, cell in zip(rows, line) if cell.get("batch")]
    colour = plot.series(index)
    return plot.block(f"{name}line", joined) + plot.block(f"{name}all", rows), ", ".join((
        f"${name}line using 1:2 with lines lw 1.5 lc rgb {colour}",
        f"${name}all using 1:2 with points pt {plot.point(index)} ps 0.7 lc rgb {colour}",
    ))


def contention_panel(
    title: str, cells: list[Record], locks: list[object], scales: tuple[plot.Scale, plot.Scale]
) -> plot.Panel:
    panel = plot.Panel(title, "", [], plot.Margins(right=72))
    x, y = scales
    fixed = batches_of(cells)
    script, plots, labels, said = [], [], [], []
    for index, lock in enumerate(locks):
        line = sorted(at(cells, lock=lock), key=lambda c: batch_place(c.get("batch"), fixed))
        if not line:
            continue
        data, command = lock_line(f"l{index}", line, index, fixed)
        script += data
        plots.append(command)
        end = y.part(contended_share(line[-1]) or 0.0)
        labels.append(plot.EndLabel(str(lock), end, plot.series(index)))
        said.append(f"{lock}: " + ", ".join(
            f"{short(contended_share(c))} % with {batch_name(c.get('batch'))}" for c in line))
    panel.describes = f"Contended acquisitions in percent. {'; '.join(said)}."
    script += x.commands("x") + y.commands("y")
    script += plot.unit_labels(panel, "% of acquisitions contended", "frames a batch")
    script += plot.end_labels(panel.inner_height, labels)
    panel.script = [*script, "plot " + (", ".join(plots) or "NaN")]
    return panel


def contention_panels(everything: list[Record]) -> list[plot.Panel]:
    """Of what could be measured: of the rest nothing is known that could be drawn."""
    cells = [c for c in everything if contended_share(c) is not None]
    highest = max((contended_share(c) or 0.0 for c in cells), default=0.0)
    scales = batch_scale(cells), plot.linear_scale(min(max(highest, 0.1) * 1.05, 100))
    locks = values_of(cells, "lock")
    return [contention_panel(f"{w}, {count(max(cpus_of(at(cells, workload=w))), 'cpu')}",
                             at(cells, workload=w), locks, scales)
            for w in values_of(cells, "workload")]


def contention_table(cells: list[Record]) -> Table:
    batches = sorted(values_of(cells, "batch"), key=lambda b: batch_place(b, batches_of(cells)))
    rows = []
    for workload in values_of(cells, "workload"):
        for lock in values_of(cells, "lock"):
            line = at(cells, workload=workload, lock=lock)
            found = [contention_value(at(line, batch=batch)) for batch in batches]
            rows.append(words(workload, lock) + found)
    columns = ["workload", "lock", *(batch_name(batch) for batch in batches)]
    return Table("Contended acquisitions in percent, of how many acquisitions", columns, rows)


def contention_value(found: list[Record]) -> Value:
    if not found:
        return Value("–")
    share, of = contended_share(found[0]), integer(found[0], "acquisitions")
    if share is None:
        return judged(f"– of {of:,}", found[0])
    return judged(f"{short(share)} % of {of:,}", found[0])


def contention_words(cells: list[Record]) -> str:
    """Least and greatest share, and what a larger batch does to it, of what was measured."""
    everything, cells = cells, [c for c in cells if contended_share(c) is not None]
    if not cells:
        return "No contended share could be measured on this host."
    ranked = sorted(cells, key=lambda c: contended_share(c) or 0.0)
    said = [f"{short(contended_share(c))} % ({text_of(c, 'workload')}, {text_of(c, 'lock')}, "
            f"{batch_name(c.get('batch'))})" for c in (ranked[0], ranked[-1])]
    text = f"The contended share lies between {said[0]} and {said[1]}."
    if len(cells) < len(everything):
        text = f"Of {len(cells)} of {count(len(everything), 'cell')} that could be measured: {text}"
    fixed = batches_of(cells)
    if len(fixed) > 1:
        least, most = (mean_share(at(cells, batch=b)) for b in (min(fixed), max(fixed)))
        text += (f" Over all of these locks and workloads it is {short(least)} % with batches of "
                 f"{min(fixed):g} and {short(most)} % with batches of {max(fixed):g}.")
    return text


def mean_share(cells: Sequence[Record]) -> float | None:
    """Of all acquisitions of these cells together; None where one of them has no share."""
    known = [c for c in cells if integer(c, "acquisitions")]
    if any(contended_share(c) is None for c in known):
        return None
    acquisitions = sum(integer(c, "acquisitions") for c in known)
    contended = sum(integer(c, "contended") for c in known)
    return 100 * contended / acquisitions if acquisitions else None


def contention_figure(cells: Sequence[Record], host: Host) -> Figure:
    chosen = contention_slice(cells)
    figure = Figure(
        "contention", "How often a zone’s lock is contended, by lock and batch", "",
        "An acquisition is contended when the lock was not free at the first look. Shares of few "
        "acquisitions say little. Which acquisition waits depends on which cpu runs at that moment: "
        "where the host has not given each cpu a core, its scheduler decides that, and the share is NOT "
        "MEASURABLE: nothing is drawn of it, and the table says so. ‘adapts’ is the batch that "
        "follows contention by itself. Same scale in all panels.",
    )
    if chosen:
        figure.shows = contention_words(chosen)
        figure.conditions = conditions(chosen, host)
        figure.commands = commands(chosen, host)
        figure.panels = contention_panels(chosen)
        figure.tables = [contention_table(chosen)]
    return figure


# Waits and holds -----------------------------------------------------------------------------


def timed_slice(cells: Sequence[Record]) -> list[Record]:
    """One cell a lock, where the most locks had samples; of those the best measured."""
    several = [c for c in cells if integer(c, "cpus") > 1 and not is_counted(c)
               and any(any(histogram_of(c, kind)) for kind, _ in KINDS)]
    by_place: dict[tuple[object, ...], list[Record]] = {}
    others = [name for name in SETTINGS if name != "lock"]
    for cell in several:
        by_place.setdefault(key_of(cell, others), []).append(cell)
    slices = [one_slice(group, ("lock",)) for group in by_place.values()]
    return max(slices, default=[], key=how_telling)


def how_telling(cells: list[Record]) -> tuple[int, int, int]:
    measured = sum(state_of(cell) == MEASURED for cell in cells)
    return len(cells), measured, int(sum(sum(histogram_of(cell, "wait")) for cell in cells))


def bucket_ns(cell: Record, bucket: int) -> float:
    """Where a bucket begins. The first also holds what took less than a tick."""
    tick = 1e9 / (number(cell, "tick_hz") or 1e9)
    return tick * 2.0**bucket


def histogram_of(cell: Record, kind: str) -> list[float]:
    """Samples by bucket; of waits none where their number is the host's doing."""
    if kind == "wait" and state_of(cell) != MEASURED:
        return []
    return numbers(cell, f"{kind}_histogram")


def outline(cell: Record, kind: str) -> list[tuple[float, float]]:
    """The histogram's upper edge, in percent of its samples."""
    counts = histogram_of(cell, kind)
    total = sum(counts)
    edge = []
    for bucket, samples in enumerate(counts):
        share = 100 * samples / total if total else 0.0
        edge += [(bucket_ns(cell, bucket), share), (bucket_ns(cell, bucket + 1), share)]
    return edge


TIMES = (("1 ns", 1.0), ("10 ns", 1e1), ("100 ns", 1e2), ("1 µs", 1e3), ("10 µs", 1e4),
         ("100 µs", 1e5), ("1 ms", 1e6), ("10 ms", 1e7), ("100 ms", 1e8), ("1 s", 1e9))


def times_scale(cells: list[Record]) -> plot.Scale:
    buckets = [(c, b) for c in cells for kind, _ in KINDS
               for b, samples in enumerate(histogram_of(c, kind)) if samples]
    low = min((bucket_ns(c, b) for c, b in buckets), default=100.0)
    high = max((bucket_ns(c, b + 1) for c, b in buckets), default=200.0)
    ticks = tuple((text, ns) for text, ns in TIMES if low <= ns <= high)
    if len(ticks) > 4:
        ticks = ticks[:: (len(ticks) + 3) // 4]
    return plot.Scale(low, max(high, low * 4), True, ticks)


SHARES = plot.Scale(0.01, 100, True, (("0.01 %", 0.01), ("0.1 %", 0.1), ("1 %", 1.0),
                                      ("10 %", 10.0), ("100 %", 100.0)))
KINDS = (("wait", 1), ("hold", 0))


def histogram_plots(cell: Record) -> tuple[list[str], list[str]]:
    """Of both kinds: filled and outlined where measured, dotted outlines alone where not."""
    script, plots = [], []
    good = state_of(cell) == MEASURED
    for kind, index in KINDS:
        if not any(histogram_of(cell, kind)):
            continue
        colour, name = plot.series(index), f"${kind}"
        script += plot.block(kind, outline(cell, kind))
        if good:
            plots.append(f"{name} using 1:($2>0.01?$2:0.01):(0.01) with filledcurves "
                         f"lc rgb {colour} fs transparent solid 0.16 noborder")
        style = "lw 1.6" if good else "lw 1.1 dt (1.5,3)"
        # Under the scale where there is nothing: the axis is not drawn over.
        plots.append(f"{name} using 1:($2>0.01?$2:0.005) with lines {style} lc rgb {colour}")
    return script, plots


def histogram_words(cell: Record, kind: str) -> str:
    samples, worst = integer(cell, f"{kind}_samples"), number(cell, f"{kind}_ns_max")
    if state_of(cell) != MEASURED and (kind == "wait" or not samples):
        return f"{kind}s NOT MEASURABLE"
    return f"{count(samples, kind)}, worst {duration(worst)}" if samples else f"no {kind}s"


def histogram_panel(cell: Record, x: plot.Scale) -> plot.Panel:
    lock = text_of(cell, "lock")
    good = state_of(cell) == MEASURED
    title = f"{lock}" + ("" if good else ": NOT MEASURABLE")
    panel = plot.Panel(title, "", [], plot.Margins(left=52, right=16, top=40), plot.HEIGHT + 14)
    script, plots = histogram_plots(cell)
    for tag, (kind, index) in enumerate(KINDS):
        script.append(f"set label {20 + tag} {plot.quote(histogram_words(cell, kind))} at graph 1,"
                      f"screen {1 - (11 + 14 * tag) / panel.height:.4f} right "
                      f"tc rgb {plot.series(index)}")
    script += x.commands("x") + SHARES.commands("y")
    script += plot.unit_labels(panel, "share of the samples", "time, in powers of two")
    panel.script = [*script, "plot " + (", ".join(plots) or "NaN")]
    panel.describes = (f"Log-log histograms of waiting and holding: "
                       f"{'; '.join(histogram_words(cell, kind) for kind, _ in KINDS)}.")
    return panel


def quantile(cell: Record, kind: str, part: float) -> float | None:
    """The end of the bucket below which that part of the samples lies, in ns."""
    counts = histogram_of(cell, kind)
    wanted, seen = part * sum(counts), 0.0
    for bucket, samples in enumerate(counts):
        seen += samples
        if samples and seen >= wanted:
            return bucket_ns(cell, bucket + 1)
    return None


def histogram_table(cells: list[Record]) -> Table:
    rows = []
    for cell in cells:
        for kind, _ in KINDS:
            if kind == "wait" and state_of(cell) != MEASURED:
                rows.append([*words(text_of(cell, "lock"), kind),
                             *(Value("–", NOT_MEASURABLE) for _ in range(5))])
                continue
            samples, total = number(cell, f"{kind}_samples"), number(cell, f"{kind}_ns")
            mean = total / samples if samples and total is not None else None
            figures = [mean, quantile(cell, kind, 0.5), quantile(cell, kind, 0.99),
                       number(cell, f"{kind}_ns_max")]
            rows.append([*words(text_of(cell, "lock"), kind, f"{int(samples or 0):,}"),
                         *(judged(duration(figure), cell) for figure in figures)])
    columns = ["lock", "what", "samples", "mean", "half are under", "99 % are under", "worst"]
    return Table("Waits and holds", columns, rows)


def histogram_shows(cells: list[Record]) -> str:
    good = [c for c in cells if state_of(c) == MEASURED]
    if not good:
        return ("None of these times is measurable on this host; the outlines of holds show what "
                "the clock said, which includes the time slices of the host’s scheduler.")
    held = max(good, key=lambda c: number(c, "hold_ns_max") or 0)
    said = [f"the longest hold was {duration(number(held, 'hold_ns_max'))} ({held.get('lock')})"]
    waited = [c for c in good if integer(c, "wait_samples")]
    if waited:
        worst = max(waited, key=lambda c: number(c, "wait_ns_max") or 0)
        said.append(f"the longest wait {duration(number(worst, 'wait_ns_max'))} "
                    f"({worst.get('lock')})")
    return f"Over {count(len(good), 'lock')} whose times are measurable, {listing(said)}."


def histogram_figure(cells: Sequence[Record], host: Host) -> Figure:
    chosen = timed_slice(cells)
    figure = Figure(
        "times", "How long a zone’s lock is waited for and held", "",
        "Each time falls into a bucket between two powers of two of the clock’s ticks; the first "
        "bucket also holds what took less than one. With lockstat=all every acquisition reads the "
        "clock, with lockstat=contended only those that had to wait. Both scales are "
        "logarithmic, so that rare long waits can be seen. Dotted outlines without filling are NOT "
        "MEASURABLE on this host; of waits, whose number is the host’s doing there, nothing is "
        "drawn.",
    )
    if chosen:
        x = times_scale(chosen)
        most = max(cpus_of(chosen))
        figure.shows = histogram_shows(chosen)
        figure.conditions = conditions(at(chosen, cpus=most), host)
        figure.commands = commands(chosen, host)
        figure.panels = [histogram_panel(cell, x) for cell in chosen]
        figure.tables = [histogram_table(chosen)]
    return figure
