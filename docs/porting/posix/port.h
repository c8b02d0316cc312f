/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - mm/ and sync/ in a POSIX program: a thread is a cpu, a block of memory is its RAM.
 *
 * This port has no interrupts. A request of another cpu is a flag, and each cpu looks at its flag
 * (demo_poll) in its own program order: never in the middle of a pop or a push, so the plain C for
 * those is right, and masking is nothing. The price is a rule for the program: a cpu that is on
 * line calls demo_poll() or frame_relax() again and again, also while it waits or computes. A port
 * with real interrupts has no such rule: its interrupt handler does what demo_poll() does.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* mm/ and sync/ read this too. It may be left out where lines have 64 bytes. */
#if !defined(PORT_CACHE_LINE)
#define PORT_CACHE_LINE 64
#endif

struct demo_cpu {
	/* For mm/, which wants it zeroed; setup.c and heap.c assert that it is large enough. */
	_Alignas(PORT_CACHE_LINE) char area[4 * PORT_CACHE_LINE + 2432];
	unsigned number;
	uint32_t asked; /* by another cpu, which wants frame_drain_answer() called on this one */
};

extern struct demo_cpu *demo_cpus;
extern unsigned demo_cpu_count;
extern _Thread_local struct demo_cpu *demo_self;

extern char *demo_memory;	       /* where the RAM is mapped */
#define DEMO_BASE UINT64_C(0x80000000) /* the physical address that its first byte has */

static inline void *port_area(void)
{
	return demo_self->area;
}

static inline void *port_area_of(unsigned cpu)
{
	return demo_cpus[cpu].area;
}

static inline unsigned port_cpu(void)
{
	return demo_self->number;
}

static inline unsigned port_cpu_count(void)
{
	return demo_cpu_count;
}

/* No cpu is nearer to one than to another: one group. */
static inline unsigned port_cpu_group(void)
{
	return 0;
}

/* No code interrupts a cpu here, so there is nothing to mask, and no trap handler. */
static inline unsigned long port_irq_save(void)
{
	return 0;
}

static inline void port_irq_restore(unsigned long flags)
{
	(void)flags;
}

static inline bool port_in_trap(void)
{
	return false;
}

static inline void *port_phys_pointer(uint64_t address)
{
	return demo_memory + (address - DEMO_BASE);
}

static inline uint64_t port_phys_address(const void *pointer)
{
	return (uint64_t)((uintptr_t)pointer - (uintptr_t)demo_memory) + DEMO_BASE;
}

/* Statistics of time are not wanted: any constant but 0. */
static inline uint64_t port_clock(void)
{
	return 1;
}

void port_relax(void);
void port_ipi_send(unsigned first, uint64_t set);
_Noreturn void port_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- for the program, not for mm/ --------------------------------------------------------- */

/* Does what other cpus have asked of this one; outside every lock of mm/. */
void demo_poll(void);
