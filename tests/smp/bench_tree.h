/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_tree.h - what the segment tree costs in zones up to 1 TiB: part of run=bench. */
#pragma once

/*
 * Instructions of the tree's operations, where the counter counts them, in zones of 128 MiB, 16 GiB
 * and 1 TiB. Only metadata is needed, and a size is left out whose metadata takes more than a
 * sixteenth of the free frames. On cpu 0, at rest.
 */
void bench_tree_counts(void);
