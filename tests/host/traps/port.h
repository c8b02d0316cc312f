/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - the host port (tests/host/support/port.h) with interrupts: what mm/ and sync/ see in
 * test_traps.
 *
 * Masking is kept for each cpu, and a "trap handler" may run on a cpu wherever it is not masked;
 * see traps.h for when. The pop and the push are the kernel's restartable sequences step by step:
 * a trap that lands before any of their steps runs its handler and then begins them again.
 */
#pragma once

#include "tests/host/support/port.h"

/* The look of a CPU that waits long is in the middle of an acquire: no point there, see TRAPS_POINTS below. */
#undef PORT_WAIT_TURNS

#include <ck_md.h>
#include <ck_pr.h>

unsigned long traps_irq_save(void);
void traps_irq_restore(unsigned long flags);
bool traps_in_trap(void);
void traps_relax(void);
void traps_ipi_send(unsigned first, uint64_t set);
uint64_t traps_clock(void); /* ticks when it is read, so that what depends on it repeats */
_Noreturn void traps_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* False with nothing changed when the stack is empty, or full. Offsets from the stack's structure. */
bool traps_pop(uint64_t *value, void *stack, size_t top_offset);
bool traps_push(uint64_t value, void *stack, size_t top_offset, size_t limit_offset);

/* The plain ones above stay behind, unused. */
#define port_irq_save	 traps_irq_save
#define port_irq_restore traps_irq_restore
#define port_in_trap	 traps_in_trap
#define port_relax	 traps_relax
#define port_ipi_send	 traps_ipi_send
#define port_clock	 traps_clock
#define port_panic	 traps_panic

#define PORT_STACK_POP_AT(value, stack, top_offset, empty)                                         \
	do {                                                                                       \
		if (__builtin_expect(!traps_pop(&(value), (stack), (top_offset)), 0))              \
			goto empty;                                                                \
	} while (0)

#define PORT_STACK_PUSH_AT(value, stack, top_offset, limit_offset, full)                           \
	do {                                                                                       \
		if (!traps_push((value), (stack), (top_offset), (limit_offset)))                   \
			goto full;                                                                 \
	} while (0)

/* Of the stack in this cpu's area. */
#define PORT_STACK_POP(frame, top_offset, empty)                                                   \
	PORT_STACK_POP_AT(frame, port_area(), top_offset, empty)
#define PORT_STACK_PUSH(frame, top_offset, limit_offset, full)                                     \
	PORT_STACK_PUSH_AT(frame, port_area(), top_offset, limit_offset, full)

/*
 * The kit's accesses are assembly: those of the counters and of what is planned say that they are. Not those
 * of a lock's own words (sync/spin_kinds.c, which is built with TRAPS_POINTS=0): an acquire of a lock of two
 * queues, cohort or hclh, that is stopped between the two has a place in its group's queue, but no CPU holds
 * the lock yet. So another CPU would be let in there, and a handler that it waits for, and that wants the
 * lock, would wait for the stopped acquire, which could not go on.
 */
#if !defined(TRAPS_POINTS)
#define TRAPS_POINTS 1
#endif
#if TRAPS_POINTS
void traps_access(const void *address, size_t bytes);

#undef ck_pr_load_32
#undef ck_pr_store_32
#undef ck_pr_load_64
#undef ck_pr_store_64
#define ck_pr_load_32(source)	      (traps_access(source, 4), CK_PR_LOAD_SAFE(source, 32))
#define ck_pr_store_32(target, value) (traps_access(target, 4), CK_PR_STORE_SAFE(target, value, 32))
#define ck_pr_load_64(source)	      (traps_access(source, 8), CK_PR_LOAD_SAFE(source, 64))
#define ck_pr_store_64(target, value) (traps_access(target, 8), CK_PR_STORE_SAFE(target, value, 64))
#define ck_pr_faa_32(target, value)   (traps_access(target, 4), (ck_pr_faa_32)(target, value))
#define ck_pr_inc_32(target)	      (traps_access(target, 4), (ck_pr_inc_32)(target))
#define ck_pr_dec_32(target)	      (traps_access(target, 4), (ck_pr_dec_32)(target))
#define ck_pr_inc_64(target)	      (traps_access(target, 8), (ck_pr_inc_64)(target))
#define ck_pr_dec_64(target)	      (traps_access(target, 8), (ck_pr_dec_64)(target))
#endif
