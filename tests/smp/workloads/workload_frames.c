/* SPDX-License-Identifier: BSD-2-Clause */
/* workload_frames.c - see workload_frames.h. */
#include "tests/smp/workloads/workload_frames.h"

bool slots_setup(struct workload_run *run, uint64_t wanted)
{
	uint64_t width = workload_frames_each(run, wanted);
	struct slots *slots;

	if (width == 0 || !workload_share(run, sizeof(*slots) + width * run->cpus * sizeof(pfn_t)))
		return false;
	slots = run->shared;
	slots->width = workload_frames_each(run, width);
	for (uint64_t i = 0; i < slots->width * run->cpus; i++)
		slots->slot[i] = PFN_NONE;
	return slots->width > 0;
}

void slots_leave(struct workload_run *run, unsigned cpu, uint64_t from, uint64_t to)
{
	uint64_t width = ((struct slots *)run->shared)->width;
	pfn_t *slot = slots_of(run, cpu);

	for (uint64_t i = 0; i < width; i++)
		if (i < from || i >= to)
			slot[i] = PFN_NONE;
}

void slots_teardown(struct workload_run *run)
{
	uint64_t width = ((struct slots *)run->shared)->width;

	for (unsigned cpu = 0; cpu < run->cpus; cpu++) {
		const pfn_t *slot = slots_of(run, cpu);

		if (run->cpu[cpu].allocs == run->cpu[cpu].frees)
			continue; /* its slots are as its last frame left them */
		for (uint64_t i = 0; i < width; i++) {
			if (pfn_is_none(slot[i]))
				continue;
			stamp_check(slot[i], cpu);
			frame_free(slot[i]);
		}
	}
}
