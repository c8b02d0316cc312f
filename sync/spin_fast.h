/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin_fast.h - acquire and release inline, for a critical section that is shorter than the calls.
 *
 *	struct lock_fast fast;		what this CPU notes when it acquires this lock here
 *	spin_fast_prepare(&fast, &lock, site);		once for each mode of the statistics
 *	...
 *	switch (spin_fast_lock(&lock, &node, &fast)) {
 *	case SPIN_FAST_TAKEN:
 *		...
 *		spin_fast_unlock(&lock, &node, &fast);
 *		break;
 *	case SPIN_FAST_HELD:
 *		the same work under spin_lock_found_held() and spin_unlock()
 *	case SPIN_FAST_NONE:
 *		the same work under spin_lock() and spin_unlock()
 *	}
 *
 * The algorithm's try and release are called as spin_lock() and spin_unlock() call them, so the fences
 * are the same. What is counted is the same too: an acquire by spin_fast_lock() is an acquire that did
 * not wait, and with SPIN_STATS_OFF it is not counted. Where the statistics read the clock of each acquire,
 * there is no fast way. After a change of their mode there is none either, until it is prepared again.
 *
 * The lock must have memory (spin_init). `site` is what the owner's note says instead of a return
 * address: an address in the code that acquires, in the same program.
 */
#pragma once

#include "sync/lock_hooks.h"
#include "sync/spin_kinds.h"
#include "sync/spinlock.h"

enum spin_fast_result { SPIN_FAST_TAKEN, SPIN_FAST_HELD, SPIN_FAST_NONE };

/* On the CPU that will use `fast`; again when the lock is made again. */
static inline void spin_fast_prepare(struct lock_fast *fast, struct spinlock *lock, const void *site)
{
	lock_fast_prepare(fast, lock, site);
}

/* After SPIN_FAST_NONE: true if the mode has changed to one in which there is a fast way. */
static inline bool spin_fast_is_stale(const struct lock_fast *fast)
{
	return lock_fast_is_stale(fast);
}

static inline __attribute__((always_inline)) enum spin_fast_result spin_fast_lock(
	struct spinlock *lock, struct spin_node *node, const struct lock_fast *fast)
{
	if (__builtin_expect(!lock_fast_on_lock(fast), 0))
		return SPIN_FAST_NONE;
	if (__builtin_expect(!lock->algorithm.try_acquire(lock, node), 0))
		return SPIN_FAST_HELD;
	lock_fast_on_acquire(lock, fast);
	return SPIN_FAST_TAKEN;
}

static inline __attribute__((always_inline)) void spin_fast_unlock(struct spinlock *lock,
								   struct spin_node *node,
								   const struct lock_fast *fast)
{
	lock_fast_on_unlock(lock, fast);
	lock->algorithm.release(lock, node);
	lock_fast_on_unlocked(fast);
}
