/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devices.c - what is not memory: writes to devices, registers and the firmware, and the walks of
 * MMUs.
 */
#include "tests/host/weak/model.h"

/* ---- instants of devices --------------------------------------------------------------------- */

/* What is ordered before each instant that a device was written at. */
static struct {
	uint32_t stamp;
	struct clocks before;
} signals[256];
static unsigned signals_given;

/* ---- devices --------------------------------------------------------------------------------- */

uint32_t memory_signal(void)
{
	unsigned at = signals_given++ % 256;

	signals[at].stamp = ++stamps;
	signals[at].before = view_self()->before_device;
	return stamps;
}

void weak_device_in(uint64_t instant)
{
	struct view *view = view_self();

	if (!weak_is_running())
		return;
	raise_to(&view->device_in, (uint32_t)instant);
	for (unsigned at = 0; at < 256; at++)
		if (signals[at].stamp == instant)
			clocks_join(&view->from_device, &signals[at].before);
}

uint64_t weak_device_out(void (*effect)(uint64_t argument), uint64_t argument,
			 struct weak_site *site)
{
	uint64_t instant;

	if (!weak_is_running()) {
		effect(argument);
		return 0;
	}
	if (view_self()->postponed.before_devices)
		memory_perform_postponed();
	weak_step(STEP_DEVICE, site, site, 0);
	instant = memory_signal();
	if (story_is_told)
		story_line(weak_cpu(), site, "writes to %s", site->what);
	effect(argument);
	return instant;
}

void weak_watch_devices(void)
{
	view_self()->watches_devices = true;
	view_self()->signals_seen = signals_given;
}

unsigned memory_signals(void)
{
	return signals_given;
}

/* ---- walks by an MMU ------------------------------------------------------------------------- */

/* Of stores that the hart sees, and of no others. */
void weak_fence_walks(struct weak_site *site)
{
	struct view *view = view_self();
	struct weak_fence *fence;

	if (!weak_is_running())
		return;
	memory_note_plain_accesses();
	fence = memory_fence(site);
	fence->passed++;
	if (!(fence->pairs_now & PAIR_WALKS))
		return;
	view->before_walks = view->numbers;
	raise_to(&view->walks_floor, view->loads_floor);
	raise_to(&view->walks_floor, view->loaded);
	raise_to(&view->walks_floor, view->stored);
	if (story_is_told)
		story_line(weak_cpu(), site, "%s", site->what);
}

bool weak_walk(const uint64_t *address, struct weak_walk *walk, uint64_t *entry,
	       struct weak_site *site)
{
	struct location *location;
	const struct store *store;
	unsigned count = 1, chosen;

	if (!weak_is_running()) {
		*entry = *address;
		return true;
	}
	weak_step(STEP_WALK, address, site, 0);
	if (*walk->flushes != walk->flushes_seen)
		return false;
	location = memory_location(address, 8);
	raise_to(&walk->floor, view_self()->walks_floor);
	for (store = location->newest; store->stamp > walk->floor && store->older;
	     store = store->older)
		count++;
	chosen = weak_choose(count);
	for (store = location->newest; chosen; chosen--)
		store = store->older;
	raise_to(&walk->floor, store->stamp);
	races_walk(&view_self()->walked, address, 8, site);
	clocks_join(&view_self()->walked, &store->message);
	if (story_is_told)
		story_line(weak_cpu(), site, "the MMU reads %#llx%s",
			   (unsigned long long)store->value,
			   store == location->newest ? "" : ", an older entry");
	*entry = store->value;
	return true;
}

uint64_t weak_remote_fence(unsigned cpu)
{
	struct view *view = &views[cpu];
	unsigned at = signals_given++ % 256;

	while (view->waitings)
		for (unsigned i = 0; i < view->waitings; i++)
			if (memory_may_perform(cpu, i)) {
				memory_perform(cpu, i);
				break;
			}
	view->walks_floor = ++stamps;
	signals[at].stamp = stamps;
	signals[at].before = view->before_writes;
	clocks_join(&signals[at].before, &view->before_reads);
	clocks_join(&signals[at].before, &view->from_loads);
	clocks_join(&signals[at].before, &view->from_stores);
	signals[at].before.reads[cpu] = signals[at].before.writes[cpu] = view->clock++;
	return stamps;
}
