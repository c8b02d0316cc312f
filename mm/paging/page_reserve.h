/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_reserve.h - frames for tables and for counts of references, got before a space is locked.
 *
 * While a space is locked nothing is allocated, zeroed or freed: an allocation may wait for other
 * cpus to give back what they have cached, and zeroing a frame takes longer than most changes. So a
 * change takes the frames it needs out of a reserve. How many those are it knows when it has looked
 * at its range, which takes the lock; so it asks by failing:
 *
 *	page_reserve_init(&reserve);
 *	do {
 *		lock the space
 *		status = page_table_map(&table, address, frame, length, flags, &reserve);
 *		unlock
 *	} while (page_reserve_refill(&reserve, &status));
 *
 * A change that finds too few has done nothing, leaves in the reserve how many it takes, and says
 * PAGE_SHORT. Most need none and have the lock once; one that does has it twice, and what it needs
 * is exact. If the space has changed in between, what is over goes back, or more is got. That ends:
 * a reserve only grows, each time by one frame at least, and no change needs more than it would where
 * there is no table at all. (Frames that have become counts stay, so they are needed once.)
 *
 * A reserve is the caller's, on one cpu, and needs no lock. Its frames are linked through their first
 * words and are zero but for those.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/paging/page_status.h"

struct page_reserve {
	pfn_t first;
	uint64_t frames; /* in it */
	uint64_t wanted; /* in it, by a change that was short; 0: none was */
	uint64_t least;	 /* as many will do to go on */
	uint64_t kept;	 /* of those in it, for tables: no counts are made of them */
	uint64_t counts; /* frames that became counts */
};

/* Empty. */
static inline void page_reserve_init(struct page_reserve *reserve)
{
	*reserve = (struct page_reserve){.first = PFN_NONE};
}

/* The rest of page_reserve_refill(). */
bool page_reserve_settle(struct page_reserve *reserve, enum page_status *status);

/*
 * After a change, with no lock held. True: it was short, and is to be made again; the reserve has
 * what it was short of. False: *status stands, PAGE_NO_FRAMES in the place of PAGE_SHORT where
 * there are no frames, and the reserve is empty: what was left of it has been freed. O(frames got or
 * freed).
 */
static inline bool page_reserve_refill(struct page_reserve *reserve, enum page_status *status)
{
	if (*status != PAGE_SHORT && reserve->frames == 0)
		return false;
	return page_reserve_settle(reserve, status);
}

/* A change was short. */
static inline bool page_reserve_is_short(const struct page_reserve *reserve)
{
	return reserve->wanted != 0;
}

/* ---- for mm/paging/ alone -------------------------------------------------------------------- */

/* Whether there are `frames` in it, for tables; if not, it is short of them. */
bool page_reserve_has(struct page_reserve *reserve, uint64_t frames);

/* One of those that page_reserve_has() has found to be there; all zero. */
pfn_t page_reserve_take(struct page_reserve *reserve);

/*
 * One for counts, all zero, or PFN_NONE, and it is short. How many counts are missing is not known
 * before they are made, so one more is wanted than have been made of it so far; but one is enough
 * to go on.
 */
pfn_t page_reserve_take_spare(struct page_reserve *reserve);

/* Puts that back, all zero still: others were faster. */
void page_reserve_put_back(struct page_reserve *reserve, pfn_t frame);
