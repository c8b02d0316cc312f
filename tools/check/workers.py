# SPDX-License-Identifier: BSD-2-Clause
"""Hands tests to pytest-xdist's workers in the order of collection, one at a time.

pytest-xdist's own schedulers hand out many at once, so that a worker with a long job keeps short
ones waiting. A worker begins a test only when it knows the next one, or that there is none: so each
is given one ahead. The methods are those that pytest-xdist calls.
"""

from __future__ import annotations

from typing import Any

AHEAD = 2  # the test that runs, and the next


class InOrder:
    """Which tests are pending, and which worker has which."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.collected: dict[Any, list[str]] = {}
        self.given: dict[Any, list[int]] = {}
        self.collection: list[str] | None = None
        self.pending: list[int] = []

    @property
    def nodes(self) -> list[Any]:
        return list(self.given)

    @property
    def collection_is_completed(self) -> bool:
        return len(self.collected) >= self.workers

    @property
    def tests_finished(self) -> bool:
        """Also where a worker waits to hear that there is no next test."""
        return self.collection_is_completed and not self.pending and all(
            len(given) < AHEAD for given in self.given.values()
        )

    @property
    def has_pending(self) -> bool:
        return bool(self.pending) or any(self.given.values())

    def add_node(self, node: Any) -> None:
        self.given[node] = []

    def add_node_collection(self, node: Any, collection: list[str]) -> None:
        self.collected[node] = list(collection)

    def remove_node(self, node: Any) -> str | None:
        """The test that the worker died of; what it had not begun goes back."""
        given = self.given.pop(node)
        if not given or self.collection is None:
            return None
        self.pending[:0] = given[1:]
        for other in self.given:
            self.fill(other)
        return self.collection[given[0]]

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        self.given[node].remove(item_index)
        self.fill(node)

    def mark_test_pending(self, item: str) -> None:
        raise NotImplementedError("a test is not run twice")

    def remove_pending_tests_from_node(self, node: Any, indices: object) -> None:
        raise NotImplementedError("tests are not taken back from a worker")

    def fill(self, node: Any) -> None:
        if node.shutting_down:
            return
        count = AHEAD - len(self.given[node])
        indices, self.pending = self.pending[:count], self.pending[count:]
        if indices:
            self.given[node] += indices
            node.send_runtest_some(indices)
        if not self.pending:
            node.shutdown()  # when it has run what it was given: then it waits for no next test

    def schedule(self) -> None:
        """All workers have collected; also called when a worker that replaces another has."""
        if self.collection is None:
            self.collection = next(iter(self.collected.values()))
            if any(found != self.collection for found in self.collected.values()):
                raise RuntimeError("the workers found different tests")
            self.pending = list(range(len(self.collection)))
        for node in self.given:
            self.fill(node)
