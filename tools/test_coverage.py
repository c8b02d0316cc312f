#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of tools/coverage.py, and that docs/coverage.md names the functions that there are."""

from __future__ import annotations

import unittest

from coverage import ARGUED, ROOT, SOURCES, TABLE, check_page, read_page, table
from mutants.source import Index

PAGE = """| `take` (mm/a.c) | x |  | x |
| `give` (mm/b.h) |  | x |  |
| `zone_order_sort` (mm/global/zone_order.c) | for reports |
"""


def functions() -> list[tuple[str, str]]:
    return [(scope.file.path, scope.name) for scopes in Index(ROOT).scopes.values() for scope in scopes
            if scope.kind == "function" and scope.file.path.startswith(SOURCES)]


class TestCoverage(unittest.TestCase):
    @unittest.skipUnless(TABLE.exists(), "`make coverage` has not written docs/coverage.md yet")
    def test_the_page_is_of_these_sources(self) -> None:
        self.assertEqual(check_page(TABLE.read_text(encoding="utf-8"), functions()), [])

    def test_arguments_are_of_what_there_is(self) -> None:
        there = {name for file, function in functions() for name in (file, f"{file}:{function}")}
        self.assertEqual(sorted(set(ARGUED) - there), [])

    def test_rows(self) -> None:
        self.assertEqual(read_page(PAGE), {("mm/a.c", "take"): "", ("mm/b.h", "give"): "",
                                           ("mm/global/zone_order.c", "zone_order_sort"): "for reports"})

    def test_what_is_wrong_is_found(self) -> None:
        found = "\n".join(check_page(PAGE, [("mm/a.c", "take"), ("mm/a.c", "new"), ("mm/b.h", "not_called")]))
        self.assertIn("mm/a.c: new is not in coverage.md", found)
        self.assertNotIn("not_called", found)
        self.assertIn("mm/b.h has no give", found)
        self.assertIn("the reason for zone_order_sort is not that of ARGUED", found)
        self.assertIn("ARGUED: mm/fault.c is no gap", found)

    def test_a_gap_needs_an_argument_and_an_argument_a_gap(self) -> None:
        counts: dict[str, dict[tuple[str, str], int]] = {
            "traps": {("mm/a.c", "take"): 1, ("mm/a.c", "give"): 0}, "space": {}, "cpu": {}}
        lines, problems = table(counts)
        self.assertIn("1 of 2 functions are entered.\n", lines)
        self.assertIn("mm/a.c: no such test enters give, and ARGUED does not say why", problems)
        self.assertIn("ARGUED: mm/fault.c is entered, or does not exist", problems)


if __name__ == "__main__":
    unittest.main()
