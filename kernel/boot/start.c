/* SPDX-License-Identifier: BSD-2-Clause */
/* start.c - see start.h. */
#include "kernel/boot/start.h"

#include <port.h>
#include <stdint.h>
#include <stdio.h>

#include "arch/riscv/hart.h"
#include "kernel/boot/early.h"
#include "kernel/boot/machine.h"
#include "kernel/boot/tree.h"
#include "kernel/diag/panic.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "sync/counter_start.h"

_Static_assert(sizeof(struct cpu) <= BOOT_CPU_BLOCK_BYTES, "entry.S: the boot hart's first block");

static struct hart_arrival *arrivals;
static unsigned harts_usable;

/*
 * A hart has this long to arrive after the firmware took the order; real harts need microseconds.
 * An emulator has a thread for each hart, and they share a few cores: each may wait for all
 * others' turns.
 */
static unsigned arrival_seconds(void)
{
	unsigned cpus = port_cpu_count();

	return cpus > 8 ? 2 + cpus : 10;
}

unsigned start_count_harts(void)
{
	struct machine_hart hart = {0};
	struct devicetree_error error;
	bool all_have_sstc = true;

	harts_usable = 0;
	while (tree_has(machine_next_hart(settings.tree, &hart, &error), &error)) {
		if (hart.unusable) {
			printf("hart %llu is left alone: %s\n", (unsigned long long)hart.id,
			       hart.unusable);
			continue;
		}
		harts_usable++;
		all_have_sstc = all_have_sstc && machine_hart_has(settings.tree, &hart, "sstc");
	}
	hart_timer_has_sstc(all_have_sstc);
	if (harts_usable)
		return harts_usable;
	verdict_fail("device tree: no hart under /cpus is enabled and has an MMU");
	verdict_end();
}

/* From below: a guard page, the stack, the emergency stack. The boot hart has its stacks in bss. */
static void make_stacks(struct arch_cpu *cpu)
{
	char *memory;

	if (cpu->number == 0) {
		cpu->stack_low = arch_cpu_self()->stack_low;
		cpu->emergency_top = arch_cpu_self()->emergency_top;
		return;
	}
	memory = early_alloc(ARCH_GUARD_BYTES + ARCH_STACK_BYTES + ARCH_EMERGENCY_BYTES,
			     ARCH_GUARD_BYTES);
	cpu->stack_low = (uintptr_t)memory + ARCH_GUARD_BYTES;
	cpu->stack_top = cpu->stack_low + ARCH_STACK_BYTES;
	cpu->emergency_top = cpu->stack_top + ARCH_EMERGENCY_BYTES;
}

void start_make_cpus(unsigned count)
{
	char *blocks = early_alloc(count * sizeof(struct cpu), 64);
	uint64_t boot_hart = arch_cpu_self()->hart_id;

	arrivals = early_alloc(harts_usable * sizeof(*arrivals), 64);
	for (unsigned i = 0; i < count; i++) {
		struct cpu *cpu = (struct cpu *)blocks + i;

		cpu->arch.number = i;
		cpu->work_number = cpu->done_number = COUNTER_START_32;
		make_stacks(&cpu->arch);
	}
	((struct cpu *)blocks)->arch.hart_id = boot_hart;
	((struct cpu *)blocks)->online = 1;
	((struct cpu *)blocks)->arrival = &arrivals[harts_usable - 1]; /* the others use fewer */
	port_cpu_blocks = blocks;
	port_cpu_block_bytes = sizeof(struct cpu);
	port_cpus = count;
	arch_cpu_move((struct arch_cpu *)blocks);
}

/* Entered by every hart but the first, on its own stack. */
void kernel_secondary(void)
{
	cpu_serve();
}

/* In the verdict, and on the console at once: the run may end before its verdict. */
static void report_start(uint64_t hart_id, enum hart_start_result result, long error)
{
	char text[96];

	if (result == HART_START_OK)
		return;
	if (result == HART_START_REFUSED)
		snprintf(text, sizeof(text),
			 "hart %llu: the firmware refused to start it: error %ld",
			 (unsigned long long)hart_id, error);
	else
		snprintf(text, sizeof(text), "hart %llu was started but did not arrive within %u s",
			 (unsigned long long)hart_id, arrival_seconds());
	printf("%s\n", text);
	verdict_fail("%s", text);
}

static void report_late_start(uint64_t hart_id)
{
	printf("hart %llu was started and has not arrived yet; it has %u s\n",
	       (unsigned long long)hart_id, arrival_seconds());
}

/* In virtual time a hart that is not used must sleep: else it takes turns. From `hart` on. */
static void settle_the_rest(struct machine_hart *hart)
{
	struct devicetree_error error;

	while (tree_has(machine_next_hart(settings.tree, hart, &error), &error))
		if (!hart->unusable && hart->id != cpu_self()->arch.hart_id)
			hart_settle(hart->id);
}

void start_harts(void)
{
	struct machine_hart hart = {0};
	struct devicetree_error error;
	unsigned next = 1, tried = 0;

	hart_is_late = report_late_start;
	while (next < port_cpu_count() &&
	       tree_has(machine_next_hart(settings.tree, &hart, &error), &error)) {
		struct cpu *cpu = cpu_of(next);
		enum hart_start_result result;
		long code;

		if (hart.unusable || hart.id == cpu_self()->arch.hart_id)
			continue;
		cpu->arch.hart_id = hart.id;
		cpu->arrival = &arrivals[tried++];
		result = hart_start(hart.id, cpu->arrival, &cpu->arch,
				    arrival_seconds() * settings.timebase, &code);
		report_start(hart.id, result, code);
		if (result != HART_START_OK)
			continue;
		while (cpu_online_count() <= next)
			port_relax();
		next++;
	}
	if (settings.virtual_time && next == port_cpu_count())
		settle_the_rest(&hart);
	hart_is_late = NULL; /* only cpu 0 may print now, and any cpu can start another again */
	settings.cpus = next;
}
