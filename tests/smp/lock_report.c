/* SPDX-License-Identifier: BSD-2-Clause */
/* lock_report.c - see lock_report.h. */
#include "tests/smp/lock_report.h"

#include <stdio.h>

#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "kernel/diag/contention.h"
#include "tests/smp/result.h"

static uint64_t mean_ns(const struct spin_times *times)
{
	return times->samples ? ticks_to_ns(times->ticks_total / times->samples, settings.cpus) : 0;
}

/* ---- for people --------------------------------------------------------------------------- */

static void print_mean_and_worst(const struct spin_times *times)
{
	uint64_t ns[2] = {mean_ns(times), ticks_to_ns(times->ticks_max, settings.cpus)};

	for (unsigned i = 0; i < 2; i++)
		if (settings.virtual_time)
			printf(" %8llu", (unsigned long long)ns[i]);
		else
			printf(" %6llu.%llu", (unsigned long long)(ns[i] / 1000),
			       (unsigned long long)(ns[i] / 100 % 10));
}

static void print_lock(const struct spin_stats *stats, const char *name)
{
	bool measurable = contention_is_measurable();

	printf("  %-8s %11llu", name, (unsigned long long)stats->acquisitions);
	if (measurable) {
		printf(" %10llu", (unsigned long long)stats->contended);
		contention_print_share(9, stats->contended, stats->acquisitions, measurable);
		print_mean_and_worst(&stats->wait);
		print_mean_and_worst(&stats->hold);
	}
	printf("\n");
}

static void print_table(const struct lock_totals *totals, const char *const *names, unsigned count)
{
	const char *kind = spin_kind_name((enum spin_kind)settings.arguments.lock);

	if (contention_is_measurable())
		printf("\nlocks, over all runs with caches (%s; %s, of %s acquisitions)\n"
		       "  %-8s %11s %10s %9s %8s %8s %8s %8s\n",
		       kind, time_unit(),
		       settings.arguments.lockstat == SPIN_STATS_ALL ? "all" : "contended", "lock",
		       "acquired", "contended", "share", "wait", "worst", "hold", "worst");
	else
		printf("\nlocks, over all runs with caches (%s)\n  %-8s %11s\n", kind, "lock",
		       "acquired");
	for (unsigned i = 0; i < count; i++)
		print_lock(&totals[i].stats, names[i]);
	if (!contention_is_measurable())
		printf("  What the locks cost is NOT MEASURABLE in this boot:\n  %s.\n"
		       "  In virtual time it is, on any host: make run VTIME=1\n",
		       contention_why_not());
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
		printf("  %10llu %s %10llu ",
		       (unsigned long long)ticks_to_ns(UINT64_C(1) << i, settings.cpus),
		       settings.virtual_time ? "instr" : "ns",
		       (unsigned long long)times->histogram[i]);
		while (bar--)
			printf("#");
		printf("\n");
	}
}

void lock_report_print(const struct lock_totals *totals, const char *const *names, unsigned count)
{
	print_table(totals, names, count);
	for (unsigned i = 0; contention_is_measurable() && i < count; i++) {
		print_histogram(names[i], "waiting", &totals[i].stats.wait);
		print_histogram(names[i], "holding", &totals[i].stats.hold);
		wait_report_print(&totals[i].waits);
	}
}

/* ---- for programs ------------------------------------------------------------------------- */

static void record_times(const char *mean, const char *worst, const char *histogram,
			 const struct spin_times *times)
{
	record_number(mean, mean_ns(times));
	record_number(worst, ticks_to_ns(times->ticks_max, settings.cpus));
	record_numbers(histogram, times->histogram, SPIN_HISTOGRAM_BUCKETS);
}

static void record_contention(const struct lock_totals *totals)
{
	const struct spin_stats *stats = &totals->stats;

	record_number("contended", stats->contended);
	record_fraction("contended_share", ratio(stats->contended, stats->acquisitions, 1000000), 6);
	record_number("timed_holds", stats->hold.samples);
	record_times("wait_mean_ns", "wait_worst_ns", "wait_log2_ticks", &stats->wait);
	record_times("hold_mean_ns", "hold_worst_ns", "hold_log2_ticks", &stats->hold);
	wait_report_record(&totals->waits);
}

void lock_report_record(const struct lock_totals *totals, const char *const *names, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		record_begin("lock");
		record_string("name", names[i]);
		record_string("kind", spin_kind_name((enum spin_kind)settings.arguments.lock));
		record_number("cpus", settings.cpus);
		record_number("acquisitions", totals[i].stats.acquisitions);
		contention_record_validity(contention_is_measurable());
		if (contention_is_measurable())
			record_contention(&totals[i]);
		record_end();
	}
}
