/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * paging_calls.h - calls as a kernel makes them: under a lock, with a reserve of frames that is
 * filled outside of it.
 *
 * For one C file. paging_locked is set where a kernel would hold the space's lock; code that must
 * not run there can check it. paging_meanwhile, if set, is what another cpu does with the space
 * between two locks, once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/paging/page_table.h"
#include "mm/paging/refcount.h"

static __thread bool paging_locked;
static void (*paging_meanwhile)(void);
static __thread uint64_t paging_rounds; /* locks of the last call */

static bool paging_again(struct page_reserve *stock, enum page_status *status)
{
	void (*other)(void) = paging_meanwhile;
	uint64_t rounds = paging_rounds + 1;
	bool again;

	paging_locked = false;
	again = page_reserve_refill(stock, status);
	if (again && other) {
		paging_meanwhile = NULL;
		other();
	}
	paging_rounds = rounds;
	return again;
}

/* The call, which may say PAGE_SHORT and uses `stock`, until it says something else. */
#define PAGING_STOCKED(call)                                                                       \
	struct page_reserve stock;                                                                 \
	enum page_status status;                                                                   \
                                                                                                   \
	page_reserve_init(&stock);                                                                 \
	paging_rounds = 0;                                                                         \
	do {                                                                                       \
		paging_locked = true;                                                              \
		status = call;                                                                     \
	} while (paging_again(&stock, &status));                                                   \
	return status

static inline enum page_status locked_map(struct page_table *table, virt_t address, pfn_t frame,
					  uint64_t length, unsigned flags)
{
	PAGING_STOCKED(page_table_map(table, address, frame, length, flags, &stock));
}

static inline enum page_status locked_unmap(struct page_table *table, virt_t address,
					    uint64_t length, struct page_gather *gather)
{
	PAGING_STOCKED(page_table_unmap(table, address, length, gather, &stock));
}

static inline enum page_status locked_unmap_rest(struct page_table *table,
						 struct page_gather *gather)
{
	enum page_status status;

	paging_locked = true;
	status = page_table_unmap_rest(table, gather);
	paging_locked = false;
	return status;
}

static inline enum page_status locked_protect(struct page_table *table, virt_t address,
					      uint64_t length, unsigned flags,
					      struct page_gather *gather)
{
	PAGING_STOCKED(page_table_protect(table, address, length, flags, gather, &stock));
}

static inline enum page_status locked_unshare(struct page_table *table, virt_t address,
					      uint64_t length, struct page_gather *gather)
{
	PAGING_STOCKED(page_table_unshare(table, address, length, gather, &stock));
}

static inline enum page_status locked_replace(struct page_table *table, virt_t address, pfn_t frame,
					      struct page_gather *gather)
{
	PAGING_STOCKED(page_table_replace(table, address, frame, gather, &stock));
}

static inline enum page_status locked_clone(struct page_table *to, struct page_table *from,
					    virt_t address, uint64_t length,
					    const struct page_sharing *sharing,
					    struct page_gather *gather)
{
	PAGING_STOCKED(page_table_clone(to, from, address, length, sharing, gather, &stock));
}

static inline enum page_status share_once(struct frame_refs *refs, pfn_t first, uint64_t frames,
					  struct page_reserve *stock)
{
	if (frame_refs_share(refs, first, frames, stock))
		return PAGE_OK;
	return page_reserve_is_short(stock) ? PAGE_SHORT : PAGE_REFUSED;
}

static inline enum page_status locked_share_status(struct frame_refs *refs, pfn_t first,
						   uint64_t frames)
{
	PAGING_STOCKED(share_once(refs, first, frames, &stock));
}

static inline bool locked_share(struct frame_refs *refs, pfn_t first, uint64_t frames)
{
	return locked_share_status(refs, first, frames) == PAGE_OK;
}
