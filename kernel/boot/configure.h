/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * configure.h - policy, lock and caches: chosen at boot, and again whenever a sweep wants others.
 *
 * The zones are made again from nothing, so all combinations that are compared start from the same
 * memory; all that pointed into the old zones (caches, the heap, the orders of nodes, low marks)
 * is set again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/global/policy.h"
#include "sync/spinlock.h"

struct configuration {
	const struct policy *policy;
	enum spin_kind lock;   /* of zones and of the heap; SPIN_NONE only with one cpu */
	uint32_t cache_frames; /* of each cpu that works; 0: no caches */
	uint32_t batch_frames; /* 0: it adapts */
	unsigned cpus;	       /* that work: 0..cpus-1; the caches of the others are off line */
};

/* Takes early memory for the heap's lock. When the cpus are counted. */
void configure_reserve(void);

/* Makes the first zones and the heap; only the calling cpu runs. Ends early memory. */
void configure_first(const struct policy *policy, enum spin_kind lock);

/* The cpus' nodes, caches and the zones' low marks, as the boot arguments say; all cpus are there.
 */
void configure_cpus(void);

/*
 * At rest, on cpu 0: sends all allocations and frees of all cpus to the slow paths, or ends that
 * where the boot arguments do not ask for it (frame_cache_bypass in mm/percpu/cache.h).
 */
void configure_bypass(bool bypass);

/*
 * At rest, on cpu 0, with every frame and every block given back (else it panics and says what is
 * not): makes the zones again and sets settings.arguments to what is in force from now on.
 * O(frames).
 */
void configure(const struct configuration *wanted);
