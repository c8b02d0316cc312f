/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faults_parts.h - what run=faults does while allocations fail: every use that the kernel and the heap
 * make of frames and blocks, in parts.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct faults_part {
	const char *name;
	/*
	 * On cpu 0, at rest, with plenty of memory. Allocates, uses what it got, and frees it. NULL, or what was wrong: an
	 * operation that failed changed something, or contents were lost. An operation that fails as
	 * a whole is not wrong; it is counted.
	 */
	const char *(*run)(void);
	bool needs_paging;
	bool needs_runs; /* runs of several frames, aligned ones too */
};

extern const struct faults_part faults_parts[];
extern const unsigned faults_part_count;

/* Operations of the parts that have failed since this was last set to 0; atomic. */
extern uint64_t faults_operations_failed;
