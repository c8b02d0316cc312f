#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""The tables of measured figures in docs/*.md: made from records, and held against them.

A document marks such a table with `<!-- figures: NAME -->` before it and `<!-- end -->` after it. NAME
is a key of TABLES. The records are in docs/records/*.jsonl, one JSON object a line. A record says in
`boot` which boot it is from; the `source` record with the same `boot` has the command of that boot.
Records of `"record":"experiment"` were typed in: they are of code that was changed for a measurement,
or of one particular host. They say the commit and the command; --measure does not make them again.

    tools/doc_figures.py                        fill: write the tables again, from the records
    tools/doc_figures.py --check                name each cell where a document differs from its record
    tools/doc_figures.py --measure              boot the kernels of build/, and write docs/records
    tools/doc_figures.py --measure --out FILE   the same, but all records into FILE
    tools/doc_figures.py --measure --only NAME  the same, but only the boots of docs/records/NAME.jsonl
    tools/doc_figures.py --compare FILE         which records differ by more than 2 % from those in FILE

The kernels are built by

    make build/hartframe.elf build/qemu/hartframe.so build/bench/checks0/hartframe.elf build/bench/checks1/hartframe.elf \\
            build/bench/checks0-zbb/hartframe.elf build/bench/checks1-zbb/hartframe.elf

FILE may also be build/report/records.jsonl, which `make report` writes, or the records of one boot of
run=bench. All figures are counts of instructions under -icount: a busy host does not change them.

Exit status: 0; 1 if --check found a difference, --compare found one of more than 2 %, or a boot of
--measure failed; 2 cannot run.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import bench_heap
import launch
import lines
import lock_model
from lines_model import cell_of_record, counts_of, cpus_of, time_of_operation
from mutants.sample import interval
from report_records import Record, number, parse
from report_sweep import Boot, standard_sweep

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
RECORDS = DOCS / "records"
BUILD = ROOT / "build"

# --compare names a record that differs from the fresh one by more than this.
TOLERANCE_PERCENT = 2.0

POLICIES = ("segment_tree", "bitmap", "interval_stack", "recycler", "free_list")


class CannotRun(Exception):
    """Says why."""


# The boots that make the records --------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """A boot of one kernel; its records go to docs/records/FILE.jsonl."""

    file: str
    kernel: str  # below the build's folder
    boot: Boot


COUNTED = "cpus=1 rounds=1 ops=100000"
ROUTE_SWEEP = f"run=bench policy=segment_tree cache=128,0 {COUNTED} workload=repeat,bulk,rand,run,frag"
SIZE_SWEEP = f"run=bench policy=all cache=128,0 {COUNTED} workload=rand,run"
SIZE_MEMS = ("32M", "256M")


def counting(title: str, bootargs: str, mem: str = "128M") -> Boot:
    return Boot(title, bootargs, 1, mem, counts=True)


LINES_FREE, LINES_DEAR, LINES_ALL, LINES_COST = "lines", "lines that cost", "lines of all locks", 40
LINES_LOCKS = ("ticket", "mcs")
LINES_SWEEP = (f"time=virtual run=bench lock={','.join(LINES_LOCKS)} cache=0 workload=bulk "
               "cpus=1,4,8,16,32,64 rounds=1 ops=48")
LINES_LOCKS_SWEEP = "time=virtual run=bench lock=all cache=0 workload=bulk cpus=16 rounds=1 ops=48"


def lines_boot(title: str, bootargs: str, smp: int, cost: int) -> Boot:
    return Boot(title, bootargs, smp, "256M", options=("--lines", "--line", str(cost)))


def metadata_boot(policy: str, mem: str) -> str:
    return f"metadata {policy} {mem}"


# One lock alone, in virtual time. The models of lock_model.py are held against the first three; the last
# has all locks, which takes a few minutes.
TURN, OTHER_TURN = 25, 50
LOCK_SWEEP = f"time=virtual turn={TURN} run=bench workload=lock rounds=2"
LOCK_MODEL = f"{LOCK_SWEEP} lock=mcs cpus=1,2,4,8,12,16"
LOCK_KINDS, LOCK_KINDS_CPUS = "lock kinds", (1, 2, 4, 8, 16, 32, 64)
LOCK_TURNS = "lock turns"
LOCK_BOOTS = {
    "lock fixed": f"{LOCK_MODEL} cell=1 hold=200 think=1800",
    "lock think random": f"{LOCK_MODEL} cell=4 hold=200 think=1800:random",
    "lock both random": f"{LOCK_MODEL} cell=4 hold=200:random think=1800:random",
    LOCK_KINDS: f"{LOCK_SWEEP} lock=all cpus={','.join(map(str, LOCK_KINDS_CPUS))} hold=200 think=1800:random",
    LOCK_TURNS: (f"{LOCK_SWEEP.replace(f'turn={TURN}', f'turn={OTHER_TURN}')} lock=fas,cas,dec,mcs cpus=64 hold=200 "
                 "think=1800:random"),
}


# What fault injection and each diagnostic of frames costs: an argument, and what it is in the document.
DIAGNOSTICS_SWEEP = "run=bench workload=repeat,run,kmalloc cpus=1 rounds=1 ops=4000"
DIAGNOSTICS = {
    "cache=0": "none of them, `cache=0`",
    "failnth=1000000000000": "`failnth=`, of which none comes due",
    "framedebug=owners": "`framedebug=owners`",
    "framedebug=poison": "`framedebug=poison`",
    "framedebug=all": "`framedebug=all`",
}


def diagnostics_boot(argument: str) -> str:
    return f"diagnostics {argument}"


def sources() -> list[Source]:
    """The figure of policies in the report is of its boots `instructions` and `whole`: these are the same."""
    report = {boot.title: boot for boot in standard_sweep()}
    checks1 = "bench/checks1/hartframe.elf"
    return [
        *(Source("policies", checks1, report[title]) for title in ("instructions", "whole")),
        *(Source("switches", f"bench/{kind}/hartframe.elf", counting(f"bench {kind}", "run=bench"))
          for kind in ("checks0", "checks1", "checks0-zbb", "checks1-zbb")),
        Source("switches", "hartframe.elf", counting("bench asserts", "run=bench")),
        Source("switches", checks1, counting("bench trace", "run=bench trace=on")),
        *(Source("heapdebug", checks1, counting(HEAPDEBUG + words, f"run=bench heapdebug={words}" if words
                                                else "run=bench")) for words in HEAPDEBUG_WORDS),
        Source("routes", checks1, counting("routes", ROUTE_SWEEP)),
        *(Source("sizes", checks1, counting(f"sizes {mem}", SIZE_SWEEP, mem)) for mem in SIZE_MEMS),
        Source("lines", "hartframe.elf", lines_boot(LINES_FREE, LINES_SWEEP, 64, 0)),
        Source("lines", "hartframe.elf", lines_boot(LINES_DEAR, LINES_SWEEP, 64, LINES_COST)),
        Source("lines", "hartframe.elf", lines_boot(LINES_ALL, LINES_LOCKS_SWEEP, 16, LINES_COST)),
        *(Source("sizes", checks1, counting(metadata_boot(policy, mem), f"run=bench policy={policy}", mem))
          for policy in POLICIES for mem in SIZE_MEMS),
        *(Source("diagnostics", checks1, counting(diagnostics_boot(argument), f"{DIAGNOSTICS_SWEEP} {argument}"))
          for argument in DIAGNOSTICS),
        *(Source("virtual-locks", "hartframe.elf",
                 Boot(title, bootargs, max(LOCK_KINDS_CPUS) if title in (LOCK_KINDS, LOCK_TURNS) else 16))
          for title, bootargs in LOCK_BOOTS.items()),
    ]


# What each diagnostic of the heap costs: a boot for each set of words.
HEAP_PAIR = "kmalloc_pair_256_live"
HEAPDEBUG = "heapdebug "
HEAPDEBUG_WORDS = ("", "leaks", "redzone", "poison", "quarantine", "owners", "guard", "guard=1", "all")


# What a record of a document keeps: which figure it is, and the figure.
KEPT = ("workload", "policy", "cache", "cpus", "ops", "checks", "zbb", "supported",
        "instructions_per_op", "value", "unit")
KEPT_OF_LOCKS = ("workload", "lock", "cpus", "clock", "turn", "seed", "valid", "hold", "hold_spread", "think",
                 "think_spread", "ns_per_op", "wait_mean", "wait_p50", "wait_p99", "wait_worst", "jain",
                 "overtaken_most", "half_turn_percent")


def kept(record: Record, boot: str) -> Record:
    found: Record = {"record": record["record"], "boot": boot, "bench": record.get("bench")}
    names = KEPT_OF_LOCKS if boot in LOCK_BOOTS else KEPT
    return {**found, **{name: record[name] for name in names if name in record}}


METADATA = "metadata_tree_bytes_per_1000_frames"


def is_figure(record: Record, boot: str) -> bool:
    """A count, or a cell of a sweep: nothing that depends on the host."""
    if record.get("record") != "bench":
        return False
    if boot.startswith(HEAPDEBUG):
        return record.get("bench") == HEAP_PAIR
    if boot.startswith("metadata "):
        return record.get("bench") == METADATA
    return record.get("bench") == "sweep" or record.get("unit") in ("instructions", "bytes")


# What a kernel is built from.
KERNEL_SOURCES = ("arch", "kernel", "mm", "sync", "tests/smp", "linker.ld", "Makefile", "tools/make")


def printed_by_git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def kernel_commit() -> str:
    """The newest commit of anything that a kernel is built from."""
    commit = printed_by_git("log", "-1", "--format=%h", "--", *KERNEL_SOURCES) or "unknown"
    changed = printed_by_git("diff", "HEAD", "--name-only", "--", *KERNEL_SOURCES)
    return f"{commit} and changes" if changed else commit


def compiler_of(kernel: Path) -> str:
    """As the compiler has noted it for debuggers: counts depend on it."""
    found = re.search(rb"GNU C11 ([\d.]+) ", kernel.read_bytes())
    return f"gcc {found[1].decode()}" if found else "unknown"


def boot_once(source: Source, kernel: Path, logs: Path) -> list[Record]:
    """Its source record and its figures."""
    logs.mkdir(parents=True, exist_ok=True)
    stem = logs / re.sub(r"\W+", "-", source.boot.title)
    records = stem.with_suffix(".jsonl")
    records.unlink(missing_ok=True)
    command = [sys.executable, str(ROOT / "tools" / "launch.py"), *source.boot.arguments(kernel),
               "--quiet", "--log", str(stem.with_suffix(".console")), "--records", str(records)]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise CannotRun(f"{source.boot.title}: {done.stderr.strip() or done.returncode}")
    title = source.boot.title
    found = parse(records.read_text(encoding="utf-8"))
    figures = list(lines.kept(found, title)) if source.file == "lines" else [
        kept(record, title) for record in found if is_figure(record, title)]
    if not figures:
        raise CannotRun(f"{title}: passed, but printed no figure")
    about: Record = {"record": "source", "boot": title, "command": source.boot.command(kernel),
                     "commit": kernel_commit(), "compiler": compiler_of(kernel)}
    return [about, *figures]


def compact(record: Record) -> str:
    """As the kernel writes it."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False)


def write_records(path: Path, records: Iterable[Record]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(compact(record) + "\n" for record in records), encoding="utf-8")


def measure(build: Path, out: Path | None, only: str = "") -> int:
    """Boots all, or those of one file; a boot that fails leaves the file of its records as it was."""
    wanted = [source for source in sources() if source.file == (only or source.file)]
    if not wanted:
        raise CannotRun(f"no boot makes docs/records/{only}.jsonl")
    fresh: dict[str, list[Record]] = {}
    failed: set[str] = set()
    for place, source in enumerate(wanted, 1):
        kernel = build / source.kernel
        print(f"[{place:2}/{len(wanted)}] {source.boot.title}", flush=True)
        try:
            if not kernel.is_file():
                raise CannotRun(f"{kernel}: no such file; --help says how to build it")
            fresh.setdefault(source.file, []).extend(boot_once(source, kernel, build / "logs" / "figures"))
        except CannotRun as error:
            complain(str(error))
            failed.add(source.file)
    if out:
        write_records(out, [record for of_file in fresh.values() for record in of_file])
    else:
        for file, records in fresh.items():
            if file not in failed:
                write_records(RECORDS / f"{file}.jsonl", records)
    return 1 if failed else 0


def complain(message: str) -> None:
    print(f"doc_figures: {message}", file=sys.stderr, flush=True)


# Finding a figure -----------------------------------------------------------------------------


class Missing(Exception):
    """No record, or more than one, has what a cell shows."""


class Records:
    """All records of docs/records."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.records = list(records)

    def one(self, **wanted: object) -> Record:
        found = [r for r in self.records if all(r.get(k) == v for k, v in wanted.items())]
        if len(found) != 1:
            shown = ", ".join(f"{name}={value}" for name, value in wanted.items())
            raise Missing(f"{len(found) or 'no'} records of {shown}")
        return found[0]

    def of(self, member: str, **wanted: object) -> float:
        value = number(self.one(**wanted), member)
        if value is None:
            raise Missing(f"no number {member!r} in the record of {wanted}")
        return value

    def bench(self, boot: str, name: str) -> float:
        return self.of("value", record="bench", boot=boot, bench=name)

    def cell(self, boot: str, workload: str, policy: str, cache: int) -> float | None:
        """Instructions an operation; None: the policy does not support the workload."""
        wanted = {"record": "bench", "boot": boot, "bench": "sweep", "workload": workload,
                  "policy": policy, "cache": cache}
        if self.one(**wanted).get("supported") is False:
            return None
        return self.of("instructions_per_op", **wanted)


def read_records(folder: Path) -> Records:
    found: list[Record] = []
    for path in sorted(folder.glob("*.jsonl")):
        for line_number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            record = json.loads(line)
            if not isinstance(record, dict) or "record" not in record:
                raise CannotRun(f"{path}:{line_number}: not a record")
            found.append(record)
    return Records(found)


# The tables -----------------------------------------------------------------------------------

Row = list[str]

NO_RUNS = "no runs"


def one_decimal(value: float | None) -> str:
    return NO_RUNS if value is None else f"{value:.1f}"


def policies(records: Records) -> list[Row]:
    rows = [["workload", *(f"`{policy}`" for policy in POLICIES)]]
    boots = {"repeat": "instructions", "bulk": "instructions", "rand": "instructions", "run": "whole",
             "exhaust": "whole", "burst": "instructions", "frag": "whole"}
    for workload, boot in boots.items():
        for cache, name in ((128, "cache of 128"), (0, "no cache")):
            cells = [records.cell(boot, workload, policy, cache) for policy in POLICIES]
            rows.append([f"`{workload}`, {name}", *map(one_decimal, cells)])
    return rows


def switches(records: Records) -> list[Row]:
    def pair(kernel: str) -> str:
        how = (records.bench(f"bench {kernel}", f"pair_{how}") for how in ("inlined", "called"))
        return " / ".join(f"{value:.0f}" for value in how)

    def bulk(kernel: str, mode: str = "") -> float:
        return records.bench(f"bench {kernel}", f"bulk_pair{mode}")

    def more(value: float, than: float) -> str:
        return f"{value - than:+.2f}".replace("-0.00", "0").replace("+0.00", "0").replace("-", "−")

    base = bulk("checks1")
    statistics = {mode: bulk("checks1", f"_lockstat_{mode}") for mode in ("off", "contended", "all")}
    rows = [["build or boot", "pair that hits (inlined / called)", "bulk pair"]]
    rows += [["`CHECKS=0`", pair("checks0"), f"{bulk('checks0'):.1f}"],
             ["`CHECKS=1`, the default", pair("checks1"), f"{base:.1f}"]]
    rows += [[f"`CHECKS=1`, `lockstat={mode}` instead of `contended`", pair("checks1"),
              more(statistics[mode], statistics["contended"])] for mode in ("off", "all")]
    rows += [["`CHECKS=1 ZBB=1`", pair("checks1-zbb"), more(bulk("checks1-zbb"), base)],
             ["`CHECKS=1`, `trace=on`", pair("trace"), more(bulk("trace"), base)],
             ["`CHECKS=1 ASSERTS=1`, the default of `make`", pair("asserts"),
              more(bulk("asserts"), base)]]
    return rows


# What a row of the next table shows: the name in the document, and where its figure is.
ROUTE_FIGURES: dict[str, tuple[str, str]] = {
    "refill": ("hold of a refill", "hold_refill_4_words"),
    "flush": ("hold of a flush", "hold_flush_4_words"),
    "one": ("one frame of the tree", "tree_single_alloc_128m"),
    "free": ("random free", "tree_random_free_128m"),
    "aligned": ("aligned run", "tree_run_512_128m"),
    "failure": ("failure of an aligned run", "tree_run_512_failure_128m"),
    "rand": ("`rand`, no cache", "rand 0"),
    "run": ("`run`, cache of 128", "run 128"),
}


def heapdebug(records: Records) -> list[Row]:
    def pair(words: str) -> float:
        return records.bench(HEAPDEBUG + words, HEAP_PAIR)

    rows = [["`heapdebug=`", "pair of `kmalloc(64)` and `kfree`"]]
    return rows + [[f"`{words}`" if words else "not given", f"{pair(words):.0f}"] for words in HEAPDEBUG_WORDS]


def route_now(records: Records, name: str) -> str:
    workload, _, cache = name.partition(" ")
    if not cache:
        return f"{records.bench('bench checks1', name):.0f}"
    return one_decimal(records.cell("routes", workload, "segment_tree", int(cache)))


def routes(records: Records) -> list[Row]:
    rows = [["route", "figure", "now", "with it, then", "without it, then"]]
    for record in records.records:
        if record.get("experiment") == "route":
            figure, name = ROUTE_FIGURES[str(record["figure"])]
            rows.append([str(record["route"]), figure, route_now(records, name),
                         f"{record['with']}", f"{record['without']}"])
    return rows


def removed_routes(records: Records) -> list[Row]:
    return [["removed route", "what it had saved"],
            *([str(r["route"]), str(r["saved"])] for r in records.records
              if r.get("experiment") == "removed route")]


def bulk_designs(records: Records) -> list[Row]:
    return [["design", "bulk pair"],
            *([str(r["design"]), f"{r['value']}"] for r in records.records
              if r.get("experiment") == "bulk pair")]


def called_pair(records: Records) -> list[Row]:
    return [["design", "called", "inlined"],
            *([str(r["design"]), f"{r['called']}", f"{r['inlined']}"] for r in records.records
              if r.get("experiment") == "called pair")]


def parallel(records: Records) -> list[Row]:
    rows = [["lock", "contended, in parallel", "in virtual time", "of an operation waited, in parallel",
             "in virtual time"]]
    return rows + [[f"`{r['lock']}`", *(f"{r[name]} %" for name in
                    ("parallel", "virtual", "parallel_wait", "virtual_wait"))]
                   for r in records.records if r.get("experiment") == "two harts in parallel"]


def qemu_versions(records: Records) -> list[Row]:
    versions = ("7.2", "10.0")
    shown: dict[str, Callable[[Record], str]] = {
        "ops/Minstr": lock_rate, "p99": lambda r: f"{r['wait_p99']}", "worst": lambda r: f"{r['wait_worst']}"}
    rows = [["lock", "CPUs", *(f"{name}, {version}" for name in shown for version in versions)]]
    for record in records.records:
        if record.get("experiment") == "two versions of QEMU":
            both = [{**record[version], "cpus": record["cpus"]} for version in versions]  # type: ignore[dict-item]
            rows.append([f"`{record['lock']}`", f"{record['cpus']}",
                         *(show(cell) for show in shown.values() for cell in both)])
    return rows


def thresholds(records: Records) -> list[Row]:
    return [["check", "threshold", "undisturbed and rejected", "disturbed and accepted",
             "other thresholds: undisturbed and rejected, disturbed and accepted"],
            *([str(r[name]) for name in ("check", "threshold", "rejected", "accepted", "others")]
              for r in records.records if r.get("experiment") == "threshold")]


def sizes(records: Records) -> list[Row]:
    def both(policy: str, workload: str, cache: int) -> str:
        cells = [records.cell(f"sizes {mem}", workload, policy, cache) for mem in SIZE_MEMS]
        return NO_RUNS if None in cells else " / ".join(map(one_decimal, cells))

    def metadata(policy: str) -> str:
        found = (records.bench(metadata_boot(policy, mem), METADATA) for mem in SIZE_MEMS)
        return " / ".join(f"{value / 1000:.3f}" for value in found)

    mems = " / ".join(SIZE_MEMS)
    rows = [["policy", f"a frame of `rand`, {mems}", "the same, `cache=0`", f"a frame of `run`, {mems}",
             "bytes of metadata a frame"]]
    for policy in POLICIES:
        rows.append([f"`{policy}`", both(policy, "rand", 128), both(policy, "rand", 0),
                     both(policy, "run", 128), metadata(policy)])
    return rows


def diagnostics(records: Records) -> list[Row]:
    def cost(argument: str, workload: str) -> str:
        cell = records.cell(diagnostics_boot(argument), workload, POLICIES[0], 0)
        return "" if cell is None else f"{cell:,.0f}"

    workloads = ("repeat", "run", "kmalloc")
    return [["boot argument", *(f"`{workload}`" for workload in workloads)],
            *([name, *(cost(argument, workload) for workload in workloads)]
              for argument, name in DIAGNOSTICS.items())]


def lock_cells(records: Records, boot: str) -> list[lock_model.Cell]:
    return lock_model.cells_of(r for r in records.records if r.get("boot") == boot)


def lock_models(records: Records) -> list[Row]:
    costs = lock_model.costs_of(lock_cells(records, "lock fixed"))
    rows = [list(lock_model.HEAD)]
    for boot in LOCK_BOOTS:
        for cell in lock_cells(records, boot) if boot not in (LOCK_KINDS, LOCK_TURNS) else ():
            rows.append(lock_model.row_of(lock_model.compare(cell, costs[cell.lock])))
    return rows


def lock_kinds_of(records: Records, *cpus: object) -> list[Record]:
    """The cells of one lock alone with these numbers of CPUs, in the order in which they ran."""
    return [r for r in records.records if r.get("boot") == LOCK_KINDS and r["record"] == "bench"
            and r["cpus"] in cpus]


def lock_rate(record: Record) -> str:
    return f"{1e6 * float(str(record['cpus'])) / float(str(record['ns_per_op'])):.0f}"


def lock_kinds(records: Records) -> list[Row]:
    rows = [["lock", "ops/Minstr", "wait p50", "p99", "worst", "overtaken", "Jain", "half turn"]]
    for record in lock_kinds_of(records, 16):
        rows.append([f"`{record['lock']}`", lock_rate(record),
                     *(f"{record[f'wait_{name}']}" for name in ("p50", "p99", "worst")),
                     f"{record['overtaken_most']}", f"{record['jain']:.4f}",
                     f"{record['half_turn_percent']:.1f} %"])
    return rows


def locks_by_cpus(shown: Callable[[Record], str]) -> Callable[[Records], list[Row]]:
    """A row for each lock, a column for each number of CPUs."""
    def table(records: Records) -> list[Row]:
        rows = [["lock", *(f"{cpus} CPU{'s' * (cpus > 1)}" for cpus in LOCK_KINDS_CPUS)]]
        by_lock: dict[object, list[Record]] = {}
        for record in lock_kinds_of(records, *LOCK_KINDS_CPUS):
            by_lock.setdefault(record["lock"], []).append(record)
        for lock, cells in by_lock.items():
            if sorted(int(str(cell["cpus"])) for cell in cells) != sorted(LOCK_KINDS_CPUS):
                raise Missing(f"records of {LOCK_KINDS}, lock={lock}: not one for each number of CPUs")
            cells.sort(key=lambda cell: LOCK_KINDS_CPUS.index(int(str(cell["cpus"]))))
            rows.append([f"`{lock}`", *map(shown, cells)])
        return rows

    return table


def locks_turns(records: Records) -> list[Row]:
    """The same locks with turns of two lengths, with as many CPUs as there are."""
    shown: dict[str, Callable[[Record], str]] = {
        "ops/Minstr": lock_rate, "worst": lambda r: f"{r['wait_worst']}", "Jain": lambda r: f"{r['jain']:.4f}"}
    rows = [["lock", *(f"{name}, `turn={turn}`" for name in shown for turn in (TURN, OTHER_TURN))]]
    for other in (r for r in records.records if r.get("boot") == LOCK_TURNS and r["record"] == "bench"):
        both = records.one(record="bench", boot=LOCK_KINDS, lock=other["lock"], cpus=other["cpus"]), other
        rows.append([f"`{other['lock']}`", *(show(cell) for show in shown.values() for cell in both)])
    return rows


def lines_cell(records: Records, boot: str, cpus: object, lock: str) -> Record:
    return records.one(record="lines_cell", boot=boot, cpus=cpus, lock=lock)


def lines_cells(records: Records) -> list[Row]:
    rows = [["CPUs", *(f"`{lock}`: {what}" for lock in LINES_LOCKS for what in (
        "misses, upgrades an operation", "instructions an operation", f"the same with `LINE={LINES_COST}`"))]]
    for cpus in (cell["cpus"] for cell in records.records
                 if cell.get("boot") == LINES_FREE and cell.get("lock") == LINES_LOCKS[0]):
        row = [f"{cpus}"]
        for lock in LINES_LOCKS:
            free, dear = (lines_cell(records, boot, cpus, lock) for boot in (LINES_FREE, LINES_DEAR))
            operations = number(free, "operations") or 1
            each = [(number(free, name) or 0.0) / operations for name in ("misses", "upgrades")]
            row += [f"{each[0]:.1f}, {each[1]:.1f}", f"{free['time']:.0f}", f"{dear['time']:.0f}"]
        rows.append(row)
    return rows


def lines_locks(records: Records) -> list[Row]:
    """The fastest first."""
    cells = [r for r in records.records if r["record"] == "lines_cell" and r["boot"] == LINES_ALL]
    rows = [["lock", f"instructions an operation, with `LINE={LINES_COST}`", "misses an operation",
             "of these false", "upgrades an operation"]]
    for cell in sorted(cells, key=lambda r: number(r, "time") or 0.0):
        operations = number(cell, "operations") or 1
        each = [(number(cell, name) or 0.0) / operations for name in ("misses", "false", "upgrades")]
        rows.append([f"`{cell['lock']}`", f"{cell['time']:.0f}", *(f"{count:.1f}" for count in each)])
    return rows


def lines_hot(records: Records) -> list[Row]:
    """Of 16 CPUs."""
    cell = lines_cell(records, LINES_FREE, 16, "mcs")
    operations = number(cell, "operations") or 1
    rows = [["line", "misses in 1,000 operations", "of these false", "upgrades", "functions"]]
    for line in records.records:
        if line["record"] == "lines_hot" and line["boot"] == LINES_FREE and line["cell"] == cell["cell"]:
            each = [1000 * (number(line, name) or 0.0) / operations for name in ("misses", "false", "upgrades")]
            names = ", ".join(f"`{name}`" for name in line["functions"])  # type: ignore[attr-defined]
            rows.append([f"`{line['name']}`", *(f"{count:.0f}" for count in each), names])
    return rows


def lines_model(records: Records) -> list[Row]:
    """What tools/lines_model.py says from the cells of up to 16 CPUs, and what was measured."""
    rows = [["lock", "LINE", "CPUs", "from cells of up to 16 CPUs", "measured", "difference"]]
    for lock in LINES_LOCKS:
        cells = {boot: [cell_of_record(r) for r in records.records if r["record"] == "lines_cell"
                        and r["boot"] == boot and r["lock"] == lock] for boot in (LINES_FREE, LINES_DEAR)}
        few = [[cell for cell in of if cpus_of(cell) <= 16] for of in cells.values()]
        counts = counts_of(*few)
        for boot, cost in ((LINES_FREE, 0), (LINES_DEAR, LINES_COST)):
            for cell in cells[boot]:
                if cpus_of(cell) > 16:
                    said = time_of_operation(counts, cpus_of(cell), cost)
                    difference = f"{100 * said / cell.time() - 100:+.1f} %".replace("-", "−")
                    rows.append([f"`{lock}`", f"{cost}", f"{cpus_of(cell)}", f"{said:.0f}",
                                 f"{cell.time():.0f}", difference])
    return rows


def heaps(records: Records) -> list[Row]:
    """A row for each heap. The trace alone has no memory."""
    found = [r for r in records.records if r.get("experiment") == "heaps"]
    names = bench_heap.heap_names(found)
    titles = [bench_heap.TITLES[trace] for trace in bench_heap.TRACES]
    rows = [["heap", "figure", *titles]]
    for unit, figure_text, what in (("instructions", bench_heap.instructions_text, "instructions"),
                                    ("ns", bench_heap.ratio_text, f"time, {bench_heap.BASE} = 1")):
        for name in names:
            rows.append([HEAP_NAMES.get(name, name), what, *(
                figure_text(bench_heap.found(found, bench=f"host_heap_{trace}", heap=name, unit=unit))
                for trace in bench_heap.TRACES)])
    return rows


def heap_memory(records: Records) -> list[Row]:
    rows = [["heap", "bytes taken a byte asked", "after each block was replaced, on average, four times"]]
    return rows + [[HEAP_NAMES.get(str(r["heap"]), str(r["heap"])), f"{r['value']:.3f}", f"{r['refilled']:.3f}"]
                   for r in records.records
                   if r.get("experiment") == "heaps" and r.get("bench") == f"host_heap_{bench_heap.MEMORY}"]


def mutants(records: Records) -> list[Row]:
    """A sample of generated mutants, by folder. The `verdict` of a survivor: equivalent, open, or the
    test that catches it since."""
    rows = [["folder", "mutants", "not built, or of the same object code", "caught", "survived",
             "of these equivalent", "of these caught since", "share caught, 95 %",
             "without the equivalent ones"]]
    of_sample = [r for r in records.records if r.get("experiment") == "mutant"]
    folders = {str(r["name"]): str(r["file"]).rpartition("/")[0] for r in of_sample}
    for folder in [*sorted(set(folders.values())), "all"]:
        part = [r for r in of_sample if folder in ("all", folders[str(r["name"])])]
        caught = sum(r["status"] == "caught" for r in part)
        survived = [r for r in part if r["status"] == "survived"]
        equivalent = sum(r["verdict"] == "equivalent" for r in survived)
        still_open = sum(r["verdict"] == "open" for r in survived)
        rows.append([folder if folder == "all" else f"`{folder}`", f"{len(part)}",
                     f"{len(part) - caught - len(survived)}", f"{caught}", f"{len(survived)}",
                     f"{equivalent}", f"{len(survived) - equivalent - still_open}", share(caught, caught + len(survived)),
                     share(caught, caught + len(survived) - equivalent)])
    return rows


def share(caught: int, counted: int) -> str:
    if not counted:
        return "none"
    low, high = interval(caught, counted)
    return f"{100 * caught / counted:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


HEAP_NAMES = {"kmalloc": "kmalloc, `CHECKS=0`", "kmalloc checks": "kmalloc, `CHECKS=1`", "none": "the trace alone"}


def schedulers(records: Records) -> list[Row]:
    """A row for each mutant: the seeds of each search, by scheduler; and the sums."""
    found = [r for r in records.records if r.get("experiment") == "schedulers"]
    kinds = list(dict.fromkeys(str(r["schedule"]) for r in found if "schedule" in r))
    if not kinds:
        raise Missing("no record of an experiment `schedulers`")
    rows = [["mutant", *(f"`{kind}`" for kind in kinds)]]
    for mutant in dict.fromkeys(str(r["mutant"]) for r in found):
        by_kind = {r.get("schedule"): r for r in found if r["mutant"] == mutant}
        rows.append([mutant, *(seeds_text(by_kind[kind]) if kind in by_kind else "NOT MEASURED" for kind in kinds)])
    measured = [r for r in found if "schedule" in r]
    rows.append(["searches that found it", *(
        f"{sum(len(found_of(r)) for r in measured if r['schedule'] == kind)} of "
        f"{sum(len(searches_of(r)) for r in measured if r['schedule'] == kind)}" for kind in kinds)])
    rows.append(["mutants found", *(
        f"{sum(1 for r in measured if r['schedule'] == kind and found_of(r))} of "
        f"{sum(1 for r in measured if r['schedule'] == kind)}" for kind in kinds)])
    for name, what in (("boots", "boots"), ("seconds", "seconds")):
        rows.append([what, *(f"{sum(number(r, name) or 0 for r in measured if r['schedule'] == kind):.0f}"
                             for kind in kinds)])
    return rows


def searches_of(record: Record) -> list[object]:
    seeds = record["seeds"]
    return seeds if isinstance(seeds, list) else []


def found_of(record: Record) -> list[object]:
    return [seeds for seeds in searches_of(record) if seeds is not None]


def seeds_text(record: Record) -> str:
    return ", ".join("-" if seeds is None else str(seeds) for seeds in searches_of(record))


TABLES: dict[str, Callable[[Records], list[Row]]] = {
    "schedulers": schedulers,
    "parallel": parallel, "qemu-versions": qemu_versions,
    "policies": policies, "sizes": sizes, "diagnostics": diagnostics, "thresholds": thresholds, "switches": switches,
    "bulk-designs": bulk_designs, "routes": routes, "removed-routes": removed_routes,
    "called-pair": called_pair, "lock-models": lock_models, "lock-kinds": lock_kinds,
    "locks-throughput": locks_by_cpus(lock_rate),
    "locks-p99": locks_by_cpus(lambda record: f"{record['wait_p99']}"),
    "locks-worst": locks_by_cpus(lambda record: f"{record['wait_worst']}"),
    "locks-jain": locks_by_cpus(lambda record: f"{record['jain']:.4f}"),
    "locks-turns": locks_turns,
    "locks-overtaken": locks_by_cpus(lambda record: f"{record['overtaken_most']}"),
    "lines-cells": lines_cells, "lines-hot": lines_hot,
    "lines-locks": lines_locks, "lines-model": lines_model, "heaps": heaps, "heapdebug": heapdebug, "heap-memory": heap_memory,
    "mutants": mutants,
}


# Documents ------------------------------------------------------------------------------------

BEGIN = re.compile(r"^<!-- figures:", re.MULTILINE)
MARKED = re.compile(r"^<!-- figures: (\S+) -->\n(.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)


def markdown(rows: Sequence[Row]) -> str:
    head, *body = [f"| {' | '.join(row)} |\n" for row in rows]
    return "".join([head, "|" + "---|" * len(rows[0]) + "\n", *body])


def cells_of_line(line: str) -> Row:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def table_in(text: str) -> list[Row]:
    rows = [cells_of_line(line) for line in text.splitlines() if line.startswith("|")]
    return [row for row in rows if set("".join(row)) != {"-"}]


def wanted_rows(name: str, records: Records) -> list[Row]:
    if name not in TABLES:
        raise Missing("there is no table of this name")
    return TABLES[name](records)


def differences(shown: Sequence[Row], wanted: Sequence[Row]) -> Iterator[str]:
    """What a person looks for: the row, the column, and both values."""
    if len(shown) != len(wanted):
        yield f"{len(shown)} rows in the document, {len(wanted)} in the records"
    for row, right in zip(shown, wanted):
        if len(row) != len(right):
            yield f"row {right[0]}: {len(row)} cells in the document, {len(right)} in the records"
        for column, (cell, value) in enumerate(zip(row, right)):
            if cell != value:
                heading = wanted[0][column]
                yield f"row {right[0]}, column {heading}: document {cell}, record {value}"


def check_text(text: str, records: Records) -> list[str]:
    problems = []
    for found in MARKED.finditer(text):
        name = found[1]
        try:
            wanted = wanted_rows(name, records)
        except Missing as missing:
            problems.append(f"{name}: {missing}")
            continue
        problems += [f"{name}: {problem}" for problem in differences(table_in(found[2]), wanted)]
    if len(BEGIN.findall(text)) != len(MARKED.findall(text)):
        problems.append("a `<!-- figures: NAME -->` without an `<!-- end -->`")
    return problems


def filled(text: str, records: Records) -> str:
    def table(found: re.Match[str]) -> str:
        rows = markdown(wanted_rows(found[1], records))
        return f"<!-- figures: {found[1]} -->\n{rows}<!-- end -->"

    return MARKED.sub(table, text)


def documents(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("*.md"))
            if BEGIN.search(path.read_text(encoding="utf-8"))]


def check(docs: Path, records: Records) -> int:
    problems, used = [], set()
    for path in documents(docs):
        text = path.read_text(encoding="utf-8")
        used |= {found[1] for found in MARKED.finditer(text)}
        problems += [f"docs/{path.name}: {problem}" for problem in check_text(text, records)]
    problems += [f"{name}: no document shows this table" for name in TABLES if name not in used]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def fill(docs: Path, records: Records) -> int:
    for path in documents(docs):
        before = path.read_text(encoding="utf-8")
        after = filled(before, records)
        if after != before:
            path.write_text(after, encoding="utf-8")
            print(f"docs/{path.name}: filled")
    return 0


# Against fresh records --------------------------------------------------------------------------

IDENTITY = ("boot", "bench", "workload", "policy", "lock", "cache", "cpus", "checks", "zbb")


def identity(record: Record) -> tuple[object, ...]:
    """Which figure it is. The records of one boot of run=bench do not say the boot's title."""
    zbb = "-zbb" if record.get("zbb") else ""
    boot = record.get("boot", f"bench checks{record.get('checks')}{zbb}")
    return tuple({**record, "boot": boot}.get(name) for name in IDENTITY)


def figure(record: Record) -> float | None:
    value = number(record, "ns_per_op" if record.get("clock") == "virtual" else "instructions_per_op")
    return number(record, "value") if value is None else value


def compare(records: Records, fresh: Iterable[Record]) -> int:
    by_identity = {identity(r): figure(r) for r in fresh if r.get("record") == "bench"}
    compared, differ = 0, 0
    for record in records.records:
        old = figure(record) if record["record"] == "bench" else None
        new = by_identity.get(identity(record))
        if old is None or new is None:
            continue
        compared += 1
        if abs(new - old) * 100 > TOLERANCE_PERCENT * old:
            differ += 1
            which = ", ".join(str(part) for part in identity(record) if part is not None)
            print(f"{which}: record {old:g}, now {new:g} ({(new / old - 1) * 100:+.1f} %)" if old
                  else f"{which}: record {old:g}, now {new:g}")
    print(f"{compared} records compared, {differ} differ by more than {TOLERANCE_PERCENT:g} %")
    if not compared:
        raise CannotRun("no record of docs/records is in that file")
    return 1 if differ else 0


# The command line -------------------------------------------------------------------------------


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="compare the documents with the records")
    what.add_argument("--measure", action="store_true", help="boot, and write new records")
    what.add_argument("--compare", type=Path, metavar="FILE", help="compare the records with fresh ones")
    parser.add_argument("--only", default="", metavar="NAME",
                        help="of --measure: only the boots that make docs/records/NAME.jsonl")
    parser.add_argument("--out", type=Path, metavar="FILE", help="of --measure: instead of docs/records")
    parser.add_argument("--build", type=Path, default=BUILD, metavar="DIR", help="where the kernels are")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    if options.measure:
        return measure(options.build, options.out, options.only)
    records = read_records(RECORDS)
    if options.check:
        return check(DOCS, records)
    if options.compare:
        return compare(records, parse(options.compare.read_text(encoding="utf-8")))
    return fill(DOCS, records)


def main(arguments: list[str] | None = None) -> int:
    try:
        return run(parse_arguments(arguments))
    except (CannotRun, Missing, launch.CannotRun, OSError) as error:
        complain(str(error))
        return 2


if __name__ == "__main__":
    sys.exit(main())
