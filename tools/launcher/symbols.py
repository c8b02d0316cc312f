# SPDX-License-Identifier: BSD-2-Clause
"""Functions and source lines of addresses in the kernel.

The kernel prints an address of its text as [<0x80200000>]. It is a return address: the call that is
meant ends right before it, and the line of that call is looked up. With the word "pc" before it, it
is the address of an instruction. Only text has names: of other addresses nothing is said.

Functions come from nm, lines and inlined functions from addr2line; without them there are no names.
"""

from __future__ import annotations

import bisect
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from .options import ROOT

ADDRESS = re.compile(rb"(\bpc )?\[<0x([0-9a-fA-F]{1,16})>\]")
ADDRESS_ALONE = re.compile(rb"\s*(?:pc )?\[<0x[0-9a-fA-F]+>\]\s*")
PREFIXES = ("riscv64-unknown-elf-", "riscv64-linux-gnu-", "llvm-", "")


def tool(name: str) -> str | None:
    """A program of binutils that reads the kernel."""
    return next(filter(None, (shutil.which(prefix + name) for prefix in PREFIXES)), None)


def source_path(path: str, root: Path = ROOT) -> str:
    """A path of the debug information, from the root of the tree, wherever it was compiled."""
    parts = Path(path).parts
    for first in range(len(parts)):
        found = Path(*parts[first:])
        if not found.is_absolute() and (root / found).is_file():
            return str(found)
    return path


@dataclass(frozen=True)
class Place:
    """A function, and a line in it; the line is "" where there is no debug information."""

    function: str
    line: str

    def __str__(self) -> str:
        return f"{self.function} ({self.line})" if self.line else self.function


class Lines:
    """One addr2line for all questions, because it reads the whole debug information when it starts."""

    END = "0x0"  # asked after each address, since an answer has any number of lines

    def __init__(self, kernel: Path) -> None:
        self.kernel = kernel
        self.lock = threading.Lock()
        self.process: subprocess.Popen[str] | None = None
        self.known: dict[int, list[Place]] = {}

    def start(self) -> subprocess.Popen[str] | None:
        found = tool("addr2line")
        if found is None:
            return None
        # In a session of its own: an interrupt from the keyboard is not for it.
        return subprocess.Popen(
            [found, "-a", "-i", "-f", "-e", str(self.kernel)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )

    def answer(self, address: int) -> list[str]:
        """A function and a line, alternating, the innermost inlined function first."""
        self.process = self.process or self.start()
        if self.process is None:
            return []
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{address:#x}\n{self.END}\n")
        self.process.stdin.flush()
        text: list[str] = []
        for _ in range(2):  # the address is repeated, then that of the end
            while (line := self.process.stdout.readline()) and not line.startswith("0x"):
                text.append(line.rstrip("\n"))
        self.process.stdout.readline()  # what it says of the end
        self.process.stdout.readline()
        return text

    def places(self, address: int) -> list[Place]:
        """Of an instruction; the innermost inlined function first."""
        with self.lock:
            if address not in self.known:
                self.known[address] = read_places(self.answer(address))
            return self.known[address]

    def close(self) -> None:
        if self.process:
            self.process.communicate()
            self.process = None


def read_places(answer: list[str]) -> list[Place]:
    places = []
    for function, place in zip(answer[::2], answer[1::2]):
        path, _, line = place.partition(" ")[0].rpartition(":")  # " (discriminator 3)"
        known = line.isdecimal() and line != "0"
        places.append(Place(function, f"{source_path(path)}:{line}" if known else ""))
    return places


@dataclass(frozen=True, order=True)
class Symbol:
    start: int
    is_function: bool
    bytes: int  # 0: until the next one
    name: str


def read_symbols(kernel: Path) -> list[Symbol]:
    """By rising address; of several names of one address that of a function is the last.

    What is no function is here too, as an end of the function before it.
    """
    found = tool("nm")
    if found is None:
        return []
    listing = subprocess.run(
        [found, "-S", str(kernel)], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    symbols = []
    for row in map(str.split, listing.stdout.splitlines()):
        if len(row) in (3, 4) and row[-1][0] not in ".$":
            bytes_of = int(row[1], 16) if len(row) == 4 else 0
            # A weak name may be one of data. Those that begin with "__" are places of the linker script.
            is_function = row[-2] in ("tTwW" if bytes_of else "tT") and not (row[-1].startswith("__") and not bytes_of)
            symbols.append(Symbol(int(row[0], 16), is_function, bytes_of, row[-1]))
    return sorted(symbols)


class Symbols:
    """Names for addresses in the kernel."""

    def __init__(self, kernel: Path) -> None:
        self.kernel = kernel
        self.lines = Lines(kernel)
        self.symbols: list[Symbol] | None = None

    def function(self, address: int) -> Symbol | None:
        """The function of an instruction; None where no text is."""
        if self.symbols is None:
            self.symbols = read_symbols(self.kernel)
        index = bisect.bisect_right(self.symbols, address, key=lambda symbol: symbol.start) - 1
        if index < 0:
            return None
        found = self.symbols[index]
        inside = not found.bytes or address < found.start + found.bytes
        return found if inside and found.is_function else None

    def places(self, address: int, is_pc: bool = False) -> list[Place]:
        """The line of the call that returns to the address, or of the instruction at it; the innermost
        inlined function first, and the function that has code of its own last."""
        instruction = address if is_pc else address - 1
        function = self.function(instruction)
        if function is None:
            return []
        offset = address - function.start
        *inlined, last = self.lines.places(instruction) or [Place("??", "")]
        name = function.name if last.function.startswith("?") else last.function
        return [*inlined, Place(f"{name}+{offset:#x}", last.line)]

    def text(self, address: int, is_pc: bool = False) -> str:
        """On one line; "" where no text is."""
        places = self.places(address, is_pc)
        if len(places) < 2:
            return "".join(map(str, places))
        return f"{places[0]}, inlined in {places[-1]}"

    def name(self, address: int) -> bytes | None:
        """The function of a call that returns to the address, for a table."""
        function = self.function(address - 1)
        return f"{function.name}+{address - function.start:#x}".encode() if function else None

    def annotate(self, line: bytes) -> bytes:
        """A line of the console with the place of each address behind it.

        An address alone is a line of a backtrace: each inlined function there has a line of its own.
        """
        return ADDRESS.sub(self.of_backtrace if ADDRESS_ALONE.fullmatch(line) else self.of_sentence, line)

    def of_sentence(self, match: re.Match[bytes]) -> bytes:
        text = self.text(int(match[2], 16), bool(match[1]))
        return b"%s %s" % (match[0], text.encode()) if text else match[0]

    def of_backtrace(self, match: re.Match[bytes]) -> bytes:
        places = self.places(int(match[2], 16), bool(match[1]))
        indent = b"\n" + b" " * (match.end() + 1)
        words = [str(place).encode() + (b", inlined" if place is not places[-1] else b"") for place in places]
        return b"%s %s" % (match[0], indent.join(words)) if words else match[0]
