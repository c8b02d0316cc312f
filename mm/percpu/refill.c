/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * refill.c - an allocation that finds the stack empty: a batch from a zone, or one frame past the
 * cache where the cache cannot take a batch.
 *
 * A batch crosses in one section with interrupts masked (C6): the plan, the hold of the zone's lock,
 * and the writing of the frames onto the stack. The lock is held for the claim alone; a claim gives
 * words, and what they mean frame by frame is worked out after the lock is dropped.
 *
 * Trap handlers. One may have run between the pop that found nothing and the masked section, and have
 * left frames, another zone or a parked cache behind. So everything is looked at again there.
 *
 * Locks: none is held here; the zones' are taken in zone.c.
 */
#include "mm/frame.h"
#include "mm/global/bits.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "sync/trace.h"

/* A word that is not free from end to end: row by row, for neighbours are often free together. */
static inline uint64_t *expand_rows(uint64_t *slot, uint64_t frame, uint64_t bits)
{
	while (bits) {
		unsigned low = bits_lowest(bits), length;
		uint64_t ones = bits >> low, first = frame + low;

		if (!(ones & 2)) {
			*--slot = first;
			bits &= bits - 1;
			continue;
		}
		length = bits_lowest(~ones); /* at most 63 */
#pragma GCC unroll 4
		for (uint64_t end = first + length; first != end; first++)
			*--slot = first;
		bits &= ~(((UINT64_C(1) << length) - 1) << low);
	}
	return slot;
}

/*
 * Writes the frames of `words` below `slot`, downwards, so that they pop in rising order; eight
 * at a time where a word is free from end to end.
 */
static void expand(uint64_t *slot, const struct frame_word *words, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t frame = words[i].first;

		if (words[i].bits != ~UINT64_C(0)) {
			slot = expand_rows(slot, frame, words[i].bits);
			continue;
		}
		for (uint64_t end = frame + 64; frame != end; frame += 8) {
			slot -= 8;
			slot[7] = frame;
			slot[6] = frame + 1;
			slot[5] = frame + 2;
			slot[4] = frame + 3;
			slot[3] = frame + 4;
			slot[2] = frame + 5;
			slot[1] = frame + 6;
			slot[0] = frame + 7;
		}
	}
}

static inline bool may_shrink(const struct frame_cache *cache)
{
	return cache->uncontended_streak >= UNCONTENDED_HOLDS && cache->batch != cache->batch_min;
}

/* A smaller batch leaves less in the stack, and so only an empty one may shrink. */
static __attribute__((noinline)) void shrink(struct frame_cache *cache)
{
	cache->uncontended_streak = 0;
	cache->batch /= 2;
	cache->limit = cache->bottom + cache_capacity_for(cache, cache->batch);
}

/*
 * Interrupts masked: a batch of the zone on top of the stack, but for one frame, which is returned.
 * UINT64_MAX, and nothing has changed, where the cache cannot take one of this zone, or the zone is
 * empty.
 */
static inline __attribute__((always_inline)) uint64_t refill_masked(struct frame_cache *cache,
								    struct zone *zone,
								    unsigned *taken,
								    struct zone_hold *hold)
{
	struct policy_plan *plan = &cache->work->plan;
	struct frame_word *words = cache->work->words;
	unsigned capacity, count, batch;

	if (!cache_is_open(cache) || (cache->zone != zone && port_in_trap()))
		return SENTINEL;
	if (__builtin_expect(may_shrink(cache), 0))
		shrink(cache);
	batch = cache->batch;
	capacity = cache_capacity(cache);
	zone_plan_claim(zone, batch, capacity - batch, words, plan);
	count = zone_claim_masked(zone, batch, capacity - batch, plan, words, taken, hold);
	if (!count)
		return SENTINEL;
	counter_set(&cache->frames_moving, *taken);
	cache_move_to_base(cache); /* it is empty: this costs a few stores */
	if (__builtin_expect(cache->zone != zone, 0))
		cache_set_zone(cache, zone);
	expand(cache->top + *taken, words, count);
	cache_set_top(cache, cache->top + *taken - 1);
	counter_set(&cache->frames_moving, 0);
	counter_add(&cache->stats.refills, 1);
	counter_add(&cache->stats.refilled_frames, *taken);
	cache_count_far(cache, zone, *taken);
	cache_count_hold(cache, hold);
	return *cache->top;
}

/* One frame of the zone, past the cache; false: at some instant the zone had none. */
static bool claim_one_of(struct frame_cache *cache, struct zone *zone, uint64_t *frame)
{
	unsigned long flags = port_irq_save();
	struct zone_hold hold;
	bool found = zone_claim_one_masked(zone, frame, &hold);

	if (found)
		cache_count_hold(cache, &hold);
	port_irq_restore(flags);
	if (found && hold.low)
		frame_drain_low(zone);
	return found;
}

struct zone *cache_claim_one(struct frame_cache *cache, uint64_t *frame)
{
	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = zone_to_try(cache->order, cache->home, i);

		if (claim_one_of(cache, zone, frame))
			return zone;
	}
	return NULL;
}

struct zone *cache_claim_run(struct frame_cache *cache, uint64_t count, uint64_t align,
			     uint64_t *first)
{
	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = zone_to_try(cache->order, cache->home, i);
		bool found, low;

		found = zone_claim_run(zone, count, align, first, &low);
		if (low)
			frame_drain_low(zone);
		if (found)
			return zone;
	}
	return NULL;
}

/* The frame, claimed past the cache, is the caller's now. Counted masked: trap handlers count here too. */
static pfn_t hand_out(struct frame_cache *cache, struct zone *zone, uint64_t frame)
{
	unsigned long flags = port_irq_save();

	counter_add(&cache->stats.direct_allocs, 1);
	cache_count_far(cache, zone, 1);
	port_irq_restore(flags);
	cache_mark_allocated(zone, frame);
	return pfn(frame);
}

static pfn_t alloc_direct(struct frame_cache *cache, struct zone *zone)
{
	uint64_t frame;

	if (zone_free_frames(zone) == 0 || !claim_one_of(cache, zone, &frame))
		return PFN_NONE;
	return hand_out(cache, zone, frame);
}

/*
 * One frame out of a new batch from this zone. Compiled twice: what a trace needs is not even asked
 * for in the one that has none.
 */
static inline __attribute__((always_inline)) pfn_t alloc_batch_as(struct frame_cache *cache,
								  struct zone *zone, bool traced)
{
	uint64_t begun = traced ? trace_begin() : 0, frame;
	struct zone_hold hold = {false, false};
	unsigned long flags = port_irq_save();
	unsigned taken = 0;

	if (__builtin_expect(cache->top != cache->bottom, 0)) {
		/* A trap handler has filled the stack. */
		frame = cache->top[-1];
		zone = cache->zone; /* for the books, which are kept with CHECKS only: then it is of that one */
		cache_set_top(cache, cache->top - 1);
	} else {
		frame = refill_masked(cache, zone, &taken, &hold);
	}
	port_irq_restore(flags);
	if (__builtin_expect(hold.low, 0))
		frame_drain_low(zone);
	if (__builtin_expect(frame == SENTINEL, 0))
		return alloc_direct(cache, zone);
	if (traced && taken)
		trace_end(TRACE_REFILL, begun, taken, zone->number);
	cache_mark_allocated(zone, frame);
	return pfn(frame);
}

static __attribute__((noinline)) pfn_t alloc_batch_traced(struct frame_cache *cache,
							  struct zone *zone)
{
	return alloc_batch_as(cache, zone, true);
}

static pfn_t alloc_batch(struct frame_cache *cache, struct zone *zone)
{
	if (trace_is_on())
		return alloc_batch_traced(cache, zone);
	return alloc_batch_as(cache, zone, false);
}

/*
 * Whether the cache takes a batch of a zone that has frames. A parked one is opened for that, and not
 * before there is something to fill it with: an opening says that frames may have been freed
 * (drain.c). In a trap handler the cache's zone must stay (C2).
 */
static inline bool takes_batch(struct frame_cache *cache, const struct zone *zone)
{
	if (__builtin_expect(cache_state(cache) == FRAME_CACHE_PARKED, 0))
		cache_open(cache);
	return cache_is_open(cache) && (cache->zone == zone || !port_in_trap());
}

/* From home, else from the next nearest. */
static pfn_t alloc_anywhere(struct frame_cache *cache, uint64_t zone_has_frames)
{
	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = zone_to_try(cache->order, cache->home, i);
		pfn_t frame;

		if (zone_free_frames(zone) < zone_has_frames)
			continue;
		frame = takes_batch(cache, zone) ? alloc_batch(cache, zone)
						 : alloc_direct(cache, zone);
		if (!pfn_is_none(frame))
			return frame;
	}
	return PFN_NONE;
}

/* The last resort, and the last word: see drain.c. */
static pfn_t alloc_drained(struct frame_cache *cache)
{
	uint64_t frame;
	struct zone *zone = frame_drained_one(&frame);

	return zone ? hand_out(cache, zone, frame) : PFN_NONE;
}

static pfn_t alloc_remote(struct frame_cache *cache)
{
	for (unsigned i = 0; i < zones.count; i++) {
		unsigned long flags = port_irq_save();

		if (cache->remote[i].count)
			cache_flush_remote(cache, i);
		port_irq_restore(flags);
	}
	return alloc_anywhere(cache, 1);
}

/*
 * Zones with a whole batch first: what a nearly empty one still has would pay for a lock with a
 * few frames. Then what there is, then what this cpu itself was about to send home, and at last
 * what other cpus have.
 */
static __attribute__((noinline)) pfn_t refill_from_anywhere(struct frame_cache *cache,
							    unsigned flags)
{
	pfn_t frame = alloc_anywhere(cache, cache->batch);
	/* Before the look: a trap handler may send them home after it, and they are free all along. */
	uint32_t remote_frames = cache->remote_frames;

	if (pfn_is_none(frame))
		frame = alloc_anywhere(cache, 1);
	if (pfn_is_none(frame) && remote_frames)
		frame = alloc_remote(cache);
	if (pfn_is_none(frame) && !(flags & FRAME_NOWAIT))
		frame = alloc_drained(cache);
	if (pfn_is_none(frame))
		counter_add(&cache->stats.failures, 1);
	return frame;
}

/* Mostly the cache is at home, is open, and home has a batch. */
pfn_t frame_cache_refill(unsigned flags)
{
	struct frame_cache *cache = frame_cache_self();
	struct zone *zone = &zones.zone[cache->home];

	if (zone_free_frames(zone) >= cache->batch && takes_batch(cache, zone)) {
		pfn_t frame = alloc_batch(cache, zone);

		if (!pfn_is_none(frame))
			return frame;
	}
	return refill_from_anywhere(cache, flags);
}
