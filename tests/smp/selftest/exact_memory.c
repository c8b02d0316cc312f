/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exact_memory.c - sets most of memory aside, and fills caches; see exact_memory.h.
 *
 * Covers: mm/percpu/cache.c
 */
#include "tests/smp/selftest/exact_memory.h"

#include <stdint.h>

#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "mm/frame.h"
#include "mm/heap/kmalloc.h"
#include "mm/percpu/drain.h"
#include "tests/smp/stamp.h"

#define LEFT 768 /* frames that are not set aside, besides a batch for every cpu */

char exact_figures[160];

static struct {
	unsigned count;
	struct {
		pfn_t first;
		uint64_t count;
	} run[256];
} aside;

static void set_aside(uint64_t left)
{
	uint64_t size = UINT64_C(1) << 40;

	aside.count = 0;
	while (size && aside.count < sizeof(aside.run) / sizeof(aside.run[0])) {
		pfn_t first = PFN_NONE;

		if (frame_free_count() >= left + size)
			first = frame_alloc_run(size, 0);
		if (pfn_is_none(first)) {
			size /= 2;
			continue;
		}
		aside.run[aside.count].first = first;
		aside.run[aside.count++].count = size;
	}
}

static void bring_back(void)
{
	for (unsigned i = 0; i < aside.count; i++)
		frame_free_run(aside.run[i].first, aside.run[i].count);
	aside.count = 0;
}

static void set_cache(void *capacity)
{
	frame_cache_configure((uint32_t)(uintptr_t)capacity, 0);
}

static void set_own_cache(void *unused)
{
	(void)unused;
	frame_cache_configure((uint32_t)settings.arguments.cache_frames,
			      (uint32_t)settings.arguments.batch_frames);
}

void exact_begin(void)
{
	uint64_t most = settings.arguments.cache_frames;

	kheap_trim();
	frame_drain_set_low(
		0); /* so that full caches stay full until an allocation finds no frame */
	cpus_run(set_cache, (void *)(uintptr_t)(most < EXACT_CAPACITY ? most : EXACT_CAPACITY),
		 settings.cpus);
	set_aside(LEFT + settings.cpus * FRAME_CACHE_BATCH);
	frame_drain_settle();
}

void exact_end(void)
{
	bring_back();
	cpus_run(set_own_cache, NULL, settings.cpus);
	kheap_trim();
	frame_drain_set_low(settings.arguments.low_frames);
	frame_validate();
}

/* The link is the second word; the stamp has the first and the last one. */
void exact_chain(pfn_t *newest, pfn_t frame)
{
	stamp_write(frame, port_cpu());
	((pfn_t *)frame_bytes(frame))[1] = *newest;
	*newest = frame;
}

bool exact_unchain(pfn_t *newest, pfn_t *frame)
{
	if (pfn_is_none(*newest))
		return false;
	*frame = *newest;
	stamp_check(*frame, port_cpu());
	*newest = ((pfn_t *)frame_bytes(*frame))[1];
	return true;
}

void exact_fill_cache(pfn_t *rest)
{
	struct frame_cache *cache = frame_cache_self();
	pfn_t frame;

	*rest = PFN_NONE;
	/*
	 * Again where frames of two zones were among them: this cache keeps frames of one zone
	 * only.
	 */
	for (unsigned i = 0; i < 4 && pfn_is_none(*rest); i++) {
		for (unsigned j = 0;
		     j < 2 * EXACT_CAPACITY && !pfn_is_none(frame = frame_alloc(FRAME_ANY)); j++)
			exact_chain(rest, frame);
		while (cache->top != cache->limit && exact_unchain(rest, &frame))
			frame_free(frame);
	}
}

void exact_free_chain(pfn_t *newest)
{
	pfn_t frame;

	while (exact_unchain(newest, &frame))
		frame_free(frame);
}

bool exact_has_caches(void)
{
	return settings.cpus > 1 && settings.arguments.cache_frames;
}

static pfn_t elsewhere_rest;

static void fill_elsewhere(void *unused)
{
	(void)unused;
	if (port_cpu() == settings.cpus - 1)
		exact_fill_cache(&elsewhere_rest);
}

static void empty_elsewhere(void *unused)
{
	(void)unused;
	if (port_cpu() == settings.cpus - 1)
		exact_free_chain(&elsewhere_rest);
}

void exact_fill_elsewhere(void)
{
	cpus_run(fill_elsewhere, NULL, settings.cpus);
}

void exact_empty_elsewhere(void)
{
	cpus_run(empty_elsewhere, NULL, settings.cpus);
}
