/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame_state.h - the states of the frames of a run (enum frame_state in zone.h). With CHECKS=0 there are
 * none, and these functions do nothing.
 *
 * A run's state is where it takes the fewest stores. Where the run has all 64 frames of a word, the word
 * has the state: one byte, zone_word_state(). The bytes of its frames stay "free", as they were in the
 * zone. So a free of one of them as a single frame fails as any free of a free frame does, and only the
 * message looks at the word. The other frames of the run, at its ends, have the state in their own bytes.
 *
 * Writers: the owner of the run, alone. So a word's byte is written by the owner of a run that has all
 * of its frames, and else by no CPU.
 */
#pragma once

#include "mm/check.h"
#include "mm/global/zone.h"

/* Frames of a run whose words are one aligned word of words' states. */
#define FRAMES_PER_WORD_STATES (8 * FRAMES_PER_WORD)

/* Any run of the zone has been allocated. O(frames / 64). */
void frame_run_mark_any(struct zone *zone, uint64_t first, uint64_t count);

/*
 * Any run of the zone is freed: panics unless it is exactly a run that is allocated, and says which
 * mistake it was. [first, first + count) is in the zone.
 */
void frame_run_unmark_any(struct zone *zone, uint64_t first, uint64_t count, const void *caller);

/*
 * At rest: the frames of the zone that are neither free nor reserved, by their states. Panics where
 * states contradict each other. O(frames).
 */
uint64_t frame_states_allocated(const struct zone *zone);

#if CHECKS

typedef uint64_t __attribute__((may_alias)) frame_states;

/* Eight states of words, those of a run of FRAMES_PER_WORD_STATES. Little-endian: the head comes first. */
#define FRAME_STATES_RUN (UINT64_C(0x0101010101010101) * FRAME_STATE_RUN_BODY - 1)

_Static_assert(FRAME_STATE_RUN_BODY - 1 == FRAME_STATE_RUN_HEAD,
	       "the head is one less than the body");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte of a word is its lowest");

/* The states of eight words, or of eight frames. */
static inline frame_states *frame_states_at(uint8_t *first)
{
	return (frame_states *)first;
}

static inline bool frame_run_fills_states(uint64_t first, uint64_t count)
{
	return count == FRAMES_PER_WORD_STATES && first % FRAMES_PER_WORD_STATES == 0;
}

/*
 * Reads the state of the frame behind a run, which another owner may be writing: a byte of its word, and
 * its own byte, neither ever torn. Only "body of a run" matters. The head of a body lies before it, so
 * the head of this one is our run's, or would lie inside our run. So another owner never writes "body"
 * there, and the answer is the same for every value that it writes. ThreadSanitizer cannot know that, so
 * it does not look here.
 */
__attribute__((no_sanitize("thread"))) static inline bool frame_is_inside_run(
	const struct zone *zone, uint64_t frame)
{
	uint8_t word = *zone_word_state(zone, frame);

	if (word)
		return word == FRAME_STATE_RUN_BODY || frame % FRAMES_PER_WORD;
	return zone->state[frame - zone->first] == FRAME_STATE_RUN_BODY;
}

/* True if the bytes of the 64 frames of each of `words` words say "free". */
static inline bool frame_bytes_are_free(const uint8_t *states, unsigned words)
{
	const frame_states *next = (const frame_states *)states, *end = next + 8 * words;
	uint64_t any = 0;

#pragma GCC unroll 8
	do {
		any |= next[0] | next[1] | next[2] | next[3] | next[4] | next[5] | next[6] | next[7];
		next += 8;
	} while (next != end);
	return !any;
}

#endif

/* The run has been allocated. Before any CPU knows of it. */
static inline void frame_run_mark(struct zone *zone, uint64_t first, uint64_t count)
{
#if CHECKS
	if (__builtin_expect(frame_run_fills_states(first, count), 1)) {
		frame_states *states = frame_states_at(zone_word_state(zone, first));

		if (__builtin_expect(!*states, 1)) {
			*states = FRAME_STATES_RUN;
			return;
		}
	}
	frame_run_mark_any(zone, first, count);
#else
	(void)zone;
	(void)first;
	(void)count;
#endif
}

/* As frame_run_unmark_any(). Before the zone gets it back. */
static inline void frame_run_unmark(struct zone *zone, uint64_t first, uint64_t count,
				    const void *caller)
{
#if CHECKS
	if (__builtin_expect(frame_run_fills_states(first, count), 1)) {
		frame_states *states = frame_states_at(zone_word_state(zone, first));
		uint64_t end = first + count;

		if (__builtin_expect(
			    *states == FRAME_STATES_RUN &&
				    !(zone_holds(zone, end) && frame_is_inside_run(zone, end)) &&
				    frame_bytes_are_free(&zone->state[first - zone->first], 8),
			    1)) {
			*states = 0;
			return;
		}
	}
	frame_run_unmark_any(zone, first, count, caller);
#else
	(void)zone;
	(void)first;
	(void)count;
	(void)caller;
#endif
}
