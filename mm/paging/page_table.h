/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * page_table.h - an address space as the hardware reads it: Sv39 or Sv48 tables made of frames.
 *
 *	struct page_table table;
 *
 *	if (page_table_create(&table, SV39_LEVELS, asid) != PAGE_OK)
 *		return false;
 *	page_reserve_init(&reserve);
 *	do {
 *		lock the space
 *		status = page_table_map(&table, virt(0x40000000), frame, 64 * MIB,
 *					PAGE_READ | PAGE_WRITE | PAGE_USER | PAGE_OWNED, &reserve);
 *		unlock
 *	} while (page_reserve_refill(&reserve, &status));
 *	csr_write(satp, page_table_satp(&table));
 *
 * Pages are as large as alignment and length allow. Pieces of large pages can be unmapped and
 * protected: they are then split, and do not grow together again.
 *
 * Locking is the caller's: one lock for each space, held for every call here that is given the
 * table, except for page_table_translate() and page_table_satp(). It may be a spinlock: nothing
 * waits, and no frame is allocated, zeroed or freed under it, except by page_table_create() and
 * page_table_destroy(), when nobody else has the table. Frames for new tables come out of a struct
 * page_reserve (page_reserve.h): every call that is given one may say PAGE_SHORT, and is then made again.
 *
 * All or nothing: a call that says anything but PAGE_OK or PAGE_AGAIN has changed nothing, in
 * any table, and has taken nothing out of the reserve but frames for counts, which stay (refcount.h).
 *
 * Flushing is the caller's, for only it knows which harts use the space. A change that takes
 * something away gives it to a struct page_gather (gather.h), to be flushed for and then freed.
 * page_table_map() takes nothing away: the hart that goes on to use the pages executes one
 * SFENCE.VMA, for it may have kept "not valid" in mind, and so may others, who take a fault that is
 * none and find the page mapped when they look.
 *
 * Invariants: an entry is valid or zero; a table other than the root has an entry in use; a large
 * page is as aligned as it is large, in both spaces. How entries are written: entries.h.
 *
 * Costs are in entries and tables, never in pages: mapping 1 GiB in pages of 2 MiB writes 512
 * entries, and finds their table once. A table that may have become empty is looked through from
 * where it changed, outwards, to the first entry in use: usually the neighbour.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/paging/gather.h"
#include "mm/paging/page_status.h"
#include "mm/paging/pte.h"
#include "mm/paging/page_reserve.h"

struct page_table {
	pfn_t root;
	unsigned levels; /* SV39_LEVELS or SV48_LEVELS */
	uint16_t asid;
	uint64_t tables; /* frames, the root included */
};

/* One page of some size, as it is mapped. */
struct page_leaf {
	virt_t address; /* of its first byte */
	pfn_t frame;
	unsigned level; /* size: page_size(level) */
	unsigned flags; /* enum page_flags */
};

#define PAGE_MUST_USE __attribute__((warn_unused_result))

/* An empty space: one frame. PAGE_OK or PAGE_NO_FRAMES; levels other than 3 and 4 are a panic. */
PAGE_MUST_USE enum page_status page_table_create(struct page_table *table, unsigned levels,
						 uint16_t asid);

/*
 * Frees all tables. No hart has the space in satp any more, nor anything of it in its translation
 * caches. drop: called for each page that is mapped PAGE_OWNED; NULL when there is none.
 */
void page_table_destroy(struct page_table *table, page_drop drop, void *context);

/* What satp is to hold for this space: mode, ASID, root. */
uint64_t page_table_satp(const struct page_table *table);

/*
 * Maps `length` bytes at `address` to the frames from `frame` on, where nothing is mapped. What
 * was written to the frames before is seen by whoever sees the mapping. PAGE_OWNED without
 * PAGE_SHARED says that nobody else has the frames. A frame that others have may be mapped too, by
 * one who has taken a reference for it, as PAGE_SHARED: with PAGE_WRITE it is copied when written
 * to.
 */
PAGE_MUST_USE enum page_status page_table_map(struct page_table *table, virt_t address, pfn_t frame,
					      uint64_t length, unsigned flags,
					      struct page_reserve *reserve);

/*
 * Unmaps a range that is mapped from end to end. PAGE_AGAIN: the gather had no room for more
 * runs of frames, and the beginning of the range is unmapped; flush, release it, and go on:
 *
 *	status = page_table_unmap(&table, address, length, &gather, &reserve), as above
 *	while (status == PAGE_AGAIN) {
 *		unlock, flush, page_gather_release(), lock
 *		status = page_table_unmap_rest(&table, &gather);
 *	}
 *
 * The rest always succeeds or says PAGE_AGAIN, and takes no frames. What others have unmapped there
 * meanwhile is passed over; they must not map anything across its ends (a panic).
 */
PAGE_MUST_USE enum page_status page_table_unmap(struct page_table *table, virt_t address,
						uint64_t length, struct page_gather *gather,
						struct page_reserve *reserve);
PAGE_MUST_USE enum page_status page_table_unmap_rest(struct page_table *table,
						     struct page_gather *gather);

/*
 * What a range that is mapped from end to end allows from now on: PAGE_ACCESS_FLAGS. Whose the
 * frames are stays as it was, and PAGE_SHARED pages stay out of reach for writes.
 */
PAGE_MUST_USE enum page_status page_table_protect(struct page_table *table, virt_t address,
						  uint64_t length, unsigned flags,
						  struct page_gather *gather,
						  struct page_reserve *reserve);

/* ---- copy on write ----------------------------------------------------------------------- */

/*
 * How clone counts, under the lock. share: one more reference to each of the frames, or false and
 * none; it may be short of frames in the reserve, and then is asked again. drop: undoes it.
 */
struct page_sharing {
	bool (*share)(void *context, pfn_t first, uint64_t frames, struct page_reserve *reserve);
	page_drop drop;
	void *context;
};

/*
 * What `from` has mapped in the range gets mapped in `to` as well, at the same addresses; holes
 * stay holes, and `to` has nothing mapped there before. PAGE_OWNED pages become PAGE_SHARED in
 * both, so neither can write to them any more; `gather` is for `from`, whose harts must have been
 * flushed before anybody writes anywhere. Others are copied as they are. Both spaces' locks are
 * held. PAGE_REFUSED: share said false. O(entries in use in the range), and share for each page.
 */
PAGE_MUST_USE enum page_status page_table_clone(struct page_table *to, struct page_table *from,
						virt_t address, uint64_t length,
						const struct page_sharing *sharing,
						struct page_gather *gather,
						struct page_reserve *reserve);

/*
 * The two ends of a copy on write, for the page at `address` (4 KiB; a larger one is split).
 * replace: it has a frame of its own now, PAGE_OWNED, and what it had before goes into the gather.
 * It is PAGE_SHARED, so that nobody writes to it: others may still read the frame before, and would
 * miss that. When all harts have been flushed, unshare lets the write that faulted go on.
 * PAGE_AGAIN: nothing was done, for the gather is full.
 */
PAGE_MUST_USE enum page_status page_table_replace(struct page_table *table, virt_t address,
						  pfn_t frame, struct page_gather *gather,
						  struct page_reserve *reserve);

/*
 * unshare: nobody else has these frames any more, so what PAGE_WRITE asked for is allowed, in a
 * range that is mapped from end to end. Only allows more: a flush can be left to the faults.
 */
PAGE_MUST_USE enum page_status page_table_unshare(struct page_table *table, virt_t address,
						  uint64_t length, struct page_gather *gather,
						  struct page_reserve *reserve);

/* ---- looking ----------------------------------------------------------------------------- */

/*
 * The page that `address` lies in; false when there is none. O(levels). Without the lock too, as
 * the hardware does it: the answer was right at some moment of the call. Without the lock the
 * caller keeps gathered tables from being freed meanwhile: the flush that comes before must wait
 * for this cpu (one that it answers itself, by an IPI, does while interrupts are masked; the
 * firmware's remote fence does not).
 */
bool page_table_translate(const struct page_table *table, virt_t address, struct page_leaf *leaf);

/* Where a byte of that page lies. */
static inline phys_t page_leaf_phys(const struct page_leaf *leaf, virt_t address)
{
	return phys(pfn_to_phys(leaf->frame).value + (address.value - leaf->address.value));
}

/* Calls `visit` for each page that touches the range, by rising address, until it says false. */
typedef bool (*page_visitor)(void *context, const struct page_leaf *leaf);
PAGE_MUST_USE enum page_status page_table_walk(const struct page_table *table, virt_t address,
					       uint64_t length, page_visitor visit, void *context);

/* Walks all of it; panics where an invariant is broken. */
void page_table_validate(const struct page_table *table);
