/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sweep.h - run=bench with workload= or lists: every combination of policy, lock, cache, batch,
 * cpus and workload, in one boot.
 */
#pragma once

#include <stddef.h>

/* Harness memory that the sweep of the boot arguments needs; 0 where there is none to run. */
size_t sweep_bytes(void);

void sweep_run(void);
