/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heap_machine.h - a machine of one zone whose heap has its front end, for the tests of the heap: one
 * machine at a time, and one program includes it once. The thread runs all CPUs in turn (become()).
 */
#pragma once

#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "unit.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

static void *lock_memory, *front_memory;
static uint64_t frames_at_start;

static inline void become(unsigned cpu)
{
	host_self = &host_cpus[cpu];
}

/* The heap's map covers the frames [first, first + frames). Its memory is not zeroed before. */
static inline void start_front(uint64_t first, uint64_t frames)
{
	size_t bytes = kheap_front_bytes(frames);

	lock_memory = aligned_alloc(PORT_CACHE_LINE, spin_bytes(port_cpu_count()));
	front_memory = aligned_alloc(PORT_CACHE_LINE, bytes);
	memset(front_memory, 0xa5, bytes);
	kheap_init(SPIN_CAS, lock_memory);
	kheap_front_start(front_memory, first, frames);
	frames_at_start = frame_free_count();
}

static inline void start(size_t bytes, unsigned cpus)
{
	host_memory_start(bytes, cpus);
	start_front(zones.zone[0].first, zones.zone[0].total_frames);
}

static inline struct kheap_stats stats_now(void)
{
	struct kheap_stats stats;

	kheap_stats(&stats);
	return stats;
}

static inline void end(void)
{
	host_memory_end();
	free(lock_memory);
	free(front_memory);
}

/* Everything has been freed: after a trim the heap holds nothing and no frame is missing. */
static inline void finish(void)
{
	become(0);
	kheap_validate();
	kheap_trim();
	kheap_validate();
	CHECK_EQ(stats_now().frames_held, 0);
	CHECK_EQ(stats_now().live_blocks, 0);
	CHECK_EQ(stats_now().allocated_bytes, 0);
	CHECK_EQ(stats_now().cached_blocks, 0);
	frame_validate();
	CHECK_EQ(frame_free_count(), frames_at_start);
	end();
}
