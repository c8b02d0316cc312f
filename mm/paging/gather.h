/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gather.h - what a change has taken out of a space, until no hart can reach it any more.
 *
 * Until other harts have executed an SFENCE.VMA, they can read and write an unmapped frame through
 * their translation caches, and their walkers can read a table that was taken out. So a change
 * frees nothing. It notes here what to flush and what to free after the flush:
 *
 *	page_gather_init(&gather);
 *	lock the space
 *	status = page_table_unmap(&table, address, length, &gather, &reserve);  (page_reserve.h has the loop)
 *	unlock
 *	flush on every hart that has used the space (SBI remote sfence.vma, own sfence.vma)
 *	page_gather_release(&gather, drop, context);
 *
 * Several changes may share one gather and one flush. A gather belongs to one caller on one CPU and
 * needs no lock.
 *
 * All entries of a gathered table are invalid until it is freed, for a walker may still read it.
 * Tables are linked through their first entries, as a frame number with V clear, which hardware
 * treats like zero; so their number has no limit. Runs of frames have a fixed room: when it is used
 * up, unmapping stops there and answers PAGE_AGAIN.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/paging/pte.h"

/* A gather has 576 bytes with this, so that it fits on a kernel's stack. */
#define PAGE_GATHER_RUNS 32

/* Frames that have lost a mapping; `shared`: there may be other mappings of them. */
struct page_run {
	pfn_t first;
	uint64_t frames : 63;
	uint64_t shared : 1;
};

struct page_gather {
	/*
	 * What to flush: pages [first, end), as vpn; none when they are equal. `tables_too`:
	 * entries that are no leaves changed, and SFENCE.VMA for an address would not do (it
	 * orders leaves only): flush everything of the address space.
	 */
	vpn_t first, end;
	bool tables_too;

	/* To be freed after the flush. */
	pfn_t table; /* the first of a list of tables */
	uint64_t tables;
	unsigned runs;
	struct page_run run[PAGE_GATHER_RUNS];

	/* Where page_table_unmap_rest() continues, in page numbers of struct page_range. */
	uint64_t rest_first, rest_end;
};

/* Called after the flush, for each run: gives up one reference to each of its frames. */
typedef void (*page_drop)(void *context, pfn_t first, uint64_t frames, bool shared);

void page_gather_init(struct page_gather *gather);

static inline bool page_gather_needs_flush(const struct page_gather *gather)
{
	return gather->first.value != gather->end.value;
}

/*
 * After the flush, with no lock held: frees the tables and drops the runs. The gather is then
 * empty, but keeps what is left to unmap. `drop` may be NULL where no mapping was PAGE_OWNED.
 * O(tables + runs).
 */
void page_gather_release(struct page_gather *gather, page_drop drop, void *context);

/* ---- for mm/paging/ alone ---------------------------------------------------------------- */

/* Pages [first, end) must be flushed. */
void page_gather_note(struct page_gather *gather, vpn_t first, vpn_t end);

/* Notes a leaf's frames, if they are PAGE_OWNED; false where there is no room for another run. */
bool page_gather_leaf(struct page_gather *gather, pte_t leaf, unsigned level);

/* Notes a table to which no entry points any more, and whose entries are all zero. */
void page_gather_table(struct page_gather *gather, pfn_t table);
