/* SPDX-License-Identifier: BSD-2-Clause */
/* lock_stats.c - see lock_stats.h. All of it runs outside critical sections. */
#include "sync/lock_stats.h"

#if LOCK_STATS

#include <string.h>

#include "sync/lock_hooks.h"
#include "sync/spinlock.h"
#include "sync/trace.h"

enum spin_stats_mode lock_stats_mode = SPIN_STATS_CONTENDED;

void spin_stats_configure(enum spin_stats_mode mode)
{
	lock_stats_mode = mode;
}

/* ---- counting: by the CPU that has released the lock -------------------------------------- */

static unsigned bucket_of(uint64_t ticks)
{
	unsigned bucket = ticks ? 63 - (unsigned)__builtin_clzll(ticks) : 0;

	return bucket < SPIN_HISTOGRAM_BUCKETS ? bucket : SPIN_HISTOGRAM_BUCKETS - 1;
}

static void times_add(struct spin_times *times, uint64_t ticks)
{
	counter_add(&times->samples, 1);
	counter_add(&times->ticks_total, ticks);
	counter_add(&times->histogram[bucket_of(ticks)], 1);
	if (ticks > times->ticks_max)
		counter_set(&times->ticks_max, ticks);
}

static __attribute__((noinline)) void count_wait(struct spinlock *lock, const struct spin_node *node)
{
	struct lock_stats_cpu *stats = &node->stats.counted->stats;
	uint64_t waited_ticks = node->stats.waited_ticks;

	counter_add(&stats->counts.contended, 1);
	times_add(&stats->counts.wait, waited_ticks);
	trace_end_wait(stats->trace_begun, trace_name(lock->name), waited_ticks,
		       wait_matrix_holder(node->stats.counted), lock_owner_site(node));
	wait_matrix_count(lock, node);
}

void lock_stats_count_timed(struct spinlock *lock, const struct spin_node *node,
			    uint64_t released_ticks)
{
	if (__builtin_expect(node->contended, 0))
		count_wait(lock, node);
	times_add(&node->stats.counted->stats.counts.hold,
		  released_ticks - node->stats.acquired_ticks);
}

/* ---- reading ------------------------------------------------------------------------------ */

const struct spin_stats *spin_stats_of(const struct spinlock *lock, unsigned cpu)
{
	return &lock->cpus[cpu].stats.counts;
}

static void times_merge(struct spin_times *sum, const struct spin_times *times)
{
	uint64_t ticks_max = counter_read(&times->ticks_max);

	sum->samples += counter_read(&times->samples);
	sum->ticks_total += counter_read(&times->ticks_total);
	if (ticks_max > sum->ticks_max)
		sum->ticks_max = ticks_max;
	for (unsigned i = 0; i < SPIN_HISTOGRAM_BUCKETS; i++)
		sum->histogram[i] += counter_read(&times->histogram[i]);
}

void spin_stats_sum(struct spin_stats *sum, const struct spin_stats *stats)
{
	sum->acquisitions += counter_read(&stats->acquisitions);
	sum->contended += counter_read(&stats->contended);
	times_merge(&sum->wait, &stats->wait);
	times_merge(&sum->hold, &stats->hold);
}

void spin_stats_add(const struct spinlock *lock, struct spin_stats *sum)
{
	for (unsigned cpu = 0; cpu < lock->cpu_count; cpu++)
		spin_stats_sum(sum, spin_stats_of(lock, cpu));
}

void spin_stats_reset(struct spinlock *lock)
{
	for (unsigned cpu = 0; cpu < lock->cpu_count; cpu++)
		memset(&lock->cpus[cpu].stats, 0, sizeof(lock->cpus[cpu].stats));
	wait_matrix_reset(lock);
}

#endif
