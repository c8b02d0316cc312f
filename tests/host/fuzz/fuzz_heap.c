/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_heap.c - fuzz target: kmalloc and its kin against a table of blocks.
 *
 * The input chooses how much memory there is, in one zone or two, with or without the stacks of each
 * CPU, and then operations: blocks of all sizes and alignments made, moved and freed, frames of
 * other owners in between, and the mistakes of callers. Of every block each byte is known: blocks overlap nothing, lose nothing
 * and lie as aligned as promised; a request is refused only if no memory was left for it; a mistake
 * is named and changes nothing; and at the end every frame is back.
 *
 * Covers: mm/heap/
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/span.h"

#define BLOCKS 48
#define OTHERS 12

struct block {
	unsigned char *bytes;
	size_t usable;
	uint64_t seed; /* of the contents */
};

/* block[0..BLOCKS) are the heap's, the rest are frames of another owner. */
struct model {
	struct fuzz_input input;
	struct block block[BLOCKS + OTHERS];
	uint64_t frames_at_start;
	uint64_t next_seed;
	void *lock_memory, *front_memory;
};

static struct model model;

static unsigned choose(unsigned bound)
{
	return fuzz_below(&model.input, bound);
}

/* ---- contents ---------------------------------------------------------------------------- */

FUZZ_UNTRACED static uint64_t word_at(uint64_t seed, size_t i)
{
	return (seed + i) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Usable sizes are multiples of 16. */
FUZZ_UNTRACED static void fill(struct block *block)
{
	uint64_t *words = (uint64_t *)block->bytes;

	block->seed = model.next_seed++ << 32;
	for (size_t i = 0; i < block->usable / 8; i++)
		words[i] = word_at(block->seed, i);
}

FUZZ_UNTRACED static void check_bytes(const unsigned char *bytes, uint64_t seed, size_t count)
{
	const uint64_t *words = (const uint64_t *)bytes;
	size_t whole = count / 8;
	uint64_t last = word_at(seed, whole);

	for (size_t i = 0; i < whole; i++)
		if (words[i] != word_at(seed, i))
			unit_fail(__FILE__, __LINE__, "byte %zu of a block is changed", i * 8);
	if (memcmp(words + whole, &last, count % 8))
		unit_fail(__FILE__, __LINE__, "the last bytes of a block are changed");
}

static void check_block(const struct block *block)
{
	check_bytes(block->bytes, block->seed, block->usable);
}

FUZZ_UNTRACED static void check_apart(const struct block *block)
{
	for (const struct block *other = model.block; other < model.block + BLOCKS + OTHERS; other++)
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

/* ---- the accounts ------------------------------------------------------------------------ */

static struct kheap_stats stats_now(void)
{
	struct kheap_stats stats;

	kheap_stats(&stats);
	return stats;
}

FUZZ_UNTRACED static void check_books(void)
{
	struct kheap_stats stats = stats_now();
	uint64_t count = 0, bytes = 0, others = 0;

	for (unsigned i = 0; i < BLOCKS + OTHERS; i++) {
		if (model.block[i].bytes && i < BLOCKS) {
			count++;
			bytes += model.block[i].usable;
		} else if (model.block[i].bytes) {
			others += model.block[i].usable >> FRAME_SHIFT;
		}
	}
	CHECK_EQ(stats.live_blocks, count);
	CHECK_EQ(stats.allocated_bytes, bytes);
	CHECK_EQ(stats.frames_held + others + frame_free_count(), model.frames_at_start);
}

static void check_everything(void)
{
	for (unsigned i = 0; i < BLOCKS + OTHERS; i++)
		if (model.block[i].bytes)
			check_block(&model.block[i]);
	check_books();
	kheap_validate();
	frame_validate();
}

/* ---- blocks ------------------------------------------------------------------------------ */

static size_t choose_size(void)
{
	unsigned kind = choose(256);
	size_t power = (size_t)1 << kind / 8 % 19;

	switch (kind % 8) {
	case 0:
	case 1:
	case 2:
		return 1 + choose(256);
	case 3:
		return 1 + choose(4096);
	case 4:
		return power;
	case 5:
		return power + 1;
	case 6:
		return power > 1 ? power - 1 : 1;
	default:
		return 1 + (size_t)choose(65536) * (1 + kind / 64);
	}
}

static size_t alignment_due(size_t size, size_t align)
{
	bool has_class = model.front_memory && size <= KHEAP_SIZE_MAX;
	size_t due = has_class ? KHEAP_GRAIN : 64;

	while (!has_class && due < size && due < FRAME_SIZE)
		due *= 2;
	if ((size & (size - 1)) == 0 && size > due)
		due = size;
	return due > align ? due : align;
}

/*
 * A request that one frame serves is refused only where no frame is free, for it or for the span
 * index; or where another cpu's cache has them, which is out of reach.
 */
static void check_refusal(size_t size, size_t align)
{
	if (size <= FRAME_SIZE && align <= 1 && host_cpu_count == 1)
		CHECK(frame_free_count() <= SPAN_LEVELS_MAX);
}

static void enter_block(struct block *block, void *bytes, size_t size, size_t align)
{
	block->bytes = bytes;
	block->usable = kmalloc_usable_size(bytes);
	CHECK(block->usable >= size);
	CHECK_EQ(block->usable % 16, 0);
	CHECK(size >= FRAME_SIZE || block->usable <= FRAME_SIZE);
	CHECK(block->usable - size < FRAME_SIZE);
	CHECK_EQ(port_phys_address(bytes) & (alignment_due(size, align) - 1), 0);
	check_in_memory(block);
	check_apart(block);
}

FUZZ_UNTRACED static void make_block(struct block *block)
{
	size_t size = choose_size(), align = 1;
	unsigned char *bytes;
	unsigned how = choose(256);

	if (how % 3 == 0) {
		bytes = kmalloc(size);
	} else if (how % 3 == 1) {
		bytes = kcalloc(size, 1);
		for (size_t i = 0; bytes && i < size; i++)
			CHECK_EQ(bytes[i], 0);
	} else {
		align = (size_t)1 << how / 3 % 20;
		bytes = kmalloc_aligned(size, align);
	}
	if (!bytes) {
		check_refusal(size, align);
		return;
	}
	enter_block(block, bytes, size, align);
	fill(block);
}

static void free_block(struct block *block)
{
	check_block(block);
	kfree(block->bytes);
	block->bytes = NULL;
}

/* Where it is, aligned as it was, and perhaps larger than a new one would be. */
static void keep_block(struct block *block, unsigned char *bytes, size_t size)
{
	block->bytes = bytes;
	block->usable = kmalloc_usable_size(bytes);
	CHECK(block->usable >= size);
	CHECK_EQ(block->usable % 16, 0);
	check_in_memory(block);
	check_apart(block);
}

static void move_block(struct block *block)
{
	size_t size = choose_size();
	size_t kept = size < block->usable ? size : block->usable;
	unsigned char *bytes = block->bytes, *moved;

	moved = krealloc(bytes, size);
	if (!moved) {
		CHECK(size > block->usable);
		check_refusal(size, 1);
		check_block(block);
		return;
	}
	block->bytes = NULL;
	check_bytes(moved, block->seed, kept);
	if (moved == bytes)
		keep_block(block, bytes, size);
	else
		enter_block(block, moved, size, 1);
	fill(block);
}

static void operate_on_block(void)
{
	struct block *block = &model.block[choose(BLOCKS)];

	if (!block->bytes)
		make_block(block);
	else if (choose(256) % 3)
		free_block(block);
	else
		move_block(block);
}

/* Frames that are not the heap's, between those that are: many, so that memory runs short. */
static void operate_on_other(void)
{
	struct block *other = &model.block[BLOCKS + choose(OTHERS)];
	unsigned byte = choose(256);
	uint64_t count = byte < 128 ? 1 + byte % 8 : byte;
	pfn_t first;

	if (other->bytes) {
		check_block(other);
		frame_free_run(pfn(port_phys_address(other->bytes) >> FRAME_SHIFT),
			       other->usable >> FRAME_SHIFT);
		other->bytes = NULL;
		return;
	}
	first = frame_alloc_run(count, 1);
	if (pfn_is_none(first))
		return;
	other->bytes = frame_bytes(first);
	other->usable = count << FRAME_SHIFT;
	check_apart(other);
	fill(other);
}

/* ---- mistakes ---------------------------------------------------------------------------- */

static const struct block *block_around(const unsigned char *pointer)
{
	for (unsigned i = 0; i < BLOCKS; i++)
		if (model.block[i].bytes && pointer - model.block[i].bytes >= 0 &&
		    (size_t)(pointer - model.block[i].bytes) < model.block[i].usable)
			return &model.block[i];
	return NULL;
}

static void call_with(unsigned char *pointer, unsigned how)
{
	switch (how % 4) {
	case 0:
		EXPECT_PANIC((void)!krealloc(pointer, 1 + how), "krealloc");
		break;
	case 1:
		EXPECT_PANIC((void)!krealloc(pointer, 0), "krealloc");
		break;
	case 2:
		EXPECT_PANIC((void)kmalloc_usable_size(pointer), "kmalloc_usable_size");
		break;
	default:
		EXPECT_PANIC(kfree(pointer), "kfree");
	}
}

/* A pointer into all that there is, or near a block; freed where it is no block's start. */
static void mistake(void)
{
	const struct block *near = &model.block[choose(BLOCKS + OTHERS)], *around;
	unsigned how = choose(256), offset = choose(65536);
	unsigned char *pointer = (unsigned char *)host_memory + (size_t)offset * 8;
	char text[32];

	if (how & 4 && near->bytes)
		pointer = near->bytes + (how & 8 ? offset % near->usable : (size_t)(offset & 64));
	around = block_around(pointer);
	if (around && around->bytes == pointer)
		return;
	call_with(pointer, how);
	snprintf(text, sizeof(text), "%p", (void *)pointer);
	CHECK(unit_message_has(text));
	/* Of a block with separate frames, only the first frame is known to be the heap's. */
	if (around && pointer - around->bytes < (ptrdiff_t)FRAME_SIZE)
		CHECK(unit_message_has("interior pointer"));
	else if (!around) /* of frames that the heap does not have it says whose they are */
		CHECK(unit_message_has("freed twice") || unit_message_has("mismatched"));
	kheap_validate();
}

/* ---- the target -------------------------------------------------------------------------- */

static void start_front(uint64_t first, uint64_t frames)
{
	size_t bytes = kheap_front_bytes(frames);

	model.front_memory = aligned_alloc(PORT_CACHE_LINE, bytes);
	kheap_front_start(model.front_memory, first, frames);
}

static void start(void)
{
	unsigned shape = fuzz_byte(&model.input);
	struct host_machine machine = {.cpus = 1 + shape % 2, .capacity = shape & 2 ? 192 : 0};
	uint64_t count = 8 + choose(shape & 4 ? 600 : 60);
	struct host_range range[2] = {{0x80200 + choose(64), count, 0}};

	range[1] = (struct host_range){range[0].first + count + choose(600), count, 1};
	host_machine_start(&machine, range, 1 + (shape >> 3 & 1));
	model.lock_memory = aligned_alloc(64, spin_bytes(machine.cpus));
	kheap_init(SPIN_CAS, model.lock_memory);
	if (shape & 16)
		start_front(range[0].first, range[shape >> 3 & 1].first + count - range[0].first);
	model.frames_at_start = frame_free_count();
}

static void finish(void)
{
	check_everything();
	for (unsigned i = 0; i < BLOCKS; i++)
		if (model.block[i].bytes)
			free_block(&model.block[i]);
	for (unsigned i = BLOCKS; i < BLOCKS + OTHERS; i++)
		if (model.block[i].bytes) {
			check_block(&model.block[i]);
			frame_free_run(pfn(port_phys_address(model.block[i].bytes) >> FRAME_SHIFT),
				       model.block[i].usable >> FRAME_SHIFT);
		}
	kheap_trim();
	kheap_validate();
	CHECK_EQ(stats_now().frames_held, 0);
	frame_validate();
	CHECK_EQ(frame_free_count(), model.frames_at_start);
	host_machine_end();
	free(model.lock_memory);
	free(model.front_memory);
}

static void operate(void)
{
	switch (fuzz_byte(&model.input) % 16) {
	case 0:
		operate_on_other();
		break;
	case 1:
		mistake();
		break;
	case 2:
		kheap_trim();
		break;
	case 3:
		host_self = &host_cpus[fuzz_byte(&model.input) % host_cpu_count];
		break;
	case 4:
		check_everything();
		break;
	default:
		operate_on_block();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&model, 0, sizeof(model));
	model.input = (struct fuzz_input){data, data + size};
	start();
	while (!fuzz_is_over(&model.input)) {
		operate();
		check_books();
	}
	finish();
	return 0;
}
