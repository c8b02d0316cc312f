/* workloads_all.c - all of memory. */
#include "tests/smp/workloads.h"

#include "mm/percpu/drain.h"
#include "tests/smp/workload_frames.h"

/* ---- exhaust: all of memory, by everybody, until nobody gets any more ----------------------- */

struct exhaust {
	uint64_t rounds;
	uint64_t free_frames; /* before each round */
	uint64_t taken[];     /* in this round, by each cpu */
};

/* As many rounds as it takes for the operations asked for; at least one. */
bool exhaust_setup(struct workload_run *run)
{
	struct exhaust *exhaust;

	if (!workload_share(run, sizeof(*exhaust) + run->cpus * sizeof(uint64_t)))
		return false;
	exhaust = run->shared;
	frame_drain_settle();
	exhaust->free_frames = frame_free_count();
	exhaust->rounds = 1 + run->ops * run->cpus / (exhaust->free_frames + 1);
	return true;
}

/* Where every cpu was told that no frame is left, all frames are out. */
static void check_taken(const struct workload_run *run, uint64_t rounds_left)
{
	const struct exhaust *exhaust = run->shared;
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < run->cpus; cpu++)
		sum += exhaust->taken[cpu];
	check(sum == exhaust->free_frames,
	      "exhaust: %u cpus got %llu frames until each was told that there are no more, expected "
	      "all %llu that were free; %llu rounds to go",
	      run->cpus, (unsigned long long)sum, (unsigned long long)exhaust->free_frames,
	      (unsigned long long)rounds_left);
}

/* Frames taken are chained through their own second word; the stamp has the first and last. */
void exhaust_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct exhaust *exhaust = run->shared;
	uint64_t rounds = exhaust->rounds;

	while (rounds--) {
		uint64_t allocs_before = cpu->allocs;
		pfn_t newest = PFN_NONE, frame;

		while (!pfn_is_none(frame = take(cpu, number))) {
			((pfn_t *)frame_bytes(frame))[1] = newest;
			newest = frame;
		}
		exhaust->taken[number] = cpu->allocs - allocs_before;
		barrier_wait(&run->barrier);
		if (number == 0)
			check_taken(run, rounds);
		while (!pfn_is_none(frame = newest)) {
			newest = ((pfn_t *)frame_bytes(frame))[1];
			give(cpu, number, frame);
		}
		barrier_wait(&run->barrier);
	}
}
