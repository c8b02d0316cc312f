/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_heap.c - kmalloc on the weak-memory explorer: NULL only if at some instant of the call no
 * memory for the block was free anywhere.
 *
 * All memory of a small machine is allocated, but for one block that CPU 2 has freed: in a slab, on its
 * stack, in an arena, or as a frame. CPU 0 allocates. CPU 1 has a block, frees it into another of these
 * places, and then allocates one. So memory for one block is free all the time, and CPU 0 must find it.
 *
 * Covers: mm/heap/kmalloc.c mm/heap/front.c mm/heap/slab.c mm/heap/arena.c mm/heap/kmalloc_private.h
 */
#include <port.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/kmalloc_private.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/machine.h"
#include "tests/host/weak/weak.h"

#define CPUS	   3
#define FRAMES	   40
#define FIRST	   0x80200
#define BLOCKS_MAX 16384
#define SIZE	   256 /* of the blocks that move */

static void *lock_memory, *front_memory;

static void end(void)
{
	if (host_cpus)
		host_machine_end();
	free(lock_memory);
	free(front_memory);
	lock_memory = front_memory = NULL;
}

static void start(void)
{
	struct host_machine machine = {.lock = SPIN_FAS, .cpus = CPUS, .capacity = 8, .batch = 2};
	struct host_range range = {FIRST, FRAMES, 0};

	end();
	host_machine_start(&machine, &range, 1);
	lock_memory = aligned_alloc(PORT_CACHE_LINE, spin_bytes(CPUS));
	front_memory = aligned_alloc(PORT_CACHE_LINE, kheap_front_bytes(FRAMES));
	kheap_init(SPIN_FAS, lock_memory);
	kheap_front_start(front_memory, FIRST, zones.zone[0].total_frames);
	machine_reset_flag();
}

static void on_ipi(unsigned cpu)
{
	machine_take_ipi(cpu);
	while (frame_drain_answer())
		;
}

/* ---- the blocks, at rest ---------------------------------------------------------------------- */

enum kind { SLAB, ARENA, RUN };

static unsigned blocks;
static void *block[BLOCKS_MAX];

static enum kind kind_of(const void *at)
{
	struct found found = {.slab = NULL};

	if (slab_find(port_phys_address(at), &found))
		return SLAB;
	found = kheap_find_locked(at);
	return found.arena ? ARENA : RUN;
}

static void take_all(size_t size, unsigned most)
{
	void *new;

	while (most-- && blocks < BLOCKS_MAX && (new = kmalloc_called(size)) != NULL)
		block[blocks++] = new;
}

/* Slabs of two classes, whole frames, and blocks of an arena: all allocated, to the last one. */
static void allocate_all(void)
{
	blocks = 0;
	take_all(512, 1);
	take_all(SIZE, 1);
	take_all(4096, 12);
	for (size_t size = 4096; size >= 16; size /= 2)
		take_all(size, UINT32_MAX);
}

static void *pick(enum kind kind, size_t size)
{
	for (unsigned i = blocks; i-- > 0;) {
		void *at = block[i];

		if (!at || kind_of(at) != kind || kmalloc_usable_size(at) != size)
			continue;
		block[i] = NULL;
		return at;
	}
	weak_fail("no block of kind %d and %zu bytes", (int)kind, size);
}

enum place { IN_SLAB, IN_LARGER_SLAB, ON_STACK, IN_ARENA, IN_ZONE, IN_CACHE };

static void *pick_for(enum place place)
{
	switch (place) {
	case IN_SLAB:
	case ON_STACK:
		return pick(SLAB, SIZE);
	case IN_LARGER_SLAB:
		return pick(SLAB, 512);
	case IN_ARENA:
		return pick(ARENA, FRAME_SIZE);
	default:
		return pick(RUN, FRAME_SIZE);
	}
}

/* By the CPU that owns it: frees the block so that it ends in that place. */
static void free_into(enum place place, void *at)
{
	bool parked = place == IN_SLAB || place == IN_LARGER_SLAB || place == IN_ZONE;

	kfree(at);
	while (parked && frame_cache_park_step(frame_cache_self()))
		;
}

/* ---- the workload ----------------------------------------------------------------------------- */

static enum place from, to;
static void *moving; /* CPU 1's */

static void park_all(void)
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		host_self = &host_cpus[cpu];
		while (frame_cache_park_step(frame_cache_self()))
			;
	}
	host_self = &host_cpus[0];
}

/* At rest no CPU answers: so all are parked where CPU 0 runs out of memory. */
static void setup(void)
{
	void *freed;

	start();
	park_all();
	allocate_all();
	freed = pick_for(from);
	moving = pick_for(to);
	park_all();
	host_self = &host_cpus[2];
	free_into(from, freed);
	host_self = &host_cpus[0];
}

static void allocate_while_it_moves(unsigned cpu)
{
	if (cpu == 2)
		return; /* it only answers */
	if (cpu == 1)
		free_into(to, moving);
	if (!kmalloc_called(SIZE))
		weak_fail("cpu %u finds no block, and at every instant one was free", cpu);
}

static void run(enum place one, enum place other, uint64_t executions)
{
	static const char *const names[] = {"slab", "larger", "stack", "arena", "zone", "cache"};
	char name[60];
	struct weak_workload workload = {.name = name,
					 .cpus = CPUS,
					 .setup = setup,
					 .work = allocate_while_it_moves,
					 .handler = on_ipi,
					 .steps_max = 100000,
					 .some = executions};

	from = one;
	to = other;
	snprintf(name, sizeof(name), "heap-%s-%s", names[from], names[to]);
	weak_explore(&workload);
	end();
}

TEST(memory_that_moves_is_found)
{
	run(IN_SLAB, IN_ZONE, 200);
	run(IN_ZONE, IN_SLAB, 200);
	run(IN_ARENA, IN_SLAB, 200);
	run(IN_LARGER_SLAB, IN_ARENA, 200);
	run(ON_STACK, IN_ZONE, 200);
	run(IN_CACHE, IN_LARGER_SLAB, 200);
}
