/* SPDX-License-Identifier: BSD-2-Clause */
/* unwind.c - see unwind.h. Keeps no state. */
#include "arch/riscv/unwind.h"

#include "arch/riscv/cpu.h"
#include "arch/riscv/trap.h"
#include "arch/riscv/unwind_table.h"

#define RA 1
#define SP 2
#define FP UNWIND_FRAME

extern const char __kernel_start[], __text_end[];

static bool is_text(uint64_t address)
{
	return address - (uintptr_t)__kernel_start < (uintptr_t)(__text_end - __kernel_start);
}

/* Whether the 8 bytes there are on a stack of this cpu. */
static bool is_on_stack(uint64_t address)
{
	const struct arch_cpu *self = arch_cpu_self();

	return address % 8 == 0 &&
	       (address - self->stack_low < ARCH_STACK_BYTES ||
		address - (self->emergency_top - ARCH_EMERGENCY_BYTES) < ARCH_EMERGENCY_BYTES);
}

static bool load(uint64_t address, uint64_t *value)
{
	if (!is_on_stack(address))
		return false;
	*value = *(const uint64_t *)address;
	return true;
}

void unwind_from_trap(struct unwind *at, const struct trap_frame *trap)
{
	for (unsigned i = 0; i < UNWIND_REGISTERS; i++)
		at->x[i] = trap->x[i];
	at->pc = trap->pc;
	at->is_call = false;
}

/* The psABI's frame record: the return address at -8, the caller's frame pointer at -16. */
bool unwind_from_frame(struct unwind *at, uint64_t frame)
{
	struct unwind caller = {.x[SP] = frame, .is_call = true};

	if (frame % 16 || !load(frame - 8, &caller.pc) || !load(frame - 16, &caller.x[FP]) ||
	    !is_text(caller.pc))
		return false;
	caller.x[RA] = caller.pc;
	*at = caller;
	return true;
}

/* By a row of the tables. The stack of the caller lies higher, but for a function without a frame. */
static bool next_by_row(struct unwind *at, const struct unwind_row *row)
{
	uint64_t sp = at->x[row->base] + (uint64_t)row->offset;
	struct unwind caller = *at;

	if (sp < at->x[SP] || sp % 16)
		return false;
	for (unsigned i = 1; i < UNWIND_REGISTERS; i++)
		if (row->saved[i] && !load(sp + (uint64_t)row->saved[i], &caller.x[i]))
			return false;
	caller.x[SP] = sp;
	caller.pc = caller.x[row->return_register];
	caller.is_call = true;
	if (!is_text(caller.pc) || (at->is_call && sp == at->x[SP]))
		return false;
	*at = caller;
	return true;
}

/* Without a row: interrupted code has its return address in ra, other code has a frame record. */
static bool next_by_guess(struct unwind *at)
{
	struct unwind caller = *at;

	if (at->is_call)
		return at->x[FP] > at->x[SP] && unwind_from_frame(at, at->x[FP]);
	caller.pc = at->x[RA];
	caller.is_call = true;
	if (!is_text(caller.pc))
		return false;
	*at = caller;
	return true;
}

bool unwind_next(struct unwind *at)
{
	uint64_t pc = at->pc - at->is_call, trap = at->x[SP];
	struct unwind_row row;

	/* trap_entry.S calls with the frame at sp. */
	if (at->is_call && at->pc == (uintptr_t)trap_handled) {
		if (!is_on_stack(trap) || !is_on_stack(trap + sizeof(struct trap_frame) - 8))
			return false;
		unwind_from_trap(at, (const struct trap_frame *)trap);
		return true;
	}
	if (is_text(pc) && unwind_find(pc, &row))
		return next_by_row(at, &row);
	return next_by_guess(at);
}
