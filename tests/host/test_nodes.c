/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_nodes.c - which zones a cpu tries first, on machines of few and of very many nodes, against
 * a plain search for the nearest; and that allocation, runs and statistics follow.
 *
 * Covers: kernel/boot/nodes.c mm/global/zone_order.c
 */
#include <stdlib.h>
#include <string.h>

#include "dtb_builder.h"
#include "host.h"
#include "kernel/boot/early.h"
#include "kernel/boot/machine.h"
#include "kernel/boot/memory.h"
#include "kernel/boot/nodes.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "unit.h"

#define ZONES_MAX   200
#define TRIPLES_MAX 600
#define FIRST_FRAME UINT64_C(0x80000)

/* ---- what the code under test asks of the kernel ------------------------------------------ */

static void *early_memory;

static void *exact_alloc(size_t bytes, size_t align)
{
	(void)align;
	CHECK(!early_memory);
	early_memory = calloc(1, bytes); /* no byte more: the sanitizer sees the next */
	return early_memory;
}

static unsigned zones_made(void)
{
	return zones.count;
}

#define early_alloc	     exact_alloc
#define memory_zones_at_most zones_made
#include "kernel/boot/nodes.c"
#undef early_alloc
#undef memory_zones_at_most

/* ---- machines ----------------------------------------------------------------------------- */

struct machine_plan {
	struct host_range range[ZONES_MAX];
	unsigned zones, cpus;
	uint64_t hart[64];
	int64_t node[64]; /* of each cpu; -1: the tree does not say */
	uint32_t triple[3 * TRIPLES_MAX];
	unsigned triples;
	bool has_map;
};

static struct machine_plan plan;
static struct dtb_bytes blob;
static struct devicetree tree;
static struct devicetree_error error;

static uint64_t hart_of(unsigned cpu)
{
	return plan.hart[cpu];
}

static void add_cpus(struct dtb *dtb)
{
	dtb_begin(dtb, "cpus");
	dtb_u32(dtb, "#address-cells", 1);
	dtb_u32(dtb, "#size-cells", 0);
	for (unsigned cpu = 0; cpu < plan.cpus; cpu++) {
		dtb_begin(dtb, "cpu");
		dtb_string(dtb, "device_type", "cpu");
		dtb_string(dtb, "mmu-type", "riscv,sv39");
		dtb_u32(dtb, "reg", (uint32_t)plan.hart[cpu]);
		if (plan.node[cpu] >= 0)
			dtb_u32(dtb, "numa-node-id", (uint32_t)plan.node[cpu]);
		dtb_end(dtb);
	}
	dtb_end(dtb);
}

/* Zones and cpus as planned; the tree says the rest. */
static bool start(uint32_t capacity)
{
	struct host_machine machine = {.cpus = plan.cpus, .capacity = capacity};
	struct dtb dtb = {0};

	dtb_begin(&dtb, "");
	add_cpus(&dtb);
	if (plan.has_map) {
		dtb_begin(&dtb, "distance-map");
		dtb_string(&dtb, "compatible", "numa-distance-map-v1");
		dtb_words(&dtb, "distance-matrix", plan.triple, 3 * plan.triples);
		dtb_end(&dtb);
	}
	dtb_end(&dtb);
	blob = dtb_finish(&dtb);
	CHECK(devicetree_open(&tree, blob.bytes, blob.size, &error));
	host_machine_start(&machine, plan.range, plan.zones);
	nodes_reserve();
	return nodes_start(&tree, plan.cpus, hart_of, &error);
}

static void end(void)
{
	host_machine_end();
	dtb_free(&blob);
	free(early_memory);
	early_memory = NULL;
	memset(&plan, 0, sizeof(plan));
}

static void add_zone(unsigned node, uint64_t frames)
{
	uint64_t first = FIRST_FRAME;

	if (plan.zones)
		first = plan.range[plan.zones - 1].first + plan.range[plan.zones - 1].count + 1;
	plan.range[plan.zones++] = (struct host_range){first, frames, node};
}

static void add_cpu(int64_t node)
{
	plan.hart[plan.cpus] = 10 + plan.cpus;
	plan.node[plan.cpus++] = node;
}

static void add_distance(uint32_t from, uint32_t to, uint32_t distance)
{
	uint32_t *triple = &plan.triple[3 * plan.triples++];

	triple[0] = from;
	triple[1] = to;
	triple[2] = distance;
	plan.has_map = true;
}

static const struct frame_cache *cache_of(unsigned cpu)
{
	return port_area_of(cpu);
}

static void check_order(unsigned cpu, const unsigned *expected)
{
	const struct frame_cache *cache = cache_of(cpu);

	CHECK_EQ(cache->home, expected[0]);
	for (unsigned i = 0; i < zones.count; i++)
		CHECK_EQ(cache->order[i].zone, expected[i]);
}

#define CHECK_ORDER(cpu, ...) check_order(cpu, (const unsigned[]){__VA_ARGS__})

/* ---- orders by hand ----------------------------------------------------------------------- */

/* Numbers of zones, numbers of nodes and distances rise in different ways. */
TEST(a_cpu_tries_its_own_node_then_by_distance)
{
	add_zone(3, 100);
	add_zone(0, 100);
	add_zone(2, 100);
	add_zone(1, 100);
	for (int node = 0; node < 4; node++)
		add_cpu(node);
	add_distance(0, 1, 40);
	add_distance(0, 2, 30);
	add_distance(0, 3, 20);
	add_distance(1, 2, 25);
	add_distance(1, 3, 35);
	add_distance(2, 3, 15);
	CHECK(start(0));
	CHECK_ORDER(0, 1, 0, 2, 3);
	CHECK_ORDER(1, 3, 2, 0, 1);
	CHECK_ORDER(2, 2, 0, 3, 1);
	CHECK_ORDER(3, 0, 2, 1, 3);
	CHECK(nodes_are_many(plan.cpus));
	end();
}

TEST(a_map_is_read_in_its_direction)
{
	add_zone(0, 100);
	add_zone(1, 100);
	add_zone(2, 100);
	add_cpu(0);
	add_cpu(1);
	add_cpu(2);
	add_distance(0, 1, 50);
	add_distance(1, 0, 20);
	add_distance(0, 2, 30);
	add_distance(2, 0, 60);
	add_distance(1, 2, 40);
	add_distance(2, 1, 40);
	CHECK(start(0));
	CHECK_ORDER(0, 0, 2, 1);
	CHECK_ORDER(1, 1, 0, 2);
	CHECK_ORDER(2, 2, 1, 0);
	CHECK_EQ(cache_of(0)->order[2].distance, 50);
	end();
}

TEST(without_a_map_others_are_all_as_far)
{
	add_zone(1, 100);
	add_zone(0, 100);
	add_zone(2, 100);
	add_cpu(2);
	add_cpu(-1);
	CHECK(start(0));
	CHECK_ORDER(0, 2, 0, 1);
	CHECK_ORDER(1, 1, 0, 2); /* no word of its node: node 0 */
	CHECK_EQ(cache_of(1)->node, 0);
	CHECK_EQ(cache_of(0)->order[0].distance, MACHINE_DISTANCE_LOCAL);
	CHECK_EQ(cache_of(0)->order[1].distance, MACHINE_DISTANCE_REMOTE);
	end();
}

TEST(the_largest_zone_of_its_node_is_a_cpu_s_home)
{
	add_zone(0, 50);
	add_zone(1, 900); /* larger, but of another node */
	add_zone(0, 200);
	add_zone(0, 200);
	add_zone(0, 60);
	add_cpu(0);
	add_cpu(1);
	CHECK(start(0));
	CHECK_ORDER(0, 2, 0, 3, 4, 1);
	CHECK_ORDER(1, 1, 0, 2, 3, 4);
	end();
}

/* The nearest node's zones, whether the map names the cpu's own node or not. */
TEST(a_cpu_without_memory_is_at_home_on_the_nearest_node)
{
	add_zone(0, 300);
	add_zone(1, 40);
	add_zone(1, 80);
	add_cpu(5);
	add_cpu(6);
	add_distance(5, 0, 90);
	add_distance(5, 1, 30);
	add_distance(0, 1, 20);
	add_distance(77, 78, 12); /* nodes that are nowhere */
	CHECK(start(0));
	CHECK_ORDER(0, 2, 1, 0);
	CHECK_ORDER(1, 0, 1, 2);
	end();
}

/* A range that cannot hold its own metadata makes no zone, and its node is one without memory. */
TEST(a_node_with_less_than_one_usable_frame_has_no_zone)
{
	add_zone(0, 100);
	add_zone(1, 1);
	add_zone(2, 100);
	add_cpu(1);
	add_distance(1, 0, 40);
	add_distance(1, 2, 30);
	CHECK(start(0));
	CHECK_EQ(zones.count, 2);
	CHECK_ORDER(0, 1, 0);
	CHECK(zone_of(FIRST_FRAME + 101) == NULL);
	EXPECT_PANIC(frame_free(pfn(FIRST_FRAME + 101)), "foreign");
	end();
}

TEST(a_broken_map_is_refused)
{
	add_zone(0, 100);
	add_cpu(0);
	add_distance(0, 1, 10);
	CHECK(!start(0));
	CHECK(!strcmp(error.property, "distance-matrix"));
	end();
}

TEST(one_node_is_not_many)
{
	add_zone(4, 100);
	add_zone(4, 100);
	add_cpu(4);
	CHECK(start(0));
	CHECK(!nodes_are_many(plan.cpus));
	CHECK(cache_of(0)->order != NULL);
	end();
}

/* For locks: the number of the first cpu of the group. */
TEST(cpus_of_a_node_are_a_group)
{
	static const int nodes[] = {7, 3, 7, 0, 3, 3};
	static const unsigned groups[] = {0, 1, 0, 3, 1, 1};

	add_zone(0, 100);
	for (unsigned cpu = 0; cpu < 6; cpu++)
		add_cpu(nodes[cpu]);
	CHECK(start(0));
	for (unsigned cpu = 0; cpu < 6; cpu++)
		CHECK_EQ(nodes_group_of(cpu, plan.cpus), groups[cpu]);
	end();
}

TEST(without_nodes_neighbours_are_a_group)
{
	add_zone(0, 100);
	for (unsigned cpu = 0; cpu < 2 * NODES_GROUP_CPUS + 1; cpu++)
		add_cpu(0);
	CHECK(start(0));
	for (unsigned cpu = 0; cpu < plan.cpus; cpu++)
		CHECK_EQ(nodes_group_of(cpu, plan.cpus), cpu / NODES_GROUP_CPUS * NODES_GROUP_CPUS);
	end();
}

/* ---- orders by chance --------------------------------------------------------------------- */

static uint32_t planned_distance(uint32_t from, uint32_t to)
{
	for (unsigned way = 0; way < 2; way++)
		for (unsigned i = 0; i < plan.triples; i++)
			if (plan.triple[3 * i] == (way ? to : from) &&
			    plan.triple[3 * i + 1] == (way ? from : to))
				return plan.triple[3 * i + 2];
	return from == to ? 10 : 20;
}

/* The nearest zone that is not tried yet, of those the zone with the lowest address. */
static unsigned nearest(unsigned node, const bool *tried)
{
	unsigned best = ZONES_MAX;

	for (unsigned i = 0; i < zones.count; i++)
		if (!tried[i] &&
		    (best == ZONES_MAX || planned_distance(node, zones.zone[i].node) <
						  planned_distance(node, zones.zone[best].node)))
			best = i;
	return best;
}

static unsigned expected_home(unsigned node)
{
	bool none[ZONES_MAX] = {false};
	unsigned home = nearest(node, none);

	for (unsigned i = 0; i < zones.count; i++)
		if (zones.zone[i].node == zones.zone[home].node &&
		    zones.zone[i].total_frames > zones.zone[home].total_frames)
			home = i;
	return home;
}

static void check_against_search(unsigned cpu)
{
	unsigned node = plan.node[cpu] < 0 ? 0 : (unsigned)plan.node[cpu];
	unsigned expected[ZONES_MAX] = {expected_home(node)};
	bool tried[ZONES_MAX] = {false};

	tried[expected[0]] = true;
	for (unsigned i = 1; i < zones.count; i++) {
		expected[i] = nearest(node, tried);
		tried[expected[i]] = true;
	}
	check_order(cpu, expected);
	CHECK_EQ(cache_of(cpu)->node, node);
	for (unsigned i = 0; i < zones.count; i++)
		CHECK_EQ(cache_of(cpu)->order[i].distance,
			 planned_distance(node, zones.zone[expected[i]].node));
}

/* Node numbers of all sizes; a map with gaps, one way or both. */
static void plan_by_chance(unsigned scale)
{
	unsigned node_count = 1 + (unsigned)unit_random_below(40);
	unsigned number[40];

	for (unsigned i = 0; i < node_count; i++)
		number[i] = (unsigned)(unit_random_below(2) ? i : unit_random_below(1u << 31));
	for (unsigned i = 1 + (unsigned)unit_random_below(60); i > 0; i--)
		add_zone(number[unit_random_below(node_count)], scale * (1 + unit_random_below(40)));
	for (unsigned i = 1 + (unsigned)unit_random_below(30); i > 0; i--)
		add_cpu(unit_random_below(9) ? (int64_t)number[unit_random_below(node_count)] : -1);
	for (unsigned i = (unsigned)unit_random_below(TRIPLES_MAX); i > 0; i--) {
		uint32_t from = number[unit_random_below(node_count)];
		uint32_t to = number[unit_random_below(node_count)];

		add_distance(from, to, from == to ? 10 : 11 + (uint32_t)unit_random_below(30));
	}
	/* One at least that is large enough, whatever the others come to. */
	plan.range[0].first -= 100 * scale;
	plan.range[0].count += 100 * scale;
}

TEST(orders_are_those_of_a_plain_search)
{
	for (unsigned round = 0; round < 100; round++) {
		plan_by_chance(1);
		CHECK(start(0));
		for (unsigned cpu = 0; cpu < plan.cpus; cpu++)
			check_against_search(cpu);
		end();
	}
}

/* ---- what follows from them --------------------------------------------------------------- */

static void take_and_check(unsigned cpu, uint32_t capacity)
{
	struct frame_cache *cache = port_area_of(cpu);
	uint64_t left_over = capacity ? cache->batch_max - 1 : 0;
	uint64_t taken = 0, remote = 0, all = frame_free_count();
	pfn_t *frames = malloc(all * sizeof(*frames));
	uint64_t last_distance = 0;

	host_self = &host_cpus[cpu];
	memset(&cache->stats, 0, sizeof(cache->stats));
	for (pfn_t frame; !pfn_is_none(frame = frame_alloc(FRAME_ANY));) {
		struct zone *zone = zone_of(frame.value);
		uint64_t distance = planned_distance(cache->node, zone->node);

		for (unsigned i = 0; distance != last_distance && i < zones.count; i++)
			CHECK(planned_distance(cache->node, zones.zone[i].node) >= distance ||
			      zone_free_frames(&zones.zone[i]) <= left_over);
		last_distance = distance;
		remote += zone->node != cache->node;
		CHECK(taken < all);
		frames[taken++] = frame;
	}
	CHECK_EQ(taken, all);
	CHECK_EQ(cache->stats.far_frames, remote);
	CHECK_EQ(cache->stats.refilled_frames + cache->stats.direct_allocs, taken);
	while (taken)
		frame_free(frames[--taken]);
	frame_cache_flush();
	frame_validate();
	free(frames);
	host_self = &host_cpus[0];
}

TEST(frames_come_from_the_nearest_node_and_are_counted)
{
	for (unsigned round = 0; round < 30; round++) {
		uint32_t capacity = round % 2 ? 192 : 0;

		plan_by_chance(20);
		CHECK(start(capacity));
		for (unsigned cpu = 0; cpu < plan.cpus && cpu < 5; cpu++)
			take_and_check(cpu, capacity);
		end();
	}
}

TEST(runs_come_from_the_nearest_node)
{
	add_zone(0, 1000);
	add_zone(1, 1000);
	add_zone(2, 1000);
	add_cpu(2);
	add_distance(2, 0, 40);
	add_distance(2, 1, 30);
	CHECK(start(0));
	for (unsigned i = 0; i < 3; i++) {
		static const unsigned expected[] = {2, 1, 0};
		pfn_t run = frame_alloc_run(800, 1);

		CHECK(!pfn_is_none(run));
		CHECK_EQ(zone_of(run.value)->number, expected[i]);
	}
	CHECK(pfn_is_none(frame_alloc_run(800, 1)));
	end();
}
