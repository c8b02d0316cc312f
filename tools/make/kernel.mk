# SPDX-License-Identifier: BSD-2-Clause
# kernel.mk - the kernel; the same once more as clang makes it, for lint; and the kernels of the benchmarks.

# CSR instructions are part of `i` with this misa-spec. Naming any extension makes this toolchain's
# multilib lookup choose the library for hard floats, so Zbb is for compiling only, not for linking.
march_link := rv64imac
march := $(march_link)$(if $(filter 1,$(ZBB)),_zba_zbb)

# CK_MD_RMO: Concurrency Kit's fences, or no build (sync/ck.h).
KERNEL_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Wshadow -Wstrict-prototypes -Werror \
	-march=$(march) -misa-spec=2.2 -mabi=lp64 -mcmodel=medany --specs=picolibc.specs \
	-DPICOLIBC_INTEGER_PRINTF_SCANF -fno-omit-frame-pointer -fno-optimize-sibling-calls \
	-fasynchronous-unwind-tables \
	-ffunction-sections -fdata-sections -fno-tree-loop-distribute-patterns \
	-DCK_MD_RMO -DCHECKS=$(CHECKS) -DASSERTS=$(ASSERTS)
KERNEL_INCLUDES := -I. -Iarch/riscv -isystem $(BUILD)/ck
KERNEL_LDFLAGS := -nostartfiles -Tlinker.ld -Wl,--gc-sections -Wl,--fatal-warnings

kernel_sources := $(wildcard arch/riscv/*.c kernel/*.c kernel/*/*.c mm/*.c mm/*/*.c sync/*.c \
	tests/smp/*.c tests/smp/*/*.c)
kernel_assembly := $(wildcard arch/riscv/*.S)

# The hot path where it is called, the way of a batch, and the deepest calls of the heap (for the sake of
# the stack) do without what backtraces need.
hot_sources := mm/frame.c mm/frame_called.c mm/heap/kmalloc_hit.c mm/heap/arena.c mm/heap/kmalloc_frames.c mm/percpu/cache.c mm/percpu/refill.c mm/percpu/flush.c \
	mm/global/segment_tree.c mm/global/segment_tree_words.c mm/global/segment_tree_plan.c mm/global/segment_tree_run.c \
	mm/global/run_tree.c mm/global/bitmap.c mm/global/interval_stack.c mm/global/free_map.c \
	mm/global/zone.c sync/spinlock.c sync/spin_kinds.c sync/lock_stats.c sync/wait_matrix.c

# The .su files beside the objects are for `make lint`, which compares them with the machine code.
kernel.dir      := kernel
kernel.cc       := $(CROSS)gcc
kernel.flags    := $(KERNEL_CFLAGS) -fstack-usage
kernel.includes := $(KERNEL_INCLUDES)
kernel.sources  := $(kernel_sources) $(kernel_assembly)
kernel.needs    := $(BUILD)/ck/linked
kernel.goals    := all run trace monitor debug explore replay soak lint stack \
	$(BUILD)/hartframe.elf $(BUILD)/kernel/% $(BUILD)/clang/%
$(call special,kernel,$(hot_sources),-fomit-frame-pointer -foptimize-sibling-calls)
$(call special,kernel,arch/riscv/string.c,-fno-builtin -fomit-frame-pointer)
$(eval $(call build,kernel))

$(BUILD)/kernel/%.o: %.S $(BUILD)/kernel.flags | $(BUILD)/deps/run
	$(say) AS $@
	@mkdir -p $(@D)
	$(quiet)$(call compile,kernel,$<,$@)

link_kernel = $(CROSS)gcc $(patsubst -march=%,-march=$(march_link),$(KERNEL_CFLAGS)) $(KERNEL_LDFLAGS)

$(eval $(call text_file,$(BUILD)/kernel.link,$(link_kernel) $(kernel.objects)))

$(BUILD)/hartframe.elf: $(kernel.objects) linker.ld $(BUILD)/kernel.link
	$(say) LD $@
	$(quiet)$(link_kernel) -Wl,-Map=$(BUILD)/hartframe.map -o $@ $(kernel.objects)

# The kernel without the programs of tests/: it has to link, and to boot (kernel/program.h).
bare_objects := $(filter-out $(BUILD)/kernel/tests/%,$(kernel.objects))

$(BUILD)/bare/hartframe.elf: $(bare_objects) linker.ld $(BUILD)/kernel.link
	$(say) LD $@
	@mkdir -p $(@D)
	$(quiet)$(link_kernel) -o $@ $(bare_objects)

# The kernel whose counters begin shortly before they wrap (sync/counter_start.h).
wrap.dir      := wrap
wrap.cc       := $(CROSS)gcc
wrap.flags    := $(KERNEL_CFLAGS) -DCOUNTERS_NEAR_WRAP=1
wrap.includes := $(KERNEL_INCLUDES)
wrap.sources  := $(shell grep -l '"sync/counter_start.h"' $(filter %.c,$(kernel_sources)))
wrap.needs    := $(BUILD)/ck/linked
wrap.goals    := $(BUILD)/wrap/%
$(call special,wrap,$(filter $(wrap.sources),$(hot_sources)),-fomit-frame-pointer -foptimize-sibling-calls)
$(eval $(call build,wrap))

wrap_objects := $(wrap.objects) $(filter-out $(call objects_of,kernel,$(wrap.sources)),$(kernel.objects))

$(BUILD)/wrap/hartframe.elf: $(wrap_objects) linker.ld $(BUILD)/kernel.link
	$(say) LD $@
	$(quiet)$(link_kernel) -o $@ $(wrap_objects)

# Concurrency Kit's headers alone: the rest of the host's /usr/include must stay out of sight.
CK_INCLUDE ?= /usr/include
$(eval $(call text_file,$(BUILD)/ck.flags,$(CK_INCLUDE)))
$(BUILD)/ck/linked: $(BUILD)/ck.flags | $(BUILD)/deps/run
	@mkdir -p $(@D)
	@ln -sfn $(CK_INCLUDE)/gcc $(@D)/gcc
	@ln -sfn $(CK_INCLUDE)/spinlock $(@D)/spinlock
	@ln -sf $(CK_INCLUDE)/ck_*.h $(@D)/
	@touch $@

# ---- the same kernel as clang makes it -------------------------------------------------------

# For lint alone: another compiler's fences and addresses. It is not run. Warnings are the other build's
# business. From clang 17 on, CSR instructions are extensions. What a command finds out about clang and
# picolibc is found out once, and only where it is needed.
LINTCC ?= clang
once = $(eval $1 := $($1.asked))$($1)
has_lintcc = $(call once,has_lintcc)
has_lintcc.asked = $(shell command -v $(LINTCC))
clang_target = $(LINTCC) --target=riscv64-unknown-elf -march=$(march)
clang_extensions = $(call once,clang_extensions)
clang_extensions.asked = $(shell $(clang_target)_zicsr_zifencei -x c -fsyntax-only /dev/null 2>/dev/null && \
	echo _zicsr_zifencei)
picolibc_include = $(call once,picolibc_include)
picolibc_include.asked = $(patsubst %/stdio.h,%,$(filter %/stdio.h,$(shell \
	$(CROSS)gcc --specs=picolibc.specs -M -include stdio.h -x c /dev/null)))

clang.dir      := clang
clang.key      := $(LINTCC)
clang.cc        = $(clang_target)$(clang_extensions) -isystem $(picolibc_include)
clang.flags    := $(filter-out -Werror -march=% -misa-spec=% --specs=% -fno-tree%,$(KERNEL_CFLAGS)) -w
clang.includes := $(KERNEL_INCLUDES)
clang.sources  := $(kernel_sources)
clang.needs    := $(BUILD)/ck/linked
clang.goals    := $(BUILD)/clang/%
$(call special,clang,arch/riscv/string.c,-fno-builtin)
$(eval $(call build,clang))

clang_objects := $(clang.objects) $(call objects_of,kernel,$(kernel_assembly))

$(BUILD)/clang/hartframe.elf: $(clang_objects) linker.ld $(BUILD)/kernel.link
	$(say) LD $@
	$(quiet)$(link_kernel) -o $@ $(clang_objects)

# ---- kernels of the benchmarks ---------------------------------------------------------------

# With and without the checks of callers, with and without Zbb; each is built in its own folder.
bench_dir := $(BUILD)/bench
bench_kernels := $(foreach kind,checks0 checks1 checks0-zbb checks1-zbb,$(bench_dir)/$(kind)/hartframe.elf)

$(bench_kernels): $(bench_dir)/%/hartframe.elf: FORCE | $(BUILD)/deps/run
	$(quiet)$(MAKE) --no-print-directory BUILD=$(bench_dir)/$* ASSERTS=0 \
		CHECKS=$(if $(findstring checks0,$*),0,1) ZBB=$(if $(findstring zbb,$*),1,0) $@

# ---- QEMU's plugin of virtual time -------------------------------------------------------------

plugin_sources := $(wildcard tools/qemu/*.c)

$(BUILD)/qemu/hartframe.so: $(plugin_sources) $(wildcard tools/qemu/*.h) | $(BUILD)/deps/run
	$(say) LD $@
	@mkdir -p $(@D)
	$(quiet)$(HOSTCC) -std=gnu11 -O2 -g -Wall -Wextra -Werror -fvisibility=hidden -shared -fPIC \
		-o $@ $(plugin_sources) -ldl
