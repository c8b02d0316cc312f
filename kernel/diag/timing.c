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

struct range {
	uint64_t least, most;
};

static struct range time_each(void (*enter)(void), void (*work)(uint64_t count), uint64_t count,
			      unsigned cpus)
{
	size_t mark = program_memory_mark();
	struct timed *timed = program_memory_need(sizeof(*timed) + cpus * sizeof(timed->ns[0]),
						  "times of cpus");
	struct range ns = {UINT64_MAX, 0};

	timed->enter = enter;
	timed->work = work;
	timed->count = count;
	barrier_init(&timed->barrier, cpus);
	clock_share(cpus);
	cpus_run(work_timed, timed, cpus);
	clock_share(1);
	for (unsigned i = 0; i < cpus; i++) {
		if (timed->ns[i] < ns.least)
			ns.least = timed->ns[i];
		if (timed->ns[i] > ns.most)
			ns.most = timed->ns[i];
	}
	program_memory_release(mark);
	return ns;
}

uint64_t time_all(void (*enter)(void), void (*work)(uint64_t count), uint64_t count, unsigned cpus)
{
	return time_each(enter, work, count, cpus).most;
}

/*
 * Turns of the loop, of three instructions each. In virtual time the loop takes hundreds of turns, so a
 * turn more or less is below 1 %.
 */
#define SPINS	      20000000
#define SPINS_A_TURN  200
#define SPINS_VIRTUAL 10000

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

static uint64_t percent_up(uint64_t part, uint64_t whole)
{
	return whole ? (part * 100 + whole - 1) / whole : UINT64_MAX;
}

/* A cpu that is faster than alone had more than its share. */
static uint64_t turns_percent(unsigned cpus)
{
	uint64_t spins = settings.arguments.turn * SPINS_A_TURN;
	uint64_t alone;
	struct range together;

	if (spins < SPINS_VIRTUAL)
		spins = SPINS_VIRTUAL;
	alone = time_each(NULL, spin_alone, spins, 1).most;
	together = time_each(NULL, spin_alone, spins, cpus);
	if (together.least < alone && alone - together.least + alone > together.most)
		together.most = alone - together.least + alone;
	return percent_up(together.most, alone);
}

uint64_t cores_percent(unsigned cpus)
{
	uint64_t alone, together;

	if (cpus == 1)
		return one_core_percent();
	if (settings.virtual_time)
		return turns_percent(cpus);
	alone = time_all(NULL, spin_alone, SPINS, 1);
	together = time_all(NULL, spin_alone, SPINS, cpus);
	return percent_up(together, alone);
}

bool cores_are_enough(uint64_t percent)
{
	return percent <= (settings.virtual_time ? TURNS_PERCENT_MOST : CORES_PERCENT_MOST);
}

bool cores_for_all(unsigned cpus)
{
	return cpus == 1 || cores_are_enough(cores_percent(cpus));
}
