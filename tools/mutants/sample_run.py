# SPDX-License-Identifier: BSD-2-Clause
"""Runs a sample of generated mutants (sample.py), each up to a time limit, and reports its share.

Tests run on it from cheap to expensive; those that cover its file come earlier than their other builds
and lint, and these earlier than all others. The limit is on the time of tests, without building. A
mutant that changes no object code is equivalent and not counted; neither is one that does not build, or
that tests/mutants/equivalent.toml lists with a reason. A survivor is a mutant that no test caught within the limit.
"""

from __future__ import annotations

import argparse
import difflib
import html
import json
import re
import time
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mutants.catalog import (
    ALL_CAUGHT, FOLDER, NOT_ALL, Broken, CannotRun, Mutant, files_touched, in_columns, read_written,
)
from mutants.edits import apply_edits, format_edits
from mutants.generate import RULES, Made, changes_of_rule, read_listed
from mutants.objects import Objects
from mutants.report import line_of
from mutants.rules_asm import RULES_ASM
from mutants.run import BROKEN, CAUGHT, SURVIVED, UNBUILT, Finding, Run
from mutants.sample import (
    interval, parse_seed, sample, scopes_by_file, stem_of, tests_that_cover,
)
from mutants.source import Index
from mutants.tests import Tree, kind_of, split_name

EQUIVALENT_FILE = FOLDER / "equivalent.toml"
EQUIVALENT = "equivalent"
LIMIT_SECONDS = 240
# A sample fails if even the upper end of its interval is below: then a part of the tests does not look
# any more. A share of a few mutants says too little.
SHARE_MIN = 0.5
# Of tests that have not run on the clean tree yet.
EXPLORED_SECONDS, LINT_SECONDS = 60.0, 30.0
NAMED_TESTS_MAX = 6
QUICK_BOOT = "qemu/quick"  # of `make check`; here a boot with two harts, and the quickest ones
QUICK_BOOTS = 8
ORDER_RULES = ("fence", "fence_kind", "asm_order")
GATED_RULES = (*ORDER_RULES, *RULES_ASM)
# Tests that are less likely to catch a mutant wait, as if they took this much longer.
OTHER_BUILD_WEIGHT, REST_WEIGHT = 3, 100
OTHER_BUILDS = ("host-checks0", "host-bare", "tsan")


# What is known to be equivalent ---------------------------------------------------------------


def read_equivalent(root: Path) -> dict[str, str]:
    """Mutants that were read, each with the reason why no test can see it."""
    try:
        data = tomllib.loads((root / EQUIVALENT_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except tomllib.TOMLDecodeError as error:
        raise CannotRun(f"{EQUIVALENT_FILE}: {error}") from None
    found = data.get("equivalent", {})
    if set(data) - {"equivalent"} or not all(isinstance(x, str) and x for x in found.values()):
        raise CannotRun(f"{EQUIVALENT_FILE}: it has [equivalent], with a reason for each mutant")
    return dict(found)


def stale_equivalents(index: Index, root: Path) -> list[Broken]:
    """Those that no rule makes any more."""
    scopes = defaultdict(list)
    for of_file in scopes_by_file(index).values():
        for scope in of_file:
            scopes[stem_of(index, scope)].append(scope)
    stale = []
    for name in read_equivalent(root):
        stem, rule = (name.rsplit("-", 2) + ["", ""])[:2]
        made = [one for scope in scopes[stem] if rule in RULES
                for one in changes_of_rule(scope, rule) if f"{stem}-{one.key}" == name]
        if not made:
            stale.append(Broken(name, "", f"{EQUIVALENT_FILE}: no rule makes it: its statement "
                                          "changed"))
    return stale


# The tests of a mutant ------------------------------------------------------------------------


@dataclass
class Order:
    """In which order tests run on the mutants of a file."""

    tree: Tree
    seconds: dict[str, float]  # on the clean tree, as far as is known
    covering: dict[str, list[str]]
    named: dict[str, list[str]] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)  # in the last `make test`

    def cost(self, test: str) -> float:
        if test in self.seconds or test in self.last:
            return self.seconds.get(test) or self.last[test]
        if test == "lint":
            return LINT_SECONDS
        return EXPLORED_SECONDS if test == "explore" else float(self.tree.job(test).expected_seconds)

    def boots(self) -> list[str]:
        boots = [test for test in self.tree.names() if test.startswith("qemu/")]
        with_two = sorted(test for test in boots if test.startswith("qemu/smp=2 "))[:1]
        return [*with_two, *sorted(boots, key=lambda test: (self.cost(test), test))[:QUICK_BOOTS]]

    def of(self, path: str, rule: str) -> tuple[str, ...]:
        """Machine code is looked at first where the rule changes it directly."""
        known = self.tree.names()
        wanted = [*self.covering.get(path, ()), *self.named.get(path, ())]
        first = {test for test in wanted if test in known}
        if QUICK_BOOT in wanted:
            first.update(self.boots())
        builds = {f"{build}/{test.partition('/')[2]}" for test in first if kind_of(test) == "host"
                  for build in OTHER_BUILDS}
        second = (builds | {"lint"}) & set(known) - first
        rest = set(known) - first - second
        weights = {**dict.fromkeys(first, 1), **dict.fromkeys(second, OTHER_BUILD_WEIGHT),
                   **dict.fromkeys(rest, REST_WEIGHT)}
        if rule in GATED_RULES and "lint" in known:
            weights["lint"] = 0 if rule in ORDER_RULES else 1
        return tuple(sorted(weights, key=lambda test: (weights[test] * self.cost(test), test)))


def seconds_of_last_run(root: Path) -> dict[str, float]:
    """What each job of the last `make test` took."""
    try:
        text = (root / "build" / "logs" / "junit.xml").read_text(encoding="utf-8")
    except OSError:
        return {}
    return {html.unescape(name): float(seconds) for name, seconds
            in re.findall(r'<testcase [^>]*\bname="([^"]*)" time="([\d.]+)"', text)}


def named_tests(index: Index, root: Path) -> dict[str, list[str]]:
    """The tests that the mutants of a file name most often."""
    counts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for mutant in [*read_written(root)[0], *read_listed(index).mutants]:
        for path in files_touched(mutant, index):
            for test in dict.fromkeys(split_name(test)[0] for test in mutant.tests):
                counts[path][test] += 1
    return {path: sorted(of, key=lambda test: (-of[test], test))[:NAMED_TESTS_MAX]
            for path, of in counts.items()}


# Running --------------------------------------------------------------------------------------


class SampleRun(Run):
    """Runs mutants of a sample; `made` says what each one changes."""

    def __init__(self, options: argparse.Namespace, index: Index, made: dict[str, Made]) -> None:
        super().__init__(options, index)
        self.results = self.out / "sample"
        self.made = made
        self.objects: Objects
        self.order_of: Order

    def open(self, workers: int) -> None:
        super().open(workers)
        self.objects = Objects(self.clean.root)
        root = self.options.root
        self.order_of = Order(self.clean, self.clean_tests.seconds, tests_that_cover(root, self.index),
                              named_tests(self.index, root), seconds_of_last_run(root))

    def order(self, mutants: Sequence[Mutant]) -> list[Mutant]:
        return list(mutants)  # as drawn: when the time is over, those that ran are a sample

    def try_tests(self, mutant: Mutant, tree: Tree, finding: Finding) -> None:
        made = self.made[mutant.name]
        scope = made.scope
        for path, text in apply_edits(self.index, mutant.edits).items():
            (tree.root / path).write_text(text, encoding="utf-8")
        with self.slots.take(1):
            started = time.monotonic()
            differs = self.objects.differ(tree.root, scope.file.path, scope.name)
        self.spend(finding, time.monotonic() - started, building=True)
        if not differs:
            finding.status = EQUIVALENT
            finding.how = "no object code differs"
            return
        mutant = replace(mutant, tests=self.order_of.of(scope.file.path, made.rule))
        finding.expected = mutant.tests[0]
        super().try_tests(mutant, tree, finding)

    def attempts(self, mutant: Mutant) -> Iterator[tuple[str, int | None]]:
        finding = self.current[mutant.name]
        for test in mutant.tests:
            if finding.seconds - finding.build_seconds < self.options.limit:
                yield test, None


# The report -----------------------------------------------------------------------------------


def folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def counts_of(findings: Sequence[Finding]) -> dict[str, int]:
    statuses = (CAUGHT, SURVIVED, EQUIVALENT, UNBUILT, BROKEN)
    return {status: sum(found.status == status for found in findings) for status in statuses}


def share_text(findings: Sequence[Finding]) -> str:
    counts = counts_of(findings)
    counted = counts[CAUGHT] + counts[SURVIVED]
    if not counted:
        return "none counted"
    low, high = interval(counts[CAUGHT], counted)
    return f"{100 * counts[CAUGHT] / counted:.1f} % ({100 * low:.0f} to {100 * high:.0f})"


def table(findings: Sequence[Finding], made: dict[str, Made], what: str) -> list[str]:
    groups: dict[str, list[Finding]] = defaultdict(list)
    for found in findings:
        one = made[found.mutant]
        groups[one.rule if what == "rule" else folder_of(one.scope.file.path)].append(found)
    rows = [(what, CAUGHT, SURVIVED, "same object", UNBUILT, BROKEN, "share caught (95 %)")]
    for name in [*sorted(groups), "all"]:
        part = groups.get(name, list(findings))
        rows.append((name, *map(str, counts_of(part).values()), share_text(part)))
    return in_columns(rows)


class SampleReport:
    """A line for each mutant as it ends, records in a file, and the tables at the end."""

    def __init__(self, run: SampleRun, mutants: Sequence[Mutant], seed: int) -> None:
        self.run, self.seed = run, seed
        self.mutants = {mutant.name: mutant for mutant in mutants}
        self.findings: list[Finding] = []
        self.started = time.monotonic()
        self.file = run.results / "results.jsonl"

    def resume(self) -> None:
        """What an interrupted run of the same sample in the same tree found is taken over."""
        try:
            *rows, whole = map(json.loads, self.file.read_text(encoding="utf-8").splitlines())
        except (OSError, ValueError):
            return
        if self.identity().items() <= whole.items() and whole["ran"] < whole["drawn"]:
            for row in rows:
                mutant = self.mutants[row["name"]]
                self.findings.append(Finding(
                    mutant.name, row["status"], mutant.bug_class, caught_by=row["by"],
                    how=row["how"], seconds=row["seconds"], tests_run=[""] * row["tests"]))
            print(f"{len(rows)} of them have run already", flush=True)

    def left(self) -> list[Mutant]:
        done = {found.mutant for found in self.findings}
        return [mutant for name, mutant in self.mutants.items() if name not in done]

    def identity(self) -> dict[str, object]:
        return {"record": "sample", "seed": self.seed, "drawn": len(self.mutants),
                "limit_s": self.run.options.limit, "tree": self.run.clean_tests.key[:12]}

    def take(self, found: Finding) -> None:
        self.findings.append(found)
        print(line_of(len(self.findings), len(self.mutants), found), flush=True)
        self.write()

    def records(self) -> Iterator[dict[str, object]]:
        for found in self.findings:
            one = self.run.made[found.mutant]
            yield {"record": "mutant", "seed": self.seed, "name": found.mutant, "rule": one.rule,
                   "file": one.scope.file.path, "line": one.scope.file.line(one.site.begin),
                   "status": found.status, "by": found.caught_by, "how": found.how,
                   "tests": len(found.tests_run), "seconds": round(found.seconds, 1)}
        counts = counts_of(self.findings)
        low, high = interval(counts[CAUGHT], counts[CAUGHT] + counts[SURVIVED])
        yield {**self.identity(), "ran": len(self.findings), **counts,
               "share_low": round(low, 4), "share_high": round(high, 4)}

    def write(self) -> None:
        """At once: a run that is killed leaves what it found."""
        self.file.write_text("".join(json.dumps(record) + "\n" for record in self.records()),
                             encoding="utf-8")

    def diff(self, mutant: Mutant) -> str:
        lines: list[str] = []
        for path, text in apply_edits(self.run.index, mutant.edits).items():
            old = self.run.index.read(path).text
            lines += difflib.unified_diff(old.splitlines(), text.splitlines(), path, path,
                                          lineterm="", n=3)
        return "\n".join(lines)

    def show(self) -> None:
        for found in sorted(self.findings, key=lambda found: found.mutant):
            if found.status == SURVIVED:
                mutant = self.mutants[found.mutant]
                print(f"\n{found.mutant} survived {len(found.tests_run)} tests: {mutant.bug_class}")
                print(self.diff(mutant))
                print(f"again: make mutants SAMPLE=1 SEED={self.seed} ONLY={found.mutant}")
                text = f"Class: {mutant.bug_class}\nSeen: {mutant.seen}\nTests: " \
                       f"{found.expected}\n\n{format_edits(mutant.edits)}"
                (self.run.results / f"{found.mutant}.mutant").write_text(text, encoding="utf-8")
        for what in ("rule", "folder"):
            print("\n" + "\n".join(table(self.findings, self.run.made, what)))
        counts = counts_of(self.findings)
        print(f"\nsample of seed {self.seed}: {len(self.findings)} of {len(self.mutants)} ran, "
              f"{counts[CAUGHT]} of {counts[CAUGHT] + counts[SURVIVED]} caught: "
              f"{share_text(self.findings)}; not counted: {counts[EQUIVALENT]} of the same object "
              f"code, {counts[UNBUILT]} that do not build, {counts[BROKEN]} broken; "
              f"{time.monotonic() - self.started:.0f} s; {self.file}", flush=True)

    def status(self) -> int:
        counts = counts_of(self.findings)
        if interval(counts[CAUGHT], counts[CAUGHT] + counts[SURVIVED])[1] >= SHARE_MIN:
            return ALL_CAUGHT
        print(f"less than {100 * SHARE_MIN:.0f} % were caught")
        return NOT_ALL


def run_sample(options: argparse.Namespace, index: Index) -> int:
    seed = parse_seed(options.seed or "auto", options.root)
    known = read_equivalent(options.root)
    mutants: list[Mutant] = []
    made: dict[str, Made] = {}
    for mutant, one in sample(index, seed, options.only, set(known)):
        if len(mutants) == options.sample:
            break
        mutants.append(mutant)
        made[mutant.name] = one
    if not mutants:
        raise CannotRun("no rule makes a mutant of that name")
    print(f"sample of seed {seed}: {len(mutants)} mutants; {len(known)} are listed as equivalent")
    if options.list:
        print("\n".join(in_columns([(m.name, made[m.name].scope.file.path, m.bug_class)
                                    for m in mutants])))
        return ALL_CAUGHT
    run = SampleRun(options, index, made)
    if options.minutes:
        run.deadline = time.monotonic() + 60 * options.minutes
    (run.results / "logs").mkdir(parents=True, exist_ok=True)
    report = SampleReport(run, mutants, seed)
    try:
        run.open(min(options.jobs, len(mutants)))
        report.resume()
        if report.left():
            run.visit(report.left(), report.take)
    finally:
        if report.findings:
            report.show()
    return report.status()
