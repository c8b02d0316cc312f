#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of launch.py and deps.sh against stand-ins, in temporary folders only.

QEMU's stand-in is a shell script that says what the test wants said and exits as it wants.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

TOOLS = Path(__file__).resolve().parent
PASS = """echo '{"record":"verdict","result":"pass"}'"""
FAIL = """echo '{"record":"verdict","result":"fail","failed":["stress","zone"]}'"""


class InTemporaryFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def script(self, name: str, body: str) -> Path:
        path = self.folder / name
        path.write_text("#!/bin/sh\n" + body + "\n")
        path.chmod(0o755)
        return path


class Launching(InTemporaryFolder):
    def setUp(self) -> None:
        super().setUp()
        self.kernel = self.folder / "kernel.elf"
        self.kernel.write_bytes(b"not really")
        self.log = self.folder / "log"
        self.records = self.folder / "records"

    def command(self, *arguments: str) -> list[str]:
        files = ["--kernel", self.kernel, "--log", self.log, "--records", self.records]
        return [sys.executable, str(TOOLS / "launch.py"), *map(str, files), *arguments]

    def environment(self, qemu: str) -> dict[str, str]:
        return {**os.environ, "QEMU": str(self.script("qemu", qemu))}

    def launch(self, qemu: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.command(*arguments), env=self.environment(qemu), capture_output=True, timeout=60
        )

    def check(self, qemu: str, status: int, message: str, *arguments: str) -> None:
        run = self.launch(qemu, *arguments)
        self.assertIn(message, run.stderr.decode())
        self.assertEqual(run.returncode, status, run.stderr)


class TestJudgement(Launching):
    def test_pass(self) -> None:
        self.check(PASS, 0, "launch: pass")

    def test_pass_without_newline(self) -> None:
        self.check("""printf '{"record":"verdict","result":"pass"}'""", 0, "launch: pass")

    def test_fail_says_what(self) -> None:
        self.check(FAIL + "; exit 1", 1, "launch: verdict fail: stress, zone")

    def test_pass_but_status(self) -> None:
        self.check(PASS + "; exit 3", 1, "verdict pass, but QEMU's exit status 3")

    def test_fail_but_status_zero(self) -> None:
        self.check(FAIL, 1, "verdict fail, but QEMU's exit status 0: stress, zone")

    def test_unknown_result(self) -> None:
        self.check("""echo '{"record":"verdict","result":"Pass"}'""", 1, "verdict Pass")
        self.check("""echo '{"record":"verdict"}'; exit 1""", 1, "verdict None")

    def test_no_verdict(self) -> None:
        self.check("echo hello", 1, "without a verdict (crash, hang or reset), exit status 0")
        self.check("echo hello", 1, "    | hello")

    def test_killed(self) -> None:
        self.check("kill -SEGV $$", 1, "was killed by SIGSEGV")

    def test_record_after_verdict(self) -> None:
        self.check(PASS + "; echo '{\"record\":\"cpu\"}'", 1, 'followed by a "cpu" record')
        self.check(PASS + ";" + PASS, 1, 'followed by a "verdict" record')

    def test_text_after_verdict(self) -> None:
        self.check(PASS + "; echo powering off", 0, "launch: pass")

    def test_damaged_verdict(self) -> None:
        self.check("""echo '{"record":"verdict","result":"pass"'""", 1, "without a verdict")
        self.check("""echo 'x {"record":"verdict","result":"pass"}'""", 1, "without a verdict")

    def test_timeout_without_verdict(self) -> None:
        message = "without a verdict; last line: stuck here"
        self.check("echo stuck here; sleep 60", 124, message, "--timeout", "3")

    def test_timeout_after_verdict(self) -> None:
        message = "after the verdict, QEMU did not end"
        self.check(PASS + "; sleep 60", 124, message, "--timeout", "3")

    def test_timeout_of_one_that_never_stops_talking(self) -> None:
        self.check("while :; do echo again; done", 124, "again", "--timeout", "3", "--quiet")

    def test_timeout_of_one_deaf_to_sigterm(self) -> None:
        self.check("trap '' TERM; while :; do sleep 1; done", 124, "nothing on", "--timeout", "0.5")


class TestExpectations(Launching):
    def test_fail_as_expected(self) -> None:
        self.check(FAIL + "; exit 1", 0, "as expected: verdict fail", "--expect", "fail")

    def test_fail_expected_but_passed(self) -> None:
        self.check(PASS, 1, "expected fail, found pass", "--expect", "fail")

    def test_fail_expected_but_crashed(self) -> None:
        self.check("exit 1", 1, "expected fail, found QEMU ended", "--expect", "fail")
        self.check(FAIL, 1, "expected fail, found verdict fail, but", "--expect", "fail")
        self.check(FAIL + "; kill -9 $$", 1, "expected fail", "--expect", "fail")

    def test_fail_that_no_status_can_tell(self) -> None:
        self.check(FAIL, 0, "as expected: verdict fail, but", "--expect", "fail-untold")
        self.check(FAIL + "; exit 1", 1, "expected fail-untold", "--expect", "fail-untold")
        self.check(PASS, 1, "expected fail-untold, found pass", "--expect", "fail-untold")

    def test_panic_as_expected(self) -> None:
        self.check("echo PANIC: freed twice; exit 1", 0, "as expected", "--expect", "panic")

    def test_panic_expected(self) -> None:
        self.check(FAIL + "; exit 1", 1, "expected panic, found verdict", "--expect", "panic")
        self.check("echo panic; exit 0", 1, "expected panic", "--expect", "panic")
        self.check("echo panic;" + PASS, 1, "expected panic, found pass", "--expect", "panic")

    def test_timeout_is_never_expected(self) -> None:
        arguments = ("--expect", "fail", "--timeout", "3")
        self.check(FAIL + "; sleep 60", 124, "time-out", *arguments)


class TestConsole(Launching):
    def test_passes_bytes_on(self) -> None:
        run = self.launch(r"printf 'a \377\376 b\r\n\n\033[1m\n';" + PASS)
        expected = b"a \xff\xfe b\n\n\x1b[1m\n"
        self.assertEqual((run.returncode, run.stdout), (0, expected))
        self.assertIn(b"a \xff\xfe b\r\n", self.log.read_bytes())

    def test_keeps_records(self) -> None:
        self.launch("""echo '{"record":"boot","cpus":4}'; echo '{"x":1}'; echo text;""" + PASS)
        records = [json.loads(line) for line in self.records.read_text().splitlines()]
        self.assertEqual([record["record"] for record in records], ["boot", "verdict"])

    def test_quiet(self) -> None:
        self.assertEqual(self.launch("echo hello;" + PASS, "--quiet").stdout, b"")

    def test_stdin_is_empty(self) -> None:
        self.check("cat;" + PASS, 0, "launch: pass")

    def test_endless_line(self) -> None:
        self.check("head -c 1000000 /dev/zero | tr '\\0' x; echo;" + PASS, 0, "launch: pass")

    def test_reader_that_leaves(self) -> None:
        qemu = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done;" + PASS
        process = subprocess.Popen(
            self.command(), env=self.environment(qemu),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        self.assertIn(b"launch: pass", process.stderr.read())
        process.stderr.close()
        self.assertEqual(process.wait(), 0)


class TestCommandLine(Launching):
    def test_what_qemu_is_given(self) -> None:
        dtb = self.folder / "odd.dtb"
        dtb.touch()
        run = self.launch(
            'for word; do echo "<$word>"; done;' + PASS,
            "--smp", "8", "--mem", "1G", "--bootargs", "run=stress seed=3",
            "--icount", "shift=0", "--dtb", str(dtb), "--qemu-arg=-numa", "--qemu-arg=node",
        )
        words = run.stdout.decode().removeprefix("<").split(">\n<")
        for pair in (("-smp", "8"), ("-m", "1G"), ("-append", "run=stress seed=3"),
                     ("-icount", "shift=0"), ("-kernel", str(self.kernel)), ("-bios", "default"),
                     ("-machine", "virt"), ("-monitor", "none"), ("-dtb", str(dtb))):
            self.assertEqual(words[words.index(pair[0]) + 1], pair[1])
        self.assertTrue(run.stdout.decode().splitlines()[-1].endswith("<node>"))

    def test_missing_qemu(self) -> None:
        environment = {**os.environ, "QEMU": "no-such-emulator"}
        run = subprocess.run(self.command(), env=environment, capture_output=True)
        self.assertEqual(run.returncode, 2)
        self.assertIn(b"qemu-system-misc", run.stderr)
        self.assertIn(b"make deps", run.stderr)

    def test_missing_kernel(self) -> None:
        self.kernel.unlink()
        self.check(PASS, 2, "kernel.elf: no such file")

    def test_what_qemu_used(self) -> None:
        usage = self.folder / "usage"
        self.assertEqual(self.launch(PASS, "--usage", str(usage)).returncode, 0)
        self.assertGreater(json.loads(usage.read_text())["max_rss_kib"], 0)
        nowhere = self.launch(PASS, "--usage", str(self.folder / "none" / "usage"))
        self.assertEqual(nowhere.returncode, 2)

    def test_gdb(self) -> None:
        self.check('echo "$@" | grep -q -- "-gdb chardev:gdb -S" && ' + PASS, 0, "target remote", "--gdb")


class TestVirtualTime(Launching):
    def setUp(self) -> None:
        super().setUp()
        self.plugin = self.folder / "turns.so"
        self.plugin.write_bytes(b"not really")

    def given(self, words: str, *wanted: str) -> None:
        """What QEMU is given with these boot arguments."""
        for text in wanted:
            script = f'case "$*" in *"{text}"*) {PASS};; *) echo "$*";; esac'
            self.check(script, 0, "launch: pass", "--plugin", str(self.plugin), "--bootargs", words)

    def test_the_plugin_is_loaded(self) -> None:
        self.given("run=bench time=virtual", "-icount shift=0,sleep=off",
                   f"-plugin {self.plugin},turn=25,seed=1")

    def test_turn_and_seed_are_the_boot_arguments(self) -> None:
        self.given("time=virtual turn=100 seed=7", f"{self.plugin},turn=100,seed=7")

    def test_the_kernel_refuses_a_bad_turn(self) -> None:
        script = f'case "$*" in *-plugin*) ;; *) {PASS};; esac'
        for words in ("time=virtual turn=0", "time=virtual turn=many", "time=virtual seed=x"):
            self.check(script, 0, "launch: pass", "--plugin", str(self.plugin), "--bootargs", words)

    def test_not_without_it(self) -> None:
        script = f'case "$*" in *-icount*) ;; *) {PASS};; esac'
        for words in ("", "time=host", "run=stress"):
            self.check(script, 0, "launch: pass", "--bootargs", words)

    def test_missing_plugin(self) -> None:
        missing = str(self.folder / "none.so")
        self.check(PASS, 2, f"needs {missing}: `make` builds it", "--plugin", missing,
                   "--bootargs", "time=virtual")

    def test_icount_is_its_own(self) -> None:
        self.check(PASS, 2, "leave out --icount", "--bootargs", "time=virtual", "--icount", "shift=0")

    def test_a_qemu_that_cannot(self) -> None:
        """The plugin's words are tested in tests/host/test_plugin.c."""
        for said in ("virtual time: this QEMU has no way", "virtual time: this QEMU may tell a plugin the wrong hart",
                     "qemu: -plugin a.so: invalid option"):
            self.check(f"echo '{said}'; exit 1", 2, "launch: virtual time: this QEMU", "--plugin",
                       str(self.plugin), "--bootargs", "time=virtual")


class TestAfterBoot(Launching):
    def test_what_comes_before_is_not_shown(self) -> None:
        said = """echo firmware; echo '{"record":"boot"}'; echo table; """
        run = self.launch(said + PASS, "--after-boot")
        self.assertEqual(run.stdout.decode().splitlines()[0], "table")
        self.assertIn("firmware", self.log.read_text())

    def test_a_failure_before_it_is_shown(self) -> None:
        self.check("echo no memory; exit 1", 1, "    | no memory", "--after-boot")


class TestEnding(Launching):
    def end_with(self, number: int) -> int:
        """The launcher's exit status; QEMU's stand-in, and its child, must be gone."""
        pids = self.folder / "pids"
        qemu = f"sleep 300 & echo $$ $! > {pids}.new; mv {pids}.new {pids}; wait"
        process = subprocess.Popen(
            self.command(), env=self.environment(qemu), stderr=subprocess.DEVNULL
        )
        while not pids.exists():
            time.sleep(0.02)
        process.send_signal(number)
        status = process.wait(timeout=60)
        for pid in map(int, pids.read_text().split()):
            self.assertFalse(is_alive(pid))
        return status

    def test_interrupted(self) -> None:
        self.assertEqual(self.end_with(signal.SIGINT), 130)

    def test_terminated(self) -> None:
        self.assertEqual(self.end_with(signal.SIGTERM), 143)


class TestTerminal(Launching):
    def on_terminal(self, qemu: str, *arguments: str, typed: bytes = b"") -> tuple[int, bytes]:
        """Exit status and output on a terminal, which must be left as it was."""
        try:
            ours, theirs = pty.openpty()
        except OSError as error:  # a container without devpts
            self.skipTest(f"no terminal to be had: {error}")
        before = termios.tcgetattr(theirs)
        process = subprocess.Popen(
            self.command(*arguments), env=self.environment(qemu), stdin=theirs, stdout=theirs,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )
        os.write(ours, typed)
        status = process.wait(timeout=60)
        self.assertEqual(termios.tcgetattr(theirs), before)
        self.assertTrue(os.get_blocking(theirs))
        os.write(theirs, b"\nEND\n")
        output = b""
        while not output.endswith(b"END\r\n"):
            output += os.read(ours, 65536)
        os.close(ours)
        os.close(theirs)
        return status, output

    def test_records_are_dim(self) -> None:
        status, output = self.on_terminal("echo hello;" + PASS, "--json")
        self.assertEqual(status, 0)
        self.assertIn(b'\x1b[2m{"record":"verdict","result":"pass"}\x1b[0m\r\n', output)

    def test_interactive(self) -> None:
        qemu = "printf 'hartframe> '; read line; echo heard $line;" + PASS
        status, output = self.on_terminal(qemu, "--interactive", typed=b"help\n")
        self.assertEqual(status, 0)
        self.assertIn(b"> ", output)
        self.assertIn(b"heard help", output)

    def test_terminal_is_put_back(self) -> None:
        qemu = "printf 'hartframe> '; sleep 60"
        status, _ = self.on_terminal(qemu, "--interactive", "--timeout", "0.7")
        self.assertEqual(status, 124)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class TestDeps(InTemporaryFolder):
    """On a path that has nothing but what deps.sh itself is written with."""

    USED = ("awk", "bash", "cat", "cut", "env", "head", "id", "sed", "tr", "uname")

    def setUp(self) -> None:
        super().setUp()
        for name in self.USED:
            found = shutil.which(name)
            assert found is not None
            (self.folder / name).symlink_to(found)

    def deps(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", TOOLS / "deps.sh", *arguments], env={"PATH": str(self.folder)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        )

    def apt_get(self, body: str) -> None:
        self.script("apt-get", f'echo "asked: $*"; {body}')
        self.script("sudo", '[ "$1" = -n ] && shift; exec "$@"')

    def test_names_what_is_missing(self) -> None:
        run = self.deps("run", "--check")
        self.assertEqual(run.returncode, 1)
        self.assertIn(" make python3 qemu-system-misc ", run.stderr)
        self.assertNotIn("clang", run.stderr)

    def test_only_fuzzing_needs_clang_and_its_runtime(self) -> None:
        for group in ("fuzz", "all"):
            run = self.deps(group, "--check")
            self.assertRegex(run.stderr, r" gcc .* clang .*libclang-rt-\d+-dev")
        run = self.deps("test", "--check")
        self.assertIn(" gcc ", run.stderr)
        self.assertNotIn("clang", run.stderr)

    def test_what_draws_is_for_the_report_and_its_tests(self) -> None:
        for group, needed in (("run", False), ("report", True), ("test", True)):
            run = self.deps(group, "--check")
            self.assertEqual(" gnuplot-nox" in run.stderr, needed, group)

    def test_no_apt_get(self) -> None:
        run = self.deps("run")
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, "no apt-get; please install: make python3 ")

    def test_apt_get_fails(self) -> None:
        self.apt_get("exit 100")
        run = self.deps("run")
        self.assertEqual(run.returncode, 1)
        self.assertRegex(run.stderr, "apt-get update failed; please install: make ")

    def test_installs_only_what_is_missing(self) -> None:
        for tool in ("python3", "qemu-system-riscv64", "riscv64-unknown-elf-gcc",
                     "riscv64-unknown-elf-objdump"):
            self.script(tool, "exit 0")
        self.apt_get("exit 0")
        run = self.deps("run")
        self.assertRegex(run.stdout, r"asked: install .*--no-install-recommends make\b")
        self.assertNotIn("python3", run.stdout)
        self.assertIn("still missing", run.stderr)

    def test_bad_usage(self) -> None:
        for arguments in ((), ("some",), ("run", "--chek"), ("run", "test", "all")):
            self.assertEqual(self.deps(*arguments).returncode, 2)


if __name__ == "__main__":
    unittest.main()
