/* report.c - see report.h. */
#include "tests/smp/report.h"

#include <stdio.h>
#include <string.h>

#include "kernel/console.h"
#include "kernel/panic.h"
#include "kernel/record.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "tests/smp/blame.h"
#include "tests/smp/harness.h"
#include "tests/smp/nodes.h"

/* Over all runs that were no baseline. */
struct cpu_totals {
	uint64_t allocs, frees;
	struct frame_cache_stats cache;
};

/* Of each workload in the order they ran: as configured, then the baseline. */
struct workload_results {
	const struct workload *workload;
	struct result cached, baseline;
};

static struct workload_results *results;
static unsigned result_count;
static struct cpu_totals *cpu_totals;
static struct spin_stats *lock_totals; /* of the zones, then of the heap */
static struct blame *lock_blame;       /* the same */

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
		spin_stats_sum(&lock_totals[i], &stats);
		blame_add(&lock_blame[i], lock);
		if (!blame_adds_up(lock))
			verdict_fail("lock %s: who waited for whom does not add up to the waits",
				     lock->name);
	}
	for (unsigned cpu = 0; cpu < run->cpus; cpu++)
		add_cpu(&cpu_totals[cpu], &run->cpu[cpu], cpu);
}

/* ---- workloads --------------------------------------------------------------------------- */

static uint64_t per_second(const struct result *result)
{
	uint64_t us = result->ns / 1000;

	return us ? result->ops * 1000000 / us : 0;
}

static uint64_t contended_permyriad(const struct spin_stats *stats)
{
	return ratio(stats->contended, stats->acquisitions, 10000);
}

void report_begin(void)
{
	size_t cpu_bytes = settings.cpus * sizeof(*cpu_totals);
	size_t lock_bytes = (zones.count + 1) * sizeof(*lock_totals);

	cpu_totals = harness_need(cpu_bytes, "the report's totals of cpus");
	lock_totals = harness_need(lock_bytes, "the report's totals of locks");
	lock_blame = harness_need((zones.count + 1) * sizeof(*lock_blame), "the report's blame");
	for (unsigned i = 0; i <= zones.count; i++)
		blame_begin(&lock_blame[i], settings.cpus);
	results = harness_need(workload_count * sizeof(*results), "the workloads' results");
	result_count = 0;
	printf("\nstress: %u cpus; the baseline is the same workload with cache=0 in the same boot\n"
	       "  %-12s %12s %12s %9s %13s %13s %14s\n",
	       settings.cpus, "workload", "ops/s", "baseline", "ratio", "contended", "baseline",
	       "locks/1000 ops");
}

void report_workload_begin(const struct workload *workload)
{
	if (!workload->prints)
		printf("  %-12s ", workload->name);
	console_flush(); /* so that a terminal shows what is running */
}

static void record_result(const struct workload *workload, const struct result *result, bool cached)
{
	record_begin("bench");
	record_string("workload", workload->name);
	record_number("cpus", settings.cpus);
	record_number("cache", cached ? settings.arguments.cache_frames : 0);
	record_string("lock", spin_kind_name((enum spin_kind)settings.arguments.lock));
	record_string("policy", zones.zone[0].policy->name);
	record_number("seed", settings.arguments.seed);
	record_number("ops", result->ops);
	record_number("ns", result->ns);
	record_number("ops_per_second", per_second(result));
	record_number("refills", result->refills);
	record_number("flushes", result->flushes);
	record_number("direct", result->direct);
	record_number("failures", result->failures);
	record_number("acquisitions", result->zone_locks.acquisitions);
	record_number("contended", result->zone_locks.contended);
	record_end();
}

void report_workload_end(const struct workload *workload, const struct result *cached,
			 const struct result *baseline)
{
	uint64_t faster = ratio(per_second(cached), per_second(baseline), 10);
	uint64_t share = contended_permyriad(&cached->zone_locks);
	uint64_t base_share = contended_permyriad(&baseline->zone_locks);
	uint64_t locks = ratio(cached->zone_locks.acquisitions, cached->ops, 10000);

	if (workload->prints)
		printf("\n  %-12s ", workload->name);
	printf("%12llu %12llu %7llu.%llux %8llu.%02llu %% %8llu.%02llu %% %11llu.%llu  %s\n",
	       (unsigned long long)per_second(cached),
	       (unsigned long long)per_second(baseline), (unsigned long long)(faster / 10),
	       (unsigned long long)(faster % 10), (unsigned long long)(share / 100),
	       (unsigned long long)(share % 100), (unsigned long long)(base_share / 100),
	       (unsigned long long)(base_share % 100), (unsigned long long)(locks / 10),
	       (unsigned long long)(locks % 10), workload->what);
	results[result_count++] = (struct workload_results){workload, *cached, *baseline};
}

static void record_results(void)
{
	for (unsigned i = 0; i < result_count; i++) {
		record_result(results[i].workload, &results[i].cached, true);
		record_result(results[i].workload, &results[i].baseline, false);
	}
}

/* ---- the tables at the end --------------------------------------------------------------- */

static uint64_t mean_ns(const struct spin_times *times)
{
	return times->samples ? ticks_to_ns(times->ticks_total / times->samples) : 0;
}

static const char *lock_name(unsigned i)
{
	return i < zones.count ? zones.zone[i].lock.name : kheap_lock()->name;
}

static void print_locks(void)
{
	printf("\nlocks, over all runs with caches (%s; times of %s)\n"
	       "  %-8s %12s %10s %9s   %-22s %s\n",
	       spin_kind_name((enum spin_kind)settings.arguments.lock),
	       settings.arguments.lockstat == SPIN_STATS_ALL ? "every acquisition"
							     : "the contended acquisitions",
	       "lock", "acquired", "contended", "share", "wait mean/worst us",
	       "hold mean/worst us");
	for (unsigned i = 0; i <= zones.count; i++) {
		const struct spin_stats *stats = &lock_totals[i];
		uint64_t share = contended_permyriad(stats);
		uint64_t times[4] = {mean_ns(&stats->wait), ticks_to_ns(stats->wait.ticks_max),
				     mean_ns(&stats->hold), ticks_to_ns(stats->hold.ticks_max)};

		printf("  %-8s %12llu %10llu %4llu.%02llu %%", lock_name(i),
		       (unsigned long long)stats->acquisitions,
		       (unsigned long long)stats->contended, (unsigned long long)(share / 100),
		       (unsigned long long)(share % 100));
		for (unsigned j = 0; j < 4; j++)
			printf("%s%llu.%llu", j % 2 ? " / " : "   ",
			       (unsigned long long)(times[j] / 1000),
			       (unsigned long long)(times[j] / 100 % 10));
		printf("\n");
	}
}

/* One bar a power of two, scaled to the tallest. */
static void print_histogram(const char *name, const char *what, const struct spin_times *times)
{
	uint64_t tallest = 0;

	for (unsigned i = 0; i < SPIN_HISTOGRAM_BUCKETS; i++)
		if (times->histogram[i] > tallest)
			tallest = times->histogram[i];
	if (!tallest)
		return;
	printf("\n  %s, %s: how many lasted at least\n", name, what);
	for (unsigned i = 0; i < SPIN_HISTOGRAM_BUCKETS; i++) {
		unsigned bar = (unsigned)(times->histogram[i] * 40 / tallest);

		if (!times->histogram[i])
			continue;
		printf("  %10llu ns %10llu ", (unsigned long long)ticks_to_ns(UINT64_C(1) << i),
		       (unsigned long long)times->histogram[i]);
		while (bar--)
			printf("#");
		printf("\n");
	}
}

static void record_times(const char *mean, const char *worst, const char *histogram,
			 const struct spin_times *times)
{
	record_number(mean, mean_ns(times));
	record_number(worst, ticks_to_ns(times->ticks_max));
	record_numbers(histogram, times->histogram, SPIN_HISTOGRAM_BUCKETS);
}

static void record_locks(void)
{
	for (unsigned i = 0; i <= zones.count; i++) {
		const struct spin_stats *stats = &lock_totals[i];

		record_begin("lock");
		record_string("name", lock_name(i));
		record_string("kind", spin_kind_name((enum spin_kind)settings.arguments.lock));
		record_number("cpus", settings.cpus);
		record_number("acquisitions", stats->acquisitions);
		record_number("contended", stats->contended);
		record_fraction("contended_share", ratio(stats->contended, stats->acquisitions,
							 1000000), 6);
		record_number("timed_holds", stats->hold.samples);
		record_times("wait_mean_ns", "wait_worst_ns", "wait_log2_ticks", &stats->wait);
		record_times("hold_mean_ns", "hold_worst_ns", "hold_log2_ticks", &stats->hold);
		blame_record(&lock_blame[i]);
		record_end();
	}
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
		       (unsigned long long)totals->cache.flushes,
		       (unsigned long long)(hits / 100), (unsigned long long)(hits % 100));
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
	printf("  %-8s %4s %10llu %10llu %10llu; %llu cached (at most %llu), %llu in flight, %llu "
	       "allocated\n",
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
	print_locks();
	for (unsigned i = 0; i <= zones.count; i++) {
		print_histogram(lock_name(i), "waiting", &lock_totals[i].wait);
		print_histogram(lock_name(i), "holding", &lock_totals[i].hold);
		blame_print(&lock_blame[i]);
	}
	print_cpus();
	report_zones();
	nodes_report(cache_totals);
	printf("\n");
	record_results();
	record_locks();
	record_cpus();
	record_zones();
	nodes_record(cache_totals);
	record_heap();
}
