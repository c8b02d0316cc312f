/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * words.h - the words of the contracts that are about bits, and lemmas about 64-bit words.
 *
 * WP's theory of bits does not connect bits with sums and products. So the lemmas here are not proved
 * by WP: tools/prove translates their text to bit vectors, exactly, and z3 proves it. WP uses them.
 *
 * Most words are macros and no predicates, because WP knows more of the expressions themselves. A
 * `ghost` function is a lemma that is used where it is called.
 */
#pragma once

/* clang-format off */

#define ONES 0xffffffffffffffff

/* Numbers of frames are below it: an address has 64 bits. */
#define FRAMES_END (1 << 52)

/* Bit i of a word is 1. */
#define has_bit(word, i) (((word) & (1 << (i))) != 0)

/* The lowest, and the highest, bit of a word that is 1. */
#define is_lowest(word, i)                                                                         \
	(0 <= (i) < 64 && has_bit(word, i) &&                                                      \
	 (\forall integer k_; 0 <= k_ < (i) ==> !has_bit(word, k_)))
#define is_highest(word, i)                                                                        \
	(0 <= (i) < 64 && has_bit(word, i) &&                                                      \
	 (\forall integer k_; (i) < k_ < 64 ==> !has_bit(word, k_)))

/* How many of the eight bits from `at` on are 1, and how many of all bits of a word. */
/*@ logic integer bits_of_8(integer w, integer at) =
      (w >> at & 1) + (w >> (at + 1) & 1) + (w >> (at + 2) & 1) + (w >> (at + 3) & 1) +
      (w >> (at + 4) & 1) + (w >> (at + 5) & 1) + (w >> (at + 6) & 1) + (w >> (at + 7) & 1); */
/*@ logic integer bits_in(integer w) =
      bits_of_8(w, 0) + bits_of_8(w, 8) + bits_of_8(w, 16) + bits_of_8(w, 24) +
      bits_of_8(w, 32) + bits_of_8(w, 40) + bits_of_8(w, 48) + bits_of_8(w, 56); */

/* What only the proofs of bits.h need makes the others slow. */
#if defined(PROVE_BITS)
/*@ lemma all_ones:
      \forall integer i; 0 <= i < 128 ==> (has_bit(ONES, i) <==> i < 64); */
/*@ lemma bits_in_range:
      \forall uint64_t w; 0 <= bits_in(w) <= 64; */
/*@ lemma none_in_zero:
      \forall uint64_t w; bits_in(w) == 0 <==> w == 0; */

#endif

/* bits_lowest() without an instruction: the window of the de Bruijn sequence says which bit it is. */
#define window(w) ((uint64_t)((w & (uint64_t)(-w)) * 0x03f79d71b4cb0a89) >> 58)
/* WP does not look into it: so it does not turn what is said of a shifted word into another form. */
/*@ logic integer same(integer n) = n; */
#define at(w, number, i) (same(window(w)) == number && low == i)
/*@ ghost
    /@ requires w != 0;
       terminates \true;
       assigns \nothing;
       ensures \exists integer low; 0 <= low < 64 && is_lowest(w, low) && (
         at(w, 0, 0) || at(w, 1, 1) || at(w, 2, 48) || at(w, 3, 2) ||
         at(w, 4, 57) || at(w, 5, 49) || at(w, 6, 28) || at(w, 7, 3) ||
         at(w, 8, 61) || at(w, 9, 58) || at(w, 10, 50) || at(w, 11, 42) ||
         at(w, 12, 38) || at(w, 13, 29) || at(w, 14, 17) || at(w, 15, 4) ||
         at(w, 16, 62) || at(w, 17, 55) || at(w, 18, 59) || at(w, 19, 36) ||
         at(w, 20, 53) || at(w, 21, 51) || at(w, 22, 43) || at(w, 23, 22) ||
         at(w, 24, 45) || at(w, 25, 39) || at(w, 26, 33) || at(w, 27, 30) ||
         at(w, 28, 24) || at(w, 29, 18) || at(w, 30, 12) || at(w, 31, 5) ||
         at(w, 32, 63) || at(w, 33, 47) || at(w, 34, 56) || at(w, 35, 27) ||
         at(w, 36, 60) || at(w, 37, 41) || at(w, 38, 37) || at(w, 39, 16) ||
         at(w, 40, 54) || at(w, 41, 35) || at(w, 42, 52) || at(w, 43, 21) ||
         at(w, 44, 44) || at(w, 45, 32) || at(w, 46, 23) || at(w, 47, 11) ||
         at(w, 48, 46) || at(w, 49, 26) || at(w, 50, 40) || at(w, 51, 15) ||
         at(w, 52, 34) || at(w, 53, 20) || at(w, 54, 31) || at(w, 55, 10) ||
         at(w, 56, 25) || at(w, 57, 14) || at(w, 58, 19) || at(w, 59, 9) ||
         at(w, 60, 13) || at(w, 61, 8) || at(w, 62, 7) || at(w, 63, 6)); @/
    void window_of_lowest(uint64_t w); */

/* bits_count() without an instruction. */
#define pairs(w) ((uint64_t)(w - ((w >> 1) & (ONES / 3))))
#define fours(w) ((uint64_t)((w & (ONES / 5)) + ((w >> 2) & (ONES / 5))))
#define eights(w) ((uint64_t)(w + (w >> 4)) & (ONES / 17))
#if defined(PROVE_BITS)
/*@ lemma count_in_parallel:
      \forall uint64_t w; (uint64_t)(eights(fours(pairs(w))) * (ONES / 255)) >> 56 == bits_in(w); */
#endif

/* bits_leading() without an instruction: all bits from the highest down are 1 before it counts. */
#define is_filled(w, from)                                                                         \
	(\forall integer i; 0 <= i < 64 ==>                                                        \
	 (has_bit(w, i) <==> (\exists integer k; i <= k < 64 && has_bit(from, k))))
/*@ ghost
    /@ requires from != 0 && is_filled(w, from);
       terminates \true;
       assigns \nothing;
       ensures \exists integer h; 0 <= h < 64 && bits_in(w) == h + 1 && is_highest(from, h); @/
    void filled(uint64_t w, uint64_t from); */
/*@ ghost
    /@ requires 0 <= shift < 64;
       terminates \true;
       assigns \nothing;
       ensures \forall integer i; 0 <= i < 64 ==>
	 (has_bit(w | (w >> shift), i) <==>
	  has_bit(w, i) || (i + shift < 64 && has_bit(w, i + shift))); @/
    void smeared(uint64_t w, unsigned shift); */

/* bits_between() */
/*@ ghost
    /@ requires 0 <= from < 64 && 0 <= above < 64 && from + above < 64;
       terminates \true;
       assigns \nothing;
       ensures bits_in((uint64_t)(ONES << from) & (ONES >> above)) == 64 - above - from &&
	 (\forall integer i; 0 <= i < 64 ==>
	   (has_bit((uint64_t)(ONES << from) & (ONES >> above), i) <==> from <= i < 64 - above)); @/
    void between(unsigned from, unsigned above); */

/* bits_lowest_few() */
#if defined(PROVE_BITS)
/*@ lemma no_zero:
      \forall uint64_t w; (uint64_t)(~w) == 0 ==> w == ONES; */
/*@ lemma one_less:
      \forall uint64_t w; w != 0 ==> bits_in(w & (uint64_t)(w - 1)) == bits_in(w) - 1; */
#endif
/*@ ghost
    /@ requires w != 0;
       terminates \true;
       assigns \nothing;
       ensures \exists integer low; 0 <= low < 64 && is_lowest(w, low) &&
	 (\forall integer i; 0 <= i < 64 ==>
	   (has_bit(w & (uint64_t)(w - 1), i) <==> has_bit(w, i) && i != low)); @/
    void lowest_cleared(uint64_t w); */
/*@ ghost
    /@ requires \forall integer i; 0 <= i < 64 ==> (has_bit(part, i) ==> has_bit(w, i));
       terminates \true;
       assigns \nothing;
       ensures (part & (uint64_t)(~w)) == 0 && (\forall integer i; 0 <= i < 64 ==>
	 (has_bit(w, i) ==> !has_bit(w & (uint64_t)(~part), i) ==> has_bit(part, i))); @/
    void others(uint64_t w, uint64_t part); */
#if defined(PROVE_BITS)
#define others_at(at)                                                                              \
	(bits_of_8(w & (uint64_t)(~part), at) == bits_of_8(w, at) - bits_of_8(part, at))
/*@ lemma others_of_8:
      \forall uint64_t w, uint64_t part; (part & (uint64_t)(~w)) == 0 ==>
        others_at(0) && others_at(8) && others_at(16) && others_at(24) &&
        others_at(32) && others_at(40) && others_at(48) && others_at(56); */
#endif

/* The first bit of a group of 64, and what is above it. */
/*@ lemma word_first:
      \forall uint64_t w; (w & (uint64_t)(~63)) == w - w % 64; */

/* free_map_give() and free_map_take() */
/*@ ghost
    /@ terminates \true;
       assigns \nothing;
       ensures (w & part) == 0 <==>
	 (\forall integer i; 0 <= i < 64 ==> (has_bit(part, i) ==> !has_bit(w, i))); @/
    void apart(uint64_t w, uint64_t part); */
/*@ ghost
    /@ terminates \true;
       assigns \nothing;
       ensures (w & part) == part <==>
	 (\forall integer i; 0 <= i < 64 ==> (has_bit(part, i) ==> has_bit(w, i))); @/
    void compared(uint64_t w, uint64_t part); */

/* The halves of a byte: two rooms of a buddy's tree. */
#define half_shift(node) ((uint32_t)(4 * (node & 1)))
#define with_half(pair, node, room)                                                                \
	((uint8_t)((pair & (uint32_t)(~(uint32_t)(15 << half_shift(node)))) |                      \
		   (uint32_t)(room << half_shift(node))))
/*@ ghost
    /@ requires 0 <= pair < 256 && 0 <= node < 4096 && 0 <= room < 16;
       terminates \true;
       assigns \nothing;
       ensures (pair & 15) == pair % 16 && ((pair >> 4) & 15) == pair / 16 && (node & 1) == node % 2 &&
	 node >> 1 == node / 2 &&
	 (node % 2 == 0 ==> with_half(pair, node, room) == pair - pair % 16 + room) &&
	 (node % 2 == 1 ==> with_half(pair, node, room) == pair % 16 + 16 * room); @/
    void halves(unsigned pair, unsigned node, unsigned room); */

/* Alignment */
/*@ ghost
    /@ requires align != 0 && (align & (uint64_t)(align - 1)) == 0 && size + align - 1 <= ONES;
       terminates \true;
       assigns \nothing;
       ensures size <= ((uint64_t)((uint64_t)(size + align) - 1) & (uint64_t)(~(uint64_t)(align - 1))) &&
	 ((uint64_t)((uint64_t)(size + align) - 1) & (uint64_t)(~(uint64_t)(align - 1))) < size + align &&
	 (((uint64_t)((uint64_t)(size + align) - 1) & (uint64_t)(~(uint64_t)(align - 1))) & (align - 1)) == 0; @/
    void rounded(uint64_t size, uint64_t align); */
/*@ ghost
    /@ terminates \true;
       assigns \nothing;
       ensures (n != 0 && (n & (uint64_t)(n - 1)) == 0) <==> \exists integer k; 0 <= k < 64 && n == 1 << k; @/
    void powers(uint64_t n); */
/*@ ghost
    /@ terminates \true;
       assigns \nothing;
       ensures (bytes >> 12) == bytes / 4096 && (bytes & 4095) == bytes % 4096; @/
    void parts_of_frame(uint64_t bytes); */
