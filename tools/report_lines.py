# SPDX-License-Identifier: BSD-2-Clause
"""The figures of the hottest cache lines, of frames and of the heap: which lines move between harts.

The records are those of tools/lines.py, from boots with the launcher's --lines: `lines` has the sums of
a round, `lines_site` what an instruction met in a range of memory, `line` one of the hottest lines. A
page without such records has no such figure. docs/lines.md says how they are counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import lines
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
    listing,
    short,
    words,
)
from report_records import Record, integer, is_cell, is_heap, text_of

# The parts of a bar, and their colours; misses are drawn without those that are false.
PARTS = (("true", 0), ("false", 1), ("upgrades", 4))
LEGEND = [Swatch(f"b{plot.SERIES_FIRST + colour}", text) for (_, colour), text in zip(
    PARTS, ("misses: true sharing", "misses: false sharing", "upgrades"))]

# A row has the line's name and its bar, and beneath them the functions.
LINES_SHOWN, PANELS_MOST, ROW = 8, 12, 33
NAME_MOST, FUNCTIONS_MOST = 23, 56  # characters that fit into a panel

# Without these members a record is left out, such as the last of a run cut short.
COUNTS = ("misses", "false", "upgrades")
NEEDED = {"lines": ("cell", "cpus", "operations", "line", "accesses", "cold", "time", *COUNTS),
          "lines_site": ("cell", "pc", *COUNTS), "line": ("cell", "address", "cpus", *COUNTS)}
BESIDES = {"lines_site": "range", "line": "places"}


# Which cells -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """A cell with all that its rounds met."""

    cell: lines.Cell
    bench: Record
    by_turns: bool  # turns of half the length move its time by more than a tenth

    @property
    def cpus(self) -> int:
        return integer(self.bench, "cpus")

    def place(self) -> str:
        return (f"{text_of(self.bench, 'workload')}, {cache_name(self.bench.get('cache'))}, "
                f"{count(self.cpus, 'hart')}")


def has_numbers(record: Mapping[str, object], names: Iterable[str]) -> bool:
    return all(type(record.get(name)) is int for name in names)


def is_whole(record: Record) -> bool:
    kind = text_of(record, "record")
    places = record.get("places", [])
    return (kind in NEEDED and has_numbers(record, NEEDED[kind]) and BESIDES.get(kind, "cell") in record
            and isinstance(places, list)
            and all(isinstance(place, dict) and has_numbers(place, ("pc", *COUNTS)) for place in places))


def depends_on_turns(rounds: Sequence[Record]) -> bool:
    """As the kernel's `converged`, but with the waits for lines, which the kernel does not see."""
    times: dict[object, list[float]] = {}
    for record in rounds:
        each = integer(record, "time") / max(integer(record, "operations"), 1)
        times.setdefault(record.get("halvings"), []).append(each)
    means = [sum(found) / len(found) for found in times.values()]
    return bool(means) and max(means) > 1.1 * min(means)


def of_boot(records: Sequence[Record]) -> list[Measured]:
    benches = {integer(record, "cell"): record for record in records if is_cell(record)}
    found = []
    for cell in lines.cells_of(records):
        rounds = [r for r in records if r["record"] == "lines" and r["cell"] == cell.number]
        if cell.number in benches and rounds:
            found.append(Measured(cell, benches[cell.number], depends_on_turns(rounds)))
    return found


def measured(records: Iterable[Record]) -> list[Measured]:
    """Cells are numbered in each boot."""
    boots: dict[str, list[Record]] = {}
    for record in records:
        if is_whole(record) or (is_cell(record) and "line" in record and has_numbers(record, ("cell",))):
            boots.setdefault(text_of(record, "boot"), []).append(record)
    return [one for group in boots.values() for one in of_boot(group)]


def hot_cells(found: Iterable[Measured], heap: bool) -> list[Measured]:
    """By workload and cache, fewer harts first; those whose hottest lines are known."""
    chosen = [one for one in found if one.cell.lines and one.cell.operations
              and is_heap(one.bench) == heap]
    workloads = list(dict.fromkeys(text_of(one.bench, "workload") for one in chosen))
    return sorted(chosen, key=lambda one: (workloads.index(text_of(one.bench, "workload")),
                                           integer(one.bench, "cache"), one.cpus))[:PANELS_MOST]


# Panels ----------------------------------------------------------------------------------------


def widths(met: lines.Counts, cell: lines.Cell) -> list[float]:
    """Of each part, an operation."""
    return [cell.per_operation(part) for part in (met.misses - met.false, met.false, met.upgrades)]


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def line_name(name: str, met: lines.Met) -> str:
    """After the member that most transfers are of, which need not be the first of the line."""
    members = lines.most_first(met.members)
    return members[0] if members and "+" not in members[0] else name


def functions_of(met: lines.Met) -> list[str]:
    """Without the place in the source; each once, the one with most transfers first."""
    return list(dict.fromkeys(name.partition(" (")[0] for name in lines.most_first(met.functions)))


def functions_text(met: lines.Met) -> str:
    """As many as fit."""
    names = functions_of(met)
    shown = [", ".join(names[:number]) + (", …" if number < len(names) else "")
             for number in range(1, len(names) + 1)]
    fitting = [text for text in shown if len(text) <= FUNCTIONS_MOST]
    return fitting[-1] if fitting else cut("".join(names[:1]), FUNCTIONS_MOST)


def row_labels(place: int, y: float, met: lines.Met, cell: lines.Cell, height: int) -> list[str]:
    """The transfers at the end of the bar, and the functions beneath it, across the panel."""
    all_parts = sum(widths(met, cell))
    return [f"set label {100 + place} {plot.quote(short(all_parts))} at first {all_parts:.9g},"
            f"first {y:.9g} left offset character 0.5,0 tc rgb {plot.role('ink')}",
            f"set label {200 + place} {plot.quote(functions_text(met))} at screen 0.006,"
            f"screen {height:.4f} left font ',10' noenhanced tc rgb {plot.role('muted')}"]


def lines_panel(one: Measured) -> plot.Panel:
    cell, shown = one.cell, lines.order(one.cell.lines)[:LINES_SHOWN]
    names = [cut(line_name(name, met), NAME_MOST) for name, met in shown]
    margins = plot.Margins(left=15 + round(6.3 * max(map(len, names))), right=46, top=4)
    panel = plot.Panel(one.place(), "", [], margins, margins.top + margins.bottom + ROW * len(shown))
    rows: list[list[tuple[float, ...]]] = [[] for _ in PARTS]
    for place, (_, met) in enumerate(shown):
        # One unit is a row, whose upper half has the bar.
        y, left = len(shown) - place - 0.26, 0.0
        for part, width in enumerate(widths(met, cell)):
            rows[part].append((left + width / 2, y, left, left + width, y - 0.2, y + 0.2))
            left += width
        beneath = 1 - (margins.top + ROW * (place + 0.75)) / panel.height
        panel.script += row_labels(place, y, met, cell, beneath)
    for (part_name, _), found in zip(PARTS, rows):
        panel.script += plot.block(part_name, found)
    x = plot.linear_scale(max(sum(widths(met, cell)) for _, met in shown), parts=3)
    ticks = ", ".join(f"{plot.tick_name(name)} {len(shown) - place - 0.26:.9g}"
                      for place, name in enumerate(names))
    panel.script += [
        *x.commands("x"), f"set yrange [0:{len(shown)}]", "unset grid",
        f"set ytics ({ticks}) textcolor rgb {plot.role('ink')}",
        *plot.unit_labels(panel, "", "transfers / operation"),
        "plot " + ", ".join(f"${name} using 1:2:3:4:5:6 with boxxyerror lc rgb {plot.series(colour)}"
                            for name, colour in PARTS)]
    panel.describes = "Transfers of a line for an operation. " + "; ".join(
        f"{line_name(name, met)}: {short(sum(widths(met, cell)))}, by {functions_text(met)}"
        for name, met in shown) + "."
    return panel


# Tables ----------------------------------------------------------------------------------------

FIGURES = ["misses", "of them false", "upgrades"]


def thousand(met: lines.Counts, cell: lines.Cell) -> list[Value]:
    return words(*(short(cell.per_operation(1000 * part))
                   for part in (met.misses, met.false, met.upgrades)))


def hot_table(found: Sequence[Measured]) -> Table:
    rows = []
    for one in found:
        for name, met in lines.order(one.cell.lines)[:LINES_SHOWN]:
            members = [member for member in lines.most_first(met.members) if member != name]
            rows.append([*words(one.place(), name), *thousand(met, one.cell), *words(
                met.cpus, ", ".join(members[:2]), ", ".join(map(lines.short, met.hottest())))])
    return Table("The hottest lines: in 1,000 operations", [
        "cell", "line", *FIGURES, "harts", "members that are accessed", "functions"], rows)


def ranges_table(found: Sequence[Measured]) -> Table:
    rows = [[*words(one.place(), name), *thousand(met, one.cell),
             *words(", ".join(map(lines.short, met.hottest())))]
            for one in found for name, met in lines.order(one.cell.ranges)[:LINES_SHOWN]]
    return Table("All lines, by what is there: in 1,000 operations",
                 ["cell", "memory", *FIGURES, "functions"], rows)


# The figures -----------------------------------------------------------------------------------


def share_of(met: lines.Counts, cell: lines.Cell) -> str:
    return f"{short(100 * met.transfers / (cell.counts.transfers or 1), 2)} %"


# What lies where no structure has its own range (docs/lines.md).
MEMORY = {"elsewhere": "the workload’s own memory", "image": "the kernel’s image"}


def fight_words(one: Measured) -> str:
    """What an operation moves, where most of that is, and the hottest line."""
    cell, (name, met) = one.cell, lines.order(one.cell.lines)[0]
    each, false = (cell.per_operation(part) for part in (cell.counts.transfers, cell.counts.false))
    functions = functions_of(met)[:2]
    verb = "fight" if len(functions) > 1 else "fights"
    most = [f" {share_of(there, cell)} are in {MEMORY.get(memory, memory)}."
            for memory, there in lines.order(cell.ranges)[:1]]
    return (f"{one.place()}: {short(each)} transfers an operation, {short(false)} of them by false "
            f"sharing.{''.join(most)} The hottest line is that of {line_name(name, met)} with "
            f"{share_of(met, cell)}: {listing(functions)} {verb} over it.")


def shows(found: Sequence[Measured]) -> str:
    """Of each workload and cache, the most harts."""
    last = {(one.bench.get("workload"), one.bench.get("cache")): one for one in found}
    return "\n".join(map(fight_words, last.values()))


HOW = ("QEMU’s plugin models a cache for each hart, without bounds, of lines of 64 bytes. A transfer is a "
       "miss (another hart has written to the line since) or an upgrade (a write to a line that others may "
       "read). A miss is false sharing if the hart touches no byte that another hart has written; else it is "
       "true sharing. A line has the name of the member that most transfers are of, or of what lies at its "
       "first byte; beneath it are the functions that met the transfers, most first. Each panel has its own "
       "scale.")


def hot_figure(figure: Figure, found: Sequence[Measured], commands: Commands) -> Figure | None:
    if not found:
        return None
    figure.shows = shows(found)
    fill(figure, [one.bench for one in found], commands)
    figure.panels = [lines_panel(one) for one in found]
    figure.tables = [hot_table(found), ranges_table(found)]
    return figure


def lines_figure(found: Sequence[Measured], commands: Commands) -> Figure | None:
    return hot_figure(Figure("lines", "The hottest cache lines of frames", "", HOW, legend=LEGEND),
                      hot_cells(found, heap=False), commands)


def heap_lines_figure(found: Sequence[Measured], commands: Commands) -> Figure | None:
    figure = Figure("heap-lines", "The hottest cache lines of the heap: kmalloc", "",
                    HOW + " A name ‘frame’ is a frame of the heap: metadata of an arena, or blocks.",
                    legend=LEGEND)
    return hot_figure(figure, hot_cells(found, heap=True), commands)
