/* SPDX-License-Identifier: BSD-2-Clause */
/* reclaimer.c - where the heap, if there is one, says what it does for CPUs that need frames. */
#include "mm/percpu/cache.h"

/* Set before a second CPU allocates. */
const struct frame_reclaimer *frame_reclaimer;
