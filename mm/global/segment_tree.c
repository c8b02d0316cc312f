/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_tree.c - the default policy: a bitmap under two trees.
 *
 * What it is
 *
 *   Frames are bits, 1 for free, 64 to a word, eight words (512 frames, 2 MiB) to a chunk. Three
 *   structures stand over the bitmap:
 *
 *   - `frames`, a bit index: for each word, and 64-ary above, whether any of its frames is free.
 *     Single frames are claimed through it, lowest address first, whole words at a time.
 *   - `chunks`, a bit index: the chunks of which all frames are free. It answers the most frequent
 *     contiguous request, an aligned chunk, and its failure, without a search.
 *   - `runs`, the run tree (run_tree.h): the segment tree proper. It answers every other contiguous
 *     request, exactly. It is repaired lazily: traffic of single frames only marks chunks dirty.
 *
 * The files
 *
 *   segment_tree.c           instances; claims and releases of words under the lock
 *   segment_tree_plan.c      batches whose words are found before the lock is taken
 *   segment_tree_run.c       contiguous runs: aligned chunks, short runs, and all others
 *   segment_tree_validate.c  tests S1 to S6
 *   run_tree.[ch]            the run tree
 *
 * Invariants (under the zone's lock, between calls)
 *
 *   S1  `frames` and `chunks` are exact, always.
 *   S2  A run-tree node that is not dirty is exact.
 *   S3  The parent of a dirty node is dirty.
 *   S4  group_lowest is the lowest group (the 64 words under one word of the first summary) in which
 *	 a frame is free. If no frame is free it is any group. So a claim climbs no summary: it looks
 *	 in that group, and the claim that empties the group finds the next one.
 *   S5  Bits outside the zone's frames are always 0. Index 0 is a multiple of 512 frames, at or
 *	 below the zone's first, so alignment up to a chunk is the same in indices as in pfns.
 *   S6  A chunk of which all frames are free is exact in the run tree, and so is not dirty. A claim
 *	 that finds its chunk dirty therefore need not look at `chunks`.
 *
 * Routes
 *
 *   A special route is here only if a row of `make bench` or of the policies' table (docs/lab.md) is
 *   2 % worse without it; docs/measuring.md has the figures. Words: a plan that holds, one frame,
 *   and all else. Runs: an aligned chunk, 64 frames or fewer, and all else. The common case of each
 *   route is a few stores and calls nothing; what must change above the bitmap in rare cases is in
 *   separate functions.
 *
 * Writers: everything is written under the zone's lock. segment_tree_plan_claim reads group_lowest,
 * the first summary and the bitmap without it, so those are stored with counter_set.
 *
 * Cost, for n frames: claim and release O(words), plus O(log64 n) where a group is emptied or gets
 * its first frame; an aligned chunk O(log64 n); other runs as in run_tree.h. Metadata: 1/8 byte a
 * frame for the bitmap, 1/504 for its summaries, 1/4096 for `chunks`, and the run tree: 0.139 byte.
 */
#include "mm/global/segment_tree.h"

#include <string.h>

#include "mm/check.h"
#include "mm/global/segment_tree_private.h"

/* ---- instances --------------------------------------------------------------------------- */

static uint64_t base_of(uint64_t first)
{
	return first & ~(uint64_t)(CHUNK_FRAMES - 1);
}

static uint64_t chunks_of(uint64_t first, uint64_t count)
{
	return (first + count - base_of(first) + CHUNK_FRAMES - 1) >> CHUNK_SHIFT;
}

static size_t header_bytes(uint64_t chunks)
{
	return sizeof(struct segment_tree) + run_tree_header_bytes(chunks);
}

static size_t tree_metadata_bytes(uint64_t first, uint64_t count)
{
	uint64_t chunks = chunks_of(first, count);

	return header_bytes(chunks) + bit_index_bytes(chunks << CHUNK_SHIFT) +
	       bit_index_bytes(chunks) + run_tree_node_bytes(chunks);
}

static void *tree_init(void *memory, uint64_t first, uint64_t count)
{
	struct segment_tree *tree = memory;
	uint64_t chunks = chunks_of(first, count);
	char *next = (char *)memory + header_bytes(chunks);

	memset(tree, 0, header_bytes(chunks));
	tree->index_first = (uint32_t)(first - base_of(first));
	tree->index_end = (uint32_t)(tree->index_first + count);
	next = bit_index_init(&tree->frames, next, chunks << CHUNK_SHIFT);
	next = bit_index_init(&tree->chunks, next, chunks);
	run_tree_init(&tree->runs, next, base_of(first), chunks, tree->frames.level[0]);
	return tree;
}

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
	bit_index_set(&tree->chunks, 0, chunk);
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

/* One frame, the lowest: a bit, and mostly nothing else. Not inlined, for tree_claim's registers. */
static __attribute__((noinline)) unsigned claim_one(struct segment_tree *tree,
						    struct frame_word *words, unsigned *taken)
{
	uint64_t group = tree->group_lowest, summary = tree->frames.level[1][group];
	uint64_t word, bits, rest, *leaf;

	*taken = 0;
	if (__builtin_expect(!summary, 0))
		return 0;
	word = (group << 6) + bits_lowest(summary);
	leaf = &tree->frames.level[0][word];
	bits = *leaf;
	rest = bits & (bits - 1);
	words->first = tree->runs.base + word * FRAMES_PER_WORD;
	words->bits = bits ^ rest;
	*taken = 1;
	counter_set(leaf, rest);
	if (__builtin_expect(!rest || !run_tree_is_dirty(&tree->runs, 0, word / CHUNK_WORDS), 0))
		return segment_tree_word_taken(tree, word);
	return 1;
}

static unsigned tree_claim(void *instance, unsigned min, unsigned max,
			   const struct policy_plan *plan, struct frame_word *words, unsigned *taken)
{
	if (plan->ordinary)
		return segment_tree_claim_planned(instance, min, max, plan, words, taken);
	if (max == 1)
		return claim_one(instance, words, taken);
	*taken = 0;
	return segment_tree_claim_more(instance, min, max, 0, words, taken);
}

/* ---- releases ---------------------------------------------------------------------------- */

_Noreturn void segment_tree_refuse(const struct segment_tree *tree, const struct frame_word *given)
{
	uint64_t bits = *tree_leaf(tree, given->first) & given->bits;

	port_panic("zone: frame %#llx is given back but it is free already: freed twice",
		   (unsigned long long)(given->first + bits_lowest(bits)));
}

/* A word has been given something: all that this may change above the bitmap. */
static void word_given(struct segment_tree *tree, uint64_t word)
{
	uint64_t group = word >> 6, summary = tree->frames.level[1][group];

	counter_set(&tree->frames.level[1][group], summary | UINT64_C(1) << (word & 63));
	if (!summary)
		segment_tree_group_filled(tree, group);
	tree_chunk_given(tree, word / CHUNK_WORDS);
}

/* The first of these words was given in the bitmap and no further; the others were not given yet. */
static __attribute__((noinline)) void release_rest(struct segment_tree *tree,
						   const struct frame_word *given,
						   const struct frame_word *end)
{
	word_given(tree, (given->first - tree->runs.base) >> 6);
	while (++given != end) {
		uint64_t *leaf = tree_leaf(tree, given->first), before = *leaf;

		if (before & given->bits)
			segment_tree_refuse(tree, given);
		counter_set(leaf, before | given->bits);
		word_given(tree, (given->first - tree->runs.base) >> 6);
	}
}

/*
 * Word by word, whatever their groups, and without a call as long as that is enough: a word that was
 * empty needs its bit in the summary. A word may make its chunk all free, but not as long as the
 * chunk's first or last word has a frame missing.
 */
static inline void release_words(struct segment_tree *tree, const struct frame_word *given,
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
	release_rest(tree, given, end);
}

const struct policy_plan segment_tree_no_plan;

void segment_tree_release(void *instance, const struct policy_plan *plan,
			  const struct frame_word *words, unsigned count)
{
	if (plan->ordinary)
		segment_tree_release_planned(instance, plan, words, count);
	else
		release_words(instance, words, words + count);
}

const struct policy segment_tree_policy = {
	.name = "segment_tree",
	.has_runs = true,
	.aligns_runs = true,
	.exact_runs = true,
	.metadata_bytes = tree_metadata_bytes,
	.init = tree_init,
	.plan_claim = segment_tree_plan_claim,
	.plan_release = segment_tree_plan_release,
	.claim = tree_claim,
	.release = segment_tree_release,
	.claim_run = segment_tree_claim_run,
	.release_run = segment_tree_release_run,
	.validate = segment_tree_validate,
};
