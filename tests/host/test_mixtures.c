/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_mixtures.c - every kind of lock with every workload, four cpus in two zones, and caches
 * from none to the largest: little of each, but all of them together.
 *
 * And every policy, with two of the locks. test_stress.c does much more of fewer mixtures. Queue
 * locks on a host with fewer cores than cpus cost a time slice a turn, so memory and operations are
 * few.
 *
 * Covers: mm/global/policies.c mm/frame.c sync/spin_kinds.c tests/smp/workloads/workload.c
 */
#include <stdlib.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/policies.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/workloads/workload.h"
#include "unit.h"

#define CPUS 4
#define OPS  60

/* Odd borders, and so little that an exhaustion is soon over. */
static const struct host_range ranges[] = {{0x80200, 700, 0}, {0x804bd, 389, 1}};

static void run_workload(const struct workload *workload)
{
	static struct workload_cpu cpu[CPUS];
	uint64_t free_frames = frame_free_count();
	struct workload_run run = {
		.workload = workload, .cpus = CPUS, .ops = OPS, .seed = unit_random(), .cpu = cpu};

	smp_host_forget_printed();
	/* Its cpus share a run, which a policy may not find, or not support. */
	if (!workload_execute(&run)) {
		CHECK(!zones.zone[0].policy->exact_runs);
		printf("# no run of frames for %s\n", workload->name);
	}
	kheap_validate();
	kheap_trim();
	frame_validate();
	CHECK_EQ(frame_free_count(), free_frames);
}

static void run_all(const struct policy *policy, enum spin_kind lock, uint32_t capacity,
		    uint32_t batch)
{
	struct host_machine machine = {
		.policy = policy, .lock = lock, .cpus = CPUS, .capacity = capacity, .batch = batch};
	void *lock_memory = aligned_alloc(64, spin_bytes(CPUS));

	host_machine_start(&machine, ranges, 2);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		((struct frame_cache *)port_area_of(cpu))->home = cpu % zones.count;
	kheap_init(lock, lock_memory);
	for (unsigned i = 0; i < workload_count; i++)
		run_workload(&workloads[i]);
	host_machine_end();
	free(lock_memory);
}

static void run_kind(enum spin_kind lock)
{
	run_all(policies[0], lock, 0, 0);
	run_all(policies[0], lock, 2, 1);
	run_all(policies[0], lock, 192, 64);
	run_all(policies[0], lock, FRAME_CACHE_CAPACITY_MAX, 0);
}

#define KIND_TEST(name, kind)                                                                      \
	CONCURRENT_TEST(name##_with_every_workload)                                                \
	{                                                                                          \
		run_kind(kind);                                                                    \
	}

KIND_TEST(fas, SPIN_FAS)
KIND_TEST(cas, SPIN_CAS)
KIND_TEST(dec, SPIN_DEC)
KIND_TEST(ticket, SPIN_TICKET)
KIND_TEST(mcs, SPIN_MCS)
KIND_TEST(clh, SPIN_CLH)
KIND_TEST(anderson, SPIN_ANDERSON)
KIND_TEST(ticket_pb, SPIN_TICKET_PB)
KIND_TEST(cohort, SPIN_COHORT)
KIND_TEST(qspinlock, SPIN_QSPINLOCK)
KIND_TEST(reciprocating, SPIN_RECIPROCATING)
KIND_TEST(hclh, SPIN_HCLH)

CONCURRENT_TEST(every_policy_with_every_workload)
{
	for (unsigned i = 1; i < policy_count; i++) {
		printf("# %s\n", policies[i]->name);
		run_all(policies[i], SPIN_TICKET, 0, 0);
		run_all(policies[i], SPIN_MCS, 192, 64);
	}
}
