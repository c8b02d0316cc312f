/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_locks.c - every lock on the weak-memory explorer: mutual exclusion, and that a CPU sees all
 * that was written before it. Plain accesses need no check here: any two that a lock should have ordered,
 * and did not, are a race.
 *
 * Covers: sync/spinlock.c sync/spin_kinds.c sync/qspinlock.h sync/reciprocating.h sync/hclh.h
 *	sync/cohort.h
 */
#include <port.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sync/ck.h"
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
static uint32_t entered;

static void setup(void)
{
	memset(lock_memory, 0, spin_bytes(CPUS_MAX));
	spin_init(&lock, "lock", kind, cpu_count, lock_memory);
	sum = inside = 0;
	entered = 0;
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

/* ---- whether a lock is held ------------------------------------------------------------------ */

/*
 * CPU 0 says in its critical section that it is in it. A CPU that has seen that, and then finds the lock
 * free, sees what the critical section has written.
 */
static void look_work(unsigned cpu)
{
	struct spin_node node;

	if (cpu == 0) {
		spin_lock(&lock, &node);
		ck_pr_fence_memory(); /* the word of the lock comes before the flag */
		ck_pr_store_32(&entered, 1);
		sum = 1;
		spin_unlock(&lock, &node);
		return;
	}
	while (ck_pr_load_32(&entered) == 0)
		port_relax();
	ck_pr_fence_memory();
	while (spin_locked_relaxed(&lock))
		port_relax();
	if (sum != 1)
		weak_fail("the lock is free, and its critical section is not over");
}

/* ---- tests ----------------------------------------------------------------------------------- */

__attribute__((constructor)) static void name_hints(void)
{
	weak_hint("ck_spinlock_clh_locked", "whether a lock is held may be out of date");
	weak_hint("spin_hclh_locked", "the same");
}

static void run(const char *name, void (*what)(unsigned cpu), void (*check)(void), unsigned cpus,
		uint64_t all, uint64_t some)
{
	for (kind = 0; kind < SPIN_KINDS; kind++) {
		char full[60];
		struct weak_workload workload = {.name = full,
						 .cpus = cpus,
						 .setup = setup,
						 .work = what,
						 .check = check,
						 .all = all,
						 .some = some};

		snprintf(full, sizeof(full), "%s-%s", name, spin_kind_name(kind));
		cpu_count = cpus;
		host_memory_start(1 << 20, CPUS_MAX);
		lock_memory = aligned_alloc(64, spin_bytes(CPUS_MAX));
		weak_explore(&workload);
		free(lock_memory);
		host_memory_end();
	}
}

TEST(locks_in_all_executions)
{
	rounds = 1;
	run("lock-2", work, check_sum, 2, 20000, 0);
}

TEST(locks_in_some_executions)
{
	rounds = 3;
	run("lock-3", work, check_sum, 3, 0, 2000);
}

TEST(a_lock_that_is_free_has_been_released)
{
	run("lock-look", look_work, NULL, 2, 0, 500);
}
