/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simulated.c - see simulated.h: turns, IPIs, the MMUs, the firmware, and what kernel/vm/space.c
 * wants of the rest of the kernel.
 */
#include "tests/host/space/simulated.h"

#include <port.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "arch/riscv/mmu.h"
#include "arch/riscv/trap.h"
#include "kernel/smp/cpu.h"
#include "kernel/vm/heap_guard.h"
#include "kernel/vm/kernel_space.h"
#include "kernel/settings.h"
#include "kernel/smp/shootdown.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"
#include "tests/host/support/unit.h"
#include "tests/smp/random.h"
#include "tests/smp/smp.h"

#define STACK_BYTES	(256 << 10)
#define KEPT		4096 /* translations, of each cpu */
#define KEPT_TABLES	512
#define LAST_PAGES	32 /* that were accessed; speculative walks go to these */
#define STOP_ONE_IN	6
#define AWAY_LOG	12
#define COPY_ONE_IN	2 /* goes on for long */
#define KERNEL_SATP	(UINT64_C(8) << 60 | 1)
#define ROOT_MASK	((UINT64_C(1) << 44) - 1)
#define ENTRY_VALID	UINT64_C(1)
#define ENTRY_WRITE	UINT64_C(4)
#define ENTRY_LEAF	UINT64_C(14)
#define ENTRY_SHIFT	10
#define PAGES_OF(bytes) ((bytes) >> FRAME_SHIFT)

/*
 * A cached translation, valid while its generation is the hart's. `entry`: the page's; 0: the page
 * is not mapped. `of_table`: not mapped because there is no table for it.
 */
struct kept {
	uint64_t generation, asid, page, entry;
	bool of_table;
};

struct hart {
	/* Turns. */
	ucontext_t state;
	char *stack;
	bool active;
	uint64_t away_until;
	void (*work)(void *argument);
	void *argument;
	bool ipi_pending, is_stopped;
	unsigned locks; /* of spaces that it holds or waits for */
	/* The MMU. */
	uint64_t satp, generation;
	bool accesses;	       /* in the middle of an instruction that does */
	bool walk_ended_early; /* the last walk, at an entry of no page */
	struct kept page[KEPT], table[KEPT_TABLES];
};

struct settings settings;
static struct cpu cpus[SIM_CPUS_MAX];
static struct hart harts[SIM_CPUS_MAX];
static struct sim_machine machine;
static ucontext_t at_rest;
static bool runs;
static uint64_t random_state, points, stops, stale, repeats;
bool (*trap_on_page_fault)(void);
/* Of points, of turns that end, of points, of points. */
static uint64_t turn_one_in, away_one_in, walk_one_in, ipi_one_in;
static uint64_t last_page[LAST_PAGES];
static unsigned last_pages;

static uint64_t below(uint64_t bound)
{
	return random_below(&random_state, bound);
}

static struct hart *self(void)
{
	return &harts[host_self->number];
}

void sim_panic(const char *format, ...)
{
	char message[900], whole[1024];
	va_list arguments;

	runs = false;
	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	snprintf(whole, sizeof(whole), "%s -- schedule %llu, cpu %u's turn, point %llu", message,
		 (unsigned long long)machine.seed, host_self->number, (unsigned long long)points);
	unit_panicked(whole);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static bool is_ready(unsigned cpu)
{
	return harts[cpu].active && harts[cpu].away_until <= points;
}

/* A ready cpu other than `but`. If no cpu is ready: the cpu that will be ready first. */
static unsigned choose(unsigned but)
{
	unsigned first = (unsigned)below(machine.cpus), soonest = but;

	for (unsigned i = 0; i < machine.cpus; i++) {
		unsigned cpu = (first + i) % machine.cpus;

		if (cpu == but || !harts[cpu].active)
			continue;
		if (is_ready(cpu))
			return cpu;
		if (soonest == but || harts[cpu].away_until < harts[soonest].away_until)
			soonest = cpu;
	}
	return soonest;
}

static void give_turn(unsigned to)
{
	unsigned from = host_self->number;

	if (to == from)
		return;
	host_self = &host_cpus[to];
	swapcontext(&harts[from].state, &harts[to].state);
}

static void walk_unasked(void);
static void take_ipi(unsigned cpu, bool at_once);

static void go_away(struct hart *hart)
{
	hart->away_until = points + (UINT64_C(1) << below(AWAY_LOG + 1));
}

static void count_point(void)
{
	if (++points > machine.points_max)
		port_panic("a cpu waits for ever");
}

/* Interrupts come between instructions. */
static void step(bool is_instruction)
{
	unsigned own = host_self->number;

	if (!runs)
		return;
	count_point();
	if (below(walk_one_in) == 0)
		walk_unasked();
	if (below(turn_one_in) == 0) {
		if (below(away_one_in) == 0)
			go_away(&harts[own]);
		give_turn(choose(own));
	}
	if (is_instruction)
		take_ipi(own, false);
}

void sim_point(void)
{
	step(true);
}

void sim_pointer_point(void)
{
	if (machine.pointer_points)
		step(true);
}

void sim_relax(void)
{
	unsigned own = host_self->number;

	count_point();
	if (!runs)
		return;
	take_ipi(own, false);
	give_turn(choose(own));
	take_ipi(own, false);
}

void *sim_copy(void *to, const void *from, size_t bytes)
{
	step(true);
	memcpy(to, from, bytes);
	if (runs && below(COPY_ONE_IN) == 0) {
		go_away(self());
		give_turn(choose(host_self->number));
	}
	step(true);
	return to;
}

static void run_cpu(void)
{
	struct hart *hart = self();

	hart->work(hart->argument);
	while (hart->ipi_pending && !host_self->masked)
		take_ipi(host_self->number, true); /* which takes turns */
	hart->active = false;
	for (unsigned cpu = 0; cpu < machine.cpus; cpu++)
		if (harts[cpu].active)
			give_turn(choose(host_self->number));
	runs = false;
	host_self = &host_cpus[0];
	setcontext(&at_rest);
}

static void prepare(struct hart *hart, void (*work)(void *argument), void *argument)
{
	hart->work = work;
	hart->argument = argument;
	hart->active = true;
	hart->away_until = 0;
	getcontext(&hart->state);
	hart->state.uc_stack.ss_sp = hart->stack;
	hart->state.uc_stack.ss_size = STACK_BYTES;
	makecontext(&hart->state, run_cpu, 0);
}

void sim_run(void (*work)(void *argument), void *argument)
{
	for (unsigned cpu = 0; cpu < machine.cpus; cpu++)
		prepare(&harts[cpu], work, argument);
	runs = true;
	swapcontext(&at_rest, &harts[0].state);
}

/* ---- interrupts ------------------------------------------------------------------------------ */

unsigned long sim_irq_save(void)
{
	unsigned long flags = host_self->masked;

	step(true);
	host_self->masked = true;
	return flags;
}

void sim_irq_restore(unsigned long flags)
{
	host_self->masked = flags;
	step(true);
}

/* kernel/vm/space.c calls these in the place of spin_lock() and spin_unlock(). */
void sim_lock(struct spinlock *lock, struct spin_node *node)
{
	self()->locks++;
	spin_lock(lock, node);
}

void sim_unlock(struct spinlock *lock, struct spin_node *node)
{
	spin_unlock(lock, node);
	self()->locks--;
}

/* As leave() in kernel/smp/cpu_stop.c. */
static void stop_and_come_back(void)
{
	uint64_t satp = mmu_used();

	stops++;
	if (self()->locks)
		port_panic("stopped with a space's lock, or in the queue for it");
	frame_cache_offline();
	mmu_use(MMU_OFF);
	shootdown_offline();
	self()->is_stopped = true;
	self()->away_until = points + below(UINT64_C(1) << AWAY_LOG);
	sim_relax();
	self()->is_stopped = self()->ipi_pending = false; /* an IPI that met it so is lost */
	shootdown_online();
	mmu_use(satp);
	frame_cache_online();
}

void sim_stop_now(void)
{
	host_self->masked = true;
	stop_and_come_back();
	host_self->masked = false;
}

/* As ipi_handle() there. */
static void on_ipi(void)
{
	if (runs && machine.stops && below(STOP_ONE_IN) == 0 && !cpu_self()->online_pins &&
	    !frame_drain_is_asking())
		stop_and_come_back();
	shootdown_answer();
	while (frame_drain_answer())
		;
}

/* An interrupt may come late. */
static void take_ipi(unsigned cpu, bool at_once)
{
	struct host_cpu *ipi_pending = &host_cpus[cpu], *before = host_self;

	if (!harts[cpu].ipi_pending || ipi_pending->masked || ipi_pending->in_trap)
		return;
	if (!at_once && below(ipi_one_in))
		return;
	harts[cpu].ipi_pending = false;
	host_self = ipi_pending;
	ipi_pending->masked = ipi_pending->in_trap = true;
	on_ipi();
	ipi_pending->masked = ipi_pending->in_trap = false;
	host_self = before;
}

/* A cpu without work sleeps, and wakes up only for an interrupt. */
static void interrupt(unsigned cpu)
{
	step(true);
	harts[cpu].ipi_pending = true;
	if (!harts[cpu].active) {
		bool ran = runs;

		runs = false; /* its stack is not its own here */
		take_ipi(cpu, true);
		runs = ran;
	}
}

void sim_ipi_send(unsigned first, uint64_t set)
{
	for (; set; set &= set - 1)
		interrupt(first + (unsigned)__builtin_ctzll(set));
}

bool hart_irqs_are_masked(void)
{
	return host_self->masked;
}

/* ---- walks ----------------------------------------------------------------------------------- */

/* The entry of `pages` slots for this ASID and page, or the slot for it. */
static struct kept *slot(struct kept *kept, uint64_t slots, uint64_t asid, uint64_t page)
{
	return &kept[((page ^ asid * 5) * UINT64_C(0x9e3779b97f4a7c15) >> 40) % slots];
}

static struct kept *find(struct hart *hart, struct kept *kept, uint64_t slots, uint64_t asid,
			 uint64_t page)
{
	struct kept *found = slot(kept, slots, asid, page);

	return found->generation == hart->generation && found->asid == asid && found->page == page
		       ? found
		       : NULL;
}

static void keep(struct hart *hart, struct kept *kept, uint64_t slots, uint64_t page, uint64_t entry)
{
	uint64_t asid = hart->satp >> 44 & 0xffff;

	*slot(kept, slots, asid, page) = (struct kept){hart->generation, asid, page, entry,
						       hart->walk_ended_early};
}

static uint64_t *frame_of(uint64_t number, const char *what)
{
	const struct zone *zone = &zones.zone[0];

	if (number - zone->first >= zone->total_frames ||
	    zone_frame_state(zone, number) == FRAME_STATE_FREE)
		port_panic("cpu %u %s frame %#llx, which is not allocated", host_self->number, what,
			   (unsigned long long)number);
	return port_phys_pointer(number << FRAME_SHIFT);
}

/* The page's entry as if it were one of 4 KiB, or 0. With steps: others change it meanwhile. */
static uint64_t walk(struct hart *hart, uint64_t page, bool with_steps)
{
	const struct kept *known = find(hart, hart->table, KEPT_TABLES, hart->satp >> 44 & 0xffff,
					page >> 9);
	uint64_t table = known ? known->entry >> ENTRY_SHIFT : hart->satp & ROOT_MASK;

	hart->walk_ended_early = false;
	for (unsigned level = known ? 0 : 2;; level--) {
		uint64_t entry = frame_of(table, "walks")[page >> (9 * level) & 511];

		if (with_steps)
			step(false);
		hart->walk_ended_early = level > 0 && !(entry & ENTRY_VALID);
		if (!(entry & ENTRY_VALID))
			return 0;
		if (level == 0 && !(entry & ENTRY_LEAF))
			port_panic("cpu %u walks into %#llx, which is no entry of a page",
				   host_self->number, (unsigned long long)entry);
		if (entry & ENTRY_LEAF)
			return entry + ((page & ((UINT64_C(1) << 9 * level) - 1)) << ENTRY_SHIFT);
		table = entry >> ENTRY_SHIFT;
		if (level == 1)
			keep(hart, hart->table, KEPT_TABLES, page >> 9, entry);
	}
}

static bool is_in_a_space(const struct hart *hart)
{
	return hart->satp != MMU_OFF && hart->satp != KERNEL_SATP;
}

/* Any hart, whether it has its turn or not. */
static void walk_unasked(void)
{
	struct hart *hart = &harts[below(machine.cpus)];
	uint64_t page;

	if (!last_pages || !is_in_a_space(hart) || hart->accesses)
		return;
	page = last_page[below(last_pages)];
	if (!find(hart, hart->page, KEPT, hart->satp >> 44 & 0xffff, page))
		keep(hart, hart->page, KEPT, page, walk(hart, page, false));
}

/* ---- accesses -------------------------------------------------------------------------------- */

static uint64_t page_of(const void *address)
{
	return (uint64_t)(uintptr_t)address >> FRAME_SHIFT & ((UINT64_C(1) << 27) - 1);
}

static uint64_t translate(struct hart *hart, uint64_t page)
{
	const struct kept *known = find(hart, hart->page, KEPT, hart->satp >> 44 & 0xffff, page);
	uint64_t entry;

	if (known) {
		stale += known->entry != walk(hart, page, false);
		return known->entry;
	}
	entry = walk(hart, page, true);
	keep(hart, hart->page, KEPT, page, entry);
	return entry;
}

/* As trap_handle() does: whether the access is to be repeated. */
static bool take_page_fault(struct hart *hart)
{
	bool repeated, in_trap = host_self->in_trap, masked = host_self->masked;

	hart->accesses = false;
	if (!trap_on_page_fault)
		return false;
	host_self->in_trap = host_self->masked = true;
	repeated = trap_on_page_fault();
	host_self->in_trap = in_trap;
	host_self->masked = masked;
	repeats += repeated;
	return repeated;
}

/*
 * The word, or NULL: it faults. From here on it is one instruction, until its caller has ended it.
 */
static uint64_t *begin_access(const void *address, uint64_t wanted)
{
	struct hart *hart = self();
	uint64_t page = page_of(address), entry;

	CHECK(is_in_a_space(hart));
	for (;;) {
		step(true);
		last_page[last_pages < LAST_PAGES ? last_pages++ : below(LAST_PAGES)] = page;
		hart->accesses = true;
		entry = translate(hart, page);
		step(false);
		if ((entry & wanted) == wanted)
			break;
		if (!take_page_fault(hart))
			return NULL;
	}
	return frame_of(entry >> ENTRY_SHIFT & ROOT_MASK, "accesses") +
	       (uintptr_t)address % FRAME_SIZE / 8;
}

bool mmu_try_load(const uint64_t *address, uint64_t *value)
{
	uint64_t *word = begin_access(address, ENTRY_VALID);

	if (word)
		*value = *word;
	self()->accesses = false;
	return word != NULL;
}

bool mmu_try_store(uint64_t *address, uint64_t value)
{
	uint64_t *word = begin_access(address, ENTRY_VALID | ENTRY_WRITE);

	if (word)
		*word = value;
	self()->accesses = false;
	return word != NULL;
}

/* ---- satp and flushes ------------------------------------------------------------------------ */

static void flush(struct hart *hart, uint64_t start, uint64_t bytes)
{
	if (PAGES_OF(bytes) > MMU_FLUSH_PAGES_MAX) {
		hart->generation++;
		return;
	}
	for (uint64_t i = 0; i < PAGES_OF(bytes); i++)
		for (uint64_t asid = 0; asid <= machine.asid_max; asid++) {
			uint64_t page = page_of((void *)(uintptr_t)start) + i;
			struct kept *kept = find(hart, hart->page, KEPT, asid, page);

			if (kept && !kept->of_table)
				kept->generation = 0;
		}
}

void mmu_flush(uint64_t start, uint64_t bytes)
{
	step(true);
	flush(self(), start, bytes);
}

void mmu_use(uint64_t satp)
{
	mmu_switch(satp);
	flush(self(), 0, UINT64_MAX);
}

void mmu_switch(uint64_t satp)
{
	step(true);
	self()->satp = satp;
	step(true);
}

uint64_t mmu_used(void)
{
	return self()->satp;
}

uint64_t mmu_asid_max(void)
{
	return machine.asid_max;
}

/* Between two instructions of theirs, whether their interrupts are masked or not. As the strictest
 * firmware would: it refuses what names a hart that is stopped, and may have flushed some. */
bool mmu_flush_harts(uint64_t first_hart, uint64_t mask, uint64_t start, uint64_t bytes)
{
	for (unsigned cpu = 0; cpu < machine.cpus; cpu++) {
		uint64_t offset = cpus[cpu].arch.hart_id - first_hart;

		if (offset >= 64 || !(mask >> offset & 1))
			continue;
		CHECK(cpu != host_self->number);
		mask &= ~(UINT64_C(1) << offset);
		step(false);
		if (harts[cpu].is_stopped)
			return false;
		while (harts[cpu].accesses)
			sim_relax();
		flush(&harts[cpu], start, bytes);
	}
	CHECK_EQ(mask, 0); /* no cpu that does not exist */
	return true;
}

/* ---- the rest of the kernel ------------------------------------------------------------------ */

struct arch_cpu *arch_cpu_self(void)
{
	return &cpus[host_self->number].arch;
}

struct cpu *cpu_of(unsigned number)
{
	return &cpus[number];
}

void cpus_run(cpu_work *work, void *argument, unsigned count)
{
	for (unsigned cpu = 0; cpu < count; cpu++) {
		host_self = &host_cpus[cpu];
		work(argument);
	}
	host_self = &host_cpus[0];
}

unsigned kernel_space_levels(void)
{
	return SV39_LEVELS;
}

/* The heap of this machine has no guard pages. */
void heap_guard_share(struct page_table *space)
{
	(void)space;
}

void heap_guard_unshare(struct page_table *space)
{
	(void)space;
}

bool heap_guard_fault_is_stale(void)
{
	return false;
}

uint64_t kernel_space_satp(void)
{
	return KERNEL_SATP;
}

/* It runs wherever it is. */
enum page_status kernel_space_map_into(struct page_table *table)
{
	(void)table;
	return PAGE_OK;
}

void smp_run(void (*work)(void *argument), void *argument, unsigned count)
{
	CHECK_EQ(count, machine.cpus);
	sim_run(work, argument);
}

uint64_t sim_clock(void)
{
	return points + 1;
}

uint64_t smp_nanoseconds(void)
{
	return points;
}

/* ---- a machine ------------------------------------------------------------------------------- */

void sim_start(const struct sim_machine *wanted)
{
	machine = *wanted;
	random_state = (machine.seed + 1) * UINT64_C(0xd1342543de82ef95) | 1;
	for (unsigned i = 0; i < 8; i++)
		random_next(&random_state);
	turn_one_in = UINT64_C(1) << (1 + below(5));
	away_one_in = UINT64_C(2) << 2 * below(3);
	walk_one_in = UINT64_C(2) << 2 * below(3);
	ipi_one_in = UINT64_C(1) << 4 * below(3);
	points = stops = stale = repeats = last_pages = 0;
	trap_on_page_fault = NULL;
	runs = false;
	settings.cpus = machine.cpus;
	memset(cpus, 0, sizeof(cpus));
	for (unsigned cpu = 0; cpu < machine.cpus; cpu++) {
		struct hart *hart = &harts[cpu];

		cpus[cpu].arch = (struct arch_cpu){.number = cpu,
						   .hart_id = 3 + machine.hart_step * cpu};
		if (!hart->stack)
			hart->stack = aligned_alloc(64, STACK_BYTES);
		hart->satp = KERNEL_SATP;
		hart->generation++;
		hart->locks = 0;
		hart->active = hart->ipi_pending = hart->is_stopped = hart->accesses = false;
		host_self = &host_cpus[cpu];
		shootdown_online();
	}
	host_self = &host_cpus[0];
}

void sim_end(void)
{
	runs = false;
}

uint64_t sim_stops(void)
{
	return stops;
}

uint64_t sim_stale(void)
{
	return stale;
}

uint64_t sim_repeats(void)
{
	return repeats;
}
