/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * faults.h - failnth= and failrate=: faults are injected while the programs run (mm/fault.h).
 *
 * On cpu 0, at rest; before and after programs_run().
 */
#pragma once

/* Starts what the boot arguments ask for, and prints it with the seed; nothing is asked for: nothing. */
void faults_begin(void);

/* Ends it; prints and records how many allocations were counted and how many of them failed. */
void faults_end(void);
