/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_requests.c - what a request costs the CPUs that are asked, and which calls make one.
 *
 * Whether a request finds every frame is tested in test_drain.c and test_traps.c. In most tests
 * here one thread runs all CPUs in turn: a CPU that gets an IPI answers at once.
 *
 * Covers: mm/percpu/drain.c mm/percpu/flush.c mm/frame.c mm/heap/kmalloc.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/cache.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "sync/spinlock.h"
#include "unit.h"

#define FRAMES_MAX 8192

static pfn_t held[FRAMES_MAX];
static unsigned held_count;
static void *heap_lock;

static void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

static struct frame_cache *cache_of(unsigned cpu)
{
	return port_area_of(cpu);
}

static void take_one(void)
{
	held[held_count] = frame_alloc(FRAME_ANY);
	CHECK(!pfn_is_none(held[held_count++]));
}

static void start(uint64_t frames, unsigned cpus, uint32_t capacity)
{
	/* A batch that adapts would not use more than FRAME_CACHE_CAPACITY_MAX. */
	struct host_machine machine = {
		.cpus = cpus, .capacity = capacity, .batch = capacity > 1000 ? 512 : 0};
	struct host_range range = {0x80200, frames, 0};
	size_t bytes;

	host_machine_start(&machine, &range, 1);
	bytes = spin_bytes(port_cpu_count());
	heap_lock = aligned_alloc(PORT_CACHE_LINE, bytes);
	memset(heap_lock, 0, bytes);
	kheap_init(SPIN_FAS, heap_lock);
	held_count = 0;
	host_ipi_calls = host_ipi_calls_masked = 0;
}

static void end(void)
{
	uint64_t free_frames;

	while (held_count)
		frame_free(held[--held_count]);
	kheap_trim();
	frame_validate();
	free_frames = zones.zone[0].total_frames - zones.zone[0].reserved_frames;
	CHECK_EQ(frame_free_count(), free_frames);
	host_machine_end();
	free(heap_lock);
}

static void take_all(void)
{
	pfn_t frame;

	while (frame = frame_alloc(FRAME_NOWAIT), !pfn_is_none(frame)) {
		CHECK(held_count < FRAMES_MAX);
		held[held_count++] = frame;
	}
}

/* Every second frame is free; they are in the zone, but for a few in each cpu's cache. */
static void cut_memory_up(void)
{
	unsigned kept = 0;

	take_all();
	for (unsigned i = 0; i < held_count; i++) {
		if (held[i].value % 2) {
			held[kept++] = held[i];
			continue;
		}
		become(i / 2 % port_cpu_count());
		frame_free(held[i]);
	}
	held_count = kept;
	become(0);
}

static uint64_t requests(void)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		sum += cache_of(cpu)->stats.drains;
	return sum;
}

/* The bound that is promised: 200 such blocks cost one request to all cpus at most. */
TEST(blocks_of_a_frame_ask_no_cpu_for_runs)
{
	void *block[200];

	start(4096, 4, 192);
	cut_memory_up();
	for (unsigned i = 0; i < 200; i++) {
		block[i] = kmalloc(4096);
		CHECK(block[i]);
	}
	CHECK(requests() <= 1);
	for (unsigned i = 0; i < 200; i++)
		kfree(block[i]);
	end();
}

/* A run that is not there is looked for once, until a frame has been freed. */
TEST(a_run_that_is_not_there_is_asked_for_once)
{
	uint64_t calls;

	start(4096, 4, 192);
	cut_memory_up();
	for (unsigned i = 0; i < 100; i++)
		CHECK(pfn_is_none(frame_alloc_run(2, 1)));
	CHECK_EQ(requests(), 1);
	calls = host_ipi_calls;
	CHECK(calls > 0);
	become(3);
	frame_free(held[--held_count]); /* joins its neighbours, in a cache that was emptied */
	become(0);
	held[held_count] = frame_alloc_run(2, 1);
	CHECK(!pfn_is_none(held[held_count]));
	CHECK_EQ(requests(), 2);
	frame_free_run(held[held_count], 2);
	end();
}

/*
 * Another cpu's cache is emptied by a run that fails, and takes frames again at its next operation.
 */
TEST(a_run_that_fails_leaves_caches_usable)
{
	uint64_t direct;

	start(4096, 2, 192);
	cut_memory_up();
	CHECK(pfn_is_none(frame_alloc_run(2, 1)));
	become(1);
	direct = cache_of(1)->stats.direct_allocs + cache_of(1)->stats.direct_frees;
	for (unsigned i = 0; i < 50; i++)
		frame_free(held[--held_count]);
	CHECK_EQ(cache_of(1)->stats.direct_allocs + cache_of(1)->stats.direct_frees, direct);
	CHECK_EQ(frame_cache_level(cache_of(1)), 50);
	become(0);
	end();
}

/* FRAME_NOWAIT: no request at all, though another cpu has what is asked for. */
TEST(an_allocation_that_may_not_wait_asks_no_cpu)
{
	start(1000, 2, 192);
	become(1);
	take_all();
	for (unsigned i = 0; i < 100; i++)
		frame_free(held[--held_count]);
	become(0);
	CHECK(pfn_is_none(frame_alloc(FRAME_NOWAIT)));
	CHECK(pfn_is_none(frame_alloc_run_flags(1, 1, FRAME_NOWAIT)));
	CHECK(pfn_is_none(frame_alloc_run_flags(4, 4, FRAME_NOWAIT)));
	CHECK(!kmalloc_flags(64, 1, FRAME_NOWAIT));
	CHECK(!kmalloc_flags(10000, 1, FRAME_NOWAIT | FRAME_ZERO));
	CHECK_EQ(requests(), 0);
	CHECK_EQ(host_ipi_calls, 0);
	CHECK_EQ(frame_cache_level(cache_of(1)), 100);
	frame_free(held[--held_count]); /* one frame is there, and an arena takes two */
	kfree(kmalloc_flags(64, 1, FRAME_NOWAIT));
	CHECK_EQ(requests(), 0);
	held[held_count++] = frame_alloc(FRAME_NOWAIT);
	CHECK(!pfn_is_none(held[held_count - 1]));
	held[held_count] = frame_alloc(FRAME_ANY); /* which may */
	CHECK(!pfn_is_none(held[held_count++]));
	CHECK_EQ(requests(), 1);
	end();
}

/* Zeroed where that is asked for, run or block, however dirty the frames were. */
TEST(what_is_asked_to_be_zero_is)
{
	static const char zeros[3 * 4096];
	pfn_t run;
	char *block;

	start(1000, 1, 192);
	take_all();
	while (held_count) {
		memset(frame_bytes(held[held_count - 1]), 0xa5, FRAME_SIZE);
		frame_free(held[--held_count]);
	}
	run = frame_alloc_run_flags(3, 1, FRAME_ZERO);
	CHECK(!memcmp(frame_bytes(run), zeros, sizeof(zeros)));
	block = kmalloc_flags(10000, 64, FRAME_ZERO | FRAME_NOWAIT);
	CHECK(block && !memcmp(block, zeros, 10000));
	kfree(block);
	frame_free_run(run, 3);
	end();
}

/* ---- what an answer costs ----------------------------------------------------------------- */

/* One call gives back FRAME_CACHE_STEP frames at most, in one hold, however many the cache has. */
TEST(an_answer_is_given_in_bounded_steps)
{
	struct frame_cache *cache;
	uint64_t *limit = NULL;
	unsigned steps = 0;

	start(8000, 2, 6000);
	cache = cache_of(0);
	take_all();
	for (unsigned i = 0; i < 5000; i++)
		frame_free(held[--held_count]);
	CHECK(frame_cache_level(cache) > 4 * FRAME_CACHE_STEP);
	cache->asked++; /* and the IPI is late */
	for (bool more = true; more; steps++) {
		uint64_t level = frame_cache_level(cache), flushes = cache->stats.flushes;

		more = frame_drain_answer();
		CHECK(level - frame_cache_level(cache) <= FRAME_CACHE_STEP);
		CHECK(cache->stats.flushes - flushes <= 1);
		CHECK(more == (cache->answered != cache->asked));
		if (more) {
			/*
			 * A trap handler between two steps: the cache does not keep the frames that
			 * it frees.
			 */
			CHECK_EQ(cache->state, FRAME_CACHE_CLOSING);
			CHECK(!limit || cache->limit == limit);
			limit = cache->limit;
			CHECK(steps || cache->top == limit);
			frame_free(held[--held_count]);
			held[held_count++] = frame_alloc(FRAME_NOWAIT);
			held[held_count++] = frame_alloc(FRAME_NOWAIT);
		}
	}
	CHECK_EQ(frame_cache_level(cache), 0);
	CHECK_EQ(cache->state, FRAME_CACHE_PARKED);
	CHECK(cache->limit ==
	      cache->bottom); /* no room is left of what was taken between the steps */
	CHECK(!frame_drain_answer());
	end();
}

/* A cpu that waits with interrupts masked gets no IPI, and answers all the same. */
TEST(a_cpu_that_waits_answers)
{
	struct frame_cache *cache;
	unsigned long flags;

	start(1000, 2, 192);
	cache = cache_of(0);
	held[held_count++] = frame_alloc(FRAME_ANY);
	CHECK(frame_cache_level(cache) > 0);
	cache->asked++;
	flags = port_irq_save();
	frame_relax();
	frame_relax();
	port_irq_restore(flags);
	CHECK_EQ(cache->answered, cache->asked);
	CHECK_EQ(frame_cache_level(cache), 0);
	end();
}

/* A parked cache has no frame: its CPU is not interrupted again. */
TEST(a_parked_cache_is_left_alone)
{
	start(1000, 4, 192);
	take_all();
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		become(cpu);
		CHECK(pfn_is_none(frame_alloc(FRAME_ANY)));
	}
	CHECK_EQ(host_ipi_calls, 1); /* by the first; then all are parked */
	become(2);
	frame_free(held[--held_count]);
	become(0);
	take_one();
	CHECK_EQ(host_ipi_calls, 2);
	CHECK_EQ(cache_of(1)->asked, cache_of(3)->asked); /* at the first request, and not since */
	CHECK(cache_of(2)->asked > cache_of(1)->asked);
	end();
}

/* One IPI call for each 64 CPUs; and the frame in the holder's cache is found. */
static void ask_many(unsigned cpus, unsigned holder)
{
	start(4096, cpus, 192);
	take_all();
	become(holder);
	frame_free(held[--held_count]);
	become(0);
	take_one();
	CHECK_EQ(host_ipi_calls, (cpus + 63) / 64);
	CHECK_EQ(host_ipi_calls_masked, 0);
	CHECK(pfn_is_none(frame_alloc(FRAME_ANY)));
	CHECK_EQ(host_ipi_calls, (cpus + 63) / 64); /* all are parked */
	end();
}

TEST(a_request_takes_one_ipi_call_for_64_cpus)
{
	ask_many(2, 1);
	ask_many(64, 63);
	ask_many(66, 65);
	ask_many(130, 129);
}

/* The holder has the same place in its set of 64 as the requester in its own. */
TEST(a_request_leaves_out_no_cpu_but_the_requester)
{
	ask_many(66, 64);
	ask_many(130, 64);
	ask_many(130, 128);
}

/* A frame that a cpu frees while it goes off line is not hidden in its cache. */
TEST(a_cache_that_is_off_line_takes_nothing)
{
	unsigned long flags;

	start(1000, 2, 192);
	take_all();
	become(1);
	flags = port_irq_save();
	frame_cache_offline();
	frame_free(held[--held_count]);
	CHECK_EQ(frame_cache_level(cache_of(1)), 0);
	become(0);
	take_one();
	become(1);
	frame_cache_online();
	port_irq_restore(flags);
	become(0);
	end();
}

/* Going on line with frames in the cache, or off line during a request, panics. */
TEST(coming_and_going_at_the_wrong_time_is_refused)
{
	start(1000, 1, 192);
	held[held_count++] = frame_alloc(FRAME_ANY);
	EXPECT_PANIC(frame_cache_online(), "has frames in its cache already");
	cache_of(0)->asking = 1;
	EXPECT_PANIC(frame_cache_offline(), "waits for its own request");
	cache_of(0)->asking = 0;
	host_self->in_trap = true;
	EXPECT_PANIC(frame_cache_configure(192, 0), "in a trap handler");
	host_self->in_trap = false;
	end();
}

/*
 * With room for zones that are made later, their remote stacks do not overlap the memory of a
 * batch.
 */
TEST(a_cache_has_room_for_more_zones_than_there_are)
{
	size_t bytes = frame_cache_bytes(192, 5);
	struct frame_cache cache;
	char *memory;

	start(1000, 1, 192);
	memory = aligned_alloc(PORT_CACHE_LINE, bytes);
	memset(memory, 0, bytes);
	frame_cache_init_for(&cache, memory, 192, 0, 5);
	CHECK((char *)&cache.remote[5] <= (char *)cache.work);
	CHECK((char *)cache.work < memory + bytes);
	free(memory);
	end();
}

/* ---- early requests ----------------------------------------------------------------------- */

/* Fills the CPU's cache, and goes on as CPU 0. */
static void fill_cache_of(unsigned cpu)
{
	become(cpu);
	take_one();
	CHECK(frame_cache_level(cache_of(cpu)) > 0);
	become(0);
}

static void take_down_to(const struct zone *zone, uint64_t free_frames)
{
	while (zone_free_frames(zone) > free_frames)
		take_one();
}

/* Below the low mark, CPUs that have frames of the zone are asked, once, with interrupts let in. */
TEST(a_low_mark_asks_cpus_that_have_frames)
{
	struct zone *zone;

	start(4096, 4, 192);
	zone = &zones.zone[0];
	fill_cache_of(2);
	frame_drain_set_low(1000);
	take_down_to(zone, 900);
	CHECK_EQ(zone->early_drains, 1);
	CHECK_EQ(host_ipi_calls, 1);
	CHECK_EQ(host_ipi_calls_masked, 0);
	CHECK_EQ(frame_cache_level(cache_of(2)), 0);
	CHECK(cache_of(2)->asked > 0);
	CHECK_EQ(cache_of(1)->asked, 0);
	CHECK_EQ(cache_of(3)->asked, 0);
	/* The requester has asked nothing of itself: no later IPI empties its cache. */
	CHECK_EQ(cache_of(0)->asked, 0);
	CHECK(frame_cache_level(cache_of(0)) > 0);
	CHECK(!frame_drain_answer());
	CHECK(frame_cache_level(cache_of(0)) > 0);
	frame_drain_set_low(0);
	end();
}

static void fall_to(const struct zone *zone, uint64_t free_frames)
{
	fill_cache_of(1); /* so that there is a CPU to ask */
	take_down_to(zone, free_frames);
}

static void rise_to(const struct zone *zone, uint64_t free_frames)
{
	while (zone_free_frames(zone) < free_frames) {
		frame_free(held[--held_count]);
		frame_cache_flush();
	}
}

/*
 * While free memory goes up and down around the mark there is one request; another after it
 * recovered.
 */
TEST(a_low_mark_makes_one_request_for_a_fall)
{
	struct zone *zone;

	start(4096, 2, 192);
	zone = &zones.zone[0];
	frame_drain_set_low(1000);
	fall_to(zone, 900);
	CHECK_EQ(zone->early_drains, 1);
	for (unsigned i = 0; i < 5; i++) {
		rise_to(zone, 1300);
		fall_to(zone, 900);
	}
	CHECK_EQ(zone->early_drains, 1);
	rise_to(zone, 1600);
	fall_to(zone, 900);
	CHECK_EQ(zone->early_drains, 2);
	frame_drain_set_low(0);
	end();
}

/* After many early requests a CPU still answers, and still makes requests. */
TEST(early_requests_leave_nothing_behind)
{
	start(1000, 2, 192);
	for (unsigned i = 0; i < 1000; i++)
		frame_drain_ask();
	take_all();
	for (unsigned i = 0; i < 21; i++)
		frame_free(held[--held_count]);
	CHECK_EQ(frame_cache_level(cache_of(0)), 21);
	become(1);
	take_one();
	become(0);
	for (unsigned i = 0; i < 20; i++)
		take_one();
	CHECK(pfn_is_none(frame_alloc(FRAME_ANY)));
	end();
}

/* ---- under a lock of the caller's --------------------------------------------------------- */

/*
 * The lock of another kernel: it masks interrupts, and its waiters spin with interrupts masked. The
 * CPU that holds it takes all memory there is, while each other CPU has frames in its cache and
 * spins.
 */
static struct {
	uint32_t word;
	bool waiters_answer;
	unsigned flags; /* of the allocations under it */
	unsigned rounds;
	uint64_t free_frames, fewest;
} own;

static unsigned long own_lock(void)
{
	unsigned long flags = port_irq_save();

	while (__atomic_exchange_n(&own.word, 1, __ATOMIC_ACQUIRE)) {
		if (own.waiters_answer)
			frame_relax();
		else
			port_relax();
	}
	return flags;
}

static void own_unlock(unsigned long flags)
{
	__atomic_store_n(&own.word, 0, __ATOMIC_RELEASE);
	port_irq_restore(flags);
}

static void take_all_under_own_lock(void *argument)
{
	(void)argument;
	for (unsigned round = 0; round < own.rounds; round++) {
		unsigned long flags = own_lock();

		held_count = 0;
		while (held_count < FRAMES_MAX) {
			pfn_t frame = frame_alloc(own.flags);

			if (pfn_is_none(frame))
				break;
			held[held_count++] = frame;
		}
		if (held_count < own.fewest)
			own.fewest = held_count;
		while (held_count)
			frame_free(held[--held_count]); /* the last ones stay in this CPU's cache */
		own_unlock(flags);
	}
}

static void run_under_own_lock(unsigned cpus, bool waiters_answer, unsigned flags)
{
	start(900, cpus, 192);
	memset(&own, 0, sizeof(own));
	own.waiters_answer = waiters_answer;
	own.flags = flags;
	own.rounds = 12;
	own.free_frames = own.fewest = frame_free_count();
	host_run(take_all_under_own_lock, NULL);
	if (!(flags & FRAME_NOWAIT))
		CHECK_EQ(own.fewest, own.free_frames);
	CHECK(own.fewest > 0);
	end();
}

/* Recipe A: waiters that answer. All of memory is found, though all of it is under one lock. */
CONCURRENT_TEST(all_memory_is_found_under_a_lock_whose_waiters_answer)
{
	for (unsigned cpus = 2; cpus <= 4; cpus++)
		run_under_own_lock(cpus, true, FRAME_ANY);
}

/* Recipe B: the holder does not wait, so its waiters need not answer. */
CONCURRENT_TEST(an_allocation_that_may_not_wait_ends_under_any_lock)
{
	for (unsigned cpus = 2; cpus <= 4; cpus++)
		run_under_own_lock(cpus, false, FRAME_NOWAIT);
}
