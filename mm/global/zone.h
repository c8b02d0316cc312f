/*
 * zone.h - a zone: one contiguous range of RAM, one lock, one policy instance.
 *
 * A zone's metadata lies at its own start, in frames that are never given out ("reserved"):
 * the policy's, one state byte a frame, and the lock's per-cpu part. Ledger, at rest:
 *
 *	free + (in caches) + (given out) + reserved = total
 *
 * Lock: zone->lock, taken with interrupts masked for exactly the policy's work. Lock order: a
 * zone's lock is innermost, and no cpu holds two of them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/global/policy.h"
#include "sync/spinlock.h"

/*
 * The state byte of a frame. An allocation adds one to it rather than setting it: so a frame
 * that was handed out twice says so when the first of its two owners gives it back.
 */
enum frame_state {
	FRAME_STATE_FREE = 0,
	FRAME_STATE_ALLOCATED = 1,
	FRAME_STATE_RUN_HEAD = 0x40, /* first frame of an allocated run */
	FRAME_STATE_RUN_BODY = 0x41,
	FRAME_STATE_RESERVED = 0x80
};

/* More frames than this become several zones: 8 TiB, what the run tree can describe. */
#define ZONE_FRAMES_MAX (UINT64_C(1) << 31)

struct zone {
	/* Read-only after zone_init. */
	uint64_t first;	       /* pfn */
	uint64_t total_frames; /* [first, first + total_frames) */
	uint64_t reserved_frames;
	uint8_t *state; /* of frame first + i: state[i] */
	const struct policy *policy;
	void *instance;
	size_t policy_bytes, state_bytes, lock_bytes;
	unsigned number; /* its place in the table of zones */
	unsigned node;	 /* NUMA node */
	char name[16];
	/* Guarded by the lock; read without it as a counter. */
	_Alignas(64) uint64_t free_frames;
	struct spinlock lock;
};

/* All zones, by rising address; set once, before the first allocation. */
struct zones {
	struct zone *zone;
	unsigned count;
};

extern struct zones zones;

/* Frames of [first, first + count) that would go to metadata, with this policy. */
uint64_t zone_metadata_frames(uint64_t first, uint64_t count, const struct policy *policy);

/*
 * Makes a zone of the frames [first, first + count), writes its metadata to its first frames and
 * sets all others free. False, and nothing written, when no frame would be left over.
 */
bool zone_init(struct zone *zone, unsigned number, unsigned node, uint64_t first, uint64_t count,
	       const struct policy *policy, enum spin_kind lock_kind);

/*
 * Claims between min and max frames as words (see policy.h); fewer only when the zone holds
 * fewer. Returns the number of words and *taken; *contended is set when the lock was waited for.
 * Any context outside a zone's lock. One hold of the lock; none when the zone looks empty.
 */
unsigned zone_claim(struct zone *zone, unsigned min, unsigned max, struct frame_word *words,
		    unsigned *taken, bool *contended);

/* Gives back `frames` frames in `count` words. Any context outside a zone's lock. */
void zone_release(struct zone *zone, const struct frame_word *words, unsigned count,
		  unsigned frames, bool *contended);

/*
 * Claims a contiguous run, the first frame a multiple of align (a power of two) as a pfn.
 * False when there is none. Repairs the run tree in several bounded holds of the lock; looking
 * through runs that are long enough but not aligned is not bounded so.
 */
bool zone_claim_run(struct zone *zone, uint64_t count, uint64_t align, uint64_t *first);
void zone_release_run(struct zone *zone, uint64_t first, uint64_t count);

/* The zone with the most frames. */
unsigned zone_largest(void);

/* The zone that the frame belongs to, or NULL. O(log zones). */
struct zone *zone_of(uint64_t pfn);

static inline bool zone_holds(const struct zone *zone, uint64_t pfn)
{
	return pfn - zone->first < zone->total_frames;
}

/* Frames that are free in the zone itself; exact at rest. */
static inline uint64_t zone_free_frames(const struct zone *zone)
{
	return counter_read(&zone->free_frames);
}

/* At rest: walks all of the zone, panics where an invariant is broken. */
void zone_validate(struct zone *zone);
