/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: traps */
/*
 * test_trap_heap.c - stops kmalloc and kfree at every point, and lets a trap handler, or another CPU,
 * allocate and free blocks of the same class there. How: tests/host/traps/heap_points.h.
 *
 * Covers: mm/heap/front.c mm/heap/front.h mm/heap/kmalloc.c mm/heap/kmalloc_hit.c mm/percpu/stack.h
 * Covers: mm/heap/slab.c
 */
#include "tests/host/traps/heap_points.h"

#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static void ready_empty(void)
{
	ready_some();
	while (size_level())
		pile_take(&mine);
}

/*
 * The stack is empty, and the slabs have less than a batch: so a slab is added. A trap that has come
 * before that may have filled the stack.
 */
static void ready_no_batch(void)
{
	unsigned class = kheap_class_of(SIZE);

	ready_empty();
	while (size_level() ||
	       slab_free_blocks(&kheap.class[class]) >= kheap_front_self()->capacity[class] / 2u)
		pile_take(&mine);
}

static void ready_full(void)
{
	for (unsigned i = 0; i < 120; i++)
		HOLD(pile_take(i % 3 ? &mine : &kept));
	while (size_stack()->top != size_stack()->limit)
		pile_give(&mine);
}

static void ready_closed(void)
{
	ready_some();
	kheap_front_flush();
}

static void do_take(void)
{
	pile_take(&mine);
}

static void do_give(void)
{
	pile_give(&mine);
}

static void do_zeroed(void)
{
	uint64_t *block = kcalloc(SIZE / 8, 8);

	if (!block)
		return;
	for (unsigned i = 0; i < SIZE / 8; i++)
		HOLD(block[i] == 0);
	pile_add(&mine, block);
}

static const struct heap_operation operations[] = {
	{"take-hit", ready_some, do_take},	    {"take-refill", ready_empty, do_take},
	{"take-add-slab", ready_no_batch, do_take}, {"take-closed", ready_closed, do_take},
	{"take-nothing", ready_nothing, do_take},   {"give-hit", ready_some, do_give},
	{"give-overflow", ready_full, do_give},	    {"give-closed", ready_closed, do_give},
	{"give-nothing", ready_nothing, do_give},   {"zeroed", ready_some, do_zeroed},
};

TEST(a_trap_or_another_cpu_at_every_point_of_kmalloc_and_kfree)
{
	heap_points_run(operations, LENGTH(operations));
}
