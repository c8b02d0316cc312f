# SPDX-License-Identifier: BSD-2-Clause
# commands.mk - compile_commands.json, for clangd and other tools: how each source is compiled, by the
# same function as the rules use. A source that several builds compile is there once for each; the
# kernel's command comes first, and clangd takes the first.

command_builds := kernel $(test_builds) fuzz host_bench host_bench_checks1

command = @@{"directory": "$(CURDIR)", "file": "$2", "output": "$3", "command": "$(subst ",\",$(compile))"}
commands_of = $(foreach source,$(sort $($1.sources) $(call program_sources,$1)),$(call \
	command,$1,$(source),$(call objects_of,$1,$(source))))
commands = $(foreach name,$(command_builds),$(call commands_of,$(name)))

$(eval $(call text_file,$(BUILD)/commands.flags,$(foreach name,$(command_builds),$(name): $($(name).cc) \
	$($(name).flags) $($(name).includes) $($(name).special) $(sort $($(name).sources) \
	$(call program_sources,$(name))))))

compile_commands.json: $(BUILD)/commands.flags tools/make/commands.mk
	$(say) JSON $@
	$(file >$@,[$(newline)$(subst @@,,$(subst $(space)@@,$(comma)$(newline),$(strip $(commands))))$(newline)])

# It is of the build in the default folder: other folders are builds of programs that run this make.
ifeq ($(BUILD),build)
all: compile_commands.json
endif
