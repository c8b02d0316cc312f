/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * unwind.h - from a function to its caller, by the tables that the compiler wrote (.eh_frame).
 *
 * Frame pointers are not enough: the hot files are compiled without them, a function that calls no
 * other may not save ra, and at the start of a function its frame does not exist yet. The tables
 * are right at each instruction. Code without a table (assembly, the C library) is left by the
 * frame pointer, or by ra where the code was interrupted.
 *
 * Memory is read only on the stacks of this cpu, so a damaged stack ends the walk and does no
 * other harm. Nothing is written and nothing is locked: any context.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct trap_frame;

#define UNWIND_REGISTERS 9 /* x0 to x8: a caller is found by ra, sp, t0 and the frame pointer */
#define UNWIND_FRAME	 8 /* the frame pointer */

struct unwind {
	uint64_t x[UNWIND_REGISTERS];
	uint64_t pc;
	bool is_call; /* pc is a return address: the call ends right before it */
};

/* Begins with the code that a trap has interrupted. */
void unwind_from_trap(struct unwind *at, const struct trap_frame *trap);

/*
 * Begins with the caller of a function that has this frame pointer, as __builtin_frame_address(0)
 * gives it. False: the frame is not on a stack of this cpu.
 */
bool unwind_from_frame(struct unwind *at, uint64_t frame);

/*
 * To the caller, or from a trap handler to the code that the trap has interrupted. False: there is
 * none, and nothing has changed.
 */
bool unwind_next(struct unwind *at);
