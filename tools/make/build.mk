# SPDX-License-Identifier: BSD-2-Clause
# build.mk - the rules of a build: one set of sources, compiled with one set of flags into one folder.
#
# A build called NAME is a few variables, and one $(eval $(call build,NAME)) after them:
#
#   NAME.dir       its folder below $(BUILD)
#   NAME.cc        the compiler
#   NAME.flags     its flags, for compiling and linking
#   NAME.includes  the folders where it looks for headers, as -I options
#   NAME.sources   what is compiled, and linked into each of its programs
#   NAME.needs     what must be there first (order-only prerequisites)
#   NAME.goals     the goals that need this build; for these its lists of headers are read
#
# and, for a build of programs, $(eval $(call programs,NAME)) with
#
#   NAME.tests           sources with a main() or TEST()s: each becomes a program
#   NAME.into            the folder below $(BUILD) of the programs
#   NAME.link            flags for linking alone
#   NAME.base.PROGRAM    what PROGRAM is linked with instead of NAME.sources
#   links.PROGRAM        sources that only PROGRAM is linked with
#   libs.PROGRAM         libraries that only PROGRAM is linked with
#
# $(call special,NAME,SOURCES,FLAGS) adds flags for some sources.

define newline


endef
empty :=
space := $(empty) $(empty)
comma := ,
quote := '

# WARN_ONLY=1: a warning does not stop the build. The mutation tests set it, since a statement that is
# taken away may leave an unused name. It changes no object, so it is not among the flags of a build.
objects_of = $(addsuffix .o,$(basename $(2:%=$(BUILD)/$($1.dir)/%)))
compile = $(strip $($1.cc) $($1.flags) $($1.flags.$2) $(if $(filter 1,$(WARN_ONLY)),-Wno-error) \
	$($1.includes) -MMD -MP -c -o $3 $2)
special = $(eval $1.special += $2: $3)$(foreach source,$2,$(eval $1.flags.$(source) += $3))

# $(eval $(call text_file,FILE,TEXT)): what depends on FILE is made again when TEXT changes, and only
# then. Make compares the two itself: where they are equal no command runs.
define text_file
$1.text := $(strip $2)
ifneq ($$($1.text),$$(file <$1))
$1: FORCE
endif
$1:
	@mkdir -p $$(@D)
	@printf '%s\n' '$$(subst $$(quote),$$(quote)\$$(quote)$$(quote),$$($1.text))' >$$@
endef

# The text of a build's flags, without variables that belong to one target: those would make it differ
# with the goal.
define build
builds += $1
$1.objects := $(call objects_of,$1,$($1.sources))
$(call text_file,$(BUILD)/$($1.dir).flags,$(or $($1.key),$($1.cc)) $($1.flags) $($1.includes) $($1.special))

$(BUILD)/$($1.dir)/%.o: %.c $(BUILD)/$($1.dir).flags | $($1.needs)
	$$(say) CC $$@
	@mkdir -p $$(@D)
	$$(quiet)$$(call compile,$1,$$<,$$@)
endef

program = $(basename $(notdir $1))
programs_of = $(patsubst %,$(BUILD)/$($1.into)/%,$(call program,$2))
linked = $(or $($1.base.$2),$($1.sources)) $(links.$2)
program_sources = $(sort $($1.tests) $(foreach name,$(call program,$($1.tests)),$(call linked,$1,$(name))))

define programs
$1.programs := $(call programs_of,$1,$($1.tests))
$(call text_file,$(BUILD)/$($1.dir).link,$($1.cc) $($1.flags) $($1.link) $($1.sources) $(foreach \
	name,$(call program,$($1.tests)),$(name): $($1.base.$(name)) $(links.$(name)) $(libs.$(name))))
$(foreach test,$($1.tests),$(newline)$(call program_rule,$1,$(test),$(call program,$(test)))$(newline))
endef

define program_rule
$(BUILD)/$($1.into)/$3: $(call objects_of,$1,$2 $(call linked,$1,$3)) $(BUILD)/$($1.dir).link
	$$(say) LD $$@
	@mkdir -p $$(@D)
	$$(quiet)$($1.cc) $($1.flags) $($1.link) -o $$@ $$(filter %.o,$$^) -lpthread $(libs.$3)
endef

# The headers that the objects of a build depend on, where a goal needs them. A goal that no build
# names (test, mutants, a file) needs all.
goals := $(or $(MAKECMDGOALS),$(.DEFAULT_GOAL))
wanted = $(filter $($1.goals),$(goals))$(filter-out $(goals_without_build) \
	$(foreach name,$(builds),$($(name).goals)),$(goals))
dependencies = $(wildcard $(patsubst %.o,%.d,$(call objects_of,$1,$($1.sources) $(call program_sources,$1))))
