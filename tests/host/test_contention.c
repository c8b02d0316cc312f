/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_contention.c - that waits are not printed where the host's scheduler caused them: no share,
 * no count, no time, no pair of cpus or sites, neither on the console nor in a record.
 *
 * The kernel's own printing, of made-up figures whose digits occur nowhere else. Here are the
 * verdict of the timed loops, the console, and what a cell's round took.
 *
 * Covers: kernel/diag/contention.c kernel/diag/record.c kernel/diag/wait_report.c
 * Covers: kernel/diag/figures.c
 * Covers: tests/smp/lock_report.c tests/smp/result.c tests/smp/sweep_report.c
 * Covers: tests/smp/sweep_table.c tests/smp/sweep_columns.c
 */
#include <stdlib.h>
#include <string.h>

#include "kernel/diag/console.h"
#include "kernel/settings.h"
#include "mm/global/policies.h"
#include "kernel/diag/contention.h"
#include "kernel/program_memory.h"
#include "tests/smp/lock_report.h"
#include "tests/smp/sweep_report.h"
#include "tests/smp/sweep_table.h"
#include "kernel/diag/timing.h"
#include "printed.h"
#include "unit.h"

#define CPUS	     2
#define ACQUISITIONS 90000
#define CONTENDED    12347 /* 13.72 % */
#define SHARE	     "13.72 %"
#define WAIT_TICKS   (77771 * CONTENDED)
#define SITE	     0x80207380

struct settings settings;

static bool each_has_a_core;
static unsigned looks;

bool cores_for_all(unsigned cpus)
{
	CHECK_EQ(cpus, CPUS);
	looks++;
	return each_has_a_core;
}

void console_flush(void)
{
}

void clock_record(void)
{
}

void *program_memory_alloc(size_t bytes)
{
	return calloc(1, bytes);
}

uint64_t cell_round_hundredths(const struct cell *cell, unsigned round)
{
	return cell->rounds[round].ns;
}

/* ---- what was printed ---------------------------------------------------------------------- */

static bool has(const char *text)
{
	return strstr(printed, text) != NULL;
}

/* ---- sweeps -------------------------------------------------------------------------------- */

static void fill(struct spin_stats *stats, bool all_holds)
{
	*stats = (struct spin_stats){.acquisitions = ACQUISITIONS, .contended = CONTENDED};
	stats->wait = (struct spin_times){.samples = CONTENDED, .ticks_total = WAIT_TICKS};
	stats->wait.histogram[7] = CONTENDED;
	stats->hold.samples = all_holds ? ACQUISITIONS : CONTENDED;
	stats->hold.histogram[3] = stats->hold.samples;
}

static void print_cell(enum cell_validity validity, enum spin_stats_mode mode)
{
	static const struct workload workload = {.name = "bulk", .what = "frames"};
	static struct cell_round rounds[1] = {{100, 4200, 0}};
	struct cell cell = {.workload = &workload,
			    .configuration = {.policy = policies[0], .cpus = CPUS},
			    .rounds = rounds,
			    .rounds_done = 1,
			    .validity = validity};

	settings.clock_hertz = settings.timebase = 1000000000;
	settings.arguments.lockstat = mode;
	cell.sum.ops = 500000;
	fill(&cell.sum.zone_locks, mode == SPIN_STATS_ALL);
	listen();
	sweep_print(&cell, 1);
	sweep_record(&cell);
	stop_listening();
}

TEST(a_cell_whose_check_failed_tells_nothing_of_waits)
{
	static const char *const members[] = {
		"\"contended\":", "\"wait_ns\":", "\"wait_samples\":", "\"wait_histogram\":"};

	for (int validity = CELL_VALID; validity <= CELL_UNSTEADY; validity++) {
		bool valid = validity == CELL_VALID;

		for (int mode = SPIN_STATS_CONTENDED; mode <= SPIN_STATS_ALL; mode++) {
			print_cell((enum cell_validity)validity, (enum spin_stats_mode)mode);
			CHECK_EQ(has(SHARE), valid);
			CHECK_EQ(has("12347"), valid);
			CHECK_EQ(has("NOT MEASURABLE"), !valid);
			CHECK_EQ(has("\"why\":"), !valid);
			for (unsigned i = 0; i < sizeof(members) / sizeof(members[0]); i++)
				CHECK_EQ(has(members[i]), valid);
			CHECK_EQ(has("\"hold_samples\":"), valid || mode == SPIN_STATS_ALL);
			CHECK_EQ(has("\"heap_hold_ns\":"), mode == SPIN_STATS_ALL);
			CHECK(has("\"acquisitions\":90000"));
			CHECK(has("\"refills\":"));
		}
	}
}

/* ---- the stress, and the monitor ----------------------------------------------------------- */

static void print_lock(void)
{
	static const char *const names[] = {"zone7"};
	static struct lock_totals totals;

	settings.cpus = CPUS;
	fill(&totals.stats, true);
	if (!totals.waits.name) {
		wait_report_begin(&totals.waits, CPUS);
		totals.waits.name = names[0];
		totals.waits.sum[1] = (struct spin_waits){CONTENDED, WAIT_TICKS};
		totals.waits.sites.pair[0].waiter = SITE;
		totals.waits.sites.pair[0].holder = SITE;
		totals.waits.sites.pair[0].waits = totals.waits.sum[1];
	}
	listen();
	lock_report_print(&totals, names, 1);
	wait_report_print(&totals.waits); /* as the monitor does */
	contention_print_share(15, CONTENDED, ACQUISITIONS, contention_is_measurable());
	lock_report_record(&totals, names, 1);
	stop_listening();
}

static void check_lock(bool is_measurable)
{
	static const char *const texts[] = {SHARE,
					    "12347",
					    "80207380",
					    "waited for which: rows",
					    "\"contended\":",
					    "\"contended_share\":",
					    "\"blame_waits\":",
					    "\"site_waits\":",
					    "\"wait_mean_ns\":",
					    "\"timed_holds\":",
					    "holding: how",
					    "waiting: how"};

	print_lock();
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (has(texts[i]) != is_measurable)
			unit_fail(__FILE__, __LINE__, "%s is%s printed", texts[i],
				  is_measurable ? " not" : "");
	CHECK_EQ(has("NOT MEASURABLE"), !is_measurable);
	CHECK_EQ(has("\"valid\":false,\"why\":\""), !is_measurable);
	CHECK_EQ(contention_why_not()[0] == 0, is_measurable);
	CHECK(has("90000"));
	CHECK(has("\"acquisitions\":90000"));
}

TEST(a_lock_tells_of_waits_while_every_look_found_cores)
{
	check_lock(false); /* nothing has been looked at */
	each_has_a_core = true;
	CHECK(contention_look());
	check_lock(true);
	CHECK(contention_look());
	check_lock(true);
	each_has_a_core = false;
	CHECK(!contention_look());
	check_lock(false);
	each_has_a_core = true; /* the waits counted before stay invalid */
	CHECK(!contention_look());
	check_lock(false);
	CHECK_EQ(looks, 3);
}
