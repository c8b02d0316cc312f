#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of tools/prove, without Frama-C: WP's output, the translation of lemmas, the twins."""

from __future__ import annotations

import unittest

from mutants.source import Index
from prove.main import ROOT, functions_without_twin, read_twins
from prove.plan import INCLUDES, LEMMAS, UNITS
from prove.words import Lemma, NotWords, Translation, lemmas_of
from prove.wp import CannotProve, function_of, read_output, seconds_of

OUTPUT = """[kernel] Parsing a.c (with preprocessing)
[wp] Running WP plugin...
[wp] [CFG] Goal take_terminates : Valid (Trivial)
[wp] [Z3 4.8.12] Goal typed_take_ensures : Valid (Qed:3ms) (50ms) (153597)
[wp] [CVC4 1.8] Goal typed_take_run_ensures : Valid (Qed:7ms) (1.5s) (29608)
[wp] [Failed] Goal typed_take_run_loop_invariant_preserved
  Z3 4.8.12: Failed Unknown error
[wp] Proved goals:    3 / 4
"""


def value(text: str) -> int:
    """A term of constants, as the translation computes it."""
    translation = Translation(Lemma("test", "1 == 1;"))
    translation.tokens, translation.at = Translation(Lemma("test", f"{text} == 0;")).tokens, 0
    term = translation.shift()
    assert term.low == term.high
    return term.low


class TestOutput(unittest.TestCase):
    def test_the_goals_of_each_function_are_counted(self) -> None:
        take, run = read_output(OUTPUT, ["take", "take_run"])
        self.assertEqual((take.proved, take.failed), (2, []))
        self.assertEqual((run.proved, run.failed), (1, ["take_run_loop_invariant_preserved"]))
        self.assertEqual(run.goals, 2)

    def test_the_longest_name_is_the_function(self) -> None:
        self.assertEqual(function_of("take_run_ensures", ["take", "take_run"]), "take_run")
        self.assertEqual(function_of("take_ensures", ["take", "take_run"]), "take")

    def test_the_time_is_the_provers(self) -> None:
        self.assertAlmostEqual(seconds_of("x : Valid (Qed:3ms) (50ms) (153597)"), 0.05)
        self.assertAlmostEqual(seconds_of("x : Valid (Qed:3ms) (1.5s) (153597)"), 1.5)

    def test_a_goal_that_is_not_accounted_for_is_an_error(self) -> None:
        with self.assertRaises(CannotProve):
            read_output(OUTPUT.replace("3 / 4", "2 / 4"), ["take", "take_run"])

    def test_output_without_a_total_is_an_error(self) -> None:
        with self.assertRaises(CannotProve):
            read_output("[kernel] User Error: stopping\n", ["take"])


class TestWords(unittest.TestCase):
    def translated(self, text: str) -> str:
        return Translation(Lemma("test", text)).smt()

    def test_constants_are_computed_without_bounds(self) -> None:
        self.assertEqual(value("(3 - 5)"), -2)
        self.assertEqual(value("(0xffffffffffffffff + 1)"), 2**64)
        self.assertEqual(value("(7 / 2 * 10 + 7 % 2)"), 31)

    def test_a_sum_of_words_has_one_more_bit(self) -> None:
        text = self.translated("\\forall uint64_t a, uint64_t b; a + b >= a;")
        self.assertIn("(bvadd ((_ sign_extend 1) ((_ zero_extend 1) a))", text)

    def test_a_cast_is_modulo_its_size(self) -> None:
        self.assertIn("(bvadd a b)", self.translated("\\forall uint64_t a, uint64_t b; (uint64_t)(a + b) == 0;"))

    def test_a_quantifier_inside_is_a_copy_for_each_value(self) -> None:
        text = self.translated("\\forall uint64_t w; \\forall integer i; 0 <= i < 8 ==> (w >> i) >= 0;")
        self.assertEqual(text.count("bvsge"), 8)

    def test_a_variable_without_bounds_is_refused(self) -> None:
        for text in ("\\forall integer i; i >= 0;", "\\forall uint64_t a, uint64_t b; (a << b) >= 0;",
                     "\\forall uint64_t a, uint64_t b; a / b >= 0;", "f(1) == 1;", "\\forall uint64_t a; a;"):
            with self.subTest(text), self.assertRaises(NotWords):
                self.translated(text)

    def test_an_operator_that_binds_less_than_a_relation_is_refused(self) -> None:
        with self.assertRaises(NotWords):
            self.translated("\\forall uint64_t a; a & 1 == 1;")

    def test_no_lemma_is_overlooked(self) -> None:
        lemmas = lemmas_of(ROOT / LEMMAS, [ROOT / INCLUDES])
        text = (ROOT / LEMMAS).read_text(encoding="utf-8")
        self.assertEqual(len(lemmas), text.count("/*@ lemma") + text.count("/*@ ghost"))
        self.assertEqual(len({lemma.name for lemma in lemmas}), len(lemmas))


class TestTwins(unittest.TestCase):
    def test_each_function_has_a_twin_whose_text_is_in_the_code(self) -> None:
        self.assertEqual(functions_without_twin(read_twins()), [])

    def test_each_function_is_in_the_code(self) -> None:
        index = Index(ROOT)
        for unit in UNITS:
            for function in unit.functions:
                self.assertIn(function, index.scopes, unit.name)


if __name__ == "__main__":
    unittest.main()
