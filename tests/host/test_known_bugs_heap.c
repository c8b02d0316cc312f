/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain tsan */
/*
 * test_known_bugs_heap.c - what the bugs of tests/mutants showed that nothing else looked at: which
 * CPU has which node of a queue lock, locks of many cpus, a barrier gone through at full speed,
 * that the heap keeps its lock to itself, and blocks that change size while others take what they
 * leave.
 *
 * Covers: mm/heap/kmalloc.c sync/spinlock.c sync/spin_kinds.c sync/barrier.c
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/segment_tree.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "sync/barrier.h"
#include "sync/ck.h"
#include "sync/spinlock.h"
#include "unit.h"
#include "watch.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

/* ---- a test that stands still ------------------------------------------------------------- */

/* Where the host has not run its cpus at once by then, it will not. */
#define ROUNDS_MAX 100

static uint64_t progress;

static void move_on(void)
{
	__atomic_fetch_add(&progress, 1, __ATOMIC_RELAXED);
}

/* ---- locks -------------------------------------------------------------------------------- */

static struct spinlock lock;
static void *lock_memory;

static void start_lock(enum spin_kind kind, unsigned cpus)
{
	host_memory_start(MIB, cpus);
	lock_memory = malloc(spin_bytes(cpus)); /* no byte more: the sanitizer sees the next */
	spin_init(&lock, "tested", kind, cpus, lock_memory);
}

static void end_lock(void)
{
	host_memory_end();
	free(lock_memory);
}

static void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

/* Each of the nodes is in one place: the queue's tail, or the hand of one cpu. */
static void check_nodes(enum spin_kind kind, unsigned cpus)
{
	const void *nodes[8];

	nodes[0] = kind == SPIN_CLH ? (void *)lock.word.clh : lock.word.hclh.end;
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		nodes[cpu + 1] = kind == SPIN_CLH ? (void *)lock.cpus[cpu].clh
						  : lock.cpus[cpu].hclh;
	for (unsigned i = 0; i <= cpus; i++)
		for (unsigned j = 0; j < i; j++)
			CHECK(nodes[i] != nodes[j]);
}

static void pass_nodes_round(enum spin_kind kind)
{
	for (unsigned cpus = 1; cpus <= 5; cpus++) {
		start_lock(kind, cpus);
		for (unsigned turn = 0; turn < 50; turn++) {
			struct spin_node node;

			become((unsigned)unit_random_below(cpus));
			spin_lock(&lock, &node);
			spin_unlock(&lock, &node);
			check_nodes(kind, cpus);
		}
		become(0);
		end_lock();
	}
}

TEST(no_node_of_a_queue_is_in_two_places)
{
	pass_nodes_round(SPIN_CLH);
	pass_nodes_round(SPIN_HCLH);
}

/* Numbers of cpus around powers of two, and large: slots and nodes lie in the lock's memory. */
TEST(a_lock_of_many_cpus_stays_in_its_memory)
{
	static const unsigned counts[] = {7, 8, 9, 17, 31, 33, 65, 100};

	watch_begin(&progress, "a lock or a barrier");
	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
			start_lock((enum spin_kind)kind, counts[i]);
			for (unsigned turn = 0; turn < 3 * counts[i]; turn++) {
				struct spin_node node;

				become(turn % counts[i]);
				spin_lock(&lock, &node);
				CHECK(!node.contended);
				spin_unlock(&lock, &node);
				move_on();
			}
			become(0);
			end_lock();
		}
	watch_end();
}

/* ---- barriers ----------------------------------------------------------------------------- */

#define BARRIER_ROUNDS 20000

static struct barrier barrier;
static _Alignas(64) unsigned reached[4];
static unsigned early;

/* No work between two rounds: the fastest cpu is at the barrier again while others leave it. */
static void go_rounds(void *argument)
{
	unsigned next = (port_cpu() + 1) % port_cpu_count();

	(void)argument;
	for (unsigned round = 1; round <= BARRIER_ROUNDS; round++) {
		__atomic_store_n(&reached[port_cpu()], round, __ATOMIC_RELAXED);
		barrier_wait(&barrier);
		if (__atomic_load_n(&reached[next], __ATOMIC_RELAXED) < round)
			__atomic_fetch_add(&early, 1, __ATOMIC_RELAXED);
		move_on();
	}
}

CONCURRENT_TEST(a_barrier_gone_through_without_a_pause_loses_nobody)
{
	for (unsigned cpus = 1; cpus <= 3; cpus++) {
		host_memory_start(MIB, cpus);
		memset(reached, 0, sizeof(reached));
		early = 0;
		barrier_init(&barrier, cpus);
		watch_begin(&progress, "a lock or a barrier");
		host_run(go_rounds, NULL);
		watch_end();
		CHECK_EQ(early, 0);
		host_memory_end();
	}
}

/* ---- the heap's lock ---------------------------------------------------------------------- */

static unsigned calls, calls_under_lock;
static bool scribbles; /* on what is given back, as its next owner may at once */

static void look_at_lock(void)
{
	calls++;
	calls_under_lock += spin_locked_relaxed(kheap_lock());
}

static unsigned watched_claim(void *instance, unsigned min, unsigned max,
			      const struct policy_plan *plan, struct frame_word *words,
			      unsigned *taken)
{
	look_at_lock();
	return segment_tree_policy.claim(instance, min, max, plan, words, taken);
}

static void watched_release(void *instance, const struct policy_plan *plan,
			    const struct frame_word *words, unsigned count)
{
	look_at_lock();
	segment_tree_policy.release(instance, plan, words, count);
}

static enum run_result watched_claim_run(void *instance, uint64_t count, uint64_t align,
					 unsigned steps, uint64_t *first)
{
	look_at_lock();
	return segment_tree_policy.claim_run(instance, count, align, steps, first);
}

static void watched_release_run(void *instance, uint64_t first, uint64_t count)
{
	look_at_lock();
	if (scribbles)
		memset(frame_bytes(pfn(first)), 0xdd, count << FRAME_SHIFT);
	segment_tree_policy.release_run(instance, first, count);
}

static struct policy watched_policy(void)
{
	struct policy policy = segment_tree_policy;

	policy.claim = watched_claim;
	policy.release = watched_release;
	policy.claim_run = watched_claim_run;
	policy.release_run = watched_release_run;
	return policy;
}

/*
 * Without caches, so that every frame taken or given reaches the zone. A large block is the first
 * to need the index in one round, a small one in the next.
 */
TEST(no_frame_is_taken_or_given_under_the_heaps_lock)
{
	struct policy policy = watched_policy();
	struct host_machine machine = {.policy = &policy, .cpus = 1};
	struct host_range range = {0x80200, 16 * MIB >> FRAME_SHIFT, 0};
	void *heap_memory = aligned_alloc(64, spin_bytes(1));
	void *block[200];

	host_machine_start(&machine, &range, 1);
	kheap_init(SPIN_CAS, heap_memory);
	calls = calls_under_lock = 0;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 200; i++)
			block[i] = kmalloc(1 +
					   unit_random_below((i + round) % 10 ? 3000 : 200 * KIB));
		for (unsigned i = 0; i < 200; i++)
			kfree(block[i]);
		kheap_trim();
	}
	CHECK(calls > 100);
	CHECK_EQ(calls_under_lock, 0);
	host_machine_end();
	free(heap_memory);
}

TEST(krealloc_gives_nothing_back_before_it_is_copied)
{
	struct policy policy = watched_policy();
	struct host_machine machine = {.policy = &policy, .cpus = 1};
	struct host_range range = {0x80200, 16 * MIB >> FRAME_SHIFT, 0};
	void *heap_memory = aligned_alloc(64, spin_bytes(1));

	host_machine_start(&machine, &range, 1);
	kheap_init(SPIN_CAS, heap_memory);
	for (size_t frames = 5; frames < 200; frames += 6) {
		unsigned char *block = kmalloc(frames * FRAME_SIZE);

		CHECK(block);
		memset(block, 0x5a, frames * FRAME_SIZE);
		scribbles = true;
		block = krealloc(block, 3 * frames * FRAME_SIZE);
		scribbles = false;
		CHECK(block);
		for (size_t i = 0; i < frames * FRAME_SIZE; i++)
			CHECK_EQ(block[i], 0x5a);
		kfree(block);
	}
	host_machine_end();
	free(heap_memory);
}

/* Every call releases the lock exactly as often as it acquires it. */
static void check_lock_is_free(unsigned kind)
{
	if (spin_locked_relaxed(kheap_lock()))
		unit_fail(__FILE__, __LINE__, "the heap's lock, %s, is not free",
			  spin_kind_name((enum spin_kind)kind));
}

static void resize_under(unsigned kind, size_t size)
{
	void *block = kmalloc(size);

	check_lock_is_free(kind);
	block = krealloc(block, size * 3);
	check_lock_is_free(kind);
	CHECK(kmalloc_usable_size(block) >= size * 3);
	check_lock_is_free(kind);
	kfree(block);
	check_lock_is_free(kind);
}

static void free_what_is_none(void)
{
	EXPECT_PANIC(kfree(host_memory + 8), "wild pointer");
}

static void call_all_under(unsigned kind)
{
	struct kheap_stats stats;

	for (size_t size = 16; size < 300 * KIB; size *= 5)
		resize_under(kind, size);
	for (unsigned twice = 0; twice < 2; twice++) {
		kheap_trim();
		check_lock_is_free(kind);
	}
	free_what_is_none();
	check_lock_is_free(kind);
	kheap_stats(&stats);
	check_lock_is_free(kind);
	CHECK_EQ(stats.frames_held, 0);
}

TEST(every_call_leaves_the_heaps_lock_free)
{
	for (unsigned kind = 0; kind < SPIN_KINDS; kind++) {
		void *heap_memory;

		host_memory_start(4 * MIB, 3);
		heap_memory = aligned_alloc(64, spin_bytes(3));
		kheap_init((enum spin_kind)kind, heap_memory);
		for (unsigned round = 0; round < 4; round++) {
			become(round % 3);
			call_all_under(kind);
		}
		become(0);
		host_memory_end();
		free(heap_memory);
	}
}

#define PICTURES 60000

static bool pictures_end;
static unsigned pictures_torn, churned;

/* Cpu 0 reads the statistics while the other allocates and frees blocks of one size. */
static void look_at_books(void *argument)
{
	(void)argument;
	for (unsigned i = 0; port_cpu() == 0 && i < PICTURES; i++) {
		struct kheap_stats stats;

		kheap_stats(&stats);
		pictures_torn += stats.allocated_bytes != 64 * stats.live_blocks;
		pictures_torn += stats.arenas != stats.arenas_taken - stats.arenas_given;
		move_on();
	}
	if (port_cpu() == 0)
		__atomic_store_n(&pictures_end, true, __ATOMIC_RELEASE);
	while (port_cpu() == 1 && !__atomic_load_n(&pictures_end, __ATOMIC_ACQUIRE)) {
		kfree(kmalloc(64));
		churned++;
	}
}

CONCURRENT_TEST(the_heaps_books_are_of_one_moment)
{
	unsigned rounds = 0;
	void *heap_memory;

	host_memory_start(8 * MIB, 2);
	heap_memory = aligned_alloc(64, spin_bytes(2));
	kheap_init(SPIN_CAS, heap_memory);
	pictures_torn = churned = 0;
	watch_begin(&progress, "a lock or a barrier");
	/* Until both have been at it, as far as the host lets them. */
	do {
		pictures_end = false;
		host_run(look_at_books, NULL);
	} while (churned < PICTURES && ++rounds < ROUNDS_MAX);
	watch_end();
	CHECK_EQ(pictures_torn, 0);
	host_memory_end();
	free(heap_memory);
}

/* ---- blocks that change size while others take what they leave ---------------------------- */

#define RESIZE_CPUS  2
#define RESIZE_SLOTS 8
#define RESIZE_STEPS 3000
#define MEETINGS     20

static unsigned resize_failures;

static void stamp(uint64_t *block, size_t from, size_t to, uint64_t seed)
{
	for (size_t i = from / 8; i < to / 8; i++)
		block[i] = seed + i;
}

/* Sizes of a few orders, so that what one cpu leaves another takes at once. */
static void resize(void *argument)
{
	uint64_t state = *(uint64_t *)argument + port_cpu() * 0x9e3779b97f4a7c15u;
	uint64_t *block[RESIZE_SLOTS] = {NULL};
	size_t size[RESIZE_SLOTS] = {0};

	for (unsigned step = 0; step < RESIZE_STEPS; step++) {
		unsigned slot = (unsigned)(state >> 60) % RESIZE_SLOTS;
		uint64_t seed = ((uint64_t)port_cpu() << 56) + ((uint64_t)slot << 48);
		size_t kept, wanted = (size_t)64 << (state >> 40) % 7;
		uint64_t *moved;

		state = state * 6364136223846793005u + 1442695040888963407u;
		moved = krealloc(block[slot], wanted);
		move_on();
		if (!moved)
			continue;
		kept = size[slot] < wanted ? size[slot] : wanted;
		for (size_t i = 0; i < kept / 8; i++)
			if (moved[i] != seed + i) {
				__atomic_fetch_add(&resize_failures, 1, __ATOMIC_RELAXED);
				break;
			}
		stamp(moved, 0, wanted, seed);
		block[slot] = moved;
		size[slot] = wanted;
	}
	for (unsigned slot = 0; slot < RESIZE_SLOTS; slot++)
		kfree(block[slot]);
}

static uint64_t waits_for_heap(void)
{
	struct spin_stats stats = {0};

	spin_stats_add(kheap_lock(), &stats);
	return stats.contended;
}

/* Under a queue lock too: its waiters' nodes must be their own. Goes on until cpus have met. */
CONCURRENT_TEST(blocks_that_change_size_keep_what_is_in_them)
{
	static const enum spin_kind kinds[] = {SPIN_CAS, SPIN_MCS};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint64_t seed = unit_random(), before;
		void *heap_memory;

		host_memory_start(8 * MIB, RESIZE_CPUS);
		heap_memory = aligned_alloc(64, spin_bytes(RESIZE_CPUS));
		kheap_init(kinds[i], heap_memory);
		before = frame_free_count();
		resize_failures = 0;
		watch_begin(&progress, "a lock or a barrier");
		for (unsigned round = 0; round < ROUNDS_MAX; round++) {
			host_run(resize, &seed);
			if (waits_for_heap() >= MEETINGS)
				break;
		}
		watch_end();
		CHECK_EQ(resize_failures, 0);
		kheap_validate();
		kheap_trim();
		CHECK_EQ(frame_free_count(), before);
		host_memory_end();
		free(heap_memory);
	}
}
