/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_uncached.c - single frames with the cache off, and runs: what the short ways of zone_one.h and
 * zone_run.h must do just as the general ones do. Frames, the zone's counts, the lock's statistics, and
 * the low mark.
 *
 * Covers: mm/global/zone_one.h mm/global/zone_run.h sync/spin_fast.h
 */
#include "unit.h"

#include "host.h"
#include "mm/frame.h"
#include "mm/global/bitmap.h"
#include "mm/global/free_list.h"
#include "mm/global/recycler.h"
#include "mm/global/zone.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "sync/counter_start.h"

#define FRAMES 2048

static pfn_t taken[FRAMES];
static struct zone *zone;
static unsigned counted = 1; /* how often a hold of the zone's lock is counted */

static void start(const struct policy *policy, unsigned cpus)
{
	struct host_machine machine = {.policy = policy, .cpus = cpus};
	struct host_range range = {0x80000, FRAMES, 0};

	host_machine_start(&machine, &range, 1);
	zone = &zones.zone[0];
}

static struct spin_stats lock_stats(void)
{
	struct spin_stats stats = {0};

	spin_stats_add(&zone->lock, &stats);
	return stats;
}

/* What one operation on a frame counts; `frees` is how many frames came back, 1 or -1. */
static uint64_t free_before, releases_before, holds_before, direct_before;

static void note(void)
{
	const struct frame_cache_stats *stats = &frame_cache_self()->stats;

	free_before = zone->free_frames;
	releases_before = zone->releases;
	holds_before = lock_stats().acquisitions;
	direct_before = stats->direct_allocs + stats->direct_frees;
}

static void check_counted(int frees)
{
	const struct frame_cache_stats *stats = &frame_cache_self()->stats;
	struct lock_owner owner;

	CHECK_EQ(zone->free_frames, free_before + (uint64_t)frees);
	CHECK_EQ(zone->releases, releases_before + (frees > 0));
	CHECK_EQ(lock_stats().acquisitions, holds_before + counted);
	CHECK_EQ(stats->direct_allocs + stats->direct_frees, direct_before + 1);
	CHECK(!spin_locked_relaxed(&zone->lock));
	CHECK(!lock_owner_of(&zone->lock, &owner));
}

/* All frames, lowest first; then "none"; and all of them back, in an order that fills words last. */
static void all_and_none(void)
{
	uint64_t count = zone_free_frames(zone);

	for (uint64_t i = 0; i < count; i++) {
		note();
		taken[i] = frame_alloc(FRAME_ANY);
		CHECK_EQ(taken[i].value, zone->first + zone->reserved_frames + i);
		check_counted(-1);
	}
	CHECK(pfn_is_none(frame_alloc(FRAME_ANY)));
	CHECK_EQ(frame_cache_self()->stats.failures, 1);
	for (uint64_t i = 0; i < count; i++) {
		note();
		frame_free(taken[i % 2 ? i : (i ^ 64) < count ? i ^ 64 : i]);
		check_counted(1);
		zone_validate(zone);
	}
	CHECK_EQ(zone_free_frames(zone), count);
	frame_validate();
}

TEST(each_frame_is_counted_once_where_it_has_to_be)
{
	for (unsigned mode = SPIN_STATS_OFF; mode <= SPIN_STATS_ALL; mode++) {
		spin_stats_configure((enum spin_stats_mode)mode);
		counted = mode != SPIN_STATS_OFF;
		start(NULL, 1);
		CHECK(frame_cache_self()->uncached);
		all_and_none();
		CHECK_EQ(lock_stats().hold.samples,
			 mode == SPIN_STATS_ALL ? lock_stats().acquisitions : 0);
		host_machine_end();
	}
	spin_stats_configure(SPIN_STATS_CONTENDED);
	counted = 1;
}

/* True if both short ways are prepared for the mode of the statistics. */
static bool is_prepared(void)
{
	struct cache_direct *direct = &frame_cache_self()->work->direct;
	struct lock_fast *notes[] = {&direct->one.claim, &direct->one.release, &direct->run.claim,
				     &direct->run.release};

	for (unsigned i = 0; i < 4; i++)
		if (!lock_fast_on_lock(notes[i]))
			return false;
	return true;
}

static void take_and_free(bool run)
{
	pfn_t frame;

	note();
	if (run) {
		frame = frame_alloc_run(3, 0);
		frame_free_run(frame, 3);
	} else {
		frame = frame_alloc(FRAME_ANY);
		frame_free(frame);
	}
	CHECK(!pfn_is_none(frame));
	CHECK_EQ(lock_stats().acquisitions, holds_before + 2 * counted);
}

/*
 * As the rounds of a sweep do: the mode changes after the cache was configured. The first operation takes
 * the general way, and prepares the short one again if the new mode has one.
 */
TEST(a_change_of_the_statistics_costs_one_operation_the_short_way)
{
	static const enum spin_stats_mode modes[] = {
		SPIN_STATS_OFF, SPIN_STATS_CONTENDED, SPIN_STATS_ALL, SPIN_STATS_OFF,
		SPIN_STATS_ALL, SPIN_STATS_CONTENDED, SPIN_STATS_OFF, SPIN_STATS_CONTENDED,
	};

	for (unsigned run = 0; run < 2; run++) {
		start(NULL, 1);
		CHECK(is_prepared());
		for (unsigned i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
			spin_stats_configure(modes[i]);
			counted = modes[i] != SPIN_STATS_OFF;
			for (unsigned j = 0; j < 3; j++) {
				take_and_free(run);
				CHECK_EQ(is_prepared(), modes[i] != SPIN_STATS_ALL);
			}
		}
		frame_validate();
		host_machine_end();
	}
}

/* A free, and not an allocation, is the first operation after the change. */
TEST(a_free_prepares_the_short_way_too)
{
	for (unsigned run = 0; run < 2; run++) {
		pfn_t frame;

		start(NULL, 1);
		frame = run ? frame_alloc_run(3, 0) : frame_alloc(FRAME_ANY);
		spin_stats_configure(SPIN_STATS_OFF);
		if (run)
			frame_free_run(frame, 3);
		else
			frame_free(frame);
		CHECK(is_prepared());
		spin_stats_configure(SPIN_STATS_CONTENDED);
		host_machine_end();
	}
}

#define RUN 200

static void check_run_counted(int64_t frees)
{
	const struct frame_cache_stats *stats = &frame_cache_self()->stats;

	CHECK_EQ(zone->free_frames, free_before + (uint64_t)frees);
	CHECK_EQ(zone->releases, releases_before + (frees > 0));
	CHECK_EQ(lock_stats().acquisitions, holds_before + counted);
	CHECK_EQ(stats->direct_allocs + stats->direct_frees, direct_before);
	CHECK(!spin_locked_relaxed(&zone->lock));
	CHECK(!host_self->masked);
}

/* All runs there are, lowest first; then "none"; and all of them back. The cache is on, which is all one. */
static void all_runs_and_none(void)
{
	uint64_t count = 0;
	pfn_t run;

	for (;;) {
		note();
		run = frame_alloc_run(RUN, 0);
		if (pfn_is_none(run))
			break;
		CHECK_EQ(run.value, zone->first + zone->reserved_frames + count * RUN);
		check_run_counted(-RUN);
		taken[count++] = run;
	}
	CHECK_EQ(zone_free_frames(zone), free_before);
	CHECK(free_before < RUN && count);
	while (count) {
		note();
		frame_free_run(taken[--count], RUN);
		check_run_counted(RUN);
		zone_validate(zone);
	}
	frame_validate();
}

TEST(each_run_is_counted_once_where_it_has_to_be)
{
	for (unsigned mode = SPIN_STATS_OFF; mode <= SPIN_STATS_ALL; mode++) {
		struct host_machine machine = {.capacity = mode ? 192 : 0};
		struct host_range range = {0x80000, FRAMES, 0};

		spin_stats_configure((enum spin_stats_mode)mode);
		counted = mode != SPIN_STATS_OFF;
		host_machine_start(&machine, &range, 1);
		zone = &zones.zone[0];
		CHECK(frame_cache_self()->runs);
		all_runs_and_none();
		CHECK_EQ(lock_stats().hold.samples,
			 mode == SPIN_STATS_ALL ? lock_stats().acquisitions : 0);
		host_machine_end();
	}
	spin_stats_configure(SPIN_STATS_CONTENDED);
	counted = 1;
}

TEST(a_policy_that_does_not_answer_all_requests_for_runs_has_no_short_way)
{
	start(&recycler_policy, 1);
	CHECK(!frame_cache_self()->runs ==
	      !(recycler_policy.has_runs && recycler_policy.aligns_runs));
	host_machine_end();
	start(&free_list_policy, 1);
	CHECK(!frame_cache_self()->runs);
	CHECK(pfn_is_none(frame_alloc_run(2, 0)));
	host_machine_end();
}

/* As for single frames, below. */
TEST(a_run_meets_the_low_mark_once_for_a_fall)
{
	uint64_t count, above;

	start(NULL, 1);
	frame_drain_set_low(100);
	count = zone_free_frames(zone);
	above = count - 100;
	for (unsigned fall = 0; fall < 2; fall++) {
		taken[0] = frame_alloc_run(above, 0);
		CHECK_EQ(zone->low_notified, 0);
		taken[1] = frame_alloc_run(2, 0);
		CHECK_EQ(zone->low_notified, 1);
		frame_free_run(taken[1], 2);
		taken[1] = frame_alloc_run(2, 0);
		CHECK_EQ(zone->low_notified, 1);
		frame_free_run(taken[0], above);
		frame_free_run(taken[1], 2);
		frame_free_run(frame_alloc_run(count - zone->low_rearm + 1, 0),
			       count - zone->low_rearm + 1);
		CHECK_EQ(zone->low_notified, 0);
	}
	host_machine_end();
}

TEST(a_policy_without_a_function_for_one_frame_takes_the_general_way)
{
	start(&bitmap_policy, 1);
	CHECK(!frame_cache_self()->uncached);
	all_and_none();
	host_machine_end();
}

TEST(a_cache_that_is_on_has_no_short_way)
{
	struct host_machine machine = {.capacity = 192};
	struct host_range range = {0x80000, FRAMES, 0};

	host_machine_start(&machine, &range, 1);
	CHECK(!frame_cache_self()->uncached);
	frame_cache_configure(0, 0);
	CHECK(frame_cache_self()->uncached);
	host_machine_end();
}

/* Once for a fall below the mark, and again only after the zone has recovered. */
TEST(the_low_mark_is_met_once_for_a_fall)
{
	uint64_t count, above;

	start(NULL, 1);
	frame_drain_set_low(100);
	count = zone_free_frames(zone);
	above = count - 100;
	for (unsigned fall = 0; fall < 2; fall++) {
		for (uint64_t i = 0; i < above; i++)
			taken[i] = frame_alloc(FRAME_ANY);
		CHECK_EQ(zone->low_notified, 0);
		taken[above] = frame_alloc(FRAME_ANY);
		CHECK_EQ(zone->low_notified, 1);
		frame_free(taken[above]);
		taken[above] = frame_alloc(FRAME_ANY);
		CHECK_EQ(zone->low_notified, 1);
		for (uint64_t i = 0; i <= above; i++)
			frame_free(taken[i]);
		frame_free(frame_alloc(FRAME_ANY)); /* a claim sees that it has recovered */
		taken[0] = frame_alloc_run(count - zone->low_rearm, 0);
		frame_free(frame_alloc(FRAME_ANY));
		frame_free_run(taken[0], count - zone->low_rearm);
		CHECK_EQ(zone->low_notified, 0);
	}
	host_machine_end();
}

#if !CHECKS
/* Without checks of callers it is the policy that finds a frame that is free already. */
TEST(a_frame_that_is_free_is_refused_by_the_tree)
{
	pfn_t frame;

	start(NULL, 1);
	frame = frame_alloc_called(); /* inlined, it has variables that a longjmp may change */
	frame_free(frame);
	EXPECT_PANIC(frame_free_called(frame), "freed twice");
	host_machine_end();
}
#endif

#define ROUNDS 3000

static void churn(void *argument)
{
	pfn_t mine[8];

	(void)argument;
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < 8; i++) {
			mine[i] = frame_alloc(FRAME_ANY);
			*(unsigned *)frame_bytes(mine[i]) = port_cpu();
		}
		for (unsigned i = 0; i < 8; i++) {
			CHECK_EQ(*(unsigned *)frame_bytes(mine[i]), port_cpu());
			frame_free(mine[i]);
		}
	}
}

CONCURRENT_TEST(cpus_without_caches_share_no_frame_and_lose_none)
{
	for (unsigned kind = 0; kind <= SPIN_MCS; kind += SPIN_MCS) {
		struct host_machine machine = {.cpus = 3, .lock = (enum spin_kind)kind};
		struct host_range range = {0x80000, FRAMES, 0};
		uint64_t before;

		host_machine_start(&machine, &range, 1);
		zone = &zones.zone[0];
		before = zone_free_frames(zone);
		host_run(churn, NULL);
		CHECK_EQ(zone_free_frames(zone), before);
		CHECK_EQ(lock_stats().acquisitions, 3 * ROUNDS * 16);
		CHECK_EQ(lock_stats().wait.samples, lock_stats().contended);
		CHECK_EQ(zone->releases - COUNTER_START_64, 3 * ROUNDS * 8);
		frame_validate();
		host_machine_end();
	}
}

static bool waits_for_run;

/* Cpu 0 holds the lock until cpu 1 waits for it, which is one contended acquire and no more. */
static void wait_once(void *argument)
{
	bool *held = argument;
	struct spin_node node;

	if (port_cpu() == 0) {
		unsigned long flags = port_irq_save();

		spin_lock(&zone->lock, &node);
		__atomic_store_n(held, true, __ATOMIC_RELEASE);
		for (unsigned i = 0; i < 200; i++)
			port_relax();
		spin_unlock(&zone->lock, &node);
		port_irq_restore(flags);
		return;
	}
	while (!__atomic_load_n(held, __ATOMIC_ACQUIRE))
		port_relax();
	if (waits_for_run)
		frame_free_run(frame_alloc_run(RUN, 0), RUN);
	else
		frame_free(frame_alloc(FRAME_ANY));
}

static void wait_until_contended(bool run)
{
	uint64_t contended = 0;

	waits_for_run = run;
	while (!contended) {
		struct frame_cache *cache;
		bool held = false;

		start(NULL, 2);
		cache = port_area_of(1);
		host_run(wait_once, &held);
		contended = lock_stats().contended;
		CHECK_EQ(lock_stats().acquisitions, 3);
		CHECK_EQ(cache->stats.contended, run ? 0 : contended);
		CHECK_EQ(cache->stats.direct_allocs + cache->stats.direct_frees, run ? 0 : 2);
		host_machine_end();
	}
}

CONCURRENT_TEST(an_operation_that_finds_the_lock_held_is_a_wait)
{
	wait_until_contended(false);
	wait_until_contended(true);
}

static void churn_runs(void *argument)
{
	static const uint64_t counts[] = {3, 64, 100, 128};

	(void)argument;
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t count = counts[(round + port_cpu()) % 4];
		pfn_t run = frame_alloc_run(count, 0), frame = frame_alloc(FRAME_ANY);

		*(unsigned *)frame_bytes(pfn(run.value + count - 1)) = port_cpu();
		frame_free(frame);
		CHECK_EQ(*(unsigned *)frame_bytes(pfn(run.value + count - 1)), port_cpu());
		frame_free_run(run, count);
	}
}

CONCURRENT_TEST(cpus_share_no_run_and_lose_none)
{
	for (unsigned kind = 0; kind <= SPIN_MCS; kind += SPIN_MCS) {
		struct host_machine machine = {.cpus = 3, .lock = (enum spin_kind)kind};
		struct host_range range = {0x80000, FRAMES, 0};
		uint64_t before;

		host_machine_start(&machine, &range, 1);
		zone = &zones.zone[0];
		before = zone_free_frames(zone);
		host_run(churn_runs, NULL);
		CHECK_EQ(zone_free_frames(zone), before);
		CHECK_EQ(lock_stats().acquisitions, 3 * ROUNDS * 4);
		CHECK_EQ(lock_stats().wait.samples, lock_stats().contended);
		CHECK_EQ(zone->releases - COUNTER_START_64, 3 * ROUNDS * 2);
		frame_validate();
		host_machine_end();
	}
}
