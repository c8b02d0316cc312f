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
#include "mm/percpu/cache.h"
#include "mm/percpu/drain.h"
#include "sync/ck.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/machine.h"
#include "tests/host/weak/weak.h"

static unsigned frames, cpu_count, zone_count, rounds;
static uint32_t flag;

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
	flag = 0;
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

static void run(const char *name, void (*work)(unsigned cpu), unsigned cpus, unsigned frame_count,
		unsigned zones_wanted, unsigned rounds_each, uint64_t executions)
{
	struct weak_workload workload = {.name = name,
					 .cpus = cpus,
					 .setup = setup,
					 .work = work,
					 .handler = on_ipi,
					 .steps_max = 100000,
					 .some = executions};

	cpu_count = cpus;
	frames = frame_count;
	zone_count = zones_wanted;
	rounds = rounds_each;
	weak_explore(&workload);
	host_machine_end();
}

TEST(a_frame_is_found_wherever_it_is)
{
	run("drain: 2 CPUs, 2 frames", take_and_give, 2, 2, 1, 2, 300);
	run("drain: 3 CPUs, 3 frames", take_and_give, 3, 3, 1, 2, 300);
	run("drain: 3 CPUs, 3 frames, 2 zones", take_and_give, 3, 3, 2, 2, 300);
}
