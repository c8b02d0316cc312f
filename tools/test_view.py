#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of what the launcher shows: on a terminal (a pty of 80 columns), in a pipe, and at the end."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import unittest
from pathlib import Path

import launch
from launcher import summary
from launcher.progress import Progress

TOOLS = Path(__file__).resolve().parent
KERNEL = launch.ROOT / "build" / "hartframe.elf"
CAN_BOOT = KERNEL.is_file() and launch.PLUGIN.is_file() and shutil.which("qemu-system-riscv64") is not None
COLUMNS = 80
ESCAPES = re.compile(r"\x1b\[[0-9;]*[mK]")

STRESS = ("--smp", "1", "--bootargs", "run=selftest,stress ops=100 workload=bulk,kmalloc,churn")
SWEEP = ("--smp", "4", "--bootargs",
         "time=virtual run=bench workload=bulk lock=fas,mcs policy=all cache=0,128 cpus=1,4 rounds=1 ops=32")
CRASH = ("--smp", "2", "--bootargs", "crash=null-read")


def on_a_terminal(command: list[str], **environment: str) -> str:
    pid, descriptor = pty.fork()
    if pid == 0:
        os.environ.pop("NO_COLOR", None)
        os.environ.update({"TERM": "xterm", **environment})
        os.execvp(command[0], command)
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    shown = b""
    with contextlib.suppress(OSError):  # the end of a pty
        while data := os.read(descriptor, 65536):
            shown += data
    os.close(descriptor)
    os.waitpid(pid, 0)
    return shown.decode("utf-8", "replace").replace("\r\n", "\n")


def lines_of(shown: str) -> list[str]:
    """What stays on the terminal, without colours: a line of progress is written over."""
    return [ESCAPES.sub("", line.rsplit("\r", 1)[-1]) for line in shown.split("\n")]


class InFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log, self.records = Path(folder.name) / "log", Path(folder.name) / "records"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(TOOLS / "launch.py"), "--kernel", str(KERNEL), "--log", str(self.log),
                "--records", str(self.records), "--timeout", "600", "--summary", *arguments]

    def piped(self, *arguments: str) -> str:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False).stdout


@unittest.skipUnless(CAN_BOOT, "no kernel, or no QEMU")
class TestTerminal(InFolder):
    def test_no_line_is_wider_and_no_record_is_shown(self) -> None:
        for run in (STRESS, SWEEP, CRASH):
            shown = on_a_terminal(self.command(*run))
            for line in lines_of(shown):
                self.assertLessEqual(len(line), COLUMNS, line)
            self.assertNotIn('{"record"', shown)
            self.assertIn("\x1b[K", shown)  # progress
            self.assertIn("\x1b[1m", shown)  # colours
            if run is not CRASH:  # the kernel's own tables fit, not only folded lines
                wide = [line for line in self.log.read_text(errors="replace").splitlines()
                        if len(line) > COLUMNS and not line.startswith("{")]
                self.assertEqual(wide, [])

    def test_each_test_is_shown_once(self) -> None:
        shown = lines_of(on_a_terminal(self.command(*STRESS)))
        names = [record["name"] for record in map(json.loads, self.records.read_text().splitlines())
                 if record["record"] == "test"]
        self.assertTrue(names)
        for name in names:
            self.assertEqual(sum(name[:60] in line for line in shown), 1, name)

    def test_no_colour_if_it_is_not_wanted(self) -> None:
        for shown in (on_a_terminal(self.command(*CRASH), NO_COLOR="1"),
                      on_a_terminal(self.command(*CRASH, "--color", "0"))):
            self.assertNotRegex(shown, r"\x1b\[[0-9;]*m")
        self.assertNotIn("\x1b", on_a_terminal(self.command(*CRASH), TERM="dumb"))


@unittest.skipUnless(CAN_BOOT, "no kernel, or no QEMU")
class TestPipe(InFolder):
    def test_no_progress_no_colour_no_records(self) -> None:
        shown = self.piped(*SWEEP)
        self.assertNotIn("\x1b", shown)
        self.assertNotIn("\r", shown)
        self.assertNotIn('{"record"', shown)
        self.assertIn("cpus policy", shown)

    def test_all_records_if_they_are_wanted(self) -> None:
        shown = [line for line in self.piped(*SWEEP, "--json").splitlines() if line.startswith("{")]
        self.assertEqual(shown, self.records.read_text().splitlines())


@unittest.skipUnless(CAN_BOOT, "no kernel, or no QEMU")
class TestSummary(InFolder):
    def end(self, *run: str) -> list[str]:
        lines = self.piped(*run).splitlines()
        begin = max(i for i, line in enumerate(lines) if line.startswith(("PASS: ", "FAIL: ")))
        self.assertLessEqual(len(lines) - begin, summary.LINES_MOST)
        return lines[begin:]

    def test_figures_are_those_of_the_records(self) -> None:
        end = "\n".join(self.end(*SWEEP))
        cells = [record for record in map(json.loads, self.records.read_text().splitlines())
                 if record.get("bench") == "sweep" and record["workload"] == "bulk"]
        self.assertIn("policy: 5 compared, lock: 2 compared", end)
        rates = {(c["policy"], c["lock"], c["cache"], c["cpus"]): c["cpus"] / c["ns_per_op"] for c in cells}
        ups = [rates[(p, l, k, 4)] / rates[(p, l, k, 1)] for p, l, k, n in rates if n == 1 and k == 0]
        self.assertIn(f"{min(ups):.1f} to {max(ups):.1f} times without", end)

    def test_a_failure_says_what_where_and_how_to_repeat_it(self) -> None:
        end = "\n".join(self.end(*CRASH))
        self.assertIn("FAIL: panic on cpu 1: the cpu read address 0x8, which is not mapped", end)
        self.assertRegex(end, r"where +\S*crash\.c:\d+")
        self.assertIn("make run SMP=2 MEM=128M BOOTARGS='crash=null-read seed=1'", end)

    def test_boots_before_are_in_it_and_come_without_one(self) -> None:
        self.assertNotIn("  next ", self.piped(*STRESS, "--more"))
        first = self.records.rename(self.records.with_suffix(".first"))
        self.assertIn(" in 2 boots", self.end(*SWEEP, "--after", str(first))[0])


class TestProgress(unittest.TestCase):
    def test_time_that_is_left(self) -> None:
        progress = Progress("stress", "bulk", done=5, of=20, began=100.0, told=110.0)
        self.assertEqual(progress.seconds_left(now=112.0), 28.0)
        line = progress.text(60, now=112.0)
        self.assertIn("5 of 20", line)
        self.assertTrue(line.endswith("about 28 s left"))
        self.assertLessEqual(len(progress.text(40, now=112.0)), 40)


if __name__ == "__main__":
    unittest.main()
