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

/*
 * A de Bruijn sequence, and for each 6-bit window of it where the window starts. The sequence is loaded
 * from beside its table: a compiler that makes it from immediates takes six instructions.
 */
extern const struct bits_debruijn {
	uint64_t sequence;
	uint8_t position[64];
} bits_debruijn;

/* Index of the lowest set bit; word != 0. Leiserson, Prokop and Randall, MIT 1998. */
/*@ requires word != 0;
    terminates \true;
    assigns \nothing;
    ensures is_lowest(word, \result); */
static inline unsigned bits_lowest(uint64_t word)
{
#if BITS_SOFTWARE
	//@ ghost window_of_lowest(word);
	return bits_debruijn.position[((word & -word) * bits_debruijn.sequence) >> 58];
#else
	return (unsigned)__builtin_ctzll(word);
#endif
}

/* Number of set bits, by adding neighbours in parallel (Warren, Hacker's Delight, 5-1). */
/*@ terminates \true;
    assigns \nothing;
    ensures \result == bits_in(word) <= 64; */
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
/*@ requires word != 0;
    terminates \true;
    assigns \nothing;
    ensures is_highest(word, 63 - \result); */
static inline unsigned bits_leading(uint64_t word)
{
#if BITS_SOFTWARE
	//@ ghost uint64_t given = word;
	/*@ loop invariant 1 <= shift < 128;
	    loop invariant \forall integer i; 0 <= i < 64 ==> (has_bit(word, i) <==>
		(\exists integer k; i <= k < 64 && k < i + shift && has_bit(given, k)));
	    loop assigns shift, word;
	    loop variant 128 - shift; */
	for (unsigned shift = 1; shift < 64; shift *= 2) {
		//@ ghost smeared(word, shift);
		word |= word >> shift; /* all ones from the highest down */
	}
	//@ ghost filled(word, given);
	return 64 - bits_count(word);
#else
	return (unsigned)__builtin_clzll(word);
#endif
}

/* Bits [from, to) of a word; 0 <= from < to <= 64. */
/*@ requires 0 <= from < to <= 64;
    terminates \true;
    assigns \nothing;
    ensures \forall integer i; 0 <= i < 64 ==> (has_bit(\result, i) <==> from <= i < to);
    ensures bits_in(\result) == to - from; */
static inline uint64_t bits_between(unsigned from, unsigned to)
{
	//@ ghost between(from, 64 - to);
	return (~UINT64_C(0) << from) & (~UINT64_C(0) >> (64 - to));
}

/* The lowest `count` set bits of `word`; 1 <= count <= bits_count(word). O(count). */
/*@ requires 1 <= count <= bits_in(word);
    terminates \true;
    assigns \nothing;
    ensures bits_in(\result) == count;
    ensures \forall integer i; 0 <= i < 64 ==> (has_bit(\result, i) ==> has_bit(word, i));
    ensures \forall integer i, k; 0 <= i < k < 64 ==>
	has_bit(\result, k) ==> has_bit(word, i) ==> has_bit(\result, i); */
static inline uint64_t bits_lowest_few(uint64_t word, unsigned count)
{
	uint64_t rest = word;

	if (!~word)
		return bits_between(0, count);
	/*@ loop invariant 0 <= count <= \at(count, Pre);
	    loop invariant bits_in(rest) == bits_in(word) - \at(count, Pre) + count;
	    loop invariant \forall integer i; 0 <= i < 64 ==> (has_bit(rest, i) ==> has_bit(word, i));
	    loop invariant \forall integer i, k; 0 <= i < k < 64 ==>
		has_bit(rest, i) ==> has_bit(word, k) ==> has_bit(rest, k);
	    loop assigns count, rest;
	    loop variant count; */
	while (count--) {
		//@ ghost lowest_cleared(rest);
		rest &= rest - 1;
	}
	//@ ghost others(word, rest);
	return word & ~rest;
}

/* Each bit of the input changes each bit of the result half of the time (splitmix64's finalizer). */
static inline uint64_t bits_mix(uint64_t word)
{
	word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
	return word ^ word >> 31;
}
