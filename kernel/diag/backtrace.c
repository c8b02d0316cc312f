/* SPDX-License-Identifier: BSD-2-Clause */
/* backtrace.c - prints backtraces and registers; see backtrace.h. Keeps no state. */
#include "kernel/diag/backtrace.h"

#include <stdbool.h>
#include <stdio.h>

#include "kernel/smp/cpu.h"

#define DEPTH_MAX 16

static bool is_on_stack(const struct cpu *cpu, uintptr_t address)
{
	return address - cpu->arch.stack_low < ARCH_STACK_BYTES ||
	       address - (cpu->arch.emergency_top - ARCH_EMERGENCY_BYTES) < ARCH_EMERGENCY_BYTES;
}

/*
 * Follows the chain of frame pointers as the psABI defines it: the return address is at -8, the
 * caller's frame pointer at -16. A pointer that is not a multiple of 16, is not on a stack of this
 * cpu, or does not rise, ends the chain.
 */
unsigned backtrace_take(uintptr_t frame, uintptr_t *addresses, unsigned most)
{
	const struct cpu *self = cpu_self();
	unsigned depth = 0;

	while (depth < most && frame % 16 == 0 && is_on_stack(self, frame - 16)) {
		const uintptr_t *top = (const uintptr_t *)frame;

		addresses[depth++] = top[-1];
		if (top[-2] <= frame)
			break;
		frame = top[-2];
	}
	return depth;
}

void backtrace_print(uintptr_t frame)
{
	uintptr_t addresses[DEPTH_MAX];
	unsigned depth = backtrace_take(frame, addresses, DEPTH_MAX);

	for (unsigned i = 0; i < depth; i++)
		printf("  [<%#lx>]\n", (unsigned long)addresses[i]);
}

/* A leaf function saves no return address, and its caller's frame pointer at -8. */
void backtrace_print_trap(const struct trap_frame *trap)
{
	const uintptr_t *top = (const uintptr_t *)trap->x[8];
	uintptr_t frame = trap->x[8];

	printf("backtrace:\n  [<%#llx>]\n", (unsigned long long)trap->pc);
	if (frame % 16 == 0 && is_on_stack(cpu_self(), frame - 16) &&
	    is_on_stack(cpu_self(), top[-1])) {
		printf("  [<%#llx>]\n", (unsigned long long)trap->x[1]);
		frame = top[-1];
	}
	backtrace_print(frame);
}

void backtrace_print_registers(const struct trap_frame *frame)
{
	static const char names[32][4] = {
		"",   "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
		"a1", "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
		"s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
	};

	printf("registers:\n  pc  %016llx", (unsigned long long)frame->pc);
	for (unsigned i = 1; i < 32; i++)
		printf("%s%-3s %016llx", i % 4 ? "  " : "\n  ", names[i],
		       (unsigned long long)frame->x[i]);
	printf("\n");
}
