/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_tree.c - see run_tree.h: the nodes, how they are computed, and the search.
 *
 * Everything here runs under the zone's lock. Nodes of the levels are padded to whole families of
 * eight, whose missing members always stay 0, so combining need not ask how many children there are.
 */
#include "mm/global/run_tree.h"

#include <limits.h>

#include "mm/check.h"
#include "mm/global/bits.h"
#include "mm/words.h"

/* ---- sizes ------------------------------------------------------------------------------- */

/* Nodes of a level with its padding; the root has no siblings. */
static uint64_t padded(uint64_t nodes)
{
	return nodes > 1 ? run_tree_parents(nodes) << FANOUT_SHIFT : 1;
}

static size_t round_up_to_word(size_t bytes)
{
	return (bytes + 7) & ~(size_t)7;
}

static unsigned levels_for(uint64_t chunks)
{
	unsigned levels = 1;

	for (; chunks > 1; levels++)
		chunks = run_tree_parents(chunks);
	return levels;
}

size_t run_tree_header_bytes(uint64_t chunks)
{
	const struct run_tree *tree;

	return levels_for(chunks) * sizeof(tree->level[0]);
}

size_t run_tree_node_bytes(uint64_t chunks)
{
	size_t bytes = round_up_to_word(padded(chunks) * sizeof(packed_run));
	size_t dirty = run_tree_parents(chunks);

	for (uint64_t nodes = chunks; nodes > 1;) {
		nodes = run_tree_parents(nodes);
		bytes += round_up_to_word(padded(nodes) * sizeof(struct run));
		dirty += run_tree_parents(nodes);
	}
	return bytes + round_up_to_word(dirty);
}

/* All nodes 0 and none dirty: no frame is free, and that is exact. */
void run_tree_init(struct run_tree *tree, void *memory, uint64_t base, uint64_t chunks,
		   const uint64_t *words)
{
	char *next = memory;
	uint64_t nodes = chunks;

	words_fill(memory, 0, run_tree_node_bytes(chunks) / sizeof(uint64_t));
	tree->base = base;
	tree->words = words;
	tree->levels = levels_for(chunks);
	tree->chunk_runs = (packed_run *)next;
	next += round_up_to_word(padded(chunks) * sizeof(packed_run));
	for (unsigned level = 1; level < tree->levels; level++) {
		nodes = run_tree_parents(nodes);
		tree->level[level].runs = (struct run *)next;
		next += round_up_to_word(padded(nodes) * sizeof(struct run));
	}
	nodes = chunks;
	for (unsigned level = 0; level < tree->levels; level++) {
		tree->level[level].dirty = (uint8_t *)next;
		nodes = run_tree_parents(nodes);
		next += nodes;
	}
}

/* ---- nodes ------------------------------------------------------------------------------- */

static packed_run pack(struct run run)
{
	return run.prefix | run.longest << 10 | run.suffix << 20;
}

static struct run unpack(packed_run packed)
{
	return (struct run){packed & 1023, packed >> 10 & 1023, packed >> 20};
}

static struct run run_of(const struct run_tree *tree, unsigned level, uint64_t node)
{
	return level ? tree->level[level].runs[node] : unpack(tree->chunk_runs[node]);
}

static uint64_t frames_in(unsigned level)
{
	return (uint64_t)CHUNK_FRAMES << (level * FANOUT_SHIFT);
}

void run_tree_mark_dirty(struct run_tree *tree, unsigned level, uint64_t node)
{
	for (; level < tree->levels; level++, node >>= FANOUT_SHIFT) {
		uint8_t *byte = &tree->level[level].dirty[node >> FANOUT_SHIFT];
		unsigned bit = 1u << (node & (FANOUT - 1));

		if (*byte & bit)
			return;
		*byte |= (uint8_t)bit;
	}
}

static void set_clean(struct run_tree *tree, unsigned level, uint64_t node)
{
	tree->level[level].dirty[node >> FANOUT_SHIFT] &= (uint8_t)(~(1u << (node & (FANOUT - 1))));
}

/* Appends to the runs of a left part the runs of what lies to its right, `size` frames. */
static void append(struct run *left, uint64_t left_size, struct run right, uint64_t size)
{
	uint32_t joined = left->suffix + right.prefix;

	if (left->prefix == left_size)
		left->prefix += right.prefix;
	if (joined > left->longest)
		left->longest = joined;
	if (right.longest > left->longest)
		left->longest = right.longest;
	left->suffix = right.suffix == size ? left->suffix + (uint32_t)size : right.suffix;
}

/*
 * The longest run in a word that is not all free. rows[i]: the bits from which on 2^i frames are
 * free. The length is found from its highest binary digit down. Unrolled, so that rows[] is in
 * registers.
 */
static inline __attribute__((always_inline)) unsigned longest_of_word(uint64_t word)
{
	uint64_t rows[6] = {word}, starts = ~UINT64_C(0);
	unsigned length = 0;

#pragma GCC unroll 6
	for (unsigned i = 0; i < 5; i++)
		rows[i + 1] = rows[i] & rows[i] >> (1u << i);
#pragma GCC unroll 6
	for (unsigned i = 6; i-- > 0;) {
		uint64_t longer = starts & rows[i] >> length;

		if (longer) {
			starts = longer;
			length += 1u << i;
		}
	}
	return length;
}

static inline __attribute__((always_inline)) struct run runs_of_word(uint64_t word)
{
	struct run run = {64, 64, 64};

	if (word == ~UINT64_C(0))
		return run;
	if (word == 0)
		return (struct run){0, 0, 0};
	run.prefix = bits_lowest(~word);
	run.suffix = bits_leading(~word);
	run.longest = longest_of_word(word);
	return run;
}

static inline __attribute__((always_inline)) struct run runs_of_chunk(const struct run_tree *tree,
								      uint64_t chunk)
{
	const uint64_t *words = &tree->words[chunk * CHUNK_WORDS];
	struct run run = runs_of_word(words[0]);

	for (unsigned i = 1; i < CHUNK_WORDS; i++)
		append(&run, i * FRAMES_PER_WORD, runs_of_word(words[i]), FRAMES_PER_WORD);
	return run;
}

static struct run runs_of_children(const struct run_tree *tree, unsigned level, uint64_t node)
{
	uint64_t child = node << FANOUT_SHIFT;
	uint64_t size = frames_in(level - 1);
	struct run run = run_of(tree, level - 1, child);

	for (unsigned i = 1; i < FANOUT; i++)
		append(&run, i * size, run_of(tree, level - 1, child + i), size);
	return run;
}

/* Make a dirty node exact. Not inlined into the search, which then needs less of the stack. */
static __attribute__((noinline)) void repair_chunk(struct run_tree *tree, uint64_t chunk)
{
	tree->chunk_runs[chunk] = pack(runs_of_chunk(tree, chunk));
	set_clean(tree, 0, chunk);
}

static __attribute__((noinline)) void repair_parent(struct run_tree *tree, unsigned level,
						    uint64_t node)
{
	tree->level[level].runs[node] = runs_of_children(tree, level, node);
	set_clean(tree, level, node);
}

/* ---- the search -------------------------------------------------------------------------- */

/*
 * The search goes over the frames from left to right. All frames from run_start up to the place
 * where the search stands are free: that run is open.
 */
struct search {
	struct run_tree *tree;
	uint64_t count, align;
	uint64_t run_start;
	unsigned steps_left;
};

/* The first pfn of the open run that is aligned as asked. */
static uint64_t aligned_start(const struct search *search)
{
	uint64_t pfn = search->tree->base + search->run_start;

	return (pfn + search->align - 1) & ~(search->align - 1);
}

/* The open run now reaches index `end`: does the request fit into it, at the right alignment? */
static bool grow(const struct search *search, uint64_t end)
{
	return aligned_start(search) + search->count <= search->tree->base + end;
}

/* Of what comes next, up to `end`, only the last `suffix` frames can begin an answer. */
static void skip(struct search *search, uint64_t end, uint64_t suffix)
{
	search->run_start = end - suffix;
}

/* `start`: the index of the word's first frame. */
static inline bool search_word(struct search *search, uint64_t start, uint64_t word)
{
	unsigned bit = 0;

	while (bit < 64) {
		uint64_t rest = word >> bit;
		unsigned run = rest == ~UINT64_C(0) ? 64 : bits_lowest(~rest);

		if (run && grow(search, start + bit + run))
			return true;
		bit += run;
		if (bit == 64)
			break;
		rest = word >> bit;
		bit += rest ? bits_lowest(rest) : 64 - bit;
		skip(search, start + bit, 0);
	}
	return false;
}

static bool search_chunk(struct search *search, uint64_t chunk)
{
	const uint64_t *words = &search->tree->words[chunk * CHUNK_WORDS];

	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		if (search_word(search, (chunk << CHUNK_SHIFT) + i * FRAMES_PER_WORD, words[i]))
			return true;
	return false;
}

/* Passes over an exact node if that is possible. True: the search has to look inside. */
static bool is_to_enter(struct search *search, unsigned level, uint64_t node, bool *found)
{
	uint64_t size = frames_in(level), start = node * size;
	struct run run = run_of(search->tree, level, node);

	*found = run.prefix && grow(search, start + run.prefix);
	if (*found || run.prefix == size)
		return false;
	if (run.longest < search->count) {
		skip(search, start + size, run.suffix);
		return false;
	}
	return true; /* its prefix will be added to the open run again, which changes nothing */
}

/*
 * From the root's left end to its right, without recursion: a node's number says which node is its
 * parent. A dirty node is entered, and made exact after all of it was passed over in vain.
 */
static inline enum run_result search_nodes(struct search *search)
{
	struct run_tree *tree = search->tree;
	unsigned root = tree->levels - 1, level = root;
	uint64_t node = 0;

	for (;;) {
		bool dirty = run_tree_is_dirty(tree, level, node), found = false;

		if (dirty && level == 0) {
			if (!search->steps_left)
				return RUN_AGAIN;
			search->steps_left--;
			repair_chunk(tree, node);
			dirty = false;
		}
		if (dirty || is_to_enter(search, level, node, &found)) {
			if (level) {
				level--;
				node <<= FANOUT_SHIFT;
				continue;
			}
			found = search_chunk(search, node);
		}
		if (found)
			return RUN_FOUND;
		for (; level != root && node % FANOUT == FANOUT - 1; level++) {
			node >>= FANOUT_SHIFT;
			if (run_tree_is_dirty(tree, level + 1, node))
				repair_parent(tree, level + 1, node);
		}
		if (level == root)
			return RUN_NONE;
		node++;
	}
}

enum run_result run_tree_search(struct run_tree *tree, uint64_t count, uint64_t align,
				unsigned steps, uint64_t *first)
{
	/* UINT_MAX is no bound: a zone has fewer chunks. */
	struct search search = {.tree = tree,
				.count = count,
				.align = align,
				.steps_left = steps ? steps : UINT_MAX};
	enum run_result result = search_nodes(&search);
	if (result == RUN_FOUND)
		*first = aligned_start(&search);
	return result;
}

/* ---- validation -------------------------------------------------------------------------- */

/* `nodes`: of this level, without the padding. */
static void validate_level(const struct run_tree *tree, unsigned level, uint64_t nodes)
{
	for (uint64_t node = 0; node < nodes; node++) {
		struct run found = run_of(tree, level, node), right;

		if (run_tree_is_dirty(tree, level, node)) {
			check(level + 1 == tree->levels ||
				      run_tree_is_dirty(tree, level + 1, node >> FANOUT_SHIFT),
			      "run_tree: level %u node %llu is dirty and its parent is not", level,
			      (unsigned long long)node);
			continue;
		}
		right = level ? runs_of_children(tree, level, node) : runs_of_chunk(tree, node);
		check(found.prefix == right.prefix && found.longest == right.longest &&
			      found.suffix == right.suffix,
		      "run_tree: level %u node %llu says runs %u,%u,%u, expected %u,%u,%u", level,
		      (unsigned long long)node, found.prefix, found.longest, found.suffix,
		      right.prefix, right.longest, right.suffix);
	}
}

void run_tree_validate(const struct run_tree *tree, uint64_t chunks)
{
	uint64_t nodes = chunks;

	for (unsigned level = 0; level < tree->levels; level++) {
		validate_level(tree, level, nodes);
		nodes = run_tree_parents(nodes);
	}
}
