#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the package mutants: its parts, and all of it in a small tree of shell scripts; and that
the mutants of tests/mutants are sound and apply.

Prints KTAP; with a name as its argument, runs only the tests whose name has it.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import redirect_stdout
from pathlib import Path

import test_mutant_text
from mutants import catalog, choose, report, run, signs, tests, trees
from mutants.catalog import CannotRun
from mutants.choose import Part
from mutants.run import Finding
from mutants.source import BadMutant
from test_mutant_text import ADD, SUM_C, InTemporaryFolder

TOOLS = Path(__file__).resolve().parent
HEAD = "Class: a bug\nSeen: somewhere,\n and there too.\nTests: host/test_sum, lint\n"


def diff(path: str, old: str, new: str) -> str:
    """An edit of a file that is no C."""
    return f"In: file\nFile: {path}\n-{old}\n+{new}\n"


DIFF = diff("src/sum.sh", "sum=$((2 + 3))", "sum=$((2 - 3))")
OLD = DIFF.replace("2 + 3", "1 + 3")  # whose text is not there


class TestHead(InTemporaryFolder):
    def parse(self, text: str) -> catalog.Mutant:
        return catalog.parse_mutant(self.write("tests/mutants/sums/name.mutant", text))

    def check_bad(self, text: str, message: str) -> None:
        with self.assertRaisesRegex(BadMutant, message):
            self.parse(text)

    def test_all_of_it(self) -> None:
        mutant = self.parse(HEAD + "Seed: 0x1f\n\n" + DIFF)
        self.assertEqual(mutant.full_name, "sums/name")
        self.assertEqual(mutant.bug_class, "a bug")
        self.assertEqual(mutant.seen, "somewhere, and there too.")
        self.assertEqual(mutant.tests, ("host/test_sum", "lint"))
        self.assertEqual(mutant.seed, 31)

    def test_seed_may_be_missing(self) -> None:
        self.assertIsNone(self.parse(HEAD + "\n" + DIFF).seed)

    def test_other_lines_may_not(self) -> None:
        for key in ("Class", "Seen", "Tests"):
            head = "".join(x + "\n" for x in HEAD.splitlines() if not x.startswith((key, " ")))
            self.check_bad(head + "\n" + DIFF, f"no {key}")

    def test_empty_is_missing(self) -> None:
        self.check_bad(HEAD.replace("a bug", "") + "\n" + DIFF, "no Class")

    def test_unknown_or_twice(self) -> None:
        self.check_bad(HEAD + "Sead: 1\n\n" + DIFF, '"Sead: 1" is none of')
        self.check_bad(HEAD + "Class: b\n\n" + DIFF, "Class twice")
        self.check_bad(" from the start\n" + HEAD + "\n" + DIFF, "is none of")

    def test_seed_is_a_number(self) -> None:
        self.check_bad(HEAD + "Seed: many\n\n" + DIFF, "not a number")

    def test_tests(self) -> None:
        self.check_bad(HEAD.replace("lint", "") + "\n" + DIFF, "empty")
        self.check_bad(HEAD.replace("lint", "host/test_sum") + "\n" + DIFF, "twice")

    def test_no_blank_line(self) -> None:
        self.check_bad(HEAD + DIFF, "no blank line")

    def test_no_change(self) -> None:
        self.check_bad(HEAD + "\n", "changes nothing")


class TestSynchronizing(InTemporaryFolder):
    def setUp(self) -> None:
        super().setUp()
        self.clean, self.tree = self.folder / "clean", self.folder / "tree"
        self.write("clean/mm/a.c", "a")
        self.write("clean/build/a.o", "object of a")
        (self.clean / "build" / "kit").symlink_to("/usr/include")
        (self.clean / "build" / "kit.h").symlink_to("/usr/include/stdio.h")
        self.tree.mkdir()
        self.state = trees.state_of(self.clean)

    def check_same(self, *changed: str) -> None:
        found = trees.synchronize(self.clean, self.state, self.tree)
        self.assertEqual(sorted(found), sorted(changed))
        self.assertEqual(trees.state_of(self.tree), self.state)

    def test_links_stay_links(self) -> None:
        self.check_same("mm/a.c", "build/a.o", "build/kit", "build/kit.h")
        self.assertEqual(os.readlink(self.tree / "build" / "kit"), "/usr/include")
        self.assertEqual(os.readlink(self.tree / "build" / "kit.h"), "/usr/include/stdio.h")

    def test_only_what_changed(self) -> None:
        trees.synchronize(self.clean, self.state, self.tree)
        self.check_same()
        self.write("tree/mm/a.c", "b")
        self.write("tree/build/new.o", "new")
        (self.tree / "build" / "a.o").unlink()
        self.check_same("mm/a.c", "build/a.o")
        self.assertEqual((self.tree / "mm" / "a.c").read_text(), "a")

    def test_same_bytes_at_another_time_would_be_built_again(self) -> None:
        trees.synchronize(self.clean, self.state, self.tree)
        os.utime(self.tree / "mm" / "a.c")
        self.check_same("mm/a.c")


class TestChoosing(unittest.TestCase):
    ITEMS = [catalog.Broken(letter, "", "") for letter in "gfedcba"]

    def names(self, only: str, part: Part) -> str:
        return "".join(item.name for item in choose.choose(self.ITEMS, only, part))

    def test_parts_make_the_whole(self) -> None:
        parts = [self.names("", Part(number, 3)) for number in (1, 2, 3)]
        self.assertEqual(parts, ["adg", "be", "cf"])
        self.assertEqual(self.names("", Part()), "abcdefg")

    def test_only(self) -> None:
        self.assertEqual(self.names("c", Part()), "c")
        self.assertEqual(self.names("[b-d]", Part(2, 2)), "c")
        self.assertEqual(self.names("x", Part()), "")
        self.assertEqual(self.names("a f*", Part()), "af")

    def test_part(self) -> None:
        self.assertEqual(choose.parse_part("2/5", str), Part(2, 5, "as asked for"))

    def test_part_of_the_commit(self) -> None:
        part = choose.parse_part("auto/5", lambda: "0000000c" + 32 * "f")
        self.assertEqual((part.number, part.of), (12 % 5 + 1, 5))
        self.assertIn("commit 0000000c is 2 modulo 5", part.why)

    def test_every_part_comes(self) -> None:
        found = {choose.parse_part("auto/4", lambda: f"{n:040x}"[::-1]).number for n in range(16)}
        self.assertEqual(found, {1})  # only the first eight digits count
        found = {choose.parse_part("auto/4", lambda: f"{n:08x}").number for n in range(16)}
        self.assertEqual(found, {1, 2, 3, 4})

    def test_consecutive_commits_cover_all(self) -> None:
        """A tenth of the mutants a commit: no mutant is left out for long."""
        items = [catalog.Broken(str(number), "", "") for number in range(100)]
        seen = set()
        for count in range(1000, 1018):
            start = count * choose.GOLDEN_RATIO % 1
            seen |= {item.name for item in choose.rotated(items, start)[:10]}
        self.assertEqual(len(seen), 100)

    def test_bad_parts(self) -> None:
        for text in ("0/5", "6/5", "1/0", "5", "a/b", "auto", "1/2/3", "-1/2"):
            with self.assertRaises(CannotRun, msg=text):
                choose.parse_part(text, lambda: "00000000")


class TestHowItShowed(unittest.TestCase):
    def check(self, output: str, text: str, seed: str = "", problems: tuple[str, ...] = ()) -> None:
        sign = signs.sign_of(output, problems)
        self.assertEqual((sign.text, sign.seed), (text, seed))

    def test_failed_test(self) -> None:
        output = "KTAP version 1\n# test seed 1\n1..2\nok 1 a\n"
        output += "not ok 2 claims # seed 77: tests/x.c:3: 5 != 6\n"
        self.check(output, "claims: tests/x.c:3: 5 != 6", "77")

    def test_first_failed_test(self) -> None:
        self.check("ok 1 a\nnot ok 2 b # why\nnot ok 3 c # also\n", "b: why")

    def test_lint_with_one_problem(self) -> None:
        self.check("ok 1 a\nnot ok 3 fences of the locks # no fence in x\n",
                   "fences of the locks: no fence in x")

    def test_lint_with_several(self) -> None:
        self.check("not ok 3 fences # 2 problems:\n#   no fence in x\n#   nor in y\n",
                   "fences: no fence in x")

    def test_panic(self) -> None:
        output = "1..17\nok 1 a\n\nPANIC on cpu 2 (hart 3): zone: lost\nbacktrace:\n"
        self.check(output + "launch: verdict fail\n", "panic: zone: lost")

    def test_address_sanitizer(self) -> None:
        output = "==7==ERROR: AddressSanitizer: heap-use-after-free on address 0x1\n    #0 0x1\n"
        output += "SUMMARY: AddressSanitizer: heap-use-after-free mm/x.c:5 in f\n"
        self.check(output, "AddressSanitizer: heap-use-after-free mm/x.c:5 in f")

    def test_thread_sanitizer(self) -> None:
        output = "WARNING: ThreadSanitizer: data race (pid=3)\n  Write of size 8\n"
        output += "SUMMARY: ThreadSanitizer: data race mm/x.c:12 in g\nnot ok 1 x\n"
        self.check(output, "ThreadSanitizer: data race mm/x.c:12 in g")

    def test_undefined_behaviour(self) -> None:
        self.check("mm/x.c:3:9: runtime error: shift exponent 64 is too large\n",
                   "mm/x.c:3: shift exponent 64 is too large")

    def test_panic_in_a_thread(self) -> None:
        output = "# build/test_x seed 4\n1..1\n# seed 4: panic in a thread: broken invariant: x\n"
        self.check(output, "panic in a thread: broken invariant: x", "4")

    def test_schedule(self) -> None:
        output = "FAIL  seed 9: verdict fail: frames lost\n      replay it: make replay SEED=9\n"
        self.check("12 of 40 schedules, seed 3 next\n" + output, "verdict fail: frames lost", "9")

    def test_launcher(self) -> None:
        self.check("hello\nlaunch: QEMU ended without a verdict\n", "QEMU ended without a verdict")

    def test_crash(self) -> None:
        self.check("1..3\nok 1 a\n", "3 tests planned, 1 results; killed by SIGSEGV", "",
                   ("3 tests planned, 1 results", "killed by SIGSEGV"))

    def test_short(self) -> None:
        sign = signs.sign_of("not ok 1 a # " + 50 * "long ", ())
        self.assertEqual(len(sign.text), signs.PHRASE_LENGTH_MAX)
        self.assertTrue(sign.text.endswith("..."))

    def test_build(self) -> None:
        output = "In file included from y.h:1,\n"
        output += "mm/x.h:7:1: error: static assertion failed: \"64\"\n"
        sign = signs.sign_of_build(output + "make: *** [x.o] Error 1\n")
        self.assertEqual(sign.text, 'mm/x.h:7: static assertion failed: "64"')
        sign = signs.sign_of_build("/usr/bin/ld: undefined reference to `f'\ncollect2: x\n")
        self.assertEqual(sign.text, "undefined reference to `f'")


def finding(name: str, status: str, by: str = "host/test_a") -> Finding:
    return Finding(name, status, "a class", expected="host/test_a",
                   caught_by=by if status == run.CAUGHT else "")


class TestScore(unittest.TestCase):
    def visit(self, chosen: int, *findings: Finding) -> report.Report:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        visit = report.Report(Path(folder.name), chosen, Part())
        with redirect_stdout(io.StringIO()):
            for found in findings:
                visit.take(found)
        return visit

    def test_all(self) -> None:
        visit = self.visit(2, finding("b", run.CAUGHT), finding("a", run.CAUGHT))
        self.assertTrue(visit.all_caught())
        self.assertEqual(report.score(visit.findings, 2), "2 of 2 caught")

    def test_not_all(self) -> None:
        for status in (run.SURVIVED, run.BROKEN):
            visit = self.visit(2, finding("b", run.CAUGHT), finding("a", status))
            self.assertFalse(visit.all_caught())
            self.assertEqual(report.score(visit.findings, 2), "1 of 2 caught")

    def test_not_looked_at_is_not_caught(self) -> None:
        self.assertFalse(self.visit(2, finding("b", run.CAUGHT)).all_caught())
        self.assertFalse(self.visit(0).all_caught())

    def test_table_is_sorted_and_marks_the_unexpected(self) -> None:
        found = [finding("b", run.CAUGHT, "lint"), finding("c", run.SURVIVED),
                 finding("a", run.CAUGHT)]
        lines = report.table(found)[1:]
        self.assertEqual([line[0] for line in lines], ["a", "b", "c"])
        self.assertIn("lint*", lines[1])
        self.assertNotIn("*", lines[0])
        self.assertIn("SURVIVED", lines[2])

    def test_results_are_written_at_once(self) -> None:
        visit = self.visit(3, finding("b", run.CAUGHT), finding("a", run.SURVIVED))
        whole = json.loads((visit.out / "results.json").read_text())
        self.assertEqual(whole["score"], "1 of 3 caught")
        self.assertEqual([row["mutant"] for row in whole["mutants"]], ["a", "b"])
        with (visit.out / "results.csv").open() as file:
            self.assertEqual([row["status"] for row in csv.DictReader(file)],
                             ["survived", "caught"])


class TestSlots(unittest.TestCase):
    def test_more_than_there_are(self) -> None:
        slots = tests.Slots(2)
        with slots.take(sys.maxsize):
            self.assertEqual(slots.free, 0)
        self.assertEqual(slots.free, 2)

    def test_stopped(self) -> None:
        slots = tests.Slots(1)
        slots.stop()
        with self.assertRaises(tests.Stopped):
            with slots.take(1):
                pass


# The whole of it in a small tree: programs are shell scripts, and building is copying.

MAKEFILE = """
build/host/test_%: src/%.sh src/common.h
	@mkdir -p build/host && echo built $@ >>build/count
	@sh -n src/$*.sh && cat src/common.h src/$*.sh >$@ && chmod +x $@
lint-needs: build/hartframe.elf
build/hartframe.elf: src/kernel.sh
	@mkdir -p build && sh -n $< && cp $< $@
"""
SUM = """# begin
sum=$((2 + 3))
# end
echo 1..1
test "$sum" = 5 && echo ok 1 adds && exit
echo "not ok 1 adds # seed ${SEED:-1}: sum is $sum"
exit 1
"""
# Fails only with one seed.
RARE = """# begin
bug=none
# end
echo 1..1
test "$bug:$SEED" = here:42 && echo "not ok 1 rare # seed 42: found" && exit 1
echo ok 1 rare
"""
WAIT = """# begin
long=0
# end
sleep $long
echo 1..1
echo ok 1 waits
"""


class TestRun(InTemporaryFolder):
    def setUp(self) -> None:
        super().setUp()
        self.write("Makefile", MAKEFILE)
        self.write("src/common.h", "#!/bin/sh\n# nothing\n# end\n")
        self.write("src/kernel.sh", "# a kernel\necho kernel\n")
        self.write("src/sum.sh", SUM)
        self.write("src/rare.sh", RARE)
        self.write("src/wait.sh", WAIT)
        (self.folder / "tools").mkdir(exist_ok=True)
        shutil.copy(TOOLS / "launch.py", self.folder / "tools" / "launch.py")
        for package in ("check", "launcher"):
            shutil.copytree(TOOLS / package, self.folder / "tools" / package,
                            ignore=shutil.ignore_patterns("__pycache__"))

    def mutant(self, name: str, edits: str, tests: str = "host/test_sum", extra: str = "",
               group: str = "") -> None:
        head = f"Class: of {name}\nSeen: here.\nTests: {tests}\n{extra}\n"
        self.write(f"tests/mutants/{group}/{name}.mutant", head + edits)

    def command(self, *options: str) -> list[str]:
        programs = [f"build/host/test_{name}" for name in ("sum", "rare", "wait")]
        command = [sys.executable, str(TOOLS / "mutants.py"), "--root", str(self.folder)]
        return [*command, "--jobs", "2", *options, "--", "--host", *programs,
                "--lint", "grep -q 'echo kernel' src/kernel.sh"]

    def run_mutants(self, status: int, *options: str) -> dict[str, dict[str, object]]:
        done = subprocess.run(
            self.command(*options), cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        self.output = done.stdout + done.stderr
        self.assertEqual(done.returncode, status, self.output)
        results = self.folder / "build" / "mutants" / "results.json"
        if not results.exists():
            return {}
        return {row["mutant"]: row for row in json.loads(results.read_text())["mutants"]}

    def check(self, row: dict[str, object], status: str, by: str, how: str) -> None:
        self.assertEqual((row["status"], row["caught_by"]), (status, by), self.output)
        self.assertIn(how, str(row["how"]))

    def test_caught(self) -> None:
        self.mutant("minus", DIFF)
        rows = self.run_mutants(0)
        self.check(rows["minus"], "caught", "host/test_sum", "adds: sum is -1")
        self.assertEqual(rows["minus"]["seed"], "1")
        self.assertIn("1 of 1 caught", self.output)

    def test_tree_is_as_it_was(self) -> None:
        self.mutant("minus", DIFF)
        self.mutant("times", DIFF.replace("2 - 3", "2 * 3"))
        rows = self.run_mutants(0, "--jobs", "1")
        self.check(rows["times"], "caught", "host/test_sum", "sum is 6")
        self.assertEqual((self.folder / "src/sum.sh").read_text(), SUM)
        mine, clean = self.folder / "build/mutants/worker-0", self.folder / "build/mutants/clean"
        self.assertEqual(trees.state_of(mine), trees.state_of(clean))

    def test_builds_only_what_changed(self) -> None:
        """The log of builds is a built file too, so each mutant begins with the clean tree's."""
        self.mutant("minus", DIFF)
        self.run_mutants(0)
        count = (self.folder / "build/mutants/clean/build/count").read_text()
        self.assertEqual(len(count.splitlines()), 3)
        self.run_mutants(0)
        again = (self.folder / "build/mutants/clean/build/count").read_text()
        self.assertLessEqual(len(again.splitlines()), 3)

    def test_survivor(self) -> None:
        self.mutant("minus", DIFF)
        self.mutant("equal", DIFF.replace("2 - 3", "3 + 2"))
        rows = self.run_mutants(1)
        self.check(rows["equal"], "survived", "", "")
        self.assertEqual(set(rows["equal"]["tests_run"]),  # type: ignore[call-overload]
                         {"lint", "host/test_sum", "host/test_rare", "host/test_wait"})
        self.assertIn("1 of 2 caught", self.output)
        self.assertIn("SURVIVED", self.output)

    def test_caught_by_another_test(self) -> None:
        self.mutant("minus", DIFF, tests="host/test_wait")
        rows = self.run_mutants(0)
        self.check(rows["minus"], "caught", "host/test_sum", "adds")
        self.assertIn("host/test_sum*", self.output)

    def test_lint(self) -> None:
        self.mutant("empty", diff("src/kernel.sh", "echo kernel", "true"), tests="lint")
        rows = self.run_mutants(0)
        self.check(rows["empty"], "caught", "lint", "exit status 1")

    def test_lint_is_the_first_of_its_commands(self) -> None:
        self.mutant("empty", diff("src/kernel.sh", "echo kernel", "true"), tests="lint")
        done = subprocess.run([*self.command(), "true"], cwd=self.folder, capture_output=True,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_one_test_of_a_program(self) -> None:
        """Its name is the argument of the program."""
        body = diff("src/rare.sh", 'test "$bug:$SEED" = here:42', 'test "$1" = "$bug"')
        self.mutant("named", body, tests="host/test_rare:none")
        self.mutant("lintless", body, tests="lint:none")
        rows = self.run_mutants(1)
        self.check(rows["named"], "caught", "host/test_rare:none", "rare: found")
        self.check(rows["lintless"], "broken", "", "there is no lint:none")

    def test_seed_is_tried_first(self) -> None:
        body = diff("src/rare.sh", "bug=none", "bug=here")
        self.mutant("rare", body, tests="host/test_rare", extra="Seed: 42\n")
        self.mutant("rarer", body, tests="host/test_rare", extra="Seed: 43\n")
        rows = self.run_mutants(1)
        self.check(rows["rare"], "caught", "host/test_rare", "rare: found")
        self.assertEqual(rows["rare"]["seed"], "42")
        self.check(rows["rarer"], "survived", "", "")

    def test_broken_ones_are_no_catch(self) -> None:
        self.mutant("old", OLD)
        self.mutant("headless", "")
        self.mutant("untested", DIFF, tests="host/test_nonesuch, host/test_sum")
        self.mutant("unbuilt", DIFF.replace("- 3))", "- 3)"))
        self.mutant("minus", DIFF)
        rows = self.run_mutants(1)
        self.check(rows["old"], "broken", "", 'no "sum=$((1 + 3))"')
        self.check(rows["headless"], "broken", "", "changes nothing")
        self.check(rows["untested"], "broken", "", "there is no host/test_nonesuch")
        self.check(rows["unbuilt"], "broken", "", "does not build")
        self.check(rows["minus"], "caught", "host/test_sum", "adds")
        self.assertIn("1 of 5 caught", self.output)

    def test_build_as_a_test(self) -> None:
        self.mutant("unbuilt", DIFF.replace("- 3))", "- 3)"), tests="build")
        self.mutant("minus", DIFF, tests="build")
        rows = self.run_mutants(0)
        self.check(rows["unbuilt"], "caught", "build", "")
        self.check(rows["minus"], "caught", "host/test_sum", "adds")

    def test_hang(self) -> None:
        self.mutant("hang", diff("src/wait.sh", "long=0", "long=600"), tests="host/test_wait")
        rows = self.run_mutants(0, "--grace", "3")
        self.check(rows["hang"], "caught", "host/test_wait", "hang, ended after")

    def test_ends_at_the_first_failure(self) -> None:
        self.mutant("hang", diff("src/wait.sh", "long=0", "long=600; echo 'not ok 1 x # why'"),
                   tests="host/test_wait")
        rows = self.run_mutants(0)
        self.check(rows["hang"], "caught", "host/test_wait", "x: why")

    def test_hang_of_all_the_machine(self) -> None:
        """As the mutant runs the machine turns slow: the clean tree shows it, and more is given."""
        slow = self.folder / "slow"
        when_slow = f"test -e {slow} && sleep 2\nsleep $long"
        self.write("src/wait.sh", WAIT.replace("sleep $long", when_slow))
        self.mutant("hang", diff("src/wait.sh", "long=0", f"long=600; touch {slow}"),
                   tests="host/test_wait")
        rows = self.run_mutants(0, "--grace", "2")
        self.check(rows["hang"], "caught", "host/test_wait", "hang, ended after 1")

    def test_clean_tree_must_pass(self) -> None:
        self.mutant("minus", DIFF)
        self.write("src/sum.sh", SUM.replace("= 5", "= 6"))
        self.mutant("other", diff("src/wait.sh", "echo ok 1", "echo not ok 1"), "host/test_wait")
        rows = self.run_mutants(1)
        self.check(rows["minus"], "broken", "", "host/test_sum fails on the clean tree: adds")
        self.check(rows["other"], "caught", "host/test_wait", "waits")

    def test_clean_tree_must_build(self) -> None:
        self.mutant("minus", DIFF)
        self.write("src/rare.sh", "if")
        self.run_mutants(2)
        self.assertIn("the clean tree does not build", self.output)

    def test_part_says_which(self) -> None:
        for name in "abc":
            self.mutant(name, DIFF)
        rows = self.run_mutants(0, "--part", "2/3")
        self.assertEqual(list(rows), ["b"])
        self.assertIn("part 2/3 (as asked for): 1 of 3 mutants", self.output)
        self.assertIn("1 of 1 caught, part 2/3", self.output)

    def test_none_chosen(self) -> None:
        self.mutant("minus", DIFF)
        self.run_mutants(2, "--only", "nonesuch")
        self.assertIn("no mutant is chosen", self.output)

    def test_matrix(self) -> None:
        self.mutant("minus", DIFF)
        self.mutant("common", diff("src/common.h", "# nothing", "exit 3"))
        rows = self.run_mutants(0, "--matrix")
        self.assertEqual(rows["minus"]["tests_failed"], ["host/test_sum"])
        self.assertEqual(len(rows["minus"]["tests_run"]), 4)  # type: ignore[arg-type]
        self.assertEqual(len(rows["common"]["tests_failed"]), 3)  # type: ignore[arg-type]
        with (self.folder / "build/mutants/matrix.csv").open() as file:
            matrix = {row["mutant"]: row for row in csv.DictReader(file)}
        self.assertEqual(matrix["minus"]["host/test_sum"], "caught")
        self.assertEqual(matrix["minus"]["lint"], "passed")

    def test_interrupted(self) -> None:
        self.mutant("minus", DIFF)
        self.mutant("sleepy", diff("src/wait.sh", "long=0", "long=600"), tests="host/test_wait")
        process = subprocess.Popen(
            self.command(), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        said = ""
        while "caught   minus" not in said:
            line = process.stdout.readline()
            self.assertTrue(line, said)
            said += line
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=60)[0]
        self.assertEqual(process.returncode, 130, said)
        self.assertIn("1 of 2 caught", said)
        self.assertIn("interrupted", said)

    MINUS = "In: file\nFile: src/sum.sh\n-2 + 3\n+2 - 3\n"

    def test_text_and_diff(self) -> None:
        self.mutant("minus", self.MINUS, group="sums")
        self.mutant("old", self.MINUS.replace("2 +", "1 +"))
        self.mutant("equal", self.MINUS.replace("2 - 3", "3 + 2"))
        self.mutant("times", DIFF.replace("2 - 3", "2 * 3"))
        rows = self.run_mutants(1)
        self.check(rows["minus"], "caught", "host/test_sum", "adds: sum is -1")
        self.check(rows["times"], "caught", "host/test_sum", "sum is 6")
        self.check(rows["equal"], "survived", "", "")
        self.check(rows["old"], "broken", "", 'no "1 + 3"; nearest: src/sum.sh:2')
        self.assertEqual((rows["minus"]["group"], rows["times"]["group"]), ("sums", ""))
        self.assertEqual((self.folder / "src/sum.sh").read_text(), SUM)
        self.assertIn("2 of 4 caught", self.output)

    def test_groups(self) -> None:
        self.mutant("minus", self.MINUS, group="sums")
        self.mutant("summing", self.MINUS)
        self.run_mutants(0, "--list", "--only", "sums/")
        self.assertEqual(self.output.splitlines(), ["sums/minus  of minus  host/test_sum"])
        self.run_mutants(0, "--list", "--only", "sum*")
        self.assertEqual(self.output.splitlines(), ["summing  of summing  host/test_sum"])

    def test_a_name_is_one_mutants(self) -> None:
        self.mutant("minus", self.MINUS, group="sums")
        self.mutant("minus", DIFF)
        self.run_mutants(2, "--check")
        self.assertIn("have the same name", self.output)

    def test_touching(self) -> None:
        self.write("mm/sum.c", SUM_C)
        self.write("mm/other.c", SUM_C.replace("add(", "other(").replace("sum_all", "all_other"))
        self.mutant("minus", ADD, group="sums")
        self.mutant("gone", ADD.replace("left +", "right +"))
        self.mutant("elsewhere", ADD.replace("In: add", "In: other"))
        self.mutant("times", DIFF)
        self.run_mutants(0, "--touching", "mm/sum.c")
        self.assertEqual(self.output.splitlines(), [
            "gone        mm/sum.c  add  BROKEN", "sums/minus  mm/sum.c  add", "2 mutants"])
        self.run_mutants(0, "--touching", "src/sum.sh")
        self.assertIn("times", self.output)
        self.run_mutants(2, "--touching", "mm/nonesuch.c")
        self.assertIn("there is no mm/nonesuch.c", self.output)

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True,
                       capture_output=True)

    def commit_sum(self) -> None:
        self.write("mm/sum.c", SUM_C)
        self.write("tests/host/test_x.c", "int x;\n")
        self.git("init", "-q")
        self.git("add", "-A")
        self.git("commit", "-qm", "first")

    def test_new(self) -> None:
        self.commit_sum()
        self.run_mutants(2, "--new", "minus")
        self.assertIn("no file that a mutant may change differs", self.output)
        self.write("mm/sum.c", SUM_C.replace("left + right", "left - right"))
        self.write("tests/host/test_x.c", "int y;\n")
        self.run_mutants(0, "--new", "minus", "--group", "sums", "--class", "a bug",
                        "--seen", "here", "--tests", "host/test_sum")
        self.assertIn("left out: tests/host/test_x.c", self.output)
        self.assertIn("git restore mm/sum.c", self.output)
        written = self.folder / "tests/mutants/sums/minus.mutant"
        self.assertEqual(written.read_text(),
                         "Class: a bug\nSeen: here\nTests: host/test_sum\n\n" + ADD)
        self.run_mutants(2, "--new", "minus")
        self.assertIn("there is a mutant minus already", self.output)
        self.run_mutants(1, "--check")
        self.git("restore", "mm/sum.c")
        self.run_mutants(0, "--check")

    def test_new_without_a_head(self) -> None:
        self.commit_sum()
        self.write("mm/sum.c", SUM_C.replace("left + right", "left - right"))
        self.run_mutants(0, "--new", "minus")
        self.assertIn("now write in it: Class, Seen, Tests", self.output)
        self.git("restore", "mm/sum.c")
        self.run_mutants(1, "--check")
        self.assertIn("minus: head: no Class", self.output)

    def test_generated(self) -> None:
        """One rule's mutants are caught, another's do not build, the others' survive."""
        self.write("mm/sum.c", SUM_C)
        look = "grep -q 'sum < left' mm/sum.c && echo ok 1 x && exit"
        self.write("src/rare.sh", f"echo 1..1\n{look}\necho not ok 1 x\nexit 1\n")
        self.write("Makefile", MAKEFILE + "build/host/test_rare: check\ncheck:\n"
                                          "\t@grep -q 'note(sum)' mm/sum.c\n.PHONY: check\n")
        self.mutant("known", ADD, tests="host/test_rare, qemu/smp=1")
        rows = self.run_mutants(0, "--generate", "add")
        self.assertEqual(rows, {})  # those of the written ones stay what they were
        results = self.folder / "build/mutants/generated"
        found = {row["mutant"]: row["status"]
                 for row in json.loads((results / "results.json").read_text())["mutants"]}
        by_rule = {name.rsplit("-", 1)[0]: status for name, status in found.items()}
        self.assertEqual(by_rule, {
            "add-comparison": "caught", "add-drop": "survived", "add-edge": "survived",
            "add-force": "caught", "add-guard": "unbuilt", "add-negation": "survived", "add-operator": "survived",
        })
        self.assertEqual(sorted(found.values()).count("unbuilt"), 2)  # a drop is one of them
        self.assertIn("generated: 2 of 6 caught, 2 more do not build", self.output)
        (sign,) = (name for name in found if "operator" in name)
        survivor = (results / f"{sign}.mutant").read_text()
        self.assertEqual(survivor, "Class: another operator\nSeen: made by rule, of mm/sum.c\n"
                                   "Tests: host/test_rare\n\n" + ADD)
        self.assertIn(f"{sign} survived host/test_rare:\n" + ADD, self.output)

    def test_sample(self) -> None:
        """The share, the survivors and their records; what is listed as equivalent is not drawn."""
        self.write("mm/sum.c", SUM_C)
        self.write("compile_commands.json", "[]")
        look = "grep -q 'left + right' mm/sum.c && echo ok 1 x && exit"
        self.write("src/rare.sh", f"echo 1..1\n{look}\necho not ok 1 x\nexit 1\n")
        self.write("tests/host/test_rare.c", "/* Covers: mm/sum.c */\n")
        options = ("--sample", "100", "--seed", "3")
        self.run_mutants(1, *options, "--only", "add-")
        self.assertIn("less than 50 % were caught", self.output)
        file = self.folder / "build/mutants/sample/results.jsonl"
        *rows, whole = map(json.loads, file.read_text().splitlines())
        caught = [row for row in rows if row["status"] == "caught"]
        self.assertEqual([(row["rule"], row["by"]) for row in caught],
                         [("operator", "host/test_rare")])
        self.assertEqual((whole["caught"], whole["survived"], whole["drawn"]),
                         (1, len(rows) - 1, len(rows)))
        (comparison,) = (row["name"] for row in rows if row["rule"] == "comparison")
        self.assertIn(f"again: make mutants SAMPLE=1 SEED=3 ONLY={comparison}", self.output)
        self.assertIn("+\tif (sum <= left)", self.output)
        self.write("tests/mutants/equivalent.toml", f'[equivalent]\n{comparison} = "a reason"\n')
        self.run_mutants(0, *options, "--only", "add-", "--list")
        self.assertIn(f"sample of seed 3: {len(rows) - 1} mutants; 1 are listed", self.output)
        self.assertNotIn(comparison, self.output)
        self.run_mutants(0, *options, "--only", "add-operator")
        self.assertIn("1 of 1 caught: 100.0 %", self.output)
        self.run_mutants(2, *options, "--only", "nonesuch")

    def test_listed_ones_run_with_the_others(self) -> None:
        self.write("mm/sum.c", SUM_C)
        self.write("src/rare.sh", "echo 1..1\n"
                                  "grep -q 'left + right' mm/sum.c && echo ok 1 x && exit\n"
                                  "echo not ok 1 x\nexit 1\n")
        self.mutant("minus", DIFF)
        entry = '[[function]]\nname = "add"\nrules = ["operator"]\ntests = ["host/test_rare"]\n'
        self.write("tests/mutants/generated.toml", entry)
        self.run_mutants(0, "--check")
        self.assertIn("2 mutants are sound", self.output)
        rows = self.run_mutants(0)
        self.assertIn("2 of 2 caught", self.output)
        (name,) = (name for name in rows if name != "minus")
        self.check(rows[name], "caught", "host/test_rare", "x")
        self.run_mutants(0, "--only", name)
        self.assertIn("1 of 1 caught", self.output)
        self.write("tests/mutants/generated.toml", entry.replace("add", "gone"))
        self.run_mutants(1, "--check")
        self.assertIn("generated/gone: tests/mutants/generated.toml: gone: no such function",
                      self.output)

    def test_clean_tests_run_once(self) -> None:
        """Until something changes that they depend on; a mutant does not."""
        self.write("src/rare.sh", f"echo x >>{self.folder}/build/count-of-rare\n" + RARE)
        self.mutant("minus", DIFF, tests="host/test_rare, host/test_sum")
        counts = []
        for change in (lambda: None, lambda: self.mutant("more", DIFF.replace("2 -", "1 -")),
                       lambda: self.write("src/wait.sh", WAIT + "# new\n")):
            change()
            self.run_mutants(0, "--only", "minus")
            counts.append(len((self.folder / "build/count-of-rare").read_text().splitlines()))
        # Each time once for the mutant, and the first and the last time for the clean tree.
        self.assertEqual(counts, [2, 3, 5])

    def test_minutes(self) -> None:
        self.commit_sum()
        for name in "abc":
            self.mutant(name, DIFF)
        rows = self.run_mutants(0, "--minutes", "1")
        self.assertEqual(len(rows), 3)
        self.assertIn("3 of 3 mutants ran in 1 minutes", self.output)
        self.mutant("b", DIFF.replace("2 - 3", "3 + 2"))
        self.run_mutants(1, "--minutes", "1")
        self.assertIn("survived                   1: b", self.output)

    def test_minutes_are_over(self) -> None:
        """Mutants that did not run do not count. One always runs, and must be caught."""
        self.commit_sum()
        self.mutant("a", DIFF)
        self.mutant("b", DIFF)
        self.run_mutants(0, "--minutes", "0.0001", "--jobs", "1")
        self.assertIn("1 of 2 mutants ran", self.output)

    def test_generated_needs_tests(self) -> None:
        self.write("mm/sum.c", SUM_C)
        self.run_mutants(2, "--generate", "add")
        self.assertIn("says which tests look at mm/sum.c", self.output)
        self.run_mutants(0, "--generate", "add", "--tests", "host/test_sum", "--list")
        self.run_mutants(2, "--generate", "nonesuch")
        self.assertIn("no function is chosen", self.output)

    def test_check_of_a_single_test(self) -> None:
        self.write("tests/host/test_rare.c", "TEST(first)\n{\n}\nSLOW_TEST(second)\n{\n}\n")
        self.mutant("first", DIFF, tests="host/test_rare:first, qemu/x:y")
        self.mutant("second", DIFF, tests="tsan/test_rare:second")
        self.run_mutants(0, "--check")
        self.mutant("third", DIFF, tests="host/test_sum, host/test_rare:third")
        self.run_mutants(1, "--check")
        self.assertIn("third: head: Tests: there is no host/test_rare:third", self.output)

    def test_list_and_check(self) -> None:
        self.mutant("minus", DIFF)
        self.run_mutants(0, "--list")
        self.assertIn("minus  of minus  host/test_sum", self.output)
        self.run_mutants(0, "--check")
        self.assertIn("1 mutants are sound, 0 are not", self.output)
        self.mutant("old", OLD)
        self.run_mutants(1, "--check")
        self.assertIn("old: In: file: src/sum.sh: no", self.output)
        self.assertIn("1 mutants are sound, 1 are not", self.output)


class TestOurMutants(unittest.TestCase):
    """Mutants rot as the sources change; that is to be seen by `make test` already."""

    def test_mutants_are_sound_and_apply(self) -> None:
        done = subprocess.run(
            [sys.executable, str(TOOLS / "mutants.py"), "--check"], capture_output=True, text=True
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


class KtapResult(unittest.TestResult):
    """One line for a test; its diagnosis below it."""

    def line(self, test: unittest.TestCase, word: str, note: str = "") -> None:
        print(f"{word} {self.testsRun} {test.id().partition('.')[2]}{note}", flush=True)

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self.line(test, "ok")

    def addFailure(self, test: unittest.TestCase, err) -> None:  # type: ignore[override]
        super().addFailure(test, err)
        self.line(test, "not ok")
        print("# " + self.failures[-1][1].replace("\n", "\n# "))

    def addError(self, test: unittest.TestCase, err) -> None:  # type: ignore[override]
        super().addError(test, err)
        self.line(test, "not ok")
        print("# " + self.errors[-1][1].replace("\n", "\n# "))


def main() -> int:
    # A run of the tests may itself be one of make's.
    os.environ.pop("MAKEFLAGS", None)
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{word}*" for word in sys.argv[1:]] or None
    modules = test_mutant_text, sys.modules["__main__"]
    suite = unittest.TestSuite(loader.loadTestsFromModule(module) for module in modules)
    print(f"KTAP version 1\n1..{suite.countTestCases()}", flush=True)
    result = KtapResult()
    suite.run(result)
    return 0 if result.testsRun and result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
