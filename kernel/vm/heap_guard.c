/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap_guard.c - see heap_guard.h.
 *
 * The table is made with the kernel's page tables and ends with them. Its last page stays mapped, to the
 * kernel's read-only data, so that the table is never empty. An entry is written by the cpu that has
 * its slot, by one store. Spaces have a copy of the root's entry, so they share the tables below.
 *
 * "Not valid" may be cached: each mapping adds one to `maps`, and a cpu that takes a page fault and has
 * not flushed since flushes and tries again (space_flush.c has the same for spaces, with its fences).
 */
#include "kernel/vm/heap_guard.h"

#include <port.h>

#include "arch/riscv/mmu.h"
#include "arch/riscv/trap.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "kernel/smp/shootdown.h"
#include "mm/check.h"
#include "mm/heap/debug.h"
#include "mm/paging/entries.h"
#include "sync/counter_start.h"

extern char __text_end[];

static const char *missing = "the kernel runs without page tables";
static uint64_t base;  /* 0: there is no table */
static pte_t *entries; /* of the table */
static pte_t root_entry;
static uint64_t maps = TICKET_FIRST; /* atomic */

static bool is_wanted(void)
{
	return kheap_debug_words() & KHEAP_DEBUG_GUARD;
}

const char *heap_guard_missing(void)
{
	return missing;
}

static unsigned root_index(const struct page_table *table)
{
	return vpn_index(vpn(base >> FRAME_SHIFT), table->levels - 1);
}

static enum page_status map_last_page(struct page_table *kernel)
{
	struct page_reserve reserve;
	enum page_status status;

	page_reserve_init(&reserve);
	do {
		status = page_table_map(kernel, virt(base + page_size(PAGE_2M) - FRAME_SIZE),
					pfn_floor(phys((uintptr_t)__text_end)), FRAME_SIZE,
					PAGE_READ | PAGE_GLOBAL, &reserve);
	} while (page_reserve_refill(&reserve, &status));
	return status;
}

void heap_guard_build(struct page_table *kernel)
{
	if (!is_wanted())
		return;
	base = (UINT64_C(1) << (virt_bits(kernel->levels) - 1)) - page_size(PAGE_2M);
	if (shootdown_way() != SHOOTDOWN_FIRMWARE) {
		missing = "flushes of other cpus are IPIs (flush=firmware)";
	} else if (pte_is_valid(page_entries(kernel->root)[root_index(kernel)])) {
		missing = "RAM reaches to the end of the addresses";
	} else if (map_last_page(kernel) != PAGE_OK) {
		missing = "there was no memory for a page table";
	} else {
		missing = NULL;
		root_entry = page_entries(kernel->root)[root_index(kernel)];
		entries = page_entries(pte_frame(root_entry));
		for (unsigned level = kernel->levels - 2; level > 0; level--)
			entries = page_entries(
				pte_frame(entries[vpn_index(vpn(base >> FRAME_SHIFT), level)]));
		return;
	}
	base = 0;
}

void heap_guard_open(void)
{
	if (!base)
		return;
	if (!trap_on_page_fault)
		trap_on_page_fault = heap_guard_fault_is_stale;
	kheap_debug_guard(base, PAGE_ENTRIES - 1);
}

void heap_guard_close(void)
{
	if (base)
		kheap_debug_guard(0, 0);
	base = 0;
	missing = "the kernel runs without page tables";
}

/* The tables below the root are counted in each space, so that its count is right. */
void heap_guard_share(struct page_table *space)
{
	if (!base)
		return;
	entry_publish(&page_entries(space->root)[root_index(space)], root_entry);
	space->tables += space->levels - 1;
}

void heap_guard_unshare(struct page_table *space)
{
	if (!base)
		return;
	entry_store(&page_entries(space->root)[root_index(space)], PTE_NONE);
	space->tables -= space->levels - 1;
}

bool heap_guard_has(uint64_t address)
{
	return base && address - base < page_size(PAGE_2M);
}

void heap_guard_map(uint64_t address, pfn_t frame)
{
	pte_t leaf = pte_leaf(frame, PAGE_READ | PAGE_WRITE | PAGE_GLOBAL);

	entry_publish(&entries[(address - base) >> FRAME_SHIFT], leaf);
	ck_pr_fence_release(); /* the entry first: pairs with the acquire in heap_guard_fault_is_stale() */
	ck_pr_inc_64(&maps);
	mmu_flush(address, FRAME_SIZE);
}

void heap_guard_unmap(uint64_t address, uint64_t bytes)
{
	for (uint64_t i = 0; i < bytes >> FRAME_SHIFT; i++)
		entry_store(&entries[((address - base) >> FRAME_SHIFT) + i], PTE_NONE);
	mmu_flush(address, bytes);
}

void heap_guard_flush(void)
{
	/* The entries come first: (c) of shootdown.c. Pairs with the full fence in shootdown_online(). */
	ck_pr_fence_memory();
	for (unsigned first = 0; first < settings.cpus; first += 64) {
		unsigned count = settings.cpus - first < 64 ? settings.cpus - first : 64;

		shootdown_firmware(first, UINT64_MAX >> (64 - count), base, page_size(PAGE_2M));
	}
}

bool heap_guard_fault_is_stale(void)
{
	struct cpu *self = cpu_self();
	uint64_t until = ck_pr_load_64(&maps);

	ck_pr_fence_acquire(); /* pairs with the release in heap_guard_map() */
	if (until == self->guard_maps_seen)
		return false;
	self->guard_maps_seen = until;
	mmu_flush(0, UINT64_MAX);
	return true;
}
