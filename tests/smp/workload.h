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

struct workload_cpu {
	/* The cpu's own. */
	_Alignas(64) uint64_t random;
	uint64_t allocs, frees; /* frames, or blocks where the workload is about blocks */
	uint64_t start_ns, end_ns;
};

struct workload_run {
	const struct workload *workload;
	unsigned cpus;
	uint64_t ops; /* wanted of each cpu */
	uint64_t seed;
	void (*enter)(void); /* on each cpu before its work, or NULL */
	void (*leave)(void); /* on each cpu after all have worked, or NULL */
	struct barrier barrier;
	struct workload_cpu *cpu;
	void *shared;
	uint64_t shared_frames; /* workload_share()'s */
};

struct workload {
	const char *name;
	const char *what; /* one line, for people */
	uint64_t ops;	  /* each cpu's, where the user does not say */
	bool exact;	  /* counts all frames there are, so nobody else may take any meanwhile */
	bool (*setup)(struct workload_run *run); /* false: not enough memory */
	void (*work)(struct workload_run *run, unsigned cpu);
	void (*teardown)(struct workload_run *run);
};

extern const struct workload workloads[];
extern const char *const workload_names[]; /* in the same order */
extern const unsigned workload_count;

/* Memory for `bytes` at run->shared, zeroed, from a run of frames; false when there is none. */
bool workload_share(struct workload_run *run, uint64_t bytes);
void workload_unshare(struct workload_run *run);

/* One whole run: setup, work on `cpus` cpus, teardown. False when setup found no memory. */
bool workload_execute(struct workload_run *run);

/* Frames one cpu may hold at a time so that all cpus together leave a quarter free; <= wanted. */
uint64_t workload_frames_each(const struct workload_run *run, uint64_t wanted);
