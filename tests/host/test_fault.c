/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_fault.c - fault injection: which allocations are counted and fail, and that a failure at any
 * of them loses nothing.
 *
 * Covers: mm/fault.c mm/percpu/refill.c mm/frame.c mm/heap/kmalloc.c mm/heap/arena.c
 *	   mm/paging/page_reserve.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/fault.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/kmalloc_private.h"
#include "mm/paging/page_table.h"
#include "mm/paging/refcount.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "unit.h"

#define MIB	   ((uint64_t)1 << 20)
#define BYTES	   (16 * MIB)
#define LENGTH(of) (sizeof(of) / sizeof((of)[0]))

static void *lock_memory, *front_memory;
static uint64_t frames_at_start;

static void start(unsigned cpus)
{
	uint64_t frames = BYTES >> FRAME_SHIFT;

	frame_cache_bypass = true;
	host_memory_start(BYTES, cpus);
	lock_memory = aligned_alloc(PORT_CACHE_LINE, spin_bytes(cpus));
	front_memory = aligned_alloc(PORT_CACHE_LINE, kheap_front_bytes(frames));
	kheap_init(SPIN_CAS, lock_memory);
	kheap_front_start(front_memory, zones.zone[0].first, frames);
	frames_at_start = frame_free_count();
}

/* All memory is back, and all structures are whole. */
static void check_nothing_lost(void)
{
	struct kheap_stats stats;

	kheap_validate();
	kheap_trim();
	kheap_stats(&stats);
	CHECK_EQ(stats.frames_held, 0);
	CHECK_EQ(stats.live_blocks, 0);
	frame_validate();
	CHECK_EQ(frame_free_count(), frames_at_start);
}

static void end(void)
{
	check_nothing_lost();
	host_memory_end();
	free(lock_memory);
	free(front_memory);
	frame_cache_bypass = false;
}

/* ---- what is counted, and what fails ------------------------------------------------------- */

static unsigned observed[3], observed_failing;

static void observe(enum fault_kind kind, const void *site, bool fails)
{
	CHECK(site != NULL);
	observed[kind]++;
	observed_failing += fails;
}

static bool try_frame(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	if (!pfn_is_none(frame))
		frame_free(frame);
	return !pfn_is_none(frame);
}

static bool try_run(void)
{
	pfn_t run = frame_alloc_run(4, 1);

	if (!pfn_is_none(run))
		frame_free_run(run, 4);
	return !pfn_is_none(run);
}

static bool try_block(void)
{
	void *block = kmalloc_called(100);

	kfree(block);
	return block != NULL;
}

/* The heap has what it needs, so a block counts once. */
TEST(the_nth_allocation_fails_and_no_other)
{
	static bool (*const tries[])(void) = {try_frame, try_run, try_block};
	void *kept;

	start(1);
	kept = kmalloc_called(100);
	for (uint64_t nth = 1; nth <= 12; nth++) {
		fault_start(&(struct fault_plan){.nth = nth});
		for (uint64_t i = 1; i <= 12; i++) {
			CHECK_EQ(fault_counts().seen, i - 1);
			CHECK_EQ(tries[i % 3](), i != nth);
			CHECK_EQ(fault_counts().failed, i >= nth);
		}
		CHECK_EQ(fault_stop().seen, 12);
		CHECK(try_frame() && try_run() && try_block());
		CHECK_EQ(fault_counts().seen, 12);
	}
	kfree(kept);
	end();
}

TEST(each_kind_of_allocation_is_counted_as_what_it_is)
{
	void *kept;

	start(1);
	kept = kmalloc_called(100);
	memset(observed, 0, sizeof(observed));
	observed_failing = 0;
	fault_on_decision = observe;
	fault_start(&(struct fault_plan){.nth = 3});
	CHECK(try_frame());
	CHECK(try_run());
	CHECK(!try_run());
	CHECK(try_block());
	fault_stop();
	CHECK_EQ(observed[FAULT_OF_FRAME], 1);
	CHECK_EQ(observed[FAULT_OF_RUN], 2);
	CHECK_EQ(observed[FAULT_OF_BLOCK], 1);
	CHECK_EQ(observed_failing, 1);
	fault_on_decision = NULL;
	kfree(kept);
	end();
}

/*
 * A block of five frames is a block, a run, and a frame for each level of the heap's index. Where one of
 * the last two fails, the heap searches all memory again: so the block is there nevertheless.
 */
TEST(what_the_heap_takes_for_itself_is_counted)
{
	unsigned total;

	start(1);
	total = 2 + kheap.spans.levels;
	fault_on_decision = observe;
	for (uint64_t nth = 1; nth <= total + 1; nth++) {
		void *block;

		memset(observed, 0, sizeof(observed));
		fault_start(&(struct fault_plan){.nth = nth});
		block = kmalloc_called(5 * FRAME_SIZE);
		CHECK_EQ(fault_stop().failed, nth <= total);
		CHECK_EQ(block != NULL, nth > 1);
		kfree(block);
		check_nothing_lost();
	}
	CHECK_EQ(observed[FAULT_OF_BLOCK], 1);
	CHECK_EQ(observed[FAULT_OF_RUN], 1);
	CHECK_EQ(observed[FAULT_OF_FRAME], total - 2);
	fault_on_decision = NULL;
	end();
}

#define TRIES 4096

/* The set of failures of TRIES allocations. */
static unsigned failures_by(uint64_t rate, uint64_t seed, bool *failed)
{
	unsigned count = 0;

	fault_start(&(struct fault_plan){.rate = rate, .seed = seed});
	for (unsigned i = 0; i < TRIES; i++) {
		failed[i] = !try_frame();
		count += failed[i];
	}
	CHECK_EQ(fault_stop().failed, count);
	return count;
}

TEST(a_rate_fails_about_as_many_and_a_seed_the_same_ones)
{
	static bool first[TRIES], again[TRIES], other[TRIES];
	uint64_t seed = unit_random();

	start(1);
	for (uint64_t rate = 1; rate <= 64; rate *= 4) {
		unsigned count = failures_by(rate, seed, first), wanted = TRIES / (unsigned)rate;

		CHECK_EQ(failures_by(rate, seed, again), count);
		CHECK(memcmp(first, again, sizeof(first)) == 0);
		failures_by(rate, seed + 1, other);
		CHECK_EQ(memcmp(first, other, sizeof(first)) == 0, rate == 1);
		CHECK(count >= wanted / 2 && count <= 2 * wanted);
	}
	end();
}

/* ---- where it is off ----------------------------------------------------------------------- */

TEST(while_caches_are_bypassed_each_cpu_takes_the_general_paths)
{
	start(2);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		host_self = &host_cpus[cpu];
		CHECK_EQ(frame_cache_self()->capacity, 0);
		CHECK(!frame_cache_self()->uncached);
		frame_cache_bypass = false;
		frame_cache_configure(128, 0);
		CHECK_EQ(frame_cache_self()->capacity, 128);
		frame_cache_configure(0, 0);
		CHECK(frame_cache_self()->uncached);
		frame_cache_bypass = true;
		frame_cache_configure(128, 1000);
		CHECK_EQ(frame_cache_self()->capacity, 0);
		CHECK(!frame_cache_self()->uncached);
	}
	host_self = &host_cpus[0];
	end();
}

TEST(faults_are_started_once)
{
	start(1);
	fault_start(&(struct fault_plan){.nth = 1});
	EXPECT_PANIC(fault_start(&(struct fault_plan){.nth = 1}), "faults are injected already");
	fault_stop();
	fault_start(&(struct fault_plan){.nth = 1});
	CHECK(!try_frame());
	fault_stop();
	end();
}

/* ---- a failure is an answer at once -------------------------------------------------------- */

static pfn_t all[BYTES >> FRAME_SHIFT];

/* With no frame in any zone an allocation asks other cpus; one that is made to fail does not. */
TEST(nothing_is_asked_of_others)
{
	uint64_t calls, count = 0;

	start(2);
	while (!pfn_is_none(all[count] = frame_alloc(FRAME_ANY)))
		count++;
	frame_free(all[--count]); /* so that the next request is not known to be in vain */
	calls = host_ipi_calls;
	fault_start(&(struct fault_plan){.rate = 1});
	for (unsigned i = 0; i < 10; i++)
		CHECK(!try_frame() && !try_run() && !try_block() &&
		      pfn_is_none(frame_alloc_run(1, 1)));
	CHECK_EQ(fault_stop().failed, 40);
	CHECK_EQ(host_ipi_calls, calls);
	CHECK_EQ(frame_cache_self()->stats.drains, 1);
	while (count)
		frame_free(all[--count]);
	end();
}

/* ---- every allocation fails once ------------------------------------------------------------- */

static bool whole;

static void fill(void *block, size_t size, int pattern)
{
	if (block)
		memset(block, pattern, size);
}

static void compare(const void *block, size_t size, int pattern)
{
	for (size_t i = 0; block && i < size; i++)
		whole = whole && ((const uint8_t *)block)[i] == (uint8_t)pattern;
}

static void use_heap(void)
{
	static const uint32_t sizes[] = {1, 90, 500, 2500, 4080, 4096, 20000, 131072, 300000, 16};
	void *blocks[LENGTH(sizes)];

	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		blocks[i] = kmalloc_flags(sizes[i], i % 3 ? 1 : 262144 >> i, i % 4);
		fill(blocks[i], sizes[i], (int)i + 1);
	}
	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		compare(blocks[i], sizes[i], (int)i + 1);
		kfree(blocks[i]);
	}
}

static void use_krealloc(void)
{
	static const uint32_t sizes[] = {10, 200, 3000, 9000, 200000, 70000, 2000, 24};
	char *block = NULL, *moved;
	size_t filled = 0;

	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		moved = krealloc(block, sizes[i]);
		if (moved) {
			compare(moved, filled < sizes[i] ? filled : sizes[i], (int)i);
			block = moved;
			filled = sizes[i];
		} else {
			compare(block, filled, (int)i);
		}
		fill(block, filled, (int)i + 1);
	}
	kfree(block);
}

static void use_slabs(void)
{
	static void *blocks[300];

	for (unsigned i = 0; i < LENGTH(blocks); i++) {
		blocks[i] = kmalloc_called(i % 4 ? 64 : 2500);
		fill(blocks[i], 64, (int)i);
	}
	for (unsigned i = 0; i < LENGTH(blocks); i++) {
		compare(blocks[i], 64, (int)i);
		kfree(blocks[i]);
	}
}

static void use_frames(void)
{
	pfn_t frame = frame_alloc(FRAME_ZERO), called = frame_alloc_called();
	pfn_t runs[] = {frame_alloc_run(8, 8), frame_alloc_run_flags(3, 0, FRAME_NOWAIT)};

	if (!pfn_is_none(frame)) {
		compare(frame_bytes(frame), FRAME_SIZE, 0);
		frame_free(frame);
	}
	if (!pfn_is_none(called))
		frame_free_called(called);
	if (!pfn_is_none(runs[0]))
		frame_free_run(runs[0], 8);
	if (!pfn_is_none(runs[1]))
		frame_free_run(runs[1], 3);
}

static void use_page_table(void)
{
	struct frame_refs refs;
	struct page_reserve reserve;
	struct page_table table;
	enum page_status status;

	if (!frame_refs_init(&refs, zones.zone[0].first, zones.zone[0].total_frames))
		return;
	if (page_table_create(&table, SV39_LEVELS, 0) == PAGE_OK) {
		page_reserve_init(&reserve);
		do
			status = page_table_map(&table, virt(0x40000000), pfn(512),
						4 * MIB + FRAME_SIZE, PAGE_READ, &reserve);
		while (page_reserve_refill(&reserve, &status));
		whole = whole && (status == PAGE_OK || status == PAGE_NO_FRAMES);
		page_table_validate(&table);
		page_table_destroy(&table, NULL, NULL);
	}
	frame_refs_end(&refs);
}

static void fail_each(void (*use)(void))
{
	struct fault_counts counts;
	uint64_t nth = 0;

	do {
		whole = true;
		fault_start(&(struct fault_plan){.nth = ++nth});
		use();
		counts = fault_stop();
		CHECK(whole);
		check_nothing_lost();
	} while (counts.failed);
	CHECK(nth > 1);
	for (uint64_t seed = 0; seed < 20; seed++) {
		whole = true;
		fault_start(&(struct fault_plan){.rate = 2 + seed % 5, .seed = unit_random()});
		use();
		fault_stop();
		CHECK(whole);
		check_nothing_lost();
	}
}

static void fail_each_of_all(void)
{
	fail_each(use_frames);
	fail_each(use_heap);
	fail_each(use_krealloc);
	fail_each(use_slabs);
	fail_each(use_page_table);
}

TEST(each_allocation_fails_once_and_nothing_is_lost)
{
	start(1);
	fail_each_of_all();
	end();
}

TEST(the_same_without_a_front_end_of_the_heap)
{
	start(1);
	kheap_front_none();
	fail_each_of_all();
	end();
}

/* ---- several cpus ---------------------------------------------------------------------------- */

static uint64_t failed_in_all;

static void work(void *unused)
{
	uint64_t mine = 0;

	(void)unused;
	for (unsigned i = 0; i < 500; i++)
		mine += !try_frame() + !try_run();
	__atomic_fetch_add(&failed_in_all, mine, __ATOMIC_RELAXED);
}

#define NUMBERS 50000

/* Nothing but the count. */
static void draw(void *unused)
{
	uint64_t mine = 0;

	(void)unused;
	for (unsigned i = 0; i < NUMBERS; i++)
		mine += fault_due(FAULT_OF_FRAME, draw);
	__atomic_fetch_add(&failed_in_all, mine, __ATOMIC_RELAXED);
}

CONCURRENT_TEST(no_two_allocations_have_the_same_number)
{
	struct fault_counts counts;

	start(4);
	failed_in_all = 0;
	fault_start(&(struct fault_plan){.nth = 3 * NUMBERS});
	host_run(draw, NULL);
	counts = fault_stop();
	CHECK_EQ(counts.seen, 4 * NUMBERS);
	CHECK_EQ(counts.failed, 1);
	CHECK_EQ(failed_in_all, 1);
	end();
}

CONCURRENT_TEST(cpus_count_together)
{
	struct fault_counts counts;

	start(3);
	failed_in_all = 0;
	fault_start(&(struct fault_plan){.nth = 1234});
	host_run(work, NULL);
	counts = fault_stop();
	CHECK_EQ(counts.seen, 3000);
	CHECK_EQ(counts.failed, 1);
	CHECK_EQ(failed_in_all, 1);
	fault_start(&(struct fault_plan){.rate = 7, .seed = unit_random()});
	host_run(work, NULL);
	counts = fault_stop();
	CHECK_EQ(counts.seen, 3000);
	CHECK_EQ(counts.failed, failed_in_all - 1);
	end();
}
