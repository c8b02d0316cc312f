/*
 * test_sync.c - locks of every kind, their statistics, counters and barriers, with threads.
 *
 * The host may have fewer cores than a test has cpus, and then a queue lock waits for cpus that
 * are not running: rounds are few, and port_relax() yields. That a cpu had to wait is never left
 * to chance: where it matters it is arranged, or tried until it happened.
 *
 * What every algorithm must do is in tests/smp/lock_trial.h, for the kernel too; here are more cpus,
 * fewer holds, and what is looked at from one thread.
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "sync/barrier.h"
#include "sync/ck.h"
#include "sync/spin_kinds.h"
#include "sync/spinlock.h"
#include "tests/smp/lock_trial.h"
#include "unit.h"
#include "watch.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const unsigned cpu_counts[] = {1, 2, 3, 5};
#define CPUS_MAX 5

static struct spinlock lock;
static void *lock_memory;

static void start(enum spin_kind kind, unsigned cpus)
{
	host_memory_start(1 << 20, cpus);
	lock_memory = aligned_alloc(64, spin_bytes(cpus));
	spin_init(&lock, "tested", kind, cpus, lock_memory);
}

static void end(void)
{
	CHECK(!spin_locked_relaxed(&lock));
	host_memory_end();
	free(lock_memory);
}

static void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

static struct spin_stats stats_now(void)
{
	struct spin_stats stats = {0};

	spin_stats_add(&lock, &stats);
	return stats;
}

/* ---- locks ------------------------------------------------------------------------------- */

#define ROUNDS 200

/* Guarded by the lock, and plain: two cpus inside at once lose counts and find each other. */
static volatile unsigned inside, counted;
static unsigned met[CPUS_MAX];
static uint64_t moves;

/* Stays inside for a while now and then, so that others come and a lock that is none shows. */
static void enter_once(unsigned round)
{
	unsigned count = counted;

	__atomic_fetch_add(&moves, 1, __ATOMIC_RELAXED);
	met[port_cpu()] += inside != 0;
	inside = port_cpu() + 1;
	if (round % 8 == 0)
		port_relax();
	met[port_cpu()] += inside != port_cpu() + 1;
	inside = 0;
	counted = count + 1;
}

static void enter(void *argument)
{
	struct barrier *barrier = argument;

	barrier_wait(barrier);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct spin_node node;

		spin_lock(&lock, &node);
		enter_once(round);
		spin_unlock(&lock, &node);
	}
}

static void exclude(enum spin_kind kind, unsigned cpus)
{
	struct barrier barrier;

	start(kind, cpus);
	barrier_init(&barrier, cpus);
	counted = 0;
	watch_begin(&moves, spin_kind_name(kind));
	host_run(enter, &barrier);
	watch_end();
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		CHECK_EQ(met[cpu], 0);
	CHECK_EQ(counted, ROUNDS * cpus);
}

CONCURRENT_TEST(locks_exclude)
{
	for (unsigned i = 0; i < LENGTH(cpu_counts); i++)
		for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
			exclude((enum spin_kind)kind, cpu_counts[i]);
			end();
		}
}

static const unsigned trial_cpus[] = {1, 2, 3, 4, 8, 16};

#define HOLDS_IN_ORDER 64

/* Two cpus have a core each on most hosts, where a turn costs little. */
static void set_up_trial(struct lock_trial *trial, enum spin_kind kind, unsigned cpus)
{
	memset(trial, 0, sizeof(*trial));
	trial->kind = kind;
	trial->cpus = cpus;
	trial->holds = spin_kind_is_fifo(kind) ? HOLDS_IN_ORDER : 20000;
	trial->arrivals = cpus == 2 ? 200 : cpus <= 4 ? 20 : 4;
	trial->counted = true;
	trial->seed = unit_random();
}

static const char *run_trial(enum spin_kind kind, unsigned cpus)
{
	static struct lock_trial trial;
	const char *wrong;
	void *memory;

	host_memory_start(1 << 20, cpus);
	memory = aligned_alloc(64, lock_trial_bytes(cpus));
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

#define TRIAL_TEST(kind_name, kind)                                                             \
	CONCURRENT_TEST(kind_name##_stands_its_trial)                                           \
	{                                                                                       \
		for (unsigned i = 0; i < LENGTH(trial_cpus); i++) {                             \
			const char *wrong = run_trial(kind, trial_cpus[i]);                     \
                                                                                                \
			if (wrong)                                                              \
				unit_fail(__FILE__, __LINE__, "%u cpus: %s", trial_cpus[i], wrong); \
		}                                                                               \
	}

SPIN_FOR_EACH_KIND(TRIAL_TEST)

/* Many more turns than cpus, so that the queues' nodes and slots go round. */
TEST(a_lock_says_whether_it_is_held)
{
	for (unsigned i = 0; i < LENGTH(cpu_counts); i++)
		for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
			start((enum spin_kind)kind, cpu_counts[i]);
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
			CHECK_EQ(stats_now().acquisitions, 40);
			CHECK_EQ(stats_now().contended, 0);
			end();
		}
}

static void lock_unknown_kind(void)
{
	EXPECT_PANIC(spin_init(&lock, "odd", (enum spin_kind)(SPIN_NONE + 1), 1, lock_memory),
		     "no algorithm 8");
}

TEST(kinds_have_names)
{
	static const char *const names[] = {"fas", "cas",      "dec",  "ticket", "mcs",
					    "clh", "anderson", "none", "unknown"};

	for (unsigned kind = 0; kind < LENGTH(names); kind++)
		CHECK(!strcmp(spin_kind_name((enum spin_kind)kind), names[kind]));
	start(SPIN_FAS, 1);
	lock_unknown_kind();
	end();
}

static void none_misused(void)
{
	struct spin_node node, second;

	become(1);
	EXPECT_PANIC(spin_unlock(&lock, &node),
		     "lock tested: none: cpu 1 releases it, held by nobody");
	spin_lock(&lock, &node);
	CHECK(spin_locked_relaxed(&lock));
	EXPECT_PANIC(spin_lock(&lock, &second), "cpu 1 acquires it, held by cpu 1");
	become(2);
	EXPECT_PANIC(spin_lock(&lock, &second), "lock tested: none, which excludes nobody: "
						"cpu 2 acquires it, held by cpu 1");
	EXPECT_PANIC(spin_unlock(&lock, &second), "cpu 2 releases it, held by cpu 1");
	become(1);
	spin_unlock(&lock, &node);
	CHECK_EQ(stats_now().acquisitions, 1);
}

/* Every mistake of one cpu after another is found; that takes no luck. */
TEST(none_finds_out_who_is_not_alone)
{
	start(SPIN_NONE, 3);
	none_misused();
	become(0);
	for (unsigned turn = 0; turn < 40; turn++) {
		struct spin_node node;

		CHECK(!spin_locked_relaxed(&lock));
		spin_lock(&lock, &node);
		spin_unlock(&lock, &node);
	}
	CHECK_EQ(stats_now().acquisitions, 41);
	CHECK_EQ(stats_now().contended, 0);
	end();
}

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
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		CHECK_EQ(lock.cpus[cpu].stats.acquisitions, acquisitions / cpus);
	spin_stats_reset(&lock);
	stats = stats_now();
	CHECK_EQ(stats.acquisitions + stats.contended, 0);
	check_times(&stats.wait, 0);
	check_times(&stats.hold, 0);
}

CONCURRENT_TEST(statistics_are_exact_in_every_mode)
{
	static const enum spin_stats_mode modes[] = {SPIN_STATS_OFF, SPIN_STATS_ALL,
						     SPIN_STATS_CONTENDED};

	for (unsigned i = 0; i < LENGTH(modes); i++)
		for (unsigned kind = 0; kind < SPIN_KINDS; kind++)
			for (unsigned cpus = 1; cpus <= 3; cpus++) {
				spin_stats_configure(modes[i]);
				exclude((enum spin_kind)kind, cpus);
				check_stats(modes[i], cpus);
				end();
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

CONCURRENT_TEST(who_waits_is_counted)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
		uint64_t meetings = 0;

		start((enum spin_kind)kind, 2);
		do {
			bool held = false;

			host_run(meet, &held);
			CHECK_EQ(stats_now().acquisitions, 2 * ++meetings);
			CHECK(meetings < 10000);
		} while (stats_now().contended == 0);
		CHECK_EQ(lock.cpus[0].stats.contended, 0);
		CHECK_EQ(lock.cpus[1].stats.contended, 1);
		CHECK_EQ(lock.cpus[1].stats.wait.samples, 1);
		CHECK(lock.cpus[1].stats.wait.ticks_max > 0);
		end();
	}
}

/* ---- counters and barriers ---------------------------------------------------------------- */

#define COUNTS 20000

static struct {
	_Alignas(64) uint64_t value;
} counters[CPUS_MAX];

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

		start(SPIN_FAS, cpu_counts[i]);
		for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++)
			counter_set(&counters[cpu].value, 0);
		host_run(count, &went_back);
		CHECK(!went_back);
		for (unsigned cpu = 0; cpu < cpu_counts[i]; cpu++)
			CHECK_EQ(counter_read(&counters[cpu].value),
				 COUNTS * (UINT64_C(1) << 32 | 1));
		end();
	}
}

#define BARRIER_ROUNDS 50

/* Plain words: the barrier alone makes each cpu see what the others wrote before it. */
static unsigned arrived[CPUS_MAX];
static unsigned late[CPUS_MAX];

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

CONCURRENT_TEST(nobody_passes_a_barrier_before_all_have_come)
{
	for (unsigned i = 0; i < LENGTH(cpu_counts); i++) {
		struct barrier barrier;

		start(SPIN_FAS, cpu_counts[i]);
		barrier_init(&barrier, cpu_counts[i]);
		host_run(go_rounds, &barrier);
		for (unsigned cpu = 0; cpu < cpu_counts[i]; cpu++) {
			CHECK_EQ(arrived[cpu], BARRIER_ROUNDS);
			CHECK_EQ(late[cpu], 0);
		}
		end();
	}
}
