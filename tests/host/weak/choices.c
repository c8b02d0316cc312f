/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * choices.c - the choices that make an execution of weak.h: drawn from a seed, followed from a list,
 * or those of the next one of all executions.
 *
 * All executions: a depth-first search. Two steps are independent if their order changes nothing;
 * then only one order is tried, by sleep sets (Godefroid, 1996). Steps that store depend on each
 * other, because the order of all stores is what loads are compared with. A load does not depend on
 * the store of another CPU that comes after it: executed after that store it can read the same. So at
 * each point the steps that store are tried first, and a store that was tried sleeps until another
 * store is performed.
 */
#include "tests/host/weak/schedule.h"

#include <stdlib.h>
#include <string.h>

#include "tests/smp/random.h"

#define DEPTH_MAX 4096

/* A point of the search: of a CPU's value, or of what is done next. */
struct point {
	bool is_value;
	unsigned chosen, count;
	struct option current;
	struct option asleep[ENABLED_MAX];
	unsigned asleeps;
};

struct choices choices;

/* ---- choices: drawn or followed -------------------------------------------------------------- */

static uint64_t random_state;
static uint64_t change_one_in, old_one_in, late_one_in;

static unsigned note_choice(unsigned chosen)
{
	if (choices.made < CHOICES_MAX)
		choices.list[choices.made] = chosen;
	choices.made++;
	return chosen;
}

static unsigned follow(unsigned count)
{
	unsigned chosen = choices.made < choices.given ? choices.list[choices.made] : 0;

	return chosen < count ? chosen : 0;
}

static bool one_in(uint64_t n)
{
	return random_below(&random_state, n) == 0;
}

/* ---- choices: the search --------------------------------------------------------------------- */

static struct point *points;
static unsigned depth, depth_known;
static struct option asleep_now[ENABLED_MAX];
static unsigned asleeps_now;

static struct point *next_point(bool *is_new)
{
	*is_new = depth == depth_known;
	if (depth == DEPTH_MAX)
		weak_fail("the search is more than %u points deep", DEPTH_MAX);
	if (*is_new)
		depth_known++;
	return &points[depth++];
}

static unsigned search_value(unsigned count)
{
	bool is_new;
	struct point *point = next_point(&is_new);

	if (is_new) {
		point->is_value = true;
		point->chosen = 0;
		point->count = count;
	}
	return point->chosen;
}

unsigned weak_choose(unsigned count)
{
	if (count <= 1)
		return 0;
	if (choices.from == SEARCHED)
		return note_choice(search_value(count));
	if (choices.from == FOLLOWED)
		return note_choice(follow(count));
	return note_choice(one_in(old_one_in) ? (unsigned)random_below(&random_state, count) : 0);
}

static bool is_same(const struct option *a, const struct option *b)
{
	return a->kind == b->kind && a->cpu == b->cpu && a->name == b->name;
}

static bool is_among(const struct option *option, const struct option *list, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (is_same(option, &list[i]))
			return true;
	return false;
}

/* Whether one that sleeps has to wake up when another is done. */
static bool depends(const struct option *sleeper, const struct option *done)
{
	if (sleeper->cpu == done->cpu)
		return !(sleeper->kind == OPTION_STORE && done->kind == OPTION_STEP &&
			 !done->stores && sleeper->address != done->address);
	if (sleeper->stores)
		return done->stores;
	return done->stores && done->address == sleeper->address;
}

static void sleep_after(const struct point *point, const struct option *done)
{
	asleeps_now = 0;
	for (unsigned i = 0; i < point->asleeps; i++)
		if (!depends(&point->asleep[i], done))
			asleep_now[asleeps_now++] = point->asleep[i];
}

/* The first one that does not sleep. At a new point those that sleep are those that did before. */
static unsigned search_option(const struct option *option, unsigned count)
{
	bool is_new;
	struct point *point = next_point(&is_new);

	if (is_new) {
		point->is_value = false;
		memcpy(point->asleep, asleep_now, asleeps_now * sizeof(asleep_now[0]));
		point->asleeps = asleeps_now;
		point->chosen = 0;
	}
	for (unsigned i = 0; i < count; i++) {
		if (is_among(&option[i], point->asleep, point->asleeps))
			continue;
		point->current = option[i];
		sleep_after(point, &option[i]);
		return i;
	}
	schedule_leave(LEFT_REDUNDANT);
}

/* Whether there is another execution; then the points lead to it. */
bool choices_go_on(void)
{
	while (depth_known > 0) {
		struct point *point = &points[depth_known - 1];

		if (point->is_value) {
			if (++point->chosen < point->count)
				return true;
		} else if (!is_among(&point->current, point->asleep, point->asleeps)) {
			point->asleep[point->asleeps++] = point->current;
			return true;
		}
		depth_known--;
	}
	return false;
}

/* ---- choices: priorities ---------------------------------------------------------------------- */

/*
 * Half of the seeds draw a priority for each CPU, for its waiting stores, and for its interrupts,
 * and lower that of whichever is the highest at a few points of the execution (probabilistic
 * concurrency testing; Burckhardt et al., ASPLOS 2010). So one of them may rest for long.
 */
#define PRIORITIES    (WEAK_CPUS_MAX * 4)
#define LOWERINGS_MAX 6

static unsigned priority[PRIORITIES];
static unsigned lowest, lowerings;
static uint32_t lower_at[LOWERINGS_MAX], drawn_steps;
static bool has_priorities;

static void draw_priorities(void)
{
	uint32_t range = UINT32_C(16) << random_below(&random_state, 8);

	has_priorities = random_below(&random_state, 2) != 0;
	lowerings = 1 + (unsigned)random_below(&random_state, LOWERINGS_MAX);
	for (unsigned i = 0; i < PRIORITIES; i++)
		priority[i] = PRIORITIES + (unsigned)random_below(&random_state, 1 << 16);
	for (unsigned i = 0; i < lowerings; i++)
		lower_at[i] = (uint32_t)random_below(&random_state, range);
	lowest = PRIORITIES;
	drawn_steps = 0;
}

static unsigned *priority_of(const struct option *option)
{
	return &priority[option->cpu * 4 + option->kind];
}

static unsigned highest(const struct option *option, unsigned count)
{
	unsigned best = 0;

	for (unsigned i = 1; i < count; i++)
		if (*priority_of(&option[i]) > *priority_of(&option[best]))
			best = i;
	return best;
}

static unsigned draw_by_priority(const struct option *option, unsigned count)
{
	unsigned best = highest(option, count);

	for (unsigned i = 0; i < lowerings; i++)
		if (lower_at[i] == drawn_steps) {
			*priority_of(&option[best]) = lowest ? --lowest : 0;
			best = highest(option, count);
		}
	drawn_steps++;
	/* Of the CPU's waiting stores any may be the next. */
	while (option[best].kind == OPTION_STORE && best + 1 < count &&
	       option[best + 1].kind == OPTION_STORE && option[best + 1].cpu == option[best].cpu &&
	       one_in(2))
		best++;
	return best;
}

static unsigned draw_option(const struct option *option, unsigned count)
{
	unsigned first = 0;

	if (has_priorities)
		return draw_by_priority(option, count);
	if (one_in(change_one_in))
		return (unsigned)random_below(&random_state, count);
	while (first + 1 < count && option[first].kind == OPTION_STORE && !one_in(late_one_in))
		first++;
	return first;
}

unsigned choices_option(const struct option *option, unsigned count)
{
	if (choices.from == SEARCHED)
		return note_choice(search_option(option, count));
	return note_choice(choices.from == FOLLOWED ? follow(count) : draw_option(option, count));
}

void choices_begin(void)
{
	choices.made = depth = asleeps_now = 0;
}

void choices_search(void)
{
	points = points ? points : malloc(DEPTH_MAX * sizeof(*points));
	if (!points)
		abort();
	depth_known = 0;
}

bool choices_are_exhausted(void)
{
	return depth_known == 0;
}

void choices_draw_from(uint64_t seed)
{
	choices.from = DRAWN;
	random_state = seed * UINT64_C(0x9e3779b97f4a7c15);
	change_one_in = UINT64_C(2) << random_below(&random_state, 6);
	old_one_in = UINT64_C(1) << random_below(&random_state, 5);
	late_one_in = UINT64_C(1) << random_below(&random_state, 6);
	draw_priorities();
}
