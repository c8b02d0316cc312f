/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache_private.h - what the files of mm/percpu/ share and no other file sees: the room a cache
 * works in, and the small steps that refills, flushes and drains are made of.
 *
 * Everything here is the owner's, and all but the questions are asked with interrupts masked (C6).
 */
#pragma once

#include "mm/check.h"
#include "mm/global/zone.h"
#include "mm/percpu/cache.h"
#include "sync/ck.h"

/* Below the bottom of a stack, and behind what a flush groups: no frame, and negative when signed. */
#define SENTINEL UINT64_MAX

/*
 * An adaptive batch doubles when its cpu had to wait for the lock, and is halved after so many
 * holds in a row without waiting (Bonwick's magazines grow on contention too; they never shrink).
 * So a batch that stays where it is meets contention about once in UNCONTENDED_HOLDS holds: 0.4 %.
 */
#define UNCONTENDED_HOLDS 256

_Static_assert(POLICY_WORDS_MAX < 256, "a place is a byte");
_Static_assert(POLICY_WORDS_MAX >= FRAMES_PER_WORD, "what a plan may hold, and a remote stack");
_Static_assert((POLICY_WORDS_MAX & (POLICY_WORDS_MAX - 1)) == 0, "the table is twice as large");

/* A request for frames that found none, and how much had been freed by then (drain.c). */
struct frame_drain_note {
	uint64_t count; /* frames in a run; 0: nothing is noted */
	uint64_t align;
	uint64_t releases, openings;
};

struct frame_cache_work {
	/* A batch between the stack and a zone. */
	struct frame_word words[POLICY_WORDS_MAX];
	struct policy_plan plan;
	/*
	 * Where a flush looks a word up: an open-addressed table, never more than half full, of
	 * indices in `words` plus 1; 0: free.
	 */
	unsigned count;
	unsigned mask; /* size of the table, less 1 */
	union {
		uint8_t place[2 * POLICY_WORDS_MAX];
		uint64_t zeros[2 * POLICY_WORDS_MAX / 8];
	};
	struct frame_drain_note note;
	struct spin_node nodes[]; /* one a zone, for the last look of a request (drain.c) */
};

static inline enum frame_cache_state cache_state(const struct frame_cache *cache)
{
	return (enum frame_cache_state)ck_pr_load_32(&cache->state);
}

static inline void cache_set_top(struct frame_cache *cache, uint64_t *top)
{
	frame_cache_level_store(&cache->top, top);
}

static inline void cache_set_bottom(struct frame_cache *cache, uint64_t *bottom)
{
	frame_cache_level_store(&cache->bottom, bottom);
	bottom[-1] = SENTINEL;
}

/* What the stack may hold now; 0: it is off, or parked. */
static inline uint32_t cache_capacity(const struct frame_cache *cache)
{
	return (uint32_t)(cache->limit - cache->bottom);
}

/* Takes batches, as the capacity says, and frames of other zones. */
static inline bool cache_is_open(const struct frame_cache *cache)
{
	return cache_state(cache) == FRAME_CACHE_OPEN && cache->limit != cache->bottom;
}

/* C4: what the stack may hold with this batch. */
uint32_t cache_capacity_for(const struct frame_cache *cache, uint32_t batch);

/* Back to where there is most room above. */
void cache_move_to_base(struct frame_cache *cache);

/* The stack is empty, and this is no trap handler (C2). */
void cache_set_zone(struct frame_cache *cache, struct zone *zone);

/* After a hold that had to be waited for: a larger batch. */
void cache_grow(struct frame_cache *cache);

/* After every hold of a zone's lock on behalf of this cache. */
static inline void cache_count_hold(struct frame_cache *cache, const struct zone_hold *hold)
{
	if (__builtin_expect(hold->contended, 0))
		cache_grow(cache);
	else
		cache->uncontended_streak++;
}

/*
 * Opens a parked cache if no request needs it shut; any context, masks interrupts itself. Says
 * whether the cache is open now.
 */
bool cache_open(struct frame_cache *cache);

/*
 * Gives back up to `wanted` of the coldest frames in one hold, one zone's. Returns how many; 0 only
 * where the stack is empty.
 */
unsigned cache_flush_coldest(struct frame_cache *cache, unsigned wanted);

/* Gives back what waits for that zone; its remote stack is empty afterwards. */
void cache_flush_remote(struct frame_cache *cache, unsigned zone);

/*
 * One frame, or a run, from the first zone in this cpu's order that has it, past the cache; NULL: none
 * had. Each zone is looked at under its lock. Any context outside a zone's lock.
 */
struct zone *cache_claim_one(struct frame_cache *cache, uint64_t *frame);
struct zone *cache_claim_run(struct frame_cache *cache, uint64_t count, uint64_t align,
			     uint64_t *first);

/* The zone of a frame that is given back; panics where there is none. */
struct zone *cache_zone_of(uint64_t frame);

/* Notes that the frame is allocated (enum frame_state). */
static inline void cache_mark_allocated(struct zone *zone, uint64_t frame)
{
#if CHECKS
	zone->state[frame - zone->first]++;
#else
	(void)zone;
	(void)frame;
#endif
}

static inline void cache_count_far(struct frame_cache *cache, const struct zone *zone,
				   unsigned frames)
{
	if (zone->node != cache->node)
		counter_add(&cache->stats.far_frames, frames);
}
