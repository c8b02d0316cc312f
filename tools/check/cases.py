# SPDX-License-Identifier: BSD-2-Clause
"""The boots of the kernel that `make test` makes, and what each must come to: data, and no more.

Beside these, `make test` boots each number of harts and each size of memory (matrix()).
"""

from __future__ import annotations

from dataclasses import dataclass

# Bounds that only a hang reaches, on a slow machine too.
QEMU_TIMEOUT_SECONDS = 900
MANY_HARTS_TIMEOUT_SECONDS = 3600


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
    must_contain: tuple[str, ...] = ()  # in the output, or in source_text.with_source_text() of it
    typed: str = ""  # a file of what is typed on the console
    judge: str = ""  # "sweep", "trace", "faults", "bench": its records are looked at too
    build: str = ""  # "bare": the kernel without the programs of tests/; "wrap": counters begin near their wrap


POLICIES = ("bitmap", "interval_stack", "recycler", "free_list")  # segment_tree is the default

# A lock that hands over to one waiter waits for the host to schedule each cpu in turn where cpus
# outnumber its cores, so those get two cpus and less to do.
UNFAIR_LOCKS = ("cas", "dec")
HAND_OVER_LOCKS = ("ticket", "mcs", "clh", "anderson", "ticket_pb", "cohort", "qspinlock", "reciprocating",
    "hclh")


def refused(name: str, bootargs: str, *must_contain: str) -> Case:
    """Boot arguments that the kernel must refuse, in these words."""
    wanted = ("bootargs:", *must_contain)
    return Case(f"refused-{name}", bootargs, smp="2", expect="fail", must_contain=wanted)


def scheduled(kind: str, schedule: str, workload: str, ops: int) -> Case:
    """A schedule in which one cpu goes on at a time."""
    return Case(f"schedule-{kind}", f"run=explore workload={workload} ops={ops} cache=8 batch=4 preempt=0:400:locks "
                f"schedule={schedule}", mem="6M", icount="shift=7,sleep=off",
                must_contain=(f'"schedule":"{kind}","switches":', '"digest":"'))


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


# What follows in the backtrace of a crash: what calls each crash, up to the entry of its hart.
CRASH_CALLERS = """
  [<>] crash_last 'kind();'
  [<>] cpu_serve 'self->work(self->argument);'
  [<>] kernel_secondary 'cpu_serve();'
  [<>] secondary_entry 'call	kernel_secondary'
"""


def crash(kind: str, message: str, *frames: str, then: str = "") -> Case:
    """One of the boot argument crash=: what the last cpu does wrong is said in words, with where it was.

    `then` is a part of the message behind what no test can know. How many of the others stop in time is
    for the host to say.
    """
    backtrace = "backtrace:" + "".join(f"\n  {frame}" for frame in frames) + CRASH_CALLERS
    wanted = ("PANIC on cpu 3 (hart ", f"), crash: {message}", then, "registers:\n  pc  ", "  sp  ", backtrace,
              "crash, stopped at pc [<0x")
    return Case(f"crash-{kind}", f"crash={kind}", mem="32M", expect="fail", must_contain=wanted)


def heap_crash(kind: str, words: str, *must_contain: str, cpu: int = 3, name: str = "") -> Case:
    """What the last cpu does wrong with a block; `cpu` finds it, with these words of heapdebug=."""
    return Case(f"crash-heap-{name or kind}", f"crash=heap-{kind} heapdebug={words}", mem="32M", expect="fail",
                must_contain=(f"PANIC on cpu {cpu} (hart ", *must_contain))


def deadlock(name: str, bootargs: str) -> Case:
    """The last two cpus hold a lock each, and ask for the other's."""
    chains = ("cpu 2 waits for heap (", "cpu 3 waits for zone0 (", " held by cpu 3 (at [<0x",
              " held by cpu 2 (at [<0x", "lock_zone_then_heap 'spin_lock(kheap_lock(), &heap);'", "lock_heap_then_zone 'spin_lock(&zones.zone[0].lock, &zone);'")
    circle = "deadlock: cpu 2 -> heap -> cpu 3 -> zone0 -> cpu 2\n"
    return Case(name, bootargs, mem="32M", expect="fail",
                must_contain=("PANIC on cpu ", f"), crash: {circle}", f"\n{circle}", *chains))


def crash_traced(kind: str, *must_contain: str) -> Case:
    """The same with a trace: each cpu's last events are said."""
    return Case(f"crash-{kind}-traced", f"crash={kind} trace=on", mem="32M", expect="fail",
                must_contain=must_contain)


# Memory that ends beyond Sv39, and is there only when touched.
TWO_TIB = ("-machine", "memory-backend=m0",
           "-object", "memory-backend-ram,id=m0,size=2048G,reserve=off")

FIRST_LOCK = "[<>] lock_heap_twice 'spin_lock(kheap_lock(), &first);'"
SECOND_LOCK = "[<>] lock_heap_twice 'spin_lock(kheap_lock(), &second);'"
ALLOCATE_BLOCK = "allocate_block 'char *block = kmalloc(64);'"
FREE_BLOCK = "free_block 'kfree(block);'"
READ_NULL = "pc [<>] read_null '(void)*(volatile uint64_t *)hidden(8);'"
ILLEGAL = """pc [<>] do_nothing_legal '__asm__ volatile("unimp");'"""
STORE = "pc [<>] store '*(volatile uint64_t *)address = 0;'"
STORE_TO_TEXT = "store_to_text 'store((uintptr_t)__kernel_start + 64);'"
STORE_TO_RODATA = "store_to_rodata 'store((uintptr_t)__text_end + 64);'"


def stored_in(caller: str) -> str:
    """A store in a function that is inlined, as two lines of a backtrace."""
    return f"{STORE}, inlined\n {caller}"


def stored_in_line(caller: str) -> str:
    return f"{STORE}, inlined in {caller}"


def jumped_from(caller: str) -> str:
    return f"[<>] jump '((void (*)(void))hidden(address))();', inlined\n {caller}"


# Boots beside the matrix of --smp and --mem, which runs everything with the defaults.
CASES = (
    *(Case(f"lock-{lock}", f"run=stress lock={lock} ops=20k") for lock in UNFAIR_LOCKS),
    *(Case(f"lock-{lock}", f"run=stress lock={lock} ops=5k", smp="2") for lock in HAND_OVER_LOCKS),
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
    early("early-memory-in-another-bank", "banks-apart", "memory: 50 MiB in 2 zones",
          "zone1: node 0, frames [0x840"),
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
    other_tree("tree-nowhere", 0x88000000, "the cpu read address 0x8800000", ", where neither memory nor a device answers (load access fault, scause 0x5), at pc [<0x"),
    other_tree("tree-in-the-kernel", 0x80200040, "the device tree at 0x80200040 is in the kernel at "
               "[0x80200000, "),
    other_tree("tree-misaligned", 0x84000003, copy=True, expect="pass"),
    other_tree("tree-at-the-end-of-ram", 0x87FFE003, copy=True, expect="pass"),
    Case("malformed-memory-node", dtb="build/trees/bad-memory.dtb", expect="fail",
         must_contain=("device tree: reg:", "offset 0x")),
    Case("hart-that-never-arrives", "run=selftest", dtb="build/trees/absent-hart.dtb",
         expect="fail", must_contain=("hart 9 was started and has not arrived yet; it has 10 s\n",
                                      "hart 9 was started but did not arrive within 10 s\n",
                                      "hartframe: 3 cpus of 4 (above: the harts that did not come), boot hart ")),
    Case("sixteen-harts", "run=selftest", smp="16", mem="64M"),
    # Harts that come and go, the boot hart among them.
    *(Case(f"churn-smp={harts}", "run=stress workload=churn ops=60k", smp=harts, mem="64M",
           must_contain=('"record":"churn"',)) for harts in ("2", "4", "8")),
    Case("churn-one-cpu", "run=stress workload=churn ops=5k", smp="1", mem="64M",
         must_contain=('"stops":0',)),
    # Everything in turns: a wait that no other hart can end would never end.
    *(Case(f"virtual-smp={harts}", "time=virtual turn=200 run=selftest,stress ops=300", smp=harts,
           must_contain=("time: virtual, ", '"clock":"virtual","turn":200'))
      for harts in ("1", "2", "3", "7")),
    # Held 200 of some 2,200 instructions: four cpus are as fast as alone.
    Case("virtual-lock", "time=virtual run=bench workload=lock lock=fas,mcs cpus=1,2,4 rounds=1",
         judge="sweep", must_contain=('"hold":200,"hold_spread":"fixed","think":1800', '"jain":1.0000')),
    # The lab's lines have numbers for any number of cpus.
    Case("virtual-kalloctest", "time=virtual run=stress workload=kalloctest cache=0 ops=1000",
         must_contain=("tot= ", "test1 FAIL", "test2 OK")),
    *(refused(f"delay-{name}", words, "no such spread" if ":" in words else "too large")
      for name, words in (("too-long", "think=1000001"), ("spread", "hold=5:often"))),
    Case("virtual-without-the-plugin", qemu_args=("-append", "time=virtual"), smp="2", expect="fail",
         must_contain=("time=virtual: instret does not count instructions one by one on this",)),
    # More harts than one mask of the firmware names, and than one word of CPUs has. In parallel they
    # would wait for the host's scheduler at each barrier; in virtual time they take turns, a schedule
    # follows from its seed, and many operations are cheap. Three words of CPUs are in host/test_space
    # and host/test_cpu.
    *(Case(f"harts={harts}-churn-seed={seed}", f"time=virtual turn=300 run=stress workload=churn ops=300 seed={seed}",
           smp=harts, mem="256M", must_contain=('"record":"churn"',))
      for harts, seed in (("66", 1), ("66", 2), ("66", 3), ("96", 4))),
    Case("harts=66-paging-in-turns", "time=virtual turn=300 run=stress workload=vm_shared,vm_cow ops=20", smp="66",
         mem="256M", must_contain=('"workload":"vm_cow"',)),
    # In parallel: in the monitor harts sleep, stop, start and give all their frames back. There are
    # 96, because OpenSBI 1.6 (Debian 13's) prints nothing on QEMU 10 with more than about 100.
    Case("harts=96", "run=monitor", smp="96", typed="tests/smp/monitor_many.txt",
         timeout=MANY_HARTS_TIMEOUT_SECONDS,
         must_contain=("hartframe: 96 cpus", "cpu 95: done", "cpu 95: it is so already", "held: none is free anywhere", "free 0 + cached 0",
                       "zones, caches and heap are whole", "cpu 96: there is no such cpu")),
    # Absent, stopped and running cpus, memory taken to the last frame, lines mistyped and rubbed out.
    Case("monitor", "run=monitor paging=off trace=on", judge="trace", typed="tests/smp/monitor.txt",
         must_contain=("cpu 2: done", "cpu 2: it is so already", "cpu 77: there is no such cpu",
                       "cpu 99999999999: there is no such cpu",
                       "cpu 2 is stopped: a load is on all of them",
                       "held: none is free anywhere", "free 0 + cached 0", "in flight 0 + allocated 0",
                       "zones, caches and heap are whole", 'no command "bogus"; help lists them',
                       "the heap knows no call sites: heapdebug= is off",
                       "free: \"x\": not a number; usage: free FRAMES", "usage: alloc FRAMES",
                       "usage: ledger, without arguments", "trace of cpu 1, ", "there is no such cpu\n", "3 frames more, 3 held",
                       "3 frames given back, 0 held",
                       "   class    slabs      KiB      live    cached      free      free      lost\n",
                       "at this moment no cpu holds a zone's lock or the heap's, and none waits for a lock")),
    Case("bench-without-memory", "run=bench", smp="2", mem="32M", expect="fail",
         must_contain=("bench: ", " frames are free, and it needs ")),
    # Counters begin shortly before they wrap (sync/counter_start.h), in the kernel too.
    Case("counters-near-their-wrap", "run=selftest,stress ops=200", smp="2", mem="64M", build="wrap"),
    # Instructions, against the bounds of `make bench`: an operation that does needless work fails here.
    Case("icount-bench", "run=bench", smp="1", icount="shift=0,sleep=off", judge="bench"),
    Case("heap-buddy", "run=stress workload=kmalloc,larson ops=5k heap=buddy", smp="2",
         must_contain=("heap: a buddy under one lock, without slabs and stacks of blocks\n",)),
    Case("size-classes", "run=stress workload=sizes cpus=1 ops=3000", smp="1",
         must_contain=("\nheap, the most that the largest size classes held\n  class    slabs      KiB      used     free     lost\n",
                       "\n  2048         2      256        64     50.0 %      0.4 %\n")),
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
           must_contain=(f"policy: {policy}, lock fas",)) for policy in POLICIES),
    # It has no runs of frames: what needs them says so.
    Case("policy-free_list-bench", "run=bench policy=free_list", smp="1", icount="shift=0,sleep=off",
         must_contain=("run_512_pair: NOT MEASURABLE: no run of 512 frames is to be had of free_list",)),
    Case("policy-free_list-eight-harts", "run=selftest,stress policy=free_list "
         "workload=kmalloc,vm_shared,vm_cow ops=500", smp="8"),
    Case("policy-free_list-skips", "run=selftest policy=free_list", smp="2", mem="16M",
         must_contain=("# SKIP not supported by free_list",)),
    Case("sweep", "run=bench policy=all lock=all cache=0,128 workload=repeat,bulk cpus=1,4 "
         "ops=64 cell=1 rounds=1", judge="sweep", must_contain=('"record":"sweep","cells":480,',)),
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
    refused("heapdebug-word", "heapdebug=redzone,zone", "no such value", "redzone poison quarantine owners leaks guard"),
    refused("list-of-policies", "policy=all", "a list of policies is for run=bench"),
    refused("list-with-a-twice", "run=bench cache=64,0x40", "names twice"),
    refused("list-more-cpus-than-harts", "run=bench cpus=1,3", "cpus=3: too large; valid: 1 to 2"),
    refused("lock-none-for-two", "run=selftest lock=none", "lock=none is for one cpu"),
    refused("rounds-alone", "run=bench rounds=2", "only a sweep has that"),
    # The kernel's own page tables: what they forbid, and machines that they do not reach.
    crash("null-read", f"the cpu read address 0x8, which is not mapped (load page fault, scause 0xd), at {READ_NULL}; "
          "the address is in the null page\n", READ_NULL),
    crash("null-jump", "the cpu jumped to address 0, which is not mapped (instruction page fault, scause 0xc), "
          "at pc [<0>]; the address is in the null page\n", "pc [<0>]", jumped_from("jump_to_null 'jump(0);'")),
    crash("text-store", "the cpu wrote to address 0x80200040, which is read-only (store page fault, scause 0xf), "
          f"at {stored_in_line(STORE_TO_TEXT)}; the address is in the kernel's text\n", stored_in(STORE_TO_TEXT)),
    crash("rodata-store", "the cpu wrote to address 0x", stored_in(STORE_TO_RODATA),
          then=", which is read-only (store page fault, scause 0xf), "
          f"at {stored_in_line(STORE_TO_RODATA)}; the address is in the kernel's read-only data\n"),
    # Data has no name of a function.
    crash("data-jump", "the cpu jumped to address 0x", "pc [<>]", jumped_from("jump_to_data 'jump((uintptr_t)data);'"),
          then=", which is not executable (instruction page fault, scause 0xc), at pc [<>]; the address is in the kernel's data\n"),
    crash("frame-jump", "the cpu jumped to address 0x", "pc [<>]",
          jumped_from("jump_to_frame 'jump((uintptr_t)frame_bytes(frame));'"),
          then=", which is not executable (instruction page fault, scause 0xc), at pc [<>]\n"),
    # The function that traps has saved no return address, and has no frame.
    crash("leaf", "the cpu wrote to address 0x10, which is not mapped (store page fault, scause 0xf), at pc [<>] memset '",
          "pc [<>] memset '*(word *)at = pattern;'", "[<>] fill_null 'memset((void *)hidden(16), 1, hidden(16));'"),
    # Through the trap handler to what it has interrupted.
    crash("handler", f"the cpu read address 0x8, which is not mapped (load page fault, scause 0xd), at {READ_NULL}; ",
          READ_NULL, "[<>] read_null_in_handler 'read_null();'", "[<>] trap_handle 'hook(frame);'",
          "[<>] trap_entry 'call\ttrap_handle'", """pc [<>] wait_for_handler '__asm__ volatile("j .");'"""),
    crash("illegal", f"the cpu executed 0, which is not a valid instruction (illegal instruction, scause 0x2), at {ILLEGAL}\n",
          ILLEGAL),
    Case("crash-stack", "crash=stack", mem="32M", expect="fail", must_contain=(
        "), crash: stack overflow: the cpu wrote to address 0x", ", which is not mapped (store page fault, scause 0xf), at "
        "pc [<>] recurse '", "; the address is in the guard page of cpu 3's stack\n", "the stack of cpu 3 is [0x",
        " times more\n  [<>] fill_stack 'recurse(0);'" + CRASH_CALLERS)),
    Case("crash-no-stack", "crash=no-stack", mem="32M", expect="fail", must_contain=(
        "PANIC: a trap without a stack: store page fault (scause 0xf), stval 0x",
        ", at pc [<>] off_the_stack 'sd\tsp, -FRAME_BYTES + 8*2(t0)', sp 0x400, tp 0x")),
    # Blocks of the heap: what is wrong is named, with the lines that allocated and freed the block.
    heap_crash("behind", "redzone,owners", "kfree: red zone written: block 0x",
               " of 64 bytes, offset 64: expected 0xb5, found 0x1; allocated by cpu 3 at [<0x",
               f"inlined in {ALLOCATE_BLOCK} ", f"inlined in {FREE_BLOCK}\n",
               f"\n {FREE_BLOCK}\n  [<>] write_behind_block 'free_block(block);'" + CRASH_CALLERS),
    heap_crash("freed", "poison,quarantine", "heap: use after free, seen in the quarantine: block 0x",
               " of 64 bytes, offset 7: expected 0xde, found 0x1; allocated at [<0x", f"inlined in {ALLOCATE_BLOCK}, freed at [<>]",
               f"inlined in {FREE_BLOCK}", cpu=0),
    heap_crash("twice", "owners", " is freed twice: found a freed block of 64 bytes; allocated by cpu 3 at [<0x",
               ", freed by cpu 3 at [<0x", f"inlined in {ALLOCATE_BLOCK} ", f"inlined in {FREE_BLOCK} ",
               f"\n {FREE_BLOCK}\n  [<>] free_block_twice 'free_block(block); /* again */'" + CRASH_CALLERS),
    heap_crash("behind", "guard=1,owners", "the cpu wrote to address 0x", ", which is not mapped (store page fault, scause 0xf), "
               "at pc [<>] write_behind_block '((volatile char *)block)[64] = 1;'; behind a block: block 0x",
               " of 64 bytes, offset 64; allocated by cpu 3 at [<0x", f"inlined in {ALLOCATE_BLOCK} ", name="guard-behind"),
    heap_crash("freed", "guard=1", "the cpu wrote to address 0x", "at pc [<>] write_freed_block '((volatile char *)block)[7] = 1;'; "
               "use after free: block 0x", " of 64 bytes, offset 7; allocated at [<0x", f"inlined in {ALLOCATE_BLOCK}, freed at [<>]",
               f"inlined in {FREE_BLOCK}\n",
               name="guard-freed"),
    Case("crash-heap-frame", "crash=heap-frame", mem="32M", expect="fail",
         must_contain=("PANIC on cpu 3 (hart ", " is mismatched: found frame 0x",
                       "inlined in free_frame_as_block 'kfree(frame_bytes(frame_alloc(FRAME_ANY)));'")),
    # No mistake ends the run here: the report at its end names what was lost.
    Case("heap-leak", "run=stress workload=kmalloc ops=300 crash=heap-leak heapdebug=leaks,owners", mem="32M",
         expect="fail", must_contain=("crash: no panic came of it", "\nheap: 3 live blocks, 192 bytes, from 1 places\n",
                                      "3 blocks        192 bytes, oldest ", " ms, allocated at [<0x",
                                      f"inlined in {ALLOCATE_BLOCK}\n", '{"record":"heap_live","caller":')),
    Case("heapdebug-all", "run=selftest,stress workload=kmalloc,larson,xmalloc,kalloctest,vm_cow ops=2k heapdebug=all",
         must_contain=("heapdebug: redzone poison quarantine owners leaks guard; one block of 64 has guard pages",
                       "\nheap: 0 live blocks, 0 bytes, from 0 places\n")),
    Case("heapdebug-without-paging", LITTLE + " paging=off heapdebug=guard",
         must_contain=("guard; no block has guard pages: the kernel runs without page tables\n",)),
    # Two cpus take two locks in opposite order: both are named with both call sites, whoever of them
    # panics. Statistics in every mode that notes holders, and locks with and without a queue.
    *(deadlock(f"crash-deadlock-{lock}", f"crash=deadlock stuck=1 lock={lock}{more}")
      for lock, more in (("fas", ""), ("ticket", " lockstat=all"), ("mcs", " paging=off"), ("clh", ""),
                         ("ticket_pb", ""), ("qspinlock", ""), ("hclh", ""))),
    Case("crash-self-deadlock", "crash=self-deadlock", mem="32M", expect="fail", must_contain=(
        "PANIC on cpu 3 (hart ", f"), crash: deadlock: cpu 3 acquires lock heap at {SECOND_LOCK}, which it holds since {FIRST_LOCK}\n",
        # A call that does not return is at the end of its function; the lock calls through assembly.
        "backtrace:\n  [<>] panic_own 'port_panic(\"deadlock: ", " lock_wait_begin '", f"\n  {SECOND_LOCK}" + CRASH_CALLERS,
        f"at {SECOND_LOCK}) held by cpu 3 (at {FIRST_LOCK}), which", "deadlock: cpu 3 -> heap -> cpu 3\n")),
    # A lock that is held for long is no deadlock: it is printed, and the run goes on.
    Case("lock-held-long", "run=stress workload=repeat ops=100 crash=long-hold stuck=1", mem="32M", expect="fail", must_contain=(
        " has waited for a lock for ", "cpu 2 waits for heap (", " held by cpu 3 (at [<0x",
        "), which runs", "hold_heap_long 'spin_lock(kheap_lock(), &node);'", "wait_for_heap 'spin_lock(kheap_lock(), &node);'", "crash: no panic came of it")),
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
         judge="trace", typed="tests/smp/monitor_trace.txt",
         must_contain=("doing cache_thrash\n",)),
    Case("trace-overwritten", "run=stress workload=bulk,rand,xfree trace=on cache=64 batch=16 ops=60k",
         smp="2", mem="16M", judge="trace", must_contain=('"record":"trace","cpu":1,',)),
    Case("trace-schedule", "run=explore workload=bulk ops=2000 trace=on", mem="16M",
         icount="shift=0,sleep=off", judge="trace", must_contain=('"record":"explore"',)),
    crash_traced("null-read", "trace of cpu 0, ", "trace of cpu 3, ", " us ago: "),
    # The kernel without the programs of tests/ has a monitor, and nothing that runs by default.
    Case("bare", build="bare", must_contain=("hartframe: 4 cpus", "nothing to run: ", "run=monitor ")),
    Case("bare-monitor", "run=monitor", smp="2", build="bare", typed="tests/smp/monitor_quit.txt",
         must_contain=("monitor: help lists the commands", "hartframe> quit")),
    Case("bare-workload", "workload=bulk", smp="2", build="bare", expect="fail", must_contain=(
        'bootargs: "workload=bulk": no program of this kernel has a use for it; valid: nothing',)),
    # Every allocation fails once; then what failnth= and failrate= do to programs of other purposes.
    Case("faults", "run=faults", judge="faults", must_contain=('"record":"fault_sites"',)),
    Case("faults-one-cpu", "run=faults paging=off", smp="1", mem="32M", must_contain=("# SKIP not supported here",)),
    *(Case(f"faults-{policy}", f"run=faults policy={policy}", smp="2", mem="32M") for policy in POLICIES),
    Case("faults-first", "run=selftest failnth=1", smp="2", expect="fail", must_contain=(
        "faults: allocation 1 fails on purpose\n", "not ok 3 frames: FRAME_ZERO is all zero # !pfn_is_none(frame)\n",
        '"record":"faults","nth":1,"rate":0,"failseed":1,', '"failed":1}', ", 1 failed\n")),
    Case("faults-never", "run=selftest failnth=1000000000000", smp="2", must_contain=(" allocations, 0 failed on purpose\n",)),
    # In virtual time the order of allocations is always the same, so the same ones fail.
    Case("faults-rate", "time=virtual turn=200 run=stress workload=rand,bulk,xfree,run,kmalloc,xmalloc,churn ops=300 "
         "failrate=1/64 failseed=7", smp="3", must_contain=("with probability 1/64, failseed=7\n", '"rate":64,"failseed":7,')),
    Case("faults-twice", "run=faults failnth=1", smp="1", expect="fail",
         must_contain=("run=faults injects faults by itself",)),
    refused("failnth-none", "failnth=0", "too small", "valid: 1 and more"),
    refused("failrate-form", "failrate=2/3", "not of the form 1/N", "valid: 1/N, N at least 1"),
    refused("failnth-with-caches", "failnth=5 cache=64", "turn caches off"),
    # What framedebug= says of wrong uses of frames; and that right ones go on as without it.
    Case("framedebug", "run=selftest,stress framedebug=all ops=300", smp="2", must_contain=(
        "frames that are allocated, by call\n", "page_reserve_settle+0x", '"record":"frame_site","address":')),
    Case("framedebug-free_list", "run=selftest,stress framedebug=all ops=300 policy=free_list workload=bulk,kmalloc", smp="2"),
    Case("framedebug-sweep", "run=bench workload=bulk policy=all ops=500 rounds=1 framedebug=all", smp="2", mem="32M"),
    Case("framedebug-nodes", "run=stress workload=bulk,xfree,run ops=300 framedebug=all", mem="512M", qemu_args=NUMA),
    Case("framedebug-store", "crash=frame-store framedebug=all", mem="32M", expect="fail", must_contain=(
        "PANIC on cpu 3 (hart ", " was written to after it was freed: found 0x1234 at offset 0x18, expected 0xf5eef5eef5eef5ee; "
        "freed by cpu 3 at [<0x", "inlined in write_after_free 'frame_free(frame);', ",
        "inlined in write_after_free 'pfn_t frame = frame_alloc(FRAME_ANY);'\n",
        "\n write_after_free 'while (!pfn_is_none(frame_alloc(FRAME_ANY)))'" + CRASH_CALLERS)),
    Case("framedebug-twice", "crash=frame-twice framedebug=owners", mem="32M", expect="fail", must_contain=(
        "PANIC on cpu 3 (hart ", " is freed twice: its state is free, ", "; freed by cpu 3 at [<0x",
        "inlined in free_twice 'frame_free(frame);', ", "inlined in free_twice 'pfn_t frame = frame_alloc(FRAME_ANY);'\n",
        "\n free_twice 'frame_free(frame); /* again */'" + CRASH_CALLERS)),
    Case("framedebug-leak", "crash=frame-leak framedebug=owners run=stress workload=repeat ops=100", mem="32M", expect="fail",
         must_contain=("       5 frames in 5 allocations, the oldest ", "      16 frames in 1 allocations, the oldest ",
                       "inlined in leak_frames '(void)*(volatile uint64_t *)frame_bytes(frame_alloc(FRAME_ZERO));'\n",
                       "leak_frames '(void)*(volatile uint64_t *)frame_bytes(frame_alloc_run(16, 16));'\n")),
    refused("framedebug-unknown", "framedebug=owner", "no such value", "valid: poison owners all"),
    refused("unknown-crash", "crash=nonesuch", "no such value", "valid: none null-read"),
    # One boot of each scheduler; the sweep shows that a digest can be repeated.
    scheduled("pct", "pct:100:3", "exhaust", 1),
    scheduled("walk", "walk:200", "rand,churn", 60),
    scheduled("list", "list switches=0:2,5:1,9:3", "rand", 100),
    # The cpus' handlers take all of the time between two switches.
    Case("schedule-without-time", "run=explore workload=repeat ops=20 preempt=0:0:any", smp="2", mem="16M",
         icount="shift=7,sleep=off", timeout=30, must_contain=('"digest":"',)),
    refused("schedule-unknown", "run=explore schedule=random", "no such schedule", "seeds pct walk list"),
    refused("schedule-elsewhere", "run=stress schedule=pct", "only run=explore has switches", "KIND one of seeds"),
    refused("explore-with-others", "run=stress,explore", "explore goes alone", "run=selftest "),
    refused("unknown-trace", "trace=yes", "no such value", "valid: off on"),
    refused("unknown-key", "polcy=x", "no such key", "did you mean policy?", "valid keys:"),
    refused("unknown-value", "lock=futex", 'no such value "futex"; valid: fas'),
    refused("mistyped-workload", "workload=bluk", "no such value", "did you mean bulk?", "valid: repeat"),
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
    refused("more-cpus-than-harts", "cpus=99", "cpus=99: too large; valid: 1 to 2"),
)


def matrix(smp: str, mem: str) -> list[Case]:
    """Each number of harts with the size of memory in the same place; the shorter list begins again."""
    numbers, sizes = smp.split(","), mem.split(",")
    return [
        Case(f"smp={harts} mem={size}", smp=harts, mem=size)
        for harts, size in (
            (numbers[i % len(numbers)], sizes[i % len(sizes)])
            for i in range(max(len(numbers), len(sizes)))
        )
    ]


# What `make check` boots.
QUICK_CASES = (Case("quick", "run=selftest,stress ops=500", smp="2"),)
