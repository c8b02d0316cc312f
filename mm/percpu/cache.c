/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache.c - a cache's memory, its levels and configuration, when it opens, and its checks. The
 * invariants are in cache.h; refill.c and flush.c move batches.
 */
#include "mm/percpu/cache.h"

#include <string.h>

#include "mm/address.h"
#include "mm/check.h"
#include "mm/frame_debug.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "mm/words.h"
#include "sync/counter_start.h"

/* ---- layout ------------------------------------------------------------------------------ */

_Static_assert(offsetof(struct frame_cache, top) == 0 &&
		       offsetof(struct frame_cache, remote_frames) < PORT_CACHE_LINE,
	       "a hit touches one line");
_Static_assert(offsetof(struct frame_cache, remote) == PORT_CACHE_LINE &&
		       offsetof(struct frame_cache, batch_max) < 2 * PORT_CACHE_LINE,
	       "fields that are read-only between two configurations have their own cache line");
_Static_assert(
	offsetof(struct frame_cache, uncached) == 2 * PORT_CACHE_LINE &&
		offsetof(struct frame_cache, asked) / PORT_CACHE_LINE ==
			offsetof(struct frame_cache, frames_moving) / PORT_CACHE_LINE,
	"a request writes one line of each CPU, behind the two that a hit and a refill read");

/* ---- making ------------------------------------------------------------------------------ */

/*
 * Twice the largest stack and a batch, so that many flushes pass before the stack must be moved
 * back down; and one more, for the sentinel behind a full stack while a flush groups it.
 */
static size_t stack_words(uint32_t slots)
{
	return 2 * (size_t)slots + FRAME_CACHE_BATCH + 1;
}

/* A whole line below the stack for the sentinel, so that the stack begins with a line. */
static size_t stack_bytes(uint32_t slots)
{
	return cache_line_round_up(PORT_CACHE_LINE + stack_words(slots) * sizeof(uint64_t));
}

static size_t remote_bytes(unsigned zone_count)
{
	return cache_line_round_up(zone_count * sizeof(struct frame_remote));
}

size_t frame_cache_bytes(uint32_t slots, unsigned zone_count)
{
	size_t work = sizeof(struct frame_cache_work) + zone_count * sizeof(struct spin_node);

	return stack_bytes(slots) + remote_bytes(zone_count) + cache_line_round_up(work);
}

void frame_cache_init(struct frame_cache *cache, void *memory, uint32_t slots, unsigned home)
{
	frame_cache_init_for(cache, memory, slots, home, zones.count);
}

void frame_cache_init_for(struct frame_cache *cache, void *memory, uint32_t slots, unsigned home,
			  unsigned zone_room)
{
	char *remote = (char *)memory + stack_bytes(slots);

	memset(cache, 0, sizeof(*cache));
	cache->base = (uint64_t *)((char *)memory + PORT_CACHE_LINE);
	cache->end = cache->base + stack_words(slots) - 1;
	cache->top = cache->limit = cache->base;
	cache_set_bottom(cache, cache->base);
	cache->remote = (struct frame_remote *)remote;
	cache->work = (struct frame_cache_work *)(remote + remote_bytes(zone_room));
	cache->slots = slots;
	cache->home = home;
	cache->batch = cache->batch_min = cache->batch_max = FRAME_CACHE_BATCH;
}

void frame_cache_set_order(struct frame_cache *cache, unsigned node, const struct zone_order *order)
{
	cache->order = order;
	cache->home = order[0].zone;
	cache->node = node;
	/* It may be another zone; until the cache is configured again. */
	cache->uncached = cache->runs = NULL;
}

/* ---- levels and configuration ------------------------------------------------------------ */

void cache_move_to_base(struct frame_cache *cache)
{
	size_t level = (size_t)(cache->top - cache->bottom);
	size_t capacity = (size_t)(cache->limit - cache->bottom);

	words_move_down(cache->base, cache->bottom, level);
	cache_set_bottom(cache, cache->base);
	cache_set_top(cache, cache->base + level);
	cache->limit = cache->base + capacity;
}

void cache_set_zone(struct frame_cache *cache, struct zone *zone)
{
	ck_pr_store_ptr(&cache->zone, zone); /* other CPUs may read it */
	cache->first = zone->first;
	cache->count = zone->total_frames;
	cache->state_bias = cache_state_bias(zone);
}

uint32_t cache_capacity_for(const struct frame_cache *cache, uint32_t batch)
{
	uint32_t wanted = 2 * batch + FRAME_CACHE_SURPLUS;

	if (cache->batch_min == cache->batch_max || wanted > cache->capacity)
		return cache->capacity;
	return wanted;
}

__attribute__((noinline)) void cache_grow(struct frame_cache *cache)
{
	counter_add(&cache->stats.contended, 1);
	cache->uncontended_streak = 0;
	if (!cache_is_open(cache) || cache->batch == cache->batch_max)
		return;
	cache->batch *= 2;
	cache_move_to_base(cache); /* there is room for the largest above the base */
	cache->limit = cache->bottom + cache_capacity_for(cache, cache->batch);
}

/* The largest batch that doubling can reach within the capacity. */
static uint32_t largest_batch(uint32_t batch, uint32_t capacity)
{
	while (2 * batch <= FRAME_CACHE_BATCH_MAX && 4 * batch + FRAME_CACHE_SURPLUS <= capacity)
		batch *= 2;
	return batch;
}

/* Of a parked cache; batch 0: adaptive. */
static void set_capacity(struct frame_cache *cache, uint32_t capacity, uint32_t batch)
{
	ck_pr_store_32(&cache->capacity, capacity); /* other CPUs read it */
	cache->batch_min = cache->batch_max = batch;
	if (batch == 0) {
		cache->batch_min = FRAME_CACHE_BATCH < capacity / 2 ? FRAME_CACHE_BATCH
								    : capacity / 2;
		cache->batch_max = largest_batch(cache->batch_min, capacity);
	}
	/*
	 * Not 0 where the cache is off: a zone without a frame would have a batch, for which the cache is
	 * opened, and after an opening a request that has found nothing is repeated (drain.c).
	 */
	cache->batch = cache->batch_min ? cache->batch_min : 1;
	cache->uncontended_streak = COUNTER_START_32;
}

/*
 * Each run is an operation on a zone, and so is each single frame where the cache is off. If nothing but
 * that is due, there is a short way for it, for which this is the preparation. Frames of another node are
 * counted, which the short way for one frame does not do.
 */
static void prepare_direct(struct frame_cache *cache)
{
	struct cache_direct *direct = &cache->work->direct;
	struct zone *home = &zones.zone[cache->home];

	cache->uncached = cache->runs = NULL;
	if (frame_cache_bypass)
		return;
	if (!zones.count)
		return;
	direct->zone = home;
	if (zone_run_prepare(&direct->run, home))
		cache->runs = direct;
	if (zone_one_prepare(&direct->one, home) && !cache->capacity && home->node == cache->node)
		cache->uncached = direct;
}

void cache_renew_direct(struct frame_cache *cache)
{
	unsigned long flags = port_irq_save();

	if ((cache->runs || cache->uncached) && spin_fast_is_stale(&cache->work->direct.one.claim))
		prepare_direct(cache);
	port_irq_restore(flags);
}

void frame_cache_configure(uint32_t capacity, uint32_t batch)
{
	struct frame_cache *cache = frame_cache_self();
	unsigned long flags;

	check(!port_in_trap(), "frame_cache_configure: cpu %u is in a trap handler", port_cpu());
	if (frame_cache_bypass)
		capacity = batch = 0;
	if (capacity > cache->slots)
		capacity = cache->slots;
	if (capacity)
		check(capacity >= 2 && batch <= capacity / 2 && batch <= FRAME_CACHE_BATCH_MAX,
		      "frame_cache_configure: batch %u, capacity %u: a batch is at most half of "
		      "the "
		      "capacity and at most %u",
		      batch, capacity, FRAME_CACHE_BATCH_MAX);
	while (frame_cache_park_step(cache))
		;
	flags = port_irq_save();
	while (frame_cache_park_step(cache))
		; /* frames that a trap handler has freed since */
	if (zones.count)
		cache_set_zone(cache, &zones.zone[cache->home]); /* the zones may be new ones */
	set_capacity(cache, capacity, batch);
	prepare_direct(cache);
	cache->work->note.count = 0;
	if (!cache->online)
		frame_cache_online();
	cache_open(cache);
	port_irq_restore(flags);
}

/*
 * The opening is counted before the stack gets room: so a request that found no frames can tell
 * later whether a cache may have taken one since (drain.c). A cache that is off line is not asked
 * for its frames, so it takes none.
 */
__attribute__((noinline)) bool cache_open(struct frame_cache *cache)
{
	unsigned long flags = port_irq_save();

	if (cache_state(cache) == FRAME_CACHE_PARKED && cache->online) {
		ck_pr_store_32(&cache->state, FRAME_CACHE_OPEN);
		ck_pr_fence_memory(); /* (c) in drain.c */
		if (frame_drain_pressure()) {
			ck_pr_store_32(&cache->state, FRAME_CACHE_PARKED);
		} else {
			frame_drain_count_opening();
			cache_move_to_base(cache);
			cache->limit = cache->bottom + cache_capacity_for(cache, cache->batch);
		}
	}
	port_irq_restore(flags);
	return cache_is_open(cache);
}

bool frame_cache_may_keep(void)
{
	struct frame_cache *cache = frame_cache_self();

	if (__builtin_expect(cache_state(cache) == FRAME_CACHE_PARKED, 0))
		return cache_open(cache);
	return cache_is_open(cache);
}

/* ---- levels, as other CPUs may read them -------------------------------------------------- */

uint64_t frame_cache_level(const struct frame_cache *cache)
{
	/* Of another CPU, top and bottom may be read at different times: clamp to 0. */
	const uint64_t *top = frame_cache_level_load(&cache->top);
	ptrdiff_t level = top - frame_cache_level_load(&cache->bottom);

	return (level > 0 ? (uint64_t)level : 0) + ck_pr_load_32(&cache->remote_frames);
}

bool frame_cache_may_hold(const struct frame_cache *cache, const struct zone *zone)
{
	if (counter_read(&cache->remote[zone->number].count))
		return true;
	return (!CHECKS || ck_pr_load_ptr(&cache->zone) == zone) && frame_cache_level(cache);
}

/* ---- checks ------------------------------------------------------------------------------ */

struct zone *cache_zone_of(uint64_t frame)
{
	struct zone *zone = zone_of(frame);

	check(zone, "frame_free: %#llx is foreign: no zone holds it", (unsigned long long)frame);
	return zone;
}

static bool is_in_heap_run(const struct zone *zone, uint64_t frame)
{
	while (zone_frame_state(zone, frame) == FRAME_STATE_RUN_BODY && frame > zone->first)
		frame--;
	return zone_frame_state(zone, frame) == FRAME_STATE_HEAP_RUN;
}

void frame_cache_bad_free(uint64_t frame)
{
	void *caller = __builtin_return_address(0);
	struct zone *zone = cache_zone_of(frame);
	unsigned state = CHECKS ? zone_frame_state(zone, frame) : FRAME_STATE_FREE;
	const char *text = frame_debug_text(frame);

	if (CHECKS && is_in_heap_run(zone, frame))
		state = FRAME_STATE_HEAP_RUN;
	switch (state) {
	case FRAME_STATE_FREE:
		port_panic("frame_free: frame %#llx is freed twice: its state is free, expected "
			   "allocated (or it was never allocated), called from [<%p>]%s",
			   (unsigned long long)frame, caller, text);
	case FRAME_STATE_HEAP:
	case FRAME_STATE_HEAP_RUN:
		port_panic(
			"frame_free: frame %#llx is mismatched: it is the heap's, expected a frame "
			"of frame_alloc: kfree frees a block, called from [<%p>]%s",
			(unsigned long long)frame, caller, text);
	case FRAME_STATE_RUN_HEAD:
	case FRAME_STATE_RUN_BODY:
		port_panic("frame_free: frame %#llx is part of a run, expected a single frame: "
			   "frame_free_run frees it, called from [<%p>]%s",
			   (unsigned long long)frame, caller, text);
	case FRAME_STATE_RESERVED:
		port_panic("frame_free: frame %#llx is reserved, it was never allocated, called "
			   "from [<%p>]%s",
			   (unsigned long long)frame, caller, text);
	default:
		port_panic("frame_free: frame %#llx was handed out more than once: its state is "
			   "%#x, expected 1, called from [<%p>]%s",
			   (unsigned long long)frame, state, caller, text);
	}
}

static void validate_cached(uint64_t frame, const struct zone *zone)
{
	check(zone && zone_holds(zone, frame), "frame cache: frame %#llx is not of %s",
	      (unsigned long long)frame, zone ? zone->name : "any zone");
	if (CHECKS)
		check(zone_frame_state(zone, frame) == FRAME_STATE_FREE,
		      "frame cache: frame %#llx has state %#x, expected free",
		      (unsigned long long)frame, zone_frame_state(zone, frame));
}

/*
 * A frame that is also free in its zone is found by frame_validate(): the ledger does not add up.
 */
void frame_cache_validate(const struct frame_cache *cache)
{
	uint64_t remote_frames = 0;

	check(cache->bottom[-1] == SENTINEL, "frame cache: the sentinel is %#llx",
	      (unsigned long long)cache->bottom[-1]);
	check(cache->base <= cache->bottom && cache->bottom <= cache->top &&
		      cache->top <= cache->limit && cache->limit <= cache->end,
	      "frame cache: base %p, bottom %p, top %p, limit %p, end %p are out of order",
	      (void *)cache->base, (void *)cache->bottom, (void *)cache->top, (void *)cache->limit,
	      (void *)cache->end);
	check(cache->frames_moving == 0, "frame cache: %llu frames are in transit at rest",
	      (unsigned long long)cache->frames_moving);
	check(cache_state(cache) != FRAME_CACHE_PARKED ||
		      (cache->limit == cache->bottom && cache->remote_frames == 0),
	      "frame cache: it is parked with room for %u frames and %u of other zones",
	      cache_capacity(cache), cache->remote_frames);
	for (const uint64_t *slot = cache->bottom; slot < cache->top; slot++)
		validate_cached(*slot, CHECKS ? cache->zone : zone_of(*slot));
	for (unsigned i = 0; i < zones.count; i++) {
		remote_frames += cache->remote[i].count;
		for (uint64_t j = 0; j < cache->remote[i].count; j++)
			validate_cached(cache->remote[i].frame[j], &zones.zone[i]);
	}
	check(remote_frames == cache->remote_frames,
	      "frame cache: %llu frames of other zones wait, it counts %u",
	      (unsigned long long)remote_frames, cache->remote_frames);
}
