/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * refcount.h - how many mappings share a frame, for copy on write.
 *
 * A count is the number of references *beyond one*: a frame with one owner has count zero, and
 * frames that were never shared need no count. The counts of 1024 neighbouring frames (4 MiB) are
 * in one frame. That frame comes from a reserve when the first of them is shared, and stays until
 * the end. A directory has 8 bytes for each such frame. So a machine that shares nothing pays 2
 * bytes for each MiB. A machine that shares everything pays 1/1024 of its memory. To unmap a page
 * that is not PAGE_SHARED needs no count.
 *
 * Only the owner of a reference passes on another one. References are taken and dropped in any
 * order, on any CPU, without a lock; each count is one atomic 32-bit word. A CPU that drops the
 * last reference to a frame sees all that others did with the frame before they dropped theirs, and
 * may free it.
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
 * Makes counts for the frames [first, first + count), each with one owner. False: there is no
 * contiguous run of frames for the directory.
 */
bool frame_refs_init(struct frame_refs *refs, uint64_t first, uint64_t count);

/* Frees all counts. At rest. Panics where a frame is still shared. */
void frame_refs_end(struct frame_refs *refs);

/*
 * Takes one more reference to each of `frames` frames; the caller has one to each. False, and no
 * count changed: the reserve is short of frames for counts (page_reserve_is_short), or a count is
 * at its maximum. Frames outside of the range are a panic. O(frames); allocates and frees nothing,
 * so it may be called under a spinlock.
 */
bool frame_refs_share(struct frame_refs *refs, pfn_t first, uint64_t frames,
		      struct page_reserve *reserve);

/* Drops one reference. True: it was the last, and the caller may free the frame. O(1). */
bool frame_refs_drop(struct frame_refs *refs, pfn_t frame);

/*
 * The number of references, 1 or more. For a caller that has a reference, an answer of 1 stays
 * right: there is no other owner to pass one on. Any other answer may be stale.
 */
uint64_t frame_refs_count(const struct frame_refs *refs, pfn_t frame);

/* The number of frames for the directory and counts. At rest. O(frames / 1024). */
uint64_t frame_refs_overhead(const struct frame_refs *refs);
