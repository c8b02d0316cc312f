/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault.h - fault injection: allocations of frames and of blocks that fail on purpose.
 *
 * An allocation that is made to fail answers PFN_NONE or NULL at once, as if memory were exhausted:
 * it asks no other CPU, takes nothing and loses nothing.
 *
 * What is counted. Each call of frame_alloc(), frame_alloc_run(), kmalloc() and their variants is one
 * allocation; krealloc() is one where it needs another block. The frames and runs that the heap takes
 * for itself during a call of its own are allocations too: so one kmalloc() may count several times,
 * and may succeed although one of them failed, because the heap then takes another way.
 *
 * Only allocations on the slow paths are seen. So before fault_start() the kernel sends all
 * allocations there: it sets frame_cache_bypass and configures every CPU's cache again
 * (mm/percpu/cache.h). The heap's stacks have room only while the frame cache has, so they are off,
 * too. While nothing is injected, a hit and the short way of a cache that is off contain no
 * instruction for it.
 *
 * Order. Allocations of all CPUs are numbered together, from 1, in the order in which they reach the
 * counter. With one CPU, or in virtual time, that order repeats; with several harts that run in
 * parallel it does not, and so the N-th allocation may be another one in the next run.
 *
 * Writers: fault_start() and fault_stop(), while no other CPU allocates, write everything but the
 * two counters. Any CPU in any context, trap handlers included, adds to those. Locks: none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/ck.h"

enum fault_kind {
	FAULT_OF_FRAME,
	FAULT_OF_RUN,
	FAULT_OF_BLOCK /* of the heap */
};

struct fault_plan {
	uint64_t nth;  /* this allocation fails, and no other, counted from 1; 0: none */
	uint64_t rate; /* each fails with probability 1 / rate; 0: none */
	uint64_t seed; /* of `rate`: a number of an allocation fails, or does not, by the seed */
};

struct fault_counts {
	uint64_t seen;
	uint64_t failed;
};

/* Counts from 0 from here on, and fails what the plan says. While no other CPU allocates. */
void fault_start(const struct fault_plan *plan);

/* Ends it, and returns what was counted. While no other CPU allocates. */
struct fault_counts fault_stop(void);

/* What was counted until now; an estimate while CPUs allocate. */
struct fault_counts fault_counts(void);

/*
 * Called for each allocation that is counted, on its CPU, in its context; may not allocate. `site`:
 * where the allocating function was called. NULL: not called. Written as the rest.
 */
extern void (*fault_on_decision)(enum fault_kind kind, const void *site, bool fails);

/* Nonzero between fault_start() and fault_stop(). */
extern uint32_t fault_is_on;

/* For mm/ alone: counts an allocation; true: it fails. */
bool fault_decide(enum fault_kind kind, const void *site);

static inline bool fault_due(enum fault_kind kind, const void *site)
{
	return __builtin_expect(ck_pr_load_32(&fault_is_on) != 0, 0) && fault_decide(kind, site);
}
