/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * setup.c - gives mm/ its memory and its caches, in the order that docs/porting.md lists.
 *
 * Only set-up code includes mm/global/: those headers bring in the spinlocks.
 */
#include "setup.h"

#include <stdlib.h>
#include <string.h>

#include "mm/frame.h"
#include "mm/global/segment_tree.h"
#include "mm/global/zone.h"
#include "mm/percpu/drain.h"

/* Two batches of 64 frames, and 64 that a refill may bring beyond its batch. */
#define SLOTS 192

_Static_assert(sizeof(struct frame_cache) <= sizeof(((struct demo_cpu *)0)->area),
	       "struct demo_cpu: area too small");

static struct zone zone_table[1];

static void *aligned(size_t align, size_t bytes)
{
	void *memory = aligned_alloc(align, (bytes + align - 1) & ~(align - 1));

	if (!memory)
		port_panic("no memory for %zu bytes", bytes);
	return memory;
}

void *demo_zeroed(uint64_t bytes)
{
	return memset(aligned(PORT_CACHE_LINE, bytes), 0, bytes);
}

void demo_start(unsigned cpus, uint64_t frames)
{
	/* 1. Areas, and the number of cpus. */
	demo_cpu_count = cpus;
	demo_cpus = demo_zeroed(cpus * sizeof(*demo_cpus));
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		demo_cpus[cpu].number = cpu;
	demo_self = &demo_cpus[0];

	/* 2. Zones: one, of all RAM. */
	demo_memory = aligned(FRAME_SIZE, frames * FRAME_SIZE);
	zones.zone = zone_table;
	zones.count = zone_init(&zone_table[0], 0, 0, DEMO_BASE >> FRAME_SHIFT, frames,
				&segment_tree_policy, SPIN_FAS);
	if (zones.count == 0)
		port_panic("%llu frames are too few for a zone", (unsigned long long)frames);

	/* 3. The memory of each cpu's cache. */
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		frame_cache_init(port_area_of(cpu), demo_zeroed(frame_cache_bytes(SLOTS, zones.count)),
				 SLOTS, zone_largest());

	/* 5. This cpu takes part; the others do so in demo_cpu_enter(). */
	frame_cache_configure(SLOTS, 0);
}

void demo_cpu_enter(unsigned number)
{
	demo_self = &demo_cpus[number];
	frame_cache_configure(SLOTS, 0);
}

void demo_cpu_leave(void)
{
	frame_cache_offline();
}
