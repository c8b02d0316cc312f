/* SPDX-License-Identifier: BSD-2-Clause */
/* trace_check.c - see trace_check.h. */
#include "tests/smp/trace_check.h"

#include <stdio.h>

#include "kernel/diag/panic.h"
#include "kernel/settings.h"
#include "kernel/diag/trace.h"

static uint64_t refills_before, flushes_before;

static uint64_t counted(enum trace_event event)
{
	uint64_t sum = 0;

	for (unsigned cpu = 0; cpu < settings.cpus; cpu++)
		sum += trace_counted(cpu, event);
	return sum;
}

void trace_check_begin(const char *name, bool baseline)
{
	char text[32];

	if (!trace_is_kept())
		return;
	refills_before = counted(TRACE_REFILL);
	flushes_before = counted(TRACE_FLUSH);
	snprintf(text, sizeof(text), "%s%s", name, baseline ? " /0" : "");
	trace_set_activity(text);
}

void trace_check_end(const char *name, const struct result *result)
{
	uint64_t refills = counted(TRACE_REFILL) - refills_before;
	uint64_t flushes = counted(TRACE_FLUSH) - flushes_before;

	if (!trace_is_kept())
		return;
	trace_set_activity("-");
	if (refills != result->refills || flushes != result->flushes)
		verdict_fail("%s: the trace has %llu refills and %llu flushes, the caches counted "
			     "%llu and %llu",
			     name, (unsigned long long)refills, (unsigned long long)flushes,
			     (unsigned long long)result->refills,
			     (unsigned long long)result->flushes);
}
