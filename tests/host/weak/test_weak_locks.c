/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_locks.c - every lock, the barrier and the ring on the weak-memory explorer: mutual
 * exclusion, and that a CPU sees all that was written before it. Plain accesses need no check here:
 * any two that a lock or the barrier should have ordered, and did not, are a race.
 *
 * Covers: sync/spinlock.c sync/spin_kinds.c sync/qspinlock.h sync/reciprocating.h sync/hclh.h
 *	sync/cohort.h sync/barrier.c
 */
#include <port.h>

#include <stdlib.h>
#include <string.h>

#include "sync/barrier.h"
#include "sync/spinlock.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/weak.h"

#define CPUS_MAX 4

static enum spin_kind kind;
static unsigned rounds, cpu_count;
static struct spinlock lock;
static void *lock_memory;
static uint64_t sum, inside;

static void setup(void)
{
	memset(lock_memory, 0, spin_bytes(CPUS_MAX));
	spin_init(&lock, "lock", kind, cpu_count, lock_memory);
	sum = inside = 0;
}

static void work(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++) {
		struct spin_node node;

		spin_lock(&lock, &node);
		if (inside++)
			weak_fail("two CPUs are in the critical section");
		sum++;
		inside--;
		spin_unlock(&lock, &node);
	}
}

static void check_sum(void)
{
	if (sum != (uint64_t)rounds * cpu_count)
		weak_fail("%llu critical sections of %u", (unsigned long long)sum,
			  rounds * cpu_count);
}

static void run(bool all, unsigned cpus, unsigned rounds_each, uint64_t executions)
{
	for (kind = 0; kind < SPIN_KINDS; kind++) {
		struct weak_workload workload = {.name = spin_kind_name(kind),
						 .cpus = cpus,
						 .setup = setup,
						 .work = work,
						 .check = check_sum};
		struct weak_result result;

		cpu_count = cpus;
		rounds = rounds_each;
		host_memory_start(1 << 20, CPUS_MAX);
		lock_memory = aligned_alloc(64, spin_bytes(CPUS_MAX));
		result = all ? weak_all(&workload, executions)
			     : weak_some(&workload, unit_seed(), executions);
		free(lock_memory);
		host_memory_end();
		printf("# %-14s %u CPUs, %u rounds: %llu executions, %llu redundant%s\n",
		       workload.name, cpus, rounds, (unsigned long long)result.executions,
		       (unsigned long long)result.redundant,
		       result.complete ? ", which are all" : "");
		if (result.failed)
			unit_fail(__FILE__, __LINE__, "%s: %s", workload.name, result.message);
	}
}

__attribute__((constructor)) static void name_hints(void)
{
	weak_hint("ck_spinlock_clh_locked", "whether a lock is held may be out of date");
	weak_hint("spin_hclh_locked", "the same");
}

TEST(locks_in_all_executions)
{
	run(true, 2, 1, 20000);
}

TEST(locks_in_some_executions)
{
	run(false, 3, 3, 2000);
}
