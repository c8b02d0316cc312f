/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact.c - an allocation fails only when no frame is free, wherever the free frames are; see
 * exact.h.
 *
 * Covers: mm/frame.c mm/percpu/drain.c
 */
#include "tests/smp/selftest/exact.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "kernel/program.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "sync/barrier.h"
#include "sync/ck.h"
#include "tests/smp/selftest/exact_memory.h"
#include "tests/smp/selftest/expect.h"

/*
 * Rounds, unless ops= says: it does where run=selftest is all that runs. With more cpus than cores
 * of the host, each round waits for the host's scheduler, so there are fewer.
 */
#define ROUNDS	    100
#define ROUNDS_MANY 10 /* with more than two cpus */

/* ---- the cache of a busy cpu ----------------------------------------------------------------- */

struct busy_test {
	struct barrier barrier;
	bool runs;
	unsigned rounds;
	uint64_t free_frames;
	uint64_t *taken;   /* by each cpu in this round; for the busy cpu: frames it still holds */
	unsigned held;	   /* rounds in which the busy cpu's cache had frames */
	uint32_t finished; /* how often a cpu found no frame, in all rounds */
	uint64_t sum;	   /* of the first wrong round */
	unsigned wrong_rounds;
};

static uint64_t count_chain(pfn_t newest)
{
	uint64_t count = 0;

	for (; !pfn_is_none(newest); newest = ((pfn_t *)frame_bytes(newest))[1])
		count++;
	return count;
}

/* Other work: no allocation and no free until all other cpus have found no frame. */
static void be_busy(struct busy_test *test, unsigned round)
{
	uint32_t wanted = (round + 1) * (settings.cpus - 1);
	volatile uint64_t product = 1;

	while (ck_pr_load_32(&test->finished) != wanted)
		for (unsigned i = 0; i < 100; i++)
			product = product * 3 + 1;
	ck_pr_fence_acquire();
}

static pfn_t take_one(const struct busy_test *test)
{
	return test->runs ? frame_alloc_run(1, 0) : frame_alloc(FRAME_ANY);
}

static void take_all(struct busy_test *test, pfn_t *newest)
{
	uint64_t taken = 0;
	pfn_t frame;

	for (; !pfn_is_none(frame = take_one(test)); taken++)
		exact_chain(newest, frame);
	test->taken[port_cpu()] = taken;
	ck_pr_fence_release();
	ck_pr_inc_32(&test->finished);
}

static void check_sum(struct busy_test *test)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < settings.cpus; cpu++)
		sum += test->taken[cpu];
	if (sum != test->free_frames && test->wrong_rounds++ == 0)
		test->sum = sum;
}

static void give_all(const struct busy_test *test, pfn_t *newest)
{
	pfn_t frame;

	while (exact_unchain(newest, &frame)) {
		if (test->runs)
			frame_free_run(frame, 1);
		else
			frame_free(frame);
	}
}

static void work_busy(void *argument)
{
	struct busy_test *test = argument;
	bool is_busy = port_cpu() == settings.cpus - 1;
	struct frame_cache *cache = frame_cache_self();
	pfn_t newest = PFN_NONE;

	for (unsigned round = 0; round < test->rounds; round++) {
		barrier_wait(&test->barrier);
		if (is_busy) {
			exact_fill_cache(&newest);
			test->taken[port_cpu()] = count_chain(newest);
			test->held += frame_cache_level(cache) > 0;
		}
		barrier_wait(&test->barrier);
		if (is_busy)
			be_busy(test, round);
		else
			take_all(test, &newest);
		barrier_wait(&test->barrier);
		if (port_cpu() == 0)
			check_sum(test);
		if (is_busy)
			exact_free_chain(&newest);
		else
			give_all(test, &newest);
	}
}

static unsigned rounds_wanted(void)
{
	if (settings.arguments.ops && programs_only("selftest"))
		return (unsigned)settings.arguments.ops;
	return settings.cpus > 2 ? ROUNDS_MANY : ROUNDS;
}

static const char *run_busy(struct busy_test *test)
{
	test->taken = kcalloc(settings.cpus, sizeof(uint64_t));
	EXPECT(test->taken);
	exact_begin();
	test->free_frames = frame_free_count();
	test->rounds = rounds_wanted();
	barrier_init(&test->barrier, settings.cpus);
	cpus_run(work_busy, test, settings.cpus);
	kfree(test->taken);
	exact_end();
	if (test->wrong_rounds)
		snprintf(exact_figures, sizeof(exact_figures),
			 "%u of %u rounds brought not all of %llu frames, the first one %llu",
			 test->wrong_rounds, test->rounds, (unsigned long long)test->free_frames,
			 (unsigned long long)test->sum);
	else
		snprintf(exact_figures, sizeof(exact_figures), "exact in %u rounds of %llu frames",
			 test->rounds, (unsigned long long)test->free_frames);
	printf("# %s; the busy cpu's cache held some in %u\n", exact_figures, test->held);
	EXPECT(test->held == test->rounds);
	return test->wrong_rounds ? exact_figures : NULL;
}

const char *exact_test_busy(void)
{
	static struct busy_test test;

	test = (struct busy_test){.runs = false};
	return exact_has_caches() ? run_busy(&test) : NULL;
}

const char *exact_test_busy_runs(void)
{
	static struct busy_test test;

	test = (struct busy_test){.runs = true};
	return exact_has_caches() ? run_busy(&test) : NULL;
}

/* ---- a run in the cache of another cpu ------------------------------------------------------- */

static uint64_t free_in_zones(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < zones.count; i++)
		sum += zone_free_frames(&zones.zone[i]);
	return sum;
}

/*
 * No cpu is asked for frames until the zones are empty, so the other cpu's cache keeps its frames.
 */
static const char *find_cached_run(void)
{
	pfn_t newest = PFN_NONE, run;

	exact_fill_elsewhere();
	while (free_in_zones() || frame_cache_level(frame_cache_self())) {
		pfn_t frame = frame_alloc(FRAME_ANY);

		if (pfn_is_none(frame))
			return "an allocation failed while this cpu's cache or a zone had frames";
		exact_chain(&newest, frame);
	}
	if (frame_cache_level(port_area_of(settings.cpus - 1)) < 16)
		return "the other cpu's cache has less than 16 frames";
	run = frame_alloc_run(8, 8);
	if (!pfn_is_none(run))
		frame_free_run(run, 8);
	exact_free_chain(&newest);
	exact_empty_elsewhere();
	return pfn_is_none(run) ? "a run of 8 frames is in another cpu's cache, and was not found"
				: NULL;
}

const char *exact_test_cached_run(void)
{
	const char *wrong;

	if (!exact_has_caches() || settings.arguments.cache_frames < EXACT_CAPACITY)
		return NULL;
	frame_drain_set_low(0);
	exact_begin();
	wrong = find_cached_run();
	exact_end();
	return wrong;
}
