/* SPDX-License-Identifier: BSD-2-Clause */
/* backtrace.c - prints backtraces and registers; see backtrace.h. Keeps no state. */
#include "kernel/diag/backtrace.h"

#include <stdbool.h>
#include <stdio.h>

#include "arch/riscv/unwind.h"

#define LINES_MAX 32

unsigned backtrace_take(uintptr_t frame, uintptr_t *addresses, unsigned most)
{
	struct unwind at;
	unsigned depth = 0;

	while (depth < most && unwind_from_frame(&at, frame)) {
		addresses[depth++] = at.pc;
		if (at.x[UNWIND_FRAME] <= frame)
			break;
		frame = at.x[UNWIND_FRAME];
	}
	return depth;
}

static void print_repeats(unsigned *repeats)
{
	if (*repeats)
		printf("  the same %u times more\n", *repeats);
	*repeats = 0;
}

/* A recursion is one line, however deep, so that what began it is printed, too. */
static void print_from(struct unwind *at)
{
	unsigned lines = 0, repeats = 0;
	uint64_t last = 0;
	bool more = true;

	printf("backtrace:\n");
	for (; more && lines < LINES_MAX; more = unwind_next(at)) {
		if (at->is_call && at->pc == last) {
			repeats++;
			continue;
		}
		print_repeats(&repeats);
		printf("  %s[<%#llx>]\n", at->is_call ? "" : "pc ", (unsigned long long)at->pc);
		last = at->pc;
		lines++;
	}
	print_repeats(&repeats);
	if (more)
		printf("  and more\n");
}

void backtrace_print(uintptr_t frame, uintptr_t first)
{
	struct unwind at;
	bool found = unwind_from_frame(&at, frame);

	while (found && at.pc != first)
		found = unwind_next(&at);
	if (found)
		print_from(&at);
}

void backtrace_print_trap(const struct trap_frame *trap)
{
	struct unwind at;

	unwind_from_trap(&at, trap);
	print_from(&at);
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
