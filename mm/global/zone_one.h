/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zone_one.h - one frame from a zone or to it, inline: for a CPU without a cache, to which each frame
 * is a hold of the zone's lock.
 *
 * The hold is the same as in zone.c, and does the same under the lock: the frame, the zone's count of
 * free frames, and the count of releases. Where more than that is due, these functions say so and have
 * done nothing: the policy has no function for one frame, the lock is held, its statistics read the
 * clock, or their mode is not that of the preparation.
 */
#pragma once

#include "mm/global/zone.h"
#include "sync/spin_fast.h"

enum zone_one {
	ZONE_ONE_DONE,
	ZONE_ONE_NONE, /* of a claim: no frame was free while the lock was held */
	ZONE_ONE_HELD, /* not done: zone_claim_one_found_held() or zone_release_one_found_held() */
	ZONE_ONE_OTHERWISE, /* not done: zone_claim_one_masked() or zone_release_masked() */
};

/*
 * Under the lock: takes the lowest frame, and leaves it to the caller to count it; *before is the
 * number of free frames before that.
 */
static inline __attribute__((always_inline)) uint64_t zone_one_take(struct zone *zone,
								    uint64_t *before)
{
	const struct policy *policy = zone->policy;
	uint64_t frame = policy->claim_one(zone->instance);

	*before = zone->free_frames;
	return frame;
}

/* Under the lock: gives a frame back. */
static inline __attribute__((always_inline)) void zone_one_give(struct zone *zone, uint64_t frame)
{
	const struct policy *policy = zone->policy;

	policy->release_one(zone->instance, frame);
	counter_set(&zone->free_frames, zone->free_frames + 1);
	counter_add(&zone->releases, 1);
}

/*
 * What a CPU notes in the lock of a zone when it claims or releases a frame. False: the policy has no
 * function for one frame, so zone_claim_one() and zone_release_one() must
 * not be called. Again when the zone is made again, or the mode of the locks' statistics is another.
 */
struct zone_one_notes {
	struct lock_fast claim, release;
};

static inline bool zone_one_prepare(struct zone_one_notes *notes, struct zone *zone)
{
	spin_fast_prepare(&notes->claim, &zone->lock, (const void *)zone_claim_one_masked);
	spin_fast_prepare(&notes->release, &zone->lock, (const void *)zone_release_masked);
	return zone->policy->claim_one && zone->policy->release_one;
}

/*
 * Claims one frame with interrupts masked; *before is the number of free frames before that. The caller
 * looks at the low mark, zone_one_is_low().
 */
static inline __attribute__((always_inline)) enum zone_one zone_claim_one(
	struct zone *zone, const struct zone_one_notes *notes, uint64_t *frame, uint64_t *before)
{
	enum spin_fast_result result;
	struct spin_node node;

	result = spin_fast_lock(&zone->lock, &node, &notes->claim);
	if (__builtin_expect(result != SPIN_FAST_TAKEN, 0))
		return result == SPIN_FAST_HELD ? ZONE_ONE_HELD : ZONE_ONE_OTHERWISE;
	*frame = zone_one_take(zone, before);
	if (__builtin_expect(*frame == FRAME_WORD_NONE, 0)) {
		spin_fast_unlock(&zone->lock, &node, &notes->claim);
		return ZONE_ONE_NONE;
	}
	counter_set(&zone->free_frames, *before - 1);
	spin_fast_unlock(&zone->lock, &node, &notes->claim);
	return ZONE_ONE_DONE;
}

/* After a claim of one frame: true if it has crossed the low mark, see struct zone_hold. */
static inline bool zone_one_is_low(struct zone *zone, uint64_t before)
{
	return __builtin_expect(before <= zone->low_rearm, 0) &&
	       zone_crosses_low(zone, before, before - 1);
}

/* Gives one frame of the zone back with interrupts masked. */
static inline __attribute__((always_inline)) enum zone_one zone_release_one(
	struct zone *zone, const struct zone_one_notes *notes, uint64_t frame)
{
	enum spin_fast_result result;
	struct spin_node node;

	result = spin_fast_lock(&zone->lock, &node, &notes->release);
	if (__builtin_expect(result != SPIN_FAST_TAKEN, 0))
		return result == SPIN_FAST_HELD ? ZONE_ONE_HELD : ZONE_ONE_OTHERWISE;
	zone_one_give(zone, frame);
	spin_fast_unlock(&zone->lock, &node, &notes->release);
	return ZONE_ONE_DONE;
}
