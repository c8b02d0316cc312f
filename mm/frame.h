/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.h - the frame allocator: what the rest of a kernel calls.
 *
 *	pfn_t frame = frame_alloc(FRAME_ZERO);
 *
 *	if (pfn_is_none(frame))
 *		return false;
 *	...
 *	frame_free(frame);
 *
 * All of it may be called on any cpu whose area the port has made, in any context outside a
 * zone's lock; what may wait for other cpus is said at each function. A frame may be freed on another
 * cpu than the one that allocated it. The cpu that hands it over orders that with a release, and the
 * other one with an acquire (a lock, a ring): for its own data in the frame, and for the allocator's
 * note that the frame is allocated.
 *
 * Exhaustion is an answer, PFN_NONE. A caller's mistake (a frame freed twice, one that was never
 * given out, an address that is no frame's) is a panic at the call that made it.
 */
#pragma once

#include "mm/address.h"
#include "mm/percpu/cache.h"
#include "mm/platform.h"

/*
 * What an allocation may do. Without FRAME_NOWAIT it may wait for other cpus to give back what they
 * have cached, before it says that there is nothing: so its caller holds no lock that another cpu may
 * spin on with interrupts masked (docs/porting.md, "Which call may wait").
 */
enum frame_flags {
	FRAME_ANY = 0,
	FRAME_ZERO = 1, /* all bytes 0; zeroed outside every lock of the allocator */
	FRAME_NOWAIT =
		2 /* waits for no other cpu; legal under any lock of the caller's, and may say that
			  * there is nothing though caches have frames: of other cpus, and where a run is
			  * asked for, this cpu's own */
};

/* Where the frame's bytes are. */
static inline void *frame_bytes(pfn_t frame)
{
	return port_phys_pointer(pfn_to_phys(frame).value);
}

void frame_zero(pfn_t frame);

/* One allocated frame more in the books; see enum frame_state in zone.h for why it adds. */
static inline void frame_mark_allocated(const struct frame_cache *cache, uint64_t frame)
{
#if CHECKS
	uint8_t *state = (uint8_t *)(cache->state_bias + frame);

	*state = (uint8_t)(*state + 1);
#else
	(void)cache;
	(void)frame;
#endif
}

/*
 * Takes one frame, or PFN_NONE when none is to be had. On a cache hit: no lock, atomic, CSR or
 * call, and the frame is not touched; one miss in a batch takes a zone's lock once. Where no zone has a
 * frame it waits for other cpus, unless FRAME_NOWAIT; and then PFN_NONE says that at some instant during
 * the call no frame was free anywhere.
 */
__attribute__((always_inline)) static inline pfn_t frame_alloc(unsigned flags)
{
	struct frame_cache *cache __attribute__((unused)) = frame_cache_self();
	uint64_t number;
	pfn_t frame;

	frame_cache_pop(cache, number, empty);
	frame_mark_allocated(cache, number);
	frame = pfn(number);
	if (flags & FRAME_ZERO)
		frame_zero(frame);
	return frame;
empty:
	frame = frame_cache_refill(flags);
	if ((flags & FRAME_ZERO) && !pfn_is_none(frame))
		frame_zero(frame);
	return frame;
}

/* Gives back a frame of frame_alloc(). Costs as frame_alloc(), and never waits for another cpu. */
__attribute__((always_inline)) static inline void frame_free(pfn_t frame)
{
	struct frame_cache *cache __attribute__((unused)) = frame_cache_self();
	uint64_t number = frame.value;

#if CHECKS
	uint8_t *state = (uint8_t *)(cache->state_bias + number);

	if (__builtin_expect(number - cache->first >= cache->count, 0)) {
		frame_cache_free_elsewhere(number);
		return;
	}
	if (__builtin_expect(*state != 1, 0)) {
		frame_cache_bad_free(number);
		return;
	}
	*state = 0;
#endif
	frame_cache_push(cache, number, full);
	return;
full:
	frame_cache_overflow(number);
}

/* The same two as functions, for callers that would rather be small. */
pfn_t frame_alloc_called(void);
void frame_free_called(pfn_t frame);

/*
 * Takes `count` contiguous frames, the first a multiple of `align` frames in physical memory.
 * align: a power of two, or 0 for any; count >= 1; else a panic. PFN_NONE when no such run is
 * free. O(log frames) plus the repair of what single-frame traffic dirtied; takes a zone's lock. Flags
 * as for frame_alloc(): without FRAME_NOWAIT other cpus are asked for what they have cached, once, when
 * no zone has such a run. They are not asked again while no zone has been given a frame, and no cache has
 * been opened, since the last time.
 */
pfn_t frame_alloc_run_flags(uint64_t count, uint64_t align, unsigned flags);

/* The same with FRAME_ANY. */
pfn_t frame_alloc_run(uint64_t count, uint64_t align);

/*
 * Gives back a whole run of frame_alloc_run(), same count. O(count) bytes of state; one lock; never
 * waits for another cpu.
 */
void frame_free_run(pfn_t first, uint64_t count);

/* As frame_free, by address; panics when the address is not the first byte of a frame. */
void frame_free_address(phys_t address);

/* Frames free anywhere: in zones and in caches. Exact at rest, else a moment's estimate. */
uint64_t frame_free_count(void);

/* Frames in all zones, metadata included. */
uint64_t frame_total_count(void);

/* Frames in caches; exact at rest. */
uint64_t frame_cached_count(void);

/*
 * Where all frames are. What is `allocated` follows from the rest: it includes a frame that is this
 * moment between its owner and a zone, one a cpu at most. Exact while no cpu is in the allocator,
 * which frame_drain_settle() can bring about, and then none is in flight. Else the numbers
 * are of different moments: each is off by no more than what moved during the call.
 */
struct frame_ledger {
	uint64_t total;	    /* = reserved + free + cached + in_flight + allocated */
	uint64_t reserved;  /* zones' metadata */
	uint64_t free;	    /* in zones */
	uint64_t cached;    /* in caches, on the stack or on their way home */
	uint64_t in_flight; /* between a cache and a zone: a batch a cpu at most */
	uint64_t allocated;
	uint64_t cached_max; /* what cpus on line may have cached at most */
};

void frame_ledger(struct frame_ledger *ledger);

/* At rest: every cache and zone checks itself, and the ledger is closed over all of them. */
void frame_validate(void);

/*
 * A frame that is freed at the end of the scope it is declared in:
 *
 *	frame_owner frame = frame_own(frame_alloc(0));
 *
 * frame_disown() takes it out of the owner's hands. An owner of PFN_NONE frees nothing.
 */
struct frame_owned {
	pfn_t frame;
};

static inline struct frame_owned frame_own(pfn_t frame)
{
	return (struct frame_owned){frame};
}

static inline pfn_t frame_disown(struct frame_owned *owned)
{
	pfn_t frame = owned->frame;

	owned->frame = PFN_NONE;
	return frame;
}

static inline void frame_owned_end(struct frame_owned *owned)
{
	if (!pfn_is_none(owned->frame))
		frame_free(owned->frame);
}

#define frame_owner __attribute__((cleanup(frame_owned_end))) struct frame_owned
