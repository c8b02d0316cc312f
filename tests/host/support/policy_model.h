/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy_model.h - a policy and, beside it, a model that is one byte a frame and cannot be wrong.
 *
 * Each operation here is done by both and compared: the frames of a claim were free, are claimed
 * once, and are as long, as aligned and as many as mm/global/policy.h says; if a claim brings
 * fewer, there were no more. A difference ends the test through CHECK of unit.h. Nothing of a
 * policy is known but its contract: requests that it does not support (has_runs, aligns_runs) are
 * answered for it, as the zone does, and a run that it may overlook (not exact_runs) is no mistake.
 *
 * A policy with uses_frames finds memory behind its frames, through port_phys_pointer(), which
 * is this model's from start to drop: so there is one such model at a time. A frame that is taken
 * holds garbage, and under AddressSanitizer neither reading nor writing it is allowed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "mm/global/policy.h"

/*
 * A TEST() of unit.h that is run for every policy in the table, which it gets as `policy`. Each
 * policy is named before its run: the last policy named is the one that failed.
 */
#define POLICY_TEST(test_name)                                                                     \
	static void test_name##_by(const struct policy *policy);                                   \
	TEST(test_name)                                                                            \
	{                                                                                          \
		for_each_policy(test_name##_by);                                                   \
	}                                                                                          \
	static void test_name##_by(const struct policy *policy)

void for_each_policy(void (*test)(const struct policy *policy));

enum model_state {
	MODEL_TAKEN,
	MODEL_FREE,
	MODEL_LEAVING /* still taken, and in the words of a release that has begun */
};

struct policy_model {
	const struct policy *policy;
	void *instance;
	uint64_t first, count;
	uint8_t *state; /* of frame first + i */
	uint64_t free_count;
	void *memory;
	char *frames; /* behind the frames, and a guard on either side; NULL without uses_frames */
};

/* A claim that was planned, perhaps long before it is made. */
struct model_claim {
	unsigned min;
	struct policy_plan plan;
	struct frame_word words[POLICY_WORDS_MAX];
};

/* A release that was planned, perhaps long before it is made. */
struct model_release {
	unsigned count;
	struct policy_plan plan;
	struct frame_word words[POLICY_WORDS_MAX];
};

/* An instance in memory of exactly the size it asked for, no frame free. */
void policy_model_start(struct policy_model *model, const struct policy *policy, uint64_t first,
			uint64_t count);

/* Frees all memory, and does not call the instance: it may have panicked. */
void policy_model_drop(struct policy_model *model);

/* Lets the policy look at taken frames too, as it may when it is damaged; or no more. */
void policy_model_expose(const struct policy_model *model, bool exposed);

/* Claims whatever is left, which shows that it was there, and drops the model. */
void policy_model_end(struct policy_model *model);

/* The instance's own opinion of itself, and whether it counts as the model does. */
void policy_model_validate(const struct policy_model *model);

/* Enters into the model alone what a test did to the instance by itself. */
void policy_model_take(struct policy_model *model, uint64_t pfn, uint64_t count);
void policy_model_give(struct policy_model *model, uint64_t pfn, uint64_t count);

void policy_model_plan_claim(const struct policy_model *model, unsigned min,
			     struct model_claim *claim);

/* With the plan that is in *claim, which may be none; max is cut up to what a plan needs. */
void policy_model_claim(struct policy_model *model, struct model_claim *claim, unsigned max);

/* Taken frames of the 64 from `word` on, a multiple of 64, as bits; none is leaving already. */
uint64_t policy_model_taken(const struct policy_model *model, uint64_t word);

/*
 * Frames on their way: adds a word to the release, unless it is full. It may have a word of those
 * 64 frames already, of others of them.
 */
void policy_model_leave(struct policy_model *model, struct model_release *release,
			struct frame_word word);

void policy_model_plan_release(const struct policy_model *model, struct model_release *release);

/* Gives them back, by the plan if there is one, and empties the release. */
void policy_model_release(struct policy_model *model, struct model_release *release);

/* Whether there is such a run; align is a power of two. */
bool policy_model_has_run(const struct policy_model *model, uint64_t count, uint64_t align);

/* Whether the policy may be asked for such a run, and whether it may miss an existing run. */
bool policy_may_be_asked(const struct policy *policy, uint64_t count, uint64_t align);
bool policy_may_overlook(const struct policy *policy, uint64_t count, uint64_t align);

/*
 * One call. RUN_NONE and RUN_FOUND must be true, RUN_AGAIN be allowed. RUN_NONE without a call
 * where the policy may not be asked.
 */
enum run_result policy_model_try_run(struct policy_model *model, uint64_t count, uint64_t align,
				     unsigned steps);

/* Calls until there is an answer, which comes in a bounded number of them. */
void policy_model_claim_run(struct policy_model *model, uint64_t count, uint64_t align,
			    unsigned steps);

void policy_model_release_run(struct policy_model *model, uint64_t first, uint64_t count);
