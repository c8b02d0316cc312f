/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zone_run.h - a run of frames from a zone or to it, in one hold, inline: what zone_claim_run() and
 * zone_release_run() do where nothing but that is due.
 *
 * The hold does the same under the lock: the run, the zone's count of free frames, and the count of
 * releases. Where more than that is due, these functions say so and have done nothing: the lock is held,
 * the search takes more than one hold or finds no run, the statistics of the lock read the clock, or
 * their mode is not that of the preparation.
 */
#pragma once

#include "mm/global/zone.h"
#include "mm/platform.h"
#include "sync/spin_fast.h"

/*
 * Chunks that one hold of the lock may repair on behalf of a run. 64 chunks are 512 words of
 * bitmap, about the work of a hundred batches; a search that has more to do lets others in.
 */
#define ZONE_RUN_STEPS 64

/* What a CPU notes in the lock of a zone when it claims or releases a run. */
struct zone_run_notes {
	struct lock_fast claim, release;
};

/* False: the policy does not answer each request for a run. Again as zone_one_prepare(). */
static inline bool zone_run_prepare(struct zone_run_notes *notes, struct zone *zone)
{
	spin_fast_prepare(&notes->claim, &zone->lock, (const void *)zone_claim_run);
	spin_fast_prepare(&notes->release, &zone->lock, (const void *)zone_release_run);
	return zone->policy->has_runs && zone->policy->aligns_runs;
}

/*
 * Claims a run as zone_claim_run() does. SPIN_FAST_TAKEN: it is *first, and *left frames are left in the
 * zone; the caller looks at the low mark. SPIN_FAST_HELD: not done, zone_claim_run_found_held() waits.
 * SPIN_FAST_NONE: not done, zone_claim_run() decides.
 */
static inline __attribute__((always_inline)) enum spin_fast_result zone_claim_run_at_once(
	struct zone *zone, const struct zone_run_notes *notes, uint64_t count, uint64_t align,
	uint64_t *first, uint64_t *left)
{
	enum spin_fast_result result;
	struct spin_node node;
	unsigned long flags = port_irq_save();
	uint64_t before;

	result = spin_fast_lock(&zone->lock, &node, &notes->claim);
	if (__builtin_expect(result != SPIN_FAST_TAKEN, 0)) {
		port_irq_restore(flags);
		return result;
	}
	before = zone->free_frames;
	*left = before - count;
	if (__builtin_expect(before < count ||
				     zone->policy->claim_run(zone->instance, count, align,
							     ZONE_RUN_STEPS, first) != RUN_FOUND,
			     0)) {
		spin_fast_unlock(&zone->lock, &node, &notes->claim);
		port_irq_restore(flags);
		return SPIN_FAST_NONE;
	}
	counter_set(&zone->free_frames, *left);
	spin_fast_unlock(&zone->lock, &node, &notes->claim);
	port_irq_restore(flags);
	return SPIN_FAST_TAKEN;
}

/*
 * Releases a run of the zone as zone_release_run() does, with the same answers: SPIN_FAST_HELD:
 * zone_release_run_found_held().
 */
static inline __attribute__((always_inline)) enum spin_fast_result zone_release_run_at_once(
	struct zone *zone, const struct zone_run_notes *notes, uint64_t first, uint64_t count)
{
	enum spin_fast_result result;
	struct spin_node node;
	unsigned long flags = port_irq_save();

	result = spin_fast_lock(&zone->lock, &node, &notes->release);
	if (__builtin_expect(result == SPIN_FAST_TAKEN, 1)) {
		zone->policy->release_run(zone->instance, first, count);
		counter_set(&zone->free_frames, zone->free_frames + count);
		counter_add(&zone->releases, 1);
		spin_fast_unlock(&zone->lock, &node, &notes->release);
	}
	port_irq_restore(flags);
	return result;
}
