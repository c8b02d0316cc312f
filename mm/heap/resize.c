/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * resize.c - krealloc(): whether a block may stay where it is, and its move if not.
 *
 * An allocated block is the caller's alone: its record changes in the critical section that frees it, so
 * its bytes are copied without the lock.
 */
#include <string.h>

#include "mm/heap/kmalloc_private.h"

/*
 * The block stays and has this size from now on. kfree_sized() accepts it: a block of a slab does not
 * say which size was asked for, so its slab notes that some block has a size of a smaller class.
 */
static void keep(const struct found *found, size_t size)
{
	if (found->slab)
		ck_pr_store_32(&found->slab->shrunk, 1);
	else if (found->span.kind == SPAN_RUN)
		kheap_run_shrink(found, frames_for(size));
	else if (size <= found->bytes / 2)
		ck_pr_store_32(&kheap.shrunk, 1);
}

/*
 * The number of bytes to copy if the block must move; 0: it stays and has the size. A block stays if
 * it will be more than half used, or a new one would not be smaller. A run of frames stays also where
 * more than half of its first frame will be used: it gives its other frames back.
 */
STEP size_t must_move(void *block, size_t size, const void *caller)
{
	struct found found = kheap_find(block, "krealloc", caller);

	if (size > found.bytes)
		return found.bytes;
	if (found.slab && kheap_class_of(size) == found.slab->class)
		return 0;
	if (size <= found.bytes / 2 && (found.slab || found.bytes > BUDDY_UNIT) &&
	    (found.span.kind != SPAN_RUN || size <= FRAME_SIZE / 2))
		return size;
	keep(&found, size);
	return 0;
}

/*
 * There is no memory for the block's new place. NULL if it was to become larger: then all of its bytes
 * were to be copied. Otherwise that number is the new size, and the block stays.
 */
STEP void *could_not_move(void *block, size_t copied)
{
	struct found found = kheap_find(block, "krealloc", NULL);

	if (copied == found.bytes)
		return NULL;
	keep(&found, copied);
	return block;
}

STEP void *free_resized(void *block, const void *caller)
{
	kheap_release(block, "krealloc", caller);
	return NULL;
}

STEP void *resize_watched(void *block, size_t size, const void *caller)
{
	if (!block)
		return kheap_alloc_watched(size, 1, FRAME_ANY, caller);
	if (size == 0)
		return free_resized(block, caller);
	return kheap_debug->resize(block, size, caller);
}

STEP void *move(void *moved, void *block, size_t copied)
{
	memcpy(moved, block, copied);
	kfree(block);
	return moved;
}

/*
 * A block that is found by must_move() is allocated, so kfree() reports no mistake. Allocations are
 * calls here: inlined, they would take registers that this function then saves on the stack.
 */
void *krealloc(void *block, size_t size)
{
	size_t copied;
	void *moved;

	if (kheap_debug)
		return resize_watched(block, size, __builtin_return_address(0));
	if (!block)
		return kmalloc_called(size);
	if (size == 0)
		return free_resized(block, __builtin_return_address(0));
	copied = must_move(block, size, __builtin_return_address(0));
	if (!copied)
		return block;
	moved = kmalloc_called(size);
	if (!moved)
		return could_not_move(block, copied);
	return move(moved, block, copied);
}
