/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port.c - what port.h declares, but for port_ipi_send() (kernel/smp/ipi.c) and port_trace()
 * (kernel/diag/trace_port.c).
 */
#include "arch/riscv/port.h"

#include <stdarg.h>
#include <stdio.h>

#include "arch/riscv/trap.h"

unsigned port_cpus;
char *port_cpu_blocks;
size_t port_cpu_block_bytes;

void (*port_on_panic)(uintptr_t site, const char *format, va_list arguments);

/*
 * Every layer may call it, so it stands below them all, and what a panic does is registered. The
 * registered function does not return. Before it is registered, the message goes out through the
 * firmware's console.
 */
void port_panic(const char *format, ...)
{
	char message[200];
	va_list arguments;

	va_start(arguments, format);
	if (port_on_panic) {
		port_on_panic((uintptr_t)__builtin_return_address(0), format, arguments);
		trap_fatal_end("a panic has returned");
	}
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	trap_fatal_end(message);
}
