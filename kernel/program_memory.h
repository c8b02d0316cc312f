/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program_memory.h - memory for programs that watch the allocator: results, totals, the notes of a
 * workload.
 *
 * It is early memory, outside of all zones: so no policy has to be able to give it, the frames
 * that a run finds free are all there are, and it stays while the zones are made again. A stack:
 * memory that was taken after a mark is released with the mark. On cpu 0, at rest.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Takes early memory: `bytes`, and some for each of `cpus` cpus. After memory_collect(). */
void program_memory_reserve(unsigned cpus, size_t bytes);

/* Zeroed, 64-aligned; NULL when there is not so much left. O(bytes). */
void *program_memory_alloc(size_t bytes);

/* The same, or a panic that says what for. */
void *program_memory_need(size_t bytes, const char *what);

/* Releasing a mark also releases the memory that was taken after it. */
size_t program_memory_mark(void);
void program_memory_release(size_t mark);

/* This block ends, and what was taken after it. */
void program_memory_release_block(void *block);
