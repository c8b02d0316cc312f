/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * history.h - is a history of calls of the frame allocator linearizable?
 *
 * A history is what a test has recorded: which calls were made, with which arguments and results, and
 * when each began and ended. It is linearizable (Herlihy and Wing, TOPLAS 1990) if all its calls can be
 * put in one order, as if each had happened at one instant, so that
 *
 *	- a call that ended before another one began comes before it;
 *	- the calls of one line of execution stay in their order. A line is a CPU's own code, or the
 *	  trap handlers of a CPU;
 *	- the sequential allocator could have given these results in that order.
 *
 * The sequential allocator is a set of free frames:
 *
 *	call			result		allowed if
 *	alloc, run of one	a frame		it is free; then it is not
 *	alloc, run of one	none		no frame is free
 *	run of n		n frames	all are free, contiguous, of one zone, and aligned
 *	free, free of a run			its frames are not free; then they are
 *	others					always: they change nothing
 *
 * These calls may fail although there was a frame (frame.h, docs/out-of-memory.md):
 *
 *	alloc with NOWAIT	overlooks what other CPUs' caches hold; and its own CPU's, if a trap
 *				handler has made a call meanwhile
 *	run of n		overlooks what caches hold that opened again before it looked
 *	run with NOWAIT		overlooks what any cache holds
 *
 * How much may be overlooked is counted. It is 0 for the cache of a CPU if something has emptied that
 * cache, and this CPU has made no call between then and the end of the call that failed: a cache opens
 * only in a call of its owner. A request for a run empties all caches, and so does `ask`, but for that
 * of the CPU that asks. `flush` and `restart` empty the CPU's own cache. At the start all are empty.
 * Otherwise it is the most that the cache may hold. A run is overlooked if each run that would serve
 * has a frame among those. And such a call looks at one zone after the other: so it has an instant for
 * each zone, at which that zone had nothing for it, and not one instant for all zones.
 *
 * The search is that of Wing and Gong (JPDC 1993), with Lowe's memory of what has been tried (2017): a
 * set of calls that have been put in order, and the state after them. The state follows from the set,
 * and the set from how many calls of each line are in it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_CALLS_MAX  160
#define HISTORY_LINES_MAX  8
#define HISTORY_CPUS_MAX   8
#define HISTORY_ZONES_MAX  2
#define HISTORY_FRAMES_MAX 64

/* The result of an allocation that failed. */
#define HISTORY_NONE UINT64_MAX

enum history_kind {
	HISTORY_ALLOC,
	HISTORY_ALLOC_NOWAIT,
	HISTORY_RUN, /* of one frame with alignment 1: as HISTORY_ALLOC */
	HISTORY_RUN_NOWAIT,
	HISTORY_FREE,
	HISTORY_RUN_FREE,
	HISTORY_ASK, /* asks all other CPUs for their frames, and waits until they have answered */
	HISTORY_FLUSH,	 /* of the CPU's own cache */
	HISTORY_RESTART, /* the CPU goes off line and comes back */
	HISTORY_LAST	 /* the line makes no more calls */
};

struct history_call {
	enum history_kind kind;
	unsigned line, cpu;
	uint64_t first; /* pfn: the argument of a free, or the result */
	uint64_t count, align;
	/*
	 * A call is known to come before another one if its end is less than the other one's begin. 0: the
	 * instant is not known; then the next one on its line that is known counts, backwards for a
	 * begin and forwards for an end.
	 */
	uint64_t begin, end;
};

/* What the history is of. Zones are in the order in which every CPU tries them. */
struct history_machine {
	unsigned cpus, zones;
	struct {
		uint64_t first; /* pfn; without the zone's metadata */
		unsigned count;
	} zone[HISTORY_ZONES_MAX];
	unsigned cache_frames; /* the most that a CPU's cache may hold of one zone's frames */
	bool exact_runs;       /* of the policy: else a run may always fail */
};

struct history {
	struct history_machine machine;
	struct history_call call[HISTORY_CALLS_MAX];
	unsigned calls;
};

/* All frames of the machine are free. */
void history_start(struct history *history, const struct history_machine *machine);

/* At the end of a call; calls of a line in their order. More calls than there is room for: abort(). */
void history_add(struct history *history, const struct history_call *call);

enum history_answer { HISTORY_LINEARIZABLE, HISTORY_NOT_LINEARIZABLE, HISTORY_TOO_LARGE };

struct history_verdict {
	enum history_answer answer;
	unsigned ordered;		   /* the most calls that could be put in order */
	unsigned place[HISTORY_CALLS_MAX]; /* of each call in that order, from 1; 0: it has none */
	uint64_t states;		   /* that the search has met */
	unsigned strict; /* calls that failed, and might have overlooked frames, but not these ones */
	char reason[200]; /* why a call that comes next does not fit, if none does */
};

/*
 * Meets at most as many states as the product of the lines' lengths. HISTORY_TOO_LARGE: more than
 * 130,000, or a line of more than 255 steps. One thread at a time.
 */
struct history_verdict history_check(const struct history *history);

/* The history as a table, and how far it could be put in order. Each line begins with "# ". */
void history_print(const struct history *history, const struct history_verdict *verdict);
