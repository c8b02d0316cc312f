/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * refill.c - an allocation that finds the stack empty: a batch from a zone into the cache, or one
 * frame past the cache where the cache cannot take a batch.
 *
 * A batch moves in one section with interrupts masked (C6): planning the claim, the hold of the
 * zone's lock, and writing the frames onto the stack. The lock is held for the claim alone. A claim
 * returns words; they are expanded into frames after the lock is released.
 *
 * Trap handlers. A handler may have run between the pop that found no frame and the masked section.
 * It may have left frames, another zone or a parked cache behind. So the masked section looks at
 * all of them again.
 *
 * Locks: no lock is held here; zone.c takes the zones' locks.
 */
#include "mm/fault.h"
#include "mm/frame.h"
#include "mm/frame_debug.h"
#include "mm/global/bits.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "sync/trace.h"

/*
 * A word that is not entirely free: row by row, because neighbouring frames are often free
 * together.
 */
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
 * Writes the frames of `words` below `slot`, downwards, so that they pop in rising order; eight at
 * a time where a word is entirely free.
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

/*
 * The stack is empty: with a smaller batch the limit is lower, and frames above it would have no
 * place.
 */
static __attribute__((noinline)) void shrink(struct frame_cache *cache)
{
	cache->uncontended_streak = 0;
	cache->batch /= 2;
	cache->limit = cache->bottom + cache_capacity_for(cache, cache->batch);
}

/*
 * Moves a batch from the zone to the stack and returns its last frame, which is the caller's.
 * SENTINEL, with nothing changed, if the cache cannot take a batch of this zone or the zone is
 * empty. The stack is empty; interrupts are masked.
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
	cache_move_to_base(cache); /* an empty stack: a few stores */
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

/* Claims one frame of the zone, past the cache; false: at some instant the zone had none. */
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

/*
 * For a frame claimed past the cache. Interrupts are masked for the counting: trap handlers count
 * too.
 */
static pfn_t hand_out(struct frame_cache *cache, struct zone *zone, uint64_t frame)
{
	unsigned long flags = port_irq_save();

	counter_add(&cache->stats.direct_allocs, 1);
	cache_count_far(cache, zone, 1);
	port_irq_restore(flags);
	frame_mark_allocated(cache_state_bias(zone), frame);
	return pfn(frame);
}

/* One frame of the zone, past the cache. */
static pfn_t alloc_direct(struct frame_cache *cache, struct zone *zone)
{
	uint64_t frame;

	if (zone_free_frames(zone) == 0 || !claim_one_of(cache, zone, &frame))
		return PFN_NONE;
	return hand_out(cache, zone, frame);
}

/*
 * One frame out of a new batch from this zone. Compiled twice, so that without a trace the way of a
 * batch has no instruction for it.
 */
static inline __attribute__((always_inline)) pfn_t alloc_batch_as(struct frame_cache *cache,
								  struct zone *zone, bool traced)
{
	uint64_t begun = traced ? trace_begin() : 0, frame;
	struct zone_hold hold = {false, false};
	unsigned long flags = port_irq_save();
	unsigned taken = 0;

	if (__builtin_expect(cache->top != cache->bottom, 0)) {
		/*
		 * A trap handler has filled the stack. With CHECKS its frames are of the cache's
		 * zone.
		 */
		frame = cache->top[-1];
		zone = cache->zone;
		cache_set_top(cache, cache->top - 1);
	} else {
		frame = refill_masked(cache, zone, &taken, &hold);
	}
	port_irq_restore(flags);
	if (__builtin_expect(hold.low, 0))
		frame_drain_low(zone);
	if (__builtin_expect(frame == SENTINEL, 0))
		return PFN_NONE;
	if (traced && taken)
		trace_end(TRACE_REFILL, begun, taken, zone->number);
	frame_mark_allocated(cache_state_bias(zone), frame);
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
 * True if the cache takes a batch of this zone, which has frames. A parked cache is opened for
 * that, and only then: an opening says to requesters that frames may have been freed (drain.c). In
 * a trap handler the cache's zone must stay (C2).
 */
static inline bool takes_batch(struct frame_cache *cache, const struct zone *zone)
{
	if (__builtin_expect(cache_state(cache) == FRAME_CACHE_PARKED, 0))
		cache_open(cache);
	return cache_is_open(cache) && (cache->zone == zone || !port_in_trap());
}

/* From the first zone in this CPU's order that has at least `least` frames. */
static pfn_t alloc_anywhere(struct frame_cache *cache, uint64_t least)
{
	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = zone_to_try(cache->order, cache->home, i);
		pfn_t frame;

		if (zone_free_frames(zone) < least)
			continue;
		frame = takes_batch(cache, zone) ? alloc_batch(cache, zone) : PFN_NONE;
		if (pfn_is_none(frame))
			frame = alloc_direct(cache, zone);
		if (!pfn_is_none(frame))
			return frame;
	}
	return PFN_NONE;
}

/* The last resort: if this finds no frame, there was none (drain.c). */
static pfn_t alloc_drained(struct frame_cache *cache)
{
	uint64_t frame;
	struct zone *zone = frame_drained_one(&frame);

	return zone ? hand_out(cache, zone, frame) : PFN_NONE;
}

/* Gives back the frames of other zones that wait in this cache, and looks again. */
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
 * First from a zone with a whole batch: from a nearly empty zone a hold would bring few frames.
 * Then from any zone, then from this CPU's own remote frames, and at last from the caches of other
 * CPUs.
 */
static __attribute__((noinline)) pfn_t refill_from_anywhere(struct frame_cache *cache,
							    unsigned flags)
{
	pfn_t frame = alloc_anywhere(cache, cache->batch);
	/*
	 * Read before the look at all zones: a trap handler may give these frames back after a zone
	 * was looked at, although they were free all the time.
	 */
	uint32_t remote_frames = cache->remote_frames;

	if (pfn_is_none(frame))
		frame = alloc_anywhere(cache, 1);
	if (pfn_is_none(frame) && remote_frames)
		frame = alloc_remote(cache);
	if (pfn_is_none(frame) && !(flags & FRAME_NOWAIT))
		frame = alloc_drained(cache);
	return frame;
}

/*
 * All that the heap keeps without need becomes frames before the answer is that there is none. It
 * is repeated where any of it has gone during the attempt, to another CPU too: so where the last
 * attempt fails, the heap kept nothing while it looked.
 */
static __attribute__((noinline)) pfn_t refill_exactly(struct frame_cache *cache, unsigned flags)
{
	uint64_t gone = 0;
	pfn_t frame;

	for (;;) {
		if (frame_reclaimer)
			gone = frame_reclaimer->gone();
		frame = refill_from_anywhere(cache, flags);
		if (!pfn_is_none(frame) || !frame_reclaimer)
			break;
		frame_reclaimer->give();
		if (frame_reclaimer->gone() == gone)
			break;
	}
	if (pfn_is_none(frame))
		counter_add(&cache->stats.failures, 1);
	return frame;
}

static pfn_t note_allocated(pfn_t frame, const void *site)
{
	if (frame_debug_chosen && !pfn_is_none(frame))
		frame_debug_allocated(frame.value, 1, site);
	return frame;
}

/*
 * frame_cache_bypass is set, so no cache has a frame, and what refill_from_anywhere() would do is this.
 * The allocation of a frame for the heap: its caller jumps here, so the return address is that of the
 * call of frame_alloc_behind(). A return address that is read there would be saved on every call.
 */
static __attribute__((noinline)) pfn_t alloc_behind_watched(unsigned flags)
{
	struct frame_cache *cache = frame_cache_self();
	struct zone *zone;
	uint64_t number;

	if (fault_due(FAULT_OF_FRAME, __builtin_return_address(0)))
		return PFN_NONE;
	zone = cache_claim_one(cache, &number);
	if (!zone && !(flags & FRAME_NOWAIT))
		zone = frame_drained_one(&number);
	if (!zone)
		return PFN_NONE;
	return note_allocated(hand_out(cache, zone, number), __builtin_return_address(0));
}

pfn_t frame_alloc_behind(unsigned flags)
{
	struct frame_cache *cache = frame_cache_self();
	uint64_t number;

	frame_cache_pop(cache, number, empty);
	frame_mark_allocated(cache->state_bias, number);
	return pfn(number);
empty:
	if (__builtin_expect(frame_cache_bypass, 0))
		return alloc_behind_watched(flags);
	return refill_from_anywhere(cache, flags);
}

/* Claims one frame of the zone, whose lock was held; PFN_NONE: it had none. */
static __attribute__((noinline)) pfn_t claim_one_waiting(struct zone *zone)
{
	struct frame_cache *cache = frame_cache_self();
	unsigned long irq = port_irq_save();
	struct zone_hold hold;
	uint64_t frame;
	bool found = zone_claim_one_found_held(zone, &frame, &hold);

	cache_count_hold(cache, &hold);
	port_irq_restore(irq);
	if (hold.low)
		frame_drain_low(zone);
	return found ? hand_out(cache, zone, frame) : PFN_NONE;
}

static __attribute__((noinline)) pfn_t alloc_uncached_waiting(struct zone *zone, unsigned flags)
{
	pfn_t frame = claim_one_waiting(zone);

	return pfn_is_none(frame) ? refill_exactly(frame_cache_self(), flags) : frame;
}

static __attribute__((noinline)) pfn_t alloc_uncached_otherwise(unsigned flags)
{
	cache_renew_direct(frame_cache_self());
	return refill_exactly(frame_cache_self(), flags);
}

/*
 * The cache is off: one frame of its zone. Nothing is decided here that refill_from_anywhere() would not
 * decide in the same way: where this zone has no frame, or more is due than to take one, it decides.
 */
static __attribute__((noinline)) pfn_t alloc_uncached(unsigned flags,
						      const struct cache_direct *uncached)
{
	struct zone *zone = uncached->zone;
	enum zone_one result;
	unsigned long irq;
	uint64_t frame, before;

	if (__builtin_expect(!zone_free_frames(zone), 0))
		return refill_exactly(frame_cache_self(), flags);
	irq = port_irq_save();
	result = zone_claim_one(zone, &uncached->one, &frame, &before);
	if (__builtin_expect(result != ZONE_ONE_DONE, 0)) {
		port_irq_restore(irq);
		if (result == ZONE_ONE_HELD)
			return alloc_uncached_waiting(zone, flags);
		return alloc_uncached_otherwise(flags);
	}
	counter_add(&frame_cache_self()->stats.direct_allocs, 1);
	port_irq_restore(irq);
	if (zone_one_is_low(zone, before))
		frame_drain_low(zone);
	frame_mark_allocated(frame_cache_self()->state_bias, frame);
	return pfn(frame);
}

/* In the ordinary case the cache is open and of its home zone, and home has a batch. */
static __attribute__((noinline)) pfn_t refill_cached(unsigned flags)
{
	struct frame_cache *cache = frame_cache_self();
	struct zone *zone = &zones.zone[cache->home];

	if (zone_free_frames(zone) >= cache->batch && takes_batch(cache, zone)) {
		pfn_t frame = alloc_batch(cache, zone);

		if (!pfn_is_none(frame))
			return frame;
	}
	return refill_exactly(cache, flags);
}

/* frame_cache_bypass is set. The return address is that of the allocation, as above. */
static __attribute__((noinline)) pfn_t refill_watched(unsigned flags)
{
	if (fault_due(FAULT_OF_FRAME, __builtin_return_address(0)))
		return PFN_NONE;
	return note_allocated(refill_exactly(frame_cache_self(), flags),
			      __builtin_return_address(0));
}

pfn_t frame_cache_refill(unsigned flags)
{
	const struct cache_direct *uncached = frame_cache_self()->uncached;

	if (uncached)
		return alloc_uncached(flags, uncached);
	if (__builtin_expect(frame_cache_bypass, 0))
		return refill_watched(flags);
	return refill_cached(flags);
}
