/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cell_lines.h - tells QEMU's plugin (tools/qemu/cells.c) what is measured, so that it can say what
 * lines of memory cost each cell: which run it is, what is where in memory, when each cpu works.
 *
 * All of it is hints (arch/riscv/hint.h), so it does nothing on other machines.
 */
#pragma once

#include "tests/smp/workloads/workload.h"

/*
 * A run on cpus 0..run->cpus-1 begins: the number of its cell, and the turns as in struct cell_run.
 * On cpu 0, at rest, once zones and caches are as they will be. O(cpus + zones) hints.
 */
void cell_lines_begin(unsigned number, unsigned halvings, unsigned sequence,
		      const struct workload_run *run);

/* On each cpu that takes part, before cell_lines_work_begins(). */
void cell_lines_join(void);

/* On each cpu, right before its work and right after. */
void cell_lines_work_begins(void);
void cell_lines_work_ends(void);

/* It is over; how many operations all cpus did. On cpu 0. */
void cell_lines_end(uint64_t operations);
