#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of lines.py: its tables on made-up records, and what lines cost real boots.

The model itself is tested in tests/host/test_lines.c.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import launch
import lines

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent
KERNEL = ROOT / "build" / "hartframe.elf"
QEMU = os.environ.get("QEMU") or "qemu-system-riscv64"
CAN_BOOT = KERNEL.is_file() and launch.PLUGIN.is_file() and shutil.which(QEMU) is not None
SWEEP = "time=virtual turn=100 run=bench lock=mcs cache=0,1088 workload=repeat,bulk,rand cpus=4 rounds=1"

# Memory that each cpu has for itself, by the names of tests/smp/cell_lines.c.
PRIVATE = ("cpu*.cache", "cpu*.cache.stack", "cpu*.cache.remote", "cpu*.cache.work", "results")
# Misses of false sharing in 1,000 operations: the leaves of the tree, of which eight words share a line.
FALSE_MOST = 10


def counts(misses: int, false: int = 0, upgrades: int = 0) -> lines.Record:
    return {"misses": misses, "false": false, "upgrades": upgrades}


def run_of(cell: int, operations: int, misses: int, false: int, upgrades: int) -> lines.Record:
    return {"record": "lines", "cell": cell, "cpus": 2, "operations": operations, "line": 0,
            "accesses": 1000, "cold": 3, "time": 5 * operations, **counts(misses, false, upgrades)}


MADE_UP: list[lines.Record] = [
    run_of(7, 100, 10, 1, 2),
    {"record": "lines_site", "cell": 7, "range": "cpu0.stack", "pc": 1, "function": "f (f.c:1)",
     **counts(4, 1, 1)},
    {"record": "lines_site", "cell": 7, "range": "cpu1.stack", "pc": 2, "function": "g (f.c:2)",
     **counts(6, 0, 1)},
    {"record": "line", "cell": 7, "address": 64, "range": "zone1", "offset": 0, "cpus": 2,
     "name": "zone1.first", "places": [{"pc": 1, "function": "f (f.c:1)", **counts(4, 1, 1)}],
     **counts(4, 1, 1)},
    run_of(7, 300, 42, 1, 2),
    run_of(8, 50, 0, 0, 0),
    {"record": "bench", "cell": 7, "workload": "bulk", "lock": "mcs", "cache": 0, "cpus": 2},
]


class TestTables(unittest.TestCase):
    def test_the_runs_of_a_cell_are_one_cell(self) -> None:
        cell, other = lines.cells_of(MADE_UP)
        self.assertEqual((cell.number, other.number), (7, 8))
        self.assertEqual((cell.operations, cell.counts.misses, cell.counts.upgrades), (400, 52, 4))
        self.assertEqual(cell.time(), 10)
        self.assertEqual(cell.settings["workload"], "bulk")
        self.assertEqual(other.settings, {"cpus": 2})
        # 12 of 100, and 44 of 300.
        self.assertAlmostEqual(cell.spread(), (44 / 300 - 12 / 100) * 100 / ((44 / 300 + 12 / 100) / 2))

    def test_cpus_are_one_row(self) -> None:
        cell = lines.cells_of(MADE_UP)[0]
        self.assertEqual(list(cell.ranges), ["cpu*.stack"])
        self.assertEqual(cell.ranges["cpu*.stack"].transfers, 12)
        self.assertEqual(cell.ranges["cpu*.stack"].hottest(), ["g (f.c:2)", "f (f.c:1)"])

    def test_members_of_a_line(self) -> None:
        places = [{"pc": 1, "function": "f", "name": "zone1.first", **counts(1)},
                  {"pc": 2, "function": "g", "name": "zone1.end", **counts(3, 0, 1)},
                  {"pc": 3, "function": "f", "name": "zone1.first", **counts(1, 1)}]
        line = {**MADE_UP[3], "places": places}
        met = lines.cells_of([line])[0].lines["zone1.first"]
        self.assertEqual(lines.most_first(met.members), ["zone1.end", "zone1.first"])
        self.assertEqual(met.members["zone1.first"], lines.Counts(2, 1, 0))

    def test_a_variable_has_the_names_of_its_members(self) -> None:
        names = lines.Names(Path("/nonexistent"))
        names.data = [(0x1000, 0x100, "kheap"), (0x2000, 0x100, "other")]
        addresses = (0x1000, 0x1048, 0x10c0, 0x2000, 0x2048, 0x3000)
        self.assertEqual([names.symbol(address) for address in addresses],
                         ["kheap", "kheap+0x48", "kheap+0xc0", "other", "other+0x48", "0x3000"])
        names.layouts = {"kheap": {"bytes": 0x100, "members": [[0, "lock.name"], [0x40, "lock.word"]]}}
        self.assertEqual([names.symbol(address) for address in addresses],
                         ["kheap.lock.name", "kheap.lock.word+0x8", "kheap.lock.word+0x80", "other",
                          "other+0x48", "0x3000"])

    def test_table(self) -> None:
        text = "\n".join(lines.tables(MADE_UP, None, 8))
        self.assertIn("workload=bulk lock=mcs cache=0 cpus=2: 0.1400 transfers an operation", text)
        self.assertIn("zone1.first", text)
        self.assertIn("g f.c:2, f f.c:1", text)
        self.assertNotIn("cell 8:", text)

    def test_no_records(self) -> None:
        self.assertIn("no cost of lines", "".join(lines.tables([], None, 8)))

    def test_innermost_function_that_says_something(self) -> None:
        frames = ["ck_pr_md_load_64", "ck_pr.h:1", "counter_read", "bits.h:1", "zone_claim", "zone.c:9"]
        self.assertEqual(lines.place_of(frames), "zone_claim (zone.c:9)")
        self.assertEqual(lines.place_of(frames[:2]), "ck_pr_md_load_64 (ck_pr.h:1)")


def boot(bootargs: str, *options: str, smp: str = "4") -> bytes:
    """The records of a sweep, as a file has them."""
    with tempfile.TemporaryDirectory() as folder:
        records = Path(folder) / "records"
        command = [sys.executable, str(TOOLS / "launch.py"), "--kernel", str(KERNEL), "--smp", smp,
                   "--bootargs", bootargs, "--lines", "--quiet", "--log", f"{folder}/log",
                   "--records", str(records), *options]
        subprocess.run(command, check=True, capture_output=True)
        return records.read_bytes()


@functools.lru_cache
def sweep() -> bytes:
    return boot(SWEEP)


def cell_of(records: bytes, workload: str, cache: int) -> lines.Cell:
    cells = lines.cells_of(lines.parse(records.decode()))
    return next(cell for cell in cells
                if (cell.settings["workload"], cell.settings["cache"]) == (workload, cache))


@unittest.skipUnless(CAN_BOOT, "needs the kernel, the plugin and QEMU")
class TestBoots(unittest.TestCase):
    def test_each_record_has_its_cell_and_the_verdict_is_last(self) -> None:
        records = lines.parse(sweep().decode())
        self.assertEqual(records[-1]["record"], "verdict")
        benches = {record["cell"]: record for record in records if record["record"] == "bench"}
        runs = {record["cell"]: record for record in records if record["record"] == "lines"}
        self.assertEqual(len(benches), 6)
        self.assertEqual(set(runs), set(benches))
        for number, run in runs.items():
            self.assertEqual(run["operations"], benches[number]["operations"])
            # The plugin's clock and the kernel's agree: an operation takes the same time.
            each = run["time"] * run["cpus"] / run["operations"]  # type: ignore[operator]
            self.assertAlmostEqual(each / benches[number]["ns_per_op"], 1, delta=0.01)  # type: ignore[operator]

    def test_what_was_counted_adds_up(self) -> None:
        for cell in lines.cells_of(lines.parse(sweep().decode())):
            for count in ("misses", "false", "upgrades"):
                self.assertEqual(sum(getattr(met, count) for met in cell.ranges.values()),
                                 getattr(cell.counts, count), f"{cell.title()} {count}")

    def test_repeat_with_caches_shares_nothing(self) -> None:
        """Beyond the first batch of each cpu, which costs the same however long the run is."""
        command = "time=virtual turn=100 run=bench lock=mcs cache=128 workload=repeat cpus=4 rounds=1 ops="
        short, long = (cell_of(boot(command + ops), "repeat", 128) for ops in ("500", "5000"))
        self.assertEqual(long.operations, 10 * short.operations)
        self.assertGreater(short.counts.transfers, 0)
        self.assertEqual(long.counts, short.counts)

    def test_without_caches_the_zone_is_what_is_shared(self) -> None:
        cell = cell_of(sweep(), "bulk", 0)
        self.assertGreater(cell.per_operation(cell.counts.transfers), 1)
        self.assertIn(lines.order(cell.lines)[0][0], ("zone1.lock.word", "zone1.free_frames"))
        functions = ",".join(cell.lines["zone1.lock.word"].functions)
        self.assertIn("ck_spinlock_mcs_", functions)

    def test_lines_of_the_heap_have_names(self) -> None:
        cell = cell_of(boot(SWEEP.replace("cache=0,1088 workload=repeat,bulk,rand", "cache=128 workload=kmalloc")),
                       "kmalloc", 128)
        self.assertIn("kheap.lock.word", cell.lines)
        self.assertIn("kheap.stats.live_blocks",
                      {name for met in cell.lines.values() for name in met.members})

    def test_each_cpus_own_memory_stays_with_it(self) -> None:
        for workload in ("repeat", "bulk", "rand"):
            cell = cell_of(sweep(), workload, 1088)
            for name in PRIVATE:
                self.assertEqual(cell.ranges[name].transfers if name in cell.ranges else 0, 0,
                                 f"{workload}: {name}")

    def test_almost_nothing_is_shared_falsely(self) -> None:
        for workload in ("repeat", "bulk", "rand"):
            cell = cell_of(sweep(), workload, 1088)
            for name, met in cell.ranges.items():
                self.assertLess(cell.per_operation(1000 * met.false), FALSE_MOST, f"{workload}: {name}")

    def test_a_bad_layout_is_named(self) -> None:
        """Concurrency Kit's lock of Anderson has eight slots of waiters in one line."""
        cell = cell_of(boot(SWEEP.replace("lock=mcs", "lock=anderson")
                            .replace("cache=0,1088 workload=repeat,bulk,rand", "cache=0 workload=bulk")), "bulk", 0)
        slots = cell.ranges["zone1.lock.slots"]
        self.assertGreater(cell.per_operation(slots.false), 0.5)
        self.assertEqual(slots.false, max(met.false for name, met in cell.ranges.items() if name != "zone1.state"))
        self.assertIn("ck_spinlock_anderson_lock", slots.hottest()[0])

    def test_the_same_command_gives_the_same_bytes(self) -> None:
        command = SWEEP.replace("repeat,bulk,rand", "bulk").replace("cache=0,1088", "cache=0")
        self.assertEqual(boot(command), boot(command))

    def test_a_line_that_costs_something_takes_time(self) -> None:
        command = "time=virtual turn=100 run=bench lock=mcs cache=0 workload=bulk cpus=2 rounds=1"
        free, dear = (lines.parse(boot(command, "--line", cost, smp="2").decode())
                      for cost in ("0", "40"))
        for records, cost in ((free, 0), (dear, 40)):
            run = next(record for record in records if record["record"] == "lines")
            self.assertEqual(run["line"], cost)
            for time, executed, transfers, stalled in zip(*(
                    run[f"cpu_{name}"] for name in ("time", "instructions", "transfers", "stalled"))):  # type: ignore[misc]
                # A line makes one transfer after the other, so one may take longer than its cost.
                self.assertGreaterEqual(stalled, cost * transfers)
                self.assertEqual(cost == 0, stalled == 0)
                # A turn ends at the end of a block: the clock may be off by some instructions.
                self.assertAlmostEqual(time, executed + stalled, delta=400)
        self.assertGreater(lines.cells_of(dear)[0].time(), 1.2 * lines.cells_of(free)[0].time())


class TestLaunch(unittest.TestCase):
    def test_only_in_virtual_time(self) -> None:
        if not KERNEL.is_file():
            self.skipTest("needs the kernel")
        with self.assertRaisesRegex(launch.CannotRun, "--lines is for time=virtual"):
            launch.check_files(launch.parse_arguments(["--kernel", str(KERNEL), "--lines"]))


if __name__ == "__main__":
    unittest.main()
