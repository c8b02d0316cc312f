/*
 * report.h - tables for people and records for programs, out of what the runs counted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/spinlock.h"
#include "tests/smp/workload.h"

/* What one run of a workload came to. */
struct result {
	uint64_t ops;	      /* allocations and frees, of all cpus */
	uint64_t ns;	      /* from the first cpu's start to the last one's end */
	uint64_t refills, flushes, direct;
	uint64_t failures;
	struct spin_stats zone_locks; /* of all zones together */
};

/*
 * Sums up what the run and the statistics (which were reset before it) say; a run that is no
 * baseline also goes into the totals of the final tables. At rest.
 */
void result_collect(struct result *result, const struct workload_run *run, bool baseline);

void report_begin(void);
void report_workload_begin(const struct workload *workload);
void report_workload_end(const struct workload *workload, const struct result *cached,
			 const struct result *baseline);
void report_end(void);
