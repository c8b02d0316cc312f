/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * traps.h - stops the allocator between any two of its memory accesses, and lets others in.
 *
 * mm/ and sync/ are compiled for test_traps so that they call us (traps.c) before each access to
 * memory that others can see, and where interrupts are masked and unmasked. Each of these calls is
 * a *point*. At a point that the test has chosen, its own function runs, in the middle of whatever
 * the allocator was doing:
 *
 *	- on the same cpu, as a trap handler, when interrupts are not masked;
 *	- on another cpu, as whatever it likes, when no zone's lock is held.
 *
 * A cpu that gets an IPI answers at the point where it is stopped, as a trap handler; or if it is
 * masked there, where it unmasks: until then the cpu that waits for it is stopped, and it goes on.
 * There is one thread, with a stack for each cpu, so all of it repeats. Nothing is missed between
 * two points: registers and locals are the interrupted code's own, so wherever between them it is
 * stopped, the others and it see the same. What the compiler keeps in a register across a point it
 * keeps across a trap in the kernel too, because the calls are put in late, when the optimizer has
 * done its work. What is missing: the order of another compilation's accesses, and stores that
 * another cpu sees late. The lock words' own accesses are no points; there is one before each
 * acquire and one after.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct zone;

/* The points that count. */
enum traps_where {
	TRAPS_HERE = 1,	    /* those at which a trap may land: interrupts are not masked */
	TRAPS_ELSEWHERE = 2 /* those at which another cpu may do a whole operation */
};

/* No cpu is masked, in a trap or busy; nothing is armed. For each new machine. */
void traps_reset(void);

/*
 * Counts points of these kinds from 0; at number `point` disarms and calls `fire`, which may arm
 * again: the count then goes on, from traps_points() on.
 */
void traps_arm(unsigned where, uint64_t point, void (*fire)(void));
void traps_rearm(uint64_t point);
void traps_disarm(void);

/* Points counted since traps_arm(). */
uint64_t traps_points(void);

/* Of every point only one in that many is tried: EVERY= in the environment, for `make coverage`; else 1. */
uint64_t traps_every(void);

/* In `fire`, before it lets others in: the address that the stopped code accesses next; NULL: none. */
const void *traps_next_access(void);

/* In `fire`: whether a trap may land on this cpu, or this other cpu may work, just now. */
bool traps_may_trap(unsigned cpu);
bool traps_may_switch(void);

bool traps_all_may_trap(void);

/*
 * Runs `work` as a trap handler on the cpu; or as a separate operation on another cpu. If that cpu
 * has to wait for the stopped cpu, the stopped cpu goes on; the other goes on after the first has
 * let interrupts in. So the operation may last longer than the call, until traps_finish(). A
 * handler that the stopped cpu did not ask for must find all others ready for a trap: it cannot
 * wait, because what it has interrupted may not go on.
 */
void traps_trap(unsigned cpu, void (*work)(void));
void traps_elsewhere(unsigned cpu, void (*work)(void));
void traps_finish(void);

/* IPIs have no effect for a while. */
void traps_lose_ipis(bool lost);

/* Set around an operation that may be stopped in the middle: its cpu then has only traps. */
void traps_set_busy(unsigned cpu, bool busy);
bool traps_is_busy(unsigned cpu);

/*
 * Another cpu holds this lock until a cpu has waited for it. With `again`, it takes the lock again
 * where the waiter unmasks interrupts, until traps_hold_end().
 */
void traps_hold(struct zone *zone, unsigned cpu, bool again);
void traps_hold_end(void);

/* The test says in a few words what it is doing; printed with every failure, crashes included. */
const char *traps_story(void);
