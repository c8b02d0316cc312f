/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space_fault.c - copy on write: the fault of a store to a shared page.
 *
 * While a frame is copied, without the lock, the fault keeps one more reference to it. With that
 * reference no cpu finds itself as the only owner, so no cpu writes to the frame. Then the page is
 * looked at again under the lock. If it has not changed, the copy replaces it, for reading alone.
 * When all cpus have flushed, the next step finds that the copy has one reference, and permits
 * writes.
 */
#include "kernel/vm/space_private.h"

#include <string.h>

#include <port.h>

#include "arch/riscv/mmu.h"
#include "mm/frame.h"

/* The steps that a page needs after a store to it has faulted. */
enum fault {
	FAULT_NOTHING, /* the page can be written to: another cpu was first */
	FAULT_REFUSED, /* the page is not mapped, or not for writing */
	FAULT_ALONE,   /* the frame has one reference: permit writes */
	FAULT_COPY     /* the frame has more references */
};

/* Under the lock. */
static enum fault look_at(struct space *space, virt_t page, struct page_leaf *leaf)
{
	if (!page_table_translate(&space->table, page, leaf) || !(leaf->flags & PAGE_WRITE))
		return FAULT_REFUSED;
	if (!(leaf->flags & PAGE_SHARED))
		return FAULT_NOTHING;
	leaf->frame = pfn_floor(page_leaf_phys(leaf, page));
	return frame_refs_count(&space_refs, leaf->frame) == 1 ? FAULT_ALONE : FAULT_COPY;
}

/*
 * Under the lock: replaces the page's frame `held` by *copy. This cpu has a reference to `held`, so
 * its contents stay. Where it returns PAGE_OK with *copy PFN_NONE, the copy belongs to the mapping
 * and a flush has begun.
 */
static enum page_status put_copy(struct space *space, virt_t page, pfn_t held, pfn_t *copy,
				 struct page_gather *gather, struct page_reserve *reserve)
{
	struct page_leaf leaf;
	enum page_status status;

	if (look_at(space, page, &leaf) != FAULT_COPY || leaf.frame.value != held.value)
		return PAGE_OK; /* another cpu was first: the store is tried again */
	status = page_table_replace(&space->table, page, *copy, gather, reserve);
	if (status == PAGE_OK) {
		*copy = PFN_NONE;
		space_begin_flush(space);
	}
	return status;
}

static enum page_status copy_page(struct space *space, virt_t page, pfn_t held)
{
	pfn_t copy = frame_alloc(FRAME_ANY);
	struct page_gather gather;
	struct page_reserve reserve;
	struct spin_node node;
	enum page_status status = pfn_is_none(copy) ? PAGE_NO_FRAMES : PAGE_SHORT;

	page_gather_init(&gather);
	page_reserve_init(&reserve);
	if (!pfn_is_none(copy))
		memcpy(frame_bytes(copy), frame_bytes(held), FRAME_SIZE);
	while (status == PAGE_SHORT) {
		space_lock(space, &node);
		status = put_copy(space, page, held, &copy, &gather, &reserve);
		space_unlock(space, &node);
		page_reserve_refill(&reserve, &status);
	}
	if (status == PAGE_OK && pfn_is_none(copy)) {
		space_flush_gathered(space, &gather);
		space_end_flush(space);
	}
	space_drop_frames(NULL, held, 1, true);
	if (!pfn_is_none(copy))
		frame_free(copy);
	return status;
}

/*
 * Under the lock: permits writes; or, where a copy is needed, takes one more reference to the
 * frame.
 */
static enum page_status begin_fault(struct space *space, const struct page_leaf *leaf,
				    enum fault fault, virt_t page, struct page_gather *gather,
				    struct page_reserve *reserve)
{
	if (fault == FAULT_ALONE)
		return page_table_unshare(&space->table, page, FRAME_SIZE, gather, reserve);
	if (fault != FAULT_COPY || frame_refs_share(&space_refs, leaf->frame, 1, reserve))
		return PAGE_OK;
	return page_reserve_is_short(reserve) ? PAGE_SHORT : PAGE_NO_FRAMES;
}

/* One step towards a writable page; *fault says which step it was. */
static enum page_status step_to_write(struct space *space, virt_t page, enum fault *fault)
{
	struct page_gather gather;
	struct page_reserve reserve;
	struct page_leaf leaf;
	struct spin_node node;
	enum page_status status;

	page_gather_init(&gather);
	page_reserve_init(&reserve);
	do {
		space_lock_when_flushed(space, &node);
		*fault = look_at(space, page, &leaf);
		status = begin_fault(space, &leaf, *fault, page, &gather, &reserve);
		space_unlock(space, &node);
	} while (page_reserve_refill(&reserve, &status));
	space_flush_gathered(space, &gather);
	if (*fault == FAULT_COPY && status == PAGE_OK)
		status = copy_page(space, page, leaf.frame);
	return status;
}

enum page_status space_write_fault(struct space *space, virt_t address)
{
	virt_t page = vpn_to_virt(vpn_floor(address));
	enum page_status status;
	enum fault fault;

	/*
	 * After a copy, the next step finds one reference; a clone in between makes it shared
	 * again.
	 */
	do
		status = step_to_write(space, page, &fault);
	while (fault == FAULT_COPY && status == PAGE_OK);
	if (fault == FAULT_REFUSED)
		return PAGE_NOT_MAPPED;
	/* The store may have faulted on an old entry, or on "not valid" from before a mapping. */
	if (status == PAGE_OK && fault == FAULT_NOTHING)
		mmu_flush(0, UINT64_MAX);
	else if (status == PAGE_OK)
		mmu_flush(page.value, FRAME_SIZE);
	return status;
}
