/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space.c - see space.h.
 *
 * Flushing. A change writes entries under the lock, drops the lock, flushes, and frees last. Who
 * has to flush is read from `cpu_mask` after the entries were written. A cpu sets its bit before it
 * loads satp, so either the changer finds the bit, or the cpu's walks come after the change:
 *
 *	changer: entries; full fence (a); reads cpu_mask
 *	cpu:	 sets bit; full fence (a); satp, walks
 *
 * A cpu that leaves a space without an ASID flushes, and then takes its bit out; a changer that
 * still finds the bit flushes once for nothing. One that leaves a space with an ASID keeps what it
 * has cached, and its bit: it is flushed with the others, and has nothing to do when it comes back.
 * An ASID is free again when all those have been flushed once more. The kernel's own entries are
 * the same in every space and never change, so they need no flush.
 *
 * Mappings where nothing was. Hardware may have cached "not valid", of a page or of a table above it,
 * whether it was in the space or is noted with an ASID, so the cpu that maps flushes its own if it is
 * noted, in the space or not. Other cpus are not interrupted for it, as they would be for an unmap:
 * mapping is what faults and growing programs do all the time. Instead each mapping counts in `maps`,
 * and each cpu notes the count up to which it has flushed, `maps_seen`. A cpu that takes a page fault
 * with an older note flushes and tries again; with the same one the fault is none of a mapping's:
 *
 *	mapper:	entries; release (c); maps + 1; hands over (release)
 *	cpu:	is handed it (acquire); access faults; reads maps; acquire (c); SFENCE.VMA; access
 *
 * The count is read before the flush, so no mapping is noted that was not flushed for. A cpu that
 * enters with what it had cached notes that it has seen none, for it may have flushed last before any
 * of them. Changes that take nothing away but the "not writable" of a page flush all cpus anyway.
 *
 * `flushing` counts the changes whose flush others must not overtake; it goes up under the lock, with
 * the change. They are: an unmap, or a page would be mapped anew and cpus still see the old one in
 * its place; a clone, which takes the right to write from pages of `from`, or a copy would be made
 * of a page that others still write to; and a copy that was put in a page's place, or its owner
 * would write to it and cpus still read the frame before. So who maps, or answers a write fault,
 * waits until it is 0. Who changes anything else need not.
 *
 * Order of locks: two spaces' (clone), `from` first; nobody else has `to` yet. Under them no other
 * lock is taken, for nothing is allocated or freed there: what a change needs is in a stock before
 * it, what it took away is in a gather after it. So nobody waits for another cpu while it holds one
 * (`make lint` follows the calls). Interrupts stay let in while a lock is held or waited for.
 *
 * Copies. A page that is written to on fault keeps one more reference to its old frame while that
 * is copied, without the lock: with it nobody finds himself alone with the frame, and so nobody
 * writes to it. Under the lock it is then looked at again whether the page is still the same. The
 * copy takes its place for reading alone. When all have flushed, whoever wants to write finds
 * himself alone with it, and may.
 */
#include "kernel/vm/space.h"

#include <string.h>

#include <port.h>

#include "arch/riscv/mmu.h"
#include "arch/riscv/trap.h"
#include "kernel/smp/cpu.h"
#include "kernel/vm/kernel_space.h"
#include "kernel/settings.h"
#include "kernel/smp/shootdown.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/global/bits.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "mm/paging/refcount.h"
#include "sync/ck.h"
#include "sync/trace.h"

/* Of frames that several mappings have; over all zones. */
static struct frame_refs refs;

/* ---- ASIDs ----------------------------------------------------------------------------------- */

/* A set bit is an ASID that a space has; the first, 0, stands for none. */
static uint64_t *asids;
static uint64_t asid_max;

/* Hardware may have more; so many fit half a frame, which every policy has. */
#define ASIDS_MOST 16383

/* Each cpu lowers it to what it has; cpus_run() orders that. */
static void count_asids(void *unused)
{
	uint64_t mine = mmu_asid_max(), seen = ck_pr_load_64(&asid_max);

	(void)unused;
	while (mine < seen && !ck_pr_cas_64_value(&asid_max, seen, mine, &seen))
		;
}

static bool asids_open(void)
{
	asid_max = ASIDS_MOST;
	cpus_run(count_asids, NULL, settings.cpus);
	asids = kcalloc(asid_max / 64 + 1, sizeof(uint64_t));
	if (asids)
		asids[0] = 1;
	return asids != NULL;
}

/* 0 when all are taken. */
static uint16_t asid_take(void)
{
	for (uint64_t asid = 1; asid <= asid_max; asid++) {
		uint64_t bit = UINT64_C(1) << asid % 64, *word = &asids[asid / 64];
		uint64_t seen = ck_pr_load_64(word);

		while (!(seen & bit))
			if (ck_pr_cas_64_value(word, seen, seen | bit, &seen)) {
				ck_pr_fence_acquire(); /* pairs with asid_give */
				return (uint16_t)asid;
			}
	}
	return 0;
}

static void asid_give(uint16_t asid)
{
	ck_pr_fence_release(); /* the flush before; pairs with asid_take */
	ck_pr_and_64(&asids[asid / 64], ~(UINT64_C(1) << asid % 64));
}

bool spaces_open(void)
{
	const struct zone *last = &zones.zone[zones.count - 1];
	uint64_t first = zones.zone[0].first;

	if (kernel_space_satp() == MMU_OFF || !asids_open())
		return false;
	trap_on_page_fault = space_fault_is_stale;
	if (frame_refs_init(&refs, first, last->first + last->total_frames - first))
		return true;
	kfree(asids);
	return false;
}

void spaces_close(void)
{
	frame_refs_end(&refs);
	kfree(asids);
}

/* ---- who has to flush ------------------------------------------------------------------------ */

static unsigned cpu_mask_words(void)
{
	return (port_cpu_count() + 63) / 64;
}

/* True: it was none before, and nobody has asked it for flushes. */
static bool hold(struct space *space)
{
	uint64_t *word = &space->cpu_mask[port_cpu() / 64], bit = UINT64_C(1) << port_cpu() % 64;
	bool was = ck_pr_load_64(word) & bit; /* nobody else writes this bit */

	ck_pr_or_64(word, bit);
	ck_pr_fence_memory(); /* (a) */
	return !was;
}

static void cpu_mask_clear(struct space *space)
{
	unsigned cpu = port_cpu();

	ck_pr_fence_release(); /* the flush, and all before; pairs with (b) in flush_cpu_mask */
	ck_pr_and_64(&space->cpu_mask[cpu / 64], ~(UINT64_C(1) << cpu % 64));
}

static void flush_cpu_mask(struct space *space, uint64_t start, uint64_t bytes)
{
	uint64_t begun = trace_begin();
	unsigned cpus = 0;

	ck_pr_fence_memory(); /* (a) */
	for (unsigned word = 0; word < cpu_mask_words(); word++) {
		uint64_t set = ck_pr_load_64(&space->cpu_mask[word]);
		unsigned others = shootdown(word * 64, set, start, bytes);

		ck_pr_add_64(&space->remote_flushes, others);
		cpus += bits_count(set);
	}
	ck_pr_fence_acquire(); /* (b): what a cpu did that is no holder any more; pairs with cpu_mask_clear */
	trace_end(TRACE_SPACE_FLUSH, begun, cpus, bytes);
}

/* No mapping has this number; they do not wrap. */
#define MAPS_NONE_SEEN UINT64_MAX

/* The number of mappings that a flush which comes after this call flushes for. */
static uint64_t maps_until_now(const struct space *space)
{
	uint64_t maps = ck_pr_load_64(&space->maps);

	ck_pr_fence_acquire(); /* (c) */
	return maps;
}

/* Pages are mapped where nothing was; the lock is released. */
static void tell_mapped(struct space *space)
{
	struct cpu *self = cpu_self();
	uint64_t own = UINT64_C(1) << port_cpu() % 64, maps;

	ck_pr_fence_release(); /* (c) */
	ck_pr_inc_64(&space->maps);
	/* The cpu alone writes its own bit, so this needs no fence. */
	if (!(ck_pr_load_64(&space->cpu_mask[port_cpu() / 64]) & own))
		return;
	maps = maps_until_now(space);
	mmu_flush(0, UINT64_MAX); /* "not valid" may be of a table, so of everything */
	if (self->space == space)
		self->maps_seen = maps;
}

bool space_fault_is_stale(void)
{
	struct cpu *self = cpu_self();
	uint64_t maps;

	if (!self->space)
		return false;
	maps = maps_until_now(self->space);
	if (maps == self->maps_seen)
		return false;
	mmu_flush(0, UINT64_MAX);
	self->maps_seen = maps;
	ck_pr_inc_64(&self->space->stale_faults);
	return true;
}

/* A frame that is free again is nobody's to read: its first words say so to who reads it still. */
#define FREED_WORD UINT64_C(0xf4eedf4eedf4eed5)

static void drop(void *unused, pfn_t first, uint64_t frames, bool shared)
{
	(void)unused;
	for (uint64_t i = 0; i < frames; i++) {
		pfn_t frame = pfn_add(first, i);

		if (shared && !frame_refs_drop(&refs, frame))
			continue;
		if (CHECKS)
			*(uint64_t *)frame_bytes(frame) = FREED_WORD;
		frame_free(frame);
	}
}

/* A table that was taken out asks for everything: SFENCE.VMA of an address is about leaves. */
static void finish(struct space *space, struct page_gather *gather)
{
	uint64_t start = vpn_to_virt(gather->first).value;
	uint64_t bytes = gather->tables_too ? UINT64_MAX : vpn_to_virt(gather->end).value - start;

	if (page_gather_needs_flush(gather))
		flush_cpu_mask(space, start, bytes);
	page_gather_release(gather, drop, NULL);
}

/* ---- spaces ---------------------------------------------------------------------------------- */

/*
 * With many cpus what a lock counts with is larger than a frame, and a policy may have no runs: then
 * this one counts nothing, if its kind can do without.
 */
static bool make_lock(struct space *space, enum spin_kind kind)
{
	size_t lock_bytes = spin_bytes(port_cpu_count());
	size_t cpu_mask_bytes = cpu_mask_words() * sizeof(uint64_t);

	space->memory = kmalloc_aligned(lock_bytes + cpu_mask_bytes, 64);
	if (!space->memory && !spin_kind_needs_memory(kind)) {
		lock_bytes = 0;
		space->memory = kmalloc_aligned(cpu_mask_bytes, 64);
	}
	if (!space->memory)
		return false;
	space->cpu_mask = (uint64_t *)((char *)space->memory + lock_bytes);
	memset(space->cpu_mask, 0, cpu_mask_bytes);
	spin_init(&space->lock, "space", kind, port_cpu_count(), lock_bytes ? space->memory : NULL);
	return true;
}

enum page_status space_create(struct space *space)
{
	uint16_t asid = asid_take();
	enum page_status status = PAGE_NO_FRAMES;

	memset(space, 0, sizeof(*space));
	if (!make_lock(space, zones.zone[0].lock.kind))
		goto no_memory;
	status = page_table_create(&space->table, kernel_space_levels(), asid);
	if (status != PAGE_OK)
		goto no_table;
	status = kernel_space_map_into(&space->table);
	if (status == PAGE_OK)
		return PAGE_OK;
	page_table_destroy(&space->table, NULL, NULL);
no_table:
	kfree(space->memory);
no_memory:
	if (asid)
		asid_give(asid);
	return status;
}

void space_destroy(struct space *space)
{
	uint32_t inside = ck_pr_load_32(&space->inside);

	check(inside == 0, "space: destroyed while %u cpus are in it", inside);
	ck_pr_fence_acquire(); /* pairs with space_leave */
	flush_cpu_mask(space, 0, UINT64_MAX);
	page_table_destroy(&space->table, drop, NULL);
	if (space->table.asid)
		asid_give(space->table.asid);
	kfree(space->memory);
}

/*
 * No fence orders what was written to tables before the walks that a new satp begins, but SFENCE.VMA
 * does; a cpu that was a holder all along has executed one for each change.
 */
void space_enter(struct space *space)
{
	struct cpu *self = cpu_self();
	bool is_new, keeps;

	check(!self->space, "cpu %u enters a space and is in another", port_cpu());
	ck_pr_inc_32(&space->inside);
	is_new = hold(space);
	keeps = space->table.asid && !is_new;
	self->maps_seen = keeps ? MAPS_NONE_SEEN : maps_until_now(space);
	self->space = space;
	if (keeps)
		mmu_switch(page_table_satp(&space->table));
	else
		mmu_use(page_table_satp(&space->table));
}

void space_leave(void)
{
	struct space *space = cpu_self()->space;

	check(space, "cpu %u leaves a space and is in none", port_cpu());
	cpu_self()->space = NULL;
	if (space->table.asid) {
		mmu_switch(kernel_space_satp());
	} else {
		mmu_use(kernel_space_satp());
		cpu_mask_clear(space);
	}
	ck_pr_fence_release(); /* satp, and what it did in the space; pairs with space_destroy */
	ck_pr_dec_32(&space->inside);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* A cpu that were stopped with the lock, or in the queue for it, would keep all others out. */
static void lock_space(struct space *space, struct spin_node *node)
{
	cpu_pin_online();
	spin_lock(&space->lock, node);
}

static void unlock_space(struct space *space, struct spin_node *node)
{
	spin_unlock(&space->lock, node);
	cpu_unpin();
}

/* Under the lock, with a change; who finds `flushing` waits for this cpu, so it stays. */
static void begin_flush(struct space *space)
{
	cpu_pin_online();
	ck_pr_inc_32(&space->flushing);
}

static void end_flush(struct space *space)
{
	ck_pr_fence_release(); /* the flush; pairs with lock_when_flushed */
	ck_pr_dec_32(&space->flushing);
	cpu_unpin();
}

/*
 * Takes the lock when no flush is under way; one that begins later waits for the lock. Waits without
 * it, or whoever begins one would have to fight us for it.
 */
static void lock_when_flushed(struct space *space, struct spin_node *node)
{
	lock_space(space, node);
	while (ck_pr_load_32(&space->flushing)) {
		unlock_space(space, node);
		do
			port_relax();
		while (ck_pr_load_32(&space->flushing));
		lock_space(space, node);
	}
	ck_pr_fence_acquire(); /* pairs with end_flush */
}

enum page_status space_map(struct space *space, virt_t address, pfn_t frame, uint64_t length,
			   unsigned flags)
{
	struct page_reserve stock;
	struct spin_node node;
	enum page_status status;

	page_reserve_init(&stock);
	do {
		lock_when_flushed(space, &node);
		status = page_table_map(&space->table, address, frame, length, flags, &stock);
		unlock_space(space, &node);
	} while (page_reserve_refill(&stock, &status));
	if (status == PAGE_OK)
		tell_mapped(space);
	return status;
}

enum page_status space_unmap(struct space *space, virt_t address, uint64_t length)
{
	struct page_gather gather;
	struct page_reserve stock;
	struct spin_node node;
	enum page_status status;
	bool begun;

	page_gather_init(&gather);
	page_reserve_init(&stock);
	do {
		lock_space(space, &node);
		status = page_table_unmap(&space->table, address, length, &gather, &stock);
		begun = status == PAGE_OK || status == PAGE_AGAIN;
		if (begun)
			begin_flush(space);
		unlock_space(space, &node);
	} while (page_reserve_refill(&stock, &status));
	if (!begun)
		return status;
	finish(space, &gather);
	while (status == PAGE_AGAIN) {
		lock_space(space, &node);
		status = page_table_unmap_rest(&space->table, &gather);
		unlock_space(space, &node);
		finish(space, &gather);
	}
	end_flush(space);
	return status;
}

enum page_status space_protect(struct space *space, virt_t address, uint64_t length, unsigned flags)
{
	struct page_gather gather;
	struct page_reserve stock;
	struct spin_node node;
	enum page_status status;

	page_gather_init(&gather);
	page_reserve_init(&stock);
	do {
		lock_space(space, &node);
		status = page_table_protect(&space->table, address, length, flags, &gather, &stock);
		unlock_space(space, &node);
	} while (page_reserve_refill(&stock, &status));
	finish(space, &gather);
	return status;
}

static bool share_frames(void *unused, pfn_t first, uint64_t frames, struct page_reserve *stock)
{
	(void)unused;
	return frame_refs_share(&refs, first, frames, stock);
}

/* Undoes it. The one that was shared with has a reference still, so there is nothing to free. */
static void unshare_frames(void *unused, pfn_t first, uint64_t frames, bool shared)
{
	(void)unused;
	(void)shared;
	for (uint64_t i = 0; i < frames; i++) {
		bool last = frame_refs_drop(&refs, pfn_add(first, i));

		check(!last, "space: frame %#llx was shared and has no other reference",
		      (unsigned long long)(first.value + i));
	}
}

enum page_status space_clone(struct space *to, struct space *from, virt_t address, uint64_t length)
{
	const struct page_sharing sharing = {share_frames, unshare_frames, NULL};
	struct spin_node from_node, to_node;
	struct page_gather gather;
	struct page_reserve stock;
	enum page_status status;

	page_gather_init(&gather);
	page_reserve_init(&stock);
	do {
		lock_space(from, &from_node);
		lock_space(to, &to_node);
		status = page_table_clone(&to->table, &from->table, address, length, &sharing,
					  &gather, &stock);
		if (status == PAGE_OK)
			begin_flush(from);
		unlock_space(to, &to_node);
		unlock_space(from, &from_node);
	} while (page_reserve_refill(&stock, &status));
	if (status == PAGE_OK) {
		finish(from, &gather);
		end_flush(from);
		tell_mapped(to);
	}
	return status;
}

/* ---- copy on write --------------------------------------------------------------------------- */

/* What a page that cannot be written to needs. */
enum fault {
	FAULT_NOTHING, /* somebody has done it */
	FAULT_REFUSED, /* it is not mapped, or not for writing */
	FAULT_ALONE,   /* the frame is nobody else's any more */
	FAULT_COPY
};

/* Under the lock. */
static enum fault look_at(struct space *space, virt_t page, struct page_leaf *leaf)
{
	if (!page_table_translate(&space->table, page, leaf) || !(leaf->flags & PAGE_WRITE))
		return FAULT_REFUSED;
	if (!(leaf->flags & PAGE_SHARED))
		return FAULT_NOTHING;
	leaf->frame = pfn_floor(page_leaf_phys(leaf, page));
	return frame_refs_count(&refs, leaf->frame) == 1 ? FAULT_ALONE : FAULT_COPY;
}

/*
 * Under the lock: puts *copy in the place of `held`, which has one reference of ours, so it stays
 * as it is. *copy is then PFN_NONE, for it belongs to the mapping, and a flush has begun.
 */
static enum page_status put_copy(struct space *space, virt_t page, pfn_t held, pfn_t *copy,
				 struct page_gather *gather, struct page_reserve *stock)
{
	struct page_leaf leaf;
	enum page_status status;

	if (look_at(space, page, &leaf) != FAULT_COPY || leaf.frame.value != held.value)
		return PAGE_OK; /* others were faster: the store is tried again */
	status = page_table_replace(&space->table, page, *copy, gather, stock);
	if (status == PAGE_OK) {
		*copy = PFN_NONE;
		begin_flush(space);
	}
	return status;
}

static enum page_status copy_page(struct space *space, virt_t page, pfn_t held)
{
	pfn_t copy = frame_alloc(FRAME_ANY);
	struct page_gather gather;
	struct page_reserve stock;
	struct spin_node node;
	enum page_status status = pfn_is_none(copy) ? PAGE_NO_FRAMES : PAGE_SHORT;

	page_gather_init(&gather);
	page_reserve_init(&stock);
	if (!pfn_is_none(copy))
		memcpy(frame_bytes(copy), frame_bytes(held), FRAME_SIZE);
	while (status == PAGE_SHORT) {
		lock_space(space, &node);
		status = put_copy(space, page, held, &copy, &gather, &stock);
		unlock_space(space, &node);
		page_reserve_refill(&stock, &status);
	}
	if (status == PAGE_OK && pfn_is_none(copy)) {
		finish(space, &gather);
		end_flush(space);
	}
	drop(NULL, held, 1, true);
	if (!pfn_is_none(copy))
		frame_free(copy);
	return status;
}

/* Under the lock: what can be done at once; for a copy, one more reference to its frame. */
static enum page_status begin_fault(struct space *space, const struct page_leaf *leaf,
				    enum fault fault, virt_t page, struct page_gather *gather,
				    struct page_reserve *stock)
{
	if (fault == FAULT_ALONE)
		return page_table_unshare(&space->table, page, FRAME_SIZE, gather, stock);
	if (fault != FAULT_COPY || frame_refs_share(&refs, leaf->frame, 1, stock))
		return PAGE_OK;
	return page_reserve_is_short(stock) ? PAGE_SHORT : PAGE_NO_FRAMES;
}

/* One step towards a page that may be written to; *fault is what it took. */
static enum page_status step_to_write(struct space *space, virt_t page, enum fault *fault)
{
	struct page_gather gather;
	struct page_reserve stock;
	struct page_leaf leaf;
	struct spin_node node;
	enum page_status status;

	page_gather_init(&gather);
	page_reserve_init(&stock);
	do {
		lock_when_flushed(space, &node);
		*fault = look_at(space, page, &leaf);
		status = begin_fault(space, &leaf, *fault, page, &gather, &stock);
		unlock_space(space, &node);
	} while (page_reserve_refill(&stock, &status));
	finish(space, &gather);
	if (*fault == FAULT_COPY && status == PAGE_OK)
		status = copy_page(space, page, leaf.frame);
	return status;
}

enum page_status space_write_fault(struct space *space, virt_t address)
{
	virt_t page = vpn_to_virt(vpn_floor(address));
	enum page_status status;
	enum fault fault;

	/* A copy must be found alone; a clone that comes between makes it shared once more. */
	do
		status = step_to_write(space, page, &fault);
	while (fault == FAULT_COPY && status == PAGE_OK);
	if (fault == FAULT_REFUSED)
		return PAGE_NOT_MAPPED;
	/* What refused may be an old entry of ours, or "not valid" that is older than a mapping. */
	if (status == PAGE_OK && fault == FAULT_NOTHING)
		mmu_flush(0, UINT64_MAX);
	else if (status == PAGE_OK)
		mmu_flush(page.value, FRAME_SIZE);
	return status;
}
