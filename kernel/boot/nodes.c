/* SPDX-License-Identifier: BSD-2-Clause */
/* nodes.c - gives the cpus their NUMA nodes and zone orders; see nodes.h. */
#include "kernel/boot/nodes.h"

#include <stdio.h>

#include <port.h>

#include "kernel/boot/early.h"
#include "kernel/boot/machine.h"
#include "kernel/boot/memory.h"
#include "mm/global/zone.h"
#include "mm/percpu/cache.h"

static struct zone_order *orders; /* one for each node that has cpus: at most one for each cpu */
static unsigned orders_made;

void nodes_reserve(void)
{
	size_t count = (size_t)port_cpu_count() * memory_zones_at_most();

	orders = early_alloc(count * sizeof(*orders), 8);
	orders_made = 0;
}

/* The order of another cpu of the same node, or NULL. */
static const struct zone_order *find_order(unsigned node, unsigned count)
{
	for (unsigned cpu = 0; cpu < count; cpu++) {
		const struct frame_cache *cache = port_area_of(cpu);

		if (cache->order && cache->node == node)
			return cache->order;
	}
	return NULL;
}

/* Neighbouring zones are mostly of one node, so its distance is looked up once for all of them. */
static const struct zone_order *make_order(const struct devicetree *tree, unsigned node,
					   struct devicetree_error *error)
{
	struct zone_order *order = orders + (size_t)orders_made * zones.count;
	uint32_t distance = 0;

	for (unsigned i = 0; i < zones.count; i++) {
		unsigned to = zones.zone[i].node;

		if ((i == 0 || to != zones.zone[i - 1].node) &&
		    machine_numa_distance(tree, node, to, &distance, error) == DEVICETREE_MALFORMED)
			return NULL;
		order[i] = (struct zone_order){i, distance};
	}
	zone_order_sort(order);
	orders_made++;
	return order;
}

static bool set_order(const struct devicetree *tree, unsigned cpu, unsigned node, unsigned count,
		      struct devicetree_error *error)
{
	const struct zone_order *order = find_order(node, count);

	if (!order)
		order = make_order(tree, node, error);
	if (order)
		frame_cache_set_order(port_area_of(cpu), node, order);
	return order != NULL;
}

/* The orders name zones that no longer exist. */
static void forget_orders(unsigned count)
{
	orders_made = 0;
	for (unsigned cpu = 0; cpu < count; cpu++) {
		struct frame_cache *cache = port_area_of(cpu);

		cache->order = NULL;
	}
}

bool nodes_start(const struct devicetree *tree, unsigned count, uint64_t (*hart_of)(unsigned cpu),
		 struct devicetree_error *error)
{
	struct machine_hart hart = {0};
	enum devicetree_result result;

	forget_orders(count);
	while ((result = machine_next_hart(tree, &hart, error)) == DEVICETREE_FOUND)
		for (unsigned cpu = 0; cpu < count; cpu++)
			if (hart_of(cpu) == hart.id &&
			    !set_order(tree, cpu, hart.numa_node, count, error))
				return false;
	return result != DEVICETREE_MALFORMED;
}

bool nodes_are_many(unsigned count)
{
	for (unsigned i = 1; i < zones.count; i++)
		if (zones.zone[i].node != zones.zone[0].node)
			return true;
	for (unsigned cpu = 0; cpu < count; cpu++) {
		const struct frame_cache *cache = port_area_of(cpu);

		if (cache->node != zones.zone[0].node)
			return true;
	}
	return false;
}

unsigned nodes_group_of(unsigned cpu, unsigned count)
{
	const struct frame_cache *own = port_area_of(cpu);

	if (!nodes_are_many(count))
		return cpu - cpu % NODES_GROUP_CPUS;
	for (unsigned first = 0; first < cpu; first++) {
		const struct frame_cache *cache = port_area_of(first);

		if (cache->node == own->node)
			return first;
	}
	return cpu;
}

static void print_node(unsigned first, unsigned count)
{
	const struct frame_cache *of_node = port_area_of(first);

	printf("  node %u takes from", of_node->node);
	for (unsigned i = 0; i < zones.count; i++)
		printf("%s %s (%u)", i ? "," : "", zones.zone[of_node->order[i].zone].name,
		       (unsigned)of_node->order[i].distance);
	printf("; cpus");
	for (unsigned cpu = first; cpu < count; cpu++) {
		const struct frame_cache *cache = port_area_of(cpu);

		if (cache->node == of_node->node)
			printf(" %u", cpu);
	}
	printf("\n");
}

void nodes_print(unsigned count)
{
	for (unsigned cpu = 0; cpu < count; cpu++) {
		const struct frame_cache *cache = port_area_of(cpu);
		unsigned earlier = 0;

		for (; earlier < cpu; earlier++)
			if (((const struct frame_cache *)port_area_of(earlier))->node == cache->node)
				break;
		if (earlier == cpu && cache->order)
			print_node(cpu, count);
	}
}
