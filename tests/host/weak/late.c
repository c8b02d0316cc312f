/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * late.c - loads that are performed later than in the program's order.
 *
 * Late loads are for litmus tests alone, which say what depends on what. Such a load foresees a value
 * that some execution has stored to its address. It is performed later, where a store of that value can
 * be read. An execution in which that never happens is left off.
 *
 * Postponed loads are of the code under test (weak_postponed), and later than writes to devices only. A
 * load that a fence orders behind a waiting store waits for that store. Postponed, it does not wait yet,
 * so a device can be written before the store is performed.
 */
#include "tests/host/weak/schedule.h"

#define FORESEEN_MAX 64

/* All that were stored to an address in any execution. */
static struct {
	uintptr_t address;
	uint64_t value;
} foreseen[FORESEEN_MAX];
static unsigned foreseens;
static bool foresees_more;

/* ---- foreseeing ------------------------------------------------------------------------------ */

void memory_foresee(const struct location *location, uint64_t value)
{
	for (unsigned i = 0; i < foreseens; i++)
		if (foreseen[i].address == location->address && foreseen[i].value == value)
			return;
	if (foreseens == FORESEEN_MAX)
		return;
	foreseen[foreseens].address = location->address;
	foreseen[foreseens++].value = value;
	foresees_more = true;
}

void memory_foresees_nothing(void)
{
	foreseens = 0;
	foresees_more = false;
}

bool memory_foresees_more(void)
{
	bool more = foresees_more;

	foresees_more = false;
	return more;
}

bool memory_is_late(const struct view *view, unsigned number)
{
	for (unsigned i = 0; i < view->lates; i++)
		if (view->late[i].number == number)
			return !view->late[i].performed;
	return false;
}

bool memory_are_late(const struct view *view, unsigned up_to)
{
	for (unsigned i = 0; i < view->lates; i++)
		if (view->late[i].number <= up_to && !view->late[i].performed)
			return true;
	return false;
}

bool memory_may_satisfy(const struct late *late)
{
	const struct store *store = late->location->newest;

	for (; store; store = store->older) {
		if (store->value == late->value)
			return true;
		if (store->stamp <= late->floor)
			return false;
	}
	return false;
}

/* ---- late loads, of litmus tests ------------------------------------------------------------- */

/* The foreseen values come after the stores that can be read at once. */
static unsigned count_foreseen(const struct location *location)
{
	unsigned count = 0;

	for (unsigned i = 0; i < foreseens; i++)
		count += foreseen[i].address == location->address;
	return count;
}

static uint64_t take_foreseen(const struct location *location, unsigned which)
{
	for (unsigned i = 0;; i++)
		if (foreseen[i].address == location->address && which-- == 0)
			return foreseen[i].value;
}

struct weak_loaded weak_load_late(const void *address, struct weak_site *site)
{
	struct view *view = view_self();
	struct location *location = memory_location(address, 8);
	struct late *late;
	uint32_t floor;
	unsigned now, chosen;

	weak_step(STEP_LOAD, address, site, 0);
	for (unsigned i = 0; i < view->lates; i++) /* in order with its own late loads of the word */
		if (view->late[i].location == location)
			weak_step(STEP_DEPEND, NULL, site, view->late[i].number);
	if (view->lates == LATE_MAX)
		weak_fail("more than %u late loads", LATE_MAX);
	if (memory_own_waiting(view, location))
		return (struct weak_loaded){memory_load(address, 8, 0, site), 0};
	floor = memory_floor(view, location);
	now = memory_readable(view, weak_cpu(), location, floor);
	chosen = weak_choose(now + count_foreseen(location));
	late = &view->late[view->lates++];
	*late = (struct late){.location = location,
			      .floor = floor,
			      .number = ++view->numbers,
			      .site = site,
			      .performed = chosen < now};
	if (location->seen[weak_cpu()] > late->floor)
		late->floor = location->seen[weak_cpu()];
	if (chosen < now)
		late->value = memory_read(location, chosen, floor, site);
	else
		late->value = take_foreseen(location, chosen - now);
	/* For a load that depends on it, the instant of this one. */
	if (late->performed)
		late->floor = view->loaded;
	return (struct weak_loaded){late->value, late->number};
}

void memory_satisfy(unsigned cpu, struct late *late)
{
	const struct store *store = late->location->newest;
	struct view *view = &views[cpu];

	while (store->value != late->value)
		store = store->older;
	late->performed = true;
	if (store->stamp > late->location->seen[cpu])
		late->location->seen[cpu] = store->stamp;
	late->floor = memory_loaded_at(view, store->stamp, late->floor);
	if (late->number <= view->lates_before_loads)
		raise_to(&view->loads_floor, late->floor);
	if (story_is_told)
		story_line(cpu, late->site, "its load of %s, which read %#llx, is performed",
			   late->site->what, (unsigned long long)late->value);
}

uint64_t weak_load_after(const void *address, unsigned depends_on, struct weak_site *site)
{
	struct view *view = view_self();
	uint32_t floor = 0;

	if (depends_on)
		weak_step(STEP_DEPEND, NULL, site, depends_on);
	for (unsigned i = 0; i < view->lates; i++)
		if (view->late[i].number == depends_on)
			floor = view->late[i].floor;
	weak_step(STEP_LOAD, address, site, 0);
	return memory_load(address, 8, floor, site);
}

/* ---- postponed loads, of the code under test -------------------------------------------------- */

bool memory_postpone(const void *address, unsigned size, struct weak_site *site, uint64_t *value)
{
	struct view *view = view_self();

	if (races_kind(site) != WEAK_POSTPONED || memory_may_load(weak_cpu()) || !weak_chance())
		return false;
	*value = memory_native(memory_location(address, size));
	view->postponed = (struct postponed){address, size, *value, site, false, false};
	if (story_is_told)
		story_line(weak_cpu(), site, "will read %s: %#llx; the load is not performed yet",
			   site->what, (unsigned long long)*value);
	return true;
}

/* The newest store of this value among those that can be read; `count` if there is none. */
static unsigned age_of_value(const struct location *location, uint64_t value, unsigned count)
{
	const struct store *store = location->newest;
	unsigned age = 0;

	for (; age < count && store->value != value; age++)
		store = store->older;
	return age;
}

void memory_perform_postponed(void)
{
	struct view *view = view_self();
	struct postponed load = view->postponed;
	struct location *location;
	unsigned count, age;
	uint32_t floor;

	if (!load.site)
		return;
	view->postponed.site = NULL;
	weak_step(STEP_LOAD, load.address, load.site, 0);
	location = memory_location(load.address, load.size);
	floor = memory_floor(view, location);
	count = memory_readable(view, weak_cpu(), location, floor);
	age = age_of_value(location, load.value, count);
	if (age == count)
		schedule_leave(LEFT_IMPOSSIBLE);
	memory_read(location, age, floor, load.site);
	if (!load.before_loads)
		return;
	raise_to(&view->loads_floor, view->loaded);
	clocks_join(&view->before_reads, &view->from_loads);
	clocks_join(&view->before_writes, &view->from_loads);
}
