/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel_map.h - which ranges the kernel's page tables map, and how. It decides, and builds no
 * tables, so it compiles for the host, too.
 *
 * Mapped to the same address are the image's text (read, execute), its read-only data (read), the
 * page of the test finisher, and all whole frames of RAM (read, write). Of RAM, these are left out:
 * the image's text and read-only data, guard pages, and every frame with a byte of a no-map range.
 * early_kernel_can_stay() has refused a tree whose no-map ranges overlap the image.
 */
#pragma once

#include <stdint.h>

#include "kernel/boot/devicetree.h"
#include "mm/paging/page_status.h"

struct kernel_map {
	const struct devicetree *tree;
	uint64_t image_start, text_end, rodata_end; /* multiples of a frame, rising */
	uint64_t finisher;			    /* an address in its page; 0: there is none */
	unsigned guards;			    /* number of guard pages */
	uint64_t (*guard)(unsigned i);		    /* the address of each */
};

/* One range to be mapped, whole frames; flags as in mm/paging/pte.h. */
typedef enum page_status kernel_map_visit(void *context, uint64_t start, uint64_t end,
					  unsigned flags);

/*
 * Calls visit() for each range until it returns something else than PAGE_OK, and returns the last
 * result. Ranges do not overlap. After memory_collect(); any context. O(ranges of RAM * reserved
 * ranges).
 */
enum page_status kernel_map_walk(const struct kernel_map *map, kernel_map_visit *visit,
				 void *context);
