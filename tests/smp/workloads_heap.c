/* workloads_heap.c - blocks of the heap, each filled with a pattern that is looked at before it goes. */
#include "tests/smp/workloads.h"

#include <string.h>

#include "mm/check.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/random.h"
#include "tests/smp/workload.h"

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

/* Sizes as programs have them: half of all at most 64 bytes, one in some hundred many pages. */
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
		      "kmalloc: byte %u of block %p is %#x, expected %#x", i, (void *)held->block,
		      held->block[i], held->fill);
}

static void take_block(struct workload_cpu *cpu, struct held_block *held)
{
	held->size = kmalloc_size(cpu);
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

	for (uint64_t i = 0; i < run->ops; i++) {
		struct held_block *held = &slot[random_below(&cpu->random, KMALLOC_SLOTS)];

		if (!held->block)
			take_block(cpu, held);
		else if (random_below(&cpu->random, 8) == 0)
			resize_block(cpu, held);
		else
			give_block(cpu, held);
	}
	for (unsigned i = 0; i < KMALLOC_SLOTS; i++)
		if (slot[i].block)
			give_block(cpu, &slot[i]);
}

void kmalloc_teardown(struct workload_run *run)
{
	(void)run;
	kheap_trim();
}
