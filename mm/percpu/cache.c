/*
 * cache.c - what happens when the stack is empty or full; the invariants are in cache.h.
 *
 * Interrupts. A trap handler may allocate and free wherever this code is, so it is written in
 * steps each of which leaves the cache whole: frames come from a zone into words on our own C
 * stack (the lock is dropped by then), and go from there into the cache with interrupts masked
 * for as long as the writing takes; the other way round, the coldest batch is detached with
 * interrupts masked, then sorted by word and given back without. If a handler filled the cache
 * while we were in the zone, our batch goes back where it came from. On the way a batch is noted as
 * in flight, from and to the masked section that moves it: so a handler that must give back all
 * that this cpu has (drain.c) finds it, and takes it away under our hands.
 *
 * Locks: none is held here; the zones' are taken in zone.c, one at a time.
 */
#include "mm/percpu/cache.h"

#include <limits.h>
#include <string.h>

#include "mm/address.h"
#include "mm/check.h"
#include "mm/global/bits.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"
#include "mm/words.h"
#include "sync/trace.h"

#define SENTINEL UINT64_MAX

static void flush_remote(struct frame_cache *cache);

/*
 * An adaptive batch doubles when its cpu had to wait for the lock, and is halved after so many
 * holds in a row without waiting (Bonwick's magazines grow on contention too; they never shrink).
 * So a batch that stays where it is meets contention about once in CALM_HOLDS holds: 0.4 %.
 */
#define CALM_HOLDS 256

/* ---- making and configuring -------------------------------------------------------------- */

/*
 * Twice the largest stack and a batch, so that many flushes go by before it must be moved back
 * down; and a line below for the sentinel, so that slots do not straddle lines.
 */
static size_t stack_words(uint32_t slots)
{
	return 2 * (size_t)slots + FRAME_CACHE_BATCH + 1; /* one for what ends a full stack */
}

static size_t stack_bytes(uint32_t slots)
{
	return (PORT_CACHE_LINE + stack_words(slots) * sizeof(uint64_t) + PORT_CACHE_LINE - 1) &
	       ~(size_t)(PORT_CACHE_LINE - 1);
}

size_t frame_cache_bytes(uint32_t slots, unsigned zone_count)
{
	size_t remote = zone_count * sizeof(struct frame_remote);

	return stack_bytes(slots) + ((remote + PORT_CACHE_LINE - 1) & ~(size_t)(PORT_CACHE_LINE - 1));
}

void frame_cache_init(struct frame_cache *cache, void *memory, uint32_t slots,
		      unsigned home)
{
	memset(cache, 0, sizeof(*cache));
	cache->base = (uint64_t *)((char *)memory + PORT_CACHE_LINE);
	cache->end = cache->base + stack_words(slots) - 1;
	cache->bottom = cache->top = cache->limit = cache->base;
	cache->bottom[-1] = SENTINEL;
	cache->remote = (struct frame_remote *)((char *)memory + stack_bytes(slots));
	cache->slots = slots;
	cache->home = home;
	cache->batch = cache->batch_min = cache->batch_max = FRAME_CACHE_BATCH;
}

void frame_cache_set_order(struct frame_cache *cache, unsigned node,
			   const struct zone_order *order)
{
	cache->order = order;
	cache->home = order[0].zone;
	cache->node = node;
}

static uint32_t capacity_of(const struct frame_cache *cache)
{
	return (uint32_t)(cache->limit - cache->bottom);
}

/* Back to where there is room above; interrupts masked, nothing detached (C5). */
static void move_to_base(struct frame_cache *cache)
{
	size_t level = (size_t)(cache->top - cache->bottom);
	size_t capacity = (size_t)(cache->limit - cache->bottom);

	words_move_down(cache->base, cache->bottom, level);
	cache->bottom = cache->base;
	cache->bottom[-1] = SENTINEL;
	cache->top = cache->base + level;
	cache->limit = cache->base + capacity;
}

/* Only while the stack is empty, and interrupts masked. */
static void set_zone(struct frame_cache *cache, struct zone *zone)
{
	cache->zone = zone;
	cache->first = zone->first;
	cache->count = zone->total_frames;
	cache->state_bias = (uintptr_t)zone->state - zone->first;
}

/* C4: what the stack may hold with this batch, which may have changed. */
static uint32_t capacity_for(const struct frame_cache *cache, uint32_t batch)
{
	uint32_t wanted = 2 * batch + FRAME_CACHE_SURPLUS;

	if (cache->batch_min == cache->batch_max || wanted > cache->capacity)
		return cache->capacity;
	return wanted;
}

/* The largest batch that doubling can reach without asking for more than the capacity. */
static uint32_t largest_batch(uint32_t batch, uint32_t capacity)
{
	while (2 * batch <= FRAME_CACHE_BATCH_MAX && 4 * batch + FRAME_CACHE_SURPLUS <= capacity)
		batch *= 2;
	return batch;
}

void frame_cache_configure(uint32_t capacity, uint32_t batch)
{
	struct frame_cache *cache = frame_cache_self();
	unsigned long flags;

	if (capacity > cache->slots)
		capacity = cache->slots;
	if (capacity)
		check(capacity >= 2 && batch <= capacity / 2 && batch <= FRAME_CACHE_BATCH_MAX,
		      "frame_cache_configure: batch %u, capacity %u: a batch is at most half of the "
		      "capacity and at most %u",
		      batch, capacity, FRAME_CACHE_BATCH_MAX);
	flags = port_irq_save();
	frame_cache_flush();
	move_to_base(cache); /* a larger limit must fit below the end */
	if (zones.count && cache->top == cache->bottom)
		set_zone(cache, &zones.zone[cache->home]); /* it may have been made anew */
	cache->capacity = capacity;
	cache->batch_min = cache->batch_max = batch;
	if (batch == 0) {
		cache->batch_min = FRAME_CACHE_BATCH < capacity / 2 ? FRAME_CACHE_BATCH
								    : capacity / 2;
		cache->batch_max = largest_batch(cache->batch_min, capacity);
	}
	cache->batch = cache->batch_min;
	cache->calm = 0;
	if (!cache->online)
		frame_cache_online(); /* shut, and no frame may come in before that */
	if (!cache->closed)
		cache->limit = cache->bottom + capacity_for(cache, cache->batch);
	port_irq_restore(flags);
}

uint64_t frame_cache_level(const struct frame_cache *cache)
{
	/* Of a cpu that is at it, the two may be read apart: then it is an estimate, but no monster. */
	ptrdiff_t level = cache->top - cache->bottom;

	return (level > 0 ? (uint64_t)level : 0) + cache->remote_frames;
}

/*
 * A shut cache opens at the first operation after the shortage that it was shut for. Looked at and
 * opened with interrupts masked: whoever is short after the look has his kick answered after the
 * opening. Not yet where there is no room above: that is only while a flush is not over.
 */
static __attribute__((noinline)) void open_if_over(struct frame_cache *cache)
{
	unsigned long flags = port_irq_save();
	uint32_t capacity = capacity_for(cache, cache->batch);

	if (cache->closed && !frame_drain_pressure()) {
		if (cache->end - cache->bottom < (ptrdiff_t)capacity && !cache->detached)
			move_to_base(cache);
		if (cache->end - cache->bottom >= (ptrdiff_t)capacity) {
			cache->limit = cache->bottom + capacity;
			cache->closed = 0;
		}
	}
	port_irq_restore(flags);
}

/* ---- from a zone into the cache ---------------------------------------------------------- */

/*
 * A larger batch needs more room, which may be given at any time if it is there; and it is there
 * once nothing is detached.
 */
static void grow(struct frame_cache *cache)
{
	uint32_t capacity = capacity_for(cache, 2 * cache->batch);

	cache->calm = 0;
	if (cache->batch == cache->batch_max)
		return;
	if (cache->end - cache->bottom < (ptrdiff_t)capacity) {
		if (cache->detached)
			return;
		move_to_base(cache);
	}
	cache->batch *= 2;
	cache->limit = cache->bottom + capacity;
}

static bool may_shrink(const struct frame_cache *cache)
{
	return cache->calm >= CALM_HOLDS && cache->batch != cache->batch_min &&
	       cache->top == cache->bottom && capacity_of(cache);
}

/* A smaller one leaves less, and so only an empty stack may shrink, before it asks for more. */
static __attribute__((noinline)) void shrink(struct frame_cache *cache)
{
	unsigned long flags = port_irq_save();

	if (may_shrink(cache)) {
		cache->calm = 0;
		cache->batch /= 2;
		cache->limit = cache->bottom + capacity_for(cache, cache->batch);
	}
	port_irq_restore(flags);
}

static __attribute__((noinline)) void count_contended(struct frame_cache *cache)
{
	unsigned long flags;

	counter_add(&cache->stats.contended, 1);
	flags = port_irq_save();
	if (capacity_of(cache))
		grow(cache);
	port_irq_restore(flags);
}

/* After every hold of a zone's lock. A trap handler's count that gets lost here is no harm. */
static inline void count_hold(struct frame_cache *cache, bool contended)
{
	if (__builtin_expect(contended, 0))
		count_contended(cache);
	else
		cache->calm++;
}

static inline void count_far(struct frame_cache *cache, const struct zone *zone, unsigned frames)
{
	if (zone->node != cache->node)
		counter_add(&cache->stats.far_frames, frames);
}

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

/* With interrupts masked; so is the end. */
static void begin_flight(struct frame_cache *cache, struct frame_in_flight *flight, unsigned frames)
{
	flight->stolen = false;
	flight->frames = frames;
	counter_add(&cache->frames_in_flight, frames);
	flight->interrupted = cache->in_flight;
	cache->in_flight = flight;
}

/* So many of them are where they were going, or somebody else's to carry. */
static void land(struct frame_cache *cache, struct frame_in_flight *flight, unsigned frames)
{
	flight->frames -= frames;
	counter_set(&cache->frames_in_flight, cache->frames_in_flight - frames);
}

static void end_flight(struct frame_cache *cache, const struct frame_in_flight *flight)
{
	assert(cache->in_flight == flight);
	counter_set(&cache->frames_in_flight, cache->frames_in_flight - flight->frames);
	cache->in_flight = flight->interrupted;
}

/*
 * Puts a batch into the cache and ends its flight. False, and it flies on, when a trap handler has
 * filled, emptied or shut the cache meanwhile, or the batch is of another zone than the frames in it.
 */
static inline __attribute__((always_inline)) bool accept(struct frame_cache *cache,
							 const struct frame_in_flight *flight)
{
	unsigned long flags = port_irq_save();
	struct zone *zone = flight->zone;
	unsigned frames = flight->word_frames;
	bool accepted = cache->limit - cache->top >= (ptrdiff_t)frames && !flight->stolen;

	if (accepted && cache->top == cache->bottom && !cache->detached)
		move_to_base(cache);
	if (accepted && cache->zone != zone) {
		accepted = cache->top == cache->bottom && !port_in_trap();
		if (accepted)
			set_zone(cache, zone);
	}
	if (accepted) {
		expand(cache->top + frames, flight->words, flight->word_count);
		cache->top += frames;
		end_flight(cache, flight);
		counter_add(&cache->stats.refills, 1);
		counter_add(&cache->stats.refilled_frames, frames);
		count_far(cache, zone, frames);
	}
	port_irq_restore(flags);
	return accepted;
}

static void mark_out(struct zone *zone, uint64_t frame)
{
#if CHECKS
	zone->state[frame - zone->first]++;
#else
	(void)zone;
	(void)frame;
#endif
}

/* One frame past the cache. */
static pfn_t alloc_direct(struct frame_cache *cache, struct zone *zone)
{
	bool contended;
	uint64_t frame;

	if (zone_free_frames(zone) == 0 || !zone_claim_one(zone, &frame, &contended))
		return PFN_NONE;
	count_hold(cache, contended);
	counter_add(&cache->stats.direct_allocs, 1);
	count_far(cache, zone, 1);
	mark_out(zone, frame);
	return pfn(frame);
}

/* Gives back a claimed batch that could not be accepted, unless somebody already has. */
static __attribute__((noinline)) void return_batch(struct frame_cache *cache,
						   struct frame_in_flight *flight)
{
	struct claim_plan plan;
	unsigned long flags;
	bool contended;

	zone_plan_release(flight->zone, flight->words, flight->word_count, &plan);
	flags = port_irq_save();
	if (!flight->stolen)
		zone_release_masked(flight->zone, &plan, flight->words, flight->word_count,
				    flight->word_frames, &contended);
	end_flight(cache, flight);
	port_irq_restore(flags);
}

/*
 * Claims a batch and notes it as in flight. How much, is decided with interrupts masked: a cache
 * that is shut may not have any frame in flight that is not asked for.
 */
static inline __attribute__((always_inline)) bool
claim_batch(struct frame_cache *cache, struct zone *zone, struct frame_word *words,
	    struct frame_in_flight *flight)
{
	unsigned planned = cache->batch, capacity = capacity_of(cache), count, taken;
	struct claim_plan plan;
	unsigned long flags;
	bool contended;

	zone_plan_claim(zone, planned, capacity - planned, words, &plan);
	flags = port_irq_save();
	if (__builtin_expect(cache->batch != planned || capacity_of(cache) != capacity || !capacity,
			     0)) {
		port_irq_restore(flags);
		return false;
	}
	count = zone_claim_masked(zone, planned, capacity - planned, &plan, words, &taken,
				  &contended);
	if (count) {
		flight->zone = zone;
		flight->words = words;
		flight->word_count = count;
		flight->word_frames = taken;
		begin_flight(cache, flight, taken);
	}
	port_irq_restore(flags);
	if (count)
		count_hold(cache, contended);
	return count != 0;
}

/*
 * One frame out of a new batch from this zone. Compiled twice: what a trace needs is not even asked
 * for in the one that has none.
 */
static inline __attribute__((always_inline)) pfn_t
alloc_batch_as(struct frame_cache *cache, struct zone *zone, bool traced)
{
	struct frame_word words[POLICY_WORDS_MAX];
	uint64_t begun = traced ? trace_begin() : 0, frame;
	struct frame_in_flight flight;

	if (__builtin_expect(may_shrink(cache), 0))
		shrink(cache);
	if (!claim_batch(cache, zone, words, &flight))
		return alloc_direct(cache, zone);
	if (!accept(cache, &flight)) {
		return_batch(cache, &flight);
		return alloc_direct(cache, zone);
	}
	if (traced)
		trace_end(TRACE_REFILL, begun, flight.word_frames, zone->number);
	frame_cache_pop(cache, frame, empty);
	mark_out(zone, frame);
	return pfn(frame);
empty:
	/* A trap handler took all that we had just put in; it does not do so for ever. */
	return alloc_direct(cache, zone);
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
 * From home, else from the next nearest. In a trap handler the cache's zone must stay (C2), so
 * another one is used directly.
 */
static pfn_t alloc_anywhere(struct frame_cache *cache, uint64_t zone_has_frames)
{
	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = zone_to_try(cache->order, cache->home, i);
		bool batch = capacity_of(cache) && (cache->zone == zone || !port_in_trap());
		pfn_t frame;

		if (zone_free_frames(zone) < zone_has_frames)
			continue;
		frame = batch ? alloc_batch(cache, zone) : alloc_direct(cache, zone);
		if (!pfn_is_none(frame))
			return frame;
	}
	return PFN_NONE;
}

struct look {
	struct frame_cache *cache;
	pfn_t frame;
};

static bool look_for_one(void *argument)
{
	struct look *look = argument;

	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = zone_to_try(look->cache->order, look->cache->home, i);
		uint64_t frame;
		bool contended;

		if (!zone_claim_one(zone, &frame, &contended))
			continue;
		count_hold(look->cache, contended);
		counter_add(&look->cache->stats.direct_allocs, 1);
		count_far(look->cache, zone, 1);
		mark_out(zone, frame);
		look->frame = pfn(frame);
		return true;
	}
	return false;
}

/* The last resort, and the last word: see drain.c. */
static pfn_t alloc_drained(struct frame_cache *cache)
{
	struct look look = {cache, PFN_NONE};

	counter_add(&cache->stats.drains, 1);
	frame_drained(look_for_one, &look, true);
	return look.frame;
}

/*
 * Zones with a whole batch first: what a nearly empty one still has would pay for a lock with a
 * few frames. Then what there is, and at last what this cpu itself was about to send home.
 */
static __attribute__((noinline)) pfn_t refill_from_anywhere(struct frame_cache *cache)
{
	pfn_t frame = alloc_anywhere(cache, cache->batch);
	/* Before the look: a trap handler may send them home after it, and they are free all along. */
	uint32_t remote_frames = cache->remote_frames;

	if (pfn_is_none(frame))
		frame = alloc_anywhere(cache, 1);
	if (pfn_is_none(frame) && remote_frames) {
		flush_remote(cache);
		frame = alloc_anywhere(cache, 1);
	}
	if (pfn_is_none(frame))
		frame = alloc_drained(cache);
	if (pfn_is_none(frame))
		counter_add(&cache->stats.failures, 1);
	return frame;
}

/* Mostly the cache is at home, is on, and home has a batch. */
pfn_t frame_cache_refill(void)
{
	struct frame_cache *cache = frame_cache_self();
	struct zone *zone = &zones.zone[cache->home];

	if (__builtin_expect(cache->closed, 0))
		open_if_over(cache);
	if (cache->zone == zone && capacity_of(cache) && zone_free_frames(zone) >= cache->batch) {
		pfn_t frame = alloc_batch(cache, zone);

		if (!pfn_is_none(frame))
			return frame;
	}
	return refill_from_anywhere(cache);
}

/* ---- from the cache into zones ----------------------------------------------------------- */

/*
 * Frames by the word of 64 they lie in: an open-addressed table of places in `words`, as large as
 * is never more than half full.
 */
struct grouping {
	struct frame_word words[POLICY_WORDS_MAX];
	unsigned count;
	unsigned mask; /* size of the table, less 1 */
	union {
		uint8_t place[2 * POLICY_WORDS_MAX]; /* index in words + 1; 0: free */
		uint64_t zeros[2 * POLICY_WORDS_MAX / 8];
	};
};

_Static_assert(POLICY_WORDS_MAX < 256, "a place is a byte");

/* The word that begins at `base`; made when there is none and room for one, else NULL. */
static struct frame_word *group_word(struct grouping *grouping, uint64_t base)
{
	unsigned mask = grouping->mask;
	unsigned at = (unsigned)(base >> 6) & mask;

	for (; grouping->place[at]; at = (at + 1) & mask)
		if (grouping->words[grouping->place[at] - 1].first == base)
			return &grouping->words[grouping->place[at] - 1];
	if (grouping->count == POLICY_WORDS_MAX)
		return NULL;
	grouping->words[grouping->count] = (struct frame_word){base, 0};
	grouping->place[at] = (uint8_t)++grouping->count;
	return &grouping->words[grouping->count - 1];
}

static struct zone *zone_of_freed(uint64_t frame)
{
	struct zone *zone = zone_of(frame);

	check(zone, "frame_free: %#llx is foreign: no zone holds it", (unsigned long long)frame);
	return zone;
}

static _Noreturn void twice_in_cache(uint64_t base)
{
	port_panic("a frame of [%#llx, %#llx) is twice in one cache: freed twice",
		   (unsigned long long)base, (unsigned long long)base + FRAMES_PER_WORD);
}

static void grouping_init(struct grouping *grouping, unsigned count)
{
	grouping->count = 0;
	grouping->mask = count <= 64 ? 127 : 2 * POLICY_WORDS_MAX - 1;
	words_fill(grouping->zeros, 0, (grouping->mask + 1) / sizeof(uint64_t));
}

/* Adds the bits of `frames` frames, all of one word. */
static inline void add_run(struct frame_word *word, uint64_t bits, size_t frames)
{
	if (__builtin_expect((word->bits & bits) || (frames > 1 && bits_count(bits) != frames), 0))
		twice_in_cache(word->first);
	word->bits |= bits;
}

/*
 * The end of a row: frames each of which is the one before plus `step`, which is 1 or -1. The
 * sentinel ends it too, for no row goes on below 0: a zone's first frame is its own metadata.
 */
static inline const uint64_t *row_end(const uint64_t *next, uint64_t step)
{
	uint64_t expected = *next + step;

	for (;; next += 8) {
#pragma GCC unroll 8
		for (unsigned i = 1; i <= 8; i++, expected += step)
			if (next[i] != expected)
				return next + i;
	}
}

/* Adds a row's frames [first, last]; false as group_all. */
static inline bool add_row(struct grouping *grouping, const struct zone *zone, uint64_t first,
			   uint64_t last)
{
	if (!zone_holds(zone, first) || !zone_holds(zone, last))
		return false;
	for (uint64_t base = first & ~UINT64_C(63); base <= last; base += FRAMES_PER_WORD) {
		struct frame_word *word = group_word(grouping, base);
		uint64_t bits = ~UINT64_C(0);

		if (!word)
			return false;
		if (base < first)
			bits <<= first - base;
		if (last - base < FRAMES_PER_WORD - 1)
			bits &= ~(~UINT64_C(1) << (last - base));
		if (__builtin_expect((word->bits & bits) != 0, 0))
			twice_in_cache(base);
		word->bits |= bits;
	}
	return true;
}

/* Adds what follows in no row, as far as it is of one word; NULL for the false of group_all. */
static inline const uint64_t *add_scattered(struct grouping *grouping, const struct zone *zone,
					    const uint64_t *next)
{
	uint64_t frame = *next, base = frame & ~UINT64_C(63), bits = 0;
	const uint64_t *run = next;
	struct frame_word *word;

	if (!zone_holds(zone, base) || !zone_holds(zone, base + FRAMES_PER_WORD - 1)) {
		/* Two zones may share a word at their border: its frames are looked at one by one. */
		if (!zone_holds(zone, frame))
			return NULL;
		next++;
		bits = UINT64_C(1) << (frame & 63);
	} else {
		do {
			bits |= UINT64_C(1) << (frame & 63);
			frame = *++next;
		} while ((frame & ~UINT64_C(63)) == base);
	}
	word = group_word(grouping, base);
	if (word)
		add_run(word, bits, (size_t)(next - run));
	return word ? next : NULL;
}

/*
 * Sorts frames[0..count) into the grouping; false when one of them is not of the zone, or there
 * are more than POLICY_WORDS_MAX words. Neighbours mostly come one after the other, up or down, and
 * then a frame costs a comparison; what is scattered over a word costs a comparison and a bit.
 * frames[count] is the sentinel, which is no word's.
 */
static bool group_all(struct grouping *grouping, const struct zone *zone, const uint64_t *frames,
		      unsigned count)
{
	const uint64_t *next = frames, *end = frames + count;

	grouping_init(grouping, count);
	while (next < end) {
		const uint64_t *start = next;
		uint64_t step = next[1] - *next;

		if (step == 1 || step == UINT64_MAX) {
			next = row_end(start, step);
			if (!add_row(grouping, zone, step == 1 ? *start : next[-1],
				     step == 1 ? next[-1] : *start))
				return false;
		} else {
			next = add_scattered(grouping, zone, start);
			if (!next)
				return false;
		}
	}
	return true;
}

/*
 * The same for those that are not `done` yet, as many as fit; which ones those were is added to
 * `taken`. Returns how many.
 */
static unsigned group_some(struct grouping *grouping, const struct zone *zone,
			   const uint64_t *frames, unsigned count, const uint64_t *done,
			   uint64_t *taken)
{
	unsigned grouped = 0;

	grouping_init(grouping, count);
	for (unsigned i = 0; i < count; i++) {
		struct frame_word *word;

		if ((done[i / 64] >> i % 64 & 1) || !zone_holds(zone, frames[i]))
			continue;
		word = group_word(grouping, frames[i] & ~UINT64_C(63));
		if (!word)
			continue;
		add_run(word, UINT64_C(1) << (frames[i] & 63), 1);
		taken[i / 64] |= UINT64_C(1) << i % 64;
		grouped++;
	}
	return grouped;
}

/* One lock hold for what was grouped; false when somebody else has given all of it back. */
static bool release_grouped(struct frame_cache *cache, struct frame_in_flight *flight,
			    struct zone *zone, const struct grouping *grouping, unsigned frames,
			    const uint64_t *taken)
{
	struct claim_plan plan;
	bool contended, released;
	unsigned long flags;

	zone_plan_release(zone, grouping->words, grouping->count, &plan);
	flags = port_irq_save();
	released = !flight->stolen;
	if (released)
		zone_release_masked(zone, &plan, grouping->words, grouping->count, frames,
				    &contended);
	if (!taken) {
		end_flight(cache, flight);
	} else if (released) {
		land(cache, flight, frames);
		for (unsigned i = 0; i < FRAME_CACHE_BATCH_MAX / 64; i++)
			flight->done[i] |= taken[i];
	}
	if (released) {
		counter_add(&cache->stats.flushes, 1);
		counter_add(&cache->stats.flushed_frames, frames);
	}
	port_irq_restore(flags);
	if (released)
		count_hold(cache, contended);
	return released;
}

/* Frames of several zones, or of very many words; flight->done says which are back already. */
static __attribute__((noinline)) void give_back_mixed(struct frame_cache *cache,
						      struct frame_in_flight *flight)
{
	unsigned count = flight->loose_count;
	unsigned long flags;

	for (unsigned i = 0; i < count && !flight->stolen; i++) {
		uint64_t taken[FRAME_CACHE_BATCH_MAX / 64] = {0}, begun;
		struct grouping grouping;
		struct zone *zone;
		unsigned frames;

		if (flight->done[i / 64] >> i % 64 & 1)
			continue;
		begun = trace_begin();
		zone = zone_of_freed(flight->loose[i]);
		frames = group_some(&grouping, zone, flight->loose, count, flight->done, taken);
		if (!release_grouped(cache, flight, zone, &grouping, frames, taken))
			break;
		trace_end(TRACE_FLUSH, begun, frames, zone->number);
	}
	flags = port_irq_save();
	end_flight(cache, flight);
	port_irq_restore(flags);
}

/* True when that was one flush of all of them; false also where others have given them back. */
static __attribute__((noinline)) bool give_back_now(struct frame_cache *cache,
						    struct frame_in_flight *flight)
{
	struct zone *zone = cache->zone; /* of most of them, if not of all */
	uint64_t done[FRAME_CACHE_BATCH_MAX / 64];
	struct grouping grouping;

	if (!zone || !zone_holds(zone, flight->loose[0]))
		zone = zone_of_freed(flight->loose[0]);
	if (__builtin_expect(group_all(&grouping, zone, flight->loose, flight->loose_count), 1))
		return release_grouped(cache, flight, zone, &grouping, flight->loose_count, NULL);
	memset(done, 0, sizeof(done));
	ck_pr_barrier(); /* a handler that finds the list finds it cleared */
	flight->done = done;
	give_back_mixed(cache, flight);
	return false;
}

/* What it carries is read before: afterwards it is over. Its first frame says where it goes. */
static __attribute__((noinline)) void give_back_traced(struct frame_cache *cache,
						       struct frame_in_flight *flight)
{
	unsigned frames = flight->loose_count, zone = zone_of_freed(flight->loose[0])->number;
	uint64_t begun = trace_begin();

	if (give_back_now(cache, flight))
		trace_end(TRACE_FLUSH, begun, frames, zone);
}

/* Gives back any frames in flight, each to its zone, and ends their flight. */
static void give_back(struct frame_cache *cache, struct frame_in_flight *flight)
{
	if (trace_is_on())
		give_back_traced(cache, flight);
	else
		give_back_now(cache, flight);
}

static void note_loose(struct frame_cache *cache, struct frame_in_flight *flight,
		       const uint64_t *frames, unsigned count)
{
	flight->words = NULL;
	flight->loose = frames;
	flight->loose_count = count;
	flight->done = NULL;
	begin_flight(cache, flight, count);
}

/*
 * Takes the coldest `wanted` frames off the stack, all it has if those are fewer, without moving
 * any: they stay where they are, and bottom moves past them. The sentinel takes the place of the
 * last, which goes to where the sentinel was; so it also ends what was detached. Returns how many,
 * noted as in flight; 0 also inside a trap handler that interrupted a flush, whose sentinel must
 * stay.
 */
static unsigned detach_coldest(struct frame_cache *cache, unsigned wanted,
			       struct frame_in_flight *flight)
{
	unsigned long flags = port_irq_save();
	unsigned level = (unsigned)(cache->top - cache->bottom);
	unsigned count = wanted < level ? wanted : level;

	if (cache->detached)
		count = 0;
	else if (cache->end - cache->limit < (ptrdiff_t)count)
		move_to_base(cache);
	if (count) {
		uint64_t *frames = cache->bottom - 1;

		frames[0] = cache->bottom[count - 1];
		cache->bottom += count;
		cache->limit += count;
		cache->bottom[-1] = SENTINEL;
		cache->detached++;
		note_loose(cache, flight, frames, count);
	}
	port_irq_restore(flags);
	return count;
}

static void flush_some(struct frame_cache *cache, unsigned wanted)
{
	while (wanted) {
		struct frame_in_flight flight;
		unsigned part = wanted < FRAME_CACHE_BATCH_MAX ? wanted : FRAME_CACHE_BATCH_MAX;
		unsigned count = detach_coldest(cache, part, &flight);

		if (!count)
			return;
		give_back(cache, &flight);
		cache->detached--;
		wanted -= count;
	}
}

static void free_direct(struct frame_cache *cache, uint64_t frame)
{
	struct frame_word word = {frame & ~UINT64_C(63), UINT64_C(1) << (frame & 63)};
	bool contended;

	zone_release(zone_of_freed(frame), &word, 1, 1, &contended);
	count_hold(cache, contended);
	counter_add(&cache->stats.direct_frees, 1);
}

/* The stack is full, or off. Its coldest batch makes room; the frame then goes on top. */
void frame_cache_overflow(uint64_t frame)
{
	struct frame_cache *cache = frame_cache_self();

	if (__builtin_expect(cache->closed, 0))
		open_if_over(cache);
	if (capacity_of(cache) == 0) {
		free_direct(cache, frame);
		return;
	}
	flush_some(cache, cache->batch);
	frame_cache_push(cache, frame, full);
	return;
full:
	free_direct(cache, frame);
}

/* ---- frames of other zones --------------------------------------------------------------- */

/* All that waits for one zone goes there, in one lock hold. */
static void flush_remote_zone(struct frame_cache *cache, unsigned number)
{
	struct frame_remote *remote = &cache->remote[number];
	uint64_t frames[FRAME_CACHE_BATCH + 1];
	struct frame_in_flight flight;
	unsigned long flags = port_irq_save();
	unsigned count = (unsigned)remote->count;

	words_move_down(frames, remote->frame, count);
	frames[count] = SENTINEL;
	remote->count = 0;
	cache->remote_frames -= count;
	if (count)
		note_loose(cache, &flight, frames, count);
	port_irq_restore(flags);
	if (count)
		give_back(cache, &flight);
}

static void flush_remote(struct frame_cache *cache)
{
	for (unsigned i = 0; i < zones.count && cache->remote_frames; i++)
		flush_remote_zone(cache, i);
}

static bool push_remote(struct frame_cache *cache, unsigned number, uint64_t frame)
{
	struct frame_remote *remote = &cache->remote[number];
	unsigned long flags = port_irq_save();
	bool pushed = capacity_of(cache) && remote->count < FRAME_CACHE_BATCH;

	if (pushed) {
		remote->frame[remote->count++] = frame;
		cache->remote_frames++;
	}
	port_irq_restore(flags);
	return pushed;
}

void frame_cache_free_elsewhere(uint64_t frame)
{
	struct frame_cache *cache = frame_cache_self();
	struct zone *zone = zone_of(frame);
	uint8_t *state;

	check(zone, "frame_free: %#llx is foreign: no zone holds it, called from [<%p>]",
	      (unsigned long long)frame, __builtin_return_address(0));
	state = &zone->state[frame - zone->first];
	if (*state != FRAME_STATE_ALLOCATED)
		frame_cache_bad_free(frame);
	*state = FRAME_STATE_FREE;
	if (__builtin_expect(cache->closed, 0))
		open_if_over(cache);
	if (push_remote(cache, zone->number, frame))
		return;
	flush_remote_zone(cache, zone->number);
	if (!push_remote(cache, zone->number, frame))
		free_direct(cache, frame);
}

/* ---- all at once ------------------------------------------------------------------------- */

/* What an interrupted operation carries; it finds out before it does anything with it. */
static void steal(struct frame_cache *cache, struct frame_in_flight *flight)
{
	struct frame_in_flight mine = *flight;
	uint64_t done[FRAME_CACHE_BATCH_MAX / 64];

	flight->stolen = true;
	trace_note(TRACE_STOLEN, mine.frames, 0);
	land(cache, flight, mine.frames);
	begin_flight(cache, &mine, mine.frames);
	if (mine.words) {
		return_batch(cache, &mine);
	} else if (!mine.done) {
		give_back(cache, &mine);
	} else {
		memcpy(done, mine.done, sizeof(done));
		mine.done = done;
		give_back_mixed(cache, &mine);
	}
}

/* Frames that are nobody else's while interrupts are masked; frames[count] may be overwritten. */
static void give_back_masked(struct frame_cache *cache, uint64_t *frames, size_t count)
{
	while (count) {
		unsigned part = count < FRAME_CACHE_BATCH_MAX ? (unsigned)count
							      : FRAME_CACHE_BATCH_MAX;
		uint64_t *end = frames + part, saved = *end;
		struct frame_in_flight flight;

		*end = SENTINEL;
		note_loose(cache, &flight, frames, part);
		give_back(cache, &flight);
		*end = saved;
		frames = end;
		count -= part;
	}
}

void frame_cache_drain(struct frame_cache *cache, bool close)
{
	size_t level = (size_t)(cache->top - cache->bottom);

	if (close)
		cache->closed = 1;
	for (struct frame_in_flight *flight = cache->in_flight; flight; flight = flight->interrupted)
		if (!flight->stolen)
			steal(cache, flight);
	cache->top = cache->bottom;
	if (close)
		cache->limit = cache->bottom;
	give_back_masked(cache, cache->bottom, level);
	for (unsigned i = 0; i < zones.count && cache->remote_frames; i++) {
		struct frame_remote *remote = &cache->remote[i];
		size_t count = remote->count;

		remote->count = 0;
		cache->remote_frames -= (uint32_t)count;
		give_back_masked(cache, remote->frame, count);
	}
}

void frame_cache_flush(void)
{
	struct frame_cache *cache = frame_cache_self();
	unsigned long flags;

	if (!port_in_trap()) {
		flush_some(cache, UINT_MAX); /* until there is nothing */
		flush_remote(cache);
		return;
	}
	/* A handler may have interrupted a flush, whose frames cannot be detached again. */
	flags = port_irq_save();
	frame_cache_drain(cache, false);
	port_irq_restore(flags);
}

/* ---- checks ------------------------------------------------------------------------------ */

void frame_cache_bad_free(uint64_t frame)
{
	void *caller = __builtin_return_address(0);
	struct zone *zone = zone_of_freed(frame);
	unsigned state = zone->state[frame - zone->first];

	switch (state) {
	case FRAME_STATE_FREE:
		port_panic("frame_free: frame %#llx is freed twice: its state is free, expected "
			   "allocated (or it was never allocated), called from [<%p>]",
			   (unsigned long long)frame, caller);
	case FRAME_STATE_RUN_HEAD:
	case FRAME_STATE_RUN_BODY:
		port_panic("frame_free: frame %#llx is part of a run, expected a single frame: "
			   "frame_free_run frees it, called from [<%p>]",
			   (unsigned long long)frame, caller);
	case FRAME_STATE_RESERVED:
		port_panic("frame_free: frame %#llx is reserved, it was never given out, called "
			   "from [<%p>]",
			   (unsigned long long)frame, caller);
	default:
		port_panic("frame_free: frame %#llx was handed out more than once: its state is "
			   "%#x, expected 1, called from [<%p>]",
			   (unsigned long long)frame, state, caller);
	}
}

static void validate_cached(uint64_t frame, const struct zone *zone)
{
	check(zone && zone_holds(zone, frame), "frame cache: frame %#llx is not of %s",
	      (unsigned long long)frame, zone ? zone->name : "any zone");
	if (CHECKS)
		check(zone->state[frame - zone->first] == FRAME_STATE_FREE,
		      "frame cache: frame %#llx has state %#x, expected free",
		      (unsigned long long)frame, zone->state[frame - zone->first]);
}

/* That no frame is free in its zone as well is the ledger's to find: the sums would be off. */
void frame_cache_validate(const struct frame_cache *cache)
{
	uint64_t remote_frames = 0;

	check(cache->bottom[-1] == SENTINEL, "frame cache: the sentinel is %#llx",
	      (unsigned long long)cache->bottom[-1]);
	check(cache->base <= cache->bottom && cache->bottom <= cache->top &&
		      cache->top <= cache->limit && cache->limit <= cache->end,
	      "frame cache: base %p, bottom %p, top %p, limit %p, end %p are out of order",
	      (void *)cache->base, (void *)cache->bottom, (void *)cache->top,
	      (void *)cache->limit, (void *)cache->end);
	check(cache->detached == 0, "frame cache: a flush is not over: %u", cache->detached);
	check(!cache->in_flight, "frame cache: a batch of %u words and %u frames is in flight at rest",
	      cache->in_flight->word_count, cache->in_flight->loose_count);
	check(cache->frames_in_flight == 0, "frame cache: %llu frames are counted in flight at rest",
	      (unsigned long long)cache->frames_in_flight);
	for (const uint64_t *slot = cache->bottom; slot < cache->top; slot++)
		validate_cached(*slot, CHECKS ? cache->zone : zone_of(*slot));
	for (unsigned i = 0; i < zones.count; i++) {
		remote_frames += cache->remote[i].count;
		for (uint64_t j = 0; j < cache->remote[i].count; j++)
			validate_cached(cache->remote[i].frame[j], &zones.zone[i]);
	}
	check(remote_frames == cache->remote_frames,
	      "frame cache: %llu frames wait to go home, it counts %u",
	      (unsigned long long)remote_frames, cache->remote_frames);
}
