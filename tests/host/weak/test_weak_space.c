/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_space.c - address spaces and flushes on the weak-memory explorer, on harts whose MMUs
 * walk early and keep what they found (harts.h). The frame of a page that is unmapped is freed, and
 * another CPU writes to it: an access through an old translation is a race then.
 *
 * Covers: kernel/vm/space.c kernel/vm/space_flush.c kernel/vm/space_change.c kernel/smp/shootdown.c
 *	mm/paging/page_table.c arch/riscv/mmu.c
 */
#include <port.h>

#include <stdlib.h>
#include <string.h>

#include "arch/riscv/mmu.h"
#include "arch/riscv/trap.h"
#include "kernel/smp/cpu.h"
#include "kernel/smp/shootdown.h"
#include "kernel/vm/space.h"
#include "kernel/vm/space_private.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "sync/ck.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/harts.h"
#include "tests/host/weak/machine.h"
#include "tests/host/weak/space_machine.h"
#include "tests/host/weak/weak.h"

#define CPUS_MAX 3
#define PAGE	 UINT64_C(0x2000000000)
#define VALUE	 UINT64_C(0x1234)

static unsigned cpu_count;
static enum shootdown_way way;
static struct space space;

static void setup(void)
{
	space_machine_start(cpu_count, way);
	if (space_create(&space) != PAGE_OK)
		weak_fail("no space");
}

static void map_page(void)
{
	pfn_t frame = frame_alloc(0);

	*(uint64_t *)frame_bytes(frame) = VALUE;
	if (space_map(&space, virt(PAGE), frame, FRAME_SIZE, PAGE_READ | PAGE_WRITE | PAGE_OWNED) !=
	    PAGE_OK)
		weak_fail("it cannot be mapped");
}

static void setup_mapped(void)
{
	setup();
	map_page();
	harts_expect(PAGE);
}

/* What the page has, or nothing. */
static bool read_page(void)
{
	uint64_t value;

	if (!harts_load(PAGE, &value))
		return false;
	if (value != VALUE)
		weak_fail("the page reads %#llx", (unsigned long long)value);
	return true;
}

/* ---- workloads ------------------------------------------------------------------------------- */

/* The frame is freed by the unmap, and then anybody's. */
static void unmap_while_read(unsigned cpu)
{
	if (cpu == 0) {
		if (space_unmap(&space, virt(PAGE), FRAME_SIZE) != PAGE_OK)
			weak_fail("it cannot be unmapped");
		for (unsigned i = 0; i < 2; i++)
			*(uint64_t *)frame_bytes(frame_alloc(0)) = 0;
	} else {
		space_enter(&space);
		read_page();
		read_page();
		space_leave();
	}
}

/*
 * The least of an unmap that frees a table, and of a CPU that comes in: an entry is cleared, the flush
 * asks the mask who walks, and another owner of the frame writes to it. The CPU notes in the mask that it
 * walks, and writes satp. If its MMU has walked the table and the flush did not wait, that is a race.
 */
static void take_table_away(unsigned cpu)
{
	uint64_t *root = port_phys_pointer(space.table.root.value << 12), *entry;
	uint64_t *table;

	if (cpu == 0) {
		entry = &root[PAGE >> 30 & 511];
		table = port_phys_pointer(*entry >> 10 << 12);
		ck_pr_store_64(entry, 0);
		space_flush(&space, 0, UINT64_MAX);
		memset(table, 0, FRAME_SIZE);
	} else {
		space_enter(&space);
		space_leave();
	}
}

/* What is mapped can be read when its CPU has said so. */
static void map_and_read(unsigned cpu)
{
	space_enter(&space);
	read_page();
	if (cpu == 0) {
		map_page();
		machine_set_flag();
	} else {
		machine_wait_for_flag();
	}
	if (!read_page())
		weak_fail("a page that is mapped faults");
	space_leave();
}

/* When no CPU is in the space any more, its tables are freed. */
static void leave_and_destroy(unsigned cpu)
{
	if (cpu == 0) {
		machine_wait_for_flag();
		while (ck_pr_load_32(&space.inside))
			port_relax();
		space_destroy(&space);
		for (unsigned i = 0; i < 4; i++)
			*(uint64_t *)frame_bytes(frame_alloc(0)) = 0;
	} else {
		space_enter(&space);
		machine_set_flag_without_fence();
		read_page();
		space_leave();
	}
}

/* As a CPU that stops: it is not asked for flushes meanwhile, and has none to make when it is back. */
static void unmap_while_away(unsigned cpu)
{
	uint64_t satp;

	if (cpu == 0) {
		unmap_while_read(0);
		return;
	}
	space_enter(&space);
	read_page();
	port_irq_save();
	satp = mmu_used();
	mmu_use(MMU_OFF);
	shootdown_offline();
	shootdown_online();
	mmu_use(satp);
	port_irq_restore(false);
	read_page();
	space_leave();
}

static void run(const char *name, void (*start)(void), void (*work)(unsigned cpu), unsigned cpus,
		uint64_t executions)
{
	static const char *const ways[] = {"firmware", "ipi"};

	for (unsigned i = 0; i < 4; i++) {
		char full[60];
		struct weak_workload workload = {.name = full,
						 .cpus = cpus,
						 .setup = start,
						 .work = work,
						 .handler = harts_interrupted,
						 .some = executions};

		way = i & 1 ? SHOOTDOWN_IPI : SHOOTDOWN_FIRMWARE;
		harts_asid_max = i & 2 ? 7 : 0;
		cpu_count = cpus;
		snprintf(full, sizeof(full), "%s-%s%s", name, ways[i & 1], i & 2 ? "-asid" : "");
		weak_explore(&workload);
	}
}

TEST(spaces_are_flushed_in_time)
{
	weak_postponed("space_maps_until_now",
		       "space_enter stores what it reads, and decides nothing");
	run("space-unmap", setup_mapped, unmap_while_read, 2, 300);
	run("space-enter", setup_mapped, take_table_away, 2, 2000);
	run("space-map", setup, map_and_read, 2, 300);
	run("space-destroy", setup_mapped, leave_and_destroy, 2, 300);
	run("space-away", setup_mapped, unmap_while_away, 2, 300);
}
