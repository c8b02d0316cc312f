# SPDX-License-Identifier: BSD-2-Clause
"""The figure of which cpu waited for which at a lock, and where in the code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import launch
import report_plot as plot
from report_figures import (
    Commands,
    Figure,
    Swatch,
    Table,
    Value,
    count,
    fill,
    instructions,
    short,
    words,
)
from report_records import Record, integer, number, numbers, text_of

# What the launcher's names of the addresses are kept as, beside the addresses themselves.
SITES = ("site_waiter", "site_holder")

# With more cpus there is no room for numbers.
CPUS_NUMBERED = 8

# Shades of a cell, of which the text in it can be read on all, in light and in dark.
SHADES = 4


@dataclass(frozen=True)
class Pair:
    """Of two cpus or two sites; the holder is None where it was not known."""

    waiter: str
    holder: str | None
    waits: int
    ns: float


def is_blamed(record: Record) -> bool:
    """A lock that a cpu waited for, where that could be measured."""
    return (record.get("record") == "lock" and record.get("valid") is True
            and any(numbers(record, "blame_waits")))


def rows_of(record: Record, kind: str) -> list[tuple[float, float, float, float]]:
    names = ("waiter", "holder", "waits", "wait_ns")
    return list(zip(*(numbers(record, f"{kind}_{name}") for name in names)))


def pairs_of(record: Record) -> list[Pair]:
    """The heaviest first. One cpu twice is how a record says that the holder was not known."""
    return [Pair(f"cpu {waiter:.0f}", None if holder == waiter else f"cpu {holder:.0f}",
                 int(waits), ns)
            for waiter, holder, waits, ns in rows_of(record, "blame")]


def names_of(record: Record, name: str) -> list[str]:
    """What the launcher called the addresses, or these."""
    known = record.get(f"{name}_name")
    addresses = [f"{address:#x}" for address in map(int, numbers(record, name))]
    if not isinstance(known, list) or len(known) != len(addresses):
        return addresses
    return [str(text or address) for text, address in zip(known, addresses)]


def sites_of(record: Record) -> list[Pair]:
    waiters, cpu_mask = (names_of(record, name) for name in SITES)
    return [Pair(waiter, holder if address else None, int(waits), ns)
            for waiter, holder, (_, address, waits, ns)
            in zip(waiters, cpu_mask, rows_of(record, "site"))]


def cpus_in(record: Record) -> int:
    seen = [*numbers(record, "blame_waiter"), *numbers(record, "blame_holder")]
    return max([integer(record, "cpus"), *(int(cpu) + 1 for cpu in seen)])


# The matrix ----------------------------------------------------------------------------------


def shade_of(waits: float, most: float) -> int:
    """0: none; the others in equal steps of the most."""
    if not waits:
        return 0
    return min(SHADES - 1, 1 + int(waits / most * (SHADES - 1)))


def compact(waits: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if waits >= size:
            return f"{short(waits / size, 2)}{unit}"
    return f"{waits:.0f}"


def matrix_cells(rows: Sequence[tuple[float, ...]], cpus: int) -> str:
    """A rectangle a pair, and one for the ground they stand on."""
    most = max((waits for _, _, waits, _ in rows), default=1.0) or 1.0
    ground = f'<path class="f{plot.LEVELS_FIRST}" d="M0 0h{cpus}v{cpus}h-{cpus}z"/>'
    return ground + "".join(
        f'<path class="f{plot.LEVELS_FIRST + shade_of(waits, most)}" '
        f'd="M{holder:.0f} {waiter:.0f}h1v1h-1z"/>'
        for waiter, holder, waits, _ in rows)


def lock_title(record: Record) -> str:
    return f"{text_of(record, 'name')}, {text_of(record, 'kind')}"


def matrix_panel(record: Record) -> plot.Panel:
    cpus, rows = cpus_in(record), rows_of(record, "blame")
    panel = plot.Panel(lock_title(record), "", [], plot.Margins(40, 10, 26, 46), 258,
                       matrix_cells(rows, cpus), (cpus, cpus))
    step = -(-cpus // CPUS_NUMBERED)
    ticks = ", ".join(f"'{cpu}' {cpu + 0.5}" for cpu in range(0, cpus, step))
    panel.script = [f"set xrange [0:{cpus}]", f"set yrange [{cpus}:0]", "unset grid",
                    f"set xtics ({ticks})", f"set ytics ({ticks})",
                    *plot.unit_labels(panel, "cpu that waited", "cpu that held the lock")]
    if cpus <= CPUS_NUMBERED:
        panel.script += [
            f"set label {10 + index} {plot.quote(compact(waits))} at first {holder + 0.5},"
            f"{waiter + 0.5} center tc rgb {plot.role('ink')} front"
            for index, (waiter, holder, waits, _) in enumerate(rows)]
    panel.script.append("plot NaN")
    panel.describes = f"{count(int(sum(numbers(record, 'blame_waits'))), 'wait')}; the most: " + \
        "; ".join(map(pair_words, by_waits(pairs_of(record))[:3])) + "."
    return panel


def by_waits(pairs: Iterable[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda pair: -pair.waits)


def pair_words(pair: Pair) -> str:
    return f"{pair.waiter} for {pair.holder or 'one not known'}, {pair.waits:,}"


LEGEND = [
    Swatch(f"b{plot.LEVELS_FIRST}", "no wait"),
    *(Swatch(f"b{plot.LEVELS_FIRST + shade}", "") for shade in range(1, SHADES - 1)),
    Swatch(f"b{plot.LEVELS_FIRST + SHADES - 1}", "waits, the stronger the more"),
]


# Tables --------------------------------------------------------------------------------------


def pair_rows(record: Record, pairs: Sequence[Pair], kind: str) -> list[list[Value]]:
    """The pairs, and what was too light for the record to name."""
    others = Pair("all others", "", integer(record, f"{kind}_others_waits"),
                  number(record, f"{kind}_others_wait_ns") or 0.0)
    return [[*words(lock_title(record), pair.waiter,
                    "not known" if pair.holder is None else pair.holder, f"{pair.waits:,}"),
             *words(*(instructions(ns) for ns in (pair.ns, pair.ns / pair.waits)))]
            for pair in (*pairs, others) if pair.waits]


def tables(records: Sequence[Record]) -> list[Table]:
    columns = ["lock", "waiter", "holder", "waits", "waited", "mean"]
    cpus = [row for r in records for row in pair_rows(r, pairs_of(r), "blame")]
    sites = [row for r in records for row in pair_rows(r, sites_of(r), "site")]
    return [Table("Waits by pairs of cpus", columns, cpus),
            Table("Waits by where the lock was asked for, and where it had been taken", columns,
                  sites)]


# The figure ----------------------------------------------------------------------------------


def shows(records: Sequence[Record]) -> str:
    """Of each lock, the pair of cpus and the pair of sites with the most waits."""
    said = []
    for record in records:
        total = integer(record, "contended")
        text = count(total, "wait")
        for pairs, met, held in ((pairs_of(record), "most often of", "for"),
                                 (sites_of(record), "most often at", "for a hold taken at")):
            text += "".join(
                f"; {met} {pair.waiter} {held} {pair.holder or 'one not known'}"
                f" ({short(100 * pair.waits / total)} %)" for pair in by_waits(pairs)[:1] if total)
        said.append(f"{lock_title(record)}: {text}.")
    return "\n".join(said)


def left_out(records: Sequence[Record]) -> str:
    more = any(integer(record, "blame_others_waits") for record in records)
    return " Drawn are the pairs that waited longest; the table says what all others did." \
        if more else ""


def site_names_added(record: Record, symbols: launch.Symbols) -> Record:
    """A lock's record with the names of its sites."""
    names = {f"{name}_name": [symbols.text(int(address)) for address in numbers(record, name)]
             for name in SITES}
    return {**record, **names}


def blame_figure(records: Iterable[Record], commands: Commands) -> Figure:
    found = [record for record in records if is_blamed(record)]
    figure = Figure(
        "blame", "Which cpu waits for which", "",
        "A whole wait is counted for the cpu that held the lock when the wait began, also the part "
        "spent for other cpus in the queue. On the diagonal are waits whose holder had not noted "
        "itself yet. Shades are of each lock by itself.", legend=LEGEND,
    )
    if found:
        figure.shows = shows(found)
        figure.how += left_out(found)
        fill(figure, found, commands)
        figure.panels = [matrix_panel(record) for record in found]
        figure.tables = tables(found)
    return figure
