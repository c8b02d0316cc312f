/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload.h - the contract of a workload: one way in which many cpus use the allocator.
 *
 * A run goes: setup on cpu 0; then work on every cpu, all released by one barrier; then teardown
 * on cpu 0. After teardown the workload holds no frame and no block: the caller checks that. All
 * that a run needs to remember between the steps hangs on `shared`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/barrier.h"
#include "tests/smp/smp.h"

struct workload_cpu {
	/* The cpu's own. */
	_Alignas(64) uint64_t random;
	uint64_t allocs, frees; /* frames, or blocks where the workload is about blocks */
	uint64_t start_ns, end_ns;
	uint32_t cut; /* its time was over before its ops were done; others may look: workload_was_cut() */
};

struct workload_run {
	const struct workload *workload;
	unsigned cpus;
	uint64_t ops; /* wanted of each cpu */
	uint64_t seed;
	uint64_t limit_ns; /* after this much of its time a cpu begins nothing more; 0: no limit */
	uint64_t stride; /* operations from one look at the clock to the next; 0: WORKLOAD_STRIDE */
	void (*enter)(void); /* on each cpu before its work, or NULL */
	void (*leave)(void); /* on each cpu after all have worked, or NULL */
	/* On cpu 0, when all have worked and before the teardown, or NULL: whose work is not counted. */
	void (*worked)(struct workload_run *run);
	struct barrier barrier;
	struct workload_cpu *cpu;
	void *shared;
	uint64_t shared_frames; /* workload_share()'s; 0: it is no run of frames */
	/* Whoever runs it may want samples: see workload_sample(). Without a sampler: never due. */
	void (*sampler)(struct workload_run *run, uint64_t done, const char *phase, bool at_rest);
	uint64_t sample_due; /* in operations done by cpu 0; cpu 0's */
};

struct workload {
	const char *name;
	const char *what; /* one line, for people */
	uint64_t ops;	  /* each cpu's, where the user does not say */
	bool exact;	  /* counts all frames there are, so nobody else may take any meanwhile */
	/* frame_alloc_run() of more than one frame, and to a multiple of more than one. */
	bool needs_runs, needs_aligned_runs;
	bool needs_paging; /* the kernel on page tables of its own */
	bool uses_heap;	   /* whose lock each operation takes, whatever the caches are */
	bool prints;	   /* lines of its own, in its teardown */
	bool (*setup)(struct workload_run *run); /* false: not enough memory */
	void (*work)(struct workload_run *run, unsigned cpu);
	void (*teardown)(struct workload_run *run);
	/*
	 * Whether somebody holds a lock of the workload's own, or NULL: it has none. Between setup and
	 * teardown, at any instant of its work, a trap handler's too; stale by the time it is read.
	 */
	bool (*locked_relaxed)(const struct workload_run *run);
};

extern const struct workload workloads[];
extern const char *const workload_names[]; /* in the same order */
extern const unsigned workload_count;

/*
 * A point at which the state of memory may be looked at: called on cpu 0 only, with no lock held,
 * as often as is cheap, `done` rising from 0 to run->ops: operations that cpu 0 has behind it. `phase`
 * says what is going on ("take", "hold", "give"). at_rest: no other cpu is in the allocator until this
 * returns, for it waits at a barrier, so that what is seen is exact. A load and a compare when
 * no sample is due.
 */
static inline void workload_sample(struct workload_run *run, uint64_t done, const char *phase,
				   bool at_rest)
{
	if (__builtin_expect(done >= run->sample_due, 0))
		run->sampler(run, done, phase, at_rest);
}

/*
 * How often, in operations, a workload asks whether it should stop: where nobody says otherwise, as
 * seldom as is no part of what an operation takes.
 */
#define WORKLOAD_STRIDE 16

/* Whether this cpu has worked for so long; then it notes that it was cut short. */
bool workload_has_worked(const struct workload_run *run, unsigned cpu, uint64_t ns);

/*
 * Whether the calling cpu's time is over before its ops are done. Every workload asks, while it has
 * something left to do and at least once in run->stride operations, and stops where it is: nobody may
 * wait for what a cpu does that has stopped. What it still holds its teardown gives back, on cpu 0,
 * alone, and uncounted; what was counted was done. Without a limit a load and a branch.
 */
static inline bool workload_is_over(const struct workload_run *run, unsigned cpu)
{
	return __builtin_expect(run->limit_ns != 0, 0) &&
	       workload_has_worked(run, cpu, run->limit_ns);
}

/*
 * The same for who gives back what others have taken: when those have stopped there is a quarter of the
 * limit left for what is still on its way.
 */
static inline bool workload_is_late(const struct workload_run *run, unsigned cpu)
{
	return __builtin_expect(run->limit_ns != 0, 0) &&
	       workload_has_worked(run, cpu, run->limit_ns + run->limit_ns / 4);
}

/* Whether any cpu was cut short until now: some may be while this looks. */
bool workload_was_cut(const struct workload_run *run);

/*
 * Memory for `bytes` at run->shared, zeroed: the harness's own, else a run of frames where the
 * policies give any; false when there is none.
 */
bool workload_share(struct workload_run *run, uint64_t bytes);
void workload_unshare(struct workload_run *run);

/* False when it needs of a policy what this one has not. */
struct policy;
bool workload_is_supported(const struct workload *workload, const struct policy *policy);

/* One whole run: setup, work on `cpus` cpus, teardown. False when setup found no memory. */
bool workload_execute(struct workload_run *run);

/* Frames one cpu may hold at a time so that all cpus together leave a quarter free; <= wanted. */
uint64_t workload_frames_each(const struct workload_run *run, uint64_t wanted);
