/* SPDX-License-Identifier: BSD-2-Clause */
/* dtb_damage.c - dtb_damage() of dtb_builder.h: apart, for only it needs a test's random numbers.
 */
#include "tests/host/support/dtb_builder.h"
#include "tests/host/support/unit.h"

#define HEADER_WORDS 10

static void damage_word(struct dtb_bytes blob, size_t offset)
{
	static const uint32_t limits[] = {0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff};
	uint32_t word = dtb_peek(blob, offset);

	switch (unit_random_below(6)) {
	case 0:
		word ^= UINT32_C(1) << unit_random_below(32);
		break;
	case 1:
		word = (uint32_t)unit_random();
		break;
	case 2:
		word = (uint32_t)unit_random_below(10);
		break;
	case 3:
		word += (uint32_t)unit_random_below(33) - 16;
		break;
	case 4:
		word = limits[unit_random_below(4)];
		break;
	case 5:
		word = dtb_peek(blob, 4 * unit_random_below(blob.size / 4));
		break;
	}
	dtb_poke(blob, offset, word);
}

/*
 * The header is small, and all that follows depends on it: it gets a separate share of the damage.
 */
void dtb_damage(struct dtb_bytes blob)
{
	for (uint64_t times = 1 + unit_random_below(4); times > 0; times--) {
		bool header = unit_random_below(8) == 0;
		size_t words = header ? HEADER_WORDS : blob.size / sizeof(uint32_t);

		damage_word(blob, unit_random_below(words) * sizeof(uint32_t));
	}
}
