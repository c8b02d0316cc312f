/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cohort.h - the parts of a cohort lock (Dice, Marathe, Shavit, "Lock Cohorting", PPoPP 2012), put
 * together by Concurrency Kit's ck_cohort: a global ticket lock, and an MCS lock for each group of
 * CPUs (C-TKT-MCS in the paper).
 *
 * A CPU takes its group's local lock. The first CPU of the group also takes the global lock. A
 * release passes both to the next CPU of the group if one waits, at most
 * CK_COHORT_DEFAULT_LOCAL_PASS_LIMIT holds in a row; else it releases the global lock, and the CPU
 * that gets the local lock has to take it again. The global lock is held by the group, not by a CPU:
 * a ticket lock may be released by another CPU than the one that took it.
 *
 * Only the kit's lock and unlock are used.
 *
 *   - Its try announces itself as a waiter before it tries. A release at this instant passes the lock
 *     to the group, the try fails, and the global lock stays with a group in which no CPU waits:
 *     all other groups wait until a CPU of this group comes. So a try asks first (spin_kinds.h).
 *   - Its question whether the lock is held takes the global lock for a local one and the reverse
 *     (0.7.1 and 0.7.2). The lock is held exactly while the global lock is.
 *
 * Memory order: the kit's two locks have their own fences, which guard the fields of the cohort too.
 * spin_kinds.c adds one on each side, because the kit reads and writes these fields last on the way
 * in and first on the way out, where `make lint` wants to see that the whole lock acquires and
 * releases.
 *
 * Writers: the holder of the local lock writes `release_state` and `acquire_count`; any CPU of the
 * group writes the rest, by atomics.
 */
#pragma once

#include "sync/ck.h"

#include <ck_cohort.h>

/* After <ck_spinlock.h>, as spinlock.h includes it. */

static inline void spin_cohort_global_lock(void *lock, void *unused)
{
	(void)unused;
	ck_spinlock_ticket_lock(lock);
}

static inline void spin_cohort_global_unlock(void *lock, void *unused)
{
	(void)unused;
	ck_spinlock_ticket_unlock(lock);
}

static inline bool spin_cohort_global_locked(void *lock, void *unused)
{
	(void)unused;
	return ck_spinlock_ticket_locked(lock);
}

static inline void spin_cohort_local_lock(void *lock, void *node)
{
	ck_spinlock_mcs_lock(lock, node);
}

static inline void spin_cohort_local_unlock(void *lock, void *node)
{
	ck_spinlock_mcs_unlock(lock, node);
}

static inline bool spin_cohort_local_locked(void *lock, void *unused)
{
	(void)unused;
	return ck_spinlock_mcs_locked(lock);
}

CK_COHORT_PROTOTYPE(spin, spin_cohort_global_lock, spin_cohort_global_unlock,
		    spin_cohort_global_locked, spin_cohort_local_lock, spin_cohort_local_unlock,
		    spin_cohort_local_locked)

/* What the CPUs of one group share. */
struct spin_group {
	struct ck_cohort_spin cohort;
	struct ck_spinlock_mcs *local;
};
