#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What queueing theory says of one lock that n CPUs want, beside what a sweep of workload=lock measured.

The system is closed ("machine repairman"): each CPU thinks for t, then wants the lock, waits, holds it
for h, and thinks again. For any order of service and any times, n CPUs finish n operations in the time
t + wait + h, so wait = n / throughput - t - h. The throughput depends on how the times vary:

    fixed     both fixed: no CPU waits until the lock is held all the time, min(n / (t + h), 1 / h)
    md        think times exponential, holds fixed: exact, by the chain of the CPUs that want the lock
              just after a release
    mm        both exponential: exact, by the balance of births and deaths

    tools/lock_model.py FIXED.jsonl [RANDOM.jsonl ...]

FIXED.jsonl has the records of a sweep in virtual time with fixed hold and think times, 1 CPU among
them. What a lock adds is taken from that sweep: an operation on one CPU takes more than hold + think,
and with the most CPUs, where the lock is always held, an operation takes more than hold. Everything
else is predicted: all other cells of that file, and all cells of the others.

Exit status: 0; 2 cannot run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from math import comb, exp
from pathlib import Path

Record = dict[str, object]


class CannotRun(Exception):
    """Says why."""


# Throughput: operations of all CPUs in a unit of time -----------------------------------------


def fixed(cpus: int, hold: float, think: float) -> float:
    return min(cpus / (hold + think), 1 / hold)


def mm(cpus: int, hold: float, think: float) -> float:
    """weight[k]: of the state in which k CPUs want or have the lock."""
    weight = [1.0]
    for wanting in range(cpus):
        weight.append(weight[-1] * (cpus - wanting) * hold / think)
    return (1 - weight[0] / sum(weight)) / hold


def next_state(cpus: int, state: int, returns: float) -> list[float]:
    """Probabilities of how many CPUs want the lock after the next release, if `state` do after this one.

    If none does, the lock is idle until one does. During a hold each CPU that thinks comes back with
    the probability `returns`.
    """
    wanting = max(state, 1)
    thinking = cpus - wanting
    row = [0.0] * cpus
    for back in range(thinking + 1):
        share = comb(thinking, back) * returns**back * (1 - returns) ** (thinking - back)
        row[wanting - 1 + back] += share
    return row


def md(cpus: int, hold: float, think: float) -> float:
    """From release to release: a hold, and if no CPU wants the lock, the time until one does."""
    rows = [next_state(cpus, state, 1 - exp(-hold / think)) for state in range(cpus)]
    share = [1 / cpus] * cpus
    for _ in range(10000):
        new = [sum(share[i] * rows[i][j] for i in range(cpus)) for j in range(cpus)]
        change = max(abs(a - b) for a, b in zip(share, new))
        share = new
        if change < 1e-12:
            break
    return 1 / (hold + share[0] * think / cpus)


MODELS = {("fixed", "fixed"): fixed, ("fixed", "random"): md, ("random", "random"): mm}


def wait(cpus: int, throughput: float, hold: float, think: float) -> float:
    return cpus / throughput - hold - think


# Measured -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """What a record of one lock alone says; times in instructions of one CPU."""

    lock: str
    cpus: int
    hold: float
    think: float
    spreads: tuple[str, str]
    per_op: float
    wait: float
    jain: float

    @property
    def throughput(self) -> float:
        return self.cpus / self.per_op


def number(record: Record, member: str) -> float:
    value = record.get(member)
    if not isinstance(value, (int, float)):
        raise CannotRun(f'a record has no number "{member}"')
    return float(value)


def cells_of(records: Iterable[Record]) -> list[Cell]:
    """The measurable cells of one lock alone."""
    return [
        Cell(str(r["lock"]), int(number(r, "cpus")), number(r, "hold"), number(r, "think"),
             (str(r["hold_spread"]), str(r["think_spread"])), number(r, "ns_per_op"),
             number(r, "wait_mean"), number(r, "jain"))
        for r in records
        if r.get("workload") == "lock" and r.get("clock") == "virtual" and r.get("valid")
    ]


def read(path: Path) -> list[Cell]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return cells_of(json.loads(line) for line in lines)
    except (OSError, ValueError) as error:
        raise CannotRun(f"{path}: {error}") from error


@dataclass(frozen=True)
class Costs:
    """What a lock adds to the stated times: to an operation in all, and to a hold in a queue."""

    operation: float
    handover: float

    def times(self, cell: Cell) -> tuple[float, float]:
        """hold and think of the model."""
        hold = cell.hold + self.handover
        return hold, cell.hold + cell.think + self.operation - hold


def costs_of(cells: Iterable[Cell]) -> dict[str, Costs]:
    """Of each lock, from its cells of one CPU and of the most."""
    costs = {}
    cells = list(cells)
    for lock in {cell.lock for cell in cells}:
        mine = sorted((cell for cell in cells if cell.lock == lock), key=lambda cell: cell.cpus)
        if mine[0].cpus != 1 or mine[0].spreads != ("fixed", "fixed"):
            raise CannotRun(f"{lock}: no cell of 1 CPU with fixed times")
        costs[lock] = Costs(mine[0].per_op - mine[0].hold - mine[0].think,
                            1 / mine[-1].throughput - mine[-1].hold)
    return costs


@dataclass(frozen=True)
class Compared:
    """A cell, and what the model says of it."""

    cell: Cell
    throughput: float
    wait: float

    @property
    def percent(self) -> float:
        return (self.cell.throughput / self.throughput - 1) * 100


def compare(cell: Cell, costs: Costs) -> Compared:
    if cell.spreads not in MODELS:
        raise CannotRun(f"no model of holds {cell.spreads[0]} and think times {cell.spreads[1]}")
    hold, think = costs.times(cell)
    throughput = MODELS[cell.spreads](cell.cpus, hold, think)
    return Compared(cell, throughput, wait(cell.cpus, throughput, hold, think))


# The command ----------------------------------------------------------------------------------

HEAD = ("lock", "hold, think", "CPUs", "ops/Minstr", "model", "difference", "wait/op", "model")


def row_of(compared: Compared) -> list[str]:
    cell = compared.cell
    return [cell.lock, f"{cell.spreads[0]}, {cell.spreads[1]}", str(cell.cpus),
            f"{cell.throughput * 1e6:.0f}", f"{compared.throughput * 1e6:.0f}",
            f"{compared.percent:+.1f} %", f"{cell.wait:.0f}", f"{abs(compared.wait):.0f}"]


def line_of(row: Iterable[str]) -> str:
    return f"| {' | '.join(row)} |"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Queueing theory beside a sweep of workload=lock.")
    parser.add_argument("fixed", type=Path, metavar="FIXED.jsonl")
    parser.add_argument("random", type=Path, nargs="*", metavar="RANDOM.jsonl")
    options = parser.parse_args(arguments)
    try:
        costs = costs_of(read(options.fixed))
        print(line_of(HEAD))
        print(line_of("---" for _ in HEAD))
        for path in [options.fixed, *options.random]:
            for cell in sorted(read(path), key=lambda cell: (cell.lock, cell.cpus)):
                print(line_of(row_of(compare(cell, costs[cell.lock]))))
    except (CannotRun, KeyError) as error:
        print(f"lock_model: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
