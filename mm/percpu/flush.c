/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flush.c - a free that finds the stack full: the coldest batch goes back to its zone. Also frames
 * of other zones, and what empties a cache.
 *
 * A flush is one section with interrupts masked (C6). It groups the frames where they lie by word,
 * 64 neighbouring frames; plans the release; holds the zone's lock for the release alone; and moves
 * `bottom` up past the frames that are gone. Where the frames are of several zones (CHECKS=0), or
 * of more words than one hold may move, it sorts the frames of this hold to the front and leaves
 * the rest to the next flush.
 *
 * Locks: no lock is held here; zone.c takes the zones' locks.
 */
#include "mm/frame_debug.h"
#include "mm/global/bits.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "mm/words.h"
#include "sync/trace.h"

/* ---- frames by word ---------------------------------------------------------------------- */

/*
 * The entry of the word that begins at `base`, made if there is none; NULL: there is no room for
 * it.
 */
static struct frame_word *group_word(struct frame_cache_work *work, uint64_t base)
{
	unsigned mask = work->mask;
	unsigned at = (unsigned)(base >> 6) & mask;

	for (; work->place[at]; at = (at + 1) & mask)
		if (work->words[work->place[at] - 1].first == base)
			return &work->words[work->place[at] - 1];
	if (work->count == POLICY_WORDS_MAX)
		return NULL;
	work->words[work->count] = (struct frame_word){base, 0};
	work->place[at] = (uint8_t)++work->count;
	return &work->words[work->count - 1];
}

static _Noreturn void twice_in_cache(uint64_t base)
{
	port_panic("a frame of [%#llx, %#llx) is twice in one cache: freed twice",
		   (unsigned long long)base, (unsigned long long)base + FRAMES_PER_WORD);
}

static void group_begin(struct frame_cache_work *work, unsigned frames)
{
	unsigned places = frames <= 64 && POLICY_WORDS_MAX >= 64 ? 128 : 2 * POLICY_WORDS_MAX;

	work->count = 0;
	work->mask = places - 1;
	words_fill(work->zeros, 0, places / sizeof(uint64_t));
}

/* Adds the bits of `frames` frames of one word. Panics if a frame is there twice. */
static inline void add_run(struct frame_word *word, uint64_t bits, size_t frames)
{
	if (__builtin_expect((word->bits & bits) || (frames > 1 && bits_count(bits) != frames), 0))
		twice_in_cache(word->first);
	word->bits |= bits;
}

/*
 * The end of the row that begins at `next`: each frame number is the previous one plus `step`,
 * which is 1 or -1. The sentinel ends a row too: no row of frames reaches below 0, because a zone's
 * first frame is its metadata.
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

/* Adds the frames [first, last] of a row; false as for group_all(). */
static inline bool add_row(struct frame_cache_work *work, const struct zone *zone, uint64_t first,
			   uint64_t last)
{
	if (!zone_holds(zone, first) || !zone_holds(zone, last))
		return false;
	for (uint64_t base = first & ~UINT64_C(63); base <= last; base += FRAMES_PER_WORD) {
		struct frame_word *word = group_word(work, base);
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

/*
 * Adds the frames from `next` on that are of one word and in no row. Returns the frame behind them;
 * NULL where group_all() returns false.
 */
static inline const uint64_t *add_scattered(struct frame_cache_work *work, const struct zone *zone,
					    const uint64_t *next)
{
	uint64_t frame = *next, base = frame & ~UINT64_C(63), bits = 0;
	const uint64_t *run = next;
	struct frame_word *word;

	if (!zone_holds(zone, base) || !zone_holds(zone, base + FRAMES_PER_WORD - 1)) {
		/* Two zones may share a word at their border: such frames are added one by one. */
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
	word = group_word(work, base);
	if (word)
		add_run(word, bits, (size_t)(next - run));
	return word ? next : NULL;
}

/*
 * Groups frames[0..count) by word. False if one of them is not of the zone, or if they are of more
 * than POLICY_WORDS_MAX words. Mostly neighbours follow each other, up or down; then a frame costs
 * one comparison. A frame in no row costs a comparison and a bit. frames[count] is the sentinel,
 * which is of no word.
 */
static inline bool group_all(struct frame_cache_work *work, const struct zone *zone,
			     const uint64_t *frames, unsigned count)
{
	const uint64_t *next = frames, *end = frames + count;

	group_begin(work, count);
	while (next < end) {
		const uint64_t *start = next;
		uint64_t step = next[1] - *next;

		if (step == 1 || step == UINT64_MAX) {
			next = row_end(start, step);
			if (!add_row(work, zone, step == 1 ? *start : next[-1],
				     step == 1 ? next[-1] : *start))
				return false;
		} else {
			next = add_scattered(work, zone, start);
			if (!next)
				return false;
		}
	}
	return true;
}

/*
 * Groups as many frames of the zone as fit and moves them to the front, which changes the order of
 * the others. Returns how many: at least one, because frames[0] is of the zone.
 */
static __attribute__((noinline)) unsigned group_some(struct frame_cache_work *work,
						     const struct zone *zone, uint64_t *frames,
						     unsigned count)
{
	unsigned grouped = 0;

	group_begin(work, count);
	for (unsigned i = 0; i < count; i++) {
		uint64_t frame = frames[i];
		struct frame_word *word;

		if (!zone_holds(zone, frame))
			continue;
		word = group_word(work, frame & ~UINT64_C(63));
		if (!word)
			continue;
		add_run(word, UINT64_C(1) << (frame & 63), 1);
		frames[i] = frames[grouped];
		frames[grouped++] = frame;
	}
	return grouped;
}

/*
 * Gives back frames[0..count) in one hold, or those of them that one hold may move, which are at
 * the front then. All of these are of one zone, that of frames[0]. frames[count] is overwritten
 * meanwhile and restored. Returns how many have gone. Interrupts are masked.
 */
static inline __attribute__((always_inline)) unsigned release_masked(struct frame_cache *cache,
								     uint64_t *frames,
								     unsigned count)
{
	uint64_t begun = trace_begin(), saved = frames[count];
	struct frame_cache_work *work = cache->work;
	struct zone *zone = cache->zone; /* mostly that of frames[0] */
	struct zone_hold hold;

	if (!zone || !zone_holds(zone, frames[0]))
		zone = cache_zone_of(frames[0]);
	frames[count] = SENTINEL;
	if (__builtin_expect(!group_all(work, zone, frames, count), 0)) {
		frames[count] = saved;
		count = group_some(work, zone, frames, count);
	} else {
		frames[count] = saved;
	}
	zone_plan_release(zone, work->words, work->count, &work->plan);
	zone_release_masked(zone, &work->plan, work->words, work->count, count, &hold);
	counter_add(&cache->stats.flushes, 1);
	counter_add(&cache->stats.flushed_frames, count);
	cache_count_hold(cache, &hold);
	trace_end(TRACE_FLUSH, begun, count, zone->number);
	return count;
}

/* ---- the stack --------------------------------------------------------------------------- */

/*
 * No frame is copied: they are given back from where they lie, and bottom moves past them, and
 * limit too while the cache is open. The hold may make the batch grow, which moves the stack; so
 * bottom is read again after it.
 */
unsigned cache_flush_coldest(struct frame_cache *cache, unsigned wanted)
{
	unsigned long flags = port_irq_save();
	unsigned level = (unsigned)(cache->top - cache->bottom);
	unsigned count = wanted < level ? wanted : level;

	if (count) {
		counter_set(&cache->frames_moving, count);
		count = release_masked(cache, cache->bottom, count);
		cache_set_bottom(cache, cache->bottom + count);
		if (cache_state(cache) == FRAME_CACHE_OPEN) {
			cache->limit += count;
			if (cache->limit > cache->end)
				cache_move_to_base(cache);
		}
		counter_set(&cache->frames_moving, 0);
	}
	port_irq_restore(flags);
	return count;
}

/* Gives back `wanted` of the coldest frames, or all there are, in as many holds as that takes. */
static void flush_some(struct frame_cache *cache, unsigned wanted)
{
	unsigned gone;

	do {
		gone = cache_flush_coldest(
			cache, wanted < FRAME_CACHE_BATCH_MAX ? wanted : FRAME_CACHE_BATCH_MAX);
		wanted -= gone;
	} while (gone && wanted);
}

/* Gives one frame back to its zone, past the cache. */
static void free_direct(struct frame_cache *cache, uint64_t frame)
{
	struct frame_word word = {frame & ~UINT64_C(63), UINT64_C(1) << (frame & 63)};
	struct policy_plan plan = {.ordinary = false};
	struct zone *zone = cache_zone_of(frame);
	unsigned long flags = port_irq_save();
	struct zone_hold hold;

	zone_release_masked(zone, &plan, &word, 1, 1, &hold);
	cache_count_hold(cache, &hold);
	counter_add(&cache->stats.direct_frees, 1);
	port_irq_restore(flags);
}

/* The lock of the zone was held: waits for it. */
static __attribute__((noinline)) void free_uncached_waiting(struct zone *zone, uint64_t frame)
{
	struct frame_cache *cache = frame_cache_self();
	unsigned long irq = port_irq_save();

	zone_release_one_found_held(zone, frame);
	cache_count_hold(cache, &(struct zone_hold){.contended = true});
	counter_add(&cache->stats.direct_frees, 1);
	port_irq_restore(irq);
}

static __attribute__((noinline)) void free_uncached_otherwise(uint64_t frame)
{
	cache_renew_direct(frame_cache_self());
	free_direct(frame_cache_self(), frame);
}

/* The cache is off: a frame goes back to its zone, which with CHECKS is the cache's (C2). */
static __attribute__((noinline)) void free_uncached(uint64_t frame,
						    const struct cache_direct *uncached)
{
	struct zone *zone = uncached->zone;
	enum zone_one result;
	unsigned long irq;

	if (!CHECKS && __builtin_expect(!zone_holds(zone, frame), 0)) {
		free_direct(frame_cache_self(), frame);
		return;
	}
	irq = port_irq_save();
	result = zone_release_one(zone, &uncached->one, frame);
	if (__builtin_expect(result != ZONE_ONE_DONE, 0)) {
		port_irq_restore(irq);
		if (result == ZONE_ONE_HELD)
			free_uncached_waiting(zone, frame);
		else
			free_uncached_otherwise(frame);
		return;
	}
	counter_add(&frame_cache_self()->stats.direct_frees, 1);
	port_irq_restore(irq);
}

/*
 * The stack is full, or the cache is parked. Where the cache is open, its coldest batch makes room and
 * the frame goes on top; else the frame goes to its zone.
 */
static __attribute__((noinline)) void overflow_cached(uint64_t frame)
{
	struct frame_cache *cache = frame_cache_self();

	if (__builtin_expect(cache_state(cache) == FRAME_CACHE_PARKED, 0))
		cache_open(cache);
	if (!cache_is_open(cache)) {
		free_direct(cache, frame);
		return;
	}
	if (cache->top == cache->limit)
		flush_some(cache, cache->batch);
	frame_cache_push(cache, frame, full);
	return;
full:
	free_direct(cache, frame);
}

/*
 * frame_cache_bypass is set. frame_cache_overflow() jumps here, so the return address is that of the
 * free.
 */
static __attribute__((noinline)) void overflow_watched(uint64_t frame)
{
	if (frame_debug_chosen)
		frame_debug_freed(frame, 1, __builtin_return_address(0));
	overflow_cached(frame);
}

void frame_cache_overflow(uint64_t frame)
{
	const struct cache_direct *uncached = frame_cache_self()->uncached;

	if (uncached)
		free_uncached(frame, uncached);
	else if (__builtin_expect(frame_cache_bypass, 0))
		overflow_watched(frame);
	else
		overflow_cached(frame);
}

/* ---- frames of other zones --------------------------------------------------------------- */

void cache_flush_remote(struct frame_cache *cache, unsigned number)
{
	struct frame_remote *remote = &cache->remote[number];
	unsigned count = (unsigned)remote->count;

	counter_set(&cache->frames_moving, count);
	if (count) {
		unsigned gone = release_masked(cache, remote->frame, count);

		assert(gone ==
		       count); /* one zone, at most FRAME_CACHE_BATCH words: one hold moves all */
		(void)gone;
	}
	counter_set(&remote->count, 0);
	ck_pr_store_32(&cache->remote_frames, cache->remote_frames - count);
	counter_set(&cache->frames_moving, 0);
}

/* False: the cache does not take the frame. */
static bool push_remote(struct frame_cache *cache, unsigned number, uint64_t frame)
{
	struct frame_remote *remote = &cache->remote[number];
	unsigned long flags = port_irq_save();
	bool pushed = cache_is_open(cache);

	if (pushed) {
		if (remote->count == FRAME_CACHE_BATCH)
			cache_flush_remote(cache, number);
		remote->frame[remote->count] = frame;
		counter_add(&remote->count, 1);
		ck_pr_store_32(&cache->remote_frames, cache->remote_frames + 1);
	}
	port_irq_restore(flags);
	return pushed;
}

void frame_cache_free_elsewhere(uint64_t frame)
{
	struct frame_cache *cache = frame_cache_self();
	struct zone *zone = zone_of(frame);

	check(zone, "frame_free: %#llx is foreign: no zone holds it, called from [<%p>]",
	      (unsigned long long)frame, __builtin_return_address(0));
	if (CHECKS) {
		uint8_t *state = &zone->state[frame - zone->first];

		if (*state != FRAME_STATE_ALLOCATED)
			frame_cache_bad_free(frame);
		*state = FRAME_STATE_FREE;
	}
	if (__builtin_expect(frame_debug_chosen != 0, 0))
		frame_debug_freed(frame, 1, __builtin_return_address(0));
	if (__builtin_expect(cache_state(cache) == FRAME_CACHE_PARKED, 0))
		cache_open(cache);
	if (!push_remote(cache, zone->number, frame))
		free_direct(cache, frame);
}

/* ---- emptying a cache -------------------------------------------------------------------- */

/* Gives back one remote stack that has frames. False: no stack has. Interrupts are masked. */
static bool flush_one_remote(struct frame_cache *cache)
{
	for (unsigned i = 0; i < zones.count && cache->remote_frames; i++) {
		if (cache->remote[i].count) {
			cache_flush_remote(cache, i);
			return true;
		}
	}
	return false;
}

/*
 * The heap comes first. Its last step, in which it has nothing, and the one that parks are one
 * masked section, so a parked CPU has no block on the heap's stacks.
 *
 * A frame that a trap handler frees between two steps goes on the stack only if there is room below
 * `limit`, which no longer moves. So each step leaves fewer frames, and the steps end.
 */
bool frame_cache_park_step(struct frame_cache *cache)
{
	unsigned long flags = port_irq_save();
	bool more = true;

	if (frame_reclaimer && frame_reclaimer->park()) {
		port_irq_restore(flags);
		return true;
	}
	if (cache_state(cache) == FRAME_CACHE_OPEN) {
		ck_pr_store_32(&cache->state, FRAME_CACHE_CLOSING);
		cache->limit = cache->top;
	}
	if (!cache_flush_coldest(cache, FRAME_CACHE_STEP) && !flush_one_remote(cache)) {
		cache->limit = cache->top;
		ck_pr_fence_release(); /* after the releases to zones: (b) in drain.c */
		ck_pr_store_32(&cache->state, FRAME_CACHE_PARKED);
		more = false;
	}
	port_irq_restore(flags);
	return more;
}

void frame_cache_flush(void)
{
	struct frame_cache *cache = frame_cache_self();
	unsigned long flags;
	bool more;

	flush_some(cache, UINT32_MAX); /* until the stack is empty */
	do {
		flags = port_irq_save();
		more = flush_one_remote(cache);
		port_irq_restore(flags);
	} while (more);
}
