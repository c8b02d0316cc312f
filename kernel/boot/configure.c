/* SPDX-License-Identifier: BSD-2-Clause */
/* configure.c - see configure.h. */
#include "kernel/boot/configure.h"

#include "kernel/smp/cpu.h"
#include "kernel/boot/early.h"
#include "kernel/boot/heap_debug.h"
#include "kernel/vm/kernel_space.h"
#include "kernel/boot/memory.h"
#include "kernel/boot/nodes.h"
#include "kernel/diag/panic.h"
#include "kernel/settings.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/frame_debug.h"
#include "mm/heap/debug.h"
#include "mm/heap/kheap.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"

static void *heap_lock, *heap_matrix, *heap_front, *frame_notes;
static uint64_t front_first, front_frames;
static unsigned working; /* cpus 0..working-1 may allocate; the others are off line */

/* 64 GiB: the map is 128 MiB then. What is behind it serves blocks without slabs. */
#define FRONT_FRAMES_MAX (UINT64_C(1) << 24)

/* All RAM, or the largest range of it where RAM is far apart: a frame needs a word of the map. */
static void choose_front(void)
{
	uint64_t start, end, low = 0, high = 0, largest = 0;

	for (unsigned i = 0; memory_ram_range(i, &start, &end); i++) {
		uint64_t frames = (end >> FRAME_SHIFT) - (start >> FRAME_SHIFT);

		if (i == 0)
			low = start >> FRAME_SHIFT;
		high = end >> FRAME_SHIFT;
		if (frames <= largest)
			continue;
		largest = frames;
		front_first = start >> FRAME_SHIFT;
		front_frames = frames;
	}
	if (high - low <= 2 * memory_ram_frames()) {
		front_first = low;
		front_frames = high - low;
	}
	if (front_frames > FRONT_FRAMES_MAX)
		front_frames = FRONT_FRAMES_MAX;
}

void configure_reserve(void)
{
	choose_front();
	heap_front = early_alloc(heap_debug_is_wanted() ? kheap_debug_bytes(front_frames)
							: kheap_front_bytes(front_frames),
				 64);
	heap_lock = early_alloc(spin_bytes(port_cpu_count()), 64);
	if (settings.arguments.frame_debug)
		frame_notes = early_alloc(frame_debug_bytes(front_frames), 64);
	heap_matrix = early_alloc(wait_matrix_bytes(port_cpu_count()), 64);
}

static void make_heap(enum spin_kind lock)
{
	kheap_init(lock, heap_lock);
	wait_matrix_start(kheap_lock(), heap_matrix);
	if (heap_debug_is_wanted())
		heap_debug_start(heap_front, front_first, front_frames);
	else if (settings.arguments.heap == BOOTARGS_HEAP_SLABS)
		kheap_front_start(heap_front, front_first, front_frames);
}

_Static_assert(1 << BOOTARGS_FRAMEDEBUG_POISON == FRAME_DEBUG_POISON &&
		       1 << BOOTARGS_FRAMEDEBUG_OWNERS == FRAME_DEBUG_OWNERS,
	       "one order of what is watched of frames");

/* Of the frames that the heap's map covers. What was noted of other zones is forgotten. */
static void watch_frames(void)
{
	if (frame_notes)
		frame_debug_start((unsigned)settings.arguments.frame_debug, frame_notes,
				  front_first, front_frames);
}

void configure_first(const struct policy *policy, enum spin_kind lock)
{
	frame_cache_bypass = bootargs_bypass_caches(&settings.arguments);
	watch_frames();
	memory_start(policy, lock);
	make_heap(lock);
}

static uint64_t hart_of(unsigned cpu)
{
	return cpu_of(cpu)->arch.hart_id;
}

static void set_nodes(void)
{
	struct devicetree_error error;
	char text[128];

	if (nodes_start(settings.tree, settings.cpus, hart_of, &error)) {
		for (unsigned cpu = 0; cpu < settings.cpus; cpu++)
			cpu_of(cpu)->arch.group = nodes_group_of(cpu, settings.cpus);
		return;
	}
	devicetree_error_text(&error, text, sizeof(text));
	verdict_fail("device tree: %s", text);
	verdict_end();
}

static void cache_on(void *unused)
{
	const struct bootargs *arguments = &settings.arguments;
	uint32_t frames = (uint32_t)arguments->cache_frames;

	(void)unused;
	frame_cache_configure(frames, frames ? (uint32_t)arguments->batch_frames : 0);
}

/*
 * A cpu without a part in what is measured goes off line: no IPI goes to it, no cpu waits for it.
 */
static void cache_off(void *stay)
{
	frame_cache_configure(0, 0);
	if (port_cpu() >= (unsigned)(uintptr_t)stay) {
		unsigned long flags = port_irq_save();

		frame_cache_offline();
		port_irq_restore(flags);
	}
}

void configure_cpus(void)
{
	set_nodes();
	working = settings.cpus;
	cpus_run(cache_on, NULL, working);
	frame_drain_set_low(settings.arguments.low_frames);
}

void configure_bypass(bool bypass)
{
	frame_cache_bypass = bypass || bootargs_bypass_caches(&settings.arguments);
	cpus_run(cache_on, NULL, working);
}

/* The caches of all cpus that work, with nothing in them; seen at rest. */
static bool caches_are_off(void)
{
	for (unsigned cpu = 0; cpu < working; cpu++) {
		const struct frame_cache *cache = port_area_of(cpu);

		if (cache->capacity || frame_cache_level(cache))
			return false;
	}
	return true;
}

/*
 * All frames in caches and in the heap go back to the zones; all other frames are there already. A
 * cpu that a low mark still asks for frames has none to give, and touches no zone.
 */
static void give_all_back(unsigned stay)
{
	struct kheap_stats stats;

	kheap_trim();
	if (working > stay || !caches_are_off())
		cpus_run(cache_off, (void *)(uintptr_t)stay, working);
	kheap_stats(&stats);
	check(stats.frames_held == 0,
	      "configure: the heap still holds %llu frames, %llu blocks of it are not freed",
	      (unsigned long long)stats.frames_held, (unsigned long long)stats.live_blocks);
	check(frame_cached_count() == 0, "configure: %llu frames are in caches that are off",
	      (unsigned long long)frame_cached_count());
}

void configure(const struct configuration *wanted)
{
	struct bootargs *arguments = &settings.arguments;
	bool other_zones;

	check(wanted->lock != SPIN_NONE || wanted->cpus == 1, "configure: no lock for %u cpus",
	      wanted->cpus);
	kernel_space_off(); /* its tables are in the old zones */
	give_all_back(wanted->cpus);
	watch_frames();
	other_zones = memory_remake(wanted->policy, wanted->lock);
	make_heap(wanted->lock);
	if (other_zones)
		set_nodes();
	arguments->lock = wanted->lock;
	arguments->cache_frames = wanted->cache_frames;
	arguments->batch_frames = wanted->batch_frames;
	working = wanted->cpus;
	cpus_run(cache_on, NULL, working);
	frame_drain_set_low(arguments->low_frames);
	if (arguments->paging == BOOTARGS_PAGING_ON)
		kernel_space_on();
}
