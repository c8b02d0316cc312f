# SPDX-License-Identifier: BSD-2-Clause
# host.mk - the builds for the host: the tests, the fuzz targets and the benchmarks.
#
# A test says in its second line what it is built for, and nothing else has to list it:
#
#	/* Builds: plain checks0 tsan */
#
# A test without that line is built for `plain`. The builds:
#
#   plain     AddressSanitizer and UBSan
#   checks0   the same without checks of callers and asserts, as the benchmarks are: what works only
#             because something was checked first fails here
#   bare      without lock statistics, wait matrix and trace, which are layers that a build can leave out
#   tsan      ThreadSanitizer: for tests in which cpus run at once
#   traps     mm/ and sync/ call out before each access to memory
#   space     address spaces on simulated MMUs
#   cpu       harts that come and go, on a simulated firmware
#   power     the end of the machine, on simulated devices
#   weak      mm/, sync/ and parts of kernel/ on a memory that does all that RVWMO allows
#
# All programs but those of checks0, bare and tsan are in $(BUILD)/host.

tests_by_build := $(shell awk 'FNR == 2 { \
	if (/^\/\* Builds: /) for (i = 3; i < NF; i++) print $$i ":" FILENAME; \
	else print "plain:" FILENAME; nextfile }' \
	$(wildcard tests/host/test_*.c tests/host/*/test_*.c))
tests_of = $(patsubst $1:%,%,$(filter $1:%,$(tests_by_build)))

# ---- what is compiled ------------------------------------------------------------------------

allocator := $(wildcard mm/*.c mm/*/*.c sync/*.c)
boot := $(wildcard kernel/boot/bootargs*.c kernel/boot/devicetree*.c kernel/boot/machine*.c) \
	kernel/boot/early.c kernel/boot/memory.c kernel/diag/suggest.c kernel/vm/kernel_map.c
support := $(filter-out %/libfdt_judge.c,$(wildcard tests/host/support/*.c))
workloads := $(filter-out %/churn.c tests/smp/workloads/workloads_vm%,\
	$(wildcard tests/smp/workloads/*.c)) tests/smp/selftest/lock_trial.c
histories := $(wildcard tests/host/support/history*.c)
host_library := $(allocator) $(boot) $(workloads) $(support)

HOST_WARNINGS := -g -Wall -Wextra -Werror
# Counters begin shortly before they wrap (sync/counter_start.h).
HOST_DEFINES  := -fno-omit-frame-pointer -DCK_MD_RMO -DCOUNTERS_NEAR_WRAP=1
host_flags = -std=gnu11 $1 $(HOST_WARNINGS) $2 $(HOST_DEFINES)
ASAN  := -fsanitize=address,undefined -fno-sanitize-recover=all
UBSAN := -fsanitize=undefined -fno-sanitize-recover=all
HOST_CFLAGS   := $(call host_flags,-O1,$(ASAN))
HOST_INCLUDES := -I. -Itests/host/support

links.test_devicetree_libfdt := tests/host/support/libfdt_judge.c
libs.test_devicetree_libfdt  := -lfdt
links.fuzz_devicetree        := tests/host/support/libfdt_judge.c
libs.fuzz_devicetree         := -lfdt
links.test_lock_chain := kernel/diag/lock_chain.c
links.test_trap_text := kernel/diag/trap_text.c
links.test_line_edit := kernel/diag/line_edit.c kernel/diag/line_keys.c
links.test_turns := tools/qemu/turns.c
links.test_schedule := tests/smp/schedule.c
# What the kernel prints of locks; the verdict of its timed loops is the test's.
links.test_lines := tools/qemu/lines.c
links.test_contention := kernel/diag/contention.c kernel/diag/record.c kernel/diag/wait_report.c \
	kernel/diag/figures.c tests/smp/lock_report.c tests/smp/sweep_report.c \
	tests/smp/sweep_table.c tests/smp/sweep_columns.c tests/smp/sweep_lock.c

# ---- plain, checks0, tsan --------------------------------------------------------------------

# The fuzz targets are in `plain` too, as programs that only replay their corpora.
fuzz_targets := $(wildcard tests/host/fuzz/fuzz_*.c)
fuzz_library := $(allocator) $(boot) $(addprefix tests/host/,support/port.c support/policy_model.c \
	support/devicetree_walk.c support/dtb_builder.c support/paging_model.c fuzz/support.c)
$(foreach target,$(call program,$(fuzz_targets)),\
	$(eval plain.base.$(target) := $(fuzz_library) tests/host/fuzz/replay.c))

plain.dir      := host
plain.cc       := $(HOSTCC)
plain.flags    := $(HOST_CFLAGS)
plain.includes := $(HOST_INCLUDES)
plain.sources  := $(host_library)
plain.tests    := $(call tests_of,plain) $(fuzz_targets)
plain.into     := host
plain.needs    := $(BUILD)/deps/test
plain.goals    := host $(BUILD)/host/%

checks0.dir      := host-checks0
checks0.cc       := $(HOSTCC)
checks0.flags    := $(HOST_CFLAGS) -DCHECKS=0 -DASSERTS=0
checks0.includes := $(HOST_INCLUDES)
checks0.sources  := $(host_library)
checks0.tests    := $(call tests_of,checks0)
checks0.into     := host-checks0
checks0.needs    := $(BUILD)/deps/test
checks0.goals    := host-checks0 $(BUILD)/host-checks0/%

# As in the kernel: the call site of a slow half (mm/heap/debug.h) is the caller of kmalloc().
$(foreach build,plain checks0,$(call special,$(build),mm/heap/kmalloc_hit.c,-O2 -fomit-frame-pointer))

bare.dir      := host-bare
bare.cc       := $(HOSTCC)
bare.flags    := $(HOST_CFLAGS) -DLOCK_STATS=0 -DWAIT_MATRIX=0 -DTRACE=0
bare.includes := $(HOST_INCLUDES)
bare.sources  := $(host_library)
bare.tests    := $(call tests_of,bare)
bare.into     := host-bare
bare.needs    := $(BUILD)/deps/test
bare.goals    := host-bare $(BUILD)/host-bare/%

# ThreadSanitizer needs Concurrency Kit's primitives in terms that it knows: tests/host/tsan/ck_pr.h
# comes before the kit's.
tsan.dir      := tsan
tsan.cc       := $(HOSTCC)
tsan.flags    := $(call host_flags,-O1,-fsanitize=thread)
tsan.includes := -Itests/host/tsan $(HOST_INCLUDES)
tsan.sources  := $(host_library) $(wildcard tests/host/tsan/*.c)
tsan.tests    := $(call tests_of,tsan)
tsan.into     := tsan
tsan.needs    := $(BUILD)/deps/test
tsan.goals    := tsan $(BUILD)/tsan/%

# ---- simulated machines ----------------------------------------------------------------------

# mm/, sync/ and the trace's ring, calling out before each access to memory: to the functions in
# tests/host/traps/, not to ThreadSanitizer, which has no part in it. The port is the ordinary one.
# The algorithms of the locks do not call out: no other cpu may run in the middle of an acquire, which
# it may have to wait for.
traps_library := $(allocator) kernel/diag/trace_ring.c

traps.dir      := traps
traps.cc       := $(HOSTCC)
traps.flags    := $(call host_flags,-O1)
traps.link     := $(ASAN)
traps.includes := $(HOST_INCLUDES)
traps.sources  := $(traps_library) tests/host/traps/traps.c tests/host/support/port.c tests/host/support/unit.c
traps.tests    := $(call tests_of,traps)
traps.into     := host
traps.needs    := $(BUILD)/deps/test
traps.goals    := host $(BUILD)/host/% $(BUILD)/traps/%
$(call special,traps,sync/spin_kinds.c,$(ASAN) -DTRAPS_POINTS=0 -Itests/host/traps)
$(call special,traps,$(filter-out sync/spin_kinds.c,$(traps_library)),$(subst address,thread,$(ASAN)) -U__SANITIZE_THREAD__ -Dmemcpy=traps_copy -Itests/host/traps)
$(call special,traps,$(traps.tests) $(addprefix tests/host/traps/,traps.c heap_points.c),-O2 -Itests/host/traps)
links.test_trap_heap := tests/host/traps/heap_points.c
links.test_trap_resize := tests/host/traps/heap_points.c
$(call special,traps,tests/host/support/port.c tests/host/support/unit.c,$(ASAN))

# Address spaces with all that they stand on: one thread, and a stack for each cpu, which
# AddressSanitizer does not follow. The port and the frame of the tests are the ordinary ones.
space_library := $(allocator) $(wildcard tests/host/space/simulated*.c tests/smp/workloads/workloads_vm_*.c) \
	tests/smp/workloads/workload.c $(wildcard kernel/vm/space*.c) kernel/smp/shootdown.c

space.dir      := space
space.cc       := $(HOSTCC)
space.flags    := $(call host_flags,-O1,$(UBSAN))
space.includes := $(HOST_INCLUDES)
space.sources  := $(space_library) $(addprefix tests/host/support/,port.c unit.c smp_memory.c)
space.tests    := $(call tests_of,space)
space.into     := host
space.needs    := $(BUILD)/deps/test
space.goals    := host $(BUILD)/host/% $(BUILD)/space/%
$(call special,space,$(space_library) $(space.tests),-Itests/host/space)
$(call special,space,$(wildcard kernel/vm/space*.c),-Dmemcpy=sim_copy -Dspin_lock=sim_lock -Dspin_unlock=sim_unlock)

# Everything around kernel/smp/, and around arch/riscv/power.c, is in the test.
cpu.dir      := cpu
cpu.cc       := $(HOSTCC)
cpu.flags    := $(HOST_CFLAGS)
cpu.includes := -Itests/host/cpu $(HOST_INCLUDES)
cpu.sources  := $(addprefix kernel/smp/,cpu.c cpu_stop.c cpu_work.c ipi.c) tests/host/support/unit.c
cpu.tests    := $(call tests_of,cpu)
cpu.into     := host
cpu.needs    := $(BUILD)/deps/test
cpu.goals    := host $(BUILD)/host/% $(BUILD)/cpu/%

power.dir      := power
power.cc       := $(HOSTCC)
power.flags    := $(HOST_CFLAGS)
power.includes := -Itests/host/power -Itests/host/cpu $(HOST_INCLUDES)
power.sources  := arch/riscv/power.c tests/host/support/unit.c
power.tests    := $(call tests_of,power)
power.into     := host
power.needs    := $(BUILD)/deps/test
power.goals    := host $(BUILD)/host/% $(BUILD)/power/%

# The code under test calls tests/host/weak/ for each access and each fence: ck_pr.h there comes before
# Concurrency Kit's, and the compiler, which believes that it builds for ThreadSanitizer, calls
# races.c before each plain access. It does not for what the C library accesses, so races.c has these too.
weak_explorer := $(addprefix tests/host/weak/,choices.c devices.c explore.c machine.c fences.c late.c locations.c memory.c races.c runs.c schedule.c stores.c story.c)

weak.dir      := weak
weak.cc       := $(HOSTCC)
weak.flags    := $(call host_flags,-O1) -DLOCK_STATS=0 -DWAIT_MATRIX=0 -DTRACE=0
weak.link     := -no-pie
weak.includes := $(HOST_INCLUDES)
weak.sources  := $(allocator) $(weak_explorer) $(addprefix tests/host/support/,port.c unit.c)
weak.tests    := $(call tests_of,weak)
weak.into     := host
weak.needs    := $(BUILD)/deps/test
weak.goals    := host $(BUILD)/host/% $(BUILD)/weak/%
weak_smp := arch/riscv/hart.c arch/riscv/mmu.c \
	$(addprefix kernel/smp/,cpu_stop.c cpu_work.c ipi.c shootdown.c)
weak_space := $(wildcard kernel/vm/space*.c)
weak_watched := -fsanitize=thread -U__SANITIZE_THREAD__ --param=tsan-distinguish-volatile=1 -Itests/host/weak \
	-Dmemset=weak_memset -Dmemcpy=weak_memcpy -Dmemmove=weak_memmove
links.test_weak_sync := kernel/diag/trace_ring.c
links.test_weak_history := $(histories)
links.test_traps_history := $(histories)
weak_harts := $(addprefix tests/host/weak/,harts.c mmus.c)
links.test_weak_smp := $(weak_smp) $(weak_harts)
links.test_weak_stop := $(weak_smp) $(weak_harts)
weak_space_machine := $(filter-out %/cpu_work.c %/cpu_stop.c,$(weak_smp)) $(weak_space) $(weak_harts) tests/host/weak/space_machine.c
links.test_weak_space := $(weak_space_machine)
links.test_weak_cow := $(weak_space_machine)
links.test_weak_shootdown := $(weak_space_machine)
$(call special,weak,$(weak_smp) $(weak_space) kernel/diag/trace_ring.c,$(weak_watched))
$(call special,weak,$(weak_explorer) $(weak_harts) tests/host/weak/space_machine.c,-O2 -Itests/host/weak)
$(call special,weak,$(allocator) $(weak.tests),$(weak_watched))

# ---- fuzzing ---------------------------------------------------------------------------------

# The fuzz targets with clang and libFuzzer, to find inputs for their corpora. Instrumenting what only
# compares does not guide the fuzzer, and took most of the time.
FUZZCC  ?= clang
SECONDS ?= 60
TARGETS ?=

fuzz.dir      := fuzz
fuzz.cc       := $(FUZZCC)
fuzz.flags    := $(call host_flags,-O1,$(ASAN) -fsanitize=fuzzer-no-link)
fuzz.link     := -fsanitize=fuzzer
fuzz.includes := $(HOST_INCLUDES)
fuzz.sources  := $(fuzz_library)
fuzz.tests    := $(fuzz_targets)
fuzz.into     := fuzz
fuzz.needs    := $(BUILD)/deps/fuzz
fuzz.goals    := fuzz fuzz-merge $(BUILD)/fuzz/%
$(call special,fuzz,$(addprefix tests/host/support/,policy_model.c libfdt_judge.c devicetree_walk.c),\
	-fno-sanitize=fuzzer-no-link)

# ---- benchmarks on the host ------------------------------------------------------------------

# bench_policy is run by hand: $(BUILD)/bench/host/bench_policy [POLICY]
host_bench.dir      := bench/host
host_bench.cc       := $(HOSTCC)
# In the host's own order of memory, where the port knows it (sync/ck.h).
host_order          := $(if $(filter x86_64,$(shell uname -m)),TSO,RMO)
host_bench_flags    := -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror -DASSERTS=0 \
	-DCK_MD_$(host_order)
host_bench.flags    := $(host_bench_flags) -DCHECKS=0
host_bench.includes := $(HOST_INCLUDES)
host_bench.tests    := $(wildcard tests/host/bench/bench_*.c)
host_bench.into     := bench/host
host_bench.needs    := $(BUILD)/deps/test
host_bench.goals    := bench bench-heap $(BUILD)/bench/host/%
links.bench_tree    := $(wildcard mm/global/segment_tree*.c) mm/global/run_tree.c mm/global/bit_index.c mm/global/bits.c
links.bench_policy  := $(filter-out mm/global/zone%,$(wildcard mm/global/*.c))
links.bench_heap    := $(allocator) tests/host/support/port.c tests/host/bench/heap_traces.c

# The heap once more, with the checks of callers, as the kernel has them by default.
host_bench_checks1.dir      := bench/host-checks1
host_bench_checks1.cc       := $(HOSTCC)
host_bench_checks1.flags    := $(host_bench_flags) -DCHECKS=1
host_bench_checks1.includes := $(HOST_INCLUDES)
host_bench_checks1.tests    := tests/host/bench/bench_heap.c
host_bench_checks1.into     := bench/host-checks1
host_bench_checks1.needs    := $(BUILD)/deps/test
host_bench_checks1.goals    := bench bench-heap $(BUILD)/bench/host-checks1/%

heap_benches := $(foreach kind,host host-checks1,$(BUILD)/bench/$(kind)/bench_heap)

# ---- all of them -----------------------------------------------------------------------------

test_builds := plain checks0 bare tsan traps space cpu power weak
$(foreach name,$(test_builds) fuzz host_bench host_bench_checks1,$(eval $(call build,$(name)))$(eval $(call programs,$(name))))

unknown := $(filter-out $(test_builds:%=%:%),$(tests_by_build))
$(if $(unknown),$(error a test says `Builds:` with a name that is none of $(test_builds): $(unknown)))

replays := $(filter $(BUILD)/host/fuzz_%,$(plain.programs))
host_tests := $(sort $(filter-out $(replays),$(plain.programs)) \
	$(foreach name,traps space cpu power weak,$($(name).programs)))
host_checks0_tests := $(checks0.programs)
host_bare_tests := $(bare.programs)
tsan_tests := $(tsan.programs)

host: $(host_tests) $(replays)
host-checks0: $(host_checks0_tests)
host-bare: $(host_bare_tests)
tsan: $(tsan_tests)

fuzz_run = tools/fuzz.py --build $(BUILD)/fuzz --seconds $(SECONDS) $(if $(TARGETS),--only '$(TARGETS)') \
	$(fuzz_targets:tests/host/fuzz/fuzz_%.c=%)

fuzz: $(fuzz.programs)
	$(quiet)$(fuzz_run)

fuzz-merge: $(fuzz.programs)
	$(quiet)$(fuzz_run) --merge

.PHONY: host host-checks0 host-bare tsan fuzz fuzz-merge
