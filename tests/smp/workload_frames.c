/* workload_frames.c - see workload_frames.h. */
#include "tests/smp/workload_frames.h"

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
