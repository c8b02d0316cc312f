/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact_ledger.c - the ledger adds up in trap handlers, wherever they interrupt an allocation or a
 * free.
 *
 * Covers: mm/frame.c
 */
#include "tests/smp/selftest/exact.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "arch/riscv/hart.h"
#include "arch/riscv/trap.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/percpu/drain.h"
#include "tests/smp/random.h"
#include "tests/smp/selftest/exact_memory.h"
#include "tests/smp/selftest/expect.h"

#define LEDGER_HANDLERS 2000	/* the test ends after this number */
#define LEDGER_OPS_MAX	4000000 /* or after this number of operations: some handlers have run */
#define LEDGER_FRAMES	400	/* more than the cache holds, so that it is refilled and flushed */

static struct {
	volatile uint64_t held; /* by the interrupted code, without the frame of its current call */
	uint64_t allocated_before;
	uint64_t random, handlers, in_flight;
	struct frame_ledger wrong; /* the first wrong ledger; total 0: none was wrong */
	uint64_t wrong_held;
} seen;

static bool adds_up(const struct frame_ledger *ledger)
{
	uint64_t expected = seen.allocated_before + seen.held;

	return ledger->allocated >= expected && ledger->allocated <= expected + 1 &&
	       ledger->cached <= ledger->cached_max;
}

static void on_ledger(struct trap_frame *trap)
{
	struct frame_ledger ledger;

	(void)trap;
	hart_timer_disarm();
	frame_ledger(&ledger);
	seen.handlers++;
	seen.in_flight += ledger.in_flight != 0;
	if (!adds_up(&ledger) && !seen.wrong.total) {
		seen.wrong = ledger;
		seen.wrong_held = seen.held;
	}
	hart_timer_arm(hart_time() + 10 + random_below(&seen.random, 100));
}

static void go_up_and_down(void)
{
	pfn_t newest = PFN_NONE, frame;

	while (seen.held < LEDGER_FRAMES && !pfn_is_none(frame = frame_alloc_called())) {
		seen.held++;
		exact_chain(&newest, frame);
	}
	while (exact_unchain(&newest, &frame)) {
		seen.held--;
		frame_free_called(frame);
	}
}

static const char *watch_ledger(void)
{
	struct frame_ledger ledger;
	uint64_t ops = 0;

	frame_ledger(&ledger);
	EXPECT(ledger.in_flight == 0);
	EXPECT(ledger.total == ledger.reserved + ledger.free + ledger.cached + ledger.allocated);
	seen.allocated_before = ledger.allocated;
	seen.random = settings.arguments.seed * 2 + 1;
	trap_on_timer = on_ledger;
	hart_timer_arm(hart_time() + 1);
	hart_timer_enable();
	for (; seen.handlers < LEDGER_HANDLERS && ops < LEDGER_OPS_MAX; ops += 2 * LEDGER_FRAMES)
		go_up_and_down();
	hart_timer_disable();
	hart_timer_disarm();
	trap_on_timer = NULL;
	printf("# the ledger in %llu trap handlers\n", (unsigned long long)seen.handlers);
	if (seen.wrong.total) {
		snprintf(exact_figures, sizeof(exact_figures),
			 "in a handler: %llu allocated, expected %llu or 1 more; free %llu, cached "
			 "%llu, "
			 "in flight %llu",
			 (unsigned long long)seen.wrong.allocated,
			 (unsigned long long)(seen.allocated_before + seen.wrong_held),
			 (unsigned long long)seen.wrong.free, (unsigned long long)seen.wrong.cached,
			 (unsigned long long)seen.wrong.in_flight);
		return exact_figures;
	}
	EXPECT(seen.handlers > 0);
	EXPECT(seen.in_flight == 0); /* a handler finds its cpu's cache whole (C6) */
	return NULL;
}

const char *exact_test_ledger(void)
{
	const char *wrong;

	exact_begin();
	seen = (typeof(seen)){0};
	wrong = watch_ledger();
	exact_end();
	return wrong;
}
