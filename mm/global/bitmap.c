/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bitmap.c - a policy that is one bit a frame, and a scan: what the others are measured against.
 *
 * What it is
 *
 *   The simplest way to manage frames: an array of bits, 1 for taken, 0 for free, 64 to a word. To
 *   allocate, look for a 0; to allocate a run, look for enough of them in a row; to free, clear
 *   bits. Three things make it right and bearable:
 *
 *   - The first and the last word also have bits of frames that are not the zone's. They are taken
 *     from the beginning and always, so neither a claim nor a run has to ask where the zone ends.
 *   - Words, not bits, are claimed and given back: 64 frames for one load, one store and a
 *     population count. How many frames are free is nowhere kept; where it is wanted it is counted.
 *   - Two hints, of what has been looked at in vain, keep one scan from doing again what the last
 *     one did. They are facts, not guesses: a claim cannot make them wrong, and a release that
 *     would takes them back.
 *
 * Invariants (under the zone's lock, between calls)
 *
 *   B1  The bit of a frame is 0 exactly when it is free; bits outside the zone are 1.
 *   B2  No frame is free in a word below `lowest`. Single frames are claimed lowest first.
 *   B3  No run of `sought` free frames, the first a multiple of `sought_align`, starts below index
 *	 `sought_below`. So neither does a longer one, nor one that is aligned more strictly: the
 *	 scan for either goes on from there. Any other scan begins at `lowest`, and leaves its own
 *	 fact.
 *
 * Bounded holds
 *
 *   A scan for a run ends with RUN_AGAIN when it has passed `steps` * 8 words in vain, and B3 is
 *   what it leaves to the next call. It is not ended within a run that may yet be long enough,
 *   whose words cannot be more than those that the claim would write.
 *
 * Cost, for n frames: release O(words); claim O(words) and what it scans, which is O(n / 64) at
 * worst, and next to nothing while frames come back above `lowest`; a run O(n / 64), and for any
 * count and alignment, exactly. Metadata: 1/8 byte a frame, and 64 bytes.
 *
 * What it cannot do: find a free frame in a zone that is nearly full, or a run in a zone that is
 * cut to pieces, without passing over everything else that is there. The segment tree
 * (segment_tree.c) is this bitmap with summaries that answer both.
 */
#include "mm/global/bitmap.h"

#include "mm/check.h"
#include "mm/global/frame_word.h"
#include "mm/words.h"

#define TAKEN (~UINT64_C(0))

/* One unit of the upkeep that claim_run() is allowed, in frames: eight words, like one chunk. */
#define STEP_FRAMES 512

struct bitmap {
	uint64_t base;	 /* pfn of index 0, a multiple of 64 */
	uint64_t words;	 /* the zone's */
	uint64_t lowest; /* B2, a word */
	uint64_t sought; /* B3; 0: nothing is known */
	uint64_t sought_align;
	uint64_t sought_below;
	uint64_t index_first; /* indices of the zone's frames: [index_first, index_end) */
	uint64_t index_end;
	uint64_t taken[]; /* 1: taken; index i is bit i % 64 of word i / 64 */
};

_Static_assert(sizeof(struct bitmap) == 64, "64 bytes before the bitmap");

static size_t bitmap_metadata_bytes(uint64_t first, uint64_t count)
{
	return sizeof(struct bitmap) + frame_word_count(first, count) * sizeof(uint64_t);
}

/* No frame is free, and so those outside the zone never will be (B1). */
static void *bitmap_init(void *memory, uint64_t first, uint64_t count)
{
	struct bitmap *map = memory;

	map->base = frame_word_first(first);
	map->words = frame_word_count(first, count);
	map->lowest = map->words;
	map->sought = 0;
	map->sought_align = 1;
	map->sought_below = 0;
	map->index_first = first - map->base;
	map->index_end = map->index_first + count;
	words_fill(map->taken, TAKEN, map->words);
	return map;
}

/* ---- single frames, by the word ---------------------------------------------------------- */

static unsigned bitmap_claim(void *instance, unsigned min, unsigned max,
			     const struct policy_plan *plan, struct frame_word *words,
			     unsigned *taken)
{
	struct bitmap *map = instance;
	uint64_t word = map->lowest;
	unsigned count = 0;

	(void)plan;
	*taken = 0;
	for (; word < map->words && *taken < min && count < POLICY_WORDS_MAX; word++) {
		uint64_t bits = ~map->taken[word];
		unsigned frames;

		if (!bits)
			continue;
		frames = bits_count(bits);
		if (frames > max - *taken) {
			frames = max - *taken;
			bits = bits_lowest_few(bits, frames);
		}
		map->taken[word] |= bits;
		words[count++] = (struct frame_word){map->base + word * FRAMES_PER_WORD, bits};
		*taken += frames;
	}
	/* Of the last word something may be left. */
	map->lowest = count ? word - 1 : word;
	return count;
}

/* B2 and B3, when the frames of one word, from this index on, become free. */
static void forget_from(struct bitmap *map, uint64_t index)
{
	uint64_t start = index >= map->sought ? index - map->sought + 1 : 0;

	if (index / FRAMES_PER_WORD < map->lowest)
		map->lowest = index / FRAMES_PER_WORD;
	/* A run that begins before it may now go on. */
	if (map->sought && start < map->sought_below)
		map->sought_below = start;
}

static void give_word(struct bitmap *map, uint64_t word, uint64_t bits)
{
	uint64_t twice = bits & ~map->taken[word];

	check(!twice, "zone: frame %#llx is given back but it is free already: freed twice",
	      (unsigned long long)(map->base + word * FRAMES_PER_WORD + bits_lowest(twice)));
	map->taken[word] &= ~bits;
}

static void bitmap_release(void *instance, const struct policy_plan *plan,
			   const struct frame_word *words, unsigned count)
{
	struct bitmap *map = instance;
	uint64_t lowest = UINT64_MAX;

	(void)plan;
	for (unsigned i = 0; i < count; i++) {
		uint64_t index = words[i].first - map->base;

		give_word(map, index / FRAMES_PER_WORD, words[i].bits);
		if (index < lowest)
			lowest = index;
	}
	forget_from(map, lowest);
}

/* ---- runs -------------------------------------------------------------------------------- */

/* `count` frames from this index on become free, or taken, a word at a time. */
static void set_range(struct bitmap *map, uint64_t from, uint64_t count, bool free)
{
	while (count) {
		struct frame_word part = frame_word_next(&from, &count);
		uint64_t word = part.first / FRAMES_PER_WORD;

		if (free)
			give_word(map, word, part.bits);
		else
			map->taken[word] |= part.bits;
	}
}

/* The first index in [from, to) whose bit is 1 after the flip, or `to`. */
static uint64_t next_set(const struct bitmap *map, uint64_t from, uint64_t to, uint64_t flip)
{
	uint64_t word = from / FRAMES_PER_WORD, index, bits;

	if (from >= to)
		return to;
	bits = (map->taken[word] ^ flip) & TAKEN << from % FRAMES_PER_WORD;
	while (!bits && (word + 1) * FRAMES_PER_WORD < to)
		bits = map->taken[++word] ^ flip;
	index = bits ? word * FRAMES_PER_WORD + bits_lowest(bits) : to;
	return index < to ? index : to;
}

static uint64_t next_taken(const struct bitmap *map, uint64_t from, uint64_t to)
{
	return next_set(map, from, to, 0);
}

static uint64_t next_free(const struct bitmap *map, uint64_t from, uint64_t to)
{
	return next_set(map, from, to, TAKEN);
}

/*
 * Looks for a run that starts at `from` or above. *start is where it starts; or else, no run starts
 * below it. RUN_AGAIN at the first place from `stop` on (above `from`) that cannot lie inside a
 * run.
 */
static enum run_result scan(const struct bitmap *map, uint64_t from, uint64_t stop, uint64_t count,
			    uint64_t align, uint64_t *start)
{
	uint64_t end = map->index_end, at = from;

	if (stop > end)
		stop = end;
	for (;;) {
		uint64_t pfn = map->base + next_free(map, at, stop), taken;

		*start = at = ((pfn + align - 1) & ~(align - 1)) - map->base;
		if (at >= end || count > end - at) {
			*start = end;
			return RUN_NONE;
		}
		if (at >= stop)
			return RUN_AGAIN;
		taken = next_taken(map, at, at + count);
		if (taken == at + count)
			return RUN_FOUND;
		at = taken + 1;
	}
}

/* Where B2 and B3 let a scan begin. */
static uint64_t scan_from(const struct bitmap *map, uint64_t count, uint64_t align)
{
	uint64_t from = map->lowest * FRAMES_PER_WORD;
	bool known = map->sought && count >= map->sought && align >= map->sought_align;

	return known && map->sought_below > from ? map->sought_below : from;
}

static enum run_result bitmap_claim_run(void *instance, uint64_t count, uint64_t align,
					unsigned steps, uint64_t *first)
{
	struct bitmap *map = instance;
	uint64_t from = scan_from(map, count, align), start;
	uint64_t stop = steps ? from + (uint64_t)steps * STEP_FRAMES : map->index_end;
	enum run_result result = scan(map, from, stop, count, align, &start);

	/* Not of single frames, for which B2 is as good. */
	if (count > 1 || align > 1) {
		map->sought = count;
		map->sought_align = align;
		map->sought_below = start;
	}
	if (result == RUN_FOUND) {
		set_range(map, start, count, false);
		*first = map->base + start;
	}
	return result;
}

static void bitmap_release_run(void *instance, uint64_t first, uint64_t count)
{
	struct bitmap *map = instance;
	uint64_t from = first - map->base;

	set_range(map, from, count, true);
	forget_from(map, from);
}

/* ---- validation -------------------------------------------------------------------------- */

static uint64_t count_free(const struct bitmap *map, uint64_t from, uint64_t to)
{
	uint64_t free = 0;

	for (uint64_t word = from; word < to; word++)
		free += bits_count(~map->taken[word]);
	return free;
}

static uint64_t bitmap_validate(const void *instance)
{
	const struct bitmap *map = instance;
	uint64_t all = map->words * FRAMES_PER_WORD, start;

	check(next_free(map, 0, map->index_first) == map->index_first,
	      "bitmap: index %llu is free but below the zone",
	      (unsigned long long)next_free(map, 0, map->index_first));
	check(next_free(map, map->index_end, all) == all,
	      "bitmap: index %llu is free but above the zone",
	      (unsigned long long)next_free(map, map->index_end, all));
	check(count_free(map, 0, map->lowest) == 0,
	      "bitmap: frames are free below word %llu, which is said to be the lowest",
	      (unsigned long long)map->lowest);
	if (map->sought)
		check(scan(map, 0, map->index_end, map->sought, map->sought_align, &start) !=
				      RUN_FOUND ||
			      start >= map->sought_below,
		      "bitmap: %llu frames aligned by %llu are free at index %llu, but said not to "
		      "be below %llu",
		      (unsigned long long)map->sought, (unsigned long long)map->sought_align,
		      (unsigned long long)start, (unsigned long long)map->sought_below);
	return count_free(map, map->lowest, map->words);
}

const struct policy bitmap_policy = {
	.name = "bitmap",
	.has_runs = true,
	.aligns_runs = true,
	.exact_runs = true,
	.metadata_bytes = bitmap_metadata_bytes,
	.init = bitmap_init,
	.claim = bitmap_claim,
	.release = bitmap_release,
	.claim_run = bitmap_claim_run,
	.release_run = bitmap_release_run,
	.validate = bitmap_validate,
};
