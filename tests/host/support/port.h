/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.h - mm/ and sync/ on a host: threads are cpus, and a mapping is physical memory.
 *
 * Physical addresses are made up: memory "at" host_memory_base is where the mapping is. Threads
 * have no interrupts but IPIs, which are taken where a cpu lets interrupts in again, waits, or has
 * done its work: never in the middle of a pop or push, so plain C is right for those.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#else
#include <time.h>
#endif

/* A build of the tests with -DPORT_CACHE_LINE=128 has other lines (tools/check_porting.py). */
#if !defined(PORT_CACHE_LINE)
#define PORT_CACHE_LINE 64
#endif

/* Programs that measure times are built for the host's own order: the others for the weakest. */
#if defined(__x86_64__) && defined(CK_MD_TSO) && !defined(CK_MD_RMO)
#define PORT_TOTAL_STORE_ORDER 1
#endif

struct host_cpu {
	/* The frame cache, and the heap's front end. */
	_Alignas(PORT_CACHE_LINE) char area[4 * PORT_CACHE_LINE + 19 * 128];
	unsigned number;
	bool masked; /* the cpu's own, like in_trap */
	bool in_trap;
	bool running; /* in host_run(); else the sender of an IPI runs the handler for it */
	uint32_t ipi_pending;
	int wait_turns;
};

extern _Thread_local struct host_cpu *host_self;
/* Called wherever this thread waits, when set: a test may play there who is waited for. */
extern _Thread_local void (*host_on_relax)(void);
extern struct host_cpu *host_cpus;
extern unsigned host_cpu_count;

/* The made-up physical address of the first byte of the mapping, and that byte. */
extern uint64_t host_memory_base;
extern char *host_memory;

static inline void *port_area(void)
{
	return host_self->area;
}

static inline void *port_area_of(unsigned cpu)
{
	return host_cpus[cpu].area;
}

static inline unsigned port_cpu(void)
{
	return host_self->number;
}

static inline unsigned port_cpu_count(void)
{
	return host_cpu_count;
}

/* Groups of two cpus, so that a test with few cpus has several groups. */
static inline unsigned port_cpu_group(void)
{
	return host_self->number & ~1u;
}

/* Takes the IPI that is pending, as a trap handler. */
void host_take_ipi(struct host_cpu *cpu);

static inline bool host_ipi_is_due(const struct host_cpu *cpu)
{
	return !cpu->masked && !cpu->in_trap && __atomic_load_n(&cpu->ipi_pending, __ATOMIC_RELAXED);
}

static inline unsigned long port_irq_save(void)
{
	unsigned long flags = host_self->masked;

	host_self->masked = true;
	return flags;
}

static inline void port_irq_restore(unsigned long flags)
{
	host_self->masked = flags;
	if (__builtin_expect(host_ipi_is_due(host_self), 0))
		host_take_ipi(host_self);
}

static inline bool port_in_trap(void)
{
	return host_self->in_trap;
}

static inline void *port_phys_pointer(uint64_t address)
{
	return host_memory + (address - host_memory_base);
}

static inline uint64_t port_phys_address(const void *pointer)
{
	return (uint64_t)((const char *)pointer - host_memory) + host_memory_base;
}

static inline uint64_t port_clock(void)
{
#if defined(__x86_64__)
	return __rdtsc();
#else
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
#endif
}

/* Gets the events of sync/trace.h; NULL: nothing is traced. */
extern void (*host_trace)(unsigned event, uint64_t begun, uint64_t a, uint64_t b, uint64_t c,
			  uint64_t d);

#define PORT_TRACE_IS_ON() (host_trace != NULL)

static inline uint64_t port_trace_time(void)
{
	return port_clock();
}

static inline void port_trace(unsigned event, uint64_t begun, uint64_t a, uint64_t b, uint64_t c,
			      uint64_t d)
{
	host_trace(event, begun, a, b, c, d);
}

#define PORT_WAIT_TURNS() (host_self->wait_turns)

/*
 * Calls of port_ipi_send() so far, those of them with interrupts masked, and the cpus that they have told;
 * for tests, one cpu at a time.
 */
extern uint64_t host_ipi_calls, host_ipi_calls_masked, host_ipi_cpus;

void port_relax(void);
void port_ipi_send(unsigned first, uint64_t set);
_Noreturn void port_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
