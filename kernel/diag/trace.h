/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace.h - the trace of this kernel (trace=on): a ring of last events for each cpu, written to the
 * console when the run is over. What the events are is in sync/trace.h, the ring in trace_ring.h.
 *
 * With trace=off there is no ring and no memory for one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/trace.h"

/*
 * With trace=on: takes early memory for a ring for each cpu area there is, and every cpu writes to
 * its own from here on. On cpu 0, after memory_collect() and before the other harts start.
 */
void trace_reserve(void);

/* Notes that cpu 0 begins something of that name, of which 16 bytes are kept. */
void trace_set_activity(const char *name);

/* Events of that kind on this cpu since boot, lost ones too; 0 with trace=off. */
uint64_t trace_counted(unsigned cpu, enum trace_event event);

/*
 * Ends the trace and writes all of it as records, in words of trace_ring.h:
 *
 *	trace_events	once: ticks_hz, clock_hz, names: of the events from number 1 on, each with
 *			the names of its two arguments
 *	trace		a cpu: count of events, lost: how many of those the ring no longer has,
 *			counts: of each event from number 1 on
 *	trace_block	some events of a cpu: first: the number of the first, count, ticks: what the
 *			first's time is counted from, data: trace_put_record()'s
 *
 * On cpu 0, at rest. Cpus that were stopped are started again, to end theirs. Nothing with
 * trace=off, nor a second time.
 */
void trace_write(void);

/*
 * For people: the last `most` events of a cpu, the newest last, with how long ago they were over.
 * While the cpu runs and in a panic too: takes no lock and waits for nobody.
 */
void trace_print_last(unsigned cpu, unsigned most);

bool trace_is_kept(void);
