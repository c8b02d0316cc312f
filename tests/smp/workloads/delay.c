/* SPDX-License-Identifier: BSD-2-Clause */
/* delay.c - see delay.h. */
#include "tests/smp/workloads/delay.h"

#define FRACTION_BITS 16
#define LN_2	      45426 /* ln 2, in units of 2^-16 */

/* log2(value), value > 0, in units of 2^-16: each squaring gives one more bit of the fraction. */
static uint64_t log2_of(uint64_t value)
{
	unsigned whole = 63 - (unsigned)__builtin_clzll(value);
	uint64_t mantissa = value << 31 >> whole; /* in [2^31, 2^32) */
	uint64_t result = whole;

	for (unsigned bit = 0; bit < FRACTION_BITS; bit++) {
		mantissa = mantissa * mantissa >> 31;
		result = result << 1 | mantissa >> 32;
		mantissa >>= mantissa >> 32;
	}
	return result;
}

void delay_quantiles_make_fixed(struct delay_quantiles *quantiles)
{
	for (unsigned i = 0; i < DELAY_QUANTILES; i++)
		quantiles->at[i] = 1u << FRACTION_BITS;
}

/* The middle of each of the equal parts of (0, 1): -ln((2 i + 1) / 2048). */
void delay_quantiles_make(struct delay_quantiles *quantiles)
{
	const uint64_t whole = log2_of(2 * DELAY_QUANTILES);

	for (uint64_t i = 0; i < DELAY_QUANTILES; i++)
		quantiles->at[i] = (uint32_t)((whole - log2_of(2 * i + 1)) * LN_2 >> FRACTION_BITS);
}
