/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_history.c - histories of random calls on the weak-memory explorer are linearizable
 * (tests/host/support/history.h).
 *
 * Which order of calls is known? RISC-V promises no order between two CPUs that nothing connects. So a
 * call that ended before another CPU's call began, on some clock outside, may still take effect after
 * it: its stores may wait. What the allocator promises is for its users: they know an order because one
 * CPU has stored something behind a release fence, and the other one has read it before an acquire
 * fence. This test does just that. A call may be followed by a release fence and an increment of a
 * common counter, and preceded by an increment and an acquire fence. The counter's values are the
 * instants of the history. An increment reads the newest value, so of two that are known the lower one
 * was first, and all that its CPU did before it comes before all that the other CPU did behind its own.
 * Other instants are not known, and the order of one CPU's calls always is.
 *
 * So a history must have an order that agrees with what any CPU can know. Fences of the test also
 * hide a fence that the allocator lacks: so in some executions each call has these instants, in some only
 * a few, and in some none.
 *
 * At the end CPU 0 knows that all others have ended their work. Its last calls must find every frame.
 *
 * Covers: mm/frame.c mm/percpu/ mm/global/zone.c
 */
#include <port.h>

#include <stdio.h>
#include <sys/mman.h>

#include "tests/host/support/history_calls.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/machine.h"
#include "tests/host/weak/model.h"

#define ZONE_FIRST  0x80200
#define ZONE_SECOND 0x80300
#define DRAWS	    60 /* for a CPU's calls: those that draw no call are left out */

static unsigned cpu_count, zone_count, calls_wanted; /* of each CPU */
static bool is_parked;

/* Executions are in child processes; this is common to them. */
static struct calls_counts *counts;

/* ---- instants --------------------------------------------------------------------------------- */

static enum { NO_INSTANTS, ALL_INSTANTS, SOME_INSTANTS } instants;
static uint64_t instant;
static uint32_t ended; /* CPUs other than CPU 0 */

static bool has_instant(void)
{
	return instants == ALL_INSTANTS || (instants == SOME_INSTANTS && weak_chance());
}

static uint64_t known_begin(void)
{
	uint64_t now = ck_pr_faa_64(&instant, 1) + 1;

	ck_pr_fence_acquire(); /* pairs with known_end() */
	return now;
}

static uint64_t known_end(void)
{
	ck_pr_fence_release(); /* pairs with known_begin() */
	return ck_pr_faa_64(&instant, 1) + 1;
}

static uint64_t call_begins(void)
{
	return has_instant() ? known_begin() : 0;
}

static uint64_t call_ends(void)
{
	return has_instant() ? known_end() : 0;
}

static const struct calls_test calls = {call_begins, call_ends, weak_choose};

/* ---- executions ------------------------------------------------------------------------------- */

/* So a CPU's first call opens its cache. */
static void park_all(void)
{
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		host_self = &host_cpus[cpu];
		while (frame_cache_park_step(frame_cache_self()))
			;
	}
	host_self = &host_cpus[0];
}

/* With few calls there are as few frames as CPUs, or fewer. */
static void setup(void)
{
	unsigned most = is_parked ? 1 + cpu_count : 5 + 2 * cpu_count;
	uint32_t capacity = 4 - 2 * weak_choose(3);
	struct host_machine host = {
		.cpus = cpu_count, .capacity = capacity, .batch = capacity / 2, .lock = SPIN_FAS};
	struct host_range range[2] = {{ZONE_FIRST, most - weak_choose(is_parked ? 2 : 4), 0},
				      {ZONE_SECOND, 4 - weak_choose(3), 1}};
	struct history_machine machine;

	if (host_cpus)
		host_machine_end();
	host_machine_start(&host, range, zone_count);
	if (is_parked)
		park_all();
	else if (weak_choose(2))
		frame_drain_set_low(2);
	machine = calls_machine(capacity);
	calls_start(&calls, &machine);
	instants = (unsigned)weak_choose(3);
	instant = ended = 0;
}

static void on_ipi(unsigned cpu)
{
	machine_take_ipi(cpu);
	while (frame_drain_answer())
		;
}

static void end_others_work(struct calls_line *line)
{
	struct history_call last = {.kind = HISTORY_LAST};

	last.end = known_end();
	calls_add(line, &last);
	ck_pr_fence_release(); /* pairs with wait_for_others() */
	ck_pr_inc_32(&ended);
}

static void wait_for_others(struct calls_line *line)
{
	struct history_call last = {.kind = HISTORY_LAST};

	while (ck_pr_load_32(&ended) != cpu_count - 1)
		port_relax();
	ck_pr_fence_acquire(); /* pairs with end_others_work() */
	last.begin = known_begin();
	calls_add(line, &last);
}

static void work(unsigned cpu)
{
	struct calls_line *line = &calls_line[cpu];

	for (unsigned draws = 0, made = 0; draws < DRAWS && made < calls_wanted; draws++)
		made += calls_any(line);
	if (cpu) {
		end_others_work(line);
		return;
	}
	wait_for_others(line);
	calls_finish(line);
}

static void check(void)
{
	struct history_verdict verdict = history_check(&calls_history);

	if (verdict.answer != HISTORY_LINEARIZABLE) {
		if (story_is_told)
			history_print(&calls_history, &verdict);
		weak_fail("the calls have no order: %s", verdict.reason);
	}
	calls_count(counts, &verdict);
	frame_validate();
}

/* ---- tests ------------------------------------------------------------------------------------- */

static void explore(const char *name, unsigned cpus, unsigned zones_wanted, uint64_t executions)
{
	struct weak_workload workload = {.name = name,
					 .cpus = cpus,
					 .setup = setup,
					 .work = work,
					 .check = check,
					 .handler = on_ipi,
					 .steps_max = 200000,
					 .some = executions};

	cpu_count = cpus;
	zone_count = zones_wanted;
	calls_wanted = is_parked ? 4 : 10;
	weak_explore(&workload);
	if (host_cpus)
		host_machine_end();
}

TEST(what_each_call_answers_has_an_order)
{
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	CHECK(counts != MAP_FAILED);
	explore("history-2", 2, 1, 1000);
	explore("history-3", 3, 1, 1000);
	explore("history-2-zones", 2, 2, 1000);
	explore("history-3-zones", 3, 2, 1000);
	is_parked = true;
	explore("history-parked-2", 2, 1, 4000);
	explore("history-parked-3", 3, 1, 4000);
	if (!counts->histories) /* WORKLOAD= is another one */
		return;
	calls_print_counts(counts);
	CHECK(counts->failed && counts->failed_runs && counts->failed_nowait && counts->strict);
}
