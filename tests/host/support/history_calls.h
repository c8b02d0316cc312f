/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * history_calls.h - random calls of the frame allocator that record themselves (history.h). For the
 * tests in which CPUs are interleaved: each of them includes this, so that the calls are compiled for
 * its port.
 *
 * Each line of execution has the frames that it owns. The owner writes a mark to each of its frames
 * and finds it there before it frees the frame. A line may also exchange a frame, or nothing, for what
 * is in a slot that all lines share: so frames are freed on other CPUs than those that allocated them.
 */
#pragma once

#include <port.h>

#include <stdio.h>

#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "tests/host/support/history.h"

#define CALLS_RUNS_MAX 8
#define CALLS_SLOTS    2

struct calls_line {
	unsigned number, cpu;
	bool in_trap;
	unsigned frames, runs;
	uint64_t frame[HISTORY_FRAMES_MAX];
	struct {
		uint64_t first, count;
	} run[CALLS_RUNS_MAX];
};

/* What the test says: when a call begins and ends, see history.h, and a number below `count`. */
struct calls_test {
	uint64_t (*begins)(void);
	uint64_t (*ends)(void);
	unsigned (*choose)(unsigned count);
};

static const struct calls_test *calls_test;
static struct history calls_history;
static struct calls_line calls_line[HISTORY_LINES_MAX];
static uint64_t calls_slot[CALLS_SLOTS];

/* Of the zones that there are. Their first frames are metadata. */
static struct history_machine calls_machine(uint32_t capacity)
{
	struct history_machine machine = {.cpus = port_cpu_count(), .zones = zones.count};

	for (unsigned i = 0; i < zones.count; i++) {
		machine.zone[i].first = zones.zone[i].first + zones.zone[i].reserved_frames;
		machine.zone[i].count = (unsigned)zones.zone[i].free_frames;
	}
	machine.exact_runs = zones.zone[0].policy->exact_runs;
	machine.cache_frames = capacity;
	if (zones.count > 1 && capacity) /* those that wait for a zone that is not the cache's */
		machine.cache_frames += FRAME_CACHE_BATCH;
	return machine;
}

static void calls_start(const struct calls_test *test, const struct history_machine *machine)
{
	calls_test = test;
	history_start(&calls_history, machine);
	for (unsigned i = 0; i < HISTORY_LINES_MAX; i++)
		calls_line[i] = (struct calls_line){.number = i, .cpu = i};
	for (unsigned i = 0; i < CALLS_SLOTS; i++)
		calls_slot[i] = 0;
}

static void calls_add(const struct calls_line *line, struct history_call *call)
{
	call->line = line->number;
	call->cpu = line->cpu;
	history_add(&calls_history, call);
}

/* ---- frames of a line ------------------------------------------------------------------------- */

static void calls_mark(const struct calls_line *line, uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		*(uint64_t *)frame_bytes(pfn(first + i)) = line->number + 1;
}

static void calls_check_mark(const struct calls_line *line, uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		if (*(uint64_t *)frame_bytes(pfn(first + i)) != line->number + 1)
			port_panic("two owners have written to frame %#llx",
				   (unsigned long long)(first + i));
}

static void calls_own(struct calls_line *line, uint64_t frame)
{
	calls_mark(line, frame, 1);
	line->frame[line->frames++] = frame;
}

static uint64_t calls_disown(struct calls_line *line)
{
	unsigned at = calls_test->choose(line->frames);
	uint64_t frame = line->frame[at];

	calls_check_mark(line, frame, 1);
	line->frame[at] = line->frame[--line->frames];
	return frame;
}

/* ---- calls ------------------------------------------------------------------------------------ */

static bool calls_take(struct calls_line *line, enum history_kind kind)
{
	struct history_call call = {.kind = kind, .count = 1, .align = 1};
	pfn_t frame;

	call.begin = calls_test->begins();
	if (kind == HISTORY_ALLOC)
		frame = frame_alloc_called();
	else if (kind == HISTORY_ALLOC_NOWAIT)
		frame = frame_alloc(FRAME_NOWAIT);
	else
		frame = frame_alloc_run(1, 1);
	call.end = calls_test->ends();
	call.first = pfn_is_none(frame) ? HISTORY_NONE : frame.value;
	calls_add(line, &call);
	if (pfn_is_none(frame))
		return false;
	if (kind == HISTORY_RUN) {
		calls_mark(line, frame.value, 1);
		line->run[line->runs].first = frame.value;
		line->run[line->runs++].count = 1;
	} else {
		calls_own(line, frame.value);
	}
	return true;
}

static void calls_give(struct calls_line *line)
{
	struct history_call call = {.kind = HISTORY_FREE, .count = 1, .align = 1};

	call.first = calls_disown(line);
	call.begin = calls_test->begins();
	frame_free_called(pfn(call.first));
	call.end = calls_test->ends();
	calls_add(line, &call);
}

static void calls_take_run(struct calls_line *line, enum history_kind kind)
{
	struct history_call call = {.kind = kind};
	pfn_t first;

	if (line->runs == CALLS_RUNS_MAX)
		return;
	call.count = 2 + calls_test->choose(3);
	call.align = UINT64_C(1) << calls_test->choose(3);
	call.begin = calls_test->begins();
	first = frame_alloc_run_flags(call.count, call.align,
				      kind == HISTORY_RUN ? FRAME_ANY : FRAME_NOWAIT);
	call.end = calls_test->ends();
	call.first = pfn_is_none(first) ? HISTORY_NONE : first.value;
	calls_add(line, &call);
	if (pfn_is_none(first))
		return;
	calls_mark(line, first.value, call.count);
	line->run[line->runs].first = first.value;
	line->run[line->runs++].count = call.count;
}

static void calls_give_run(struct calls_line *line)
{
	struct history_call call = {.kind = HISTORY_RUN_FREE, .align = 1};
	unsigned at = calls_test->choose(line->runs);

	call.first = line->run[at].first;
	call.count = line->run[at].count;
	line->run[at] = line->run[--line->runs];
	calls_check_mark(line, call.first, call.count);
	call.begin = calls_test->begins();
	frame_free_run(pfn(call.first), call.count);
	call.end = calls_test->ends();
	calls_add(line, &call);
}

static void calls_restart(void)
{
	unsigned long flags = port_irq_save();

	frame_cache_offline();
	frame_cache_online();
	port_irq_restore(flags);
}

static void calls_other(struct calls_line *line, enum history_kind kind)
{
	struct history_call call = {.kind = kind};

	call.begin = calls_test->begins();
	if (kind == HISTORY_ASK) {
		frame_drain_ask();
		frame_drain_settle();
	} else if (kind == HISTORY_FLUSH) {
		frame_cache_flush();
	} else if (kind == HISTORY_RESTART) {
		calls_restart();
	}
	call.end = calls_test->ends();
	calls_add(line, &call);
}

/* No call of the allocator. */
static void calls_exchange(struct calls_line *line)
{
	uint64_t *slot = &calls_slot[calls_test->choose(CALLS_SLOTS)];
	uint64_t frame = line->frames ? calls_disown(line) : 0;

	ck_pr_fence_release(); /* with the acquire fence on the CPU that takes it out */
	frame = ck_pr_fas_64(slot, frame);
	ck_pr_fence_acquire();
	if (frame)
		calls_own(line, frame);
}

/* A random one; false: none. */
static bool calls_any(struct calls_line *line)
{
	unsigned draw = calls_test->choose(17);
	bool has_room = line->runs < CALLS_RUNS_MAX;

	if (draw == 0)
		return false;
	if (draw <= 3 && line->frames)
		calls_give(line);
	else if (draw <= 7)
		calls_take(line, HISTORY_ALLOC);
	else if (draw <= 9)
		calls_take(line, HISTORY_ALLOC_NOWAIT);
	else if (draw <= 11)
		calls_take_run(line, draw == 10 ? HISTORY_RUN : HISTORY_RUN_NOWAIT);
	else if (draw == 12 && line->runs)
		calls_give_run(line);
	else if (draw == 13 && !line->in_trap) /* it may wait for what the handler has interrupted */
		calls_other(line, HISTORY_ASK);
	else if (draw == 14)
		calls_other(line, HISTORY_FLUSH);
	else if (draw == 15 && !line->in_trap)
		calls_other(line, HISTORY_RESTART);
	else if (draw == 16)
		calls_exchange(line);
	else
		calls_take(line, has_room ? HISTORY_RUN : HISTORY_ALLOC);
	return true;
}

/*
 * The last calls, while no other line makes any: a run is found wherever its frames are, and so is a
 * frame without waiting after all CPUs were asked. Then it allocates until there is no frame: so a frame
 * that was lost is missed.
 */
static void calls_finish(struct calls_line *line)
{
	unsigned draw = calls_test->choose(3);

	if (draw == 0)
		calls_take_run(line, HISTORY_RUN);
	if (draw == 1) {
		calls_other(line, HISTORY_ASK);
		while (calls_take(line, HISTORY_ALLOC_NOWAIT))
			;
	}
	while (calls_take(line, HISTORY_ALLOC))
		;
}

/* ---- counting --------------------------------------------------------------------------------- */

/* Of all histories that were checked. */
struct calls_counts {
	uint64_t histories, calls, states;
	uint64_t failed, failed_runs, failed_nowait; /* of these calls, that many failed */
	uint64_t strict; /* of the last two, those that could have overlooked nothing */
};

static void calls_count(struct calls_counts *counts, const struct history_verdict *verdict)
{
	counts->histories++;
	counts->calls += calls_history.calls;
	counts->states += verdict->states;
	counts->strict += verdict->strict;
	for (unsigned i = 0; i < calls_history.calls; i++) {
		const struct history_call *call = &calls_history.call[i];

		if (call->kind > HISTORY_RUN_NOWAIT || call->first != HISTORY_NONE)
			continue;
		if (call->kind == HISTORY_ALLOC)
			counts->failed++;
		else if (call->kind == HISTORY_RUN)
			counts->failed_runs++;
		else
			counts->failed_nowait++;
	}
}

static void calls_print_counts(const struct calls_counts *counts)
{
	printf("# %llu histories, %llu calls, %llu states; without a result: %llu allocations, "
	       "%llu "
	       "runs and %llu calls that do not wait, of which %llu may overlook nothing\n",
	       (unsigned long long)counts->histories, (unsigned long long)counts->calls,
	       (unsigned long long)counts->states, (unsigned long long)counts->failed,
	       (unsigned long long)counts->failed_runs, (unsigned long long)counts->failed_nowait,
	       (unsigned long long)counts->strict);
}
