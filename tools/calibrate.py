#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Measures how often a sweep's check of its times is wrong, and how often variants would be.

Cells are run on a host whose doing is known: under -icount, where the host cannot be seen at all;
alone on it; with more cpus than cores; against busy processes. What the host really did is asked
of its scheduler: how long QEMU's threads of cpus waited for a core while they could have run. A
boot in which they hardly did is undisturbed, one in which they did a lot is disturbed, others are
left out.

For each threshold of tests/smp/cell_thresholds.h, and that of kernel/diag/timing.h, it prints which part of the undisturbed cells
that check alone would reject, and which part of the disturbed ones it would accept; then the same
of all checks together, and how far accepted times are from the best ever seen of the same cell.

By hand, on a host as quiet as can be had: tools/calibrate.py --seconds 600. Everything is kept in
build/calibrate/cells.jsonl; --reuse prints the tables of it again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import launch
from report_records import Record, is_cell, number, parse

ROOT = Path(__file__).resolve().parent.parent
THRESHOLDS = (ROOT / "kernel" / "diag" / "timing.h", ROOT / "tests" / "smp" / "cell_thresholds.h")
ICOUNT = "shift=0,sleep=off"
BOOT_TIMEOUT_SECONDS = 240

# What a cpu's thread waited for a core, of the time in which it ran or could have.
UNDISTURBED_MOST, DISTURBED_LEAST = 0.02, 0.10

CELLS = ("run=bench policy=segment_tree lock=fas,ticket,mcs cache=0,128 rounds=3 cell=10"
         " lockstat=all")
WORKLOADS = ("repeat", "bulk", "rand", "xfree")

# Takes a core for argv[1] seconds, and then leaves it alone for argv[2] seconds.
TURN_MS = 10
TAKER = """
import sys, time
while True:
    end = time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        pass
    time.sleep(float(sys.argv[2]))
"""
HAND_OVER = ("ticket", "mcs", "clh", "anderson", "ticket_pb", "cohort", "qspinlock", "reciprocating",
    "hclh")


# What is run ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    name: str
    cpus: int
    hogs: int = 0
    counted: bool = False
    realtime: bool = False
    taken: int = 0  # percent of one core, in turns of TURN_MS, before it; with realtime


def conditions(cores: int, hogs: int, realtime: bool) -> list[Condition]:
    found = [Condition("counted", 1, counted=True), Condition("alone, 1 cpu", 1)]
    if cores > 1:
        found.append(Condition("alone, a core each", cores))
    if realtime:
        found += [Condition("before all others, 1 cpu", 1, realtime=True),
                  Condition("before all others, a core each", cores, realtime=True)]
        found += [Condition(f"{taken} % of a core taken, {name}", cpus, realtime=True, taken=taken)
                  for taken in (20, 50) for name, cpus in (("1 cpu", 1), ("a core each", cores))]
    found.append(Condition("crowded", 2 * cores))
    if hogs:
        found += [Condition("busy host, 1 cpu", 1, hogs), Condition("busy host", cores, hogs)]
    return found


TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def stolen_ns() -> int:
    """What the host, if it is a guest itself, was not given although it wanted to run."""
    fields = Path("/proc/stat").read_text().split("\n", maxsplit=1)[0].split()
    return int(fields[8]) * (1_000_000_000 // TICKS_A_SECOND)


class Waits:
    """Nanoseconds that QEMU's threads of cpus have run, and waited for a core or its host's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def now(self) -> tuple[int, int]:
        ran, waited = 0, stolen_ns()
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            try:
                if (task / "comm").read_text().startswith("CPU "):
                    one, other, _ = (task / "schedstat").read_text().split()
                    ran, waited = ran + int(one), waited + int(other)
            except OSError:
                continue
        return ran, waited


def go_first(pid: int, condition: Condition) -> None:
    """Before all others, but for what the host keeps of each second for those: a boot is short."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setscheduler(int(task.name), os.SCHED_RR, os.sched_param(1))
        if condition.taken and condition.cpus == 1:
            os.sched_setaffinity(int(task.name), {0})


@contextlib.contextmanager
def ready_to_go_first(condition: Condition) -> Iterator[None]:
    """This process raises QEMU's priority, so it must get a core itself when the sweep begins."""
    if not condition.realtime:
        yield
        return
    os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(2))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


# The kernel says how far the sweep is; its rounds come after its pilots.
PROGRESS, OF_ROUNDS = '{"record":"progress",', re.compile('"what":"(round |done")')


def boot(kernel: Path, condition: Condition, workload: str) -> list[Record]:
    """The cells of one boot, marked with its condition and what its cpus waited in all rounds."""
    wanted = ["--kernel", str(kernel), "--smp", str(condition.cpus), "--mem", "128M",
              "--bootargs", f"{CELLS} workload={workload} cpus={condition.cpus}",
              "--qemu-arg=-name", "--qemu-arg=hartframe,debug-threads=on"]
    wanted += ["--icount", ICOUNT] if condition.counted else []
    command = launch.qemu_command(launch.parse_arguments(wanted))
    lines: list[str] = []
    seen: list[tuple[int, int]] = []
    with ready_to_go_first(condition), subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
            errors="replace") as process:
        alarm = threading.Timer(BOOT_TIMEOUT_SECONDS, process.kill)
        alarm.start()
        waits = Waits(process.pid)
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            if condition.realtime and line.startswith(("sweep: ", PROGRESS)):
                go_first(process.pid, condition)
            if line.startswith(PROGRESS) and OF_ROUNDS.search(line):
                seen.append(waits.now())
        alarm.cancel()
    cells = [record for record in parse("".join(lines)) if is_cell(record)]
    return [{**cell, "condition": condition.name, "waited": waited_part(seen),
             "clock": "instructions" if condition.counted else "time"} for cell in cells]


def waited_part(seen: list[tuple[int, int]]) -> float | None:
    if len(seen) < 2:
        return None
    ran, waited = seen[-1][0] - seen[0][0], seen[-1][1] - seen[0][1]
    return waited / (ran + waited) if ran + waited else None


def run_all(options: argparse.Namespace) -> list[Record]:
    """Each condition in turn, as long as there is time; each at least once with each workload."""
    kept = options.out / "cells.jsonl"
    options.out.mkdir(parents=True, exist_ok=True)
    cells: list[Record] = []
    wanted = [c for c in conditions(os.cpu_count() or 1, options.hogs, options.realtime)
              if not options.only or c.name in options.only]
    ends = time.monotonic() + options.seconds
    with kept.open("w") as stream:
        turn = 0
        while turn == 0 or time.monotonic() < ends:
            for condition in wanted:
                if turn and (condition.counted or time.monotonic() >= ends):
                    continue
                for workload in WORKLOADS:
                    run = partial(boot, options.kernel, condition, workload)
                    found = beside_hogs(condition, run)
                    cells += found
                    stream.writelines(json.dumps(cell) + "\n" for cell in found)
                    waited = found[0]["waited"] if found else None
                    print(f"{condition.name}, {workload}: {len(found)} cells"
                          + (f", waited {100 * waited:.1f} %" if isinstance(waited, float) else ""),
                          flush=True)
            turn += 1
    return cells


def beside_hogs(condition: Condition, run: Callable[[], list[Record]]) -> list[Record]:
    hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
            for _ in range(condition.hogs)]
    if condition.taken:
        taken = condition.taken / 100 * TURN_MS / 1000
        taker = subprocess.Popen([sys.executable, "-c", TAKER, str(taken),
                                  str(TURN_MS / 1000 - taken)])
        os.sched_setscheduler(taker.pid, os.SCHED_RR, os.sched_param(3))
        os.sched_setaffinity(taker.pid, {0})
        hogs.append(taker)
    try:
        return run()
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


# What a cell shows ----------------------------------------------------------------------------


def value(cell: Record, name: str) -> float:
    return number(cell, name) or 0.0


def cores(cell: Record) -> float | None:
    return value(cell, "cores_percent") or None


def ticks_ns(cell: Record, name: str) -> float:
    return value(cell, name) * 1e9 / value(cell, "tick_hz")


def stolen(cell: Record, factor: float) -> float | None:
    """Percent of the run that holds took beyond `factor` times their time alone."""
    alone = ticks_ns(cell, "hold_alone_ticks")
    if not alone or not value(cell, "sum_ns"):
        return None
    beyond = value(cell, "hold_ns") - value(cell, "hold_samples") * factor * alone
    return 100 * max(0.0, beyond) / value(cell, "sum_ns")


def queue(cell: Record) -> float | None:
    alone, mean = value(cell, "hold_alone_ticks"), value(cell, "wait_ticks_mean")
    if cell["lock"] not in HAND_OVER or not alone or not mean:
        return None
    return mean / (value(cell, "cpus") * alone)


def rounds(cell: Record) -> float | None:
    least = value(cell, "ns_per_op_min")
    return 100 * value(cell, "ns_per_op_max") / least if least else None


# Tables ---------------------------------------------------------------------------------------


def label(cell: Record) -> str:
    if cell["clock"] == "instructions":
        return "undisturbed"
    waited = number(cell, "waited")
    if waited is None:
        return ""
    if waited <= UNDISTURBED_MOST:
        return "undisturbed"
    return "disturbed" if waited >= DISTURBED_LEAST else ""


def labelled(cells: Iterable[Record], wanted: str) -> list[Record]:
    return [cell for cell in cells if label(cell) == wanted]


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:5.1f} %" if whole else "   none"


def wrong(cells: list[Record], figure: Callable[[Record], float | None], most: float) -> str:
    """False rejects of the undisturbed, false accepts of the disturbed, that have the figure."""
    good = [f for c in labelled(cells, "undisturbed") if (f := figure(c)) is not None]
    bad = [f for c in labelled(cells, "disturbed") if (f := figure(c)) is not None]
    return (f"{share(sum(f > most for f in good), len(good))} of {len(good):<5}"
            f" {share(sum(f <= most for f in bad), len(bad))} of {len(bad):<5}")


def figures_of(cells: list[Record], figure: Callable[[Record], float | None]) -> str:
    said = []
    for kind in ("undisturbed", "disturbed"):
        found = sorted(f for c in labelled(cells, kind) if (f := figure(c)) is not None)
        if found:
            part = [found[min(len(found) - 1, int(len(found) * p))] for p in (0.5, 0.9, 0.99)]
            said.append(f"{kind} " + " / ".join(f"{f:.4g}" for f in part) + f" / {found[-1]:.4g}")
    return "; ".join(said) or "none"


def table(title: str, cells: list[Record], figure: Callable[[Record], float | None],
          candidates: Iterable[float], chosen: float) -> None:
    print(f"\n{title}; median, 90 %, 99 %, most: {figures_of(cells, figure)}")
    print(f"  {'at most':>9}  {'false rejects':<17} {'false accepts':<17}")
    for most in sorted({*candidates, chosen}):
        mark = "  <- in force" if most == chosen else ""
        print(f"  {most:9g}  {wrong(cells, figure, most)}{mark}")


def in_force() -> dict[str, float]:
    text = "".join(header.read_text() for header in THRESHOLDS)
    found = re.findall(r"^#define\s+(\w+)\s+(\d+)$", text, re.MULTILINE)
    return {name: float(text) for name, text in found}


def cell_key(cell: Record) -> tuple[object, ...]:
    return tuple(cell[name] for name in ("workload", "policy", "lock", "cache", "batch", "cpus"))


def is_accepted(cell: Record, chosen: dict[str, float]) -> bool:
    """As cell_judge() in tests/smp/cell.c; the queue's check only tells why a cell is rejected."""
    percent = rounds(cell)
    return ((cores(cell) or 0) <= chosen["CORES_PERCENT_MOST"]
            and (stolen(cell, chosen["HOLD_FACTOR"]) or 0) <= chosen["STOLEN_PERCENT_MOST"]
            and percent is not None and percent <= chosen["ROUNDS_PERCENT_MOST"])


def print_together(cells: list[Record], chosen: dict[str, float]) -> None:
    """The verdict of all checks; and how far a time that it is given for is from the best."""
    best: dict[tuple[object, ...], float] = {}
    timed = [cell for cell in cells if cell["clock"] == "time" and value(cell, "ns_per_op_min")]
    for cell in timed:
        key = cell_key(cell)
        best[key] = min(best.get(key, float("inf")), value(cell, "ns_per_op_min"))
    print("\nall checks together, with the thresholds in force")
    for kind in ("undisturbed", "disturbed"):
        found = labelled(cells, kind)
        accepted = [cell for cell in found if is_accepted(cell, chosen)]
        print(f"  {kind:<12} {len(found):5} cells, accepted {share(len(accepted), len(found))}")
    print("  how far a time is from the best round seen of its cell, over all boots with a clock:")
    for verdict in (True, False):
        off = sorted(value(cell, "ns_per_op") / best[cell_key(cell)] for cell in timed
                     if is_accepted(cell, chosen) is verdict)
        if off:
            print(f"    {'accepted' if verdict else 'rejected'}: {len(off)} cells,"
                  f" median {off[len(off) // 2]:.2f}, 90 % {off[int(len(off) * 0.9)]:.2f}, most {off[-1]:.2f}")


def print_tables(cells: list[Record]) -> None:
    chosen = in_force()
    hold_factor = chosen["HOLD_FACTOR"]
    for few in (True, False):
        table(f"cores: percent of the time with a core, {'one cpu' if few else 'several cpus'}",
              [cell for cell in cells if (value(cell, "cpus") == 1) == few], cores,
              (102, 105, 110, 115, 120, 130, 150, 200), chosen["CORES_PERCENT_MOST"])
    for factor in sorted({2.0, 3.0, 4.0, 8.0, hold_factor}):
        mark = " (in force)" if factor == hold_factor else ""
        table(f"holds: percent of the run beyond {factor:g} times alone{mark}", cells,
              partial(stolen, factor=factor), (0, 1, 2, 5, 10, 20),
              chosen["STOLEN_PERCENT_MOST"])
    table("queue: a wait, in holds of all cpus", cells, queue, (1, 2, 4, 8, 16, 32, 64),
          chosen["WAIT_FACTOR_MOST"])
    for few in (True, False):
        of = "one cpu" if few else "several cpus"
        table(f"rounds: the slowest, percent of the fastest, {of}",
              [cell for cell in cells if (value(cell, "cpus") == 1) == few], rounds,
              (105, 110, 120, 130, 140, 150, 175, 200, 300), chosen["ROUNDS_PERCENT_MOST"])
    print_together(cells, chosen)


def print_boots(cells: list[Record]) -> None:
    print("\nwhat the host did:")
    for name in dict.fromkeys(str(cell["condition"]) for cell in cells):
        of = [cell for cell in cells if cell["condition"] == name]
        waits = sorted({w for cell in of if (w := number(cell, "waited")) is not None})
        said = f"waited {100 * waits[0]:.1f} to {100 * waits[-1]:.1f} %" if waits else "not known"
        if of[0]["clock"] == "instructions":
            said = "cannot be seen"
        print(f"  {name:<32} {len(of):5} cells, {said};"
              f" undisturbed {len(labelled(of, 'undisturbed'))}, disturbed {len(labelled(of, 'disturbed'))}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kernel", type=Path, default=ROOT / "build" / "hartframe.elf")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "calibrate")
    parser.add_argument("--seconds", type=float, default=300.0, help="for all boots (default: 300)")
    parser.add_argument("--hogs", type=int, default=os.cpu_count() or 1,
                        help="busy processes beside some boots; 0 where the host is busy anyway")
    parser.add_argument("--realtime", action="store_true",
                        help="also boots with real-time priority; needs the right to set it")
    parser.add_argument("--only", action="append", metavar="CONDITION", help="may be repeated")
    parser.add_argument("--reuse", type=Path, help="boot nothing; read the cells of an earlier run")
    options = parser.parse_args()
    cells = parse(options.reuse.read_text()) if options.reuse else run_all(options)
    if not cells:
        print("calibrate: no cell came out of it", file=sys.stderr)
        return 1
    print_boots(cells)
    print_tables(cells)
    return 0


if __name__ == "__main__":
    sys.exit(main())
