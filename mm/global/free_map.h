/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * free_map.h - which frames of a zone are free, for policies that need not know to do their work.
 *
 * A list of free frames cannot say whether a given frame is in it without a walk, so a policy that
 * is one would take the same frame back twice. With CHECKS it keeps this map beside itself, a bit
 * a frame, and panics; without, the map is nothing: no memory, no code.
 *
 * Under the zone's lock, like the policy. O(words) each.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/global/policy.h"

#ifndef CHECKS
#define CHECKS 1
#endif

#if CHECKS

struct free_map {
	uint64_t *words; /* 1: free; of the frames base + 64 * i and on */
	uint64_t base;	 /* a multiple of 64 */
	uint64_t count;	 /* words */
};

/* Bytes of memory for the map of these frames, a multiple of 8. */
size_t free_map_bytes(uint64_t first, uint64_t count);

/* No frame free; writes all of its memory (8-aligned). Returns the first byte after it. */
void *free_map_init(struct free_map *map, void *memory, uint64_t first, uint64_t count);

/* These frames, all of them free, are taken. */
void free_map_take(struct free_map *map, struct frame_word word);
void free_map_take_run(struct free_map *map, uint64_t first, uint64_t count);

/* These frames become free. Panics, naming the first one, when some are free already. */
void free_map_give(struct free_map *map, struct frame_word word);
void free_map_give_run(struct free_map *map, uint64_t first, uint64_t count);

/*
 * For validation: whether all of [first, first + count) are free; whether `free` frames are, in
 * all.
 */
bool free_map_has_run(const struct free_map *map, uint64_t first, uint64_t count);
bool free_map_has_count(const struct free_map *map, uint64_t free);

#else

struct free_map {
	char none[0];
};

static inline size_t free_map_bytes(uint64_t first, uint64_t count)
{
	(void)first, (void)count;
	return 0;
}

static inline void *free_map_init(struct free_map *map, void *memory, uint64_t first, uint64_t count)
{
	(void)map, (void)first, (void)count;
	return memory;
}

static inline void free_map_take(struct free_map *map, struct frame_word word)
{
	(void)map, (void)word;
}

static inline void free_map_take_run(struct free_map *map, uint64_t first, uint64_t count)
{
	(void)map, (void)first, (void)count;
}

static inline void free_map_give(struct free_map *map, struct frame_word word)
{
	(void)map, (void)word;
}

static inline void free_map_give_run(struct free_map *map, uint64_t first, uint64_t count)
{
	(void)map, (void)first, (void)count;
}

static inline bool free_map_has_run(const struct free_map *map, uint64_t first, uint64_t count)
{
	(void)map, (void)first, (void)count;
	return true;
}

static inline bool free_map_has_count(const struct free_map *map, uint64_t free)
{
	(void)map, (void)free;
	return true;
}

#endif
