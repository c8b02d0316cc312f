/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * span.h - which frames are the heap's and as what: an index from frame to span.
 *
 * A span is what the heap took from the frame allocator in one piece: an arena, or the frames of
 * one large block. The index is a radix tree whose nodes are single frames, so it grows with the
 * heap without bound, is exact for any pointer however wild, and is all given back when empty.
 *
 * No function here takes or gives a frame while the caller holds the heap's lock: those that
 * may need nodes are handed them, and those that free nodes hand them out, in span_nodes.
 *
 * Except for span_nodes_fill and _give, which are called with no lock held, the caller
 * serializes all calls. Costs are O(levels): 2 with 128 MiB of RAM, 3 up to 512 GiB.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/address.h"

enum span_kind {
	SPAN_NONE,
	SPAN_ARENA, /* value: the pfn of the arena's own frame; found by each of its frames */
	SPAN_RUN,   /* value: its frames; found by the first of them; of frame_alloc_run() */
	SPAN_FRAME  /* value: 1; a single one, of frame_alloc() */
};

struct span {
	enum span_kind kind;
	uint64_t value;
};

#define SPAN_LEVEL_BITS 9
#define SPAN_SLOTS	(1u << SPAN_LEVEL_BITS)
#define SPAN_LEVELS_MAX 6 /* 54 bits: more than a 64-bit address has frame number */

struct span_index {
	uint64_t base;	 /* pfn of the first slot, a multiple of SPAN_SLOTS */
	unsigned levels; /* of nodes between the root word and a slot */
	uint64_t root;
	uint64_t node_frames;
};

/*
 * Nodes on their way into the index, or out of it: SPAN_LEVELS_MAX at most. Each names the next in its
 * first word, so that this is small: it is on the stack of every caller.
 */
struct span_nodes {
	unsigned count;
	pfn_t first; /* of `count` */
};

struct span_count {
	uint64_t nodes;
	uint64_t arena_frames;
	uint64_t runs; /* SPAN_RUN and SPAN_FRAME */
	uint64_t run_frames;
};

/* An empty index for the frames [first, end). */
void span_init(struct span_index *index, uint64_t first, uint64_t end);

/* What the frame belongs to; SPAN_NONE when it is not the heap's, or no frame at all. */
struct span span_find(const struct span_index *index, uint64_t frame);

/* Nodes that the way to this frame's slot lacks, 0..SPAN_LEVELS_MAX. */
unsigned span_missing(const struct span_index *index, uint64_t frame);

/*
 * Enters `span` for `count` frames, which do not cross a multiple of SPAN_SLOTS. Takes of
 * `nodes` the span_missing() that it needs; they are there and zeroed.
 */
void span_enter(struct span_index *index, uint64_t first, uint64_t count, struct span span,
		struct span_nodes *nodes);

/* The reverse. Nodes that are now empty are put into `nodes`, which is empty before. */
void span_remove(struct span_index *index, uint64_t first, uint64_t count, struct span_nodes *nodes);

/* Has at least `wanted` zeroed nodes in `nodes`, or says false. Allocates frames; flags: as frame_alloc. */
bool span_nodes_fill(struct span_nodes *nodes, unsigned wanted, unsigned flags);
void span_nodes_give(struct span_nodes *nodes);

/* Walks all of it; panics where a count is wrong. */
struct span_count span_validate(const struct span_index *index);
