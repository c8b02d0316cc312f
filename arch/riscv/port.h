/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - mm/ and sync/ in this kernel: the contract is mm/platform.h.
 *
 * The pop and push of the frame cache are restartable sequences. Each notes its bounds in the
 * section `.restartable`; a trap whose pc lies within [start, end) resumes at start (trap.c). So
 * no instruction before the last may disturb another run of the sequence: inputs are never
 * overwritten, and the last instruction is the only store that other code reads.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/riscv/cpu.h"
#include "arch/riscv/csr.h"

static inline void *port_area(void)
{
	return arch_cpu_tp;
}

static inline unsigned port_cpu(void)
{
	return arch_cpu_self()->number;
}

/* Set once when the harts are counted, before any other cpu runs. */
extern unsigned port_cpus;
extern char *port_cpu_blocks;
extern size_t port_cpu_block_bytes;

static inline unsigned port_cpu_count(void)
{
	return port_cpus;
}

static inline unsigned port_cpu_group(void)
{
	return arch_cpu_self()->group;
}

static inline void *port_area_of(unsigned cpu)
{
	return port_cpu_blocks + cpu * port_cpu_block_bytes + ARCH_CPU_AREA_AT;
}

static inline unsigned long port_irq_save(void)
{
	return csr_read_clear(sstatus, SSTATUS_SIE);
}

static inline void port_irq_restore(unsigned long flags)
{
	csr_set(sstatus, flags & SSTATUS_SIE);
}

static inline bool port_in_trap(void)
{
	return arch_cpu_self()->trap_depth != 0;
}

/* Paging is off: addresses are what they are. */
static inline void *port_phys_pointer(uint64_t address)
{
	return (void *)address;
}

static inline uint64_t port_phys_address(const void *pointer)
{
	return (uint64_t)pointer;
}

/* Finer than `time`; firmware lets S-mode read it. */
static inline uint64_t port_clock(void)
{
	return csr_read(cycle);
}

/* The trace (sync/trace.h) is on where this cpu has a ring: one load through tp. */
#define PORT_TRACE_IS_ON() (arch_cpu_self()->trace != NULL)

/* The clock that all harts share; coarse, 100 ns on QEMU's machine. */
static inline uint64_t port_trace_time(void)
{
	return csr_read(time);
}

void port_trace(unsigned event, uint64_t begun, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

/* Turns of this cpu's waits for locks (sync/lock_owners.h): a word through tp. */
#define PORT_WAIT_TURNS() (arch_cpu_self()->wait_turns)

void arch_call_keeping(void); /* for the next macro alone */

/*
 * Calls a function without arguments or result, and keeps all registers but t0 and t1
 * (call_keeping.S). The wait loops around such a call stay functions without a stack frame, which some
 * locks also call where they do not wait.
 */
#define PORT_CALL_KEEPING(function)                                                                \
	__asm__ volatile("lla	t1, %0\n\tcall	t0, arch_call_keeping"                                \
			 :                                                                         \
			 : "i"(function)                                                           \
			 : "t0", "t1", "memory")

/* Zihintpause, by its encoding: a FENCE that orders nothing where the hint is not known. */
static inline void port_relax(void)
{
	__asm__ volatile(".insn i 0x0f, 0, x0, x0, 0x010" ::: "memory");
}

void port_ipi_send(unsigned first, uint64_t set);
_Noreturn void port_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * What port_panic() does; it must not return. `site` is the address that port_panic() would return
 * to. Set at boot. NULL: the message goes out through the firmware and the machine is ended.
 */
extern void (*port_on_panic)(uintptr_t site, const char *format, va_list arguments);

#define PORT_RESTARTABLE(start, end)                                                               \
	".pushsection .restartable, \"a\"\n\t"                                                     \
	".dword " #start ", " #end "\n\t"                                                          \
	".popsection\n\t"

/*
 * The pop, five instructions on a hit. The sentinel below an empty stack is negative. Volatile,
 * because an asm goto with outputs is not so by itself: without a reader of its outputs it would be
 * dropped. `at`: the stack's register in the text; `...`: the operand that says so, if it is not tp.
 */
#define PORT_STACK_POP_IN(at, frame, top_offset, empty, ...)                                       \
	do {                                                                                       \
		uint64_t top_;                                                                     \
                                                                                                   \
		__asm__ volatile goto("811:	ld	%[top], %[offset](" at ")\n\t"             \
				      "	ld	%[value], -8(%[top])\n\t"                               \
				      "	addi	%[top], %[top], -8\n\t"                               \
				      "	bltz	%[value], %l[" #empty "]\n\t"                      \
				      "	sd	%[top], %[offset](" at ")\n"                       \
				      "812:\n\t" PORT_RESTARTABLE(811b, 812b)                      \
				      : [top] "=&r"(top_), [value] "=&r"(frame)                    \
				      : [offset] "i"(top_offset)__VA_ARGS__                        \
				      : "memory"                                                   \
				      : empty);                                                    \
	} while (0)

/* The push, six. A store to the slot above the top counts only when top has moved. */
#define PORT_STACK_PUSH_IN(at, frame, top_offset, limit_offset, full, ...)                         \
	do {                                                                                       \
		uint64_t top_, limit_;                                                             \
                                                                                                   \
		__asm__ volatile goto("811:	ld	%[top], %[offset](" at ")\n\t"             \
				      "	ld	%[limit], %[limit_at](" at ")\n\t"                 \
				      "	beq	%[top], %[limit], %l[" #full "]\n\t"               \
				      "	sd	%[value], 0(%[top])\n\t"                                \
				      "	addi	%[top], %[top], 8\n\t"                                \
				      "	sd	%[top], %[offset](" at ")\n"                       \
				      "812:\n\t" PORT_RESTARTABLE(811b, 812b)                      \
				      : [top] "=&r"(top_), [limit] "=&r"(limit_)                   \
				      : [offset] "i"(top_offset), [limit_at] "i"(limit_offset),    \
					[value] "r"(frame)__VA_ARGS__                              \
				      : "memory"                                                   \
				      : full);                                                     \
	} while (0)

/* Of the stack at an offset into this cpu's area. */
#define PORT_STACK_POP(frame, top_offset, empty) PORT_STACK_POP_IN("tp", frame, top_offset, empty, )
#define PORT_STACK_PUSH(frame, top_offset, limit_offset, full)                                     \
	PORT_STACK_PUSH_IN("tp", frame, top_offset, limit_offset, full, )

/* Of the stack at an offset from a pointer. */
#define PORT_STACK_POP_AT(value, base, top_offset, empty)                                          \
	PORT_STACK_POP_IN("%[base_]", value, top_offset, empty, , [base_] "r"(base))
#define PORT_STACK_PUSH_AT(value, base, top_offset, limit_offset, full)                            \
	PORT_STACK_PUSH_IN("%[base_]", value, top_offset, limit_offset, full, , [base_] "r"(base))
