/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain checks0 tsan */
/*
 * test_stress.c - the kernel's workloads, from the same source, with threads for cpus.
 *
 * Every frame carries its owner's stamp and every block its pattern
 * (tests/smp/workloads/workloads.h), so what one cpu breaks for another panics there. Here all
 * counts are checked after each run.
 *
 * Covers: mm/frame.c mm/heap/kmalloc.c mm/heap/front.c mm/percpu/ tests/smp/workloads/workloads_*.c
 */
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/workloads/workload.h"
#include "unit.h"

#define CPUS_MAX   4
#define MIB_FRAMES (UINT64_C(1 << 20) >> FRAME_SHIFT)

/* Of the kernel's number of operations: a host under its sanitizers has seconds, not minutes. */
#if defined(__SANITIZE_THREAD__)
#define OPS_DIVISOR 32
#else
#define OPS_DIVISOR 8
#endif

struct memory {
	unsigned count;
	struct host_range range[2];
};

static const struct memory memory_32m = {1, {{0x80200, 32 * MIB_FRAMES, 0}}};

/* Two zones with odd borders, so that frames cross from cpu to cpu and from zone to zone. */
static const struct memory memory_64m = {
	2, {{0x80200, 40 * MIB_FRAMES + 27, 0}, {0x84003, 24 * MIB_FRAMES - 27, 1}}};

static void *heap_lock_memory, *heap_front;

static void start(const struct memory *memory, enum spin_kind lock, unsigned cpus, uint32_t capacity)
{
	struct host_machine machine = {.lock = lock, .cpus = cpus, .capacity = capacity};
	const struct host_range *last = &memory->range[memory->count - 1];
	uint64_t first, frames;

	host_machine_start(&machine, memory->range, memory->count);
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		((struct frame_cache *)port_area_of(cpu))->home = cpu % zones.count;
	heap_lock_memory = aligned_alloc(64, spin_bytes(cpus));
	kheap_init(lock, heap_lock_memory);
	first = memory->range[0].first;
	frames = last->first + last->count - first;
	heap_front = aligned_alloc(PORT_CACHE_LINE, kheap_front_bytes(frames));
	kheap_front_start(heap_front, first, frames);
}

static void end(void)
{
	host_machine_end();
	free(heap_lock_memory);
	free(heap_front);
}

static void check_books(uint64_t free_frames)
{
	struct kheap_stats stats;

	kheap_validate();
	kheap_trim();
	kheap_stats(&stats);
	CHECK_EQ(stats.frames_held, 0);
	CHECK_EQ(stats.live_blocks, 0);
	frame_validate();
	CHECK_EQ(frame_free_count(), free_frames);
}

/* The counts of the workloads must add up too: a run that did nothing proves nothing. */
static void check_work(const struct workload_run *run)
{
	uint64_t allocs = 0, frees = 0;

	for (unsigned cpu = 0; cpu < run->cpus; cpu++) {
		allocs += run->cpu[cpu].allocs;
		frees += run->cpu[cpu].frees;
		CHECK(run->cpu[cpu].end_ns >= run->cpu[cpu].start_ns);
	}
	CHECK(allocs > 0);
	CHECK_EQ(frees, run->workload->is_lock_alone ? 0 : allocs);
	CHECK(!run->shared && !run->lock);
}

/* A grade of waits, and their numbers, where they are the locks' own doing; else neither. */
static void check_waits_printed(const char *printed, bool are_measurable)
{
	bool graded = strstr(printed, "\ntest1 OK\n") || strstr(printed, "\ntest1 FAIL\n");

	CHECK_EQ(graded, are_measurable);
	CHECK_EQ(strstr(printed, "\ntest1 NOT MEASURABLE: ") != NULL, !are_measurable);
	CHECK_EQ(strstr(printed, "\ntot= ") != NULL, are_measurable);
	for (const char *at = printed; (at = strstr(at, ": #test-and-set "));) {
		at += strlen(": #test-and-set ");
		CHECK_EQ(*at >= '0' && *at <= '9', are_measurable);
	}
}

/* A workload that prints says at the end that all pages were found again. */
static void check_printed(const struct workload *workload, bool waits_are_measurable)
{
	const char *printed = smp_host_printed();

	CHECK_EQ(workload->prints, printed[0] != 0);
	if (workload->prints) {
		check_waits_printed(printed, waits_are_measurable);
		CHECK(strstr(printed, "\n.....\ntest2 OK\n"));
	}
	smp_host_forget_printed();
}

static void run_workload(const struct workload *workload, unsigned cpus)
{
	static struct workload_cpu cpu[CPUS_MAX];
	static bool waits_are_measurable;
	uint64_t free_frames = frame_free_count();
	struct workload_run run = {.workload = workload,
				   .cpus = cpus,
				   .ops = workload->ops / OPS_DIVISOR + 1,
				   .seed = unit_random(),
				   .cpu = cpu};

	waits_are_measurable = !waits_are_measurable;
	smp_host_set_waits_measurable(waits_are_measurable);
	CHECK(workload_execute(&run));
	check_work(&run);
	check_printed(workload, waits_are_measurable);
	check_books(free_frames);
}

/*
 * Each start takes the next kind of lock. Queue locks are for as many cpus as the host has cores:
 * their next owner may be a thread that is not running, and each turn then costs a time slice.
 */
static enum spin_kind next_lock(unsigned cpus)
{
	static unsigned starts;

	return (enum spin_kind)(starts++ % (cpus > 2 ? SPIN_TICKET : SPIN_KINDS));
}

static void run_all(const struct memory *memory, unsigned cpus, uint32_t capacity)
{
	start(memory, next_lock(cpus), cpus, capacity);
	for (unsigned i = 0; i < workload_count; i++)
		run_workload(&workloads[i], cpus);
	end();
}

static void run_both(unsigned cpus, uint32_t capacity)
{
	run_all(&memory_32m, cpus, capacity);
	run_all(&memory_64m, cpus, capacity);
}

TEST(one_cpu_with_a_cache)
{
	run_both(1, 192);
}

TEST(one_cpu_without_a_cache)
{
	run_both(1, 0);
}

CONCURRENT_TEST(two_cpus_with_caches)
{
	run_both(2, 192);
}

CONCURRENT_TEST(two_cpus_without_caches)
{
	run_both(2, 0);
}

CONCURRENT_TEST(four_cpus_with_caches)
{
	run_both(4, 192);
}

CONCURRENT_TEST(four_cpus_without_caches)
{
	run_both(4, 0);
}

/* There is room for a batch to grow, and with this many CPUs it does. */
CONCURRENT_TEST(four_cpus_with_adaptive_caches)
{
	run_both(4, FRAME_CACHE_CAPACITY_MAX);
}

/* Workloads run on fewer cpus than there are; the others' caches stay as they were. */
CONCURRENT_TEST(two_of_four_cpus)
{
	start(&memory_32m, SPIN_FAS, 4, 192);
	for (unsigned i = 0; i < workload_count; i++)
		run_workload(&workloads[i], 2);
	for (unsigned cpu = 2; cpu < 4; cpu++)
		CHECK_EQ(frame_cache_level(port_area_of(cpu)), 0);
	end();
}
