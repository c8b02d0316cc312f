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
 * An event has a time, a length, and four arguments, whose meaning is in the table below. An event with
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
 * X(number, name, and the names of its four arguments); an argument "-" has no meaning and is 0.
 *
 * Of LOCK_WAIT: the lock's name; its wait, of port_clock(); lock_owner_pack() of the CPU that held it as the
 * wait began, 0: not known; the call site of the waiter, 0: not known. Of DOING: 16 bytes of a name.
 */
#define TRACE_FOR_EACH_EVENT(X)                                                                    \
	X(REFILL, "refill", "frames", "zone", "-", "-")	       /* a batch into a cache */          \
	X(FLUSH, "flush", "frames", "zone", "-", "-")	       /* a batch out of a cache */        \
	X(RUN_ALLOC, "run-alloc", "frames", "first", "-", "-") /* first: pfn; all ones: refused */ \
	X(RUN_FREE, "run-free", "frames", "first", "-", "-")                                       \
	X(PRESSURE_UP, "pressure-up", "cpus", "-", "-", "-") /* CPUs that are short of frames */   \
	X(PRESSURE_DOWN, "pressure-down", "cpus", "-", "-", "-")                                   \
	X(DRAIN, "drain", "found", "-", "-", "-") /* a request to all CPUs, and its last look */   \
	X(ASK, "ask", "cpu", "number", "-", "-")  /* one CPU is asked; the request's ticket */     \
	X(ANSWER, "answer", "number", "frames", "-", "-") /* one step: the frames it gave back */  \
	X(LOCK_WAIT, "lock-wait", "lock", "waited_ticks", "holder", "site")                        \
	X(HEAP_REFILL, "heap-refill", "blocks", "bytes", "-", "-") /* a batch; of one block */     \
	X(HEAP_FLUSH, "heap-flush", "blocks", "bytes", "-", "-")                                   \
	X(HEAP_SEARCH, "heap-search", "bytes", "found", "-", "-") /* of all memory of the heap */  \
	X(ARENA_TAKE, "arena-take", "frames", "first", "-", "-")  /* by the heap; first: pfn */    \
	X(ARENA_GIVE, "arena-give", "frames", "first", "-", "-")                                   \
	X(IPI, "ipi", "first", "cpus", "-", "-") /* to CPU first + i for each bit i of cpus */     \
	X(IPI_HANDLED, "ipi-handled", "-", "-", "-", "-")  /* its handler */                       \
	X(CPU_STOP, "cpu-stop", "cpu", "result", "-", "-") /* this CPU stopped that one */         \
	X(CPU_START, "cpu-start", "cpu", "result", "-", "-")                                       \
	X(AWAY, "away", "-", "-", "-", "-")   /* how long this CPU was stopped */                  \
	X(SLEEP, "sleep", "-", "-", "-", "-") /* this CPU had no work */                           \
	X(SPACE_FLUSH, "space-flush", "cpus", "bytes", "-", "-") /* all ones: the whole space */   \
	X(DOING, "doing", "name", "name", "-", "-") /* the part of the run that begins */

enum trace_event {
	TRACE_NONE,
#define TRACE_NUMBER(number, ...) TRACE_##number,
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
		port_trace(event, begun, a, b, 0, 0);
}

/* TRACE_LOCK_WAIT is over. */
static inline void trace_end_wait(uint64_t begun, uint64_t name, uint64_t waited_ticks,
				  uint64_t holder, uint64_t site)
{
	if (__builtin_expect(begun != 0, 0))
		port_trace(TRACE_LOCK_WAIT, begun, name, waited_ticks, holder, site);
}

/* An event without a length. */
static inline void trace_note(enum trace_event event, uint64_t a, uint64_t b)
{
	if (trace_is_on())
		port_trace(event, 0, a, b, 0, 0);
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
				  uint64_t holder, uint64_t site)
{
	(void)begun;
	(void)name;
	(void)waited_ticks;
	(void)holder;
	(void)site;
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
