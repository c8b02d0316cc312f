/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache.h - the per-cpu stack cache of frames: its layout, and the pop and push themselves.
 *
 * A stack of pfns that one cpu owns. Its bottom stands on a sentinel, so that the pop needs no
 * comparison with the bottom: what it loads from an empty stack is negative. A pop or push is a
 * restartable sequence (Bershad, Redell and Ellis, ASPLOS 1992): loads, stores to places nobody
 * looks at, and one store, the last, that commits by moving `top`. A trap inside it resumes at
 * its start; a port whose trap handlers may allocate gives PORT_STACK_POP and PORT_STACK_PUSH
 * made that way, and plain C serves the others.
 *
 * Invariants
 *
 *   C1  base <= bottom <= top <= limit <= end; bottom[-1] is the sentinel; [bottom, top) are
 *	 frames that are free and in no other place.
 *   C2  With CHECKS, all of them are of the zone [first, first + count), whose state bytes
 *	 are at state_bias + pfn. The zone changes only while the stack is empty, and never inside
 *	 a trap handler: so what an operation read of it before it was interrupted is still true.
 *   C3  Frames of other zones that this cpu frees wait in `remote`, one short stack a zone, and
 *	 go home when there are FRAME_CACHE_BATCH of one zone.
 *   C4  limit - bottom >= 2 * batch, refills bring `batch` frames or more and leave at most
 *	 limit - batch, flushes take `batch`. One hold carries at most POLICY_WORDS_MAX words, so
 *	 at least that many frames where there are more: each hold is paid for by at least
 *	 min(batch, POLICY_WORDS_MAX) operations that pay for no other, whatever the trace, unless a
 *	 fixed batch is above POLICY_WORDS_MAX and no multiple of it
 *	 (Bonwick and Adams, USENIX 2001, with one stack for their two magazines), and each hold
 *	 for remote frames by FRAME_CACHE_BATCH frees of those. Where no zone has a whole batch
 *	 left a refill may bring less.
 *   C5  A flush gives back the coldest frames and moves bottom up past them, limit with it: no frame
 *	 is copied. The stack is moved back down to base when it is empty, or no room is left above.
 *
 *   C6  Every move of a batch between the cache and a zone, and every change of more than `top`, is one
 *	 section with interrupts masked. So outside of these each free frame is in a zone or in a cache,
 *	 and a trap handler always finds its cpu's cache whole.
 *   C7  `state` says whether the cache takes frames: OPEN, or CLOSING (a request empties it), or PARKED:
 *	 limit = top = bottom, no frame waits in `remote`, and only the owner opens it again. drain.c
 *	 has the protocol.
 *
 * Writers: the owning cpu alone, but for `asked`, which cpus that are short of frames raise. Others
 * read the counters, `state`, `answered` and `online` at any time, and levels as an estimate.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/platform.h"

#ifndef CHECKS
#define CHECKS 1
#endif

struct zone;
struct zone_order;

/*
 * The batch of a uncontended_streak cpu, and the largest. 512 frames are eight words where memory is not
 * fragmented: the hold is then about twice that of one word, and eight times rarer. Beyond that
 * the gain is small, and the memory that a cpu may keep to itself (2 * 512 + 64 frames, 4.25 MiB)
 * is not.
 */
#define FRAME_CACHE_BATCH     64
#define FRAME_CACHE_BATCH_MAX 512

/* Frames that a refill may bring beyond its batch, because words are claimed whole. */
#define FRAME_CACHE_SURPLUS 64

/* What an adaptive cache can make use of. */
#define FRAME_CACHE_CAPACITY_MAX (2 * FRAME_CACHE_BATCH_MAX + FRAME_CACHE_SURPLUS)

/* Frames on their way home to one zone. */
struct frame_remote {
	uint64_t count;
	uint64_t frame[FRAME_CACHE_BATCH + 1]; /* one more for what ends a batch */
};

/* Whether a cache takes frames; drain.c says when each changes. */
enum frame_cache_state {
	FRAME_CACHE_OPEN,
	FRAME_CACHE_CLOSING, /* a request empties it: room for nothing new */
	FRAME_CACHE_PARKED   /* empty, with room for nothing, until its owner opens it */
};

/* Room to work in, used with interrupts masked only, so once a cpu is enough (refill.c, flush.c). */
struct frame_cache_work;

struct frame_cache_stats {
	uint64_t refills; /* batches taken from a zone */
	uint64_t refilled_frames;
	uint64_t flushes; /* batches given to a zone */
	uint64_t flushed_frames;
	uint64_t direct_allocs; /* single frames past the cache, to and from a zone */
	uint64_t direct_frees;
	uint64_t contended;  /* of all these, how many waited for the lock */
	uint64_t failures;   /* allocations that found no frame */
	uint64_t drains;     /* requests to all cpus for their frames */
	uint64_t far_frames; /* of those refilled or taken directly: of another NUMA node */
};

struct frame_cache {
	/* The owner's line: all that a hit touches. */
	uint64_t *top;	      /* the first unused slot */
	uint64_t *limit;      /* top when full */
	uint64_t first;	      /* the zone's first pfn */
	uint64_t count;	      /* and how many frames it has */
	uintptr_t state_bias; /* state byte of pfn p: at state_bias + p */
	uint64_t *bottom;
	struct zone *zone;
	uint32_t batch;		/* frames that cross in one lock hold */
	uint32_t remote_frames; /* in all of `remote` together */

	/* The owner's slow path. */
	_Alignas(PORT_CACHE_LINE) struct frame_remote *remote; /* of zone i: remote[i] */
	uint64_t *base, *end; /* the memory that the stack wanders in */
	unsigned home;	      /* the zone tried first, order's first */
	uint32_t capacity;    /* at most so many frames; limit may be lower */
	uint32_t batch_min;   /* adaptive between these; equal: fixed */
	uint32_t batch_max;
	uint32_t uncontended_streak; /* lock holds in a row that were not waited for */
	struct frame_cache_stats stats;

	/* Between this cpu and those that ask it for its frames (drain.c). */
	_Alignas(PORT_CACHE_LINE)
		uint64_t asked; /* written by others: the highest request for this cpu */
	uint64_t answered;	/* the last request that it followed */
	uint32_t online;
	uint32_t state;		/* enum frame_cache_state */
	uint64_t frames_moving; /* between the cache and a zone at this moment; a counter */
	/* The owner's alone. */
	struct frame_cache_work *work;
	const struct zone_order *order; /* zones as they are tried; NULL: by number, home first */
	uint32_t asking;		/* requests under way; a handler may be in one of its own */
	uint32_t slots;			/* the most that capacity can be */
	unsigned node;			/* the cpu's NUMA node */
};

static inline struct frame_cache *frame_cache_self(void)
{
	return port_area();
}

/*
 * `top` and `bottom` have one writer, the owner; other cpus may look at them at any time, as an
 * estimate. So they are stored and loaded whole, and order nothing.
 */
#if defined(__SANITIZE_THREAD__)
#define frame_cache_level_store(place, value) __atomic_store_n(place, value, __ATOMIC_RELAXED)
#define frame_cache_level_load(place)	      __atomic_load_n(place, __ATOMIC_RELAXED)
#else
#define frame_cache_level_store(place, value) ((void)(*(uint64_t *volatile *)(place) = (value)))
#define frame_cache_level_load(place)	      (*(uint64_t *const volatile *)(place))
#endif

/* Pops into `frame`, or goes to `empty` with nothing changed. */
#if defined(PORT_STACK_POP)
#define frame_cache_pop(cache, frame, empty)                                                       \
	PORT_STACK_POP(frame, offsetof(struct frame_cache, top), empty)
#define frame_cache_push(cache, frame, full)                                                       \
	PORT_STACK_PUSH(frame, offsetof(struct frame_cache, top),                                  \
			offsetof(struct frame_cache, limit), full)
#else
#define frame_cache_pop(cache, frame, empty)                                                       \
	do {                                                                                       \
		uint64_t *top_ = (cache)->top - 1;                                                 \
                                                                                                   \
		(frame) = *top_;                                                                   \
		if (__builtin_expect((int64_t)(frame) < 0, 0))                                     \
			goto empty;                                                                \
		frame_cache_level_store(&(cache)->top, top_);                                      \
	} while (0)
/* Pushes, or goes to `full` with nothing changed. */
#define frame_cache_push(cache, frame, full)                                                       \
	do {                                                                                       \
		uint64_t *top_ = (cache)->top;                                                     \
                                                                                                   \
		if (__builtin_expect(top_ == (cache)->limit, 0))                                   \
			goto full;                                                                 \
		*top_ = (frame);                                                                   \
		frame_cache_level_store(&(cache)->top, top_ + 1);                                  \
	} while (0)
#endif

/* Bytes of memory for a cache of `slots` frames on a machine of so many zones. */
size_t frame_cache_bytes(uint32_t slots, unsigned zone_count);

/*
 * Makes an empty cache that is off, in a zeroed area; `memory` is zeroed too, aligned to
 * PORT_CACHE_LINE, of frame_cache_bytes(slots, zones.count) bytes, and stays the cache's. `home` is
 * the number of the zone to try first. Before the owning cpu allocates.
 */
void frame_cache_init(struct frame_cache *cache, void *memory, uint32_t slots, unsigned home);

/*
 * The same, in frame_cache_bytes(slots, zone_room) bytes: for a kernel that makes its zones again later,
 * and then has zone_room of them at most.
 */
void frame_cache_init_for(struct frame_cache *cache, void *memory, uint32_t slots, unsigned home,
			  unsigned zone_room);

/*
 * The cpu is of that NUMA node, and tries zones in that order (zones.count of them, which stay where
 * they are) from now on. While the owning cpu is not in an allocation.
 */
void frame_cache_set_order(struct frame_cache *cache, unsigned node, const struct zone_order *order);

/*
 * On the owning cpu: empties the cache and sets how much it may hold from now on. capacity 0
 * turns it off; batch 0 lets the batch follow contention between FRAME_CACHE_BATCH and
 * FRAME_CACHE_BATCH_MAX, as far as the capacity allows. capacity is cut to the memory there is.
 * capacity >= 2 * batch, batch <= FRAME_CACHE_BATCH_MAX, else it panics.
 */
void frame_cache_configure(uint32_t capacity, uint32_t batch);

/* On the owning cpu: gives all of its frames back to their zones. Any context outside a zone's lock. */
void frame_cache_flush(void);

/*
 * On the owning cpu: one step towards a parked cache. It takes no more frames from the first step on;
 * each gives back up to FRAME_CACHE_STEP of them in one lock hold, with interrupts masked. False:
 * it is parked now. Any context outside a zone's lock.
 */
bool frame_cache_park_step(struct frame_cache *cache);

/* What one step gives back at most: bounds how long interrupts are masked. */
#define FRAME_CACHE_STEP 256

/* Frames in the cache; exact on its own cpu and at rest, else an estimate. */
uint64_t frame_cache_level(const struct frame_cache *cache);

/* As far as another cpu can tell: it has frames of that zone. */
bool frame_cache_may_hold(const struct frame_cache *cache, const struct zone *zone);

/* At rest: panics where an invariant is broken. */
void frame_cache_validate(const struct frame_cache *cache);

/* The slow halves of frame_alloc and frame_free; flags are those of frame_alloc. */
pfn_t frame_cache_refill(unsigned flags);
void frame_cache_overflow(uint64_t frame);
/* A free of a frame outside the cache's zone: checked, and sent home. */
void frame_cache_free_elsewhere(uint64_t frame);
/*
 * The free of a frame that is not out: a panic that says which mistake it was. Not declared to
 * not return, so that a caller may jump to it without saving where it came from.
 */
void frame_cache_bad_free(uint64_t frame);
