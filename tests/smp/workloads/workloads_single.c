/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_single.c - single frames that stay with the cpu that took them. */
#include "tests/smp/workloads/workloads.h"

#include "tests/smp/random.h"
#include "tests/smp/workloads/workload_frames.h"

/* ---- repeat: one frame, again and again --------------------------------------------------- */

void repeat_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t done = 0; /* in a register: counters in memory would be a third of the loop */

	for (uint64_t i = 0; i < run->ops && !workload_is_over(run, number);) {
		uint64_t end = stride_end(run, i, run->ops);

		for (; i < end; i++) {
			pfn_t frame = frame_alloc(FRAME_ANY);

			if (pfn_is_none(frame))
				continue;
			stamp_write(frame, number);
			stamp_check(frame, number);
			frame_free(frame);
			done++;
		}
		if (number == 0)
			workload_sample(run, i, "repeat", false);
	}
	cpu->allocs = done;
	cpu->frees = done;
}

/* ---- bulk: many frames, then all of them freed -------------------------------------------- */

#define BULK_FRAMES 4096

bool bulk_setup(struct workload_run *run)
{
	return slots_setup(run, BULK_FRAMES);
}

/* Fills slots while there is time; returns their number. `done`: operations so far, for samples. */
static uint64_t bulk_take(struct workload_run *run, unsigned number, pfn_t *slot, uint64_t width,
			  uint64_t done)
{
	uint64_t taken = 0;

	while (taken < width && !workload_is_over(run, number)) {
		uint64_t end = stride_end(run, taken, width);

		for (; taken < end; taken++)
			slot[taken] = take(&run->cpu[number], number);
		if (number == 0)
			workload_sample(run, done + taken / 2, "take", false);
	}
	return taken;
}

/* Frees slots [0, taken); keeps those that there is no time for. */
static void bulk_give(struct workload_run *run, unsigned number, const pfn_t *slot, uint64_t taken,
		      uint64_t done)
{
	uint64_t given = 0;

	while (given < taken && !workload_is_over(run, number)) {
		uint64_t end = stride_end(run, given, taken);

		for (; given < end; given++)
			if (!pfn_is_none(slot[given]))
				give(&run->cpu[number], number, slot[given]);
		if (number == 0)
			workload_sample(run, done + (taken + given) / 2, "give", false);
	}
	if (given < taken)
		slots_leave(run, number, given, taken);
}

void bulk_work(struct workload_run *run, unsigned number)
{
	uint64_t width = ((struct slots *)run->shared)->width;
	pfn_t *slot = slots_of(run, number);

	if (run->ops < width)
		width = run->ops;
	for (uint64_t done = 0; done < run->ops && !workload_is_over(run, number); done += width)
		bulk_give(run, number, slot, bulk_take(run, number, slot, width, done), done);
}

/* ---- rand: a large working set in random order --------------------------------------------- */

#define RAND_FRAMES 8192

bool rand_setup(struct workload_run *run)
{
	return slots_setup(run, RAND_FRAMES);
}

static void take_or_give(struct workload_cpu *cpu, unsigned owner, pfn_t *slot)
{
	if (pfn_is_none(*slot)) {
		*slot = take(cpu, owner);
	} else {
		give(cpu, owner, *slot);
		*slot = PFN_NONE;
	}
}

/*
 * Reads the clock once for a number of frames, not of slots, or a short run would do nothing else.
 */
static void give_all(struct workload_run *run, unsigned number, const pfn_t *slot, uint64_t width)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t pause = cpu->frees, i;

	for (i = 0; i < width; i++) {
		if (pfn_is_none(slot[i]))
			continue;
		if (cpu->frees == pause) {
			if (workload_is_over(run, number))
				break;
			pause += run->stride;
		}
		give(cpu, number, slot[i]);
	}
	if (i < width)
		slots_leave(run, number, i, width);
}

void rand_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t width = ((struct slots *)run->shared)->width;
	pfn_t *slot = slots_of(run, number);

	for (uint64_t i = 0; i < run->ops && !workload_is_over(run, number);) {
		uint64_t end = stride_end(run, i, run->ops);

		for (; i < end; i++)
			take_or_give(cpu, number, &slot[random_below(&cpu->random, width)]);
		if (number == 0)
			workload_sample(run, i, "mixed", false);
	}
	give_all(run, number, slot, width);
}

/* ---- churn: the same, while harts stop and start ------------------------------------------- */

#define CHURN_FRAMES 2048

bool churn_setup(struct workload_run *run)
{
	smp_churn_begin(run->cpus);
	return slots_setup(run, CHURN_FRAMES);
}

void churn_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	uint64_t width = ((struct slots *)run->shared)->width;
	pfn_t *slot = slots_of(run, number);
	struct smp_churner churner = {0};

	for (uint64_t i = 0; i < run->ops && !workload_is_over(run, number);) {
		uint64_t end = stride_end(run, i, run->ops);

		for (; i < end; i++) {
			take_or_give(cpu, number, &slot[random_below(&cpu->random, width)]);
			smp_churn_step(&churner, &cpu->random);
		}
	}
	give_all(run, number, slot, width);
	churner.is_over = cpu->cut;
	while (!smp_churn_leave(&churner, &cpu->random))
		churner.is_over = workload_is_over(run, number);
}

void churn_teardown(struct workload_run *run)
{
	slots_teardown(run);
	smp_churn_end();
}
