/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache.h - the per-CPU cache of free frames: its layout, and the pop and push.
 *
 * A cache is a stack of pfns that one CPU owns (stack.h has its pop and push, which are restartable
 * sequences).
 *
 * Files: cache.c has levels and configuration, refill.c and flush.c move batches between a cache
 * and the zones, drain.c asks other CPUs for what their caches hold.
 *
 * Invariants
 *
 *   C1  base <= bottom <= top <= limit <= end; bottom[-1] is the sentinel; the frames in [bottom,
 *	 top) are free and in no other place.
 *   C2  With CHECKS, all of them are of one zone, [first, first + count), whose state bytes are at
 *	 state_bias + pfn. The zone changes only while the stack is empty, and never inside a trap
 *	 handler: so what an operation has read of it is still true after an interrupt.
 *   C3  Frames of other zones that this CPU frees wait in `remote`, one short stack for each zone.
 *	 When FRAME_CACHE_BATCH of one zone wait, all of them go back in one hold of the zone's
 *	 lock.
 *   C4  limit - bottom >= 2 * batch. A refill brings `batch` frames or more and leaves at most
 *	 limit - batch; a flush takes `batch`. A hold moves at most POLICY_WORDS_MAX words, so where
 *	 a batch is larger it moves at least that many frames. So each hold is paid for by at least
 *	 min(batch, POLICY_WORDS_MAX) operations that pay for no other hold, whatever the trace
 *	 (Bonwick and Adams, USENIX 2001, with one stack for their two magazines), and each hold for
 *	 remote frames by FRAME_CACHE_BATCH frees of them. Exceptions: a fixed batch above
 *	 POLICY_WORDS_MAX that is no multiple of it; and a refill where no zone has a whole batch
 *	 left.
 *   C5  A flush gives back the coldest frames and moves bottom and limit up past them: no frame is
 *	 copied. The stack moves back down to base when it is empty or no room is left above.
 *   C6  Every move of a batch between the cache and a zone, and every change of more than `top`, is
 *	 one section with interrupts masked. So outside of these sections each free frame is in a
 *	 zone or in a cache, and a trap handler always finds its CPU's cache whole.
 *   C7  `state` says whether the cache takes frames: OPEN; CLOSING, while a request empties it;
 *	 PARKED, where limit = top = bottom and no frame waits in `remote`. Only the owner opens a
 *	 parked cache. drain.c has the protocol.
 *
 * Writers: the owning CPU writes everything but `asked`, which a CPU that is short of frames
 * raises. Any CPU may read the counters, `capacity`, `state`, `answered` and `online`, and levels
 * as an estimate.
 *
 * Locks: none. A zone's lock is taken inside zone.c, with interrupts masked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/percpu/stack.h"
#include "mm/platform.h"

#ifndef CHECKS
#define CHECKS 1
#endif

struct zone;
struct zone_order;

/*
 * The smallest batch of an adaptive cache, and the largest batch. 512 frames are eight words where
 * memory is not fragmented: a hold then lasts about twice as long as for one word, and there are
 * eight times fewer. A larger batch gains little, and each CPU may keep more memory: 2 * 512 + 64
 * frames are 4.25 MiB already.
 */
#define FRAME_CACHE_BATCH     64
#define FRAME_CACHE_BATCH_MAX 512

/* A refill brings fewer than this many frames beyond its batch, because words are claimed whole. */
#define FRAME_CACHE_SURPLUS 64

/* The largest capacity that an adaptive cache can use. */
#define FRAME_CACHE_CAPACITY_MAX (2 * FRAME_CACHE_BATCH_MAX + FRAME_CACHE_SURPLUS)

/* Frames of one other zone that wait to be given back to it. */
struct frame_remote {
	uint64_t count;
	uint64_t frame[FRAME_CACHE_BATCH + 1]; /* one more for the sentinel of a flush */
};

/* Whether a cache takes frames; drain.c says when the state changes. */
enum frame_cache_state {
	FRAME_CACHE_OPEN,
	FRAME_CACHE_CLOSING, /* a request empties it: no room for a new frame */
	FRAME_CACHE_PARKED   /* empty, without room, until its owner opens it */
};

/*
 * Memory that refills, flushes and requests work in: one for each CPU, used with interrupts masked.
 */
struct frame_cache_work;

struct frame_cache_stats {
	uint64_t refills; /* batches taken from a zone */
	uint64_t refilled_frames;
	uint64_t flushes; /* batches given to a zone */
	uint64_t flushed_frames;
	uint64_t direct_allocs; /* single frames from a zone, past the cache */
	uint64_t direct_frees;	/* single frames to a zone, past the cache */
	uint64_t contended;	/* of all these: the ones that waited for a zone's lock */
	uint64_t far_frames;	/* of those refilled or taken directly: of another NUMA node */
	uint64_t failures;	/* allocations that found no frame */
	uint64_t drains;	/* requests to all CPUs for their frames */
};

struct frame_cache {
	/* The owner's line: all that a hit reads and writes. */
	uint64_t *top;	      /* the first unused slot */
	uint64_t *limit;      /* top when the stack is full */
	uint64_t first;	      /* the zone's first pfn */
	uint64_t count;	      /* the zone's frames */
	uintptr_t state_bias; /* the state byte of pfn p is at state_bias + p */
	uint64_t *bottom;
	struct zone *zone;
	uint32_t batch;		/* frames that one hold moves */
	uint32_t remote_frames; /* in all of `remote` together */

	/* The read-only line: the owner writes it when the cache is made and configured. */
	_Alignas(PORT_CACHE_LINE) struct frame_remote *remote; /* of zone i: remote[i] */
	uint64_t *base, *end; /* the memory that the stack moves in */
	struct frame_cache_work *work;
	const struct zone_order *order; /* zones as they are tried; NULL: by number from home on */
	unsigned home;			/* the zone tried first, order's first */
	unsigned node;			/* the CPU's NUMA node */
	uint32_t slots;			/* the largest capacity that the memory has room for */
	uint32_t capacity;		/* the most frames it may hold; limit may be lower */
	uint32_t batch_min;		/* the batch adapts between these; equal: it is fixed */
	uint32_t batch_max;

	/* The owner's slow paths: written once or more for each hold; but this pointer is read-only, as above. */
	_Alignas(PORT_CACHE_LINE) const
		struct cache_direct *uncached; /* of single frames; NULL: the general paths */
	struct frame_cache_stats stats;
	uint32_t uncontended_streak; /* holds in a row that did not wait for the lock */
	uint32_t asking; /* this CPU's open requests; a trap handler may make a second */

	/*
	 * Between this CPU and those that ask it for its frames (drain.c); other CPUs read all of
	 * it.
	 */
	uint64_t asked;	   /* written by other CPUs: the highest ticket of a request to this one */
	uint64_t answered; /* the last ticket that this CPU has answered */
	uint32_t online;
	uint32_t state;		/* enum frame_cache_state */
	uint64_t frames_moving; /* between the cache and a zone at this moment; a counter */

	/* Read-only between two configurations. */
	_Alignas(PORT_CACHE_LINE) const struct cache_direct *runs; /* NULL: the general paths */
};

static inline struct frame_cache *frame_cache_self(void)
{
	return port_area();
}

/* As of `top` (stack.h), and of `bottom`, which other CPUs read too. */
#define frame_cache_level_store stack_level_store
#define frame_cache_level_load	stack_level_load

/* The pop: a frame into `frame`; goes to `empty`, with nothing changed, if there is none. */
#if defined(PORT_STACK_POP)
#define frame_cache_pop(cache, frame, empty)                                                       \
	PORT_STACK_POP(frame, offsetof(struct frame_cache, top), empty)
#define frame_cache_push(cache, frame, full)                                                       \
	PORT_STACK_PUSH(frame, offsetof(struct frame_cache, top),                                  \
			offsetof(struct frame_cache, limit), full)
#else
#define frame_cache_pop(cache, frame, empty) stack_pop_plain(cache, frame, empty)
/* The push; goes to `full`, with nothing changed, if there is no room. */
#define frame_cache_push(cache, frame, full) stack_push_plain(cache, frame, full)
#endif

/* Bytes of memory for a cache of up to `slots` frames on a machine of zone_count zones. */
size_t frame_cache_bytes(uint32_t slots, unsigned zone_count);

/*
 * Makes an empty cache that is off, in a zeroed area. `memory` is zeroed too, aligned to
 * PORT_CACHE_LINE, of frame_cache_bytes(slots, zones.count) bytes, and the cache keeps it. `home`
 * is the number of the zone to try first. Before the owning CPU allocates.
 */
void frame_cache_init(struct frame_cache *cache, void *memory, uint32_t slots, unsigned home);

/*
 * The same, in frame_cache_bytes(slots, zone_room) bytes: for a kernel that makes its zones again
 * later and then has at most zone_room of them.
 */
void frame_cache_init_for(struct frame_cache *cache, void *memory, uint32_t slots, unsigned home,
			  unsigned zone_room);

/*
 * Sets the CPU's NUMA node, and the order in which it tries zones from now on: zones.count entries,
 * which the caller keeps. While the owning CPU is not in a call of the allocator.
 */
void frame_cache_set_order(struct frame_cache *cache, unsigned node, const struct zone_order *order);

/*
 * On the owning CPU: empties the cache and sets its capacity and batch, in frames. capacity is cut
 * to the memory there is; 0 turns the cache off, and so does frame_cache_bypass. batch 0 lets the batch follow contention between
 * FRAME_CACHE_BATCH and FRAME_CACHE_BATCH_MAX, as far as the capacity allows. Panics unless
 * capacity >= 2 * batch and batch <= FRAME_CACHE_BATCH_MAX, and in a trap handler.
 */
void frame_cache_configure(uint32_t capacity, uint32_t batch);

/*
 * On the owning CPU: gives all its frames back to their zones. Any context outside a zone's lock.
 */
void frame_cache_flush(void);

/*
 * On the owning CPU: one step towards a parked cache. From the first step on the cache takes no
 * more frames; each step gives back at most FRAME_CACHE_STEP of them in one hold, with interrupts
 * masked. False: the cache is parked now. Any context outside a zone's lock.
 */
bool frame_cache_park_step(struct frame_cache *cache);

/* The most frames that one step gives back: bounds how long interrupts are masked. */
#define FRAME_CACHE_STEP 256

/*
 * On the owning CPU: true if it may keep memory in caches now. Opens a parked cache for that, unless
 * a request needs it shut. For the heap, whose stacks have room only while the frames' has. Any
 * context outside a zone's lock.
 */
bool frame_cache_may_keep(void);

/*
 * What the heap does for those that need frames. NULL: there is no heap.
 *
 * park: before this CPU's cache is parked; puts blocks that it keeps on stacks where every CPU finds
 * them: one bounded step, with interrupts masked, that takes and gives no frame. False: there is no
 * more.
 *
 * give: frees all frames that the heap keeps without need, and waits for no CPU. gone: how often any
 * of them have been freed or used since the heap was made. Any context outside the allocator's locks.
 */
struct frame_reclaimer {
	bool (*park)(void);
	void (*give)(void);
	uint64_t (*gone)(void);
};

extern const struct frame_reclaimer *frame_reclaimer;

/*
 * True: every allocation and every free takes the general slow paths, where faults are injected
 * (mm/fault.h). frame_cache_configure() then leaves each cache off, whatever the capacity, and
 * without the short way of a cache that is off. Written while no other CPU allocates; each CPU
 * configures its cache again after that.
 */
extern bool frame_cache_bypass;

/* Frames in the cache; exact on its own CPU and at rest, else an estimate. */
uint64_t frame_cache_level(const struct frame_cache *cache);

/* True if the cache seems to have frames of that zone. Any CPU; an estimate. */
bool frame_cache_may_hold(const struct frame_cache *cache, const struct zone *zone);

/* At rest: panics if an invariant is broken. */
void frame_cache_validate(const struct frame_cache *cache);

/* The slow halves of frame_alloc() and frame_free(); flags as for frame_alloc(). */
pfn_t frame_cache_refill(unsigned flags);
void frame_cache_overflow(uint64_t frame);
/*
 * The free of a frame outside the cache's zone: checks it, and keeps it until its zone gets it
 * back.
 */
void frame_cache_free_elsewhere(uint64_t frame);
/*
 * The free of a frame that is not allocated: panics and says which mistake it was. It is not
 * declared _Noreturn, so that the compiler may jump to it without saving the return address.
 */
void frame_cache_bad_free(uint64_t frame);
