#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Runs every test there is, side by side, and counts.

Three kinds of job: host test programs, which print KTAP, fuzz targets over their corpora among
them; the kernel under QEMU, through
launch.py, which prints KTAP too and ends with a verdict; and commands (lint, the model's searches,
a sweep of schedules), of which only the exit status counts. Each KTAP result is one test; a QEMU job
and such a command is one more.

A job that crashes, times out, prints no results or fewer than it planned is a failure, whatever
its results say. The last line of output is `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

import launch
import trace  # ours, beside this file

ROOT = Path(__file__).resolve().parent.parent
LAUNCHER = ROOT / "tools" / "launch.py"
CORPORA = ROOT / "tests" / "host" / "corpus"

# Bounds that only a hang reaches, on a slow machine too.
HOST_TIMEOUT_SECONDS = 1800
QEMU_TIMEOUT_SECONDS = 300
MANY_HARTS_TIMEOUT_SECONDS = 3600
LAUNCHER_GRACE_SECONDS = 60
KILL_GRACE_SECONDS = 10

SHOWN_LINES_MAX = 2000

ALL_SLOTS = 1 << 30  # of any machine


@dataclass(frozen=True)
class Case:
    """One boot of the kernel, and what it must come to."""

    name: str
    bootargs: str = ""
    smp: str = "4"
    mem: str = "128M"
    icount: str = ""
    dtb: str = ""
    qemu_args: tuple[str, ...] = ()
    timeout: int = QEMU_TIMEOUT_SECONDS
    expect: str = "pass"
    must_contain: tuple[str, ...] = ()
    typed: str = ""  # a file of what is typed on the console
    judge: str = ""  # "sweep", "trace": its records are looked at too
    bare: bool = False  # the kernel without the programs of tests/


POLICIES = ("bitmap", "interval_stack", "recycler", "free_list")  # segment_tree is the default

# A lock that serves in order waits for the host to schedule each cpu in turn where cpus outnumber
# its cores, so those get two cpus and less to do.
UNFAIR_LOCKS = ("cas", "dec")
FIFO_LOCKS = ("ticket", "mcs", "clh", "anderson")


def refused(name: str, bootargs: str, *must_contain: str) -> Case:
    """Boot arguments that the kernel must refuse, in these words."""
    wanted = ("bootargs:", *must_contain)
    return Case(f"refused-{name}", bootargs, smp="2", expect="fail", must_contain=wanted)


# Two nodes of unequal distance, two harts each.
NUMA = (
    "-object", "memory-backend-ram,id=m0,size=256M",
    "-object", "memory-backend-ram,id=m1,size=256M",
    "-numa", "node,nodeid=0,memdev=m0,cpus=0-1",
    "-numa", "node,nodeid=1,memdev=m1,cpus=2-3",
    "-numa", "dist,src=0,dst=1,val=30",
)

# Four nodes of one hart each, all at different distances. Where there are more than two, this QEMU's
# PLIC does not come up.
NUMA_FOUR = (
    "-machine", "aia=aplic",
    *(
        argument
        for node in range(4)
        for argument in (
            "-object", f"memory-backend-ram,id=m{node},size=32M",
            "-numa", f"node,nodeid={node},memdev=m{node},cpus={node}",
        )
    ),
    "-numa", "dist,src=0,dst=1,val=40",
    "-numa", "dist,src=0,dst=2,val=30",
    "-numa", "dist,src=0,dst=3,val=20",
    "-numa", "dist,src=1,dst=2,val=25",
    "-numa", "dist,src=1,dst=3,val=35",
    "-numa", "dist,src=2,dst=3,val=15",
)

# The last node has harts and no memory.
NUMA_WITHOUT_MEMORY = (
    "-machine", "aia=aplic",
    "-object", "memory-backend-ram,id=m0,size=64M",
    "-object", "memory-backend-ram,id=m1,size=64M",
    "-numa", "node,nodeid=0,memdev=m0,cpus=0-1",
    "-numa", "node,nodeid=1,memdev=m1,cpus=2",
    "-numa", "node,nodeid=2,cpus=3",
    "-numa", "dist,src=0,dst=1,val=15",
    "-numa", "dist,src=0,dst=2,val=40",
    "-numa", "dist,src=1,dst=2,val=25",
)

# The first node has room for the kernel and hardly more; the second touches it.
def small_first_node(first: str, second: str, harts: int) -> tuple[str, ...]:
    half = harts // 2
    return (
        "-object", f"memory-backend-ram,id=m0,size={first}",
        "-object", f"memory-backend-ram,id=m1,size={second}",
        "-numa", f"node,nodeid=0,memdev=m0,cpus=0-{half - 1}",
        "-numa", f"node,nodeid=1,memdev=m1,cpus={half}-{harts - 1}",
    )


# A boot that does little: what is to be seen has happened before it.
LITTLE = "run=stress workload=bulk,run,exhaust ops=300"


def early(name: str, tree: str, *must_contain: str, expect: str = "pass") -> Case:
    """What has to be right, or refused, before there is an allocator: a tree of tests/smp/trees."""
    return Case(name, LITTLE, dtb=f"build/trees/{tree}.dtb", expect=expect,
                must_contain=must_contain)


def other_tree(name: str, a1: int, *must_contain: str, copy: bool = False,
               expect: str = "fail-untold") -> Case:
    """The kernel is given another device tree than the firmware was (tests/smp/trees/stub.S).

    Where it cannot read that, it knows of no finisher, and QEMU's status cannot tell that it failed.
    """
    words = ((0x83100000, a1), (0x83100008, a1 if copy else 0))
    given = tuple(argument for address, word in words if word for argument in
                  ("-device", f"loader,addr={address:#x},data={word:#x},data-len=8"))
    return Case(name, LITTLE, smp="2", expect=expect, must_contain=must_contain, timeout=60,
                qemu_args=("-kernel", "build/trees/stub.elf", "-device",
                           "loader,file=build/hartframe.elf", *given))


def crash(kind: str, *must_contain: str) -> Case:
    """One of the boot argument crash=: what the last cpu does wrong is named, with where it was.

    How many of the others stop in time is for the host to say.
    """
    wanted = ("PANIC on cpu 3 (hart ", "), crash: ", "registers:\n  pc  ", "  sp  ", "backtrace:\n  [<0",
              "crash, stopped at [<0x", *must_contain)
    return Case(f"crash-{kind}", f"crash={kind}", mem="32M", expect="fail", must_contain=wanted)


def crash_traced(kind: str, *must_contain: str) -> Case:
    """The same with a trace: each cpu's last events are said."""
    return Case(f"crash-{kind}-traced", f"crash={kind} trace=on", mem="32M", expect="fail",
                must_contain=must_contain)


# Memory that ends beyond Sv39, and is there only when touched.
TWO_TIB = ("-machine", "memory-backend=m0",
           "-object", "memory-backend-ram,id=m0,size=2048G,reserve=off")

# Boots beside the matrix of --smp and --mem, which runs everything with the defaults.
CASES = (
    *(Case(f"lock-{lock}", f"run=stress lock={lock} ops=20k") for lock in UNFAIR_LOCKS),
    *(Case(f"lock-{lock}", f"run=stress lock={lock} ops=5k", smp="2") for lock in FIFO_LOCKS),
    # Under icount a timer's interrupt can land on any instruction, and the selftest insists.
    Case("icount", "run=selftest", smp="1", icount="shift=0,sleep=off"),
    # Machines that are not QEMU's plain one.
    Case("numa", "run=selftest,stress ops=20k", mem="512M", qemu_args=NUMA,
         must_contain=("node 1 takes from zone2 (10), zone0 (30), zone1 (30)",
                       "nodes: frames that their cpus took", '{"record":"node","node":1,')),
    Case("numa-four-nodes", "run=selftest,stress ops=5k", qemu_args=NUMA_FOUR,
         must_contain=("node 1 takes from zone2 (10), zone3 (25), zone4 (35), zone0",
                       "node 3 takes from zone4 (10), zone3 (15), zone0 (20)")),
    Case("numa-cpus-without-memory", "run=selftest", qemu_args=NUMA_WITHOUT_MEMORY,
         must_contain=("node 2 takes from zone2 (25), zone0 (40), zone1 (40)",)),
    Case("numa-odd-tree", "run=selftest,stress ops=5k", dtb="build/trees/nodes.dtb",
         must_contain=(
             "in 8 zones",
             '"lost_frames":1,',
             "node 0 takes from zone1 (10), zone0 (10), zone6 (20), zone2 (40)",
             "node 7 takes from zone4 (10), zone2 (10), zone3 (10), zone5 (10), "
             "zone0 (15), zone1 (15), zone6 (22), zone7 (60)",
             "node 11 takes from zone1 (20), zone0 (20), zone2 (20)",
             "node 3 takes from zone6 (20), zone2 (30), zone3 (30), zone4 (30), "
             "zone5 (30), zone0 (35), zone1 (35), zone7 (45)",
         )),
    Case("numa-no-map", "run=selftest", dtb="build/trees/nodes-no-map.dtb",
         must_contain=("node 0 takes from zone2 (10), zone0 (20), zone1 (20)",
                       "node 1 takes from zone1 (10), zone0 (10), zone2 (20)")),
    Case("numa-impossible-distance", dtb="build/trees/bad-distance.dtb", expect="fail",
         must_contain=("device tree: distance-matrix: has an impossible distance", "offset 0x")),
    Case("initrd", "run=selftest", qemu_args=("-initrd", "build/hartframe.map"),
         must_contain=("in 3 zones",)),
    Case("hart-disabled-memory-reserved", dtb="build/trees/holes.dtb",
         must_contain=("hart 1 is left alone: disabled", "3 cpus", "in 3 zones")),
    # The time before there are zones.
    Case("early-memory-in-two-nodes", LITTLE, qemu_args=small_first_node("3M", "125M", 4),
         must_contain=("zone1: node 1, frames [0x80",)),
    Case("early-memory-for-32-harts", "run=stress workload=bulk ops=50", smp="32", qemu_args=small_first_node("4M", "124M", 32),
         must_contain=("hartframe: 32 cpus", "zone1: node 1, frames [0x8")),
    early("early-memory-where-banks-touch", "banks-touch", "memory: 128 MiB in 3 zones"),
    early("early-memory-where-banks-are-nested", "banks-nested", "memory: 128 MiB in 3 zones"),
    early("early-memory-in-another-bank", "banks-apart", "memory: 50 MiB in 3 zones",
          "zone2: node 0, frames [0x840"),
    early("early-usable-range", "usable-range", "hart 2 is left alone: disabled",
          "memory: 32 MiB in 2 zones", "zone0: node 0, frames [0x80100, 0x80200)"),
    early("early-all-is-reserved", "all-reserved", "no memory: ", expect="fail"),
    early("early-no-ram-at-the-kernel", "no-memory-here",
          "no memory: the device tree has no RAM at [0x80200000, ", expect="fail"),
    early("early-no-map-over-the-kernel", "no-map-kernel", "no-map region [0x80000000, 0x80400000) "
          "covers the kernel at [0x80200000, ", expect="fail"),
    Case("early-no-map-over-the-kernel-paging-off", f"{LITTLE} paging=off",
         dtb="build/trees/no-map-kernel.dtb", must_contain=("paging: off",)),
    early("early-initrd-over-the-kernel", "initrd-kernel", "the initrd [0x80201000, 0x80400000) "
          "covers the kernel at [0x80200000, ", expect="fail"),
    early("early-reserved-memory-in-other-cells", "reserved-cells", "device tree: #address-cells: "
          "of /reserved-memory is not the root's: 1, not 2 (offset 0x", expect="fail"),
    other_tree("no-tree", 0, "device tree at 0: no tree at address 0"),
    other_tree("tree-without-magic", 0x85000000, "device tree at 0x85000000: wrong magic number"),
    other_tree("tree-nowhere", 0x88000000, "trap: load access fault (scause 0x5), stval 0x8800000"),
    other_tree("tree-in-the-kernel", 0x80200040, "the device tree at 0x80200040 is in the kernel at "
               "[0x80200000, "),
    other_tree("tree-misaligned", 0x84000003, copy=True, expect="pass"),
    other_tree("tree-at-the-end-of-ram", 0x87FFE003, copy=True, expect="pass"),
    Case("malformed-memory-node", dtb="build/trees/bad-memory.dtb", expect="fail",
         must_contain=("device tree: reg:", "offset 0x")),
    Case("hart-that-never-arrives", "run=selftest", dtb="build/trees/absent-hart.dtb",
         expect="fail", must_contain=("hart 9 was started and has not arrived yet; it has 10 s\n",
                                      "hart 9 was started but did not arrive within 10 s\n")),
    Case("sixteen-harts", "run=selftest", smp="16", mem="64M"),
    # Harts that come and go, the boot hart among them.
    *(Case(f"churn-smp={harts}", "run=stress workload=churn ops=60k", smp=harts, mem="64M",
           must_contain=('"record":"churn"',)) for harts in ("2", "4", "8")),
    Case("churn-one-cpu", "run=stress workload=churn ops=5k", smp="1", mem="64M",
         must_contain=('"stops":0',)),
    # More harts than a mask of the firmware names, and than a word of cpus has. There are as few
    # operations as show that all of them take part: far more harts than cores take turns, and every
    # barrier and flush waits for all. OpenSBI takes 128 harts at most and disables the rest, so of
    # 130 two are left alone; three words of cpus are in host/test_space and host/test_cpu. There the
    # harts sleep, are stopped and started, and are asked for all that they have.
    *(Case(f"harts=66-{workload}", f"run=stress workload={workload} ops=1", smp="66",
           timeout=MANY_HARTS_TIMEOUT_SECONDS, must_contain=("stress: 66 cpus", wanted))
      for workload, wanted in (("vm_shared", '"workload":"vm_shared"'), ("churn", '"record":"churn"'))),
    Case("harts=130", "run=monitor", smp="130", typed="tests/smp/monitor_many.txt",
         timeout=MANY_HARTS_TIMEOUT_SECONDS,
         must_contain=("hartframe: 128 cpus", "hart 129 is left alone: disabled", "cpu 127: done",
                       "cpu 127: it is so already", "held: none is free anywhere", "free 0 + cached 0",
                       "zones, caches and heap are whole", "cpu 128: there is no such cpu")),
    # Absent, stopped and running cpus, memory taken to the last frame, lines mistyped and rubbed out.
    Case("monitor", "run=monitor paging=off trace=on", judge="trace", typed="tests/smp/monitor.txt", timeout=60,
         must_contain=("cpu 2: done", "cpu 2: it is so already", "cpu 77: there is no such cpu",
                       "cpu 99999999999: there is no such cpu",
                       "cpu 2 is stopped: a load is on all of them",
                       "held: none is free anywhere", "free 0 + cached 0", "in flight 0 + allocated 0",
                       "zones, caches and heap are whole", 'no command "bogus"; help lists them',
                       "free takes one number: frames", "alloc takes one number: frames",
                       "ledger takes nothing", "trace of cpu 1, ", "there is no such cpu\n", "3 frames more, 3 held",
                       "3 frames given back, 0 held")),
    Case("icount-bench", "run=bench", smp="1", icount="shift=0,sleep=off"),
    Case("lockstat-off", "run=stress lockstat=off ops=20k"),
    Case("lockstat-all", "run=stress lockstat=all ops=20k"),
    Case("no-caches", "run=stress cache=0 ops=5k"),
    Case("smallest-caches", "run=stress cache=2 batch=1 ops=5k"),
    # The caches of those that only free could hold most of memory; and marks of all sizes.
    Case("asym-large-caches", "run=stress workload=asym,exhaust cache=1000 batch=500 ops=20k",
         mem="16M"),
    Case("no-low-marks", "run=selftest,stress workload=asym,exhaust low=0 ops=5k", mem="16M",
         must_contain=("low mark 0\n",)),
    Case("low-marks-cut", "run=stress workload=asym,exhaust low=1000000 ops=5k", smp="2",
         mem="16M"),
    Case("one-cpu-of-four", "cpus=1"),
    Case("three-cpus-of-eight", "cpus=3", smp="8"),
    # Each policy under the tests that its contract allows, and all of what varies in one boot.
    *(Case(f"policy-{policy}", f"run=selftest,stress policy={policy} ops=500",
           must_contain=(f", {policy}, lock fas",)) for policy in POLICIES),
    Case("policy-free_list-eight-harts", "run=selftest,stress policy=free_list "
         "workload=kmalloc,vm_shared,vm_cow ops=500", smp="8"),
    Case("policy-free_list-skips", "run=selftest policy=free_list", smp="2", mem="16M",
         must_contain=("# SKIP not supported by free_list",)),
    Case("sweep", "run=bench policy=all lock=all cache=0,128 workload=repeat,bulk cpus=1,4 "
         "ops=64 cell=1 rounds=1", judge="sweep", must_contain=('"record":"sweep","cells":280,',)),
    Case("sweep-what-is-not-run", "run=bench policy=free_list,bitmap lock=none,mcs cpus=1,2 "
         "workload=repeat,run batch=16,32 cache=0,128 ops=100 cell=5 rounds=2", smp="2",
         judge="sweep", must_contain=("not run: lock none is for one cpu",
                                      "not run: not supported by free_list")),
    Case("sweep-samples", "run=bench workload=bulk policy=all cpus=1,2 ops=5k rounds=1 samples=5",
         smp="2", mem="32M", judge="sweep",
         must_contain=('"record":"level"', '"record":"map"')),
    Case("sweep-icount", "run=bench workload=repeat,bulk policy=all cpus=1 ops=5k rounds=2", smp="1",
         icount="shift=0,sleep=off", judge="sweep", must_contain=('"instructions_per_op":',)),
    Case("lock-none", "run=selftest,stress lock=none ops=2k", smp="1"),
    refused("list-of-locks", "run=stress lock=mcs,clh", "a list of locks is for run=bench"),
    refused("list-of-policies", "policy=all", "a list of policies is for run=bench"),
    refused("list-with-a-twice", "run=bench cache=64,0x40", "names twice"),
    refused("list-more-cpus-than-harts", "run=bench cpus=1,3", "cpus=3, but the machine has 2"),
    refused("lock-none-for-two", "run=selftest lock=none", "lock=none is for one cpu"),
    refused("rounds-alone", "run=bench rounds=2", "only a sweep has that"),
    # The kernel's own page tables: what they forbid, and machines that they do not reach.
    crash("null-read", "load page fault (scause 0xd), stval 0x8, in the null page", "read_null+0x"),
    crash("null-jump", "instruction page fault (scause 0xc), stval 0", ", in the null page",
          "crash_last+0x", "secondary_entry+0x"),
    crash("text-store", "store page fault (scause 0xf), stval 0x80200040, kernel text",
          "store_to_text+0x"),
    crash("rodata-store", "store page fault (scause 0xf)", ", kernel read-only data",
          "store_to_rodata+0x"),
    crash("data-jump", "instruction page fault (scause 0xc)", ", kernel data, at [<0x",
          "crash_last+0x"),
    crash("frame-jump", "instruction page fault (scause 0xc)", "crash_last+0x"),
    crash("illegal", "illegal instruction (scause 0x2)", "do_nothing_legal+0x"),
    crash("stack", "stack overflow: store page fault (scause 0xf)",
          ", the guard page of cpu 3's stack", "the stack of cpu 3 is [0x", "recurse"),
    Case("crash-no-stack", "crash=no-stack", mem="32M", expect="fail",
         must_contain=("PANIC: a trap without a stack: scause 0xf, stval 0x", ", sp 0x400, tp 0x")),
    Case("address-spaces-cow", "run=stress workload=vm_cow ops=40k"),
    Case("address-spaces", "run=stress workload=vm_map,vm_shared,vm_cow",
         must_contain=('"workload":"vm_map"', '"workload":"vm_shared"', '"workload":"vm_cow"')),
    Case("paging-off", "run=selftest,stress paging=off ops=5k workload=repeat,vm_map,vm_shared,vm_cow",
         must_contain=("paging: off", "not supported: paging is off")),
    Case("paging-sv48", "run=stress workload=repeat ops=1000", smp="2", mem="2048G",
         qemu_args=TWO_TIB, must_contain=("paging: Sv48, ", '"paging":48,')),
    Case("paging-sv39-too-short", dtb="build/trees/sv39-high-memory.dtb", expect="fail",
         must_contain=("paging: RAM ends at 0x8008000000, beyond Sv39, and hart 0 has no Sv48",)),
    Case("paging-unknown-mmu", dtb="build/trees/sv32-hart.dtb", expect="fail",
         must_contain=("paging: hart 2 has neither Sv39 nor Sv48",)),
    Case("paging-off-unknown-mmu", "run=selftest paging=off", dtb="build/trees/sv32-hart.dtb",
         must_contain=("paging: off",)),
    # Each run's refills and flushes are held against what the caches count, by the kernel itself.
    Case("trace", "run=stress workload=bulk,rand,run,exhaust,churn,vm_map trace=on ops=20k",
         judge="trace", must_contain=('"record":"trace","cpu":1,',)),
    Case("trace-for-people", "run=stress,monitor workload=cache_thrash ops=200 cpus=1 trace=on",
         judge="trace", typed="tests/smp/monitor_trace.txt", timeout=60,
         must_contain=("doing cache_thrash\n",)),
    Case("trace-overwritten", "run=stress workload=bulk,rand,xfree trace=on cache=64 batch=16 ops=60k",
         smp="2", mem="16M", judge="trace", must_contain=('"record":"trace","cpu":1,',)),
    Case("trace-schedule", "run=explore workload=bulk ops=2000 trace=on", mem="16M",
         icount="shift=0,sleep=off", judge="trace", must_contain=('"record":"explore"',)),
    crash_traced("null-read", "trace of cpu 0, ", "trace of cpu 3, ", " us ago: "),
    # The kernel without the programs of tests/ has a monitor, and nothing that runs by default.
    Case("bare", bare=True, must_contain=("hartframe: 4 cpus", "nothing to run: ", "run=monitor ")),
    Case("bare-monitor", "run=monitor", smp="2", bare=True, typed="tests/smp/monitor_quit.txt", timeout=60,
         must_contain=("monitor: help lists the commands", "hartframe> quit")),
    Case("bare-workload", "workload=bulk", smp="2", bare=True, expect="fail", must_contain=(
        'bootargs: "workload=bulk": no program of this kernel has a use for it; valid: nothing',)),
    refused("unknown-crash", "crash=nonesuch", "no such value", "valid: none null-read"),
    refused("explore-with-others", "run=stress,explore", "explore goes alone", "run=selftest "),
    refused("unknown-trace", "trace=yes", "no such value", "valid: off on"),
    refused("unknown-key", "polcy=x", "no such key", "valid keys:"),
    refused("unknown-value", "lock=futex", "no such value", "valid: fas"),
    refused("unknown-workload", "workload=nonesuch", "no such value", "all"),
    refused("unknown-run", "run=dance", "no such value", "valid: selftest"),
    refused("no-value", "seed=", "no value"),
    refused("key-twice", "seed=1 seed=2", "twice"),
    refused("bad-number", "ops=many", "not a number"),
    refused("number-overflow", "seed=18446744073709551616", "too large"),
    refused("bad-low-mark", "low=4k", "not a number", "0 (off)"),
    refused("zero-ops", "ops=0", "too small"),
    refused("batch-over-half-a-cache", "cache=64 batch=33", "half of cache"),
    refused("cache-over-memory", "cache=9999999", "too large"),
    refused("more-cpus-than-harts", "cpus=99", "cpus"),
)


@dataclass(frozen=True)
class Job:
    """A command, and how to read what it prints."""

    name: str
    command: list[str]
    counts_ktap: bool
    is_one_test: bool  # counts as a test itself, besides those it reports
    slots: int
    timeout: int
    must_contain: tuple[str, ...] = ()
    sweep_records: Path | None = None
    trace_records: Path | None = None


@dataclass
class Result:
    """How a job ended. `problems` are failures of the job, not of a test it reported."""

    job: Job
    output: str = ""
    seconds: float = 0.0
    tests_passed: int = 0
    tests_failed: int = 0
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> int:
        return self.tests_passed + (self.job.is_one_test and not self.problems)

    @property
    def failed(self) -> int:
        return self.tests_failed + bool(self.problems)


# KTAP ----------------------------------------------------------------------------------------


@dataclass
class Ktap:
    """The results in one output, which may hold several KTAP documents."""

    planned: int = 0
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    in_order: bool = True

    @property
    def seen(self) -> int:
        return self.passed + self.failed + self.skipped


PLAN = re.compile(r"1\.\.(\d+)\s*$")
RESULT = re.compile(r"(not )?ok (\d+)\b.*?(# SKIP\b.*)?$", re.IGNORECASE)


def count_result(ktap: Ktap, failed: bool, skipped: bool) -> None:
    if failed:
        ktap.failed += 1
    elif skipped:
        ktap.skipped += 1
    else:
        ktap.passed += 1


def parse_ktap(output: str) -> Ktap:
    """Nested results are indented, and belong to the one that sums them up."""
    ktap = Ktap()
    number = 0
    for line in output.splitlines():
        plan = PLAN.match(line)
        result = RESULT.match(line)
        if plan:
            ktap.planned += int(plan[1])
            number = 0
        elif result:
            number += 1
            ktap.in_order &= int(result[2]) == number
            count_result(ktap, failed=bool(result[1]), skipped=bool(result[3]))
    return ktap


# Jobs ----------------------------------------------------------------------------------------


def host_job(program: str, group: str = "host", prefix: tuple[str, ...] = ()) -> Job:
    return Job(
        name=f"{group}/{Path(program).name}",
        command=[*prefix, str(Path(program).resolve())],
        counts_ktap=True,
        is_one_test=False,
        slots=1,
        timeout=HOST_TIMEOUT_SECONDS,
    )


def fixed_addresses() -> tuple[str, ...]:
    """Kernels can place mappings at random more widely than ThreadSanitizer has room for."""
    prefix = ("setarch", platform.machine(), "-R")
    try:
        usable = subprocess.run([*prefix, "true"], capture_output=True, check=False)
    except OSError:
        return ()
    return () if usable.returncode else prefix


def corpus_job(program: str) -> Job:
    """A fuzz target over the inputs that are kept for it: one test each."""
    name = Path(program).name
    return Job(
        name=f"corpus/{name}",
        command=[str(Path(program).resolve()), str(CORPORA / name.removeprefix("fuzz_"))],
        counts_ktap=True,
        is_one_test=False,
        slots=1,
        timeout=HOST_TIMEOUT_SECONDS,
    )


def lint_job(command: str) -> Job:
    return Job(
        name=f"lint/{command}",
        command=shlex.split(command),
        counts_ktap=False,
        is_one_test=True,
        slots=1,
        timeout=HOST_TIMEOUT_SECONDS,
    )


def model_job(command: str) -> Job:
    """Two searches at once, as it does by itself."""
    return Job(
        name="model/searches",
        command=shlex.split(command),
        counts_ktap=False,
        is_one_test=True,
        slots=2,
        timeout=HOST_TIMEOUT_SECONDS,
    )


def explore_job(command: str) -> Job:
    """It uses every processor itself, so nothing else runs beside it."""
    return Job(
        name="explore/seeds",
        command=shlex.split(command),
        counts_ktap=False,
        is_one_test=True,
        slots=ALL_SLOTS,
        timeout=HOST_TIMEOUT_SECONDS,
    )


def log_path(logs: Path, name: str, suffix: str) -> Path:
    return logs / (re.sub(r"[^\w.=-]+", "-", name) + suffix)


def qemu_job(case: Case, kernel: Path, logs: Path) -> Job:
    name = f"qemu/{case.name}"
    kernel = kernel.parent / "bare" / kernel.name if case.bare else kernel
    command = [sys.executable, str(LAUNCHER), "--kernel", str(kernel), "--smp", case.smp]
    command += ["--mem", case.mem, "--timeout", str(case.timeout), "--expect", case.expect]
    command += ["--log", str(log_path(logs, name, ".console"))]
    command += ["--records", str(log_path(logs, name, ".jsonl"))]
    command += [f"--bootargs={case.bootargs}"]
    if case.icount:
        command += [f"--icount={case.icount}"]
    if case.dtb:
        command += [f"--dtb={case.dtb}"]
    if case.typed:
        command += [f"--typed={case.typed}"]
    command += [f"--qemu-arg={argument}" for argument in case.qemu_args]
    return Job(
        name=name,
        command=command,
        # The tests that a run made to fail reports are not ours to count.
        counts_ktap=case.expect == "pass",
        is_one_test=True,
        slots=2,
        timeout=case.timeout + LAUNCHER_GRACE_SECONDS,
        must_contain=case.must_contain,
        sweep_records=log_path(logs, name, ".jsonl") if case.judge == "sweep" else None,
        trace_records=log_path(logs, name, ".jsonl") if case.judge == "trace" else None,
    )


def matrix(smp: str, mem: str) -> list[Case]:
    return [
        Case(f"smp={harts} mem={size}", smp=harts, mem=size)
        for harts in smp.split(",")
        for size in mem.split(",")
    ]


def plan(options: argparse.Namespace) -> list[Job]:
    """QEMU's jobs first: they are the long ones."""
    jobs = []
    if options.kernel:
        cases = [*matrix(options.smp, options.mem), *CASES]
        jobs += [qemu_job(case, options.kernel.resolve(), options.logs) for case in cases]
    jobs += [host_job(program, "tsan", fixed_addresses()) for program in options.tsan]
    jobs += [host_job(program) for program in options.host]
    jobs += [corpus_job(program) for program in options.corpus]
    jobs += [host_job(program, "host-checks0") for program in options.host_checks0]
    jobs += [model_job(command) for command in options.model]
    jobs += [lint_job(command) for command in options.lint]
    jobs += [explore_job(command) for command in options.explore]
    wanted = options.only
    return [job for job in jobs if not wanted or wanted in job.name or fnmatch(job.name, wanted)]


# Running -------------------------------------------------------------------------------------


class Processes:
    """The process groups that are running, so that they can be ended with us."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: set[int] = set()
        self.stopped = False

    def start(self, command: list[str]) -> subprocess.Popen[bytes]:
        with self.lock:
            if self.stopped:
                raise InterruptedError("not started: the run was ended")
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self.running.add(process.pid)
        return process

    def send(self, group: int, number: int) -> None:
        with self.lock:
            if group in self.running:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, number)

    def forget(self, group: int) -> None:
        with self.lock:
            self.running.discard(group)

    def stop(self) -> None:
        with self.lock:
            self.stopped = True
            groups = list(self.running)
        for group in groups:
            self.send(group, signal.SIGTERM)


def collect(processes: Processes, process: subprocess.Popen[bytes], timeout: int) -> bytes:
    """All of its output. One that outlives its time is ended, which raises TimeoutExpired."""
    try:
        return process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired as error:
        processes.send(process.pid, signal.SIGTERM)
        try:
            error.output = process.communicate(timeout=KILL_GRACE_SECONDS)[0]
        except subprocess.TimeoutExpired:
            processes.send(process.pid, signal.SIGKILL)
            error.output = process.communicate()[0]
        raise
    finally:
        processes.forget(process.pid)


def exit_text(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


SWEEP_SETTINGS = (
    "workload", "policy", "lock", "cache", "batch", "cpus", "ops", "seed", "lockstat", "checks",
    "zbb", "zones", "rounds",
)
SWEEP_FIGURES = (
    "valid", "operations", "ns_per_op", "ns_per_op_min", "ns_per_op_max", "refills", "flushes",
    "direct", "failures", "acquisitions", "tick_hz",
)
# Of a cell whose check passed besides: which acquisition waits is else the host's doing.
SWEEP_WAITS = ("contended", "wait_ns", "wait_ns_max", "wait_samples", "wait_histogram")
SWEEP_HOLDS = ("hold_ns", "hold_ns_max", "hold_samples", "hold_histogram")
# What tells a cell from the others.
CELL_KEYS = ("workload", "policy", "lock", "cache", "batch", "cpus")


def cell_problems(cell: dict[str, object]) -> list[str]:
    """What is missing from, or wrong with, one cell of a sweep."""
    name = " ".join(str(cell.get(key)) for key in CELL_KEYS)
    missing = [key for key in SWEEP_SETTINGS if key not in cell]
    if cell.get("record") != "bench" or not cell.get("supported"):
        figures = SWEEP_FIGURES + SWEEP_WAITS + SWEEP_HOLDS
        present = [key for key in figures if key in cell and cell.get("record") == "bench"]
        why = [] if cell.get("record") != "bench" or cell.get("why") else ["why"]
        return [f"{name}: no {key}" for key in missing + why] + [
            f"{name}: {key}, although it is not supported" for key in present
        ]
    missing += [key for key in SWEEP_FIGURES if key not in cell]
    missing += [key for key in cell_waits(cell) if key not in cell]
    if missing:
        return [f"{name}: no {key}" for key in missing]
    least, median, most = (cell[f"ns_per_op{end}"] for end in ("_min", "", "_max"))
    problems = [] if least <= median <= most else [f"{name}: the median is out of its range"]
    singles = cell["workload"] in ("repeat", "bulk")
    if singles and not cell["cache"] and cell["acquisitions"] < cell["operations"]:
        problems.append(f"{name}: fewer locks than operations, without a cache")
    return problems


def cell_waits(cell: dict[str, object]) -> tuple[str, ...]:
    """What a supported cell has to say of waits and holds, or why it says nothing."""
    if not cell.get("valid"):
        return ("why", *(SWEEP_HOLDS if cell.get("lockstat") == "all" else ()))
    return SWEEP_WAITS[:1] if cell.get("lockstat") == "off" else SWEEP_WAITS + SWEEP_HOLDS


# A record whose check of the host's cores failed has none of these.
WAITS = re.compile("contended|wait_(?!ticks_mean$)|blame_|site_|timed_holds$")
# Rows of the stress's table, and what is printed of one lock.
TABLE_ROW = re.compile(r"  (\w+) .*[0-9]x +(NOT MEASURABLE|[0-9.]+ %) +(NOT MEASURABLE|[0-9.]+ %) ")
OF_A_LOCK = re.compile(r"  (\w+), (waiting: how|which cpu waited|where it was waited)")


def contention_problems(output: str) -> list[str]:
    """Whether anything was told of waits that the host's scheduler has made."""
    lines = output.splitlines()
    found = (launch.parse_record(line.encode()) for line in lines)
    records = [record for record in found if record and "valid" in record]
    problems = [f"{record['record']} record, not valid: {name}"
                for record in records if record["valid"] is not True and "unit" not in record
                for name in record if WAITS.match(name)]
    problems += [f"{record['record']} record, not valid: no why"
                 for record in records
                 if record["valid"] is not True and "unit" not in record and not record.get("why")]
    bad_locks = any(r["record"] == "lock" and r["valid"] is not True for r in records)
    bad_runs = {r.get("workload") for r in records
                if r["record"] == "bench" and "ops_per_second" in r and r["valid"] is not True}
    for line in lines:
        row, of_a_lock = TABLE_ROW.match(line), OF_A_LOCK.match(line)
        if of_a_lock and bad_locks:
            problems.append(f"console, not measurable: {line.strip()}")
        if row and (row[2] == row[3] == "NOT MEASURABLE") != (row[1] in bad_runs):
            problems.append(f"console, against its record: {line.strip()}")
    return problems


def level_problems(level: dict[str, object]) -> list[str]:
    parts = ("free", "cached", "in_flight", "allocated", "reserved")
    if level.get("exact") and sum(level[part] for part in parts) != level["total"]:
        return ["a level that is exact does not add up"]
    return []


def sweep_problems(lines: list[str]) -> list[str]:
    """A sweep promises how many cells will come; each comes once, with all of its settings."""
    records = [json.loads(line) for line in lines]
    sweeps = [record for record in records if record["record"] == "sweep"]
    cells = [record for record in records if record.get("bench") == "sweep"]
    pictures = [record for record in records if record["record"] in ("level", "map")]
    seen = {tuple(cell.get(key) for key in CELL_KEYS) for cell in cells}
    if len(sweeps) != 1:
        return [f"{len(sweeps)} sweeps begin"]
    problems = [problem for record in cells + pictures for problem in cell_problems(record)]
    for record in pictures:
        problems += level_problems(record) if record["record"] == "level" else []
    if not len(cells) == len(seen) == sweeps[0]["cells"]:
        problems.append(
            f"{sweeps[0]['cells']} cells promised, {len(cells)} came, {len(seen)} different"
        )
    return problems


# What a run that traces anything at all has done.
TRACED = ("refill", "flush", "doing")


def trace_problems(lines: list[str]) -> list[str]:
    """Nothing is missing from a trace but what it says is lost; the kernel has counted each run's."""
    try:
        found = trace.read_trace(lines)
    except trace.BadTrace as error:
        return [f"trace: {error}"]
    if found is None:
        return ["the run kept no trace"]
    absent = [name for name in TRACED if not any(cpu.counts.get(name) for cpu in found.cpus)]
    silent = [cpu.number for cpu in found.cpus if not cpu.count]
    return [*trace.problems(found), *(f"the trace has no {name}" for name in absent),
            *(f"cpu {number} has noted nothing" for number in silent)]


def judge(result: Result, status: int) -> None:
    """Counts the tests, and finds what is wrong with the job as a whole."""
    job, problems = result.job, result.problems
    if job.counts_ktap:
        ktap = parse_ktap(result.output)
        result.tests_passed, result.tests_failed = ktap.passed, ktap.failed
        if ktap.seen == 0 and not job.is_one_test:
            problems.append("no test results")
        if ktap.seen != ktap.planned:
            problems.append(f"{ktap.planned} tests planned, {ktap.seen} results")
        elif not ktap.in_order:
            problems.append("test results out of order")
    # A program that reported its failures exits so; that is no failure more.
    if status != 0 and (job.is_one_test or status < 0 or result.tests_failed == 0):
        problems.append(exit_text(status))
    if job.is_one_test and job.counts_ktap:
        problems += contention_problems(result.output)[:5]
    if job.sweep_records:
        lines = job.sweep_records.read_text(encoding="utf-8").splitlines()
        problems += sweep_problems(lines)[:5]
    if job.trace_records:
        lines = job.trace_records.read_text(encoding="utf-8").splitlines()
        problems += trace_problems(lines)[:5]
    for text in job.must_contain:
        if text not in result.output:
            problems.append(f'"{text}" is not in the output')


def run_job(job: Job, processes: Processes, logs: Path) -> Result:
    result = Result(job)
    started = time.monotonic()
    try:
        process = processes.start(job.command)
        output = collect(processes, process, job.timeout)
        result.output = output.decode("utf-8", "replace")
        judge(result, process.returncode)
    except subprocess.TimeoutExpired as error:
        result.output = (error.output or b"").decode("utf-8", "replace")
        result.problems.append(f"time-out after {job.timeout} s")
    except OSError as error:
        result.problems.append(str(error))
    result.seconds = time.monotonic() - started
    log_path(logs, job.name, ".log").write_text(result.output, encoding="utf-8")
    return result


def show(result: Result, logs: Path) -> None:
    """One line for a job; all it printed where it failed."""
    word = "FAIL" if result.failed else "pass"
    tests = result.passed + result.failed
    line = f"{word}  {result.job.name:<40} {result.seconds:7.1f} s {tests:5} tests"
    print("; ".join([line, *result.problems]), flush=True)
    if not result.failed:
        return
    lines = result.output.splitlines()
    print("    $ " + shlex.join(result.job.command))
    if len(lines) > SHOWN_LINES_MAX:
        path = log_path(logs, result.job.name, ".log")
        print(f"    ... {len(lines) - SHOWN_LINES_MAX} lines more in {path}")
    for line in lines[-SHOWN_LINES_MAX:]:
        print("    | " + line)
    sys.stdout.flush()


def startable(pending: list[Job], free: int, all_slots: int) -> Job | None:
    """The first job that fits. A job larger than the machine may have it to itself."""
    for job in pending:
        if min(job.slots, all_slots) <= free:
            return job
    return None


def run_jobs(jobs: list[Job], slots: int, processes: Processes, logs: Path) -> list[Result]:
    """All of them, so many slots at a time; each is shown as it ends."""
    pending = list(jobs)
    running: set[Future[Result]] = set()
    results: list[Result] = []
    free = slots
    with ThreadPoolExecutor(max_workers=slots) as pool:
        try:
            while pending or running:
                while job := startable(pending, free, slots):
                    pending.remove(job)
                    free -= min(job.slots, slots)
                    running.add(pool.submit(run_job, job, processes, logs))
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    result = future.result()
                    free += min(result.job.slots, slots)
                    results.append(result)
                    show(result, logs)
        except KeyboardInterrupt:
            processes.stop()
            raise
    return results


# The command line ----------------------------------------------------------------------------


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run all tests and count them.")
    add = parser.add_argument
    add("--jobs", type=positive, default=len(os.sched_getaffinity(0)), metavar="N",
        help="host tests at once, a QEMU run being two (default: the host's processors)")
    add("--host", nargs="*", action="extend", default=[], metavar="PROGRAM",
        help="test programs that print KTAP")
    add("--host-checks0", nargs="*", action="extend", default=[], metavar="PROGRAM",
        help="the same, built without the checks of callers")
    add("--tsan", nargs="*", action="extend", default=[], metavar="PROGRAM",
        help="the same, built for ThreadSanitizer")
    add("--corpus", nargs="*", action="extend", default=[], metavar="PROGRAM",
        help="fuzz targets, each to run over its corpus")
    add("--kernel", type=Path, metavar="ELF", help="without it, nothing is run under QEMU")
    add("--smp", default="4", metavar="N,..", help="harts, for the matrix")
    add("--mem", default="128M", metavar="SIZE,..", help="memory, for the matrix")
    add("--lint", nargs="*", action="extend", default=[], metavar="COMMAND",
        help="commands, each one quoted, that must exit 0")
    add("--model", nargs="*", action="extend", default=[], metavar="COMMAND",
        help="searches a model, two cpus' work; must exit 0")
    add("--explore", nargs="*", action="extend", default=[], metavar="COMMAND",
        help="explores schedules, with the machine to itself; must exit 0")
    add("--only", metavar="PATTERN", help="jobs whose name has this in it, or matches")
    add("--logs", type=Path, default=ROOT / "build" / "logs", metavar="DIR")
    add("--list", action="store_true", help="name the jobs and run none")
    options = parser.parse_args(arguments)
    options.logs = options.logs.resolve()
    return options


def interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> int:
    sys.stdout.reconfigure(errors="replace")  # a test may print anything
    options = parse_arguments(arguments)
    jobs = plan(options)
    if options.list:
        print("\n".join(job.name for job in jobs))
        return 0
    options.logs.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, interrupt)
    started = time.monotonic()
    try:
        results = run_jobs(jobs, options.jobs, Processes(), options.logs)
    except KeyboardInterrupt:
        print("ended before all tests had run", file=sys.stderr)
        return 130
    passed = sum(result.passed for result in results)
    failed = sum(result.failed for result in results)
    print(f"{len(results)} jobs in {time.monotonic() - started:.0f} s; logs in {options.logs}")
    for result in results:
        if result.failed:
            print(f"failed: {result.job.name}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
