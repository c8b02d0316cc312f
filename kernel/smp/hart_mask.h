/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hart_mask.h - from sets of cpus to the hart masks that SBI calls take.
 *
 * Cpu numbers are dense, and sets of cpus are words whose first cpu is a multiple of 64. Hart ids
 * are the machine's: sparse, in any order. A call into the firmware names up to 64 harts, those of
 * a window [base, base + 64) of ids.
 */
#pragma once

#include <stdint.h>

#include "kernel/smp/cpu.h"
#include "mm/global/bits.h"

/*
 * The mask for the window that begins at the lowest hart of the set {first + i for each bit i of
 * `set`}, which is not empty: *base is that hart's id, *named the bits of `set` whose harts are in
 * the mask. Taking the named cpus out of the set and asking again needs the fewest calls that the
 * hart ids allow: each window begins at a hart that no earlier one could have named.
 * O(cpus in the set); any context.
 */
static inline uint64_t hart_mask_of(unsigned first, uint64_t set, uint64_t *base, uint64_t *named)
{
	uint64_t mask = 0;

	*base = UINT64_MAX;
	for (uint64_t left = set; left; left &= left - 1) {
		uint64_t hart_id = cpu_of(first + bits_lowest(left))->arch.hart_id;

		if (hart_id < *base)
			*base = hart_id;
	}
	*named = 0;
	for (uint64_t left = set; left; left &= left - 1) {
		uint64_t offset = cpu_of(first + bits_lowest(left))->arch.hart_id - *base;

		if (offset < 64) {
			mask |= UINT64_C(1) << offset;
			*named |= left & -left;
		}
	}
	return mask;
}
