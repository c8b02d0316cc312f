/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload.h - the contract of a workload: one way in which many cpus use the allocator.
 *
 * A run has three steps: setup on cpu 0; work on every cpu, all released by one barrier; teardown
 * on cpu 0. After teardown the workload holds no frame and no block, which the caller checks. All
 * data that a workload keeps between the steps are in `shared`.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/barrier.h"
#include "sync/ck.h"
#include "sync/spinlock.h"
#include "tests/smp/smp.h"

struct workload_cpu {
	/* Written by this cpu only. */
	_Alignas(64) uint64_t random;
	uint64_t allocs, frees; /* frames, or blocks where the workload is about blocks */
	uint64_t start_ns, end_ns;
	uint32_t cut; /* its time was over before its ops were done; workload_was_cut() reads it */
};

struct workload_run {
	const struct workload *workload;
	unsigned cpus;
	uint64_t ops; /* requested from each cpu */
	uint64_t seed;
	/* After this much of its time a cpu begins nothing more; 0: no limit. May change while it runs. */
	uint64_t limit_ns;
	uint64_t stride; /* operations from one look at the clock to the next; 0: WORKLOAD_STRIDE */
	void (*enter)(void); /* on each cpu before its work, or NULL */
	void (*leave)(void); /* on each cpu after all have worked, or NULL */
	void (*begin)(void); /* on each cpu right before its work is timed, or NULL */
	void (*end)(void);   /* and right after, before it waits for the others */
	/*
	 * On cpu 0, after all have worked and before the teardown, whose work is not counted; or
	 * NULL.
	 */
	void (*worked)(struct workload_run *run);
	struct barrier barrier;
	struct workload_cpu *cpu;
	void *shared;
	/* Set by the setup of a workload that has a lock; NULL otherwise, and after the run. */
	struct spinlock *lock;
	uint64_t shared_frames; /* workload_share()'s; 0: it is no run of frames */
	/* For a caller that takes samples, see workload_sample(); NULL: no sample is ever due. */
	void (*sampler)(struct workload_run *run, uint64_t done, const char *phase, bool at_rest);
	uint64_t sample_due; /* in operations done by cpu 0; cpu 0's */
};

struct workload {
	const char *name;
	const char *what; /* one line of help */
	uint64_t ops;	  /* each cpu's, where the user does not say */
	bool exact;	  /* counts all frames, so no other code may allocate during its work */
	/* frame_alloc_run() of more than one frame, and to a multiple of more than one. */
	bool needs_runs, needs_aligned_runs;
	bool needs_paging; /* the kernel must run on its own page tables */
	bool uses_heap;	   /* whose lock each operation takes, whatever the caches are */
	bool prints;	   /* its teardown prints lines */
	/*
	 * It takes no frames. An operation is one acquisition of run->lock, counted in `allocs`. It
	 * runs for a time: until limit_ns, or until the first cpu has done its ops (0: no bound).
	 */
	bool is_lock_alone;
	bool (*setup)(struct workload_run *run); /* false: not enough memory */
	void (*work)(struct workload_run *run, unsigned cpu);
	void (*teardown)(struct workload_run *run);
	/*
	 * Whether a lock that belongs to the workload is held; NULL: it has no lock. May be called
	 * between setup and teardown at any time, in a trap handler, too. The answer may be stale.
	 */
	bool (*locked_relaxed)(const struct workload_run *run);
};

extern const struct workload workloads[];
extern const char *const workload_names[]; /* in the same order */
extern const unsigned workload_count;

/* The last ones, which workload=all leaves out. */
#define WORKLOADS_BESIDES 1

/*
 * A point at which the caller may take a sample of the state of memory. Called on cpu 0 only, with
 * no lock held, as often as is cheap. `done` is the number of operations that cpu 0 has done; it
 * rises from 0 to run->ops. `phase` names the current phase ("take", "hold", "give"). at_rest: all
 * other cpus wait at a barrier until this returns, so the sample is exact. Costs a load and a
 * compare when no sample is due.
 */
static inline void workload_sample(struct workload_run *run, uint64_t done, const char *phase,
				   bool at_rest)
{
	if (__builtin_expect(done >= run->sample_due, 0))
		run->sampler(run, done, phase, at_rest);
}

/*
 * The default of run->stride: the number of operations between two checks of the time limit. Large
 * enough that the check adds nothing measurable to an operation.
 */
#define WORKLOAD_STRIDE 16

/* Whether this cpu has worked for `ns`; if so, notes that it was cut short. */
bool workload_has_worked(const struct workload_run *run, unsigned cpu, uint64_t ns);

/*
 * Whether the calling cpu's time is over before its ops are done. Every workload asks, while it has
 * something left to do and at least once in run->stride operations, and stops where it is: no other
 * cpu may wait for a cpu that has stopped. The teardown gives back what the stopped cpu still
 * holds: on cpu 0, alone, and uncounted. What was counted was done. Without a limit this costs a
 * load and a branch.
 */
static inline bool workload_is_over(const struct workload_run *run, unsigned cpu)
{
	uint64_t limit_ns = ck_pr_load_64(&run->limit_ns);

	return __builtin_expect(limit_ns != 0, 0) && workload_has_worked(run, cpu, limit_ns);
}

/*
 * The same for a cpu that frees what others have allocated: it has a quarter of the limit more, to
 * free what has not reached it yet when the others stop.
 */
static inline bool workload_is_late(const struct workload_run *run, unsigned cpu)
{
	uint64_t limit_ns = ck_pr_load_64(&run->limit_ns);

	return __builtin_expect(limit_ns != 0, 0) &&
	       workload_has_worked(run, cpu, limit_ns + limit_ns / 4);
}

/* Whether any cpu was cut short so far; another one may be cut short during this call. */
bool workload_was_cut(const struct workload_run *run);

/*
 * Sets run->shared to `bytes` of zeroed memory: memory of the harness, else a run of frames if the
 * policy has runs. False: there is no memory.
 */
bool workload_share(struct workload_run *run, uint64_t bytes);
void workload_unshare(struct workload_run *run);

/* Whether the policy has all that the workload needs. */
struct policy;
bool workload_is_supported(const struct workload *workload, const struct policy *policy);

/*
 * One whole run: setup, work on run->cpus cpus, teardown. False: there was no memory for the setup.
 */
bool workload_execute(struct workload_run *run);

/*
 * The frames, at most `wanted`, that each cpu may hold so that a quarter of all frames stays free.
 */
uint64_t workload_frames_each(const struct workload_run *run, uint64_t wanted);
