/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 */
/*
 * test_heap_reserve.c - allocations from a reserve: they cannot fail, and a reserve that cannot be
 * filled takes nothing.
 *
 * Covers: mm/heap/reserve.c mm/spare_list.h
 */
#include <stdlib.h>
#include <string.h>

#include "heap_machine.h"
#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/reserve.h"
#include "mm/percpu/drain.h"
#include "unit.h"

static uint64_t live_blocks(void)
{
	struct kheap_stats stats;

	kheap_stats(&stats);
	return stats.live_blocks;
}

static uint64_t holds(void)
{
	struct spin_stats stats = {0};

	spin_stats_add(kheap_lock(), &stats);
	return stats.acquisitions;
}

/* Blocks of the size's class, and then all frames: nothing is left. Blocks are linked by their first words. */
static pfn_t all_frames;
static void *all_blocks;

static void take_all(size_t size)
{
	size = size < sizeof(all_blocks) ? sizeof(all_blocks) : size;
	all_frames = PFN_NONE;
	all_blocks = NULL;
	for (void *block; (block = kmalloc_called(size)) != NULL; all_blocks = block)
		memcpy(block, &all_blocks, sizeof(all_blocks));
	for (pfn_t frame; frame = frame_alloc(FRAME_ANY), !pfn_is_none(frame); all_frames = frame)
		*(uint64_t *)frame_bytes(frame) = all_frames.value;
}

static void give_all(void)
{
	while (all_blocks) {
		void *next;

		memcpy(&next, all_blocks, sizeof(next));
		kfree(all_blocks);
		all_blocks = next;
	}
	while (!pfn_is_none(all_frames)) {
		pfn_t next = pfn(*(uint64_t *)frame_bytes(all_frames));

		frame_free(all_frames);
		all_frames = next;
	}
}

static const size_t sizes[] = {1, 16, 100, 1000, 4096, 10000};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

TEST(what_is_reserved_is_there_when_memory_is_not)
{
	for (unsigned i = 0; i < SIZES; i++) {
		struct kmalloc_reserve reserve = {0};
		unsigned char *block[50];
		uint64_t before;

		start(4 * MIB, 2);
		CHECK(kmalloc_reserve(&reserve, 50, sizes[i]));
		take_all(sizes[i]);
		CHECK(!kmalloc_called(sizes[i]));
		before = holds();
		for (unsigned at = 0; at < 50; at++)
			block[at] = kmalloc_reserved(&reserve);
		CHECK_EQ(holds(), before);
		for (unsigned at = 0; at < 50; at++)
			memset(block[at], (int)at, sizes[i]);
		for (unsigned at = 0; at < 50; at++) {
			CHECK_EQ(block[at][0], at);
			CHECK_EQ(block[at][sizes[i] - 1], at);
			CHECK(sizes[i] != FRAME_SIZE ||
			      port_phys_address(block[at]) % FRAME_SIZE == 0);
			kfree_sized(block[at], sizes[i]);
		}
		give_all();
		kmalloc_reserve_end(&reserve);
		finish();
	}
}

TEST(a_reserve_is_filled_whole_or_not_at_all)
{
	for (unsigned i = 0; i < SIZES; i++) {
		struct kmalloc_reserve reserve = {0};
		uint64_t blocks, frames;

		start(2 * MIB, 1);
		CHECK(kmalloc_reserve(&reserve, 3, sizes[i]));
		kheap_trim();
		blocks = live_blocks();
		frames = frame_free_count();
		CHECK(!kmalloc_reserve(&reserve, 3 * MIB / sizes[i] + 4, sizes[i]));
		CHECK_EQ(reserve.count, 3);
		CHECK_EQ(live_blocks(), blocks);
		kheap_trim();
		CHECK_EQ(frame_free_count(), frames);
		for (unsigned at = 0; at < 3; at++)
			kfree(kmalloc_reserved(&reserve));
		CHECK(!kmalloc_reserve(&reserve, 1, 0));
		CHECK(!kmalloc_reserve(&reserve, 1, SIZE_MAX / 2));
		finish();
	}
}

TEST(a_reserve_counts_what_it_has)
{
	struct kmalloc_reserve reserve = {0};

	start(4 * MIB, 1);
	CHECK(kmalloc_reserve(&reserve, 5, 200));
	kfree(kmalloc_reserved(&reserve));
	kfree(kmalloc_reserved(&reserve));
	CHECK_EQ(live_blocks(), 3);
	CHECK(kmalloc_reserve(&reserve, 2, 10));
	CHECK_EQ(live_blocks(), 3);
	CHECK(kmalloc_reserve(&reserve, 7, 10));
	CHECK_EQ(live_blocks(), 7);
	EXPECT_PANIC((void)!kmalloc_reserve(&reserve, 8, 201), "201 bytes, expected at most 200");
	for (unsigned i = 0; i < 7; i++) {
		char *block = kmalloc_reserved(&reserve);

		CHECK_EQ(kmalloc_usable_size(block), 208);
		kfree(block);
	}
	EXPECT_PANIC(kmalloc_reserved(&reserve), "the reserve is empty");
	CHECK(kmalloc_reserve(&reserve, 2, 3000)); /* an empty one may have another size */
	kmalloc_reserve_end(&reserve);
	EXPECT_PANIC(kmalloc_reserved(&reserve), "the reserve is empty");
	kmalloc_reserve_end(&reserve);
	finish();
}

TEST(reserved_blocks_are_zero_on_demand)
{
	for (unsigned i = 0; i < SIZES; i++) {
		struct kmalloc_reserve reserve = {0};
		unsigned char *block[20];

		start(4 * MIB, 1);
		for (unsigned at = 0; at < 20; at++)
			memset(block[at] = kmalloc_called(sizes[i]), 0xff, sizes[i]);
		for (unsigned at = 0; at < 20; at++)
			kfree(block[at]);
		CHECK(kmalloc_reserve_flags(&reserve, 20, sizes[i], FRAME_ZERO));
		for (unsigned at = 0; at < 20; at++) {
			unsigned char *taken = kmalloc_reserved(&reserve);

			for (size_t byte = 0; byte < sizes[i]; byte++)
				CHECK_EQ(taken[byte], 0);
			kfree(taken);
		}
		finish();
	}
}

/* All memory is on the stacks and in the cache of another cpu. */
TEST(a_reserve_that_may_not_wait_asks_no_cpu)
{
	struct kmalloc_reserve reserve = {0};
	uint64_t calls;

	start(MIB / 2, 2);
	become(1);
	take_all(256);
	give_all();
	become(0);
	while (!pfn_is_none(frame_alloc(FRAME_NOWAIT))) /* given back with the machine */
		;
	calls = host_ipi_calls;
	CHECK(!kmalloc_reserve_flags(&reserve, 40, 256, FRAME_NOWAIT));
	CHECK_EQ(host_ipi_calls, calls);
	CHECK(kmalloc_reserve(&reserve, 40, 256));
	CHECK(host_ipi_calls > calls);
	kmalloc_reserve_end(&reserve);
	host_memory_end();
	free(lock_memory);
	free(front_memory);
}
