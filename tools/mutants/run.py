# SPDX-License-Identifier: BSD-2-Clause
"""Runs mutants: each worker has a tree, puts one mutant into it, and runs tests until one fails."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from mutants.catalog import Broken, CannotRun, Mutant, apply_mutant, files_touched
from mutants.signs import Sign, shortened, sign_of, sign_of_build, telling_line
from mutants.source import BadMutant, Index
from mutants.tests import (
    LIMIT_FACTOR, SEEDED, CleanTests, Outcome, Slots, Stopped, Tree, kind_of,
)
from mutants.trees import State, content_hash, copy_tree, state_of, synchronize

LIMIT_TRIES = 3
CAUGHT, SURVIVED, BROKEN = "caught", "survived", "broken"
# A generated mutant that the compiler refuses: it says nothing about the tests.
UNBUILT = "unbuilt"


class DoesNotBuild(BadMutant):
    """The compiler refuses a mutant that does not name the test `build`."""


@dataclass
class Finding:
    """The result of one mutant. A broken one is a fault of the mutant and not a catch."""

    mutant: str
    status: str = SURVIVED
    bug_class: str = ""
    expected: str = ""  # the test that the mutant names first
    caught_by: str = ""
    seconds: float = 0.0  # until it was caught, building included, waiting for a processor not
    build_seconds: float = 0.0
    seed: str = ""
    how: str = ""
    tests_run: list[str] = field(default_factory=list)
    tests_failed: list[str] = field(default_factory=list)
    group: str = ""

    @property
    def is_unexpected(self) -> bool:
        return self.status == CAUGHT and self.caught_by not in (self.expected, "")


def finding_of_broken(broken: Broken) -> Finding:
    return Finding(broken.name, BROKEN, how=shortened(broken.why), group=broken.group)


class Run:
    """A clean tree, the workers' trees, and what runs in them."""

    def __init__(self, options: argparse.Namespace, index: Index) -> None:
        self.options, self.index = options, index
        self.out: Path = options.root / "build" / "mutants"
        self.results = self.out / "generated" if options.generate else self.out
        self.slots = Slots(options.jobs)
        self.clean: Tree
        self.state: State = {}
        self.workers: list[Tree] = []
        self.idle: list[Tree] = []
        self.clean_tests: CleanTests
        self.current: dict[str, Finding] = {}  # of the mutants that have begun
        self.stopping = False
        self.deadline = float("inf")
        self.has_begun = False

    # ---- the trees

    def open(self, workers: int) -> None:
        options, clean = self.options, self.out / "clean"
        copy_tree(options.root, clean)
        self.clean = Tree(clean, options.arguments)
        key = content_hash(options.root, options.arguments)
        self.clean_tests = CleanTests(self.clean, self.slots, options.grace,
                                      self.out / "clean-tests.json", key)
        tests = ("build", *self.clean.names())
        targets = {target for test in tests for target in self.clean.targets(test)}
        failed = self.clean.make([f"-j{options.jobs}", *sorted(targets)])
        if failed:
            raise CannotRun(f"the clean tree does not build: {sign_of_build(failed).text}")
        self.state = state_of(clean)
        self.index = Index(clean)
        for number in range(workers):
            root = self.out / f"worker-{number}"
            root.mkdir(exist_ok=True)
            synchronize(clean, self.state, root)
            self.workers.append(Tree(root, options.arguments))
        self.idle = list(self.workers)

    def stop(self) -> None:
        self.stopping = True
        self.slots.stop()
        for tree in [self.clean, *self.workers] if self.workers else []:
            tree.processes.stop()

    # ---- one mutant

    def examine(self, mutant: Mutant) -> Finding | None:
        """Nothing if the time was over before the mutant began. One mutant always runs."""
        if self.stopping:
            raise Stopped
        if self.has_begun and time.monotonic() >= self.deadline:
            return None
        self.has_begun = True
        tree = self.idle.pop()
        finding = Finding(mutant.name, bug_class=mutant.bug_class, expected=mutant.tests[0],
                          group=mutant.group)
        self.current[mutant.name] = finding
        try:
            self.try_tests(mutant, tree, finding)
        except BadMutant as bad:
            unbuilt = mutant.rule and isinstance(bad, DoesNotBuild)
            finding.status = UNBUILT if unbuilt else BROKEN
            finding.how = shortened(str(bad))
        finally:
            if not self.stopping:
                synchronize(self.clean.root, self.state, tree.root)
            self.idle.append(tree)
        return finding

    def attempts(self, mutant: Mutant) -> Iterator[tuple[str, int | None]]:
        """The tests that the mutant names, with its seed first if they take one; then others."""
        for test in mutant.tests:
            if mutant.seed is not None and kind_of(test) in SEEDED:
                yield test, mutant.seed
            yield test, None
        if not self.options.named:
            yield from ((test, None) for test in self.clean.names() if test not in mutant.tests)

    def try_tests(self, mutant: Mutant, tree: Tree, finding: Finding) -> None:
        unknown = [test for test in mutant.tests if not tree.has(test)]
        if unknown:
            raise BadMutant(f"head: Tests: there is no {', '.join(unknown)}")
        apply_mutant(mutant, self.index, tree.root)
        for test, seed in self.attempts(mutant):
            done = test in finding.tests_failed
            if done or (finding.status == CAUGHT and not self.options.matrix):
                continue
            self.build_for(test, mutant, tree, finding)
            if test in finding.tests_failed and test == "build":
                return  # there is nothing to run
            if test != "build":
                self.run_test(test, seed, tree, finding)

    def build_for(self, test: str, mutant: Mutant, tree: Tree, finding: Finding) -> None:
        with self.slots.take(1):
            started = time.monotonic()
            failed = tree.make(tree.targets(test))
        self.spend(finding, time.monotonic() - started, building=True)
        if not failed:
            return
        self.keep_output(finding.mutant, "build", failed)
        sign = sign_of_build(failed)
        if "build" not in mutant.tests:
            raise DoesNotBuild(f"does not build for {test}: {sign.text}")
        self.caught(finding, "build", sign)

    def spend(self, finding: Finding, seconds: float, building: bool = False) -> None:
        if finding.status == CAUGHT:
            return
        finding.seconds += seconds
        if building:
            finding.build_seconds += seconds

    def run_test(self, test: str, seed: int | None, tree: Tree, finding: Finding) -> None:
        limit = self.clean_tests.limit(test)
        for _ in range(LIMIT_TRIES):
            with self.slots.take(tree.job(test).slots):
                outcome = tree.run(test, seed, limit)
            self.spend(finding, outcome.seconds)
            # A test that failed and then hung needs no comparison with the clean tree.
            if not outcome.timed_out or telling_line(outcome.output)[0]:
                break
            clean_seconds = self.clean_tests.run(test)
            if clean_seconds <= limit / 2:
                break
            limit = round(limit + LIMIT_FACTOR * clean_seconds)
        else:
            return  # the machine is too slow to tell a hang
        if test not in finding.tests_run:
            finding.tests_run.append(test)
        if outcome.failed:
            self.keep_output(finding.mutant, test, outcome.output)
            self.caught(finding, test, self.sign_of(test, outcome, seed, limit))

    def sign_of(self, test: str, outcome: Outcome, seed: int | None, limit: int) -> Sign:
        sign = sign_of(outcome.output, outcome.problems)
        if outcome.timed_out:
            said = telling_line(outcome.output)[0]
            text = f"hang, ended after {limit} s; clean {self.clean_tests.of(test):.1f} s"
            sign = Sign(shortened(f"{said}; then a hang" if said else text), sign.seed)
        return sign if seed is None else Sign(sign.text, str(seed))

    def keep_output(self, mutant: str, test: str, output: str) -> None:
        name = re.sub(r"[^\w.=-]+", "-", f"{mutant}-{test}") + ".log"
        (self.results / "logs" / name).write_text(output, encoding="utf-8")

    def caught(self, finding: Finding, test: str, sign: Sign) -> None:
        finding.tests_failed.append(test)
        if finding.status == CAUGHT:
            return
        finding.status, finding.caught_by = CAUGHT, test
        finding.how, finding.seed = sign.text, sign.seed

    # ---- all of them

    def order(self, mutants: Sequence[Mutant]) -> list[Mutant]:
        """Those that change headers first: they build longest. With a deadline, as given."""
        if self.options.minutes:
            return list(mutants)

        def changes_header(mutant: Mutant) -> bool:
            return any(file.endswith(".h") for file in files_touched(mutant, self.index))

        return sorted(mutants, key=lambda mutant: not changes_header(mutant))

    def visit(self, mutants: Sequence[Mutant], show: Callable[[Finding], None]) -> None:
        with ThreadPoolExecutor(max_workers=len(self.workers)) as pool:
            futures: list[Future[Finding | None]] = [
                pool.submit(self.examine, mutant) for mutant in self.order(mutants)]
            try:
                for future in as_completed(futures):
                    if finding := future.result():
                        show(finding)
            except BaseException:
                for future in futures:
                    future.cancel()
                self.stop()
                raise
