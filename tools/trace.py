#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks a run's trace, prints a table of its events, and makes files of it for viewers.

    make trace                 # boots a stress and makes build/trace.html and build/trace.json
    tools/trace.py build/logs/run.jsonl --kernel build/hartframe.elf --page build/trace.html

The page shows the trace in any browser, without a network. The other file is in the Chrome trace event
format, for viewers such as ui.perfetto.dev. docs/measuring.md describes the events.

Exit status: 0, 1 when the trace contradicts itself, 2 when there is none or it cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from trace_page import write_page
from trace_records import MARKS, BadTrace, Trace, name_sites, problems, read_trace, time_text
from trace_viewer import write_viewer_file


@dataclass(frozen=True)
class KindSummary:
    """Of one kind on all cpus; times in microseconds, of those that are kept."""

    name: str
    count: int
    kept: int
    median: float | None
    worst: float | None
    worst_cpu: int


def summaries(trace: Trace) -> list[KindSummary]:
    found = []
    for kind in trace.kinds:
        count = sum(cpu.counts.get(kind.name, 0) for cpu in trace.cpus)
        lengths = sorted((trace.us(trace.length(event)), cpu.number) for cpu in trace.cpus
                         for event in cpu.events if event.kind.name == kind.name)
        timed = bool(lengths) and kind.name not in MARKS and kind.name != "doing"
        if count:
            found.append(KindSummary(
                kind.name, count, len(lengths), lengths[len(lengths) // 2][0] if timed else None,
                lengths[-1][0] if timed else None, lengths[-1][1] if timed else 0))
    return found


def summary_text(trace: Trace) -> str:
    lines = [f"{'event':<14} {'events':>9} {'kept':>9} {'median':>12} {'worst':>12}  on cpu"]
    for kind in summaries(trace):
        line = f"{kind.name:<14} {kind.count:>9} {kind.kept:>9}"
        if kind.median is not None and kind.worst is not None:
            line += f" {time_text(kind.median):>12} {time_text(kind.worst):>12}  {kind.worst_cpu:>6}"
        lines.append(line)
    kept = sum(len(cpu.events) for cpu in trace.cpus)
    lost = sum(cpu.lost for cpu in trace.cpus)
    lines.append(f"{kept} events of {len(trace.cpus)} cpus over "
                 f"{time_text(trace.us(trace.end - trace.begin))}; {lost} older ones were overwritten")
    return "\n".join(lines)


# The command line ----------------------------------------------------------------------------


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Check a run's trace, and make files of it for viewers.")
    parser.add_argument("records", type=Path, help="a run's records or console (build/logs/run.jsonl)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write a page that shows the trace")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a file for other viewers")
    parser.add_argument("--kernel", type=Path, metavar="ELF",
                        help="the kernel of the run: names the call sites")
    parser.add_argument("--title", help="of the page (default: the name of the records)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        with options.records.open(encoding="utf-8", errors="replace") as lines:
            trace = read_trace(lines)
    except (OSError, BadTrace) as error:
        print(f"trace: {options.records}: {error}", file=sys.stderr)
        return 2
    if trace is None:
        print(f"trace: {options.records}: the run kept no trace: boot it with trace=on",
              file=sys.stderr)
        return 2
    if options.kernel:
        name_sites(trace, options.kernel)
    if options.out:
        write_viewer_file(trace, options.out)
    if options.page:
        write_page(trace, options.page, options.title or str(options.records))
    print(summary_text(trace))
    found = problems(trace)
    for problem in found:
        print(f"trace: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
