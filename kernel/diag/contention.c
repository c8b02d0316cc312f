/* SPDX-License-Identifier: BSD-2-Clause */
/* contention.c - see contention.h. */
#include "kernel/diag/contention.h"

#include <stdio.h>

#include "kernel/diag/clock.h"
#include "kernel/diag/figures.h"
#include "kernel/diag/record.h"
#include "kernel/diag/timing.h"
#include "kernel/settings.h"

/* Of the looks so far. */
static enum { NOT_LOOKED, EACH_HAS_A_CORE, NO_CORES } found;

bool contention_look(void)
{
	if (found != NO_CORES)
		found = cores_for_all(settings.cpus) ? EACH_HAS_A_CORE : NO_CORES;
	return contention_is_measurable();
}

bool contention_is_measurable(void)
{
	return found == EACH_HAS_A_CORE;
}

const char *contention_why_not(void)
{
	static const char *const unfair =
		"the cpus did not take equal turns: has QEMU the plugin (VTIME=1)?";
	static const char *const reasons[] = {
		[NOT_LOOKED] = "it is not known whether the host has given each cpu a core",
		[EACH_HAS_A_CORE] = "",
		[NO_CORES] =
			"the host has not given each cpu a core: its scheduler decides what waits",
	};

	return found == NO_CORES && settings.virtual_time ? unfair : reasons[found];
}

void contention_print_share(int width, uint64_t part, uint64_t whole, bool measurable)
{
	uint64_t share = ratio(part, whole, 10000);

	if (measurable && !whole)
		printf(" %*s", width, "-");
	else if (measurable)
		printf(" %*llu.%02llu %%", width - 5, (unsigned long long)(share / 100),
		       (unsigned long long)(share % 100));
	else
		printf(" %*s", width, "NOT MEASURABLE");
}

void contention_record_validity(bool measurable)
{
	clock_record();
	record_bool("valid", measurable);
	if (!measurable)
		record_string("why", contention_why_not());
}
