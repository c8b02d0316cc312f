/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * backtrace.h - prints where this cpu is: return addresses and registers, for a panic.
 *
 * Each address is printed as [<0x...>], the form in which the launcher looks for addresses to
 * translate. It is a return address, whose call ends right before it; with the word "pc" before it,
 * it is the address of an instruction. How callers are found: arch/riscv/unwind.h.
 */
#pragma once

#include <stdint.h>

#include "arch/riscv/trap.h"

/*
 * Prints a heading and return addresses, at most 32 lines: of the function that has this frame
 * pointer, and of its callers, from the address `first` on.
 */
void backtrace_print(uintptr_t frame, uintptr_t first);

/*
 * Writes at most `most` return addresses to `addresses`, beginning with that of the function that
 * has this frame pointer, and returns how many. By frame pointers alone, which takes little stack:
 * callers of functions without one are left out. Any context.
 */
unsigned backtrace_take(uintptr_t frame, uintptr_t *addresses, unsigned most);

/* Prints a heading and the backtrace of the code that a trap has interrupted. */
void backtrace_print_trap(const struct trap_frame *trap);

/* Prints all registers of the interrupted code. */
void backtrace_print_registers(const struct trap_frame *frame);
