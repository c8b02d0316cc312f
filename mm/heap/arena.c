/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arena.c - blocks of buddies in arenas of frames, and blocks of whole frames: all that the heap's
 * size classes are made of, and all blocks that are too large for these.
 *
 * Concept. An arena is a naturally aligned run of frames. A buddy (buddy.h) in one more frame
 * beside it keeps which of its blocks are free. All bytes of an arena are blocks, so a block of 2^k
 * bytes is aligned to 2^k, up to the whole arena. Arenas are on lists by the room that they have. A
 * request takes a block of an arena with the least room that suffices: so arenas that are nearly
 * full fill up, and those that are nearly empty may become free as a whole and be given back.
 *
 * A span index (span.h) finds, for any address, the arena or the large block there.
 *
 * When no arena has room, the heap takes frames: an arena of 32 frames if there is a free run of
 * 32, a smaller arena if memory is short or fragmented, and at last only the frames of this one
 * block. So a request of up to a frame fails only when frame_alloc() fails.
 *
 * Invariants
 *
 *   H1  Every arena is on the list by_room[its buddy_room()]; bit r of `rooms` says that by_room[r]
 *	 is not empty.
 *   H2  Every frame of an arena has a slot in the index that names the arena; every large block has
 *	 a slot for its first frame; no other frame has a slot.
 *   H3  An arena that is wholly free is `idle`, and there is at most one. The heap keeps it, so
 *	 that a block which is allocated and freed again and again does not take and give back an
 *	 arena each time. kheap_trim() gives it back.
 *
 * Locking. One lock, "heap", with interrupts masked, guards the whole heap. Under it the heap
 * zeroes, copies and prints nothing, takes and gives no frame, and reports no caller's mistake: it
 * acts on what it has found after it has released the lock. The lock is never held together with a
 * zone's. So other CPUs may run between the search for room and the addition of an arena: the CPU
 * that adds one looks for room once more in the same critical section, and gives its frames back if
 * there is room by then. A block that is being freed belongs to its owner until the critical
 * section that frees it, so krealloc may copy from it without the lock.
 *
 * Costs. A critical section walks the index once and one buddy down and up. A critical section that
 * adds or removes an arena also writes its slots, 32 at most. The cost does not depend on how much
 * the heap holds.
 *
 * Code that needs frames and no lock is in kmalloc_frames.c, statistics and validation in
 * kmalloc_stats.c.
 */
#include "mm/heap/kmalloc_private.h"

#include <limits.h>

#include "mm/check.h"
#include "mm/global/bits.h"
#include "sync/ck.h"
#include "sync/trace.h"

struct spinlock *kheap_lock(void)
{
	return &kheap.lock;
}

/* ---- sizes ------------------------------------------------------------------------------- */

#define NO_ORDER UINT_MAX

/*
 * The order of a block of an arena for the request, if it wastes less than a frame more than whole
 * frames would: then the request is served from an arena. Else NO_ORDER.
 */
static unsigned fitting_order(size_t size, size_t align)
{
	size_t bytes = size > align ? size : align;
	unsigned order = 0;

	if (bytes > BUDDY_BYTES_MAX)
		return NO_ORDER;
	while (buddy_bytes(order) < bytes)
		order++;
	return frames_for(buddy_bytes(order)) == frames_for(size) ? order : NO_ORDER;
}

/* ---- arenas, under the lock -------------------------------------------------------------- */

static void add_arena_locked(struct arena *arena, struct span_nodes *nodes)
{
	struct span span = {SPAN_ARENA, arena->frame.value};

	span_enter(&kheap.spans, arena->first, arena_frames(arena), span, nodes);
	list_locked(arena);
	kheap.stats.arenas++;
	kheap.stats.arenas_taken++;
	kheap.stats.arena_frames += arena_frames(arena);
}

/* The arena is in transit until give_leaving(). */
static void remove_arena_locked(struct arena *arena, struct leaving *leaving)
{
	transit_begin();
	span_remove(&kheap.spans, arena->first, arena_frames(arena), &leaving->nodes);
	unlist_locked(arena, buddy_room(&arena->buddy));
	leaving->arena = arena;
	kheap.stats.arenas--;
	kheap.stats.arenas_given++;
	kheap.stats.arena_frames -= arena_frames(arena);
}

/* Restores H3 after `arena` has become wholly free: keeps the larger of two idle arenas. */
static void keep_one_idle_locked(struct arena *arena, struct leaving *leaving)
{
	struct arena *other = kheap.idle;

	if (!other || other->buddy.order < arena->buddy.order) {
		ck_pr_store_ptr(&kheap.idle, arena);
		arena = other;
	}
	if (arena)
		remove_arena_locked(arena, leaving);
}

/* Takes a block of an arena with the least room that suffices; NULL: no arena has room. */
static void *take_block_locked(unsigned order)
{
	uint64_t fitting = kheap.rooms & ~UINT64_C(0) << (order + 1);
	struct arena *arena;
	unsigned room;
	size_t offset;

	if (!fitting)
		return NULL;
	room = bits_lowest(fitting);
	arena = kheap.by_room[room];
	if (arena == kheap.idle) {
		ck_pr_store_ptr(&kheap.idle, NULL);
		ck_pr_inc_64(&kheap.gone);
	}
	counter_add(&kheap.arena_claims, 1);
	offset = buddy_alloc(&arena->buddy, order);
	relist_locked(arena, room);
	kheap.stats.live_blocks++;
	kheap.stats.allocated_bytes += buddy_bytes(order);
	return (char *)frame_bytes(pfn(arena->first)) + offset;
}

/* ---- allocation -------------------------------------------------------------------------- */

STEP void *take_block(unsigned order)
{
	struct hold hold;
	void *block;

	heap_enter(&hold);
	block = take_block_locked(order);
	heap_leave(&hold);
	return block;
}

/*
 * Takes a block of another arena if one has room by now. Else adds *arena, sets it to NULL, and
 * takes a block of it. Where the index lacks more nodes than `nodes` has, it changes nothing and
 * sets *missing.
 */
STEP void *try_adding(unsigned order, struct arena **arena, struct span_nodes *nodes,
		      unsigned *missing)
{
	uint64_t frames = arena_frames(*arena), first = (*arena)->first;
	struct hold hold;
	void *block;

	heap_enter(&hold);
	block = take_block_locked(order);
	*missing = span_missing(&kheap.spans, (*arena)->first);
	if (!block && *missing <= nodes->count) {
		add_arena_locked(*arena, nodes);
		*arena = NULL;
		block = take_block_locked(order);
	}
	heap_leave(&hold);
	if (!*arena)
		trace_note(TRACE_ARENA_TAKE, frames, first);
	return block;
}

/*
 * Other CPUs may remove nodes of the index while this one fetches some. But with one node for each
 * level none can be missing, so the loop ends. Gives back the arena and the nodes that it did not
 * need.
 */
static void *take_block_adding(unsigned order, struct arena *arena)
{
	struct span_nodes nodes = {.count = 0};
	unsigned missing;
	void *block;

	do
		block = try_adding(order, &arena, &nodes, &missing);
	while (!block && span_nodes_fill(&nodes, missing, FRAME_NOWAIT));
	span_nodes_give(&nodes);
	if (arena)
		kheap_arena_give(arena);
	return block;
}

/*
 * In transit: adds an arena of `size` and takes a block of it. `first`: the frames of the arena, if they
 * are allocated already.
 */
STEP void *add_arena(unsigned order, unsigned size, pfn_t first)
{
	struct arena *arena = kheap_arena_take(size, first);

	return arena ? take_block_adding(order, arena) : NULL;
}

STEP void *take_block_of_new(unsigned order)
{
	unsigned long flags = port_irq_save();
	void *block = NULL;

	transit_begin();
	for (unsigned size = BUDDY_ORDER_MAX; !block && size >= FRAME_ORDER && size > order; size--)
		block = add_arena(order, size, PFN_NONE);
	transit_end();
	port_irq_restore(flags);
	return block;
}

/*
 * Takes a block from an arena, and adds an arena where none has room. An arena for a single block
 * would only cost its metadata, so new arenas are larger than the block. No CPU is asked for frames:
 * a smaller arena serves as well.
 */
__attribute__((noinline)) void *kheap_buddy_alloc(unsigned order)
{
	void *block = take_block(order);

	return block ? block : take_block_of_new(order);
}

/* The last resort: for the one frame of an arena other CPUs are asked. */
STEP void *add_last(unsigned order)
{
	pfn_t first = take_frames(1, 1, FRAME_ANY);
	unsigned long flags;
	void *block;

	if (pfn_is_none(first))
		return NULL;
	flags = port_irq_save();
	transit_begin();
	block = add_arena(order, FRAME_ORDER, first);
	transit_end();
	port_irq_restore(flags);
	return block;
}

void *kheap_take_fitting(size_t size, size_t align)
{
	unsigned order = fitting_order(size, align);

	return order != NO_ORDER ? take_block(order) : NULL;
}

void *kheap_alloc_behind(size_t size, size_t align, unsigned flags)
{
	unsigned order = fitting_order(size, align);
	void *block = NULL;

	if (order != NO_ORDER)
		block = kheap_buddy_alloc(order);
	if (!block && !(flags & FRAME_NOWAIT) && order < FRAME_ORDER)
		block = add_last(order);
	if (!block)
		block = kheap_run_alloc(size, align, flags & FRAME_NOWAIT);
	return block;
}

/* ---- finding and freeing ----------------------------------------------------------------- */

static void find_block_locked(struct found *found, uint64_t address)
{
	struct arena *arena = frame_bytes(pfn(found->span.value));
	uint64_t arena_start = arena->first << FRAME_SHIFT;

	found->arena = arena;
	found->block = buddy_find(&arena->buddy, address - arena_start);
	found->start = arena_start + found->block.offset;
	found->bytes = buddy_bytes(found->block.order);
	found->verdict = found->block.allocated ? VERDICT_LIVE : VERDICT_FREE;
	if (found->block.allocated && found->bytes == SLAB_RECORD_BYTES &&
	    slab_is_record_locked(found->start))
		found->verdict = VERDICT_FOREIGN; /* no caller has it */
}

struct found kheap_find_locked(const void *pointer)
{
	uint64_t address = port_phys_address(pointer);
	uint64_t frame = address >> FRAME_SHIFT;
	struct found found = {.span = span_find(&kheap.spans, frame)};

	switch (found.span.kind) {
	case SPAN_ARENA:
		find_block_locked(&found, address);
		break;
	case SPAN_RUN:
	case SPAN_FRAME:
		found.start = frame << FRAME_SHIFT;
		found.bytes = found.span.value << FRAME_SHIFT;
		found.verdict = VERDICT_LIVE;
		break;
	default:
		found.verdict = VERDICT_FOREIGN;
	}
	if (found.verdict == VERDICT_LIVE && found.start != address)
		found.verdict = VERDICT_INTERIOR;
	return found;
}

/* Panics where the caller's pointer is no live block; no lock is held. */
void kheap_check_found(const struct found *found, const void *pointer, const char *call,
		       const void *caller)
{
	unsigned long long start = found->start;

	switch (found->verdict) {
	case VERDICT_LIVE:
		return;
	case VERDICT_FREE:
		port_panic("%s: %p is freed twice: found a free block of %zu bytes at %#llx, "
			   "expected an allocated one (or it was never allocated), called from "
			   "[<%p>]",
			   call, pointer, found->bytes, start, caller);
	case VERDICT_INTERIOR:
		port_panic("%s: %p is an interior pointer: found it inside an allocated block of "
			   "%zu bytes at %#llx, expected that block's start, called from [<%p>]",
			   call, pointer, found->bytes, start, caller);
	default:
		kheap_foreign(found, pointer, call, caller);
	}
}

/* Without the lock, interrupts masked: frees all that the critical section has taken out. */
static void give_leaving(struct leaving *leaving)
{
	if (leaving->arena) {
		trace_note(TRACE_ARENA_GIVE, arena_frames(leaving->arena), leaving->arena->first);
		kheap_arena_give(leaving->arena);
		transit_end();
	}
	if (leaving->run_frames)
		give_frames(leaving->run, leaving->run_frames, leaving->run_single);
	span_nodes_give(&leaving->nodes);
}

static void free_locked(const struct found *found, struct leaving *leaving)
{
	kheap.stats.live_blocks--;
	kheap.stats.allocated_bytes -= found->bytes;
	if (found->arena) {
		struct arena *arena = found->arena;
		unsigned room = buddy_room(&arena->buddy);

		buddy_free(&arena->buddy, found->block);
		relist_locked(arena, room);
		if (buddy_is_empty(&arena->buddy))
			keep_one_idle_locked(arena, leaving);
		return;
	}
	leaving->run = pfn(found->start >> FRAME_SHIFT);
	leaving->run_frames = found->span.value;
	leaving->run_single = found->span.kind == SPAN_FRAME;
	span_remove(&kheap.spans, leaving->run.value, 1, &leaving->nodes);
	kheap.stats.runs--;
	kheap.stats.run_frames -= leaving->run_frames;
}

STEP void take_out(void *pointer, const char *call, const void *caller, struct leaving *leaving)
{
	struct found found;
	struct hold hold;

	heap_enter(&hold);
	found = kheap_find_locked(pointer);
	if (found.verdict == VERDICT_LIVE)
		free_locked(&found, leaving);
	heap_leave(&hold);
	kheap_check_found(&found, pointer, call, caller);
}

__attribute__((noinline)) void kheap_release_behind(void *pointer, const char *call,
						    const void *caller)
{
	struct leaving leaving = {.arena = NULL};
	unsigned long flags = port_irq_save();

	take_out(pointer, call, caller, &leaving);
	give_leaving(&leaving);
	port_irq_restore(flags);
}

void kheap_buddy_free(void *block)
{
	kheap_release_behind(block, "slab", __builtin_return_address(0));
}

/* ---- idle memory -------------------------------------------------------------------------- */

STEP bool remove_idle(struct leaving *leaving)
{
	struct hold hold;
	bool found;

	heap_enter(&hold);
	found = kheap.idle != NULL;
	if (found)
		remove_arena_locked(kheap.idle, leaving);
	ck_pr_store_ptr(&kheap.idle, NULL);
	heap_leave(&hold);
	return found;
}

void kheap_give_idle(void)
{
	struct leaving leaving = {.arena = NULL};
	unsigned long flags = port_irq_save();

	if (ck_pr_load_ptr(&kheap.idle) && remove_idle(&leaving))
		give_leaving(&leaving);
	port_irq_restore(flags);
}
