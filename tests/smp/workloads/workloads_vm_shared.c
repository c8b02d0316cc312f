/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_vm_shared.c - one address space that all cpus use. */
#include "tests/smp/workloads/workloads.h"

#include "kernel/vm/space.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "sync/ck.h"
#include "tests/smp/random.h"
#include "tests/smp/workloads/vm.h"
#include "tests/smp/workloads/workload.h"

/* ---- vm_shared: pages are mapped and unmapped while all cpus read them ---------------------- */

/*
 * Every page has one cpu that maps, protects and unmaps it; all cpus load from it and store to it
 * at any time. A page's state is one atomic word, which its cpu changes before and after each of
 * its calls. A cpu that finds the same state before and after an access, and no change in progress,
 * knows whether the access must fault:
 *
 *	changer: state, changing; full fence (a); space_...(); release (b); new state
 *	others:	 state; acquire (b); access; full fence (a); state again
 *
 * Where the state has changed meanwhile, the access may fault or not. But a word that was loaded
 * must be one of that page, of a mapping that had not ended before the access and has begun before
 * its end. A frame that was freed too early has words of another page, or of a mapping that has
 * ended.
 *
 * Half of each cpu's pages lie among those of other cpus, in tables that all cpus change. The other
 * half have a table for themselves, which is freed with the last of them.
 */
#define AMONG_OTHERS  4
#define APART	      4
#define PAGES_EACH    (AMONG_OTHERS + APART)
#define APART_AT      (VM_WINDOW + (UINT64_C(1) << 30))
#define STAY	      64 /* operations, on average, until a cpu leaves the space and enters again */
#define CHANGE_ONE_IN 16 /* operations: a change flushes translation caches, which accesses fill */
#define LOOKS	      4
#define COUNTS	      16 /* each step counts as 16 operations: a change makes other harts flush */

/* Fields of a page's state: bits, the count of its mappings, and a count of all changes. */
#define MAPPED	     UINT64_C(1)
#define WRITABLE     UINT64_C(2)
#define CHANGING     UINT64_C(4)
#define COUNT_SHIFT  3
#define CHANGE_SHIFT (COUNT_SHIFT + VM_COUNT_BITS)

struct shared_space {
	struct space space;
	uint64_t state[]; /* of each page; atomic */
};

static uint64_t state_count(uint64_t state)
{
	return state >> COUNT_SHIFT & VM_COUNT_MASK;
}

static uint64_t address_of(unsigned page)
{
	unsigned cpu = page / PAGES_EACH, number = page % PAGES_EACH;

	if (number < AMONG_OTHERS)
		return VM_WINDOW + (cpu * AMONG_OTHERS + number) * FRAME_SIZE;
	return APART_AT + (cpu * UINT64_C(512) + number) * FRAME_SIZE;
}

/* All cpus store to the last place only. */
static const uint64_t places[] = {0, 1032, FRAME_SIZE - 8, 2048};

#define PLACES	    4
#define SCRIBBLED   2048
#define OWNER(page) ((page) + 1)

bool vm_shared_setup(struct workload_run *run)
{
	uint64_t states = run->cpus * PAGES_EACH * sizeof(uint64_t);
	struct shared_space *shared;

	if (!workload_share(run, sizeof(*shared) + states))
		return false;
	shared = run->shared;
	if (spaces_open()) {
		if (space_create(&shared->space) == PAGE_OK)
			return true;
		spaces_close();
	}
	workload_unshare(run);
	return false;
}

void vm_shared_teardown(struct workload_run *run)
{
	struct shared_space *shared = run->shared;

	page_table_validate(&shared->space.table);
	space_destroy(&shared->space);
	spaces_close();
	kheap_trim();
}

bool vm_shared_locked_relaxed(const struct workload_run *run)
{
	return spin_locked_relaxed(&((struct shared_space *)run->shared)->space.lock);
}

/* ---- changing ------------------------------------------------------------------------------- */

static void begin_change(struct shared_space *shared, unsigned page, bool is_new)
{
	uint64_t state = ck_pr_load_64(&shared->state[page]);
	uint64_t count = state_count(state) + is_new;

	ck_pr_store_64(&shared->state[page], ((state >> CHANGE_SHIFT) + 1) << CHANGE_SHIFT |
						     (count & VM_COUNT_MASK) << COUNT_SHIFT |
						     CHANGING);
	ck_pr_fence_memory(); /* (a) */
}

static void end_change(struct shared_space *shared, unsigned page, uint64_t bits)
{
	uint64_t state = ck_pr_load_64(&shared->state[page]);

	ck_pr_fence_release(); /* (b) */
	ck_pr_store_64(&shared->state[page], (state & ~CHANGING) | bits);
}

static uint64_t any_access(uint64_t *random)
{
	return random_below(random, 2) ? MAPPED | WRITABLE : MAPPED;
}

static unsigned flags_of(uint64_t bits)
{
	return bits & WRITABLE ? PAGE_READ | PAGE_WRITE : PAGE_READ;
}

/* The cpu that has mapped a page can load from it, whatever its hardware had cached. */
static void check_mapped(unsigned page, uint64_t expected)
{
	uint64_t word = 0;
	bool went = vm_load(address_of(page), &word);

	check(went && word == expected,
	      "vm_shared: cpu %u has mapped page %u, and a load there %s: %#llx, expected %#llx",
	      port_cpu(), page, went ? "finds something else" : "faults", (unsigned long long)word,
	      (unsigned long long)expected);
}

static void map_page(struct shared_space *shared, struct workload_cpu *cpu, unsigned page)
{
	uint64_t bits = any_access(&cpu->random);
	pfn_t frame = frame_alloc(FRAME_ANY);
	enum page_status status;
	uint64_t *words;

	if (pfn_is_none(frame))
		return;
	begin_change(shared, page, true);
	words = frame_bytes(frame);
	for (unsigned i = 0; i < PLACES; i++)
		words[places[i] / 8] = vm_word(OWNER(page), state_count(shared->state[page]),
					       places[i]);
	status = space_map(&shared->space, virt(address_of(page)), frame, FRAME_SIZE,
			   flags_of(bits) | PAGE_OWNED);
	check(status == PAGE_OK || status == PAGE_NO_FRAMES, "vm_shared: page %u is mapped: %s",
	      page, page_status_text(status));
	if (status == PAGE_OK) {
		check_mapped(page, vm_word(OWNER(page), state_count(shared->state[page]), 0));
		cpu->allocs++;
	} else {
		frame_free(frame);
	}
	end_change(shared, page, status == PAGE_OK ? bits : 0);
}

/* The end of the mapped pages from `first` on, within one half of a cpu's pages. */
static unsigned mapped_end(const struct shared_space *shared, unsigned first)
{
	unsigned end = first, limit = first / AMONG_OTHERS * AMONG_OTHERS + AMONG_OTHERS;

	while (end < limit && ck_pr_load_64(&shared->state[end]) & MAPPED)
		end++;
	return end;
}

_Static_assert(AMONG_OTHERS == APART, "mapped_end() takes both halves alike");

/* In one call, so that one flush covers all of these pages. */
static void unmap_pages(struct shared_space *shared, struct workload_cpu *cpu, unsigned first,
			unsigned end)
{
	enum page_status status;

	for (unsigned page = first; page < end; page++)
		begin_change(shared, page, false);
	status = space_unmap(&shared->space, virt(address_of(first)), (end - first) * FRAME_SIZE);
	check(status == PAGE_OK, "vm_shared: pages [%u, %u) are unmapped: %s", first, end,
	      page_status_text(status));
	for (unsigned page = first; page < end; page++)
		end_change(shared, page, 0);
	cpu->frees += end - first;
}

static void protect_pages(struct shared_space *shared, struct workload_cpu *cpu, unsigned first,
			  unsigned end)
{
	uint64_t bits = any_access(&cpu->random);
	enum page_status status;

	for (unsigned page = first; page < end; page++)
		begin_change(shared, page, false);
	status = space_protect(&shared->space, virt(address_of(first)), (end - first) * FRAME_SIZE,
			       flags_of(bits));
	check(status == PAGE_OK, "vm_shared: pages [%u, %u) are protected: %s", first, end,
	      page_status_text(status));
	for (unsigned page = first; page < end; page++)
		end_change(shared, page, bits);
}

static void change(struct shared_space *shared, struct workload_cpu *cpu, unsigned number)
{
	unsigned page = number * PAGES_EACH + (unsigned)random_below(&cpu->random, PAGES_EACH);
	unsigned end = mapped_end(shared, page);

	if (end == page)
		map_page(shared, cpu, page);
	else if (random_below(&cpu->random, 2))
		unmap_pages(shared, cpu, page, end);
	else
		protect_pages(shared, cpu, page, end);
}

/* ---- accesses ------------------------------------------------------------------------------- */

struct access {
	struct shared_space *shared;
	unsigned page;
	uint64_t place;
	bool is_store;
	uint64_t word;
};

/* Makes the access; *before and *after are the page's states around it. */
static bool try(struct access *access, uint64_t *before, uint64_t *after)
{
	const uint64_t *state = &access->shared->state[access->page];
	uint64_t address = address_of(access->page) + access->place;
	bool went;

	*before = ck_pr_load_64(state);
	ck_pr_fence_acquire(); /* (b) */
	went = access->is_store ? vm_store(address, access->word) : vm_load(address, &access->word);
	ck_pr_fence_memory(); /* (a) */
	*after = ck_pr_load_64(state);
	return went;
}

/* Checks that the word is of a mapping that had not ended before and had begun after the access. */
static void check_word(const struct access *access, uint64_t before, uint64_t after)
{
	uint64_t count = vm_word_count(access->word), least = state_count(before);

	check(vm_word_is_of(access->word, OWNER(access->page), access->place),
	      "vm_shared: cpu %u finds %#llx in page %u at %llu, which is none of its words: it is "
	      "another page's, or a freed one",
	      port_cpu(), (unsigned long long)access->word, access->page,
	      (unsigned long long)access->place);
	if (access->place == SCRIBBLED)
		return; /* cpus that store there do not know the count */
	if (!(before & (MAPPED | CHANGING)))
		least++;
	check(vm_count_ahead(count, least) >= 0 && vm_count_ahead(state_count(after), count) >= 0,
	      "vm_shared: cpu %u finds a word of mapping %llu of page %u, which is one of %llu to "
	      "%llu: what it holds is old",
	      port_cpu(), (unsigned long long)count, access->page, (unsigned long long)least,
	      (unsigned long long)state_count(after));
}

static bool is_allowed(const struct access *access, uint64_t state)
{
	return state & (access->is_store ? WRITABLE : MAPPED);
}

/*
 * This cpu has learned of the mapping by the state, which it read with acquire. So the access
 * succeeds, whatever the hardware had cached, and this code sees no fault (kernel/vm/space.h).
 */
static void look(struct access access)
{
	uint64_t before, after;
	bool went = try(&access, &before, &after);

	if (went && !access.is_store)
		check_word(&access, before, after);
	if (before != after || before & CHANGING)
		return;
	check(went == is_allowed(&access, before), "vm_shared: cpu %u: a %s in page %u %s",
	      port_cpu(), access.is_store ? "store" : "load", access.page,
	      went ? "goes where it is not allowed" : "faults where it is allowed");
}

static void look_anywhere(struct workload_run *run, struct workload_cpu *cpu)
{
	struct access access = {
		.shared = run->shared,
		.page = (unsigned)random_below(&cpu->random, run->cpus * PAGES_EACH),
		.place = places[random_below(&cpu->random, PLACES)],
		.is_store = random_below(&cpu->random, 4) == 0,
	};

	if (access.is_store) {
		access.place = SCRIBBLED;
		access.word = vm_word(OWNER(access.page), random_next(&cpu->random), SCRIBBLED);
	}
	look(access);
}

/* Loads the first word, which is overwritten when a frame is freed, then a random place. */
static void look_at_some(struct workload_run *run, struct workload_cpu *cpu)
{
	struct access access = {.shared = run->shared};

	for (unsigned i = 0; i < LOOKS; i++) {
		access.page = (unsigned)random_below(&cpu->random, run->cpus * PAGES_EACH);
		look(access);
		look_anywhere(run, cpu);
	}
}

/* ---- a cpu's work --------------------------------------------------------------------------- */

static void unmap_all(struct shared_space *shared, struct workload_cpu *cpu, unsigned number)
{
	unsigned page = number * PAGES_EACH, limit = page + PAGES_EACH;

	while (page < limit) {
		unsigned end = mapped_end(shared, page);

		if (end > page)
			unmap_pages(shared, cpu, page, end);
		page = end + (end == page);
	}
}

void vm_shared_work(struct workload_run *run, unsigned number)
{
	struct shared_space *shared = run->shared;
	struct workload_cpu *cpu = &run->cpu[number];

	space_enter(&shared->space);
	for (uint64_t i = 0; i < run->ops && !workload_is_over(run, number); i += COUNTS) {
		if (random_below(&cpu->random, CHANGE_ONE_IN) == 0)
			change(shared, cpu, number);
		else
			look_at_some(run, cpu);
		if (random_below(&cpu->random, STAY) == 0) {
			space_leave();
			space_enter(&shared->space);
		}
		if (number == 0)
			workload_sample(run, i < run->ops ? i + 1 : run->ops, "mixed", false);
	}
	unmap_all(shared, cpu, number);
	space_leave();
}
