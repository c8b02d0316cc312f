/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest_parallel.c - all cpus allocate at once; see selftest_parallel.h.
 *
 * Covers: mm/frame.c mm/percpu/cache.c
 */
#include "tests/smp/selftest/selftest_parallel.h"

#include <stdbool.h>
#include <stdint.h>

#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "sync/barrier.h"
#include "sync/ck.h"
#include "tests/smp/random.h"
#include "tests/smp/selftest/expect.h"
#include "tests/smp/stamp.h"

struct bound_test {
	unsigned violations;
	uint64_t seed;
};

#define BOUND_FRAMES 512
#define BOUND_OPS    20000

static uint64_t lock_holds(const struct frame_cache *cache)
{
	const struct frame_cache_stats *stats = &cache->stats;

	return stats->refills + stats->flushes + stats->direct_allocs + stats->direct_frees;
}

/*
 * Goes up and down between empty and full by random amounts. Each hold of a lock must come with at
 * least a batch of operations. One hold is free: it may come from what the cache held at the start.
 */
static void work_bound(void *argument)
{
	struct bound_test *test = argument;
	struct frame_cache *cache = frame_cache_self();
	uint64_t random = test->seed + port_cpu() * 2 + 1;
	uint64_t before = lock_holds(cache);
	pfn_t newest = PFN_NONE;
	unsigned level = 0;
	bool up = true;

	for (uint64_t op = 1; op <= BOUND_OPS || level; op++) {
		if (level == BOUND_FRAMES || op > BOUND_OPS || random_below(&random, 100) < 3)
			up = false;
		if (level == 0 || (op <= BOUND_OPS && random_below(&random, 100) < 3))
			up = true;
		if (up) {
			pfn_t frame = frame_alloc(FRAME_ANY);

			*(pfn_t *)frame_bytes(frame) = newest;
			newest = frame;
			level++;
		} else {
			pfn_t frame = newest;

			newest = *(pfn_t *)frame_bytes(frame);
			frame_free(frame);
			level--;
		}
		if ((lock_holds(cache) - before - 1) * cache->batch_min > op &&
		    lock_holds(cache) > before)
			ck_pr_inc_uint(&test->violations);
	}
}

const char *parallel_test_lock_bound(void)
{
	static struct bound_test test;

	if (settings.arguments.cache_frames == 0 ||
	    frame_free_count() < settings.cpus * (BOUND_FRAMES + 512))
		return NULL;
	test.violations = 0;
	test.seed = settings.arguments.seed;
	cpus_run(work_bound, &test, settings.cpus);
	EXPECT(test.violations == 0);
	return NULL;
}

struct exhaust_test {
	struct barrier barrier;
	uint64_t *taken; /* of each cpu */
};

static void work_exhaust(void *argument)
{
	struct exhaust_test *test = argument;
	unsigned cpu = port_cpu();
	pfn_t newest = PFN_NONE, frame;

	barrier_wait(&test->barrier);
	while (!pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
		stamp_write(frame, cpu);
		((pfn_t *)frame_bytes(frame))[1] = newest;
		newest = frame;
		test->taken[cpu]++;
	}
	barrier_wait(&test->barrier);
	while (!pfn_is_none(frame = newest)) {
		newest = ((pfn_t *)frame_bytes(frame))[1];
		stamp_check(frame, cpu);
		frame_free(frame);
	}
}

const char *parallel_test_exhaustion(void)
{
	static struct exhaust_test test;
	uint64_t before, sum = 0;

	test.taken = kcalloc(settings.cpus, sizeof(uint64_t));
	EXPECT(test.taken);
	kheap_trim();
	before = frame_free_count();
	barrier_init(&test.barrier, settings.cpus);
	cpus_run(work_exhaust, &test, settings.cpus);
	for (unsigned i = 0; i < settings.cpus; i++)
		sum += test.taken[i];
	kfree(test.taken);
	EXPECT(sum == before);
	kheap_trim();
	frame_validate();
	return NULL;
}

const char *parallel_test_every_cpu_is_itself(void)
{
	for (unsigned i = 0; i < settings.cpus; i++) {
		EXPECT(cpu_of(i)->arch.number == i);
		for (unsigned j = 0; j < i; j++)
			EXPECT(cpu_of(i)->arch.hart_id != cpu_of(j)->arch.hart_id);
	}
	return NULL;
}
