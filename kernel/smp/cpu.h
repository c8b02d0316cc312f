/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.h - cpus: the dense numbering of the harts that run, and work for all of them at once.
 *
 * cpu 0 is the hart that booted. The others sleep in cpu_serve() until cpus_run() has work for
 * them. The comment of each field says which cpu writes it.
 *
 * Any cpu can stop any other and start it again, cpu 0 like the rest. A cpu that is stopped is
 * between two of its instructions, as if a handler took long: it holds no lock, is in no queue for
 * one, and has no frame in its cache. Locks that are taken with interrupts masked see to that
 * themselves; for others there is cpu_pin_online().
 */
#pragma once

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/cpu.h"
#include "arch/riscv/hart.h"
#include "sync/ck.h"

typedef void cpu_work(void *argument);

struct cpu {
	struct arch_cpu arch; /* first: tp points here */

	/* The cpu's own. */
	jmp_buf *panic_return; /* an expected panic comes back here; NULL: none is expected */
	char panic_message[400];
	uint32_t online_pins; /* calls of cpu_pin_online() less those of cpu_unpin(); read by handlers */

	/* Written by cpu 0, read by this cpu. */
	_Alignas(64) cpu_work *work;
	void *argument;
	uint32_t work_number;

	/* Written by this cpu, read by cpu 0. */
	_Alignas(64) uint32_t done_number;
	uint32_t online; /* has come, once and for all */

	/* Written by the cpu and by the cpu that stops or starts it (cpu_stop.c). */
	_Alignas(64) uint32_t state;
	long stop_error; /* written by this cpu: the firmware's, when it refused to stop it */
	struct hart_arrival *arrival;
	struct space *space; /* that this cpu is in; NULL: in the kernel's (space.c) */
	uint64_t maps_seen;  /* that space's count of mappings at this cpu's last flush (space.c) */
	uint64_t guard_maps_seen; /* the same of blocks with guard pages (heap_guard.c) */

	/* Flushes of its translation caches (shootdown.c). */
	_Alignas(64) uint64_t flush_wanted; /* by others; atomic */
	uint64_t flush_answered;	    /* written by this cpu: up to this request */
	uint32_t flush_online;		    /* written by this cpu: it takes part */

	/* Of a machine that has panicked (panic.c). */
	uint64_t parked_pc;
	uint32_t parked;
};

enum cpu_result {
	CPU_DONE,
	CPU_ALREADY, /* stopped already, or runs already */
	CPU_ABSENT,  /* there is no cpu of that number */
	CPU_ITSELF,  /* it would be the caller */
	CPU_REFUSED, /* by the firmware */
	CPU_LOST     /* nothing came of it within a time that is long for any machine */
};

static inline struct cpu *cpu_self(void)
{
	return (struct cpu *)arch_cpu_self();
}

struct cpu *cpu_of(unsigned number);

/*
 * Panics where this cpu lets no interrupt in, or is in a trap handler: before a wait for another
 * cpu, which may be waiting for this one. `doing` completes "cpu 3 ...".
 */
void cpu_check_may_wait(const char *doing);

/* Cpus that run; at most the number of areas. */
unsigned cpu_online_count(void);

/*
 * Stops a cpu, and returns when its hart is stopped: its frames are in the zones by then. Or starts
 * a cpu that was stopped: it goes on where it was, and takes part again when this returns. From any
 * cpu, not in a handler, no lock held, interrupts let in. One at a time: a cpu that stops or starts
 * another one is not stopped meanwhile. While a cpu is stopped cpus_run() must not count on it.
 */
enum cpu_result cpu_stop(unsigned number);
enum cpu_result cpu_start(unsigned number);
const char *cpu_result_text(enum cpu_result result);
bool cpu_is_stopped(unsigned number);

/*
 * In the handler of an IPI: stops this cpu if another one has asked it to and it may stop, and
 * returns when it has been started again. Else does nothing, cheaply.
 */
void cpu_stop_if_asked(void);

/*
 * Between the two calls the calling cpu is not stopped: the stopper goes on asking. Around
 * what others may have to wait for while interrupts are let in, such as a lock. They nest. Handlers
 * of this cpu see what it wrote before, and no other cpu looks: the compiler's order is enough.
 */
static inline void cpu_pin_online(void)
{
	ck_pr_store_32(&cpu_self()->online_pins, cpu_self()->online_pins + 1);
	ck_pr_barrier();
}

static inline void cpu_unpin(void)
{
	ck_pr_barrier();
	ck_pr_store_32(&cpu_self()->online_pins, cpu_self()->online_pins - 1);
}

/* On each cpu that has come back, before it goes on, with interrupts masked; NULL: nothing. */
extern void (*cpu_on_return)(void);

/*
 * Runs work(argument) on cpus 0..count-1, this one included, and returns when all are done: the
 * caller then sees what they wrote. On cpu 0, not in a handler, no lock held, interrupts let in.
 * One IPI, a call into the firmware, for every 64 harts in a row.
 */
void cpus_run(cpu_work *work, void *argument, unsigned count);

/*
 * On cpu 0, before any other cpu is started: this cpu takes part in flushes, and lets IPIs in. The
 * others do so in cpu_serve().
 */
void cpus_init(void);

/* Secondary cpus live here. */
_Noreturn void cpu_serve(void);
