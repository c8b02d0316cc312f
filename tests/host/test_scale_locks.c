/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_scale_locks.c - locks of 70 and 130 CPUs: the memory of each kind, the wait matrix and the records
 * of waits beyond the 64th CPU, and a deadlock of 130 CPUs.
 *
 * Covers: sync/spinlock.c sync/spin_kinds.c sync/wait_matrix.c sync/lock_owners.c sync/barrier.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "sync/barrier.h"
#include "sync/lock_owners.h"
#include "sync/spinlock.h"
#include "unit.h"
#include "watch.h"

#define CPUS_MAX 130
#define ROUNDS	 3

/* As memory of an early allocator: with bytes of before, and not one more than it was asked for. */
static void *dirty_memory(size_t bytes)
{
	void *memory = aligned_alloc(PORT_CACHE_LINE, bytes);

	memset(memory, 0xa5, bytes);
	return memory;
}

static void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

/* ---- at once --------------------------------------------------------------------------------- */

static struct spinlock lock;
static volatile unsigned inside, counted;
static unsigned met;
static uint64_t moves;

static void enter(void *argument)
{
	struct barrier *barrier = argument;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct spin_node node;

		barrier_wait(barrier);
		spin_lock(&lock, &node);
		met += inside != 0;
		inside = port_cpu() + 1;
		if (port_cpu() % 8 == 0)
			port_relax();
		met += inside != port_cpu() + 1;
		inside = 0;
		counted = counted + 1;
		__atomic_fetch_add(&moves, 1, __ATOMIC_RELAXED);
		spin_unlock(&lock, &node);
	}
}

static void all_enter(enum spin_kind kind, unsigned cpus)
{
	void *memory = dirty_memory(spin_bytes(cpus));
	struct spin_stats stats = {0};
	struct barrier barrier;

	host_memory_start(1 << 20, cpus);
	spin_init(&lock, "tried", kind, cpus, memory);
	barrier_init(&barrier, cpus);
	counted = met = 0;
	watch_begin(&moves, spin_kind_name(kind));
	host_run(enter, &barrier);
	watch_end();
	CHECK_EQ(met, 0);
	CHECK_EQ(counted, ROUNDS * cpus);
	CHECK(!spin_locked_relaxed(&lock));
	spin_stats_add(&lock, &stats);
	CHECK_EQ(stats.acquisitions, ROUNDS * cpus);
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		CHECK_EQ(spin_stats_of(&lock, cpu)->acquisitions, ROUNDS);
	host_memory_end();
	free(memory);
}

TEST(each_kind_excludes_seventy_cpus)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++)
		all_enter((enum spin_kind)kind, 70);
}

TEST(a_kind_of_each_sort_excludes_a_hundred_and_thirty_cpus)
{
	static const enum spin_kind kinds[] = {SPIN_CAS, SPIN_ANDERSON, SPIN_COHORT, SPIN_QSPINLOCK,
					       SPIN_HCLH};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		all_enter(kinds[i], CPUS_MAX);
}

/* ---- one waits for one ------------------------------------------------------------------------ */

static struct spin_node held;
static unsigned holder, waiter;

/* In the waiter's wait. */
static void check_and_release(void)
{
	struct lock_owner owner;
	struct lock_wait wait;

	host_on_relax = NULL;
	CHECK(lock_owner_of(&lock, &owner));
	CHECK_EQ(owner.cpu, holder);
	CHECK(lock_wait_of(waiter, &wait));
	CHECK(wait.lock == &lock);
	CHECK(!lock_wait_of(holder, &wait));
	become(holder);
	spin_unlock(&lock, &held);
	become(waiter);
}

static void wait_once(unsigned by, unsigned of)
{
	struct spin_node node;

	holder = of;
	waiter = by;
	become(holder);
	spin_lock(&lock, &held);
	become(waiter);
	host_on_relax = check_and_release;
	spin_lock(&lock, &node);
	CHECK(node.contended && !host_on_relax);
	spin_unlock(&lock, &node);
	become(0);
}

TEST(a_wait_is_counted_for_its_pair_of_cpus)
{
	static const unsigned some[] = {0, 1, 63, 64, 65, 127, 128, 129};
	const unsigned count = sizeof(some) / sizeof(some[0]);
	void *memory = dirty_memory(spin_bytes(CPUS_MAX)), *matrix, *records;

	host_memory_start(1 << 20, CPUS_MAX);
	wait_matrix_configure(true);
	matrix = dirty_memory(wait_matrix_bytes(CPUS_MAX));
	records = dirty_memory(lock_owners_bytes(CPUS_MAX));
	spin_init(&lock, "tried", SPIN_MCS, CPUS_MAX, memory);
	wait_matrix_start(&lock, matrix);
	lock_owners_start(records, CPUS_MAX);
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < count; j++)
			for (unsigned times = 0; i != j && times <= (i + j) % 3; times++)
				wait_once(some[i], some[j]);
	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < count; j++)
			CHECK_EQ(wait_matrix_read(&lock, some[i], some[j]).count,
				 i == j ? 0 : 1 + (i + j) % 3);
	wait_matrix_configure(false);
	lock_owners_start(NULL, 0);
	host_memory_end();
	free(records);
	free(matrix);
	free(memory);
}

/* ---- all wait for each other ------------------------------------------------------------------ */

static struct spinlock ring[CPUS_MAX];
static struct spin_node ring_held[CPUS_MAX];

/* All CPUs wait: the last one that looks finds the deadlock, and no one before it. */
static void look_for_deadlock(void)
{
	for (unsigned i = 0; i < CPUS_MAX; i++) {
		become((i * 77 + 3) % CPUS_MAX);
		CHECK_EQ(lock_wait_is_deadlock(0), i == CPUS_MAX - 1);
	}
}

static void in_wait(void);

/* The CPU waits for the lock that the next one holds, and all CPUs behind it wait inside of its wait. */
static void wait_for_next(unsigned cpu)
{
	struct spin_node node;

	become(cpu);
	waiter = cpu;
	host_on_relax = in_wait;
	spin_lock(&ring[(cpu + 1) % CPUS_MAX], &node);
	spin_unlock(&ring[(cpu + 1) % CPUS_MAX], &node);
}

static void in_wait(void)
{
	unsigned cpu = waiter, next = (cpu + 1) % CPUS_MAX;

	host_on_relax = NULL;
	if (next == 0)
		look_for_deadlock();
	else
		wait_for_next(next);
	become(next);
	spin_unlock(&ring[next], &ring_held[next]);
	become(cpu);
}

TEST(a_deadlock_of_a_hundred_and_thirty_cpus_is_found)
{
	size_t bytes = spin_bytes(CPUS_MAX);
	char *memory = dirty_memory(CPUS_MAX * bytes), *records;

	host_memory_start(1 << 20, CPUS_MAX);
	records = dirty_memory(lock_owners_bytes(CPUS_MAX));
	lock_owners_start(records, CPUS_MAX);
	for (unsigned i = 0; i < CPUS_MAX; i++) {
		spin_init(&ring[i], "ring", SPIN_CAS, CPUS_MAX, memory + i * bytes);
		become(i);
		spin_lock(&ring[i], &ring_held[i]);
	}
	wait_for_next(0);
	for (unsigned i = 0; i < CPUS_MAX; i++)
		CHECK(!spin_locked_relaxed(&ring[i]));
	become(0);
	lock_owners_start(NULL, 0);
	host_memory_end();
	free(records);
	free(memory);
}
