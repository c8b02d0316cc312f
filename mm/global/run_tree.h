/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_tree.h - for each chunk of 512 frames, and 8-ary above: the longest runs of free frames.
 *
 * What it is
 *
 *   The segment tree of the textbooks for "the longest row of free seats". A node holds three
 *   lengths in frames: the free run at its left end (prefix), the longest free run inside
 *   (longest), and the free run at its right end (suffix). Level 0 has a node for each chunk,
 *   packed into 4 bytes; a node of a level above covers eight nodes below it. The tree answers any
 *   request for a contiguous run, with any alignment, exactly and lowest address first. It owns no
 *   bitmap: it reads its owner's.
 *
 * Lazy repair
 *
 *   To keep all nodes exact, each free would have to walk to the root. Traffic of single frames
 *   does not need the tree, so it only marks chunks dirty: one bit for each node, set from the
 *   chunk upwards until a set bit is met. A search goes from left to right. It believes a clean
 *   node. It enters a dirty node, and makes it exact when it has passed over all of it in vain. So
 *   a search repairs only what it must read, and the next search need not repair that again.
 *
 * Invariants (under the zone's lock, between calls)
 *
 *   S2  A node that is not dirty is exact.
 *   S3  The parent of a dirty node is dirty.
 *
 * Writers: the nodes and dirty bits are written through the functions below only, under the zone's
 * lock, and are not read without it. `words` is written by the owner of the bitmap.
 *
 * Cost: marking O(1), O(log8 n) for the first mark after a repair; a search O(log8 n) on a clean
 * tree, plus the dirty chunks to the left of its answer (those are the steps), plus the clean
 * chunks to its left that hold a run that is long enough but begins at the wrong place for the
 * alignment. Metadata for n frames: 4/512 byte for the chunks, 12/3584 for the nodes above, 1/3584
 * for the dirty bits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/global/policy.h"

#define CHUNK_SHIFT  9
#define CHUNK_FRAMES (1u << CHUNK_SHIFT)
#define CHUNK_WORDS  (CHUNK_FRAMES / FRAMES_PER_WORD)
#define FANOUT_SHIFT 3
#define FANOUT	     (1u << FANOUT_SHIFT)

/* Free runs of one node, in frames. If all of the node is free, all three are its size. */
struct run {
	uint32_t prefix, longest, suffix;
};

/* The same of a chunk in one word: ten bits hold 0..512. */
typedef uint32_t packed_run;

_Static_assert(sizeof(struct run) == 12, "12 bytes an upper node");
_Static_assert(CHUNK_FRAMES < 1 << 10, "ten bits hold a chunk's runs");

struct run_tree {
	/* Read-only after run_tree_init. */ uint64_t
		base;	       /* pfn of the bitmap's first frame, a multiple of 512 */
	const uint64_t *words; /* the bitmap, 1 for free; chunk i begins at word 8 * i */
	packed_run *chunk_runs;
	unsigned levels;
	/* There are `levels` of these: a small zone does not pay for a large one. */
	struct {
		struct run *runs; /* of level 1 and up; level 0 is chunk_runs */
		uint8_t *dirty;	  /* a bit for each node; byte i: the children of node i above */
	} level[];
};

/* Bytes of level[] for this number of chunks, and of the nodes and dirty bits; multiples of 8. */
size_t run_tree_header_bytes(uint64_t chunks);
size_t run_tree_node_bytes(uint64_t chunks);

/*
 * Makes a tree that says, exactly, that no frame is free. `memory` (8-aligned) has
 * run_tree_node_bytes() and is written whole.
 */
void run_tree_init(struct run_tree *tree, void *memory, uint64_t base, uint64_t chunks,
		   const uint64_t *words);

/*
 * The lowest run of `count` free frames whose first pfn is a multiple of `align` (a power of two):
 * RUN_FOUND and *first. RUN_NONE: there is none. RUN_AGAIN when `steps` dirty chunks were repaired
 * and another one is met.
 */
enum run_result run_tree_search(struct run_tree *tree, uint64_t count, uint64_t align,
				unsigned steps, uint64_t *first);

/* Marks a node dirty, and its ancestors up to the first node that is marked already (S3). */
void run_tree_mark_dirty(struct run_tree *tree, unsigned level, uint64_t node);

/* Panics where S2 or S3 is broken. O(n). */
void run_tree_validate(const struct run_tree *tree, uint64_t chunks);

static inline uint64_t run_tree_parents(uint64_t nodes)
{
	return (nodes + FANOUT - 1) >> FANOUT_SHIFT;
}

static inline bool run_tree_is_dirty(const struct run_tree *tree, unsigned level, uint64_t node)
{
	return tree->level[level].dirty[node >> FANOUT_SHIFT] >> (node & (FANOUT - 1)) & 1;
}

/* Which of the eight chunks of a group are dirty, a bit each. */
static inline uint8_t run_tree_dirty_chunks(const struct run_tree *tree, uint64_t group)
{
	return tree->level[0].dirty[group];
}

/* Marks chunks of one group dirty, a bit each. If one was dirty, their parent is already (S3). */
static inline void run_tree_mark_chunks(struct run_tree *tree, uint64_t group, unsigned chunks)
{
	uint8_t *byte = &tree->level[0].dirty[group];
	unsigned before = *byte;

	*byte = (uint8_t)(before | chunks);
	if (!before)
		run_tree_mark_dirty(tree, 1, group);
}

/* All frames of a chunk are free now: makes its node exact, and marks those above dirty. */
static inline void run_tree_set_free(struct run_tree *tree, uint64_t chunk)
{
	uint8_t *byte = &tree->level[0].dirty[chunk >> FANOUT_SHIFT], before = *byte;

	tree->chunk_runs[chunk] = CHUNK_FRAMES | CHUNK_FRAMES << 10 | CHUNK_FRAMES << 20;
	*byte = before & (uint8_t)(~(1u << (chunk & (FANOUT - 1))));
	if (!before)
		run_tree_mark_dirty(tree, 1, chunk >> FANOUT_SHIFT);
}
