/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_hooks.h - the one place where the statistics, the owners, the wait matrix and the trace are
 * hooked into the lock. For spinlock.c, which calls lock_stats_on_*(), and for the layers' own files.
 *
 *	spin_lock	on_lock		before the try: which part of the lock counts this acquire
 *	  no wait	on_acquire	in the critical section
 *	  a wait	on_wait		before the queue; on_waited in the critical section;
 *					around the queue lock_wait_begin() and lock_wait_end()
 *	spin_unlock	on_unlock	in the critical section
 *			on_unlocked	after it
 *
 * In the critical section there is no more than the note of the holder, which is two stores, and the
 * reading of the clock where the mode asks for it. With LOCK_STATS=0 every hook is empty.
 */
#pragma once

#include "sync/lock_owners.h"
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

/* ---- the owners --------------------------------------------------------------------------- */

#if LOCK_OWNERS

/* Before the try: what this CPU will note in the lock once it has it. */
static inline void lock_owner_prepare(struct spin_node *node, const void *site, unsigned cpu)
{
	node->owner.note = lock_owner_pack(site, cpu);
}

/* In the critical section: one load and one store. */
static inline void lock_owner_note(struct spinlock *lock, const struct spin_node *node)
{
	counter_set(&lock->word.note.holder, node->owner.note);
}

/* The last thing in the critical section, of every release: one load, one store. */
static inline void lock_owner_release(struct spinlock *lock, const struct spin_node *node)
{
	counter_set(&lock->word.note.holder, ~node->owner.note);
}

/* The call site of this acquire; 0: not known. */
static inline uint64_t lock_owner_site(const struct spin_node *node)
{
	return lock_owner_unpack(node->owner.note).site;
}

/* Of an acquire that is not counted: no CPU is known. */
static inline void lock_owner_forget(struct spin_node *node)
{
	node->owner.note = 0;
}

#else

#define lock_owner_prepare(node, site, cpu) ((void)(site), (void)(cpu))
#define lock_owner_note(lock, node)	    ((void)(lock))
#define lock_owner_release(lock, node)	    ((void)(lock))
#define lock_owner_forget(node)		    ((void)(node))
#define lock_owner_site(node)		    0

#endif

/* ---- the wait matrix ---------------------------------------------------------------------- */

#if WAIT_MATRIX

/* Adds one wait to the waiter's row, if the lock has a matrix. By the waiter, after its release. */
void wait_matrix_count(struct spinlock *lock, const struct spin_node *node);

void wait_matrix_reset(struct spinlock *lock);

/* Which CPU holds the lock that this one is going to wait for, or held it last, and since which site. */
static inline void wait_matrix_find_holder(const struct spinlock *lock, struct spin_cpu *self)
{
	self->matrix.holder = lock_owner_last(counter_read(&lock->word.note.holder));
}

/* What that was, for the event of the wait; 0: not known. */
static inline uint64_t wait_matrix_holder(const struct spin_cpu *self)
{
	return self->matrix.holder;
}

#else

#define wait_matrix_count(lock, node)	    ((void)(lock))
#define wait_matrix_reset(lock)		    ((void)(lock))
#define wait_matrix_find_holder(lock, self) ((void)(lock))
#define wait_matrix_holder(self)	    0

#endif

/* ---- the statistics ----------------------------------------------------------------------- */

#if LOCK_STATS

/* Returns how this acquire is counted: SPIN_STATS_OFF where the lock has no memory to count in. */
static inline enum spin_stats_mode lock_stats_on_lock(struct spinlock *lock, struct spin_node *node,
						      const void *site)
{
	enum spin_stats_mode mode = lock_stats_mode;
	unsigned cpu;

	node->stats.acquired_ticks = 0;
	if (mode == SPIN_STATS_OFF || !lock->cpus) {
		node->stats.counted = NULL;
		lock_owner_forget(node);
		return SPIN_STATS_OFF;
	}
	cpu = port_cpu();
	node->stats.counted = &lock->cpus[cpu];
	lock_owner_prepare(node, site, cpu);
	return mode;
}

static inline void lock_stats_on_acquire(struct spinlock *lock, struct spin_node *node,
					 enum spin_stats_mode mode)
{
	if (mode == SPIN_STATS_OFF)
		return;
	lock_owner_note(lock, node);
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
	lock_owner_note(lock, node);
	node->stats.acquired_ticks = port_clock();
	node->stats.waited_ticks = node->stats.acquired_ticks - started_ticks;
}

/* Returns when the critical section ends; 0 if its acquire did not read the clock. */
static inline uint64_t lock_stats_on_unlock(struct spinlock *lock, const struct spin_node *node)
{
	lock_owner_release(lock, node);
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

/*
 * The same hooks for the fast way (spin_fast.h). It is for an acquire without a wait in a mode that reads
 * the clock only for waits, so the clock is not read. Where nothing is counted, the same stores go where
 * no reader looks: so the fast way tests the mode once.
 */
static inline void lock_fast_prepare(struct lock_fast *fast, struct spinlock *lock, const void *site)
{
	bool counts = lock_stats_mode != SPIN_STATS_OFF;

	fast->mode = counts ? SPIN_STATS_CONTENDED : SPIN_STATS_OFF;
	fast->acquisitions = counts ? &lock->cpus[port_cpu()].stats.counts.acquisitions
				    : &fast->ignored;
#if LOCK_OWNERS
	fast->note = counts ? lock_owner_pack(site, port_cpu()) : 0;
#else
	(void)site;
#endif
}

/* False: for the mode of this moment it was not prepared, or there is no fast way. */
static inline bool lock_fast_on_lock(const struct lock_fast *fast)
{
	return lock_stats_mode == fast->mode;
}

/* True if it was prepared for another mode, and would be of use if it were prepared again. */
static inline bool lock_fast_is_stale(const struct lock_fast *fast)
{
	return lock_stats_mode != fast->mode && lock_stats_mode != SPIN_STATS_ALL;
}

/* In the critical section, at its beginning and at its end. */
static inline void lock_fast_on_acquire(struct spinlock *lock, const struct lock_fast *fast)
{
#if LOCK_OWNERS
	counter_set(&lock->word.note.holder, fast->note);
#else
	(void)lock;
	(void)fast;
#endif
}

static inline void lock_fast_on_unlock(struct spinlock *lock, const struct lock_fast *fast)
{
#if LOCK_OWNERS
	counter_set(&lock->word.note.holder, ~fast->note);
#else
	(void)lock;
	(void)fast;
#endif
}

static inline void lock_fast_on_unlocked(const struct lock_fast *fast)
{
	counter_add(fast->acquisitions, 1);
}

#else

#define lock_fast_prepare(fast, lock, site) ((void)(fast), (void)(lock), (void)(site))
#define lock_fast_on_lock(fast)		    ((void)(fast), true)
#define lock_fast_is_stale(fast)	    ((void)(fast), false)
#define lock_fast_on_acquire(lock, fast)    ((void)(fast))
#define lock_fast_on_unlock(lock, fast)	    ((void)(fast))
#define lock_fast_on_unlocked(fast)	    ((void)(fast))

#define lock_stats_on_lock(lock, node, site)		   SPIN_STATS_OFF
#define lock_stats_on_acquire(lock, node, mode)		   ((void)(mode))
#define lock_stats_on_wait(lock, node)			   0
#define lock_stats_on_waited(lock, node, started_ticks)	   ((void)(started_ticks))
#define lock_stats_on_unlock(lock, node)		   0
#define lock_stats_on_unlocked(lock, node, released_ticks) ((void)(released_ticks))

#endif
