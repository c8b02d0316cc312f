/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_sync.c - the barrier, Concurrency Kit's ring with our fences, and the ring of the trace,
 * on the weak-memory explorer.
 *
 * Covers: sync/barrier.c kernel/diag/trace_ring.c tests/smp/workloads/workloads_handed.c
 */
#include <port.h>

#include <string.h>

#include "kernel/diag/trace_ring.h"
#include "sync/barrier.h"
#include "sync/ck.h"
#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/weak.h"

/* As workloads_handed.c takes it, whose fences order plain accesses of what is handed over, too. */
#pragma push_macro("ck_pr_fence_store")
#pragma push_macro("ck_pr_fence_load")
#undef ck_pr_fence_store
#undef ck_pr_fence_load
#define ck_pr_fence_store ck_pr_fence_release
#define ck_pr_fence_load  ck_pr_fence_acquire
#include <ck_ring.h>
#pragma pop_macro("ck_pr_fence_store")
#pragma pop_macro("ck_pr_fence_load")

#define CPUS 3

static void run(struct weak_workload workload)
{
	host_memory_start(1 << 20, CPUS);
	weak_explore(&workload);
	host_memory_end();
}

/* ---- the barrier ----------------------------------------------------------------------------- */

static struct barrier barrier;
static uint64_t written[CPUS];
static unsigned cpu_count;

static void barrier_setup(void)
{
	barrier_init(&barrier, cpu_count);
	memset(written, 0, sizeof(written));
}

/* In each round a CPU writes its word, and reads those of the others after the barrier. */
static void barrier_work(unsigned cpu)
{
	for (uint64_t round = 1; round <= 2; round++) {
		written[cpu] = round;
		barrier_wait(&barrier);
		for (unsigned other = 0; other < cpu_count; other++)
			if (written[other] != round)
				weak_fail(
					"cpu %u is through in round %llu, and cpu %u has not come",
					cpu, (unsigned long long)round, other);
		barrier_wait(&barrier);
	}
}

TEST(a_barrier_orders_what_is_before_it)
{
	struct weak_workload workload = {.name = "barrier-2",
					 .cpus = 2,
					 .setup = barrier_setup,
					 .work = barrier_work,
					 .all = 20000};

	cpu_count = 2;
	run(workload);
	cpu_count = CPUS;
	workload.name = "barrier-3";
	workload.cpus = CPUS;
	workload.all = 0;
	workload.some = 2000;
	run(workload);
}

/* ---- the ring -------------------------------------------------------------------------------- */

#define SLOTS	 2 /* of which one stays free */
#define MESSAGES 3

static struct ck_ring ring;
static struct ck_ring_buffer slots[SLOTS];
static uint64_t messages[MESSAGES];

static void ring_setup(void)
{
	memset(slots, 0, sizeof(slots));
	memset(messages, 0, sizeof(messages));
	ck_ring_init(&ring, SLOTS);
}

static void ring_work(unsigned cpu)
{
	for (uint64_t i = 0; i < MESSAGES; i++) {
		void *message;

		if (cpu == 0) {
			messages[i] = i + 1;
			while (!ck_ring_enqueue_spsc(&ring, slots, &messages[i]))
				port_relax();
			continue;
		}
		while (!ck_ring_dequeue_spsc(&ring, slots, &message))
			port_relax();
		if (*(uint64_t *)message != i + 1)
			weak_fail("message %llu is another", (unsigned long long)i);
		messages[i] = 0;
	}
}

TEST(a_ring_hands_messages_over)
{
	weak_hint("_ck_ring_enqueue_sp",
		  "a slot is written behind a branch on the consumer's head");
	run((struct weak_workload){
		.name = "ring", .cpus = 2, .setup = ring_setup, .work = ring_work, .some = 3000});
}

/* ---- the ring of the trace ------------------------------------------------------------------- */

#define RECORDS 2
#define EVENTS	5

static struct trace_ring trace;
static struct trace_record records[RECORDS];

static void trace_setup(void)
{
	memset(records, 0, sizeof(records));
	trace_ring_init(&trace, records, RECORDS);
}

/* All words of a record say which event it is of. */
static void trace_work(unsigned cpu)
{
	for (uint64_t i = 0; i < EVENTS; i++) {
		struct trace_record record;

		if (cpu == 0)
			trace_ring_add(&trace, (enum trace_event)0, 0, 10 * i, 100 * i, 1000 * i, 0);
		else if (trace_ring_read(&trace, i, &record) &&
			 (record.a != 10 * i || record.b != 100 * i || record.c != 1000 * i))
			weak_fail("event %llu reads %llu, %llu, %llu", (unsigned long long)i,
				  (unsigned long long)record.a, (unsigned long long)record.b,
				  (unsigned long long)record.c);
	}
}

TEST(a_record_of_the_trace_is_whole_or_refused)
{
	run((struct weak_workload){.name = "trace-ring",
				   .cpus = 2,
				   .setup = trace_setup,
				   .work = trace_work,
				   .some = 10000});
}
