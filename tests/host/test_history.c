/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_history.c - the checker of histories (tests/host/support/history.h) on histories written by hand:
 * those that are linearizable, and those that are not.
 *
 * The first letters of a call say its CPU; the numbers behind it are its begin and its end. The zone
 * has the frames 0x1000 on.
 *
 * Covers: tests/host/support/history.c
 */
#include <string.h>

#include "tests/host/support/history.h"
#include "unit.h"

#define BASE UINT64_C(0x1000)
#define NONE HISTORY_NONE

static struct history history;
static struct history_verdict verdict;

static void start(unsigned frames, unsigned cache_frames)
{
	struct history_machine machine = {.cpus = 3,
					  .zones = 1,
					  .zone = {{BASE, frames}},
					  .cache_frames = cache_frames,
					  .exact_runs = true};

	history_start(&history, &machine);
}

static void start_two_zones(unsigned frames, unsigned more, unsigned cache_frames)
{
	start(frames, cache_frames);
	history.machine.zones = 2;
	history.machine.zone[1].first = 2 * BASE;
	history.machine.zone[1].count = more;
}

static void call(unsigned cpu, enum history_kind kind, uint64_t first, uint64_t count,
		 uint64_t begin, uint64_t end)
{
	history_add(&history, &(struct history_call){.kind = kind,
						     .line = cpu,
						     .cpu = cpu,
						     .first = first,
						     .count = count,
						     .align = 1,
						     .begin = begin,
						     .end = end});
}

/* frame: from 0 on; -1: none. */
static uint64_t number(int frame)
{
	return frame < 0 ? NONE : BASE + (uint64_t)frame;
}

static void take(unsigned cpu, int frame, uint64_t begin, uint64_t end)
{
	call(cpu, HISTORY_ALLOC, number(frame), 1, begin, end);
}

static void take_nowait(unsigned cpu, int frame, uint64_t begin, uint64_t end)
{
	call(cpu, HISTORY_ALLOC_NOWAIT, number(frame), 1, begin, end);
}

static void give(unsigned cpu, int frame, uint64_t begin, uint64_t end)
{
	call(cpu, HISTORY_FREE, number(frame), 1, begin, end);
}

static void run(unsigned cpu, int frame, uint64_t count, uint64_t begin, uint64_t end)
{
	call(cpu, HISTORY_RUN, number(frame), count, begin, end);
}

static bool is_linearizable(void)
{
	verdict = history_check(&history);
	return verdict.answer == HISTORY_LINEARIZABLE;
}

static bool says(const char *text)
{
	return verdict.answer == HISTORY_NOT_LINEARIZABLE && strstr(verdict.reason, text);
}

/* ---- single frames ------------------------------------------------------------------------------ */

TEST(calls_one_after_the_other)
{
	start(2, 0);
	take(0, 0, 1, 2);
	take(1, 1, 3, 4);
	take(0, -1, 5, 6);
	give(1, 1, 7, 8);
	take(2, 1, 9, 10);
	CHECK(is_linearizable());
	CHECK_EQ(verdict.ordered, 5);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(verdict.place[i], i + 1);
}

/* Recorded as they end; the order of their instants is another one. */
TEST(calls_that_overlap_have_the_order_that_explains_them)
{
	start(1, 0);
	take(1, 0, 2, 3);
	take(2, -1, 2, 4);
	give(1, 0, 5, 6);
	take(0, 0, 1, 7);
	CHECK(is_linearizable());
	CHECK(verdict.place[0] < verdict.place[1] && verdict.place[2] < verdict.place[3]);
}

TEST(a_frame_of_two_owners)
{
	start(2, 0);
	take(0, 1, 1, 4);
	take(1, 1, 2, 3);
	CHECK(!is_linearizable());
	CHECK(says("another owner has it"));
	CHECK_EQ(verdict.ordered, 1);
}

TEST(a_frame_that_was_given_out_before_it_was_free)
{
	start(1, 0);
	take(0, 0, 1, 2);
	take(1, 0, 3, 4);
	give(0, 0, 5, 6);
	CHECK(!is_linearizable());
	history.call[2].begin = 3; /* the free was under way */
	CHECK(is_linearizable());
}

TEST(a_frame_that_is_none)
{
	start(2, 0);
	take(0, 2, 1, 2);
	CHECK(!is_linearizable());
	CHECK(says("not frames of one zone"));
}

TEST(a_free_of_a_free_frame)
{
	start(2, 0);
	give(0, 0, 1, 2);
	CHECK(!is_linearizable());
	CHECK(says("free already"));
}

TEST(a_failure_while_a_frame_was_free_all_the_time)
{
	start(2, 4);
	take(0, 0, 1, 2);
	take(1, -1, 3, 6);
	give(0, 0, 4, 5);
	CHECK(!is_linearizable());
	CHECK(says("found none, and"));
}

/* At each instant a frame is free, and never the same. */
TEST(a_failure_while_the_free_frame_changes)
{
	start(2, 4);
	take(0, 0, 1, 2);
	take(1, -1, 3, 8);
	give(0, 0, 4, 5);
	take(0, 1, 6, 7);
	CHECK(!is_linearizable());

	start(2, 4); /* taken first, then given: there is an instant */
	take(0, 0, 1, 2);
	take(1, -1, 3, 8);
	take(2, 1, 4, 5);
	give(0, 0, 6, 7);
	CHECK(is_linearizable());
}

TEST(a_free_that_is_lost)
{
	start(1, 0);
	take(0, 0, 1, 2);
	give(0, 0, 3, 4);
	take(1, -1, 5, 6);
	CHECK(!is_linearizable());
}

/*
 * Each of two CPUs finds no frame, and each has the only frame afterwards: either failure would have to come after
 * what the other CPU did only later.
 */
TEST(two_cpus_that_each_see_what_the_other_does_later)
{
	start(2, 0);
	take(0, -1, 0, 0);
	take(0, 0, 0, 0);
	take(1, -1, 0, 0);
	take(1, 1, 0, 0);
	CHECK(!is_linearizable());
	CHECK_EQ(verdict.ordered, 0);
}

/* ---- which instants are known --------------------------------------------------------------------- */

TEST(a_call_without_instants_has_those_of_its_neighbours)
{
	start(1, 0);
	take(0, 0, 1, 0); /* ends before 4 */
	give(0, 0, 0, 4);
	take(1, 0, 5, 0);
	take(2, -1, 2, 3);
	CHECK(is_linearizable());
	history.call[3].begin = 5; /* and CPU 1 took it after that: still */
	history.call[3].end = 6;
	CHECK(is_linearizable());
	history.call[2].begin = 7; /* but CPU 1 came later: the frame was free */
	CHECK(!is_linearizable());
}

TEST(calls_that_nothing_orders_may_be_in_any_order)
{
	start(1, 0);
	take(0, -1, 0, 0);
	take(1, 0, 0, 0);
	CHECK(is_linearizable());
	history.call[0].end = 1; /* the failure came first */
	history.call[1].begin = 2;
	CHECK(!is_linearizable());
}

/* ---- without waiting ------------------------------------------------------------------------------ */

TEST(nowait_overlooks_what_other_caches_may_hold)
{
	start(3, 2);
	take(1, 0, 1, 2);
	take_nowait(0, -1, 3, 4); /* two are free, and CPU 1 may have them */
	CHECK(is_linearizable());
	CHECK_EQ(verdict.strict, 0);
	history.call[0].cpu = history.call[0].line = 0; /* it is CPU 0's own cache that has them */
	CHECK(!is_linearizable());
	CHECK(says("caches may hide 0 frames, not 2"));
	CHECK_EQ(verdict.strict, 1);
	start(4, 2);
	take(1, 0, 1, 2);
	take_nowait(0, -1, 3, 4); /* three are free */
	CHECK(!is_linearizable());
}

TEST(nowait_finds_all_after_others_were_asked)
{
	start(3, 2);
	take(1, 0, 1, 2);
	call(0, HISTORY_ASK, 0, 0, 3, 4);
	take_nowait(0, -1, 5, 6);
	CHECK(!is_linearizable());
	give(1, 0, 7, 8); /* a call of CPU 1 after it has no part in that */
	CHECK(!is_linearizable());
	history.call[3].begin = 4; /* but one that may have been before it ended has */
	CHECK(is_linearizable());
}

TEST(ask_does_not_empty_the_cache_of_the_cpu_that_asks)
{
	start(3, 2);
	take(1, 0, 1, 2);
	call(1, HISTORY_ASK, 0, 0, 3, 4);
	take_nowait(0, -1, 5, 6);
	CHECK(is_linearizable());
	history.call[1].kind = HISTORY_FLUSH;
	CHECK(!is_linearizable());
}

/* It looks at each zone at another instant. */
TEST(nowait_has_an_instant_for_each_zone)
{
	start_two_zones(1, 1, 0);
	take(1, 0, 1, 2);
	take_nowait(0, -1, 3, 8); /* zone 0 has none at first, zone 1 none at last */
	give(1, 0, 4, 5);
	call(1, HISTORY_ALLOC, 2 * BASE, 1, 6, 7);
	CHECK(is_linearizable());
	history.call[1].kind = HISTORY_ALLOC; /* which is not enough for a call that may wait */
	CHECK(!is_linearizable());
}

/* ---- runs ------------------------------------------------------------------------------------------ */

TEST(a_run_needs_its_frames)
{
	start(4, 0);
	take(0, 1, 1, 2);
	run(1, 2, 2, 3, 4);
	run(2, -1, 2, 5, 6);
	CHECK(is_linearizable());
	history.call[1].first = BASE + 1;
	CHECK(!is_linearizable());
	CHECK(says("another owner has it"));
	history.call[1].first = BASE + 3; /* its end is behind the zone's */
	CHECK(!is_linearizable());
}

TEST(a_run_is_aligned)
{
	start(4, 0);
	run(0, 1, 2, 1, 2);
	CHECK(is_linearizable());
	history.call[0].align = 2;
	CHECK(!is_linearizable());
	CHECK(says("not aligned"));
}

TEST(a_run_is_found_where_no_cache_may_have_opened)
{
	start(4, 2);
	take(1, 0, 1, 2);
	run(0, -1, 3, 3, 6); /* CPU 1 makes no call: its cache is empty */
	CHECK(!is_linearizable());
	give(1, 0, 4, 5); /* it makes one: its cache may have any frame of the run */
	CHECK(is_linearizable());
}

TEST(a_cache_hides_only_as_many_runs_as_it_has_frames)
{
	start(8, 2);
	take(1, 0, 1, 2);
	run(0, -1, 2, 3, 6);
	give(1, 0, 4, 5);
	CHECK(!is_linearizable()); /* seven frames, so three runs of two that share none */
	CHECK(says("caches may hide 2 frames"));
	history.call[1].align = 4; /* as free runs there are 0x1000 and 0x1004, at most */
	CHECK(is_linearizable());
}

TEST(a_run_of_one_frame_is_exact)
{
	start(3, 2);
	take(1, 0, 1, 2);
	run(0, -1, 1, 3, 6);
	give(1, 0, 4, 5);
	CHECK(!is_linearizable());
	history.call[1].kind = HISTORY_RUN_NOWAIT;
	CHECK(is_linearizable());
}

TEST(run_nowait_overlooks_its_own_cache_too)
{
	start(3, 2);
	take(0, 0, 1, 2);
	call(0, HISTORY_RUN_NOWAIT, NONE, 2, 3, 4);
	CHECK(is_linearizable());
	start(3, 2);
	take(0, 0, 1, 2);
	call(0, HISTORY_FLUSH, 0, 0, 3, 4);
	call(0, HISTORY_RUN_NOWAIT, NONE, 2, 5, 6);
	CHECK(!is_linearizable());
}

/* ---- the search ------------------------------------------------------------------------------------- */

/* All calls overlap, and the one failure has its place between two of them. */
TEST(a_long_history_is_searched_through)
{
	enum { ROUNDS = 20 };

	start(3, 0);
	for (unsigned cpu = 0; cpu < 3; cpu++)
		for (unsigned i = 0; i < ROUNDS; i++) {
			take(cpu, (int)cpu, 1, 100);
			give(cpu, (int)cpu, 1, 100);
		}
	history.call[2 * ROUNDS - 2].first = NONE; /* while no other CPU has this frame */
	history.call[2 * ROUNDS - 1].kind = HISTORY_FLUSH;
	CHECK(!is_linearizable());
	CHECK(verdict.states > ROUNDS * ROUNDS);
	history.machine.zone[0].count = 2;
	for (unsigned i = 0; i < 2 * ROUNDS; i++) /* CPU 0 has no part */
		history.call[i].kind = HISTORY_FLUSH;
	for (unsigned i = 2 * ROUNDS; i < 4 * ROUNDS; i++)
		history.call[i].first = BASE;
	for (unsigned i = 4 * ROUNDS; i < 6 * ROUNDS; i++)
		history.call[i].first = BASE + 1;
	CHECK(is_linearizable());
	take(0, -1, 1, 100);
	CHECK(is_linearizable());
	take(0, -1, 101, 102);
	CHECK(!is_linearizable());
}
