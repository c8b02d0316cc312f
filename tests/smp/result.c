/* SPDX-License-Identifier: BSD-2-Clause */
/* result.c - see result.h. */
#include "tests/smp/result.h"

#include <string.h>

#include "kernel/settings.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/cache.h"

void statistics_reset(void)
{
	for (unsigned i = 0; i < zones.count; i++)
		spin_stats_reset(&zones.zone[i].lock);
	spin_stats_reset(kheap_lock());
	for (unsigned cpu = 0; cpu < settings.cpus; cpu++) {
		struct frame_cache *cache = port_area_of(cpu);

		memset(&cache->stats, 0, sizeof(cache->stats));
	}
}

static void add_cpu(struct result *result, const struct workload_cpu *work, unsigned cpu)
{
	const struct frame_cache *cache = port_area_of(cpu);
	const struct frame_cache_stats *stats = &cache->stats;

	result->ops += work->allocs + work->frees;
	result->refills += stats->refills;
	result->flushes += stats->flushes;
	result->direct += stats->direct_allocs + stats->direct_frees;
	result->failures += stats->failures;
}

void result_collect(struct result *result, const struct workload_run *run)
{
	uint64_t start = UINT64_MAX, end = 0;

	memset(result, 0, sizeof(*result));
	for (unsigned i = 0; i < zones.count; i++) {
		struct spin_stats stats = {0};

		spin_stats_add(&zones.zone[i].lock, &stats);
		spin_stats_sum(&result->zone_locks, &stats);
	}
	spin_stats_add(kheap_lock(), &result->heap_lock);
	if (run->lock) {
		struct spin_stats stats = {0};

		spin_stats_add(run->lock, &stats);
		spin_stats_sum(&result->zone_locks, &stats);
	}
	for (unsigned cpu = 0; cpu < run->cpus; cpu++) {
		const struct workload_cpu *work = &run->cpu[cpu];

		add_cpu(result, work, cpu);
		if (work->start_ns < start)
			start = work->start_ns;
		if (work->end_ns > end)
			end = work->end_ns;
	}
	result->ns = end - start;
	result->is_cut = !run->workload->is_lock_alone && workload_was_cut(run);
}
