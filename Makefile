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

kernel_sources := $(wildcard arch/riscv/*.c kernel/*.c mm/*.c mm/*/*.c sync/*.c tests/smp/*.c)
kernel_assembly := $(wildcard arch/riscv/*.S)
kernel_objects := $(kernel_sources:%.c=$(BUILD)/kernel/%.o) \
	$(kernel_assembly:%.S=$(BUILD)/kernel/%.o)

all: deps-run $(BUILD)/hartframe.elf

$(BUILD)/hartframe.elf: $(kernel_objects) linker.ld
	$(say) LD $@
	$(quiet)$(CROSS)gcc $(patsubst -march=%,-march=$(march_link),$(KERNEL_CFLAGS)) \
		$(KERNEL_LDFLAGS) -o $@ $(kernel_objects)

$(BUILD)/kernel/%.o: %.c $(BUILD)/kernel.flags Makefile | $(BUILD)/ck/ck_pr.h
	$(say) CC $<
	@mkdir -p $(@D)
	$(quiet)$(CROSS)gcc $(KERNEL_CFLAGS) $(KERNEL_INCLUDES) -MMD -MP -c -o $@ $<

# The called hot path and the way of a batch do without what backtraces need.
$(addprefix $(BUILD)/kernel/,mm/frame_called.o mm/percpu/cache.o mm/global/segment_tree.o \
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

host_library := $(wildcard mm/*.c mm/*/*.c sync/*.c) kernel/devicetree.c kernel/machine.c \
	kernel/bootargs.c tests/smp/workload.c tests/smp/workloads.c \
	$(filter-out tests/host/test_% tests/host/fuzz_% tests/host/bench_%,$(wildcard tests/host/*.c))
host_tests := $(patsubst tests/host/%.c,$(BUILD)/host/%,$(wildcard tests/host/test_*.c))
host_objects := $(host_library:%.c=$(BUILD)/host/%.o)

host: $(host_tests)

$(host_tests): $(BUILD)/host/%: $(BUILD)/host/tests/host/%.o $(host_objects)
	$(say) HOSTLD $@
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) -o $@ $^ -lpthread $(if $(findstring libfdt,$@),-lfdt)

$(BUILD)/host/%.o: %.c Makefile | deps-test
	$(say) HOSTCC $<
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) $(HOST_CFLAGS) $(HOST_INCLUDES) -MMD -MP -c -o $@ $<

# ---- running ---------------------------------------------------------------------------------

launch = tools/launch.py --kernel $(BUILD)/hartframe.elf --smp $(SMP) --mem $(MEM) \
	--timeout $(TIMEOUT) --log $(BUILD)/logs/run.log --records $(BUILD)/logs/run.jsonl

run: all
	$(quiet)$(launch) --bootargs "$(BOOTARGS)"

$(BUILD)/trees/%.dtb: tests/smp/trees/%.dts $(wildcard tests/smp/trees/*.dts) | deps-test
	$(say) DTC $@
	@mkdir -p $(@D)
	$(quiet)dtc -q -I dts -O dtb -o $@ $<

trees := $(patsubst tests/smp/trees/%.dts,$(BUILD)/trees/%.dtb,$(wildcard tests/smp/trees/*.dts))

test: all host deps-test $(trees)
	$(quiet)tools/run_tests.py --host $(host_tests) tools/test_tools.py tools/test_bench.py \
		--kernel $(BUILD)/hartframe.elf --smp $(SMPS) --mem $(MEMS) --lint "$(MAKE) -s lint"

lint: all
	$(quiet)tools/lint.py --kernel $(BUILD)/hartframe.elf --cc "$(CROSS)gcc" \
		--flags '$(filter-out -DCK_MD_RMO,$(KERNEL_CFLAGS)) $(KERNEL_INCLUDES)'

# The benchmarks build their own kernels: with and without checks of callers, with and without Zbb.
bench_dir := $(BUILD)/bench
bench_kernels := $(foreach k,checks0 checks1 checks0-zbb checks1-zbb,$(bench_dir)/$(k)/hartframe.elf)

$(bench_kernels): $(bench_dir)/%/hartframe.elf: FORCE | deps-run
	$(quiet)$(MAKE) --no-print-directory BUILD=$(bench_dir)/$* ASSERTS=0 \
		CHECKS=$(if $(findstring checks0,$*),0,1) ZBB=$(if $(findstring zbb,$*),1,0) $@

$(bench_dir)/host/bench_tree: tests/host/bench_tree.c mm/global/segment_tree.c \
		mm/global/bit_index.c mm/global/bits.c $(wildcard mm/*.h mm/global/*.h) Makefile
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

debug: all
	$(quiet)$(launch) --bootargs "$(BOOTARGS)" --gdb

format: deps-test
	$(quiet)git ls-files '*.c' '*.h' | xargs clang-format -i

# ---- the rest --------------------------------------------------------------------------------

deps:
	$(quiet)tools/deps.sh all

deps-run:
	$(quiet)tools/deps.sh run

deps-test:
	$(quiet)tools/deps.sh test

clean:
	rm -rf $(BUILD)

help:
	@echo 'hartframe: a RISC-V kernel that allocates frames on many harts at once'
	@echo
	@echo '  make             build build/hartframe.elf'
	@echo '  make run         boot it under QEMU, selftest and stress, report, verdict'
	@echo '                     SMP=4 MEM=128M TIMEOUT=120 BOOTARGS="key=value ..."'
	@echo '  make test        host tests with sanitizers, in-kernel tests over SMP and MEM, lint'
	@echo '  make bench       instruction counts and ratios against their bounds; table and CSV'
	@echo '  make lint        include layers, memory model, fences in the machine code'
	@echo '  make debug       QEMU waiting for gdb'
	@echo '  make deps        install what is missing (Debian packages, by name)'
	@echo '  make format      clang-format over all sources'
	@echo '  make clean       remove build/'
	@echo
	@echo 'V=1 shows the commands. CHECKS=0 builds without the checks of callers, ASSERTS=0'
	@echo 'without those of our own invariants, ZBB=1 for harts with bit-manipulation.'

.PHONY: all run test bench lint debug format deps deps-run deps-test clean help host FORCE
-include $(kernel_objects:.o=.d) $(host_objects:.o=.d) $(wildcard $(BUILD)/host/tests/host/*.d)
