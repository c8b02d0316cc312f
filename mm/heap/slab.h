/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slab.h - blocks of one size class in naturally aligned runs of frames.
 *
 * A slab is a run of 1 to 64 frames, a power of two, cut into blocks of one size from its start. Its
 * record, which holds the bits of its free blocks and the state bytes of all its blocks, is a block
 * of an arena: so nothing of the heap is in a slab. Blocks whose size is a power of two are
 * naturally aligned, because slabs are.
 *
 * Functions that end in _locked are called under the heap's lock, and take and give no frame. The
 * caller expands what they claim, and gives the frames that they take out, after it has released
 * the lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mm/address.h"
#include "mm/percpu/cache.h"
#include "sync/ck.h"

#define SLAB_RECORD_SHIFT      9
/* As a block of a buddy. */
#define SLAB_RECORD_ORDER      (SLAB_RECORD_SHIFT - (unsigned)__builtin_ctz(PORT_CACHE_LINE))
#define SLAB_RECORD_BYTES      ((size_t)1 << SLAB_RECORD_SHIFT)
#define SLAB_BLOCKS_MAX	       (CHECKS ? 256 : 2048)
/* A refill of a whole batch needs at most one new slab. */
#define SLAB_BLOCKS_MIN	       64
#define SLAB_STATE_AT	       128 /* in the record; the shift of the map's word is added */
/* No granule of state bytes is larger: a word of the map has room for its shift (front.h). */
#define SLAB_GRANULE_SHIFT_MAX 11

struct slab {
	struct slab *next; /* of the same list */
	struct slab **link;
	uint64_t start; /* physical */
	uint16_t class;
	uint16_t free;	 /* blocks */
	uint32_t shrunk; /* krealloc() has left a block here with a smaller size */
	uint64_t bits[SLAB_BLOCKS_MAX / 64]; /* 1: free, and on no CPU's stack */
};

_Static_assert(sizeof(struct slab) <= (CHECKS ? SLAB_STATE_AT : SLAB_RECORD_BYTES),
	       "the state bytes lie behind the structure");

/* In the order in which slabs joined it. */
struct slab_list {
	struct slab *first;
	struct slab **end; /* the last `next`, or `first` */
};

struct slab_class {
	uint32_t size;	 /* bytes of a block */
	uint32_t frames; /* of a slab */
	uint32_t blocks; /* of a slab */
	uint32_t granule_shift;
	uint64_t magic; /* 2^64 / size, rounded up */
	/* Written under the heap's lock; some are read without it: slab_free_blocks(). */
	struct slab_list partial; /* with free blocks and others; full slabs are on no list */
	struct slab_list empty;	  /* all blocks free */
	uint64_t slabs;
	uint64_t empty_slabs;
	uint64_t claimed;  /* blocks that have left slabs so far */
	uint64_t released; /* and have come back */
	/* For reports. */
	uint64_t slabs_most, out_most; /* that there were at once */
};

/* Free blocks of one word of a slab's bits. */
struct slab_part {
	struct slab *slab;
	uint32_t word;
	uint32_t blocks; /* that are set in `bits` */
	uint64_t bits;
};

/* The sizes of all classes; no slabs. */
void slab_init(struct slab_class *classes);

static inline uint64_t slab_bytes(const struct slab_class *class)
{
	return class->frames * FRAME_SIZE;
}

/* The number of the block that the byte at `offset` of a slab is part of. */
static inline unsigned slab_block_of(const struct slab_class *class, uint64_t offset)
{
	return (unsigned)((unsigned __int128)offset * class->magic >> 64);
}

/* Blocks that are allocated or on a CPU's stack. */
static inline uint64_t slab_blocks_out(const struct slab_class *class)
{
	uint64_t claimed = ck_pr_load_64(&class->claimed);

	return claimed - ck_pr_load_64(&class->released);
}

/*
 * Blocks that are free in slabs. Without the lock it is an estimate, but never below the number at an
 * earlier instant if `claimed` and kheap_gone() have not changed since: for then no block has left.
 */
static inline uint64_t slab_free_blocks(const struct slab_class *class)
{
	return ck_pr_load_64(&class->slabs) * class->blocks - slab_blocks_out(class);
}

/* The slab of a frame's word in the map, and the word of a slab. NULL: the word is of no slab. */
struct slab *slab_of(uint64_t word, uint64_t address);
uint64_t slab_word(const struct slab *slab);
/* The word of a frame that is of no slab. */
uint64_t slab_no_word(void);

/*
 * Takes up to `wanted` free blocks of the class out of its slabs. Writes at most `wanted` parts and
 * returns how many. *taken: the number of blocks.
 */
unsigned slab_claim_locked(struct slab_class *class, unsigned wanted, struct slab_part *parts,
			   unsigned *taken);

/*
 * Puts blocks back. Slabs without allocated blocks stay, up to a bound unless keep_all; those
 * beyond it are returned, on no list, linked by `next`. False where a block was free already:
 * *parts is then that one.
 */
bool slab_release_locked(struct slab_part *parts, unsigned count, bool keep_all,
			 struct slab **leaving);

/* Lists a slab that slab_make() has made. */
void slab_add_locked(struct slab *slab);

/* Takes out a slab without allocated blocks, of any class; NULL: there is none. */
struct slab *slab_remove_empty_locked(void);

/*
 * Without the lock: a slab of the class, without allocated blocks, on no list. `record` is a block of a
 * buddy for it, which is freed if there are no frames without asking other CPUs for them; then NULL.
 * record NULL: NULL.
 */
struct slab *slab_make(struct slab *record, unsigned class);

/* Without the lock: slab_add_locked() in a critical section. */
void slab_add(struct slab *slab);

/*
 * Without the lock: gives back the memory of slabs that are on no list, linked by `next`, in the same
 * section with interrupts masked in which they were taken out.
 */
void slab_give(struct slab *leaving);

/*
 * Under the lock: whether the block of SLAB_RECORD_BYTES at this physical address, which is allocated,
 * is the record of a slab. If not it is a caller's, and is read.
 */
bool slab_is_record_locked(uint64_t address);

/* True if the address is in a slab; fills `found`. Any address. Reads what its owner may change. */
struct found;
bool slab_find(uint64_t address, struct found *found);

struct slab_count {
	uint64_t slabs, frames, free_blocks, empty_frames;
};

/* Panics where an invariant of the listed slabs of a class is broken. */
struct slab_count slab_validate(const struct slab_class *class);
