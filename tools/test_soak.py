#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of soak.py: what it counts and remembers, and whole soaks of seconds against a stand-in.

QEMU's stand-in answers a stress with the records of every workload, and a schedule as in
test_explore.py.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

import explore
import soak
from test_explore import PASSES, READ_ARGUMENTS, kernel_source
from test_tools import InTemporaryFolder, is_alive

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent

# 30 operations a workload with caches, 2 without; `left_out` has none.
STRESS = """
stress() {
	echo '{"record":"boot","cpus":'$smp',"lock":"'$lock'"}'
	for name in ${workload:-repeat bulk rand xfree run kmalloc exhaust asym churn \\
			larson xmalloc sizes burst cache_thrash frag kalloctest scarce vm_map vm_shared vm_cow}; do
		[ "$name" = "$left_out" ] && continue
		echo '{"record":"bench","workload":"'$name'","cpus":'$smp',"cache":9,"ops":30}'
		echo '{"record":"bench","workload":"'$name'","cpus":'$smp',"cache":0,"ops":2}'
	done
	echo '{"record":"zone","name":"zone0","policy":"'$policy'"}'
	echo '{"record":"verdict","result":"pass"}'
}
selftest() {
	for i in 1 2; do echo "# exact in ${rounds:-$ops} rounds of 896 frames"; done
	echo '{"record":"verdict","result":"pass"}'
}
long() {
	echo '{"record":"boot","cpus":'$smp',"lock":"'$lock'"}'
	echo '{"record":"bench","workload":"'$workload'","cpus":'$smp',"cache":9,"ops":'${done:-20000000}'}'
	echo '{"record":"churn","cpus":'$smp'}'
	echo '{"record":"verdict","result":"pass"}'
}
all() {
	case $run$workload in selftest) selftest;; stressasym|stresschurn) long;; *) both;; esac
}
both() { if [ $run = stress ]; then stress; else explored; verdict pass; fi; }
"""
OPS_A_BOOT = len(soak.WORKLOADS) * 32


class TestCells(unittest.TestCase):
    def test_every_lock_policy_and_count(self) -> None:
        cells = soak.cells_of([1, 2, 4, 8])
        self.assertEqual(len({cell.key for cell in cells}), 4 * len(explore.LOCKS) * len(soak.POLICIES))
        self.assertEqual({cell.lock for cell in cells}, set(explore.LOCKS))
        self.assertEqual({cell.cpus for cell in cells}, {1, 2, 4, 8})

    def test_policies_are_the_kernels(self) -> None:
        sources = (ROOT / "mm" / "global").glob("*.c")
        text = "".join(source.read_text(encoding="utf-8") for source in sources)
        found = re.findall(r"^const struct policy (\w+)_policy\b", text, re.MULTILINE)
        self.assertEqual(sorted(soak.POLICIES), sorted(found))

    def test_what_needs_runs_and_who_has_none(self) -> None:
        table = kernel_source("tests/smp/workloads/workloads.c")
        needing = [entry.split(",")[0] for entry in table.split("entry(")[2:]
                   if "needs_runs" in entry and entry.split(",")[0] in soak.WORKLOADS]
        self.assertEqual(sorted(soak.NEED_RUNS), sorted(needing))
        without = [name for name in soak.POLICIES
                   if ".has_runs = true" not in kernel_source(f"mm/global/{name}.c")]
        self.assertEqual(sorted(soak.WITHOUT_RUNS), without)

    def test_slow_locks_are_locks(self) -> None:
        self.assertLessEqual(set(soak.HAND_OVER), set(explore.LOCKS))

    def test_default_cpus_of_make_are_these(self) -> None:
        self.assertIn("CPUS=" + soak.DEFAULT_CPUS, kernel_source("tools/make/help.mk"))

    def test_pace(self) -> None:
        self.assertEqual(soak.next_pace(1000, 3.0, 6.0), 2000)
        self.assertEqual(soak.next_pace(1000, 12.0, 6.0), 500)
        self.assertEqual(soak.next_pace(1000, 0.001, 6.0), 1000 * soak.GROWTH_MAX)
        self.assertEqual(soak.next_pace(100, 600.0, 6.0), soak.LEAST_OPS)


class TestFaults(unittest.TestCase):
    CELL = soak.Cell("mcs", "segment_tree", 4)

    def outcome(self, **changes: object) -> explore.Outcome:
        boot = {"record": "boot", "cpus": 4, "lock": "mcs"} | changes
        zone = {"record": "zone", "policy": changes.get("policy", "segment_tree")}
        bench = {"record": "bench", "workload": "run", "ops": changes.get("ops", 7)}
        return explore.Outcome(records=[boot, bench, bench, zone])

    def fault(self, **changes: object) -> str:
        return soak.find_fault(self.outcome(**changes), ("run",), self.CELL)

    def test_none(self) -> None:
        self.assertEqual(self.fault(), "")
        self.assertEqual(soak.operations_of(self.outcome()), {"run": 14})

    def test_something_else_was_run(self) -> None:
        self.assertIn("3 cpus", self.fault(cpus=3))
        self.assertIn("lock fas", self.fault(lock="fas"))
        self.assertIn("policies buddy", self.fault(policy="buddy"))

    def test_nothing_was_counted(self) -> None:
        self.assertIn("no operations of run", self.fault(ops=0))
        missing = soak.find_fault(self.outcome(), ("run", "rand"), self.CELL)
        self.assertIn("no operations of rand", missing)

    def test_the_run_failed(self) -> None:
        outcome = self.outcome()
        outcome.fault = "verdict fail: lost"
        self.assertEqual(soak.find_fault(outcome, ("run",), self.CELL), "verdict fail: lost")


class TestState(InTemporaryFolder):
    def test_is_what_was_written(self) -> None:
        state = soak.State(kernel="k", boots=3, failures=[soak.Failure("a", "b", "c", "d")])
        state.count(soak.Cell("fas", "segment_tree", 2), "run", 5)
        path = self.folder / "state.json"
        soak.write_state(path, state)
        self.assertEqual(soak.read_state(path), state)
        self.assertEqual([p.name for p in self.folder.iterdir()], ["state.json"])

    def test_none(self) -> None:
        self.assertIsNone(soak.read_state(self.folder / "state.json"))

    def test_damaged(self) -> None:
        path = self.folder / "state.json"
        for text in ("", "{", "[]", "{}", '{"version": 99}',
                     json.dumps({"version": soak.STATE_VERSION, "x": 1, "failures": []})):
            path.write_text(text)
            with self.assertRaises(ValueError, msg=text):
                soak.read_state(path)


class Soaking(InTemporaryFolder):
    def setUp(self) -> None:
        super().setUp()
        self.kernel = self.folder / "kernel.elf"
        self.kernel.write_bytes(b"not really")
        self.out = self.folder / "out"
        self.seen = self.folder / "seen"

    def command(self, *arguments: str) -> list[str]:
        files = ["--kernel", str(self.kernel), "--out", str(self.out), "--jobs", "2"]
        return [sys.executable, str(TOOLS / "soak.py"), *files, *arguments]

    def environment(self, qemu: str) -> dict[str, str]:
        note = f'echo "$run $seed $lock $smp $ops" >>{self.seen}\n'
        return {**os.environ,
                "QEMU": str(self.script("qemu", READ_ARGUMENTS + STRESS + note + qemu))}

    def soak(self, qemu: str, status: int, *arguments: str) -> str:
        run = subprocess.run(self.command(*arguments), env=self.environment(qemu), timeout=120,
                             capture_output=True, text=True)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stdout + run.stderr

    def state(self) -> soak.State:
        state = soak.read_state(self.out / "state.json")
        assert state is not None
        return state

    def boots(self) -> list[list[str]]:
        return [line.split() for line in self.seen.read_text().splitlines()]


class TestSoak(Soaking):
    SHORT = ("--minutes=0.03", "--cpus=1,2", "--long=0")

    def test_counts(self) -> None:
        output = self.soak("both", 0, *self.SHORT)
        state = self.state()
        stress = [boot for boot in self.boots() if boot[0] == "stress"]
        schedules = [boot for boot in self.boots() if boot[0] == "explore"]
        self.assertEqual(state.boots, len(stress) + len(schedules))
        self.assertEqual(state.schedules, len(schedules))
        self.assertEqual(state.operations, OPS_A_BOOT * len(stress))
        self.assertEqual(state.ops["workload"]["rand"], 32 * len(stress))
        for kind, names in (("lock", [b[2] for b in stress]), ("cpus", [b[3] for b in stress])):
            for name in names:
                self.assertEqual(state.ops[kind][name], OPS_A_BOOT * names.count(name))
        self.assertIn(f"{state.boots} passed, 0 failed", output)
        self.assertIn(f"{state.operations:.4g} checked operations", output)
        self.assertEqual(list(self.out.glob("*.log")), [])

    def test_seeds_are_all_different(self) -> None:
        self.soak("both", 0, *self.SHORT)
        self.soak("both", 0, *self.SHORT)
        seeds = [(boot[0], boot[1]) for boot in self.boots()]
        self.assertIn(("stress", "2"), seeds)
        self.assertEqual(len(seeds), len(set(seeds)))

    def test_goes_round(self) -> None:
        """No cell is two boots ahead of another, whatever the number of processors it takes."""
        output = self.soak("both", 0, "--minutes=0.05", "--cpus=1,8", "--share=0")
        done = self.state().cells
        boots = [done.get(cell.key, 0) for cell in soak.cells_of([1, 8])]
        self.assertLessEqual(max(boots) - min(boots), 1)
        self.assertIn(f"{min(boots)} rounds over {2 * len(explore.LOCKS) * len(soak.POLICIES)} cells", output)

    def test_share(self) -> None:
        self.soak("both", 0, *self.SHORT, "--share=1")
        self.assertEqual({boot[0] for boot in self.boots()}, {"explore"})

    def test_goes_on(self) -> None:
        self.soak("both", 0, *self.SHORT)
        first = self.state()
        output = self.soak("both", 0, *self.SHORT)
        self.assertIn(f"goes on from {first.boots} boots", output)
        self.assertGreater(self.state().operations, first.operations)
        self.assertGreater(self.state().seconds, first.seconds)
        self.assertEqual(self.state().boots, len(self.boots()))
        self.seen.unlink()
        self.soak("both", 0, *self.SHORT, "--fresh")
        self.assertEqual(self.state().boots, len(self.boots()))
        self.assertIn("1", [boot[1] for boot in self.boots()])

    def test_kernel_has_changed(self) -> None:
        self.soak("both", 0, *self.SHORT, "--share=1")
        first = self.state()
        self.kernel.write_bytes(b"another")
        self.seen.unlink()
        output = self.soak("both", 0, *self.SHORT, "--share=1")
        self.assertIn("the kernel has changed", output)
        self.assertEqual(self.state().boots, len(self.boots()))
        self.assertGreaterEqual(min(int(boot[1]) for boot in self.boots()),
                                first.next_schedule)

    def test_state_of_something_else(self) -> None:
        self.out.mkdir()
        (self.out / "state.json").write_text("{}")
        self.assertIn("FRESH=1", self.soak("both", 2, *self.SHORT))
        self.soak("both", 0, *self.SHORT, "--fresh")

    def test_no_boot_is_no_success(self) -> None:
        self.soak("both", 1, "--minutes=0")


class TestLong(Soaking):
    """What the long tests are, and that a long test that did less than it should fails."""

    # Long tests take minutes; the stand-in takes no time.
    PROGRAM = """import dataclasses, sys, soak
soak.LONG = tuple(dataclasses.replace(l, seconds=0.1) for l in soak.LONG)
sys.exit(soak.main(sys.argv[1:]))"""

    def soak_long(self, qemu: str, status: int) -> str:
        arguments = (*self.command()[2:], "--minutes=0.05", "--cpus=2,4,8", "--long=1")
        run = subprocess.run([sys.executable, "-c", self.PROGRAM, *arguments], timeout=120,
                             env={**self.environment(qemu), "PYTHONPATH": str(TOOLS)},
                             capture_output=True, text=True)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)
        return run.stdout + run.stderr

    def test_what_there_is(self) -> None:
        by_name = {long.name: long for long in soak.LONG}
        self.assertEqual(len(by_name), len(soak.LONG))
        for cpus in (2, 4, 8):
            self.assertIn("ops=1000", by_name[f"busy-{cpus}"].bootargs.split())
            self.assertEqual(by_name[f"busy-{cpus}"].cpus, cpus)
        self.assertEqual(by_name["asym"].ops, 20_000_000)
        self.assertTrue({"asym", "churn"} <= set(by_name))
        self.assertLessEqual(set(soak.SHORTAGES), set(explore.WORKLOADS))

    def test_each_in_turn(self) -> None:
        output = self.soak_long("all", 0)
        state = self.state()
        boots = [state.long.get(long.name, 0) for long in soak.LONG]
        self.assertGreater(min(boots), 0)
        self.assertLessEqual(max(boots) - min(boots), 1)
        self.assertGreater(state.schedules, 0)
        self.assertEqual(state.operations, 0)
        self.assertIn("long tests, how often each", output)
        self.assertEqual(list(self.out.glob("*.log")), [])

    def test_not_where_there_is_no_time(self) -> None:
        self.soak("all", 0, "--minutes=0.03", "--cpus=1,2,4,8", "--long=1")
        self.assertEqual(self.state().long, {})
        self.assertGreater(self.state().boots, 0)

    def test_less_than_it_should(self) -> None:
        output = self.soak_long("rounds=10 done=19999999; all", 1)
        self.assertIn('busy-4, seed ', output)
        self.assertIn('passed, but did not say "# exact in 1000 rounds of " 2 times', output)
        self.assertIn("passed, but 19999999 operations of asym are not 20000000", output)
        self.assertRegex(output, r"run it again: make run SMP=8 MEM=64M TIMEOUT=3600 "
                                 r"BOOTARGS='run=selftest ops=1000 seed=\d+'")
        self.assertTrue(list(self.out.glob("long-busy-2-seed-*.log")))

    def test_shortages_are_explored_in_turn(self) -> None:
        self.soak("both", 0, *TestSoak.SHORT, "--share=1")
        state = self.state()
        done = state.next_shortage - soak.FIRST_SHORTAGE, state.next_schedule - 1
        self.assertLessEqual(abs(done[0] - done[1]), 1)
        self.assertIn(sum(done) - state.schedules, (0, 1))  # one may be drawn and not begun

    def test_a_shortage_that_failed(self) -> None:
        output = self.soak("[ $seed -gt 1000000 ] && switches=0; both", 1, *TestSoak.SHORT,
                           "--share=1")
        self.assertIn("FAIL  schedule of shortages of seed 1000001: passed, but never", output)
        self.assertIn("make replay SEED=1000001 WORKLOAD=exhaust,asym,churn,scarce\n", output)


class TestFailures(Soaking):
    FAIL = """[ $run$seed = stress1 ] &&
        { echo '{"record":"verdict","result":"fail","failed":"stamp lost"}'; exit 1; };"""

    def test_is_told_with_its_command(self) -> None:
        output = self.soak(self.FAIL + "both", 1, *TestSoak.SHORT, "--mem=9M")
        self.assertIn("FAIL  fas, segment_tree, 1 cpus, seed 1: verdict fail: stamp lost", output)
        again = next(line for line in output.splitlines() if "run it again: " in line)
        again = again.partition(": ")[2]
        lines = subprocess.run(shlex.split(again.replace("make", "make -n", 1)), cwd=ROOT,
                               capture_output=True, text=True, check=True).stdout
        # Under another make, this one also says which folder it is in.
        lines = lines.replace("\\\n", " ").splitlines()
        words = shlex.split(next(line for line in lines if "--bootargs" in line))
        bootargs = words[words.index("--bootargs") + 1]
        self.assertEqual((words[words.index("--smp") + 1], words[words.index("--mem") + 1],
                          bootargs.split()[:3]), ("1", "9M", ["run=stress", "seed=1", "lock=fas"]))
        logs = list(self.out.glob("*.log"))
        self.assertEqual([log.name for log in logs], ["stress-fas-1-seed-1.log"])
        self.assertIn("stamp lost", logs[0].read_text())

    def test_stays_a_failure(self) -> None:
        self.soak(self.FAIL + "both", 1, *TestSoak.SHORT)
        output = self.soak("both", 1, *TestSoak.SHORT)
        self.assertIn("stamp lost", output)
        self.assertTrue((self.out / "stress-fas-1-seed-1.log").exists())
        self.soak("both", 0, *TestSoak.SHORT, "--fresh")
        self.assertEqual(list(self.out.glob("*.log")), [])

    def test_of_a_schedule(self) -> None:
        output = self.soak("switches=0; both", 1, *TestSoak.SHORT, "--share=1")
        self.assertIn("FAIL  schedule of seed 1: passed, but never switched", output)
        self.assertIn("run it again: make replay SEED=1\n", output)

    def test_a_workload_is_left_out(self) -> None:
        output = self.soak("left_out=run; both", 1, *TestSoak.SHORT, "--share=0")
        self.assertIn("counted no operations of run", output)


class TestEnding(Soaking):
    def started(self, qemu: str, *arguments: str) -> tuple[subprocess.Popen[str], Path]:
        """A soak with a running boot that does not end by itself."""
        pid = self.folder / "pid"
        hang = f"[ $seed = 6 ] && {{ echo $$ >{pid}.new; mv {pid}.new {pid}; sleep 300; }};"
        process = subprocess.Popen(self.command("--share=0", "--long=0", *arguments), text=True,
                                   env=self.environment(hang + qemu), stdout=subprocess.PIPE)
        while not pid.exists():
            time.sleep(0.02)
        return process, pid

    def test_interrupted(self) -> None:
        process, pid = self.started("both")
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertFalse(is_alive(int(pid.read_text())))
        self.assertIn(f"{self.state().boots} passed, 0 failed", output)
        self.assertEqual(list(self.out.glob("*.log")), [])

    def test_killed(self) -> None:
        """Only the running boots are lost."""
        process, pid = self.started("both", "--jobs=1")
        process.kill()
        process.communicate(timeout=60)
        os.kill(int(pid.read_text()), signal.SIGKILL)
        self.assertEqual(self.state().operations, 5 * OPS_A_BOOT)
        self.assertIn("goes on from 5 boots", self.soak("both", 0, *TestSoak.SHORT))

    def test_time_is_up_while_a_boot_hangs(self) -> None:
        program = "import sys, soak; soak.GRACE_SECONDS = 0.5; sys.exit(soak.main(sys.argv[1:]))"
        hang = "[ $seed = 6 ] && sleep 300; both"
        run = subprocess.run([sys.executable, "-c", program, *self.command()[2:], "--share=0",
                              *TestSoak.SHORT],
                             env={**self.environment(hang), "PYTHONPATH": str(TOOLS)},
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertIn(" 0 failed", run.stdout)
        self.assertEqual(list(self.out.glob("*.log")), [])


if __name__ == "__main__":
    unittest.main()
