/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_tree_private.h - what the files of the segment tree share; segment_tree.c has the theory.
 *
 * A word is 64 frames of the bitmap, a chunk eight words, a group eight chunks. The 64 words of a
 * group are one word of the first summary, and its eight chunks one byte of the run tree's dirty
 * bits.
 *
 * All of it runs under the zone's lock, except the functions that plan. The words that planning
 * reads are stored atomically (counter_set).
 */
#pragma once

#include "mm/global/bit_index.h"
#include "mm/global/policy.h"
#include "mm/global/run_tree.h"

#define GROUP_SHIFT (CHUNK_SHIFT + FANOUT_SHIFT)

struct segment_tree {
	/* Read without the lock by segment_tree_plan_claim; written under it (S1, S4). */
	struct bit_index frames; /* 1: free */
	struct bit_index chunks; /* 1: all of the chunk is free */
	/* Read-only after tree_init. */
	uint32_t index_first; /* indices of the zone's frames: [index_first, index_end) */
	uint32_t index_end;   /* at most 2^31 + 511: see ZONE_FRAMES_MAX */
	/* As `frames`. */
	uint64_t group_lowest;
	struct run_tree runs; /* ends in an array, so it is last; runs.base is the pfn of index 0 */
};

/* segment_tree_plan.c: batches that are planned before the lock is taken. */
void segment_tree_plan_claim(const void *instance, unsigned min, struct frame_word *words,
			     struct policy_plan *plan);
unsigned segment_tree_claim_planned(struct segment_tree *tree, unsigned min, unsigned max,
				    const struct policy_plan *plan, struct frame_word *words,
				    unsigned *taken);
void segment_tree_plan_release(const void *instance, const struct frame_word *words, unsigned count,
			       struct policy_plan *plan);
void segment_tree_release_planned(struct segment_tree *tree, const struct policy_plan *plan,
				  const struct frame_word *words, unsigned count);

/* segment_tree_words.c: any claim and release of words, without a plan. */

/* Goes on with a claim that has `count` words and *taken frames; returns the number of words. */
unsigned segment_tree_claim_more(struct segment_tree *tree, unsigned min, unsigned max,
				 unsigned count, struct frame_word *words, unsigned *taken);

/* segment_tree_run.c: contiguous runs. */
enum run_result segment_tree_claim_run(void *instance, uint64_t count, uint64_t align,
				       unsigned steps, uint64_t *first);
void segment_tree_release_run(void *instance, uint64_t first, uint64_t count);

/* segment_tree_validate.c */
uint64_t segment_tree_validate(const void *instance);

/* ---- what a change of the bitmap changes above it ------------------------------------------ */

/* Called where a group has no free frame any more, or has its first one. */
void segment_tree_group_emptied(struct segment_tree *tree, uint64_t group);
void segment_tree_group_filled(struct segment_tree *tree, uint64_t group);

/*
 * Frames were taken from these chunks of a group (a bit each), of which one or more was not dirty.
 */
void segment_tree_break_chunks(struct segment_tree *tree, uint64_t group, unsigned chunks);

/* The last missing frame of a chunk became free (S6). */
void segment_tree_chunk_freed(struct segment_tree *tree, uint64_t chunk);

/*
 * Frames of a word were taken; it may be empty now. Returns 1: a claim of one word ends in this
 * call.
 */
unsigned segment_tree_word_taken(struct segment_tree *tree, uint64_t word);

/* The same after a claim of one frame, which it returns: the claim ends in this call. */
uint64_t segment_tree_one_taken(struct segment_tree *tree, uint64_t word, uint64_t frame);

/* A word has been given frames in the bitmap: all that this may change above it. */
void segment_tree_word_given(struct segment_tree *tree, uint64_t word);

/*
 * Gives words back, of which the first was given in the bitmap and nowhere else, and the others not at
 * all.
 */
void segment_tree_release_rest(struct segment_tree *tree, const struct frame_word *given,
			       const struct frame_word *end);

/* Panics, naming the lowest of the given frames that is free already. */
_Noreturn void segment_tree_refuse(const struct segment_tree *tree, const struct frame_word *given);

static inline uint64_t *tree_leaf(const struct segment_tree *tree, uint64_t first)
{
	return &tree->frames.level[0][(first - tree->runs.base) >> 6];
}

/* S4: frames of this group are free now, which the summary says already. */
static inline void tree_lower_group(struct segment_tree *tree, uint64_t group)
{
	if (group < tree->group_lowest || !tree->frames.level[1][tree->group_lowest])
		counter_set(&tree->group_lowest, group);
}

/* The chunks that words of one group lie in: which bytes of the set of words are not 0. */
static inline unsigned tree_chunks_of_words(uint64_t words)
{
	words |= words >> 4;
	words |= words >> 2;
	words |= words >> 1;
	words &= UINT64_C(0x0101010101010101);
	return (unsigned)((words * UINT64_C(0x0102040810204080)) >> 56);
}

/* Words of a group, a bit each, have become empty. */
static inline void tree_words_emptied(struct segment_tree *tree, uint64_t group, uint64_t words)
{
	uint64_t summary = tree->frames.level[1][group] & ~words;

	counter_set(&tree->frames.level[1][group], summary);
	if (__builtin_expect(!summary, 0))
		segment_tree_group_emptied(tree, group);
}

/*
 * Frames were taken from these chunks of a group, a bit each. A dirty chunk was not all free (S6).
 */
static inline void tree_chunks_taken(struct segment_tree *tree, uint64_t group, unsigned chunks)
{
	if (__builtin_expect(chunks & ~run_tree_dirty_chunks(&tree->runs, group), 0))
		segment_tree_break_chunks(tree, group, chunks);
}

static inline bool tree_chunk_is_free(const struct segment_tree *tree, uint64_t chunk)
{
	const uint64_t *words = &tree->frames.level[0][chunk * CHUNK_WORDS];

	/* Frames come and go in rows. So where something is missing, it is mostly at an end. */
	if (~(words[0] & words[CHUNK_WORDS - 1]))
		return false;
	for (unsigned i = 1; i < CHUNK_WORDS - 1; i++)
		if (~words[i])
			return false;
	return true;
}

/* Frames of a chunk became free; all of it may be free now. */
static inline void tree_chunk_given(struct segment_tree *tree, uint64_t chunk)
{
	if (tree_chunk_is_free(tree, chunk))
		segment_tree_chunk_freed(tree, chunk);
	else if (!run_tree_is_dirty(&tree->runs, 0, chunk))
		run_tree_mark_dirty(&tree->runs, 0, chunk);
}

/*
 * Word by word, whatever their groups, and without a call as long as that is enough: a word that was
 * empty needs its bit in the summary. A word may make its chunk all free, but not as long as the
 * chunk's first or last word has a frame missing.
 */
static inline void tree_release_words(struct segment_tree *tree, const struct frame_word *given,
				      const struct frame_word *end)
{
	uint64_t base = tree->runs.base, *leaves = tree->frames.level[0];

	do {
		uint64_t index = given->first - base, word = index >> 6,
			 group = index >> GROUP_SHIFT;
		uint64_t bits = given->bits, before = leaves[word];

		if (__builtin_expect((before & bits) != 0, 0))
			segment_tree_refuse(tree, given);
		bits |= before;
		counter_set(&leaves[word], bits);
		if (!before) {
			uint64_t *at = &tree->frames.level[1][group], summary = *at;

			if (__builtin_expect(!summary, 0))
				goto otherwise;
			counter_set(at, summary | UINT64_C(1) << (word & 63));
		}
		if (!~bits && !~leaves[word | 7] && !~leaves[word & ~UINT64_C(7)])
			goto otherwise;
		if (__builtin_expect(!run_tree_is_dirty(&tree->runs, 0, index >> CHUNK_SHIFT), 0))
			goto otherwise;
	} while (++given != end);
	return;

otherwise:
	segment_tree_release_rest(tree, given, end);
}
