/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_drain.c - the drain protocol, caches and zones on the weak-memory explorer.
 *
 * The CPUs together never want more frames than there are. So no allocation may fail, whatever is
 * late; and each frame's owner writes to it plainly, so that a frame that two CPUs own at once, or
 * that went from one to the other without an order, is a race.
 *
 * Covers: mm/percpu/drain.c mm/percpu/cache.c mm/percpu/refill.c mm/percpu/flush.c mm/global/zone.c
 */
#include <port.h>

#include <string.h>

#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/percpu/cache_private.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/machine.h"
#include "tests/host/weak/weak.h"

static unsigned frames, cpu_count, zone_count, rounds;

static void setup(void)
{
	struct host_machine machine = {
		.cpus = cpu_count, .capacity = 4, .batch = 2, .lock = SPIN_FAS};
	/* One frame of a zone is its policy's. */
	struct host_range range[2] = {{0x80200, 1 + frames - (zone_count - 1), 0}, {0x80300, 2, 1}};
	uint64_t free_frames = 0;

	if (host_cpus)
		host_machine_end();
	host_machine_start(&machine, range, zone_count);
	machine_reset_flag();
	for (unsigned i = 0; i < zones.count; i++)
		free_frames += zones.zone[i].free_frames;
	if (zones.count != zone_count || free_frames != frames)
		weak_fail("%u zones have %llu frames", zones.count, (unsigned long long)free_frames);
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
	*(uint64_t *)port_phys_pointer(pfn_to_phys(frame).value) = weak_cpu_number();
	return frame;
}

static void give(pfn_t frame)
{
	uint64_t *word = port_phys_pointer(pfn_to_phys(frame).value);

	if (*word != weak_cpu_number())
		weak_fail("two CPUs own a frame");
	frame_free(frame);
}

static void take_and_give(unsigned cpu)
{
	(void)cpu;
	for (unsigned i = 0; i < rounds; i++)
		give(take());
}

/* ---- one window each ------------------------------------------------------------------------- */

static pfn_t owned; /* by CPU 0, before the execution */

static void park_all(void)
{
	for (unsigned cpu = 0; cpu < cpu_count; cpu++) {
		host_self = &host_cpus[cpu];
		while (frame_cache_park_step(frame_cache_self()))
			;
	}
	host_self = &host_cpus[0];
}

/* CPU 0 owns a frame, and all caches are parked. */
static void setup_parked(void)
{
	setup();
	owned = frame_alloc(0);
	park_all();
}

/*
 * CPU 0 owns a frame; the other one is in the cache of CPU 3, which answers requests and does nothing
 * else. A frame is free at every instant: that of CPU 3, then also the one that CPU 0 frees into a
 * cache that it opens, and then that one alone, when CPU 2 has taken the other.
 */
static void setup_moving(void)
{
	setup();
	owned = frame_alloc(0);
	park_all();
	host_self = &host_cpus[3];
	frame_free(frame_alloc(0));
	host_self = &host_cpus[0];
}

static void open_against_request(unsigned cpu)
{
	if (cpu == 0) {
		frame_free(owned);
		machine_set_flag();
	} else if (cpu < 3) {
		if (cpu == 2)
			machine_wait_for_flag();
		take();
	}
}

/* A request that found nothing is repeated when a frame has been freed since. */
static void fail_and_try_again(unsigned cpu)
{
	if (cpu == 0) {
		frame_free(owned);
		machine_set_flag();
	} else if (pfn_is_none(frame_alloc(0))) {
		machine_wait_for_flag();
		take();
	}
}

/* The same with a request for a run, which draws tickets without pressure, between them. */
static void two_requests(unsigned cpu)
{
	if (cpu < 4)
		open_against_request(cpu);
	else if (!pfn_is_none(frame_alloc_run(4, 4)))
		weak_fail("a run of four frames, of two");
}

/* CPU 0 goes off line and comes back, and must not keep a frame out of reach. */
static void stop_and_start(unsigned cpu)
{
	if (cpu == 0) {
		unsigned long flags;

		give(take());
		flags = port_irq_save();
		frame_cache_offline();
		frame_cache_online();
		port_irq_restore(flags);
		give(take());
	} else {
		give(take());
		give(take());
	}
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void run(const char *name, void (*start)(void), void (*work)(unsigned cpu), unsigned cpus,
		unsigned frame_count, unsigned zones_wanted, uint64_t executions)
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
	zone_count = zones_wanted;
	rounds = 2;
	weak_explore(&workload);
	if (host_cpus)
		host_machine_end();
}

TEST(a_frame_is_found_wherever_it_is)
{
	run("drain-2", setup, take_and_give, 2, 2, 1, 300);
	run("drain-3", setup, take_and_give, 3, 3, 1, 300);
	run("drain-3-zones", setup, take_and_give, 3, 3, 2, 300);
	run("drain-open", setup_moving, open_against_request, 4, 2, 1, 1500);
	run("drain-again", setup_parked, fail_and_try_again, 2, 1, 1, 1500);
	run("drain-tickets", setup_moving, two_requests, 5, 2, 1, 1500);
	run("drain-offline", setup, stop_and_start, 2, 2, 1, 500);
}
