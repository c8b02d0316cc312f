/* SPDX-License-Identifier: BSD-2-Clause */
/* smp_host.c - tests/smp/smp.h for a host process: threads are cpus. */
#include "tests/smp/smp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <port.h>

#include "host.h"
#include "mm/check.h"

struct part {
	void (*work)(void *argument);
	void *argument;
	unsigned cpus;
};

static void run_part(void *argument)
{
	struct part *part = argument;

	if (port_cpu() < part->cpus)
		part->work(part->argument);
}

void smp_run(void (*work)(void *argument), void *argument, unsigned cpus)
{
	struct part part = {work, argument, cpus};

	check(cpus <= port_cpu_count(), "smp_run: %u cpus of %u", cpus, port_cpu_count());
	host_run(run_part, &part);
}

uint64_t smp_nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool waits_are_measurable;

bool smp_waits_are_measurable(unsigned cpus)
{
	(void)cpus;
	return waits_are_measurable;
}

void smp_host_set_waits_measurable(bool are)
{
	waits_are_measurable = are;
}

/* Short, and one of each kind. */
void smp_lock_delays(struct smp_delay *hold, struct smp_delay *think)
{
	*hold = (struct smp_delay){20, false};
	*think = (struct smp_delay){100, true};
}

static char printed[4096];

void smp_print(const char *format, ...)
{
	size_t length = strlen(printed);
	va_list arguments;
	int wanted;

	va_start(arguments, format);
	wanted = vsnprintf(printed + length, sizeof(printed) - length, format, arguments);
	va_end(arguments);
	check(wanted >= 0 && (size_t)wanted < sizeof(printed) - length,
	      "smp_print: %d bytes more than the host keeps", wanted);
}

const char *smp_host_printed(void)
{
	return printed;
}

void smp_host_forget_printed(void)
{
	printed[0] = 0;
}

void smp_churn_begin(unsigned cpus)
{
	(void)cpus;
}

void smp_churn_step(struct smp_churner *churner, uint64_t *random)
{
	(void)churner;
	(void)random;
}

bool smp_churn_leave(struct smp_churner *churner, uint64_t *random)
{
	(void)churner;
	(void)random;
	return true;
}

bool smp_churn_end(void)
{
	return true;
}
