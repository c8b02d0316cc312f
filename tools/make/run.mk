# SPDX-License-Identifier: BSD-2-Clause
# run.mk - what boots the kernel: runs, schedules, soak, benchmarks, the report.

# The boots of one run share a folder in $(BUILD)/logs, named by the time and this make's process.
run_name = $(eval run_name := $$(shell echo $$$$(date +%Y%m%d-%H%M%S)-$$$$PPID))$(run_name)
launch_as = tools/launch.py --kernel $(BUILD)/hartframe.elf --smp $(SMP) --mem $(MEM) \
	--timeout $(TIMEOUT) --logs $(BUILD)/logs --run $(run_name) --boot $1
launch = $(call launch_as,run) $(lines) $(look)

# JSON=1 shows the records too; COLOR=0|1 decides over colours.
look = $(if $(filter 1,$(JSON)),--json) $(if $(COLOR),--color $(COLOR))

# LINES=1: what lines of memory cost the cells of a sweep in virtual time; LINE=N: each transfer takes N instructions.
lines = $(if $(filter 1,$(LINES))$(LINE),--lines) $(if $(LINE),--line $(LINE))

# VTIME=1: the run is in virtual time.
virtual := $(if $(filter 1,$(VTIME)),time=virtual )

# The stress runs in parallel, because that finds bugs. What locks cost is measured in virtual time, in a
# second boot, where the user has not said what to run.
powers_below = $(foreach n,1 2 4 8,$(if $(filter-out $n,$(firstword $(shell printf '%s\n' $n $1 | sort -n))),,$(filter-out $1,$n)))
lock_costs = time=virtual run=bench workload=bulk,kmalloc cache=0,128 \
	cpus=$(subst $(space),$(comma),$(strip $(call powers_below,$(SMP)) $(SMP)))

run: all $(BUILD)/qemu/hartframe.so
	$(quiet)$(launch) --summary $(if $(virtual)$(BOOTARGS),,--more) --bootargs "$(virtual)$(BOOTARGS)"
	$(if $(virtual)$(BOOTARGS),,$(quiet)$(call launch_as,locks) $(look) --summary --after $(BUILD)/logs/$(run_name)/run.jsonl \
		--after-boot --bootargs "$(lock_costs)")

# A trace, as a page for a browser and as a file for other viewers.
trace_default := run=stress workload=kmalloc,churn,exhaust ops=1k
traced := $(virtual)$(or $(BOOTARGS),$(trace_default)) trace=on
trace: all $(BUILD)/qemu/hartframe.so
	$(quiet)$(call launch_as,trace) --quiet --bootargs "$(traced)"; launched=$$?; \
	tools/trace.py $(BUILD)/logs/trace.jsonl --kernel $(BUILD)/hartframe.elf --page $(BUILD)/trace.html \
		--out $(BUILD)/trace.json --title "$(SMP) CPUs, $(MEM): $(traced)" && \
	echo "Open $(BUILD)/trace.html in a browser." && exit $$launched

monitor: override BOOTARGS := $(if $(filter run=%,$(BOOTARGS)),,run=monitor) $(BOOTARGS)
monitor: all
	$(quiet)$(launch) --bootargs "$(BOOTARGS)" --timeout 0 --interactive

# GDB_PORT=n: the port of gdb; if it is not given, a free one.
gdb = --gdb $(if $(GDB_PORT),--gdb-port $(GDB_PORT))

debug: all
	$(quiet)$(launch) --bootargs "$(BOOTARGS)" --timeout 0 $(gdb)

# ---- schedules and soak ----------------------------------------------------------------------

SEEDS   ?= 1-64

# These boots choose the size of memory themselves, unless MEM is given.
asked := $(if $(filter-out file,$(origin MEM)),--mem $(MEM)) $(if $(WORKLOAD),--workload $(WORKLOAD))
explore = tools/explore.py --kernel $(BUILD)/hartframe.elf --out $(BUILD)/explore --smp $(SMP) \
	$(asked) $(if $(PREEMPT),--preempt $(PREEMPT)) $(if $(SCHEDULE),--schedule $(SCHEDULE)) --bootargs "$(BOOTARGS)" --timeout $(TIMEOUT)

explore: all
	$(quiet)$(explore) --seeds $(SEEDS)

replay: all
	$(quiet)$(explore) --replay $(or $(SEED),$(error make replay SEED=n)) \
		$(if $(filter 1,$(GDB)),$(gdb))

# Fewer switches of a failing schedule, and what they are.
shrink: all
	$(quiet)$(explore) --shrink $(or $(SEED),$(error make shrink SEED=n)) $(if $(MINUTES),--minutes $(MINUTES))

# The schedulers by the seeds that they need; writes docs/records/schedulers.jsonl.
schedulers: all
	$(quiet)tools/explore_compare.py --out $(BUILD)/schedulers $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(ONLY),--only $(ONLY) --add)
	$(quiet)tools/doc_figures.py

soak: all
	$(quiet)tools/soak.py --kernel $(BUILD)/hartframe.elf --out $(BUILD)/soak \
		$(if $(MINUTES),--minutes $(MINUTES)) $(asked) $(if $(CPUS),--cpus $(CPUS)) $(if $(filter 1,$(FRESH)),--fresh)

# ---- benchmarks and the report ---------------------------------------------------------------

heap_bench = tools/bench_heap.py --program $(bench_dir)/host/bench_heap --program-checks1 $(bench_dir)/host-checks1/bench_heap

bench: $(bench_kernels) $(bench_dir)/host/bench_tree $(heap_benches) $(BUILD)/qemu/hartframe.so
	$(quiet)tools/bench.py --kernel-checks0 $(bench_dir)/checks0/hartframe.elf \
		--kernel-checks1 $(bench_dir)/checks1/hartframe.elf \
		--kernel-checks0-zbb $(bench_dir)/checks0-zbb/hartframe.elf \
		--kernel-checks1-zbb $(bench_dir)/checks1-zbb/hartframe.elf \
		--host-bench $(bench_dir)/host/bench_tree --heap-bench "$(heap_bench) --records" --out $(bench_dir) --smp $(SMP)

# SAVE=docs/records/heaps.jsonl: the records of the documents.
bench-heap: $(heap_benches)
	$(quiet)$(heap_bench) $(if $(SAVE),--save $(SAVE))

# The sweep's kernel is the kernel that users get, without the asserts of our own invariants.
report: deps-report $(bench_dir)/checks1/hartframe.elf $(BUILD)/qemu/hartframe.so
	$(quiet)tools/report.py --kernel $(bench_dir)/checks1/hartframe.elf \
		--plugin $(BUILD)/qemu/hartframe.so --out $(BUILD)/report

# ---- device trees for the boots of make test -------------------------------------------------

$(BUILD)/trees/%.dtb: tests/smp/trees/%.dts $(wildcard tests/smp/trees/*.dts) | $(BUILD)/deps/test
	$(say) DTC $@
	@mkdir -p $(@D)
	$(quiet)dtc -q -I dts -O dtb -o $@ $<

# Runs before the kernel (see there): boots with another tree than the firmware's, or none.
$(BUILD)/trees/stub.elf: tests/smp/trees/stub.S $(BUILD)/kernel.flags | $(BUILD)/deps/run
	$(say) LD $@
	@mkdir -p $(@D)
	$(quiet)$(CROSS)gcc -march=$(march_link) -misa-spec=2.2 -mabi=lp64 -nostdlib \
		-Wl,-N,--no-warn-rwx-segments,-Ttext=0x83000000 -Wl,--build-id=none -o $@ $<

trees := $(BUILD)/trees/stub.elf \
	$(patsubst tests/smp/trees/%.dts,$(BUILD)/trees/%.dtb,$(wildcard tests/smp/trees/*.dts))

.PHONY: run trace monitor debug explore replay shrink schedulers soak bench bench-heap report
