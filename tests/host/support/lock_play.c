/* SPDX-License-Identifier: BSD-2-Clause */
/* lock_play.c - see lock_play.h. */
#include "lock_play.h"

#include <stdlib.h>

#include "host.h"
#include "sync/lock_owners.h"
#include "tried_lock.h"
#include "unit.h"

struct spinlock played[PLAYED_LOCKS];

static void *lock_memory[PLAYED_LOCKS], *records;

static struct {
	bool is;
	unsigned cpu;
	struct spin_node node;
} held[PLAYED_LOCKS];

static struct {
	const struct play_step *steps;
	unsigned count, next;
	void (*look)(void);
} play;

static __attribute__((noinline)) void lock_to_hold(struct spinlock *lock, struct spin_node *node)
{
	spin_lock(lock, node);
	__asm__ volatile("" ::: "memory"); /* not by a jump */
}

static __attribute__((noinline)) void lock_to_wait(struct spinlock *lock, struct spin_node *node)
{
	spin_lock(lock, node);
	__asm__ volatile("" ::: "memory");
}

void lock_play_start(enum spin_kind kind, unsigned cpus)
{
	static const char *const names[PLAYED_LOCKS] = {"lock0", "lock1", "lock2", "lock3"};

	host_memory_start(1 << 20, cpus);
	for (unsigned i = 0; i < PLAYED_LOCKS; i++) {
		lock_memory[i] = aligned_alloc(PORT_CACHE_LINE, spin_bytes(cpus));
		spin_init(&played[i], names[i], kind, cpus, lock_memory[i]);
		held[i].is = false;
	}
	records = aligned_alloc(PORT_CACHE_LINE, lock_owners_bytes(cpus) + PORT_CACHE_LINE);
	lock_owners_start(records, cpus);
}

void lock_play_end(void)
{
	become(0);
	lock_owners_start(NULL, 0);
	free(records);
	for (unsigned i = 0; i < PLAYED_LOCKS; i++)
		free(lock_memory[i]);
	host_on_relax = NULL;
	host_memory_end();
}

void lock_play_hold(unsigned cpu, unsigned lock)
{
	unsigned before = port_cpu();

	become(cpu);
	lock_to_hold(&played[lock], &held[lock].node);
	CHECK(!held[lock].node.contended);
	held[lock].is = true;
	held[lock].cpu = cpu;
	become(before);
}

void lock_play_release(unsigned lock)
{
	unsigned before = port_cpu();

	CHECK(held[lock].is);
	held[lock].is = false;
	become(held[lock].cpu);
	spin_unlock(&played[lock], &held[lock].node);
	become(before);
}

static void play_on(void);

static void wait_for(const struct play_step *step)
{
	struct spin_node node;

	become(step->cpu);
	host_on_relax = play_on;
	lock_to_wait(&played[step->lock], &node);
	CHECK(node.contended && !host_on_relax);
	spin_unlock(&played[step->lock], &node);
}

static void play_next(void)
{
	while (play.next < play.count && !play.steps[play.next].waits) {
		const struct play_step *step = &play.steps[play.next++];

		lock_play_hold(step->cpu, step->lock);
	}
	if (play.next == play.count)
		play.look();
	else
		wait_for(&play.steps[play.next++]);
}

/* In the wait of the last step; ends with its lock free. */
static void play_on(void)
{
	const struct play_step *around = &play.steps[play.next - 1];

	host_on_relax = NULL;
	play_next();
	if (held[around->lock].is)
		lock_play_release(around->lock);
	become(around->cpu);
}

void lock_play(const struct play_step *steps, unsigned count, void (*look)(void))
{
	play.steps = steps;
	play.count = count;
	play.next = 0;
	play.look = look;
	play_next();
	become(0);
}

static uint64_t site_of(void (*acquire)(struct spinlock *lock, struct spin_node *node))
{
	struct lock_owner owner = {0};
	struct spin_node node;

	acquire(&played[PLAYED_LOCKS - 1], &node);
	lock_owner_of(&played[PLAYED_LOCKS - 1], &owner);
	spin_unlock(&played[PLAYED_LOCKS - 1], &node);
	CHECK(owner.site - (uintptr_t)acquire < 1024);
	return owner.site;
}

uint64_t lock_play_hold_site(void)
{
	return site_of(lock_to_hold);
}

uint64_t lock_play_wait_site(void)
{
	return site_of(lock_to_wait);
}
