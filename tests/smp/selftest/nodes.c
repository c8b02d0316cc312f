/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nodes.c - NUMA: each cpu takes the nearest frames, and all of them go home; see nodes.h.
 *
 * The test reads each cpu's node and the distances of the zones from the tree, again and by itself.
 * Then one cpu after the other takes all of memory, alone. Whenever a frame comes from another zone
 * than the previous frame, all nearer zones must be empty, or, where frames come in batches, have
 * less than a batch. Then the cpu frees all frames, and each zone must have exactly as many as
 * before.
 *
 * Covers: kernel/boot/nodes.c mm/global/zone_order.c
 */
#include "tests/smp/selftest/nodes.h"

#include <stdio.h>

#include <port.h>

#include "kernel/smp/cpu.h"
#include "kernel/boot/machine.h"
#include "kernel/boot/nodes.h"
#include "kernel/diag/record.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"

/* ---- the test ---------------------------------------------------------------------------- */

struct zone_facts {
	uint32_t distance; /* from the cpu that takes */
	uint64_t free_before;
};

struct nodes_test {
	unsigned turn; /* the cpu that takes */
	uint32_t capacity;
	unsigned node; /* of that cpu, by the tree */
	struct zone_facts *zone;
	uint64_t taken, far;
	const char *wrong;
};

static void flush(void *unused)
{
	(void)unused;
	frame_cache_flush();
}

static void complain(struct nodes_test *test, const char *wrong)
{
	if (!test->wrong)
		test->wrong = wrong;
}

/* The frames that a nearer zone may still have when `cache` takes from another. */
static uint64_t left_over(const struct frame_cache *cache)
{
	return cache->capacity ? cache->batch_max - 1 : 0;
}

static void check_nearest(struct nodes_test *test, const struct zone *zone)
{
	for (unsigned i = 0; i < zones.count; i++)
		if (test->zone[i].distance < test->zone[zone->number].distance &&
		    zone_free_frames(&zones.zone[i]) > left_over(frame_cache_self()))
			complain(test, "a frame came of a zone while a nearer one had more");
}

/* All there is, in a list through the frames themselves. */
static pfn_t take_all(struct nodes_test *test)
{
	const struct zone *last = NULL;
	pfn_t newest = PFN_NONE, frame;

	while (!pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
		if (!last || !zone_holds(last, frame.value)) {
			last = zone_of(frame.value);
			check_nearest(test, last);
		}
		test->taken++;
		test->far += last->node != test->node;
		*(pfn_t *)frame_bytes(frame) = newest;
		newest = frame;
	}
	return newest;
}

static void free_all(pfn_t newest)
{
	while (!pfn_is_none(newest)) {
		pfn_t frame = newest;

		newest = *(pfn_t *)frame_bytes(frame);
		frame_free(frame);
	}
}

static void work_take(void *argument)
{
	struct nodes_test *test = argument;
	const struct frame_cache *cache = frame_cache_self();
	uint64_t far = cache->stats.far_frames;
	pfn_t newest;

	if (port_cpu() != test->turn)
		return;
	frame_cache_configure(test->capacity,
			      test->capacity ? (uint32_t)settings.arguments.batch_frames : 0);
	newest = take_all(test);
	if (cache->stats.far_frames - far != test->far)
		complain(test, "frames of other nodes are miscounted");
	free_all(newest);
	frame_cache_configure((uint32_t)settings.arguments.cache_frames,
			      (uint32_t)settings.arguments.batch_frames);
}

/* The node of the hart that the cpu is, in the tree's words. */
static bool ask_tree(struct nodes_test *test)
{
	struct machine_hart hart = {0};
	struct devicetree_error error;

	while (machine_next_hart(settings.tree, &hart, &error) == DEVICETREE_FOUND)
		if (hart.id == cpu_of(test->turn)->arch.hart_id)
			break;
	test->node = hart.numa_node;
	for (unsigned i = 0; i < zones.count; i++)
		if (machine_numa_distance(settings.tree, test->node, zones.zone[i].node,
					  &test->zone[i].distance, &error) == DEVICETREE_MALFORMED)
			return false;
	return true;
}

static void note_free(struct nodes_test *test)
{
	cpus_run(flush, NULL, settings.cpus);
	for (unsigned i = 0; i < zones.count; i++)
		test->zone[i].free_before = zone_free_frames(&zones.zone[i]);
}

static void check_home_again(struct nodes_test *test)
{
	uint64_t before = 0;

	cpus_run(flush, NULL, settings.cpus);
	for (unsigned i = 0; i < zones.count; i++) {
		before += test->zone[i].free_before;
		if (zone_free_frames(&zones.zone[i]) != test->zone[i].free_before)
			complain(test, "a zone did not get back the frames it gave");
	}
	if (test->taken != before)
		complain(test, "a cpu alone did not get every free frame");
}

/* One cpu, with a cache and without. */
static void test_cpu(struct nodes_test *test)
{
	const struct frame_cache *cache = port_area_of(test->turn);

	if (!ask_tree(test) || cache->node != test->node) {
		complain(test, "a cpu is not of the node that the tree says");
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		test->capacity = i ? (uint32_t)settings.arguments.cache_frames : 0;
		test->taken = test->far = 0;
		note_free(test);
		cpus_run(work_take, test, settings.cpus);
		check_home_again(test);
	}
}

const char *nodes_test(void)
{
	struct nodes_test test = {0};

	if (!nodes_are_many(settings.cpus))
		return NULL;
	test.zone = kcalloc(zones.count, sizeof(*test.zone));
	if (!test.zone)
		return "no memory for the test";
	for (; test.turn < settings.cpus && !test.wrong; test.turn++)
		test_cpu(&test);
	kfree(test.zone);
	frame_validate();
	return test.wrong;
}

/* ---- the report -------------------------------------------------------------------------- */

struct node_totals {
	unsigned node, cpus, zones;
	uint64_t total, free;
	uint64_t local, remote; /* frames that its cpus took from this node, from others */
};

/* The least node number that is at least `from`; false when there is none. */
static bool next_node(uint64_t from, unsigned *node)
{
	bool found = false;

	for (unsigned i = 0; i < zones.count + settings.cpus; i++) {
		const struct frame_cache *cache = i < zones.count ? NULL
								  : port_area_of(i - zones.count);
		unsigned other = cache ? cache->node : zones.zone[i].node;

		if (other >= from && (!found || other < *node)) {
			*node = other;
			found = true;
		}
	}
	return found;
}

static struct node_totals sum_up(unsigned node, nodes_stats *stats_of)
{
	struct node_totals totals = {.node = node};

	for (unsigned i = 0; i < zones.count; i++) {
		if (zones.zone[i].node != node)
			continue;
		totals.zones++;
		totals.total += zones.zone[i].total_frames;
		totals.free += zone_free_frames(&zones.zone[i]);
	}
	for (unsigned cpu = 0; cpu < settings.cpus; cpu++) {
		const struct frame_cache *cache = port_area_of(cpu);
		const struct frame_cache_stats *stats = stats_of(cpu);

		if (cache->node != node)
			continue;
		totals.cpus++;
		totals.remote += stats->far_frames;
		totals.local += stats->refilled_frames + stats->direct_allocs - stats->far_frames;
	}
	return totals;
}

/* Of what its cpus took, what was near, in ten thousandths. */
static uint64_t local_permyriad(const struct node_totals *totals)
{
	uint64_t taken = totals->local + totals->remote;

	return taken ? (totals->local * 10000 + taken / 2) / taken : 0;
}

static void print_node(const struct node_totals *totals)
{
	uint64_t share = local_permyriad(totals);

	printf("  %-4u %5u %5u %10llu %10llu %13llu %13llu", totals->node, totals->cpus,
	       totals->zones, (unsigned long long)totals->total, (unsigned long long)totals->free,
	       (unsigned long long)totals->local, (unsigned long long)totals->remote);
	if (totals->local + totals->remote)
		printf(" %5llu.%02llu %%\n", (unsigned long long)(share / 100),
		       (unsigned long long)(share % 100));
	else
		printf("          -\n");
}

static void record_node(const struct node_totals *totals)
{
	record_begin("node");
	record_number("node", totals->node);
	record_number("cpus", totals->cpus);
	record_number("zones", totals->zones);
	record_number("total", totals->total);
	record_number("free", totals->free);
	record_number("local_frames", totals->local);
	record_number("remote_frames", totals->remote);
	record_fraction("local_share", local_permyriad(totals), 4);
	record_end();
}

static void each_node(nodes_stats *stats_of, void (*show)(const struct node_totals *totals))
{
	uint64_t from = 0;
	unsigned node;

	for (; next_node(from, &node); from = (uint64_t)node + 1) {
		struct node_totals totals = sum_up(node, stats_of);

		show(&totals);
	}
}

void nodes_report(nodes_stats *stats_of)
{
	if (!nodes_are_many(settings.cpus))
		return;
	printf("\nnodes: frames that their cpus took of zones, over all runs with caches\n"
	       "  %-4s %5s %5s %10s %10s %13s %13s %10s\n",
	       "node", "cpus", "zones", "total", "free", "own node", "other nodes", "own node");
	each_node(stats_of, print_node);
}

void nodes_record(nodes_stats *stats_of)
{
	if (nodes_are_many(settings.cpus))
		each_node(stats_of, record_node);
}
