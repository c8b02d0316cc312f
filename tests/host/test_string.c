/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 */
/*
 * test_string.c - memset, memcpy and memmove of the kernel against those of the C library: every
 * alignment of both sides, every length up to several turns of the longest loop, every overlap.
 *
 * Covers: arch/riscv/string.c
 */
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define memset	kernel_memset
#define memcpy	kernel_memcpy
#define memmove kernel_memmove
#include "arch/riscv/string.c"
#undef memset
#undef memcpy
#undef memmove

#define LONGEST 200
#define MARGIN	16 /* bytes around, which stay as they are */
#define ROOM	(2 * MARGIN + LONGEST + 2 * WORD)

static _Alignas(64) unsigned char ours[2 * ROOM], theirs[2 * ROOM], source[ROOM];

static void randomise(unsigned char *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bytes[i] = (unsigned char)unit_random();
}

static void start(void)
{
	randomise(ours, sizeof(ours));
	memcpy(theirs, ours, sizeof(ours));
	randomise(source, sizeof(source));
}

TEST(memset_is_the_librarys)
{
	start();
	for (unsigned at = MARGIN; at < MARGIN + WORD; at++)
		for (size_t count = 0; count <= LONGEST; count++) {
			int value = (int)unit_random(); /* only its lowest byte counts */

			CHECK(kernel_memset(ours + at, value, count) == ours + at);
			memset(theirs + at, value, count);
			CHECK(!memcmp(ours, theirs, sizeof(ours)));
		}
}

TEST(memcpy_is_the_librarys)
{
	start();
	for (unsigned to = MARGIN; to < MARGIN + WORD; to++)
		for (unsigned from = MARGIN; from < MARGIN + WORD; from++)
			for (size_t count = 0; count <= LONGEST; count++) {
				source[from + count / 2] = (unsigned char)unit_random();
				CHECK(kernel_memcpy(ours + to, source + from, count) == ours + to);
				memcpy(theirs + to, source + from, count);
				CHECK(!memcmp(ours, theirs, sizeof(ours)));
			}
}

/* The destination from far below the source to far above it, in one buffer. */
TEST(memmove_is_the_librarys_at_every_overlap)
{
	for (unsigned from = ROOM / 2; from < ROOM / 2 + WORD; from++)
		for (size_t count = 0; count <= LONGEST;
		     count = count < 80 ? count + 1 : count + 7) {
			unsigned reach = (unsigned)count < 40 ? (unsigned)count + 9 : 40;

			start();
			for (unsigned to = from - reach; to <= from + reach; to++) {
				CHECK(kernel_memmove(ours + to, ours + from, count) == ours + to);
				memmove(theirs + to, theirs + from, count);
				CHECK(!memcmp(ours, theirs, sizeof(ours)));
			}
			for (unsigned gap = (unsigned)count; gap <= count + 1; gap++) {
				kernel_memmove(ours + from + gap - count, ours + from, count);
				memmove(theirs + from + gap - count, theirs + from, count);
				CHECK(!memcmp(ours, theirs, sizeof(ours)));
			}
		}
}

/* At random, and long: pages and more. */
TEST(long_copies_are_the_librarys)
{
	enum { BYTES = 20000 };
	unsigned char *a = malloc(BYTES), *b = malloc(BYTES);

	randomise(a, BYTES);
	memcpy(b, a, BYTES);
	for (unsigned round = 0; round < 2000; round++) {
		size_t count = unit_random_below(BYTES / 2);
		size_t from = unit_random_below(BYTES - count),
		       to = unit_random_below(BYTES - count);

		if (round % 4) {
			kernel_memmove(a + to, a + from, count);
			memmove(b + to, b + from, count);
		} else {
			kernel_memset(a + to, (int)round, count);
			memset(b + to, (int)round, count);
		}
		CHECK(!memcmp(a, b, BYTES));
	}
	free(a);
	free(b);
}
