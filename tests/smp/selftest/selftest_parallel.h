/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest_parallel.h - tests in which all cpus allocate at once. Each returns NULL, or what was
 * wrong.
 */
#pragma once

const char *parallel_test_every_cpu_is_itself(void);

/* At least a batch of operations between two holds of a zone's lock. */
const char *parallel_test_lock_bound(void);

/* All cpus take all frames: the sum is the number of free frames. */
const char *parallel_test_exhaustion(void);
