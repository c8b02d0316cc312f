/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.h - from the device tree's ranges to zones.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/boot/devicetree.h"
#include "mm/global/policy.h"
#include "sync/spinlock.h"

/*
 * Collects RAM and what is reserved in it into tables, from early memory. False with *error set
 * when the tree is malformed.
 */
bool memory_collect(const struct devicetree *tree, struct devicetree_error *error);

/* After memory_collect(): no more zones than this will come of it. */
unsigned memory_zones_at_most(void);

/*
 * Ends early memory and makes the zones: every maximal range of whole frames of one NUMA node that nothing reserves.
 * A range too small to hold its own metadata and one frame is counted as lost. A panic when no
 * zone comes of it.
 */
void memory_start(const struct policy *policy, enum spin_kind lock);

/*
 * Makes the same ranges zones again, of another policy and lock; on one cpu, at rest. Panics where a
 * frame of a zone is not free. True when they are not the zones there were before: the
 * metadata of some policy leaves no frame of a small one, so it is lost or is there again.
 */
bool memory_remake(const struct policy *policy, enum spin_kind lock);

/* After memory_collect(): frames of RAM, whoever has them. */
uint64_t memory_ram_frames(void);

/*
 * After memory_collect(): the i-th range of RAM, in bytes, by rising address; false: fewer. No two
 * overlap; two may touch, where they are of two nodes.
 */
bool memory_ram_range(unsigned i, uint64_t *start, uint64_t *end);

/* How many frames of RAM are in no zone: reserved by the tree, the kernel's own, or lost. */
struct memory_account {
	uint64_t ram_frames;
	uint64_t outside_frames;
	uint64_t lost_frames; /* of these: slivers that could not hold their own metadata */
};

const struct memory_account *memory_account(void);
