/* SPDX-License-Identifier: BSD-2-Clause */
/* Builds: weak */
/*
 * test_weak_owners.c - the records of CPUs that wait for a lock, and the notes of its holder, on the
 * weak-memory explorer. The other programs of the explorer have no statistics of locks, so this one
 * compiles sync/lock_owners.c for itself; it calls no other code that has a lock's structure.
 *
 * Covers: sync/lock_owners.c sync/lock_owners.h
 */
#undef LOCK_STATS
#define LOCK_STATS 1

#include "sync/lock_owners.c"

#include "tests/host/support/host.h"
#include "tests/host/support/unit.h"
#include "tests/host/weak/weak.h"

#define CPUS  2
#define LOCKS 2
#define READS 3

static struct spinlock locks[LOCKS];
static const char *const names[LOCKS] = {"first", "second"};
static struct lock_wait_record memory[CPUS];

static void setup(void)
{
	memset(locks, 0, sizeof(locks));
	for (unsigned i = 0; i < LOCKS; i++)
		locks[i].name = names[i];
	lock_owners_start(memory, CPUS);
}

/* A wait; in it, as a handler does, the waits for the locks behind it. */
static void wait_for(unsigned first, unsigned end)
{
	struct spin_node node = {.stats.counted = false};
	struct lock_wait_noted noted;

	lock_wait_begin(&locks[first], &node, &noted);
	if (first + 1 < end)
		wait_for(first + 1, end);
	lock_wait_end(&noted);
}

static bool is_of_one_wait(const struct lock_wait *wait)
{
	for (unsigned i = 0; i < LOCKS; i++)
		if (wait->lock == &locks[i])
			return wait->name == names[i];
	return false;
}

/* A record is that of one wait, or it is refused. */
static void wait_and_read(unsigned cpu)
{
	struct lock_wait wait;

	if (cpu == 0) {
		wait_for(0, LOCKS);
		return;
	}
	for (unsigned i = 0; i < READS; i++)
		if (lock_wait_of(0, &wait) && !is_of_one_wait(&wait))
			weak_fail("a record is not of one wait: lock %p, %s",
				  (const void *)wait.lock, wait.name ? wait.name : "no name");
}

/*
 * A CPU that holds a lock does not wait for it. The reader goes from the note to the record of the CPU
 * that it names: by the address.
 */
static void hold_and_read(unsigned cpu)
{
	struct lock_owner owner;
	struct lock_wait wait;

	if (cpu == 0) {
		wait_for(0, 1);
		counter_set(&locks[0].word.note.holder,
			    lock_owner_pack(names, 0)); /* lock_hooks.h */
		return;
	}
	if (!lock_owner_of(&locks[0], &owner))
		return;
	weak_follows(&records[owner.cpu], &locks[0].word.note.holder);
	if (lock_wait_of(owner.cpu, &wait) && wait.lock == &locks[0])
		weak_fail("cpu %u holds a lock, and waits for it", owner.cpu);
}

static void run(const char *name, void (*work)(unsigned cpu), uint64_t executions)
{
	struct weak_workload workload = {
		.name = name, .cpus = CPUS, .setup = setup, .work = work, .some = executions};

	host_memory_start(1 << 20, CPUS);
	weak_explore(&workload);
	host_memory_end();
}

TEST(a_record_is_of_one_wait)
{
	run("owners-record", wait_and_read, 5000);
}

TEST(the_holder_does_not_wait)
{
	run("owners-holder", hold_and_read, 1000);
}
