/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * locations.c - the words of weak.h's memory and their stores; memory.c accesses them.
 *
 * A location keeps all stores of an execution. Its native memory always has the value of the newest
 * performed store, so code at rest, and a debugger, see an ordinary memory. A plain store by the code
 * under test changes the native memory alone. So the CPU notes a store for it before it does anything
 * else; and a plain load of a word for which the CPU has a waiting store finds that store in the
 * native memory for a moment.
 */
#include "tests/host/weak/model.h"

#include <stdlib.h>
#include <string.h>

#define LOCATIONS (1u << 14)
#define STORES	  (1u << 16)
#define PLAIN_MAX 64

struct view views[WEAK_CPUS_MAX];
uint32_t stamps;
bool atomics_are_full;

static struct location locations[LOCATIONS];
static struct store stores[STORES];
static uint32_t stores_used, execution, locations_used;
static unsigned cpu_count;

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

/* ---- locations ------------------------------------------------------------------------------- */

uint64_t memory_native(const struct location *location)
{
	uint64_t value = 0;

	memcpy(&value, (const void *)location->address, location->size);
	return value;
}

void memory_set_native(const struct location *location, uint64_t value)
{
	memcpy((void *)location->address, &value, location->size);
}

struct store *memory_new_store(struct location *location, uint64_t value, uint32_t stamp)
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
void memory_note_plain_store(struct location *location)
{
	uint64_t value = memory_native(location);

	if (location->newest->value == value)
		return;
	memory_new_store(location, value, ++stamps);
	location->seen[weak_cpu()] = stamps;
}

static uint32_t slot_of(uintptr_t address)
{
	return (uint32_t)(address * UINT64_C(0x9e3779b97f4a7c15) >> 40) % LOCATIONS;
}

struct location *memory_location(const void *pointer, unsigned size)
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
		memory_note_plain_store(location);
		return location;
	}
	if (++locations_used > LOCATIONS / 2)
		weak_fail("the execution has more than %u words", LOCATIONS / 2);
	memset(location, 0, sizeof(*location));
	location->address = address;
	location->size = size;
	location->execution = execution;
	memory_new_store(location, memory_native(location), 0);
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

const struct waiting *memory_own_waiting(const struct view *view, const struct location *location)
{
	for (unsigned i = view->waitings; i-- > 0;)
		if (view->waiting[i].location == location)
			return &view->waiting[i];
	return NULL;
}

void memory_perform_own(struct view *view, const struct location *location)
{
	while (memory_own_waiting(view, location))
		for (unsigned i = 0; i < view->waitings; i++)
			if (memory_may_perform(weak_cpu(), i)) {
				memory_perform(weak_cpu(), i);
				break;
			}
}

void memory_plain_store(uintptr_t address)
{
	struct location *location = location_around(address);
	struct view *view = view_self();

	if (!location || stored_plainlies == PLAIN_MAX)
		return;
	memory_perform_own(view, location); /* the earlier ones come first */
	stored_plainly[stored_plainlies++] = location;
}

void memory_plain_load(uintptr_t address)
{
	struct location *location = location_around(address);
	const struct waiting *own = location ? memory_own_waiting(view_self(), location) : NULL;

	if (own && own->changes) {
		memory_perform_own(view_self(), location);
		return;
	}
	if (!own || lents == PLAIN_MAX)
		return;
	lent[lents].location = location;
	lent[lents].value = memory_native(location);
	lent[lents++].own = own->value;
	memory_set_native(location, own->value);
}

void memory_note_plain_accesses(void)
{
	while (lents) {
		lents--;
		if (memory_native(lent[lents].location) == lent[lents].own)
			memory_set_native(lent[lents].location, lent[lents].value);
	}
	while (stored_plainlies)
		memory_note_plain_store(stored_plainly[--stored_plainlies]);
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
