/* SPDX-License-Identifier: BSD-2-Clause */
/* policy_model.c - see policy_model.h. */
#include "tests/host/support/policy_model.h"

#include <stdlib.h>
#include <string.h>

#include <sanitizer/asan_interface.h>
#include <sys/mman.h>

#include <port.h>

#include "mm/address.h"
#include "mm/global/policies.h"
#include "unit.h"

void for_each_policy(void (*test)(const struct policy *policy))
{
	for (unsigned i = 0; i < policy_count; i++) {
		printf("# %s\n", policies[i]->name);
		test(policies[i]);
	}
}

/* ---- the frames themselves --------------------------------------------------------------- */

/* The owner of a frame may write any bytes to it. */
#define GARBAGE_BYTES 64

static char *bytes_of(const struct policy_model *model, uint64_t i)
{
	return model->frames + ((i + 1) << FRAME_SHIFT);
}

static void hide_frame(const struct policy_model *model, uint64_t i)
{
	if (!model->frames)
		return;
	memset(bytes_of(model, i), 0xa5, GARBAGE_BYTES);
	ASAN_POISON_MEMORY_REGION(bytes_of(model, i), FRAME_SIZE);
}

static void show_frames(const struct policy_model *model, uint64_t i, uint64_t count)
{
	if (model->frames)
		ASAN_UNPOISON_MEMORY_REGION(bytes_of(model, i), count << FRAME_SHIFT);
}

static void start_frames(struct policy_model *model)
{
	size_t bytes = (model->count + 2) << FRAME_SHIFT;

	model->frames = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			     -1, 0);
	CHECK(model->frames != MAP_FAILED);
	host_memory_base = model->first << FRAME_SHIFT;
	host_memory = bytes_of(model, 0);
	CHECK_EQ(mprotect(host_memory, model->count << FRAME_SHIFT, PROT_READ | PROT_WRITE), 0);
	for (uint64_t i = 0; i < model->count; i++)
		hide_frame(model, i);
}

static void drop_frames(struct policy_model *model)
{
	if (!model->frames)
		return;
	show_frames(model, 0, model->count);
	munmap(model->frames, (model->count + 2) << FRAME_SHIFT);
	host_memory = NULL;
	host_memory_base = 0;
}

/* ---- model and instance ------------------------------------------------------------------ */

void policy_model_start(struct policy_model *model, const struct policy *policy, uint64_t first,
			uint64_t count)
{
	size_t bytes = policy->metadata_bytes(first, count);

	CHECK_EQ(bytes % 8, 0);
	model->policy = policy;
	model->first = first;
	model->count = count;
	model->free_count = 0;
	model->state = calloc(count, 1);
	/* Not aligned_alloc(), which wants whole lines and would hide a write behind the last. */
	CHECK_EQ(posix_memalign(&model->memory, 64, bytes), 0);
	memset(model->memory, 0xa5, bytes);
	model->frames = NULL;
	if (policy->uses_frames)
		start_frames(model);
	model->instance = policy->init(model->memory, first, count);
}

void policy_model_drop(struct policy_model *model)
{
	drop_frames(model);
	free(model->state);
	free(model->memory);
}

void policy_model_end(struct policy_model *model)
{
	struct model_claim rest = {.min = 4096};

	policy_model_validate(model);
	while (model->free_count)
		policy_model_claim(model, &rest, 8192);
	policy_model_validate(model);
	policy_model_drop(model);
}

void policy_model_validate(const struct policy_model *model)
{
	CHECK_EQ(model->policy->validate(model->instance), model->free_count);
}

void policy_model_take(struct policy_model *model, uint64_t pfn, uint64_t count)
{
	for (uint64_t i = pfn - model->first; count > 0; i++, count--) {
		CHECK(i < model->count);
		CHECK_EQ(model->state[i], MODEL_FREE);
		model->state[i] = MODEL_TAKEN;
		model->free_count--;
		hide_frame(model, i);
	}
}

void policy_model_give(struct policy_model *model, uint64_t pfn, uint64_t count)
{
	for (uint64_t i = pfn - model->first; count > 0; i++, count--) {
		CHECK(i < model->count);
		CHECK(model->state[i] != MODEL_FREE);
		show_frames(model, i, 1);
		model->state[i] = MODEL_FREE;
		model->free_count++;
	}
}

void policy_model_expose(const struct policy_model *model, bool exposed)
{
	for (uint64_t i = 0; i < model->count && model->frames; i++)
		if (exposed)
			show_frames(model, i, 1);
		else if (model->state[i] != MODEL_FREE)
			ASAN_POISON_MEMORY_REGION(bytes_of(model, i), FRAME_SIZE);
}

/* ---- words ------------------------------------------------------------------------------- */

static void start_plan(struct policy_plan *plan)
{
	memset(plan, 0, sizeof(*plan));
}

void policy_model_plan_claim(const struct policy_model *model, unsigned min,
			     struct model_claim *claim)
{
	claim->min = min;
	start_plan(&claim->plan);
	if (model->policy->plan_claim)
		model->policy->plan_claim(model->instance, min, claim->words, &claim->plan);
	CHECK(claim->plan.words <= POLICY_WORDS_MAX);
}

/* All of its frames were free until now: so none was in a word before it. */
static unsigned take_word(struct policy_model *model, struct frame_word word)
{
	unsigned frames = 0;

	CHECK_EQ(word.first % FRAMES_PER_WORD, 0);
	CHECK(word.bits != 0);
	for (unsigned bit = 0; bit < FRAMES_PER_WORD; bit++)
		if (word.bits >> bit & 1) {
			policy_model_take(model, word.first + bit, 1);
			frames++;
		}
	return frames;
}

/* The policy may write to frames that are about to be given back. */
static void show_word(const struct policy_model *model, struct frame_word word)
{
	for (unsigned bit = 0; bit < FRAMES_PER_WORD; bit++)
		if (word.bits >> bit & 1)
			show_frames(model, word.first + bit - model->first, 1);
}

void policy_model_claim(struct policy_model *model, struct model_claim *claim, unsigned max)
{
	uint64_t free_before = model->free_count;
	unsigned taken = ~0u, frames = 0, count;

	if (claim->plan.words && max < claim->min + FRAMES_PER_WORD - 1)
		max = claim->min + FRAMES_PER_WORD - 1;
	count = model->policy->claim(model->instance, claim->min, max, &claim->plan, claim->words,
				     &taken);
	CHECK(count <= POLICY_WORDS_MAX);
	for (unsigned i = 0; i < count; i++)
		frames += take_word(model, claim->words[i]);
	CHECK_EQ(taken, frames);
	CHECK(taken <= max);
	CHECK(taken >= claim->min || taken == free_before || count == POLICY_WORDS_MAX);
	start_plan(&claim->plan);
}

uint64_t policy_model_taken(const struct policy_model *model, uint64_t word)
{
	uint64_t taken = 0;

	for (unsigned bit = 0; bit < FRAMES_PER_WORD; bit++)
		if (word + bit - model->first < model->count &&
		    model->state[word + bit - model->first] == MODEL_TAKEN)
			taken |= UINT64_C(1) << bit;
	return taken;
}

void policy_model_leave(struct policy_model *model, struct model_release *release,
			struct frame_word word)
{
	if (release->count == POLICY_WORDS_MAX || word.bits == 0)
		return;
	for (unsigned bit = 0; bit < FRAMES_PER_WORD; bit++)
		if (word.bits >> bit & 1) {
			CHECK_EQ(model->state[word.first + bit - model->first], MODEL_TAKEN);
			model->state[word.first + bit - model->first] = MODEL_LEAVING;
		}
	release->words[release->count++] = word;
	start_plan(&release->plan);
}

void policy_model_plan_release(const struct policy_model *model, struct model_release *release)
{
	start_plan(&release->plan);
	if (model->policy->plan_release && release->count > 1)
		model->policy->plan_release(model->instance, release->words, release->count,
					    &release->plan);
}

void policy_model_release(struct policy_model *model, struct model_release *release)
{
	for (unsigned i = 0; i < release->count; i++)
		show_word(model, release->words[i]);
	if (release->count)
		model->policy->release(model->instance, &release->plan, release->words,
				       release->count);
	for (unsigned i = 0; i < release->count; i++)
		for (unsigned bit = 0; bit < FRAMES_PER_WORD; bit++)
			if (release->words[i].bits >> bit & 1)
				policy_model_give(model, release->words[i].first + bit, 1);
	release->count = 0;
	start_plan(&release->plan);
}

/* ---- runs -------------------------------------------------------------------------------- */

bool policy_model_has_run(const struct policy_model *model, uint64_t count, uint64_t align)
{
	uint64_t length = 0;

	for (uint64_t i = 0; i < model->count; i++) {
		if (model->state[i] != MODEL_FREE)
			length = 0;
		else if (length > 0 || ((model->first + i) & (align - 1)) == 0)
			length++;
		if (length == count)
			return true;
	}
	return false;
}

bool policy_may_be_asked(const struct policy *policy, uint64_t count, uint64_t align)
{
	return (count == 1 || policy->has_runs) && (align == 1 || policy->aligns_runs);
}

/* The last free frame, every policy finds. */
bool policy_may_overlook(const struct policy *policy, uint64_t count, uint64_t align)
{
	if (count == 1 && align == 1)
		return false;
	return !policy->exact_runs || !policy_may_be_asked(policy, count, align);
}

enum run_result policy_model_try_run(struct policy_model *model, uint64_t count, uint64_t align,
				     unsigned steps)
{
	bool possible = policy_model_has_run(model, count, align);
	uint64_t first = ~UINT64_C(0);
	enum run_result result;

	if (!policy_may_be_asked(model->policy, count, align))
		return RUN_NONE;
	result = model->policy->claim_run(model->instance, count, align, steps, &first);
	CHECK(result != RUN_AGAIN || steps != 0);
	CHECK(result != RUN_FOUND || possible);
	CHECK(result != RUN_NONE || !possible || policy_may_overlook(model->policy, count, align));
	if (result == RUN_FOUND) {
		CHECK_EQ(first & (align - 1), 0);
		policy_model_take(model, first, count);
	}
	return result;
}

/* Upkeep is not done again, so there cannot be more of it than frames. */
void policy_model_claim_run(struct policy_model *model, uint64_t count, uint64_t align,
			    unsigned steps)
{
	uint64_t calls = 0;

	while (policy_model_try_run(model, count, align, steps) == RUN_AGAIN)
		CHECK(++calls <= model->count);
}

void policy_model_release_run(struct policy_model *model, uint64_t first, uint64_t count)
{
	show_frames(model, first - model->first, count);
	model->policy->release_run(model->instance, first, count);
	policy_model_give(model, first, count);
}
