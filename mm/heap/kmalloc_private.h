/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc_private.h - what kmalloc.c (blocks, the public functions), kmalloc_frames.c (frames,
 * outside the lock), slab.c (blocks of the size classes), front.c (the stacks of each CPU) and
 * kmalloc_stats.c (statistics, validation) share. kmalloc.c has the
 * invariants H1 to H3.
 *
 * struct kheap and all arenas are read and written under the lock, except by kheap_init() and
 * kheap_validate(), which run while no other CPU uses the heap.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/buddy.h"
#include "mm/heap/front.h"
#include "mm/heap/kmalloc.h"
#include "mm/heap/slab.h"
#include "mm/heap/span.h"
#include "sync/ck.h"
#include "sync/spinlock.h"

/* Order of a block of one frame, the smallest arena: 6 where a line has 64 bytes. */
#define FRAME_ORDER (FRAME_SHIFT - (unsigned)__builtin_ctz(PORT_CACHE_LINE))

struct arena {
	struct buddy buddy;
	uint64_t first; /* pfn */
	pfn_t frame;	/* the frame that holds this structure */
	struct arena *next;
	struct arena **link; /* the pointer to this arena: a list's head or a `next` */
};

_Static_assert(BUDDY_UNIT << FRAME_ORDER == FRAME_SIZE, "FRAME_ORDER is a frame's");
_Static_assert(sizeof(struct arena) <= FRAME_SIZE, "an arena has one frame of metadata");
_Static_assert(BUDDY_BYTES_MAX >> FRAME_SHIFT <= SPAN_SLOTS, "an arena's slots are in one node");

struct kheap {
	struct spinlock lock;
	/* All fields below are guarded by the lock. */
	struct arena *by_room[BUDDY_ROOMS];
	uint64_t rooms;
	struct arena *idle;
	struct span_index spans;
	struct slab_class class[KHEAP_CLASSES];
	uint64_t kept_frames; /* of slabs without allocated blocks; at most kept_max */
	uint64_t kept_max;
	uint32_t shrunk; /* 1: krealloc() has left a block of a buddy that is less than half used */
	uint64_t arena_claims; /* blocks that arenas have given out */
	/* Without the lock, by atomic operations: */
	uint64_t gone; /* slabs and arenas without allocated blocks that were given back or used */
	uint64_t in_transit;	  /* sections that hold free memory where no CPU finds it */
	struct kheap_stats stats; /* kheap_stats() computes metadata_frames and frames_held */
};

extern struct kheap kheap;

/*
 * The diagnostics (debug.h), while they are on: what they do instead of allocate() and release() in
 * kmalloc.c, and of krealloc() and kmalloc_usable_size(). release: `size` as the caller says, or 0.
 * give: all that freed blocks keep. fresh: the heap has got these frames. stats_locked corrects counts
 * of blocks, under the lock.
 */
struct kheap_debug {
	void *(*alloc)(size_t size, size_t align, unsigned flags, const void *caller);
	void (*release)(void *block, size_t size, const char *call, const void *caller);
	void *(*resize)(void *block, size_t size, const void *caller);
	size_t (*usable)(const void *block, const char *call, const void *caller);
	void (*give)(void);
	void (*fresh)(uint64_t first, uint64_t count);
	void (*stats_locked)(struct kheap_stats *stats);
};

extern const struct kheap_debug *kheap_debug; /* NULL: off */

/* One critical section of the heap's lock. */
struct hold {
	struct spin_node node;
	unsigned long flags;
};

static inline void heap_enter(struct hold *hold)
{
	hold->flags = port_irq_save();
	spin_lock(&kheap.lock, &hold->node);
}

static inline void heap_leave(struct hold *hold)
{
	spin_unlock(&kheap.lock, &hold->node);
	port_irq_restore(hold->flags);
}

/*@ terminates \true;
    assigns \nothing;
    ensures \result <==> \exists integer k; 0 <= k < 64 && number == 1 << k; */
static inline bool is_power_of_two(uint64_t number)
{
	//@ ghost powers(number);
	return number != 0 && (number & (number - 1)) == 0;
}

/* Whole frames for this many bytes; computed without a sum that could wrap. */
/*@ terminates \true;
    assigns \nothing;
    ensures \result == (bytes + 4095) / 4096; */
static inline uint64_t frames_for(size_t bytes)
{
	//@ ghost parts_of_frame(bytes);
	return (bytes >> FRAME_SHIFT) + ((bytes & (FRAME_SIZE - 1)) != 0);
}

static inline uint64_t frames_of_order(unsigned order)
{
	return UINT64_C(1) << (order - FRAME_ORDER);
}

static inline uint64_t arena_frames(const struct arena *arena)
{
	return frames_of_order(arena->buddy.order);
}

/* ---- what is at an address ------------------------------------------------------------------- */

enum verdict {
	VERDICT_LIVE,	  /* the start of an allocated block */
	VERDICT_FREE,	  /* in a free block */
	VERDICT_INTERIOR, /* in an allocated block, past its start */
	VERDICT_FOREIGN	  /* in no block of the heap */
};

/* The object of the heap at an address. */
struct found {
	enum verdict verdict;
	uint64_t start; /* of the block: physical */
	size_t bytes;
	struct slab *slab; /* NULL: none */
	struct span span;
	struct arena *arena; /* of SPAN_ARENA */
	struct buddy_block block;
};

/* ---- the lists of arenas by room, under the lock (H1) ---------------------------------------- */

static inline void list_locked(struct arena *arena)
{
	unsigned room = buddy_room(&arena->buddy);
	struct arena **head = &kheap.by_room[room];

	arena->next = *head;
	arena->link = head;
	if (*head)
		(*head)->link = &arena->next;
	*head = arena;
	kheap.rooms |= UINT64_C(1) << room;
}

/* `room`: the arena's room when it was put on its list. */
static inline void unlist_locked(struct arena *arena, unsigned room)
{
	*arena->link = arena->next;
	if (arena->next)
		arena->next->link = arena->link;
	if (!kheap.by_room[room])
		kheap.rooms &= ~(UINT64_C(1) << room);
}

/* Restores H1 after an operation on the arena's buddy, which may have changed its room. */
static inline void relist_locked(struct arena *arena, unsigned room_before)
{
	if (buddy_room(&arena->buddy) == room_before)
		return;
	unlist_locked(arena, room_before);
	list_locked(arena);
}

/* ---- memory in transit -------------------------------------------------------------------------- */

/*
 * Around each section in which a CPU holds memory that it may give back, or gives back memory that
 * was free before the call: an allocation that finds no memory waits until no CPU is in such a section
 * (kheap_gone). Interrupts are masked from the begin to the end, and no CPU is waited for. The
 * memory leaves its place after the begin.
 */
static inline void transit_begin(void)
{
	ck_pr_inc_64(&kheap.in_transit);
	ck_pr_fence_memory(); /* pairs with the one between the two loads in kheap_gone() */
	ck_pr_inc_64(&kheap.gone);
	ck_pr_fence_memory(); /* pairs with the first and the last one there */
}

static inline void transit_end(void)
{
	ck_pr_fence_release(); /* where the memory is now comes first; pairs with the last in kheap_gone() */
	ck_pr_dec_64(&kheap.in_transit);
}

/* ---- frames, without the lock ---------------------------------------------------------------- */

/* One frame without alignment is taken from this CPU's cache; a run is taken from a zone. */
static inline bool is_single(uint64_t count, uint64_t align)
{
	return count == 1 && align <= 1;
}

/*
 * For CHECKS: frames of the heap have another state than those of other owners, so that frame_free()
 * and frame_free_run() refuse them.
 */
void kheap_mark_frames(pfn_t first, bool single, bool of_heap);

static inline void mark_frames(pfn_t first, bool single, bool of_heap)
{
	if (CHECKS)
		kheap_mark_frames(first, single, of_heap);
}

/*
 * What the heap itself keeps is not looked for here: allocate() in kmalloc.c does that, where less of
 * the stack is in use.
 */
static inline pfn_t take_frames(uint64_t count, uint64_t align, unsigned flags)
{
	bool single = is_single(count, align);
	pfn_t first = single ? frame_alloc_behind(flags)
			     : frame_alloc_run_behind(count, align ? align : 1, flags);

	if (!pfn_is_none(first))
		mark_frames(first, single, true);
	return first;
}

static inline void give_frames(pfn_t first, uint64_t count, bool single)
{
	mark_frames(first, single, false);
	if (single)
		frame_free(first);
	else
		frame_free_run(first, count);
}

/* The frames that a critical section has taken out of the heap, to be given back after it. */
struct leaving {
	struct arena *arena;
	pfn_t run;
	uint64_t run_frames;
	bool run_single;
	struct span_nodes nodes;
};

/*
 * A step of an allocation or a release. Steps are not inlined into their callers, to save stack:
 * the deepest calls are those that wait for a frame, and while they run, only the step that makes
 * them should be on the stack.
 */
#define STEP __attribute__((noinline)) static

/* ---- kmalloc_frames.c: all without the lock ----------------------------------------------- */

/*
 * An arena of `order`, all free, in no list and not in the index; NULL: no frames. Waits for no CPU.
 * `first`: its frames, if they are allocated already, which are given back with NULL.
 */
struct arena *kheap_arena_take(unsigned order, pfn_t first);

/* The run keeps its first `frames` frames, at least one; the others become free. */
void kheap_run_shrink(const struct found *found, uint64_t frames);

/* Frees the frames of an arena that is in no list and not in the index. */
void kheap_arena_give(struct arena *arena);

/* Allocates a block of whole frames and enters it in the index; NULL: no frames. */
void *kheap_run_alloc(size_t size, size_t align, unsigned flags);

/* ---- kmalloc.c: without the lock ------------------------------------------------------------------ */

/* With the diagnostics, for a public function, whose caller is the call site. */
void *kheap_alloc_watched(size_t size, size_t align, unsigned flags, const void *caller);

/* Frees the caller's block; panics where there is none. `call`: the public function, for the message. */
void kheap_release(void *pointer, const char *call, const void *caller);

/* ---- arena.c: without the lock, but kheap_find_locked() ----------------------------------------- */

/* A block of a buddy, and its release. Asks no other CPU. NULL: no frames. */
void *kheap_buddy_alloc(unsigned order);
void kheap_buddy_free(void *block);

/* A block of a buddy, or of whole frames. `align` is a power of two. NULL: no frames. */
void *kheap_alloc_behind(size_t size, size_t align, unsigned flags);
/* A block of an arena that there is. */
void *kheap_take_fitting(size_t size, size_t align);
void kheap_release_behind(void *pointer, const char *call, const void *caller);

/* What is at the pointer; of a slab's block: nothing. */
struct found kheap_find_locked(const void *pointer);
/* Panics where that is no block's start of the caller's. */
void kheap_check_found(const struct found *found, const void *pointer, const char *call,
		       const void *caller);

/* The caller's block at the pointer; panics where that is no block's start of the caller's. */
static inline __attribute__((always_inline)) struct found kheap_find(const void *pointer,
								     const char *call,
								     const void *caller)
{
	struct found found = {.slab = NULL};
	struct hold hold;

	if (!slab_find(port_phys_address(pointer), &found)) {
		heap_enter(&hold);
		found = kheap_find_locked(pointer);
		heap_leave(&hold);
	}
	kheap_check_found(&found, pointer, call, caller);
	return found;
}

/* Panics: the pointer is in no block of a slab or an arena, and no block's start. */
_Noreturn void kheap_foreign(const struct found *found, const void *pointer, const char *call,
			     const void *caller);

/* Frees the frames of the arena without allocated blocks. */
void kheap_give_idle(void);

/* ---- slab.c: without the lock --------------------------------------------------------------------- */

/* Frees the frames of all slabs and arenas without allocated blocks. */
void kheap_give(void);
/*
 * How often any of them have been freed or used. Waits until no memory is in transit: so if the count
 * is the same at the end of a search, none was meanwhile.
 */
uint64_t kheap_gone(void);

/* ---- front.c: without the lock ----------------------------------------------------------------- */

/* A block of the class, of this CPU's stack or of a slab; the first adds a slab. Ask no other CPU. */
void *kheap_take_adding(unsigned class);
void *kheap_take_once(unsigned class);

/*
 * First comes a slab for a whole batch, if there are frames for it without asking: a refill of few
 * blocks costs as much as one of many. NULL: no frames, or class 0, or no front end.
 */
static inline void *kheap_take(unsigned class)
{
	const struct kheap_front *front = kheap_front_self();

	if (class == 0 || !front->work)
		return NULL;
	if (front->stack[class].top == front->base[class] &&
	    (int64_t)slab_free_blocks(&kheap.class[class]) < front->capacity[class] / 2)
		return kheap_take_adding(class);
	return kheap_take_once(class);
}

/*
 * A free block of a class that holds the size, which may be a larger one than the smallest. Adds no
 * slab. NULL: there is none.
 */
void *kheap_take_larger(size_t size, size_t align);

/* Blocks that slabs of classes that may serve the size, and arenas, have given out so far. */
uint64_t kheap_claims(size_t size);

/* Frees a block of a slab that is known to be allocated. */
void kheap_put(uint64_t address, unsigned class);
/* The same for a block whose state byte says already that it is free. */
void kheap_put_free(uint64_t address, unsigned class);

/* Every CPU without a front end: every call takes the heap's lock. */
void kheap_front_none(void);

/* All blocks on this CPU's stacks go to their slabs. */
void kheap_front_flush(void);

/* Blocks of the class on the stacks of all CPUs; exact at rest, else an estimate. */
uint64_t kheap_front_level(unsigned class);
bool kheap_front_others_hold(void);

/* At rest: panics if an invariant of a stack is broken. */
void kheap_front_validate(void);
