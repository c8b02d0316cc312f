/* SPDX-License-Identifier: BSD-2-Clause */
/* selftest_locks.h - every algorithm's trial (lock_trial.h) in the kernel: NULL, or what was wrong.
 */
#pragma once

#include "sync/spin_kinds.h"

#define LOCKS_DECLARE(kind_name, kind) const char *locks_test_##kind_name(void);
SPIN_FOR_EACH_KIND(LOCKS_DECLARE)
#undef LOCKS_DECLARE

const char *locks_test_none(void);

/* A wait is counted for the CPU that held the lock, and for the site of its acquire. */
const char *locks_test_wait_matrix(void);

/* The records of what the trials measured: one for each that was run to its end. */
void locks_test_records(void);
