#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compares the schedulers of run=explore by the seeds that they need to find a bug of the museum.

For each mutant of MUSEUM: builds its kernel, and boots seed after seed with each scheduler, until one
fails or --seeds of them have passed. A seed that fails on the clean kernel too does not count. A seed's workload, lock and caches are what explore.py chooses
for it, the same for each scheduler. Trial k begins at seed 1000 k + 1.

Writes a record for each mutant and scheduler to --records, as soon as all trials are done:

    {"record":"experiment","experiment":"schedulers","mutant":"drain/..","schedule":"pct:100:3",
     "workloads":"exhaust","limit":12,"seeds":[3,null,7],"boots":..,"seconds":..,...}

`seeds` has for each trial how many seeds it took; null: not found within the limit. The record of a
mutant that --minutes leaves no time for has its name only. doc_figures.py makes the table of docs/testing.md of them.

Exit status: 0; 2 cannot run.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import doc_figures
import explore
import launch
from mutants import trees
from mutants.catalog import Mutant, apply_mutant, read_written
from mutants.source import Index

ROOT = Path(__file__).resolve().parent.parent
CLEAN_KERNEL = explore.DEFAULT_KERNEL
DEFAULT_RECORDS = ROOT / "docs" / "records" / "schedulers.jsonl"
SCHEDULERS = ("seeds", "pct:100:3", "pct:1000:3", "walk:200")

# Bugs that a schedule shows without luck in memory order, with the workloads that enter their code.
MUSEUM: dict[str, tuple[str, ...]] = {
    "heap/stack-fills-while-parked": ("scarce", "kmalloc", "larson"),
    "heap/heap-grows-under-its-lock": ("scarce", "kmalloc"),
    "shootdown/shootdown-not-in-the-handler": ("vm_shared",),
    "shootdown/shootdown-wanted-last-wins": ("vm_shared",),
    "space/vm-freed-before-flush": ("vm_shared", "vm_map"),
    "space/vm-clone-without-flush": ("vm_cow",),
    "traps/irq-masked-after-lock": ("bulk", "rand", "kmalloc"),
    "zones/free-count-outside-lock": ("bulk", "exhaust"),
    "harts/gone-by-its-own-word": ("churn",),
    "harts/kick-cleared-after-look": ("exhaust", "vm_shared", "churn"),
    "drain/answered-before-drain": ("exhaust", "scarce", "asym"),
    "drain/refill-in-two-sections": ("exhaust", "scarce", "asym"),
    "drain/last-look-one-lock-at-a-time": ("exhaust", "scarce", "asym"),
    "drain/pressure-lowered-before-look": ("exhaust", "scarce", "asym"),
    "cache/claim-on-an-old-look": ("bulk", "rand", "burst"),
    "cache/bottom-read-before-the-hold": ("bulk", "rand", "burst"),
    "locks/qspinlock-next-not-made-head": ("bulk", "kmalloc"),
    "shootdown/shootdown-departure-counted-early": ("vm_shared", "churn"),
    "heap/transit-not-waited-for": ("scarce", "kmalloc", "larson"),
    "drain/opened-under-pressure": ("exhaust", "scarce", "asym"),
    "drain/release-counted-outside-lock": ("exhaust", "scarce", "asym"),
}
# Of mutants of one lock.
BOOTARGS = {"locks/qspinlock-next-not-made-head": "lock=qspinlock"}


@dataclass(frozen=True)
class Search:
    """Seed after seed of one scheduler on one kernel."""

    kernel: Path
    name: str
    scheduler: str
    options: argparse.Namespace

    def boot(self, kernel: Path, seed: int, log: Path) -> explore.Outcome:
        choices = explore.Choices(workloads=MUSEUM[self.name], schedule=self.scheduler,
                                  bootargs=BOOTARGS.get(self.name, ""))
        boot = explore.Boot(kernel, choices.smp, choices.mem, explore.bootargs_of(seed, choices),
                            self.options.timeout, explore.ICOUNT)
        return explore.run_schedule(seed, boot, log, launch.Symbols(kernel), launch.Interrupts())

    def finds(self, seed: int, log: Path) -> bool:
        """Whether the mutant fails and the clean kernel does not."""
        return bool(self.boot(self.kernel, seed, log).fault) and not self.boot(CLEAN_KERNEL, seed, log).fault

    def trial(self, number: int) -> tuple[int | None, int]:
        """The seeds that it took, and the boots."""
        log = self.options.out / f"trial-{self.scheduler.replace(':', '-')}-{number}.log"
        for count in range(1, self.options.seeds + 1):
            if self.finds(1000 * number + count, log):
                return count, count
        return None, self.options.seeds

    def run(self, pool: ThreadPoolExecutor) -> explore.Record:
        started = time.monotonic()
        found = list(pool.map(self.trial, range(self.options.trials)))
        return {
            "record": "experiment", "experiment": "schedulers", "mutant": self.name,
            "schedule": self.scheduler, "workloads": ",".join(MUSEUM[self.name]),
            "limit": self.options.seeds, "seeds": [seeds for seeds, _ in found],
            "boots": sum(boots for _, boots in found), "seconds": round(time.monotonic() - started, 1),
            "commit": doc_figures.kernel_commit(), "changed": "the mutant",
            "command": "make schedulers",
        }


def build(tree: Path, mutant: Mutant, index: Index) -> Path:
    trees.copy_tree(ROOT, tree)
    apply_mutant(mutant, index, tree)
    done = subprocess.run(["make", "-s", "all"], cwd=tree, capture_output=True, text=True, check=False)
    if done.returncode:
        raise launch.CannotRun(f"{mutant.full_name} does not build: {done.stderr[-500:]}")
    return tree / "build" / "hartframe.elf"


def chosen(options: argparse.Namespace) -> Iterator[Mutant]:
    by_name = {mutant.full_name: mutant for mutant in read_written(ROOT)[0]}
    for name in MUSEUM:
        if name not in by_name:
            raise launch.CannotRun(f"no mutant {name}")
        if any(text in name for text in options.only.split(",")):
            yield by_name[name]


def text_of(record: explore.Record) -> str:
    seeds = record["seeds"]
    assert isinstance(seeds, list)
    found = ", ".join("-" if seed is None else str(seed) for seed in seeds)
    return f"{record['mutant']:<45}{record['schedule']:<12}{found:<12}{record['boots']:>4} boots {record['seconds']:>6} s"


def compare(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    tree, index = options.out / "tree", Index(ROOT)
    started = time.monotonic()
    kept = [record for record in explore.read_lines(options.records)] if options.add else []
    with ThreadPoolExecutor(options.jobs) as pool:
        for mutant in chosen(options):
            if time.monotonic() - started > 60 * options.minutes:
                print(f"{mutant.full_name:<45}NOT MEASURED: time is over", flush=True)
                kept = [old for old in kept if old["mutant"] != mutant.full_name]
                kept.append({
                    "record": "experiment", "experiment": "schedulers", "mutant": mutant.full_name,
                    "commit": doc_figures.kernel_commit(), "changed": "not measured",
                    "command": "make schedulers"})
                doc_figures.write_records(options.records, kept)
                continue
            kernel = build(tree, mutant, index)
            for scheduler in SCHEDULERS:
                record = Search(kernel, mutant.full_name, scheduler, options).run(pool)
                kept = [old for old in kept if old["mutant"] != mutant.full_name
                        or old.get("schedule") not in (scheduler, None)]
                kept.append(record)
                doc_figures.write_records(options.records, kept)
                print(text_of(record), flush=True)
    print(f"{time.monotonic() - started:.0f} s in all", flush=True)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--seeds", type=explore.positive, default=16, metavar="N", help="limit of a trial (default: 16)")
    add("--trials", type=explore.positive, default=2, metavar="N", help="searches (default: 2)")
    add("--minutes", type=float, default=60.0, metavar="N", help="begin no mutant after that (default: 60)")
    add("--only", default="", metavar="TEXT,..", help="mutants with one of these in their names")
    add("--add", action="store_true", help="keep the records that are there")
    add("--records", type=Path, default=DEFAULT_RECORDS, metavar="FILE")
    add("--out", type=Path, default=ROOT / "build" / "schedulers", metavar="DIR")
    add("--jobs", type=explore.positive, default=len(os.sched_getaffinity(0)), metavar="N")
    add("--timeout", type=float, default=40.0, metavar="SECONDS", help="limit for each boot")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        launch.find_qemu()
        compare(options)
    except launch.CannotRun as error:
        print(f"explore_compare: {error}", file=sys.stderr)
        return launch.CANNOT_RUN
    except OSError as error:  # a full disk, a tree that cannot be written
        print(f"explore_compare: {error.filename or 'write'}: {error.strerror}", file=sys.stderr)
        return launch.CANNOT_RUN
    return 0


if __name__ == "__main__":
    sys.exit(main())
