#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of tools/model_code.py: the models follow the code, and a change of the code is seen."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

import model_code

CODE = """/* A comment. */
static int first(int a)
{
	return a + 1; /* why */
}

void second(void)
{
}
"""
MODEL = """/*
 * The code
 *
 *\tdrain.c:
 *\tfirst   -  step
 *\tsecond  -  nothing
 */
"""


class TestModelCode(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.model = self.root / "a.pml"
        (self.root / "drain.c").write_text(CODE)
        self.model.write_text(MODEL)
        self.model.write_text(model_code.compared(self.model, self.root)[0])

    def wrong(self, old: str = "", new: str = "") -> list[str]:
        """What is wrong after a change of the code."""
        (self.root / "drain.c").write_text(CODE.replace(old, new) if old else CODE)
        return model_code.compared(self.model, self.root)[1]

    def test_the_models_follow_the_code(self) -> None:
        self.assertEqual(model_code.check(), [])

    def test_the_same_code_is_right(self) -> None:
        self.assertEqual(self.wrong(), [])

    def test_comments_and_line_breaks_do_not_count(self) -> None:
        self.assertEqual(self.wrong("return a + 1; /* why */", "return a +\n\t\t1;"), [])

    def test_a_change_is_named(self) -> None:
        wrong, = self.wrong("a + 1", "a + 2")
        self.assertIn("first in drain.c has changed", wrong)
        self.assertIn("step", wrong)

    def test_a_function_that_is_gone_is_named(self) -> None:
        wrong = self.wrong("void second(void)", "void third(void)")
        self.assertIn("no function second", wrong[0])
        self.assertIn("third in drain.c is new", wrong[1])

    def test_a_model_without_a_table_is_wrong(self) -> None:
        self.model.write_text("/* nothing */\n")
        self.assertIn("no table", self.wrong()[0])


if __name__ == "__main__":
    unittest.main()
