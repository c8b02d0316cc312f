# SPDX-License-Identifier: BSD-2-Clause
"""Segments: nothing is both written and executed, and no segment is for threads."""

from __future__ import annotations

from typing import Any

from .elf import P_FLAGS, SH_FLAGS
from .kernel import Kernel
from .report import Report

PAGE_BYTES = 4096
R, W, X = P_FLAGS.PF_R, P_FLAGS.PF_W, P_FLAGS.PF_X
WANTED = ((R | X, "text"), (R, "rodata"), (R | W, "data"))
Header = Any  # pyelftools' of a segment or a section


def named(segment: Header) -> str:
    letters = "".join(name for bit, name in ((R, "R"), (W, "W"), (X, "X")) if segment.p_flags & bit)
    return f"segment {letters} at {segment.p_vaddr:#x}"


def check_segment(segment: Header) -> list[str]:
    problems = []
    if segment.p_flags & W and segment.p_flags & X:
        problems.append(f"{named(segment)} is writable and executable")
    if segment.p_align < PAGE_BYTES or segment.p_vaddr % PAGE_BYTES:
        problems.append(f"{named(segment)} is not page-aligned")
    return problems


def check_section(name: str, section: Header, loaded: list[Header]) -> list[str]:
    """An allocated section lies in a segment with its own permissions; none is thread-local."""
    if section.sh_flags & SH_FLAGS.SHF_TLS:
        return [f"{name} is thread-local storage, and tp is not for that"]
    wanted = R
    wanted |= W if section.sh_flags & SH_FLAGS.SHF_WRITE else 0
    wanted |= X if section.sh_flags & SH_FLAGS.SHF_EXECINSTR else 0
    past = section.sh_addr + section.sh_size
    for segment in loaded:
        if segment.p_vaddr <= section.sh_addr and past <= segment.p_vaddr + segment.p_memsz:
            return [] if segment.p_flags == wanted else [f"{name} is in {named(segment)}"]
    return [f"{name} is in no segment"]


def check_segments(kernel: Kernel) -> Report:
    segments = [s.header for s in kernel.elf.file.iter_segments() if s.header.p_memsz]
    loaded = [s for s in segments if s.p_type == "PT_LOAD"]
    report = Report(note=", ".join(map(named, loaded)))
    for flags, name in WANTED:
        if not any(segment.p_flags == flags for segment in loaded):
            report.problems.append(f"no segment for {name} alone")
    for segment in loaded:
        report.problems += check_segment(segment)
    for section in kernel.elf.file.iter_sections():
        if section.header.sh_flags & SH_FLAGS.SHF_ALLOC and section.header.sh_size:
            report.problems += check_section(section.name, section.header, loaded)
    if any(segment.p_type == "PT_TLS" for segment in segments):
        report.problems.append("a segment of thread-local storage")
    return report
