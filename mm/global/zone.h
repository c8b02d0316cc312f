/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * zone.h - a zone: one contiguous range of RAM, one lock, one policy instance.
 *
 * A zone's metadata lies at its own start, in frames that are never given out ("reserved"):
 * the policy's, one state byte a frame and one for each word of 64, and the lock's per-cpu part. Ledger, at rest:
 *
 *	free + (in caches) + (given out) + reserved = total
 *
 * Lock: zone->lock, taken with interrupts masked for exactly the policy's work. Lock order: a
 * zone's lock is innermost. Only zones_claim_one_masked() holds two of them or more, and takes them
 * by rising number.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/global/policy.h"
#include "sync/spinlock.h"

#ifndef CHECKS
#define CHECKS 1
#endif

/*
 * The state byte of a frame. An allocation adds one to it rather than setting it: so a frame
 * that was handed out twice says so when the first of its two owners gives it back.
 */
enum frame_state {
	FRAME_STATE_FREE = 0,
	FRAME_STATE_ALLOCATED = 1,
	FRAME_STATE_HEAP = 0x20, /* a single frame of the heap's: frame_free() may not free it */
	FRAME_STATE_RUN_HEAD = 0x40, /* first frame of an allocated run */
	FRAME_STATE_RUN_BODY = 0x41,
	FRAME_STATE_HEAP_RUN = 0x42, /* first frame of a run of the heap's */
	FRAME_STATE_RESERVED = 0x80
};

/* More frames than this become several zones: 8 TiB, what the run tree can describe. */
#define ZONE_FRAMES_MAX (UINT64_C(1) << 31)

struct zone {
	/* Read-only after zone_init. */
	uint64_t first;	       /* pfn */
	uint64_t total_frames; /* [first, first + total_frames) */
	uint64_t reserved_frames;
	uint8_t *state;		   /* of frame first + i: state[i]; NULL without CHECKS */
	uintptr_t word_state_bias; /* of words that a run has as a whole: zone_word_state() */
	const struct policy *policy;
	void *instance;
	size_t policy_bytes, state_bytes, lock_bytes;
	unsigned number; /* its place in the table of zones */
	unsigned node;	 /* NUMA node */
	char name[16];
	/*
	 * A claim that leaves fewer than `low` is reported; again only after `low_rearm` were free.
	 */
	uint64_t low, low_rearm;
	/* Guarded by the lock; read without it as a counter. */
	_Alignas(PORT_CACHE_LINE) uint64_t free_frames;
	uint64_t releases; /* holds that gave frames back */
	struct spinlock lock;
	/* Of the low mark; written without the lock, and only when it is crossed. */
	_Alignas(PORT_CACHE_LINE) uint32_t low_notified; /* and low_rearm not reached since */
	uint64_t early_drains;
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
 * Sets the low mark, in frames; 0: none. It is cut to half of the zone's usable frames. On one
 * cpu, while no other cpu allocates.
 */
void zone_set_low(struct zone *zone, uint64_t frames);

/* Results of a hold of a zone's lock besides the frames. */
struct zone_hold {
	bool contended; /* the lock had to be waited for */
	bool low; /* this claim took the zone below its low mark: once for a fall, not again before
			 * `low_rearm` frames were free */
};

/*
 * Claiming frames as words (see policy.h), in two steps: first the plan, without the lock, in any
 * context outside it; then the claim, with interrupts masked by the caller, which can then note in
 * the same section which cpu has the frames. Takes between min and max frames, fewer only when the
 * zone holds fewer. `words` has room for min(max, POLICY_WORDS_MAX). Returns the number of words
 * and *taken.
 */
void zone_plan_claim(const struct zone *zone, unsigned min, unsigned max, struct frame_word *words,
		     struct policy_plan *plan);
unsigned zone_claim_masked(struct zone *zone, unsigned min, unsigned max,
			   const struct policy_plan *plan, struct frame_word *words,
			   unsigned *taken, struct zone_hold *hold);

/* Claims one frame, or says that there was none while the lock was held. Interrupts masked. */
bool zone_claim_one_masked(struct zone *zone, uint64_t *frame, struct zone_hold *hold);

/*
 * For zone_one.h, whose first try has found the lock held: these wait. The policy has claim_one() and
 * release_one(). Interrupts masked.
 */
bool zone_claim_one_found_held(struct zone *zone, uint64_t *frame, struct zone_hold *hold);
void zone_release_one_found_held(struct zone *zone, uint64_t frame);

/* True if a claim that left `left` of `before` free frames has crossed the low mark; see zone_hold. */
bool zone_crosses_low(struct zone *zone, uint64_t before, uint64_t left);

/*
 * The same of whichever zone has one, all their locks held at once: NULL says that at one instant
 * no zone had any. Interrupts masked; nodes[zones.count].
 */
struct zone *zones_claim_one_masked(struct spin_node *nodes, uint64_t *frame);

/* Gives back `frames` frames in `count` words; in two steps like a claim. */
void zone_plan_release(const struct zone *zone, const struct frame_word *words, unsigned count,
		       struct policy_plan *plan);
void zone_release_masked(struct zone *zone, const struct policy_plan *plan,
			 const struct frame_word *words, unsigned count, unsigned frames,
			 struct zone_hold *hold);

/* How often frames were given back to it; grows under its lock, read without. */
static inline uint64_t zone_releases(const struct zone *zone)
{
	return counter_read(&zone->releases);
}

/*
 * Claims a contiguous run, the first frame a multiple of align (a power of two) as a pfn.
 * False when there is none. Repairs the run tree in several bounded holds of the lock; looking
 * through runs that are long enough but not aligned is not bounded so. *low as in struct zone_hold.
 */
bool zone_claim_run(struct zone *zone, uint64_t count, uint64_t align, uint64_t *first, bool *low);
void zone_release_run(struct zone *zone, uint64_t first, uint64_t count);

/* The same for zone_run.h, whose first try has found the lock held. The policy answers all requests. */
bool zone_claim_run_found_held(struct zone *zone, uint64_t count, uint64_t align, uint64_t *first,
			       bool *low);
void zone_release_run_found_held(struct zone *zone, uint64_t first, uint64_t count);

/* One zone of the order in which a cpu tries them, and how far it is from that cpu. */
struct zone_order {
	uint32_t zone; /* number */
	uint32_t distance;
};

/*
 * Sorts zones.count entries: nearest first, and by rising number (that is, address) where the
 * distance is the same; but of the node of the very first, its largest zone comes before all.
 */
void zone_order_sort(struct zone_order *order);

/* The zone to try i-th, i < zones.count; without an order it goes round by number from `home`. */
static inline struct zone *zone_to_try(const struct zone_order *order, unsigned home, unsigned i)
{
	return &zones.zone[order ? order[i].zone : (home + i) % zones.count];
}

/* The zone with the most frames. */
unsigned zone_largest(void);

/* The zone that the frame belongs to, or NULL. O(log zones). */
struct zone *zone_of(uint64_t pfn);

static inline bool zone_holds(const struct zone *zone, uint64_t pfn)
{
	return pfn - zone->first < zone->total_frames;
}

/*
 * With CHECKS, the state of the word of 64 frames that a frame of the zone is in: 0, and then each frame
 * has its own; or, where a run has all 64 frames, that of the word's first frame. Eight words from a
 * multiple of 512 frames on are one aligned word of states.
 */
static inline uint8_t *zone_word_state(const struct zone *zone, uint64_t frame)
{
	return (uint8_t *)(zone->word_state_bias + frame / FRAMES_PER_WORD);
}

/* With CHECKS, the state of a frame of the zone. Any CPU: it may be a moment old. */
static inline unsigned zone_frame_state(const struct zone *zone, uint64_t frame)
{
	unsigned word = *(const volatile uint8_t *)zone_word_state(zone, frame);

	if (!word)
		return *(const volatile uint8_t *)&zone->state[frame - zone->first];
	return word == FRAME_STATE_RUN_HEAD && frame % FRAMES_PER_WORD ? FRAME_STATE_RUN_BODY
								       : word;
}

/* Frames that are free in the zone itself; exact at rest. */
static inline uint64_t zone_free_frames(const struct zone *zone)
{
	return counter_read(&zone->free_frames);
}

/* At rest: walks all of the zone, panics where an invariant is broken. */
void zone_validate(struct zone *zone);
