/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain */
/*
 * test_devicetree_libfdt.c - our reader of device trees against libfdt, on damaged trees.
 *
 * libfdt_judge.c compares the answers. This file makes the trees, at random from the seed.
 *
 * Covers: kernel/boot/devicetree*.c
 */
#include "dtb_builder.h"
#include "tests/host/support/libfdt_judge.h"
#include "unit.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const sources[] = {
	"tests/host/data/virt_numa.dtb",
	"tests/host/data/sifive_u.dtb",
};

struct tally {
	unsigned verdicts[LIBFDT_VERDICTS];
};

static void judge(struct dtb_bytes blob, struct tally *tally)
{
	tally->verdicts[libfdt_judge(blob.bytes, blob.size)]++;
}

static void print_tally(const struct tally *tally)
{
	printf("# accepted by both %u, by neither %u, by us alone %u, by libfdt alone %u\n",
	       tally->verdicts[LIBFDT_BOTH], tally->verdicts[LIBFDT_NEITHER],
	       tally->verdicts[LIBFDT_OURS_ONLY], tally->verdicts[LIBFDT_THEIRS_ONLY]);
}

TEST(whole_trees_read_as_libfdt_reads_them)
{
	struct tally tally = {0};

	for (size_t i = 0; i < COUNT(sources); i++) {
		struct dtb_bytes blob = dtb_load(sources[i]);

		judge(blob, &tally);
		dtb_free(&blob);
	}
	CHECK_EQ(tally.verdicts[LIBFDT_BOTH], COUNT(sources));
}

TEST(damaged_trees_read_as_libfdt_reads_them)
{
	struct tally tally = {0};

	for (size_t i = 0; i < COUNT(sources); i++) {
		struct dtb_bytes whole = dtb_load(sources[i]);

		for (unsigned round = 0; round < 5000; round++) {
			struct dtb_bytes copy = dtb_copy(whole, whole.size);

			dtb_damage(copy);
			judge(copy, &tally);
			dtb_free(&copy);
		}
		dtb_free(&whole);
	}
	print_tally(&tally);
	CHECK(tally.verdicts[LIBFDT_BOTH] > 1000 && tally.verdicts[LIBFDT_NEITHER] > 1000);
}

TEST(trees_of_random_tokens_read_as_libfdt_reads_them)
{
	static const uint32_t tokens[] = {1, 1, 0, 0x61000000, 2, 2, 3, 0, 4, 4, 9};
	struct tally tally = {0};

	for (unsigned round = 0; round < 30000; round++) {
		struct dtb dtb = {0};
		struct dtb_bytes blob;

		dtb_property(&dtb, "p", NULL, 0);
		dtb_free(&dtb.structure);
		dtb_token(&dtb, 1);
		dtb_token(&dtb, 0);
		for (uint64_t left = unit_random_below(12); left > 0; left--)
			dtb_token(&dtb, tokens[unit_random_below(COUNT(tokens))]);
		blob = unit_random_below(2) ? dtb_finish(&dtb) : dtb_finish_raw(&dtb);
		judge(blob, &tally);
		dtb_free(&blob);
	}
	print_tally(&tally);
	CHECK(tally.verdicts[LIBFDT_BOTH] > 100 && tally.verdicts[LIBFDT_NEITHER] > 100);
}
