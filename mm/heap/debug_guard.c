/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug_guard.c - blocks at the end of pages that have neighbours which are not mapped; see
 * debug_private.h.
 *
 * The addresses are cut into slots of a few pages and one more that is never mapped; so is the page
 * before the first slot. A block ends where the last page of its slot ends, or less than its alignment
 * before. After its free the slot stays empty as long as possible: slots are used again in the order
 * in which their blocks were freed, when no other slot is left. Its frames are freed then, or when memory
 * is short: after a flush on all CPUs, of which there is about one for each round through all slots.
 *
 * Maps and unmaps without the lock: the slot belongs to the CPU that places or frees its block.
 */
#include "mm/heap/debug_private.h"

#include <stdio.h>
#include <string.h>

#include "mm/check.h"
#include "sync/ck.h"

#define SLOT_PAGES   2
#define STRIDE_PAGES (SLOT_PAGES + 1)
#define SLOTS_MAX    256

struct slot {
	struct debug_record *record; /* the last one */
	pfn_t frame[SLOT_PAGES];
};

static struct {
	uint64_t base; /* of slot 0 */
	unsigned slots;
	unsigned next; /* where the search for a slot begins */
	uint64_t kept; /* slots that have a record; a counter */
	unsigned live; /* of these: of live blocks */
	uint64_t unmapped,
		flushed; /* blocks unmapped, and those of them that all CPUs have flushed */
	struct slot slot[SLOTS_MAX];
	uint64_t count; /* of allocations; atomic */
} guard;

void debug_guard_start(void)
{
	memset(&guard, 0, sizeof(guard));
}

void kheap_debug_guard(uint64_t base, uint64_t pages)
{
	if (!debug_has(KHEAP_DEBUG_GUARD))
		return;
	check(guard.live == 0, "heap: %u blocks with guard pages are live and lose their addresses",
	      guard.live);
	kheap_debug->give(); /* freed blocks leave their slots */
	guard.base = base + FRAME_SIZE;
	guard.slots = pages > STRIDE_PAGES ? (unsigned)((pages - 1) / STRIDE_PAGES) : 0;
	if (guard.slots > SLOTS_MAX)
		guard.slots = SLOTS_MAX;
}

/* By its number and the seed: so a run with one CPU chooses the same blocks each time. */
bool debug_guard_chooses(size_t size, size_t align)
{
	uint64_t number;

	if (!guard.slots || size > SLOT_PAGES * FRAME_SIZE || align > FRAME_SIZE)
		return false;
	number = ck_pr_faa_64(&guard.count, 1) + heap_debug.seed * UINT64_C(0x9e3779b97f4a7c15);
	number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return (number ^ number >> 27) % heap_debug.guard_every == 0;
}

static char *slot_end(unsigned slot)
{
	return (char *)(uintptr_t)(guard.base +
				   ((uint64_t)slot * STRIDE_PAGES + SLOT_PAGES) * FRAME_SIZE);
}

static void give_pages(const pfn_t *frame, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		give_frames(frame[i], 1, true);
}

static unsigned take_pages(pfn_t *frame, unsigned wanted)
{
	for (unsigned i = 0; i < wanted; i++) {
		frame[i] = take_frames(1, 0, FRAME_NOWAIT);
		if (pfn_is_none(frame[i])) {
			give_pages(frame, i);
			return 0;
		}
	}
	return wanted;
}

/* A slot without a record: the next one after the last that was taken. */
static unsigned unused_slot(void)
{
	do
		guard.next = guard.next + 1 < guard.slots ? guard.next + 1 : 0;
	while (guard.slot[guard.next].record);
	counter_add(&guard.kept, 1);
	return guard.next;
}

/* SLOTS_MAX: there is none. */
static unsigned take_slot(struct debug_record *record)
{
	unsigned slot = SLOTS_MAX;
	struct hold hold;

	heap_enter(&hold);
	if (guard.kept < guard.slots) {
		slot = unused_slot();
		guard.slot[slot].record = record;
		guard.live++;
	}
	heap_leave(&hold);
	return slot;
}

bool debug_guard_is_full(void)
{
	return counter_read(&guard.kept) == guard.slots;
}

static void place(struct debug_record *record, unsigned slot, unsigned pages, size_t size,
		  size_t align)
{
	char *end = slot_end(slot);

	record->slot = slot + 1;
	record->memory = end - pages * FRAME_SIZE;
	record->block = end - ((size + align - 1) & ~(align - 1));
	record->front = record->tail = 0;
	if (debug_has(KHEAP_DEBUG_REDZONE)) {
		size_t before = (size_t)(record->block - record->memory);

		record->front = before < BUDDY_UNIT ? before : BUDDY_UNIT;
		record->tail = (size_t)(end - record->block) - size;
	}
}

bool debug_guard_place(struct debug_record *record, size_t size, size_t align)
{
	pfn_t frame[SLOT_PAGES];
	unsigned pages = take_pages(frame, (unsigned)frames_for(size));
	unsigned slot = pages ? take_slot(record) : SLOTS_MAX;

	if (slot == SLOTS_MAX) {
		give_pages(frame, pages);
		return false;
	}
	place(record, slot, pages, size, debug_align(size, align));
	for (unsigned i = 0; i < pages; i++) {
		guard.slot[slot].frame[i] = frame[i];
		kheap_debug_port->map((uintptr_t)record->memory + i * FRAME_SIZE, frame[i]);
	}
	return true;
}

static size_t slot_bytes(const struct debug_record *record)
{
	return (size_t)(slot_end(record->slot - 1) - record->memory);
}

void debug_guard_end(struct debug_record *record)
{
	struct hold hold;

	kheap_debug_port->unmap((uintptr_t)record->memory, slot_bytes(record));
	heap_enter(&hold);
	record->unmapped = ++guard.unmapped;
	guard.live--;
	debug_list_add_locked(&heap_debug.guarded, record);
	heap_leave(&hold);
}

/* One flush covers all slots that were unmapped before it. */
static void flush_since(uint64_t unmapped)
{
	struct hold hold;
	uint64_t until;

	heap_enter(&hold);
	until = guard.flushed < unmapped ? guard.unmapped : 0;
	heap_leave(&hold);
	if (!until)
		return;
	kheap_debug_port->flush();
	heap_enter(&hold);
	if (guard.flushed < until)
		guard.flushed = until;
	heap_leave(&hold);
}

void debug_guard_forget(struct debug_record *record)
{
	struct slot *slot = &guard.slot[record->slot - 1];
	struct hold hold;

	flush_since(record->unmapped);
	give_pages(slot->frame, (unsigned)(slot_bytes(record) >> FRAME_SHIFT));
	heap_enter(&hold);
	slot->record = NULL;
	counter_set(&guard.kept, guard.kept - 1);
	heap_leave(&hold);
}

/* ---- faults ------------------------------------------------------------------------------------ */

bool kheap_debug_describe(uint64_t address, char *text, size_t bytes)
{
	uint64_t page = (address - guard.base) >> FRAME_SHIFT;
	const struct debug_record *record;
	char owners[DEBUG_TEXT];
	long long offset;

	if (address < guard.base || page >= (uint64_t)guard.slots * STRIDE_PAGES)
		return false;
	record = guard.slot[page / STRIDE_PAGES].record;
	if (!record)
		return false;
	offset = (long long)(address - (uintptr_t)record->block);
	snprintf(text, bytes, "%s: block %p of %zu bytes, offset %lld%s",
		 record->state != DEBUG_LIVE ? "use after free"
		 : offset < 0		     ? "in front of a block"
					     : "behind a block",
		 (void *)record->block, record->size, offset,
		 debug_owners(owners, sizeof(owners), record));
	return true;
}
