/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_schedule.c - the choice of the next cpu in a directed schedule: PCT, the weighted walk, a list.
 *
 * Covers: tests/smp/schedule.c
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/boot/bootargs.h"
#include "tests/smp/schedule.h"

#define CPUS 4

static uint64_t absent; /* set of cpus that cannot go on */

static bool can_go_on(unsigned cpu)
{
	return !(absent >> cpu & 1);
}

static struct schedule *begin(uint64_t kind, uint64_t seed, uint64_t steps, uint64_t depth,
			      const char *list)
{
	struct schedule *schedule = malloc(schedule_bytes(CPUS));

	absent = 0;
	schedule_init(schedule, kind, seed, CPUS, steps, depth, list, strlen(list));
	return schedule;
}

static unsigned next(struct schedule *schedule, uint64_t number, unsigned current, bool waits)
{
	struct schedule_step step = {number, current, waits, can_go_on};

	return schedule_next(schedule, &step);
}

/* The switches of `steps` steps; the cpu of each step into `order`. */
static unsigned run(struct schedule *schedule, uint64_t first, uint64_t steps, unsigned *order)
{
	unsigned current = CPUS, switches = 0;

	for (uint64_t i = 0; i < steps; i++) {
		unsigned chosen = next(schedule, first + i, current, false);

		CHECK(chosen < CPUS);
		switches += i > 0 && chosen != current;
		current = order[i] = chosen;
	}
	return switches;
}

TEST(a_seed_is_a_schedule)
{
	static const uint64_t kinds[] = {BOOTARGS_SCHEDULE_PCT, BOOTARGS_SCHEDULE_WALK};

	for (unsigned i = 0; i < 2; i++) {
		unsigned first[200], again[200], other[200];
		struct schedule *a = begin(kinds[i], 7, 50, 3, "");
		struct schedule *b = begin(kinds[i], 7, 50, 3, "");
		struct schedule *c = begin(kinds[i], 8, 50, 3, "");

		run(a, 0, 200, first);
		run(b, 0, 200, again);
		run(c, 0, 200, other);
		CHECK(memcmp(first, again, sizeof(first)) == 0);
		CHECK(memcmp(first, other, sizeof(first)) != 0);
		free(a);
		free(b);
		free(c);
	}
}

/* In a part of one run of PCT at most depth - 1 switches are made, where no cpu waits. */
TEST(pct_switches_at_its_change_points_only)
{
	for (uint64_t seed = 0; seed < 200; seed++) {
		for (uint64_t depth = 1; depth <= 5; depth++) {
			struct schedule *schedule = begin(BOOTARGS_SCHEDULE_PCT, seed, 100, depth,
							  "");
			unsigned order[100];

			CHECK(run(schedule, 0, 100, order) <= depth - 1);
			free(schedule);
		}
	}
}

/* Each cpu is the first one equally often, and the change points are spread over the part. */
TEST(pct_draws_priorities_and_change_points_evenly)
{
	unsigned first[CPUS] = {0}, changed[4] = {0};

	for (uint64_t seed = 0; seed < 4000; seed++) {
		struct schedule *schedule = begin(BOOTARGS_SCHEDULE_PCT, seed, 100, 2, "");
		unsigned order[100];

		run(schedule, 0, 100, order);
		first[order[0]]++;
		for (unsigned i = 1; i < 100; i++)
			changed[i / 25] += order[i] != order[i - 1];
		free(schedule);
	}
	for (unsigned i = 0; i < CPUS; i++)
		CHECK(first[i] > 850 && first[i] < 1150);
	for (unsigned i = 0; i < 4; i++)
		CHECK(changed[i] > 800 && changed[i] < 1200);
}

/* The probability of each order of two given steps is at least 1 / (cpus * steps). */
TEST(pct_finds_a_bug_of_depth_two_as_often_as_it_promises)
{
	const uint64_t steps = 20, seeds = 20000;
	unsigned found = 0;

	/* Cpu 2 has lost its turn right before its step 10, and cpu 1 is the next. */
	for (uint64_t seed = 0; seed < seeds; seed++) {
		struct schedule *schedule = begin(BOOTARGS_SCHEDULE_PCT, seed, steps, 2, "");
		unsigned order[20];

		run(schedule, 0, steps, order);
		found += order[9] == 2 && order[10] == 1;
		free(schedule);
	}
	CHECK(found * CPUS * (CPUS - 1) * steps > seeds * 8 / 10);
}

TEST(a_cpu_that_waits_gets_the_lowest_priority)
{
	struct schedule *schedule = begin(BOOTARGS_SCHEDULE_PCT, 3, 1000000, 1, "");
	unsigned seen = 0, current = next(schedule, 0, CPUS, false);

	for (unsigned i = 1; i <= CPUS; i++) {
		seen |= 1u << current;
		current = next(schedule, i, current, true);
	}
	CHECK_EQ(seen, (1u << CPUS) - 1);
	/* And comes back when all others wait, too. */
	CHECK_EQ(next(schedule, CPUS + 1, current, false), current);
	free(schedule);
}

TEST(pct_passes_over_cpus_that_cannot_go_on)
{
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct schedule *schedule = begin(BOOTARGS_SCHEDULE_PCT, seed, 1000, 1, "");
		unsigned first = next(schedule, 0, CPUS, false), second;

		absent = 1u << first;
		second = next(schedule, 1, first, false);
		CHECK(second != first);
		absent = 0;
		CHECK_EQ(next(schedule, 2, second, false), first);
		free(schedule);
	}
}

TEST(parts_are_drawn_afresh)
{
	struct schedule *schedule = begin(BOOTARGS_SCHEDULE_PCT, 5, 10, 1, "");
	unsigned order[1000], seen = 0;

	run(schedule, 0, 1000, order);
	for (unsigned i = 0; i < 1000; i++) {
		seen |= 1u << order[i];
		CHECK(i % 10 == 0 || order[i] == order[i - 1]);
	}
	CHECK_EQ(seen, (1u << CPUS) - 1);
	free(schedule);
}

TEST(a_walk_gives_each_cpu_its_share_of_a_part)
{
	struct schedule *schedule = begin(BOOTARGS_SCHEDULE_WALK, 5, 40, 1, "");
	unsigned current = CPUS;

	for (unsigned part = 0; part < 10; part++) {
		unsigned count[CPUS] = {0};

		for (unsigned i = 0; i < 40; i++) {
			current = next(schedule, part * 40 + i, current, false);
			/* The step of the part before is counted in this one. */
			count[current] += i + 1 < 40;
		}
		for (unsigned i = 0; i < CPUS; i++)
			CHECK(count[i] >= 8 && count[i] <= 11);
	}
	free(schedule);
}

TEST(a_walk_goes_on_where_the_shares_are_used_up)
{
	struct schedule *schedule = begin(BOOTARGS_SCHEDULE_WALK, 5, 1000, 1, "");
	unsigned current = CPUS;

	absent = 0xe; /* cpu 0 alone has more steps than its share */
	for (unsigned i = 0; i < 900; i++) {
		current = next(schedule, i, current, false);
		CHECK_EQ(current, 0);
	}
	absent = 0;
	for (unsigned i = 900; i < 1000; i++) {
		current = next(schedule, i, current, false);
		CHECK(current != 0);
	}
	free(schedule);
}

TEST(a_list_is_followed)
{
	struct schedule *schedule = begin(BOOTARGS_SCHEDULE_LIST, 1, 100, 1, "3:2,5:0,6:9,9:1");
	static const unsigned wanted[] = {1, 1, 1, 2, 2, 0, 0, 0, 0, 1, 1};
	unsigned order[11];

	run(schedule, 0, 11, order);
	CHECK(memcmp(order, wanted, sizeof(wanted)) == 0);
	free(schedule);
}

TEST(a_list_does_not_wait_for_ever)
{
	struct schedule *schedule = begin(BOOTARGS_SCHEDULE_LIST, 1, 100, 1, "5:3");

	CHECK_EQ(next(schedule, 0, 2, false), 2);
	CHECK_EQ(next(schedule, 1, 2, true), 3);
	absent = 1u << 3;
	CHECK_EQ(next(schedule, 2, 3, false), 0);
	/* The cpu that the list names has ended. */
	CHECK_EQ(next(schedule, 5, 0, false), 0);
	absent = 0xe;
	CHECK_EQ(next(schedule, 6, 0, true), 0);
	free(schedule);
}

TEST(where_no_cpu_can_go_on_nothing_changes)
{
	for (uint64_t kind = BOOTARGS_SCHEDULE_PCT; kind <= BOOTARGS_SCHEDULE_LIST; kind++) {
		struct schedule *schedule = begin(kind, 1, 100, 3, "1:2");

		absent = 0xf;
		for (unsigned i = 0; i < 50; i++)
			CHECK_EQ(next(schedule, i, 1, i % 2), 1);
		free(schedule);
	}
}
