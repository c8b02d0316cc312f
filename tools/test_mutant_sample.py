# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the rules for code of several CPUs and for assembly, of drawing a sample, and of the
comparison of object code."""

from __future__ import annotations

import json
import shutil
import subprocess
import unittest
from collections import Counter

from mutants import sample, sample_run
from mutants.catalog import CannotRun
from mutants.edits import apply_edits
from mutants.generate import mutant_of
from mutants.objects import Objects
from mutants.run import CAUGHT, SURVIVED, DoesNotBuild, Finding
from mutants.source import Index, words_of
from test_mutant_text import InTree


class InPopulation(InTree):
    """What a rule makes of one file."""

    def texts(self, rule: str, path: str) -> list[str]:
        index = Index(self.folder)
        found = []
        for file in sample.population(index):
            for stem, made in file.made.get(rule, []):
                mutant = mutant_of(index, made, stem, ("lint",))
                self.assertTrue(sample.is_sound(index, mutant, made), mutant)
                found.append(apply_edits(index, mutant.edits)[path])
        return found

    def check_sites(self, rule: str, body: str, *expected: str) -> None:
        self.write("mm/a.c", f"static int f(struct s *s, unsigned cpu, int b)\n{{\n{body}\n}}\n")
        found = {" ".join(words_of(text.split("{\n", 1)[1].rsplit("}", 1)[0]))
                 for text in self.texts(rule, "mm/a.c")}
        self.assertEqual(found, {" ".join(words_of(text)) for text in expected})

    def check_lines(self, rule: str, text: str, *expected: str) -> None:
        """Of the first label of an assembly file."""
        self.write("arch/a.S", text)
        found = {" / ".join(" ".join(line.split()) for line in changed.splitlines() if line.strip())
                 for changed in self.texts(rule, "arch/a.S")}
        self.assertEqual(found, set(expected))


class TestRulesOfSmp(InPopulation):
    def test_access(self) -> None:
        self.check_sites("access", "ck_pr_store_32(&s->x, b);", "(s->x) = b;")
        self.check_sites("access", "b = ck_pr_load_64(s->p);", "b = (*(s->p));")
        self.check_sites("access", "ck_pr_inc_64(&s->x[b]);", "(s->x[b])++;")
        self.check_sites(
            "access", "return ck_pr_cas_32(&s->x, b, g(b, 1));",
            "return ({ bool same_ = (s->x) == (b); if (same_) (s->x) = (g(b, 1)); same_; });")
        self.check_sites("access", "ck_pr_cas_64_value(&s->x, b, 1, &b);")
        self.check_sites("access", "ck_pr_fence_load();")

    def test_cpu(self) -> None:
        self.check_sites("cpu", "g(port_cpu(), b);", "g(0, b);")
        self.check_sites("cpu", "g(cpu_self()->x);", "g(cpu_of(0)->x);")
        self.check_sites("cpu", "g(s->cpu, cpu_of(b));", "g(s->cpu, cpu_self());")
        self.check_sites("cpu", "g(s[cpu]);", "g(s[0]);")
        self.check_sites("cpu", "unsigned own = port_cpu();\ng(s[cpu]);\nown = 1;",
                         "unsigned own = 0; g(s[cpu]); own = 1;",
                         "unsigned own = port_cpu(); g(s[own]); own = 1;",
                         "unsigned own = port_cpu(); g(s[0]); own = 1;")

    def test_fence_kind(self) -> None:
        self.check_sites("fence_kind", "ck_pr_fence_memory();", "ck_pr_fence_acquire();",
                         "ck_pr_fence_release();")
        self.check_sites("fence_kind", "ck_pr_fence_release();", "ck_pr_fence_store();")
        self.check_sites("fence_kind", "ck_pr_fence_store();")

    def test_force(self) -> None:
        self.check_sites("force", "if (b)\ng();\nh();", "if (1) g(); h();")
        self.check_sites("force", "if (b)\ng();\nelse\nh();", "if (1) g(); else h();",
                         "if (0) g(); else h();")
        self.check_sites("force", "while (b > 1)\ng();\nh();", "while (0) g(); h();")

    def test_lost_return(self) -> None:
        self.check_sites("lost_return", "if (b)\nreturn 1;\nreturn 2;",
                         "if (b) (void)0; return 2;")
        self.check_sites("lost_return", "for (;;) {\ng();\nbreak;\n}\nreturn 2;",
                         "for (;;) { g(); } return 2;")

    def test_order(self) -> None:
        self.check_sites("order", "s->x = b;\nck_pr_fence_store();\nck_pr_store_32(&s->y, 1);",
                         "ck_pr_fence_store(); s->x = b; ck_pr_store_32(&s->y, 1);",
                         "s->x = b; ck_pr_store_32(&s->y, 1); ck_pr_fence_store();")
        self.check_sites("order", "b = 1;\ncpu = 2;")  # of locals: no order is to be seen
        self.check_sites("order", "if (b)\ng();\nh();")  # the first is the body of the if
        self.check_sites("order", "port_relax();\ng();")
        self.check_sites("order", "counter_add(&s->n, 1);\ng();\ns->n++;\nh(s);")
        self.check_sites("order", "counter_add(&s->n, 1);\nck_pr_fence_store();",
                         "ck_pr_fence_store(); counter_add(&s->n, 1);")

    def test_lock(self) -> None:
        """Also beside what is no call and no access to memory; else the rule `order` has it."""
        self.check_sites("lock", "spin_lock(s);\nb++;\nspin_unlock(s);\nreturn b;",
                         "b++; spin_lock(s); spin_unlock(s); return b;",
                         "spin_lock(s); spin_unlock(s); b++; return b;")
        self.check_sites("lock", "spin_lock(s);\nreturn b;")

    def test_mask(self) -> None:
        self.check_sites("mask", "return b >> PAGE_SHIFT;", "return b >> (PAGE_SHIFT + 1);",
                         "return b >> (PAGE_SHIFT - 1);")
        self.check_sites("mask", "return b & ROW_MASK;", "return b & (ROW_MASK >> 1);")
        self.check_sites("mask", "return b | PTE_V;", "return b | 0;")
        self.check_sites("mask", "return b == PFN_NONE;")

    def test_recheck(self) -> None:
        self.check_sites("recheck", "if (s->x)\nreturn 0;\nspin_lock(s);\nif (s->x)\ng();\nh();",
                         "if (s->x) return 0; spin_lock(s); if (0) g(); h();")
        self.check_sites("recheck", "if (s->x)\nreturn 0;\nif (s->x)\ng();")  # without a lock
        self.check_sites("recheck",
                         "b = ck_pr_load_32(&s->x);\nck_pr_fence_memory();\n"
                         "if (ck_pr_load_32(&s->x) == b)\ng();",
                         "b = ck_pr_load_32(&s->x); ck_pr_fence_memory(); if (b == b) g();",
                         "b = ck_pr_load_32(&s->x); ck_pr_fence_memory(); if (0) g();")


ASSEMBLY = "enter:\n1:\tld\tt0, 0(sp)\n\tfence\trw, ow\n\t.align 2\n\tbnez\tt0, 1b\n"


class TestRulesOfAssembly(InPopulation):
    def test_drop(self) -> None:
        self.check_lines("asm_drop", ASSEMBLY,
                         "enter: / 1: / fence rw, ow / .align 2 / bnez t0, 1b",
                         "enter: / 1: ld t0, 0(sp) / .align 2 / bnez t0, 1b",
                         "enter: / 1: ld t0, 0(sp) / fence rw, ow / .align 2")

    def test_swap(self) -> None:
        self.check_lines("asm_swap", ASSEMBLY,
                         "enter: / 1: fence rw, ow / ld t0, 0(sp) / .align 2 / bnez t0, 1b")

    def test_order(self) -> None:
        lines = "enter: / 1: ld t0, 0(sp) / fence {} / .align 2 / bnez t0, 1b"
        self.check_lines("asm_order", ASSEMBLY, lines.format("r, ow"), lines.format("w, ow"),
                         lines.format("rw, o"), lines.format("rw, w"))

    def test_branch(self) -> None:
        self.check_lines("asm_branch", ASSEMBLY,
                         "enter: / 1: ld t0, 0(sp) / fence rw, ow / .align 2 / beqz t0, 1b")

    STATEMENT = '__asm__ volatile("amoadd.w.aqrl %0, %1, %2\\n\\t"\n"bnez %0, 1b" : "=r"(b));'

    def test_strings_of_c(self) -> None:
        first, second = '"amoadd.w.aqrl %0, %1, %2\\n\\t"', '"bnez %0, 1b"'
        rest = ' : "=r"(b));'

        def whole(text: str) -> str:
            return "__asm__ volatile(" + text + rest

        self.check_sites("asm_order", self.STATEMENT,
                         whole(first.replace("aqrl", "aq") + second),
                         whole(first.replace("aqrl", "rl") + second))
        self.check_sites("asm_branch", self.STATEMENT,
                         whole(first + second.replace("bnez", "beqz")))
        self.check_sites("asm_drop", self.STATEMENT, whole('"\\n\\t"' + second),
                         whole(first + '""'))
        self.check_sites("asm_swap", self.STATEMENT,
                         whole('"bnez %0, 1b\\n\\t" "amoadd.w.aqrl %0, %1, %2"'))

    def test_operands_are_no_instructions(self) -> None:
        self.check_sites("asm_drop", '__asm__ volatile("" : "+r"(b)::"memory");')

    def test_macros(self) -> None:
        self.write("arch/a.h", '#define BARE(x) ((x) + 1)\n'
                               '#define GO(x) \\\n\t__asm__ volatile("fence w, w" ::: "memory")\n')
        self.assertEqual(len(self.texts("asm_drop", "arch/a.h")), 1)
        self.assertEqual(self.texts("constant", "arch/a.h"), [])  # that is C


FUNCTION = "int {}(int a, int b)\n{{\n\tif (a < b && b != 7)\n\t\tcall(a + b);\n\treturn a - b;\n}}\n"


class TestDrawing(InTree):
    def setUp(self) -> None:
        super().setUp()
        for path, functions in (("mm/large.c", 8), ("sync/middle.c", 4), ("arch/small.c", 2)):
            stem = path.partition("/")[2][:-2]
            self.write(path, "".join(FUNCTION.format(f"{stem}_{n}") for n in range(functions)))
        self.write("kernel/boot/not_here.c", FUNCTION.format("not_here"))
        self.write("tests/smp/not_here.c", FUNCTION.format("nor_here"))

    def drawn(self, seed: int, count: int) -> list[tuple[str, str, str]]:
        files = sample.population(Index(self.folder))
        return [(made.scope.file.path, made.rule, f"{stem}-{made.key}")
                for stem, made in sample.draw(files, seed)[:count]]

    def test_follows_from_the_seed(self) -> None:
        self.assertEqual(self.drawn(5, 30), self.drawn(5, 30))
        self.assertNotEqual(self.drawn(5, 30), self.drawn(6, 30))

    def test_fewer_are_the_first_of_more(self) -> None:
        self.assertEqual(self.drawn(5, 10), self.drawn(5, 30)[:10])

    def test_each_file_gets_its_share(self) -> None:
        for seed in range(5):
            counts = Counter(path for path, _, _ in self.drawn(seed, 28))
            for path, share in (("mm/large.c", 16), ("sync/middle.c", 8), ("arch/small.c", 4)):
                self.assertLessEqual(abs(counts[path] - share), 1, counts)

    def test_each_rule_gets_its_share(self) -> None:
        files = sample.population(Index(self.folder))
        (large,) = (file for file in files if file.path == "mm/large.c")
        rules = Counter(rule for path, rule, _ in self.drawn(1, 1000) if path == "mm/large.c")
        self.assertEqual(sum(rules.values()), large.count())
        first = [rule for path, rule, _ in self.drawn(1, 1000) if path == "mm/large.c"]
        self.assertEqual(set(first[: len(large.made)]), set(large.made))

    def test_another_file_changes_nothing(self) -> None:
        """The draw of a file depends on that file alone."""
        before = [one for one in self.drawn(3, 1000) if one[0] == "mm/large.c"]
        self.write("sync/middle.c", FUNCTION.format("other"))
        self.assertEqual([one for one in self.drawn(3, 1000) if one[0] == "mm/large.c"], before)

    def test_only_and_skip(self) -> None:
        index = Index(self.folder)
        names = [mutant.name for mutant, _ in sample.sample(index, 1, "middle", set())]
        self.assertTrue(names and all("middle" in name for name in names))
        left = [mutant.name for mutant, _ in sample.sample(index, 1, "middle", set(names[:3]))]
        self.assertEqual(left, names[3:])

    def test_names_are_unique(self) -> None:
        names = [name for _, _, name in self.drawn(1, 1000)]
        self.assertEqual(len(set(names)), len(names))

    def test_seed(self) -> None:
        self.assertEqual(sample.parse_seed("0x10", self.folder), 16)
        for text in ("many", "auto"):  # the folder is no repository
            with self.assertRaises(CannotRun):
                sample.parse_seed(text, self.folder)


class TestShare(unittest.TestCase):
    def test_interval(self) -> None:
        """Of Wilson's paper's form: values that a table of it gives."""
        low, high = sample.interval(90, 100)
        self.assertAlmostEqual(low, 0.8256, 3)
        self.assertAlmostEqual(high, 0.9448, 3)
        low, high = sample.interval(10, 10)
        self.assertAlmostEqual(low, 0.7225, 3)
        self.assertEqual(high, 1.0)
        self.assertEqual(sample.interval(0, 0), (0.0, 1.0))

    def test_only_caught_and_survived_count(self) -> None:
        statuses = [CAUGHT] * 3 + [SURVIVED, sample_run.EQUIVALENT, "unbuilt", "broken"]
        findings = [Finding(str(n), status) for n, status in enumerate(statuses)]
        self.assertTrue(sample_run.share_text(findings).startswith("75.0 % "))


class TestEquivalent(InTree):
    def setUp(self) -> None:
        super().setUp()
        self.write("mm/a.c", FUNCTION.format("f"))

    def listed(self, text: str) -> list[str]:
        self.write("tests/mutants/equivalent.toml", text)
        return [one.name for one in sample_run.stale_equivalents(Index(self.folder), self.folder)]

    def test_listed_and_stale(self) -> None:
        ((mutant, _),) = sample.sample(Index(self.folder), 1, "logic", set())
        self.assertEqual(self.listed(f'[equivalent]\n{mutant.name} = "why"\n'), [])
        for name in ("f-logic-0000", "gone-logic-1234", "f-nonesuch-1234", "f"):
            self.assertEqual(self.listed(f'[equivalent]\n{name} = "why"\n'), [name])

    def test_each_has_a_reason(self) -> None:
        for text in ('[equivalent]\nf-logic-0000 = ""\n', '[other]\nx = "why"\n', "[equivalent"):
            with self.assertRaises(CannotRun):
                self.listed(text)


@unittest.skipUnless(shutil.which("gcc"), "needs a compiler")
class TestObjects(InTree):
    H = "static inline int twice(int x)\n{\n\tint y = x;\n\n\ty = x * 2;\n\treturn y;\n}\n"
    C = '#include "mm/a.h"\nint f(int x)\n{\n\treturn twice(x);\n}\nint at(void)\n{\n\treturn 7;\n}\n'

    def setUp(self) -> None:
        super().setUp()
        for tree in ("clean", "tree"):
            self.write(f"{tree}/mm/a.h", self.H)
            self.write(f"{tree}/mm/a.c", self.C)
        clean = self.folder / "clean"
        self.write("clean/build/host/mm/a.o", "")
        command = "gcc -O2 -g -fsanitize=address -I. -MMD -MP -c -o build/host/mm/a.o mm/a.c"
        subprocess.run(command.split(), cwd=clean, check=True)
        entry = {"directory": str(clean), "file": "mm/a.c", "output": "build/host/mm/a.o",
                 "command": command}
        self.write("clean/compile_commands.json", json.dumps([entry]))
        self.objects = Objects(clean)

    def differ(self, path: str, old: str, new: str, name: str = "twice") -> bool:
        text = (self.folder / "clean" / path).read_text()
        self.assertEqual(text.count(old), 1)
        self.write(f"tree/{path}", text.replace(old, new))
        return self.objects.differ(self.folder / "tree", path, name)

    def test_same(self) -> None:
        self.assertFalse(self.differ("mm/a.h", "\ty = x * 2;\n", "\ty = x + x;\n"))
        self.assertFalse(self.differ("mm/a.c", "int at", "\n\nint at", "at"))  # other lines

    def test_other(self) -> None:
        self.assertTrue(self.differ("mm/a.h", "x * 2", "x * 3"))
        self.assertTrue(self.differ("mm/a.c", "7", "8", "at"))

    def test_no_build_compiles_it(self) -> None:
        """Then nothing is shown, and the tests decide."""
        self.write("clean/mm/b.c", "int b;\n")
        self.assertTrue(self.differ("mm/b.c", "b;", "c;", "b"))

    def test_does_not_build(self) -> None:
        with self.assertRaises(DoesNotBuild):
            self.differ("mm/a.c", "7", "seven", "at")


if __name__ == "__main__":
    unittest.main()
