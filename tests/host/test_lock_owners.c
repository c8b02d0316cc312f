/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain tsan */
/*
 * test_lock_owners.c - which CPU holds a lock, which CPU waits for which lock, and when CPUs that wait
 * for each other are a deadlock.
 *
 * Covers: sync/lock_owners.c
 */
#include "sync/lock_owners.h"

#include <string.h>

#include "host.h"
#include "lock_play.h"
#include "sync/barrier.h"
#include "tried_lock.h"
#include "unit.h"

#define WAITS true
#define TAKES false

static void check_waits_for_nothing(unsigned cpu)
{
	struct lock_wait wait;

	CHECK(!lock_wait_of(cpu, &wait));
}

static void check_is_not_held(unsigned lock)
{
	struct lock_owner owner;

	CHECK(!lock_owner_of(&played[lock], &owner));
}

static void check_is_held(unsigned lock, unsigned cpu, uint64_t site)
{
	struct lock_owner owner;

	CHECK(lock_owner_of(&played[lock], &owner));
	CHECK_EQ(owner.cpu, cpu);
	CHECK_EQ(owner.site, site);
}

/* ---- owners -------------------------------------------------------------------------------- */

TEST(a_note_has_room_for_a_site_of_48_bits_and_its_sign)
{
	static const uint64_t sites[] = {1, 0x80207380, 0x7fffffffffff, 0xffffffc080000000};
	static const unsigned cpus[] = {0, 1, 63, 64, 130, 65535};

	for (unsigned i = 0; i < LENGTH(sites); i++)
		for (unsigned j = 0; j < LENGTH(cpus); j++) {
			uint64_t note = lock_owner_pack((void *)(uintptr_t)sites[i], cpus[j]);

			CHECK_EQ(lock_owner_unpack(note).cpu, cpus[j]);
			CHECK_EQ(lock_owner_unpack(note).site, sites[i]);
		}
}

TEST(the_holder_is_known_while_it_holds_the_lock_and_no_longer)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
		uint64_t site;

		lock_play_start((enum spin_kind)kind, 3);
		site = lock_play_hold_site();
		check_is_not_held(0);
		for (unsigned cpu = 0; cpu < 3; cpu++) {
			lock_play_hold(cpu, 0);
			check_is_held(0, cpu, site);
			lock_play_release(0);
			check_is_not_held(0);
		}
		lock_play_end();
	}
}

TEST(no_holder_is_noted_with_statistics_off_or_without_memory)
{
	lock_play_start(SPIN_FAS, 2);
	spin_stats_configure(SPIN_STATS_OFF);
	lock_play_hold(1, 0);
	check_is_not_held(0);
	lock_play_release(0);
	spin_stats_configure(SPIN_STATS_CONTENDED);
	spin_init(&played[1], "bare", SPIN_FAS, 2, NULL);
	lock_play_hold(1, 1);
	check_is_not_held(1);
	lock_play_release(1);
	lock_play_end();
}

/* ---- waits --------------------------------------------------------------------------------- */

static unsigned looks;
static uint64_t wait_site, hold_site, number_seen;

static void check_waits_for(unsigned cpu, unsigned lock)
{
	uint64_t now = lock_owners_time();
	struct lock_wait wait;

	CHECK(lock_wait_of(cpu, &wait));
	CHECK(wait.lock == &played[lock]);
	CHECK(strcmp(wait.name, played[lock].name) == 0);
	CHECK_EQ(wait.site, wait_site);
	CHECK(wait.since && wait.since <= now);
	CHECK(!wait.holds);
	CHECK(wait.number > number_seen);
	number_seen = wait.number;
}

static void look_at_one(void)
{
	looks++;
	check_waits_for(2, 1);
	check_waits_for_nothing(0);
	check_waits_for_nothing(1);
	check_waits_for_nothing(3); /* there is no such CPU */
	check_is_held(1, 0, hold_site);
}

TEST(a_wait_is_published_until_the_cpu_has_the_lock)
{
	static const struct play_step steps[] = {{0, 1, TAKES}, {2, 1, WAITS}};

	for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
		lock_play_start((enum spin_kind)kind, 3);
		hold_site = lock_play_hold_site();
		wait_site = lock_play_wait_site();
		looks = 0;
		number_seen = 0;
		for (unsigned i = 1; i <= 3; i++) {
			lock_play(steps, LENGTH(steps), look_at_one);
			CHECK_EQ(looks, i);
			check_waits_for_nothing(2);
		}
		lock_play_end();
	}
}

static void look_without_a_site(void)
{
	struct lock_wait wait;

	looks++;
	CHECK(lock_wait_of(2, &wait));
	CHECK(wait.lock == &played[1]);
	CHECK_EQ(wait.site, 0);
}

TEST(with_statistics_off_a_wait_has_no_site)
{
	static const struct play_step steps[] = {{0, 1, TAKES}, {2, 1, WAITS}};

	lock_play_start(SPIN_FAS, 3);
	spin_stats_configure(SPIN_STATS_OFF);
	looks = 0;
	lock_play(steps, LENGTH(steps), look_without_a_site);
	CHECK_EQ(looks, 1);
	spin_stats_configure(SPIN_STATS_CONTENDED);
	lock_play_end();
}

static void look_at_inner(void)
{
	looks++;
	check_waits_for(1, 0);
}

/* In the outer wait, when the inner one is over: its lock is still held. */
static void look_at_outer(void)
{
	static const struct play_step inner[] = {{2, 0, TAKES}, {1, 0, WAITS}};
	struct lock_wait outer, again;

	CHECK(lock_wait_of(1, &outer));
	lock_play(inner, LENGTH(inner), look_at_inner);
	CHECK(lock_wait_of(1, &again));
	CHECK(again.lock == &played[1] && again.since == outer.since && again.site == outer.site);
	CHECK(again.number > outer.number);
	looks++;
}

TEST(a_handler_that_waits_puts_its_wait_before_the_interrupted_one)
{
	struct spin_node node = {0};
	struct lock_wait_noted noted;

	lock_play_start(SPIN_FAS, 3);
	wait_site = lock_play_wait_site();
	number_seen = looks = 0;
	lock_play_hold(0, 1);
	become(1);
	lock_wait_begin(&played[1], &node, &noted); /* the wait without its loop */
	look_at_outer();
	become(1);
	lock_wait_end(&noted);
	check_waits_for_nothing(1);
	CHECK_EQ(looks, 2);
	lock_play_release(1);
	lock_play_end();
}

static void look_at_no_wait(void)
{
	looks++;
	for (unsigned cpu = 0; cpu < 3; cpu++)
		check_waits_for_nothing(cpu);
}

TEST(without_memory_no_wait_is_published)
{
	static const struct play_step steps[] = {{0, 1, TAKES}, {2, 1, WAITS}};

	lock_play_start(SPIN_FAS, 3);
	lock_owners_start(NULL, 0);
	looks = 0;
	lock_play(steps, LENGTH(steps), look_at_no_wait);
	CHECK_EQ(looks, 1);
	lock_play_end();
}

/* ---- long waits ---------------------------------------------------------------------------- */

static void count_look(void)
{
	looks++;
	if (looks == 3)
		lock_play_release(0);
}

TEST(a_waiting_cpu_looks_once_in_so_many_turns)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
		struct spin_node node;

		lock_play_start((enum spin_kind)kind, 2);
		lock_play_hold(1, 0);
		looks = 0;
		lock_wait_on_look = count_look;
		host_self->wait_turns = 1;
		spin_lock(&played[0], &node);
		spin_unlock(&played[0], &node);
		lock_wait_on_look = NULL;
		CHECK_EQ(looks, 3);
		CHECK(host_self->wait_turns > 0 && host_self->wait_turns <= LOCK_WAIT_LOOK_TURNS);
		lock_play_end();
	}
}

/* ---- deadlocks ----------------------------------------------------------------------------- */

static void acquire_twice(void)
{
	struct spin_node node;

	spin_lock(&played[2], &node);
}

static void ask_for_own(enum spin_kind kind)
{
	lock_play_start(kind, 3);
	lock_play_hold(1, 2);
	become(1);
	EXPECT_PANIC(acquire_twice(), "deadlock: cpu 1 acquires lock lock2 at [<0x");
	CHECK(unit_message_has("], which it holds since [<0x"));
	lock_play_end();
}

TEST(a_cpu_that_asks_for_a_lock_that_it_holds_panics_at_once)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++)
		ask_for_own((enum spin_kind)kind);
}

/* True if a call on this CPU finds a deadlock. */
static bool finds_deadlock(unsigned cpu, uint64_t settled)
{
	become(cpu);
	return lock_wait_is_deadlock(settled);
}

#define DAY_TICKS (UINT64_C(1) << 50)

static void look_at_two(void)
{
	looks++;
	for (unsigned i = 0; i < 3; i++)
		CHECK(!finds_deadlock(0, 0));
	CHECK(!finds_deadlock(1, DAY_TICKS));		   /* not for so long */
	CHECK(!finds_deadlock(1, lock_owners_time() / 2)); /* nor half of the clock's age */
	CHECK(finds_deadlock(1, 0));
	CHECK(finds_deadlock(0, 0));
}

TEST(the_last_cpu_of_a_circle_finds_the_deadlock)
{
	static const struct play_step steps[] = {
		{0, 0, TAKES}, {1, 1, TAKES}, {0, 1, WAITS}, {1, 0, WAITS}};

	for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
		lock_play_start((enum spin_kind)kind, 2);
		looks = 0;
		lock_play(steps, LENGTH(steps), look_at_two);
		CHECK_EQ(looks, 1);
		lock_play_end();
	}
}

static void look_at_three(void)
{
	looks++;
	for (unsigned i = 0; i < 3; i++) {
		CHECK(!finds_deadlock(3, 0)); /* it waits for the circle, and is not in it */
		CHECK(!finds_deadlock(2, 0));
		CHECK(!finds_deadlock(0, 0));
	}
	CHECK(finds_deadlock(1, 0));
	CHECK(!finds_deadlock(3, 0));
}

TEST(three_cpus_are_a_circle_and_a_fourth_is_not_in_it)
{
	static const struct play_step steps[] = {{0, 0, TAKES}, {1, 1, TAKES}, {2, 2, TAKES},
						 {3, 0, WAITS}, {0, 1, WAITS}, {1, 2, WAITS},
						 {2, 0, WAITS}};

	lock_play_start(SPIN_FAS, 4);
	looks = 0;
	lock_play(steps, LENGTH(steps), look_at_three);
	CHECK_EQ(looks, 1);
	lock_play_end();
}

/* Cpu 1 does not call it: a handler runs there. */
static void look_at_a_handler(void)
{
	looks++;
	for (unsigned i = 0; i < 5; i++)
		CHECK(!finds_deadlock(0, 0));
}

/* Each link of the chain is there, and yet the handler on cpu 1 will release lock0. */
TEST(a_lock_that_a_handler_holds_over_a_wait_makes_no_circle)
{
	static const struct play_step steps[] = {
		{0, 1, TAKES}, {1, 1, WAITS}, {1, 0, TAKES}, {0, 0, WAITS}};

	lock_play_start(SPIN_FAS, 2);
	looks = 0;
	lock_play(steps, LENGTH(steps), look_at_a_handler);
	CHECK_EQ(looks, 1);
	lock_play_end();
}

/* What a CPU has confirmed is of one wait: in its next wait it confirms again. */
static void look_at_the_first_alone(void)
{
	looks++;
	CHECK(!finds_deadlock(0, 0));
}

TEST(what_was_confirmed_in_a_wait_ends_with_it)
{
	static const struct play_step steps[] = {
		{0, 0, TAKES}, {1, 1, TAKES}, {0, 1, WAITS}, {1, 0, WAITS}};
	static const struct play_step swapped[] = {
		{0, 0, TAKES}, {1, 1, TAKES}, {1, 0, WAITS}, {0, 1, WAITS}};

	lock_play_start(SPIN_FAS, 2);
	looks = 0;
	lock_play(steps, LENGTH(steps), look_at_two);
	lock_play(swapped, LENGTH(swapped), look_at_the_first_alone);
	lock_play(steps, LENGTH(steps), look_at_the_first_alone);
	CHECK_EQ(looks, 3);
	lock_play_end();
}

/* ---- while they change --------------------------------------------------------------------- */

static uint64_t found_waiting;

static void check_record(unsigned cpu)
{
	struct lock_wait wait;
	struct lock_owner owner;

	if (!lock_wait_of(cpu, &wait))
		return;
	__atomic_fetch_add(&found_waiting, 1, __ATOMIC_RELAXED);
	CHECK(wait.lock >= played && wait.lock < played + PLAYED_LOCKS);
	CHECK(wait.name == wait.lock->name);
	CHECK(wait.site != 0);
	if (lock_owner_of(wait.lock, &owner))
		CHECK(owner.site != 0);
}

static void look_for_deadlock(void)
{
	CHECK(!lock_wait_is_deadlock(0));
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		check_record(cpu);
}

/* Two locks, the lower number first: they wait for each other, and never in a circle. */
static void lock_pairs(void *barrier)
{
	uint64_t dice = 88172645463325252u + port_cpu();

	barrier_wait(barrier);
	for (unsigned round = 0; round < 2000; round++) {
		struct spin_node first, second;
		unsigned low, high;

		dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
		low = dice % (PLAYED_LOCKS - 1);
		high = low + 1 + (dice >> 8) % (PLAYED_LOCKS - 1 - low);
		spin_lock(&played[low], &first);
		host_self->wait_turns = 1;
		spin_lock(&played[high], &second);
		check_record((port_cpu() + 1) % port_cpu_count());
		if (round % 16 == 0)
			port_relax();
		spin_unlock(&played[high], &second);
		spin_unlock(&played[low], &first);
	}
}

CONCURRENT_TEST(notes_that_change_while_they_are_read_are_whole_and_no_deadlock)
{
	struct barrier barrier;

	lock_play_start(SPIN_FAS, 3);
	lock_wait_on_look = look_for_deadlock;
	do {
		barrier_init(&barrier, 3);
		host_run(lock_pairs, &barrier);
	} while (!found_waiting);
	lock_wait_on_look = NULL;
	for (unsigned cpu = 0; cpu < 3; cpu++)
		check_waits_for_nothing(cpu);
	for (unsigned lock = 0; lock < PLAYED_LOCKS; lock++)
		check_is_not_held(lock);
	lock_play_end();
}
