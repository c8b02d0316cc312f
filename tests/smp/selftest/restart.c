/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * restart.c - allocates and frees in a timer's handler while the interrupted code does the same.
 *
 * The handler sets its timer for the next tick, so the interrupts move through the loop below.
 * Under `-icount` they land on every instruction of the loop, and the test then requires that each
 * instruction of the pop and of the push was hit. Where the machine delivers interrupts only
 * between its own translated blocks, the test still requires that no frame is lost or doubled.
 *
 * A handler does different things (handler_ops.h); in this test it never calls a flush itself.
 *
 * Covers: arch/riscv/trap.c mm/frame_called.c mm/percpu/cache.h
 */
#include "tests/smp/selftest/restart.h"

#include <stdint.h>
#include <string.h>

#include "arch/riscv/csr.h"
#include "arch/riscv/hart.h"
#include "arch/riscv/trap.h"
#include "kernel/settings.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "tests/smp/handler_ops.h"
#include "tests/smp/random.h"
#include "tests/smp/stamp.h"

#define TRAPS	      10000
#define SILENCE_MAX   10 /* seconds without a trap: then the timer does not work */
#define BURST	      200
#define SITE_HALVES   32 /* units of 2 bytes: a sequence has at most 64 bytes */
#define HANDLER_OWNER 0x8000
#define MAIN_OWNER    0x4000

struct watched {
	const struct restartable *site;
	uint32_t hits[SITE_HALVES];
};

static struct watched pop, push;
static struct handler_ops handler_ops;
static volatile uint64_t traps;
static uint64_t jitter;

static void note_hit(struct watched *watched, uint64_t pc)
{
	if (pc - watched->site->start < watched->site->end - watched->site->start)
		watched->hits[(pc - watched->site->start) / 2]++;
}

/*
 * A tick is 100 instructions under -icount, of which the handler leaves about half to the loop. On
 * other machines the handler may take longer than a tick, so the interval is longer, or the loop
 * would make no progress.
 */
static uint64_t interval_ticks(void)
{
	return settings.counts_exactly ? 1 : 1 + settings.timebase / 50000;
}

static void on_timer(struct trap_frame *trap)
{
	static const enum handler_ops_act acts[7] = {
		HANDLER_TAKE_AND_GIVE, HANDLER_TAKE_AND_GIVE, HANDLER_KEEP,	     HANDLER_KEEP,
		HANDLER_GIVE_KEPT,     HANDLER_GIVE_KEPT,     HANDLER_BURST_THROUGH,
	};
	uint64_t wait,
		pc = csr_read(
			sepc); /* not the trap frame's pc, which is already at the sequence's start */

	(void)trap;
	hart_timer_disarm();
	note_hit(&pop, pc);
	note_hit(&push, pc);
	handler_ops_act(&handler_ops, acts[traps++ % 7]);
	/*
	 * The timer runs from here on. A wait of random length makes the interrupts land at
	 * different instructions of the loop. The wait has two instructions for each step, hence
	 * the odd nop.
	 */
	if (traps < TRAPS)
		hart_timer_arm(hart_time() + interval_ticks());
	wait = random_next(&jitter) >> 58;
	if (wait & 1)
		__asm__ volatile("nop; nop; nop");
	for (wait /= 2; wait; wait--)
		__asm__ volatile("" ::: "memory");
}

/* The only sequence inside a function that begins at `function`. */
static const struct restartable *site_in(uint64_t function)
{
	for (uint64_t pc = function; pc < function + 64; pc += 2)
		if (trap_restartable_at(pc))
			return trap_restartable_at(pc);
	return NULL;
}

/*
 * Each sequence is found from each of its instructions, but not from the instruction before or
 * after it, at any position in the table. The last ones are in rare paths, which perhaps no trap of
 * this test hits.
 */
static bool table_is_found_whole(void)
{
	const struct restartable *site = __restartable_start;

	for (; site < __restartable_end; site++) {
		if (site->start >= site->end || trap_restartable_at(site->start - 2) == site ||
		    trap_restartable_at(site->end) == site)
			return false;
		for (uint64_t pc = site->start; pc < site->end; pc += 2)
			if (trap_restartable_at(pc) != site || trap_restart_pc(pc) != site->start)
				return false;
	}
	return site > __restartable_start;
}

/* The number of instructions of the sequence that no trap has hit. */
static unsigned missed(const struct watched *watched)
{
	unsigned count = 0;

	for (uint64_t pc = watched->site->start; pc < watched->site->end;) {
		count += watched->hits[(pc - watched->site->start) / 2] == 0;
		pc += (*(const uint16_t *)pc & 3) == 3 ? 4 : 2; /* compressed ones are 2 bytes */
	}
	return count;
}

/*
 * Takes and frees more frames than a cache holds, so that traps also land in refills and flushes,
 * between all of their steps.
 */
static void go_through_many_slowly(void)
{
	static pfn_t held[BURST * 2];
	unsigned count = 0;

	while (count < BURST * 2 && !pfn_is_none(held[count] = frame_alloc_called()))
		stamp_write(held[count++], MAIN_OWNER);
	while (count--) {
		stamp_check(held[count], MAIN_OWNER);
		frame_free_called(held[count]);
	}
}

static void loop_until(uint64_t wanted_traps)
{
	uint64_t seen = 0, since = hart_time();

	while (traps < wanted_traps && hart_time() - since < SILENCE_MAX * settings.timebase) {
		if (traps != seen) {
			seen = traps;
			since = hart_time();
		}
		for (unsigned i = 0; i < 100; i++) {
			pfn_t frame = frame_alloc_called();

			if (pfn_is_none(frame))
				continue;
			stamp_write(frame, MAIN_OWNER);
			stamp_check(frame, MAIN_OWNER);
			frame_free_called(frame);
		}
		go_through_many_slowly();
	}
}

const char *restart_test_coverage(void)
{
	if (!pop.site || missed(&pop) || missed(&push))
		return "interrupts land only between translated blocks here (under -icount: "
		       "anywhere)";
	return "interrupts landed on every instruction of the pop and of the push";
}

const char *restart_test(void)
{
	uint64_t before = frame_free_count();

	memset(&pop, 0, sizeof(pop));
	memset(&push, 0, sizeof(push));
	pop.site = site_in((uint64_t)(uintptr_t)frame_alloc_called);
	push.site = site_in((uint64_t)(uintptr_t)frame_free_called);
	if (!pop.site || !push.site)
		return "the called pop and push have no restartable sequence";
	if (!table_is_found_whole())
		return "a sequence of the table is not found from each of its instructions";
	traps = 0;
	jitter = settings.arguments.seed | 1;
	handler_ops_init(&handler_ops, HANDLER_OWNER, BURST);
	trap_on_timer = on_timer;
	hart_timer_arm(hart_time() + 1);
	hart_timer_enable();
	loop_until(TRAPS);
	hart_timer_disable();
	hart_timer_disarm();
	trap_on_timer = NULL;
	if (csr_read(sie) & SIE_TIMER)
		return "the timer's interrupt is enabled after hart_timer_disable()";
	handler_ops_end(&handler_ops);
	frame_validate();
	if (traps < TRAPS)
		return "the timer did not fire";
	if (frame_free_count() != before)
		return "frames were lost or doubled";
	if (settings.counts_exactly && (missed(&pop) || missed(&push)))
		return "no trap landed on some instruction of the pop or the push";
	return NULL;
}
