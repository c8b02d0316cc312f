# SPDX-License-Identifier: BSD-2-Clause
"""Whether virtual time and the workload of one lock alone can be believed: boots of the kernel, compared
with closed forms and with queueing theory (lock_model.py). It needs the kernel and QEMU's plugin:

    make build/hartframe.elf build/qemu/hartframe.so && python3 -m pytest tools/test_lock_workload.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import unittest
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import lock_model
from lock_model import Cell, Record

TOOLS = Path(__file__).resolve().parent
KERNEL = TOOLS.parent / "build" / "hartframe.elf"
TIMEOUT_SECONDS = 600  # a bound that only a hang reaches

# One round is enough where it does not matter how turns and program meet.
LOCK = "time=virtual turn=25 run=bench workload=lock"
CPUS = (1, 2, 4, 8, 12, 16)
HOLD, THINK = 200, 1800


def boot(bootargs: str, smp: int) -> bytes:
    """The records of one boot that passes."""
    if not KERNEL.is_file():
        raise unittest.SkipTest(f"{KERNEL} is not built")
    with TemporaryDirectory() as folder:
        records, log = Path(folder, "records"), Path(folder, "log")
        command = [sys.executable, str(TOOLS / "launch.py"), "--kernel", str(KERNEL), "--quiet"]
        command += ["--smp", str(smp), "--timeout", str(TIMEOUT_SECONDS), "--log", str(log)]
        command += ["--records", str(records), "--bootargs", bootargs]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"{bootargs}\n{done.stderr}")
        return records.read_bytes()


def benches(records: bytes) -> list[Record]:
    parsed = [json.loads(line) for line in records.splitlines()]
    return [record for record in parsed if record["record"] == "bench"]


@cache
def sweep(words: str, cpus: tuple[int, ...] = CPUS, rounds: int = 1) -> list[Record]:
    numbers = ",".join(map(str, cpus))
    found = benches(boot(f"{LOCK} rounds={rounds} cpus={numbers} {words}", max(cpus)))
    assert all(record["valid"] for record in found), found
    return found


def fixed_sweep() -> list[Record]:
    return sweep(f"lock=fas,ticket,mcs hold={HOLD} think={THINK}")


def cells(records: Sequence[Record], lock: str) -> dict[int, Cell]:
    return {cell.cpus: cell for cell in lock_model.cells_of(records) if cell.lock == lock}


def members(lock: str, cpus: int) -> Record:
    found = [r for r in fixed_sweep() if (r["lock"], r["cpus"]) == (lock, cpus)]
    assert len(found) == 1
    return found[0]


class TestDelays(unittest.TestCase):
    def cost(self, hold: int, think: int) -> float:
        """Of an operation; first there is a random delay, which 20,000 operations share."""
        words = f"time=virtual run=bench workload=lock rounds=1 ops=20000 hold={hold} think={think}"
        return float(str(benches(boot(words, 1))[0]["instructions_per_op"]))

    def test_a_delay_is_the_stated_number_of_instructions(self) -> None:
        least = self.cost(0, 0)
        for hold, think in ((1, 0), (2, 0), (0, 1), (3, 4), (29, 38)):
            self.assertAlmostEqual(self.cost(hold, think) - least, hold + think, delta=0.02)


class TestClosedForms(unittest.TestCase):
    """A lock that is held h of every h + t instructions is always held from (h + t) / h CPUs on."""

    def each_fifo(self) -> list[dict[int, Cell]]:
        return [cells(fixed_sweep(), lock) for lock in ("ticket", "mcs")]

    def test_below_saturation_each_cpu_works_as_if_alone(self) -> None:
        for of in self.each_fifo():
            for cpus in (2, 4):
                self.assertAlmostEqual(of[cpus].throughput / (cpus * of[1].throughput), 1, delta=0.03)

    def test_above_saturation_it_is_flat(self) -> None:
        for of in self.each_fifo():
            self.assertAlmostEqual(of[16].throughput / of[12].throughput, 1, delta=0.1)

    def test_a_saturated_lock_is_held_all_the_time(self) -> None:
        """A hold takes the stated instructions, and the handover to the next CPU less than 100."""
        for of in self.each_fifo():
            held = 1 / of[16].throughput
            self.assertGreater(held, HOLD)
            self.assertLess(held, HOLD + 100)

    def test_waits_fill_what_is_left_of_an_operation(self) -> None:
        for of in self.each_fifo():
            for cpus in (12, 16):
                left = of[cpus].per_op - of[1].per_op
                self.assertAlmostEqual(of[cpus].wait / left, 1, delta=0.1)


class TestFairness(unittest.TestCase):
    def test_locks_that_serve_in_order_are_fair(self) -> None:
        for lock in ("ticket", "mcs"):
            for cpus in CPUS:
                record = members(lock, cpus)
                self.assertGreater(record["jain"], 0.999)
                self.assertLess(record["overtaken_most"], max(cpus, 2))

    def test_a_lock_that_any_cpu_may_take_is_not(self) -> None:
        """In two rounds: how a program meets the turns decides which CPU takes a free lock."""
        unfair, fair = sweep(f"lock=fas,mcs hold={HOLD} think={THINK}", (16,), rounds=2)
        self.assertLess(float(str(unfair["jain"])), float(str(fair["jain"])))
        self.assertGreater(fair["jain"], 0.999)
        self.assertGreater(unfair["overtaken_most"], 32)
        self.assertLess(fair["overtaken_most"], 16)
        self.assertGreater(float(str(unfair["wait_worst"])), 2 * float(str(fair["wait_worst"])))

    def test_waits_in_a_full_line_are_equal(self) -> None:
        """With fixed times each CPU finds the same line before it: the median is the mean."""
        record = members("ticket", 16)
        median, mean = float(str(record["wait_p50"])), float(str(record["wait_mean"]))
        self.assertAlmostEqual(median / mean, 1, delta=0.05)
        self.assertLess(float(str(record["wait_p99"])) / median, 1.2)

    def test_percentiles_are_in_order(self) -> None:
        for record in fixed_sweep():
            self.assertLessEqual(record["wait_p50"], record["wait_p99"])
            self.assertLessEqual(float(str(record["wait_p99"])), 1.01 * float(str(record["wait_worst"])) + 1)


class TestQueueing(unittest.TestCase):
    """Exponential think times: what the chain says, with the costs of a lock from the fixed cells."""

    def check(self, words: str, percent: float) -> None:
        costs = lock_model.costs_of(
            cell for cell in lock_model.cells_of(fixed_sweep()) if cell.lock == "mcs")
        for cell in lock_model.cells_of(sweep(f"lock=mcs {words}", (4, 8, 16))):
            compared = lock_model.compare(cell, costs["mcs"])
            self.assertLess(abs(compared.percent), percent, lock_model.line_of(lock_model.row_of(compared)))

    def test_fixed_holds(self) -> None:
        self.check(f"hold={HOLD} think={THINK}:random", 5)

    def test_exponential_holds(self) -> None:
        self.check(f"hold={HOLD}:random think={THINK}:random", 7)


class TestModel(unittest.TestCase):
    """lock_model.py where the answer is known."""

    def test_one_cpu_never_waits(self) -> None:
        for model in (lock_model.fixed, lock_model.md, lock_model.mm):
            self.assertAlmostEqual(model(1, 200, 1800) * 2000, 1)

    def test_two_cpus(self) -> None:
        """Exponential: with r = h / t the lock is idle for 1 / (1 + 2 r + 2 r^2) of the time."""
        self.assertAlmostEqual(lock_model.mm(2, 1, 1), 1 - 1 / 5)
        self.assertAlmostEqual(lock_model.mm(2, 1, 2), 1 - 1 / 2.5)

    def test_saturated(self) -> None:
        for model in (lock_model.fixed, lock_model.md, lock_model.mm):
            self.assertAlmostEqual(model(40, 200, 1000) * 200, 1, delta=1e-6)

    def test_fixed_holds_wait_less_than_random_ones(self) -> None:
        for cpus in range(2, 20):
            best = lock_model.fixed(cpus, 200, 1800)
            self.assertLess(lock_model.mm(cpus, 200, 1800), lock_model.md(cpus, 200, 1800))
            self.assertLess(lock_model.md(cpus, 200, 1800), best)


class TestVirtualTime(unittest.TestCase):
    def test_harts_that_share_nothing_take_as_long_as_alone(self) -> None:
        cpus = (1, 2, 3, 4, 7, 8, 16, 32, 64)
        words = "time=virtual turn=25 run=bench workload=repeat ops=1 rounds=1 cpus="
        found = benches(boot(words + ",".join(map(str, cpus)), 64))
        self.assertEqual([record["cpus"] for record in found], list(cpus))
        for record in found:
            self.assertLessEqual(record["cores_percent"], 102)
            self.assertTrue(record["valid"])

    def test_harts_that_are_not_used_take_no_turns(self) -> None:
        found, = benches(boot("time=virtual run=bench workload=repeat ops=1 rounds=1 cpus=8", 16))
        self.assertLessEqual(found["cores_percent"], 102)

    def test_a_busy_host_changes_no_byte(self) -> None:
        words = f"{LOCK} rounds=1 lock=fas,mcs cpus=1,4 think=600:random seed=7"
        alone = boot(words, 4)
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
        try:
            beside = boot(words, 4)
        finally:
            for process in busy:
                process.kill()
                process.wait()
        self.assertIn(b'"record":"bench"', alone)
        self.assertEqual(alone, beside)

    def test_another_seed_is_another_schedule(self) -> None:
        words = f"{LOCK} rounds=1 lock=fas cpus=4 think=600:random seed="
        self.assertNotEqual(benches(boot(words + "7", 4)), benches(boot(words + "8", 4)))


if __name__ == "__main__":
    unittest.main()
