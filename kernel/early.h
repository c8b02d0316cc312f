/*
 * early.h - memory before there is an allocator: tables sized by the device tree.
 *
 * Takes memory upwards from the end of the kernel image, stepping over whatever the tree
 * reserves and over the tree itself. Nothing is given back. early_end() closes it, and the zones
 * begin above.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel/devicetree.h"

/*
 * Finds the RAM that the kernel lies in. False, with *error set, when the tree is malformed; a
 * panic when the tree has no memory where the kernel is. The tree's blob is stepped over too.
 */
bool early_init(const struct devicetree *tree, struct devicetree_error *error);

/* Zeroed memory, aligned to `align` (a power of two); a panic when there is not enough. */
void *early_alloc(size_t bytes, size_t align);

/* From now on blob is not stepped over: it has moved. */
void early_tree_moved(const struct devicetree *tree);

/* The first address that was not given out; no more early_alloc after this. */
uint64_t early_end(void);
