/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine_private.h - what the files of machine.h share: machine.c, machine_memory.c,
 * machine_harts.c and machine_numa.c.
 */
#pragma once

#include "kernel/boot/machine.h"

/*
 * Moves *node to the next child of `parent` of that type (DEVICETREE_NONE: to the first one). A
 * child is of the type where device_type is `type`, or where it has no device_type and is named so.
 */
DEVICETREE_MUST_USE enum devicetree_result machine_next_of_type(const struct devicetree *tree,
								struct devicetree_node parent,
								const char *type,
								struct devicetree_node *node,
								struct devicetree_error *error);

/* The node's numa-node-id; 0 where it has none. Never ABSENT. */
DEVICETREE_MUST_USE enum devicetree_result machine_numa_node_of(const struct devicetree *tree,
								struct devicetree_node node,
								uint32_t *numa_node,
								struct devicetree_error *error);
