#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What each fence is for: the table of docs/fences.md.

    tools/fences.py --save      runs the programs, writes tests/host/weak/fences.jsonl and the page
    tools/fences.py --page      writes the page from the record
    tools/fences.py --check     whether the record, the reasons and the page are those of the sources

The programs are those of the weak-memory explorer, build/host/test_weak_*. With FENCES in the environment
they take away each fence that their workloads pass, and each pair of kinds of accesses that it orders, and
say which of these an execution dies of. With TOGETHER they take away two of those at once that none dies
of. What a program has printed is kept in build/fences/, and used again until the program changes.

A fence that no execution dies without must have a reason in tests/host/weak/fences.toml. So must a fence
that no workload passes.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import fences_page
import fences_source

ROOT = Path(__file__).resolve().parent.parent
REASONS = ROOT / "tests/host/weak/fences.toml"
RECORD = ROOT / "tests/host/weak/fences.jsonl"
PAGE = ROOT / "docs/fences.md"
TESTING = ROOT / "docs/testing.md"  # has the line of fences_page.summary()
SUMMARY = re.compile(r"^\d+ fences; .*$", re.MULTILINE)
COMMAND = "tools/fences.py --save"
PREFIX = "# fence "
# Of the kit's headers only the name of the file is the same on every host.
SYSTEM = re.compile(r"^/usr/(local/)?include/")


@dataclass
class Fence:
    """What the programs found out. `dies`: pair -> [workload, executions]; `all` is the whole fence."""

    name: str
    dies: dict[str, list[str | int]] = field(default_factory=dict)
    tried: int = 0  # executions without the whole fence that have not died
    partner: str = ""
    together: list[str | int] = field(default_factory=list)  # the other item, workload, executions

    def is_needed(self) -> bool:
        return "all" in self.dies


@dataclass
class Reasons:
    why: dict[str, str] = field(default_factory=dict)
    stands_for: dict[str, str] = field(default_factory=dict)


def reasons() -> Reasons:
    found = Reasons()
    if not REASONS.exists():
        return found
    parsed = tomllib.loads(REASONS.read_text(encoding="utf-8"))
    for row in parsed.get("fence", []):
        for name in [row["fence"]] if isinstance(row["fence"], str) else row["fence"]:
            found.why[name] = row["why"]
    for row in parsed.get("stands_for", []):
        found.stands_for[row["site"]] = row["fence"]
    return found


# ---- the programs' lines -------------------------------------------------------------------------

def file_of(path: str) -> str:
    return re.sub(r"^\./", "", SYSTEM.sub("ck: ", path))


class Names:
    """The names of the places that the programs print."""

    def __init__(self, rows: Iterable[dict], places: Iterable[fences_source.Place],
                 stands_for: dict[str, str]) -> None:
        self.own = {(place.file, place.line): place.name() for place in places}
        self.stands_for = stands_for
        self.others: dict[tuple[str, int], str] = {}
        count: dict[str, int] = {}
        # The kit's, and those that a macro of the kit has put into our files.
        kit = sorted({(file_of(row["file"]), row["line"], row["function"], row["what"]) for row in rows
                      if not row["file"].startswith("tests/")})
        for file, line, function, what in kit:
            name = f"ck: {file.removeprefix('ck: ')} {function} {what}"
            if (file, line) not in self.own:
                count[name] = count.get(name, 0) + 1
                self.others[file, line] = f"{name} {count[name]}"

    def of(self, file: str, line: int, what: str = "") -> str | None:
        """None: a fence of the tests themselves."""
        file = file_of(file)
        if file.startswith("tests/"):
            return self.stands_for.get(f"{file} {what}")
        return self.own.get((file, line)) or self.others.get((file, line))

    def at(self, place: str) -> str:
        """Of "file:line" or "file:line/pair"."""
        found = re.match(r"(.*):(\d+)(/.*)?$", place)
        return f"{self.of(found[1], int(found[2])) or ''}{found[3] or ''}" if found else ""


def rows_of(lines: Iterable[str]) -> list[dict]:
    return [json.loads(line[len(PREFIX):]) for line in lines if line.startswith(PREFIX)]


def check_place(name: str, row: dict) -> None:
    """What the program calls the function is what the sources do; else it was built from others."""
    if not file_of(row["file"]).startswith("tests/") and f" {row['function']} " not in name:
        sys.exit(f"{row['file']}:{row['line']} is in {row['function']}, and the sources have {name} there")


def read(rows: list[dict], names: Names) -> dict[str, Fence]:
    found: dict[str, Fence] = {}
    for row in rows:
        name = names.of(row["file"], row["line"], row["what"])
        if name is None:
            continue
        check_place(name, row)
        fence = found.setdefault(name, Fence(name))
        if "partner" in row:
            fence.partner = names.at(row["partner"]) or fence.partner
        if "with" in row:
            fence.together = fence.together or [names.at(row["with"]), row["workload"], row["executions"]]
        elif row["caught"]:
            fence.dies.setdefault(row["pair"], [row["workload"], row["executions"]])
        elif row["pair"] == "all":
            fence.tried += row["executions"]
    return found


def items_without_death(rows: list[dict]) -> list[str]:
    """What no execution of the program has died without, for TOGETHER."""
    tried, died = {}, set()
    for row in rows:
        place = f"{row['file']}:{row['line']}"
        item = place if row["pair"] == "all" else f"{place}/{row['pair']}"
        tried[item] = True
        if row["caught"]:
            died.add(item)
    return [item for item in tried if item not in died]


# ---- running -------------------------------------------------------------------------------------

def lines_of(program: Path, log: Path, environment: dict[str, str]) -> list[str]:
    if not log.exists() or log.stat().st_mtime < program.stat().st_mtime:
        done = subprocess.run([program.resolve()], env=os.environ | environment, cwd=ROOT, capture_output=True,
                              text=True, check=False)
        if done.returncode:
            sys.exit(f"{program}: {done.stdout[-2000:]}{done.stderr}")
        log.write_text(done.stdout, encoding="utf-8")
        print(f"  {program.name}: {' '.join(environment)}", flush=True)
    return log.read_text(encoding="utf-8").splitlines()


def run(program: Path, logs: Path) -> list[dict]:
    alone = rows_of(lines_of(program, logs / f"{program.name}.alone", {"FENCES": "all"}))
    together = " ".join(items_without_death(alone))
    return alone + rows_of(lines_of(program, logs / f"{program.name}.together", {"TOGETHER": together}))


def run_all(build: Path, jobs: int) -> list[dict]:
    programs = sorted(build.glob("test_weak_*"))
    if not programs:
        sys.exit(f"no test_weak_* in {build}: run `make host` first")
    logs = build.parent / "fences"
    logs.mkdir(exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        return [row for rows in pool.map(lambda program: run(program, logs), programs) for row in rows]


# ---- the record ----------------------------------------------------------------------------------

def save(fences: dict[str, Fence]) -> None:
    lines = [json.dumps({"record": "source", "command": COMMAND})]
    lines += [json.dumps({"record": "fence", "fence": fence.name, "dies": fence.dies, "tried": fence.tried,
                          "partner": fence.partner, "together": fence.together})
              for _, fence in sorted(fences.items())]
    RECORD.write_text("\n".join(lines) + "\n", encoding="utf-8")


def load() -> dict[str, Fence]:
    rows = [json.loads(line) for line in RECORD.read_text(encoding="utf-8").splitlines()]
    return {row["fence"]: Fence(row["fence"], row["dies"], row["tried"], row["partner"], row["together"])
            for row in rows if row["record"] == "fence"}


def page() -> str:
    return fences_page.page(fences_source.scan(), load(), reasons().why)


def summary() -> str:
    return fences_page.summary(fences_source.scan(), load()) + "."


def write_pages() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    TESTING.write_text(SUMMARY.sub(summary(), TESTING.read_text(encoding="utf-8")), encoding="utf-8")


# ---- the check -----------------------------------------------------------------------------------

def problems_of(places: list[fences_source.Place], fences: dict[str, Fence], why: dict[str, str]) -> list[str]:
    written = {place.name() for place in places}
    kit = {name for name in fences if name.startswith("ck: ")}
    needed = {name for name, fence in fences.items() if fence.is_needed()}
    problems = [f"no workload passes it, and there is no reason: {name}"
                for name in sorted(written - set(fences) - set(why))]
    problems += [f"no execution dies without it, and there is no reason: {name}"
                 for name in sorted((written | kit) & set(fences) - needed - set(why))]
    problems += [f"the record has a fence that the sources do not have: {name}"
                 for name in sorted(set(fences) - written - kit)]
    problems += [f"a reason for a fence that is needed, or gone: {name}"
                 for name in sorted(set(why) & needed | set(why) - written - kit)]
    return problems


def check() -> list[str]:
    problems = problems_of(fences_source.scan(), load(), reasons().why)
    if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page():
        problems.append(f"{PAGE.relative_to(ROOT)} is not what `tools/fences.py --page` writes")
    if SUMMARY.findall(TESTING.read_text(encoding="utf-8")) != [summary()]:
        problems.append(f"{TESTING.relative_to(ROOT)} does not have the line of `tools/fences.py --page`")
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=Path("build/host"))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.save:
        rows = run_all(options.build, options.jobs)
        save(read(rows, Names(rows, fences_source.scan(), reasons().stands_for)))
    if options.save or options.page:
        write_pages()
    problems = check()
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    print(summary())
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
