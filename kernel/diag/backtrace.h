/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * backtrace.h - prints where this cpu is: return addresses and registers, for a panic.
 *
 * Each address is printed as [<0x...>], the form in which the launcher looks for addresses to
 * translate. Memory is read only where it lies on a stack of this cpu, so a damaged frame pointer
 * does no harm.
 */
#pragma once

#include <stdint.h>

#include "arch/riscv/trap.h"

/* Prints at most 16 return addresses, beginning with the function that has this frame pointer. */
void backtrace_print(uintptr_t frame);

/*
 * Writes at most `most` of these return addresses to `addresses`, and returns how many. Any context.
 */
unsigned backtrace_take(uintptr_t frame, uintptr_t *addresses, unsigned most);

/* Prints a heading and the backtrace of the code that a trap has interrupted. */
void backtrace_print_trap(const struct trap_frame *trap);

/* Prints all registers of the interrupted code. */
void backtrace_print_registers(const struct trap_frame *frame);
