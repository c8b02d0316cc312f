#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs the standard sweep and makes a page of it.

Leaves in --out: index.html (one file, which needs nothing else), a CSV file for each kind of record
(bench.csv, lock.csv, ...), records.jsonl (all records, one to a line, for --redraw), trace.html (what
the cpus did in one more boot, for trace viewers; trace.jsonl is what it was made of) and the consoles
in logs/.

A sweep that is interrupted or fails leaves all that it had by then: page and CSV are made of it,
and say that they are partial.

Exit status: 0 when the sweep ran to its end, 1 when some of it failed, 2 cannot run, 128 + N when
ended by signal N.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import launch
import report_findings
import report_plot as plot
import report_trace
from report_blame import blame_figure
from report_figures import Figure, count
from report_line_cost import cost_figure
from report_lines import heap_lines_figure, lines_figure, measured
from report_locks import histogram_figure, time_figure
from report_memory import level_figure, map_figure
from report_page import Page, markup
from report_policies import counts_figure
from report_records import (
    NOT_MEASURABLE,
    UNSUPPORTED,
    by_kind,
    csv_name,
    parse,
    samples_of,
    timed_cells,
    write_csv,
)
from report_speed import heap_figure, scaling_figure, waits_figure
from report_sweep import ROOT, TRACED, Sweep, run_sweep, standard_sweep
from trace_records import Trace


def say(message: str) -> None:
    print(f"report: {message}", file=sys.stderr, flush=True)


# The page ------------------------------------------------------------------------------------


def said_by(*command: str) -> str:
    """The first line a program says, or nothing."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else ""


def processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def facts(sweep: Sweep) -> list[tuple[str, str]]:
    version = re.search(r"version (\S+)", said_by(launch.find_qemu(), "--version"))
    cores = len(os.sched_getaffinity(0))
    found = [
        ("date", time.strftime("%Y-%m-%d %H:%M %Z")),
        ("commit", said_by("git", "describe", "--always", "--dirty") or "unknown"),
        ("host", f"{processor()}, {count(cores, 'core')}"),
        ("QEMU", version[1] if version else "unknown"),
    ]
    if sweep.seconds:
        minutes, seconds = divmod(round(sweep.seconds), 60)
        found.append(("took", f"{minutes} min {seconds} s"))
    return found


def figures(sweep: Sweep, commands: dict[str, str]) -> list[Figure]:
    """What is asked for first comes first."""
    cells, samples = timed_cells(sweep.records), samples_of(sweep.records)
    of_lines = measured(sweep.records)
    found = [
        scaling_figure(cells, commands), waits_figure(cells, commands), time_figure(cells, commands),
        blame_figure(sweep.records, commands), lines_figure(of_lines, commands),
        cost_figure(of_lines, commands), heap_figure(cells, commands),
        heap_lines_figure(of_lines, commands), counts_figure(cells, commands),
        histogram_figure(cells, commands), map_figure(samples, commands),
        level_figure(samples, commands)]
    return [figure for figure in found if figure]


def make_page(sweep: Sweep, commands: dict[str, str], about: list[tuple[str, str]],
              trace: Trace | None = None) -> Page:
    return Page(
        facts=about,
        tally=report_findings.tally(sweep.records),
        findings=report_findings.findings(sweep.records),
        figures=figures(sweep, commands),
        not_measurable=report_findings.reasons(sweep.records, NOT_MEASURABLE),
        unsupported=report_findings.reasons(sweep.records, UNSUPPORTED),
        commands=commands,
        files={csv_name(kind): len(rows) for kind, rows in by_kind(sweep.records).items()},
        missing=sweep.problems,
        trace=trace,
    )


def write(path: Path, text: str) -> None:
    """Whole or not at all: a page that is open elsewhere is never half of one."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def write_records(
    sweep: Sweep, commands: dict[str, str], about: Sequence[object], out: Path
) -> None:
    """What was measured comes first and needs no gnuplot; the page is made of it afterwards."""
    write_csv(sweep.records, out)
    kept = {"record": "report", "problems": sweep.problems, "commands": commands, "facts": about}
    lines = [json.dumps(record) for record in (kept, *sweep.records)]
    write(out / "records.jsonl", "\n".join(lines) + "\n")


def read_records(path: Path) -> tuple[Sweep, dict[str, str], list[tuple[str, str]]]:
    """A sweep that was written by write_records."""
    try:
        records = parse(path.read_text(encoding="utf-8", errors="replace"))
    except OSError as error:
        raise launch.CannotRun(f"{path}: {error.strerror}") from error
    kept = next((r for r in records if r["record"] == "report"), {})
    sweep = Sweep([r for r in records if r["record"] != "report"])
    problems, commands, about = (kept.get(name) for name in ("problems", "commands", "facts"))
    sweep.problems = [str(text) for text in problems] if isinstance(problems, list) else []
    known = {str(k): str(v) for k, v in commands.items()} if isinstance(commands, dict) else {}
    pairs = about if isinstance(about, list) else []
    return sweep, known, [(str(name), str(text)) for name, text in pairs]


def conclude(sweep: Sweep, page: Page, out: Path) -> int:
    tally = page.tally
    print(f"{sum(tally.values())} cells: {tally['measured']} measured, {tally[NOT_MEASURABLE]} NOT "
          f"MEASURABLE, {tally[UNSUPPORTED]} not supported.")
    print(f"Page and records: {out / 'index.html'}, {', '.join(page.files)}", flush=True)
    for problem in sweep.problems:
        say(f"PARTIAL: {problem}")
    if sweep.signal:
        return 128 + sweep.signal
    return 1 if sweep.problems else 0


# The command line ----------------------------------------------------------------------------


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the standard sweep and make a page of it.")
    add = parser.add_argument
    add("--kernel", type=Path, metavar="ELF", help="what to boot")
    add("--plugin", type=Path, default=launch.PLUGIN, metavar="FILE", help="QEMU's, of virtual time")
    add("--out", type=Path, default=ROOT / "build" / "report", metavar="DIR")
    add("--redraw", action="store_true", help="boot nothing; draw records.jsonl again")
    options = parser.parse_args(arguments)
    if not options.redraw and options.kernel is None:
        parser.error("--kernel is needed, or --redraw")
    options.out, options.plugin = options.out.resolve(), options.plugin.resolve()
    return options


def measure(options: argparse.Namespace) -> tuple[Sweep, dict[str, str], list[tuple[str, str]]]:
    for path in (options.kernel, options.plugin):
        if not path.is_file():
            raise launch.CannotRun(f"{path}: no such file")
    launch.find_qemu()
    (options.out / "logs").mkdir(parents=True, exist_ok=True)
    boots = [*standard_sweep(), TRACED]
    sweep, outcomes = run_sweep(boots, options)
    traced = next(outcome for outcome in outcomes if outcome.boot is TRACED)
    wrong = report_trace.keep_trace(traced.records, options.out, options.kernel)
    if wrong and not traced.problem:
        sweep.problems.append(f"{TRACED.title}: {wrong}")
    return sweep, {boot.title: boot.command(options.kernel) for boot in boots}, facts(sweep)


def report(options: argparse.Namespace) -> int:
    plot.find_gnuplot()  # better known before minutes have gone into measuring
    if options.redraw:
        sweep, commands, about = read_records(options.out / "records.jsonl")
    else:
        sweep, commands, about = measure(options)
        write_records(sweep, commands, about, options.out)
    trace = report_trace.kept_trace(options.out)
    report_trace.write_for_viewers(trace, options.out, commands.get(TRACED.title, ""))
    page = make_page(sweep, commands, about, trace)
    write(options.out / "index.html", markup(page))
    return conclude(sweep, page, options.out)


def main(arguments: list[str] | None = None) -> int:
    try:
        return report(parse_arguments(arguments))
    except (launch.CannotRun, plot.CannotDraw) as error:
        say(str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main())
