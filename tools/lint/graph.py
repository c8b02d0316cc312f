# SPDX-License-Identifier: BSD-2-Clause
"""Circles in a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator


def components(
    starts: Iterable[str], below: Callable[[str], Iterable[str]], known: Collection[str] = ()
) -> Iterator[list[str]]:
    """Tarjan's strongly connected components, those below first, without recursion of our own.

    What is `known` is not looked at again.
    """
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    work: list[tuple[str, Iterator[str]]] = []

    def enter(name: str) -> None:
        number[name] = lowest[name] = len(number)
        path.append(name)
        work.append((name, iter(below(name))))

    for start in starts:
        if start not in number and start not in known:
            enter(start)
        while work:
            name, others = work[-1]
            other = next(others, None)
            if other is not None:
                if other not in number and other not in known:
                    enter(other)
                elif other in path:
                    lowest[name] = min(lowest[name], number[other])
                continue
            work.pop()
            if work:
                lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[name])
            if lowest[name] == number[name]:
                at = path.index(name)
                component = path[at:]
                del path[at:]
                yield component
