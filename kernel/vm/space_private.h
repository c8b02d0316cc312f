/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space_private.h - what the files of space.h share: space.c (life of a space), space_asid.c
 * (ASIDs), space_flush.c (flushes), space_change.c (changes) and space_fault.c (write faults).
 */
#pragma once

#include "kernel/smp/cpu.h"
#include "kernel/vm/space.h"
#include "mm/paging/gather.h"
#include "mm/paging/refcount.h"
#include "sync/ck.h"

/* ---- space.c -------------------------------------------------------------------------------- */

/* Reference counts of frames that several mappings have; of all zones. */
extern struct frame_refs space_refs;

/* ---- space_asid.c --------------------------------------------------------------------------- */

/* With spaces_open() and spaces_close(). False: not enough memory. */
bool space_asids_open(void);
void space_asids_close(void);

/*
 * An ASID that no space has, 1 or more; 0 where all are taken. Any cpu; O(ASIDs), without a lock.
 */
uint16_t space_asid_take(void);

/* Frees the ASID. Every cpu that may have cached anything with it has flushed. */
void space_asid_give(uint16_t asid);

/* ---- space_flush.c -------------------------------------------------------------------------- */

/* No count of mappings has this value: counts do not wrap. */
#define SPACE_MAPS_NONE_SEEN UINT64_MAX

/* Words of 64 cpus in a CPU mask. */
static inline unsigned space_mask_words(void)
{
	return (port_cpu_count() + 63) / 64;
}

/* Adds this cpu to space->cpu_mask. True: it was not in the mask before. */
bool space_mask_set(struct space *space);

/* Takes this cpu out of the mask, after it has flushed. */
void space_mask_clear(struct space *space);

/* Flushes [start, start + bytes) on all cpus of the mask; bytes UINT64_MAX: everything. */
void space_flush(struct space *space, uint64_t start, uint64_t bytes);

/* The number of mappings so far: a flush after this call covers all of them. */
uint64_t space_maps_until_now(const struct space *space);

/* Counts a mapping of pages where nothing was, and flushes this cpu. No lock is held. */
void space_count_mapping(struct space *space);

/* Flushes what a change has gathered, then frees it. No lock is held. */
void space_flush_gathered(struct space *space, struct page_gather *gather);

/* Gives up one reference to each frame and frees those without another one; a page_drop. */
void space_drop_frames(void *unused, pfn_t first, uint64_t frames, bool shared);

/* ---- the lock of a space -------------------------------------------------------------------- */

/*
 * Pinned: a cpu that is stopped with the lock, or in the queue for it, would keep all others out.
 */
static inline void space_lock(struct space *space, struct spin_node *node)
{
	cpu_pin_online();
	spin_lock(&space->lock, node);
}

static inline void space_unlock(struct space *space, struct spin_node *node)
{
	spin_unlock(&space->lock, node);
	cpu_unpin();
}

/* Under the lock, with a change. Pinned: cpus that find `flushing` wait for this one. */
static inline void space_begin_flush(struct space *space)
{
	cpu_pin_online();
	ck_pr_inc_32(&space->flushing);
}

static inline void space_end_flush(struct space *space)
{
	ck_pr_fence_release(); /* the flush; pairs with space_lock_when_flushed */
	ck_pr_dec_32(&space->flushing);
	cpu_unpin();
}

/*
 * Takes the lock at a time when no flush runs. A flush that begins later waits for the lock. Waits
 * without the lock, so that it does not compete for it with the cpus that flush.
 */
static inline void space_lock_when_flushed(struct space *space, struct spin_node *node)
{
	space_lock(space, node);
	while (ck_pr_load_32(&space->flushing)) {
		space_unlock(space, node);
		do
			port_relax();
		while (ck_pr_load_32(&space->flushing));
		space_lock(space, node);
	}
	ck_pr_fence_acquire(); /* pairs with space_end_flush */
}
