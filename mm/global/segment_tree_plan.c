/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_tree_plan.c - batches of the segment tree whose words are found before the lock is taken.
 *
 * Which words a batch will take, and how many frames they hold, is found without the lock, by
 * reading what other cpus may be writing: atomically, and only as a guess. Under the lock each word
 * is compared with what was seen, and emptied. If a word differs, the plan ends there, and the
 * claim goes on without one. A plan is used only if it has enough frames for the batch
 * (`ordinary`).
 *
 * The changes of a release above the bitmap depend on its words alone, as long as they lie in one
 * group (`ordinary`); so that is computed without the lock too.
 *
 * In struct policy_plan, `place` is the group, `mask` the words of it, a bit each, and `chunks` the
 * chunks that those words lie in, a bit each.
 *
 * Under the lock the common case of both is a load and a store for each word, one store to the
 * summary, and one test of the dirty bits. It calls nothing, so it saves no register.
 */
#include "mm/check.h"
#include "mm/global/segment_tree_private.h"

/* ---- claims ------------------------------------------------------------------------------ */

/* Looks through one group only: the lowest in which a frame may be free. */
void segment_tree_plan_claim(const void *instance, unsigned min, struct frame_word *words,
			     struct policy_plan *plan)
{
	const struct segment_tree *tree = instance;
	uint64_t group = counter_read(&tree->group_lowest), summary;

	plan->frames = 0;
	plan->mask = 0;
	plan->place = group;
	for (summary = counter_read(&tree->frames.level[1][group]); summary && plan->frames < min;
	     summary &= summary - 1) {
		unsigned i = bits_lowest(summary);
		uint64_t first = tree->runs.base + (group << GROUP_SHIFT) + i * FRAMES_PER_WORD;
		uint64_t bits = counter_read(tree_leaf(tree, first));

		if (!bits)
			continue; /* emptied since the summary was read; it must not be planned */
		words[plan->words++] = (struct frame_word){first, bits};
		plan->frames += bits_count(bits);
		plan->mask |= UINT64_C(1) << i;
	}
	plan->chunks = tree_chunks_of_words(plan->mask);
	plan->ordinary = plan->frames >= min;
}

/*
 * Words of a group, a bit each, have become empty; it is not the common case. Returns `count`: the
 * claim ends in this call.
 */
static __attribute__((noinline)) unsigned close_claim(struct segment_tree *tree, uint64_t group,
						      uint64_t words, unsigned count)
{
	tree_words_emptied(tree, group, words);
	tree_chunks_taken(tree, group, tree_chunks_of_words(words));
	return count;
}

/* The plan met a word that is not as it was seen. The first `done` words were, and are taken. */
static __attribute__((noinline)) unsigned claim_stale(struct segment_tree *tree, unsigned min,
						      unsigned max, const struct policy_plan *plan,
						      struct frame_word *words, unsigned *taken,
						      unsigned done)
{
	uint64_t mask = 0;

	*taken = 0;
	for (unsigned i = 0; i < done; i++) {
		*taken += bits_count(words[i].bits);
		mask |= UINT64_C(1) << (words[i].first - tree->runs.base) / FRAMES_PER_WORD % 64;
	}
	if (done)
		close_claim(tree, plan->place, mask, done);
	return segment_tree_claim_more(tree, min, max, done, words, taken);
}

unsigned segment_tree_claim_planned(struct segment_tree *tree, unsigned min, unsigned max,
				    const struct policy_plan *plan, struct frame_word *words,
				    unsigned *taken)
{
	uint64_t base = tree->runs.base, *leaves = tree->frames.level[0], group, summary;
	unsigned i = 0, count = plan->words;

	for (; i != count; i++) {
		uint64_t *leaf = &leaves[(words[i].first - base) >> 6];

		if (__builtin_expect(*leaf != words[i].bits, 0))
			return claim_stale(tree, min, max, plan, words, taken, i);
		counter_set(leaf, 0);
	}
	*taken = plan->frames;
	group = plan->place;
	summary = tree->frames.level[1][group] & ~plan->mask;
	if (__builtin_expect(
		    !summary || (plan->chunks & ~run_tree_dirty_chunks(&tree->runs, group)), 0))
		return close_claim(tree, group, plan->mask, count);
	counter_set(&tree->frames.level[1][group], summary);
	return count;
}

/* ---- releases ---------------------------------------------------------------------------- */

void segment_tree_plan_release(const void *instance, const struct frame_word *words, unsigned count,
			       struct policy_plan *plan)
{
	const struct segment_tree *tree = instance;
	uint64_t group = (words->first - tree->runs.base) >> GROUP_SHIFT, others = 0;

	plan->place = group;
	plan->mask = 0;
	for (unsigned i = 0; i < count; i++) {
		uint64_t word = (words[i].first - tree->runs.base) >> 6;

		others |= word >> 6 ^ group;
		plan->mask |= UINT64_C(1) << (word & 63);
	}
	plan->chunks = tree_chunks_of_words(plan->mask);
	plan->ordinary = !others;
}

/* All of the plan's words have been given in the bitmap; it is not the common case. */
static __attribute__((noinline)) void close_release(struct segment_tree *tree,
						    const struct policy_plan *plan)
{
	uint64_t group = plan->place, summary = tree->frames.level[1][group];

	counter_set(&tree->frames.level[1][group], summary | plan->mask);
	if (!summary)
		segment_tree_group_filled(tree, group);
	for (unsigned chunks = (unsigned)plan->chunks; chunks; chunks &= chunks - 1)
		tree_chunk_given(tree, group * FANOUT + bits_lowest(chunks));
}

void segment_tree_release_planned(struct segment_tree *tree, const struct policy_plan *plan,
				  const struct frame_word *words, unsigned count)
{
	const struct frame_word *word = words, *end = words + count;
	uint64_t base = tree->runs.base, *leaves = tree->frames.level[0];
	uint64_t group, summary;
	bool whole = false;

	for (; word != end; word++) {
		uint64_t *leaf = &leaves[(word->first - base) >> 6];
		uint64_t before = *leaf, after = before | word->bits;

		if (__builtin_expect((before & word->bits) != 0, 0))
			segment_tree_refuse(tree, word);
		counter_set(leaf, after);
		if (__builtin_expect(after == ~UINT64_C(0), 0))
			whole = true;
	}
	group = plan->place;
	summary = tree->frames.level[1][group];
	if (__builtin_expect(whole || !summary ||
				     (plan->chunks & ~run_tree_dirty_chunks(&tree->runs, group)),
			     0))
		close_release(tree, plan);
	else
		counter_set(&tree->frames.level[1][group], summary | plan->mask);
}
