/* SPDX-License-Identifier: BSD-2-Clause */
/* zone_order.c - which zone is tried first: see zone.h. */
#include "mm/global/zone.h"

static bool comes_before(const struct zone_order *a, const struct zone_order *b)
{
	return a->distance != b->distance ? a->distance < b->distance : a->zone < b->zone;
}

/* Insertion: there are few, and those of one node mostly lie together. */
static void order_insert(struct zone_order *order, unsigned at)
{
	struct zone_order entry = order[at];

	for (; at && comes_before(&entry, &order[at - 1]); at--)
		order[at] = order[at - 1];
	order[at] = entry;
}

static unsigned order_find_largest(const struct zone_order *order)
{
	unsigned largest = 0;

	for (unsigned i = 1; i < zones.count; i++) {
		const struct zone *zone = &zones.zone[order[i].zone];
		const struct zone *best = &zones.zone[order[largest].zone];

		if (zone->node == best->node && zone->total_frames > best->total_frames)
			largest = i;
	}
	return largest;
}

void zone_order_sort(struct zone_order *order)
{
	struct zone_order home;
	unsigned at;

	for (unsigned i = 1; i < zones.count; i++)
		order_insert(order, i);
	at = order_find_largest(order);
	home = order[at];
	for (; at; at--)
		order[at] = order[at - 1];
	order[0] = home;
}
