#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Tests of the files of the launcher: the folder of a run, disks that cannot be written, odd paths; and of
options that are refused. QEMU's stand-in is a shell script.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

from launcher import runs
from test_tools import PASS, TOOLS, InTemporaryFolder

PATIENCE_SECONDS = 60


class InLogs(InTemporaryFolder):
    """Runs that have folders in `logs`."""

    def setUp(self) -> None:
        super().setUp()
        self.kernel = self.folder / "kernel.elf"
        self.kernel.write_bytes(b"not really")
        self.logs = self.folder / "logs"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(TOOLS / "launch.py"), "--kernel", str(self.kernel),
                "--logs", str(self.logs), *arguments]

    def environment(self, qemu: str) -> dict[str, str]:
        return {**os.environ, "QEMU": str(self.script("qemu", qemu))}

    def launch(self, qemu: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), env=self.environment(qemu), text=True,
                              capture_output=True, timeout=PATIENCE_SECONDS)

    def folders(self) -> list[Path]:
        return [path for path in sorted(self.logs.iterdir()) if path.is_dir() and not path.is_symlink()]


class TestRunFolder(InLogs):
    def test_each_run_has_its_own(self) -> None:
        for text in ("one", "two"):
            self.assertEqual(self.launch(f"""echo '{{"record":"{text}"}}'; {PASS}""").returncode, 0)
        first, second = self.folders()
        self.assertRegex(first.name, r"^\d{8}-\d{6}-\d+$")
        self.assertIn("one", (first / "run.jsonl").read_text())
        self.assertIn("two", (second / "run.log").read_text())
        self.assertEqual((self.logs / "latest").resolve(), second.resolve())
        for name in ("run.jsonl", "run.log"):
            self.assertEqual((self.logs / name).read_bytes(), (second / name).read_bytes())

    def test_two_runs_at_once_do_not_mix(self) -> None:
        """Neither ends before the other has begun."""
        qemu = (f"echo $$ >> {self.folder}/begun; echo I am $$;"
                f"while [ $(wc -l < {self.folder}/begun) -lt 2 ]; do sleep 0.05; done;" + PASS)
        environment = self.environment(qemu)
        started = [subprocess.Popen(self.command("--json"), env=environment, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE) for _ in range(2)]
        shown = [one.communicate(timeout=PATIENCE_SECONDS)[0].decode() for one in started]
        self.assertEqual([one.returncode for one in started], [0, 0])
        self.assertEqual(len(self.folders()), 2)
        for folder in self.folders():
            self.assertEqual(len((folder / "run.jsonl").read_text().splitlines()), 1)
        logs = sorted((folder / "run.log").read_text() for folder in self.folders())
        self.assertEqual(logs, sorted(shown))

    def test_boots_of_one_run_share_it(self) -> None:
        for boot in ("run", "locks"):
            self.launch(f"echo {boot};" + PASS, "--run", "20260101-000000-1", "--boot", boot)
        self.assertEqual([folder.name for folder in self.folders()], ["20260101-000000-1"])
        for boot in ("run", "locks"):
            self.assertIn(boot, (self.logs / f"{boot}.log").read_text())

    def test_the_records_of_an_older_version_give_way(self) -> None:
        self.logs.mkdir()
        (self.logs / "run.jsonl").write_text("old")
        self.launch(PASS)
        self.assertIn("verdict", (self.logs / "run.jsonl").read_text())

    def test_old_ones_go_but_not_of_a_run_that_goes_on(self) -> None:
        names = [f"20260101-0000{number:02}-7" for number in range(runs.KEPT + 3)]
        for name in names:
            (self.logs / name).mkdir(parents=True)
        (self.logs / "mine").mkdir()
        descriptor = os.open(self.logs / names[0], os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        runs.make(self.logs, "20260102-000000-7", "run")
        os.close(descriptor)
        kept = [names[0], *names[4:], "20260102-000000-7", "mine"]
        self.assertEqual([folder.name for folder in self.folders()], kept)

    def test_a_run_holds_its_folder(self) -> None:
        with runs.run_folder(self.logs, None, "run") as folder:
            self.assertIsNone(runs.lock(folder, fcntl.LOCK_EX))
        free = runs.lock(folder, fcntl.LOCK_EX)
        assert free is not None
        os.close(free)


class TestOptions(InLogs):
    def test_what_is_refused(self) -> None:
        for option, values, valid in (
            ("--smp", ("0", "x", "-1", "513", "", "4.5"), "valid are 1 to 512 (SMP=4)"),
            ("--mem", ("0", "0M", "x", "-5M", "1X", "1.5", ""), "(MEM=128M, MEM=1G)"),
            ("--timeout", ("x", "-1", "nan", "inf", ""), "0 for no limit (TIMEOUT=120)"),
            ("--gdb-port", ("x", "65536"), "valid are 1 to 65535"),
        ):
            for value in values:
                run = self.launch("echo started", f"{option}={value}")
                self.assertEqual((run.returncode, run.stdout), (2, ""), value)
                self.assertIn(valid, run.stderr)

    def test_what_is_taken(self) -> None:
        for words in (("--smp=512",), ("--smp=4,sockets=2",), ("--mem=0.5G",), ("--mem=256",), ("--timeout=0",)):
            self.assertEqual(self.launch(PASS, *words).returncode, 0, words)

    def test_what_qemu_refuses(self) -> None:
        run = self.launch("echo 'qemu-system-riscv64: no such thing'; exit 1")
        self.assertEqual(run.returncode, 2)
        self.assertIn("launch: qemu-system-riscv64: no such thing", run.stderr)
        run = self.launch("echo 'qemu-system-riscv64: warning: odd'; echo hello; exit 1")
        self.assertIn("QEMU ended without a verdict", run.stderr)


MOUNTS = ["unshare", "--user", "--map-root-user", "--mount"]


def can_mount() -> bool:
    """In a namespace that ends with the command."""
    with contextlib.suppress(OSError):
        return subprocess.run([*MOUNTS, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
    return False


@unittest.skipUnless(can_mount(), "this host lets no test mount a file system")
class TestDisks(InLogs):
    def on_disk(self, prepare: str) -> subprocess.CompletedProcess[str]:
        """The launcher, with its logs on a disk of a page."""
        self.logs.mkdir()
        script = f'disk=$1; shift; mount -t tmpfs -o size=4k none "$disk" && {prepare} && "$@"; status=$?; ' \
                 'cat "$disk"/latest/run.log | wc -c; exit $status'
        said = "i=0; while [ $i -lt 400 ]; do echo a line of the console; i=$((i+1)); done;" + PASS
        return subprocess.run([*MOUNTS, "sh", "-c", script, "sh", str(self.logs), *self.command("--json")],
                              env={**self.environment(said), "TMPDIR": str(self.folder)}, text=True,
                              capture_output=True, timeout=PATIENCE_SECONDS)

    def test_a_disk_that_fills(self) -> None:
        run = self.on_disk("true")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn("run.log: No space left on device; it is not complete", run.stderr)
        self.assertIn("launch: pass", run.stderr)
        self.assertIn("verdict", run.stdout)
        self.assertEqual(run.stdout.splitlines()[-1], "4096")

    def test_a_disk_that_cannot_be_written(self) -> None:
        run = self.on_disk('mount -o remount,ro "$disk"')
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(": Read-only file system; this run's log and records are in ", run.stderr)
        (elsewhere,) = self.folder.glob("hartframe-*")
        self.assertEqual(json.loads((elsewhere / "run.jsonl").read_text())["record"], "verdict")


class TestOddPaths(InLogs):
    def test_spaces_quotes_and_commas(self) -> None:
        """The plugin's path is a part of an option whose parts have commas between them."""
        self.folder = self.folder / "it's a \"path\", really"
        self.folder.mkdir()
        plugin = self.folder / "turns.so"
        plugin.touch()
        self.kernel = self.folder / "kernel.elf"
        self.kernel.touch()
        self.logs = self.folder / "logs"
        run = self.launch('for word; do echo "<$word>"; done;' + PASS, "--plugin", str(plugin),
                          "--bootargs", "time=virtual")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn(f"<{str(plugin).replace(',', ',,')},turn=25,seed=1>", run.stdout)
        self.assertIn(f"<{self.kernel}>", run.stdout)


if __name__ == "__main__":
    unittest.main()
