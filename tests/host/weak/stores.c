/* SPDX-License-Identifier: BSD-2-Clause */
/* stores.c - the accesses of weak.h that store: into the CPU's buffer, or at once. */
#include "tests/host/weak/model.h"

#include <string.h>

/* ---- stores ---------------------------------------------------------------------------------- */

static struct waiting *put(void *address, unsigned size, uint64_t value, unsigned depends_on,
			   struct weak_site *site)
{
	struct view *view = view_self();
	struct location *location;

	memory_perform_postponed();
	memory_note_plain_accesses();
	if (view->waitings == WAITING_MAX)
		weak_step(STEP_DRAIN, NULL, site, 0);
	location = memory_location(address, size);
	memory_begin_access(address, size, true, site);
	view->waiting[view->waitings++] = (struct waiting){.location = location,
							   .value = value,
							   .number = ++view->numbers,
							   .group = view->group,
							   .lates_before = view->lates_before_stores,
							   .message = view->before_writes,
							   .fence = view->last_release,
							   .site = site,
							   .depends_on = depends_on};
	if (story_is_told)
		story_line(weak_cpu(), site, "stores %#llx to %s", (unsigned long long)value,
			   site->what);
	return &view->waiting[view->waitings - 1];
}

void weak_store(void *address, unsigned size, uint64_t value, struct weak_site *site)
{
	if (!weak_is_running()) {
		memcpy(address, &value, size);
		return;
	}
	put(address, size, value, 0, site);
}

void weak_store_after(void *address, uint64_t value, unsigned depends_on, struct weak_site *site)
{
	put(address, 8, value, depends_on, site);
}

/* ---- atomics --------------------------------------------------------------------------------- */

/* The fences of a kit whose atomics are full barriers. */
static void full_barrier(void)
{
	static struct weak_site site = {"an atomic of Concurrency Kit 0.7.1",
					"",
					"full barrier",
					0,
					WEAK_RW,
					WEAK_RW,
					NULL,
					WEAK_UNKNOWN};

	if (atomics_are_full)
		weak_fence(&site);
}

static void change(struct location *location, uint64_t value)
{
	struct view *view = view_self();

	memory_perform_store(weak_cpu(), &(struct waiting){.location = location,
							   .value = value,
							   .message = view->before_writes,
							   .fence = view->last_release});
}

uint64_t weak_rmw(void *address, unsigned size, enum weak_rmw kind, uint64_t operand,
		  struct weak_site *site)
{
	struct location *location;
	uint64_t value = 0, then;

	if (!weak_is_running()) {
		memcpy(&value, address, size);
		then = memory_changed(kind, value, operand, size);
		memcpy(address, &then, size);
		return value;
	}
	memory_perform_postponed();
	full_barrier();
	weak_step(STEP_CHANGE, address, site, 0);
	location = memory_location(address, size);
	memory_begin_access(address, size, true, site);
	value = memory_read(location, 0, memory_floor(view_self(), location), site);
	then = memory_changed(kind, value, operand, size);
	if (story_is_told)
		story_line(weak_cpu(), site, "and at once stores %#llx", (unsigned long long)then);
	change(location, then);
	full_barrier();
	return value;
}

void weak_change(void *address, unsigned size, enum weak_rmw kind, uint64_t operand,
		 struct weak_site *site)
{
	struct waiting *waiting;

	if (!weak_is_running() || atomics_are_full) {
		weak_rmw(address, size, kind, operand, site);
		return;
	}
	waiting = put(address, size, operand, 0, site);
	waiting->changes = true;
	waiting->kind = kind;
}

/* The candidates of one that fails: older stores with another value. */
static unsigned failing(const struct location *location, uint64_t wanted, unsigned count,
			unsigned *age)
{
	const struct store *store = location->newest->older;
	unsigned found = 0;

	for (unsigned i = 1; i < count; i++, store = store->older)
		if (store->value != wanted)
			age[found++] = i;
	return found;
}

uint64_t weak_cas(void *address, unsigned size, uint64_t wanted, uint64_t value,
		  struct weak_site *site)
{
	unsigned age[16], cpu = weak_cpu(), chosen, count;
	struct location *location;
	uint64_t found = 0;
	uint32_t floor;

	if (!weak_is_running()) {
		memcpy(&found, address, size);
		if (found == wanted)
			memcpy(address, &value, size);
		return found;
	}
	memory_perform_postponed();
	full_barrier();
	weak_step(STEP_CHANGE, address, site, 0);
	location = memory_location(address, size);
	memory_begin_access(address, size, true, site);
	floor = memory_floor(view_self(), location);
	count = memory_readable_now(location, floor);
	chosen = weak_choose(1 + failing(location, wanted, count < 16 ? count : 16, age));
	found = memory_read(location, chosen ? age[chosen - 1] : 0, floor, site);
	if (chosen == 0 && found == wanted) {
		if (story_is_told)
			story_line(cpu, site, "and at once stores %#llx", (unsigned long long)value);
		change(location, value);
	}
	full_barrier();
	return found;
}
