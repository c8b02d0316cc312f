# SPDX-License-Identifier: BSD-2-Clause
"""Names of functions, and source lines, for addresses in the kernel."""

from __future__ import annotations

import bisect
import re
import shutil
import subprocess
from pathlib import Path

ADDRESS = re.compile(rb"\[<0x([0-9a-fA-F]{1,16})>\]")


class Symbols:
    """Names for addresses in the kernel. Without a tool to read it, there are none."""

    TOOLS = ("riscv64-unknown-elf-nm", "riscv64-linux-gnu-nm", "llvm-nm", "nm")

    LINE_TOOLS = tuple(tool.replace("nm", "addr2line") for tool in TOOLS)

    def __init__(self, kernel: Path) -> None:
        self.kernel = kernel
        self.functions: list[tuple[int, bytes]] | None = None
        self.places: dict[int, bytes] = {}

    def read(self) -> list[tuple[int, bytes]]:
        tool = next(filter(None, map(shutil.which, self.TOOLS)), None)
        if tool is None:
            return []
        listing = subprocess.run(
            [tool, str(self.kernel)], capture_output=True, stdin=subprocess.DEVNULL, check=False
        )
        rows = (line.split() for line in listing.stdout.splitlines())
        return sorted(
            (int(row[0], 16), row[2])
            for row in rows
            if len(row) == 3 and row[1] in b"tTwW" and row[2][:1] not in b".$"
        )

    def name(self, address: int) -> bytes | None:
        if self.functions is None:
            self.functions = self.read()
        index = bisect.bisect_right(self.functions, address, key=lambda row: row[0]) - 1
        if index < 0:
            return None
        start, function = self.functions[index]
        return b"%s+0x%x" % (function, address - start)

    def find_places(self, addresses: list[int]) -> None:
        """The source line of the call that each address returns to; none where the kernel has no lines."""
        tool = next(filter(None, map(shutil.which, self.LINE_TOOLS)), None)
        wanted = [address for address in addresses if address not in self.places]
        if tool is None or not wanted:
            return
        listing = subprocess.run(
            [tool, "-a", "-i", "-s", "-e", str(self.kernel), *(hex(max(at - 1, 0)) for at in wanted)],
            capture_output=True, stdin=subprocess.DEVNULL, check=False,
        )
        # Under each address a line for each function that is inlined there; the last is the caller's.
        parts = re.split(rb"^0x[0-9a-f]+\n", listing.stdout, flags=re.M)[1:]
        for address, part in zip(wanted, parts):
            place = (part.splitlines() or [b"?"])[-1].split(b" ")[0]
            known = not place.startswith(b"?") and not place.endswith((b":?", b":0"))
            self.places[address] = b" (%s)" % place if known else b""

    def annotate(self, line: bytes) -> bytes:
        """Adds to a line of a back trace the functions its addresses lie in, and the source lines."""
        addresses = [int(digits, 16) for digits in ADDRESS.findall(line)]
        known = [address for address in addresses if self.name(address)]
        if not known:
            return line
        self.find_places(known)
        names = [(self.name(address) or b"") + self.places.get(address, b"") for address in known]
        return b" ".join([line, *names])
