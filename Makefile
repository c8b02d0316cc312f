# SPDX-License-Identifier: BSD-2-Clause
# hartframe. `make help` lists the targets; the rules are in tools/make/:
#
#   arguments.mk a mistyped goal or variable
#   build.mk     how a set of sources is built with a set of flags; change of flags; lists of headers
#   kernel.mk    the kernel, clang's kernel for lint, the kernels of the benchmarks
#   host.mk      the host tests in all their builds, the fuzz targets, benchmarks on the host
#   run.mk       boots: run, monitor, debug, explore, replay, soak, bench, report
#   test.mk      test, mutants, lint, stack, port-check, model
#   commands.mk  compile_commands.json
#   help.mk      make help

include tools/make/arguments.mk

SMP      ?= 4
MEM      ?= 128M
BOOTARGS ?=
TIMEOUT  ?= 120
CHECKS   ?= 1
ASSERTS  ?= 1
ZBB      ?= 0
SMPS     ?= 1,2,4,8
MEMS     ?= 32M,128M,128M,1G

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

# No implicit rule but ours: make looks for none, which is most of the time of a run with nothing to do.
MAKEFLAGS += --no-builtin-rules --no-builtin-variables

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all clean FORCE

# Goals that build nothing here: no list of headers is read for them.
goals_without_build := help test test-plan check covers coverage clean format deps deps-% compile_commands.json report port-check model prove

all: $(BUILD)/hartframe.elf

include tools/make/build.mk
include tools/make/kernel.mk
include tools/make/host.mk
include tools/make/run.mk
include tools/make/test.mk
include tools/make/commands.mk
include tools/make/help.mk

# ---- packages --------------------------------------------------------------------------------

# A build asks once whether the packages are there, and again when the list of them changes. The
# phony targets always ask.
deps_groups := run test report fuzz prove format

$(deps_groups:%=$(BUILD)/deps/%): $(BUILD)/deps/%: tools/deps.sh
	@mkdir -p $(@D)
	$(quiet)tools/deps.sh $* && touch $@

$(deps_groups:%=deps-%): deps-%:
	$(quiet)tools/deps.sh $*

deps:
	$(quiet)tools/deps.sh all

format: deps-format
	$(quiet)git ls-files '*.c' '*.h' ':!docs' | xargs clang-format -i

clean:
	rm -rf $(BUILD)

.PHONY: deps $(deps_groups:%=deps-%) format

# ---- the headers that objects depend on ------------------------------------------------------

$(foreach name,$(builds),$(if $(call wanted,$(name)),$(eval -include $(call dependencies,$(name)))))
