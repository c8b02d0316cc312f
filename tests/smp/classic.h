/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * classic.h - the allocator of the teaching kernels, as a baseline: one spinlock, one list through
 * the free frames themselves, and around every operation interrupts masked and the hart id read.
 *
 * Not a policy and not for use: what the benchmarks compare with, in the same boot.
 */
#pragma once

#include "mm/address.h"

/* Puts frames [first, first + count) on the list. On one cpu. */
void classic_init(pfn_t first, uint64_t count);

/* PFN_NONE when the list is empty. */
pfn_t classic_alloc(void);
void classic_free(pfn_t frame);

/* Each cpu writes its number where classic_* reads it; before it uses them. */
void classic_set_cpu(void);
