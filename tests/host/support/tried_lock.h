/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tried_lock.h - the lock that test_sync.c and test_lock_stats.c try, and what both do with it.
 */
#pragma once

#include "sync/spinlock.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define TRIED_CPUS_MAX 5
static const unsigned cpu_counts[] = {1, 2, 3, TRIED_CPUS_MAX};

extern struct spinlock lock;

/*
 * Makes the lock for `cpus` CPUs, with a wait matrix where the build has that layer; the caller is
 * CPU 0. Its memory has not a byte more than the lock asks for: the sanitizer sees the next one.
 */
void tried_lock_start(enum spin_kind kind, unsigned cpus);
void tried_lock_end(void);

/* The caller goes on as this CPU. */
void become(unsigned cpu);

/* Each CPU holds the lock this often in one exclude(). */
#define ROUNDS 200

/* All CPUs hold the lock in turn: no two at once, and no hold is lost. The lock has been made. */
void exclude(enum spin_kind kind, unsigned cpus);

/* Of all CPUs together. */
struct spin_stats stats_now(void);
