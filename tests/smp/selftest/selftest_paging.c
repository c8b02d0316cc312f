/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * selftest_paging.c - the kernel's page tables and address spaces; see selftest_paging.h.
 *
 * Tests access addresses by loads and stores that may fault, so the hardware's view is what is
 * tested.
 *
 * Covers: kernel/vm/kernel_space.c kernel/vm/space*.c arch/riscv/mmu.c
 */
#include "tests/smp/selftest/selftest_paging.h"

#include <stddef.h>
#include <stdint.h>

#include <port.h>

#include "arch/riscv/hart.h"
#include "arch/riscv/mmu.h"
#include "arch/riscv/trap.h"
#include "kernel/smp/cpu.h"
#include "kernel/vm/heap_guard.h"
#include "kernel/vm/kernel_space.h"
#include "kernel/settings.h"
#include "kernel/vm/space.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "sync/barrier.h"
#include "sync/ck.h"
#include "tests/smp/selftest/expect.h"
#include "tests/smp/workloads/vm.h"

#define WINDOW VM_WINDOW

#define DATA (PAGE_READ | PAGE_WRITE)

#define NESTED_SECONDS 10 /* much longer than a timer needs that is due at once */

extern char __kernel_start[], __text_end[], __rodata_end[], __kernel_end[];

/* ---- the kernel's own tables ----------------------------------------------------------------- */

struct findings {
	uint64_t both;	     /* pages that can be both written and executed */
	uint64_t elsewhere;  /* pages that are not mapped to themselves */
	uint64_t executable; /* bytes */
};

static bool look_at_page(void *context, const struct page_leaf *leaf)
{
	struct findings *findings = context;

	if ((leaf->flags & (PAGE_WRITE | PAGE_EXECUTE)) == (PAGE_WRITE | PAGE_EXECUTE))
		findings->both++;
	if (leaf->flags & PAGE_EXECUTE)
		findings->executable += page_size(leaf->level);
	if (pfn_to_phys(leaf->frame).value != leaf->address.value &&
	    !heap_guard_has(leaf->address.value))
		findings->elsewhere++;
	return true;
}

static bool is_mapped(uint64_t address, unsigned flags)
{
	struct page_leaf leaf;

	return page_table_translate(kernel_space_table(), virt(address), &leaf) &&
	       (leaf.flags & (PAGE_READ | PAGE_WRITE | PAGE_EXECUTE)) == flags;
}

static bool is_hole(uint64_t address)
{
	struct page_leaf leaf;

	return !page_table_translate(kernel_space_table(), virt(address), &leaf);
}

/* Runs on every cpu, also on those that were stopped and started again. */
static void compare_satp(void *others)
{
	if (mmu_used() != kernel_space_satp())
		ck_pr_inc_32(others);
}

const char *paging_test_kernel(void)
{
	const struct page_table *table = kernel_space_table();
	struct findings findings = {0};
	uint32_t others = 0;

	if (!table)
		return NULL; /* paging=off */
	cpus_run(compare_satp, &others, settings.cpus);
	EXPECT(others == 0);
	page_table_validate(table);
	EXPECT(page_table_walk(table, virt(0), UINT64_C(1) << (virt_bits(table->levels) - 1),
			       look_at_page, &findings) == PAGE_OK);
	EXPECT(findings.both == 0);
	EXPECT(findings.elsewhere == 0);
	EXPECT(findings.executable == (uint64_t)(__text_end - __kernel_start));
	EXPECT(is_hole(0));
	EXPECT(is_mapped((uintptr_t)__kernel_start, PAGE_READ | PAGE_EXECUTE));
	EXPECT(is_mapped((uintptr_t)__text_end, PAGE_READ));
	EXPECT(is_mapped((uintptr_t)__rodata_end, DATA));
	for (unsigned i = 0; i < port_cpu_count(); i++) {
		uint64_t low = cpu_of(i)->arch.stack_low;

		EXPECT(is_hole(low - 1) && is_hole(low - ARCH_GUARD_BYTES));
		EXPECT(is_mapped(low, DATA) && is_mapped(low - ARCH_GUARD_BYTES - 1, DATA));
	}
	for (unsigned i = 0; i < zones.count; i++) {
		const struct zone *zone = &zones.zone[i];

		EXPECT(is_mapped(zone->first << FRAME_SHIFT, DATA));
		EXPECT(is_mapped((zone->first + zone->total_frames - 1) << FRAME_SHIFT, DATA));
	}
	return NULL;
}

static bool load(uint64_t address, uint64_t *value)
{
	return mmu_try_load((const uint64_t *)address, value);
}

/* ---- a fault in a handler -------------------------------------------------------------------- */

static uint32_t handled;
static bool fault_was_expected;

static void fault_in_handler(struct trap_frame *trap)
{
	uint64_t word;

	(void)trap;
	hart_timer_disarm();
	fault_was_expected = !load(0, &word);
	ck_pr_store_32(&handled, 1);
}

/*
 * A trap inside a trap: the return of the inner one leaves user mode in sstatus.SPP. The outer trap
 * must return to supervisor mode all the same, with interrupts enabled.
 */
const char *paging_test_nested_fault(void)
{
	uint64_t since = hart_time();

	if (!kernel_space_table())
		return NULL; /* paging=off */
	handled = 0;
	trap_on_timer = fault_in_handler;
	hart_timer_arm(since);
	hart_timer_enable();
	while (!ck_pr_load_32(&handled) && hart_time() - since < NESTED_SECONDS * settings.timebase)
		port_relax();
	hart_timer_disable();
	trap_on_timer = NULL;
	EXPECT(handled);
	EXPECT(fault_was_expected);
	EXPECT(csr_read(sstatus) & SSTATUS_SIE);
	return NULL;
}

/* ---- one space ------------------------------------------------------------------------------- */

static bool store(uint64_t address, uint64_t value)
{
	return mmu_try_store((uint64_t *)address, value);
}

/* A frame that begins with this word, for an owned mapping. */
static pfn_t frame_with(uint64_t word)
{
	pfn_t frame = frame_alloc(FRAME_ZERO);

	if (!pfn_is_none(frame))
		*(uint64_t *)frame_bytes(frame) = word;
	return frame;
}

static const char *use_space(struct space *space)
{
	uint64_t word = 0;

	EXPECT(!load(WINDOW, &word));
	EXPECT(space_map(space, virt(WINDOW), frame_with(11), FRAME_SIZE, DATA | PAGE_OWNED) ==
	       PAGE_OK);
	EXPECT(load(WINDOW, &word) && word == 11);
	EXPECT(store(WINDOW + 8, 12) && load(WINDOW + 8, &word) && word == 12);
	EXPECT(!load(WINDOW + FRAME_SIZE, &word));
	EXPECT(space_protect(space, virt(WINDOW), FRAME_SIZE, PAGE_READ) == PAGE_OK);
	EXPECT(!store(WINDOW, 13) && load(WINDOW, &word) && word == 11);
	EXPECT(space_unmap(space, virt(WINDOW), FRAME_SIZE) == PAGE_OK);
	EXPECT(!load(WINDOW, &word));
	return NULL;
}

/* Runs a test in a new space, and checks that no frame is lost. */
/* With heapdebug=guard some have guard pages, which are mapped in every space. */
static void touch_blocks(void)
{
	for (unsigned i = 0; i < 300; i++) {
		volatile char *block = kmalloc(64);

		if (block)
			block[0] = block[63] = 1;
		kfree((void *)block);
	}
}

static const char *in_space(const char *(*test)(struct space *space))
{
	uint64_t before;
	struct space space;
	const char *wrong;

	if (!kernel_space_table())
		return NULL; /* paging=off */
	kheap_trim();
	before = frame_free_count();
	EXPECT(spaces_open());
	EXPECT(space_create(&space) == PAGE_OK);
	space_enter(&space);
	touch_blocks();
	wrong = test(&space);
	space_leave();
	space_destroy(&space);
	spaces_close();
	kheap_trim();
	if (!wrong && frame_free_count() != before)
		wrong = "frame_free_count() == before";
	return wrong;
}

const char *paging_test_space(void)
{
	return in_space(use_space);
}

/* ---- mistakes -------------------------------------------------------------------------------- */

static const char *make_mistakes(struct space *space)
{
	struct page_table *table = &space->table;
	uint64_t tables = table->tables;
	pfn_t frame = pfn(zones.zone[0].first);
	virt_t at = virt(WINDOW);

	EXPECT(space_map(space, at, frame, 0, DATA) == PAGE_EMPTY);
	EXPECT(space_map(space, virt(WINDOW + 8), frame, FRAME_SIZE, DATA) == PAGE_UNALIGNED);
	EXPECT(space_map(space, at, frame, FRAME_SIZE + 1, DATA) == PAGE_UNALIGNED);
	EXPECT(space_map(space, virt(UINT64_C(1) << 60), frame, FRAME_SIZE, DATA) ==
	       PAGE_NOT_CANONICAL);
	EXPECT(space_map(space, virt(-FRAME_SIZE), frame, 2 * FRAME_SIZE, DATA) == PAGE_WRAPS);
	EXPECT(space_map(space, at, frame, FRAME_SIZE, PAGE_WRITE) == PAGE_BAD_FLAGS);
	EXPECT(space_map(space, at, frame, FRAME_SIZE, 0) == PAGE_BAD_FLAGS);
	EXPECT(space_map(space, virt((uintptr_t)__kernel_start), frame, FRAME_SIZE, DATA) ==
	       PAGE_MAPPED);
	EXPECT(space_unmap(space, at, FRAME_SIZE) == PAGE_NOT_MAPPED);
	EXPECT(space_protect(space, at, FRAME_SIZE, DATA) == PAGE_NOT_MAPPED);
	EXPECT(space_write_fault(space, at) == PAGE_NOT_MAPPED);
	EXPECT(table->tables == tables);
	page_table_validate(table);
	return NULL;
}

const char *paging_test_mistakes(void)
{
	return in_space(make_mistakes);
}

/* ---- no frames ------------------------------------------------------------------------------- */

/* Takes all free frames and links them; PFN_NONE ends the list. */
static pfn_t take_all(void)
{
	pfn_t first = PFN_NONE, frame;

	while (!pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
		*(pfn_t *)frame_bytes(frame) = first;
		first = frame;
	}
	return first;
}

static pfn_t give_one(pfn_t first)
{
	pfn_t next = *(pfn_t *)frame_bytes(first);

	frame_free(first);
	return next;
}

/*
 * Maps a page in a part of the space without tables: the map needs two tables, or three with Sv48.
 */
static const char *map_without_frames(struct space *space)
{
	pfn_t frame = pfn(zones.zone[0].first), taken = take_all();
	uint64_t tables = space->table.tables, left;
	enum page_status none, too_few;

	none = space_map(space, virt(WINDOW), frame, FRAME_SIZE, DATA);
	taken = give_one(taken);
	too_few = space_map(space, virt(WINDOW), frame, FRAME_SIZE, DATA);
	left = frame_free_count();
	while (!pfn_is_none(taken))
		taken = give_one(taken);
	EXPECT(none == PAGE_NO_FRAMES);
	EXPECT(too_few == PAGE_NO_FRAMES && left == 1);
	EXPECT(space->table.tables == tables);
	page_table_validate(&space->table);
	EXPECT(space_map(space, virt(WINDOW), frame, FRAME_SIZE, DATA) == PAGE_OK);
	EXPECT(space->table.tables == tables + space->table.levels - 1);
	EXPECT(space_unmap(space, virt(WINDOW), FRAME_SIZE) == PAGE_OK);
	return NULL;
}

const char *paging_test_no_frames(void)
{
	return in_space(map_without_frames);
}

/* ---- copies ---------------------------------------------------------------------------------- */

#define COPY_PAGES 8

static const char *write_apart(struct space *from, struct space *to)
{
	uint64_t word = 0;

	EXPECT(!store(WINDOW, 100));
	EXPECT(space_write_fault(from, virt(WINDOW)) == PAGE_OK);
	EXPECT(store(WINDOW, 100) && load(WINDOW, &word) && word == 100);
	space_leave();
	space_enter(to);
	EXPECT(load(WINDOW, &word) && word == 0);
	EXPECT(!store(WINDOW, 200));
	EXPECT(space_write_fault(to, virt(WINDOW)) == PAGE_OK);
	EXPECT(store(WINDOW, 200));
	EXPECT(load(WINDOW + FRAME_SIZE, &word) && word == 1);
	space_leave();
	space_enter(from);
	EXPECT(load(WINDOW, &word) && word == 100);
	return NULL;
}

static const char *clone_and_write(struct space *space)
{
	struct space copy;
	const char *wrong;

	for (uint64_t i = 0; i < COPY_PAGES; i++)
		EXPECT(space_map(space, virt(WINDOW + i * FRAME_SIZE), frame_with(i), FRAME_SIZE,
				 DATA | PAGE_OWNED) == PAGE_OK);
	EXPECT(space_create(&copy) == PAGE_OK);
	EXPECT(space_clone(&copy, space, virt(WINDOW), COPY_PAGES * FRAME_SIZE) == PAGE_OK);
	wrong = write_apart(space, &copy);
	if (cpu_self()->space != space) {
		space_leave();
		space_enter(space);
	}
	space_destroy(&copy);
	return wrong;
}

const char *paging_test_copies(void)
{
	return in_space(clone_and_write);
}

/* ---- flushes of other harts ------------------------------------------------------------------ */

/*
 * All cpus read one page, so that they have it in their translation caches; then cpu 0 maps another
 * frame there. After its call no cpu may read the old frame, which may have another owner by then.
 */
#define FLUSH_ROUNDS 10

struct flush_test {
	struct space *space;
	struct barrier barrier;
	uint32_t stale; /* atomic */
};

static uint64_t word_of(uint64_t round)
{
	return 0x1000 + round;
}

static void read_and_compare(struct flush_test *test, uint64_t round)
{
	uint64_t word = 0;

	if (!load(WINDOW, &word) || word != word_of(round))
		ck_pr_inc_32(&test->stale);
}

static void change_page(struct flush_test *test, uint64_t round)
{
	pfn_t frame = frame_with(word_of(round));

	if (space_unmap(test->space, virt(WINDOW), FRAME_SIZE) != PAGE_OK ||
	    space_map(test->space, virt(WINDOW), frame, FRAME_SIZE, DATA | PAGE_OWNED) != PAGE_OK)
		ck_pr_inc_32(&test->stale);
}

static void flush_cpu(void *argument)
{
	struct flush_test *test = argument;

	if (port_cpu())
		space_enter(test->space);
	for (uint64_t round = 0; round < FLUSH_ROUNDS; round++) {
		barrier_wait(&test->barrier);
		read_and_compare(test, round);
		barrier_wait(&test->barrier);
		if (port_cpu() == 0)
			change_page(test, round + 1);
		barrier_wait(&test->barrier);
		/* The hardware may have cached the fault; this load must see the new page. */
		read_and_compare(test, round + 1);
	}
	if (port_cpu())
		space_leave();
}

static const char *replace_under_readers(struct space *space)
{
	struct flush_test test = {.space = space};

	EXPECT(space_map(space, virt(WINDOW), frame_with(word_of(0)), FRAME_SIZE,
			 DATA | PAGE_OWNED) == PAGE_OK);
	barrier_init(&test.barrier, settings.cpus);
	cpus_run(flush_cpu, &test, settings.cpus);
	EXPECT(test.stale == 0);
	EXPECT(settings.cpus == 1 || space->remote_flushes >= FLUSH_ROUNDS);
	return NULL;
}

const char *paging_test_flush(void)
{
	return in_space(replace_under_readers);
}
