#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of explore.py: its choice of schedules, and whole sweeps and replays against a stand-in.

QEMU's stand-in is a shell script that reads the boot arguments as the kernel would, and ends with
the records that a schedule ends with, but for what a test wants otherwise.
"""

from __future__ import annotations

import argparse
import itertools
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

import doc_figures
import explore
import explore_compare
import explore_shrink
from test_tools import InTemporaryFolder, is_alive

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent

# $seed, $workload and the like are what the boot arguments say; $smp and $icount are QEMU's.
READ_ARGUMENTS = """
all="$*"
while [ $# -gt 0 ]; do
	case $1 in
	-append) words=$2; shift;;
	-smp) smp=$2; shift;;
	-icount) icount=$2; shift;;
	esac
	shift
done
for word in $words; do eval "${word%%=*}='${word#*=}'"; done
switches=10 allocs=5 digest=$(printf %016x "$seed") said=$seed
explored() {
	echo '{"record":"explore","workload":"'$workload'","preempt":"any","switches":'$switches',' \\
		'"in_locks":3,"in_sequences":2,"stalls":1,"allocs":'$allocs',"frees":5}'
}
verdict() {
	echo '{"record":"verdict","result":"'$1'","seed":'$said',"digest":"'$digest'"'$2'}'
}
"""
PASSES = "explored; verdict pass"


def kernel_source(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def names_in(source: str, macro: str) -> tuple[str, ...]:
    """The strings of one NAMES(...) in bootargs_keys.c."""
    found = re.search(rf"NAMES\({macro},(.*?)\);", source, re.DOTALL)
    return tuple(re.findall(r'"(\w+)"', found[1])) if found else ()


class TestNames(unittest.TestCase):
    """What is listed here is what the kernel has."""

    def test_workloads(self) -> None:
        found = re.findall(r"^\tentry\((\w+),", kernel_source("tests/smp/workloads/workloads.c"), re.MULTILINE)
        besides = re.search(r"#define WORKLOADS_BESIDES (\d+)", kernel_source("tests/smp/workloads/workload.h"))
        assert besides
        found = found[: len(found) - int(besides[1])]  # the others are not about the allocator
        self.assertEqual(explore.WORKLOADS, tuple(found))
        self.assertEqual(set(explore.OPS), set(found))

    def test_locks_and_modes(self) -> None:
        source = kernel_source("kernel/boot/bootargs_keys.c")
        # `none` is no lock, and for one cpu.
        self.assertEqual((*explore.LOCKS, "none"), names_in(source, "lock_names"))
        modes = re.search(r"mode_names\[\] = \{(.*?)\};", kernel_source("tests/smp/explore.c"))
        self.assertEqual(explore.MODES, tuple(re.findall(r'"(\w+)"', modes[1])))

    def test_schedulers(self) -> None:
        kinds = names_in(kernel_source("kernel/boot/bootargs_keys.c"), "schedule_names") or tuple(
            re.findall(r'\] = "(\w+)"', kernel_source("kernel/boot/bootargs_keys.c").partition("NAMES(schedule_names")[2]
                       .partition(";")[0]))
        self.assertEqual(kinds, ("seeds", "pct", "walk", "list"))
        self.assertEqual({kind.partition(":")[0] for kind in explore.SCHEDULERS}, set(kinds[:3]))
        found = re.search(r"schedule_names\[\] = \{(.*?)\};", kernel_source("tests/smp/explore.c"))
        self.assertEqual(kinds, tuple(re.findall(r'"(\w+)"', found[1])) if found else ())


class TestSchedules(unittest.TestCase):
    DIGITS = ("workload", "lock", "cache", "interval", "mode")
    CHOICES = {
        "workload": explore.WORKLOADS,
        "lock": explore.LOCKS,
        "cache": tuple(caches.get("cache", "") for caches in explore.CACHES),
        "interval": explore.INTERVALS,
        "mode": explore.MODES,
    }
    PRODUCT = explore.ROUND * len(explore.WORKLOADS)

    def point(self, seed: int) -> dict[str, str]:
        found = explore.schedule_of(seed)
        cache = found.caches.get("cache", "")
        values = (found.workload, found.lock, cache, found.interval, found.mode)
        return dict(zip(self.DIGITS, values))

    def test_any_468_seeds_cover_every_pair(self) -> None:
        points = [self.point(seed) for seed in range(self.PRODUCT + 468)]
        for one, other in itertools.combinations(self.DIGITS, 2):
            wanted = set(itertools.product(self.CHOICES[one], self.CHOICES[other]))
            for first in range(self.PRODUCT):
                window = points[first : first + 468]
                self.assertEqual({(p[one], p[other]) for p in window}, wanted, (one, other, first))

    def test_as_many_rounds_as_workloads_are_the_whole_product(self) -> None:
        found = {tuple(self.point(seed).values()) for seed in range(77, 77 + self.PRODUCT)}
        wanted = 1
        for choices in self.CHOICES.values():
            wanted *= len(set(choices))
        self.assertEqual((len(found), wanted), (self.PRODUCT, self.PRODUCT))

    def test_one_workload(self) -> None:
        for seed in range(100):
            self.assertEqual(explore.schedule_of(seed, ("rand",)).workload, "rand")

    def test_caches_are_ones_the_kernel_accepts(self) -> None:
        for caches in explore.CACHES:
            if "batch" in caches:
                self.assertLessEqual(2 * int(caches["batch"]), int(caches["cache"]))


class TestBootArguments(unittest.TestCase):
    def words(self, seed: int, **choices: object) -> dict[str, str]:
        text = explore.bootargs_of(seed, explore.Choices(**choices))  # type: ignore[arg-type]
        pairs = [word.split("=") for word in text.split()]
        self.assertEqual(len(pairs), len({pair[0] for pair in pairs}), text)  # refused if twice
        return dict(pairs)

    def test_of_the_seed(self) -> None:
        self.assertEqual(
            self.words(1),
            {"run": "explore", "seed": "1", "workload": "repeat", "lock": "cas", "cache": "2",
             "batch": "1", "preempt": explore.INTERVALS[1] + ":locks",
             "ops": str(explore.OPS["repeat"])},
        )

    def test_of_the_scheduler(self) -> None:
        found = self.words(4)
        self.assertEqual(found["schedule"], explore.SCHEDULERS[1])
        self.assertEqual(found["preempt"], explore.DIRECTED_INTERVALS[explore.schedule_of(4).interval] + ":any")
        self.assertEqual(self.words(1, schedule="walk:7")["schedule"], "walk:7")
        self.assertEqual(set(explore.DIRECTED_INTERVALS), set(explore.INTERVALS))
        for first in range(0, explore.ROUND, 60):
            schedules = [explore.schedule_of(seed) for seed in range(first, first + 468)]
            for choices, found in ((explore.MODES, {(s.scheduler, s.mode) for s in schedules}),
                                   (explore.LOCKS, {(s.scheduler, s.lock) for s in schedules}),
                                   (explore.INTERVALS, {(s.scheduler, s.interval) for s in schedules})):
                self.assertEqual(found, set(itertools.product(explore.SCHEDULERS, choices)))

    def test_asked_for_instead(self) -> None:
        found = self.words(1, bootargs="lock=clh  ops=7 cpus=3", preempt="stall", schedule="seeds")
        self.assertEqual((found["lock"], found["ops"], found["cpus"]), ("clh", "7", "3"))
        self.assertEqual(found["preempt"], explore.INTERVALS[1] + ":stall")
        self.assertEqual(self.words(1, preempt="7:8")["preempt"], "7:8:locks")
        self.assertEqual(self.words(1, preempt="7:8:any")["preempt"], "7:8:any")

    def test_a_batch_goes_with_its_cache(self) -> None:
        self.assertNotIn("batch", self.words(1, bootargs="cache=0"))
        self.assertEqual(self.words(1, bootargs="cache=9 batch=3")["batch"], "3")

    def test_a_bad_word_is_left_to_the_kernel(self) -> None:
        self.assertIn("nonsense", explore.bootargs_of(1, explore.Choices(bootargs="nonsense")))


class TestCommandWords(unittest.TestCase):
    def test_nothing_but_what_differs(self) -> None:
        command = explore.replay_command(7, explore.Choices())
        self.assertEqual(command, "make replay SEED=7")

    def test_replay_runs_the_same(self) -> None:
        """The words go through a shell and make, and come to the same machine and arguments."""
        choices = explore.Choices("2", "8M", ("rand", "run"), "stall", "ops=9 cpus=2", "pct:5:2")
        command = shlex.split(explore.replay_command(7, choices))
        lines = subprocess.run([command[0], "-n", *command[1:]], cwd=ROOT, capture_output=True,
                               text=True, check=True).stdout.replace("\\\n", " ").splitlines()
        words = shlex.split(next(line for line in lines if "--replay" in line))
        options = explore.parse_arguments(words[1:])
        self.assertEqual((options.replay, options.choices), (7, choices))

    def test_make_leaves_defaults_alone(self) -> None:
        lines = subprocess.run(["make", "-n", "explore", "SEEDS=3-9"], cwd=ROOT, check=True,
                               capture_output=True, text=True).stdout.replace("\\\n", " ")
        words = shlex.split(next(line for line in lines.splitlines() if "--seeds" in line))
        options = explore.parse_arguments(words[1:])
        self.assertEqual(options.choices, explore.Choices())
        self.assertEqual(options.seeds, list(range(3, 10)))

    def test_seeds(self) -> None:
        self.assertEqual(explore.parse_seeds("3,1-4,9"), [3, 1, 2, 4, 9])
        for text in ("", "a", "1-", "-1", "4-2", "1-2-3", "1,,2"):
            with self.assertRaises(argparse.ArgumentTypeError, msg=text):
                explore.parse_seeds(text)

    def test_workloads(self) -> None:
        self.assertEqual(explore.parse_workloads("run,rand"), ("run", "rand"))
        with self.assertRaises(argparse.ArgumentTypeError):
            explore.parse_workloads("run,nonesuch")


class Exploring(InTemporaryFolder):
    def setUp(self) -> None:
        super().setUp()
        self.kernel = self.folder / "kernel.elf"
        self.kernel.write_bytes(b"not really")
        self.out = self.folder / "out"

    def command(self, *arguments: str) -> list[str]:
        files = ["--kernel", str(self.kernel), "--out", str(self.out)]
        return [sys.executable, str(TOOLS / "explore.py"), *files, *arguments]

    def environment(self, qemu: str) -> dict[str, str]:
        return {**os.environ, "QEMU": str(self.script("qemu", READ_ARGUMENTS + qemu))}

    def explore(self, qemu: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), env=self.environment(qemu), timeout=120,
                              capture_output=True, text=True)

    def check(self, qemu: str, status: int, *texts: str, arguments: tuple[str, ...] = ()) -> None:
        run = self.explore(qemu, *(arguments or ("--seeds", "1-6")))
        for text in texts:
            self.assertIn(text, run.stdout + run.stderr)
        self.assertEqual(run.returncode, status, run.stdout + run.stderr)

    def results(self) -> list[dict[str, object]]:
        lines = (self.out / "results.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]


class TestSweep(Exploring):
    def test_all_pass(self) -> None:
        self.check(PASSES, 0, "6 schedules and 4 of them twice", "6 distinct digests; 60 switches, "
                   "18 within locks, 12 within restartable sequences", "6 passed, 0 failed")
        self.assertEqual(sorted(r["seed"] for r in self.results()), [1, 1, 2, 2, 3, 3, 4, 4, 5, 6])
        self.assertEqual([p.name for p in self.out.iterdir()], ["results.jsonl"])
        for result in self.results():
            self.assertEqual(result["digest"], f"{result['seed']:016x}")
            self.assertEqual(result["switches"], 10)

    def test_what_qemu_is_given(self) -> None:
        good = '[ "$icount" = shift=7,sleep=off ] && [ "$smp" = 3 ] && ' + PASSES
        self.check("{ " + good + "; } || exit 9", 0, arguments=("--smp", "3"))

    def test_a_failure_and_its_replay(self) -> None:
        fail = """[ $seed = 5 ] && { verdict fail ',"failed":"panic on cpu 2: lost"'; exit 1; };"""
        replay = "replay it: make replay SEED=5 SMP=2 PREEMPT=any\n"
        self.check(fail + PASSES, 1, "FAIL  seed 5: verdict fail: panic on cpu 2: lost\n", replay,
                   "5 passed, 1 failed", arguments=("--seeds=1-6", "--smp=2", "--preempt=any"))
        self.assertEqual([p.name for p in self.out.glob("*.log")], ["seed-5.log"])
        self.assertIn("panic on cpu 2", (self.out / "seed-5.log").read_text())

    def test_old_consoles_are_removed(self) -> None:
        self.check("exit 1", 1, "0 passed, 6 failed")
        self.assertEqual(len(list(self.out.glob("seed-*.log"))), 10)
        self.check(PASSES, 0)
        self.assertEqual(list(self.out.glob("seed-*.log")), [])

    def test_no_verdict(self) -> None:
        crash = "[ $seed = 2 ] && { echo went wrong here; exit 3; };"
        self.check(crash + PASSES, 1, "seed 2: QEMU ended without a verdict", "went wrong here")

    def test_hang(self) -> None:
        self.check("[ $seed = 2 ] && sleep 60;" + PASSES, 1, "seed 2: time-out after 5 s",
                   "5 passed, 1 failed", arguments=("--seeds=1-6", "--timeout=5"))

    def test_passes_that_are_none(self) -> None:
        for body, text in (
            ("verdict pass", "no explore record"),
            ("digest=; " + PASSES, "no digest"),
            ("digest=xyz; " + PASSES, "no digest"),
            ("said=77; " + PASSES, "ran seed 77"),
            ("switches=0; " + PASSES, "never switched"),
            ("allocs=0; " + PASSES, "allocated nothing"),
            (PASSES + "; exit 4", "verdict pass, but QEMU's exit status 4"),
        ):
            self.check(body, 1, "seed 1: ", text, "0 passed, 2 failed", arguments=("--seeds=1-2",))

    def test_not_deterministic(self) -> None:
        body = "[ $seed = 3 ] && digest=$(printf %016x $$);" + PASSES
        self.check(body, 1, "seed 3: not deterministic: digest ", "5 passed, 1 failed")
        self.check(body, 0, arguments=("--seeds=1-6", "--check-digests=2"))

    def test_one_digest_for_all(self) -> None:
        self.check("digest=0123456789abcdef;" + PASSES, 1, "that of several seeds: ")

    def test_stop_first(self) -> None:
        arguments = ("--seeds=1-50", "--stop-first", "--jobs=1")
        self.check("exit 1", 1, "1 schedules in", arguments=arguments)

    def test_as_many_at_a_time_as_jobs(self) -> None:
        meet = f"""cd {self.folder}; touch here-$seed
            while [ ! -e here-1 ] || [ ! -e here-2 ]; do sleep 0.05; done;"""
        self.check(meet + PASSES, 0, arguments=("--seeds=1-2", "--jobs=2", "--check-digests=0"))
        for path in self.folder.glob("here-*"):
            path.unlink()
        self.check(meet + PASSES, 1, "time-out", arguments=(
            "--seeds=1-2", "--jobs=1", "--check-digests=0", "--timeout=1"))

    def test_cannot_run(self) -> None:
        self.kernel.unlink()
        self.check(PASSES, 2, "kernel.elf: no such file")
        environment = {**os.environ, "QEMU": "no-such-emulator"}
        run = subprocess.run(self.command(), env=environment, capture_output=True, text=True)
        self.assertEqual(run.returncode, 2)
        self.assertIn("make deps", run.stderr)

    def test_ended_early(self) -> None:
        pid = self.folder / "pid"
        qemu = f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 300"
        process = subprocess.Popen(self.command("--jobs=1"), env=self.environment(qemu),
                                   stdout=subprocess.PIPE, text=True)
        while not pid.exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertIn("0 schedules in", output)
        self.assertFalse(is_alive(int(pid.read_text())))


class TestReplay(Exploring):
    REPLAY = ("--replay", "7")

    def test_of_a_seed_never_run(self) -> None:
        self.check("echo hello;" + PASSES, 0, "hello\n", "run=explore seed=7 ",
                   "digest 0000000000000007; none on record", arguments=self.REPLAY)

    def test_same_digest(self) -> None:
        self.check(PASSES, 0, arguments=("--seeds=7",))
        self.check(PASSES, 0, "0000000000000007, the same as on record", arguments=self.REPLAY)

    def test_other_digest(self) -> None:
        self.check(PASSES, 0, arguments=("--seeds=7",))
        self.check("digest=00000000000000aa;" + PASSES, 1, "NOT THE SAME RUN: digest "
                   "00000000000000aa, but 0000000000000007 is on record", arguments=self.REPLAY)

    def test_other_binary_machine_or_arguments(self) -> None:
        self.check(PASSES, 0, arguments=("--seeds=7",))
        other = "digest=00000000000000aa;" + PASSES
        for arguments in (("--smp=2",), ("--mem=8M",), ("--bootargs=ops=5",)):
            self.check(other, 0, "none on record", arguments=(*self.REPLAY, *arguments))
        self.kernel.write_bytes(b"another")
        self.check(other, 0, "none on record", arguments=self.REPLAY)

    def test_exit_status_is_the_runs(self) -> None:
        fail = "digest=0000000000000001; verdict fail ',\"failed\":\"lost\"'; exit 1"
        self.check(fail, 1, "launch: verdict fail: lost", "digest 0000000000000001",
                   arguments=self.REPLAY)
        self.check("sleep 60", 124, "no digest", arguments=(*self.REPLAY, "--timeout=1"))
        self.check("verdict pass", 1, "no explore record", arguments=self.REPLAY)

    def test_gdb(self) -> None:
        qemu = 'case $all in *"-gdb chardev:gdb -S"*) ' + PASSES + ";; *) exit 9;; esac"
        self.check(qemu, 0, "tools/gdb/load.py -ex 'target remote localhost:",
                   arguments=(*self.REPLAY, "--gdb"))


# The kernel of these runs fails if its list of switches has what `needed` names, and records the list.
FAILS_WITH = """
list=$(echo "$words " | sed -n 's/.* switches=\\([^ ]*\\).*/\\1/p')
[ $schedule = list ] || list=$all_switches
case ",$list," in $needed)
	for one in $(echo "$list" | tr , ' '); do
		echo '{"record":"switches","step":['${one%:*}'],"from":[4],"to":['${one#*:}'],"why":[0],"masked":[0],"pc":[0]}'
	done
	echo '{"record":"schedule","current":3,"steps":99,"switches":9,"lost":0}'
	verdict fail ',"failed":"panic on cpu '$seed': lost frame 0x'$seed''$seed'"'; exit 1;;
esac
"""


class TestShrink(Exploring):
    SHRINK = ("--shrink", "7", "--schedule", "walk:20")

    def fails_with(self, switches: str, needed: str) -> str:
        return f"all_switches={switches}" + FAILS_WITH.replace("$needed", needed) + PASSES

    def test_to_two_switches(self) -> None:
        body = self.fails_with("1:0,3:2,5:1,8:0,9:3,12:1", "*,3:2,*9:3,*")
        self.check(body, 0, "seed 7: verdict fail: panic on cpu 7: lost frame", "6 switches before, 2 after",
                   "none of them can be left out", "step", "cpu 3: verdict fail: panic on cpu 7",
                   "make replay SEED=7", "schedule=list switches=3:2,9:3", arguments=self.SHRINK)

    def test_to_none(self) -> None:
        self.check(self.fails_with("1:0,3:2", "*"), 0, "2 switches before, 0 after", "goes on until it waits",
                   "BOOTARGS", arguments=self.SHRINK)

    def test_a_seed_that_passes(self) -> None:
        self.check(PASSES, 1, "nothing to shrink: this seed passes", arguments=self.SHRINK)

    def test_a_failure_that_no_list_has(self) -> None:
        body = """case $schedule in list) ;; *) verdict fail ',"failed":"lost"'; exit 1;; esac;"""
        self.check(body + PASSES, 1, "no list of switches was found", arguments=self.SHRINK)


class TestMinimise(unittest.TestCase):
    """The shrinker alone, with functions in place of boots."""

    def shrink(self, count: int, needed: set[int]) -> tuple[list[int], bool, int]:
        boots = 0

        def fails(switches: list[explore_shrink.Switch]) -> bool:
            nonlocal boots
            boots += 1
            return needed <= {switch.step for switch in switches}

        switches = [explore_shrink.Switch(step, step % 4) for step in range(count)]
        left, is_least = explore_shrink.minimise(switches, fails)
        return [switch.step for switch in left], is_least, boots

    def test_what_is_needed_is_left(self) -> None:
        for needed in (set(), {0}, {99}, {3, 4}, {0, 50, 99}, set(range(0, 100, 7))):
            left, is_least, _ = self.shrink(100, needed)
            self.assertEqual((set(left), is_least), (needed, True))
        self.assertEqual(self.shrink(1, {0})[0], [0])
        self.assertEqual(self.shrink(0, set())[0], [])

    def test_few_boots_for_few_switches(self) -> None:
        for at in (0, 333, 999):
            self.assertLess(self.shrink(1000, {at})[2], 40)

    def test_no_single_one_can_be_left_out(self) -> None:
        """Also where what is needed is not a set: one of two pairs, in any order of looking."""
        def fails(switches: list[explore_shrink.Switch]) -> bool:
            steps = {switch.step for switch in switches}
            return {1, 8} <= steps or {2, 5} <= steps

        left, is_least = explore_shrink.minimise([explore_shrink.Switch(i, 0) for i in range(10)], fails)
        self.assertTrue(is_least)
        self.assertTrue(fails(left))
        for i in range(len(left)):
            self.assertFalse(fails(left[:i] + left[i + 1:]))

    def test_out_of_time_keeps_the_best(self) -> None:
        boots = 0

        def fails(switches: list[explore_shrink.Switch]) -> bool:
            nonlocal boots
            boots += 1
            if boots > 4:
                raise explore_shrink.OutOfTime
            return 7 in {switch.step for switch in switches}

        left, is_least = explore_shrink.minimise([explore_shrink.Switch(i, 0) for i in range(64)], fails)
        self.assertFalse(is_least)
        self.assertTrue(7 in {switch.step for switch in left} and len(left) < 64)

    def test_failures_of_a_class(self) -> None:
        one = explore_shrink.failure_class("verdict fail: panic on cpu 2: frame 0x80 [<0x8020aa>] lost; last")
        other = explore_shrink.failure_class("verdict fail: panic on cpu 11: frame 0x9f [<0x8021bb>] lost; line")
        self.assertEqual(one, other)
        self.assertNotEqual(one, explore_shrink.failure_class("verdict fail: panic on cpu 2: frame 0x80 twice"))


class TestStory(unittest.TestCase):
    def test_of_records(self) -> None:
        records: list[dict[str, object]] = [
            {"record": "switches", "step": [0, 7], "from": [4, 2], "to": [2, 1], "why": [2, 1], "masked": [0, 1],
             "pc": [0, 0x80201000]},
            {"record": "other"},
            {"record": "switches", "step": [9], "from": [1], "to": [2], "why": [0], "masked": [0], "pc": [0x80202000]},
        ]
        turns = explore_shrink.turns_of(records)
        self.assertEqual(list(map(str, explore_shrink.switches_of(turns))), ["0:2", "7:1", "9:2"])
        places = {0x80201000: ["unlock sync/a.c:5", "free mm/b.c:9"], 0x80202000: ["wait sync/c.c:7"]}
        lines = explore_shrink.story(turns, places, "cpu 2: panic")
        self.assertEqual([re.split("  +", line.strip()) for line in lines], [
            ["step", "cpu", "stops in", "because it", "then cpu", "goes on in"],
            ["0", "2", "its first instruction"],
            ["7", "2", "the masked section that ends at unlock sync/a.c:5, inlined in free", "waits", "1",
             "its first instruction"],
            ["9", "1", "wait sync/c.c:7", "loses its turn", "2",
             "the masked section that ends at unlock sync/a.c:5, inlined in free"],
            ["cpu 2: panic"]])

    def test_places(self) -> None:
        text = ("0x0000000080201000\nunlock\n/somewhere/tools/launch.py:12 (discriminator 2)\nfree\n"
                "/somewhere/tools/explore.py:9\n0x0000000080202000\n??\n??:0\n")
        self.assertEqual(explore_shrink.read_places(text, ROOT), {
            0x80201000: ["unlock tools/launch.py:12", "free tools/explore.py:9"], 0x80202000: ["?? ??:0"]})


class TestCompare(unittest.TestCase):
    def test_the_museum_exists(self) -> None:
        known = {f"{path.parent.name}/{path.stem}" for path in (ROOT / "tests" / "mutants").glob("*/*.mutant")}
        for name, workloads in explore_compare.MUSEUM.items():
            self.assertIn(name, known)
            self.assertLessEqual(set(workloads), set(explore.WORKLOADS))
        self.assertLessEqual(set(explore_compare.BOOTARGS), set(explore_compare.MUSEUM))
        self.assertLessEqual(set(explore_compare.SCHEDULERS), set(explore.SCHEDULERS))

    def test_the_table(self) -> None:
        base = {"record": "experiment", "experiment": "schedulers", "boots": 3, "seconds": 1.5}
        records = doc_figures.Records([
            {**base, "mutant": "a/b", "schedule": "seeds", "seeds": [2, None]},
            {**base, "mutant": "a/b", "schedule": "pct:1:2", "seeds": [None, None]},
            {"record": "experiment", "experiment": "schedulers", "mutant": "c/d"},
        ])
        self.assertEqual(doc_figures.schedulers(records), [
            ["mutant", "`seeds`", "`pct:1:2`"],
            ["a/b", "2, -", "-, -"],
            ["c/d", "NOT MEASURED", "NOT MEASURED"],
            ["searches that found it", "1 of 2", "0 of 2"],
            ["mutants found", "1 of 1", "0 of 1"],
            ["boots", "3", "3"],
            ["seconds", "2", "2"],
        ])


if __name__ == "__main__":
    unittest.main()
