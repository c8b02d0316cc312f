/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock_owners.h - which CPU holds a lock, which CPU waits for which lock, and whether CPUs wait for
 * each other in a circle. It is for a panic, for a hang, and for the monitor of a running machine.
 *
 * This is a layer over the lock, like the statistics (lock_stats.h), whose mode it follows: with
 * SPIN_STATS_OFF, and in a lock without memory of its own, no holder is noted. A build with
 * -DLOCK_OWNERS=0 or -DLOCK_STATS=0 has no code of this layer.
 *
 * Owners. A site is the return address of a call of spin_lock(). Once a CPU has the lock, it stores
 * its number and its site, in one word, on the lock's own cache line. As the last thing before its
 * release it stores the complement. All call sites of a program have the same sign, so the sign tells
 * the two apart: a word of that sign names the CPU that holds the lock at that moment, its complement
 * the CPU that held it last. An acquire and its release cost five instructions more than without this
 * layer, three of them in the critical section.
 *
 * Waits. A CPU that must wait publishes which lock it waits for, since when and from which site, in a
 * record of this CPU, until it has the lock. A handler that interrupts the wait and waits for another
 * lock puts its own wait there meanwhile. This needs memory (lock_owners_start); without it no wait is
 * published. A wait of a lock whose try only asks (spin_kinds.h), after a try that found the lock free,
 * is not published either.
 *
 * Long waits. Each turn of a wait loop is counted, where the port has PORT_WAIT_TURNS(), and each
 * LOCK_WAIT_LOOK_TURNS turns the waiting CPU calls lock_wait_on_look.
 *
 * Deadlocks. Each CPU waits for at most one lock, and a lock has at most one holder. So from any CPU
 * there is one chain: it waits for a lock, which is held by a CPU, which waits for a lock... A chain
 * that comes back is a deadlock if all its links are there at one instant. One look cannot show that,
 * because its links are read one after the other, and a handler that interrupts a wait may hold a lock
 * for a moment. So each CPU of a circle looks for itself, in its wait loop: if the chain that begins
 * with its own wait comes back to it, it publishes the lock by which it did so. This CPU holds that
 * lock, and the wait loop is its innermost code, so the code that acquired the lock cannot go on: it
 * has held the lock since before the wait, and holds it until the wait is over. Where all CPUs of a
 * circle have published that, each of them for a wait that began before the look and is not over, all
 * links were there when the look began: none of these CPUs can go on. A CPU that asks for a lock that it
 * holds needs no look at other CPUs.
 *
 * Writers: the holder of the lock writes the note; each CPU writes its own record. All are whole
 * relaxed stores. Any CPU may read them at any time. A record has a number, which its CPU clears before
 * it writes the other words and sets last; fences: (a) the clearing before the words, pairs with (c) the
 * words before the second read of the number; (b) the words before the number, pairs with (d) the first
 * read of the number before the words; (e) the clearing at the end of a wait before the note of the
 * holder, pairs with the address by which a reader gets from a note to the record of the CPU that it
 * names. So no reader finds that this CPU holds the lock and waits for it. A test on an x86 host cannot
 * see these fences; `make lint` looks for them in the machine code (tools/lint/owners.py).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <port.h>

#include "sync/cache_line.h"
#include "sync/ck.h"
#include "sync/lock_stats.h"

#ifndef LOCK_OWNERS
#define LOCK_OWNERS LOCK_STATS
#endif

#if LOCK_OWNERS && !LOCK_STATS
#error "owners are noted where acquires are counted: LOCK_OWNERS=1 needs LOCK_STATS=1"
#endif

struct spin_node;

struct lock_owner {
	unsigned cpu;
	uint64_t site; /* 0: not known */
};

/* What a CPU waits for. */
struct lock_wait {
	uint64_t number;	      /* of this CPU's waits, from 1 on */
	const struct spinlock *lock;  /* may be gone when the wait is over */
	const char *name;	      /* the lock's */
	uint64_t site;		      /* 0: not known */
	uint64_t since;		      /* lock_owners_time() */
	const struct spinlock *holds; /* by which this CPU has found itself in a circle; or NULL */
};

/* Part of the lock's word, on its cache line, behind what the algorithms use of it. */
struct lock_owner_note {
#if LOCK_OWNERS
	char used_by_algorithm[32];
	uint64_t holder; /* lock_owner_pack(), or its complement: released; 0 and ~0: not known */
#endif
};

/* Part of each struct spin_node; set where the acquire is counted. */
struct lock_owner_node {
#if LOCK_OWNERS
	uint64_t note; /* lock_owner_pack() of this acquire */
#endif
};

/* A site is 48 bits, with the sign of the highest; 0 is no site. Numbers of CPUs are below 2^16. */
#define LOCK_OWNER_CPU_BITS 16

static inline uint64_t lock_owner_pack(const void *site, unsigned cpu)
{
	return (uint64_t)(uintptr_t)site << LOCK_OWNER_CPU_BITS | cpu;
}

static inline struct lock_owner lock_owner_unpack(uint64_t note)
{
	return (struct lock_owner){
		.cpu = (unsigned)(note & ((1u << LOCK_OWNER_CPU_BITS) - 1)),
		.site = (uint64_t)((int64_t)note >> LOCK_OWNER_CPU_BITS),
	};
}

/* Turns of a wait loop from one call of lock_wait_on_look to the next. */
#define LOCK_WAIT_LOOK_TURNS 2048

/* The clock of waits: the port's clock that all CPUs share, if it has one. */
static inline uint64_t lock_owners_time(void)
{
#if defined(PORT_TRACE_IS_ON)
	return port_trace_time();
#else
	return port_clock();
#endif
}

#if LOCK_OWNERS

/* What a wait keeps for its end; on the waiter's stack. */
struct lock_wait_noted {
	struct lock_wait_record *record; /* NULL: the wait is not published */
	struct lock_wait outer; /* the wait that this one has interrupted; number 0: none */
};

/*
 * Called by a CPU in its wait loop, each LOCK_WAIT_LOOK_TURNS turns; NULL: not called. In any context
 * in which the CPU may take a lock, with the locks that it holds; it must take none.
 */
extern void (*lock_wait_on_look)(void);

/* Bytes of memory that the records of `cpus` CPUs take, to be aligned to PORT_CACHE_LINE. */
size_t lock_owners_bytes(unsigned cpus);

/* True for the note of a CPU that holds the lock; false: it was released, or no CPU is known (0 and ~0). */
static inline bool lock_owner_is_held(uint64_t note)
{
	uint64_t function = lock_owner_pack((const void *)(uintptr_t)lock_owner_unpack, 0);

	return (int64_t)(note ^ function) >= 0 && lock_owner_unpack(note).site + 1 > 1;
}

/* The note of the CPU that holds the lock, or held it last; 0: not known. */
static inline uint64_t lock_owner_last(uint64_t note)
{
	if (lock_owner_is_held(note))
		return note;
	return lock_owner_is_held(~note) ? ~note : 0;
}

/* CPUs 0..cpus-1 publish their waits from here on, in this memory, which is kept. At rest. */
void lock_owners_start(void *memory, unsigned cpus);

/*
 * What `cpu` waits for. False: it waits for no lock, or its record is being written. Any context; the
 * answer may be stale.
 */
bool lock_wait_of(unsigned cpu, struct lock_wait *wait);

/* The lock's holder. False: the lock is free, or its holder not known. Any context; may be stale. */
bool lock_owner_of(const struct spinlock *lock, struct lock_owner *owner);

/*
 * In lock_wait_on_look: true if this CPU is in a circle of CPUs that wait for each other, all of them
 * for more than `settled` ticks of lock_owners_time(), and all of them have found that by this call.
 * So the last CPU of a circle that calls it finds the deadlock. Never true without a deadlock, if the
 * clocks of the CPUs differ by less than `settled`. O(CPUs).
 */
bool lock_wait_is_deadlock(uint64_t settled);

/* For spinlock.c: around the wait, `begin` before the queue and `end` in the critical section. */
void lock_wait_begin(struct spinlock *lock, const struct spin_node *node,
		     struct lock_wait_noted *noted);
void lock_wait_restore(struct lock_wait_noted *noted);

/* A record's number is its first word. */
static inline void lock_wait_end(struct lock_wait_noted *noted)
{
	if (!noted->record)
		return;
	if (__builtin_expect(noted->outer.number != 0, 0)) {
		lock_wait_restore(noted);
		return;
	}
	ck_pr_store_64((uint64_t *)noted->record, 0);
	ck_pr_fence_store(); /* (e) */
}

#if defined(PORT_WAIT_TURNS)

#if !defined(PORT_CALL_KEEPING)
#define PORT_CALL_KEEPING(function) (function)()
#endif

void lock_wait_look(void);

/* A turn of a wait loop. */
static inline __attribute__((always_inline)) void lock_wait_turn(void)
{
	port_relax();
	if (__builtin_expect(--PORT_WAIT_TURNS() <= 0, 0))
		PORT_CALL_KEEPING(lock_wait_look);
}

#else
#define lock_wait_turn port_relax
#endif

#else

struct lock_wait_noted {
};

static inline size_t lock_owners_bytes(unsigned cpus)
{
	(void)cpus;
	return 0;
}

static inline void lock_owners_start(void *memory, unsigned cpus)
{
	(void)memory;
	(void)cpus;
}

static inline bool lock_wait_of(unsigned cpu, struct lock_wait *wait)
{
	(void)cpu;
	(void)wait;
	return false;
}

static inline bool lock_owner_of(const struct spinlock *lock, struct lock_owner *owner)
{
	(void)lock;
	(void)owner;
	return false;
}

#define lock_wait_begin(lock, node, noted) ((void)(noted))
#define lock_wait_end(noted)		   ((void)(noted))
#define lock_wait_turn			   port_relax

#endif
