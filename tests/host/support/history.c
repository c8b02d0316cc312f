/* SPDX-License-Identifier: BSD-2-Clause */
/* history.c - see history.h: recording, and the search for an order. */
#include "tests/host/support/history_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void history_start(struct history *history, const struct history_machine *machine)
{
	history->machine = *machine;
	history->calls = 0;
}

void history_add(struct history *history, const struct history_call *call)
{
	if (history->calls == HISTORY_CALLS_MAX || call->line >= HISTORY_LINES_MAX)
		abort();
	history->call[history->calls++] = *call;
}

/* ---- what has been tried ---------------------------------------------------------------------- */

#define SLOTS	   (1u << 18)
#define STATES_MAX (SLOTS / 2)

/* A byte a line: how many of its steps are in the order. */
static struct {
	uint64_t set;
	uint32_t search; /* not this one: the slot is free */
} tried[SLOTS];

static uint32_t searches;

struct search {
	struct plan plan;
	unsigned done[HISTORY_LINES_MAX];
	uint64_t free, states;
	struct step order[HISTORY_CALLS_MAX * HISTORY_ZONES_MAX];
	unsigned ordered, wanted;
	/* The longest order so far. */
	struct step best[HISTORY_CALLS_MAX * HISTORY_ZONES_MAX];
	unsigned best_ordered;
	char reason[sizeof(((struct history_verdict *)0)->reason)];
};

static bool was_tried(struct search *search)
{
	uint64_t set = 0;
	uint32_t at;

	for (unsigned line = 0; line < HISTORY_LINES_MAX; line++)
		set |= (uint64_t)search->done[line] << 8 * line;
	at = (uint32_t)((set ^ set >> 29) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % SLOTS;
	for (; tried[at].search == searches; at = (at + 1) % SLOTS)
		if (tried[at].set == set)
			return true;
	tried[at].set = set;
	tried[at].search = searches;
	search->states++;
	return false;
}

/* ---- the search ------------------------------------------------------------------------------- */

static bool is_done(const struct search *search, unsigned line)
{
	return search->done[line] == search->plan.steps[line];
}

static struct step next_step(const struct search *search, unsigned line)
{
	return search->plan.step[line][search->done[line]];
}

/* No call that is not in the order yet comes before it. */
static bool may_be_next(const struct search *search, unsigned line)
{
	unsigned call = next_step(search, line).call;

	for (unsigned other = 0; other < HISTORY_LINES_MAX; other++)
		if (other != line && !is_done(search, other) &&
		    plan_is_before(&search->plan, next_step(search, other).call, call))
			return false;
	return true;
}

/* The lines whose call may be next, the one that ends first before the others. */
static unsigned candidates(const struct search *search, unsigned line[HISTORY_LINES_MAX])
{
	const uint64_t *end = search->plan.end;
	unsigned count = 0;

	for (unsigned i = 0; i < HISTORY_LINES_MAX; i++) {
		unsigned at = count;

		if (is_done(search, i) || !may_be_next(search, i))
			continue;
		for (; at &&
		       end[next_step(search, line[at - 1]).call] > end[next_step(search, i).call];
		     at--)
			line[at] = line[at - 1];
		line[at] = i;
		count++;
	}
	return count;
}

static void note_best(struct search *search, const unsigned *line, unsigned count)
{
	uint64_t free = search->free;
	char why[100];

	if (search->ordered < search->best_ordered)
		return;
	if (search->ordered > search->best_ordered)
		search->reason[0] = '\0';
	search->best_ordered = search->ordered;
	memcpy(search->best, search->order, search->ordered * sizeof(search->order[0]));
	for (unsigned i = 0; i < count && !search->reason[0]; i++) {
		struct step step = next_step(search, line[i]);
		const struct history_call *call = &search->plan.history->call[step.call];
		char text[60];

		if (plan_step(&search->plan, step, &free, why, sizeof(why)))
			continue;
		call_text(call, text, sizeof(text));
		snprintf(search->reason, sizeof(search->reason), "cpu %u, %s: %s", call->cpu, text,
			 why);
	}
}

static bool find_order(struct search *search)
{
	unsigned line[HISTORY_LINES_MAX], count;

	if (search->ordered == search->wanted)
		return true;
	if (search->states >= STATES_MAX || was_tried(search))
		return false;
	count = candidates(search, line);
	note_best(search, line, count);
	for (unsigned i = 0; i < count; i++) {
		struct step step = next_step(search, line[i]);
		uint64_t free = search->free;

		if (!plan_step(&search->plan, step, &search->free, NULL, 0))
			continue;
		search->order[search->ordered++] = step;
		search->done[line[i]]++;
		if (find_order(search))
			return true;
		search->done[line[i]]--;
		search->ordered--;
		search->free = free;
	}
	return false;
}

/* A call of several steps has the place of its last one. */
static void note_places(const struct plan *plan, const struct step *order, unsigned ordered,
			struct history_verdict *verdict)
{
	for (unsigned i = 0; i < ordered; i++) {
		bool is_last = order[i].zone >= HISTORY_ZONES_MAX ||
			       order[i].zone == plan->history->machine.zones - 1;

		if (is_last)
			verdict->place[order[i].call] = ++verdict->ordered;
	}
}

struct history_verdict history_check(const struct history *history)
{
	static struct search search;
	struct history_verdict verdict = {.answer = HISTORY_NOT_LINEARIZABLE};

	memset(&search, 0, sizeof(search));
	searches++;
	plan_make(&search.plan, history);
	verdict.strict = plan_strict(&search.plan);
	search.free = search.plan.all;
	for (unsigned line = 0; line < HISTORY_LINES_MAX; line++) {
		search.wanted += search.plan.steps[line];
		if (search.plan.steps[line] > UINT8_MAX)
			verdict.answer = HISTORY_TOO_LARGE;
	}
	if (verdict.answer == HISTORY_TOO_LARGE)
		return verdict;
	if (find_order(&search)) {
		verdict.answer = HISTORY_LINEARIZABLE;
		note_places(&search.plan, search.order, search.ordered, &verdict);
	} else {
		if (search.states >= STATES_MAX)
			verdict.answer = HISTORY_TOO_LARGE;
		note_places(&search.plan, search.best, search.best_ordered, &verdict);
		memcpy(verdict.reason, search.reason, sizeof(verdict.reason));
	}
	verdict.states = search.states;
	return verdict;
}
