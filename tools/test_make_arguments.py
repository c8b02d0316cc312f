#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of make_arguments.py, and of the makefile that calls it: mistakes on make's command line."""

from __future__ import annotations

import os
import shlex
import subprocess
import unittest
from pathlib import Path

import make_arguments
from make_arguments import VARIABLES, first_mistake, goal_mistake, names_of, variable_mistake, warnings
from suggest import closest

ROOT = Path(__file__).resolve().parent.parent
MAKEFILES = [ROOT / "Makefile", *sorted((ROOT / "tools" / "make").glob("*.mk"))]
NAMES = names_of([path.read_text(encoding="utf-8") for path in MAKEFILES])
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "tests").glob("*/README.md")]


def run_make(*words: str, **environment: str) -> tuple[int, str, str]:
    """As a user would: not as a make that another make started. Nothing is built."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False,
                          env={**own, **environment})
    return done.returncode, done.stdout, done.stderr


class TestVariables(unittest.TestCase):
    def refused(self, word: str, *wanted: str) -> None:
        mistake = variable_mistake(word, NAMES) or ""
        for text in (word.partition("=")[0], "valid: ", *wanted):
            self.assertIn(text, mistake)

    def test_a_mistyped_name_gets_the_right_one(self) -> None:
        for wrong, right in (("SPM", "SMP"), ("BOOTARG", "BOOTARGS"), ("MEMORY", "MEM"), ("TIMOUT", "TIMEOUT"),
                             ("smp", "SMP"), ("CHECK", "CHECKS"), ("SEDES", "SEEDS"), ("WORKLOADS", "WORKLOAD")):
            self.refused(f"{wrong}=8", f"{wrong}=: no such variable (did you mean {right}?)", "; valid: ARGS ASSERTS")

    def test_nonsense_gets_the_list_alone(self) -> None:
        self.refused("XYZZY=1", "XYZZY=: no such variable; valid: ARGS")

    def test_a_wrong_value_gets_what_is_valid(self) -> None:
        for word, valid in (
            ("SMP=0", "1 or more"), ("SMP=x", "1 or more"), ("SMP=-1", "1 or more"), ("SMP=", "no value"),
            ("MEM=banana", "64M"), ("MEM=0M", "64M"), ("MEM=64MB", "64M"), ("CHECKS=2", "0 or 1"),
            ("TIMEOUT=abc", "seconds"), ("CPUS=", "1,2,4"), ("CPUS=1,,2", "1,2,4"), ("SEEDS=9-1", "1-64"),
            ("SEEDS=a", "1-64"), ("SEEDS=1-", "1-64"), ("SEED=x", "whole number"), ("PART=3/2", "K/N"),
            ("PART=0/2", "K/N"), ("MINUTES=0", "minutes"), ("JOBS=0", "1 or more"), ("LF=yes", "0 or 1"),
            ("MEMS=32M,x", "32M,1G"), ("WORKLOAD=bluk", "did you mean bulk?"),
        ):
            with self.subTest(word):
                if word.startswith("WORKLOAD"):
                    self.assertIn(valid, variable_mistake(word, NAMES) or "")
                else:
                    self.refused(word, valid)

    def test_right_values_pass(self) -> None:
        for word in ("SMP=4", "SMP=096", "MEM=128M", "MEM=1.5G", "MEM=64", "CHECKS=0", "TIMEOUT=0", "TIMEOUT=1.5",
                     "CPUS=1,2,4", "SEEDS=7", "SEEDS=1-10,20,5-5", "SEED=7", "SEED=auto", "PART=auto/5", "PART=5/5",
                     "MINUTES=0.5", "MINUTES=60", "WORKLOAD=", "WORKLOAD=bulk,rand", "BOOTARGS=any thing=x", "K=a or b",
                     "T=?", "BUILD=elsewhere", "HOSTCC=clang", "WARN_ONLY=1"):
            self.assertIsNone(variable_mistake(word, NAMES), word)

    def test_what_any_make_is_given_passes(self) -> None:
        for word in ("CC=gcc", "CFLAGS=-O3", "V=1", "V=2", "LDFLAGS=", "QEMU=/opt/qemu", "TMPDIR=/x"):
            self.assertIsNone(variable_mistake(word, NAMES), word)

    def test_every_variable_here_is_in_a_makefile_and_in_the_help(self) -> None:
        self.assertEqual(sorted(set(VARIABLES) - NAMES.variables), [])
        self.assertEqual(sorted(set(VARIABLES) - set(NAMES.helped_variables)), [])

    def test_every_goal_here_exists(self) -> None:
        named = {goal for variable in VARIABLES.values() for goal in variable.goals.split()}
        self.assertEqual(sorted(named - NAMES.goals), [])

    def test_a_variable_without_use_is_a_warning(self) -> None:
        self.assertEqual(warnings(["SMP=3"], ["test"])[0].partition(";")[0],
                         "warning: make test has no use for SMP=")
        self.assertEqual(warnings(["SMP=3", "CHECKS=1", "CC=gcc"], ["all", "run"]), [])


class TestGoals(unittest.TestCase):
    def test_a_mistyped_goal_gets_the_right_one(self) -> None:
        for wrong, right in (("rnu", "run"), ("tset", "test"), ("bnech", "bench"), ("mutant", "mutants")):
            self.assertIn(f"{wrong}: no such goal (did you mean {right}?); valid: all", goal_mistake(wrong, NAMES))
        self.assertIn("qqq: no such goal; valid: all", goal_mistake("qqq", NAMES))

    def test_the_first_mistake_is_told(self) -> None:
        self.assertIsNone(first_mistake([], ["SMP=1"], NAMES))
        self.assertIn("rnu", first_mistake(["rnu"], ["SPM=1"], NAMES) or "")
        self.assertIn("MEM=x", first_mistake([], ["SMP=1", "MEM=x", "SPM=1"], NAMES) or "")


class TestMake(unittest.TestCase):
    """The makefile asks, and stops."""

    def refused(self, *words: str, wanted: str) -> None:
        status, output, errors = run_make(*words)
        self.assertEqual((status, output), (2, ""), errors)
        self.assertIn(wanted, errors)

    def test_mistakes_stop_make(self) -> None:
        self.refused("run", "SPM=8", wanted="SPM=: no such variable (did you mean SMP?)")
        self.refused("SMP=8", "rnu", wanted="rnu: no such goal (did you mean run?)")
        self.refused("-j2", "explore", "SEEDS=9-1", wanted="SEEDS=9-1: not valid; valid: seeds")

    def test_odd_values_arrive_whole(self) -> None:
        status, output, errors = run_make("run", "BOOTARGS=run=stress SPM=1 workload=bulk,rand it's $$x")
        self.assertEqual((status, errors), (0, ""))
        self.assertIn("run=stress SPM=1 workload=bulk,rand it's", output)
        self.refused("run", "MEM='; echo $$(boo)", wanted="valid: a size such as")

    def test_the_environment_is_left_alone(self) -> None:
        status, _, errors = run_make("run", SPM="8", BOOTARG="x", CHECKSS="2")
        self.assertEqual((status, errors), (0, ""))

    def test_nothing_is_asked_where_nothing_is_given(self) -> None:
        """Python would take longer than make itself."""
        makefile = (ROOT / "tools" / "make" / "arguments.mk").read_text(encoding="utf-8")
        for goals in ([], ["run"], ["build/host/test_zone"], ["deps-run"], ["Makefile"]):
            done = subprocess.run(["make", "-n", "-f", "-", *goals], cwd=ROOT, capture_output=True, text=True,
                                  check=False, input=makefile.replace("tools/make_arguments.py", "echo asked")
                                  + "\n%: ; @:\nall: ; @:\n", env={"PATH": os.environ["PATH"]})
            self.assertEqual((done.returncode, done.stderr), (0, ""), goals)


class TestDocuments(unittest.TestCase):
    def test_every_command_in_the_documents_is_right(self) -> None:
        checked = 0
        for path in DOCUMENTS:
            for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
                command = line.strip().partition("#")[0].split("&&")[0]
                if not line.startswith(("\t", "    ")) or not command.startswith("make "):
                    continue
                try:
                    words = shlex.split(command)[1:]
                except ValueError:
                    continue  # a sentence
                given = [word for word in words if "=" in word and "..." not in word and not word.endswith("=")
                         and not word.startswith("[")]
                goals = [word for word in words if "=" not in word and not word.startswith("-")]
                checked += bool(given)
                self.assertEqual([variable_mistake(word, NAMES) for word in given], [None] * len(given), line)
                self.assertEqual(warnings(given, goals or ["all"]), [], f"{path.name}: {line}")
        self.assertGreater(checked, 30)


class TestSuggest(unittest.TestCase):
    def test_capitals_do_not_count_and_nonsense_has_no_name(self) -> None:
        self.assertEqual(closest("RUN", ["test", "run"]), "run")
        self.assertIsNone(closest("xyzzy", ["test", "run"]))
        self.assertIsNone(closest("", ["test", "run"]))
        self.assertEqual(make_arguments.did_you_mean("xyzzy", ["run"]), "")


if __name__ == "__main__":
    unittest.main()
