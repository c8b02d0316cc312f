/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 */
/*
 * test_policy.c - what mm/global/policy.h promises, of every policy in the table.
 *
 * Nothing here knows a policy but its contract: one more in policies[] is tested as it is.
 *
 * Covers: mm/global/policies.c mm/global/bitmap.c mm/global/bits.c mm/global/free_list.c
 * Covers: mm/global/free_map.c mm/global/interval_stack.c mm/global/recycler.c
 * Covers: mm/global/segment_tree*.c mm/global/run_tree.c
 */
#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "mm/global/bits.h"
#include "mm/global/free_map.h"
#include "mm/global/policies.h"
#include "tests/host/support/policy_model.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const struct policy_plan no_plan;

/* ---- zones of odd places and sizes ------------------------------------------------------- */

struct place {
	uint64_t first, count;
};

static const struct place places[] = {
	{0, 1},		 {63, 1},	 {63, 2},	  {1, 63},
	{0, 64},	 {64, 65},	 {500, 24},	  {0x80000, 512},
	{511, 513},	 {0x80011, 700}, {0x801ff, 1025}, {(UINT64_C(1) << 40) - 600, 1300},
	{0x80200, 4096}, {12345, 9001},
};

/* All of its frames free, given in one piece. */
static void start_free(struct policy_model *model, const struct policy *policy,
		       const struct place *place)
{
	policy_model_start(model, policy, place->first, place->count);
	policy_model_release_run(model, place->first, place->count);
}

/* ---- operations -------------------------------------------------------------------------- */

static void claim(struct policy_model *model, unsigned min, unsigned max)
{
	struct model_claim claim = {.min = min};

	policy_model_claim(model, &claim, max);
}

/* With a plan, with a stale plan, and without a plan. */
static void claim_planned(struct policy_model *model, unsigned min, unsigned max)
{
	struct model_claim claim = {.min = min};

	if (max >= min + FRAMES_PER_WORD - 1 && unit_random_below(3)) {
		policy_model_plan_claim(model, min, &claim);
		if (claim.plan.words && unit_random_below(3) == 0)
			claim.words[unit_random_below(claim.plan.words)].bits ^=
				UINT64_C(1) << unit_random_below(FRAMES_PER_WORD);
	}
	policy_model_claim(model, &claim, max);
}

static void release(struct policy_model *model, struct model_release *release)
{
	if (unit_random_below(4))
		policy_model_plan_release(model, release);
	policy_model_release(model, release);
}

/* Frames of some words, and now and then those of one word as two. */
static void release_some(struct policy_model *model, unsigned wanted)
{
	struct model_release leaving = {.count = 0};

	while (wanted--) {
		uint64_t word = (model->first >> 6) + unit_random_below((model->count >> 6) + 2);
		uint64_t bits = policy_model_taken(model, word << 6);
		uint64_t part = unit_random() & 3 ? 0 : unit_random();

		bits &= unit_random() | unit_random();
		policy_model_leave(model, &leaving, (struct frame_word){word << 6, bits & part});
		policy_model_leave(model, &leaving, (struct frame_word){word << 6, bits & ~part});
	}
	release(model, &leaving);
}

/* Whatever is taken, words in a random order. */
static void release_all(struct policy_model *model)
{
	uint64_t words = (model->first % 64 + model->count + 63) / 64;
	uint64_t at = unit_random_below(words);
	struct model_release leaving = {.count = 0};

	for (uint64_t i = 0; i < words; i++, at = (at + 1009) % words) {
		uint64_t word = (model->first & ~UINT64_C(63)) + at * 64;

		policy_model_leave(model, &leaving,
				   (struct frame_word){word, policy_model_taken(model, word)});
		if (leaving.count == POLICY_WORDS_MAX)
			release(model, &leaving);
	}
	release(model, &leaving);
	for (uint64_t i = 0; i < model->count; i++) /* 1009 may not be prime to `words` */
		if (model->state[i] == MODEL_TAKEN)
			policy_model_release_run(model, model->first + i, 1);
	CHECK_EQ(model->free_count, model->count);
}

/* As many of the frames from some place on as are taken, at most `most`. */
static void release_row(struct policy_model *model, uint64_t most)
{
	uint64_t from = unit_random_below(model->count), to;

	while (from < model->count && model->state[from] != MODEL_TAKEN)
		from++;
	for (to = from; to < model->count && to - from < most; to++)
		if (model->state[to] != MODEL_TAKEN)
			break;
	if (to > from)
		policy_model_release_run(model, model->first + from, to - from);
}

static uint64_t random_length(const struct policy_model *model)
{
	switch (unit_random_below(4)) {
	case 0:
		return 1 + unit_random_below(64);
	case 1:
		return UINT64_C(1) << unit_random_below(10);
	case 2:
		return 1 + unit_random_below(1200);
	default:
		return 1 + unit_random_below(model->count + 1);
	}
}

static void claim_some_run(struct policy_model *model)
{
	uint64_t count = random_length(model);
	uint64_t align = unit_random() & 1 ? 1 : UINT64_C(1) << unit_random_below(11);

	policy_model_claim_run(model, count, align, (unsigned)unit_random_below(4));
}

/* One run, wanted for some steps, and what others do between them. */
static void claim_run_among_others(struct policy_model *model)
{
	uint64_t count = random_length(model), align = UINT64_C(1) << unit_random_below(4);

	for (unsigned i = 0; i < 6; i++) {
		if (policy_model_try_run(model, count, align, 1) != RUN_AGAIN)
			return;
		if (unit_random() & 1)
			release_some(model, 2);
		else
			claim_planned(model, 1, 64);
	}
}

static void operate(struct policy_model *model)
{
	unsigned size = 1 + (unsigned)unit_random_below(130);

	switch (unit_random_below(10)) {
	case 0:
	case 1:
	case 2:
		claim_planned(model, size, size + (unsigned)unit_random_below(70));
		break;
	case 3:
	case 4:
	case 5:
		release_some(model, 1 + (unsigned)unit_random_below(40));
		break;
	case 6:
	case 7:
		claim_some_run(model);
		break;
	case 8:
		release_row(model, random_length(model));
		break;
	default:
		claim_run_among_others(model);
	}
}

/* ---- traces ------------------------------------------------------------------------------ */

/* At the end all comes back, in any order: an exact policy has one run of it again. */
static void random_trace(const struct policy *policy, const struct place *place, unsigned steps)
{
	struct policy_model model;

	start_free(&model, policy, place);
	for (unsigned step = 0; step < steps; step++) {
		operate(&model);
		if (step % 16 == 0)
			policy_model_validate(&model);
	}
	release_all(&model);
	policy_model_validate(&model);
	policy_model_claim_run(&model, place->count, 1, 2);
	policy_model_end(&model);
}

POLICY_TEST(random_traces_agree_with_the_model)
{
	for (unsigned i = 0; i < LENGTH(places); i++)
		random_trace(policy, &places[i], 200);
}

POLICY_TEST(random_traces_of_random_zones_agree_with_the_model)
{
	for (unsigned round = 0; round < 40; round++) {
		struct place place = {unit_random_below(1300), 1 + unit_random_below(1500)};

		random_trace(policy, &place, 150);
	}
}

/* ---- single frames ----------------------------------------------------------------------- */

static void claim_nothing(struct policy_model *model)
{
	struct frame_word words[POLICY_WORDS_MAX];
	unsigned taken = ~0u;
	uint64_t first;

	CHECK_EQ(model->policy->claim(model->instance, 1, 64, &no_plan, words, &taken), 0);
	CHECK_EQ(taken, 0);
	CHECK_EQ(model->policy->claim_run(model->instance, 1, 1, 0, &first), RUN_NONE);
}

POLICY_TEST(a_new_zone_has_no_frame)
{
	for (unsigned i = 0; i < LENGTH(places); i++) {
		struct policy_model model;

		policy_model_start(&model, policy, places[i].first, places[i].count);
		policy_model_validate(&model);
		claim_nothing(&model);
		policy_model_end(&model);
	}
}

/* One by one to the last, as single frames and as runs of one; what has come back, too. */
POLICY_TEST(every_frame_is_found)
{
	for (unsigned i = 0; i < LENGTH(places); i++) {
		struct policy_model model;

		start_free(&model, policy, &places[i]);
		while (model.free_count)
			claim(&model, 1, 1);
		claim_nothing(&model);
		release_all(&model);
		while (model.free_count)
			CHECK_EQ(policy_model_try_run(&model, 1, 1, 0), RUN_FOUND);
		claim_nothing(&model);
		release_all(&model);
		while (model.free_count)
			claim(&model, 64, 127);
		claim_nothing(&model);
		policy_model_end(&model);
	}
}

/* A frame in three is free, in an order that is none. */
static void start_scattered(struct policy_model *model, const struct policy *policy,
			    const struct place *place)
{
	policy_model_start(model, policy, place->first, place->count);
	for (uint64_t i = 0, at = 0; i < place->count; i++, at = (at + 389) % place->count)
		if (at % 3 == 0 && model->state[at] == MODEL_TAKEN)
			policy_model_release_run(model, place->first + at, 1);
}

POLICY_TEST(claims_are_neither_short_nor_long)
{
	static const struct {
		unsigned min, max;
	} bounds[] = {{1, 1},	{1, 2},	   {2, 2},    {3, 64},	  {63, 63},   {64, 64},
		      {64, 65}, {65, 128}, {64, 127}, {100, 163}, {128, 128}, {700, 700}};
	static const struct place place = {0x80033, 5000};

	for (unsigned i = 0; i < LENGTH(bounds); i++) {
		struct policy_model model;

		start_scattered(&model, policy, &place);
		while (model.free_count)
			claim(&model, bounds[i].min, bounds[i].max);
		policy_model_end(&model);
		start_free(&model, policy, &place);
		while (model.free_count)
			claim(&model, bounds[i].min, bounds[i].max);
		policy_model_end(&model);
	}
}

/* One frame of each word: a claim ends when its words are used up, and another goes on. */
POLICY_TEST(a_claim_has_so_many_words)
{
	struct frame_word words[POLICY_WORDS_MAX + 1];
	struct policy_model model;
	unsigned taken;

	policy_model_start(&model, policy, 0x80000, 200 * 64);
	for (unsigned i = 0; i < 200; i++)
		policy_model_release_run(&model, 0x80000 + i * 64 + i % 64, 1);
	words[POLICY_WORDS_MAX].first = 1;
	CHECK_EQ(policy->claim(model.instance, 150, 300, &no_plan, words, &taken), POLICY_WORDS_MAX);
	CHECK_EQ(taken, POLICY_WORDS_MAX);
	CHECK_EQ(words[POLICY_WORDS_MAX].first, 1);
	for (unsigned i = 0; i < POLICY_WORDS_MAX; i++)
		policy_model_take(&model, words[i].first + bits_lowest(words[i].bits), 1);
	claim(&model, 72, 72);
	CHECK_EQ(model.free_count, 0);
	policy_model_end(&model);
}

/* A release as full as it may be, each word of which falls into as many pieces as it can. */
POLICY_TEST(words_may_be_in_pieces)
{
	struct policy_model model;

	policy_model_start(&model, policy, 0x80000, POLICY_WORDS_MAX * 64);
	for (unsigned half = 0; half < 2; half++) {
		struct model_release leaving = {.count = 0};

		for (unsigned i = 0; i < POLICY_WORDS_MAX; i++)
			policy_model_leave(
				&model, &leaving,
				(struct frame_word){0x80000 + i * 64, UINT64_C(0x5555555555555555)
									      << half});
		policy_model_release(&model, &leaving);
		policy_model_validate(&model);
	}
	CHECK_EQ(model.free_count, model.count);
	policy_model_end(&model);
}

/* The most pieces that free memory can be in: all frames, no two neighbours one after the other. */
POLICY_TEST(memory_may_be_all_in_pieces)
{
	for (unsigned i = 0; i < LENGTH(places); i++) {
		struct policy_model model;

		policy_model_start(&model, policy, places[i].first, places[i].count);
		for (uint64_t half = 0; half < 2; half++)
			for (uint64_t at = half; at < places[i].count; at += 2)
				policy_model_release_run(&model, places[i].first + at, 1);
		policy_model_validate(&model);
		policy_model_claim_run(&model, 2, 1, 1);
		policy_model_end(&model);
	}
}

/* ---- runs -------------------------------------------------------------------------------- */

/* All of it, and no more than that; and half of it twice. */
POLICY_TEST(a_zone_that_was_never_broken_is_one_run)
{
	if (!policy->has_runs)
		return;
	for (unsigned i = 0; i < LENGTH(places); i++) {
		struct policy_model model;
		uint64_t count = places[i].count;

		start_free(&model, policy, &places[i]);
		CHECK_EQ(policy_model_try_run(&model, count + 1, 1, 0), RUN_NONE);
		CHECK_EQ(policy_model_try_run(&model, count, 1, 0), RUN_FOUND);
		claim_nothing(&model);
		policy_model_release_run(&model, places[i].first, count);
		for (unsigned half = 0; half < 2 && count > 1; half++)
			CHECK_EQ(policy_model_try_run(&model, count / 2, 1, 0), RUN_FOUND);
		policy_model_end(&model);
	}
}

/* Each is where the zone was unbroken; as long as it may be there, and then one more. */
POLICY_TEST(an_aligned_run_is_found_where_it_fits)
{
	for (unsigned i = 0; i < LENGTH(places) && policy->has_runs && policy->aligns_runs; i++) {
		for (uint64_t align = 2; align <= 2048; align *= 2) {
			uint64_t end = places[i].first + places[i].count;
			uint64_t first = (places[i].first + align - 1) & ~(align - 1);
			struct policy_model model;

			start_free(&model, policy, &places[i]);
			if (first < end) {
				CHECK_EQ(policy_model_try_run(&model, end - first + 1, align, 0),
					 RUN_NONE);
				CHECK_EQ(policy_model_try_run(&model, end - first, align, 0),
					 RUN_FOUND);
			} else {
				CHECK_EQ(policy_model_try_run(&model, 1, align, 0), RUN_NONE);
			}
			policy_model_end(&model);
		}
	}
}

/* A run comes back as a run, as several, as words, or as single frames. */
static void release_in_pieces(struct policy_model *model, uint64_t first, uint64_t count,
			      unsigned how)
{
	static const uint64_t pieces[] = {UINT64_MAX, 100, 64, 1};

	while (count) {
		uint64_t piece = pieces[how] < count ? pieces[how] : count;

		policy_model_release_run(model, first, piece);
		first += piece;
		count -= piece;
	}
}

POLICY_TEST(runs_may_be_longer_than_words_and_chunks)
{
	static const uint64_t lengths[] = {2,	63,  64,  65,  127,  128,  129,
					   511, 512, 513, 600, 1023, 1024, 1500};
	static const struct place place = {0x801f1, 6000};

	for (unsigned i = 0; i < LENGTH(lengths) && policy->has_runs; i++)
		for (unsigned how = 0; how < 4; how++) {
			struct policy_model model;

			start_free(&model, policy, &place);
			for (unsigned j = 0; j < 3; j++)
				CHECK_EQ(policy_model_try_run(&model, lengths[i], 1, 0), RUN_FOUND);
			policy_model_validate(&model);
			for (uint64_t at = 0; at < place.count; at++)
				if (model.state[at] == MODEL_TAKEN) {
					release_in_pieces(&model, place.first + at, lengths[i], how);
					at += lengths[i] - 1;
				}
			CHECK_EQ(model.free_count, place.count);
			policy_model_validate(&model);
			policy_model_claim_run(&model, place.count, 1, 1);
			policy_model_end(&model);
		}
}

/* Frames that come back between two steps, below the place where the search stands, count. */
POLICY_TEST(a_run_that_appears_behind_the_search_is_found)
{
	static const struct place place = {0x80000, 64 * 512};
	struct policy_model model;
	struct model_release leaving = {.count = 0};
	unsigned again = 0;

	policy_model_start(&model, policy, place.first, place.count);
	for (uint64_t at = 0; at < place.count; at += 100)
		policy_model_release_run(&model, place.first + at, 50);
	while (again < 8 && policy_model_try_run(&model, 60, 1, 1) == RUN_AGAIN)
		again++;
	policy_model_leave(
		&model, &leaving,
		(struct frame_word){place.first, policy_model_taken(&model, place.first)});
	policy_model_release(&model, &leaving);
	policy_model_validate(&model);
	policy_model_claim_run(&model, 60, 1, 1); /* 64 in a row, from the first on */
	policy_model_end(&model);
}

/* A run that was too short at the last look has grown since, at its end or at its beginning. */
POLICY_TEST(a_run_that_has_grown_is_found)
{
	for (unsigned below = 0; below < 2; below++) {
		struct policy_model model;

		policy_model_start(&model, policy, 0x80010, 1000);
		policy_model_release_run(&model, 0x80010, 70);
		policy_model_release_run(&model, 0x80100, 70);
		policy_model_claim_run(&model, 100, 1, 0);
		policy_model_release_run(&model, below ? 0x80100 - 40 : 0x80100 + 70, 40);
		policy_model_validate(&model);
		policy_model_claim_run(&model, 100, 1, 0);
		policy_model_end(&model);
	}
}

/* ---- mistakes ---------------------------------------------------------------------------- */

#if CHECKS

/* The first `taken` frames of a zone are, the rest is free. */
static void start_part(struct policy_model *model, const struct policy *policy, uint64_t taken)
{
	static const struct place place = {0x80010, 1000};

	policy_model_start(model, policy, place.first, place.count);
	policy_model_release_run(model, place.first + taken, place.count - taken);
}

static void expect_twice(const struct policy *policy, const struct frame_word *words,
			 unsigned count, bool planned)
{
	struct model_release bad = {.count = count};
	struct policy_model model;

	start_part(&model, policy, 200);
	memcpy(bad.words, words, count * sizeof(*words));
	if (planned)
		policy_model_plan_release(&model, &bad);
	policy_model_expose(&model, true); /* those that are not free may be taken back first */
	EXPECT_PANIC(policy->release(model.instance, &bad.plan, bad.words, bad.count),
		     "freed twice");
	policy_model_drop(&model);
}

POLICY_TEST(a_frame_freed_twice_is_refused)
{
	static const struct frame_word alone[] = {{0x80400 - 64, 1 << 5}};
	static const struct frame_word last[] = {{0x80040, 1}, {0x80080, 3}, {0x80380, 1}};
	static const struct frame_word same[] = {{0x80040, 6}, {0x80080, 3}, {0x80040, 12}};

	for (unsigned planned = 0; planned < 2; planned++) {
		expect_twice(policy, alone, LENGTH(alone), planned);
		/* 0x800d8 is the first free frame: bit 24 of its word. */
		expect_twice(policy, (struct frame_word[]){{0x800c0, 0x1ffffff}}, 1, planned);
		expect_twice(policy, last, LENGTH(last), planned);
		expect_twice(policy, same, LENGTH(same), planned);
	}
}

static void expect_run_twice(const struct policy *policy, uint64_t first, uint64_t count)
{
	struct policy_model model;

	start_part(&model, policy, 200);
	EXPECT_PANIC(policy->release_run(model.instance, first, count), "freed twice");
	policy_model_drop(&model);
}

POLICY_TEST(a_run_freed_twice_is_refused)
{
	expect_run_twice(policy, 0x80010 + 500, 1);
	expect_run_twice(policy, 0x80010 + 500, 300);
	expect_run_twice(policy, 0x80010 + 199, 2);
	expect_run_twice(policy, 0x80010, 201);
	expect_run_twice(policy, 0x80010 + 999, 1);
}

#endif

/* ---- validation -------------------------------------------------------------------------- */

static bool is_noticed(const struct policy_model *model)
{
	uint64_t free;

	unit_panic_expected = true;
	if (setjmp(unit_panic_return)) {
		unit_panic_expected = false;
		return true;
	}
	free = model->policy->validate(model->instance);
	unit_panic_expected = false;
	return free != model->free_count;
}

/*
 * The words of metadata that an operation changed are put back, one at a time, as if the store had
 * been lost. Some are hints, whose old value is as true as the new one; not all are.
 */
static void lose_each_store(const struct policy_model *model, const uint64_t *before)
{
	size_t bytes = model->policy->metadata_bytes(model->first, model->count);
	unsigned noticed = 0;
	uint64_t *now = model->memory, *after = malloc(bytes);

	memcpy(after, now, bytes);
	policy_model_expose(model, true);
	for (size_t i = 0; i < bytes / 8; i++) {
		if (before[i] == after[i])
			continue;
		now[i] = before[i];
		noticed += is_noticed(model);
		memcpy(now, after, bytes);
	}
	policy_model_expose(model, false);
	free(after);
	policy_model_validate(model);
	CHECK(noticed > 0);
}

POLICY_TEST(a_lost_store_is_noticed)
{
	size_t bytes = policy->metadata_bytes(0x80033, 3000);
	uint64_t *before = malloc(bytes);
	struct policy_model model;

	start_free(&model, policy, &(struct place){0x80033, 3000});
	for (unsigned round = 0; round < 40; round++) {
		uint64_t free_frames = model.free_count;

		memcpy(before, model.memory, bytes);
		if (round % 3 == 0)
			claim(&model, 1 + round * 7, 200 + round * 7);
		else if (round % 3 == 1)
			release_some(&model, 3);
		else
			policy_model_try_run(&model, policy->has_runs ? 2 + round : 1, 1, 0);
		if (free_frames != model.free_count)
			lose_each_store(&model, before);
	}
	free(before);
	policy_model_end(&model);
}

/* ---- the table --------------------------------------------------------------------------- */

TEST(policies_are_known_by_name)
{
	CHECK(policy_count > 0);
	CHECK(policy_named("segment_tree") == policies[0]);
	CHECK(policy_named("") == NULL);
	CHECK(policy_named("segment") == NULL);
	for (unsigned i = 0; i < policy_count; i++)
		CHECK(policy_named(policies[i]->name) == policies[i]);
}

POLICY_TEST(what_is_said_of_runs_makes_sense)
{
	CHECK(policy->has_runs || !policy->exact_runs);
}

POLICY_TEST(metadata_is_a_small_part_of_memory)
{
	static const uint64_t sizes[] = {32768, 1 << 20, UINT64_C(1) << 31};

	for (unsigned i = 0; i < LENGTH(sizes); i++) {
		size_t bytes = policy->metadata_bytes(0x80001, sizes[i]);

		CHECK_EQ(bytes % 8, 0);
		CHECK(bytes <= sizes[i] * 10);
	}
}
