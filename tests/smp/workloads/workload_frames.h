/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload_frames.h - how workloads hold frames: each with its owner's stamp (stamp.h) from its
 * allocation to its free, and counted.
 */
#pragma once

#include "tests/smp/stamp.h"
#include "tests/smp/workloads/workload.h"

/* Allocates one stamped frame; PFN_NONE when there is none. */
static inline pfn_t take(struct workload_cpu *cpu, unsigned owner)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	if (!pfn_is_none(frame)) {
		stamp_write(frame, owner);
		cpu->allocs++;
	}
	return frame;
}

static inline void give(struct workload_cpu *cpu, unsigned owner, pfn_t frame)
{
	stamp_check(frame, owner);
	frame_free(frame);
	cpu->frees++;
}

/* Where the operations that begin at `start` pause for a moment. */
static inline uint64_t stride_end(const struct workload_run *run, uint64_t start, uint64_t end)
{
	return end - start < run->stride ? end : start + run->stride;
}

/* Every cpu has an array of so many pfns in the shared memory; `width` is how many it uses. */
struct slots {
	uint64_t width;
	bool over; /* where all stop together: cpu 0 says that time is over */
	pfn_t slot[];
};

/* Makes them, all PFN_NONE, as the run's shared memory; false when there is no memory for it. */
bool slots_setup(struct workload_run *run, uint64_t wanted);

static inline pfn_t *slots_of(struct workload_run *run, unsigned cpu)
{
	struct slots *slots = run->shared;

	return slots->slot + cpu * slots->width;
}

/*
 * Of the calling cpu's slots [from, to) still hold frames, and the others none: its time was over. Who
 * is still at it may wait for a lock as long as the host likes, so the rest is given back by
 * slots_teardown(), on cpu 0, alone, and not counted.
 */
void slots_leave(struct workload_run *run, unsigned cpu, uint64_t from, uint64_t to);
void slots_teardown(struct workload_run *run);
