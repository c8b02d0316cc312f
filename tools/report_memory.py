# SPDX-License-Identifier: BSD-2-Clause
"""Figures of where the frames are: how whole the free memory is, and where the rest is."""

from __future__ import annotations

from collections.abc import Sequence

import report_plot as plot
from report_figures import (
    Commands,
    Figure,
    Swatch,
    Table,
    Value,
    cache_name,
    count,
    fill,
    instructions,
    short,
    words,
)
from report_records import (
    BYTES_A_FRAME,
    SETTINGS,
    Record,
    Samples,
    integer,
    is_counted,
    key_of,
    number,
    text_of,
    whole_share,
)

PANELS_MAX = 12
PHASES_MAX = 4
MIB_A_FRAME = BYTES_A_FRAME / (1 << 20)


def differing(found: Sequence[Samples]) -> list[str]:
    """The settings that tell these cells apart."""
    return [name for name in SETTINGS if len({s.settings.get(name) for s in found}) > 1]


def title_of(samples: Samples, names: Sequence[str]) -> str:
    """The settings that tell it apart, the policy always among them."""
    said = []
    for name in ("policy", *(name for name in names if name != "policy")):
        value = samples.settings.get(name)
        if name == "cache":
            said.append(cache_name(value))
        elif name in ("policy", "workload"):
            said.append(str(value))
        else:
            said.append(f"{name} {value}")
    return ", ".join(said)


def ordered(found: Sequence[Samples]) -> list[Samples]:
    """Cells that differ in their policy alone stand together, segment_tree first."""
    others = [name for name in SETTINGS if name != "policy"]
    places = list(dict.fromkeys(key_of(s.settings, others) for s in found))
    return sorted(found, key=lambda s: (places.index(key_of(s.settings, others)),
                                        s.settings.get("policy") != "segment_tree",
                                        text_of(s.settings, "policy")))


def phases(records: Sequence[Record]) -> list[tuple[str, int]]:
    """Each phase and the index of its first sample."""
    found: list[tuple[str, int]] = []
    for index, record in enumerate(records):
        phase = text_of(record, "phase")
        if phase and (not found or found[-1][0] != phase):
            found.append((phase, index))
    return found


# The map -------------------------------------------------------------------------------------


def level_of(free: float, size: float) -> int:
    """0: all of the chunk is free; the last: none; between them, in equal steps."""
    if free >= size:
        return 0
    if free <= 0:
        return plot.LEVELS - 1
    return 1 + int((1 - free / size) * (plot.LEVELS - 2))


def map_cells(samples: Samples) -> tuple[str, int, int]:
    """One path for each level, of rectangles one sample high; and the columns and rows."""
    paths: dict[int, list[str]] = {}
    rows = [samples.map_row(index) for index in range(len(samples.maps))]
    for y, row in enumerate(rows):
        start = 0
        for x in range(1, len(row) + 1):
            level = level_of(*row[start])
            if x == len(row) or level_of(*row[x]) != level:
                paths.setdefault(level, []).append(f"M{start} {y}h{x - start}v1h-{x - start}z")
                start = x
    drawn = "".join(f'<path class="f{plot.LEVELS_FIRST + level}" d="{"".join(parts)}"/>'
                    for level, parts in sorted(paths.items()))
    return drawn, max(map(len, rows), default=1) or 1, len(rows)


def index_ticks(count_of: int, most: int = 5) -> list[int]:
    """Some of the numbers from 0, a round number apart."""
    step = next(s for s in (1, 2, 4, 8, 10, 12, 16, 20, 50, 100, 200, 500, count_of + 1)
                if count_of <= s * most)
    return list(range(0, count_of, step))


def map_panel(samples: Samples, names: Sequence[str]) -> plot.Panel:
    drawn, columns, rows = map_cells(samples)
    panel = plot.Panel(title_of(samples, names), "", [], plot.Margins(40, 10, 26, 46), 258,
                       drawn, (columns, rows))
    first = [records[0] for records in samples.maps]
    frames = integer(first[0], "chunk_frames")
    chunks, samples_at = (", ".join(f"'{i}' {i + 0.5}" for i in index_ticks(length))
                          for length in (columns, rows))
    panel.script = [
        f"set xrange [0:{columns}]", f"set yrange [{rows}:0]", "unset grid",
        f"set xtics ({chunks})", f"set ytics ({samples_at})",
        *plot.unit_labels(panel, "sample, time runs down", f"chunk of {frames:,} frames"),
        "plot NaN",
    ]
    wholes = [whole_share(samples.map_row(i)) for i in (0, len(samples.maps) - 1)]
    panel.describes = (f"{count(columns, 'chunk')} over {count(rows, 'sample')}. Of the free "
                       f"frames, {short(wholes[0])} % lay in chunks free as a whole at the first sample "
                       f"and {short(wholes[1])} % at the last.")
    return panel


def map_table(found: Sequence[Samples], names: Sequence[str]) -> Table:
    rows = []
    for samples in found:
        chunk_rows = [samples.map_row(i) for i in range(len(samples.maps))]
        shares = [whole_share(row) for row in chunk_rows]
        known = [share for share in shares if share is not None]
        last = chunk_rows[-1]
        whole = sum(free >= size for free, size in last)
        some = sum(0 < free < size for free, size in last)
        rows.append(words(title_of(samples, names), len(chunk_rows), percent(shares[0]),
                          percent(min(known, default=None)), percent(shares[-1]),
                          f"{whole} / {some} / {len(last) - whole - some}"))
    columns = ["cell", "samples", "whole at first", "least whole", "whole at last",
               "chunks at last: whole / part / none free"]
    return Table("Free frames that lie in chunks free as a whole", columns, rows)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1f} %"


def map_words(found: Sequence[Samples], names: Sequence[str]) -> str:
    """How whole the free memory was, by cell, over all of its samples together."""
    shares: dict[str, list[tuple[float, str]]] = {}
    others = [name for name in names if name != "policy"]
    for samples in found:
        rows = [chunk for i in range(len(samples.maps)) for chunk in samples.map_row(i)]
        share = whole_share(rows)
        if share is not None:
            place = title_of(samples, others).partition(", ")[2]
            shares.setdefault(place, []).append((share, text_of(samples.settings, "policy")))
    said = []
    for place, ranked in shares.items():
        policies = ", ".join(f"{policy} {share:.0f} %" for share, policy in sorted(ranked)[::-1])
        said.append(f"{place}: {policies}" if place else policies)
    return ("Of the free frames, this part lay in chunks free as a whole, where an aligned run of "
            f"a chunk can still be had, over all samples: {'; '.join(said)}.") if said else ""


LEGEND = [
    Swatch(f"b{plot.LEVELS_FIRST}", "all of the chunk is free"),
    *(Swatch(f"b{plot.LEVELS_FIRST + level}", "") for level in range(1, plot.LEVELS - 2)),
    Swatch(f"b{plot.LEVELS_FIRST + plot.LEVELS - 2}", "partly free, lighter with more"),
    Swatch(f"b{plot.LEVELS_FIRST + plot.LEVELS - 1}", "none of it is free"),
]


ALIKE = "All policies get the very same requests, of one cpu under QEMU’s -icount: the picture " \
    "is the same on every host."


def map_figure(found: Sequence[Samples], commands: Commands) -> Figure:
    everything = [samples for samples in found if samples.maps]
    alike = [samples for samples in everything if is_counted(samples.settings)]
    all_mapped = ordered(alike or everything)
    mapped = all_mapped[:PANELS_MAX]
    figure = Figure(
        "map", "Where the free frames lie, chunk by chunk", "",
        "One cell is one chunk at one sample. Frames in a cpu’s cache count as free, for no owner "
        "has them. Little fragmentation is few cells of the colours between the lightest and the "
        "darkest. " + (ALIKE if alike else "") + left_out(all_mapped),
        legend=LEGEND,
    )
    if mapped:
        names = differing(mapped)
        figure.shows = map_words(mapped, names)
        fill(figure, [samples.settings for samples in mapped], commands)
        figure.panels = [map_panel(samples, names) for samples in mapped]
        figure.tables = [map_table(mapped, names)]
    return figure


def left_out(found: Sequence[Samples]) -> str:
    more = len(found) - PANELS_MAX
    return f" {count(more, 'more cell')}: see map.csv and level.csv." if more > 0 else ""


# Levels --------------------------------------------------------------------------------------

# From the bottom of the stack: the field, the band's name, its colour, and that of its name.
BANDS = (
    ("allocated", "allocated", plot.series(0), plot.series(0)),
    ("in_flight", "in flight", plot.series(3), plot.series(3)),
    ("cached", "cached", plot.series(1), plot.series(1)),
    ("free", "free", plot.level(0), plot.role("muted")),
)


def band_edges(levels: Sequence[Record]) -> list[list[float]]:
    """Of each sample, the upper edges of the bands, in MiB."""
    edges = []
    for level in levels:
        total, row = 0.0, []
        for name, *_ in BANDS:
            total += (number(level, name) or 0.0) * MIB_A_FRAME
            row.append(total)
        edges.append(row)
    return edges


def phase_marks(levels: Sequence[Record]) -> list[str]:
    """Where each phase begins, unless there are too many to distinguish."""
    script, found = [], phases(levels)
    for tag, (phase, index) in enumerate(found if len(found) <= PHASES_MAX else ()):
        script += [
            f"set arrow {40 + tag} from first {index},graph 0 to first {index},"
            f"graph 1.09 nohead lw 0.6 lc rgb {plot.role('muted')} front",
            f"set label {40 + tag} {plot.quote(phase)} at first {index},graph 1.06 left "
            f"offset character 0.4,0 tc rgb {plot.role('muted')} front",
        ]
    return script


def level_panel(samples: Samples, names: Sequence[str], y: plot.Scale) -> plot.Panel:
    margins = plot.Margins(right=76, top=42)
    panel = plot.Panel(title_of(samples, names), "", [], margins, plot.HEIGHT + 16)
    edges, last = band_edges(samples.levels), len(samples.levels) - 1
    x = plot.Scale(0, max(last, 1), False, tuple((str(i), i) for i in index_ticks(last + 1)))
    script = plot.block("bands", [[i, 0, *row] for i, row in enumerate(edges)])
    plots, labels = [], []
    for band, (name, text, colour, label) in enumerate(BANDS):
        if not any(number(level, name) for level in samples.levels):
            continue
        plots.append(f"$bands using 1:{band + 2}:{band + 3} with filledcurves lc rgb {colour}")
        below = edges[-1][band - 1] if band else 0.0
        labels.append(plot.EndLabel(text, y.part((below + edges[-1][band]) / 2), label))
    script += x.commands("x") + y.commands("y")
    script += plot.unit_labels(panel, "MiB", "sample, evenly over the operations")
    script += plot.end_labels(panel.inner_height, labels) + phase_marks(samples.levels)
    panel.script = [*script, "plot " + (", ".join(plots) or "NaN")]
    panel.describes = level_words(samples)
    return panel


def level_words(samples: Samples) -> str:
    last = samples.levels[-1]
    said = [f"{(number(last, name) or 0.0) * MIB_A_FRAME:,.1f} MiB {text}"
            for name, text, *_ in BANDS]
    return f"{count(len(samples.levels), 'sample')}; at the last {', '.join(said)}."


def level_table(found: Sequence[Samples], names: Sequence[str]) -> Table:
    rows = []
    for samples in found:
        picked = {index: phase for phase, index in phases(samples.levels)}
        picked.setdefault(len(samples.levels) - 1, text_of(samples.levels[-1], "phase"))
        for index in sorted(picked):
            rows.append(level_row(samples, index, picked[index], names))
    columns = ["cell", "sample", "phase", "time", "allocated", "in flight", "cached", "free",
               "reserved", "total", "exact"]
    return Table("Frames at the first sample of each phase, and at the last", columns, rows)


def level_row(samples: Samples, index: int, phase: str, names: Sequence[str]) -> list[Value]:
    level = samples.levels[index]
    since = (number(level, "ns") or 0.0) - (number(samples.levels[0], "ns") or 0.0)
    fields = ("allocated", "in_flight", "cached", "free", "reserved", "total")
    counts = ["–" if number(level, name) is None else f"{integer(level, name):,}"
              for name in fields]
    return words(title_of(samples, names), integer(level, "sample"), phase or "–",
                 instructions(since), *counts, "yes" if level.get("exact") is True else "no")


def level_shows(found: Sequence[Samples]) -> str:
    """The most frames that caches and moving batches had, of all frames."""
    most, total, where = 0, 1, None
    for samples in found:
        for level in samples.levels:
            away = integer(level, "cached") + integer(level, "in_flight")
            if away > most:
                most, total, where = away, integer(level, "total") or 1, samples
    exact = [level.get("exact") is True for samples in found for level in samples.levels]
    said = f"{sum(exact)} of {len(exact)} samples are exact."
    if where is None:
        return f"No sample found a frame in a cache. {said}"
    return (f"Caches and moving batches never had more than {most:,} frames, "
            f"{short(100 * most / total)} % of {total:,}. {said}")


def level_figure(found: Sequence[Samples], commands: Commands) -> Figure:
    sampled = [samples for samples in found if samples.levels]
    at_once = [samples for samples in sampled if not is_counted(samples.settings)]
    everything = ordered(at_once or sampled)
    shown = everything[:PANELS_MAX]
    figure = Figure(
        "levels", "Who has the frames: allocated, cached, free", "",
        "One cpu looks between two of its operations, as often in each panel and evenly over the "
        "operations, while all others work. Each look takes it time, so the others may end first, and "
        "the last samples are of this cpu alone. A sample is exact where no other cpu could be in "
        "the allocator; elsewhere the parts need not add up to the total. In "
        "flight are frames on their way between a cache and the zone. Same scale in all panels."
        + left_out(everything),
    )
    if shown:
        names = differing(shown)
        highest = max(1.0, *(row[-1] for s in shown for row in band_edges(s.levels)))
        scale = plot.linear_scale(highest)
        y = plot.Scale(0, highest, False, tuple(t for t in scale.ticks if t[1] <= highest))
        figure.shows = level_shows(shown)
        fill(figure, [samples.settings for samples in shown], commands)
        figure.panels = [level_panel(samples, names, y) for samples in shown]
        figure.tables = [level_table(shown, names)]
    return figure
