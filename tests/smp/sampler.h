/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sampler.h - looks at the state of memory while a workload runs: where all frames are, and how
 * many of each zone's chunks are free.
 *
 * In a separate run, which is not timed. Samples are kept and printed after it, as records:
 * printing would stop the cpu that takes them. "exact" says whether no other cpu could be in the
 * allocator. A map counts what no owner has, so what is in caches is free in it; there is none
 * without CHECKS.
 */
#pragma once

#include <stddef.h>

#include "tests/smp/cell.h"

/* Bytes of program memory for `samples` samples. Before or after the zones are made. */
size_t sampler_bytes(unsigned samples);

/* One run of the cell with at most `samples` samples, evenly over its operations, and their records. */
bool sampler_run(const struct cell *cell, unsigned samples);
