/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 */
/*
 * test_scale.c - zones of terabytes, runs of many GiB, and 70 and 130 CPUs on several nodes, for every
 * policy: what no small machine shows. A product of 32 bits, a set of 64 CPUs, a first node that has not
 * even room for its own tables.
 *
 * One thread runs all CPUs in turn (become()). The memory is mapped without a reserve and is dirty where
 * tables lie (support/port.c); only pages that a test touches are there. A frame that is held has its
 * number in it, so two owners of one frame are found without a byte for each frame of a terabyte.
 *
 * Covers: mm/frame.c mm/frame_state.c mm/percpu/ mm/global/
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/policies.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"
#include "unit.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define GIB_FRAMES    (UINT64_C(1) << (30 - FRAME_SHIFT))
#define TIB_FRAMES    (1024 * GIB_FRAMES)

/* A state byte a frame is written when a zone is made; without them a zone is as large as one may be. */
#define HUGE_FRAMES (CHECKS ? TIB_FRAMES : ZONE_FRAMES_MAX)

/* In a free list each frame has a link, so each one is touched. */
static uint64_t most_frames(const struct policy *policy)
{
	if (policy->uses_frames)
		return 4096;
	return policy->exact_runs ? HUGE_FRAMES : HUGE_FRAMES / 4;
}

static void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

static struct frame_cache *cache_of(unsigned cpu)
{
	return port_area_of(cpu);
}

static void start_one(const struct policy *policy, uint64_t frames, unsigned cpus, uint32_t capacity)
{
	struct host_machine machine = {.policy = policy, .cpus = cpus, .capacity = capacity};
	struct host_range range = {0x80200, frames, 0};

	printf("# policy %s\n", policy->name);
	host_machine_start(&machine, &range, 1);
	CHECK_EQ(zones.count, 1);
}

static void end_at_rest(uint64_t free_frames)
{
	become(0);
	CHECK(!frame_drain_pressure());
	frame_validate();
	CHECK_EQ(frame_free_count(), free_frames);
	host_machine_end();
}

/* ---- runs ---------------------------------------------------------------------------------- */

struct run {
	uint64_t count, align, first;
};

static const struct run runs_wanted[] = {
	{2 * GIB_FRAMES + 1, 1, 0},
	{4 * GIB_FRAMES, 1, 0},
	{4 * GIB_FRAMES + 3, 1, 0},
	{2 * GIB_FRAMES, 2 * GIB_FRAMES, 0},
	{12 * GIB_FRAMES, 4 * GIB_FRAMES, 0},
	{1, 8 * GIB_FRAMES, 0},
	{8 * GIB_FRAMES - 1, 8 * GIB_FRAMES, 0},
	{512, 512, 0},
	{128 * GIB_FRAMES + 77, 1, 0},
};

static struct run run[LENGTH(runs_wanted)];

/* A recycler moves each frame below an aligned one into its queue: that takes long where it is right. */
static uint64_t align_of(const struct zone *zone, const struct run *wanted)
{
	return zone->policy->exact_runs || wanted->align <= 512 ? wanted->align : GIB_FRAMES / 4;
}

static void take_run(unsigned number)
{
	const struct zone *zone = &zones.zone[0];
	uint64_t before = zone_free_frames(zone);
	pfn_t first;

	run[number] = runs_wanted[number];
	run[number].align = align_of(zone, &run[number]);
	first = frame_alloc_run(run[number].count, run[number].align);
	CHECK(!pfn_is_none(first));
	run[number].first = first.value;
	CHECK_EQ(first.value % run[number].align, 0);
	CHECK_EQ(zone_free_frames(zone), before - run[number].count);
	CHECK(first.value >= zone->first + zone->reserved_frames);
	CHECK(first.value + run[number].count <= zone->first + zone->total_frames);
	for (unsigned i = 0; i < number; i++)
		CHECK(run[i].first + run[i].count <= run[number].first ||
		      run[number].first + run[number].count <= run[i].first);
}

static void give_run(unsigned number)
{
	uint64_t before = zone_free_frames(&zones.zone[0]);

	frame_free_run(pfn(run[number].first), run[number].count);
	CHECK_EQ(zone_free_frames(&zones.zone[0]), before + run[number].count);
}

static void take_and_shrink_runs(void)
{
	unsigned last = LENGTH(run) - 1;

	for (unsigned i = 0; i <= last; i++)
		take_run(i);
	frame_shrink_run(pfn(run[last].first), run[last].count, 64 * GIB_FRAMES + 1);
	run[last].count = 64 * GIB_FRAMES + 1;
	if (CHECKS)
		EXPECT_PANIC(frame_free_run(pfn(run[1].first), run[1].count - 1),
			     "has more than 1048575 frames");
	/* Of a recycler a run that is not the last one claimed goes back frame by frame. */
	for (unsigned i = 0; i <= last; i++)
		give_run(zones.zone[0].policy->exact_runs ? (i * 5 + 2) % (last + 1) : last - i);
}

/* All of the zone at once; the next one is told that there is none, and asks no CPU twice. */
static void take_it_whole(void)
{
	uint64_t all = zone_free_frames(&zones.zone[0]);
	pfn_t first = frame_alloc_run(all, 1);

	CHECK_EQ(first.value, zones.zone[0].first + zones.zone[0].reserved_frames);
	CHECK(pfn_is_none(frame_alloc_run(4 * GIB_FRAMES, 1)));
	CHECK(pfn_is_none(frame_alloc(FRAME_ANY)));
	CHECK_EQ(frame_free_count(), 0);
	frame_free_run(first, all);
	CHECK(pfn_is_none(frame_alloc_run(all + 1, 1)));
	CHECK(pfn_is_none(frame_alloc_run(UINT64_MAX, 1)));
	CHECK(pfn_is_none(frame_alloc_run(1, UINT64_C(1) << 63)));
}

/* ---- the last frames of the largest zone ----------------------------------------------------- */

#define FAR_FRAMES 1000

static pfn_t far[FAR_FRAMES];

/* They have the highest numbers of all, and go through the caches of CPUs beyond the 64th. */
static void take_far(uint64_t end)
{
	for (unsigned i = 0; i < FAR_FRAMES; i++) {
		become(i % 2 ? 129 : 66);
		far[i] = frame_alloc(i % 7 ? FRAME_ANY : FRAME_ZERO);
		CHECK(far[i].value >= end - FAR_FRAMES && far[i].value < end);
		for (unsigned j = 0; !(i % 7) && j < FRAME_SIZE; j++)
			CHECK_EQ(((char *)frame_bytes(far[i]))[j], 0);
		*(uint64_t *)frame_bytes(far[i]) = far[i].value;
	}
	CHECK(pfn_is_none(frame_alloc(FRAME_ANY)));
	for (unsigned i = 0; i < FAR_FRAMES; i++) {
		become(i % 3 ? 64 : 128);
		CHECK_EQ(*(uint64_t *)frame_bytes(far[i]), far[i].value);
		frame_free(far[i]);
	}
}

static void leave_far_frames(void)
{
	uint64_t count = zone_free_frames(&zones.zone[0]) - FAR_FRAMES;
	pfn_t first = frame_alloc_run(count, 1);

	CHECK_EQ(first.value, zones.zone[0].first + zones.zone[0].reserved_frames);
	take_far(zones.zone[0].first + zones.zone[0].total_frames);
	become(0);
	frame_free_run(first, count);
}

/* A policy that is not exact loses its longest run to the traffic, so that comes first. */
TEST(runs_of_many_gib_and_the_last_frames_of_the_largest_zone)
{
	for (unsigned i = 0; i < policy_count; i++) {
		const struct policy *policy = policies[i];
		uint64_t free_frames;

		if (!policy->has_runs)
			continue;
		start_one(policy, most_frames(policy), 130, 192);
		free_frames = frame_free_count();
		if (policy->exact_runs)
			take_it_whole();
		leave_far_frames();
		for (unsigned cpu = 0; cpu < 130; cpu++) {
			become(cpu);
			frame_cache_flush();
		}
		become(0);
		take_and_shrink_runs();
		if (policy->exact_runs)
			take_it_whole();
		end_at_rest(free_frames);
	}
}

/* ---- many CPUs, several nodes ---------------------------------------------------------------- */

#define CPUS_MAX   130
#define ZONES_MAX  4
#define TINY_EXTRA 90 /* frames of the tiny node behind its tables */
#define TAG	   UINT64_C(0x7a67000000000000)

static struct zone_order order[CPUS_MAX][ZONES_MAX];

/*
 * Node 0 has 8 frames, which its tables would fill, so it has no zone; and one more piece that has
 * hardly more than its tables. The largest node begins at 5 GiB, and the last one has a word in common
 * with the zone before it.
 */
static void start_nodes(const struct policy *policy, unsigned cpus, uint32_t capacity, uint64_t most)
{
	struct host_machine machine = {.policy = policy, .cpus = cpus, .capacity = capacity};
	uint64_t base = policy->uses_frames ? 0x81000 : 0x80000 + 5 * GIB_FRAMES;
	struct host_range range[] = {
		{0x80000, 8, 0}, {0x80100, 0, 0}, {base, most, 1}, {base + most, 5003, 2}};

	printf("# policy %s, %u CPUs\n", policy->name, cpus);
	host_cpu_count = cpus; /* the tables of a zone have a part for each CPU */
	range[1].count = zone_metadata_frames(range[1].first, 700, policy) + TINY_EXTRA;
	host_machine_start(&machine, range, 4);
	CHECK_EQ(zones.count, 3);
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		unsigned node = cpu % 3;

		for (unsigned i = 0; i < zones.count; i++)
			order[cpu][i] = (struct zone_order){i, i == node ? 10 : 20};
		zone_order_sort(order[cpu]);
		become(cpu);
		frame_cache_set_order(cache_of(cpu), node, order[cpu]);
		frame_cache_configure(capacity, 0);
		CHECK_EQ(cache_of(cpu)->home, node);
	}
	become(0);
	frame_drain_set_low(FRAME_LOW_DEFAULT);
	for (unsigned i = 0; i < zones.count; i++)
		CHECK(zones.zone[i].low <= zones.zone[i].total_frames / 16);
}

#define HELD_MAX 30000

static struct {
	uint64_t frame[HELD_MAX];
	unsigned frames;
	struct run run[64];
	unsigned runs;
} held;

static bool take_one(unsigned flags)
{
	pfn_t frame;
	uint64_t *word;

	if (held.frames == HELD_MAX)
		return false;
	frame = frame_alloc(flags);
	if (pfn_is_none(frame))
		return false;
	word = frame_bytes(frame);
	if (*word == (TAG | frame.value))
		port_panic("frame %#llx was handed out to two", (unsigned long long)frame.value);
	*word = TAG | frame.value;
	held.frame[held.frames++] = frame.value;
	return true;
}

static void give_one(unsigned at)
{
	uint64_t frame = held.frame[at], *word = frame_bytes(pfn(frame));

	held.frame[at] = held.frame[--held.frames];
	CHECK_EQ(*word, TAG | frame);
	*word = 0;
	frame_free(pfn(frame));
}

static void take_some_run(void)
{
	struct run *new = &held.run[held.runs];
	pfn_t first;

	if (held.runs == LENGTH(held.run))
		return;
	*new = (struct run){1 + unit_random_below(3000), UINT64_C(1) << unit_random_below(10), 0};
	first = frame_alloc_run(new->count, new->align);
	if (pfn_is_none(first))
		return;
	CHECK_EQ(first.value % new->align, 0);
	new->first = first.value;
	held.runs++;
}

static void give_some_run(void)
{
	unsigned at = (unsigned)unit_random_below(held.runs);
	struct run run = held.run[at];

	held.run[at] = held.run[--held.runs];
	frame_free_run(pfn(run.first), run.count);
}

static void leave_and_return(void)
{
	unsigned long flags = port_irq_save();

	frame_cache_offline();
	CHECK_EQ(frame_cache_level(frame_cache_self()), 0);
	frame_cache_online();
	port_irq_restore(flags);
}

static void do_something(unsigned cpus, uint64_t choice)
{
	become((unsigned)unit_random_below(cpus));
	if (choice < 46)
		take_one(FRAME_ANY);
	else if (choice < 90 && held.frames)
		give_one((unsigned)unit_random_below(held.frames));
	else if (choice < 94)
		take_some_run();
	else if (choice < 97 && held.runs)
		give_some_run();
	else if (choice == 97)
		frame_cache_flush();
	else if (choice == 98)
		leave_and_return();
	else
		frame_drain_ask();
}

static void give_all(unsigned cpus)
{
	while (held.runs)
		give_some_run();
	while (held.frames) {
		become((unsigned)unit_random_below(cpus));
		give_one((unsigned)unit_random_below(held.frames));
	}
}

static void crowd(const struct policy *policy, unsigned cpus, uint32_t capacity)
{
	uint64_t free_frames;

	start_nodes(policy, cpus, capacity, most_frames(policy) / 16);
	free_frames = frame_free_count();
	for (unsigned i = 0; i < 20000; i++)
		do_something(cpus, unit_random_below(100));
	give_all(cpus);
	end_at_rest(free_frames);
}

TEST(a_crowd_on_several_nodes_keeps_all_frames_apart)
{
	for (unsigned i = 0; i < policy_count; i++)
		crowd(policies[i], i % 2 ? 70 : 130, 192);
	crowd(policies[0], 70, 0);
}

/* ---- to the last frame ----------------------------------------------------------------------- */

/* Each CPU's cache holds frames that no zone has. */
static void fill_caches(unsigned cpus)
{
	for (unsigned cpu = 0; cpu < cpus; cpu++) {
		become(cpu);
		for (unsigned i = 0; i < 20; i++)
			CHECK(take_one(FRAME_ANY));
		while (held.frames)
			give_one(held.frames - 1);
		CHECK(frame_cache_level(cache_of(cpu)) >= 20);
	}
}

/* The caches of all other CPUs are asked once for what they hold, by a call for each 64 of them. */
static void take_to_the_last(unsigned cpu, unsigned cpus, uint64_t free_frames)
{
	uint64_t calls = host_ipi_calls, drains, words = (cpus + 63) / 64;

	become(cpu);
	drains = cache_of(cpu)->stats.drains;
	while (take_one(FRAME_ANY))
		;
	CHECK_EQ(held.frames, free_frames);
	drains = cache_of(cpu)->stats.drains - drains;
	CHECK(drains >= 1 && drains <= 2); /* one that finds frames, one in vain */
	CHECK(host_ipi_calls - calls <= words * drains);
	calls = host_ipi_calls;
	CHECK(!take_one(FRAME_ANY));
	CHECK_EQ(host_ipi_calls, calls);
	for (unsigned other = 0; other < cpus; other++)
		CHECK_EQ(frame_cache_level(cache_of(other)), 0);
}

TEST(one_of_many_cpus_gets_the_last_frame_of_all)
{
	static const unsigned takers[] = {0, 63, 64, 69, 127, 128, 129};

	for (unsigned i = 0; i < policy_count; i++)
		for (unsigned cpus = 70; cpus <= 130; cpus += 60) {
			uint64_t free_frames;

			start_nodes(policies[i], cpus, 192, 8000);
			frame_drain_set_low(0);
			free_frames = frame_free_count();
			for (unsigned j = 0; j < LENGTH(takers) && takers[j] < cpus; j++) {
				fill_caches(cpus);
				take_to_the_last(takers[j], cpus, free_frames);
				give_all(cpus);
			}
			end_at_rest(free_frames);
		}
}

/* A zone falls below its low mark: only the CPUs whose caches hold frames of it are asked. */
TEST(an_early_request_reaches_the_cpu_that_holds_frames)
{
	static const unsigned holders[] = {1, 62, 63, 64, 65, 127, 128, 129};

	for (unsigned i = 0; i < LENGTH(holders); i++) {
		uint64_t calls;

		start_one(policies[0], 4096, 130, 192);
		zone_set_low(&zones.zone[0], 2000);
		become(holders[i]);
		CHECK(take_one(FRAME_ANY));
		give_one(0);
		become(0);
		calls = host_ipi_calls;
		while (zone_free_frames(&zones.zone[0]) >= zones.zone[0].low)
			CHECK(take_one(FRAME_ANY));
		CHECK_EQ(host_ipi_calls, calls + 1);
		CHECK_EQ(zones.zone[0].early_drains, 1);
		for (unsigned cpu = 1; cpu < 130; cpu++) {
			CHECK_EQ(frame_cache_level(cache_of(cpu)), 0);
			CHECK_EQ(cache_of(cpu)->answered != 0, cpu == holders[i]);
		}
		give_all(130);
		host_machine_end();
	}
}
