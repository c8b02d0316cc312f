/* SPDX-License-Identifier: BSD-2-Clause */
/* workloads_vm_cow.c - clones of an address space that is written to meanwhile. */
#include "tests/smp/workloads/workloads.h"

#include <port.h>

#include "kernel/vm/space.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "sync/ck.h"
#include "tests/smp/random.h"
#include "tests/smp/workloads/vm.h"
#include "tests/smp/workloads/workload.h"

/* ---- vm_cow: a parent, and clones that come and go ------------------------------------------ */

/*
 * In each page of the parent each cpu has a word that only it writes. Every cpu clones the parent,
 * enters the clone, writes to it, goes back to write to the parent, reads both, and destroys the
 * clone. Most stores go to shared pages and fault. So a cpu knows its own words, in the parent and
 * in the clone, exactly. Of a neighbour's words it knows that in the parent they only get newer,
 * and that in a clone, once made, they do not change: later stores of the neighbour to the parent
 * must not be seen there, whichever cpu copied the page first.
 *
 * A word that is stored in a clone is marked (CHILD), and must never appear in the parent.
 */
#define COW_PAGES	    24
#define COW_BYTES	    (COW_PAGES * FRAME_SIZE)
#define CHILD		    0x8000 /* bit of a word's owner: stored in a clone */
#define STORES		    12	   /* at most, to a clone in one life */
#define PARENT_PAGES	    2 /* of the parent, stored to in one life; each flushes all harts */
#define PARENT_STORES	    100000 /* to each of them, at most */
#define PARENT_STORES_SHORT 200	   /* where each cpu has only a few lives */
#define PARENT_STORES_AFTER 8
#define CPUS_MAX	    (FRAME_SIZE / sizeof(uint64_t))
#define GRANDCHILD	    4 /* one in 4 clones is cloned itself */

/*
 * A store to a clone, with its share of the costs of a life (mainly flushes of all harts), takes as
 * long as some hundred operations of other workloads, and counts as that number: so one ops= takes
 * about the same time in all workloads.
 */
#define STORE_COUNTS 512

struct cow_cpu {
	_Alignas(64) struct space child, grandchild;
	uint64_t parent_count[COW_PAGES]; /* in this cpu's own word, as last stored */
	uint64_t child_word[COW_PAGES];
	uint64_t neighbour[COW_PAGES]; /* the neighbour's word when the clone was made */
	uint64_t looks;		       /* checks of new clones; atomic, other cpus read it */
	uint64_t newest[COW_PAGES];    /* the neighbour's highest count so far, in the parent */
};

struct cow {
	struct space parent;
	struct cow_cpu cpu[];
};

static uint64_t place_of(unsigned page, unsigned cpu)
{
	return page * FRAME_SIZE + cpu * sizeof(uint64_t);
}

static unsigned neighbour_of(const struct workload_run *run, unsigned cpu)
{
	return (cpu + 1) % run->cpus;
}

/* ---- the parent ----------------------------------------------------------------------------- */

static bool make_page(struct workload_run *run, struct cow *cow, unsigned page)
{
	pfn_t frame = frame_alloc(FRAME_ANY);

	if (pfn_is_none(frame))
		return false;
	for (unsigned cpu = 0; cpu < run->cpus; cpu++)
		((uint64_t *)frame_bytes(frame))[cpu] = vm_word(cpu, 0, place_of(page, cpu));
	if (space_map(&cow->parent, virt(VM_WINDOW + page * FRAME_SIZE), frame, FRAME_SIZE,
		      PAGE_READ | PAGE_WRITE | PAGE_OWNED) == PAGE_OK)
		return true;
	frame_free(frame);
	return false;
}

static bool make_parent(struct workload_run *run, struct cow *cow)
{
	if (space_create(&cow->parent) != PAGE_OK)
		return false;
	for (unsigned page = 0; page < COW_PAGES; page++) {
		if (!make_page(run, cow, page)) {
			space_destroy(&cow->parent);
			return false;
		}
	}
	return true;
}

bool vm_cow_setup(struct workload_run *run)
{
	check(run->cpus <= CPUS_MAX, "vm_cow: %u cpus, at most %u have words in a page", run->cpus,
	      (unsigned)CPUS_MAX);
	if (!workload_share(run, sizeof(struct cow) + run->cpus * sizeof(struct cow_cpu)))
		return false;
	if (spaces_open()) {
		if (make_parent(run, run->shared))
			return true;
		spaces_close();
	}
	workload_unshare(run);
	return false;
}

/* spaces_close() panics where a frame is still shared. */
void vm_cow_teardown(struct workload_run *run)
{
	struct cow *cow = run->shared;

	page_table_validate(&cow->parent.table);
	space_destroy(&cow->parent);
	spaces_close();
	kheap_trim();
}

/* Only the parent's lock is asked for: a clone's lock is taken by its own cpu alone. */
bool vm_cow_locked_relaxed(const struct workload_run *run)
{
	return spin_locked_relaxed(&((struct cow *)run->shared)->parent.lock);
}

/* ---- loads and stores ----------------------------------------------------------------------- */

static uint64_t load(unsigned page, unsigned cpu)
{
	uint64_t address = VM_WINDOW + place_of(page, cpu), word = 0;

	check(vm_load(address, &word), "vm_cow: cpu %u: a load at %#llx faults", port_cpu(),
	      (unsigned long long)address);
	return word;
}

/*
 * Stores in the space of this cpu; false: there is no frame for the copy. Only stores that fault
 * are counted: the number of others depends on how long a cpu waits for another one.
 */
static bool store(struct space *space, struct workload_cpu *cpu, unsigned page, unsigned number,
		  uint64_t word)
{
	uint64_t address = VM_WINDOW + place_of(page, number);
	bool faulted = false;

	while (!vm_store(address, word)) {
		enum page_status status = space_write_fault(space, virt(address));

		if (status == PAGE_NO_FRAMES)
			return false;
		check(status == PAGE_OK, "vm_cow: cpu %u: the fault at %#llx: %s", number,
		      (unsigned long long)address, page_status_text(status));
		faulted = true;
	}
	cpu->allocs += faulted;
	cpu->frees += faulted;
	return true;
}

static void expect(const char *where, unsigned page, unsigned cpu, uint64_t wanted)
{
	uint64_t word = load(page, cpu);

	check(word == wanted,
	      "vm_cow: cpu %u finds %#llx as cpu %u's word of page %u in %s, expected %#llx",
	      port_cpu(), (unsigned long long)word, cpu, page, where, (unsigned long long)wanted);
}

/* Checks a neighbour's word in the parent, or in a new clone of it: it must never get older. */
static uint64_t load_neighbour(struct cow_cpu *own, const char *where, unsigned page,
			       unsigned neighbour)
{
	uint64_t word = load(page, neighbour), count = vm_word_count(word);

	check(vm_word_is_of(word, neighbour, place_of(page, neighbour)),
	      "vm_cow: cpu %u finds %#llx in page %u of %s, which is no word that cpu %u has "
	      "stored "
	      "there",
	      port_cpu(), (unsigned long long)word, page, where, neighbour);
	check(vm_count_ahead(count, own->newest[page]) >= 0,
	      "vm_cow: cpu %u finds cpu %u's word %llu in page %u of %s, and has seen %llu before: "
	      "a "
	      "store is lost",
	      port_cpu(), neighbour, (unsigned long long)count, page, where,
	      (unsigned long long)own->newest[page]);
	own->newest[page] = count;
	return word;
}

/* ---- a clone's life ------------------------------------------------------------------------- */

static void look_at_new_child(struct workload_run *run, struct cow_cpu *own, unsigned number)
{
	unsigned neighbour = neighbour_of(run, number);

	for (unsigned page = 0; page < COW_PAGES; page++) {
		own->child_word[page] = vm_word(number, own->parent_count[page],
						place_of(page, number));
		expect("a new clone", page, number, own->child_word[page]);
		if (neighbour != number)
			own->neighbour[page] = load_neighbour(own, "a new clone", page, neighbour);
	}
}

static void store_in_child(struct workload_cpu *cpu, struct cow_cpu *own, struct space *child,
			   unsigned number)
{
	unsigned page = (unsigned)random_below(&cpu->random, COW_PAGES);
	uint64_t word = vm_word(CHILD | number, random_next(&cpu->random), place_of(page, number));

	if (store(child, cpu, page, number, word))
		own->child_word[page] = word;
}

/*
 * Stores to one page of the parent, again and again, until the cpu that watches this cpu's words
 * has checked one more clone, and a few times more: a store that still goes to the old frame
 * changes what that cpu has read. The number of stores is limited, for the watcher may have
 * finished. Cpus of odd numbers do not wait, so there is no circle of waiters.
 */
static void store_in_parent(struct workload_run *run, struct cow *cow, unsigned number)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct cow_cpu *own = &cow->cpu[number];
	unsigned page = (unsigned)random_below(&cpu->random, COW_PAGES);
	uint64_t place = place_of(page, number);
	const uint64_t *looks = &cow->cpu[(number + run->cpus - 1) % run->cpus].looks;
	uint64_t before = ck_pr_load_64(looks);
	uint64_t most = PARENT_STORES_AFTER;

	if (number % 2 == 0 && run->cpus > 1)
		most = run->ops < STORES * STORE_COUNTS ? PARENT_STORES_SHORT : PARENT_STORES;
	for (uint64_t i = 0, left = PARENT_STORES_AFTER; i < most && left > 0; i++) {
		uint64_t count = own->parent_count[page];

		expect("the parent", page, number, vm_word(number, count, place));
		if (store(&cow->parent, cpu, page, number, vm_word(number, count + 1, place)))
			own->parent_count[page] = count + 1;
		left -= ck_pr_load_64(looks) != before;
	}
	page = (unsigned)random_below(&cpu->random, COW_PAGES);
	if (neighbour_of(run, number) != number)
		load_neighbour(own, "the parent", page, neighbour_of(run, number));
}

static void look_at_old_child(struct workload_run *run, struct cow_cpu *own, unsigned number)
{
	unsigned neighbour = neighbour_of(run, number);

	for (unsigned page = 0; page < COW_PAGES; page++) {
		expect("its clone", page, number, own->child_word[page]);
		if (neighbour != number)
			expect("its clone", page, neighbour, own->neighbour[page]);
	}
}

static bool clone(struct space *to, struct space *from)
{
	enum page_status status = space_create(to);

	if (status != PAGE_OK)
		return false;
	status = space_clone(to, from, virt(VM_WINDOW), COW_BYTES);
	check(status == PAGE_OK || status == PAGE_NO_FRAMES || status == PAGE_REFUSED,
	      "vm_cow: cpu %u clones: %s", port_cpu(), page_status_text(status));
	if (status == PAGE_OK)
		return true;
	space_destroy(to);
	return false;
}

/* A clone of a clone keeps the clone's words, also after the clone was written to and destroyed. */
static void use_grandchild(struct workload_run *run, struct cow *cow, unsigned number)
{
	struct cow_cpu *own = &cow->cpu[number];

	if (!clone(&own->grandchild, &own->child)) {
		space_destroy(&own->child);
		return;
	}
	space_enter(&own->child);
	store(&own->child, &run->cpu[number], 0, number, vm_word(CHILD, 0, 0));
	space_leave();
	space_destroy(&own->child);
	space_enter(&own->grandchild);
	look_at_old_child(run, own, number);
	store_in_child(&run->cpu[number], own, &own->grandchild, number);
	look_at_old_child(run, own, number);
	space_leave();
	space_destroy(&own->grandchild);
}

static void use_child(struct workload_run *run, struct cow *cow, unsigned number, uint64_t stores)
{
	struct workload_cpu *cpu = &run->cpu[number];
	struct cow_cpu *own = &cow->cpu[number];

	space_enter(&own->child);
	look_at_new_child(run, own, number);
	ck_pr_inc_64(&own->looks);
	for (uint64_t i = 0; i < stores; i++)
		store_in_child(cpu, own, &own->child, number);
	space_leave();
	space_enter(&cow->parent);
	for (unsigned i = 0; i < PARENT_PAGES; i++)
		store_in_parent(run, cow, number);
	space_leave();
	space_enter(&own->child);
	look_at_old_child(run, own, number);
	space_leave();
	if (random_below(&cpu->random, GRANDCHILD) == 0)
		use_grandchild(run, cow, number);
	else
		space_destroy(&own->child);
}

void vm_cow_work(struct workload_run *run, unsigned number)
{
	struct cow *cow = run->shared;
	struct workload_cpu *cpu = &run->cpu[number];

	for (uint64_t done = 0; done < run->ops && !workload_is_over(run, number);) {
		uint64_t stores = 1 + random_below(&cpu->random, STORES);

		if (clone(&cow->cpu[number].child, &cow->parent))
			use_child(run, cow, number, stores);
		done += stores * STORE_COUNTS;
		if (number == 0)
			workload_sample(run, done < run->ops ? done : run->ops, "mixed", false);
	}
}
