/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kernel_space.c - the kernel's own page tables; see kernel_space.h.
 *
 * All variables are written by cpu 0 alone, at boot or at rest.
 */
#include "kernel/vm/kernel_space.h"

#include <stdio.h>

#include <port.h>

#include "arch/riscv/mmu.h"
#include "kernel/smp/cpu.h"
#include "kernel/vm/heap_guard.h"
#include "kernel/vm/kernel_map.h"
#include "kernel/boot/machine.h"
#include "kernel/boot/memory.h"
#include "kernel/settings.h"
#include "mm/check.h"

extern char __kernel_start[], __text_end[], __rodata_end[], __kernel_end[];

/* The end of the lower half of a mode's addresses: these are mapped to themselves. */
static uint64_t reach(unsigned levels)
{
	return UINT64_C(1) << (virt_bits(levels) - 1);
}

static unsigned chosen_levels = SV39_LEVELS;
static uint64_t finisher;
static struct page_table table; /* table.tables 0: paging is off */

/* ---- which mode ------------------------------------------------------------------------------ */

static uint64_t ram_end(void)
{
	uint64_t start, end, highest = 0;

	for (unsigned i = 0; memory_ram_range(i, &start, &end); i++)
		highest = end > highest ? end : highest;
	return highest;
}

bool kernel_space_choose(const struct devicetree *tree, char *wrong, unsigned bytes)
{
	struct machine_hart hart = {0};
	struct devicetree_error error;
	unsigned least = PAGE_LEVELS_MAX;
	uint64_t least_hart = 0, end = ram_end();

	while (machine_next_hart(tree, &hart, &error) == DEVICETREE_FOUND) {
		if (!hart.unusable && hart.mmu_levels < least) {
			least = hart.mmu_levels;
			least_hart = hart.id;
		}
	}
	chosen_levels = end <= reach(SV39_LEVELS) ? SV39_LEVELS : SV48_LEVELS;
	if (least >= chosen_levels && end <= reach(chosen_levels))
		return true;
	if (least < SV39_LEVELS)
		snprintf(wrong, bytes, "hart %llu has neither Sv39 nor Sv48",
			 (unsigned long long)least_hart);
	else if (least < chosen_levels)
		snprintf(wrong, bytes, "RAM ends at %#llx, beyond Sv39, and hart %llu has no Sv48",
			 (unsigned long long)end, (unsigned long long)least_hart);
	else
		snprintf(wrong, bytes, "RAM ends at %#llx, beyond Sv48", (unsigned long long)end);
	return false;
}

/* ---- what is mapped -------------------------------------------------------------------------- */

void kernel_space_keep_finisher(uint64_t address)
{
	finisher = address;
}

static enum page_status map(void *space, uint64_t start, uint64_t end, unsigned flags)
{
	struct page_reserve reserve;
	enum page_status status;

	page_reserve_init(&reserve);
	do {
		status = page_table_map(space, virt(start), pfn_floor(phys(start)), end - start,
					flags, &reserve);
	} while (page_reserve_refill(&reserve, &status));
	return status;
}

_Static_assert(ARCH_GUARD_BYTES == FRAME_SIZE, "a guard page is a page");

static uint64_t guard_of(unsigned cpu)
{
	return cpu_of(cpu)->arch.stack_low - ARCH_GUARD_BYTES;
}

enum page_status kernel_space_map_into(struct page_table *space)
{
	struct kernel_map wanted = {
		.tree = settings.tree,
		.image_start = (uintptr_t)__kernel_start,
		.text_end = (uintptr_t)__text_end,
		.rodata_end = (uintptr_t)__rodata_end,
		.finisher = finisher,
		.guards = port_cpu_count(),
		.guard = guard_of,
	};

	return kernel_map_walk(&wanted, map, space);
}

/* ---- on and off ------------------------------------------------------------------------------ */

/*
 * If a page of these were not mapped, a trap could not save its registers, would trap again, and so
 * on for ever. So each page is checked before paging is turned on.
 */
static void check_range(uint64_t start, uint64_t end, const char *what)
{
	for (uint64_t at = start; at < end; at += FRAME_SIZE) {
		struct page_leaf leaf;

		check(page_table_translate(&table, virt(at), &leaf),
		      "page tables of the kernel: %s at %#llx is not mapped", what,
		      (unsigned long long)at);
	}
}

static void check_own_ground(void)
{
	uint64_t data = (uintptr_t)__rodata_end, guard = guard_of(0);

	check_range((uintptr_t)__kernel_start, data, "the image");
	check_range(data, guard, "data"); /* cpu 0's stack is in the image, above its guard page */
	check_range(guard + FRAME_SIZE, (uintptr_t)__kernel_end, "data");
	for (unsigned i = 0; i < port_cpu_count(); i++)
		check_range(cpu_of(i)->arch.stack_low, cpu_of(i)->arch.emergency_top, "a stack");
}

static void use_on_this_cpu(void *satp)
{
	uint64_t wanted = (uint64_t)(uintptr_t)satp;

	check(mmu_takes(wanted), "cpu %u (hart %llu) does not take satp %#llx", port_cpu(),
	      (unsigned long long)cpu_self()->arch.hart_id, (unsigned long long)wanted);
	mmu_use(wanted);
}

static void stop_on_this_cpu(void *unused)
{
	(void)unused;
	mmu_use(MMU_OFF);
}

void kernel_space_on(void)
{
	enum page_status status;

	if (table.tables)
		return;
	status = page_table_create(&table, chosen_levels, 0);
	if (status == PAGE_OK)
		status = kernel_space_map_into(&table);
	if (status != PAGE_OK)
		port_panic("page tables of the kernel: %s", page_status_text(status));
	heap_guard_build(&table);
	page_table_validate(&table);
	check_own_ground();
	cpus_run(use_on_this_cpu, (void *)(uintptr_t)page_table_satp(&table), settings.cpus);
	heap_guard_open();
}

void kernel_space_off(void)
{
	if (!table.tables)
		return;
	heap_guard_close();
	cpus_run(stop_on_this_cpu, NULL, settings.cpus);
	page_table_destroy(&table, NULL, NULL);
	table.tables = 0;
}

uint64_t kernel_space_frames(void)
{
	return table.tables;
}

unsigned kernel_space_levels(void)
{
	return chosen_levels;
}

const struct page_table *kernel_space_table(void)
{
	return table.tables ? &table : NULL;
}

uint64_t kernel_space_satp(void)
{
	return table.tables ? page_table_satp(&table) : MMU_OFF;
}
