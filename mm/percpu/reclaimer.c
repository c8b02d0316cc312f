/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reclaimer.c - variables that the caches of all CPUs share: what the heap, if there is one, does for
 * CPUs that need frames; and whether all of them take the slow paths.
 */
#include "mm/percpu/cache.h"

/* Set before a second CPU allocates. */
const struct frame_reclaimer *frame_reclaimer;

/* Set while no other CPU allocates. */
bool frame_cache_bypass;
