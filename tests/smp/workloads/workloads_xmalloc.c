/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * workloads_xmalloc.c - xmalloc: one cpu of each pair allocates blocks, the other frees them.
 *
 * Lever and Boreham, malloc() performance in a multithreaded Linux environment, USENIX 2000. Each
 * pair of cpus has one ring: the even cpu fills its slots, the odd cpu empties them. A cpu without a
 * partner does both. Where there was no memory, an empty block travels.
 *
 * When the producer's time is over, it closes the ring. The consumer goes on until the ring is
 * empty, or until it is late; the teardown frees what is then left.
 */
#include "tests/smp/workloads/workloads.h"

#include "mm/heap/kmalloc.h"
#include "sync/ck.h"
#include "tests/smp/random.h"
#include "tests/smp/workloads/workload_blocks.h"

#define XMALLOC_RING	 256 /* a power of two */
#define XMALLOC_SIZE_MIN 8
#define XMALLOC_SIZE_MAX 512

/* `put` and `closed` are the producer's, `taken` the consumer's; both count slots and never wrap. */
struct block_ring {
	_Alignas(64) uint64_t put;
	uint32_t closed;
	_Alignas(64) uint64_t taken;
	_Alignas(64) struct stamped_block slot[XMALLOC_RING];
};

static unsigned xmalloc_rings(const struct workload_run *run)
{
	return (run->cpus + 1) / 2;
}

bool xmalloc_setup(struct workload_run *run)
{
	return workload_share(run, xmalloc_rings(run) * sizeof(struct block_ring));
}

/* The acquire pairs with the release of the consumer in ring_take(). False: the time was over. */
static bool ring_wait_for_room(struct workload_run *run, unsigned number,
			       const struct block_ring *ring, uint64_t put)
{
	while (put - ck_pr_load_64(&ring->taken) == XMALLOC_RING) {
		if (workload_is_over(run, number))
			return false;
		port_relax();
	}
	ck_pr_fence_acquire();
	return true;
}

static void ring_put(struct workload_cpu *cpu, struct block_ring *ring, uint64_t put)
{
	block_take(cpu, &ring->slot[put % XMALLOC_RING],
		   block_size(cpu, XMALLOC_SIZE_MIN, XMALLOC_SIZE_MAX));
	ck_pr_fence_release();
	ck_pr_store_64(&ring->put, put + 1);
}

/* The acquires pair with the releases of the producer. False: no block will come, or it is late. */
static bool ring_wait_for_block(struct workload_run *run, unsigned number,
				const struct block_ring *ring, uint64_t taken)
{
	while (ck_pr_load_64(&ring->put) == taken) {
		if (ck_pr_load_32(&ring->closed)) {
			ck_pr_fence_acquire();
			if (ck_pr_load_64(&ring->put) == taken)
				return false;
			break;
		}
		if (workload_is_late(run, number))
			return false;
		port_relax();
	}
	ck_pr_fence_acquire();
	return true;
}

static void ring_take(struct workload_cpu *cpu, struct block_ring *ring, uint64_t taken)
{
	struct stamped_block *held = &ring->slot[taken % XMALLOC_RING];

	if (held->block)
		block_give(cpu, held);
	ck_pr_fence_release();
	ck_pr_store_64(&ring->taken, taken + 1);
}

static void xmalloc_produce(struct workload_run *run, unsigned number, struct block_ring *ring)
{
	for (uint64_t i = 0; i < run->ops; i++) {
		if (workload_is_over(run, number) || !ring_wait_for_room(run, number, ring, i)) {
			ck_pr_fence_release();
			ck_pr_store_32(&ring->closed, 1);
			return;
		}
		ring_put(&run->cpu[number], ring, i);
	}
}

static void xmalloc_consume(struct workload_run *run, unsigned number, struct block_ring *ring)
{
	for (uint64_t i = 0; i < run->ops && !workload_is_late(run, number); i++) {
		if (!ring_wait_for_block(run, number, ring, i))
			return;
		ring_take(&run->cpu[number], ring, i);
	}
}

/* Half a ring at a time. */
static void xmalloc_both(struct workload_run *run, unsigned number, struct block_ring *ring)
{
	uint64_t put = 0, taken = 0;

	while (taken < run->ops && !workload_is_over(run, number)) {
		while (put < run->ops && put - taken < XMALLOC_RING / 2 &&
		       !workload_is_over(run, number))
			ring_put(&run->cpu[number], ring, put++);
		while (taken < put && !workload_is_over(run, number))
			ring_take(&run->cpu[number], ring, taken++);
	}
}

void xmalloc_work(struct workload_run *run, unsigned number)
{
	struct block_ring *ring = (struct block_ring *)run->shared + number / 2;

	if (number % 2)
		xmalloc_consume(run, number, ring);
	else if (number + 1 < run->cpus)
		xmalloc_produce(run, number, ring);
	else
		xmalloc_both(run, number, ring);
}

void xmalloc_teardown(struct workload_run *run)
{
	struct block_ring *ring = run->shared;

	for (unsigned i = 0; i < xmalloc_rings(run); i++)
		blocks_end(ring[i].slot, XMALLOC_RING);
	kheap_trim();
}
