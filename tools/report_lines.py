# SPDX-License-Identifier: BSD-2-Clause
"""The figure of cache lines: which of them miss most, where a plugin has counted misses.

A "lines" record has a run's totals: `cell`, the number of the cell in its boot, `cpus`, `misses`,
`false` (of them, for words that no other cpu had written), `upgrades` (a line that was shared and is
written). A "line" record has one of its hottest lines: the same counts, `range` and `offset`, which
say where it is. A page without such records has no such figure.
"""

from __future__ import annotations

from collections.abc import Sequence

import report_plot as plot
from report_figures import Commands, Figure, Swatch, Table, commands_of, count, short, words
from report_records import Record, by_kind, integer, number, text_of

# What tells the runs apart: of each, the lines are compared with each other alone.
RUN = ("boot", "cell", "halvings", "sequence")
LINES_SHOWN, PANELS_MOST, ROW = 10, 6, 17

# The parts of a bar, and their colours; misses are drawn without those that are false.
PARTS = (("misses", 0), ("false", 1), ("upgrades", 4))
LEGEND = [Swatch(f"b{plot.SERIES_FIRST + colour}", text) for (_, colour), text in zip(
    PARTS, ("misses", "misses by false sharing", "upgrades: a shared line is written"))]


def moves(record: Record) -> int:
    """How often the line, or all lines, had to be fetched, or taken from others to be written."""
    return integer(record, "misses") + integer(record, "upgrades")


def line_name(line: Record) -> str:
    return f"{text_of(line, 'range') or 'unknown'}+{integer(line, 'offset'):#x}"


def runs_of(records: Sequence[Record]) -> list[tuple[Record, list[Record]]]:
    """Of each cell its first run, with its lines, hottest first; the cells with most moves first."""
    kinds, found = by_kind(records), {}
    for run in kinds.get("lines", []):
        found.setdefault((run.get("boot"), run.get("cell")), run)
    runs = [(run, sorted((line for line in kinds.get("line", [])
                          if all(line.get(name) == run.get(name) for name in RUN)),
                         key=moves, reverse=True)) for run in found.values()]
    return sorted((pair for pair in runs if pair[1]), key=lambda pair: -moves(pair[0]))


def cell_of(run: Record, cells: Sequence[Record]) -> Record | None:
    return next((cell for cell in cells if cell.get("boot") == run.get("boot")
                 and "cell" in cell and cell["cell"] == run.get("cell")), None)


def title_of(run: Record, cells: Sequence[Record]) -> str:
    cell, harts = cell_of(run, cells), count(integer(run, "cpus"), "hart")
    if cell is None:
        return f"cell {text_of(run, 'cell')}, {harts}"
    return (f"{text_of(cell, 'workload')}, lock {text_of(cell, 'lock')}, cache "
            f"{text_of(cell, 'cache')}, {harts}")


def per_operation(count_of: float, run: Record) -> float:
    return count_of / (number(run, "operations") or 1)


def widths(line: Record, run: Record) -> list[float]:
    """Of each part, an operation."""
    false = integer(line, "false")
    counts = (integer(line, "misses") - false, false, integer(line, "upgrades"))
    return [per_operation(max(0, part), run) for part in counts]


def lines_panel(title: str, run: Record, lines: Sequence[Record]) -> plot.Panel:
    shown, rows = lines[:LINES_SHOWN], [[] for _ in PARTS]
    for place, line in enumerate(shown):
        y, left = len(shown) - place, 0.0
        for part, width in enumerate(widths(line, run)):
            rows[part].append((left + width / 2, y, left, left + width, y - 0.36, y + 0.36))
            left += width
    x = plot.linear_scale(max(sum(widths(line, run)) for line in shown), parts=3)
    margins = plot.Margins(left=128, right=16, top=8)
    panel = plot.Panel(title, "", [], margins, margins.top + margins.bottom + ROW * len(shown))
    for (name, _), found in zip(PARTS, rows):
        panel.script += plot.block(name, found)
    ticks = ", ".join(f"{plot.quote(line_name(line))} {len(shown) - place}"
                      for place, line in enumerate(shown))
    panel.script += [
        *x.commands("x"), f"set yrange [0.4:{len(shown) + 0.6}]", "set grid noytics xtics",
        f"set ytics ({ticks}) textcolor rgb {plot.role('ink')}",
        *plot.unit_labels(panel, "", "moves of the line / operation"),
        "plot " + ", ".join(f"${name} using 1:2:3:4:5:6 with boxxyerror lc rgb {plot.series(colour)}"
                            for name, colour in PARTS)]
    panel.describes = "Moves of a line for an operation. " + "; ".join(
        f"{line_name(line)}: {short(per_operation(moves(line), run))}" for line in shown) + "."
    return panel


def lines_table(runs: Sequence[tuple[Record, list[Record]]], cells: Sequence[Record]) -> Table:
    rows = [words(title_of(run, cells), line_name(line),
                  *(f"{integer(line, name):,}" for name, _ in PARTS))
            for run, lines in runs for line in lines]
    return Table("Moves of the hottest lines", ["cell", "line", *(name for name, _ in PARTS)], rows)


def shows(runs: Sequence[tuple[Record, list[Record]]], cells: Sequence[Record]) -> str:
    said = []
    for run, lines in runs:
        share = 100 * moves(lines[0]) / (moves(run) or 1)
        said.append(f"{title_of(run, cells)}: {short(per_operation(moves(run), run))} lines move an "
                    f"operation; {line_name(lines[0])} is {short(share, 2)} % of that.")
    return "\n".join(said)


def lines_figure(records: Sequence[Record], cells: Sequence[Record],
                 commands: Commands) -> Figure | None:
    runs = runs_of(records)[:PANELS_MOST]
    if not runs:
        return None
    return Figure(
        "lines", "The hottest cache lines", shows(runs, cells),
        "A plugin of QEMU keeps for each line who has it: a miss is an access to a line that another "
        "cpu has written since, an upgrade is a write to a line that others have read.",
        "the first round of each cell; the cells whose lines move most",
        commands_of([run for run, _ in runs], commands),
        [lines_panel(title_of(run, cells), run, lines) for run, lines in runs],
        [lines_table(runs, cells)], LEGEND)
