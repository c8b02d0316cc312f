/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: traps */
/*
 * test_traps_history.c - histories of random calls, which other CPUs and trap handlers interrupt at
 * any memory access, are linearizable (tests/host/support/history.h).
 *
 * All runs on one thread, so an instant is a number that rises at each begin and each end, and all are
 * known. A CPU's own calls are one line of execution; the calls of the trap handlers on it are another
 * one: a handler's call happens while the call that it has interrupted is under way.
 *
 * What the CPUs do in the middle of each other's calls: tests/host/traps/traps.h. At the end CPU 0 is
 * alone, and its last calls must find every frame.
 *
 * Covers: mm/frame.c mm/percpu/ mm/global/zone.c
 */
#include <port.h>

#include <stdlib.h>

#include "host.h"
#include "mm/global/policies.h"
#include "tests/host/support/history_calls.h"
#include "tests/host/traps/traps.h"
#include "unit.h"

#define CPUS_MAX  (HISTORY_LINES_MAX / 2)
#define CALLS_MAX 60 /* of a history, before the last ones of CPU 0 */
#define DEPTH_MAX 3  /* one in the middle of another */

static struct {
	unsigned cpus, depth, one_in, capacity, batch;
	const struct policy *policy;
	uint64_t frames[HISTORY_ZONES_MAX];
	unsigned zones, history;
} now;

static char story[200];

const char *traps_story(void)
{
	return story;
}

/* ---- instants and choices --------------------------------------------------------------------- */

static uint64_t instant;

static uint64_t next_instant(void)
{
	return ++instant;
}

static unsigned choose(unsigned count)
{
	return (unsigned)unit_random_below(count);
}

static const struct calls_test calls = {next_instant, next_instant, choose};

/* ---- calls in the middle of calls --------------------------------------------------------------- */

static void own_call(void)
{
	unsigned cpu = port_cpu();

	traps_set_busy(cpu, true);
	calls_any(&calls_line[cpu]);
	traps_set_busy(cpu, false);
}

static void handler_call(void)
{
	calls_any(&calls_line[CPUS_MAX + port_cpu()]);
}

static void rearm(void)
{
	if (now.depth < DEPTH_MAX && calls_history.calls < CALLS_MAX)
		traps_rearm(traps_points() + unit_random_below(2 * now.one_in));
}

/* A handler or another CPU comes in, which may be interrupted in turn. */
static void come_in(void)
{
	unsigned here = port_cpu(), cpu = choose(now.cpus);
	bool trap = cpu == here || traps_is_busy(cpu);

	/* Even a CPU that is at rest may be answering an IPI. */
	if (traps_may_trap(cpu) &&
	    (trap ? cpu == here || traps_all_may_trap() : traps_may_switch())) {
		now.depth++;
		rearm();
		if (trap)
			traps_trap(cpu, handler_call);
		else
			traps_elsewhere(cpu, own_call);
		now.depth--;
	}
	rearm();
}

/* ---- histories ---------------------------------------------------------------------------------- */

static void start(void)
{
	struct host_machine host = {.policy = now.policy,
				    .lock = SPIN_FAS,
				    .cpus = now.cpus,
				    .capacity = now.capacity,
				    .batch = now.batch};
	struct host_range range[2] = {{0x80200, now.frames[0], 0}, {0x80300, now.frames[1], 1}};
	struct history_machine machine;

	host_machine_start(&host, range, now.zones);
	traps_reset();
	if (choose(2))
		frame_drain_set_low(2);
	machine = calls_machine(now.capacity);
	calls_start(&calls, &machine);
	for (unsigned i = 0; i < HISTORY_LINES_MAX; i++) {
		calls_line[i].cpu = i % CPUS_MAX;
		calls_line[i].in_trap = i >= CPUS_MAX;
	}
}

static void check(struct calls_counts *counts)
{
	struct history_verdict verdict = history_check(&calls_history);

	if (verdict.answer != HISTORY_LINEARIZABLE) {
		history_print(&calls_history, &verdict);
		port_panic("the calls have no order: %s", verdict.reason);
	}
	calls_count(counts, &verdict);
	frame_validate();
}

static void one_history(struct calls_counts *counts)
{
	start();
	while (calls_history.calls < CALLS_MAX) {
		host_self = &host_cpus[choose(now.cpus)];
		now.depth = 0;
		traps_arm(TRAPS_HERE | TRAPS_ELSEWHERE, unit_random_below(2 * now.one_in), come_in);
		own_call();
		traps_disarm();
		traps_finish();
	}
	host_self = &host_cpus[0];
	calls_finish(&calls_line[0]);
	check(counts);
	host_machine_end();
}

static void draw_machine(unsigned number)
{
	static const unsigned rates[] = {10, 30, 100, 300};
	static const unsigned capacities[] = {0, 2, 4, 6};

	now.history = number;
	now.cpus = 1 + choose(CPUS_MAX);
	now.zones = 1 + choose(2);
	now.policy = policies[choose(policy_count)];
	now.one_in = rates[choose(4)];
	now.capacity = capacities[choose(4)];
	now.batch = choose(2) ? now.capacity / 2 : 0;
	now.frames[1] = 2 + choose(6);
	now.frames[0] = 4 + now.frames[1] + choose(12);
	snprintf(story, sizeof(story),
		 "history %u: %s, %u cpus, zones of %u and %u frames, cache %u, batch %u, one in "
		 "%u points",
		 number, now.policy->name, now.cpus, (unsigned)now.frames[0],
		 now.zones > 1 ? (unsigned)now.frames[1] : 0, now.capacity, now.batch, now.one_in);
}

TEST(what_each_call_answers_has_an_order)
{
	const char *wanted = getenv("HISTORIES");
	unsigned histories = wanted ? (unsigned)strtoul(wanted, NULL, 10) : 15000;
	struct calls_counts counts = {0};

	for (unsigned i = 0; i < histories; i++) {
		draw_machine(i);
		one_history(&counts);
	}
	calls_print_counts(&counts);
	CHECK(counts.failed && counts.failed_runs && counts.failed_nowait && counts.strict);
}
