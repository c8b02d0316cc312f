/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - tables for people and records for programs, out of what the runs counted.
 */
#pragma once

#include "tests/smp/result.h"
#include "tests/smp/workloads/workload.h"

/* A run with caches goes into the totals of the final tables. At rest. */
void report_add(const struct workload_run *run);

void report_begin(void);
void report_workload_end(const struct workload *workload, const struct result *cached,
			 const struct result *baseline);
void report_end(void);
