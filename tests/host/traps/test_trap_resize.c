/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: traps */
/*
 * test_trap_resize.c - stops krealloc, allocations with an alignment or with flags, frees that say the
 * size, and the reserve at every point, and lets a trap handler, or another CPU, allocate and free blocks
 * there. How: tests/host/traps/heap_points.h.
 *
 * The bytes of a block that is resized count upwards, so a byte that another owner has written, or that
 * was not copied, is found.
 *
 * Covers: mm/heap/resize.c mm/heap/kmalloc.c mm/heap/kmalloc_frames.c mm/heap/reserve.c mm/heap/span.c mm/frame.c
 */
#include "tests/host/traps/heap_points.h"

#include "mm/heap/reserve.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define OTHER_SIZE 300	/* of another class */
#define BUDDY_SIZE 8000 /* of a block behind the slabs */
#define RUN_SIZE   (5 * FRAME_SIZE)
#define RESERVED   5

static uint64_t *block; /* that is resized */

static void count_up(size_t size)
{
	for (size_t i = 0; i < size / 8; i++)
		block[i] = i;
}

static void check_counts(size_t size)
{
	for (size_t i = 0; i < size / 8; i++)
		HOLD(block[i] == i);
}

static void make_block(size_t size)
{
	block = kmalloc_called(size);
	HOLD(block);
	count_up(size);
}

static void ready_block(void)
{
	ready_some();
	make_block(SIZE);
}

static void ready_run(void)
{
	ready_some();
	make_block(RUN_SIZE);
}

static void ready_block_and_nothing(void)
{
	make_block(SIZE);
	ready_nothing();
}

static void ready_larger_and_nothing(void)
{
	make_block(2000);
	ready_nothing();
}

static void ready_buddy_and_nothing(void)
{
	make_block(BUDDY_SIZE);
	ready_nothing();
}

/* A smaller size never fails. Where there is no memory, a larger one changes nothing. */
static void resize(size_t before, size_t after)
{
	uint64_t *resized = krealloc(block, after);

	HOLD(resized || after > before);
	if (resized)
		block = resized;
	check_counts(before < after ? before : after);
	kfree_sized(block, resized ? after : before);
}

static void do_grow(void)
{
	resize(SIZE, OTHER_SIZE);
}

static void do_shrink_slab(void)
{
	resize(2000, SIZE);
}

static void do_shrink_buddy(void)
{
	resize(BUDDY_SIZE, SIZE);
}

static void do_shrink_run(void)
{
	resize(RUN_SIZE, 2 * FRAME_SIZE);
}

static void do_nothing_left(void)
{
	HOLD(!krealloc(block, 0));
}

static void do_aligned(void)
{
	uint64_t *aligned = kmalloc_aligned(SIZE, 128),
		 *large = kmalloc_aligned(4000, 2 * FRAME_SIZE);

	HOLD(port_phys_address(aligned) % 128 == 0 &&
	     port_phys_address(large) % (2 * FRAME_SIZE) == 0);
	kfree_aligned_sized(aligned, SIZE, 128);
	kfree_aligned_sized(large, 4000, 2 * FRAME_SIZE);
}

/* It waits for no CPU, so it may fail; then it has taken nothing. */
static void do_nowait(void)
{
	uint64_t *zeroed = kmalloc_flags(SIZE, 1, FRAME_NOWAIT | FRAME_ZERO);

	if (!zeroed)
		return;
	for (unsigned i = 0; i < SIZE / 8; i++)
		HOLD(zeroed[i] == 0);
	pile_add(&mine, zeroed);
}

/* All blocks or none; a block that is reserved is there, and belongs to no other owner. */
static void do_reserve(void)
{
	struct kmalloc_reserve reserve = {0};

	if (kmalloc_reserve(&reserve, RESERVED, SIZE)) {
		HOLD(reserve.count == RESERVED);
		for (unsigned i = 0; i < RESERVED - 1; i++)
			pile_add(&mine, kmalloc_reserved(&reserve));
	} else {
		HOLD(reserve.count == 0);
	}
	kmalloc_reserve_end(&reserve);
}

static const struct heap_operation operations[] = {
	{"grow", ready_block, do_grow},
	{"grow-nothing", ready_block_and_nothing, do_grow},
	{"shrink-slab-nothing", ready_larger_and_nothing, do_shrink_slab},
	{"shrink-buddy-nothing", ready_buddy_and_nothing, do_shrink_buddy},
	{"shrink-run", ready_run, do_shrink_run},
	{"to-nothing", ready_block, do_nothing_left},
	{"aligned", ready_some, do_aligned},
	{"nowait", ready_some, do_nowait},
	{"nowait-nothing", ready_nothing, do_nowait},
	{"reserve", ready_some, do_reserve},
	{"reserve-nothing", ready_nothing, do_reserve},
};

TEST(a_trap_or_another_cpu_at_every_point_of_krealloc_and_the_reserve)
{
	heap_points_run(operations, LENGTH(operations));
}
