/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_vm_map.c - address spaces that one cpu each uses. */
#include "tests/smp/workloads/workloads.h"

#include <string.h>

#include "kernel/vm/space.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "sync/ck.h"
#include "tests/smp/random.h"
#include "tests/smp/workloads/vm.h"
#include "tests/smp/workloads/workload.h"

/* ---- vm_map: spaces are built and destroyed ------------------------------------------------- */

/*
 * Each cpu has one space at a time, and a model of it: whether each page is mapped, what it
 * permits, and what its words are. All cpus use the same addresses, so a cpu that still saw another
 * space would find words of another cpu.
 *
 * There are two areas. The first has single frames that belong to the mappings; it crosses a border
 * of 2 MiB, so that tables are made and freed on both sides. The second is mapped to a run of
 * frames that belongs to the cpu, in pieces as large as its holes: at first as one page of 2 MiB,
 * if memory has such a run; changes of its parts then split it.
 */
#define SINGLES		 96
#define RUN_PAGES	 512 /* a page of 2 MiB */
#define RUN_PAGES_LITTLE 32
#define PAGES		 (SINGLES + RUN_PAGES)
#define SINGLES_AT	 (VM_WINDOW + 512 * FRAME_SIZE - SINGLES / 2 * FRAME_SIZE)
#define RUN_AT		 (VM_WINDOW + 1024 * FRAME_SIZE)
#define NOWHERE		 (RUN_AT + RUN_PAGES * FRAME_SIZE)
#define LIFE		 256 /* operations from a space's creation to its end */
#define MAP_MOST	 16
#define RANGE_MOST	 80 /* more than the runs of frames that a gather has room for */
#define LOOKS		 4

struct own_page {
	pfn_t frame;
	unsigned flags; /* 0: the page is not mapped */
	uint32_t count; /* in its words */
};

struct own_space {
	struct space space;
	uint32_t has_space; /* the space's lock may be read */
	unsigned cpu;
	pfn_t run;
	uint64_t run_pages; /* 0: there is no memory for a run */
	uint64_t counts;
	struct own_page page[PAGES];
};

/* Pages [first, end) of the model, of one area. */
struct own_range {
	unsigned first, end;
};

static uint64_t address_of(unsigned page)
{
	return page < SINGLES ? SINGLES_AT + page * FRAME_SIZE
			      : RUN_AT + (page - SINGLES) * FRAME_SIZE;
}

static uint64_t range_bytes(struct own_range range)
{
	return (range.end - range.first) * FRAME_SIZE;
}

/* The places of words in a page: both ends, and one between. */
static const uint64_t places[] = {0, 1032, FRAME_SIZE - 8};

#define PLACES (sizeof(places) / sizeof(places[0]))

static void fill(struct own_space *own, struct own_page *page)
{
	uint64_t *words = frame_bytes(page->frame);

	page->count = (uint32_t)(++own->counts & VM_COUNT_MASK);
	for (unsigned i = 0; i < PLACES; i++)
		words[places[i] / 8] = vm_word(own->cpu, page->count, places[i]);
}

bool vm_map_setup(struct workload_run *run)
{
	if (!workload_share(run, run->cpus * sizeof(struct own_space)))
		return false;
	if (spaces_open())
		return true;
	workload_unshare(run);
	return false;
}

void vm_map_teardown(struct workload_run *run)
{
	(void)run;
	spaces_close();
	kheap_trim();
}

bool vm_map_locked_relaxed(const struct workload_run *run)
{
	struct own_space *own = run->shared;

	for (unsigned cpu = 0; cpu < run->cpus; cpu++) {
		if (!ck_pr_load_32(&own[cpu].has_space))
			continue;
		ck_pr_fence_acquire(); /* pairs with live() */
		if (spin_locked_relaxed(&own[cpu].space.lock))
			return true;
	}
	return false;
}

/* ---- ranges --------------------------------------------------------------------------------- */

/* From somewhere in one of the areas to its end. */
static struct own_range any_range(struct own_space *own, uint64_t *random)
{
	struct own_range range = {0, SINGLES};

	if (own->run_pages && random_below(random, 2))
		range = (struct own_range){SINGLES, SINGLES + (unsigned)own->run_pages};
	range.first += (unsigned)random_below(random, range.end - range.first);
	return range;
}

/* The first pages of the range, at most `most`, that are all mapped or all not mapped. */
static struct own_range alike(const struct own_space *own, struct own_range range, bool mapped,
			      unsigned most)
{
	struct own_range found;

	while (range.first < range.end && !own->page[range.first].flags == mapped)
		range.first++;
	found = (struct own_range){range.first, range.first};
	while (found.end < range.end && found.end - found.first < most &&
	       !own->page[found.end].flags != mapped)
		found.end++;
	return found;
}

static unsigned any_flags(uint64_t *random)
{
	return random_below(random, 3) ? PAGE_READ | PAGE_WRITE : PAGE_READ;
}

/* A random length; sometimes a whole area. */
static unsigned any_length(uint64_t *random, unsigned most)
{
	return random_below(random, 8) ? 1 + (unsigned)random_below(random, most) : RUN_PAGES;
}

/* ---- changes -------------------------------------------------------------------------------- */

static void map_single(struct own_space *own, struct workload_cpu *cpu, unsigned number)
{
	struct own_page *page = &own->page[number];
	unsigned flags = any_flags(&cpu->random);
	enum page_status status;

	page->frame = frame_alloc(FRAME_ANY);
	if (pfn_is_none(page->frame))
		return;
	fill(own, page);
	status = space_map(&own->space, virt(address_of(number)), page->frame, FRAME_SIZE,
			   flags | PAGE_OWNED);
	if (status != PAGE_OK) {
		check(status == PAGE_NO_FRAMES, "vm_map: cpu %u maps page %u: %s", own->cpu, number,
		      page_status_text(status));
		frame_free(page->frame);
		return;
	}
	page->flags = flags;
	cpu->allocs++;
}

/* Maps a hole of the run's area, in pages as large as fit. */
static void map_part_of_run(struct own_space *own, struct own_range hole, unsigned flags)
{
	pfn_t frame = pfn_add(own->run, hole.first - SINGLES);
	enum page_status status = space_map(&own->space, virt(address_of(hole.first)), frame,
					    range_bytes(hole), flags);

	check(status == PAGE_OK || status == PAGE_NO_FRAMES, "vm_map: cpu %u maps %u pages: %s",
	      own->cpu, hole.end - hole.first, page_status_text(status));
	if (status == PAGE_OK)
		for (unsigned i = hole.first; i < hole.end; i++)
			own->page[i].flags = flags;
}

static void map_some(struct own_space *own, struct workload_cpu *cpu)
{
	struct own_range range = any_range(own, &cpu->random);

	if (range.first >= SINGLES) {
		if (random_below(&cpu->random, 2))
			range.first = SINGLES; /* the whole area, if nothing is mapped in it */
		range = alike(own, range, false, any_length(&cpu->random, RANGE_MOST));
		if (range.first < range.end)
			map_part_of_run(own, range, any_flags(&cpu->random));
		return;
	}
	range = alike(own, range, false, 1 + (unsigned)random_below(&cpu->random, MAP_MOST));
	for (unsigned i = range.first; i < range.end; i++)
		map_single(own, cpu, i);
}

static void forget(struct own_space *own, struct workload_cpu *cpu, struct own_range range)
{
	for (unsigned i = range.first; i < range.end; i++) {
		if (own->page[i].flags && i < SINGLES)
			cpu->frees++;
		own->page[i].flags = 0;
	}
}

/* Only a change that must split a large page can lack frames; it has then changed nothing. */
static bool is_done(struct own_space *own, const char *what, struct own_range range,
		    enum page_status status)
{
	check(status == PAGE_OK || (status == PAGE_NO_FRAMES && range.first >= SINGLES),
	      "vm_map: cpu %u: %s of pages [%u, %u): %s", own->cpu, what, range.first, range.end,
	      page_status_text(status));
	return status == PAGE_OK;
}

static void unmap_some(struct own_space *own, struct workload_cpu *cpu)
{
	struct own_range range = alike(own, any_range(own, &cpu->random), true,
				       any_length(&cpu->random, RANGE_MOST));

	if (range.first < range.end &&
	    is_done(own, "unmapping", range,
		    space_unmap(&own->space, virt(address_of(range.first)), range_bytes(range))))
		forget(own, cpu, range);
}

static void protect_some(struct own_space *own, struct workload_cpu *cpu)
{
	struct own_range range = alike(own, any_range(own, &cpu->random), true,
				       any_length(&cpu->random, RANGE_MOST));
	unsigned flags = any_flags(&cpu->random);

	if (range.first < range.end &&
	    is_done(own, "protection", range,
		    space_protect(&own->space, virt(address_of(range.first)), range_bytes(range),
				  flags)))
		for (unsigned i = range.first; i < range.end; i++)
			own->page[i].flags = flags;
}

/* Calls with ranges that do not fit: they must be refused and change nothing. */
static void ask_for_what_cannot_be(struct own_space *own, struct workload_cpu *cpu)
{
	struct own_range range = any_range(own, &cpu->random);
	struct own_range mapped = alike(own, range, true, PAGES);
	virt_t at = virt(address_of(range.first));
	enum page_status status;

	if (mapped.first == mapped.end) {
		status = space_protect(&own->space, at, range_bytes(range), PAGE_READ);
		check(status == PAGE_NOT_MAPPED, "vm_map: protection of a hole: %s",
		      page_status_text(status));
		return;
	}
	status = space_map(&own->space, at, pfn(1), range_bytes(range), PAGE_READ);
	check(status == PAGE_MAPPED, "vm_map: mapping over pages: %s", page_status_text(status));
	if (mapped.first == range.first && mapped.end == range.end)
		return;
	status = space_unmap(&own->space, at, range_bytes(range));
	check(status == PAGE_NOT_MAPPED, "vm_map: unmapping of a hole: %s",
	      page_status_text(status));
}

/* ---- checks --------------------------------------------------------------------------------- */

static void look_at_words(struct own_space *own, unsigned number)
{
	const struct own_page *page = &own->page[number];

	for (unsigned i = 0; i < PLACES; i++) {
		uint64_t address = address_of(number) + places[i], word = 0;
		uint64_t wanted = vm_word(own->cpu, page->count, places[i]);
		bool loaded = vm_load(address, &word);

		check(loaded == (page->flags != 0), "vm_map: cpu %u: a load at %#llx %s", own->cpu,
		      (unsigned long long)address,
		      loaded ? "of nothing that is mapped" : "of a mapped page faults");
		check(!loaded || word == wanted,
		      "vm_map: cpu %u: %#llx holds %#llx, expected %#llx: it is another page, or "
		      "its frame has another owner",
		      own->cpu, (unsigned long long)address, (unsigned long long)word,
		      (unsigned long long)wanted);
	}
}

/* A store through the space must arrive in the frame. */
static void store_and_look(struct own_space *own, unsigned number)
{
	const struct own_page *page = &own->page[number];
	uint64_t place = places[own->counts++ % PLACES], address = address_of(number) + place;
	bool stored = vm_store(address, own->counts);
	uint64_t *word;

	check(stored == ((page->flags & PAGE_WRITE) != 0), "vm_map: cpu %u: a store at %#llx %s",
	      own->cpu, (unsigned long long)address,
	      stored ? "that nothing allows" : "of a page for writing faults");
	if (!stored)
		return;
	word = (uint64_t *)frame_bytes(page->frame) + place / 8;
	check(*(volatile uint64_t *)word == own->counts,
	      "vm_map: cpu %u: a store at %#llx is not in frame %#llx", own->cpu,
	      (unsigned long long)address, (unsigned long long)page->frame.value);
	*word = vm_word(own->cpu, page->count, place);
}

static void look_at_some(struct own_space *own, struct workload_cpu *cpu)
{
	for (unsigned i = 0; i < LOOKS; i++) {
		unsigned page = any_range(own, &cpu->random).first;

		look_at_words(own, page);
		store_and_look(own, page);
	}
}

/* ---- a cpu's work --------------------------------------------------------------------------- */

static void take_run(struct own_space *own, struct workload_cpu *cpu)
{
	own->run_pages = RUN_PAGES;
	own->run = frame_alloc_run(RUN_PAGES, RUN_PAGES);
	if (pfn_is_none(own->run)) {
		own->run_pages = RUN_PAGES_LITTLE;
		own->run = frame_alloc_run(RUN_PAGES_LITTLE, 1);
	}
	if (pfn_is_none(own->run))
		own->run_pages = 0;
	for (unsigned i = 0; i < own->run_pages; i++) {
		own->page[SINGLES + i].frame = pfn_add(own->run, i);
		fill(own, &own->page[SINGLES + i]);
	}
	cpu->allocs += own->run_pages;
}

static void give_run(struct own_space *own, struct workload_cpu *cpu)
{
	if (own->run_pages)
		frame_free_run(own->run, own->run_pages);
	cpu->frees += own->run_pages;
}

/*
 * A cpu that has entered with cached translations treats its first fault as stale, once; the page
 * is still not mapped after that. Without an ASID the cpu has flushed, and all mappings are by
 * itself.
 */
static void fault_after_entering(struct own_space *own)
{
	uint64_t expected = own->space.stale_faults + (own->space.table.asid != 0), word;

	space_leave();
	space_enter(&own->space);
	for (unsigned i = 0; i < 2; i++)
		check(!vm_load(NOWHERE, &word), "vm_map: cpu %u: a load at %#llx, where nothing is",
		      own->cpu, (unsigned long long)NOWHERE);
	check(own->space.stale_faults == expected,
	      "vm_map: cpu %u: %llu faults of this space were tried again, expected %llu", own->cpu,
	      (unsigned long long)own->space.stale_faults, (unsigned long long)expected);
}

static void do_one(struct own_space *own, struct workload_cpu *cpu)
{
	switch (random_below(&cpu->random, 8)) {
	case 0:
	case 1:
		map_some(own, cpu);
		break;
	case 2:
		unmap_some(own, cpu);
		break;
	case 3:
		protect_some(own, cpu);
		break;
	case 4:
		ask_for_what_cannot_be(own, cpu);
		break;
	case 5:
		fault_after_entering(own);
		break;
	default:
		look_at_some(own, cpu);
	}
}

/* One space, from its creation to its end, at which pages may still be mapped. */
static void live(struct workload_run *run, struct own_space *own, uint64_t ops)
{
	struct workload_cpu *cpu = &run->cpu[own->cpu];

	if (space_create(&own->space) != PAGE_OK)
		return;
	ck_pr_fence_release(); /* the new lock; pairs with vm_map_locked_relaxed */
	ck_pr_store_32(&own->has_space, 1);
	space_enter(&own->space);
	for (uint64_t i = 0; i < ops && !workload_is_over(run, own->cpu); i++)
		do_one(own, cpu);
	page_table_validate(&own->space.table);
	space_leave();
	ck_pr_store_32(&own->has_space, 0);
	space_destroy(&own->space);
	forget(own, cpu, (struct own_range){0, PAGES});
}

void vm_map_work(struct workload_run *run, unsigned number)
{
	struct own_space *own = (struct own_space *)run->shared + number;
	struct workload_cpu *cpu = &run->cpu[number];

	own->cpu = number;
	take_run(own, cpu);
	for (uint64_t done = 0; done < run->ops && !workload_is_over(run, number); done += LIFE) {
		uint64_t left = run->ops - done;

		live(run, own, left < LIFE ? left : LIFE);
		if (number == 0)
			workload_sample(run, done + (left < LIFE ? left : LIFE), "mixed", false);
	}
	give_run(own, cpu);
}
