# SPDX-License-Identifier: BSD-2-Clause
"""The page docs/fences.md: a row for each fence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import fences_source

if TYPE_CHECKING:
    from fences import Fence

HEAD = """# Fences: what each of them is for

`tools/fences.py --save` writes this page: it takes away each fence of the sources, one by one, and looks for an
execution on the weak-memory explorer ([testing.md](testing.md), "Weak memory") that dies without it. `make test` checks
that each fence of `mm/`, `sync/`, `kernel/` and `arch/` has its row here.

- *orders*: the kinds of accesses before the fence that come before those behind it: `r` reads and `w` writes of memory,
  `i` and `o` input and output of devices, registers and the firmware.
- *partner*: the fence that was most often at the other end of the order, in the executions of the last workload.
- *dies in*: the workload, and after how many executions; the pairs of kinds are those that an execution dies without.
  "together with": no execution dies without this fence alone, but one dies when the other is missing too.
- A fence without a test has a reason (`tests/host/weak/fences.toml`).

"""


def place(name: str) -> tuple[str, str, str]:
    """File, and function with the fence's kind and number."""
    kit = name.startswith("ck: ")
    file, function, rest = name.removeprefix("ck: ").split(" ", 2)
    what, number = rest.rsplit(" ", 1)
    what = re.sub(r"^(ck_pr|arch)_fence_", "", what)
    return ("Concurrency Kit, " if kit else "") + file, function, what if number == "1" else f"{what} {number}"


def short(name: str) -> str:
    pair = re.search(r"/([iorw],(?:[iorw]|walks))$", name)
    _, function, what = place(name[:pair.start()] if pair else name)
    return f"`{what}` in `{function}`" + (f", of it `{pair[1]}`" if pair else "")


def pairs_of(fence: Fence) -> str:
    pairs = [f"`{pair}`" for pair in fence.dies if pair != "all"]
    return ": " + " ".join(pairs) if pairs else ""


def result(fence: Fence | None, why: str) -> str:
    if fence and fence.is_needed():
        workload, executions = fence.dies["all"]
        return f"dies in `{workload}`, {executions}{pairs_of(fence)}"
    parts = []
    if fence and fence.together:
        other, workload, executions = fence.together
        parts.append(f"Dies together with {short(str(other))} (`{workload}`, {executions}).")
    elif fence and fence.tried:
        parts.append(f"{fence.tried} executions do not die.")
    return " ".join([*parts, why or "NO TEST, AND NO REASON"])


def rows_of(names: list[str], fences: dict[str, Fence], why: dict[str, str]) -> list[str]:
    lines: list[str] = []
    file = ""
    for name in names:
        at, function, what = place(name)
        if at != file:
            file = at
            lines += ["", f"## {file}", "", "| function | fence | orders | partner | what it is for |", "|---|---|---|---|---|"]
        fence = fences.get(name)
        kind = name.removeprefix("ck: ").split(" ", 2)[2].rsplit(" ", 1)[0]
        partner = short(fence.partner) if fence and fence.partner else ""
        lines.append(f"| `{function}` | `{what}` | {fences_source.orders(kind)} | {partner} | "
                     f"{result(fence, why.get(name, ''))} |")
    return lines


def counts(places: list[fences_source.Place], fences: dict[str, Fence]) -> tuple[int, int, int]:
    """Fences, those that an execution dies without, those that one dies without if another is missing."""
    names = [place.name() for place in places]
    dies = sum(name in fences and fences[name].is_needed() for name in names)
    together = sum(name in fences and not fences[name].is_needed() and bool(fences[name].together) for name in names)
    return len(names), dies, together


def summary(places: list[fences_source.Place], fences: dict[str, Fence]) -> str:
    all_of_them, dies, together = counts(places, fences)
    return (f"{all_of_them} fences; an execution dies without {dies}; {together} more die together with another one; "
            f"{all_of_them - dies} have a reason")


def page(places: list[fences_source.Place], fences: dict[str, Fence], why: dict[str, str]) -> str:
    kit = [name for name in fences if name.startswith("ck: ")]
    lines = rows_of([place.name() for place in places] + kit, fences, why)
    return HEAD + summary(places, fences) + ".\n" + "\n".join(lines) + "\n"
