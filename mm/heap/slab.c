/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slab.c - see slab.h.
 *
 * Invariants
 *
 *   L1  A slab is on `partial` if some of its blocks are free, on `empty` if all are, on no list if
 *	 none is. `free` is the number of bits that are set.
 *   L2  Every frame of a slab has the slab's word in the map (front.h), from before the slab is
 *	 listed until after it has left its list for good; all other frames have slab_no_word().
 *   L3  A block is free in its slab (its bit is 1), or on one CPU's stack, or allocated. Its state
 *	 byte is the class only while it is allocated.
 *   L4  The empty slabs that stay hold at most KEPT_BLOCKS blocks of a class, or are one slab, and
 *	 altogether at most kept_max frames. So a stack that is flushed and refilled does not
 *	 take and give frames each time.
 *
 * Sizes. State bytes: one for each granule of 2^granule_shift bytes, the largest power of two that
 * is not above the block's size, so that no granule has two blocks' starts. A record of 512 bytes
 * has room for 256 of them, and for as many blocks. Without state bytes it has room for the bits of
 * 2,048 blocks. A slab has 64 blocks or more: so the records of blocks of 128 bytes and more take
 * 1/64 of the slabs or less, and a batch needs one new slab.
 *
 * Choice. Blocks come from the slab that has been partly free for the longest time: frees have then
 * made most blocks of it free, so a batch comes from few slabs. Empty slabs are used where there is
 * no partial one.
 */
#include "mm/heap/slab.h"

#include <string.h>

#include "mm/check.h"
#include "mm/global/bits.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc_private.h"
#include "sync/ck.h"
#include "sync/counter_start.h"

#define KEPT_BLOCKS 128
_Static_assert(BUDDY_UNIT << SLAB_RECORD_ORDER == SLAB_RECORD_BYTES,
	       "a record is a block of a buddy");

static _Alignas(64) uint8_t no_state[64];

/* ---- classes --------------------------------------------------------------------------------- */

static uint32_t size_of(unsigned class)
{
	unsigned doubling = (class - 9) / 8;

	if (class <= 8)
		return class * KHEAP_GRAIN;
	return (128u << doubling) + (class - 8 - 8 * doubling) * (16u << doubling);
}

static uint32_t frames_of(uint32_t size)
{
	uint32_t frames = CHECKS ? 1 : 8;

	while (CHECKS && size < 128 && 2 * frames * FRAME_SIZE / size <= SLAB_BLOCKS_MAX)
		frames *= 2;
	while (size >= 128 && (frames < 8 || frames * FRAME_SIZE / size < SLAB_BLOCKS_MIN))
		frames *= 2;
	return frames;
}

void slab_init(struct slab_class *classes)
{
	for (unsigned i = 1; i < KHEAP_CLASSES; i++) {
		struct slab_class *class = &classes[i];
		unsigned shift = 4;

		class->size = size_of(i);
		class->frames = frames_of(class->size);
		class->blocks = (uint32_t)(slab_bytes(class) / class->size);
		class->magic = UINT64_MAX / class->size + 1;
		while (shift < SLAB_GRANULE_SHIFT_MAX && UINT32_C(2) << shift <= class->size)
			shift++;
		class->granule_shift = shift;
		class->claimed = class->released = COUNTER_START_64;
		assert(class->blocks <= SLAB_BLOCKS_MAX);
		assert(class->blocks >= SLAB_BLOCKS_MIN);
		assert(!CHECKS || slab_bytes(class) >> shift <= SLAB_BLOCKS_MAX);
		assert(slab_bytes(class) >> shift >= 64); /* a word's low bits are the shift */
		class->partial.end = &class->partial.first;
		class->empty.end = &class->empty.first;
	}
}

/* ---- the map --------------------------------------------------------------------------------- */

static struct slab_class *class_of(const struct slab *slab)
{
	return &kheap.class[slab->class];
}

uint64_t slab_no_word(void)
{
	return CHECKS ? (uint64_t)(uintptr_t)&no_state[63] : 0;
}

uint64_t slab_word(const struct slab *slab)
{
	unsigned shift = class_of(slab)->granule_shift;

	if (!CHECKS)
		return (uint64_t)slab->class << KHEAP_CLASS_BIT | port_phys_address(slab);
	return (uint64_t)(uintptr_t)slab + SLAB_STATE_AT + shift - (slab->start >> shift);
}

struct slab *slab_of(uint64_t word, uint64_t address)
{
	if (word == slab_no_word())
		return NULL;
	if (!CHECKS)
		return port_phys_pointer(word & ((UINT64_C(1) << KHEAP_CLASS_BIT) - 1));
	return (struct slab *)((uintptr_t)kheap_state(word, address) & ~(SLAB_RECORD_BYTES - 1));
}

static void set_words(const struct slab *slab, uint64_t word)
{
	const struct kheap_front *front = kheap_front_self();
	uint64_t *words = &front->map_bias[slab->start >> FRAME_SHIFT];

	for (unsigned i = 0; i < class_of(slab)->frames; i++)
		ck_pr_store_64(&words[i], word);
}

/* ---- lists, under the lock ------------------------------------------------------------------- */

static void list(struct slab_list *list, struct slab *slab)
{
	slab->next = NULL;
	slab->link = list->end;
	*list->end = slab;
	list->end = &slab->next;
}

static void unlist(struct slab_list *list, struct slab *slab)
{
	*slab->link = slab->next;
	if (slab->next)
		slab->next->link = slab->link;
	else
		list->end = slab->link;
}

/* The list for a slab with that many free blocks; NULL: none. */
static struct slab_list *list_for(struct slab_class *class, unsigned free)
{
	if (free == class->blocks)
		return &class->empty;
	return free ? &class->partial : NULL;
}

static void count_empty(struct slab_class *class, bool more)
{
	uint64_t frames = class->frames;

	class->empty_slabs += more ? 1 : UINT64_MAX;
	counter_add(&kheap.kept_frames, more ? frames : -frames);
}

/* Restores L1: `before` blocks of the slab were free. */
static void relist(struct slab_class *class, struct slab *slab, unsigned before)
{
	struct slab_list *from = list_for(class, before), *to = list_for(class, slab->free);

	if (from == to)
		return;
	if (from)
		unlist(from, slab);
	if (to)
		list(to, slab);
	if (from == &class->empty) {
		count_empty(class, false);
		ck_pr_inc_64(&kheap.gone);
	}
	if (to == &class->empty)
		count_empty(class, true);
}

/* The slab is in transit until slab_give(). */
static void remove_empty(struct slab *slab)
{
	struct slab_class *class = class_of(slab);

	transit_begin();
	unlist(&class->empty, slab);
	count_empty(class, false);
	counter_add(&class->slabs, UINT64_MAX);
	kheap.stats.slabs--;
	kheap.stats.slab_frames -= class->frames;
}

static bool keeps(const struct slab_class *class)
{
	return class->empty_slabs == 1 || class->empty_slabs * class->blocks <= KEPT_BLOCKS;
}

static bool keeps_frames(void)
{
	return kheap.kept_frames <= kheap.kept_max;
}

/* ---- claim and release, under the lock --------------------------------------------------------- */

/* The lowest `*wanted` bits of `bits`, or all that there are; then *wanted is their number. */
static uint64_t lowest_bits(uint64_t bits, unsigned *wanted)
{
	uint64_t rest = bits;
	unsigned left = *wanted;

	if (bits == ~UINT64_C(0) && left < 64)
		return (UINT64_C(1) << left) - 1;
	for (; rest && left; left--)
		rest &= rest - 1;
	*wanted -= left;
	return bits ^ rest;
}

/* The parts of one slab, which has free blocks; returns how many parts. */
static unsigned claim_of(struct slab_class *class, struct slab *slab, unsigned wanted,
			 struct slab_part *parts, unsigned *taken)
{
	unsigned count = 0, before = slab->free;

	*taken = 0;
	for (unsigned word = 0; *taken < wanted && *taken < before; word++) {
		unsigned some = wanted - *taken;
		uint64_t bits = slab->bits[word];

		if (!bits)
			continue;
		bits = lowest_bits(bits, &some);
		slab->bits[word] ^= bits;
		*taken += some;
		parts[count++] = (struct slab_part){slab, word, some, bits};
	}
	slab->free = (uint16_t)(before - *taken);
	relist(class, slab, before);
	return count;
}

unsigned slab_claim_locked(struct slab_class *class, unsigned wanted, struct slab_part *parts,
			   unsigned *taken)
{
	unsigned count = 0, some;

	*taken = 0;
	while (*taken < wanted && (class->partial.first || class->empty.first)) {
		struct slab *slab = class->partial.first ? class->partial.first
							 : class->empty.first;

		count += claim_of(class, slab, wanted - *taken, parts + count, &some);
		*taken += some;
	}
	counter_add(&class->claimed, *taken);
	if (slab_blocks_out(class) > class->out_most)
		class->out_most = slab_blocks_out(class);
	return count;
}

bool slab_release_locked(struct slab_part *parts, unsigned count, bool keep_all,
			 struct slab **leaving)
{
	struct slab_class *class = class_of(parts->slab);
	uint64_t blocks = 0;

	for (struct slab_part *part = parts; part < parts + count; part++) {
		struct slab *slab = part->slab;
		unsigned before = slab->free;
		uint64_t bits = slab->bits[part->word];

		if (bits & part->bits) {
			*parts = *part;
			return false;
		}
		slab->bits[part->word] = bits | part->bits;
		slab->free = (uint16_t)(before + part->blocks);
		blocks += part->blocks;
		if (before && slab->free < class->blocks)
			continue;
		relist(class, slab, before);
		if (slab->free == class->blocks && !keep_all && !(keeps(class) && keeps_frames())) {
			remove_empty(slab);
			slab->next = *leaving;
			*leaving = slab;
		}
	}
	counter_add(&class->released, blocks);
	return true;
}

void slab_add_locked(struct slab *slab)
{
	struct slab_class *class = class_of(slab);

	list(&class->empty, slab);
	count_empty(class, true);
	counter_add(&class->slabs, 1);
	kheap.stats.slabs++;
	kheap.stats.slab_frames += class->frames;
	if (class->slabs > class->slabs_most)
		class->slabs_most = class->slabs;
}

struct slab *slab_remove_empty_locked(void)
{
	for (unsigned i = 1; kheap.kept_frames && i < KHEAP_CLASSES; i++) {
		struct slab *slab = kheap.class[i].empty.first;

		if (!slab)
			continue;
		remove_empty(slab);
		slab->next = NULL;
		return slab;
	}
	return NULL;
}

/* ---- memory, without the lock ------------------------------------------------------------------ */

static void make(struct slab *slab, unsigned class, pfn_t first)
{
	unsigned blocks = kheap.class[class].blocks;

	memset(slab, 0, SLAB_RECORD_BYTES);
	slab->start = pfn_to_phys(first).value;
	slab->class = class;
	slab->free = (uint16_t)blocks;
	for (unsigned i = 0; i < blocks; i += 64)
		slab->bits[i / 64] = blocks - i >= 64 ? ~UINT64_C(0)
						      : (UINT64_C(1) << (blocks - i)) - 1;
	set_words(slab, slab_word(slab));
}

static bool map_covers(pfn_t first, uint64_t count)
{
	const struct kheap_front *front = kheap_front_self();

	return first.value >= front->first && first.value + count <= front->first + front->count;
}

__attribute__((noinline)) struct slab *slab_make(struct slab *slab, unsigned class)
{
	uint64_t count = kheap.class[class].frames;
	pfn_t first;

	if (!slab)
		return NULL;
	first = take_frames(count, count, FRAME_NOWAIT);
	if (!pfn_is_none(first) && map_covers(first, count)) {
		make(slab, class, first);
		return slab;
	}
	if (!pfn_is_none(first))
		give_frames(first, count, is_single(count, count));
	kheap_buddy_free(slab);
	return NULL;
}

STEP void add(struct slab *slab)
{
	struct hold hold;

	heap_enter(&hold);
	slab_add_locked(slab);
	heap_leave(&hold);
}

void slab_add(struct slab *slab)
{
	add(slab);
}

STEP void give_frames_of(const struct slab *slab)
{
	uint64_t count = class_of(slab)->frames;

	set_words(slab, slab_no_word());
	give_frames(pfn(slab->start >> FRAME_SHIFT), count, is_single(count, count));
}

void slab_give(struct slab *leaving)
{
	while (leaving) {
		struct slab *slab = leaving;

		leaving = slab->next;
		give_frames_of(slab);
		kheap_buddy_free(slab);
		transit_end();
	}
}

STEP struct slab *remove_empty_slab(void)
{
	struct slab *slab;
	struct hold hold;

	heap_enter(&hold);
	slab = slab_remove_empty_locked();
	heap_leave(&hold);
	return slab;
}

static bool give_empty_slab(void)
{
	unsigned long flags = port_irq_save();
	struct slab *slab = remove_empty_slab();

	slab_give(slab);
	port_irq_restore(flags);
	return slab != NULL;
}

/* The records of slabs are in arenas, so the arena comes last. */
void kheap_give(void)
{
	while (ck_pr_load_64(&kheap.kept_frames) && give_empty_slab())
		;
	kheap_give_idle();
}

uint64_t kheap_gone(void)
{
	uint64_t gone;

	ck_pr_fence_memory(); /* a search comes before the count at its end */
	for (;;) {
		gone = ck_pr_load_64(&kheap.gone);
		ck_pr_fence_memory();
		if (!ck_pr_load_64(&kheap.in_transit))
			break;
		port_relax(); /* for the end of a section with interrupts masked */
	}
	ck_pr_fence_memory(); /* and after the count at its begin */
	return gone;
}

/* ---- what is at an address ------------------------------------------------------------------- */

/* The map is right whatever is in a caller's block: no word in it leads there. */
bool slab_is_record_locked(uint64_t address)
{
	const struct kheap_front *front = kheap_front_self();
	const struct slab *slab = port_phys_pointer(address);
	uint64_t frame = (slab->start >> FRAME_SHIFT) - front->first;

	return frame < front->count &&
	       slab_of(ck_pr_load_64(&front->map[frame]), slab->start) == slab;
}

static bool is_allocated(const struct slab *slab, unsigned block)
{
	uint64_t start = slab->start + (uint64_t)block * class_of(slab)->size;

	if (CHECKS)
		return *kheap_state(slab_word(slab), start) == slab->class;
	return !(slab->bits[block / 64] >> block % 64 & 1);
}

bool slab_find(uint64_t address, struct found *found)
{
	const struct kheap_front *front = kheap_front_self();
	uint64_t frame = (address >> FRAME_SHIFT) - front->first;
	struct slab_class *class;
	struct slab *slab;
	unsigned block;

	if (frame >= front->count)
		return false;
	slab = slab_of(ck_pr_load_64(&front->map[frame]), address);
	if (!slab)
		return false;
	class = class_of(slab);
	block = slab_block_of(class, address - slab->start);
	found->slab = slab;
	found->bytes = class->size;
	found->start = slab->start + (uint64_t)block * class->size;
	if (block >= class->blocks)
		found->verdict = VERDICT_FOREIGN;
	else if (!is_allocated(slab, block))
		found->verdict = VERDICT_FREE;
	else
		found->verdict = found->start == address ? VERDICT_LIVE : VERDICT_INTERIOR;
	return true;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void validate_slab(const struct slab_class *class, const struct slab *slab,
			  struct slab_count *count)
{
	const struct kheap_front *front = kheap_front_self();
	unsigned free = 0;

	for (unsigned word = 0; word < SLAB_BLOCKS_MAX / 64; word++)
		free += bits_count(slab->bits[word]);
	check(free == slab->free && free > 0 && free <= class->blocks,
	      "slab %#llx: %u blocks are free, it counts %u, it has %u",
	      (unsigned long long)slab->start, free, slab->free, class->blocks);
	check((slab->start & (slab_bytes(class) - 1)) == 0, "slab %#llx is misaligned",
	      (unsigned long long)slab->start);
	for (unsigned i = 0; i < class->frames; i++)
		check(front->map_bias[(slab->start >> FRAME_SHIFT) + i] == slab_word(slab),
		      "slab %#llx: the map says %#llx of frame %u", (unsigned long long)slab->start,
		      (unsigned long long)front->map_bias[(slab->start >> FRAME_SHIFT) + i], i);
	for (unsigned block = 0; block < class->blocks; block++)
		check(!(slab->bits[block / 64] >> block % 64 & 1) || !is_allocated(slab, block),
		      "slab %#llx: block %u is free and allocated", (unsigned long long)slab->start,
		      block);
	count->slabs++;
	count->free_blocks += free;
}

struct slab_count slab_validate(const struct slab_class *class)
{
	struct slab_count count = {0, 0, 0, 0};
	uint64_t partial;

	for (const struct slab *slab = class->partial.first; slab; slab = slab->next) {
		check(slab->free < class->blocks,
		      "slab %#llx is listed as partly free, and is empty",
		      (unsigned long long)slab->start);
		validate_slab(class, slab, &count);
	}
	partial = count.slabs;
	for (const struct slab *slab = class->empty.first; slab; slab = slab->next) {
		check(slab->free == class->blocks, "slab %#llx is listed as empty, and is not",
		      (unsigned long long)slab->start);
		validate_slab(class, slab, &count);
		count.empty_frames += class->frames;
	}
	check(count.slabs - partial == class->empty_slabs && count.slabs <= class->slabs,
	      "slabs of %u bytes: counted %llu, %llu of them empty; found %llu empty, %llu listed",
	      class->size, (unsigned long long)class->slabs, (unsigned long long)class->empty_slabs,
	      (unsigned long long)(count.slabs - partial), (unsigned long long)count.slabs);
	check(class->slabs * class->blocks == slab_blocks_out(class) + count.free_blocks,
	      "slabs of %u bytes: %llu blocks, of which %llu are out and %llu free", class->size,
	      (unsigned long long)(class->slabs * class->blocks),
	      (unsigned long long)slab_blocks_out(class), (unsigned long long)count.free_blocks);
	count.frames = class->slabs * class->frames;
	count.slabs = class->slabs;
	return count;
}
