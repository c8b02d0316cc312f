/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_play.h - locks that CPUs hold and wait for, on one thread: for tests of sync/lock_owners.h.
 */
#pragma once

#include "sync/spinlock.h"

#define PLAYED_LOCKS 4

/* named lock0, lock1... */
extern struct spinlock played[PLAYED_LOCKS];

struct play_step {
	unsigned cpu, lock;
	bool waits; /* the CPU waits for the lock; else it takes it, which is free */
};

/* Makes the locks and `cpus` CPUs, and their records of waits. The caller is CPU 0. */
void lock_play_start(enum spin_kind kind, unsigned cpus);
void lock_play_end(void);

/* The CPU takes the free lock, or the lock's holder releases it. */
void lock_play_hold(unsigned cpu, unsigned lock);
void lock_play_release(unsigned lock);

/*
 * Plays the steps, each inside the wait of the last waiting step before it, and calls look() inside
 * all of them. Then the waits end, the last one first: the holder of the lock releases it.
 */
void lock_play(const struct play_step *steps, unsigned count, void (*look)(void));

/* The call sites of spin_lock() of the CPUs that hold and that wait. */
uint64_t lock_play_hold_site(void);
uint64_t lock_play_wait_site(void);
