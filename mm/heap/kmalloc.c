/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc.c - the heap: arenas of frames cut up by buddies, runs of frames for what is large.
 *
 * Concept. An arena is a naturally aligned run of frames with a frame of its own beside it, in
 * which a buddy (buddy.h) keeps which blocks are free. No byte of an arena is anything but
 * blocks, so a block of 2^k bytes is aligned to 2^k up to the whole arena. Arenas hang on lists
 * by the room they have, and a request takes the one with the least that suffices: what is
 * nearly full fills up, and what is nearly empty gets the chance to be given back.
 *
 * A span index (span.h) tells for any address which arena or which large block is there.
 *
 * When no arena has room the heap takes frames: an arena of 32 frames if it can, a smaller one
 * if memory is short or fragmented, and at last just the frames of this one block. So a request
 * of up to a frame fails only when frame_alloc() does.
 *
 * Invariants
 *
 *   H1  Every arena is on the list by_room[its buddy_room()]; bit r of `rooms` says by_room[r]
 *	 is not empty.
 *   H2  Every frame of an arena has a slot in the index that names it; every large block has a
 *	 slot for its first frame, and no other frame has any.
 *   H3  An arena that is wholly free is `idle`, and there is at most one. It is kept so that a
 *	 block allocated and freed over and over does not take and give an arena each time.
 *	 kheap_trim() gives it back.
 *
 * Locking. One lock, "heap", with interrupts masked, guards all of it. Under it nothing is
 * zeroed, copied or printed, no frame is taken or given, and no caller's mistake panics: what is
 * found is carried out of the hold and acted upon there. The heap's lock is never held together
 * with a zone's. So between finding no room and adding an arena others may run: whoever adds
 * looks for room once more in the same hold, and gives its frames back when there is some by
 * then. A block being freed is its owner's until the hold that frees it, hence krealloc may copy
 * from it unlocked.
 *
 * Costs. A hold walks the index once and one buddy down and up; one that adds or removes an
 * arena also writes its slots, 32 at most. It does not depend on how much the heap holds.
 */
#include "mm/heap/kmalloc.h"

#include <string.h>

#include "mm/check.h"
#include "mm/frame.h"
#include "mm/global/bits.h"
#include "mm/global/zone.h"
#include "mm/heap/buddy.h"
#include "mm/heap/kheap.h"
#include "mm/heap/span.h"

/* Order of a block of one frame, the smallest arena: 6 where a line has 64 bytes. */
#define FRAME_ORDER (FRAME_SHIFT - (unsigned)__builtin_ctz(PORT_CACHE_LINE))

/* Above this no difference of two pointers into a block could be told. */
#define SIZE_LARGEST ((size_t)PTRDIFF_MAX)

struct arena {
	struct buddy buddy;
	uint64_t first; /* pfn */
	pfn_t frame;	/* that this structure lies in */
	struct arena *next;
	struct arena **link; /* the word that points here: a list's head or a `next` */
};

_Static_assert(BUDDY_UNIT << FRAME_ORDER == FRAME_SIZE, "FRAME_ORDER is a frame's");
_Static_assert(sizeof(struct arena) <= FRAME_SIZE, "an arena has one frame of metadata");
_Static_assert(BUDDY_BYTES_MAX >> FRAME_SHIFT <= SPAN_SLOTS, "an arena's slots are in one node");

static struct heap {
	struct spinlock lock;
	/* All guarded by the lock. */
	struct arena *by_room[BUDDY_ROOMS];
	uint64_t rooms;
	struct arena *idle;
	struct span_index spans;
	struct kheap_stats stats; /* metadata_frames and frames_held are made on demand */
} heap;

struct hold {
	struct spin_node node;
	unsigned long flags;
};

static void heap_enter(struct hold *hold)
{
	hold->flags = port_irq_save();
	spin_lock(&heap.lock, &hold->node);
}

static void heap_leave(struct hold *hold)
{
	spin_unlock(&heap.lock, &hold->node);
	port_irq_restore(hold->flags);
}

void kheap_init(enum spin_kind kind, void *lock_memory)
{
	const struct zone *last = &zones.zone[zones.count - 1];

	memset(&heap, 0, sizeof(heap));
	spin_init(&heap.lock, "heap", kind, port_cpu_count(), lock_memory);
	span_init(&heap.spans, zones.zone[0].first, last->first + last->total_frames);
}

struct spinlock *kheap_lock(void)
{
	return &heap.lock;
}

/* ---- sizes ------------------------------------------------------------------------------- */

static bool is_power_of_two(uint64_t number)
{
	return number != 0 && (number & (number - 1)) == 0;
}

/* No sum that could wrap. */
static uint64_t frames_for(size_t bytes)
{
	return (bytes >> FRAME_SHIFT) + ((bytes & (FRAME_SIZE - 1)) != 0);
}

static uint64_t frames_of_order(unsigned order)
{
	return UINT64_C(1) << (order - FRAME_ORDER);
}

/* True and the block's order when an arena's block wastes less than a frame over whole frames. */
static bool fits_block(size_t size, size_t align, unsigned *order)
{
	size_t bytes = size > align ? size : align;

	*order = 0;
	if (bytes > BUDDY_BYTES_MAX)
		return false;
	while (buddy_bytes(*order) < bytes)
		++*order;
	return frames_for(buddy_bytes(*order)) == frames_for(size);
}

/* ---- frames, outside the lock ------------------------------------------------------------ */

/* A single frame can come from any cpu's cache, a run cannot. */
static bool is_single(uint64_t count, uint64_t align)
{
	return count == 1 && align <= 1;
}

static pfn_t take_frames(uint64_t count, uint64_t align, unsigned flags)
{
	return is_single(count, align) ? frame_alloc(flags)
				       : frame_alloc_run_flags(count, align, flags);
}

static void give_frames(pfn_t first, uint64_t count, bool single)
{
	if (single)
		frame_free(first);
	else
		frame_free_run(first, count);
}

static uint64_t arena_frames(const struct arena *arena)
{
	return frames_of_order(arena->buddy.order);
}

static struct arena *arena_take(unsigned order, unsigned flags)
{
	uint64_t count = frames_of_order(order);
	pfn_t first = take_frames(count, count, flags);
	struct arena *arena;
	pfn_t frame;

	if (pfn_is_none(first))
		return NULL;
	frame = frame_alloc(flags);
	if (pfn_is_none(frame)) {
		give_frames(first, count, is_single(count, count));
		return NULL;
	}
	arena = frame_bytes(frame);
	arena->first = first.value;
	arena->frame = frame;
	buddy_init(&arena->buddy, order);
	return arena;
}

static void arena_give(struct arena *arena)
{
	uint64_t count = arena_frames(arena);

	give_frames(pfn(arena->first), count, is_single(count, count));
	frame_free(arena->frame);
}

/* What a hold took out of the heap, to be given back after it. */
struct leaving {
	struct arena *arena;
	pfn_t run;
	uint64_t run_frames;
	bool run_single;
	struct span_nodes nodes;
};

static void give_leaving(struct leaving *leaving)
{
	if (leaving->arena)
		arena_give(leaving->arena);
	if (leaving->run_frames)
		give_frames(leaving->run, leaving->run_frames, leaving->run_single);
	span_nodes_give(&leaving->nodes);
}

/* ---- arenas, under the lock -------------------------------------------------------------- */

static void list_locked(struct arena *arena)
{
	unsigned room = buddy_room(&arena->buddy);
	struct arena **head = &heap.by_room[room];

	arena->next = *head;
	arena->link = head;
	if (*head)
		(*head)->link = &arena->next;
	*head = arena;
	heap.rooms |= UINT64_C(1) << room;
}

/* `room`: what the arena had when it was listed. */
static void unlist_locked(struct arena *arena, unsigned room)
{
	*arena->link = arena->next;
	if (arena->next)
		arena->next->link = arena->link;
	if (!heap.by_room[room])
		heap.rooms &= ~(UINT64_C(1) << room);
}

/* After an operation on the arena's buddy: its room may be another now. */
static void relist_locked(struct arena *arena, unsigned room_before)
{
	if (buddy_room(&arena->buddy) == room_before)
		return;
	unlist_locked(arena, room_before);
	list_locked(arena);
}

static void add_arena_locked(struct arena *arena, struct span_nodes *nodes)
{
	struct span span = {SPAN_ARENA, arena->frame.value};

	span_enter(&heap.spans, arena->first, arena_frames(arena), span, nodes);
	list_locked(arena);
	heap.stats.arenas++;
	heap.stats.arenas_taken++;
	heap.stats.arena_frames += arena_frames(arena);
}

static void remove_arena_locked(struct arena *arena, struct leaving *leaving)
{
	span_remove(&heap.spans, arena->first, arena_frames(arena), &leaving->nodes);
	unlist_locked(arena, buddy_room(&arena->buddy));
	leaving->arena = arena;
	heap.stats.arenas--;
	heap.stats.arenas_given++;
	heap.stats.arena_frames -= arena_frames(arena);
}

/* Keeps H3 when `arena` has become wholly free. The larger of two is the one worth keeping. */
static void keep_one_idle_locked(struct arena *arena, struct leaving *leaving)
{
	struct arena *other = heap.idle;

	if (!other || other->buddy.order < arena->buddy.order) {
		heap.idle = arena;
		arena = other;
	}
	if (arena)
		remove_arena_locked(arena, leaving);
}

/* A block of the arena with the least room that suffices, or NULL. */
static void *take_block_locked(unsigned order)
{
	uint64_t fitting = heap.rooms & ~UINT64_C(0) << (order + 1);
	struct arena *arena;
	unsigned room;
	size_t offset;

	if (!fitting)
		return NULL;
	room = bits_lowest(fitting);
	arena = heap.by_room[room];
	if (arena == heap.idle)
		heap.idle = NULL;
	offset = buddy_alloc(&arena->buddy, order);
	relist_locked(arena, room);
	heap.stats.live_blocks++;
	heap.stats.allocated_bytes += buddy_bytes(order);
	return (char *)frame_bytes(pfn(arena->first)) + offset;
}

/* ---- allocation -------------------------------------------------------------------------- */

/*
 * What follows is not inlined into its callers: the deepest way down is where a frame is waited for, and
 * what one step needs would lie on the stack during all others.
 */
#define STEP __attribute__((noinline)) static

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
 * Adds the arena and takes a block of it; or a block of another where one has room by now, and
 * the arena goes back, as it does when the index lacks nodes that are not to be had. Others may
 * remove nodes while we fetch some, but once we have one a level, none can be missing.
 */
STEP void *try_adding(unsigned order, struct arena **arena, struct span_nodes *nodes,
		      unsigned *missing)
{
	struct hold hold;
	void *block;

	heap_enter(&hold);
	block = take_block_locked(order);
	*missing = span_missing(&heap.spans, (*arena)->first);
	if (!block && *missing <= nodes->count) {
		add_arena_locked(*arena, nodes);
		*arena = NULL;
		block = take_block_locked(order);
	}
	heap_leave(&hold);
	return block;
}

static void *take_block_adding(unsigned order, struct arena *arena, unsigned flags)
{
	struct span_nodes nodes = {.count = 0};
	unsigned missing;
	void *block;

	do
		block = try_adding(order, &arena, &nodes, &missing);
	while (!block && span_nodes_fill(&nodes, missing, flags));
	span_nodes_give(&nodes);
	if (arena)
		arena_give(arena);
	return block;
}

/*
 * An arena for just one block would only add its metadata: larger ones, or none. An arena of several
 * frames is a wish, not a need: no other cpu is asked for it.
 */
STEP void *alloc_block(unsigned order, unsigned flags)
{
	unsigned smallest = order < FRAME_ORDER ? FRAME_ORDER : order + 1;
	void *block = take_block(order);

	for (unsigned size = BUDDY_ORDER_MAX; !block && size >= smallest; size--) {
		unsigned may = size > FRAME_ORDER ? flags | FRAME_NOWAIT : flags;
		struct arena *arena = arena_take(size, may);

		if (arena)
			block = take_block_adding(order, arena, may);
	}
	return block;
}

STEP bool try_adding_run(pfn_t first, struct span span, struct span_nodes *nodes, unsigned *missing)
{
	struct hold hold;
	bool added;

	heap_enter(&hold);
	*missing = span_missing(&heap.spans, first.value);
	added = *missing <= nodes->count;
	if (added) {
		span_enter(&heap.spans, first.value, 1, span, nodes);
		heap.stats.runs++;
		heap.stats.run_frames += span.value;
		heap.stats.live_blocks++;
		heap.stats.allocated_bytes += span.value << FRAME_SHIFT;
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

/* Frames for this block alone. */
STEP void *alloc_run(size_t size, size_t align, unsigned flags)
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
	return frame_bytes(first);
}

/* align: a power of two. Zeroes nothing. */
static void *allocate(size_t size, size_t align, unsigned flags)
{
	unsigned order;
	void *block;

	if (size == 0 || size > SIZE_LARGEST)
		return NULL;
	if (fits_block(size, align, &order)) {
		block = alloc_block(order, flags & FRAME_NOWAIT);
		if (block)
			return block;
	}
	return alloc_run(size, align, flags & FRAME_NOWAIT);
}

/* ---- finding and freeing ----------------------------------------------------------------- */

enum verdict {
	VERDICT_LIVE,	  /* the start of an allocated block */
	VERDICT_FREE,	  /* in a block that is free */
	VERDICT_INTERIOR, /* in an allocated block, past its start */
	VERDICT_FOREIGN	  /* in nothing of the heap's */
};

/* What is at an address. */
struct found {
	enum verdict verdict;
	uint64_t start; /* of the block: physical */
	size_t bytes;
	struct span span;
	struct arena *arena; /* of SPAN_ARENA */
	struct buddy_block block;
};

static void find_block_locked(struct found *found, uint64_t address)
{
	struct arena *arena = frame_bytes(pfn(found->span.value));
	uint64_t arena_start = arena->first << FRAME_SHIFT;

	found->arena = arena;
	found->block = buddy_find(&arena->buddy, address - arena_start);
	found->start = arena_start + found->block.offset;
	found->bytes = buddy_bytes(found->block.order);
	found->verdict = found->block.allocated ? VERDICT_LIVE : VERDICT_FREE;
}

static struct found find_locked(const void *pointer)
{
	uint64_t address = port_phys_address(pointer);
	uint64_t frame = address >> FRAME_SHIFT;
	struct found found = {.span = span_find(&heap.spans, frame)};

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

/* A caller's mistake; no lock is held. */
static void check_found(const struct found *found, const void *pointer, const char *call,
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
		port_panic("%s: %p is a wild pointer: found no block of the heap there, expected "
			   "an allocated one (or it was freed twice and its frames are given "
			   "back), called from [<%p>]",
			   call, pointer, caller);
	}
}

static void free_locked(const struct found *found, struct leaving *leaving)
{
	heap.stats.live_blocks--;
	heap.stats.allocated_bytes -= found->bytes;
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
	span_remove(&heap.spans, leaving->run.value, 1, &leaving->nodes);
	heap.stats.runs--;
	heap.stats.run_frames -= leaving->run_frames;
}

STEP void release(void *pointer, const char *call, const void *caller)
{
	struct leaving leaving = {.arena = NULL};
	struct found found;
	struct hold hold;

	heap_enter(&hold);
	found = find_locked(pointer);
	if (found.verdict == VERDICT_LIVE)
		free_locked(&found, &leaving);
	heap_leave(&hold);
	check_found(&found, pointer, call, caller);
	give_leaving(&leaving);
}

STEP size_t usable_size(const void *pointer, const char *call, const void *caller)
{
	struct found found;
	struct hold hold;

	heap_enter(&hold);
	found = find_locked(pointer);
	heap_leave(&hold);
	check_found(&found, pointer, call, caller);
	return found.bytes;
}

/* ---- the public functions ---------------------------------------------------------------- */

void *kmalloc(size_t size)
{
	return allocate(size, 1, FRAME_ANY);
}

void *kmalloc_aligned(size_t size, size_t align)
{
	return kmalloc_flags(size, align, FRAME_ANY);
}

void *kmalloc_flags(size_t size, size_t align, unsigned flags)
{
	void *block = is_power_of_two(align) ? allocate(size, align, flags) : NULL;

	if (block && (flags & FRAME_ZERO))
		memset(block, 0, size);
	return block;
}

void *kcalloc(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return kmalloc_flags(bytes, 1, FRAME_ZERO);
}

/* A block stays where it is as long as it is more than half used, or cannot be smaller. */
void *krealloc(void *block, size_t size)
{
	const void *caller = __builtin_return_address(0);
	size_t usable;
	void *moved;

	if (!block)
		return allocate(size, 1, FRAME_ANY);
	if (size == 0) {
		release(block, "krealloc", caller);
		return NULL;
	}
	usable = usable_size(block, "krealloc", caller);
	if (size <= usable && (size > usable / 2 || usable == BUDDY_UNIT))
		return block;
	moved = allocate(size, 1, FRAME_ANY);
	if (!moved)
		return size <= usable ? block : NULL;
	memcpy(moved, block, size < usable ? size : usable);
	release(block, "krealloc", caller);
	return moved;
}

void kfree(void *block)
{
	if (block)
		release(block, "kfree", __builtin_return_address(0));
}

size_t kmalloc_usable_size(const void *block)
{
	if (!block)
		return 0;
	return usable_size(block, "kmalloc_usable_size", __builtin_return_address(0));
}

void kheap_trim(void)
{
	struct leaving leaving = {.arena = NULL};
	struct hold hold;

	heap_enter(&hold);
	if (heap.idle)
		remove_arena_locked(heap.idle, &leaving);
	heap.idle = NULL;
	heap_leave(&hold);
	give_leaving(&leaving);
}

/* ---- at rest ----------------------------------------------------------------------------- */

static void finish_stats(struct kheap_stats *stats)
{
	stats->metadata_frames = stats->arenas + heap.spans.node_frames;
	stats->frames_held = stats->arena_frames + stats->run_frames + stats->metadata_frames;
}

void kheap_stats(struct kheap_stats *stats)
{
	struct hold hold;

	heap_enter(&hold);
	*stats = heap.stats;
	finish_stats(stats);
	heap_leave(&hold);
}

static void validate_arena(struct arena *arena, unsigned room, struct kheap_stats *sum)
{
	struct buddy_count count = buddy_validate(&arena->buddy);
	uint64_t frames = arena_frames(arena);

	check(buddy_room(&arena->buddy) == room, "heap: arena %#llx with room %u is listed at %u",
	      (unsigned long long)arena->first, buddy_room(&arena->buddy), room);
	check((arena->first & (frames - 1)) == 0, "heap: arena %#llx of %llu frames is misaligned",
	      (unsigned long long)arena->first, (unsigned long long)frames);
	check((count.live_blocks == 0) == (arena == heap.idle),
	      "heap: arena %#llx has %llu live blocks, the idle arena is %p",
	      (unsigned long long)arena->first, (unsigned long long)count.live_blocks,
	      (void *)heap.idle);
	for (uint64_t i = 0; i < frames; i++) {
		struct span span = span_find(&heap.spans, arena->first + i);

		check(span.kind == SPAN_ARENA && span.value == arena->frame.value,
		      "heap: the index says %#llx, kind %d, of frame %llu of arena %#llx",
		      (unsigned long long)span.value, (int)span.kind, (unsigned long long)i,
		      (unsigned long long)arena->first);
	}
	sum->arenas++;
	sum->arena_frames += frames;
	sum->live_blocks += count.live_blocks;
	sum->allocated_bytes += count.live_bytes;
}

static void validate_lists(struct kheap_stats *sum)
{
	for (unsigned room = 0; room < BUDDY_ROOMS; room++) {
		struct arena **link = &heap.by_room[room];

		check((*link != NULL) == (heap.rooms >> room & 1),
		      "heap: the list of room %u begins with %p, its bit is %u", room,
		      (void *)*link, (unsigned)(heap.rooms >> room & 1));
		for (; *link; link = &(*link)->next) {
			check((*link)->link == link, "heap: arena %p is linked from %p, not %p",
			      (void *)*link, (void *)link, (void *)(*link)->link);
			validate_arena(*link, room, sum);
		}
	}
}

static void check_sum(const char *what, uint64_t counted, uint64_t found)
{
	check(counted == found, "heap: %s: counted %llu, found %llu", what,
	      (unsigned long long)counted, (unsigned long long)found);
}

void kheap_validate(void)
{
	struct span_count spans = span_validate(&heap.spans);
	struct kheap_stats sum = {.arenas = 0};

	validate_lists(&sum);
	check_sum("arenas", heap.stats.arenas, sum.arenas);
	check_sum("arenas, taken less given", heap.stats.arenas,
		  heap.stats.arenas_taken - heap.stats.arenas_given);
	check_sum("frames of arenas", heap.stats.arena_frames, sum.arena_frames);
	check_sum("frames of arenas in the index", spans.arena_frames, sum.arena_frames);
	check_sum("runs", heap.stats.runs, spans.runs);
	check_sum("frames of runs", heap.stats.run_frames, spans.run_frames);
	check_sum("live blocks", heap.stats.live_blocks, sum.live_blocks + spans.runs);
	check_sum("allocated bytes", heap.stats.allocated_bytes,
		  sum.allocated_bytes + (spans.run_frames << FRAME_SHIFT));
}
