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
 * All functions may be called on any CPU whose area the port has made, in any context outside a
 * zone's lock. Each function's comment says whether it may wait for other CPUs.
 *
 * A frame may be freed on another CPU than the CPU that allocated it. The CPU that hands it over
 * does so with a release, and the other CPU takes it with an acquire (a lock, a ring): this orders
 * the data in the frame, and the frame's state byte, which belongs to the frame's owner.
 *
 * Exhaustion is an answer, PFN_NONE. A caller's mistake panics at the call that made it: a frame
 * that is freed twice or was never allocated, an address that is no frame's.
 */
#pragma once

#include "mm/address.h"
#include "mm/percpu/cache.h"
#include "mm/platform.h"

/*
 * What an allocation may do. Without FRAME_NOWAIT it may wait, before it fails, until other CPUs
 * have given back what their caches hold. So its caller may hold no lock that another CPU may wait
 * for with interrupts masked (docs/porting.md, "Which call may wait").
 */
enum frame_flags {
	FRAME_ANY = 0,
	FRAME_ZERO = 1, /* all bytes 0; zeroed outside every lock of the allocator */
	/*
	 * Waits for no other CPU, and is legal under any lock of the caller's. It may fail although
	 * caches have frames: those of other CPUs, and for a run, or if a trap handler has refilled
	 * the cache meanwhile, also this CPU's own.
	 */
	FRAME_NOWAIT = 2
};

/* The address at which the frame's bytes can be read and written. */
static inline void *frame_bytes(pfn_t frame)
{
	return port_phys_pointer(pfn_to_phys(frame).value);
}

/* Sets all bytes of the frame to 0. */
void frame_zero(pfn_t frame);

/*
 * For mm/ alone: counts one allocation in the frame's state byte, which is at state_bias + frame.
 * enum frame_state in zone.h says why it adds.
 */
static inline void frame_mark_allocated(uintptr_t state_bias, uint64_t frame)
{
#if CHECKS
	uint8_t *state = (uint8_t *)(state_bias + frame);

	*state = (uint8_t)(*state + 1);
#else
	(void)state_bias;
	(void)frame;
#endif
}

/*
 * Allocates one frame; PFN_NONE if there is none. flags: enum frame_flags.
 *
 * Cost: a hit of the cache has no lock, atomic, CSR or call, and does not touch the frame. One miss
 * for each batch takes a zone's lock once. If no zone has a frame, it waits for other CPUs, unless
 * FRAME_NOWAIT; PFN_NONE then means that at some instant during the call no frame was free
 * anywhere.
 */
__attribute__((always_inline)) static inline pfn_t frame_alloc(unsigned flags)
{
	struct frame_cache *cache __attribute__((unused)) = frame_cache_self();
	uint64_t number;
	pfn_t frame;

	frame_cache_pop(cache, number, empty);
	frame_mark_allocated(cache->state_bias, number);
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

/*
 * Frees a frame of frame_alloc(). Costs as much as frame_alloc(), and never waits for another CPU.
 */
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

/* The same two as functions, for callers whose code must be small. */
pfn_t frame_alloc_called(void);
void frame_free_called(pfn_t frame);

/*
 * Allocates `count` contiguous frames, the first a multiple of `align` frames in physical memory.
 * count >= 1; align: a power of two, or 0 for any; else it panics. PFN_NONE if no such run is free.
 *
 * Cost: takes a zone's lock; O(log frames), plus the repair of the run tree where single-frame
 * traffic has dirtied it. Flags as for frame_alloc(): without FRAME_NOWAIT, and if no zone has such
 * a run, it asks other CPUs once for what their caches hold. It does not ask again while no zone
 * has been given a frame and no cache has opened since the last time.
 */
pfn_t frame_alloc_run_flags(uint64_t count, uint64_t align, unsigned flags);

/*
 * For the heap: the same, and a single frame, without what the heap keeps, which it gives up by
 * itself. align >= 1; FRAME_NOWAIT is the only flag.
 */
pfn_t frame_alloc_behind(unsigned flags);
pfn_t frame_alloc_run_behind(uint64_t count, uint64_t align, unsigned flags);

/* The same with FRAME_ANY. */
pfn_t frame_alloc_run(uint64_t count, uint64_t align);

/*
 * Frees a whole run of frame_alloc_run(), with the same count. Writes `count` state bytes, takes
 * one zone's lock, and never waits for another CPU.
 */
void frame_free_run(pfn_t first, uint64_t count);

/*
 * Frees the frames behind the first `kept` of a run of `count` frames, 1 <= kept < count. The run has
 * `kept` frames from then on. Cost as that of frame_free_run().
 */
void frame_shrink_run(pfn_t first, uint64_t count, uint64_t kept);

/* As frame_free(), by address; panics if the address is not the first byte of a frame. */
void frame_free_address(phys_t address);

/* Frames free in zones and in caches. Exact at rest, else an estimate. */
uint64_t frame_free_count(void);

/* Frames in all zones, metadata included. */
uint64_t frame_total_count(void);

/* Frames in caches. Exact at rest, else an estimate. */
uint64_t frame_cached_count(void);

/*
 * Where all frames are. `allocated` is the rest; it includes frames that are this moment between
 * their owner and a zone, at most one for each CPU. All are exact, and in_flight is 0, while no CPU
 * is in the allocator, which frame_drain_settle() can bring about. Else the numbers are of
 * different moments: each is wrong by at most what moved during the call.
 */
struct frame_ledger {
	uint64_t total;	    /* = reserved + free + cached + in_flight + allocated */
	uint64_t reserved;  /* zones' metadata */
	uint64_t free;	    /* in zones */
	uint64_t cached;    /* in caches, on stacks and waiting in `remote` */
	uint64_t in_flight; /* between a cache and a zone: at most a batch for each CPU */
	uint64_t allocated;
	uint64_t cached_max; /* the most that the caches of CPUs on line may hold */
};

void frame_ledger(struct frame_ledger *ledger);

/*
 * At rest: checks every cache and zone, and that the ledger adds up over all of them; else panics.
 */
void frame_validate(void);

/*
 * An owner: a frame that is freed at the end of the scope in which it is declared.
 *
 *	frame_owner frame = frame_own(frame_alloc(0));
 *
 * frame_disown() returns the frame and leaves PFN_NONE, which is not freed.
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
