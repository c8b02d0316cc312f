/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_heap.c - blocks of the heap, filled with a pattern that is checked before the free. */
#include "tests/smp/workloads/workloads.h"

#include <string.h>

#include "mm/check.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/random.h"
#include "tests/smp/workloads/workload_frames.h"

/* ---- kmalloc: blocks of mixed sizes, their contents checked -------------------------------- */

#define KMALLOC_SLOTS 256

struct held_block {
	unsigned char *block;
	uint32_t size;
	unsigned char fill;
};

bool kmalloc_setup(struct workload_run *run)
{
	return workload_share(run, run->cpus * KMALLOC_SLOTS * sizeof(struct held_block));
}

/* Sizes as in programs: half of all have at most 64 bytes, one in some hundreds has many pages. */
static uint32_t kmalloc_size(struct workload_cpu *cpu)
{
	unsigned magnitude = 3 + (unsigned)random_below(&cpu->random, 4);

	while (magnitude < 14 && random_below(&cpu->random, 3) == 0)
		magnitude++;
	return 1 + (uint32_t)random_below(&cpu->random, UINT64_C(1) << magnitude);
}

static void check_fill(const struct held_block *held, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		check(held->block[i] == held->fill,
		      "heap: byte %u of block %p is %#x, expected %#x: it has another owner, or "
		      "was overwritten",
		      i, (void *)held->block, held->block[i], held->fill);
}

static void take_block(struct workload_cpu *cpu, struct held_block *held, uint32_t size)
{
	held->size = size;
	held->fill = (unsigned char)random_next(&cpu->random);
	held->block = kmalloc(held->size);
	if (!held->block)
		return;
	memset(held->block, held->fill, held->size);
	cpu->allocs++;
}

static void resize_block(struct workload_cpu *cpu, struct held_block *held)
{
	uint32_t size = kmalloc_size(cpu);
	unsigned char *block = krealloc(held->block, size);

	if (!block)
		return;
	held->block = block;
	check_fill(held, size < held->size ? size : held->size);
	held->size = size;
	memset(block, held->fill, size);
}

static void give_block(struct workload_cpu *cpu, struct held_block *held)
{
	check_fill(held, held->size);
	kfree(held->block);
	held->block = NULL;
	cpu->frees++;
}

void kmalloc_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct held_block *slot = (struct held_block *)run->shared + number * KMALLOC_SLOTS;

	for (uint64_t i = 0; i < run->ops && !workload_is_over(run, number);) {
		uint64_t end = stride_end(run, i, run->ops);

		for (; i < end; i++) {
			struct held_block *held = &slot[random_below(&cpu->random, KMALLOC_SLOTS)];

			if (!held->block)
				take_block(cpu, held, kmalloc_size(cpu));
			else if (random_below(&cpu->random, 8) == 0)
				resize_block(cpu, held);
			else
				give_block(cpu, held);
		}
	}
	for (unsigned i = 0; i < KMALLOC_SLOTS && !workload_is_over(run, number); i++)
		if (slot[i].block)
			give_block(cpu, &slot[i]);
}

/* Frees the blocks that no cpu had time to free. */
static void give_rest(struct held_block *held, uint64_t count)
{
	struct workload_cpu nobody = {0};

	for (uint64_t i = 0; i < count; i++)
		if (held[i].block)
			give_block(&nobody, &held[i]);
}

void kmalloc_teardown(struct workload_run *run)
{
	give_rest(run->shared, (uint64_t)run->cpus * KMALLOC_SLOTS);
	kheap_trim();
}
