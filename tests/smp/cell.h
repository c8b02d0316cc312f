/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cell.h - one combination of a sweep: its settings, one run of it, and the results of its runs.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kernel/boot/configure.h"
#include "tests/smp/result.h"
#include "tests/smp/workloads/lock_figures.h"
#include "tests/smp/workloads/workload.h"

/*
 * What is known of a cell's times, and of its waits, whose number depends on which cpu runs when.
 * Each but the first makes them NOT MEASURABLE.
 */
enum cell_validity {
	CELL_VALID,
	CELL_NO_CORES, /* the host has not given each cpu a core */
	CELL_QUEUE,    /* nor to the next in line of a lock that serves in order */
	CELL_HOLDS,    /* cpus were taken away while they held a lock */
	CELL_UNSTEADY, /* the rounds differ more than twofold */
	CELL_UNFAIR    /* in virtual time: the cpus did not take equal turns */
};

/* In virtual time, the turns of a round: the stated length divided by 2^halvings, and which sequence. */
struct cell_round {
	uint64_t operations, ns;
	unsigned halvings;
};

struct cell {
	unsigned number; /* in its sweep, in the order of the records */
	const struct workload *workload;
	struct configuration configuration;
	const char *unsupported;   /* why it is not run; NULL: it is */
	uint64_t ops;		   /* wanted of each cpu */
	uint64_t limit_ns, stride; /* these of workload_run */
	struct cell_round *rounds;
	unsigned rounds_done, rounds_cut; /* by the limit, before a cpu's ops were done */
	/* What was counted: in all rounds; in virtual time in one more run, because a round is then
	 * without the statistics of locks, which take time themselves. */
	struct result sum;
	uint64_t timed_ops, instructions;  /* of all rounds */
	struct lock_figures *lock_figures; /* of all rounds; NULL: it is not of a lock alone */
	/* What a hold took with every acquisition timed, on one cpu; 0: not measured. */
	uint64_t hold_alone_ticks;
	uint64_t cores_percent; /* what it was judged by */
	enum cell_validity validity;
	/* In virtual time: how far apart the rounds are, and by how much turns of half the length move
	 * the time of an operation, in hundredths of a percent. */
	uint64_t spread, half_turn;
};

/* A time that moves by more than this with the length of the turns is marked. */
#define HALF_TURN_MOST 1000

/*
 * Whether its contended acquisitions, and waits, may be printed and recorded. After cell_judge().
 */
static inline bool cell_waits_are_measurable(const struct cell *cell)
{
	return cell->validity == CELL_VALID;
}

/*
 * Zones and caches as the cell wants them, one run, and a check for leaks after it. False when
 * there was not enough memory to set it up, or frames are missing, which fails the verdict.
 * `instructions` may be NULL; where they are not counted, or not on one cpu alone, it stays 0.
 * sampler: see workload.h.
 */
struct cell_run {
	uint64_t ops, limit_ns, stride;
	unsigned cpus;
	unsigned halvings, sequence; /* of the turns of virtual time (hint.h) */
	const struct cell *lines_of; /* the cell whose cost of lines this is; NULL: of none */
	void (*sampler)(struct workload_run *run, uint64_t done, const char *phase, bool at_rest);
	struct lock_figures *lock_figures; /* to be added to; or NULL */
	struct result result;
	uint64_t ns_least; /* of the cpu that worked the shortest */
	uint64_t instructions;
};

bool cell_run(const struct cell *cell, struct cell_run *run);

/*
 * Chooses ops, such that a run takes about target_ns, by runs that take less; the limit is the
 * target. The first begins below what another cell of the kind does in that time; 0: from nothing.
 *
 * In virtual time the run is one of a single cpu, and there is no limit: then cells that differ in
 * lock, policy and number of cpus do the same work on each cpu.
 */
bool cell_choose_ops(struct cell *cell, uint64_t target_ns, uint64_t ops_of_another);

/* Measures hold_alone_ticks in a run of at most limit_ns. */
bool cell_measure_hold(struct cell *cell, uint64_t limit_ns);

/* One round more. */
bool cell_add_round(struct cell *cell);

/* In virtual time, after the last round: the run that counts. */
bool cell_add_counts(struct cell *cell);

/* After the last; cores_percent of this number of cpus, the worst before and after all rounds. */
void cell_judge(struct cell *cell, uint64_t cores_percent);

/* Of a round: nanoseconds for one operation of one cpu, in hundredths. */
uint64_t cell_round_hundredths(const struct cell *cell, unsigned round);

/* The round with the median of those; sorts them. */
unsigned cell_median_round(struct cell *cell);
