/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 */
/*
 * test_trace_heap.c - whether the events of the heap agree with what the heap counts, and whether none is
 * noted under the heap's lock.
 *
 * Covers: mm/heap/front.c mm/heap/arena.c mm/heap/kmalloc.c
 */
#include "heap_machine.h"
#include "sync/trace.h"

static struct {
	uint64_t events, sum; /* sum: of the first arguments */
} heard[TRACE_EVENTS];
static uint64_t last_b;
static bool under_lock;

static void hear(unsigned event, uint64_t begun, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	(void)begun;
	(void)c;
	(void)d;
	heard[event].events++;
	heard[event].sum += a;
	last_b = b;
	under_lock |= spin_locked_relaxed(kheap_lock());
}

static void listen(size_t bytes, unsigned cpus)
{
	start(bytes, cpus);
	memset(heard, 0, sizeof(heard));
	under_lock = false;
	host_trace = hear;
}

static void finish_listening(void)
{
	struct kheap_stats stats;

	become(0);
	kheap_trim();
	host_trace = NULL;
	stats = stats_now();
	CHECK_EQ(heard[TRACE_ARENA_TAKE].events, stats.arenas_taken);
	CHECK_EQ(heard[TRACE_ARENA_GIVE].events, stats.arenas_given);
	CHECK_EQ(heard[TRACE_ARENA_TAKE].sum, heard[TRACE_ARENA_GIVE].sum);
	CHECK(!under_lock);
	finish();
}

#define BLOCKS 2000

static void *blocks[BLOCKS];

TEST(batches_of_blocks_are_noted)
{
	uint64_t refilled, flushed;

	listen(4 * MIB, 1);
	for (unsigned i = 0; i < BLOCKS; i++) {
		blocks[i] = kmalloc(64);
		CHECK(blocks[i]);
	}
	refilled = heard[TRACE_HEAP_REFILL].sum;
	CHECK(heard[TRACE_HEAP_REFILL].events > 10);
	CHECK_EQ(refilled, BLOCKS + stats_now().cached_blocks);
	for (unsigned i = 0; i < BLOCKS; i++)
		kfree(blocks[i]);
	flushed = heard[TRACE_HEAP_FLUSH].sum;
	CHECK(heard[TRACE_HEAP_FLUSH].events > 10);
	CHECK_EQ(last_b, 64);
	CHECK_EQ(flushed, refilled - stats_now().cached_blocks);
	finish_listening();
}

TEST(arenas_are_noted_where_they_come_and_go)
{
	listen(4 * MIB, 2);
	for (unsigned i = 0; i < 200; i++) {
		blocks[i] = kmalloc(8 * KIB);
		CHECK(blocks[i]);
	}
	CHECK(heard[TRACE_ARENA_TAKE].events > 5);
	become(1);
	for (unsigned i = 0; i < 200; i++)
		kfree(blocks[i]);
	CHECK(heard[TRACE_ARENA_GIVE].events > 4);
	finish_listening();
}

TEST(a_search_of_the_heap_is_noted)
{
	unsigned count = 0;

	listen(1 * MIB, 1);
	while (count < BLOCKS && (blocks[count] = kmalloc(4080)))
		count++;
	CHECK(count > 100 && count < BLOCKS);
	CHECK_EQ(heard[TRACE_HEAP_SEARCH].events, 1);
	CHECK_EQ(heard[TRACE_HEAP_SEARCH].sum, 4080);
	CHECK_EQ(last_b, 0); /* it found nothing */
	while (count)
		kfree(blocks[--count]);
	finish_listening();
}
