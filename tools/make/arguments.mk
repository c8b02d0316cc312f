# SPDX-License-Identifier: BSD-2-Clause
# arguments.mk - a mistyped goal, and a mistyped variable or a wrong value on the command line, stop make at
# once. tools/make_arguments.py knows what is valid. It does not run for a make that another make
# started, nor where there is nothing to check: variables, or goals that are no files and no phony targets.
#
# Variables of the environment are not checked: they may be meant for another program.

ifeq ($(MAKELEVEL),0)
makefiles := Makefile $(wildcard tools/make/*.mk)
given := $(strip $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))))
# deps-GROUP is phony too; its names are made from the groups.
unknown_goals := $(strip $(foreach goal,$(filter-out deps-%,$(MAKECMDGOALS)),$(if $(findstring /,$(goal))$(wildcard $(goal)),,$(goal))))
ifneq ($(unknown_goals),)
unknown_goals := $(filter-out $(shell sed -n 's/^\.PHONY: *//p' $(makefiles)),$(unknown_goals))
endif
ifneq ($(given)$(unknown_goals),)
quoted = '$(subst ','\'',$1)'
mistake := $(shell command -v python3 >/dev/null && tools/make_arguments.py \
	--goals $(foreach goal,$(MAKECMDGOALS),$(call quoted,$(goal))) --unknown $(foreach goal,$(unknown_goals),$(call quoted,$(goal))) \
	--variables $(foreach name,$(given),$(call quoted,$(name)=$(value $(name)))) -- $(makefiles))
$(if $(mistake),$(error $(mistake)))
endif
endif
