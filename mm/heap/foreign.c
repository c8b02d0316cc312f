/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * foreign.c - a caller gave the heap a pointer that is no block of it: what it is instead. And the states of
 * the heap's frames, by which frame_free() knows that a frame is the heap's.
 */
#include "mm/check.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc_private.h"

#if CHECKS
/* The head of the run that the frame is in; the frame itself if it is in none. */
static uint64_t head_of(const struct zone *zone, uint64_t frame)
{
	while (frame > zone->first && zone_frame_state(zone, frame) == FRAME_STATE_RUN_BODY)
		frame--;
	return frame;
}

static void panic_by_state(uint64_t frame, const void *pointer, const char *call, const void *caller)
{
	const struct zone *zone = zone_of(frame);
	uint64_t head = zone ? head_of(zone, frame) : frame;

	switch (zone ? zone_frame_state(zone, head) : FRAME_STATE_FREE) {
	case FRAME_STATE_ALLOCATED:
		port_panic("%s: %p is mismatched: found frame %#llx of frame_alloc there, which "
			   "frame_free frees, expected a block of the heap, called from [<%p>]",
			   call, pointer, (unsigned long long)frame, caller);
	case FRAME_STATE_RUN_HEAD:
		port_panic("%s: %p is mismatched: found a run of frame_alloc_run there, from frame "
			   "%#llx on, which frame_free_run frees, expected a block of the heap, "
			   "called from [<%p>]",
			   call, pointer, (unsigned long long)head, caller);
	case FRAME_STATE_HEAP_RUN:
		port_panic("%s: %p is an interior pointer: found it inside an allocated block at "
			   "%#llx, expected that block's start, called from [<%p>]",
			   call, pointer, (unsigned long long)(head << FRAME_SHIFT), caller);
	default:
		return;
	}
}
#else
static void panic_by_state(uint64_t frame, const void *pointer, const char *call, const void *caller)
{
	(void)frame;
	(void)pointer;
	(void)call;
	(void)caller;
}
#endif

void kheap_foreign(const struct found *found, const void *pointer, const char *call,
		   const void *caller)
{
	/* What is left of a slab, and the record of a slab in an arena, are no blocks. */
	if (!found->slab && !found->arena)
		panic_by_state(port_phys_address(pointer) >> FRAME_SHIFT, pointer, call, caller);
	port_panic("%s: %p is a wild pointer: found no block of the heap there, expected "
		   "an allocated one (or it was freed twice and its frames are given "
		   "back), called from [<%p>]",
		   call, pointer, caller);
}

void kheap_mark_frames(pfn_t first, bool single, bool of_heap)
{
#if CHECKS
	struct zone *zone = zone_of(first.value);
	uint8_t *state = &zone->state[first.value - zone->first];
	uint8_t owned = single ? FRAME_STATE_HEAP : FRAME_STATE_HEAP_RUN;
	uint8_t plain = single ? FRAME_STATE_ALLOCATED : FRAME_STATE_RUN_HEAD;

	/*
	 * Any other state is a mistake, which the free of the frames reports; or 0, because the state is that
	 * of 64 frames: such a run is not marked.
	 */
	if (*state == (of_heap ? plain : owned))
		*state = of_heap ? owned : plain;
#else
	(void)first;
	(void)single;
	(void)of_heap;
#endif
}
