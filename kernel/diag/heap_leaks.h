/* SPDX-License-Identifier: BSD-2-Clause */
/* heap_leaks.h - what the diagnostics of the heap (mm/heap/debug.h) find at rest. */
#pragma once

/*
 * Checks all blocks, and panics if one was written beyond its end, or after it was freed. Then, with
 * heapdebug=leaks, prints the live blocks by call site, and a record for each site. Nothing without
 * heapdebug=. On cpu 0, at rest.
 */
void heap_leaks(void);
