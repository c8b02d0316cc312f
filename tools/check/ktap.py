# SPDX-License-Identifier: BSD-2-Clause
"""Counts the results in KTAP, the text that test programs and the kernel print."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass
class Ktap:
    """The results in one output, which may hold several KTAP documents."""

    planned: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    in_order: bool = True

    @property
    def seen(self) -> int:
        return self.passed + self.failed + self.skipped


PLAN = re.compile(r"1\.\.(\d+)\s*$")
RESULT = re.compile(r"(not )?ok (\d+)\b.*?(# SKIP\b.*)?$", re.IGNORECASE)


def count_result(ktap: Ktap, failed: bool, skipped: bool) -> None:
    if failed:
        ktap.failed += 1
    elif skipped:
        ktap.skipped += 1
    else:
        ktap.passed += 1


def parse_ktap(output: str) -> Ktap:
    """Nested results are indented, and belong to the result that sums them up."""
    ktap = Ktap()
    number = 0
    for line in output.splitlines():
        plan = PLAN.match(line)
        result = RESULT.match(line)
        if plan:
            ktap.planned += int(plan[1])
            number = 0
        elif result:
            number += 1
            ktap.in_order &= int(result[2]) == number
            count_result(ktap, failed=bool(result[1]), skipped=bool(result[3]))
    return ktap
