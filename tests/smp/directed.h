/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * directed.h - run=explore with schedule=pct, walk or list: one cpu has the turn, the others sleep.
 *
 * All cpus arm their timers for the end of the turn. Then the cpu with the turn stops where it is, also
 * inside a critical section; a sleeping cpu asks the schedule (schedule.h) which cpu is next; and that
 * one wakes up. All cpus sleep in the handler of their timer.
 *
 * explore.c is the only user. It calls these on a cpu for itself.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/trap.h"

struct directed_explorer {
	/* Ticks that the interrupted code goes on for in the next turn. */
	uint64_t (*turn_ticks)(uint64_t *random);
	/* Called for each step; it does not return where there have been too many. */
	void (*count_step)(uint64_t step);
};

/* Before other harts start. Nothing of it is used with schedule=seeds. */
void directed_prepare(const struct directed_explorer *explorer);

/* Whether the schedule is one of these. */
bool directed(void);

/* Before a cpu sets up its work: it has no seat, also if it has ended other work. */
void directed_enter(void);

/* Before a cpu's work: waits until all cpus are here and this one has the turn. */
void directed_begin(void);

/* After a cpu's work: it has no more turns. */
void directed_end(void);

enum directed_seat {
	DIRECTED_OUT,	/* it has not begun */
	DIRECTED_TAKES, /* between the two */
	DIRECTED_ENDED,
};

enum directed_seat directed_seat(void);

/*
 * In the handler of the timer, of a cpu that takes part and was interrupted at `pc`: returns when it
 * has the turn. True: something is to be done to the allocator before the handler is left.
 */
bool directed_wait(const struct trap_frame *trap, uint64_t pc);

/*
 * The last thing in that handler: arms the timer for the end of the turn. short_ticks: the cpu ends
 * its turn after that time by itself, if that is earlier; 0: it does not.
 */
void directed_arm(uint64_t short_ticks);

/* The same of a cpu that has ended: sleeps until all have, and answers IPIs. */
void directed_rest(uint64_t pc);

/* The number of the step in which the machine is, and how often another cpu got the turn. */
uint64_t directed_steps(void);
uint64_t directed_switches(void);

/* At the end: the switches, as records. Where a test has failed, or the trace is on. */
void directed_report(bool passed);
