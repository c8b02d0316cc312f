/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact.h - self-tests of exact answers: failures (exact.c), the ledger (exact_ledger.c) and the
 * low marks (exact_low.c).
 *
 * Each returns NULL, or what was wrong; selftest.c runs them on cpu 0, at rest.
 */
#pragma once

/* All cpus but one take all frames, while that one has a full cache and other work. */
const char *exact_test_busy(void);

/* The same, where the cpus allocate runs of one frame. */
const char *exact_test_busy_runs(void);

/* A run is found whose frames are free in another cpu's cache only. */
const char *exact_test_cached_run(void);

/* The ledger adds up in trap handlers, wherever they interrupt. */
const char *exact_test_ledger(void);

/* A zone that falls below its low mark asks once, and again only after it has recovered. */
const char *exact_test_low_mark(void);
