/*
 * port.h - mm/ and sync/ on a host: threads are cpus, and a mapping is physical memory.
 *
 * Physical addresses are made up: memory "at" host_memory_base is where the mapping is. Threads
 * have no interrupts, so masking does nothing and plain C is right for the pop and the push.
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

struct host_cpu {
	_Alignas(64) char area[256]; /* the frame cache */
	unsigned number;
};

extern _Thread_local struct host_cpu *host_self;
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

void port_relax(void);
_Noreturn void port_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));
