/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache_private.h - what the files of mm/percpu/, and mm/frame.c, share: the memory that a cache
 * works in, and the small steps of which refills, flushes and requests are made.
 *
 * All of it is for the owning CPU. Functions that change the cache are called with interrupts
 * masked (C6), unless their comments say otherwise.
 */
#pragma once

#include "mm/check.h"
#include "mm/global/zone.h"
#include "mm/global/zone_one.h"
#include "mm/global/zone_run.h"
#include "mm/percpu/cache.h"
#include "sync/ck.h"

/*
 * Below the bottom of a stack, and behind the frames that a flush groups: no pfn; negative when
 * signed.
 */
#define SENTINEL UINT64_MAX

/*
 * An adaptive batch doubles when its CPU had to wait for a zone's lock, and is halved after this
 * many holds in a row that did not wait (Bonwick's magazines grow on contention too; they never
 * shrink). So a batch whose size is stable meets contention about once in UNCONTENDED_HOLDS holds:
 * 0.4 %.
 */
#define UNCONTENDED_HOLDS 256

_Static_assert(POLICY_WORDS_MAX < 256, "a place in the table is a byte");
_Static_assert(POLICY_WORDS_MAX >= FRAMES_PER_WORD, "a plan and a remote stack fit");
_Static_assert((POLICY_WORDS_MAX & (POLICY_WORDS_MAX - 1)) == 0,
	       "the table, twice as large, is indexed by a mask");

/* A request that found no frames, and what had been counted as freed by then (drain.c). */
struct frame_drain_note {
	uint64_t count; /* frames of the run asked for; 0: no request is noted */
	uint64_t align;
	uint64_t releases, openings;
};

/* Of the short ways past the cache: the CPU's home zone, and what the CPU notes in its lock. */
struct cache_direct {
	struct zone *zone;
	struct zone_one_notes one; /* a single frame */
	struct zone_run_notes run;
};

struct frame_cache_work {
	/* A batch between the stack and a zone. */
	struct frame_word words[POLICY_WORDS_MAX];
	struct policy_plan plan;
	/*
	 * Where a flush finds the entry of a word: an open-addressed table, never more than half
	 * full, of indices in `words` plus 1; 0: free.
	 */
	unsigned count;
	unsigned mask; /* entries of the table less 1 */
	union {
		uint8_t place[2 * POLICY_WORDS_MAX];
		uint64_t zeros[2 * POLICY_WORDS_MAX / 8];
	};
	struct frame_drain_note note;
	struct cache_direct direct;
	struct spin_node nodes[]; /* one for each zone, for the last look of a request (drain.c) */
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

/* Frames that the stack may hold now; 0: the cache is off, closing and empty, or parked. */
static inline uint32_t cache_capacity(const struct frame_cache *cache)
{
	return (uint32_t)(cache->limit - cache->bottom);
}

/* True if the cache takes batches and frames of other zones. */
static inline bool cache_is_open(const struct frame_cache *cache)
{
	return cache_state(cache) == FRAME_CACHE_OPEN && cache->limit != cache->bottom;
}

/* C4: frames that the stack may hold with this batch. */
uint32_t cache_capacity_for(const struct frame_cache *cache, uint32_t batch);

/* Moves the stack down to base, where there is most room above. O(frames in the stack). */
void cache_move_to_base(struct frame_cache *cache);

/* Makes the cache one of this zone. The stack is empty, and this is no trap handler (C2). */
void cache_set_zone(struct frame_cache *cache, struct zone *zone);

/* After a hold that had to wait for the lock: doubles an adaptive batch. */
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
 * After a short way that was not taken: prepares the short ways again if the mode of the locks'
 * statistics has changed since. Any context; masks interrupts itself.
 */
void cache_renew_direct(struct frame_cache *cache);

/*
 * Opens a parked cache unless a request needs it shut. Returns whether the cache is open now. Any
 * context; masks interrupts itself.
 */
bool cache_open(struct frame_cache *cache);

/*
 * Gives back up to `wanted` of the coldest frames, all of one zone, in one hold. Returns how many;
 * 0 only if the stack is empty. Masks interrupts itself.
 */
unsigned cache_flush_coldest(struct frame_cache *cache, unsigned wanted);

/*
 * Gives back the frames that wait for that zone, in one hold; its remote stack is empty afterwards.
 */
void cache_flush_remote(struct frame_cache *cache, unsigned zone);

/*
 * Claims one frame, or a run, past the cache, from the first zone in this CPU's order that has it.
 * NULL: no zone had. Looks into each zone under its lock. Any context outside a zone's lock.
 */
struct zone *cache_claim_one(struct frame_cache *cache, uint64_t *frame);
struct zone *cache_claim_run(struct frame_cache *cache, uint64_t count, uint64_t align,
			     uint64_t *first);

/* The zone of a frame that is given back; panics if there is none. */
struct zone *cache_zone_of(uint64_t frame);

/*
 * The zone's state bytes as frame_mark_allocated() takes them: the byte of pfn p is at this plus p.
 */
static inline uintptr_t cache_state_bias(const struct zone *zone)
{
	return (uintptr_t)zone->state - zone->first;
}

static inline void cache_count_far(struct frame_cache *cache, const struct zone *zone,
				   unsigned frames)
{
	if (zone->node != cache->node)
		counter_add(&cache->stats.far_frames, frames);
}
