/*
 * cpu.h - cpus: the dense numbering of the harts that run, and work for all of them at once.
 *
 * cpu 0 is the hart that booted. The others sleep in cpu_serve() until cpus_run() has work for
 * them. Each field is written by who its comment names.
 */
#pragma once

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/riscv/cpu.h"
#include "arch/riscv/hart.h"

typedef void cpu_work(void *argument);

struct cpu {
	struct arch_cpu arch; /* first: tp points here */

	/* The cpu's own. */
	jmp_buf *panic_return;	/* an expected panic comes back here; NULL: none is expected */
	char panic_message[320];

	/* Written by cpu 0, read by this cpu. */
	_Alignas(64) cpu_work *work;
	void *argument;
	uint32_t work_number;

	/* Written by this cpu, read by cpu 0. */
	_Alignas(64) uint32_t done_number;
	uint32_t online;
};

static inline struct cpu *cpu_self(void)
{
	return (struct cpu *)arch_cpu_self();
}

struct cpu *cpu_of(unsigned number);

/* Cpus that run; at most the number of areas. */
unsigned cpu_online_count(void);

/*
 * Runs work(argument) on cpus 0..count-1, this one included, and returns when all are done: what
 * they wrote is seen. On cpu 0, with no lock held.
 */
void cpus_run(cpu_work *work, void *argument, unsigned count);

/* Secondary cpus live here. */
_Noreturn void cpu_serve(void);
