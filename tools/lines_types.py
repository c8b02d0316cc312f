#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Where the members of some structures of the kernel lie, out of its debug information, as JSON.

    lines_types.py KERNEL NAME...

prints {"NAME": {"bytes": B, "members": [[offset, "member.of.member"], ...]}}. Members of structures
are resolved to the last; unions and arrays are not. A union without a name has those of its members. The
interpreter is Debian's, which sees Debian's pyelftools.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile

Die = Any  # pyelftools' entry of the debug information
Layout = dict[str, object]


def name_of(die: Die) -> str:
    name = die.attributes.get("DW_AT_name")
    return name.value.decode() if name else ""


def number_of(die: Die, attribute: str) -> int:
    found = die.attributes.get(attribute)
    return found.value if found else 0


def type_of(die: Die) -> Die:
    """Of a member, without the names and qualifiers that stand before it."""
    die = die.get_DIE_from_attribute("DW_AT_type")
    while die.tag in ("DW_TAG_typedef", "DW_TAG_const_type", "DW_TAG_volatile_type"):
        die = die.get_DIE_from_attribute("DW_AT_type")
    return die


def members(structure: Die, start: int = 0, prefix: str = "") -> Iterator[tuple[int, str]]:
    for child in structure.iter_children():
        if child.tag != "DW_TAG_member":
            continue
        offset = start + number_of(child, "DW_AT_data_member_location")
        kind = type_of(child)
        if kind.tag == "DW_TAG_structure_type":
            yield from members(kind, offset, f"{prefix}{name_of(child)}.")
        else:
            yield offset, prefix + (name_of(child) or "|".join(map(name_of, kind.iter_children())))


def layouts(kernel: Path, wanted: set[str]) -> dict[str, Layout]:
    found: dict[str, Layout] = {}
    with kernel.open("rb") as file:
        for unit in ELFFile(file).get_dwarf_info().iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                name = name_of(die) if die.tag == "DW_TAG_structure_type" else ""
                if name not in wanted or name in found or "DW_AT_declaration" in die.attributes:
                    continue
                found[name] = {"bytes": number_of(die, "DW_AT_byte_size"),
                               "members": sorted(members(die))}
            if len(found) == len(wanted):
                break
    return found


if __name__ == "__main__":
    print(json.dumps(layouts(Path(sys.argv[1]), set(sys.argv[2:]))))
