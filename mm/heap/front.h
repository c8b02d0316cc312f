/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * front.h - the heap's per-CPU front end: size classes, the stacks of free blocks, and the hit of an
 * allocation and of a free. What callers of the heap need is in kmalloc.h.
 *
 * Each CPU has a stack of free blocks for each size class (mm/percpu/stack.h). A slot is the physical
 * address of a block. A hit pops or pushes and does nothing else but, with CHECKS, read and write
 * the block's state byte. front.c moves batches between the stacks and the slabs.
 *
 * The map has a word for each frame. It leads from a block's address to its slab without a lock. The
 * word of a frame that is part of a slab does not change as long as a block of the slab is not free
 * in the slab; so a CPU that owns a block, or has it on a stack, may read it.
 *
 *   CHECKS=1	The word leads to the block's state byte: the byte is at word + (address >> (word &
 *		63)). A state byte is the number of the class while the block that begins in its granule
 *		is allocated, otherwise 0. Two granules that are not the same never share a block's
 *		start, and a byte is written by the owner of its block alone.
 *   CHECKS=0	The word is the number of the class << 58 | the physical address of the slab.
 *
 * Class 0 is no size. Its stack is empty and full at once, so a hit on it takes the slow path.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/percpu/cache.h"
#include "mm/percpu/stack.h"
#include "mm/platform.h"

/*
 * Classes: 16 to 128 by 16, then eight in each doubling, so that a block is at most 1/8 larger than
 * the size asked for. The last class has a frame's size, but serves only sizes of less than 256 grains:
 * so one shift and one comparison find the class.
 */
#define KHEAP_GRAIN	16
#define KHEAP_CLASSES	49 /* with class 0 */
#define KHEAP_SIZE_MAX	4080
#define KHEAP_GRAINS	(KHEAP_SIZE_MAX / KHEAP_GRAIN)
#define KHEAP_CLASS_BIT 58 /* CHECKS=0: where the number of the class is in a word of the map */

struct kheap_stack {
	uint64_t *top;	 /* the first unused slot */
	uint64_t *limit; /* top when the stack is full; the bottom while it takes no blocks */
	uint64_t mask;	 /* bytes of a slab less 1 */
	uint64_t magic;	 /* 2^64 / size, rounded up; 0: no block can be freed here */
};

struct kheap_front_work;

/*
 * In the CPU's area, behind its frame cache, so that a hit needs no pointer to it. The owning CPU
 * writes it; other CPUs read `top` as an estimate.
 */
struct kheap_front {
	_Alignas(PORT_CACHE_LINE) struct kheap_stack stack[KHEAP_CLASSES];
	uint64_t first, count;		    /* frames that the map has words for */
	uint64_t *map;			    /* of frame `first` */
	uint64_t *map_bias;		    /* of frame 0, if there were one */
	uint8_t class_of[KHEAP_GRAINS + 1]; /* of a size in grains, rounded up; of 0: 0 */
	/* Not for a hit. */
	uint8_t capacity[KHEAP_CLASSES];
	uint64_t filled;	       /* bit c: the stack of class c may have blocks or room */
	uint64_t *base[KHEAP_CLASSES]; /* the bottom of each stack */
	struct kheap_front_work *work; /* used with interrupts masked; NULL: no block is cached */
};

#define KHEAP_FRONT_AT (sizeof(struct frame_cache) / PORT_CACHE_LINE * PORT_CACHE_LINE)

_Static_assert(sizeof(struct kheap_stack) == 32, "CHECKS=0: a word, shifted, is a stack's offset");
_Static_assert(KHEAP_FRONT_AT == sizeof(struct frame_cache), "whole cache lines");

static inline struct kheap_front *kheap_front_self(void)
{
	return (struct kheap_front *)((char *)port_area() + KHEAP_FRONT_AT);
}

static inline struct kheap_front *kheap_front_of(unsigned cpu)
{
	return (struct kheap_front *)((char *)port_area_of(cpu) + KHEAP_FRONT_AT);
}

/* The stack whose structure is `offset` bytes behind that of class 0: base and offsets of stack.h. */
#define KHEAP_TOP_AT   (KHEAP_FRONT_AT + offsetof(struct kheap_front, stack[0].top))
#define KHEAP_LIMIT_AT (KHEAP_FRONT_AT + offsetof(struct kheap_front, stack[0].limit))

static inline char *kheap_stack_base(uint64_t offset)
{
	return (char *)port_area() + offset;
}

static inline struct kheap_stack *kheap_stack_at(char *base)
{
	return (struct kheap_stack *)(base + KHEAP_TOP_AT);
}

/*
 * The class of a size, 1..KHEAP_SIZE_MAX, as front->class_of[] says it too. For constants: the
 * compiler does it.
 */
static inline unsigned kheap_class_of(size_t size)
{
	unsigned shift; /* the size is in (128 << shift, 256 << shift] */

	if (size <= 128)
		return (unsigned)((size + KHEAP_GRAIN - 1) / KHEAP_GRAIN);
	shift = 56 - (unsigned)__builtin_clzll(size - 1);
	return 8 * shift + (unsigned)((size + ((size_t)16 << shift) - 1) >> (4 + shift));
}

/* The state byte of the block at a physical address, if `word` is that of a slab. */
static inline uint8_t *kheap_state(uint64_t word, uint64_t address)
{
	return (uint8_t *)(uintptr_t)(word + (address >> (word & 63)));
}

/* The slow halves. */
void *kheap_refill(unsigned class, size_t size); /* NULL for class 0 */
void *kheap_large(size_t size);
/* The push found no room: the stack is full, or takes no blocks, or is that of class 0. */
void kheap_overflow(uint64_t address, struct kheap_stack *stack);
/* Checks the pointer, and then frees it. It may be any. */
void kheap_free_elsewhere(void *block);

/* A block of the class, which is the smallest one for the size. */
__attribute__((always_inline)) static inline void *kheap_hit(unsigned class, size_t size)
{
	char *base = kheap_stack_base(class * sizeof(struct kheap_stack));
	uint64_t address;

	stack_pop_at(base, KHEAP_TOP_AT, address, empty);
#if CHECKS
	*kheap_state(kheap_front_self()->map_bias[address >> FRAME_SHIFT], address) = class;
#endif
	return port_phys_pointer(address);
empty:
	return kheap_refill(class, size);
}

/* Of a size that the compiler does not know. One near 2^64 wraps to few grains: then the slow half
 * (class 0) finds it. */
__attribute__((always_inline)) static inline void *kheap_hit_of(size_t size)
{
	size_t grains = (size + KHEAP_GRAIN - 1) / KHEAP_GRAIN;

	if (__builtin_expect(grains > KHEAP_GRAINS, 0))
		return kheap_large(size);
	return kheap_hit(kheap_front_self()->class_of[grains], size);
}

__attribute__((always_inline)) static inline void kheap_free_hit(void *block)
{
	const struct kheap_front *front = kheap_front_self();
	uint64_t address = port_phys_address(block);
	uint64_t frame = (address >> FRAME_SHIFT) - front->first;
	uint64_t word;
	char *base;

	if (__builtin_expect(frame >= front->count, 0)) {
		kheap_free_elsewhere(block);
		return;
	}
	word = front->map[frame];
#if CHECKS
	uint8_t *state = kheap_state(word, address);
	const struct kheap_stack *stack;

	base = kheap_stack_base(*state * sizeof(struct kheap_stack));
	__asm__("" : "+r"(base)); /* computed once */
	stack = kheap_stack_at(base);
	if (__builtin_expect((address & stack->mask) * stack->magic >= stack->magic, 0)) {
		kheap_free_elsewhere(block);
		return;
	}
	*state = 0;
#else
	base = kheap_stack_base(word >> (KHEAP_CLASS_BIT - 5));
#endif
	stack_push_at(base, KHEAP_TOP_AT, KHEAP_LIMIT_AT, address, full);
	return;
full:
	kheap_overflow(address, kheap_stack_at(base));
}
