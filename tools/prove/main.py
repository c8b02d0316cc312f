# SPDX-License-Identifier: BSD-2-Clause
"""Proves what tools/prove/plan.py lists, and shows that broken twins are not proved (docs/proofs.md).

Exit status: 0 all as it should be, 1 not so, 2 cannot run.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mutants.edits import apply_edits, parse_edits
from mutants.source import BadMutant, Index
from prove.plan import INCLUDES, LEMMAS, NOT_PROVED, TWINS, UNITS, WP_LEMMAS, Unit
from prove.words import Lemma, NotWords, Translation, lemmas_of
from prove.wp import CannotProve, Result, command, read_output, run, why3_environment

ROOT = Path(__file__).resolve().parents[2]
LEMMA_SECONDS = 300
# What a translation that is wrong might prove: sums wrap, and 0 has no lowest bit.
FALSE = ("\\forall uint64_t a, uint64_t b; (uint64_t)(a + b) == a + b;",
         "\\forall uint64_t w; \\exists integer i; 0 <= i < 64 && (w & (uint64_t)(-w)) == 1 << i;")
TOOLS = ("frama-c", "why3", "z3", "cvc4", "gcc")


@dataclass(frozen=True)
class Twin:
    """A source with one bug: which function is then not proved, in which unit."""

    name: str
    function: str
    unit: Unit
    files: dict[str, str]


# Lemmas --------------------------------------------------------------------------------------


def verdict(proved: bool) -> str:
    return "    proved" if proved else "NOT PROVED"


def prove_lemma(lemma: Lemma) -> tuple[bool, float]:
    begun = time.monotonic()
    with tempfile.NamedTemporaryFile("w", suffix=".smt2") as file:
        file.write(Translation(lemma).smt())
        file.flush()
        result = subprocess.run(["z3", f"-T:{LEMMA_SECONDS}", file.name], text=True,
                                capture_output=True, check=False)
    return result.stdout.strip() == "unsat", time.monotonic() - begun


def prove_lemmas() -> list[str]:
    """Returns what is wrong."""
    wrong = [f"a lemma that is false is proved: {text}" for text in FALSE
             if prove_lemma(Lemma("false", text))[0]]
    for lemma in lemmas_of(ROOT / LEMMAS, [ROOT / INCLUDES]):
        proved, seconds = prove_lemma(lemma)
        print(f"  {lemma.name:32} {verdict(proved)} {seconds:8.1f} s", flush=True)
        if not proved:
            wrong.append(f"the lemma {lemma.name} is not proved")
    for name, flags in WP_LEMMAS:
        (result,), seconds = run_lemma(name, flags)
        print(f"  {name:32} {verdict(result.proved > 0)} {seconds:8.1f} s  by WP")
        if not result.proved:
            wrong.append(f"the lemma {name} is not proved")
    return wrong


def run_lemma(name: str, flags: tuple[str, ...]) -> tuple[list[Result], float]:
    """A lemma is of no function, so WP is asked for it by its name."""
    unit = Unit("lemmas", "mm/global/bits.c", (name,), flags)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        text = subprocess.run(command(ROOT, [ROOT], unit, [f"-wp-prop={name}"]), cwd=folder,
                              text=True, capture_output=True, check=False).stdout
    text = text.replace("typed_lemma_", "typed_")
    return read_output(text, unit.functions), time.monotonic() - begun


# Functions -----------------------------------------------------------------------------------


def show(result: Result) -> None:
    print(f"  {result.function:32} {result.goals:6} {result.proved:7} {result.seconds:8.1f} s", flush=True)
    for goal in result.failed:
        print(f"      NOT PROVED: {goal}")


def prove_unit(unit: Unit, jobs: int) -> list[str]:
    results, seconds = run(ROOT, [ROOT], unit, jobs)
    print(f"{unit.name}: {' '.join((unit.source, *unit.flags))}, {seconds:.0f} s")
    for result in results:
        show(result)
    wrong = [f"{result.function} ({unit.name}): {len(result.failed)} goals are not proved"
             for result in results if result.failed]
    return wrong + [f"{result.function} ({unit.name}): there is no goal" for result in results if not result.goals]


# Twins ---------------------------------------------------------------------------------------


def twin_of(path: Path, index: Index) -> Twin:
    """A file as in tests/mutants, with a head of one line: `Unproved: FUNCTION, UNIT`."""
    head, _, body = path.read_text(encoding="utf-8").partition("\n\n")
    key, _, value = head.strip().splitlines()[-1].partition(":")
    function, _, name = (part.strip() for part in value.partition(","))
    units = [unit for unit in UNITS if unit.name == name and function in unit.functions]
    if key != "Unproved" or len(units) != 1:
        raise BadMutant(f"{path.name}: its head does not name a function and its unit: {head}")
    return Twin(path.stem, function, units[0], apply_edits(index, parse_edits(body)))


def read_twins() -> list[Twin]:
    index = Index(ROOT)
    return [twin_of(path, index) for path in sorted((ROOT / TWINS).glob("*.mutant"))]


def functions_without_twin(twins: Sequence[Twin]) -> list[str]:
    broken = {(twin.unit.name, twin.function) for twin in twins}
    return [f"{function} ({unit.name}): it has no broken twin"
            for unit in UNITS for function in unit.functions if (unit.name, function) not in broken]


def run_twin(twin: Twin, jobs: int) -> str:
    """What is wrong with it: nothing, if a goal of its function is not proved."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        for path, text in twin.files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(text, encoding="utf-8")
        unit = replace(twin.unit, functions=(twin.function,))
        results, seconds = run(ROOT, [tree, ROOT], unit, jobs)
    failed = [goal for result in results for goal in result.failed]
    print(f"  {twin.name:32} {failed[0] if failed else 'PROVED':44} {seconds:6.1f} s", flush=True)
    return "" if failed else f"the broken twin {twin.name} is proved"


# All of it -----------------------------------------------------------------------------------


def prove(only: str, twins_too: bool, jobs: int) -> list[str]:
    wrong = []
    units = [unit for unit in UNITS if only in unit.name or only in unit.functions]
    twins = read_twins()
    if not only:
        print("Lemmas about 64-bit words, as bit vectors, by z3:")
        wrong += prove_lemmas() + functions_without_twin(twins)
    print("\nFunctions by WP                     goals  proved   provers")
    for unit in units:
        wrong += prove_unit(unit, jobs)
    if not only:
        print("\nNot proved, and what stopped it")
        for name, reason in NOT_PROVED.items():
            print(f"  {name:32} {reason}")
    if twins_too:
        print("\nBroken twins: what is not proved of each")
        for twin in twins:
            if twin.unit in units and (twin.function == only or only not in twin.unit.functions):
                wrong.append(run_twin(twin, jobs))
    return list(filter(None, wrong))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="NAME", help="a function, or part of a unit's name")
    parser.add_argument("--no-twins", action="store_true")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        print(f"prove: not on this machine: {', '.join(missing)}; tools/deps.sh prove", file=sys.stderr)
        return 2
    begun = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            os.environ.update(why3_environment(Path(folder)))
            wrong = prove(arguments.only, not arguments.no_twins, arguments.jobs)
    except (CannotProve, NotWords, BadMutant) as error:
        print(f"prove: {error}", file=sys.stderr)
        return 2
    print(f"\n{time.monotonic() - begun:.0f} s")
    for text in wrong:
        print(f"prove: {text}")
    print("prove: OK" if not wrong else f"prove: {len(wrong)} failures")
    return 1 if wrong else 0
