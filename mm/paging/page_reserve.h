/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_reserve.h - frames for tables and for reference counts, allocated before a space is locked.
 *
 * While a space is locked nothing is allocated, zeroed or freed: an allocation may wait for other
 * CPUs to give back what they have cached, and to zero a frame takes longer than most changes. So a
 * change takes its frames from a reserve. It knows how many it needs after it has read its range,
 * which takes the lock. If the reserve has too few, it fails and is repeated:
 *
 *	page_reserve_init(&reserve);
 *	do {
 *		lock the space
 *		status = page_table_map(&table, address, frame, length, flags, &reserve);
 *		unlock
 *	} while (page_reserve_refill(&reserve, &status));
 *
 * A change that finds too few frames changes nothing, notes in the reserve how many it needs, and
 * answers PAGE_SHORT. Most changes need none and take the lock once. A change that needs frames
 * takes it twice, and the number is exact. If the space has changed in between, frames that are
 * left over are freed, or more are allocated. The loop ends: a reserve only grows, each time by one
 * frame at least, and no change needs more than in a space without tables. (Frames that have become
 * counts stay, so they are needed once.)
 *
 * A reserve belongs to one caller on one CPU and needs no lock. Its frames are linked through their
 * first words; all other bytes are zero. The heap has the same for blocks of any size
 * (mm/heap/reserve.h), which is all or nothing: it does not learn by trying how many it needs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/paging/page_status.h"

struct page_reserve {
	void *first;	 /* a list, mm/spare_list.h; NULL: no frames */
	uint64_t frames; /* number of frames in the reserve */
	uint64_t wanted; /* number that a change wants which was short; 0: no change was short */
	uint64_t least;	 /* number that is enough to repeat the change */
	uint64_t kept;	 /* part of `frames` for tables: no counts are made of these */
	uint64_t counts; /* frames that became counts */
};

/* Makes an empty reserve. */
static inline void page_reserve_init(struct page_reserve *reserve)
{
	*reserve = (struct page_reserve){.first = NULL};
}

/* The out-of-line part of page_reserve_refill(). */
bool page_reserve_settle(struct page_reserve *reserve, enum page_status *status);

/*
 * After a change, with no lock held; may wait as frame_alloc() does. True: the change was short;
 * the reserve now has frames for it, and it must be repeated. False: *status is the answer, with
 * PAGE_NO_FRAMES in the place of PAGE_SHORT where there are no frames. The reserve is then empty:
 * frames that were left over have been freed. O(frames allocated or freed).
 */
static inline bool page_reserve_refill(struct page_reserve *reserve, enum page_status *status)
{
	if (*status != PAGE_SHORT && reserve->frames == 0)
		return false;
	return page_reserve_settle(reserve, status);
}

/* Whether a change was short. */
static inline bool page_reserve_is_short(const struct page_reserve *reserve)
{
	return reserve->wanted != 0;
}

/* ---- for mm/paging/ alone -------------------------------------------------------------------- */

/* Whether the reserve has `frames` frames for tables; where not, it is short of them. */
bool page_reserve_has(struct page_reserve *reserve, uint64_t frames);

/* Takes a frame, all zero, after page_reserve_has(). */
pfn_t page_reserve_take(struct page_reserve *reserve);

/*
 * Takes a frame for counts, all zero; PFN_NONE: the reserve is short. The number of missing counts
 * is not known before they are made. So the reserve then wants one frame more than have become
 * counts so far; but one frame is enough to go on.
 */
pfn_t page_reserve_take_spare(struct page_reserve *reserve);

/* Puts such a frame back, still all zero: another CPU has made the counts first. */
void page_reserve_put_back(struct page_reserve *reserve, pfn_t frame);
