/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workload_blocks.h - blocks of the heap that carry a stamp at both ends.
 *
 * The stamp is a random number that is kept outside of the block, so a block with two owners is
 * found by one of them. It costs four accesses, whatever the size: what the heap itself costs stays
 * visible. (`kmalloc` checks every byte.)
 */
#pragma once

#include "mm/check.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/random.h"
#include "tests/smp/workloads/workload.h"

/* Empty where `block` is NULL. The size is a multiple of 8, at least 8. */
struct stamped_block {
	uint64_t *block;
	uint64_t stamp;
	uint32_t size;
};

/* Leaves it empty where there is no memory. */
static inline void block_take(struct workload_cpu *cpu, struct stamped_block *held, uint32_t size)
{
	held->block = kmalloc(size);
	if (!held->block)
		return;
	held->size = size;
	held->stamp = random_next(&cpu->random);
	held->block[0] = held->stamp;
	held->block[size / 8 - 1] = held->stamp;
	cpu->allocs++;
}

/* It is not empty. */
static inline void block_give(struct workload_cpu *cpu, struct stamped_block *held)
{
	check(held->block[0] == held->stamp && held->block[held->size / 8 - 1] == held->stamp,
	      "heap: block %p of %u bytes has %#llx and %#llx at its ends, expected %#llx: it has "
	      "another "
	      "owner, or was overwritten",
	      (void *)held->block, held->size, (unsigned long long)held->block[0],
	      (unsigned long long)held->block[held->size / 8 - 1], (unsigned long long)held->stamp);
	kfree(held->block);
	held->block = NULL;
	cpu->frees++;
}

/* A size from `min` to `max`, multiples of 8. */
static inline uint32_t block_size(struct workload_cpu *cpu, uint32_t min, uint32_t max)
{
	return min + 8 * (uint32_t)random_below(&cpu->random, (max - min) / 8 + 1);
}

/* At rest: frees those of `count` that are not empty, uncounted. */
static inline void blocks_end(struct stamped_block *held, uint64_t count)
{
	struct workload_cpu uncounted = {0};

	for (uint64_t i = 0; i < count; i++)
		if (held[i].block)
			block_give(&uncounted, &held[i]);
}
