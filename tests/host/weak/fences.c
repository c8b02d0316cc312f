/* SPDX-License-Identifier: BSD-2-Clause */
/* fences.c - the fences of weak.h: what they order, and which other fence each met. */
#include "tests/host/weak/model.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FENCES_MAX 512

/* ---- fences ---------------------------------------------------------------------------------- */

static const struct {
	unsigned pair, before, after;
} pairs[] = {
	{PAIR_RR, WEAK_R, WEAK_R}, {PAIR_RW, WEAK_R, WEAK_W}, {PAIR_WR, WEAK_W, WEAK_R},
	{PAIR_WW, WEAK_W, WEAK_W}, {PAIR_RO, WEAK_R, WEAK_O}, {PAIR_WO, WEAK_W, WEAK_O},
	{PAIR_IR, WEAK_I, WEAK_R}, {PAIR_IW, WEAK_I, WEAK_W}, {PAIR_WALKS, WEAK_W, WEAK_WALK},
};

static unsigned pairs_of(unsigned before, unsigned after)
{
	unsigned set = 0;

	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (before & pairs[i].before && after & pairs[i].after)
			set |= pairs[i].pair;
	return set;
}

struct fences {
	struct weak_fence fence[FENCES_MAX];
	unsigned count;
};

static struct fences *fences;

void memory_share_fences(void)
{
	fences = mmap(NULL, sizeof(*fences), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (fences == MAP_FAILED)
		abort();
}

struct weak_fence *weak_fence_number(unsigned number)
{
	return number < fences->count ? &fences->fence[number] : NULL;
}

struct weak_fence *memory_fence(struct weak_site *site)
{
	struct weak_fence *fence;

	if (site->fence)
		return site->fence;
	for (unsigned i = 0; (fence = weak_fence_number(i)); i++)
		if (fence->line == site->line && !strcmp(fence->file, site->file) &&
		    !strcmp(fence->what, site->what))
			return site->fence = fence;
	if (fences->count == FENCES_MAX)
		abort();
	fence = &fences->fence[fences->count++];
	fence->file = site->file;
	fence->function = site->function;
	fence->what = site->what;
	fence->line = site->line;
	fence->pairs = fence->pairs_now = pairs_of(site->before, site->after);
	return site->fence = fence;
}

void memory_note_partner(struct weak_fence *fence, struct weak_fence *other)
{
	unsigned i;

	for (i = 0; i < WEAK_PARTNERS_MAX; i++) {
		if (fence->partner[i] && fence->partner[i] != other)
			continue;
		fence->partner[i] = other;
		fence->times[i]++;
		return;
	}
}

/* What was ordered before accesses of one kind is, by the pair, before those of another. */
static void order(const struct view *view, unsigned set, unsigned reads_pair, unsigned writes_pair,
		  unsigned device_pair, struct clocks *before)
{
	unsigned cpu = weak_cpu();

	if (set & reads_pair) {
		clocks_join(before, &view->before_reads);
		clocks_join(before, &view->from_loads);
		before->reads[cpu] = view->clock;
	}
	if (set & writes_pair) {
		clocks_join(before, &view->before_writes);
		clocks_join(before, &view->from_stores);
		before->writes[cpu] = view->clock;
	}
	if (set & device_pair)
		clocks_join(before, &view->from_device);
}

static void order_plain_accesses(struct view *view, unsigned set)
{
	struct clocks reads = view->before_reads, writes = view->before_writes;
	struct clocks device = view->before_device;

	order(view, set, PAIR_RR, PAIR_WR, PAIR_IR, &reads);
	order(view, set, PAIR_RW, PAIR_WW, PAIR_IW, &writes);
	order(view, set, PAIR_RO, PAIR_WO, 0, &device);
	view->before_reads = reads;
	view->before_writes = writes;
	view->before_device = device;
	view->clock++;
}

static void note_partners(struct view *view, struct weak_fence *fence)
{
	if (fence->pairs & (PAIR_RR | PAIR_RW)) {
		for (unsigned i = 0; i < view->read_froms; i++) {
			memory_note_partner(fence, view->read_from[i]);
			memory_note_partner(view->read_from[i], fence);
		}
		view->read_froms = 0;
	}
	if (fence->pairs & (PAIR_RW | PAIR_WW))
		view->last_release = fence;
	if (fence->pairs & PAIR_WR)
		view->last_full = fence;
}

void weak_fence(struct weak_site *site)
{
	struct weak_fence *fence;
	struct view *view;
	unsigned set;

	__asm__ volatile("" ::: "memory");
	if (!weak_is_running())
		return;
	memory_note_plain_accesses();
	fence = memory_fence(site);
	fence->passed++;
	set = fence->pairs_now;
	view = view_self();
	if (set & PAIR_WW)
		view->group++;
	if (set & PAIR_RR)
		view->postponed.before_loads = true;
	if (set & PAIR_RO)
		view->postponed.before_devices = true;
	if (set & PAIR_RW)
		view->lates_before_stores = view->numbers;
	if (set & PAIR_RR) {
		raise_to(&view->loads_floor, view->loaded);
		view->lates_before_loads = view->numbers;
	}
	if (set & PAIR_WR) {
		raise_to(&view->loads_floor, view->stored);
		view->before_loads = view->numbers;
	}
	if (set & PAIR_WO)
		view->before_devices = view->numbers;
	if (set & PAIR_IR)
		raise_to(&view->loads_floor, view->device_in);
	order_plain_accesses(view, set);
	note_partners(view, fence);
	if (story_is_told)
		story_line(weak_cpu(), site, "%s", site->what);
}
