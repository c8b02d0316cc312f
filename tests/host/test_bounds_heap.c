/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_bounds_heap.c - what an operation of the heap may cost at most: holds of its lock, holds of zones'
 * locks, IPIs and requests to other CPUs, for each public function of mm/heap/kmalloc.h and reserve.h.
 *
 * As test_bounds.c does for frames. The memory is short now and then, so that allocations fail, and what
 * the heap keeps is given up.
 *
 * Covers: mm/heap/kmalloc.c mm/heap/front.c mm/heap/slab.c mm/heap/arena.c mm/heap/kmalloc_frames.c mm/heap/reserve.c
 */
#include "heap_machine.h"
#include "mm/heap/kmalloc_private.h"
#include "mm/heap/reserve.h"
#include "mm/percpu/drain.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define CPUS	      66
#define LIVE_MAX      3000

struct cost {
	uint64_t heap_holds, zone_holds; /* of this CPU */
	uint64_t ipi_calls, requests;
};

/*
 * Memory is neither short nor in pieces, so the first size of an arena that is tried is found. A refill or a
 * flush of a stack is one hold. An arena: a hold that finds no room, then one that finds nodes of the index
 * missing, then one that adds it. Its frames are a run; a frame beside it, and nodes of the index, may take
 * a refill each. A slab: its record from an arena, a run, and the hold of the refill that adds it.
 */
#define ARENA_HOLDS 3
#define ARENA_RUNS  3

static struct operation {
	const char *name;
	struct cost bound, most;
	uint64_t times;
} operations[] = {
#define HIT 0
	{"kmalloc, the stack has blocks", {0, 0, 0, 0}, {0}, 0},
#define MISS 1
	{"kmalloc, else", {ARENA_HOLDS + 1, ARENA_RUNS + 1, 0, 0}, {0}, 0},
#define LARGE 2
	{"kmalloc, more than 128 KiB", {2, 2, 0, 0}, {0}, 0},
#define FREE_HIT 3
	{"kfree, the stack has room", {0, 0, 0, 0}, {0}, 0},
#define FREE_MISS 4
	{"kfree, of a class, else", {1 + 1, 1 + ARENA_RUNS, 0, 0}, {0}, 0},
#define FREE_OTHER 5
	{"kfree, of no class", {1, ARENA_RUNS, 0, 0}, {0}, 0},
#define LOOK 6
	{"kmalloc_usable_size", {1, 0, 0, 0}, {0}, 0},
#define STATS 7
	{"kheap_stats, kheap_class_stats", {2, 0, 0, 0}, {0}, 0},
};

static struct cost before;

static uint64_t all_zone_holds(void)
{
	uint64_t holds = 0;

	for (unsigned i = 0; i < zones.count; i++)
		holds += spin_stats_of(&zones.zone[i].lock, port_cpu())->acquisitions;
	return holds;
}

static struct cost cost_now(void)
{
	return (struct cost){spin_stats_of(kheap_lock(), port_cpu())->acquisitions,
			     all_zone_holds(), host_ipi_calls, frame_cache_self()->stats.drains};
}

static void measure(void)
{
	before = cost_now();
}

static void raise(uint64_t *most, uint64_t value)
{
	if (value > *most)
		*most = value;
}

static struct cost cost_since(void)
{
	struct cost now = cost_now();

	return (struct cost){now.heap_holds - before.heap_holds, now.zone_holds - before.zone_holds,
			     now.ipi_calls - before.ipi_calls, now.requests - before.requests};
}

static void measured(unsigned number)
{
	struct operation *operation = &operations[number];
	struct cost cost = cost_since();

	operation->times++;
	raise(&operation->most.heap_holds, cost.heap_holds);
	raise(&operation->most.zone_holds, cost.zone_holds);
	raise(&operation->most.ipi_calls, cost.ipi_calls);
	raise(&operation->most.requests, cost.requests);
	if (cost.heap_holds > operation->bound.heap_holds ||
	    cost.zone_holds > operation->bound.zone_holds ||
	    cost.ipi_calls > operation->bound.ipi_calls || cost.requests > operation->bound.requests)
		unit_fail(__FILE__, __LINE__,
			  "%s: %llu holds of the heap's lock, %llu of zones', %llu calls for IPIs, "
			  "%llu requests",
			  operation->name, (unsigned long long)cost.heap_holds,
			  (unsigned long long)cost.zone_holds, (unsigned long long)cost.ipi_calls,
			  (unsigned long long)cost.requests);
}

/* ---- the exercise, with memory enough ----------------------------------------------------------- */

static struct live {
	void *block;
	size_t size;
} live[LIVE_MAX];
static unsigned live_count;

static size_t some_size(void)
{
	switch (unit_random_below(12)) {
	case 0:
		return 128 * KIB + 1 + unit_random_below(MIB / 2);
	case 1:
		return KHEAP_SIZE_MAX + 1 + unit_random_below(128 * KIB - KHEAP_SIZE_MAX);
	default:
		return 1 + unit_random_below(unit_random_below(2) ? 200 : KHEAP_SIZE_MAX);
	}
}

static unsigned kind_of(size_t size)
{
	const struct kheap_front *front = kheap_front_self();
	unsigned class;

	if (size > 128 * KIB)
		return LARGE;
	if (size > KHEAP_SIZE_MAX)
		return MISS;
	class = kheap_class_of(size);
	return front->stack[class].top != front->base[class] ? HIT : MISS;
}

static unsigned kind_of_free(const struct live *one)
{
	const struct kheap_front *front = kheap_front_self();
	struct found found = {.slab = NULL};
	const struct kheap_stack *stack;

	if (!slab_find(port_phys_address(one->block), &found))
		return FREE_OTHER;
	stack = &front->stack[found.slab->class];
	return stack->top != stack->limit ? FREE_HIT : FREE_MISS;
}

static void take(void)
{
	struct live *one = &live[live_count];
	unsigned kind;

	if (live_count == LIVE_MAX)
		return;
	one->size = some_size();
	kind = kind_of(one->size);
	measure();
	one->block = kmalloc(one->size);
	measured(kind);
	CHECK(one->block);
	live_count++;
}

static void give(unsigned at)
{
	unsigned kind = kind_of_free(&live[at]);
	struct live one = live[at];

	live[at] = live[--live_count];
	measure();
	kfree(one.block);
	measured(kind);
}

static void look(void)
{
	struct kheap_class_stats class;
	struct kheap_stats stats;

	if (live_count) {
		measure();
		CHECK(kmalloc_usable_size(live[0].block) >= live[0].size);
		measured(LOOK);
	}
	measure();
	kheap_stats(&stats);
	kheap_class_stats(1, &class);
	measured(STATS);
}

TEST(no_operation_costs_more_than_its_bound)
{
	start(512 * MIB, CPUS);
	for (unsigned i = 0; i < 60000; i++) {
		uint64_t choice = unit_random_below(100);

		become((unsigned)unit_random_below(i % 7 ? 3 : CPUS));
		if (choice < (i / 6000 % 2 ? 40 : 58))
			take();
		else if (choice < 98 && live_count)
			give((unsigned)unit_random_below(live_count));
		else
			look();
	}
	while (live_count)
		give(live_count - 1);
	for (unsigned i = 0; i < LENGTH(operations); i++) {
		const struct operation *operation = &operations[i];

		printf("# %s: %llu times, at most %llu holds of the heap's lock (bound %llu), %llu "
		       "of "
		       "zones' (%llu), %llu IPI calls, %llu requests\n",
		       operation->name, (unsigned long long)operation->times,
		       (unsigned long long)operation->most.heap_holds,
		       (unsigned long long)operation->bound.heap_holds,
		       (unsigned long long)operation->most.zone_holds,
		       (unsigned long long)operation->bound.zone_holds,
		       (unsigned long long)operation->most.ipi_calls,
		       (unsigned long long)operation->most.requests);
		CHECK(operation->times > 0);
	}
	finish();
}

/* ---- memory that is short ------------------------------------------------------------------------ */

/*
 * An allocation that fails asks other CPUs once for frames in each round of its search, which is repeated
 * only if the round before has given or found memory (allocate_exactly() in kmalloc.c): here there are
 * three at most.
 */
#define ROUNDS 3

static uint64_t most_requests;

static void check_refused(size_t size, const char *what)
{
	uint64_t words = (CPUS + 63) / 64;
	struct cost cost = cost_since();

	raise(&most_requests, cost.requests);
	if (cost.requests > ROUNDS || cost.ipi_calls > words * cost.requests)
		unit_fail(__FILE__, __LINE__, "%s, %zu bytes: %llu requests, %llu calls for IPIs",
			  what, size, (unsigned long long)cost.requests,
			  (unsigned long long)cost.ipi_calls);
}

/* All memory is out but what the CPUs keep on their stacks. */
static void *exhaust(size_t size)
{
	void *chain = NULL, *block;

	for (;;) {
		measure();
		block = kmalloc(size);
		check_refused(size, block ? "the last blocks" : "the first refusal");
		if (!block)
			return chain;
		*(void **)block = chain;
		chain = block;
	}
}

static void give_chain(void *chain)
{
	while (chain) {
		void *next = *(void **)chain;

		kfree(chain);
		chain = next;
	}
}

TEST(a_refusal_ends_and_the_next_one_asks_no_cpu)
{
	static const size_t sizes[] = {16, 500, 4080, 5000, 100000, 200000};

	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		void *chain;

		start(16 * MIB, CPUS);
		for (unsigned cpu = 0; cpu < CPUS; cpu++) {
			become(cpu);
			for (unsigned j = 0; j < LENGTH(sizes); j++)
				kfree(kmalloc(sizes[j]));
		}
		become(CPUS - 1);
		chain = exhaust(sizes[i]);
		CHECK(chain);
		measure();
		CHECK(!kmalloc(sizes[i]));
		CHECK(!kmalloc_flags(sizes[i], 1, FRAME_NOWAIT));
		CHECK_EQ(cost_since().requests, 0);
		CHECK_EQ(cost_since().ipi_calls, 0);
		give_chain(chain);
		finish();
	}
	printf("# at most %llu requests\n", (unsigned long long)most_requests);
}

/* FRAME_NOWAIT: no CPU is asked and waited for, whatever it needs. */
TEST(nowait_asks_no_cpu)
{
	struct kmalloc_reserve reserve = {0};
	void *chain;

	start(16 * MIB, CPUS);
	chain = exhaust(4000);
	become(1);
	measure();
	CHECK(!kmalloc_reserve_flags(&reserve, 10, 3000, FRAME_NOWAIT));
	CHECK(!kmalloc_flags(MIB, FRAME_SIZE, FRAME_NOWAIT));
	CHECK_EQ(cost_since().requests, 0);
	CHECK_EQ(cost_since().ipi_calls, 0);
	give_chain(chain);
	finish();
}
