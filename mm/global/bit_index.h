/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bit_index.h - a bitmap with summaries: set, clear and lowest-set-bit in O(log64 bits).
 *
 * Level 0 is the bitmap. Bit i of level k+1 says whether word i of level k is not zero; the
 * last level is one word. For 1 TiB of frames (2^28 bits) that is five levels, and the summaries
 * add 1/63 to the bitmap.
 *
 * Invariant: between calls, every summary bit is exact. Not locked: the owner's lock guards it.
 * Words are stored atomically all the same, because some readers look without the lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/global/bits.h"
#include "sync/ck.h"

#define BIT_INDEX_LEVELS_MAX 6 /* 64^6 = 2^36 bits, 256 TiB of frames */
#define BIT_INDEX_NONE	     UINT64_MAX

struct bit_index {
	uint64_t *level[BIT_INDEX_LEVELS_MAX];
	unsigned levels;
	uint64_t bits;
};

/* Bytes of memory for an index over `bits` bits, a multiple of 8. */
size_t bit_index_bytes(uint64_t bits);

/* All bits clear; writes all of its memory. Returns the first byte after it. */
void *bit_index_init(struct bit_index *index, void *memory, uint64_t bits);

/* Walks everything and panics, naming `what`, where a summary bit is not exact. */
void bit_index_validate(const struct bit_index *index, const char *what);

/* Sets (clears) bits [from, to) of `level`, and brings the levels above up to date; from < to. */
void bit_index_set_range(struct bit_index *index, unsigned level, uint64_t from, uint64_t to);
void bit_index_clear_range(struct bit_index *index, unsigned level, uint64_t from, uint64_t to);

/* Word i of level `level` - 1 is no longer zero: O(1) unless its neighbours were zero too. */
static inline void bit_index_set(struct bit_index *index, unsigned level, uint64_t bit)
{
	for (; level < index->levels; level++, bit >>= 6) {
		uint64_t *word = &index->level[level][bit >> 6];
		uint64_t before = *word;

		counter_set(word, before | UINT64_C(1) << (bit & 63));
		if (before)
			return;
	}
}

static inline void bit_index_clear(struct bit_index *index, unsigned level, uint64_t bit)
{
	for (; level < index->levels; level++, bit >>= 6) {
		uint64_t *word = &index->level[level][bit >> 6];

		uint64_t after = *word & ~(UINT64_C(1) << (bit & 63));

		counter_set(word, after);
		if (after)
			return;
	}
}

static inline bool bit_index_test(const struct bit_index *index, uint64_t bit)
{
	return index->level[0][bit >> 6] >> (bit & 63) & 1;
}

/* The lowest set bit of `level`, or BIT_INDEX_NONE when none is: one word a level. */
static inline uint64_t bit_index_first(const struct bit_index *index, unsigned level)
{
	unsigned above = index->levels - 1;
	uint64_t bit;

	if (!index->level[above][0])
		return BIT_INDEX_NONE;
	bit = bits_lowest(index->level[above][0]);
	while (above > level) {
		above--;
		bit = bit << 6 | bits_lowest(index->level[above][bit]);
	}
	return bit;
}
