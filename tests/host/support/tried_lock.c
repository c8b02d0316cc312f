/* SPDX-License-Identifier: BSD-2-Clause */
/* tried_lock.c - see tried_lock.h. */
#include "tried_lock.h"

#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "sync/barrier.h"
#include "unit.h"
#include "watch.h"

struct spinlock lock;
static void *lock_memory, *matrix_memory;

void tried_lock_start(enum spin_kind kind, unsigned cpus)
{
	host_memory_start(1 << 20, cpus);
	lock_memory = aligned_alloc(PORT_CACHE_LINE, spin_bytes(cpus));
	spin_init(&lock, "tested", kind, cpus, lock_memory);
	wait_matrix_configure(true);
	matrix_memory = aligned_alloc(PORT_CACHE_LINE, wait_matrix_bytes(cpus));
	memset(matrix_memory, 0xff, wait_matrix_bytes(cpus)); /* the lock clears it */
	wait_matrix_start(&lock, matrix_memory);
	wait_matrix_configure(false);
}

void tried_lock_end(void)
{
	CHECK(!spin_locked_relaxed(&lock));
	host_memory_end();
	free(lock_memory);
	free(matrix_memory);
}

void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

struct spin_stats stats_now(void)
{
	struct spin_stats stats = {0};

	spin_stats_add(&lock, &stats);
	return stats;
}

/* Guarded by the lock, and plain: two CPUs inside at once lose counts and find each other. */
static volatile unsigned inside, counted;
static unsigned met[TRIED_CPUS_MAX];
static uint64_t moves;

/* Stays inside for a while now and then, so that other CPUs come: a lock that excludes none of them shows. */
static void enter_once(unsigned round)
{
	unsigned count = counted;

	__atomic_fetch_add(&moves, 1, __ATOMIC_RELAXED);
	met[port_cpu()] += inside != 0;
	/* May be called at any time; any answer is right here. */
	wait_matrix_read(&lock, (port_cpu() + 1) % port_cpu_count(), port_cpu());
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

void exclude(enum spin_kind kind, unsigned cpus)
{
	struct barrier barrier;

	barrier_init(&barrier, cpus);
	counted = 0;
	watch_begin(&moves, spin_kind_name(kind));
	host_run(enter, &barrier);
	watch_end();
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		CHECK_EQ(met[cpu], 0);
	CHECK_EQ(counted, ROUNDS * cpus);
}
