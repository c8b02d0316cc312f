/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin_kinds.h - one lock, unlock and locked function for each of Concurrency Kit's algorithms.
 *
 * Each is a function of its own, never inlined, so that `make lint` can find `spin_acquire_fas`,
 * `spin_release_fas` and so on in the disassembly and look for their fences.
 *
 * spin_try_* is true when the lock was taken without waiting. The algorithms that have no such
 * operation (ticket, clh, anderson) are asked whether they are held first: an acquire that loses
 * the lock between the question and its place in the queue waits, and is not counted as such.
 *
 * SPIN_FOR_EACH_KIND is for those that are locks. SPIN_NONE has the same functions with neither
 * fence nor atomic in them, for what it shows is the cost of no lock; `make lint` looks at that, too.
 */
#pragma once

#include "sync/spinlock.h"

#define SPIN_FOR_EACH_KIND(apply)                                                                  \
	apply(fas, SPIN_FAS) apply(cas, SPIN_CAS) apply(dec, SPIN_DEC) apply(ticket, SPIN_TICKET)  \
		apply(mcs, SPIN_MCS) apply(clh, SPIN_CLH) apply(anderson, SPIN_ANDERSON)

#define SPIN_DECLARE(kind_name, kind)                                                              \
	bool spin_try_##kind_name(struct spinlock *lock, struct spin_node *node);                  \
	void spin_acquire_##kind_name(struct spinlock *lock, struct spin_node *node);              \
	void spin_release_##kind_name(struct spinlock *lock, struct spin_node *node);              \
	bool spin_held_##kind_name(struct spinlock *lock);

SPIN_FOR_EACH_KIND(SPIN_DECLARE)
SPIN_DECLARE(none, SPIN_NONE)
#undef SPIN_DECLARE
