# SPDX-License-Identifier: BSD-2-Clause
"""What a figure of the report consists of, and what several of them share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import report_plot as plot
from report_records import (
    Record,
    depends_on_turns,
    integer,
    is_counted,
    number,
    text_of,
    values_of,
)

# Of each boot, by its title.
Commands = Mapping[str, str]

# What a table says of a figure: it depends on the length of the turns, or there is none.
TURNS, NONE = "depends on the turns", "none"


@dataclass(frozen=True)
class Value:
    """One entry of a table: a figure or words, and TURNS or NONE where that has to be marked."""

    text: str
    mark: str = ""


@dataclass
class Table:
    title: str
    columns: list[str]
    rows: list[list[Value]]


@dataclass(frozen=True)
class Swatch:
    """An entry of a legend: the class of its colour, and what it stands for."""

    css: str
    text: str


@dataclass
class Figure:
    key: str
    title: str
    shows: str  # what is to be seen, computed from the records
    how: str  # how it was measured, and how to read the marks
    conditions: str = ""
    commands: list[str] = field(default_factory=list)
    panels: list[plot.Panel] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    legend: list[Swatch] = field(default_factory=list)


HOLLOW_MEANS = "A hollow mark depends on the turns: with turns of half the length the figure " \
    "moves by more than 10 %."


def count(number_of: int, noun: str) -> str:
    plural = noun[:-1] + "ies" if noun.endswith("y") and not noun.endswith("ay") else noun + "s"
    return f"{number_of:,} {noun if number_of == 1 else plural}"


def listing(words: Sequence[str]) -> str:
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def short(value: float | None, digits: int = 3) -> str:
    """With about that many significant digits, never in powers of ten."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    return f"{value:,.{max(0, min(digits - whole, 6))}f}"


def instructions(value: float | None) -> str:
    """A time of virtual time."""
    return "–" if value is None else f"{short(value)} instr"


def cache_name(cache: object) -> str:
    if cache is None:
        return "cache not given"
    return f"cache {cache}" if cache else "no cache"


def batch_name(batch: object) -> str:
    return f"batch {batch}" if batch else "adaptive batch"


def policy_order(cells: Iterable[Record]) -> list[object]:
    """segment_tree first: it is what the others are held against."""
    return sorted(values_of(cells, "policy"), key=lambda p: (p != "segment_tree", str(p)))


def marked(text: str, cell: Record) -> Value:
    """A figure of the cell."""
    return Value(text, TURNS if depends_on_turns(cell) and text != "–" else "")


def words(*texts: object) -> list[Value]:
    return [Value(str(text)) for text in texts]


# Captions ------------------------------------------------------------------------------------

NAMED = {"policy": "policy {}", "lock": "lock {}", "workload": "workload {}",
         "lockstat": "lockstat={}", "checks": "CHECKS={}", "zbb": "ZBB={}"}


def setting_words(cells: Sequence[Record], name: str) -> str:
    """The one value of a setting that all cells have, or nothing."""
    values = values_of(cells, name)
    if len(values) != 1:
        return ""
    value = values[0]
    if name == "cache":
        return cache_name(value)
    if name == "batch":
        return batch_name(value)
    if name == "zones":
        return count(int(str(value)), "zone") if str(value).isdigit() else ""
    return NAMED[name].format(value)


def conditions(cells: Sequence[Record]) -> str:
    """What all of them have in common, and how they were measured."""
    names = ("workload", "policy", "lock", "cache", "batch", "zones", "lockstat", "checks", "zbb")
    said = [found for found in (setting_words(cells, name) for name in names) if found]
    cpus = [str(value) for value in values_of(cells, "cpus")]
    said.append(f"{listing(cpus)} cpu{'s' if cpus != ['1'] else ''}")
    rounds = values_of(cells, "rounds")
    if len(rounds) == 1:
        said.append("one round" if rounds[0] == 1 else f"median of {rounds[0]} rounds")
    turns = values_of(cells, "turn")
    if cells and all(map(is_counted, cells)):
        said.append("instructions counted exactly")
    elif turns:
        said.append(f"virtual time with turns of {listing([str(turn) for turn in turns])} "
                    "instructions")
    return ", ".join(said)


def commands_of(records: Iterable[Record], commands: Commands) -> list[str]:
    titles = dict.fromkeys(text_of(record, "boot") for record in records)
    return [commands[title] for title in titles if title in commands]


def cpus_of(cells: Iterable[Record]) -> list[int]:
    return sorted({integer(cell, "cpus") for cell in cells if number(cell, "cpus")})


def fill(figure: Figure, cells: Sequence[Record], commands: Commands) -> None:
    figure.conditions = conditions(cells)
    figure.commands = commands_of(cells, commands)
