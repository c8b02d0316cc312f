/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_trial.h - what every spinlock must do, tried on all cpus at once: in the kernel and on a
 * host, for each algorithm the same.
 *
 *	exclusion	plain words lose no update, and no two CPUs are inside at once
 *	progress	every acquire ends: the trial goes on until `holds` are over and each cpu
 *			has had its share of them, however small. A wake-up that is lost stops it
 *			for ever; `progress` stands still then, which the caller of the trial has to
 *			notice
 *	order		where the algorithm promises one. See below
 *	bounds		a group of a cohort keeps the lock for a bounded number of holds while
 *			another group waits
 *	try		takes a free lock, and does not take a held lock, whichever CPU holds it
 *	wrap-around	counters of tickets and slots go past 2^32 with a queue waiting across it
 *	statistics	to the last acquisition, on each cpu; the waits too where they are arranged
 *
 * Order is checked twice, and both checks hold however the CPUs are scheduled. Arranged arrivals:
 * the holder lets the other CPUs come one by one, each when the previous CPU is seen in the queue,
 * then releases and comes last itself; they must be served as they came (reciprocating: the other way
 * round, and the holder still last). The crowd: a CPU that releases the lock and sees q CPUs in the
 * queue must not have it again before q holds of others; and CPUs that all waited as the crowd began
 * are served before any CPU is served twice.
 * How many CPUs pass another one between its call and its place in the queue is not checked: no
 * algorithm promises anything about that.
 *
 * How evenly the crowd was served is measured, and not checked: where CPUs share cores, the host's
 * scheduler decides it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/barrier.h"
#include "sync/spinlock.h"

/* Of the crowd's first holds, which begin with all cpus trying for the lock at once. */
struct lock_fairness {
	uint64_t holds;
	uint64_t least, most;	   /* holds of one cpu */
	uint64_t jain_thousandths; /* Jain's index: 1000 all alike, 1000 / cpus one had all */
	uint64_t streak_max;	   /* holds in a row of one cpu while another was trying */
	uint64_t overtaken_max;	   /* holds of others between a call and its end */
};

/* One cpu's own part. */
struct lock_trier {
	_Alignas(PORT_CACHE_LINE) uint64_t holds; /* in all */
	uint64_t crowd_holds;			  /* of them in the crowd */
	uint64_t measured_holds;		  /* and in its measured part */
	uint64_t not_before; /* the hold that may be its next, by what it saw waiting */
	uint64_t overtaken_max;
	unsigned met;	    /* times that it was not alone inside, or found words torn */
	unsigned too_early; /* times that it was served before its turn */
	unsigned too_late;  /* and after CPUs that came when it was waiting */
	unsigned tries_wrong;
};

struct lock_trial {
	/* Given. */
	enum spin_kind kind;
	unsigned cpus;	   /* 0..cpus-1 take part, of port_cpu_count() */
	uint64_t holds;	   /* of the crowd that are measured */
	unsigned arrivals; /* rounds of arranged arrivals, of cpus + 2 holds each */
	bool counted;	   /* statistics are kept */
	uint64_t seed;

	/* Found. */
	struct lock_fairness fairness;
	uint64_t progress; /* goes up with each hold; may be read at any time */

	/* Its own. */
	struct spinlock lock;
	struct barrier barrier;
	struct lock_trier *triers;
	unsigned *turns;  /* in which order cpus are to come: a round's */
	unsigned *served; /* and in which they were served */
	unsigned served_count;
	unsigned out_of_order;
	uint32_t called;      /* which cpu is to come now, in which round; or all */
	uint32_t tried, come; /* cpus that called in the crowd; and that have been served */
	uint32_t over;	      /* the crowd ends */
	uint64_t measured_to; /* the hold with which the measured part ends */
	unsigned last, streak;
	uint64_t streak_max;
	unsigned group_last;   /* group of the last hold, plus 1, if another group waited then */
	unsigned group_streak; /* holds in a row of one group while another one waited */
	unsigned passed_too_long;
	/* Guarded by the lock, and plain. */
	_Alignas(PORT_CACHE_LINE) volatile uint64_t plain_holds;
	volatile uint64_t left, right; /* equal, outside of a hold */
	volatile unsigned inside;      /* a cpu's number plus 1 */
};

/* Bytes that a trial needs, aligned to PORT_CACHE_LINE. */
size_t lock_trial_bytes(unsigned cpus);

/*
 * Runs all of it, on all cpus of trial->cpus, from cpu 0. NULL, or what was wrong. Ends after a
 * number of holds, not after a time.
 */
const char *lock_trial_run(struct lock_trial *trial, void *memory);
