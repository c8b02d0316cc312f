/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * string.c - memset, memcpy and memmove of this kernel, eight bytes at a time.
 *
 * The C library of a bare rv64imac fills and copies byte by byte, with four instructions a byte and
 * more. The linker takes these functions instead of the library's, so they serve the library's own
 * calls and the compiler's too. `make lint` tests that the library's are not linked.
 *
 * Every access is aligned, because on some machines the firmware emulates misaligned accesses. Where
 * source and destination differ in their last three bits, each word is put together from two words of
 * the source. Such a word may contain bytes in front of the source or behind it. They are in the same
 * eight aligned bytes, so in the same page, and they are not used.
 *
 * This file is compiled without builtins: otherwise the compiler could turn a loop in memset() into a
 * call of memset(). No stack, no call; any context.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define WORD 8

/* Below this the bytes are moved one by one: a word may not fit between two aligned addresses. */
#define SHORT (2 * WORD)

typedef uint64_t __attribute__((may_alias)) word;

static inline unsigned misalignment(const void *address)
{
	return (uintptr_t)address % WORD;
}

/* ---- filling ------------------------------------------------------------------------------- */

void *memset(void *to, int value, size_t count)
{
	uint64_t pattern = (uint8_t)value * UINT64_C(0x0101010101010101);
	unsigned char *at = to, *end = at + count;

	if (count >= SHORT) {
		unsigned char *blocks_end, *words_end;

		while (misalignment(at))
			*at++ = (unsigned char)value;
		blocks_end = at + (size_t)(end - at) / (8 * WORD) * (8 * WORD);
		words_end = end - misalignment(end);
		for (; at != blocks_end; at += 8 * WORD) {
			word *words = (word *)at;

			words[0] = pattern;
			words[1] = pattern;
			words[2] = pattern;
			words[3] = pattern;
			words[4] = pattern;
			words[5] = pattern;
			words[6] = pattern;
			words[7] = pattern;
		}
		for (; at != words_end; at += WORD)
			*(word *)at = pattern;
	}
	while (at != end)
		*at++ = (unsigned char)value;
	return to;
}

/* ---- copying upwards ----------------------------------------------------------------------- */

/* Both aligned; whole words. Returns how many bytes are left, less than a word. */
static inline size_t copy_words_up(unsigned char **to, const unsigned char **from, size_t count)
{
	word *out = (word *)*to;
	const word *in = (const word *)*from, *blocks_end = in + count / (8 * WORD) * 8;

	for (; in != blocks_end; in += 8, out += 8) {
		uint64_t w0 = in[0], w1 = in[1], w2 = in[2], w3 = in[3];
		uint64_t w4 = in[4], w5 = in[5], w6 = in[6], w7 = in[7];

		out[0] = w0;
		out[1] = w1;
		out[2] = w2;
		out[3] = w3;
		out[4] = w4;
		out[5] = w5;
		out[6] = w6;
		out[7] = w7;
	}
	for (count %= 8 * WORD; count >= WORD; count -= WORD)
		*out++ = *in++;
	*to = (unsigned char *)out;
	*from = (const unsigned char *)in;
	return count;
}

/* The destination is aligned and the source is not: each word is of two words of the source. */
static inline __attribute__((no_sanitize_address)) size_t merge_words_up(unsigned char **to,
									 const unsigned char **from,
									 size_t count)
{
	unsigned low = 8 * misalignment(*from), high = 64 - low;
	const word *in = (const word *)(*from - misalignment(*from));
	word *out = (word *)*to;
	uint64_t current = *in++;
	size_t words = count / WORD;

	*to += words * WORD;
	*from += words * WORD;
	for (; words >= 4; words -= 4, in += 4, out += 4) {
		uint64_t w0 = in[0], w1 = in[1], w2 = in[2], w3 = in[3];

		out[0] = current >> low | w0 << high;
		out[1] = w0 >> low | w1 << high;
		out[2] = w1 >> low | w2 << high;
		out[3] = w2 >> low | w3 << high;
		current = w3;
	}
	for (; words; words--) {
		uint64_t next = *in++;

		*out++ = current >> low | next << high;
		current = next;
	}
	return count % WORD;
}

/* Also right where the two overlap and the destination is lower: a word is read before it is written. */
static inline __attribute__((always_inline)) void copy_up(unsigned char *to,
							  const unsigned char *from, size_t count)
{
	if (count >= SHORT) {
		for (; misalignment(to); count--)
			*to++ = *from++;
		count = misalignment(from) ? merge_words_up(&to, &from, count)
					   : copy_words_up(&to, &from, count);
	}
	while (count--)
		*to++ = *from++;
}

void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
	copy_up(to, from, count);
	return to;
}

/* ---- copying downwards --------------------------------------------------------------------- */

/* The same from the end on; *to and *from are the ends. */
static inline size_t copy_words_down(unsigned char **to, const unsigned char **from, size_t count)
{
	word *out = (word *)*to;
	const word *in = (const word *)*from;

	for (; count >= 8 * WORD; count -= 8 * WORD) {
		uint64_t w0, w1, w2, w3, w4, w5, w6, w7;

		in -= 8;
		out -= 8;
		w0 = in[0], w1 = in[1], w2 = in[2], w3 = in[3];
		w4 = in[4], w5 = in[5], w6 = in[6], w7 = in[7];
		out[7] = w7;
		out[6] = w6;
		out[5] = w5;
		out[4] = w4;
		out[3] = w3;
		out[2] = w2;
		out[1] = w1;
		out[0] = w0;
	}
	for (; count >= WORD; count -= WORD)
		*--out = *--in;
	*to = (unsigned char *)out;
	*from = (const unsigned char *)in;
	return count;
}

__attribute__((no_sanitize_address)) static inline size_t merge_words_down(
	unsigned char **to, const unsigned char **from, size_t count)
{
	unsigned low = 8 * misalignment(*from), high = 64 - low;
	const word *in = (const word *)(*from - misalignment(*from));
	word *out = (word *)*to;
	uint64_t current = *in;
	size_t words = count / WORD;

	*to -= words * WORD;
	*from -= words * WORD;
	for (; words >= 4; words -= 4) {
		uint64_t w0, w1, w2, w3;

		in -= 4;
		out -= 4;
		w0 = in[0], w1 = in[1], w2 = in[2], w3 = in[3];
		out[3] = w3 >> low | current << high;
		out[2] = w2 >> low | w3 << high;
		out[1] = w1 >> low | w2 << high;
		out[0] = w0 >> low | w1 << high;
		current = w0;
	}
	for (; words; words--) {
		uint64_t next = *--in;

		*--out = next >> low | current << high;
		current = next;
	}
	return count % WORD;
}

static inline void copy_down(unsigned char *to, const unsigned char *from, size_t count)
{
	to += count;
	from += count;
	if (count >= SHORT) {
		for (; misalignment(to); count--)
			*--to = *--from;
		count = misalignment(from) ? merge_words_down(&to, &from, count)
					   : copy_words_down(&to, &from, count);
	}
	while (count--)
		*--to = *--from;
}

void *memmove(void *to, const void *from, size_t count)
{
	if ((uintptr_t)to - (uintptr_t)from >= count)
		copy_up(to, from, count);
	else
		copy_down(to, from, count);
	return to;
}
