/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - the memory of weak.h: locations and their stores, what each CPU may see, and fences.
 *
 * A location keeps all stores of an execution. Its native memory always has the value of the newest
 * performed store, so code at rest, and a debugger, see an ordinary memory. A plain store by the code
 * under test changes the native memory alone: the next access finds that, and notes a store for it.
 */
#include "tests/host/weak/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LOCATIONS     (1u << 14)
#define STORES	      (1u << 16)
/* After so many loads in a row of an older store, a CPU gets to know a newer one. */
#define STALE_MAX     2
/* What is reached through a pointer lies in so many bytes from it. */
#define FOLLOWS_BYTES 512
#define FORESEEN_MAX  64
#define PLAIN_MAX     64
#define FENCES_MAX    512

struct view views[WEAK_CPUS_MAX];
uint32_t stamps;

static struct location locations[LOCATIONS];
static struct store stores[STORES];
static uint32_t stores_used, execution, locations_used;
static unsigned cpu_count;
static bool atomics_are_full;

/* Values that a late load may foresee: all that were stored to its address in any execution. */
static struct {
	uintptr_t address;
	uint64_t value;
} foreseen[FORESEEN_MAX];
static unsigned foreseens;
static bool foresees_more;

static struct view *self(void)
{
	return &views[weak_cpu()];
}

/* ---- clocks ---------------------------------------------------------------------------------- */

static void join(uint32_t *into, const uint32_t *from)
{
	for (unsigned cpu = 0; cpu < WEAK_CPUS_MAX; cpu++)
		if (from[cpu] > into[cpu])
			into[cpu] = from[cpu];
}

void clocks_join(struct clocks *into, const struct clocks *from)
{
	join(into->reads, from->reads);
	join(into->writes, from->writes);
}

static void raise(uint32_t *floor, uint32_t instant)
{
	if (instant > *floor)
		*floor = instant;
}

/* ---- instants of devices --------------------------------------------------------------------- */

/* What is ordered before each instant that a device was written at. */
static struct {
	uint32_t stamp;
	struct clocks before;
} signals[256];
static unsigned signals_given;

/* ---- locations ------------------------------------------------------------------------------- */

static uint64_t native_read(const struct location *location)
{
	uint64_t value = 0;

	memcpy(&value, (const void *)location->address, location->size);
	return value;
}

static void native_write(const struct location *location, uint64_t value)
{
	memcpy((void *)location->address, &value, location->size);
}

static struct store *new_store(struct location *location, uint64_t value, uint32_t stamp)
{
	struct store *store = &stores[stores_used];

	if (stores_used == STORES)
		weak_fail("the execution has more than %u stores", STORES);
	stores_used++;
	memset(store, 0, sizeof(*store));
	store->value = value;
	store->stamp = stamp;
	store->cpu = WEAK_CPUS_MAX;
	store->older = location->newest;
	location->newest = store;
	return store;
}

/*
 * A plain store of the CPU whose turn it is may have changed it. Whether that is a race, races.c
 * says. It is performed at once.
 */
static void note_plain_store(struct location *location)
{
	uint64_t value = native_read(location);

	if (location->newest->value == value)
		return;
	new_store(location, value, ++stamps);
	location->seen[weak_cpu()] = stamps;
}

static uint32_t slot_of(uintptr_t address)
{
	return (uint32_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 40) % LOCATIONS;
}

static struct location *location_of(const void *pointer, unsigned size)
{
	uintptr_t address = (uintptr_t)pointer;
	uint32_t at = slot_of(address);
	struct location *location;

	for (;; at = (at + 1) % LOCATIONS) {
		location = &locations[at];
		if (location->execution != execution)
			break;
		if (location->address != address)
			continue;
		if (location->size != size)
			weak_fail("accesses of %u and of %u bytes to %p", size, location->size,
				  pointer);
		note_plain_store(location);
		return location;
	}
	if (++locations_used > LOCATIONS / 2)
		weak_fail("the execution has more than %u words", LOCATIONS / 2);
	memset(location, 0, sizeof(*location));
	location->address = address;
	location->size = size;
	location->execution = execution;
	new_store(location, native_read(location), 0);
	return location;
}

static struct location *location_around(uintptr_t address)
{
	for (uintptr_t from = address & ~UINT64_C(7); from <= address; from++) {
		uint32_t at = slot_of(from);

		for (; locations[at].execution == execution; at = (at + 1) % LOCATIONS)
			if (locations[at].address == from && address - from < locations[at].size)
				return &locations[at];
	}
	return NULL;
}

/* ---- plain accesses to words that are accessed atomically too --------------------------------- */

static struct location *stored_plainly[PLAIN_MAX];
static unsigned stored_plainlies;

/* The CPU's waiting store is in the native memory for a while, where a plain load finds it. */
static struct {
	struct location *location;
	uint64_t value, own;
} lent[PLAIN_MAX];
static unsigned lents;

static const struct waiting *own_waiting(const struct view *view, const struct location *location)
{
	for (unsigned i = view->waitings; i-- > 0;)
		if (view->waiting[i].location == location)
			return &view->waiting[i];
	return NULL;
}

static void perform_own(struct view *view, const struct location *location)
{
	while (own_waiting(view, location))
		for (unsigned i = 0; i < view->waitings; i++)
			if (memory_may_perform(weak_cpu(), i)) {
				memory_perform(weak_cpu(), i);
				break;
			}
}

void memory_plain_store(uintptr_t address)
{
	struct location *location = location_around(address);
	struct view *view = self();

	if (!location || stored_plainlies == PLAIN_MAX)
		return;
	perform_own(view, location); /* the earlier ones come first */
	stored_plainly[stored_plainlies++] = location;
}

void memory_plain_load(uintptr_t address)
{
	struct location *location = location_around(address);
	const struct waiting *own = location ? own_waiting(self(), location) : NULL;

	if (own && own->changes) {
		perform_own(self(), location);
		return;
	}
	if (!own || lents == PLAIN_MAX)
		return;
	lent[lents].location = location;
	lent[lents].value = native_read(location);
	lent[lents++].own = own->value;
	native_write(location, own->value);
}

void memory_note_plain_accesses(void)
{
	while (lents) {
		lents--;
		if (native_read(lent[lents].location) == lent[lents].own)
			native_write(lent[lents].location, lent[lents].value);
	}
	while (stored_plainlies)
		note_plain_store(stored_plainly[--stored_plainlies]);
}

bool memory_is_known(unsigned cpu, uintptr_t address)
{
	const struct location *location = location_around(address);

	if (!location || location->newest->stamp > location->seen[cpu])
		return false;
	for (unsigned other = 0; other < cpu_count; other++)
		for (unsigned i = 0; i < views[other].waitings; i++)
			if (other != cpu && views[other].waiting[i].location == location)
				return false;
	return true;
}

void memory_reset(unsigned cpus, bool full_atomics)
{
	memset(views, 0, sizeof(views));
	for (unsigned cpu = 0; cpu < WEAK_CPUS_MAX; cpu++)
		views[cpu].clock = 1;
	stores_used = stamps = locations_used = stored_plainlies = lents = 0;
	execution++;
	cpu_count = cpus;
	atomics_are_full = full_atomics;
}

/* ---- foreseeing ------------------------------------------------------------------------------ */

static void foresee(const struct location *location, uint64_t value)
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

static uint64_t mask_of(unsigned size)
{
	return size == 8 ? ~UINT64_C(0) : (UINT64_C(1) << 8 * size) - 1;
}

static uint64_t changed(enum weak_rmw kind, uint64_t value, uint64_t operand)
{
	switch (kind) {
	case WEAK_ADD:
		return value + operand;
	case WEAK_OR:
		return value | operand;
	case WEAK_AND:
		return value & operand;
	default:
		return operand;
	}
}

/* ---- performing ------------------------------------------------------------------------------ */

/* The CPU's store is the newest of the location from now on. */
static void perform(unsigned cpu, const struct waiting *waiting)
{
	struct location *location = waiting->location;
	struct view *view = &views[cpu];
	uint64_t value = waiting->value;
	struct store *store;

	note_plain_store(location);
	if (waiting->changes) /* at one instant it reads, and stores */
		value = changed(waiting->kind, location->newest->value, value) &
			mask_of(location->size);
	store = new_store(location, value, ++stamps);
	store->cpu = cpu;
	store->message = waiting->message;
	store->fence = waiting->fence;
	native_write(location, value);
	location->seen[cpu] = stamps;
	view->stored = stamps;
	if (waiting->number && waiting->number <= view->before_loads) {
		raise(&view->loads_floor, stamps);
		clocks_join(&view->before_reads, &location->accessed);
	}
	if (waiting->number && waiting->number <= view->before_walks)
		raise(&view->walks_floor, stamps);
	if (waiting->number && waiting->group < view->group)
		clocks_join(&view->before_writes, &location->accessed);
	clocks_join(&view->from_stores, &location->accessed);
	/* What reads it comes after all earlier accesses of the word that it has replaced. */
	clocks_join(&location->accessed, &store->message);
	store->message = location->accessed;
	foresee(location, value);
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

static bool is_late(const struct view *view, unsigned number)
{
	for (unsigned i = 0; i < view->lates; i++)
		if (view->late[i].number == number)
			return !view->late[i].performed;
	return false;
}

static bool are_late(const struct view *view, unsigned up_to)
{
	for (unsigned i = 0; i < view->lates; i++)
		if (view->late[i].number <= up_to && !view->late[i].performed)
			return true;
	return false;
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
	       !are_late(&views[cpu], views[cpu].lates_before_loads);
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

	if (!memory_may_load(cpu) || are_late(view, view->lates_before_stores))
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

	if ((waiting->depends_on && is_late(view, waiting->depends_on)) ||
	    are_late(view, waiting->lates_before))
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
	perform(cpu, &waiting);
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

static uint32_t floor_of(const struct view *view, const struct location *location)
{
	uint32_t floor = view->loads_floor;

	for (unsigned i = 0; i < view->followed; i++)
		if (location->address - view->follows[i].from < FOLLOWS_BYTES &&
		    view->follows[i].stamp > floor)
			floor = view->follows[i].stamp;
	return floor;
}

static void note_partner(struct weak_fence *fence, struct weak_fence *other);

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
			note_partner(view->last_full, views[at->cpu].last_full);
		if (at == store)
			break;
	}
}

/* The stores that a load may read: the newest one is number 0. */
static unsigned readable(const struct view *view, unsigned cpu, const struct location *location,
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

static uint32_t loaded_at(struct view *view, uint32_t stamp, uint32_t floor)
{
	uint32_t instant = stamp > floor ? stamp : floor;

	raise(&view->loaded, instant);
	return instant;
}

/* Reads the store, which is `age` stores older than the newest. */
static uint64_t read_store(struct location *location, unsigned age, uint32_t floor,
			   struct weak_site *site)
{
	unsigned cpu = weak_cpu();
	struct view *view = self();
	const struct store *store = location->newest;

	for (unsigned i = 0; i < age; i++)
		store = store->older;
	location->stale[cpu] = age ? location->stale[cpu] + 1 : 0;
	if (store->stamp > location->seen[cpu])
		location->seen[cpu] = store->stamp;
	loaded_at(view, store->stamp, floor);
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

static void begin_access(const void *address, unsigned size, bool writes, struct weak_site *site)
{
	self()->clock++;
	races_atomic(address, size, writes, site);
}

static uint64_t load(const void *address, unsigned size, uint32_t at_least, struct weak_site *site)
{
	struct view *view = self();
	unsigned cpu = weak_cpu();
	struct location *location;
	const struct waiting *own;
	uint32_t floor;
	unsigned count;

	location = location_of(address, size);
	begin_access(address, size, false, site);
	own = own_waiting(view, location);
	if (own && own->changes)
		perform_own(view, location);
	else if (own) {
		watch(view, location, location->newest->stamp);
		return own->value;
	}
	floor = floor_of(view, location);
	if (at_least > floor)
		floor = at_least;
	count = location->stale[cpu] < STALE_MAX ? readable(view, cpu, location, floor) : 1;
	return read_store(location, weak_choose(count), floor, site);
}

uint64_t weak_load(const void *address, unsigned size, struct weak_site *site)
{
	uint64_t value = 0;

	if (!weak_is_running()) {
		memcpy(&value, address, size);
		return value;
	}
	weak_step(STEP_LOAD, address, site, 0);
	return load(address, size, 0, site);
}

void weak_follows(const void *pointer, const void *address)
{
	struct view *view;
	struct location *location;

	if (!weak_is_running() || !pointer)
		return;
	view = self();
	location = location_of(address, sizeof(void *));
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

		note_plain_store(view->watched[i]);
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
	       (view->watches_devices && view->signals_seen != signals_given);
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

void weak_watch_devices(void)
{
	self()->watches_devices = true;
	self()->signals_seen = signals_given;
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
	struct view *view = self();
	struct location *location = location_of(address, 8);
	struct late *late;
	uint32_t floor;
	unsigned now, chosen;

	weak_step(STEP_LOAD, address, site, 0);
	for (unsigned i = 0; i < view->lates; i++) /* in order with its own late loads of the word */
		if (view->late[i].location == location)
			weak_step(STEP_DEPEND, NULL, site, view->late[i].number);
	if (view->lates == LATE_MAX)
		weak_fail("more than %u late loads", LATE_MAX);
	if (own_waiting(view, location))
		return (struct weak_loaded){load(address, 8, 0, site), 0};
	floor = floor_of(view, location);
	now = readable(view, weak_cpu(), location, floor);
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
		late->value = read_store(location, chosen, floor, site);
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
	late->floor = loaded_at(view, store->stamp, late->floor);
	if (late->number <= view->lates_before_loads)
		raise(&view->loads_floor, late->floor);
	if (story_is_told)
		story_line(cpu, late->site, "its load of %s, which read %#llx, is performed",
			   late->site->what, (unsigned long long)late->value);
}

uint64_t weak_load_after(const void *address, unsigned depends_on, struct weak_site *site)
{
	struct view *view = self();
	uint32_t floor = 0;

	if (depends_on)
		weak_step(STEP_DEPEND, NULL, site, depends_on);
	for (unsigned i = 0; i < view->lates; i++)
		if (view->late[i].number == depends_on)
			floor = view->late[i].floor;
	weak_step(STEP_LOAD, address, site, 0);
	return load(address, 8, floor, site);
}

/* ---- stores ---------------------------------------------------------------------------------- */

static struct waiting *put(void *address, unsigned size, uint64_t value, unsigned depends_on,
			   struct weak_site *site)
{
	struct view *view = self();
	struct location *location;

	memory_note_plain_accesses();
	if (view->waitings == WAITING_MAX)
		weak_step(STEP_DRAIN, NULL, site, 0);
	location = location_of(address, size);
	begin_access(address, size, true, site);
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
	struct view *view = self();

	perform(weak_cpu(), &(struct waiting){.location = location,
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
		then = changed(kind, value, operand);
		memcpy(address, &then, size);
		return value;
	}
	full_barrier();
	weak_step(STEP_CHANGE, address, site, 0);
	location = location_of(address, size);
	begin_access(address, size, true, site);
	value = read_store(location, 0, floor_of(self(), location), site);
	then = changed(kind, value, operand) & mask_of(size);
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
	full_barrier();
	weak_step(STEP_CHANGE, address, site, 0);
	location = location_of(address, size);
	begin_access(address, size, true, site);
	floor = floor_of(self(), location);
	count = location->stale[cpu] < STALE_MAX ? readable(self(), cpu, location, floor) : 1;
	chosen = weak_choose(1 + failing(location, wanted, count < 16 ? count : 16, age));
	found = read_store(location, chosen ? age[chosen - 1] : 0, floor, site);
	if (chosen == 0 && found == wanted) {
		if (story_is_told)
			story_line(cpu, site, "and at once stores %#llx", (unsigned long long)value);
		change(location, value);
	}
	full_barrier();
	return found;
}

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

static struct fences {
	struct weak_fence fence[FENCES_MAX];
	unsigned count;
} * fences;

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

static struct weak_fence *fence_of(struct weak_site *site)
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

static void note_partner(struct weak_fence *fence, struct weak_fence *other)
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
			note_partner(fence, view->read_from[i]);
			note_partner(view->read_from[i], fence);
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
	fence = fence_of(site);
	fence->passed++;
	set = fence->pairs_now;
	view = self();
	if (set & PAIR_WW)
		view->group++;
	if (set & PAIR_RW)
		view->lates_before_stores = view->numbers;
	if (set & PAIR_RR) {
		raise(&view->loads_floor, view->loaded);
		view->lates_before_loads = view->numbers;
	}
	if (set & PAIR_WR) {
		raise(&view->loads_floor, view->stored);
		view->before_loads = view->numbers;
	}
	if (set & PAIR_WO)
		view->before_devices = view->numbers;
	if (set & PAIR_IR)
		raise(&view->loads_floor, view->device_in);
	order_plain_accesses(view, set);
	note_partners(view, fence);
	if (story_is_told)
		story_line(weak_cpu(), site, "%s", site->what);
}

/* ---- devices --------------------------------------------------------------------------------- */

uint32_t memory_signal(void)
{
	unsigned at = signals_given++ % 256;

	signals[at].stamp = ++stamps;
	signals[at].before = self()->before_device;
	return stamps;
}

void weak_device_in(uint64_t instant)
{
	struct view *view = self();

	if (!weak_is_running())
		return;
	raise(&view->device_in, (uint32_t)instant);
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
	weak_step(STEP_DEVICE, site, site, 0);
	instant = memory_signal();
	if (story_is_told)
		story_line(weak_cpu(), site, "writes to %s", site->what);
	effect(argument);
	return instant;
}

/* ---- walks by an MMU ------------------------------------------------------------------------- */

/* Of stores that the hart sees, and of no others. */
void weak_fence_walks(struct weak_site *site)
{
	struct view *view = self();
	struct weak_fence *fence;

	if (!weak_is_running())
		return;
	memory_note_plain_accesses();
	fence = fence_of(site);
	fence->passed++;
	if (!(fence->pairs_now & PAIR_WALKS))
		return;
	view->before_walks = view->numbers;
	raise(&view->walks_floor, view->loads_floor);
	raise(&view->walks_floor, view->loaded);
	raise(&view->walks_floor, view->stored);
	if (story_is_told)
		story_line(weak_cpu(), site, "%s", site->what);
}

uint64_t weak_walk(const uint64_t *address, uint32_t *floor, struct weak_site *site)
{
	struct location *location;
	const struct store *store;
	unsigned count = 1, chosen;

	if (!weak_is_running())
		return *address;
	weak_step(STEP_WALK, address, site, 0);
	location = location_of(address, 8);
	raise(floor, self()->walks_floor);
	for (store = location->newest; store->stamp > *floor && store->older; store = store->older)
		count++;
	chosen = weak_choose(count);
	for (store = location->newest; chosen; chosen--)
		store = store->older;
	raise(floor, store->stamp);
	clocks_join(&self()->walked, &store->message);
	if (story_is_told)
		story_line(weak_cpu(), site, "the MMU reads %#llx%s",
			   (unsigned long long)store->value,
			   store == location->newest ? "" : ", an older entry");
	return store->value;
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
