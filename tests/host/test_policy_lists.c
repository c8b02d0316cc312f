/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 */
/*
 * test_policy_lists.c - the two policies that are lists: their properties beyond the contract.
 *
 * Of free_list, that a link which was overwritten is found when its frame is claimed, and never
 * followed. Of recycler, the order of recycling, which runs it has and when it has none, and
 * that its ring is large enough and no larger. (That both keep the contract, test_policy.c shows.)
 *
 * Covers: mm/global/free_list.c mm/global/recycler.c
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

#include <port.h>

#include "mm/frame.h"
#include "mm/global/free_list.h"
#include "mm/global/recycler.h"
#include "mm/global/zone.h"
#include "tests/host/support/host.h"
#include "tests/host/support/policy_model.h"

#define FIRST UINT64_C(0x80123) /* aligned to nothing */

static const struct policy_plan no_plan;

/* All frames of the zone are free. */
static void start_free(struct policy_model *model, const struct policy *policy, uint64_t first,
		       uint64_t count)
{
	policy_model_start(model, policy, first, count);
	policy_model_release_run(model, first, count);
}

/* One frame, in the order of the policy. */
static uint64_t claim_one(struct policy_model *model)
{
	struct frame_word word[POLICY_WORDS_MAX];
	unsigned taken, bit = 0;

	CHECK_EQ(model->policy->claim(model->instance, 1, 1, &no_plan, word, &taken), 1);
	CHECK_EQ(taken, 1);
	while (!(word[0].bits >> bit & 1))
		bit++;
	CHECK_EQ(word[0].bits, UINT64_C(1) << bit);
	policy_model_take(model, word[0].first + bit, 1);
	return word[0].first + bit;
}

static void claim_frames(struct policy_model *model, unsigned frames)
{
	while (frames--)
		claim_one(model);
}

/* By the word: as a cache gives frames back. */
static void release_one(struct policy_model *model, uint64_t pfn)
{
	struct model_release release = {.count = 0};

	policy_model_leave(model, &release,
			   (struct frame_word){pfn & ~UINT64_C(63), UINT64_C(1) << (pfn & 63)});
	policy_model_release(model, &release);
}

/* Runs the claim past the model, which would take what should never come. */
static void claim_bare(struct policy_model *model, unsigned frames)
{
	struct frame_word words[POLICY_WORDS_MAX];
	unsigned taken;

	model->policy->claim(model->instance, frames, frames, &no_plan, words, &taken);
}

/* Numbers 0..count-1 in random order. */
static uint64_t *shuffled(uint64_t count)
{
	uint64_t *numbers = malloc(count * sizeof(*numbers));

	for (uint64_t i = 0; i < count; i++) {
		uint64_t j = unit_random_below(i + 1);

		numbers[i] = numbers[j];
		numbers[j] = i;
	}
	return numbers;
}

/* ---- free_list --------------------------------------------------------------------------- */

#define LIST_FRAMES 200

static uint64_t *link_of(uint64_t pfn)
{
	return port_phys_pointer(pfn << FRAME_SHIFT);
}

/*
 * Writes `link` into the third frame of a list of which nothing is claimed yet. The two above come
 * out, and it does not: neither by the word, in a batch, nor as a run of one. Nor is it valid.
 */
static void expect_found(uint64_t link, unsigned how)
{
	struct policy_model model;
	uint64_t first, whole;
	char text[128];

	start_free(&model, &free_list_policy, FIRST, LIST_FRAMES);
	whole = *link_of(FIRST + 2);
	CHECK(whole != link);
	*link_of(FIRST + 2) = link;
	CHECK_EQ(claim_one(&model), FIRST);
	CHECK_EQ(claim_one(&model), FIRST + 1);
	snprintf(text, sizeof(text),
		 "free frame %#llx was written to: its link is %#llx, expected 0x",
		 (unsigned long long)(FIRST + 2), (unsigned long long)link);
	if (link == 0)
		snprintf(text, sizeof(text),
			 "free frame %#llx was written to: its link is 0, expected 0x",
			 (unsigned long long)(FIRST + 2));
	if (how == 0)
		EXPECT_PANIC(claim_bare(&model, 1), text);
	else if (how == 1)
		EXPECT_PANIC(claim_bare(&model, 64), text);
	else if (how == 2)
		EXPECT_PANIC(free_list_policy.claim_run(model.instance, 1, 1, 0, &first), text);
	else
		EXPECT_PANIC(free_list_policy.validate(model.instance), text);
	/* It is still the top, and what is put right is right. */
	*link_of(FIRST + 2) = whole;
	CHECK_EQ(claim_one(&model), FIRST + 2);
	policy_model_end(&model);
}

static void expect_found_always(uint64_t link)
{
	for (unsigned how = 0; how < 4; how++)
		expect_found(link, how);
}

TEST(a_link_of_zeros_or_ones_is_found)
{
	expect_found_always(0);
	expect_found_always(~UINT64_C(0));
	expect_found_always(UINT32_MAX);
	expect_found_always(UINT64_C(0xa5a5a5a5a5a5a5a5));
}

TEST(a_link_that_is_a_number_is_found)
{
	expect_found_always(3);				 /* the index that is right */
	expect_found_always(7);				 /* another one */
	expect_found_always(LIST_FRAMES);		 /* past the end */
	expect_found_always(FIRST + 3);			 /* a frame's */
	expect_found_always((FIRST + 3) << FRAME_SHIFT); /* an address */
}

/* If the index of a link is right, the panic says what the link should be. */
static void expect_bit_found(unsigned bit)
{
	struct policy_model model;
	uint64_t whole, found;
	char text[64];

	start_free(&model, &free_list_policy, FIRST, LIST_FRAMES);
	claim_frames(&model, 2);
	whole = *link_of(FIRST + 2);
	found = whole ^ UINT64_C(1) << bit;
	*link_of(FIRST + 2) = found;
	if (bit < 32)
		snprintf(text, sizeof(text), "its link is %#llx, expected 0x",
			 (unsigned long long)found);
	else
		snprintf(text, sizeof(text), "its link is %#llx, expected %#llx ",
			 (unsigned long long)found, (unsigned long long)whole);
	EXPECT_PANIC(claim_bare(&model, 1), text);
	policy_model_drop(&model);
}

TEST(a_link_with_any_bit_changed_is_found)
{
	for (unsigned bit = 0; bit < 64; bit++)
		expect_bit_found(bit);
}

static void expect_wiping_found(unsigned bytes)
{
	struct policy_model model;
	uint64_t whole;

	start_free(&model, &free_list_policy, FIRST, LIST_FRAMES);
	whole = *link_of(FIRST);
	memset(link_of(FIRST), 0x5a, bytes); /* its index was 1 */
	CHECK(*link_of(FIRST) != whole);
	EXPECT_PANIC(claim_bare(&model, 1), "free frame 0x80123 was written to");
	policy_model_drop(&model);
}

TEST(a_link_with_some_bytes_wiped_is_found)
{
	for (unsigned bytes = 1; bytes <= 8; bytes++)
		expect_wiping_found(bytes);
}

static void expect_replay_found(unsigned other)
{
	struct policy_model model;

	start_free(&model, &free_list_policy, FIRST, LIST_FRAMES);
	*link_of(FIRST + 2) = *link_of(FIRST + other);
	claim_frames(&model, 2);
	EXPECT_PANIC(claim_bare(&model, 1), "free frame 0x80125 was written to");
	policy_model_drop(&model);
}

TEST(a_valid_link_of_another_frame_is_found)
{
	for (unsigned other = 0; other < 8; other++)
		if (other != 2)
			expect_replay_found(other);
}

/* Same frames, same history, another secret: as of an instance that was here before. */
TEST(a_link_of_another_instance_is_found)
{
	size_t bytes = free_list_policy.metadata_bytes(FIRST, LIST_FRAMES);
	void *memory = aligned_alloc(64, (bytes + 63) & ~(size_t)63), *other;
	struct policy_model model;
	uint64_t link;

	start_free(&model, &free_list_policy, FIRST, LIST_FRAMES);
	link = *link_of(FIRST);
	other = free_list_policy.init(memory, FIRST, LIST_FRAMES);
	free_list_policy.release_run(other, FIRST, LIST_FRAMES);
	CHECK(*link_of(FIRST) != link);
	EXPECT_PANIC(claim_bare(&model, 1), "free frame 0x80123 was written to");
	policy_model_drop(&model);
	free(memory);
}

/* A link of this frame, when it had another height. */
TEST(an_old_link_of_another_height_is_found)
{
	struct policy_model model;
	uint64_t old;

	start_free(&model, &free_list_policy, FIRST, LIST_FRAMES);
	old = *link_of(FIRST);
	claim_frames(&model, 2);
	release_one(&model, FIRST);
	CHECK(*link_of(FIRST) != old);
	*link_of(FIRST) = old;
	EXPECT_PANIC(claim_bare(&model, 1), "free frame 0x80123 was written to");
	policy_model_drop(&model);
}

/* A link that another frame had at this height, and to the same frame below. */
TEST(an_old_link_of_another_frame_is_found)
{
	struct policy_model model;
	uint64_t old;

	start_free(&model, &free_list_policy, FIRST, LIST_FRAMES);
	old = *link_of(FIRST + 1);
	claim_frames(&model, 2);
	release_one(&model, FIRST); /* where FIRST + 1 was */
	*link_of(FIRST) = old;
	EXPECT_PANIC(claim_bare(&model, 1), "free frame 0x80123 was written to");
	policy_model_drop(&model);
}

/*
 * A link of this frame when it had this height, but lay on another frame. Where that one is not
 * free, the map knows; where it is free at another height, its own link gives it away.
 */
TEST(an_old_link_of_the_same_height_is_not_followed_far)
{
	struct policy_model model;
	uint64_t old;

	start_free(&model, &free_list_policy, FIRST, 5);
	claim_frames(&model, 1);
	old = *link_of(FIRST + 1);
	claim_frames(&model, 2);
	release_one(&model, FIRST); /* where FIRST + 2 was */
	release_one(&model, FIRST + 1);
	*link_of(FIRST + 1) = old;
#if CHECKS
	EXPECT_PANIC(claim_bare(&model, 1), "free frame 0x80124 was written to");
	CHECK(unit_message_has("an old one to frame 0x80125"));
	EXPECT_PANIC(free_list_policy.validate(model.instance), "an old one to frame 0x80125");
#else
	ASAN_UNPOISON_MEMORY_REGION(link_of(FIRST + 2), FRAME_SIZE); /* it looks there, once */
	EXPECT_PANIC(claim_bare(&model, 2), "free frame 0x80125 was written to");
#endif
	policy_model_drop(&model);

	start_free(&model, &free_list_policy, FIRST, 5);
	claim_frames(&model, 1);
	old = *link_of(FIRST + 1);
	claim_frames(&model, 4);
	release_one(&model, FIRST + 2);
	release_one(&model, FIRST + 3);
	release_one(&model, FIRST);
	release_one(&model, FIRST + 1);
	*link_of(FIRST + 1) = old;
	EXPECT_PANIC(claim_bare(&model, 2), "free frame 0x80125 was written to");
	policy_model_drop(&model);
}

/* With checks at once; without, when the stack has come down to where the frame was first. */
TEST(a_frame_pushed_twice_is_found)
{
	struct policy_model model;
	struct frame_word word = {FIRST & ~UINT64_C(63), UINT64_C(1) << (FIRST & 63)};

	start_free(&model, &free_list_policy, FIRST, LIST_FRAMES);
	claim_frames(&model, 3);
	release_one(&model, FIRST);
#if CHECKS
	EXPECT_PANIC(free_list_policy.release(model.instance, &no_plan, &word, 1),
		     "frame 0x80123 is given back but it is free already: freed twice");
	EXPECT_PANIC(free_list_policy.release_run(model.instance, FIRST, 1), "freed twice");
	policy_model_end(&model);
#else
	free_list_policy.release(model.instance, &no_plan, &word, 1);
	claim_bare(&model, 1);
	EXPECT_PANIC(claim_bare(&model, 1), "free frame 0x80123 was written to");
	policy_model_drop(&model);
#endif
}

/* Frames given together come back together, by rising address, last in, first out. */
TEST(the_list_is_a_stack_in_words)
{
	struct policy_model model;
	struct model_claim claim = {.min = 64};
	struct model_release release = {.count = 0};

	start_free(&model, &free_list_policy, 0x80000, 256);
	for (unsigned i = 0; i < 4; i++) {
		policy_model_claim(&model, &claim, 64);
		CHECK_EQ(claim.words[0].first, 0x80000 + i * 64);
		CHECK_EQ(claim.words[0].bits, ~UINT64_C(0));
	}
	policy_model_leave(&model, &release, (struct frame_word){0x80080, 0xf0});
	policy_model_leave(&model, &release,
			   (struct frame_word){0x80040, UINT64_C(0x8000000000000001)});
	policy_model_release(&model, &release);
	claim.min = 1;
	CHECK_EQ(claim_one(&model), 0x80084);
	claim.min = 64;
	CHECK_EQ(free_list_policy.claim(model.instance, 64, 64, &no_plan, claim.words, &claim.min),
		 2);
	CHECK_EQ(claim.min, 5);
	CHECK_EQ(claim.words[0].first, 0x80080);
	CHECK_EQ(claim.words[0].bits, 0xe0);
	CHECK_EQ(claim.words[1].first, 0x80040);
	CHECK_EQ(claim.words[1].bits, UINT64_C(0x8000000000000001));
	policy_model_drop(&model);
}

TEST(only_the_link_of_a_free_frame_is_written)
{
	struct policy_model model;
	uint64_t pfn;

	start_free(&model, &free_list_policy, FIRST, LIST_FRAMES);
	pfn = claim_one(&model);
	release_one(&model, pfn);
	policy_model_validate(&model);
	for (uint64_t i = 0; i < LIST_FRAMES; i++) {
		const unsigned char *bytes = port_phys_pointer((FIRST + i) << FRAME_SHIFT);

		for (unsigned byte = 8; byte < 64; byte++) /* what the model filled */
			CHECK_EQ(bytes[byte], 0xa5);
		for (unsigned byte = 64; byte < FRAME_SIZE; byte++)
			CHECK_EQ(bytes[byte], 0);
	}
	policy_model_end(&model);
}

TEST(a_list_answers_no_to_runs)
{
	struct policy_model model;
	uint64_t first;

	start_free(&model, &free_list_policy, 0x80000, 128);
	CHECK_EQ(free_list_policy.claim_run(model.instance, 2, 1, 0, &first), RUN_NONE);
	CHECK_EQ(free_list_policy.claim_run(model.instance, 1, 2, 0, &first), RUN_NONE);
	CHECK_EQ(free_list_policy.claim_run(model.instance, 64, 64, 3, &first), RUN_NONE);
	CHECK_EQ(free_list_policy.claim_run(model.instance, 1, 1, 0, &first), RUN_FOUND);
	policy_model_take(&model, first, 1);
	policy_model_end(&model);
}

TEST(a_list_needs_a_line_and_a_map)
{
	for (uint64_t count = 1; count < 5000; count += 1 + unit_random_below(300)) {
		size_t bytes = free_list_policy.metadata_bytes(FIRST, count);

		CHECK(bytes <= 64 + (CHECKS ? count / 8 + 16 : 0));
	}
}

/* ---- recycler: single frames ------------------------------------------------------------- */

TEST(recycled_frames_go_first_in_the_order_of_their_return)
{
	static const unsigned order[] = {5, 0, 3, 9, 1};
	struct policy_model model;

	start_free(&model, &recycler_policy, FIRST, 100);
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(claim_one(&model), FIRST + i);
	for (unsigned i = 0; i < 5; i++)
		release_one(&model, FIRST + order[i]);
	for (unsigned i = 0; i < 5; i++)
		CHECK_EQ(claim_one(&model), FIRST + order[i]);
	CHECK_EQ(claim_one(&model), FIRST + 10);
	policy_model_end(&model);
}

TEST(a_claim_of_the_range_ends_with_a_whole_word)
{
	struct policy_model model;
	struct model_claim claim = {.min = 70};

	start_free(&model, &recycler_policy, 0x80010, 1000);
	policy_model_claim(&model, &claim, 200);
	CHECK_EQ(model.free_count, 1000 - 48 - 64);
	CHECK_EQ(claim_one(&model), 0x80080);
	claim.min = 3;
	policy_model_claim(&model, &claim, 5);
	CHECK_EQ(claim_one(&model), 0x80086);
	policy_model_end(&model);
}

/* Every frame through the ring, in an order of no order, several times round and wrapping. */
static void fill_queue(uint64_t first, uint64_t count)
{
	struct policy_model model;

	start_free(&model, &recycler_policy, first, count);
	for (unsigned round = 0; round < 4; round++) {
		uint64_t *order = shuffled(count);

		for (uint64_t i = 0; i < count; i++)
			claim_one(&model);
		CHECK_EQ(model.free_count, 0);
		policy_model_validate(&model);
		for (uint64_t i = 0; i < count; i++)
			release_one(&model, first + order[i]);
		policy_model_validate(&model);
		/* As many more as make the ring begin elsewhere. */
		for (uint64_t i = unit_random_below(count + 1); i > 0; i--)
			release_one(&model, claim_one(&model));
		policy_model_validate(&model);
		free(order);
	}
	policy_model_end(&model);
}

TEST(the_ring_holds_every_frame_of_the_zone)
{
	static const uint64_t counts[] = {1, 2, 3, 63, 64, 65, 511, 1000};

	for (unsigned i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		fill_queue(FIRST + unit_random_below(70), counts[i]);
}

TEST(the_ring_is_four_bytes_a_frame)
{
	for (uint64_t count = 1; count < 5000; count += 1 + unit_random_below(300)) {
		size_t bytes = recycler_policy.metadata_bytes(FIRST, count);

		CHECK(bytes <= 128 + 4 * count + 8 + (CHECKS ? count / 8 + 16 : 0));
	}
}

/* Also without checks: a ring that is full takes nothing more. */
TEST(more_frames_than_there_are_are_refused)
{
	struct policy_model model;
	struct frame_word word = {0x80000, 1};

	start_free(&model, &recycler_policy, 0x80000, 64);
	EXPECT_PANIC(recycler_policy.release(model.instance, &no_plan, &word, 1), "freed twice");
	EXPECT_PANIC(recycler_policy.release_run(model.instance, 0x80000, 2), "freed twice");
	policy_model_drop(&model);
	start_free(&model, &recycler_policy, 0x80000, 64);
	claim_frames(&model, 64);
	for (unsigned i = 0; i < 64; i++)
		release_one(&model, 0x80000 + i);
	EXPECT_PANIC(recycler_policy.release(model.instance, &no_plan, &word, 1), "freed twice");
	policy_model_drop(&model);
}

/* ---- recycler: runs ---------------------------------------------------------------------- */

/* One call without bound; the model looks at the frames. */
static enum run_result run(struct policy_model *model, uint64_t count, uint64_t align,
			   uint64_t *first)
{
	enum run_result result = recycler_policy.claim_run(model->instance, count, align, 0, first);

	if (result == RUN_FOUND) {
		CHECK_EQ(*first & (align - 1), 0);
		policy_model_take(model, *first, count);
	}
	return result;
}

TEST(a_run_comes_from_the_range_alone)
{
	struct policy_model model;
	uint64_t first;

	start_free(&model, &recycler_policy, FIRST, 100);
	claim_frames(&model, 50);
	for (unsigned i = 0; i < 50; i++)
		release_one(&model, FIRST + i);
	CHECK_EQ(run(&model, 51, 1, &first), RUN_NONE);
	CHECK_EQ(run(&model, 20, 1, &first), RUN_FOUND);
	CHECK_EQ(first, FIRST + 50);
	CHECK_EQ(run(&model, 31, 1, &first), RUN_NONE);
	CHECK_EQ(run(&model, 30, 1, &first), RUN_FOUND);
	CHECK_EQ(first, FIRST + 70);
	CHECK_EQ(run(&model, 2, 1, &first), RUN_NONE);
	CHECK_EQ(run(&model, 1, 1, &first), RUN_FOUND);
	CHECK_EQ(first, FIRST);
	policy_model_end(&model);
}

TEST(when_all_were_given_back_one_by_one_there_is_no_run)
{
	struct policy_model model;
	uint64_t first;

	start_free(&model, &recycler_policy, 0x80000, 256);
	claim_frames(&model, 256);
	CHECK_EQ(run(&model, 1, 1, &first), RUN_NONE);
	for (unsigned i = 0; i < 256; i++)
		release_one(&model, 0x80000 + i);
	CHECK_EQ(model.free_count, 256);
	CHECK_EQ(run(&model, 2, 1, &first), RUN_NONE);
	CHECK_EQ(run(&model, 1, 2, &first), RUN_NONE);
	for (unsigned i = 0; i < 256; i++)
		CHECK_EQ(run(&model, 1, 1, &first), RUN_FOUND);
	CHECK_EQ(run(&model, 1, 1, &first), RUN_NONE);
	/* As runs, they are one again. */
	policy_model_release_run(&model, 0x80000, 128);
	policy_model_release_run(&model, 0x80000 + 128, 128);
	CHECK_EQ(run(&model, 256, 256, &first), RUN_FOUND);
	policy_model_release_run(&model, 0x80000, 256);
	policy_model_end(&model);
}

/* A buffer that comes and goes does not use up the range. */
TEST(the_last_run_given_back_leaves_no_trace)
{
	struct policy_model model;
	uint64_t first, second;

	start_free(&model, &recycler_policy, FIRST, 1000);
	claim_frames(&model, 3);
	for (unsigned i = 0; i < 100; i++) {
		CHECK_EQ(run(&model, 300, 1, &first), RUN_FOUND);
		CHECK_EQ(run(&model, 200, 1, &second), RUN_FOUND);
		CHECK_EQ(first, FIRST + 3);
		CHECK_EQ(second, FIRST + 303);
		policy_model_release_run(&model, second, 200);
		policy_model_release_run(&model, first, 300);
	}
	CHECK_EQ(run(&model, 997, 1, &first), RUN_FOUND);
	policy_model_release_run(&model, first, 997);
	policy_model_end(&model);
}

TEST(of_two_ranges_the_longer_is_kept)
{
	struct policy_model model;
	uint64_t first;

	start_free(&model, &recycler_policy, FIRST, 1000);
	CHECK_EQ(run(&model, 1000, 1, &first), RUN_FOUND);
	policy_model_release_run(&model, FIRST + 500, 10);
	policy_model_release_run(&model, FIRST + 600, 9); /* to the queue */
	CHECK_EQ(run(&model, 11, 1, &first), RUN_NONE);
	policy_model_release_run(&model, FIRST + 100, 20); /* and the ten, too */
	policy_model_validate(&model);
	CHECK_EQ(claim_one(&model), FIRST + 600);
	policy_model_release_run(&model, FIRST + 120, 5); /* at the end */
	policy_model_release_run(&model, FIRST + 90, 10); /* at the front */
	policy_model_validate(&model);
	CHECK_EQ(run(&model, 36, 1, &first), RUN_NONE);
	CHECK_EQ(run(&model, 35, 1, &first), RUN_FOUND);
	CHECK_EQ(first, FIRST + 90);
	for (unsigned i = 1; i < 9; i++)
		CHECK_EQ(claim_one(&model), FIRST + 600 + i);
	for (unsigned i = 0; i < 10; i++)
		CHECK_EQ(claim_one(&model), FIRST + 500 + i);
	CHECK_EQ(model.free_count, 0);
	policy_model_end(&model);
}

/* The frames below the aligned frame are not lost, and a run that does not fit costs nothing. */
TEST(skipped_frames_are_recycled)
{
	struct policy_model model;
	uint64_t first;

	start_free(&model, &recycler_policy, 0x80001, 1000);
	CHECK_EQ(run(&model, 512, 512, &first), RUN_NONE);
	CHECK_EQ(run(&model, 1, 1024, &first), RUN_NONE);
	CHECK_EQ(run(&model, 2, UINT64_C(1) << 63, &first), RUN_NONE);
	CHECK_EQ(run(&model, 1001, 1, &first), RUN_NONE);
	CHECK_EQ(run(&model, 1000, 1, &first), RUN_FOUND);
	policy_model_release_run(&model, first, 1000);
	CHECK_EQ(run(&model, 489, 512, &first), RUN_FOUND);
	CHECK_EQ(first, 0x80200);
	CHECK_EQ(model.free_count, 511);
	CHECK_EQ(run(&model, 2, 1, &first), RUN_NONE);
	for (unsigned i = 1; i < 512; i++)
		CHECK_EQ(claim_one(&model), 0x80000 + i);
	policy_model_end(&model);
}

/* 64 frames a step, and none of it done twice, whatever happens between the calls. */
TEST(skipping_is_done_in_bounded_steps)
{
	struct policy_model model;
	uint64_t first;

	start_free(&model, &recycler_policy, 0x80001, 10000);
	for (unsigned skipped = 128; skipped < 4095; skipped += 128) {
		CHECK_EQ(recycler_policy.claim_run(model.instance, 4096, 4096, 2, &first),
			 RUN_AGAIN);
		policy_model_validate(&model);
		claim_one(&model);
	}
	CHECK_EQ(recycler_policy.claim_run(model.instance, 4096, 4096, 2, &first), RUN_FOUND);
	CHECK_EQ(first, 0x81000);
	policy_model_take(&model, first, 4096);
	policy_model_end(&model);
}

/* ---- both -------------------------------------------------------------------------------- */

/* One frame a word: a batch of many is cut off where the words are used up, and loses nothing. */
static void scattered_frames_use_up(const struct policy *policy)
{
	struct policy_model model;
	struct model_claim claim = {.min = 300};
	unsigned words = POLICY_WORDS_MAX + 10;

	start_free(&model, policy, 0x80000, words * 64);
	while (model.free_count)
		policy_model_claim(&model, &claim, 300);
	for (unsigned i = 0; i < words; i++)
		release_one(&model, 0x80000 + i * 64 + i % 64);
	policy_model_claim(&model, &claim, 400);
	CHECK_EQ(model.free_count, 10);
	policy_model_validate(&model);
	policy_model_end(&model);
}

TEST(scattered_frames_use_up_the_words)
{
	scattered_frames_use_up(&recycler_policy);
	scattered_frames_use_up(&free_list_policy);
}

/* ---- behind the whole allocator ---------------------------------------------------------- */

static void start_machine(const struct policy *policy, uint32_t capacity)
{
	struct host_machine machine = {
		.policy = policy, .capacity = capacity, .batch = capacity / 3};
	struct host_range range = {FIRST, 3000, 0};

	host_machine_start(&machine, &range, 1);
}

/*
 * No caller may assume that a free frame is zeroed: it holds a link, and what its last owner left.
 */
static void every_frame_is_zero(const struct policy *policy, uint32_t capacity)
{
	start_machine(policy, capacity);
	for (unsigned round = 0; round < 3; round++) {
		uint64_t usable = frame_free_count();
		pfn_t newest = PFN_NONE, frame;
		uint64_t count = 0;

		while (!pfn_is_none(frame = frame_alloc(FRAME_ZERO))) {
			const unsigned char *bytes = frame_bytes(frame);

			for (unsigned i = 0; i < FRAME_SIZE; i++)
				CHECK_EQ(bytes[i], 0);
			memset(frame_bytes(frame), 0xff, FRAME_SIZE);
			*(pfn_t *)frame_bytes(frame) = newest;
			newest = frame;
			count++;
		}
		CHECK_EQ(count, usable);
		for (; count > 0; count--) {
			frame = newest;
			newest = *(pfn_t *)frame_bytes(frame);
			frame_free(frame);
		}
		frame_validate();
	}
	host_machine_end();
}

TEST(zeroed_frames_are_zero_behind_the_lists)
{
	every_frame_is_zero(&free_list_policy, 192);
	every_frame_is_zero(&free_list_policy, 0);
	every_frame_is_zero(&recycler_policy, 192);
	every_frame_is_zero(&recycler_policy, 0);
}

/* The whole way: through the cache's free, into the list, and out by another allocation. */
TEST(a_write_after_free_is_found_by_an_allocation)
{
	pfn_t frame;

	start_machine(&free_list_policy, 0);
	frame = frame_alloc(0);
	frame_free(frame);
	((uint64_t *)frame_bytes(frame))[0]++;
	EXPECT_PANIC(frame_alloc(0), "was written to");
	/* The zone's lock is held for ever now, and nothing more can be asked of this machine. */
	host_machine_end();
}
