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
 * Exhaustion is an answer, NULL, with nothing lost or held. A caller's mistake (freeing a block
 * twice, a pointer into a block, one that is not the heap's) is a panic that names the pointer,
 * what is there, and the call.
 *
 * All of it may be called on any cpu, in any context outside the heap's lock and a zone's lock,
 * trap handlers included. A block may be freed on another cpu than the one that allocated it. Where no
 * zone has a frame, an allocation waits for other cpus to give back what they have cached, as
 * frame_alloc() does, unless it is told not to (kmalloc_flags). Freeing never waits.
 *
 * Sizes. A request is served by the smallest power of two that holds it, PORT_CACHE_LINE bytes at
 * least, where that wastes less than a frame over whole frames; otherwise by exactly the frames it
 * needs. 20 KiB take five frames, not eight. So above a frame less than a frame is wasted, and
 * below it less than half of the block, the smallest block aside. Where memory is too short for
 * an arena, a small request gets a whole frame rather than NULL.
 *
 * Alignment. A request of 2^k bytes starts at a multiple of 2^k, and so does every block up to
 * a frame; larger ones start at a frame at least. These are alignments of physical addresses;
 * those of pointers follow where port_phys_pointer() keeps them, as an identity map does.
 *
 * Cost. O(log 128 KiB) in one hold of the heap's lock; large blocks, and the few small ones that
 * find no room, take frames as well. Frames are taken and given with no lock held.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* NULL when there is no memory for it, and for size 0. */
__attribute__((malloc, alloc_size(1), warn_unused_result)) void *kmalloc(size_t size);

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
 * FRAME_ZERO: the `size` bytes are 0. FRAME_NOWAIT: no other cpu is waited for, and so it is legal under
 * any lock of the caller's, and NULL does not say that there is no memory.
 */
__attribute__((malloc, alloc_size(1), warn_unused_result)) void *kmalloc_flags(size_t size,
									       size_t align,
									       unsigned flags);

/*
 * Gives the block another size, and often another place: what both sizes have in common is
 * kept, the rest is undefined, and so is an alignment beyond kmalloc's. The old pointer is then
 * invalid. NULL, and the old block as it was, when there is no memory; asking for less than the
 * block has never fails. krealloc(NULL, size) is kmalloc(size); krealloc(p, 0) is kfree(p) and
 * returns NULL.
 */
__attribute__((alloc_size(2), warn_unused_result)) void *krealloc(void *block, size_t size);

/* Frees a block of the above. NULL is ignored. */
void kfree(void *block);

/* Bytes that the owner of the block may use, no less than were asked for. 0 for NULL. */
size_t kmalloc_usable_size(const void *block);

/* For reports. */
struct kheap_stats {
	uint64_t arenas;
	uint64_t arena_frames; /* frames that blocks of arenas are made of */
	uint64_t runs;	       /* blocks with frames of their own */
	uint64_t run_frames;
	uint64_t metadata_frames; /* one an arena, and the index */
	uint64_t frames_held;	  /* the sum of the three */
	uint64_t live_blocks;
	uint64_t allocated_bytes; /* usable bytes of live blocks */
	uint64_t arenas_taken;	  /* ever, and */
	uint64_t arenas_given;	  /* given back */
};

/* A consistent picture; one hold of the lock. */
void kheap_stats(struct kheap_stats *stats);

/* Gives back the empty arena that the heap may keep. With no live block it then holds no frame. */
void kheap_trim(void);

/* At rest: walks all of the heap, O(frames held), and panics where an invariant is broken. */
void kheap_validate(void);
