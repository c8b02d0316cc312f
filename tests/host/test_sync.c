/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain tsan bare */
/*
 * test_sync.c - locks of every kind, counters and barriers, with threads. The statistics of locks
 * are tested in test_lock_stats.c; this file also runs without statistics (-DLOCK_STATS=0).
 *
 * The host may have fewer cores than a test has CPUs, and then a queue lock waits for CPUs that do
 * not run: rounds are few, and port_relax() yields.
 *
 * The duties of every algorithm are tested in tests/smp/selftest/lock_trial.h, for the kernel too.
 * Here are more CPUs, fewer holds, and what one thread can look at.
 *
 * Covers: sync/spinlock.c sync/spin_kinds.c sync/barrier.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "sync/barrier.h"
#include "sync/ck.h"
#include "sync/spin_kinds.h"
#include "tests/smp/selftest/lock_trial.h"
#include "tried_lock.h"
#include "unit.h"
#include "watch.h"

/* ---- locks ------------------------------------------------------------------------------- */

CONCURRENT_TEST(locks_exclude)
{
	for (unsigned i = 0; i < LENGTH(cpu_counts); i++)
		for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
			tried_lock_start((enum spin_kind)kind, cpu_counts[i]);
			exclude((enum spin_kind)kind, cpu_counts[i]);
			tried_lock_end();
		}
}

static void exclude_without_memory(enum spin_kind kind)
{
	struct spin_stats stats;

	host_memory_start(1 << 20, 3);
	spin_init(&lock, "tested", kind, 3, NULL);
	exclude(kind, 3);
	spin_stats_reset(&lock);
	stats = stats_now();
	CHECK_EQ(stats.acquisitions + stats.contended, 0);
	CHECK_EQ(stats.wait.samples + stats.hold.samples, 0);
	CHECK(!spin_locked_relaxed(&lock));
	host_memory_end();
}

/* Where a lock has no memory for each cpu. A queue whose places are there needs it. */
CONCURRENT_TEST(locks_without_memory_exclude_and_count_nothing)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++)
		if (!spin_kind_needs_memory((enum spin_kind)kind))
			exclude_without_memory((enum spin_kind)kind);
	EXPECT_PANIC(spin_init(&lock, "tested", SPIN_CLH, 3, NULL),
		     "lock tested: no memory for clh");
	EXPECT_PANIC(spin_init(&lock, "tested", SPIN_ANDERSON, 3, NULL),
		     "lock tested: no memory for anderson");
	EXPECT_PANIC(spin_init(&lock, "tested", SPIN_COHORT, 3, NULL),
		     "lock tested: no memory for cohort");
	EXPECT_PANIC(spin_init(&lock, "tested", SPIN_HCLH, 3, NULL),
		     "lock tested: no memory for hclh");
}

static const unsigned trial_cpus[] = {1, 2, 3, 4, 8, 16};

#define HOLDS_IN_ORDER 64

/* Two cpus have a core each on most hosts, where a turn costs little. */
static void set_up_trial(struct lock_trial *trial, enum spin_kind kind, unsigned cpus)
{
	memset(trial, 0, sizeof(*trial));
	trial->kind = kind;
	trial->cpus = cpus;
	trial->holds = spin_kind_hands_over(kind) ? HOLDS_IN_ORDER : 20000;
	trial->arrivals = cpus == 2 ? 200 : cpus <= 4 ? 20 : 4;
	trial->counted = LOCK_STATS;
	trial->seed = unit_random();
}

static const char *run_trial(enum spin_kind kind, unsigned cpus)
{
	static struct lock_trial trial;
	const char *wrong;
	void *memory;

	host_memory_start(1 << 20, cpus);
	memory = aligned_alloc(PORT_CACHE_LINE, lock_trial_bytes(cpus));
	set_up_trial(&trial, kind, cpus);
	watch_begin(&trial.progress, spin_kind_name(kind));
	wrong = lock_trial_run(&trial, memory);
	watch_end();
	free(memory);
	host_memory_end();
	printf("# %s, %u cpus: a cpu %llu to %llu of %llu, streak %llu, overtaken by %llu\n",
	       spin_kind_name(kind), cpus, (unsigned long long)trial.fairness.least,
	       (unsigned long long)trial.fairness.most, (unsigned long long)trial.fairness.holds,
	       (unsigned long long)trial.fairness.streak_max,
	       (unsigned long long)trial.fairness.overtaken_max);
	return wrong;
}

#define TRIAL_TEST(kind_name, kind)                                                                 \
	CONCURRENT_TEST(kind_name##_stands_its_trial)                                               \
	{                                                                                           \
		for (unsigned i = 0; i < LENGTH(trial_cpus); i++) {                                 \
			const char *wrong = run_trial(kind, trial_cpus[i]);                         \
                                                                                                    \
			if (wrong)                                                                  \
				unit_fail(__FILE__, __LINE__, "%u cpus: %s", trial_cpus[i], wrong); \
		}                                                                                   \
	}

SPIN_FOR_EACH_KIND(TRIAL_TEST)

/* Many more turns than cpus, so that the queues' nodes and slots go round. */
TEST(a_lock_says_whether_it_is_held)
{
	for (unsigned i = 0; i < LENGTH(cpu_counts); i++)
		for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
			tried_lock_start((enum spin_kind)kind, cpu_counts[i]);
			for (unsigned turn = 0; turn < 40; turn++) {
				struct spin_node node;

				become((unsigned)unit_random_below(cpu_counts[i]));
				CHECK(!spin_locked_relaxed(&lock));
				spin_lock(&lock, &node);
				CHECK(spin_locked_relaxed(&lock));
				CHECK(!node.contended);
				spin_unlock(&lock, &node);
			}
			become(0);
			CHECK_EQ(stats_now().acquisitions, LOCK_STATS * 40);
			CHECK_EQ(stats_now().contended, 0);
			tried_lock_end();
		}
}

/* A cpu of this group that has said that it will take the local lock. */
static void announce(unsigned cpu)
{
	ck_pr_inc_uint(&lock.cpus[cpu].group.cohort.waiting_threads);
}

static void take_and_pass(unsigned cpu, bool stays_in_group)
{
	struct spin_node node;

	become(cpu);
	spin_acquire_cohort(&lock, &node);
	spin_release_cohort(&lock, &node);
	CHECK_EQ(spin_locked_relaxed(&lock), stays_in_group);
}

/*
 * With a waiter in the group the global lock stays with it, for a bounded number of holds; without
 * one, or at the bound, it is released. One thread plays the CPUs: groups are of two.
 */
TEST(a_cohort_passes_the_lock_within_its_group_but_not_for_ever)
{
	tried_lock_start(SPIN_COHORT, 4);
	take_and_pass(2, false);
	announce(2);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned hold = 1; hold < CK_COHORT_DEFAULT_LOCAL_PASS_LIMIT; hold++)
			take_and_pass(2 + hold % 2, true);
		take_and_pass(2, false);
	}
	take_and_pass(0, false); /* of a group without a waiter */
	become(0);
	tried_lock_end();
}

/* ---- hclh: one thread plays the CPUs; groups are of two ------------------------------------ */

/* A CPU puts its node into its group's queue, and sees this in the node before. */
static void hclh_comes(unsigned cpu, struct spin_node *node, enum spin_hclh_turn turn)
{
	node->hclh = spin_hclh_enqueue(&lock.cpus[cpu & ~1u].hclh_queue, cpu & ~1u,
				       lock.cpus[cpu].hclh);
	CHECK_EQ(spin_hclh_look(node->hclh, cpu & ~1u), turn);
}

/* A CPU puts the batch that begins with it into the global queue, behind that node. */
static void hclh_splices(unsigned cpu, struct spin_node *node, const struct spin_hclh_node *behind)
{
	node->hclh = spin_hclh_splice(&lock.word.hclh, &lock.cpus[cpu & ~1u].hclh_queue, cpu & ~1u);
	CHECK(node->hclh == behind);
}

static void hclh_leaves(unsigned cpu, struct spin_node *node)
{
	become(cpu);
	spin_release_hclh(&lock, node);
}

static bool waits_for(const struct spin_node *node)
{
	return node->hclh->state & SPIN_HCLH_WAIT;
}

/*
 * While cpu 2 holds it: 0 and 1 come, and 0 puts both into the global queue; then 3 comes. The lock
 * goes from 2 to 0, from there to 1 of its group, and from the last of the batch to 3.
 */
TEST(hclh_passes_the_lock_through_a_batch_and_then_to_the_next_group)
{
	struct spin_node node[4];
	struct spin_hclh_node *own[4];

	tried_lock_start(SPIN_HCLH, 4);
	for (unsigned cpu = 0; cpu < 4; cpu++)
		own[cpu] = lock.cpus[cpu].hclh;
	become(2);
	spin_acquire_hclh(&lock, &node[2]);
	hclh_comes(0, &node[0], SPIN_HCLH_BEGINS);
	hclh_comes(1, &node[1], SPIN_HCLH_WAITS);
	hclh_splices(0, &node[0], own[2]);
	CHECK(lock.word.hclh.end == own[1]);
	hclh_comes(3, &node[3], SPIN_HCLH_BEGINS);
	hclh_splices(3, &node[3], own[1]);
	CHECK(waits_for(&node[0]));
	hclh_leaves(2, &node[2]);
	CHECK(!waits_for(&node[0]));
	CHECK_EQ(spin_hclh_look(node[1].hclh, 0), SPIN_HCLH_WAITS);
	hclh_leaves(0, &node[0]);
	CHECK_EQ(spin_hclh_look(node[1].hclh, 0), SPIN_HCLH_HAS_LOCK);
	CHECK(waits_for(&node[3]));
	hclh_leaves(1, &node[1]);
	CHECK(!waits_for(&node[3]));
	CHECK(spin_locked_relaxed(&lock));
	hclh_leaves(3, &node[3]);
	CHECK(!spin_locked_relaxed(&lock));
	become(0);
	tried_lock_end();
}

/* A CPU that comes behind the last of a batch begins the next one: while it waits, and after it. */
TEST(hclh_ends_a_batch_as_it_goes_into_the_global_queue)
{
	struct spin_node node[4];
	struct spin_hclh_node *own;

	tried_lock_start(SPIN_HCLH, 4);
	own = lock.cpus[0].hclh;
	hclh_comes(0, &node[0], SPIN_HCLH_BEGINS);
	hclh_splices(0, &node[0], &lock.hclh_unowned);
	CHECK(!waits_for(&node[0]));
	hclh_comes(1, &node[1], SPIN_HCLH_BEGINS);
	hclh_leaves(0, &node[0]);
	CHECK_EQ(spin_hclh_look(node[1].hclh, 0), SPIN_HCLH_BEGINS);
	hclh_splices(1, &node[1], own);
	CHECK(!waits_for(&node[1]));
	hclh_leaves(1, &node[1]);
	become(0);
	tried_lock_end();
}

/*
 * The node at the end of group 0's queue is used again by cpu 2 in a batch of group 2. It lets cpu 3
 * have the lock, and tells a CPU of group 0 nothing.
 */
TEST(hclh_is_not_handed_over_by_a_node_that_another_group_uses)
{
	struct spin_node node[4];
	struct spin_hclh_node *ends_group_0;

	tried_lock_start(SPIN_HCLH, 4);
	ends_group_0 = lock.cpus[0].hclh;
	become(0);
	spin_acquire_hclh(&lock, &node[0]);
	spin_release_hclh(&lock, &node[0]);
	become(2);
	spin_acquire_hclh(&lock, &node[2]);
	spin_release_hclh(&lock, &node[2]);
	CHECK(lock.cpus[2].hclh == ends_group_0);
	hclh_comes(2, &node[2], SPIN_HCLH_BEGINS);
	hclh_comes(3, &node[3], SPIN_HCLH_WAITS);
	hclh_splices(2, &node[2], lock.word.hclh.end);
	hclh_comes(0, &node[0], SPIN_HCLH_BEGINS);
	hclh_leaves(2, &node[2]);
	CHECK_EQ(spin_hclh_look(node[3].hclh, 2), SPIN_HCLH_HAS_LOCK);
	CHECK_EQ(spin_hclh_look(node[0].hclh, 0), SPIN_HCLH_BEGINS);
	hclh_splices(0, &node[0], lock.word.hclh.end);
	hclh_leaves(3, &node[3]);
	CHECK(!waits_for(&node[0]));
	hclh_leaves(0, &node[0]);
	CHECK(!spin_locked_relaxed(&lock));
	become(0);
	tried_lock_end();
}

/* The try of these never waits, so one that says "held" has left nothing behind. */
TEST(a_try_in_vain_leaves_the_lock_as_it_was)
{
	static const enum spin_kind kinds[] = {SPIN_QSPINLOCK, SPIN_RECIPROCATING};

	for (unsigned i = 0; i < LENGTH(kinds); i++) {
		struct spin_node node, in_vain;
		uint64_t word;

		tried_lock_start(kinds[i], 2);
		spin_lock(&lock, &node);
		word = lock.word.qspinlock.word; /* the first of the union, like the other's */
		become(1);
		CHECK(!(kinds[i] == SPIN_QSPINLOCK ? spin_try_qspinlock(&lock, &in_vain)
						   : spin_try_reciprocating(&lock, &in_vain)));
		CHECK_EQ(lock.word.qspinlock.word, word);
		become(0);
		spin_unlock(&lock, &node);
		CHECK_EQ(lock.word.qspinlock.word, 0);
		tried_lock_end();
	}
}

static void lock_unknown_kind(void)
{
	EXPECT_PANIC(spin_init(&lock, "odd", (enum spin_kind)(SPIN_NONE + 1), 1, lock.cpus),
		     "no algorithm 13");
}

TEST(kinds_have_names)
{
	static const char *const names[] = {
		"fas",	     "cas",    "dec",	    "ticket",	     "mcs",  "clh",  "anderson",
		"ticket_pb", "cohort", "qspinlock", "reciprocating", "hclh", "none", "unknown"};

	for (unsigned kind = 0; kind < LENGTH(names); kind++)
		CHECK(!strcmp(spin_kind_name((enum spin_kind)kind), names[kind]));
	tried_lock_start(SPIN_FAS, 1);
	lock_unknown_kind();
	tried_lock_end();
}

static void none_misused(void)
{
	struct spin_node node, second;

	become(1);
	EXPECT_PANIC(spin_unlock(&lock, &node),
		     "lock tested: kind none: cpu 1 releases it, it is not held");
	spin_lock(&lock, &node);
	CHECK(spin_locked_relaxed(&lock));
	EXPECT_PANIC(spin_lock(&lock, &second), "cpu 1 acquires it, held by cpu 1");
	become(2);
	EXPECT_PANIC(spin_lock(&lock, &second), "lock tested: kind none is for one cpu: "
						"cpu 2 acquires it, held by cpu 1");
	EXPECT_PANIC(spin_unlock(&lock, &second), "cpu 2 releases it, held by cpu 1");
	become(1);
	spin_unlock(&lock, &node);
	CHECK_EQ(stats_now().acquisitions, LOCK_STATS);
}

/* One CPU after the other, so that each mistake is found whatever the timing. */
TEST(none_panics_where_a_second_cpu_uses_it)
{
	tried_lock_start(SPIN_NONE, 3);
	none_misused();
	become(0);
	for (unsigned turn = 0; turn < 40; turn++) {
		struct spin_node node;

		CHECK(!spin_locked_relaxed(&lock));
		spin_lock(&lock, &node);
		spin_unlock(&lock, &node);
	}
	CHECK_EQ(stats_now().acquisitions, LOCK_STATS * 41);
	CHECK_EQ(stats_now().contended, 0);
	tried_lock_end();
}

/* ---- counters and barriers ---------------------------------------------------------------- */

#define COUNTS 20000

static struct {
	_Alignas(PORT_CACHE_LINE) uint64_t value;
} counters[TRIED_CPUS_MAX];

/* A cpu counts its own and watches its neighbour's: that one never goes back. */
static void count(void *argument)
{
	uint64_t *own = &counters[port_cpu()].value, seen = 0;
	const uint64_t *other = &counters[(port_cpu() + 1) % port_cpu_count()].value;
	bool *went_back = argument;

	for (unsigned i = 0; i < COUNTS; i++) {
		uint64_t now = counter_read(other);

		if (now < seen)
			*went_back = true;
		seen = now;
		counter_add(own, UINT64_C(1) << 32 | 1);
	}
}

CONCURRENT_TEST(counters_are_whole_and_exact)
{
	for (unsigned i = 0; i < LENGTH(cpu_counts); i++) {
		bool went_back = false;

		tried_lock_start(SPIN_FAS, cpu_counts[i]);
		for (unsigned cpu = 0; cpu < TRIED_CPUS_MAX; cpu++)
			counter_set(&counters[cpu].value, 0);
		host_run(count, &went_back);
		CHECK(!went_back);
		for (unsigned cpu = 0; cpu < cpu_counts[i]; cpu++)
			CHECK_EQ(counter_read(&counters[cpu].value),
				 COUNTS * (UINT64_C(1) << 32 | 1));
		tried_lock_end();
	}
}

#define BARRIER_ROUNDS 50

/* Plain words: the barrier alone makes each cpu see what the others wrote before it. */
static unsigned arrived[TRIED_CPUS_MAX];
static unsigned late[TRIED_CPUS_MAX];

static void go_rounds(void *argument)
{
	struct barrier *barrier = argument;

	for (unsigned round = 1; round <= BARRIER_ROUNDS; round++) {
		arrived[port_cpu()] = round;
		barrier_wait(barrier);
		for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
			late[port_cpu()] += arrived[cpu] != round;
		barrier_wait(barrier);
	}
}

CONCURRENT_TEST(no_cpu_passes_a_barrier_before_all_have_come)
{
	for (unsigned i = 0; i < LENGTH(cpu_counts); i++) {
		struct barrier barrier;

		tried_lock_start(SPIN_FAS, cpu_counts[i]);
		barrier_init(&barrier, cpu_counts[i]);
		host_run(go_rounds, &barrier);
		for (unsigned cpu = 0; cpu < cpu_counts[i]; cpu++) {
			CHECK_EQ(arrived[cpu], BARRIER_ROUNDS);
			CHECK_EQ(late[cpu], 0);
		}
		tried_lock_end();
	}
}
