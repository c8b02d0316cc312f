/* SPDX-License-Identifier: BSD-2-Clause */
/* heap_traces.c - see heap_traces.h. */
#include "heap_traces.h"

#include <pthread.h>
#include <string.h>

#include <port.h>

#include "tests/smp/random.h"

/* Requests in a table, a power of two. After the last one a trace begins again with the first. */
#define TABLE 16384

static uint16_t size_below_2k[TABLE], size_larson[TABLE], size_xmalloc[TABLE];
static uint16_t of_live[TABLE], of_lot[TABLE];
static unsigned threads;

/* ---- blocks ------------------------------------------------------------------------------- */

static inline void *take(const struct heap_calls *heap, size_t size)
{
	void **block = heap->allocate(size);

	if (__builtin_expect(!block, 0))
		heap_traces_fail("the heap has no memory");
	*block = block;
	return block;
}

static inline void give(const struct heap_calls *heap, void *block)
{
	if (__builtin_expect(*(void **)block != block, 0))
		heap_traces_fail("a block has two owners, or was overwritten");
	heap->release(block);
}

/* ---- turns of threads ---------------------------------------------------------------------- */

/*
 * Turn n is of thread n mod threads. Whoever waits for its turn sleeps. A thread that has nothing
 * left to do waits for the last turn, so that all end together.
 */
static struct {
	bool used;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint64_t now;
} turns = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void turn_wait(uint64_t turn)
{
	if (!turns.used)
		return;
	pthread_mutex_lock(&turns.lock);
	while (turns.now < turn)
		pthread_cond_wait(&turns.changed, &turns.lock);
	pthread_mutex_unlock(&turns.lock);
}

static void turn_end(void)
{
	if (!turns.used)
		return;
	pthread_mutex_lock(&turns.lock);
	turns.now++;
	pthread_cond_broadcast(&turns.changed);
	pthread_mutex_unlock(&turns.lock);
}

/* ---- pair: one block of 64 bytes ------------------------------------------------------------- */

static void pair_section(const struct heap_calls *heap, uint64_t operations)
{
	for (uint64_t i = 0; i < operations; i++)
		give(heap, take(heap, 64));
}

/* ---- sizes: random sizes, 1,000 live blocks -------------------------------------------------- */

#define LIVE 1000

static void *live[LIVE];

static void sizes_begin(const struct heap_calls *heap)
{
	for (unsigned i = 0; i < LIVE; i++)
		live[i] = take(heap, size_below_2k[i]);
}

static void sizes_section(const struct heap_calls *heap, uint64_t operations)
{
	for (uint64_t i = 0; i < operations; i++) {
		void **slot = &live[of_live[i % TABLE]];

		give(heap, *slot);
		*slot = take(heap, size_below_2k[i % TABLE]);
	}
}

static void sizes_end(const struct heap_calls *heap)
{
	for (unsigned i = 0; i < LIVE; i++)
		give(heap, live[i]);
}

/* ---- realloc: blocks that grow in turn --------------------------------------------------------- */

#define GROWING	  4
#define GROW_FROM 16
#define GROW_TO	  65536

/* As a string or an array grows that is extended by an eighth, at least by 16 bytes. */
static size_t grown(size_t size)
{
	return size + (size / 8 > 16 ? size / 8 : 16);
}

static uint64_t realloc_steps(void)
{
	uint64_t steps = 0;

	for (size_t size = GROW_FROM; grown(size) <= GROW_TO; size = grown(size))
		steps += GROWING;
	return steps;
}

static void realloc_grow(const struct heap_calls *heap)
{
	char *block[GROWING], *first[GROWING];

	for (unsigned i = 0; i < GROWING; i++)
		block[i] = first[i] = take(heap, GROW_FROM);
	for (size_t size = grown(GROW_FROM); size <= GROW_TO; size = grown(size)) {
		for (unsigned i = 0; i < GROWING; i++) {
			block[i] = heap->resize(block[i], size);
			if (!block[i])
				heap_traces_fail("the heap has no memory for a larger block");
			block[i][size - 1] = 1;
			if (*(char **)block[i] != first[i])
				heap_traces_fail("a block has lost its contents");
		}
	}
	for (unsigned i = 0; i < GROWING; i++)
		heap->release(block[i]);
}

static void realloc_section(const struct heap_calls *heap, uint64_t operations)
{
	for (uint64_t done = 0; done < operations; done += realloc_steps())
		realloc_grow(heap);
}

/* ---- larson: blocks that another thread inherits ----------------------------------------------- */

#define LOT	     512
#define LARSON_ROUND 2048

/*
 * Larson and Krishnan, Memory allocation for long-running server applications, ISMM 1998. In round
 * r thread t works on lot (t + r) mod threads, which thread t + 1 had in round r - 1.
 */
static struct lot {
	_Alignas(128) uint64_t round;
	void *block[LOT];
} lots[HEAP_THREADS_MAX];

static void larson_begin(const struct heap_calls *heap)
{
	for (unsigned lot = 0; lot < threads; lot++) {
		lots[lot].round = 0;
		for (unsigned i = 0; i < LOT; i++)
			lots[lot].block[i] = take(heap, size_larson[lot * LOT + i]);
	}
}

static void larson_end(const struct heap_calls *heap)
{
	for (unsigned lot = 0; lot < threads; lot++)
		for (unsigned i = 0; i < LOT; i++)
			give(heap, lots[lot].block[i]);
}

/* Pairs with the store of the thread that had the lot before. */
static void larson_inherit(const struct lot *lot, uint64_t round)
{
	while (__atomic_load_n(&lot->round, __ATOMIC_ACQUIRE) != round)
		port_relax();
}

static void larson_work(const struct heap_calls *heap, unsigned thread, uint64_t operations)
{
	uint64_t rounds = operations / LARSON_ROUND;

	for (uint64_t round = 0; round < rounds; round++) {
		struct lot *lot = &lots[(thread + round) % threads];
		uint64_t first = (round * threads + thread) * 977;

		turn_wait(round * threads + thread);
		larson_inherit(lot, round);
		for (uint64_t i = first; i < first + LARSON_ROUND; i++) {
			void **slot = &lot->block[of_lot[i % TABLE]];

			give(heap, *slot);
			*slot = take(heap, size_larson[i % TABLE]);
		}
		__atomic_store_n(&lot->round, round + 1, __ATOMIC_RELEASE);
		turn_end();
	}
	turn_wait(rounds * threads);
}

/* ---- xmalloc: one thread allocates, its neighbour frees ---------------------------------------- */

#define MESSAGE	 64 /* blocks */
#define MESSAGES 16 /* in a ring */

/* Lever and Boreham, malloc() performance in a multithreaded Linux environment, USENIX 2000. */
static struct ring {
	_Alignas(128) uint64_t put;   /* the producer's */
	_Alignas(128) uint64_t taken; /* the consumer's */
	_Alignas(128) void *block[MESSAGES][MESSAGE];
} rings[HEAP_THREADS_MAX / 2];

static void xmalloc_begin(const struct heap_calls *heap)
{
	(void)heap;
	memset(rings, 0, sizeof(rings));
}

/* Pairs with the other side's store, which says that it is done with the message. */
static void wait_until_below(const uint64_t *count, uint64_t bound)
{
	while (__atomic_load_n(count, __ATOMIC_ACQUIRE) < bound)
		port_relax();
}

static void xmalloc_put(const struct heap_calls *heap, struct ring *ring, uint64_t message)
{
	if (message >= MESSAGES)
		wait_until_below(&ring->taken, message - MESSAGES + 1);
	for (unsigned i = 0; i < MESSAGE; i++)
		ring->block[message % MESSAGES][i] = take(
			heap, size_xmalloc[(message * MESSAGE + i) % TABLE]);
	__atomic_store_n(&ring->put, message + 1, __ATOMIC_RELEASE);
}

static void xmalloc_take(const struct heap_calls *heap, struct ring *ring, uint64_t message)
{
	wait_until_below(&ring->put, message + 1);
	for (unsigned i = 0; i < MESSAGE; i++)
		give(heap, ring->block[message % MESSAGES][i]);
	__atomic_store_n(&ring->taken, message + 1, __ATOMIC_RELEASE);
}

/* In turns, a turn is as many messages as a ring holds. */
static void xmalloc_work(const struct heap_calls *heap, unsigned thread, uint64_t operations)
{
	uint64_t messages = operations / MESSAGE, rounds = messages / MESSAGES;
	struct ring *ring = &rings[thread / 2];

	for (uint64_t round = 0; round < rounds; round++) {
		turn_wait(round * threads + thread);
		for (unsigned i = 0; i < MESSAGES; i++)
			(thread % 2 ? xmalloc_take : xmalloc_put)(heap, ring, round * MESSAGES + i);
		turn_end();
	}
	turn_wait(rounds * threads);
}

/* ---- memory: how much a heap takes for the blocks that it gives ----------------------------------- */

#define FILL_MIN 16
#define FILL_MAX 3000
#define PAGE	 4096

static struct filled {
	void *block;
	uint32_t size;
} filled[1 << 17];
static unsigned filled_count;
static uint64_t fill_random;

/* Writes to each page of it, so that the system has to give them all. */
static uint32_t fill_one(const struct heap_calls *heap, struct filled *block)
{
	block->size = FILL_MIN + (uint32_t)random_below(&fill_random, FILL_MAX - FILL_MIN + 1);
	block->block = take(heap, block->size);
	for (uint32_t at = sizeof(void *); at < block->size; at += PAGE)
		((char *)block->block)[at] = 1;
	((char *)block->block)[block->size - 1] = 1;
	return block->size;
}

uint64_t heap_fill(const struct heap_calls *heap, uint64_t bytes)
{
	uint64_t asked = 0;

	fill_random = 0x6865617073;
	filled_count = 0;
	while (asked < bytes && filled_count < sizeof(filled) / sizeof(filled[0]))
		asked += fill_one(heap, &filled[filled_count++]);
	return asked;
}

uint64_t heap_refill(const struct heap_calls *heap, unsigned times)
{
	uint64_t asked = 0;

	for (uint64_t i = 0; i < (uint64_t)filled_count * times; i++) {
		struct filled *block = &filled[random_below(&fill_random, filled_count)];

		give(heap, block->block);
		fill_one(heap, block);
	}
	for (unsigned i = 0; i < filled_count; i++)
		asked += filled[i].size;
	return asked;
}

/* ---- the table ---------------------------------------------------------------------------------- */

const struct heap_trace heap_traces[] = {
	{.name = "pair", .section = pair_section},
	{.name = "sizes", .section = sizes_section, .begin = sizes_begin, .end = sizes_end},
	{.name = "larson",
	 .is_parallel = true,
	 .work = larson_work,
	 .begin = larson_begin,
	 .end = larson_end},
	{.name = "xmalloc", .is_parallel = true, .work = xmalloc_work, .begin = xmalloc_begin},
	{.name = "realloc", .section = realloc_section},
};

const unsigned heap_trace_count = sizeof(heap_traces) / sizeof(heap_traces[0]);

uint64_t heap_trace_step(const struct heap_trace *trace)
{
	if (trace->work == larson_work)
		return LARSON_ROUND;
	if (trace->work == xmalloc_work)
		return MESSAGE * MESSAGES;
	return trace->section == realloc_section ? realloc_steps() : 1;
}

/* As many sizes between 2^k and 2^(k+1) for each k; 8 to 2,047 bytes. */
static uint16_t random_size_below_2k(uint64_t *random)
{
	uint64_t smallest = UINT64_C(8) << random_below(random, 8);

	return (uint16_t)(smallest + random_below(random, smallest));
}

void heap_traces_prepare(unsigned its_threads, bool in_turns)
{
	uint64_t random = 0x68617274;

	threads = its_threads;
	turns.used = in_turns;
	turns.now = 0;
	memset(filled, 0, sizeof(filled)); /* resident from now on */
	for (unsigned i = 0; i < TABLE; i++) {
		size_below_2k[i] = random_size_below_2k(&random);
		size_larson[i] = (uint16_t)(8 + random_below(&random, 993));
		size_xmalloc[i] = (uint16_t)(8 + random_below(&random, 505));
		of_live[i] = (uint16_t)random_below(&random, LIVE);
		of_lot[i] = (uint16_t)random_below(&random, LOT);
	}
}
