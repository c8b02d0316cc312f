/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nodes.h - NUMA: the order in which each cpu tries the zones.
 *
 * A cpu tries the zones of its own node first: the largest of them, its home zone, then the others
 * by address. Then it tries the zones of other nodes by rising distance, and by address where
 * distances are equal. So the home of a cpu whose node has no memory is on the nearest node that
 * has some, and the memory of a node without cpus is used like any other. Distances come from the
 * tree (machine.h has the defaults). A node is a number on a zone and on a cpu: the count and the
 * numbering of nodes do not matter.
 *
 * Orders are written at boot or at rest, and only read while cpus allocate.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/boot/devicetree.h"

/* Takes early memory for the orders: after memory_collect(), and after the cpus are counted. */
void nodes_reserve(void);

/*
 * Gives cpus 0..count-1 their nodes and orders; hart_of(cpu) returns the hart of a cpu. A cpu
 * without a node in the tree is of node 0. False, with *error set, where the tree is malformed.
 * Call it after the zones are made and before any of these cpus but the caller allocates, and
 * again, at rest, after the zones have changed. O(zones * zones) for each node.
 */
bool nodes_start(const struct devicetree *tree, unsigned count, uint64_t (*hart_of)(unsigned cpu),
		 struct devicetree_error *error);

/* Whether cpus 0..count-1 and the zones are of more than one node. */
bool nodes_are_many(unsigned count);

/*
 * The group of a cpu below `count`, for locks that know groups (sync/cohort.h, sync/hclh.h): the number
 * of the group's first cpu. With more than one node the cpus of a node are a group, else
 * NODES_GROUP_CPUS cpus in a row. After nodes_start(). O(zones + cpus).
 */
#define NODES_GROUP_CPUS 4

unsigned nodes_group_of(unsigned cpu, unsigned count);

/* Prints one line for each node that has cpus: its zones in order, their distances, its cpus. */
void nodes_print(unsigned count);
