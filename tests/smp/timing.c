/* timing.c - see timing.h. */
#include "tests/smp/timing.h"

#include <port.h>
#include "sync/barrier.h"
#include "tests/smp/harness.h"
#include "tests/smp/smp.h"

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
	start = smp_nanoseconds();
	timed->work(timed->count);
	timed->ns[port_cpu()] = smp_nanoseconds() - start;
	barrier_wait(&timed->barrier);
}

uint64_t time_all(void (*enter)(void), void (*work)(uint64_t count), uint64_t count, unsigned cpus)
{
	size_t mark = harness_mark();
	struct timed *timed =
		harness_need(sizeof(*timed) + cpus * sizeof(timed->ns[0]), "times of cpus");
	uint64_t worst = 0;

	timed->enter = enter;
	timed->work = work;
	timed->count = count;
	barrier_init(&timed->barrier, cpus);
	smp_run(work_timed, timed, cpus);
	for (unsigned i = 0; i < cpus; i++)
		if (timed->ns[i] > worst)
			worst = timed->ns[i];
	harness_release(mark);
	return worst;
}

#define SPINS 20000000

static void spin_alone(uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++)
		__asm__ volatile("" ::: "memory");
}

bool cores_for_all(unsigned cpus)
{
	uint64_t alone, together;

	if (cpus == 1)
		return true;
	alone = time_all(NULL, spin_alone, SPINS, 1);
	together = time_all(NULL, spin_alone, SPINS, cpus);
	return together * 100 <= alone * 115;
}
