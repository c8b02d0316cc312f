/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * early.c - see early.h.
 *
 * The tree is walked again for each new stretch: there is no memory yet for a table of its ranges.
 * No sum here can wrap: ranges end below 2^64 (machine.h), frames are rounded by frame_up(), which
 * stops at the last frame, and lengths are compared with what is left, never added first.
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
static struct range blob; /* the tree where the firmware put it; empty once it has moved */
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

/* All frames that have a byte of the range. */
static struct range frames_of(struct range range)
{
	return (struct range){frame_down(range.start), frame_up(range.end)};
}

/* ---- what the tree says ---------------------------------------------------------------------- */

/* True: FOUND. early_init() has seen all of the tree's ranges, so none is malformed now. */
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

/* Where RAM that goes on from `address` ends; `address` itself when no RAM holds its byte. */
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

/* The lowest piece of RAM at or above `from`, as long as it goes on; false: there is none. */
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

/* ---- stretches ------------------------------------------------------------------------------- */

/* Takes away what lies above an obstacle's start, or, where it covers the bottom, what lies below
 * its end. */
static void cut(struct range *stretch, struct range obstacle)
{
	if (!ranges_meet(*stretch, obstacle))
		return;
	if (obstacle.start > stretch->start)
		stretch->end = obstacle.start;
	else
		stretch->start = obstacle.end < stretch->end ? obstacle.end : stretch->end;
}

/* What is left meets no obstacle: a cut only makes it shorter, so those before stay outside. */
static void cut_by_all(struct range *stretch)
{
	struct machine_reserved reserved = {0};
	struct range range;

	while (next_reserved(&reserved, &range))
		cut(stretch, frames_of(range));
	cut(stretch, frames_of(blob));
	for (const struct early_span *span = &first_span; span; span = span->next)
		cut(stretch, (struct range){span->start, span->limit});
}

/* The lowest stretch at or above `from`; false: there is none. Each turn begins higher than the
 * last. */
static bool next_free_range(uint64_t from, struct range *stretch)
{
	struct range ram;

	while (next_ram(from, &ram)) {
		*stretch = (struct range){frame_up(ram.start), frame_down(ram.end)};
		if (stretch->start >= stretch->end) {
			from = ram.end;
			continue;
		}
		cut_by_all(stretch);
		if (stretch->start < stretch->end)
			return true;
		from = stretch->end;
	}
	return false;
}

/* Where the stretch ends that goes on at `limit`; `limit` itself when none does. */
static uint64_t free_range_extends_to(uint64_t limit)
{
	struct range stretch;

	return next_free_range(limit, &stretch) && stretch.start == limit ? stretch.end : limit;
}

/* ---- spans ----------------------------------------------------------------------------------- */

const struct early_span *early_spans(void)
{
	return &first_span;
}

/* Whether the span has room; *start is where the memory would begin. */
static bool has_room(const struct early_span *span, size_t bytes, size_t align, uint64_t *start)
{
	uint64_t slack = -span->end & (align - 1);
	uint64_t room = span->limit - span->end;

	*start = span->end + slack;
	return slack <= room && bytes <= room - slack;
}

static struct early_span *begin_span(struct range stretch)
{
	struct early_span *span = port_phys_pointer(stretch.start);

	*span = (struct early_span){
		.start = stretch.start, .end = stretch.start + sizeof(*span), .limit = stretch.end};
	last_span->next = span;
	last_span = span;
	return span;
}

/* A span in the lowest new stretch of [from, to) that has room; NULL: none has. *largest grows. */
static struct early_span *find_span(uint64_t from, uint64_t to, size_t bytes, size_t align,
				    uint64_t *largest)
{
	struct range stretch;

	for (; next_free_range(from, &stretch) && stretch.start < to; from = stretch.end) {
		struct early_span would_be = {.end = stretch.start + sizeof(would_be),
					      .limit = stretch.end};
		uint64_t start;

		if (has_room(&would_be, bytes, align, &start))
			return begin_span(stretch);
		if (stretch.end - stretch.start > *largest)
			*largest = stretch.end - stretch.start;
	}
	return NULL;
}

/* The first span with room, or a new one. */
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
		port_panic(
			"no memory: %zu bytes for the kernel's tables, and the longest stretch of "
			"RAM that is neither reserved nor in use has %llu",
			bytes, (unsigned long long)largest);
	span->end = start + bytes;
	memory = port_phys_pointer(start);
	return memset(memory, 0, bytes);
}

/* ---- from the first to the last -------------------------------------------------------------- */

/* Whether all of the tree's ranges can be read. */
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

/* Of the reserved ranges the first that the kernel cannot share its place with; false: none. */
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
