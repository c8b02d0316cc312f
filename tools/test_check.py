#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of tools/check and tools/conftest.py: what a run of jobs counts, says and ends, and the table
of what each test covers.

Jobs are shell scripts that say what the test wants said; so is QEMU. pytest runs them in a process of
its own, as `make test` does.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree
from pathlib import Path

from check import covers
from check.cases import CASES, QUICK_CASES, matrix
from check.slots import Slots, try_lock
from check.workers import InOrder
from test_tools import FAIL, PASS, InTemporaryFolder, is_alive

TOOLS = Path(__file__).resolve().parent


class TestRunner(InTemporaryFolder):
    def command(self, *plan: str, options: tuple[str, ...] = ()) -> list[str]:
        cache = f"cache_dir={self.folder}/cache"
        plan = ("--logs", str(self.folder / "logs"), *plan)
        return [sys.executable, "-m", "pytest", "-o", cache, str(TOOLS / "check" / "cases.py"),
                "--plan", shlex.join(plan), *options]

    def run_tests(
        self, *plan: str, qemu: str = "exit 9", options: tuple[str, ...] = ()
    ) -> tuple[int, list[str]]:
        run = subprocess.run(
            self.command(*plan, options=options),
            env={**os.environ, "QEMU": str(self.script("qemu", qemu))},
            cwd=TOOLS.parent, capture_output=True, text=True, timeout=120,
        )
        return run.returncode, run.stdout.splitlines()

    def host(self, name: str, body: str) -> str:
        return str(self.script(name, body))

    def check(
        self, last: str, *plan: str, text: str = "", qemu: str = "exit 9",
        options: tuple[str, ...] = (),
    ) -> None:
        status, lines = self.run_tests(*plan, qemu=qemu, options=options)
        self.assertEqual(lines[-1], last, "\n".join(lines))
        self.assertIn(text, "\n".join(lines))
        self.assertEqual(status == 0, last.endswith(" 0 failed") and last[0] != "0")

    def test_counts(self) -> None:
        good = self.host("good", "echo KTAP version 1; echo 1..2; echo ok 1 a; echo ok 2 b")
        bad = self.host("bad", "echo 1..2; echo ok 1 a; echo 'not ok 2 b # seed 7: x'; exit 1")
        self.check("2 passed, 0 failed", "--host", good)
        self.check("3 passed, 1 failed", "--host", good, bad, text="not ok 2 b # seed 7: x")

    def test_nothing_ran(self) -> None:
        self.check("0 passed, 0 failed")

    def test_several_documents_and_skips(self) -> None:
        body = "echo 1..1; echo ok 1 a; echo 1..2; echo ok 1 b '# SKIP no'; echo ok 2 c"
        self.check("2 passed, 0 failed", "--host", self.host("two", body))

    def test_broken_programs(self) -> None:
        for name, body, text in (
            ("silent", "exit 0", "no test results"),
            ("short", "echo 1..2; echo ok 1 a", "2 tests planned, 1 results"),
            ("twice", "echo 1..2; echo ok 1 a; echo ok 1 a", "out of order"),
            ("late", "echo 1..1; echo ok 1 a; exit 3", "exit status 3"),
            ("crash", "echo 1..1; echo ok 1 a; kill -SEGV $$", "killed by SIGSEGV"),
        ):
            status, lines = self.run_tests("--host", self.host(name, body))
            self.assertTrue(lines[-1].endswith(" passed, 1 failed"), lines)
            self.assertIn(text, "\n".join(lines))
            self.assertEqual(status, 1)

    def test_missing_program(self) -> None:
        self.check("0 passed, 1 failed", "--host", str(self.folder / "none"), text="No such file")

    def test_lint(self) -> None:
        self.check("1 passed, 1 failed", "--lint", "true", "sh -c 'echo dirt; exit 4'", text="dirt")
        self.check("1 passed, 1 failed", "--model", "true", "false", text="exit status 1")

    def test_junk_in_output(self) -> None:
        body = r"printf '1..1\n\377\377\000\nnot ok 1 a\n'; exit 1"
        self.check("0 passed, 1 failed", "--host", self.host("junk", body))

    def kernel(self) -> str:
        path = self.folder / "kernel.elf"
        path.touch()
        return str(path)

    def test_qemu_job_is_a_test(self) -> None:
        arguments, options = ("--kernel", self.kernel()), ("-k", "qemu/smp=4 mem=*")
        good = "echo 1..1; echo ok 1 a;" + PASS
        self.check("4 passed, 0 failed", *arguments, "--mem", "32M,1G", qemu=good, options=options)
        self.check("1 passed, 0 failed", *arguments, qemu=PASS, options=options)
        bad = "echo 1..2; echo ok 1 a; echo not ok 2 b;" + FAIL + "; exit 1"
        self.check("1 passed, 2 failed", *arguments, qemu=bad, text="verdict fail: stress, zone",
                   options=options)
        self.check("1 passed, 1 failed", *arguments, qemu="echo 1..2; echo ok 1 a;" + PASS,
                   options=options)
        self.check("0 passed, 1 failed", *arguments, text="without a verdict", options=options)

    def test_waits_of_a_host_without_cores(self) -> None:
        """A run fails that tells of waits although its own check of the host's cores failed."""
        row = "  bulk      4940594   881334   5.6x      4.1  {}"
        lock = '{{"record":"lock","name":"zone1","acquisitions":9,"valid":{}}}'
        ran = '{{"record":"bench","workload":"bulk","ops_per_second":7,"valid":{}}}'
        bad, shares, why = "NOT MEASURABLE", "1.00 %  0.02 %", 'false,"why":"no cores"'
        arguments, options = ("--kernel", self.kernel()), ("-k", "qemu/smp=4 mem=*")
        for lines, passes in (
            ((row.format(bad), lock.format(why), ran.format(why)), True),
            ((row.format(shares), lock.format("true"), ran.format("true")), True),
            ((row.format(shares), ran.format(why)), False),
            ((row.format(bad), ran.format("true")), False),
            ((lock.format("false"),), False),
            ((lock.format(why + ',"contended":3'),), False),
            ((lock.format(why + ',"blame_waits":[3]'),), False),
            ((lock.format(why), "  zone1, waiting: how many lasted at least"), False),
            ((lock.format(why), "  zone1, which cpu waited for which: rows wait"), False),
        ):
            said = "".join(f"echo '{line}';" for line in lines)
            last = "1 passed, 0 failed" if passes else "0 passed, 1 failed"
            self.check(last, *arguments, qemu=said + PASS, options=options)

    def test_refusals(self) -> None:
        arguments = ("--kernel", self.kernel())
        options = ("-k", "refused-unknown-key")
        words = "echo 'bootargs: \"polcy=x\": no such key (did you mean policy?); valid keys: run';"
        self.check("1 passed, 0 failed", *arguments, qemu=words + FAIL + "; exit 1", options=options)
        missing = '"no such key" is not in the output'
        self.check("0 passed, 1 failed", *arguments, qemu=FAIL + "; exit 1", text=missing,
                   options=options)
        self.check("0 passed, 1 failed", *arguments, qemu=words + PASS, text="expected fail",
                   options=options)

    def test_every_case_has_its_own_name(self) -> None:
        names = [case.name for case in (*matrix("1,2,4", "32M,1G"), *CASES, *QUICK_CASES)]
        self.assertEqual(len(names), len(set(names)))

    def test_chosen_by_name_or_by_expression(self) -> None:
        programs = [self.host(name, "echo 1..1; echo ok 1 a") for name in ("a=1", "b=1", "b=2")]
        for pattern, count in (("b=", 2), ("host/*=1", 2), ("host/b=2", 1),
                               ("host/ and not (a=1 or b=1)", 1)):
            self.check(f"{count} passed, 0 failed", "--host", *programs, options=("-k", pattern))
        self.check("0 passed, 0 failed", "--host", *programs, options=("-k", "c=1"))

    def test_chosen_by_nonsense(self) -> None:
        run = subprocess.run(self.command(options=("-k", "b= and", "-n", "2")), cwd=TOOLS.parent,
                             capture_output=True, text=True, timeout=120)
        self.assertEqual(run.returncode, 4)
        self.assertIn("-k 'b= and': neither a part of a name nor an expression", run.stderr)

    def test_the_failed_ones_again(self) -> None:
        good = self.host("good", "echo 1..1; echo ok 1 a")
        bad = self.host("bad", "echo 1..1; echo not ok 1 a; exit 1")
        self.check("1 passed, 1 failed", "--host", good, bad)
        self.check("0 passed, 1 failed", "--host", good, bad, options=("--lf",))

    def test_results_for_other_programs(self) -> None:
        path = self.folder / "junit.xml"
        bad = self.host("bad", "echo 1..2; echo ok 1 a; echo not ok 2 b; exit 1")
        self.check("1 passed, 1 failed", "--host", bad, options=(f"--junitxml={path}", "-n", "2"))
        case = xml.etree.ElementTree.parse(path).find(".//testcase")
        self.assertEqual(case.get("name"), "host/bad")
        self.assertIn("not ok 2 b", case.find("failure").text)

    def test_says_how_to_run_a_failed_job_again(self) -> None:
        bad = self.host("bad", "i=0; while [ $i -lt 99 ]; do echo line $i; i=$((i+1)); done; exit 3")
        _, lines = self.run_tests("--host", bad)
        self.assertIn(f"    run it again: {bad}", lines)
        self.assertIn("    exit status 3", lines)
        self.assertIn("    | line 98", lines)
        self.assertNotIn("    | line 1", lines)

    def test_workers_run_all_and_count_the_same(self) -> None:
        good = [self.host(f"good{n}", "echo 1..2; echo ok 1 a; echo ok 2 b") for n in range(5)]
        self.check("10 passed, 0 failed", "--host", *good, options=("-n", "3"))

    def end_early(self, number: int, *options: str) -> None:
        """Ends pytest alone, as `kill` does: its workers and the job must end with it."""
        pid = self.folder / f"pid{number}{len(options)}"
        slow = self.host("slow", f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 300")
        process = subprocess.Popen(
            self.command("--host", slow, options=options), cwd=TOOLS.parent,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            # A shell's background jobs ignore SIGINT, and so would their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        while not pid.exists():
            self.assertIsNone(process.poll())
            time.sleep(0.02)
        process.send_signal(number)
        self.assertEqual(process.wait(timeout=60), 130)
        self.assertFalse(is_alive(int(pid.read_text())))

    def test_ended_early(self) -> None:
        self.end_early(signal.SIGTERM)
        self.end_early(signal.SIGINT)

    def test_ended_early_with_workers(self) -> None:
        self.end_early(signal.SIGTERM, "-n", "2")
        self.end_early(signal.SIGINT, "-n", "2")


class TestSlots(InTemporaryFolder):
    def test_a_large_job_waits_for_all_and_is_not_overtaken(self) -> None:
        order: list[str] = []

        def job(name: str, wanted: int) -> None:
            with Slots(self.folder, 2).take(wanted):
                order.append(name)

        first = Slots(self.folder, 2)
        with first.take(1):
            large = threading.Thread(target=job, args=("large", 99))
            large.start()
            while not is_locked(first.queue):
                time.sleep(0.01)
            small = threading.Thread(target=job, args=("small", 1))
            small.start()
            self.assertEqual(order, [])
        large.join()
        small.join()
        self.assertEqual(order, ["large", "small"])


def is_locked(path: Path) -> bool:
    if not path.exists():
        return False
    file = try_lock(path)
    if file:
        file.close()
    return file is None


class Worker:
    """What the queue sees of one of pytest-xdist's workers."""

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        assert not self.shutting_down
        self.sent += indices

    def shutdown(self) -> None:
        self.shutting_down = True


class TestQueue(unittest.TestCase):
    def open(self, count: int) -> tuple[InOrder, Worker, Worker]:
        queue, one, two = InOrder(2), Worker(), Worker()
        for worker in (one, two):
            queue.add_node(worker)
            self.assertFalse(queue.collection_is_completed)
            queue.add_node_collection(worker, [f"test{n}" for n in range(count)])
        queue.schedule()
        return queue, one, two

    def test_one_ahead_and_in_order(self) -> None:
        queue, one, two = self.open(6)
        self.assertEqual((one.sent, two.sent), ([0, 1], [2, 3]))
        queue.mark_test_complete(two, 2)
        queue.mark_test_complete(two, 3)
        self.assertEqual((one.sent, two.sent), ([0, 1], [2, 3, 4, 5]))
        self.assertTrue(two.shutting_down)
        self.assertFalse(queue.tests_finished)
        queue.mark_test_complete(one, 0)
        queue.mark_test_complete(two, 4)
        self.assertTrue(queue.tests_finished)

    def test_fewer_tests_than_workers(self) -> None:
        queue, one, two = self.open(1)
        self.assertEqual((one.sent, two.sent), ([0], []))
        self.assertTrue(one.shutting_down and two.shutting_down)
        self.assertTrue(queue.tests_finished)

    def test_a_worker_that_dies(self) -> None:
        queue, one, two = self.open(5)
        self.assertEqual(queue.remove_node(one), "test0")
        queue.mark_test_complete(two, 2)
        self.assertEqual(two.sent, [2, 3, 1])


class TestCovers(unittest.TestCase):
    def test_the_table_is_whole(self) -> None:
        self.assertEqual(covers.problems(), [])

    def test_what_a_word_means(self) -> None:
        self.assertEqual(covers.tests_of("tree"), ["host/test_tree"])
        self.assertIn("host/test_tree", covers.tests_of("mm/global/segment_tree.c"))
        self.assertIn("host/test_tree", covers.tests_of("segment_tree.h"))
        self.assertIn("tools/test_check.py", covers.tests_of("check"))
        self.assertEqual(covers.tests_of("kernel/main.c"), [covers.BOOT])
        with self.assertRaisesRegex(covers.NoSuchTest, "near: .*test_tree"):
            covers.tests_of("test_tre")

    def test_mistakes_are_found(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for path, text in (("mm/a.c", ""), ("mm/b.c", ""), ("tests/host/test_none.c", "/* */"),
                               ("tests/host/test_a.c", "/*\n * Covers: mm/a.c mm/old.c\n */")):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            found = "\n".join(covers.problems(root))
        self.assertIn("tests/host/test_none.c: its head has no line", found)
        self.assertIn("tests/host/test_a.c: covers mm/old.c, which does not exist", found)
        self.assertIn("mm/b.c: no test covers it", found)
        self.assertNotIn("mm/a.c: no test", found)


if __name__ == "__main__":
    unittest.main()
