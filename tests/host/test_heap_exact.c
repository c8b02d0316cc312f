/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_heap_exact.c - which free memory serves a request when memory is short, what a failed request
 * costs the other CPUs, and how much free memory other CPUs' stacks may hold.
 *
 * All memory is allocated first, to the last block of 16 bytes. tests/host/traps/test_traps_heap.c has
 * the interleavings.
 *
 * Covers: mm/heap/kmalloc.c mm/heap/front.c mm/heap/slab.c mm/heap/arena.c
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

#define BLOCKS_MAX 65536
#define CPUS_MAX   4

static void *block[BLOCKS_MAX];
static unsigned blocks;

/* Frees all blocks. */
static void empty(void)
{
	become(0);
	while (blocks)
		kfree(block[--blocks]);
	finish();
}

static void take_all(size_t size, unsigned most)
{
	void *new;

	while (most-- && (new = kmalloc_called(size)) != NULL) {
		CHECK(blocks < BLOCKS_MAX);
		block[blocks++] = new;
	}
}

static void take_rest(void)
{
	for (size_t size = 4096; size >= 16; size /= 2)
		take_all(size, UINT32_MAX);
	CHECK(!kmalloc_called(1) && pfn_is_none(frame_alloc(FRAME_ANY)));
}

/* Frees a block of a slab of the class. */
static void free_one(size_t size)
{
	struct found found = {.slab = NULL};

	for (unsigned i = 0; i < blocks; i++)
		if (slab_find(port_phys_address(block[i]), &found) && found.bytes == size) {
			kfree(block[i]);
			block[i] = block[--blocks];
			return;
		}
	CHECK(!"a block of the class");
}

static void park(unsigned cpu)
{
	become(cpu);
	while (frame_cache_park_step(frame_cache_self()))
		;
}

/* ---- larger blocks ------------------------------------------------------------------------------- */

static bool serves(size_t free_size, size_t size, size_t align)
{
	void *new = kmalloc_aligned(size, align);

	if (!new)
		return false;
	CHECK_EQ(kmalloc_usable_size(new), free_size);
	CHECK_EQ(port_phys_address(new) % align, 0);
	CHECK((size & (size - 1)) != 0 || port_phys_address(new) % size == 0);
	memset(new, 0x5a, free_size);
	kfree(new);
	return true;
}

/* A free block serves all sizes up to its own, and alignments that all blocks of its class have. */
static void check_class(size_t size)
{
	start(1024 * KIB, 2);
	take_all(size < KHEAP_SIZE_MAX ? size : KHEAP_SIZE_MAX, 1);
	take_rest();
	become(1);
	free_one(size);
	become(0);
	for (size_t asked = 1; asked <= size; asked += asked < 32 ? 1 : asked / 16) {
		bool power = (asked & (asked - 1)) == 0;

		CHECK_EQ(serves(size, asked, 1), !power || size % asked == 0);
	}
	for (size_t align = 1; align <= 8192; align *= 2)
		CHECK_EQ(serves(size, 1, align), size % align == 0);
	CHECK(serves(size, size, 1));
	CHECK(!kmalloc_called(size + 1));
	empty();
}

TEST(a_free_block_serves_all_smaller_sizes)
{
	check_class(48);
	check_class(80);
	check_class(128);
	check_class(208);
	check_class(512);
	check_class(1152);
	check_class(4096);
}

/* With FRAME_NOWAIT too, if the block is in a slab. */
TEST(a_larger_block_serves_where_no_cpu_may_be_asked)
{
	uint64_t calls;
	void *new;

	start(1024 * KIB, 2);
	take_all(512, 1);
	take_rest();
	become(1);
	free_one(512);
	become(0);
	calls = host_ipi_calls;
	CHECK(!kmalloc_flags(40, 1, FRAME_NOWAIT));
	park(1);
	become(0);
	new = kmalloc_flags(40, 1, FRAME_NOWAIT);
	CHECK(new);
	CHECK_EQ(host_ipi_calls, calls);
	kfree(new);
	empty();
}

/* ---- what a failure costs others ------------------------------------------------------------------ */

static uint64_t requests(void)
{
	return ((struct frame_cache *)port_area())->stats.drains;
}

/* A request that found nothing is not repeated until memory has been freed. */
TEST(a_failed_request_is_not_repeated)
{
	uint64_t before, calls;

	start(1024 * KIB, 2);
	take_all(512, 1);
	take_rest();
	CHECK(!kmalloc_called(100));
	before = requests();
	calls = host_ipi_calls;
	for (size_t size = 1; size <= 4096; size += size)
		CHECK(!kmalloc_called(size));
	CHECK_EQ(requests(), before);
	CHECK_EQ(host_ipi_calls, calls);
	become(1);
	free_one(512);
	become(0);
	block[blocks++] = kmalloc_called(100);
	CHECK(block[blocks - 1]);
	CHECK(requests() == before + 1);
	empty();
}

/* ---- at once --------------------------------------------------------------------------------------- */

static size_t size_now;
static unsigned failures;

/* A cpu that frees a block gets one, for every other cpu that takes one has freed one, too. */
static void exchange(void *argument)
{
	unsigned share = *(const unsigned *)argument, first = port_cpu() * share;

	for (unsigned i = 0; i < 3000; i++) {
		void **mine = &block[first + i * 7 % share];

		kfree(*mine);
		if (i % 64 == 0)
			frame_drain_ask();
		*mine = kmalloc_called(size_now);
		if (!*mine) {
			__atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
			return;
		}
	}
}

static void check_exchange(size_t size)
{
	unsigned share;

	size_now = size;
	failures = 0;
	start(1024 * KIB, CPUS_MAX);
	take_all(size, UINT32_MAX);
	share = blocks / CPUS_MAX < 50 ? blocks / CPUS_MAX : 50;
	host_run(exchange, &share);
	CHECK_EQ(failures, 0);
	frame_drain_settle();
	kheap_validate();
	for (unsigned i = 0; i < blocks; i++)
		CHECK(block[i]);
	empty();
}

/*
 * Not for blocks of whole frames: an arena that a cpu makes for one has a frame of metadata, which may be
 * the frame that another cpu has freed. No memory is free then.
 */
CONCURRENT_TEST(a_cpu_that_frees_a_block_gets_one)
{
	check_exchange(48);
	check_exchange(256);
	check_exchange(1000);
	check_exchange(4080);
}
