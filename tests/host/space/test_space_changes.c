/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: space */
/*
 * test_space_changes.c - changes of a space that no workload makes, on simulated MMUs, under many
 * schedules (tests/host/space/simulated.h).
 *
 *   - Rights that go and come, of single pages of a large one: it is split while other CPUs use it.
 *   - Copies that are begun in vain, because frames for counts of references are missing; and two CPUs
 *     that both make the same counts.
 *
 * A failure names its schedule.
 *
 * Covers: kernel/vm/space*.c kernel/smp/shootdown.c mm/paging/page_change.c mm/paging/page_clone.c
 * Covers: mm/paging/page_reserve.c mm/paging/refcount.c
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <port.h>

#include "host.h"
#include "kernel/settings.h"
#include "kernel/smp/shootdown.h"
#include "kernel/vm/space.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "tests/host/space/simulated.h"
#include "tests/smp/random.h"
#include "tests/smp/workloads/vm.h"
#include "unit.h"

#define MEMORY_FRAMES 4096
#define CPUS	      3
#define SCHEDULES     150

static void *lock_memory;
static uint64_t free_before, stale, stores, refused;

/* All of the machine follows from the number of the schedule. */
static void start(uint64_t schedule)
{
	const struct host_range range = {0x80200, MEMORY_FRAMES, 0};
	struct host_machine host = {.lock = (enum spin_kind)(schedule % SPIN_KINDS),
				    .cpus = CPUS,
				    .capacity = 8,
				    .batch = 4};
	struct sim_machine machine = {
		.seed = schedule,
		.cpus = CPUS,
		.hart_step = 45,
		.asid_max = schedule % 2 ? 7 : 0,
		.stops = schedule / 2 % 2,
		.pointer_points = true,
		.points_max = 20000000,
	};

	host_machine_start(&host, &range, 1);
	lock_memory = aligned_alloc(64, spin_bytes(CPUS));
	kheap_init(host.lock, lock_memory);
	shootdown_choose(schedule / 4 % 2 ? SHOOTDOWN_IPI : SHOOTDOWN_FIRMWARE);
	sim_start(&machine);
	free_before = frame_free_count();
	CHECK(spaces_open());
}

static void end(void)
{
	spaces_close();
	kheap_trim();
	frame_validate();
	CHECK_EQ(frame_free_count(), free_before);
	stale += sim_stale();
	sim_end();
	host_machine_end();
	free(lock_memory);
}

static uint64_t random_of(uint64_t schedule)
{
	return (schedule * 64 + port_cpu() + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t first_schedule(void)
{
	return unit_seed() * 1000000;
}

/* ---- rights that go and come ------------------------------------------------------------------ */

/*
 * CPU 0 changes the rights of single pages of a large one. When it has taken the right to write from a
 * page, no store of another CPU succeeds any more, until it gives the right back; and the page still
 * holds what it held.
 */
#define LARGE_PAGES 512
#define PAGES	    4 /* that are used: the first, two neighbours, and the last */
#define ROUNDS	    12

static struct {
	struct space space;
	uint64_t version[PAGES]; /* odd: the page is read-only */
	uint64_t stores, refused;
	bool is_over;
} rights;

static uint64_t page_at(unsigned page)
{
	static const unsigned numbers[PAGES] = {0, 200, 201, LARGE_PAGES - 1};

	return VM_WINDOW + numbers[page] * FRAME_SIZE;
}

static void set_rights(unsigned page, unsigned flags)
{
	CHECK_EQ(space_protect(&rights.space, virt(page_at(page)), FRAME_SIZE, flags), PAGE_OK);
}

static void change_rights(uint64_t random)
{
	space_enter(&rights.space);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned page = (unsigned)random_below(&random, PAGES);
		uint64_t before = 0, after = 1;

		set_rights(page, PAGE_READ);
		rights.version[page]++;
		CHECK(vm_load(page_at(page), &before));
		for (uint64_t waits = random_below(&random, 20); waits-- > 0;)
			port_relax();
		if (!vm_load(page_at(page), &after) || before != after)
			port_panic("page %u is read-only, held %llu, and holds %llu", page,
				   (unsigned long long)before, (unsigned long long)after);
		rights.version[page]++;
		set_rights(page, PAGE_READ | PAGE_WRITE);
		if (!vm_store(page_at(page), after))
			port_panic("page %u may be written to, and CPU 0 faults", page);
	}
	/* A page that shares the large one and was never changed. */
	CHECK(vm_store(VM_WINDOW + LARGE_PAGES / 2 * FRAME_SIZE, 1));
	space_leave();
	rights.is_over = true;
}

static void store_where_allowed(uint64_t random)
{
	for (unsigned i = 0; i % 8 || !rights.is_over; i++) {
		unsigned page = (unsigned)random_below(&random, PAGES);
		uint64_t version = rights.version[page], word;
		bool stored;

		if (i % 8 == 0)
			space_enter(&rights.space);
		stored = vm_store(page_at(page), random_next(&random));
		if (stored && version % 2 && version == rights.version[page])
			port_panic("CPU %u writes to page %u, which is read-only", port_cpu(), page);
		*(stored ? &rights.stores : &rights.refused) += 1;
		CHECK(vm_load(page_at(page), &word));
		if (i % 8 == 7)
			space_leave();
	}
}

static void change_or_store(void *schedule)
{
	uint64_t random = random_of(*(uint64_t *)schedule);

	if (port_cpu() == 0)
		change_rights(random);
	else
		store_where_allowed(random);
}

static void run_rights(uint64_t schedule)
{
	pfn_t run;

	start(schedule);
	memset(&rights, 0, sizeof(rights));
	CHECK_EQ(space_create(&rights.space), PAGE_OK);
	run = frame_alloc_run(LARGE_PAGES, LARGE_PAGES);
	CHECK(!pfn_is_none(run));
	CHECK_EQ(space_map(&rights.space, virt(VM_WINDOW), run, LARGE_PAGES * FRAME_SIZE,
			   PAGE_READ | PAGE_WRITE),
		 PAGE_OK);
	sim_run(change_or_store, &schedule);
	stores += rights.stores;
	refused += rights.refused;
	space_destroy(&rights.space);
	frame_free_run(run, LARGE_PAGES);
	end();
}

TEST(space_a_right_that_is_taken_is_gone)
{
	stale = 0;
	for (unsigned i = 0; i < SCHEDULES; i++)
		run_rights(first_schedule() + i);
	printf("# %llu stores, %llu refused; %llu accesses by stale translations\n",
	       (unsigned long long)stores, (unsigned long long)refused, (unsigned long long)stale);
	CHECK(stale > 0 && stores > 0 && refused > 0);
}

/* ---- copies that are begun in vain ------------------------------------------------------------ */

/*
 * Each CPU copies a space that it alone uses. Its pages are of frames so far apart that their counts of
 * references are in different frames, which no CPU has made yet: so a copy begins, takes a reference to
 * the first page, finds that frames for counts are missing, gives the reference back, and begins again.
 * Another CPU may make the same counts meanwhile.
 */
#define FAR_FRAMES   1100 /* more than one frame has counts for */
#define COPIED_PAGES 3

static struct space parent[CPUS], child[CPUS];

static uint64_t word_of(unsigned cpu, unsigned page)
{
	return 1000 * cpu + page + 1;
}

/* Takes the frames for all CPUs' pages out of all that there are. */
static void choose_frames(pfn_t chosen[CPUS][COPIED_PAGES])
{
	static pfn_t all[MEMORY_FRAMES];
	unsigned count = 0;

	while (all[count] = frame_alloc(FRAME_NOWAIT), !pfn_is_none(all[count]))
		count++;
	CHECK(count > (COPIED_PAGES - 1) * FAR_FRAMES + CPUS);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		for (unsigned page = 0; page < COPIED_PAGES; page++) {
			pfn_t *frame = &all[page * FAR_FRAMES + cpu];

			chosen[cpu][page] = *frame;
			*frame = PFN_NONE;
		}
	while (count-- > 0)
		if (!pfn_is_none(all[count]))
			frame_free(all[count]);
}

static void make_parent(unsigned cpu, const pfn_t *frames)
{
	CHECK_EQ(space_create(&parent[cpu]), PAGE_OK);
	for (unsigned page = 0; page < COPIED_PAGES; page++) {
		*(uint64_t *)frame_bytes(frames[page]) = word_of(cpu, page);
		CHECK_EQ(space_map(&parent[cpu], virt(VM_WINDOW + page * FRAME_SIZE), frames[page],
				   FRAME_SIZE, PAGE_READ | PAGE_WRITE | PAGE_OWNED),
			 PAGE_OK);
	}
}

static void expect_words(struct space *space, unsigned cpu)
{
	space_enter(space);
	for (unsigned page = 0; page < COPIED_PAGES; page++) {
		uint64_t word = 0;

		CHECK(vm_load(VM_WINDOW + page * FRAME_SIZE, &word));
		CHECK_EQ(word, word_of(cpu, page));
	}
	space_leave();
}

static void copy_and_end(void *unused)
{
	unsigned cpu = port_cpu();

	(void)unused;
	CHECK_EQ(space_create(&child[cpu]), PAGE_OK);
	CHECK_EQ(space_clone(&child[cpu], &parent[cpu], virt(VM_WINDOW), COPIED_PAGES * FRAME_SIZE),
		 PAGE_OK);
	expect_words(&child[cpu], cpu);
	space_destroy(&parent[cpu]);
	expect_words(&child[cpu], cpu);
	space_destroy(&child[cpu]);
}

TEST(space_copies_that_are_begun_in_vain)
{
	pfn_t frames[CPUS][COPIED_PAGES];

	for (unsigned i = 0; i < 4 * SCHEDULES; i++) {
		uint64_t schedule = first_schedule() + i;

		start(schedule);
		choose_frames(frames);
		for (unsigned cpu = 0; cpu < CPUS; cpu++)
			make_parent(cpu, frames[cpu]);
		sim_run(copy_and_end, NULL);
		end();
	}
}
