#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the documents: their figures against docs/records, their links, and the names in them that
also are in the code. And tests of doc_figures.py, which makes the tables of figures.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import unittest
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import bench
import doc_figures
from report_records import Record
from test_tools import InTemporaryFolder

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


# Figures -------------------------------------------------------------------------------------


class TestFigures(unittest.TestCase):
    """The real documents and the real records."""

    def setUp(self) -> None:
        self.records = doc_figures.read_records(doc_figures.RECORDS)
        self.documents = {path: text_of(path) for path in doc_figures.documents(DOCS)}

    def tables(self) -> Iterator[tuple[str, str, str]]:
        """Name, the whole document, and the marked part of it, with its marks."""
        for text in self.documents.values():
            for found in doc_figures.MARKED.finditer(text):
                yield found[1], text, found[0]

    def test_documents_agree_with_records(self) -> None:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = doc_figures.check(DOCS, self.records)
        self.assertEqual((status, printed.getvalue()), (0, ""),
                         "tools/doc_figures.py writes the tables again")

    def test_a_changed_digit_of_any_row_is_named(self) -> None:
        changed = 0
        for name, _, marked in self.tables():
            for line in marked.splitlines():
                digits = [m.start() for m in re.finditer(r"\d", line)]
                if not line.startswith("|") or not digits:
                    continue
                at = digits[-1]
                wrong = line[:at] + str((int(line[at]) + 1) % 10) + line[at + 1:]
                with self.subTest(table=name, line=line):
                    problems = doc_figures.check_text(marked.replace(line, wrong), self.records)
                    self.assertTrue(any(p.startswith(f"{name}: row ") for p in problems), problems)
                changed += 1
        self.assertGreater(changed, 40)

    def test_a_difference_says_row_column_and_both_values(self) -> None:
        table = doc_figures.markdown(doc_figures.policies(self.records))
        cell = doc_figures.table_in(table)[2][2]
        text = "<!-- figures: policies -->\n" + table.replace(f"| {cell} |", "| 1.5 |", 1) + "<!-- end -->\n"
        problems = doc_figures.check_text(text, self.records)
        self.assertEqual(problems, [
            "policies: row `repeat`, no cache, column `bitmap`: document 1.5, record " + cell])

    def test_a_row_too_few_is_named(self) -> None:
        lines = doc_figures.markdown(doc_figures.policies(self.records)).splitlines(keepends=True)
        text = "<!-- figures: policies -->\n" + "".join(lines[:-1]) + "<!-- end -->\n"
        self.assertIn("rows in the document", doc_figures.check_text(text, self.records)[0])

    def test_a_record_that_is_missing_or_twice_is_named(self) -> None:
        for name, text, _ in self.tables():
            if name not in ("policies", "switches", "sizes"):
                continue
            used = [r for r in self.records.records if r["record"] == "bench" and (
                r["bench"] in ("sweep", "pair_inlined", doc_figures.METADATA))]
            for records in ([r for r in self.records.records if r not in used],
                            [*self.records.records, *used]):
                problems = doc_figures.check_text(text, doc_figures.Records(records))
                self.assertTrue(any(p.startswith(f"{name}: ") and "records of" in p for p in problems))

    def test_an_unknown_table_and_one_without_end_are_named(self) -> None:
        unknown = doc_figures.check_text("<!-- figures: nothing -->\n<!-- end -->\n", self.records)
        self.assertEqual(unknown, ["nothing: there is no table of this name"])
        endless = doc_figures.check_text("<!-- figures: policies -->\n| a |\n", self.records)
        self.assertEqual(len(endless), 1)
        self.assertIn("without", endless[0])

    def test_fill_mends_what_check_names_and_nothing_else(self) -> None:
        for text in self.documents.values():
            empty = doc_figures.MARKED.sub(r"<!-- figures: \1 -->\n<!-- end -->", text)
            self.assertNotEqual(empty, text)
            self.assertEqual(doc_figures.filled(empty, self.records), text)


class TestRecords(unittest.TestCase):
    def setUp(self) -> None:
        self.records = doc_figures.read_records(doc_figures.RECORDS)

    def test_every_figure_has_the_command_that_measures_it(self) -> None:
        kernels = {source.boot.title: source for source in doc_figures.sources()}
        commands = {r["boot"]: r["command"] for r in self.records.records if r["record"] == "source"}
        for record in self.records.records:
            if record["record"] == "experiment":
                self.assertTrue(record["command"] and record["commit"] and record["changed"], record)
            else:
                self.assertIn(record["boot"], commands)
        self.assertEqual(commands, {
            title: source.boot.command(doc_figures.BUILD / source.kernel)
            for title, source in kernels.items()})

    def test_pairs_are_those_of_the_bounds(self) -> None:
        """docs/measuring.md explains both."""
        for checks in (0, 1):
            for how, bound in (("inlined", bench.INLINED), ("called", bench.CALLED)):
                value = self.records.bench(f"bench checks{checks}", f"pair_{how}")
                self.assertLessEqual(value, bound[checks])
        self.assertEqual(self.records.bench("bench checks1", "pair_inlined"), 25)
        self.assertEqual(self.records.bench("bench checks1", "pair_called"), 30)

    def test_a_trace_makes_no_hold_longer(self) -> None:
        for hold in ("hold_refill_4_words", "hold_flush_4_words"):
            self.assertEqual(self.records.bench("bench trace", hold),
                             self.records.bench("bench checks1", hold))

    def test_what_lab_md_concludes_from_its_table(self) -> None:
        """Without caches the tree is first; with them tree and bitmap are close but for `frag`."""
        for row in doc_figures.policies(self.records)[1:]:
            tree, *others = [float(cell) for cell in row[1:] if cell != doc_figures.NO_RUNS]
            if row[0].endswith("no cache") or row[0].startswith("`frag`"):
                self.assertLess(tree, min(others), row)
            else:
                self.assertLess(abs(tree - others[0]), 1, row)


class TestLocksAlone(unittest.TestCase):
    """What measuring.md concludes from its tables of one lock alone, with 1 to 64 CPUs."""

    ANY = {"fas", "cas", "dec"}
    ARRIVAL = {"ticket", "mcs", "clh", "anderson", "ticket_pb", "qspinlock"}
    BETWEEN = {"cohort", "reciprocating", "hclh"}

    def setUp(self) -> None:
        records = doc_figures.read_records(doc_figures.RECORDS)
        self.cells = {(str(r["lock"]), int(str(r["cpus"]))): r
                      for r in doc_figures.lock_kinds_of(records, *doc_figures.LOCK_KINDS_CPUS)}

    def of(self, name: str, lock: str, cpus: int) -> float:
        cell = self.cells[lock, cpus]
        return float(str(cell[name] if name != "rate" else 1e6 * cpus / float(str(cell["ns_per_op"]))))

    def test_all_locks_are_there_and_measured(self) -> None:
        locks = self.ANY | self.ARRIVAL | self.BETWEEN
        self.assertEqual(set(self.cells), {(lock, cpus) for lock in locks
                                           for cpus in doc_figures.LOCK_KINDS_CPUS})
        for cell in self.cells.values():
            self.assertEqual((cell["valid"], cell["clock"]), (True, "virtual"), cell)
            self.assertLess(cell["half_turn_percent"], 10, cell)

    def test_throughput_grows_up_to_saturation_and_is_flat_from_there(self) -> None:
        for lock in self.ANY | self.ARRIVAL | self.BETWEEN:
            self.assertGreater(self.of("rate", lock, 4), 3.7 * self.of("rate", lock, 1), lock)
            for cpus in (32, 64):
                self.assertAlmostEqual(self.of("rate", lock, cpus) / self.of("rate", lock, 16), 1,
                                       delta=0.02, msg=lock)

    def test_the_slowest_handovers(self) -> None:
        for cpus in (16, 32, 64):
            order = sorted({lock for lock, _ in self.cells}, key=lambda lock: self.of("rate", lock, cpus))
            self.assertEqual(order[:2], ["ticket_pb", "cohort"])

    def test_a_lock_that_any_cpu_may_take_is_unfair(self) -> None:
        others = self.ARRIVAL | self.BETWEEN
        longest = max(self.of("wait_worst", lock, 64) for lock in others)
        for lock in self.ANY:
            self.assertGreater(self.of("wait_worst", lock, 64), 3 * longest, lock)
            self.assertGreater(self.of("overtaken_most", lock, 64), 200, lock)
            self.assertLess(self.of("jain", lock, 64), 0.9, lock)
        for lock in others:
            self.assertGreater(self.of("jain", lock, 64), 0.98, lock)

    def test_two_versions_of_qemu_agree_but_for_the_unfair_lock(self) -> None:
        records = doc_figures.read_records(doc_figures.RECORDS)
        compared = [r for r in records.records if r.get("experiment") == "two versions of QEMU"]
        self.assertEqual(len(compared), 9)
        for record in compared:
            old, new = ({name: float(str(value)) for name, value in record[version].items()}  # type: ignore[attr-defined]
                        for version in ("7.2", "10.0"))
            self.assertAlmostEqual(new["ns_per_op"] / old["ns_per_op"], 1, delta=0.02)
            if record["lock"] != "fas" and old["wait_p99"]:
                self.assertAlmostEqual(new["wait_p99"] / old["wait_p99"], 1, delta=0.04)

    def test_turns_change_unfairness_and_not_throughput(self) -> None:
        records = doc_figures.read_records(doc_figures.RECORDS)
        others = [r for r in records.records if r.get("boot") == doc_figures.LOCK_TURNS and r["record"] == "bench"]
        self.assertEqual({str(r["lock"]) for r in others}, self.ANY | {"mcs"})
        for other in others:
            lock = str(other["lock"])
            self.assertAlmostEqual(self.of("ns_per_op", lock, 64) / float(str(other["ns_per_op"])), 1, delta=0.05)
            worst = self.of("wait_worst", lock, 64) / float(str(other["wait_worst"]))
            if lock in self.ANY:
                self.assertGreater(worst, 2, lock)
                self.assertGreater(float(str(other["jain"])), self.of("jain", lock, 64), lock)
            else:
                self.assertAlmostEqual(worst, 1, delta=0.05)

    def test_the_order_of_arrival_and_what_comes_near_it(self) -> None:
        for lock, cpus in self.cells:
            overtaken = self.of("overtaken_most", lock, cpus)
            if lock in self.ARRIVAL:
                self.assertLessEqual(overtaken, cpus - 1, lock)
            elif lock in self.BETWEEN:
                self.assertLess(overtaken, max(2 * (cpus - 1), 1), lock)
        for lock in self.ARRIVAL:
            self.assertLess(self.of("wait_worst", lock, 64), 1.1 * self.of("wait_p99", lock, 64), lock)
        for lock in self.BETWEEN - {"hclh"}:
            self.assertGreater(self.of("overtaken_most", lock, 64), 63, lock)
        for cpus in doc_figures.LOCK_KINDS_CPUS:
            self.assertLessEqual(self.of("overtaken_most", "hclh", cpus), cpus - 1)


class TestCompare(unittest.TestCase):
    def setUp(self) -> None:
        self.cell: Record = {"record": "bench", "boot": "whole", "bench": "sweep", "workload": "run",
                             "policy": "bitmap", "cache": 128, "cpus": 1, "checks": 1, "zbb": 0,
                             "instructions_per_op": 100.0}
        self.pair: Record = {"record": "bench", "boot": "bench checks1", "bench": "bulk_pair", "cpus": 1,
                             "checks": 1, "zbb": 0, "value": 50.0}
        self.old = doc_figures.Records([self.cell, self.pair])

    def compare(self, *fresh: Record) -> tuple[int, list[str]]:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = doc_figures.compare(self.old, fresh)
        return status, printed.getvalue().splitlines()

    def test_two_percent_is_no_difference(self) -> None:
        fresh = {**self.cell, "instructions_per_op": 102.0}
        self.assertEqual(self.compare(fresh, {**self.pair, "value": 49.0}),
                         (0, ["2 records compared, 0 differ by more than 2 %"]))

    def test_more_is_named(self) -> None:
        status, lines = self.compare({**self.cell, "instructions_per_op": 97.9}, self.pair)
        self.assertEqual(status, 1)
        self.assertEqual(lines, ["whole, sweep, run, bitmap, 128, 1, 1, 0: record 100, now 97.9 (-2.1 %)",
                                 "2 records compared, 1 differ by more than 2 %"])

    def test_records_of_make_bench_do_not_say_their_boot(self) -> None:
        fresh = {name: value for name, value in self.pair.items() if name != "boot"}
        self.assertEqual(self.compare({**fresh, "value": 60.0})[0], 1)
        with self.assertRaises(doc_figures.CannotRun):
            self.compare({**fresh, "zbb": 1})

    def test_nothing_to_compare_is_no_success(self) -> None:
        with self.assertRaises(doc_figures.CannotRun):
            self.compare()

    def test_the_records_are_equal_to_themselves(self) -> None:
        records = doc_figures.read_records(doc_figures.RECORDS)
        self.old = records
        status, lines = self.compare(*records.records)
        measured = sum(doc_figures.figure(r) is not None for r in records.records if r["record"] == "bench")
        self.assertEqual((status, lines), (0, [f"{measured} records compared, 0 differ by more than 2 %"]))


class TestMeasure(InTemporaryFolder):
    """Against a stand-in for QEMU."""

    FIGURE = '{"record":"bench","bench":"bulk_pair","value":52.9,"unit":"instructions","checks":1,"zbb":0}'
    TIME = '{"record":"bench","bench":"bulk_ns","value":9,"unit":"ns","checks":1,"zbb":0}'
    PASS = '{"record":"verdict","result":"pass"}'

    def measure(self, *lines: str, out: Path | None = None, only: str = "") -> int:
        (self.folder / "kernel.elf").write_bytes(b"\0GNU C11 12.2.0 -O2\0")
        qemu = self.script("qemu", "\n".join(f"echo {shlex.quote(line)}" for line in lines))
        source = doc_figures.Source("made", "kernel.elf", doc_figures.counting("bench checks1", "run=bench"))
        with mock.patch.object(doc_figures, "sources", lambda: [source]), \
                mock.patch.object(doc_figures, "RECORDS", self.folder / "records"), \
                mock.patch.dict("os.environ", QEMU=str(qemu)), \
                contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return doc_figures.measure(self.folder, out, only)

    def test_counts_are_kept_and_times_are_not(self) -> None:
        self.assertEqual(self.measure(self.FIGURE, self.TIME, self.PASS), 0)
        about, figure = map(json.loads, text_of(self.folder / "records" / "made.jsonl").splitlines())
        self.assertEqual(about["compiler"], "gcc 12.2.0")
        self.assertIn("tools/launch.py", about["command"])
        self.assertEqual(figure, {"boot": "bench checks1", **json.loads(self.FIGURE)})

    def test_a_boot_that_fails_leaves_the_records_as_they_were(self) -> None:
        self.assertEqual(self.measure(self.FIGURE, self.PASS), 0)
        before = text_of(self.folder / "records" / "made.jsonl")
        self.assertEqual(self.measure(self.FIGURE.replace("52.9", "60")), 1)
        self.assertEqual(self.measure(self.TIME, self.PASS), 1)
        self.assertEqual(text_of(self.folder / "records" / "made.jsonl"), before)

    def test_only_the_boots_of_one_file(self) -> None:
        with self.assertRaises(doc_figures.CannotRun):
            self.measure(self.FIGURE, self.PASS, only="other")
        self.assertFalse((self.folder / "records").exists())
        self.assertEqual(self.measure(self.FIGURE, self.PASS, only="made"), 0)
        self.assertTrue((self.folder / "records" / "made.jsonl").exists())

    def test_out_is_one_file_and_the_records_stay(self) -> None:
        out = self.folder / "fresh.jsonl"
        self.assertEqual(self.measure(self.FIGURE, self.PASS, out=out), 0)
        self.assertEqual(len(text_of(out).splitlines()), 2)
        self.assertFalse((self.folder / "records").exists())


# Links ---------------------------------------------------------------------------------------

INLINE_CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.*)$", re.MULTILINE)


def prose(text: str) -> str:
    """Without blocks of code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join(line for line in text.split("\n") if not line.startswith(("    ", "\t")))


def code(text: str) -> Iterator[str]:
    """Lines of blocks of code, and code within lines."""
    for block in re.findall(r"^```[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from block.splitlines()
    yield from (line.strip() for line in text.splitlines() if line.startswith(("    ", "\t")))
    yield from (found.strip("`") for found in INLINE_CODE.findall(prose(text)))


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(prose(text)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found[slug] = found.get(slug, 0) + 1
    return {slug if n == 0 else f"{slug}-{n}" for slug, count in found.items() for n in range(count)}


def broken_links(path: Path, text: str) -> Iterator[str]:
    for target in LINK.findall(INLINE_CODE.sub("", prose(text))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        if not file.exists():
            yield f"{name_of(path)}: {target}: no such file"
        elif anchor and anchor not in anchors(text if file == path else text_of(file)):
            yield f"{name_of(path)}: {target}: no such heading"


class TestLinks(unittest.TestCase):
    def test_every_link_leads_somewhere(self) -> None:
        broken = [problem for path in DOCUMENTS for problem in broken_links(path, text_of(path))]
        self.assertEqual(broken, [])

    def test_a_broken_link_is_named(self) -> None:
        path = DOCS / "lab.md"
        for target in ("measurin.md", "measuring.md#sweep", "#compared", "../READ.md"):
            problems = list(broken_links(path, f"# A\n[here]({target})\n"))
            self.assertEqual(len(problems), 1, target)
            self.assertIn(target, problems[0])
        good = "# A `b`, c\n[1](measuring.md#the-trace) [2](#a-b-c) [3](https://x/y) `[4](none.md)`\n"
        self.assertEqual(list(broken_links(path, good)), [])


# Names that are in the code ------------------------------------------------------------------

TABLE_ROW = re.compile(r"^\|([^|]*)\|([^|]*)\|", re.MULTILINE)


def documented_keys(text: str) -> dict[str, str]:
    """The boot arguments of the table in docs/running.md, with the values of each."""
    section = text.partition("## Boot arguments")[2].partition("\n## ")[0]
    return {key: values for keys, values in TABLE_ROW.findall(section)
            for key in re.findall(r"`(\w+)`", keys)}


def coded_keys(source: str) -> set[str]:
    return set(re.findall(r'\bKEY\("(\w+)"', source))


def coded_values(source: str) -> dict[str, set[str]]:
    """Of the keys whose values are a list in that file."""
    lists = {name: set(re.findall(r'"(\w+)"', body))
             for name, body in re.findall(r"^NAMES\((\w+),(.*?)\);", source, re.MULTILINE | re.DOTALL)}
    return {key: lists[name] for key, name in re.findall(r'KEY\("(\w+)".*?\.names = &(\w+)', source)}


class TestBootArguments(unittest.TestCase):
    def setUp(self) -> None:
        self.source = text_of(ROOT / "kernel" / "boot" / "bootargs_keys.c")
        self.documented = documented_keys(text_of(DOCS / "running.md"))

    def test_the_table_has_the_keys_of_the_kernel(self) -> None:
        self.assertGreater(len(self.documented), 10)
        self.assertEqual(set(self.documented), coded_keys(self.source))

    def test_and_their_values(self) -> None:
        values = coded_values(self.source)
        self.assertGreater(len(values), 3)
        for key, names in values.items():
            shown = set(re.findall(r"\w+", " ".join(INLINE_CODE.findall(self.documented[key])))) - {"all"}
            self.assertEqual(shown, names - {"all"}, key)


def make_targets(text: str) -> Iterator[str]:
    """All that a makefile has a rule for, and what it calls phony."""
    for line in text.replace("\\\n", " ").splitlines():
        found = re.match(r"([^\t#=:?+]+?):(?!=)", line)
        if found and not found[1].startswith(("define", "ifeq", "$(if")):
            yield from found[1].split()
            if found[1] == ".PHONY":
                yield from line.partition(":")[2].split()


def targets_named(text: str) -> Iterator[str]:
    """The targets, but for files, of the commands in a document."""
    for command in code(text):
        words = command.partition("#")[0].replace('"', "'").split("&&")[0]
        try:
            first, *rest = shlex.split(words) or [""]
        except ValueError:
            continue
        if first == "make":
            yield from (word for word in rest if re.fullmatch(r"[a-z][a-z0-9-]*", word))


class TestMakeTargets(unittest.TestCase):
    def setUp(self) -> None:
        makefiles = [ROOT / "Makefile", *sorted((ROOT / "tools" / "make").glob("*.mk"))]
        self.known = {target for path in makefiles for target in make_targets(text_of(path))}
        groups = re.search(r"^deps_groups := (.*)$", text_of(ROOT / "Makefile"), re.MULTILINE)
        self.known |= {f"deps-{group}" for group in groups[1].split()} if groups else set()

    def test_every_target_in_the_documents_exists(self) -> None:
        named = {(name_of(path), target) for path in DOCUMENTS for target in targets_named(text_of(path))}
        self.assertGreater(len(named), 30)
        self.assertEqual([pair for pair in sorted(named) if pair[1] not in self.known], [])

    def test_one_that_does_not_exist_is_found(self) -> None:
        text = "Use `make benches SMP=2` or\n\n    make -j2 run reports BOOTARGS=\"run=bench a=b\"  # bench it\n"
        named = list(targets_named(text))
        self.assertEqual(sorted(named), ["benches", "reports", "run"])
        self.assertEqual([target for target in named if target not in self.known], ["reports", "benches"])


if __name__ == "__main__":
    unittest.main()
