# SPDX-License-Identifier: BSD-2-Clause
"""The compiler's own account: its sizes of frames, and its graph of calls."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Iterable
from pathlib import Path

from lint.report import Nothing, Report, run_tool

from .graph import LIBRARY, Call, Node
from .machine import Machine
from .pointers import Pointers

SU_LINE = re.compile(r"(\S+?):\d+:\d+:(\S+)\t(\d+)\t(\S+)$")
CI_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*)"')
CI_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"(?: label: "([^"]*)")?')
CI_LABEL = re.compile(r"^(.*?)\\n(?:\./)?([^:\\]+):\d+:\d+\\n(\d+) bytes \(([^)]*)\)")
INDIRECT = "__indirect_call"


def su_sizes(folder: Path) -> dict[tuple[str, str], dict[int, str]]:
    """Of each file and function of mm/ and sync/ its frames, more than one where it was cloned."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for path in sorted([*folder.glob("mm/**/*.su"), *folder.glob("sync/**/*.su")]):
        for line in path.read_text().splitlines():
            match = SU_LINE.match(line)
            if not match:
                raise Nothing(f"{path}: cannot read `{line}`")
            key = (match[1].removeprefix("./"), match[2])
            found.setdefault(key, {})[int(match[3])] = match[4]
    if not found:
        raise Nothing(f"{folder} has no .su file of mm/ or sync/")
    return found


def check_su(machine: Machine, folder: Path) -> Report:
    """What the compiler wrote of mm/ and sync/ is what their machine code does."""
    report = Report()
    sizes = su_sizes(folder)
    compared = 0
    for code in machine.codes.values():
        file = machine.files.get(code.entry, LIBRARY)
        name = re.sub(r"\.\d+$", "", code.name)  # a clone's number is not written
        said = sizes.get((file, code.name)) or sizes.get((file, name))
        if not said:
            continue
        compared += 1
        frame = machine.walk(code).frame
        if frame not in said:
            known = " or ".join(map(str, said))
            report.problems.append(f"{file}: {code.name} has {frame} bytes, the compiler: {known}")
        if unfixed := [kind for kind in said.values() if kind != "static"]:
            report.problems.append(f"{file}: the frame of {code.name} is {unfixed[0]}")
    if not compared:
        report.problems.append("none of its functions is in the kernel")
    report.note = f"{compared} functions"
    return report


class Compiled:
    """mm/ and sync/ compiled with other options: the compiler's sizes and graph of calls."""

    def __init__(self, command: str, sources: Iterable[str], pointers: Pointers) -> None:
        self.pointers = pointers
        self.nodes: dict[str, Node] = {}
        self.defined_in: dict[tuple[str, str], str] = {}
        with tempfile.TemporaryDirectory() as folder:
            for number, path in enumerate(sorted(sources)):
                self._compile(command, path, Path(folder) / str(number))
        for node in self.nodes.values():
            node.calls = [found for call in node.calls for found in self._resolved(call, node)]

    def _compile(self, command: str, path: str, stem: Path) -> None:
        arguments = [*shlex.split(command), "-fcallgraph-info=su", "-c", "-o", f"{stem}.o", path]
        result = run_tool(arguments)
        if result.returncode != 0:
            raise Nothing(f"{path}: {result.stderr.strip().partition(chr(10))[0]}")
        for file in stem.parent.glob(f"{stem.name}*.ci"):
            self._read(file.read_text(), path)

    def _read(self, text: str, path: str) -> None:
        for title, label in CI_NODE.findall(text):
            match = CI_LABEL.match(label)
            if match:
                name = match[1].split(".")[0]
                self.nodes[title] = Node(name, path, int(match[3]))
                self.defined_in[path, name] = title
                if "dynamic" in match[4] and "bounded" not in match[4]:
                    self.nodes[title].problems.append(f"{title} has a frame of no fixed size")
        for source, target, label in CI_EDGE.findall(text):
            node = self.nodes[source]
            node.calls.append(Call(node.frame, target, label))

    def _resolved(self, call: Call, caller: Node) -> list[Call]:
        if call.callee != INDIRECT:
            return [call]
        path, line = call.place.rsplit(":", 2)[:2]
        text, targets = self.pointers.at(path.removeprefix("./"), int(line))
        if self.pointers.is_optional(text):
            return []
        keys = []
        for target in targets:
            title = self.defined_in.get((target.file, target.name))
            keys += [title] if title else []
        if not keys and path.removeprefix("./").startswith(("mm/", "sync/")):  # or the port's
            caller.problems.append(f"{call.place}: calls through a pointer, not known: `{text}`")
        return [Call(call.depth, key, call.place) for key in keys]

    def node(self, key: str) -> Node | None:
        return self.nodes.get(key)

    def keys(self, name: str) -> list[str]:
        return [key for key, node in self.nodes.items() if node.name == name]
