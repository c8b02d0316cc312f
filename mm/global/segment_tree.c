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
 *   segment_tree.c           instances; which route a claim or a release takes
 *   segment_tree_words.c     claims and releases of words without a plan; changes above the bitmap
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
 *   S4  group_lowest is the lowest group (the 64 words under one word of the first summary) in
 *	 which a frame is free. If no frame is free it is any group. So a claim climbs no summary:
 *	 it looks in that group, and the claim that empties the group finds the next one.
 *   S5  Bits outside the zone's frames are always 0. Index 0 is a multiple of 512 frames, at or
 *	 below the zone's first, so alignment up to a chunk is the same in indices as in pfns.
 *   S6  A chunk of which all frames are free is exact in the run tree, and so is not dirty. A claim
 *	 that finds its chunk dirty therefore need not look at `chunks`.
 *
 * Routes
 *
 *   A special route is here only if a row of `make bench` or of the policies' table (docs/lab.md)
 *   is 2 % worse without it; docs/measuring.md has the figures. Words: a plan that holds, one
 *   frame, and all else. Runs: an aligned chunk, 64 frames or fewer, and all else. The common case
 *   of each route is a few stores and calls nothing; rare changes above the bitmap are in separate
 *   functions.
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

/* ---- claims ------------------------------------------------------------------------------ */

/* One frame, the lowest: a bit, and mostly nothing else. */
static uint64_t tree_claim_one(void *instance)
{
	struct segment_tree *tree = instance;
	uint64_t group = tree->group_lowest, summary = tree->frames.level[1][group];
	uint64_t word, bits, rest, frame, *leaf;
	uint64_t in_group;

	if (__builtin_expect(!summary, 0))
		return FRAME_WORD_NONE;
	in_group = bits_lowest(summary);
	word = (group << 6) + in_group;
	leaf = &tree->frames.level[0][word];
	bits = *leaf;
	rest = bits & (bits - 1);
	frame = tree->runs.base + word * FRAMES_PER_WORD + bits_lowest(bits);
	counter_set(leaf, rest);
	if (__builtin_expect(!rest || !(run_tree_dirty_chunks(&tree->runs, group) >>
						(in_group / CHUNK_WORDS) &
					1),
			     0))
		return segment_tree_one_taken(tree, word, frame);
	return frame;
}

/* Not inlined, for tree_claim's registers. */
static __attribute__((noinline)) unsigned claim_one(struct segment_tree *tree,
						    struct frame_word *words, unsigned *taken)
{
	uint64_t frame = tree_claim_one(tree);

	*taken = 0;
	if (__builtin_expect(frame == FRAME_WORD_NONE, 0))
		return 0;
	*taken = 1;
	*words = (struct frame_word){frame & ~UINT64_C(63), UINT64_C(1) << (frame & 63)};
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

static void tree_release(void *instance, const struct policy_plan *plan,
			 const struct frame_word *words, unsigned count)
{
	if (plan->ordinary)
		segment_tree_release_planned(instance, plan, words, count);
	else
		tree_release_words(instance, words, words + count);
}

static void tree_release_one(void *instance, uint64_t frame)
{
	struct segment_tree *tree = instance;
	uint64_t index = frame - tree->runs.base, word = index >> 6;
	uint64_t bit = UINT64_C(1) << (index & 63);
	uint64_t *leaf = &tree->frames.level[0][word], before = *leaf;

	if (__builtin_expect((before & bit) != 0, 0))
		segment_tree_refuse(tree, &(struct frame_word){frame & ~UINT64_C(63), bit});
	counter_set(leaf, before | bit);
	/* As in tree_release_words(): a word that was empty or is full now changes more than a bit. */
	if (__builtin_expect(!before || !~(before | bit) ||
				     !run_tree_is_dirty(&tree->runs, 0, index >> CHUNK_SHIFT),
			     0))
		segment_tree_word_given(tree, word);
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
	.release = tree_release,
	.claim_one = tree_claim_one,
	.release_one = tree_release_one,
	.claim_run = segment_tree_claim_run,
	.release_run = segment_tree_release_run,
	.validate = segment_tree_validate,
};
