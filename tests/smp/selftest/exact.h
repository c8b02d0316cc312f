/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact.h - self-tests of what is exact: failures, the ledger, and the low marks.
 *
 * Each returns NULL, or what was wrong; selftest.c runs them.
 */
#pragma once

/* All cpus but one take all there is, while that one has a full cache and other work. */
const char *exact_test_busy(void);
/* The same, where the others ask for runs of one frame. */
const char *exact_test_busy_runs(void);
/* A run that is free in other cpus' caches only is found. */
const char *exact_test_cached_run(void);
/* The ledger, read in trap handlers wherever they land. */
const char *exact_test_ledger(void);
/* A zone that falls below its mark asks once, and not again before it was calm. */
const char *exact_test_low_mark(void);
