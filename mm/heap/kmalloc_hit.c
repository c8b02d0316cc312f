/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc_hit.c - kmalloc() of a size that the compiler does not know, and kfree(): see kmalloc.h.
 *
 * The two functions have a separate file because it is built without frame pointers and with tail
 * calls. So a hit of the front end does not touch the stack.
 */
#include "mm/heap/kmalloc.h"

/* A size near 2^64 wraps to few grains; the check of the slow half (class 0) finds it. */
void *kmalloc_called(size_t size)
{
	struct kheap_front *front = kheap_front_self();
	size_t grains = (size + KHEAP_GRAIN - 1) / KHEAP_GRAIN;

	if (__builtin_expect(grains > KHEAP_GRAINS, 0))
		return kheap_large(size);
	return kheap_hit(front, front->class_of[grains], size);
}

void kfree(void *block)
{
	kheap_free_hit(block);
}
