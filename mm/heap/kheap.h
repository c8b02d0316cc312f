/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kheap.h - how the heap is set up, and its lock; what callers of the heap need is in kmalloc.h.
 *
 * It brings in the spinlocks, so it is for a kernel's set-up code and for reports on locks.
 */
#pragma once

#include "sync/spinlock.h"

/*
 * Makes an empty heap that holds no frame. After the zones are set, before the first kmalloc.
 * `lock_memory` is spin_bytes(port_cpu_count()) bytes, aligned to PORT_CACHE_LINE, and stays the
 * heap's.
 */
void kheap_init(enum spin_kind kind, void *lock_memory);

/* For reports on locks. */
struct spinlock *kheap_lock(void);
