/* configure.c - see configure.h. */
#include "kernel/configure.h"

#include "kernel/cpu.h"
#include "kernel/early.h"
#include "kernel/memory.h"
#include "kernel/nodes.h"
#include "kernel/panic.h"
#include "kernel/settings.h"
#include "mm/check.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"

static void *heap_lock;

void configure_reserve(void)
{
	heap_lock = early_alloc(spin_bytes(port_cpu_count()), 64);
}

void configure_first(const struct policy *policy, enum spin_kind lock)
{
	memory_start(policy, lock);
	kheap_init(lock, heap_lock);
}

static uint64_t hart_of(unsigned cpu)
{
	return cpu_of(cpu)->arch.hart_id;
}

static void set_nodes(void)
{
	struct devicetree_error error;

	if (nodes_start(settings.tree, settings.cpus, hart_of, &error))
		return;
	verdict_fail("device tree: %s%s%s (offset %#x)", error.property ? error.property : "",
		     error.property ? ": " : "", error.what, error.offset);
	verdict_end();
}

static void cache_on(void *cpus)
{
	const struct bootargs *arguments = &settings.arguments;
	bool works = port_cpu() < (unsigned)(uintptr_t)cpus;
	uint32_t frames = works ? (uint32_t)arguments->cache_frames : 0;

	frame_cache_configure(frames, frames ? (uint32_t)arguments->batch_frames : 0);
}

static void cache_off(void *unused)
{
	(void)unused;
	frame_cache_configure(0, 0);
}

void configure_cpus(void)
{
	set_nodes();
	cpus_run(cache_on, (void *)(uintptr_t)settings.cpus, settings.cpus);
	frame_drain_set_low(settings.arguments.low_frames);
}

/* What is in caches and in the heap goes back to the zones, and nobody has anything else. */
static void give_all_back(void)
{
	struct kheap_stats stats;

	kheap_trim();
	cpus_run(cache_off, NULL, settings.cpus);
	frame_drain_settle();
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
	give_all_back();
	other_zones = memory_remake(wanted->policy, wanted->lock);
	kheap_init(wanted->lock, heap_lock);
	if (other_zones)
		set_nodes();
	arguments->lock = wanted->lock;
	arguments->cache_frames = wanted->cache_frames;
	arguments->batch_frames = wanted->batch_frames;
	cpus_run(cache_on, (void *)(uintptr_t)wanted->cpus, settings.cpus);
	frame_drain_set_low(arguments->low_frames);
}
