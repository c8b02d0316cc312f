/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_tree.c - see bench_tree.h.
 *
 * The policy is called through its contract, as a zone would, without a lock. No policy call touches
 * a frame, so the zones need not exist. tests/host/bench/bench_tree.c times the same operations; a
 * time is the host's clock's, and a count is the same on every host.
 */
#include "tests/smp/bench_tree.h"

#include <stdio.h>

#include "arch/riscv/csr.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/global/segment_tree.h"
#include "tests/smp/bench_paging.h"
#include "tests/smp/random.h"

#define FIRST_PFN    UINT64_C(0x80000) /* where RAM begins on `virt` */
#define CHUNK_FRAMES 512
#define MEMORY_SHARE 16
#define SEED	     UINT64_C(0x68617274) /* the same zones in every boot */

/* Of each operation, at most; and random frees at most an eighth of the zone. */
#define SINGLES	 4096
#define RUNS_MAX 1024
#define FAILURES 1024
#define FREES	 65536

/* Which frames are free is noted in a bit each; beyond this size there is no room for that. */
#define NOTED_FRAMES_MAX (UINT64_C(1) << 22)

static const struct policy *const policy = &segment_tree_policy;
static const struct policy_plan no_plan;

union claimed {
	uint64_t runs[RUNS_MAX];
	struct frame_word words[SINGLES + POLICY_WORDS_MAX];
};

struct big_zone {
	const char *size; /* in the names of the figures */
	uint64_t count;	  /* frames */
	void *tree;
	uint64_t *free; /* a bit a frame; NULL: not noted */
	union claimed *claimed;
	uint64_t random;
};

static uint64_t instructions(void)
{
	return csr_read(instret);
}

static void report(const struct big_zone *zone, const char *what, uint64_t total, uint64_t count)
{
	char name[48];

	snprintf(name, sizeof(name), "tree_%s_%s", what, zone->size);
	bench_report(name, (total * 100 + count / 2) / count, "instructions", 1, true);
}

static void release_one(struct big_zone *zone, struct frame_word word)
{
	policy->release(zone->tree, &no_plan, &word, 1);
}

/* Each frame is free or not, by a coin. */
static void fill_half(struct big_zone *zone)
{
	for (uint64_t i = 0; i < zone->count / 64; i++) {
		struct frame_word word = {FIRST_PFN + i * 64, random_next(&zone->random)};

		if (zone->free)
			zone->free[i] = word.bits;
		release_one(zone, word);
	}
}

/* ---- the operations ------------------------------------------------------------------------ */

/* An aligned run of 512 frames, where all are free. */
static void count_runs(struct big_zone *zone)
{
	uint64_t chunks = zone->count / CHUNK_FRAMES, start, total;
	uint64_t *runs = zone->claimed->runs;
	unsigned count = chunks < RUNS_MAX ? (unsigned)chunks : RUNS_MAX, found = 0;

	start = instructions();
	for (unsigned i = 0; i < count; i++)
		found += policy->claim_run(zone->tree, CHUNK_FRAMES, CHUNK_FRAMES, 0, &runs[i]) ==
			 RUN_FOUND;
	total = instructions() - start;
	check(found == count, "bench: %u runs of %u found in a free zone", found, count);
	report(zone, "run_512", total, count);
	for (unsigned i = 0; i < count; i++)
		policy->release_run(zone->tree, runs[i], CHUNK_FRAMES);
}

/* The same, where there is none. The first search repairs the whole run tree, and is not counted. */
static void count_failures(struct big_zone *zone)
{
	unsigned none = 0;
	uint64_t first, start, total;

	policy->claim_run(zone->tree, CHUNK_FRAMES, CHUNK_FRAMES, 0, &first);
	start = instructions();
	for (unsigned i = 0; i < FAILURES; i++)
		none += policy->claim_run(zone->tree, CHUNK_FRAMES, CHUNK_FRAMES, 0, &first) ==
			RUN_NONE;
	total = instructions() - start;
	check(none == FAILURES, "bench: %u searches of %u found no run", none, FAILURES);
	report(zone, "run_512_failure", total, FAILURES);
}

static void count_singles(struct big_zone *zone)
{
	struct frame_word *words = zone->claimed->words;
	unsigned taken, all = 0;
	uint64_t start = instructions(), total;

	for (unsigned i = 0; i < SINGLES; i++) {
		policy->claim(zone->tree, 1, 1, &no_plan, &words[i], &taken);
		all += taken;
	}
	total = instructions() - start;
	check(all == SINGLES, "bench: %u frames of %u were claimed", all, SINGLES);
	report(zone, "single_alloc", total, SINGLES);
	for (unsigned i = 0; i < SINGLES; i++)
		release_one(zone, words[i]);
}

/* An allocated frame, all different. */
static struct frame_word choose_free(struct big_zone *zone)
{
	for (;;) {
		uint64_t index = random_below(&zone->random, zone->count);
		uint64_t bit = UINT64_C(1) << (index & 63);

		if (zone->free[index >> 6] & bit)
			continue;
		zone->free[index >> 6] |= bit;
		return (struct frame_word){FIRST_PFN + (index & ~UINT64_C(63)), bit};
	}
}

static void count_random_frees(struct big_zone *zone, const char *what)
{
	uint64_t most = zone->count / 16, count = most < FREES ? most : FREES, total = 0;

	for (uint64_t i = 0; i < count; i++) {
		struct frame_word word = choose_free(zone);
		uint64_t start = instructions();

		release_one(zone, word);
		total += instructions() - start - 1; /* two reads in a row differ by 1 */
	}
	report(zone, what, total, count);
}

/* ---- zones --------------------------------------------------------------------------------- */

static void count_in(struct big_zone *zone, void *memory)
{
	uint64_t first;

	zone->random = SEED;
	zone->tree = policy->init(memory, FIRST_PFN, zone->count);
	policy->release_run(zone->tree, FIRST_PFN, zone->count);
	count_runs(zone);
	zone->tree = policy->init(memory, FIRST_PFN, zone->count);
	fill_half(zone);
	count_singles(zone);
	count_failures(zone);
	if (!zone->free)
		return;
	/* As released by single frames alone; then where a search has just repaired the run tree. */
	count_random_frees(zone, "random_free");
	policy->claim_run(zone->tree, CHUNK_FRAMES, 1, 0, &first);
	count_random_frees(zone, "random_free_repaired");
}

static uint64_t frames_for(uint64_t bytes)
{
	return (bytes + FRAME_SIZE - 1) / FRAME_SIZE;
}

/* Frames of the metadata, of the notes about free frames, and of what is claimed, in this order. */
static void bench_zone(const char *size, uint64_t zone_bytes)
{
	struct big_zone zone = {.size = size, .count = zone_bytes / FRAME_SIZE};
	uint64_t metadata = frames_for(policy->metadata_bytes(FIRST_PFN, zone.count));
	uint64_t notes = zone.count <= NOTED_FRAMES_MAX ? frames_for(zone.count / 8) : 0;
	uint64_t frames = metadata + notes + frames_for(sizeof(*zone.claimed));
	pfn_t run = PFN_NONE;
	char *memory;

	if (frames * MEMORY_SHARE <= frame_free_count())
		run = frame_alloc_run(frames, 0);
	if (pfn_is_none(run)) {
		printf("  tree_*_%s: NOT MEASURABLE: there is no run of %llu free frames to "
		       "spare\n",
		       size, (unsigned long long)frames);
		return;
	}
	memory = frame_bytes(run);
	if (notes)
		zone.free = (uint64_t *)(memory + metadata * FRAME_SIZE);
	zone.claimed = (void *)(memory + (metadata + notes) * FRAME_SIZE);
	count_in(&zone, memory);
	frame_free_run(run, frames);
}

void bench_tree_counts(void)
{
	bench_zone("128m", UINT64_C(128) << 20);
	bench_zone("16g", UINT64_C(16) << 30);
	bench_zone("1t", UINT64_C(1) << 40);
}
