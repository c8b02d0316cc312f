/* SPDX-License-Identifier: BSD-2-Clause */
/* workload.c - runs a workload; see workload.h. */
#include "tests/smp/workloads/workload.h"

#include <string.h>

#include "mm/check.h"
#include "mm/frame.h"
#include "mm/global/policy.h"
#include "sync/ck.h"
#include "tests/smp/smp.h"

bool workload_has_worked(const struct workload_run *run, unsigned cpu, uint64_t ns)
{
	if (smp_nanoseconds() - run->cpu[cpu].start_ns < ns)
		return false;
	ck_pr_store_32(&run->cpu[cpu].cut, 1);
	return true;
}

bool workload_was_cut(const struct workload_run *run)
{
	for (unsigned cpu = 0; cpu < run->cpus; cpu++)
		if (ck_pr_load_32(&run->cpu[cpu].cut))
			return true;
	return false;
}

bool workload_share(struct workload_run *run, uint64_t bytes)
{
	uint64_t frames = (bytes + FRAME_SIZE - 1) >> FRAME_SHIFT;
	pfn_t first;

	run->shared_frames = 0;
	run->shared = smp_memory(bytes);
	if (run->shared)
		return true;
	first = frame_alloc_run(frames, 0);
	if (pfn_is_none(first))
		return false;
	run->shared = frame_bytes(first);
	run->shared_frames = frames;
	memset(run->shared, 0, frames << FRAME_SHIFT);
	return true;
}

void workload_unshare(struct workload_run *run)
{
	if (!run->shared)
		return;
	if (run->shared_frames)
		frame_free_run(pfn_floor(phys(port_phys_address(run->shared))), run->shared_frames);
	else
		smp_memory_end(run->shared);
	run->shared = NULL;
}

uint64_t workload_frames_each(const struct workload_run *run, uint64_t wanted)
{
	uint64_t fair = frame_free_count() * 3 / 4 / run->cpus;

	return fair < wanted ? fair : wanted;
}

bool workload_is_supported(const struct workload *workload, const struct policy *policy)
{
	return (policy->has_runs || !workload->needs_runs) &&
	       (policy->aligns_runs || !workload->needs_aligned_runs);
}

static void work_one_cpu(void *argument)
{
	struct workload_run *run = argument;
	unsigned number = port_cpu();
	struct workload_cpu *cpu = &run->cpu[number];

	cpu->random = (run->seed + number + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
	if (run->enter)
		run->enter();
	barrier_wait(&run->barrier);
	if (run->begin)
		run->begin();
	cpu->start_ns = smp_nanoseconds();
	run->workload->work(run, number);
	cpu->end_ns = smp_nanoseconds();
	if (run->end)
		run->end();
	barrier_wait(&run->barrier);
	if (run->leave)
		run->leave();
}

bool workload_execute(struct workload_run *run)
{
	barrier_init(&run->barrier, run->cpus);
	run->shared = NULL;
	run->lock = NULL;
	if (!run->stride)
		run->stride = WORKLOAD_STRIDE;
	run->sample_due = run->sampler ? 0 : UINT64_MAX;
	memset(run->cpu, 0, run->cpus * sizeof(*run->cpu));
	if (run->workload->setup && !run->workload->setup(run))
		return false;
	smp_run(work_one_cpu, run, run->cpus);
	if (run->worked)
		run->worked(run);
	if (run->workload->teardown)
		run->workload->teardown(run);
	run->lock = NULL;
	workload_unshare(run);
	return true;
}
