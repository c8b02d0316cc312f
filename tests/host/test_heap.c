/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_heap.c - the heap against models that are too simple to be wrong.
 *
 * The buddy is held against a map of units, the span index against an array, and the whole heap
 * against a table of blocks whose every byte is known, with frames of other owners in between.
 * Every test that starts a memory ends with a check of all counts: see finish().
 *
 * Covers: mm/heap/buddy.c mm/heap/kmalloc.c mm/heap/span.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/buddy.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/span.h"
#include "unit.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static void *lock_memory;
static uint64_t frames_at_start;

static void start_cpus(size_t bytes, unsigned cpus)
{
	host_memory_start(bytes, cpus);
	lock_memory = aligned_alloc(PORT_CACHE_LINE, spin_bytes(cpus));
	kheap_init(SPIN_CAS, lock_memory);
	CHECK(!strcmp(kheap_lock()->name, "heap"));
	frames_at_start = frame_free_count();
}

static void start(size_t bytes)
{
	start_cpus(bytes, 1);
}

static struct kheap_stats stats_now(void)
{
	struct kheap_stats stats;

	kheap_stats(&stats);
	return stats;
}

/* Everything has been freed: after a trim the heap holds nothing and no frame is missing. */
static void finish(void)
{
	kheap_validate();
	kheap_trim();
	kheap_validate();
	CHECK_EQ(stats_now().frames_held, 0);
	CHECK_EQ(stats_now().live_blocks, 0);
	CHECK_EQ(stats_now().allocated_bytes, 0);
	frame_validate();
	CHECK_EQ(frame_free_count(), frames_at_start);
	host_memory_end();
	free(lock_memory);
}

/* ---- the buddy against a map of units ---------------------------------------------------- */

#define UNITS (1u << BUDDY_ORDER_MAX)

/* Which allocation owns the unit, 0: none. The map of one arena. */
static uint16_t owner[UNITS];

static bool units_are(unsigned first, unsigned count, uint16_t wanted)
{
	for (unsigned i = 0; i < count; i++)
		if (owner[first + i] != wanted)
			return false;
	return true;
}

static void set_units(unsigned first, unsigned count, uint16_t value)
{
	for (unsigned i = 0; i < count; i++)
		owner[first + i] = value;
}

/* A free block of an order is there exactly where all its units are free: buddies are united. */
static unsigned room_by_map(unsigned arena_order)
{
	for (unsigned order = arena_order + 1; order-- > 0;)
		for (unsigned first = 0; first < 1u << arena_order; first += 1u << order)
			if (units_are(first, 1u << order, 0))
				return order + 1;
	return 0;
}

static void check_find(const struct buddy *buddy, unsigned arena_order)
{
	unsigned unit = (unsigned)unit_random_below(1u << arena_order);
	struct buddy_block block = buddy_find(buddy,
					      unit * BUDDY_UNIT + unit_random_below(BUDDY_UNIT));
	unsigned first = (unsigned)(block.offset / BUDDY_UNIT);

	CHECK_EQ(block.allocated, owner[unit] != 0);
	CHECK(first <= unit && unit < first + (1u << block.order));
	CHECK(units_are(first, 1u << block.order, owner[unit]));
}

struct buddy_model {
	struct buddy buddy;
	struct buddy_block block[UNITS];
	unsigned count;
	size_t live_bytes;
};

static void model_alloc(struct buddy_model *model, unsigned arena_order)
{
	unsigned order = (unsigned)unit_random_below(arena_order + 1) / 2;
	unsigned first;
	size_t offset;

	if (buddy_room(&model->buddy) <= order)
		return;
	offset = buddy_alloc(&model->buddy, order);
	first = (unsigned)(offset / BUDDY_UNIT);
	CHECK_EQ(offset % buddy_bytes(order), 0);
	CHECK(first + (1u << order) <= 1u << arena_order);
	CHECK(units_are(first, 1u << order, 0));
	set_units(first, 1u << order, (uint16_t)(first + 1));
	model->block[model->count++] = (struct buddy_block){offset, order, true};
	model->live_bytes += buddy_bytes(order);
}

static void model_free(struct buddy_model *model)
{
	unsigned victim = (unsigned)unit_random_below(model->count);
	struct buddy_block block = model->block[victim];
	struct buddy_block found = buddy_find(&model->buddy, block.offset);

	CHECK(found.allocated);
	CHECK_EQ(found.order, block.order);
	CHECK_EQ(found.offset, block.offset);
	buddy_free(&model->buddy, found);
	set_units((unsigned)(block.offset / BUDDY_UNIT), 1u << block.order, 0);
	model->block[victim] = model->block[--model->count];
	model->live_bytes -= buddy_bytes(block.order);
}

static void run_buddy(struct buddy_model *model, unsigned order)
{
	memset(owner, 0, sizeof(owner));
	memset(model, 0xa5, sizeof(*model)); /* memory that was never written may hold anything */
	model->count = 0;
	model->live_bytes = 0;
	buddy_init(&model->buddy, order);
	for (unsigned step = 0; step < 3000; step++) {
		struct buddy_count count;

		if (model->count && unit_random_below(step % 512 < 256 ? 4 : 2) == 0)
			model_free(model);
		else
			model_alloc(model, order);
		check_find(&model->buddy, order);
		if (step % 16)
			continue;
		CHECK_EQ(buddy_room(&model->buddy), room_by_map(order));
		count = buddy_validate(&model->buddy);
		CHECK_EQ(count.live_bytes, model->live_bytes);
		CHECK_EQ(count.live_blocks, model->count);
	}
	while (model->count)
		model_free(model);
	CHECK(buddy_is_empty(&model->buddy));
	CHECK_EQ(buddy_room(&model->buddy), order + 1);
}

TEST(buddy_agrees_with_a_map_of_units)
{
	static struct buddy_model model;

	for (unsigned order = 0; order <= BUDDY_ORDER_MAX; order++)
		run_buddy(&model, order);
}

TEST(buddy_serves_the_whole_arena_as_one_block)
{
	static struct buddy buddy;

	buddy_init(&buddy, BUDDY_ORDER_MAX);
	CHECK_EQ(buddy_alloc(&buddy, BUDDY_ORDER_MAX), 0);
	CHECK_EQ(buddy_room(&buddy), 0);
	CHECK_EQ(buddy_validate(&buddy).live_bytes, BUDDY_BYTES_MAX);
	CHECK_EQ(buddy_find(&buddy, BUDDY_BYTES_MAX - 1).order, BUDDY_ORDER_MAX);
	buddy_free(&buddy, buddy_find(&buddy, 0));
	CHECK(buddy_is_empty(&buddy));
}

TEST(buddy_spares_the_large_block)
{
	static struct buddy buddy;
	size_t half, unit;

	buddy_init(&buddy, 4);
	half = buddy_alloc(&buddy, 3);
	unit = buddy_alloc(&buddy, 0);
	buddy_free(&buddy, buddy_find(&buddy, half));
	CHECK_EQ(half, 0);
	CHECK_EQ(buddy_alloc(&buddy, 0), unit + BUDDY_UNIT);
	CHECK_EQ(buddy_room(&buddy), 4);
}

TEST(buddy_validate_sees_a_wrong_room)
{
	static struct buddy buddy;

	buddy_init(&buddy, 3);
	buddy_alloc(&buddy, 0);
	buddy.pair[1] = (uint8_t)(buddy.pair[1] ^ 1);
	EXPECT_PANIC(buddy_validate(&buddy), "its halves make");
}

/* ---- the span index against an array ----------------------------------------------------- */

#define SPAN_FRAMES 4096

static void check_spans(const struct span_index *index, uint64_t first, const uint64_t *model)
{
	for (uint64_t i = 0; i < SPAN_FRAMES; i++) {
		struct span span = span_find(index, first + i);

		CHECK_EQ(span.kind, model[i] ? SPAN_RUN : SPAN_NONE);
		CHECK_EQ(span.value, model[i]);
	}
}

static void flip_span(struct span_index *index, uint64_t first, uint64_t *model, uint64_t at)
{
	struct span_nodes nodes = {.count = 0};

	if (model[at]) {
		span_remove(index, first + at, 1, &nodes);
		model[at] = 0;
	} else {
		CHECK(span_nodes_fill(&nodes, span_missing(index, first + at), FRAME_ANY));
		model[at] = 1 + unit_random_below(1000);
		span_enter(index, first + at, 1, (struct span){SPAN_RUN, model[at]}, &nodes);
		CHECK_EQ(nodes.count, 0);
	}
	span_nodes_give(&nodes);
}

TEST(span_index_agrees_with_an_array)
{
	static uint64_t model[SPAN_FRAMES];
	const uint64_t first = 0x80000 + 77;
	struct span_index index;

	start(8 * MIB);
	memset(model, 0, sizeof(model));
	/* As though RAM reached much further: four levels. */
	span_init(&index, first, first + (UINT64_C(1) << 30));
	for (unsigned step = 0; step < 4000; step++) {
		flip_span(&index, first, model, unit_random_below(SPAN_FRAMES));
		if (step % 500 == 0) {
			check_spans(&index, first, model);
			span_validate(&index);
		}
	}
	for (uint64_t i = 0; i < SPAN_FRAMES; i++)
		if (model[i])
			flip_span(&index, first, model, i);
	CHECK_EQ(index.root, 0);
	CHECK_EQ(span_validate(&index).nodes, 0);
	finish();
}

TEST(span_validate_sees_a_wrong_count)
{
	struct span_index index;
	struct span_nodes nodes = {.count = 0};

	start(4 * MIB);
	span_init(&index, 0x80200, 0x80600);
	CHECK(span_nodes_fill(&nodes, span_missing(&index, 0x80300), FRAME_ANY));
	span_enter(&index, 0x80300, 32, (struct span){SPAN_ARENA, 0x80400}, &nodes);
	CHECK_EQ(span_validate(&index).arena_frames, 32);
	index.root++;
	EXPECT_PANIC(span_validate(&index), "words in use");
	index.root--;
	span_remove(&index, 0x80300, 32, &nodes);
	span_nodes_give(&nodes);
	finish();
}

TEST(span_index_answers_for_any_number)
{
	struct span_index index;
	struct span_nodes nodes = {.count = 0};

	start(4 * MIB);
	span_init(&index, 0x80200, 0x80600);
	CHECK_EQ(index.levels, 2);
	CHECK(span_nodes_fill(&nodes, span_missing(&index, 0x80200), FRAME_ANY));
	span_enter(&index, 0x80200, 1, (struct span){SPAN_FRAME, 1}, &nodes);
	CHECK_EQ(span_find(&index, 0x80200).kind, SPAN_FRAME);
	CHECK_EQ(span_find(&index, 0x801ff).kind, SPAN_NONE);
	CHECK_EQ(span_find(&index, 0).kind, SPAN_NONE);
	CHECK_EQ(span_find(&index, UINT64_MAX).kind, SPAN_NONE);
	CHECK_EQ(span_find(&index, 0x80200 + (1 << 18)).kind, SPAN_NONE);
	CHECK_EQ(span_find(&index, 0x80200 + (UINT64_C(1) << 44)).kind, SPAN_NONE);
	span_remove(&index, 0x80200, 1, &nodes);
	CHECK_EQ(nodes.count, 2);
	span_nodes_give(&nodes);
	finish();
}

/* ---- the heap against a table of blocks -------------------------------------------------- */

#define BLOCKS 400
#define OTHERS 60

struct block {
	unsigned char *bytes;
	size_t size; /* asked for */
	size_t usable;
	uint64_t seed; /* of the contents */
};

/* blocks[0..BLOCKS) are the heap's, the rest are frames of another owner. */
static struct block blocks[BLOCKS + OTHERS];

static unsigned char byte_at(uint64_t seed, size_t i)
{
	return (unsigned char)((seed + i) * 0x9e3779b97f4a7c15u >> 56);
}

static void fill(struct block *block)
{
	block->seed = unit_random();
	for (size_t i = 0; i < block->usable; i++)
		block->bytes[i] = byte_at(block->seed, i);
}

static void check_bytes(const unsigned char *bytes, uint64_t seed, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (bytes[i] != byte_at(seed, i))
			unit_fail(__FILE__, __LINE__, "byte %zu of %p is changed", i, (void *)bytes);
}

static void check_apart(const struct block *block)
{
	for (const struct block *other = blocks; other < blocks + BLOCKS + OTHERS; other++)
		if (other != block && other->bytes)
			CHECK(block->bytes + block->usable <= other->bytes ||
			      other->bytes + other->usable <= block->bytes);
}

static void check_in_memory(const struct block *block)
{
	uint64_t first = port_phys_address(block->bytes) >> FRAME_SHIFT;
	uint64_t last = (port_phys_address(block->bytes) + block->usable - 1) >> FRAME_SHIFT;

	CHECK(zone_of(first) && zone_of(first) == zone_of(last));
}

static size_t alignment_due(size_t size, size_t align)
{
	size_t due = 64;

	while (due < size && due < FRAME_SIZE)
		due *= 2;
	if ((size & (size - 1)) == 0 && size > due)
		due = size;
	return due > align ? due : align;
}

static void check_new(struct block *block, size_t align)
{
	block->usable = kmalloc_usable_size(block->bytes);
	CHECK(block->usable >= block->size);
	CHECK(block->usable - block->size < FRAME_SIZE);
	CHECK_EQ(port_phys_address(block->bytes) % alignment_due(block->size, align), 0);
	check_in_memory(block);
	check_apart(block);
}

static size_t random_size(void)
{
	switch (unit_random_below(8)) {
	case 0:
	case 1:
	case 2:
		return 1 + unit_random_below(200);
	case 3:
		return 1 + unit_random_below(4 * KIB);
	case 4:
		return 1 + unit_random_below(40 * KIB);
	case 5:
		return (size_t)1 << unit_random_below(18);
	case 6:
		return ((size_t)1 << unit_random_below(18)) + 1;
	default:
		return 1 + unit_random_below(300 * KIB);
	}
}

static void step_alloc(struct block *block)
{
	size_t align = 1;
	bool zeroed = false;

	block->size = random_size();
	switch (unit_random_below(3)) {
	case 0:
		block->bytes = kmalloc(block->size);
		break;
	case 1:
		block->bytes = kcalloc(block->size, 1);
		zeroed = true;
		break;
	default:
		align = (size_t)1 << unit_random_below(20);
		block->bytes = kmalloc_aligned(block->size, align);
	}
	if (!block->bytes)
		return;
	check_new(block, align);
	for (size_t i = 0; zeroed && i < block->size; i++)
		CHECK_EQ(block->bytes[i], 0);
	fill(block);
}

static void step_free(struct block *block)
{
	check_bytes(block->bytes, block->seed, block->usable);
	kfree(block->bytes);
	block->bytes = NULL;
}

static void step_realloc(struct block *block)
{
	size_t size = random_size();
	size_t kept = size < block->usable ? size : block->usable;
	unsigned char *moved = krealloc(block->bytes, size);

	if (!moved) {
		CHECK(size > block->usable);
		check_bytes(block->bytes, block->seed, block->usable);
		return;
	}
	check_bytes(moved, block->seed, kept);
	block->bytes = moved;
	block->usable = kmalloc_usable_size(moved);
	CHECK(block->usable >= size);
	check_apart(block);
	fill(block);
}

/* Frames that are not the heap's, between those that are. */
static void step_other(struct block *other)
{
	if (other->bytes) {
		check_bytes(other->bytes, other->seed, other->usable);
		frame_free_run(pfn(port_phys_address(other->bytes) >> FRAME_SHIFT),
			       other->usable >> FRAME_SHIFT);
		other->bytes = NULL;
	} else {
		uint64_t count = 1 + unit_random_below(8);
		pfn_t first = frame_alloc_run(count, 1);

		if (pfn_is_none(first))
			return;
		other->bytes = frame_bytes(first);
		other->usable = count << FRAME_SHIFT;
		check_apart(other);
		fill(other);
	}
}

static void check_books(void)
{
	struct kheap_stats stats = stats_now();
	uint64_t count = 0, bytes = 0, others = 0;

	for (unsigned i = 0; i < BLOCKS + OTHERS; i++) {
		if (blocks[i].bytes && i < BLOCKS) {
			count++;
			bytes += blocks[i].usable;
			check_bytes(blocks[i].bytes, blocks[i].seed, blocks[i].usable);
		} else if (blocks[i].bytes) {
			others += blocks[i].usable >> FRAME_SHIFT;
		}
	}
	CHECK_EQ(stats.live_blocks, count);
	CHECK_EQ(stats.allocated_bytes, bytes);
	CHECK_EQ(stats.frames_held + others + frame_free_count(), frames_at_start);
	kheap_validate();
	frame_validate();
}

static void random_steps(unsigned steps, unsigned used_blocks)
{
	memset(blocks, 0, sizeof(blocks));
	for (unsigned step = 0; step < steps; step++) {
		struct block *block = &blocks[unit_random_below(used_blocks)];

		if (unit_random_below(16) == 0)
			step_other(&blocks[BLOCKS + unit_random_below(OTHERS)]);
		else if (!block->bytes)
			step_alloc(block);
		else if (unit_random_below(3) == 0)
			step_realloc(block);
		else
			step_free(block);
		if (step % 200 == 0)
			check_books();
	}
	for (unsigned i = 0; i < BLOCKS; i++)
		if (blocks[i].bytes)
			step_free(&blocks[i]);
	for (unsigned i = BLOCKS; i < BLOCKS + OTHERS; i++)
		if (blocks[i].bytes)
			step_other(&blocks[i]);
}

TEST(heap_agrees_with_the_model)
{
	start(64 * MIB);
	random_steps(8000, BLOCKS);
	finish();
}

/* The same where frames are always about to run out: every way of growing fails at some time. */
TEST(heap_agrees_with_the_model_when_memory_is_short)
{
	start(2 * MIB);
	random_steps(12000, 120);
	finish();
}

/* ---- sizes and alignments ---------------------------------------------------------------- */

TEST(powers_of_two_are_naturally_aligned)
{
	void *block[32];
	unsigned count = 0;

	start(32 * MIB);
	for (size_t size = 1; size <= 4 * MIB; size *= 2) {
		block[count] = kmalloc(size);
		CHECK(block[count]);
		CHECK_EQ(port_phys_address(block[count]) % size, 0);
		CHECK_EQ(kmalloc_usable_size(block[count]), size < 64 ? 64 : size);
		count++;
	}
	kheap_validate();
	while (count)
		kfree(block[--count]);
	finish();
}

TEST(sizes_above_a_frame_waste_less_than_a_frame)
{
	start(16 * MIB);
	for (size_t frames = 1; frames <= 70; frames++) {
		size_t size = frames * FRAME_SIZE - unit_random_below(FRAME_SIZE / 2);
		void *block = kmalloc(size);

		CHECK(block);
		CHECK_EQ(kmalloc_usable_size(block), frames * FRAME_SIZE);
		kheap_validate();
		kfree(block);
	}
	finish();
}

TEST(alignments_beyond_a_frame_are_served)
{
	static const size_t sizes[] = {1, 64, 100, 4096, 5000, 20 * KIB, 140 * KIB};

	start(16 * MIB);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		for (size_t align = 1; align <= 4 * MIB; align *= 2) {
			void *block = kmalloc_aligned(sizes[i], align);

			CHECK(block);
			CHECK_EQ(port_phys_address(block) % align, 0);
			CHECK(kmalloc_usable_size(block) < sizes[i] + FRAME_SIZE);
			kheap_validate();
			kfree(block);
		}
	finish();
}

TEST(alignments_that_are_none_are_refused)
{
	static const size_t bad[] = {0, 3, 6, 48, 4095, 4097, SIZE_MAX};

	start(4 * MIB);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(!kmalloc_aligned(64, bad[i]));
	for (unsigned shift = 32; shift < 64; shift++)
		CHECK(!kmalloc_aligned(64, (size_t)1 << shift));
	CHECK(!kmalloc_aligned(0, 64));
	finish();
}

/* Through these the compiler cannot see what is asked for, and warn that it is too much. */
static volatile size_t huge = SIZE_MAX;

TEST(sizes_that_cannot_be_are_refused)
{
	start(4 * MIB);
	CHECK(!kmalloc(0));
	CHECK(!kmalloc(huge));
	CHECK(!kmalloc(huge - 4095));
	CHECK(!kmalloc(huge / 2));
	CHECK(!kmalloc(huge / 2 + 2));
	CHECK(!kmalloc(5 * MIB));
	CHECK(!kcalloc(0, 8));
	CHECK(!kcalloc(8, 0));
	CHECK(!kcalloc(huge / 2, 3));
	CHECK(!kcalloc(huge / 64 + 2, 64)); /* wraps to 64 */
	CHECK(!kcalloc((huge >> 32) + 1, (huge >> 32) + 1));
	CHECK(!kmalloc_aligned(huge, 4096));
	CHECK_EQ(kmalloc_usable_size(NULL), 0);
	kfree(NULL);
	finish();
}

TEST(kcalloc_zeroes_what_was_used_before)
{
	start(4 * MIB);
	for (size_t size = 1; size < 100 * KIB; size = size * 3 + 1) {
		unsigned char *block = kmalloc(size);

		memset(block, 0xff, size);
		kfree(block);
		block = kcalloc(1, size);
		for (size_t i = 0; i < size; i++)
			CHECK_EQ(block[i], 0);
		kfree(block);
	}
	finish();
}

/* ---- krealloc ---------------------------------------------------------------------------- */

TEST(krealloc_of_nothing_and_to_nothing)
{
	char *block;

	start(4 * MIB);
	CHECK(!krealloc(NULL, 0));
	block = krealloc(NULL, 100);
	CHECK(block);
	CHECK_EQ(kmalloc_usable_size(block), 128);
	CHECK(!krealloc(block, 0));
	CHECK_EQ(stats_now().live_blocks, 0);
	EXPECT_PANIC((void)!krealloc(block, 0), "freed twice");
	finish();
}

TEST(krealloc_stays_where_the_block_serves)
{
	char *block, *same;

	start(4 * MIB);
	block = kmalloc(100);
	same = krealloc(block, 128);
	CHECK(same == block);
	same = krealloc(block, 65);
	CHECK(same == block);
	same = krealloc(block, 64);
	CHECK_EQ(kmalloc_usable_size(same), 64);
	block = krealloc(same, 1);
	CHECK(block == same);
	kfree(block);
	finish();
}

/* A copy that is too long takes the neighbour's bytes along, or runs over the new neighbour. */
TEST(krealloc_copies_no_more_than_both_have)
{
	unsigned char *block[64], *grown;

	start(4 * MIB);
	grown = kmalloc(4096);
	memset(grown, 0x11, 4096);
	for (unsigned i = 0; i < 64; i++) {
		block[i] = kmalloc(64);
		memset(block[i], (int)(0x80 + i), 64);
	}
	kfree(grown);
	grown = krealloc(block[20], 4096);
	for (size_t i = 0; i < 4096; i++)
		CHECK(i < 64 ? grown[i] == 0x80 + 20 : grown[i] < 0x80);
	block[20] = krealloc(grown, 64);
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned at = 0; at < 64; at++)
			CHECK_EQ(block[i][at], 0x80 + i);
		kfree(block[i]);
	}
	finish();
}

TEST(krealloc_that_fails_keeps_the_block)
{
	unsigned char *block, *shrunk;
	struct frame_owned frames[1024];
	unsigned count = 0;

	start(2 * MIB);
	block = kmalloc(100 * KIB);
	memset(block, 0x5a, 100 * KIB);
	CHECK(!krealloc(block, 3 * MIB));
	for (pfn_t frame; frame = frame_alloc(FRAME_ANY), !pfn_is_none(frame);)
		frames[count++] = frame_own(frame);
	CHECK(!krealloc(block, 101 * KIB));
	shrunk = krealloc(block, 10);
	CHECK(shrunk == block);
	for (size_t i = 0; i < 100 * KIB; i++)
		CHECK_EQ(block[i], 0x5a);
	while (count)
		frame_owned_end(&frames[--count]);
	kfree(block);
	finish();
}

/* ---- exhaustion and giving back ---------------------------------------------------------- */

/* Freed blocks are strung together by their own first word. */
static size_t allocate_all(size_t size, void ***last)
{
	size_t count = 0;

	for (void **block; (block = kmalloc(size)) != NULL; count++) {
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

TEST(exhaustion_is_an_answer_and_loses_nothing)
{
	static const size_t sizes[] = {64, 200, 1024, 4096, 5000, 32 * KIB, 100 * KIB, 600 * KIB};

	start(4 * MIB);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void **last = NULL;
		size_t first = allocate_all(sizes[i], &last);

		CHECK(first > 0);
		kheap_validate();
		frame_validate();
		CHECK(!kmalloc(sizes[i]));
		free_all(last);
		last = NULL;
		CHECK_EQ(allocate_all(sizes[i], &last), first);
		free_all(last);
		kheap_trim();
		CHECK_EQ(frame_free_count(), frames_at_start);
	}
	finish();
}

/* A last frame may remain: it is no use without another for the index. */
TEST(small_requests_use_every_frame)
{
	void **last = NULL;

	start(4 * MIB);
	allocate_all(2048, &last);
	CHECK(frame_free_count() <= 1);
	CHECK(stats_now().metadata_frames * 16 < frames_at_start);
	kheap_validate();
	free_all(last);
	finish();
}

TEST(memory_without_runs_serves_small_requests)
{
	static pfn_t frames[1024];
	void **last = NULL;
	unsigned count = 0;

	start(2 * MIB);
	for (pfn_t frame; frame = frame_alloc(FRAME_ANY), !pfn_is_none(frame);)
		frames[count++] = frame;
	for (unsigned i = 0; i < count; i++)
		if (frames[i].value % 2)
			frame_free(frames[i]);
	CHECK(!kmalloc(2 * FRAME_SIZE));
	kheap_trim();
	CHECK(allocate_all(64, &last) >= count / 4 * (FRAME_SIZE / 64) - 4 * 64);
	CHECK(frame_free_count() <= 1);
	kheap_validate();
	free_all(last);
	for (unsigned i = 0; i < count; i++)
		if (frames[i].value % 2 == 0)
			frame_free(frames[i]);
	finish();
}

/* The index is empty and needs two frames for the first span; an arena needs two more. */
TEST(a_handful_of_frames_is_used_or_left_alone)
{
	static pfn_t frames[1024];
	unsigned count = 0;

	start(4 * MIB);
	for (pfn_t frame; frame = frame_alloc(FRAME_ANY), !pfn_is_none(frame);)
		frames[count++] = frame;
	for (unsigned left = 0; left < 8; left++) {
		void *block = kmalloc(64);

		CHECK_EQ(block != NULL, left >= 3);
		if (block)
			CHECK_EQ(kmalloc_usable_size(block), left == 3 ? FRAME_SIZE : 64);
		CHECK_EQ(frame_free_count() + stats_now().frames_held, left);
		kheap_validate();
		kfree(block);
		kheap_trim();
		CHECK_EQ(frame_free_count(), left);
		frame_free(frames[--count]);
	}
	while (count)
		frame_free(frames[--count]);
	finish();
}

TEST(one_empty_arena_is_kept_and_no_more)
{
	void *block[3];
	struct kheap_stats stats;

	start(4 * MIB);
	for (unsigned i = 0; i < 100; i++)
		kfree(kmalloc(1000));
	CHECK_EQ(stats_now().arenas_taken, 1);
	CHECK_EQ(stats_now().arenas, 1);
	for (unsigned i = 0; i < 3; i++)
		block[i] = kmalloc(128 * KIB - (i == 0 ? 0 : 64 * KIB));
	for (unsigned i = 0; i < 3; i++)
		kfree(block[i]);
	stats = stats_now();
	CHECK_EQ(stats.arenas, 1);
	CHECK_EQ(stats.arena_frames, 32);
	CHECK_EQ(stats.arenas_taken - stats.arenas_given, 1);
	CHECK_EQ(stats.frames_held, stats.arena_frames + stats.metadata_frames);
	finish();
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

/* The last arenas to be had are small; whichever end it begins with, a large one is kept. */
TEST(free_arenas_are_given_back_at_once)
{
	start(4 * MIB);
	for (unsigned round = 0; round < 2; round++) {
		void **last = NULL;

		allocate_all(512, &last);
		CHECK(stats_now().arenas > 10);
		free_all(round ? reversed(last) : last);
		CHECK_EQ(stats_now().arenas, 1);
		CHECK_EQ(stats_now().arena_frames, 32);
	}
	finish();
}

/* Adjacent arenas, both half free at the common end: no block may reach over it. */
TEST(blocks_never_cross_an_arena)
{
	char *block[8];

	start(4 * MIB);
	for (unsigned i = 0; i < 8; i++)
		block[i] = kmalloc(64 * KIB);
	for (unsigned i = 1; i < 7; i++)
		kfree(block[i]);
	kheap_validate();
	block[1] = kmalloc(128 * KIB);
	CHECK_EQ(port_phys_address(block[1]) % (128 * KIB), 0);
	memset(block[1], 0x77, 128 * KIB);
	kheap_validate();
	kfree(block[0]);
	kfree(block[1]);
	kfree(block[7]);
	finish();
}

/* ---- callers' mistakes ------------------------------------------------------------------- */

TEST(a_block_freed_twice_is_caught)
{
	char *small, *keeper, *large;

	start(4 * MIB);
	keeper = kmalloc(64);
	small = kmalloc(64);
	kfree(small);
	EXPECT_PANIC(kfree(small), "freed twice");
	EXPECT_PANIC(kfree(small), "called from [<0x");
	EXPECT_PANIC((void)!krealloc(small, 100), "krealloc");
	EXPECT_PANIC((void)kmalloc_usable_size(small), "freed twice");
	large = kmalloc(200 * KIB);
	kfree(large);
	EXPECT_PANIC(kfree(large), "freed twice");
	kfree(keeper);
	EXPECT_PANIC(kfree(keeper), "freed twice");
	kheap_trim();
	EXPECT_PANIC(kfree(keeper), "freed twice");
	finish();
}

/* Its frames serve others by then: freed twice is still seen, and they are not harmed. */
TEST(a_block_freed_twice_within_a_larger_free_block_is_caught)
{
	char *block[64];

	start(4 * MIB);
	for (unsigned i = 0; i < 64; i++)
		block[i] = kmalloc(64);
	for (unsigned i = 1; i < 64; i++)
		kfree(block[i]);
	for (unsigned i = 1; i < 64; i++)
		EXPECT_PANIC(kfree(block[i]), "freed twice");
	kheap_validate();
	kfree(block[0]);
	finish();
}

TEST(pointers_into_a_block_are_caught)
{
	static const size_t sizes[] = {64, 100, 4096, 20 * KIB, 64 * KIB, 300 * KIB};

	start(4 * MIB);
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *block = kmalloc_called(sizes[i]);

		EXPECT_PANIC(kfree(block + 1), "interior pointer");
		EXPECT_PANIC(kfree(block + 8), "interior pointer");
		EXPECT_PANIC(kfree(block + 63), "interior pointer");
		EXPECT_PANIC((void)!krealloc(block + 32, 10), "krealloc");
		if (sizes[i] > 64)
			EXPECT_PANIC(kfree(block + 64), "expected that block's start");
		kheap_validate();
		kfree(block);
	}
	finish();
}

/* Odd, so no block's start, whatever it points to. */
static void free_anything(void)
{
	EXPECT_PANIC(kfree((void *)(unit_random() | 1)), "expected");
}

TEST(wild_pointers_are_caught)
{
	char on_stack[16];
	char *block, *run;
	struct frame_owned frame;

	start(4 * MIB);
	block = kmalloc(64);
	run = kmalloc(20 * KIB);
	frame = frame_own(frame_alloc_called());
	EXPECT_PANIC(kfree(on_stack), "wild pointer");
	EXPECT_PANIC(kfree((void *)8), "wild pointer");
	EXPECT_PANIC(kfree((void *)UINTPTR_MAX), "wild pointer");
	EXPECT_PANIC(kfree(&frames_at_start), "wild pointer");
	EXPECT_PANIC(kfree(frame_bytes(frame.frame)),
		     CHECKS ? "is mismatched: found frame" : "wild");
	EXPECT_PANIC(kfree(host_memory), "wild pointer");
	EXPECT_PANIC(kfree(host_memory + 4 * MIB), "wild pointer");
	EXPECT_PANIC(kfree(host_memory - 1), "wild pointer");
	EXPECT_PANIC(kfree(run + FRAME_SIZE), CHECKS ? "is an interior pointer" : "wild pointer");
	for (unsigned i = 0; i < 1000; i++)
		free_anything();
	EXPECT_PANIC((void)kmalloc_usable_size(on_stack), "kmalloc_usable_size");
	kheap_validate();
	frame_owned_end(&frame);
	kfree(run);
	kfree(block);
	finish();
}

/* A free block holds no data of the heap: a write to it does no harm. */
TEST(writes_to_freed_blocks_do_not_harm_the_heap)
{
	unsigned char *block[100];

	start(4 * MIB);
	for (unsigned i = 0; i < 100; i++)
		block[i] = kmalloc(256);
	for (unsigned i = 0; i < 99; i++) {
		kfree(block[i]);
		memset(block[i], 0xff, 256);
	}
	kheap_validate();
	for (unsigned i = 0; i < 99; i++)
		block[i] = kmalloc(256);
	kheap_validate();
	for (unsigned i = 0; i < 100; i++)
		kfree(block[i]);
	finish();
}

/* ---- several cpus ------------------------------------------------------------------------ */

#define CPUS	     4
#define SHARED_SLOTS 256

/* Blocks go from cpu to cpu through these; each starts with its size and repeats its address. */
static void *shared[SHARED_SLOTS];
static unsigned failures;

static void fail(void)
{
	__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
}

static void stamp(size_t *block, size_t size)
{
	size_t words = size / sizeof(*block);

	block[0] = size;
	for (size_t i = 1; i < words; i++)
		block[i] = (size_t)block + i;
}

static void check_stamp(const size_t *block)
{
	size_t words = block[0] / sizeof(*block);

	for (size_t i = 1; i < words; i++)
		if (block[i] != (size_t)block + i) {
			fail();
			return;
		}
}

static void hammer(void *argument)
{
	uint64_t state = *(uint64_t *)argument + port_cpu() * 0x9e3779b97f4a7c15u;

	for (unsigned step = 0; step < 8000; step++) {
		size_t size;
		size_t *block;

		state = state * 6364136223846793005u + 1442695040888963407u;
		size = 16 + (state >> 40) % (step % 64 ? 2000 : 200000);
		block = kmalloc(size);
		if (block)
			stamp(block, size);
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
	start_cpus(bytes, CPUS);
	host_run(hammer, &seed);
	CHECK_EQ(failures, 0);
	kheap_validate();
	for (unsigned i = 0; i < SHARED_SLOTS; i++)
		if (shared[i]) {
			check_stamp(shared[i]);
			kfree(shared[i]);
		}
	CHECK_EQ(failures, 0);
	finish();
}

CONCURRENT_TEST(cpus_share_the_heap)
{
	run_hammer(32 * MIB);
}

/* Two cpus grow at once, and the index's nodes come and go while frames are being fetched. */
CONCURRENT_TEST(cpus_grow_and_shrink_the_heap_at_once)
{
	for (unsigned round = 0; round < 3; round++)
		run_hammer(2 * MIB);
}
