# SPDX-License-Identifier: BSD-2-Clause
"""Runs Frama-C's WP on a source, and reads what it says."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from prove.plan import INCLUDES, Unit

PROVERS = "z3,cvc4"
# Of one goal and prover. A goal that is proved takes a second or two on an idle machine.
GOAL_SECONDS = 20
RUN_SECONDS_MAX = 3600

# `[wp] [Z3 4.8.12] Goal typed_NAME_ensures : Valid (Qed:3ms) (50ms)`, or Qed, or Failed and so on.
GOAL = re.compile(r"^\[wp\] \[([^\]]+)\] Goal (?:typed_)?(\w+) : Valid")
FAILED = re.compile(r"^\[wp\] \[(Failed|Timeout|Unknown|Stronger|Stepout|NoResult|Partial)[^\]]*\] "
                    r"Goal (?:typed_)?(\w+)")
TOTAL = re.compile(r"^\[wp\] Proved goals: +(\d+) / (\d+)")
PROVER_TIME = re.compile(r"\((?:(\d+)m)?([\d.]+)(ms|s)\)")


class CannotProve(Exception):
    """Frama-C is missing, or does not read the source."""


@dataclass
class Result:
    """Of one function."""

    function: str
    proved: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def goals(self) -> int:
        return self.proved + len(self.failed)


def function_of(goal: str, functions: Iterable[str]) -> str:
    """The function of a goal: the longest name that its name begins with."""
    fitting = [name for name in functions if goal == name or goal.startswith(name + "_")]
    return max(fitting, key=len, default="")


def seconds_of(line: str) -> float:
    """The time of the prover, which stands last; Qed's own is in front of it."""
    found = PROVER_TIME.findall(line.replace("(Qed:", "(").replace("(cached)", ""))
    if not found:
        return 0.0
    minutes, number, unit = found[-1]
    return 60 * int(minutes or 0) + float(number) / (1000 if unit == "ms" else 1)


def read_output(text: str, functions: Sequence[str]) -> list[Result]:
    """What WP says of each function. Every goal must be accounted for."""
    results = {name: Result(name) for name in functions}
    total = None
    for line in text.splitlines():
        if match := GOAL.match(line):
            if name := function_of(match[2], functions):
                results[name].proved += 1
                results[name].seconds += seconds_of(line)
        elif match := FAILED.match(line):
            name = function_of(match[2], functions)
            results[name or functions[0]].failed.append(match[2])
        elif match := TOTAL.match(line):
            total = int(match[1]), int(match[2])
    if total is None:
        raise CannotProve("WP has printed no total:\n" + text[-1500:])
    failed = sum(len(result.failed) for result in results.values())
    if total[1] - total[0] != failed:
        raise CannotProve(f"WP says that {total[1] - total[0]} goals are not proved; of {failed} it "
                          "says which")
    return list(results.values())


def command(root: Path, trees: Sequence[Path], unit: Unit, extra: Sequence[str]) -> list[str]:
    """`trees` are searched for headers and the source, the first one first."""
    source = next(tree / unit.source for tree in trees if (tree / unit.source).exists())
    flags = [f"-include {root / INCLUDES / 'compiler.h'}", f"-I{root / INCLUDES}",
             *(f"-I{tree}" for tree in trees), *unit.flags]
    return ["frama-c", "-c11", "-machdep", "gcc_x86_64", "-cpp-extra-args=" + " ".join(flags),
            str(source), "-wp", "-wp-split", "-wp-prover", PROVERS,
            "-wp-timeout", str(GOAL_SECONDS), *extra]


def why3_environment(folder: Path) -> dict[str, str]:
    """Why3 with a configuration that knows the provers of this machine, and no other."""
    environment = {**os.environ, "WHY3CONFIG": str(folder / "why3.conf")}
    result = subprocess.run(["why3", "config", "detect"], env=environment, text=True,
                            capture_output=True, check=False)
    if result.returncode:
        raise CannotProve(f"why3 config detect: {result.stdout}{result.stderr}")
    return environment


def run(root: Path, trees: Sequence[Path], unit: Unit, jobs: int) -> tuple[list[Result], float]:
    begun = time.monotonic()
    # A property alone says nothing of the other statements of its function.
    whole = ["-wp-rte"] if unit.properties.startswith("-") else []
    extra = [*whole, "-wp-par", str(jobs), f"-wp-prop={unit.properties}", "-wp-fct", ",".join(unit.functions)]
    # Frama-C searches its own folder for headers first, and keeps files there.
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = subprocess.run(command(root, trees, unit, extra), cwd=folder, text=True,
                                    capture_output=True, timeout=RUN_SECONDS_MAX, check=False)
        except FileNotFoundError:
            raise CannotProve("there is no frama-c") from None
        except subprocess.TimeoutExpired:
            raise CannotProve(f"{unit.name}: no end after {RUN_SECONDS_MAX} s") from None
    text = result.stdout + result.stderr
    if result.returncode:
        raise CannotProve(f"{unit.name}: frama-c: {text[-1500:]}")
    return read_output(text, unit.functions), time.monotonic() - begun
