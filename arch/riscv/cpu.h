/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpu.h - what the architecture keeps of each cpu, and where.
 *
 * A cpu's block is struct arch_cpu, and after it the kernel's own part. While the kernel runs, tp
 * holds the address of the area in this cpu's block. The area is what the allocator's port contract
 * promises. The hot paths load from it at offsets from tp, which reach 2,047 bytes behind tp; so
 * what the architecture keeps lies before tp.
 */
#pragma once

#define ARCH_CPU_AREA_AT     64 /* of the block: where tp points */
#define ARCH_CPU_AREA_BYTES  2688
#define ARCH_CPU_BLOCK_BYTES (ARCH_CPU_AREA_AT + ARCH_CPU_AREA_BYTES)
#define ARCH_CPU_NUMBER	     (0 - ARCH_CPU_AREA_AT) /* offsets from tp that assembler code uses */
#define ARCH_CPU_TRAP_DEPTH  (4 - ARCH_CPU_AREA_AT)
#define ARCH_CPU_STACK_TOP   (8 - ARCH_CPU_AREA_AT)
#define ARCH_CPU_HART_ID     (16 - ARCH_CPU_AREA_AT)
#define ARCH_CPU_RESUME_SP   (24 - ARCH_CPU_AREA_AT)
#define ARCH_CPU_STACK_LOW   (32 - ARCH_CPU_AREA_AT)
#define ARCH_CPU_EMERGENCY   (40 - ARCH_CPU_AREA_AT)
/* Of each cpu's stack; the second is for what finds the first one full. */
#define ARCH_STACK_SHIFT     15
#define ARCH_STACK_BYTES     (1 << ARCH_STACK_SHIFT)
#define ARCH_EMERGENCY_BYTES 8192
#define ARCH_GUARD_BYTES     4096 /* below each stack: used for nothing */
#define BOOT_CPU_BLOCK_BYTES 4096 /* what the boot hart has until the harts are counted */

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

struct arch_cpu {
	_Alignas(64) unsigned number; /* dense: 0..n-1 */
	unsigned trap_depth;	      /* 0: not in a trap handler */
	uintptr_t stack_top;	      /* where a starting hart's stack begins */
	uint64_t hart_id;	      /* SBI's */
	uintptr_t resume_sp;	 /* what a stopped hart goes on with (hart_stop.S); 0: nothing */
	uintptr_t stack_low;	 /* stack_top - ARCH_STACK_BYTES, also of the boot hart */
	uintptr_t emergency_top; /* of the stack for traps that find no room on the first */
	void *trace;		 /* where port_trace() writes; NULL: nothing is traced */
	unsigned group;		 /* number of the first cpu of this cpu's group (nodes.h) */
	int wait_turns; /* until this cpu, in a wait loop of a lock, looks at what it waits for */
	_Alignas(64) char area[ARCH_CPU_AREA_BYTES];
};

#define ARCH_CPU_OFFSET(member) ((long)offsetof(struct arch_cpu, member) - ARCH_CPU_AREA_AT)
_Static_assert(ARCH_CPU_OFFSET(number) == ARCH_CPU_NUMBER, "entry.S");
_Static_assert(ARCH_CPU_OFFSET(trap_depth) == ARCH_CPU_TRAP_DEPTH, "trap_entry.S");
_Static_assert(ARCH_CPU_OFFSET(stack_top) == ARCH_CPU_STACK_TOP, "entry.S");
_Static_assert(ARCH_CPU_OFFSET(hart_id) == ARCH_CPU_HART_ID, "entry.S");
_Static_assert(ARCH_CPU_OFFSET(resume_sp) == ARCH_CPU_RESUME_SP, "hart_stop.S");
_Static_assert(ARCH_CPU_OFFSET(stack_low) == ARCH_CPU_STACK_LOW, "trap_entry.S");
_Static_assert(ARCH_CPU_OFFSET(emergency_top) == ARCH_CPU_EMERGENCY, "trap_entry.S");
_Static_assert(offsetof(struct arch_cpu, area) == ARCH_CPU_AREA_AT, "tp points there");
_Static_assert(sizeof(struct arch_cpu) == ARCH_CPU_BLOCK_BYTES, "whole cache lines");

/*
 * tp as a variable of C. At file scope, because there compilers promise that each use of it is a use
 * of the register (GCC's manual, "Global Register Variables"; clang does the same for registers that
 * it does not allocate, and tp is one). Inside a function they promise it for operands of asm only.
 */
register char *arch_cpu_tp __asm__("tp");

/* This cpu's block; its members are at constant offsets from tp, so it costs nothing. */
static inline struct arch_cpu *arch_cpu_self(void)
{
	return (struct arch_cpu *)(arch_cpu_tp - ARCH_CPU_AREA_AT);
}

/* The block of this cpu is another one from here on: at boot, once. */
static inline void arch_cpu_move(struct arch_cpu *block)
{
	arch_cpu_tp = block->area;
	__asm__ volatile("" ::: "memory");
}

#endif
