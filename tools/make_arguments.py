#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What is wrong with the goals and variables of make's command line, before anything is built.

    make_arguments.py [--goals GOAL ...] [--unknown GOAL ...] [--variables NAME=VALUE ...] -- MAKEFILE ...

tools/make/arguments.mk calls it with the goals, those of them that are no files and no phony targets, and the
variables of the command line; those of the environment are not looked at. It prints the first mistake, or nothing, and exits 0: make stops if something was printed. A
variable that no goal has a use for is only a warning, on standard error.

The names come from the makefiles: a variable is known if a makefile sets it or reads it, or if a
tool reads it from the environment, to which make passes it on. The valid names that are printed are those of `make help`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from suggest import did_you_mean

# Of make itself and of the system; what users pass to any make; and what tools and tests take from the
# environment.
IMPLICIT = frozenset("""MAKE MAKEFLAGS MAKELEVEL SHELL VPATH CC CPP CXX LD AS AR CFLAGS CPPFLAGS CXXFLAGS
    LDFLAGS LDLIBS DESTDIR PREFIX prefix PATH HOME TMPDIR LANG LC_ALL CI QEMU STACK_CC""".split())


# ---- values ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    valid: str  # in words, for the message
    accepts: Callable[[str], bool]


def matching(pattern: str, valid: str) -> Kind:
    compiled = re.compile(pattern)
    return Kind(valid, lambda value: compiled.fullmatch(value) is not None)


def listed(kind: Kind, valid: str) -> Kind:
    return Kind(valid, lambda value: all(kind.accepts(item) for item in value.split(",")))


def is_seeds(value: str) -> bool:
    """As tools/explore.py reads them, without a list of all of them."""
    found = [re.fullmatch(r"(\d+)(?:-(\d+))?", part) for part in value.split(",")]
    return all(match and int(match[1]) <= int(match[2] or match[1]) for match in found)


def is_part(value: str) -> bool:
    match = re.fullmatch(r"(auto|\d+)/(\d+)", value)
    return bool(match and int(match[2]) and (match[1] == "auto" or 1 <= int(match[1]) <= int(match[2])))


SWITCH = matching("[01]", "0 or 1")
COUNT = matching("0*[1-9][0-9]*", "a whole number, 1 or more")
SECONDS = matching(r"\d+(\.\d+)?", "a number of seconds, 0 for no limit")
MINUTES = matching(r"(?=.*[1-9])\d+(\.\d+)?", "a number of minutes, more than 0")
SIZE = matching(r"0*[1-9]\d*(\.\d+)?[kKMGT]?", "a size such as 64M or 1G")
COUNTS = listed(COUNT, "whole numbers with commas between, such as 1,2,4")
SIZES = listed(SIZE, "sizes with commas between, such as 32M,1G")
SEED = matching(r"\d+|auto", "a whole number, or auto for make mutants")
SEEDS = Kind("seeds and ranges that rise, such as 7, 1-64 or 1-10,20", is_seeds)
PART = Kind("K/N with K from 1 to N, or auto/N", is_part)


@dataclass(frozen=True)
class Variable:
    kind: Kind | None  # None: its reader judges the value
    goals: str = ""  # what has a use for it; empty: any goal may have


BOOTS = "run trace monitor debug explore replay shrink"
SCHEDULES = "explore replay shrink"

# Variables whose values are checked here, or that mean something to some goals only.
VARIABLES = {
    "CHECKS": Variable(SWITCH),
    "ASSERTS": Variable(SWITCH),
    "ZBB": Variable(SWITCH),
    "JOBS": Variable(COUNT),
    "SMP": Variable(COUNT, f"{BOOTS} bench"),
    "MEM": Variable(SIZE, f"{BOOTS} soak"),
    "TIMEOUT": Variable(SECONDS, BOOTS),
    "BOOTARGS": Variable(None, BOOTS),
    "VTIME": Variable(SWITCH, "run"),
    "LINES": Variable(SWITCH, "run"),
    "LINE": Variable(COUNT, "run"),
    "WORKLOAD": Variable(None, f"{SCHEDULES} soak"),
    "PREEMPT": Variable(None, SCHEDULES),
    "SCHEDULE": Variable(None, SCHEDULES),
    "SEEDS": Variable(SEEDS, "explore"),
    "SEED": Variable(SEED, "replay shrink mutants"),
    "GDB": Variable(SWITCH, "replay"),
    "GDB_PORT": Variable(COUNT, "debug replay"),
    "MINUTES": Variable(MINUTES, "soak shrink schedulers mutants"),
    "CPUS": Variable(COUNTS, "soak"),
    "FRESH": Variable(SWITCH, "soak"),
    "SMPS": Variable(COUNTS, "test test-plan mutants"),
    "MEMS": Variable(SIZES, "test test-plan mutants"),
    "T": Variable(None, "check"),
    "K": Variable(None, "test check"),
    "LF": Variable(SWITCH, "test check"),
    "ARGS": Variable(None, "test check"),
    "ONLY": Variable(None, "mutants prove schedulers"),
    "PART": Variable(PART, "mutants"),
    "NAMED": Variable(SWITCH, "mutants"),
    "MATRIX": Variable(SWITCH, "mutants"),
    "GENERATED": Variable(None, "mutants"),
    "SAMPLE": Variable(COUNT, "mutants"),
    "LIMIT": Variable(COUNT, "mutants"),
    "SECONDS": Variable(COUNT, "fuzz fuzz-merge"),
    "TARGETS": Variable(None, "fuzz fuzz-merge"),
    "SAVE": Variable(None, "bench-heap"),
}


# ---- names, from the makefiles ---------------------------------------------------------------


@dataclass(frozen=True)
class Names:
    variables: frozenset[str]
    goals: frozenset[str]
    # In the text of make help:
    helped_variables: tuple[str, ...]
    helped_goals: tuple[str, ...]


def names_of(makefiles: Sequence[str]) -> Names:
    text = "\n".join(makefiles)
    help_text = "".join(re.findall(r"^define help_text$(.*?)^endef$", text, re.DOTALL | re.MULTILINE))
    phony = " ".join(re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE))
    variables = {*re.findall(r"^ *(\w+) *[:?+]?=", text, re.MULTILINE),
                 *re.findall(r"\$\((?:origin )?([A-Z_]+)\)", text)}
    goals = set(re.findall(r"[\w-]+(?= |$)", phony)) - {"FORCE"}
    helped_variables = variables & set(re.findall(r"\b[A-Z_]+\b", help_text))
    helped_goals = {"all", *goals & set(re.findall(r"\bmake ([\w-]+)", help_text))}
    return Names(frozenset(variables), frozenset(goals), tuple(sorted(helped_variables)),
                 tuple(sorted(helped_goals)))


# ---- the checks ------------------------------------------------------------------------------


def goal_mistake(goal: str, names: Names) -> str:
    valid = " ".join(names.helped_goals)
    return f"{goal}: no such goal{did_you_mean(goal, names.goals)}; valid: {valid}, or a file to build"


def workload_mistake(value: str) -> str | None:
    import explore  # takes a while, and is seldom needed

    try:
        explore.parse_workloads(value)
    except argparse.ArgumentTypeError as error:
        return str(error)
    return None


def variable_mistake(word: str, names: Names) -> str | None:
    name, _, value = word.partition("=")
    if name not in names.variables | IMPLICIT:
        return (f"{name}=: no such variable{did_you_mean(name, names.helped_variables)}; "
                f"valid: {' '.join(names.helped_variables)}")
    if name == "WORKLOAD" and value:
        mistake = workload_mistake(value)
        return f"{word}: {mistake}" if mistake else None
    kind = VARIABLES[name].kind if name in VARIABLES else None
    if kind is None or kind.accepts(value):
        return None
    return f"{word}: not valid; valid: {kind.valid}" if value else f"{word}: no value; valid: {kind.valid}"


def warnings(words: Sequence[str], goals: Sequence[str]) -> list[str]:
    """Of variables that none of the goals reads."""
    found = []
    for name in (word.partition("=")[0] for word in words):
        readers = VARIABLES[name].goals.split() if name in VARIABLES else []
        if readers and not set(goals) & set(readers):
            found.append(f"warning: make {' '.join(goals)} has no use for {name}=; it is for: {' '.join(readers)}")
    return found


def first_mistake(unknown: Sequence[str], words: Sequence[str], names: Names) -> str | None:
    mistakes = [*(goal_mistake(goal, names) for goal in unknown), *(variable_mistake(word, names) for word in words)]
    return next((mistake for mistake in mistakes if mistake), None)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Check make's command line.")
    parser.add_argument("--goals", nargs="*", default=[], metavar="GOAL")
    parser.add_argument("--unknown", nargs="*", default=[], metavar="GOAL", help="neither a file nor a phony target")
    parser.add_argument("--variables", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("makefiles", nargs="+", type=Path, metavar="MAKEFILE")
    options = parser.parse_args(arguments)
    names = names_of([path.read_text(encoding="utf-8") for path in options.makefiles])
    mistake = first_mistake(options.unknown, options.variables, names)
    if mistake:
        print(mistake)
        return
    for warning in warnings(options.variables, options.goals or ["all"]):
        print(warning, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
