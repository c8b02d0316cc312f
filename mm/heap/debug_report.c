/* SPDX-License-Identifier: BSD-2-Clause */
/* debug_report.c - live blocks by call site; see debug.h. At rest. */
#include "mm/heap/debug_private.h"

struct table {
	struct kheap_debug_site *site;
	unsigned room, count;
};

static void add(struct kheap_debug_site *site, const struct debug_record *record)
{
	uint64_t age = debug_age(record->allocated.time);

	site->blocks++;
	site->bytes += record->size;
	if (debug_has(KHEAP_DEBUG_OWNERS) && age > site->oldest_us)
		site->oldest_us = age;
}

/* The last place is for all sites for which there is no other. */
static bool add_record(void *context, struct debug_record *record)
{
	struct table *table = context;
	const void *caller = record->allocated.site;
	unsigned i = 0;

	if (record->state != DEBUG_LIVE)
		return true;
	while (i < table->count && table->site[i].caller != caller)
		i++;
	if (i >= table->room - 1) {
		i = table->room - 1;
		caller = NULL;
	}
	if (i >= table->count)
		table->site[table->count++] = (struct kheap_debug_site){caller, 0, 0, 0};
	add(&table->site[i], record);
	return true;
}

static void sort(struct kheap_debug_site *site, unsigned count)
{
	for (unsigned i = 1; i < count; i++) {
		struct kheap_debug_site moved = site[i];
		unsigned at = i;

		for (; at && site[at - 1].bytes < moved.bytes; at--)
			site[at] = site[at - 1];
		site[at] = moved;
	}
}

unsigned kheap_debug_report(struct kheap_debug_site *sites, unsigned room)
{
	struct table table = {sites, room, 0};

	if (!kheap_debug)
		return 0;
	debug_walk(add_record, &table);
	sort(sites, table.count);
	return table.count;
}
