/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simulated.h - harts with an MMU each, on one thread, under schedules that a number decides.
 *
 * kernel/vm/space.c, kernel/smp/shootdown.c and all of mm/ and sync/ below them are compiled
 * unchanged. Each cpu has its own stack, and the cpus take turns: a turn may end before each atomic
 * access, at each step of a page walk, and between the translation of an access and the access. Now
 * and then a cpu gets no turn for a long time, wherever it is.
 *
 * The MMU does everything that hardware may do, so no test passes by luck:
 *
 *	- It keeps every translation that it has ever made, of every ASID, until it is told to flush
 *	  it; also that there is none; and the table that a walk came through.
 *	- It walks speculatively, any page of the space that satp names, at any time.
 *	- SFENCE.VMA of an address spares tables, of which it keeps what it has; also "not valid",
 *	  where that was the entry of a table and not of a page.
 *	- A walk or an access to a frame that is not allocated ends the test.
 *
 * What it does not simulate: stores that another cpu sees late. The cpus run one after the other.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SIM_CPUS_MAX 130 /* three words of cpus, and the last has two */

struct sim_machine {
	uint64_t seed; /* decides all that follows */
	unsigned cpus;
	uint64_t hart_step; /* between the ids of two neighbours; the first is 3 */
	uint64_t asid_max;
	bool stops;	     /* cpus that get an IPI sometimes stop and come back */
	bool pointer_points; /* a turn may end before a pointer is exchanged */
	uint64_t points_max; /* more points than these: a cpu waits for ever */
};

/* Before each schedule. The caller becomes cpu 0, at rest, and no cpu is interrupted. */
void sim_start(const struct sim_machine *machine);
void sim_end(void);

/* Runs work(argument) on every cpu at once, until all have returned. At rest. */
void sim_run(void (*work)(void *argument), void *argument);

/* At rest. How often cpus were stopped, and how often an access went through a translation that
 * the tables no longer had: tests that saw neither saw nothing. */
uint64_t sim_stops(void);
uint64_t sim_stale(void);

/* How often an access faulted, and was tried again at once because the kernel said so. */
uint64_t sim_repeats(void);

/* The calling cpu stops for a while, like a cpu that was asked to stop. */
void sim_stop_now(void);

/* For kernel/vm/space.c alone. A cpu that is stopped between them ends the test. */
struct spinlock;
struct spin_node;
void sim_lock(struct spinlock *lock, struct spin_node *node);
void sim_unlock(struct spinlock *lock, struct spin_node *node);

/*
 * Accesses go to these addresses: VM_WINDOW of tests/smp/workloads/vm.h and what the workloads have
 * there.
 */
