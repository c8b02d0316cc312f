/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact.c - see exact.h.
 *
 * Most of memory is set aside in runs first: so a round of taking all there is takes about a
 * thousand frames, on a machine of any size. Caches are made small for the same reason.
 *
 * Covers: mm/frame.c mm/percpu/drain.c
 */
#include "tests/smp/selftest/exact.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "arch/riscv/hart.h"
#include "arch/riscv/trap.h"
#include "kernel/smp/cpu.h"
#include "kernel/program.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "sync/barrier.h"
#include "sync/ck.h"
#include "tests/smp/random.h"
#include "tests/smp/stamp.h"
#include "tests/smp/zone_direct.h"

#define EXPECT(condition)                                                                          \
	do {                                                                                       \
		if (!(condition))                                                                  \
			return #condition;                                                         \
	} while (0)

#define CAPACITY 192 /* of the caches here, if they are on: two batches of 64 and a word more */
#define LEFT	 768 /* frames that are not set aside, besides a batch for every cpu */

/*
 * Where ops= does not say, which it does when run=selftest is all that runs. More cpus than the
 * host has cores wait for its scheduler.
 */
#define ROUNDS	    100
#define ROUNDS_MANY 10 /* with more than two cpus */

static char figures[160]; /* what was wrong, where it takes numbers to say */

/* ---- small memory, small caches ------------------------------------------------------------ */

static struct {
	unsigned count;
	struct {
		pfn_t first;
		uint64_t count;
	} run[256];
} aside;

static void set_aside(uint64_t left)
{
	uint64_t size = UINT64_C(1) << 40;

	aside.count = 0;
	while (size && aside.count < sizeof(aside.run) / sizeof(aside.run[0])) {
		pfn_t first = PFN_NONE;

		if (frame_free_count() >= left + size)
			first = frame_alloc_run(size, 0);
		if (pfn_is_none(first)) {
			size /= 2;
			continue;
		}
		aside.run[aside.count].first = first;
		aside.run[aside.count++].count = size;
	}
}

static void bring_back(void)
{
	for (unsigned i = 0; i < aside.count; i++)
		frame_free_run(aside.run[i].first, aside.run[i].count);
	aside.count = 0;
}

static void set_cache(void *capacity)
{
	frame_cache_configure((uint32_t)(uintptr_t)capacity, 0);
}

static void set_own_cache(void *unused)
{
	(void)unused;
	frame_cache_configure((uint32_t)settings.arguments.cache_frames,
			      (uint32_t)settings.arguments.batch_frames);
}

static void begin(void)
{
	uint64_t most = settings.arguments.cache_frames;

	kheap_trim();
	frame_drain_set_low(0); /* what is full stays so until somebody is short */
	cpus_run(set_cache, (void *)(uintptr_t)(most < CAPACITY ? most : CAPACITY), settings.cpus);
	set_aside(LEFT + settings.cpus * FRAME_CACHE_BATCH);
	frame_drain_settle();
}

static void end(void)
{
	bring_back();
	cpus_run(set_own_cache, NULL, settings.cpus);
	kheap_trim();
	frame_drain_set_low(settings.arguments.low_frames);
	frame_validate();
}

/* Frames taken hang together by their second word; the stamp has the first and last. */
static void chain(pfn_t *newest, pfn_t frame)
{
	stamp_write(frame, port_cpu());
	((pfn_t *)frame_bytes(frame))[1] = *newest;
	*newest = frame;
}

static bool unchain(pfn_t *newest, pfn_t *frame)
{
	if (pfn_is_none(*newest))
		return false;
	*frame = *newest;
	stamp_check(*frame, port_cpu());
	*newest = ((pfn_t *)frame_bytes(*frame))[1];
	return true;
}

/* This cpu's cache is full to the last slot. What was needed for that and is still out: *rest. */
static void fill_cache(pfn_t *rest)
{
	struct frame_cache *cache = frame_cache_self();
	pfn_t frame;

	*rest = PFN_NONE;
	/* Once more where there were frames of two zones among them: the others are not kept here. */
	for (unsigned i = 0; i < 4 && pfn_is_none(*rest); i++) {
		for (unsigned j = 0;
		     j < 2 * CAPACITY && !pfn_is_none(frame = frame_alloc(FRAME_ANY)); j++)
			chain(rest, frame);
		while (cache->top != cache->limit && unchain(rest, &frame))
			frame_free(frame);
	}
}

static void free_chain(pfn_t *newest)
{
	pfn_t frame;

	while (unchain(newest, &frame))
		frame_free(frame);
}

/* ---- nothing is stranded in the cache of a busy cpu ----------------------------------------- */

struct busy_test {
	struct barrier barrier;
	bool runs;
	unsigned rounds;
	uint64_t free_frames;
	uint64_t *taken; /* in this round, by each cpu; by the busy one: what it still held */
	unsigned held; /* rounds in which the busy cpu's cache had frames; full where one zone has so many */
	uint32_t finished; /* cpus that were told there is no frame, in all rounds */
	uint64_t sum;	   /* of the first round that was wrong */
	unsigned wrong_rounds;
};

static uint64_t count_chain(pfn_t newest)
{
	uint64_t count = 0;

	for (; !pfn_is_none(newest); newest = ((pfn_t *)frame_bytes(newest))[1])
		count++;
	return count;
}

/* Unrelated work: no allocation and no free until all others are through. */
static void be_busy(struct busy_test *test, unsigned round)
{
	uint32_t wanted = (round + 1) * (settings.cpus - 1);
	volatile uint64_t product = 1;

	while (ck_pr_load_32(&test->finished) != wanted)
		for (unsigned i = 0; i < 100; i++)
			product = product * 3 + 1;
	ck_pr_fence_acquire();
}

static pfn_t take_one(const struct busy_test *test)
{
	return test->runs ? frame_alloc_run(1, 0) : frame_alloc(FRAME_ANY);
}

static void take_all(struct busy_test *test, pfn_t *newest)
{
	uint64_t taken = 0;
	pfn_t frame;

	for (; !pfn_is_none(frame = take_one(test)); taken++)
		chain(newest, frame);
	test->taken[port_cpu()] = taken;
	ck_pr_fence_release();
	ck_pr_inc_32(&test->finished);
}

static void check_sum(struct busy_test *test)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < settings.cpus; cpu++)
		sum += test->taken[cpu];
	if (sum != test->free_frames && test->wrong_rounds++ == 0)
		test->sum = sum;
}

static void give_all(const struct busy_test *test, pfn_t *newest)
{
	pfn_t frame;

	while (unchain(newest, &frame)) {
		if (test->runs)
			frame_free_run(frame, 1);
		else
			frame_free(frame);
	}
}

static void work_busy(void *argument)
{
	struct busy_test *test = argument;
	bool is_busy = port_cpu() == settings.cpus - 1;
	struct frame_cache *cache = frame_cache_self();
	pfn_t newest = PFN_NONE;

	for (unsigned round = 0; round < test->rounds; round++) {
		barrier_wait(&test->barrier);
		if (is_busy) {
			fill_cache(&newest);
			test->taken[port_cpu()] = count_chain(newest);
			test->held += frame_cache_level(cache) > 0;
		}
		barrier_wait(&test->barrier);
		if (is_busy)
			be_busy(test, round);
		else
			take_all(test, &newest);
		barrier_wait(&test->barrier);
		if (port_cpu() == 0)
			check_sum(test);
		if (is_busy)
			free_chain(&newest);
		else
			give_all(test, &newest);
	}
}

static unsigned rounds_wanted(void)
{
	if (settings.arguments.ops && programs_only("selftest"))
		return (unsigned)settings.arguments.ops;
	return settings.cpus > 2 ? ROUNDS_MANY : ROUNDS;
}

static const char *run_busy(struct busy_test *test)
{
	test->taken = kcalloc(settings.cpus, sizeof(uint64_t));
	EXPECT(test->taken);
	begin();
	test->free_frames = frame_free_count();
	test->rounds = rounds_wanted();
	barrier_init(&test->barrier, settings.cpus);
	cpus_run(work_busy, test, settings.cpus);
	kfree(test->taken);
	end();
	if (test->wrong_rounds)
		snprintf(figures, sizeof(figures),
			 "%u of %u rounds brought not all of %llu frames, the first one %llu",
			 test->wrong_rounds, test->rounds, (unsigned long long)test->free_frames,
			 (unsigned long long)test->sum);
	else
		snprintf(figures, sizeof(figures), "exact in %u rounds of %llu frames",
			 test->rounds, (unsigned long long)test->free_frames);
	printf("# %s; the busy cpu's cache held some in %u\n", figures, test->held);
	EXPECT(test->held == test->rounds);
	return test->wrong_rounds ? figures : NULL;
}

static bool has_caches(void)
{
	return settings.cpus > 1 && settings.arguments.cache_frames;
}

const char *exact_test_busy(void)
{
	static struct busy_test test;

	test = (struct busy_test){.runs = false};
	return has_caches() ? run_busy(&test) : NULL;
}

const char *exact_test_busy_runs(void)
{
	static struct busy_test test;

	test = (struct busy_test){.runs = true};
	return has_caches() ? run_busy(&test) : NULL;
}

/* ---- a run of what is cached elsewhere ------------------------------------------------------ */

static pfn_t elsewhere_rest;

static void fill_elsewhere(void *unused)
{
	(void)unused;
	if (port_cpu() == settings.cpus - 1)
		fill_cache(&elsewhere_rest);
}

static void empty_elsewhere(void *unused)
{
	(void)unused;
	if (port_cpu() == settings.cpus - 1)
		free_chain(&elsewhere_rest);
}

static uint64_t free_in_zones(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < zones.count; i++)
		sum += zone_free_frames(&zones.zone[i]);
	return sum;
}

/* Nobody is asked for anything until the zones are empty, so what is cached there stays there. */
static const char *find_cached_run(void)
{
	pfn_t newest = PFN_NONE, run;

	cpus_run(fill_elsewhere, NULL, settings.cpus);
	while (free_in_zones() || frame_cache_level(frame_cache_self())) {
		pfn_t frame = frame_alloc(FRAME_ANY);

		if (pfn_is_none(frame))
			return "a frame that this cpu could have was not to be had";
		chain(&newest, frame);
	}
	if (frame_cache_level(port_area_of(settings.cpus - 1)) < 16)
		return "the other cpu's cache has less than 16 frames";
	run = frame_alloc_run(8, 8);
	if (!pfn_is_none(run))
		frame_free_run(run, 8);
	free_chain(&newest);
	cpus_run(empty_elsewhere, NULL, settings.cpus);
	return pfn_is_none(run) ? "a run of 8 frames is in another cpu's cache, and was not found"
				: NULL;
}

const char *exact_test_cached_run(void)
{
	const char *wrong;

	if (!has_caches() || settings.arguments.cache_frames < CAPACITY)
		return NULL;
	frame_drain_set_low(0);
	begin();
	wrong = find_cached_run();
	end();
	return wrong;
}

/* ---- the ledger in trap handlers ------------------------------------------------------------ */

#define LEDGER_HANDLERS 2000	/* are enough */
#define LEDGER_OPS_MAX	4000000 /* by which some have run, on a machine however busy */
#define LEDGER_FRAMES	400	/* more than the cache holds, so that it is refilled and flushed */

static struct {
	volatile uint64_t held; /* by the interrupted code; what it is just taking or giving, is not */
	uint64_t allocated_before;
	uint64_t random, handlers, in_flight;
	struct frame_ledger wrong; /* the first that was; total 0: none */
	uint64_t wrong_held;
} books;

static bool adds_up(const struct frame_ledger *ledger)
{
	uint64_t expected = books.allocated_before + books.held;

	return ledger->allocated >= expected && ledger->allocated <= expected + 1 &&
	       ledger->cached <= ledger->cached_max;
}

static void on_ledger(struct trap_frame *trap)
{
	struct frame_ledger ledger;

	(void)trap;
	hart_timer_disarm();
	frame_ledger(&ledger);
	books.handlers++;
	books.in_flight += ledger.in_flight != 0;
	if (!adds_up(&ledger) && !books.wrong.total) {
		books.wrong = ledger;
		books.wrong_held = books.held;
	}
	hart_timer_arm(hart_time() + 10 + random_below(&books.random, 100));
}

static void go_up_and_down(void)
{
	pfn_t newest = PFN_NONE, frame;

	while (books.held < LEDGER_FRAMES && !pfn_is_none(frame = frame_alloc_called())) {
		books.held++;
		chain(&newest, frame);
	}
	while (unchain(&newest, &frame)) {
		books.held--;
		frame_free_called(frame);
	}
}

static const char *watch_ledger(void)
{
	struct frame_ledger ledger;
	uint64_t ops = 0;

	frame_ledger(&ledger);
	EXPECT(ledger.in_flight == 0);
	EXPECT(ledger.total == ledger.reserved + ledger.free + ledger.cached + ledger.allocated);
	books.allocated_before = ledger.allocated;
	books.random = settings.arguments.seed * 2 + 1;
	trap_on_timer = on_ledger;
	hart_timer_arm(hart_time() + 1);
	hart_timer_enable();
	for (; books.handlers < LEDGER_HANDLERS && ops < LEDGER_OPS_MAX; ops += 2 * LEDGER_FRAMES)
		go_up_and_down();
	hart_timer_disable();
	hart_timer_disarm();
	trap_on_timer = NULL;
	printf("# the ledger in %llu trap handlers\n", (unsigned long long)books.handlers);
	if (books.wrong.total) {
		snprintf(figures, sizeof(figures),
			 "in a handler: %llu allocated, expected %llu or 1 more; free %llu, cached "
			 "%llu, "
			 "in flight %llu",
			 (unsigned long long)books.wrong.allocated,
			 (unsigned long long)(books.allocated_before + books.wrong_held),
			 (unsigned long long)books.wrong.free,
			 (unsigned long long)books.wrong.cached,
			 (unsigned long long)books.wrong.in_flight);
		return figures;
	}
	EXPECT(books.handlers > 0);
	EXPECT(books.in_flight == 0); /* a handler finds its cpu's cache whole (C6) */
	return NULL;
}

const char *exact_test_ledger(void)
{
	const char *wrong;

	begin();
	books = (typeof(books)){0};
	wrong = watch_ledger();
	end();
	return wrong;
}

/* ---- low marks ------------------------------------------------------------------------------ */

static uint64_t early_drains(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < zones.count; i++)
		sum += zones.zone[i].early_drains;
	return sum;
}

/* Frames of one zone, past the caches; and what its mark should have come to. */
struct ballast {
	struct zone *zone;
	pfn_t newest;
	uint64_t mark, asked;
	bool calm;
};

/* The others are at rest. */
static bool any_other_may_hold(const struct zone *zone)
{
	for (unsigned cpu = 0; cpu < settings.cpus; cpu++)
		if (cpu != port_cpu() && frame_cache_may_hold(port_area_of(cpu), zone))
			return true;
	return false;
}

static void take_until(struct ballast *ballast, uint64_t left)
{
	uint64_t frame, before = zone_free_frames(ballast->zone);

	ballast->calm |= before >= ballast->mark + ballast->mark / 2;
	if (before >= ballast->mark && left < ballast->mark && ballast->calm) {
		ballast->asked += any_other_may_hold(ballast->zone);
		ballast->calm = false;
	}
	/* Counted, not looked at: frames that come back meanwhile stay, or the mark is crossed twice. */
	for (; before > left && zone_take_one(ballast->zone, &frame); before--)
		chain(&ballast->newest, pfn(frame));
}

static void give_until(struct ballast *ballast, uint64_t left)
{
	pfn_t frame;

	while (zone_free_frames(ballast->zone) < left && unchain(&ballast->newest, &frame)) {
		struct frame_word word = {frame.value & ~UINT64_C(63),
					  UINT64_C(1) << (frame.value & 63)};

		zone_give(ballast->zone, &word, 1, 1);
	}
	frame_drain_settle(); /* of what the next fall asks, nothing is left over */
}

static uint64_t cached_elsewhere(void)
{
	return frame_cache_level(port_area_of(settings.cpus - 1));
}

static const char *cross_marks(struct ballast *ballast)
{
	uint64_t before = early_drains(), all = zone_free_frames(ballast->zone);
	bool holds = any_other_may_hold(ballast->zone);

	take_until(ballast, ballast->mark);
	EXPECT(early_drains() == before); /* at the mark is not below it */
	EXPECT(any_other_may_hold(ballast->zone) == holds);
	take_until(ballast, ballast->mark - 1);
	EXPECT(early_drains() == before + ballast->asked);
	EXPECT(ballast->asked == holds);
	frame_drain_settle();
	EXPECT(!holds || cached_elsewhere() == 0);
	take_until(ballast, 0); /* what came back may have calmed it */
	EXPECT(early_drains() == before + ballast->asked);
	give_until(ballast, ballast->mark + ballast->mark / 2 - 1);
	take_until(ballast, 0);
	EXPECT(early_drains() == before + ballast->asked);
	give_until(ballast, ballast->mark + ballast->mark / 2);
	take_until(ballast, ballast->mark / 2);
	EXPECT(early_drains() == before + ballast->asked);
	give_until(ballast, all);
	frame_drain_set_low(0);
	ballast->calm = false; /* no mark, no crossing */
	take_until(ballast, 0);
	EXPECT(early_drains() == before + ballast->asked);
	return NULL;
}

/* Of those whose frames the last cpu has cached, or has not: the one with the most free frames. */
static struct zone *zone_with_most(bool cached)
{
	const struct frame_cache *last = port_area_of(settings.cpus - 1);
	struct zone *most = NULL;

	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = &zones.zone[i];

		if (frame_cache_may_hold(last, zone) == cached &&
		    (!most || zone_free_frames(zone) > zone_free_frames(most)))
			most = zone;
	}
	return most && zone_free_frames(most) >= 4 ? most : NULL;
}

/* Frames of this zone are in no cache: so no cpu is asked for them. */
static const char *cross_without_asking(struct zone *zone)
{
	struct ballast ballast = {.zone = zone, .newest = PFN_NONE};
	uint64_t before = early_drains(), cached = cached_elsewhere(), all = zone_free_frames(zone);

	frame_drain_set_low(all / 4);
	take_until(&ballast, 0);
	give_until(&ballast, all);
	frame_drain_set_low(0);
	EXPECT(early_drains() == before);
	EXPECT(cached_elsewhere() == cached);
	return NULL;
}

/* While the last cpu's cache is full. */
const char *exact_test_low_mark(void)
{
	struct ballast ballast = {.newest = PFN_NONE, .calm = true};
	const char *wrong = NULL;
	struct zone *other;

	begin();
	if (settings.cpus > 1)
		cpus_run(fill_elsewhere, NULL, settings.cpus);
	other = zone_with_most(false);
	if (other && settings.cpus > 1)
		wrong = cross_without_asking(other);
	ballast.zone = zone_with_most(settings.cpus > 1 && has_caches());
	if (!ballast.zone)
		ballast.zone = other;
	ballast.mark = zone_free_frames(ballast.zone) / 4;
	frame_drain_set_low(ballast.mark);
	if (!wrong)
		wrong = cross_marks(&ballast);
	frame_drain_set_low(0);
	give_until(&ballast, UINT64_MAX);
	if (settings.cpus > 1)
		cpus_run(empty_elsewhere, NULL, settings.cpus);
	end();
	return wrong;
}
