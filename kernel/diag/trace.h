/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace.h - the trace of this kernel (trace=on): a ring of the last events for each cpu, printed as
 * records at the end of the run. sync/trace.h defines the events, trace_ring.h the ring.
 *
 * With trace=off there is no ring and no memory for one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sync/trace.h"

/*
 * With trace=on: takes early memory for a ring for each cpu area. From here on every cpu writes to
 * its own ring. On cpu 0, after memory_collect() and before the other harts start.
 */
void trace_reserve(void);

/* Adds an event: cpu 0 begins an activity of this name, of which 16 bytes are kept. */
void trace_set_activity(const char *name);

/* The number of events of this kind on `cpu` since boot, lost ones included; 0 with trace=off. */
uint64_t trace_counted(unsigned cpu, enum trace_event event);

/*
 * From now on cpus note events, or do not; what they have noted stays. False: there is no trace, or it
 * has been written. On cpu 0, at rest, no cpu stopped.
 */
bool trace_switch(bool on);

/*
 * Ends the trace and prints all of it as records (trace_ring.h defines the words):
 *
 *	trace_events	once: ticks_hz, clock_hz, names: of the events from number 1 on, each with
 *			the names of its four arguments
 *	trace		a cpu: count of events, lost: how many of those the ring no longer has,
 *			counts: of each event from number 1 on
 *	trace_block	some events of a cpu: first: the number of the first, count, ticks: what the
 *			first's time is counted from, data: trace_put_record()'s
 *
 * On cpu 0, at rest. Starts stopped cpus again, so that each ends its own trace. Does nothing with
 * trace=off, and nothing in a second call. O(events).
 */
void trace_write(void);

/*
 * Prints the last `most` events of a cpu as text, the newest last, with the time since their end.
 * The cpu may run meanwhile. May be called in a panic: takes no lock and waits for no cpu.
 */
void trace_print_last(unsigned cpu, unsigned most);

/* Whether there are rings: trace=on, after trace_reserve(). */
bool trace_is_kept(void);
