/* SPDX-License-Identifier: BSD-2-Clause */
/* selftest_locks.h - every algorithm's trial (lock_trial.h) in the kernel: NULL, or what was wrong.
 */
#pragma once

#include "sync/spin_kinds.h"

#define LOCKS_DECLARE(kind_name, kind) const char *locks_test_##kind_name(void);
SPIN_FOR_EACH_KIND(LOCKS_DECLARE)
#undef LOCKS_DECLARE

const char *locks_test_none(void);

/* That a wait is put on who held the lock, and on where it had been taken. */
const char *locks_test_wait_matrix(void);

/* The records of what the trials measured: one for each that was run to its end. */
void locks_test_records(void);
