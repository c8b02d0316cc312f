/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * early.h - memory before there is an allocator: tables sized by the device tree.
 *
 * Early memory lies in spans: ranges that grow upwards, each in a stretch of RAM of its own. A
 * stretch is made of whole frames, and in none of them is a byte that the tree reserves, or the
 * tree itself where the firmware put it. RAM that touches or overlaps is one, whatever entries and
 * nodes name it. The first span begins with the kernel's image. When no span has room a new one
 * begins in the lowest stretch above the kernel that has, else in the lowest of all; so one span
 * lies in each stretch at most, at its bottom, and what is above its end is left to the zones. A
 * span keeps its own record in its first bytes: there may be any number of them.
 *
 * On cpu 0, before other harts run. Nothing is given back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/boot/devicetree.h"

/* [start, end) is in use; [end, limit) is the rest of the stretch. */
struct early_span {
	uint64_t start, end, limit;
	struct early_span *next; /* the one that began after this one */
};

/*
 * Begins with the kernel's image, [kernel_start, kernel_end), whole frames. False, with *error set,
 * when the tree is malformed in what it says of RAM or of what is reserved.
 */
bool early_init(const struct devicetree *tree, uint64_t kernel_start, uint64_t kernel_end,
		struct devicetree_error *error);

/*
 * After early_init(): whether the kernel can stay where it is. False, with a message for people in
 * `wrong`: the image is not in RAM, the initrd or the tree lies over it, or (only where it `pages`:
 * with page tables) a range lies over it that must not be mapped.
 */
bool early_kernel_can_stay(bool pages, char *wrong, size_t bytes);

/* Zeroed memory, aligned to `align` (a power of two); a panic when no RAM has room for it. */
void *early_alloc(size_t bytes, size_t align);

/* The tree has moved: nothing is in the way any more where its blob was. */
void early_tree_moved(const struct devicetree *tree);

/* No more early_alloc() after this. */
void early_close(void);

/* All spans, the kernel's first. */
const struct early_span *early_spans(void);
