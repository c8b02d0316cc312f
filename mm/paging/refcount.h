/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * refcount.h - how many mappings share a frame, for copy on write.
 *
 * Kept is what a frame has *beyond one*: a frame with one owner counts zero, and frames that were
 * never shared cost nothing at all. The counts of 1024 neighbouring frames (4 MiB) are one frame,
 * which comes out of a reserve when the first of them is shared, and is kept until the end; a
 * directory has 8 bytes for each of those. So a machine that shares nothing pays 2 bytes for each
 * MiB, and one that shares everything 1/1024 of its memory. Who unmaps a page that is not
 * PAGE_SHARED need not ask.
 *
 * A reference is passed on only by one who has one: shared and dropped in any order on any cpu,
 * without a lock. Each count is one atomic 32-bit word. Who drops the last reference to a frame
 * sees all that the others did with it before they dropped theirs, and may free it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/paging/page_reserve.h"

#define FRAME_REFS_MAX UINT32_MAX

struct frame_refs {
	uint64_t first, count; /* frames, by pfn */
	uint32_t **chunk;      /* of frame first + i: chunk[i / 1024][i % 1024]; NULL: all zero */
	uint64_t directory_frames;
};

/*
 * Counts for the frames [first, first + count), each with one owner. False where there are no
 * frames for the directory, a contiguous run.
 */
bool frame_refs_init(struct frame_refs *refs, uint64_t first, uint64_t count);

/* Gives back what it is made of. At rest, and no frame is shared any more (a panic). */
void frame_refs_end(struct frame_refs *refs);

/*
 * One more reference to each of `frames` frames, by somebody who has one. False, and none
 * changed, when the reserve is short of frames for their counts (page_reserve_is_short) or one of them
 * is at its most. Frames outside of the range are a panic. O(frames); allocates and frees nothing,
 * so it may be called under a spinlock.
 */
bool frame_refs_share(struct frame_refs *refs, pfn_t first, uint64_t frames,
		      struct page_reserve *reserve);

/* One reference less. True: that was the last, and the frame is the caller's to free. */
bool frame_refs_drop(struct frame_refs *refs, pfn_t frame);

/*
 * 1 or more. Right for one who has a reference as long as it is 1: nobody else is there to pass
 * it on. Else a moment's.
 */
uint64_t frame_refs_count(const struct frame_refs *refs, pfn_t frame);

/* Frames that it is made of. At rest. */
uint64_t frame_refs_overhead(const struct frame_refs *refs);
