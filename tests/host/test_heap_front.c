/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_heap_front.c - the heap's size classes, slabs, and the stacks of each CPU.
 *
 * In most tests one thread runs all CPUs in turn: a CPU that gets an IPI answers at once. Every test
 * ends with a check of all counts: see finish().
 *
 * Covers: mm/heap/front.c mm/heap/front.h mm/heap/slab.c mm/heap/kmalloc.c mm/heap/kmalloc_hit.c
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
#include "mm/percpu/drain.h"
#include "unit.h"

static uint64_t holds(void)
{
	struct spin_stats stats = {0};

	spin_stats_add(kheap_lock(), &stats);
	return stats.acquisitions;
}

/* ---- classes --------------------------------------------------------------------------------- */

TEST(classes_waste_an_eighth_at_most_and_powers_of_two_are_aligned)
{
	start(16 * MIB, 1);
	for (size_t size = 1; size <= KHEAP_SIZE_MAX; size++) {
		char *block = kmalloc_called(size);
		size_t usable = kmalloc_usable_size(block);

		CHECK(usable >= size);
		CHECK(usable - size < 16 || (size > 128 && (usable - size) * 8 <= size));
		CHECK_EQ(kheap.class[kheap_class_of(size)].size, usable);
		CHECK_EQ(kheap_front_self()->class_of[(size + 15) / 16], kheap_class_of(size));
		CHECK_EQ(port_phys_address(block) % 16, 0);
		if ((size & (size - 1)) == 0)
			CHECK_EQ(port_phys_address(block) % size, 0);
		memset(block, 0x5a, usable);
		kfree(block);
	}
	finish();
}

TEST(slabs_waste_little)
{
	start(4 * MIB, 1);
	for (unsigned i = 1; i < KHEAP_CLASSES; i++) {
		const struct slab_class *class = &kheap.class[i];
		uint64_t used = UINT64_C(1) * class->blocks * class->size;

		CHECK(class->blocks <= SLAB_BLOCKS_MAX);
		CHECK(used <= slab_bytes(class));
		CHECK((slab_bytes(class) - used) * 25 <= slab_bytes(class));
	}
	finish();
}

TEST(alignments_are_served_by_classes)
{
	start(8 * MIB, 1);
	for (size_t align = 1; align <= 64 * KIB; align *= 2)
		for (size_t size = 1; size <= 5000; size += size / 7 + 1) {
			void *block = kmalloc_aligned(size, align);

			CHECK(block);
			CHECK_EQ(port_phys_address(block) % align, 0);
			CHECK(kmalloc_usable_size(block) >= size);
			kfree(block);
		}
	kheap_validate();
	finish();
}

TEST(sizes_that_cannot_be_are_refused)
{
	static volatile size_t huge = SIZE_MAX;

	start(4 * MIB, 1);
	CHECK(!kmalloc(0));
	for (size_t i = 0; i < 20; i++)
		CHECK(!kmalloc(huge - i));
	CHECK(!kcalloc(huge / 16 + 2, 16));
	CHECK(!kmalloc_aligned(64, 24));
	kfree(NULL);
	CHECK_EQ(kmalloc_usable_size(NULL), 0);
	finish();
}

/* A constant size is served inline, and must agree with the table. */
TEST(constant_sizes_are_of_the_same_class)
{
	start(4 * MIB, 1);
#define TRY(size)                                                                                  \
	do {                                                                                       \
		void *inlined = kmalloc(size), *called = kmalloc_called(size);                     \
                                                                                                   \
		CHECK_EQ(kmalloc_usable_size(inlined), kmalloc_usable_size(called));               \
		kfree(inlined);                                                                    \
		kfree(called);                                                                     \
	} while (0)
	TRY(1);
	TRY(16);
	TRY(17);
	TRY(128);
	TRY(129);
	TRY(256);
	TRY(257);
	TRY(2000);
	TRY(2048);
	TRY(2049);
	TRY(4080);
	TRY(4081);
#undef TRY
	finish();
}

/* ---- against a table of blocks ------------------------------------------------------------------ */

#define BLOCKS 1500

struct block {
	unsigned char *bytes;
	size_t size, usable;
	unsigned char fill;
};

static struct block blocks[BLOCKS];

static size_t random_size(void)
{
	switch (unit_random_below(8)) {
	case 0:
		return 1 + unit_random_below(16 * KIB);
	case 1:
		return (size_t)16 << unit_random_below(9);
	case 2:
		return 1 + unit_random_below(4 * KIB);
	default:
		return 1 + unit_random_below(300);
	}
}

static void check_fill(const struct block *block, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (block->bytes[i] != block->fill)
			unit_fail(__FILE__, __LINE__, "byte %zu of %p is changed", i,
				  (void *)block->bytes);
}

static void fill(struct block *block)
{
	block->usable = kmalloc_usable_size(block->bytes);
	CHECK(block->usable >= block->size);
	block->fill = (unsigned char)unit_random();
	memset(block->bytes, block->fill, block->usable);
}

static void step(struct block *block)
{
	if (!block->bytes) {
		bool zeroed = unit_random_below(4) == 0;

		block->size = random_size();
		block->bytes = zeroed ? kcalloc(1, block->size) : kmalloc(block->size);
		if (!block->bytes)
			return;
		for (size_t i = 0; zeroed && i < block->size; i++)
			CHECK_EQ(block->bytes[i], 0);
		fill(block);
		return;
	}
	check_fill(block, block->usable);
	if (unit_random_below(4) == 0) {
		size_t size = random_size(), kept = size < block->usable ? size : block->usable;
		unsigned char *moved = krealloc(block->bytes, size);

		if (!moved)
			return;
		block->bytes = moved;
		block->size = size;
		check_fill(block, kept);
		fill(block);
		return;
	}
	kfree(block->bytes);
	block->bytes = NULL;
}

static void check_books(void)
{
	struct kheap_stats stats = stats_now();
	uint64_t count = 0, bytes = 0;

	for (unsigned i = 0; i < BLOCKS; i++)
		if (blocks[i].bytes) {
			count++;
			bytes += blocks[i].usable;
			check_fill(&blocks[i], blocks[i].usable);
		}
	CHECK_EQ(stats.live_blocks, count);
	CHECK_EQ(stats.allocated_bytes, bytes);
	CHECK_EQ(stats.frames_held + frame_free_count(), frames_at_start);
	kheap_validate();
	frame_validate();
}

/* Any cpu frees what any other has allocated; sometimes all caches are asked for what they have. */
static void random_steps(unsigned steps, unsigned used)
{
	memset(blocks, 0, sizeof(blocks));
	for (unsigned i = 0; i < steps; i++) {
		become((unsigned)unit_random_below(port_cpu_count()));
		step(&blocks[unit_random_below(used)]);
		if (i % 2000 == 0)
			check_books();
		if (unit_random_below(3000) == 0)
			frame_drain_ask();
		if (unit_random_below(3000) == 0)
			kheap_trim();
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (blocks[i].bytes)
			kfree(blocks[i].bytes);
}

TEST(the_front_end_agrees_with_the_model)
{
	start(64 * MIB, 3);
	random_steps(60000, BLOCKS);
	finish();
}

TEST(the_front_end_agrees_with_the_model_when_memory_is_short)
{
	start(3 * MIB, 2);
	random_steps(60000, BLOCKS);
	finish();
}

/* ---- callers' mistakes ------------------------------------------------------------------------ */

static void check_double_free(size_t size)
{
	char *block = kmalloc_called(size), *keeper = kmalloc_called(size);

	kfree(block);
	if (CHECKS)
		EXPECT_PANIC(kfree(block), "freed twice");
	kheap_trim(); /* now it is free in its slab, which has another block */
	if (CHECKS)
		EXPECT_PANIC(kfree(block), "freed twice");
	EXPECT_PANIC((void)!krealloc(block, 1), "freed twice");
	EXPECT_PANIC((void)kmalloc_usable_size(block), "freed twice");
	kfree(keeper);
	kheap_trim();
	EXPECT_PANIC(kfree(block), "freed twice"); /* and its frames are gone */
}

TEST(a_block_freed_twice_is_caught_on_a_stack_and_in_a_slab)
{
	start(4 * MIB, 1);
	for (unsigned i = 1; i < KHEAP_CLASSES - 1; i++)
		check_double_free(kheap.class[i].size);
	finish();
}

/* Without checks it goes onto a stack. It is seen when that stack is emptied into the slabs. */
TEST(a_block_freed_twice_is_caught_in_its_slab_without_checks)
{
	char *block, *keeper;

	if (CHECKS)
		return;
	start(4 * MIB, 1);
	block = kmalloc_called(200);
	keeper = kmalloc_called(200);
	kfree(block);
	kheap_trim();
	kfree(block);
	EXPECT_PANIC(kheap_trim(), "freed twice");
	CHECK(kmalloc_called(200) == block); /* off the stack; the slab has it */
	kfree(keeper);
	finish();
}

TEST(a_block_freed_twice_by_two_cpus_is_caught)
{
	char *block;

	start(4 * MIB, 2);
	block = kmalloc(200);
	become(1);
	kfree(block);
	become(0);
	if (CHECKS)
		EXPECT_PANIC(kfree(block), "freed twice");
	finish();
}

static void check_interior(size_t size)
{
	char *block = kmalloc_called(size);
	size_t usable = kmalloc_usable_size(block);

	for (size_t at = 1; CHECKS && at < usable; at += at < 70 ? 1 : 61) {
		EXPECT_PANIC(kfree(block + at), "interior pointer");
		EXPECT_PANIC((void)!krealloc(block + at, 10), "krealloc");
	}
	EXPECT_PANIC((void)kmalloc_usable_size(block + 1), "interior pointer");
	kfree(block);
}

TEST(pointers_into_a_block_are_caught)
{
	start(4 * MIB, 1);
	for (unsigned i = 1; i < KHEAP_CLASSES - 1; i++)
		check_interior(kheap.class[i].size);
	finish();
}

/* A pointer behind the last block of a slab, and a block that was never allocated, are refused. */
TEST(pointers_beside_blocks_are_caught)
{
	char on_stack[16];
	struct frame_owned frame;
	uint64_t slab;
	char *block;

	start(4 * MIB, 1);
	block = kmalloc(208);
	slab = port_phys_address(block) & ~(slab_bytes(&kheap.class[kheap_class_of(208)]) - 1);
	frame = frame_own(frame_alloc_called());
	if (CHECKS) {
		EXPECT_PANIC(kfree((char *)port_phys_pointer(slab) + 157 * 208), "wild pointer");
		EXPECT_PANIC(kfree((char *)port_phys_pointer(slab) + 156 * 208), "freed twice");
		EXPECT_PANIC(kfree(frame_bytes(frame.frame)), "is mismatched: found frame");
	}
	EXPECT_PANIC(kfree(on_stack), "wild pointer");
	EXPECT_PANIC(kfree((void *)8), "wild pointer");
	EXPECT_PANIC(kfree((void *)UINTPTR_MAX), "wild pointer");
	EXPECT_PANIC(kfree(host_memory - 16), "wild pointer");
	EXPECT_PANIC(kfree(host_memory + 4 * MIB), "wild pointer");
	frame_owned_end(&frame);
	kfree(block);
	finish();
}

/* Freed blocks hold no data of the heap: a write to one does no harm. */
TEST(writes_to_freed_blocks_do_not_harm_the_heap)
{
	unsigned char *block[200];

	start(4 * MIB, 1);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 200; i++)
			CHECK(block[i] = kmalloc(96));
		for (unsigned i = 0; i < 200; i++) {
			kfree(block[i]);
			memset(block[i], 0xff, 96);
		}
		kheap_validate();
	}
	finish();
}

/* ---- the bound of lock holds -------------------------------------------------------------------- */

/* Walks of all kinds around both ends of a stack; slabs are there already. */
static void walk(void **held, unsigned *count, unsigned kind, unsigned i)
{
	bool take;

	switch (kind) {
	case 0:
		take = i % 2 == 0;
		break;
	case 1:
		take = unit_random_below(2);
		break;
	case 2:
		take = i / 33 % 2 == 0;
		break;
	case 3:
		take = i / 65 % 2 == 0;
		break;
	default:
		take = i / 200 % 2 == 0;
	}
	if (take && *count < 300)
		CHECK(held[(*count)++] = kmalloc(64));
	else if (!take && *count)
		kfree(held[--*count]);
}

TEST(a_hold_is_paid_for_by_32_operations_on_any_walk)
{
	for (unsigned kind = 0; kind < 5; kind++) {
		void *held[300];
		unsigned count = 0;
		uint64_t before;

		start(16 * MIB, 1);
		while (count < 300)
			CHECK(held[count++] = kmalloc(64));
		while (count > 150)
			kfree(held[--count]);
		before = holds();
		for (unsigned i = 0; i < 32000; i++)
			walk(held, &count, kind, i);
		CHECK(holds() - before <= 32000 / 32);
		while (count)
			kfree(held[--count]);
		finish();
	}
}

/* One cpu allocates, the other frees: what is allocated comes from slabs, what is freed goes home. */
TEST(blocks_of_a_producer_go_home_in_batches)
{
	void *block[32];
	uint64_t before, frames;

	start(16 * MIB, 2);
	for (unsigned round = 0; round < 2; round++) {
		before = holds();
		frames = 0;
		for (unsigned i = 0; i < 1000; i++) {
			become(0);
			for (unsigned at = 0; at < 32; at++)
				CHECK(block[at] = kmalloc(64));
			become(1);
			for (unsigned at = 0; at < 32; at++)
				kfree(block[at]);
			if (kheap.stats.slab_frames > frames)
				frames = kheap.stats.slab_frames;
		}
		CHECK(frames <= 8);
	}
	CHECK(holds() - before <= 2 * 32000 / 32);
	finish();
}

/* ---- memory --------------------------------------------------------------------------------------- */

TEST(empty_slabs_go_back_but_for_a_few)
{
	static void *block[4000];

	start(32 * MIB, 1);
	for (unsigned i = 0; i < 4000; i++)
		CHECK(block[i] = kmalloc(1024));
	CHECK(stats_now().slab_frames >= 1000);
	for (unsigned i = 0; i < 4000; i++)
		kfree(block[i]);
	/* Two slabs kept, and what the stack holds. */
	CHECK(stats_now().slab_frames <= 5 * kheap.class[kheap_class_of(1024)].frames);
	finish();
}

/* Also where it has more blocks than all kept slabs of a class may have together. */
TEST(one_empty_slab_stays_however_many_blocks_it_has)
{
	struct slab_class *class = &kheap.class[kheap_class_of(16)];

	start(32 * MIB, 1);
	kfree(kmalloc_called(16));
	kheap_front_flush();
	CHECK(class->blocks > 128);
	CHECK_EQ(class->empty_slabs, 1);
	finish();
}

TEST(slabs_of_all_classes_keep_a_64th_of_memory_at_most)
{
	static void *block[64];
	uint64_t most;

	start(8 * MIB, 1);
	most = frame_total_count() / 64;
	for (unsigned i = 1; i < KHEAP_CLASSES - 1; i++) {
		for (unsigned at = 0; at < 64; at++)
			block[at] = kmalloc_called(kheap.class[i].size);
		for (unsigned at = 0; at < 64; at++)
			kfree(block[at]);
		CHECK(kheap.kept_frames <= most);
		kheap_validate();
	}
	finish();
}

/* Every block of a class is live, on a stack or free; and the most that there were is kept. */
TEST(statistics_of_a_class_add_up)
{
	static void *block[100];
	struct kheap_class_stats stats;
	unsigned class = kheap_class_of(200);

	start(8 * MIB, 1);
	CHECK(kheap_class_stats(class, &stats));
	CHECK_EQ(stats.size, kheap.class[class].size);
	CHECK_EQ(stats.slabs + stats.live + stats.cached + stats.free, 0);
	for (unsigned i = 0; i < 100; i++)
		CHECK(block[i] = kmalloc(200));
	CHECK(kheap_class_stats(class, &stats));
	CHECK_EQ(stats.live, 100);
	CHECK(stats.cached > 0);
	CHECK_EQ(stats.live + stats.cached + stats.free, stats.slabs * stats.blocks_per_slab);
	CHECK_EQ(stats.used_most, stats.live + stats.cached);
	for (unsigned i = 0; i < 100; i++)
		kfree(block[i]);
	kheap_trim();
	CHECK(kheap_class_stats(class, &stats));
	CHECK_EQ(stats.slabs + stats.live + stats.cached + stats.free, 0);
	CHECK(stats.slabs_most >= 1 && stats.used_most >= 100);
	CHECK(!kheap_class_stats(0, &stats) && !kheap_class_stats(KHEAP_CLASSES, &stats));
	finish();
}

/* 64 MiB live of random sizes, 16 to 3000. The bound of the design is 1.12. */
TEST(overhead_of_random_sizes_is_bounded)
{
	static void *block[60000];
	uint64_t asked = 0, held;
	unsigned count = 0;

	start(96 * MIB, 1);
	while (asked < 64 * MIB) {
		size_t size = 16 + unit_random_below(3000 - 16 + 1);

		CHECK(block[count++] = kmalloc(size));
		asked += size;
	}
	held = stats_now().frames_held << FRAME_SHIFT;
	printf("# %llu bytes asked for, %llu held: %.4f\n", (unsigned long long)asked,
	       (unsigned long long)held, (double)held / (double)asked);
	CHECK(held * 100 <= asked * 112);
	while (count)
		kfree(block[--count]);
	finish();
}

/* ---- exact ---------------------------------------------------------------------------------------- */

static size_t take_all_blocks(size_t size, void ***last)
{
	size_t count = 0;

	for (void **block; (block = kmalloc_called(size)) != NULL; count++) {
		*block = *last;
		*last = block;
	}
	return count;
}

static void free_all(void **last)
{
	while (last) {
		void **next = *last;

		kfree(last);
		last = next;
	}
}

static void **reversed(void **last)
{
	void **first = NULL;

	while (last) {
		void **next = *last;

		*last = first;
		first = last;
		last = next;
	}
	return first;
}

/* All memory is free blocks: on the stacks of another cpu, in its slabs, in arenas. */
TEST(frames_are_found_in_the_stacks_of_another_cpu)
{
	start(4 * MIB, 2);
	for (size_t size = 16; size <= 4000; size = size * 2 + 48) {
		void **last = NULL;
		uint64_t frames = 0;
		pfn_t first = PFN_NONE;

		become(1);
		take_all_blocks(size, &last);
		free_all(last);
		CHECK(stats_now().frames_held > 0);
		become(0);
		for (pfn_t frame; frame = frame_alloc(FRAME_ANY), !pfn_is_none(frame); frames++) {
			*(uint64_t *)frame_bytes(frame) = first.value;
			first = frame;
		}
		CHECK_EQ(frames, frames_at_start);
		CHECK_EQ(stats_now().frames_held, 0);
		while (frames--) {
			pfn_t next = pfn(*(uint64_t *)frame_bytes(first));

			frame_free(first);
			first = next;
		}
	}
	finish();
}

/* Blocks on another cpu's stack, of slabs that have other blocks: no frame comes free. */
TEST(blocks_are_found_on_the_stack_of_another_cpu)
{
	void **last = NULL, *some[40];
	size_t all, again = 0;
	void *block;

	start(2 * MIB, 2);
	all = take_all_blocks(256, &last);
	last = reversed(last); /* the last ones are not of slabs */
	become(1);
	for (unsigned i = 0; i < 40; i++) {
		some[i] = last;
		last = *(void ***)last;
	}
	for (unsigned i = 0; i < 40; i++)
		kfree(some[i]);
	CHECK(kheap_front_level(kheap_class_of(256)) > 0);
	become(0);
	CHECK(!kmalloc_flags(100 * KIB, 1, FRAME_NOWAIT));
	while ((block = kmalloc(256)) != NULL) {
		*(void **)block = last;
		last = block;
		again++;
	}
	CHECK_EQ(again, 40);
	CHECK(all > 40);
	free_all(last);
	finish();
}

TEST(no_wait_asks_no_cpu)
{
	void **last = NULL;
	uint64_t calls;

	start(2 * MIB, 2);
	become(1);
	take_all_blocks(256, &last);
	become(0);
	calls = host_ipi_calls;
	while (kmalloc_flags(256, 1, FRAME_NOWAIT))
		CHECK_EQ(host_ipi_calls, calls);
	CHECK_EQ(host_ipi_calls, calls);
	host_memory_end();
	free(lock_memory);
	free(front_memory);
}

/* A cpu that goes off line leaves nothing behind, and keeps nothing while it is off. */
TEST(a_cpu_off_line_has_no_blocks)
{
	void *block[100];

	start(8 * MIB, 2);
	become(1);
	for (unsigned i = 0; i < 100; i++)
		CHECK(block[i] = kmalloc(64));
	for (unsigned i = 0; i < 50; i++)
		kfree(block[i]);
	CHECK(stats_now().cached_blocks > 0);
	frame_cache_offline();
	CHECK_EQ(stats_now().cached_blocks, 0);
	for (unsigned i = 50; i < 100; i++)
		kfree(block[i]);
	CHECK_EQ(stats_now().cached_blocks, 0);
	frame_cache_online();
	kfree(kmalloc(64));
	CHECK(stats_now().cached_blocks > 0);
	finish();
}

/* With caches off, nothing is kept on a stack. */
TEST(caches_that_are_off_keep_no_blocks)
{
	struct host_machine machine = {.cpus = 1};
	struct host_range range = {0x80200, 1024, 0};

	host_machine_start(&machine, &range, 1);
	start_front(0x80200, 1024);
	for (unsigned i = 0; i < 100; i++)
		kfree(kmalloc(64));
	CHECK_EQ(stats_now().cached_blocks, 0);
	finish();
}

/* Frames outside of the map are never slabs: blocks from there come from arenas and runs. */
TEST(memory_beyond_the_map_is_served_behind_it)
{
	void **last = NULL;

	host_memory_start(4 * MIB, 1);
	start_front(zones.zone[0].first, 256);
	CHECK(take_all_blocks(1000, &last) > 3 * KIB);
	kheap_validate();
	free_all(last);
	finish();
}

/* ---- several cpus at once -------------------------------------------------------------------------- */

#define CPUS	     3
#define SHARED_SLOTS 256

static void *shared[SHARED_SLOTS];
static unsigned failures;

static void stamp(size_t *block, size_t size)
{
	block[0] = size;
	for (size_t i = 1; i < size / sizeof(*block); i++)
		block[i] = (size_t)block + i;
}

static void check_stamp(const size_t *block)
{
	for (size_t i = 1; i < block[0] / sizeof(*block); i++)
		if (block[i] != (size_t)block + i) {
			__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
			return;
		}
}

/* Blocks go from cpu to cpu; now and then a cpu asks all others for what they hold. */
static void hammer(void *argument)
{
	uint64_t state = *(uint64_t *)argument + port_cpu() * 0x9e3779b97f4a7c15u;

	for (unsigned i = 0; i < 20000; i++) {
		size_t size;
		size_t *block;

		state = state * 6364136223846793005u + 1442695040888963407u;
		size = 16 + (state >> 40) % (i % 32 ? 300 : 6000);
		block = kmalloc(size);
		if (block)
			stamp(block, size);
		if (i % 1000 == 999)
			frame_drain_ask();
		block = __atomic_exchange_n(&shared[(state >> 33) % SHARED_SLOTS], block,
					    __ATOMIC_ACQ_REL);
		if (!block)
			continue;
		check_stamp(block);
		kfree(block);
	}
}

static void run_hammer(size_t bytes)
{
	uint64_t seed = unit_random();

	failures = 0;
	memset(shared, 0, sizeof(shared));
	start(bytes, CPUS);
	host_run(hammer, &seed);
	CHECK_EQ(failures, 0);
	frame_drain_settle();
	kheap_validate();
	for (unsigned i = 0; i < SHARED_SLOTS; i++)
		kfree(shared[i]);
	finish();
}

CONCURRENT_TEST(cpus_share_blocks)
{
	run_hammer(16 * MIB);
}

/* So little that slabs come and go, arenas serve, and cpus wait for each other. */
CONCURRENT_TEST(cpus_share_blocks_when_memory_is_short)
{
	for (unsigned round = 0; round < 3; round++)
		run_hammer(MIB);
}
