/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kheap.h - set-up of the heap, and its lock; what callers of the heap need is in kmalloc.h.
 *
 * This header includes the spinlocks: it is for a kernel's set-up code and for reports on locks.
 */
#pragma once

#include "sync/spinlock.h"

/*
 * Makes an empty heap that holds no frame. Call it after the zones are made and before the first
 * kmalloc. `lock_memory` is spin_bytes(port_cpu_count()) bytes, aligned to PORT_CACHE_LINE, and
 * belongs to the heap from then on.
 */
void kheap_init(enum spin_kind kind, void *lock_memory);

/* The heap's lock, for reports; never take it. */
struct spinlock *kheap_lock(void);
