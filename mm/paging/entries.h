/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entries.h - how a table in use is read and written; for mm/paging/ alone.
 *
 * A table that has been published is read at any moment by other harts: by their page table
 * walkers, and by page_table_translate() without the lock. Hence:
 *
 * E1. An entry changes by one store of 64 bits, and each value it ever has is right by itself.
 * E2. What a frame holds is written before the entry that leads to it: a store fence between.
 *     Its partner is not a fence. The walker, as translate, gets the address of its next read
 *     from the entry, and a read cannot come before its own address (RVWMO: address dependency).
 * E3. An entry is taken away before what it led to is given to the gather, and that is freed only
 *     behind the flush of all harts that may have read the entry: see gather.h.
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
 * An entry that is followed without the lock: E2's reader. ThreadSanitizer knows no address
 * dependency, and is told of an acquire instead.
 */
static inline pte_t entry_follow(const pte_t *entry)
{
#if defined(__SANITIZE_THREAD__)
	return (pte_t){__atomic_load_n(&entry->value, __ATOMIC_ACQUIRE)};
#else
	return entry_load(entry);
#endif
}

/* The table that an entry leads to. */
static inline pte_t *entry_table(pte_t entry)
{
	return page_entries(pte_frame(entry));
}

/*
 * Pages are counted through a space from 0 to 512^levels - 1, the upper half of the addresses
 * behind the lower one. A range [first, end) never crosses from one half into the other.
 */
struct page_range {
	uint64_t first, end;
};

static inline unsigned entry_index(uint64_t page, unsigned level)
{
	return vpn_index(vpn(page), level);
}

/* Where the part of [page, end) ends that lies under one entry of this level. */
static inline uint64_t piece_end(uint64_t page, uint64_t end, unsigned level)
{
	uint64_t behind = (page | (page_frames(level) - 1)) + 1;

	return behind < end ? behind : end;
}

/* [page, next), a piece, is all that its entry is for. */
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

/* ---- what page_table.c has for the others ------------------------------------------------ */

struct page_table;
struct page_gather;
struct page_reserve;

/* The range of `length` bytes at `address`, where that is one. */
enum page_status page_range_from(const struct page_table *table, virt_t address, uint64_t length,
				 struct page_range *range);

/* Frames from first_frame on, for the pages from `first` on. */
struct mapping {
	struct page_range pages;
	uint64_t first_frame;
	unsigned flags;
};

/*
 * Adds to *needed the tables that filling in the mapping below `table` takes (NULL: no table
 * yet). False: something is mapped there.
 */
bool mapping_plan(const pte_t *table, unsigned level, struct mapping mapping, uint64_t *needed);
void mapping_fill(struct page_table *space, pte_t *table, unsigned level, struct mapping mapping,
		  struct page_reserve *reserve);

/* Calls for each leaf, cut to the range, in order; false as soon as a call says so. */
typedef bool (*leaf_visitor)(void *context, pte_t *entry, unsigned level, struct page_range piece);
bool leaves_visit(pte_t *table, unsigned level, struct page_range range, leaf_visitor visit,
		  void *context);

/* ---- what page_change.c has for the others ----------------------------------------------- */

/* Tables for having no leaf cross an end of the range; and having it so. */
uint64_t split_needed(const struct page_table *space, struct page_range range);
void split_ends(struct page_table *space, struct page_range range, struct page_reserve *reserve,
		struct page_gather *gather);
