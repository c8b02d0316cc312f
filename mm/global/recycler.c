/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recycler.c - a policy: a range whose length is all that is known of it, and a queue of recycled
 * frames.
 *
 * What it is
 *
 *   Two things hold the free frames. The *range* [curr, end) is contiguous, and known by two
 *   numbers however long it is; at first it is all of the zone, untouched. The *queue* holds every
 *   other free frame by its number, first in, first out, in a ring. A single frame comes from the
 *   queue, and from the front of the range only when the queue is empty; a run comes from the
 *   range alone.
 *
 *   Recycled frames go first because a run can use the range and nothing else: it is spent only
 *   on what the queue cannot give. And because what is in the queue was touched before: of a
 *   machine that uses little, the rest of memory stays untouched.
 *
 * A run given back
 *
 *   Word by word, frames go to the queue, always. A run that touches an end of the range joins it;
 *   of any other, and the range, the longer one is the range from then on, and the shorter one
 *   goes to the queue frame by frame. (A new instance is the case of an empty range.) If all runs
 *   went to the queue, a caller that claims a buffer and gives it back, over and over, would after
 *   one turn through the zone get none, with nothing allocated. So the last run claimed, given
 *   back, leaves no trace.
 *
 * What it cannot do
 *
 *   What went to the queue never becomes contiguous again: when the range is used up and every
 *   single frame is given back, all are there and no two of them are a run, until a run is given
 *   back. So exact_runs is false. Nor is the queue searched for one frame of an alignment.
 *   Aligned runs it has: the frames below the first aligned one of the range go to the queue,
 *   after it is sure that the run fits behind them; SKIP frames of that are a step, and the next
 *   call goes on from there. At most align - 1 frames are lost to later runs that way.
 *
 * Invariants (under the zone's lock, between calls)
 *
 *   R1  0 <= curr <= end <= frames, all indices: pfns less the zone's first.
 *   R2  Each free frame is in the range or in the queue, once, and no other frame is.
 *   R3  So queued + (end - curr) <= frames, and a ring of `frames` slots is never too small; it
 *	 cannot be smaller either: everything may be claimed and given back by the word. R3 is
 *	 tested at every release, also without CHECKS: a frame freed twice may then be given out
 *	 twice, but nothing is ever written beside the ring.
 *
 * Cost: a claim or release O(1) a frame, one slot of the ring (64 frames of the range: one word).
 * Frames of the queue are neighbours only by chance, so a word may hold as little as one. A run
 * claimed O(1), and O(align) where frames are skipped, in steps. A run given back O(1) where it
 * joins, or one store a frame of the shorter: under the lock, never more than the run is long.
 * Metadata: 4 bytes a frame, as 32 bits tell 2^32 frames of 4096 bytes, 16 TiB, from each other,
 * which is twice what a zone may have; that is 1/1024 of memory, 29 times a segment tree. With
 * CHECKS the map of free frames besides, 1/8 byte.
 */
#include "mm/global/recycler.h"

#include <string.h>

#include "mm/check.h"
#include "mm/global/frame_word.h"
#include "mm/global/free_map.h"

#define FRAMES_MAX (UINT64_C(1) << 32)
#define SKIP	   64 /* frames moved to the queue in one step of claim_run */

struct recycler {
	uint64_t first; /* pfn of index 0 */
	uint64_t frames;
	uint64_t curr, end;
	uint32_t *queue;
	uint64_t head, queued; /* slots, modulo `frames` */
	struct free_map map;
};

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

static size_t queue_bytes(uint64_t frames)
{
	return round_up(frames * sizeof(uint32_t), 8);
}

static size_t recycler_metadata_bytes(uint64_t first, uint64_t count)
{
	return round_up(sizeof(struct recycler), PORT_CACHE_LINE) + queue_bytes(count) +
	       free_map_bytes(first, count);
}

/* The ring is not written to: slots outside the queue are never read. */
static void *recycler_init(void *memory, uint64_t first, uint64_t count)
{
	struct recycler *recycler = memory;
	char *next = (char *)memory + round_up(sizeof(*recycler), PORT_CACHE_LINE);

	check(count <= FRAMES_MAX, "recycler: %llu frames in one zone, at most %llu",
	      (unsigned long long)count, (unsigned long long)FRAMES_MAX);
	memset(recycler, 0, sizeof(*recycler));
	recycler->first = first;
	recycler->frames = count;
	recycler->queue = (uint32_t *)next;
	free_map_init(&recycler->map, next + queue_bytes(count), first, count);
	return recycler;
}

/* ---- the queue --------------------------------------------------------------------------- */

static uint64_t slot_of(const struct recycler *recycler, uint64_t nth)
{
	uint64_t slot = recycler->head + nth;

	return slot < recycler->frames ? slot : slot - recycler->frames;
}

/* There is room, by R3. */
static void push(struct recycler *recycler, uint64_t index)
{
	recycler->queue[slot_of(recycler, recycler->queued)] = (uint32_t)index;
	recycler->queued++;
}

static void push_range(struct recycler *recycler, uint64_t from, uint64_t to)
{
	while (from < to)
		push(recycler, from++);
}

static uint64_t oldest(const struct recycler *recycler)
{
	return recycler->first + recycler->queue[recycler->head];
}

static void pop(struct recycler *recycler)
{
	recycler->head = slot_of(recycler, 1);
	recycler->queued--;
}

/* ---- claims ------------------------------------------------------------------------------ */

static void claim_recycled(struct recycler *recycler, unsigned min, struct frame_word_list *list)
{
	while (list->frames < min && recycler->queued) {
		uint64_t pfn = oldest(recycler);
		struct frame_word word = {frame_word_first(pfn), UINT64_C(1) << pfn % 64};

		if (!frame_word_add(list, word, 1))
			return;
		pop(recycler);
	}
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* By the word, and the rest of the last one too if it may: the next claim begins with a whole. */
static void claim_untouched(struct recycler *recycler, unsigned min, unsigned max,
			    struct frame_word_list *list)
{
	while (list->frames < min && recycler->curr != recycler->end) {
		uint64_t pfn = recycler->first + recycler->curr;
		unsigned from = pfn & 63;
		unsigned frames = (unsigned)smaller(smaller(64 - from, max - list->frames),
						    recycler->end - recycler->curr);
		struct frame_word word = {pfn - from, bits_between(from, from + frames)};

		if (!frame_word_add(list, word, frames))
			return;
		recycler->curr += frames;
	}
}

static unsigned recycler_claim(void *instance, unsigned min, unsigned max,
			       const struct policy_plan *plan, struct frame_word *words,
			       unsigned *taken)
{
	struct recycler *recycler = instance;
	struct frame_word_list list = {.words = words};

	(void)plan;
	claim_recycled(recycler, min, &list);
	claim_untouched(recycler, min, max, &list);
	for (unsigned i = 0; i < list.count; i++)
		free_map_take(&recycler->map, words[i]);
	*taken = list.frames;
	return list.count;
}

static enum run_result claim_one(struct recycler *recycler, uint64_t *first)
{
	if (recycler->queued) {
		*first = oldest(recycler);
		pop(recycler);
	} else if (recycler->curr != recycler->end) {
		*first = recycler->first + recycler->curr++;
	} else {
		return RUN_NONE;
	}
	free_map_take_run(&recycler->map, *first, 1);
	return RUN_FOUND;
}

static enum run_result recycler_claim_run(void *instance, uint64_t count, uint64_t align,
					  unsigned steps, uint64_t *first)
{
	struct recycler *recycler = instance;
	uint64_t length = recycler->end - recycler->curr;
	uint64_t skip = -(recycler->first + recycler->curr) & (align - 1);

	if (count == 1 && align == 1)
		return claim_one(recycler, first);
	if (skip > length || count > length - skip)
		return RUN_NONE;
	if (steps && skip > (uint64_t)steps * SKIP) {
		push_range(recycler, recycler->curr, recycler->curr + steps * SKIP);
		recycler->curr += steps * SKIP;
		return RUN_AGAIN;
	}
	push_range(recycler, recycler->curr, recycler->curr + skip);
	*first = recycler->first + recycler->curr + skip;
	recycler->curr += skip + count;
	free_map_take_run(&recycler->map, *first, count);
	return RUN_FOUND;
}

/* ---- releases ---------------------------------------------------------------------------- */

static uint64_t free_frames(const struct recycler *recycler)
{
	return recycler->queued + (recycler->end - recycler->curr);
}

/* R3 still holds when `count` more are free. */
static void check_room(const struct recycler *recycler, uint64_t first, uint64_t count)
{
	check(count <= recycler->frames - free_frames(recycler),
	      "recycler: %llu frames at %#llx are given back, but of %llu all but %llu are free: "
	      "some were freed twice",
	      (unsigned long long)count, (unsigned long long)first,
	      (unsigned long long)recycler->frames,
	      (unsigned long long)(recycler->frames - free_frames(recycler)));
}

static void recycler_release(void *instance, const struct policy_plan *plan,
			     const struct frame_word *words, unsigned count)
{
	struct recycler *recycler = instance;

	(void)plan;
	for (unsigned i = 0; i < count; i++) {
		free_map_give(&recycler->map, words[i]);
		check_room(recycler, words[i].first, bits_count(words[i].bits));
		for (uint64_t bits = words[i].bits; bits; bits &= bits - 1)
			push(recycler, words[i].first + bits_lowest(bits) - recycler->first);
	}
}

static void recycler_release_run(void *instance, uint64_t first, uint64_t count)
{
	struct recycler *recycler = instance;
	uint64_t from = first - recycler->first, to = from + count;

	free_map_give_run(&recycler->map, first, count);
	check_room(recycler, first, count);
	if (to == recycler->curr) {
		recycler->curr = from;
	} else if (from == recycler->end) {
		recycler->end = to;
	} else if (count <= recycler->end - recycler->curr) {
		push_range(recycler, from, to);
	} else {
		push_range(recycler, recycler->curr, recycler->end);
		recycler->curr = from;
		recycler->end = to;
	}
}

/* ---- validation -------------------------------------------------------------------------- */

#if CHECKS

/* Two sets whose members' values of this have the same sum are taken for the same set. */
static uint64_t mix(uint64_t index)
{
	return bits_mix(index + UINT64_C(0x9e3779b97f4a7c15));
}

/* R2: the queue and the range are what the map calls free, and nothing is in the queue twice. */
static void validate_map(const struct recycler *recycler)
{
	uint64_t queued = 0, mapped = 0, in_map = 0;

	for (uint64_t i = 0; i < recycler->queued; i++)
		queued += mix(recycler->queue[slot_of(recycler, i)]);
	for (uint64_t index = 0; index < recycler->frames; index++) {
		bool free = free_map_has_run(&recycler->map, recycler->first + index, 1);

		if (index >= recycler->curr && index < recycler->end)
			check(free, "recycler: frame %#llx is in the range, but not free by the map",
			      (unsigned long long)(recycler->first + index));
		if (free && (index < recycler->curr || index >= recycler->end)) {
			mapped += mix(index);
			in_map++;
		}
	}
	check(queued == mapped && recycler->queued == in_map,
	      "recycler: %llu frames are in the queue and %llu are free by the map outside of the "
	      "range, or they are not the same ones",
	      (unsigned long long)recycler->queued, (unsigned long long)in_map);
}

#else

static void validate_map(const struct recycler *recycler)
{
	(void)recycler;
}

#endif

static uint64_t recycler_validate(const void *instance)
{
	const struct recycler *recycler = instance;

	check(recycler->curr <= recycler->end && recycler->end <= recycler->frames,
	      "recycler: the range is [%llu, %llu) of %llu frames",
	      (unsigned long long)recycler->curr, (unsigned long long)recycler->end,
	      (unsigned long long)recycler->frames);
	check(free_frames(recycler) <= recycler->frames && recycler->head < recycler->frames,
	      "recycler: of %llu frames %llu are free, the oldest is in slot %llu",
	      (unsigned long long)recycler->frames, (unsigned long long)free_frames(recycler),
	      (unsigned long long)recycler->head);
	for (uint64_t i = 0; i < recycler->queued; i++) {
		uint64_t index = recycler->queue[slot_of(recycler, i)];

		check(index < recycler->frames && (index < recycler->curr || index >= recycler->end),
		      "recycler: index %llu is in the queue; there are %llu frames, and the range "
		      "is "
		      "[%llu, %llu)",
		      (unsigned long long)index, (unsigned long long)recycler->frames,
		      (unsigned long long)recycler->curr, (unsigned long long)recycler->end);
	}
	validate_map(recycler);
	return free_frames(recycler);
}

const struct policy recycler_policy = {
	.name = "recycler",
	.has_runs = true,
	.aligns_runs = true,
	.metadata_bytes = recycler_metadata_bytes,
	.init = recycler_init,
	.claim = recycler_claim,
	.release = recycler_release,
	.claim_run = recycler_claim_run,
	.release_run = recycler_release_run,
	.validate = recycler_validate,
};
