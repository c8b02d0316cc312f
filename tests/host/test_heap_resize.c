/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 */
/*
 * test_heap_resize.c - what depends on the size of a block that was asked for: alignments, krealloc,
 * and a free that says the size.
 *
 * One thread runs all CPUs in turn. Every test ends with a check of all counts: see finish().
 *
 * Covers: mm/heap/resize.c mm/heap/kmalloc.c mm/heap/kmalloc_frames.c mm/heap/span.c mm/frame.c
 */
#include <stdlib.h>
#include <string.h>

#include "heap_machine.h"
#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/kmalloc_private.h"
#include "unit.h"

static void fill(unsigned char *block, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		block[i] = (unsigned char)(seed + i * 7 + (i >> 8));
}

static void check_fill(const unsigned char *block, size_t size, unsigned seed)
{
	for (size_t i = 0; i < size; i++)
		if (block[i] != (unsigned char)(seed + i * 7 + (i >> 8)))
			unit_fail(__FILE__, __LINE__, "byte %zu of %zu is changed", i, size);
}

/* Takes all frames; they are given back with the machine. */
static void take_all_frames(void)
{
	while (!pfn_is_none(frame_alloc(FRAME_ANY)))
		;
}

/* ---- alignments ------------------------------------------------------------------------------ */

#define MANY 20

/* Several blocks of each kind, so that not all of them are at the start of something. */
static void check_alignment(size_t size, size_t align)
{
	unsigned char *block[MANY];
	unsigned count = size + align > 64 * KIB ? 2 : MANY;

	for (unsigned i = 0; i < count; i++) {
		block[i] = kmalloc_aligned(size, align);
		CHECK(block[i]);
		CHECK_EQ(port_phys_address(block[i]) & (align - 1), 0);
		CHECK(kmalloc_usable_size(block[i]) >= size);
		fill(block[i], size, i);
	}
	for (unsigned i = 0; i < count; i++) {
		check_fill(block[i], size, i);
		if (i % 2)
			kfree(block[i]);
		else
			kfree_aligned_sized(block[i], size, align);
	}
}

TEST(every_power_of_two_is_an_alignment)
{
	static const size_t sizes[] = {1,    16,   24,	 100,  130,  1000,  2049,
				       4000, 4080, 4096, 5000, 9000, 13000, 140 * KIB};

	start(64 * MIB, 1);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t align = 1; align <= 16 * MIB; align *= 2)
			check_alignment(sizes[i], align);
	finish();
}

/* The class is chosen by a formula; this is what it is to find. */
TEST(an_aligned_block_is_of_the_smallest_class_that_will_do)
{
	start(16 * MIB, 1);
	for (size_t size = 1; size <= KHEAP_SIZE_MAX; size += 13)
		for (size_t align = 1; align <= FRAME_SIZE; align *= 2) {
			void *block = kmalloc_aligned(size, align);
			unsigned class = kheap_class_of(size);

			while (kheap.class[class].size & (align - 1))
				class ++;
			CHECK_EQ(kmalloc_usable_size(block), kheap.class[class].size);
			kfree(block);
		}
	finish();
}

TEST(an_alignment_beyond_all_memory_is_refused)
{
	start(8 * MIB, 1);
	for (unsigned shift = 32; shift < 64; shift++)
		for (size_t size = 1; size < 100 * KIB; size = size * 9 + 7) {
			CHECK(!kmalloc_aligned(size, (size_t)1 << shift));
			CHECK(!kmalloc_flags(size, (size_t)1 << shift, FRAME_NOWAIT));
		}
	CHECK(!kmalloc_aligned(100, 0));
	CHECK(!kmalloc_aligned(100, 48));
	CHECK(!kmalloc_aligned(0, 64));
	finish();
}

/* ---- krealloc -------------------------------------------------------------------------------- */

TEST(a_block_that_stays_more_than_half_used_is_not_moved)
{
	start(8 * MIB, 1);
	for (size_t size = 32; size <= 4000; size += size / 3) {
		unsigned char *block = kmalloc_called(size), *moved;
		size_t usable = kmalloc_usable_size(block);

		fill(block, usable, 1);
		CHECK(krealloc(block, usable) == block);
		CHECK(krealloc(block, usable / 2 + 1) == block);
		CHECK(krealloc(block, usable) == block);
		check_fill(block, usable, 1);
		moved = krealloc(block, usable / 2);
		CHECK(moved != block);
		check_fill(moved, usable / 2, 1);
		kfree(moved);
	}
	finish();
}

TEST(a_run_that_shrinks_gives_its_tail_back_and_stays)
{
	for (size_t frames = 33; frames < 60; frames += 5) {
		size_t size = frames * FRAME_SIZE;
		unsigned char *block;

		start(4 * MIB, 1);
		block = kmalloc(size);
		CHECK_EQ(stats_now().run_frames, frames);
		fill(block, size, 3);
		for (size_t kept = frames; kept > 0; kept -= kept > 6 ? 6 : 1) {
			CHECK(krealloc(block, kept * FRAME_SIZE - 100) == block);
			CHECK_EQ(kmalloc_usable_size(block), kept * FRAME_SIZE);
			CHECK_EQ(stats_now().run_frames, kept);
			CHECK_EQ(stats_now().allocated_bytes, kept * FRAME_SIZE);
			CHECK_EQ(stats_now().frames_held + frame_free_count(), frames_at_start);
			kheap_validate();
			frame_validate();
			check_fill(block, kept * FRAME_SIZE - 100, 3);
		}
		kfree_sized(block, FRAME_SIZE - 100);
		finish();
	}
}

TEST(a_run_that_becomes_small_moves_to_a_small_block)
{
	unsigned char *block, *moved;

	start(4 * MIB, 1);
	block = kmalloc(10 * FRAME_SIZE);
	fill(block, 100, 5);
	moved = krealloc(block, 100);
	CHECK_EQ(kmalloc_usable_size(moved), 112);
	check_fill(moved, 100, 5);
	CHECK_EQ(stats_now().run_frames, 0);
	kfree_sized(moved, 100);
	finish();
}

/* The old block is whole after a refusal; a smaller size is never refused. */
static void check_without_memory(size_t size)
{
	unsigned char *block = kmalloc_called(size);

	fill(block, size, 9);
	take_all_frames();
	while (kmalloc_called(size / 4)) /* what is left in slabs: given back with the machine */
		;
	CHECK(!krealloc(block, 300 * KIB));
	CHECK(!krealloc(block, SIZE_MAX / 4));
	check_fill(block, size, 9);
	CHECK(krealloc(block, size / 4) == block);
	check_fill(block, size / 4, 9);
	kfree_sized(block, size / 4);
	host_memory_end();
	free(lock_memory);
	free(front_memory);
}

TEST(a_refused_krealloc_leaves_the_block_whole)
{
	static const size_t sizes[] = {200, 3000, 5000, 64 * KIB, 100 * KIB};

	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		start(2 * MIB, 1);
		check_without_memory(sizes[i]);
	}
}

/* ---- frames: a run that becomes shorter ------------------------------------------------------- */

TEST(a_run_of_frames_is_shortened_and_freed)
{
	pfn_t run;

	start(4 * MIB, 1);
	run = frame_alloc_run(20, 1);
	frame_shrink_run(run, 20, 7);
	CHECK_EQ(frame_free_count(), frames_at_start - 7);
	frame_validate();
	if (CHECKS) {
		EXPECT_PANIC(frame_shrink_run(run, 7, 7), "7 of 7 frames");
		EXPECT_PANIC(frame_shrink_run(run, 7, 0), "0 of 7 frames");
		EXPECT_PANIC(frame_shrink_run(run, 20, 7), "has 7 frames, not 20");
		EXPECT_PANIC(frame_shrink_run(pfn_add(run, 1), 6, 3), "expected the head of a run");
		EXPECT_PANIC(frame_free_run(run, 20), "has 7 frames, not 20");
	}
	frame_shrink_run(run, 7, 1);
	frame_free_run(run, 1);
	finish();
}

/* ---- a free that says the size ---------------------------------------------------------------- */

TEST(a_sized_free_takes_any_size_of_the_class)
{
	start(8 * MIB, 1);
	for (size_t size = 1; size <= 5000; size++) {
		void *block = kmalloc_called(size);
		size_t usable = kmalloc_usable_size(block);

		kfree_sized(block, size);
		block = kmalloc_called(size);
		kfree_sized(block, usable);
	}
	for (size_t size = 5000; size < 700 * KIB; size += size / 3) {
		kfree_sized(kmalloc_called(size), size);
		kfree_sized(kcalloc(size / 8, 8), size / 8 * 8);
		kfree_sized(krealloc(kmalloc_called(size / 2), size), size);
	}
	kfree_sized(NULL, 0);
	kfree_sized(NULL, 100);
	finish();
}

static void check_mismatch(size_t size)
{
	void *block = kmalloc_called(size);
	size_t usable = kmalloc_usable_size(block);

	EXPECT_PANIC(kfree_sized(block, 0), "mismatched");
	EXPECT_PANIC(kfree_sized(block, usable + 1), "mismatched");
	EXPECT_PANIC(kfree_sized(block, 2 * usable), "mismatched");
	EXPECT_PANIC(kfree_sized(block, SIZE_MAX), "mismatched");
	if (usable > 64)
		EXPECT_PANIC(kfree_sized(block, usable / 2 - 1), "mismatched");
	if (usable > 16 && usable <= 2048) { /* of a slab: exactly its class */
		EXPECT_PANIC(kfree_sized(block, kheap.class[kheap_class_of(size) - 1].size),
			     "mismatched");
		EXPECT_PANIC(kfree_sized(block, kheap.class[kheap_class_of(size) + 1].size),
			     "mismatched");
	}
	kfree_sized(block, size);
}

TEST(a_sized_free_of_another_class_is_mismatched)
{
	char *block;

	start(8 * MIB, 1);
	for (unsigned i = 1; CHECKS && i < KHEAP_CLASSES - 1; i++)
		check_mismatch(kheap.class[i].size);
	for (size_t size = 5000; CHECKS && size < 700 * KIB; size += size / 3)
		check_mismatch(size);
	block = kmalloc(100);
	if (CHECKS) {
		EXPECT_PANIC(kfree_sized(block, 200), "found a block of 112 bytes at");
		EXPECT_PANIC(kfree_sized(block, 200), "expected one for 200 bytes, called from");
		EXPECT_PANIC(kfree_sized(block + 16, 100), "interior pointer");
	}
	kfree_sized(block, 100);
	if (CHECKS)
		EXPECT_PANIC(kfree_sized(block, 100), "freed twice");
	finish();
}

/* Only in a slab where krealloc has left a smaller block, other sizes are let through. */
TEST(a_block_that_krealloc_left_smaller_is_freed_by_its_last_size)
{
	char *block, *other;

	start(8 * MIB, 1);
	block = kmalloc(256);
	other = kmalloc(1024);
	CHECK(krealloc(block, 130) == block);
	kfree_sized(block, 130);
	if (CHECKS)
		EXPECT_PANIC(kfree_sized(other, 600), "mismatched");
	kfree(other);
	finish();
}

/* What memory is left is no slab: small blocks are blocks of arenas, or whole frames. */
TEST(a_sized_free_takes_small_blocks_that_are_of_no_slab)
{
	void **last = NULL;

	start(2 * MIB, 1);
	for (size_t size = 24; size <= 4000; size = size * 3 / 2) {
		size_t outside = 0;

		for (void **block; (block = kmalloc_called(size)) != NULL; last = block) {
			*block = last;
			outside += kmalloc_usable_size(block) !=
				   kheap.class[kheap_class_of(size)].size;
		}
		/* Blocks of arenas have sizes that are powers of two, as some classes have. */
		CHECK(outside > 0 || size > 2048 ||
		      !(kheap.class[kheap_class_of(size)].size &
			(kheap.class[kheap_class_of(size)].size - 1)));
		while (last) {
			void **next = *last;

			kfree_sized(last, size);
			last = next;
		}
	}
	finish();
}

/* ---- all of it at random ------------------------------------------------------------------------ */

#define BLOCKS 600

static struct {
	unsigned char *bytes;
	size_t size, align;
	unsigned seed;
} blocks[BLOCKS];

static size_t random_size(void)
{
	return 1 + unit_random_below(UINT64_C(1) << unit_random_below(16));
}

static void step(unsigned i)
{
	size_t size = random_size();
	unsigned char *moved;

	if (!blocks[i].bytes) {
		blocks[i].align = unit_random_below(2) ? (size_t)1 << unit_random_below(14) : 1;
		blocks[i].bytes = kmalloc_aligned(size, blocks[i].align);
		if (!blocks[i].bytes)
			return;
		CHECK_EQ(port_phys_address(blocks[i].bytes) & (blocks[i].align - 1), 0);
	} else if (unit_random_below(2)) {
		moved = krealloc(blocks[i].bytes, size);
		if (!moved) {
			CHECK(size > blocks[i].size);
			check_fill(blocks[i].bytes, blocks[i].size, blocks[i].seed);
			return;
		}
		check_fill(moved, size < blocks[i].size ? size : blocks[i].size, blocks[i].seed);
		blocks[i].bytes = moved;
		blocks[i].align = 1;
	} else {
		check_fill(blocks[i].bytes, blocks[i].size, blocks[i].seed);
		kfree_aligned_sized(blocks[i].bytes, blocks[i].size, blocks[i].align);
		blocks[i].bytes = NULL;
		return;
	}
	CHECK(kmalloc_usable_size(blocks[i].bytes) >= size);
	blocks[i].size = size;
	blocks[i].seed = (unsigned)unit_random();
	fill(blocks[i].bytes, size, blocks[i].seed);
}

static void random_steps(size_t bytes, unsigned cpus)
{
	memset(blocks, 0, sizeof(blocks));
	start(bytes, cpus);
	for (unsigned i = 0; i < 40000; i++) {
		become((unsigned)unit_random_below(cpus));
		step((unsigned)unit_random_below(BLOCKS));
		if (i % 4000 == 0) {
			kheap_validate();
			frame_validate();
		}
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		kfree_aligned_sized(blocks[i].bytes, blocks[i].size, blocks[i].align);
	finish();
}

TEST(every_block_is_freed_by_the_size_that_was_asked_for)
{
	random_steps(64 * MIB, 2);
}

TEST(every_block_is_freed_by_its_size_when_memory_is_short)
{
	random_steps(2 * MIB, 2);
}

/* ---- what is the heap's own ------------------------------------------------------------------- */

TEST(a_slabs_record_is_no_block)
{
	char *block;
	struct slab *record;

	start(4 * MIB, 1);
	block = kmalloc(64);
	record = slab_of(kheap_front_self()->map_bias[port_phys_address(block) >> FRAME_SHIFT],
			 port_phys_address(block));
	EXPECT_PANIC(kfree(record), "wild pointer");
	EXPECT_PANIC(kfree((char *)record + 64), "wild pointer");
	EXPECT_PANIC((void)!krealloc(record, 100), "wild pointer");
	EXPECT_PANIC((void)kmalloc_usable_size(record), "wild pointer");
	kheap_validate();
	kfree(block);
	finish();
}
