/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wait_matrix.h - which CPU waited for which CPU, and at which call sites.
 *
 * This is a layer over the statistics (lock_stats.h), which time the waits, and over the owners
 * (lock_owners.h). A build with -DWAIT_MATRIX=0 has none of it; -DLOCK_STATS=0 or -DLOCK_OWNERS=0
 * takes it away too.
 *
 * A site is the return address of a call of spin_lock(): one for each place that takes a lock.
 *
 * The CPU that must wait reads who holds the lock (lock_owners.h), relaxed, before it takes its place
 * in the queue. After its release it adds the wait to its own row of the matrix and to its own table
 * of sites.
 *
 * What the figures mean:
 *
 *   - The holder is the CPU that noted itself last before the wait began. The whole wait is counted
 *     for it, also the part spent for other CPUs that were in the queue before the waiter.
 *   - Between an acquire and its note, the holder before is still noted, as the one that released the
 *     lock. Where that is the waiter itself, or no CPU was noted yet, the holder is unknown: the wait is
 *     counted on the diagonal, cell [cpu][cpu], which means nothing else, and for site 0.
 *
 * Writers: each CPU writes its own row, by whole relaxed stores. Any CPU may read it at any time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/cache_line.h"
#include "sync/lock_owners.h"
#include "sync/lock_stats.h"

#ifndef WAIT_MATRIX
#define WAIT_MATRIX LOCK_OWNERS
#endif

#if WAIT_MATRIX && !(LOCK_STATS && LOCK_OWNERS)
#error "the wait matrix counts what the statistics time, by owner: WAIT_MATRIX=1 needs both"
#endif

struct spin_waits {
	uint64_t count;
	uint64_t ticks; /* of port_clock() */
};

/* Waits of an acquire at one site for a hold that began at another one (0: unknown). */
struct spin_site_pair {
	uint64_t waiter, holder; /* addresses */
	struct spin_waits waits; /* count 0: the entry is empty */
};

#define SPIN_SITE_PAIRS 16

/*
 * Where a pair comes for which no entry is free, the pair with the fewest ticks makes room: its
 * waits are added to `others`. If it comes again it starts at 0. So the sum of all entries and
 * `others` is exact, and a pair had at least the waits that its entry says.
 */
struct spin_sites {
	struct spin_site_pair pair[SPIN_SITE_PAIRS];
	struct spin_waits others;
};

/* One row: the waits of one CPU, which alone writes it. */
struct wait_matrix {
	_Alignas(PORT_CACHE_LINE) struct spin_sites sites;
	struct spin_waits holder[]; /* by the holder's CPU */
};

/* Part of each struct spinlock; read-only once the lock is used. */
struct wait_matrix_lock {
#if WAIT_MATRIX
	char *rows; /* of each CPU a struct wait_matrix, row_bytes apart; NULL: no matrix */
	size_t row_bytes;
#endif
};

/* Part of each struct spin_cpu; that CPU writes it. */
struct wait_matrix_cpu {
#if WAIT_MATRIX
	uint64_t holder; /* lock_owner_last() as this CPU's last wait began */
#endif
};

#if WAIT_MATRIX

/*
 * Whether zones and the heap get memory for a matrix: 16 bytes for each pair of CPUs, and
 * SPIN_SITE_PAIRS entries for each CPU. False until this is called. At boot, before the first lock
 * is made.
 */
void wait_matrix_configure(bool wanted);

/* Bytes that the matrix of one lock takes, to be aligned to PORT_CACHE_LINE; 0 if not wanted. */
size_t wait_matrix_bytes(unsigned cpu_count);

/*
 * Gives the lock wait_matrix_bytes(lock->cpu_count) bytes of memory, which the lock keeps; does
 * nothing if no matrix is wanted. After spin_init, before the lock is used.
 */
void wait_matrix_start(struct spinlock *lock, void *memory);

/* True if the lock has a matrix. */
bool wait_matrix_exists(const struct spinlock *lock);

/*
 * The waits of `waiter` while `holder` held the lock; zeros for a lock without a matrix. waiter ==
 * holder: the holder was not known. Any context; both figures are whole but may be stale.
 */
struct spin_waits wait_matrix_read(const struct spinlock *lock, unsigned waiter, unsigned holder);

/* Adds to *sum; a pair that *sum has no room for goes to its `others`. A lock's: at rest only. */
void spin_sites_merge(struct spin_sites *sum, const struct spin_sites *sites);
void spin_sites_add(const struct spinlock *lock, struct spin_sites *sum);

#else

static inline void wait_matrix_configure(bool wanted)
{
	(void)wanted;
}

static inline size_t wait_matrix_bytes(unsigned cpu_count)
{
	(void)cpu_count;
	return 0;
}

static inline void wait_matrix_start(struct spinlock *lock, void *memory)
{
	(void)lock;
	(void)memory;
}

static inline bool wait_matrix_exists(const struct spinlock *lock)
{
	(void)lock;
	return false;
}

static inline struct spin_waits wait_matrix_read(const struct spinlock *lock, unsigned waiter,
						 unsigned holder)
{
	(void)lock;
	(void)waiter;
	(void)holder;
	return (struct spin_waits){0, 0};
}

static inline void spin_sites_merge(struct spin_sites *sum, const struct spin_sites *sites)
{
	(void)sum;
	(void)sites;
}

static inline void spin_sites_add(const struct spinlock *lock, struct spin_sites *sum)
{
	(void)lock;
	(void)sum;
}

#endif
