#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of tools/stack: small programs, assembled and compiled here, whose depths are known.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

from lint.kernel import Kernel
from lint.report import ROOT, Nothing
from lint.sources import Sources
from stack import rows
from stack.compiled import Compiled, check_su
from stack.graph import Depths
from stack.machine import Machine
from stack.pointers import Pointers
from stack.rows import Constant, Measured, Row, check_rows, public_functions
from stack.traps import Traps, traps_of

CC = os.environ.get("STACK_CC", "riscv64-unknown-elf-gcc")
FLAGS = (
    "-march=rv64imac -misa-spec=2.2 -mabi=lp64 -mcmodel=medany -g -O2 -ffreestanding -nostdlib "
    "-static -fno-optimize-sibling-calls -Wl,-Ttext=0x80200000,-e,start,--no-warn-rwx-segments"
)
PANIC = "void port_panic(const char *format, ...) __attribute__((noreturn, noinline));\n"


def assembled(*functions: str) -> str:
    """Functions `NAME: INSTRUCTION; ...` as a source file."""
    lines = ["\t.text"]
    for function in functions:
        name, _, body = function.partition(":")
        lines += [f"\t.globl {name}", f"\t.type {name}, @function", f"{name}:"]
        lines += ["\t" + instruction.strip() for instruction in body.split(";")]
        lines += [f"\t.size {name}, .-{name}"]
    return "\n".join(lines) + "\n"


def frame(name: str, size: int, *body: str) -> str:
    """A function with this frame, in the middle of which it does what `body` says."""
    middle = "; ".join(body)
    return (
        f"{name}: addi sp,sp,-{size}; sd ra,{size - 8}(sp); {middle}; ld ra,{size - 8}(sp); "
        f"addi sp,sp,{size}; ret"
    )


class Built(unittest.TestCase):
    """Source files of a tree, linked into a program with the entry `start`."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()

    def build(self, sources: dict[str, str], flags: str = FLAGS) -> Machine:
        for path, text in sources.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        inputs = [path for path in sources if path.endswith((".c", ".S"))]
        command = [*shlex.split(CC), *shlex.split(flags), "-o", "a.elf", *inputs]
        result = subprocess.run(command, cwd=self.root, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        objdump = re.sub(r"gcc$", "objdump", CC)
        pointers = Pointers(sources)
        return Machine(Kernel(self.root / "a.elf", objdump), pointers, self.root)

    def measure(self, sources: dict[str, str], flags: str = FLAGS) -> Measured:
        return Measured(self.build(sources, flags), sources)

    def depth(self, measured: Measured, name: str = "start") -> int:
        row = measured.row(name, "public", "mm/a.h", None)
        assert row
        return row.ported.bytes

    def check(self, expected: int, *functions: str) -> None:
        measured = self.measure({"mm/a.S": assembled(*functions)})
        self.assertEqual(self.depth(measured), expected)
        self.assertEqual(measured.problems, [])

    def check_problem(self, text: str, *functions: str) -> None:
        measured = self.measure({"mm/a.S": assembled(*functions)})
        self.depth(measured)
        self.assertRegex("\n".join(measured.problems), text)

    def check_c_problem(self, problem: str, text: str) -> None:
        measured = self.measure({"mm/a.c": text})
        self.depth(measured)
        self.assertRegex("\n".join(measured.problems), problem)


class TestDepths(Built):
    def test_a_leaf_uses_nothing(self) -> None:
        self.check(0, "start: ret")

    def test_a_chain_has_the_sum(self) -> None:
        self.check(32 + 48 + 16, frame("start", 32, "call b"), frame("b", 48, "call c"),
                   frame("c", 16, "nop"))

    def test_the_deeper_of_two_calls_counts(self) -> None:
        self.check(16 + 160, frame("start", 16, "call b", "call c", "call b"),
                   frame("b", 32, "nop"), frame("c", 160, "nop"))

    def test_a_call_counts_at_its_own_depth(self) -> None:
        # b is called before most of the frame is there, and is no deeper than that: 208, not 272.
        self.check(16 + 192,
                   "start: addi sp,sp,-16; sd ra,8(sp); call b; addi sp,sp,-192; "
                   "addi sp,sp,192; ld ra,8(sp); addi sp,sp,16; ret", frame("b", 64, "nop"))

    def test_a_frame_larger_than_an_immediate(self) -> None:
        self.check(16 + 5008,
                   frame("start", 16, "call b"),
                   "b: li t0,-5008; add sp,sp,t0; sd ra,0(sp); ld ra,0(sp); li t0,5008; "
                   "add sp,sp,t0; ret")

    def test_a_frame_pointer(self) -> None:
        self.check(64 + 32,
                   "start: addi sp,sp,-64; sd ra,56(sp); sd s0,48(sp); addi s0,sp,64; call b; "
                   "addi sp,s0,-64; ld s0,48(sp); ld ra,56(sp); addi sp,sp,64; ret",
                   frame("b", 32, "nop"))

    def test_compressed_instructions_are_the_default(self) -> None:
        machine = self.build({"mm/a.S": assembled(frame("start", 496, "nop"))})
        self.assertEqual(machine.kernel.follower[machine.codes[0x80200000].entry], 0x80200002)
        self.assertEqual(self.depth(Measured(machine, {})), 496)

    def test_a_jump_table(self) -> None:
        cases = "".join(f"case {i}: return f{i}(x) + {i * i + 1};\n" for i in range(8))
        functions = "".join(f"int f{i}(int x);\n" for i in range(8))
        body = f"switch (x) {{ {cases} default: return 0; }}"
        sources = {
            "mm/a.c": f"{functions}int start(int x) {{ {body} }}\n",
            "mm/b.S": assembled(*(frame(f"f{i}", 32 + 16 * i, "nop") for i in range(8))),
        }
        measured = self.measure(sources)
        whole = measured.graph
        assert isinstance(whole, Machine)
        jumps = [i for i in whole.codes[whole.by_name["start"][0].entry].instructions.values()
                 if i.mnemonic == "jr"]
        self.assertTrue(jumps, "the compiler made no table of jumps")
        start = whole.walk(whole.by_name["start"][0]).frame
        self.assertEqual(self.depth(measured), start + 32 + 16 * 7)
        self.assertEqual(measured.problems, [])

    def test_the_compiler_says_the_same(self) -> None:
        text = (
            "int g(char *); int f(int n) { char a[200]; return g(a) + n; }\n"
            "int start(int n) { char a[3000]; return f(n) + g(a) + n; }\n"
            "int g(char *a) { *(volatile char *)a = 1; return 0; }\n"
        )
        machine = self.build({"mm/a.c": text}, FLAGS + " -fno-inline -fstack-usage")
        (written,) = self.root.glob("*.su")
        written.rename(self.root / "mm" / "a.su")
        report = check_su(machine, self.root)
        self.assertEqual(report.problems, [])
        self.assertEqual(report.note, "3 functions")


class TestTailCalls(Built):
    def test_a_tail_call_adds_nothing_of_the_caller(self) -> None:
        self.check(64, frame("b", 64, "nop"),
                   "start: addi sp,sp,-32; sd ra,24(sp); ld ra,24(sp); addi sp,sp,32; j b")

    def test_the_caller_may_be_deeper(self) -> None:
        self.check(320, frame("b", 64, "nop"), "start: addi sp,sp,-320; addi sp,sp,320; tail b")

    def test_a_conditional_one(self) -> None:
        self.check(64, frame("b", 64, "nop"), "start: bnez a0,b; ret")

    def test_one_that_is_run_into(self) -> None:
        self.check(64, "start: nop", frame("b", 64, "nop"))

    def test_one_with_stack_in_use(self) -> None:
        self.check_problem(r"start\+0x\w+ `j` leaves stack behind", frame("b", 64, "nop"),
                           "start: addi sp,sp,-32; j b")

    def test_the_compilers_own(self) -> None:
        text = (
            "__attribute__((noinline)) int f(int n)\n"
            "{ volatile char a[400]; a[n] = 1; return a[1]; }\n"
            "int start(int n) { return f(n + 1); }\n"
        )
        flags = FLAGS.replace("-fno-optimize-sibling-calls", "-foptimize-sibling-calls")
        for options, is_deeper in ((flags, False), (FLAGS, True)):
            measured = self.measure({"mm/a.c": text}, options)
            self.assertEqual(self.depth(measured) > self.depth(measured, "f"), is_deeper)


class TestPointers(Built):
    FUNCTION = (
        "__attribute__((noinline)) static int {name}(int n)\n"
        "{{ volatile char a[{size}]; a[n] = 1; return a[0]; }}\n"
    )
    DEEP = FUNCTION.format(name="deep", size=900)
    FLAT = FUNCTION.format(name="flat", size=100)

    def check_deep(self, text: str) -> None:
        measured = self.measure({"mm/a.c": self.DEEP + self.FLAT + text})
        found = self.depth(measured)
        self.assertEqual(measured.problems, [])
        self.assertGreater(found, 900)

    def test_one_that_is_not_known(self) -> None:
        self.check_c_problem(r"start\+0x\w+ `jalr \w+` calls through a pointer that is not known: "
                             r"mm/a\.c:1 `int start.*f\(3\)",
                             "int start(int (*f)(int)) { return f(3) + 1; }\n")

    def test_one_that_is_not_known_in_a_tail_call(self) -> None:
        self.check_problem("calls through a pointer", "start: jr a0")

    def test_a_slot_of_a_struct_is_all_that_initialisers_name(self) -> None:
        self.check_deep(
            "struct policy { int (*claim)(int); int (*other)(int); };\n"
            "const struct policy one_policy = {\n\t.claim = flat,\n};\n"
            "const struct policy two_policy = {\n\t.claim = deep,\n};\n"
            "int start(const struct policy *policy) { return policy->claim(1) + 1; }\n"
        )

    def test_another_slot_is_not_meant(self) -> None:
        measured = self.measure({"mm/a.c": self.DEEP + self.FLAT + (
            "struct policy { int (*claim)(int); int (*release)(int); };\n"
            "const struct policy one_policy = {\n\t.claim = flat,\n\t.release = deep,\n};\n"
            "int start(const struct policy *policy) { return policy->claim(1) + 1; }\n"
        )})
        self.assertLess(self.depth(measured), 900)
        self.assertEqual(measured.problems, [])

    def test_a_parameter_is_all_that_is_passed(self) -> None:
        self.check_deep(
            "__attribute__((noinline)) static int each(int (*look)(int n), int n)\n"
            "{\n\treturn look(n) + 1;\n}\n"
            "int start(int n) { return n ? each(flat, n) : each(deep, n + 1); }\n"
        )

    def test_a_variable_is_all_that_is_assigned(self) -> None:
        self.check_deep(
            "int (*cpu_on_return)(int);\n"
            "void set(int n)\n{\n\tcpu_on_return = flat;\n\tif (n)\n\t\tcpu_on_return = deep;\n}\n"
            "int start(int n)\n{\n\treturn cpu_on_return(n) + 1;\n}\n"
        )

    def test_what_is_named_and_not_linked(self) -> None:
        self.check_c_problem(
            "may call gone, which is not in the kernel",
            "struct policy { int (*claim)(int); };\n#if 0\n"
            "const struct policy one_policy = {\n\t.claim = gone,\n};\n#endif\n"
            "int start(const struct policy *policy) { return policy->claim(1) + 1; }\n",
        )


class TestRecursion(Built):
    SELF = frame("start", 48, "beqz a0,1f", "call start", "1: nop")
    TWO = (frame("start", 16, "call f"), frame("f", 32, "call g"),
           frame("g", 64, "beqz a0,1f", "call f", "1: call leaf"), frame("leaf", 128, "nop"))

    def bound(self, **of: int) -> None:
        before = rows.RECURSION_MAX
        self.addCleanup(setattr, rows, "RECURSION_MAX", before)
        rows.RECURSION_MAX = {("mm/a.S", name): bound for name, bound in of.items()}

    def test_without_a_bound(self) -> None:
        self.check_problem("recursion without a stated bound: start -> start", self.SELF)

    def test_of_two_without_a_bound(self) -> None:
        self.check_problem("recursion without a stated bound: (f -> g -> f|g -> f -> g)", *self.TWO)

    def test_a_bound(self) -> None:
        self.bound(start=5)
        self.check(5 * 48, self.SELF)

    def test_a_bound_of_one_means_none(self) -> None:
        self.bound(start=1)
        self.check(48, self.SELF)

    def test_a_bound_of_one_of_two(self) -> None:
        self.bound(f=3)
        self.check(16 + 3 * (32 + 64) + 128, *self.TWO)

    def test_a_bound_of_the_other(self) -> None:
        self.bound(g=3)
        self.check(16 + 3 * (32 + 64) + 128, *self.TWO)

    def test_a_bound_of_one_leaves_another_cycle(self) -> None:
        self.bound(g=3)
        f = frame("f", 32, "beqz a1,1f", "call f", "1: call g")
        self.check_problem("recursion without a stated bound", self.TWO[0], f, *self.TWO[2:])

    def test_the_constants_are_there(self) -> None:
        measured = Measured(self.build({"mm/a.S": assembled("start: ret")}), Sources().text)
        for (path, name), constant in rows.RECURSION_MAX.items():
            text = measured.sources[path]
            self.assertRegex(text, rf"\b{name}\(", path)
            if isinstance(constant, Constant):
                text = measured.sources[constant.file]
                self.assertRegex(text, rf"#define\s+{constant.name}\s+\d+\b")


class TestWhatIsNotCounted(Built):
    def test_a_panic(self) -> None:
        self.check(16, frame("start", 16, "bnez a0,1f", "call port_panic", "1: nop"),
                   "port_panic: addi sp,sp,-2000; 1: j 1b")

    def test_a_function_that_only_panics(self) -> None:
        measured = self.measure({"mm/a.S": assembled(
            frame("start", 16, "bnez a0,1f", "call bad", "1: nop"),
            "bad: addi sp,sp,-512; call port_panic", "port_panic: addi sp,sp,-2000; 1: j 1b")})
        self.assertEqual(self.depth(measured), 16)
        self.assertEqual(list(measured.graph.cut), ["bad"])

    def test_a_look_of_a_cpu_that_waits(self) -> None:
        self.check(16 + 32, frame("start", 16, "1: la t1,look", "jal t0,arch_call_keeping", "bnez a0,1b",
                                  "call b"),
                   frame("b", 32, "nop"), frame("look", 2000, "nop"),
                   "arch_call_keeping: addi sp,sp,-128; jalr t1; addi sp,sp,128; jr t0")

    def test_a_function_that_may_panic_counts(self) -> None:
        self.check(16 + 512, frame("start", 16, "call careful"),
                   frame("careful", 512, "bnez a0,1f", "call port_panic", "1: nop"),
                   "port_panic: addi sp,sp,-2000; 1: j 1b")

    def test_an_endless_loop_counts(self) -> None:
        self.check(16 + 512, frame("start", 16, "bnez a0,1f", "call idle", "1: nop"),
                   "idle: addi sp,sp,-512; 1: j 1b")

    def test_the_port_has_its_own_column(self) -> None:
        measured = self.measure({
            "mm/a.S": assembled(frame("start", 16, "call port_ipi", "call b"),
                                frame("b", 32, "nop")),
            "kernel/b.S": assembled(frame("port_ipi", 208, "nop")),
        })
        row = measured.row("start", "public", "mm/a.h", 200)
        assert row
        self.assertEqual((row.alone.bytes, row.ported.bytes), (16 + 32, 16 + 208))
        self.assertTrue(row.is_over)
        part = measured.row("start", "lock", "mm/a.h", 200)
        assert part
        self.assertFalse(part.is_over)


class TestTraps(Built):
    SOURCES = {
        "arch/riscv/trap_entry.S": assembled(
            "start: ret", "trap_entry: addi sp,sp,-288; call trap_handle; addi sp,sp,288; sret"
        ),
        "arch/riscv/trap.c": (
            "typedef void trap_hook(void);\ntrap_hook *trap_on_software, *trap_on_timer;\n"
            "void trap_handle(int timer)\n{\n"
            "\ttrap_hook *hook = timer ? trap_on_timer : trap_on_software;\n\n\thook();\n"
            "\t__asm__ volatile(\"\");\n}\n"
        ),
        "kernel/smp/ipi.c": (
            "extern void (*trap_on_software)(void);\nvoid below(void);\n"
            "static void on_ipi(void)\n"
            "{\n\tvolatile char a[160]; a[0] = 1; below(); a[0] = 2;\n}\n"
            "void ipi_enable(void)\n{\n\ttrap_on_software = on_ipi;\n}\n"
        ),
        "kernel/below.S": assembled(frame("below", 48, "nop")),
        "tests/smp/timer.c": (
            "extern void (*trap_on_timer)(void);\n"
            "static void on_timer(void)\n{\n\tvolatile char a[4000]; a[0] = 1;\n}\n"
            "void timer_test(void)\n{\n\ttrap_on_timer = on_timer;\n}\n"
        ),
    }

    def traps(self, is_tests: bool) -> tuple[Traps, Depths]:
        measured = self.measure(self.SOURCES)
        assert isinstance(measured.graph, Machine)
        return traps_of(measured.graph, measured.ported, is_tests), measured.ported

    def test_the_kernels(self) -> None:
        traps, depths = self.traps(is_tests=False)
        (handler,) = traps.handlers
        self.assertEqual(traps.frame, 288)
        self.assertEqual([name for name, _ in handler.chain.steps], ["on_ipi", "below"])
        self.assertGreaterEqual(handler.chain.bytes, 160 + 48)
        self.assertEqual(traps.total(handler), 288 + traps.handle + handler.chain.bytes)
        self.assertEqual(traps.records()[0]["bytes_nested"], 2 * traps.total(handler))
        self.assertEqual(list(depths.problems), [])

    def test_the_tests(self) -> None:
        traps, _ = self.traps(is_tests=True)
        self.assertEqual([handler.hook for handler in traps.handlers], ["trap_on_timer"])
        self.assertGreaterEqual(traps.handlers[0].chain.bytes, 4000)


class TestStackPointer(Built):
    def test_of_no_fixed_size(self) -> None:
        self.check_problem(r"start\+0x0 `sub sp,sp,a0` loses track",
                           "start: sub sp,sp,a0; add sp,sp,a0; ret")

    def test_set_from_elsewhere(self) -> None:
        self.check_problem("loses track", "start: ld sp,0(a0); ret")

    def test_not_given_back(self) -> None:
        self.check_problem("leaves stack behind", "start: addi sp,sp,-16; ret")

    def test_different_depths_in_one_place(self) -> None:
        self.check_problem("different depths",
                           "start: beqz a0,1f; addi sp,sp,-16; 1: nop; addi sp,sp,16; ret")

    def test_a_call_to_where_no_function_begins(self) -> None:
        self.check_problem("where no function begins", frame("start", 16, "call b+4"),
                           frame("b", 32, "nop"))


class TestJudgement(Built):
    def rows(self, size: int, bound: int) -> list[Row]:
        measured = self.measure({"mm/a.S": assembled(frame("start", 16, "call b"),
                                                     frame("b", size, "nop"))})
        row = measured.row("start", "public", "mm/a.h", bound)
        return [row] if row else []

    def test_the_bound_itself_is_kept(self) -> None:
        report = check_rows(self.rows(240, 256), "public", [])
        self.assertEqual(report.problems, [])
        self.assertIn("256", report.note)

    def test_more_is_a_problem_with_its_chain(self) -> None:
        report = check_rows(self.rows(256, 256), "public", [])
        self.assertEqual(report.problems,
                         ["start uses 272 bytes of stack, bound 256: start 16 -> b 256"])

    def test_nothing_to_look_at(self) -> None:
        with self.assertRaises(Nothing):
            check_rows([], "public", [])

    def test_a_size_that_the_compiler_did_not_say(self) -> None:
        machine = self.build({"mm/a.S": assembled(frame("start", 32, "nop"))})
        for said, problem in (("32\tstatic", ""), ("48\tstatic", "has 32 bytes, the compiler: 48"),
                              ("32\tdynamic", "is dynamic")):
            (self.root / "mm" / "a.su").write_text(f"mm/a.S:1:1:start\t{said}\n")
            report = check_su(machine, self.root)
            self.assertIn(problem, "".join(report.problems))
            self.assertEqual(bool(report.problems), bool(problem))

    def test_no_sizes_of_the_compiler(self) -> None:
        machine = self.build({"mm/a.S": assembled("start: ret")})
        with self.assertRaises(Nothing):
            check_su(machine, self.root)


class TestPublicFunctions(unittest.TestCase):
    def test_of_the_headers(self) -> None:
        found = public_functions(Sources().text)
        for name in ("frame_alloc_run", "frame_free_run", "frame_validate", "frame_drain_answer",
                     "kmalloc_called", "krealloc", "kcalloc", "kfree_called", "frame_cache_refill",
                     "frame_cache_overflow", "frame_cache_configure", "frame_cache_flush"):
            self.assertIn(name, found)
        for name in ("frame_alloc", "frame_free", "frame_own", "frame_cache_self", "bool", "look"):
            self.assertNotIn(name, found)

    def test_a_header_that_declares_nothing(self) -> None:
        with self.assertRaises(Nothing):
            public_functions({path: "#pragma once\n" for path in rows.PUBLIC_HEADERS})

    def test_all_policies_are_known(self) -> None:
        pointers = Pointers(Sources().text)
        table = Sources().text["mm/global/policies.c"]
        policies = re.findall(r"&(\w+)_policy", table)
        self.assertTrue(policies)
        for slot in ("claim", "release", "claim_run", "release_run"):
            self.assertEqual(len(pointers.policies(slot)), len(policies), slot)


class TestCompiled(unittest.TestCase):
    """The compiler's own account, of a program for the host."""

    def graph(self, text: str) -> Measured:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "a.c"
        path.write_text(text)
        compiled = Compiled("gcc -O2 -fno-inline", [str(path)], Pointers({}))
        return Measured(compiled, {})

    def test_a_chain(self) -> None:
        measured = self.graph(
            "int g(char *);\n"
            "int f(int n) { char a[500]; return g(a) + a[n]; }\n"
            "int start(int n) { char a[300]; return g(a) + f(n) + a[n]; }\n"
        )
        chain = measured.ported.deepest("start")
        self.assertEqual([name for name, _ in chain.steps], ["start", "f"])
        self.assertGreater(chain.bytes, 800)
        self.assertEqual(chain.bytes, sum(size for _, size in chain.steps))

    def test_recursion(self) -> None:
        measured = self.graph(
            "int start(int n) { return n ? start(n - 1) * n + start(n / 2) : 1; }\n"
        )
        measured.ported.deepest("start")
        self.assertIn("recursion", "".join(measured.problems))


class TestDocument(unittest.TestCase):
    def test_the_bounds(self) -> None:
        text = (ROOT / "docs" / "testing.md").read_text()
        section = text.partition("\n## Stack\n")[2].partition("\n## ")[0]
        for bound in (rows.PUBLIC_MAX, rows.POLICY_MAX, rows.LOCK_MAX):
            self.assertRegex(section, rf"\b{bound:,} bytes\b")


if __name__ == "__main__":
    unittest.main()
