/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap_report.c - see heap_report.h.
 *
 * Three parts of a slab serve no caller: blocks that are free in it (fragmentation), the bytes behind
 * its last block, and its record in an arena. The report gives the first as a share of the blocks, and
 * the last two as a share of the slab. What a size is rounded up by is in no figure, because the heap
 * does not keep the sizes that were asked for; it is at most 1/8 beyond 128 bytes.
 */
#include "kernel/diag/heap_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "kernel/diag/record.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"

/* Of those that held the most memory; all are in the records. */
#define CLASSES_SHOWN 8

static uint64_t permille(uint64_t part, uint64_t whole)
{
	return whole ? (part * 1000 + whole / 2) / whole : 0;
}

static uint64_t lost_of_slab(const struct kheap_class_stats *class)
{
	uint64_t tail = class->slab_bytes - class->blocks_per_slab * class->size;

	return permille(tail + SLAB_RECORD_BYTES, class->slab_bytes);
}

static void print_permille(uint64_t value)
{
	printf(" %6" PRIu64 ".%" PRIu64 " %%", value / 10, value % 10);
}

void heap_report_now(void)
{
	struct kheap_class_stats class;

	printf("%8s %8s %8s %9s %9s %9s %9s %9s\n", "class", "slabs", "KiB", "live", "cached",
	       "free", "free", "lost");
	for (unsigned i = 1; kheap_class_stats(i, &class); i++) {
		if (!class.slabs)
			continue;
		printf("%8zu %8" PRIu64 " %8" PRIu64 " %9" PRIu64 " %9" PRIu64 " %9" PRIu64,
		       class.size, class.slabs, class.slabs * class.slab_bytes / 1024, class.live,
		       class.cached, class.free);
		print_permille(permille(class.free, class.slabs * class.blocks_per_slab));
		print_permille(lost_of_slab(&class));
		printf("\n");
	}
}

/* How many classes held more bytes than class `number`. */
static unsigned classes_above(unsigned number)
{
	struct kheap_class_stats class, other;
	unsigned above = 0;

	(void)kheap_class_stats(number, &class);
	for (unsigned i = 1; kheap_class_stats(i, &other); i++) {
		uint64_t bytes = other.slabs_most * other.slab_bytes;
		uint64_t of_class = class.slabs_most * class.slab_bytes;

		above += bytes > of_class || (bytes == of_class && i < number);
	}
	return above;
}

void heap_report_most(void)
{
	struct kheap_class_stats class;
	unsigned shown = 0, more = 0;

	for (unsigned i = 1; kheap_class_stats(i, &class); i++) {
		uint64_t blocks = class.slabs_most * class.blocks_per_slab;

		if (!class.slabs_most)
			continue;
		if (classes_above(i) >= CLASSES_SHOWN) {
			more++;
			continue;
		}
		if (!shown++)
			printf("\nheap, the most that the largest size classes held\n"
			       "  class    slabs      KiB      used     free     lost\n");
		printf("  %-6zu %7" PRIu64 " %8" PRIu64 " %9" PRIu64, class.size, class.slabs_most,
		       class.slabs_most * class.slab_bytes / 1024, class.used_most);
		print_permille(permille(blocks - class.used_most, blocks));
		print_permille(lost_of_slab(&class));
		printf("\n");
	}
	if (more)
		printf("  %u more classes are in the records heap_class\n", more);
}

void heap_report_record(void)
{
	struct kheap_class_stats class;

	for (unsigned i = 1; kheap_class_stats(i, &class); i++) {
		if (!class.slabs_most)
			continue;
		record_begin("heap_class");
		record_number("size", class.size);
		record_number("slab_bytes", class.slab_bytes);
		record_number("blocks_per_slab", class.blocks_per_slab);
		record_number("record_bytes", SLAB_RECORD_BYTES);
		record_number("slabs", class.slabs);
		record_number("live", class.live);
		record_number("cached", class.cached);
		record_number("slabs_most", class.slabs_most);
		record_number("used_most", class.used_most);
		record_end();
	}
}
