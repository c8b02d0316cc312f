/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shootdown.c - see shootdown.h.
 *
 * By IPIs. Each cpu has one word that says what it is asked to flush, `flush_wanted`: nothing, some
 * pages, or everything. There is one counter of requests for all, and each cpu notes up to which
 * number it has answered.
 *
 *   1. The asker puts its pages into the word of each cpu that it asks; where other pages stand
 *	there already, that makes everything. Then it takes a number from `requests`, and then IPIs
 *	those that are on line and have not answered that number yet.
 *   2. A cpu, in the handler of the IPI, reads `requests`, takes all that its word says, flushes
 *	that, and notes the number as answered. No other handler comes in between: it would find the
 *	word empty, and answer for what is not done.
 *   3. The asker flushes its own, and waits until each cpu it asked has answered its number, or is
 *	off line. Its interrupts are let in, so it answers what it is asked itself meanwhile: two
 *	askers, or any number in a circle, never wait for each other.
 *
 * Why an answer is one. The asker's word came before its number, so a cpu that has read that number
 * has either taken the word, or had taken it before, for an earlier number: in both cases it has
 * flushed since. The number alone would not do for one asker of many: numbers are common to all, so
 * a cpu answers those of requests to other cpus too, with an empty word. They are 64
 * bits wide and do not wrap: a cpu that was not asked for long may be any number behind.
 *
 * Requests are made for 64 cpus at a time: those that are in the set at that moment. The set is the
 * caller's copy: a bit that appeared between the IPI and the wait would be waited for without an
 * IPI.
 *
 * Fences.
 *
 *   (a) The entries, then `flush_wanted`, then `requests`: release fences in ask(), pair with the
 *	 acquire fences in shootdown_answer() after the read of each; SFENCE.VMA orders what is
 *	 visible there by then before all later walks.
 *   (b) The flush, and all that the cpu did through old entries, before its `flush_answered`: the
 *	 release fence there pairs with the acquire fence at the end of wait_for(); a frame that is
 *	 freed after that is freed unused.
 *   (c) `flush_wanted` and `requests` before the look at `flush_online`: the full fence in ask()
 *	 pairs with the full fence in shootdown_online(): a cpu that comes on line gets an IPI, or
 *	 sees the number itself and answers. For the firmware the same with the entries: it is
 *	 asked, or its walks, which begin later, find them.
 *   (d) Going off line: all accesses through old entries come before `flush_online` = 0. The
 *	 release fence there pairs with the acquire fence of (b), or in the firmware's way with that
 *	 of ask_firmware().
 *   (e) The request comes before the IPI: hart_ipi_send's own fence, and hart_ipi_clear's.
 *   (f) A departure is counted between `flush_online` = 0 and the stop: the full fence in
 *	 shootdown_offline pairs with the one in ask_firmware. An asker that has read the count with
 *	 it names the cpu no more; an asker that has named it, and is refused because it has
 *	 stopped, reads another count afterwards (the acquire fence there, which pairs with what
 *	 orders the firmware's own note that the hart has stopped).
 *
 * A cpu that goes off line has switched satp off and flushed all before: nothing walks tables for
 * it, so nothing can be freed under its walks. It comes back on line before it loads satp again.
 *
 * The firmware's answer stands for (a) and (b) where it is asked: it returns when the harts have
 * executed SFENCE.VMA behind our fence (mmu.c).
 */
#include "kernel/smp/shootdown.h"

#include <port.h>

#include "arch/riscv/mmu.h"
#include "kernel/smp/cpu.h"
#include "kernel/smp/hart_mask.h"
#include "mm/check.h"
#include "mm/global/bits.h"
#include "sync/ck.h"
#include "sync/counter_start.h"

static enum shootdown_way chosen;
static uint64_t requests = TICKET_FIRST;       /* numbers given out; atomic */
static uint64_t departures = COUNTER_FIRST_64; /* how often a cpu went off line; atomic */

void shootdown_choose(enum shootdown_way way)
{
	chosen = way;
}

enum shootdown_way shootdown_way(void)
{
	return chosen;
}

const char *shootdown_way_name(enum shootdown_way way)
{
	return way == SHOOTDOWN_IPI ? "kick" : "firmware";
}

static bool is_online(const struct cpu *cpu)
{
	return ck_pr_load_32(&cpu->flush_online) != 0;
}

/* ---- what is wanted, in one word ------------------------------------------------------------- */

/* The number of the first page, and in the lowest bits how many there are. */
#define WANTED_NOTHING	  UINT64_C(0)
#define WANTED_EVERYTHING UINT64_MAX
#define WANTED_PAGE_SHIFT 12
#define WANTED_PAGES_MASK ((UINT64_C(1) << WANTED_PAGE_SHIFT) - 1)

_Static_assert(MMU_FLUSH_PAGES_MAX < WANTED_PAGES_MASK,
	       "a number of pages is never WANTED_EVERYTHING");

/* An address without its lowest 12 bits is the page's number in place. */
static uint64_t wanted_of(uint64_t start, uint64_t bytes)
{
	uint64_t pages = bytes >> WANTED_PAGE_SHIFT;

	return pages > MMU_FLUSH_PAGES_MAX ? WANTED_EVERYTHING : start | pages;
}

static void flush_wanted(uint64_t wanted)
{
	if (wanted == WANTED_EVERYTHING)
		mmu_flush(0, UINT64_MAX);
	else
		mmu_flush(wanted & ~WANTED_PAGES_MASK, (wanted & WANTED_PAGES_MASK)
							       << WANTED_PAGE_SHIFT);
}

/*
 * By a read and write in any case: where the same pages stand there already, the cpu may just be
 * taking them, and has not seen our entries.
 */
static void want(struct cpu *cpu, uint64_t wanted)
{
	uint64_t seen = ck_pr_load_64(&cpu->flush_wanted), all;

	do
		all = seen == WANTED_NOTHING || seen == wanted ? wanted : WANTED_EVERYTHING;
	while (!ck_pr_cas_64_value(&cpu->flush_wanted, seen, all, &seen));
}

/* ---- by IPIs -------------------------------------------------------------------------------- */

static bool has_answered(const struct cpu *cpu, uint64_t number)
{
	return ck_pr_load_64(&cpu->flush_answered) >= number;
}

static uint64_t ask(unsigned first, uint64_t set, uint64_t wanted)
{
	uint64_t number, silent = 0;

	ck_pr_fence_release(); /* (a) */
	for (uint64_t left = set; left; left &= left - 1)
		want(cpu_of(first + bits_lowest(left)), wanted);
	ck_pr_fence_release(); /* (a) */
	number = ck_pr_faa_64(&requests, 1) + 1;
	ck_pr_fence_memory(); /* (c) */
	for (uint64_t left = set; left; left &= left - 1) {
		const struct cpu *cpu = cpu_of(first + bits_lowest(left));

		if (is_online(cpu) && !has_answered(cpu, number))
			silent |= left & -left;
	}
	port_ipi_send(first, silent); /* (e) */
	return number;
}

static void wait_for(unsigned first, uint64_t set, uint64_t number)
{
	for (; set; set &= set - 1) {
		const struct cpu *cpu = cpu_of(first + bits_lowest(set));

		while (is_online(cpu) && !has_answered(cpu, number))
			port_relax();
	}
	ck_pr_fence_acquire(); /* (b), (d) */
}

void shootdown_answer(void)
{
	struct cpu *self = cpu_self();
	uint64_t number = ck_pr_load_64(&requests), wanted;

	if (number == self->flush_answered)
		return;
	ck_pr_fence_acquire(); /* (a) */
	wanted = ck_pr_fas_64(&self->flush_wanted, WANTED_NOTHING);
	ck_pr_fence_acquire(); /* (a) */
	if (wanted != WANTED_NOTHING)
		flush_wanted(wanted);
	ck_pr_fence_release(); /* (b) */
	ck_pr_store_64(&self->flush_answered, number);
}

void shootdown_online(void)
{
	ck_pr_store_32(&cpu_self()->flush_online, 1);
	ck_pr_fence_memory(); /* (c) */
	shootdown_answer();
}

void shootdown_offline(void)
{
	ck_pr_fence_release(); /* (d) */
	ck_pr_store_32(&cpu_self()->flush_online, 0);
	ck_pr_fence_memory(); /* (f) */
	ck_pr_inc_64(&departures);
}

/* ---- by the firmware ------------------------------------------------------------------------- */

static uint64_t online_of(unsigned first, uint64_t set)
{
	uint64_t online = 0;

	for (; set; set &= set - 1)
		if (is_online(cpu_of(first + bits_lowest(set))))
			online |= set & -set;
	return online;
}

/* A call that is refused may have named a hart that has just been stopped: then one without it. */
static void ask_firmware(unsigned first, uint64_t set, uint64_t start, uint64_t bytes)
{
	for (;;) {
		uint64_t before = ck_pr_load_64(&departures), base, named, harts;

		ck_pr_fence_memory(); /* (c), (f) */
		set = online_of(first, set);
		if (!set)
			break;
		harts = hart_mask_of(first, set, &base, &named);
		if (mmu_flush_harts(base, harts, start, bytes)) {
			set &= ~named;
		} else {
			ck_pr_fence_acquire(); /* (f): the firmware looked at the harts before */
			check(ck_pr_load_64(&departures) != before,
			      "shootdown: the firmware refuses to flush harts %llu + i for each "
			      "bit i "
			      "of %#llx",
			      (unsigned long long)base, (unsigned long long)harts);
		}
	}
	ck_pr_fence_acquire(); /* (d) */
}

void shootdown_firmware(unsigned first, uint64_t set, uint64_t start, uint64_t bytes)
{
	unsigned own = port_cpu() - first;

	if (own < 64 && set >> own & 1) {
		mmu_flush(start, bytes);
		set &= ~(UINT64_C(1) << own);
	}
	ask_firmware(first, set, start, bytes);
}

unsigned shootdown(unsigned first, uint64_t set, uint64_t start, uint64_t bytes)
{
	unsigned own = port_cpu() - first;
	bool own_too = own < 64 && set >> own & 1;
	uint64_t others = own_too ? set & ~(UINT64_C(1) << own) : set;
	uint64_t number = 0;

	check(!port_in_trap(), "shootdown: cpu %u asks for a flush in a trap handler", port_cpu());
	check(!hart_irqs_are_masked(),
	      "shootdown: cpu %u asks for a flush with its interrupts masked: it could not answer "
	      "another cpu that asks it for one, and each would wait for the other",
	      port_cpu());
	if (others && chosen == SHOOTDOWN_IPI)
		number = ask(first, others, wanted_of(start, bytes));
	if (own_too)
		mmu_flush(start, bytes);
	if (others && chosen == SHOOTDOWN_IPI)
		wait_for(first, others, number);
	else if (others)
		ask_firmware(first, others, start, bytes);
	return bits_count(others);
}
