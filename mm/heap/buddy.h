/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buddy.h - a binary buddy over one arena: it keeps which blocks are free, and nothing else.
 *
 * It returns offsets and never accesses the memory of the arena; it knows no lock and no frame.
 * Sizes are orders: a block of order k has BUDDY_UNIT << k bytes and starts at a multiple of that.
 * The whole structure fits in one frame together with the heap's words (see buddy.c).
 *
 * The caller serializes all calls on one buddy. All calls but buddy_validate() are O(log units).
 * They are legal in any context.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/platform.h"

/* The smallest block is a cache line: blocks of two cpus never share one. */
#define BUDDY_UNIT	((size_t)PORT_CACHE_LINE)
#define BUDDY_ORDER_MAX 11
#define BUDDY_BYTES_MAX (BUDDY_UNIT << BUDDY_ORDER_MAX)

/*
 * The room of a node: 0 where no part of its block is free, else one more than the order of the
 * largest free block in it. BUDDY_TAKEN: the block is allocated as a whole.
 */
#define BUDDY_ROOMS (BUDDY_ORDER_MAX + 2)
#define BUDDY_TAKEN 15

struct buddy {
	unsigned order; /* of the whole arena */
	/* pair[n]: the rooms of nodes 2n (low nibble) and 2n + 1 (high); pair[0]: of the root. */
	uint8_t pair[1 << BUDDY_ORDER_MAX];
};

/* A block that is free or allocated as a whole. */
struct buddy_block {
	size_t offset; /* bytes from the arena's start */
	unsigned order;
	bool allocated;
};

struct buddy_count {
	size_t free_bytes;
	size_t live_bytes;
	uint64_t live_blocks;
};

static inline size_t buddy_bytes(unsigned order)
{
	return BUDDY_UNIT << order;
}

/*
 * Makes one free block of `order`, 0..BUDDY_ORDER_MAX. O(1): nodes below it are written on demand.
 */
void buddy_init(struct buddy *buddy, unsigned order);

/*
 * The room of the whole arena, 0..BUDDY_ROOMS - 1; 0 also where it is allocated as one block. O(1).
 */
unsigned buddy_room(const struct buddy *buddy);

static inline bool buddy_is_empty(const struct buddy *buddy)
{
	return buddy_room(buddy) == buddy->order + 1;
}

/*
 * Allocates a block of `order` and returns its offset in bytes. buddy_room() must be above `order`.
 */
size_t buddy_alloc(struct buddy *buddy, unsigned order);

/* The block that the byte at `offset` is part of; offset < the arena's size. Changes nothing. */
struct buddy_block buddy_find(const struct buddy *buddy, size_t offset);

/* Frees an allocated block that buddy_find() has returned. */
void buddy_free(struct buddy *buddy, struct buddy_block block);

/* Panics where a room is wrong or two free buddies are not united. O(units). */
struct buddy_count buddy_validate(const struct buddy *buddy);
