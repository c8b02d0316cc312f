/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_figures.h - what the workload `lock` finds out about its lock: how long acquisitions waited,
 * and how fairly the cpus were served.
 *
 * A wait is the time from the call of spin_lock() to its return, in ticks of port_clock(), where
 * the lock was not free; where it was free the wait is 0. A wait that the end of the run finds
 * unfinished is counted in full: the cpu gets the lock when the others ask no more.
 *
 * The histogram is exact below WAIT_PARTS ticks. Above, it has WAIT_PARTS buckets for each power of
 * two, so the middle of a bucket is less than 0.8 % away from any wait in it.
 */
#pragma once

#include <stdint.h>

#include "tests/smp/workloads/workload.h"

#define WAIT_PART_BITS 6
#define WAIT_PARTS     (1u << WAIT_PART_BITS)
#define WAIT_BITS      40 /* a longer wait counts as one of the last bucket */
#define WAIT_BUCKETS   ((WAIT_BITS - WAIT_PART_BITS + 1) * WAIT_PARTS)

struct lock_figures {
	uint64_t acquisitions, contended; /* all, and those that had to wait */
	uint64_t wait_ticks;		  /* all waits together */
	uint64_t worst_ticks;	 /* the longest time that a cpu wanted the lock and had it not */
	uint64_t overtaken_most; /* acquisitions by other cpus during one wait, at most */
	/* jain_index() of the acquisitions; of several runs the least. */
	uint64_t jain;
	uint32_t waits[WAIT_BUCKETS];
};

/* The bucket of a wait, and the wait in the middle of a bucket. O(1). */
unsigned wait_bucket(uint64_t ticks);
uint64_t wait_bucket_middle(unsigned bucket);

/*
 * Jain's index of x = allocs of cpus 0..cpus-1, (sum of x)^2 / (cpus * sum of x^2), in ten-thousandths:
 * 1 where all are equal, 1 / cpus where one cpu has all; 0 where all are 0. O(cpus).
 */
uint64_t jain_index(const struct workload_cpu *cpu, unsigned cpus);

/*
 * Adds a run of the workload `lock` that has worked and has not been torn down. The first run is
 * added to zeros. At rest, on cpu 0. O(cpus * WAIT_BUCKETS).
 */
void lock_figures_add(struct lock_figures *sum, const struct workload_run *run);

/* In ticks: of `percent` of the acquisitions the wait was no longer; 0 without acquisitions. */
uint64_t lock_figures_percentile(const struct lock_figures *figures, unsigned percent);
