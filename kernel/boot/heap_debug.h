/* SPDX-License-Identifier: BSD-2-Clause */
/* heap_debug.h - heapdebug=: the start of the heap with its diagnostics (mm/heap/debug.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Whether the boot arguments ask for any. */
bool heap_debug_is_wanted(void);

/*
 * Starts them for the frames [first, first + frames), after kheap_init(). `memory` is
 * kheap_debug_bytes(frames) bytes. On cpu 0, at rest.
 */
void heap_debug_start(void *memory, uint64_t first, uint64_t frames);

/* One line on what is on, and why guard pages are not. */
void heap_debug_print(void);
