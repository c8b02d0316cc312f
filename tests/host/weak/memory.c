/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - the accesses of weak.h: when a waiting store may be performed, and what a load may read.
 */
#include "tests/host/weak/model.h"

#include <string.h>

/* A CPU that has read older stores of a word this many times in a row reads the newest one next. */
#define STALE_MAX     2
/* A pointer is taken to lead to these many bytes, from its address on. */
#define FOLLOWS_BYTES 512

/* ---- performing ------------------------------------------------------------------------------ */

uint64_t memory_changed(enum weak_rmw kind, uint64_t value, uint64_t operand, unsigned size)
{
	switch (kind) {
	case WEAK_ADD:
		value += operand;
		break;
	case WEAK_OR:
		value |= operand;
		break;
	case WEAK_AND:
		value &= operand;
		break;
	default:
		value = operand;
		break;
	}
	return size == 8 ? value : value & ((UINT64_C(1) << 8 * size) - 1);
}

/* The CPU's store is the newest of the location from now on. */
void memory_perform_store(unsigned cpu, const struct waiting *waiting)
{
	struct location *location = waiting->location;
	struct view *view = &views[cpu];
	uint64_t value = waiting->value;
	struct store *store;

	memory_note_plain_store(location);
	if (waiting->changes) /* at one instant it reads, and stores */
		value = memory_changed(waiting->kind, location->newest->value, value,
				       location->size);
	store = memory_new_store(location, value, ++stamps);
	store->cpu = cpu;
	store->message = waiting->message;
	store->fence = waiting->fence;
	memory_set_native(location, value);
	location->seen[cpu] = stamps;
	view->stored = stamps;
	if (waiting->number && waiting->number <= view->before_loads) {
		raise_to(&view->loads_floor, stamps);
		clocks_join(&view->before_reads, &location->accessed);
	}
	if (waiting->number && waiting->number <= view->before_walks)
		raise_to(&view->walks_floor, stamps);
	if (waiting->number && waiting->group < view->group)
		clocks_join(&view->before_writes, &location->accessed);
	clocks_join(&view->from_stores, &location->accessed);
	/* What reads it comes after all earlier accesses of the word that it has replaced. */
	clocks_join(&location->accessed, &store->message);
	store->message = location->accessed;
	memory_foresee(location, value);
}

static bool is_performed(const struct view *view, uint32_t up_to)
{
	for (unsigned i = 0; i < view->waitings; i++)
		if (view->waiting[i].number <= up_to)
			return false;
	return true;
}

bool memory_may_load(unsigned cpu)
{
	return is_performed(&views[cpu], views[cpu].before_loads) &&
	       !memory_are_late(&views[cpu], views[cpu].lates_before_loads);
}

bool memory_may_signal(unsigned cpu)
{
	return is_performed(&views[cpu], views[cpu].before_devices);
}

bool memory_may_walk(unsigned cpu)
{
	return is_performed(&views[cpu], views[cpu].before_walks);
}

bool memory_may_change(unsigned cpu, const void *address)
{
	const struct view *view = &views[cpu];

	if (!memory_may_load(cpu) || memory_are_late(view, view->lates_before_stores))
		return false;
	for (unsigned i = 0; i < view->waitings; i++)
		if (view->waiting[i].group != view->group ||
		    view->waiting[i].location->address == (uintptr_t)address)
			return false;
	return true;
}

bool memory_may_perform(unsigned cpu, unsigned index)
{
	const struct view *view = &views[cpu];
	const struct waiting *waiting = &view->waiting[index];

	if ((waiting->depends_on && memory_is_late(view, waiting->depends_on)) ||
	    memory_are_late(view, waiting->lates_before))
		return false;
	for (unsigned i = 0; i < view->lates; i++)
		if (view->late[i].location == waiting->location && !view->late[i].performed &&
		    view->late[i].number < waiting->number)
			return false;
	for (unsigned i = 0; i < index; i++)
		if (view->waiting[i].location == waiting->location ||
		    view->waiting[i].group != waiting->group)
			return false;
	return true;
}

void memory_perform(unsigned cpu, unsigned index)
{
	struct view *view = &views[cpu];
	struct waiting waiting = view->waiting[index];

	memmove(&view->waiting[index], &view->waiting[index + 1],
		(view->waitings - index - 1) * sizeof(view->waiting[0]));
	view->waitings--;
	if (story_is_told)
		story_line(cpu, waiting.site, "the store of %#llx to %s is performed%s",
			   (unsigned long long)waiting.value, waiting.site->what,
			   index ? ", before an earlier one" : "");
	memory_perform_store(cpu, &waiting);
}

/* ---- loads ----------------------------------------------------------------------------------- */

static void watch(struct view *view, struct location *location, uint32_t stamp)
{
	for (unsigned i = 0; i < view->watches; i++) {
		if (view->watched[i] == location) {
			view->watched_stamp[i] = stamp;
			return;
		}
	}
	if (view->watches == WATCHED_MAX) { /* the oldest is forgotten */
		view->watches--;
		memmove(view->watched, view->watched + 1, view->watches * sizeof(view->watched[0]));
		memmove(view->watched_stamp, view->watched_stamp + 1,
			view->watches * sizeof(view->watched_stamp[0]));
	}
	view->watched[view->watches] = location;
	view->watched_stamp[view->watches++] = stamp;
}

uint32_t memory_floor(const struct view *view, const struct location *location)
{
	uint32_t floor = view->loads_floor;

	for (unsigned i = 0; i < view->followed; i++)
		if (location->address - view->follows[i].from < FOLLOWS_BYTES &&
		    view->follows[i].stamp > floor)
			floor = view->follows[i].stamp;
	return floor;
}

/* Where the CPU's load reads a store, or leaves a newer one unread. */
static void note_reading(struct view *view, unsigned cpu, const struct location *location,
			 const struct store *store)
{
	if (store->fence && store->cpu != cpu && view->read_froms < 8)
		view->read_from[view->read_froms++] = store->fence;
	if (!view->last_full)
		return;
	for (const struct store *at = location->newest; at; at = at->older) {
		if (at->cpu < WEAK_CPUS_MAX && at->cpu != cpu && views[at->cpu].last_full)
			memory_note_partner(view->last_full, views[at->cpu].last_full);
		if (at == store)
			break;
	}
}

/* The stores that a load may read: the newest one is number 0. */
unsigned memory_readable(const struct view *view, unsigned cpu, const struct location *location,
			 uint32_t floor)
{
	const struct store *store = location->newest;
	unsigned count = 1;

	if (location->seen[cpu] > floor)
		floor = location->seen[cpu];
	(void)view;
	for (; store->stamp > floor && store->older; store = store->older)
		count++;
	return count;
}

unsigned memory_readable_now(const struct location *location, uint32_t floor)
{
	unsigned cpu = weak_cpu();

	return location->stale[cpu] < STALE_MAX ? memory_readable(&views[cpu], cpu, location, floor)
						: 1;
}

uint32_t memory_loaded_at(struct view *view, uint32_t stamp, uint32_t floor)
{
	uint32_t instant = stamp > floor ? stamp : floor;

	raise_to(&view->loaded, instant);
	return instant;
}

/* Reads the store, which is `age` stores older than the newest. */
uint64_t memory_read(struct location *location, unsigned age, uint32_t floor, struct weak_site *site)
{
	unsigned cpu = weak_cpu();
	struct view *view = view_self();
	const struct store *store = location->newest;

	for (unsigned i = 0; i < age; i++)
		store = store->older;
	location->stale[cpu] = age ? location->stale[cpu] + 1 : 0;
	if (store->stamp > location->seen[cpu])
		location->seen[cpu] = store->stamp;
	memory_loaded_at(view, store->stamp, floor);
	watch(view, location, store->stamp);
	clocks_join(&view->from_loads, &store->message);
	if (races_kind(site) == WEAK_BRANCH)
		clocks_join(&view->before_writes, &store->message);
	clocks_join(&location->accessed, &view->before_reads);
	note_reading(view, cpu, location, store);
	if (story_is_told && age)
		story_line(cpu, site, "reads %s: %#llx, an older value; the newest is %#llx",
			   site->what, (unsigned long long)store->value,
			   (unsigned long long)location->newest->value);
	else if (story_is_told)
		story_line(cpu, site, "reads %s: %#llx", site->what,
			   (unsigned long long)store->value);
	return store->value;
}

void memory_begin_access(const void *address, unsigned size, bool writes, struct weak_site *site)
{
	view_self()->clock++;
	races_atomic(address, size, writes, site);
}

uint64_t memory_load(const void *address, unsigned size, uint32_t at_least, struct weak_site *site)
{
	struct view *view = view_self();
	struct location *location;
	const struct waiting *own;
	uint32_t floor;

	location = memory_location(address, size);
	memory_begin_access(address, size, false, site);
	own = memory_own_waiting(view, location);
	if (own && own->changes)
		memory_perform_own(view, location);
	else if (own) {
		watch(view, location, location->newest->stamp);
		return own->value;
	}
	floor = memory_floor(view, location);
	if (at_least > floor)
		floor = at_least;
	return memory_read(location, weak_choose(memory_readable_now(location, floor)), floor, site);
}

uint64_t weak_load(const void *address, unsigned size, struct weak_site *site)
{
	uint64_t value = 0;

	if (!weak_is_running()) {
		memcpy(&value, address, size);
		return value;
	}
	memory_perform_postponed();
	if (memory_postpone(address, size, site, &value))
		return value;
	weak_step(STEP_LOAD, address, site, 0);
	return memory_load(address, size, 0, site);
}

void weak_follows(const void *pointer, const void *address)
{
	struct view *view;
	struct location *location;

	if (!weak_is_running() || !pointer)
		return;
	view = view_self();
	location = memory_location(address, sizeof(void *));
	if (view->followed == FOLLOWS_MAX) {
		view->followed--;
		memmove(view->follows, view->follows + 1, view->followed * sizeof(view->follows[0]));
	}
	view->follows[view->followed].from = (uintptr_t)pointer;
	view->follows[view->followed++].stamp = location->seen[weak_cpu()];
	/* A plain access through it is ordered too; races.c does not ask through which pointer. */
	clocks_join(&view->before_reads, &view->from_loads);
	clocks_join(&view->before_writes, &view->from_loads);
}

/* The oldest store that the CPU has not seen of a word that it watches, and the word. */
static const struct store *unseen(const struct view *view, struct location **where)
{
	const struct store *first = NULL;

	for (unsigned i = 0; i < view->watches; i++) {
		const struct store *store, *next = NULL;

		memory_note_plain_store(view->watched[i]);
		for (store = view->watched[i]->newest; store->stamp > view->watched_stamp[i];
		     store = store->older)
			next = store;
		if (next && (!first || next->stamp < first->stamp)) {
			first = next;
			*where = view->watched[i];
		}
	}
	return first;
}

bool memory_has_changed(unsigned cpu)
{
	struct location *where;

	const struct view *view = &views[cpu];

	return (view->watches == 0 && !view->watches_devices) || unseen(view, &where) ||
	       (view->watches_devices && view->signals_seen != memory_signals());
}

/* Of one word only: so it does not matter what else is performed before the wait ends. */
void memory_look_again(unsigned cpu)
{
	struct location *where;
	const struct store *store = unseen(&views[cpu], &where);

	if (store && store->stamp > where->seen[cpu])
		where->seen[cpu] = store->stamp;
	views[cpu].watches = 0;
	views[cpu].watches_devices = false;
}
