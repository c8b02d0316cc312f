/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gather.h - what a change took out of a space, until no hart can reach it any more.
 *
 * A frame that is unmapped can still be read and written through other harts' translation caches,
 * and a table that is taken out can still be read by their walkers, until they have executed an
 * SFENCE.VMA. So a change frees nothing. It notes here what to flush and what is then to be freed:
 *
 *	page_gather_init(&gather);
 *	lock the space
 *	status = page_table_unmap(&table, address, length, &gather, &reserve);  (page_reserve.h has the loop)
 *	unlock
 *	flush on every hart that has used the space (SBI remote sfence.vma, own sfence.vma)
 *	page_gather_release(&gather, drop, context);
 *
 * Several changes may share one gather and one flush. It is the caller's, on one cpu, and needs no
 * lock.
 *
 * A gathered table keeps to this until it is freed: all of its entries are invalid, for a walker
 * may read it still. It is linked through its first entry, as a frame number with V clear, which
 * to hardware is as good as zero; so any number of tables fits. Runs of frames have a fixed room:
 * when it is used up, unmapping stops there and says PAGE_AGAIN.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/paging/pte.h"

/* So that a gather may lie on a kernel's stack: 576 bytes in all. */
#define PAGE_GATHER_RUNS 32

/* Frames that no longer have the mapping they had; `shared`: others may have mappings of them. */
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

	/* To be freed behind the flush. */
	pfn_t table; /* the first of a list */
	uint64_t tables;
	unsigned runs;
	struct page_run run[PAGE_GATHER_RUNS];

	/* What page_table_unmap_rest() goes on with, in pages of its own count. */
	uint64_t rest_first, rest_end;
};

/* Behind the flush, for each run: gives up one reference to each of its frames. */
typedef void (*page_drop)(void *context, pfn_t first, uint64_t frames, bool shared);

void page_gather_init(struct page_gather *gather);

static inline bool page_gather_needs_flush(const struct page_gather *gather)
{
	return gather->first.value != gather->end.value;
}

/*
 * After the flush: frees the tables, drops the runs, and is empty again, except that it knows
 * what is left to unmap. drop: NULL when no mapping was PAGE_OWNED. O(tables + runs); no lock.
 */
void page_gather_release(struct page_gather *gather, page_drop drop, void *context);

/* ---- for mm/paging/ alone ---------------------------------------------------------------- */

/* Pages [first, end) must be flushed. */
void page_gather_note(struct page_gather *gather, vpn_t first, vpn_t end);

/* Takes note of a leaf's frames, if they are PAGE_OWNED; false when there is no room for that. */
bool page_gather_leaf(struct page_gather *gather, pte_t leaf, unsigned level);

/* A table that no entry leads to any more, all of whose entries are zero. */
void page_gather_table(struct page_gather *gather, pfn_t table);
