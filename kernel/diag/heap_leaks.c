/* SPDX-License-Identifier: BSD-2-Clause */
/* heap_leaks.c - see heap_leaks.h. The table is cpu 0's. */
#include "kernel/diag/heap_leaks.h"

#include <inttypes.h>
#include <stdio.h>

#include "kernel/diag/record.h"
#include "mm/heap/debug.h"

#define SITES 64

static struct kheap_debug_site sites[SITES];

static void print_site(const struct kheap_debug_site *site, unsigned words)
{
	printf("  %8" PRIu64 " blocks %10" PRIu64 " bytes", site->blocks, site->bytes);
	if (words & KHEAP_DEBUG_OWNERS)
		printf(", oldest %" PRIu64 ".%03u ms", site->oldest_us / 1000,
		       (unsigned)(site->oldest_us % 1000));
	if (site->caller)
		printf(", allocated at [<%p>]", site->caller);
	else
		printf(", allocated at other places");
	printf("\n");
}

static void record_site(const struct kheap_debug_site *site)
{
	record_begin("heap_live");
	record_number("caller", (uintptr_t)site->caller);
	record_number("blocks", site->blocks);
	record_number("bytes", site->bytes);
	record_number("oldest_us", site->oldest_us);
	record_end();
}

static void report_live(unsigned words)
{
	unsigned count = kheap_debug_report(sites, SITES);
	uint64_t blocks = 0, bytes = 0;

	for (unsigned i = 0; i < count; i++) {
		blocks += sites[i].blocks;
		bytes += sites[i].bytes;
	}
	printf("\nheap: %" PRIu64 " live blocks, %" PRIu64 " bytes, from %u places\n", blocks,
	       bytes, count);
	for (unsigned i = 0; i < count; i++)
		print_site(&sites[i], words);
	if (kheap_debug_untracked())
		printf("  %8" PRIu64 " blocks for which there was no memory for a record\n",
		       kheap_debug_untracked());
	for (unsigned i = 0; i < count; i++)
		record_site(&sites[i]);
}

void heap_leaks(void)
{
	unsigned words = kheap_debug_words();

	kheap_debug_check();
	if (words & KHEAP_DEBUG_LEAKS)
		report_live(words);
}
