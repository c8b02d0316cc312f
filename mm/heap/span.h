/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * span.h - an index from frame number to span: which frames belong to the heap, and to what there.
 *
 * A span is what the heap has taken from the frame allocator in one piece: an arena, or the frames
 * of one large block. The index is a radix tree whose nodes are single frames. So it grows with the
 * heap without a limit, answers exactly for any pointer, and gives all nodes back when it is empty.
 *
 * No function takes or gives a frame while the caller holds the heap's lock. The caller passes the
 * nodes that span_enter() may need, and gets back those that span_remove() frees, in struct
 * span_nodes.
 *
 * span_nodes_fill() and span_nodes_give() are called with no lock held. The caller serializes all
 * other calls. Their costs are O(levels): 2 with 128 MiB of RAM, 3 up to 512 GiB.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/address.h"

enum span_kind {
	SPAN_NONE,
	SPAN_ARENA, /* value: pfn of the struct arena; each frame of the arena has a slot */
	SPAN_RUN,   /* value: number of frames of frame_alloc_run(); the first has a slot */
	SPAN_FRAME  /* value: 1; a single frame of frame_alloc() */
};

struct span {
	enum span_kind kind;
	uint64_t value;
};

#define SPAN_LEVEL_BITS 9
#define SPAN_SLOTS	(1u << SPAN_LEVEL_BITS)
#define SPAN_LEVELS_MAX 6 /* 54 bits: more than the frame number of a 64-bit address has */

struct span_index {
	uint64_t base;	 /* pfn of the first slot, a multiple of SPAN_SLOTS */
	unsigned levels; /* nodes on the path from the root word to a slot */
	uint64_t root;
	uint64_t node_frames;
};

/*
 * Nodes that will enter the index or have left it: SPAN_LEVELS_MAX at most. Each names the next in
 * its first word, so this struct stays small: it is on the stack of every caller.
 */
struct span_nodes {
	unsigned count;
	pfn_t first; /* meaningful where count > 0 */
};

struct span_count {
	uint64_t nodes;
	uint64_t arena_frames;
	uint64_t runs; /* SPAN_RUN and SPAN_FRAME */
	uint64_t run_frames;
};

/* Makes an empty index for the frames [first, end). */
void span_init(struct span_index *index, uint64_t first, uint64_t end);

/*
 * The span of the frame; SPAN_NONE where it does not belong to the heap. `frame` may be any number.
 */
struct span span_find(const struct span_index *index, uint64_t frame);

/* The number of nodes missing on the path to this frame's slot, 0..SPAN_LEVELS_MAX. */
unsigned span_missing(const struct span_index *index, uint64_t frame);

/*
 * Enters `span` for `count` frames, which do not cross a multiple of SPAN_SLOTS. Takes the
 * span_missing() nodes that it needs from `nodes`. The caller provides that number, all zeroed.
 */
void span_enter(struct span_index *index, uint64_t first, uint64_t count, struct span span,
		struct span_nodes *nodes);

/* Changes what span_enter() entered for one frame. */
void span_replace(struct span_index *index, uint64_t frame, struct span span);

/*
 * Removes what span_enter() entered. Puts nodes that are now empty into `nodes`, which must be
 * empty.
 */
void span_remove(struct span_index *index, uint64_t first, uint64_t count, struct span_nodes *nodes);

/*
 * Allocates frames until `nodes` has `wanted` zeroed nodes; false: no frame. `flags` as of
 * frame_alloc().
 */
bool span_nodes_fill(struct span_nodes *nodes, unsigned wanted, unsigned flags);
/* Frees all of them. */
void span_nodes_give(struct span_nodes *nodes);

/* Panics where a count is wrong. O(nodes * SPAN_SLOTS). */
struct span_count span_validate(const struct span_index *index);
