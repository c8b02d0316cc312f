/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_drain_order.c - the drain protocol on the weak-memory explorer, where single fences of it are
 * all that orders: two requests whose tickets pass each other, and callers that order nothing themselves.
 *
 * Covers: mm/percpu/drain.c mm/percpu/cache.c mm/percpu/refill.c mm/percpu/flush.c mm/global/zone.c
 */
#include <port.h>

#include "mm/frame.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/machine.h"
#include "tests/host/weak/weak.h"

static unsigned cpu_count, frames;
static pfn_t owned; /* by CPU 0, before the execution */

static void setup(void)
{
	struct host_machine machine = {
		.cpus = cpu_count, .capacity = 4, .batch = 2, .lock = SPIN_FAS};
	struct host_range range = {0x80200, 1 + frames, 0}; /* one frame is the policy's */

	if (host_cpus)
		host_machine_end();
	host_machine_start(&machine, &range, 1);
	machine_reset_flag();
}

static void park_all(void)
{
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		host_self = &host_cpus[cpu];
		while (frame_cache_park_step(frame_cache_self()))
			;
	}
	host_self = &host_cpus[0];
}

static void on_ipi(unsigned cpu)
{
	machine_take_ipi(cpu);
	while (frame_drain_answer())
		;
}

static pfn_t take(void)
{
	pfn_t frame = frame_alloc(0);

	if (pfn_is_none(frame))
		weak_fail("an allocation failed, and a frame was free all the time");
	return frame;
}

/* ---- two requests ---------------------------------------------------------------------------- */

/* The cache of CPU 0 has all frames, two. */
static void setup_one_has_all(void)
{
	setup();
	park_all();
	frame_free(frame_alloc(0));
}

/*
 * CPU 0 never owns more than one of the two frames, so CPU 1 finds one. CPU 2 asks for a run, without
 * pressure: its ticket may be the later one. When CPU 0 has answered it, the next allocation opens the
 * cache again.
 */
static void take_beside_a_run(unsigned cpu)
{
	if (cpu == 0) {
		while (cache_state(frame_cache_self()) != FRAME_CACHE_PARKED)
			port_relax();
		frame_free(take());
	} else if (cpu == 1) {
		take();
	} else if (!pfn_is_none(frame_alloc_run(4, 4))) {
		weak_fail("a run of four frames, of two");
	}
}

/* ---- callers that order nothing -------------------------------------------------------------- */

static void setup_owned(void)
{
	setup();
	owned = frame_alloc(0);
	park_all();
}

static uint32_t freed;

/*
 * CPU 1 has found nothing, and notes that. CPU 0 frees a frame, and says so by a store without a fence;
 * CPU 1 reads it without one. From then on a frame is free, whatever the two have ordered.
 */
static void free_and_say_so(unsigned cpu)
{
	if (cpu == 0) {
		frame_free(owned);
		ck_pr_store_32(&freed, 1);
	} else if (pfn_is_none(frame_alloc(0))) {
		while (ck_pr_load_32(&freed) == 0)
			port_relax();
		take();
	}
}

static void setup_not_freed(void)
{
	setup_owned();
	freed = 0;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void run(const char *name, void (*start)(void), void (*work)(unsigned cpu), unsigned cpus,
		unsigned frame_count, uint64_t executions)
{
	struct weak_workload workload = {.name = name,
					 .cpus = cpus,
					 .setup = start,
					 .work = work,
					 .handler = on_ipi,
					 .steps_max = 100000,
					 .some = executions};

	cpu_count = cpus;
	frames = frame_count;
	weak_explore(&workload);
	if (host_cpus)
		host_machine_end();
}

TEST(a_later_ticket_does_not_answer_a_request_under_pressure)
{
	run("drain-run-beside", setup_one_has_all, take_beside_a_run, 3, 2, 3000);
}

TEST(a_frame_is_found_by_a_caller_that_orders_nothing)
{
	run("drain-unordered", setup_not_freed, free_and_say_so, 2, 1, 1500);
}
