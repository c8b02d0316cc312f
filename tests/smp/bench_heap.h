/* SPDX-License-Identifier: BSD-2-Clause */
/* bench_heap.h - what the heap's blocks cost: part of run=bench. On cpu 0, at rest. */
#pragma once

/* Instructions, where the counter counts them. */
void bench_heap_counts(void);

/* Holds of the heap's lock. Needs 8 MiB. */
void bench_heap_holds(void);
