# SPDX-License-Identifier: BSD-2-Clause
"""How a bug showed: one short phrase and the seed, out of what a test or the compiler printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

PHRASE_LENGTH_MAX = 110
NOT_OK = re.compile(r"\s*not ok \d+ (?:- )?(.*)$")
PANIC = re.compile(r"PANIC on (.*)$")
SANITIZER = re.compile(r"(?:ERROR|WARNING): (\w+Sanitizer|libFuzzer): (.*)$")
SUMMARY = re.compile(r"SUMMARY: (\w+Sanitizer: .*)$", re.M)
RUNTIME_ERROR = re.compile(r"(\S+?:\d+)(?::\d+)?: runtime error: (.*)$")
SCHEDULE_FAILED = re.compile(r"FAIL  (seed \d+: .*)$")
PROGRAM_SAID = re.compile(r"\s*# (seed \d+: .*)$")
COMPILER_ERROR = re.compile(r"^(\S+?:\d+)(?::\d+)?: (?:fatal )?error: (.*)$", re.M)
LINKER_ERROR = re.compile(r"^.*\b(?:ld|collect2): (.*)$", re.M)
LAUNCHER_SAID = re.compile(r"^launch: (.*)$", re.M)
SEED = re.compile(r"\bseed[ =:]+(\d+)", re.IGNORECASE)
# A line of a test program after which its other results do not matter.
DECIDES = re.compile(r"^\s*not ok \d+ |^SUMMARY: \w+Sanitizer: ", re.M)


@dataclass(frozen=True)
class Sign:
    """How a bug showed."""

    text: str
    seed: str = ""


def shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= PHRASE_LENGTH_MAX else text[: PHRASE_LENGTH_MAX - 3] + "..."


def of_failed_test(rest: str, following: Sequence[str]) -> str:
    """A lint check with several problems lists them on the lines below its result."""
    name, _, reason = rest.partition(" # ")
    below = following[0].strip() if following else ""
    if (not reason or reason.endswith("problems:")) and below.startswith("# "):
        reason = below[2:].strip()
    reason = re.sub(r"^seed \d+: ", "", reason)
    return f"{name}: {reason}" if reason else name


def telling_line(output: str) -> tuple[str, str]:
    """The first line that says what is wrong: in short, and unchanged."""
    lines = output.splitlines()
    for number, line in enumerate(lines):
        if match := NOT_OK.match(line):
            return of_failed_test(match[1], lines[number + 1 : number + 2]), line
        if match := PANIC.search(line):
            return f"panic: {match[1].partition(': ')[2] or match[1]}", line
        if match := SANITIZER.search(line):
            summary = SUMMARY.search(output)
            return summary[1] if summary else f"{match[1]}: {match[2]}", line
        if match := RUNTIME_ERROR.search(line):
            return f"{match[1]}: {match[2]}", line
        if match := SCHEDULE_FAILED.match(line) or PROGRAM_SAID.match(line):
            return re.sub(r"^seed \d+: ", "", match[1]), line
    return "", ""


def sign_of(output: str, problems: Sequence[str]) -> Sign:
    """One short phrase. If no line of the output tells, then how the test ended."""
    text, line = telling_line(output)
    if not text:
        said = LAUNCHER_SAID.findall(output)
        text = said[-1] if said else "; ".join(problems)
    seeds = SEED.findall(line) or SEED.findall(output)
    return Sign(shortened(text), seeds[0] if seeds else "")


def sign_of_build(output: str) -> Sign:
    match = COMPILER_ERROR.search(output)
    if match:
        return Sign(shortened(f"{match[1]}: {match[2]}"))
    linker = LINKER_ERROR.search(output)
    last = output.strip().splitlines()[-1:] or ["no output"]
    return Sign(shortened(linker[1] if linker else last[0]))
