# SPDX-License-Identifier: BSD-2-Clause
"""The checks of the linked kernel, the report on another build, and their output."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lint.kernel import Kernel
from lint.report import Nothing, Report, ktap_lines, run, run_tool
from lint.sources import Sources

from .compiled import Compiled, check_su
from .graph import Depths
from .machine import NOT_FOLLOWED, Machine
from .pointers import Pointers
from .rows import Measured, Row, check_rows, table
from .traps import traps_of


def build_record(build: str, compiler: str) -> dict[str, object]:
    """What the other records of a build depend on."""
    version = run_tool([*shlex.split(compiler)[:1], "-dumpfullversion"]).stdout.strip()
    return {"record": "stack_build", "build": build, "compiler": compiler, "version": version}


def machine_checks(
    options: argparse.Namespace, sources: dict[str, str], records: list[dict[str, object]]
) -> list[tuple[str, Callable[[], Report]]]:
    """The checks of the linked kernel; `records` is filled when they run."""
    pointers = Pointers(sources)
    machine = Machine(Kernel(options.kernel, re.sub(r"gcc$", "objdump", options.cc)), pointers)
    measured = Measured(machine, sources)
    rows: list[Row] = []

    def fill() -> None:
        if not rows:
            rows.extend(measured.rows(pointers))
            records.append(build_record("kernel", options.cc))
            records.extend(row.record("kernel") for row in rows)

    def of_group(group: str) -> Report:
        fill()
        return check_rows(rows, group, measured.absent if group == "public" else [])

    def resolved() -> Report:
        fill()
        return Report(
            measured.problems,
            f"{len(measured.ported.indexed)} functions; not followed: "
            f"{', '.join(NOT_FOLLOWED)}, and what ends there",
        )

    def trap() -> Report:
        depths = Depths(machine.node, True, measured.recursion_max)
        traps = traps_of(machine, depths, is_tests=False)
        if not traps.handlers:
            raise Nothing("the kernel has no handler of an interrupt")
        records.extend(traps.records())
        of_tests = Depths(machine.node, True, measured.recursion_max)
        tests = traps_of(machine, of_tests, is_tests=True)
        for handler in [*traps.handlers[:1], *tests.handlers[:1]]:
            least = " at least, in a test" if handler in tests.handlers else ""
            print(f"#{least} {traps.line(handler)}")
        report = Report(note=traps.line(traps.handlers[0]).partition(":")[0])
        report.problems = [p for p in depths.problems if p not in measured.problems]
        return report

    def shown(check: Callable[[], Report]) -> Report:
        report = check()
        if options.verbose:
            print("\n".join(table(rows, options.verbose)))
            print(f"# not counted, as they end in port_panic: {', '.join(machine.cut)}")
            print(f"# with frame pointers: {', '.join(machine.files_with_frame_pointers())}")
        return report

    checks: list[tuple[str, Callable[[], Report]]] = [
        ("stack of public calls", lambda: shown(lambda: of_group("public"))),
        ("stack of policies", lambda: of_group("policy")),
        ("stack of the locks", lambda: of_group("lock")),
        ("stack of diagnostics", lambda: of_group("diagnostics")),
        ("stack followed everywhere", resolved),
        ("stack of traps", trap),
    ]
    if options.su:
        checks.append(("stack as the compiler says", lambda: check_su(machine, options.su)))
    return checks


def report_compiled(options: argparse.Namespace, sources: dict[str, str]) -> list[Row]:
    pointers = Pointers(sources)
    files = [path for path in sources if path.startswith(("mm/", "sync/")) and path.endswith(".c")]
    if not options.paging:
        files = [path for path in files if not path.startswith("mm/paging/")]
    measured = Measured(Compiled(options.compile, files, pointers), sources)
    rows = [replace(row, bound=None) for row in measured.rows(pointers)]
    print(f"# compiled with: {options.compile}")
    print("\n".join(table(rows, options.verbose, has_port=False)))
    for problem in measured.problems:
        print(f"# {problem}")
    return rows


def options_of(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="bounds of the stack that calls of mm/ use")
    add = parser.add_argument
    add("--kernel", type=Path, help="the ELF file")
    add("--cc", default="riscv64-unknown-elf-gcc", help="its compiler")
    add("--su", type=Path, help="where its objects are, with the compiler's .su files")
    add("--compile", default="", help="report on mm/ and sync/ compiled by this command")
    add("--build", default="", help="what the records call that build")
    add("--paging", action="store_true", help="compile mm/paging/ too")
    add("--json", type=Path, help="where the records go, one JSON object a line")
    add("-v", "--verbose", action="store_true", help="the table, with the deepest chains")
    options = parser.parse_args(arguments)
    if not options.kernel and not options.compile:
        parser.error("--kernel or --compile")
    return options


def main() -> int:
    options = options_of()
    sources = {p: text for p, text in Sources().text.items() if not p.startswith("tests/host/")}
    records: list[dict[str, object]] = []
    failed = 0
    if options.kernel:
        checks = machine_checks(options, sources, records)
        print(f"KTAP version 1\n1..{len(checks)}")
        for number, (name, check) in enumerate(checks, 1):
            report = run(check)
            failed += bool(report.problems)
            print("\n".join(ktap_lines(number, name, report)), flush=True)
    if options.compile:
        build = options.build or options.compile
        records.append(build_record(build, options.compile))
        records += [row.record(build, has_port=False) for row in report_compiled(options, sources)]
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return 1 if failed else 0
