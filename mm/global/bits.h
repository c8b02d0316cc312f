/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bits.h - the questions asked of a 64-bit word, without a call.
 *
 * A hart with Zbb has an instruction for each, and a build for it (`make ZBB=1`) uses them.
 * The baseline rv64imac has none, and the compiler would call its library: these are inline.
 */
#pragma once

#include <stdint.h>

#if defined(__riscv) && !defined(__riscv_zbb)
#define BITS_SOFTWARE 1
#else
#define BITS_SOFTWARE 0
#endif

/* For each 6-bit window of the de Bruijn sequence below, where in it the window starts. */
extern const uint8_t bits_debruijn_position[64];
#define BITS_DEBRUIJN UINT64_C(0x03f79d71b4cb0a89)

/* Index of the lowest set bit; word != 0. Leiserson, Prokop and Randall, MIT 1998. */
static inline unsigned bits_lowest(uint64_t word)
{
#if BITS_SOFTWARE
	return bits_debruijn_position[((word & -word) * BITS_DEBRUIJN) >> 58];
#else
	return (unsigned)__builtin_ctzll(word);
#endif
}

/* Number of set bits, by adding neighbours in parallel (Warren, Hacker's Delight, 5-1). */
static inline unsigned bits_count(uint64_t word)
{
#if BITS_SOFTWARE
	const uint64_t ones = ~UINT64_C(0);

	word -= (word >> 1) & (ones / 3);
	word = (word & (ones / 5)) + ((word >> 2) & (ones / 5));
	word = (word + (word >> 4)) & (ones / 17);
	return (unsigned)((word * (ones / 255)) >> 56);
#else
	return (unsigned)__builtin_popcountll(word);
#endif
}

/* Zeros above the highest set bit; word != 0. */
static inline unsigned bits_leading(uint64_t word)
{
#if BITS_SOFTWARE
	for (unsigned shift = 1; shift < 64; shift *= 2)
		word |= word >> shift; /* all ones from the highest down */
	return 64 - bits_count(word);
#else
	return (unsigned)__builtin_clzll(word);
#endif
}

/* Bits [from, to) of a word; 0 <= from < to <= 64. */
static inline uint64_t bits_between(unsigned from, unsigned to)
{
	return (~UINT64_C(0) << from) & (~UINT64_C(0) >> (64 - to));
}

/* The lowest `count` set bits of `word`; 1 <= count <= bits_count(word). O(count). */
static inline uint64_t bits_lowest_few(uint64_t word, unsigned count)
{
	uint64_t rest = word;

	if (!~word)
		return bits_between(0, count);
	while (count--)
		rest &= rest - 1;
	return word & ~rest;
}

/* Each bit of the input changes each bit of the result half of the time (splitmix64's finalizer). */
static inline uint64_t bits_mix(uint64_t word)
{
	word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
	return word ^ word >> 31;
}
