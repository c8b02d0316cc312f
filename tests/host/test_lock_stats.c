/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain tsan */
/*
 * test_lock_stats.c - what locks count: acquisitions, times, and which CPU waited for which.
 *
 * Whether a CPU must wait is never left to chance: where a test depends on it, the test arranges
 * it, or tries until it has happened.
 *
 * Covers: sync/lock_stats.c sync/wait_matrix.c
 */
#include <string.h>

#include "host.h"
#include "mm/address.h"
#include "mm/global/zone.h"
#include "sync/spin_kinds.h"
#include "tried_lock.h"
#include "unit.h"

/* ---- statistics -------------------------------------------------------------------------- */

static void check_times(const struct spin_times *times, uint64_t samples)
{
	uint64_t in_histogram = 0;

	for (unsigned i = 0; i < SPIN_HISTOGRAM_BUCKETS; i++)
		in_histogram += times->histogram[i];
	CHECK_EQ(times->samples, samples);
	CHECK_EQ(in_histogram, samples);
	CHECK(times->ticks_total >= times->ticks_max);
	CHECK(times->ticks_total <= times->ticks_max * samples);
}

/* Every wait is in one cell of its waiter's row, and in one pair of sites or in `others`. */
static void check_matrix(unsigned cpus)
{
	struct spin_sites sites = {0};
	struct spin_stats stats = stats_now();
	struct spin_waits all;

	for (unsigned waiter = 0; waiter < cpus; waiter++) {
		const struct spin_times *wait = &spin_stats_of(&lock, waiter)->wait;
		uint64_t count = 0, ticks = 0;

		for (unsigned holder = 0; holder < cpus; holder++) {
			count += wait_matrix_read(&lock, waiter, holder).count;
			ticks += wait_matrix_read(&lock, waiter, holder).ticks;
		}
		CHECK_EQ(count, wait->samples);
		CHECK_EQ(ticks, wait->ticks_total);
	}
	spin_sites_add(&lock, &sites);
	all = sites.others;
	for (unsigned i = 0; i < SPIN_SITE_PAIRS; i++) {
		all.count += sites.pair[i].waits.count;
		all.ticks += sites.pair[i].waits.ticks;
	}
	CHECK_EQ(all.count, stats.wait.samples);
	CHECK_EQ(all.ticks, stats.wait.ticks_total);
}

/* The worst time is in the highest bucket that is not empty. */
static void check_worst(const struct spin_times *times)
{
	unsigned highest = SPIN_HISTOGRAM_BUCKETS - 1;

	if (!times->samples)
		return;
	while (!times->histogram[highest])
		highest--;
	CHECK(times->ticks_max >> highest <= 1);
	CHECK(highest == 0 || times->ticks_max >> highest == 1);
}

static void check_stats(enum spin_stats_mode mode, unsigned cpus)
{
	struct spin_stats stats = stats_now();
	uint64_t acquisitions = mode == SPIN_STATS_OFF ? 0 : ROUNDS * cpus;

	CHECK_EQ(stats.acquisitions, acquisitions);
	CHECK(stats.contended <= acquisitions);
	if (cpus == 1)
		CHECK_EQ(stats.contended, 0);
	check_times(&stats.wait, stats.contended);
	check_times(&stats.hold, mode == SPIN_STATS_ALL ? acquisitions : stats.contended);
	check_worst(&stats.wait);
	check_worst(&stats.hold);
	check_matrix(cpus);
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		CHECK_EQ(spin_stats_of(&lock, cpu)->acquisitions, acquisitions / cpus);
	spin_stats_reset(&lock);
	stats = stats_now();
	CHECK_EQ(stats.acquisitions + stats.contended, 0);
	check_times(&stats.wait, 0);
	check_times(&stats.hold, 0);
	check_matrix(cpus);
}

CONCURRENT_TEST(statistics_are_exact_in_every_mode)
{
	static const enum spin_stats_mode modes[] = {SPIN_STATS_OFF, SPIN_STATS_ALL,
						     SPIN_STATS_CONTENDED};

	for (unsigned i = 0; i < LENGTH(modes); i++)
		for (unsigned kind = 0; kind < SPIN_KINDS; kind++)
			for (unsigned cpus = 1; cpus <= 3; cpus++) {
				spin_stats_configure(modes[i]);
				tried_lock_start((enum spin_kind)kind, cpus);
				exclude((enum spin_kind)kind, cpus);
				check_stats(modes[i], cpus);
				tried_lock_end();
			}
}

/* Cpu 0 has the lock when the other one comes, and keeps it while that one may be waiting. */
static void meet(void *argument)
{
	bool *held = argument;
	struct spin_node node;

	if (port_cpu() == 1)
		while (!__atomic_load_n(held, __ATOMIC_ACQUIRE))
			port_relax();
	spin_lock(&lock, &node);
	__atomic_store_n(held, true, __ATOMIC_RELEASE);
	if (port_cpu() == 0)
		for (unsigned i = 0; i < 100; i++)
			port_relax();
	spin_unlock(&lock, &node);
}

CONCURRENT_TEST(a_wait_is_counted_once)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
		uint64_t meetings = 0;

		tried_lock_start((enum spin_kind)kind, 2);
		do {
			bool held = false;

			host_run(meet, &held);
			CHECK_EQ(stats_now().acquisitions, 2 * ++meetings);
			CHECK(meetings < 10000);
		} while (stats_now().contended == 0);
		CHECK_EQ(spin_stats_of(&lock, 0)->contended, 0);
		CHECK_EQ(spin_stats_of(&lock, 1)->contended, 1);
		CHECK_EQ(spin_stats_of(&lock, 1)->wait.samples, 1);
		CHECK(spin_stats_of(&lock, 1)->wait.ticks_max > 0);
		CHECK_EQ(wait_matrix_read(&lock, 1, 0).count, 1);
		check_matrix(2);
		tried_lock_end();
	}
}

/* ---- the wait matrix --------------------------------------------------------------------- */

/*
 * On one thread: CPU `holder` has the lock; CPU `waiter` acquires it and must wait. At the first
 * turn of its wait `meanwhile` runs instead, which ends with the lock free.
 */
static struct {
	unsigned waiter, holder, other;
	struct spin_node *held; /* the holder's */
	void (*meanwhile)(void);
} play;

static __attribute__((noinline)) void hold_here(struct spin_node *node)
{
	spin_lock(&lock, node);
	__asm__ volatile("" ::: "memory"); /* not by a jump */
}

static __attribute__((noinline)) void hold_there(struct spin_node *node)
{
	spin_lock(&lock, node);
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void wait_here(struct spin_node *node)
{
	spin_lock(&lock, node);
	__asm__ volatile("" ::: "memory");
}

static void lets_go(void)
{
	spin_unlock(&lock, play.held);
}

static void play_meanwhile(void)
{
	host_on_relax = NULL;
	become(play.holder);
	play.meanwhile();
	become(play.waiter);
}

/* Returns the ticks of the wait. */
static uint64_t play_wait(void)
{
	struct spin_node held, node;

	play.held = &held;
	become(play.holder);
	hold_here(&held);
	become(play.waiter);
	host_on_relax = play_meanwhile;
	wait_here(&node);
	CHECK(!host_on_relax);
	CHECK(node.contended);
	spin_unlock(&lock, &node);
	become(0);
	return node.stats.waited_ticks;
}

/*
 * The site at which `acquire` calls spin_lock(): the lock notes it for an acquire that need not
 * wait.
 */
static uint64_t site_of(void (*acquire)(struct spin_node *node))
{
	struct spin_node node;
	uint64_t site;

	acquire(&node);
	site = lock_owner_unpack(lock.word.note.holder).site;
	spin_unlock(&lock, &node);
	CHECK(site - (uintptr_t)acquire < 1024);
	return site;
}

/* One cell has one wait, and no other cell has any. */
static void check_only(unsigned waiter, unsigned holder, uint64_t ticks)
{
	for (unsigned i = 0; i < lock.cpu_count; i++)
		for (unsigned j = 0; j < lock.cpu_count; j++) {
			bool is_it = i == waiter && j == holder;

			CHECK_EQ(wait_matrix_read(&lock, i, j).count, is_it);
			CHECK_EQ(wait_matrix_read(&lock, i, j).ticks, is_it ? ticks : 0);
		}
	check_matrix(lock.cpu_count);
}

static void check_only_site(uint64_t waiter, uint64_t holder, uint64_t ticks)
{
	struct spin_sites sites = {0};

	spin_sites_add(&lock, &sites);
	CHECK_EQ(sites.pair[0].waiter, waiter);
	CHECK_EQ(sites.pair[0].holder, holder);
	CHECK_EQ(sites.pair[0].waits.count, 1);
	CHECK_EQ(sites.pair[0].waits.ticks, ticks);
	CHECK_EQ(sites.pair[1].waits.count, 0);
	CHECK_EQ(sites.others.count, 0);
}

static void play_all(enum spin_kind kind, unsigned cpus)
{
	for (play.waiter = 0; play.waiter < cpus; play.waiter++)
		for (play.holder = 0; play.holder < cpus; play.holder++) {
			uint64_t ticks, waiting, holding;

			if (play.waiter == play.holder)
				continue;
			tried_lock_start(kind, cpus);
			waiting = site_of(wait_here);
			holding = site_of(hold_here);
			CHECK(waiting != holding);
			ticks = play_wait();
			check_only(play.waiter, play.holder, ticks);
			check_only_site(waiting, holding, ticks);
			tried_lock_end();
		}
}

TEST(a_wait_is_put_on_the_holder)
{
	static const enum spin_stats_mode modes[] = {SPIN_STATS_ALL, SPIN_STATS_CONTENDED};

	play.meanwhile = lets_go;
	for (unsigned i = 0; i < LENGTH(modes); i++) {
		spin_stats_configure(modes[i]);
		for (unsigned kind = 0; kind < SPIN_KINDS; kind++)
			for (unsigned j = 1; j < LENGTH(cpu_counts); j++)
				play_all((enum spin_kind)kind, cpu_counts[j]);
	}
}

static void another_is_faster(void)
{
	struct spin_node node;

	lets_go();
	become(play.other);
	hold_there(&node);
	spin_unlock(&lock, &node);
}

static void it_comes_again(void)
{
	struct spin_node node;

	lets_go();
	hold_there(&node);
	spin_unlock(&lock, &node);
}

/*
 * A CPU that came later and got the lock first is not the holder that the wait began for. No queue
 * allows that.
 */
TEST(the_holder_is_the_cpu_that_held_it_as_the_wait_began)
{
	static void (*const meanwhile[])(void) = {another_is_faster, it_comes_again};

	for (unsigned kind = 0; kind < SPIN_KINDS; kind++)
		for (unsigned i = 0; i < LENGTH(meanwhile); i++) {
			uint64_t ticks, waiting, holding;

			if (spin_kind_hands_over((enum spin_kind)kind))
				continue;
			tried_lock_start((enum spin_kind)kind, 4);
			play.waiter = 3, play.holder = 1, play.other = 2;
			play.meanwhile = meanwhile[i];
			waiting = site_of(wait_here);
			holding = site_of(hold_here);
			ticks = play_wait();
			check_only(3, 1, ticks);
			check_only_site(waiting, holding, ticks);
			tried_lock_end();
		}
}

/* A holder that has not noted itself yet: it goes past spin_lock() and never does. */
static void acquire_unnoted(struct spin_node *node)
{
#define ACQUIRE(kind_name, kind)                                                                   \
	case kind:                                                                                 \
		CHECK(spin_try_##kind_name(&lock, node));                                          \
		break;
	switch (lock.kind) {
		SPIN_FOR_EACH_KIND(ACQUIRE)
	default:
		CHECK(false);
	}
#undef ACQUIRE
	node->stats.counted = NULL;
	node->stats.acquired_ticks = 0;
	node->owner.note = lock_owner_last(lock.word.note.holder); /* its release changes nothing */
}

static uint64_t wait_for_unnoted(unsigned waiter)
{
	struct spin_node held, node;

	play.waiter = waiter, play.holder = 1, play.held = &held;
	play.meanwhile = lets_go;
	become(1);
	acquire_unnoted(&held);
	become(waiter);
	host_on_relax = play_meanwhile;
	wait_here(&node);
	spin_unlock(&lock, &node);
	become(0);
	return node.stats.waited_ticks;
}

/*
 * In turn: no CPU was noted yet; the waiter was noted last; another CPU was, and is taken for the
 * holder.
 */
TEST(a_holder_that_is_not_known_is_on_the_diagonal)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
		uint64_t ticks, waiting;

		tried_lock_start((enum spin_kind)kind, 3);
		waiting = site_of(wait_here);
		tried_lock_end();
		tried_lock_start((enum spin_kind)kind, 3);
		ticks = wait_for_unnoted(2);
		check_only(2, 2, ticks);
		check_only_site(waiting, 0, ticks);
		spin_stats_reset(&lock);
		ticks = wait_for_unnoted(2);
		check_only(2, 2, ticks);
		check_only_site(waiting, 0, ticks);
		spin_stats_reset(&lock);
		ticks = wait_for_unnoted(0);
		check_only(0, 2, ticks);
		tried_lock_end();
	}
}

/* Cpu 2 had to wait for 1 before it held the lock that 0 waits for. */
TEST(a_cpu_that_had_to_wait_is_noted_as_holder_too)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
		struct spin_node first, second, third;

		tried_lock_start((enum spin_kind)kind, 3);
		play.meanwhile = lets_go;
		play.waiter = 2, play.holder = 1, play.held = &first;
		become(1);
		hold_here(&first);
		become(2);
		host_on_relax = play_meanwhile;
		hold_there(&second);
		play.waiter = 0, play.holder = 2, play.held = &second;
		become(0);
		host_on_relax = play_meanwhile;
		wait_here(&third);
		spin_unlock(&lock, &third);
		CHECK_EQ(wait_matrix_read(&lock, 2, 1).count, 1);
		CHECK_EQ(wait_matrix_read(&lock, 0, 2).count, 1);
		CHECK_EQ(wait_matrix_read(&lock, 0, 1).count, 0);
		check_matrix(3);
		tried_lock_end();
	}
}

/* The lock's memory ends where the zone's first frame to give out begins, whatever its size. */
TEST(a_zone_has_room_for_its_wait_matrix)
{
	for (unsigned cpus = 1; cpus <= TRIED_CPUS_MAX; cpus++)
		for (uint64_t bytes = 1 << 20; bytes < 3 << 20; bytes += 5 * FRAME_SIZE) {
			const struct zone *zone;
			const char *metadata_end;

			wait_matrix_configure(true);
			host_memory_start(bytes, cpus);
			zone = &zones.zone[0];
			metadata_end = (char *)port_phys_pointer(zone->first << FRAME_SHIFT) +
				       zone->reserved_frames * FRAME_SIZE;
			CHECK(zone->lock.matrix.rows);
			CHECK(zone->lock.matrix.rows + wait_matrix_bytes(cpus) <= metadata_end);
			CHECK((const char *)zone->lock.cpus + spin_bytes(cpus) <=
			      zone->lock.matrix.rows);
			host_memory_end();
			wait_matrix_configure(false);
		}
}

/* With statistics off nothing is noted, and a lock without memory for it counts its waits alone. */
TEST(without_statistics_or_memory_no_wait_is_in_a_matrix)
{
	CHECK_EQ(wait_matrix_bytes(4), 0);
	play.waiter = 2, play.holder = 1;
	play.meanwhile = lets_go;
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
		struct spin_sites sites = {0};

		tried_lock_start((enum spin_kind)kind, 3);
		spin_stats_configure(SPIN_STATS_OFF);
		play_wait();
		CHECK_EQ(lock_owner_last(lock.word.note.holder), 0);
		CHECK_EQ(lock.cpus[1].matrix.holder + lock.cpus[2].matrix.holder, 0);
		CHECK_EQ(stats_now().acquisitions, 0);
		wait_matrix_start(&lock, NULL);
		lock.matrix.rows = NULL;
		spin_stats_configure(SPIN_STATS_CONTENDED);
		play_wait();
		CHECK_EQ(stats_now().wait.samples, 1);
		CHECK_EQ(wait_matrix_read(&lock, 2, 1).count, 0);
		spin_sites_add(&lock, &sites);
		CHECK_EQ(sites.pair[0].waits.count + sites.others.count, 0);
		spin_stats_reset(&lock);
		tried_lock_end();
	}
}

static void add_pair(struct spin_sites *sum, uint64_t waiter, uint64_t holder, uint64_t ticks)
{
	struct spin_sites one = {.pair = {{waiter, holder, {1, ticks}}}};

	spin_sites_merge(sum, &one);
}

/* The lightest makes room, its waits go to the others; the heavy ones stay, to the last tick. */
TEST(the_heaviest_pairs_of_sites_stay)
{
	struct spin_sites sum = {0};

	for (uint64_t i = 0; i < SPIN_SITE_PAIRS; i++)
		add_pair(&sum, 1000 + i, 2000, i == 5 ? 3 : 100 + i);
	add_pair(&sum, 1000, 2000, 50);
	CHECK_EQ(sum.others.count, 0);
	CHECK_EQ(sum.pair[0].waits.count, 2);
	CHECK_EQ(sum.pair[0].waits.ticks, 150);
	add_pair(&sum, 1005, 2001, 7); /* another holder: another pair */
	CHECK_EQ(sum.others.count, 1);
	CHECK_EQ(sum.others.ticks, 3);
	CHECK_EQ(sum.pair[5].holder, 2001);
	CHECK_EQ(sum.pair[5].waits.count, 1);
	CHECK_EQ(sum.pair[5].waits.ticks, 7);
	add_pair(&sum, 1, 2, 8);
	CHECK_EQ(sum.others.count, 2);
	CHECK_EQ(sum.others.ticks, 10);
	add_pair(&sum, 3, 4, 9);
	CHECK_EQ(sum.others.ticks, 18);
	for (uint64_t i = 0; i < SPIN_SITE_PAIRS; i++)
		CHECK(i == 5 || sum.pair[i].waiter == 1000 + i);
}

/* Of random pairs, more than there is room for: nothing is lost, and no pair has too much. */
TEST(no_wait_is_lost_among_the_sites)
{
	struct spin_sites sum = {0}, twice = {0};
	struct spin_waits of[40] = {{0}}, all = {0}, found = {0};

	for (unsigned i = 0; i < 2000; i++) {
		unsigned pair = (unsigned)unit_random_below(1 + unit_random_below(40));
		uint64_t ticks = unit_random_below(1000);

		add_pair(&sum, pair / 7, pair % 7, ticks);
		of[pair].count++, all.count++;
		of[pair].ticks += ticks, all.ticks += ticks;
	}
	spin_sites_merge(&twice, &sum);
	spin_sites_merge(&twice, &sum);
	found = twice.others;
	for (unsigned i = 0; i < SPIN_SITE_PAIRS; i++) {
		const struct spin_site_pair *pair = &twice.pair[i];
		const struct spin_waits *known = &of[pair->waiter * 7 + pair->holder];

		CHECK(pair->waits.count <= 2 * known->count);
		CHECK(pair->waits.ticks <= 2 * known->ticks);
		found.count += pair->waits.count;
		found.ticks += pair->waits.ticks;
	}
	CHECK_EQ(found.count, 2 * all.count);
	CHECK_EQ(found.ticks, 2 * all.ticks);
	CHECK(twice.others.count > 0);
}
