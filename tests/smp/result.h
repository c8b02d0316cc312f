/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * result.h - what one run of a workload came to, out of what the cpus and the locks counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/diag/figures.h"
#include "sync/spinlock.h"
#include "tests/smp/workloads/workload.h"

struct result {
	uint64_t ops; /* allocations and frees, of all cpus */
	uint64_t ns;  /* from the first cpu's start to the last one's end */
	bool is_cut;  /* a cpu's time was over before its ops were done */
	uint64_t refills, flushes, direct;
	uint64_t failures;
	struct spin_stats zone_locks; /* of all zones, and of the workload's own lock */
	struct spin_stats heap_lock;
};

/* Before a run: the statistics of all locks and caches begin at 0. At rest, on cpu 0. */
void statistics_reset(void);

/* After it: sums up. At rest, on cpu 0. */
void result_collect(struct result *result, const struct workload_run *run);
