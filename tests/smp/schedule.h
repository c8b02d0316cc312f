/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * schedule.h - which cpu goes on at each step of a directed schedule: schedule=pct, walk and list.
 *
 * A run is a row of steps. At the end of each step the schedule is asked which cpu has the next one. A
 * run is cut into parts of `steps` steps, and each part is drawn afresh:
 *
 *   pct   Burckhardt, Kothari, Musuvathi and Nagarakatte, "A Randomized Scheduler with Probabilistic
 *         Guarantees of Finding Bugs" (ASPLOS 2010). Each cpu gets a different random priority, and
 *         the cpu with the highest one that can go on does. At depth - 1 random steps of the part
 *         the priority of the current cpu becomes lower than all of the first ones.
 *   walk  The next cpu is random. Its probability is proportional to the steps that are left to it
 *         in the part, of which each cpu has an equal share: each order of the shares is equally
 *         likely.
 *   list  The cpu goes on, except at the steps that the list names.
 *
 * A cpu that waits would go on for ever in pct and in a list: it gets the lowest priority of all, or
 * the next cpu gets the step.
 *
 * All choices follow from the seed and from what is asked. Nothing here is shared, allocates or
 * prints: the caller keeps the memory and lets one cpu in at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHEDULE_DEPTH_MAX 64

struct schedule_cpu {
	int64_t priority; /* pct: the highest that can go on does */
	uint64_t left;	  /* walk: steps in this part */
};

struct schedule {
	uint64_t kind; /* enum bootargs_schedule; not SEEDS */
	uint64_t seed, steps, depth;
	unsigned cpus;
	uint64_t part; /* its number, plus 1; 0: no part has been drawn */
	uint64_t changes[SCHEDULE_DEPTH_MAX];
	int64_t lowest; /* priority of the cpu that has waited last */
	const char *list, *list_end;
	uint64_t list_step, list_cpu; /* the first item that has not been reached */
	bool list_goes_on;
	struct schedule_cpu cpu[];
};

struct schedule_step {
	uint64_t number;  /* of the step to come, rising by one from 0 */
	unsigned current; /* the cpu that had the last one; the number of cpus: none had */
	bool waits;	  /* the current one, as far as can be seen */
	bool (*can_go_on)(unsigned cpu);
};

size_t schedule_bytes(unsigned cpus);

/* `list`: a value of switches= that was accepted; it must stay where it is. Length 0: no switches. */
void schedule_init(struct schedule *schedule, uint64_t kind, uint64_t seed, unsigned cpus,
		   uint64_t steps, uint64_t depth, const char *list, size_t list_length);

/*
 * The cpu that has the next step; the current one where no other can go on. O(cpus), and at the
 * start of a part O(cpus + depth).
 */
unsigned schedule_next(struct schedule *schedule, const struct schedule_step *step);

/* A state for random.h that follows from both; not of what schedule_next() draws. */
uint64_t schedule_random(uint64_t seed, uint64_t step);
