#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What each fence is for: the table of docs/fences.md.

Runs the programs of the weak-memory explorer (tests/host/weak/) with FENCES=FILE in the environment.
They take away each fence that their workloads pass, and each pair of kinds of accesses that it
orders, and say which of these an execution dies of. A fence that no execution needs must have a
reason in tests/host/weak/fences.toml.

    tools/fences.py --build build/host --save docs/records/fences.jsonl
    tools/fences.py --table docs/records/fences.jsonl >docs/fences.md
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

REASONS = Path("tests/host/weak/fences.toml")
PREFIX = "# fence "
# Of the kit's headers only the name of the file is the same on every host.
SYSTEM = re.compile(r"^/usr/(local/)?include/")


@dataclass
class Fence:
    """One place in the source. `needed`: pair -> (workload, executions)."""

    file: str
    function: str
    what: str
    line: int
    needed: dict[str, tuple[str, int]] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)
    partner: str = ""

    def name(self) -> str:
        return f"{self.file} {self.function} {self.what}"

    def is_needed(self) -> bool:
        return "all" in self.needed


def file_of(path: str) -> str:
    return re.sub(r"^\./", "", SYSTEM.sub("ck: ", path))


def read(lines: Iterable[str]) -> list[Fence]:
    found: dict[tuple[str, int, str], Fence] = {}
    for line in lines:
        if not line.startswith(PREFIX):
            continue
        row = json.loads(line[len(PREFIX):])
        key = (file_of(row["file"]), row["line"], row["what"])
        fence = found.setdefault(key, Fence(key[0], row["function"], row["what"], row["line"]))
        pair = row["pair"]
        fence.tried[pair] = fence.tried.get(pair, 0) + row["executions"]
        if row["caught"] and pair not in fence.needed:
            fence.needed[pair] = (row["workload"], row["executions"])
        if row.get("partner"):
            fence.partner = file_of(row["partner"])
    return [found[key] for key in sorted(found)]


def numbered(fences: list[Fence]) -> list[tuple[str, Fence]]:
    """A name that stays when lines move: file, function, what, and its place among the same."""
    count: dict[str, int] = {}
    result = []
    for fence in fences:
        name = fence.name()
        count[name] = count.get(name, 0) + 1
        result.append((f"{name} {count[name]}", fence))
    return result


def reasons() -> dict[str, str]:
    if not REASONS.exists():
        return {}
    return {row["fence"]: row["why"] for row in tomllib.loads(REASONS.read_text())["fence"]}


def partner_name(fence: Fence, fences: list[Fence]) -> str:
    for other in fences:
        if f"{other.file}:{other.line}" == fence.partner:
            return f"{other.function} ({Path(other.file).name})"
    return ""


def table(fences: list[Fence]) -> str:
    why = reasons()
    rows = ["| fence | in | partner | dies without it | pairs that are needed |", "|---|---|---|---|---|"]
    for name, fence in numbered(fences):
        place = f"`{fence.function}`, {Path(fence.file).name if fence.file.startswith('ck: ') else fence.file}"
        if fence.is_needed():
            workload, executions = fence.needed["all"]
            test = f"`{workload}`, execution {executions}"
        else:
            test = why.get(name, "NO TEST, AND NO REASON")
        pairs = ", ".join(f"`{pair}`" for pair in fence.needed if pair != "all")
        rows.append(f"| `{fence.what.removeprefix('ck_pr_')}` | {place} | "
                    f"{partner_name(fence, fences)} | {test} | {pairs} |")
    return "\n".join(rows)


def unexplained(fences: list[Fence]) -> list[str]:
    why = reasons()
    return [name for name, fence in numbered(fences) if not fence.is_needed() and name not in why]


def stale_reasons(fences: list[Fence]) -> list[str]:
    alive = {name for name, fence in numbered(fences) if not fence.is_needed()}
    return sorted(set(reasons()) - alive)


def run(program: Path, files: str) -> str:
    environment = os.environ | {"FENCES": files}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{program}: {done.stdout[-2000:]}{done.stderr}")
    return done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=Path("build/host"))
    parser.add_argument("--files", default="all", help="only fences of files with this in the name")
    parser.add_argument("--save", type=Path, help="write the programs' lines here")
    parser.add_argument("--table", type=Path, help="print the page of these lines")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    if options.table:
        fences = read(options.table.read_text().splitlines())
        print(table(fences))
    else:
        programs = sorted(options.build.glob("test_weak_*"))
        if not programs:
            sys.exit(f"no test_weak_* in {options.build}: run `make host` first")
        with ThreadPoolExecutor(options.jobs) as pool:
            outputs = list(pool.map(lambda program: run(program, options.files), programs))
        lines = [line for output in outputs for line in output.splitlines()
                 if line.startswith(PREFIX)]
        fences = read(lines)
        if options.save:
            options.save.write_text("\n".join(lines) + "\n")
        needed = sum(fence.is_needed() for fence in fences)
        print(f"{len(fences)} fences, {needed} of which an execution dies without")
    problems = [f"no execution dies without it, and there is no reason: {name}"
                for name in unexplained(fences)]
    problems += [f"a reason for a fence that is needed, or gone: {name}"
                 for name in stale_reasons(fences)]
    print("\n".join(problems), file=sys.stderr, end="\n" if problems else "")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
