/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space_change.c - map, unmap, protect, clone.
 *
 * Each change runs under the space's lock and allocates nothing there: where the reserve is short
 * of frames, the change does nothing, and is repeated after the lock was released and the reserve
 * refilled.
 *
 * `flushing` counts the changes whose flush other changes must not overtake. It rises under the
 * lock, with the change. These changes are:
 *
 *	unmap	or a page would be mapped again while cpus still see the old one
 *	clone	takes the right to write from pages of `from`; or a page would be copied to which
 *		other cpus still write
 *	copy	a copy that replaces a page (space_fault.c); or its owner would write to it while cpus
 *		still read the frame before it
 *
 * So a cpu that maps or answers a write fault waits until `flushing` is 0
 * (space_lock_when_flushed). Other changes need not wait.
 */
#include "kernel/vm/space_private.h"

#include <port.h>

#include "mm/check.h"

enum page_status space_map(struct space *space, virt_t address, pfn_t frame, uint64_t length,
			   unsigned flags)
{
	struct page_reserve reserve;
	struct spin_node node;
	enum page_status status;

	page_reserve_init(&reserve);
	do {
		space_lock_when_flushed(space, &node);
		status = page_table_map(&space->table, address, frame, length, flags, &reserve);
		space_unlock(space, &node);
	} while (page_reserve_refill(&reserve, &status));
	if (status == PAGE_OK)
		space_count_mapping(space);
	return status;
}

enum page_status space_unmap(struct space *space, virt_t address, uint64_t length)
{
	struct page_gather gather;
	struct page_reserve reserve;
	struct spin_node node;
	enum page_status status;
	bool begun;

	page_gather_init(&gather);
	page_reserve_init(&reserve);
	do {
		space_lock(space, &node);
		status = page_table_unmap(&space->table, address, length, &gather, &reserve);
		begun = status == PAGE_OK || status == PAGE_AGAIN;
		if (begun)
			space_begin_flush(space);
		space_unlock(space, &node);
	} while (page_reserve_refill(&reserve, &status));
	if (!begun)
		return status;
	space_flush_gathered(space, &gather);
	while (status == PAGE_AGAIN) {
		space_lock(space, &node);
		status = page_table_unmap_rest(&space->table, &gather);
		space_unlock(space, &node);
		space_flush_gathered(space, &gather);
	}
	space_end_flush(space);
	return status;
}

enum page_status space_protect(struct space *space, virt_t address, uint64_t length, unsigned flags)
{
	struct page_gather gather;
	struct page_reserve reserve;
	struct spin_node node;
	enum page_status status;

	page_gather_init(&gather);
	page_reserve_init(&reserve);
	do {
		space_lock(space, &node);
		status = page_table_protect(&space->table, address, length, flags, &gather,
					    &reserve);
		space_unlock(space, &node);
	} while (page_reserve_refill(&reserve, &status));
	space_flush_gathered(space, &gather);
	return status;
}

static bool share_frames(void *unused, pfn_t first, uint64_t frames, struct page_reserve *reserve)
{
	(void)unused;
	return frame_refs_share(&space_refs, first, frames, reserve);
}

/* Undoes share_frames(). The owner of `from` still has a reference, so no frame becomes free. */
static void unshare_frames(void *unused, pfn_t first, uint64_t frames, bool shared)
{
	(void)unused;
	(void)shared;
	for (uint64_t i = 0; i < frames; i++) {
		bool last = frame_refs_drop(&space_refs, pfn_add(first, i));

		check(!last, "space: frame %#llx was shared and has no other reference",
		      (unsigned long long)(first.value + i));
	}
}

enum page_status space_clone(struct space *to, struct space *from, virt_t address, uint64_t length)
{
	const struct page_sharing sharing = {share_frames, unshare_frames, NULL};
	struct spin_node from_node, to_node;
	struct page_gather gather;
	struct page_reserve reserve;
	enum page_status status;

	page_gather_init(&gather);
	page_reserve_init(&reserve);
	do {
		space_lock(from, &from_node);
		space_lock(to, &to_node);
		status = page_table_clone(&to->table, &from->table, address, length, &sharing,
					  &gather, &reserve);
		if (status == PAGE_OK)
			space_begin_flush(from);
		space_unlock(to, &to_node);
		space_unlock(from, &from_node);
	} while (page_reserve_refill(&reserve, &status));
	if (status == PAGE_OK) {
		space_flush_gathered(from, &gather);
		space_end_flush(from);
		space_count_mapping(to);
	}
	return status;
}
