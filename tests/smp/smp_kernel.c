/* SPDX-License-Identifier: BSD-2-Clause */
/* smp_kernel.c - tests/smp/smp.h for the kernel; its memory is in program_memory.c, its churn in churn.c.
 */
#include "tests/smp/smp_kernel.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "arch/riscv/hart.h"
#include "kernel/smp/cpu.h"
#include "kernel/settings.h"
#include "kernel/diag/contention.h"
#include "tests/smp/smp.h"

static bool is_quiet;

void smp_run(void (*work)(void *argument), void *argument, unsigned cpus)
{
	cpus_run(work, argument, cpus);
}

uint64_t smp_nanoseconds(void)
{
	const uint64_t second = 1000000000;
	uint64_t ticks = hart_time(), hertz = settings.timebase;

	return ticks / hertz * second + ticks % hertz * second / hertz;
}

/* Where nothing has been looked at (a sweep, a schedule), nothing of it is printed either. */
bool smp_waits_are_measurable(unsigned cpus)
{
	(void)cpus;
	return contention_is_measurable() && contention_look();
}

void smp_set_quiet(bool quiet)
{
	is_quiet = quiet;
}

void smp_print(const char *format, ...)
{
	va_list arguments;

	if (is_quiet)
		return;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
}
