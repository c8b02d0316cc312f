/* SPDX-License-Identifier: BSD-2-Clause */
/* port.c - see port.h: the functions of the port that are not inline. */
#include <port.h>

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "mm/percpu/drain.h"

struct demo_cpu *demo_cpus;
unsigned demo_cpu_count;
_Thread_local struct demo_cpu *demo_self;
char *demo_memory;

void port_panic(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

/* Threads may share a core, and the one that is waited for must get it. */
void port_relax(void)
{
	sched_yield();
}

/* The release pairs with the acquire in demo_poll(): what is asked for was written before this. */
void port_ipi_send(unsigned first, uint64_t set)
{
	for (; set; set &= set - 1) {
		unsigned cpu = first + (unsigned)__builtin_ctzll(set);

		__atomic_store_n(&demo_cpus[cpu].asked, 1, __ATOMIC_RELEASE);
	}
}

/* Takes the flag first: a request that comes while this one is answered sets it again. */
void demo_poll(void)
{
	if (!__atomic_load_n(&demo_self->asked, __ATOMIC_RELAXED))
		return;
	__atomic_exchange_n(&demo_self->asked, 0, __ATOMIC_ACQUIRE);
	while (frame_drain_answer())
		; /* each call is one bounded step */
}
