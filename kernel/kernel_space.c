/* kernel_space.c - see kernel_space.h. */
#include "kernel/kernel_space.h"

#include <stdio.h>

#include <port.h>

#include "arch/riscv/mmu.h"
#include "kernel/cpu.h"
#include "kernel/early.h"
#include "kernel/machine.h"
#include "kernel/memory.h"
#include "kernel/settings.h"
#include "mm/check.h"

extern char __kernel_start[], __text_end[], __rodata_end[], __kernel_end[];

#define DATA (PAGE_READ | PAGE_WRITE | PAGE_GLOBAL)

/* Of what a mode can reach, the half that is mapped to itself. */
static uint64_t reach(unsigned levels)
{
	return UINT64_C(1) << (virt_bits(levels) - 1);
}

static unsigned chosen_levels = SV39_LEVELS;
static uint64_t finisher;
static struct page_table table; /* no tables: it is off */

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

static enum page_status map(struct page_table *space, uint64_t start, uint64_t end, unsigned flags)
{
	struct page_stock stock;
	enum page_status status;

	if (start >= end)
		return PAGE_OK;
	page_stock_init(&stock);
	do {
		status = page_table_map(space, virt(start), pfn_floor(phys(start)), end - start,
					flags, &stock);
	} while (page_stock_refill(&stock, &status));
	return status;
}

/* A part of RAM that the general mapping leaves out. */
struct cut {
	uint64_t start, end;
};

/* Makes *first the part if it ends above `from` and begins below what is there. */
static void offer(struct cut *first, uint64_t from, uint64_t start, uint64_t end)
{
	if (end > from && start < first->start)
		*first = (struct cut){start, end};
}

/* The lowest part of RAM from `from` on that is not mapped, or is mapped in another way. */
static struct cut next_cut(uint64_t from)
{
	struct machine_reserved reserved = {0};
	struct devicetree_error error;
	struct cut first = {UINT64_MAX, UINT64_MAX};

	offer(&first, from, (uintptr_t)__kernel_start, (uintptr_t)__rodata_end);
	for (unsigned i = 0; i < port_cpu_count(); i++) {
		uint64_t low = cpu_of(i)->arch.stack_low;

		offer(&first, from, low - ARCH_GUARD_BYTES, low);
	}
	while (machine_next_reserved(settings.tree, &reserved, &error) == DEVICETREE_FOUND)
		if (reserved.no_map)
			offer(&first, from, pfn_to_phys(pfn_floor(reserved.start)).value,
			      pfn_to_phys(pfn_ceil(phys(reserved.start.value + reserved.size)))
				      .value);
	return first;
}

/* Whole frames of RAM, from the cut before to the next. */
static enum page_status map_ram(struct page_table *space, uint64_t start, uint64_t end)
{
	enum page_status status = PAGE_OK;

	start = pfn_to_phys(pfn_ceil(phys(start))).value;
	end = pfn_to_phys(pfn_floor(phys(end))).value;
	while (status == PAGE_OK && start < end) {
		struct cut cut = next_cut(start);

		status = map(space, start, cut.start < end ? cut.start : end, DATA);
		start = cut.end;
	}
	return status;
}

enum page_status kernel_space_map_into(struct page_table *space)
{
	enum page_status status;
	uint64_t start, end;

	status = map(space, (uintptr_t)__kernel_start, (uintptr_t)__text_end,
		     PAGE_READ | PAGE_EXECUTE | PAGE_GLOBAL);
	if (status == PAGE_OK)
		status = map(space, (uintptr_t)__text_end, (uintptr_t)__rodata_end,
			     PAGE_READ | PAGE_GLOBAL);
	if (status == PAGE_OK && finisher)
		status = map(space, pfn_to_phys(pfn_floor(phys(finisher))).value,
			     pfn_to_phys(pfn_floor(phys(finisher))).value + FRAME_SIZE, DATA);
	for (unsigned i = 0; status == PAGE_OK && memory_ram_range(i, &start, &end); i++)
		status = map_ram(space, start, end);
	return status;
}

/* ---- on and off ------------------------------------------------------------------------------ */

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
	page_table_validate(&table);
	cpus_run(use_on_this_cpu, (void *)(uintptr_t)page_table_satp(&table), settings.cpus);
}

void kernel_space_off(void)
{
	if (!table.tables)
		return;
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
