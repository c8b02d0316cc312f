/* SPDX-License-Identifier: BSD-2-Clause */
/* report.c - see report.h. */
#include "tests/smp/report.h"

#include <stdio.h>
#include <string.h>

#include "kernel/diag/heap_report.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "kernel/diag/wait_report.h"
#include "kernel/diag/contention.h"
#include "kernel/program_memory.h"
#include "tests/smp/lock_report.h"
#include "tests/smp/selftest/nodes.h"

/* Over all runs that were no baseline. */
struct cpu_totals {
	uint64_t allocs, frees;
	struct frame_cache_stats cache;
};

/* Of each workload in the order they ran: as configured, then the baseline. */
struct workload_results {
	const struct workload *workload;
	struct result cached, baseline;
	bool waits_are_measurable;
};

static struct workload_results *results;
static bool shows_contention; /* in the table: it was measurable when the table began */
static unsigned result_count;
static struct cpu_totals *cpu_totals;
static struct lock_totals *lock_totals; /* of the zones, then of the heap */
static const char **names;		/* the same */

/* ---- collecting -------------------------------------------------------------------------- */

static void add_cpu(struct cpu_totals *totals, const struct workload_cpu *work, unsigned cpu)
{
	const struct frame_cache *cache = port_area_of(cpu);
	const struct frame_cache_stats *stats = &cache->stats;

	totals->allocs += work->allocs;
	totals->frees += work->frees;
	totals->cache.refills += stats->refills;
	totals->cache.refilled_frames += stats->refilled_frames;
	totals->cache.flushes += stats->flushes;
	totals->cache.flushed_frames += stats->flushed_frames;
	totals->cache.direct_allocs += stats->direct_allocs;
	totals->cache.direct_frees += stats->direct_frees;
	totals->cache.failures += stats->failures;
	totals->cache.far_frames += stats->far_frames;
}

void report_add(const struct workload_run *run)
{
	for (unsigned i = 0; i <= zones.count; i++) {
		struct spinlock *lock = i < zones.count ? &zones.zone[i].lock : kheap_lock();
		struct spin_stats stats = {0};

		spin_stats_add(lock, &stats);
		spin_stats_sum(&lock_totals[i].stats, &stats);
		wait_report_add(&lock_totals[i].waits, lock);
		if (!wait_report_adds_up(lock))
			verdict_fail("lock %s: the waits of all pairs of cpus do not add up to the "
				     "waits",
				     lock->name);
	}
	for (unsigned cpu = 0; cpu < run->cpus; cpu++)
		add_cpu(&cpu_totals[cpu], &run->cpu[cpu], cpu);
}

/* ---- workloads --------------------------------------------------------------------------- */

/* Operations of all cpus in a second; in virtual time, while a cpu executes a million instructions. */
static uint64_t rate(const struct result *result)
{
	uint64_t us = result->ns / 1000;

	if (settings.virtual_time)
		return ratio(result->ops, result->ns, 1000000);

	return us ? result->ops * 1000000 / us : 0;
}

void report_begin(void)
{
	size_t cpu_bytes = settings.cpus * sizeof(*cpu_totals);
	size_t lock_bytes = (zones.count + 1) * sizeof(*lock_totals);

	cpu_totals = program_memory_need(cpu_bytes, "the report's totals of cpus");
	lock_totals = program_memory_need(lock_bytes, "the report's totals of locks");
	names = program_memory_need((zones.count + 1) * sizeof(*names), "the names of locks");
	for (unsigned i = 0; i <= zones.count; i++)
		wait_report_begin(&lock_totals[i].waits, settings.cpus);
	results = program_memory_need(workload_count * sizeof(*results), "the workloads' results");
	result_count = 0;
	shows_contention = contention_is_measurable();
	printf("\nstress: %u cpus; baseline: the same workload with cache=0, in the same boot\n"
	       "  %-12s %11s %11s %8s %8s",
	       settings.cpus, "workload", settings.virtual_time ? "ops/Minstr" : "ops/s",
	       "baseline", "ratio", "locks/1k");
	if (shows_contention)
		printf(" %11s %11s", "contended", "baseline");
	printf("\n");
}

static void record_result(const struct workload_results *ran, bool cached)
{
	const struct workload *workload = ran->workload;
	const struct result *result = cached ? &ran->cached : &ran->baseline;

	record_begin("bench");
	record_string("workload", workload->name);
	record_number("cpus", settings.cpus);
	record_number("cache", cached ? settings.arguments.cache_frames : 0);
	record_string("lock", spin_kind_name((enum spin_kind)settings.arguments.lock));
	record_string("policy", zones.zone[0].policy->name);
	record_number("seed", settings.arguments.seed);
	record_number("ops", result->ops);
	record_number("ns", result->ns);
	record_number(settings.virtual_time ? "ops_per_million_instructions" : "ops_per_second",
		      rate(result));
	record_number("refills", result->refills);
	record_number("flushes", result->flushes);
	record_number("direct", result->direct);
	record_number("failures", result->failures);
	record_number("acquisitions", result->zone_locks.acquisitions);
	contention_record_validity(ran->waits_are_measurable);
	if (ran->waits_are_measurable)
		record_number("contended", result->zone_locks.contended);
	record_end();
}

/* Of the run with caches, and of the baseline: both are measurable or none. */
static void print_shares(const struct result *cached, const struct result *baseline)
{
	const struct spin_stats *locks[] = {&cached->zone_locks, &baseline->zone_locks};

	if (!contention_is_measurable()) {
		contention_print_share(23, 0, 0, false);
		return;
	}
	for (unsigned i = 0; i < 2; i++)
		contention_print_share(11, locks[i]->contended, locks[i]->acquisitions, true);
}

void report_workload_end(const struct workload *workload, const struct result *cached,
			 const struct result *baseline)
{
	uint64_t faster = ratio(rate(cached), rate(baseline), 10);
	uint64_t locks = ratio(cached->zone_locks.acquisitions, cached->ops, 10000);

	printf("%s  %-12s %11llu %11llu %5llu.%llux %6llu.%llu", workload->prints ? "\n" : "",
	       workload->name, (unsigned long long)rate(cached), (unsigned long long)rate(baseline),
	       (unsigned long long)(faster / 10), (unsigned long long)(faster % 10),
	       (unsigned long long)(locks / 10), (unsigned long long)(locks % 10));
	if (shows_contention)
		print_shares(cached, baseline);
	printf("\n");
	results[result_count++] = (struct workload_results){workload, *cached, *baseline,
							    contention_is_measurable()};
}

static void record_results(void)
{
	for (unsigned i = 0; i < result_count; i++) {
		record_result(&results[i], true);
		record_result(&results[i], false);
	}
}

/* ---- the tables at the end --------------------------------------------------------------- */

static const char *const *lock_names(void)
{
	for (unsigned i = 0; i < zones.count; i++)
		names[i] = zones.zone[i].lock.name;
	names[zones.count] = kheap_lock()->name;
	return names;
}

/* Of allocations and frees, how many met neither an empty nor a full stack. */
static uint64_t hit_permyriad(const struct cpu_totals *totals)
{
	uint64_t ops = totals->allocs + totals->frees;
	uint64_t misses = totals->cache.refills + totals->cache.flushes +
			  totals->cache.direct_allocs + totals->cache.direct_frees;

	return misses < ops ? ratio(ops - misses, ops, 10000) : 0;
}

static void print_cpus(void)
{
	printf("\ncpus, over all runs with caches\n"
	       "  %-4s %12s %12s %10s %10s %10s\n",
	       "cpu", "allocations", "frees", "refills", "flushes", "hit rate");
	for (unsigned cpu = 0; cpu < settings.cpus; cpu++) {
		const struct cpu_totals *totals = &cpu_totals[cpu];
		uint64_t hits = hit_permyriad(totals);

		printf("  %-4u %12llu %12llu %10llu %10llu %5llu.%02llu %%\n", cpu,
		       (unsigned long long)totals->allocs, (unsigned long long)totals->frees,
		       (unsigned long long)totals->cache.refills,
		       (unsigned long long)totals->cache.flushes, (unsigned long long)(hits / 100),
		       (unsigned long long)(hits % 100));
	}
}

static void record_cpus(void)
{
	for (unsigned cpu = 0; cpu < settings.cpus; cpu++) {
		const struct cpu_totals *totals = &cpu_totals[cpu];

		record_begin("cpu");
		record_number("cpu", cpu);
		record_number("allocations", totals->allocs);
		record_number("frees", totals->frees);
		record_number("refills", totals->cache.refills);
		record_number("refilled_frames", totals->cache.refilled_frames);
		record_number("node", ((const struct frame_cache *)port_area_of(cpu))->node);
		record_number("remote_frames", totals->cache.far_frames);
		record_number("flushes", totals->cache.flushes);
		record_number("flushed_frames", totals->cache.flushed_frames);
		record_number("failures", totals->cache.failures);
		record_fraction("hit_rate", hit_permyriad(totals), 4);
		record_end();
	}
}

static void report_zones(void)
{
	struct frame_ledger ledger;

	frame_drain_settle();
	frame_ledger(&ledger);
	printf("\nzones, at rest\n  %-8s %4s %10s %10s %10s %10s %12s\n", "zone", "node", "total",
	       "reserved", "free", "low mark", "early drains");
	for (unsigned i = 0; i < zones.count; i++) {
		const struct zone *zone = &zones.zone[i];

		printf("  %-8s %4u %10llu %10llu %10llu %10llu %12llu\n", zone->name, zone->node,
		       (unsigned long long)zone->total_frames,
		       (unsigned long long)zone->reserved_frames,
		       (unsigned long long)zone->free_frames, (unsigned long long)zone->low,
		       (unsigned long long)zone->early_drains);
	}
	printf("  %-8s %4s %10llu %10llu %10llu\n"
	       "  besides: cached %llu (at most %llu), in flight %llu, allocated %llu\n",
	       "all", "", (unsigned long long)ledger.total, (unsigned long long)ledger.reserved,
	       (unsigned long long)ledger.free, (unsigned long long)ledger.cached,
	       (unsigned long long)ledger.cached_max, (unsigned long long)ledger.in_flight,
	       (unsigned long long)ledger.allocated);
}

static void record_ledger(void)
{
	struct frame_ledger ledger;

	frame_ledger(&ledger);
	record_begin("zone");
	record_string("name", "all");
	record_string("policy", zones.zone[0].policy->name);
	record_number("total", ledger.total);
	record_number("reserved", ledger.reserved);
	record_number("free", ledger.free);
	record_number("cached", ledger.cached);
	record_number("in_flight", ledger.in_flight);
	record_number("allocated", ledger.allocated);
	record_number("cached_max", ledger.cached_max);
	record_end();
}

static void record_zones(void)
{
	for (unsigned i = 0; i < zones.count; i++) {
		const struct zone *zone = &zones.zone[i];

		record_begin("zone");
		record_string("name", zone->name);
		record_string("policy", zone->policy->name);
		record_number("node", zone->node);
		record_number("total", zone->total_frames);
		record_number("reserved", zone->reserved_frames);
		record_number("free", zone->free_frames);
		record_number("policy_bytes", zone->policy_bytes);
		record_number("state_bytes", zone->state_bytes);
		record_number("low", zone->low);
		record_number("early_drains", zone->early_drains);
		record_end();
	}
	record_ledger();
}

static const struct frame_cache_stats *cache_totals(unsigned cpu)
{
	return &cpu_totals[cpu].cache;
}

static void record_heap(void)
{
	struct kheap_stats stats;

	kheap_stats(&stats);
	record_begin("heap");
	record_number("arenas", stats.arenas);
	record_number("arena_frames", stats.arena_frames);
	record_number("runs", stats.runs);
	record_number("run_frames", stats.run_frames);
	record_end();
}

void report_end(void)
{
	lock_report_print(lock_totals, lock_names(), zones.count + 1);
	print_cpus();
	report_zones();
	nodes_report(cache_totals);
	heap_report_most();
	printf("\n");
	record_results();
	lock_report_record(lock_totals, lock_names(), zones.count + 1);
	record_cpus();
	record_zones();
	nodes_record(cache_totals);
	record_heap();
	heap_report_record();
}
