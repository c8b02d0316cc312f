/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc_hit.c - kmalloc() and kfree() as functions: see kmalloc.h.
 *
 * They have a separate file because it is built without frame pointers and with tail calls. So a hit
 * of the front end does not touch the stack.
 */
#include "mm/heap/kmalloc.h"

void *kmalloc_called(size_t size)
{
	return kheap_hit_of(size);
}

void kfree_called(void *block)
{
	kheap_free_hit(block);
}
