# SPDX-License-Identifier: BSD-2-Clause
# hartframe - `make help` lists the targets.

SMP      ?= 4
MEM      ?= 128M
BOOTARGS ?=
TIMEOUT  ?= 120
CHECKS   ?= 1
ASSERTS  ?= 1
ZBB      ?= 0
SMPS     ?= 1,2,4,8
MEMS     ?= 32M,128M,1G

CROSS    ?= riscv64-unknown-elf-
HOSTCC   ?= gcc
BUILD    ?= build

ifeq ($(V),1)
  quiet :=
  say = @:
else
  quiet := @
  say = @printf '  %-7s %s\n'
endif

comma := ,

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:

# ---- the kernel ------------------------------------------------------------------------------

# CSR instructions are part of `i` with this misa-spec. Naming any extension makes this toolchain's
# multilib lookup choose the library for hard floats, so Zbb is for compiling only, not for linking.
march_link := rv64imac
march := $(march_link)$(if $(filter 1,$(ZBB)),_zba_zbb)

# CK_MD_RMO: Concurrency Kit's fences, or no build (sync/ck.h).
KERNEL_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror \
	-march=$(march) -misa-spec=2.2 -mabi=lp64 -mcmodel=medany --specs=picolibc.specs \
	-DPICOLIBC_INTEGER_PRINTF_SCANF -fno-omit-frame-pointer -fno-optimize-sibling-calls \
	-ffunction-sections -fdata-sections -fno-tree-loop-distribute-patterns \
	-DCK_MD_RMO -DCHECKS=$(CHECKS) -DASSERTS=$(ASSERTS)
KERNEL_INCLUDES := -I. -Iarch/riscv -isystem $(BUILD)/ck
KERNEL_LDFLAGS := -nostartfiles -Tlinker.ld -Wl,--gc-sections -Wl,--fatal-warnings \
	-Wl,-Map=$(BUILD)/hartframe.map

kernel_sources := $(wildcard arch/riscv/*.c kernel/*.c kernel/*/*.c mm/*.c mm/*/*.c sync/*.c \
	tests/smp/*.c tests/smp/*/*.c)
kernel_assembly := $(wildcard arch/riscv/*.S)
kernel_objects := $(kernel_sources:%.c=$(BUILD)/kernel/%.o) \
	$(kernel_assembly:%.S=$(BUILD)/kernel/%.o)

all: deps-run $(BUILD)/hartframe.elf

$(BUILD)/hartframe.elf: $(kernel_objects) linker.ld
	$(say) LD $@
	$(quiet)$(CROSS)gcc $(patsubst -march=%,-march=$(march_link),$(KERNEL_CFLAGS)) \
		$(KERNEL_LDFLAGS) -o $@ $(kernel_objects)

# The .su files beside the objects are for `make lint`, which holds them against the machine code.
$(BUILD)/kernel/%.o: %.c $(BUILD)/kernel.flags Makefile | $(BUILD)/ck/ck_pr.h
	$(say) CC $<
	@mkdir -p $(@D)
	$(quiet)$(CROSS)gcc $(KERNEL_CFLAGS) $(KERNEL_INCLUDES) -fstack-usage -MMD -MP -c -o $@ $<

# The called hot path and the way of a batch do without what backtraces need.
$(addprefix $(BUILD)/kernel/,mm/frame_called.o mm/percpu/cache.o mm/percpu/refill.o mm/percpu/flush.o mm/global/segment_tree.o \
	mm/global/segment_tree_plan.o mm/global/segment_tree_run.o mm/global/run_tree.o \
	mm/global/bitmap.o mm/global/interval_stack.o mm/global/free_map.o \
	mm/global/zone.o sync/spinlock.o sync/spin_kinds.o): KERNEL_CFLAGS += -fomit-frame-pointer -foptimize-sibling-calls

$(BUILD)/kernel/%.o: %.S $(BUILD)/kernel.flags Makefile | deps-run
	$(say) AS $<
	@mkdir -p $(@D)
	$(quiet)$(CROSS)gcc $(KERNEL_CFLAGS) $(KERNEL_INCLUDES) -MMD -MP -c -o $@ $<

# Rebuild when the switches change, and only then.
$(BUILD)/kernel.flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CROSS) $(KERNEL_CFLAGS)' | cmp -s - $@ || echo '$(CROSS) $(KERNEL_CFLAGS)' >$@

# Concurrency Kit's headers alone: the rest of the host's /usr/include must stay out of sight.
CK_INCLUDE ?= /usr/include
$(BUILD)/ck/ck_pr.h: | deps-run
	@mkdir -p $(@D)
	@ln -sfn $(CK_INCLUDE)/gcc $(@D)/gcc
	@ln -sfn $(CK_INCLUDE)/spinlock $(@D)/spinlock
	@ln -sf $(CK_INCLUDE)/ck_*.h $(@D)/

# ---- host tests ------------------------------------------------------------------------------

HOST_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -fsanitize=address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer -DCK_MD_RMO
HOST_INCLUDES := -I. -Itests/host

host_library := $(wildcard mm/*.c mm/*/*.c sync/*.c) $(wildcard kernel/boot/devicetree*.c kernel/boot/machine*.c) \
	kernel/boot/early.c kernel/boot/memory.c kernel/vm/kernel_map.c kernel/boot/bootargs.c \
	$(filter-out %/churn.c tests/smp/workloads/workloads_vm%,$(wildcard tests/smp/workloads/*.c)) \
	tests/smp/selftest/lock_trial.c \
	$(filter-out tests/host/test_% tests/host/fuzz_% tests/host/bench_% tests/host/libfdt_%,$(wildcard tests/host/*.c))
host_tests := $(patsubst tests/host/%.c,$(BUILD)/host/%,$(wildcard tests/host/test_*.c))
host_objects := $(host_library:%.c=$(BUILD)/host/%.o)
host_plain_tests := $(filter-out $(patsubst %,$(BUILD)/host/test_%,traps trace cpu power space contention),\
	$(host_tests))

host: $(host_tests)

$(host_plain_tests): $(BUILD)/host/%: $(BUILD)/host/tests/host/%.o $(host_objects)
	$(say) HOSTLD $@
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) -o $@ $^ -lpthread $(if $(findstring libfdt,$@),-lfdt)

$(BUILD)/host/%.o: %.c Makefile | deps-test
	$(say) HOSTCC $<
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) $(HOST_INCLUDES) -MMD -MP -c -o $@ $<

# mm/ and sync/ (and the trace's ring) once more, calling out before each access to memory: to the functions in
# tests/host/traps/, not to ThreadSanitizer, which has no part in it.
traps_dir := $(BUILD)/host/traps
traps_mm := $(patsubst %.c,$(traps_dir)/%.o,$(wildcard mm/*.c mm/*/*.c sync/*.c) kernel/diag/trace_ring.c)
traps_own := $(patsubst %,$(traps_dir)/tests/host/%.o,test_traps test_trace traps/traps)
traps_tests := $(BUILD)/host/test_traps $(BUILD)/host/test_trace

$(traps_dir)/%.o: HOST_INCLUDES := -I. -Itests/host/traps -Itests/host
$(traps_own): HOST_CFLAGS := $(filter-out -fsanitize% -fno-sanitize%,$(HOST_CFLAGS)) -O2
$(traps_mm): HOST_CFLAGS := $(subst address,thread,$(HOST_CFLAGS)) -U__SANITIZE_THREAD__

$(traps_dir)/%.o: %.c Makefile | deps-test
	$(say) HOSTCC $@
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) $(HOST_INCLUDES) -MMD -MP -c -o $@ $<

$(traps_tests): $(BUILD)/host/%: $(traps_dir)/tests/host/%.o $(traps_mm) \
		$(traps_dir)/tests/host/traps/traps.o $(BUILD)/host/tests/host/port.o \
		$(BUILD)/host/tests/host/unit.o
	$(say) HOSTLD $@
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) -o $@ $^ -lpthread

# Harts that come and go, with everything around kernel/smp/ in the test.
cpu_test := $(patsubst %,$(BUILD)/host/cpu/%.o,kernel/smp/cpu kernel/smp/cpu_stop kernel/smp/cpu_work \
	kernel/smp/ipi tests/host/test_cpu)

$(BUILD)/host/cpu/%.o: HOST_INCLUDES := -Itests/host/cpu $(HOST_INCLUDES)
$(BUILD)/host/cpu/%.o: %.c Makefile | deps-test
	$(say) HOSTCC $@
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) $(HOST_INCLUDES) -MMD -MP -c -o $@ $<

$(BUILD)/host/test_cpu: $(cpu_test) $(BUILD)/host/tests/host/unit.o
	$(say) HOSTLD $@
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) -o $@ $^

# The end of a machine whose finisher, firmware and clock are the test's.
power_test := $(patsubst %,$(BUILD)/host/power/%.o,arch/riscv/power tests/host/test_power)

$(BUILD)/host/power/%.o: HOST_INCLUDES := -Itests/host/power -Itests/host/cpu $(HOST_INCLUDES)
$(BUILD)/host/power/%.o: %.c Makefile | deps-test
	$(say) HOSTCC $@
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) $(HOST_INCLUDES) -MMD -MP -c -o $@ $<

$(BUILD)/host/test_power: $(power_test) $(BUILD)/host/tests/host/unit.o
	$(say) HOSTLD $@
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) -o $@ $^

# What the kernel prints of locks, and the verdict of its timed loops in the test.
contention_test := $(patsubst %,$(BUILD)/host/%.o,kernel/diag/record kernel/diag/contention tests/smp/lock_report \
	kernel/diag/wait_report tests/smp/sweep_report tests/smp/result tests/host/test_contention)

$(BUILD)/host/test_contention: $(contention_test) $(host_objects)
	$(say) HOSTLD $@
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) -o $@ $^ -lpthread

# Address spaces on played MMUs, with all that they stand on: one thread, and a stack for each cpu,
# which AddressSanitizer does not follow. The host's port and the frame of the tests see their own.
space_dir := $(BUILD)/host/space
space_own := $(patsubst %.c,$(space_dir)/%.o,$(wildcard mm/*.c mm/*/*.c sync/*.c tests/host/space/*.c) \
	$(wildcard tests/smp/workloads/workloads_vm_*.c) tests/smp/workloads/workload.c $(wildcard kernel/vm/space*.c) kernel/smp/shootdown.c \
	tests/host/test_space.c)
space_host := $(patsubst %,$(space_dir)/tests/host/%.o,port unit smp_memory)

$(space_dir)/%.o: HOST_CFLAGS := $(patsubst -fsanitize=%,-fsanitize=undefined,$(HOST_CFLAGS))
$(space_own): HOST_INCLUDES := -Itests/host/space $(HOST_INCLUDES)
$(patsubst %.c,$(space_dir)/%.o,$(wildcard kernel/vm/space*.c)): HOST_CFLAGS += -Dmemcpy=sim_copy \
	-Dspin_lock=sim_lock -Dspin_unlock=sim_unlock
$(space_dir)/%.o: %.c Makefile | deps-test
	$(say) HOSTCC $@
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) $(HOST_INCLUDES) -MMD -MP -c -o $@ $<

$(BUILD)/host/test_space: $(space_own) $(space_host)
	$(say) HOSTLD $@
	$(quiet)$(HOSTCC) $(patsubst -fsanitize=%,-fsanitize=undefined,$(HOST_CFLAGS)) -o $@ $^ -lpthread

# Without the checks of callers and the asserts, as the benchmarks are: what only works because
# something was looked at first fails here.
host_checks0_tests := $(patsubst %,$(BUILD)/host-checks0/test_%,tree policy policy_lists zone frame flush requests heap \
	mixtures stress paging)
host_checks0_objects := $(host_library:%.c=$(BUILD)/host-checks0/%.o)

host-checks0: $(host_checks0_tests)

$(host_checks0_tests): $(BUILD)/host-checks0/%: $(BUILD)/host-checks0/tests/host/%.o \
		$(host_checks0_objects)
	$(say) HOSTLD $@
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) -o $@ $^ -lpthread

$(BUILD)/host-checks0/%.o: %.c Makefile | deps-test
	$(say) HOSTCC $@
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) -DCHECKS=0 -DASSERTS=0 $(HOST_INCLUDES) -MMD -MP -c -o $@ $<

# ThreadSanitizer needs Concurrency Kit's primitives in terms that it knows: tests/host/tsan/ck_pr.h
# comes before the kit's own. Only programs in which cpus work at once have anything to show it.
TSAN_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -fsanitize=thread \
	-fno-omit-frame-pointer -DCK_MD_RMO
TSAN_INCLUDES := -Itests/host/tsan $(HOST_INCLUDES)

tsan_tests := $(patsubst %,$(BUILD)/tsan/test_%,stress limit mixtures drain requests zone heap sync frame \
	known_bugs_heap paging)
tsan_objects := $(patsubst %.c,$(BUILD)/tsan/%.o,$(host_library) $(wildcard tests/host/tsan/*.c))

tsan: $(tsan_tests)

$(tsan_tests): $(BUILD)/tsan/%: $(BUILD)/tsan/tests/host/%.o $(tsan_objects)
	$(say) TSANLD $@
	$(quiet)$(HOSTCC) $(TSAN_CFLAGS) -o $@ $^ -lpthread

$(BUILD)/tsan/%.o: %.c Makefile | deps-test
	$(say) TSANCC $<
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) $(TSAN_CFLAGS) $(TSAN_INCLUDES) -MMD -MP -c -o $@ $<

# Only what is tested against libfdt is linked with it.
$(BUILD)/host/test_devicetree_libfdt: $(BUILD)/host/tests/host/libfdt_judge.o

# ---- fuzzing ---------------------------------------------------------------------------------

# Each target is built with the host compiler, to replay its corpus in `make test`, and with clang
# and libFuzzer, to find what to put there.
FUZZCC  ?= clang
SECONDS ?= 60
TARGETS ?=

fuzz_support := tests/host/fuzz_support.c tests/host/fuzz_replay.c
fuzz_names := $(patsubst tests/host/fuzz_%.c,%,$(filter-out $(fuzz_support),$(wildcard tests/host/fuzz_*.c)))
fuzz_library := $(wildcard mm/*.c mm/*/*.c sync/*.c) $(wildcard kernel/boot/devicetree*.c kernel/boot/machine*.c) \
	kernel/boot/early.c kernel/boot/memory.c kernel/vm/kernel_map.c kernel/boot/bootargs.c tests/host/port.c \
	tests/host/policy_model.c tests/host/devicetree_walk.c tests/host/dtb_builder.c \
	tests/host/paging_model.c tests/host/fuzz_support.c
FUZZ_CFLAGS := $(filter-out -fsanitize=%,$(HOST_CFLAGS)) -fsanitize=address,undefined \
	-fsanitize=fuzzer-no-link

replays := $(fuzz_names:%=$(BUILD)/host/fuzz_%)
fuzzers := $(fuzz_names:%=$(BUILD)/fuzz/fuzz_%)
fuzz_objects := $(fuzz_library:%.c=$(BUILD)/fuzz/%.o)

host: $(replays)

$(BUILD)/host/fuzz_devicetree: $(BUILD)/host/tests/host/libfdt_judge.o
$(BUILD)/fuzz/fuzz_devicetree: $(BUILD)/fuzz/tests/host/libfdt_judge.o

$(replays): $(BUILD)/host/%: $(BUILD)/host/tests/host/%.o $(BUILD)/host/tests/host/fuzz_replay.o \
		$(fuzz_library:%.c=$(BUILD)/host/%.o)
	$(say) HOSTLD $@
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) -o $@ $^ -lpthread $(if $(findstring devicetree,$@),-lfdt)

$(fuzzers): $(BUILD)/fuzz/%: $(BUILD)/fuzz/tests/host/%.o $(fuzz_objects)
	$(say) FUZZLD $@
	$(quiet)$(FUZZCC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ -lpthread \
		$(if $(findstring devicetree,$@),-lfdt)

$(BUILD)/fuzz/%.o: %.c Makefile | deps-fuzz
	$(say) FUZZCC $<
	@mkdir -p $(@D)
	$(quiet)$(FUZZCC) $(FUZZ_CFLAGS) $(HOST_INCLUDES) -MMD -MP -c -o $@ $<

# Tracing what only compares guides nobody, and took most of the time.
$(addprefix $(BUILD)/fuzz/tests/host/,policy_model.o libfdt_judge.o devicetree_walk.o): \
	FUZZ_CFLAGS := $(filter-out -fsanitize=fuzzer-no-link,$(FUZZ_CFLAGS))

fuzz_run = tools/fuzz.py --build $(BUILD)/fuzz --seconds $(SECONDS) \
	$(if $(TARGETS),--only '$(TARGETS)') $(fuzz_names)

fuzz: $(fuzzers)
	$(quiet)$(fuzz_run)

fuzz-merge: $(fuzzers)
	$(quiet)$(fuzz_run) --merge

.PHONY: fuzz fuzz-merge deps-fuzz

# ---- running ---------------------------------------------------------------------------------

launch = tools/launch.py --kernel $(BUILD)/hartframe.elf --smp $(SMP) --mem $(MEM) \
	--timeout $(TIMEOUT) --log $(BUILD)/logs/run.log --records $(BUILD)/logs/run.jsonl

run: all
	$(quiet)$(launch) --bootargs "$(BOOTARGS)"

$(BUILD)/trees/%.dtb: tests/smp/trees/%.dts $(wildcard tests/smp/trees/*.dts) | deps-test
	$(say) DTC $@
	@mkdir -p $(@D)
	$(quiet)dtc -q -I dts -O dtb -o $@ $<

# Runs before the kernel (see there): boots with another tree than the firmware's, or none.
$(BUILD)/trees/stub.elf: tests/smp/trees/stub.S Makefile | deps-run
	$(say) LD $@
	@mkdir -p $(@D)
	$(quiet)$(CROSS)gcc -march=$(march_link) -misa-spec=2.2 -mabi=lp64 -nostdlib \
		-Wl,-N,--no-warn-rwx-segments,-Ttext=0x83000000 -Wl,--build-id=none -o $@ $<

trees := $(BUILD)/trees/stub.elf $(patsubst tests/smp/trees/%.dts,$(BUILD)/trees/%.dtb,$(wildcard tests/smp/trees/*.dts))

explore_240 = tools/explore.py --kernel $(BUILD)/hartframe.elf --out $(BUILD)/explore --seeds 1-240

# What the tests need and run. The museum runs the same on each of its mutants.
test_needs := all host host-checks0 tsan deps-test $(trees)
test_arguments = --tsan $(tsan_tests) --host-checks0 $(host_checks0_tests) \
	--host $(host_tests) tools/test_tools.py tools/test_bench.py tools/test_mutants.py \
	tools/test_explore.py tools/test_soak.py tools/test_fuzz.py tools/test_report.py \
	tools/test_calibrate.py tools/test_trace.py tools/test_stack.py tools/test_lint.py --corpus $(replays) \
	--explore "$(explore_240)" \
	--kernel $(BUILD)/hartframe.elf --smp $(SMPS) --mem $(MEMS) --lint "$(MAKE) -s lint" \
	"$(port_check) headers symbols calls hostile example"

# The models are no kernel's: the museum has nothing to try on them.
model = tools/model.py --out $(BUILD)/models

test: $(test_needs)
	$(quiet)tools/run_tests.py $(test_arguments) --model "$(model)" --lint "$(port_check) line warnings"

# make mutants [ONLY=pattern] [PART=k/n] [MATRIX=1]; a list of them: tools/mutants.py --list
# make mutants GENERATED='frame_alloc mm/global/zone.c' [PART=k/n]: made by rule, of these functions
mutants: $(test_needs)
	$(quiet)tools/mutants.py $(if $(ONLY),--only '$(ONLY)') $(if $(PART),--part $(PART)) \
		$(if $(GENERATED),--generate '$(GENERATED)') \
		$(if $(filter 1,$(MATRIX)),--matrix) -- $(test_arguments)

# The same kernel as clang makes it, for lint alone: another compiler's fences and addresses. It is not
# run. Warnings are the other build's business. From clang 17 on, CSR instructions are extensions.
LINTCC ?= clang
has_lintcc = $(shell command -v $(LINTCC))
clang_dir := $(BUILD)/clang
clang_target = $(LINTCC) --target=riscv64-unknown-elf -march=$(march)
clang_extensions = $(shell $(clang_target)_zicsr_zifencei -x c -fsyntax-only /dev/null 2>/dev/null && \
	echo _zicsr_zifencei)
picolibc_include = $(patsubst %/stdio.h,%,$(filter %/stdio.h,$(shell \
	$(CROSS)gcc --specs=picolibc.specs -M -include stdio.h -x c /dev/null)))
CLANG_CFLAGS = $(filter-out -Werror -march=% -misa-spec=% --specs=% -fno-tree%,$(KERNEL_CFLAGS)) -w \
	$(KERNEL_INCLUDES) -isystem $(picolibc_include)
clang_objects := $(kernel_sources:%.c=$(clang_dir)/%.o) $(kernel_assembly:%.S=$(BUILD)/kernel/%.o)

$(clang_dir)/%.o: %.c $(BUILD)/kernel.flags Makefile | $(BUILD)/ck/ck_pr.h
	$(say) CLANG $<
	@mkdir -p $(@D)
	$(quiet)$(clang_target)$(clang_extensions) $(CLANG_CFLAGS) -MMD -MP -c -o $@ $<

$(clang_dir)/hartframe.elf: $(clang_objects) linker.ld
	$(say) LD $@
	$(quiet)$(CROSS)gcc $(patsubst -march=%,-march=$(march_link),$(KERNEL_CFLAGS)) \
		$(filter-out -Wl$(comma)-Map%,$(KERNEL_LDFLAGS)) -o $@ $(clang_objects)

lint: all deps-test
	$(quiet)$(if $(has_lintcc),$(MAKE) --no-print-directory $(clang_dir)/hartframe.elf)
	$(quiet)/usr/bin/python3 tools/lint --kernel $(BUILD)/hartframe.elf --objects $(BUILD)/kernel --cc "$(CROSS)gcc" \
		$(if $(has_lintcc),--other-kernel $(clang_dir)/hartframe.elf) \
		--flags '$(filter-out -DCK_MD_RMO,$(KERNEL_CFLAGS)) $(KERNEL_INCLUDES)'; lint=$$?; \
		$(stack) && exit $$lint

# What calls of mm/ use of the stack: the bounds, which are part of lint. And the same of mm/ and sync/
# for a kernel that is small, and for a host, as the compiler says: for comparison, without bounds.
stack = /usr/bin/python3 tools/stack --kernel $(BUILD)/hartframe.elf --cc "$(CROSS)gcc" --su $(BUILD)/kernel \
	--json $(BUILD)/logs/stack.jsonl

red_zone = $(if $(filter x86_64,$(shell uname -m)),-mno-red-zone)

stack: all deps-test
	$(quiet)$(stack) -v; status=$$?; \
	/usr/bin/python3 tools/stack --build kernel-Os --json $(BUILD)/logs/stack-kernel-Os.jsonl --compile \
		'$(CROSS)gcc $(patsubst -O2,-Os,$(KERNEL_CFLAGS)) $(KERNEL_INCLUDES)' && \
	/usr/bin/python3 tools/stack --build host --json $(BUILD)/logs/stack-host.jsonl --compile \
		'$(HOSTCC) -std=gnu11 -O2 $(red_zone) -DCK_MD_RMO $(HOST_INCLUDES)' && exit $$status

# What docs/porting.md promises to other kernels: names, symbols, its example, lines of 128 bytes, and
# no warning by any compiler that is here.
port_check = tools/check_porting.py --out $(BUILD)/porting

port-check: deps-test
	$(quiet)$(port_check)

# The benchmarks build their own kernels: with and without checks of callers, with and without Zbb.
bench_dir := $(BUILD)/bench
bench_kernels := $(foreach k,checks0 checks1 checks0-zbb checks1-zbb,$(bench_dir)/$(k)/hartframe.elf)

$(bench_kernels): $(bench_dir)/%/hartframe.elf: FORCE | deps-run
	$(quiet)$(MAKE) --no-print-directory BUILD=$(bench_dir)/$* ASSERTS=0 \
		CHECKS=$(if $(findstring checks0,$*),0,1) ZBB=$(if $(findstring zbb,$*),1,0) $@

$(bench_dir)/host/bench_tree: tests/host/bench_tree.c $(wildcard mm/global/segment_tree*.c) mm/global/run_tree.c \
		mm/global/bit_index.c mm/global/bits.c $(wildcard mm/*.h mm/global/*.h) Makefile
	$(say) HOSTCC $@
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror \
		-DASSERTS=0 -DCHECKS=0 -DCK_MD_RMO $(HOST_INCLUDES) -o $@ $(filter %.c,$^)

# By hand: $(bench_dir)/host/bench_policy [POLICY]
$(bench_dir)/host/bench_policy: tests/host/bench_policy.c $(filter-out mm/global/zone%,$(wildcard mm/global/*.c)) \
		$(wildcard mm/*.h mm/global/*.h) Makefile
	$(say) HOSTCC $@
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror \
		-DASSERTS=0 -DCHECKS=0 -DCK_MD_RMO $(HOST_INCLUDES) -o $@ $(filter %.c,$^)

bench: $(bench_kernels) $(bench_dir)/host/bench_tree
	$(quiet)tools/bench.py --kernel-checks0 $(bench_dir)/checks0/hartframe.elf \
		--kernel-checks1 $(bench_dir)/checks1/hartframe.elf \
		--kernel-checks0-zbb $(bench_dir)/checks0-zbb/hartframe.elf \
		--kernel-checks1-zbb $(bench_dir)/checks1-zbb/hartframe.elf \
		--host-bench $(bench_dir)/host/bench_tree --out $(bench_dir) --smp $(SMP)

monitor: BOOTARGS := run=monitor $(BOOTARGS)
monitor: all
	$(quiet)$(launch) --bootargs "$(BOOTARGS)" --timeout 0 --interactive

# The sweep's kernel is the one that users get, without the tests of our own invariants.
report: deps-report $(bench_dir)/checks1/hartframe.elf
	$(quiet)tools/report.py --kernel $(bench_dir)/checks1/hartframe.elf --out $(BUILD)/report

debug: all
	$(quiet)$(launch) --bootargs "$(BOOTARGS)" --timeout 0 --gdb

# ---- schedules and soak ----------------------------------------------------------------------

SEEDS   ?= 1-64
MINUTES ?= 60

# What these boot has a size of memory of its own, unless one is asked for.
asked := $(if $(filter-out file,$(origin MEM)),--mem $(MEM)) $(if $(WORKLOAD),--workload $(WORKLOAD))
explore = tools/explore.py --kernel $(BUILD)/hartframe.elf --out $(BUILD)/explore --smp $(SMP) \
	$(asked) $(if $(PREEMPT),--preempt $(PREEMPT)) --bootargs "$(BOOTARGS)" --timeout $(TIMEOUT)

explore: all
	$(quiet)$(explore) --seeds $(SEEDS)

replay: all
	$(quiet)$(explore) --replay $(or $(SEED),$(error make replay SEED=n)) \
		$(if $(filter 1,$(GDB)),--gdb)

# The protocol of exhaustion, exhaustively; and that its broken twins fail.
model: deps-test
	$(quiet)$(model)

soak: all
	$(quiet)tools/soak.py --kernel $(BUILD)/hartframe.elf --out $(BUILD)/soak \
		--minutes $(MINUTES) $(asked) $(if $(CPUS),--cpus $(CPUS)) $(if $(filter 1,$(FRESH)),--fresh)

format: deps-format
	$(quiet)git ls-files '*.c' '*.h' | xargs clang-format -i

# ---- the rest --------------------------------------------------------------------------------

deps:
	$(quiet)tools/deps.sh all

deps-run:
	$(quiet)tools/deps.sh run

deps-test:
	$(quiet)tools/deps.sh test

deps-report:
	$(quiet)tools/deps.sh report

deps-fuzz:
	$(quiet)tools/deps.sh fuzz

deps-format:
	$(quiet)tools/deps.sh format

clean:
	rm -rf $(BUILD)

help:
	@echo 'hartframe: a RISC-V kernel that allocates frames on many harts at once'
	@echo
	@echo '  make             build build/hartframe.elf'
	@echo '  make run         boot it under QEMU, selftest and stress, report, verdict'
	@echo '                     SMP=4 MEM=128M TIMEOUT=120 BOOTARGS="key=value ..."'
	@echo '  make test        host tests with sanitizers, in-kernel tests over SMP and MEM, lint'
	@echo '  make tsan        build the host tests for ThreadSanitizer, which make test also runs'
	@echo '  make bench       instruction counts and ratios against their bounds; table and CSV'
	@echo '  make report      sweep workloads, policies, locks, caches and cpus: build/report/index.html'
	@echo '  make mutants     the bug museum: which net catches which bug, out of tests/mutants/'
	@echo '                     ONLY=pattern PART=k/n|auto/n MATRIX=1'
	@echo '  make port-check  what docs/porting.md promises to another kernel'
	@echo '  make lint        include layers, memory model, fences in the machine code, bounds of the stack'
	@echo '  make stack       what each public call uses of the stack, with the deepest chain of calls'
	@echo '  make explore     schedules drawn from seeds, one boot each; failures can be replayed'
	@echo '                     SEEDS=1-64 WORKLOAD= SMP=4 MEM= PREEMPT=MIN:RANGE:MODE BOOTARGS='
	@echo '  make replay      one of them again: SEED=7 and the same options; GDB=1 waits for gdb'
	@echo '  make soak        stress and schedules for MINUTES=60; goes on from the last soak'
	@echo '                     unless FRESH=1; CPUS=1,2,4,8 WORKLOAD= MEM='
	@echo '  make fuzz        fuzz every target for SECONDS=60, as many at once as there are cores'
	@echo '                     TARGETS=policy,heap for some; new inputs stay in build/fuzz/corpus'
	@echo '  make fuzz-merge  fold those, minimised, into tests/host/corpus'
	@echo '  make model       check the protocol of exhaustion (docs/models) and its broken twins with spin'
	@echo '  make monitor     a prompt in the running kernel: ledger, zones, caches, stop, start, load'
	@echo '  make debug       QEMU waiting for gdb'
	@echo '  make deps        install what is missing (Debian packages, by name)'
	@echo '  make format      clang-format over all sources'
	@echo '  make clean       remove build/'
	@echo
	@echo 'V=1 shows the commands. CHECKS=0 builds without the checks of callers, ASSERTS=0'
	@echo 'without those of our own invariants, ZBB=1 for harts with bit-manipulation.'

.PHONY: all run test mutants bench report explore replay soak model lint stack port-check monitor debug format deps deps-run deps-test deps-format deps-report clean help host host-checks0 tsan FORCE
-include $(kernel_objects:.o=.d) $(host_objects:.o=.d) $(wildcard $(BUILD)/host/tests/host/*.d)
-include $(host_checks0_objects:.o=.d) $(wildcard $(BUILD)/host-checks0/tests/host/*.d)
-include $(traps_mm:.o=.d) $(traps_own:.o=.d) $(cpu_test:.o=.d) $(power_test:.o=.d) $(contention_test:.o=.d)
-include $(space_own:.o=.d) $(space_host:.o=.d)
-include $(tsan_objects:.o=.d) $(wildcard $(BUILD)/tsan/tests/host/*.d)
-include $(kernel_sources:%.c=$(clang_dir)/%.d)
-include $(fuzz_objects:.o=.d) $(wildcard $(BUILD)/fuzz/tests/host/*.d)
