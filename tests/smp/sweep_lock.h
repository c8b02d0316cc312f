/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep_lock.h - what a sweep prints and records of the cells of one lock alone (workload=lock). The
 * figures are lock_figures.h's; docs/measuring.md, "Locks alone", says what each is.
 */
#pragma once

#include <stdint.h>

#include "tests/smp/cell.h"

/*
 * The waits of a cell with lock_figures, in nanoseconds, or in instructions in virtual time: their mean
 * in hundredths, the longest of this percentage of them, and the longest of all.
 */
uint64_t sweep_lock_mean_wait(const struct cell *cell);
uint64_t sweep_lock_percentile(const struct cell *cell, unsigned percent);
uint64_t sweep_lock_worst(const struct cell *cell);

/* A line above the table: how long the lock is held, and left alone. */
void sweep_lock_print_delays(void);

/* Its members of the open record. */
void sweep_lock_record(const struct cell *cell);
