/* SPDX-License-Identifier: BSD-2-Clause */
/* frame.c - see frame.h: runs, the functions behind the inline ones, and the ledger. */
#include "mm/frame.h"

#include <string.h>

#include "mm/check.h"
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

#if CHECKS
/*
 * The first 64 states of a run, where they are eight words. The head is in the lowest byte of the first
 * word: little-endian, as all our machines are.
 */
#define BODY_WORD (UINT64_C(0x0101010101010101) * FRAME_STATE_RUN_BODY)
#define HEAD_WORD (BODY_WORD - FRAME_STATE_RUN_BODY + FRAME_STATE_RUN_HEAD)

typedef uint64_t __attribute__((may_alias)) state_word;

static inline bool begins_with_words(const uint8_t *state, uint64_t count)
{
	return count >= 64 && (uintptr_t)state % sizeof(state_word) == 0;
}

/* How many of the states behind a run's head, which is state[0], are of its body. */
static uint64_t run_body(const uint8_t *state, uint64_t count)
{
	const state_word *words = (const state_word *)state;

	if (begins_with_words(state, count) && words[0] == HEAD_WORD && words[1] == BODY_WORD &&
	    words[2] == BODY_WORD && words[3] == BODY_WORD && words[4] == BODY_WORD &&
	    words[5] == BODY_WORD && words[6] == BODY_WORD && words[7] == BODY_WORD)
		return 63 + bytes_equal(state + 64, FRAME_STATE_RUN_BODY, count - 64);
	return bytes_equal(state + 1, FRAME_STATE_RUN_BODY, count - 1);
}
#endif

static __attribute__((noinline)) void mark_run(struct zone *zone, uint64_t first, uint64_t count)
{
#if CHECKS
	uint8_t *state = &zone->state[first - zone->first];

	/*
	 * At no time is there a body in the head's place: a CPU that frees the run before this one would
	 * find it (is_inside_run).
	 */
	if (begins_with_words(state, count)) {
		state_word *words = (state_word *)state;

		words[0] = HEAD_WORD;
		for (unsigned i = 1; i < 8; i++)
			words[i] = BODY_WORD;
		memset(state + 64, FRAME_STATE_RUN_BODY, count - 64);
		return;
	}
	state[0] = FRAME_STATE_RUN_HEAD;
	memset(state + 1, FRAME_STATE_RUN_BODY, count - 1);
#else
	(void)zone;
	(void)first;
	(void)count;
#endif
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
pfn_t frame_alloc_run_behind(uint64_t count, uint64_t align, unsigned flags)
{
	uint64_t first;
	struct zone *zone = cache_claim_run(frame_cache_self(), count, align, &first);

	if (!zone && !(flags & FRAME_NOWAIT) && draining_helps(count, align))
		zone = count == 1 && align == 1 ? frame_drained_one(&first)
						: frame_drained_run(count, align, &first);
	if (!zone)
		return PFN_NONE;
	mark_run(zone, first, count);
	return pfn(first);
}

/* As refill_exactly() in refill.c: what the heap keeps comes before the answer that there is no run. */
static pfn_t alloc_run(uint64_t count, uint64_t align, unsigned flags)
{
	uint64_t gone = 0;
	pfn_t first;

	for (;;) {
		if (frame_reclaimer)
			gone = frame_reclaimer->gone();
		first = frame_alloc_run_behind(count, align, flags);
		if (!pfn_is_none(first) || !frame_reclaimer)
			return first;
		frame_reclaimer->give();
		if (frame_reclaimer->gone() == gone)
			return first;
	}
}

static pfn_t alloc_checked(uint64_t count, uint64_t align, unsigned flags, const void *caller)
{
	uint64_t begun = trace_begin();
	pfn_t first;

	align = align ? align : 1;
	check(count > 0, "frame_alloc_run: 0 frames, called from [<%p>]", caller);
	check((align & (align - 1)) == 0,
	      "frame_alloc_run: align %llu is not a power of two, called from [<%p>]",
	      (unsigned long long)align, caller);
	first = alloc_run(count, align, flags);
	if ((flags & FRAME_ZERO) && !pfn_is_none(first))
		words_fill(frame_bytes(first), 0, count * (FRAME_SIZE / sizeof(uint64_t)));
	trace_end(TRACE_RUN_ALLOC, begun, count, first.value);
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

/*
 * Reads the state byte of the frame behind a run, which another owner may be writing: one byte,
 * never torn. Only "body of a run" matters. The head of a body lies before it, so the head of this
 * one is our run's, or would lie inside our run. So another owner never writes "body" there, and
 * the answer is the same for every value that it writes. ThreadSanitizer cannot know that, so it
 * does not look here.
 */
__attribute__((no_sanitize("thread"), unused)) static bool is_inside_run(const uint8_t *state)
{
	return *state == FRAME_STATE_RUN_BODY;
}

static void unmark_run(struct zone *zone, uint64_t first, uint64_t count, const void *caller)
{
#if CHECKS
	uint8_t *state = &zone->state[first - zone->first];
	uint64_t end = first + count, same;

	check(state[0] != FRAME_STATE_FREE,
	      "frame_free_run: run %#llx is freed twice: its state is free, called from [<%p>]",
	      (unsigned long long)first, caller);
	check(state[0] == FRAME_STATE_RUN_HEAD,
	      "frame_free_run: frame %#llx has state %#x, expected the head of a run, called from "
	      "[<%p>]",
	      (unsigned long long)first, state[0], caller);
	same = 1 + run_body(state, count);
	check(same == count,
	      "frame_free_run: run %#llx has %llu frames, not %llu, called from [<%p>]",
	      (unsigned long long)first, (unsigned long long)same, (unsigned long long)count,
	      caller);
	check(!zone_holds(zone, end) || !is_inside_run(&state[count]),
	      "frame_free_run: run %#llx has more than %llu frames, called from [<%p>]",
	      (unsigned long long)first, (unsigned long long)count, caller);
	memset(state, FRAME_STATE_FREE, count);
#else
	(void)zone;
	(void)first;
	(void)count;
	(void)caller;
#endif
}

void frame_free_run(pfn_t first, uint64_t count)
{
	void *caller = __builtin_return_address(0);
	struct zone *zone = frame_cache_self()->zone; /* mostly */
	uint64_t begun = trace_begin();

	if (!zone || !zone_holds(zone, first.value))
		zone = zone_of(first.value);

	check(count > 0, "frame_free_run: 0 frames at %#llx, called from [<%p>]",
	      (unsigned long long)first.value, caller);
	check(zone && count <= zone->first + zone->total_frames - first.value,
	      "frame_free_run: %llu frames at %#llx are foreign: no zone holds them, called from "
	      "[<%p>]",
	      (unsigned long long)count, (unsigned long long)first.value, caller);
	unmark_run(zone, first.value, count, caller);
	zone_release_run(zone, first.value, count);
	trace_end(TRACE_RUN_FREE, begun, count, first.value);
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

/* Frames whose state byte is neither free nor reserved. */
static uint64_t allocated_frames(const struct zone *zone)
{
	uint64_t frames = 0;

	for (uint64_t i = zone->reserved_frames; i < zone->total_frames;) {
		/* Eight frames at a time where all are free, which is nearly everywhere at rest. */
		if ((uintptr_t)(zone->state + i) % 8 == 0 &&
		    *(const uint64_t *)(zone->state + i) == 0) {
			i += 8;
			continue;
		}
		frames += zone->state[i++] != FRAME_STATE_FREE;
	}
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
			allocated += allocated_frames(zone);
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
