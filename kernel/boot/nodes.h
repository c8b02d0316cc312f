/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nodes.h - NUMA: which zones each cpu takes from first.
 *
 * A cpu tries the zones of its own node first (the largest, which is its home, then by address),
 * then those of other nodes by rising distance, and by address where that is the same. So a cpu
 * whose node has no memory is at home on the nearest node that has some, and a node without cpus
 * is used like any other. Distances are the tree's; what it does not say is in machine.h. How many
 * nodes there are, and how they are numbered, does not matter: a node is a number on a zone and on
 * a cpu.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/boot/devicetree.h"

/* Takes early memory for the orders. After memory_collect(), when the cpus are counted. */
void nodes_reserve(void);

/*
 * Gives cpus 0..count-1 their nodes and orders; hart_of(cpu) is the hart that a cpu is. A cpu that
 * the tree knows no node of is of node 0. False, with *error set, when the tree is malformed. When
 * the zones are made, and before any of these cpus but the caller allocates; again, at rest, when
 * they are others.
 */
bool nodes_start(const struct devicetree *tree, unsigned count, uint64_t (*hart_of)(unsigned cpu),
		 struct devicetree_error *error);

/* Whether cpus 0..count-1 and the zones are of more than one node. */
bool nodes_are_many(unsigned count);

/* One line for each node that has cpus: the zones as they are tried, how far, and the cpus. */
void nodes_print(unsigned count);
