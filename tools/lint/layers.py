# SPDX-License-Identifier: BSD-2-Clause
"""Layers of includes: what each folder may see, also through other headers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .report import ROOT, Report
from .sources import Include, Sources

LIBC = (
    r"(ctype|errno|inttypes|limits|stdalign|stdarg|stdbool|stddef|stdint|stdio|stdlib"
    r"|stdnoreturn|string)\.h"
)
POLICIES = r"mm/global/(segment_tree|run_tree|bitmap|interval_stack|recycler|free_list|free_map)\w*\."
INCLUDE_FOLDERS = ("", "arch/riscv", "tests/host/support")  # those the compiler is given

# EMPTY THIS when kernel/ runs without tests/: the files of kernel/ that still see tests/.
KERNEL_SEES_TESTS: tuple[str, ...] = (
)
KERNEL_ALONE = rf"(?!({'|'.join(KERNEL_SEES_TESTS) or '(?!)'})(\.|$))kernel/"


@dataclass(frozen=True)
class Layer:
    """What the files that match `files` may not see; `reached` also through other headers."""

    files: str
    direct: str = r"(?!)"
    reached: str = r"(?!)"
    brackets: str = r""


LAYER_RULES = (
    Layer(r"sync/", reached=r"(?!sync/)", brackets=rf"ck_\w+\.h|port\.h|{LIBC}"),
    Layer(r"mm/", reached=r"(?!mm/|sync/)"),
    Layer(r"mm/platform\.h", brackets=rf"port\.h|{LIBC}"),
    Layer(r"mm/(?!platform\.h)", brackets=LIBC),
    Layer(r"mm/percpu/", direct=r"mm/global/(?!(zone|zone_one|zone_run|policy|bits)\.h)", reached=POLICIES),
    Layer(r"mm/global/", reached=r"mm/percpu/"),
    Layer(r"arch/", reached=r"(mm|kernel|tests)/", brackets=rf"port\.h|{LIBC}"),
    Layer(KERNEL_ALONE, reached=r"tests/"),
    Layer(r"kernel/smp/", direct=r"kernel/(boot|diag|vm)/"),
    Layer(r"kernel/vm/", direct=r"kernel/diag/"),
    Layer(r"kernel/diag/", direct=r"kernel/vm/"),
    # What is built for the host too.
    Layer(r"kernel/boot/(devicetree|machine|bootargs|early|memory)\w*\.", reached=r"arch/"),
    Layer(r"kernel/(vm/kernel_map|diag/(record|trace_ring))\.", reached=r"arch/"),
    Layer(r"tests/smp/workloads/(?!churn|vm|workloads_vm)", reached=r"arch/"),
    Layer(r"tests/smp/selftest/", direct=r"tests/smp/(explore|stress|sweep)"),
)


def is_file(path: str) -> bool:
    return (ROOT / path).is_file()


def misspelt(include: Include) -> str | None:
    """What is wrong with how the header is named."""
    if include.quoted:
        local = include.path.startswith("tests/host/") and any(
            is_file(f"{folder}/{include.target}")
            for folder in ("tests/host/support", str(Path(include.path).parent)))
        if not is_file(include.target) and not local:
            return "is no path from the repository's root"
        if ".." in Path(include.target).parts:
            return "climbs"
    elif include.bracketed:
        ours = any(is_file(f"{folder}/{include.target}".lstrip("/")) for folder in INCLUDE_FOLDERS)
        if ours and include.target != "port.h":
            return "is a file of ours in angle brackets"
    else:
        return "is neither in quotes nor in angle brackets"
    return None


def forbidden_ways(
    rule: Layer, start: str, includes: dict[str, list[Include]]
) -> list[list[Include]]:
    """The shortest ways to what the rule forbids, less those through a file that it covers too."""
    ways = []
    seen = {start}
    pending: list[tuple[str, list[Include]]] = [(start, [])]
    while pending:
        path, way = pending.pop(0)
        for include in includes.get(path, []):
            if not include.quoted or include.target in seen:
                continue
            seen.add(include.target)
            if re.match(rule.reached, include.target):
                ways.append([*way, include])
            elif not re.match(rule.files, include.target):
                pending.append((include.target, [*way, include]))
    return ways


def crossed(rule: Layer, path: str, includes: dict[str, list[Include]]) -> list[str]:
    """The edges from `path` that the rule forbids."""
    found = []
    for include in includes[path]:
        if include.bracketed and rule.brackets and not re.fullmatch(rule.brackets, include.target):
            found.append(f"{include} is not for this layer")
        if include.quoted and re.match(rule.direct, include.target):
            found.append(f"{include} is not for this layer")
    ways = forbidden_ways(rule, path, includes)
    return found + [" -> ".join(map(str, way)) + " is not for this layer" for way in ways]


def check_layers(sources: Sources) -> Report:
    includes = sources.includes
    problems = [
        f"{include} {wrong}"
        for found in includes.values()
        for include in found
        if (wrong := misspelt(include))
    ]
    for rule in LAYER_RULES:
        paths = [path for path in includes if re.match(rule.files, path)]
        if not any(includes[path] for path in paths):
            problems.append(f"{rule.files}: no file that includes anything")
        for path in paths:
            problems += crossed(rule, path, includes)
    count = sum(map(len, includes.values()))
    return Report(list(dict.fromkeys(problems)), f"{len(includes)} files, {count} includes")
