/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap_points.h - stops an operation of the heap at every point, and lets a trap handler, or another CPU,
 * allocate and free blocks there.
 *
 * For each operation and each thing that may come in, the operation is done once for each of its points;
 * traps.h says what a point is. Every block carries its owner's stamp, so a block with two owners is
 * found. After each run the heap must be valid, and when all blocks are freed no frame may be missing.
 *
 * A failure prints a line that begins with ONLY=. With that in the environment, only this operation and
 * what came in there run.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/heap/kmalloc_private.h"
#include "tests/host/traps/traps.h"

#define SIZE	 200 /* of the blocks in piles */
#define PILE_MAX 400

#define HOLD(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			port_panic("line %d: %s", __LINE__, #condition);                           \
	} while (0)

/* Blocks of one owner. */
struct pile {
	uint64_t owner;
	unsigned count;
	uint64_t *block[PILE_MAX];
};

/* The interrupted code's, and that of what comes in. */
extern struct pile mine, kept;

void pile_stamp(const struct pile *pile, uint64_t *block);
void pile_check(const struct pile *pile, const uint64_t *block);
void pile_add(struct pile *pile, uint64_t *block);
/* False: there is no memory. */
bool pile_take(struct pile *pile);
/* Frees the last block, if there is one. */
void pile_give(struct pile *pile);

/* This CPU's stack for blocks of SIZE, its bottom, and the blocks on it. */
struct kheap_stack *size_stack(void);
uint64_t *size_bottom(void);
unsigned size_level(void);

/* Some blocks in both piles. */
void ready_some(void);
/* The same, and no other block and no frame is left. */
void ready_nothing(void);

struct heap_operation {
	const char *name;
	void (*ready)(void);
	void (*work)(void);
};

/* Each operation with a trap at each of its points; then with another CPU there. Returns the runs. */
uint64_t heap_points_run(const struct heap_operation *operations, unsigned count);
