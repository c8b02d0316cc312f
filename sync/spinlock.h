/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spinlock.h - every spinlock of the kernel: the algorithms of Concurrency Kit, and three
 * more (hclh.h, qspinlock.h, reciprocating.h), behind one interface.
 *
 * The algorithm of a lock is chosen at run time, when the lock is made. A queue lock needs a node for
 * each acquire, so every caller passes one from its stack; the simple locks ignore it:
 *
 *	struct spin_node node;
 *
 *	spin_lock(&lock, &node);
 *	...
 *	spin_unlock(&lock, &node);
 *
 * Invariants:
 *
 *   - A CPU holds a given lock at most once at a time. So a lock that a trap handler may take is always
 *     taken with interrupts masked.
 *   - The Craig-Landin-Hagersten lock (clh) passes its nodes from CPU to CPU, so they cannot be on a
 *     stack: they are in the lock's memory, one for each CPU and one more in the lock. So does its
 *     hierarchical kind (hclh).
 *   - A lock of kind cohort or hclh keeps what a group of CPUs shares in the part of the CPU that
 *     port_cpu_group() names. The group of a CPU does not change while the lock exists.
 *   - SPIN_NONE gives no mutual exclusion and orders nothing: it is for comparing the cost of the
 *     algorithms with the cost of no lock, and legal only where one CPU runs. It notes its owner in a
 *     plain word: an acquire that finds an owner there, and a release that finds another owner,
 *     panic. Two CPUs that acquire it at the same instant may both find no owner.
 *
 * Memory order: spin_lock() acquires and spin_unlock() releases. In each algorithm ck_pr_fence_lock
 * after the access that took the lock pairs with ck_pr_fence_unlock before the store that frees it. `make lint` finds both in the machine code of every algorithm.
 *
 * Writers: the algorithms write `word` and the queue nodes. A CPU alone writes the rest of its part,
 * struct spin_cpu. All other fields are read-only after spin_init().
 *
 * The statistics (lock_stats.h), the owners (lock_owners.h), the wait matrix (wait_matrix.h) and the
 * trace (trace.h) are layers that a build can leave out. They are hooked into spinlock.c through
 * lock_hooks.h, and keep what they note in the fields `stats`, `owner`, `matrix` and `note` below.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <port.h>

#include "sync/cache_line.h"
#include "sync/ck.h"
#include "sync/lock_owners.h"
#include "sync/lock_stats.h"
#include "sync/wait_matrix.h"

/*
 * Concurrency Kit's stall is only a compiler barrier on RISC-V; the loops in which its locks wait get
 * the machine's own hint instead, and count their turns (lock_owners.h). So does the loop of its
 * backoff, which counts compiler barriers.
 */
#define ck_pr_barrier lock_wait_turn
#include <ck_backoff.h>
#undef ck_pr_barrier
#define ck_pr_stall lock_wait_turn
#include <ck_spinlock.h>
#undef ck_pr_stall

#include "sync/cohort.h"
#include "sync/hclh.h"
#include "sync/qspinlock.h"
#include "sync/reciprocating.h"

/* A loop over all algorithms ends at SPIN_KINDS, so it does not reach SPIN_NONE. */
enum spin_kind {
	SPIN_FAS,
	SPIN_CAS,
	SPIN_DEC,
	SPIN_TICKET,
	SPIN_MCS,
	SPIN_CLH,
	SPIN_ANDERSON,
	SPIN_TICKET_PB,
	SPIN_COHORT,
	SPIN_QSPINLOCK,
	SPIN_RECIPROCATING,
	SPIN_HCLH,
	SPIN_KINDS,
	SPIN_NONE = SPIN_KINDS
};

struct spinlock;
struct spin_node;

/* The functions of a kind (spin_kinds.h). */
struct spin_algorithm {
	bool (*try_acquire)(struct spinlock *lock, struct spin_node *node);
	void (*acquire)(struct spinlock *lock, struct spin_node *node);
	void (*release)(struct spinlock *lock, struct spin_node *node);
	bool (*held)(struct spinlock *lock);
};

/*
 * One CPU's part of one lock. Its first line is what each counted acquire writes. Its last line but
 * one ends with the node of hclh, behind counters of times that do not occur: this CPU writes nothing
 * else there, because the nodes go round and other CPUs wait at them.
 */
struct spin_cpu {
	_Alignas(PORT_CACHE_LINE) struct wait_matrix_cpu matrix;
	union { /* the node that this CPU will use next */
		struct ck_spinlock_clh *clh;
		struct spin_hclh_node *hclh;
	};
	struct lock_stats_cpu stats;
	struct spin_hclh_node hclh_node;
	_Alignas(PORT_CACHE_LINE) union { /* by the lock's kind */
		struct ck_spinlock_clh clh_node;
		/* Of the CPUs whose port_cpu_group() is this CPU. */
		struct spin_group group;
		struct spin_hclh hclh_queue;
	};
};

struct spinlock {
	/* Read-only after spin_init. */
	const char *name;
	enum spin_kind kind;
	unsigned cpu_count;
	struct spin_algorithm algorithm; /* the functions of its kind */
	struct spin_cpu *cpus;
	struct ck_spinlock_anderson_thread *anderson_slots;
	struct wait_matrix_lock matrix;
	/* The contended words, alone on their line. */
	_Alignas(PORT_CACHE_LINE) union {
		struct ck_spinlock_fas fas;
		struct ck_spinlock_cas cas;
		struct ck_spinlock_dec dec;
		struct ck_spinlock_ticket ticket; /* also of ticket_pb; the global lock of cohort */
		struct ck_spinlock_mcs *mcs;
		struct ck_spinlock_clh *clh;
		struct ck_spinlock_anderson anderson;
		struct spin_qspinlock qspinlock;
		struct spin_reciprocating reciprocating;
		struct spin_hclh hclh; /* the global queue */
		unsigned owner;	       /* SPIN_NONE: the CPU that holds it, plus 1; 0: it is free */
		struct lock_owner_note note;
	} word;
	_Alignas(PORT_CACHE_LINE) union { /* the node that is not a CPU's at first, by the kind */
		struct ck_spinlock_clh clh_unowned;
		struct spin_hclh_node hclh_unowned;
	};
};

/* One acquire and its release; on the caller's stack. */
struct spin_node {
	union {				    /* by the lock's kind */
		struct ck_spinlock_mcs mcs; /* also of cohort, in its group's queue */
		struct ck_spinlock_anderson_thread *anderson;
		struct spin_qspinlock_node qspinlock;
		struct spin_reciprocating_node reciprocating;
		struct spin_hclh_node *hclh; /* the node that this CPU uses next */
	};
	struct lock_stats_node stats;
	struct lock_owner_node owner;
	bool contended; /* this acquire had to wait */
};

/* Bytes of memory that a lock for `cpu_count` CPUs needs, to be aligned to PORT_CACHE_LINE. */
size_t spin_bytes(unsigned cpu_count);

/*
 * Makes a free lock for CPUs 0..cpu_count-1. `memory` is spin_bytes(cpu_count) bytes, aligned to
 * PORT_CACHE_LINE, which the lock keeps; or NULL, where the kind does not need it: then the lock
 * counts nothing. `name` is kept, not copied. No CPU may use the lock yet. Panics for a kind that
 * does not exist, and for NULL where the kind needs memory.
 */
void spin_init(struct spinlock *lock, const char *name, enum spin_kind kind, unsigned cpu_count,
	       void *memory);

/*
 * Acquire and release. Any context in which this CPU does not hold the lock already. The caller keeps
 * `node` alive and unchanged from one to the other, and may read node->contended.
 */
void spin_lock(struct spinlock *lock, struct spin_node *node);
void spin_unlock(struct spinlock *lock, struct spin_node *node);

/*
 * The same acquire for a caller whose first try has found the lock held (spin_fast.h): it waits without
 * a further try, and is counted as an acquire that had to wait.
 */
void spin_lock_found_held(struct spinlock *lock, struct spin_node *node);

/* True if a CPU holds the lock; the answer may be stale when the caller gets it. */
bool spin_locked_relaxed(struct spinlock *lock);

/* The kind's name as in `lock=` of the boot arguments; "unknown" for no kind. */
const char *spin_kind_name(enum spin_kind kind);

/*
 * True for an algorithm that serves in the order of arrival (ticket, ticket_pb, mcs, clh, anderson,
 * qspinlock): once a CPU has its place, each other CPU gets the lock at most once before it.
 */
bool spin_kind_is_fifo(enum spin_kind kind);

/*
 * True for an algorithm that hands the lock to one particular waiter: those that serve in the order
 * of arrival, and cohort, reciprocating and hclh. The price: that waiter must run. Where CPUs outnumber the
 * host's cores, each hand-over lasts until the host schedules that thread, so times and throughput
 * are the host scheduler's more than the algorithm's.
 */
bool spin_kind_hands_over(enum spin_kind kind);

/* True if the algorithm keeps places in the queue, or a group's part, in the lock's memory. */
bool spin_kind_needs_memory(enum spin_kind kind);
