/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entries.h - how a table in use is read and written; for mm/paging/ alone.
 *
 * Other harts may read a published table at any moment: their page table walkers, and
 * page_table_translate() without the lock. Hence:
 *
 * E1. An entry changes by one store of 64 bits, and each value that it ever has is valid by itself.
 * E2. The contents of a frame are written before the entry that points to it: a store fence is
 *     between. The partner is not a fence: the walker, and translate, take the address of the next
 *     read from the entry, and a read cannot come before its own address (RVWMO: address
 *     dependency).
 * E3. An entry is cleared before the frame that it pointed to is put into the gather. That frame is
 *     freed only after all harts that may have read the entry have flushed (gather.h).
 */
#pragma once

#include "mm/paging/page_status.h"
#include "mm/paging/pte.h"
#include "sync/ck.h"

static inline pte_t entry_load(const pte_t *entry)
{
	return (pte_t){ck_pr_load_64(&entry->value)};
}

static inline void entry_store(pte_t *entry, pte_t value)
{
	ck_pr_store_64(&entry->value, value.value);
}

/* E2. */
static inline void entry_publish(pte_t *entry, pte_t value)
{
	ck_pr_fence_store();
	entry_store(entry, value);
}

/*
 * Reads an entry that is followed without the lock: E2's reader. ThreadSanitizer knows no address
 * dependency, so for it this is an acquire.
 */
static inline pte_t entry_follow(const pte_t *entry)
{
#if defined(__SANITIZE_THREAD__)
	return (pte_t){__atomic_load_n(&entry->value, __ATOMIC_ACQUIRE)};
#else
	return entry_load(entry);
#endif
}

/* The table that an entry points to. */
static inline pte_t *entry_table(pte_t entry)
{
	return page_entries(pte_frame(entry));
}

/*
 * Page numbers of a space run from 0 to 512^levels - 1; those of the upper half of the addresses
 * come after those of the lower half. A range [first, end) lies in one half.
 */
struct page_range {
	uint64_t first, end;
};

static inline unsigned entry_index(uint64_t page, unsigned level)
{
	return vpn_index(vpn(page), level);
}

/* The end of the part of [page, end) that is under one entry of this level. */
static inline uint64_t piece_end(uint64_t page, uint64_t end, unsigned level)
{
	uint64_t behind = (page | (page_frames(level) - 1)) + 1;

	return behind < end ? behind : end;
}

/* Whether the piece [page, next) is all that its entry maps. */
static inline bool piece_is_whole(uint64_t page, uint64_t next, unsigned level)
{
	return next - page == page_frames(level);
}

static inline vpn_t page_vpn(uint64_t page, unsigned levels)
{
	unsigned above = 64 - PAGE_INDEX_BITS * levels;
	uint64_t extended = (uint64_t)((int64_t)(page << above) >> above);

	return vpn(extended & (~(uint64_t)0 >> FRAME_SHIFT));
}

/* ---- page_table.c ------------------------------------------------------------------------ */

struct page_table;
struct page_gather;
struct page_reserve;

/* Converts `length` bytes at `address` to page numbers, and checks them. */
enum page_status page_range_from(const struct page_table *table, virt_t address, uint64_t length,
				 struct page_range *range);

/* Maps the pages to the frames from first_frame on. */
struct mapping {
	struct page_range pages;
	uint64_t first_frame;
	unsigned flags;
};

/*
 * Adds to *needed the number of tables that mapping_fill() will need below `table` (NULL: there is
 * no table yet). False: something is mapped there.
 */
bool mapping_plan(const pte_t *table, unsigned level, struct mapping mapping, uint64_t *needed);
void mapping_fill(struct page_table *space, pte_t *table, unsigned level, struct mapping mapping,
		  struct page_reserve *reserve);

/*
 * Calls `visit` for each leaf, cut to the range, in order; false as soon as a call returns false.
 */
typedef bool (*leaf_visitor)(void *context, pte_t *entry, unsigned level, struct page_range piece);
bool leaves_visit(pte_t *table, unsigned level, struct page_range range, leaf_visitor visit,
		  void *context);

/* ---- page_change.c ----------------------------------------------------------------------- */

/*
 * The number of tables needed to split the large pages that cross an end of the range; and the
 * split, after which no page crosses an end.
 */
uint64_t split_needed(const struct page_table *space, struct page_range range);
void split_ends(struct page_table *space, struct page_range range, struct page_reserve *reserve,
		struct page_gather *gather);
