/* SPDX-License-Identifier: BSD-2-Clause */
/* sweep_report.c - see sweep_report.h. */
#include "tests/smp/sweep_report.h"

#include "kernel/diag/clock.h"
#include "kernel/diag/figures.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "tests/smp/sweep_lock.h"

static const char *const marks[] = {
	[CELL_VALID] = "",	 [CELL_NO_CORES] = "!cores",	[CELL_QUEUE] = "!queue",
	[CELL_HOLDS] = "!holds", [CELL_UNSTEADY] = "!unsteady", [CELL_UNFAIR] = "!turns",
};

static const char *const reasons[] = {
	[CELL_VALID] = "",
	[CELL_NO_CORES] = "the host has not given each cpu a core",
	[CELL_QUEUE] = "no core for each cpu, and the lock waits for a cpu that the host took away",
	[CELL_HOLDS] = "the host took cpus away while they held a lock: holds were too long",
	[CELL_UNSTEADY] = "the rounds differ more than twofold: the host was not at rest",
	[CELL_UNFAIR] = "turns were not equal: turn= is too short, or QEMU runs without the plugin",
};

const char *sweep_mark(enum cell_validity validity)
{
	return marks[validity];
}

const char *sweep_reason(enum cell_validity validity)
{
	return reasons[validity];
}

/* ---- records -------------------------------------------------------------------------------- */

void sweep_report_begin(unsigned cells, unsigned rounds, unsigned samples)
{
	record_begin("sweep");
	record_number("cells", cells);
	record_number("rounds", rounds);
	record_number("samples", samples);
	record_end();
}

static const char *lockstat_name(void)
{
	static const char *const names[] = {"off", "contended", "all"};

	return names[settings.arguments.lockstat];
}

void sweep_record_settings(const struct cell *cell)
{
	const struct configuration *configuration = &cell->configuration;

	record_string("workload", cell->workload->name);
	record_string("policy", configuration->policy->name);
	record_string("lock", spin_kind_name(configuration->lock));
	record_number("cache", configuration->cache_frames);
	record_number("batch", configuration->batch_frames);
	record_number("cpus", configuration->cpus);
	record_number("ops", cell->ops);
	record_number("seed", settings.arguments.seed);
	record_string("lockstat", lockstat_name());
	record_number("checks", CHECKS);
	record_number("zbb", SETTINGS_ZBB);
	record_number("zones", zones.count);
	record_number("rounds", cell->rounds_done);
}

static uint64_t longest_ns(const struct cell *cell)
{
	uint64_t longest = 0;

	for (unsigned i = 0; i < cell->rounds_done; i++)
		if (cell->rounds[i].ns > longest)
			longest = cell->rounds[i].ns;
	return longest;
}

/* For tools/calibrate.py, which needs the number of waits: a mean does not give it. */
static void record_judged_by(const struct cell *cell)
{
	const struct spin_times *wait = &cell->sum.zone_locks.wait;

	record_number("cores_percent", cell->cores_percent);
	record_number("hold_alone_ticks", cell->hold_alone_ticks);
	record_number("sum_ns", cell->sum.ns);
	if (wait->samples)
		record_number("wait_ticks_mean", wait->ticks_total / wait->samples);
}

/* In the order of the rounds, the median in the middle: they are sorted. */
static void record_times(const struct cell *cell)
{
	unsigned last = cell->rounds_done - 1, median = cell->rounds_done / 2;

	clock_record();
	if (settings.virtual_time) {
		record_number("cell", cell->number);
		record_fraction("spread_percent", cell->spread, 2);
		record_fraction("half_turn_percent", cell->half_turn, 2);
		record_bool("converged", cell->half_turn <= HALF_TURN_MOST);
	}
	record_bool("valid", cell->validity == CELL_VALID);
	if (cell->validity != CELL_VALID) {
		record_string("why", reasons[cell->validity]);
		record_bool("host", cell->validity == CELL_QUEUE);
	}
	record_number("limit_ns", cell->limit_ns);
	record_number("rounds_cut", cell->rounds_cut);
	record_number("longest_ns", longest_ns(cell));
	record_judged_by(cell);
	record_number("operations", cell->rounds[median].operations);
	record_fraction("ns_per_op", cell_round_hundredths(cell, median), 2);
	record_fraction("ns_per_op_min", cell_round_hundredths(cell, 0), 2);
	record_fraction("ns_per_op_max", cell_round_hundredths(cell, last), 2);
	if (cell->instructions)
		record_fraction("instructions_per_op",
				ratio(cell->instructions, cell->timed_ops, 100), 2);
}

static void record_spin_times(const char *total, const char *worst, const char *samples,
			      const char *histogram, const struct spin_times *times, unsigned cpus)
{
	record_number(total, ticks_to_ns(times->ticks_total, cpus));
	record_number(worst, ticks_to_ns(times->ticks_max, cpus));
	record_number(samples, times->samples);
	record_numbers(histogram, times->histogram, SPIN_HISTOGRAM_BUCKETS);
}

static void record_counts(const struct cell *cell)
{
	const struct result *sum = &cell->sum;

	record_number("counted_operations", sum->ops);
	record_number("refills", sum->refills);
	record_number("flushes", sum->flushes);
	record_number("direct", sum->direct);
	record_number("failures", sum->failures);
	record_number("acquisitions", sum->zone_locks.acquisitions);
	record_number("heap_acquisitions", sum->heap_lock.acquisitions);
	/* Of the histograms: in virtual time a tick is an instruction of any cpu. */
	record_number("tick_hz", settings.virtual_time
					 ? 1000000000 * (uint64_t)cell->configuration.cpus
					 : settings.clock_hertz);
}

/*
 * Which acquisition waits is the host's doing where the times are, so there it is not recorded. Nor
 * are holds, where those of the contended acquisitions alone are timed: they would tell how many.
 */
static void record_contention(const struct cell *cell)
{
	const struct spin_stats *locks = &cell->sum.zone_locks, *heap = &cell->sum.heap_lock;
	unsigned cpus = cell->configuration.cpus;
	uint64_t lockstat = settings.arguments.lockstat;

	if (cell_waits_are_measurable(cell)) {
		record_number("contended", locks->contended);
		record_number("heap_contended", heap->contended);
		record_number("heap_wait_ns", ticks_to_ns(heap->wait.ticks_total, cpus));
	}
	if (cell_waits_are_measurable(cell) && lockstat != SPIN_STATS_OFF)
		record_spin_times("wait_ns", "wait_ns_max", "wait_samples", "wait_histogram",
				  &locks->wait, cpus);
	if (lockstat == SPIN_STATS_ALL ||
	    (lockstat == SPIN_STATS_CONTENDED && cell_waits_are_measurable(cell)))
		record_spin_times("hold_ns", "hold_ns_max", "hold_samples", "hold_histogram",
				  &locks->hold, cpus);
	if (lockstat == SPIN_STATS_ALL)
		record_number("heap_hold_ns", ticks_to_ns(heap->hold.ticks_total, cpus));
}

void sweep_record(const struct cell *cell)
{
	record_begin("bench");
	record_string("bench", "sweep");
	sweep_record_settings(cell);
	record_bool("supported", !cell->unsupported);
	if (cell->unsupported) {
		record_string("why", cell->unsupported);
	} else {
		record_times(cell);
		record_counts(cell);
		record_contention(cell);
		if (cell->lock_figures)
			sweep_lock_record(cell);
	}
	record_end();
}
