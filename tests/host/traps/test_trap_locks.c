/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: traps */
/*
 * test_trap_locks.c - at every point at which no CPU holds a lock, another CPU acquires it without a wait.
 *
 * All tests with traps depend on that, for every kind of lock: they let another CPU in wherever no lock is
 * held, and a trap handler on it could not wait for the code that it has stopped.
 *
 * Covers: sync/spin_kinds.c
 */
#include <port.h>

#include "host.h"
#include "mm/global/zone.h"
#include "tests/host/traps/traps.h"
#include "unit.h"

#define CPUS   4 /* two groups */
#define HOLDER 3

static char story[120];
static unsigned comer; /* the CPU that is let in */
static bool has_come;

const char *traps_story(void)
{
	return story;
}

static void lock_and_unlock(void)
{
	struct spinlock *lock = &zones.zone[0].lock;
	unsigned long flags = port_irq_save();
	struct spin_node node;

	spin_lock(lock, &node);
	spin_unlock(lock, &node);
	port_irq_restore(flags);
}

static void come(void)
{
	lock_and_unlock();
	has_come = true;
}

/* A CPU that waits gives way, and has not come yet when it does. */
static void let_in(void)
{
	has_come = false;
	traps_elsewhere(comer, come);
	if (!has_come)
		port_panic("cpu %u waits for a lock that no cpu holds", comer);
}

/* False if there are fewer points. */
static bool stop_at(uint64_t point, bool waits)
{
	bool stopped;

	host_self = &host_cpus[0];
	if (waits)
		traps_hold(&zones.zone[0], HOLDER, false);
	traps_arm(TRAPS_ELSEWHERE, point, let_in);
	lock_and_unlock();
	stopped = traps_points() > point;
	traps_disarm();
	traps_finish();
	CHECK(!spin_locked_relaxed(&zones.zone[0].lock));
	return stopped;
}

static void stop_everywhere(enum spin_kind kind, bool waits)
{
	struct host_machine machine = {.lock = kind, .cpus = CPUS, .capacity = 64, .batch = 32};
	struct host_range range = {0x80200, 128, 0};
	uint64_t point = 0;

	host_machine_start(&machine, &range, 1);
	traps_reset();
	do
		snprintf(story, sizeof(story), "%s, cpu %u comes %s, point %llu",
			 spin_kind_name(kind), comer, waits ? "to a wait" : "to an acquire",
			 (unsigned long long)point);
	while (stop_at(point++, waits));
	CHECK(point > 2); /* before the acquire and after the release, at least */
	host_machine_end();
}

TEST(a_lock_that_no_cpu_holds_is_acquired_without_a_wait_at_every_point)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++)
		for (comer = 1; comer < HOLDER; comer++) {
			stop_everywhere((enum spin_kind)kind, false);
			stop_everywhere((enum spin_kind)kind, true);
		}
}
