/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kmalloc.h - memory by the byte, from a buddy heap over frames.
 *
 *	char *name = kmalloc(length + 1);
 *
 *	if (!name)
 *		return false;
 *	...
 *	kfree(name);
 *
 * When memory is exhausted, the answer is NULL, and nothing is lost or held. A caller's mistake (a
 * block freed twice, a pointer into a block, a pointer that the heap did not return) is a panic
 * that names the pointer, what is there, and the call.
 *
 * All functions but kheap_validate() may be called on any cpu, in any context outside the heap's
 * lock and a zone's lock, trap handlers included. A block may be freed on another cpu than the cpu
 * that allocated it. Where no zone has a frame, an allocation waits for other cpus to give back
 * what they have cached, as frame_alloc() does, unless the caller forbids it (kmalloc_flags).
 * Freeing never waits.
 *
 * Sizes. A request is served by the smallest power of two that holds it, PORT_CACHE_LINE bytes at
 * least, if that wastes less than a frame more than whole frames would. Otherwise it is served by
 * exactly the frames that it needs: 20 KiB take five frames, not eight. So a request above a frame
 * wastes less than a frame, and a smaller one less than half of its block, except in the smallest
 * block. Where memory is too short for an arena, a small request gets a whole frame.
 *
 * Alignment. A request of 2^k bytes starts at a multiple of 2^k, and so does every block up to a
 * frame; larger ones start at a frame at least. These are alignments of physical addresses.
 * Pointers have them where port_phys_pointer() keeps them, as an identity map does.
 *
 * Cost. O(log 128 KiB) in one critical section of the heap's lock. Large blocks, and the few small
 * ones for which no arena has room, take frames as well. Frames are taken and given with no lock
 * held.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/heap/front.h"

/* `size` bytes, not zeroed. NULL when there is no memory, and for size 0. */
__attribute__((always_inline, malloc, alloc_size(1), warn_unused_result)) static inline void *kmalloc(
	size_t size)
{
	if (__builtin_constant_p(size) && size > 0 && size <= KHEAP_SIZE_MAX)
		return kheap_hit(kheap_class_of(size), size);
	return kheap_hit_of(size);
}

/* kmalloc() as a function: smaller code where it is called, four more instructions with kfree_called(). */
__attribute__((malloc, alloc_size(1), warn_unused_result)) void *kmalloc_called(size_t size);

/* count * size bytes, all 0. NULL also when either is 0 and when the product overflows. */
__attribute__((malloc, alloc_size(1, 2), warn_unused_result)) void *kcalloc(size_t count,
									    size_t size);

/*
 * As kmalloc, at a multiple of `align`, which may be larger than a frame. NULL also when align
 * is not a power of two (0 is none). kfree() frees it.
 */
__attribute__((malloc, alloc_size(1), warn_unused_result)) void *kmalloc_aligned(size_t size,
										 size_t align);

/*
 * As kmalloc_aligned, with what an allocation of frames may do: enum frame_flags of mm/frame.h.
 * FRAME_ZERO: the `size` bytes are 0. FRAME_NOWAIT: the call waits for no other cpu. So it is legal
 * under any lock of the caller's, and NULL does not mean that there is no memory.
 */
__attribute__((malloc, alloc_size(1), warn_unused_result)) void *kmalloc_flags(size_t size,
									       size_t align,
									       unsigned flags);

/*
 * Gives the block another size. The bytes that both sizes have are kept, the rest is undefined. When
 * there is no memory it returns NULL and changes nothing; a smaller size never fails.
 * krealloc(NULL, size) is kmalloc(size); krealloc(p, 0) is kfree(p) and returns NULL.
 *
 * The block stays where it is, and keeps the alignment that it has, if it will be more than half used
 * or a new block would not be smaller. A block of whole frames gives back the frames that it needs no
 * more. Otherwise the block gets another address, with the alignment of kmalloc(), and the old pointer
 * is invalid.
 */
__attribute__((alloc_size(2), warn_unused_result)) void *krealloc(void *block, size_t size);

/* Frees a block of the above. NULL is ignored. */
__attribute__((always_inline)) static inline void kfree(void *block)
{
	kheap_free_hit(block);
}

/* kfree() as a function. */
void kfree_called(void *block);

/*
 * kfree() by a caller that knows the size: the size that kmalloc(), kcalloc() or the last krealloc()
 * was given, or another size of the same class. NULL is ignored. With CHECKS a block that no such
 * call can have made panics: mismatched. A slab in which krealloc() has left a block that it made
 * smaller is checked less strictly: there any size that fits is accepted.
 *
 * Without CHECKS it is kfree(). The size alone does not say where the block belongs, so the look into
 * the map cannot be left out: a block of this size may also be of a larger class, because krealloc()
 * has left it where it was, or of no class, because there was no memory for a slab.
 */
#if CHECKS
void kfree_sized(void *block, size_t size);
#else
static inline void kfree_sized(void *block, size_t size)
{
	(void)size;
	kfree(block);
}
#endif

/* The same for a block of kmalloc_aligned(size, align), as long as it is not resized. */
#if CHECKS
void kfree_aligned_sized(void *block, size_t size, size_t align);
#else
static inline void kfree_aligned_sized(void *block, size_t size, size_t align)
{
	(void)size;
	(void)align;
	kfree(block);
}
#endif

/* The bytes that the owner of the block may use: at least the size requested. 0 for NULL. */
size_t kmalloc_usable_size(const void *block);

/* For reports. */
struct kheap_stats {
	uint64_t arenas;
	uint64_t arena_frames;	/* frames of arenas, without metadata */
	uint64_t slabs;		/* of blocks of one size */
	uint64_t slab_frames;	/* without metadata, which is in arenas */
	uint64_t cached_blocks; /* free, on CPUs' stacks */
	uint64_t runs;		/* blocks of whole frames */
	uint64_t run_frames;
	uint64_t metadata_frames; /* one for each arena, and those of the index */
	uint64_t frames_held;	  /* all of these frames */
	uint64_t live_blocks;
	uint64_t allocated_bytes; /* usable bytes of live blocks */
	uint64_t arenas_taken;	  /* since kheap_init() */
	uint64_t arenas_given;	  /* given back since kheap_init() */
};

/* Of one size class. */
struct kheap_class_stats {
	size_t size;
	uint64_t slabs, slab_bytes, blocks_per_slab;
	uint64_t live;	 /* blocks */
	uint64_t cached; /* on CPUs' stacks */
	uint64_t free;	 /* in slabs */
	/* The most slabs that there were at once, and the most blocks that were not free in slabs. */
	uint64_t slabs_most, used_most;
};

/*
 * False: there is no class of this number; classes are numbered from 1. The blocks are of one moment
 * but for `cached`, which is exact at rest. Takes the heap's lock. Any context outside it.
 */
bool kheap_class_stats(unsigned number, struct kheap_class_stats *stats);

/* Statistics of one moment: reads all of them in one critical section. O(1). */
void kheap_stats(struct kheap_stats *stats);

/*
 * Gives back the empty arena that the heap may keep. Without live blocks the heap then holds no
 * frame.
 */
void kheap_trim(void);

/* Panics where an invariant is broken. No other cpu may use the heap. O(frames held). */
void kheap_validate(void);
