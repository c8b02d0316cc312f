/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reciprocating.h - the Reciprocating Lock of Dice and Kogan ("Reciprocating Locks", PPoPP 2025).
 * Written from the algorithm of the paper; the code is this project's.
 *
 * A CPU arrives by swapping its node into the lock's one word, `arrivals`. What it gets back is the
 * CPU that came before it, so the nodes that have arrived are a stack. A release that finds no
 * CPU to serve takes the whole stack at once: the stack becomes the *segment* that is being served,
 * from its top (the last to arrive) to its bottom, while CPUs that arrive from then on make a new
 * stack. So within a segment the last is first, and segment follows segment in order. A CPU that
 * goes on and on is served in one direction of time and then in the other, as a pendulum swings.
 *
 * The word:
 *
 *	0		the lock is free
 *	EMPTY		held, and no CPU has arrived since the holder's segment was taken
 *	else		held; the address of the node that arrived last. The owner that found the lock
 *			free is at the bottom of this stack, although it does not wait
 *
 * The end of a segment. Each CPU knows the node below it, `successor`: the CPU to serve after it. At
 * the bottom of a stack lies what was in the word when the first waiter came: the node of an owner
 * that found the lock free and has released it by the time the segment is served, or EMPTY. This
 * value is the segment's end. It is handed from CPU to CPU with the lock; the CPU whose successor is
 * the end is the last of its segment. The end is only compared, never followed: its node may be gone,
 * and its address may be in use again. A new node at that address is in a later segment, whose end is
 * EMPTY, so the comparison cannot be deceived.
 *
 * Invariants:
 *
 *   - Once a CPU has arrived, each other CPU gets the lock at most twice before it: once from the
 *     segment being served, once from on top of it in its own stack.
 *   - The holder of a stack's end is the only CPU that swaps the word to EMPTY or to 0.
 *   - A node is written by another CPU only once in an acquire, at `gate`, when that acquire ends.
 *
 * The fences, for RVWMO, with atomics that order nothing:
 *
 *	(a) store before atomic		`gate` is 0 before another CPU can reach the node; that CPU
 *					reaches it by an address that depends on what it read
 *	(b) lock in try and lock	after the access that took the lock: the swap, the
 *					compare-and-swap, or the load of `gate`
 *	(c) unlock			before each store that frees the lock or opens a gate; pairs
 *					with (b)
 *
 * Writers: any CPU writes `arrivals`, by atomics. A CPU writes its node; `gate` is written by the CPU
 * that hands the lock to it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/ck.h"
#include "sync/lock_owners.h"

/* No address of a node. */
#define SPIN_RECIPROCATING_EMPTY UINT64_C(1)

struct spin_reciprocating {
	uint64_t arrivals;
};

struct spin_reciprocating_node {
	uint64_t gate;	    /* 0: wait; else the end of this CPU's segment */
	uint64_t successor; /* the node to be served next, 0: none in this segment */
};

static inline void spin_reciprocating_init(struct spin_reciprocating *lock)
{
	lock->arrivals = 0;
}

static inline bool spin_reciprocating_locked(struct spin_reciprocating *lock)
{
	bool locked = ck_pr_load_64(&lock->arrivals) != 0;

	ck_pr_fence_acquire();
	return locked;
}

/* By the CPU that found the lock free: nothing is to be served, and its own node is the end. */
static inline void spin_reciprocating_own(struct spin_reciprocating_node *node)
{
	ck_pr_store_64(&node->gate, (uint64_t)(uintptr_t)node);
	node->successor = 0;
}

static inline bool spin_reciprocating_trylock(struct spin_reciprocating *lock,
					      struct spin_reciprocating_node *node)
{
	bool won;

	if (ck_pr_load_64(&lock->arrivals) != 0)
		return false;
	won = ck_pr_cas_64(&lock->arrivals, 0, (uint64_t)(uintptr_t)node);
	ck_pr_fence_lock(); /* (b) */
	if (won)
		spin_reciprocating_own(node);
	return won;
}

/* `node` is the caller's, alive and unchanged until its release. */
static inline void spin_reciprocating_lock(struct spin_reciprocating *lock,
					   struct spin_reciprocating_node *node)
{
	uint64_t before, end;

	ck_pr_store_64(&node->gate, 0);
	ck_pr_fence_store_atomic(); /* (a) */
	before = ck_pr_fas_64(&lock->arrivals, (uint64_t)(uintptr_t)node);
	if (before == 0) {
		ck_pr_fence_lock(); /* (b) */
		spin_reciprocating_own(node);
		return;
	}
	while (!(end = ck_pr_load_64(&node->gate)))
		lock_wait_turn();
	ck_pr_fence_lock(); /* (b) */
	node->successor = before;
	if (before == end) {
		/* The last of the segment: CPUs that came meanwhile have EMPTY at their bottom. */
		node->successor = 0;
		ck_pr_store_64(&node->gate, SPIN_RECIPROCATING_EMPTY);
	}
}

static inline void spin_reciprocating_unlock(struct spin_reciprocating *lock,
					     struct spin_reciprocating_node *node)
{
	uint64_t end = ck_pr_load_64(&node->gate), next = node->successor;

	ck_pr_fence_unlock(); /* (c) */
	if (!next) {
		if (ck_pr_cas_64(&lock->arrivals, end, 0))
			return;
		next = ck_pr_fas_64(&lock->arrivals, SPIN_RECIPROCATING_EMPTY);
		ck_pr_fence_acqrel(); /* (c), and (a): C11 does not order by an address */
	}
	ck_pr_store_64(&((struct spin_reciprocating_node *)(uintptr_t)next)->gate, end);
}
