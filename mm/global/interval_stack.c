/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * interval_stack.c - a policy that is a stack of free intervals.
 *
 * What it is
 *
 *   Free memory that no claim has cut to pieces is one interval, and two numbers describe it. So
 *   this policy keeps intervals [start, start + count) in an array that is a stack:
 *
 *   - Frames are claimed from the low end of the top interval, which is gone when it is used up.
 *   - What is given back is pushed: one interval for each row of neighbouring frames. Where it
 *     touches the top interval it is joined to it, and with no other is it compared. So a batch
 *     that comes back as it went is one interval again, and what comes back in any other order
 *     stays in pieces, however much of it lies side by side.
 *   - A run is cut from the first interval that has room for it at the right alignment, of the few
 *     hundred at the top, where a run lies that was given back lately, and then of as many at the
 *     bottom, where the intervals lie that no claim has had to break yet. The search is not longer
 *     than that: complete it could not be, since what it looks for may lie there in pieces.
 *
 *   Claims and releases look at the top and nowhere else: O(1) a piece, last in, first out, so that
 *   frames which may still be in a data cache go out first.
 *
 * Invariants (under the zone's lock, between calls)
 *
 *   I1  Intervals are not empty, lie in the zone, and no two have a frame in common. Together they
 *	 are what is free.
 *
 * How large the stack may grow
 *
 *   By I1 there are at most as many intervals as there are free frames, and so as the zone has
 *   frames: n. There can be that many: give back every other frame first, then the frames between
 *   them; then no interval touches the one pushed before it. So there is room for n intervals, and
 *   no push checks for room. A run taken out of the middle of an interval leaves two intervals, and
 *   cannot overflow the stack either. Joining all neighbours would need room for n / 2 only, but a
 *   walk over all of them to do it.
 *
 * Cost, for n frames: claim and release O(pieces), of which a word has 32 at worst; a run O(1), or
 * what 2 * LOOK intervals cost to look at.
 * Metadata: 8 bytes a frame, of which only as much is ever touched as there were intervals at once,
 * and with CHECKS 1/8 byte more, for the map that knows a frame freed twice (free_map.h).
 *
 * What it cannot do: put together what came back in pieces. Two intervals side by side are two, so
 * a run that lies across them is not found, and after some random traffic there are no runs to
 * speak of; a run in the middle of a deep stack is not found either (exact_runs is not set).
 * Nor does it know the lowest free frame, or anything by address.
 */
#include "mm/global/interval_stack.h"

#include "mm/check.h"
#include "mm/global/frame_word.h"
#include "mm/global/free_map.h"

/* Intervals at either end that a run is looked for in: about the work of 512 words of bitmap. */
#define LOOK 256

/* In frames, from the zone's first: a zone has no more than 2^31. */
struct interval {
	uint32_t start, count;
};

_Static_assert(sizeof(struct interval) == 8, "8 bytes an interval");

struct interval_stack {
	uint64_t first; /* the zone's, pfn */
	uint64_t count;
	uint64_t depth; /* intervals [0, depth); the top is depth - 1 */
	struct free_map map;
	struct interval *intervals;
};

static size_t stack_metadata_bytes(uint64_t first, uint64_t count)
{
	return sizeof(struct interval_stack) + free_map_bytes(first, count) +
	       count * sizeof(struct interval);
}

/* Entries above the top are never read, and are left as they are. */
static void *stack_init(void *memory, uint64_t first, uint64_t count)
{
	struct interval_stack *stack = memory;

	stack->first = first;
	stack->count = count;
	stack->depth = 0;
	stack->intervals = free_map_init(&stack->map, stack + 1, first, count);
	return stack;
}

/* ---- the stack --------------------------------------------------------------------------- */

static void append(struct interval_stack *stack, uint32_t start, uint32_t count)
{
	assert(stack->depth < stack->count);
	stack->intervals[stack->depth++] = (struct interval){start, count};
}

/* Gives back [start, start + count): joined to the top where the two touch. */
static void push(struct interval_stack *stack, uint32_t start, uint32_t count)
{
	struct interval *top = stack->depth ? &stack->intervals[stack->depth - 1] : NULL;

	if (top && top->start + top->count == start) {
		top->count += count;
	} else if (top && start + count == top->start) {
		top->start = start;
		top->count += count;
	} else {
		append(stack, start, count);
	}
}

/* Takes frames off the low end of the top, at most `most` and none beyond the word they begin in.
 */
static struct frame_word pop(struct interval_stack *stack, unsigned most, unsigned *frames)
{
	struct interval *top = &stack->intervals[stack->depth - 1];
	uint64_t pfn = stack->first + top->start;
	unsigned from = pfn % FRAMES_PER_WORD, count = FRAMES_PER_WORD - from;

	if (count > most)
		count = most;
	if (count > top->count)
		count = top->count;
	top->start += count;
	top->count -= count;
	if (!top->count)
		stack->depth--;
	*frames = count;
	return (struct frame_word){pfn - from, bits_between(from, from + count)};
}

/* ---- single frames, by the word ---------------------------------------------------------- */

static unsigned stack_claim(void *instance, unsigned min, unsigned max,
			    const struct policy_plan *plan, struct frame_word *words,
			    unsigned *taken)
{
	struct interval_stack *stack = instance;
	struct frame_word_list list = {.words = words};

	(void)plan;
	while (stack->depth && list.frames < min && list.count < POLICY_WORDS_MAX) {
		unsigned frames;
		struct frame_word word = pop(stack, max - list.frames, &frames);

		free_map_take(&stack->map, word);
		frame_word_add(&list, word, frames); /* there is room for one more */
	}
	*taken = list.frames;
	return list.count;
}

static void release_word(struct interval_stack *stack, struct frame_word word)
{
	uint64_t start = word.first - stack->first;

	free_map_give(&stack->map, word);
	while (word.bits) {
		unsigned from = bits_lowest(word.bits);
		uint64_t above = ~(word.bits >> from);
		unsigned count = above ? bits_lowest(above) : FRAMES_PER_WORD;

		push(stack, (uint32_t)(start + from), count);
		word.bits &= ~bits_between(from, from + count);
	}
}

static void stack_release(void *instance, const struct policy_plan *plan,
			  const struct frame_word *words, unsigned count)
{
	struct interval_stack *stack = instance;

	(void)plan;
	for (unsigned i = 0; i < count; i++)
		release_word(stack, words[i]);
}

/* ---- runs -------------------------------------------------------------------------------- */

/* Whether a run fits into the interval, and at which of the zone's frames it then starts. */
static bool has_room(const struct interval_stack *stack, const struct interval *interval,
		     uint64_t count, uint64_t align, uint64_t *start)
{
	uint64_t pfn = stack->first + interval->start;
	uint64_t passed = ((pfn + align - 1) & ~(align - 1)) - pfn;

	*start = interval->start + passed;
	return passed < interval->count && count <= interval->count - passed;
}

/* Takes [start, start + count) out of the interval at `depth`, which has it. */
static void cut(struct interval_stack *stack, uint64_t depth, uint32_t start, uint32_t count)
{
	struct interval *interval = &stack->intervals[depth];
	uint32_t below = start - interval->start, above = interval->count - below - count;

	if (below) {
		interval->count = below;
		if (above)
			append(stack, start + count, above);
	} else if (above) {
		*interval = (struct interval){start + count, above};
	} else {
		*interval = stack->intervals[--stack->depth];
	}
}

/* The first LOOK intervals from the top down, then those from the bottom up. */
static bool search(const struct interval_stack *stack, uint64_t count, uint64_t align,
		   uint64_t *depth, uint64_t *start)
{
	for (uint64_t look = 0; look < 2 * LOOK && look < stack->depth; look++) {
		*depth = look < LOOK ? stack->depth - 1 - look : look - LOOK;
		if (has_room(stack, &stack->intervals[*depth], count, align, start))
			return true;
	}
	return false;
}

static enum run_result stack_claim_run(void *instance, uint64_t count, uint64_t align,
				       unsigned steps, uint64_t *first)
{
	struct interval_stack *stack = instance;
	uint64_t depth, start;

	(void)steps; /* the search is always bounded */
	if (!search(stack, count, align, &depth, &start))
		return RUN_NONE;
	cut(stack, depth, (uint32_t)start, (uint32_t)count);
	*first = stack->first + start;
	free_map_take_run(&stack->map, *first, count);
	return RUN_FOUND;
}

static void stack_release_run(void *instance, uint64_t first, uint64_t count)
{
	struct interval_stack *stack = instance;

	free_map_give_run(&stack->map, first, count);
	push(stack, (uint32_t)(first - stack->first), (uint32_t)count);
}

/* ---- validation -------------------------------------------------------------------------- */

static void validate_interval(const struct interval_stack *stack, uint64_t depth)
{
	const struct interval *interval = &stack->intervals[depth];

	check(interval->count && interval->start < stack->count &&
		      interval->count <= stack->count - interval->start,
	      "interval_stack: interval %llu is %u frames from %u on, the zone has %llu",
	      (unsigned long long)depth, interval->count, interval->start,
	      (unsigned long long)stack->count);
}

/* Intervals are struck off the map, where they are not yet, and then all of it is put back. */
static uint64_t stack_validate(const void *instance)
{
	const struct interval_stack *stack = instance;
	struct free_map map = stack->map;
	uint64_t free = 0;

	check(stack->depth <= stack->count, "interval_stack: %llu intervals of %llu frames",
	      (unsigned long long)stack->depth, (unsigned long long)stack->count);
	for (uint64_t depth = 0; depth < stack->depth; depth++) {
		uint64_t first = stack->first + stack->intervals[depth].start;

		validate_interval(stack, depth);
		check(free_map_has_run(&map, first, stack->intervals[depth].count),
		      "interval_stack: interval %llu has frames that are not free, or another's",
		      (unsigned long long)depth);
		free_map_take_run(&map, first, stack->intervals[depth].count);
		free += stack->intervals[depth].count;
	}
	check(free_map_has_count(&map, 0), "interval_stack: a free frame is in no interval");
	for (uint64_t depth = 0; depth < stack->depth; depth++)
		free_map_give_run(&map, stack->first + stack->intervals[depth].start,
				  stack->intervals[depth].count);
	return free;
}

const struct policy interval_stack_policy = {
	.name = "interval_stack",
	.has_runs = true,
	.aligns_runs = true,
	.metadata_bytes = stack_metadata_bytes,
	.init = stack_init,
	.claim = stack_claim,
	.release = stack_release,
	.claim_run = stack_claim_run,
	.release_run = stack_release_run,
	.validate = stack_validate,
};
