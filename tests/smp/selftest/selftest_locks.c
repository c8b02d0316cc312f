/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest_locks.c - see selftest_locks.h.
 *
 * The lock= of the boot does not matter here: each trial makes its own lock. The figures of a trial
 * are printed as it ends, so that the last line before a run that stands still says which one comes
 * after; the launcher ends such a run.
 *
 * Covers: sync/spinlock.c sync/spin_kinds.c
 */
#include "tests/smp/selftest/selftest_locks.h"

#include <stdio.h>
#include <string.h>

#include "kernel/smp/cpu.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "kernel/program_memory.h"
#include "tests/smp/selftest/lock_trial.h"
#include "tests/smp/smp.h"

/*
 * Where cpus outnumber the host's cores, a lock that hands over waits for the host to schedule each
 * cpu in turn, a good part of a millisecond each, and many where the host is busy: few holds
 * of those are enough to see it work. The others' cost next to nothing.
 */
#define HOLDS	       100000
#define HOLDS_IN_ORDER 32
#define HOLDS_ARRANGED 16
#define ARRIVALS_MIN   2

static struct {
	bool done;
	struct lock_fairness fairness;
} found[SPIN_KINDS];

static void print_found(const struct lock_trial *trial)
{
	const struct lock_fairness *fairness = &trial->fairness;

	printf("# %s: %llu holds, a cpu %llu to %llu, Jain's index %llu.%03llu\n",
	       spin_kind_name(trial->kind), (unsigned long long)fairness->holds,
	       (unsigned long long)fairness->least, (unsigned long long)fairness->most,
	       (unsigned long long)fairness->jain_thousandths / 1000,
	       (unsigned long long)fairness->jain_thousandths % 1000);
}

static const char *run_trial(enum spin_kind kind)
{
	static struct lock_trial trial;
	size_t mark = program_memory_mark();
	void *memory = program_memory_alloc(lock_trial_bytes(settings.cpus));
	unsigned arrivals = HOLDS_ARRANGED / settings.cpus;
	const char *wrong;

	if (!memory)
		return "no memory";
	trial.kind = kind;
	trial.cpus = settings.cpus;
	trial.holds = spin_kind_hands_over(kind) ? HOLDS_IN_ORDER : HOLDS;
	trial.arrivals = arrivals > ARRIVALS_MIN ? arrivals : ARRIVALS_MIN;
	trial.counted = settings.arguments.lockstat != BOOTARGS_LOCKSTAT_OFF;
	trial.seed = settings.arguments.seed;
	wrong = lock_trial_run(&trial, memory);
	program_memory_release(mark);
	if (wrong)
		return wrong;
	print_found(&trial);
	found[kind].done = true;
	found[kind].fairness = trial.fairness;
	return NULL;
}

#define LOCKS_DEFINE(kind_name, kind)                                                              \
	const char *locks_test_##kind_name(void)                                                   \
	{                                                                                          \
		return run_trial(kind);                                                            \
	}
SPIN_FOR_EACH_KIND(LOCKS_DEFINE)

/* ---- none -------------------------------------------------------------------------------- */

static struct spinlock none;

static void acquire_none(uint64_t node, uint64_t unused)
{
	(void)unused;
	spin_lock(&none, (struct spin_node *)node);
}

static void release_none(uint64_t node, uint64_t unused)
{
	(void)unused;
	spin_unlock(&none, (struct spin_node *)node);
}

static bool says(const char *text)
{
	return strstr(cpu_self()->panic_message, text) != NULL;
}

/* One cpu after the other, so that it takes no luck; but in truth all on this one. */
static const char *misuse_none(void)
{
	struct spin_node node, second;

	if (!panics(release_none, (uintptr_t)&node, 0) || !says("it is not held"))
		return "a release of a lock that no cpu holds goes through";
	spin_lock(&none, &node);
	if (!panics(acquire_none, (uintptr_t)&second, 0) ||
	    !says("lock trial: kind none is for one cpu: cpu 0 acquires it, held by cpu 0"))
		return "an acquire of what is held goes through";
	none.word.owner = 3 + 1;
	if (!panics(acquire_none, (uintptr_t)&second, 0) ||
	    !says("cpu 0 acquires it, held by cpu 3"))
		return "a second cpu's acquire goes through";
	if (!panics(release_none, (uintptr_t)&second, 0) ||
	    !says("cpu 0 releases it, held by cpu 3"))
		return "a second cpu's release goes through";
	none.word.owner = 0 + 1;
	spin_unlock(&none, &node);
	return spin_locked_relaxed(&none) ? "no cpu holds it, and it is not free" : NULL;
}

const char *locks_test_none(void)
{
	size_t mark = program_memory_mark();
	void *memory = program_memory_alloc(spin_bytes(port_cpu_count()));
	const char *wrong = "no memory";

	if (memory) {
		spin_init(&none, "trial", SPIN_NONE, port_cpu_count(), memory);
		wrong = misuse_none();
	}
	program_memory_release(mark);
	return wrong;
}

/* ---- the wait matrix ---------------------------------------------------------------------- */

/* The last cpu waits for the first, at a separate lock. */
static struct {
	struct spinlock lock;
	struct spin_node node; /* the waiter's */
	unsigned waiter;
	uint32_t held;
} met;

static __attribute__((noinline)) void hold_until_waited_for(void)
{
	struct spin_node node;

	spin_lock(&met.lock, &node);
	ck_pr_fence_release(); /* pairs with the acquire in wait_for_holder */
	ck_pr_store_32(&met.held, 1);
	/* Says so as it begins to wait: which, and for whom, no longer depends on us. */
	while (!ck_pr_load_8((const uint8_t *)&met.node.contended))
		port_relax();
	spin_unlock(&met.lock, &node);
}

static __attribute__((noinline)) void wait_for_holder(void)
{
	while (!ck_pr_load_32(&met.held))
		port_relax();
	ck_pr_fence_acquire();
	spin_lock(&met.lock, &met.node);
	spin_unlock(&met.lock, &met.node);
}

static void work_wait_matrix(void *unused)
{
	(void)unused;
	if (port_cpu() == 0)
		hold_until_waited_for();
	else if (port_cpu() == met.waiter)
		wait_for_holder();
}

static bool is_in(uint64_t site, void (*function)(void))
{
	return site - (uintptr_t)function < 256;
}

static const char *check_wait_matrix(bool counted)
{
	struct spin_sites sites = {0};

	for (unsigned i = 0; i < settings.cpus; i++)
		for (unsigned j = 0; j < settings.cpus; j++) {
			struct spin_waits waits = wait_matrix_read(&met.lock, i, j);
			bool is_it = counted && i == met.waiter && j == 0;

			if (waits.count != is_it ||
			    (is_it && waits.ticks != met.node.stats.waited_ticks))
				return "the wait is not in its cell, or in another";
		}
	spin_sites_add(&met.lock, &sites);
	if (!counted)
		return sites.pair[0].waits.count ? "counted with lockstat=off" : NULL;
	if (sites.pair[0].waits.count != 1 || sites.pair[1].waits.count || sites.others.count)
		return "one wait is not one pair of sites";
	return is_in(sites.pair[0].waiter, wait_for_holder) &&
			       is_in(sites.pair[0].holder, hold_until_waited_for)
		       ? NULL
		       : "a site is not in the function that took the lock";
}

static const char *try_wait_matrix(enum spin_kind kind, void *memory, void *matrix)
{
	spin_init(&met.lock, "met", kind, port_cpu_count(), memory);
	wait_matrix_start(&met.lock, matrix);
	met.node.contended = false;
	met.held = 0;
	smp_run(work_wait_matrix, NULL, settings.cpus);
	return check_wait_matrix(settings.arguments.lockstat != BOOTARGS_LOCKSTAT_OFF);
}

/* On a single cpu no acquire waits. */
const char *locks_test_wait_matrix(void)
{
	size_t mark = program_memory_mark();
	void *memory = program_memory_alloc(spin_bytes(port_cpu_count()));
	void *matrix = program_memory_alloc(wait_matrix_bytes(port_cpu_count()));
	const char *wrong = memory && matrix ? NULL : "no memory";

	met.waiter = settings.cpus - 1;
	for (unsigned kind = 0; kind < SPIN_KINDS && met.waiter && !wrong; kind++)
		wrong = try_wait_matrix((enum spin_kind)kind, memory, matrix);
	program_memory_release(mark);
	return wrong;
}

/* ---- records ----------------------------------------------------------------------------- */

static void record_found(enum spin_kind kind, const struct lock_fairness *fairness)
{
	record_begin("fairness");
	record_string("kind", spin_kind_name(kind));
	record_bool("in_order", spin_kind_is_fifo(kind));
	record_number("cpus", settings.cpus);
	record_number("holds", fairness->holds);
	record_number("least", fairness->least);
	record_number("most", fairness->most);
	record_fraction("least_to_most", fairness->least * 1000 / fairness->most, 3);
	record_fraction("jain", fairness->jain_thousandths, 3);
	record_number("streak_max", fairness->streak_max);
	record_number("overtaken_max", fairness->overtaken_max);
	record_end();
}

void locks_test_records(void)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++)
		if (found[kind].done)
			record_found((enum spin_kind)kind, &found[kind].fairness);
}
