/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reserve.h - blocks that are allocated before they are needed, so that the allocations of an
 * operation cannot fail in its middle, or need not be made under a lock.
 *
 *	struct kmalloc_reserve reserve = {0};
 *
 *	if (!kmalloc_reserve(&reserve, 3, sizeof(struct node)))
 *		return false;
 *	lock, and take up to three nodes with kmalloc_reserved(&reserve)
 *	unlock
 *	kmalloc_reserve_end(&reserve);
 *
 * A reserve belongs to one caller, which serializes all calls. {0} is an empty one.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "mm/frame.h"
#include "mm/heap/kmalloc.h"

struct kmalloc_reserve {
	void *first;
	size_t count; /* blocks in the reserve */
	size_t size; /* bytes that each of them has for its user; where there is none: no meaning */
};

/*
 * After true, the next `count` calls of kmalloc_reserved() return blocks of `size` bytes (at least 1).
 * Blocks that the reserve has already count; `size` must then be at most that of these, or it panics.
 * False: there is no memory, and the reserve is as it was.
 *
 * `flags` as for kmalloc_flags(), the same each time. FRAME_NOWAIT: no other CPU is asked for memory,
 * so it may be called under a lock of the caller's, and false does not mean that there is none. FRAME_ZERO:
 * all bytes of the blocks are 0. Context and cost: those of kmalloc(), for each missing block.
 */
__attribute__((warn_unused_result)) bool kmalloc_reserve_flags(struct kmalloc_reserve *reserve,
							       size_t count, size_t size,
							       unsigned flags);

/* The same with FRAME_ANY. */
__attribute__((warn_unused_result)) static inline bool kmalloc_reserve(
	struct kmalloc_reserve *reserve, size_t count, size_t size)
{
	return kmalloc_reserve_flags(reserve, count, size, FRAME_ANY);
}

/*
 * Takes a block out of the reserve. It is aligned as a block of kmalloc(), and kfree() frees it. Panics
 * where the reserve is empty. Takes no lock and waits for nothing. O(1).
 */
__attribute__((returns_nonnull)) void *kmalloc_reserved(struct kmalloc_reserve *reserve);

/* Frees the blocks that are left. The reserve is empty then, and may be filled again. As kfree(). */
void kmalloc_reserve_end(struct kmalloc_reserve *reserve);
