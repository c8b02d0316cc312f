/* SPDX-License-Identifier: BSD-2-Clause */
/* timing.c - see timing.h. */
#include "kernel/diag/timing.h"

#include <port.h>

#include "kernel/diag/clock.h"
#include "kernel/program_memory.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "sync/barrier.h"

struct timed {
	void (*enter)(void);
	void (*work)(uint64_t count);
	uint64_t count;
	struct barrier barrier;
	uint64_t ns[]; /* of each cpu */
};

static void work_timed(void *argument)
{
	struct timed *timed = argument;
	uint64_t start;

	if (timed->enter)
		timed->enter();
	barrier_wait(&timed->barrier);
	start = clock_nanoseconds();
	timed->work(timed->count);
	timed->ns[port_cpu()] = clock_nanoseconds() - start;
	barrier_wait(&timed->barrier);
}

uint64_t time_all(void (*enter)(void), void (*work)(uint64_t count), uint64_t count, unsigned cpus)
{
	size_t mark = program_memory_mark();
	struct timed *timed = program_memory_need(sizeof(*timed) + cpus * sizeof(timed->ns[0]),
						  "times of cpus");
	uint64_t worst = 0;

	timed->enter = enter;
	timed->work = work;
	timed->count = count;
	barrier_init(&timed->barrier, cpus);
	cpus_run(work_timed, timed, cpus);
	for (unsigned i = 0; i < cpus; i++)
		if (timed->ns[i] > worst)
			worst = timed->ns[i];
	program_memory_release(mark);
	return worst;
}

#define SPINS 20000000

static void spin_alone(uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++)
		__asm__ volatile("" ::: "memory");
}

/* From one look at the clock to the next there are some hundred instructions. */
#define WATCH_NS 50000000
#define GAP_NS	 100000

/* Where the clock counts instructions the host cannot be seen. */
static uint64_t one_core_percent(void)
{
	uint64_t start = clock_nanoseconds(), last = start, lost = 0;

	if (settings.counts_exactly)
		return 100;
	while (last - start < WATCH_NS) {
		uint64_t now = clock_nanoseconds();

		if (now - last > GAP_NS)
			lost += now - last;
		last = now;
	}
	return lost < last - start ? (last - start) * 100 / (last - start - lost) : UINT64_MAX;
}

uint64_t cores_percent(unsigned cpus)
{
	uint64_t alone, together;

	if (cpus == 1)
		return one_core_percent();
	alone = time_all(NULL, spin_alone, SPINS, 1);
	together = time_all(NULL, spin_alone, SPINS, cpus);
	return alone ? (together * 100 + alone - 1) / alone : UINT64_MAX;
}

bool cores_for_all(unsigned cpus)
{
	return cpus == 1 || cores_percent(cpus) <= CORES_PERCENT_MOST;
}
