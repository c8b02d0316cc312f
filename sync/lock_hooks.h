/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_hooks.h - the one place where the statistics, the wait matrix and the trace are hooked into
 * the lock. For spinlock.c, which calls lock_stats_on_*(), and for the layers' own files.
 *
 *	spin_lock	on_lock		before the try: which part of the lock counts this acquire
 *	  no wait	on_acquire	in the critical section
 *	  a wait	on_wait		before the queue; on_waited in the critical section
 *	spin_unlock	on_unlock	in the critical section
 *			on_unlocked	after it
 *
 * In the critical section there is no more than the note of the holder, which is a store, and the
 * reading of the clock where the mode asks for it. With LOCK_STATS=0 every hook is empty.
 */
#pragma once

#include "sync/lock_stats.h"
#include "sync/spinlock.h"
#include "sync/trace.h"
#include "sync/wait_matrix.h"

#if LOCK_STATS

/* Plain; written at rest (spin_stats_configure). */
extern enum spin_stats_mode lock_stats_mode;

/* Counts the times of an acquire that read the clock, and its wait if it had one. */
void lock_stats_count_timed(struct spinlock *lock, const struct spin_node *node,
			    uint64_t released_ticks);

#endif

/* ---- the wait matrix ---------------------------------------------------------------------- */

#if WAIT_MATRIX

/* Adds one wait to the waiter's row, if the lock has a matrix. By the waiter, after its release. */
void wait_matrix_count(struct spinlock *lock, struct spin_cpu *waiter, uint64_t waited_ticks);

void wait_matrix_reset(struct spinlock *lock);

static inline void wait_matrix_note_site(struct spin_cpu *self, const void *site)
{
	counter_set(&self->matrix.site, (uintptr_t)site);
}

static inline void wait_matrix_note_holder(struct spinlock *lock, const struct spin_cpu *self)
{
	counter_set(&lock->word.note.holder, (uintptr_t)self);
}

/* Which CPU holds the lock that this one is going to wait for, and since which site. */
static inline void wait_matrix_find_holder(const struct spinlock *lock, struct spin_cpu *self)
{
	uint64_t holder = counter_read(&lock->word.note.holder);
	const struct spin_cpu *cpu = (const struct spin_cpu *)(uintptr_t)holder;

	self->matrix.holder = holder;
	self->matrix.holder_site = holder ? counter_read(&cpu->matrix.site) : 0;
}

#else

#define wait_matrix_count(lock, waiter, waited_ticks) ((void)(lock), (void)(waited_ticks))
#define wait_matrix_reset(lock)			      ((void)(lock))
#define wait_matrix_note_site(self, site)	      ((void)(site))
#define wait_matrix_note_holder(lock, self)	      ((void)(lock))
#define wait_matrix_find_holder(lock, self)	      ((void)(lock))

#endif

/* ---- the statistics ----------------------------------------------------------------------- */

#if LOCK_STATS

/* Returns how this acquire is counted: SPIN_STATS_OFF where the lock has no memory to count in. */
static inline enum spin_stats_mode lock_stats_on_lock(struct spinlock *lock, struct spin_node *node,
						      const void *site)
{
	enum spin_stats_mode mode = lock_stats_mode;

	node->stats.acquired_ticks = 0;
	if (mode == SPIN_STATS_OFF || !lock->cpus) {
		node->stats.counted = NULL;
		return SPIN_STATS_OFF;
	}
	node->stats.counted = &lock->cpus[port_cpu()];
	wait_matrix_note_site(node->stats.counted, site);
	return mode;
}

static inline void lock_stats_on_acquire(struct spinlock *lock, struct spin_node *node,
					 enum spin_stats_mode mode)
{
	if (mode == SPIN_STATS_OFF)
		return;
	wait_matrix_note_holder(lock, node->stats.counted);
	if (mode == SPIN_STATS_ALL)
		node->stats.acquired_ticks = port_clock();
}

/*
 * Returns when the wait began. The holder is read before the clock: it is why this CPU must wait.
 */
static inline uint64_t lock_stats_on_wait(struct spinlock *lock, struct spin_node *node)
{
	struct spin_cpu *self = node->stats.counted;

	if (!self)
		return 0;
	self->stats.trace_begun = trace_begin();
	wait_matrix_find_holder(lock, self);
	return port_clock();
}

static inline void lock_stats_on_waited(struct spinlock *lock, struct spin_node *node,
					uint64_t started_ticks)
{
	if (!node->stats.counted)
		return;
	wait_matrix_note_holder(lock, node->stats.counted);
	node->stats.acquired_ticks = port_clock();
	node->stats.waited_ticks = node->stats.acquired_ticks - started_ticks;
}

/* Returns when the critical section ends; 0 if its acquire did not read the clock. */
static inline uint64_t lock_stats_on_unlock(const struct spin_node *node)
{
	return node->stats.acquired_ticks ? port_clock() : 0;
}

static inline void lock_stats_on_unlocked(struct spinlock *lock, const struct spin_node *node,
					  uint64_t released_ticks)
{
	if (!node->stats.counted)
		return;
	counter_add(&node->stats.counted->stats.counts.acquisitions, 1);
	if (__builtin_expect(released_ticks != 0, 0))
		lock_stats_count_timed(lock, node, released_ticks);
}

#else

#define lock_stats_on_lock(lock, node, site)		   SPIN_STATS_OFF
#define lock_stats_on_acquire(lock, node, mode)		   ((void)(mode))
#define lock_stats_on_wait(lock, node)			   0
#define lock_stats_on_waited(lock, node, started_ticks)	   ((void)(started_ticks))
#define lock_stats_on_unlock(node)			   0
#define lock_stats_on_unlocked(lock, node, released_ticks) ((void)(released_ticks))

#endif
