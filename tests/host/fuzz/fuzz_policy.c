/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_policy.c - fuzz target: every policy behind mm/global/policy.h against a model.
 *
 * The input chooses a zone of odd place and size, and then operations: claims and releases by the
 * word with plans that may be many operations old, runs of any alignment in bounded steps with
 * other operations between them. policy_model.c compares. Each policy gets all of the input: so
 * what was found to be hard on one is tried on the others.
 *
 * Covers: mm/global/policies.c mm/global/bitmap.c mm/global/free_list.c mm/global/free_map.c
 * Covers: mm/global/interval_stack.c mm/global/recycler.c mm/global/segment_tree*.c
 * Covers: mm/global/run_tree.c
 */
#include "fuzz.h"

#include "mm/global/policies.h"
#include "tests/host/support/policy_model.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define PLANS	      3

struct state {
	struct fuzz_input input;
	struct policy_model model;
	struct model_claim claim[PLANS];
	struct model_release release[PLANS];
};

static void start(struct state *state, const struct policy *policy)
{
	/* One chunk or two, one level of a tree, several; near 0, near where RAM is, far up. */
	static const unsigned sizes[] = {700, 700, 5000, 40000};
	static const uint64_t bases[] = {0, 0x80000, (UINT64_C(1) << 40) - 600};
	unsigned shape = fuzz_byte(&state->input);
	uint64_t count = 1 + fuzz_below(&state->input, sizes[shape % LENGTH(sizes)]);
	uint64_t first = bases[shape / LENGTH(sizes) % LENGTH(bases)] +
			 fuzz_below(&state->input, 1300);

	policy_model_start(&state->model, policy, first, count);
	for (unsigned i = 0; i < PLANS; i++) {
		state->claim[i] = (struct model_claim){.min = 1};
		state->release[i] = (struct model_release){.count = 0};
	}
}

/* Mostly what a cache asks for, and sometimes anything. */
static unsigned choose_min(struct state *state)
{
	unsigned byte = fuzz_byte(&state->input);

	return byte < 200 ? 1 + byte : 1 + (byte - 199) * 40;
}

static void claim(struct state *state, bool planned)
{
	struct model_claim claim = {.min = choose_min(state)};
	unsigned max = claim.min + fuzz_byte(&state->input);

	if (planned)
		policy_model_plan_claim(&state->model, claim.min, &claim);
	policy_model_claim(&state->model, &claim, max);
}

/* The plan is made in one operation, and used in a later one. */
static void claim_later(struct state *state)
{
	struct model_claim *claim = &state->claim[fuzz_byte(&state->input) % PLANS];

	if (claim->plan.words)
		policy_model_claim(&state->model, claim, claim->min + 63 + fuzz_byte(&state->input));
	else
		policy_model_plan_claim(&state->model, choose_min(state), claim);
}

/* Some taken frames of some words, neighbours or far apart. */
static void choose_leaving(struct state *state, struct model_release *release)
{
	struct fuzz_input *input = &state->input;
	uint64_t words = state->model.count / 64 + 2;
	uint64_t word = fuzz_below(input, (unsigned)words);
	unsigned stride = fuzz_byte(input) % 70, count = 1 + fuzz_byte(input) % 24;
	uint64_t mask = fuzz_byte(input) * UINT64_C(0x0101010101010101);

	if (mask == 0)
		mask = ~UINT64_C(0);
	for (; count > 0; count--, word = (word + stride) % words) {
		uint64_t first = (state->model.first & ~UINT64_C(63)) + word * 64;
		uint64_t bits = policy_model_taken(&state->model, first) & mask;

		policy_model_leave(&state->model, release, (struct frame_word){first, bits});
	}
}

static void release(struct state *state, bool planned)
{
	struct model_release release = {.count = 0};

	choose_leaving(state, &release);
	if (planned)
		policy_model_plan_release(&state->model, &release);
	policy_model_release(&state->model, &release);
}

static void release_later(struct state *state)
{
	struct model_release *release = &state->release[fuzz_byte(&state->input) % PLANS];

	if (release->count) {
		policy_model_release(&state->model, release);
	} else {
		choose_leaving(state, release);
		policy_model_plan_release(&state->model, release);
	}
}

static uint64_t choose_align(struct state *state)
{
	return UINT64_C(1) << fuzz_byte(&state->input) % 13;
}

static uint64_t choose_length(struct state *state)
{
	unsigned byte = fuzz_byte(&state->input);

	if (byte < 128)
		return 1 + byte;
	if (byte < 142)
		return UINT64_C(1) << (byte - 128);
	return 1 + fuzz_below(&state->input, 65536) % (state->model.count + 1);
}

static void claim_run(struct state *state, bool to_the_end)
{
	uint64_t count = choose_length(state), align = choose_align(state);
	unsigned steps = fuzz_byte(&state->input) % 6;

	if (to_the_end)
		policy_model_claim_run(&state->model, count, align, steps);
	else
		policy_model_try_run(&state->model, count, align, steps);
}

/* The first taken frame from some place on, and as many more of those that follow as are taken. */
static void release_run(struct state *state)
{
	struct policy_model *model = &state->model;
	uint64_t i = fuzz_below(&state->input, (unsigned)model->count);
	uint64_t length = choose_length(state), end;

	while (i < model->count && model->state[i] != MODEL_TAKEN)
		i++;
	for (end = i; end < model->count && end - i < length;)
		if (model->state[end++] != MODEL_TAKEN) {
			end--;
			break;
		}
	if (end > i)
		policy_model_release_run(model, model->first + i, end - i);
}

/* Of a free frame, alone or among others. An instance that has panicked is not called again. */
static void release_free_frame(struct state *state, uint64_t frame)
{
	struct policy_model *model = &state->model;
	struct model_release bad = {.count = 1};
	unsigned how = fuzz_byte(&state->input);

	bad.words[0].first = frame & ~UINT64_C(63);
	bad.words[0].bits = UINT64_C(1) << (frame & 63);
	if (how & 1)
		bad.words[0].bits |= policy_model_taken(model, bad.words[0].first);
	if (how & 2) {
		choose_leaving(state, &bad);
		policy_model_plan_release(model, &bad);
	}
	if (how & 4)
		EXPECT_PANIC(model->policy->release_run(model->instance, frame, 1), "freed twice");
	else
		EXPECT_PANIC(
			model->policy->release(model->instance, &bad.plan, bad.words, bad.count),
			"freed twice");
}

static void end_badly(struct state *state)
{
	struct policy_model *model = &state->model;
	uint64_t i = 0;

	policy_model_validate(model);
	while (i < model->count && model->state[i] != MODEL_FREE)
		i++;
	if (i < model->count)
		release_free_frame(state, model->first + i);
	policy_model_drop(model);
}

static void operate(struct state *state)
{
	switch (fuzz_byte(&state->input) % 10) {
	case 0:
		claim(state, false);
		break;
	case 1:
		claim(state, true);
		break;
	case 2:
		claim_later(state);
		break;
	case 3:
		release(state, false);
		break;
	case 4:
		release(state, true);
		break;
	case 5:
		release_later(state);
		break;
	case 6:
		claim_run(state, true);
		break;
	case 7:
		claim_run(state, false);
		break;
	case 8:
		release_run(state);
		break;
	default:
		policy_model_validate(&state->model);
	}
}

static void run(const struct policy *policy, struct fuzz_input input)
{
	static struct state state;
	bool ends_badly;

	state.input = input;
	start(&state, policy);
	ends_badly = fuzz_byte(&state.input) % 8 == 7;
	policy_model_release_run(&state.model, state.model.first,
				 state.model.count - fuzz_byte(&state.input) % state.model.count);
	for (unsigned step = 1; !fuzz_is_over(&state.input); step++) {
		operate(&state);
		if (step % 8 == 0)
			policy_model_validate(&state.model);
	}
	if (ends_badly) {
		end_badly(&state);
		return;
	}
	for (unsigned i = 0; i < PLANS; i++)
		policy_model_release(&state.model, &state.release[i]);
	policy_model_end(&state.model);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned i = 0; i < policy_count; i++)
		run(policies[i], (struct fuzz_input){data, data + size});
	return 0;
}
