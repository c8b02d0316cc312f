/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hclh.h - the hierarchical queue lock of Luchangco, Nussbaum and Shavit ("A Hierarchical CLH Queue
 * Lock", Euro-Par 2006). Written from the algorithm of the paper; the code is this project's.
 *
 * There is a queue for each group of CPUs, and a global queue. A CPU puts its node at the end of its
 * group's queue with one swap, and then looks at the node before its own:
 *
 *   - That node is of the same group, and not the last of its batch: this CPU is in the same batch.
 *     It has the lock once that node no longer says WAIT.
 *   - Otherwise this CPU begins a batch. It reads the end of its group's queue, which ends the batch,
 *     puts all of it at the end of the global queue with one swap, and marks the last node of the
 *     batch as such. It has the lock once the node that was at the end of the global queue no longer
 *     says WAIT.
 *
 * So the lock passes through one group's batch, then through the next batch of the global queue,
 * whichever its group. A CPU is in a batch at most once: a group cannot keep the lock for itself.
 *
 * A node is one word: the group of the CPU that uses it, WAIT (its CPU waits or holds the lock), and
 * LAST (the last of its batch). The paper's rule depends on one load of all three.
 *
 * Nodes go round, as in a CLH lock: a release leaves its node behind and takes the node of the CPU
 * that held the lock before it. That is the node before its own in its batch, or in the global
 * queue. So a node that is LAST is used again by the CPU that follows in the global queue, while the
 * next CPU of the group may still have to look at it.
 *
 * Invariants:
 *
 *   - Only the CPU that begins a batch sets LAST, in the last node of it, before it can have the lock;
 *     the node's own CPU writes the node before that (when it is queued) and after it (in its
 *     release). So no two CPUs write a node at a time, and plain stores suffice.
 *   - The batches of a group enter the global queue in the order of the group's queue, because the
 *     next batch is begun by the CPU that sees LAST (fence (d)).
 *   - Until the CPU behind a node that was LAST has looked at it, no CPU of its group can be given that
 *     node: all of them come behind that CPU. A CPU of another group writes its own group into it.
 *     So that CPU sees LAST, or another group, and in both cases begins a batch.
 *   - Once a batch is in the global queue, each CPU gets the lock at most once before a CPU of it.
 *
 * A CPU that begins a batch while the lock is held looks a bounded number of times before it ends the
 * batch: a release brings back one CPU at most, so the batch of a CPU that does not wait is that CPU
 * alone. It stops as soon as no CPU waits or holds in front of it.
 *
 * The fences, for RVWMO, with atomics that order nothing:
 *
 *	(a) store before atomic in enqueue	a node says its group and WAIT before another CPU can
 *						reach it. That CPU reaches it by an address that depends
 *						on what it read: the swap of a queue's end
 *	(b) lock				after the load that saw WAIT gone; pairs with (e)
 *	(c) both in splice			between the look at the node before, together with the
 *						end of the group's queue, and the swap of the global
 *						queue: the swap comes after that of the batch before,
 *						pairs with (d); and it shows initialised nodes, pairs with
 *						(a). RISC-V orders the latter without a fence, because
 *						the swap writes what was read; C11 does not
 *	(d) release in splice			the batch is in the global queue before its last node
 *						says LAST; pairs with (c)
 *	(e) unlock				before WAIT goes; pairs with (b)
 *
 * Writers: any CPU writes the end of the global queue, and any CPU of a group the end of its queue, by
 * swaps. Of nodes see above.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/ck.h"
#include "sync/lock_owners.h"

#define SPIN_HCLH_WAIT	      UINT64_C(1)
#define SPIN_HCLH_LAST	      UINT64_C(2)
#define SPIN_HCLH_GROUP_SHIFT 2
#define SPIN_HCLH_NO_GROUP    (UINT64_MAX << SPIN_HCLH_GROUP_SHIFT)

/*
 * Turns of a wait loop, of about seven instructions each, in which other CPUs may join a batch: about
 * as long as a short critical section lasts, in which one CPU at most comes back from a release.
 */
#define SPIN_HCLH_COMBINING_TURNS 32

struct spin_hclh_node {
	uint64_t state;
};

/* The end of a queue: of the global one, or of a group's. */
struct spin_hclh {
	struct spin_hclh_node *end;
};

/* What a CPU may do by what it sees in the node before its own. */
enum spin_hclh_turn { SPIN_HCLH_WAITS, SPIN_HCLH_HAS_LOCK, SPIN_HCLH_BEGINS };

/* `unowned` is the node of no CPU that both queues begin with. Also makes each group's queue. */
static inline void spin_hclh_init(struct spin_hclh *queue, struct spin_hclh_node *unowned)
{
	unowned->state = SPIN_HCLH_NO_GROUP;
	queue->end = unowned;
}

/* True if a CPU holds it, or is about to: its batch is in the global queue. */
static inline bool spin_hclh_locked(struct spin_hclh *global)
{
	struct spin_hclh_node *end = ck_pr_load_ptr(&global->end);
	bool locked = ck_pr_load_64(&end->state) & SPIN_HCLH_WAIT;

	ck_pr_fence_acquire();
	return locked;
}

/* Puts the node at the end of the group's queue; returns the node before it. */
static inline struct spin_hclh_node *spin_hclh_enqueue(struct spin_hclh *local, uint64_t group,
						       struct spin_hclh_node *node)
{
	ck_pr_store_64(&node->state, group << SPIN_HCLH_GROUP_SHIFT | SPIN_HCLH_WAIT);
	ck_pr_fence_store_atomic(); /* (a) */
	return ck_pr_fas_ptr(&local->end, node);
}

/* Looks once at the node before, of whichever use it is now. */
static inline enum spin_hclh_turn spin_hclh_look(struct spin_hclh_node *before, uint64_t group)
{
	uint64_t state = ck_pr_load_64(&before->state);

	if ((state & ~SPIN_HCLH_WAIT) != group << SPIN_HCLH_GROUP_SHIFT)
		return SPIN_HCLH_BEGINS;
	return state & SPIN_HCLH_WAIT ? SPIN_HCLH_WAITS : SPIN_HCLH_HAS_LOCK;
}

/* By the CPU that begins a batch: the node at the end may be in use again, so what it says is a hint. */
static inline void spin_hclh_combine(struct spin_hclh *global)
{
	for (unsigned turn = 0; turn < SPIN_HCLH_COMBINING_TURNS; turn++) {
		struct spin_hclh_node *end = ck_pr_load_ptr(&global->end);

		if (!(ck_pr_load_64(&end->state) & SPIN_HCLH_WAIT))
			return;
		lock_wait_turn();
	}
}

/* Puts the batch that begins with this CPU into the global queue; returns the node before it there. */
static inline struct spin_hclh_node *spin_hclh_splice(struct spin_hclh *global,
						      struct spin_hclh *local, uint64_t group)
{
	/* This CPU's own node, or one behind it. */
	struct spin_hclh_node *last = ck_pr_load_ptr(&local->end), *before;

	ck_pr_fence_acqrel(); /* (c) */
	before = ck_pr_fas_ptr(&global->end, last);
	ck_pr_fence_release(); /* (d) */
	ck_pr_store_64(&last->state,
		       group << SPIN_HCLH_GROUP_SHIFT | SPIN_HCLH_WAIT | SPIN_HCLH_LAST);
	return before;
}

/*
 * `node` is the one that this CPU uses next; `local` its group's queue. Returns the node that this CPU
 * uses next after its release.
 */
static inline struct spin_hclh_node *spin_hclh_lock(struct spin_hclh *global,
						    struct spin_hclh *local, uint64_t group,
						    struct spin_hclh_node *node)
{
	struct spin_hclh_node *before = spin_hclh_enqueue(local, group, node);
	enum spin_hclh_turn turn;

	while ((turn = spin_hclh_look(before, group)) == SPIN_HCLH_WAITS)
		lock_wait_turn();
	if (turn == SPIN_HCLH_BEGINS) {
		spin_hclh_combine(global);
		before = spin_hclh_splice(global, local, group);
		while (ck_pr_load_64(&before->state) & SPIN_HCLH_WAIT)
			lock_wait_turn();
	}
	ck_pr_fence_lock(); /* (b) */
	return before;
}

/* After this the node is another CPU's. */
static inline void spin_hclh_unlock(struct spin_hclh_node *node)
{
	uint64_t state = ck_pr_load_64(&node->state);

	ck_pr_fence_unlock(); /* (e) */
	ck_pr_store_64(&node->state, state & ~SPIN_HCLH_WAIT);
}
