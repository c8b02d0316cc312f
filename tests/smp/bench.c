/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.c - run=bench: exact instruction counts where the machine can count, ratios where not.
 * docs/measuring.md explains every figure. Where the boot arguments ask for a sweep, it runs
 * instead (sweep.c).
 *
 * Two kinds of figure. Instructions, counted by instret: exact, and the same on every host, where
 * the counter counts instructions (QEMU under -icount). Nanoseconds, from runs of all cpus at
 * once: worth something only against another figure of the same boot, and only when the host gave
 * every cpu a core, which cores_for_all() finds out.
 */
#include <stdio.h>
#include <string.h>

#include "arch/riscv/csr.h"
#include "kernel/diag/panic.h"
#include "kernel/diag/record.h"
#include "kernel/diag/timing.h"
#include "kernel/program.h"
#include "kernel/program_memory.h"
#include "kernel/settings.h"
#include "mm/frame.h"
#include "mm/global/zone.h"
#include "mm/heap/kmalloc.h"
#include "tests/smp/bench_heap.h"
#include "tests/smp/bench_paging.h"
#include "tests/smp/bench_tree.h"
#include "tests/smp/classic.h"
#include "tests/smp/random.h"

#define PAIRS	    10000
#define BULK_FRAMES 4096
#define RUN_FRAMES  512

/* ---- printing ----------------------------------------------------------------------------- */

/* hundredths: the value in hundredths of its unit. */
void bench_report(const char *name, uint64_t hundredths, const char *unit, unsigned cpus, bool valid)
{
	printf("  %-32s %8llu.%02llu %-12s %u cpu%s%s\n", name,
	       (unsigned long long)(hundredths / 100), (unsigned long long)(hundredths % 100), unit,
	       cpus, cpus == 1 ? "" : "s", valid ? "" : "  NOT MEASURABLE");
	record_begin("bench");
	record_string("bench", name);
	record_fraction("value", hundredths, 2);
	record_string("unit", unit);
	record_number("cpus", cpus);
	record_number("checks", CHECKS);
	record_number("zbb", SETTINGS_ZBB);
	record_bool("valid", valid);
	record_end();
}

static uint64_t hundredths(uint64_t total, uint64_t count)
{
	return (total * 100 + count / 2) / count;
}

static void report(const char *name, uint64_t hundredths, const char *unit, unsigned cpus,
		   bool valid)
{
	bench_report(name, hundredths, unit, cpus, valid);
}

/* ---- instructions ------------------------------------------------------------------------- */

static uint64_t instructions(void)
{
	return csr_read(instret);
}

static uint64_t empty_loop(void)
{
	uint64_t start = instructions();

	for (unsigned i = 0; i < PAIRS; i++)
		__asm__ volatile("" ::: "memory");
	return instructions() - start;
}

static void bench_pairs(void)
{
	uint64_t empty = empty_loop(), start;

	frame_free(frame_alloc(FRAME_ANY)); /* so that the first of the loop hits as well */
	start = instructions();
	for (unsigned i = 0; i < PAIRS; i++)
		frame_free(frame_alloc(FRAME_ANY));
	report("pair_inlined", hundredths(instructions() - start - empty, PAIRS), "instructions", 1,
	       true);
	start = instructions();
	for (unsigned i = 0; i < PAIRS; i++)
		frame_free_called(frame_alloc_called());
	report("pair_called", hundredths(instructions() - start - empty, PAIRS), "instructions", 1,
	       true);
}

/*
 * The same loop with the cache off: each operation is a hold of a zone's lock. The mode changes after the
 * cache was configured, as in the rounds of a sweep.
 */
static void bench_uncached(const char *name, enum spin_stats_mode mode)
{
	uint64_t empty = empty_loop(), start;

	frame_cache_configure(0, 0);
	spin_stats_configure(mode);
	frame_free(
		frame_alloc(FRAME_ANY)); /* so that the lowest word is not full, as nearly always */
	start = instructions();
	for (unsigned i = 0; i < PAIRS; i++)
		frame_free(frame_alloc(FRAME_ANY));
	report(name, hundredths(instructions() - start - empty, PAIRS), "instructions", 1, true);
	spin_stats_configure((enum spin_stats_mode)settings.arguments.lockstat);
	frame_cache_configure((uint32_t)settings.arguments.cache_frames,
			      (uint32_t)settings.arguments.batch_frames);
}

/* A run of a chunk, and its free, with all that the checks do for it. */
static void bench_runs(void)
{
	uint64_t empty = empty_loop(), start;
	pfn_t run = frame_alloc_run(RUN_FRAMES, RUN_FRAMES);

	if (pfn_is_none(run)) {
		printf("  run_512_pair: NOT MEASURABLE: no run of %u frames is to be had of %s\n",
		       RUN_FRAMES, zones.zone[0].policy->name);
		return;
	}
	frame_free_run(run, RUN_FRAMES);
	start = instructions();
	for (unsigned i = 0; i < PAIRS; i++)
		frame_free_run(frame_alloc_run(RUN_FRAMES, RUN_FRAMES), RUN_FRAMES);
	report("run_512_pair", hundredths(instructions() - start - empty, PAIRS), "instructions", 1,
	       true);
}

/* The C library's functions for memory, as the kernel is linked: a page, aligned and not. */
static void bench_memory(void)
{
	size_t mark = program_memory_mark();
	char *to = program_memory_need(4 * FRAME_SIZE, "two blocks to copy between");
	char *from = to + 2 * FRAME_SIZE;
	uint64_t start;

	start = instructions();
	memset(to, 1, FRAME_SIZE);
	report("memset_4096", (instructions() - start) * 100, "instructions", 1, true);
	start = instructions();
	memcpy(to, from, FRAME_SIZE);
	report("memcpy_4096", (instructions() - start) * 100, "instructions", 1, true);
	start = instructions();
	memcpy(to, from + 3, FRAME_SIZE);
	report("memcpy_4096_unaligned", (instructions() - start) * 100, "instructions", 1, true);
	start = instructions();
	memmove(from + 8, from, FRAME_SIZE);
	report("memmove_4096_overlap", (instructions() - start) * 100, "instructions", 1, true);
	program_memory_release(mark);
}

static pfn_t bulk[BULK_FRAMES];

static uint64_t bulk_instructions(void)
{
	uint64_t start = instructions();

	for (unsigned i = 0; i < BULK_FRAMES; i++)
		bulk[i] = frame_alloc(FRAME_ANY);
	for (unsigned i = 0; i < BULK_FRAMES; i++)
		frame_free(bulk[i]);
	return instructions() - start;
}

/* The second of two rounds: the first leaves the cache as any round leaves it. */
static void bench_bulk(const char *name, enum spin_stats_mode mode)
{
	uint64_t total;

	spin_stats_configure(mode);
	bulk_instructions();
	total = bulk_instructions();
	spin_stats_configure((enum spin_stats_mode)settings.arguments.lockstat);
	report(name, hundredths(total, BULK_FRAMES), "instructions", 1, true);
}

/* ---- one batch of four quarter-full words -------------------------------------------------- */

/* All of memory, chained through the frames, but for those that `keeps` wants back. */
static pfn_t take_all(void)
{
	pfn_t newest = PFN_NONE, frame;

	while (!pfn_is_none(frame = frame_alloc(FRAME_ANY))) {
		*(pfn_t *)frame_bytes(frame) = newest;
		newest = frame;
	}
	return newest;
}

/* Frees every frame of the chain whose number is `remainder` modulo `every`; returns the rest. */
static pfn_t free_some(pfn_t chain, uint64_t every, uint64_t remainder)
{
	pfn_t rest = PFN_NONE;

	while (!pfn_is_none(chain)) {
		pfn_t frame = chain;

		chain = *(pfn_t *)frame_bytes(frame);
		if (frame.value % every == remainder) {
			frame_free(frame);
			continue;
		}
		*(pfn_t *)frame_bytes(frame) = rest;
		rest = frame;
	}
	return rest;
}

static uint64_t longest_hold(void)
{
	uint64_t ticks = 0;

	for (unsigned i = 0; i < zones.count; i++) {
		struct spin_stats stats = {0};

		spin_stats_add(&zones.zone[i].lock, &stats);
		if (stats.hold.ticks_max > ticks)
			ticks = stats.hold.ticks_max;
		spin_stats_reset(&zones.zone[i].lock);
	}
	return ticks;
}

/*
 * Every fourth frame of all memory is free: 16 in each word, so a batch of 64 is four words. The
 * clock is the instruction counter here, and lockstat=all reads it next to the lock's own work.
 */
static void bench_holds(void)
{
	pfn_t chain = free_some(take_all(), 4, 1);
	pfn_t frame;

	frame_cache_flush();
	spin_stats_configure(SPIN_STATS_ALL);
	longest_hold();
	frame = frame_alloc(FRAME_ANY);
	report("hold_refill_4_words", longest_hold() * 100, "instructions", 1, true);
	frame_free(frame);
	frame_cache_flush();
	report("hold_flush_4_words", longest_hold() * 100, "instructions", 1, true);
	spin_stats_configure((enum spin_stats_mode)settings.arguments.lockstat);
	free_some(chain, 1, 0);
	frame_cache_flush();
}

/* ---- lock holds for operations ------------------------------------------------------------- */

static uint64_t lock_holds(void)
{
	const struct frame_cache_stats *stats = &frame_cache_self()->stats;

	return stats->refills + stats->flushes + stats->direct_allocs + stats->direct_frees;
}

/* Saw-teeth of every height from 1 to twice a cache; the first hold fills the empty cache. */
static void bench_lock_bound(void)
{
	uint64_t worst = 0;

	for (unsigned height = 1; height <= 400; height++) {
		uint64_t holds, ops = 0;

		frame_cache_flush();
		holds = lock_holds();
		while (ops < 20000) {
			for (unsigned i = 0; i < height; i++)
				bulk[i] = frame_alloc(FRAME_ANY);
			for (unsigned i = 0; i < height; i++)
				frame_free(bulk[i]);
			ops += 2 * height;
		}
		holds = lock_holds() - holds - 1;
		if (holds * 6400 / ops > worst)
			worst = holds * 6400 / ops;
	}
	report("lock_holds_per_64_ops_worst", worst, "holds", 1, true);
}

/* ---- time: all cpus at once ---------------------------------------------------------------- */

/* Nanoseconds a pair, in hundredths, of the slowest cpu. */
static uint64_t time_pairs(void (*work)(uint64_t pairs), uint64_t pairs, unsigned cpus)
{
	return hundredths(time_all(classic_set_cpu, work, pairs, cpus), pairs);
}

/* Both loops are unrolled alike, so that it is pairs that are timed and not the loop. */
static void repeat(uint64_t pairs)
{
#pragma GCC unroll 8
	for (uint64_t i = 0; i < pairs; i++)
		frame_free(frame_alloc(FRAME_ANY));
}

static void classic_repeat(uint64_t pairs)
{
#pragma GCC unroll 8
	for (uint64_t i = 0; i < pairs; i++)
		classic_free(classic_alloc());
}

/* Every cpu has BULK_FRAMES of these, so that nothing but the allocators touches a frame. */
static pfn_t *held;

#define BULK_LOOP(alloc, free)                                                                     \
	pfn_t *mine = held + port_cpu() * BULK_FRAMES;                                             \
                                                                                                   \
	for (uint64_t done = 0; done < pairs; done += BULK_FRAMES) {                               \
		for (unsigned i = 0; i < BULK_FRAMES; i++)                                         \
			mine[i] = alloc;                                                           \
		for (unsigned i = 0; i < BULK_FRAMES; i++)                                         \
			free(mine[i]);                                                             \
	}

static void bulk_pairs(uint64_t pairs)
{
	BULK_LOOP(frame_alloc(FRAME_ANY), frame_free)
}

static void classic_bulk_pairs(uint64_t pairs)
{
	BULK_LOOP(classic_alloc(), classic_free)
}

/*
 * In virtual time few pairs are enough, because no pair is disturbed, and a time is in instructions of
 * one hart, although its name ends in ns, as in the records of a sweep.
 */
#define TIMED_PAIRS	    2000000
#define TIMED_PAIRS_VIRTUAL 160000

static uint64_t timed_pairs(void)
{
	return settings.virtual_time ? TIMED_PAIRS_VIRTUAL : TIMED_PAIRS;
}

static const char *unit_of_times(void)
{
	return settings.virtual_time ? "instr" : "ns";
}

static void bench_classic(unsigned cpus, bool valid)
{
	uint64_t frames = cpus * BULK_FRAMES; /* what all of bulk holds at once */
	pfn_t run = frame_alloc_run(frames, 0);

	if (pfn_is_none(run)) {
		printf("  classic_*: NOT MEASURABLE: no run of %llu frames is to be had of %s\n",
		       (unsigned long long)frames, zones.zone[0].policy->name);
		return;
	}
	classic_set_cpu();
	classic_init(run, frames);
	report("classic_repeat_ns", time_pairs(classic_repeat, timed_pairs() / 40, cpus),
	       unit_of_times(), cpus, valid);
	report("classic_bulk_ns", time_pairs(classic_bulk_pairs, timed_pairs() / 40, cpus),
	       unit_of_times(), cpus, valid);
	frame_free_run(run, frames);
}

static void bench_times(unsigned cpus)
{
	bool valid = cores_for_all(cpus);
	size_t mark = program_memory_mark();

	held = program_memory_need(cpus * BULK_FRAMES * sizeof(*held), "the cpus' frames");
	report("repeat_ns", time_pairs(repeat, timed_pairs(), cpus), unit_of_times(), cpus, valid);
	report("bulk_ns", time_pairs(bulk_pairs, timed_pairs() / 2, cpus), unit_of_times(), cpus,
	       valid);
	bench_classic(cpus, valid);
	program_memory_release(mark);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void bench_metadata(void)
{
	const struct zone *zone = &zones.zone[zone_largest()];

	/* Per thousand frames, because two decimals of one frame's would say too little. */
	report("metadata_tree_bytes_per_1000_frames",
	       zone->policy_bytes * 100000 / zone->total_frames, "bytes", settings.cpus, true);
	report("metadata_state_bytes_per_frame", zone->state_bytes * 100 / zone->total_frames,
	       "bytes", settings.cpus, true);
}

static void bench_counts(void)
{
	printf("\nbench: instructions, exact\n");
	bench_pairs();
	bench_uncached("uncached_pair", (enum spin_stats_mode)settings.arguments.lockstat);
	bench_uncached("uncached_pair_lockstat_off", SPIN_STATS_OFF);
	bench_runs();
	bench_heap_counts();
	bench_memory();
	bench_bulk("bulk_pair", (enum spin_stats_mode)settings.arguments.lockstat);
	bench_bulk("bulk_pair_lockstat_off", SPIN_STATS_OFF);
	bench_bulk("bulk_pair_lockstat_contended", SPIN_STATS_CONTENDED);
	bench_bulk("bulk_pair_lockstat_all", SPIN_STATS_ALL);
	bench_holds();
	bench_paging_counts();
	bench_tree_counts();
}

static void bench_run(void)
{
	uint64_t before = frame_free_count(),
		 wanted = settings.cpus * (BULK_FRAMES + settings.arguments.cache_frames);

	/*
	 * Its loops hold BULK_FRAMES on each cpu and have no branch for a failed allocation; other cpus'
	 * caches may be full meanwhile.
	 */
	if (before < wanted) {
		verdict_fail("bench: %llu frames are free, and it needs %llu (MEM=)",
			     (unsigned long long)before, (unsigned long long)wanted);
		return;
	}
	if (settings.counts_exactly)
		bench_counts();
	else
		printf("\nbench: instructions are NOT MEASURABLE here: this machine's counter "
		       "does\n"
		       "  not count them (QEMU does under -icount)\n");
	printf("\nbench: lock holds and metadata, exact\n");
	bench_lock_bound();
	bench_heap_holds();
	bench_metadata();
	if (!settings.counts_exactly || settings.virtual_time) {
		printf(settings.virtual_time
			       ? "\nbench: virtual time, exact\n"
			       : "\nbench: time, to be compared within this boot only\n");
		bench_times(1);
		if (settings.cpus > 1)
			bench_times(settings.cpus);
		bench_paging_times(1);
		if (settings.cpus > 1)
			bench_paging_times(settings.cpus);
	}
	kheap_trim();
	frame_validate();
	if (frame_free_count() != before)
		verdict_fail("bench: %llu frames were free before, %llu after",
			     (unsigned long long)before, (unsigned long long)frame_free_count());
	verdict_count_test(frame_free_count() == before);
}

static bool is_wanted(bool is_named)
{
	return is_named && !settings.arguments.sweeps;
}

static const struct program bench = {
	.name = "bench",
	.help = "instruction counts and times, or with workload= or lists a sweep over all "
		"combinations",
	.compares = true,
	.is_wanted = is_wanted,
	.run = bench_run,
};
PROGRAM(40, bench);
