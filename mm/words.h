/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * words.h - filling and moving whole 64-bit words.
 *
 * The C library of a bare rv64imac moves a byte at a time: five instructions a byte, 20,480 to
 * zero a frame. These take less than ten for eight words. Counts are in words.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*@ requires \valid(words + (0 .. count - 1));
    terminates \true;
    assigns words[0 .. count - 1];
    ensures \forall integer i; 0 <= i < count ==> words[i] == value; */
static inline void words_fill(uint64_t *words, uint64_t value, size_t count)
{
	uint64_t *end = words + count;

	/*@ loop invariant 0 <= words - \at(words, Pre) <= count;
	    loop invariant words == \at(words, Pre) + (words - \at(words, Pre));
	    loop invariant \forall integer i; 0 <= i < words - \at(words, Pre) ==>
		\at(words, Pre)[i] == value;
	    loop assigns words, \at(words, Pre)[0 .. count - 1];
	    loop variant end - words; */
	for (; end - words >= 8; words += 8) {
		words[0] = value;
		words[1] = value;
		words[2] = value;
		words[3] = value;
		words[4] = value;
		words[5] = value;
		words[6] = value;
		words[7] = value;
	}
	/*@ loop invariant 0 <= words - \at(words, Pre) <= count;
	    loop invariant words == \at(words, Pre) + (words - \at(words, Pre));
	    loop invariant \forall integer i; 0 <= i < words - \at(words, Pre) ==>
		\at(words, Pre)[i] == value;
	    loop assigns words, \at(words, Pre)[0 .. count - 1];
	    loop variant end - words; */
	while (words != end)
		*words++ = value;
}

/* to < from, or the two do not overlap. */
static inline void words_move_down(uint64_t *to, const uint64_t *from, size_t count)
{
	const uint64_t *end = from + count;

	for (; end - from >= 4; from += 4, to += 4) {
		uint64_t first = from[0], second = from[1], third = from[2], fourth = from[3];

		to[0] = first;
		to[1] = second;
		to[2] = third;
		to[3] = fourth;
	}
	while (from != end)
		*to++ = *from++;
}

/* How many of the first bytes are `value`; `count` if all are. Two instructions for eight of them. */
static inline size_t bytes_equal(const uint8_t *bytes, uint8_t value, size_t count)
{
	uint64_t __attribute__((may_alias)) const *words;
	uint64_t pattern = value * UINT64_C(0x0101010101010101);
	size_t i = 0;

	for (; i < count && (uintptr_t)(bytes + i) % sizeof(uint64_t); i++)
		if (bytes[i] != value)
			return i;
	words = (const void *)(bytes + i);
	for (; count - i >= 64; i += 64, words += 8)
		if (words[0] != pattern || words[1] != pattern || words[2] != pattern ||
		    words[3] != pattern || words[4] != pattern || words[5] != pattern ||
		    words[6] != pattern || words[7] != pattern)
			break;
	for (; count - i >= 8 && *words == pattern; i += 8)
		words++;
	while (i < count && bytes[i] == value)
		i++;
	return i;
}
