/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * history_rules.c - the sequential allocator of history.h: what each call may answer, and how many
 * frames a call may overlook.
 */
#include "tests/host/support/history_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool is_single(const struct history_call *call)
{
	return call->count == 1 && call->align == 1;
}

static bool is_allocation(const struct history_call *call)
{
	return call->kind <= HISTORY_RUN_NOWAIT;
}

static bool has_failed(const struct history_call *call)
{
	return is_allocation(call) && call->first == HISTORY_NONE;
}

/* It fails only if at one instant no frame was free at all. */
static bool is_exact(const struct history_call *call)
{
	return call->kind == HISTORY_ALLOC || (call->kind == HISTORY_RUN && is_single(call));
}

/* ---- frames as bits -------------------------------------------------------------------------- */

static uint64_t ones(unsigned count)
{
	return count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
}

static unsigned zone_shift(const struct history_machine *machine, unsigned zone)
{
	unsigned shift = 0;

	for (unsigned i = 0; i < zone; i++)
		shift += machine->zone[i].count;
	return shift;
}

static uint64_t zone_bits(const struct history_machine *machine, unsigned zone)
{
	return ones(machine->zone[zone].count) << zone_shift(machine, zone);
}

/* 0: they are not frames of one zone. */
static uint64_t frames_of(const struct history_machine *machine, const struct history_call *call)
{
	for (unsigned i = 0; i < machine->zones; i++) {
		uint64_t offset = call->first - machine->zone[i].first;

		if (call->count && offset < machine->zone[i].count &&
		    call->count <= machine->zone[i].count - offset)
			return ones((unsigned)call->count) << offset << zone_shift(machine, i);
	}
	return 0;
}

/* ---- how much may be overlooked ---------------------------------------------------------------- */

bool plan_is_before(const struct plan *plan, unsigned a, unsigned b)
{
	const struct history_call *call = plan->history->call;

	if (call[a].line == call[b].line)
		return a < b;
	return plan->end[a] < plan->begin[b];
}

/*
 * Call `by` has emptied the cache of the CPU, at some instant of it. No CPU is asked for runs that the
 * policy would overlook.
 */
static bool empties(const struct history_machine *machine, const struct history_call *by,
		    unsigned cpu)
{
	switch (by->kind) {
	case HISTORY_RUN:
		return machine->exact_runs && by->first == HISTORY_NONE && !is_single(by);
	case HISTORY_ASK:
		return by->cpu != cpu;
	case HISTORY_FLUSH:
	case HISTORY_RESTART:
		return by->cpu == cpu;
	default:
		return false;
	}
}

/*
 * All other calls of the CPU come before call `by`, or after the call that has failed. by ==
 * history->calls: the start, before which there are no calls.
 */
static bool is_quiet(const struct plan *plan, unsigned cpu, unsigned by, unsigned failed)
{
	const struct history *history = plan->history;

	for (unsigned i = 0; i < history->calls; i++) {
		if (history->call[i].cpu != cpu || i == by || i == failed)
			continue;
		if (by < history->calls && plan_is_before(plan, i, by))
			continue;
		if (!plan_is_before(plan, failed, i))
			return false;
	}
	return true;
}

static bool cache_is_empty(const struct plan *plan, unsigned cpu, unsigned failed)
{
	const struct history *history = plan->history;

	if (is_quiet(plan, cpu, history->calls, failed))
		return true;
	for (unsigned by = 0; by < history->calls; by++)
		if (empties(&history->machine, &history->call[by], cpu) &&
		    (by == failed || plan_is_before(plan, by, failed)) &&
		    is_quiet(plan, cpu, by, failed))
			return true;
	return false;
}

/* A trap handler has made calls in the middle of it. */
static bool is_interrupted(const struct plan *plan, unsigned at)
{
	const struct history *history = plan->history;

	for (unsigned i = 0; i < history->calls; i++)
		if (history->call[i].cpu == history->call[at].cpu && i != at &&
		    !plan_is_before(plan, i, at) && !plan_is_before(plan, at, i))
			return true;
	return false;
}

/* Of a call that has failed and is not exact. */
static unsigned overlooked_by(const struct plan *plan, unsigned failed)
{
	const struct history_machine *machine = &plan->history->machine;
	const struct history_call *call = &plan->history->call[failed];
	unsigned frames = 0;

	for (unsigned cpu = 0; cpu < machine->cpus; cpu++) {
		if (call->kind == HISTORY_ALLOC_NOWAIT && cpu == call->cpu &&
		    !is_interrupted(plan, failed))
			continue;
		if (!cache_is_empty(plan, cpu, failed))
			frames += machine->cache_frames;
	}
	return frames;
}

/* ---- the plan --------------------------------------------------------------------------------- */

static void widen(struct plan *plan, unsigned line)
{
	const struct history *history = plan->history;
	uint64_t begin = 0, end = UINT64_MAX;

	for (unsigned i = 0; i < history->calls; i++) {
		if (history->call[i].line != line)
			continue;
		if (history->call[i].begin)
			begin = history->call[i].begin;
		plan->begin[i] = begin;
	}
	for (unsigned i = history->calls; i-- > 0;) {
		if (history->call[i].line != line)
			continue;
		if (history->call[i].end)
			end = history->call[i].end;
		plan->end[i] = end;
	}
}

static void add_step(struct plan *plan, unsigned call, unsigned zone)
{
	unsigned line = plan->history->call[call].line;

	plan->step[line][plan->steps[line]++] = (struct step){call, zone};
}

void plan_make(struct plan *plan, const struct history *history)
{
	const struct history_machine *machine = &history->machine;

	memset(plan, 0, sizeof(*plan));
	plan->history = history;
	plan->all = ones(zone_shift(machine, machine->zones));
	for (unsigned line = 0; line < HISTORY_LINES_MAX; line++)
		widen(plan, line);
	for (unsigned i = 0; i < history->calls; i++) {
		const struct history_call *call = &history->call[i];

		plan->frames[i] = frames_of(machine, call);
		if (!has_failed(call) || is_exact(call)) {
			add_step(plan, i, HISTORY_ZONES_MAX);
			continue;
		}
		plan->overlooked[i] = overlooked_by(plan, i);
		for (unsigned zone = 0; zone < machine->zones; zone++)
			add_step(plan, i, zone);
	}
}

unsigned plan_strict(const struct plan *plan)
{
	const struct history *history = plan->history;
	unsigned strict = 0;

	for (unsigned i = 0; i < history->calls; i++) {
		const struct history_call *call = &history->call[i];
		bool judged = history->machine.exact_runs || call->kind == HISTORY_ALLOC_NOWAIT;

		strict += has_failed(call) && !is_exact(call) && judged && !plan->overlooked[i];
	}
	return strict;
}

/* ---- steps ------------------------------------------------------------------------------------ */

__attribute__((format(printf, 3, 4))) static bool refuse(char *why, size_t size, const char *format,
							 ...)
{
	va_list arguments;

	if (!why)
		return false;
	va_start(arguments, format);
	vsnprintf(why, size, format, arguments);
	va_end(arguments);
	return false;
}

static bool take(const struct plan *plan, unsigned at, uint64_t *free, char *why, size_t size)
{
	const struct history_call *call = &plan->history->call[at];
	uint64_t frames = plan->frames[at];

	if (!frames)
		return refuse(why, size, "these are not frames of one zone");
	if (call->first % call->align)
		return refuse(why, size, "%#llx is not aligned", (unsigned long long)call->first);
	if ((*free & frames) != frames)
		return refuse(why, size, "it got what is not free: another owner has it");
	*free &= ~frames;
	return true;
}

static bool give(const struct plan *plan, unsigned at, uint64_t *free, char *why, size_t size)
{
	uint64_t frames = plan->frames[at];

	if (!frames)
		return refuse(why, size, "these are not frames of one zone");
	if (*free & frames)
		return refuse(why, size, "it frees what is free already");
	*free |= frames;
	return true;
}

/*
 * The fewest frames of which each free run has one. Of runs of one length, in their order, each that
 * has none yet gives its last frame: no other frame of it is in more of the later runs.
 */
static unsigned in_all_runs(const struct plan *plan, const struct history_call *call, unsigned zone,
			    uint64_t free)
{
	const struct history_machine *machine = &plan->history->machine;
	uint64_t left = (free & zone_bits(machine, zone)) >> zone_shift(machine, zone);
	uint64_t first = machine->zone[zone].first;
	unsigned frames = 0;

	for (uint64_t at = 0; at + call->count <= machine->zone[zone].count; at++) {
		uint64_t run = ones((unsigned)call->count) << at;

		if ((first + at) % call->align || (left & run) != run)
			continue;
		frames++;
		left &= ~(UINT64_C(1) << (at + call->count - 1));
	}
	return frames;
}

static bool fail(const struct plan *plan, struct step step, uint64_t free, char *why, size_t size)
{
	const struct history_machine *machine = &plan->history->machine;
	const struct history_call *call = &plan->history->call[step.call];
	unsigned there, overlooked = plan->overlooked[step.call];

	if (is_exact(call)) {
		there = (unsigned)__builtin_popcountll(free);
		return !there || refuse(why, size, "it found none, and %u are free", there);
	}
	if (call->kind == HISTORY_ALLOC_NOWAIT || is_single(call))
		there = (unsigned)__builtin_popcountll(free & zone_bits(machine, step.zone));
	else
		there = machine->exact_runs ? in_all_runs(plan, call, step.zone, free) : 0;
	return there <= overlooked ||
	       refuse(why, size, "it found none in zone %u: caches may hide %u frames, not %u",
		      step.zone, overlooked, there);
}

bool plan_step(const struct plan *plan, struct step step, uint64_t *free, char *why, size_t size)
{
	const struct history_call *call = &plan->history->call[step.call];

	if (has_failed(call))
		return fail(plan, step, *free, why, size);
	if (is_allocation(call))
		return take(plan, step.call, free, why, size);
	if (call->kind == HISTORY_FREE || call->kind == HISTORY_RUN_FREE)
		return give(plan, step.call, free, why, size);
	return true;
}
