/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spinlock.h - every spinlock of the kernel: Concurrency Kit's algorithms under one shape, with
 * a name and, for each cpu, what the lock has cost it.
 *
 * The algorithm is chosen at run time; the choice is one switch an acquire. Queue locks need a
 * node an acquire, so every caller passes one from its stack, which the simple locks ignore:
 *
 *	struct spin_node node;
 *
 *	spin_lock(&lock, &node);
 *	...
 *	spin_unlock(&lock, &node);
 *
 * One cpu holds a given lock at most once at a time: a lock that a trap handler may take is
 * taken with interrupts masked. The Craig-Landin-Hagersten lock hands its nodes from cpu to cpu,
 * so they cannot live on a stack: they are in the lock's per-cpu part.
 *
 * SPIN_NONE is no lock: what the bookkeeping round a lock costs where nobody else is, to compare
 * with what the algorithms cost. It excludes nobody and orders nothing, so it is legal only where
 * one cpu runs. It notes its owner in a plain word: an acquire that finds one there, and a release
 * that finds another, panic with the lock's name and both cpus. Two cpus that pass each other
 * between the look and the note are not found out.
 *
 * Memory order: spin_lock acquires, spin_unlock releases; the fences are Concurrency Kit's
 * (ck_pr_fence_lock after the winning access, ck_pr_fence_unlock before the freeing store) and
 * pair with each other. `make lint` finds both in the machine code of every algorithm.
 *
 * Statistics: a cpu writes only its own part, on its own cache lines, without read-modify-write.
 * With SPIN_STATS_CONTENDED (the default) the clock is read only by an acquire that had to wait,
 * and by its release; with SPIN_STATS_ALL by every one; with SPIN_STATS_OFF nothing is counted.
 *
 * Who waited for whom: where anything is counted, a cpu notes the site of its acquire in its own
 * part before it tries, and in the lock, once it has it, that it is the holder: one store to the
 * line that the try has just taken. Who must wait reads both, relaxed, before it takes its place:
 * the holder is whoever noted itself last. All of that wait is put on it, also what is owed to
 * others that stood in line before. Between an acquire and its note the holder before is taken for
 * the holder; where that is the waiter itself, or nobody was noted ever, the holder is unknown: the
 * wait is counted on the diagonal, cell [cpu][cpu], which means nothing else, and for site 0. The
 * holder's site may be that of its next acquire, if it was already at that.
 *
 * A site is the return address of spin_lock(): one for each place in the code that takes a lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <port.h>

#include "sync/cache_line.h"
#include "sync/ck.h"

/*
 * Concurrency Kit's stall is a bare compiler barrier on RISC-V, with its port and without; its
 * waiting loops are given the machine's own hint instead.
 */
#define ck_pr_stall port_relax
#include <ck_spinlock.h>
#undef ck_pr_stall

/* A loop over the locks ends at SPIN_KINDS: what comes from there on excludes nobody. */
enum spin_kind {
	SPIN_FAS,
	SPIN_CAS,
	SPIN_DEC,
	SPIN_TICKET,
	SPIN_MCS,
	SPIN_CLH,
	SPIN_ANDERSON,
	SPIN_KINDS,
	SPIN_NONE = SPIN_KINDS
};

enum spin_stats_mode { SPIN_STATS_OFF, SPIN_STATS_CONTENDED, SPIN_STATS_ALL };

/* Bucket b counts times t with floor(log2 t) = b; bucket 0 also those of no tick. */
#define SPIN_HISTOGRAM_BUCKETS 40

struct spin_times {
	uint64_t samples;
	uint64_t ticks_total;
	uint64_t ticks_max;
	uint64_t histogram[SPIN_HISTOGRAM_BUCKETS];
};

struct spin_stats {
	uint64_t acquisitions;
	uint64_t contended;
	struct spin_times wait; /* of contended acquisitions */
	struct spin_times hold; /* of those whose acquire read the clock */
};

struct spin_waits {
	uint64_t count;
	uint64_t ticks;
};

/* Waits of an acquire at one site for a hold that was taken at another (0: unknown). */
struct spin_site_pair {
	uint64_t waiter, holder; /* addresses */
	struct spin_waits waits; /* count 0: the entry is empty */
};

#define SPIN_SITE_PAIRS 16

/*
 * Where more pairs meet than there is room for, the one with the least ticks makes room: its waits
 * go to `others`, and should it come again it begins anew. So the sum of all is exact, and a pair's
 * own figures are at least what is said.
 */
struct spin_sites {
	struct spin_site_pair pair[SPIN_SITE_PAIRS];
	struct spin_waits others;
};

/* One waiter's; written by that cpu alone. */
struct wait_matrix {
	_Alignas(PORT_CACHE_LINE) struct spin_sites sites;
	struct spin_waits holder[]; /* by the holder's cpu */
};

/*
 * What a cpu that has to wait for a lock notes as its wait begins. It is in the cpu's part of the
 * lock and not in the node: a node is on the stack of every caller, and most acquires do not wait.
 */
struct spin_wait {
	uint64_t holder, holder_site; /* see word.note */
	uint64_t trace_begun;	      /* when the wait began, for the trace; 0: it is off */
};

/* One cpu's part of one lock; written by that cpu alone (the queue words aside). */
struct spin_cpu {
	_Alignas(PORT_CACHE_LINE) uint64_t site; /* of this cpu's last acquire that was counted */
	struct spin_stats stats;
	struct ck_spinlock_clh *clh; /* the node this cpu will use next */
	struct spin_wait wait;	     /* of its last acquire that had to wait and was counted */
	_Alignas(PORT_CACHE_LINE) struct ck_spinlock_clh clh_node;
};

struct spinlock {
	/* Read-only after spin_init. */
	const char *name;
	enum spin_kind kind;
	unsigned cpu_count;
	struct spin_cpu *cpus;
	struct ck_spinlock_anderson_thread *anderson_slots;
	char *matrix; /* of each cpu a struct wait_matrix, matrix_stride apart; or NULL */
	size_t matrix_stride;
	/* The contended words, alone on their line. */
	_Alignas(PORT_CACHE_LINE) union {
		struct ck_spinlock_fas fas;
		struct ck_spinlock_cas cas;
		struct ck_spinlock_dec dec;
		struct ck_spinlock_ticket ticket;
		struct ck_spinlock_mcs *mcs;
		struct ck_spinlock_clh *clh;
		struct ck_spinlock_anderson anderson;
		unsigned owner; /* SPIN_NONE: the cpu that holds it, plus 1 */
		struct {
			char used[32]; /* by any of the above, but for anderson's padding */
			/* The address of the holder's struct spin_cpu, 0: of nobody yet. On the line
			 * of the word, which who writes it has just taken. */
			uint64_t holder;
		} note;
	} word;
	_Alignas(PORT_CACHE_LINE) struct ck_spinlock_clh clh_unowned;
};

struct spin_node {
	union { /* by the lock's kind */
		struct ck_spinlock_mcs mcs;
		struct ck_spinlock_anderson_thread *anderson;
	};
	struct spin_cpu *counted; /* where this acquire is counted, or NULL */
	uint64_t acquired_ticks;  /* the clock at the acquire; 0: it was not read */
	uint64_t waited_ticks;	  /* set when it had to wait and is counted */
	bool contended;		  /* this acquire had to wait */
};

/* Bytes of per-cpu memory that a lock for `cpu_count` cpus needs, aligned to PORT_CACHE_LINE. */
size_t spin_bytes(unsigned cpu_count);

/*
 * Makes an unlocked lock for cpus 0..cpu_count-1. `memory` is spin_bytes(cpu_count) bytes,
 * aligned to PORT_CACHE_LINE, and stays the lock's; or NULL, where the kind does not need it: then
 * the lock counts nothing. `name` is kept, not copied. Nobody may use the lock yet.
 */
void spin_init(struct spinlock *lock, const char *name, enum spin_kind kind, unsigned cpu_count,
	       void *memory);

/*
 * Who waited for whom, and where: cpu_count^2 times 16 bytes and SPIN_SITE_PAIRS entries a cpu, so
 * only for locks that are given memory for it. Zones and the heap are, once this was set to true;
 * from then on, at boot, before the first lock is made.
 */
void wait_matrix_configure(bool wanted);

/* Bytes, aligned to PORT_CACHE_LINE, that a lock for `cpu_count` cpus needs for it; 0 where it is not wanted. */
size_t wait_matrix_bytes(unsigned cpu_count);

/* Gives them to the lock, whose they stay. After spin_init, before the lock is used. */
void wait_matrix_start(struct spinlock *lock, void *memory);

/*
 * Acquire and release. Any context in which this cpu does not hold the lock already. The caller
 * keeps `node` alive and untouched from one to the other.
 */
void spin_lock(struct spinlock *lock, struct spin_node *node);
void spin_unlock(struct spinlock *lock, struct spin_node *node);

/* True when somebody holds it; stale by the time it is read. */
bool spin_locked_relaxed(struct spinlock *lock);

/* For all locks, from now on. At rest only: no lock held anywhere. */
void spin_stats_configure(enum spin_stats_mode mode);

/* Adds all cpus' parts to *sum. May be called at any time; each figure is whole but may be stale. */
void spin_stats_add(const struct spinlock *lock, struct spin_stats *sum);

/*
 * What `waiter` waited while `holder` held the lock; all 0 for a lock without memory for it. At any
 * time; both figures are whole but may be stale. On the diagonal: the holder was not known.
 */
struct spin_waits wait_matrix_read(const struct spinlock *lock, unsigned waiter, unsigned holder);

/* Adds to *sum: pairs that it has no room for go to its `others`. The lock's at rest only. */
void spin_sites_merge(struct spin_sites *sum, const struct spin_sites *sites);
void spin_sites_add(const struct spinlock *lock, struct spin_sites *sum);

/* Sets all statistics of the lock to zero. At rest only. */
void spin_stats_reset(struct spinlock *lock);

const char *spin_kind_name(enum spin_kind kind);

/*
 * True for an algorithm that serves in the order of arrival (ticket, mcs, clh, anderson): once a
 * cpu has its place, each other cpu gets the lock at most once before it. The price: the lock can
 * only go to the next in line, running or not. Where cpus outnumber the cores under them, each
 * hand-over lasts until the host schedules that one thread, and times and throughput say more of
 * its scheduler than of the algorithm.
 */
bool spin_kind_is_fifo(enum spin_kind kind);

/* True where each cpu's place in the queue is in the lock's memory. */
bool spin_kind_needs_memory(enum spin_kind kind);
