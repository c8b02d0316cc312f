/* SPDX-License-Identifier: BSD-2-Clause */
/* spin_kinds.c - see spin_kinds.h. The fences are those inside the algorithms' functions. */
#include "sync/spin_kinds.h"

#include <port.h>

/* Algorithms whose lock is one word, and which need no node. */
#define SIMPLE_KIND(kind_name)                                                                     \
	void spin_acquire_##kind_name(struct spinlock *lock, struct spin_node *node)               \
	{                                                                                          \
		(void)node;                                                                        \
		ck_spinlock_##kind_name##_lock(&lock->word.kind_name);                             \
	}                                                                                          \
	void spin_release_##kind_name(struct spinlock *lock, struct spin_node *node)               \
	{                                                                                          \
		(void)node;                                                                        \
		ck_spinlock_##kind_name##_unlock(&lock->word.kind_name);                           \
	}                                                                                          \
	bool spin_held_##kind_name(struct spinlock *lock)                                          \
	{                                                                                          \
		return ck_spinlock_##kind_name##_locked(&lock->word.kind_name);                    \
	}

#define TRY_BY_TRYING(kind_name)                                                                   \
	bool spin_try_##kind_name(struct spinlock *lock, struct spin_node *node)                   \
	{                                                                                          \
		(void)node;                                                                        \
		return ck_spinlock_##kind_name##_trylock(&lock->word.kind_name);                   \
	}

#define TRY_BY_ASKING(kind_name)                                                                   \
	bool spin_try_##kind_name(struct spinlock *lock, struct spin_node *node)                   \
	{                                                                                          \
		if (spin_held_##kind_name(lock))                                                   \
			return false;                                                              \
		spin_acquire_##kind_name(lock, node);                                              \
		return true;                                                                       \
	}

SIMPLE_KIND(fas)
TRY_BY_TRYING(fas)
SIMPLE_KIND(cas)
TRY_BY_TRYING(cas)
SIMPLE_KIND(dec)
TRY_BY_TRYING(dec)
SIMPLE_KIND(ticket)
TRY_BY_ASKING(ticket)
TRY_BY_ASKING(clh)
TRY_BY_ASKING(anderson)
TRY_BY_ASKING(ticket_pb)
TRY_BY_ASKING(cohort)
TRY_BY_ASKING(hclh)

bool spin_try_mcs(struct spinlock *lock, struct spin_node *node)
{
	return ck_spinlock_mcs_trylock(&lock->word.mcs, &node->mcs);
}

void spin_acquire_mcs(struct spinlock *lock, struct spin_node *node)
{
	ck_spinlock_mcs_lock(&lock->word.mcs, &node->mcs);
}

void spin_release_mcs(struct spinlock *lock, struct spin_node *node)
{
	ck_spinlock_mcs_unlock(&lock->word.mcs, &node->mcs);
}

bool spin_held_mcs(struct spinlock *lock)
{
	return ck_spinlock_mcs_locked(&lock->word.mcs);
}

bool spin_held_clh(struct spinlock *lock)
{
	return ck_spinlock_clh_locked(&lock->word.clh);
}

void spin_acquire_clh(struct spinlock *lock, struct spin_node *node)
{
	(void)node;
	ck_spinlock_clh_lock(&lock->word.clh, lock->cpus[port_cpu()].clh);
}

void spin_release_clh(struct spinlock *lock, struct spin_node *node)
{
	(void)node;
	ck_spinlock_clh_unlock(&lock->cpus[port_cpu()].clh);
}

/* Concurrency Kit's own function masks the position, which is wrong for 3, 5, 6... slots. */
bool spin_held_anderson(struct spinlock *lock)
{
	struct ck_spinlock_anderson *word = &lock->word.anderson;
	unsigned position = ck_pr_load_uint(&word->next) % word->count;
	bool held = ck_pr_load_uint(&word->slots[position].locked);

	ck_pr_fence_acquire();
	return held;
}

void spin_acquire_anderson(struct spinlock *lock, struct spin_node *node)
{
	ck_spinlock_anderson_lock(&lock->word.anderson, &node->anderson);
}

void spin_release_anderson(struct spinlock *lock, struct spin_node *node)
{
	ck_spinlock_anderson_unlock(&lock->word.anderson, node->anderson);
}

/*
 * Turns of the wait for each CPU ahead, as a power of two. The CPU that is next looks every 16 turns
 * of a few instructions, so it comes late by less than a short critical section lasts.
 */
#define TICKET_PB_SHIFT 4

void spin_acquire_ticket_pb(struct spinlock *lock, struct spin_node *node)
{
	(void)node;
	ck_spinlock_ticket_lock_pb(&lock->word.ticket, TICKET_PB_SHIFT);
}

void spin_release_ticket_pb(struct spinlock *lock, struct spin_node *node)
{
	(void)node;
	ck_spinlock_ticket_unlock(&lock->word.ticket);
}

bool spin_held_ticket_pb(struct spinlock *lock)
{
	return ck_spinlock_ticket_locked(&lock->word.ticket);
}

/* A group holds the global lock, whichever of its CPUs is in the critical section. */
bool spin_held_cohort(struct spinlock *lock)
{
	return ck_spinlock_ticket_locked(&lock->word.ticket);
}

/* The fences beside the kit's: see cohort.h. */
void spin_acquire_cohort(struct spinlock *lock, struct spin_node *node)
{
	struct spin_group *group = &lock->cpus[port_cpu_group()].group;

	ck_cohort_spin_lock(&group->cohort, NULL, &node->mcs);
	ck_pr_fence_lock();
}

void spin_release_cohort(struct spinlock *lock, struct spin_node *node)
{
	struct spin_group *group = &lock->cpus[port_cpu_group()].group;

	ck_pr_fence_unlock();
	ck_cohort_spin_unlock(&group->cohort, NULL, &node->mcs);
}

bool spin_try_qspinlock(struct spinlock *lock, struct spin_node *node)
{
	(void)node;
	return spin_qspinlock_trylock(&lock->word.qspinlock);
}

void spin_acquire_qspinlock(struct spinlock *lock, struct spin_node *node)
{
	spin_qspinlock_lock(&lock->word.qspinlock, &node->qspinlock);
}

void spin_release_qspinlock(struct spinlock *lock, struct spin_node *node)
{
	(void)node;
	spin_qspinlock_unlock(&lock->word.qspinlock);
}

bool spin_held_qspinlock(struct spinlock *lock)
{
	return spin_qspinlock_locked(&lock->word.qspinlock);
}

bool spin_try_reciprocating(struct spinlock *lock, struct spin_node *node)
{
	return spin_reciprocating_trylock(&lock->word.reciprocating, &node->reciprocating);
}

void spin_acquire_reciprocating(struct spinlock *lock, struct spin_node *node)
{
	spin_reciprocating_lock(&lock->word.reciprocating, &node->reciprocating);
}

void spin_release_reciprocating(struct spinlock *lock, struct spin_node *node)
{
	spin_reciprocating_unlock(&lock->word.reciprocating, &node->reciprocating);
}

bool spin_held_reciprocating(struct spinlock *lock)
{
	return spin_reciprocating_locked(&lock->word.reciprocating);
}

void spin_acquire_hclh(struct spinlock *lock, struct spin_node *node)
{
	unsigned group = port_cpu_group();

	node->hclh = spin_hclh_lock(&lock->word.hclh, &lock->cpus[group].hclh_queue, group,
				    lock->cpus[port_cpu()].hclh);
}

void spin_release_hclh(struct spinlock *lock, struct spin_node *node)
{
	struct spin_cpu *self = &lock->cpus[port_cpu()];

	spin_hclh_unlock(self->hclh);
	self->hclh = node->hclh;
}

bool spin_held_hclh(struct spinlock *lock)
{
	return spin_hclh_locked(&lock->word.hclh);
}

/* ---- no lock ------------------------------------------------------------------------------ */

static __attribute__((noinline, cold)) void panic_held(const struct spinlock *lock, unsigned owner)
{
	port_panic(
		"spin_lock: lock %s: kind none is for one cpu: cpu %u acquires it, held by cpu %u",
		lock->name, port_cpu(), owner - 1);
}

static __attribute__((noinline, cold)) void panic_not_owner(const struct spinlock *lock,
							    unsigned owner)
{
	if (!owner)
		port_panic("spin_unlock: lock %s: kind none: cpu %u releases it, it is not held",
			   lock->name, port_cpu());
	port_panic(
		"spin_unlock: lock %s: kind none is for one cpu: cpu %u releases it, held by cpu "
		"%u",
		lock->name, port_cpu(), owner - 1);
}

/* Never waits: one CPU runs, so an owner that it finds is a mistake. */
void spin_acquire_none(struct spinlock *lock, struct spin_node *node)
{
	unsigned owner = ck_pr_load_uint(&lock->word.owner);

	(void)node;
	if (__builtin_expect(owner != 0, 0))
		panic_held(lock, owner);
	ck_pr_store_uint(&lock->word.owner, port_cpu() + 1);
}

bool spin_try_none(struct spinlock *lock, struct spin_node *node)
{
	spin_acquire_none(lock, node);
	return true;
}

void spin_release_none(struct spinlock *lock, struct spin_node *node)
{
	unsigned owner = ck_pr_load_uint(&lock->word.owner);

	(void)node;
	if (__builtin_expect(owner != port_cpu() + 1, 0))
		panic_not_owner(lock, owner);
	ck_pr_store_uint(&lock->word.owner, 0);
}

bool spin_held_none(struct spinlock *lock)
{
	return ck_pr_load_uint(&lock->word.owner) != 0;
}

/* ---- by kind ------------------------------------------------------------------------------ */

/* Written out, so that `make lint` finds what a call through the table may reach. */
const struct spin_algorithm spin_algorithms[] = {
	[SPIN_FAS] = {.try_acquire = spin_try_fas,
		      .acquire = spin_acquire_fas,
		      .release = spin_release_fas,
		      .held = spin_held_fas},
	[SPIN_CAS] = {.try_acquire = spin_try_cas,
		      .acquire = spin_acquire_cas,
		      .release = spin_release_cas,
		      .held = spin_held_cas},
	[SPIN_DEC] = {.try_acquire = spin_try_dec,
		      .acquire = spin_acquire_dec,
		      .release = spin_release_dec,
		      .held = spin_held_dec},
	[SPIN_TICKET] = {.try_acquire = spin_try_ticket,
			 .acquire = spin_acquire_ticket,
			 .release = spin_release_ticket,
			 .held = spin_held_ticket},
	[SPIN_MCS] = {.try_acquire = spin_try_mcs,
		      .acquire = spin_acquire_mcs,
		      .release = spin_release_mcs,
		      .held = spin_held_mcs},
	[SPIN_CLH] = {.try_acquire = spin_try_clh,
		      .acquire = spin_acquire_clh,
		      .release = spin_release_clh,
		      .held = spin_held_clh},
	[SPIN_ANDERSON] = {.try_acquire = spin_try_anderson,
			   .acquire = spin_acquire_anderson,
			   .release = spin_release_anderson,
			   .held = spin_held_anderson},
	[SPIN_TICKET_PB] = {.try_acquire = spin_try_ticket_pb,
			    .acquire = spin_acquire_ticket_pb,
			    .release = spin_release_ticket_pb,
			    .held = spin_held_ticket_pb},
	[SPIN_COHORT] = {.try_acquire = spin_try_cohort,
			 .acquire = spin_acquire_cohort,
			 .release = spin_release_cohort,
			 .held = spin_held_cohort},
	[SPIN_QSPINLOCK] = {.try_acquire = spin_try_qspinlock,
			    .acquire = spin_acquire_qspinlock,
			    .release = spin_release_qspinlock,
			    .held = spin_held_qspinlock},
	[SPIN_RECIPROCATING] = {.try_acquire = spin_try_reciprocating,
				.acquire = spin_acquire_reciprocating,
				.release = spin_release_reciprocating,
				.held = spin_held_reciprocating},
	[SPIN_HCLH] = {.try_acquire = spin_try_hclh,
		       .acquire = spin_acquire_hclh,
		       .release = spin_release_hclh,
		       .held = spin_held_hclh},
	[SPIN_NONE] = {.try_acquire = spin_try_none,
		       .acquire = spin_acquire_none,
		       .release = spin_release_none,
		       .held = spin_held_none},
};
