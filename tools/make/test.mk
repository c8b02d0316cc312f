# SPDX-License-Identifier: BSD-2-Clause
# test.mk - what checks the project: tests, mutation tests, lint, the stack's bounds, ports, the model.

# The first 16 seeds, which run twice, have all schedulers.
explore_seeds = tools/explore.py --kernel $(BUILD)/hartframe.elf --out $(BUILD)/explore --seeds 1-468 --check-digests 48

# What the tests need and run. The mutation tests run the same on each mutant.
test_needs := all $(BUILD)/bare/hartframe.elf $(BUILD)/wrap/hartframe.elf $(BUILD)/qemu/hartframe.so host host-checks0 host-bare tsan $(BUILD)/deps/test $(trees)
test_arguments = --tsan $(tsan_tests) --host-checks0 $(host_checks0_tests) --host-bare $(host_bare_tests) \
	--host $(host_tests) --corpus $(replays) \
	--explore "$(explore_seeds)" \
	--kernel $(BUILD)/hartframe.elf --smp $(SMPS) --mem $(MEMS) --lint "$(MAKE) -s lint" \
	"$(port_check) headers symbols calls hostile example"

# pytest, with pytest-xdist, of the Python that has them. K=pattern chooses tests, LF=1 those that
# failed last time; ARGS are pytest's own.
JOBS ?= $(shell nproc)
pytest = $(or $(firstword $(foreach python,python3 /usr/bin/python3,\
	$(shell $(python) -c 'import pytest, xdist' 2>/dev/null && echo $(python)))),python3) -m pytest
pytest_options = --junitxml=$(BUILD)/logs/junit.xml $(if $(K),-k '$(K)') $(if $(filter 1,$(LF)),--lf) $(ARGS)
test_plan = $(test_arguments) --model "$(model)" --wide "$(port_check) line" "$(port_check) warnings"

# A make that has been given -j shares its jobs with the make that it starts.
build_parallel = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

test: $(BUILD)/deps/test
	$(quiet)$(build_parallel) $(test_needs) $(heap_benches)
	$(quiet)$(pytest) tools -n $(JOBS) $(pytest_options) --plan '$(test_plan)'

test-plan:
	@echo '$(test_plan)'

# make check: what is quick, of every part. make check T=tree: the tests of that name, or of that
# source file, and no more; T=? lists them.
T ?=
quick_tests := address bootargs contention cpu flush heap known_bugs_heap known_bugs_mm limit memory \
	policy policy_lists program requests tree zone
ifneq ($(filter check,$(MAKECMDGOALS)),)
check_tests := $(if $(filter-out ?,$(T)),$(shell tools/check/covers.py --tests '$(T)'),\
	$(quick_tests:%=host/test_%) corpus/fuzz_bootargs qemu/quick tools/test_check.py::TestCovers)
endif
check_programs = $(patsubst %,$(BUILD)/host/%,$(notdir $(filter host/% corpus/%,$(check_tests))))
check_kernel = $(if $(filter qemu/%,$(check_tests)),$(BUILD)/hartframe.elf)
check_commands = $(if $(T),,"tools/mutants.py --check" "/usr/bin/python3 tools/lint")
check_plan = --host $(filter $(BUILD)/host/test_%,$(check_programs)) \
	--corpus $(filter $(BUILD)/host/fuzz_%,$(check_programs)) \
	$(if $(check_kernel),--quick --kernel $(check_kernel)) --lint $(check_commands)

check: $(BUILD)/deps/test
ifeq ($(T),?)
	$(quiet)tools/check/covers.py
else
	$(if $(check_tests),,$(error no tests to run))
	$(quiet)$(build_parallel) $(BUILD)/deps/test $(check_kernel) $(check_programs)
	$(quiet)$(pytest) tools/check/cases.py $(filter tools/%,$(check_tests)) $(if $(word 3,$(check_tests)),-n $(JOBS)) \
		$(pytest_options) --plan '$(check_plan)'
endif

covers:
	$(quiet)tools/check/covers.py

# make coverage: docs/coverage.md. gcov's notes are beside the objects of a separate build. Atomic updates
# of its counters are calls that the tests with traps know to be no access of the allocator.
coverage_dir := $(BUILD)/coverage
coverage_programs = $(foreach name,traps space cpu,$($(name).programs:$(BUILD)/%=$(coverage_dir)/%))

coverage: $(BUILD)/deps/test
	$(quiet)$(MAKE) --no-print-directory BUILD=$(coverage_dir) \
		HOSTCC="$(HOSTCC) --coverage -fprofile-update=atomic" $(coverage_programs)
	$(quiet)tools/coverage.py --build $(coverage_dir) $(coverage_programs)

# make mutants [ONLY='patterns'] [PART=k/n] [MINUTES=n] [NAMED=1] [MATRIX=1]; tools/mutants.py --list
# make mutants GENERATED='frame_alloc mm/global/zone.c' [PART=k/n]: by all rules, of these functions
# make mutants SAMPLE=n [SEED=s] [MINUTES=n] [LIMIT=seconds]: n by all rules, drawn from all of the kernel
mutants: $(test_needs)
	$(quiet)tools/mutants.py $(if $(ONLY),--only '$(ONLY)') $(if $(PART),--part $(PART)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(filter 1,$(NAMED)),--named) \
		$(if $(GENERATED),--generate '$(GENERATED)') \
		$(if $(SAMPLE),--sample $(SAMPLE) --seed $(or $(SEED),auto) $(if $(LIMIT),--limit $(LIMIT))) \
		$(if $(filter command line,$(origin JOBS)),--jobs $(JOBS)) \
		$(if $(filter 1,$(MATRIX)),--matrix) -- $(test_arguments)

# The model is of the protocol, not of the code: mutants do not change what it says.
model = tools/model.py --out $(BUILD)/models

model: deps-test
	$(quiet)$(model)

# make prove [ONLY=function]: contracts in the sources, by Frama-C; takes minutes.
prove: $(BUILD)/deps/prove
	$(quiet)python3 tools/prove $(if $(ONLY),--only '$(ONLY)') --jobs $(JOBS)

# What `make lint` builds: the mutation tests build it before they compare trees.
lint-needs: all
	$(quiet)$(if $(has_lintcc),$(MAKE) --no-print-directory $(BUILD)/clang/hartframe.elf)

lint: all $(BUILD)/deps/test
	$(quiet)$(if $(has_lintcc),$(MAKE) --no-print-directory $(BUILD)/clang/hartframe.elf)
	$(quiet)/usr/bin/python3 tools/lint --kernel $(BUILD)/hartframe.elf --objects $(BUILD)/kernel --cc "$(CROSS)gcc" \
		$(if $(has_lintcc),--other-kernel $(BUILD)/clang/hartframe.elf) \
		--flags '$(filter-out -DCK_MD_RMO,$(KERNEL_CFLAGS)) $(KERNEL_INCLUDES)'; lint=$$?; \
		$(stack) && exit $$lint

# What calls of mm/ use of the stack: the bounds, which are part of lint. And the same of mm/ and sync/
# for a kernel that is small, and for a host, as the compiler says: for comparison, without bounds.
stack = /usr/bin/python3 tools/stack --kernel $(BUILD)/hartframe.elf --cc "$(CROSS)gcc" --su $(BUILD)/kernel \
	--json $(BUILD)/logs/stack.jsonl

red_zone = $(if $(filter x86_64,$(shell uname -m)),-mno-red-zone)

stack: all $(BUILD)/deps/test
	$(quiet)$(stack) -v; status=$$?; \
	/usr/bin/python3 tools/stack --build kernel-Os --json $(BUILD)/logs/stack-kernel-Os.jsonl --compile \
		'$(CROSS)gcc $(patsubst -O2,-Os,$(KERNEL_CFLAGS)) $(KERNEL_INCLUDES)' && \
	/usr/bin/python3 tools/stack --build host --json $(BUILD)/logs/stack-host.jsonl --compile \
		'$(HOSTCC) -std=gnu11 -O2 $(red_zone) -DCK_MD_RMO $(HOST_INCLUDES)' && exit $$status

# What docs/porting.md promises to other kernels: names, symbols, its example, lines of 128 bytes, and
# no warning by any compiler that is installed.
port_check = tools/check_porting.py --out $(BUILD)/porting

port-check: $(BUILD)/deps/test
	$(quiet)$(port_check)

# make fences: docs/fences.md and its record, by the weak-memory explorer.
fences: $(weak.programs)
	$(quiet)tools/fences.py --save

.PHONY: lint-needs test test-plan check covers coverage fences mutants model prove lint stack port-check
