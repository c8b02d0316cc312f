/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload_frames.h - frames of a workload: stamped by their owner (stamp.h) and counted.
 */
#pragma once

#include "tests/smp/stamp.h"
#include "tests/smp/workloads/workload.h"

/* Allocates one frame and stamps it; PFN_NONE: there is no frame. */
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

/* Each cpu has an array of pfns in the shared memory, and uses the first `width` of them. */
struct slots {
	uint64_t width;
	bool over; /* written by cpu 0, where all cpus stop together: the time is over */
	pfn_t slot[];
};

/* Makes the run's shared memory of slots that are all PFN_NONE; false: there is no memory. */
bool slots_setup(struct workload_run *run, uint64_t wanted);

static inline pfn_t *slots_of(struct workload_run *run, unsigned cpu)
{
	struct slots *slots = run->shared;

	return slots->slot + cpu * slots->width;
}

/*
 * The calling cpu's time was over: its slots [from, to) still hold frames, the others none. Cpus
 * that still work may wait for locks for a long time, so slots_teardown() frees the rest, on cpu 0
 * alone, without counting.
 */
void slots_leave(struct workload_run *run, unsigned cpu, uint64_t from, uint64_t to);
void slots_teardown(struct workload_run *run);
