# SPDX-License-Identifier: BSD-2-Clause
"""What a run found: a line a mutant, the tables at the end, and the same as CSV and JSON."""

from __future__ import annotations

import csv
import dataclasses
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from mutants.catalog import Mutant, in_columns
from mutants.choose import Part
from mutants.edits import format_edits
from mutants.run import BROKEN, CAUGHT, SURVIVED, UNBUILT, Finding
from mutants.tests import kind_of, rank

CLASS_LENGTH_MAX = 40


def score(findings: Sequence[Finding], chosen: int) -> str:
    caught = sum(finding.status == CAUGHT for finding in findings)
    unbuilt = sum(finding.status == UNBUILT for finding in findings)
    unbuilt_too = f", {unbuilt} more do not build" if unbuilt else ""
    return f"{caught} of {chosen - unbuilt} caught{unbuilt_too}"


def by_name(findings: Sequence[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: finding.mutant)


def clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def table(findings: Sequence[Finding]) -> list[str]:
    rows = [("mutant", "class", "caught by", "s", "seed", "how it showed")]
    for found in by_name(findings):
        catcher = found.caught_by + ("*" if found.is_unexpected else "")
        if found.status != CAUGHT:
            catcher = found.status.upper()
        rows.append((found.mutant, clipped(found.bug_class, CLASS_LENGTH_MAX), catcher,
                     f"{found.seconds:.1f}", found.seed, found.how))
    return in_columns(rows)


def matrix_table(findings: Sequence[Finding]) -> list[str]:
    """How many tests of each kind caught a mutant, of those that ran."""
    kinds = sorted({kind_of(t) for f in findings for t in [*f.tests_run, *f.tests_failed]},
                   key=lambda kind: (rank(kind), kind))
    rows = [("mutant", *kinds)]
    for found in by_name(findings):
        failed = [[t for t in found.tests_failed if kind_of(t) == kind] for kind in kinds]
        rows.append((found.mutant, *(str(len(tests) or "-") for tests in failed)))
    return in_columns(rows)


def rules_table(findings: Sequence[Finding]) -> list[str]:
    """What became of the generated mutants, rule by rule."""
    statuses = (CAUGHT, SURVIVED, UNBUILT, BROKEN)
    rows = [("rule", *statuses)]
    for rule in sorted({finding.bug_class for finding in findings}):
        of_rule = [finding.status for finding in findings if finding.bug_class == rule]
        rows.append((rule, *(str(of_rule.count(status)) for status in statuses)))
    return in_columns(rows)


def summary(findings: Sequence[Finding], chosen: int) -> list[str]:
    """The score: which tests caught the mutants, and what a mutant costs."""
    caught = [finding for finding in findings if finding.status == CAUGHT]
    unexpected = [finding for finding in caught if finding.is_unexpected]
    lines = [
        ("caught", f"{len(caught)} of {chosen - count(findings, UNBUILT)}"),
        ("  by the test named first", str(len(caught) - len(unexpected))),
        ("  by another test", str(len(unexpected))),
        ("survived", names(findings, SURVIVED)),
        ("broken", names(findings, BROKEN)),
    ]
    if count(findings, UNBUILT):
        lines.append(("do not build (generated)", str(count(findings, UNBUILT))))
    if not_run := chosen - len(findings):
        lines.append(("not run", str(not_run)))
    if caught:
        seconds = [finding.seconds for finding in caught]
        building = [finding.build_seconds for finding in caught]
        worst = max(caught, key=lambda finding: finding.seconds)
        lines.append(("seconds a mutant", f"median {statistics.median(seconds):.1f} (building "
                      f"{statistics.median(building):.1f}), worst {worst.seconds:.1f} "
                      f"({worst.mutant})"))
    return in_columns(lines)


def count(findings: Sequence[Finding], status: str) -> int:
    return sum(finding.status == status for finding in findings)


def names(findings: Sequence[Finding], status: str) -> str:
    found = [finding.mutant for finding in by_name(findings) if finding.status == status]
    return f"{len(found)}{': ' if found else ''}{', '.join(found)}"


# Files ---------------------------------------------------------------------------------------


def write_results(out: Path, findings: Sequence[Finding], chosen: int, part: Part) -> None:
    rows = [dataclasses.asdict(finding) for finding in by_name(findings)]
    whole = {"score": score(findings, chosen), "chosen": chosen,
             "part": f"{part.number}/{part.of}", "mutants": rows}
    (out / "results.json").write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    with (out / "results.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        columns = [f.name for f in dataclasses.fields(Finding)]
        writer.writerow(columns)
        for row in rows:
            cells = (row[column] for column in columns)
            writer.writerow([" ".join(c) if isinstance(c, list) else c for c in cells])


def write_matrix(out: Path, findings: Sequence[Finding]) -> None:
    tests = list(dict.fromkeys(t for f in findings for t in [*f.tests_run, *f.tests_failed]))
    with (out / "matrix.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["mutant", *tests])
        for found in by_name(findings):
            cells = (
                "caught" if t in found.tests_failed else "passed" if t in found.tests_run else ""
                for t in tests
            )
            writer.writerow([found.mutant, *cells])


def text_of_mutant(mutant: Mutant) -> str:
    head = f"Class: {mutant.bug_class}\nSeen: {mutant.seen}\nTests: {', '.join(mutant.tests)}\n"
    return f"{head}\n{format_edits(mutant.edits)}"


# A run ---------------------------------------------------------------------------------------


def line_of(number: int, chosen: int, found: Finding) -> str:
    word = found.status if found.status == CAUGHT else found.status.upper()
    where = found.caught_by or "-"
    return (f"[{number:3}/{chosen}] {word:<8} {found.mutant:<36} {where:<28} "
            f"{found.seconds:6.1f} s  {found.how}")


class Report:
    """The findings so far, printed as they come and as tables at the end."""

    def __init__(self, out: Path, chosen: int, part: Part, matrix: bool = False) -> None:
        self.out, self.chosen, self.part, self.matrix = out, chosen, part, matrix
        self.findings: list[Finding] = []
        self.started = time.monotonic()

    def take(self, finding: Finding) -> None:
        self.findings.append(finding)
        print(line_of(len(self.findings), self.chosen, finding), flush=True)
        if self.matrix:
            print(f"    {' '.join(finding.tests_failed) or 'no test'}", flush=True)
        # At once: a run that is killed after an hour leaves its results.
        write_results(self.out, self.findings, self.chosen, self.part)

    def end(self) -> str:
        seconds = time.monotonic() - self.started
        of_part = f", part {self.part.number}/{self.part.of}" if self.part.of > 1 else ""
        return f"{score(self.findings, self.chosen)}{of_part}, {seconds:.0f} s"

    def show(self) -> None:
        if not self.findings:
            return
        print("\n" + "\n".join(table(self.findings)))
        if any(finding.is_unexpected for finding in self.findings):
            print("* not by the test that the mutant names first")
        if self.matrix:
            write_matrix(self.out, self.findings)
            print("\nhow many tests of each kind caught it:")
            print("\n".join(matrix_table(self.findings)))
        print("\n" + "\n".join(summary(self.findings, self.chosen)))
        print(f"\n{self.end()}; {self.out}/results.csv, outputs in {self.out}/logs", flush=True)

    def show_generated(self, mutants: Sequence[Mutant]) -> None:
        """Survivors are printed as text that could become a mutant of tests/mutants."""
        survived = {f.mutant for f in self.findings if f.status == SURVIVED}
        for mutant in mutants:
            if mutant.name in survived:
                (self.out / f"{mutant.name}.mutant").write_text(text_of_mutant(mutant),
                                                                encoding="utf-8")
                print(f"\n{mutant.name} survived {', '.join(mutant.tests)}:")
                print(format_edits(mutant.edits), end="")
        print("\n" + "\n".join(rules_table(self.findings)))
        print(f"\ngenerated: {self.end()}; {self.out}/results.csv, survivors beside it as .mutant",
              flush=True)

    def all_caught(self, run_too_few: bool = False) -> bool:
        """Of those that were chosen; if there was a deadline, of those that ran."""
        wanted = len(self.findings) if run_too_few else self.chosen
        caught = count(self.findings, CAUGHT) + count(self.findings, UNBUILT)
        return caught == wanted and count(self.findings, CAUGHT) > 0
