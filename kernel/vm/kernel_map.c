/* SPDX-License-Identifier: BSD-2-Clause */
/* kernel_map.c - decides what the kernel's page tables map; see kernel_map.h. Keeps no state. */
#include "kernel/vm/kernel_map.h"

#include "kernel/boot/machine.h"
#include "kernel/boot/memory.h"
#include "mm/address.h"
#include "mm/paging/pte.h"

#define DATA (PAGE_READ | PAGE_WRITE | PAGE_GLOBAL)

/* A part of RAM that the general mapping leaves out. */
struct cut {
	uint64_t start, end;
};

static uint64_t frame_down(uint64_t address)
{
	return pfn_to_phys(pfn_floor(phys(address))).value;
}

/* Stops at the last frame, so that rounding up does not wrap. No RAM is mapped in that frame. */
static uint64_t frame_up(uint64_t address)
{
	uint64_t last = frame_down(UINT64_MAX);

	return address > last ? last : pfn_to_phys(pfn_ceil(phys(address))).value;
}

/* Replaces *first by [start, end) where that ends above `from` and begins below *first. */
static void offer(struct cut *first, uint64_t from, uint64_t start, uint64_t end)
{
	if (end > from && start < first->start)
		*first = (struct cut){start, end};
}

/* The lowest part of RAM from `from` on that is not mapped, or has a mapping in the image. */
static struct cut next_cut(const struct kernel_map *map, uint64_t from)
{
	struct machine_reserved reserved = {0};
	struct devicetree_error error;
	struct cut first = {UINT64_MAX, UINT64_MAX};

	offer(&first, from, map->image_start, map->rodata_end);
	for (unsigned i = 0; i < map->guards; i++)
		offer(&first, from, map->guard(i), map->guard(i) + FRAME_SIZE);
	while (machine_next_reserved(map->tree, &reserved, &error) == DEVICETREE_FOUND)
		if (reserved.no_map)
			offer(&first, from, frame_down(reserved.start.value),
			      frame_up(reserved.start.value + reserved.size));
	return first;
}

/* Visits the whole frames of RAM in [start, end) that lie between cuts. */
static enum page_status walk_ram(const struct kernel_map *map, uint64_t start, uint64_t end,
				 kernel_map_visit *visit, void *context)
{
	enum page_status status = PAGE_OK;

	start = frame_up(start);
	end = frame_down(end);
	while (status == PAGE_OK && start < end) {
		struct cut cut = next_cut(map, start);
		uint64_t until = cut.start < end ? cut.start : end;

		if (start < until)
			status = visit(context, start, until, DATA);
		start = cut.end;
	}
	return status;
}

/* Joins ranges that touch, of any NUMA node: the frame in which two ranges meet may be in use. */
static unsigned join_ram(unsigned i, uint64_t *start, uint64_t *end)
{
	uint64_t next_start, next_end;

	if (!memory_ram_range(i, start, end))
		return 0;
	for (i++; memory_ram_range(i, &next_start, &next_end) && next_start == *end; i++)
		*end = next_end;
	return i;
}

enum page_status kernel_map_walk(const struct kernel_map *map, kernel_map_visit *visit,
				 void *context)
{
	enum page_status status;
	uint64_t start, end;

	status = visit(context, map->image_start, map->text_end,
		       PAGE_READ | PAGE_EXECUTE | PAGE_GLOBAL);
	if (status == PAGE_OK)
		status = visit(context, map->text_end, map->rodata_end, PAGE_READ | PAGE_GLOBAL);
	if (status == PAGE_OK && map->finisher)
		status = visit(context, frame_down(map->finisher),
			       frame_down(map->finisher) + FRAME_SIZE, DATA);
	for (unsigned i = 0; status == PAGE_OK && (i = join_ram(i, &start, &end));)
		status = walk_ram(map, start, end, visit, context);
	return status;
}
