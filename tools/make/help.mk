# SPDX-License-Identifier: BSD-2-Clause
# help.mk - what `make help` prints: the targets by what a person wants.

define help_text
hartframe: a RISC-V kernel that allocates frames on many harts at once

Build and boot
  make             build/hartframe.elf and compile_commands.json
  make run         boot it under QEMU: selftest, stress, report, verdict; then once more for what locks cost
                     SMP=4 MEM=128M TIMEOUT=120 BOOTARGS="key=value ..."
                     JSON=1 shows the records too; COLOR=0|1: without and with colours
                     VTIME=1: in virtual time, where lock contention is exact on any host
                     LINES=1: with it, what lines of memory cost (docs/lines.md); LINE=N: each transfer, N instructions
  make trace       what the CPUs of a run did, as a page for a browser (build/trace.html)
  make monitor     a prompt in the running kernel: ledger, zones, caches, stop, start, load
  make debug       QEMU waits for gdb, and says what to type; docs/running.md has the commands hf-*

Test
  make check       the quick tests; T=tree or T=mm/global/zone.c: only the tests of that; T=? lists them
  make test        all tests: host tests under sanitizers, boots over SMPS and MEMS, schedules, lint,
                     model; ends with "N passed, N failed"
                     K=pattern, LF=1: those that failed last time, JOBS=n, ARGS="pytest options"
  make covers      which test covers which source file
  make coverage    which functions are entered by traps and other CPUs: docs/coverage.md
  make fences      which test dies without which fence: docs/fences.md; minutes
  make lint        layers, memory model, fences in the machine code, bounds of the stack
  make stack       what each public call uses of the stack, with the deepest chain of calls
  make port-check  what docs/porting.md promises to another kernel
  make model       the protocol of exhaustion (docs/models) and its broken variants, with spin
  make prove       contracts of bits, maps, the buddy's rooms and alignment, by Frama-C (docs/proofs.md); minutes
  make host        build the host tests: build/host/test_NAME runs one, SEED=n with another seed
  make host-checks0, make tsan
                   the same without checks of callers; and under ThreadSanitizer

Look for bugs
  make explore     schedules drawn from seeds, one boot each
                     SEEDS=1-64 WORKLOAD= SMP=4 MEM= PREEMPT=MIN:RANGE:MODE BOOTARGS=
                     SCHEDULE=seeds|pct:STEPS:DEPTH|walk:STEPS: how the hart that goes on is chosen
  make replay      one of them again: SEED=7 and the same options; GDB=1 waits for gdb (GDB_PORT=)
  make shrink      a failing one with as few switches as still fail, and where each is: SEED=7 MINUTES=5
  make schedulers  compares the schedulers by the seeds they need for bugs of tests/mutants; MINUTES=60 ONLY=
  make soak        stress and schedules for MINUTES=60; goes on from the last soak unless FRESH=1
                     CPUS=1,2,4,8 WORKLOAD= MEM=
  make fuzz        each fuzz target for SECONDS=60, as many at once as there are cores
                     TARGETS=policy,heap for some; new inputs stay in build/fuzz/corpus
  make fuzz-merge  fold those, minimised, into tests/host/fuzz/corpus
  make mutants     mutation tests: which test catches which bug of tests/mutants/
                     ONLY=pattern PART=k/n|auto/n NAMED=1 MATRIX=1 GENERATED='function or file' MINUTES=n
                     SAMPLE=n SEED=s LIMIT=seconds: n bugs that the tool makes up, all over the kernel

Measure
  make bench       instruction counts and ratios against their bounds; table and CSV
  make bench-heap  kmalloc against glibc, jemalloc and mimalloc on this host; a part of make bench too
                     SAVE=file.jsonl: its records
  make report      sweep locks, harts, caches, batches and policies, all in virtual time: build/report/index.html
                     any run's records as CSV: tools/report_records.py build/logs/run.jsonl --out build/csv

Housekeeping
  make deps        install what is missing (Debian packages, by name)
  make format      clang-format over all sources
  make compile_commands.json
                   the commands of all builds, for clangd; make writes it too
  make clean       remove build/

V=1 shows the commands. CHECKS=0 builds without the checks of callers, ASSERTS=0 without those of
the project's own invariants, ZBB=1 for harts with bit-manipulation. CROSS= and HOSTCC= choose the
compilers; a change of any of these rebuilds what it concerns.
A mistyped target, variable or value stops make, and says what is valid.
endef

help:
	$(info $(help_text))@:

.PHONY: help
