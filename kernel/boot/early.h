/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * early.h - memory before there is an allocator, for tables whose size follows from the device
 * tree.
 *
 * A free range is contiguous RAM in whole frames without a byte that the tree reserves, and without
 * the tree itself in the place where the firmware put it. RAM that touches or overlaps is
 * contiguous, whatever entries and NUMA nodes name it.
 *
 * Early memory lies in spans. A span grows upwards in a free range. The first span begins with the
 * kernel's image. When no span has room, a new span begins at the bottom of a free range: the
 * lowest one above the kernel that has room, else the lowest of all. So each free range has one
 * span at most, and what is above the span's end is left to the zones. A span's record lies in its
 * own first bytes, so the number of spans has no limit.
 *
 * Called on cpu 0, before other harts run. Early memory is never given back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/boot/devicetree.h"

/* Addresses. [start, end) is in use; [end, limit) is the rest of the free range. */
struct early_span {
	uint64_t start, end, limit;
	struct early_span *next; /* the next span by time of its beginning */
};

/*
 * Opens early memory; the kernel's image is [kernel_start, kernel_end), in whole frames. False,
 * with *error set, where the tree's RAM or reserved ranges are malformed.
 */
bool early_init(const struct devicetree *tree, uint64_t kernel_start, uint64_t kernel_end,
		struct devicetree_error *error);

/*
 * After early_init(): whether the kernel can stay at its address. False, with a message of at most
 * `bytes` bytes in `wrong`: the image is not in RAM; the initrd or the tree overlaps it; or, where
 * `pages` says that the kernel will use page tables, a no-map range overlaps it.
 */
bool early_kernel_can_stay(bool pages, char *wrong, size_t bytes);

/*
 * Returns zeroed memory, aligned to `align` (a power of two). Panics where no free range has room
 * for it. O(bytes), and O(ranges in the tree, squared) where a new span must begin.
 */
void *early_alloc(size_t bytes, size_t align);

/* The tree is now `tree`, in early memory: the frames of the firmware's copy are free. */
void early_tree_moved(const struct devicetree *tree);

/* No more early_alloc() after this. */
void early_close(void);

/* The list of all spans; the first one has the kernel's image. */
const struct early_span *early_spans(void);
