#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the kernel's monitor on a real terminal (a pty), and through a pipe.

Two boots: in one a user types, and then closes the terminal; the other reads all from a pipe. Line
editing, byte by byte, is tested in tests/host/test_line_edit.c.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

import pexpect

TOOLS = Path(__file__).resolve().parent
KERNEL = TOOLS.parent / "build" / "hartframe.elf"

# A bound that only a hang reaches.
TIMEOUT_SECONDS = 600

PROMPT = "hartframe> "
UP, LEFT, HOME = "\x1b[A", "\x1b[D", "\x1b[H"
CTRL_C, CTRL_U, TAB = "\x03", "\x15", "\t"

# More than a line, than the UART's buffer and than what is kept while a command runs. QEMU passes
# a byte at a time to this UART, so a megabyte would take minutes.
FLOOD = 6000
# Every byte but those that end a line or the run, and Escape, which needs another byte.
CONTROL = bytes(byte for byte in range(256) if byte not in b"\x03\x04\r\n\x1b")


class Booting(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.records = Path(folder.name) / "records"
        self.log = Path(folder.name) / "log"

    def command(self, bootargs: str) -> list[str]:
        return [str(TOOLS / "launch.py"), "--kernel", str(KERNEL), "--interactive", "--smp", "2",
                "--mem", "64M", f"--bootargs=run=monitor {bootargs}", "--timeout", str(TIMEOUT_SECONDS),
                "--log", str(self.log), "--records", str(self.records)]

    def last_record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads(self.records.read_text().splitlines()[-1])
        return record


class TestTerminal(Booting):
    child: Any

    def expect(self, *patterns: str) -> None:
        for pattern in patterns:
            self.child.expect(pattern)

    def ask(self, typed: str, *patterns: str) -> None:
        """A line, what it must print, and then the prompt."""
        self.child.send(typed + "\r")
        self.expect(*patterns, PROMPT)

    def test_session(self) -> None:
        self.child = pexpect.spawn(sys.executable, self.command("trace=on"), encoding="latin-1",
                                   timeout=TIMEOUT_SECONDS, dimensions=(24, 80))
        self.expect(re.escape("launch: Ctrl-] ends QEMU"), PROMPT)
        self.names()
        self.keys()
        self.looks()
        self.trace()
        self.interrupts()
        self.close_terminal()

    def names(self) -> None:
        self.ask("zon", "zone +node +policy +first frame", "early drains")
        self.ask("zonse", 'no command "zonse"; did you mean zones\\?')
        self.ask("l", '"l" could be ledger, leaks, locks, load')
        self.ask("help wat", "usage: watch SECONDS COMMAND", "until Ctrl-C or a key")
        self.ask("help", "run +WORKLOAD \\[KEY=VALUE\\]\\.\\.\\.", "quit +")
        self.ask("free x", 'free: "x": not a number; usage: free FRAMES')

    def keys(self) -> None:
        self.ask("ledgr" + LEFT + "e", "total \\d+ = reserved")
        self.ask("zones" + CTRL_U + "edger" + HOME + "l", "total \\d+ = reserved")
        self.ask(UP, "ledger", "total \\d+ = reserved")
        self.ask("led" + TAB, "ledger ", "total \\d+ = reserved")
        self.child.send("run c" + TAB)
        self.expect("churn +cache_thrash", PROMPT + "run c")
        self.child.send(CTRL_C)
        self.expect("\\^C", PROMPT)

    def looks(self) -> None:
        self.ask("map zone1", "zone1, \\d+ frames; a character is", "0x[0-9a-f]+ =", "R H: half or more")
        self.ask("map zone9", 'there is no zone "zone9"')
        self.ask("cpus", "cpu +hart +node +state", "1 +\\d+ +0 runs")
        self.ask("run kmalloc ops=200 seed=7", "kmalloc, 2 cpus: heap blocks", "operations +us +ops/s")
        self.ask("heap", "0 live blocks of 0 bytes", "class +slabs")
        self.ask("caches", "state +frames +at most +batch", "1 +open")
        self.ask("locks", "lock +kind +acquisitions", "zone1 +fas", "heap +fas")
        self.ask("blame", "which cpu waited for which|no cpu has waited")
        self.ask("leaks", "heapdebug= is off")
        self.ask("run bulk ops=600 lock=mcs policy=bitmap cpus=1", "bulk, 1 cpus: 4096 frames")
        self.ask("locks", "zone1 +mcs")
        self.ask("zones", "bitmap")
        self.ask("run bluk", 'bootargs: "workload=bluk": no such value')
        self.ask("run bulk,rand", "one workload at a time")
        self.ask("alloc 3", "3 frames more, 3 held")
        self.ask("run bulk lock=fas", "3 frames and 0 blocks of the heap are in use")
        self.ask("free 3", "3 frames given back, 0 held")

    def trace(self) -> None:
        self.ask("trace off", "cpus do not note events")
        self.ask("trace 1", "trace of cpu 1, (\\d+) events")
        events = self.child.match[0]
        self.ask("run bulk ops=20000", "4096 frames", "operations")
        self.ask("trace 1", "trace of cpu 1, (\\d+) events")
        self.assertEqual(self.child.match[0], events)
        self.ask("trace on", "cpus note events")
        self.ask("stop 1", "cpu 1: done")
        self.ask("trace on", "cpu 1 is stopped: trace on is on all of them")
        self.ask("start 1", "cpu 1: done")

    def interrupts(self) -> None:
        """Ctrl-C ends what runs, and no more; what is typed meanwhile is the next line."""
        for workload in ("repeat", "bulk", "xfree", "churn"):
            self.child.send(f"run {workload} ops=1000M\r")
            self.expect(f"{workload}, 2 cpus: ")
            self.child.send(CTRL_C)
            self.expect("operations", "\\^C", PROMPT)
        self.child.send("load 1000\r")
        self.expect("total")
        self.child.send(CTRL_C)
        self.expect("\\^C", PROMPT)
        self.child.send("watch 1 ledger\r")
        self.expect("number 2;", "total")
        self.child.send(CTRL_C)
        self.expect("\\^C", PROMPT)
        self.child.send("watch 1 ledger\r")
        self.expect("number 1;", "total")
        self.child.send("validate\r")
        self.expect(PROMPT + "validate", "zones, caches and heap are whole", PROMPT)

    def close_terminal(self) -> None:
        """The run ends in good order, though a command runs."""
        self.child.send("run repeat ops=1000M\r")
        self.expect("repeat, 2 cpus: ")
        self.child.ptyproc.fileobj.close()  # which hangs the terminal up
        self.child.ptyproc.wait()
        self.assertEqual(self.child.ptyproc.exitstatus, 0)
        verdict = self.last_record()
        self.assertEqual((verdict["record"], verdict["result"]), ("verdict", "pass"))
        self.assertEqual(verdict["tests_failed"], 0)


class TestPipe(Booting):
    def test_flood_and_end(self) -> None:
        """A line that is too long, bytes of all kinds, and the end of input in the middle of a line."""
        typed = b"zones " * (FLOOD // 6) + b"\n" + CONTROL + b"\n\x1b[1\nbogus\x1b[\r\nledger"
        run = subprocess.run(
            [sys.executable, *self.command("framedebug=owners")], input=typed, capture_output=True,
            timeout=TIMEOUT_SECONDS, check=False,
        )
        output = run.stdout.decode("latin-1")
        self.assertEqual(run.returncode, 0, output[-2000:])
        self.assertIn(f"too long by {FLOOD - 255} characters, at most 255; nothing was done", output)
        self.assertIn('no command "bogus"; help lists them', output)
        self.assertRegex(output, r"hartframe> ledger\r?\ntotal \d+ = reserved")
        # The names of addresses, though bytes are shown as they come.
        self.assertRegex(output, r"at \[<0x[0-9a-f]+>\] .*page_table_create\+0x")
        self.assertEqual(self.last_record()["result"], "pass")


if __name__ == "__main__":
    unittest.main()
