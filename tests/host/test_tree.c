/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 */
/*
 * test_tree.c - the segment tree against a model that is one byte a frame and cannot be wrong.
 *
 * Covers: mm/global/segment_tree*.c mm/global/run_tree.c mm/global/bit_index.c
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "mm/global/bit_index.h"
#include "mm/global/segment_tree.h"
#include "tests/host/support/policy_model.h"

static const struct policy *const policy = &segment_tree_policy;
static const struct policy_plan no_plan;

/* With a plan, with a stale plan, and without a plan. */
static void claim(struct policy_model *model, unsigned min, unsigned max)
{
	struct model_claim claim = {.min = min};

	if (max >= min + 63 && unit_random_below(3)) {
		policy_model_plan_claim(model, min, &claim);
		if (claim.plan.words && unit_random_below(3) == 0)
			claim.words[unit_random_below(claim.plan.words)].bits ^=
				UINT64_C(1) << unit_random_below(64);
	}
	policy_model_claim(model, &claim, max);
}

static void release_some(struct policy_model *model, unsigned wanted)
{
	struct model_release release = {.count = 0};

	while (wanted--) {
		uint64_t word = (model->first >> 6) + unit_random_below((model->count >> 6) + 1);
		uint64_t bits = policy_model_taken(model, word << 6);

		bits &= unit_random() | unit_random();
		policy_model_leave(model, &release, (struct frame_word){word << 6, bits});
	}
	if (unit_random_below(4))
		policy_model_plan_release(model, &release);
	policy_model_release(model, &release);
}

static void claim_run(struct policy_model *model, uint64_t count, uint64_t align)
{
	policy_model_claim_run(model, count, align, unit_random() & 1 ? 3 : 0);
}

static void random_trace(uint64_t first, uint64_t count, unsigned steps)
{
	struct policy_model model;

	policy_model_start(&model, policy, first, count);
	policy_model_release_run(&model, first, count);
	for (unsigned step = 0; step < steps; step++) {
		uint64_t size;

		switch (unit_random_below(8)) {
		case 0:
		case 1:
			size = 1 + unit_random_below(unit_random() & 1 ? 130 : 64);
			claim(&model, (unsigned)size,
			      (unsigned)(size + unit_random_below(unit_random() & 1 ? 70 : 1)));
			break;
		case 2:
		case 3:
		case 4:
			release_some(&model, 1 + (unsigned)unit_random_below(40));
			break;
		case 5:
			size = 1 + unit_random_below(unit_random() & 1 ? 64 : 1200);
			claim_run(&model, size, UINT64_C(1) << unit_random_below(11));
			break;
		case 6:
			claim_run(&model, 512, 512);
			break;
		default:
			claim_run(&model, UINT64_C(1) << unit_random_below(10),
				  UINT64_C(1) << unit_random_below(10));
		}
		if (step % 64 == 0)
			policy_model_validate(&model);
	}
	policy_model_end(&model);
}

TEST(random_traces_agree_with_the_model_small)
{
	for (unsigned round = 0; round < 60; round++)
		random_trace(0x80000 + unit_random_below(700), 1 + unit_random_below(700), 300);
}

TEST(random_traces_agree_with_the_model_middle)
{
	for (unsigned round = 0; round < 8; round++)
		random_trace(unit_random_below(5000), 4096 + unit_random_below(9000), 600);
}

TEST(random_traces_agree_with_the_model_several_levels)
{
	random_trace(511, 70000, 600);
}

TEST(claims_rise_by_address_and_words_are_whole)
{
	struct policy_model model;
	struct frame_word words[POLICY_WORDS_MAX];
	unsigned taken;

	policy_model_start(&model, policy, 0x80000, 1024);
	policy_model_release_run(&model, 0x80010, 500);
	CHECK_EQ(policy->claim(model.instance, 64, 191, &no_plan, words, &taken), 2);
	CHECK_EQ(taken, 48 + 64);
	CHECK_EQ(words[0].first, 0x80000);
	CHECK_EQ(words[0].bits, ~UINT64_C(0) << 16);
	CHECK_EQ(words[1].first, 0x80040);
	CHECK_EQ(policy->claim(model.instance, 1, 1, &no_plan, words, &taken), 1);
	CHECK_EQ(words[0].bits, 1);
	policy_model_take(&model, 0x80010, 48 + 64 + 1);
	policy_model_end(&model);
}

/* Claims of an exact number of frames take row after row, and leave no gap. */
TEST(exact_claims_take_one_row_after_the_other)
{
	for (unsigned count = 1; count <= 64; count++) {
		struct policy_model model;
		uint64_t next = 0x80003;

		policy_model_start(&model, policy, 0x80000, 4096 + 600);
		policy_model_release_run(&model, next, 4096 + 590);
		for (; next + count <= 0x80003 + 4096 + 590; next += count) {
			struct frame_word words[POLICY_WORDS_MAX];
			unsigned taken, used;

			used = policy->claim(model.instance, count, count, &no_plan, words, &taken);
			CHECK_EQ(taken, count);
			CHECK_EQ(used, next / 64 == (next + count - 1) / 64 ? 1 : 2);
			CHECK_EQ(words[0].first + bits_lowest(words[0].bits), next);
			CHECK_EQ(bits_count(words[0].bits) + (used - 1) * bits_count(words[1].bits),
				 count);
			CHECK(used == 1 || words[1].first == words[0].first + 64);
			CHECK(used == 1 || words[1].bits & 1);
			policy_model_take(&model, next, count);
		}
		policy_model_end(&model);
	}
}

/* A row is taken, and after it what there is: not all of a word of which some is out. */
TEST(a_row_may_end_before_a_word_that_is_not_whole)
{
	struct policy_model model;
	struct model_claim exact = {.min = 40};

	policy_model_start(&model, policy, 0x80000, 1024);
	policy_model_release_run(&model, 0x80000 + 50, 14 + 10);
	policy_model_release_run(&model, 0x80000 + 64 + 20, 100);
	policy_model_claim(&model, &exact, 40);
	CHECK_EQ(model.state[64 + 36], MODEL_FREE);
	CHECK_EQ(model.state[64 + 35], MODEL_TAKEN);
	policy_model_end(&model);
}

/* The last words' rows join nothing behind them, although the summaries lie there. */
TEST(a_short_run_ends_where_the_zone_does)
{
	struct policy_model model;
	uint64_t first;

	policy_model_start(&model, policy, 0x80000, 4096);
	policy_model_release_run(&model, 0x80000 + 4096 - 10, 10);
	for (unsigned word = 0; word < 10; word++)
		policy_model_release_run(&model, 0x80000 + word * 64, 1);
	CHECK_EQ(policy->claim_run(model.instance, 11, 1, 0, &first), RUN_NONE);
	policy_model_validate(&model);
	policy_model_end(&model);
}

static uint64_t lowest_run(const struct policy_model *model, uint64_t count, uint64_t align)
{
	for (uint64_t i = 0; i + count <= model->count; i++) {
		uint64_t length = 0;

		while (length < count && model->state[i + length] == MODEL_FREE)
			length++;
		if (length == count && (model->first + i) % align == 0)
			return model->first + i;
	}
	return UINT64_MAX;
}

/* Wherever the search for a short run begins, it finds the lowest run. */
TEST(a_short_run_is_the_lowest_there_is)
{
	for (unsigned round = 0; round < 200; round++) {
		uint64_t start = 0x80000 + unit_random_below(512);
		struct policy_model model;

		policy_model_start(&model, policy, start, 300 + unit_random_below(6000));
		policy_model_release_run(&model, start, model.count);
		for (unsigned i = 0; i < 20; i++)
			claim_run(&model, 1 + unit_random_below(model.count / 30), 1);
		for (unsigned i = 0; i < 10; i++)
			release_some(&model, 1 + (unsigned)unit_random_below(20));
		for (unsigned i = 0; i < 20; i++) {
			uint64_t count = 1 + unit_random_below(64);
			uint64_t align = UINT64_C(1) << unit_random_below(7);
			uint64_t expected = lowest_run(&model, count, align), first = UINT64_MAX;

			policy->claim_run(model.instance, count, align, 0, &first);
			CHECK_EQ(first, expected);
			if (first != UINT64_MAX)
				policy_model_take(&model, first, count);
		}
		policy_model_end(&model);
	}
}

TEST(a_frame_free_already_is_refused)
{
	struct policy_model model;
	struct frame_word word = {0x80040, 1 << 5};
	struct policy_plan plan;

	policy_model_start(&model, policy, 0x80000, 1024);
	policy_model_release_run(&model, 0x80000, 1000);
	EXPECT_PANIC(policy->release(model.instance, &no_plan, &word, 1), "freed twice");
	policy->plan_release(model.instance, &word, 1, &plan);
	EXPECT_PANIC(policy->release(model.instance, &plan, &word, 1), "freed twice");
	EXPECT_PANIC(policy->release_run(model.instance, 0x80000 + 990, 20), "freed twice");
	EXPECT_PANIC(policy->release_run(model.instance, 0x80000 + 990, 34), "freed twice");
	policy_model_end(&model);
}

TEST(a_run_may_cross_chunks_and_levels)
{
	struct policy_model model;
	uint64_t first;

	policy_model_start(&model, policy, 0, 512 * 80);
	policy_model_release_run(&model, 500, 512 * 64 - 500 + 30);
	CHECK_EQ(policy->claim_run(model.instance, 512 * 64 - 500 + 31, 1, 0, &first), RUN_NONE);
	CHECK_EQ(policy->claim_run(model.instance, 512 * 64 - 500 + 30, 1, 0, &first), RUN_FOUND);
	CHECK_EQ(first, 500);
	policy_model_take(&model, 500, 512 * 64 - 500 + 30);
	policy_model_end(&model);
}

TEST(a_run_given_back_below_is_claimed_first)
{
	struct policy_model model;
	struct frame_word words[POLICY_WORDS_MAX];
	unsigned taken;

	policy_model_start(&model, policy, 0x80000, 4 * 4096);
	policy_model_release_run(&model, 0x80000, 4 * 4096);
	for (unsigned i = 0; i < 2 * 4096; i += 64)
		claim(&model, 64, 64);
	policy_model_release_run(&model, 0x80000 + 512, 512);
	policy_model_validate(&model);
	policy->claim(model.instance, 1, 1, &no_plan, words, &taken);
	CHECK_EQ(words[0].first, 0x80000 + 512);
	policy_model_take(&model, 0x80000 + 512, 1);
	policy_model_end(&model);
}

/* The group that claims look in has no free frame, and is below the group that is released to. */
TEST(a_frame_released_to_an_empty_zone_is_claimed)
{
	struct policy_model model;

	policy_model_start(&model, policy, 0x80000, 3 * 4096);
	policy_model_release_run(&model, 0x80000, 100);
	claim(&model, 100, 100);
	CHECK_EQ(model.free_count, 0);
	policy_model_release_run(&model, 0x80000 + 2 * 4096, 10);
	policy_model_validate(&model);
	claim(&model, 10, 10);
	CHECK_EQ(model.free_count, 0);
	policy_model_end(&model);
}

/* A plan that goes stale half-way breaks the chunks of what it took, and no other. */
TEST(a_stale_plan_breaks_no_chunk_it_did_not_take_from)
{
	struct policy_model model;
	struct model_claim stale;
	uint64_t first;

	policy_model_start(&model, policy, 0x80000, 4096);
	policy_model_release_run(&model, 0x80000 + 4 * 64, 30);
	policy_model_release_run(&model, 0x80000 + 5 * 64, 30);
	policy_model_release_run(&model, 0x80000 + 512, 7 * 512);
	policy_model_plan_claim(&model, 64, &stale);
	CHECK_EQ(stale.plan.words, 3);
	/* The first word is as planned, the second is not, the third is not looked at. */
	policy_model_release_run(&model, 0x80000 + 5 * 64 + 30, 34);
	policy_model_claim(&model, &stale, 94);
	CHECK_EQ(model.free_count, 7 * 512);
	policy_model_validate(&model);
	CHECK_EQ(policy->claim_run(model.instance, 512, 512, 0, &first), RUN_FOUND);
	CHECK_EQ(first, 0x80000 + 512);
	policy_model_take(&model, first, 512);
	policy_model_end(&model);
}

TEST(lowest_bit_agrees_with_its_definition)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t word = UINT64_C(1) << bit;
		unsigned place = bits_debruijn.position[(word * bits_debruijn.sequence) >> 58];

		CHECK_EQ(place, bit);
	}
}

TEST(metadata_stays_under_its_bound)
{
	static const uint64_t sizes[] = {32768, 1 << 20, 1 << 24, 1 << 28};

	for (unsigned i = 0; i < 4; i++)
		CHECK(policy->metadata_bytes(0x80000, sizes[i]) * 100 <= 15 * sizes[i]);
}

TEST(a_bit_index_finds_what_is_lowest)
{
	struct bit_index index;
	uint64_t bits = 300000, expected;
	void *memory = malloc(bit_index_bytes(bits));

	bit_index_init(&index, memory, bits);
	CHECK_EQ(bit_index_first(&index, 0), BIT_INDEX_NONE);
	for (unsigned round = 0; round < 2000; round++) {
		uint64_t from = unit_random_below(bits);
		uint64_t to = from + 1 + unit_random_below(bits - from < 9000 ? bits - from : 9000);

		if (unit_random() & 1)
			bit_index_set_range(&index, 0, from, to);
		else
			bit_index_clear_range(&index, 0, from, to);
		if (round % 50 == 0)
			bit_index_validate(&index, "index");
		for (expected = 0; expected < bits && !bit_index_test(&index, expected);)
			expected++;
		CHECK_EQ(bit_index_first(&index, 0), expected < bits ? expected : BIT_INDEX_NONE);
	}
	free(memory);
}
