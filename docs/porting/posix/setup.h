/* SPDX-License-Identifier: BSD-2-Clause */
/* setup.h - what the set-up code offers to the program. */
#pragma once

#include <stdint.h>

/* On one thread, which becomes cpu 0: `frames` frames of RAM, and caches for `cpus` cpus. */
void demo_start(unsigned cpus, uint64_t frames);

/* After demo_start(), on the same thread: the heap, where the program links it. */
void demo_heap_start(uint64_t frames);

/* On each thread but the first: it is cpu `number` from here on, and takes part. */
void demo_cpu_enter(unsigned number);

/* It gives all of its cached frames back, and no other cpu asks it for anything any more. */
void demo_cpu_leave(void);

/* Zeroed memory that mm/ may keep, aligned to PORT_CACHE_LINE. */
void *demo_zeroed(uint64_t bytes);
