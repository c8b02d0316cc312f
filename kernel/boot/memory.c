/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - from the device tree's ranges to zones; see memory.h.
 *
 * RAM and reservations are two sorted lists of half-open ranges of bytes. Ranges of RAM that touch
 * and are of one NUMA node are merged. One pass over both lists then finds the gaps between
 * reservations.
 *
 * All variables here are written by cpu 0 alone, at boot or at rest.
 */
#include "kernel/boot/memory.h"

#include <string.h>

#include <port.h>

#include "kernel/boot/early.h"
#include "kernel/boot/machine.h"
#include "mm/check.h"
#include "mm/global/zone.h"

struct range {
	uint64_t start, end; /* bytes */
	unsigned node;
};

struct ranges {
	struct range *range;
	unsigned count;
};

static struct ranges ram, reserved;
static struct zone *zone_table;
static unsigned zone_room; /* entries in zone_table */
static struct memory_account account;
static bool zones_differ; /* from the zones that were in the table before make_zones() */

const struct memory_account *memory_account(void)
{
	return &account;
}

static enum devicetree_result each_memory(const struct devicetree *tree, struct range *out,
					  unsigned *count, struct devicetree_error *error)
{
	struct machine_memory memory = {0};
	enum devicetree_result result;

	for (*count = 0; (result = machine_next_memory(tree, &memory, error)) == DEVICETREE_FOUND;
	     ++*count)
		if (out)
			out[*count] = (struct range){memory.start.value,
						     memory.start.value + memory.size,
						     memory.numa_node};
	return result;
}

static enum devicetree_result each_reserved(const struct devicetree *tree, struct range *out,
					    unsigned *count, struct devicetree_error *error)
{
	struct machine_reserved range = {0};
	enum devicetree_result result;

	for (*count = 0; (result = machine_next_reserved(tree, &range, error)) == DEVICETREE_FOUND;
	     ++*count)
		if (out)
			out[*count] = (struct range){range.start.value,
						     range.start.value + range.size, 0};
	return result;
}

/* Insertion sort: the lists are short and nearly sorted. */
static void sort(struct ranges *ranges)
{
	for (unsigned i = 1; i < ranges->count; i++) {
		struct range range = ranges->range[i];
		unsigned at = i;

		for (; at && ranges->range[at - 1].start > range.start; at--)
			ranges->range[at] = ranges->range[at - 1];
		ranges->range[at] = range;
	}
}

/* Joins ranges that touch or overlap. RAM that two nodes claim belongs to the lower range. */
static void merge(struct ranges *ranges)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < ranges->count; i++) {
		struct range range = ranges->range[i];
		struct range *last = kept ? &ranges->range[kept - 1] : NULL;

		if (last && range.start <= last->end && range.node == last->node) {
			if (range.end > last->end)
				last->end = range.end;
			continue;
		}
		if (last && range.start < last->end)
			range.start = last->end;
		if (range.start < range.end)
			ranges->range[kept++] = range;
	}
	ranges->count = kept;
}

/*
 * Each reservation can cut one zone in two. The kernel can, too, and so can a span of early memory
 * that began above the tree before the tree moved. Other spans lie at the bottom of a free range,
 * so they cut nothing. Each ZONE_FRAMES_MAX of RAM begins another zone.
 */
static unsigned zones_at_most(void)
{
	unsigned count = ram.count + reserved.count + 2;

	for (unsigned i = 0; i < ram.count; i++)
		count += (unsigned)((ram.range[i].end - ram.range[i].start) /
				    (ZONE_FRAMES_MAX * FRAME_SIZE));
	return count;
}

bool memory_collect(const struct devicetree *tree, struct devicetree_error *error)
{
	if (each_memory(tree, NULL, &ram.count, error) == DEVICETREE_MALFORMED ||
	    each_reserved(tree, NULL, &reserved.count, error) == DEVICETREE_MALFORMED)
		return false;
	ram.range = early_alloc(ram.count * sizeof(struct range), 8);
	reserved.range = early_alloc(reserved.count * sizeof(struct range), 8);
	if (each_memory(tree, ram.range, &ram.count, error) == DEVICETREE_MALFORMED ||
	    each_reserved(tree, reserved.range, &reserved.count, error) == DEVICETREE_MALFORMED)
		return false;
	sort(&ram);
	merge(&ram);
	account = (struct memory_account){0};
	for (unsigned i = 0; i < ram.count; i++)
		account.ram_frames += (ram.range[i].end - ram.range[i].start) >> FRAME_SHIFT;
	zone_room = zones_at_most();
	zone_table = early_alloc(zone_room * sizeof(struct zone), 64);
	return true;
}

unsigned memory_zones_at_most(void)
{
	return zone_room;
}

bool memory_ram_range(unsigned i, uint64_t *start, uint64_t *end)
{
	if (i >= ram.count)
		return false;
	*start = ram.range[i].start;
	*end = ram.range[i].end;
	return true;
}

uint64_t memory_ram_frames(void)
{
	return account.ram_frames;
}

static unsigned count_spans(void)
{
	unsigned count = 0;

	for (const struct early_span *span = early_spans(); span; span = span->next)
		count++;
	return count;
}

/*
 * Adds the spans of early memory, of which the first has the kernel's image, to the reserved
 * ranges. The allocation of the new table may begin one more span.
 */
static void reserve_spans(void)
{
	unsigned room = reserved.count + count_spans() + 1;
	struct range *range = early_alloc(room * sizeof(struct range), 8);

	early_close();
	memcpy(range, reserved.range, reserved.count * sizeof(struct range));
	reserved.range = range;
	for (const struct early_span *span = early_spans(); span; span = span->next)
		reserved.range[reserved.count++] = (struct range){span->start, span->end, 0};
	check(reserved.count <= room, "memory: more spans than the table has room for");
	sort(&reserved);
	merge(&reserved);
}

/* Makes zones of the whole frames of [start, end), of at most ZONE_FRAMES_MAX frames each. */
static void add_zones(uint64_t start, uint64_t end, unsigned node, const struct policy *policy,
		      enum spin_kind lock)
{
	uint64_t first = pfn_ceil(phys(start)).value;
	uint64_t last = pfn_floor(phys(end)).value;

	while (first < last) {
		uint64_t count = last - first < ZONE_FRAMES_MAX ? last - first : ZONE_FRAMES_MAX;

		check(zones.count < zone_room,
		      "memory: more zones than %u, which is the upper bound", zone_room);
		zones_differ = zones_differ || zone_table[zones.count].first != first;
		if (zone_init(&zone_table[zones.count], zones.count, node, first, count, policy,
			      lock))
			zones.count++;
		else
			account.lost_frames += count;
		first += count;
	}
}

/* Makes zones of the parts of `range` that lie between reservations. */
static void add_free_parts(const struct range *range, const struct policy *policy,
			   enum spin_kind lock)
{
	uint64_t start = range->start;

	for (unsigned i = 0; i < reserved.count && start < range->end; i++) {
		const struct range *cut = &reserved.range[i];
		uint64_t end = cut->start < range->end ? cut->start : range->end;

		if (cut->end <= start)
			continue;
		if (start < end)
			add_zones(start, end, range->node, policy, lock);
		start = cut->end;
	}
	if (start < range->end)
		add_zones(start, range->end, range->node, policy, lock);
}

static void make_zones(const struct policy *policy, enum spin_kind lock)
{
	unsigned count_before = zones.count;

	zones.count = 0;
	zones_differ = false;
	account.lost_frames = 0;
	for (unsigned i = 0; i < ram.count; i++)
		add_free_parts(&ram.range[i], policy, lock);
	zones_differ = zones_differ || zones.count != count_before;
	account.outside_frames = account.ram_frames;
	for (unsigned i = 0; i < zones.count; i++)
		account.outside_frames -= zones.zone[i].total_frames;
	if (zones.count == 0)
		port_panic("no memory: %llu frames of RAM, none of them left for a zone",
			   (unsigned long long)account.ram_frames);
}

void memory_start(const struct policy *policy, enum spin_kind lock)
{
	reserve_spans();
	zones.zone = zone_table;
	make_zones(policy, lock);
}

static void check_is_free(const struct zone *zone)
{
	uint64_t usable = zone->total_frames - zone->reserved_frames;

	check(zone->free_frames == usable,
	      "memory: %s cannot be remade: %llu frames are free, expected all %llu", zone->name,
	      (unsigned long long)zone->free_frames, (unsigned long long)usable);
}

bool memory_remake(const struct policy *policy, enum spin_kind lock)
{
	for (unsigned i = 0; i < zones.count; i++)
		check_is_free(&zones.zone[i]);
	make_zones(policy, lock);
	return zones_differ;
}
