/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kheap.h - set-up of the heap, and its lock; what callers of the heap need is in kmalloc.h.
 *
 * This header includes the spinlocks: it is for a kernel's set-up code and for reports on locks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sync/spinlock.h"

/*
 * Makes an empty heap that holds no frame. Call it after the zones are made and before the first
 * kmalloc. `lock_memory` is spin_bytes(port_cpu_count()) bytes, aligned to PORT_CACHE_LINE, and
 * belongs to the heap from then on.
 */
void kheap_init(enum spin_kind kind, void *lock_memory);

/*
 * Gives every CPU a front end: stacks of free blocks of the small sizes, so that kmalloc() and
 * kfree() mostly need no lock. Without it each call takes the heap's lock. `memory` is
 * kheap_front_bytes(frames) bytes, aligned to PORT_CACHE_LINE, and belongs to the heap until the
 * next kheap_init(). Blocks of small sizes come from the frames [first, first + frames) alone, so
 * these should be all that there are, or most of them. After kheap_init(), before the first kmalloc.
 */
void kheap_front_start(void *memory, uint64_t first, uint64_t frames);
size_t kheap_front_bytes(uint64_t frames);

/* The heap's lock, for reports; never take it. */
struct spinlock *kheap_lock(void);
