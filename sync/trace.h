/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace.h - the events of the slow paths of mm/, sync/ and the kernel, for a port that keeps a trace.
 *
 * A port that keeps a trace defines PORT_TRACE_IS_ON() and has port_trace_time() and port_trace()
 * (mm/platform.h). Where a port does not, or in a build with -DTRACE=0, the functions below are empty.
 *
 * Only slow paths note events: a hit of a cache does not, and no event is noted while the lock of a
 * zone or of the heap is held.
 *
 * An event has a time, a length, and three arguments, whose meaning is in the table below. An event with
 * a length is noted when it is over, so the events of one CPU come in the order of their ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <port.h>

#ifndef TRACE
#define TRACE 1
#endif

/*
 * X(number, name, first argument, second argument, third argument); an argument "-" has no meaning and
 * is 0.
 */
#define TRACE_FOR_EACH_EVENT(X)                                                                    \
	X(REFILL, "refill", "frames", "zone", "-")	  /* a batch into a cache */               \
	X(FLUSH, "flush", "frames", "zone", "-")	  /* a batch out of a cache */             \
	X(RUN_ALLOC, "run-alloc", "frames", "first", "-") /* first: pfn, or all ones: refused */   \
	X(RUN_FREE, "run-free", "frames", "first", "-")                                            \
	X(PRESSURE_UP, "pressure-up", "cpus", "-", "-") /* CPUs that are short of frames now */    \
	X(PRESSURE_DOWN, "pressure-down", "cpus", "-", "-")                                        \
	X(DRAIN, "drain", "found", "-", "-") /* a request to all CPUs, until they have answered */ \
	X(IPI, "ipi", "cpu", "number", "-")  /* to the CPU that is asked; the request's ticket */  \
	X(ANSWER, "answer", "number", "frames", "-") /* one step: the frames that it gave back */  \
	X(LOCK_WAIT, "lock-wait", "lock", "waited_ticks",                                          \
	  "holder") /* the lock's name; of port_clock(); lock_owner_pack(), 0: not known */        \
	X(CPU_STOP, "cpu-stop", "cpu", "result", "-") /* this CPU stopped that one */              \
	X(CPU_START, "cpu-start", "cpu", "result", "-")                                            \
	X(AWAY, "away", "-", "-", "-")			    /* how long this CPU was stopped */    \
	X(SLEEP, "sleep", "-", "-", "-")		    /* this CPU had no work */             \
	X(SPACE_FLUSH, "space-flush", "cpus", "bytes", "-") /* of a space; all ones: all of it */  \
	X(DOING, "doing", "name", "name", "-") /* the part of the run that begins; 16 bytes */

enum trace_event {
	TRACE_NONE,
#define TRACE_NUMBER(number, name, first, second, third) TRACE_##number,
	TRACE_FOR_EACH_EVENT(TRACE_NUMBER)
#undef TRACE_NUMBER
		TRACE_EVENTS
};

#if TRACE && defined(PORT_TRACE_IS_ON)

/* True if this CPU keeps a trace: one load. */
static inline bool trace_is_on(void)
{
	return __builtin_expect(PORT_TRACE_IS_ON(), 0);
}

/* The time at which an event begins, for trace_end(); 0: this CPU keeps no trace. */
static inline uint64_t trace_begin(void)
{
	return trace_is_on() ? port_trace_time() : 0;
}

/* The event is over, and the lock that it was noted for is released. */
static inline void trace_end(enum trace_event event, uint64_t begun, uint64_t a, uint64_t b)
{
	if (__builtin_expect(begun != 0, 0))
		port_trace(event, begun, a, b, 0);
}

/* TRACE_LOCK_WAIT is over: the lock's name, how long, and its holder as the wait began. */
static inline void trace_end_wait(uint64_t begun, uint64_t name, uint64_t waited_ticks,
				  uint64_t holder)
{
	if (__builtin_expect(begun != 0, 0))
		port_trace(TRACE_LOCK_WAIT, begun, name, waited_ticks, holder);
}

/* An event without a length. */
static inline void trace_note(enum trace_event event, uint64_t a, uint64_t b)
{
	if (trace_is_on())
		port_trace(event, 0, a, b, 0);
}

#else

static inline bool trace_is_on(void)
{
	return false;
}

static inline uint64_t trace_begin(void)
{
	return 0;
}

static inline void trace_end(enum trace_event event, uint64_t begun, uint64_t a, uint64_t b)
{
	(void)event;
	(void)begun;
	(void)a;
	(void)b;
}

static inline void trace_end_wait(uint64_t begun, uint64_t name, uint64_t waited_ticks,
				  uint64_t holder)
{
	(void)begun;
	(void)name;
	(void)waited_ticks;
	(void)holder;
}

static inline void trace_note(enum trace_event event, uint64_t a, uint64_t b)
{
	(void)event;
	(void)a;
	(void)b;
}

#endif

/* The first eight bytes of a name as an argument: the lock may be gone when the trace is read. */
static inline uint64_t trace_name(const char *name)
{
	uint64_t packed = 0;

	for (unsigned i = 0; i < 8 && name && name[i]; i++)
		packed |= (uint64_t)(unsigned char)name[i] << 8 * i;
	return packed;
}
