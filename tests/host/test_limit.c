/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: plain tsan */
/*
 * test_limit.c - workloads whose time is over before their ops are done, from the kernel's source.
 *
 * They are asked for more than any host could do, so a workload that does not stop hangs here. When
 * they have stopped, nothing may be left behind, wherever it was: in slots, rings, lots, chains.
 *
 * Covers: tests/smp/workloads/workload.c tests/smp/workloads/workloads*.c
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
#define ENDLESS	   (UINT64_C(1) << 40)

/* Some as long as a few operations, some as long as a round of most. */
#define SHORT_NS 200000
#define LONG_NS	 4000000

static const struct host_range memory[] = {{0x80200, 12 * MIB_FRAMES + 27, 0},
					   {0x84003, 4 * MIB_FRAMES - 27, 1}};

static struct workload_cpu cpu[CPUS_MAX];
static void *heap_lock_memory;

static void start(unsigned cpus, uint32_t capacity)
{
	struct host_machine machine = {.cpus = cpus, .capacity = capacity};

	host_machine_start(&machine, memory, 2);
	for (unsigned i = 0; i < cpus; i++)
		((struct frame_cache *)port_area_of(i))->home = i % zones.count;
	heap_lock_memory = aligned_alloc(64, spin_bytes(cpus));
	kheap_init(machine.lock, heap_lock_memory);
}

static void end(void)
{
	host_machine_end();
	free(heap_lock_memory);
}

static void check_books(const char *workload, uint64_t free_frames)
{
	struct kheap_stats stats;

	kheap_validate();
	kheap_trim();
	kheap_stats(&stats);
	frame_validate();
	if (stats.live_blocks || stats.frames_held || frame_free_count() != free_frames)
		unit_fail(__FILE__, __LINE__,
			  "%s, cut short, leaves %llu blocks and %llu of %llu frames behind",
			  workload, (unsigned long long)stats.live_blocks,
			  (unsigned long long)(free_frames - frame_free_count()),
			  (unsigned long long)free_frames);
}

static uint64_t sum_of_cuts(const struct workload_run *run)
{
	uint64_t cuts = 0;

	for (unsigned i = 0; i < run->cpus; i++)
		cuts += run->cpu[i].cut;
	return cuts;
}

/* The CPUs together may not have freed more than they had allocated. */
static void check_counts(const struct workload_run *run)
{
	uint64_t allocs = 0, frees = 0;

	for (unsigned i = 0; i < run->cpus; i++) {
		allocs += run->cpu[i].allocs;
		frees += run->cpu[i].frees;
	}
	CHECK(frees <= allocs);
}

static void run_cut(const struct workload *workload, unsigned cpus, uint64_t limit_ns)
{
	uint64_t free_frames = frame_free_count();
	struct workload_run run = {.workload = workload,
				   .cpus = cpus,
				   .ops = ENDLESS,
				   .seed = unit_random(),
				   .limit_ns = limit_ns,
				   .stride = unit_random_below(2) ? 1 : WORKLOAD_STRIDE,
				   .cpu = cpu};

	CHECK(workload_execute(&run));
	CHECK(workload_was_cut(&run));
	CHECK(sum_of_cuts(&run) > 0);
	check_counts(&run);
	CHECK(!run.shared);
	smp_host_forget_printed();
	check_books(workload->name, free_frames);
}

static void run_all(unsigned cpus, uint32_t capacity)
{
	start(cpus, capacity);
	for (unsigned i = 0; i < workload_count; i++) {
		run_cut(&workloads[i], cpus, 1);
		for (unsigned n = 0; n < 4; n++)
			run_cut(&workloads[i], cpus, 1 + unit_random_below(SHORT_NS));
		run_cut(&workloads[i], cpus, 1 + unit_random_below(LONG_NS));
	}
	end();
}

TEST(one_cpu_stops)
{
	run_all(1, 192);
	run_all(1, 0);
}

CONCURRENT_TEST(two_cpus_stop)
{
	run_all(2, 192);
	run_all(2, 0);
}

/* One of them without a partner. */
CONCURRENT_TEST(three_cpus_stop)
{
	run_all(3, 192);
}

CONCURRENT_TEST(four_cpus_stop)
{
	run_all(4, 192);
	run_all(4, 0);
}

/* A workload that has done all its ops before its time is over was not cut short. */
CONCURRENT_TEST(done_in_time_is_not_cut)
{
	start(2, 192);
	for (unsigned i = 0; i < workload_count; i++) {
		struct workload_run run = {.workload = &workloads[i],
					   .cpus = 2,
					   .ops = 64,
					   .seed = unit_random(),
					   .limit_ns = UINT64_C(1) << 50,
					   .cpu = cpu};

		CHECK(workload_execute(&run));
		CHECK(!workload_was_cut(&run));
		smp_host_forget_printed();
	}
	end();
}
