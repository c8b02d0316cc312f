/* SPDX-License-Identifier: BSD-2-Clause */
/* frame_state.c - see frame_state.h: runs of any length, wherever they begin, and the checks at rest. */
#include "mm/frame_state.h"

#include <string.h>

#include "mm/frame_debug.h"
#include "mm/words.h"

#if CHECKS

/* The frames of [first, end) whose words' states are the run's: [*from, *to), both in words of 64. */
static bool whole_words(uint64_t first, uint64_t end, uint64_t *from, uint64_t *to)
{
	*from = (first + FRAMES_PER_WORD - 1) & ~(uint64_t)(FRAMES_PER_WORD - 1);
	*to = end & ~(uint64_t)(FRAMES_PER_WORD - 1);
	return *from < *to;
}

/* Their own bytes say that the frames [from, to) are of a run. */
static void mark_bytes(struct zone *zone, uint64_t from, uint64_t to, bool head)
{
	uint8_t *state = &zone->state[from - zone->first];

	if (from >= to)
		return;
	state[0] = head ? FRAME_STATE_RUN_HEAD : FRAME_STATE_RUN_BODY;
	memset(state + 1, FRAME_STATE_RUN_BODY, to - from - 1);
}

static void mark_words(struct zone *zone, uint64_t from, uint64_t to, bool head)
{
	uint8_t *state = zone_word_state(zone, from);
	size_t words = (to - from) / FRAMES_PER_WORD;

	for (size_t i = 0; i < words; i++)
		check(!state[i],
		      "frame_alloc_run: frame %#llx is handed out twice: it is part of a run",
		      (unsigned long long)(from + i * FRAMES_PER_WORD));
	state[0] = head ? FRAME_STATE_RUN_HEAD : FRAME_STATE_RUN_BODY;
	memset(state + 1, FRAME_STATE_RUN_BODY, words - 1);
}

/*
 * The head is written first. At no time is there a body in its place: a CPU that frees the run before this
 * one would find it (frame_is_inside_run).
 */
__attribute__((noinline)) void frame_run_mark_any(struct zone *zone, uint64_t first, uint64_t count)
{
	uint64_t end = first + count, from, to;

	if (!whole_words(first, end, &from, &to)) {
		mark_bytes(zone, first, end, true);
		return;
	}
	mark_bytes(zone, first, from, true);
	mark_words(zone, from, to, first == from);
	mark_bytes(zone, to, end, false);
}

/* How many of the frames [from, end) are of the body of one run, from the first on. */
static uint64_t body_frames(struct zone *zone, uint64_t from, uint64_t end)
{
	uint64_t frame = from;

	while (frame < end) {
		uint64_t next = (frame | (FRAMES_PER_WORD - 1)) + 1, same;
		unsigned word = *zone_word_state(zone, frame);

		if (next > end)
			next = end;
		if (word) {
			/* Of the word of a run only its first frame can be the head. */
			if (word == FRAME_STATE_RUN_HEAD && frame % FRAMES_PER_WORD == 0)
				break;
			frame = next;
			continue;
		}
		same = bytes_equal(&zone->state[frame - zone->first], FRAME_STATE_RUN_BODY,
				   next - frame);
		frame += same;
		if (frame != next)
			break;
	}
	return frame - from;
}

/* The first of the words' frames that has a state of its own; `to` if none has. */
static uint64_t first_not_free(const struct zone *zone, uint64_t from, uint64_t to)
{
	return from + bytes_equal(&zone->state[from - zone->first], FRAME_STATE_FREE, to - from);
}

static void unmark_words(struct zone *zone, uint64_t from, uint64_t to, const void *caller)
{
	uint64_t other = first_not_free(zone, from, to);

	check(other == to,
	      "frame_free_run: frame %#llx of the run was handed out more than once: its own state "
	      "is "
	      "%#x, called from [<%p>]",
	      (unsigned long long)other, zone->state[other - zone->first], caller);
	memset(zone_word_state(zone, from), FRAME_STATE_FREE, (to - from) / FRAMES_PER_WORD);
}

static void unmark_bytes(struct zone *zone, uint64_t from, uint64_t to)
{
	if (from < to)
		memset(&zone->state[from - zone->first], FRAME_STATE_FREE, to - from);
}

__attribute__((noinline)) void frame_run_unmark_any(struct zone *zone, uint64_t first,
						    uint64_t count, const void *caller)
{
	unsigned state = zone_frame_state(zone, first);
	uint64_t end = first + count, from, to, same;

	check(state != FRAME_STATE_FREE,
	      "frame_free_run: run %#llx is freed twice: its state is free, called from [<%p>]%s",
	      (unsigned long long)first, caller, frame_debug_text(first));
	check(state == FRAME_STATE_RUN_HEAD,
	      "frame_free_run: frame %#llx has state %#x%s, expected the head of a run, called "
	      "from [<%p>]%s",
	      (unsigned long long)first, state,
	      state == FRAME_STATE_HEAP || state == FRAME_STATE_HEAP_RUN
		      ? " and is mismatched: it is the heap's, and kfree frees a block"
		      : "",
	      caller, frame_debug_text(first));
	same = 1 + body_frames(zone, first + 1, end);
	check(same == count,
	      "frame_free_run: run %#llx has %llu frames, not %llu, called from [<%p>]%s",
	      (unsigned long long)first, (unsigned long long)same, (unsigned long long)count,
	      caller, frame_debug_text(first));
	check(!zone_holds(zone, end) || !frame_is_inside_run(zone, end),
	      "frame_free_run: run %#llx has more than %llu frames, called from [<%p>]%s",
	      (unsigned long long)first, (unsigned long long)count, caller, frame_debug_text(first));
	if (!whole_words(first, end, &from, &to)) {
		unmark_bytes(zone, first, end);
		return;
	}
	unmark_words(zone, from, to, caller);
	unmark_bytes(zone, first, from);
	unmark_bytes(zone, to, end);
}

/* ---- at rest ----------------------------------------------------------------------------- */

/* A word of a run: none of its frames has a state of its own, and a body is behind a run's frame. */
static void validate_word(const struct zone *zone, uint64_t from)
{
	unsigned word = *zone_word_state(zone, from);
	uint64_t other = first_not_free(zone, from, from + FRAMES_PER_WORD);
	unsigned before;

	check(word == FRAME_STATE_RUN_HEAD || word == FRAME_STATE_RUN_BODY,
	      "%s: the word of frame %#llx has state %#x, expected a run's", zone->name,
	      (unsigned long long)from, word);
	check(other == from + FRAMES_PER_WORD,
	      "%s: frame %#llx of a run has state %#x of its own: it was handed out more than once",
	      zone->name, (unsigned long long)other, zone->state[other - zone->first]);
	if (word == FRAME_STATE_RUN_HEAD)
		return;
	before = zone_frame_state(zone, from - 1);
	check(before == FRAME_STATE_RUN_HEAD || before == FRAME_STATE_RUN_BODY ||
		      before == FRAME_STATE_HEAP_RUN,
	      "%s: frame %#llx is inside a run, and the frame before it has state %#x", zone->name,
	      (unsigned long long)from, before);
}

/* Of frames [from, to), which are of one word. */
static uint64_t allocated_bytes(const struct zone *zone, uint64_t from, uint64_t to)
{
	uint64_t frames = 0;

	/* All of them are free nearly everywhere at rest. */
	if (first_not_free(zone, from, to) == to)
		return 0;
	for (; from < to; from++)
		frames += zone->state[from - zone->first] != FRAME_STATE_FREE;
	return frames;
}

uint64_t frame_states_allocated(const struct zone *zone)
{
	uint64_t end = zone->first + zone->total_frames, frames = 0, next;

	for (uint64_t frame = zone->first + zone->reserved_frames; frame < end; frame = next) {
		next = (frame | (FRAMES_PER_WORD - 1)) + 1;
		if (*zone_word_state(zone, frame)) {
			validate_word(zone, frame);
			frames += next - frame;
			continue;
		}
		frames += allocated_bytes(zone, frame, next < end ? next : end);
	}
	return frames;
}

#endif
