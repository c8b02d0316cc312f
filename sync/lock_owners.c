/* SPDX-License-Identifier: BSD-2-Clause */
/* lock_owners.c - see lock_owners.h, which names the fences. */
#include "sync/lock_owners.h"

#if LOCK_OWNERS

#include <string.h>

#include "sync/counter_start.h"
#include "sync/spinlock.h"

struct lock_wait_record {
	_Alignas(PORT_CACHE_LINE) struct lock_wait wait; /* its number is 0: no wait is published */
	uint64_t numbers;				 /* this CPU's waits so far */
};

_Static_assert(offsetof(struct lock_wait_record, wait.number) == 0, "lock_wait_end() clears it");

static struct lock_wait_record *records;
static unsigned records_count;

void (*lock_wait_on_look)(void);

size_t lock_owners_bytes(unsigned cpus)
{
	return cpus * sizeof(struct lock_wait_record);
}

void lock_owners_start(void *memory, unsigned cpus)
{
	if (memory)
		memset(memory, 0, lock_owners_bytes(cpus));
	records = memory;
	records_count = memory ? cpus : 0;
	for (unsigned cpu = 0; COUNTERS_NEAR_WRAP && cpu < records_count; cpu++)
		records[cpu].numbers = TICKET_START;
}

/* ---- publishing: by the waiter ------------------------------------------------------------ */

static void word_set(const void *word, uint64_t value)
{
	ck_pr_store_64((uint64_t *)(uintptr_t)word, value);
}

static void publish(struct lock_wait_record *record, const struct lock_wait *wait)
{
	word_set(&record->wait.number, 0);
	ck_pr_fence_store(); /* (a) */
	word_set(&record->wait.lock, (uintptr_t)wait->lock);
	word_set(&record->wait.name, (uintptr_t)wait->name);
	word_set(&record->wait.site, wait->site);
	word_set(&record->wait.since, wait->since);
	word_set(&record->wait.holds, 0);
	ck_pr_fence_store(); /* (b) */
	word_set(&record->wait.number, wait->number);
}

static __attribute__((noinline, cold)) void panic_own(const struct spinlock *lock, uint64_t site,
						      const struct lock_owner *owner)
{
	port_panic("deadlock: cpu %u acquires lock %s at [<%#llx>], which it holds since [<%#llx>]",
		   owner->cpu, lock->name, (unsigned long long)site,
		   (unsigned long long)owner->site);
}

/*
 * Interrupts are masked, because a handler that waits takes a number too. A CPU's own note in the lock
 * is never stale, because the CPU replaces it at its release.
 */
void lock_wait_begin(struct spinlock *lock, const struct spin_node *node,
		     struct lock_wait_noted *noted)
{
	uint64_t site = node->stats.counted ? lock_owner_unpack(node->owner.note).site : 0;
	unsigned long flags = port_irq_save();
	unsigned self = port_cpu();
	struct lock_owner owner;

	noted->record = self < records_count ? &records[self] : NULL;
	if (noted->record) {
		noted->outer = noted->record->wait;
		publish(noted->record, &(struct lock_wait){.number = ++noted->record->numbers,
							   .lock = lock,
							   .name = lock->name,
							   .site = site,
							   .since = lock_owners_time()});
	}
	port_irq_restore(flags);
	if (__builtin_expect(lock_owner_of(lock, &owner) && owner.cpu == self, 0))
		panic_own(lock, site, &owner);
}

/* The interrupted wait gets a new number, so what the CPU had confirmed for it is no longer valid. */
void lock_wait_restore(struct lock_wait_noted *noted)
{
	noted->outer.number = ++noted->record->numbers;
	publish(noted->record, &noted->outer);
}

#if defined(PORT_WAIT_TURNS)

__attribute__((noinline, cold)) void lock_wait_look(void)
{
	PORT_WAIT_TURNS() = LOCK_WAIT_LOOK_TURNS;
	if (lock_wait_on_look)
		lock_wait_on_look();
}

#endif

/* ---- reading: by any CPU ------------------------------------------------------------------ */

static uint64_t word_of(const void *word)
{
	return ck_pr_load_64((const uint64_t *)word);
}

bool lock_wait_of(unsigned cpu, struct lock_wait *wait)
{
	const struct lock_wait *from;

	if (cpu >= records_count)
		return false;
	from = &records[cpu].wait;
	wait->number = word_of(&from->number);
	ck_pr_fence_load(); /* (d) */
	wait->lock = (const struct spinlock *)(uintptr_t)word_of(&from->lock);
	wait->name = (const char *)(uintptr_t)word_of(&from->name);
	wait->site = word_of(&from->site);
	wait->since = word_of(&from->since);
	wait->holds = (const struct spinlock *)(uintptr_t)word_of(&from->holds);
	ck_pr_fence_load(); /* (c) */
	return wait->number != 0 && word_of(&from->number) == wait->number;
}

bool lock_owner_of(const struct spinlock *lock, struct lock_owner *owner)
{
	uint64_t note = counter_read(&lock->word.note.holder);

	*owner = lock_owner_unpack(note);
	return lock_owner_is_held(note) && owner->cpu < port_cpu_count();
}

/* ---- deadlocks: by the waiter ------------------------------------------------------------- */

/* The lock by which the chain that begins with this CPU's wait comes back to it; NULL: it does not. */
static const struct spinlock *held_by_self(unsigned self)
{
	unsigned cpu = self;

	for (unsigned links = 0; links < records_count; links++) {
		struct lock_wait wait;
		struct lock_owner owner;

		if (!lock_wait_of(cpu, &wait) || !lock_owner_of(wait.lock, &owner))
			return NULL;
		if (owner.cpu == self)
			return wait.lock;
		cpu = owner.cpu;
	}
	return NULL;
}

/*
 * True if each CPU of the circle has confirmed that it holds the lock of the link before it, and has
 * waited for more than `settled` ticks at the time `now`.
 */
static bool all_confirmed(unsigned self, uint64_t now, uint64_t settled)
{
	unsigned cpu = self;

	for (unsigned links = 0; links < records_count; links++) {
		struct lock_wait wait, next;
		struct lock_owner owner;

		if (!lock_wait_of(cpu, &wait) || !lock_owner_of(wait.lock, &owner) ||
		    !lock_wait_of(owner.cpu, &next) || next.holds != wait.lock ||
		    next.since + settled >= now)
			return false;
		if (owner.cpu == self)
			return true;
		cpu = owner.cpu;
	}
	return false;
}

bool lock_wait_is_deadlock(uint64_t settled)
{
	unsigned self = port_cpu();
	const struct spinlock *held = held_by_self(self);
	uint64_t now = lock_owners_time();

	if (!held)
		return false;
	word_set(&records[self].wait.holds, (uintptr_t)held);
	return all_confirmed(self, now, settled);
}

#endif
