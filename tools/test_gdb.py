# SPDX-License-Identifier: BSD-2-Clause
"""Tests of tools/gdb: what gdb says of a stopped kernel is what the kernel prints of itself then.

Each test boots a kernel that makes one mistake on purpose (crash=), under the launcher, with the command that
the launcher prints for the user. Breakpoints and places are named, never numbered.
"""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import unittest
from dataclasses import dataclass
from pathlib import Path

from test_tools import InTemporaryFolder

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parent
KERNEL = ROOT / "build" / "hartframe.elf"
TIMEOUT_SECONDS = 300  # only a hang takes so long
AT_PANIC = ("hf-panic", "continue")
TO_THE_END = ("delete", "continue")  # the kernel prints its panic and ends the machine


@dataclass(frozen=True)
class Session:
    gdb: str
    console: str

    def found(self, pattern: str) -> re.Match[str]:
        """In what the kernel printed."""
        match = re.search(pattern, self.console)
        assert match, f"{pattern} is not in\n{self.console}"
        return match


class TestGdb(InTemporaryFolder):
    def session(self, bootargs: str, *commands: str, smp: str = "4") -> Session:
        launcher = subprocess.Popen(
            [sys.executable, str(TOOLS / "launch.py"), "--kernel", str(KERNEL), "--mem", "32M", "--smp", smp, "--gdb", "--timeout",
             str(TIMEOUT_SECONDS), "--log", str(self.folder / "log"), "--bootargs", bootargs],
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        try:
            assert launcher.stderr
            while "QEMU waits for: " not in (line := launcher.stderr.readline()):
                assert line, "the launcher has ended"
            program, *arguments = shlex.split(line.split("QEMU waits for: ")[1])
            run = subprocess.run(
                [program, "-batch", "-nx", *arguments[:-1], *(word for c in commands for word in ("-ex", c)), arguments[-1]],
                cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_SECONDS,
            )
            if commands[-1] != "continue":
                launcher.send_signal(signal.SIGTERM)
            return Session(run.stdout + run.stderr, launcher.communicate(timeout=TIMEOUT_SECONDS)[0])
        finally:
            if launcher.poll() is None:
                launcher.terminate()
                launcher.communicate()

    def check(self, session: Session, *lines: str) -> None:
        for line in lines:
            self.assertIn(line, session.gdb)

    def test_a_frame_that_is_freed_twice(self) -> None:
        session = self.session("crash=frame-twice framedebug=owners", *AT_PANIC, "frame function free_twice", "print frame",
                               "hf-frame frame", "hf-frame frame.value << 12", "hf-zones", "hf-cpus", *TO_THE_END)
        frame, freed, allocated = session.found(
            r"frame_free: frame (0x\w+) is freed twice: .*; freed by cpu 3 at \[<0x\w+>\] (.*), \d+ ticks ago, "
            r"allocated before that at \[<0x\w+>\] (.*)").groups()
        zones = re.findall(r"^  (zone\d: .*\)), low mark", session.console, re.M)
        zone = next(z for z in zones if int(re.findall(r"0x\w+", z)[1], 16) > int(frame, 16) >= int(re.findall(r"0x\w+", z)[0], 16))
        name = zone.partition(":")[0]
        self.check(session, "hf-panic: frame_free: frame %#llx is freed twice", f"$1 = frame {frame} of {name}\n", *zones)
        said = (f"frame {frame}, address {frame}000, of {name}: free; in {name}\nfreed by cpu 3 at {freed}\n"
                f"allocated before that at {allocated}\n")
        self.assertEqual(session.gdb.count(said), 2, session.gdb)  # by number, and by address
        for cpu, hart in re.findall(r"cpu (\d) \(hart (\d)\)", session.console):
            self.check(session, f"cpu {cpu}: hart {hart}, thread {int(hart) + 1}, at ")
        self.assertRegex(session.gdb, r"cpu 3: .* at port_panic\+0x\w+ \(arch/riscv/port.c:\d+\), 0 frames cached")

    def test_a_frame_in_a_cache(self) -> None:
        session = self.session("crash=frame-twice", *AT_PANIC, "frame function free_twice", "hf-frame frame", "hf-cache 3",
                               "hf-cache 4", *TO_THE_END)
        frame = session.found(r"frame_free: frame (0x\w+) is freed twice").group(1)
        most = session.found(r"caches: at most (\d+) frames a cpu").group(1)
        self.assertRegex(session.gdb, rf"frame {frame}, address {frame}000, of zone\d: free; in the cache of cpu 3\n")
        self.assertRegex(session.gdb, rf"cache of cpu 3: open, \d+ frames, at most {most}; .*\n  next: {frame} ")
        self.check(session, "there is no cpu 4")

    def test_a_frame_in_transit(self) -> None:
        session = self.session("run=stress workload=bulk ops=100", "tbreak zone_release_masked", "continue",
                               "hf-frame words[0].first + 63", "hf-cpus", smp="1")
        self.assertRegex(session.gdb, r"frame 0x\w+, .*: free; in transit: cpu 0 moves it between its cache and a zone\n")
        self.assertRegex(session.gdb, r"cpu 0: .* at zone_release_masked\+0x")

    def test_an_allocated_run_and_reserved_frames(self) -> None:
        session = self.session("crash=frame-leak framedebug=owners", "tbreak leak_frames", "continue", "tbreak frame_alloc_run",
                               "continue", "finish", "hf-frame $.value", "hf-frame $.value + 1", "hf-frame zones.zone[0].first",
                               "hf-frame 5")
        self.assertRegex(session.gdb, r"frame (0x\w+), .*: allocated, the first of a run; with its owner\n"
                         r"allocated by cpu 3 at leak_frames\+0x\w+ \(tests/smp/crash.c:\d+\)\n")
        self.assertRegex(session.gdb, r"frame (0x\w+), .*: allocated, of a run; with its owner\nallocated by cpu 3 at leak_frames")
        self.assertRegex(session.gdb, r"of zone0: reserved: the zone's own memory\n")
        self.check(session, "frame 0x5 is in no zone\n")

    def test_a_block_of_the_heap(self) -> None:
        session = self.session("crash=heap-behind", "tbreak free_block", "continue", "set $block = $a0", "hf-heap $block",
                               "hf-heap $block + 9", "finish", "hf-heap $block", "hf-heap &kheap.lock", "hf-heap")
        block = re.search(r"block (0x\w+) of 64 bytes: allocated; class 4, the slab at 0x\w+ with \d+ free blocks", session.gdb)
        assert block, session.gdb
        self.check(session, f"block {block[1]} of 64 bytes, offset 9: allocated; class 4",
                   f"block {block[1]} of 64 bytes: free, on the stack of cpu 3; class 4", "boot with heapdebug=owners",
                   "is in no block of the heap\n", "say which address")

    def test_owners_of_a_block(self) -> None:
        session = self.session("crash=heap-twice heapdebug=owners", *AT_PANIC, "frame function free_block_twice",
                               "hf-heap block", *TO_THE_END)
        block, allocated, freed = session.found(
            r"kfree: (0x\w+) is freed twice: .*; allocated by cpu 3 at \[<0x\w+>\] (.*) \d+ us ago, "
            r"freed by cpu 3 at \[<0x\w+>\] (.*) \d+ us ago,").groups()
        self.check(session, f"block {block} of 64 bytes, as asked for: freed\nallocated by cpu 3 at {allocated}\n"
                   f"freed by cpu 3 at {freed}\n")

    def test_blocks_of_frames_and_of_arenas(self) -> None:
        # One CPU: no other one stops at a breakpoint before `finish` has ended.
        session = self.session("run=selftest", "tbreak kheap_buddy_alloc", "continue", "finish",
                               "hf-heap $", "print $", "tbreak kheap_run_alloc", "continue", "finish", "set $run = $",
                               "hf-heap $run", "hf-heap $run + 4097", smp="1")
        self.assertRegex(session.gdb, r"block (0x\w+) of (\d+) bytes: allocated; \d+ whole frames\n")
        self.assertRegex(session.gdb, r"block (0x\w+) of (\d+) bytes, offset 4097: allocated; \d+ whole frames\n")
        block = re.search(r"block (0x\w+) of \d+ bytes: allocated; the arena of \d+ bytes at 0x\w+\n", session.gdb)
        assert block, session.gdb
        self.check(session, f"(void *) {block[1]}\n")

    def test_a_deadlock(self) -> None:
        session = self.session("crash=deadlock stuck=1", *AT_PANIC, "hf-locks", "hf-cpus", "print kheap.lock", *TO_THE_END)
        links = re.findall(r"^cpu (\d) waits for (\w+) \(\d+\.\d ms, at \[<0x\w+>\] ([^:]*:\d+\))\) held by cpu (\d) "
                           r"\(at \[<0x\w+>\] ([^:]*:\d+\))\)", session.console, re.M)
        self.assertEqual({link[1] for link in links}, {"heap", "zone0"}, session.console)
        for cpu, lock, site, holder, held in links:
            said = f"{lock} (fas): held by cpu {holder}, since {held}\n  cpu {cpu} waits for it at {site}\n"
            self.check(session, said, f", waits for {lock}, ")
            if lock == "heap":
                self.check(session, f"$1 = {said}")
        self.assertIn("deadlock: cpu 2 -> heap -> cpu 3", session.console)
        self.check(session, "zone1 (fas): no holder is known\n")

    def test_a_trap_and_addresses(self) -> None:
        session = self.session("crash=null-read", *AT_PANIC, "print (phys_t){4096}", "print (virt_t){4097}", "print (pfn_t){-1}",
                               "print (enum frame_state)0x41", *TO_THE_END)
        place = session.found(r"at pc \[<0x\w+>\] (read_null.*); the address is").group(1)
        self.check(session, f"hf-panic: load page fault, address 0x8, at {place}\n", "$4 = allocated, of a run\n",
                   "= phys 0x1000\n", "= virt 0x1001\n", "= no frame\n")


if __name__ == "__main__":
    unittest.main()
