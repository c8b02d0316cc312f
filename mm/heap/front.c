/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * front.c - the heap's per-CPU front end: what an allocation does that finds its stack empty, a free
 * that finds it full, and what empties the stacks. front.h has the hit, slab.c the slabs.
 *
 * Invariants
 *
 *   F1  base[c] <= top <= limit of each stack; base[c][-1] is the sentinel; limit is
 *	 base[c] + capacity[c], or less while the stack is emptied, and base[c] after that. A block
 *	 on a stack is in no other place, and its state byte is 0.
 *   F2  A stack gets room, or a batch, only while the CPU's frame cache is open; where it has either,
 *	 its bit in `filled` is set. Before the frame cache is parked, park_step() has emptied and
 *	 closed all stacks, in the same masked section. So a request for frames that has waited for a
 *	 CPU finds no block on its stacks.
 *   F3  Every change of more than `top` is one section with interrupts masked.
 *   F4  Refills bring half of the capacity, flushes take half. So at least capacity / 2 operations
 *	 lie between two holds of the lock, whatever the trace, except where slabs have fewer blocks,
 *	 and where a slab is added or given back.
 *
 * A batch moves in one masked section: grouping the blocks by word, the hold of the lock, and
 * writing the blocks onto the stack. The lock is held for the claim or release of bits alone.
 *
 * Locks: the heap's, with interrupts masked. Frames are taken and given without it.
 */
#include "mm/heap/front.h"

#include <string.h>

#include "mm/check.h"
#include "mm/global/bits.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc_private.h"
#include "mm/words.h"
#include "sync/ck.h"
#include "sync/trace.h"

#define CAPACITY_MAX	128
#define CAPACITY_MIN	8
#define STACK_SLOTS	(CAPACITY_MAX + 1) /* with the sentinel */
#define SENTINEL	UINT64_MAX
#define BATCH_MAX	(CAPACITY_MAX / 2)
#define PART_SLOTS	(2 * BATCH_MAX)
#define STACK_BYTES_MAX ((uint64_t)256 << 10) /* of blocks on one stack */
#define STACK_BYTES_MIN ((uint64_t)16 << 10)

struct kheap_front_work {
	struct slab_part parts[BATCH_MAX];
	uint8_t number[PART_SLOTS]; /* a hash table of the parts, by number + 1; 0: free */
};

static uint64_t no_blocks[2] = {SENTINEL, SENTINEL};

/* ---- making ---------------------------------------------------------------------------------- */

/* All stacks of all CPUs together take less than 1/64 of memory for themselves. */
static unsigned capacity_for(uint64_t frames)
{
	uint64_t words = (uint64_t)port_cpu_count() * KHEAP_CLASSES;
	unsigned capacity = CAPACITY_MAX;

	while (capacity > CAPACITY_MIN &&
	       words * (capacity + 1) * sizeof(uint64_t) > (frames << FRAME_SHIFT) / 64)
		capacity /= 2;
	return capacity;
}

/* The blocks that a stack of the class has room for. */
static uint64_t class_capacity(const struct slab_class *class, unsigned capacity, uint64_t bytes)
{
	uint64_t most = bytes / class->size & ~UINT64_C(1);

	return most < capacity ? most : capacity;
}

/* The bytes of blocks that a stack may keep: all stacks of all CPUs together 1/4 of memory. */
static uint64_t stack_bytes_for(uint64_t frames, unsigned capacity)
{
	uint64_t bytes = STACK_BYTES_MAX, sum;

	for (;; bytes /= 2) {
		sum = 0;
		for (unsigned i = 1; i < KHEAP_CLASSES; i++)
			sum += class_capacity(&kheap.class[i], capacity, bytes) *
			       kheap.class[i].size;
		if (bytes == STACK_BYTES_MIN ||
		    sum * port_cpu_count() <= (frames << FRAME_SHIFT) / 4)
			return bytes;
	}
}

static size_t cpu_bytes(uint64_t frames)
{
	size_t slots = (size_t)KHEAP_CLASSES * (capacity_for(frames) + 1);

	return cache_line_round_up(sizeof(struct kheap_front_work)) +
	       cache_line_round_up(slots * sizeof(uint64_t));
}

size_t kheap_front_bytes(uint64_t frames)
{
	return cache_line_round_up(frames * sizeof(uint64_t)) + port_cpu_count() * cpu_bytes(frames);
}

/* A front without blocks, whose stacks are empty and full at once. */
static void make_none(struct kheap_front *front)
{
	memset(front, 0, sizeof(*front));
	for (unsigned i = 1; i <= KHEAP_GRAINS; i++)
		front->class_of[i] = (uint8_t)kheap_class_of(i * KHEAP_GRAIN);
	for (unsigned i = 0; i < KHEAP_CLASSES; i++)
		front->stack[i].top = front->stack[i].limit = front->base[i] = &no_blocks[1];
}

static const struct frame_reclaimer reclaimer;

void kheap_front_none(void)
{
	frame_reclaimer = &reclaimer; /* arenas keep memory too */
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		make_none(kheap_front_of(cpu));
}

static void make_stacks(struct kheap_front *front, char *memory, unsigned capacity, uint64_t bytes)
{
	uint64_t *slot = (uint64_t *)(memory + cache_line_round_up(sizeof(*front->work)));

	front->work = (struct kheap_front_work *)memory;
	for (unsigned i = 1; i < KHEAP_CLASSES; i++, slot += capacity + 1) {
		struct slab_class *class = &kheap.class[i];

		*slot = SENTINEL;
		front->base[i] = front->stack[i].top = front->stack[i].limit = slot + 1;
		front->stack[i].mask = slab_bytes(class) - 1;
		front->stack[i].magic = class->magic;
		front->capacity[i] = (uint8_t)class_capacity(class, capacity, bytes);
	}
}

void kheap_front_start(void *memory, uint64_t first, uint64_t frames)
{
	uint64_t *map = memory;
	char *stacks = (char *)memory + cache_line_round_up(frames * sizeof(uint64_t));
	unsigned capacity = capacity_for(frames);
	uint64_t bytes = stack_bytes_for(frames, capacity);

	words_fill(map, slab_no_word(), frames);
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++) {
		struct kheap_front *front = kheap_front_of(cpu);

		make_stacks(front, stacks + cpu * cpu_bytes(frames), capacity, bytes);
		front->first = first;
		front->count = frames;
		front->map = map;
		front->map_bias = (uint64_t *)((uintptr_t)map - first * sizeof(uint64_t));
	}
}

/* ---- batches, with interrupts masked ---------------------------------------------------------- */

static void set_top(struct kheap_stack *stack, uint64_t *top)
{
	stack_level_store(&stack->top, top);
}

static bool may_keep(const struct kheap_front *front, unsigned class)
{
	return front->capacity[class] && frame_cache_may_keep();
}

static void open_stack(struct kheap_front *front, unsigned class)
{
	front->stack[class].limit = front->base[class] + front->capacity[class];
	front->filled |= UINT64_C(1) << class;
}

/* Writes the blocks of the parts below `slot`, downwards, so that they pop by rising address. */
static void expand_blocks(uint64_t *slot, const struct slab_class *class,
			  const struct slab_part *parts, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		for (uint64_t bits = parts[i].bits; bits; bits &= bits - 1) {
			unsigned block = 64 * parts[i].word + bits_lowest(bits);

			*--slot = parts[i].slab->start + (uint64_t)block * class->size;
		}
}

/*
 * A batch onto the empty stack, or one block past it; SENTINEL: no slab has a block. Lists the slab
 * *fresh, if there is one, and sets it to NULL.
 */
static uint64_t refill_stack_masked(struct kheap_front *front, unsigned number, struct slab **fresh)
{
	struct slab_class *class = &kheap.class[number];
	struct kheap_stack *stack = &front->stack[number];
	struct slab_part *parts = front->work->parts;
	bool keeps = may_keep(front, number);
	uint64_t begun = keeps ? trace_begin() : 0;
	unsigned count, taken;
	struct hold hold;
	uint64_t one;

	heap_enter(&hold);
	if (*fresh)
		slab_add_locked(*fresh);
	*fresh = NULL;
	count = slab_claim_locked(class, keeps ? front->capacity[number] / 2 : 1, parts, &taken);
	heap_leave(&hold);
	if (!taken)
		return SENTINEL;
	if (!keeps) {
		expand_blocks(&one + 1, class, parts, count);
		return one;
	}
	open_stack(front, number);
	expand_blocks(stack->top + taken, class, parts, count);
	set_top(stack, stack->top + taken - 1);
	trace_end(TRACE_HEAP_REFILL, begun, taken, class->size);
	return *stack->top;
}

static _Noreturn void twice(const struct slab_part *part)
{
	port_panic(
		"kfree: a block of %u bytes at %#llx or behind is freed twice: it is free in its "
		"slab, expected on a stack",
		kheap.class[part->slab->class].size, (unsigned long long)part->slab->start);
}

/* The part of the slab's word, made if there is none. */
static struct slab_part *part_of(struct kheap_front_work *work, unsigned *count, struct slab *slab,
				 unsigned word)
{
	uintptr_t slot = ((uintptr_t)slab >> SLAB_RECORD_SHIFT) + word * (PART_SLOTS / 4);
	struct slab_part *part;

	for (;; slot++) {
		unsigned number = work->number[slot % PART_SLOTS];

		if (!number)
			break;
		part = &work->parts[number - 1];
		if (part->slab == slab && part->word == word)
			return part;
	}
	part = &work->parts[(*count)++];
	*part = (struct slab_part){slab, word, 0, 0};
	work->number[slot % PART_SLOTS] = (uint8_t)*count;
	return part;
}

/* Puts blocks of one class back into their slabs, at most BATCH_MAX, in one hold. */
static void release_blocks_masked(struct kheap_front *front, unsigned number, const uint64_t *blocks,
				  unsigned wanted, bool keep_all, struct slab **leaving)
{
	const struct slab_class *class = &kheap.class[number];
	struct slab_part *parts = front->work->parts, *part = NULL;
	uint64_t start = 0, bytes = 0; /* of the part's slab */
	unsigned count = 0;
	struct hold hold;
	bool released;

	words_fill((uint64_t *)front->work->number, 0, sizeof(front->work->number) / 8);
	for (unsigned i = 0; i < wanted; i++) {
		struct slab *slab = part ? part->slab : NULL;
		unsigned block;

		if (blocks[i] - start >= bytes) {
			slab = slab_of(front->map_bias[blocks[i] >> FRAME_SHIFT], blocks[i]);
			start = slab->start;
			bytes = slab_bytes(class);
			part = NULL;
		}
		block = slab_block_of(class, blocks[i] - start);
		if (!part || part->word != block / 64)
			part = part_of(front->work, &count, slab, block / 64);
		if (part->bits >> block % 64 & 1)
			twice(part);
		part->bits |= UINT64_C(1) << block % 64;
		part->blocks++;
	}
	heap_enter(&hold);
	released = slab_release_locked(parts, count, keep_all, leaving);
	heap_leave(&hold);
	if (!released)
		twice(parts);
}

/* The coldest `wanted` blocks go back, and the others move down. */
static void flush_masked(struct kheap_front *front, unsigned number, unsigned wanted, bool keep_all,
			 struct slab **leaving)
{
	struct kheap_stack *stack = &front->stack[number];
	uint64_t *base = front->base[number], begun = trace_begin();

	release_blocks_masked(front, number, base, wanted, keep_all, leaving);
	words_move_down(base, base + wanted, (size_t)(stack->top - base) - wanted);
	set_top(stack, stack->top - wanted);
	trace_end(TRACE_HEAP_FLUSH, begun, wanted, kheap.class[number].size);
}

/* ---- the slow halves --------------------------------------------------------------------------- */

static void mark(const struct kheap_front *front, uint64_t address, uint8_t state)
{
	if (CHECKS)
		*kheap_state(front->map_bias[address >> FRAME_SHIFT], address) = state;
}

/* A trap handler may have filled the stack since the pop: then *fresh stays as it is. */
STEP uint64_t pop_or_refill(unsigned class, struct slab **fresh)
{
	struct kheap_front *front = kheap_front_self();
	struct kheap_stack *stack = &front->stack[class];
	unsigned long flags = port_irq_save();
	uint64_t address = stack->top[-1];

	if (address != SENTINEL)
		set_top(stack, stack->top - 1);
	else
		address = refill_stack_masked(front, class, fresh);
	port_irq_restore(flags);
	return address;
}

/* True if this CPU's stack or the slabs of the class have a block; what other CPUs do may change it. */
static bool has_block(const struct kheap_front *front, unsigned class)
{
	return front->stack[class].top != front->base[class] ||
	       (int64_t)slab_free_blocks(&kheap.class[class]) > 0;
}

static inline void *block_of(uint64_t address, unsigned class)
{
	if (address == SENTINEL)
		return NULL;
	mark(kheap_front_self(), address, class);
	return port_phys_pointer(address);
}

/*
 * Adds a slab first, if there are frames for it without asking. A parked cache is opened for a block,
 * and only then, as in refill.c: so a request that has found nothing is not repeated.
 */
__attribute__((noinline)) void *kheap_take_adding(unsigned class)
{
	unsigned long flags = port_irq_save();
	uint64_t address = SENTINEL;
	struct slab *fresh;

	transit_begin();
	fresh = slab_make(kheap_buddy_alloc(SLAB_RECORD_ORDER), class);
	if (fresh || has_block(kheap_front_self(), class))
		address = pop_or_refill(class, &fresh);
	if (fresh)
		slab_add(fresh);
	transit_end();
	port_irq_restore(flags);
	return block_of(address, class);
}

__attribute__((noinline)) void *kheap_take_once(unsigned class)
{
	struct slab *fresh = NULL;

	return block_of(pop_or_refill(class, &fresh), class);
}

/* The smallest class that may serve the size: the last one has more than KHEAP_SIZE_MAX bytes. */
static unsigned first_class(size_t size)
{
	if (size <= KHEAP_SIZE_MAX)
		return kheap_class_of(size);
	return size <= kheap.class[KHEAP_CLASSES - 1].size ? KHEAP_CLASSES - 1 : KHEAP_CLASSES;
}

void *kheap_take_larger(size_t size, size_t align)
{
	const struct kheap_front *front = kheap_front_self();
	size_t natural = size & -size; /* that of all classes that serve it, see kmalloc_aligned() */
	void *block = NULL;

	if (natural < align)
		natural = align;
	if (!front->work)
		return NULL;
	for (unsigned class = first_class(size); !block && class < KHEAP_CLASSES; class ++)
		if ((kheap.class[class].size & (natural - 1)) == 0 && has_block(front, class))
			block = kheap_take_once(class);
	return block;
}

uint64_t kheap_claims(size_t size)
{
	uint64_t claims = ck_pr_load_64(&kheap.arena_claims);

	for (unsigned class = first_class(size); class < KHEAP_CLASSES; class ++)
		claims += ck_pr_load_64(&kheap.class[class].claimed);
	return claims;
}

STEP void put(uint64_t address, unsigned class)
{
	struct kheap_front *front = kheap_front_self();
	struct kheap_stack *stack = &front->stack[class];
	unsigned long flags = port_irq_save();
	struct slab *leaving = NULL;

	if (may_keep(front, class)) {
		open_stack(front, class);
		if (stack->top == stack->limit)
			flush_masked(front, class, front->capacity[class] / 2, false, &leaving);
		*stack->top = address;
		set_top(stack, stack->top + 1);
	} else {
		release_blocks_masked(front, class, &address, 1, false, &leaving);
	}
	slab_give(leaving);
	port_irq_restore(flags);
}

void kheap_put_free(uint64_t address, unsigned class)
{
	put(address, class);
}

void kheap_put(uint64_t address, unsigned class)
{
	mark(kheap_front_self(), address, 0);
	put(address, class);
}

/* ---- emptying the stacks ------------------------------------------------------------------------- */

/* One step; false: no stack has blocks or room. Interrupts are masked. */
static bool close_step(struct kheap_front *front, bool keep_all, struct slab **leaving)
{
	struct kheap_stack *stack;
	unsigned class, level, some;

	if (!front->filled)
		return false;
	class = bits_lowest(front->filled);
	stack = &front->stack[class];
	level = (unsigned)(stack->top - front->base[class]);
	some = level < BATCH_MAX ? level : BATCH_MAX;
	if (some)
		flush_masked(front, class, some, keep_all, leaving);
	stack->limit = stack->top;
	if (some == level)
		front->filled &= front->filled - 1;
	return true;
}

/* Frees of trap handlers between two steps may open stacks again; each does so once. */
static bool park_step(void)
{
	struct kheap_front *front = kheap_front_self();

	return close_step(front, true, NULL);
}

static const struct frame_reclaimer reclaimer = {
	.park = park_step,
	.give = kheap_give,
	.gone = kheap_gone,
};

void kheap_front_flush(void)
{
	struct slab *leaving;
	unsigned long flags;
	bool more;

	do {
		leaving = NULL;
		flags = port_irq_save();
		more = close_step(kheap_front_self(), false, &leaving);
		slab_give(leaving);
		port_irq_restore(flags);
	} while (more);
}

/* ---- levels and checks --------------------------------------------------------------------------- */

static uint64_t level_of(const struct kheap_front *front, unsigned class)
{
	ptrdiff_t level = stack_level_load(&front->stack[class].top) - front->base[class];

	return level > 0 ? (uint64_t)level : 0;
}

uint64_t kheap_front_level(unsigned class)
{
	uint64_t blocks = 0;

	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		blocks += level_of(kheap_front_of(cpu), class);
	return blocks;
}

bool kheap_front_others_hold(void)
{
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++)
		for (unsigned i = 1; cpu != port_cpu() && i < KHEAP_CLASSES; i++)
			if (level_of(kheap_front_of(cpu), i))
				return true;
	return false;
}

static void validate_block(uint64_t address, unsigned class)
{
	struct found found = {.slab = NULL};

	check(slab_find(address, &found) && found.slab->class == class && found.start == address,
	      "heap: %#llx is on the stack of class %u and no block of it",
	      (unsigned long long)address, class);
	check(!CHECKS || found.verdict == VERDICT_FREE,
	      "heap: block %#llx is on a stack and allocated", (unsigned long long)address);
}

void kheap_front_validate(void)
{
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++) {
		const struct kheap_front *front = kheap_front_of(cpu);

		for (unsigned i = 1; i < KHEAP_CLASSES; i++) {
			const struct kheap_stack *stack = &front->stack[i];
			const uint64_t *base = front->base[i];

			check(base[-1] == SENTINEL && base <= stack->top &&
				      stack->top <= stack->limit,
			      "heap: the stack of class %u of cpu %u is out of order", i, cpu);
			check(stack->limit == base || front->filled >> i & 1,
			      "heap: the stack of class %u of cpu %u has room, and no bit says so",
			      i, cpu);
			for (const uint64_t *slot = base; slot < stack->top; slot++)
				validate_block(*slot, i);
		}
	}
}
