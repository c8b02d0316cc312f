/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cell_thresholds.h - from where on a cell's times say more of the host than of the allocator.
 *
 * One more is in kernel/diag/timing.h, for it holds for all times and waits. All are found by
 * tools/calibrate.py, which reads the figures in both files and shows how often they, and others,
 * would be wrong. The results, and their limits, are in docs/lab.md, "When a time counts".
 */
#pragma once

/*
 * Holds are the same instructions on any cpu, but caches of the machine may be cold: up to
 * HOLD_FACTOR times what a hold takes on one cpu is still explained. The time of all holds beyond
 * that was taken away by the host: more than STOLEN_PERCENT_MOST of the run spoils the cell's
 * times.
 */
#define HOLD_FACTOR	    4
#define STOLEN_PERCENT_MOST 5

/*
 * Where all cpus are in line a wait lasts as long as all their holds. A wait of more than
 * WAIT_FACTOR_MOST times that is the host's doing: the lock was handed to a cpu that was not
 * running.
 */
#define WAIT_FACTOR_MOST 16

/* What the slowest round may take, where the fastest takes 100. */
#define ROUNDS_PERCENT_MOST 200
