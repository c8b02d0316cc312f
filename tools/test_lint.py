#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of lint: trees and programs of a few lines, in which each check must find what is wrong.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from lint import layers, symbols
from lint.kernel import Kernel
from lint.layers import check_layers
from lint.report import Nothing, Report
from lint.segments import check_segments
from lint.sources import Sources
from lint.style import LICENCE, check_format, check_licence
from lint.symbols import Objects, check_circles, check_script, check_symbol_layers, contract

CC = os.environ.get("STACK_CC", "riscv64-unknown-elf-gcc")
FLAGS = "-march=rv64imac -misa-spec=2.2 -mabi=lp64 -mcmodel=medany -O2 -ffreestanding -nostdlib"
PORT = """#include <stdarg.h>
extern unsigned port_cpus;
void port_ipi_send(unsigned first, unsigned long set);
_Noreturn void port_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern void (*port_on_panic)(const char *format, va_list arguments);
static inline unsigned port_cpu(void)
{
	return 0;
}
"""


class Tree(unittest.TestCase):
    """Source files in a folder."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()

    def write(self, files: dict[str, str]) -> None:
        for path, text in files.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)

    def tool(self, command: str) -> None:
        result = subprocess.run(
            shlex.split(command), cwd=self.root, capture_output=True, text=True, check=False
        )
        self.assertEqual(result.returncode, 0, result.stderr)

    def compiled(self, files: dict[str, str]) -> tuple[Sources, Objects]:
        self.write({"arch/riscv/port.h": PORT, **files})
        for path in filter(lambda path: path.endswith((".c", ".S")), files):
            into = Path("build") / Path(path).with_suffix(".o")
            (self.root / into).parent.mkdir(parents=True, exist_ok=True)
            self.tool(f"{CC} {FLAGS} -c -o {into} {path}")
        nm = re.sub(r"gcc$", "nm", CC)
        return Sources(self.root), Objects(self.root / "build", nm, self.root)

    def check(self, report: Report, *problems: str) -> None:
        self.assertEqual(len(report.problems), len(problems), report.problems)
        for found, wanted in zip(report.problems, problems):
            self.assertRegex(found, wanted)


# What keeps each graph above as many pairs as it has objects.
CALM = {
    "sync/a.c": "int a(void) { return 1; }\n",
    "mm/b.c": "int a(void); int b(void) { return a() + 1; }\n",
    "mm/c.c": "int a(void); int b(void); int c(void) { return a() + b(); }\n",
    "kernel/d.c": "int a(void); int c(void); int d(void) { return a() + c(); }\n",
}


class SymbolLayers(Tree):
    def check_upward(self, problem: str, **changed: str) -> None:
        files = {**CALM, **{path.replace("__", "/") + ".c": t for path, t in changed.items()}}
        self.check(check_symbol_layers(*self.compiled(files)), *([problem] if problem else []))

    def test_downward(self) -> None:
        self.check_upward("")

    def test_mm_calls_the_kernel(self) -> None:
        self.check_upward(r"mm/b -> kernel/d \(d\)",
                          mm__b="int d(void); int b(void) { return d(); }\n")

    def test_a_variable_counts(self) -> None:
        self.check_upward(r"sync/a -> mm/e \(e\)", mm__e="int e;\n",
                          sync__a="extern int e; int a(void) { return e; }\n")

    def test_the_cache_calls_a_policy(self) -> None:
        self.check_upward(r"mm/percpu/cache -> mm/global/bitmap \(grab\)",
                          mm__global__bitmap="int grab(void) { return 1; }\n",
                          mm__percpu__cache="int grab(void); int f(void) { return grab(); }\n")

    def test_a_zone_calls_the_cache(self) -> None:
        self.check_upward(r"mm/global/zone -> mm/percpu/drain \(ask\)",
                          mm__percpu__drain="int a(void); int ask(void) { return a(); }\n",
                          mm__global__zone="int ask(void); int f(void) { return ask(); }\n")

    def test_arch_calls_mm(self) -> None:
        self.check_upward(r"arch/riscv/x -> mm/b \(b\)",
                          arch__riscv__x="int b(void); int x(void) { return b(); }\n")

    def test_the_kernel_calls_tests(self) -> None:
        self.check_upward(r"kernel/diag/x -> tests/smp/y \(y\)", tests__smp__y="int y;\n",
                          kernel__diag__x="extern int y; int x(void) { return y; }\n")

    def test_smp_calls_diag(self) -> None:
        self.check_upward(r"kernel/smp/ipi -> kernel/diag/panic \(panic_park\)",
                          kernel__diag__panic="int a(void); int panic_park(void) { return a(); }\n",
                          kernel__smp__ipi="int panic_park(void);\n"
                          "int i(void) { return panic_park(); }\n")

    def test_the_port_contract_may_be_called_from_below(self) -> None:
        self.check_upward("", kernel__port="int port_cpus; void port_ipi_send(void) {}\n",
                          mm__b="void port_ipi_send(void); extern int port_cpus;\n"
                          "int b(void) { port_ipi_send(); return port_cpus; }\n")

    def test_what_the_port_header_defines_or_hooks_is_no_contract(self) -> None:
        sources, _ = self.compiled({})
        self.assertEqual(contract(sources), {"port_cpus", "port_ipi_send", "port_panic"})

    def test_the_entry_of_the_kernel(self) -> None:
        self.check_upward("", arch__riscv__x="int kernel_main(void);\n"
                          "int x(void) { return kernel_main(); }\n",
                          kernel__m="int a(void); int kernel_main(void) { return a(); }\n")

    def test_no_objects(self) -> None:
        with self.assertRaises(Nothing):
            check_symbol_layers(*self.compiled({}))

    def test_the_object_of_a_file_that_was_renamed_does_not_count(self) -> None:
        old = "int d(void); int o(void) { return d(); }\n"
        sources, objects = self.compiled({**CALM, "mm/old.c": old})
        (self.root / "mm/old.c").unlink()
        self.check(check_symbol_layers(sources, objects))


class Circles(Tree):
    def circles(self, files: dict[str, str]) -> Report:
        return check_circles(self.compiled(files)[1])

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(setattr, symbols, "CIRCLES", symbols.CIRCLES)
        symbols.CIRCLES = {}

    def test_none(self) -> None:
        self.check(self.circles(CALM))

    def test_two_files(self) -> None:
        self.check(self.circles({**CALM, "mm/b.c": "int c(void); int b(void) { return c(); }\n"}),
                   r"2 files in a circle: mm/b -> mm/c \(c\); mm/c -> mm/b \(b\)")

    def test_a_long_one(self) -> None:
        self.check(self.circles({**CALM, "sync/a.c": "int d(void); int a(void) { return d(); }\n"}),
                   "4 files in a circle")

    def test_an_allowed_one(self) -> None:
        symbols.CIRCLES = {("mm/b", "mm/c"): "they are one"}
        self.check(self.circles({**CALM, "mm/b.c": "int c(void); int b(void) { return c(); }\n"}))

    def test_one_that_is_allowed_and_gone(self) -> None:
        symbols.CIRCLES = {("mm/b", "mm/c"): "they were one"}
        self.check(self.circles(CALM), "mm/b -> mm/c is allowed and not there")


class AllowedCircles(unittest.TestCase):
    def test_lie_within_one_folder(self) -> None:
        for user, definer in symbols.CIRCLES:
            self.assertEqual(user.rpartition("/")[0], definer.rpartition("/")[0])


class LinkerScript(Tree):
    def script(self, text: str) -> Report:
        self.write({"linker.ld": text})
        return check_script(self.compiled(CALM)[1])

    def test_patterns_that_match(self) -> None:
        self.check(self.script("*/mm/*.o(.text .text.*) */sync/a.o(.text)"))

    def test_a_file_that_has_moved(self) -> None:
        self.check(self.script("*/kernel/space.o(.text) */mm/*.o(.text)"),
                   r"\*/kernel/space\.o matches no object")

    def test_none(self) -> None:
        self.check(self.script("*(.text)"), "names no files")


class Includes(Tree):
    """The rules alone: the test gives the root of the files."""

    def found(self, files: dict[str, str]) -> list[str]:
        self.write(files)
        found = check_layers(Sources(self.root)).problems
        return [problem for problem in found if "is not for this layer" in problem]

    def test_of_the_kernels_folders(self) -> None:
        for path, wrong, right in (
            ("kernel/smp/x.c", "kernel/diag/panic.h", "kernel/settings.h"),
            ("kernel/smp/x.c", "kernel/vm/space.h", "arch/riscv/hart.h"),
            ("kernel/vm/x.c", "kernel/diag/record.h", "kernel/boot/memory.h"),
            ("kernel/diag/x.c", "kernel/vm/space.h", "kernel/smp/cpu.h"),
            ("kernel/boot/x.c", "tests/smp/smp.h", "kernel/vm/kernel_space.h"),
            ("kernel/boot/memory.c", "arch/riscv/hart.h", "mm/address.h"),
            ("tests/smp/workloads/x.c", "arch/riscv/hart.h", "tests/smp/smp.h"),
            ("tests/smp/selftest/x.c", "tests/smp/sweep.h", "tests/smp/smp.h"),
            ("mm/global/x.c", "mm/percpu/cache.h", "mm/address.h"),
            ("sync/x.c", "mm/address.h", "sync/ck.h"),
        ):
            self.assertEqual(self.found({path: f'#include "{right}"\n'}), [], path)
            self.assertNotEqual(self.found({path: f'#include "{wrong}"\n'}), [], path)
            (self.root / path).unlink()

    def test_the_files_that_see_tests_are_there(self) -> None:
        for path in layers.KERNEL_SEES_TESTS:
            self.assertTrue((layers.ROOT / f"{path}.c").is_file(), path)


class Licence(Tree):
    def test_in_each_kind_of_source(self) -> None:
        line = f"{LICENCE}\n"
        self.write({"a.c": f"/* {line}*/", "b.py": f"#!/bin/x\n# {line}", "c.md": "no source\n",
                    "Makefile": f"# {line}", "run": f"#!/bin/sh\n# {line}", "data": "\n"})
        self.check(check_licence(self.root))

    def test_missing(self) -> None:
        for path, text in (("a.h", "#pragma once\n"), ("b.S", "\tret\n"), ("run", "#!/bin/sh\n"),
                           ("Makefile", "all:\n"), ("late.c", f"\n\n\n\n/* {LICENCE} */\n")):
            self.write({"mm/good.c": f"/* {LICENCE} */\n", path: text})
            self.check(check_licence(self.root), f"{path} has no line")
            (self.root / path).unlink()

    def test_no_sources(self) -> None:
        self.check(check_licence(self.root), "no source files")


@unittest.skipUnless(shutil.which("clang-format") and shutil.which("git"), "no clang-format")
class Format(Tree):
    STYLE = (layers.ROOT / ".clang-format").read_text()
    GOOD = "int f(void)\n{\n\treturn 1;\n}\n"

    def test_as_it_is(self) -> None:
        self.write({".clang-format": self.STYLE, "mm/a.c": self.GOOD})
        self.tool("git init -q .")
        self.check(check_format(Sources(self.root)))

    def test_another_format(self) -> None:
        self.write({".clang-format": self.STYLE, "mm/a.c": self.GOOD.replace("\t", "    ")})
        self.tool("git init -q .")
        self.check(check_format(Sources(self.root)), r"mm/a\.c:\d+ is not as clang-format has it")

    def test_a_copy_that_git_does_not_know(self) -> None:
        self.write({"mm/a.c": "int  f ;\n"})
        report = check_format(Sources(self.root))
        self.check(report)
        self.assertIn("SKIP", report.note)


class NoFormatter(Tree):
    def test_is_no_failure(self) -> None:
        path = os.environ["PATH"]
        self.addCleanup(os.environ.__setitem__, "PATH", path)
        os.environ["PATH"] = str(self.root)
        report = check_format(Sources(self.root))
        self.assertEqual(report.problems, [])
        self.assertIn("SKIP", report.note)


class Segments(Tree):
    SCRIPT = """PHDRS { text PT_LOAD FLAGS(5); rodata PT_LOAD FLAGS(4); data PT_LOAD FLAGS(6); }
SECTIONS { . = 0x80200000; .text : { *(.text*) } :text . = ALIGN(4096);
.rodata : { *(.rodata*) } :rodata . = ALIGN(4096); .data : { *(.data* .sdata* .tdata*) } :data }
"""
    PROGRAM = "const char r[] = \"r\"; int d = 1; int start(void) { return d + r[0]; }\n"

    def segments(self, script: str, program: str) -> Report:
        self.write({"a.ld": script, "a.c": program})
        self.tool(f"{CC} {FLAGS} -static -T a.ld -Wl,-e,start,--no-warn-rwx-segments -o a.elf a.c")
        return check_segments(Kernel(self.root / "a.elf", re.sub(r"gcc$", "objdump", CC)))

    def test_three_of_them(self) -> None:
        self.check(self.segments(self.SCRIPT, self.PROGRAM))

    def test_text_that_can_be_written(self) -> None:
        report = self.segments(self.SCRIPT.replace("FLAGS(5)", "FLAGS(7)"), self.PROGRAM)
        self.assertRegex("\n".join(report.problems), "segment RWX at 0x80200000 is writable and")
        self.assertRegex("\n".join(report.problems), r"\.text is in segment RWX")

    def test_threads(self) -> None:
        report = self.segments(self.SCRIPT, self.PROGRAM.replace("int d", "__thread int d"))
        self.assertRegex("\n".join(report.problems), "thread-local")


if __name__ == "__main__":
    unittest.main()
