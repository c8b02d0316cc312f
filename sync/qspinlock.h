/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qspinlock.h - a spinlock of one word: a fast path, one pending waiter, then a queue. This is the
 * combination that Linux calls qspinlock (Long, Zijlstra, 2014); the queue is that of Mellor-Crummey
 * and Scott (TOCS 1991). The code is this project's.
 *
 * The word holds the whole state:
 *
 *	bit 0	HELD: a CPU holds the lock
 *	bit 1	PENDING: a CPU waits for HELD to go and takes the lock next
 *	rest	the node of the last CPU in the queue, 0: no CPU is queued
 *
 * A CPU that finds 0 sets HELD. A CPU that finds HELD alone sets PENDING and waits at the word: two
 * CPUs need no node. A CPU that finds anything else, or whose compare-and-swap loses, queues its
 * node. The first CPU of the queue, the head, waits until HELD and PENDING are both 0; every other
 * CPU of the queue waits at its own node.
 *
 * Invariants:
 *
 *   - PENDING is set only in a word that is HELD and nothing else, so a CPU with PENDING came before
 *     every CPU of the queue. The lock serves in the order in which CPUs got PENDING or a place.
 *   - While a CPU is queued, no CPU sets HELD or PENDING but the pending CPU, which changes one into
 *     the other, and the head. So what the head reads as 0 stays 0 until the head itself sets HELD.
 *   - A node is used only within its CPU's acquire. The head leaves the queue as it takes the lock:
 *     it clears the rest of the word if it is the last, or makes the next CPU the head.
 *
 * The fences, for RVWMO, with atomics that order nothing:
 *
 *	(a) release in unlock		before HELD goes; pairs with (b)
 *	(b) lock in try and lock	after the access that took the lock
 *	(c) store before atomic		a node is initialised before another CPU can reach it: through
 *					the word, or through the `next` of the CPU before. That CPU
 *					reaches it by an address that depends on what it read
 *	(d) release in hand_head_on	HELD is set before the next CPU becomes the head; pairs with (e)
 *	(e) acquire in wait_for_head	the new head reads the word only after that, so it does not see
 *					the word without HELD as it was before
 *	(f) both in wait_for_head	the node before is initialised before this CPU links itself to it;
 *					pairs with (c). RISC-V orders that without a fence, because the
 *					address depends on what was read; C11 does not
 *
 * Writers: any CPU writes the word, by atomics. A CPU writes its node before (c); then `next` is
 * written by the CPU behind it, and `waits` by the CPU before it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/ck.h"
#include "sync/lock_owners.h"

#define SPIN_QSPINLOCK_HELD    UINT64_C(1)
#define SPIN_QSPINLOCK_PENDING UINT64_C(2)
#define SPIN_QSPINLOCK_BITS    (SPIN_QSPINLOCK_HELD | SPIN_QSPINLOCK_PENDING)

struct spin_qspinlock {
	uint64_t word;
};

struct spin_qspinlock_node {
	uint64_t next;	/* the node of the CPU behind, 0: none is known yet */
	uint32_t waits; /* 1: not the head yet */
};

_Static_assert(_Alignof(struct spin_qspinlock_node) > SPIN_QSPINLOCK_BITS,
	       "an address of a node leaves room for the bits");

static inline void spin_qspinlock_init(struct spin_qspinlock *lock)
{
	lock->word = 0;
}

/* True if a CPU holds it, or is about to: it waits and has its place. */
static inline bool spin_qspinlock_locked(struct spin_qspinlock *lock)
{
	bool locked = ck_pr_load_64(&lock->word) != 0;

	ck_pr_fence_acquire();
	return locked;
}

static inline bool spin_qspinlock_trylock(struct spin_qspinlock *lock)
{
	bool won;

	if (ck_pr_load_64(&lock->word) != 0)
		return false;
	won = ck_pr_cas_64(&lock->word, 0, SPIN_QSPINLOCK_HELD);
	ck_pr_fence_lock(); /* (b) */
	return won;
}

/* Tries to become the pending CPU; returns whether this CPU has taken the lock that way. */
static inline bool spin_qspinlock_lock_pending(struct spin_qspinlock *lock)
{
	if (!ck_pr_cas_64(&lock->word, SPIN_QSPINLOCK_HELD, SPIN_QSPINLOCK_BITS))
		return false;
	while (ck_pr_load_64(&lock->word) & SPIN_QSPINLOCK_HELD)
		lock_wait_turn();
	/* PENDING becomes HELD; CPUs that queue meanwhile change the rest. */
	ck_pr_faa_64(&lock->word, SPIN_QSPINLOCK_HELD - SPIN_QSPINLOCK_PENDING);
	ck_pr_fence_lock(); /* (b) */
	return true;
}

/* Puts the node at the end of the queue. Returns the node before it, or 0 if there was none. */
static inline uint64_t spin_qspinlock_enqueue(struct spin_qspinlock *lock,
					      struct spin_qspinlock_node *node)
{
	uint64_t word = ck_pr_load_64(&lock->word);

	ck_pr_store_64(&node->next, 0);
	ck_pr_store_32(&node->waits, 1);
	ck_pr_fence_store_atomic(); /* (c) */
	while (!ck_pr_cas_64_value(&lock->word, word,
				   (uint64_t)(uintptr_t)node | (word & SPIN_QSPINLOCK_BITS), &word))
		;
	return word & ~SPIN_QSPINLOCK_BITS;
}

static inline void spin_qspinlock_wait_for_head(struct spin_qspinlock_node *node,
						uint64_t predecessor)
{
	struct spin_qspinlock_node *before = (struct spin_qspinlock_node *)(uintptr_t)predecessor;

	ck_pr_fence_acqrel(); /* (f) */
	ck_pr_store_64(&before->next, (uint64_t)(uintptr_t)node);
	while (ck_pr_load_32(&node->waits))
		lock_wait_turn();
	ck_pr_fence_acquire(); /* (e) */
}

/* By the head, which has set HELD and is not the last: waits for the next CPU's address. */
static inline void spin_qspinlock_hand_head_on(struct spin_qspinlock_node *node)
{
	struct spin_qspinlock_node *next;

	while (!(next = (struct spin_qspinlock_node *)(uintptr_t)ck_pr_load_ptr(&node->next)))
		lock_wait_turn();
	ck_pr_fence_release(); /* (d) */
	ck_pr_store_32(&next->waits, 0);
}

static inline void spin_qspinlock_lock_queued(struct spin_qspinlock *lock,
					      struct spin_qspinlock_node *node)
{
	uint64_t self = (uint64_t)(uintptr_t)node;
	uint64_t predecessor = spin_qspinlock_enqueue(lock, node);
	uint64_t word;

	if (predecessor)
		spin_qspinlock_wait_for_head(node, predecessor);
	while ((word = ck_pr_load_64(&lock->word)) & SPIN_QSPINLOCK_BITS)
		lock_wait_turn();
	if (word != self || !ck_pr_cas_64(&lock->word, self, SPIN_QSPINLOCK_HELD)) {
		ck_pr_faa_64(&lock->word, SPIN_QSPINLOCK_HELD);
		spin_qspinlock_hand_head_on(node);
	}
	ck_pr_fence_lock(); /* (b) */
}

/* `node` is the caller's, alive until this returns. */
static inline void spin_qspinlock_lock(struct spin_qspinlock *lock, struct spin_qspinlock_node *node)
{
	if (spin_qspinlock_trylock(lock) || spin_qspinlock_lock_pending(lock))
		return;
	spin_qspinlock_lock_queued(lock, node);
}

static inline void spin_qspinlock_unlock(struct spin_qspinlock *lock)
{
	ck_pr_fence_unlock(); /* (a) */
	ck_pr_dec_64(&lock->word);
}
