/* SPDX-License-Identifier: BSD-2-Clause */
/* history_private.h - what the files of history.h share: a history that is ready for the search. */
#pragma once

#include <stddef.h>

#include "tests/host/support/history.h"

/*
 * A call is one step. A call that may overlook frames and has failed is a step for each zone, in the
 * order in which it looks at them.
 */
struct step {
	unsigned call;
	unsigned zone; /* HISTORY_ZONES_MAX: of all zones */
};

struct plan {
	const struct history *history;
	uint64_t begin[HISTORY_CALLS_MAX], end[HISTORY_CALLS_MAX];
	uint64_t frames[HISTORY_CALLS_MAX]; /* what the call takes or gives: a bit a frame */
	uint64_t all;			    /* frames of the machine */
	unsigned overlooked[HISTORY_CALLS_MAX];
	struct step step[HISTORY_LINES_MAX][HISTORY_CALLS_MAX * HISTORY_ZONES_MAX];
	unsigned steps[HISTORY_LINES_MAX];
};

void plan_make(struct plan *plan, const struct history *history);

/* The history says that call a came before call b: on its line, or by their instants. */
bool plan_is_before(const struct plan *plan, unsigned a, unsigned b);

/* Calls that failed with no cache that could hide a frame, of those that may overlook frames. */
unsigned plan_strict(const struct plan *plan);

/*
 * Whether the sequential allocator, with these frames free, could have done the step; *free is then
 * what is free after it. If not, and `why` is not NULL, the reason.
 */
bool plan_step(const struct plan *plan, struct step step, uint64_t *free, char *why, size_t size);

/* What a call does, and of which frames, in a few words. */
void call_text(const struct history_call *call, char *text, size_t size);
