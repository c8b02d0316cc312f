/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * free_list.c - a policy: a stack of free frames whose links lie in the frames themselves.
 *
 * What it is
 *
 *   The first 8 bytes of a free frame, its *link*, say which frame is free below it; the instance
 *   knows the top. A claimed frame is its owner's from end to end. It needs no other memory,
 *   whatever the zone's size: that is its one merit, and the reason to compare it. It
 *   pays by touching every frame that it takes or gives, under the zone's lock, and each load of a
 *   claim waits for the load before it. On one host a batch of 64 took 35 to 75 times as long as
 *   from the segment tree with the links in the processor's caches, and hundreds of times without.
 *   Memory that is slow, asleep or not there yet is touched all the same.
 *
 *   It is kept pure. Giving a run writes a link into each of its frames, at boot into all of
 *   memory. A tail of frames without links, of which only the length is known, would avoid that,
 *   and would be a recycler.
 *
 * A link that was written over
 *
 *   An owner that writes to a frame after freeing it overwrites the link. A list that follows a
 *   wrong link gives out a wrong frame. So each link carries its own proof:
 *
 *	bits 31..0   the index of the frame below (pfn less the zone's first), or NONE
 *	bits 63..32  a mix of that index, of the frame the link lies in, of its height in the stack
 *		     (the number of free frames when it was on top), and of the instance's secret
 *
 *   and is tested before it is believed, with checks and without: when its frame is claimed, so
 *   the panic names the frame that was written to. Zeros, ones, a frame's number, a link copied
 *   from another frame or another instance pass with probability 2^-32. One wrong bit above bit
 *   31 never passes. An old link of the same frame passes only if it is of the same height; then
 *   the frame that it names must be free by the map (CHECKS).
 *   The secret is drawn from the clock and stands against accidents, not against code that
 *   reads memory in order to forge a link.
 *
 *   The height does more: a frame pushed twice holds the link of its second place only, and
 *   the stack panics when it comes down to the first. So even where CHECKS is 0 a frame freed
 *   twice into the stack is found out, if late.
 *
 * What it cannot do: runs. Nothing is known of a frame's neighbours but by a walk of the list.
 * Only one frame, of no alignment, may be asked of claim_run.
 *
 * Invariants (under the zone's lock, between calls)
 *
 *   L1  From the top, links lead through `free` frames of the zone, each valid for its height,
 *	 from `free` down to 1. So there is no cycle, and no frame is in the list twice.
 *   L2  The link of height 1 says NONE, no other does; the top is NONE when free is 0.
 *   L3  With CHECKS: the frames of the list are those of the map, no more and no less.
 *
 * Cost: claim and release O(1) a frame: one line of the frame, read or written, and three
 * multiplications. Neighbours share a word of a claim only where they lie next to each other in the
 * list. So runs and words are pushed from the last frame to the first: frames that were given
 * together come back together, by rising address. A run given costs a link a frame, under the lock.
 * Metadata: a cache line, with CHECKS the map of free frames besides, 1/8 byte a frame.
 */
#include "mm/global/free_list.h"

#include <string.h>

#include "mm/address.h"
#include "mm/check.h"
#include "mm/global/frame_word.h"
#include "mm/global/free_map.h"

#define NONE UINT32_MAX

struct free_list {
	uint64_t first; /* pfn of index 0 */
	uint64_t frames;
	uint64_t free;
	uint64_t secret;
	uint32_t top; /* index */
	struct free_map map;
};

_Static_assert(sizeof(struct free_list) <= PORT_CACHE_LINE, "one line");

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

static size_t list_metadata_bytes(uint64_t first, uint64_t count)
{
	return round_up(sizeof(struct free_list), PORT_CACHE_LINE) + free_map_bytes(first, count);
}

static void *list_init(void *memory, uint64_t first, uint64_t count)
{
	struct free_list *list = memory;

	check(count < NONE, "free_list: %llu frames in one zone, fewer than %llu expected",
	      (unsigned long long)count, (unsigned long long)NONE);
	memset(list, 0, sizeof(*list));
	list->first = first;
	list->frames = count;
	list->top = NONE;
	list->secret = bits_mix(bits_mix(port_clock()) + first);
	free_map_init(&list->map, (char *)memory + round_up(sizeof(*list), PORT_CACHE_LINE), first,
		      count);
	return list;
}

/* ---- links ------------------------------------------------------------------------------- */

static inline uint64_t *link_of(const struct free_list *list, uint32_t index)
{
	return port_phys_pointer((list->first + index) << FRAME_SHIFT);
}

/* The link of frame `index` at this height, above frame `below`. Heights are below 2^32. */
static inline uint64_t encode(const struct free_list *list, uint32_t index, uint64_t height,
			      uint32_t below)
{
	uint64_t place = (uint64_t)index << 32 | height;

	return (bits_mix((place ^ list->secret) + below * UINT64_C(0x9e3779b97f4a7c15)) &
		~(uint64_t)NONE) |
	       below;
}

static _Noreturn __attribute__((noinline)) void bad_link(const struct free_list *list,
							 uint32_t index, uint64_t height)
{
	uint64_t found = *link_of(list, index);
	uint32_t below = (uint32_t)found;

	port_panic("free_list: free frame %#llx was written to: its link is %#llx, expected %#llx "
		   "(index %#llx below it, %llu more free)",
		   (unsigned long long)(list->first + index), (unsigned long long)found,
		   (unsigned long long)encode(list, index, height, below),
		   (unsigned long long)below, (unsigned long long)(height - 1));
}

/* The frame below, as the link says: the link is tested first, and only then followed. */
static inline uint32_t below_of(const struct free_list *list, uint32_t index, uint64_t height)
{
	uint64_t found = *link_of(list, index);
	uint32_t below = (uint32_t)found;

	if (__builtin_expect(found != encode(list, index, height, below), 0))
		bad_link(list, index, height);
	/* A link may be whole and yet an old one, or we have linked wrongly ourselves. */
	check(below == NONE ? height == 1 : below < list->frames && height > 1,
	      "free_list: frame %#llx links to index %#llx of %llu frames, expected %llu more free "
	      "ones",
	      (unsigned long long)(list->first + index), (unsigned long long)below,
	      (unsigned long long)list->frames, (unsigned long long)(height - 1));
#if CHECKS
	check(below == NONE || free_map_has_run(&list->map, list->first + below, 1),
	      "free_list: free frame %#llx was written to: its link is %#llx, an old one to frame "
	      "%#llx, expected a free frame there",
	      (unsigned long long)(list->first + index), (unsigned long long)found,
	      (unsigned long long)(list->first + below));
#endif
	return below;
}

static inline void push(struct free_list *list, uint64_t pfn)
{
	uint32_t index = (uint32_t)(pfn - list->first);

	list->free++;
	*link_of(list, index) = encode(list, index, list->free, list->top);
	list->top = index;
}

/* ---- the contract ------------------------------------------------------------------------ */

static unsigned list_claim(void *instance, unsigned min, unsigned max,
			   const struct policy_plan *plan, struct frame_word *words, unsigned *taken)
{
	struct free_list *list = instance;
	struct frame_word_list claimed = {.words = words};

	(void)max;
	(void)plan;
	while (claimed.frames < min && list->free) {
		uint64_t pfn = list->first + list->top;
		struct frame_word word = {frame_word_first(pfn), UINT64_C(1) << pfn % 64};

		if (!frame_word_add(&claimed, word, 1))
			break;
		list->top = below_of(list, list->top, list->free);
		list->free--;
	}
	for (unsigned i = 0; i < claimed.count; i++)
		free_map_take(&list->map, words[i]);
	*taken = claimed.frames;
	return claimed.count;
}

/* Also without CHECKS: more than there are were never claimed, and heights stay below 2^32. */
static void check_room(const struct free_list *list, uint64_t first, uint64_t count)
{
	check(count <= list->frames - list->free,
	      "free_list: %llu frames at %#llx are given back, but of %llu all but %llu are free: "
	      "some were freed twice",
	      (unsigned long long)count, (unsigned long long)first,
	      (unsigned long long)list->frames, (unsigned long long)(list->frames - list->free));
}

static void list_release(void *instance, const struct policy_plan *plan,
			 const struct frame_word *words, unsigned count)
{
	struct free_list *list = instance;

	(void)plan;
	while (count--) {
		uint64_t first = words[count].first, bits = words[count].bits;

		free_map_give(&list->map, words[count]);
		check_room(list, first, bits_count(bits));
		while (bits) {
			unsigned highest = 63 - bits_leading(bits);

			push(list, first + highest);
			bits ^= UINT64_C(1) << highest;
		}
	}
}

static enum run_result list_claim_run(void *instance, uint64_t count, uint64_t align,
				      unsigned steps, uint64_t *first)
{
	struct free_list *list = instance;
	uint32_t top = list->top;

	(void)steps;
	if (count > 1 || align > 1 || list->free == 0)
		return RUN_NONE;
	list->top = below_of(list, top, list->free);
	list->free--;
	*first = list->first + top;
	free_map_take_run(&list->map, *first, 1);
	return RUN_FOUND;
}

static void list_release_run(void *instance, uint64_t first, uint64_t count)
{
	struct free_list *list = instance;

	free_map_give_run(&list->map, first, count);
	check_room(list, first, count);
	while (count--)
		push(list, first + count);
}

static uint64_t list_validate(const void *instance)
{
	const struct free_list *list = instance;
	uint32_t index = list->top;

	check(list->free <= list->frames && (index == NONE) == (list->free == 0),
	      "free_list: %llu of %llu frames are free, and the top is %#llx",
	      (unsigned long long)list->free, (unsigned long long)list->frames,
	      (unsigned long long)index);
	for (uint64_t height = list->free; height > 0; height--)
		index = below_of(list, index, height);
#if CHECKS
	check(free_map_has_count(&list->map, list->free),
	      "free_list: %llu frames are in the list, another number is free by the map",
	      (unsigned long long)list->free);
	check(list->free == 0 || free_map_has_run(&list->map, list->first + list->top, 1),
	      "free_list: the top, frame %#llx, is not free by the map",
	      (unsigned long long)(list->first + list->top));
#endif
	return list->free;
}

const struct policy free_list_policy = {
	.name = "free_list",
	.uses_frames = true,
	.metadata_bytes = list_metadata_bytes,
	.init = list_init,
	.claim = list_claim,
	.release = list_release,
	.claim_run = list_claim_run,
	.release_run = list_release_run,
	.validate = list_validate,
};
