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
 * that frees it.
 */
#include "mm/heap/kmalloc_private.h"

#include <string.h>

#include "mm/check.h"
#include "mm/fault.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/percpu/drain.h"
#include "mm/words.h"
#include "sync/ck.h"
#include "sync/counter_start.h"
#include "sync/trace.h"

/* The part of memory that slabs without allocated blocks may keep: 1/64. */
#define KEPT_PART 64

/* The difference of two pointers into a larger block would not fit ptrdiff_t. */
#define SIZE_LARGEST ((size_t)PTRDIFF_MAX)

/* The classes end where a frame does. */
_Static_assert(KHEAP_SIZE_MAX < FRAME_SIZE, "aligned_class()");

/*@ requires align != 0 && (align & (uint64_t)(align - 1)) == 0 && size + align - 1 <= UINT64_MAX;
    terminates \true;
    assigns \nothing;
    ensures size <= \result < size + align && (\result & (align - 1)) == 0; */
static size_t round_up(size_t size, size_t align)
{
	//@ ghost rounded(size, align);
	return (size + align - 1) & ~(align - 1);
}

void kheap_init(enum spin_kind kind, void *lock_memory)
{
	const struct zone *last = &zones.zone[zones.count - 1];

	memset(&kheap, 0, sizeof(kheap));
	spin_init(&kheap.lock, "heap", kind, port_cpu_count(), lock_memory);
	span_init(&kheap.spans, zones.zone[0].first, last->first + last->total_frames);
	slab_init(kheap.class);
	kheap.kept_max = frame_total_count() / KEPT_PART;
	kheap.gone = kheap.arena_claims = COUNTER_START_64;
	kheap_debug = NULL;
	kheap_front_none();
}

/* ---- allocation and release ----------------------------------------------------------------- */

/*
 * The smallest class whose blocks hold the size and are all aligned; 0: there is none. A multiple of
 * `align` is a class, or its class is a multiple of `align` too: the classes of one doubling are
 * multiples of an eighth of its start, which is a power of two.
 */
static unsigned aligned_class(size_t size, size_t align)
{
	size_t bytes = round_up(size, align);

	return size <= KHEAP_SIZE_MAX && bytes <= FRAME_SIZE ? kheap_class_of(bytes) : 0;
}

/*
 * What a search must find unchanged at its end: a sum of two counts that only grow, so it is the same
 * only if both are.
 */
static uint64_t changes(size_t size)
{
	uint64_t count = kheap_gone() + kheap_claims(size);

	/* The search comes after it. Pairs with the release of the heap's lock behind each change of `claimed`. */
	ck_pr_fence_memory();
	return count;
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
	uint64_t begun = trace_begin();
	uint64_t before, after = changes(size);
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
		after = changes(size);
	} while (after != before);
	trace_end(TRACE_HEAP_SEARCH, begun, size, block != NULL);
	return block;
}

/* No block: there are no diagnostics, and the allocation does not fail on purpose. */
#define NOT_WATCHED ((void *)&kheap)

STEP void *watched(size_t size, size_t align, unsigned flags, const void *caller)
{
	if (fault_due(FAULT_OF_BLOCK, caller))
		return NULL;
	return kheap_debug ? kheap_debug->alloc(size, align, flags, caller) : NOT_WATCHED;
}

/* Taken where the function begins: a part that the compiler splits off has another return address. */
#define CALLER()                                                                                   \
	({                                                                                         \
		const void *caller_ = __builtin_return_address(0);                                 \
                                                                                                   \
		__asm__ volatile("" : "+r"(caller_));                                              \
		caller_;                                                                           \
	})

/*
 * `align` is a power of two. Zeroes nothing. Small blocks come from slabs; behind these come buddies
 * and whole frames, whatever the size. Where none of them has memory, all is searched again, for any
 * memory that will do.
 */
/* True: *block is the answer, and may be NULL. */
static inline __attribute__((always_inline)) bool answered(void **block, size_t size, size_t align,
							   unsigned flags, const void *caller)
{
	*block = NULL;
	if (size == 0 || size > SIZE_LARGEST)
		return true;
	if (__builtin_expect(!ck_pr_load_32(&fault_is_on) && !kheap_debug, 1))
		return false;
	*block = watched(size, align, flags, caller);
	return *block != NOT_WATCHED;
}

static inline void *allocate_behind(size_t size, size_t align, unsigned flags)
{
	void *block = kheap_alloc_behind(size, align, flags);

	return block ? block : allocate_exactly(size, align, flags);
}

static inline __attribute__((always_inline)) void *allocate(size_t size, size_t align,
							    unsigned flags, const void *caller)
{
	void *block;

	if (answered(&block, size, align, flags, caller))
		return block;
	block = kheap_take(aligned_class(size, align));
	return block ? block : allocate_behind(size, align, flags);
}

void *kheap_refill(unsigned class, size_t size)
{
	const void *caller = CALLER();

	return class ? allocate(size, 1, FRAME_ANY, caller) : NULL;
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

void kheap_release(void *pointer, const char *call, const void *caller)
{
	unsigned class;

	if (kheap_debug)
		kheap_debug->release(pointer, 0, call, caller);
	else if (is_of_slab(pointer, call, caller, &class))
		kheap_put(port_phys_address(pointer), class);
	else
		kheap_release_behind(pointer, call, caller);
}

STEP size_t usable_size(const void *pointer, const char *call, const void *caller)
{
	if (kheap_debug)
		return kheap_debug->usable(pointer, call, caller);
	return kheap_find(pointer, call, caller).bytes;
}

/* ---- the public functions ---------------------------------------------------------------- */

/* Each block is whole words, and the memset of a C library may go byte by byte. */
static void zero(void *block, size_t size)
{
	words_fill(block, 0, (size + 7) / 8);
}

void *kheap_large(size_t size)
{
	const void *caller = CALLER();
	void *block;

	if (answered(&block, size, 1, FRAME_ANY, caller))
		return block;
	return allocate_behind(size, 1, FRAME_ANY);
}

void *kheap_alloc_watched(size_t size, size_t align, unsigned flags, const void *caller)
{
	if (size == 0 || size > SIZE_LARGEST || !is_power_of_two(align))
		return NULL;
	return watched(size, align, flags, caller);
}

STEP void *allocate_step(size_t size, size_t align, unsigned flags)
{
	return allocate(size, align, flags, CALLER());
}

/*
 * A size that has a class is served like that of the rounded size, which is aligned as well: so it
 * may hit. kmalloc() may wait.
 */
static inline __attribute__((always_inline)) void *allocate_aligned(size_t size, size_t align,
								    unsigned flags)
{
	if (!is_power_of_two(align))
		return NULL;
	if (size <= KHEAP_SIZE_MAX && round_up(size, align) <= KHEAP_SIZE_MAX &&
	    !(flags & FRAME_NOWAIT))
		return kmalloc(round_up(size, align));
	return allocate_step(size, align, flags);
}

void *kmalloc_aligned(size_t size, size_t align)
{
	if (kheap_debug)
		return kheap_alloc_watched(size, align, FRAME_ANY, __builtin_return_address(0));
	return allocate_aligned(size, align, FRAME_ANY);
}

void *kmalloc_flags(size_t size, size_t align, unsigned flags)
{
	void *block;

	if (kheap_debug)
		return kheap_alloc_watched(size, align, flags, __builtin_return_address(0));
	block = allocate_aligned(size, align, flags);
	if (block && (flags & FRAME_ZERO))
		zero(block, size);
	return block;
}

void *kcalloc(size_t count, size_t size)
{
	size_t bytes;
	void *block;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	//@ assert product: bytes == count * size;
	if (kheap_debug)
		return kheap_alloc_watched(bytes, 1, FRAME_ZERO, __builtin_return_address(0));
	block = kmalloc(bytes);
	if (block)
		zero(block, bytes);
	return block;
}

/* ---- release ------------------------------------------------------------------------------ */

#if CHECKS
/*
 * Whether a request of `size` bytes, or krealloc(), may have made the block. Behind the slabs a block
 * is a power of two or whole frames, also where the size is of a class.
 */
static bool may_have_size(const struct found *found, size_t size)
{
	if (size == 0 || size > found->bytes)
		return false;
	if (found->slab)
		return kheap_class_of(size) == found->slab->class ||
		       ck_pr_load_32(&found->slab->shrunk);
	return size > found->bytes / 2 || found->bytes <= BUDDY_UNIT ||
	       frames_for(size) << FRAME_SHIFT == found->bytes || ck_pr_load_32(&kheap.shrunk);
}

STEP void check_size(const void *block, size_t size, const void *caller)
{
	struct found found = kheap_find(block, "kfree_sized", caller);

	check(may_have_size(&found, size),
	      "kfree_sized: %p is mismatched: found a block of %zu bytes at %#llx, expected one "
	      "for "
	      "%zu bytes, called from [<%p>]",
	      block, found.bytes, (unsigned long long)found.start, size, caller);
}

void kfree_sized(void *block, size_t size)
{
	const void *caller = __builtin_return_address(0);

	if (!block)
		return;
	if (kheap_debug) {
		kheap_debug->release(block, size, "kfree_sized", caller);
		return;
	}
	check_size(block, size, caller);
	kfree(block);
}

/* The diagnostics know the size that was asked for, and the others the class. */
void kfree_aligned_sized(void *block, size_t size, size_t align)
{
	size_t unit = align < FRAME_SIZE ? align : FRAME_SIZE;

	kfree_sized(block, kheap_debug ? size : round_up(size, unit));
}
#endif

void kheap_free_elsewhere(void *block)
{
	if (block)
		kheap_release(block, "kfree", __builtin_return_address(0));
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
	if (kheap_debug)
		kheap_debug->give();
	kheap_give();
}
