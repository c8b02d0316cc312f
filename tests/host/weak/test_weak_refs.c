/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_refs.c - reference counts of shared frames on the weak-memory explorer, by themselves: here no
 * lock and no flush orders what the owners of a frame do.
 *
 * Covers: mm/paging/refcount.c
 */
#include <port.h>

#include "mm/frame.h"
#include "mm/paging/refcount.h"
#include "sync/ck.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/weak.h"

#define CPUS 3

static struct frame_refs refs;
static pfn_t shared, own[CPUS];

static void setup(void)
{
	struct host_machine machine = {.cpus = CPUS, .lock = SPIN_FAS};
	struct host_range range = {0x80200, 64, 0};

	if (host_cpus)
		host_machine_end();
	host_machine_start(&machine, &range, 1);
	if (!frame_refs_init(&refs, 0x80200, 64))
		weak_fail("no memory");
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		own[cpu] = frame_alloc(0);
}

/* As a change does: with more frames for counts when the reserve was short. */
static void share(pfn_t frame)
{
	struct page_reserve reserve;
	enum page_status status;

	page_reserve_init(&reserve);
	do
		status = frame_refs_share(&refs, frame, 1, &reserve) ? PAGE_OK : PAGE_SHORT;
	while (page_reserve_refill(&reserve, &status));
	if (status != PAGE_OK)
		weak_fail("frame %#llx cannot be shared", (unsigned long long)frame.value);
}

static uint64_t *word_of(pfn_t frame)
{
	return (uint64_t *)frame_bytes(frame);
}

/* ---- the last owner -------------------------------------------------------------------------- */

static void setup_shared(void)
{
	setup();
	shared = own[0];
	*word_of(shared) = 7;
	share(shared);
	share(shared);
}

/* Each owner reads the frame, and gives its reference up. The last one may write. */
static void read_and_drop(unsigned cpu)
{
	if (*word_of(shared) != 7)
		weak_fail("the frame is cpu %u's, and another has written to it", cpu);
	if (frame_refs_drop(&refs, shared))
		*word_of(shared) = cpu;
}

/* The other owners give theirs up. CPU 0 waits until it is the only one, and writes. */
static void wait_to_be_alone(unsigned cpu)
{
	if (cpu) {
		read_and_drop(cpu);
		return;
	}
	while (frame_refs_count(&refs, shared) != 1)
		port_relax();
	*word_of(shared) = 0;
}

/* ---- new counts ------------------------------------------------------------------------------ */

/* The counts of all these frames are in one frame, which the first CPU makes. */
static void share_at_once(unsigned cpu)
{
	share(own[cpu]);
	share(own[cpu]);
	if (frame_refs_count(&refs, own[cpu]) != 3)
		weak_fail("cpu %u has shared its frame twice, and the count is %llu", cpu,
			  (unsigned long long)frame_refs_count(&refs, own[cpu]));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void run(const char *name, void (*start)(void), void (*work)(unsigned cpu),
		uint64_t executions)
{
	struct weak_workload workload = {
		.name = name, .cpus = CPUS, .setup = start, .work = work, .some = executions};

	weak_explore(&workload);
	if (host_cpus)
		host_machine_end();
}

TEST(the_last_owner_comes_after_all_others)
{
	run("refs-drop", setup_shared, read_and_drop, 1000);
	run("refs-alone", setup_shared, wait_to_be_alone, 1000);
}

TEST(counts_are_zero_before_they_can_be_found)
{
	run("refs-new", setup, share_at_once, 500);
}
