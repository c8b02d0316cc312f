/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_tree_words.c - claims and releases of words without a plan, and what a change of the bitmap
 * changes above it. Under the zone's lock; S1 to S6 (segment_tree.c) hold before and after each call.
 */
#include "mm/check.h"
#include "mm/global/segment_tree_private.h"

/* ---- what a change of the bitmap changes above it: the rare cases ------------------------- */

void segment_tree_group_emptied(struct segment_tree *tree, uint64_t group)
{
	uint64_t word;

	bit_index_clear(&tree->frames, 2, group);
	word = bit_index_first(&tree->frames, 1);
	if (word != BIT_INDEX_NONE)
		counter_set(&tree->group_lowest, word >> 6);
}

void segment_tree_group_filled(struct segment_tree *tree, uint64_t group)
{
	bit_index_set(&tree->frames, 2, group);
	tree_lower_group(tree, group);
}

void segment_tree_break_chunks(struct segment_tree *tree, uint64_t group, unsigned chunks)
{
	uint64_t *word = &tree->chunks.level[0][group / FANOUT];
	uint64_t whole = *word & ~((uint64_t)chunks << (group % FANOUT * FANOUT));

	counter_set(word, whole);
	if (!whole)
		bit_index_clear(&tree->chunks, 1, group / FANOUT);
	run_tree_mark_chunks(&tree->runs, group, chunks);
}

void segment_tree_chunk_freed(struct segment_tree *tree, uint64_t chunk)
{
	uint64_t *word = &tree->chunks.level[0][chunk >> 6], before = *word;

	counter_set(word, before | UINT64_C(1) << (chunk & 63));
	if (__builtin_expect(!before, 0))
		bit_index_set(&tree->chunks, 1, chunk >> 6);
	run_tree_set_free(&tree->runs, chunk);
}

unsigned segment_tree_word_taken(struct segment_tree *tree, uint64_t word)
{
	uint64_t group = word >> 6;

	if (!tree->frames.level[0][word])
		tree_words_emptied(tree, group, UINT64_C(1) << (word & 63));
	tree_chunks_taken(tree, group, 1u << (word / CHUNK_WORDS % FANOUT));
	return 1;
}

uint64_t segment_tree_one_taken(struct segment_tree *tree, uint64_t word, uint64_t frame)
{
	segment_tree_word_taken(tree, word);
	return frame;
}

/* ---- claims ------------------------------------------------------------------------------ */

/*
 * Takes words of the lowest group, from the lowest one on, until there are `min` frames, or the
 * words or the group are used up. Only the last word may keep something.
 */
static unsigned claim_group(struct segment_tree *tree, unsigned min, unsigned max, unsigned count,
			    struct frame_word *words, unsigned *taken)
{
	uint64_t group = tree->group_lowest, summary = tree->frames.level[1][group];
	uint64_t *leaf = &tree->frames.level[0][group << 6];
	uint64_t first = tree->runs.base + (group << GROUP_SHIFT);
	unsigned frames = *taken, lowest = bits_lowest(summary), i;

	do {
		uint64_t bits, rest = 0;
		unsigned here;

		i = bits_lowest(summary);
		bits = leaf[i];
		here = ~bits ? bits_count(bits) : FRAMES_PER_WORD;
		if (here > max - frames) {
			here = max - frames;
			rest = bits & ~bits_lowest_few(bits, here);
		} else {
			summary &= summary - 1;
		}
		counter_set(&leaf[i], rest);
		words[count].first = first + i * FRAMES_PER_WORD;
		words[count++].bits = bits ^ rest;
		frames += here;
	} while (frames < min && summary && count < POLICY_WORDS_MAX);
	*taken = frames;
	counter_set(&tree->frames.level[1][group], summary);
	/* Between the first and the last of these chunks no frame was free. */
	tree_chunks_taken(tree, group, (2u << (i / CHUNK_WORDS)) - (1u << (lowest / CHUNK_WORDS)));
	if (!summary)
		segment_tree_group_emptied(tree, group);
	return count;
}

__attribute__((noinline)) unsigned segment_tree_claim_more(struct segment_tree *tree, unsigned min,
							   unsigned max, unsigned count,
							   struct frame_word *words, unsigned *taken)
{
	while (*taken < min && count < POLICY_WORDS_MAX && tree->frames.level[1][tree->group_lowest])
		count = claim_group(tree, min, max, count, words, taken);
	return count;
}

/* ---- releases ---------------------------------------------------------------------------- */

_Noreturn void segment_tree_refuse(const struct segment_tree *tree, const struct frame_word *given)
{
	uint64_t bits = *tree_leaf(tree, given->first) & given->bits;

	port_panic("zone: frame %#llx is given back but it is free already: freed twice",
		   (unsigned long long)(given->first + bits_lowest(bits)));
}

/* A word has been given something: all that this may change above the bitmap. */
void segment_tree_word_given(struct segment_tree *tree, uint64_t word)
{
	uint64_t group = word >> 6, summary = tree->frames.level[1][group];

	counter_set(&tree->frames.level[1][group], summary | UINT64_C(1) << (word & 63));
	if (!summary)
		segment_tree_group_filled(tree, group);
	tree_chunk_given(tree, word / CHUNK_WORDS);
}

/* The first of these words was given in the bitmap and no further; the others were not given yet. */
__attribute__((noinline)) void segment_tree_release_rest(struct segment_tree *tree,
							 const struct frame_word *given,
							 const struct frame_word *end)
{
	segment_tree_word_given(tree, (given->first - tree->runs.base) >> 6);
	while (++given != end) {
		uint64_t *leaf = tree_leaf(tree, given->first), before = *leaf;

		if (before & given->bits)
			segment_tree_refuse(tree, given);
		counter_set(leaf, before | given->bits);
		segment_tree_word_given(tree, (given->first - tree->runs.base) >> 6);
	}
}
