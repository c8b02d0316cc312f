/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin_kinds.h - acquire, try, release and held of each algorithm.
 *
 *	spin_acquire_KIND	waits until this CPU has the lock
 *	spin_try_KIND		true: the lock was taken without waiting
 *	spin_release_KIND	by the CPU that holds the lock
 *	spin_held_KIND		true if a CPU holds it; stale when the caller reads it
 *
 * They are separate functions and never inlined, so that `make lint` finds each by name in the
 * machine code and checks its fences.
 *
 * Some algorithms have no try (ticket, ticket_pb, clh, anderson, hclh), or none that can be used (cohort).
 * Their spin_try_* asks whether the lock is held, and acquires if it is not: if another CPU comes
 * between the two, it waits and still returns true, so that wait is not counted as one. The try of
 * the others (fas, cas, dec, mcs, qspinlock, reciprocating) is exact: it never waits.
 *
 * SPIN_FOR_EACH_KIND has the kinds that give mutual exclusion. SPIN_NONE has the same functions,
 * with neither a fence nor an atomic in them, because it stands for the cost of no lock; `make
 * lint` checks that too.
 */
#pragma once

#include "sync/spinlock.h"

#define SPIN_FOR_EACH_KIND(apply)                                                                  \
	apply(fas, SPIN_FAS) apply(cas, SPIN_CAS) apply(dec, SPIN_DEC) apply(ticket, SPIN_TICKET)  \
		apply(mcs, SPIN_MCS) apply(clh, SPIN_CLH) apply(anderson, SPIN_ANDERSON)           \
			apply(ticket_pb, SPIN_TICKET_PB) apply(cohort, SPIN_COHORT)                \
				apply(qspinlock, SPIN_QSPINLOCK)                                   \
					apply(reciprocating, SPIN_RECIPROCATING)                   \
						apply(hclh, SPIN_HCLH)

#define SPIN_DECLARE(kind_name, kind)                                                              \
	bool spin_try_##kind_name(struct spinlock *lock, struct spin_node *node);                  \
	void spin_acquire_##kind_name(struct spinlock *lock, struct spin_node *node);              \
	void spin_release_##kind_name(struct spinlock *lock, struct spin_node *node);              \
	bool spin_held_##kind_name(struct spinlock *lock);

SPIN_FOR_EACH_KIND(SPIN_DECLARE)
SPIN_DECLARE(none, SPIN_NONE)
#undef SPIN_DECLARE

/* By enum spin_kind. Each lock has a copy of its kind's. */
extern const struct spin_algorithm spin_algorithms[SPIN_NONE + 1];
