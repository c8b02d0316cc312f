# SPDX-License-Identifier: BSD-2-Clause
"""The page: one self-contained HTML file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

import report_plot as plot
import report_trace
from report_figures import NONE, TURNS, Figure, Table, Value, count
from report_records import MEASURED, NOT_MEASURABLE, UNSUPPORTED
from report_style import style
from report_sweep import TRACED
from trace_records import Trace

NUMBER = re.compile(r"[–\d]")


@dataclass
class Page:
    """All that is on it, but for the drawings of the panels."""

    facts: list[tuple[str, str]]  # about the machine and the sweep
    tally: Mapping[str, int]
    findings: list[str]
    figures: list[Figure]
    not_measurable: dict[str, list[str]]
    unsupported: dict[str, list[str]]
    commands: Mapping[str, str]
    files: Mapping[str, int]  # of records, beside the page: how many
    missing: list[str] = field(default_factory=list)  # what makes it partial, and problems
    trace: Trace | None = None


def paragraph(css: str, text: str) -> str:
    return "".join(f'<p class="{css}">{escape(line)}</p>' for line in text.splitlines())


# Tables --------------------------------------------------------------------------------------


def is_numeric(table: Table, column: int) -> bool:
    texts = [row[column].text for row in table.rows if row[column].mark != NONE]
    return bool(texts) and all(NUMBER.match(text) for text in texts)


def entry(value: Value, numeric: bool) -> str:
    css = " ".join(filter(None, ("n" if numeric else "",
                                 {TURNS: "turns", NONE: "no"}.get(value.mark, ""))))
    text = escape(value.text)
    if value.mark == TURNS:
        text = f"○ {text}"
    attribute = f' class="{css}"' if css else ""
    return f"<td{attribute}>{text}</td>"


def table_markup(table: Table) -> str:
    numeric = [is_numeric(table, column) for column in range(len(table.columns))]
    head = "".join(f'<th scope="col"{" class=n" if right else ""}>{escape(name)}</th>'
                   for name, right in zip(table.columns, numeric))
    rows = "".join("<tr>" + "".join(map(entry, row, numeric)) + "</tr>" for row in table.rows)
    hollow = any(value.mark == TURNS for row in table.rows for value in row)
    note = f". ○ {TURNS}" if hollow else ""
    return (f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}">'
            f"<table><caption>{escape(table.title)}{note}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>")


# Figures -------------------------------------------------------------------------------------


def command_markup(commands: Sequence[str]) -> str:
    """As it is where there is one; where there are several, on request."""
    lines = "".join(f'<code class="command">{escape(text)}</code>' for text in commands)
    if len(commands) < 2:
        return lines
    return f"<details><summary>The {len(commands)} commands</summary>{lines}</details>"


def legend_markup(figure: Figure) -> str:
    if not figure.legend:
        return ""
    parts = "".join(f'<span{"" if swatch.text else " class=bare"}><i class="{swatch.css}"></i>'
                    f"{escape(swatch.text)}</span>" for swatch in figure.legend)
    return f'<div class="key">{parts}</div>'


def figure_markup(place: int, figure: Figure, drawings: Sequence[str]) -> str:
    heading = f"<h2>{place}. {escape(figure.title)}</h2>"
    opening = f'<figure id="{figure.key}"><figcaption>{heading}'
    if not figure.panels and not figure.tables:
        return (f'{opening}</figcaption><p class="nothing">No records: the sweep has none for this '
                "figure.</p></figure>")
    panels = "".join(f"<div><h3>{escape(panel.title)}</h3>{drawing}</div>"
                     for panel, drawing in zip(figure.panels, drawings))
    tables = "".join(map(table_markup, figure.tables))
    measured = f"Measured: {figure.conditions}." if figure.conditions else ""
    return (
        f'{opening}{paragraph("shows", figure.shows)}{paragraph("how", figure.how)}'
        f'{paragraph("conditions", measured)}{command_markup(figure.commands)}</figcaption>'
        f'{legend_markup(figure)}<div class="panels">{panels}</div>'
        f"<details><summary>The numbers</summary>{tables}</details></figure>"
    )


def figures_markup(figures: Sequence[Figure]) -> str:
    drawings = plot.draw([panel for figure in figures for panel in figure.panels])
    parts, first = [], 0
    for place, figure in enumerate(figures, 1):
        parts.append(figure_markup(place, figure, drawings[first : first + len(figure.panels)]))
        first += len(figure.panels)
    return "".join(parts)


def trace_markup(page: Page) -> str:
    if not page.trace:
        return ""
    command = page.commands.get(TRACED.title, "")
    return report_trace.section(len(page.figures) + 1, page.trace, table_markup, command)


# The rest ------------------------------------------------------------------------------------


def banner(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    said = "".join(f"<li>{escape(text)}</li>" for text in missing)
    return ('<div class="banner" role="alert"><strong>PARTIAL: the sweep did not run to its end.'
            f"</strong> What is below is what it left.<ul>{said}</ul></div>")


def reasons_markup(key: str, title: str, reasons: Mapping[str, Sequence[str]], what: str) -> str:
    if not reasons:
        return ""
    total = sum(map(len, reasons.values()))
    parts = []
    for why, cells in reasons.items():
        listed = "".join(f"<li>{escape(cell)}</li>" for cell in cells)
        parts.append(f"<details><summary>{escape(why)}: {count(len(cells), 'cell')}</summary>"
                     f'<ul class="list">{listed}</ul></details>')
    return (f'<section id="{key}"><figure><h2>{escape(title)}: {count(total, "cell")}</h2>'
            f'<p class="how">{escape(what)}</p>{"".join(parts)}</figure></section>')


def facts_markup(page: Page) -> str:
    tally = page.tally
    facts = [*page.facts, ("cells", f"{sum(tally.values()):,}"),
             ("measured", f"{tally[MEASURED]:,}"),
             ("NOT MEASURABLE", f"{tally[NOT_MEASURABLE]:,}"),
             ("not supported", f"{tally[UNSUPPORTED]:,}")]
    pairs = (f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in facts)
    return f"<dl>{''.join(pairs)}</dl>"


def files_markup(page: Page) -> str:
    links = ", ".join(f'<a href="{escape(name)}" download>{escape(name)}</a> ({count(rows, "row")})'
                      for name, rows in page.files.items())
    return f'<p class="muted">All records: {links}.</p>' if links else ""


def navigation(page: Page) -> str:
    links = [(figure.key, f"{place}. {figure.title}")
             for place, figure in enumerate(page.figures, 1)]
    if page.trace:
        links.append(("trace", f"{len(links) + 1}. What the cpus did"))
    if page.not_measurable:
        links.append(("not-measurable", "What could not be measured"))
    return '<nav aria-label="Figures">' + "".join(
        f'<a href="#{key}">{escape(title)}</a>' for key, title in links) + "</nav>"


def markup(page: Page) -> str:
    found = "".join(f"<li>{escape(text)}</li>" for text in page.findings)
    findings = f'<h2>What it found</h2><ol class="findings">{found}</ol>' if found else ""
    boots = "".join(f"<p>{escape(title)}</p>{command_markup([text])}"
                    for title, text in page.commands.items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>hartframe: report of a sweep</title><style>{style()}</style></head><body>'
        '<a class="skip" href="#scaling">To the figures</a>'
        f'<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs>'
        f"{plot.SYMBOLS}</defs></svg><main><h1>hartframe: report of a sweep</h1>"
        '<p class="muted">A kernel that allocates page frames on many harts at once, under QEMU, in '
        "virtual time: all harts execute at the same rate, and times are instructions of one hart. "
        "So the figures are the same on every host.</p>"
        f"{banner(page.missing)}{findings}{facts_markup(page)}{files_markup(page)}{navigation(page)}"
        f"{figures_markup(page.figures)}{trace_markup(page)}"
        + reasons_markup("not-measurable", "What could not be measured", page.not_measurable,
                         "The times and waits of these cells are in no figure.")
        + reasons_markup("unsupported", "What is not supported", page.unsupported,
                         "These cells make no sense, and were not run.")
        + f'<section><figure><h2>How to run it again</h2>{command_markup(["make report"])}'
        f"<p>It boots:</p>{boots}</figure></section></main></body></html>\n"
    )
