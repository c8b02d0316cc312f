/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_sizes.c - sizes: each cpu replaces random ones of 1,000 blocks by blocks of random sizes. */
#include "tests/smp/workloads/workloads.h"

#include "mm/heap/kmalloc.h"
#include "tests/smp/random.h"
#include "tests/smp/workloads/workload_blocks.h"

#define SIZES_LIVE	 1000
#define SIZES_MAGNITUDES 8 /* 8 to 2,040 bytes */

bool sizes_setup(struct workload_run *run)
{
	return workload_share(run, run->cpus * SIZES_LIVE * sizeof(struct stamped_block));
}

/* As many between 2^k and 2^(k+1) for each k. */
static uint32_t random_size(struct workload_cpu *cpu)
{
	uint32_t smallest = 8u << random_below(&cpu->random, SIZES_MAGNITUDES);

	return block_size(cpu, smallest, 2 * smallest - 8);
}

/* One replacement is one operation; so is a block that is allocated first. */
void sizes_work(struct workload_run *run, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct stamped_block *mine = (struct stamped_block *)run->shared + number * SIZES_LIVE;

	for (uint64_t i = 0; i < run->ops && !workload_is_over(run, number); i++) {
		struct stamped_block *held =
			&mine[i < SIZES_LIVE ? i : random_below(&cpu->random, SIZES_LIVE)];

		if (held->block)
			block_give(cpu, held);
		block_take(cpu, held, random_size(cpu));
	}
	for (unsigned i = 0; i < SIZES_LIVE && !workload_is_over(run, number); i++)
		if (mine[i].block)
			block_give(cpu, &mine[i]);
}

void sizes_teardown(struct workload_run *run)
{
	blocks_end(run->shared, (uint64_t)run->cpus * SIZES_LIVE);
	kheap_trim();
}
