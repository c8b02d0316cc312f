# SPDX-License-Identifier: BSD-2-Clause
"""Mutation tests: puts one bug at a time into a copy of the tree, and says which test catches it.

A mutant is a file of tests/mutants (catalog.py) or is made by rule (generate.py). Each is applied
to a copy of the tree, what a test needs is built, and tests run until one fails: those that the
mutant names, then all others from cheap to expensive. Every test first passes on the clean tree. A
hang is a catch only if the clean tree, run again at that moment, takes at most half of the limit.
A mutant that cannot be read, whose text is not found, that needs a test that does not exist or
fails on the clean tree, or that does not build is broken and not caught, unless it names the test
`build`.

Usage: mutants.py [OPTIONS] -- PLAN (tools/check/plan.py)
       mutants.py --generate PATTERN... [OPTIONS] -- PLAN (tools/check/plan.py)
       mutants.py --sample N [--seed S] [OPTIONS] -- PLAN (tools/check/plan.py)
       mutants.py --list | --check | --touching FILE... | --new NAME [FILE...]
Exit status: 0 all caught, 1 not all, 2 cannot run, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mutants.author import make_new
from mutants.catalog import (
    ALL_CAUGHT, CANNOT_RUN, FOLDER, INTERRUPTED, NOT_ALL, Broken, CannotRun, Mutant, check_all,
    files_touched, parse_tests, read_written, show_list, show_touching,
)
from mutants.choose import Part, choose, commit_hash, parse_part, rotated, starting_point
from mutants.generate import generate, read_listed
from mutants.report import Report
from mutants.run import Run, finding_of_broken
from mutants.sample_run import LIMIT_SECONDS, run_sample, stale_equivalents
from mutants.source import Index
from mutants.tests import LIMIT_BASE_SECONDS, LIMIT_FACTOR, Stopped, kind_of, rank
from suggest import did_you_mean

ROOT = Path(__file__).resolve().parent.parent.parent
# Mutants of any function are many: boots and schedules run on them only if --tests names these.
CHEAP_KINDS = ("lint", "host", "host-checks0", "host-bare", "corpus", "tsan")
TESTS_OF_A_FILE_MAX = 6


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mutants.py",
        description="Apply each mutant to a copy of the tree and see which test catches it.",
        epilog="After --, the plan of tools/check/plan.py, whose jobs are the tests.",
    )
    add = parser.add_argument
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    add("--only", default="", metavar="PATTERNS",
        help="mutants whose name contains or matches one of these words; GROUP/ is a group")
    add("--part", default="1/1", metavar="K/N",
        help="every N-th mutant from the K-th on; auto/N takes K from the commit's hash")
    add("--minutes", type=float, default=0, metavar="N",
        help="as many mutants as fit; the commit's hash chooses the first; named tests only")
    add("--matrix", action="store_true", help="run all tests on each mutant, for study")
    add("--named", action="store_true", help="run only the tests that a mutant names")
    add("--generate", nargs="+", default=[], metavar="PATTERN",
        help="mutants by all rules, of functions whose name or file matches; survivors are no "
             "failure")
    add("--sample", type=int, default=0, metavar="N",
        help="N mutants by all rules, drawn from mm, sync, kernel/smp and arch; the share caught is "
             "reported, and survivors are no failure while it is high")
    add("--limit", type=int, default=LIMIT_SECONDS, metavar="SECONDS",
        help="for --sample: no further test begins on a mutant after this time of tests")
    add("--list", action="store_true", help="list the mutants and run nothing")
    add("--check", action="store_true", help="only see that every mutant is sound and applies")
    add("--touching", nargs="+", default=[], metavar="FILE",
        help="list the mutants whose functions are in these files")
    add("--new", nargs="+", default=[], metavar=("NAME", "FILE"),
        help="make a mutant of the change that is not committed yet (in these files)")
    add("--group", metavar="FOLDER", help="for --new: the folder below tests/mutants")
    add("--class", dest="bug_class", default="", metavar="TEXT", help="for --new: head line Class")
    add("--seen", default="", metavar="TEXT", help="for --new: head line Seen")
    add("--tests", default="", metavar="TESTS",
        help="for --new: head line Tests; for --generate: the tests to run")
    add("--seed", default="", metavar="SEED", help="for --new: head line Seed; for --sample: what the list follows from, or auto (default): "
             "the number of commits")
    add("--jobs", type=int, default=len(os.sched_getaffinity(0)), metavar="N",
        help="workers (default: the host's processors)")
    add("--grace", type=int, default=LIMIT_BASE_SECONDS, metavar="SECONDS",
        help=f"what a test may take beyond {LIMIT_FACTOR} times its time on the clean tree")
    add("--root", type=Path, default=ROOT, metavar="DIR", help="the tree")
    options = parser.parse_args(arguments[:cut])
    options.arguments = arguments[cut + 1 :]
    options.root = options.root.resolve()
    options.jobs = max(1, options.jobs)
    # What takes long must not begin shortly before the time is over.
    options.named = options.named or bool(options.minutes or options.generate)
    return options


# Mutants of any function ---------------------------------------------------------------------


def tests_by_file(mutants: Sequence[Mutant], index: Index) -> dict[str, list[str]]:
    """The tests that the mutants of a file name most often; the same for each folder."""
    counts: dict[str, dict[str, int]] = {}
    for mutant in mutants:
        tests = [test for test in mutant.tests if kind_of(test) in CHEAP_KINDS]
        for file in files_touched(mutant, index):
            for place in (file, os.path.dirname(file)):
                for test in tests:
                    of_place = counts.setdefault(place, {})
                    of_place[test] = of_place.get(test, 0) + 1
    result = {}
    for place, of_place in counts.items():
        most = sorted(of_place, key=lambda test: (-of_place[test], test))[:TESTS_OF_A_FILE_MAX]
        result[place] = sorted(most, key=lambda test: (rank(test), -of_place[test]))
    return result


def generated_mutants(options: argparse.Namespace, index: Index) -> list[Mutant]:
    patterns = [pattern for word in options.generate for pattern in word.split()]
    named = parse_tests(options.tests) if options.tests else ()
    known = [*read_written(options.root)[0], *read_listed(index).mutants]
    by_file = {} if named else tests_by_file(known, index)

    def tests_for(path: str) -> Sequence[str]:
        tests = named or by_file.get(path) or by_file.get(os.path.dirname(path))
        if not tests:
            raise CannotRun(f"no mutant of {FOLDER} says which tests look at {path}: "
                            "name some with --tests")
        return tests

    return generate(index, patterns, tests_for)


# Running -------------------------------------------------------------------------------------


def run_mutants(options: argparse.Namespace, index: Index, mutants: Sequence[Mutant],
                broken: Sequence[Broken], part: Part) -> Report:
    run = Run(options, index)
    if options.minutes:
        run.deadline = time.monotonic() + 60 * options.minutes
    shutil.rmtree(run.results if options.generate else run.out / "logs", ignore_errors=True)
    (run.results / "logs").mkdir(parents=True)
    report = Report(run.results, len(mutants) + len(broken), part, options.matrix)
    for one in broken:
        report.take(finding_of_broken(one))
    try:
        if mutants:
            run.open(min(options.jobs, len(mutants)))
            run.visit(mutants, report.take)
    finally:
        if options.generate and report.findings:
            report.show_generated(mutants)
        else:
            report.show()
    return report


def run_any(options: argparse.Namespace, index: Index) -> int:
    part = parse_part(options.part, lambda: commit_hash(options.root))
    made = generated_mutants(options, index)
    chosen = [item for item in choose(made, options.only, part) if isinstance(item, Mutant)]
    print(f"{len(chosen)} of {len(made)} generated mutants")
    if not chosen:
        raise CannotRun("no function is chosen, or there is nothing to change in it")
    if options.list:
        return show_list(chosen, [])
    run_mutants(options, index, chosen, [], part)
    return ALL_CAUGHT


def run_chosen(options: argparse.Namespace) -> int:
    if options.new:
        return make_new(options)
    index = Index(options.root)
    if options.generate:
        return run_any(options, index)
    if options.sample:
        return run_sample(options, index)
    mutants, broken = read_written(options.root)
    listed = read_listed(index)
    everything = [*mutants, *broken, *listed.mutants, *listed.broken]
    part = parse_part(options.part, lambda: commit_hash(options.root))
    chosen = choose(everything, options.only, part)
    if part.of > 1:
        print(f"part {part.number}/{part.of} ({part.why}): {len(chosen)} of {len(everything)} "
              "mutants")
    if not chosen:
        names = [name for item in everything for name in (item.name, f"{item.group}/")]
        near = did_you_mean(options.only, names) if options.only else ""
        raise CannotRun(f"no mutant is chosen{near}; tools/mutants.py --list lists them")
    if options.minutes:
        start, why = starting_point(options.root)
        chosen = rotated(chosen, start)
        print(f"{options.minutes:g} minutes, from {chosen[0].full_name} on ({why})")
    mutants = [item for item in chosen if isinstance(item, Mutant)]
    broken = [item for item in chosen if isinstance(item, Broken)]
    if options.list:
        status = show_list(mutants, broken)
        for name, reason in sorted(listed.equivalent.items()):
            print(f"equivalent: {name}: {reason}")
        return status
    if options.check:
        return check_all(mutants, [*broken, *stale_equivalents(index, options.root)], index)
    if options.touching:
        return show_touching(mutants, options.touching, index)
    report = run_mutants(options, index, mutants, broken, part)
    if options.minutes:
        print(f"{len(report.findings)} of {len(chosen)} mutants ran in {options.minutes:g} minutes")
    return ALL_CAUGHT if report.all_caught(bool(options.minutes)) else NOT_ALL


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    # The make that started this program must not direct those that it starts.
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"):
        os.environ.pop(name, None)
    os.environ["WARN_ONLY"] = "1"  # a mutant may leave an unused name behind
    signal.signal(signal.SIGTERM, interrupt)
    try:
        return run_chosen(parse_arguments(sys.argv[1:] if arguments is None else arguments))
    except CannotRun as error:
        print(f"mutants: {error}", file=sys.stderr)
        return CANNOT_RUN
    except (KeyboardInterrupt, Stopped):
        print("interrupted: the other mutants have not run", file=sys.stderr)
        return INTERRUPTED
