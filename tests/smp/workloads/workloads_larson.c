/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_larson.c - larson: a server's blocks, passed from cpu to cpu. */
#include "tests/smp/workloads/workloads.h"

#include "mm/heap/kmalloc.h"
#include "sync/ck.h"
#include "tests/smp/random.h"
#include "tests/smp/workloads/workload_blocks.h"

#define LARSON_BLOCKS	512
#define LARSON_ROUNDS	16
#define LARSON_SIZE_MIN 8
#define LARSON_SIZE_MAX 1000

/*
 * Larson and Krishnan, Memory allocation for long-running server applications, ISMM 1998: a thread
 * of a server has objects of random sizes, frees one and allocates another for each request, and
 * leaves them to the thread after it, which frees objects that it has not allocated.
 *
 * A lot is what is passed on: blocks, and the round in which a cpu may work on it. In round r cpu c
 * works on lot (c + r) mod cpus, which cpu c + 1 had in round r - 1, and waits for that cpu only.
 * There is no circle of waiters: a cpu in the lowest round of all waits for no cpu. On one cpu, the
 * lot comes from that cpu itself, so it frees no blocks of others. A cpu whose time is over takes
 * no further lot; a cpu that waits for it finds that its own time is over, too.
 */
struct lot {
	_Alignas(64) uint64_t round;
	struct stamped_block block[LARSON_BLOCKS];
};

bool larson_setup(struct workload_run *run)
{
	return workload_share(run, run->cpus * sizeof(struct lot));
}

/* The acquire pairs with the release in larson_leave() by the cpu before. NULL: too late. */
static struct lot *larson_inherit(struct workload_run *run, unsigned number, uint64_t round)
{
	struct lot *lot = (struct lot *)run->shared + (number + round) % run->cpus;

	while (ck_pr_load_64(&lot->round) != round) {
		if (workload_is_over(run, number))
			return NULL;
		port_relax();
	}
	ck_pr_fence_acquire();
	return lot;
}

static void larson_leave(struct lot *lot, uint64_t round)
{
	ck_pr_fence_release();
	ck_pr_store_64(&lot->round, round + 1);
}

static void larson_replace(struct workload_cpu *cpu, struct stamped_block *held)
{
	if (held->block)
		block_give(cpu, held);
	block_take(cpu, held, block_size(cpu, LARSON_SIZE_MIN, LARSON_SIZE_MAX));
}

/* One round of requests, cut short when the time is over. */
static void larson_serve(struct workload_run *run, unsigned number, struct lot *lot,
			 uint64_t blocks, uint64_t done, uint64_t requests)
{
	struct workload_cpu *cpu = &run->cpu[number];

	for (uint64_t i = 0; i < blocks && !workload_is_over(run, number); i++)
		if (!lot->block[i].block)
			larson_replace(cpu, &lot->block[i]);
	for (uint64_t i = 0; i < requests && !workload_is_over(run, number); i++) {
		larson_replace(cpu, &lot->block[random_below(&cpu->random, blocks)]);
		if (number == 0)
			workload_sample(run, done + i + 1, "mixed", false);
	}
}

static void larson_close(struct workload_run *run, unsigned number, struct lot *lot)
{
	for (unsigned i = 0; i < LARSON_BLOCKS && !workload_is_over(run, number); i++)
		if (lot->block[i].block)
			block_give(&run->cpu[number], &lot->block[i]);
}

/* All cpus do the same number of rounds; then each frees the lot that it would get next. */
void larson_work(struct workload_run *run, unsigned number)
{
	uint64_t blocks = run->ops < LARSON_BLOCKS ? run->ops : LARSON_BLOCKS;
	uint64_t each = (run->ops + LARSON_ROUNDS - 1) / LARSON_ROUNDS;
	uint64_t round = 0;
	struct lot *lot;

	for (uint64_t done = 0; done < run->ops; done += each, round++) {
		uint64_t left = run->ops - done;

		lot = larson_inherit(run, number, round);
		if (!lot)
			return;
		larson_serve(run, number, lot, blocks, done, left < each ? left : each);
		larson_leave(lot, round);
	}
	lot = larson_inherit(run, number, round);
	if (lot)
		larson_close(run, number, lot);
}

void larson_teardown(struct workload_run *run)
{
	struct lot *lot = run->shared;

	for (unsigned i = 0; i < run->cpus; i++)
		blocks_end(lot[i].block, LARSON_BLOCKS);
	kheap_trim();
}
