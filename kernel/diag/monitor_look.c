/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor_look.c - commands of the monitor that look at frames, zones, cpus and the heap. They read
 * while cpus go on: the figures of one line may be of different moments.
 */
#include <inttypes.h>
#include <stdio.h>

#include "kernel/diag/heap_leaks.h"
#include "kernel/diag/heap_report.h"
#include "kernel/diag/monitor.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/debug.h"
#include "mm/heap/kmalloc.h"

bool monitor_all_cpus_run(const char *what)
{
	for (unsigned i = 0; i < settings.cpus; i++) {
		if (cpu_is_stopped(i)) {
			printf("cpu %u is stopped: %s is on all of them\n", i, what);
			return false;
		}
	}
	return true;
}

const char *monitor_cpu_value(unsigned number)
{
	static char text[12];

	if (number >= settings.cpus)
		return NULL;
	snprintf(text, sizeof(text), "%u", number);
	return text;
}

void monitor_print_ledger(void)
{
	struct frame_ledger ledger;

	frame_ledger(&ledger);
	printf("total %" PRIu64 " = reserved %" PRIu64 " + free %" PRIu64 " + cached %" PRIu64
	       " (at most %" PRIu64 ") + in flight %" PRIu64 " + allocated %" PRIu64 "\n",
	       ledger.total, ledger.reserved, ledger.free, ledger.cached, ledger.cached_max,
	       ledger.in_flight, ledger.allocated);
}

static void do_ledger(const struct monitor_words *words)
{
	(void)words;
	monitor_print_ledger();
}

static const struct monitor_command ledger_command = {
	.name = "ledger",
	.arguments = "",
	.help = "where all frames are, this moment",
	.more = "In frames of 4 KiB. Reserved are the zones' tables; in flight is what moves "
		"between a "
		"cache and a zone.\n",
	.run = do_ledger,
};
MONITOR_COMMAND(11, ledger_command);

static void do_zones(const struct monitor_words *words)
{
	(void)words;
	printf("%-8s %4s %-14s %18s %10s %10s %10s\n", "zone", "node", "policy", "first frame",
	       "total", "reserved", "free");
	for (unsigned i = 0; i < zones.count; i++) {
		const struct zone *zone = &zones.zone[i];

		printf("%-8s %4u %-14s %#18" PRIx64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 "\n",
		       zone->name, zone->node, zone->policy->name, zone->first, zone->total_frames,
		       zone->reserved_frames, zone_free_frames(zone));
	}
	printf("%-8s %10s %10s %12s\n", "zone", "low mark", "releases", "early drains");
	for (unsigned i = 0; i < zones.count; i++) {
		const struct zone *zone = &zones.zone[i];

		printf("%-8s %10" PRIu64 " %10" PRIu64 " %12" PRIu64 "\n", zone->name, zone->low,
		       zone_releases(zone), zone->early_drains);
	}
}

static const struct monitor_command zones_command = {
	.name = "zones",
	.arguments = "",
	.help = "each zone's frames, mark and releases",
	.more = "In frames of 4 KiB; free is what is in the zone itself, and not in caches. A "
		"release is "
		"one hold of the\n"
		"lock that gave frames back. Below the low mark cpus are asked for their cached "
		"frames: "
		"an early drain.\n",
	.run = do_zones,
};
MONITOR_COMMAND(12, zones_command);

static void do_cpus(const struct monitor_words *words)
{
	(void)words;
	printf("%-4s %6s %5s %-8s %15s %10s\n", "cpu", "hart", "node", "state", "cached, frames",
	       "failures");
	for (unsigned i = 0; i < settings.cpus; i++) {
		const struct frame_cache *cache = port_area_of(i);

		printf("%-4u %6" PRIu64 " %5u %-8s %15" PRIu64 " %10" PRIu64 "\n", i,
		       cpu_of(i)->arch.hart_id, cache->node, cpu_is_stopped(i) ? "stopped" : "runs",
		       frame_cache_level(cache), counter_read(&cache->stats.failures));
	}
}

static const struct monitor_command cpus_command = {
	.name = "cpus",
	.arguments = "",
	.help = "each cpu's hart, node, state and frames",
	.more = "Failures are allocations that found no frame.\n",
	.run = do_cpus,
};
MONITOR_COMMAND(14, cpus_command);

static const char *state_of(const struct frame_cache *cache)
{
	static const char *const names[] = {[FRAME_CACHE_OPEN] = "open",
					    [FRAME_CACHE_CLOSING] = "closing",
					    [FRAME_CACHE_PARKED] = "parked"};

	return cache->capacity ? names[*(const volatile uint32_t *)&cache->state] : "off";
}

static void do_caches(const struct monitor_words *words)
{
	(void)words;
	printf("%-4s %-7s %7s %7s %6s %9s %9s %9s %9s %7s\n", "cpu", "state", "frames", "at most",
	       "batch", "refills", "flushes", "direct", "far", "drains");
	for (unsigned i = 0; i < settings.cpus; i++) {
		const struct frame_cache *cache = port_area_of(i);
		const struct frame_cache_stats *stats = &cache->stats;

		printf("%-4u %-7s %7" PRIu64 " %7u %6u %9" PRIu64 " %9" PRIu64 " %9" PRIu64
		       " %9" PRIu64 " %7" PRIu64 "\n",
		       i, state_of(cache), frame_cache_level(cache), cache->capacity, cache->batch,
		       counter_read(&stats->refills), counter_read(&stats->flushes),
		       counter_read(&stats->direct_allocs) + counter_read(&stats->direct_frees),
		       counter_read(&stats->far_frames), counter_read(&stats->drains));
	}
}

static const struct monitor_command caches_command = {
	.name = "caches",
	.arguments = "",
	.help = "each cpu's cache of frames: what it holds and moves",
	.more = "frames, at most, batch, far: frames. refills, flushes: holds of a zone's lock "
		"that moved a "
		"batch;\n"
		"direct: single frames past the cache; far: frames of another NUMA node; drains: "
		"requests "
		"to all cpus.\n",
	.run = do_caches,
};
MONITOR_COMMAND(15, caches_command);

static void do_heap(const struct monitor_words *words)
{
	struct kheap_stats stats;

	(void)words;
	kheap_stats(&stats);
	printf("%" PRIu64 " live blocks of %" PRIu64 " bytes, in %" PRIu64
	       " frames: arenas %" PRIu64 ", slabs %" PRIu64 ", runs %" PRIu64 ", tables %" PRIu64
	       "; %" PRIu64 " free blocks on stacks\n",
	       stats.live_blocks, stats.allocated_bytes, stats.frames_held, stats.arena_frames,
	       stats.slab_frames, stats.run_frames, stats.metadata_frames, stats.cached_blocks);
	heap_report_now();
}

static const struct monitor_command heap_command = {
	.name = "heap",
	.arguments = "",
	.help = "the heap's frames; each size class: its slabs, blocks, and what is lost in them",
	.more = "class: bytes of a block. live, cached, free: blocks, used, on the cpus' stacks, "
		"and in "
		"slabs. Lost is what\n"
		"a slab has behind its last block, and its record.\n",
	.run = do_heap,
};
MONITOR_COMMAND(16, heap_command);

static void do_leaks(const struct monitor_words *words)
{
	(void)words;
	if (kheap_debug_words())
		heap_leaks();
	else
		printf("the heap knows no call sites: heapdebug= is off\n");
}

static const struct monitor_command leaks_command = {
	.name = "leaks",
	.arguments = "",
	.help = "live blocks by call site, with heapdebug=leaks",
	.more = "Checks all blocks first, and panics if one was written beyond its end or after "
		"its free.\n",
	.run = do_leaks,
};
MONITOR_COMMAND(17, leaks_command);
