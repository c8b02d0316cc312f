/* SPDX-License-Identifier: BSD-2-Clause */
/* debug_index.c - the records of blocks: buckets by address, and lists; see debug_private.h. */
#include "mm/heap/debug_private.h"

/* Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4). */
static struct debug_record **bucket_of(const void *block)
{
	uint64_t hash = ((uintptr_t)block >> 4) * UINT64_C(0x9e3779b97f4a7c15);

	return &heap_debug.bucket[hash >> heap_debug.bucket_shift];
}

void debug_enter_locked(struct debug_record *record)
{
	struct debug_record **bucket = bucket_of(record->block);

	record->next = *bucket;
	*bucket = record;
}

void debug_remove_locked(struct debug_record *record)
{
	struct debug_record **link = bucket_of(record->block);

	while (*link != record)
		link = &(*link)->next;
	*link = record->next;
}

struct debug_record *debug_find_locked(const void *block)
{
	struct debug_record *record = *bucket_of(block);

	while (record && record->block != block)
		record = record->next;
	return record;
}

void debug_walk(bool (*visit)(void *context, struct debug_record *record), void *context)
{
	for (uint64_t i = 0; i < UINT64_C(1) << (64 - heap_debug.bucket_shift); i++)
		for (struct debug_record *record = heap_debug.bucket[i], *next; record;
		     record = next) {
			next = record->next;
			if (!visit(context, record))
				return;
		}
}

struct around {
	const char *byte;
	struct debug_record *best;
	bool is_record;
};

static bool look_around(void *context, struct debug_record *record)
{
	struct around *around = context;
	const char *start = record->block - record->front;
	size_t bytes = record->front + record->size + record->tail;

	if (around->byte == (const char *)record)
		around->is_record = true;
	if ((size_t)(around->byte - start) < bytes &&
	    (!around->best || record->state < around->best->state))
		around->best = record;
	return true;
}

bool debug_find_around_locked(const void *pointer, struct debug_record *found, bool *is_record)
{
	struct around around = {pointer, NULL, false};

	debug_walk(look_around, &around);
	*is_record = around.is_record;
	if (around.best)
		*found = *around.best;
	return around.best != NULL;
}

void debug_list_add_locked(struct debug_list *list, struct debug_record *record)
{
	record->later = NULL;
	if (list->last)
		list->last->later = record;
	else
		list->first = record;
	list->last = record;
}

struct debug_record *debug_list_take_locked(struct debug_list *list)
{
	struct debug_record *record = list->first;

	if (!record)
		return NULL;
	list->first = record->later;
	if (!list->first)
		list->last = NULL;
	return record;
}
