/* SPDX-License-Identifier: BSD-2-Clause */
/* schedule.c - see schedule.h. */
#include "tests/smp/schedule.h"

#include <string.h>

#include "kernel/boot/bootargs.h"
#include "tests/smp/random.h"

enum stream { STREAM_CALLER, STREAM_PART, STREAM_STEP };

/* The state of a generator; different for each stream and number (splitmix64). */
static uint64_t stream(uint64_t seed, enum stream kind, uint64_t number)
{
	uint64_t value = seed * UINT64_C(0xd1342543de82ef95) +
			 (number * 4 + kind) * UINT64_C(0x9e3779b97f4a7c15);

	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return (value ^ value >> 31) | 1;
}

uint64_t schedule_random(uint64_t seed, uint64_t step)
{
	return stream(seed, STREAM_CALLER, step);
}

/* ---- parts ---------------------------------------------------------------------------------- */

/* Priorities from `depth` on, in random order, and the steps at which they change. */
static void draw_pct(struct schedule *schedule, uint64_t random, uint64_t first_step)
{
	for (unsigned i = 0; i < schedule->cpus; i++) {
		unsigned j = (unsigned)random_below(&random, i + 1);

		schedule->cpu[i].priority = schedule->cpu[j].priority;
		schedule->cpu[j].priority = (int64_t)(schedule->depth + i);
	}
	for (uint64_t i = 0; i + 1 < schedule->depth; i++)
		schedule->changes[i] = first_step + random_below(&random, schedule->steps);
	schedule->lowest = 1;
}

static void draw_walk(struct schedule *schedule)
{
	uint64_t share = schedule->steps / schedule->cpus;

	for (unsigned i = 0; i < schedule->cpus; i++)
		schedule->cpu[i].left = share ? share : 1;
}

static void draw_part(struct schedule *schedule, uint64_t step)
{
	uint64_t part = step / schedule->steps;

	if (schedule->part == part + 1)
		return;
	schedule->part = part + 1;
	draw_pct(schedule, stream(schedule->seed, STREAM_PART, part), part * schedule->steps);
	draw_walk(schedule);
}

/* ---- the kinds ------------------------------------------------------------------------------- */

static unsigned next_of_pct(struct schedule *schedule, const struct schedule_step *step)
{
	unsigned best = step->current;

	for (uint64_t i = 0; i + 1 < schedule->depth && step->current < schedule->cpus; i++)
		if (schedule->changes[i] == step->number)
			schedule->cpu[step->current].priority = (int64_t)(schedule->depth - 1 - i);
	if (step->waits && step->current < schedule->cpus)
		schedule->cpu[step->current].priority = --schedule->lowest;
	for (unsigned i = 0; i < schedule->cpus; i++) {
		if (!step->can_go_on(i))
			continue;
		if (best == schedule->cpus || !step->can_go_on(best) ||
		    schedule->cpu[i].priority > schedule->cpu[best].priority)
			best = i;
	}
	return best;
}

static uint64_t weight(const struct schedule *schedule, const struct schedule_step *step,
		       unsigned cpu, bool equal)
{
	if (!step->can_go_on(cpu))
		return 0;
	return equal ? 1 : schedule->cpu[cpu].left;
}

static uint64_t sum_of_weights(const struct schedule *schedule, const struct schedule_step *step,
			       bool equal)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < schedule->cpus; i++)
		sum += weight(schedule, step, i, equal);
	return sum;
}

/* Where no cpu that can go on has steps left, all of them are equally likely. */
static unsigned next_of_walk(struct schedule *schedule, const struct schedule_step *step)
{
	uint64_t random = stream(schedule->seed, STREAM_STEP, step->number), at, sum;
	bool equal = false;

	if (step->current < schedule->cpus && schedule->cpu[step->current].left)
		schedule->cpu[step->current].left--;
	sum = sum_of_weights(schedule, step, false);
	if (!sum) {
		equal = true;
		sum = sum_of_weights(schedule, step, true);
	}
	if (!sum)
		return step->current;
	at = random_below(&random, sum);
	for (unsigned i = 0;; i++) {
		uint64_t part = weight(schedule, step, i, equal);

		if (at < part)
			return i;
		at -= part;
	}
}

/* Moves on to the item of the next switch. */
static void read_item(struct schedule *schedule)
{
	schedule->list_goes_on = schedule->list < schedule->list_end &&
				 bootargs_next_switch(&schedule->list, schedule->list_end,
						      &schedule->list_step, &schedule->list_cpu);
}

/* UINT64_MAX: the list does not name this step. */
static uint64_t named_by_list(struct schedule *schedule, uint64_t number)
{
	uint64_t cpu = UINT64_MAX;

	while (schedule->list_goes_on && schedule->list_step <= number) {
		if (schedule->list_step == number)
			cpu = schedule->list_cpu;
		read_item(schedule);
	}
	return cpu;
}

static unsigned next_of_list(struct schedule *schedule, const struct schedule_step *step)
{
	uint64_t named = named_by_list(schedule, step->number);

	if (named < schedule->cpus && step->can_go_on((unsigned)named))
		return (unsigned)named;
	if (step->current < schedule->cpus && !step->waits && step->can_go_on(step->current))
		return step->current;
	for (unsigned i = 1; i <= schedule->cpus; i++) {
		unsigned cpu = (step->current + i) % schedule->cpus;

		if (step->can_go_on(cpu))
			return cpu;
	}
	return step->current;
}

/* ---- the schedule ---------------------------------------------------------------------------- */

size_t schedule_bytes(unsigned cpus)
{
	return sizeof(struct schedule) + cpus * sizeof(struct schedule_cpu);
}

void schedule_init(struct schedule *schedule, uint64_t kind, uint64_t seed, unsigned cpus,
		   uint64_t steps, uint64_t depth, const char *list, size_t list_length)
{
	memset(schedule, 0, schedule_bytes(cpus));
	schedule->kind = kind;
	schedule->seed = seed;
	schedule->cpus = cpus;
	schedule->steps = steps;
	schedule->depth = depth;
	schedule->list = list;
	schedule->list_end = list + list_length;
	read_item(schedule);
}

unsigned schedule_next(struct schedule *schedule, const struct schedule_step *step)
{
	draw_part(schedule, step->number);
	switch (schedule->kind) {
	case BOOTARGS_SCHEDULE_PCT:
		return next_of_pct(schedule, step);
	case BOOTARGS_SCHEDULE_WALK:
		return next_of_walk(schedule, step);
	default:
		return next_of_list(schedule, step);
	}
}
