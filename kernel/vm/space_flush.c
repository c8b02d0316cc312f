/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * space_flush.c - which cpus must flush, and when.
 *
 * CPU mask. A change writes entries under the lock, releases the lock, flushes, and frees last. The
 * cpus that must flush are read from `cpu_mask` after the entries were written. A cpu sets its bit
 * before it loads satp. So either the changer finds the bit, or the cpu's walks come after the
 * change:
 *
 *	changer: entries; full fence (a); reads cpu_mask
 *	cpu:	 sets bit; full fence (a); satp, walks
 *
 * A cpu that leaves a space without an ASID flushes, and then clears its bit. A changer that still
 * finds the bit flushes once for nothing. A cpu that leaves a space with an ASID keeps what it has
 * cached, and its bit: it is flushed with the others, and need not flush when it comes back. An
 * ASID is free again when all these cpus have been flushed once more. The kernel's own entries are
 * the same in every space and never change, so they need no flush.
 *
 * Mappings where nothing was. Hardware may have cached "not valid" for a page, or for a table above
 * it, while the cpu was in the space or has an ASID of it. So the cpu that maps flushes its own
 * translation cache if its bit is in cpu_mask. Other cpus are not interrupted, as they would be for
 * an unmap: programs that fault or grow map all the time. Instead each mapping adds one to `maps`,
 * and each cpu keeps in `maps_seen` the count up to which it has flushed. A cpu that takes a page
 * fault with an older count flushes and tries again; with the same count, the fault has another
 * cause:
 *
 *	mapper:	entries; release (c); maps + 1; hands over (release)
 *	cpu:	receives (acquire); access faults; reads maps; acquire (c); SFENCE.VMA; access
 *
 * The count is read before the flush, so no mapping counts as seen that was not flushed for. A cpu
 * that enters with cached entries notes that it has seen no mapping, for its last flush may be
 * older than all of them. A change that only permits writes to a page flushes all cpus of the mask.
 */
#include "kernel/vm/space_private.h"

#include <port.h>

#include "arch/riscv/mmu.h"
#include "kernel/smp/shootdown.h"
#include "kernel/vm/heap_guard.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/global/bits.h"
#include "sync/trace.h"

/* How many mappings share a frame; of all spaces. */
struct frame_refs space_refs;

bool space_mask_set(struct space *space)
{
	uint64_t *word = &space->cpu_mask[port_cpu() / 64], bit = UINT64_C(1) << port_cpu() % 64;
	bool was = ck_pr_load_64(word) & bit; /* only this cpu writes this bit */

	ck_pr_or_64(word, bit);
	ck_pr_fence_memory(); /* (a) */
	return !was;
}

void space_mask_clear(struct space *space)
{
	unsigned cpu = port_cpu();

	ck_pr_fence_release(); /* the flush and all accesses before; pairs with (b) */
	ck_pr_and_64(&space->cpu_mask[cpu / 64], ~(UINT64_C(1) << cpu % 64));
}

void space_flush(struct space *space, uint64_t start, uint64_t bytes)
{
	uint64_t begun = trace_begin();
	unsigned cpus = 0;

	ck_pr_fence_memory(); /* (a) */
	for (unsigned word = 0; word < space_mask_words(); word++) {
		uint64_t set = ck_pr_load_64(&space->cpu_mask[word]);
		unsigned others = shootdown(word * 64, set, start, bytes);

		ck_pr_add_64(&space->remote_flushes, others);
		cpus += bits_count(set);
	}
	ck_pr_fence_acquire(); /* (b): pairs with space_mask_clear */
	trace_end(TRACE_SPACE_FLUSH, begun, cpus, bytes);
}

uint64_t space_maps_until_now(const struct space *space)
{
	uint64_t maps = ck_pr_load_64(&space->maps);

	ck_pr_fence_acquire(); /* (c) */
	return maps;
}

void space_count_mapping(struct space *space)
{
	struct cpu *self = cpu_self();
	uint64_t own = UINT64_C(1) << port_cpu() % 64, maps;

	ck_pr_fence_release(); /* (c) */
	ck_pr_inc_64(&space->maps);
	/* Only this cpu writes its own bit, so this needs no fence. */
	if (!(ck_pr_load_64(&space->cpu_mask[port_cpu() / 64]) & own))
		return;
	maps = space_maps_until_now(space);
	mmu_flush(0, UINT64_MAX); /* everything: "not valid" may be cached for a table */
	if (self->space == space)
		self->maps_seen = maps;
}

bool space_fault_is_stale(void)
{
	struct cpu *self = cpu_self();
	uint64_t maps;

	if (heap_guard_fault_is_stale())
		return true;
	if (!self->space)
		return false;
	maps = space_maps_until_now(self->space);
	if (maps == self->maps_seen)
		return false;
	mmu_flush(0, UINT64_MAX);
	self->maps_seen = maps;
	ck_pr_inc_64(&self->space->stale_faults);
	return true;
}

/* Written to a frame that is freed, so that a late read through an old mapping is recognised. */
#define FREED_WORD UINT64_C(0xf4eedf4eedf4eed5)

void space_drop_frames(void *unused, pfn_t first, uint64_t frames, bool shared)
{
	(void)unused;
	for (uint64_t i = 0; i < frames; i++) {
		pfn_t frame = pfn_add(first, i);

		if (shared && !frame_refs_drop(&space_refs, frame))
			continue;
		if (CHECKS)
			*(uint64_t *)frame_bytes(frame) = FREED_WORD;
		frame_free(frame);
	}
}

/* SFENCE.VMA of an address orders leaves only. So where tables were taken out, flush everything. */
void space_flush_gathered(struct space *space, struct page_gather *gather)
{
	uint64_t start = vpn_to_virt(gather->first).value;
	uint64_t bytes = gather->tables_too ? UINT64_MAX : vpn_to_virt(gather->end).value - start;

	if (page_gather_needs_flush(gather))
		space_flush(space, start, bytes);
	page_gather_release(gather, space_drop_frames, NULL);
}
