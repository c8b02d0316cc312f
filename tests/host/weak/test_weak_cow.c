/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_cow.c - clones of spaces and copies on write on the weak-memory explorer; and a page that a
 * CPU reads as soon as it can. The harts' MMUs walk early and keep what they found (harts.h).
 *
 * Covers: kernel/vm/space.c kernel/vm/space_flush.c kernel/vm/space_change.c kernel/vm/space_fault.c
 *	kernel/smp/shootdown.c mm/paging/page_table.c mm/paging/page_clone.c mm/paging/refcount.c
 */
#include <port.h>

#include <stdio.h>

#include "kernel/vm/space.h"
#include "mm/frame.h"
#include "sync/ck.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/harts.h"
#include "tests/host/weak/machine.h"
#include "tests/host/weak/space_machine.h"
#include "tests/host/weak/weak.h"

#define PAGE UINT64_C(0x2000000000)

static unsigned cpu_count;
static enum shootdown_way way;
static struct space parent, child;

static void setup(void)
{
	space_machine_start(cpu_count, way);
	if (space_create(&parent) != PAGE_OK || space_create(&child) != PAGE_OK)
		weak_fail("no space");
}

static void map_page(uint64_t page, uint64_t value)
{
	pfn_t frame = frame_alloc(0);

	*(uint64_t *)frame_bytes(frame) = value;
	if (space_map(&parent, virt(page), frame, FRAME_SIZE,
		      PAGE_READ | PAGE_WRITE | PAGE_OWNED) != PAGE_OK)
		weak_fail("it cannot be mapped");
}

static void setup_mapped(void)
{
	setup();
	map_page(PAGE, 1);
}

/* All tables are there: a change of a page is one store. */
static void setup_beside(void)
{
	setup();
	map_page(PAGE + FRAME_SIZE, 0);
}

static void setup_cloned(void)
{
	setup_mapped();
	if (space_clone(&child, &parent, virt(PAGE), FRAME_SIZE) != PAGE_OK)
		weak_fail("it cannot be cloned");
}

static uint64_t read_page(void)
{
	uint64_t value;

	if (!harts_load(PAGE, &value))
		weak_fail("a page that is mapped faults");
	return value;
}

static void write_page(struct space *space, uint64_t value)
{
	while (!harts_store(PAGE, value))
		if (space_write_fault(space, virt(PAGE)) != PAGE_OK)
			weak_fail("the page cannot be written to");
}

/* ---- workloads ------------------------------------------------------------------------------- */

/* CPU 1 is in the space before the page, and reads until it finds it. Only the walk orders the two. */
static void map_and_find(unsigned cpu)
{
	uint64_t value;

	if (cpu == 0) {
		map_page(PAGE, 1);
		return;
	}
	space_enter(&parent);
	while (!harts_load(PAGE, &value))
		port_relax();
	if (value != 1)
		weak_fail("the page reads %#llx", (unsigned long long)value);
	space_leave();
}

/*
 * CPU 1 writes to its page while CPU 0 clones the space. What the clone has does not change after that.
 */
static void clone_and_write(unsigned cpu)
{
	if (cpu == 0) {
		uint64_t value;

		if (space_clone(&child, &parent, virt(PAGE), FRAME_SIZE) != PAGE_OK)
			weak_fail("it cannot be cloned");
		space_enter(&child);
		value = read_page();
		if (read_page() != value)
			weak_fail("the clone's page has changed");
		space_leave();
		return;
	}
	space_enter(&parent);
	write_page(&parent, 2);
	write_page(&parent, 3);
	if (read_page() != 3)
		weak_fail("the parent's page has changed");
	space_leave();
}

/* Both write to a shared page: one of them copies it, or both do. */
static void both_write(unsigned cpu)
{
	struct space *space = cpu == 0 ? &parent : &child;

	space_enter(space);
	if (read_page() != 1)
		weak_fail("the page has changed");
	write_page(space, 10 + cpu);
	if (read_page() != 10 + cpu)
		weak_fail("the page is another's");
	space_leave();
}

/*
 * A CPU writes to its shared page, and another in the same space answers a write fault of it, too. A third
 * one, in the clone, reads its own.
 */
static void write_in_one_space(unsigned cpu)
{
	struct space *space = cpu == 2 ? &child : &parent;

	space_enter(space);
	if (cpu == 0)
		write_page(space, 10);
	else if (cpu == 1 && space_write_fault(space, virt(PAGE)) != PAGE_OK)
		weak_fail("the fault cannot be answered");
	else if (cpu == 2 && read_page() != 1)
		weak_fail("the clone's page has changed");
	space_leave();
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void run(const char *name, void (*start)(void), void (*work)(unsigned cpu), unsigned cpus,
		uint64_t executions)
{
	static const char *const ways[] = {"firmware", "ipi"};

	for (unsigned i = 0; i < 2; i++) {
		char full[60];
		struct weak_workload workload = {.name = full,
						 .cpus = cpus,
						 .setup = start,
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

TEST(a_page_is_whole_when_a_walk_finds_it)
{
	run("cow-find", setup_beside, map_and_find, 2, 300);
}

TEST(copies_on_write_are_private)
{
	run("cow-clone", setup_mapped, clone_and_write, 2, 300);
	run("cow-both", setup_cloned, both_write, 2, 300);
	run("cow-three", setup_cloned, write_in_one_space, 3, 300);
}
