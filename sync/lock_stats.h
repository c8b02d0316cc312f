/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_stats.h - what a lock has cost: acquisitions, waits and holds, for each CPU.
 *
 * This is a layer over the lock. spinlock.c calls the hooks of sync/lock_hooks.h; the lock itself
 * reads nothing of it. A build with -DLOCK_STATS=0 has empty hooks, no fields of this layer in a
 * lock or a node, and functions here that return zeros.
 *
 * A CPU counts after its release, so the counting does not lengthen the critical section. The mode
 * (enum spin_stats_mode) says when the clock is read; the mode is read before the acquire.
 *
 * Writers: each CPU writes only its own part, on its own cache lines, without an atomic
 * read-modify-write. Any CPU may read at any time: each figure is whole but may be stale.
 */
#pragma once

#include <stdint.h>

#ifndef LOCK_STATS
#define LOCK_STATS 1
#endif

struct spinlock;
struct spin_cpu;

enum spin_stats_mode {
	SPIN_STATS_OFF,	      /* nothing is counted */
	SPIN_STATS_CONTENDED, /* only an acquire that waited, and its release, read the clock */
	SPIN_STATS_ALL	      /* every acquire and release reads the clock */
};

/* Bucket b counts times t with floor(log2 t) = b; bucket 0 also counts times of 0 ticks. */
#define SPIN_HISTOGRAM_BUCKETS 40

/* Times in ticks of port_clock(). */
struct spin_times {
	uint64_t samples;
	uint64_t ticks_total;
	uint64_t ticks_max;
	uint64_t histogram[SPIN_HISTOGRAM_BUCKETS];
};

struct spin_stats {
	uint64_t acquisitions;
	uint64_t contended;	/* acquisitions that had to wait */
	struct spin_times wait; /* of contended acquisitions */
	struct spin_times hold; /* of acquisitions that read the clock */
};

/* Part of each struct spin_cpu; that CPU writes it. */
struct lock_stats_cpu {
#if LOCK_STATS
	uint64_t trace_begun; /* when its last wait began, for the trace; 0: the trace is off */
	struct spin_stats counts;
#endif
};

/* Part of each struct spin_node: what one acquire leaves for its release. */
struct lock_stats_node {
#if LOCK_STATS
	struct spin_cpu *counted; /* the lock's part that counts this acquire; NULL: not counted */
	uint64_t acquired_ticks;  /* the clock after the acquire; 0: it was not read */
	uint64_t waited_ticks;	  /* set where the acquire waited and is counted */
#endif
};

/* What the acquires of one CPU at one call site of the fast way note (spin_fast.h), in one mode. */
struct lock_fast {
#if LOCK_STATS
	enum spin_stats_mode mode; /* in another mode there is no fast way */
	uint64_t *acquisitions;	   /* where they are counted: in the lock, or in `ignored` */
	uint64_t note;		   /* of the owner; lock_owner_pack(); 0: none is noted */
	uint64_t ignored;
#endif
};

#if LOCK_STATS

/* Sets the mode of all locks. At rest only: no CPU holds a lock or waits for one. */
void spin_stats_configure(enum spin_stats_mode mode);

/* What `cpu` < lock->cpu_count has counted; any CPU may read it at any time. */
const struct spin_stats *spin_stats_of(const struct spinlock *lock, unsigned cpu);

/* Adds what all CPUs have counted to *sum. Any context; O(CPUs). */
void spin_stats_add(const struct spinlock *lock, struct spin_stats *sum);

/* *sum += *stats; of the worst times, the worse. `stats` may be in use by the CPU that counts. */
void spin_stats_sum(struct spin_stats *sum, const struct spin_stats *stats);

/* Sets the lock's statistics and its wait matrix to zero. At rest only. */
void spin_stats_reset(struct spinlock *lock);

#else

static inline void spin_stats_configure(enum spin_stats_mode mode)
{
	(void)mode;
}

static inline const struct spin_stats *spin_stats_of(const struct spinlock *lock, unsigned cpu)
{
	static const struct spin_stats zeros;

	(void)lock;
	(void)cpu;
	return &zeros;
}

static inline void spin_stats_add(const struct spinlock *lock, struct spin_stats *sum)
{
	(void)lock;
	(void)sum;
}

static inline void spin_stats_sum(struct spin_stats *sum, const struct spin_stats *stats)
{
	(void)sum;
	(void)stats;
}

static inline void spin_stats_reset(struct spinlock *lock)
{
	(void)lock;
}

#endif
