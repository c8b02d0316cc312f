/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.h - makes zones of the RAM that the device tree names.
 *
 * Order of calls: memory_collect(), memory_start(), then memory_remake() any number of times. All
 * on cpu 0; memory_remake() at rest. The return values of the functions are constant between these
 * calls, so any cpu may read it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/boot/devicetree.h"
#include "mm/global/policy.h"
#include "sync/spinlock.h"

/*
 * Reads RAM and reserved ranges into sorted tables in early memory. False, with *error set, where
 * the tree is malformed.
 */
bool memory_collect(const struct devicetree *tree, struct devicetree_error *error);

/* After memory_collect(): an upper bound of the number of zones. */
unsigned memory_zones_at_most(void);

/*
 * Closes early memory and makes the zones. A zone is a maximal range of whole frames of one NUMA
 * node in which nothing is reserved, of at most ZONE_FRAMES_MAX frames. A range that is too small
 * for its own metadata and one frame is counted as lost. Panics where there is no zone.
 */
void memory_start(const struct policy *policy, enum spin_kind lock);

/*
 * Makes zones of the same ranges again, with another policy and lock. Panics where a frame of a
 * zone is not free. True where the zones are not the same ranges as before: with the metadata of
 * one policy a small range may have no frame left and be lost, with that of another it may be a
 * zone.
 */
bool memory_remake(const struct policy *policy, enum spin_kind lock);

/* After memory_collect(): all frames of RAM, those in no zone included. */
uint64_t memory_ram_frames(void);

/*
 * After memory_collect(): the i-th range of RAM, in bytes, by rising address; false: i is too
 * large. Ranges do not overlap; ranges of different NUMA nodes may touch.
 */
bool memory_ram_range(unsigned i, uint64_t *start, uint64_t *end);

/* The frames of RAM, and those that are in no zone: reserved by the tree, the kernel's, or lost. */
struct memory_account {
	uint64_t ram_frames;
	uint64_t outside_frames;
	uint64_t lost_frames; /* part of outside_frames: in ranges too small to be a zone */
};

const struct memory_account *memory_account(void);
