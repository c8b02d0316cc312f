/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame_word.h - ranges of frames as words of 64, and words collected by a claim: for the policies.
 *
 * Frames are pfns, ranges half-open. Every function is O(1), touches only its arguments, and may be
 * called under any lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/global/bits.h"
#include "mm/global/policy.h"

/* The first frame of the word that a frame lies in. */
/*@ terminates \true;
    assigns \nothing;
    ensures \result == pfn - pfn % 64; */
static inline uint64_t frame_word_first(uint64_t pfn)
{
	return pfn & ~(uint64_t)(FRAMES_PER_WORD - 1);
}

/* How many words the frames [first, first + count) lie in; count >= 1. */
/*@ requires count >= 1 && first + count <= FRAMES_END;
    terminates \true;
    assigns \nothing;
    ensures \result == (first % 64 + count + 63) / 64; */
static inline uint64_t frame_word_count(uint64_t first, uint64_t count)
{
	return (first + count - frame_word_first(first) + FRAMES_PER_WORD - 1) / FRAMES_PER_WORD;
}

/* Takes the part of [*first, *first + *count) that lies in its first word off the range. */
/*@ requires \valid(first) && \valid(count) && \separated(first, count);
    requires *count >= 1 && *first + *count <= FRAMES_END;
    terminates \true;
    assigns *first, *count;
    ensures \result.first == \old(*first) - \old(*first) % 64 && \result.first % 64 == 0;
    ensures \old(*first) < *first <= \result.first + 64;
    ensures *first + *count == \old(*first + *count);
    ensures *count == 0 || *first == \result.first + 64;
    ensures \forall integer i; 0 <= i < 64 ==> (has_bit(\result.bits, i) <==>
	\old(*first) <= \result.first + i < *first); */
static inline struct frame_word frame_word_next(uint64_t *first, uint64_t *count)
{
	unsigned from = *first % FRAMES_PER_WORD;
	unsigned to = *count < FRAMES_PER_WORD - from ? from + (unsigned)*count : FRAMES_PER_WORD;
	struct frame_word word = {*first - from, bits_between(from, to)};

	*first += to - from;
	*count -= to - from;
	return word;
}

/* What a claim has collected so far. `words` has room for POLICY_WORDS_MAX. */
struct frame_word_list {
	struct frame_word *words;
	unsigned count;
	unsigned frames;
};

/*
 * Adds a word of `frames` frames. It is joined to the last one if both are of the same 64 frames.
 * False, and nothing added: there is no room.
 */
static inline bool frame_word_add(struct frame_word_list *list, struct frame_word word,
				  unsigned frames)
{
	struct frame_word *next = &list->words[list->count];

	if (list->count && next[-1].first == word.first) {
		next[-1].bits |= word.bits;
	} else {
		if (list->count == POLICY_WORDS_MAX)
			return false;
		*next = word;
		list->count++;
	}
	list->frames += frames;
	return true;
}
