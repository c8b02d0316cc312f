/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_tree_validate.c - tests the invariants S1 to S6 of segment_tree.c, at rest. O(n).
 *
 * Reads only. A broken invariant is a panic that says which node or index, and what is there.
 */
#include "mm/check.h"
#include "mm/global/segment_tree_private.h"

static void validate_lowest_group(const struct segment_tree *tree)
{
	for (uint64_t group = 0; group < tree->group_lowest; group++)
		check(!tree->frames.level[1][group],
		      "segment_tree: group %llu has free frames, but group_lowest is %llu",
		      (unsigned long long)group, (unsigned long long)tree->group_lowest);
	check(tree->frames.level[1][tree->group_lowest] ||
		      bit_index_first(&tree->frames, 0) == BIT_INDEX_NONE,
	      "segment_tree: group_lowest is %llu, which has no free frame, but index %llu is free",
	      (unsigned long long)tree->group_lowest,
	      (unsigned long long)bit_index_first(&tree->frames, 0));
}

static void validate_chunks(const struct segment_tree *tree, uint64_t chunks)
{
	for (uint64_t chunk = 0; chunk < chunks; chunk++) {
		bool free = tree_chunk_is_free(tree, chunk);
		bool dirty = run_tree_is_dirty(&tree->runs, 0, chunk);

		check(bit_index_test(&tree->chunks, chunk) == free && !(free && dirty),
		      "segment_tree: chunk %llu: free is %d but its bit is %d, dirty %d",
		      (unsigned long long)chunk, free, bit_index_test(&tree->chunks, chunk), dirty);
	}
}

/* S5: indices [from, to) are outside the zone. */
static void validate_outside(const struct segment_tree *tree, uint64_t from, uint64_t to)
{
	for (uint64_t index = from; index < to; index++)
		check(!bit_index_test(&tree->frames, index),
		      "segment_tree: index %llu is free but outside the zone",
		      (unsigned long long)index);
}

static uint64_t count_free(const struct segment_tree *tree, uint64_t words)
{
	uint64_t free = 0;

	for (uint64_t word = 0; word < words; word++) {
		uint64_t bits = tree->frames.level[0][word];

		if (bits) /* in a large zone most words are all free or all taken */
			free += ~bits ? bits_count(bits) : FRAMES_PER_WORD;
	}
	return free;
}

uint64_t segment_tree_validate(const void *instance)
{
	const struct segment_tree *tree = instance;
	uint64_t chunks = tree->chunks.bits;

	bit_index_validate(&tree->frames, "segment_tree frames");
	bit_index_validate(&tree->chunks, "segment_tree chunks");
	validate_lowest_group(tree);
	validate_chunks(tree, chunks);
	validate_outside(tree, 0, tree->index_first);
	validate_outside(tree, tree->index_end, chunks << CHUNK_SHIFT);
	run_tree_validate(&tree->runs, chunks);
	return count_free(tree, chunks * CHUNK_WORDS);
}
