/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_run.c - contiguous frames. */
#include "tests/smp/workloads/workloads.h"

#include "mm/check.h"
#include "tests/smp/random.h"
#include "tests/smp/workloads/workload_frames.h"

/* ---- run: contiguous frames of mixed size and alignment, among single ones ----------------- */

#define RUN_SLOTS     64
#define RUN_COUNT_MAX 64

struct held_run {
	pfn_t first;
	uint64_t count; /* 0: nothing held; 1 of frame_alloc; else a run */
};

bool run_setup(struct workload_run *run)
{
	return workload_share(run, run->cpus * RUN_SLOTS * sizeof(struct held_run));
}

static void take_run(struct workload_run *run, unsigned number, struct held_run *held)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t count = 2 + random_below(&cpu->random, RUN_COUNT_MAX - 1);
	uint64_t align = UINT64_C(1) << random_below(&cpu->random, 7);
	pfn_t first = frame_alloc_run(count, align);

	if (pfn_is_none(first))
		return;
	check(first.value % align == 0, "run: frame %#llx is not aligned to %llu frames",
	      (unsigned long long)first.value, (unsigned long long)align);
	for (uint64_t i = 0; i < count; i++)
		stamp_write(pfn_add(first, i), number);
	*held = (struct held_run){first, count};
	cpu->allocs += count;
}

static void take_single(struct workload_run *run, unsigned number, struct held_run *held)
{
	pfn_t frame = take(&run->cpu[number], number);

	if (!pfn_is_none(frame))
		*held = (struct held_run){frame, 1};
}

static void give_held(struct workload_cpu *cpu, unsigned number, struct held_run *held)
{
	if (held->count == 1) {
		give(cpu, number, held->first);
	} else {
		for (uint64_t i = 0; i < held->count; i++)
			stamp_check(pfn_add(held->first, i), number);
		frame_free_run(held->first, held->count);
		cpu->frees += held->count;
	}
	held->count = 0;
}

void run_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct held_run *slot = (struct held_run *)run->shared + number * RUN_SLOTS;

	for (uint64_t i = 0; i < run->ops && !workload_is_over(run, number);) {
		uint64_t end = stride_end(run, i, run->ops);

		for (; i < end; i++) {
			struct held_run *held = &slot[random_below(&cpu->random, RUN_SLOTS)];

			if (held->count)
				give_held(cpu, number, held);
			else if (random_below(&cpu->random, 4) == 0)
				take_run(run, number, held);
			else
				take_single(run, number, held);
		}
	}
	for (unsigned i = 0; i < RUN_SLOTS && !workload_is_over(run, number); i++)
		if (slot[i].count)
			give_held(cpu, number, &slot[i]);
}

void run_teardown(struct workload_run *run)
{
	struct held_run *slot = run->shared;
	struct workload_cpu nobody = {0};

	for (unsigned i = 0; i < run->cpus * RUN_SLOTS; i++)
		if (slot[i].count)
			give_held(&nobody, i / RUN_SLOTS, &slot[i]);
}
