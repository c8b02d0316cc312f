# SPDX-License-Identifier: BSD-2-Clause
"""Tests of sources, edits, cutting and rules of mutants; test_mutants.py runs them with its own."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from mutants import cut, generate
from mutants.edits import apply_edits, format_edits, parse_edits
from mutants.generate import RULES
from mutants.source import BadMutant, Index, words_of

SUM_C = """#include "mm/sum.h"

/* Adds; see sum.h. */
static int add(int left, int right)
{
	int sum = left + right; /* may wrap */

	if (sum < left)
		note(sum);
	done(sum);
	return sum;
}

int sum_all(const int *value, int count)
{
	int sum = 0;

	for (int i = 0; i < count; i++)
		sum = add(sum, value[i]);
	return sum;
}
"""
ADD = "In: add\n-\tint sum = left + right;\n+\tint sum = left - right;\n"


class InTemporaryFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()

    def write(self, path: str, text: str) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file


class InTree(InTemporaryFolder):
    """A tree of sources to which edits are applied."""

    def apply(self, text: str) -> dict[str, str]:
        return apply_edits(Index(self.folder), parse_edits(text))

    def check_changed(self, edits: str, path: str, old: str, new: str) -> None:
        """The edits change that one file, by `old` becoming `new`."""
        before = (self.folder / path).read_text()
        self.assertEqual(before.count(old), 1)
        self.assertEqual(self.apply(edits), {path: before.replace(old, new)})

    def check_bad(self, edits: str, *messages: str) -> None:
        with self.assertRaises(BadMutant) as caught:
            self.apply(edits)
        for message in messages:
            self.assertIn(message, str(caught.exception))


class TestFunctions(InTree):
    def check_scopes(self, path: str, text: str, *expected: str) -> None:
        self.write(path, text)
        index = Index(self.folder)
        found = {f"{s.kind} {s.name}" for scopes in index.scopes.values() for s in scopes}
        self.assertEqual(found, set(expected))

    def test_functions(self) -> None:
        self.check_scopes("mm/a.c", """
void declared(int a);
extern int table[4];
static __attribute__((noinline)) struct x *of_pointer(int (*call)(void *), void *p)
{ call(p); if (p) { p = (struct y){1}; } return 0; }
bool with_tail(void) __attribute__((cold))
{ return "}" == 0 || '{'; }
KIND(ticket)
KIND(mcs)
int after_kinds(void)
{ return ({ int a = 1; a; }); }
TEST(named)
{
}
""", "function of_pointer", "function with_tail", "function after_kinds", "function named")

    def test_a_macros_use_is_no_part_of_a_function(self) -> None:
        self.write("mm/a.c", "KIND(a)\nKIND(b)\nint f(void)\n{\n\treturn 0;\n}\n")
        self.check_bad("In: f\n-KIND(b)\n", 'f (mm/a.c:3): no "KIND(b)"')
        self.check_changed("In: file of f\n-KIND(b)\n", "mm/a.c", "KIND(b)\n", "")

    def test_other_names(self) -> None:
        self.check_scopes("kernel/a.h", """
#define SMALL 1
#define LARGE(x) do { \\
	x(); \\
} while (0)
struct one { int a; };
static struct { int a; struct { int b; } in; } two;
enum three { A, B };
typedef struct four { int a; } four_t;
static const struct one *const five[] = {[A] = {1}, {2}};
""", "macro SMALL", "macro LARGE", "struct one", "variable two", "enum three", "struct four",
                          "struct four_t", "variable five")

    def test_braces_of_both_branches(self) -> None:
        self.check_scopes("sync/a.c", """
void first(int a)
{
#if CHECKS
	if (a) {
#else
	{
#endif
		call();
	}
}
void second(void)
{
}
""", "function first", "function second")

    def test_assembly(self) -> None:
        self.check_scopes("arch/riscv/a.S", """
#define FOUR 4
	.macro both a, b
	add \\a, \\b
	.endm
first:	/* second: */
1:	beqz a0, 1b
.Llocal:
	j first
third:
	ret
""", "macro FOUR", "macro both", "label first", "label third")

    def test_only_the_kernels_sources(self) -> None:
        text = "int f(void)\n{\n}\n"
        self.check_scopes("tests/host/test_a.c", text)
        self.check_scopes("tests/smp/a.c", text, "function f")


class TestSurviving(InTree):
    """What a change of the tree may do to a mutant's neighbourhood, its file and its layout."""

    OLD, NEW = "int sum = left + right;", "int sum = left - right;"

    def check_applies(self, path: str, text: str) -> None:
        self.write(path, text)
        self.check_changed(ADD, path, self.OLD, self.NEW)

    def test_as_it_is(self) -> None:
        self.check_applies("mm/sum.c", SUM_C)

    def test_renamed_file(self) -> None:
        self.check_applies("kernel/boot/total.c", SUM_C)

    def test_function_moved_to_another_file(self) -> None:
        begin, end = SUM_C.index("/* Adds"), SUM_C.index("int sum_all")
        self.write("mm/sum.c", SUM_C[:begin] + SUM_C[end:])
        self.check_applies("mm/percpu/add.h", "#pragma once\n" + SUM_C[begin:end])

    def test_neighbouring_lines_changed(self) -> None:
        text = SUM_C.replace("/* Adds; see sum.h. */\nstatic int add(int left, int right)",
                             "int add(int right, int left)")
        self.check_applies("mm/sum.c", text.replace("	if (sum < left)\n", "	if (right < 0)\n"))

    def test_another_function_has_the_text_too(self) -> None:
        text = SUM_C + "int other(int left, int right)\n{\n	int sum = left + right;\n}\n"
        self.write("mm/sum.c", text)
        self.assertEqual(self.apply(ADD)["mm/sum.c"], text.replace(self.OLD, self.NEW, 1))

    def test_other_layout_and_comments(self) -> None:
        self.write("mm/sum.c", SUM_C.replace("left + right;", "left /* one */\n\t\t+ right; //"))
        self.assertIn("\tint sum = left - right; //", self.apply(ADD)["mm/sum.c"])

    def test_same_name_in_two_files(self) -> None:
        self.write("mm/sum.c", SUM_C)
        self.write("kernel/list.c", "int add(struct list *list)\n{\n	done(list);\n}\n")
        self.check_changed(ADD, "mm/sum.c", self.OLD, self.NEW)

    def hinted(self, file: str) -> str:
        return ADD.replace("\n", f"\nFile: {file}\n", 1)

    def test_hint_decides_between_two_files(self) -> None:
        self.write("mm/sum.c", SUM_C)
        self.write("kernel/other.c", SUM_C.replace("sum_all", "other_all"))
        self.check_bad(ADD, "In: add", "2 times", "kernel/other.c:6, mm/sum.c:6")
        self.check_changed(self.hinted("mm/sum.c"), "mm/sum.c", self.OLD, self.NEW)
        # It has moved: its last part will do.
        self.check_changed(self.hinted("sync/sum.c"), "mm/sum.c", self.OLD, self.NEW)
        self.check_bad(self.hinted("sync/third.c"), "2 times")

    def test_hint_is_a_hint(self) -> None:
        self.write("mm/total.c", SUM_C)
        self.check_changed(self.hinted("mm/sum.c"), "mm/total.c", self.OLD, self.NEW)


class TestNoLongerMatching(InTree):
    def setUp(self) -> None:
        super().setUp()
        self.write("mm/sum.c", SUM_C)

    def test_function_gone(self) -> None:
        self.write("mm/sum.c", SUM_C.replace("add(", "add_two("))
        self.check_bad(ADD, "In: add: there is no function add",
                       "it stands in add_two (mm/sum.c:4)")

    def test_function_gone_and_its_text_changed(self) -> None:
        text = SUM_C.replace("add(", "total(").replace("left + right", "left + right + 1")
        self.write("mm/sum.c", text)
        self.check_bad(ADD, "there is no function add", 'nearest to "int sum = left + right;": '
                            "mm/sum.c:6: int sum = left + right + 1;")

    def test_function_with_a_name_like_it(self) -> None:
        self.check_bad("In: sum_al\n-\treturn sum;\n", "there is no function sum_al",
                       "names like it: sum_all (mm/sum.c:14)")

    def test_text_gone(self) -> None:
        self.write("mm/sum.c", SUM_C.replace("left + right", "left + right + 1"))
        self.check_bad(ADD, 'In: add: add (mm/sum.c:4): no "int sum = left + right;"',
                       "nearest: mm/sum.c:6: int sum = left + right + 1; /* may wrap */")

    def test_text_moved_to_another_function(self) -> None:
        text = SUM_C.replace("	done(sum);\n", "")
        self.write("mm/sum.c", text.replace("	int sum = 0;\n", "	int sum = 0;\n	done(sum);\n"))
        self.check_bad("In: add\n-\tdone(sum);\n", 'add (mm/sum.c:4): no "done(sum);"',
                       "it stands in sum_all (mm/sum.c:13)")

    def test_lines_no_longer_one_after_the_other(self) -> None:
        self.check_bad("In: add\n-\tnote(sum);\n-\treturn sum;\n",
                       '"note(sum); / return sum;"', "not one after the other")

    def test_ambiguous(self) -> None:
        self.write("mm/sum.c", SUM_C.replace("	done(sum);", "	done(sum);\n	done(sum);"))
        self.check_bad("In: add\n-\tdone(sum);\n", '"done(sum);" stands there 2 times',
                       "to be found once: mm/sum.c:10, mm/sum.c:11")

    def test_every_edit_is_told(self) -> None:
        self.check_bad("In: add\n-\tone();\n\n-\ttwo();\n\nIn: nonesuch\n-\tthree();\n",
                       'no "one();"', 'no "two();"', "there is no function nonesuch")

    def test_match(self) -> None:
        text = SUM_C.replace("	done(sum);", "	done(sum);\n	a();\n	done(sum);")
        self.write("mm/sum.c", text)
        second = text.replace("	a();\n	done(sum);\n", "	a();\n")
        self.assertEqual(self.apply("In: add\nMatch: 2 of 2\n-\tdone(sum);\n"),
                         {"mm/sum.c": second})
        self.check_bad("In: add\nMatch: 2 of 3\n-\tdone(sum);\n", "2 times, Match: 2 of 3")

    def test_changes_nothing(self) -> None:
        self.check_bad("In: add\n-\tdone(sum);\n+\tdone( sum ); /* again */\n",
                       "changes nothing")

    def test_edits_overlap(self) -> None:
        self.check_bad("In: add\n-\tdone(sum);\n\n-\tdone(sum);\n-\treturn sum;\n", "overlap")

    def test_part_of_a_word_is_no_match(self) -> None:
        self.check_bad("In: add\n-\tone(sum);\n", 'no "one(sum);"')

    def test_judges(self) -> None:
        self.write("tests/host/test_sum.c", SUM_C)
        self.check_bad("In: file\nFile: tests/host/test_sum.c\n-\tdone(sum);\n",
                       "belongs to the tests")


class TestFormat(unittest.TestCase):
    def check_bad(self, text: str, message: str) -> None:
        with self.assertRaisesRegex(BadMutant, message):
            parse_edits(text)

    def test_edits(self) -> None:
        edits = parse_edits("In: f\nFile: mm/a.c\n-\ta\n\nMatch: 1 of 2\n \tb\n+\tc\n\n"
                            "In: struct g\n+\td\n \te\n")
        self.assertEqual([(e.where, e.file, e.number, e.of) for e in edits],
                         [("f", "mm/a.c", 1, 1), ("f", "mm/a.c", 1, 2), ("struct g", "", 1, 1)])
        self.assertEqual([e.rows for e in edits], [
            (("-", "\ta"),), ((" ", "\tb"), ("+", "\tc")), (("+", "\td"), (" ", "\te")),
        ])

    def test_bad(self) -> None:
        self.check_bad("", "changes nothing")
        self.check_bad("In: f\n", "changes nothing")
        self.check_bad("In: f\n \ta\n", "changes nothing")
        self.check_bad("-\ta\n", "In what")
        self.check_bad("In: f\n+\ta\n", "needs what stands before or after")
        self.check_bad("In: f\nOld: a\n-\ta\n", '"Old: a" is neither')
        self.check_bad("In: f\nMatch: 3 of 2\n-\ta\n", "k of n")
        self.check_bad("In: f\nFile: ../a.c\n-\ta\n", "outside the tree")
        self.check_bad("File: mm/a.c\n-\ta\n", "below In")


class TestChanging(InTree):
    """How the changed source is laid out."""

    def check_lines(self, edits: str, old: str, new: str, path: str = "mm/sum.c") -> None:
        if not (self.folder / path).exists():
            self.write(path, SUM_C)
        self.check_changed(edits, path, old, new)

    def test_statement_dropped(self) -> None:
        self.check_lines("In: add\n-\tdone(sum);\n", "	done(sum);\n", "")

    def test_dropped_with_its_comment(self) -> None:
        self.check_lines("In: add\n-\tint sum = left + right;\n",
                         "	int sum = left + right; /* may wrap */\n", "")

    def test_statement_moved(self) -> None:
        self.check_lines("In: add\n-\tdone(sum);\n\n \tnote(sum);\n+\tdone(1);\n",
                         "		note(sum);\n	done(sum);\n", "		note(sum);\n		done(1);\n")

    def test_inserted_behind(self) -> None:
        self.check_lines("In: add\n \tint sum = left + right;\n+\tint more;\n+\n+\tmore = 1;\n",
                         "/* may wrap */\n", "/* may wrap */\n	int more;\n\n	more = 1;\n")

    def test_inserted_before(self) -> None:
        self.check_lines("In: add\n+\tif (sum)\n+\t\treturn 0;\n \tdone(sum);\n",
                         "	done(sum);\n", "	if (sum)\n		return 0;\n	done(sum);\n")

    def test_part_of_a_line(self) -> None:
        self.check_lines("In: sum_all\n-i < count\n+i <= count\n", "i < count", "i <= count")
        self.check_lines("In: sum_all\n-, value[i]\n", "sum, value[i]", "sum")

    def test_before_a_function(self) -> None:
        self.check_lines("In: add\n+int last;\n+\n static int add(int left, int right)\n",
                         "static int add(", "int last;\n\nstatic int add(")

    def test_words_that_stay_keep_their_layout(self) -> None:
        self.check_lines("In: add\n if ( sum\n-<\n+<=\n left )\n", "sum < left", "sum <= left")

    def test_macro(self) -> None:
        path = "mm/a.h"
        self.write(path, "#define TWICE(x) \\\n	one(x);   \\\n	two(x)\nint last;\n")
        self.check_lines("In: macro TWICE\n \tone(x);\n+\tthree(x);\n",
                         "one(x);   \\\n", "one(x);   \\\n	three(x); \\\n", path)
        self.check_lines("In: TWICE\n-\tone(x);\n", "	one(x);   \\\n", "", path)

    def test_directives(self) -> None:
        path = "mm/a.h"
        self.write(path, "#include <a.h>\n#if A\nint only;\n#endif\nint f(void)\n{\n}\n")
        self.check_lines("In: file of f\n #include <a.h>\n+#include <b.h>\n",
                         "<a.h>\n", "<a.h>\n#include <b.h>\n", path)
        self.check_lines("In: file of f\n-#if A\n+#if A && B\n", "#if A\n", "#if A && B\n", path)

    def test_assembly(self) -> None:
        path = "arch/riscv/a.S"
        self.write(path, "first:\n1:	li	t0, 1	/* one */\n	bnez	t0, 1b\nlast:\n	ret\n")
        self.check_lines("In: label first\n \tli t0, 1\n+\tfence\n",
                         "/* one */\n", "/* one */\nfence\n", path)
        self.check_lines("In: label first\n-\tbnez t0, 1b\n", "	bnez	t0, 1b\n", "", path)

    def test_makefile(self) -> None:
        self.write("Makefile", "A := 1 # one\nall:\n	build $(A)\n")
        self.check_lines("In: file\nFile: Makefile\n-A := 1 # one\n+A := 2 # one\n",
                         "1 #", "2 #", "Makefile")

    def test_structure(self) -> None:
        path = "mm/a.h"
        self.write(path, "struct a {\n	int one;\n	int two;\n};\nstruct b {\n	int one;\n};\n")
        changed = self.apply("In: struct b\n-\tint one;\n")[path]
        self.assertTrue(changed.endswith("struct b {\n};\n"))
        self.assertIn("	int one;\n	int two;", changed)


class TestCutting(InTree):
    """From a change of the text to edits; that these give the same words is seen to on the way."""

    def setUp(self) -> None:
        super().setUp()
        self.write("mm/sum.c", SUM_C)

    def convert(self, text: str, path: str = "mm/sum.c") -> str:
        edits = cut.edits_of(Index(self.folder), {path: text})
        return format_edits(edits)

    def check_change(self, old: str, new: str, edits: str) -> None:
        self.assertEqual(SUM_C.count(old), 1)
        self.assertEqual(self.convert(SUM_C.replace(old, new)), edits)

    def test_a_statement(self) -> None:
        self.check_change("left + right;", "left - right;", ADD)

    def test_dropped(self) -> None:
        self.check_change("	done(sum);\n", "", "In: add\n-\tdone(sum);\n")

    def test_condition(self) -> None:
        self.check_change("sum < left", "sum <= left",
                          "In: add\n-\tif (sum < left)\n+\tif (sum <= left)\n")

    def test_inserted(self) -> None:
        self.check_change("	done(sum);\n", "	done(sum);\n	done(0);\n",
                          "In: add\n \tdone(sum);\n+\tdone(0);\n")

    def test_moved(self) -> None:
        text = SUM_C.replace("	done(sum);\n", "").replace("	if (sum <", "	done(sum);\n	if (sum <")
        self.assertEqual(self.convert(text),
                         "In: add\n+\tdone(sum);\n \tif (sum < left)\n\n-\tdone(sum);\n")

    def test_as_much_as_makes_it_unique(self) -> None:
        text = SUM_C.replace("	done(sum);\n", "	done(sum);\n	a();\n	done(sum);\n")
        self.write("mm/sum.c", text)
        self.assertEqual(self.convert(text.replace("	a();\n	done(sum);\n", "	a();\n")),
                         "In: add\n \ta();\n-\tdone(sum);\n")

    def test_counted_where_nothing_makes_it_unique(self) -> None:
        text = SUM_C.replace("	done(sum);\n", 9 * "	done(sum);\n")
        self.write("mm/sum.c", text)
        converted = self.convert(text.replace("	done(sum);\n	return", "	done(0);\n	return"))
        self.assertEqual(converted, "In: add\n-\tdone(sum);\n+\tdone(0);\n \treturn sum;\n")
        middle = text.replace(4 * "	done(sum);\n", 3 * "	done(sum);\n" + "	done(0);\n", 1)
        self.assertEqual(self.convert(middle),
                         "In: add\nMatch: 4 of 9\n-\tdone(sum);\n+\tdone(0);\n")

    def test_long_statement(self) -> None:
        long = ("	call(the_first_argument_of_it(), the_second_argument_of_it(left),\n"
                "	     the_third_argument_of_it(sum + 1));\n")
        self.write("mm/sum.c", SUM_C.replace("	done(sum);\n", long))
        changed = SUM_C.replace("	done(sum);\n", long.replace("+ 1", "+ 2"))
        self.assertEqual(self.convert(changed), "In: add\n-\tthe_third_argument_of_it(sum + 1)\n"
                                                "+\tthe_third_argument_of_it(sum + 2)\n")

    def test_same_name_in_two_files(self) -> None:
        self.write("kernel/other.c", SUM_C)
        self.assertIn("In: add\nFile: mm/sum.c\n", self.convert(SUM_C.replace("+ right", "")))

    def test_outside_functions(self) -> None:
        self.assertEqual(self.convert(SUM_C.replace('"mm/sum.h"', "<sum.h>")),
                         'In: file of add\n-\t#include "mm/sum.h"\n+\t#include <sum.h>\n')

    def test_assembly_goes_by_lines(self) -> None:
        text = "\t.macro arrive\n\tfence\tior, rw\n\tfence.i\n\t.endm\nfirst:\n\tret\n"
        self.write("arch/riscv/a.S", text)
        self.assertEqual(self.convert(text.replace("\tfence\tior, rw\n", ""), "arch/riscv/a.S"),
                         "In: macro arrive\n-\tfence\tior, rw\n")

    def test_what_would_differ_is_refused(self) -> None:
        index, changed = Index(self.folder), SUM_C.replace("left + right", "left - right")
        for edits, message in (
            (ADD.replace("left - right", "left * right"), "would differ from the change"),
            (ADD + "\nIn: sum_all\n-\treturn sum;\n", "would differ from the change"),
        ):
            with self.assertRaisesRegex(BadMutant, message):
                cut.check_same(index, parse_edits(edits), {"mm/sum.c": changed})
        self.write("mm/b.c", "int g(void)\n{\n\treturn 1;\n}\n")
        more = parse_edits(ADD + "\nIn: g\n-1\n+2\n")
        with self.assertRaisesRegex(BadMutant, "would change mm/b.c as well"):
            cut.check_same(Index(self.folder), more, {"mm/sum.c": changed})

    def test_lines_of_directives_and_assembly_count(self) -> None:
        """There the words alone do not say enough."""
        shape = cut.shape_of
        self.assertNotEqual(shape("#if A\nint b;\n", True, False),
                            shape("#if A int b;\n", True, False))
        self.assertEqual(shape("int a;\n\nint b;\n", True, False),
                         shape("int a; int b;\n", True, False))
        self.assertNotEqual(shape("li a0, 1\nret\n", True, True),
                            shape("li a0, 1 ret\n", True, True))

    def test_only_comments(self) -> None:
        with self.assertRaisesRegex(BadMutant, "only whitespace or comments"):
            self.convert(SUM_C.replace("may wrap", "may not"))


class TestGenerating(InTree):
    """Each rule at the places where it applies."""

    def check_sites(self, rule: str, body: str, *expected: str) -> None:
        self.write("mm/a.c", f"int f(struct s *s, int a, int b)\n{{\n{body}\n}}\n")
        index = Index(self.folder)
        found = set()
        for one in generate.generate(index, ["f"], lambda _: ["lint"]):
            if one.rule == rule:
                text = apply_edits(index, one.edits)["mm/a.c"]
                changed = text.split("{\n", 1)[1].rsplit("}", 1)[0]
                found.add(" ".join(words_of(changed)))
        self.assertEqual(found, {" ".join(words_of(text)) for text in expected})

    def test_comparison(self) -> None:
        self.check_sites("comparison", "return a < b;", "return a <= b;")
        self.check_sites("comparison", "return a != 7u;", "return a == 7u;")

    def test_constant(self) -> None:
        self.check_sites("constant", "return a < 0x1f;", "return a < 0x20;", "return a < 0x1e;")
        self.check_sites("constant", "return a + 0;", "return a + 1;")
        self.check_sites("constant", "return true;", "return false;")
        self.check_sites("constant", "return __builtin_expect(f(a), 0);")
        self.check_sites("constant", "return g(__builtin_expect(f(a), 0), 0);",
                         "return g(__builtin_expect(f(a), 0), 1);")
        self.check_sites("constant", "switch (a) { case 1: break; }")

    def test_edge(self) -> None:
        self.check_sites("edge", "return a < s->n && x[b];",
                         "return a < s->n - 1 && x[b];", "return a < s->n && x[b - 1];")
        self.check_sites("edge", "return a < 3 || a == b;")

    def test_logic(self) -> None:
        self.check_sites("logic", "return a && b || s;", "return a || b || s;",
                         "return a && b && s;")

    def test_condition(self) -> None:
        self.check_sites("condition", "return f(a) && b;", "return f(a);", "return b;")
        self.check_sites("condition", "if (!f(a) || (b && s))\n\treturn 1;",
                         "if ((b && s)) return 1;", "if (!f(a)) return 1;",
                         "if (!f(a) || (s)) return 1;", "if (!f(a) || (b)) return 1;")
        self.check_sites("condition", "return a || b && s;", "return a;", "return b && s;",
                         "return a || b;", "return a || s;")

    def test_negation(self) -> None:
        self.check_sites("negation", "if (f(a))\n\treturn 1;", "if (!(f(a))) return 1;")
        self.check_sites("negation", "if (!f(a))\n\treturn 1;", "if (f(a)) return 1;")
        self.check_sites("negation", "if (a == b)\n\treturn 1;")

    def test_operator(self) -> None:
        self.check_sites("operator", "return a + b;", "return a - b;")
        self.check_sites("operator", "a |= ~b;", "a &= ~b;", "a |= b;")
        self.check_sites("operator", "return a = -b + *c;", "return a = -b - *c;")

    def test_swap(self) -> None:
        self.check_sites("swap", "return s->x << b;", "return b << s->x;")
        self.check_sites("swap", "return a - b - s->x;")
        self.check_sites("swap", "return a / a;")
        self.check_sites("swap", "g(a, s->x, b + 1);", "g(s->x, a, b + 1);")

    def test_drop(self) -> None:
        self.check_sites("drop", "int c = a;\ns->x = c;\nif (a)\ncall(s);\nreturn c;",
                         "int c = a; if (a) call(s); return c;",
                         "int c = a; s->x = c; if (a) (void)0; return c;")
        self.check_sites("drop", "struct s *t = s;\nuint32_t v;\ngoto out;\nout:\nreturn t;")

    def test_guard(self) -> None:
        self.check_sites("guard", "g();\nif (a)\nreturn b;\nh();", "g(); h();")
        self.check_sites("guard", "if (a) {\nb(x);\nc();\n}\nh();", "h();")
        self.check_sites("guard", "if (a)\nb();\nelse\nc();")
        self.check_sites("guard", "while (a)\nif (b)\nc();")

    def test_fence(self) -> None:
        self.check_sites("fence", "ck_pr_fence_release();\nck_pr_barrier();",
                         "ck_pr_barrier(); ck_pr_barrier();", "ck_pr_barrier();")
        self.check_sites("drop", "ck_pr_fence_release();")

    def test_what_only_reports(self) -> None:
        for rule in RULES:
            self.check_sites(rule, 'check(a < 1, "%d", a + 1);\nassert(a == b);\n'
                                   'trace_note(1);\nport_panic("a");\n#if A < 1\n#endif')

    def names(self, *patterns: str) -> list[str]:
        return [one.name for one in
                generate.generate(Index(self.folder), patterns, lambda _: ["lint"])]

    def test_which_functions(self) -> None:
        self.write("mm/a.c", "int f(void)\n{\n\treturn 0;\n}\n")
        self.write("mm/b.c", "int fg(void)\n{\n\treturn 0;\n}\nint h(void)\n{\n\treturn 0;\n}\n")

        def functions(*patterns: str) -> list[str]:
            return [name.partition("-")[0] for name in self.names(*patterns)]

        self.assertEqual(functions("f"), ["f"])
        self.assertEqual(functions("f*"), ["f", "fg"])
        self.assertEqual(functions("mm/b.c", "h"), ["fg", "h"])
        self.assertEqual(functions("mm/*"), ["f", "fg", "h"])
        self.assertEqual(functions("kernel/*"), [])

    def test_names_are_unique(self) -> None:
        for path in ("mm/a.c", "mm/b.c"):
            self.write(path, "static int f(void)\n{\n\tg(1);\n\tg(1);\n\treturn 1 + 1;\n}\n")
        names = self.names("f")
        self.assertEqual(len(set(names)), len(names))
        self.assertTrue(any(name.startswith("a-f-constant-") for name in names), names)

    def test_names_survive_a_move(self) -> None:
        self.write("mm/a.c", SUM_C)
        names = self.names("add")
        self.write("mm/a.c", "")
        text = SUM_C.replace("\tdone(sum);\n", "\tdone();\n\tdone(sum);\n")
        self.write("kernel/vm/b.c", "int x;\n" + text)
        self.assertEqual(set(names) - set(self.names("add")), set())


class TestListed(InTree):
    """tests/mutants/generated.toml."""

    def read(self, text: str) -> generate.Listed:
        self.write("mm/sum.c", SUM_C)
        self.write("tests/mutants/generated.toml", text)
        return generate.read_listed(Index(self.folder))

    ENTRY = '[[function]]\nname = "add"\nrules = ["operator"]\ntests = ["lint"]\n'

    def test_a_function_and_a_rule(self) -> None:
        listed = self.read(self.ENTRY)
        self.assertEqual(listed.broken, [])
        (mutant,) = listed.mutants
        self.assertRegex(mutant.full_name, "^generated/add-operator-[0-9a-f]{4}$")
        self.assertEqual(mutant.tests, ("lint",))
        self.assertIn("left - right", apply_edits(Index(self.folder), mutant.edits)["mm/sum.c"])

    def test_equivalent(self) -> None:
        (mutant,) = self.read(self.ENTRY).mutants
        key = mutant.name.removeprefix("add-")
        listed = self.read(self.ENTRY + f'equivalent = {{ {key} = "why" }}\n')
        self.assertEqual((listed.mutants, listed.broken), ([], []))
        self.assertEqual(listed.equivalent, {mutant.name: "why"})

    def test_what_no_longer_fits_is_broken(self) -> None:
        for text, name, why in (
            (self.ENTRY + 'equivalent = { operator-0000 = "why" }\n', "add-operator-0000",
             "its statement changed"),
            (self.ENTRY.replace("add", "gone"), "gone", "no such function"),
            (self.ENTRY.replace("operator", "fence"), "add-fence", "changes nothing"),
        ):
            broken = self.read(text).broken
            self.assertEqual([one.name for one in broken], [name])
            self.assertIn(why, broken[0].why)

    def test_two_functions_of_that_name(self) -> None:
        self.write("kernel/other.c", SUM_C)
        self.assertIn("name its file", self.read(self.ENTRY).broken[0].why)
        (mutant,) = self.read(self.ENTRY + 'file = "other.c"\n').mutants
        self.assertTrue(mutant.name.startswith("other-add-"))

    def test_bad_entries(self) -> None:
        for text, why in (("rules = [1", "generated.toml"),
                          ('[[function]]\nname = "add"', "missing"),
                          (self.ENTRY + "sead = 1\n", "unknown: sead"),
                          (self.ENTRY.replace("operator", "other"), "no such rule: other")):
            with self.assertRaisesRegex(generate.CannotRun, why):
                self.read(text)
