/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * early.c - finds and hands out early memory; see early.h.
 *
 * The tree is walked again for each new free range: there is no memory yet for a table of its
 * ranges. No sum here can wrap. Ranges end below 2^64 (machine.h); frame_up() stops at the last
 * frame; a length is compared with the room that is left before it is added to anything.
 *
 * Written by cpu 0 alone, before other harts run; early_spans() may be read by any cpu afterwards.
 */
#include "kernel/boot/early.h"

#include <stdio.h>
#include <string.h>

#include <port.h>

#include "kernel/boot/machine.h"
#include "mm/address.h"
#include "mm/check.h"

#define LAST_FRAME (UINT64_MAX & -FRAME_SIZE)

struct range {
	uint64_t start, end;
};

static const struct devicetree *tree;
static struct range blob; /* where the firmware put the tree; empty after early_tree_moved() */
static struct range kernel;
static struct early_span first_span, *last_span;
static bool is_closed;

static uint64_t frame_down(uint64_t address)
{
	return address & -FRAME_SIZE;
}

static uint64_t frame_up(uint64_t address)
{
	return address > LAST_FRAME ? LAST_FRAME : frame_down(address + FRAME_SIZE - 1);
}

static bool ranges_meet(struct range a, struct range b)
{
	return a.start < b.end && b.start < a.end;
}

/* All frames that contain a byte of the range. */
static struct range frames_of(struct range range)
{
	return (struct range){frame_down(range.start), frame_up(range.end)};
}

/* ---- what the tree says ---------------------------------------------------------------------- */

/*
 * Whether the answer is FOUND. early_init() has read all ranges of the tree, so none is malformed.
 */
static bool found(enum devicetree_result result, const struct devicetree_error *error)
{
	char text[128];

	if (result == DEVICETREE_MALFORMED) {
		devicetree_error_text(error, text, sizeof(text));
		port_panic("device tree: %s", text);
	}
	return result == DEVICETREE_FOUND;
}

static bool next_memory(struct machine_memory *memory, struct range *range)
{
	struct devicetree_error error;

	if (!found(machine_next_memory(tree, memory, &error), &error))
		return false;
	*range = (struct range){memory->start.value, memory->start.value + memory->size};
	return true;
}

static bool next_reserved(struct machine_reserved *reserved, struct range *range)
{
	struct devicetree_error error;

	if (!found(machine_next_reserved(tree, reserved, &error), &error))
		return false;
	*range = (struct range){reserved->start.value, reserved->start.value + reserved->size};
	return true;
}

/*
 * The end of the RAM that is contiguous from `address` on; `address` itself where no RAM is there.
 */
static uint64_t ram_goes_on_to(uint64_t address)
{
	uint64_t end = address;
	bool grew;

	do {
		struct machine_memory memory = {0};
		struct range range;

		grew = false;
		while (next_memory(&memory, &range)) {
			if (range.start <= end && range.end > end) {
				end = range.end;
				grew = true;
			}
		}
	} while (grew);
	return end;
}

/* The lowest contiguous RAM at or above `from`; false: there is none. */
static bool next_ram(uint64_t from, struct range *ram)
{
	struct machine_memory memory = {0};
	uint64_t lowest = UINT64_MAX;
	struct range range;

	while (next_memory(&memory, &range)) {
		uint64_t start = range.start > from ? range.start : from;

		if (range.end > from && start < lowest)
			lowest = start;
	}
	*ram = (struct range){lowest, ram_goes_on_to(lowest)};
	return lowest != UINT64_MAX;
}

/* ---- free ranges ----------------------------------------------------------------------------- */

/*
 * Cuts the range at the obstacle's start; where the obstacle covers the bottom of the range, the
 * range begins at the obstacle's end.
 */
static void cut(struct range *free_range, struct range obstacle)
{
	if (!ranges_meet(*free_range, obstacle))
		return;
	if (obstacle.start > free_range->start)
		free_range->end = obstacle.start;
	else
		free_range->start = obstacle.end < free_range->end ? obstacle.end : free_range->end;
}

/*
 * The remaining range overlaps no obstacle: a cut only shortens it, so earlier obstacles stay
 * outside.
 */
static void cut_by_all(struct range *free_range)
{
	struct machine_reserved reserved = {0};
	struct range range;

	while (next_reserved(&reserved, &range))
		cut(free_range, frames_of(range));
	cut(free_range, frames_of(blob));
	for (const struct early_span *span = &first_span; span; span = span->next)
		cut(free_range, (struct range){span->start, span->limit});
}

/* The lowest free range at or above `from`; false: there is none. `from` rises in each turn. */
static bool next_free_range(uint64_t from, struct range *free_range)
{
	struct range ram;

	while (next_ram(from, &ram)) {
		*free_range = (struct range){frame_up(ram.start), frame_down(ram.end)};
		if (free_range->start >= free_range->end) {
			from = ram.end;
			continue;
		}
		cut_by_all(free_range);
		if (free_range->start < free_range->end)
			return true;
		from = free_range->end;
	}
	return false;
}

/*
 * The end of the free range that begins at `limit`; `limit` itself where no free range begins
 * there.
 */
static uint64_t free_range_extends_to(uint64_t limit)
{
	struct range free_range;

	return next_free_range(limit, &free_range) && free_range.start == limit ? free_range.end
										: limit;
}

/* ---- spans ----------------------------------------------------------------------------------- */

const struct early_span *early_spans(void)
{
	return &first_span;
}

/* Whether the span has room for the memory, which would begin at *start. */
static bool has_room(const struct early_span *span, size_t bytes, size_t align, uint64_t *start)
{
	uint64_t slack = -span->end & (align - 1);
	uint64_t room = span->limit - span->end;

	*start = span->end + slack;
	return slack <= room && bytes <= room - slack;
}

static struct early_span *begin_span(struct range free_range)
{
	struct early_span *span = port_phys_pointer(free_range.start);

	*span = (struct early_span){.start = free_range.start,
				    .end = free_range.start + sizeof(*span),
				    .limit = free_range.end};
	last_span->next = span;
	last_span = span;
	return span;
}

/*
 * Begins a span in the lowest free range of [from, to) that has room; NULL: none has. *largest
 * becomes the length of the longest free range seen, if that is longer.
 */
static struct early_span *find_span(uint64_t from, uint64_t to, size_t bytes, size_t align,
				    uint64_t *largest)
{
	struct range free_range;

	for (; next_free_range(from, &free_range) && free_range.start < to; from = free_range.end) {
		struct early_span would_be = {.end = free_range.start + sizeof(would_be),
					      .limit = free_range.end};
		uint64_t start;

		if (has_room(&would_be, bytes, align, &start))
			return begin_span(free_range);
		if (free_range.end - free_range.start > *largest)
			*largest = free_range.end - free_range.start;
	}
	return NULL;
}

/* The first span with room, or a new span. */
static struct early_span *span_for(size_t bytes, size_t align, uint64_t *largest)
{
	struct early_span *span;
	uint64_t start;

	for (span = &first_span; span; span = span->next) {
		if (has_room(span, bytes, align, &start))
			return span;
		if (span->limit - span->end > *largest)
			*largest = span->limit - span->end;
	}
	span = find_span(kernel.end, UINT64_MAX, bytes, align, largest);
	return span ? span : find_span(0, kernel.start, bytes, align, largest);
}

void *early_alloc(size_t bytes, size_t align)
{
	struct early_span *span;
	uint64_t largest = 0, start;
	void *memory;

	check(!is_closed, "early_alloc: %zu bytes after early_close()", bytes);
	span = span_for(bytes, align, &largest);
	if (!span || !has_room(span, bytes, align, &start))
		port_panic("no memory: %zu bytes for the kernel's tables, and the longest range of "
			   "RAM that is neither reserved nor in use has %llu",
			   bytes, (unsigned long long)largest);
	span->end = start + bytes;
	memory = port_phys_pointer(start);
	return memset(memory, 0, bytes);
}

/* ---- opening, moving the tree, closing ------------------------------------------------------- */

/* Whether all ranges of the tree can be read. */
static bool ranges_are_sound(struct devicetree_error *error)
{
	struct machine_memory memory = {0};
	struct machine_reserved reserved = {0};
	enum devicetree_result result;

	while ((result = machine_next_memory(tree, &memory, error)) == DEVICETREE_FOUND)
		continue;
	if (result == DEVICETREE_MALFORMED)
		return false;
	while ((result = machine_next_reserved(tree, &reserved, error)) == DEVICETREE_FOUND)
		continue;
	return result != DEVICETREE_MALFORMED;
}

bool early_init(const struct devicetree *devicetree, uint64_t kernel_start, uint64_t kernel_end,
		struct devicetree_error *error)
{
	tree = devicetree;
	blob.start = port_phys_address(tree->blob);
	blob.end = blob.start + tree->size;
	kernel = (struct range){kernel_start, kernel_end};
	first_span = (struct early_span){kernel_start, kernel_end, kernel_end, NULL};
	last_span = &first_span;
	is_closed = false;
	if (!ranges_are_sound(error))
		return false;
	first_span.limit = free_range_extends_to(kernel_end);
	return true;
}

/*
 * Whether a reserved range overlaps the kernel in a way that forbids to run it there: the first
 * such range is described in `wrong`.
 */
static bool find_over_kernel(bool pages, char *wrong, size_t bytes)
{
	struct machine_reserved reserved = {0};
	struct range range;

	while (next_reserved(&reserved, &range)) {
		bool no_map = reserved.no_map && pages;

		if (no_map ? !ranges_meet(frames_of(range), kernel)
			   : reserved.source != MACHINE_INITRD || !ranges_meet(range, kernel))
			continue;
		snprintf(wrong, bytes, "%s [%#llx, %#llx) covers the kernel at [%#llx, %#llx)",
			 no_map ? "no-map region" : "the initrd", (unsigned long long)range.start,
			 (unsigned long long)range.end, (unsigned long long)kernel.start,
			 (unsigned long long)kernel.end);
		return true;
	}
	return false;
}

bool early_kernel_can_stay(bool pages, char *wrong, size_t bytes)
{
	if (ram_goes_on_to(kernel.start) < kernel.end) {
		snprintf(wrong, bytes,
			 "no memory: the device tree has no RAM at [%#llx, %#llx), where "
			 "the kernel is",
			 (unsigned long long)kernel.start, (unsigned long long)kernel.end);
		return false;
	}
	if (ranges_meet(blob, kernel)) {
		snprintf(wrong, bytes,
			 "the device tree [%#llx, %#llx) covers the kernel at [%#llx, %#llx)",
			 (unsigned long long)blob.start, (unsigned long long)blob.end,
			 (unsigned long long)kernel.start, (unsigned long long)kernel.end);
		return false;
	}
	return !find_over_kernel(pages, wrong, bytes);
}

void early_tree_moved(const struct devicetree *devicetree)
{
	tree = devicetree;
	blob = (struct range){0, 0};
	for (struct early_span *span = &first_span; span; span = span->next)
		span->limit = free_range_extends_to(span->limit);
}

void early_close(void)
{
	is_closed = true;
}
