/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_chain.h - prints which cpu waits for which lock, which cpu holds that, and what that cpu waits
 * for, from what sync/lock_owners.h keeps.
 *
 *	cpu 2 waits for zone1 (12.0 ms, at [<0x80201234>]) held by cpu 0 (at [<0x80205678>]), which runs
 *
 * The cpus may run meanwhile: each link was there when it was read, but not all of them at one instant.
 * May be called in a panic: takes no lock, waits for no cpu, reads a lock only where it is in memory,
 * and prints at most LOCK_CHAIN_LINKS links of a chain.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define LOCK_CHAIN_LINKS 16

/* Whether these bytes can be read without a trap; NULL: all can. Set at boot. */
extern bool (*lock_chain_can_read)(const void *address, size_t bytes);

/*
 * Prints the chain that begins with what this cpu waits for, in one line. The addresses are call sites
 * of spin_lock(), whose functions the launcher adds.
 */
void lock_chain_print(unsigned cpu);

/*
 * Prints the chains of all cpus that wait, and each circle once, as `deadlock: cpu 0 -> zone1 -> cpu 3
 * -> heap -> cpu 0`. Returns the number of cpus that wait.
 */
unsigned lock_chains_print(void);

/*
 * If the chain that begins with this cpu runs into a circle, writes the circle as text, from its cpu
 * with the lowest number on, and returns true; this cpu need not be in it. Cut to `bytes`.
 */
bool lock_chain_circle(unsigned cpu, char *text, size_t bytes);

struct spinlock;

/* Prints in one line which cpu holds the lock; false, and nothing printed: it is free or not known. */
bool lock_chain_print_holder(const struct spinlock *lock);
