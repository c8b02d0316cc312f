/*
 * selftest_locks.c - see selftest_locks.h.
 *
 * The lock= of the boot does not matter here: each trial makes its own lock. What a trial measured
 * is printed as it ends, so that the last line before a run that stands still says which one comes
 * after; the launcher ends such a run.
 */
#include "tests/smp/selftest_locks.h"

#include <stdio.h>
#include <string.h>

#include "kernel/cpu.h"
#include "kernel/panic.h"
#include "kernel/record.h"
#include "kernel/settings.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/harness.h"
#include "tests/smp/lock_trial.h"

/*
 * Where cpus outnumber the host's cores, a lock that serves in order waits for the host to schedule
 * each cpu in turn, a good part of a millisecond each, and many where the host is busy: few holds
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

	printf("# lock %s, %u cpus, %llu holds together: a cpu %llu to %llu, Jain's index "
	       "%llu.%03llu, "
	       "longest streak %llu, overtaken by %llu\n",
	       spin_kind_name(trial->kind), trial->cpus, (unsigned long long)fairness->holds,
	       (unsigned long long)fairness->least, (unsigned long long)fairness->most,
	       (unsigned long long)fairness->jain_thousandths / 1000,
	       (unsigned long long)fairness->jain_thousandths % 1000,
	       (unsigned long long)fairness->streak_max,
	       (unsigned long long)fairness->overtaken_max);
}

static const char *run_trial(enum spin_kind kind)
{
	static struct lock_trial trial;
	size_t mark = harness_mark();
	void *memory = harness_alloc(lock_trial_bytes(settings.cpus));
	unsigned arrivals = HOLDS_ARRANGED / settings.cpus;
	const char *wrong;

	if (!memory)
		return "no memory";
	trial.kind = kind;
	trial.cpus = settings.cpus;
	trial.holds = spin_kind_is_fifo(kind) ? HOLDS_IN_ORDER : HOLDS;
	trial.arrivals = arrivals > ARRIVALS_MIN ? arrivals : ARRIVALS_MIN;
	trial.counted = settings.arguments.lockstat != BOOTARGS_LOCKSTAT_OFF;
	trial.seed = settings.arguments.seed;
	wrong = lock_trial_run(&trial, memory);
	harness_release(mark);
	if (wrong)
		return wrong;
	print_found(&trial);
	found[kind].done = true;
	found[kind].fairness = trial.fairness;
	return NULL;
}

#define LOCKS_DEFINE(kind_name, kind)            \
	const char *locks_test_##kind_name(void) \
	{                                        \
		return run_trial(kind);          \
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

	if (!panics(release_none, (uintptr_t)&node, 0) || !says("held by nobody"))
		return "a release of what nobody holds goes through";
	spin_lock(&none, &node);
	if (!panics(acquire_none, (uintptr_t)&second, 0) ||
	    !says("lock trial: none, which excludes nobody: cpu 0 acquires it, held by cpu 0"))
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
	return spin_locked_relaxed(&none) ? "held by nobody, and not free" : NULL;
}

const char *locks_test_none(void)
{
	void *memory = kmalloc_aligned(spin_bytes(port_cpu_count()), 64);
	const char *wrong;

	if (!memory)
		return "no memory";
	spin_init(&none, "trial", SPIN_NONE, port_cpu_count(), memory);
	wrong = misuse_none();
	kfree(memory);
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
