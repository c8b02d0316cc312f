/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest_frames.h - tests on one cpu: addresses, frames, callers' mistakes, the heap. Each
 * returns NULL, or what was wrong.
 */
#pragma once

const char *frames_test_addresses(void);
const char *frames_test_zero(void);
const char *frames_test_count_is_exact(void);
const char *frames_test_owner(void);
const char *frames_test_runs(void);

/* Only with CHECKS. */
const char *frames_test_double_free(void);
const char *frames_test_foreign_free(void);
const char *frames_test_misaligned_free(void);
const char *frames_test_never_allocated(void);
const char *frames_test_run_mistakes(void);

const char *frames_test_heap(void);
