/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * span.c - a radix tree from frame number to span, built like a page table.
 *
 * Concept. A node is a frame of 512 words, each for 1/512 of what the node covers. A word of an
 * inner node names a child node; a word of the lowest level (a slot) names a span; 0 means nothing.
 * Frames are counted from `base`, the first frame of RAM. So the height of the tree depends on how
 * much RAM spans, not on its address. `base` is a multiple of 512, so a naturally aligned arena of
 * at most 512 frames has all of its slots in one node.
 *
 * Invariants
 *
 *   S1  The word that names a node also counts the node's words that are not 0, 1..512: so an empty
 *	 node is found without a search, and leaves the tree in the call that empties it.
 *   S2  A lookup reads nodes and slots of the index only, never the heap's memory, so any 64-bit
 *	 number may be looked up.
 *
 * Words. Node: pfn << 10 | used. Slot: value << 2 | kind, and kind is not SPAN_NONE.
 *
 * Why not a hash table. A search is as fast there. But growth means to rehash it, under the lock,
 * into a run of frames that fragmented memory may not have. This tree grows by single frames, and
 * its height bounds the work under the lock.
 */
#include "mm/heap/span.h"

#include <string.h>

#include "mm/check.h"
#include "mm/frame.h"

#define USED_BITS 10
#define USED_MASK ((UINT64_C(1) << USED_BITS) - 1)
#define KIND_BITS 2
#define KIND_MASK ((UINT64_C(1) << KIND_BITS) - 1)

_Static_assert(SPAN_SLOTS * sizeof(uint64_t) == FRAME_SIZE, "a node is a frame");
_Static_assert(SPAN_SLOTS <= USED_MASK, "a full node can be counted");
_Static_assert(SPAN_FRAME <= KIND_MASK, "a kind fits beside its value");
_Static_assert(64 - FRAME_SHIFT <= SPAN_LEVELS_MAX * SPAN_LEVEL_BITS, "every frame has a slot");

static pfn_t node_frame(uint64_t word)
{
	return pfn(word >> USED_BITS);
}

static uint64_t *node_words(uint64_t word)
{
	return frame_bytes(node_frame(word));
}

/* The word for frame base + number in a node of `level`, the lowest being 1. */
static uint64_t *word_for(uint64_t node, unsigned level, uint64_t number)
{
	return &node_words(node)[number >> SPAN_LEVEL_BITS * (level - 1) & (SPAN_SLOTS - 1)];
}

/* A number below the base has wrapped to a large one, so it is beyond the end. */
static bool covers(const struct span_index *index, uint64_t number)
{
	return number >> SPAN_LEVEL_BITS * index->levels == 0;
}

static void nodes_put(struct span_nodes *nodes, pfn_t frame)
{
	uint64_t *link = frame_bytes(frame);

	*link = nodes->first.value;
	nodes->first = frame;
	nodes->count++;
}

/* Returns a node whose words are all 0, the link included. */
static pfn_t nodes_take(struct span_nodes *nodes)
{
	pfn_t frame = nodes->first;
	uint64_t *link = frame_bytes(frame);

	nodes->first = pfn(*link);
	*link = 0;
	nodes->count--;
	return frame;
}

void span_init(struct span_index *index, uint64_t first, uint64_t end)
{
	index->base = first & ~(uint64_t)(SPAN_SLOTS - 1);
	index->root = 0;
	index->node_frames = 0;
	index->levels = 1;
	while (!covers(index, end - 1 - index->base))
		index->levels++;
	assert(index->levels <= SPAN_LEVELS_MAX);
}

struct span span_find(const struct span_index *index, uint64_t frame)
{
	uint64_t number = frame - index->base;
	uint64_t word = covers(index, number) ? index->root : 0;

	for (unsigned level = index->levels; word && level > 0; level--)
		word = *word_for(word, level, number);
	return (struct span){(enum span_kind)(word & KIND_MASK), word >> KIND_BITS};
}

unsigned span_missing(const struct span_index *index, uint64_t frame)
{
	uint64_t number = frame - index->base;
	uint64_t word = index->root;
	unsigned level = index->levels;

	assert(covers(index, number));
	for (; word && level > 1; level--)
		word = *word_for(word, level, number);
	return word ? 0 : level;
}

void span_enter(struct span_index *index, uint64_t first, uint64_t count, struct span span,
		struct span_nodes *nodes)
{
	uint64_t number = first - index->base;
	uint64_t *word = &index->root;
	uint64_t *above = NULL;

	assert(covers(index, number) && span.kind != SPAN_NONE);
	assert((number & (SPAN_SLOTS - 1)) + count <= SPAN_SLOTS);
	for (unsigned level = index->levels; level > 0; level--) {
		if (*word == 0) {
			assert(nodes->count > 0);
			*word = nodes_take(nodes).value << USED_BITS;
			index->node_frames++;
			if (above)
				++*above;
		}
		above = word;
		word = word_for(*word, level, number);
	}
	for (uint64_t i = 0; i < count; i++) {
		assert(word[i] == 0);
		word[i] = span.value << KIND_BITS | span.kind;
	}
	*above += count;
}

void span_replace(struct span_index *index, uint64_t frame, struct span span)
{
	uint64_t number = frame - index->base;
	uint64_t *word = &index->root;

	for (unsigned level = index->levels; level > 0; level--)
		word = word_for(*word, level, number);
	assert(*word != 0);
	*word = span.value << KIND_BITS | span.kind;
}

void span_remove(struct span_index *index, uint64_t first, uint64_t count, struct span_nodes *nodes)
{
	uint64_t number = first - index->base;
	uint64_t *path[SPAN_LEVELS_MAX]; /* path[i]: the word that names the node of level i + 1 */
	uint64_t *word = &index->root;
	uint64_t gone = count;

	assert(nodes->count == 0);
	for (unsigned level = index->levels; level > 0; level--) {
		path[level - 1] = word;
		word = word_for(*word, level, number);
	}
	memset(word, 0, count * sizeof(*word));
	for (unsigned i = 0; i < index->levels; i++) {
		*path[i] -= gone;
		if ((*path[i] & USED_MASK) != 0)
			return;
		nodes_put(nodes, node_frame(*path[i]));
		index->node_frames--;
		*path[i] = 0;
		gone = 1;
	}
}

bool span_nodes_fill(struct span_nodes *nodes, unsigned wanted, unsigned flags)
{
	while (nodes->count < wanted) {
		pfn_t frame = frame_alloc_behind(flags);

		if (pfn_is_none(frame))
			return false;
		frame_zero(frame);
		nodes_put(nodes, frame);
	}
	return true;
}

void span_nodes_give(struct span_nodes *nodes)
{
	while (nodes->count > 0)
		frame_free(nodes_take(nodes));
}

static void count_slot(uint64_t slot, struct span_count *count)
{
	switch (slot & KIND_MASK) {
	case SPAN_ARENA:
		count->arena_frames++;
		break;
	case SPAN_RUN:
	case SPAN_FRAME:
		count->runs++;
		count->run_frames += slot >> KIND_BITS;
		break;
	default:
		port_panic("heap: the index has a slot %#llx of no kind", (unsigned long long)slot);
	}
}

/* Recursion is as deep as the tree: SPAN_LEVELS_MAX calls. */
static void validate_node(uint64_t node, unsigned level, struct span_count *count)
{
	const uint64_t *words = node_words(node);
	unsigned used = 0;

	count->nodes++;
	for (unsigned i = 0; i < SPAN_SLOTS; i++) {
		if (words[i] == 0)
			continue;
		used++;
		if (level > 1)
			validate_node(words[i], level - 1, count);
		else
			count_slot(words[i], count);
	}
	check(used > 0 && used == (node & USED_MASK),
	      "heap: a node of the index has %u words in use, the word above says %u", used,
	      (unsigned)(node & USED_MASK));
}

struct span_count span_validate(const struct span_index *index)
{
	struct span_count count = {0, 0, 0, 0};

	if (index->root)
		validate_node(index->root, index->levels, &count);
	check(count.nodes == index->node_frames, "heap: the index has %llu nodes and counts %llu",
	      (unsigned long long)count.nodes, (unsigned long long)index->node_frames);
	return count;
}
