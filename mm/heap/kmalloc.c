/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc.c - the public functions of the heap, where they are no hit of the front end: blocks of
 * small sizes come from slabs (slab.c) through the stacks of this CPU (front.c), all others, and
 * these too where no slab is to be had, from arenas and whole frames (arena.c).
 *
 * One lock, "heap", with interrupts masked, guards slabs, arenas and the index. Under it the heap
 * zeroes, copies and prints nothing, takes and gives no frame, and reports no caller's mistake: it
 * acts on what it has found after it has released the lock. The lock is never held together with a
 * zone's. A block that is being freed belongs to its owner until the push or the critical section
 * that frees it, so krealloc may copy from it without the lock.
 */
#include "mm/heap/kmalloc_private.h"

#include <string.h>

#include "mm/check.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/percpu/drain.h"
#include "mm/words.h"

/* The part of memory that slabs without allocated blocks may keep: 1/64. */
#define KEPT_PART 64

/* The difference of two pointers into a larger block would not fit ptrdiff_t. */
#define SIZE_LARGEST ((size_t)PTRDIFF_MAX)

void kheap_init(enum spin_kind kind, void *lock_memory)
{
	const struct zone *last = &zones.zone[zones.count - 1];

	memset(&kheap, 0, sizeof(kheap));
	spin_init(&kheap.lock, "heap", kind, port_cpu_count(), lock_memory);
	span_init(&kheap.spans, zones.zone[0].first, last->first + last->total_frames);
	slab_init(kheap.class);
	kheap.kept_max = frame_total_count() / KEPT_PART;
	kheap_front_none();
}

/* ---- allocation and release ----------------------------------------------------------------- */

/* The smallest class whose blocks hold the size and are all aligned; 0: there is none. */
static unsigned aligned_class(size_t size, size_t align)
{
	unsigned class = size <= KHEAP_SIZE_MAX ? kheap_class_of(size) : KHEAP_CLASSES;

	for (; class < KHEAP_CLASSES; class ++)
		if ((kheap.class[class].size & (align - 1)) == 0)
			return class;
	return 0;
}

/* What a search must find unchanged at its end. */
struct seen {
	uint64_t gone, claims;
};

static struct seen see(size_t size)
{
	struct seen seen = {.gone = kheap_gone()};

	seen.claims = kheap_claims(size);
	ck_pr_fence_memory(); /* the search comes after it, and before kheap_gone() of the next */
	return seen;
}

/*
 * Exact: NULL only if at some instant of the call no memory for the block was free anywhere.
 *
 * That instant is the one at which kheap_run_alloc() found no frame. All CPUs' caches were parked
 * then, so no block was on a stack. What was free in a slab or an arena then is found by the looks
 * at these, which come later, unless another CPU has claimed it in between; then `claims` or `gone`
 * has changed. What was wholly free becomes frames (kheap_give), which changes `gone` too; and memory
 * in transit does. So if nothing has changed, nothing was free. Else the search is repeated: this CPU
 * has given memory, or other CPUs have taken or given some since the search began.
 *
 * With FRAME_NOWAIT no CPU is asked, so NULL says nothing about the caches and stacks of others.
 */
static __attribute__((noinline)) void *allocate_exactly(size_t size, size_t align, unsigned flags)
{
	struct seen before, after = see(size);
	void *block;

	do {
		before = after;
		block = kheap_run_alloc(size, align, flags & FRAME_NOWAIT);
		if (block)
			break;
		kheap_give();
		block = kheap_take_fitting(size, align);
		if (!block)
			block = kheap_take_larger(size, align);
		if (block)
			break;
		after = see(size);
	} while (after.gone != before.gone || after.claims != before.claims);
	return block;
}

/*
 * `align` is a power of two. Zeroes nothing. Small blocks come from slabs; behind these come buddies
 * and whole frames, whatever the size. Where none of them has memory, all is searched again, for any
 * memory that will do.
 */
static inline __attribute__((always_inline)) void *allocate(size_t size, size_t align,
							    unsigned flags)
{
	unsigned class;
	void *block;

	if (size == 0 || size > SIZE_LARGEST)
		return NULL;
	class = aligned_class(size, align);
	block = kheap_take(class);
	if (!block)
		block = kheap_alloc_behind(size, align, flags);
	return block ? block : allocate_exactly(size, align, flags);
}

void *kheap_refill(unsigned class, size_t size)
{
	return class ? allocate(size, 1, FRAME_ANY) : NULL;
}

/* True, and the class in *class, for a block of a slab, which is checked and not free afterwards. */
STEP bool is_of_slab(void *pointer, const char *call, const void *caller, unsigned *class)
{
	struct found found = {.slab = NULL};

	if (!slab_find(port_phys_address(pointer), &found))
		return false;
	kheap_check_found(&found, pointer, call, caller);
	*class = found.slab->class;
	return true;
}

static void release(void *pointer, const char *call, const void *caller)
{
	unsigned class;

	if (is_of_slab(pointer, call, caller, &class))
		kheap_put(port_phys_address(pointer), class);
	else
		kheap_release_behind(pointer, call, caller);
}

STEP size_t usable_size(const void *pointer, const char *call, const void *caller)
{
	struct found found = {.slab = NULL};
	struct hold hold;

	if (!slab_find(port_phys_address(pointer), &found)) {
		heap_enter(&hold);
		found = kheap_find_locked(pointer);
		heap_leave(&hold);
	}
	kheap_check_found(&found, pointer, call, caller);
	return found.bytes;
}

/* ---- the public functions ---------------------------------------------------------------- */

void *kheap_large(size_t size)
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

	/* Each block is whole words, and the memset of a C library may go byte by byte. */
	if (block && (flags & FRAME_ZERO))
		words_fill(block, 0, (size + 7) / 8);
	return block;
}

void *kcalloc(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	return kmalloc_flags(bytes, 1, FRAME_ZERO);
}

/* A block that stays more than half used is not moved, nor one of the smallest size. */
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
	if (size <= usable && (size > usable / 2 || usable <= BUDDY_UNIT))
		return block;
	moved = allocate(size, 1, FRAME_ANY);
	if (!moved)
		return size <= usable ? block : NULL;
	memcpy(moved, block, size < usable ? size : usable);
	release(block, "krealloc", caller);
	return moved;
}

void kheap_free_elsewhere(void *block)
{
	if (block)
		release(block, "kfree", __builtin_return_address(0));
}

void kheap_overflow(uint64_t address, struct kheap_stack *stack)
{
	unsigned class = (unsigned)(stack - kheap_front_self()->stack);

	if (class == 0)
		kheap_free_elsewhere(port_phys_pointer(address));
	else
		kheap_put_free(address, class);
}

size_t kmalloc_usable_size(const void *block)
{
	if (!block)
		return 0;
	return usable_size(block, "kmalloc_usable_size", __builtin_return_address(0));
}

/* The stacks of other CPUs are emptied by the drain of their frames. */
void kheap_trim(void)
{
	if (kheap_front_others_hold()) {
		frame_drain_ask();
		frame_drain_settle();
	}
	kheap_front_flush();
	kheap_give();
}
