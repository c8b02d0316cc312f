/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * explore.h - workloads under a schedule that a seed decides.
 *
 * An emulator that counts instructions (QEMU's -icount) runs the harts in turn on one thread and
 * goes on to the next one only when a timer of the machine runs out. So every cpu arms its timer
 * again and again, for random times drawn from the seed: the harts change at arbitrary instructions, and the same seed and
 * binary give the same run bit for bit. The digest in the verdict shows it: it covers the order
 * of all switches and, at each, the interrupted cpu's pc and registers.
 *
 * A timer that runs out while its cpu holds a zone's lock (interrupts masked) is taken later,
 * but the turn ends there and then: switches fall inside critical sections too.
 *
 * preempt=MIN:RANGE:MODE: between two switches the interrupted code goes on for MIN to MIN +
 * RANGE ticks, unless the mode says otherwise:
 *	any	nothing more
 *	locks	a few instructions where a batch or a heap block is on its way, so that turns end
 *		before, in and after the critical sections
 *	stack	a few instructions in a restartable sequence and next to one
 *	stall	now and then a cpu sleeps where it was interrupted, up to thousands of switches long
 * In every mode the handler itself sometimes allocates and frees (handler_ops.h).
 */
#pragma once

/*
 * After the clock's and timers' properties are known and before other harts start, on the boot
 * hart: a hart that waits for another in a loop would wait for ever without a timer.
 */
void explore_prepare(void);

/* Runs the workloads asked for, closes the books after each, and sets the verdict's digest. */
void explore_run(void);
