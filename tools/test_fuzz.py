#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of fuzz.py, and of the corpora of `make test`, against shell scripts that stand in for targets.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

import check
import fuzz
from check.plan import CORPORA
from test_tools import InTemporaryFolder

TOOLS = Path(__file__).resolve().parent
FUZZED = r"""cat <<'END'
INFO: Seed: 1842525915
#2	INITED cov: 310 ft: 311 corp: 1/1b exec/s: 0 rss: 31Mb
#700	NEW    cov: 340 ft: 400 corp: 2/9b lim: 4 exec/s: 350 rss: 45Mb L: 8/8 MS: 1 CopyPart-
#900	REDUCE cov: 341 ft: 400 corp: 2/8b lim: 4 exec/s: 360 rss: 45Mb L: 7/8 MS: 1 EraseBytes-
#1000	DONE   cov: 345 ft: 420 corp: 3/9b lim: 4 exec/s: 333 rss: 45Mb
stat::number_of_executed_units: 1001
stat::average_exec_per_sec:     334
END
"""
CRASHES = r"""
for argument; do case $argument in -artifact_prefix=*) prefix=${argument#*=} ;; esac; done
printf 'ABC\001' >"${prefix}crash-1"
echo 'FAILED: tests/host/model.c:7: taken <= max'
echo "artifact_prefix='$prefix'; Test unit written to ${prefix}crash-1"
exit 77
"""
# A merge writes to the first folder it is given.
MERGES = r"""
for argument; do case $argument in
	-use_counters=*) counters=${argument#*=} ;;
	-*) ;;
	*) folder=$argument; break ;;
esac; done
printf short >"$folder/a"
[ $counters = 0 ] || { printf 'a longer one' >"$folder/b"; printf same >"$folder/c"; }
"""


class Fuzzing(InTemporaryFolder):
    def setUp(self) -> None:
        super().setUp()
        self.corpora = self.folder / "corpora"

    def target(self, name: str, body: str) -> None:
        self.script(f"fuzz_{name}", body)

    def command(self, *arguments: str) -> list[str]:
        folders = ["--build", str(self.folder), "--corpora", str(self.corpora)]
        return [sys.executable, str(TOOLS / "fuzz.py"), *folders, *arguments]

    def fuzz(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60)


class TestLines(unittest.TestCase):
    def test_counts(self) -> None:
        progress = fuzz.Progress()
        for line in FUZZED.splitlines():
            fuzz.read_line(progress, line)
        self.assertEqual((progress.executions, progress.per_second), (1001, 334))
        self.assertEqual((progress.edges, progress.inputs_new), (345, 1))
        self.assertEqual((progress.artifact, progress.reports), ("", []))

    def test_a_pulse_tells_no_lies(self) -> None:
        progress = fuzz.Progress(edges=9)
        fuzz.read_line(progress, "#4096\tpulse  corp: 3/9b exec/s: 12")
        self.assertEqual((progress.executions, progress.edges, progress.per_second), (4096, 9, 12))

    def test_reports(self) -> None:
        progress = fuzz.Progress()
        for line in (
            "==12==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x60",
            "mm/x.c:3:4: runtime error: shift exponent 64 is too large",
            "FAILED: tests/host/x.c:1: a == b",
            "==9== ERROR: libFuzzer: timeout after 60 seconds",
            "    #1 0x55 in frame_alloc",
        ):
            fuzz.read_line(progress, line)
        self.assertEqual(len(progress.reports), 4)

    def test_hexdump(self) -> None:
        lines = fuzz.hexdump(b"run=x\0" + bytes(300))
        self.assertRegex(lines[0], r"^0000  72 75 6e 3d 78 00 .*  run=x\.\.\.")
        self.assertEqual((len(lines), lines[-1]), (17, "... 50 bytes more"))


class TestFuzzing(Fuzzing):
    def test_all_is_well(self) -> None:
        self.target("one", FUZZED)
        self.target("two", FUZZED)
        run = self.fuzz("one", "two", "--seconds", "1")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertRegex(run.stdout, r"one +1001 executions +334/s +345 edges +1 new inputs +ok")
        self.assertIn("2 targets ok, 0 failed", run.stdout)

    def test_what_a_target_is_asked(self) -> None:
        self.target("one", 'echo "$*"')
        self.fuzz("one", "--seconds", "7")
        asked = (self.folder / "logs" / "one.log").read_text()
        self.assertIn("-max_total_time=7", asked)
        # Its own folder first: that is where libFuzzer writes.
        self.assertTrue(asked.endswith(f"{self.folder}/corpus/one {self.corpora}/one\n"), asked)
        self.assertTrue((self.corpora / "one").is_dir())

    def test_a_crash_is_shown_and_can_be_repeated(self) -> None:
        self.target("bad", CRASHES)
        self.target("good", FUZZED)
        run = self.fuzz("bad", "good")
        self.assertEqual(run.returncode, 1)
        crash = self.folder / "crashes" / "bad" / "crash-1"
        self.assertEqual(crash.read_bytes(), b"ABC\1")
        self.assertIn("bad: FAILED: tests/host/model.c:7: taken <= max", run.stdout)
        self.assertIn("0000  41 42 43 01 ", run.stdout)
        self.assertIn(f"replay: {self.folder}/fuzz_bad {crash}", run.stdout)
        self.assertIn("corpora/bad/ as regression-", run.stdout)
        self.assertIn("1 targets ok, 1 failed: bad", run.stdout)

    def test_an_end_without_an_input(self) -> None:
        self.target("bad", "echo cannot load; exit 3")
        run = self.fuzz("bad")
        self.assertEqual(run.returncode, 1)
        self.assertIn("exit status 3 and no input", run.stdout)
        self.assertIn("| cannot load", run.stdout)

    def test_killed(self) -> None:
        self.target("bad", "kill -SEGV $$")
        self.assertEqual(self.fuzz("bad").returncode, 1)

    def test_only(self) -> None:
        self.target("one", FUZZED)
        run = self.fuzz("one", "two", "--only", "one")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("fuzzing 1 targets", run.stdout)

    def test_not_built(self) -> None:
        run = self.fuzz("one")
        self.assertEqual(run.returncode, 2)
        self.assertRegex(run.stderr, "fuzz_one is not there: `make fuzz` builds it, with clang")

    def test_no_such_target(self) -> None:
        self.target("one", FUZZED)
        run = self.fuzz("one", "--only", "three")
        self.assertEqual(run.returncode, 2)
        self.assertIn("no such target: three; there are one", run.stderr)

    def test_ended_early(self) -> None:
        mark = self.folder / "mark"
        self.target("slow", f"echo $$ >{mark}.new; mv {mark}.new {mark}; exec sleep 60")
        process = subprocess.Popen(self.command("slow"), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        while not mark.exists():
            self.assertIsNone(process.poll())
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(60), 130)
        self.assertFalse(Path(f"/proc/{int(mark.read_text())}").exists())


class TestReplaying(unittest.TestCase):
    def test_each_target_runs_over_its_own_corpus(self) -> None:
        options = check.parse_arguments(["--corpus", "x/fuzz_policy", "x/fuzz_heap"])
        jobs = check.plan(options)
        self.assertEqual([job.name for job in jobs], ["corpus/fuzz_policy", "corpus/fuzz_heap"])
        self.assertEqual(jobs[1].command[1:], [str(TOOLS.parent / "tests/host/fuzz/corpus/heap")])
        self.assertTrue(jobs[0].counts_ktap)

    def test_the_corpora_are_small(self) -> None:
        folders = [path for path in CORPORA.iterdir() if path.is_dir()]
        files = [path for folder in folders for path in folder.iterdir()]
        self.assertTrue(folders)
        self.assertLess(sum(path.stat().st_size for path in files), 200 * 1024)


class TestMerging(Fuzzing):
    def corpus(self, name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.corpora / name).iterdir()}

    def test_replaces_all_but_regressions(self) -> None:
        self.target("one", MERGES)
        folder = self.corpora / "one"
        folder.mkdir(parents=True)
        (folder / "0123456789ab").write_bytes(b"of old")
        (folder / "regression-a-bug").write_bytes(b"same")
        run = self.fuzz("one", "--merge")
        self.assertEqual(run.returncode, 0, run.stderr)
        corpus = self.corpus("one")
        self.assertEqual(corpus.pop("regression-a-bug"), b"same")
        self.assertEqual(sorted(corpus.values()), [b"a longer one", b"short"])
        self.assertIn("2 inputs, 17 bytes, and 1 kept by name", run.stdout)

    def test_a_failed_merge_changes_nothing(self) -> None:
        self.target("one", "echo no; exit 1")
        folder = self.corpora / "one"
        folder.mkdir(parents=True)
        (folder / "x").write_bytes(b"y")
        run = self.fuzz("one", "--merge")
        self.assertEqual(run.returncode, 1)
        self.assertIn("one: the merge failed", run.stdout)
        self.assertEqual(self.corpus("one"), {"x": b"y"})

    def test_an_empty_merge_changes_nothing(self) -> None:
        self.target("one", "true")
        (self.corpora / "one").mkdir(parents=True)
        (self.corpora / "one" / "x").write_bytes(b"y")
        self.assertEqual(self.fuzz("one", "--merge").returncode, 1)
        self.assertEqual(self.corpus("one"), {"x": b"y"})

    def test_choice(self) -> None:
        needed = [bytes([i]) * (i + 1) for i in range(60)]
        others = [bytes([i]) * (i + 2) for i in range(200)]
        chosen = fuzz.choose(needed, others, 10**6)
        self.assertEqual(len(chosen), fuzz.CORPUS_FILES_MAX)
        self.assertTrue(set(needed) <= set(chosen))
        self.assertIn(others[-1], chosen)
        self.assertEqual(len(set(chosen)), len(chosen))
        self.assertLessEqual(sum(map(len, fuzz.choose(needed, others, 500))), 500)
        self.assertEqual(fuzz.choose(needed, [], 3), [needed[0], needed[1]])


if __name__ == "__main__":
    unittest.main()
