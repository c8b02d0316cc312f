/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug_private.h - what debug.c (blocks), debug_index.c (the records), debug_fill.c (patterns),
 * debug_guard.c (guard pages), debug_bad.c (pointers that are no block) and debug_text.c (owners) share. debug_text.c
 * and debug_index.c call none of the others, and each of debug_fill.c, debug_guard.c, debug_bad.c and
 * debug.c only those before it.
 *
 * Invariants
 *
 *   D1  Each record is in one bucket, by its block's address. A live block is in front of freed blocks
 *	 of the same address.
 *   D2  A record in state WAITING is in `waiting`, or in `guarded` if its block had guard pages. A
 *	 record in state GONE is in `history`: its block's memory may have another owner.
 *   D3  A bit of `poisoned` is set for each unit of BUDDY_UNIT bytes that is free in an arena and was
 *	 filled with the pattern. Frames that the heap takes have no bit set.
 *
 * Locking. The heap's lock guards all of struct kheap_debug_state. A record belongs to the CPU that
 * has taken it out of its bucket, and so do a block's bytes once its record is WAITING for this CPU to
 * finish its free. Nothing is filled, compared or described under the lock. A CPU that is about to
 * panic searches all records under the lock, and panics after it has released the lock.
 */
#pragma once

#include "mm/heap/debug.h"
#include "mm/heap/kmalloc_private.h"

#define DEBUG_RED    0xb5u /* red zones */
#define DEBUG_FREE   0xdeu /* free memory */
#define DEBUG_NEW    0xc9u /* new blocks */
#define DEBUG_REPEAT UINT64_C(0x0101010101010101)

enum debug_state {
	DEBUG_LIVE,
	DEBUG_WAITING, /* freed, its memory is not used again yet */
	DEBUG_GONE     /* freed, and kept for messages alone */
};

struct debug_owner {
	const void *site; /* of the call */
	uint64_t time;	  /* ticks; with OWNERS */
	uint32_t cpu;	  /* with OWNERS */
};

struct debug_record {
	struct debug_record *next;  /* in the bucket */
	struct debug_record *later; /* in the list of D2 */
	char *block;
	size_t size;	    /* as asked for */
	char *memory;	    /* the block of the heap, or the first page */
	size_t front, tail; /* bytes of the red zones */
	uint64_t unmapped;  /* the number of its guard pages' unmap */
	uint32_t slot;	    /* of its guard pages, plus 1; 0: it has none */
	uint32_t state;	    /* enum debug_state */
	struct debug_owner allocated, freed;
};

/* Of a record, as a block of a buddy: 128 bytes at least. */
#define RECORD_ORDER (PORT_CACHE_LINE >= 128 ? 0u : 1u)

_Static_assert(sizeof(struct debug_record) <= (size_t)PORT_CACHE_LINE << RECORD_ORDER,
	       "a record is a block");

struct debug_list {
	struct debug_record *first, *last;
};

struct kheap_debug_state {
	unsigned words;
	uint64_t guard_every, seed, hertz;
	/* The lock guards all below. */
	struct debug_record **bucket;
	unsigned bucket_shift; /* of a hash of 64 bits */
	uint64_t *poisoned;    /* of frame first + i: a bit for each unit */
	uint64_t first, frames;
	struct debug_list waiting, guarded, history;
	uint64_t waiting_bytes, waiting_max, history_count;
	uint64_t records, live, live_bytes;
	uint64_t untracked, untracked_bytes;
	uint64_t gone; /* blocks that have left a list of D2: their memory may be used */
};

extern struct kheap_debug_state heap_debug;

/* NULL where neither OWNERS nor GUARD needs a clock. */
extern const struct kheap_debug_port *kheap_debug_port;

static inline bool debug_has(unsigned word)
{
	return heap_debug.words & word;
}

/* A function that panics, apart from its caller: so its text is not on the stack of a call that is right. */
#define DEBUG_PANIC __attribute__((noinline)) static _Noreturn void

/* ---- debug_text.c ------------------------------------------------------------------------------ */

#define DEBUG_TEXT 200

/* Ticks until now; 0 without OWNERS. */
uint64_t debug_now(void);
/* Microseconds since then. */
uint64_t debug_age(uint64_t time);
void debug_own(struct debug_owner *owner, const void *caller);

/* "; allocated ..., freed ...": what is known of the owners. Returns `text`. */
const char *debug_owners(char *text, size_t bytes, const struct debug_record *record);

/* ---- debug_index.c ----------------------------------------------------------------------------- */

void debug_enter_locked(struct debug_record *record);
void debug_remove_locked(struct debug_record *record);
/* The newest record of the block that begins there; NULL: none. */
struct debug_record *debug_find_locked(const void *block);
/*
 * Copies the record of a block whose memory, red zones included, contains the byte; false: there is
 * none. Live ones come before waiting ones, and these before ones that are gone. *is_record: a record
 * begins at the byte. It is a copy because the caller describes the block after it has released the
 * lock, and another CPU may end the record then. O(records).
 */
bool debug_find_around_locked(const void *pointer, struct debug_record *found, bool *is_record);

void debug_list_add_locked(struct debug_list *list, struct debug_record *record);
struct debug_record *debug_list_take_locked(struct debug_list *list);

/* Calls `visit` for each record until it returns false. At rest, or under the lock. */
void debug_walk(bool (*visit)(void *context, struct debug_record *record), void *context);

/* ---- debug_fill.c ------------------------------------------------------------------------------ */

void debug_fill(char *bytes, unsigned value, size_t count);

/* The pattern around the block. */
void debug_zones_fill(const struct debug_record *record);
/* Undoes the beginning of a free: after its panic a test goes on. */
void debug_make_live(struct debug_record *record);
/* Panics if a zone has changed; the block is live then. */
void debug_zones_check(struct debug_record *record, const char *call, const void *caller);

/* Panics if a byte of the freed block has changed. */
void debug_freed_check(const struct debug_record *record, const char *when);

/* The memory, which holds the pattern, goes back to an arena: so its units are poisoned. */
void debug_poison_give(const char *memory, size_t bytes);
/* The memory is in use from here on. Panics if a poisoned unit in it has changed. */
void debug_poison_take(const char *memory, size_t bytes);
/* The frames come from outside the heap: nothing is known of them. */
void debug_poison_fresh(uint64_t first, uint64_t count);
void debug_poison_start(void);

/* ---- debug_guard.c ----------------------------------------------------------------------------- */

/* Whether this allocation, of this size and alignment, is to have guard pages. Counts allocations. */
bool debug_guard_chooses(size_t size, size_t align);
/* Whether there are no addresses left without a record. */
bool debug_guard_is_full(void);
/* Gives the block pages and an address. False: there are no frames or no addresses for it. */
bool debug_guard_place(struct debug_record *record, size_t size, size_t align);
/* The block is freed: unmaps its pages, and puts the record into the list `guarded`. */
void debug_guard_end(struct debug_record *record);
/* The record, which is on no list, ends: frees its pages; its addresses may be used again. */
void debug_guard_forget(struct debug_record *record);
void debug_guard_start(void);

/* The alignment that a block gets: its size if that is a power of two, 16 at least. */
static inline size_t debug_align(size_t size, size_t align)
{
	if (is_power_of_two(size) && size > align)
		align = size;
	return align < KHEAP_GRAIN ? KHEAP_GRAIN : align;
}

/* ---- debug_bad.c ------------------------------------------------------------------------------- */

/* Panics: the pointer is no live block. Returns if it may be a live block without a record. */
void debug_bad_pointer(const void *pointer, const char *call, const void *caller);
