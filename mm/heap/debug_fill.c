/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug_fill.c - the patterns of red zones and of free memory, and the map of poisoned units; see
 * debug_private.h. Takes the heap's lock for the map alone.
 */
#include "mm/heap/debug_private.h"

#include <string.h>

#include "mm/check.h"
#include "mm/words.h"

/* ---- patterns ---------------------------------------------------------------------------------- */

void debug_fill(char *bytes, unsigned value, size_t count)
{
	while (count && (uintptr_t)bytes % sizeof(uint64_t)) {
		*bytes++ = (char)value;
		count--;
	}
	words_fill((uint64_t *)(void *)bytes, value * DEBUG_REPEAT, count / sizeof(uint64_t));
	for (bytes += count & ~(size_t)7, count &= 7; count; count--)
		*bytes++ = (char)value;
}

void debug_zones_fill(const struct debug_record *record)
{
	debug_fill(record->block - record->front, DEBUG_RED, record->front);
	debug_fill(record->block + record->size, DEBUG_RED, record->tail);
}

/* The first of `count` bytes that has changed; NULL: none has. */
static const uint8_t *changed(const char *bytes, unsigned value, size_t count)
{
	size_t same = bytes_equal((const uint8_t *)bytes, (uint8_t)value, count);

	return same == count ? NULL : (const uint8_t *)bytes + same;
}

void debug_make_live(struct debug_record *record)
{
	struct hold hold;

	heap_enter(&hold);
	if (record->state != DEBUG_LIVE) {
		record->state = DEBUG_LIVE;
		heap_debug.live++;
		heap_debug.live_bytes += record->size;
	}
	heap_leave(&hold);
}

DEBUG_PANIC zone_written(const struct debug_record *record, const uint8_t *at, const char *call,
			 const void *caller)
{
	char text[DEBUG_TEXT];

	port_panic("%s: red zone written: block %p of %zu bytes, offset %lld: expected %#x, found "
		   "%#x%s, called from [<%p>]",
		   call, (void *)record->block, record->size,
		   (long long)((const char *)at - record->block), DEBUG_RED, *at,
		   debug_owners(text, sizeof(text), record), caller);
}

void debug_zones_check(struct debug_record *record, const char *call, const void *caller)
{
	const uint8_t *at = changed(record->block - record->front, DEBUG_RED, record->front);

	if (!at)
		at = changed(record->block + record->size, DEBUG_RED, record->tail);
	if (!at)
		return;
	debug_make_live(record);
	zone_written(record, at, call, caller);
}

DEBUG_PANIC freed_written(const struct debug_record *record, const uint8_t *at, const char *when)
{
	char text[DEBUG_TEXT];

	port_panic("heap: use after free, seen %s: block %p of %zu bytes, offset %lld: expected "
		   "%#x, found %#x%s",
		   when, (void *)record->block, record->size,
		   (long long)((const char *)at - record->block), DEBUG_FREE, *at,
		   debug_owners(text, sizeof(text), record));
}

void debug_freed_check(const struct debug_record *record, const char *when)
{
	const uint8_t *at = changed(record->block, DEBUG_FREE, record->size);

	if (at)
		freed_written(record, at, when);
}

/* ---- poisoned units ---------------------------------------------------------------------------- */

#define UNITS (FRAME_SIZE / BUDDY_UNIT)

_Static_assert(UNITS <= 64, "a word has a bit for each unit of a frame");

/* The bits of the units that lie in bytes [start, end) of a frame. */
static uint64_t units(uint64_t start, uint64_t end)
{
	uint64_t first = (start + BUDDY_UNIT - 1) / BUDDY_UNIT, last = end / BUDDY_UNIT;

	return first < last ? UINT64_MAX >> (64 - (last - first)) << first : 0;
}

/*
 * Sets or clears the bits of one frame; returns those that were set. Returns 0 for a frame that the
 * diagnostics have no bits for.
 */
static uint64_t swap(uint64_t frame, uint64_t bits, bool set)
{
	uint64_t found = 0;
	struct hold hold;

	if (!bits || frame - heap_debug.first >= heap_debug.frames)
		return 0;
	heap_enter(&hold);
	found = heap_debug.poisoned[frame - heap_debug.first] & bits;
	heap_debug.poisoned[frame - heap_debug.first] &= ~bits;
	if (set)
		heap_debug.poisoned[frame - heap_debug.first] |= bits;
	heap_leave(&hold);
	return found;
}

/* A write after the free of this memory: the record of the last block there may be kept still. */
DEBUG_PANIC stale(const uint8_t *at)
{
	struct debug_record record;
	char text[DEBUG_TEXT] = "";
	struct hold hold;
	bool is_record, found;

	heap_enter(&hold);
	found = debug_find_around_locked(at, &record, &is_record);
	heap_leave(&hold);
	if (found && record.state == DEBUG_GONE)
		port_panic(
			"heap: use after free, seen when the memory was allocated again: block %p "
			"of %zu bytes, offset %lld: expected %#x, found %#x%s",
			(void *)record.block, record.size,
			(long long)((const char *)at - record.block), DEBUG_FREE, *at,
			debug_owners(text, sizeof(text), &record));
	port_panic("heap: use after free, seen when the memory was allocated again: free memory at "
		   "%p: expected %#x, found %#x",
		   (const void *)at, DEBUG_FREE, *at);
}

static void check_units(uint64_t frame, uint64_t bits)
{
	const char *bytes = frame_bytes(pfn(frame));

	for (unsigned unit = 0; bits; unit++, bits >>= 1) {
		const uint8_t *at = bits & 1 ? changed(bytes + unit * BUDDY_UNIT, DEBUG_FREE,
						       BUDDY_UNIT)
					     : NULL;

		if (at)
			stale(at);
	}
}

/* Calls for each frame of the memory. Units that are only partly in it are in use, and not in a map. */
static void each_frame(const char *memory, size_t bytes, bool set)
{
	uint64_t start = port_phys_address(memory), end = start + bytes;

	while (start < end) {
		uint64_t base = start & ~(uint64_t)(FRAME_SIZE - 1), next = base + FRAME_SIZE;
		uint64_t last = end < next ? end : next;
		/* What is in use in part is in use. */
		uint64_t until = set ? last - base : (last - base + BUDDY_UNIT - 1) & -BUDDY_UNIT;
		uint64_t found = swap(base >> FRAME_SHIFT, units(start - base, until), set);

		if (!set)
			check_units(base >> FRAME_SHIFT, found);
		start = next;
	}
}

void debug_poison_give(const char *memory, size_t bytes)
{
	each_frame(memory, bytes, true);
}

void debug_poison_take(const char *memory, size_t bytes)
{
	each_frame(memory, bytes, false);
}

void debug_poison_fresh(uint64_t first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		swap(first + i, UINT64_MAX, false);
}

void debug_poison_start(void)
{
	memset(heap_debug.poisoned, 0, heap_debug.frames * sizeof(uint64_t));
}
