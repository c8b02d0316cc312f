/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trace.h - where mm/, sync/ and the kernel say what they do, for a port that keeps a trace.
 *
 * Only slow paths do: nothing that hits a cache comes by here, and nothing is said while a zone's
 * or the heap's lock is held.
 * A port that keeps a trace defines PORT_TRACE_IS_ON() and gives port_trace_time() and port_trace()
 * (mm/platform.h); with one that does not, all of this is nothing.
 *
 * An event has a time, a length, and two arguments whose meaning the table below names. One with
 * a length is said when it is over, so the events of one cpu come in the order of their ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <port.h>

/* X(number, name, first argument, second argument); an argument "-" has no meaning and is 0. */
#define TRACE_FOR_EACH_EVENT(X)                                                                    \
	X(REFILL, "refill", "frames", "zone")	     /* one batch into a cache */                  \
	X(FLUSH, "flush", "frames", "zone")	     /* one batch out of one */                    \
	X(RUN_ALLOC, "run-alloc", "frames", "first") /* first: pfn, or all ones: refused */        \
	X(RUN_FREE, "run-free", "frames", "first")                                                 \
	X(PRESSURE_UP, "pressure-up", "cpus", "-") /* so many are short now */                     \
	X(PRESSURE_DOWN, "pressure-down", "cpus", "-")                                             \
	X(DRAIN, "drain", "found", "-")		/* all were asked, and answered */                 \
	X(IPI, "ipi", "cpu", "number")		/* that cpu is asked; the request's ticket */      \
	X(ANSWER, "answer", "number", "frames") /* one step: so many frames given back */          \
	X(LOCK_WAIT, "lock-wait", "lock", "waited_ticks") /* the lock's name; of port_clock() */   \
	X(CPU_STOP, "cpu-stop", "cpu", "result")	  /* this cpu stopped that one */          \
	X(CPU_START, "cpu-start", "cpu", "result")                                                 \
	X(AWAY, "away", "-", "-")		       /* this one was stopped so long */          \
	X(SLEEP, "sleep", "-", "-")		       /* it had no work */                        \
	X(SPACE_FLUSH, "space-flush", "cpus", "bytes") /* of a space; all ones: all of it */       \
	X(DOING, "doing", "name", "name") /* the part of the run that begins; 16 bytes */

enum trace_event {
	TRACE_NONE,
#define TRACE_NUMBER(number, name, first, second) TRACE_##number,
	TRACE_FOR_EACH_EVENT(TRACE_NUMBER)
#undef TRACE_NUMBER
		TRACE_EVENTS
};

#if defined(PORT_TRACE_IS_ON)

/* Whether this cpu keeps a trace: one load. */
static inline bool trace_is_on(void)
{
	return __builtin_expect(PORT_TRACE_IS_ON(), 0);
}

/* When what comes now begins, for trace_end(); 0: nothing is kept. */
static inline uint64_t trace_begin(void)
{
	return trace_is_on() ? port_trace_time() : 0;
}

/* It is over, and its lock released. */
static inline void trace_end(enum trace_event event, uint64_t begun, uint64_t a, uint64_t b)
{
	if (__builtin_expect(begun != 0, 0))
		port_trace(event, begun, a, b);
}

/* What takes no time. */
static inline void trace_note(enum trace_event event, uint64_t a, uint64_t b)
{
	if (trace_is_on())
		port_trace(event, 0, a, b);
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

static inline void trace_note(enum trace_event event, uint64_t a, uint64_t b)
{
	(void)event;
	(void)a;
	(void)b;
}

#endif

/* The first eight bytes of a name as an argument: a lock may be gone when the trace is read. */
static inline uint64_t trace_name(const char *name)
{
	uint64_t packed = 0;

	for (unsigned i = 0; i < 8 && name && name[i]; i++)
		packed |= (uint64_t)(unsigned char)name[i] << 8 * i;
	return packed;
}
