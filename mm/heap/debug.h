/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug.h - diagnostics of the heap, chosen at boot: kheap_debug_start() instead of
 * kheap_front_start().
 *
 * While they are on, no CPU has a front end: each block comes from an arena or from whole frames, and
 * a record says what the heap knows of it. While they are off, a hit has no instruction for them, and
 * a slow path tests one pointer.
 *
 *	REDZONE     A pattern before and behind each block, exact to the byte of the size asked for. It is
 *		    checked when the block is freed or resized, and by kheap_debug_check().
 *	POISON      Free memory holds a pattern. It is checked when memory is allocated again, and when a
 *		    block leaves the quarantine: so a write to a freed block is found. The bytes of a
 *		    new block hold another pattern, if they are not to be 0.
 *	QUARANTINE  Freed blocks wait before their memory is used again, in at most 1/16 of memory. All of
 *		    it is given back before an allocation of a block or of a frame fails.
 *	OWNERS      CPU, call site and time of the allocation and of the free of each block, also of the
 *		    last blocks that are freed and gone. The messages name them.
 *	LEAKS       kheap_debug_report() is worth a look at shutdown; the heap itself does nothing for it.
 *	GUARD       Of guard_every blocks one is placed at the end of pages for itself, between pages that
 *		    are not mapped. A touch of these, or of the block after it is freed, is a page fault;
 *		    kheap_debug_describe() names the block. The pages of a freed block get another use
 *		    only after a flush on all CPUs. Before it, a CPU that has used the block may still reach
 *		    them, as no CPU is interrupted for a free.
 *
 * A mistake that is found is a panic. The call site of an allocation is known without OWNERS, too.
 *
 * A block has no record, and none of the above but POISON protects it, if there is memory for the block
 * and none for a record or its patterns: an allocation does not fail because of the diagnostics.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/address.h"

enum kheap_debug_words {
	KHEAP_DEBUG_REDZONE = 1 << 0,
	KHEAP_DEBUG_POISON = 1 << 1,
	KHEAP_DEBUG_QUARANTINE = 1 << 2,
	KHEAP_DEBUG_OWNERS = 1 << 3,
	KHEAP_DEBUG_LEAKS = 1 << 4,
	KHEAP_DEBUG_GUARD = 1 << 5
};

/*
 * What the diagnostics need of the kernel. clock: ticks of one clock that all CPUs share. map: makes the
 * page at `address` the frame's, for reading and writing, on all CPUs. unmap: pages are no longer mapped,
 * and this CPU does not use the mapping any more. flush: no CPU uses a mapping that was unmapped before the
 * call. All wait for no CPU, in any context. They are not called before kheap_debug_guard().
 */
struct kheap_debug_port {
	uint64_t (*clock)(void);
	void (*map)(uint64_t address, pfn_t frame);
	void (*unmap)(uint64_t address, uint64_t bytes);
	void (*flush)(void);
};

struct kheap_debug_options {
	unsigned words; /* set of enum kheap_debug_words */
	uint64_t first; /* the frames [first, first + frames) are watched: all that there are */
	uint64_t frames;
	uint64_t hertz; /* ticks of the clock in a second */
	uint64_t guard_every;
	uint64_t seed; /* of the choice of blocks with guard pages */
	const struct kheap_debug_port *port;
};

/*
 * Turns the diagnostics on. `memory` is kheap_debug_bytes(frames) bytes, aligned to 8, and belongs to the
 * heap until the next kheap_init(). After kheap_init(), before the first kmalloc.
 */
void kheap_debug_start(const struct kheap_debug_options *options, void *memory);
size_t kheap_debug_bytes(uint64_t frames);

/* The words that are on; 0: the diagnostics are off. Any context. */
unsigned kheap_debug_words(void);

/*
 * The addresses of blocks with guard pages: `pages` pages from `base` on, none of them mapped, and none
 * ever mapped but by the port's map(). pages 0: from here on there are none; no such block may be live
 * then. Does nothing without GUARD. At rest.
 */
void kheap_debug_guard(uint64_t base, uint64_t pages);

/* Panics if a red zone, or freed memory in quarantine, was written. At rest. O(blocks). */
void kheap_debug_check(void);

/* Live blocks of one call site. */
struct kheap_debug_site {
	const void *caller; /* NULL: the sites for which there was no room */
	uint64_t blocks, bytes;
	uint64_t oldest_us; /* age of the oldest; 0 without OWNERS */
};

/*
 * Fills `sites`, of which there are `room`, with the call sites of live blocks, most bytes first.
 * Returns how many. room >= 1. At rest. O(blocks * sites).
 */
unsigned kheap_debug_report(struct kheap_debug_site *sites, unsigned room);

/* How many call sites the blocks without a record would have hidden: such blocks. */
uint64_t kheap_debug_untracked(void);

/*
 * Writes to `text` which block a fault at the address has to do with. False: it is no address of a guard
 * page or of a block with guard pages. Takes no lock: for a panic.
 */
bool kheap_debug_describe(uint64_t address, char *text, size_t bytes);
