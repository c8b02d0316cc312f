/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel_map.h - what the kernel's own page tables map, and how: the decision without the tables,
 * so that it builds for the host too.
 *
 * Mapped to itself are the image's text (read, execute), its read-only data (read), and all whole
 * frames of RAM (read, write) but those: the image's text and read-only data, guard pages, and
 * every frame with a byte in it that the tree says must not be mapped. The test finisher's page is
 * mapped, too. A tree that forbids to map the image itself has been refused before
 * (early_kernel_can_stay).
 */
#pragma once

#include <stdint.h>

#include "kernel/boot/devicetree.h"
#include "mm/paging/page_status.h"

struct kernel_map {
	const struct devicetree *tree;
	uint64_t image_start, text_end, rodata_end; /* multiples of a frame, rising */
	uint64_t finisher;			    /* an address in its page; 0: there is none */
	unsigned guards;			    /* how many guard pages */
	uint64_t (*guard)(unsigned i);		    /* the start of each */
};

/* One range to be mapped, whole frames; flags as in mm/paging/pte.h. */
typedef enum page_status kernel_map_visit(void *context, uint64_t start, uint64_t end,
					  unsigned flags);

/*
 * Calls visit() for each range, none of which overlap, until it says something else than PAGE_OK,
 * and returns that. After memory_collect().
 */
enum page_status kernel_map_walk(const struct kernel_map *map, kernel_map_visit *visit,
				 void *context);
