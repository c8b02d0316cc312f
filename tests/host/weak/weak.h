/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weak.h - CPUs on one thread whose accesses to memory are as late, and in as strange an order, as
 * RISC-V's memory model (RVWMO) allows.
 *
 * The code under test is compiled unchanged. ck_pr.h in this folder takes the place of Concurrency
 * Kit's primitives, so each atomic access and each fence is a call of memory.c; the compiler calls
 * it for each plain access. A CPU is a coroutine. What it does next, and what its access sees, is a
 * *choice*. The first answer to each choice is what a machine without any reordering does.
 *
 * The model. There is one order of all stores (RVWMO is multi-copy atomic). In it
 *
 *	- a store waits in a buffer of its CPU until it is performed. Stores to different addresses leave
 *	  the buffer in any order, unless a fence between them orders writes before writes. The CPU
 *	  itself reads its waiting store.
 *	- a load sees the newest store to its address, or an older one: as old as the fences before it,
 *	  its CPU's earlier accesses of the same address, and the address of a pointer that it goes
 *	  through, allow.
 *	- a load may also be performed late, after later stores of its CPU that do not depend on it. The
 *	  code under test cannot be asked what depends on what, so this is for litmus tests only: there
 *	  a load says that it may be late, and an access what it depends on. Of the code under
 *	  test, the loads that a test names may be later than a write to a device (weak_postponed).
 *	- an atomic read-modify-write sees the newest store. By itself it orders nothing (Concurrency
 *	  Kit 0.7.2), or it is a full fence (0.7.1): WEAK_FULL_ATOMICS.
 *	- what a CPU writes to a device, a CSR or the firmware waits for its stores only if a fence
 *	  between them says so, and what it reads there is seen before its later loads only by a fence.
 *	- a CPU that waits (port_relax) has come to know all that was performed to the words it looked at.
 *
 * Plain accesses are performed at once. Any two of them, or one of them and an atomic access, that
 * conflict and that no chain of fences and accesses orders are a race, which fails the execution. A
 * chain knows reads from writes: a fence that orders writes only does not order a critical
 * section's reads.
 *
 * What it cannot see: an atomic store that overtakes an earlier atomic load of the code under test;
 * accesses of different sizes to one address (an error); what the compiler reorders.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WEAK_CPUS_MAX 8

/* The kinds of accesses that a fence can order. */
#define WEAK_R	  1u
#define WEAK_W	  2u
#define WEAK_I	  4u
#define WEAK_O	  8u
#define WEAK_WALK 16u /* of a hart's MMU */
#define WEAK_RW	  (WEAK_R | WEAK_W)

/* A place in the source that accesses memory. Fences have what they order, which a run may weaken. */
struct weak_site {
	const char *file, *function, *what;
	int line;
	unsigned before, after; /* of a fence, as written */
	struct weak_fence *fence;
	enum { WEAK_UNKNOWN, WEAK_HINT, WEAK_BRANCH, WEAK_POSTPONED, WEAK_ORDINARY } kind;
};

#define WEAK_SITE(text, ordered_before, ordered_after)                                             \
	({                                                                                         \
		static struct weak_site site_ = {__FILE__, __func__,	     text,                 \
						 __LINE__, (ordered_before), (ordered_after),      \
						 NULL,	   WEAK_UNKNOWN};                          \
		&site_;                                                                            \
	})

/* ---- accesses, of the calling CPU ------------------------------------------------------------ */

enum weak_rmw { WEAK_SWAP, WEAK_ADD, WEAK_OR, WEAK_AND };

uint64_t weak_load(const void *address, unsigned size, struct weak_site *site);
void weak_store(void *address, unsigned size, uint64_t value, struct weak_site *site);
uint64_t weak_rmw(void *address, unsigned size, enum weak_rmw kind, uint64_t operand,
		  struct weak_site *site);
/* The same, whose old value is not used: it waits like a store. */
void weak_change(void *address, unsigned size, enum weak_rmw kind, uint64_t operand,
		 struct weak_site *site);
/* Returns what it found; stores if that is `wanted`. */
uint64_t weak_cas(void *address, unsigned size, uint64_t wanted, uint64_t value,
		  struct weak_site *site);
void weak_fence(struct weak_site *site);
/* A pointer has been loaded with `weak_load`: what is reached through it is no older. */
void weak_follows(const void *pointer, const void *address);
/* Waits: until something that it looked at since the last wait has changed. */
void weak_relax(struct weak_site *site);

/*
 * The CPU writes to a device, a CSR or the firmware: effect(argument) is what that does. It returns
 * the instant for weak_device_in(), which is what the CPU reads there after it.
 */
uint64_t weak_device_out(void (*effect)(uint64_t argument), uint64_t argument,
			 struct weak_site *site);
void weak_device_in(uint64_t instant);
/* It looks at a device: a wait ends when any has changed. */
void weak_watch_devices(void);

/*
 * A load by the MMU of the calling CPU's hart: no older than walk->floor, which it raises to what it
 * has seen, and than the hart's last fence for walks. False: *walk->flushes has changed. The walk ended
 * there, and the load was not made.
 */
struct weak_walk {
	const uint32_t *flushes;
	uint32_t flushes_seen, floor;
};

bool weak_walk(const uint64_t *address, struct weak_walk *walk, uint64_t *entry,
	       struct weak_site *site);
void weak_fence_walks(struct weak_site *site);
/* The effect of a call of the firmware: another hart passes all fences, and the answer's instant. */
uint64_t weak_remote_fence(unsigned cpu);
/* Whether something happens that may happen or not. */
bool weak_chance(void);

/* Waits for an interrupt, masked or not, or for weak_wake(). A CPU that sleeps has ended its work. */
void weak_sleep(struct weak_site *site);
void weak_wake(unsigned cpu);

/* For litmus tests: the number of the load says what later accesses depend on. */
struct weak_loaded {
	uint64_t value;
	unsigned number;
};
struct weak_loaded weak_load_late(const void *address, struct weak_site *site);
uint64_t weak_load_after(const void *address, unsigned depends_on, struct weak_site *site);
void weak_store_after(void *address, uint64_t value, unsigned depends_on, struct weak_site *site);

/* ---- interrupts ------------------------------------------------------------------------------ */

/* The handler runs on the CPU before one of its next accesses, when it is not masked. */
void weak_interrupt(unsigned cpu);
/* What is pending on a CPU is lost, as its hart stops. */
void weak_interrupt_lost(unsigned cpu);
bool weak_is_masked(void);
unsigned long weak_irq_save(void);
void weak_irq_restore(unsigned long flags);

/* ---- executions ------------------------------------------------------------------------------ */

struct weak_workload {
	const char *name;
	unsigned cpus;
	void (*setup)(void); /* at rest, before each execution: makes everything new */
	void (*work)(unsigned cpu);
	void (*check)(void);	   /* at rest, after it; may be NULL */
	void (*handler)(unsigned); /* of interrupts; may be NULL */
	bool full_atomics;	   /* each atomic read-modify-write is a full fence */
	bool foresees;		   /* it has late loads */
	bool here; /* executions leave nothing behind, not even those that fail: no child process */
	unsigned steps_max; /* more than these: it has no end; 0: a default */
	/* The number of executions of weak_explore(): the most of a search of all, and drawn ones. */
	uint64_t all, some;
};

struct weak_result {
	uint64_t executions; /* that came to their end, or failed */
	uint64_t redundant; /* left off: as another execution but for the order of independent steps */
	uint64_t impossible; /* left off: a late load did not get what had been foreseen */
	uint64_t seed;	     /* of the last one, if they were drawn */
	bool complete;	     /* all executions were tried */
	bool failed;
	char message[1024];
};

/* All executions, or `most` of them. The first failure is shrunk and printed, and ends it. */
struct weak_result weak_all(const struct weak_workload *workload, uint64_t most);
/* One execution for each seed. */
struct weak_result weak_some(const struct weak_workload *workload, uint64_t seed, uint64_t count);

/*
 * As the workload says; fails the running unit test if an execution fails, and prints how many there
 * were. WORKLOAD=name in the environment: only that one. FENCES=file, or FENCES=all: it
 * also takes away each fence of these files that the workload passes, and each pair of it, and prints
 * which of these an execution dies of.
 */
void weak_explore(const struct weak_workload *workload);

/* The code under test failed; does not return. */
_Noreturn void weak_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The atomic loads of a function are hints: it may read what a plain store of another CPU writes at
 * the same time, because its result decides nothing that must be right. `reason` says why.
 */
void weak_hint(const char *function, const char *reason);
/*
 * They may be performed later than what the CPU next writes to a device, unless a fence orders that:
 * nothing that the CPU does before its next access of memory depends on them.
 */
void weak_postponed(const char *function, const char *reason);
/* Its plain stores come behind a branch on what it loads atomically: no store overtakes a branch. */
void weak_branch(const char *function, const char *reason);

/* A run that looks for failures does not print them. */
extern bool weak_is_quiet;

/* ---- fences ---------------------------------------------------------------------------------- */

/*
 * A fence that some execution passed, in whatever file: one for each place in the source. A pair is
 * one kind of access before it and one after it (model.h); the model obeys `pairs_now`. Partners: the
 * fences that were at the other end of an order that this one took part in, and how often.
 */
#define WEAK_PARTNERS_MAX 8

struct weak_fence {
	const char *file, *function, *what;
	int line;
	unsigned pairs, pairs_now;
	bool is_needed; /* an execution has died without it; and without these of its pairs */
	unsigned pairs_needed;
	uint64_t passed;
	struct weak_fence *partner[WEAK_PARTNERS_MAX];
	uint64_t times[WEAK_PARTNERS_MAX];
};

/* NULL behind the last one. */
struct weak_fence *weak_fence_number(unsigned number);
