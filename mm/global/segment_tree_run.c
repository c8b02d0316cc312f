/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_tree_run.c - contiguous runs of the segment tree.
 *
 * Three routes. An aligned chunk is answered by the index of whole chunks, exactly both ways, and
 * taken with one store for each of its words. A run of 64 frames or fewer is looked for in the
 * lowest words before the run tree is asked, as long as that is dirty. Any other request is a
 * search of the run tree (run_tree.h), and a range that is taken or given word by word.
 *
 * Nothing here is planned: all of it runs under the zone's lock and holds S1 to S6 (segment_tree.c).
 */
#include "mm/check.h"
#include "mm/global/frame_word.h"
#include "mm/global/segment_tree_private.h"

/* ---- ranges ------------------------------------------------------------------------------ */

/* `count` frames from an index on, all free, are taken. O(words), and O(chunks) dirty marks. */
static __attribute__((noinline)) void take_range(struct segment_tree *tree, uint64_t from,
						 uint64_t count)
{
	uint64_t to = from + count;
	uint64_t chunk = from >> CHUNK_SHIFT, chunk_end = ((to - 1) >> CHUNK_SHIFT) + 1;

	bit_index_clear_range(&tree->frames, 0, from, to);
	bit_index_clear_range(&tree->chunks, 0, chunk, chunk_end);
	for (; chunk < chunk_end; chunk++)
		run_tree_mark_dirty(&tree->runs, 0, chunk);
	if (!tree->frames.level[1][tree->group_lowest])
		segment_tree_group_emptied(tree, tree->group_lowest);
}

/* Indices [from, to), none of them free, are given. */
static void give_range(struct segment_tree *tree, uint64_t from, uint64_t to)
{
	uint64_t chunk = from >> CHUNK_SHIFT, chunk_end = ((to - 1) >> CHUNK_SHIFT) + 1;
	/* A chunk that the range covers from end to end is all free, without a look. */
	uint64_t whole = (from + CHUNK_FRAMES - 1) >> CHUNK_SHIFT, whole_end = to >> CHUNK_SHIFT;

	bit_index_set_range(&tree->frames, 0, from, to);
	tree_lower_group(tree, from >> GROUP_SHIFT);
	if (chunk < whole)
		tree_chunk_given(tree, chunk);
	for (chunk = whole; chunk < whole_end; chunk++)
		segment_tree_chunk_freed(tree, chunk);
	if (chunk_end > whole_end && chunk_end > whole)
		tree_chunk_given(tree, chunk_end - 1);
}

/* ---- short runs -------------------------------------------------------------------------- */

/*
 * A run of up to 64 frames, with any alignment up to 64, lies in one word or in two neighbours. As
 * long as the run tree is dirty, a look at the lowest words that have free frames costs less than
 * the repair of one chunk. Nothing is free below those words, so what is found is what the search
 * would find.
 */
#define SHORT_FRAMES 64
#define SHORT_LOOKS  16 /* words; about as many instructions as the repair of two chunks */

/* The frames of a word that are multiples of 1, 2, 4 to 64. */
static const uint64_t multiples[] = {
	UINT64_C(0xffffffffffffffff), UINT64_C(0x5555555555555555), UINT64_C(0x1111111111111111),
	UINT64_C(0x0101010101010101), UINT64_C(0x0001000100010001), UINT64_C(0x0000000100000001),
	UINT64_C(0x0000000000000001),
};

/*
 * The bits of `low` among `starts` from which on `count` frames are free, in `low` and then `high`.
 */
static inline uint64_t runs_of_two(uint64_t low, uint64_t high, uint64_t count, uint64_t starts)
{
	/* As wide as a register: a narrower type would be extended in each turn. */
	uint64_t have = 1, step;

	for (; 2 * have <= count && (low & starts); have *= 2) {
		low &= low >> have | high << (64 - have);
		high &= high >> have;
	}
	step = count - have;
	if (step && (low & starts))
		low &= low >> step | high << (64 - step);
	return low & starts;
}

/* *from: the index of the lowest such run. False: the run tree has to be searched. */
static bool find_short(const struct segment_tree *tree, uint64_t count, uint64_t align,
		       uint64_t *from)
{
	uint64_t group = tree->group_lowest, summary = tree->frames.level[1][group];
	const uint64_t *leaves = &tree->frames.level[0][group << 6];
	uint64_t starts = multiples[bits_lowest(align)];

	for (unsigned looks = SHORT_LOOKS; summary && looks; looks--) {
		uint64_t low = summary & -summary, word = bits_lowest(summary), found;

		summary ^= low;
		found = runs_of_two(leaves[word], summary & low << 1 ? leaves[word + 1] : 0, count,
				    starts);
		if (found) {
			*from = (group << GROUP_SHIFT) + word * FRAMES_PER_WORD + bits_lowest(found);
			return true;
		}
	}
	return false;
}

/* The bits of a word that `count` frames (1..64) from this index on have in it. */
static inline uint64_t bits_from(uint64_t from, uint64_t count)
{
	return ~UINT64_C(0) >> (64 - count) << (from & 63);
}

static inline void take_bits(struct segment_tree *tree, uint64_t word, uint64_t bits)
{
	uint64_t rest = tree->frames.level[0][word] & ~bits;

	counter_set(&tree->frames.level[0][word], rest);
	if (!rest || !run_tree_is_dirty(&tree->runs, 0, word / CHUNK_WORDS))
		segment_tree_word_taken(tree, word);
}

static __attribute__((noinline)) void take_short(struct segment_tree *tree, uint64_t from,
						 uint64_t count)
{
	uint64_t here = 64 - (from & 63);

	take_bits(tree, from >> 6, bits_from(from, count));
	if (count > here)
		take_bits(tree, (from >> 6) + 1, bits_from(0, count - here));
}

static __attribute__((noinline)) void release_short(struct segment_tree *tree, uint64_t from,
						    uint64_t count)
{
	uint64_t here = 64 - (from & 63), first = tree->runs.base + (from & ~UINT64_C(63));
	struct frame_word words[2] = {{first, bits_from(from, count)}};
	unsigned used = 1;

	if (count > here) {
		words[1] = (struct frame_word){first + 64, bits_from(0, count - here)};
		/* Before the first word is given: a run that is refused changes nothing. */
		if (*tree_leaf(tree, words[1].first) & words[1].bits)
			segment_tree_refuse(tree, &words[1]);
		used = 2;
	}
	tree_release_words(tree, words, words + used);
}

/* ---- aligned chunks ---------------------------------------------------------------------- */

/* The rare rest of claim_chunk: the group has no free frame any more, or had no dirty chunk. */
static __attribute__((noinline)) enum run_result close_chunk(struct segment_tree *tree,
							     uint64_t chunk)
{
	uint64_t group = chunk / FANOUT;

	if (!tree->frames.level[1][group])
		segment_tree_group_emptied(tree, group);
	run_tree_mark_chunks(&tree->runs, group, 1u << chunk % FANOUT);
	return RUN_FOUND;
}

/* What take_range() does, for a whole chunk: its words are one byte of their word of the summary. */
static enum run_result claim_chunk(struct segment_tree *tree, uint64_t *first)
{
	uint64_t chunk = bit_index_first(&tree->chunks, 0), group = chunk / FANOUT, summary;
	uint64_t *leaf = &tree->frames.level[0][chunk * CHUNK_WORDS];

	if (chunk == BIT_INDEX_NONE)
		return RUN_NONE;
	*first = tree->runs.base + (chunk << CHUNK_SHIFT);
	counters_set(leaf, CHUNK_WORDS, 0);
	bit_index_clear(&tree->chunks, 0, chunk);
	summary = tree->frames.level[1][group] & ~(UINT64_C(0xff) << (chunk % FANOUT * CHUNK_WORDS));
	counter_set(&tree->frames.level[1][group], summary);
	if (__builtin_expect(!summary || !run_tree_dirty_chunks(&tree->runs, group), 0))
		return close_chunk(tree, chunk);
	run_tree_mark_chunks(&tree->runs, group, 1u << chunk % FANOUT);
	return RUN_FOUND;
}

/* ---- the contract ------------------------------------------------------------------------ */

static __attribute__((noinline)) enum run_result claim_searched(struct segment_tree *tree,
								uint64_t count, uint64_t align,
								unsigned steps, uint64_t *first)
{
	enum run_result result;

	if (count > tree->index_end)
		return RUN_NONE;
	result = run_tree_search(&tree->runs, count, align, steps, first);
	if (result == RUN_FOUND)
		take_range(tree, *first - tree->runs.base, count);
	return result;
}

/* Not inlined, like claim_searched, for what its caller needs of the stack on the other routes. */
static __attribute__((noinline)) enum run_result claim_long(struct segment_tree *tree,
							    uint64_t count, uint64_t align,
							    unsigned steps, uint64_t *first)
{
	if (count == CHUNK_FRAMES && align == CHUNK_FRAMES)
		return claim_chunk(tree, first);
	return claim_searched(tree, count, align, steps, first);
}

enum run_result segment_tree_claim_run(void *instance, uint64_t count, uint64_t align,
				       unsigned steps, uint64_t *first)
{
	struct segment_tree *tree = instance;
	uint64_t from;

	if (count <= SHORT_FRAMES && align <= SHORT_FRAMES &&
	    run_tree_is_dirty(&tree->runs, tree->runs.levels - 1, 0) &&
	    find_short(tree, count, align, &from)) {
		*first = tree->runs.base + from;
		take_short(tree, from, count);
		return RUN_FOUND;
	}
	return claim_long(tree, count, align, steps, first);
}

/* Panics when one of these frames is free. */
static void check_none_free(const struct segment_tree *tree, uint64_t first, uint64_t count)
{
	while (count) {
		struct frame_word given = frame_word_next(&first, &count);

		if (*tree_leaf(tree, given.first) & given.bits)
			segment_tree_refuse(tree, &given);
	}
}

/* Not inlined, like claim_long. */
static __attribute__((noinline)) void release_otherwise(struct segment_tree *tree, uint64_t first,
							uint64_t count)
{
	uint64_t from = first - tree->runs.base;

	if (count <= SHORT_FRAMES) {
		release_short(tree, from, count);
		return;
	}
	check_none_free(tree, first, count);
	give_range(tree, from, from + count);
}

/* The rare rest of give_chunk: the group had no free frame. */
static __attribute__((noinline)) void give_first_chunk(struct segment_tree *tree, uint64_t chunk)
{
	segment_tree_group_filled(tree, chunk / FANOUT);
	segment_tree_chunk_freed(tree, chunk);
}

/* What give_range() does, for a whole chunk. */
static void give_chunk(struct segment_tree *tree, uint64_t first)
{
	uint64_t chunk = (first - tree->runs.base) >> CHUNK_SHIFT, group = chunk / FANOUT;
	uint64_t *leaf = &tree->frames.level[0][chunk * CHUNK_WORDS];
	uint64_t summary = tree->frames.level[1][group];
	uint64_t bits = UINT64_C(0xff) << (chunk % FANOUT * CHUNK_WORDS);

	if (__builtin_expect((summary & bits) != 0, 0)) {
		release_otherwise(tree, first, CHUNK_FRAMES); /* a frame of it is free (S1) */
		return;
	}
	counters_set(leaf, CHUNK_WORDS, ~UINT64_C(0));
	counter_set(&tree->frames.level[1][group], summary | bits);
	if (__builtin_expect(!summary, 0))
		give_first_chunk(tree, chunk);
	else
		segment_tree_chunk_freed(tree, chunk);
}

void segment_tree_release_run(void *instance, uint64_t first, uint64_t count)
{
	struct segment_tree *tree = instance;

	if (count == CHUNK_FRAMES && (first - tree->runs.base) % CHUNK_FRAMES == 0)
		give_chunk(tree, first);
	else
		release_otherwise(tree, first, count);
}
