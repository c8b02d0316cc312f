/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy.h - the contract between a zone and the algorithm that manages it.
 *
 * A policy instance manages the frames [first, first + count) of one zone, in memory that the
 * zone gives it. It is plain data under the zone's lock: no function here is called by two cpus
 * at once but the two that plan, and none sleeps, prints or takes a lock.
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

/*
 * What a policy worked out before the lock was taken, to have less to do under it. `words` and
 * `frames` say how much of the caller's array of words it filled.
 */
struct policy_plan {
	unsigned words;
	unsigned frames;
	/* The policy's own. */
	bool ordinary;
	uint64_t place;
	uint64_t mask;
	uint64_t chunks;
};

/* Words one claim or release may carry: bounds the hold of the lock and the stack of the caller. */
#define POLICY_WORDS_MAX 128

enum run_result {
	RUN_FOUND,
	RUN_NONE,
	RUN_AGAIN /* the step was used up: call again, the work done is kept */
};

struct policy {
	const char *name;

	/*
	 * What claim_run() may be asked for besides a single frame: more than one, and an alignment
	 * of more than one. zone.c answers for the policy where it may not.
	 */
	bool has_runs;
	bool aligns_runs;

	/* RUN_NONE only when no such run is free; otherwise it may overlook one. */
	bool exact_runs;

	/* Reads and writes the free frames themselves, through port_phys_pointer(). */
	bool uses_frames;

	/* Bytes of metadata for a zone of these frames; a multiple of 8. */
	size_t (*metadata_bytes)(uint64_t first, uint64_t count);

	/*
	 * Makes an instance in `memory` (aligned to PORT_CACHE_LINE, metadata_bytes() long) with no
	 * frame free, and returns it. Frames are given to it by release_run.
	 */
	void *(*init)(void *memory, uint64_t first, uint64_t count);

	/*
	 * May be NULL. WITHOUT the lock: guesses which words a claim of `min` frames would take,
	 * and notes them in `words` and *plan. What it reads others are changing, so it reads
	 * atomically and nothing it finds is more than a guess; claim() believes none of it.
	 */
	void (*plan_claim)(const void *instance, unsigned min, struct frame_word *words,
			   struct policy_plan *plan);

	/*
	 * May be NULL. WITHOUT the lock: what release() of these words can be told beforehand. Not
	 * asked for one word or two, which are given back as fast without.
	 */
	void (*plan_release)(const void *instance, const struct frame_word *words, unsigned count,
			     struct policy_plan *plan);

	/*
	 * Takes at least `min` free frames, never more than `max` (1 <= min <= max), into `words`,
	 * which has room for POLICY_WORDS_MAX. Fewer only when it holds fewer, or the words are
	 * used up. Returns the number of words; *taken is the number of frames. Two words may be of
	 * the same 64 frames, but not have a frame in common. `plan` is what plan_claim() made of
	 * the same words, if anything (its words are 0 otherwise); then max >= min + 63.
	 */
	unsigned (*claim)(void *instance, unsigned min, unsigned max,
			  const struct policy_plan *plan, struct frame_word *words, unsigned *taken);

	/*
	 * Takes back frames of any earlier claims, count >= 1, in words as a claim may give them.
	 * Panics when one is free already; a policy that would have to keep a map for that, only
	 * with CHECKS.
	 */
	void (*release)(void *instance, const struct policy_plan *plan,
			const struct frame_word *words, unsigned count);

	/*
	 * Takes `count` contiguous frames, the first a multiple of `align` (a power of two), and
	 * sets *first. RUN_NONE: see exact_runs; of a single frame, only when none is free.
	 * RUN_AGAIN when it has done `steps` units of upkeep that a later call need not do again;
	 * steps 0 means no bound.
	 */
	enum run_result (*claim_run)(void *instance, uint64_t count, uint64_t align, unsigned steps,
				     uint64_t *first);

	/* Gives frames [first, first + count); panics as release() does. */
	void (*release_run)(void *instance, uint64_t first, uint64_t count);

	/* Walks all of it, panics where an invariant is broken; returns the number of free frames. */
	uint64_t (*validate)(const void *instance);
};
