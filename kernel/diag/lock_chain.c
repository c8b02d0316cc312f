/* SPDX-License-Identifier: BSD-2-Clause */
/* lock_chain.c - see lock_chain.h. Keeps no state but what is set at boot. */
#include "kernel/diag/lock_chain.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <port.h>

#include "kernel/settings.h"
#include "sync/lock_owners.h"
#include "sync/spinlock.h"

bool (*lock_chain_can_read)(const void *address, size_t bytes);

#define NAME_BYTES 17

enum end {
	WAITS,	 /* the chain goes on with the holder */
	RUNS,	 /* the cpu waits for no lock */
	UNKNOWN, /* the lock's holder is not known, or has just released it */
	BROKEN	 /* no lock is there */
};

struct link {
	struct lock_wait wait;
	struct lock_owner holder;
	char name[NAME_BYTES];
};

static bool can_read(const void *address, size_t bytes)
{
	return !lock_chain_can_read || lock_chain_can_read(address, bytes);
}

/* A name as far as it can be printed. */
static void copy_name(char *name, const char *from)
{
	unsigned length = 0;

	if (!can_read(from, NAME_BYTES - 1))
		from = "?";
	for (; length < NAME_BYTES - 1 && from[length]; length++)
		name[length] = from[length] > ' ' && from[length] <= '~' ? from[length] : '?';
	name[length] = '\0';
}

static enum end follow(unsigned cpu, struct link *link)
{
	if (!lock_wait_of(cpu, &link->wait))
		return RUNS;
	copy_name(link->name, link->wait.name);
	if ((uintptr_t)link->wait.lock % _Alignof(struct spinlock) != 0 ||
	    !can_read(link->wait.lock, sizeof(struct spinlock)))
		return BROKEN;
	return lock_owner_of(link->wait.lock, &link->holder) ? WAITS : UNKNOWN;
}

/* ---- one chain ---------------------------------------------------------------------------- */

/* The cpus of a chain, in its order. */
struct path {
	unsigned count;
	uint32_t cpu[LOCK_CHAIN_LINKS];
};

/* The place of a cpu in the path; path->count: it is not there. */
static unsigned place_of(const struct path *path, unsigned cpu)
{
	unsigned place = 0;

	while (place < path->count && path->cpu[place] != cpu)
		place++;
	return place;
}

static void print_site(uint64_t site)
{
	if (site)
		printf("at [<%#llx>]", (unsigned long long)site);
	else
		printf("call site not known");
}

/* The resolution of the clock is far below a tenth of a millisecond. */
static void print_wait(const struct lock_wait *wait, const char *name)
{
	uint64_t now = lock_owners_time();
	uint64_t ticks = now > wait->since ? now - wait->since : 0;
	uint64_t tenths = ticks * 10000 / settings.timebase;

	printf(" waits for %s (%llu.%llu ms, ", name, (unsigned long long)(tenths / 10),
	       (unsigned long long)(tenths % 10));
	print_site(wait->site);
	printf(")");
}

/* Prints a link and returns true where the chain goes on after it. */
static bool print_link(unsigned cpu, struct link *link, bool first)
{
	enum end end = follow(cpu, link);

	if (!first)
		printf(", which");
	if (end == RUNS) {
		printf(first ? " waits for no lock" : " runs");
		return false;
	}
	print_wait(&link->wait, link->name);
	if (end == BROKEN)
		printf(", but there is no lock at %#llx",
		       (unsigned long long)(uintptr_t)link->wait.lock);
	if (end == UNKNOWN)
		printf(", whose holder is not known");
	if (end != WAITS)
		return false;
	printf(" held by cpu %u (", link->holder.cpu);
	print_site(link->holder.site);
	printf(")");
	return true;
}

void lock_chain_print(unsigned cpu)
{
	struct path path = {0};
	struct link link;

	printf("cpu %u", cpu);
	while (print_link(cpu, &link, path.count == 0)) {
		path.cpu[path.count++] = cpu;
		cpu = link.holder.cpu;
		if (place_of(&path, cpu) < path.count) {
			printf(", which is in this chain already");
			break;
		}
		if (path.count == LOCK_CHAIN_LINKS) {
			printf(", and so on");
			break;
		}
	}
	printf("\n");
}

/* ---- circles ------------------------------------------------------------------------------ */

/*
 * Finds the cpus of the circle that the chain from `cpu` runs into; false: it runs into none of at most
 * LOCK_CHAIN_LINKS cpus.
 */
static bool find_circle(unsigned cpu, struct path *circle)
{
	struct path path = {0};
	struct link link;
	unsigned from;

	while (path.count < LOCK_CHAIN_LINKS && follow(cpu, &link) == WAITS) {
		path.cpu[path.count++] = cpu;
		cpu = link.holder.cpu;
		from = place_of(&path, cpu);
		if (from == path.count)
			continue;
		circle->count = path.count - from;
		memcpy(circle->cpu, &path.cpu[from], circle->count * sizeof(path.cpu[0]));
		return true;
	}
	return false;
}

static unsigned lowest_of(const struct path *circle)
{
	unsigned lowest = 0;

	for (unsigned i = 1; i < circle->count; i++)
		if (circle->cpu[i] < circle->cpu[lowest])
			lowest = i;
	return lowest;
}

static void write_circle(const struct path *circle, char *text, size_t bytes)
{
	unsigned lowest = lowest_of(circle);
	size_t used = 0;

	for (unsigned i = 0; i < circle->count && used < bytes; i++) {
		unsigned cpu = circle->cpu[(lowest + i) % circle->count];
		struct link link;

		if (follow(cpu, &link) == RUNS)
			strcpy(link.name, "?");
		used += (size_t)snprintf(text + used, bytes - used, "cpu %u -> %s -> ", cpu,
					 link.name);
	}
	if (used < bytes)
		snprintf(text + used, bytes - used, "cpu %u", (unsigned)circle->cpu[lowest]);
}

bool lock_chain_circle(unsigned cpu, char *text, size_t bytes)
{
	struct path circle;

	if (!find_circle(cpu, &circle))
		return false;
	write_circle(&circle, text, bytes);
	return true;
}

/* ---- all chains --------------------------------------------------------------------------- */

unsigned lock_chains_print(void)
{
	char text[32 * LOCK_CHAIN_LINKS];
	struct path circle;
	struct lock_wait wait;
	unsigned waiting = 0;

	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++) {
		if (!lock_wait_of(cpu, &wait))
			continue;
		waiting++;
		lock_chain_print(cpu);
	}
	for (unsigned cpu = 0; cpu < port_cpu_count(); cpu++) {
		if (!find_circle(cpu, &circle) || circle.cpu[lowest_of(&circle)] != cpu)
			continue;
		write_circle(&circle, text, sizeof(text));
		printf("deadlock: %s\n", text);
	}
	return waiting;
}

bool lock_chain_print_holder(const struct spinlock *lock)
{
	struct lock_owner holder;

	if (!lock_owner_of(lock, &holder))
		return false;
	printf("%s is held by cpu %u (", lock->name, holder.cpu);
	print_site(holder.site);
	printf(")\n");
	return true;
}
