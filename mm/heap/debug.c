/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug.c - allocation, free and resize of blocks while the diagnostics are on; see debug.h and
 * debug_private.h.
 *
 * An allocation first tries to get a record, and memory for the block and its red zones, without a
 * request to other CPUs. If it fails, it gives back all that freed blocks keep. Then it tries again,
 * with what its flags allow, and at last for the block alone. It fails if these failed, and no memory
 * has come free meanwhile.
 */
#include "mm/heap/debug.h"

#include <string.h>

#include "mm/check.h"
#include "mm/heap/debug_private.h"
#include "mm/heap/kheap.h"
#include "mm/words.h"
#include "sync/ck.h"

/* The part of memory that blocks in quarantine may keep: 1/16. */
#define WAITING_PART 16

/* Freed blocks that are remembered after their memory is free. */
#define HISTORY_MAX 1024

/* ---- records ----------------------------------------------------------------------------------- */

STEP struct debug_record *take_record(void)
{
	struct debug_record *record = kheap_buddy_alloc(RECORD_ORDER);
	struct hold hold;

	if (!record)
		return NULL;
	if (debug_has(KHEAP_DEBUG_POISON))
		debug_poison_take((const char *)record, sizeof(*record));
	heap_enter(&hold);
	heap_debug.records++;
	heap_leave(&hold);
	return record;
}

STEP void count_record_given(void)
{
	struct hold hold;

	heap_enter(&hold);
	heap_debug.records--;
	heap_leave(&hold);
}

/* The record is in no bucket. */
static void give_record(struct debug_record *record)
{
	count_record_given();
	kheap_buddy_free(record);
}

/* ---- leaving the lists ------------------------------------------------------------------------- */

/*
 * The record's block has no memory any more. It is kept for messages, or ends; the oldest one ends. Returns
 * the one that ends, or NULL.
 */
STEP struct debug_record *remember(struct debug_record *record)
{
	struct debug_record *oldest = record;
	struct hold hold;

	heap_enter(&hold);
	if (debug_has(KHEAP_DEBUG_OWNERS)) {
		record->state = DEBUG_GONE;
		debug_list_add_locked(&heap_debug.history, record);
		oldest = ++heap_debug.history_count > HISTORY_MAX
				 ? debug_list_take_locked(&heap_debug.history)
				 : NULL;
	}
	if (oldest) {
		heap_debug.history_count -= oldest != record;
		debug_remove_locked(oldest);
	}
	counter_add(&heap_debug.gone, 1);
	heap_leave(&hold);
	return oldest;
}

static size_t memory_bytes(const struct debug_record *record)
{
	return (size_t)(record->block - record->memory) + record->size + record->tail;
}

/* The block's memory goes back to the heap. */
STEP void give_memory(struct debug_record *record)
{
	if (debug_has(KHEAP_DEBUG_POISON)) {
		debug_freed_check(record, "in the quarantine");
		debug_fill(record->memory, DEBUG_FREE, (size_t)(record->block - record->memory));
		debug_fill(record->block + record->size, DEBUG_FREE, record->tail);
		debug_poison_give(record->memory, memory_bytes(record));
	}
	kheap_release_behind(record->memory, "heapdebug", NULL);
}

/* The record is on no list. */
static void end_wait(struct debug_record *record)
{
	give_memory(record);
	record = remember(record);
	if (record)
		give_record(record);
}

/* The oldest block of the quarantine if it has more than `most` bytes; NULL: it has no more. */
STEP struct debug_record *take_waiting(uint64_t most)
{
	struct debug_record *record = NULL;
	struct hold hold;

	heap_enter(&hold);
	if (heap_debug.waiting_bytes > most)
		record = debug_list_take_locked(&heap_debug.waiting);
	if (record)
		heap_debug.waiting_bytes -= memory_bytes(record);
	heap_leave(&hold);
	return record;
}

/* One record of a list of freed blocks that have no memory. */
STEP struct debug_record *take_gone(struct debug_list *list)
{
	struct debug_record *record;
	struct hold hold;

	heap_enter(&hold);
	record = debug_list_take_locked(list);
	if (record) {
		debug_remove_locked(record);
		heap_debug.history_count -= list == &heap_debug.history;
		counter_add(&heap_debug.gone, 1);
	}
	heap_leave(&hold);
	return record;
}

/* The oldest freed block with guard pages. */
STEP bool give_guarded(void)
{
	struct debug_record *record = take_gone(&heap_debug.guarded);

	if (!record)
		return false;
	debug_guard_forget(record);
	give_record(record);
	return true;
}

/* All that freed blocks keep, their records too: what they were is forgotten. */
static void give(void)
{
	struct debug_record *record;

	while ((record = take_waiting(0)) != NULL)
		end_wait(record);
	while ((record = take_gone(&heap_debug.history)) != NULL)
		give_record(record);
	while (give_guarded())
		;
	kheap_give_idle(); /* there are no slabs */
}

static uint64_t gone(void)
{
	return ck_pr_load_64(&heap_debug.gone) + kheap_gone();
}

static bool park(void)
{
	return false;
}

/* ---- allocation -------------------------------------------------------------------------------- */

/* Memory for the block and its red zones: `front` bytes before it keep it aligned. */
STEP bool place(struct debug_record *record, size_t size, size_t align, unsigned flags)
{
	size_t zone = 0, tail = 0;

	if (debug_has(KHEAP_DEBUG_REDZONE)) {
		size_t aligned = debug_align(size, align);

		zone = aligned <= FRAME_SIZE ? aligned : 0;
		tail = KHEAP_GRAIN + (-size & (KHEAP_GRAIN - 1));
	}
	align = debug_has(KHEAP_DEBUG_REDZONE) ? debug_align(size, align) : align;
	record->memory = kheap_alloc_behind(zone + size + tail, align, flags);
	if (!record->memory)
		return false;
	if (debug_has(KHEAP_DEBUG_POISON))
		debug_poison_take(record->memory, zone + size + tail);
	record->block = record->memory + zone;
	record->front = zone < BUDDY_UNIT ? zone : BUDDY_UNIT;
	record->tail = tail;
	record->slot = 0;
	return true;
}

STEP void *finish(struct debug_record *record, size_t size, const void *caller)
{
	struct hold hold;

	record->size = size;
	record->state = DEBUG_LIVE;
	debug_own(&record->allocated, caller);
	debug_zones_fill(record);
	if (debug_has(KHEAP_DEBUG_POISON))
		debug_fill(record->block, DEBUG_NEW, size);
	heap_enter(&hold);
	debug_enter_locked(record);
	heap_debug.live++;
	heap_debug.live_bytes += size;
	heap_leave(&hold);
	return record->block;
}

STEP bool place_guarded(struct debug_record *record, size_t size, size_t align)
{
	if (debug_guard_is_full() && !give_guarded())
		return false;
	return debug_guard_place(record, size, align);
}

static void *try(size_t size, size_t align, unsigned flags, const void *caller)
{
	struct debug_record *record = take_record();

	if (!record)
		return NULL;
	if (debug_guard_chooses(size, align) && place_guarded(record, size, align))
		return finish(record, size, caller);
	if (place(record, size, align, flags))
		return finish(record, size, caller);
	give_record(record);
	return NULL;
}

/* A block without a record. */
STEP void *try_alone(size_t size, size_t align, unsigned flags)
{
	void *block = kheap_alloc_behind(size, align, flags);
	struct found found;
	struct hold hold;

	if (!block)
		return NULL;
	heap_enter(&hold);
	found = kheap_find_locked(block);
	heap_debug.untracked++;
	heap_debug.untracked_bytes += found.bytes;
	heap_leave(&hold);
	if (debug_has(KHEAP_DEBUG_POISON))
		debug_poison_take(block, found.bytes);
	return block;
}

static void *alloc_somehow(size_t size, size_t align, unsigned flags, const void *caller)
{
	void *block = try(size, align, flags | FRAME_NOWAIT, caller);
	uint64_t before;

	if (block)
		return block;
	/* Its own attempts change kheap_gone(): so what counts is what freed blocks have given. */
	do {
		before = ck_pr_load_64(&heap_debug.gone);
		give();
		block = try(size, align, flags, caller);
		if (!block)
			block = try_alone(size, align, flags);
	} while (!block && ck_pr_load_64(&heap_debug.gone) != before);
	return block;
}

static void *alloc(size_t size, size_t align, unsigned flags, const void *caller)
{
	void *block = alloc_somehow(size, align, flags, caller);

	/* Exactly: the bytes behind it are a red zone. */
	if (block && (flags & FRAME_ZERO))
		debug_fill(block, 0, size);
	return block;
}

/* ---- free -------------------------------------------------------------------------------------- */

/* The block is the caller's alone from here on; NULL: it is no live block with a record. */
STEP struct debug_record *take_live(const void *block, const void *caller)
{
	struct debug_record *record;
	struct debug_owner freed;
	struct hold hold;

	debug_own(&freed, caller);
	heap_enter(&hold);
	record = debug_find_locked(block);
	if (record && record->state == DEBUG_LIVE) {
		record->state = DEBUG_WAITING;
		record->freed = freed;
		heap_debug.live--;
		heap_debug.live_bytes -= record->size;
	} else {
		record = NULL;
	}
	heap_leave(&hold);
	return record;
}

STEP void release_alone(void *block, const char *call, const void *caller)
{
	struct found found;
	struct hold hold;

	debug_bad_pointer(block, call, caller);
	heap_enter(&hold);
	found = kheap_find_locked(block);
	heap_debug.untracked--;
	heap_debug.untracked_bytes -= found.bytes;
	heap_leave(&hold);
	kheap_release_behind(block, call, caller);
}

DEBUG_PANIC other_size(const struct debug_record *record, size_t size, const char *call,
		       const void *caller)
{
	char text[DEBUG_TEXT];

	port_panic("%s: mismatched size: block %p has %zu bytes, the call says %zu%s, called from "
		   "[<%p>]",
		   call, (void *)record->block, record->size, size,
		   debug_owners(text, sizeof(text), record), caller);
}

/* kfree_sized() allows another size of the same class. */
static bool is_size_of(const struct debug_record *record, size_t size)
{
	if (size == 0 || size == record->size)
		return true;
	return size <= KHEAP_SIZE_MAX && record->size <= KHEAP_SIZE_MAX &&
	       kheap_class_of(size) == kheap_class_of(record->size);
}

/* A mistake leaves the block live: a test goes on. */
static void check_free(struct debug_record *record, size_t size, const char *call,
		       const void *caller)
{
	debug_zones_check(record, call, caller);
	if (is_size_of(record, size))
		return;
	debug_make_live(record);
	other_size(record, size, call, caller);
}

STEP void wait_or_end(struct debug_record *record)
{
	struct hold hold;

	if (!debug_has(KHEAP_DEBUG_QUARANTINE)) {
		end_wait(record);
		return;
	}
	heap_enter(&hold);
	debug_list_add_locked(&heap_debug.waiting, record);
	heap_debug.waiting_bytes += memory_bytes(record);
	heap_leave(&hold);
	while ((record = take_waiting(heap_debug.waiting_max)) != NULL)
		end_wait(record);
}

static void release(void *block, size_t size, const char *call, const void *caller)
{
	struct debug_record *record = take_live(block, caller);

	if (!record) {
		release_alone(block, call, caller);
		return;
	}
	check_free(record, size, call, caller);
	if (record->slot) {
		debug_guard_end(record);
		return;
	}
	if (debug_has(KHEAP_DEBUG_POISON))
		debug_fill(record->block, DEBUG_FREE, record->size);
	wait_or_end(record);
}

/* ---- size -------------------------------------------------------------------------------------- */

STEP size_t usable(const void *block, const char *call, const void *caller)
{
	struct debug_record *record;
	struct found found;
	struct hold hold;
	size_t bytes = 0;

	heap_enter(&hold);
	record = debug_find_locked(block);
	if (record && record->state == DEBUG_LIVE)
		bytes = record->size;
	else
		record = NULL;
	found = kheap_find_locked(block);
	heap_leave(&hold);
	if (!record) {
		debug_bad_pointer(block, call, caller);
		return found.bytes;
	}
	debug_zones_check(record, call, caller);
	return bytes;
}

/* The block keeps its memory: what is cut off becomes red zone. A block without a record stays as it is. */
STEP void shrink(const void *block, size_t size)
{
	struct debug_record *record;
	struct hold hold;

	heap_enter(&hold);
	record = debug_find_locked(block);
	heap_leave(&hold);
	if (!record || record->state != DEBUG_LIVE)
		return;
	if (debug_has(KHEAP_DEBUG_REDZONE)) {
		record->tail += record->size - size;
		debug_fill(record->block + size, DEBUG_RED, record->tail);
	}
	heap_enter(&hold);
	heap_debug.live_bytes -= record->size - size;
	record->size = size;
	heap_leave(&hold);
}

/* Always moves, so that a pointer to the old block is found; unless there is no memory. */
static void *resize(void *block, size_t size, const void *caller)
{
	size_t old = usable(block, "krealloc", caller);
	void *moved = alloc_somehow(size, 1, FRAME_ANY, caller);

	if (!moved && size > old)
		return NULL;
	if (!moved) {
		shrink(block, size);
		return block;
	}
	memcpy(moved, block, size < old ? size : old);
	release(block, 0, "krealloc", caller);
	return moved;
}

/* ---- on and off, reports ----------------------------------------------------------------------- */

static void fresh(uint64_t first, uint64_t count)
{
	if (debug_has(KHEAP_DEBUG_POISON))
		debug_poison_fresh(first, count);
}

static void stats_locked(struct kheap_stats *stats)
{
	stats->live_blocks = heap_debug.live + heap_debug.untracked;
	stats->allocated_bytes = heap_debug.live_bytes + heap_debug.untracked_bytes;
}

static const struct kheap_debug functions = {
	.alloc = alloc,
	.release = release,
	.resize = resize,
	.usable = usable,
	.give = give,
	.fresh = fresh,
	.stats_locked = stats_locked,
};

static const struct frame_reclaimer reclaimer = {
	.park = park,
	.give = give,
	.gone = gone,
};

/* Buckets: a power of two, at most as many as frames. */
static unsigned bucket_bits(uint64_t frames)
{
	unsigned bits = 4;

	while (UINT64_C(2) << bits <= frames)
		bits++;
	return bits;
}

size_t kheap_debug_bytes(uint64_t frames)
{
	return (frames + (UINT64_C(1) << bucket_bits(frames))) * sizeof(uint64_t);
}

void kheap_debug_start(const struct kheap_debug_options *options, void *memory)
{
	unsigned bits = bucket_bits(options->frames);

	memset(&heap_debug, 0, sizeof(heap_debug));
	heap_debug.words = options->words;
	heap_debug.guard_every = options->guard_every ? options->guard_every : 1;
	heap_debug.seed = options->seed;
	heap_debug.hertz = options->hertz ? options->hertz : 1;
	heap_debug.first = options->first;
	heap_debug.frames = options->frames;
	heap_debug.waiting_max = (options->frames << FRAME_SHIFT) / WAITING_PART;
	heap_debug.bucket = memory;
	heap_debug.bucket_shift = 64 - bits;
	heap_debug.poisoned = (uint64_t *)memory + (UINT64_C(1) << bits);
	memset(heap_debug.bucket, 0, sizeof(uint64_t) << bits);
	debug_poison_start();
	debug_guard_start();
	kheap_debug_port = options->port;
	kheap_debug = &functions;
	frame_reclaimer = &reclaimer;
}

unsigned kheap_debug_words(void)
{
	return kheap_debug ? heap_debug.words : 0;
}

uint64_t kheap_debug_untracked(void)
{
	return kheap_debug ? heap_debug.untracked : 0;
}

static bool check_record(void *unused, struct debug_record *record)
{
	(void)unused;
	if (record->state == DEBUG_LIVE)
		debug_zones_check(record, "kheap_debug_check", NULL);
	else if (record->state == DEBUG_WAITING && !record->slot && debug_has(KHEAP_DEBUG_POISON))
		debug_freed_check(record, "in the quarantine");
	return true;
}

void kheap_debug_check(void)
{
	if (kheap_debug)
		debug_walk(check_record, NULL);
}
