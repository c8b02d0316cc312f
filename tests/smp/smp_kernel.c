/* SPDX-License-Identifier: BSD-2-Clause */
/* smp_kernel.c - tests/smp/smp.h for the kernel; its churn is in workloads/churn.c. */
#include "tests/smp/smp_kernel.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "kernel/diag/clock.h"
#include "kernel/diag/contention.h"
#include "kernel/program_memory.h"
#include "kernel/settings.h"
#include "kernel/smp/cpu.h"
#include "tests/smp/smp.h"

static bool is_quiet;

void smp_run(void (*work)(void *argument), void *argument, unsigned cpus)
{
	clock_share(cpus);
	cpus_run(work, argument, cpus);
	clock_share(1);
}

void *smp_memory(uint64_t bytes)
{
	return program_memory_alloc(bytes);
}

void smp_memory_end(void *block)
{
	program_memory_release_block(block);
}

uint64_t smp_nanoseconds(void)
{
	return clock_nanoseconds();
}

/* Where nothing has been looked at (a sweep, a schedule), nothing of it is printed either. */
bool smp_waits_are_measurable(unsigned cpus)
{
	(void)cpus;
	return contention_is_measurable() && contention_look();
}

void smp_lock_delays(struct smp_delay *hold, struct smp_delay *think)
{
	const struct bootargs *arguments = &settings.arguments;

	*hold = (struct smp_delay){arguments->hold,
				   arguments->hold_spread == BOOTARGS_SPREAD_RANDOM};
	*think = (struct smp_delay){arguments->think,
				    arguments->think_spread == BOOTARGS_SPREAD_RANDOM};
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
