# SPDX-License-Identifier: BSD-2-Clause
"""Tests of launcher/symbols.py with a program of this host, and of check/source_text.py."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import unittest
from pathlib import Path

from check.source_text import with_source_text
from launcher.symbols import Symbols, source_path
from test_tools import PASS, InTemporaryFolder, Launching

# The call of last_of() is the last instruction of calls_last(): its return address is in behind().
SOURCE = """
__attribute__((noinline, noreturn)) void last_of(void);
static inline __attribute__((always_inline)) int inner(volatile int *word)
{
	return *word; /* inlined */
}
int data[8];
__attribute__((noinline)) int outer(volatile int *word)
{
	return inner(word); /* calls inner */
}
__attribute__((noinline, noreturn)) void calls_last(void)
{
	last_of(); /* does not return */
}
int behind(void)
{
	return 7;
}
void last_of(void)
{
	for (;;)
		data[1] = 1;
}
int main(void)
{
	return outer(&data[0]) + behind();
}
"""


def line_with(text: str) -> int:
    return next(number for number, line in enumerate(SOURCE.splitlines(), 1) if text in line)


@unittest.skipUnless(all(map(shutil.which, ("gcc", "nm", "addr2line", "objdump"))), "no gcc, no binutils")
class TestSymbols(Launching):
    def setUp(self) -> None:
        super().setUp()
        self.source = self.folder / "kernel.c"
        self.source.write_text(SOURCE)
        self.build("-g")

    def build(self, *flags: str) -> None:
        subprocess.run(["gcc", "-O1", "-fno-toplevel-reorder", "-fcf-protection=none", "-no-pie", *flags, "-o",
                        self.kernel, self.source], check=True)
        self.symbols = Symbols(self.kernel)
        self.addCleanup(self.symbols.lines.close)

    def address_of(self, name: str) -> int:
        listing = subprocess.run(["nm", self.kernel], capture_output=True, text=True, check=True).stdout
        found = re.search(rf"^([0-9a-f]+) \w {name}$", listing, re.M)
        assert found
        return int(found[1], 16)

    def place(self, text: str) -> str:
        return f"{self.source}:{line_with(text)}"

    def return_address(self) -> int:
        """Behind the call at the end of calls_last()."""
        command = ["objdump", "-d", "--disassemble=calls_last", str(self.kernel)]
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        bytes_of_call = re.findall(r"^ +([0-9a-f]+):\t((?:[0-9a-f]{2} )+) *\tcall", listing, re.M)[-1]
        return int(bytes_of_call[0], 16) + len(bytes_of_call[1].split())

    def test_a_return_address_is_of_the_call_before_it(self) -> None:
        at = self.return_address()
        start = self.address_of("calls_last")
        self.assertEqual(self.symbols.text(at), f"calls_last+{at - start:#x} ({self.place('does not return')})")
        # The same address as a pc is another function's: of behind(), or of what aligns it.
        self.assertNotIn("calls_last", self.symbols.text(at, is_pc=True))

    def test_a_pc_is_of_the_instruction_itself(self) -> None:
        at = self.address_of("behind")
        self.assertEqual(self.symbols.text(at, is_pc=True).partition(" ")[0], "behind+0x0")
        self.assertNotIn("behind", self.symbols.text(at))

    def test_an_inlined_function_comes_first(self) -> None:
        at = self.address_of("outer")
        inlined = f"inner ({self.place('/* inlined */')}), inlined"
        outer = f"outer+0x0 ({self.place('calls inner')})"
        self.assertEqual(self.symbols.text(at, is_pc=True), f"{inlined} in {outer}")
        line = f"  pc [<{at:#x}>]"
        self.assertEqual(self.symbols.annotate(line.encode()).decode(),
                         f"{line} {inlined}\n{' ' * (len(line) + 1)}{outer}")

    def test_in_a_sentence_a_place_follows_its_address(self) -> None:
        outer, call = self.address_of("outer"), self.return_address()
        line = f"read at pc [<{outer:#x}>], called from [<{call:#x}>] 7 us ago"
        self.assertEqual(self.symbols.annotate(line.encode()).decode(),
                         f"read at pc [<{outer:#x}>] {self.symbols.text(outer, True)}, "
                         f"called from [<{call:#x}>] {self.symbols.text(call)} 7 us ago")

    def test_only_text_has_names(self) -> None:
        for address in (self.address_of("data"), self.address_of("data") + 8, 1, 0, 2**63):
            line = f"[<{address:#x}>] and pc [<{address:#x}>]".encode()
            self.assertEqual(self.symbols.annotate(line), line)

    def test_without_debug_information_there_are_functions(self) -> None:
        self.build()
        at = self.address_of("behind")
        self.assertEqual(self.symbols.text(at + 4), "behind+0x4")
        self.assertEqual(self.symbols.name(at + 4), b"behind+0x4")

    def test_the_console_shows_them(self) -> None:
        at = self.address_of("behind") + 4
        run = self.launch(f"echo '  [<{at:#018x}>]'; echo '[<0x1>]';" + PASS)
        self.assertIn(f"  [<{at:#018x}>] {self.symbols.text(at)}\n[<0x1>]\n".encode(), run.stdout)

    def test_a_file_that_is_no_program(self) -> None:
        self.kernel.write_bytes(b"not really")
        symbols = Symbols(self.kernel)
        self.addCleanup(symbols.lines.close)
        self.assertEqual(symbols.annotate(b"[<0x80200000>]"), b"[<0x80200000>]")


class TestPaths(InTemporaryFolder):
    def test_from_the_root_of_the_tree_wherever_it_was_compiled(self) -> None:
        (self.folder / "mm").mkdir()
        (self.folder / "mm" / "zone.c").touch()
        for path in ("/elsewhere/tree/mm/zone.c", "/elsewhere/tree/./mm/zone.c", "mm/zone.c"):
            self.assertEqual(source_path(path, self.folder), "mm/zone.c")
        self.assertEqual(source_path("/usr/include/stdio.h", self.folder), "/usr/include/stdio.h")

    def test_source_text_for_line_numbers(self) -> None:
        (self.folder / "a.c").write_text("one\n\ttwo(x);\n")
        said = "  pc [<0x80>] leaf (a.c:1), inlined\n              f.isra.0+0x2 (a.c:2)\nsee b+0x1 (b.c:1)\n"
        self.assertEqual(with_source_text(said, self.folder),
                         "  pc [<>] leaf 'one', inlined\n f.isra.0 'two(x);'\nsee b 'no such line'\n")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    unittest.main()
