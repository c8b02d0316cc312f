/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain tsan */
/*
 * test_lock_figures.c - the figures of the workload `lock`: percentiles, Jain's index, random delays,
 * and whether what the cpus counted adds up.
 *
 * Covers: tests/smp/workloads/lock_figures.c tests/smp/workloads/delay.c
 * Covers: tests/smp/workloads/workloads_lock.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "sync/spinlock.h"
#include "tests/smp/workloads/delay.h"
#include "tests/smp/workloads/lock_figures.h"
#include "unit.h"

#define CPUS_MAX 4

static struct lock_figures figures;
static struct workload_cpu cpu[CPUS_MAX];

/* ---- percentiles ---------------------------------------------------------------------------- */

static void check_bucket_of(uint64_t ticks)
{
	uint64_t middle = wait_bucket_middle(wait_bucket(ticks));
	uint64_t error = middle > ticks ? middle - ticks : ticks - middle;

	CHECK(wait_bucket(ticks) < WAIT_BUCKETS);
	CHECK(ticks < 2 * WAIT_PARTS ? error == 0 : error * 128 <= ticks);
	CHECK(wait_bucket(ticks + 1) - wait_bucket(ticks) <= 1);
}

TEST(a_bucket_is_within_a_128th_of_its_waits)
{
	for (uint64_t ticks = 0; ticks < 70000; ticks++)
		check_bucket_of(ticks);
	for (unsigned power = 17; power < WAIT_BITS; power++)
		for (unsigned n = 0; n < 100; n++) {
			check_bucket_of((UINT64_C(1) << power) - n);
			check_bucket_of((UINT64_C(1) << power) + unit_random_below(1u << 16));
		}
	CHECK_EQ(wait_bucket(UINT64_C(1) << WAIT_BITS), WAIT_BUCKETS - 1);
	CHECK_EQ(wait_bucket(UINT64_MAX), WAIT_BUCKETS - 1);
}

static void note(uint64_t ticks, uint32_t times)
{
	figures.waits[wait_bucket(ticks)] += times;
	figures.acquisitions += times;
}

TEST(a_percentile_is_the_nearest_rank)
{
	memset(&figures, 0, sizeof(figures));
	CHECK_EQ(lock_figures_percentile(&figures, 50), 0);
	note(100, 1);
	CHECK_EQ(lock_figures_percentile(&figures, 1), 100);
	CHECK_EQ(lock_figures_percentile(&figures, 100), 100);
	note(10, 8);
	CHECK_EQ(lock_figures_percentile(&figures, 80), 10);
	CHECK_EQ(lock_figures_percentile(&figures, 99), 100); /* rank 8.91: the ninth */
	note(10, 89);
	note(120, 2);
	CHECK_EQ(lock_figures_percentile(&figures, 50), 10);
	CHECK_EQ(lock_figures_percentile(&figures, 97), 10);
	CHECK_EQ(lock_figures_percentile(&figures, 98), 100);
	CHECK_EQ(lock_figures_percentile(&figures, 99), 120);
	note(0, 900);
	CHECK_EQ(lock_figures_percentile(&figures, 50), 0);
	CHECK_EQ(lock_figures_percentile(&figures, 90), 0);
	CHECK_EQ(lock_figures_percentile(&figures, 91), 10);
}

/* ---- Jain's index --------------------------------------------------------------------------- */

static uint64_t jain_of(unsigned cpus, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	const uint64_t counts[CPUS_MAX] = {a, b, c, d};

	for (unsigned i = 0; i < CPUS_MAX; i++)
		cpu[i].allocs = counts[i];
	return jain_index(cpu, cpus);
}

TEST(jain_of_known_shares)
{
	CHECK_EQ(jain_of(1, 7, 0, 0, 0), 10000);
	CHECK_EQ(jain_of(4, 7, 7, 7, 7), 10000);
	CHECK_EQ(jain_of(4, 7, 0, 0, 0), 2500);
	CHECK_EQ(jain_of(4, 0, 0, 7, 7), 5000);
	CHECK_EQ(jain_of(2, 1, 3, 0, 0), 8000);
	CHECK_EQ(jain_of(3, 1, 2, 3, 0), 8571); /* 36 / (3 * 14) */
	CHECK_EQ(jain_of(4, 0, 0, 0, 0), 0);
	CHECK_EQ(jain_of(2, UINT64_C(1) << 40, UINT64_C(3) << 40, 0, 0), 8000);
}

/* ---- random delays -------------------------------------------------------------------------- */

TEST(random_delays_are_exponential)
{
	static struct delay_quantiles quantiles;
	uint64_t sum = 0, above = 0, random = unit_random() | 1;

	delay_quantiles_make(&quantiles);
	for (unsigned i = 0; i < DELAY_QUANTILES; i++) {
		CHECK(i == 0 || quantiles.at[i] < quantiles.at[i - 1]);
		sum += quantiles.at[i];
		above += quantiles.at[i] > 65536;
	}
	/* The mean is 1 within 0.1 %, and e^-1 of all are above it: 376.7. */
	CHECK(sum > UINT64_C(65536) * DELAY_QUANTILES * 999 / 1000);
	CHECK(sum < UINT64_C(65536) * DELAY_QUANTILES);
	CHECK(above == 376 || above == 377);
	/* In units of 2^-16, -ln(1 / 2048) is 499687 and -ln(2047 / 2048) is 32. */
	CHECK(quantiles.at[0] > 499600 && quantiles.at[0] < 499700);
	CHECK(quantiles.at[DELAY_QUANTILES - 1] == 31 || quantiles.at[DELAY_QUANTILES - 1] == 32);
	for (sum = 0, above = 0; above < 100000; above++)
		sum += delay_draw(&quantiles, &random, 1000);
	CHECK(sum > UINT64_C(980) * 100000 && sum < UINT64_C(1020) * 100000);
	CHECK_EQ(delay_draw(&quantiles, &random, 0), 0);
	delay_quantiles_make_fixed(&quantiles);
	CHECK_EQ(delay_draw(&quantiles, &random, 1000000), 1000000);
}

/* ---- the workload --------------------------------------------------------------------------- */

static const struct host_range memory[] = {{0x80200, 2048, 0}};

static const struct workload *workload_lock(void)
{
	for (unsigned i = 0; i < workload_count; i++)
		if (strcmp(workloads[i].name, "lock") == 0)
			return &workloads[i];
	return NULL;
}

static uint64_t acquisitions_of_lock;

static void add_figures(struct workload_run *run)
{
	struct spin_stats stats = {0};

	spin_stats_add(run->lock, &stats);
	acquisitions_of_lock = stats.acquisitions;
	lock_figures_add(&figures, run);
}

static void check_counts(const struct workload_run *run)
{
	uint64_t done = 0, most = 0, waits = 0;

	for (unsigned i = 0; i < run->cpus; i++) {
		done += run->cpu[i].allocs;
		if (run->cpu[i].allocs > most)
			most = run->cpu[i].allocs;
	}
	for (unsigned i = 0; i < WAIT_BUCKETS; i++)
		waits += figures.waits[i];
	CHECK_EQ(most, run->ops);
	CHECK_EQ(acquisitions_of_lock, done);
	CHECK_EQ(figures.acquisitions, done);
	CHECK_EQ(waits, done);
	CHECK(figures.contended >= done - figures.waits[0] && figures.contended <= done);
	CHECK((figures.contended > 0) == (figures.wait_ticks > 0));
	CHECK(figures.jain * run->cpus >= 10000 && figures.jain <= 10000);
}

static void run_with(enum spin_kind kind, unsigned cpus)
{
	struct host_machine machine = {.cpus = cpus, .lock = kind};
	struct workload_run run = {.workload = workload_lock(),
				   .cpus = cpus,
				   .ops = 500,
				   .seed = unit_random(),
				   .worked = add_figures,
				   .cpu = cpu};

	memset(&figures, 0, sizeof(figures));
	host_machine_start(&machine, memory, 1);
	CHECK(workload_execute(&run));
	check_counts(&run);
	host_machine_end();
}

CONCURRENT_TEST(acquisitions_and_waits_add_up)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++)
		run_with((enum spin_kind)kind, 2);
	run_with(SPIN_FAS, 4);
	run_with(SPIN_NONE, 1);
}

/* A lock that no cpu shares is always free. */
TEST(one_cpu_never_waits)
{
	run_with(SPIN_MCS, 1);
	CHECK_EQ(figures.waits[0], figures.acquisitions);
	CHECK_EQ(figures.worst_ticks, 0);
	CHECK_EQ(figures.overtaken_most, 0);
	CHECK_EQ(figures.jain, 10000);
}
