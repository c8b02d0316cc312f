/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_shootdown.c - flushes of other CPUs on the weak-memory explorer, by themselves: no space, no
 * lock and no CPU mask orders anything here. CPU 0 clears an entry, has it flushed, and then writes to the
 * frame: an access of another CPU through the old entry is a race then.
 *
 * Covers: kernel/smp/shootdown.c arch/riscv/mmu.c
 */
#include <port.h>

#include <stdio.h>

#include "arch/riscv/mmu.h"
#include "kernel/smp/shootdown.h"
#include "mm/frame.h"
#include "mm/paging/entries.h"
#include "mm/paging/page_table.h"
#include "sync/ck.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/harts.h"
#include "tests/host/weak/machine.h"
#include "tests/host/weak/space_machine.h"
#include "tests/host/weak/weak.h"

#define PAGE UINT64_C(0x2000000000)

static unsigned cpu_count;
static enum shootdown_way way;
static struct page_table table;
static pte_t *leaf;
static pfn_t frame;

static void setup(void)
{
	struct page_reserve reserve;
	enum page_status status;
	pte_t *entries;

	space_machine_start(cpu_count, way);
	frame = frame_alloc(0);
	*(uint64_t *)frame_bytes(frame) = 1;
	if (page_table_create(&table, SV39_LEVELS, 1) != PAGE_OK)
		weak_fail("no table");
	page_reserve_init(&reserve);
	do
		status = page_table_map(&table, virt(PAGE), frame, FRAME_SIZE,
					PAGE_READ | PAGE_WRITE, &reserve);
	while (page_reserve_refill(&reserve, &status));
	entries = page_entries(table.root);
	for (unsigned level = SV39_LEVELS - 1; level > 0; level--)
		entries = entry_table(entries[entry_index(PAGE >> 12, level)]);
	leaf = &entries[entry_index(PAGE >> 12, 0)];
}

static void clear_and_reuse(void)
{
	entry_store(leaf, PTE_NONE);
	shootdown(0, (UINT64_C(1) << cpu_count) - 2, PAGE, FRAME_SIZE);
	*(uint64_t *)frame_bytes(frame) = 2;
}

static void read_through_it(void)
{
	uint64_t value;

	if (harts_load(PAGE, &value) && value != 1)
		weak_fail("the page reads %llu", (unsigned long long)value);
}

static void clear_while_read(unsigned cpu)
{
	if (cpu == 0) {
		clear_and_reuse();
		return;
	}
	mmu_use(page_table_satp(&table));
	read_through_it();
	read_through_it();
	mmu_use(HARTS_KERNEL_SATP);
}

/* As a CPU that stops and comes back does. */
static void clear_while_away(unsigned cpu)
{
	if (cpu == 0) {
		clear_and_reuse();
		return;
	}
	mmu_use(page_table_satp(&table));
	read_through_it();
	port_irq_save();
	mmu_use(MMU_OFF);
	shootdown_offline();
	shootdown_online();
	mmu_use(page_table_satp(&table));
	port_irq_restore(false);
	read_through_it();
	mmu_use(HARTS_KERNEL_SATP);
}

static uint32_t looked_at;

/* A CPU that writes through the entry: the flush orders writes, too. The IPI may come at the load. */
static void clear_while_written(unsigned cpu)
{
	if (cpu == 0) {
		clear_and_reuse();
		return;
	}
	mmu_use(page_table_satp(&table));
	harts_store(PAGE, 1);
	(void)ck_pr_load_32(&looked_at);
	mmu_use(HARTS_KERNEL_SATP);
}

/* Two entries, of which each is cleared by another CPU, so numbers and words meet. */
static void clear_at_once(unsigned cpu)
{
	if (cpu == 0) {
		clear_and_reuse();
	} else if (cpu == 1) {
		shootdown(0, 4, PAGE + FRAME_SIZE, FRAME_SIZE);
	} else {
		mmu_use(page_table_satp(&table));
		read_through_it();
		read_through_it();
		mmu_use(HARTS_KERNEL_SATP);
	}
}

static void run(const char *name, void (*work)(unsigned cpu), unsigned cpus, uint64_t executions)
{
	static const char *const ways[] = {"firmware", "ipi"};

	for (unsigned i = 0; i < 2; i++) {
		char full[60];
		struct weak_workload workload = {.name = full,
						 .cpus = cpus,
						 .setup = setup,
						 .work = work,
						 .handler = harts_interrupted,
						 .some = executions};

		way = i ? SHOOTDOWN_IPI : SHOOTDOWN_FIRMWARE;
		harts_asid_max = 7;
		cpu_count = cpus;
		snprintf(full, sizeof(full), "%s-%s", name, ways[i]);
		weak_explore(&workload);
		space_machine_end();
	}
}

TEST(no_access_through_an_entry_that_was_flushed)
{
	run("shootdown-read", clear_while_read, 2, 1000);
	run("shootdown-write", clear_while_written, 2, 500);
	run("shootdown-away", clear_while_away, 2, 1000);
	run("shootdown-two", clear_at_once, 3, 500);
}
