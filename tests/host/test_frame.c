/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan bare */
/*
 * test_frame.c - frames, caches and zones against a model that knows the owner of every frame.
 *
 * The cpus of these tests take turns in one thread: become() says whose turn it is. So every
 * figure is exact after every operation, and a trace that fails repeats from its seed. Cpus that
 * run at once are test_stress.c's.
 *
 * Covers: mm/frame.c mm/frame_state.c mm/frame_state.h mm/frame_called.c mm/percpu/cache.c mm/percpu/refill.c mm/percpu/flush.c
 * Covers: mm/global/zone.c mm/global/zone_order.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/frame_state.h"
#include "mm/global/policies.h"
#include "mm/global/zone.h"
#include "tests/host/support/policy_model.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ---- machines ---------------------------------------------------------------------------- */

struct layout {
	const char *name;
	unsigned count;
	struct host_range range[4];
};

static const struct layout layouts[] = {
	{"one zone", 1, {{0x80200, 1500, 0}}},
	{"from frame 0, odd end", 1, {{0, 517, 0}}},
	{"high, odd start", 1, {{(UINT64_C(1) << 40) + 13, 600, 0}}},
	{"far apart, odd borders", 2, {{0x80003, 700, 0}, {0x90011, 901, 1}}},
	{"a border within a word", 2, {{0x80000, 1000, 0}, {0x80000 + 1000, 777, 1}}},
	{"tiny zones, three of them in a word",
	 4,
	 {{0x80001, 9, 0}, {0x8000a, 11, 0}, {0x80015, 8, 0}, {0x80100, 300, 0}}},
	{"a zone with no room for metadata",
	 3,
	 {{0x80000, 200, 0}, {0x80200, 1, 0}, {0x80300, 333, 0}}},
};

struct setting {
	uint32_t capacity, batch;
};

static const struct setting settings[] = {
	{0, 0},	  {0, 64},   {2, 0},   {2, 1},	  {3, 0},    {3, 1},	{127, 0},   {127, 50},
	{128, 0}, {128, 64}, {192, 0}, {192, 64}, {192, 96}, {1000, 0}, {1000, 64}, {1000, 500},
};

static void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

static struct frame_cache *cache_of(unsigned cpu)
{
	return port_area_of(cpu);
}

/* Cpus at home in different zones, as on a machine of several nodes. */
static void spread_homes(void)
{
	for (unsigned cpu = 0; cpu < host_cpu_count && zones.count; cpu++)
		cache_of(cpu)->home = cpu % zones.count;
}

static void flush_all_caches(void)
{
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++) {
		become(cpu);
		frame_cache_flush();
	}
	become(0);
}

/* Every frame is back, and in its own zone. */
static void check_all_is_back(void)
{
	flush_all_caches();
	frame_validate();
	CHECK_EQ(frame_cached_count(), 0);
	for (unsigned i = 0; i < zones.count; i++)
		CHECK_EQ(zone_free_frames(&zones.zone[i]),
			 zones.zone[i].total_frames - zones.zone[i].reserved_frames);
}

static void start_zone_of(const struct policy *policy, uint64_t frames, unsigned cpus,
			  uint32_t capacity, uint32_t batch)
{
	struct host_machine machine = {
		.policy = policy, .cpus = cpus, .capacity = capacity, .batch = batch};
	struct host_range range = {0x80200, frames, 0};

	host_machine_start(&machine, &range, 1);
}

static void start_one_zone(uint64_t frames, unsigned cpus, uint32_t capacity, uint32_t batch)
{
	start_zone_of(policies[0], frames, cpus, capacity, batch);
}

static void finish(void)
{
	check_all_is_back();
	host_machine_end();
}

/* ---- the model --------------------------------------------------------------------------- */

/* The owner of a frame. The model does not know in which zone or cache a free frame lies. */
enum owner {
	OWNER_NONE, /* metadata, or no RAM: never to be handed out */
	OWNER_FREE,
	OWNER_TEST
};

struct held {
	uint64_t first;
	uint64_t run; /* frames of a run; 0: one frame of frame_alloc() */
};

struct model {
	const struct policy *policy;
	uint64_t first, span;
	uint8_t *owner; /* of frame first + i */
	uint64_t total_frames, free_frames;
	struct held *held;
	uint64_t held_count;
};

static void model_start(struct model *model, const struct host_machine *machine,
			const struct layout *layout)
{
	const struct host_range *last = &layout->range[layout->count - 1];
	unsigned made = 0;

	host_machine_start(machine, layout->range, layout->count);
	spread_homes();
	memset(model, 0, sizeof(*model));
	model->policy = machine->policy;
	model->first = layout->range[0].first;
	model->span = last->first + last->count - model->first;
	model->owner = calloc(model->span, 1);
	model->held = calloc(model->span, sizeof(*model->held));
	for (unsigned i = 0; i < layout->count; i++) {
		const struct host_range *range = &layout->range[i];
		uint64_t metadata = zone_metadata_frames(range->first, range->count,
							 machine->policy);

		if (metadata >= range->count)
			continue;
		made++;
		model->total_frames += range->count;
		model->free_frames += range->count - metadata;
		memset(model->owner + (range->first + metadata - model->first), OWNER_FREE,
		       range->count - metadata);
	}
	CHECK_EQ(zones.count, made);
	CHECK_EQ(frame_total_count(), model->total_frames);
	CHECK_EQ(frame_free_count(), model->free_frames);
}

static void model_take(struct model *model, struct held held)
{
	uint64_t count = held.run ? held.run : 1;

	for (uint64_t i = 0; i < count; i++) {
		CHECK(held.first + i - model->first < model->span);
		CHECK_EQ(model->owner[held.first + i - model->first], OWNER_FREE);
		model->owner[held.first + i - model->first] = OWNER_TEST;
	}
	model->free_frames -= count;
	model->held[model->held_count++] = held;
}

/* Takes any one of what is held out of the model; the caller frees it. */
static struct held model_give(struct model *model)
{
	uint64_t at = unit_random_below(model->held_count);
	struct held held = model->held[at];
	uint64_t count = held.run ? held.run : 1;

	model->held[at] = model->held[--model->held_count];
	memset(model->owner + (held.first - model->first), OWNER_FREE, count);
	model->free_frames += count;
	return held;
}

/* Runs do not reach from one zone into the next, though they may be neighbours. */
static bool zone_has_run(const struct model *model, const struct zone *zone, uint64_t count,
			 uint64_t align)
{
	uint64_t length = 0;

	for (uint64_t frame = zone->first; zone_holds(zone, frame); frame++) {
		if (model->owner[frame - model->first] != OWNER_FREE)
			length = 0;
		else if (length > 0 || frame % align == 0)
			length++;
		if (length == count)
			return true;
	}
	return false;
}

/* Wherever its frames are: cpus give back cached frames for a run that needs them. */
static bool run_is_free(const struct model *model, uint64_t count, uint64_t align)
{
	for (unsigned i = 0; i < zones.count; i++)
		if (zone_has_run(model, &zones.zone[i], count, align))
			return true;
	return false;
}

/* ---- random traces against the model ------------------------------------------------------ */

static void alloc_frame(struct model *model)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	CHECK_EQ(pfn_is_none(frame), model->free_frames == 0);
	if (!pfn_is_none(frame))
		model_take(model, (struct held){frame.value, 0});
}

static void alloc_run(struct model *model)
{
	uint64_t count = 1 + unit_random_below(unit_random() & 1 ? 8 : 200);
	uint64_t align = UINT64_C(1) << unit_random_below(9);
	bool is_free = run_is_free(model, count, align);
	pfn_t first = frame_alloc_run(count, align);

	CHECK(is_free || pfn_is_none(first));
	if (pfn_is_none(first)) {
		CHECK(!is_free || policy_may_overlook(model->policy, count, align));
		return;
	}
	CHECK_EQ(first.value % align, 0);
	CHECK(zone_of(first.value) == zone_of(first.value + count - 1));
	model_take(model, (struct held){first.value, count});
}

static void free_any(struct model *model)
{
	struct held held;

	if (!model->held_count)
		return;
	held = model_give(model);
	if (held.run)
		frame_free_run(pfn(held.first), held.run);
	else
		frame_free(pfn(held.first));
}

/* To any setting that the cache's memory allows; 0 turns it off for a while. */
static void reconfigure(uint32_t capacity_max)
{
	uint32_t capacity = (uint32_t)unit_random_below(capacity_max + 1);

	if (capacity >= 2)
		frame_cache_configure(capacity, (uint32_t)unit_random_below(capacity / 2 + 1));
	else
		frame_cache_configure(0, 0);
	CHECK_EQ(frame_cache_level(frame_cache_self()), 0);
}

/* Of 256 operations, `allocs` are allocations of single frames; some are of the rarer kinds. */
static void any_operation(struct model *model, unsigned allocs, uint32_t capacity)
{
	uint64_t draw = unit_random_below(256 + 24);

	if (draw < allocs)
		alloc_frame(model);
	else if (draw < 256)
		free_any(model);
	else if (draw < 256 + 20)
		alloc_run(model);
	else if (draw < 256 + 23)
		frame_cache_flush();
	else
		reconfigure(capacity);
}

static void check_books(const struct model *model)
{
	CHECK_EQ(frame_free_count(), model->free_frames);
	for (unsigned cpu = 0; cpu < host_cpu_count; cpu++) {
		const struct frame_cache *cache = cache_of(cpu);

		CHECK(cache->top <= cache->limit);
		CHECK(cache->remote_frames <= zones.count * FRAME_CACHE_BATCH);
	}
}

/* The trend turns now and then, so that the trace meets both ends: no frame free, and all. */
static void random_trace(const struct policy *policy, const struct layout *layout,
			 struct setting setting, unsigned cpus, unsigned steps)
{
	struct host_machine machine = {.policy = policy,
				       .cpus = cpus,
				       .capacity = setting.capacity,
				       .batch = setting.batch};
	struct model model;
	unsigned allocs = 200;

	model_start(&model, &machine, layout);
	for (unsigned step = 0; step < steps; step++) {
		if (unit_random_below(400) == 0)
			allocs = 64 + (unsigned)unit_random_below(180);
		if (unit_random_below(8) == 0)
			become((unsigned)unit_random_below(cpus));
		any_operation(&model, allocs, setting.capacity);
		check_books(&model);
		if (step % 64 == 0)
			frame_validate();
	}
	while (model.held_count) {
		become((unsigned)unit_random_below(cpus));
		free_any(&model);
		check_books(&model);
	}
	check_all_is_back();
	host_machine_end();
	free(model.owner);
	free(model.held);
}

static void random_traces(const struct policy *policy, unsigned cpus, unsigned steps)
{
	for (unsigned i = 0; i < LENGTH(layouts); i++)
		for (unsigned j = 0; j < LENGTH(settings); j++)
			random_trace(policy, &layouts[i], settings[j], cpus, steps);
}

POLICY_TEST(random_traces_of_one_cpu_agree_with_the_model)
{
	random_traces(policy, 1, 1500);
}

POLICY_TEST(random_traces_of_two_cpus_agree_with_the_model)
{
	random_traces(policy, 2, 1500);
}

POLICY_TEST(random_traces_of_five_cpus_agree_with_the_model)
{
	random_traces(policy, 5, 1500);
}

/* ---- exhaustion -------------------------------------------------------------------------- */

#define FRAMES_MAX 8192

/* A pile of frames that are ours, the latest on top. */
static pfn_t pile[FRAMES_MAX];
static unsigned piled;

static bool pile_one(void)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	if (pfn_is_none(frame))
		return false;
	CHECK(piled < FRAMES_MAX);
	pile[piled++] = frame;
	return true;
}

static void rise(unsigned frames)
{
	while (frames--)
		CHECK(pile_one());
}

static void fall(unsigned frames)
{
	while (frames--)
		frame_free(pile[--piled]);
}

/* Any of the pile, so that what comes back is scattered over many words. */
static void drop_any(void)
{
	unsigned at = (unsigned)unit_random_below(piled);

	frame_free(pile[at]);
	pile[at] = pile[--piled];
}

POLICY_TEST(one_cpu_gets_every_frame_of_every_zone)
{
	for (unsigned i = 0; i < LENGTH(layouts); i++)
		for (unsigned j = 0; j < LENGTH(settings); j++) {
			struct host_machine machine = {.policy = policy,
						       .capacity = settings[j].capacity,
						       .batch = settings[j].batch};
			uint64_t free_frames;

			host_machine_start(&machine, layouts[i].range, layouts[i].count);
			free_frames = frame_free_count();
			for (piled = 0; pile_one();)
				;
			CHECK_EQ(piled, free_frames);
			CHECK_EQ(frame_free_count(), 0);
			CHECK(pfn_is_none(frame_alloc_run(1, 0)));
			drop_any();
			CHECK_EQ(frame_free_count(), 1);
			CHECK(pile_one());
			CHECK(!pile_one());
			fall(piled);
			finish();
		}
}

/*
 * A frame of another zone waits in `remote`; an allocation that finds no other must find it there.
 */
POLICY_TEST(the_last_frame_is_found_wherever_this_cpu_keeps_it)
{
	static const struct host_range ranges[] = {{0x80000, 300, 0}, {0x80200, 200, 0}};
	struct host_machine machine = {.policy = policy, .capacity = 192, .batch = 64};

	host_machine_start(&machine, ranges, 2);
	for (piled = 0; pile_one();)
		;
	for (unsigned i = 0; i < piled; i++) {
		pfn_t frame = pile[i];

		frame_free(frame);
		CHECK(pfn_equal(frame_alloc(FRAME_ANY), frame));
		frame_free(frame);
		CHECK(pfn_equal(frame_alloc_run(1, 0), frame));
		CHECK(pfn_is_none(frame_alloc(FRAME_ANY)));
		frame_free_run(frame, 1);
		CHECK(pfn_equal(frame_alloc(FRAME_ANY), frame));
	}
	fall(piled);
	finish();
}

/* Fills the caches of all cpus but 0 as far as frames go round; all of them are free again. */
static void fill_other_caches(void)
{
	unsigned frames = 0;

	become(0);
	for (piled = 0; pile_one();)
		;
	for (unsigned cpu = 1; piled; cpu = cpu % (host_cpu_count - 1) + 1) {
		become(cpu);
		fall(1);
		frames++;
	}
	become(0);
	CHECK_EQ(frame_free_count(), frames);
}

POLICY_TEST(frames_in_other_cpus_caches_are_found_to_the_last)
{
	for (unsigned i = 0; i < LENGTH(layouts); i++)
		for (unsigned j = 0; j < LENGTH(settings); j++) {
			struct host_machine machine = {.policy = policy,
						       .cpus = 4,
						       .capacity = settings[j].capacity,
						       .batch = settings[j].batch};
			uint64_t free_frames;

			host_machine_start(&machine, layouts[i].range, layouts[i].count);
			spread_homes();
			free_frames = frame_free_count();
			fill_other_caches();
			while (pile_one())
				;
			CHECK_EQ(piled, free_frames);
			CHECK_EQ(frame_free_count(), 0);
			CHECK(pfn_is_none(frame_alloc_run(1, 0)));
			for (unsigned cpu = 0; cpu < 4; cpu++) {
				become(cpu);
				CHECK(!pile_one());
			}
			fall(piled);
			finish();
		}
}

/* One frame after the other is the only free one, in a cache that is not the asker's. */
POLICY_TEST(the_last_frame_is_found_in_another_cpus_cache)
{
	static const struct host_range ranges[] = {{0x80000, 300, 0}, {0x80200, 200, 0}};
	struct host_machine machine = {.policy = policy, .cpus = 3, .capacity = 192, .batch = 64};

	host_machine_start(&machine, ranges, 2);
	spread_homes();
	for (piled = 0; pile_one();)
		;
	for (unsigned i = 0; i < piled; i++) {
		become(1 + i % 2);
		frame_free(pile[i]);
		become(0);
		CHECK(pfn_equal(frame_alloc(FRAME_ANY), pile[i]));
		CHECK(pfn_is_none(frame_alloc(FRAME_ANY)));
		become(1 + i % 2);
		frame_free(pile[i]);
		become(0);
		CHECK(pfn_equal(frame_alloc_run(1, 0), pile[i]));
		frame_free_run(pile[i], 1);
		CHECK(pfn_equal(frame_alloc(FRAME_ANY), pile[i]));
	}
	fall(piled);
	finish();
}

/* Each frame of it in the cache of another than its neighbours. */
TEST(a_run_is_found_across_the_caches_of_all_cpus)
{
	pfn_t run;

	start_one_zone(1000, 4, 192, 64);
	for (piled = 0; pile_one();)
		;
	run = pile[100];
	for (unsigned i = 100; i < 140; i++) {
		CHECK_EQ(pile[i].value, run.value + i - 100);
		become(i % 4);
		frame_free(pile[i]);
	}
	become(0);
	CHECK(pfn_is_none(frame_alloc_run(41, 0)));
	CHECK(pfn_equal(frame_alloc_run(40, 0), run));
	CHECK(pfn_is_none(frame_alloc_run(1, 0)));
	frame_free_run(run, 40);
	for (unsigned i = 100; i < 140; i++)
		pile[i] = frame_alloc(FRAME_ANY);
	CHECK_EQ(frame_free_count(), 0);
	fall(piled);
	finish();
}

/* A cache that a shortage has parked is open again after the next operation, on every cpu. */
TEST(caches_are_used_again_after_a_shortage)
{
	start_one_zone(1000, 3, 192, 64);
	for (piled = 0; pile_one();)
		;
	fall(piled);
	for (unsigned cpu = 0; cpu < 3; cpu++) {
		struct frame_cache *cache = cache_of(cpu);

		become(cpu);
		frame_free(frame_alloc(FRAME_ANY));
		CHECK_EQ(cache->state, FRAME_CACHE_OPEN);
		CHECK_EQ(cache->limit - cache->bottom, 192);
		CHECK(frame_cache_level(cache) > 0);
	}
	finish();
}

TEST(a_machine_without_a_zone_has_no_frame)
{
	struct host_machine machine = {.capacity = 192, .batch = 64};
	struct host_range range = {0x80000, 1, 0};

	host_machine_start(&machine, &range, 1);
	CHECK_EQ(zones.count, 0);
	CHECK(pfn_is_none(frame_alloc(FRAME_ANY)));
	CHECK(pfn_is_none(frame_alloc(FRAME_ZERO)));
	CHECK(pfn_is_none(frame_alloc_run(1, 0)));
	CHECK_EQ(frame_total_count(), 0);
	finish();
}

/* ---- what an allocation promises ---------------------------------------------------------- */

TEST(zero_means_zero_on_a_hit_and_on_a_miss)
{
	static const char zeros[FRAME_SIZE];

	for (uint32_t capacity = 0; capacity <= 192; capacity += 96) {
		start_one_zone(500, 1, capacity, 0);
		for (piled = 0; pile_one();)
			memset(frame_bytes(pile[piled - 1]), 0xa5, FRAME_SIZE);
		fall(piled);
		for (pfn_t frame; frame = frame_alloc(FRAME_ZERO), !pfn_is_none(frame);) {
			CHECK(!memcmp(frame_bytes(frame), zeros, FRAME_SIZE));
			pile[piled++] = frame;
		}
		CHECK_EQ(frame_free_count(), 0);
		fall(piled);
		finish();
	}
}

/* The allocator writes nothing to a frame: without FRAME_ZERO its bytes are what they were. */
TEST(frames_are_not_touched)
{
	char filled[FRAME_SIZE];

	memset(filled, 0x5a, sizeof(filled));
	start_one_zone(500, 1, 192, 64);
	for (unsigned round = 0; round < 2; round++) {
		for (piled = 0; pile_one();) {
			if (round == 1)
				CHECK(!memcmp(frame_bytes(pile[piled - 1]), filled, FRAME_SIZE));
			memset(frame_bytes(pile[piled - 1]), 0x5a, FRAME_SIZE);
		}
		while (piled)
			drop_any();
	}
	finish();
}

static uint64_t frames_free_within_scope(bool disowns, pfn_t *frame)
{
	frame_owner owner = frame_own(frame_alloc(FRAME_ANY));
	uint64_t free_frames = frame_free_count();

	*frame = owner.frame;
	if (disowns)
		CHECK(pfn_equal(frame_disown(&owner), *frame));
	return free_frames;
}

TEST(an_owner_frees_its_frame_at_the_end_of_its_scope)
{
	uint64_t free_frames;
	pfn_t frame;

	start_one_zone(500, 1, 192, 64);
	free_frames = frame_free_count();
	CHECK_EQ(frames_free_within_scope(false, &frame), free_frames - 1);
	CHECK_EQ(frame_free_count(), free_frames);
	CHECK_EQ(frames_free_within_scope(true, &frame), free_frames - 1);
	CHECK_EQ(frame_free_count(), free_frames - 1);
	frame_free(frame);
	for (piled = 0; pile_one();)
		;
	CHECK_EQ(frames_free_within_scope(false, &frame), 0);
	CHECK(pfn_is_none(frame));
	fall(piled);
	finish();
}

TEST(runs_that_cannot_be_are_refused_and_lose_nothing)
{
	uint64_t free_frames;

	start_one_zone(1000, 1, 192, 64);
	free_frames = frame_free_count();
	frame_free(frame_alloc(FRAME_ANY));
	for (unsigned shift = 12; shift < 64; shift++)
		CHECK(pfn_is_none(frame_alloc_run(1, UINT64_C(1) << (shift < 20 ? 20 : shift))));
	CHECK(pfn_is_none(frame_alloc_run(free_frames + 1, 0)));
	CHECK(pfn_is_none(frame_alloc_run(UINT64_MAX, 0)));
	CHECK_EQ(frame_free_count(), free_frames);
	pile[0] = frame_alloc_run(free_frames, 0);
	CHECK_EQ(frame_free_count(), 0);
	frame_free_run(pile[0], free_frames);
	finish();
}

/* ---- callers' mistakes: each is caught by the call that makes it, and changes nothing ------- */

#if CHECKS

/* Functions, since the jump out of a panic forgets a loop's counter where it is caught. */
static void expect_bad_free(pfn_t frame, const char *text)
{
	EXPECT_PANIC(frame_free(frame), text);
	EXPECT_PANIC(frame_free_called(frame), text);
	EXPECT_PANIC(frame_free(frame), "called from [<0x");
}

static void expect_bad_free_address(uint64_t address, const char *text)
{
	EXPECT_PANIC(frame_free_address(phys(address)), text);
	EXPECT_PANIC(frame_free_address(phys(address)), "called from [<0x");
}

static void expect_bad_free_run(pfn_t first, uint64_t count, const char *text)
{
	EXPECT_PANIC(frame_free_run(first, count), text);
	EXPECT_PANIC(frame_free_run(first, count), "called from [<0x");
}

static void expect_bad_alloc_run(uint64_t count, uint64_t align, const char *text)
{
	EXPECT_PANIC((void)frame_alloc_run(count, align), text);
	EXPECT_PANIC((void)frame_alloc_run(count, align), "called from [<0x");
}

/*
 * Runs a test with caches off, tiny and whole, on two zones with a hole between them and a cpu
 * at home in each. It is given a frame of cpu 0's, and frees it.
 */
static void with_each_cache(void (*test)(pfn_t frame))
{
	static const struct host_range ranges[] = {{0x80000, 400, 0}, {0x80200, 500, 1}};
	static const uint32_t capacities[] = {0, 2, 192};

	for (unsigned i = 0; i < LENGTH(capacities); i++) {
		struct host_machine machine = {.cpus = 2, .capacity = capacities[i]};
		uint64_t free_frames;

		host_machine_start(&machine, ranges, 2);
		spread_homes();
		free_frames = frame_free_count();
		test(frame_alloc(FRAME_ANY));
		CHECK_EQ(frame_free_count(), free_frames);
		finish();
	}
}

/* What a free says of a run of which frame i, and what is behind it, is free; i < count. */
static const char *says_ends_at(pfn_t run, uint64_t i, uint64_t count)
{
	static char text[80];

	snprintf(text, sizeof(text),
		 i ? "run %#llx has %llu frames, not %llu" : "run %#llx is freed twice",
		 (unsigned long long)run.value, (unsigned long long)i, (unsigned long long)count);
	return text;
}

static void free_run_with(uint8_t *state, uint8_t damage, pfn_t run, uint64_t count,
			  const char *text)
{
	uint8_t was = *state;

	*state = damage;
	expect_bad_free_run(run, count, text);
	*state = was;
}

/* Frame i of a run: the state that it has, which is its own or its word's, and its own if it has none. */
static void free_run_damaged_at(struct zone *zone, pfn_t run, uint64_t i, uint64_t count)
{
	uint64_t frame = run.value + i, word = frame & ~UINT64_C(63);
	uint8_t *own = &zone->state[frame - zone->first], *words = zone_word_state(zone, frame);
	bool whole = word >= run.value && word + 64 <= run.value + count;

	CHECK_EQ(*words, !whole		     ? 0
			 : word == run.value ? FRAME_STATE_RUN_HEAD
					     : FRAME_STATE_RUN_BODY);
	CHECK_EQ(*own, whole ? 0 : i ? FRAME_STATE_RUN_BODY : FRAME_STATE_RUN_HEAD);
	if (whole) {
		free_run_with(own, FRAME_STATE_ALLOCATED, run, count,
			      "was handed out more than once");
		free_run_with(words, 0, run, count, says_ends_at(run, word - run.value, count));
		if (word > run.value)
			free_run_with(words, FRAME_STATE_RUN_HEAD, run, count,
				      says_ends_at(run, word - run.value, count));
	} else {
		free_run_with(own, FRAME_STATE_FREE, run, count, says_ends_at(run, i, count));
	}
	expect_bad_free(pfn(frame), "is part of a run");
	if (i)
		expect_bad_free_run(pfn(frame), count - i, "expected the head");
	if (i)
		expect_bad_free_run(run, i, "has more than");
}

/* A long run, wherever it begins: each frame that is not of it any more is named, and none is lost. */
static void free_long_run_damaged(uint64_t before, uint64_t count, uint64_t align)
{
	struct zone *zone = &zones.zone[0];
	pfn_t aside = before ? frame_alloc_run(before, 0) : PFN_NONE;
	pfn_t run = frame_alloc_run(count, align);
	uint64_t end = run.value + count;

	for (uint64_t i = 0; i < count; i++)
		free_run_damaged_at(zone, run, i, count);
	free_run_with(&zone->state[end - zone->first], FRAME_STATE_RUN_BODY, run, count,
		      "has more than");
	if (end % 64 == 0)
		free_run_with(zone_word_state(zone, end), FRAME_STATE_RUN_BODY, run, count,
			      "has more than");
	frame_free_run(run, count);
	expect_bad_free_run(run, count, "freed twice");
	for (uint64_t frame = run.value; frame < end; frame++) {
		CHECK_EQ(zone_frame_state(zone, frame), FRAME_STATE_FREE);
		CHECK_EQ(zone->state[frame - zone->first], FRAME_STATE_FREE);
	}
	if (before)
		frame_free_run(aside, before);
}

TEST(each_frame_of_a_long_run_is_looked_at)
{
	static const uint64_t counts[] = {1, 8, 63, 64, 65, 129, 192, 512, 515, 1024};
	struct host_range range = {0x80000, 4096, 0};
	struct host_machine machine = {.cpus = 1};

	for (unsigned i = 0; i < LENGTH(counts); i++)
		for (uint64_t before = 0; before < 10; before += 3) {
			host_machine_start(&machine, &range, 1);
			free_long_run_damaged(before, counts[i], before % 2 ? 0 : 512);
			finish();
		}
}

/* The zone begins in the middle of a word and of a chunk; runs of all lengths and places, side by side. */
TEST(a_run_has_the_states_of_its_frames_and_of_no_other)
{
	static const uint64_t counts[] = {1, 63, 64, 127, 512, 100, 64, 700, 128, 65};
	struct host_range range = {0x80000 + 77, 4096, 0};
	struct host_machine machine = {.cpus = 1};
	pfn_t run[LENGTH(counts)];
	const struct zone *zone;

	host_machine_start(&machine, &range, 1);
	zone = &zones.zone[0];
	for (unsigned i = 0; i < LENGTH(counts); i++)
		run[i] = frame_alloc_run(counts[i], i % 3 == 1 ? 64 : 0);
	for (unsigned freed = 0; freed <= LENGTH(counts); freed++) {
		uint64_t allocated = 0;

		for (unsigned i = 0; i < LENGTH(counts); i++)
			for (uint64_t j = 0; j < counts[i]; j++)
				CHECK_EQ(zone_frame_state(zone, run[i].value + j),
					 i < freed ? FRAME_STATE_FREE
					 : j	   ? FRAME_STATE_RUN_BODY
						   : FRAME_STATE_RUN_HEAD);
		for (unsigned i = freed; i < LENGTH(counts); i++)
			allocated += counts[i];
		CHECK_EQ(frame_states_allocated(zone), allocated);
		frame_validate();
		if (freed < LENGTH(counts))
			frame_free_run(run[freed], counts[freed]);
	}
	finish();
}

static void validate_with(uint8_t *state, uint8_t damage, const char *text)
{
	uint8_t was = *state;

	*state = damage;
	EXPECT_PANIC(frame_validate(), text);
	*state = was;
}

/* As if a policy had handed out frames of a run: what sees it, and when. */
TEST(a_frame_of_a_run_that_is_handed_out_again_is_caught)
{
	struct host_range range = {0x80000, 4096, 0};
	struct host_machine machine = {.cpus = 1};
	struct zone *zone;
	pfn_t run;

	host_machine_start(&machine, &range, 1);
	zone = &zones.zone[0];
	run = frame_alloc_run(512, 512);
	validate_with(&zone->state[run.value + 200 - zone->first], FRAME_STATE_ALLOCATED,
		      "handed out more than once");
	validate_with(zone_word_state(zone, run.value + 200), 0,
		      "and the frame before it has state 0");
	validate_with(zone_word_state(zone, run.value + 200), 7, "has state 0x7, expected a run's");
	frame_free_run(run, 512);
	for (unsigned word = 0; word < 8; word++) {
		uint8_t *state = zone_word_state(zone, run.value + 64 * word);

		*state = FRAME_STATE_RUN_BODY;
		EXPECT_PANIC((void)frame_alloc_run(512, 512),
			     "is handed out twice: it is part of a run");
		*state = FRAME_STATE_FREE;
		zone_release_run(zone, run.value, 512);
	}
	finish();
}

static void free_twice(pfn_t frame)
{
	frame_free(frame);
	expect_bad_free(frame, "freed twice");
	expect_bad_free_address(pfn_to_phys(frame).value, "freed twice");
	expect_bad_free_run(frame, 1, "freed twice");
	become(1);
	expect_bad_free(frame, "freed twice");
	frame_free(frame_alloc(FRAME_ANY));
	expect_bad_free(frame, "freed twice");
	flush_all_caches();
	expect_bad_free(frame, "freed twice");
	become(1);
	expect_bad_free(frame, "freed twice");
}

TEST(a_frame_freed_twice_is_caught_wherever_it_is)
{
	with_each_cache(free_twice);
}

/* Freed by cpu 1, whose cache is of the other zone: the frame waits there to go home. */
static void free_twice_far_from_home(pfn_t frame)
{
	become(1);
	frame_free(frame_alloc(FRAME_ANY));
	frame_free(frame);
	expect_bad_free(frame, "freed twice");
	become(0);
	expect_bad_free(frame, "freed twice");
}

TEST(a_frame_freed_twice_is_caught_on_its_way_home)
{
	with_each_cache(free_twice_far_from_home);
}

static void free_foreign(pfn_t frame)
{
	static const uint64_t foreign[] = {
		0,	 0x7ffff, /* below all zones */
		0x80190, 0x801ff, /* between them */
		0x803f4, UINT64_C(1) << 52, UINT64_C(1) << 63, UINT64_MAX,
	};

	for (unsigned i = 0; i < LENGTH(foreign); i++) {
		expect_bad_free(pfn(foreign[i]), "foreign");
		expect_bad_free_run(pfn(foreign[i]), 1, "foreign");
	}
	expect_bad_free_address(0, "foreign");
	expect_bad_free_run(pfn(0x80190 - 2), 3, "foreign");
	expect_bad_free_run(pfn(0x80190 - 2), UINT64_MAX, "foreign");
	frame_free(frame);
}

TEST(foreign_frames_are_caught)
{
	with_each_cache(free_foreign);
}

static void free_within_a_frame(pfn_t frame)
{
	static const uint64_t offsets[] = {1, 8, 64, 2048, 4095};
	uint64_t address = pfn_to_phys(frame).value;

	for (unsigned i = 0; i < LENGTH(offsets); i++)
		expect_bad_free_address(address + offsets[i], "misaligned");
	expect_bad_free_address(UINT64_MAX, "misaligned");
	frame_free_address(phys(address));
}

TEST(addresses_within_a_frame_are_caught)
{
	with_each_cache(free_within_a_frame);
}

/* The last of a zone is in no cache yet. */
static void free_what_never_was(pfn_t frame)
{
	for (unsigned i = 0; i < zones.count; i++) {
		struct zone *zone = &zones.zone[i];
		pfn_t last = pfn(zone->first + zone->total_frames - 1);

		expect_bad_free(last, "never allocated");
		expect_bad_free_run(last, 1, "its state is free");
		for (uint64_t j = 0; j < zone->reserved_frames; j++) {
			expect_bad_free(pfn(zone->first + j), "reserved");
			expect_bad_free_run(pfn(zone->first + j), 1, "state 0x80");
		}
	}
	frame_free(frame);
}

TEST(frames_never_given_out_are_caught)
{
	with_each_cache(free_what_never_was);
}

static void free_parts_of_runs(pfn_t frame)
{
	pfn_t run = frame_alloc_run(8, 8), next = frame_alloc_run(8, 8);

	CHECK_EQ(next.value, run.value + 8);
	for (unsigned i = 0; i < 8; i++)
		expect_bad_free(pfn_add(run, i), "part of a run");
	for (unsigned i = 1; i < 8; i++) {
		expect_bad_free_run(run, i, "has more than");
		expect_bad_free_run(run, 8 + i, "has 8 frames");
		expect_bad_free_run(pfn_add(run, i), 8 - i, "expected the head");
	}
	expect_bad_free_run(run, 0, "0 frames");
	expect_bad_free_run(frame, 1, "expected the head");
	frame_free_run(run, 8);
	expect_bad_free_run(run, 8, "freed twice");
	expect_bad_free(run, "freed twice");
	frame_free_run(next, 8);
	frame_free(frame);
}

TEST(runs_are_freed_whole_and_once)
{
	with_each_cache(free_parts_of_runs);
}

/* The last run of a zone has no frame behind it to look at. */
static void free_run_at_the_end(pfn_t frame)
{
	uint64_t frames = zone_free_frames(&zones.zone[1]);
	pfn_t run = frame_alloc_run(frames, 0);

	CHECK_EQ(run.value + frames, 0x80200 + 500);
	expect_bad_free_run(run, frames - 1, "has more than");
	expect_bad_free_run(run, frames + 1, "foreign");
	frame_free_run(run, frames);
	frame_free(frame);
}

TEST(a_run_at_the_end_of_its_zone_is_freed_whole)
{
	with_each_cache(free_run_at_the_end);
}

static void ask_for_senseless_runs(pfn_t frame)
{
	static const uint64_t aligns[] = {3, 5, 6, 24, 1000, UINT64_MAX, (UINT64_C(1) << 63) + 1};

	for (unsigned i = 0; i < LENGTH(aligns); i++)
		expect_bad_alloc_run(1, aligns[i], "not a power of two");
	expect_bad_alloc_run(0, 0, "0 frames");
	expect_bad_alloc_run(0, 64, "0 frames");
	frame_free(frame);
}

TEST(senseless_runs_are_caught)
{
	with_each_cache(ask_for_senseless_runs);
}

/* As if the allocator had handed a frame out twice: the first of the two frees panics. */
static void free_with_two_owners(pfn_t frame)
{
	uint8_t *state = &zone_of(frame.value)->state[frame.value - zone_of(frame.value)->first];

	++*state;
	expect_bad_free(frame, "handed out more than once");
	--*state;
	frame_free(frame);
}

TEST(a_frame_with_two_owners_is_caught_at_the_first_free)
{
	with_each_cache(free_with_two_owners);
}

#endif

TEST(a_cache_of_less_than_two_batches_is_refused)
{
	start_one_zone(2000, 1, 192, 64);
	piled = 0;
	rise(10);
	EXPECT_PANIC(frame_cache_configure(1, 0), "at most half of the capacity");
	EXPECT_PANIC(frame_cache_configure(1, 1), "at most half of the capacity");
	EXPECT_PANIC(frame_cache_configure(127, 64), "at most half of the capacity");
	EXPECT_PANIC(frame_cache_configure(192, UINT32_MAX), "at most half of the capacity");
	EXPECT_PANIC(frame_cache_configure(1000, 97), "at most half of the capacity");
	frame_validate();
	fall(10);
	finish();
	start_one_zone(2000, 1, 1100, 64);
	EXPECT_PANIC(frame_cache_configure(1100, FRAME_CACHE_BATCH_MAX + 1), "at most 512");
	frame_cache_configure(1100, FRAME_CACHE_BATCH_MAX);
	rise(10);
	frame_validate();
	fall(10);
	finish();
}

/* ---- settings ---------------------------------------------------------------------------- */

static uint64_t stack_level(void)
{
	const struct frame_cache *cache = frame_cache_self();

	return (uint64_t)(cache->top - cache->bottom);
}

static uint64_t stack_limit(void)
{
	const struct frame_cache *cache = frame_cache_self();

	return (uint64_t)(cache->limit - cache->bottom);
}

/* Far up and all the way down: the stack comes to hold this many frames, and never more. */
static void check_capacity(uint32_t capacity)
{
	uint64_t level_max = 0;

	rise(3 * capacity + 10);
	while (piled) {
		drop_any();
		if (stack_level() > level_max)
			level_max = stack_level();
	}
	CHECK_EQ(level_max, capacity);
	frame_validate();
}

TEST(a_cache_is_configured_anew_at_any_level)
{
	static const uint32_t capacities[] = {0, 2, 3, 127, 128, 192, 1000};

	start_one_zone(4000, 1, 1000, 64);
	piled = 0;
	for (unsigned i = 0; i < LENGTH(capacities); i++)
		for (unsigned j = 0; j < LENGTH(capacities); j++) {
			uint64_t free_frames = frame_free_count();

			frame_cache_configure(capacities[i], 0);
			rise(capacities[i] + 5);
			fall((unsigned)unit_random_below(capacities[i] + 6));
			frame_cache_configure(capacities[j], capacities[j] / 2);
			CHECK_EQ(frame_cache_level(frame_cache_self()), 0);
			CHECK_EQ(frame_free_count() + piled, free_frames);
			frame_validate();
			fall(piled);
			check_capacity(capacities[j]);
		}
	finish();
}

TEST(a_cache_never_outgrows_its_memory)
{
	start_one_zone(4000, 1, 192, 64);
	frame_cache_configure(1000, 64);
	piled = 0;
	check_capacity(192);
	finish();
}

/* ---- the adaptive batch ------------------------------------------------------------------ */

/*
 * Contention by appointment: cpu 0 holds the zone's lock until cpu 1 stands in the queue for it.
 * The queue is that of Mellor-Crummey and Scott, whose tail shows which CPU came last.
 */
struct appointment {
	struct spinlock *lock;
	bool held;
	pfn_t frame;
};

static void keep_appointment(void *argument)
{
	struct appointment *appointment = argument;
	struct spinlock *lock = appointment->lock;
	struct spin_node node;

	if (port_cpu() == 1) {
		while (!__atomic_load_n(&appointment->held, __ATOMIC_ACQUIRE))
			port_relax();
		appointment->frame = frame_alloc(FRAME_ANY);
		return;
	}
	spin_lock(lock, &node);
	__atomic_store_n(&appointment->held, true, __ATOMIC_RELEASE);
	while (__atomic_load_n(&lock->word.mcs, __ATOMIC_RELAXED) == &node.mcs)
		port_relax();
	spin_unlock(lock, &node);
}

/* One refill of cpu 1 that had to wait. */
static void refill_contended(void)
{
	struct appointment appointment = {.lock = &zones.zone[0].lock};

	become(1);
	frame_cache_flush();
	become(0);
	host_run(keep_appointment, &appointment);
	become(1);
	frame_free(appointment.frame);
}

static void start_adaptive(uint32_t capacity)
{
	struct host_machine machine = {.lock = SPIN_MCS, .cpus = 2, .capacity = capacity};
	struct host_range range = {0x80200, FRAMES_MAX, 0};

	host_machine_start(&machine, &range, 1);
	become(1);
	piled = 0;
}

CONCURRENT_TEST(a_batch_doubles_when_its_cpu_waits_as_far_as_there_is_room)
{
	static const struct {
		uint32_t capacity, batch[5];
	} growth[] = {
		{100, {50, 50, 50, 50, 50}},	  {130, {64, 64, 64, 64, 64}},
		{192, {64, 64, 64, 64, 64}},	  {319, {64, 64, 64, 64, 64}},
		{320, {64, 128, 128, 128, 128}},  {1000, {64, 128, 256, 256, 256}},
		{1088, {64, 128, 256, 512, 512}}, {2000, {64, 128, 256, 512, 512}},
	};

	for (unsigned i = 0; i < LENGTH(growth); i++) {
		start_adaptive(growth[i].capacity);
		for (unsigned waits = 0; waits < 5; waits++) {
			CHECK_EQ(cache_of(1)->batch, growth[i].batch[waits]);
			refill_contended();
			CHECK_EQ(cache_of(1)->stats.contended, waits + 1);
		}
		frame_validate();
		CHECK_EQ(cache_of(0)->batch, growth[i].batch[0]);
		finish();
	}
}

CONCURRENT_TEST(a_fixed_batch_does_not_grow)
{
	start_adaptive(1088);
	frame_cache_configure(1088, 64);
	for (unsigned waits = 0; waits < 3; waits++)
		refill_contended();
	CHECK_EQ(cache_of(1)->batch, 64);
	finish();
}

/* It stays for a while, then comes down by halves, and the stack's limit with it. */
CONCURRENT_TEST(a_batch_is_halved_when_its_cpu_waits_no_more)
{
	uint32_t batch = 512;
	uint64_t holds = 0;

	start_adaptive(1088);
	for (unsigned waits = 0; waits < 3; waits++)
		refill_contended();
	CHECK_EQ(cache_of(1)->batch, batch);
	while (cache_of(1)->batch > 64) {
		CHECK_EQ(stack_limit(), 2 * batch + FRAME_CACHE_SURPLUS);
		frame_cache_flush();
		frame_free(frame_alloc(FRAME_ANY));
		CHECK(++holds < 1000);
		if (cache_of(1)->batch == batch)
			continue;
		CHECK_EQ(cache_of(1)->batch, batch / 2);
		CHECK(holds >= 16);
		batch /= 2;
		holds = 0;
	}
	frame_validate();
	check_capacity((uint32_t)stack_limit());
	finish();
}

/* ---- the lock bound ---------------------------------------------------------------------- */

/*
 * However a cpu allocates and frees, it takes a zone's lock at most once in `batch` operations,
 * and once more for the level it began at, and once for each zone whose frames it had waiting.
 * While every zone has a batch to give, that is, and no batch lies in more than POLICY_WORDS_MAX
 * words: the zones here are too small for that, or the batches are.
 *
 * Frames of zones other than the cache's go home FRAME_CACHE_BATCH at a time, and pay for their
 * locks with as many. Without CHECKS a cache does not keep them apart, and a flush takes the lock
 * of every zone that it has frames of.
 */
struct bound {
	uint64_t batch, holds_each, constant, holds, operations;
};

static const struct setting bounded[] = {
	{2, 1},	   {3, 1},   {4, 2},	{5, 2},	   {8, 4},     {9, 3},	   {40, 16},	{127, 63},
	{128, 64}, {192, 0}, {192, 64}, {192, 96}, {256, 128}, {1000, 64}, {1000, 500}, {1024, 512},
};

static uint64_t lock_holds(void)
{
	struct spin_stats sum = {0};

	for (unsigned i = 0; i < zones.count; i++)
		spin_stats_add(&zones.zone[i].lock, &sum);
	return sum.acquisitions;
}

/* Of what `cpus` cpus together do from here on. */
static struct bound bound_start(unsigned cpus)
{
	uint64_t batch = frame_cache_self()->batch;

	if (CHECKS && zones.count > 1 && batch > FRAME_CACHE_BATCH)
		batch = FRAME_CACHE_BATCH;
	return (struct bound){.batch = batch,
			      .holds_each = CHECKS ? 1 : zones.count,
			      .constant = cpus * (zones.count + 1),
			      .holds = lock_holds()};
}

static void bound_check(struct bound *bound, uint64_t operations)
{
	bound->operations += operations;
	CHECK(lock_holds() - bound->holds <=
	      bound->operations * bound->holds_each / bound->batch + bound->constant);
}

static void saw_teeth(unsigned amplitude, unsigned teeth)
{
	struct bound bound = bound_start(1);

	for (unsigned tooth = 0; tooth < teeth; tooth++) {
		rise(amplitude);
		bound_check(&bound, amplitude);
		fall(amplitude);
		bound_check(&bound, amplitude);
	}
}

TEST(saw_teeth_of_every_amplitude_keep_the_lock_bound)
{
	for (unsigned i = 0; i < LENGTH(bounded); i++) {
		unsigned amplitude_max = 2 * bounded[i].capacity + 2;

		start_one_zone(FRAMES_MAX, 1, bounded[i].capacity, bounded[i].batch);
		piled = 0;
		for (unsigned amplitude = 1; amplitude <= amplitude_max; amplitude++)
			saw_teeth(amplitude, 8);
		finish();
	}
}

/* The same few amplitudes from every level of the cache. */
TEST(saw_teeth_at_every_level_keep_the_lock_bound)
{
	for (unsigned i = 0; i < LENGTH(bounded); i++) {
		unsigned capacity = bounded[i].capacity, batch;

		start_one_zone(FRAMES_MAX, 1, capacity, bounded[i].batch);
		batch = frame_cache_self()->batch;
		for (piled = 0; piled <= capacity;) {
			saw_teeth(1, 4);
			saw_teeth(2, 4);
			saw_teeth(batch - (batch > 1), 4);
			saw_teeth(batch, 4);
			saw_teeth(batch + 1, 4);
			saw_teeth(capacity - batch, 4);
			saw_teeth(capacity - 1, 4);
			saw_teeth(capacity, 4);
			saw_teeth(capacity + 1, 4);
			rise(1 + capacity / 256);
		}
		fall(piled);
		finish();
	}
}

POLICY_TEST(all_up_and_all_down_keep_the_lock_bound)
{
	for (unsigned i = 0; i < LENGTH(bounded); i++) {
		struct bound bound;

		start_zone_of(policy, FRAMES_MAX, 1, bounded[i].capacity, bounded[i].batch);
		piled = 0;
		bound = bound_start(1);
		rise(7000);
		bound_check(&bound, 7000);
		while (piled) {
			drop_any();
			bound_check(&bound, 1);
		}
		finish();
	}
}

/* Up to `longest` operations in one direction, then perhaps in the other. */
static void random_walk(unsigned operations, unsigned longest, unsigned piled_max)
{
	struct bound bound = bound_start(1);

	while (operations) {
		unsigned part = 1 + (unsigned)unit_random_below(longest);
		bool up = unit_random() & 1;

		if (part > operations)
			part = operations;
		for (unsigned i = 0; i < part; i++)
			if (piled < piled_max && (up || !piled))
				rise(1);
			else
				drop_any();
		bound_check(&bound, part);
		operations -= part;
	}
}

POLICY_TEST(random_walks_keep_the_lock_bound)
{
	for (unsigned i = 0; i < LENGTH(bounded); i++) {
		start_zone_of(policy, FRAMES_MAX, 1, bounded[i].capacity, bounded[i].batch);
		piled = 0;
		for (unsigned longest = 1; longest <= 1024; longest *= 2)
			random_walk(5000, longest, 6000);
		fall(piled);
		finish();
	}
}

/* Up until the lock has been taken `holds` times more, or the zone has no batch left. */
static unsigned rise_by_holds(uint64_t holds)
{
	uint64_t end = lock_holds() + holds;
	unsigned operations = 0;

	for (; lock_holds() < end; operations++) {
		if (zone_free_frames(&zones.zone[0]) < frame_cache_self()->batch)
			break;
		rise(1);
	}
	return operations;
}

static unsigned fall_by_holds(uint64_t holds, unsigned piled_min)
{
	uint64_t end = lock_holds() + holds;
	unsigned operations = 0;

	for (; lock_holds() < end && piled > piled_min; operations++)
		fall(1);
	return operations;
}

/* Turns round as soon as a lock was taken: the worst that can be done to a cache. */
static void turn_at_every_lock(unsigned piled_min)
{
	struct bound bound = bound_start(1);

	for (unsigned turn = 0; turn < 100; turn++) {
		unsigned ups = 1 + (unsigned)unit_random_below(turn < 50 ? 1 : 3);
		unsigned downs = 1 + (unsigned)unit_random_below(turn < 50 ? 1 : 3);

		bound_check(&bound, rise_by_holds(ups));
		bound_check(&bound, fall_by_holds(downs, piled_min));
	}
}

/*
 * In words that lack some of their frames: two of them may bring nearly twice a batch, and what
 * the stack has room for decides how soon it is full again.
 */
TEST(turning_at_every_lock_keeps_the_lock_bound)
{
	static const unsigned taken_of_64[] = {0, 1, 2, 20, 31, 32, 33, 50};

	for (unsigned i = 0; i < LENGTH(bounded); i++)
		for (unsigned j = 0; j < LENGTH(taken_of_64); j++) {
			unsigned kept = 0;

			start_one_zone(FRAMES_MAX, 1, bounded[i].capacity, bounded[i].batch);
			for (piled = 0; pile_one();)
				;
			for (unsigned k = 0; k < piled; k++)
				if (pile[k].value % 64 < taken_of_64[j]) {
					pfn_t frame = pile[k];

					pile[k] = pile[kept];
					pile[kept++] = frame;
				}
			fall(piled - kept);
			frame_cache_flush();
			turn_at_every_lock(kept);
			fall(piled);
			finish();
		}
}

/* One free frame in each word of 64: a batch takes as many words as it has frames. */
TEST(a_zone_of_lone_frames_keeps_the_lock_bound)
{
	static pfn_t runs[2000];

	for (unsigned i = 0; i < LENGTH(bounded) && bounded[i].batch <= POLICY_WORDS_MAX; i++) {
		unsigned count = 0;

		start_one_zone(64 * LENGTH(runs), 1, bounded[i].capacity, bounded[i].batch);
		for (pfn_t run; run = frame_alloc_run(63, 64), !pfn_is_none(run);)
			runs[count++] = run;
		CHECK(frame_free_count() < LENGTH(runs) + 64);
		piled = 0;
		for (unsigned longest = 1; longest <= 512; longest *= 2)
			random_walk(5000, longest, 500);
		fall(piled);
		while (count)
			frame_free_run(runs[--count], 63);
		finish();
	}
}

/* Allocates on one cpu what another frees: all of it is of the wrong zone for that one. */
static void hand_over(unsigned from, unsigned to, unsigned frames)
{
	become(from);
	rise(frames);
	become(to);
	while (frames--)
		drop_any();
}

/*
 * Two cpus at home in two zones free each other's frames among their own, in parts of every
 * size. The bound is of all their holds together, so both have their constant part in it.
 */
TEST(alternating_zones_keep_the_lock_bound)
{
	static const struct host_range ranges[] = {{0x80000, 9000, 0}, {0x90000, 9000, 1}};

	for (unsigned i = 0; i < LENGTH(bounded); i++) {
		struct host_machine machine = {
			.cpus = 2, .capacity = bounded[i].capacity, .batch = bounded[i].batch};
		struct bound bound;

		host_machine_start(&machine, ranges, 2);
		spread_homes();
		piled = 0;
		bound = bound_start(2);
		for (unsigned part = 1; part <= 300; part++) {
			hand_over(1, 0, part);
			hand_over(0, 1, part);
			hand_over(0, 0, part);
			bound_check(&bound, 6 * part);
		}
		finish();
	}
}

/* A cpu whose home was empty for a while has frames of both zones: now one, now the other. */
TEST(one_cpu_with_frames_of_two_zones_keeps_the_lock_bound)
{
	static const struct host_range ranges[] = {{0x80000, 3000, 0}, {0x90000, 2900, 0}};

	for (unsigned i = 0; i < LENGTH(bounded); i++) {
		struct host_machine machine = {.capacity = bounded[i].capacity,
					       .batch = bounded[i].batch};
		struct bound bound;

		host_machine_start(&machine, ranges, 2);
		for (piled = 0; pile_one();)
			;
		while (zone_free_frames(&zones.zone[0]) < 1000 ||
		       zone_free_frames(&zones.zone[1]) < 1000)
			drop_any();
		bound = bound_start(1);
		for (unsigned step = 0; step < 1500; step++) {
			drop_any();
			bound_check(&bound, 1);
		}
		while (piled)
			drop_any();
		finish();
	}
}

/*
 * Another cpu, whose cache is off, keeps giving single frames to a home zone that is empty. To
 * take them at once would cost a lock each: they are left until they make a batch.
 */
TEST(a_trickle_into_the_home_zone_keeps_the_lock_bound)
{
	static const struct host_range ranges[] = {{0x80000, 3000, 0}, {0x90000, 2900, 0}};

	for (unsigned i = 0; i < LENGTH(bounded); i++) {
		struct host_machine machine = {
			.cpus = 2, .capacity = bounded[i].capacity, .batch = bounded[i].batch};
		uint64_t holds = 0;

		host_machine_start(&machine, ranges, 2);
		become(1);
		frame_cache_configure(0, 0);
		for (piled = 0; pile_one();)
			;
		fall(2500);
		for (unsigned step = 0; step < 1500; step++) {
			become(1);
			frame_free(pile[step]);
			pile[step] = pile[--piled];
			become(0);
			holds -= lock_holds();
			rise(1);
			holds += lock_holds();
			CHECK(holds <= (step + 1) / cache_of(0)->batch + zones.count + 1);
		}
		fall(piled);
		finish();
	}
}

/* After a change of setting the new one's bound holds: nothing of the old one is left. */
TEST(a_cache_configured_anew_keeps_its_lock_bound)
{
	start_one_zone(FRAMES_MAX, 1, 1024, 64);
	piled = 0;
	for (unsigned i = 0; i < 3 * LENGTH(bounded); i++) {
		struct setting setting = bounded[i % LENGTH(bounded)];

		frame_cache_configure(setting.capacity, setting.batch);
		for (unsigned amplitude = 1; amplitude < 500; amplitude += 31)
			saw_teeth(amplitude, 4);
		random_walk(1000, 100, 6000);
	}
	fall(piled);
	finish();
}
