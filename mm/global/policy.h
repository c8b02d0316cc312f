/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy.h - the contract between a zone and the algorithm that manages it.
 *
 * A policy instance manages the frames [first, first + count) of one zone, 1 <= count <=
 * ZONE_FRAMES_MAX, in memory that the zone gives it. Frames are pfns everywhere.
 *
 * Context. Every function but metadata_bytes, init and the two that plan is called under the zone's
 * lock with interrupts masked (validate: at rest), so never by two CPUs at once for one instance.
 * No function sleeps, prints, allocates or takes a lock. Each uses less than 300 bytes of stack,
 * which `make lint` tests. Only port_panic() leaves in another way, and the instance is of no use
 * after it.
 *
 * Single frames cross this border by the word: 64 neighbouring frames, as a bit set. So a batch
 * of 64 is claimed in as few steps as there are words, and what the words mean frame by frame is
 * worked out after the lock is dropped.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Frames first + i for each set bit i; first is a multiple of 64. */
struct frame_word {
	uint64_t first;
	uint64_t bits;
};

#define FRAMES_PER_WORD 64

/* No frame. */
#define FRAME_WORD_NONE UINT64_MAX

/*
 * A plan: the part of the work that a policy does before the lock is taken. A caller that
 * has no plan sets `words` to 0 and `ordinary` to false; the rest then means nothing. `words` and
 * `frames` say how much of the caller's array of words plan_claim() filled.
 */
struct policy_plan {
	unsigned words;
	unsigned frames;
	bool ordinary; /* the policy may use the plan */
	/* The preferences of the policy. */
	uint64_t place;
	uint64_t mask;
	uint64_t chunks;
};

/* Words one claim or release may carry: bounds the hold of the lock and the stack of the caller. */
#define POLICY_WORDS_MAX 128

enum run_result {
	RUN_FOUND,
	RUN_NONE,
	RUN_AGAIN /* `steps` are used up: call again, the work done is kept */
};

struct policy {
	const char *name;

	/*
	 * What claim_run() accepts besides a single frame: several frames, and an alignment of
	 * several frames. zone.c answers requests that the policy does not accept.
	 */
	bool has_runs;
	bool aligns_runs;

	/*
	 * claim_run() says RUN_NONE only when no such run is free. If not set, it may overlook one.
	 */
	bool exact_runs;

	/* Reads and writes the free frames themselves, through port_phys_pointer(). */
	bool uses_frames;

	/* Bytes of metadata for a zone of these frames; a multiple of 8. In any context. */
	size_t (*metadata_bytes)(uint64_t first, uint64_t count);

	/*
	 * Makes an instance in `memory` (aligned to PORT_CACHE_LINE, metadata_bytes() long) with no
	 * frame free, and returns it. Frames are given to it by release_run. At boot or at rest,
	 * before any other CPU knows the instance. Writes no byte outside `memory`.
	 * O(metadata_bytes).
	 */
	void *(*init)(void *memory, uint64_t first, uint64_t count);

	/*
	 * May be NULL. WITHOUT the lock, in any context outside it: guesses which words a claim of
	 * `min` frames would take, and notes them in `words` (room for POLICY_WORDS_MAX) and *plan,
	 * whose `words` is 0 before. It reads what other CPUs are changing, so it reads atomically,
	 * and what it finds is a guess: claim() must be right whatever the plan says. Asked only
	 * where max >= min + 63.
	 */
	void (*plan_claim)(const void *instance, unsigned min, struct frame_word *words,
			   struct policy_plan *plan);

	/*
	 * May be NULL. WITHOUT the lock, in any context outside it: what release() of these words
	 * (count >= 1) can know beforehand from the words alone. zone.c does not ask for one word
	 * or two, which are released as fast without.
	 */
	void (*plan_release)(const void *instance, const struct frame_word *words, unsigned count,
			     struct policy_plan *plan);

	/*
	 * Takes at least `min` free frames, never more than `max` (1 <= min <= max), into `words`,
	 * which has room for min(max, POLICY_WORDS_MAX). Fewer than `min` only when it holds fewer,
	 * or when `words` is full. Returns the number of words, 0 when no frame is free; *taken is
	 * the number of frames. Every word has a frame. Two words may be of the same 64 frames, but
	 * have no frame in common. Frames of words that are not whole stay free. `plan` is what
	 * plan_claim() made of the same `words` and `min`, or a plan that is not `ordinary`.
	 */
	unsigned (*claim)(void *instance, unsigned min, unsigned max,
			  const struct policy_plan *plan, struct frame_word *words, unsigned *taken);

	/*
	 * Takes back frames of any earlier claims, 1 <= count <= POLICY_WORDS_MAX, in words as a
	 * claim may give them. `plan` is what plan_release() made of the same words, or is not
	 * `ordinary`. Panics when one of them is free already. A policy that would have to keep a
	 * map for that does so only with CHECKS.
	 */
	void (*release)(void *instance, const struct policy_plan *plan,
			const struct frame_word *words, unsigned count);

	/*
	 * Both may be NULL. One frame, as claim(1, 1) and release() of one word do it, in fewer
	 * instructions. claim_one() returns the frame, or FRAME_WORD_NONE when no frame is free;
	 * release_one() panics as release() does.
	 */
	uint64_t (*claim_one)(void *instance);
	void (*release_one)(void *instance, uint64_t frame);

	/*
	 * Takes `count` contiguous frames (count >= 1), the first a multiple of `align` (a power of
	 * two, at least 1), and sets *first. RUN_NONE, and nothing taken: see exact_runs; of a
	 * single frame, only when none is free. RUN_AGAIN, and nothing taken, when it has done
	 * `steps` units of upkeep (for example the repair of 512 frames' summary) that a later call
	 * need not do again. steps 0 is no bound, and then RUN_AGAIN is not returned.
	 */
	enum run_result (*claim_run)(void *instance, uint64_t count, uint64_t align, unsigned steps,
				     uint64_t *first);

	/* Takes back frames [first, first + count), count >= 1; panics as release() does. */
	void (*release_run)(void *instance, uint64_t first, uint64_t count);

	/*
	 * At rest: walks all of it, panics where an invariant is broken, and returns the number of
	 * free frames.
	 */
	uint64_t (*validate)(const void *instance);
};
