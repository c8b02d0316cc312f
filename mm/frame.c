/* SPDX-License-Identifier: BSD-2-Clause */
/* frame.c - see frame.h: runs, the functions behind the inline ones, and the ledger. */
#include "mm/frame.h"

#include <string.h>

#include "mm/check.h"
#include "mm/fault.h"
#include "mm/frame_debug.h"
#include "mm/frame_state.h"
#include "mm/global/zone.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "mm/words.h"
#include "sync/ck.h"
#include "sync/trace.h"

void frame_zero(pfn_t frame)
{
	words_fill(frame_bytes(frame), 0, FRAME_SIZE / sizeof(uint64_t));
}

/* True if frames that caches give back now can make a run that was not found before. */
static bool draining_helps(uint64_t count, uint64_t align)
{
	if (count == 1 && align == 1)
		return true;
	for (unsigned i = 0; i < zones.count; i++)
		if (zones.zone[i].policy->exact_runs)
			return true;
	return false;
}

/*
 * The frames that a run lacks may be in caches, so all caches give theirs back before a second try.
 * For one frame that try is as exact as the last one of frame_alloc(). There is no second try for a
 * policy that overlooks runs: it would hardly find one among single frames, and each try would cut
 * its memory into more pieces.
 */
static pfn_t alloc_run_generally(uint64_t count, uint64_t align, unsigned flags)
{
	uint64_t first;
	struct zone *zone = cache_claim_run(frame_cache_self(), count, align, &first);

	if (!zone && !(flags & FRAME_NOWAIT) && draining_helps(count, align))
		zone = count == 1 && align == 1 ? frame_drained_one(&first)
						: frame_drained_run(count, align, &first);
	if (!zone)
		return PFN_NONE;
	frame_run_mark(zone, first, count);
	return pfn(first);
}

/* The lock of the zone was held: waits for it. PFN_NONE: the zone has no such run. */
static __attribute__((noinline)) pfn_t alloc_run_waiting(struct zone *zone, uint64_t count,
							 uint64_t align)
{
	uint64_t first;
	bool low, found = zone_claim_run_found_held(zone, count, align, &first, &low);

	if (low)
		frame_drain_low(zone);
	if (!found)
		return PFN_NONE;
	frame_run_mark(zone, first, count);
	return pfn(first);
}

/*
 * A run of this CPU's home zone, if nothing but that is due. PFN_NONE: nothing is decided;
 * alloc_run_generally() decides.
 */
static inline __attribute__((always_inline)) pfn_t alloc_run_at_once(uint64_t count, uint64_t align)
{
	const struct cache_direct *runs = frame_cache_self()->runs;
	enum spin_fast_result result;
	uint64_t first, left;
	struct zone *zone;

	if (__builtin_expect(!runs, 0))
		return PFN_NONE;
	zone = runs->zone;
	result = zone_claim_run_at_once(zone, &runs->run, count, align, &first, &left);
	if (__builtin_expect(result != SPIN_FAST_TAKEN, 0)) {
		if (result == SPIN_FAST_HELD)
			return alloc_run_waiting(zone, count, align);
		cache_renew_direct(frame_cache_self());
		return PFN_NONE;
	}
	if (__builtin_expect(left < zone->low_rearm, 0) &&
	    zone_crosses_low(zone, left + count, left))
		frame_drain_low(zone);
	frame_run_mark(zone, first, count);
	return pfn(first);
}

/* frame_cache_bypass is set: no other CPU's cache has a frame, so none is asked. */
static __attribute__((noinline)) pfn_t claim_run_watched(uint64_t count, uint64_t align,
							 const void *caller)
{
	struct zone *zone = NULL;
	uint64_t first;

	if (!fault_due(FAULT_OF_RUN, caller))
		zone = cache_claim_run(frame_cache_self(), count, align, &first);
	if (!zone)
		return PFN_NONE;
	frame_run_mark(zone, first, count);
	if (frame_debug_chosen)
		frame_debug_allocated(first, count, caller);
	return pfn(first);
}

pfn_t frame_alloc_run_behind(uint64_t count, uint64_t align, unsigned flags)
{
	pfn_t first = alloc_run_at_once(count, align);

	if (!pfn_is_none(first))
		return first;
	if (__builtin_expect(frame_cache_bypass, 0))
		return claim_run_watched(count, align, __builtin_return_address(0));
	return alloc_run_generally(count, align, flags);
}

/* As refill_exactly() in refill.c: what the heap keeps comes before the answer that there is no run. */
static __attribute__((noinline)) pfn_t alloc_run_exactly(uint64_t count, uint64_t align,
							 unsigned flags)
{
	uint64_t gone = 0;
	pfn_t first;

	for (;;) {
		if (frame_reclaimer)
			gone = frame_reclaimer->gone();
		first = alloc_run_generally(count, align, flags);
		if (!pfn_is_none(first) || !frame_reclaimer)
			return first;
		frame_reclaimer->give();
		if (frame_reclaimer->gone() == gone)
			return first;
	}
}

static inline void zero_run(pfn_t first, uint64_t count, unsigned flags)
{
	if (flags & FRAME_ZERO && !pfn_is_none(first))
		words_fill(frame_bytes(first), 0, count * (FRAME_SIZE / sizeof(uint64_t)));
}

/*
 * A run in the general way, with its event if there is a trace. Faults and the diagnostics are on only
 * where frame_cache_bypass is set.
 */
static __attribute__((noinline)) pfn_t alloc_run_otherwise(uint64_t count, uint64_t align,
							   unsigned flags, const void *caller)
{
	uint64_t begun = trace_begin();
	pfn_t first = PFN_NONE;

	if (!(frame_cache_bypass && fault_due(FAULT_OF_RUN, caller)))
		first = alloc_run_exactly(count, align, flags);
	if (frame_cache_bypass && frame_debug_chosen && !pfn_is_none(first))
		frame_debug_allocated(first.value, count, caller);
	zero_run(first, count, flags);
	trace_end(TRACE_RUN_ALLOC, begun, count, first.value);
	return first;
}

static inline __attribute__((always_inline)) pfn_t alloc_checked(uint64_t count, uint64_t align,
								 unsigned flags, const void *caller)
{
	pfn_t first;

	align = align ? align : 1;
	check(count > 0, "frame_alloc_run: 0 frames, called from [<%p>]", caller);
	check((align & (align - 1)) == 0,
	      "frame_alloc_run: align %llu is not a power of two, called from [<%p>]",
	      (unsigned long long)align, caller);
	first = trace_is_on() ? PFN_NONE : alloc_run_at_once(count, align);
	if (__builtin_expect(pfn_is_none(first), 0))
		return alloc_run_otherwise(count, align, flags, caller);
	zero_run(first, count, flags);
	return first;
}

pfn_t frame_alloc_run_flags(uint64_t count, uint64_t align, unsigned flags)
{
	return alloc_checked(count, align, flags, __builtin_return_address(0));
}

pfn_t frame_alloc_run(uint64_t count, uint64_t align)
{
	return alloc_checked(count, align, FRAME_ANY, __builtin_return_address(0));
}

/* What frame_free_run() does, of any zone. */
static __attribute__((noinline)) void free_run_otherwise(uint64_t first, uint64_t count,
							 const void *caller)
{
	uint64_t begun = trace_begin();
	struct zone *zone = zone_of(first);

	check(count > 0, "frame_free_run: 0 frames at %#llx, called from [<%p>]",
	      (unsigned long long)first, caller);
	check(zone && count <= zone->first + zone->total_frames - first,
	      "frame_free_run: %llu frames at %#llx are foreign: no zone holds them, called from "
	      "[<%p>]",
	      (unsigned long long)count, (unsigned long long)first, caller);
	frame_run_unmark(zone, first, count, caller);
	if (__builtin_expect(frame_debug_chosen != 0, 0))
		frame_debug_freed(first, count, caller);
	zone_release_run(zone, first, count);
	trace_end(TRACE_RUN_FREE, begun, count, first);
}

/* A run whose states say already that it is free goes back to its zone. */
static __attribute__((noinline)) void release_otherwise(struct zone *zone, uint64_t first,
							uint64_t count, enum spin_fast_result result)
{
	if (result == SPIN_FAST_HELD) {
		zone_release_run_found_held(zone, first, count);
		return;
	}
	cache_renew_direct(frame_cache_self());
	zone_release_run(zone, first, count);
}

/* The short way is for a run of this CPU's home zone, and notes no event. */
void frame_free_run(pfn_t first, uint64_t count)
{
	const struct cache_direct *runs = frame_cache_self()->runs;
	enum spin_fast_result result;
	struct zone *zone;
	uint64_t number;

	if (__builtin_expect(!runs || trace_is_on(), 0))
		goto otherwise;
	zone = runs->zone;
	number = first.value - zone->first;
	if (__builtin_expect(!count || number >= zone->total_frames ||
				     count > zone->total_frames - number,
			     0))
		goto otherwise;
	frame_run_unmark(zone, first.value, count, __builtin_return_address(0));
	result = zone_release_run_at_once(zone, &runs->run, first.value, count);
	if (__builtin_expect(result != SPIN_FAST_TAKEN, 0))
		release_otherwise(zone, first.value, count, result);
	return;

otherwise:
	free_run_otherwise(first.value, count, __builtin_return_address(0));
}

void frame_shrink_run(pfn_t first, uint64_t count, uint64_t kept)
{
	const void *caller = __builtin_return_address(0);
	struct zone *zone = zone_of(first.value);

	check(kept > 0 && kept < count, "frame_shrink_run: %llu of %llu frames, called from [<%p>]",
	      (unsigned long long)kept, (unsigned long long)count, caller);
	check(zone && count <= zone->first + zone->total_frames - first.value,
	      "frame_shrink_run: %llu frames at %#llx are foreign: no zone holds them, called from "
	      "[<%p>]",
	      (unsigned long long)count, (unsigned long long)first.value, caller);
	frame_run_unmark(zone, first.value, count, caller);
	frame_run_mark(zone, first.value, kept);
	zone_release_run(zone, first.value + kept, count - kept);
}

void frame_free_address(phys_t address)
{
	pfn_t frame;

	check(pfn_from_phys(address, &frame),
	      "frame_free: address %#llx is misaligned: expected a multiple of %llu, called from "
	      "[<%p>]",
	      (unsigned long long)address.value, (unsigned long long)FRAME_SIZE,
	      __builtin_return_address(0));
	frame_free(frame);
}

uint64_t frame_cached_count(void)
{
	uint64_t frames = 0;

	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		frames += frame_cache_level(port_area_of(cpu));
	return frames;
}

uint64_t frame_free_count(void)
{
	uint64_t frames = frame_cached_count();

	for (unsigned i = 0; i < zones.count; i++)
		frames += zone_free_frames(&zones.zone[i]);
	return frames;
}

/*
 * The most frames that the cache may hold: its stack's, and with several zones a short stack for
 * each.
 */
static uint64_t cache_bound(const struct frame_cache *cache)
{
	uint32_t capacity = ck_pr_load_32(&cache->capacity);

	if (!ck_pr_load_32(&cache->online) || !capacity)
		return 0;
	return capacity + (zones.count > 1 ? zones.count * FRAME_CACHE_BATCH : 0);
}

void frame_ledger(struct frame_ledger *ledger)
{
	uint64_t known;

	memset(ledger, 0, sizeof(*ledger));
	for (unsigned i = 0; i < zones.count; i++) {
		ledger->total += zones.zone[i].total_frames;
		ledger->reserved += zones.zone[i].reserved_frames;
		ledger->free += zone_free_frames(&zones.zone[i]);
	}
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++) {
		const struct frame_cache *cache = port_area_of(cpu);

		ledger->cached += frame_cache_level(cache);
		ledger->in_flight += counter_read(&cache->frames_moving);
		ledger->cached_max += cache_bound(cache);
	}
	known = ledger->reserved + ledger->free + ledger->cached + ledger->in_flight;
	/* A frame that moved meanwhile may have been counted twice: clamp to 0. */
	ledger->allocated = known < ledger->total ? ledger->total - known : 0;
}

uint64_t frame_total_count(void)
{
	uint64_t frames = 0;

	for (unsigned i = 0; i < zones.count; i++)
		frames += zones.zone[i].total_frames;
	return frames;
}

void frame_validate(void)
{
	struct frame_ledger ledger;
	uint64_t allocated = 0;

	frame_drain_settle();
	frame_ledger(&ledger);
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		frame_cache_validate(port_area_of(cpu));
	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = &zones.zone[i];

		zone_validate(zone);
		if (CHECKS)
			allocated += frame_states_allocated(zone);
	}
	check(ledger.in_flight == 0, "ledger: %llu frames are in flight at rest",
	      (unsigned long long)ledger.in_flight);
	check(ledger.cached <= ledger.cached_max,
	      "ledger: %llu frames are cached, at most %llu may be",
	      (unsigned long long)ledger.cached, (unsigned long long)ledger.cached_max);
	if (CHECKS)
		check(ledger.free + ledger.cached + allocated + ledger.reserved == ledger.total,
		      "ledger: free + cached + allocated + reserved is %llu frames, the zones have "
		      "%llu",
		      (unsigned long long)(ledger.free + ledger.cached + allocated +
					   ledger.reserved),
		      (unsigned long long)ledger.total);
}
