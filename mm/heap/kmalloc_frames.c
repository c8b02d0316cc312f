/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc_frames.c - the heap's frames: takes and frees those of arenas and of large blocks.
 *
 * Frames are taken and given with no lock held. Between taking frames and entering them in the
 * index other CPUs may change the index: try_adding_run() counts the missing nodes again under the
 * lock.
 */
#include "mm/heap/kmalloc_private.h"

struct kheap kheap;
const struct kheap_debug *kheap_debug;

struct arena *kheap_arena_take(unsigned order, pfn_t first)
{
	uint64_t count = frames_of_order(order);
	struct arena *arena;
	pfn_t frame;

	if (pfn_is_none(first))
		first = take_frames(count, count, FRAME_NOWAIT);
	if (pfn_is_none(first))
		return NULL;
	frame = take_frames(1, 0, FRAME_NOWAIT);
	if (pfn_is_none(frame)) {
		give_frames(first, count, is_single(count, count));
		return NULL;
	}
	if (kheap_debug)
		kheap_debug->fresh(first.value, count);
	arena = frame_bytes(frame);
	arena->first = first.value;
	arena->frame = frame;
	buddy_init(&arena->buddy, order);
	return arena;
}

void kheap_arena_give(struct arena *arena)
{
	uint64_t count = arena_frames(arena);

	give_frames(pfn(arena->first), count, is_single(count, count));
	give_frames(arena->frame, 1, true);
}

/* ---- blocks of whole frames ------------------------------------------------------------ */

STEP bool try_adding_run(pfn_t first, struct span span, struct span_nodes *nodes, unsigned *missing)
{
	struct hold hold;
	bool added;

	heap_enter(&hold);
	*missing = span_missing(&kheap.spans, first.value);
	added = *missing <= nodes->count;
	if (added) {
		span_enter(&kheap.spans, first.value, 1, span, nodes);
		kheap.stats.runs++;
		kheap.stats.run_frames += span.value;
		kheap.stats.live_blocks++;
		kheap.stats.allocated_bytes += span.value << FRAME_SHIFT;
	}
	heap_leave(&hold);
	return added;
}

static bool add_run(pfn_t first, struct span span, unsigned flags)
{
	struct span_nodes nodes = {.count = 0};
	unsigned missing;
	bool added;

	do
		added = try_adding_run(first, span, &nodes, &missing);
	while (!added && span_nodes_fill(&nodes, missing, flags));
	span_nodes_give(&nodes);
	return added;
}

__attribute__((noinline)) void *kheap_run_alloc(size_t size, size_t align, unsigned flags)
{
	size_t natural = is_power_of_two(size) && size > align ? size : align;
	uint64_t count = frames_for(size);
	uint64_t align_frames = frames_for(natural);
	bool single = is_single(count, align_frames);
	pfn_t first = take_frames(count, align_frames, flags);

	if (pfn_is_none(first))
		return NULL;
	if (!add_run(first, (struct span){single ? SPAN_FRAME : SPAN_RUN, count}, flags)) {
		give_frames(first, count, single);
		return NULL;
	}
	if (kheap_debug)
		kheap_debug->fresh(first.value, count);
	return frame_bytes(first);
}

STEP void note_fewer_frames(uint64_t first, uint64_t before, uint64_t frames)
{
	struct hold hold;

	heap_enter(&hold);
	span_replace(&kheap.spans, first, (struct span){SPAN_RUN, frames});
	kheap.stats.run_frames -= before - frames;
	kheap.stats.allocated_bytes -= (before - frames) << FRAME_SHIFT;
	heap_leave(&hold);
}

void kheap_run_shrink(const struct found *found, uint64_t frames)
{
	uint64_t first = found->start >> FRAME_SHIFT;

	if (frames == found->span.value)
		return;
	note_fewer_frames(first, found->span.value, frames);
	mark_frames(pfn(first), false, false);
	frame_shrink_run(pfn(first), found->span.value, frames);
	mark_frames(pfn(first), false, true);
}
