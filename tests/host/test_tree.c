/*
 * test_tree.c - the segment tree against a model that is one byte a frame and cannot be wrong.
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "mm/global/bit_index.h"
#include "mm/global/segment_tree.h"

struct model {
	uint64_t first, count;
	uint8_t *free; /* of frame first + i */
	uint64_t free_count;
	void *memory;
	void *tree;
};

static const struct policy *const policy = &segment_tree_policy;
static const struct claim_plan no_plan;

static void model_start(struct model *model, uint64_t first, uint64_t count)
{
	model->first = first;
	model->count = count;
	model->free = calloc(count, 1);
	model->free_count = 0;
	model->memory = aligned_alloc(64, (policy->metadata_bytes(first, count) + 63) & ~63ul);
	memset(model->memory, 0xa5, policy->metadata_bytes(first, count));
	model->tree = policy->init(model->memory, first, count);
}

static void model_end(struct model *model)
{
	CHECK_EQ(policy->validate(model->tree), model->free_count);
	free(model->free);
	free(model->memory);
}

static void model_take(struct model *model, uint64_t pfn)
{
	CHECK(pfn - model->first < model->count);
	CHECK(model->free[pfn - model->first]);
	model->free[pfn - model->first] = 0;
	model->free_count--;
}

static void model_give(struct model *model, uint64_t pfn)
{
	CHECK(!model->free[pfn - model->first]);
	model->free[pfn - model->first] = 1;
	model->free_count++;
}

static bool model_has_run(const struct model *model, uint64_t count, uint64_t align)
{
	uint64_t first = (model->first + align - 1) & ~(align - 1);

	for (uint64_t start = first; start + count <= model->first + model->count; start += align) {
		const uint8_t *run = &model->free[start - model->first];

		if (run[0] && (count == 1 || !memcmp(run, run + 1, count - 1)))
			return true;
	}
	return false;
}

static void give_run(struct model *model, uint64_t first, uint64_t count)
{
	policy->release_run(model->tree, first, count);
	for (uint64_t i = 0; i < count; i++)
		model_give(model, first + i);
}

static void claim(struct model *model, unsigned min, unsigned max)
{
	struct frame_word words[POLICY_WORDS_MAX];
	unsigned taken, frames = 0;
	uint64_t free_before = model->free_count;
	unsigned count;
	struct claim_plan plan = {.words = 0};

	/* With a plan, with one that has gone stale, and without. */
	if (max >= min + 63 && unit_random_below(3)) {
		policy->plan_claim(model->tree, min, words, &plan);
		if (plan.words && unit_random_below(3) == 0)
			words[unit_random_below(plan.words)].bits ^= UINT64_C(1)
								     << unit_random_below(64);
	}
	count = policy->claim(model->tree, min, max, &plan, words, &taken);


	CHECK(count <= POLICY_WORDS_MAX);
	for (unsigned i = 0; i < count; i++) {
		CHECK(words[i].first % 64 == 0);
		CHECK(words[i].bits != 0);
		for (unsigned bit = 0; bit < 64; bit++)
			if (words[i].bits >> bit & 1) {
				model_take(model, words[i].first + bit);
				frames++;
			}
	}
	CHECK_EQ(taken, frames);
	CHECK(taken <= max);
	CHECK(taken >= min || taken == free_before || count == POLICY_WORDS_MAX);
}

static void release_some(struct model *model, unsigned wanted)
{
	struct frame_word words[POLICY_WORDS_MAX];
	struct claim_plan plan;
	unsigned count = 0;

	for (unsigned i = 0; i < wanted && count < POLICY_WORDS_MAX; i++) {
		uint64_t word = (model->first >> 6) + unit_random_below((model->count >> 6) + 1);
		uint64_t bits = 0, asked = unit_random() | unit_random();
		bool doubled = false;

		for (unsigned j = 0; j < count; j++)
			doubled |= words[j].first == word << 6;
		for (unsigned bit = 0; bit < 64 && !doubled; bit++) {
			uint64_t pfn = (word << 6) + bit;

			if ((asked >> bit & 1) && pfn - model->first < model->count &&
			    !model->free[pfn - model->first]) {
				bits |= UINT64_C(1) << bit;
				model_give(model, pfn);
			}
		}
		if (bits)
			words[count++] = (struct frame_word){word << 6, bits};
	}
	if (!count)
		return;
	plan.ordinary = false;
	if (unit_random_below(4))
		policy->plan_release(model->tree, words, count, &plan);
	policy->release(model->tree, &plan, words, count);
}

static void claim_run(struct model *model, uint64_t count, uint64_t align)
{
	uint64_t first = 0;
	enum run_result result = RUN_AGAIN;
	bool possible = model_has_run(model, count, align);

	for (unsigned tries = 0; result == RUN_AGAIN; tries++) {
		CHECK(tries < 100000);
		result = policy->claim_run(model->tree, count, align, unit_random() & 1 ? 3 : 0,
					   &first);
	}
	CHECK_EQ(result == RUN_FOUND, possible);
	if (result != RUN_FOUND)
		return;
	CHECK(first % align == 0);
	for (uint64_t i = 0; i < count; i++)
		model_take(model, first + i);
}

static void random_trace(uint64_t first, uint64_t count, unsigned steps)
{
	struct model model;

	model_start(&model, first, count);
	give_run(&model, first, count);
	for (unsigned step = 0; step < steps; step++) {
		uint64_t size;

		switch (unit_random_below(8)) {
		case 0:
		case 1:
			size = 1 + unit_random_below(130);
			claim(&model, (unsigned)size, (unsigned)(size + unit_random_below(70)));
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
			CHECK_EQ(policy->validate(model.tree), model.free_count);
	}
	model_end(&model);
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
	struct model model;
	struct frame_word words[POLICY_WORDS_MAX];
	unsigned taken;

	model_start(&model, 0x80000, 1024);
	policy->release_run(model.tree, 0x80010, 500);
	CHECK_EQ(policy->claim(model.tree, 64, 191, &no_plan, words, &taken), 2);
	CHECK_EQ(taken, 48 + 64);
	CHECK_EQ(words[0].first, 0x80000);
	CHECK_EQ(words[0].bits, ~UINT64_C(0) << 16);
	CHECK_EQ(words[1].first, 0x80040);
	CHECK_EQ(policy->claim(model.tree, 1, 1, &no_plan, words, &taken), 1);
	CHECK_EQ(words[0].bits, 1);
	model.free_count = 500 - 48 - 64 - 1;
	model_end(&model);
}

TEST(a_frame_free_already_is_refused)
{
	struct model model;
	struct frame_word word = {0x80040, 1 << 5};
	struct claim_plan plan;

	model_start(&model, 0x80000, 1024);
	give_run(&model, 0x80000, 1000);
	EXPECT_PANIC(policy->release(model.tree, &no_plan, &word, 1), "freed twice");
	policy->plan_release(model.tree, &word, 1, &plan);
	EXPECT_PANIC(policy->release(model.tree, &plan, &word, 1), "freed twice");
	EXPECT_PANIC(policy->release_run(model.tree, 0x80000 + 990, 20), "freed twice");
	model_end(&model);
}

TEST(a_run_may_cross_chunks_and_levels)
{
	struct model model;
	uint64_t first;

	model_start(&model, 0, 512 * 80);
	give_run(&model, 500, 512 * 64 - 500 + 30);
	CHECK_EQ(policy->claim_run(model.tree, 512 * 64 - 500 + 31, 1, 0, &first), RUN_NONE);
	CHECK_EQ(policy->claim_run(model.tree, 512 * 64 - 500 + 30, 1, 0, &first), RUN_FOUND);
	CHECK_EQ(first, 500);
	model.free_count = 0;
	model_end(&model);
}

TEST(a_run_given_back_below_is_claimed_first)
{
	struct model model;
	struct frame_word words[POLICY_WORDS_MAX];
	unsigned taken;

	model_start(&model, 0x80000, 4 * 4096);
	give_run(&model, 0x80000, 4 * 4096);
	for (unsigned i = 0; i < 2 * 4096; i += 64)
		claim(&model, 64, 64);
	give_run(&model, 0x80000 + 512, 512);
	CHECK_EQ(policy->validate(model.tree), model.free_count);
	policy->claim(model.tree, 1, 1, &no_plan, words, &taken);
	CHECK_EQ(words[0].first, 0x80000 + 512);
	model_take(&model, 0x80000 + 512);
	model_end(&model);
}

/* A plan that goes stale half-way breaks the chunks of what it took, and no other. */
TEST(a_stale_plan_breaks_no_chunk_it_did_not_take_from)
{
	struct model model;
	struct frame_word words[POLICY_WORDS_MAX], rest = {0x80000 + 5 * 64, ~UINT64_C(0) << 30};
	struct claim_plan plan = {.words = 0};
	unsigned taken;
	uint64_t first;

	model_start(&model, 0x80000, 4096);
	give_run(&model, 0x80000 + 5 * 64, 30);
	give_run(&model, 0x80000 + 512, 7 * 512);
	policy->plan_claim(model.tree, 64, words, &plan);
	CHECK_EQ(plan.words, 2);
	policy->release(model.tree, &no_plan, &rest, 1);
	CHECK_EQ(policy->claim(model.tree, 64, 127, &plan, words, &taken), 1);
	CHECK_EQ(taken, 64);
	model.free_count -= 30;
	CHECK_EQ(policy->validate(model.tree), model.free_count);
	CHECK_EQ(policy->claim_run(model.tree, 512, 512, 0, &first), RUN_FOUND);
	CHECK_EQ(first, 0x80000 + 512);
	model.free_count -= 512;
	model_end(&model);
}

TEST(lowest_bit_agrees_with_its_definition)
{
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t word = UINT64_C(1) << bit;
		unsigned place = bits_debruijn_position[(word * BITS_DEBRUIJN) >> 58];

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
