# SPDX-License-Identifier: BSD-2-Clause
"""Whether a mutant changes any object code: if not, no test can see it, and it is not counted.

Each source that the mutant can change is compiled as compile_commands.json says, in the builds of
BUILDS, before the mutant and with it, and the two objects must have the same bytes. Debugging
information and the sanitizers are left out, and __LINE__ is the same everywhere: they change with each
line. For a header, these are the sources that include it; those that name what the mutant changes come
first, because the first difference decides. A mutant that the compiler warns of, as the project's flags
ask, does not build: no such bug is ever committed.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

from mutants.run import DoesNotBuild
from mutants.signs import sign_of_build

BUILDS = ("kernel", "host", "host-checks0", "host-bare", "space", "cpu", "power")
DROPPED = re.compile(r"-g$|-g[0-9]|-M[A-Z]+$|-f(no-)?sanitize|-fstack-usage|-U__SANITIZE")
# A mutant may leave an unused name behind. Any other warning refuses it, as it would refuse the bug.
ADDED = ("-g0", "-Wno-unused", "-Wno-unused-parameter")
# The compiler warns of another __LINE__, except in a header of the system.
LINE_HEADER = "#pragma GCC system_header\n#define __LINE__ 1\n"
COMPILE_TIMEOUT_SECONDS = 300


class Objects:
    """The objects of a clean tree, each made when it is first wanted."""

    def __init__(self, clean: Path) -> None:
        self.clean = clean
        self.commands: list[tuple[str, str, list[str]]] = []  # source, object, command
        self.bytes_of: dict[str, bytes] = {}
        self.header = clean / "build" / "compared" / "line.h"
        self.header.parent.mkdir(parents=True, exist_ok=True)
        self.header.write_text(LINE_HEADER, encoding="utf-8")
        text = (clean / "compile_commands.json").read_text(encoding="utf-8")
        for entry in json.loads(text):
            output = os.path.relpath(os.path.join(entry["directory"], entry["output"]),
                                     entry["directory"])
            if output.split("/")[1] in BUILDS:
                self.commands.append((entry["file"], output, self.command_of(entry)))

    @staticmethod
    def command_of(entry: dict[str, str]) -> list[str]:
        words = shlex.split(entry["command"])
        at = words.index("-o")
        return [word for word in [*words[:at], *words[at + 2 :]] if not DROPPED.match(word)]

    def includes(self, output: str, header: str) -> bool:
        list_of = self.clean / Path(output).with_suffix(".d")
        try:
            return header in list_of.read_text(encoding="utf-8").replace("\\\n", " ").split()
        except FileNotFoundError:
            return False  # no test needs this object

    def concerned(self, path: str, name: str) -> list[tuple[str, str, list[str]]]:
        """What the mutant can change: kernel first, sources that have the name before others."""
        if not path.endswith(".h"):
            return [command for command in self.commands if command[0] == path]
        word = re.compile(rf"\b{re.escape(name)}\b")

        def rank(command: tuple[str, str, list[str]]) -> tuple[bool, bool]:
            text = (self.clean / command[0]).read_text(encoding="utf-8")
            return not word.search(text), not command[1].startswith("build/kernel/")

        return sorted((c for c in self.commands if self.includes(c[1], path)), key=rank)

    def compile(self, tree: Path, command: list[str], output: str) -> bytes:
        target = tree / "build" / "compared" / output
        target.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([*command, *ADDED, "-include", str(self.header), "-o", str(target)], cwd=tree, text=True,
                              capture_output=True, check=False, timeout=COMPILE_TIMEOUT_SECONDS)
        if done.returncode:
            raise DoesNotBuild(f"does not build: {sign_of_build(done.stderr).text}")
        result = target.read_bytes()
        target.unlink()
        return result

    def differ(self, tree: Path, path: str, name: str) -> bool:
        """Whether the tree, in which `name` of the file is changed, gives another object."""
        commands = self.concerned(path, name)
        for _, output, command in commands:
            if output not in self.bytes_of:
                self.bytes_of[output] = self.compile(self.clean, command, output)
            if self.compile(tree, command, output) != self.bytes_of[output]:
                return True
        return not commands  # compiled in no build that is known: the tests decide
