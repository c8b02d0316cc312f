/* SPDX-License-Identifier: BSD-2-Clause */
/* random.h - a small generator for each cpu: xorshift64* (Vigna, 2016). Never seeded with 0. */
#pragma once

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* Uniform enough in [0, bound), for bound far below 2^32. */
static inline uint64_t random_below(uint64_t *state, uint64_t bound)
{
	return (random_next(state) >> 32) * bound >> 32;
}
