#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the launcher with QEMU beside it: what is typed, gdb's port, how QEMU ends with the launcher,
machines that do not power off, what a time-out says.

QEMU's stand-in is a shell script; TestBoots runs the real one where it is there.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import termios
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import launch
from check import cases
from launcher import harts, process, timeout
from launcher.symbols import read_symbols
from test_launch_run import PATIENCE_SECONDS, InLogs
from test_tools import FAIL, PASS, TOOLS, InTemporaryFolder, Launching, is_alive

KERNEL = TOOLS.parent / "build" / "hartframe.elf"
CAN_BOOT = KERNEL.is_file() and shutil.which("qemu-system-riscv64") is not None
LINE = re.compile(rb"launch: QEMU waits for: gdb-multiarch .*'target remote localhost:(\d+)'")


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise AssertionError("it has not come")
        time.sleep(0.02)


class TestTyped(InLogs):
    def typed(self, text: bytes) -> Path:
        path = self.folder / "typed"
        path.write_bytes(text)
        return path

    def test_nothing_comes_before_the_prompt(self) -> None:
        qemu = ("""python3 -c 'import select; print("early", select.select([0], [], [], 0.7)[0])';"""
                "printf 'hartframe> '; read line; echo \"heard $line\";" + PASS)
        run = self.launch(qemu, "--typed", str(self.typed(b"stop 1\n")))
        self.assertIn("early []", run.stdout)
        self.assertIn("heard stop 1", run.stdout)

    def test_no_byte_is_lost_and_the_end_quits(self) -> None:
        data = b"0123456789abcde\n" * 20000 + b"no end"
        qemu = f"printf 'hartframe> '; head -c {len(data) + 2} > {self.folder}/heard; echo;" + PASS
        self.assertEqual(self.launch(qemu, "--typed", str(self.typed(data))).returncode, 0)
        self.assertEqual((self.folder / "heard").read_bytes(), data + b"\r\x04")

    def test_a_pipe(self) -> None:
        qemu = "printf 'hartframe> '; echo \"heard $(head -c 8 | od -An -c)\";" + PASS
        run = subprocess.run(self.command("--interactive"), env=self.environment(qemu), input=b"ledger\n",
                             capture_output=True, timeout=PATIENCE_SECONDS)
        self.assertRegex(run.stdout, rb"heard +l +e +d +g +e +r\s+004")

    def test_qemu_that_ends_without_reading(self) -> None:
        qemu = "printf 'hartframe> '; sleep 0.3; echo;" + PASS
        run = self.launch(qemu, "--typed", str(self.typed(b"x" * 1000000)))
        self.assertEqual(run.returncode, 0, run.stderr)


class TestGdb(InLogs):
    def port(self, run: subprocess.CompletedProcess[str]) -> int:
        line = next(line for line in run.stderr.splitlines() if "target remote" in line)
        return int(line.partition("localhost:")[2].partition("'")[0])

    def test_a_free_port(self) -> None:
        self.assertNotEqual(self.port(self.launch(PASS, "--gdb")), 1234)

    def test_a_port_that_is_given(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            run = self.launch(PASS, "--gdb", "--gdb-port", str(port))
            self.assertEqual(run.returncode, 2)
            self.assertIn(f"gdb's port {port}: Address already in use; without GDB_PORT=", run.stderr)
        run = self.launch(PASS, "--gdb", "--gdb-port", str(port))
        self.assertEqual((run.returncode, self.port(run)), (0, port))


def own_terminal() -> None:
    """The terminal is the process's own, and its end a signal, also where the tests run under nohup."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class TestEndsWithTheLauncher(InLogs):
    def started(self, qemu: str, *arguments: str, **options: object) -> tuple[subprocess.Popen[bytes], int]:
        """The launcher, and the process of QEMU's stand-in."""
        pid = self.folder / "pid"
        script = f"echo $$ > {pid}.new; mv {pid}.new {pid}; {qemu}"
        started = subprocess.Popen(self.command(*arguments), env=self.environment(script), **options)  # type: ignore[call-overload]
        wait_for(pid.exists)
        return started, int(pid.read_text())

    @unittest.skipUnless(shutil.which("setpriv"), "no setpriv")
    def test_killed(self) -> None:
        started, qemu = self.started("exec sleep 600")
        started.kill()
        started.wait()
        wait_for(lambda: not is_alive(qemu))

    def test_killed_before_the_request(self) -> None:
        """The parent is not the launcher: the command must not run."""
        for parent, output in ((os.getpid(), "ran\n"), (1, "")):
            run = subprocess.run(["sh", "-c", process.IF_THE_PARENT_LIVES, str(parent), "echo", "ran"],
                                 capture_output=True, text=True)
            self.assertEqual(run.stdout, output)

    def test_hung_up(self) -> None:
        started, qemu = self.started("exec sleep 600", stderr=subprocess.DEVNULL,
                                     preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL))
        started.send_signal(signal.SIGHUP)
        self.assertEqual(started.wait(PATIENCE_SECONDS), 128 + signal.SIGHUP)
        self.assertFalse(is_alive(qemu))

    def test_nohup(self) -> None:
        go = self.folder / "go"
        started, _ = self.started(f"while ! [ -e {go} ]; do sleep 0.05; done;" + PASS, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL,
                                  preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        started.send_signal(signal.SIGHUP)
        go.touch()
        self.assertEqual(started.wait(PATIENCE_SECONDS), 0)

    def close_the_terminal(self, *arguments: str) -> None:
        try:
            ours, theirs = pty.openpty()
        except OSError as error:  # a container without devpts
            self.skipTest(f"no terminal to be had: {error}")
        errors = (self.folder / "errors").open("wb")
        with errors:
            started, qemu = self.started(
                "while :; do echo again; sleep 0.05; done", *arguments, stdin=theirs, stdout=theirs, stderr=errors,
                start_new_session=True, preexec_fn=own_terminal)
        os.close(theirs)
        os.read(ours, 1)
        os.close(ours)
        status = started.wait(PATIENCE_SECONDS)
        self.assertEqual(status, 128 + signal.SIGHUP, (self.folder / "errors").read_text())
        self.assertFalse(is_alive(qemu))

    def test_the_terminal_closes(self) -> None:
        self.close_the_terminal()

    def test_the_terminal_of_a_prompt_closes(self) -> None:
        self.close_the_terminal("--interactive")

    def test_streams_that_are_closed(self) -> None:
        for streams in (">&-", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full", ">/dev/full 2>/dev/full"):
            for script, status in ((PASS, 0), (FAIL + "; exit 1", 1)):
                run = subprocess.run(["sh", "-c", f'"$@" {streams}', "sh", *self.command()],
                                     env=self.environment(script), capture_output=True, timeout=PATIENCE_SECONDS)
                self.assertEqual(run.returncode, status, (streams, run.stderr))
                self.assertNotIn(b"Traceback", run.stderr)
        self.assertIn("verdict", (self.logs / "latest" / "run.jsonl").read_text())


HALTED = "; echo 'halted: nothing can power this machine off'; exec sleep 600"


class TestMachinesThatDoNotPowerOff(Launching):
    def test_the_verdict_decides(self) -> None:
        self.check(PASS + HALTED, 0, "launch: pass")
        self.check(FAIL + HALTED, 1, "verdict fail: stress, zone")
        self.check(FAIL + HALTED, 0, "as expected: verdict fail", "--expect", "fail")
        self.check(FAIL + HALTED, 1, "expected fail-untold", "--expect", "fail-untold")

    def test_without_a_verdict(self) -> None:
        self.check("echo hello" + HALTED, 1, "the machine halted without a verdict")

    def test_firmware_that_only_says_it_can(self) -> None:
        other = ("--qemu-arg=-machine", "--qemu-arg=spike", "--timeout", "30")
        self.check(PASS + "; exec sleep 600", 0, "launch: pass", *other)
        self.check(FAIL + "; exec sleep 600", 1, "verdict fail", *other)

    def test_virt_can(self) -> None:
        self.check(PASS + "; exec sleep 600", 124, "after the verdict, QEMU did not end", "--timeout", "4",
                   "--qemu-arg=-machine", "--qemu-arg=aia=aplic")


class TestTimeOut(Launching):
    def options(self, *words: str) -> list[str]:
        with mock.patch("os.sched_getaffinity", return_value={0, 1}):
            options = launch.parse_arguments(["--kernel", str(self.kernel), *words])
            return timeout.details(options, [], launch.Symbols(self.kernel))

    def test_names_the_option(self) -> None:
        self.check("echo stuck; exec sleep 600", 124, "TIMEOUT=8 (--timeout 8) in place of 2", "--timeout", "2")

    def test_locks_that_wait_for_one_hart(self) -> None:
        said = " ".join(self.options("--smp=8", "--bootargs=lock=mcs"))
        self.assertIn("likely: lock=mcs hands the lock to one waiter, and 8 harts share 2 processors", said)
        self.assertIn("VTIME=1 (the boot argument time=virtual), at most SMP=2, or lock=fas", said)
        self.assertIn("lock=mcs,ticket hands", " ".join(self.options("--bootargs=lock=fas,mcs,ticket")))
        self.assertIn("likely: lock=all", " ".join(self.options("--smp=3", "--bootargs=lock=all")))

    def test_where_that_is_not_the_cause(self) -> None:
        for words in (("--smp=8",), ("--smp=2", "--bootargs=lock=mcs"), ("--smp=8", "--bootargs=lock=cas"),
                      ("--smp=8", "--bootargs=lock=mcs cpus=1,2"), ("--bootargs=lock=mcs time=virtual",),
                      ("--bootargs=lock=mcs", "--icount=shift=0")):
            self.assertEqual(len(self.options(*words)), 1, words)

    def test_no_command_of_the_documents_waits_for_one_hart(self) -> None:
        """On a host with two processors. A command with TIMEOUT= may take its time."""
        documents = [TOOLS.parent / "README.md", TOOLS.parent / "CONTRIBUTING.md", *(TOOLS.parent / "docs").glob("*.md")]
        commands = [(path.name, line.strip()) for path in documents for line in path.read_text().splitlines()
                    if re.match(r"\s+make run\b", line)]
        self.assertGreater(len(commands), 10)
        for name, command in commands:
            words = dict(word.partition("=")[::2] for word in shlex.split(command, comments=True) if "=" in word)
            virtual = "time=virtual " if words.get("VTIME") else ""
            if "TIMEOUT" not in words:
                self.assertNotIn("lock=all", command, f"{name}: more combinations than the default time may be enough for")
                advice = self.options(f"--smp={words.get('SMP', '4')}", f"--bootargs={virtual}{words.get('BOOTARGS', '')}")
                self.assertEqual(len(advice), 1, f"{name}: {command}")

    def test_the_locks_are_those_of_the_kernel(self) -> None:
        self.assertEqual(timeout.HAND_OVER_LOCKS, cases.HAND_OVER_LOCKS)

    def test_numbers(self) -> None:
        self.assertEqual(harts.numbers_text([5, 0, 1, 2, 7, 8]), "0-2,5,7-8")

    def test_a_monitor_that_does_not_answer(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.send(b'{"QMP": {}}\nnot JSON\n')
            self.assertEqual(harts.program_counters(ours), [])


@unittest.skipUnless(CAN_BOOT, "needs the kernel and QEMU")
class TestBoots(InTemporaryFolder):
    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(TOOLS / "launch.py"), "--kernel", str(KERNEL), "--smp", "2", "--mem", "32M",
                "--logs", str(self.folder), "--quiet", *arguments]

    def run_it(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=300)

    def test_a_time_out_says_where_each_hart_is(self) -> None:
        """A machine that waits for gdb stands at its reset vector."""
        run = self.run_it("--gdb", "--timeout=2")
        self.assertEqual(run.returncode, 124, run.stderr)
        self.assertIn("hart 0-1: outside of the kernel, 0x1000 (", run.stderr)
        symbols = launch.Symbols(KERNEL)
        address = next(symbol.start for symbol in read_symbols(KERNEL) if symbol.name == "verdict_end")
        self.assertRegex(" ".join(harts.places_text([address, 0x1000, address], symbols)),
                         r"^hart 0,2: verdict_end\+0x0 \(\S*verdict\.c:\d+\) hart 1: outside of the kernel, 0x1000")

    def test_machines_that_do_not_power_off(self) -> None:
        for machine, harts_there in (("sifive_u", "5"), ("spike", "2")):
            for bootargs, expect in (("run=stress workload=repeat ops=50", "pass"), ("crash=null-read", "fail")):
                run = self.run_it("--smp", harts_there, "--mem=64M", "--qemu-arg=-machine", f"--qemu-arg={machine}",
                                  f"--bootargs={bootargs}", "--expect", expect, "--timeout=200")
                self.assertEqual(run.returncode, 0, (machine, run.stderr))
                console = (self.folder / "run.log").read_text()
                self.assertEqual("halted: " in console, machine == "sifive_u", console[-200:])

    def test_gdb_reaches_the_machine(self) -> None:
        """By the remote protocol's question why the machine stands."""
        with subprocess.Popen(self.command("--gdb", "--timeout=200"), stderr=subprocess.PIPE) as started:
            assert started.stderr is not None
            line = started.stderr.readline()
            self.assertRegex(line, LINE)
            port = int(LINE.search(line)[1])
            with socket.create_connection(("localhost", port)) as gdb:
                gdb.settimeout(PATIENCE_SECONDS)
                gdb.sendall(b"$?#3f")
                answer = b""
                while b"#" not in answer:
                    answer += gdb.recv(100)
            self.assertRegex(answer, rb"\$[TS]")
            started.terminate()

    def test_the_first_byte_typed(self) -> None:
        typed = self.folder / "typed"
        typed.write_text("stop 1")
        run = self.run_it("--bootargs=run=monitor", "--typed", str(typed), "--timeout=200")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("hartframe> stop 1\ncpu 1: done\n",
                      (self.folder / "run.log").read_text().replace("\r", ""))

    def test_memory_that_is_too_small(self) -> None:
        run = self.run_it("--mem=3M", "--timeout=200")
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertIn("the memory is too small for the firmware, the kernel and the device tree", run.stderr)


if __name__ == "__main__":
    unittest.main()
