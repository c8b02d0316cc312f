# SPDX-License-Identifier: BSD-2-Clause
"""The linked kernel as an ELF file, read by pyelftools."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

from .report import Nothing

try:
    from elftools.common.exceptions import ELFError
    from elftools.elf.constants import P_FLAGS, SH_FLAGS
    from elftools.elf.elffile import ELFFile
except ImportError:
    raise SystemExit("lint: python3-pyelftools is missing; `make deps` installs it") from None

__all__ = ["Elf", "P_FLAGS", "SH_FLAGS", "Symbol"]


@dataclass(frozen=True)
class Symbol:
    name: str
    is_function: bool
    address: int
    size: int


class Elf:
    def __init__(self, path: Path) -> None:
        try:
            self.file = ELFFile(BytesIO(path.read_bytes()))
        except OSError as error:
            raise Nothing(f"{path}: {error.strerror}") from None
        except ELFError as error:
            raise Nothing(f"{path}: {error}") from None

    @cached_property
    def symbols(self) -> list[Symbol]:
        table = self.file.get_section_by_name(".symtab")
        return [
            Symbol(s.name, s.entry.st_info.type == "STT_FUNC", s.entry.st_value, s.entry.st_size)
            for s in (table.iter_symbols() if table else ())
        ]

    def symbol(self, name: str) -> Symbol:
        found = [symbol for symbol in self.symbols if symbol.name == name]
        if len(found) != 1:
            raise Nothing(f"{name}: {len(found) or 'no'} symbols of this name in the kernel")
        return found[0]

    def read(self, address: int, size: int) -> bytes:
        for offset in self.file.address_offsets(address, size):
            self.file.stream.seek(offset)
            return self.file.stream.read(size)
        raise Nothing(f"{size} bytes at {address:#x} are in no segment")
